/* SPDX-License-Identifier: Apache-2.0 */
/* The node that each test gets, and running programs on it. Packets are in packets.c. */
#include "../scratch.h"
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

struct node_fixture fx;
struct err test_err;

static const uint8_t no_mac[6], mac_uplink[6] = { 2, 0, 0, 0, 9, 1 };
static const uint8_t mac_pod_a[6] = { 2, 0, 0, 0, 1, 10 }, mac_pod_b[6] = { 2, 0, 0, 0, 1, 11 },
		     mac_host[6] = { 2, 0, 0, 0, 0, 1 };

static void sh(const char *cmd)
{
	cr_assert_eq(system(cmd), 0, "%s", cmd);
}

void node_dirs(void)
{
	if (geteuid() != 0)
		cr_skip_test("needs root: loads BPF programs and makes a network namespace");
	snprintf(fx.cgroup, sizeof(fx.cgroup), "%s/skep-test-bpf-%d", scratch_cgroup_root(), getpid());
	snprintf(fx.dir, sizeof(fx.dir), "/tmp/skep-test-bpf-%d", getpid());
	scratch_until_i_end(fx.cgroup, fx.dir);
	cr_assert(mkdir(fx.cgroup, 0755) == 0, "mkdir %s: %s", fx.cgroup, strerror(errno));
	cr_assert(unshare(CLONE_NEWNET | CLONE_NEWNS) == 0, "unshare: %s", strerror(errno));
	cr_assert_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	cr_assert_eq(mkdir(fx.dir, 0700), 0);
	cr_assert_eq(mount("bpf", fx.dir, "bpf", 0, NULL), 0);
	snprintf(fx.pin_dir, sizeof(fx.pin_dir), "%s/node", fx.dir);
	/* The interfaces stay down: what the kernel itself would send there must not count. */
	sh("ip link set lo up && ip link add up0 address 02:00:00:00:09:01 type veth peer name up1 && ip link add tun0 type vxlan external dstport 4789 &&"
	   "ip link add pa type veth peer name qa && ip link add pb type veth peer name qb");
	fx.uplink = if_nametoindex("up0");
	fx.tunnel = if_nametoindex("tun0");
	fx.pod_a = if_nametoindex("pa");
	fx.pod_b = if_nametoindex("pb");
	fx.config = (struct dp_config){
		.pin_dir = fx.pin_dir,
		.cgroup_dir = fx.cgroup,
		.uplink = "up0",
		.tunnel = "tun0",
		.node_ip4 = addr(NODE4),
		.node_ip6 = addr(NODE6),
		.pod_cidr4 = addr("10.0.0.0"),
		.pod_cidr4_len = 8,
		.pod_cidr6 = addr("fd00:10::"),
		.pod_cidr6_len = 48,
		.lan4 = addr("172.30.0.0"),
		.lan4_len = 16,
		.lan6 = addr("fd00:30::"),
		.lan6_len = 64,
		.services4 = addr("10.96.0.0"),
		.services4_len = 12,
		.services6 = addr("fd00:10:96::"),
		.services6_len = 112,
		.max_services = 4096, /* making large maps takes longer than most tests */
		.max_backends = 16384,
		.max_flows = fx.config.max_flows ? fx.config.max_flows : 4096,
		.xdp = fx.config.xdp,
	};
}

void node_up(void)
{
	struct dp_endpoint a = {
		.ep_id = EP_A, .ifindex = 0, .identity = ID_A, .ip4 = addr(POD_A4), .ip6 = addr(POD_A6)
	};
	struct dp_endpoint b = {
		.ep_id = EP_B, .ifindex = 0, .identity = ID_B, .ip4 = addr(POD_B4), .ip6 = addr(POD_B6)
	};
	struct dp_ipcache_entry remote4 = { addr(REMOTE4), ID_REMOTE, addr(OTHER_NODE4) };
	struct dp_ipcache_entry remote6 = { addr(REMOTE6), ID_REMOTE, addr(OTHER_NODE4) };
	struct dp_ipcache_entry node4 = { addr(OTHER_NODE4), IDENTITY_REMOTE_NODE, { { 0 } } };

	node_dirs();
	ok(dp_open(&fx.config, &fx.dp, &test_err));
	memcpy(a.pod_mac, mac_pod_a, 6);
	memcpy(b.pod_mac, mac_pod_b, 6);
	memcpy(a.host_mac, mac_host, 6);
	memcpy(b.host_mac, mac_host, 6);
	a.ifindex = fx.pod_a;
	b.ifindex = fx.pod_b;
	ok(dp_attach_pod(fx.dp, fx.pod_a, &test_err));
	ok(dp_attach_pod(fx.dp, fx.pod_b, &test_err));
	set_policy(EP_A, false, false, NULL, 0);
	set_policy(EP_B, false, false, NULL, 0);
	ok(dp_ipcache_set(fx.dp, &remote4, &test_err));
	ok(dp_ipcache_set(fx.dp, &remote6, &test_err));
	ok(dp_ipcache_set(fx.dp, &node4, &test_err));
	ok(dp_endpoint_add(fx.dp, &a, &test_err));
	ok(dp_endpoint_add(fx.dp, &b, &test_err));
}

void node_down(void)
{
	if (!fx.dir[0])
		return;
	dp_close(fx.dp);
	fx.dp = NULL;
	(void)dp_destroy(fx.pin_dir, NULL);
	(void)umount2(fx.dir, MNT_DETACH);
	(void)rmdir(fx.dir);
	(void)rmdir(fx.cgroup);
}

