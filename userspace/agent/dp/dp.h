/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data plane of one node: loads, pins and fills the eBPF programs and maps. The only place that calls bpf_*. All
 * calls are synchronous system calls on the agent's thread. What is pinned outlives the agent: dp_open() finds it,
 * keeps every map whose layout version matches, carries over what other builds left, replaces programs by
 * bpf_link_update, and the sync functions then change only what differs.
 *
 * Ordering that callers must keep, so that no packet sees a half state (each function swaps its own object
 * atomically):
 *   a new identity:   dp_policy_set() of every pod whose policy names it, then dp_ipcache_set()
 *   a new local pod:  identity as above, dp_policy_set(), then dp_endpoint_add(), then the interface goes up
 *   a pod goes:       dp_endpoint_del(), dp_ipcache_del(), dp_policy_del()
 */
#ifndef SKEP_AGENT_DP_H
#define SKEP_AGENT_DP_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../../headers/abi/addr.h"
#include "../../lib/base/err.h"

struct dp;

/*
 * Where services with direct server return are balanced before TC programs do it: by XDP in the uplink's driver, or in
 * the kernel for any driver, which is slower than TC and there for tests. Auto: in the driver where that works.
 */
enum dp_xdp { DP_XDP_AUTO, DP_XDP_NATIVE, DP_XDP_GENERIC, DP_XDP_OFF };

struct dp_config {
	const char *pin_dir;		       /* /sys/fs/bpf/skep/<node>; made if missing */
	const char *cgroup_dir;		       /* cgroup v2 directory whose sockets use sock_lb (the node's subtree) */
	const char *uplink;		       /* interface towards the other nodes */
	const char *tunnel;		       /* VXLAN interface in external mode, made by agent/net */
	struct ip_addr node_ip4, node_ip6;     /* the uplink's; all zero: family absent */
	struct ip_addr pod_cidr4, pod_cidr6;   /* cluster-wide pod ranges: never masqueraded */
	unsigned pod_cidr4_len, pod_cidr6_len; /* prefix lengths within the family */
	struct ip_addr lan4, lan6;	       /* node network: never masqueraded */
	unsigned lan4_len, lan6_len;
	struct ip_addr services4, services6; /* the cluster's service addresses */
	unsigned services4_len, services6_len;
	uint16_t node_port_min, node_port_max; /* of services, both included; 0: 30000 and 32767 */
	uint32_t max_endpoints, max_services, max_backends, max_flows; /* 0: defaults, documented in docs/datapath.md */
	enum dp_xdp xdp;
	bool reset_flows; /* lose them rather than not start, where another build's cannot be carried over */
};
/* One line on what kernel feature or right is missing on failure. */
int dp_open(const struct dp_config *config, struct dp **ret, struct err *err);
/* What came of dp_config.xdp: NATIVE, GENERIC, or OFF and (unless asked for) why. */
enum dp_xdp dp_xdp_mode(const struct dp *dp, const char **ret_why);
void dp_close(struct dp *dp);			      /* everything stays attached and pinned */
int dp_destroy(const char *pin_dir, struct err *err); /* detach and unpin all; for `skep down` and uninstall */

/* Identities: numbers private to this node; reserved ones are in headers/abi/policy.h. */
#define DP_IDENTITY_FIRST_POD 256u

/* Local pods. ep_id: small number unique on the node, stable while the pod lives; index of its metrics and policy. */
struct dp_endpoint {
	uint32_t ep_id;
	uint32_t ifindex; /* host side of its veth */
	uint32_t identity;
	struct ip_addr ip4, ip6; /* zero: none */
	uint8_t pod_mac[6], host_mac[6];
};
/*
 * Attach the default-deny pod programs to a new, still down, host-side interface: traffic is dropped (and counted)
 * until dp_endpoint_add(). Links are pinned by ifindex.
 */
int dp_attach_pod(struct dp *dp, uint32_t ifindex, struct err *err);
int dp_endpoint_add(struct dp *dp, const struct dp_endpoint *ep, struct err *err); /* also updates in place */
int dp_endpoint_del(struct dp *dp, uint32_t ep_id, struct err *err);
/* What is in the maps now (after a restart): *ret is the caller's (free()). */
int dp_endpoint_list(struct dp *dp, struct dp_endpoint **ret, size_t *ret_n, struct err *err);

/* Address -> identity and the node it lives on. */
struct dp_ipcache_entry {
	struct ip_addr ip;
	uint32_t identity;
	struct ip_addr node; /* tunnel endpoint; zero: this node or reachable without tunnel */
};
int dp_ipcache_set(struct dp *dp, const struct dp_ipcache_entry *e, struct err *err);
int dp_ipcache_del(struct dp *dp, const struct ip_addr *ip, struct err *err);
int dp_ipcache_list(struct dp *dp, struct dp_ipcache_entry **ret, size_t *ret_n, struct err *err);
/* CIDR -> identity behind it (longest prefix); len in v4-mapped bits (96 + n for IPv4). */
struct dp_cidr_entry {
	struct ip_addr ip;
	unsigned len;
	uint32_t identity;
};
int dp_cidr_set(struct dp *dp, const struct dp_cidr_entry *e, struct err *err);
int dp_cidr_del(struct dp *dp, const struct dp_cidr_entry *e, struct err *err);
int dp_cidr_list(struct dp *dp, struct dp_cidr_entry **ret, size_t *ret_n, struct err *err);

