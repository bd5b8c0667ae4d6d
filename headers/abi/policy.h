/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Identities and compiled policy. A pod's policy is one LPM trie (inner map of `policies`, replaced whole): the
 * identity of the peer and the direction are always matched exactly, then the protocol, then leading bits of the
 * port. A packet is looked up twice, with the peer's identity and with IDENTITY_ANY; a deny in either wins, else an
 * allow in either, else it is denied. A direction that is not isolated has one entry that allows IDENTITY_ANY.
 */
#ifndef SKEP_ABI_POLICY_H
#define SKEP_ABI_POLICY_H

#include <linux/types.h>

enum identity {
	IDENTITY_UNKNOWN = 0,	  /* a pod address that this node has not been told of (yet) */
	IDENTITY_ANY = 0,	  /* in policy keys: whoever */
	IDENTITY_HOST = 1,	  /* this node */
	IDENTITY_REMOTE_NODE = 2, /* another node of the cluster */
	IDENTITY_WORLD = 3,	  /* outside the cluster, in no CIDR that a policy names */
	IDENTITY_FIRST_POD = 256, /* from here on: given out by the agent, for label sets and CIDRs */
};

enum policy_direction {
	POLICY_INGRESS = 0,
	POLICY_EGRESS = 1,
};

struct policy_key {
	__u32 prefixlen; /* POLICY_BITS_ANY, POLICY_BITS_PROTO + bits of the port */
	__u32 identity;
	__u8 direction; /* enum policy_direction */
	__u8 proto;	/* IPPROTO_* */
	__be16 port;	/* of the responder */
};
_Static_assert(sizeof(struct policy_key) == 12, "policy_key is map ABI");

#define POLICY_BITS_ANY	  40 /* identity and direction: any protocol and port */
#define POLICY_BITS_PROTO 48 /* and protocol: any port */
#define POLICY_BITS_FULL  64

struct policy_value {
	__u32 rule_id;
	__u8 allow;
	__u8 pad[3];
};
_Static_assert(sizeof(struct policy_value) == 8, "policy_value is map ABI");

#endif
