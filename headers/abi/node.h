/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the programs know of their node: settings (read-only data, set at load), local pods, and which address belongs
 * to whom.
 */
#ifndef SKEP_ABI_NODE_H
#define SKEP_ABI_NODE_H

#include "addr.h"

/* VXLAN network identifier and UDP port of pod traffic between nodes. */
#define SKEP_VNI	1
#define SKEP_VXLAN_PORT 8472

/* An absent range has address all ones and mask zero: it contains nothing. */
struct ip_range {
	struct ip_addr addr, mask;
};

struct node_settings {
	struct ip_addr ip4, ip6;      /* the node's, on the uplink; all zero: none */
	struct ip_range pods4, pods6; /* of the whole cluster */
	struct ip_range lan4, lan6;   /* node network */
	struct ip_range services4, services6;
	__u32 tunnel_ifindex;
	__u32 vni;
	__u16 nat_port_min, nat_port_max;   /* host order; masquerade's own, both included */
	__u16 node_port_min, node_port_max; /* host order; of services, on every node's addresses */
	__u8 uplink_mac[6];
	__u16 uplink_mtu; /* host order */
	__u32 xdp;	  /* not 0: xdp_lb may be attached, and wants next_hops */
};
_Static_assert(sizeof(struct node_settings) == 252, "node_settings is read-only data ABI");

/* A local pod; the same value under its interface (pods_by_ifindex) and under each address (pods_by_ip). */
struct pod {
	__u32 ep_id;
	__u32 identity;
	__u32 ifindex; /* host side of its veth */
	struct ip_addr ip4, ip6;
	__u8 pod_mac[6];
	__u8 host_mac[6];
};
_Static_assert(sizeof(struct pod) == 56, "pod is map ABI");

struct ipcache_value {
	__u32 identity;
	struct ip_addr node; /* tunnel endpoint; all zero: this node, or reachable without a tunnel */
};
_Static_assert(sizeof(struct ipcache_value) == 20, "ipcache_value is map ABI");

/* How another node is reached on the uplink's link. */
struct next_hop {
	__u8 mac[6];
	__u8 pad[2];
	__u32 seen; /* units of 2^30 ns */
};
_Static_assert(sizeof(struct next_hop) == 12, "next_hop is map ABI");

struct cidr_key {
	__u32 prefixlen; /* in v4-mapped bits: 96 + n for IPv4 */
	struct ip_addr ip;
};
_Static_assert(sizeof(struct cidr_key) == 20, "cidr_key is map ABI");

struct cidr_value {
	__u32 identity;
};

#endif
