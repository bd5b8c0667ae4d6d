/* SPDX-License-Identifier: Apache-2.0 */
/* Services from outside the cluster: what the uplink's programs make of node ports and external addresses. */
#include <linux/pkt_cls.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <string.h>

#include "harness.h"
#include "abi/svc.h"

#define NODE_PORT 30080
#define SPORT	  50000

TestSuite(outside, .init = node_up, .fini = node_down);

static const uint8_t mac_a[6] = { 2, 0, 0, 0, 1, 10 }, mac_b[6] = { 2, 0, 0, 0, 1, 11 },
		     mac_host[6] = { 2, 0, 0, 0, 0, 1 }, mac_router[6] = { 2, 0, 0, 0, 9, 9 },
		     mac_uplink[6] = { 2, 0, 0, 0, 9, 1 };

static const struct family {
	const char *any, *vip, *world, *node, *other_node, *a, *b, *remote, *router;
} families[] = {
	{ "0.0.0.0", "198.51.100.7", WORLD4, NODE4, OTHER_NODE4, POD_A4, POD_B4, REMOTE4, "172.30.0.99" },
	{ "::", "2001:db8:7::7", WORLD6, NODE6, OTHER_NODE6, POD_A6, POD_B6, REMOTE6, "fd00:30::99" },
};
static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP };

static void serve_n(const char *vip, uint16_t port, uint8_t proto, uint8_t side, uint32_t affinity_s, const char *ip,
		    size_t n)
{
	struct dp_backend b[16];
	struct dp_service svc = { .vip = addr(vip),
				  .port = port,
				  .proto = proto,
				  .side = side,
				  .affinity_s = affinity_s,
				  .backends = b,
				  .n_backends = n };

	for (size_t i = 0; i < n; i++)
		b[i] = (struct dp_backend){ addr(ip), (uint16_t)(8080 + i) };
	ok(dp_service_set(fx.dp, &svc, &test_err));
}

static void serve(const char *vip, uint16_t port, uint8_t proto, const char *ip)
{
	serve_n(vip, port, proto, SVC_OUTSIDE, 0, ip, 1);
}

static struct pkt packet(const char *src, uint16_t sport, const char *dst, uint16_t dport, uint8_t proto, uint8_t flags)
{
	struct pkt p = proto == IPPROTO_TCP ? pkt_tcp(src, dst, sport, dport, flags)
					    : pkt_l4(src, dst, proto, sport, dport);

	pkt_macs(&p, mac_uplink, mac_router);
	return p;
}

static int in(struct pkt *p)
{
	return run(PROG_FROM_UPLINK, p, fx.uplink, fx.uplink);
}

static int out(struct pkt *p, uint32_t ingress)
{
	return run(PROG_TO_UPLINK, p, fx.uplink, ingress);
}

static int out_of_b(struct pkt *p)
{
	pkt_macs(p, mac_host, mac_b);
	return run(PROG_FROM_POD, p, fx.pod_b, fx.pod_b);
}

/* A client's first packet to what is served, as it leaves the uplink's program. */
static struct pkt ask(const struct family *f, const char *dst, uint16_t port, uint8_t proto, uint16_t sport,
		      int verdict)
{
	struct pkt p = packet(f->world, sport, dst, port, proto, TH_SYN);

	cr_assert_eq(in(&p), verdict);
	return p;
}

Test(outside, a_pod_of_this_node_sees_the_client_and_the_client_the_service)
{
	for (size_t i = 0; i < 2; i++) {
		for (size_t k = 0; k < 2; k++) {
			const struct family *f = &families[i];
			const char *const vips[] = { f->any, f->vip }, *const dsts[] = { f->node, f->vip };
			const uint16_t ports[] = { NODE_PORT, 80 };

			for (int v = 0; v < 2; v++) {
				struct pkt p;

				serve(vips[v], ports[v], protos[k], f->b);
				p = ask(f, dsts[v], ports[v], protos[k], SPORT + v, TC_ACT_REDIRECT);
				pkt_expect(&p, f->world, SPORT + v, f->b, 8080);
				cr_assert(memcmp(p.data, mac_b, 6) == 0, "into the pod");

				p = packet(f->b, 8080, f->world, SPORT + v, protos[k], TH_SYN | TH_ACK);
				cr_assert_eq(out_of_b(&p), TC_ACT_OK, "by the kernel's routing");
				cr_assert_eq(out(&p, fx.pod_b), TC_ACT_OK);
				pkt_expect(&p, dsts[v], ports[v], f->world, SPORT + v);
			}
		}
	}
}

