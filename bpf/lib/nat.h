/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Masquerade: a pod's flow to the world leaves with the node's address and a port from a range of its own, which the
 * node's own sockets do not use by default (above ip_local_port_range); a socket of the node that does is entered as
 * well, so that its port is taken. TCP, UDP and ICMP echo, both families, fragments, and the ICMP errors about such
 * flows.
 *
 * Map `nat_in` (LRU, key remote end and node port): written at the uplink's egress, read at both. Missing entry: the
 * packet is the node's own, left alone. Full: the least recently used flow goes; a TCP connection that still lives
 * gets another port with its next packet and breaks.
 * Map `nat_out` (LRU, key pod and remote ends): the pod's way to its port. Missing entry, or nat_in disagrees: a port
 * is taken anew. No free port after NAT_TRIES: nat-exhausted.
 */
#ifndef SKEP_BPF_NAT_H
#define SKEP_BPF_NAT_H

#include "flow.h"
#include "rewrite.h"
#include "abi/nat.h"

#define NAT_TRIES 32

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct nat_in_key);
	__type(value, struct nat_in_value);
} nat_in SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct nat_out_key);
	__type(value, struct nat_out_value);
} nat_out SEC(".maps");

static __always_inline bool nat_in_range(__be16 port)
{
	__u16 p = bpf_ntohs(port);

	return p >= node.nat_port_min && p <= node.nat_port_max;
}

static __always_inline bool nat_has_ports(const struct packet *p)
{
	return p->proto == IPPROTO_TCP || p->proto == IPPROTO_UDP || (p->flags & PACKET_ICMP_ECHO);
}

static __always_inline bool nat_stale(const struct nat_in_value *v, __u8 proto)
{
	return now_units() - v->last_seen > flow_life(proto, v->flags);
}

