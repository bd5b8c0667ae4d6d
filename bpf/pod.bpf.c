// SPDX-License-Identifier: Apache-2.0
/*
 * The programs on the host side of each pod's veth: from_pod at its TC ingress, to_pod at its TC egress. They are
 * attached from the interface's birth and drop everything until the agent has made the pod known (pods_by_ifindex).
 */
#include "lib/deliver.h"
#include "lib/flow.h"
#include "lib/refuse.h"
#include "lib/svc_forward.h"
#include "abi/layout.h"

/*
 * Map `layouts`: layout version of every pinned map. Written by the agent after it pinned a map, read at its start
 * and by the CLI. Missing entry: the map is not trusted and made anew. No program reads it; it is here to have its
 * types in BTF.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct layout_key);
	__type(value, struct layout_value);
} layouts SEC(".maps");

char LICENSE[] SEC("license") = "Apache-2.0";

/* By halves: __builtin_memcmp of six bytes becomes a call that does not exist here. */
static __always_inline bool mac_eq(const __u8 *a, const __u8 *b)
{
	const __u16 *x = (const __u16 *)a, *y = (const __u16 *)b;

	return x[0] == y[0] && x[1] == y[1] && x[2] == y[2];
}

/* Sender addresses of an ARP packet over Ethernet and IPv4 must be the pod's, or none (a probe). */
static __always_inline bool arp_is_honest(struct __sk_buff *skb, const struct pod *pod)
{
	struct {
		__u8 head[8]; /* hardware and protocol types and lengths, operation */
		__u8 sender_mac[6];
		__u8 sender_ip[4];
	} __attribute__((packed, aligned(4))) arp;
	__be32 ip;

	if (bpf_skb_load_bytes(skb, sizeof(struct ethhdr), &arp, sizeof(arp)))
		return false;
	__builtin_memcpy(&ip, arp.sender_ip, sizeof(ip));
	return mac_eq(arp.sender_mac, pod->pod_mac) && (ip == 0 || ip == pod->ip4.w[3]);
}

static __always_inline bool mac_is_honest(struct __sk_buff *skb, const struct pod *pod)
{
	__u8 mac[6] __attribute__((aligned(2)));

	return bpf_skb_load_bytes(skb, 6, mac, sizeof(mac)) == 0 && mac_eq(mac, pod->pod_mac);
}