/* Masqueraded, so that the answer comes back here. */
static void elsewhere(const struct family *f, uint8_t proto, const char *backend)
{
	struct pkt p = ask(f, f->node, NODE_PORT, proto, SPORT, TC_ACT_REDIRECT);
	uint16_t port = pkt_view(&p).sport, again;

	cr_assert(port >= 61000);
	pkt_expect(&p, f->node, port, backend, 8080);
	p = packet(f->world, SPORT, f->node, NODE_PORT, proto, TH_ACK);
	cr_assert_eq(in(&p), TC_ACT_REDIRECT);
	again = pkt_view(&p).sport;
	cr_assert_eq(again, port, "the flow keeps its port");

	p = packet(backend, 8080, f->node, port, proto, TH_SYN | TH_ACK);
	cr_assert_eq(in(&p), TC_ACT_REDIRECT);
	pkt_expect(&p, f->node, NODE_PORT, f->world, SPORT);
	cr_assert_eq(out(&p, fx.uplink), TC_ACT_OK, "and leaves as it is");
	pkt_expect(&p, f->node, NODE_PORT, f->world, SPORT);
}

Test(outside, a_backend_elsewhere_answers_by_this_node)
{
	for (size_t i = 0; i < 2; i++) {
		for (size_t k = 0; k < 2; k++) {
			serve(families[i].any, NODE_PORT, protos[k], families[i].remote);
			elsewhere(&families[i], protos[k], families[i].remote);
			serve(families[i].any, NODE_PORT, protos[k], families[i].other_node);
			elsewhere(&families[i], protos[k], families[i].other_node);
		}
	}
}

Test(outside, a_process_of_the_node_itself_serves)
{
	for (size_t i = 0; i < 2; i++) {
		for (size_t k = 0; k < 2; k++) {
			const struct family *f = &families[i];
			struct pkt p;

			serve(f->any, NODE_PORT, protos[k], f->node);
			p = ask(f, f->node, NODE_PORT, protos[k], SPORT, TC_ACT_OK);
			pkt_expect(&p, f->world, SPORT, f->node, 8080);
			p = packet(f->node, 8080, f->world, SPORT, protos[k], TH_SYN | TH_ACK);
			cr_assert_eq(out(&p, FROM_HOST), TC_ACT_OK);
			pkt_expect(&p, f->node, NODE_PORT, f->world, SPORT);
			p = packet(f->node, 8080, f->world, SPORT + 1, protos[k], TH_SYN | TH_ACK);
			cr_assert_eq(out(&p, FROM_HOST), TC_ACT_OK);
			pkt_expect(&p, f->node, 8080, f->world, SPORT + 1);
		}
	}
}

/* The address is also offered to the inside, where another backend is right. */
Test(outside, each_side_has_its_own_backends)
{
	struct pkt p;

	serve_n("0.0.0.0", NODE_PORT, IPPROTO_TCP, SVC_INSIDE, 0, REMOTE4, 1);
	p = ask(&families[0], NODE4, NODE_PORT, IPPROTO_TCP, SPORT, TC_ACT_OK);
	pkt_expect(&p, WORLD4, SPORT, NODE4, NODE_PORT);
	serve("0.0.0.0", NODE_PORT, IPPROTO_TCP, POD_B4);
	p = ask(&families[0], NODE4, NODE_PORT, IPPROTO_TCP, SPORT, TC_ACT_REDIRECT);
	pkt_expect(&p, WORLD4, SPORT, POD_B4, 8080);
	p = pkt_tcp(POD_A4, NODE4, 40000, NODE_PORT, TH_SYN);
	pkt_macs(&p, mac_host, mac_a);
	cr_assert_eq(run(PROG_FROM_POD, &p, fx.pod_a, fx.pod_a), TC_ACT_REDIRECT);
	pkt_expect(&p, POD_A4, 40000, REMOTE4, 8080);
}

/* By a raw socket or a network namespace of its own, which no socket hook sees: this node's address or another's. */
Test(outside, a_pod_asks_a_node_port_packet_by_packet)
{
	for (size_t i = 0; i < 2; i++) {
		for (size_t k = 0; k < 2; k++) {
			const struct family *f = &families[i];
			const char *const nodes[] = { f->node, f->other_node };
			struct dp_ipcache_entry other = { .ip = addr(f->other_node), .identity = IDENTITY_REMOTE_NODE };

			ok(dp_ipcache_set(fx.dp, &other, &test_err));
			serve_n(f->any, NODE_PORT, protos[k], SVC_INSIDE, 0, f->b, 1);
			for (uint16_t n = 0; n < 2; n++) {
				struct pkt p = packet(f->a, 40000 + n, nodes[n], NODE_PORT, protos[k], TH_SYN);

				pkt_macs(&p, mac_host, mac_a);
				cr_assert_eq(run(PROG_FROM_POD, &p, fx.pod_a, fx.pod_a), TC_ACT_REDIRECT);
				pkt_expect(&p, f->a, 40000 + n, f->b, 8080);
				p = packet(f->b, 8080, f->a, 40000 + n, protos[k], TH_SYN | TH_ACK);
				cr_assert_eq(out_of_b(&p), TC_ACT_REDIRECT);
				pkt_expect(&p, nodes[n], NODE_PORT, f->a, 40000 + n);
			}
		}
	}
}

