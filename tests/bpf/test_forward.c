/* SPDX-License-Identifier: Apache-2.0 */
/* Services packet by packet: what from_pod makes of packets to a service's address, and the way back. */
#include <arpa/inet.h>
#include <linux/pkt_cls.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <string.h>

#include "harness.h"

#define VIP4 "10.96.0.10"
#define VIP6 "fd00:10:96::10"

TestSuite(forward, .init = node_up, .fini = node_down);

static const uint8_t mac_a[6] = { 2, 0, 0, 0, 1, 10 }, mac_b[6] = { 2, 0, 0, 0, 1, 11 },
		     mac_host[6] = { 2, 0, 0, 0, 0, 1 };

static const struct family {
	const char *vip, *a, *b, *remote, *other_node;
} families[] = { { VIP4, POD_A4, POD_B4, REMOTE4, OTHER_NODE4 }, { VIP6, POD_A6, POD_B6, REMOTE6, OTHER_NODE6 } };
static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP };

static void serve(const char *vip, uint8_t proto, uint32_t affinity_s, const char *const *ips, size_t n)
{
	struct dp_backend b[64];
	struct dp_service svc = {
		.vip = addr(vip), .port = 80, .proto = proto, .backends = b, .n_backends = n, .affinity_s = affinity_s
	};

	for (size_t i = 0; i < n; i++)
		b[i] = (struct dp_backend){ addr(ips[i]), (uint16_t)(8080 + i) };
	ok(dp_service_set(fx.dp, &svc, &test_err));
}

static void serve_one(const char *vip, uint8_t proto, const char *ip)
{
	serve(vip, proto, 0, &ip, 1);
}

static int out_of_a(struct pkt *p)
{
	pkt_macs(p, mac_host, mac_a);
	return run(PROG_FROM_POD, p, fx.pod_a, fx.pod_a);
}

static int out_of_b(struct pkt *p)
{
	pkt_macs(p, mac_host, mac_b);
	return run(PROG_FROM_POD, p, fx.pod_b, fx.pod_b);
}

/* To the service by A; the packet as it leaves from_pod. */
static struct pkt to_service(const struct family *f, uint8_t proto, uint16_t sport, uint8_t tcp_flags)
{
	struct pkt p = proto == IPPROTO_TCP ? pkt_tcp(f->a, f->vip, sport, 80, tcp_flags)
					    : pkt_l4(f->a, f->vip, proto, sport, 80);

	cr_assert_eq(out_of_a(&p), TC_ACT_REDIRECT);
	return p;
}

static uint16_t port_chosen(const struct family *f, uint8_t proto, uint16_t sport, uint8_t tcp_flags)
{
	struct pkt p = to_service(f, proto, sport, tcp_flags);

	return pkt_view(&p).dport;
}

static struct pkt reply(const char *from, const char *to, uint8_t proto, uint16_t port)
{
	return proto == IPPROTO_TCP ? pkt_tcp(from, to, 8080, port, TH_SYN | TH_ACK)
				    : pkt_l4(from, to, proto, 8080, port);
}

Test(forward, to_a_backend_and_back_by_the_services_address)
{
	for (size_t i = 0; i < 2; i++) {
		for (size_t k = 0; k < 2; k++) {
			const struct family *f = &families[i];
			struct pkt p;

			serve_one(f->vip, protos[k], f->b);
			p = to_service(f, protos[k], 40000, TH_SYN);
			pkt_expect(&p, f->a, 40000, f->b, 8080);
			cr_assert(memcmp(p.data, mac_b, 6) == 0, "into the local pod");
			p = reply(f->b, f->a, protos[k], 40000);
			cr_assert_eq(out_of_b(&p), TC_ACT_REDIRECT);
			pkt_expect(&p, f->vip, 80, f->a, 40000);

			/* on another node: by the tunnel */
			serve_one(f->vip, protos[k], f->remote);
			p = to_service(f, protos[k], 40001, TH_SYN);
			pkt_expect(&p, f->a, 40001, f->remote, 8080);
			p = reply(f->remote, f->a, protos[k], 40001);
			cr_assert_eq(run(PROG_FROM_TUNNEL, &p, fx.tunnel, fx.tunnel), TC_ACT_REDIRECT);
			pkt_expect(&p, f->vip, 80, f->a, 40001);

			/* another node itself: by the kernel's routing */
			serve_one(f->vip, protos[k], f->other_node);
			p = protos[k] == IPPROTO_TCP ? pkt_tcp(f->a, f->vip, 40002, 80, TH_SYN)
						     : pkt_l4(f->a, f->vip, protos[k], 40002, 80);
			cr_assert_eq(out_of_a(&p), TC_ACT_OK);
			pkt_expect(&p, f->a, 40002, f->other_node, 8080);
			p = reply(f->other_node, f->a, protos[k], 40002);
			cr_assert_eq(run(PROG_TO_POD, &p, fx.pod_a, fx.uplink), TC_ACT_OK);
			pkt_expect(&p, f->vip, 80, f->a, 40002);
		}
	}
}

