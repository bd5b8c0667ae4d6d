// SPDX-License-Identifier: Apache-2.0
/*
 * Services with direct server return, before the kernel makes a buffer of the packet: a client's packet that is for a
 * backend on another node goes back out by the interface that it came in by, in a VXLAN header to that node. Everything
 * else goes on to from_uplink, which does the same and more: what this program need not know (fragments, IPv4 options
 * and IPv6 extension headers, ICMP, source ranges, session affinity, refusals, backends here or on a node's own
 * network, nodes without IPv4, packets that do not fit) passes. Both choose by the same maps, so a flow may change
 * between them.
 *
 * Map `xdp_counters` (per CPU, one entry): written here, read by the agent.
 * Map `xdp_ways` (per CPU): the way to a service's backend, written and read here. Missing entry, or more than a second
 * old: the way is looked for. Full: cannot be, an entry takes another's place.
 */
#include <linux/udp.h>

#include "lib/hops.h"
#include "lib/svc_forward.h"
#include "abi/metrics.h"

char LICENSE[] SEC("license") = "Apache-2.0";

#define VXLAN_HAS_VNI	0x08000000
#define TUNNEL_TTL	64
#define TUNNEL_PORT_MIN 49152

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct xdp_counters);
} xdp_counters SEC(".maps");

#define XDP_WAYS 1024

/* Of one generation, so that the index says which backend. */
struct xdp_way {
	__u32 svc_id, generation;
	__u32 at; /* when it was found, in units of 2^30 ns */
	__be32 node;
	__u16 index;
	__u8 mac[ETH_ALEN];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, XDP_WAYS);
	__type(key, __u32);
	__type(value, struct xdp_way);
} xdp_ways SEC(".maps");

struct tunnel_frame {
	struct ethhdr eth;
	struct iphdr ip;
	struct udphdr udp;
	__be32 flags, vni;
} __attribute__((packed));
_Static_assert(sizeof(struct tunnel_frame) == 50, "what VXLAN adds to a frame");

static __always_inline bool is_for_node(const struct ethhdr *eth)
{
	for (int i = 0; i < ETH_ALEN; i++)
		if (eth->h_dest[i] != node.uplink_mac[i])
			return false;
	return true;
}

/* The packet as from_uplink's parser sees it; false: not one of this program's. */
static __always_inline bool xdp_parse(struct xdp_md *ctx, struct packet *p)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end, *l4;
	struct ethhdr *eth = data;
	struct {
		__be16 sport, dport;
		__u32 seq, ack;
		__u8 doff, flags;
	} * tcp;
	struct udphdr *udp;

	if (data + sizeof(*eth) + sizeof(struct iphdr) > end || !is_for_node(eth))
		return false;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = data + sizeof(*eth);

		if (ip->version != 4 || ip->ihl != 5 || (ip->frag_off & bpf_htons(0x3fff)))
			return false;
		ip_set_v4(&p->src, ip->saddr);
		ip_set_v4(&p->dst, ip->daddr);
		p->proto = ip->protocol;
		l4 = ip + 1;
	} else if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip6 = data + sizeof(*eth);

		if ((void *)(ip6 + 1) > end || ip6->version != 6)
			return false;
		__builtin_memcpy(&p->src, &ip6->saddr, sizeof(p->src));
		__builtin_memcpy(&p->dst, &ip6->daddr, sizeof(p->dst));
		if (ip_is_v4(&p->src) || ip_is_v4(&p->dst))
			return false;
		p->flags = PACKET_V6;
		p->proto = ip6->nexthdr;
		l4 = ip6 + 1;
	} else {
		return false;
	}
	if (p->proto == IPPROTO_TCP) {
		tcp = l4;
		if ((void *)tcp + 14 > end)
			return false;
		p->sport = tcp->sport;
		p->dport = tcp->dport;
		p->tcp_flags = tcp->flags;
		return true;
	}
	udp = l4;
	if (p->proto != IPPROTO_UDP || (void *)(udp + 1) > end)
		return false;
	p->sport = udp->source;
	p->dport = udp->dest;
	return true;
}

/* The service of the packet's destination, and its key; NULL: none that is served here. */
static __always_inline const struct svc_value *xdp_service(const struct packet *p, struct svc_key *key)
{
	struct svc_value *value = bpf_map_lookup_elem(&services, key);

	if (!value && is_node_port(p->dport) && is_node_ip(&p->dst)) {
		lb_any_address(key);
		value = bpf_map_lookup_elem(&services, key);
	}
	return value && (value->flags & SVC_DIRECT) && !value->ranges && !value->affinity_s ? value : NULL;
}

