/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening again: what is pinned is found, kept, moved or made anew; nothing else is left behind; failures say what is
 * missing.
 */
#include <bpf/btf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "abi/ct.h"
#include "abi/layout.h"
#include "harness.h"

TestSuite(open, .init = node_up, .fini = node_down);
TestSuite(open_only, .init = node_dirs, .fini = node_down);

static uint32_t map_id(enum dp_map map)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);

	cr_assert_eq(bpf_obj_get_info_by_fd(fx.dp->map_fd[map], &info, &len), 0);
	return info.id;
}

static void reopen(void)
{
	dp_close(fx.dp);
	fx.dp = NULL;
	ok(dp_open(&fx.config, &fx.dp, &test_err));
}

static unsigned n_pinned(const char *dir)
{
	char path[160];
	struct dirent *e;
	unsigned n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/%s", fx.pin_dir, dir);
	d = opendir(path);
	cr_assert(d != NULL);
	while ((e = readdir(d)))
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static bool pinned(const char *dir, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s/%s", fx.pin_dir, dir, name);
	return access(path, F_OK) == 0;
}

static uint32_t link_program(const char *name)
{
	struct bpf_link_info info = { 0 };
	uint32_t len = sizeof(info);
	cleanup(close_fd) int fd = -1;
	char path[256];

	snprintf(path, sizeof(path), "%s/links/%s", fx.pin_dir, name);
	fd = bpf_obj_get(path);
	cr_assert(fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &len) == 0, "%s", path);
	return info.prog_id;
}

Test(open, a_restart_keeps_maps_and_flows_and_swaps_programs)
{
	uint32_t ids[N_MAPS], program = 0;
	char name[64];

	snprintf(name, sizeof(name), "pod-%u-in", fx.pod_a);
	if (fx.dp->tcx)
		program = link_program(name);
	for (int i = 0; i < N_MAPS; i++)
		ids[i] = map_id(i);
	cr_assert_eq(from_pod_a(pkt_tcp(POD_A4, POD_B4, 40000, 80, TH_SYN)), TC_ACT_REDIRECT);
	reopen();
	for (int i = 0; i < N_MAPS; i++)
		cr_assert_eq(map_id(i), ids[i], "%s", dp_map_defs[i].name);
	if (fx.dp->tcx)
		cr_assert(link_program(name) != program);
	cr_assert_eq(from_pod_b(pkt_tcp(POD_B4, POD_A4, 80, 40000, TH_SYN | TH_ACK)), TC_ACT_REDIRECT);
	cr_assert_eq(stats_of(EP_A).packets[0], 1);
	cr_assert_eq(n_pinned("maps"), N_MAPS);
	cr_assert_eq(n_pinned("progs"), N_PROGS);
	cr_assert_eq(n_pinned("links"), 4 + 8 + 4); /* node, sockets, two pods */
}

static void set_layout(const char *map, uint32_t version)
{
	struct layout_value v = { .version = version };
	struct layout_key k;

	memset(&k, 0, sizeof(k));
	snprintf(k.map, sizeof(k.map), "%s", map);
	cr_assert_eq(bpf_map_update_elem(fx.dp->map_fd[MAP_LAYOUTS], &k, &v, BPF_ANY), 0);
}

/* A flow that only its entry in `flows` lets answer. */
static void open_a_flow(void)
{
	struct dp_policy_rule allow = rule(DP_INGRESS, ID_A, IPPROTO_TCP, 80, 16, true, 5);

	set_policy(EP_B, true, true, &allow, 1);
	bump();
	cr_assert_eq(from_pod_a(pkt_tcp(POD_A4, POD_B4, 40000, 80, TH_SYN)), TC_ACT_REDIRECT);
}

static bool answers(void)
{
	return from_pod_b(pkt_tcp(POD_B4, POD_A4, 80, 40000, TH_SYN | TH_ACK)) == TC_ACT_REDIRECT;
}

