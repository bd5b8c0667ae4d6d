/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services with direct server return: the client's packet goes to the backend's node as it is, by xdp_lb or by
 * from_uplink, and that node answers by itself.
 */
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/pkt_cls.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"
#include "abi/svc.h"

#define NODE_PORT 30080
#define PORT	  80
#define SPORT	  50000
#define VIP4	  "198.51.100.7"
#define VIP6	  "2001:db8:7::7"
#define THIRD4	  "172.30.1.3"
#define OUTER	  50

static const uint8_t mac_b[6] = { 2, 0, 0, 0, 1, 11 }, mac_host[6] = { 2, 0, 0, 0, 0, 1 },
		     mac_router[6] = { 2, 0, 0, 0, 9, 9 }, mac_uplink[6] = { 2, 0, 0, 0, 9, 1 },
		     mac_other[6] = { 2, 0, 0, 0, 9, 2 };

static const struct family {
	const char *any, *vip, *world, *node, *b, *remote, *router;
} families[] = {
	{ "0.0.0.0", VIP4, WORLD4, NODE4, POD_B4, REMOTE4, "172.30.0.99" },
	{ "::", VIP6, WORLD6, NODE6, POD_B6, REMOTE6, "fd00:30::99" },
};
static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP };

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

/* What the kernel sends through the tunnel tells how the node there is reached. */
static void reach(const char *node, const uint8_t *mac)
{
	struct pkt p = pkt_l4(NODE4, node, IPPROTO_UDP, 50001, 8472);

	pkt_macs(&p, mac, mac_uplink);
	cr_assert_eq(run(PROG_TO_UPLINK, &p, fx.uplink, FROM_HOST), TC_ACT_OK);
}

static void up(void)
{
	fx.config.xdp = DP_XDP_GENERIC;
	node_up();
	reach(OTHER_NODE4, mac_other);
}

TestSuite(direct, .init = up, .fini = node_down);

static struct dp_service service(const char *vip, uint16_t port, uint8_t proto, const struct dp_backend *b, size_t n)
{
	return (struct dp_service){ .vip = addr(vip),
				    .port = port,
				    .proto = proto,
				    .side = SVC_OUTSIDE,
				    .backends = b,
				    .n_backends = n,
				    .direct = true };
}

static void serve(const char *vip, uint16_t port, uint8_t proto, const char *ip)
{
	struct dp_backend b = { addr(ip), 8080 };
	struct dp_service svc = service(vip, port, proto, &b, 1);

	ok(dp_service_set(fx.dp, &svc, &test_err));
}

static uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

/* The frame is `sent` in a tunnel header to that node. */
static void check_tunnel(const struct pkt *p, const struct pkt *sent, const char *node, const uint8_t *mac)
{
	struct pkt outer = { .len = 42 };

	cr_assert_eq(p->len, sent->len + OUTER);
	cr_assert(!memcmp(p->data, mac, 6), "to the node's address");
	cr_assert(!memcmp(p->data + OUTER, sent->data, sent->len), "the frame as it came");
	memcpy(outer.data, p->data, p->len);
	outer.len = p->len;
	pkt_expect(&outer, NODE4, be16(p->data + 34), node, 8472);
	cr_assert(be16(p->data + 34) >= 49152);
	cr_assert_eq(be16(p->data + 16), p->len - 14);
	cr_assert_eq(be16(p->data + 38), p->len - 34);
	cr_assert(!memcmp(p->data + 42, (const uint8_t[]){ 8, 0, 0, 0, 0, 0, 1, 0 }, 8), "VXLAN, network 1");
}

