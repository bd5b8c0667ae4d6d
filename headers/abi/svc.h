/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services. The backends of a service are keyed by a generation, so that a reader of the service's value sees all of
 * the old set or all of the new one. A reader that finds a backend gone (its generation was just replaced) reads the
 * value again.
 */
#ifndef SKEP_ABI_SVC_H
#define SKEP_ABI_SVC_H

#include "addr.h"

/*
 * Who asks. A service may offer fewer backends to the world (externalTrafficPolicy), and has addresses for the cluster
 * only: each front end is there once for each side that may use it.
 */
enum svc_side {
	SVC_INSIDE,  /* pods, and the node's own processes */
	SVC_OUTSIDE, /* what comes in by the uplink */
};

/*
 * Of a node port vip is 0.0.0.0 or ::, which stand for every address of every node. An address that is a service's as a
 * whole (external, load balancer) has an entry for port 0, protocol 0, without backends, outside: what is no port of
 * the service is refused there, not routed on.
 */
struct svc_key {
	struct ip_addr vip;
	__be16 port;
	__u8 proto; /* IPPROTO_TCP, IPPROTO_UDP */
	__u8 side;  /* enum svc_side */
};
_Static_assert(sizeof(struct svc_key) == 20, "svc_key is map ABI");

enum svc_flag {
	SVC_SILENT = 1 << 0,	/* without backends here, but elsewhere: packets are dropped without a word */
	SVC_ANNOUNCED = 1 << 1, /* of an address as a whole: this node answers who asks for it on the uplink's link */
	SVC_DIRECT = 1 << 2,	/* direct server return: packets go to the backend's node as the client sent them */
};

struct svc_value {
	__u32 svc_id;
	__u32 generation;
	__u32 n_backends; /* 0: connections are refused */
	__u32 affinity_s; /* a client stays with its backend until it has been silent that long; 0: no affinity */
	__u32 flags;	  /* enum svc_flag */
	__u32 ranges;	  /* not 0: only clients of source_ranges are served; stands for what these are */
	__u32 slots;	  /* of its table in `maglev`; 0: it has none, backends are chosen at random */
};
_Static_assert(sizeof(struct svc_value) == 28, "svc_value is map ABI");

/*
 * Of a service with direct server return every node makes the same table of the same backends: a flow's hash finds its
 * slot (struct svc_slot). By generation as the backends are. A table one of whose slots has had another owner goes on
 * behind its slots: see compile/slots.h.
 */
struct maglev_key {
	__u32 svc_id;
	__u32 generation;
};
_Static_assert(sizeof(struct maglev_key) == 8, "maglev_key is map ABI");

/*
 * since 0: the slot has had one owner only, and all its flows are with `index`: nothing is kept of them. Otherwise the
 * generation from which on every packet of its TCP flows leaves an entry in `svc_out`; entries of earlier generations
 * are of connections that are over. A flow without an entry was there before, and is with `base`.
 */
struct svc_slot {
	__u16 index; /* of the backend that takes new flows, or SLOT_NOBODY: the service has none */
	__u16 base;  /* a backend, perhaps one beyond n_backends, which the service has lost; SLOT_NOBODY: as index */
	__u32 since;
};
_Static_assert(sizeof(struct svc_slot) == 8, "svc_slot is map ABI");

#define SLOT_NOBODY   0xffffu
#define SLOT_BY_OLD   0xfffeu /* base: that of the flow's slot in the old table, which had another size */
#define SLOT_BACKENDS 0xfffeu /* indexes below this are backends */

/* since: so long ago that whatever is known is true. Generations go round, and are never 0. */
#define SLOT_SINCE_EVER(generation) (((generation) - (1u << 30)) | 1u)

/* Behind the slots, the first is 0. */
enum svc_slots_tail {
	SLOTS_OLD,	 /* since: how many slots the old table had; 0: base is never SLOT_BY_OLD */
	SLOTS_OLD_ENDED, /* since: the generation that was the first without the old table */
	SLOTS_OLD_FIRST, /* base: of the first slot of the old table */
};

#define SVC_HASH_MIX 0x9e3779b97f4a7c15ULL /* 2^64 over the golden ratio: spreads what is multiplied by it */