Test(open, maps_of_another_layout_are_carried_over_and_the_rest_is_kept)
{
	struct dp_backend b = { addr(POD_B4), 80 };
	struct dp_service svc = {
		.vip = addr("10.96.0.1"), .port = 80, .proto = IPPROTO_TCP, .backends = &b, .n_backends = 1
	};
	uint32_t flows = map_id(MAP_FLOWS), services = map_id(MAP_SERVICES), pods = map_id(MAP_PODS_BY_IP);
	uint32_t zero = 0, before, after;

	ok(dp_service_set(fx.dp, &svc, &test_err));
	open_a_flow();
	/* Newer, and older. */
	set_layout("flows", 999);
	set_layout("services", 0);
	/* Begun anew, it would count up to what old flows were judged under. */
	set_layout("policy_generation", 0);
	cr_assert_eq(bpf_map_lookup_elem(fx.dp->map_fd[MAP_POLICY_GENERATION], &zero, &before), 0);
	reopen();
	cr_assert_eq(bpf_map_lookup_elem(fx.dp->map_fd[MAP_POLICY_GENERATION], &zero, &after), 0);
	cr_assert(before && after == before);
	cr_assert(map_id(MAP_FLOWS) != flows && map_id(MAP_SERVICES) != services);
	cr_assert_eq(map_id(MAP_PODS_BY_IP), pods);
	cr_assert(answers());
	cr_assert_eq(map_entries("services"), 1);
	flows = map_id(MAP_FLOWS);
	reopen();
	cr_assert_eq(map_id(MAP_FLOWS), flows);
}

/* What another build might make of struct ct_key and struct ct_value. */
struct other_key {
	uint8_t proto, pad[3];
	struct ip_addr a, b;
	uint16_t a_port, b_port;
};
struct other_value {
	uint64_t bytes; /* not here */
	uint32_t flags, last_seen, policy_generation;
	/* no rule_id */
};

static int other_types(int *ret_key, int *ret_value, bool with_flags)
{
	struct btf *btf = btf__new_empty();
	int u8 = btf__add_int(btf, "u8", 1, 0), u16 = btf__add_int(btf, "u16", 2, 0),
	    u32 = btf__add_int(btf, "u32", 4, 0), u64 = btf__add_int(btf, "u64", 8, 0), ip, words, fd;

	words = btf__add_array(btf, u32, u32, 4);
	ip = btf__add_struct(btf, "ip_addr", 16);
	btf__add_field(btf, "w", words, 0, 0);
	*ret_key = btf__add_struct(btf, "ct_key", sizeof(struct other_key));
	btf__add_field(btf, "proto", u8, 8 * offsetof(struct other_key, proto), 0);
	btf__add_field(btf, "a", ip, 8 * offsetof(struct other_key, a), 0);
	btf__add_field(btf, "b", ip, 8 * offsetof(struct other_key, b), 0);
	btf__add_field(btf, "a_port", u16, 8 * offsetof(struct other_key, a_port), 0);
	btf__add_field(btf, "b_port", u16, 8 * offsetof(struct other_key, b_port), 0);
	*ret_value = btf__add_struct(btf, "ct_value", sizeof(struct other_value));
	btf__add_field(btf, "bytes", u64, 8 * offsetof(struct other_value, bytes), 0);
	/* Of another size, a field cannot be what it is here. */
	btf__add_field(btf, "flags", with_flags ? u32 : u16, 8 * offsetof(struct other_value, flags), 0);
	btf__add_field(btf, "last_seen", u32, 8 * offsetof(struct other_value, last_seen), 0);
	btf__add_field(btf, "policy_generation", u32, 8 * offsetof(struct other_value, policy_generation), 0);
	cr_assert_eq(btf__load_into_kernel(btf), 0);
	fd = fcntl(btf__fd(btf), F_DUPFD_CLOEXEC, 3);
	btf__free(btf);
	return fd;
}

