/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the data plane costs: nanoseconds per packet of each program and path under BPF_PROG_TEST_RUN, beside the
 * emptiest programs of the same run; CPU of a connection through a service against the same connection without; time
 * to change a service. Makes a network namespace, a BPF file system and a cgroup of its own and removes them. --json
 * FILE writes the numbers there too.
 *
 * TEST_RUN with repeat does not restore a packet. So every rewrite here is one that changes nothing: all MAC
 * addresses are equal, and a masqueraded flow has the node's address and port already.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "abi/nat.h"
#include "abi/svc.h"
#include "abi/policy.h"
#include "agent/dp/dp-internal.h"
#include "base/log.h"

#define REPEAT	    200000
#define ROUNDS	    7 /* the least of them counts: anything else on the machine only adds */
#define CONNECTIONS 4000

static struct {
	struct dp *dp;
	struct dp_config config;
	char dir[64], pin_dir[96], cgroup[128];
	uint32_t ifindex[4]; /* up0, tun0, pa, pb */
	FILE *json;
	bool first;
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

static void check(int r, const char *what)
{
	if (r < 0)
		fail("%s: %d %s", what, r, error.msg);
}

static void report(const char *name, double value, const char *unit, double floor)
{
	if (floor > 0)
		printf("%-56s %9.2f %-6s %+9.2f\n", name, value, unit, value - floor);
	else
		printf("%-56s %9.2f %-6s\n", name, value, unit);
	fflush(stdout);
	if (!bench.json)
		return;
	fprintf(bench.json, "%s\n  {\"name\": \"%s\", \"value\": %.2f, \"unit\": \"%s\"", bench.first ? "" : ",", name,
		value, unit);
	if (floor > 0)
		fprintf(bench.json, ", \"floor\": %.2f", floor);
	fputc('}', bench.json);
	bench.first = false;
}

/* --- packets ------------------------------------------------------------------------------------------------------ */

#define POD_A  0x0a00010au
#define POD_B  0x0a00010bu
#define REMOTE 0x0a00020au
#define WORLD  0x08080808u
#define VIP    0x0a640001u /* its backend, too, so that the rewrite changes nothing */
#define NODE   POD_A	   /* so that masquerade changes nothing */

static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };

static struct ip_addr v4(uint32_t host_order)
{
	return (struct ip_addr){ { 0, 0, htonl(0xffff), htonl(host_order) } };
}

static struct ip_addr v6(uint8_t net, uint8_t host)
{
	struct ip_addr a = { { htonl(0xfd000010), htonl(net), 0, htonl(host) } };

	return a;
}

struct pkt {
	uint8_t data[128];
	uint32_t len;
};

static struct pkt tcp(struct ip_addr src, struct ip_addr dst, uint16_t sport, uint16_t dport, uint8_t flags)
{
	struct pkt p = { .len = 74 };
	uint8_t *l4;

	memcpy(p.data, mac, 6);
	memcpy(p.data + 6, mac, 6);
	if (ip_is_mapped4(&src)) {
		p.data[12] = 0x08;
		p.data[14] = 0x45;
		p.data[17] = 60;
		p.data[22] = 64;
		p.data[23] = IPPROTO_TCP;
		memcpy(p.data + 26, &src.w[3], 4);
		memcpy(p.data + 30, &dst.w[3], 4);
		l4 = p.data + 34;
	} else {
		p.data[12] = 0x86;
		p.data[13] = 0xdd;
		p.data[14] = 0x60;
		p.data[19] = 20;
		p.data[20] = IPPROTO_TCP;
		p.data[21] = 64;
		memcpy(p.data + 22, &src, 16);
		memcpy(p.data + 38, &dst, 16);
		l4 = p.data + 54;
	}
	l4[0] = (uint8_t)(sport >> 8);
	l4[1] = (uint8_t)sport;
	l4[2] = (uint8_t)(dport >> 8);
	l4[3] = (uint8_t)dport;
	l4[12] = 0x50;
	l4[13] = flags;
	return p;
}

