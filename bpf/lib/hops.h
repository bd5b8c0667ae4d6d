/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Ethernet address by which another node is reached. XDP cannot ask the kernel's neighbours and routes (the helper
 * is for programs under the GPL), so to_uplink notes what the kernel chose for tunnel packets, and xdp_lb believes it
 * for HOP_LIFE. Then it lets a packet pass to the kernel's tunnel, by which the note is fresh again.
 *
 * Map `next_hops` (LRU, key node): written by to_uplink, read by xdp_lb. Missing entry, or too old: the packet takes
 * the kernel's way. Full: the least recently used node's packets do.
 */
#ifndef SKEP_BPF_HOPS_H
#define SKEP_BPF_HOPS_H

#include "settings.h"

#define HOP_LIFE 28u /* units of 2^30 ns: 30 s */

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct ip_addr);
	__type(value, struct next_hop);
} next_hops SEC(".maps");

/* A tunnel packet on its way out to that node. */
static __always_inline void hop_note(struct __sk_buff *skb, const struct ip_addr *to)
{
	struct next_hop *known = bpf_map_lookup_elem(&next_hops, to), hop = { .seen = now_units() };

	if (known && known->seen == hop.seen)
		return;
	if (!bpf_skb_load_bytes(skb, 0, hop.mac, sizeof(hop.mac)))
		bpf_map_update_elem(&next_hops, to, &hop, BPF_ANY);
}

static __always_inline const struct next_hop *hop_of(const struct ip_addr *node_ip)
{
	const struct next_hop *hop = bpf_map_lookup_elem(&next_hops, node_ip);

	return hop && now_units() - hop->seen <= HOP_LIFE ? hop : NULL;
}

#endif