static int to_other(void *arg, const void *key, const void *value)
{
	const struct ct_key *k = key;
	const struct ct_value *v = value;
	struct other_key ok;
	struct other_value ov = {
		.bytes = 1, .flags = v->flags, .last_seen = v->last_seen, .policy_generation = v->policy_generation
	};

	memset(&ok, 0, sizeof(ok));
	ok.proto = k->proto;
	ok.a = k->a;
	ok.b = k->b;
	ok.a_port = k->a_port;
	ok.b_port = k->b_port;
	return bpf_map_update_elem(*(int *)arg, &ok, &ov, BPF_ANY);
}

/* The pinned map becomes one that another build made, with the same flows. */
static void by_another_build(bool with_flags)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts);
	int key, value, map, btf = other_types(&key, &value, with_flags);

	opts.btf_fd = (uint32_t)btf;
	opts.btf_key_type_id = (uint32_t)key;
	opts.btf_value_type_id = (uint32_t)value;
	map = bpf_map_create(BPF_MAP_TYPE_LRU_HASH, "flows", sizeof(struct other_key), sizeof(struct other_value), 4096,
			     &opts);
	cr_assert(map >= 0, "%s", strerror(errno));
	cr_assert_eq(
		dp_map_each(fx.dp->map_fd[MAP_FLOWS], sizeof(struct ct_key), sizeof(struct ct_value), to_other, &map),
		0);
	ok(dp_pin_replace(fx.dp, "maps", "flows", map, &test_err));
	set_layout("flows", 2);
	close(map);
	close(btf);
}

Test(open, flows_of_another_build_are_carried_over_field_by_field)
{
	open_a_flow();
	by_another_build(true);
	reopen();
	cr_assert(answers());
	cr_assert_eq(map_entries("flows"), 1);
	/* And back to the form that this build knows. */
	reopen();
	cr_assert(answers());
}

/* Its programs still write to the map that has lost its place. */
Test(open, an_agent_killed_between_maps_and_programs_loses_no_flows)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts);
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);
	int fresh;

	cr_assert_eq(bpf_obj_get_info_by_fd(fx.dp->map_fd[MAP_FLOWS], &info, &len), 0);
	opts.btf_fd = (uint32_t)bpf_btf_get_fd_by_id(info.btf_id);
	opts.btf_key_type_id = info.btf_key_type_id;
	opts.btf_value_type_id = info.btf_value_type_id;
	fresh = bpf_map_create(BPF_MAP_TYPE_LRU_HASH, "flows", info.key_size, info.value_size, info.max_entries, &opts);
	cr_assert(fresh >= 0, "%s", strerror(errno));
	ok(dp_pin_replace(fx.dp, "maps", "flows-old", fx.dp->map_fd[MAP_FLOWS], &test_err));
	ok(dp_pin_replace(fx.dp, "maps", "flows", fresh, &test_err));
	close(fresh);
	close((int)opts.btf_fd);
	open_a_flow();
	reopen();
	cr_assert(map_id(MAP_FLOWS) != info.id);
	cr_assert(answers());
	cr_assert(!pinned("maps", "flows-old"));
}

Test(open, flows_are_not_thrown_away_without_being_told_to)
{
	open_a_flow();
	by_another_build(false);
	dp_close(fx.dp);
	fx.dp = NULL;
	cr_assert_eq(dp_open(&fx.config, &fx.dp, &test_err), -EPROTO);
	cr_assert(strstr(test_err.msg, "map 'flows' has layout 2") && strstr(test_err.msg, "--reset-flows"), "%s",
		  test_err.msg);
	cr_assert_eq(dp_open(&fx.config, &fx.dp, &test_err), -EPROTO, "nothing was changed");
	fx.config.reset_flows = true;
	ok(dp_open(&fx.config, &fx.dp, &test_err));
	cr_assert_eq(map_entries("flows"), 0);
	/* What is known of pods and policies is not lost. */
	cr_assert(!answers());
	cr_assert_eq(from_pod_a(pkt_tcp(POD_A4, POD_B4, 40000, 80, TH_ACK)), TC_ACT_REDIRECT);
	cr_assert(answers());
	fx.config.reset_flows = false;
	reopen();
	cr_assert(answers());
}

