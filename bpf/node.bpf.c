// SPDX-License-Identifier: Apache-2.0
/*
 * The programs on the node's own interfaces: from_tunnel and to_tunnel on the VXLAN interface towards the other
 * nodes, from_uplink and to_uplink (masquerade) on the interface towards the world. Traffic that is not a pod's
 * passes untouched.
 */
#include "lib/announce.h"
#include "lib/deliver.h"
#include "lib/flow.h"
#include "lib/hops.h"
#include "lib/nat.h"
#include "lib/svc_back.h"
#include "lib/svc_outside.h"

char LICENSE[] SEC("license") = "Apache-2.0";

/* What comes in for a pod of this node. origin: enum origin. */
static __always_inline int admit(struct __sk_buff *skb, struct packet *p, const struct pod *to, __u32 origin)
{
	__u32 direction = POLICY_INGRESS;
	int r;

	p->ep_id = to->ep_id;
	r = flow_check(skb, p, origin, &direction);
	if (r)
		return drop(skb, p, r, direction);
	r = svc_back(skb, p);
	return r ? drop(skb, p, r, POLICY_INGRESS) : deliver_local(skb, to);
}

SEC("tc")
int from_tunnel(struct __sk_buff *skb)
{
	struct packet p = {};
	const struct pod *to;
	int r;

	r = packet_parse(skb, &p);
	if (r == PACKET_ARP || r == PACKET_OTHER_L3)
		return drop(skb, &p, DROP_UNSUPPORTED_L3, POLICY_INGRESS);
	if (r)
		return drop(skb, &p, r, POLICY_INGRESS);
	to = pod_by_ip(&p.dst);
	if (!to) {
		if (!tunnel_source_is_honest(skb, &p.src))
			return drop(skb, &p, DROP_SPOOFED_SOURCE, POLICY_INGRESS);
		r = svc_from_node(skb, &p);
		if (r > 0)
			return drop(skb, &p, r, POLICY_INGRESS);
		if (r == 0)
			to = pod_by_ip(&p.dst);
	}
	if (!to) {
		if (is_pod_ip(&p.dst) && !ipcache_of(&p.dst))
			return drop(skb, &p, DROP_NO_ENDPOINT, POLICY_INGRESS);
		/* For the node's own stack, whatever MAC address the frame carries. */
		if (skb->pkt_type != SKB_PACKET_HOST)
			bpf_skb_change_type(skb, SKB_PACKET_HOST);
		return TC_ACT_OK;
	}
	return admit(skb, &p, to, ORIGIN_TUNNEL);
}

SEC("tc")
int to_tunnel(struct __sk_buff *skb)
{
	struct bpf_tunnel_key key;
	struct packet p = {};
	struct ipcache_value *known;
	int r;

	/* A pod's packet: from_pod has written the tunnel header's fields already. */
	if (bpf_skb_get_tunnel_key(skb, &key, sizeof(key), 0) == 0 ||
	    bpf_skb_get_tunnel_key(skb, &key, sizeof(key), BPF_F_TUNINFO_IPV6) == 0)
		return TC_ACT_OK;
	r = packet_parse(skb, &p);
	if (r == PACKET_ARP || r == PACKET_OTHER_L3)
		return drop(skb, &p, DROP_UNSUPPORTED_L3, POLICY_EGRESS);
	/* A later fragment needs no ports to be sent on. */
	if (r && r != DROP_FRAGMENT)
		return drop(skb, &p, r, POLICY_EGRESS);
	known = ipcache_of(&p.dst);
	if (!known || ip_zero(&known->node))
		return drop(skb, &p, DROP_NO_TUNNEL_ENDPOINT, POLICY_EGRESS);
	r = tunnel_header(skb, &known->node);
	if (r)
		return drop(skb, &p, r, POLICY_EGRESS);
	return TC_ACT_OK;
}

/* What an uplink_*() function makes of a packet, if it is not a drop reason. */
#define UPLINK_REWRITTEN 0
#define UPLINK_LEAVE	 (-16) /* the kernel's, or the world's, as it is */
#define UPLINK_BACKEND	 (-17) /* of its parts only: rewritten, and p->dst is a service's backend */
#define UPLINK_NOT_KNOWN (-18) /* of its parts only: about no flow of which anything is kept */

/* An error about a client's packet to a service: it names the backend as the client knows it. */
static __always_inline int uplink_back_error(struct __sk_buff *skb, struct packet *p)
{
	int r = svc_back_error(skb, p);

	return r == SVC_BACK_NONE ? DROP_NO_ENDPOINT : r;
}

