/* SPDX-License-Identifier: Apache-2.0 */
/* Who uses the tables that all pods share. */
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "abi/ct.h"
#include "abi/svc.h"

TestSuite(use, .init = node_up, .fini = node_down);

static struct dp_use use_of(uint32_t ep_id)
{
	struct dp_use *list, found = { 0 };
	size_t n, times = 0;

	ok(dp_use(fx.dp, &list, &n, &test_err));
	for (size_t i = 0; i < n; i++)
		if (list[i].ep_id == ep_id) {
			found = list[i];
			times++;
		}
	free(list);
	cr_assert_eq(times, 1, "endpoint %u", ep_id);
	return found;
}

static void to_world(uint16_t sport)
{
	struct pkt p = pkt_tcp(POD_A4, WORLD4, sport, 443, TH_SYN);

	cr_assert_eq(from_pod_a(p), TC_ACT_OK);
	cr_assert_eq(run(PROG_TO_UPLINK, &p, fx.uplink, fx.pod_a), TC_ACT_OK);
}

Test(use, flows_count_for_who_opened_them_and_for_who_was_asked)
{
	struct dp_use a, b;

	for (uint16_t i = 0; i < 3; i++)
		cr_assert_eq(from_pod_a(pkt_tcp(POD_A4, POD_B4, (uint16_t)(40000 + i), 80, TH_SYN)), TC_ACT_REDIRECT);
	cr_assert_eq(from_pod_b(pkt_tcp(POD_B6, POD_A6, 40000, 80, TH_SYN)), TC_ACT_REDIRECT);
	cr_assert_eq(from_pod_b(pkt_tcp(POD_B4, POD_A4, 80, 40000, TH_SYN | TH_ACK)), TC_ACT_REDIRECT);
	to_world(50000);
	to_world(50001);
	a = use_of(EP_A);
	b = use_of(EP_B);
	cr_assert(a.opened == 5 && a.accepted == 1 && a.nat_ports == 2, "%u %u %u", a.opened, a.accepted, a.nat_ports);
	cr_assert(b.opened == 1 && b.accepted == 3 && b.nat_ports == 0, "%u %u %u", b.opened, b.accepted, b.nat_ports);
}

Test(use, the_nodes_own_count_for_nobody)
{
	struct dp_use node;

	cr_assert_eq(to_pod_a(pkt_tcp(NODE4, POD_A4, 40000, 80, TH_SYN), FROM_HOST), TC_ACT_OK);
	node = use_of(0);
	cr_assert(node.opened == 1 && node.accepted == 0);
	cr_assert_eq(use_of(EP_A).accepted, 1);
}

Test(use, what_has_been_silent_for_too_long_does_not_count)
{
	struct ct_value value;
	struct ct_key key;

	cr_assert_eq(from_pod_a(pkt_tcp(POD_A4, POD_B4, 40000, 80, TH_SYN)), TC_ACT_REDIRECT);
	cr_assert_eq(use_of(EP_A).opened, 1);
	cr_assert_eq(bpf_map_get_next_key(fx.dp->map_fd[MAP_FLOWS], NULL, &key), 0);
	cr_assert_eq(bpf_map_lookup_elem(fx.dp->map_fd[MAP_FLOWS], &key, &value), 0);
	value.last_seen -= CT_LIFE_TCP_OPENING + 2;
	cr_assert_eq(bpf_map_update_elem(fx.dp->map_fd[MAP_FLOWS], &key, &value, BPF_ANY), 0);
	cr_assert_eq(use_of(EP_A).opened, 0);
	value.flags |= CT_REPLIED; /* open, it may be silent for longer */
	cr_assert_eq(bpf_map_update_elem(fx.dp->map_fd[MAP_FLOWS], &key, &value, BPF_ANY), 0);
	cr_assert_eq(use_of(EP_A).opened, 1);
}

Test(use, flows_to_services_packet_by_packet)
{
	struct dp_backend b = { addr(POD_B4), 8080 };
	struct dp_service svc = {
		.vip = addr("10.96.0.1"), .port = 80, .proto = IPPROTO_TCP, .backends = &b, .n_backends = 1
	};

	ok(dp_service_set(fx.dp, &svc, &test_err));
	cr_assert_eq(from_pod_a(pkt_tcp(POD_A4, "10.96.0.1", 40000, 80, TH_SYN)), TC_ACT_REDIRECT);
	cr_assert_eq(use_of(EP_A).service_flows, 1);
	cr_assert_eq(use_of(EP_B).service_flows, 0);
}
