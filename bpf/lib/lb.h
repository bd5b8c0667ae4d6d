/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services to backends. lb_choose() is the decision, free of any context; the hooks in sock_lb.bpf.c act on it, and
 * svc_forward.h.
 *
 * Map `services` (hash): written by the agent, read at connect, sendmsg, from_pod and from_uplink. Missing entry: not a
 * service, left alone; in the service range refused by from_pod. Full: the agent's call fails and the front end is not
 * served. Here and below: the agent sets the capacity when it loads.
 *
 * Map `backends` (hash, key service, generation, index): written by the agent before `services` names the generation,
 * removed after. Missing entry: the generation was replaced this instant; the service is read again. Full: the
 * agent's call fails, the service keeps its present backends.
 *
 * Map `maglev` (hash of arrays, key service and generation): written by the agent before `services` names the
 * generation, removed after; read where a backend is chosen for a service with direct server return. Missing table: the
 * generation was replaced this instant, and the service is read again. If it is still missing (another build's agent
 * made it, and this one's has not yet) the flow's hash takes one of the backends, and what is in its middle and not
 * known is dropped. Full: the agent's call
 * fails, the service keeps what it has.
 *
 * Map `affinities` (LRU, key client and service): written and read where a backend is chosen, for a service with
 * session affinity. Missing entry, too old, or its backend is no longer among the service's: chosen anew. Full: the
 * least recently used client may change its backend.
 */
#ifndef SKEP_BPF_LB_H
#define SKEP_BPF_LB_H

#include "pods.h"
#include "abi/svc.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct svc_key);
	__type(value, struct svc_value);
} services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 131072);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct backend_key);
	__type(value, struct backend_value);
} backends SEC(".maps");

/* Made by the agent, each as large as it has slots. */
struct maglev_slots {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_INNER_MAP);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct svc_slot));
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct maglev_key);
	__array(values, struct maglev_slots);
} maglev SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct affinity_key);
	__type(value, struct affinity_value);
} affinities SEC(".maps");

enum lb_result {
	LB_NOT_A_SERVICE,
	LB_REFUSE, /* a service without a backend */
	LB_BACKEND,
};

struct lb_choice {
	struct svc_value svc; /* as the backend was chosen from */
	struct backend_value backend;
};

/*
 * Twice in a row the same service would have to be replaced between two instructions for the third reading to be
 * needed.
 */
#define LB_READINGS 3

union lb_slot {
	struct svc_slot slot;
	__u64 all;
};

/*
 * The flow's slot, as one number; `base` is never SLOT_BY_OLD, but where the table is missing: then what is known of
 * flows is true, and more is not known. A frame of its own, no larger than that of lb_search_step().
 */
__verified_once __u64 lb_slot(const struct svc_value *svc, __u32 hash)
{
	struct svc_slot *found = NULL;
	struct maglev_key key;
	union lb_slot ret;
	void *slots;
	__u32 at;

	if (!svc)
		return 0;
	key.svc_id = svc->svc_id;
	key.generation = svc->generation;
	at = hash % (svc->slots ? svc->slots : 1);
	slots = bpf_map_lookup_elem(&maglev, &key);
	if (slots)
		found = bpf_map_lookup_elem(slots, &at);
	if (!found) {
		ret.slot.index = svc->n_backends ? hash % svc->n_backends : SLOT_NOBODY;
		ret.slot.base = svc->slots > 1 ? SLOT_BY_OLD : ret.slot.index;
		ret.slot.since = svc->slots > 1 ? SLOT_SINCE_EVER(svc->generation) : 0;
		return ret.all;
	}
	ret.slot = *found;
	if (ret.slot.base != SLOT_BY_OLD)
		return ret.all;
	ret.slot.base = SLOT_NOBODY;
	at = svc->slots + SLOTS_OLD;
	found = bpf_map_lookup_elem(slots, &at);
	if (!found || !found->since)
		return ret.all;
	at = svc->slots + SLOTS_OLD_FIRST + hash % found->since;
	found = bpf_map_lookup_elem(slots, &at);
	if (found)
		ret.slot.base = found->base;
	return ret.all;
}

/* random: 32 bits that spread connections evenly over the backends. svc: a first reading. */
static __always_inline enum lb_result lb_choose_any(const struct svc_key *key, const struct svc_value *svc,
						    __u32 random, struct lb_choice *choice)
{
	for (int i = 0; i < LB_READINGS; i++) {
		struct backend_value *b;
		struct backend_key bk;

		if (!svc)
			return LB_NOT_A_SERVICE;
		choice->svc = *svc;
		if (choice->svc.n_backends == 0)
			return LB_REFUSE;
		bk.svc_id = choice->svc.svc_id;
		bk.generation = choice->svc.generation;
		bk.index = choice->svc.slots ? ((union lb_slot){ .all = lb_slot(&choice->svc, random) }).slot.index
					     : ((__u64)random * choice->svc.n_backends) >> 32;
		b = bpf_map_lookup_elem(&backends, &bk);
		if (b) {
			choice->backend = *b;
			return LB_BACKEND;
		}
		svc = bpf_map_lookup_elem(&services, key);
	}
	return LB_REFUSE;
}

