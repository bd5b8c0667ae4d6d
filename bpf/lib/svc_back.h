/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way back of flows to services whose packets are rewritten one by one (svc_forward.h): the client sees the
 * service's address.
 *
 * Map `svc_in` (LRU, key client and backend): written by from_pod and from_uplink when they choose a backend, read
 * wherever a packet goes to who opened such a flow (CT_SERVICE in `flows` says so, other packets pay nothing). Missing
 * entry: the client sees the backend's address, and resets the connection. Full: the least recently used flow goes.
 */
#ifndef SKEP_BPF_SVC_BACK_H
#define SKEP_BPF_SVC_BACK_H

#include "rewrite.h"
#include "abi/svc.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct svc_flow_key);
	__type(value, struct svc_in_value);
} svc_in SEC(".maps");

static __always_inline void svc_flow_key_of(struct svc_flow_key *key, const struct ip_addr *client, __be16 client_port,
					    const struct ip_addr *peer, __be16 peer_port, __u8 proto)
{
	key->client = *client;
	key->peer = *peer;
	key->client_port = client_port;
	key->peer_port = peer_port;
	key->proto = proto;
	key->pad[0] = 0;
	key->pad[1] = 0;
	key->pad[2] = 0;
}

#define SVC_BACK_NONE (-1) /* not about a flow to a service */

/*
 * An error about what the client sent: it names the backend, in the packet that it quotes and perhaps as its sender.
 * 0, SVC_BACK_NONE (perhaps it is about what the backend sent) or a drop reason.
 */
static __noinline_prog int svc_back_error(struct __sk_buff *skb, struct packet *p)
{
	struct packet inner = {};
	struct nat_rewrite w = {};
	struct svc_flow_key key;
	struct svc_in_value *in;

	if (!packet_inner(skb, p, &inner))
		return SVC_BACK_NONE;
	svc_flow_key_of(&key, &inner.src, inner.sport, &inner.dst, inner.dport, inner.proto);
	in = bpf_map_lookup_elem(&svc_in, &key);
	if (!in)
		return SVC_BACK_NONE;
	w.old_ip = inner.dst;
	w.old_port = inner.dport;
	w.new_ip = in->vip;
	w.new_port = in->port;
	return nat_write_error(skb, p, &inner, &w, false);
}

/* 0, SVC_BACK_NONE or a drop reason. */
static __noinline_prog int svc_back_reply(struct __sk_buff *skb, struct packet *p)
{
	struct nat_rewrite w = {};
	struct svc_flow_key key;
	struct svc_in_value *in;
	int r;

	svc_flow_key_of(&key, &p->dst, p->dport, &p->src, p->sport, p->proto);
	in = bpf_map_lookup_elem(&svc_in, &key);
	if (!in)
		return SVC_BACK_NONE;
	w.old_ip = p->src;
	w.old_port = p->sport;
	w.new_ip = in->vip;
	w.new_port = in->port;
	nat_offsets(p, true, &w);
	r = nat_write(skb, &w);
	if (r)
		return r;
	p->src = w.new_ip;
	p->sport = w.new_port;
	return 0;
}

/* Before a packet is handed to a pod, once flow_check() has let it pass. 0 or a drop reason. */
static __always_inline int svc_back(struct __sk_buff *skb, struct packet *p)
{
	int r;

	if (!(p->flags & PACKET_FROM_SERVICE))
		return 0;
	r = p->flags & PACKET_ICMP_ERROR ? svc_back_error(skb, p) : svc_back_reply(skb, p);
	return r == SVC_BACK_NONE ? 0 : r;
}

#endif
