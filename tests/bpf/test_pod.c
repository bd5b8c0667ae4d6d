/* SPDX-License-Identifier: Apache-2.0 */
/* The pod programs: delivery, anti-spoofing, policy, conntrack, every drop reason of theirs, and the counters. */
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "harness.h"

TestSuite(pod, .init = node_up, .fini = node_down);

Test(pod, delivers_to_a_local_pod)
{
	static const uint8_t mac_b[6] = { 2, 0, 0, 0, 1, 11 }, mac_host[6] = { 2, 0, 0, 0, 0, 1 }, mac_a[6] = { 2, 0, 0, 0, 1, 10 };
	struct pkt p = pkt_tcp(POD_A4, POD_B4, 40000, 80, TH_SYN), sent;

	pkt_macs(&p, mac_host, mac_a);
	sent = p;
	cr_assert_eq(run(PROG_FROM_POD, &p, fx.pod_a, fx.pod_a), TC_ACT_REDIRECT);
	cr_assert(memcmp(p.data, mac_b, 6) == 0 && memcmp(p.data + 6, mac_host, 6) == 0);
	cr_assert(memcmp(p.data + 12, sent.data + 12, sent.len - 12) == 0);
	cr_assert_eq(stats_of(EP_A).packets[0], 1);
	cr_assert_eq(stats_of(EP_A).bytes[0], sent.len);
	cr_assert_eq(stats_of(EP_B).packets[1], 1);
	cr_assert_eq(from_pod_a(pkt_l4(POD_A6, POD_B6, IPPROTO_UDP, 40000, 53)), TC_ACT_REDIRECT);
}