static __always_inline bool is_link_local6(const struct ip_addr *a)
{
	return (a->w[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000);
}

static __always_inline bool is_multicast(const struct packet *p)
{
	if (p->flags & PACKET_V6)
		return (p->dst.w[0] & bpf_htonl(0xff000000)) == bpf_htonl(0xff000000);
	return (p->dst.w[3] & bpf_htonl(0xf0000000)) == bpf_htonl(0xe0000000) || p->dst.w[3] == bpf_htonl(0xffffffff);
}

#define ICMPV6_ROUTER_ADVERTISEMENT 134

/*
 * Neighbour discovery with the node: from the pod's address, its link-local one, or none yet (duplicate detection). A
 * pod is no router: were its advertisements let in, a node that accepts them would route through it.
 */
static __always_inline bool is_link_talk(const struct packet *p, const struct pod *pod)
{
	if (!(p->flags & PACKET_NEIGHBOUR) || p->icmp_type == ICMPV6_ROUTER_ADVERTISEMENT ||
	    !(is_link_local6(&p->dst) || is_multicast(p)))
		return false;
	return is_link_local6(&p->src) || ip_zero(&p->src) || ip_eq(&p->src, &pod->ip6);
}

/* The sender of what a service refuses is told, past its own ingress policy. */
static __always_inline int refuse_pod(struct __sk_buff *skb, const struct packet *p, const struct pod *self)
{
	drop(skb, p, DROP_NO_BACKEND, POLICY_EGRESS);
	return refuse(skb, p) ? TC_ACT_SHOT : deliver_local(skb, self);
}

static __noinline_prog bool is_for_a_node(const struct packet *p, const struct ipcache_value *known)
{
	return is_node_ip(&p->dst) || (known && known->identity == IDENTITY_REMOTE_NODE);
}

/* known: what the ipcache has of its destination. */
static __always_inline bool may_be_node_port(const struct packet *p, const struct ipcache_value *known)
{
	return (is_node_port(p->dport) || (p->flags & PACKET_ICMP_ERROR)) && is_for_a_node(p, known);
}

/*
 * An external or load balancer's address that some service has for the inside, with that port; an error may be about
 * one. A frame of its own: see svc_forward().
 */
static __noinline_prog bool may_be_external(const struct packet *p)
{
	struct svc_key svc = { .vip = p->dst, .port = p->dport, .proto = p->proto, .side = SVC_INSIDE };

	return (p->flags & PACKET_ICMP_ERROR) || bpf_map_lookup_elem(&services, &svc);
}

SEC("tc")
int from_pod(struct __sk_buff *skb)
{
	struct packet p = {};
	struct ipcache_value *known = NULL;
	const struct pod *self, *peer = NULL;
	int why; /* enum svc_why, or -1: no service's */
	__u32 ifindex = skb->ifindex, direction = POLICY_EGRESS;
	int r;

	self = bpf_map_lookup_elem(&pods_by_ifindex, &ifindex);
	if (!self)
		return drop(skb, &p, DROP_NO_ENDPOINT, POLICY_EGRESS);
	p.ep_id = self->ep_id;
	p.src_identity = self->identity;
	if (!mac_is_honest(skb, self))
		return drop(skb, &p, DROP_SPOOFED_SOURCE, POLICY_EGRESS);
	r = packet_parse(skb, &p);
	if (r == PACKET_ARP)
		return arp_is_honest(skb, self) ? TC_ACT_OK : drop(skb, &p, DROP_SPOOFED_SOURCE, POLICY_EGRESS);
	if (r)
		return drop(skb, &p, r == PACKET_OTHER_L3 ? DROP_UNSUPPORTED_L3 : r, POLICY_EGRESS);
	if (is_link_talk(&p, self))
		return TC_ACT_OK;
	if (!ip_eq(&p.src, p.flags & PACKET_V6 ? &self->ip6 : &self->ip4))
		return drop(skb, &p, DROP_SPOOFED_SOURCE, POLICY_EGRESS);
	if (is_multicast(&p))
		return drop(skb, &p, DROP_MULTICAST, POLICY_EGRESS);

	why = is_service_ip(&p.dst) ? SVC_BY_RANGE : -1;
	if (why < 0) {
		peer = pod_by_ip(&p.dst);
		if (!peer)
			known = ipcache_of(&p.dst);
		if (!peer && !known && is_pod_ip(&p.dst))
			why = SVC_BY_GONE;
		else if (may_be_node_port(&p, known))
			why = SVC_BY_NODE_PORT;
		else if (!peer && !known && may_be_external(&p))
			why = SVC_BY_ADDRESS;
	}
	if (why >= 0) {
		r = svc_forward(skb, &p, why);
		if (r == SVC_REFUSED)
			return refuse_pod(skb, &p, self);
		if (r == SVC_SELF) {
			count_pod(skb, self->ep_id, 0);
			return deliver_local(skb, self);
		}
		if (r)
			return drop(skb, &p, r, POLICY_EGRESS);
		peer = pod_by_ip(&p.dst);
		if (!peer)
			known = ipcache_of(&p.dst);
	}
	r = flow_check(skb, &p, ORIGIN_POD, &direction);
	if (r)
		return drop(skb, &p, r, direction);
	count_pod(skb, self->ep_id, 0);

	if (peer) {
		r = svc_back(skb, &p);
		return r ? drop(skb, &p, r, POLICY_INGRESS) : deliver_local(skb, peer);
	}
	if (!known && is_pod_ip(&p.dst))
		return drop(skb, &p, DROP_NO_TUNNEL_ENDPOINT, POLICY_EGRESS);
	if (!known || ip_zero(&known->node))
		return TC_ACT_OK;
	r = tunnel_header(skb, &known->node);
	if (r)
		return drop(skb, &p, r, POLICY_EGRESS);
	return bpf_redirect(node.tunnel_ifindex, 0);
}

SEC("tc")
int to_pod(struct __sk_buff *skb)
{
	struct packet p = {};
	const struct pod *self;
	__u32 ifindex = skb->ifindex, direction = POLICY_INGRESS;
	bool from_host = skb->ingress_ifindex == 0; /* it has come from no interface: the node's own stack made it */
	int r;

	self = bpf_map_lookup_elem(&pods_by_ifindex, &ifindex);
	if (!self)
		return drop(skb, &p, DROP_NO_ENDPOINT, POLICY_INGRESS);
	p.ep_id = self->ep_id;
	p.dst_identity = self->identity;
	r = packet_parse(skb, &p);
	if (r == PACKET_ARP)
		return TC_ACT_OK;
	if (r)
		return drop(skb, &p, r == PACKET_OTHER_L3 ? DROP_UNSUPPORTED_L3 : r, POLICY_INGRESS);
	if ((p.flags & PACKET_NEIGHBOUR) && from_host)
		return TC_ACT_OK;
	if (!ip_eq(&p.dst, p.flags & PACKET_V6 ? &self->ip6 : &self->ip4))
		return drop(skb, &p, DROP_NO_ENDPOINT, POLICY_INGRESS);
	r = flow_check(skb, &p, from_host ? ORIGIN_HOST : ORIGIN_OTHER, &direction);
	if (r)
		return drop(skb, &p, r, direction);
	r = svc_back(skb, &p);
	if (r)
		return drop(skb, &p, r, POLICY_INGRESS);
	count_pod(skb, self->ep_id, 1);
	return TC_ACT_OK;
}
