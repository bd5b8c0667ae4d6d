/* SPDX-License-Identifier: Apache-2.0 */
/* Connection tracking: replies, re-judging after policy changes, what opens a flow and what does not, ICMP errors. */
#include <linux/pkt_cls.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "harness.h"

TestSuite(flow, .init = node_up, .fini = node_down);

/* B accepts only A on TCP 80 and may not open anything itself. */
static void isolate_b(void)
{
	struct dp_policy_rule allow = rule(DP_INGRESS, ID_A, IPPROTO_TCP, 80, 16, true, 5);

	set_policy(EP_B, true, true, &allow, 1);
	bump();
}

Test(flow, replies_pass_and_new_flows_the_other_way_do_not)
{
	const char *a[] = { POD_A4, POD_A6 }, *b[] = { POD_B4, POD_B6 };

	isolate_b();
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(from_pod_b(pkt_tcp(b[i], a[i], 80, 40000, TH_SYN | TH_ACK)), TC_ACT_SHOT);
		cr_assert_eq(from_pod_a(pkt_tcp(a[i], b[i], 40000, 80, TH_SYN)), TC_ACT_REDIRECT);
		cr_assert_eq(from_pod_b(pkt_tcp(b[i], a[i], 80, 40000, TH_SYN | TH_ACK)), TC_ACT_REDIRECT);
		cr_assert_eq(from_pod_a(pkt_tcp(a[i], b[i], 40000, 80, TH_ACK)), TC_ACT_REDIRECT);
		/* Another port, another direction: a flow of its own. */
		cr_assert_eq(from_pod_b(pkt_tcp(b[i], a[i], 80, 40001, TH_SYN)), TC_ACT_SHOT);
		cr_assert_eq(from_pod_a(pkt_tcp(a[i], b[i], 40000, 81, TH_SYN)), TC_ACT_SHOT);
		/* A SYN from the answering end opens a flow, whatever is known of the other direction. */
		cr_assert_eq(from_pod_b(pkt_tcp(b[i], a[i], 80, 40000, TH_SYN)), TC_ACT_SHOT);
	}
	cr_assert_eq(drops_of(EP_B, DROP_POLICY_DENIED, POLICY_EGRESS), 6);
	cr_assert_eq(drops_of(EP_B, DROP_POLICY_DENIED, POLICY_INGRESS), 2);
}

Test(flow, an_established_flow_is_cut_by_a_new_policy_in_both_directions)
{
	struct dp_policy_rule other = rule(DP_INGRESS, ID_REMOTE, 0, 0, 0, true, 6);

	cr_assert_eq(from_pod_a(pkt_tcp(POD_A4, POD_B4, 40000, 80, TH_SYN)), TC_ACT_REDIRECT);
	cr_assert_eq(from_pod_b(pkt_tcp(POD_B4, POD_A4, 80, 40000, TH_SYN | TH_ACK)), TC_ACT_REDIRECT);
	set_policy(EP_B, true, false, &other, 1);
	/* Not before the bump: the batch is applied as one. */
	cr_assert_eq(from_pod_a(pkt_tcp(POD_A4, POD_B4, 40000, 80, TH_ACK)), TC_ACT_REDIRECT);
	bump();
	/* The first packet after it happens to be a reply, which B's egress would allow as a flow of its own. */
	cr_assert_eq(from_pod_b(pkt_tcp(POD_B4, POD_A4, 80, 40000, TH_ACK)), TC_ACT_SHOT);
	cr_assert_eq(from_pod_a(pkt_tcp(POD_A4, POD_B4, 40000, 80, TH_ACK)), TC_ACT_SHOT);
	cr_assert_eq(from_pod_b(pkt_tcp(POD_B4, POD_A4, 80, 40000, TH_ACK)), TC_ACT_SHOT);
	cr_assert_eq(drops(DROP_POLICY_DENIED), 3);
	/* And allowed again: it goes on where it was. */
	set_policy(EP_B, false, false, NULL, 0);
	bump();
	cr_assert_eq(from_pod_b(pkt_tcp(POD_B4, POD_A4, 80, 40000, TH_ACK)), TC_ACT_REDIRECT);
	cr_assert_eq(from_pod_a(pkt_tcp(POD_A4, POD_B4, 40000, 80, TH_ACK)), TC_ACT_REDIRECT);
}

Test(flow, a_reply_is_judged_as_its_opener_was)
{
	/* B may not open anything; after a bump its reply to an allowed flow must still pass. */
	isolate_b();
	cr_assert_eq(from_pod_a(pkt_tcp(POD_A6, POD_B6, 40000, 80, TH_SYN)), TC_ACT_REDIRECT);
	bump();
	cr_assert_eq(from_pod_b(pkt_tcp(POD_B6, POD_A6, 80, 40000, TH_SYN | TH_ACK)), TC_ACT_REDIRECT);
	cr_assert_eq(drops(DROP_POLICY_DENIED), 0);
}

Test(flow, answers_without_a_flow_open_nothing)
{

	set_policy(EP_A, true, false, NULL, 0);
	/* B may send to the world of pods, A takes nothing: no SYN+ACK and no RST may open a way. */
	cr_assert_eq(from_pod_b(pkt_tcp(POD_B4, POD_A4, 80, 40000, TH_SYN | TH_ACK)), TC_ACT_SHOT);
	set_policy(EP_A, false, true, NULL, 0);
	cr_assert_eq(from_pod_b(pkt_tcp(POD_B4, POD_A4, 80, 40000, TH_SYN | TH_ACK)), TC_ACT_REDIRECT);
	cr_assert_eq(from_pod_b(pkt_tcp(POD_B4, POD_A4, 80, 40000, TH_RST)), TC_ACT_REDIRECT);
	cr_assert_eq(from_pod_a(pkt_tcp(POD_A4, POD_B4, 40000, 80, TH_ACK)), TC_ACT_SHOT);
}

