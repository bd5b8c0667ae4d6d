/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services with direct server return as their backends come and go: of which flows anything is kept, and that none that
 * is established changes its backend, by xdp_lb and by from_uplink, and over restarts of the agent.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "compile/slots.h"
#include "harness.h"

#define VIP    "198.51.100.7"
#define PORT   80
#define MOST   36
#define ROUTER "172.30.0.99"

static const uint8_t mac_router[6] = { 2, 0, 0, 0, 9, 9 }, mac_uplink[6] = { 2, 0, 0, 0, 9, 1 },
		     mac_other[6] = { 2, 0, 0, 0, 9, 2 };

/* Backend i is a pod of node i, 10.0.5.i on 172.30.5.i; i from 1 on. */
static struct ip_addr numbered(const char *net, int i)
{
	struct ip_addr a = addr(net);

	a.w[3] += htonl((uint32_t)i);
	return a;
}

static time_t reached = -5;

/* What the kernel sends tells XDP how the nodes are reached, for 30 s: a test may take longer on a loaded machine. */
static void reach(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec - reached < 5)
		return;
	reached = now.tv_sec;
	for (int i = 1; i <= MOST; i++) {
		struct pkt p;
		char node[16];

		snprintf(node, sizeof(node), "172.30.5.%d", i);
		p = pkt_l4(NODE4, node, IPPROTO_UDP, 50001, 8472);
		pkt_macs(&p, mac_other, mac_uplink);
		cr_assert_eq(run(PROG_TO_UPLINK, &p, fx.uplink, FROM_HOST), TC_ACT_OK);
	}
}

static void up(void)
{
	fx.config.xdp = DP_XDP_GENERIC;
	node_up();
	for (int i = 1; i <= MOST; i++) {
		struct dp_ipcache_entry e = { numbered("10.0.5.0", i), ID_REMOTE, numbered("172.30.5.0", i) };

		ok(dp_ipcache_set(fx.dp, &e, &test_err));
	}
}

TestSuite(slots, .init = up, .fini = node_down);

static void serve(const uint8_t *who, size_t n)
{
	struct dp_backend b[MOST];
	struct dp_service svc = { .vip = addr(VIP),
				  .port = PORT,
				  .proto = IPPROTO_TCP,
				  .side = SVC_OUTSIDE,
				  .backends = b,
				  .n_backends = n,
				  .direct = true };

	for (size_t i = 0; i < n; i++)
		b[i] = (struct dp_backend){ numbered("10.0.5.0", who[i]), 8080 };
	ok(dp_service_set(fx.dp, &svc, &test_err));
}

/* The first n. */
static void serve_first(size_t n)
{
	uint8_t who[MOST] = { 0 };

	for (size_t i = 0; i < n; i++)
		who[i] = (uint8_t)(i + 1);
	serve(who, n);
}

static struct pkt packet(int flow, uint8_t flags)
{
	struct pkt p = pkt_tcp(WORLD4, VIP, (uint16_t)(20000 + flow), PORT, flags);

	pkt_macs(&p, mac_uplink, mac_router);
	return p;
}

/* Who gets it by XDP. */
static int by_xdp(int flow, uint8_t flags)
{
	struct pkt p = packet(flow, flags);

	reach();
	cr_assert_eq(run_xdp(&p), XDP_TX);
	return p.data[33];
}

static void restart(void)
{
	dp_close(fx.dp);
	ok(dp_open(&fx.config, &fx.dp, &test_err));
}

#define FLOWS 300

static int with[FLOWS];

static void open_flows(int from, int to)
{
	for (int i = from; i < to; i++)
		with[i] = by_xdp(i, TH_SYN);
}

static void flows_go_on(int from, int to)
{
	for (int i = from; i < to; i++)
		cr_assert_eq(by_xdp(i, TH_ACK), with[i], "flow %d", i);
}

Test(slots, nothing_is_kept_of_flows_while_the_backends_stay)
{
	serve_first(10);
	open_flows(0, FLOWS);
	flows_go_on(0, FLOWS);
	cr_assert_eq(map_entries("svc_out"), 0);
	for (int i = 0; i < FLOWS; i++) {
		struct pkt p = packet(i, TH_ACK);

		cr_assert_eq(run(PROG_FROM_UPLINK, &p, fx.uplink, fx.uplink), TC_ACT_REDIRECT);
	}
	cr_assert_eq(map_entries("svc_out"), 0, "nor by TC");
}