/* An ICMP error about a masqueraded flow: the packet inside bears the node's address and port as its source. */
static __noinline_prog int uplink_masqueraded_error(struct __sk_buff *skb, struct packet *p)
{
	struct packet inner = {};
	struct nat_rewrite w = {};
	struct nat_in_value *in;
	struct nat_in_key ik;

	if (!packet_inner(skb, p, &inner) || !is_node_ip(&inner.src) || !nat_in_range(inner.sport))
		return UPLINK_LEAVE;
	nat_in_key_of(&ik, &inner.dst, inner.flags & PACKET_ICMP_ECHO ? 0 : inner.dport, inner.sport, inner.proto);
	in = bpf_map_lookup_elem(&nat_in, &ik);
	if (!in || ip_zero(&in->pod_ip) || nat_stale(in, inner.proto))
		return UPLINK_LEAVE;

	w.old_ip = inner.src;
	w.old_port = inner.sport;
	w.new_ip = in->pod_ip;
	w.new_port = in->pod_port;
	return nat_write_error(skb, p, &inner, &w, true);
}

/* The error of a client outside that is now for a backend elsewhere: what it quotes was masqueraded on its way out. */
static __noinline_prog int uplink_masquerade_error(struct __sk_buff *skb, struct packet *p)
{
	struct packet inner = {};
	struct nat_rewrite w = {};
	struct nat_out_value *out;
	struct nat_out_key ok = {};

	if (!packet_inner(skb, p, &inner))
		return DROP_NO_ENDPOINT;
	ok.pod_ip = inner.dst;
	ok.pod_port = inner.dport;
	ok.remote_ip = inner.src;
	ok.remote_port = inner.sport;
	ok.proto = inner.proto;
	out = bpf_map_lookup_elem(&nat_out, &ok);
	if (!out)
		return 0; /* with direct server return the backend knows the client */
	w.old_ip = inner.dst;
	w.old_port = inner.dport;
	nat_address(p, &w.new_ip);
	w.new_port = out->node_port;
	return nat_write_error(skb, p, &inner, &w, false);
}

/* To where p->dst is now, which is no pod of this node: to a service's backend, or back to the service's client. */
static __noinline_prog int uplink_send_on(struct __sk_buff *skb, struct packet *p)
{
	struct ipcache_value *known = ipcache_of(&p->dst);
	int r;

	if (known && !ip_zero(&known->node)) {
		r = tunnel_header(skb, &known->node);
		return r ? drop(skb, p, r, POLICY_INGRESS) : bpf_redirect(node.tunnel_ifindex, 0);
	}
	if (is_pod_ip(&p->dst))
		return drop(skb, p, DROP_NO_TUNNEL_ENDPOINT, POLICY_INGRESS);
	/* The kernel takes no packet with an address of its own for its source from an interface. */
	return bpf_redirect_neigh(skb->ifindex, NULL, 0, 0);
}

static __noinline_prog int uplink_known_error(struct __sk_buff *skb, struct packet *p)
{
	int r = uplink_masqueraded_error(skb, p);

	if (r == UPLINK_REWRITTEN)
		return is_node_ip(&p->dst) ? UPLINK_LEAVE : pod_by_ip(&p->dst) ? r : uplink_back_error(skb, p);
	if (r != UPLINK_LEAVE)
		return r;
	r = svc_forward_error(skb, p);
	return r == DROP_NO_BACKEND ? UPLINK_NOT_KNOWN : r ? r : UPLINK_BACKEND;
}

static __noinline_prog int uplink_error_to_backend(struct __sk_buff *skb, struct packet *p)
{
	if (pod_by_ip(&p->dst))
		return 0;
	return is_node_ip(&p->dst) ? UPLINK_LEAVE : uplink_masquerade_error(skb, p);
}

/* Its parts are called one after another by from_uplink, where there is room for each. */
static __always_inline int uplink_error(struct __sk_buff *skb, struct packet *p)
{
	int r = uplink_known_error(skb, p);

	if (r == UPLINK_NOT_KNOWN) {
		r = svc_slot_error(skb, p);
		if (r == DROP_NO_BACKEND)
			return UPLINK_LEAVE;
		r = r ? r : UPLINK_BACKEND;
	}
	return r == UPLINK_BACKEND ? uplink_error_to_backend(skb, p) : r;
}

static __noinline_prog int uplink_reply(struct __sk_buff *skb, struct packet *p)
{
	struct nat_rewrite w = {};
	int r;

	if (!nat_pod_of(p, &w))
		return UPLINK_LEAVE;
	nat_offsets(p, false, &w);
	r = nat_write(skb, &w);
	if (r)
		return r;
	p->dst = w.new_ip;
	p->dport = w.new_port;
	if (p->flags & PACKET_ICMP_ECHO)
		p->sport = w.new_port;
	if (pod_by_ip(&p->dst))
		return UPLINK_REWRITTEN;
	r = svc_back_reply(skb, p);
	return r == SVC_BACK_NONE ? DROP_NO_ENDPOINT : r;
}

