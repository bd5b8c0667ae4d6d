/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The programs of the node's own interfaces: masquerade out and back with right checksums, and what comes from the
 * tunnel.
 */
#include <linux/pkt_cls.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <string.h>

#include "harness.h"

TestSuite(node, .init = node_up, .fini = node_down);

/* Sends p out, checks what leaves, and returns it. */
static struct pkt_view masquerade(struct pkt *p, const char *node_ip)
{
	struct pkt_view before = pkt_view(p), v;

	cr_assert_eq(run(PROG_TO_UPLINK, p, fx.uplink, fx.pod_a), TC_ACT_OK);
	v = pkt_view(p);
	cr_assert(ip_is(&v.src, node_ip));
	cr_assert(!memcmp(&v.dst, &before.dst, sizeof(v.dst)) && v.dport == before.dport);
	cr_assert(v.sport >= 61000, "%u", v.sport);
	cr_assert(pkt_checksums_ok(p));
	return v;
}

static void out_and_back(uint8_t proto, const char *pod, const char *world, const char *node_ip)
{
	bool echo = proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;
	struct pkt p = pkt_l4(pod, world, proto, 40000, 80);
	struct pkt_view v, again;

	cr_assert_eq(from_pod_a(p), TC_ACT_OK);
	v = masquerade(&p, node_ip);
	/* The next packet keeps the port. */
	p = proto == IPPROTO_TCP ? pkt_tcp(pod, world, 40000, 80, TH_ACK) : pkt_l4(pod, world, proto, 40000, 80);
	again = masquerade(&p, node_ip);
	cr_assert_eq(again.sport, v.sport);

	/* The answer. */
	if (echo) {
		p = pkt_icmp(world, node_ip, proto, v.sport, proto == IPPROTO_ICMP ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY);
		cr_assert(pkt_checksums_ok(&p));
	} else if (proto == IPPROTO_TCP) {
		p = pkt_tcp(world, node_ip, 80, v.sport, TH_SYN | TH_ACK);
	} else {
		p = pkt_l4(world, node_ip, proto, 80, v.sport);
	}
	cr_assert_eq(run(PROG_FROM_UPLINK, &p, fx.uplink, fx.uplink), TC_ACT_REDIRECT);
	again = pkt_view(&p);
	cr_assert(ip_is(&again.dst, pod) && ip_is(&again.src, world));
	cr_assert_eq(echo ? again.sport : again.dport, 40000);
	cr_assert(pkt_checksums_ok(&p));
}

Test(node, masquerade_tcp4_out_and_back)
{
	out_and_back(IPPROTO_TCP, POD_A4, WORLD4, NODE4);
}
Test(node, masquerade_tcp6_out_and_back)
{
	out_and_back(IPPROTO_TCP, POD_A6, WORLD6, NODE6);
}
Test(node, masquerade_udp4_out_and_back)
{
	out_and_back(IPPROTO_UDP, POD_A4, WORLD4, NODE4);
}
Test(node, masquerade_udp6_out_and_back)
{
	out_and_back(IPPROTO_UDP, POD_A6, WORLD6, NODE6);
}
Test(node, masquerade_ping4_out_and_back)
{
	out_and_back(IPPROTO_ICMP, POD_A4, WORLD4, NODE4);
}
Test(node, masquerade_ping6_out_and_back)
{
	out_and_back(IPPROTO_ICMPV6, POD_A6, WORLD6, NODE6);
}

Test(node, masquerade_keeps_a_udp4_packet_without_checksum)
{
	struct pkt p = pkt_l4(POD_A4, WORLD4, IPPROTO_UDP, 40000, 53);

	p.data[14 + 20 + 6] = 0;
	p.data[14 + 20 + 7] = 0;
	masquerade(&p, NODE4);
	cr_assert(p.data[14 + 20 + 6] == 0 && p.data[14 + 20 + 7] == 0);
}

