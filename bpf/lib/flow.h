/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decision on a packet of a flow: conntrack first, policy only for new flows and after a policy change.
 *
 * Map `flows` (LRU): written and read here only. Missing entry: the flow is new and is judged by policy in the
 * direction of this packet. Full: the least recently used flow goes; its next packet is judged as if new. Writes are
 * not locked: when two CPUs update one entry, a FIN or a reply may go unnoticed, and the flow keeps a longer or
 * shorter idle lifetime; a verdict cannot be lost, since it is made anew from the policy generation.
 *
 * Judging asks both ends that live here: egress of the opener's policy, then ingress of the responder's. The node's
 * own traffic to its pods is always allowed (probes), and a pod's traffic to itself never comes here.
 */
#ifndef SKEP_BPF_FLOW_H
#define SKEP_BPF_FLOW_H

#include "pods.h"
#include "policy.h"
#include "abi/ct.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 131072);
	__type(key, struct ct_key);
	__type(value, struct ct_value);
} flows SEC(".maps");

/* Where a packet comes from, which decides what its source address is worth. */
enum origin {
	ORIGIN_POD,    /* checked against its interface */
	ORIGIN_HOST,   /* this node's own stack */
	ORIGIN_TUNNEL, /* another node: a new flow's source must be one that this node holds */
	ORIGIN_OTHER,  /* routed here by the kernel */
};

/* Did the node send it that the ipcache names for the source? */
static __noinline_prog bool tunnel_source_is_honest(struct __sk_buff *skb, const struct ip_addr *src)
{
	struct bpf_tunnel_key key = {};
	struct ipcache_value *known;
	struct ip_addr from;

	if (is_node_ip(src) || pod_by_ip(src))
		return false;
	known = ipcache_of(src);
	if (!known || ip_zero(&known->node))
		return true; /* not told of yet, or reached without the tunnel: judged by its identity */
	if (ip_is_v4(&known->node)) {
		if (bpf_skb_get_tunnel_key(skb, &key, sizeof(key), 0))
			return false;
		ip_set_v4(&from, bpf_htonl(key.remote_ipv4));
	} else {
		if (bpf_skb_get_tunnel_key(skb, &key, sizeof(key), BPF_F_TUNINFO_IPV6))
			return false;
		__builtin_memcpy(&from, key.remote_ipv6, sizeof(from));
	}
	return ip_eq(&from, &known->node);
}

/* true: src is `a`. The flow's key is the same for both directions. */
static __always_inline bool flow_key(const struct packet *p, struct ct_key *key)
{
	bool src_is_a = ip_eq(&p->src, &p->dst) ? p->sport <= p->dport : ip_less(&p->src, &p->dst);

	if (src_is_a) {
		key->a = p->src;
		key->b = p->dst;
		key->a_port = p->sport;
		key->b_port = p->dport;
	} else {
		key->a = p->dst;
		key->b = p->src;
		key->a_port = p->dport;
		key->b_port = p->sport;
	}
	key->proto = p->proto;
	key->pad[0] = 0;
	key->pad[1] = 0;
	key->pad[2] = 0;
	return src_is_a;
}

static __always_inline __u32 flow_life(__u8 proto, __u32 flags)
{
	return ct_life(proto == IPPROTO_TCP, flags);
}

/* What this packet adds to the flags of its flow. */
static __always_inline __u32 flow_progress(const struct packet *p, bool reply)
{
	__u32 flags = reply ? CT_REPLIED : 0;

	if (p->proto == IPPROTO_TCP) {
		if (p->tcp_flags & TCP_FIN)
			flags |= reply ? CT_FIN_REPLY : CT_FIN;
		if (p->tcp_flags & TCP_RST)
			flags |= CT_RST;
	}
	return flags;
}

/* Policies say nothing about ICMP identifiers: ports only of protocols that have them. */
static __always_inline __be16 policy_port(const struct packet *p, bool reply)
{
	if (p->proto == IPPROTO_ICMP || p->proto == IPPROTO_ICMPV6)
		return 0;
	return reply ? p->sport : p->dport;
}