/* Policy of one local pod, replaced whole: packets see the old set or the new one. */
enum dp_direction { DP_INGRESS, DP_EGRESS };
struct dp_policy_rule {
	uint8_t direction;
	uint8_t proto;	   /* IPPROTO_*; 0: any */
	uint16_t port;	   /* host order; with port_bits 0: any */
	uint8_t port_bits; /* leading bits of port that must match: 0..16 */
	uint32_t identity; /* peer; 0: any */
	uint32_t rule_id;  /* named in drops and `why`; 0: none */
	bool allow;
};
struct dp_policy {
	bool isolated_ingress, isolated_egress; /* false: that direction allows all */
	const struct dp_policy_rule *rules;
	size_t n_rules;
	uint64_t generation;
};
int dp_policy_set(struct dp *dp, uint32_t ep_id, const struct dp_policy *policy, struct err *err);
int dp_policy_del(struct dp *dp, uint32_t ep_id, struct err *err);
/*
 * Established flows are judged again by the present policies at their next packet: call after a batch of policy
 * changes.
 */
int dp_policy_bump(struct dp *dp, struct err *err);

/*
 * Services: one front end (VIP, port, protocol) as one side sees it, and its ready backends, replaced whole. n_backends
 * 0: refused at once, or with silent dropped. VIP 0.0.0.0 or ::, a node port: on every address of every node. Port and
 * protocol 0: what is no port of the VIP, which has no backends. affinity_s: how long a silent client's choice is kept,
 * in seconds; 0: each connection is chosen anew.
 */
struct dp_backend {
	struct ip_addr ip;
	uint16_t port; /* host order */
};
struct dp_range {
	struct ip_addr ip;
	unsigned len; /* in v4-mapped bits: 96 + n for IPv4 */
};
struct dp_service {
	struct ip_addr vip;
	uint16_t port; /* host order */
	uint8_t proto; /* IPPROTO_TCP, IPPROTO_UDP */
	const struct dp_backend *backends;
	size_t n_backends;
	uint32_t affinity_s;
	uint8_t side; /* enum svc_side, headers/abi/svc.h: who comes from inside the cluster, or from outside */
	bool silent;
	bool announced; /* of an address as a whole: this node says that it has it */
	bool direct;	/* outside: direct server return, by a table that every node makes alike */
	const struct dp_range
		*ranges; /* who may use it from outside; none: everybody. Not filled by dp_service_list() */
	size_t n_ranges;
	uint32_t ranges_id; /* filled by dp_service_list(): dp_ranges_id() of those in force */
};
uint32_t dp_ranges_id(const struct dp_range *ranges, size_t n); /* 0: none; whatever their order */
int dp_service_set(struct dp *dp, const struct dp_service *svc, struct err *err);
int dp_service_del(struct dp *dp, const struct dp_service *svc, struct err *err); /* vip, port, proto, side only */
/* Front ends in the maps with their backends; one allocation, the caller's (free()). */
int dp_service_list(struct dp *dp, struct dp_service **ret, size_t *ret_n, struct err *err);

/* Counters. dir: 0 = from the pod, 1 = to the pod. */
struct dp_pod_stats {
	uint32_t ep_id;
	uint64_t packets[2], bytes[2];
};
int dp_pod_stats(struct dp *dp, struct dp_pod_stats **ret, size_t *ret_n, struct err *err);
int dp_xdp_stats(struct dp *dp, uint64_t *ret_packets, uint64_t *ret_bytes, struct err *err); /* sent on by XDP */
struct dp_drop_stats {
	uint32_t ep_id;	   /* 0: no pod */
	uint8_t reason;	   /* enum drop_reason, headers/abi/drop.h */
	uint8_t direction; /* enum dp_direction of the check that failed */
	uint64_t packets, bytes;
};
int dp_drop_stats(struct dp *dp, struct dp_drop_stats **ret, size_t *ret_n, struct err *err);
/*
 * What each pod has of the tables that all share: entries that are still alive, under who opened the flow, under who
 * was asked, and ports of masquerade. Entry 0, ep_id 0: of nobody here, that is the node itself and what it forwards.
 */
struct dp_use {
	uint32_t ep_id;
	uint32_t opened, accepted; /* `flows` */
	uint32_t nat_ports;	   /* `nat_in` */
	uint32_t service_flows;	   /* `svc_out`: packet by packet, alive or not */
};
int dp_use(struct dp *dp, struct dp_use **ret, size_t *ret_n, struct err *err); /* *ret: the caller's (free()) */
uint32_t dp_flows_room(const struct dp *dp); /* entries of `flows`, and of `nat_in` */
uint32_t dp_nat_ports_room(const struct dp *dp);
const char *dp_drop_name(uint8_t reason); /* "policy-denied", as in metrics labels */
/* Recent drops from the ring buffer: fd to watch for EPOLLIN, and consume. */
struct dp_drop_event {
	uint64_t time_ns; /* monotonic */
	struct ip_addr src, dst;
	uint16_t sport, dport; /* host order */
	uint8_t proto, reason, direction;
	uint32_t ep_id, src_identity, dst_identity, rule_id;
};
int dp_drop_fd(struct dp *dp);
int dp_drop_consume(struct dp *dp, void (*fn)(void *arg, const struct dp_drop_event *ev), void *arg);
/* Entries and capacity of each map, for metrics and alerts. */
struct dp_map_fill {
	const char *name;
	uint64_t entries, capacity;
};
int dp_map_fill(struct dp *dp, const struct dp_map_fill **ret, size_t *ret_n,
		struct err *err); /* borrowed until the next call */

/*
 * Read-only view for the CLI, which has no struct dp: opens the pinned maps of pin_dir. Same list and stats functions
 * work on it.
 */
int dp_open_readonly(const char *pin_dir, struct dp **ret, struct err *err);

#endif
