/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Masquerade of pods towards the world. nat_in owns a port: (remote end, node port) belongs to the flow whose entry
 * is there. nat_out leads a pod's packet to its port and is only believed when nat_in agrees.
 */
#ifndef SKEP_ABI_NAT_H
#define SKEP_ABI_NAT_H

#include "addr.h"

struct nat_out_key {
	struct ip_addr pod_ip, remote_ip;
	__be16 pod_port, remote_port; /* ICMP echo: identifier, 0 */
	__u8 proto;
	__u8 pad[3];
};
_Static_assert(sizeof(struct nat_out_key) == 40, "nat_out_key is map ABI");

struct nat_out_value {
	__be16 node_port;
	__u8 pad[2];
};
_Static_assert(sizeof(struct nat_out_value) == 4, "nat_out_value is map ABI");

struct nat_in_key {
	struct ip_addr remote_ip;
	__be16 remote_port, node_port;
	__u8 proto;
	__u8 pad[3];
};
_Static_assert(sizeof(struct nat_in_key) == 24, "nat_in_key is map ABI");

struct nat_in_value {
	struct ip_addr pod_ip; /* all zero: a socket of the node itself uses the port */
	__be16 pod_port;
	__u8 pad[2];
	__u32 last_seen; /* units of 2^30 ns */
	__u32 flags;	 /* enum ct_flag: replied, closing */
};
_Static_assert(sizeof(struct nat_in_value) == 28, "nat_in_value is map ABI");

#endif