static int move_to(const char *dir)
{
	char path[160], pid[16];
	int fd, n, r;

	snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	n = snprintf(pid, sizeof(pid), "%d", getpid());
	r = fd >= 0 && write(fd, pid, (size_t)n) == n ? 0 : -errno;
	if (fd >= 0)
		close(fd);
	return r;
}

void cgroup_enter(void)
{
	cr_assert_eq(move_to(fx.cgroup), 0, "%s: %s", fx.cgroup, strerror(errno));
}

void cgroup_leave(void)
{
	if (fx.cgroup[0])
		(void)move_to(scratch_cgroup_root());
}

int run(enum dp_prog prog, struct pkt *p, uint32_t ifindex, uint32_t ingress_ifindex)
{
	struct __sk_buff ctx = { .ifindex = ifindex, .ingress_ifindex = ingress_ifindex };
	struct pkt out;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = p->data, .data_size_in = (uint32_t)p->len, .data_out = out.data,
		    .data_size_out = sizeof(out.data), .ctx_in = &ctx, .ctx_size_in = sizeof(ctx), .repeat = 1);
	int r;

	/* What nobody has given an Ethernet address is for the node. */
	if (prog == PROG_FROM_UPLINK && !memcmp(p->data, no_mac, 6))
		memcpy(p->data, mac_uplink, 6);
	r = bpf_prog_test_run_opts(fx.dp->prog_fd[prog], &opts);

	cr_assert(r == 0, "test run of %s: %s", dp_prog_names[prog], strerror(-r));
	memcpy(p->data, out.data, opts.data_size_out);
	p->len = opts.data_size_out;
	return (int)opts.retval;
}

int run_xdp(struct pkt *p)
{
	struct pkt out;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = p->data, .data_size_in = (uint32_t)p->len, .data_out = out.data,
		    .data_size_out = sizeof(out.data), .repeat = 1);
	int r = bpf_prog_test_run_opts(fx.dp->prog_fd[PROG_XDP_LB], &opts);

	cr_assert(r == 0, "test run of xdp_lb: %s", strerror(-r));
	memcpy(p->data, out.data, opts.data_size_out);
	p->len = opts.data_size_out;
	return (int)opts.retval;
}

int from_pod_a(struct pkt p)
{
	pkt_macs(&p, mac_host, mac_pod_a);
	return run(PROG_FROM_POD, &p, fx.pod_a, fx.pod_a);
}

int from_pod_b(struct pkt p)
{
	pkt_macs(&p, mac_host, mac_pod_b);
	return run(PROG_FROM_POD, &p, fx.pod_b, fx.pod_b);
}

int to_pod_a(struct pkt p, uint32_t ingress_ifindex)
{
	return run(PROG_TO_POD, &p, fx.pod_a, ingress_ifindex);
}

int to_pod_b(struct pkt p, uint32_t ingress_ifindex)
{
	return run(PROG_TO_POD, &p, fx.pod_b, ingress_ifindex);
}

static uint64_t sum_drops(bool any_ep, uint32_t ep_id, enum drop_reason reason, int direction)
{
	cleanup(free) struct dp_drop_stats *stats = NULL;
	uint64_t sum = 0;
	size_t n;

	ok(dp_drop_stats(fx.dp, &stats, &n, &test_err));
	for (size_t i = 0; i < n; i++)
		if (stats[i].reason == reason && (any_ep || stats[i].ep_id == ep_id) &&
		    (direction < 0 || stats[i].direction == direction))
			sum += stats[i].packets;
	return sum;
}

uint64_t drops(enum drop_reason reason)
{
	return sum_drops(true, 0, reason, -1);
}

uint64_t drops_of(uint32_t ep_id, enum drop_reason reason, uint8_t direction)
{
	return sum_drops(false, ep_id, reason, direction);
}

struct dp_pod_stats stats_of(uint32_t ep_id)
{
	cleanup(free) struct dp_pod_stats *stats = NULL;
	size_t n;

	ok(dp_pod_stats(fx.dp, &stats, &n, &test_err));
	for (size_t i = 0; i < n; i++)
		if (stats[i].ep_id == ep_id)
			return stats[i];
	cr_assert(false, "endpoint %u has no counters", ep_id);
	return (struct dp_pod_stats){ 0 };
}

struct dp_policy_rule rule(uint8_t direction, uint32_t identity, uint8_t proto, uint16_t port, uint8_t port_bits,
			   bool allow, uint32_t rule_id)
{
	return (struct dp_policy_rule){ direction, proto, port, port_bits, identity, rule_id, allow };
}

void set_policy(uint32_t ep_id, bool in, bool eg, const struct dp_policy_rule *rules, size_t n)
{
	struct dp_policy policy = { .isolated_ingress = in, .isolated_egress = eg, .rules = rules, .n_rules = n };

	ok(dp_policy_set(fx.dp, ep_id, &policy, &test_err));
}

void bump(void)
{
	ok(dp_policy_bump(fx.dp, &test_err));
}

uint64_t map_entries(const char *map)
{
	const struct dp_map_fill *fill;
	size_t n;

	ok(dp_map_fill(fx.dp, &fill, &n, &test_err));
	for (size_t i = 0; i < n; i++)
		if (!strcmp(fill[i].name, map))
			return fill[i].entries;
	cr_assert(false, "no map %s", map);
	return 0;
}