static __noinline_prog int uplink_to_service(struct __sk_buff *skb, struct packet *p)
{
	int r = svc_from_outside(skb, p);

	if (r == SVC_NONE)
		return UPLINK_LEAVE;
	if (r == SVC_ONWARD)
		return 0;
	if (r || pod_by_ip(&p->dst))
		return r;
	if (is_node_ip(&p->dst)) {
		svc_on_host = 1;
		return UPLINK_LEAVE;
	}
	return nat_masquerade(skb, p);
}

static __noinline_prog int uplink_deliver(struct __sk_buff *skb, struct packet *p)
{
	const struct pod *to = pod_by_ip(&p->dst);

	return to ? admit(skb, p, to, ORIGIN_OTHER) : uplink_send_on(skb, p);
}

/* The stack of this frame stays small: 512 bytes hold it with the choice of a backend, five calls further down. */
SEC("tc")
int from_uplink(struct __sk_buff *skb)
{
	struct packet p = {};
	int r;

	/* Flooded, or heard since somebody listens to all: another machine's. */
	if (skb->pkt_type == SKB_PACKET_OTHERHOST)
		return TC_ACT_OK;
	/* What cannot be parsed is left to the node's own stack. */
	r = packet_parse(skb, &p);
	if (r)
		return r == PACKET_ARP ? announce_arp(skb) : TC_ACT_OK;
	if ((p.flags & PACKET_NEIGHBOUR) && p.icmp_type == ICMPV6_NEIGHBOUR_SOLICITATION)
		return announce_neighbour(skb, &p);
	/* Pod addresses come through the tunnel only. */
	if (!is_node_ip(&p.dst) && is_pod_ip(&p.dst) && is_pod_ip(&p.src))
		return drop(skb, &p, DROP_SPOOFED_SOURCE, POLICY_INGRESS);
	if (p.flags & PACKET_ICMP_ERROR)
		r = uplink_error(skb, &p);
	else if (is_node_ip(&p.dst) && nat_has_ports(&p) && nat_in_range(p.dport))
		r = uplink_reply(skb, &p);
	else
		r = uplink_to_service(skb, &p);
	if (r == UPLINK_LEAVE)
		return TC_ACT_OK;
	if (r == SVC_REFUSED) {
		drop(skb, &p, DROP_NO_BACKEND, POLICY_INGRESS);
		return refuse(skb, &p) ? TC_ACT_SHOT : uplink_bounce(skb);
	}
	if (r)
		return drop(skb, &p, r, POLICY_INGRESS);
	return uplink_deliver(skb, &p);
}

/* A pod answers a client outside that asked a service. */
static __noinline_prog int uplink_answer(struct __sk_buff *skb, struct packet *p)
{
	int r = p->flags & PACKET_ICMP_ERROR ? svc_back_error(skb, p) : svc_back_reply(skb, p);

	return r == SVC_BACK_NONE ? 0 : r;
}

static __always_inline int uplink_from_node(struct __sk_buff *skb, struct packet *p)
{
	if (!is_node_ip(&p->src))
		return 0;
	if (node.xdp && p->proto == IPPROTO_UDP && p->dport == bpf_htons(SKEP_VXLAN_PORT))
		hop_note(skb, &p->dst);
	if (nat_has_ports(p) && nat_in_range(p->sport))
		nat_own_port(p);
	else if (svc_on_host)
		return uplink_answer(skb, p);
	return 0;
}

SEC("tc")
int to_uplink(struct __sk_buff *skb)
{
	const struct ct_value *ct = NULL;
	const struct pod *from;
	struct packet p = {};
	struct ip_addr own;
	int r;

	if (packet_parse(skb, &p))
		return TC_ACT_OK;
	if (!is_pod_ip(&p.src)) {
		r = uplink_from_node(skb, &p);
		return r ? drop(skb, &p, r, POLICY_EGRESS) : TC_ACT_OK;
	}
	if (is_pod_ip(&p.dst))
		return TC_ACT_OK;
	from = pod_by_ip(&p.src);
	if (from)
		p.ep_id = from->ep_id;
	if (!(p.flags & PACKET_ICMP_ERROR))
		ct = flow_of_reply(&p);
	if (ct || (p.flags & PACKET_ICMP_ERROR)) {
		r = !ct || (ct->flags & CT_SERVICE) ? uplink_answer(skb, &p) : 0;
		return r ? drop(skb, &p, r, POLICY_EGRESS) : TC_ACT_OK;
	}
	nat_address(&p, &own);
	if (is_lan_ip(&p.dst) || !nat_has_ports(&p) || ip_zero(&own))
		return TC_ACT_OK;
	r = nat_masquerade(skb, &p);
	return r ? drop(skb, &p, r, POLICY_EGRESS) : TC_ACT_OK;
}
