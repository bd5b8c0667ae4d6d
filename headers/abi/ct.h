/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connection tracking. Both directions of a flow share one entry: the two ends are put in a fixed order (a < b), and
 * a flag says which of them opened the flow. Time is counted in units of 2^30 ns (1.07 s) of the monotonic clock.
 */
#ifndef SKEP_ABI_CT_H
#define SKEP_ABI_CT_H

#include "addr.h"

struct ct_key {
	struct ip_addr a, b;
	__be16 a_port, b_port; /* ICMP echo: the identifier, in both */
	__u8 proto;	       /* IPPROTO_* */
	__u8 pad[3];	       /* always 0: hash keys are compared as raw bytes */
};
_Static_assert(sizeof(struct ct_key) == 40, "ct_key is map ABI");

enum ct_flag {
	CT_OPENED_BY_B = 1 << 0,
	CT_REPLIED = 1 << 1,   /* the other end has answered */
	CT_FIN = 1 << 2,       /* the opener closed its side */
	CT_FIN_REPLY = 1 << 3, /* the other end closed its side */
	CT_RST = 1 << 4,
	CT_DENIED = 1 << 5,    /* was allowed, then a policy changed: both directions are dropped */
	CT_FROM_HOST = 1 << 6, /* opened by the node's own stack: policies do not apply */
	CT_SERVICE = 1 << 7,   /* opened to a service, packet by packet: replies show the service's address */
};

struct ct_value {
	__u32 policy_generation; /* judged under; another one means: judge again at the next packet */
	__u32 last_seen;
	__u32 flags;   /* enum ct_flag */
	__u32 rule_id; /* CT_DENIED: the rule that did, 0: none allowed it */
};
_Static_assert(sizeof(struct ct_value) == 16, "ct_value is map ABI");

/* A fragmented datagram's first fragment tells the later ones their ports. */
struct frag_key {
	struct ip_addr src, dst;
	__u32 id; /* as on the wire */
	__u8 proto;
	__u8 pad[3];
};
_Static_assert(sizeof(struct frag_key) == 40, "frag_key is map ABI");

struct frag_value {
	__be16 sport, dport;
	__u32 last_seen;
};
_Static_assert(sizeof(struct frag_value) == 8, "frag_value is map ABI");

/* Idle lifetimes, in units of 2^30 ns. */
#define CT_LIFE_TCP_OPENING   56u    /* 60 s */
#define CT_LIFE_TCP_OPEN      20117u /* 6 h */
#define CT_LIFE_TCP_CLOSING   56u    /* 60 s */
#define CT_LIFE_TCP_RESET     9u     /* 10 s */
#define CT_LIFE_OTHER_OPENING 56u    /* 60 s */
#define CT_LIFE_OTHER_OPEN    168u   /* 180 s */
#define FRAG_LIFE	      28u    /* 30 s */

/* How long a flow may be silent. flags: enum ct_flag. */
static inline __u32 ct_life(int tcp, __u32 flags)
{
	if (!tcp)
		return flags & CT_REPLIED ? CT_LIFE_OTHER_OPEN : CT_LIFE_OTHER_OPENING;
	if (flags & CT_RST)
		return CT_LIFE_TCP_RESET;
	if ((flags & (CT_FIN | CT_FIN_REPLY)) == (CT_FIN | CT_FIN_REPLY))
		return CT_LIFE_TCP_CLOSING;
	return flags & CT_REPLIED ? CT_LIFE_TCP_OPEN : CT_LIFE_TCP_OPENING;
}

#endif