Test(slots, a_backend_that_comes_gets_new_flows_only)
{
	int fresh = 0;

	serve_first(10);
	open_flows(0, 200);
	serve_first(11);
	flows_go_on(0, 200);
	cr_assert(map_entries("svc_out") > 0 && map_entries("svc_out") < 60, "only in slots that changed hands");
	open_flows(200, FLOWS);
	for (int i = 200; i < FLOWS; i++)
		fresh += with[i] == 11;
	cr_assert(fresh > 0);
	serve_first(12);
	flows_go_on(0, FLOWS);
	restart();
	serve_first(10);
	flows_go_on(0, FLOWS);
	for (int i = 0; i < FLOWS; i++)
		cr_assert(by_xdp(i, TH_SYN) <= 10, "new ones go to backends of the service");
}

/* It is there several times: from one of them to another no flow goes. */
Test(slots, a_backend_with_weight_is_one)
{
	const uint8_t before[] = { 1, 1, 1, 1, 1, 2, 3 }, after[] = { 1, 1, 1, 1, 1, 1, 3 };

	serve(before, 7);
	open_flows(0, FLOWS);
	serve(after, 7);
	flows_go_on(0, FLOWS);
	cr_assert(map_entries("svc_out") > 0 && map_entries("svc_out") < FLOWS / 3, "%u", map_entries("svc_out"));
}

Test(slots, a_backend_that_goes_drains)
{
	struct dp_service *list;
	size_t n;

	serve_first(10);
	open_flows(0, FLOWS);
	serve_first(9);
	flows_go_on(0, FLOWS);
	ok(dp_service_list(fx.dp, &list, &n, &test_err));
	cr_assert(n == 1 && list[0].n_backends == 9, "it is no backend any more");
	free(list);
	cr_assert_eq(map_entries("backends"), 10, "but flows have it");
	restart();
	cr_assert_eq(map_entries("backends"), 10, "and it is no orphan");
	flows_go_on(0, FLOWS);
	for (int i = 0; i < FLOWS; i++) {
		int now = by_xdp(i, TH_SYN);

		cr_assert(now <= 9);
		cr_assert_eq(by_xdp(i, TH_ACK), now, "what is known of the port is of the new connection");
	}
}

/* The size of the table changes at 1, 3 and 30 backends. */
Test(slots, tables_of_another_size)
{
	static const uint8_t sizes[] = { 2, 5, 3, 31, 1, 4 };

	serve_first(1);
	open_flows(0, 100);
	for (size_t i = 0; i < sizeof(sizes); i++) {
		serve_first(sizes[i]);
		flows_go_on(0, 100 + 30 * (int)i);
		open_flows(100 + 30 * (int)i, 130 + 30 * (int)i);
		flows_go_on(0, 130 + 30 * (int)i);
	}
}

Test(slots, the_last_backend_drains)
{
	struct pkt p;

	serve_first(2);
	open_flows(0, 50);
	serve_first(0);
	flows_go_on(0, 50);
	p = packet(1, TH_SYN);
	cr_assert_eq(run_xdp(&p), XDP_PASS);
	cr_assert_eq(run(PROG_FROM_UPLINK, &p, fx.uplink, fx.uplink), TC_ACT_REDIRECT, "refused");
	cr_assert_eq(drops(DROP_NO_BACKEND), 1);
	serve_first(3);
	flows_go_on(0, 50);
}

/* The service's table becomes as old as no silent flow can be. */
static void six_hours_pass(uint32_t slots)
{
	struct bpf_map_info info = { 0 };
	uint32_t id, len = sizeof(info), n_old = slots + SLOTS_OLD;
	struct maglev_key key;
	struct svc_slot e;
	int fd;

	cr_assert_eq(bpf_map_get_next_key(fx.dp->map_fd[MAP_MAGLEV], NULL, &key), 0);
	cr_assert_eq(bpf_map_lookup_elem(fx.dp->map_fd[MAP_MAGLEV], &key, &id), 0);
	fd = bpf_map_get_fd_by_id(id);
	cr_assert(fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &len) == 0);
	cr_assert(info.max_entries > slots, "it has a past");
	cr_assert_eq(bpf_map_lookup_elem(fd, &n_old, &e), 0);
	for (uint32_t i = slots + SLOTS_OLD_FIRST + e.since; i < info.max_entries; i++) {
		cr_assert_eq(bpf_map_lookup_elem(fd, &i, &e), 0);
		e.since -= SLOTS_LIFE;
		cr_assert_eq(bpf_map_update_elem(fd, &i, &e, BPF_ANY), 0);
	}
	close(fd);
}

