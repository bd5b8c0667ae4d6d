// SPDX-License-Identifier: Apache-2.0
/*
 * The programs on the node's own interfaces: from_tunnel and to_tunnel on the VXLAN interface towards the other
 * nodes, from_uplink and to_uplink (masquerade) on the interface towards the world. Traffic that is not a pod's
 * passes untouched.
 */
#include "lib/deliver.h"
#include "lib/flow.h"
#include "lib/nat.h"
#include "lib/svc_back.h"

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

/* An ICMP error about a masqueraded flow: the packet inside bears the node's address and port as its source. */
static __noinline_prog int uplink_icmp_error(struct __sk_buff *skb, struct packet *p)
{
	struct packet inner = {};
	struct nat_rewrite w = {};
	struct nat_in_value *in;
	struct nat_in_key ik;

	if (!packet_inner(skb, p, &inner) || !is_node_ip(&inner.src) || !nat_in_range(inner.sport))
		return PACKET_OK;
	nat_in_key_of(&ik, &inner.dst, inner.flags & PACKET_ICMP_ECHO ? 0 : inner.dport, inner.sport, inner.proto);
	in = bpf_map_lookup_elem(&nat_in, &ik);
	if (!in || ip_zero(&in->pod_ip) || nat_stale(in, inner.proto))
		return PACKET_OK;

	w.old_ip = inner.src;
	w.old_port = inner.sport;
	w.new_ip = in->pod_ip;
	w.new_port = in->pod_port;
	return nat_write_error(skb, p, &inner, &w, true);
}

SEC("tc")
int from_uplink(struct __sk_buff *skb)
{
	struct packet p = {};
	struct nat_rewrite w = {};
	const struct pod *to;
	int r;

	/* What cannot be parsed is left to the node's own stack. */
	if (packet_parse(skb, &p))
		return TC_ACT_OK;
	if (!is_node_ip(&p.dst)) {
		/* Pod addresses come through the tunnel only. */
		if (is_pod_ip(&p.dst) && is_pod_ip(&p.src))
			return drop(skb, &p, DROP_SPOOFED_SOURCE, POLICY_INGRESS);
		return TC_ACT_OK;
	}
	if (p.flags & PACKET_ICMP_ERROR) {
		r = uplink_icmp_error(skb, &p);
		if (r)
			return drop(skb, &p, r, POLICY_INGRESS);
		if (is_node_ip(&p.dst))
			return TC_ACT_OK;
	} else {
		if (!nat_has_ports(&p) || !nat_in_range(p.dport) || !nat_pod_of(&p, &w))
			return TC_ACT_OK;
		nat_offsets(&p, false, &w);
		r = nat_write(skb, &w);
		if (r)
			return drop(skb, &p, r, POLICY_INGRESS);
		p.dst = w.new_ip;
		p.dport = w.new_port;
		if (p.flags & PACKET_ICMP_ECHO)
			p.sport = w.new_port;
	}
	to = pod_by_ip(&p.dst);
	if (!to)
		return drop(skb, &p, DROP_NO_ENDPOINT, POLICY_INGRESS);
	return admit(skb, &p, to, ORIGIN_OTHER);
}

SEC("tc")
int to_uplink(struct __sk_buff *skb)
{
	struct packet p = {};
	struct nat_rewrite w = {};
	const struct pod *from;
	int r;

	if (packet_parse(skb, &p))
		return TC_ACT_OK;
	if (!is_pod_ip(&p.src)) {
		if (is_node_ip(&p.src) && nat_has_ports(&p) && nat_in_range(p.sport))
			nat_own_port(&p);
		return TC_ACT_OK;
	}
	if (is_pod_ip(&p.dst) || is_lan_ip(&p.dst))
		return TC_ACT_OK;
	if (p.flags & PACKET_V6)
		setting_ip(&w.new_ip, &node.ip6);
	else
		setting_ip(&w.new_ip, &node.ip4);
	if (ip_zero(&w.new_ip) || flow_is_reply(&p))
		return TC_ACT_OK;
	from = pod_by_ip(&p.src);
	if (from)
		p.ep_id = from->ep_id;
	if (!nat_has_ports(&p))
		return TC_ACT_OK;
	r = nat_port_of(&p, &w.new_port);
	if (r)
		return drop(skb, &p, r, POLICY_EGRESS);
	w.old_ip = p.src;
	w.old_port = p.sport;
	nat_offsets(&p, true, &w);
	r = nat_write(skb, &w);
	return r ? drop(skb, &p, r, POLICY_EGRESS) : TC_ACT_OK;
}
