/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SCTP between pods: judged and tracked by its ports, fragments and ICMP errors with it, and told of by them. The
 * kernels of tests need no SCTP sockets for this. Nothing is ever rewritten in it: the CRC32c that covers its ports
 * arrives as it was sent.
 */
#include <linux/pkt_cls.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <string.h>

#include "harness.h"

#define VIP4 "10.96.0.10"
#define VIP6 "fd00:10:96::10"
#define DIAM 3868 /* a port of SCTP's */

TestSuite(sctp, .init = node_up, .fini = node_down);

static const uint8_t mac_a[6] = { 2, 0, 0, 0, 1, 10 }, mac_host[6] = { 2, 0, 0, 0, 0, 1 };

static const struct family {
	const char *vip, *a, *b, *world;
	size_t l4;
} families[] = { { VIP4, POD_A4, POD_B4, WORLD4, 34 }, { VIP6, POD_A6, POD_B6, WORLD6, 54 } };

static struct pkt chunk(const char *src, const char *dst, uint16_t sport, uint16_t dport)
{
	return pkt_l4(src, dst, IPPROTO_SCTP, sport, dport);
}

/* B admits A by SCTP to DIAM. */
static void isolate_b(void)
{
	struct dp_policy_rule allow = rule(DP_INGRESS, ID_A, IPPROTO_SCTP, DIAM, 16, true, 7);

	set_policy(EP_B, true, false, &allow, 1);
	bump();
}

Test(sctp, policy_knows_its_ports)
{
	isolate_b();
	for (size_t i = 0; i < 2; i++) {
		const struct family *f = &families[i];

		cr_assert_eq(from_pod_a(chunk(f->a, f->b, 1000, DIAM)), TC_ACT_REDIRECT);
		cr_assert_eq(from_pod_a(chunk(f->a, f->b, DIAM, 1000)), TC_ACT_SHOT, "the source port is not asked");
		cr_assert_eq(from_pod_a(chunk(f->a, f->b, 1000, DIAM + 1)), TC_ACT_SHOT);
		cr_assert_eq(from_pod_a(pkt_tcp(f->a, f->b, 1000, DIAM, 2)), TC_ACT_SHOT);
		cr_assert_eq(from_pod_a(pkt_l4(f->a, f->b, IPPROTO_UDP, 1000, DIAM)), TC_ACT_SHOT);
		cr_assert_eq(to_pod_b(chunk(f->world, f->b, 1000, DIAM), fx.uplink), TC_ACT_SHOT);
	}
	cr_assert_eq(drops_of(EP_B, DROP_POLICY_DENIED, POLICY_INGRESS), 10);
}

Test(sctp, answers_pass_with_their_association_only)
{
	set_policy(EP_A, true, false, NULL, 0);
	bump();
	for (size_t i = 0; i < 2; i++) {
		const struct family *f = &families[i];

		cr_assert_eq(from_pod_b(chunk(f->b, f->a, DIAM, 1000)), TC_ACT_SHOT);
		cr_assert_eq(from_pod_a(chunk(f->a, f->b, 1000, DIAM)), TC_ACT_REDIRECT);
		cr_assert_eq(from_pod_b(chunk(f->b, f->a, DIAM, 1000)), TC_ACT_REDIRECT);
		cr_assert_eq(from_pod_b(chunk(f->b, f->a, DIAM, 1001)), TC_ACT_SHOT);
		cr_assert_eq(from_pod_b(chunk(f->b, f->a, DIAM + 1, 1000)), TC_ACT_SHOT);
		cr_assert_eq(from_pod_b(pkt_l4(f->b, f->a, IPPROTO_UDP, DIAM, 1000)), TC_ACT_SHOT);
	}
}

/* Policy is asked anew once it has changed, and the denied association's answers open nothing. */
Test(sctp, an_association_is_judged_again_when_policy_changes)
{
	isolate_b();
	for (size_t i = 0; i < 2; i++)
		cr_assert_eq(from_pod_a(chunk(families[i].a, families[i].b, 1000, DIAM)), TC_ACT_REDIRECT);
	set_policy(EP_B, true, false, NULL, 0);
	bump();
	for (size_t i = 0; i < 2; i++) {
		cr_assert_eq(from_pod_a(chunk(families[i].a, families[i].b, 1000, DIAM)), TC_ACT_SHOT);
		cr_assert_eq(from_pod_b(chunk(families[i].b, families[i].a, DIAM, 1000)), TC_ACT_SHOT);
	}
}

