/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From bytes to struct packet. Both families, IPv4 options, IPv6 extension headers, fragments, ICMP. The fixed part
 * of the IP header is read directly; what lies at a variable offset by bpf_skb_load_bytes, which also serves
 * non-linear buffers.
 *
 * Map `frags` (LRU): written by the first fragment of a datagram in whichever program sees it, read by its later
 * fragments. Missing entry: the fragment is dropped (from or to a pod) or left alone (uplink). Full: the least
 * recently used datagram goes.
 */
#ifndef SKEP_BPF_PACKET_H
#define SKEP_BPF_PACKET_H

#include <linux/icmpv6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include "base.h"
#include "abi/ct.h"
#include "abi/drop.h"

enum packet_flag {
	PACKET_V6 = 1 << 0,
	PACKET_FRAGMENTED = 1 << 1,   /* any fragment */
	PACKET_NO_L4 = 1 << 2,	      /* a later fragment: the bytes at l4_off are not an L4 header */
	PACKET_ICMP_ERROR = 1 << 3,   /* about another flow, whose header is at inner_off */
	PACKET_ICMP_ECHO = 1 << 4,    /* sport and dport hold the identifier */
	PACKET_NEIGHBOUR = 1 << 5,    /* IPv6 neighbour discovery or multicast listener messages */
	PACKET_TO_SERVICE = 1 << 6,   /* its destination was a service's address before it was a backend's */
	PACKET_FROM_SERVICE = 1 << 7, /* about a flow to a service: its client is to see the service's address */
};

/* As in linux/icmp.h, which drags in the C library's socket headers. */
#define ICMP_ECHOREPLY	   0
#define ICMP_DEST_UNREACH  3
#define ICMP_ECHO	   8
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETERPROB 12

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

/*
 * Everything the programs learn about one packet; on the stack of the entry point, so 512 bytes hold it with what is
 * called.
 */
struct packet {
	struct ip_addr src, dst;
	__be16 sport, dport;
	__u16 l4_off;
	__u16 inner_off; /* of the IP header inside an ICMP error */
	__u8 proto;
	__u8 tcp_flags;
	__u8 icmp_type;
	__u8 flags;				   /* enum packet_flag */
	__u32 ep_id;				   /* the pod whose policy or interface decides */
	__u32 src_identity, dst_identity, rule_id; /* known once judged; for drop events */
};

/* Results of packet_parse() that are not drop reasons. */
#define PACKET_OK	0
#define PACKET_ARP	(-1)
#define PACKET_OTHER_L3 (-2)

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct frag_key);
	__type(value, struct frag_value);
} frags SEC(".maps");

struct l4_start {
	__be16 sport, dport;
	__u32 seq, ack;
	__u8 doff, flags;
};

struct icmp_start {
	__u8 type, code;
	__be16 checksum, id, seq;
};

/* The ports of a fragment, remembered from the first. */
static __always_inline int packet_fragment(struct packet *p, __u32 id, bool first)
{
	struct frag_key key = { .src = p->src, .dst = p->dst, .id = id, .proto = p->proto };
	struct frag_value *v, nv;

	if (first) {
		nv.sport = p->sport;
		nv.dport = p->dport;
		nv.last_seen = now_units();
		bpf_map_update_elem(&frags, &key, &nv, BPF_ANY);
		return PACKET_OK;
	}
	v = bpf_map_lookup_elem(&frags, &key);
	if (!v || now_units() - v->last_seen > FRAG_LIFE)
		return DROP_FRAGMENT;
	p->sport = v->sport;
	p->dport = v->dport;
	return PACKET_OK;
}