Test(node, masquerade_later_fragments_with_the_first)
{
	struct pkt first = pkt_l4(POD_A4, WORLD4, IPPROTO_UDP, 40000, 53), later = first;
	uint8_t tail[8];

	first.data[14 + 4] = 1;
	first.data[14 + 6] = 0x20;
	later.data[14 + 4] = 1;
	later.data[14 + 7] = 8;
	memset(later.data + 34, 0xee, 8);
	memset(tail, 0xee, 8);
	cr_assert_eq(run(PROG_TO_UPLINK, &first, fx.uplink, fx.pod_a), TC_ACT_OK);
	cr_assert_eq(run(PROG_TO_UPLINK, &later, fx.uplink, fx.pod_a), TC_ACT_OK);
	cr_assert(
		ip_is(&(struct ip_addr){ .w = { 0, 0, pkt_view(&later).src.w[2], pkt_view(&later).src.w[3] } }, NODE4));
	cr_assert(!memcmp(later.data + 34, tail, 8));
}

static void error_comes_back(uint8_t proto, const char *pod, const char *world, const char *node_ip, const char *router)
{
	struct pkt p = pkt_l4(pod, world, proto, 40000, 80), back;
	struct pkt_view v;
	size_t inner = strchr(pod, ':') ? 14 + 40 + 8 : 14 + 20 + 8, l4 = inner + (strchr(pod, ':') ? 40 : 20);

	cr_assert_eq(from_pod_a(p), TC_ACT_OK);
	masquerade(&p, node_ip);
	back = pkt_icmp_error(router, node_ip, &p);
	cr_assert(pkt_checksums_ok(&back));
	cr_assert_eq(run(PROG_FROM_UPLINK, &back, fx.uplink, fx.uplink), TC_ACT_REDIRECT);
	v = pkt_view(&back);
	cr_assert(ip_is(&v.dst, pod) && ip_is(&v.src, router));
	cr_assert(pkt_checksums_ok(&back));
	/* What it quotes is what the pod sent. */
	cr_assert_eq(back.data[l4] << 8 | back.data[l4 + 1], 40000);
	if (strchr(pod, ':')) {
		struct ip_addr a = addr(pod);

		cr_assert(!memcmp(back.data + inner + 8, &a, 16));
	} else {
		struct ip_addr a = addr(pod);

		cr_assert(!memcmp(back.data + inner + 12, &a.w[3], 4));
	}
}

Test(node, icmp_errors_find_the_masqueraded_pod)
{
	error_comes_back(IPPROTO_TCP, POD_A4, WORLD4, NODE4, "192.0.2.1");
	error_comes_back(IPPROTO_UDP, POD_A6, WORLD6, NODE6, "2001:db8:1::1");
}

Test(node, what_is_not_masqueraded)
{
	static const char *const pairs[][2] = {
		{ POD_A4, REMOTE4 }, { POD_A4, OTHER_NODE4 }, { POD_A6, REMOTE6 },     { POD_A6, OTHER_NODE6 },
		{ NODE4, WORLD4 },   { NODE6, WORLD6 },	      { "192.0.2.7", WORLD4 },
	};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct pkt p = pkt_l4(pairs[i][0], pairs[i][1], IPPROTO_TCP, 40000, 80), sent = p;

		cr_assert_eq(run(PROG_TO_UPLINK, &p, fx.uplink, FROM_HOST), TC_ACT_OK);
		cr_assert(p.len == sent.len && !memcmp(p.data, sent.data, p.len), "%s to %s", pairs[i][0], pairs[i][1]);
	}
}

Test(node, a_reply_to_the_world_keeps_its_source)
{
	struct pkt p = pkt_tcp(POD_A4, WORLD4, 80, 50000, TH_SYN | TH_ACK), sent = p;

	cr_assert_eq(to_pod_a(pkt_tcp(WORLD4, POD_A4, 50000, 80, TH_SYN), fx.uplink), TC_ACT_OK);
	cr_assert_eq(from_pod_a(p), TC_ACT_OK);
	cr_assert_eq(run(PROG_TO_UPLINK, &p, fx.uplink, fx.pod_a), TC_ACT_OK);
	cr_assert(!memcmp(p.data, sent.data, p.len));
}