Test(direct, a_clients_packet_goes_to_the_backends_node_as_it_is)
{
	uint64_t packets, bytes, len = 0;

	for (size_t i = 0; i < 4; i++) {
		const struct family *f = &families[i / 2];
		const char *const vips[] = { f->any, f->vip }, *const dsts[] = { f->node, f->vip };
		const uint16_t ports[] = { NODE_PORT, PORT };

		for (int v = 0; v < 2; v++) {
			struct pkt p, sent = packet(f->world, SPORT, dsts[v], ports[v], protos[i % 2], TH_SYN);

			serve(vips[v], ports[v], protos[i % 2], f->remote);
			p = sent;
			cr_assert_eq(in(&p), TC_ACT_REDIRECT, "by TC");
			cr_assert(!memcmp(p.data, sent.data, sent.len) && p.len == sent.len, "untouched");
			p = sent;
			cr_assert_eq(run_xdp(&p), XDP_TX, "by XDP");
			check_tunnel(&p, &sent, OTHER_NODE4, mac_other);
			len += sent.len;
		}
	}
	ok(dp_xdp_stats(fx.dp, &packets, &bytes, &test_err));
	cr_assert(packets == 8 && bytes == len);
	cr_assert_eq(map_entries("nat_in"), 0, "nothing is masqueraded");
	cr_assert_eq(map_entries("svc_in"), 0, "the way back is not by this node");
}

/* The other half: here is the backend, and another node had the packet from the client. */
Test(direct, the_backends_node_answers_the_client)
{
	for (size_t i = 0; i < 4; i++) {
		const struct family *f = &families[i / 2];
		const char *const vips[] = { f->any, f->vip };
		/* a node port of the other node; of IPv6, of one that this node knows as little */
		const char *const dsts[] = { i / 2 ? "fd00:30::1:2" : OTHER_NODE4, f->vip };
		const uint16_t ports[] = { NODE_PORT, PORT };

		for (int v = 0; v < 2; v++) {
			uint16_t sport = (uint16_t)(SPORT + v);
			struct pkt p = packet(f->world, sport, dsts[v], ports[v], protos[i % 2], TH_SYN);

			serve(vips[v], ports[v], protos[i % 2], f->b);
			cr_assert_eq(run(PROG_FROM_TUNNEL, &p, fx.tunnel, fx.tunnel), TC_ACT_REDIRECT);
			pkt_expect(&p, f->world, sport, f->b, 8080);
			cr_assert(!memcmp(p.data, mac_b, 6), "into the pod");

			p = packet(f->b, 8080, f->world, sport, protos[i % 2], TH_SYN | TH_ACK);
			pkt_macs(&p, mac_host, mac_b);
			cr_assert_eq(run(PROG_FROM_POD, &p, fx.pod_b, fx.pod_b), TC_ACT_OK);
			cr_assert_eq(run(PROG_TO_UPLINK, &p, fx.uplink, fx.pod_b), TC_ACT_OK);
			pkt_expect(&p, dsts[v], ports[v], f->world, sport);
		}
	}
}

Test(direct, what_is_not_direct_is_no_matter_of_the_tunnel)
{
	struct dp_backend b = { addr(POD_B4), 8080 };
	struct dp_service svc = service(VIP4, PORT, IPPROTO_TCP, &b, 1);
	struct pkt p = packet(WORLD4, SPORT, VIP4, PORT, IPPROTO_TCP, TH_SYN), sent = p;

	svc.direct = false;
	ok(dp_service_set(fx.dp, &svc, &test_err));
	cr_assert_eq(run(PROG_FROM_TUNNEL, &p, fx.tunnel, fx.tunnel), TC_ACT_OK, "the node's own stack");
	cr_assert(!memcmp(p.data, sent.data, sent.len));
	/* its backend is elsewhere: both nodes do not agree yet */
	serve(VIP4, PORT, IPPROTO_TCP, REMOTE4);
	p = sent;
	cr_assert_eq(run(PROG_FROM_TUNNEL, &p, fx.tunnel, fx.tunnel), TC_ACT_SHOT);
	cr_assert_eq(drops(DROP_NO_BACKEND), 1);
	/* nor may another node's pod say that it is the world */
	p = packet(POD_A4, SPORT, VIP4, PORT, IPPROTO_TCP, TH_SYN);
	cr_assert_eq(run(PROG_FROM_TUNNEL, &p, fx.tunnel, fx.tunnel), TC_ACT_SHOT);
	cr_assert_eq(drops(DROP_SPOOFED_SOURCE), 1);
}