Test(slots, after_six_hours_only_flows_with_another_backend_are_kept)
{
	static const uint8_t turned[] = { 9, 8, 7, 6, 5, 4, 3, 2, 1 };
	int drains = 0;

	serve_first(10);
	open_flows(0, FLOWS);
	serve_first(9);
	for (int i = 0; i < FLOWS; i++)
		if (with[i] == 10 && (i & 1))
			open_flows(i, i + 1);
	flows_go_on(0, FLOWS);
	for (int i = 0; i < FLOWS; i++)
		drains += with[i] == 10;
	cr_assert(drains > 0 && map_entries("svc_out") > (uint64_t)drains);
	six_hours_pass(16381);
	restart();
	serve(turned, 9);
	cr_assert_eq(map_entries("backends"), 9, "nobody is a base any more");
	cr_assert(map_entries("svc_out") < (uint64_t)drains + 10 && map_entries("svc_out") >= (uint64_t)drains);
	flows_go_on(0, FLOWS);
	open_flows(0, FLOWS);
	six_hours_pass(16381);
	restart();
	serve_first(9);
	cr_assert_eq(map_entries("svc_out"), 0);
	flows_go_on(0, FLOWS);
}

/* Of a connection by the same port that ended before its slot changed hands, or of another service there. */
Test(slots, what_was_known_before_a_slot_changed_hands_is_not_believed)
{
	struct svc_key front = { .vip = addr(VIP), .port = htons(PORT), .proto = IPPROTO_TCP, .side = SVC_OUTSIDE };
	struct svc_value svc;

	serve_first(10);
	open_flows(0, FLOWS);
	cr_assert_eq(bpf_map_lookup_elem(fx.dp->map_fd[MAP_SERVICES], &front, &svc), 0);
	for (int i = 0; i < FLOWS; i++) {
		struct backend_choice stale = { .svc_id = svc.svc_id + (i & 1),
						.generation = svc.generation + (i & 1) };
		struct svc_flow_key key = { .client = addr(WORLD4),
					    .peer = addr(VIP),
					    .client_port = htons((uint16_t)(20000 + i)),
					    .peer_port = htons(PORT),
					    .proto = IPPROTO_TCP };

		stale.backend_ip = numbered("10.0.5.0", 1 + i % 10);
		stale.backend_port = htons(8080);
		cr_assert_eq(bpf_map_update_elem(fx.dp->map_fd[MAP_SVC_OUT], &key, &stale, BPF_ANY), 0);
	}
	serve_first(5);
	flows_go_on(0, FLOWS);
}

/* Its flows are over, whoever knows of them: what comes is refused by another backend, not lost. */
Test(slots, where_the_pod_is_gone_too_the_slots_owner_answers)
{
	struct ip_addr gone = numbered("10.0.5.0", 10);

	serve_first(10);
	open_flows(0, FLOWS);
	serve_first(9);
	ok(dp_ipcache_del(fx.dp, &gone, &test_err));
	for (int i = 0; i < FLOWS; i++) {
		if (with[i] == 10)
			cr_assert(by_xdp(i, TH_ACK) <= 9);
		else
			cr_assert_eq(by_xdp(i, TH_ACK), with[i]);
	}
}

Test(slots, all_that_belongs_to_a_service_goes_with_it)
{
	struct dp_service svc = { .vip = addr(VIP), .port = PORT, .proto = IPPROTO_TCP, .side = SVC_OUTSIDE };

	serve_first(10);
	serve_first(5);
	cr_assert_eq(map_entries("backends"), 10);
	serve_first(6);
	cr_assert_eq(map_entries("maglev"), 1);
	ok(dp_service_del(fx.dp, &svc, &test_err));
	cr_assert_eq(map_entries("backends"), 0);
	cr_assert_eq(map_entries("maglev"), 0);
}