Test(outside, a_port_that_is_no_services_is_the_nodes)
{
	struct pkt p = ask(&families[0], NODE4, NODE_PORT, IPPROTO_TCP, SPORT, TC_ACT_OK);

	pkt_expect(&p, WORLD4, SPORT, NODE4, NODE_PORT);
	p = pkt_tcp(POD_A4, NODE4, 40000, NODE_PORT, TH_SYN);
	pkt_macs(&p, mac_host, mac_a);
	cr_assert_eq(run(PROG_FROM_POD, &p, fx.pod_a, fx.pod_a), TC_ACT_OK);
	pkt_expect(&p, POD_A4, 40000, NODE4, NODE_PORT);
	cr_assert_eq(drops(DROP_NO_BACKEND), 0);
}

/* A connection of the node's own from a port that is a service's, too. */
Test(outside, answers_to_the_node_are_not_taken_for_questions)
{
	struct pkt p = packet(WORLD4, 443, NODE4, NODE_PORT, IPPROTO_TCP, TH_SYN | TH_ACK);

	serve("0.0.0.0", NODE_PORT, IPPROTO_TCP, POD_B4);
	cr_assert_eq(in(&p), TC_ACT_OK);
	pkt_expect(&p, WORLD4, 443, NODE4, NODE_PORT);
}

Test(outside, without_a_backend_the_client_is_told_by_whom_it_asked)
{
	for (size_t i = 0; i < 2; i++) {
		const struct family *f = &families[i];
		struct pkt p;

		serve_n(f->any, NODE_PORT, IPPROTO_TCP, SVC_OUTSIDE, 0, f->b, 0);
		serve_n(f->any, NODE_PORT, IPPROTO_UDP, SVC_OUTSIDE, 0, f->b, 0);
		p = ask(f, f->node, NODE_PORT, IPPROTO_TCP, SPORT, TC_ACT_REDIRECT);
		pkt_expect(&p, f->node, NODE_PORT, f->world, SPORT);
		cr_assert_eq(p.data[(i ? 54 : 34) + 13], TH_RST | TH_ACK);
		cr_assert(memcmp(p.data, mac_router, 6) == 0 && memcmp(p.data + 6, mac_uplink, 6) == 0);
		p = ask(f, f->node, NODE_PORT, IPPROTO_UDP, SPORT, TC_ACT_REDIRECT);
		pkt_expect_quoted(&p, f->world, SPORT, f->node, NODE_PORT);
	}
	cr_assert_eq(drops(DROP_NO_BACKEND), 4);
}

Test(outside, with_backends_only_elsewhere_a_local_service_is_silent)
{
	struct dp_service svc = {
		.vip = addr("0.0.0.0"), .port = NODE_PORT, .proto = IPPROTO_TCP, .side = SVC_OUTSIDE
	};
	struct dp_service *list;
	size_t n;

	svc.silent = true;
	ok(dp_service_set(fx.dp, &svc, &test_err));
	ask(&families[0], NODE4, NODE_PORT, IPPROTO_TCP, SPORT, TC_ACT_SHOT);
	cr_assert_eq(drops(DROP_NO_BACKEND), 1);
	ok(dp_service_list(fx.dp, &list, &n, &test_err));
	cr_assert(n == 1 && list[0].silent && list[0].side == SVC_OUTSIDE);
	free(list);
	svc.silent = false;
	ok(dp_service_set(fx.dp, &svc, &test_err));
	ask(&families[0], NODE4, NODE_PORT, IPPROTO_TCP, SPORT, TC_ACT_REDIRECT);
}