Test(sctp, arrives_as_it_was_sent)
{
	for (size_t i = 0; i < 2; i++) {
		const struct family *f = &families[i];
		struct pkt p = chunk(f->a, f->b, 1000, DIAM), sent;

		pkt_macs(&p, mac_host, mac_a);
		memset(p.data + f->l4 + 4, 0xa5, 8); /* verification tag and CRC32c */
		sent = p;
		cr_assert_eq(run(PROG_FROM_POD, &p, fx.pod_a, fx.pod_a), TC_ACT_REDIRECT);
		cr_assert_eq(p.len, sent.len);
		cr_assert(!memcmp(p.data + 14, sent.data + 14, p.len - 14));
	}
}

/* To the world, too, where there is no masquerade for it: see docs/datapath.md. */
Test(sctp, leaves_for_the_world_as_it_was_sent)
{
	for (size_t i = 0; i < 2; i++) {
		const struct family *f = &families[i];
		struct pkt p = chunk(f->a, f->world, 1000, DIAM), sent = p;

		cr_assert_eq(run(PROG_TO_UPLINK, &p, fx.uplink, fx.pod_a), TC_ACT_OK);
		cr_assert(p.len == sent.len && !memcmp(p.data, sent.data, p.len));
	}
	cr_assert_eq(map_entries("nat_in"), 0);
}

static void on_event(void *arg, const struct dp_drop_event *ev)
{
	*(struct dp_drop_event *)arg = *ev;
}

Test(sctp, a_drop_event_names_its_ports)
{
	struct dp_drop_event ev = { 0 };

	isolate_b();
	cr_assert_eq(from_pod_a(chunk(POD_A4, POD_B4, 1000, DIAM + 1)), TC_ACT_SHOT);
	cr_assert_eq(dp_drop_consume(fx.dp, on_event, &ev), 1);
	cr_assert(ev.proto == IPPROTO_SCTP && ev.sport == 1000 && ev.dport == DIAM + 1);
	cr_assert(ev.reason == DROP_POLICY_DENIED && ev.ep_id == EP_B);
}

/* To what a fragment says, its first one's ports answer; v6: a fragment header in front of it. */
static struct pkt fragment(const struct family *f, uint16_t dport, bool later, uint8_t id)
{
	struct pkt p = chunk(f->a, f->b, 1000, dport);

	if (f->l4 == 34) {
		p.data[14 + 4] = id;
		p.data[14 + (later ? 7 : 6)] = later ? 8 : 0x20;
	} else {
		const uint8_t head[8] = { IPPROTO_SCTP, 0, 0, later ? 64 : 1, 0, 0, 0, id };

		memmove(p.data + f->l4 + 8, p.data + f->l4, p.len - f->l4);
		memcpy(p.data + f->l4, head, 8);
		p.data[14 + 6] = IPPROTO_FRAGMENT;
		p.data[14 + 5] = (uint8_t)(p.data[14 + 5] + 8);
		p.len += 8;
	}
	if (later)
		memset(p.data + p.len - 22, 0xee, 22);
	return p;
}

Test(sctp, later_fragments_follow_the_first)
{
	isolate_b();
	for (size_t i = 0; i < 2; i++) {
		const struct family *f = &families[i];

		cr_assert_eq(from_pod_a(fragment(f, DIAM, true, 1)), TC_ACT_SHOT);
		cr_assert_eq(from_pod_a(fragment(f, DIAM, false, 1)), TC_ACT_REDIRECT);
		cr_assert_eq(from_pod_a(fragment(f, DIAM, true, 1)), TC_ACT_REDIRECT);
		cr_assert_eq(drops_of(EP_A, DROP_FRAGMENT, POLICY_EGRESS), 1 + i);
		/* Of one that policy denies, all parts. */
		cr_assert_eq(from_pod_a(fragment(f, DIAM + 1, false, 2)), TC_ACT_SHOT);
		cr_assert_eq(from_pod_a(fragment(f, DIAM + 1, true, 2)), TC_ACT_SHOT);
		cr_assert_eq(drops_of(EP_B, DROP_POLICY_DENIED, POLICY_INGRESS), 2 * (1 + i));
	}
}

