/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services as kube-proxy does them, beside Skep's: a pod on one node connects to a pod directly, by sock_lb, through
 * iptables rules and through nftables maps as kube-proxy lays them out, on the same veth interfaces by turns in one
 * run. Connection, request and close; requests on one connection; bulk. Then the time of one change. Nothing of the
 * data plane is on the pods' interfaces, so that the services alone are compared. --json FILE writes the numbers there
 * too.
 *
 * Client and server are one thread with sockets in two namespaces: nothing waits for the other, and the processor time
 * of the process is all that the packets cost, softirqs included.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "lib/pair.h"

#define PORT	    9000
#define ROUNDS	    5 /* the median of each counts */
#define CONNECTIONS 1000
#define REQUESTS    5000
#define BULK	    (32u << 20)
#define CHANGES	    20
#define MOST	    10000

enum way { DIRECT, SKEP, IPTABLES, NFTABLES, N_WAYS };
static const char *const names[] = { "direct", "skep", "iptables", "nftables" };

struct figures {
	double connection_cpu, connection_p50, connection_p99, request_cpu, bulk_cpu; /* us; us per MB */
};

static int listener;
static FILE *json;
static bool first = true;

static uint32_t vip(uint32_t i)
{
	return 0x0a600001u + i / 250 % 200 * 256 + i % 250 + i / 50000 * 65536;
}

static double cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double quantile(double *v, size_t n, double q)
{
	qsort(v, n, sizeof(*v), by_value);
	return v[(size_t)((double)(n - 1) * q)];
}

/* --- rules as kube-proxy writes them ------------------------------------------------------------------------------ */

static void text_of(uint32_t ip, char *buf)
{
	struct in_addr a = { htonl(ip) };

	inet_ntop(AF_INET, &a, buf, INET_ADDRSTRLEN);
}

static void pipe_to(const char *command, void (*write_rules)(FILE *f, uint32_t n), uint32_t n)
{
	FILE *f = popen(command, "we");

	if (!f)
		pair_fail("%s: %s", command, strerror(errno));
	write_rules(f, n);
	if (pclose(f) != 0)
		pair_fail("%s: failed", command);
}

static void iptables_service(FILE *f, uint32_t i)
{
	char ip[INET_ADDRSTRLEN];

	text_of(vip(i), ip);
	fprintf(f,
		"-A KUBE-SVC-%1$08u ! -s 10.0.0.0/8 -d %2$s/32 -p tcp -m comment --comment \"ns/s%1$u:http cluster IP\" -m tcp "
		"--dport 80 -j KUBE-MARK-MASQ\n"
		"-A KUBE-SVC-%1$08u -m comment --comment \"ns/s%1$u:http -> 10.0.1.2:9000\" -j KUBE-SEP-%1$08u\n"
		"-A KUBE-SEP-%1$08u -s 10.0.1.2/32 -m comment --comment ns/s%1$u:http -j KUBE-MARK-MASQ\n"
		"-A KUBE-SEP-%1$08u -p tcp -m comment --comment ns/s%1$u:http -m tcp -j DNAT --to-destination 10.0.1.2:9000\n",
		i, ip);
}

static uint32_t n_services;

static void iptables_listed(FILE *f, uint32_t i)
{
	char ip[INET_ADDRSTRLEN];

	text_of(vip(i), ip);
	fprintf(f,
		"-A KUBE-SERVICES -d %2$s/32 -p tcp -m comment --comment \"ns/s%1$u:http cluster IP\" -m tcp --dport 80 -j "
		"KUBE-SVC-%1$08u\n",
		i, ip);
}

static void iptables_rules(FILE *f, uint32_t n)
{
	fputs("*nat\n:KUBE-SERVICES - [0:0]\n:KUBE-POSTROUTING - [0:0]\n:KUBE-MARK-MASQ - [0:0]\n", f);
	for (uint32_t i = 0; i < n; i++)
		fprintf(f, ":KUBE-SVC-%1$08u - [0:0]\n:KUBE-SEP-%1$08u - [0:0]\n", i);
	fputs("-A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\n"
	      "-A OUTPUT -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\n"
	      "-A POSTROUTING -m comment --comment \"kubernetes postrouting rules\" -j KUBE-POSTROUTING\n"
	      "-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN\n-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000\n"
	      "-A KUBE-POSTROUTING -j MASQUERADE --random-fully\n-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000\n",
	      f);
	for (uint32_t i = 0; i < n; i++) {
		iptables_listed(f, i);
		iptables_service(f, i);
	}
	fputs("COMMIT\n", f);
}