Test(node, traffic_of_the_node_itself_passes_the_uplink)
{
	struct pkt p = pkt_tcp(WORLD4, NODE4, 443, 45000, TH_ACK), sent = p;

	cr_assert_eq(run(PROG_FROM_UPLINK, &p, fx.uplink, fx.uplink), TC_ACT_OK);
	/* In masquerade's range, but of no flow. */
	p = pkt_tcp(WORLD4, NODE4, 443, 61000, TH_ACK);
	cr_assert_eq(run(PROG_FROM_UPLINK, &p, fx.uplink, fx.uplink), TC_ACT_OK);
	p.data[14] = 0x44;
	cr_assert_eq(run(PROG_FROM_UPLINK, &p, fx.uplink, fx.uplink), TC_ACT_OK);
	cr_assert_eq(run(PROG_TO_UPLINK, &p, fx.uplink, FROM_HOST), TC_ACT_OK);
	cr_assert(sent.len > 0);
}

static void many_flows(void)
{
	fx.config.max_flows = 65536;
	node_up();
}

TestSuite(node_many, .init = many_flows, .fini = node_down);

Test(node_many, ports_of_the_nodes_own_sockets_are_not_given_to_pods)
{
	struct pkt p;

	/* A socket of the node holds every port towards this remote end but one. */
	for (unsigned port = 61000; port <= 65535; port++) {
		if (port == 62000)
			continue;
		p = pkt_l4(NODE4, WORLD4, IPPROTO_UDP, (uint16_t)port, 53);
		cr_assert_eq(run(PROG_TO_UPLINK, &p, fx.uplink, FROM_HOST), TC_ACT_OK);
	}
	for (unsigned i = 0; i < 300; i++) {
		p = pkt_l4(POD_A4, WORLD4, IPPROTO_UDP, (uint16_t)(1000 + i), 53);
		if (run(PROG_TO_UPLINK, &p, fx.uplink, fx.pod_a) == TC_ACT_OK)
			cr_assert_eq(pkt_view(&p).sport, 62000);
	}
	cr_assert(drops_of(EP_A, DROP_NAT_EXHAUSTED, POLICY_EGRESS) >= 299);
	/* Towards another end all are free. */
	p = pkt_l4(POD_A4, WORLD4, IPPROTO_UDP, 1, 54);
	masquerade(&p, NODE4);
}

Test(node_many, two_pods_get_different_ports)
{
	static bool seen[65536];

	for (unsigned i = 0; i < 4000; i++) {
		struct pkt p = pkt_l4(i & 1 ? POD_A4 : POD_B4, WORLD4, IPPROTO_UDP, (uint16_t)(1000 + i / 2), 53);
		struct pkt_view v;

		if (run(PROG_TO_UPLINK, &p, fx.uplink, fx.pod_a) != TC_ACT_OK)
			continue; /* nearly full: a run of taken ports */
		v = pkt_view(&p);
		cr_assert(!seen[v.sport], "port %u twice", v.sport);
		seen[v.sport] = true;
	}
	cr_assert(drops(DROP_NAT_EXHAUSTED) < 200, "%llu", (unsigned long long)drops(DROP_NAT_EXHAUSTED));
}

Test(node, pod_addresses_do_not_come_in_by_the_uplink)
{
	struct pkt p = pkt_tcp(REMOTE4, POD_A4, 1, 80, TH_SYN);

	cr_assert_eq(run(PROG_FROM_UPLINK, &p, fx.uplink, fx.uplink), TC_ACT_SHOT);
	cr_assert_eq(drops(DROP_SPOOFED_SOURCE), 1);
}

