/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pod to pod on one node: TCP throughput, and request and response, first over plain veth and the kernel's
 * forwarding, then with the data plane on the same interfaces, by turns in one run. The budget is "at least as fast".
 * --json FILE writes the numbers there too.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/dp/dp-internal.h"
#include "base/log.h"

#define ROUNDS	  5 /* the best of each counts */
#define STREAM_NS 400000000ull
#define REQUESTS  20000
#define PORT	  9000

static struct {
	struct dp *dp;
	char dir[64], pin_dir[96], cgroup[128];
	pid_t owner; /* children leave by exit() too */
} bench;

static struct err error;

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static void sh(const char *cmd)
{
	if (system(cmd) != 0)
		fail("%s: failed", cmd);
}

static void enter(const char *ns)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", ns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		fail("%s: %s", path, strerror(errno));
	close(fd);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct ip_addr v4(uint32_t host_order)
{
	return (struct ip_addr){ { 0, 0, htonl(0xffff), htonl(host_order) } };
}

static void tear_down(void)
{
	if (getpid() != bench.owner)
		return;
	dp_close(bench.dp);
	(void)dp_destroy(bench.pin_dir, NULL);
	(void)umount2(bench.dir, MNT_DETACH);
	(void)rmdir(bench.dir);
	(void)rmdir(bench.cgroup);
}

static void set_up(void)
{
	const char *root = access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0 ? "/sys/fs/cgroup"
										  : "/sys/fs/cgroup/unified";

	snprintf(bench.cgroup, sizeof(bench.cgroup), "%s/skep-netbench-%d", root, getpid());
	snprintf(bench.dir, sizeof(bench.dir), "/tmp/skep-netbench-%d", getpid());
	snprintf(bench.pin_dir, sizeof(bench.pin_dir), "%s/node", bench.dir);
	if (mkdir(bench.cgroup, 0755) < 0 || mkdir(bench.dir, 0700) < 0 || unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount("bpf", bench.dir, "bpf", 0, NULL) < 0 ||
	    mount("run", "/run", "tmpfs", 0, NULL) < 0)
		fail("a node of its own: %s", strerror(errno));
	bench.owner = getpid();
	atexit(tear_down);
	sh("ip link set lo up && echo 1 >/proc/sys/net/ipv4/ip_forward && ip link add up0 type veth peer name up1 &&"
	   "ip link add tun0 type vxlan external dstport 4789");
	for (int i = 1; i <= 2; i++) {
		char cmd[1024];

		snprintf(
			cmd, sizeof(cmd),
			"ip netns add p%1$d && ip link add host%1$d address 02:00:00:00:02:0%1$d type veth peer name eth0 address "
			"02:00:00:00:01:0%1$d netns p%1$d && ip -n p%1$d link set lo up && ip -n p%1$d link set eth0 up &&"
			"ip link set host%1$d up && ip route add 10.0.1.%1$d dev host%1$d &&"
			"ip neigh add 10.0.1.%1$d lladdr 02:00:00:00:01:0%1$d dev host%1$d &&"
			"ip -n p%1$d addr add 10.0.1.%1$d/32 dev eth0 && ip -n p%1$d route add 169.254.1.1 dev eth0 &&"
			"ip -n p%1$d route add default via 169.254.1.1 &&"
			"ip -n p%1$d neigh add 169.254.1.1 lladdr 02:00:00:00:02:0%1$d dev eth0",
			i);
		sh(cmd);
	}
}