/* What kube-proxy writes when one service's endpoints change: that service's chains, and the list of all services anew.
 */
static void iptables_change(FILE *f, uint32_t i)
{
	fprintf(f, "*nat\n:KUBE-SERVICES - [0:0]\n:KUBE-SVC-%1$08u - [0:0]\n:KUBE-SEP-%1$08u - [0:0]\n", i);
	for (uint32_t k = 0; k < n_services; k++)
		iptables_listed(f, k);
	iptables_service(f, i);
	fputs("COMMIT\n", f);
}

static void nft_service(FILE *f, uint32_t i)
{
	char ip[INET_ADDRSTRLEN];

	text_of(vip(i), ip);
	fprintf(f,
		"add rule ip kube-proxy endpoint-%1$u ip saddr 10.0.1.2 jump mark-for-masquerade\n"
		"add rule ip kube-proxy endpoint-%1$u meta l4proto tcp dnat to 10.0.1.2:9000\n"
		"add rule ip kube-proxy service-%1$u ip daddr %2$s tcp dport 80 ip saddr != 10.0.0.0/8 jump mark-for-masquerade\n"
		"add rule ip kube-proxy service-%1$u numgen random mod 1 vmap { 0 : goto endpoint-%1$u }\n",
		i, ip);
}

static void nft_rules(FILE *f, uint32_t n)
{
	fputs("add table ip kube-proxy\n"
	      "add map ip kube-proxy service-ips { type ipv4_addr . inet_proto . inet_service : verdict; }\n"
	      "add chain ip kube-proxy services\nadd chain ip kube-proxy masquerading\n"
	      "add chain ip kube-proxy mark-for-masquerade\n"
	      "add chain ip kube-proxy nat-prerouting { type nat hook prerouting priority -100; }\n"
	      "add chain ip kube-proxy nat-output { type nat hook output priority -100; }\n"
	      "add chain ip kube-proxy nat-postrouting { type nat hook postrouting priority 100; }\n"
	      "add rule ip kube-proxy mark-for-masquerade mark set mark or 0x4000\n"
	      "add rule ip kube-proxy masquerading mark and 0x4000 == 0 return\n"
	      "add rule ip kube-proxy masquerading mark set mark xor 0x4000\n"
	      "add rule ip kube-proxy masquerading masquerade fully-random\n"
	      "add rule ip kube-proxy services ip daddr . meta l4proto . th dport vmap @service-ips\n"
	      "add rule ip kube-proxy nat-prerouting jump services\nadd rule ip kube-proxy nat-output jump services\n"
	      "add rule ip kube-proxy nat-postrouting jump masquerading\n",
	      f);
	for (uint32_t i = 0; i < n; i++) {
		char ip[INET_ADDRSTRLEN];

		text_of(vip(i), ip);
		fprintf(f, "add chain ip kube-proxy endpoint-%1$u\nadd chain ip kube-proxy service-%1$u\n", i);
		nft_service(f, i);
		fprintf(f, "add element ip kube-proxy service-ips { %s . tcp . 80 : goto service-%u }\n", ip, i);
	}
}

static void nft_change(FILE *f, uint32_t i)
{
	fprintf(f, "flush chain ip kube-proxy service-%1$u\nflush chain ip kube-proxy endpoint-%1$u\n", i);
	nft_service(f, i);
}

static void skep_service(uint32_t i, size_t backends)
{
	struct dp_backend b[2] = { { pair_v4(PAIR_SERVER), PORT }, { pair_v4(PAIR_SERVER), PORT } };
	struct dp_service svc = {
		.vip = pair_v4(vip(i)), .port = 80, .proto = IPPROTO_TCP, .backends = b, .n_backends = backends
	};

	if (dp_service_set(pair.dp, &svc, &pair_error) < 0)
		pair_fail("%s", pair_error.msg);
}

#define RESTORE "iptables-nft-restore"