/* The kernel would route it back to where it came from, for ever. */
Test(outside, what_is_no_port_of_an_external_address_is_refused)
{
	for (size_t i = 0; i < 2; i++) {
		const struct family *f = &families[i];
		struct pkt p;

		serve(f->vip, 80, IPPROTO_TCP, f->b);
		ask(f, f->vip, 81, IPPROTO_TCP, SPORT, TC_ACT_OK);
		serve_n(f->vip, 0, 0, SVC_OUTSIDE, 0, f->b, 0);
		p = ask(f, f->vip, 81, IPPROTO_TCP, SPORT, TC_ACT_REDIRECT);
		pkt_expect(&p, f->vip, 81, f->world, SPORT);
		p = pkt_icmp(f->world, f->vip, i ? IPPROTO_ICMPV6 : IPPROTO_ICMP, 7,
			     i ? ICMP6_ECHO_REQUEST : ICMP_ECHO);
		cr_assert_eq(in(&p), TC_ACT_SHOT);
		p = packet(f->world, SPORT, f->vip, 80, IPPROTO_TCP, TH_ACK);
		cr_assert_eq(in(&p), TC_ACT_REDIRECT, "a connection that nobody knows");
		pkt_expect(&p, f->vip, 80, f->world, SPORT);
	}
}

static void set_ranges(const char *vip, const struct dp_range *ranges, size_t n)
{
	struct dp_backend b = { addr(POD_B4), 8080 };
	struct dp_service svc = { .vip = addr(vip),
				  .port = 80,
				  .proto = IPPROTO_TCP,
				  .side = SVC_OUTSIDE,
				  .backends = &b,
				  .n_backends = 1,
				  .ranges = ranges,
				  .n_ranges = n };

	ok(dp_service_set(fx.dp, &svc, &test_err));
}

Test(outside, source_ranges_admit_their_clients_only)
{
	const struct dp_range mine[] = { { addr("203.0.113.0"), 96 + 24 }, { addr("8.8.8.8"), 128 } };
	const struct dp_range both[] = { mine[1], mine[0] };
	const char *vip = families[0].vip;
	struct dp_service svc = { .vip = addr(vip), .port = 80, .proto = IPPROTO_TCP, .side = SVC_OUTSIDE };
	struct family other = families[0];
	struct dp_service *list;
	uint32_t id;
	size_t n;

	other.world = "203.0.114.1";
	set_ranges(vip, mine, 2);
	ask(&families[0], vip, 80, IPPROTO_TCP, SPORT, TC_ACT_REDIRECT);
	ask(&other, vip, 80, IPPROTO_TCP, SPORT, TC_ACT_SHOT);
	cr_assert_eq(drops(DROP_SOURCE_RANGE), 1);
	other.world = "203.0.113.99";
	ask(&other, vip, 80, IPPROTO_TCP, SPORT, TC_ACT_REDIRECT);

	ok(dp_service_list(fx.dp, &list, &n, &test_err));
	id = list[0].ranges_id;
	free(list);
	cr_assert(id && id == dp_ranges_id(both, 2), "whatever their order");
	set_ranges(vip, mine, 1);
	ok(dp_service_list(fx.dp, &list, &n, &test_err));
	cr_assert(list[0].ranges_id != id);
	free(list);
	ask(&families[0], vip, 80, IPPROTO_TCP, SPORT, TC_ACT_SHOT);
	set_ranges(vip, NULL, 0);
	ask(&families[0], vip, 80, IPPROTO_TCP, SPORT, TC_ACT_REDIRECT);

	/* nothing stays behind */
	set_ranges(vip, mine, 2);
	ok(dp_service_del(fx.dp, &svc, &test_err));
	cr_assert_eq(map_entries("source_ranges"), 0);
}

Test(outside, policy_of_the_pod_judges_the_client)
{
	struct dp_policy_rule allow = rule(POLICY_INGRESS, IDENTITY_WORLD, IPPROTO_TCP, 8080, 16, true, 7);

	serve("0.0.0.0", NODE_PORT, IPPROTO_TCP, POD_B4);
	set_policy(EP_B, true, false, &allow, 0);
	bump();
	ask(&families[0], NODE4, NODE_PORT, IPPROTO_TCP, SPORT, TC_ACT_SHOT);
	cr_assert_eq(drops_of(EP_B, DROP_POLICY_DENIED, POLICY_INGRESS), 1);
	set_policy(EP_B, true, false, &allow, 1);
	bump();
	ask(&families[0], NODE4, NODE_PORT, IPPROTO_TCP, SPORT, TC_ACT_REDIRECT);
}

