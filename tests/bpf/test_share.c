/* SPDX-License-Identifier: Apache-2.0 */
/* A pod that has filled the table of flows opens no new ones until it has fewer; others do not notice. */
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "abi/ct.h"

#define CAPACITY 1024

static void up(void)
{
	fx.config.max_flows = CAPACITY;
	node_up();
}

TestSuite(share, .init = up, .fini = node_down);

static size_t told[2]; /* not over any more, over */
static uint32_t who;

static void tell(void *arg, const struct dp_use *use, bool over)
{
	(void)arg;
	told[over]++;
	who = use->ep_id;
}

static void look(void)
{
	told[0] = told[1] = 0;
	ok(dp_share(fx.dp, tell, NULL, &test_err));
}

static int open_flow(uint16_t port)
{
	return from_pod_a(pkt_tcp(POD_A4, POD_B4, port, 80, TH_SYN));
}

/* As many live flows as fit. */
static void fill(void)
{
	for (uint16_t i = 0; i < CAPACITY * 9 / 10; i++)
		cr_assert_eq(open_flow((uint16_t)(10000 + i)), TC_ACT_REDIRECT);
}

static void age_flows(void)
{
	struct ct_key key, next;
	struct ct_value value;
	int fd = fx.dp->map_fd[MAP_FLOWS], r = bpf_map_get_next_key(fd, NULL, &key);

	while (r == 0) {
		cr_assert_eq(bpf_map_lookup_elem(fd, &key, &value), 0);
		value.last_seen -= CT_LIFE_TCP_OPENING + 2;
		r = bpf_map_get_next_key(fd, &key, &next);
		cr_assert_eq(bpf_map_update_elem(fd, &key, &value, BPF_EXIST), 0);
		key = next;
	}
}

Test(share, a_pod_with_too_many_flows_opens_no_new_ones)
{
	fill();
	look();
	cr_assert(told[1] == 1 && told[0] == 0 && who == EP_A);
	cr_assert_eq(open_flow(9000), TC_ACT_SHOT);
	cr_assert_eq(from_pod_a(pkt_l4(POD_A6, POD_B6, IPPROTO_UDP, 9000, 53)), TC_ACT_SHOT);
	cr_assert_eq(from_pod_a(pkt_icmp(POD_A4, POD_B4, IPPROTO_ICMP, 9, 8)), TC_ACT_SHOT);
	cr_assert_eq(drops_of(EP_A, DROP_FLOW_SHARE, POLICY_EGRESS), 3);
	look();
	cr_assert(told[1] == 0 && told[0] == 0, "told once");
}

Test(share, what_it_has_goes_on_and_others_do_not_notice)
{
	fill();
	look();
	cr_assert_eq(from_pod_a(pkt_tcp(POD_A4, POD_B4, 10000 + CAPACITY / 2, 80, TH_ACK)), TC_ACT_REDIRECT);
	cr_assert_eq(from_pod_b(pkt_tcp(POD_B4, POD_A4, 80, 10000 + CAPACITY / 2, TH_SYN | TH_ACK)), TC_ACT_REDIRECT);
	cr_assert_eq(from_pod_b(pkt_tcp(POD_B4, POD_A4, 9000, 80, TH_SYN)), TC_ACT_REDIRECT, "B opens one to A");
	cr_assert_eq(from_pod_a(pkt_tcp(POD_A4, POD_B4, 80, 9000, TH_SYN | TH_ACK)), TC_ACT_REDIRECT, "which answers");
	cr_assert_eq(to_pod_a(pkt_tcp(NODE4, POD_A4, 9000, 80, TH_SYN), FROM_HOST), TC_ACT_OK, "and the node");
	cr_assert_eq(drops(DROP_FLOW_SHARE), 0);
}

Test(share, with_fewer_it_may_again)
{
	fill();
	look();
	age_flows();
	look();
	cr_assert(told[0] == 1 && told[1] == 0);
	cr_assert_eq(open_flow(9000), TC_ACT_REDIRECT);
}

Test(share, many_flows_in_a_table_with_room_are_nobodys_business)
{
	for (uint16_t i = 0; i < CAPACITY / 2; i++)
		cr_assert_eq(open_flow((uint16_t)(10000 + i)), TC_ACT_REDIRECT);
	look();
	cr_assert(told[0] == 0 && told[1] == 0);
	cr_assert_eq(open_flow(9000), TC_ACT_REDIRECT);
}

Test(share, a_pod_that_goes_leaves_nothing)
{
	fill();
	look();
	cr_assert_eq(map_entries("over_share"), 1);
	ok(dp_endpoint_del(fx.dp, EP_A, &test_err));
	cr_assert_eq(map_entries("over_share"), 0);
}