Test(direct, policy_of_the_pod_judges_the_client)
{
	struct pkt p = packet(WORLD4, SPORT, VIP4, PORT, IPPROTO_TCP, TH_SYN);

	serve(VIP4, PORT, IPPROTO_TCP, POD_B4);
	set_policy(EP_B, true, false, NULL, 0);
	cr_assert_eq(run(PROG_FROM_TUNNEL, &p, fx.tunnel, fx.tunnel), TC_ACT_SHOT);
	cr_assert_eq(drops_of(EP_B, DROP_POLICY_DENIED, DP_INGRESS), 1);
}

static void passes(struct pkt p, const char *why)
{
	struct pkt sent = p;

	cr_assert_eq(run_xdp(&p), XDP_PASS, "%s", why);
	cr_assert(p.len == sent.len && !memcmp(p.data, sent.data, sent.len), "%s", why);
}

static void refit_ip(struct pkt *p)
{
	uint32_t sum = 0;

	p->data[24] = p->data[25] = 0;
	for (int i = 14; i < 14 + (p->data[14] & 15) * 4; i += 2)
		sum += be16(p->data + i);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~((sum & 0xffff) + (sum >> 16));
	p->data[24] = (uint8_t)(sum >> 8);
	p->data[25] = (uint8_t)sum;
}

Test(direct, xdp_leaves_the_rest_to_tc)
{
	struct pkt syn = packet(WORLD4, SPORT, VIP4, PORT, IPPROTO_TCP, TH_SYN), p;
	struct dp_range range = { addr("8.0.0.0"), 104 };
	struct dp_backend remote = { addr(REMOTE4), 8080 };
	struct dp_service svc = service(VIP4, PORT, IPPROTO_TCP, &remote, 1);

	passes(syn, "no service");
	passes(pkt_icmp(WORLD4, VIP4, IPPROTO_ICMP, 1, ICMP_ECHO), "no ports");
	serve(VIP4, PORT, IPPROTO_TCP, POD_B4);
	passes(syn, "the backend is here");
	serve(VIP4, PORT, IPPROTO_TCP, OTHER_NODE4);
	passes(syn, "the backend is on a node's own network");
	svc.direct = false;
	ok(dp_service_set(fx.dp, &svc, &test_err));
	passes(syn, "not direct");
	svc.direct = true;
	svc.ranges = &range;
	svc.n_ranges = 1;
	ok(dp_service_set(fx.dp, &svc, &test_err));
	passes(syn, "source ranges");
	svc.n_ranges = 0;
	svc.n_backends = 0;
	ok(dp_service_set(fx.dp, &svc, &test_err));
	passes(syn, "no backends: to be refused");
	svc.n_backends = 1;
	ok(dp_service_set(fx.dp, &svc, &test_err));
	passes(packet(WORLD4, SPORT, VIP4, PORT + 1, IPPROTO_TCP, TH_SYN), "another port");
	passes(packet(WORLD4, SPORT, VIP4, PORT, IPPROTO_UDP, 0), "another protocol");
	p = syn;
	p.data[20] = 0x20; /* more fragments */
	refit_ip(&p);
	passes(p, "a fragment");
	p = packet(WORLD4, SPORT, VIP4, PORT, IPPROTO_TCP, TH_ACK);
	p.len = 1500 + 14 - OUTER + 14 + 1;
	p.data[16] = (uint8_t)((p.len - 14) >> 8);
	p.data[17] = (uint8_t)(p.len - 14);
	refit_ip(&p);
	passes(p, "it does not fit with a tunnel header");
	p.len = 40;
	passes(p, "cut short");
	p = syn;
	cr_assert_eq(run_xdp(&p), XDP_TX, "but for all that it would have gone");
}

Test(direct, a_frame_for_another_machine_is_left_alone)
{
	struct pkt p = packet(WORLD4, SPORT, VIP4, PORT, IPPROTO_TCP, TH_SYN), sent;

	serve(VIP4, PORT, IPPROTO_TCP, REMOTE4);
	pkt_macs(&p, mac_other, mac_router);
	sent = p;
	passes(p, "by XDP");
	cr_assert_eq(in(&p), TC_ACT_OK, "by TC");
	cr_assert(!memcmp(p.data, sent.data, sent.len));
	cr_assert_eq(map_entries("svc_out"), 0);
}