Test(outside, an_address_with_affinity_comes_to_one_backend)
{
	unsigned chosen = 0;
	struct pkt p;
	uint16_t first;

	serve_n("0.0.0.0", NODE_PORT, IPPROTO_TCP, SVC_OUTSIDE, 60, POD_B4, 8);
	p = ask(&families[0], NODE4, NODE_PORT, IPPROTO_TCP, SPORT, TC_ACT_REDIRECT);
	first = pkt_view(&p).dport;
	for (uint16_t i = 1; i < 50; i++) {
		p = ask(&families[0], NODE4, NODE_PORT, IPPROTO_TCP, SPORT + i, TC_ACT_REDIRECT);
		cr_assert_eq(pkt_view(&p).dport, first);
	}
	for (uint8_t i = 1; i < 100; i++) {
		struct family other = families[0];
		char client[16];

		snprintf(client, sizeof(client), "203.0.113.%u", i);
		other.world = client;
		p = ask(&other, NODE4, NODE_PORT, IPPROTO_TCP, SPORT, TC_ACT_REDIRECT);
		chosen |= 1u << (pkt_view(&p).dport - 8080);
	}
	cr_assert_eq(chosen, 0xff, "others by chance");
}

Test(outside, errors_find_both_ends)
{
	for (size_t i = 0; i < 2; i++) {
		const struct family *f = &families[i];
		struct pkt sent, answer, p;
		struct pkt_view v;
		uint16_t port;

		/* a pod of this node */
		serve(f->any, NODE_PORT, IPPROTO_UDP, f->b);
		sent = ask(f, f->node, NODE_PORT, IPPROTO_UDP, SPORT, TC_ACT_REDIRECT);
		p = pkt_icmp_error(f->b, f->world, &sent);
		cr_assert_eq(out_of_b(&p), TC_ACT_OK);
		cr_assert_eq(out(&p, fx.pod_b), TC_ACT_OK);
		v = pkt_view(&p);
		cr_assert(ip_is(&v.src, f->node) && ip_is(&v.dst, f->world));
		pkt_expect_quoted(&p, f->world, SPORT, f->node, NODE_PORT);
		answer = packet(f->node, NODE_PORT, f->world, SPORT, IPPROTO_UDP, 0);
		p = pkt_icmp_error(f->router, f->node, &answer);
		cr_assert_eq(in(&p), TC_ACT_REDIRECT);
		v = pkt_view(&p);
		cr_assert(ip_is(&v.src, f->router) && ip_is(&v.dst, f->b));
		pkt_expect_quoted(&p, f->b, 8080, f->world, SPORT);

		/* a pod elsewhere */
		serve(f->any, NODE_PORT + 1, IPPROTO_UDP, f->remote);
		sent = ask(f, f->node, NODE_PORT + 1, IPPROTO_UDP, SPORT, TC_ACT_REDIRECT);
		port = pkt_view(&sent).sport;
		p = pkt_icmp_error(f->remote, f->node, &sent);
		cr_assert_eq(in(&p), TC_ACT_REDIRECT);
		v = pkt_view(&p);
		cr_assert(ip_is(&v.src, f->node) && ip_is(&v.dst, f->world));
		pkt_expect_quoted(&p, f->world, SPORT, f->node, NODE_PORT + 1);
		answer = packet(f->node, NODE_PORT + 1, f->world, SPORT, IPPROTO_UDP, 0);
		p = pkt_icmp_error(f->world, f->node, &answer);
		cr_assert_eq(in(&p), TC_ACT_REDIRECT);
		v = pkt_view(&p);
		cr_assert(ip_is(&v.src, f->node) && ip_is(&v.dst, f->remote));
		pkt_expect_quoted(&p, f->remote, 8080, f->node, port);
	}
	cr_assert_eq(drops(DROP_NO_ENDPOINT), 0);
}

Test(outside, fragments_go_with_the_first)
{
	struct pkt p = packet(WORLD4, SPORT, NODE4, NODE_PORT, IPPROTO_UDP, 0);
	struct ip_addr remote = addr(REMOTE4), node = addr(NODE4);

	serve("0.0.0.0", NODE_PORT, IPPROTO_UDP, REMOTE4);
	p.data[14 + 4] = 7;    /* identification */
	p.data[14 + 6] = 0x20; /* more fragments */
	cr_assert_eq(in(&p), TC_ACT_REDIRECT);
	p = packet(WORLD4, 1, NODE4, 2, IPPROTO_UDP, 0);
	p.data[14 + 4] = 7;
	p.data[14 + 7] = 3; /* 24 bytes on: what stands there now are no ports */
	cr_assert_eq(in(&p), TC_ACT_REDIRECT);
	cr_assert(!memcmp(p.data + 26, &node.w[3], 4) && !memcmp(p.data + 30, &remote.w[3], 4));
	cr_assert(p.data[34] == 0 && p.data[35] == 1 && p.data[37] == 2);
}