static double run_fd(int fd, const struct pkt *p, uint32_t ifindex, int want)
{
	uint32_t best = UINT32_MAX;

	for (int i = 0; i < ROUNDS; i++) {
		struct __sk_buff ctx = { .ifindex = ifindex, .ingress_ifindex = ifindex };
		LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = p->data, .data_size_in = p->len, .repeat = REPEAT);

		if (ifindex) {
			o.ctx_in = &ctx;
			o.ctx_size_in = sizeof(ctx);
		}
		check(bpf_prog_test_run_opts(fd, &o), "test run");
		if ((int)o.retval != want)
			fail("verdict %d instead of %d", (int)o.retval, want);
		if (o.duration < best)
			best = o.duration;
	}
	return best;
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double run(enum dp_prog prog, struct pkt p, int interface, int want)
{
	return run_fd(bench.dp->prog_fd[prog], &p, bench.ifindex[interface], want);
}

/* --- floors ------------------------------------------------------------------------------------------------------- */

#define INSN(c, d, s, o, i)                                                                                            \
	{                                                                                                              \
		.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)                                    \
	}

/* Swap the MAC addresses and send back, bounds check included. */
static int load_xdp_tx(void)
{
	const struct bpf_insn insns[] = {
		INSN(BPF_LDX | BPF_W | BPF_MEM, BPF_REG_2, BPF_REG_1, 0, 0), /* data */
		INSN(BPF_LDX | BPF_W | BPF_MEM, BPF_REG_3, BPF_REG_1, 4, 0), /* data_end */
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_4, BPF_REG_2, 0, 0),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_4, 0, 0, 14),
		INSN(BPF_JMP | BPF_JGT | BPF_X, BPF_REG_4, BPF_REG_3, 8, 0),
		INSN(BPF_LDX | BPF_W | BPF_MEM, BPF_REG_5, BPF_REG_2, 0, 0),
		INSN(BPF_LDX | BPF_H | BPF_MEM, BPF_REG_6, BPF_REG_2, 4, 0),
		INSN(BPF_LDX | BPF_W | BPF_MEM, BPF_REG_7, BPF_REG_2, 6, 0),
		INSN(BPF_LDX | BPF_H | BPF_MEM, BPF_REG_8, BPF_REG_2, 10, 0),
		INSN(BPF_STX | BPF_W | BPF_MEM, BPF_REG_2, BPF_REG_7, 0, 0),
		INSN(BPF_STX | BPF_H | BPF_MEM, BPF_REG_2, BPF_REG_8, 4, 0),
		INSN(BPF_STX | BPF_W | BPF_MEM, BPF_REG_2, BPF_REG_5, 6, 0),
		INSN(BPF_STX | BPF_H | BPF_MEM, BPF_REG_2, BPF_REG_6, 10, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, XDP_TX),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};

	return bpf_prog_load(BPF_PROG_TYPE_XDP, "floor_xdp", "Apache-2.0", insns, sizeof(insns) / sizeof(insns[0]),
			     NULL);
}

static int load_tc_ok(void)
{
	const struct bpf_insn insns[] = {
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, TC_ACT_OK),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};

	return bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "floor_tc", "Apache-2.0", insns, 2, NULL);
}

/* --- the node ----------------------------------------------------------------------------------------------------- */

static void tear_down(void)
{
	if (!bench.dir[0])
		return;
	dp_close(bench.dp);
	(void)dp_destroy(bench.pin_dir, NULL);
	(void)umount2(bench.dir, MNT_DETACH);
	(void)rmdir(bench.dir);
	(void)rmdir(bench.cgroup);
}

static const char *cgroup_root(void)
{
	return access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/unified";
}