Test(direct, a_node_that_is_not_known_how_to_reach_is_reached_by_the_kernel)
{
	struct dp_ipcache_entry third = { addr("10.0.3.10"), ID_REMOTE, addr(THIRD4) };
	struct pkt p = packet(WORLD4, SPORT, VIP4, PORT, IPPROTO_UDP, 0);
	static const uint8_t mac_third[6] = { 2, 0, 0, 0, 9, 3 };
	struct pkt sent = p;

	ok(dp_ipcache_set(fx.dp, &third, &test_err));
	serve(VIP4, PORT, IPPROTO_UDP, "10.0.3.10");
	passes(p, "not known");
	cr_assert_eq(in(&p), TC_ACT_REDIRECT, "the kernel's tunnel");
	reach(THIRD4, mac_third);
	p = sent;
	cr_assert_eq(run_xdp(&p), XDP_TX);
	check_tunnel(&p, &sent, THIRD4, mac_third);
}

#define REMOTES 10

/* Backends on nodes of their own, in this order or the other. */
static struct dp_service spread(struct dp_backend b[REMOTES], bool backwards)
{
	for (int i = 0; i < REMOTES; i++) {
		struct dp_ipcache_entry e = { addr("10.0.5.0"), ID_REMOTE, addr("172.30.5.0") };
		int at = backwards ? REMOTES - 1 - i : i;
		char node[16];

		e.ip.w[3] += (uint32_t)(10 + i) << 24;
		e.node.w[3] += (uint32_t)(10 + i) << 24;
		ok(dp_ipcache_set(fx.dp, &e, &test_err));
		snprintf(node, sizeof(node), "172.30.5.%d", 10 + i);
		reach(node, mac_other);
		b[at] = (struct dp_backend){ e.ip, 8080 };
	}
	return service(VIP4, PORT, IPPROTO_TCP, b, REMOTES);
}

/* The last byte of the node to which XDP sends the flow. */
static uint8_t node_of(uint16_t sport, uint8_t flags)
{
	struct pkt p = packet(WORLD4, sport, VIP4, PORT, IPPROTO_TCP, flags);

	cr_assert_eq(run_xdp(&p), XDP_TX);
	return p.data[33];
}

static void forget_flows(void)
{
	struct svc_flow_key key;

	while (bpf_map_get_next_key(fx.dp->map_fd[MAP_SVC_OUT], NULL, &key) == 0)
		(void)bpf_map_delete_elem(fx.dp->map_fd[MAP_SVC_OUT], &key);
}

#define FLOWS 400

Test(direct, every_node_chooses_the_same_backend_and_few_flows_move)
{
	struct dp_backend b[REMOTES];
	struct dp_service svc = spread(b, false);
	uint8_t first[FLOWS];
	int share[256] = { 0 }, moved = 0;

	ok(dp_service_set(fx.dp, &svc, &test_err));
	for (int i = 0; i < FLOWS; i++) {
		first[i] = node_of((uint16_t)(SPORT + i), TH_SYN);
		share[first[i]]++;
	}
	for (int i = 10; i < 10 + REMOTES; i++)
		cr_assert(share[i] > FLOWS / REMOTES / 4, "backend %d has %d of %d flows", i, share[i], FLOWS);

	/* Another node, which never saw these flows, and has the backends in another order. */
	svc = spread(b, true);
	ok(dp_service_set(fx.dp, &svc, &test_err));
	forget_flows();
	for (int i = 0; i < FLOWS; i++)
		cr_assert_eq(node_of((uint16_t)(SPORT + i), TH_ACK), first[i], "in its middle");

	/* One backend goes: what was known stays, and of what comes anew only the gone one's flows move. */
	svc.n_backends--;
	ok(dp_service_set(fx.dp, &svc, &test_err));
	for (int i = 0; i < FLOWS; i++)
		cr_assert_eq(node_of((uint16_t)(SPORT + i), TH_ACK), first[i], "an established connection drains");
	forget_flows();
	for (int i = 0; i < FLOWS; i++) {
		uint8_t now = node_of((uint16_t)(SPORT + i), TH_SYN);

		cr_assert_neq(now, 10, "it has gone");
		moved += first[i] != 10 && now != first[i];
	}
	cr_assert(moved <= FLOWS / 50, "%d of %d flows of the others moved", moved, FLOWS);
	cr_assert_eq(map_entries("maglev"), 1, "tables of earlier generations are gone");
	ok(dp_service_del(fx.dp, &svc, &test_err));
	cr_assert_eq(map_entries("maglev"), 0);
}