/*
 * reply: the packet goes from responder to opener. 0, or a drop reason with p->ep_id, rule_id, identities and
 * *direction filled.
 */
__verified_once int flow_judge(struct packet *p, __u32 reply, __u32 *direction)
{
	const struct pod *src, *dst, *opener, *responder;
	__u32 opener_identity, responder_identity;
	struct policy_question q = {};
	int r;

	if (!p || !direction)
		return DROP_NO_POLICY;
	src = pod_by_ip(&p->src);
	dst = pod_by_ip(&p->dst);
	q.port = policy_port(p, reply);
	q.proto = p->proto;

	p->src_identity = src ? src->identity : identity_of(&p->src);
	p->dst_identity = dst ? dst->identity : identity_of(&p->dst);
	opener = reply ? dst : src;
	responder = reply ? src : dst;
	opener_identity = reply ? p->dst_identity : p->src_identity;
	responder_identity = reply ? p->src_identity : p->dst_identity;
	if (opener) {
		q.ep_id = opener->ep_id;
		q.identity = responder_identity;
		q.direction = POLICY_EGRESS;
		r = policy_ask(&q);
		if (r)
			goto denied;
	}
	if (responder) {
		q.ep_id = responder->ep_id;
		q.identity = opener_identity;
		q.direction = POLICY_INGRESS;
		r = policy_ask(&q);
		if (r)
			goto denied;
	}
	return 0;
denied:
	p->ep_id = q.ep_id;
	p->rule_id = q.rule_id;
	*direction = q.direction;
	return r;
}

/* An ICMP error passes with the flow that it is about, in either direction. */
static __noinline_prog bool flow_related(struct __sk_buff *skb, struct packet *p)
{
	struct packet inner = {};
	struct ct_key key;
	struct ct_value *ct;

	if (!packet_inner(skb, p, &inner))
		return false;
	flow_key(&inner, &key);
	ct = bpf_map_lookup_elem(&flows, &key);
	if (!ct || (ct->flags & CT_DENIED) || ct->policy_generation != current_generation() ||
	    now_units() - ct->last_seen > flow_life(inner.proto, ct->flags))
		return false;
	if (ct->flags & CT_SERVICE)
		p->flags |= PACKET_FROM_SERVICE;
	return true;
}