static __always_inline int packet_l4(struct __sk_buff *skb, struct packet *p)
{
	struct l4_start l4 = {};

	switch (p->proto) {
	case IPPROTO_TCP:
		if (bpf_skb_load_bytes(skb, p->l4_off, &l4, 14))
			return DROP_BAD_PACKET;
		p->sport = l4.sport;
		p->dport = l4.dport;
		p->tcp_flags = l4.flags;
		return PACKET_OK;
	case IPPROTO_UDP:
	case IPPROTO_SCTP: /* its common header: the ports, a verification tag, a CRC32c */
		if (bpf_skb_load_bytes(skb, p->l4_off, &l4, p->proto == IPPROTO_SCTP ? 12 : 8))
			return DROP_BAD_PACKET;
		p->sport = l4.sport;
		p->dport = l4.dport;
		return PACKET_OK;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6: {
		struct icmp_start icmp;

		if (bpf_skb_load_bytes(skb, p->l4_off, &icmp, sizeof(icmp)))
			return DROP_BAD_PACKET;
		p->icmp_type = icmp.type;
		if (p->proto == IPPROTO_ICMP) {
			if (p->icmp_type == ICMP_ECHO || p->icmp_type == ICMP_ECHOREPLY)
				p->flags |= PACKET_ICMP_ECHO;
			else if (p->icmp_type == ICMP_DEST_UNREACH || p->icmp_type == ICMP_TIME_EXCEEDED ||
				 p->icmp_type == ICMP_PARAMETERPROB)
				p->flags |= PACKET_ICMP_ERROR;
		} else {
			if (p->icmp_type == ICMPV6_ECHO_REQUEST || p->icmp_type == ICMPV6_ECHO_REPLY)
				p->flags |= PACKET_ICMP_ECHO;
			else if (p->icmp_type < 128)
				p->flags |= PACKET_ICMP_ERROR;
			else if ((p->icmp_type >= 130 && p->icmp_type <= 136) || p->icmp_type == 143)
				p->flags |= PACKET_NEIGHBOUR;
		}
		if (p->flags & PACKET_ICMP_ECHO) {
			p->sport = icmp.id;
			p->dport = icmp.id;
		}
		p->inner_off = p->l4_off + 8;
		return PACKET_OK;
	}
	default:
		return PACKET_OK;
	}
}

static __always_inline int packet_v6_headers(struct __sk_buff *skb, struct packet *p, __u32 *frag_id,
					     bool *first_fragment)
{
	__u8 next = p->proto;
	__u32 off = p->l4_off;

	for (int i = 0; i < 6; i++) {
		struct {
			__u8 next, len;
			__be16 frag_off;
			__u32 id;
		} h;

		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS &&
		    next != IPPROTO_FRAGMENT && next != IPPROTO_AH) {
			p->proto = next;
			p->l4_off = off;
			return PACKET_OK;
		}
		if (bpf_skb_load_bytes(skb, off, &h, 8))
			return DROP_BAD_PACKET;
		if (next == IPPROTO_FRAGMENT) {
			p->flags |= PACKET_FRAGMENTED;
			*frag_id = h.id;
			if (h.frag_off & bpf_htons(0xfff8)) {
				p->flags |= PACKET_NO_L4;
				p->proto = h.next;
				p->l4_off = off + 8;
				return PACKET_OK;
			}
			*first_fragment = true;
			off += 8;
		} else if (next == IPPROTO_AH) {
			off += (h.len + 2) * 4;
		} else {
			off += (h.len + 1) * 8;
		}
		next = h.next;
	}
	return DROP_BAD_PACKET;
}