Test(open, other_capacities_take_the_entries_over)
{
	uint32_t policies = map_id(MAP_POLICIES);
	struct dp_policy_rule allow = rule(DP_INGRESS, ID_A, IPPROTO_TCP, 80, 16, true, 5);

	set_policy(EP_B, true, true, &allow, 1);
	bump();
	cr_assert_eq(from_pod_a(pkt_tcp(POD_A6, POD_B6, 40000, 80, TH_SYN)), TC_ACT_REDIRECT);
	fx.config.max_endpoints = 64;
	fx.config.max_flows = 8192;
	reopen();
	cr_assert(map_id(MAP_POLICIES) != policies);
	cr_assert_eq(from_pod_b(pkt_tcp(POD_B6, POD_A6, 80, 40000, TH_SYN | TH_ACK)), TC_ACT_REDIRECT);
	cr_assert_eq(from_pod_a(pkt_tcp(POD_A6, POD_B6, 40001, 81, TH_SYN)), TC_ACT_SHOT);
	cr_assert_eq(from_pod_a(pkt_tcp(POD_A6, POD_B6, 40001, 80, TH_SYN)), TC_ACT_REDIRECT);
}

Test(open, a_capacity_below_what_is_there_is_refused)
{
	fx.config.max_endpoints = 1;
	dp_close(fx.dp);
	fx.dp = NULL;
	cr_assert_eq(dp_open(&fx.config, &fx.dp, &test_err), -ENOSPC);
	cr_assert(strstr(test_err.msg, "do not fit"), "%s", test_err.msg);
	/* And what was there goes on. */
	fx.config.max_endpoints = 0;
	ok(dp_open(&fx.config, &fx.dp, &test_err));
	cr_assert_eq(from_pod_a(pkt_tcp(POD_A6, POD_B6, 40001, 80, TH_SYN)), TC_ACT_REDIRECT);
}

Test(open, orphaned_backends_are_removed_at_start)
{
	struct dp_backend b = { addr("10.0.1.1"), 80 };
	struct dp_service svc = {
		.vip = addr("10.96.0.1"), .port = 80, .proto = IPPROTO_TCP, .backends = &b, .n_backends = 1
	};
	uint32_t orphan[3] = { 77, 1, 0 };
	uint8_t value[20] = { 0 };

	ok(dp_service_set(fx.dp, &svc, &test_err));
	cr_assert_eq(bpf_map_update_elem(fx.dp->map_fd[MAP_BACKENDS], orphan, value, BPF_ANY), 0);
	reopen();
	cr_assert_eq(bpf_map_lookup_elem(fx.dp->map_fd[MAP_BACKENDS], orphan, value), -ENOENT);
	/* A new service does not take the number of one that is there. */
	svc.port = 81;
	ok(dp_service_set(fx.dp, &svc, &test_err));
	cr_assert(fx.dp->next_svc_id >= 3);
}

