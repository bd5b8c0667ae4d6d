/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who has a load balancer's address? Of the nodes the one that announces it answers, by ARP (RFC 826) and neighbour
 * discovery (RFC 4861): no interface has the address. The `services` entry of the address as a whole says so
 * (SVC_ANNOUNCED).
 */
#ifndef SKEP_BPF_ANNOUNCE_H
#define SKEP_BPF_ANNOUNCE_H

#include "lb.h"
#include "refuse.h"

#define ARP_REQUEST		      1
#define ARP_REPLY		      2
#define ICMPV6_NEIGHBOUR_SOLICITATION 135
#define ICMPV6_NEIGHBOUR_ADVERT	      136
#define ND_SOLICITED_OVERRIDE	      0x60000000
#define ND_OPTION_TARGET_ADDRESS      2
#define ND_HOP_LIMIT		      255

struct arp_packet {
	__be16 hardware, protocol;
	__u8 hardware_len, protocol_len;
	__be16 op;
	__u8 sender_mac[6];
	__u8 sender_ip[4];
	__u8 target_mac[6];
	__u8 target_ip[4];
} __attribute__((packed, aligned(4)));

struct nd_packet {
	__u8 type, code;
	__sum16 check;
	__be32 flags;
	struct ip_addr target;
	__u8 option, option_len; /* in units of 8 bytes */
	__u8 mac[6];
};

static __always_inline bool is_announced(const struct ip_addr *ip)
{
	struct svc_key key = { .vip = *ip, .side = SVC_OUTSIDE };
	struct svc_value *value = bpf_map_lookup_elem(&services, &key);

	return value && (value->flags & SVC_ANNOUNCED);
}

static __always_inline void own_mac(__u8 *mac)
{
	for (int i = 0; i < 6; i++)
		mac[i] = node.uplink_mac[i];
}

/* The frame's addresses: from this node, to whom the answer is for. */
static __always_inline int send_from_uplink(struct __sk_buff *skb, const __u8 *to)
{
	__u8 macs[12];

	__builtin_memcpy(macs, to, 6);
	own_mac(macs + 6);
	if (bpf_skb_store_bytes(skb, 0, macs, sizeof(macs), 0))
		return TC_ACT_SHOT;
	return bpf_redirect(skb->ifindex, 0);
}

/* TC_ACT_OK: not for an address that is announced here. */
static __noinline_prog int announce_arp(struct __sk_buff *skb)
{
	struct arp_packet arp;
	__u8 asker_ip[4];
	struct ip_addr ip;
	__be32 target;

	if (bpf_skb_load_bytes(skb, sizeof(struct ethhdr), &arp, sizeof(arp)) || arp.op != bpf_htons(ARP_REQUEST) ||
	    arp.protocol != bpf_htons(ETH_P_IP) || arp.hardware_len != 6 || arp.protocol_len != 4)
		return TC_ACT_OK;
	__builtin_memcpy(&target, arp.target_ip, sizeof(target));
	ip_set_v4(&ip, target);
	if (!is_announced(&ip))
		return TC_ACT_OK;
	__builtin_memcpy(asker_ip, arp.sender_ip, 4);
	arp.op = bpf_htons(ARP_REPLY);
	__builtin_memcpy(arp.target_mac, arp.sender_mac, 6);
	__builtin_memcpy(arp.sender_ip, arp.target_ip, 4);
	__builtin_memcpy(arp.target_ip, asker_ip, 4);
	own_mac(arp.sender_mac);
	if (bpf_skb_store_bytes(skb, sizeof(struct ethhdr), &arp, sizeof(arp), 0))
		return TC_ACT_SHOT;
	return send_from_uplink(skb, arp.target_mac);
}

/* A neighbour solicitation. One without a sender only asks whether an address is free: left alone. */
static __noinline_prog int announce_neighbour(struct __sk_buff *skb, const struct packet *p)
{
	struct {
		struct pseudo_header pseudo;
		struct nd_packet nd;
	} a = {};
	__be16 len = bpf_htons(sizeof(a.nd));
	__u8 asker[6] __attribute__((aligned(2))), hops = ND_HOP_LIMIT;

	if (p->l4_off != L3_OFF + sizeof(struct ipv6hdr) || ip_zero(&p->src) ||
	    bpf_skb_load_bytes(skb, p->l4_off, &a.nd, offsetof(struct nd_packet, option)) ||
	    !is_announced(&a.nd.target))
		return TC_ACT_OK;
	if (bpf_skb_load_bytes(skb, 6, asker, sizeof(asker)) ||
	    bpf_skb_change_tail(skb, L3_OFF + sizeof(struct ipv6hdr) + sizeof(a.nd), 0))
		return TC_ACT_SHOT;
	a.pseudo.src = a.nd.target;
	a.pseudo.dst = p->src;
	a.pseudo.len = bpf_htonl(sizeof(a.nd));
	a.pseudo.proto = bpf_htonl(IPPROTO_ICMPV6);
	a.nd.type = ICMPV6_NEIGHBOUR_ADVERT;
	a.nd.code = 0;
	a.nd.check = 0;
	a.nd.flags = bpf_htonl(ND_SOLICITED_OVERRIDE);
	a.nd.option = ND_OPTION_TARGET_ADDRESS;
	a.nd.option_len = 1;
	own_mac(a.nd.mac);
	a.nd.check = csum_fold(bpf_csum_diff(NULL, 0, (__be32 *)&a, sizeof(a), 0));
	if (bpf_skb_store_bytes(skb, L3_OFF + 4, &len, sizeof(len), 0) ||
	    bpf_skb_store_bytes(skb, L3_OFF + 7, &hops, sizeof(hops), 0) ||
	    bpf_skb_store_bytes(skb, L3_OFF + 8, &a.pseudo.src, 2 * sizeof(struct ip_addr), 0) ||
	    bpf_skb_store_bytes(skb, L3_OFF + sizeof(struct ipv6hdr), &a.nd, sizeof(a.nd), 0))
		return TC_ACT_SHOT;
	return send_from_uplink(skb, asker);
}

#endif