/* PACKET_OK, PACKET_ARP, PACKET_OTHER_L3 or a drop reason. p: zeroed by the caller. */
__verified_once int packet_parse(struct __sk_buff *skb, struct packet *p)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ethhdr *eth = data;
	bool first_fragment = false;
	__u32 frag_id = 0;
	__be16 l3;
	int r;

	if (!p)
		return DROP_BAD_PACKET;
	if (data + sizeof(*eth) + sizeof(struct iphdr) > end) {
		if (bpf_skb_pull_data(skb, sizeof(*eth) + sizeof(struct iphdr)))
			return DROP_BAD_PACKET;
		data = (void *)(long)skb->data;
		end = (void *)(long)skb->data_end;
		eth = data;
		if (data + sizeof(*eth) + sizeof(struct iphdr) > end)
			return DROP_BAD_PACKET;
	}
	if (skb->vlan_present)
		return PACKET_OTHER_L3;
	l3 = eth->h_proto;
	if (l3 == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = data + sizeof(*eth);

		if (ip->version != 4 || ip->ihl < 5)
			return DROP_BAD_PACKET;
		ip_set_v4(&p->src, ip->saddr);
		ip_set_v4(&p->dst, ip->daddr);
		p->proto = ip->protocol;
		p->l4_off = sizeof(*eth) + ip->ihl * 4;
		if (ip->frag_off & bpf_htons(0x3fff)) {
			p->flags |= PACKET_FRAGMENTED;
			frag_id = ip->id;
			if (ip->frag_off & bpf_htons(0x1fff))
				p->flags |= PACKET_NO_L4;
			else
				first_fragment = true;
		}
	} else if (l3 == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip6 = data + sizeof(*eth);

		if ((void *)(ip6 + 1) > end) {
			if (bpf_skb_pull_data(skb, sizeof(*eth) + sizeof(*ip6)))
				return DROP_BAD_PACKET;
			data = (void *)(long)skb->data;
			end = (void *)(long)skb->data_end;
			ip6 = data + sizeof(*eth);
			if ((void *)(ip6 + 1) > end)
				return DROP_BAD_PACKET;
		}
		if (ip6->version != 6)
			return DROP_BAD_PACKET;
		__builtin_memcpy(&p->src, &ip6->saddr, sizeof(p->src));
		__builtin_memcpy(&p->dst, &ip6->daddr, sizeof(p->dst));
		/* A v4-mapped address has no business on the wire, and would pass for the IPv4 one. */
		if (ip_is_v4(&p->src) || ip_is_v4(&p->dst))
			return DROP_BAD_PACKET;
		p->flags |= PACKET_V6;
		p->proto = ip6->nexthdr;
		p->l4_off = sizeof(*eth) + sizeof(*ip6);
		r = packet_v6_headers(skb, p, &frag_id, &first_fragment);
		if (r)
			return r;
	} else if (l3 == bpf_htons(ETH_P_ARP)) {
		return PACKET_ARP;
	} else {
		return PACKET_OTHER_L3;
	}
	if (!(p->flags & PACKET_NO_L4)) {
		r = packet_l4(skb, p);
		if (r)
			return r;
	}
	if (p->flags & PACKET_FRAGMENTED)
		return packet_fragment(p, frag_id, first_fragment);
	return PACKET_OK;
}

/*
 * The flow that an ICMP error is about: addresses, ports and protocol as its sender wrote them. false: cannot be
 * told.
 */
__verified_once int packet_inner(struct __sk_buff *skb, const struct packet *p, struct packet *inner)
{
	__be16 ports[2];
	__u32 off;

	if (!p || !inner)
		return false;
	off = p->inner_off;
	if (p->flags & PACKET_V6) {
		struct ipv6hdr ip6;

		if (bpf_skb_load_bytes(skb, off, &ip6, sizeof(ip6)))
			return false;
		__builtin_memcpy(&inner->src, &ip6.saddr, sizeof(inner->src));
		__builtin_memcpy(&inner->dst, &ip6.daddr, sizeof(inner->dst));
		inner->proto = ip6.nexthdr;
		inner->flags = PACKET_V6;
		off += sizeof(ip6);
	} else {
		struct iphdr ip;

		if (bpf_skb_load_bytes(skb, off, &ip, sizeof(ip)) || ip.ihl < 5)
			return false;
		ip_set_v4(&inner->src, ip.saddr);
		ip_set_v4(&inner->dst, ip.daddr);
		inner->proto = ip.protocol;
		inner->flags = 0;
		if (ip.frag_off & bpf_htons(0x1fff))
			return false;
		off += ip.ihl * 4;
	}
	inner->l4_off = off;
	switch (inner->proto) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
		if (bpf_skb_load_bytes(skb, off, ports, sizeof(ports)))
			return false;
		inner->sport = ports[0];
		inner->dport = ports[1];
		return true;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6: {
		__be16 id = 0;
		__u8 type = 0;

		if (bpf_skb_load_bytes(skb, off, &type, 1) || bpf_skb_load_bytes(skb, off + 4, &id, 2))
			return false;
		/* Only echo has an identifier; an error about an error is nobody's flow. */
		if (type != ICMP_ECHO && type != ICMP_ECHOREPLY && type != ICMPV6_ECHO_REQUEST &&
		    type != ICMPV6_ECHO_REPLY)
			return false;
		inner->flags |= PACKET_ICMP_ECHO;
		inner->icmp_type = type;
		inner->sport = id;
		inner->dport = id;
		return true;
	}
	default:
		return false;
	}
}

#endif