Test(forward, out_of_the_cluster_and_back)
{
	struct pkt p = pkt_tcp(POD_A4, VIP4, 40000, 80, TH_SYN);
	uint16_t port;

	serve_one(VIP4, IPPROTO_TCP, WORLD4);
	cr_assert_eq(out_of_a(&p), TC_ACT_OK);
	cr_assert_eq(run(PROG_TO_UPLINK, &p, fx.uplink, fx.pod_a), TC_ACT_OK);
	port = pkt_view(&p).sport;
	pkt_expect(&p, NODE4, port, WORLD4, 8080);
	p = pkt_tcp(WORLD4, NODE4, 8080, port, TH_SYN | TH_ACK);
	cr_assert_eq(run(PROG_FROM_UPLINK, &p, fx.uplink, fx.uplink), TC_ACT_REDIRECT);
	pkt_expect(&p, VIP4, 80, POD_A4, 40000);
}

/* The same pair of pods also talks without the service. */
Test(forward, what_was_sent_to_the_backend_itself_is_left_alone)
{
	struct pkt p;

	serve_one(VIP4, IPPROTO_TCP, POD_B4);
	to_service(&families[0], IPPROTO_TCP, 40000, TH_SYN);
	p = pkt_tcp(POD_A4, POD_B4, 40001, 8080, TH_SYN);
	cr_assert_eq(out_of_a(&p), TC_ACT_REDIRECT);
	pkt_expect(&p, POD_A4, 40001, POD_B4, 8080);
	p = reply(POD_B4, POD_A4, IPPROTO_TCP, 40001);
	cr_assert_eq(out_of_b(&p), TC_ACT_REDIRECT);
	pkt_expect(&p, POD_B4, 8080, POD_A4, 40001);
}

Test(forward, connections_spread_and_each_keeps_its_backend)
{
	static const char *const many[] = { POD_B4, POD_B4, POD_B4, POD_B4, POD_B4, POD_B4, POD_B4, POD_B4 };
	unsigned chosen = 0;

	serve(VIP4, IPPROTO_TCP, 0, many, 8);
	for (uint16_t sport = 40000; sport < 40200; sport++) {
		uint16_t port = port_chosen(&families[0], IPPROTO_TCP, sport, TH_SYN);

		chosen |= 1u << (port - 8080);
		cr_assert_eq(port_chosen(&families[0], IPPROTO_TCP, sport, TH_SYN), port, "sent again");
		cr_assert_eq(port_chosen(&families[0], IPPROTO_TCP, sport, TH_ACK), port);
	}
	cr_assert_eq(chosen, 0xff);
}

Test(forward, tcp_drains_and_the_rest_moves_when_a_backend_goes)
{
	static const char *const two[] = { POD_B4, POD_B4 };
	uint16_t tcp_sport, udp_sport, udp_stays;

	serve(VIP4, IPPROTO_TCP, 0, two, 2);
	serve(VIP4, IPPROTO_UDP, 0, two, 2);
	for (tcp_sport = 40000; port_chosen(&families[0], IPPROTO_TCP, tcp_sport, TH_SYN) != 8081; tcp_sport++)
		;
	for (udp_sport = 40000; port_chosen(&families[0], IPPROTO_UDP, udp_sport, 0) != 8081; udp_sport++)
		;
	for (udp_stays = 50000; port_chosen(&families[0], IPPROTO_UDP, udp_stays, 0) != 8080; udp_stays++)
		;
	serve(VIP4, IPPROTO_TCP, 0, two, 1);
	serve(VIP4, IPPROTO_UDP, 0, two, 1);
	cr_assert_eq(port_chosen(&families[0], IPPROTO_TCP, tcp_sport, TH_ACK), 8081, "established");
	cr_assert_eq(port_chosen(&families[0], IPPROTO_TCP, tcp_sport, TH_SYN), 8080, "begun anew");
	cr_assert_eq(port_chosen(&families[0], IPPROTO_UDP, udp_sport, 0), 8080);
	serve(VIP4, IPPROTO_UDP, 0, two, 2);
	cr_assert_eq(port_chosen(&families[0], IPPROTO_UDP, udp_stays, 0), 8080, "its backend is still there");
}