/* A client's choice of a service that went is nothing to the one that gets its number after a restart. */
Test(open, a_new_service_has_no_choices_of_an_old_one)
{
	struct dp_backend b = { addr(POD_B4), 8080 };
	struct dp_service svc = { .vip = addr("10.96.0.1"),
				  .port = 80,
				  .proto = IPPROTO_TCP,
				  .backends = &b,
				  .n_backends = 1,
				  .affinity_s = 100 };
	struct pkt p = pkt_tcp(POD_A4, "10.96.0.1", 40000, 80, TH_SYN);

	ok(dp_service_set(fx.dp, &svc, &test_err));
	pkt_macs(&p, (const uint8_t[]){ 2, 0, 0, 0, 0, 1 }, (const uint8_t[]){ 2, 0, 0, 0, 1, 10 });
	cr_assert_eq(run(PROG_FROM_POD, &p, fx.pod_a, fx.pod_a), TC_ACT_REDIRECT);
	pkt_expect(&p, POD_A4, 40000, POD_B4, 8080);
	ok(dp_service_del(fx.dp, &svc, &test_err));
	reopen();

	svc.vip = addr("10.96.0.2");
	b = (struct dp_backend){ addr(REMOTE4), 9090 };
	ok(dp_service_set(fx.dp, &svc, &test_err));
	p = pkt_tcp(POD_A4, "10.96.0.2", 40001, 80, TH_SYN);
	pkt_macs(&p, (const uint8_t[]){ 2, 0, 0, 0, 0, 1 }, (const uint8_t[]){ 2, 0, 0, 0, 1, 10 });
	cr_assert_eq(run(PROG_FROM_POD, &p, fx.pod_a, fx.pod_a), TC_ACT_REDIRECT);
	pkt_expect(&p, POD_A4, 40001, REMOTE4, 9090);
}

Test(open, pins_of_vanished_interfaces_go)
{
	char in[64], out[64];

	snprintf(in, sizeof(in), "pod-%u-in", fx.pod_a);
	snprintf(out, sizeof(out), "pod-%u-out", fx.pod_a);
	cr_assert(pinned("links", in) && pinned("links", out));
	ok(dp_endpoint_del(fx.dp, EP_A, &test_err));
	/* Still there, still dropping. */
	cr_assert(pinned("links", in));
	cr_assert_eq(system("ip link del pa"), 0);
	ok(dp_endpoint_del(fx.dp, EP_B, &test_err));
	cr_assert(!pinned("links", in) && !pinned("links", out));
	cr_assert_eq(system("ip link del pb"), 0);
	reopen();
	cr_assert_eq(n_pinned("links"), 4 + 8);
}

Test(open, maps_of_another_build_are_unpinned)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/maps/of_the_past", fx.pin_dir);
	cr_assert_eq(bpf_obj_pin(fx.dp->map_fd[MAP_FRAGS], path), 0);
	reopen();
	cr_assert(!pinned("maps", "of_the_past"));
	cr_assert_eq(n_pinned("maps"), N_MAPS);
}

Test(open, destroy_leaves_nothing)
{
	struct stat st;

	dp_close(fx.dp);
	fx.dp = NULL;
	ok(dp_destroy(fx.pin_dir, &test_err));
	cr_assert(stat(fx.pin_dir, &st) < 0 && errno == ENOENT);
	ok(dp_destroy(fx.pin_dir, &test_err));
	/* No hook is left either: a new start finds the place empty. */
	ok(dp_open(&fx.config, &fx.dp, &test_err));
	cr_assert_eq(n_pinned("links"), 4 + 8);
}

Test(open, readonly_sees_all_and_changes_nothing)
{
	struct dp_endpoint *eps = NULL;
	struct dp_policy policy = { 0 };
	struct dp *ro = NULL;
	size_t n;

	cr_assert_eq(from_pod_a(pkt_tcp(POD_A4, POD_B4, 40000, 80, TH_SYN)), TC_ACT_REDIRECT);
	ok(dp_open_readonly(fx.pin_dir, &ro, &test_err));
	ok(dp_endpoint_list(ro, &eps, &n, &test_err));
	cr_assert_eq(n, 2);
	free(eps);
	cr_assert_eq(dp_policy_set(ro, EP_A, &policy, &test_err), -EROFS);
	cr_assert_eq(dp_endpoint_del(ro, EP_A, &test_err), -EROFS);
	cr_assert_eq(dp_policy_bump(ro, &test_err), -EROFS);
	cr_assert(dp_drop_fd(ro) < 0);
	dp_close(ro);
	cr_assert_eq(dp_open_readonly("/tmp/skep-test-nowhere", &ro, &test_err), -ENOENT);
	cr_assert(strstr(test_err.msg, "does the agent run"), "%s", test_err.msg);
}

