/* SPDX-License-Identifier: Apache-2.0 */
/* Other addresses and ports in a packet, and in the packet that an ICMP error quotes, with all checksums right. */
#ifndef SKEP_BPF_REWRITE_H
#define SKEP_BPF_REWRITE_H

#include "packet.h"

/*
 * What is written where. Offsets are within the packet; the L4 checksum is skipped for later fragments, whose first
 * one carries it.
 */
struct nat_rewrite {
	struct ip_addr old_ip, new_ip;
	__be16 old_port, new_port;
	__u16 ip_off;	   /* of the address */
	__u16 ip_csum_off; /* IPv4 header checksum, 0: none */
	__u16 port_off;	   /* 0: no port in this packet */
	__u16 l4_csum_off; /* 0: none */
	__u8 pseudo;	   /* the L4 checksum covers the addresses */
	__u8 udp;	   /* 0 means no checksum */
	__u8 v6;
};

/* 0 or a drop reason. */
__verified_once int nat_write(struct __sk_buff *skb, struct nat_rewrite *w)
{
	__u64 mangled;

	if (!w)
		return DROP_NAT_FAILED;
	mangled = w->udp ? BPF_F_MARK_MANGLED_0 : 0;
	if (w->v6) {
		__s64 diff = bpf_csum_diff(w->old_ip.w, sizeof(w->old_ip), w->new_ip.w, sizeof(w->new_ip), 0);

		if (diff < 0)
			return DROP_NAT_FAILED;
		if (w->l4_csum_off && w->pseudo) {
			if (bpf_l4_csum_replace(skb, w->l4_csum_off, 0, diff, BPF_F_PSEUDO_HDR | mangled))
				return DROP_NAT_FAILED;
			/*
			 * IPv6 has no header checksum: the address and the L4 checksum change by opposite amounts, so
			 * a checksum of the whole packet made by the card is still right. The helper has taken diff
			 * from it.
			 */
			bpf_csum_update(skb, diff);
		}
		if (bpf_skb_store_bytes(skb, w->ip_off, &w->new_ip, sizeof(w->new_ip), 0))
			return DROP_NAT_FAILED;
	} else {
		if (w->l4_csum_off && w->pseudo &&
		    bpf_l4_csum_replace(skb, w->l4_csum_off, w->old_ip.w[3], w->new_ip.w[3],
					BPF_F_PSEUDO_HDR | mangled | 4))
			return DROP_NAT_FAILED;
		if (w->ip_csum_off && bpf_l3_csum_replace(skb, w->ip_csum_off, w->old_ip.w[3], w->new_ip.w[3], 4))
			return DROP_NAT_FAILED;
		if (bpf_skb_store_bytes(skb, w->ip_off, &w->new_ip.w[3], 4, 0))
			return DROP_NAT_FAILED;
	}
	if (!w->port_off || w->old_port == w->new_port)
		return 0;
	if (w->l4_csum_off && bpf_l4_csum_replace(skb, w->l4_csum_off, w->old_port, w->new_port, mangled | 2))
		return DROP_NAT_FAILED;
	if (bpf_skb_store_bytes(skb, w->port_off, &w->new_port, 2, 0))
		return DROP_NAT_FAILED;
	return 0;
}

/* Fills everything but the addresses and ports themselves. source: rewrite the source end, else the destination. */
static __always_inline void nat_offsets(const struct packet *p, bool source, struct nat_rewrite *w)
{
	w->v6 = !!(p->flags & PACKET_V6);
	if (w->v6) {
		w->ip_off = sizeof(struct ethhdr) + (source ? 8 : 24);
	} else {
		w->ip_off = sizeof(struct ethhdr) + (source ? 12 : 16);
		w->ip_csum_off = sizeof(struct ethhdr) + 10;
	}
	w->pseudo = p->proto != IPPROTO_ICMP;
	if (p->flags & PACKET_NO_L4)
		return;
	switch (p->proto) {
	case IPPROTO_TCP:
		w->port_off = p->l4_off + (source ? 0 : 2);
		w->l4_csum_off = p->l4_off + 16;
		break;
	case IPPROTO_UDP:
		w->port_off = p->l4_off + (source ? 0 : 2);
		w->l4_csum_off = p->l4_off + 6;
		w->udp = 1;
		break;
	default: /* ICMP */
		w->l4_csum_off = p->l4_off + 2;
		if (p->flags & PACKET_ICMP_ECHO)
			w->port_off = p->l4_off + 4;
		break;
	}
}

/*
 * An ICMP error about a flow one end of which goes by another address than the one quoted. w: the ends, old and new.
 * source: the end is the quoted packet's source and so the error's destination; else the quoted packet's destination,
 * and the error's source too if the error comes from that end itself. 0 or a drop reason; p is kept true.
 *
 * Each rewrite inside also changes what the outer ICMP checksum covers, once for the bytes and once for the inner
 * checksum that they correct. The inner IPv4 header checksum and its address cancel out. The inner L4 checksum may lie
 * beyond what the router quoted; it is left as it was, like the receiver leaves it unread.
 */
static __always_inline int nat_write_error(struct __sk_buff *skb, struct packet *p, const struct packet *inner,
					   struct nat_rewrite *w, bool source)
{
	int r;

	w->v6 = !!(p->flags & PACKET_V6);
	w->l4_csum_off = p->l4_off + 2;
	w->pseudo = w->v6;
	w->ip_off = p->inner_off + (w->v6 ? 8 : 12) + (source ? 0 : w->v6 ? 16 : 4);
	w->ip_csum_off = w->v6 ? 0 : p->inner_off + 10;
	if (inner->flags & PACKET_ICMP_ECHO)
		w->port_off = inner->l4_off + 4;
	else
		w->port_off = inner->l4_off + (source ? 0 : 2);
	r = nat_write(skb, w);
	if (r)
		return r;
	if (!source && !ip_eq(&p->src, &w->old_ip))
		return 0;
	w->ip_off = sizeof(struct ethhdr) + (w->v6 ? 8 : 12) + (source ? (w->v6 ? 16 : 4) : 0);
	w->ip_csum_off = w->v6 ? 0 : sizeof(struct ethhdr) + 10;
	w->port_off = 0;
	r = nat_write(skb, w);
	if (r)
		return r;
	if (source)
		p->dst = w->new_ip;
	else
		p->src = w->new_ip;
	return 0;
}

#endif
