/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a packet was dropped. Every drop goes through one function with one of these; the labels are those of the
 * metrics.
 */
#ifndef SKEP_ABI_DROP_H
#define SKEP_ABI_DROP_H

#include <linux/types.h>

#include "addr.h"

/* X(name, label): append only, numbers are map ABI. */
#define DROP_REASONS(X)                                                                                                \
	X(DROP_NONE, "none")                                                                                           \
	X(DROP_POLICY_DENIED, "policy-denied")		 /* no rule allows, or one denies */                           \
	X(DROP_NO_ENDPOINT, "no-endpoint")		 /* interface or address of no known pod */                    \
	X(DROP_NO_POLICY, "no-policy")			 /* a pod whose policy is not in the maps yet */               \
	X(DROP_SPOOFED_SOURCE, "spoofed-source")	 /* not the sender's address */                                \
	X(DROP_NO_BACKEND, "no-backend")		 /* to a service without backends or none at all, refused */   \
	X(DROP_UNKNOWN_IDENTITY, "unknown-identity")	 /* denied, and the peer is not in the ipcache */              \
	X(DROP_CT_FULL, "ct-full")			 /* no conntrack entry to be had */                            \
	X(DROP_NAT_EXHAUSTED, "nat-exhausted")		 /* no free node port towards this remote end */               \
	X(DROP_BAD_PACKET, "bad-packet")		 /* truncated or malformed headers */                          \
	X(DROP_FRAGMENT, "fragment")			 /* a later fragment whose first one was not seen */           \
	X(DROP_NO_TUNNEL_ENDPOINT, "no-tunnel-endpoint") /* a pod address that no known node holds */                  \
	X(DROP_UNSUPPORTED_L3, "unsupported-l3")	 /* neither IP nor ARP, or VLAN-tagged */                      \
	X(DROP_MULTICAST, "multicast")			 /* multicast or broadcast from a pod */                       \
	X(DROP_TUNNEL_FAILED, "tunnel-failed")		 /* the kernel refused the tunnel header */                    \
	X(DROP_NAT_FAILED, "nat-failed")		 /* the kernel refused a rewrite */                            \
	X(DROP_SOURCE_RANGE, "source-range")		 /* a client that the service's ranges leave out */

enum drop_reason {
#define DROP_ENUM(name, label) name,
	DROP_REASONS(DROP_ENUM)
#undef DROP_ENUM
		DROP_N_REASONS,
};

struct drop_key {
	__u32 ep_id;	/* 0: no pod, or the map was full */
	__u8 reason;	/* enum drop_reason */
	__u8 direction; /* enum policy_direction of the check that failed */
	__u8 pad[2];
};
_Static_assert(sizeof(struct drop_key) == 8, "drop_key is map ABI");

struct drop_value {
	__u64 packets, bytes;
};
_Static_assert(sizeof(struct drop_value) == 16, "drop_value is map ABI");

struct drop_event {
	__u64 time_ns; /* monotonic */
	struct ip_addr src, dst;
	__be16 sport, dport;
	__u8 proto;
	__u8 reason;
	__u8 direction;
	__u8 pad;
	__u32 ep_id;
	__u32 src_identity, dst_identity;
	__u32 rule_id;
};
_Static_assert(sizeof(struct drop_event) == 64, "drop_event is ring buffer ABI");

/* Events a CPU may emit for one reason in one window of 2^30 ns; the rest is only counted. */
#define DROP_EVENTS_PER_WINDOW 64

struct drop_window {
	__u32 window;
	__u32 emitted;
};

#endif