Test(direct, a_flood_of_syns_takes_no_room)
{
	struct dp_backend b[REMOTES];
	struct dp_service svc = spread(b, false);
	uint8_t now;

	ok(dp_service_set(fx.dp, &svc, &test_err));
	now = node_of(SPORT, TH_SYN);
	cr_assert_eq(map_entries("svc_out"), 0);
	cr_assert_eq(node_of(SPORT, TH_ACK), now);
	cr_assert_eq(map_entries("svc_out"), 0, "its slot says enough");

	/* The port is used again after its backend has gone: what is known of it is of the new connection. */
	for (int i = 0; i < REMOTES; i++)
		if (b[i].ip.w[3] >> 24 == now)
			b[i] = b[REMOTES - 1];
	svc.n_backends--;
	ok(dp_service_set(fx.dp, &svc, &test_err));
	cr_assert_eq(node_of(SPORT, TH_ACK), now, "it drains");
	now = node_of(SPORT, TH_SYN);
	cr_assert_eq(node_of(SPORT, TH_ACK), now);
	cr_assert_eq(map_entries("svc_out"), 1, "the slot has changed hands");
}

/* On a node's own address what is not known is the node's own. */
Test(direct, connections_to_a_node_port_are_known_from_the_start)
{
	for (size_t i = 0; i < 2; i++) {
		const struct family *f = &families[i];
		struct pkt p = packet(f->world, SPORT, f->node, NODE_PORT, IPPROTO_TCP, TH_ACK), sent = p;

		serve(f->any, NODE_PORT, IPPROTO_TCP, f->remote);
		passes(sent, "not known");
		p = sent;
		cr_assert_eq(in(&p), TC_ACT_OK, "the node's own");
		p = packet(f->world, SPORT, f->node, NODE_PORT, IPPROTO_TCP, TH_SYN);
		cr_assert_eq(run_xdp(&p), XDP_TX);
		p = sent;
		cr_assert_eq(run_xdp(&p), XDP_TX);
		check_tunnel(&p, &sent, OTHER_NODE4, mac_other);
	}
}

/* In a table of another size than the last one something is kept of every flow: so it shows what TC chose. */
Test(direct, tc_and_xdp_choose_alike)
{
	static const uint8_t flags[] = { TH_ACK, TH_SYN };
	struct dp_backend b[REMOTES];
	struct dp_service svc = spread(b, false);
	int moved = 0;

	svc.n_backends = 3;
	ok(dp_service_set(fx.dp, &svc, &test_err));
	svc.n_backends = REMOTES;
	ok(dp_service_set(fx.dp, &svc, &test_err));
	for (int i = 0; i < FLOWS; i++) {
		struct svc_flow_key key = { .client = addr(WORLD4),
					    .peer = addr(VIP4),
					    .client_port = htons((uint16_t)(SPORT + i)),
					    .peer_port = htons(PORT),
					    .proto = IPPROTO_TCP };
		struct backend_choice choice[2];

		for (int k = 0; k < 2; k++) {
			struct pkt p = packet(WORLD4, (uint16_t)(SPORT + i), VIP4, PORT, IPPROTO_TCP, flags[k]);

			forget_flows();
			cr_assert_eq(in(&p), TC_ACT_REDIRECT);
			cr_assert_eq(bpf_map_lookup_elem(fx.dp->map_fd[MAP_SVC_OUT], &key, &choice[k]), 0);
			forget_flows();
			cr_assert_eq(node_of((uint16_t)(SPORT + i), flags[k]), choice[k].backend_ip.w[3] >> 24);
		}
		moved += !ip_same(&choice[0].backend_ip, &choice[1].backend_ip);
	}
	cr_assert(moved > FLOWS / 2, "%d of %d flows opened elsewhere than they would now", moved, FLOWS);
}