Test(sctp, icmp_errors_pass_with_the_association_they_are_about)
{
	set_policy(EP_A, true, false, NULL, 0);
	bump();
	for (size_t i = 0; i < 2; i++) {
		const struct family *f = &families[i];
		struct pkt sent = chunk(f->a, f->world, 1000, DIAM), stranger = chunk(f->a, f->world, 1001, DIAM);
		const char *router = i ? "2001:db8::1" : "192.0.2.1";
		struct pkt error = pkt_icmp_error(router, f->a, &sent);

		/* No more of it than a router must quote: the ports and the verification tag. */
		error.len = f->l4 + 8 + (f->l4 - 14) + 8;
		cr_assert_eq(to_pod_a(error, fx.uplink), TC_ACT_SHOT);
		cr_assert_eq(from_pod_a(sent), TC_ACT_OK);
		cr_assert_eq(to_pod_a(error, fx.uplink), TC_ACT_OK);
		cr_assert_eq(to_pod_a(pkt_icmp_error(router, f->a, &stranger), fx.uplink), TC_ACT_SHOT);
		/* Cut within the ports: about nobody's. */
		error.len -= 5;
		cr_assert_eq(to_pod_a(error, fx.uplink), TC_ACT_SHOT);
	}
}

/* No service is by SCTP: a pod that asks is told at once. */
Test(sctp, a_services_address_has_no_such_port)
{
	struct dp_backend b = { addr(POD_B4), 8080 };
	struct dp_service svc = {
		.vip = addr(VIP4), .port = DIAM, .proto = IPPROTO_TCP, .backends = &b, .n_backends = 1
	};

	ok(dp_service_set(fx.dp, &svc, &test_err));
	for (size_t i = 0; i < 2; i++) {
		const struct family *f = &families[i];
		struct pkt p = chunk(f->a, f->vip, 1000, DIAM);
		struct pkt_view v;

		pkt_macs(&p, mac_host, mac_a);
		cr_assert_eq(run(PROG_FROM_POD, &p, fx.pod_a, fx.pod_a), TC_ACT_REDIRECT);
		v = pkt_view(&p);
		cr_assert_eq(v.proto, i ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
		cr_assert(ip_is(&v.src, f->vip) && ip_is(&v.dst, f->a));
		cr_assert_eq(p.data[f->l4], i ? ICMP6_DST_UNREACH : ICMP_DEST_UNREACH);
		cr_assert_eq(p.data[f->l4 + 1], i ? ICMP6_DST_UNREACH_NOPORT : ICMP_PORT_UNREACH);
		pkt_expect_quoted(&p, f->a, 1000, f->vip, DIAM);
		/* A part of a datagram gets no answer. */
		p = chunk(f->a, f->vip, 1000, DIAM);
		if (i == 0) {
			p.data[14 + 6] = 0x20;
			cr_assert_eq(from_pod_a(p), TC_ACT_SHOT);
		}
	}
	cr_assert_eq(drops_of(EP_A, DROP_NO_BACKEND, POLICY_EGRESS), 3);
	cr_assert_eq(map_entries("svc_in"), 0);
}

/* Whatever the length: all of its header, or it is no SCTP. */
Test(sctp, a_cut_header_is_a_bad_packet)
{
	unsigned bad = 0;

	for (size_t i = 0; i < 2; i++) {
		const struct family *f = &families[i];

		for (size_t len = 0; len <= 13; len++) {
			struct pkt p = chunk(f->a, f->b, 1000, DIAM);

			p.len = f->l4 + len;
			cr_assert_eq(from_pod_a(p), len < 12 ? TC_ACT_SHOT : TC_ACT_REDIRECT, "%zu bytes", len);
			bad += len < 12;
			cr_assert_eq(drops_of(EP_A, DROP_BAD_PACKET, POLICY_EGRESS), bad);
		}
	}
}