static __always_inline void nat_touch(struct nat_in_value *v, const struct packet *p, bool reply)
{
	__u32 now = now_units(), progress = flow_progress(p, reply);

	/* A SYN in the opening direction starts the port's life again. */
	if (!reply && p->proto == IPPROTO_TCP && (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
		v->flags = 0;
	if ((v->flags & progress) != progress)
		v->flags |= progress;
	if (v->last_seen != now)
		v->last_seen = now;
}

static __always_inline void nat_in_key_of(struct nat_in_key *key, const struct ip_addr *remote, __be16 remote_port,
					  __be16 node_port, __u8 proto)
{
	key->remote_ip = *remote;
	key->remote_port = remote_port;
	key->node_port = node_port;
	key->proto = proto;
	key->pad[0] = 0;
	key->pad[1] = 0;
	key->pad[2] = 0;
}

struct nat_search {
	struct nat_in_key key;
	struct nat_in_value value;
	__u32 start; /* where in the range */
	__u8 found;
};

/*
 * One step of bpf_loop: 1 ends it. A plain loop is verified for every state it can reach: 159,000 instructions, not
 * 6,400.
 */
static int nat_try_port(__u32 i, struct nat_search *s)
{
	__u32 n = node.nat_port_max - node.nat_port_min + 1, at = s->start + i;
	struct nat_in_value *taken;

	if (at >= n)
		at -= n;
	s->key.node_port = bpf_htons(node.nat_port_min + at);
	taken = bpf_map_lookup_elem(&nat_in, &s->key);
	if (taken) {
		if (!nat_stale(taken, s->key.proto))
			return 0;
		bpf_map_delete_elem(&nat_in, &s->key);
	}
	/* Only one CPU wins a port. */
	if (bpf_map_update_elem(&nat_in, &s->key, &s->value, BPF_NOEXIST))
		return 0;
	s->found = 1;
	return 1;
}

/* A packet of a pod to the world: which node port? 0 or a drop reason. */
static __noinline_prog int nat_port_of(const struct packet *p, __be16 *ret_port)
{
	struct nat_out_key ok = {
		.pod_ip = p->src,
		.remote_ip = p->dst,
		.pod_port = p->sport,
		.proto = p->proto,
		.remote_port = p->flags & PACKET_ICMP_ECHO ? 0 : p->dport,
	};
	struct nat_out_value *out, nov = {};
	struct nat_search search = {};
	struct nat_in_value *in;
	struct nat_in_key ik;

	out = bpf_map_lookup_elem(&nat_out, &ok);
	if (out) {
		nat_in_key_of(&ik, &p->dst, ok.remote_port, out->node_port, p->proto);
		in = bpf_map_lookup_elem(&nat_in, &ik);
		if (in && ip_eq(&in->pod_ip, &p->src) && in->pod_port == p->sport) {
			nat_touch(in, p, false);
			*ret_port = ik.node_port;
			return 0;
		}
	}
	nat_in_key_of(&search.key, &p->dst, ok.remote_port, 0, p->proto);
	search.value.pod_ip = p->src;
	search.value.pod_port = p->sport;
	search.value.last_seen = now_units();
	search.value.flags = flow_progress(p, false);
	search.start = ((__u64)bpf_get_prandom_u32() * (node.nat_port_max - node.nat_port_min + 1)) >> 32;
	bpf_loop(NAT_TRIES, nat_try_port, &search, 0);
	if (!search.found)
		return DROP_NAT_EXHAUSTED;
	nov.node_port = search.key.node_port;
	bpf_map_update_elem(&nat_out, &ok, &nov, BPF_ANY);
	*ret_port = nov.node_port;
	return 0;
}

/* The node's address of the packet's family; all zero: it has none. */
static __always_inline void nat_address(const struct packet *p, struct ip_addr *ret)
{
	if (p->flags & PACKET_V6)
		setting_ip(ret, &node.ip6);
	else
		setting_ip(ret, &node.ip4);
}

/* The packet's source becomes the node's address and a port of masquerade's. 0 or a drop reason; p is kept true. */
static __noinline_prog int nat_masquerade(struct __sk_buff *skb, struct packet *p)
{
	struct nat_rewrite w = {};
	int r;

	nat_address(p, &w.new_ip);
	if (ip_zero(&w.new_ip))
		return DROP_NAT_FAILED;
	r = nat_port_of(p, &w.new_port);
	if (r)
		return r;
	w.old_ip = p->src;
	w.old_port = p->sport;
	nat_offsets(p, true, &w);
	r = nat_write(skb, &w);
	if (r)
		return r;
	p->src = w.new_ip;
	p->sport = w.new_port;
	return 0;
}

/* The node's own sockets that use a port of the range: taken, so that no pod's flow gets it. */
static __always_inline void nat_own_port(const struct packet *p)
{
	struct nat_in_value *in, niv = {};
	struct nat_in_key ik;

	nat_in_key_of(&ik, &p->dst, p->flags & PACKET_ICMP_ECHO ? 0 : p->dport, p->sport, p->proto);
	in = bpf_map_lookup_elem(&nat_in, &ik);
	if (in) {
		if (ip_zero(&in->pod_ip))
			nat_touch(in, p, false);
		return;
	}
	niv.last_seen = now_units();
	bpf_map_update_elem(&nat_in, &ik, &niv, BPF_NOEXIST);
}

/* A reply to a masqueraded flow: to which pod? false: not one. */
static __noinline_prog bool nat_pod_of(const struct packet *p, struct nat_rewrite *w)
{
	struct nat_in_value *in;
	struct nat_in_key ik;

	nat_in_key_of(&ik, &p->src, p->flags & PACKET_ICMP_ECHO ? 0 : p->sport, p->dport, p->proto);
	in = bpf_map_lookup_elem(&nat_in, &ik);
	if (!in || ip_zero(&in->pod_ip) || nat_stale(in, p->proto))
		return false;
	nat_touch(in, p, true);
	w->old_ip = p->dst;
	w->old_port = p->dport;
	w->new_ip = in->pod_ip;
	w->new_port = in->pod_port;
	return true;
}

#endif