Test(direct, a_clients_error_finds_the_backend)
{
	for (size_t i = 0; i < 2; i++) {
		const struct family *f = &families[i];
		struct pkt answer, p = packet(f->world, SPORT, f->vip, PORT, IPPROTO_UDP, 0);
		struct pkt_view v;

		serve(f->vip, PORT, IPPROTO_UDP, f->remote);
		cr_assert_eq(in(&p), TC_ACT_REDIRECT);
		answer = packet(f->vip, PORT, f->world, SPORT, IPPROTO_UDP, 0);
		p = pkt_icmp_error(f->router, f->vip, &answer);
		cr_assert_eq(in(&p), TC_ACT_REDIRECT);
		v = pkt_view(&p);
		cr_assert(ip_is(&v.src, f->router) && ip_is(&v.dst, f->remote));
		pkt_expect_quoted(&p, f->remote, 8080, f->world, SPORT);
	}
}

/* --- the agent's side --------------------------------------------------------------------------------------------- */

Test(direct, the_table_is_made_again_where_it_is_missing)
{
	struct dp_backend b[REMOTES];
	struct dp_service svc = spread(b, false), *list;
	struct maglev_key key;
	size_t n;

	ok(dp_service_set(fx.dp, &svc, &test_err));
	ok(dp_service_list(fx.dp, &list, &n, &test_err));
	cr_assert(n == 1 && list[0].direct);
	free(list);
	cr_assert_eq(bpf_map_get_next_key(fx.dp->map_fd[MAP_MAGLEV], NULL, &key), 0);
	cr_assert_eq(bpf_map_delete_elem(fx.dp->map_fd[MAP_MAGLEV], &key), 0);
	(void)node_of(SPORT, TH_SYN); /* without a table, too, some backend takes it */
	ok(dp_service_set(fx.dp, &svc, &test_err));
	cr_assert_eq(map_entries("maglev"), 1);
}

Test(direct, what_a_crash_left_behind_goes_at_the_next_start)
{
	struct dp_backend b[REMOTES];
	struct dp_service svc = spread(b, false);
	struct maglev_key orphan = { 4711, 1 };
	int fd;

	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_INNER_MAP);

	ok(dp_service_set(fx.dp, &svc, &test_err));
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "maglev_slots", 4, sizeof(struct svc_slot), 4093, &opts);
	cr_assert(fd >= 0 && bpf_map_update_elem(fx.dp->map_fd[MAP_MAGLEV], &orphan, &fd, BPF_ANY) == 0);
	close(fd);
	cr_assert_eq(map_entries("maglev"), 2);
	dp_close(fx.dp);
	ok(dp_open(&fx.config, &fx.dp, &test_err));
	cr_assert_eq(map_entries("maglev"), 1);
	(void)node_of(SPORT, TH_SYN);
}

static uint8_t attached(void)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);

	cr_assert_eq(bpf_xdp_query((int)fx.uplink, 0, &query), 0);
	return query.attach_mode;
}

Test(direct, xdp_is_attached_as_asked_for)
{
	const char *why;

	cr_assert_eq(attached(), XDP_ATTACHED_SKB);
	cr_assert_eq(dp_xdp_mode(fx.dp, NULL), DP_XDP_GENERIC);
	dp_close(fx.dp);
	cr_assert_eq(attached(), XDP_ATTACHED_SKB, "without an agent, too");
	ok(dp_open(&fx.config, &fx.dp, &test_err));
	cr_assert_eq(attached(), XDP_ATTACHED_SKB);
	dp_close(fx.dp);
	fx.config.xdp = DP_XDP_NATIVE;
	ok(dp_open(&fx.config, &fx.dp, &test_err));
	cr_assert_eq(attached(), XDP_ATTACHED_DRV);
	dp_close(fx.dp);
	fx.config.xdp = DP_XDP_AUTO;
	ok(dp_open(&fx.config, &fx.dp, &test_err));
	cr_assert_eq(attached(), XDP_ATTACHED_NONE, "not to a veth, unless told");
	cr_assert_eq(dp_xdp_mode(fx.dp, &why), DP_XDP_OFF);
	cr_assert(strstr(why, "veth"));
}

Test(direct, destroyed_it_is_detached)
{
	dp_close(fx.dp);
	fx.dp = NULL;
	ok(dp_destroy(fx.pin_dir, &test_err));
	cr_assert_eq(attached(), XDP_ATTACHED_NONE);
}
