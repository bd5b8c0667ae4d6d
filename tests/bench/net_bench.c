/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pod to pod on one node: TCP throughput, and request and response, first over plain veth and the kernel's
 * forwarding, then with the data plane on the same interfaces, by turns in one run. The budget is "at least as fast".
 * --json FILE writes the numbers there too.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "lib/pair.h"

#define ROUNDS	  5 /* the best of each counts */
#define STREAM_NS 400000000ull
#define REQUESTS  20000
#define PORT	  9000

static void data_plane_on(void)
{
	pair_dp_on();
	for (uint8_t i = 1; i <= 2; i++) {
		/* Isolated, so that policy is asked: each may talk to the other. */
		struct dp_policy_rule rules[] = { { DP_INGRESS, IPPROTO_TCP, 0, 0, 303u - i, 1, true },
						  { DP_EGRESS, IPPROTO_TCP, 0, 0, 303u - i, 2, true } };
		struct dp_policy policy = { true, true, rules, 2, 1 };
		struct dp_endpoint ep = { i,
					  if_nametoindex(i == 1 ? "host1" : "host2"),
					  300u + i,
					  pair_v4(0x0a000100u + i),
					  { { 0 } },
					  { 2, 0, 0, 0, 1, i },
					  { 2, 0, 0, 0, 2, i } };

		if (dp_attach_pod(pair.dp, ep.ifindex, &pair_error) < 0 ||
		    dp_policy_set(pair.dp, i, &policy, &pair_error) < 0 ||
		    dp_endpoint_add(pair.dp, &ep, &pair_error) < 0)
			pair_fail("%s", pair_error.msg);
	}
}

/* In a child in pod 2: one connection, either swallowed or echoed. */
static pid_t serve(bool echo)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_port = htons(PORT),
				  .sin_addr.s_addr = htonl(0x0a000102) };
	static char buf[1 << 18];
	int one = 1, l, fd;
	ssize_t n;
	pid_t pid;

	pair_enter("p2");
	l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (l < 0 || bind(l, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(l, 1) < 0)
		pair_fail("listen: %s", strerror(errno));
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		pair_fail("fork: %s", strerror(errno));
	if (pid > 0) {
		close(l);
		return pid;
	}
	fd = accept(l, NULL, NULL);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		if (echo && write(fd, buf, (size_t)n) != n)
			_exit(1);
	_exit(0);
}

static int dial(void)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_port = htons(PORT),
				  .sin_addr.s_addr = htonl(0x0a000102) };
	int fd, one = 1;

	pair_enter("p1");
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		pair_fail("connect: %s", strerror(errno));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static double stream(void)
{
	static char buf[1 << 17];
	pid_t server = serve(false);
	int fd = dial();
	uint64_t start = pair_now_ns(), sent = 0, took;

	while (pair_now_ns() - start < STREAM_NS) {
		ssize_t n = write(fd, buf, sizeof(buf));

		if (n < 0)
			pair_fail("write: %s", strerror(errno));
		sent += (uint64_t)n;
	}
	shutdown(fd, SHUT_WR);
	waitpid(server, NULL, 0);
	took = pair_now_ns() - start;
	close(fd);
	return (double)sent * 8 / (double)took;
}

static double requests(void)
{
	pid_t server = serve(true);
	int fd = dial();
	uint64_t start = pair_now_ns(), took;
	char c = 'x';

	for (int i = 0; i < REQUESTS; i++)
		if (write(fd, &c, 1) != 1 || read(fd, &c, 1) != 1)
			pair_fail("request: %s", strerror(errno));
	took = pair_now_ns() - start;
	close(fd);
	waitpid(server, NULL, 0);
	return (double)took / 1e3 / REQUESTS;
}

int main(int argc, char **argv)
{
	double gbit[2] = { 0, 0 }, us[2] = { 1e9, 1e9 }, v;
	FILE *json = NULL;

	log_init("net_bench");
	if (argc == 3 && !strcmp(argv[1], "--json")) {
		json = fopen(argv[2], "w");
		if (!json)
			pair_fail("%s: %s", argv[2], strerror(errno));
	} else if (argc != 1) {
		pair_fail("usage: %s [--json FILE]", argv[0]);
	}
	if (geteuid() != 0) {
		fprintf(stderr, "net_bench: needs root: loads BPF programs and makes network namespaces\n");
		return 77;
	}
	signal(SIGPIPE, SIG_IGN);
	pair_up("netbench", 0);
	for (int round = 0; round < ROUNDS; round++) {
		for (int with = 0; with < 2; with++) {
			if (with)
				data_plane_on();
			v = stream();
			gbit[with] = v > gbit[with] ? v : gbit[with];
			v = requests();
			us[with] = v < us[with] ? v : us[with];
			pair_enter(NULL);
			if (with)
				pair_dp_off();
		}
	}
	printf("%-44s %12s %12s %8s\n", "pod to pod, one node", "veth+forward", "data plane", "ratio");
	printf("%-44s %12.2f %12.2f %8.2f\n", "TCP stream, Gbit/s (more is better)", gbit[0], gbit[1],
	       gbit[1] / gbit[0]);
	printf("%-44s %12.2f %12.2f %8.2f\n", "request and response, us (less is better)", us[0], us[1], us[1] / us[0]);
	if (json) {
		fprintf(json,
			"{\"bench\": \"net\", \"results\": [\n"
			"  {\"name\": \"stream, veth and forwarding\", \"value\": %.3f, \"unit\": \"Gbit/s\"},\n"
			"  {\"name\": \"stream, data plane\", \"value\": %.3f, \"unit\": \"Gbit/s\"},\n"
			"  {\"name\": \"request and response, veth and forwarding\", \"value\": %.3f, \"unit\": \"us\"},\n"
			"  {\"name\": \"request and response, data plane\", \"value\": %.3f, \"unit\": \"us\"}\n]}\n",
			gbit[0], gbit[1], us[0], us[1]);
		fclose(json);
	}
	return 0;
}
