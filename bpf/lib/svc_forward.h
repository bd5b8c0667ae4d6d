/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services packet by packet: for what a pod sends past the socket hooks (from a network namespace of its own making, by
 * a raw socket, from a process outside the node's control groups), and for what comes in from outside the cluster
 * (svc_outside.h). Same backends, same stickiness; policy judges the backend. A pod that is its own backend sees the
 * service's address as its client's.
 *
 * Map `gone_backends` (LRU, key backend): written by the agent when a service loses a backend, read when a pod sends to
 * a pod address that nobody has any more. Missing entry, or too old: the packet is dropped (no-tunnel-endpoint). Full:
 * the least recently used goes.
 */
#ifndef SKEP_BPF_SVC_FORWARD_H
#define SKEP_BPF_SVC_FORWARD_H

#include "svc_pick.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct gone_key);
	__type(value, struct gone_value);
} gone_backends SEC(".maps");

/* Results of svc_forward() that are not drop reasons. */
#define SVC_SELF    (-1) /* rewritten; it goes back to where it came from */
#define SVC_REFUSED (-2) /* no such service, or none of its backends is there: the sender is to be told */
#define SVC_NONE    (-3) /* of its parts only: there is no such service */
#define SVC_ONWARD  (-4) /* of svc_send() only: to the node of p->dst, the backend, as it came */

/* The way back, too; false: no room for it. */
static __noinline_prog bool svc_remember(const struct packet *p, const struct lb_choice *to, bool self)
{
	struct svc_in_value value = { .vip = p->dst, .port = p->dport }, *old;
	struct svc_flow_key key;

	svc_flow_key_of(&key, self ? &p->dst : &p->src, p->sport, &to->backend.ip, to->backend.port, p->proto);
	old = bpf_map_lookup_elem(&svc_in, &key);
	return (old && old->port == value.port && ip_eq(&old->vip, &value.vip)) ||
	       bpf_map_update_elem(&svc_in, &key, &value, BPF_ANY) == 0;
}

static __noinline_prog int svc_rewrite_end(struct __sk_buff *skb, struct packet *p, bool source,
					   const struct ip_addr *ip, __be16 port)
{
	struct nat_rewrite w = { .new_ip = *ip, .new_port = port };
	int r;

	w.old_ip = source ? p->src : p->dst;
	w.old_port = source ? p->sport : p->dport;
	nat_offsets(p, source, &w);
	r = nat_write(skb, &w);
	if (r)
		return r;
	if (source) {
		p->src = w.new_ip;
		p->sport = w.new_port;
	} else {
		p->dst = w.new_ip;
		p->dport = w.new_port;
	}
	return 0;
}

/* What a pod that is its own backend answers goes to the service's address. */
static __noinline_prog int svc_self_reply(struct __sk_buff *skb, struct packet *p)
{
	struct svc_flow_key key;
	struct svc_in_value *in;
	struct ip_addr pod = p->src;
	int r;

	svc_flow_key_of(&key, &p->dst, p->dport, &p->src, p->sport, p->proto);
	in = bpf_map_lookup_elem(&svc_in, &key);
	if (!in)
		return SVC_NONE;
	r = svc_rewrite_end(skb, p, true, &in->vip, in->port);
	if (!r)
		r = svc_rewrite_end(skb, p, false, &pod, p->dport);
	return r ? r : SVC_SELF;
}

/* A client's error about what the service, in truth a backend, sent to it. 0, or a drop reason: no backend if unknown.
 */
static __noinline_prog int svc_forward_error(struct __sk_buff *skb, struct packet *p)
{
	struct packet inner = {};
	struct nat_rewrite w = {};
	struct backend_choice *out;
	struct svc_flow_key key;

	if (!packet_inner(skb, p, &inner))
		return DROP_NO_BACKEND;
	svc_flow_key_of(&key, &inner.dst, inner.dport, &inner.src, inner.sport, inner.proto);
	out = bpf_map_lookup_elem(&svc_out, &key);
	if (!out)
		return DROP_NO_BACKEND;
	w.old_ip = inner.src;
	w.old_port = inner.sport;
	w.new_ip = out->backend_ip;
	w.new_port = out->backend_port;
	return nat_write_error(skb, p, &inner, &w, true);
}

/* Does the packet go on to the backend's node as it is? Asked for services with direct server return. */
static __noinline_prog bool svc_direct(const struct ip_addr *backend)
{
	struct ipcache_value *known;

	if (pod_by_ip(backend))
		return false;
	known = ipcache_of(backend);
	return known && !ip_zero(&known->node);
}

/* A frame of its own: there is no room for it in that of svc_send(). */
static __noinline_prog int svc_pick_direct(const struct packet *p, const struct svc_key *svc,
					   const struct svc_value *value, struct lb_choice *to)
{
	return svc_pick_slot(p, svc, svc_slot_of(p, value, to), to);
}