Test(forward, a_client_with_affinity_comes_to_one_backend)
{
	static const char *const many[] = { POD_B4, POD_B4, POD_B4, POD_B4, POD_B4, POD_B4, POD_B4, POD_B4 };
	uint16_t first;

	serve(VIP4, IPPROTO_TCP, 60, many, 8);
	first = port_chosen(&families[0], IPPROTO_TCP, 40000, TH_SYN);
	for (uint16_t sport = 40001; sport < 40050; sport++)
		cr_assert_eq(port_chosen(&families[0], IPPROTO_TCP, sport, TH_SYN), first);
}

/* Its packets come back to it, from the service as it believes, to the service as it answers. */
Test(forward, a_pod_that_is_its_own_backend)
{
	for (size_t i = 0; i < 2; i++) {
		for (size_t k = 0; k < 2; k++) {
			const struct family *f = &families[i];
			struct pkt p;

			serve_one(f->vip, protos[k], f->a);
			p = to_service(f, protos[k], 40000, TH_SYN);
			pkt_expect(&p, f->vip, 40000, f->a, 8080);
			cr_assert(memcmp(p.data, mac_a, 6) == 0);
			p = reply(f->a, f->vip, protos[k], 40000);
			cr_assert_eq(out_of_a(&p), TC_ACT_REDIRECT);
			pkt_expect(&p, f->vip, 80, f->a, 40000);
		}
	}
}

Test(forward, policy_judges_the_backend)
{
	struct dp_policy_rule allow = rule(POLICY_EGRESS, ID_B, IPPROTO_TCP, 8080, 16, true, 7);
	struct pkt p = pkt_tcp(POD_A4, VIP4, 40000, 80, TH_SYN);

	serve_one(VIP4, IPPROTO_TCP, POD_B4);
	set_policy(EP_A, false, true, &allow, 1);
	to_service(&families[0], IPPROTO_TCP, 40000, TH_SYN);
	allow = rule(POLICY_EGRESS, ID_B, IPPROTO_TCP, 80, 16, true, 7);
	set_policy(EP_A, false, true, &allow, 1);
	bump();
	cr_assert_eq(out_of_a(&p), TC_ACT_SHOT);
	cr_assert_eq(drops_of(EP_A, DROP_POLICY_DENIED, POLICY_EGRESS), 1);
}

/* Sockets that were connected to a backend, as the socket hooks do it, when its pod went. */
Test(forward, what_was_connected_to_a_gone_backend_goes_to_another)
{
	static const char *const gone[] = { "10.0.1.99", "fd00:10:0:1::99" };

	for (size_t i = 0; i < 2; i++) {
		for (size_t k = 0; k < 2; k++) {
			const struct family *f = &families[i];
			struct pkt p;

			serve_one(f->vip, protos[k], gone[i]);
			serve_one(f->vip, protos[k], f->b);
			for (int again = 0; again < 2; again++) {
				p = pkt_l4(f->a, gone[i], protos[k], 40000, 8080);
				cr_assert_eq(out_of_a(&p), TC_ACT_REDIRECT);
				pkt_expect(&p, f->a, 40000, f->b, 8080);
			}
			p = reply(f->b, f->a, protos[k], 40000);
			cr_assert_eq(out_of_b(&p), TC_ACT_REDIRECT);
			pkt_expect(&p, gone[i], 8080, f->a, 40000);

			/* the other one is the client itself */
			serve_one(f->vip, protos[k], f->a);
			p = pkt_l4(f->a, gone[i], protos[k], 40001, 8080);
			cr_assert_eq(out_of_a(&p), TC_ACT_REDIRECT);
			pkt_expect(&p, gone[i], 40001, f->a, 8080);
			p = reply(f->a, gone[i], protos[k], 40001);
			cr_assert_eq(out_of_a(&p), TC_ACT_REDIRECT);
			pkt_expect(&p, gone[i], 8080, f->a, 40001);
		}
	}
	cr_assert_eq(drops(DROP_NO_TUNNEL_ENDPOINT), 0);
	cr_assert_eq(from_pod_a(pkt_l4(POD_A4, gone[0], IPPROTO_UDP, 40000, 8081)), TC_ACT_SHOT, "another port");
	cr_assert_eq(drops_of(EP_A, DROP_NO_TUNNEL_ENDPOINT, POLICY_EGRESS), 1);
}