/* The tables of another build are not this one's. */
Test(slots, without_its_table_what_is_known_is_true)
{
	struct dp_service *list;
	struct maglev_key key;
	struct pkt p;
	size_t n;

	serve_first(10);
	serve_first(9);
	open_flows(0, FLOWS);
	cr_assert_eq(bpf_map_get_next_key(fx.dp->map_fd[MAP_MAGLEV], NULL, &key), 0);
	cr_assert_eq(bpf_map_delete_elem(fx.dp->map_fd[MAP_MAGLEV], &key), 0);
	ok(dp_service_list(fx.dp, &list, &n, &test_err));
	cr_assert(n == 1 && !list[0].direct, "to be set again");
	free(list);
	for (int i = 0; i < FLOWS; i++)
		with[i] = by_xdp(i, TH_SYN);
	flows_go_on(0, FLOWS);
	p = packet(FLOWS, TH_ACK);
	cr_assert_eq(run_xdp(&p), XDP_PASS);
	cr_assert_eq(run(PROG_FROM_UPLINK, &p, fx.uplink, fx.uplink), TC_ACT_SHOT, "not refused");
	cr_assert_eq(drops(DROP_NO_BACKEND), 1);
	serve_first(9);
	cr_assert_eq(map_entries("maglev"), 1);
	flows_go_on(0, FLOWS);
}

/* Path MTU discovery of what the backend sends. */
Test(slots, a_clients_error_finds_the_backend_by_the_slot)
{
	serve_first(10);
	for (int i = 0; i < 20; i++) {
		struct pkt answer = pkt_tcp(VIP, WORLD4, PORT, (uint16_t)(20000 + i), TH_ACK);
		struct pkt p = pkt_icmp_error(ROUTER, VIP, &answer);
		char backend[16];

		snprintf(backend, sizeof(backend), "10.0.5.%d", by_xdp(i, TH_SYN));
		pkt_macs(&p, mac_uplink, mac_router);
		cr_assert_eq(run(PROG_FROM_UPLINK, &p, fx.uplink, fx.uplink), TC_ACT_REDIRECT);
		pkt_expect_quoted(&p, backend, 8080, WORLD4, (uint16_t)(20000 + i));
	}
	cr_assert_eq(map_entries("svc_out"), 0);
}

/* --- both programs, random changes ----------------------------------------------------------------------------------
 */

static uint64_t seed = 0x5eed;

static uint32_t dice(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 33) % n;
}

/* Who has the flow, by what is kept of it; 0: nothing is, its slot has had one owner only. */
static int kept(int flow)
{
	struct svc_flow_key key = { .client = addr(WORLD4),
				    .peer = addr(VIP),
				    .client_port = htons((uint16_t)(20000 + flow)),
				    .peer_port = htons(PORT),
				    .proto = IPPROTO_TCP };
	struct backend_choice choice;

	if (bpf_map_lookup_elem(fx.dp->map_fd[MAP_SVC_OUT], &key, &choice) < 0)
		return 0;
	return (int)(ntohl(choice.backend_ip.w[3]) & 0xff);
}

/* By TC, and then XDP must say the same; *stateful counts those of which something is kept. */
static void by_both(int flow, uint8_t flags, int *stateful)
{
	struct pkt p = packet(flow, flags);
	int to;

	cr_assert_eq(run(PROG_FROM_UPLINK, &p, fx.uplink, fx.uplink), TC_ACT_REDIRECT);
	to = kept(flow);
	if (flags & TH_SYN)
		with[flow] = by_xdp(flow, TH_ACK);
	cr_assert_eq(by_xdp(flow, TH_ACK), with[flow]);
	cr_assert_eq(kept(flow), to);
	*stateful += to == with[flow];
}

Test(slots, no_established_flow_ever_changes_its_backend)
{
	uint8_t who[MOST];
	int stateful = 0;
	size_t n = 4;

	for (size_t i = 0; i < n; i++)
		who[i] = (uint8_t)(i + 1);
	serve(who, n);
	open_flows(0, FLOWS);
	for (int round = 0; round < 40; round++) {
		size_t left = 0, add = dice(3);

		for (size_t i = 0; i < n; i++)
			if (dice(6) || (left == 0 && i + 1 == n))
				who[left++] = who[i];
		for (size_t i = 0; i < add && left < 8; i++) {
			uint8_t b = (uint8_t)(1 + dice(12));

			if (!memchr(who, b, left))
				who[left++] = b;
		}
		n = left;
		serve(who, n);
		if (round == 20)
			restart();
		for (int i = 0; i < FLOWS; i++) {
			switch (dice(8)) {
			case 0:
				by_both(i, TH_ACK, &stateful);
				break;
			case 1:
				by_both(i, TH_SYN, &stateful);
				break;
			case 2:
				with[i] = by_xdp(i, TH_SYN);
				break;
			case 3:
				break; /* silent */
			default:
				cr_assert_eq(by_xdp(i, TH_ACK), with[i], "round %d, flow %d", round, i);
			}
		}
	}
	flows_go_on(0, FLOWS);
	cr_assert(stateful > FLOWS);
}