static __always_inline bool is_opening(const struct packet *p)
{
	if (p->proto == IPPROTO_TCP)
		return (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
	return (p->flags & PACKET_ICMP_ECHO) && (p->icmp_type == ICMP_ECHO || p->icmp_type == ICMPV6_ECHO_REQUEST);
}

static __always_inline bool is_answer(const struct packet *p)
{
	if (p->proto == IPPROTO_TCP)
		return (p->tcp_flags & TCP_RST) || (p->tcp_flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK);
	return (p->flags & PACKET_ICMP_ECHO) && !is_opening(p);
}

/* A flow without a usable entry: judge it as opened by this packet. */
static __noinline_prog int flow_new(struct packet *p, const struct ct_key *key, __u32 flags, __u32 *direction)
{
	struct ct_value ct = {};
	int r;

	ct.policy_generation = current_generation();
	if (!(flags & CT_FROM_HOST)) {
		r = flow_judge(p, false, direction);
		if (r)
			return r;
	}
	/*
	 * An answer opens nothing: the flow that it belongs to is forgotten. It was judged in its own direction; an
	 * entry made of it would let the other end in as if that answered.
	 */
	if (is_answer(p))
		return 0;
	ct.last_seen = now_units();
	ct.flags = flags | flow_progress(p, false);
	/* Picked up in its middle: nothing tells when it will be answered, but it is no longer opening. */
	if (p->proto == IPPROTO_TCP && !(p->tcp_flags & TCP_SYN))
		ct.flags |= CT_REPLIED;
	if (bpf_map_update_elem(&flows, key, &ct, BPF_ANY)) {
		*direction = POLICY_EGRESS;
		return DROP_CT_FULL;
	}
	return 0;
}

/* The policy changed since this flow was last judged. */
static __noinline_prog int flow_rejudge(struct packet *p, struct ct_value *ct, bool reply, __u32 *direction)
{
	__u32 generation = current_generation();
	int r = 0;

	if (!(ct->flags & CT_FROM_HOST))
		r = flow_judge(p, reply, direction);
	if (r == 0) {
		ct->flags &= ~CT_DENIED;
		ct->rule_id = 0;
	} else if (r == DROP_POLICY_DENIED || r == DROP_UNKNOWN_IDENTITY) {
		/*
		 * The entry stays, so that the denied flow's replies do not pass for new flows. A reason that will
		 * go by itself (a policy not yet there) is asked again instead.
		 */
		ct->flags |= CT_DENIED;
		ct->rule_id = p->rule_id;
	} else {
		return r;
	}
	ct->policy_generation = generation;
	return r;
}

/*
 * 0: the packet may pass; else a drop reason, and *direction the check that failed. origin: enum origin. p->ep_id:
 * in, whom to blame for a drop; out, the pod whose policy denied.
 */
__verified_once int flow_check(struct __sk_buff *skb, struct packet *p, __u32 origin, __u32 *direction)
{
	struct ct_key key;
	struct ct_value *ct;
	__u32 now, progress;
	bool src_is_a, reply;
	int r;

	if (!p || !direction)
		return DROP_NO_POLICY;
	if (p->flags & PACKET_ICMP_ERROR) {
		if (flow_related(skb, p) || origin == ORIGIN_HOST)
			return 0;
		if (origin == ORIGIN_TUNNEL && !tunnel_source_is_honest(skb, &p->src))
			return DROP_SPOOFED_SOURCE;
		return flow_judge(p, false, direction);
	}
	src_is_a = flow_key(p, &key);
	ct = bpf_map_lookup_elem(&flows, &key);
	now = now_units();
	if (!ct || now - ct->last_seen > flow_life(p->proto, ct->flags))
		goto fresh;
	reply = src_is_a == !!(ct->flags & CT_OPENED_BY_B);
	if (is_opening(p) && (reply || (ct->flags & (CT_FIN | CT_FIN_REPLY | CT_RST))))
		goto fresh;
	if (ct->policy_generation != current_generation()) {
		r = flow_rejudge(p, ct, reply, direction);
		if (r)
			return r;
	} else if (ct->flags & CT_DENIED) {
		p->rule_id = ct->rule_id;
		*direction = reply ? POLICY_EGRESS : POLICY_INGRESS;
		return DROP_POLICY_DENIED;
	}
	/* Written only when something changes: a shared cache line that many CPUs only read stays cheap. */
	progress = flow_progress(p, reply);
	if (p->flags & PACKET_TO_SERVICE)
		progress |= CT_SERVICE;
	else if (reply && (ct->flags & CT_SERVICE))
		p->flags |= PACKET_FROM_SERVICE;
	if ((ct->flags & progress) != progress)
		ct->flags |= progress;
	if (ct->last_seen != now)
		ct->last_seen = now;
	return 0;
fresh:
	if (origin == ORIGIN_TUNNEL && !tunnel_source_is_honest(skb, &p->src))
		return DROP_SPOOFED_SOURCE;
	return flow_new(p, &key,
			(src_is_a ? 0 : CT_OPENED_BY_B) | (origin == ORIGIN_HOST ? CT_FROM_HOST : 0) |
				(p->flags & PACKET_TO_SERVICE ? CT_SERVICE : 0),
			direction);
}

/* Did the other end open the flow of this packet? Then its entry, else NULL. */
static __always_inline const struct ct_value *flow_of_reply(const struct packet *p)
{
	struct ct_key key;
	bool src_is_a = flow_key(p, &key);
	struct ct_value *ct = bpf_map_lookup_elem(&flows, &key);

	return ct && src_is_a == !!(ct->flags & CT_OPENED_BY_B) ? ct : NULL;
}

#endif
