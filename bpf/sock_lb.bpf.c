// SPDX-License-Identifier: Apache-2.0
/*
 * Service load balancing at the socket: a connection to a service is made to one of its backends from the start, so
 * that no packet is ever rewritten. Attached to the node's cgroup v2 subtree. getpeername() and the source of
 * received datagrams show the service's address, as the program that asked for it expects.
 *
 * Maps `tcp_peers` and `udp_peers` (LRU per CPU, key socket and backend): written at connect and sendmsg, read at
 * recvmsg and getpeername. Missing entry: the peer's real address is shown. Full: the least recently used of the same
 * CPU goes. Two, so that a storm of TCP connections, for which this is cosmetic, cannot evict what a waiting UDP
 * client needs.
 * Map `udp_choices` (LRU, key socket and front end): an unconnected UDP socket's backend, written and read at
 * sendmsg. Missing entry, or its backend is no longer among the service's: chosen anew. Full: the least recently used
 * goes.
 */
#include "lib/drop_counters.h"
#include "lib/lb.h"
#include "abi/policy.h"

char LICENSE[] SEC("license") = "Apache-2.0";

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_COMMON_LRU);
	__type(key, struct sock_peer_key);
	__type(value, struct sock_peer_value);
} tcp_peers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_COMMON_LRU);
	__type(key, struct sock_peer_key);
	__type(value, struct sock_peer_value);
} udp_peers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct udp_choice_key);
	__type(value, struct backend_choice);
} udp_choices SEC(".maps");

#define ALLOW	     1
#define REFUSE	     0
#define ECONNREFUSED 111

static __always_inline int refuse(void)
{
	count_drop(0, DROP_NO_BACKEND, POLICY_EGRESS, 0);
	bpf_set_retval(-ECONNREFUSED);
	return REFUSE;
}

static __always_inline void remember_peer(__u64 cookie, const struct svc_key *svc, const struct backend_value *b)
{
	struct sock_peer_key key = { .cookie = cookie, .backend_ip = b->ip, .backend_port = b->port };
	struct sock_peer_value value = { .vip = svc->vip, .port = svc->port }, *old;

	if (svc->proto == IPPROTO_TCP) {
		bpf_map_update_elem(&tcp_peers, &key, &value, BPF_ANY);
		return;
	}
	/* With every datagram: mostly it is there. */
	old = bpf_map_lookup_elem(&udp_peers, &key);
	if (!old || !ip_eq(&old->vip, &value.vip) || old->port != value.port)
		bpf_map_update_elem(&udp_peers, &key, &value, BPF_ANY);
}

/* ALLOW, and to->backend filled (port 0: not a service); or REFUSE with the error that the system call returns. */
static __noinline_prog int connect_to(struct bpf_sock_addr *ctx, struct svc_key *key, struct lb_choice *to)
{
	struct svc_key front = *key;

	lb_front_of(&front);
	switch (lb_choose(&front, bpf_get_netns_cookie(ctx), bpf_get_prandom_u32(), to)) {
	case LB_NOT_A_SERVICE:
		to->backend.port = 0;
		return ALLOW;
	case LB_REFUSE:
		return refuse();
	case LB_BACKEND:
		break;
	}
	remember_peer(bpf_get_socket_cookie(ctx), key, &to->backend);
	return ALLOW;
}

static __noinline_prog int send_to(struct bpf_sock_addr *ctx, struct svc_key *key, struct lb_choice *to)
{
	struct udp_choice_key ck = { .vip = key->vip, .port = key->port };
	struct backend_choice *last, next = {};
	struct svc_key front = *key;

	lb_front_of(&front);
	to->backend.port = 0;
	ck.cookie = bpf_get_socket_cookie(ctx);
	last = bpf_map_lookup_elem(&udp_choices, &ck);
	switch (lb_choose_again(&front, bpf_get_netns_cookie(ctx), bpf_get_prandom_u32(), last, to)) {
	case LB_NOT_A_SERVICE:
		to->backend.port = 0;
		return ALLOW;
	case LB_REFUSE:
		return refuse();
	case LB_BACKEND:
		break;
	}
	if (!last || last->svc_id != to->svc.svc_id || last->generation != to->svc.generation) {
		lb_remember(&next, to);
		bpf_map_update_elem(&udp_choices, &ck, &next, BPF_ANY);
	}
	remember_peer(ck.cookie, key, &to->backend);
	return ALLOW;
}

/* The address that the socket believes in; false: the real one. */
static __noinline_prog bool believed_peer(struct bpf_sock_addr *ctx, struct sock_peer_key *key,
					  struct sock_peer_value *ret)
{
	struct sock_peer_value *v;

	key->cookie = bpf_get_socket_cookie(ctx);
	if (ctx->protocol == IPPROTO_TCP)
		v = bpf_map_lookup_elem(&tcp_peers, key);
	else
		v = bpf_map_lookup_elem(&udp_peers, key);
	if (!v)
		return false;
	*ret = *v;
	return true;
}