Test(flow, a_port_used_again_is_judged_again)
{
	struct dp_policy_rule other = rule(DP_INGRESS, ID_REMOTE, 0, 0, 0, true, 6);

	cr_assert_eq(from_pod_a(pkt_tcp(POD_A4, POD_B4, 40000, 80, TH_SYN)), TC_ACT_REDIRECT);
	cr_assert_eq(from_pod_b(pkt_tcp(POD_B4, POD_A4, 80, 40000, TH_FIN | TH_ACK)), TC_ACT_REDIRECT);
	cr_assert_eq(from_pod_a(pkt_tcp(POD_A4, POD_B4, 40000, 80, TH_FIN | TH_ACK)), TC_ACT_REDIRECT);
	set_policy(EP_B, true, false, &other, 1);
	/* No bump: the flow is over, so the SYN is a new one all the same. */
	cr_assert_eq(from_pod_a(pkt_tcp(POD_A4, POD_B4, 40000, 80, TH_SYN)), TC_ACT_SHOT);
}

Test(flow, udp_and_icmp_replies_pass)
{
	isolate_b();
	set_policy(EP_A, true, false, NULL, 0);
	bump();
	cr_assert_eq(from_pod_a(pkt_l4(POD_A4, WORLD4, IPPROTO_UDP, 999, 53)), TC_ACT_OK);
	cr_assert_eq(to_pod_a(pkt_l4(WORLD4, POD_A4, IPPROTO_UDP, 53, 999), fx.uplink), TC_ACT_OK);
	cr_assert_eq(to_pod_a(pkt_l4(WORLD4, POD_A4, IPPROTO_UDP, 53, 998), fx.uplink), TC_ACT_SHOT);
	cr_assert_eq(from_pod_a(pkt_l4(POD_A6, WORLD6, IPPROTO_ICMPV6, 77, 0)), TC_ACT_OK);
	cr_assert_eq(to_pod_a(pkt_icmp(WORLD6, POD_A6, IPPROTO_ICMPV6, 77, ICMP6_ECHO_REPLY), fx.uplink), TC_ACT_OK);
	cr_assert_eq(to_pod_a(pkt_icmp(WORLD6, POD_A6, IPPROTO_ICMPV6, 78, ICMP6_ECHO_REPLY), fx.uplink), TC_ACT_SHOT);
	/* A request is no answer, even with the same identifier. */
	cr_assert_eq(to_pod_a(pkt_icmp(WORLD6, POD_A6, IPPROTO_ICMPV6, 77, ICMP6_ECHO_REQUEST), fx.uplink),
		     TC_ACT_SHOT);
	cr_assert_eq(drops_of(EP_A, DROP_POLICY_DENIED, POLICY_INGRESS), 3);
}

Test(flow, icmp_errors_pass_with_the_flow_they_are_about)
{
	struct pkt q4 = pkt_tcp(POD_A4, WORLD4, 999, 80, TH_SYN), q6 = pkt_l4(POD_A6, WORLD6, IPPROTO_UDP, 999, 53);
	struct pkt stranger = pkt_tcp(POD_A4, WORLD4, 998, 80, TH_SYN);

	set_policy(EP_A, true, false, NULL, 0);
	cr_assert_eq(to_pod_a(pkt_icmp_error("192.0.2.1", POD_A4, &q4), fx.uplink), TC_ACT_SHOT);
	cr_assert_eq(from_pod_a(q4), TC_ACT_OK);
	cr_assert_eq(from_pod_a(q6), TC_ACT_OK);
	cr_assert_eq(to_pod_a(pkt_icmp_error("192.0.2.1", POD_A4, &q4), fx.uplink), TC_ACT_OK);
	cr_assert_eq(to_pod_a(pkt_icmp_error("2001:db8::1", POD_A6, &q6), fx.uplink), TC_ACT_OK);
	cr_assert_eq(to_pod_a(pkt_icmp_error("192.0.2.1", POD_A4, &stranger), fx.uplink), TC_ACT_SHOT);
}

Test(flow, an_address_with_a_new_owner_does_not_inherit_flows)
{
	struct dp_endpoint c = { .ep_id = 3,
				 .ifindex = fx.pod_a,
				 .identity = 400,
				 .ip4 = addr(POD_A4),
				 .ip6 = addr(POD_A6),
				 .pod_mac = { 2, 0, 0, 0, 1, 10 } };

	isolate_b();
	cr_assert_eq(from_pod_a(pkt_tcp(POD_A4, POD_B4, 40000, 80, TH_SYN)), TC_ACT_REDIRECT);
	ok(dp_endpoint_del(fx.dp, EP_A, &test_err));
	set_policy(3, false, false, NULL, 0);
	ok(dp_endpoint_add(fx.dp, &c, &test_err));
	cr_assert_eq(from_pod_a(pkt_tcp(POD_A4, POD_B4, 40000, 80, TH_ACK)), TC_ACT_SHOT);
	cr_assert_eq(drops_of(EP_B, DROP_POLICY_DENIED, POLICY_INGRESS), 1);
}

Test(flow, a_full_table_evicts_and_goes_on)
{
	/* 4,096 flows fit; ten times as many must all pass. */
	for (unsigned i = 0; i < 40000; i++)
		cr_assert_eq(from_pod_a(pkt_l4(POD_A4, POD_B4, IPPROTO_UDP, (uint16_t)(i + 1), (uint16_t)(i >> 8 | 1))),
			     TC_ACT_REDIRECT);
	cr_assert_eq(drops(DROP_CT_FULL), 0);
}
