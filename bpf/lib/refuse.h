/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "Connection refused", made of the refused packet: a TCP reset (RFC 9293, 3.10.7.1), or an ICMP port unreachable (RFC
 * 792, RFC 4443). What is itself an error, a reset or a fragment is dropped without a word.
 */
#ifndef SKEP_BPF_REFUSE_H
#define SKEP_BPF_REFUSE_H

#include "packet.h"

#define L3_OFF	   sizeof(struct ethhdr)
#define ANSWER_TTL 64

#define ICMP_PORT_UNREACH 3
#ifndef ICMPV6_DEST_UNREACH
#define ICMPV6_DEST_UNREACH 1
#endif
#define ICMPV6_PORT_UNREACHABLE 4

struct tcp_header {
	__be16 sport, dport;
	__be32 seq, ack;
	__u8 off, flags;
	__be16 window;
	__sum16 check;
	__be16 urgent;
};

struct icmp_header {
	__u8 type, code;
	__sum16 check;
	__be32 unused;
};

/* What the checksum of an upper layer begins with. A v4-mapped address sums up to the IPv4 address: 0xffff is zero. */
struct pseudo_header {
	struct ip_addr src, dst;
	__be32 len, proto;
};

static __always_inline __sum16 csum_fold(__s64 sum)
{
	__u32 s = (__u32)sum;

	s = (s & 0xffff) + (s >> 16);
	s = (s & 0xffff) + (s >> 16);
	return (__sum16)~s;
}

static __always_inline int refuse_tcp(struct __sk_buff *skb, const struct packet *p)
{
	struct {
		struct pseudo_header pseudo;
		struct tcp_header tcp;
	} a = {};
	struct tcp_header was;
	__be16 old_len, new_len;
	__u32 seq_len;

	if ((p->tcp_flags & TCP_RST) || bpf_skb_load_bytes(skb, p->l4_off, &was, sizeof(was)))
		return DROP_NO_BACKEND;
	if (bpf_skb_load_bytes(skb, L3_OFF + (p->flags & PACKET_V6 ? 4 : 2), &old_len, sizeof(old_len)))
		return DROP_NO_BACKEND;
	seq_len = bpf_ntohs(old_len) + L3_OFF + (p->flags & PACKET_V6 ? sizeof(struct ipv6hdr) : 0) - p->l4_off -
		  (was.off >> 4) * 4;
	seq_len += !!(was.flags & TCP_SYN) + !!(was.flags & TCP_FIN);
	if (bpf_skb_change_tail(skb, p->l4_off + sizeof(a.tcp), 0))
		return DROP_NO_BACKEND;

	a.pseudo.src = p->dst;
	a.pseudo.dst = p->src;
	a.pseudo.len = bpf_htonl(sizeof(a.tcp));
	a.pseudo.proto = bpf_htonl(IPPROTO_TCP);
	a.tcp.sport = p->dport;
	a.tcp.dport = p->sport;
	a.tcp.off = 5 << 4;
	a.tcp.flags = TCP_RST;
	if (was.flags & TCP_ACK) {
		a.tcp.seq = was.ack;
	} else {
		a.tcp.ack = bpf_htonl(bpf_ntohl(was.seq) + seq_len);
		a.tcp.flags |= TCP_ACK;
	}
	a.tcp.check = csum_fold(bpf_csum_diff(NULL, 0, (__be32 *)&a, sizeof(a), 0));
	if (bpf_skb_store_bytes(skb, p->l4_off, &a.tcp, sizeof(a.tcp), 0))
		return DROP_NO_BACKEND;
	if (p->flags & PACKET_V6) {
		new_len = bpf_htons(p->l4_off - L3_OFF - sizeof(struct ipv6hdr) + sizeof(a.tcp));
		if (bpf_skb_store_bytes(skb, L3_OFF + 4, &new_len, sizeof(new_len), 0) ||
		    bpf_skb_store_bytes(skb, L3_OFF + 8, &a.pseudo.src, 2 * sizeof(struct ip_addr), 0))
			return DROP_NO_BACKEND;
		return 0;
	}
	new_len = bpf_htons(p->l4_off - L3_OFF + sizeof(a.tcp));
	if (bpf_l3_csum_replace(skb, L3_OFF + 10, old_len, new_len, 2) ||
	    bpf_skb_store_bytes(skb, L3_OFF + 2, &new_len, sizeof(new_len), 0) ||
	    bpf_skb_store_bytes(skb, L3_OFF + 12, &a.pseudo.src.w[3], 4, 0) ||
	    bpf_skb_store_bytes(skb, L3_OFF + 16, &a.pseudo.dst.w[3], 4, 0))
		return DROP_NO_BACKEND;
	return 0;
}