static __always_inline __sum16 header_checksum(const void *ip)
{
	const __u16 *w = ip;
	__u32 sum = 0;

	for (int i = 0; i < 10; i++)
		sum += w[i];
	sum = (sum & 0xffff) + (sum >> 16);
	return ~((sum & 0xffff) + (sum >> 16));
}

/* Into the tunnel to that node, out by where it came in. */
static __noinline_prog int xdp_tunnel(struct xdp_md *ctx, const struct xdp_way *way, __u32 hash)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct xdp_counters *counters;
	__u64 len = end - data;
	struct tunnel_frame *f;
	__u32 zero = 0;

	if (len + sizeof(*f) - sizeof(f->eth) > node.uplink_mtu || bpf_xdp_adjust_head(ctx, -(int)sizeof(*f)))
		return XDP_PASS;
	f = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if ((void *)(f + 1) > end)
		return XDP_DROP;
	__builtin_memcpy(f->eth.h_dest, way->mac, ETH_ALEN);
	for (int i = 0; i < ETH_ALEN; i++)
		f->eth.h_source[i] = node.uplink_mac[i];
	f->eth.h_proto = bpf_htons(ETH_P_IP);
	__builtin_memset(&f->ip, 0, sizeof(f->ip));
	f->ip.version = 4;
	f->ip.ihl = 5;
	f->ip.tot_len = bpf_htons(len + sizeof(*f) - sizeof(f->eth));
	f->ip.ttl = TUNNEL_TTL;
	f->ip.protocol = IPPROTO_UDP;
	f->ip.saddr = node.ip4.w[3];
	f->ip.daddr = way->node;
	f->ip.check = header_checksum((void *)f + sizeof(f->eth));
	/* Many source ports, so that the other node's queues share the work. */
	f->udp.source = bpf_htons(TUNNEL_PORT_MIN + (hash & 0x3fff));
	f->udp.dest = bpf_htons(SKEP_VXLAN_PORT);
	f->udp.len = bpf_htons(len + sizeof(f->udp) + 8);
	f->udp.check = 0;
	f->flags = bpf_htonl(VXLAN_HAS_VNI);
	f->vni = bpf_htonl(node.vni << 8);
	counters = bpf_map_lookup_elem(&xdp_counters, &zero);
	if (counters) {
		counters->packets++;
		counters->bytes += len;
	}
	return XDP_TX;
}

/* Of flows that their slot alone says the backend of. NULL: cannot be. */
static __always_inline struct xdp_way *xdp_way_of(const struct svc_value *svc, __u16 index)
{
	__u32 at = (svc->svc_id * 31 + index) & (XDP_WAYS - 1);

	return bpf_map_lookup_elem(&xdp_ways, &at);
}

/* To the backend's node. */
static __always_inline bool xdp_find_way(const struct ip_addr *backend, struct xdp_way *way)
{
	struct ipcache_value *known = ipcache_of(backend);
	const struct next_hop *hop;

	if (!known || !ip_is_v4(&known->node))
		return false;
	hop = hop_of(&known->node);
	if (!hop)
		return false;
	way->node = known->node.w[3];
	__builtin_memcpy(way->mac, hop->mac, ETH_ALEN);
	return true;
}

SEC("xdp")
int xdp_lb(struct xdp_md *ctx)
{
	struct svc_key key = { .side = SVC_OUTSIDE };
	const struct svc_value *value;
	struct xdp_way *known = NULL;
	struct lb_choice to = {};
	struct packet p = {};
	struct xdp_way way;
	int r;

	if (!xdp_parse(ctx, &p))
		return XDP_PASS;
	key.vip = p.dst;
	key.port = p.dport;
	key.proto = p.proto;
	value = xdp_service(&p, &key);
	if (!value)
		return XDP_PASS;
	way.at = now_units();
	if (svc_by_slot(&p, &key, value)) {
		union lb_slot s;

		s.all = svc_slot_of(&p, value, &to);
		way.svc_id = to.svc.svc_id;
		way.generation = to.svc.generation;
		way.index = s.slot.index;
		if (!s.slot.since)
			known = xdp_way_of(&to.svc, s.slot.index);
		if (known && known->at == way.at && known->svc_id == way.svc_id &&
		    known->generation == way.generation && known->index == way.index)
			return xdp_tunnel(ctx, known, svc_hash(&p));
		r = svc_pick_slot(&p, &key, s.all, &to);
	} else {
		r = svc_pick(&p, &key, false, &to);
	}
	if (r != LB_BACKEND || ip_is_v4(&to.backend.ip) != !(p.flags & PACKET_V6) ||
	    !xdp_find_way(&to.backend.ip, &way))
		return XDP_PASS;
	/* Unless the service was replaced this instant. */
	if (known && to.svc.generation == way.generation)
		*known = way;
	return xdp_tunnel(ctx, &way, svc_hash(&p));
}