static void join(const char *cgroup)
{
	char path[192], pid[16];
	int fd, n = snprintf(pid, sizeof(pid), "%d", getpid());

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, pid, (size_t)n) != n)
		fail("%s: %s", path, strerror(errno));
	close(fd);
}

static void set_up(void)
{
	static const char *const names[] = { "up0", "tun0", "pa", "pb" };

	snprintf(bench.cgroup, sizeof(bench.cgroup), "%s/skep-bench-%d", cgroup_root(), getpid());
	snprintf(bench.dir, sizeof(bench.dir), "/tmp/skep-bench-%d", getpid());
	snprintf(bench.pin_dir, sizeof(bench.pin_dir), "%s/node", bench.dir);
	if (mkdir(bench.cgroup, 0755) < 0 || mkdir(bench.dir, 0700) < 0 || unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount("bpf", bench.dir, "bpf", 0, NULL) < 0)
		fail("a node of its own: %s", strerror(errno));
	atexit(tear_down);
	if (system("ip link set lo up && ip link add up0 address 02:00:00:00:00:01 type veth peer name up1 &&"
		   "ip link add tun0 type vxlan external dstport 4789 && ip link add pa type veth peer name qa &&"
		   "ip link add pb type veth peer name qb") != 0)
		fail("cannot make interfaces");
	for (int i = 0; i < 4; i++)
		bench.ifindex[i] = if_nametoindex(names[i]);
	bench.config = (struct dp_config){
		.pin_dir = bench.pin_dir,
		.cgroup_dir = bench.cgroup,
		.uplink = "up0",
		.tunnel = "tun0",
		.node_ip4 = v4(NODE),
		.pod_cidr4 = v4(0x0a000000),
		.pod_cidr4_len = 8,
		.pod_cidr6 = v6(0, 0),
		.pod_cidr6_len = 32,
		.lan4 = v4(0xac1e0000),
		.lan4_len = 16,
		.services4 = v4(0x0a600000),
		.services4_len = 12,
		.max_services = 200000,
		.max_backends = 400000,
		.xdp = DP_XDP_GENERIC,
	};
	check(dp_open(&bench.config, &bench.dp, &error), "open");
}

static void policy(uint32_t ep_id, bool isolated, uint32_t n)
{
	struct dp_policy_rule *rules = calloc(n + 1, sizeof(*rules));
	struct dp_policy p = {
		.isolated_ingress = isolated, .isolated_egress = isolated, .rules = rules, .n_rules = n
	};

	for (uint32_t i = 0; i < n; i++)
		rules[i] = (struct dp_policy_rule){ .direction = i & 1,
						    .identity = i < 2 ? 301 - (i & 1) * 0 : 1000 + i,
						    .proto = IPPROTO_TCP,
						    .port = 80,
						    .port_bits = 16,
						    .rule_id = i + 1,
						    .allow = true };
	if (n > 1) {
		rules[0].identity = 300; /* ingress from A */
		rules[1].identity = 301; /* egress to B */
	}
	check(dp_policy_set(bench.dp, ep_id, &p, &error), "policy");
	free(rules);
}

static void pods(void)
{
	struct dp_endpoint a = { 1, bench.ifindex[2], 300, v4(POD_A), v6(1, 10), { 0 }, { 0 } };
	struct dp_endpoint b = { 2, bench.ifindex[3], 301, v4(POD_B), v6(1, 11), { 0 }, { 0 } };
	struct dp_ipcache_entry remote = { v4(REMOTE), 302, v4(0xac1e0102) };
	struct dp_ipcache_entry itself = { v4(VIP), 302, v4(0xac1e0102) };
	struct dp_backend b1 = { v4(VIP), 80 };
	struct dp_service svc = { .vip = v4(VIP), .port = 80, .proto = IPPROTO_TCP, .backends = &b1, .n_backends = 1 };

	memcpy(a.pod_mac, mac, 6);
	memcpy(a.host_mac, mac, 6);
	memcpy(b.pod_mac, mac, 6);
	memcpy(b.host_mac, mac, 6);
	policy(1, false, 0);
	policy(2, false, 0);
	check(dp_endpoint_add(bench.dp, &a, &error), "pod");
	check(dp_endpoint_add(bench.dp, &b, &error), "pod");
	check(dp_ipcache_set(bench.dp, &remote, &error), "ipcache");
	check(dp_ipcache_set(bench.dp, &itself, &error), "ipcache");
	check(dp_service_set(bench.dp, &svc, &error), "service");
}