Test(open, lists_give_back_what_was_set)
{
	struct dp_ipcache_entry *ips = NULL;
	struct dp_cidr_entry cidr = { addr("192.0.2.0"), 120, 500 }, *cidrs = NULL;
	struct dp_endpoint *eps = NULL;
	struct ip_addr remote = addr(REMOTE6);
	bool found = false;
	size_t n;

	ok(dp_endpoint_list(fx.dp, &eps, &n, &test_err));
	cr_assert_eq(n, 2);
	for (size_t i = 0; i < n; i++)
		if (eps[i].ep_id == EP_B)
			cr_assert(eps[i].identity == ID_B && eps[i].ifindex == fx.pod_b && eps[i].pod_mac[5] == 11);
	ok(dp_ipcache_list(fx.dp, &ips, &n, &test_err));
	cr_assert_eq(n, 3);
	for (size_t i = 0; i < n; i++)
		if (ip_same(&ips[i].ip, &remote))
			found = ips[i].identity == ID_REMOTE;
	cr_assert(found);
	ok(dp_cidr_set(fx.dp, &cidr, &test_err));
	ok(dp_cidr_set(fx.dp, &cidr, &test_err));
	ok(dp_cidr_list(fx.dp, &cidrs, &n, &test_err));
	cr_assert(n == 1 && cidrs[0].len == 120 && cidrs[0].identity == 500);
	ok(dp_ipcache_del(fx.dp, &remote, &test_err));
	ok(dp_ipcache_del(fx.dp, &remote, &test_err));
	free(ips);
	ips = NULL;
	ok(dp_ipcache_list(fx.dp, &ips, &n, &test_err));
	cr_assert_eq(n, 2);
	free(ips);
	free(cidrs);
	free(eps);
}

Test(open, an_endpoint_is_updated_in_place)
{
	struct dp_endpoint a = { .ep_id = EP_A,
				 .ifindex = fx.pod_a,
				 .identity = 999,
				 .ip4 = addr("10.0.1.77"),
				 .ip6 = addr(POD_A6),
				 .pod_mac = { 2, 0, 0, 0, 1, 10 } };

	cr_assert_eq(from_pod_a(pkt_tcp(POD_A4, POD_B4, 1, 80, TH_SYN)), TC_ACT_REDIRECT);
	ok(dp_endpoint_add(fx.dp, &a, &test_err));
	cr_assert_eq(from_pod_a(pkt_tcp(POD_A4, POD_B4, 1, 80, TH_SYN)), TC_ACT_SHOT);
	cr_assert_eq(from_pod_a(pkt_tcp("10.0.1.77", POD_B4, 1, 80, TH_SYN)), TC_ACT_REDIRECT);
	cr_assert_eq(from_pod_b(pkt_tcp(POD_B4, "10.0.1.77", 2, 80, TH_SYN)), TC_ACT_REDIRECT);
	cr_assert_eq(from_pod_b(pkt_tcp(POD_B4, POD_A4, 2, 80, TH_SYN)), TC_ACT_SHOT);
	/* Its counters go on. */
	cr_assert_eq(stats_of(EP_A).packets[0], 2);
	a.ep_id = 5000;
	cr_assert_eq(dp_endpoint_add(fx.dp, &a, &test_err), -ERANGE);
	a.ep_id = 0;
	cr_assert_eq(dp_endpoint_add(fx.dp, &a, &test_err), -ERANGE);
}