static void data_plane_on(void)
{
	const struct dp_config config = {
		.pin_dir = bench.pin_dir,
		.cgroup_dir = bench.cgroup,
		.uplink = "up0",
		.tunnel = "tun0",
		.node_ip4 = v4(0xac1e0101),
		.pod_cidr4 = v4(0x0a000000),
		.pod_cidr4_len = 8,
		.lan4 = v4(0xac1e0000),
		.lan4_len = 16,
		.services4 = v4(0x0a600000),
		.services4_len = 12,
	};

	if (dp_open(&config, &bench.dp, &error) < 0)
		fail("%s", error.msg);
	for (uint8_t i = 1; i <= 2; i++) {
		/* Isolated, so that policy is asked: each may talk to the other. */
		struct dp_policy_rule rules[] = { { DP_INGRESS, IPPROTO_TCP, 0, 0, 303u - i, 1, true },
						  { DP_EGRESS, IPPROTO_TCP, 0, 0, 303u - i, 2, true } };
		struct dp_policy policy = { true, true, rules, 2, 1 };
		struct dp_endpoint ep = { i,
					  if_nametoindex(i == 1 ? "host1" : "host2"),
					  300u + i,
					  v4(0x0a000100u + i),
					  { { 0 } },
					  { 2, 0, 0, 0, 1, i },
					  { 2, 0, 0, 0, 2, i } };

		if (dp_attach_pod(bench.dp, ep.ifindex, &error) < 0 ||
		    dp_policy_set(bench.dp, i, &policy, &error) < 0 || dp_endpoint_add(bench.dp, &ep, &error) < 0)
			fail("%s", error.msg);
	}
}

static void data_plane_off(void)
{
	dp_close(bench.dp);
	bench.dp = NULL;
	if (dp_destroy(bench.pin_dir, &error) < 0)
		fail("%s", error.msg);
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

	enter("p2");
	l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (l < 0 || bind(l, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(l, 1) < 0)
		fail("listen: %s", strerror(errno));
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		fail("fork: %s", strerror(errno));
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

	enter("p1");
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		fail("connect: %s", strerror(errno));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static double stream(void)
{
	static char buf[1 << 17];
	pid_t server = serve(false);
	int fd = dial();
	uint64_t start = now_ns(), sent = 0, took;

	while (now_ns() - start < STREAM_NS) {
		ssize_t n = write(fd, buf, sizeof(buf));

		if (n < 0)
			fail("write: %s", strerror(errno));
		sent += (uint64_t)n;
	}
	shutdown(fd, SHUT_WR);
	waitpid(server, NULL, 0);
	took = now_ns() - start;
	close(fd);
	return (double)sent * 8 / (double)took;
}

static double requests(void)
{
	pid_t server = serve(true);
	int fd = dial();
	uint64_t start = now_ns(), took;
	char c = 'x';

	for (int i = 0; i < REQUESTS; i++)
		if (write(fd, &c, 1) != 1 || read(fd, &c, 1) != 1)
			fail("request: %s", strerror(errno));
	took = now_ns() - start;
	close(fd);
	waitpid(server, NULL, 0);
	return (double)took / 1e3 / REQUESTS;
}

int main(int argc, char **argv)
{
	double gbit[2] = { 0, 0 }, us[2] = { 1e9, 1e9 }, v;
	FILE *json = NULL;
	int home;

	log_init("net_bench");
	if (argc == 3 && !strcmp(argv[1], "--json")) {
		json = fopen(argv[2], "w");
		if (!json)
			fail("%s: %s", argv[2], strerror(errno));
	} else if (argc != 1) {
		fail("usage: %s [--json FILE]", argv[0]);
	}
	if (geteuid() != 0) {
		fprintf(stderr, "net_bench: needs root: loads BPF programs and makes network namespaces\n");
		return 77;
	}
	signal(SIGPIPE, SIG_IGN);
	set_up();
	home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	for (int round = 0; round < ROUNDS; round++) {
		for (int with = 0; with < 2; with++) {
			if (with)
				data_plane_on();
			v = stream();
			gbit[with] = v > gbit[with] ? v : gbit[with];
			v = requests();
			us[with] = v < us[with] ? v : us[with];
			if (setns(home, CLONE_NEWNET) < 0)
				fail("setns: %s", strerror(errno));
			if (with)
				data_plane_off();
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