Test(forward, established_connections_to_a_gone_backend_are_reset)
{
	struct dp_service svc = { .vip = addr(VIP4), .port = 80, .proto = IPPROTO_TCP };
	struct pkt p;

	serve_one(VIP4, IPPROTO_TCP, "10.0.1.99");
	serve_one(VIP4, IPPROTO_TCP, POD_B4);
	p = pkt_tcp(POD_A4, "10.0.1.99", 40000, 8080, TH_ACK);
	cr_assert_eq(out_of_a(&p), TC_ACT_REDIRECT);
	pkt_expect(&p, "10.0.1.99", 8080, POD_A4, 40000);
	cr_assert_eq(p.data[34 + 13], TH_RST);
	/* and all of them when the service goes, too */
	ok(dp_service_del(fx.dp, &svc, &test_err));
	p = pkt_tcp(POD_A4, "10.0.1.99", 40001, 8080, TH_SYN);
	cr_assert_eq(out_of_a(&p), TC_ACT_REDIRECT);
	pkt_expect(&p, "10.0.1.99", 8080, POD_A4, 40001);
	cr_assert_eq(p.data[34 + 13], TH_RST | TH_ACK);
}

/* A backend that is no longer offered goes on serving those that it has, as long as it is there. */
Test(forward, a_backend_that_is_still_there_keeps_its_clients)
{
	struct pkt p = pkt_l4(POD_A4, POD_B4, IPPROTO_UDP, 40000, 8080);

	serve_one(VIP4, IPPROTO_UDP, POD_B4);
	serve_one(VIP4, IPPROTO_UDP, REMOTE4);
	cr_assert_eq(out_of_a(&p), TC_ACT_REDIRECT);
	pkt_expect(&p, POD_A4, 40000, POD_B4, 8080);
}

static void put32(struct pkt *p, size_t off, uint32_t v)
{
	v = htonl(v);
	memcpy(p->data + off, &v, 4);
}

static uint32_t get32(const struct pkt *p, size_t off)
{
	uint32_t v;

	memcpy(&v, p->data + off, 4);
	return ntohl(v);
}

/* A sequence number needs no checksum here: nobody looks at it. */
static struct pkt refused_tcp(const struct family *f, uint8_t flags)
{
	struct pkt p = pkt_tcp(f->a, f->vip, 40000, 80, flags);
	size_t l4 = strchr(f->a, ':') ? 54 : 34;

	put32(&p, l4 + 4, 1000);
	put32(&p, l4 + 8, 5000);
	cr_assert_eq(out_of_a(&p), TC_ACT_REDIRECT);
	pkt_expect(&p, f->vip, 80, f->a, 40000);
	cr_assert(memcmp(p.data, mac_a, 6) == 0 && memcmp(p.data + 6, mac_host, 6) == 0);
	cr_assert_eq(p.len, l4 + 20);
	return p;
}

Test(forward, connections_without_a_backend_are_reset)
{
	for (size_t i = 0; i < 2; i++) {
		const struct family *f = &families[i];
		size_t l4 = i ? 54 : 34;
		struct pkt p;

		serve(f->vip, IPPROTO_TCP, 0, NULL, 0);
		p = refused_tcp(f, TH_SYN);
		cr_assert(p.data[l4 + 13] == (TH_RST | TH_ACK));
		cr_assert(get32(&p, l4 + 4) == 0 && get32(&p, l4 + 8) == 1011, "10 bytes and the SYN");
		p = refused_tcp(f, TH_ACK);
		cr_assert(p.data[l4 + 13] == TH_RST);
		cr_assert_eq(get32(&p, l4 + 4), 5000);
		p = pkt_tcp(f->a, f->vip, 40000, 80, TH_RST);
		cr_assert_eq(out_of_a(&p), TC_ACT_SHOT);
		p = pkt_tcp(f->a, f->vip, 40000, 81, TH_SYN);
		cr_assert_eq(out_of_a(&p), TC_ACT_REDIRECT, "nor is there such a port");
		pkt_expect(&p, f->vip, 81, f->a, 40000);
	}
	cr_assert_eq(drops_of(EP_A, DROP_NO_BACKEND, POLICY_EGRESS), 8);
}

