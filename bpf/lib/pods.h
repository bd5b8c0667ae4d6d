/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who an address or an interface is. All maps here are written by the agent only (dp_endpoint.c) and never evict.
 *
 * Map `pods_by_ifindex`: read by the pod programs. Missing entry: the interface belongs to no known pod; everything
 * is dropped (no-endpoint). That is the default-deny from the interface's birth.
 * Map `pods_by_ip`: read to deliver locally and to judge. Missing entry: no local pod has that address.
 * Map `ipcache`: read for the identity of an address and its node. Missing entry: not a pod or node that was told of.
 * Map `cidrs` (LPM): read after the ipcache, only to judge. Missing entry: the world.
 * Full: the agent's call fails and the pod does not start; nothing else changes.
 */
#ifndef SKEP_BPF_PODS_H
#define SKEP_BPF_PODS_H

#include "settings.h"
#include "abi/policy.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct pod);
} pods_by_ifindex SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2048);
	__type(key, struct ip_addr);
	__type(value, struct pod);
} pods_by_ip SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ip_addr);
	__type(value, struct ipcache_value);
} ipcache SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct cidr_key);
	__type(value, struct cidr_value);
} cidrs SEC(".maps");

/*
 * Both copy the key: in a function that is verified once, *ip is memory of the caller's, and Linux 6.1 says "R2
 * type=mem expected=fp, pkt, pkt_meta, map_key, map_value".
 */
static __always_inline const struct pod *pod_by_ip(const struct ip_addr *ip)
{
	struct ip_addr key = *ip;

	return bpf_map_lookup_elem(&pods_by_ip, &key);
}

static __always_inline struct ipcache_value *ipcache_of(const struct ip_addr *ip)
{
	struct ip_addr key = *ip;

	return bpf_map_lookup_elem(&ipcache, &key);
}

/*
 * The identity of an address that is no local pod's. Order: this node, the ipcache, an unknown pod, CIDRs, the world.
 * Being the node's own is a property of the packet (it has come from no interface), so an address alone makes nobody
 * the host for free passage; it only names the peer in a pod's egress policy.
 */
static __noinline_prog __u32 identity_of(const struct ip_addr *ip)
{
	struct ipcache_value *known;
	struct cidr_value *cidr;
	struct cidr_key key;

	if (is_node_ip(ip))
		return IDENTITY_HOST;
	known = ipcache_of(ip);
	if (known)
		return known->identity;
	if (is_pod_ip(ip))
		return IDENTITY_UNKNOWN;
	key.prefixlen = 128;
	key.ip = *ip;
	cidr = bpf_map_lookup_elem(&cidrs, &key);
	return cidr ? cidr->identity : IDENTITY_WORLD;
}

#endif