Test(node, tunnel_traffic_is_judged_by_its_identity)
{
	struct dp_ipcache_entry e = { addr("10.0.3.3"), 333, { { 0 } } };
	struct dp_policy_rule allow = rule(DP_INGRESS, 333, IPPROTO_TCP, 80, 16, true, 9);
	struct pkt p;

	ok(dp_ipcache_set(fx.dp, &e, &test_err));
	set_policy(EP_A, true, false, &allow, 1);
	p = pkt_tcp("10.0.3.3", POD_A4, 1, 80, TH_SYN);
	cr_assert_eq(run(PROG_FROM_TUNNEL, &p, fx.tunnel, fx.tunnel), TC_ACT_REDIRECT);
	cr_assert(p.data[5] == 10 && p.data[4] == 1, "destination MAC address is the pod's");
	cr_assert_eq(stats_of(EP_A).packets[1], 1);
	p = pkt_tcp("10.0.3.3", POD_A4, 1, 81, TH_SYN);
	cr_assert_eq(run(PROG_FROM_TUNNEL, &p, fx.tunnel, fx.tunnel), TC_ACT_SHOT);
	cr_assert_eq(drops_of(EP_A, DROP_POLICY_DENIED, POLICY_INGRESS), 1);
	/* A pod that this node has not been told of: only what is allowed to anyone. */
	p = pkt_tcp("10.0.3.4", POD_A4, 1, 80, TH_SYN);
	cr_assert_eq(run(PROG_FROM_TUNNEL, &p, fx.tunnel, fx.tunnel), TC_ACT_SHOT);
	cr_assert_eq(drops_of(EP_A, DROP_UNKNOWN_IDENTITY, POLICY_INGRESS), 1);
	p = pkt_tcp("10.0.3.4", POD_B4, 1, 80, TH_SYN);
	cr_assert_eq(run(PROG_FROM_TUNNEL, &p, fx.tunnel, fx.tunnel), TC_ACT_REDIRECT);
}

Test(node, tunnel_sources_are_checked)
{
	/* A pod of this node, this node itself, and a remote pod whose node did not send it. */
	static const char *const sources[] = { POD_B4, NODE4, REMOTE4 };

	for (int i = 0; i < 3; i++) {
		struct pkt p = pkt_tcp(sources[i], POD_A4, 1, 80, TH_SYN);

		cr_assert_eq(run(PROG_FROM_TUNNEL, &p, fx.tunnel, fx.tunnel), TC_ACT_SHOT, "%s", sources[i]);
	}
	cr_assert_eq(drops_of(EP_A, DROP_SPOOFED_SOURCE, POLICY_INGRESS), 3);
}

Test(node, tunnel_traffic_for_no_pod_here)
{
	struct pkt p = pkt_tcp("10.0.3.4", "10.0.1.99", 1, 80, TH_SYN);

	cr_assert_eq(run(PROG_FROM_TUNNEL, &p, fx.tunnel, fx.tunnel), TC_ACT_SHOT);
	cr_assert_eq(drops_of(0, DROP_NO_ENDPOINT, POLICY_INGRESS), 1);
	p = pkt_tcp("10.0.3.4", NODE4, 1, 80, TH_SYN);
	cr_assert_eq(run(PROG_FROM_TUNNEL, &p, fx.tunnel, fx.tunnel), TC_ACT_OK);
	p.data[12] = 0x88;
	cr_assert_eq(run(PROG_FROM_TUNNEL, &p, fx.tunnel, fx.tunnel), TC_ACT_SHOT);
	cr_assert_eq(drops_of(0, DROP_UNSUPPORTED_L3, POLICY_INGRESS), 1);
}

Test(node, the_nodes_traffic_to_remote_pods_gets_a_tunnel_header)
{
	struct pkt p = pkt_tcp(NODE4, REMOTE4, 1, 80, TH_SYN);

	cr_assert_eq(run(PROG_TO_TUNNEL, &p, fx.tunnel, FROM_HOST), TC_ACT_OK);
	p = pkt_tcp(NODE4, "10.0.9.9", 1, 80, TH_SYN);
	cr_assert_eq(run(PROG_TO_TUNNEL, &p, fx.tunnel, FROM_HOST), TC_ACT_SHOT);
	cr_assert_eq(drops_of(0, DROP_NO_TUNNEL_ENDPOINT, POLICY_EGRESS), 1);
}