/* What chooses a flow's slot: the same on every node, so that each chooses the same backend. */
static inline __attribute__((always_inline)) __u32 svc_flow_hash(const struct ip_addr *client, __be16 client_port,
								 __be16 port, __u8 proto)
{
	__u64 hash = ((__u64)client->w[0] << 32 | client->w[1]) * SVC_HASH_MIX;

	hash = (hash ^ hash >> 29 ^ ((__u64)client->w[2] << 32 | client->w[3])) * SVC_HASH_MIX;
	hash = (hash ^ hash >> 32 ^ ((__u64)client_port << 32 | (__u32)port << 8 | proto)) * SVC_HASH_MIX;
	return hash >> 32;
}

/* Who may use a service. By generation as the backends are, so that both change at once. */
struct source_range_key {
	__u32 prefixlen; /* 64 for the first two + that of ip in v4-mapped bits: 96 + n for IPv4 */
	__u32 svc_id;
	__u32 generation;
	struct ip_addr ip;
};
_Static_assert(sizeof(struct source_range_key) == 28, "source_range_key is map ABI");

struct backend_key {
	__u32 svc_id;
	__u32 generation;
	__u32 index; /* 0 .. n_backends - 1; from there on, those that are only the base of a slot */
};
_Static_assert(sizeof(struct backend_key) == 12, "backend_key is map ABI");

struct backend_value {
	struct ip_addr ip;
	__be16 port;
	__u8 pad[2];
};
_Static_assert(sizeof(struct backend_value) == 20, "backend_value is map ABI");

/* What a socket believes to talk to: from the backend it really talks to. */
struct sock_peer_key {
	__u64 cookie;
	struct ip_addr backend_ip;
	__be16 backend_port;
	__u8 pad[6];
};
_Static_assert(sizeof(struct sock_peer_key) == 32, "sock_peer_key is map ABI");

struct sock_peer_value {
	struct ip_addr vip;
	__be16 port;
	__u8 pad[2];
};
_Static_assert(sizeof(struct sock_peer_value) == 20, "sock_peer_value is map ABI");

/* A backend that was chosen, and from which set; still right as long as it is one of the service's. */
struct backend_choice {
	__u32 svc_id;
	__u32 generation;
	struct ip_addr backend_ip;
	__be16 backend_port;
	__u8 pad[2];
};
_Static_assert(sizeof(struct backend_choice) == 28, "backend_choice is map ABI");

/* An unconnected UDP socket's backend is a struct backend_choice by this key. */
struct udp_choice_key {
	__u64 cookie;
	struct ip_addr vip;
	__be16 port;
	__u8 pad[6];
};
_Static_assert(sizeof(struct udp_choice_key) == 32, "udp_choice_key is map ABI");

/* Session affinity: a client is a network namespace, which is a pod or the node with all that is on its network. */
struct affinity_key {
	__u64 netns_cookie;
	__u32 svc_id;
	__u32 pad;
};
_Static_assert(sizeof(struct affinity_key) == 16, "affinity_key is map ABI");

struct affinity_value {
	struct backend_choice choice;
	__u32 last_used; /* units of 2^30 ns */
};
_Static_assert(sizeof(struct affinity_value) == 32, "affinity_value is map ABI");

/*
 * A flow to a service whose packets are rewritten one by one. svc_out: peer is the service, the value a struct
 * backend_choice. svc_in: peer is the backend, the value a struct svc_in_value; of a pod that is its own backend the
 * client's address is the service's, as the pod sees it.
 */
struct svc_flow_key {
	struct ip_addr client, peer;
	__be16 client_port, peer_port;
	__u8 proto;
	__u8 pad[3];
};
_Static_assert(sizeof(struct svc_flow_key) == 40, "svc_flow_key is map ABI");

struct svc_in_value {
	struct ip_addr vip;
	__be16 port;
	__u8 pad[2];
};
_Static_assert(sizeof(struct svc_in_value) == 20, "svc_in_value is map ABI");

/* A backend that a service had, and which: for those who were connected to it when its pod went. */
struct gone_key {
	struct ip_addr ip;
	__be16 port;
	__u8 proto;
	__u8 pad;
};
_Static_assert(sizeof(struct gone_key) == 20, "gone_key is map ABI");

struct gone_value {
	struct svc_key svc;
	__u32 at; /* units of 2^30 ns of the monotonic clock */
};
_Static_assert(sizeof(struct gone_value) == 24, "gone_value is map ABI");

#define GONE_LIFE_TCP	112u  /* 120 s: as long as a SYN is repeated */
#define GONE_LIFE_OTHER 3353u /* 1 h */

#endif
