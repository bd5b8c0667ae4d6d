/* SPDX-License-Identifier: Apache-2.0 */
/* Where a packet that may pass goes: into a local pod, or through the tunnel. */
#ifndef SKEP_BPF_DELIVER_H
#define SKEP_BPF_DELIVER_H

#include "drop.h"
#include "pods.h"

#define SKB_PACKET_HOST	     0
#define SKB_PACKET_OTHERHOST 3

/* At TC ingress only: redirect_peer moves the packet into the pod without passing its host side. */
static __always_inline int deliver_local(struct __sk_buff *skb, const struct pod *pod)
{
	__u8 macs[12];

	__builtin_memcpy(macs, pod->pod_mac, 6);
	__builtin_memcpy(macs + 6, pod->host_mac, 6);
	if (bpf_skb_store_bytes(skb, 0, macs, sizeof(macs), 0))
		return TC_ACT_SHOT;
	/* Decapsulated frames carry a MAC address of nobody here, and the pod would take them for somebody else's. */
	if (skb->pkt_type != SKB_PACKET_HOST)
		bpf_skb_change_type(skb, SKB_PACKET_HOST);
	count_pod(skb, pod->ep_id, 1);
	return bpf_redirect_peer(pod->ifindex, 0);
}

/* 0 or a drop reason. to: the other node's tunnel endpoint. */
static __always_inline int tunnel_header(struct __sk_buff *skb, const struct ip_addr *to)
{
	struct bpf_tunnel_key key = {};
	__u64 flags = BPF_F_ZERO_CSUM_TX;

	key.tunnel_id = node.vni;
	key.tunnel_ttl = 64;
	if (ip_is_v4(to)) {
		key.remote_ipv4 = bpf_ntohl(to->w[3]);
	} else {
		__builtin_memcpy(key.remote_ipv6, to, sizeof(key.remote_ipv6));
		flags = BPF_F_TUNINFO_IPV6; /* over IPv6 the UDP checksum is mandatory */
	}
	return bpf_skb_set_tunnel_key(skb, &key, sizeof(key), flags) ? DROP_TUNNEL_FAILED : 0;
}

#endif