Test(forward, datagrams_without_a_backend_get_port_unreachable)
{
	for (size_t i = 0; i < 2; i++) {
		const struct family *f = &families[i];
		struct pkt p = pkt_l4(f->a, f->vip, IPPROTO_UDP, 40000, 80), sent = p;
		size_t l3 = 14, head = i ? 40 : 20;
		struct pkt_view v;

		cr_assert_eq(out_of_a(&p), TC_ACT_REDIRECT);
		v = pkt_view(&p);
		cr_assert(ip_is(&v.src, f->vip) && ip_is(&v.dst, f->a));
		cr_assert(pkt_checksums_ok(&p));
		cr_assert_eq(v.proto, i ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
		cr_assert_eq(p.data[l3 + head], i ? ICMP6_DST_UNREACH : ICMP_DEST_UNREACH);
		cr_assert_eq(p.data[l3 + head + 1], i ? ICMP6_DST_UNREACH_NOPORT : ICMP_PORT_UNREACH);
		cr_assert(memcmp(p.data, mac_a, 6) == 0);
		cr_assert_eq(p.len, l3 + head + 8 + head + 8);
		cr_assert(memcmp(p.data + l3 + head + 8, sent.data + l3, head + 8) == 0, "what it is about");
	}
	/* Nothing answers for an address as such. */
	cr_assert_eq(from_pod_a(pkt_icmp(POD_A4, VIP4, IPPROTO_ICMP, 7, ICMP_ECHO)), TC_ACT_SHOT);
	cr_assert_eq(drops_of(EP_A, DROP_NO_BACKEND, POLICY_EGRESS), 3);
}

Test(forward, errors_speak_of_the_service_to_its_client_and_of_the_client_to_its_backend)
{
	for (size_t i = 0; i < 2; i++) {
		const struct family *f = &families[i];
		const char *router = i ? "fd00:30::99" : "172.30.0.99";
		struct pkt p, sent, answer;
		struct pkt_view v;

		serve_one(f->vip, IPPROTO_UDP, f->b);
		sent = to_service(f, IPPROTO_UDP, 40000, 0);
		p = pkt_icmp_error(f->b, f->a, &sent);
		cr_assert_eq(out_of_b(&p), TC_ACT_REDIRECT);
		v = pkt_view(&p);
		cr_assert(ip_is(&v.src, f->vip), "the backend's error is the service's");
		pkt_expect_quoted(&p, f->a, 40000, f->vip, 80);

		p = pkt_icmp_error(router, f->a, &sent);
		cr_assert_eq(run(PROG_TO_POD, &p, fx.pod_a, fx.uplink), TC_ACT_OK);
		v = pkt_view(&p);
		cr_assert(ip_is(&v.src, router), "a router's is its own");
		pkt_expect_quoted(&p, f->a, 40000, f->vip, 80);

		answer = pkt_l4(f->vip, f->a, IPPROTO_UDP, 80, 40000);
		p = pkt_icmp_error(f->a, f->vip, &answer);
		cr_assert_eq(out_of_a(&p), TC_ACT_REDIRECT);
		v = pkt_view(&p);
		cr_assert(ip_is(&v.src, f->a) && ip_is(&v.dst, f->b));
		pkt_expect_quoted(&p, f->b, 8080, f->a, 40000);
	}
}

Test(forward, fragments_go_with_the_first)
{
	struct pkt p = pkt_l4(POD_A4, VIP4, IPPROTO_UDP, 40000, 80);
	struct ip_addr b = addr(POD_B4);

	serve_one(VIP4, IPPROTO_UDP, POD_B4);
	p.data[14 + 4] = 7;    /* identification */
	p.data[14 + 6] = 0x20; /* more fragments */
	cr_assert_eq(out_of_a(&p), TC_ACT_REDIRECT);
	cr_assert(memcmp(p.data + 30, &b.w[3], 4) == 0);
	p = pkt_l4(POD_A4, VIP4, IPPROTO_UDP, 1, 2);
	p.data[14 + 4] = 7;
	p.data[14 + 7] = 3; /* 24 bytes on: what stands there now are no ports */
	cr_assert_eq(out_of_a(&p), TC_ACT_REDIRECT);
	cr_assert(memcmp(p.data + 30, &b.w[3], 4) == 0);
	cr_assert(p.data[34] == 0 && p.data[35] == 1 && p.data[37] == 2);
}