/* Quoted is the IP header and 8 bytes more, which hold the ports. */
static __noinline_prog int refuse_icmp4(struct __sk_buff *skb, const struct packet *p)
{
	struct {
		struct iphdr ip;
		struct icmp_header icmp;
		__u8 quoted[sizeof(struct iphdr) + 8];
	} a = {};

	if (p->l4_off != L3_OFF + sizeof(struct iphdr) || bpf_skb_load_bytes(skb, L3_OFF, a.quoted, sizeof(a.quoted)) ||
	    bpf_skb_change_tail(skb, L3_OFF + sizeof(a.quoted), 0) ||
	    bpf_skb_adjust_room(skb, sizeof(a.ip) + sizeof(a.icmp), BPF_ADJ_ROOM_MAC, 0))
		return DROP_NO_BACKEND;
	a.ip.version = 4;
	a.ip.ihl = 5;
	a.ip.tot_len = bpf_htons(sizeof(a));
	a.ip.frag_off = bpf_htons(0x4000);
	a.ip.ttl = ANSWER_TTL;
	a.ip.protocol = IPPROTO_ICMP;
	a.ip.saddr = p->dst.w[3];
	a.ip.daddr = p->src.w[3];
	a.ip.check = csum_fold(bpf_csum_diff(NULL, 0, (__be32 *)&a.ip, sizeof(a.ip), 0));
	a.icmp.type = ICMP_DEST_UNREACH;
	a.icmp.code = ICMP_PORT_UNREACH;
	a.icmp.check = csum_fold(bpf_csum_diff(NULL, 0, (__be32 *)&a.icmp, sizeof(a.icmp) + sizeof(a.quoted), 0));
	return bpf_skb_store_bytes(skb, L3_OFF, &a, sizeof(a), 0) ? DROP_NO_BACKEND : 0;
}

static __noinline_prog int refuse_icmp6(struct __sk_buff *skb, const struct packet *p)
{
	struct {
		struct pseudo_header pseudo;
		struct icmp_header icmp;
		__u8 quoted[sizeof(struct ipv6hdr) + 8];
	} a = {};
	struct ipv6hdr ip6 = {};
	__u32 len = sizeof(a.icmp) + sizeof(a.quoted);

	if (p->l4_off != L3_OFF + sizeof(struct ipv6hdr) ||
	    bpf_skb_load_bytes(skb, L3_OFF, a.quoted, sizeof(a.quoted)) ||
	    bpf_skb_change_tail(skb, L3_OFF + sizeof(a.quoted), 0) ||
	    bpf_skb_adjust_room(skb, sizeof(ip6) + sizeof(a.icmp), BPF_ADJ_ROOM_MAC, 0))
		return DROP_NO_BACKEND;
	a.pseudo.src = p->dst;
	a.pseudo.dst = p->src;
	a.pseudo.len = bpf_htonl(len);
	a.pseudo.proto = bpf_htonl(IPPROTO_ICMPV6);
	a.icmp.type = ICMPV6_DEST_UNREACH;
	a.icmp.code = ICMPV6_PORT_UNREACHABLE;
	a.icmp.check = csum_fold(bpf_csum_diff(NULL, 0, (__be32 *)&a, sizeof(a), 0));
	ip6.version = 6;
	ip6.payload_len = bpf_htons(len);
	ip6.nexthdr = IPPROTO_ICMPV6;
	ip6.hop_limit = ANSWER_TTL;
	__builtin_memcpy(&ip6.saddr, &a.pseudo.src, sizeof(ip6.saddr));
	__builtin_memcpy(&ip6.daddr, &a.pseudo.dst, sizeof(ip6.daddr));
	if (bpf_skb_store_bytes(skb, L3_OFF, &ip6, sizeof(ip6), 0) ||
	    bpf_skb_store_bytes(skb, L3_OFF + sizeof(ip6), &a.icmp, sizeof(a.icmp), 0))
		return DROP_NO_BACKEND;
	return 0;
}

/* 0: skb is the answer, to be sent to the packet's sender; else a drop reason. */
__verified_once int refuse(struct __sk_buff *skb, const struct packet *p)
{
	if (!p || (p->flags & PACKET_FRAGMENTED))
		return DROP_NO_BACKEND;
	if (p->proto == IPPROTO_TCP)
		return refuse_tcp(skb, p);
	return p->flags & PACKET_V6 ? refuse_icmp6(skb, p) : refuse_icmp4(skb, p);
}

#endif
