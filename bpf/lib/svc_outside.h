/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services from outside the cluster, at the uplink: node ports, external and load balancer addresses. A backend on this
 * node sees the client's address; to one elsewhere the packet goes on as the node's own (masqueraded), so that the
 * answer comes back here.
 *
 * Map `source_ranges` (LPM, key service, generation and prefix): written by the agent before `services` names the
 * generation, removed after; read for services that have ranges. Missing entry: the client is none of theirs, dropped
 * (source-range). Full: the agent's call fails, the service keeps what it has.
 */
#ifndef SKEP_BPF_SVC_OUTSIDE_H
#define SKEP_BPF_SVC_OUTSIDE_H

#include "deliver.h"
#include "nat.h"
#include "refuse.h"
#include "svc_forward.h"

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct source_range_key);
	__type(value, __u8);
} source_ranges SEC(".maps");

/*
 * Has a process of the node itself served such a flow since the programs were loaded? Only then the node's packets are
 * looked up for their way back.
 */
__u32 svc_on_host = 0;

/* Back to where it came from: the neighbour that sent the packet of which the answer was made. */
static __noinline_prog int uplink_bounce(struct __sk_buff *skb)
{
	__u8 macs[12], back[12];

	if (bpf_skb_load_bytes(skb, 0, macs, sizeof(macs)))
		return TC_ACT_SHOT;
	__builtin_memcpy(back, macs + 6, 6);
	__builtin_memcpy(back + 6, macs, 6);
	if (bpf_skb_store_bytes(skb, 0, back, sizeof(back), 0))
		return TC_ACT_SHOT;
	return bpf_redirect(skb->ifindex, 0);
}

/* May the packet's sender use a service that has ranges? A frame of its own: see from_uplink. */
static __noinline_prog bool svc_admits(const struct packet *p, const struct svc_value *value)
{
	struct source_range_key key = { .prefixlen = 64 + 128 };

	key.svc_id = value->svc_id;
	key.generation = value->generation;
	key.ip = p->src;
	return bpf_map_lookup_elem(&source_ranges, &key) != NULL;
}

/* The same packet's way back. */
static __always_inline void svc_turn(struct packet *p)
{
	struct ip_addr ip = p->src;
	__be16 port = p->sport;

	p->src = p->dst;
	p->sport = p->dport;
	p->dst = ip;
	p->dport = port;
}

/*
 * As svc_forward_error(), where no entry says the backend, but its slot does. One frame for all of it, and called by
 * from_uplink itself: see there.
 */
static __noinline_prog int svc_slot_error(struct __sk_buff *skb, struct packet *p)
{
	struct svc_key svc = { .side = SVC_OUTSIDE };
	struct packet inner = {};
	union {
		struct lb_choice to;
		struct nat_rewrite w;
	} u = {};
	struct svc_value *value;
	struct ip_addr ip;
	__be16 port;
	int r;

	if (!packet_inner(skb, p, &inner))
		return DROP_NO_BACKEND;
	svc.vip = inner.src;
	svc.port = inner.sport;
	svc.proto = inner.proto;
	value = bpf_map_lookup_elem(&services, &svc);
	if (!svc_by_slot(&inner, &svc, value))
		return DROP_NO_BACKEND;
	svc_turn(&inner);
	r = svc_pick_slot(&inner, &svc, svc_slot_of(&inner, value, &u.to), &u.to);
	svc_turn(&inner);
	if (r != LB_BACKEND)
		return DROP_NO_BACKEND;
	ip = u.to.backend.ip;
	port = u.to.backend.port;
	__builtin_memset(&u.w, 0, sizeof(u.w));
	u.w.new_ip = ip;
	u.w.new_port = port;
	u.w.old_ip = inner.src;
	u.w.old_port = inner.sport;
	return nat_write_error(skb, p, &inner, &u.w, true);
}

/*
 * A packet from outside: to a service? 0: rewritten, p->dst is the backend. SVC_ONWARD: not rewritten, but p->dst is.
 * SVC_NONE: no service's. SVC_REFUSED, or a drop reason.
 */
static __always_inline int svc_from_outside(struct __sk_buff *skb, struct packet *p)
{
	struct svc_key svc = { .vip = p->dst, .port = p->dport, .proto = p->proto, .side = SVC_OUTSIDE };
	bool to_node = is_node_ip(&p->dst);

	if (to_node && p->proto == IPPROTO_UDP && p->dport == bpf_htons(SKEP_VXLAN_PORT))
		return SVC_NONE; /* the tunnel's: by far the most that comes for the node */
	if (p->proto == IPPROTO_TCP || p->proto == IPPROTO_UDP) {
		struct svc_value *value = bpf_map_lookup_elem(&services, &svc);
		int r = SVC_NONE;

		if (value && value->ranges && !svc_admits(p, value))
			return DROP_SOURCE_RANGE;
		if (!to_node || value)
			r = svc_send(skb, p, &svc, false, true);
		if (r == SVC_NONE && to_node && is_node_port(p->dport)) {
			lb_any_address(&svc);
			r = svc_send(skb, p, &svc, false, true);
		}
		if (r != SVC_NONE)
			return r;
	}
	if (to_node)
		return SVC_NONE;
	/* Nothing else is on a service's own address: the kernel would send it back to the router it came from. */
	svc.port = 0;
	svc.proto = 0;
	if (!bpf_map_lookup_elem(&services, &svc))
		return SVC_NONE;
	return p->proto == IPPROTO_TCP || p->proto == IPPROTO_UDP ? SVC_REFUSED : DROP_NO_BACKEND;
}

/*
 * A client's packet that another node has sent on for direct server return: this node has the backend, if both have the
 * same table. While they have not, the packet is dropped, and the client repeats it. As svc_from_outside().
 */
static __noinline_prog int svc_from_node(struct __sk_buff *skb, struct packet *p)
{
	struct svc_key svc = { .vip = p->dst, .port = p->dport, .proto = p->proto, .side = SVC_OUTSIDE };
	struct svc_value *value;
	int r;

	if (p->proto != IPPROTO_TCP && p->proto != IPPROTO_UDP)
		return SVC_NONE;
	value = bpf_map_lookup_elem(&services, &svc);
	if (!value && is_node_port(p->dport)) {
		lb_any_address(&svc);
		value = bpf_map_lookup_elem(&services, &svc);
	}
	if (!value || !(value->flags & SVC_DIRECT))
		return SVC_NONE;
	r = svc_send(skb, p, &svc, false, true);
	return r == 0 && pod_by_ip(&p->dst) ? 0 : r > 0 ? r : DROP_NO_BACKEND;
}

#endif