/* Is the backend of an earlier choice still one of the service's? One step of bpf_loop: 1 ends it. */
struct lb_search {
	struct backend_key key;
	const struct backend_choice *last;
	__u32 found;
};

static int lb_search_step(__u32 i, struct lb_search *s)
{
	struct backend_value *b;

	s->key.index = i;
	b = bpf_map_lookup_elem(&backends, &s->key);
	if (!b || !s->last)
		return 1;
	if (b->port != s->last->backend_port || !ip_eq(&b->ip, &s->last->backend_ip))
		return 0;
	s->found = 1;
	return 1;
}

#define LB_SEARCH_MOST 1024

/* Searched once per change of the service. */
static __always_inline bool lb_keep(const struct svc_value *svc, const struct backend_choice *last,
				    struct lb_choice *choice)
{
	struct lb_search search = {};

	if (last->svc_id != svc->svc_id || !svc->n_backends)
		return false;
	choice->svc = *svc;
	if (last->generation != choice->svc.generation) {
		search.key.svc_id = choice->svc.svc_id;
		search.key.generation = choice->svc.generation;
		search.last = last;
		bpf_loop(choice->svc.n_backends < LB_SEARCH_MOST ? choice->svc.n_backends : LB_SEARCH_MOST,
			 lb_search_step, &search, 0);
		if (!search.found)
			return false;
	}
	choice->backend.ip = last->backend_ip;
	choice->backend.port = last->backend_port;
	return true;
}

static __always_inline void lb_remember(struct backend_choice *last, const struct lb_choice *choice)
{
	last->svc_id = choice->svc.svc_id;
	last->generation = choice->svc.generation;
	last->backend_ip = choice->backend.ip;
	last->backend_port = choice->backend.port;
}

/* With session affinity. */
static __noinline_prog int lb_choose_affine(const struct svc_key *key, __u64 client, __u32 random,
					    struct lb_choice *choice)
{
	struct svc_value *svc = bpf_map_lookup_elem(&services, key);
	struct affinity_key ak = { .netns_cookie = client };
	struct affinity_value *last, next = {};
	int r;

	if (!svc)
		return LB_NOT_A_SERVICE;
	ak.svc_id = svc->svc_id;
	next.last_used = now_units();
	last = bpf_map_lookup_elem(&affinities, &ak);
	if (last && (__u64)(next.last_used - last->last_used) << 30 <= svc->affinity_s * 1000000000ULL &&
	    lb_keep(svc, &last->choice, choice)) {
		last->last_used = next.last_used;
		last->choice.generation = choice->svc.generation;
		return LB_BACKEND;
	}
	r = lb_choose_any(key, svc, random, choice);
	if (r == LB_BACKEND) {
		lb_remember(&next.choice, choice);
		bpf_map_update_elem(&affinities, &ak, &next, BPF_ANY);
	}
	return r;
}

static __always_inline bool is_node_port(__be16 port)
{
	__u16 p = bpf_ntohs(port);

	return p >= node.node_port_min && p <= node.node_port_max;
}

/* The front end of a node port: on whichever address of a node. */
static __always_inline void lb_any_address(struct svc_key *key)
{
	if (ip_is_v4(&key->vip))
		ip_set_v4(&key->vip, 0);
	else
		__builtin_memset(&key->vip, 0, sizeof(key->vip));
}

/* Is the front end that of a node port? */
static __always_inline bool lb_is_any_address(const struct ip_addr *vip)
{
	return ip_zero(vip) || (ip_is_v4(vip) && !vip->w[3]);
}

/* key: what a pod or a process of this node asks for; a node's address and a node port become the port's front end. */
static __noinline_prog int lb_front_of(struct svc_key *key)
{
	__u32 identity;

	if (!is_node_port(key->port) || bpf_map_lookup_elem(&services, key))
		return 0;
	identity = identity_of(&key->vip);
	if (identity == IDENTITY_HOST || identity == IDENTITY_REMOTE_NODE)
		lb_any_address(key);
	return 0;
}

/* client: whose session affinity. */
static __always_inline enum lb_result lb_choose(const struct svc_key *key, __u64 client, __u32 random,
						struct lb_choice *choice)
{
	struct svc_value *svc = bpf_map_lookup_elem(&services, key);

	if (!svc)
		return LB_NOT_A_SERVICE;
	if (svc->affinity_s)
		return lb_choose_affine(key, client, random, choice);
	return lb_choose_any(key, svc, random, choice);
}

/*
 * For a sender without connection: it stays with the backend of last time (NULL: none) as long as that is one of the
 * service's, so that a conversation by datagrams survives the coming and going of other backends.
 */
static __always_inline enum lb_result lb_choose_again(const struct svc_key *key, __u64 client, __u32 random,
						      const struct backend_choice *last, struct lb_choice *choice)
{
	struct svc_value *svc = bpf_map_lookup_elem(&services, key);

	if (!svc)
		return LB_NOT_A_SERVICE;
	if (svc->affinity_s)
		return lb_choose_affine(key, client, random, choice);
	if (last && lb_keep(svc, last, choice))
		return LB_BACKEND;
	return lb_choose_any(key, svc, random, choice);
}

#endif
