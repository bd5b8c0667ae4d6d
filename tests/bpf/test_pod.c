/* SPDX-License-Identifier: Apache-2.0 */
/* The pod programs: delivery, anti-spoofing, what is dropped and why, and the counters. */
#include <arpa/inet.h>
#include <linux/pkt_cls.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "harness.h"

TestSuite(pod, .init = node_up, .fini = node_down);

static const uint8_t mac_a[6] = { 2, 0, 0, 0, 1, 10 }, mac_b[6] = { 2, 0, 0, 0, 1, 11 },
		     mac_host[6] = { 2, 0, 0, 0, 0, 1 };

Test(pod, delivers_to_a_local_pod)
{
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

Test(pod, sends_to_a_remote_pod_by_the_tunnel_and_to_others_by_the_stack)
{
	cr_assert_eq(from_pod_a(pkt_l4(POD_A4, REMOTE4, IPPROTO_UDP, 1, 2)), TC_ACT_REDIRECT);
	cr_assert_eq(from_pod_a(pkt_l4(POD_A6, REMOTE6, IPPROTO_UDP, 1, 2)), TC_ACT_REDIRECT);
	cr_assert_eq(from_pod_a(pkt_l4(POD_A4, WORLD4, IPPROTO_UDP, 1, 2)), TC_ACT_OK);
	cr_assert_eq(from_pod_a(pkt_l4(POD_A6, WORLD6, IPPROTO_TCP, 1, 2)), TC_ACT_OK);
	cr_assert_eq(from_pod_a(pkt_l4(POD_A4, NODE4, IPPROTO_TCP, 1, 2)), TC_ACT_OK);
	cr_assert_eq(from_pod_a(pkt_l4(POD_A4, OTHER_NODE4, IPPROTO_TCP, 1, 2)), TC_ACT_OK);
	cr_assert_eq(stats_of(EP_A).packets[0], 6);
	cr_assert_eq(stats_of(EP_B).packets[1], 0);
}

Test(pod, unknown_pod_address_has_no_tunnel_endpoint)
{
	cr_assert_eq(from_pod_a(pkt_l4(POD_A4, "10.0.9.9", IPPROTO_UDP, 1, 2)), TC_ACT_SHOT);
	cr_assert_eq(from_pod_a(pkt_l4(POD_A6, "fd00:10:0:9::9", IPPROTO_UDP, 1, 2)), TC_ACT_SHOT);
	cr_assert_eq(drops_of(EP_A, DROP_NO_TUNNEL_ENDPOINT, POLICY_EGRESS), 2);
}

Test(pod, an_interface_without_endpoint_drops_everything)
{
	struct pkt p = pkt_tcp(POD_A4, POD_B4, 1, 2, TH_SYN);

	ok(dp_endpoint_del(fx.dp, EP_A, &test_err));
	cr_assert_eq(from_pod_a(p), TC_ACT_SHOT);
	cr_assert_eq(to_pod_a(p, FROM_HOST), TC_ACT_SHOT);
	cr_assert_eq(drops_of(0, DROP_NO_ENDPOINT, POLICY_EGRESS), 1);
	cr_assert_eq(drops_of(0, DROP_NO_ENDPOINT, POLICY_INGRESS), 1);
	/* Nobody sends to it either: its addresses are no local pod's. */
	cr_assert_eq(from_pod_b(pkt_l4(POD_B4, POD_A4, IPPROTO_UDP, 1, 2)), TC_ACT_SHOT);
	cr_assert_eq(drops_of(EP_B, DROP_NO_TUNNEL_ENDPOINT, POLICY_EGRESS), 1);
}

Test(pod, a_pod_without_policy_is_denied_everything)
{
	ok(dp_policy_del(fx.dp, EP_A, &test_err));
	cr_assert_eq(from_pod_a(pkt_l4(POD_A4, WORLD4, IPPROTO_UDP, 1, 2)), TC_ACT_SHOT);
	cr_assert_eq(drops_of(EP_A, DROP_NO_POLICY, POLICY_EGRESS), 1);
	cr_assert_eq(from_pod_b(pkt_l4(POD_B6, POD_A6, IPPROTO_UDP, 1, 2)), TC_ACT_SHOT);
	cr_assert_eq(drops_of(EP_A, DROP_NO_POLICY, POLICY_INGRESS), 1);
}

Test(pod, spoofed_addresses_are_dropped)
{
	struct pkt p = pkt_tcp(POD_A4, POD_B4, 1, 2, TH_SYN);

	cr_assert_eq(from_pod_a(pkt_l4(POD_B4, WORLD4, IPPROTO_UDP, 1, 2)), TC_ACT_SHOT);
	cr_assert_eq(from_pod_a(pkt_l4(POD_B6, WORLD6, IPPROTO_UDP, 1, 2)), TC_ACT_SHOT);
	cr_assert_eq(from_pod_a(pkt_l4(NODE4, POD_B4, IPPROTO_UDP, 1, 2)), TC_ACT_SHOT);
	pkt_macs(&p, mac_host, mac_b);
	cr_assert_eq(run(PROG_FROM_POD, &p, fx.pod_a, fx.pod_a), TC_ACT_SHOT);
	cr_assert_eq(drops_of(EP_A, DROP_SPOOFED_SOURCE, POLICY_EGRESS), 4);
	/* A pod without an IPv6 address must not send IPv6. */
	cr_assert_eq(from_pod_a(pkt_l4("::", WORLD6, IPPROTO_UDP, 1, 2)), TC_ACT_SHOT);
	cr_assert_eq(drops(DROP_SPOOFED_SOURCE), 5);
	cr_assert_eq(stats_of(EP_A).packets[0], 0);
}

static struct pkt arp(const uint8_t *sender_mac, const char *sender_ip)
{
	static const uint8_t head[8] = { 0, 1, 8, 0, 6, 4, 0, 1 };
	struct pkt p = { .len = 60 };
	struct ip_addr ip = addr(sender_ip), target = addr("169.254.1.1");

	p.data[12] = 0x08;
	p.data[13] = 0x06;
	memcpy(p.data + 14, head, 8);
	memcpy(p.data + 22, sender_mac, 6);
	memcpy(p.data + 28, &ip.w[3], 4);
	memcpy(p.data + 38, &target.w[3], 4);
	return p;
}

Test(pod, arp_passes_only_with_the_pods_own_addresses)
{
	cr_assert_eq(from_pod_a(arp(mac_a, POD_A4)), TC_ACT_OK);
	cr_assert_eq(from_pod_a(arp(mac_a, "0.0.0.0")), TC_ACT_OK);
	cr_assert_eq(from_pod_a(arp(mac_a, POD_B4)), TC_ACT_SHOT);
	cr_assert_eq(from_pod_a(arp(mac_b, POD_A4)), TC_ACT_SHOT);
	cr_assert_eq(to_pod_a(arp(mac_host, "169.254.1.1"), FROM_HOST), TC_ACT_OK);
	cr_assert_eq(drops_of(EP_A, DROP_SPOOFED_SOURCE, POLICY_EGRESS), 2);
}

static struct pkt icmp6(const char *src, const char *dst, uint8_t type)
{
	return pkt_icmp(src, dst, IPPROTO_ICMPV6, 0, type);
}

Test(pod, neighbour_discovery_passes_and_other_multicast_does_not)
{
	cr_assert_eq(from_pod_a(icmp6("fe80::1234", "ff02::1:ff00:1", ND_NEIGHBOR_SOLICIT)), TC_ACT_OK);
	cr_assert_eq(from_pod_a(icmp6(POD_A6, "fe80::1", ND_NEIGHBOR_SOLICIT)), TC_ACT_OK);
	cr_assert_eq(from_pod_a(icmp6("::", "ff02::2", ND_ROUTER_SOLICIT)), TC_ACT_OK);
	cr_assert_eq(from_pod_a(icmp6(POD_B6, "ff02::2", ND_ROUTER_SOLICIT)), TC_ACT_SHOT);
	cr_assert_eq(from_pod_a(icmp6("fe80::1234", "ff02::1", ND_ROUTER_ADVERT)), TC_ACT_SHOT);
	cr_assert_eq(drops(DROP_SPOOFED_SOURCE), 2);
	cr_assert_eq(from_pod_a(pkt_l4(POD_A6, "ff02::fb", IPPROTO_UDP, 5353, 5353)), TC_ACT_SHOT);
	cr_assert_eq(from_pod_a(pkt_l4(POD_A4, "224.0.0.251", IPPROTO_UDP, 5353, 5353)), TC_ACT_SHOT);
	cr_assert_eq(from_pod_a(pkt_l4(POD_A4, "255.255.255.255", IPPROTO_UDP, 68, 67)), TC_ACT_SHOT);
	cr_assert_eq(drops_of(EP_A, DROP_MULTICAST, POLICY_EGRESS), 3);
}

Test(pod, frames_that_are_not_ip_are_dropped)
{
	struct pkt p = pkt_tcp(POD_A4, POD_B4, 1, 2, TH_SYN);

	p.data[12] = 0x88;
	p.data[13] = 0xcc;
	cr_assert_eq(from_pod_a(p), TC_ACT_SHOT);
	cr_assert_eq(to_pod_a(p, FROM_HOST), TC_ACT_SHOT);
	p.data[12] = 0x81;
	p.data[13] = 0x00;
	cr_assert_eq(from_pod_a(p), TC_ACT_SHOT);
	cr_assert_eq(drops_of(EP_A, DROP_UNSUPPORTED_L3, POLICY_EGRESS), 2);
	cr_assert_eq(drops_of(EP_A, DROP_UNSUPPORTED_L3, POLICY_INGRESS), 1);
}

Test(pod, malformed_packets_are_dropped)
{
	struct pkt p = pkt_tcp(POD_A4, POD_B4, 1, 2, TH_SYN);

	p.data[14] = 0x55; /* IP version 5 */
	cr_assert_eq(from_pod_a(p), TC_ACT_SHOT);
	p.data[14] = 0x44; /* header of 16 bytes */
	cr_assert_eq(from_pod_a(p), TC_ACT_SHOT);
	p.data[14] = 0x45;
	p.len = 14 + 20 + 8; /* TCP header cut */
	cr_assert_eq(from_pod_a(p), TC_ACT_SHOT);
	p = pkt_l4(POD_A6, POD_B6, IPPROTO_UDP, 1, 2);
	p.data[14 + 6] = IPPROTO_DSTOPTS; /* extension header beyond the end */
	p.len = 14 + 40 + 4;
	cr_assert_eq(from_pod_a(p), TC_ACT_SHOT);
	p = pkt_l4("::ffff:10.0.1.10", POD_B6, IPPROTO_UDP, 1, 2); /* v4-mapped on the wire */
	cr_assert_eq(from_pod_a(p), TC_ACT_SHOT);
	cr_assert_eq(drops_of(EP_A, DROP_BAD_PACKET, POLICY_EGRESS), 5);
}

/* Puts n bytes of header with that number in front of the UDP header. */
static struct pkt with_extension(struct pkt p, uint8_t type, const uint8_t *header, size_t n)
{
	uint8_t *at = p.data + 14 + 40;

	memmove(at + n, at, p.len - 54);
	memcpy(at, header, n);
	at[0] = p.data[14 + 6];
	p.data[14 + 6] = type;
	p.len += n;
	return p;
}

Test(pod, extension_headers_and_options_do_not_hide_the_ports)
{
	struct dp_policy_rule allow53 = rule(DP_INGRESS, ID_A, IPPROTO_UDP, 53, 16, true, 7);
	static const uint8_t opts[8] = { 0, 0, 1, 4 }, frag_first[8] = { 0, 0, 0, 1, 0, 0, 0, 9 },
			     frag_later[8] = { 0, 0, 0, 64, 0, 0, 0, 9 };
	struct pkt p;

	set_policy(EP_B, true, false, &allow53, 1);
	p = with_extension(pkt_l4(POD_A6, POD_B6, IPPROTO_UDP, 1, 53), IPPROTO_DSTOPTS, opts, 8);
	cr_assert_eq(from_pod_a(p), TC_ACT_REDIRECT);
	p = with_extension(p, IPPROTO_HOPOPTS, opts, 8);
	cr_assert_eq(from_pod_a(p), TC_ACT_REDIRECT);
	p = with_extension(pkt_l4(POD_A6, POD_B6, IPPROTO_UDP, 1, 54), IPPROTO_DSTOPTS, opts, 8);
	cr_assert_eq(from_pod_a(p), TC_ACT_SHOT);
	/* More headers than anyone needs. */
	for (int i = 0; i < 7; i++)
		p = with_extension(p, IPPROTO_DSTOPTS, opts, 8);
	cr_assert_eq(from_pod_a(p), TC_ACT_SHOT);
	cr_assert_eq(drops(DROP_BAD_PACKET), 1);
	/* Fragments of IPv6. */
	p = with_extension(pkt_l4(POD_A6, POD_B6, IPPROTO_UDP, 1, 53), IPPROTO_FRAGMENT, frag_later, 8);
	cr_assert_eq(from_pod_a(p), TC_ACT_SHOT);
	cr_assert_eq(drops_of(EP_A, DROP_FRAGMENT, POLICY_EGRESS), 1);
	cr_assert_eq(
		from_pod_a(with_extension(pkt_l4(POD_A6, POD_B6, IPPROTO_UDP, 1, 53), IPPROTO_FRAGMENT, frag_first, 8)),
		TC_ACT_REDIRECT);
	cr_assert_eq(from_pod_a(p), TC_ACT_REDIRECT);
}

Test(pod, later_fragments_follow_the_first)
{
	struct dp_policy_rule allow53 = rule(DP_INGRESS, ID_A, IPPROTO_UDP, 53, 16, true, 7);
	struct pkt first = pkt_l4(POD_A4, POD_B4, IPPROTO_UDP, 1, 53), later = first, other;

	set_policy(EP_B, true, false, &allow53, 1);
	first.data[14 + 4] = 1;	   /* identification */
	first.data[14 + 6] = 0x20; /* more fragments */
	later.data[14 + 4] = 1;
	later.data[14 + 7] = 8; /* offset 64 */
	memset(later.data + 34, 0xee, 4);
	other = later;
	other.data[14 + 4] = 2;
	cr_assert_eq(from_pod_a(later), TC_ACT_SHOT);
	cr_assert_eq(drops_of(EP_A, DROP_FRAGMENT, POLICY_EGRESS), 1);
	cr_assert_eq(from_pod_a(first), TC_ACT_REDIRECT);
	cr_assert_eq(from_pod_a(later), TC_ACT_REDIRECT);
	cr_assert_eq(from_pod_a(other), TC_ACT_SHOT);
	cr_assert_eq(drops(DROP_FRAGMENT), 2);
}

Test(pod, the_node_reaches_its_isolated_pods_and_others_do_not)
{
	set_policy(EP_A, true, true, NULL, 0);
	cr_assert_eq(to_pod_a(pkt_tcp(NODE4, POD_A4, 5, 80, TH_SYN), FROM_HOST), TC_ACT_OK);
	cr_assert_eq(to_pod_a(pkt_tcp(NODE6, POD_A6, 5, 80, TH_SYN), FROM_HOST), TC_ACT_OK);
	/* The answer of an egress-isolated pod passes too. */
	cr_assert_eq(from_pod_a(pkt_tcp(POD_A4, NODE4, 80, 5, TH_SYN | TH_ACK)), TC_ACT_OK);
	/* Forwarded traffic with the node's address is not the node. */
	cr_assert_eq(to_pod_a(pkt_tcp(NODE4, POD_A4, 6, 80, TH_SYN), fx.uplink), TC_ACT_SHOT);
	cr_assert_eq(to_pod_a(pkt_tcp(WORLD4, POD_A4, 6, 80, TH_SYN), fx.uplink), TC_ACT_SHOT);
	cr_assert_eq(drops_of(EP_A, DROP_POLICY_DENIED, POLICY_INGRESS), 2);
	/* And after a policy change it still passes, in both directions. */
	bump();
	cr_assert_eq(from_pod_a(pkt_tcp(POD_A4, NODE4, 80, 5, TH_ACK)), TC_ACT_OK);
	bump();
	cr_assert_eq(to_pod_a(pkt_tcp(NODE4, POD_A4, 5, 80, TH_ACK), FROM_HOST), TC_ACT_OK);
	cr_assert_eq(stats_of(EP_A).packets[1], 3);
}

Test(pod, a_packet_for_another_address_is_not_delivered)
{
	cr_assert_eq(to_pod_a(pkt_tcp(WORLD4, POD_B4, 6, 80, TH_SYN), fx.uplink), TC_ACT_SHOT);
	cr_assert_eq(drops_of(EP_A, DROP_NO_ENDPOINT, POLICY_INGRESS), 1);
}

struct seen {
	size_t n;
	struct dp_drop_event last;
};

static void on_event(void *arg, const struct dp_drop_event *ev)
{
	struct seen *s = arg;

	s->n++;
	s->last = *ev;
}

Test(pod, a_drop_event_names_the_flow_and_the_rule)
{
	struct dp_policy_rule deny = rule(DP_EGRESS, ID_B, IPPROTO_TCP, 80, 16, false, 77);
	struct seen s = { 0 };
	struct ip_addr a = addr(POD_A4), b = addr(POD_B4);

	set_policy(EP_A, false, true, &deny, 1);
	cr_assert(dp_drop_fd(fx.dp) >= 0);
	cr_assert_eq(from_pod_a(pkt_tcp(POD_A4, POD_B4, 40000, 80, TH_SYN)), TC_ACT_SHOT);
	cr_assert_eq(dp_drop_consume(fx.dp, on_event, &s), 1);
	cr_assert_eq(s.n, 1);
	cr_assert(!memcmp(&s.last.src, &a, sizeof(a)) && !memcmp(&s.last.dst, &b, sizeof(b)));
	cr_assert_eq(s.last.sport, 40000);
	cr_assert_eq(s.last.dport, 80);
	cr_assert_eq(s.last.proto, IPPROTO_TCP);
	cr_assert_eq(s.last.reason, DROP_POLICY_DENIED);
	cr_assert_eq(s.last.direction, POLICY_EGRESS);
	cr_assert_eq(s.last.ep_id, EP_A);
	cr_assert_eq(s.last.src_identity, ID_A);
	cr_assert_eq(s.last.dst_identity, ID_B);
	cr_assert_eq(s.last.rule_id, 77);
	cr_assert(s.last.time_ns > 0);
}

Test(pod, a_flood_of_drops_is_counted_but_its_events_are_limited)
{
	struct seen s = { 0 };
	int r;

	for (int i = 0; i < 2000; i++)
		cr_assert_eq(from_pod_a(pkt_l4(POD_B4, WORLD4, IPPROTO_UDP, 1, 2)), TC_ACT_SHOT);
	cr_assert_eq(drops(DROP_SPOOFED_SOURCE), 2000);
	r = dp_drop_consume(fx.dp, on_event, &s);
	/* 64 a second and CPU: more only if the loop took more than that. */
	cr_assert(r >= 64 && r < 1000, "%d", r);
}

Test(pod, drops_are_counted_without_a_pod_when_the_table_is_full)
{
	cleanup(free) struct drop_value *zero = calloc((size_t)libbpf_num_possible_cpus(), sizeof(*zero));
	uint32_t i;

	for (i = 0; i < 100000; i++) {
		struct drop_key k = { .ep_id = 100000 + i, .reason = 1 };

		if (bpf_map_update_elem(fx.dp->map_fd[MAP_DROP_COUNTERS], &k, zero, BPF_NOEXIST) < 0)
			break;
	}
	cr_assert(i < 100000);
	cr_assert_eq(from_pod_a(pkt_l4(POD_B4, WORLD4, IPPROTO_UDP, 1, 2)), TC_ACT_SHOT);
	cr_assert_eq(drops_of(EP_A, DROP_SPOOFED_SOURCE, POLICY_EGRESS), 0);
	cr_assert_eq(drops_of(0, DROP_SPOOFED_SOURCE, POLICY_EGRESS), 1);
}

Test(pod, a_new_pod_under_an_old_number_starts_at_zero)
{
	struct dp_endpoint c = { .ep_id = EP_A,
				 .ifindex = fx.pod_a,
				 .identity = 400,
				 .ip4 = addr("10.0.1.50"),
				 .pod_mac = { 2, 0, 0, 0, 1, 10 } };

	cr_assert_eq(from_pod_a(pkt_l4(POD_B4, WORLD4, IPPROTO_UDP, 1, 2)), TC_ACT_SHOT);
	cr_assert_eq(from_pod_a(pkt_l4(POD_A4, WORLD4, IPPROTO_UDP, 1, 2)), TC_ACT_OK);
	ok(dp_endpoint_del(fx.dp, EP_A, &test_err));
	ok(dp_endpoint_add(fx.dp, &c, &test_err));
	cr_assert_eq(stats_of(EP_A).packets[0], 0);
	cr_assert_eq(drops_of(EP_A, DROP_SPOOFED_SOURCE, POLICY_EGRESS), 0);
}

Test(pod, every_reason_has_a_label)
{
	for (int i = 0; i < DROP_N_REASONS; i++) {
		cr_assert(dp_drop_name((uint8_t)i) && *dp_drop_name((uint8_t)i));
		for (int k = 0; k < i; k++)
			cr_assert(strcmp(dp_drop_name((uint8_t)i), dp_drop_name((uint8_t)k)) != 0);
	}
	cr_assert_str_eq(dp_drop_name(DROP_POLICY_DENIED), "policy-denied");
	cr_assert_str_eq(dp_drop_name(255), "other");
}
