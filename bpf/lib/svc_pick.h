/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which backend a packet goes to, of a service that is served packet by packet; by XDP and TC alike.
 *
 * A flow of TCP to a service with direct server return is known by its slot of the table alone, as long as that slot
 * has had one owner only: then nothing is kept of it. In a slot whose owner has changed, every flow that sends a packet
 * is kept; one that is not known yet was there before the change, and is the former owner's. So is a flow's backend
 * kept without state before a change, and by state after it; and the state's cost, and the room that a flood of opening
 * packets takes of it, are those of the few slots that change hands with a backend.
 *
 * Map `svc_out` (LRU, key client and service): the backend of a flow, written and read here, and removed by the agent
 * where a slot needs no more of it. Missing entry: a backend is chosen (above: the slot's); an established TCP
 * connection keeps its backend for as long as its entry lives. Full: the least recently used flow may change its
 * backend, which breaks a TCP connection.
 */
#ifndef SKEP_BPF_SVC_PICK_H
#define SKEP_BPF_SVC_PICK_H

#include "flow.h"
#include "lb.h"
#include "svc_back.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct svc_flow_key);
	__type(value, struct backend_choice);
} svc_out SEC(".maps");

/*
 * Session affinity knows its clients by network namespace; here they are pods by number, above all such cookies, and
 * addresses of the world by a hash of 62 bits: should two share one, they share a backend.
 */
#define SVC_CLIENT_IS_POD     (1ULL << 63)
#define SVC_CLIENT_IS_ADDRESS (1ULL << 62)

static __always_inline __u64 svc_client(const struct packet *p)
{
	__u64 hash;

	if (p->ep_id)
		return SVC_CLIENT_IS_POD | p->ep_id;
	hash = ((__u64)p->src.w[0] << 32 | p->src.w[1]) * SVC_HASH_MIX;
	hash = (hash ^ hash >> 29 ^ ((__u64)p->src.w[2] << 32 | p->src.w[3])) * SVC_HASH_MIX;
	return SVC_CLIENT_IS_ADDRESS | hash >> 2;
}

static __always_inline __u32 svc_hash(const struct packet *p)
{
	return svc_flow_hash(&p->src, p->sport, p->dport, p->proto);
}

static __noinline_prog struct backend_choice *svc_last(const struct packet *p)
{
	struct svc_flow_key key;

	svc_flow_key_of(&key, &p->src, p->sport, &p->dst, p->dport, p->proto);
	return bpf_map_lookup_elem(&svc_out, &key);
}

static __noinline_prog bool svc_keep(const struct packet *p, const struct lb_choice *to)
{
	struct backend_choice next = {};
	struct svc_flow_key key;

	svc_flow_key_of(&key, &p->src, p->sport, &p->dst, p->dport, p->proto);
	lb_remember(&next, to);
	return bpf_map_update_elem(&svc_out, &key, &next, BPF_ANY) == 0;
}

static __always_inline bool svc_is_last(const struct backend_choice *last, const struct backend_value *b)
{
	return last->backend_port == b->port && ip_eq(&last->backend_ip, &b->ip);
}

/* The address of a pod that is nobody's any more. */
static __noinline_prog bool svc_pod_is_gone(const struct ip_addr *ip)
{
	return is_pod_ip(ip) && !ipcache_of(ip) && !pod_by_ip(ip);
}

/* The packet's slot by this reading of its service, which is kept beside it. */
static __always_inline __u64 svc_slot_of(const struct packet *p, const struct svc_value *value, struct lb_choice *to)
{
	to->svc = *value;
	return lb_slot(&to->svc, svc_hash(p));
}

/*
 * By the slot of the table: TCP, to an address that is the service's own. Another node may have had the address until
 * now, so a flow in its middle is served wherever it opened. slot: of svc_slot_of().
 */
static __noinline_prog int svc_pick_slot(const struct packet *p, const struct svc_key *svc, __u64 slot,
					 struct lb_choice *to)
{
	for (int i = 0; i < LB_READINGS; i++) {
		union lb_slot s = { .all = slot };
		const struct svc_value *value;
		struct backend_value *b;
		struct backend_key bk;

		if (s.slot.since && !is_opening(p)) {
			struct backend_choice *last = svc_last(p);

			if (last && last->svc_id == to->svc.svc_id && (__s32)(last->generation - s.slot.since) >= 0) {
				to->backend.ip = last->backend_ip;
				to->backend.port = last->backend_port;
				return LB_BACKEND;
			}
		}
		bk.svc_id = to->svc.svc_id;
		bk.generation = to->svc.generation;
		bk.index = is_opening(p) || s.slot.base == SLOT_NOBODY ? s.slot.index : s.slot.base;
		if (bk.index == SLOT_NOBODY)
			return LB_REFUSE;
		b = bpf_map_lookup_elem(&backends, &bk);
		/* Nothing is left there; the flow may be a newer one that opened at another node, or is reset. */
		if (b && bk.index >= to->svc.n_backends && svc_pod_is_gone(&b->ip)) {
			if (s.slot.index == SLOT_NOBODY)
				return LB_REFUSE;
			bk.index = s.slot.index;
			b = bpf_map_lookup_elem(&backends, &bk);
		}
		if (b) {
			to->backend = *b;
			return !s.slot.since || svc_keep(p, to) ? LB_BACKEND : LB_REFUSE;
		}
		value = bpf_map_lookup_elem(&services, svc);
		if (!value)
			return LB_NOT_A_SERVICE;
		slot = svc_slot_of(p, value, to);
	}
	to->svc.flags |= SVC_SILENT; /* to refuse would end a connection that is only not known this instant */
	return LB_REFUSE;
}

/* svc: the service that the packet is for, by its destination or (gone) by what its destination was. */
static __noinline_prog int svc_pick(const struct packet *p, const struct svc_key *svc, bool gone, struct lb_choice *to)
{
	struct backend_choice *last = svc_last(p);
	int r;

	if (last && p->proto == IPPROTO_TCP && !is_opening(p)) {
		to->backend.ip = last->backend_ip;
		to->backend.port = last->backend_port;
		return LB_BACKEND;
	}
	/* The other end of an established connection is gone: no other backend can go on with it. */
	if (gone && p->proto == IPPROTO_TCP && !is_opening(p))
		return LB_REFUSE;
	/* The node itself may have a connection from such a port, and resets what it does not know. */
	if (svc->side == SVC_OUTSIDE && p->proto == IPPROTO_TCP && !is_opening(p))
		return LB_NOT_A_SERVICE;
	r = lb_choose_again(svc, svc_client(p), svc->side == SVC_OUTSIDE ? svc_hash(p) : bpf_get_prandom_u32(), last,
			    to);
	if (r != LB_BACKEND)
		return r;
	if (last && last->svc_id == to->svc.svc_id && last->generation == to->svc.generation &&
	    svc_is_last(last, &to->backend))
		return r;
	return svc_keep(p, to) ? r : LB_REFUSE;
}

/* Are flows of that service found by their slots? */
static __always_inline bool svc_by_slot(const struct packet *p, const struct svc_key *svc,
					const struct svc_value *value)
{
	return value && value->slots && p->proto == IPPROTO_TCP && !lb_is_any_address(&svc->vip);
}

#endif