Test(open, full_maps_say_so)
{
	struct dp_endpoint ep = { .identity = 1000 };
	int r = 0;

	dp_close(fx.dp);
	fx.dp = NULL;
	fx.config.max_endpoints = 8;
	ok(dp_open(&fx.config, &fx.dp, &test_err));
	for (uint32_t i = 3; i <= 8; i++) {
		ep.ep_id = i;
		ep.ifindex = 10000 + i;
		ep.ip4 = addr("10.0.1.100");
		ep.ip4.w[3] += i << 24;
		r = dp_endpoint_add(fx.dp, &ep, &test_err);
		cr_assert_eq(r, 0, "%u: %s", i, test_err.msg);
	}
	ep.ep_id = 9;
	ep.ifindex = 20000;
	cr_assert_eq(dp_endpoint_add(fx.dp, &ep, &test_err), -ERANGE);
	cr_assert(strstr(test_err.msg, "1..8"));
}

Test(open_only, failures_name_what_is_missing)
{
	struct dp_config c = fx.config;

	c.tunnel = "nothere0";
	cr_assert_eq(dp_open(&c, &fx.dp, &test_err), -ENODEV);
	cr_assert(strstr(test_err.msg, "nothere0"));
	c = fx.config;
	c.uplink = "nothere1";
	cr_assert_eq(dp_open(&c, &fx.dp, &test_err), -ENODEV);
	cr_assert(strstr(test_err.msg, "nothere1"));
	c = fx.config;
	c.cgroup_dir = "/sys/fs/cgroup/nothere2";
	cr_assert_eq(dp_open(&c, &fx.dp, &test_err), -ENOENT);
	cr_assert(strstr(test_err.msg, "nothere2"));
	c = fx.config;
	c.cgroup_dir = "/tmp";
	cr_assert(dp_open(&c, &fx.dp, &test_err) < 0);
	c = fx.config;
	c.pin_dir = "/tmp/skep-test-bpf-not-bpffs";
	cr_assert_eq(dp_open(&c, &fx.dp, &test_err), -EINVAL);
	cr_assert(strstr(test_err.msg, "mount -t bpf"));
	cr_assert_eq(system("rm -rf /tmp/skep-test-bpf-not-bpffs"), 0);
}

Test(open_only, objects_load_at_extreme_settings)
{
	static const struct {
		uint32_t endpoints, services, backends, flows;
	} extremes[] = { { 1, 1, 1, 1 }, { 4096, 100000, 1000000, 2000000 } };

	for (int i = 0; i < 2; i++) {
		struct dp_config c = fx.config;

		c.max_endpoints = extremes[i].endpoints;
		c.max_services = extremes[i].services;
		c.max_backends = extremes[i].backends;
		c.max_flows = extremes[i].flows;
		ok(dp_open(&c, &fx.dp, &test_err));
		for (int p = 0; p < N_PROGS; p++) {
			struct bpf_prog_info info = { 0 };
			uint32_t len = sizeof(info);

			cr_assert_eq(bpf_obj_get_info_by_fd(fx.dp->prog_fd[p], &info, &len), 0);
			cr_log_info("%-16s %6u instructions, %7u verified", dp_prog_names[p], info.xlated_prog_len / 8,
				    info.verified_insns);
			/* The verifier's limit is a million; a kernel that counts worse must still take them. */
			cr_assert(info.verified_insns < 50000, "%s: %u", dp_prog_names[p], info.verified_insns);
		}
		dp_close(fx.dp);
		fx.dp = NULL;
		ok(dp_destroy(fx.pin_dir, &test_err));
	}
	/* A node without IPv6, and one without IPv4. */
	for (int v = 0; v < 2; v++) {
		struct dp_config c = fx.config;

		memset(v ? &c.node_ip6 : &c.node_ip4, 0, sizeof(struct ip_addr));
		memset(v ? &c.pod_cidr6 : &c.pod_cidr4, 0, sizeof(struct ip_addr));
		memset(v ? &c.lan6 : &c.lan4, 0, sizeof(struct ip_addr));
		memset(v ? &c.services6 : &c.services4, 0, sizeof(struct ip_addr));
		ok(dp_open(&c, &fx.dp, &test_err));
		dp_close(fx.dp);
		fx.dp = NULL;
	}
}