static void packets(void)
{
	struct nat_out_key ok = { .pod_ip = v4(POD_A),
				  .remote_ip = v4(WORLD),
				  .pod_port = htons(62000),
				  .remote_port = htons(443),
				  .proto = IPPROTO_TCP };
	struct nat_in_key ik = {
		.remote_ip = v4(WORLD), .remote_port = htons(443), .node_port = htons(62000), .proto = IPPROTO_TCP
	};
	struct nat_in_value iv = { .pod_ip = v4(POD_A), .pod_port = htons(62000), .flags = 2 };
	struct nat_out_value ov = { .node_port = htons(62000) };
	static const uint32_t sizes[] = { 2, 100, 10000 };
	struct dp_backend itself = { v4(POD_B), 80 };
	struct dp_service outside = { .vip = v4(POD_B),
				      .port = 80,
				      .proto = IPPROTO_TCP,
				      .side = SVC_OUTSIDE,
				      .backends = &itself,
				      .n_backends = 1 };
	struct timespec now;
	double xdp, tc;
	int xdp_fd = load_xdp_tx(), tc_fd = load_tc_ok();
	struct pkt any = tcp(v4(POD_A), v4(POD_B), 40000, 80, 0x10);
	char name[96];

	check(xdp_fd, "floor program");
	check(tc_fd, "floor program");
	printf("%-56s %16s %9s\n", "packet", "a packet", "above tc");
	xdp = run_fd(xdp_fd, &any, 0, XDP_TX);
	tc = run_fd(tc_fd, &any, 0, TC_ACT_OK);
	report("floor: XDP MAC swap and TX", xdp, "ns", 0);
	report("floor: TC program that returns at once", tc, "ns", 0);

	report("from_pod, same node, established, no policy",
	       run(PROG_FROM_POD, tcp(v4(POD_A), v4(POD_B), 40000, 80, 0x10), 2, TC_ACT_REDIRECT), "ns", tc);
	report("from_pod, same node, established, IPv6",
	       run(PROG_FROM_POD, tcp(v6(1, 10), v6(1, 11), 40000, 80, 0x10), 2, TC_ACT_REDIRECT), "ns", tc);
	report("from_pod, other node, established",
	       run(PROG_FROM_POD, tcp(v4(POD_A), v4(REMOTE), 40000, 80, 0x10), 2, TC_ACT_REDIRECT), "ns", tc);
	report("from_pod, world, established",
	       run(PROG_FROM_POD, tcp(v4(POD_A), v4(WORLD), 40000, 80, 0x10), 2, TC_ACT_OK), "ns", tc);
	report("to_pod, established", run(PROG_TO_POD, tcp(v4(WORLD), v4(POD_A), 80, 40000, 0x10), 2, TC_ACT_OK), "ns",
	       tc);
	report("from_tunnel, established",
	       run(PROG_FROM_TUNNEL, tcp(v4(REMOTE), v4(POD_A), 80, 40000, 0x10), 1, TC_ACT_REDIRECT), "ns", tc);
	for (int i = 0; i < 3; i++) {
		policy(1, true, sizes[i]);
		policy(2, true, sizes[i]);
		check(dp_policy_bump(bench.dp, &error), "bump");
		snprintf(name, sizeof(name), "from_pod, same node, established, %u rules", sizes[i]);
		report(name, run(PROG_FROM_POD, tcp(v4(POD_A), v4(POD_B), 40000, 80, 0x10), 2, TC_ACT_REDIRECT), "ns",
		       tc);
		/* SYN and FIN at once: the flow is over with each packet, so the next is a new one. */
		snprintf(name, sizeof(name), "from_pod, same node, new flow, %u rules", sizes[i]);
		report(name, run(PROG_FROM_POD, tcp(v4(POD_A), v4(POD_B), 40001, 80, 0x03), 2, TC_ACT_REDIRECT), "ns",
		       tc);
		snprintf(name, sizeof(name), "from_pod, same node, denied, %u rules", sizes[i]);
		report(name, run(PROG_FROM_POD, tcp(v4(POD_A), v4(POD_B), 40002, 81, 0x02), 2, TC_ACT_SHOT), "ns", tc);
	}
	policy(1, false, 0);
	policy(2, false, 0);
	check(dp_policy_bump(bench.dp, &error), "bump");

	clock_gettime(CLOCK_MONOTONIC, &now);
	iv.last_seen = (uint32_t)(((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec) >> 30);
	check(bpf_map_update_elem(bench.dp->map_fd[MAP_NAT_OUT], &ok, &ov, BPF_ANY), "nat_out");
	check(bpf_map_update_elem(bench.dp->map_fd[MAP_NAT_IN], &ik, &iv, BPF_ANY), "nat_in");
	report("to_uplink, masqueraded", run(PROG_TO_UPLINK, tcp(v4(POD_A), v4(WORLD), 62000, 443, 0x10), 0, TC_ACT_OK),
	       "ns", tc);
	report("to_uplink, not a pod's",
	       run(PROG_TO_UPLINK, tcp(v4(0xac1e0101), v4(WORLD), 40000, 443, 0x10), 0, TC_ACT_OK), "ns", tc);
	report("from_uplink, reply to a masqueraded flow",
	       run(PROG_FROM_UPLINK, tcp(v4(WORLD), v4(POD_A), 443, 62000, 0x10), 0, TC_ACT_REDIRECT), "ns", tc);
	report("from_uplink, not a pod's",
	       run(PROG_FROM_UPLINK, tcp(v4(WORLD), v4(NODE), 443, 40000, 0x10), 0, TC_ACT_OK), "ns", tc);
	/* Its backend has its own address, so that a packet that was rewritten is again one to the service. */
	check(dp_service_set(bench.dp, &outside, &error), "service");
	run(PROG_FROM_UPLINK, tcp(v4(WORLD), v4(POD_B), 41000, 80, 0x02), 0, TC_ACT_REDIRECT);
	report("from_uplink, to a service on this node, established",
	       run(PROG_FROM_UPLINK, tcp(v4(WORLD), v4(POD_B), 41000, 80, 0x10), 0, TC_ACT_REDIRECT), "ns", tc);
	report("the same, new flow",
	       run(PROG_FROM_UPLINK, tcp(v4(WORLD), v4(POD_B), 41001, 80, 0x03), 0, TC_ACT_REDIRECT), "ns", tc);
	check(dp_service_del(bench.dp, &outside, &error), "service");
	close(xdp_fd);
	close(tc_fd);
}

/* --- services ----------------------------------------------------------------------------------------------------- */

static double cpu_us(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* CPU of connect, request and close, both ends, in microseconds. */
static double connection(int listener, uint32_t ip, uint16_t port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(ip) };
	double start = cpu_us();
	char c = 'x';

	for (int i = 0; i < CONNECTIONS; i++) {
		struct linger reset = { 1, 0 }; /* no TIME_WAIT: the same ports serve all rounds */
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), s;

		if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
			fail("connect: %s", strerror(errno));
		s = accept(listener, NULL, NULL);
		if (s < 0 || write(fd, &c, 1) != 1 || read(s, &c, 1) != 1 || write(s, &c, 1) != 1 ||
		    read(fd, &c, 1) != 1)
			fail("request: %s", strerror(errno));
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		close(fd);
		close(s);
	}
	return (cpu_us() - start) / CONNECTIONS;
}