static __always_inline void key4(struct bpf_sock_addr *ctx, struct svc_key *key)
{
	ip_set_v4(&key->vip, ctx->user_ip4);
	key->port = ctx->user_port;
	key->proto = ctx->protocol;
	key->side = SVC_INSIDE;
}

static __always_inline void key6(struct bpf_sock_addr *ctx, struct svc_key *key)
{
	key->vip.w[0] = ctx->user_ip6[0];
	key->vip.w[1] = ctx->user_ip6[1];
	key->vip.w[2] = ctx->user_ip6[2];
	key->vip.w[3] = ctx->user_ip6[3];
	key->port = ctx->user_port;
	key->proto = ctx->protocol;
	key->side = SVC_INSIDE;
}

static __always_inline void set6(struct bpf_sock_addr *ctx, const struct ip_addr *ip, __be16 port)
{
	ctx->user_ip6[0] = ip->w[0];
	ctx->user_ip6[1] = ip->w[1];
	ctx->user_ip6[2] = ip->w[2];
	ctx->user_ip6[3] = ip->w[3];
	ctx->user_port = port;
}

/* An IPv4 socket cannot reach an IPv6 backend: the agent gives a front end backends of its own family only. */
static __always_inline int act4(struct bpf_sock_addr *ctx, int verdict, const struct lb_choice *to)
{
	if (verdict != ALLOW || to->backend.port == 0)
		return verdict;
	if (!ip_is_v4(&to->backend.ip))
		return refuse();
	ctx->user_ip4 = to->backend.ip.w[3];
	ctx->user_port = to->backend.port;
	return ALLOW;
}

static __always_inline int act6(struct bpf_sock_addr *ctx, int verdict, const struct lb_choice *to)
{
	if (verdict == ALLOW && to->backend.port != 0)
		set6(ctx, &to->backend.ip, to->backend.port);
	return verdict;
}

static __always_inline bool is_lb_proto(struct bpf_sock_addr *ctx)
{
	return ctx->protocol == IPPROTO_TCP || ctx->protocol == IPPROTO_UDP;
}

SEC("cgroup/connect4")
int lb_connect4(struct bpf_sock_addr *ctx)
{
	struct lb_choice to = {};
	struct svc_key key;

	if (!is_lb_proto(ctx))
		return ALLOW;
	key4(ctx, &key);
	return act4(ctx, connect_to(ctx, &key, &to), &to);
}

SEC("cgroup/connect6")
int lb_connect6(struct bpf_sock_addr *ctx)
{
	struct lb_choice to = {};
	struct svc_key key;

	if (!is_lb_proto(ctx))
		return ALLOW;
	key6(ctx, &key);
	return act6(ctx, connect_to(ctx, &key, &to), &to);
}

SEC("cgroup/sendmsg4")
int lb_sendmsg4(struct bpf_sock_addr *ctx)
{
	struct lb_choice to = {};
	struct svc_key key;

	key4(ctx, &key);
	key.proto = IPPROTO_UDP;
	return act4(ctx, send_to(ctx, &key, &to), &to);
}

SEC("cgroup/sendmsg6")
int lb_sendmsg6(struct bpf_sock_addr *ctx)
{
	struct lb_choice to = {};
	struct svc_key key;

	key6(ctx, &key);
	key.proto = IPPROTO_UDP;
	return act6(ctx, send_to(ctx, &key, &to), &to);
}

static __always_inline int show_peer4(struct bpf_sock_addr *ctx)
{
	struct sock_peer_key key = {};
	struct sock_peer_value v;

	ip_set_v4(&key.backend_ip, ctx->user_ip4);
	key.backend_port = ctx->user_port;
	if (believed_peer(ctx, &key, &v)) {
		ctx->user_ip4 = v.vip.w[3];
		ctx->user_port = v.port;
	}
	return ALLOW;
}

static __always_inline int show_peer6(struct bpf_sock_addr *ctx)
{
	struct sock_peer_key key = {};
	struct sock_peer_value v;

	key.backend_ip.w[0] = ctx->user_ip6[0];
	key.backend_ip.w[1] = ctx->user_ip6[1];
	key.backend_ip.w[2] = ctx->user_ip6[2];
	key.backend_ip.w[3] = ctx->user_ip6[3];
	key.backend_port = ctx->user_port;
	if (believed_peer(ctx, &key, &v))
		set6(ctx, &v.vip, v.port);
	return ALLOW;
}

SEC("cgroup/recvmsg4")
int lb_recvmsg4(struct bpf_sock_addr *ctx)
{
	return show_peer4(ctx);
}

SEC("cgroup/recvmsg6")
int lb_recvmsg6(struct bpf_sock_addr *ctx)
{
	return show_peer6(ctx);
}

SEC("cgroup/getpeername4")
int lb_getpeername4(struct bpf_sock_addr *ctx)
{
	return show_peer4(ctx);
}

SEC("cgroup/getpeername6")
int lb_getpeername6(struct bpf_sock_addr *ctx)
{
	return show_peer6(ctx);
}