/* outside: svc->side is SVC_OUTSIDE. 0, SVC_* or a drop reason. */
static __noinline_prog int svc_send(struct __sk_buff *skb, struct packet *p, const struct svc_key *svc, bool gone,
				    bool outside)
{
	const struct svc_value *value = NULL;
	struct lb_choice to = {};
	struct ip_addr dst = p->dst;
	bool self, direct;
	int r;

	if (outside)
		value = bpf_map_lookup_elem(&services, svc);
	direct = value && (value->flags & SVC_DIRECT);
	r = svc_by_slot(p, svc, value) ? svc_pick_direct(p, svc, value, &to) : svc_pick(p, svc, gone, &to);
	if (r == LB_NOT_A_SERVICE)
		return SVC_NONE;
	if (r == LB_REFUSE && (to.svc.flags & SVC_SILENT))
		return DROP_NO_BACKEND;
	if (r != LB_BACKEND || ip_is_v4(&to.backend.ip) != !(p->flags & PACKET_V6))
		return SVC_REFUSED;
	if (direct && svc_direct(&to.backend.ip)) {
		p->dst = to.backend.ip;
		return SVC_ONWARD;
	}
	self = p->ep_id && ip_eq(&to.backend.ip, &p->src);
	if (!svc_remember(p, &to, self))
		return DROP_CT_FULL;
	r = svc_rewrite_end(skb, p, false, &to.backend.ip, to.backend.port);
	if (r)
		return r;
	p->flags |= PACKET_TO_SERVICE;
	if (!self)
		return 0;
	r = svc_rewrite_end(skb, p, true, &dst, p->sport);
	return r ? r : SVC_SELF;
}

/* The service that the packet's destination was a backend of when it went; false: none. */
static __noinline_prog bool svc_of_gone(const struct packet *p, struct svc_key *ret)
{
	struct gone_key key = { .ip = p->dst, .port = p->dport, .proto = p->proto };
	struct gone_value *gone = bpf_map_lookup_elem(&gone_backends, &key);

	if (!gone ||
	    now_units() - gone->at > (p->proto == IPPROTO_TCP && is_opening(p) ? GONE_LIFE_TCP : GONE_LIFE_OTHER))
		return false;
	*ret = gone->svc;
	return true;
}

/* What a pod's packet has to do with services, by its destination. */
enum svc_why {
	SVC_BY_RANGE,	  /* an address of the service range: refused if it is no service's */
	SVC_BY_NODE_PORT, /* a node, and a port that may be a service's */
	SVC_BY_GONE,	  /* a pod address that nobody has */
	SVC_BY_ADDRESS,	  /* an external address and a port that are a service's, or an error to whoever */
};

/*
 * A pod's packet that may be for a service. Was its destination a service's backend that has gone? Then a socket was
 * connected to it: datagrams and connections that are not yet established go on with another backend, whose answers
 * show the old one's address; established ones are reset. p->ep_id is the pod's. SVC_SELF, SVC_REFUSED, a drop reason,
 * or 0: rewritten, or of no service.
 *
 * Inlined, and the service's key on the caller's stack: 512 bytes hold the longest chain of calls, which goes through
 * here, and Linux before 6.13 counts.
 */
static __always_inline int svc_forward(struct __sk_buff *skb, struct packet *p, enum svc_why why)
{
	struct svc_key svc = { .vip = p->dst, .port = p->dport, .proto = p->proto };
	bool has_ports = p->proto == IPPROTO_TCP || p->proto == IPPROTO_UDP;
	int r;

	if (p->flags & PACKET_ICMP_ERROR) {
		r = svc_forward_error(skb, p);
		return why != SVC_BY_RANGE && r == DROP_NO_BACKEND ? 0 : r;
	}
	if (!has_ports && why != SVC_BY_RANGE)
		return 0;
	if (!has_ports) /* no service is by SCTP, so there is no such port; of others, no such thing */
		return p->proto == IPPROTO_SCTP ? SVC_REFUSED : DROP_NO_BACKEND;
	r = SVC_NONE;
	if (why == SVC_BY_NODE_PORT)
		lb_front_of(&svc);
	if (why != SVC_BY_GONE || svc_of_gone(p, &svc)) {
		r = svc_send(skb, p, &svc, why == SVC_BY_GONE, false);
		if (why == SVC_BY_GONE && r == SVC_NONE)
			return SVC_REFUSED;
	}
	if (r == SVC_NONE)
		r = svc_self_reply(skb, p);
	if (r == SVC_NONE)
		return why == SVC_BY_RANGE ? SVC_REFUSED : 0;
	return r;
}

#endif