/* --- services with direct server return by XDP -------------------------------------------------------------------- */

#define DIRECT 0xc6336407u /* 198.51.100.7 */
#define RUNS   20000

/*
 * xdp_lb puts a header in front, so it cannot be repeated on its own result: each run is a system call of its own, and
 * what counts is the median above that of the floor program run likewise. Caches are as the system call leaves them.
 * flows: how many different ones, at random.
 */
static double run_each(int fd, uint32_t flows, uint32_t seed, uint8_t flags, uint32_t dst, int want)
{
	static double times[RUNS];

	for (int i = 0; i < RUNS; i++) {
		uint32_t flow = flows > 1 ? (uint32_t)(((uint64_t)(uint32_t)random() << 1) % flows) : 0;
		struct pkt p = tcp(v4(WORLD + ((seed + flow) >> 14)), v4(dst),
				   (uint16_t)(1024 + ((seed + flow) & 0x3fff)), 80, flags);
		LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = p.data, .data_size_in = p.len, .repeat = 1);

		check(bpf_prog_test_run_opts(fd, &o), "test run");
		if (want >= 0 && (int)o.retval != want)
			fail("XDP verdict %d instead of %d", (int)o.retval, want);
		times[i] = o.duration;
	}
	qsort(times, RUNS, sizeof(times[0]), by_value);
	return times[RUNS / 2];
}