/* Installed, and the kernel does it? */
static bool works(const char *command)
{
	char full[256];

	snprintf(full, sizeof(full), "{ %s && nft flush ruleset; } >/dev/null 2>&1", command);
	return system(full) == 0;
}

static void on(enum way way, uint32_t n)
{
	n_services = n;
	if (way == IPTABLES) {
		pipe_to(RESTORE, iptables_rules, n);
	} else if (way == NFTABLES) {
		pipe_to("nft -f -", nft_rules, n);
	} else if (way == SKEP) {
		pair_dp_on();
		for (uint32_t i = 0; i < n; i++)
			skep_service(i, 1);
		pair_join(pair.cgroup);
	}
}

static void off(enum way way)
{
	if (way == IPTABLES || way == NFTABLES) {
		pair_sh("nft flush ruleset");
	} else if (way == SKEP) {
		pair_join(pair.cgroup_root);
		pair_dp_off();
	}
}

/* --- measuring ---------------------------------------------------------------------------------------------------- */

struct flow {
	int client, server;
};

static struct flow dial(uint32_t ip, uint16_t port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(ip) };
	struct flow f = { socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), -1 };
	int one = 1;

	if (f.client < 0 || connect(f.client, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		pair_fail("connect: %s", strerror(errno));
	f.server = accept(listener, NULL, NULL);
	if (f.server < 0)
		pair_fail("accept: %s", strerror(errno));
	setsockopt(f.client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(f.server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return f;
}

static void ask(const struct flow *f)
{
	char c = 'x';

	if (write(f->client, &c, 1) != 1 || read(f->server, &c, 1) != 1 || write(f->server, &c, 1) != 1 ||
	    read(f->client, &c, 1) != 1)
		pair_fail("request: %s", strerror(errno));
}

/* By a reset, so that no port waits. */
static void hang_up(struct flow *f)
{
	struct linger reset = { 1, 0 };

	setsockopt(f->client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(f->client);
	close(f->server);
}

static struct figures measure(uint32_t ip, uint16_t port)
{
	static char buf[64 << 10];
	static double times[CONNECTIONS];
	struct figures r;
	struct flow f;
	double start;

	pair_enter("p1");
	start = cpu_us();
	for (int i = 0; i < CONNECTIONS; i++) {
		uint64_t at = pair_now_ns();

		f = dial(ip, port);
		ask(&f);
		hang_up(&f);
		times[i] = (double)(pair_now_ns() - at) / 1e3;
	}
	r.connection_cpu = (cpu_us() - start) / CONNECTIONS;
	r.connection_p50 = quantile(times, CONNECTIONS, 0.5);
	r.connection_p99 = quantile(times, CONNECTIONS, 0.99);
	f = dial(ip, port);
	start = cpu_us();
	for (int i = 0; i < REQUESTS; i++)
		ask(&f);
	r.request_cpu = (cpu_us() - start) / REQUESTS;
	start = cpu_us();
	for (uint32_t sent = 0; sent < BULK; sent += sizeof(buf)) {
		if (write(f.client, buf, sizeof(buf)) != sizeof(buf))
			pair_fail("write: %s", strerror(errno));
		for (size_t got = 0; got < sizeof(buf);) {
			ssize_t n = read(f.server, buf, sizeof(buf));

			if (n <= 0)
				pair_fail("read: %s", strerror(errno));
			got += (size_t)n;
		}
	}
	r.bulk_cpu = (cpu_us() - start) / (BULK >> 20);
	hang_up(&f);
	pair_enter(NULL);
	return r;
}

static void row(const char *what, enum way way, uint32_t n, double value, const char *unit, double base)
{
	char ratio[16] = "";

	if (base > 0)
		snprintf(ratio, sizeof(ratio), "%.2f", value / base);
	printf("%-34s %-10s %7u %10.2f %-6s %8s\n", what, names[way], n, value, unit, ratio);
	fflush(stdout);
	if (json)
		fprintf(json,
			"%s\n  {\"name\": \"%s\", \"way\": \"%s\", \"services\": %u, \"value\": %.2f, \"unit\": \"%s\"}",
			first ? "" : ",", what, names[way], n, value, unit);
	first = false;
}

static void report(const struct figures v[N_WAYS][ROUNDS], const bool there[N_WAYS], uint32_t n)
{
	static const struct {
		const char *what, *unit;
		size_t at;
	} rows[] = {
		{ "connect, request, close: CPU", "us", offsetof(struct figures, connection_cpu) },
		{ "connect, request, close: p50", "us", offsetof(struct figures, connection_p50) },
		{ "connect, request, close: p99", "us", offsetof(struct figures, connection_p99) },
		{ "request and response: CPU", "us", offsetof(struct figures, request_cpu) },
		{ "bulk: CPU of a MB", "us", offsetof(struct figures, bulk_cpu) },
	};

	for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
		double base = 0;

		for (enum way w = 0; w < N_WAYS; w++) {
			double values[ROUNDS], m;

			if (!there[w])
				continue;
			for (int i = 0; i < ROUNDS; i++)
				memcpy(&values[i], (const char *)&v[w][i] + rows[k].at, sizeof(double));
			m = quantile(values, ROUNDS, 0.5);
			base = w == DIRECT ? m : base;
			row(rows[k].what, w, n, m, rows[k].unit, base);
		}
	}
}

/* The time until a change of one service's endpoints is live. */
static void changes(enum way way, uint32_t n)
{
	double times[CHANGES];

	for (uint32_t i = 0; i < CHANGES; i++) {
		uint64_t at = pair_now_ns();

		if (way == IPTABLES)
			pipe_to(RESTORE " --noflush", iptables_change, i * n / CHANGES);
		else if (way == NFTABLES)
			pipe_to("nft -f -", nft_change, i * n / CHANGES);
		else
			skep_service(i * n / CHANGES, 1 + (i + 1) % 2);
		times[i] = (double)(pair_now_ns() - at) / 1e3;
	}
	row("change of one service: p50", way, n, quantile(times, CHANGES, 0.5), "us", 0);
	row("change of one service: slowest", way, n, quantile(times, CHANGES, 1), "us", 0);
}

int main(int argc, char **argv)
{
	static const uint32_t counts[] = { 1, 100, 1000, MOST };
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_port = htons(PORT),
				  .sin_addr.s_addr = htonl(PAIR_SERVER) };
	static struct figures v[N_WAYS][ROUNDS];
	bool there[N_WAYS] = { true, true, true, true };

	log_init("proxy_bench");
	if (argc == 3 && !strcmp(argv[1], "--json")) {
		json = fopen(argv[2], "we");
		if (!json)
			pair_fail("%s: %s", argv[2], strerror(errno));
	} else if (argc != 1) {
		pair_fail("usage: %s [--json FILE]", argv[0]);
	}
	if (geteuid() != 0) {
		fprintf(stderr, "proxy_bench: needs root: loads BPF programs and makes network namespaces\n");
		return 77;
	}
	signal(SIGPIPE, SIG_IGN);
	pair_up("proxybench", 2 * MOST);
	there[IPTABLES] = works("printf '*nat\\nCOMMIT\\n' | " RESTORE);
	there[NFTABLES] = works("nft add table ip kube-proxy");
	for (enum way w = IPTABLES; w < N_WAYS; w++)
		if (!there[w])
			printf("skip %s: not installed (make bench does it), or not in this kernel\n", names[w]);
	pair_enter("p2");
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(listener, 16) < 0)
		pair_fail("listen: %s", strerror(errno));
	pair_enter(NULL);
	if (json)
		fputs("{\"bench\": \"proxy\", \"results\": [", json);
	puts("iptables: " RESTORE ". Ratios are to connecting directly in the same rounds.");
	printf("%-34s %-10s %7s %10s %-6s %8s\n", "", "way", "services", "value", "", "ratio");
	for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
		for (int round = 0; round < ROUNDS; round++)
			for (enum way w = 0; w < N_WAYS; w++) {
				if (!there[w])
					continue;
				on(w, counts[c]);
				v[w][round] = w == DIRECT ? measure(PAIR_SERVER, PORT)
							  : measure(vip(counts[c] / 2), 80);
				if (round == ROUNDS - 1 && w != DIRECT)
					changes(w, counts[c]);
				off(w);
			}
		report(v, there, counts[c]);
	}
	if (json) {
		fputs("\n]}\n", json);
		fclose(json);
	}
	return 0;
}