static void open_flows(int fd, uint32_t flows)
{
	for (uint32_t flow = 0; flow < flows; flow++) {
		struct pkt p = tcp(v4(WORLD + (flow >> 14)), v4(DIRECT), (uint16_t)(1024 + (flow & 0x3fff)), 80, 0x02);
		LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = p.data, .data_size_in = p.len, .repeat = 1);

		check(bpf_prog_test_run_opts(fd, &o), "test run");
	}
}

/* Of ten backends on as many nodes; how these are reached. */
static struct dp_ipcache_entry direct_backend(uint32_t i)
{
	return (struct dp_ipcache_entry){ v4(0x0a000500 + i), 302, v4(0xac1e0500 + i) };
}

static void direct_reach(void)
{
	for (uint32_t i = 0; i < 10; i++) {
		struct dp_ipcache_entry e = direct_backend(i);
		struct next_hop hop = { 0 };
		struct timespec now;

		clock_gettime(CLOCK_MONOTONIC, &now);
		hop.seen = (uint32_t)(((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec) >> 30);
		memcpy(hop.mac, mac, 6);
		check(dp_ipcache_set(bench.dp, &e, &error), "ipcache");
		check(bpf_map_update_elem(bench.dp->map_fd[MAP_NEXT_HOPS], &e.node, &hop, BPF_ANY), "next_hops");
	}
}

static void direct_set(uint32_t n)
{
	struct dp_backend b[10];
	struct dp_service svc = { .vip = v4(DIRECT),
				  .port = 80,
				  .proto = IPPROTO_TCP,
				  .side = SVC_OUTSIDE,
				  .backends = b,
				  .n_backends = n,
				  .direct = true };

	for (uint32_t i = 0; i < n; i++)
		b[i] = (struct dp_backend){ direct_backend(i).ip, 80 };
	check(dp_service_set(bench.dp, &svc, &error), "service");
}

static void direct_service(uint32_t n)
{
	direct_reach();
	direct_set(n);
}

/* So that the next one has a table without a past. */
static void no_direct_service(void)
{
	struct dp_service svc = { .vip = v4(DIRECT), .port = 80, .proto = IPPROTO_TCP, .side = SVC_OUTSIDE };

	check(dp_service_del(bench.dp, &svc, &error), "service");
}

static void xdp(uint32_t n_services)
{
	static const uint32_t counts[] = { 1, 1000, 64000, 512000 };
	int fd = bench.dp->prog_fd[PROG_XDP_LB], floor_fd = load_xdp_tx();
	char name[96];
	double floor;

	check(floor_fd, "floor program");
	direct_service(10);
	floor = run_each(floor_fd, 1, 0, 0x10, DIRECT, XDP_TX);
	snprintf(name, sizeof(name), "floor: XDP MAC swap and TX, a call each, %u services", n_services);
	report(name, floor, "ns", 0);
	for (int i = 0; i < 4; i++) {
		direct_service(10); /* the way to the nodes is known for 30 s */
		open_flows(fd, counts[i]);
		snprintf(name, sizeof(name), "xdp_lb, established, of %u flow%s", counts[i], i ? "s" : "");
		report(name, run_each(fd, counts[i], 0, 0x10, DIRECT, XDP_TX), "ns", floor);
	}
	report("xdp_lb, new flow", run_each(fd, 1u << 30, 1u << 20, 0x02, DIRECT, XDP_TX), "ns", floor);
	/* A table of another size than the last one: until that is long ago, something is kept of every flow. */
	direct_service(3);
	for (int i = 2; i < 4; i++) {
		direct_service(10);
		open_flows(fd, counts[i]);
		snprintf(name, sizeof(name), "xdp_lb, established, of %u flows, new table", counts[i]);
		report(name, run_each(fd, counts[i], 0, 0x10, DIRECT, XDP_TX), "ns", floor);
	}
	direct_service(10);
	report("xdp_lb, new flow, new table", run_each(fd, 1u << 30, 1u << 20, 0x02, DIRECT, XDP_TX), "ns", floor);
	no_direct_service();
	report("xdp_lb, not a service's", run_each(fd, 1, 0, 0x10, 0xc6336408u, XDP_PASS), "ns", floor);
	close(floor_fd);
}

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* 4 to 30 backends: a table of 16,381 slots, and 1,000 of those change hands. */
static void direct_changes(void)
{
	static double times[200];

	direct_set(10);
	for (uint32_t k = 0; k < 200; k++) {
		double start = now_us();

		direct_set(9 + (k & 1));
		times[k] = now_us() - start;
	}
	qsort(times, 200, sizeof(times[0]), by_value);
	report("replace a service's backends, direct server return, p50", times[100], "us", 0);
	report("the same, p99", times[198], "us", 0);
	no_direct_service();
}

/* One of them is replaced by another: the whole set is written anew, under a new generation. */
static void large_changes(void)
{
	static const uint32_t counts[] = { 1, 100, 1000, 10000, 64000 };
	static struct dp_backend b[64000];
	struct dp_service svc = { .vip = v4(0x0a6f0001u), .port = 80, .proto = IPPROTO_TCP, .backends = b };
	double times[21];
	char name[96];

	for (uint32_t i = 0; i < 64000; i++)
		b[i] = (struct dp_backend){ v4(0x0a010001u + i), 80 };
	for (int i = 0; i < 5; i++) {
		svc.n_backends = counts[i];
		check(dp_service_set(bench.dp, &svc, &error), "service");
		for (uint32_t k = 0; k < 21; k++) {
			double start;

			b[counts[i] / 2].ip = v4(0x0a020001u + k);
			start = now_us();
			check(dp_service_set(bench.dp, &svc, &error), "service");
			times[k] = now_us() - start;
		}
		qsort(times, 21, sizeof(times[0]), by_value);
		snprintf(name, sizeof(name), "replace one of a service's %u backends, p50", counts[i]);
		report(name, times[10], "us", 0);
	}
	check(dp_service_del(bench.dp, &svc, &error), "service");
}

static void services(void)
{
	static const uint32_t counts[] = { 1, 10000, 100000 };
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct dp_backend b = { v4(INADDR_LOOPBACK), 0 }, two[2];
	uint32_t have = 0;
	char name[96];

	if (l < 0 || bind(l, (struct sockaddr *)&sa, len) < 0 || listen(l, 128) < 0 ||
	    getsockname(l, (struct sockaddr *)&sa, &len) < 0)
		fail("listen: %s", strerror(errno));
	b.port = ntohs(sa.sin_port);
	for (int i = 0; i < 3; i++) {
		struct pkt p = tcp(v4(POD_A), v4(VIP), 40000, 80, 0x10);
		double direct = 1e9, through = 1e9, outside = 1e9, d, times[2000];

		for (; have < counts[i]; have++) {
			struct dp_service svc = {
				.vip = v4(0x0a600000u + have / 50000 * 65536 + have % 50000),
				.port = 80,
				.proto = IPPROTO_TCP,
				.backends = &b,
				.n_backends = 1,
			};

			check(dp_service_set(bench.dp, &svc, &error), "service");
		}
		snprintf(name, sizeof(name), "from_pod, to a service on another node, %u services", counts[i]);
		report(name, run(PROG_FROM_POD, p, 2, TC_ACT_REDIRECT), "ns", 0);
		/* SYN and FIN: a flow that begins with each packet; its backend is looked for again. */
		p.data[47] = 0x03;
		snprintf(name, sizeof(name), "the same, new flow, %u services", counts[i]);
		report(name, run(PROG_FROM_POD, p, 2, TC_ACT_REDIRECT), "ns", 0);
		xdp(counts[i]);
		if (i == 0) {
			direct_changes();
			large_changes();
		}
		for (int round = 0; round < ROUNDS; round++) {
			join(cgroup_root());
			d = connection(l, INADDR_LOOPBACK, b.port);
			outside = d < outside ? d : outside;
			join(bench.cgroup);
			d = connection(l, INADDR_LOOPBACK, b.port);
			direct = d < direct ? d : direct;
			d = connection(l, 0x0a600000u, 80);
			through = d < through ? d : through;
		}
		if (i == 0)
			report("connection without sock_lb, CPU", outside, "us", 0);
		snprintf(name, sizeof(name), "connection to the backend directly, %u services, CPU", counts[i]);
		report(name, direct, "us", 0);
		snprintf(name, sizeof(name), "connection through a service, %u services, CPU", counts[i]);
		report(name, through, "us", 0);
		snprintf(name, sizeof(name), "ratio through / without sock_lb, %u services", counts[i]);
		report(name, through / outside, "x", 0);
		two[0] = b;
		two[1] = b;
		for (int k = 0; k < 2000; k++) {
			struct dp_service svc = { .vip = v4(0x0a600000u),
						  .port = 80,
						  .proto = IPPROTO_TCP,
						  .backends = two,
						  .n_backends = 1 + (size_t)(k & 1) };
			double start = now_us();

			check(dp_service_set(bench.dp, &svc, &error), "service");
			times[k] = now_us() - start;
		}
		qsort(times, 2000, sizeof(times[0]), by_value);
		snprintf(name, sizeof(name), "replace a service's backends, %u services, p99", counts[i]);
		report(name, times[1980], "us", 0);
	}
	join(cgroup_root());
	close(l);
}

int main(int argc, char **argv)
{
	log_init("bpf_bench");
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json") && i + 1 < argc) {
			bench.json = fopen(argv[++i], "w");
			if (!bench.json)
				fail("%s: %s", argv[i], strerror(errno));
		} else {
			fail("usage: %s [--json FILE]", argv[0]);
		}
	}
	if (geteuid() != 0) {
		fprintf(stderr, "bpf_bench: needs root: loads BPF programs and makes a network namespace\n");
		return 77;
	}
	bench.first = true;
	if (bench.json)
		fputs("{\"bench\": \"bpf\", \"results\": [", bench.json);
	set_up();
	pods();
	packets();
	services();
	if (bench.json) {
		fputs("\n]}\n", bench.json);
		fclose(bench.json);
	}
	return 0;
}
