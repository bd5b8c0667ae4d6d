/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node's network: IPAM, interfaces, the CNI server on a unix socket, and the reconciliation of pods, namespaces,
 * policies, services and endpoint slices into the data plane. Owned by main.c; the pod side (agent/pod) needs only
 * these calls, since a pod's sandbox is created by the container runtime, which calls skep-cni, which asks the socket
 * served here. CNI ADD answers only when the pod's addresses, identity, policy and the services are in the maps.
 */
#ifndef SKEP_AGENT_NETWORK_H
#define SKEP_AGENT_NETWORK_H

#include "../lib/client/informer.h"
#include "../lib/io/loop.h"

struct network;

struct network_config {
	const char *node_name;
	const char *pin_dir;	   /* /sys/fs/bpf/skep/<node> */
	const char *cgroup_dir;	   /* node's cgroup v2 directory (sock_lb) */
	const char *state_dir;	   /* <state>/net: endpoint checkpoints, one file per sandbox */
	const char *cni_socket;	   /* unix socket for skep-cni */
	const char *uplink;	   /* NULL: the interface of the default route */
	const char *pod_cidrs;	   /* this node's, "10.0.1.0/24,fd00:10:0:1::/64", from Node.spec.podCIDRs */
	const char *cluster_cidrs; /* all pods', "10.0.0.0/8,fd00:10::/48" */
	const char *lan_cidrs;	   /* node network */
	const char *service_cidrs;
	const char *node_ports;		      /* of services, "30000-32767" */
	const char *xdp;		      /* "auto", "native", "generic", "off": dp.h */
	bool reset_flows;		      /* dp.h */
	uint32_t max_frontends, max_backends; /* entries of the maps `services` and `backends`; 0: dp.h's defaults */
	struct kube_recorder *rec;	      /* borrowed; NULL: no events */
	const char *node_ips;		      /* "172.30.1.1,fd00:30::1:1" */
};
/* Opens the data plane, restores endpoints from state_dir, starts informers; ready when network_ready() is NULL. */
int network_new(struct loop *loop, struct kube *kube, const struct network_config *config, struct network **ret,
		struct err *err);
void network_free(struct network *n);		    /* pods keep running, packets keep flowing */
const char *network_ready(const struct network *n); /* NULL: ready; else what is waited for */
/* Is this node being deleted, by whoever, or by the cluster autoscaler? Load balancers are to leave it then. */
bool network_node_leaves(const struct network *n);
/* Sandboxes the runtime still knows: checkpoints of all others are released (address, interface, maps). */
int network_prune(struct network *n, const char *const *sandbox_ids, size_t n_ids, struct err *err);
/* Addresses of a pod's sandbox for status.podIPs; buffers of INET6_ADDRSTRLEN, "" if none. -ENOENT: unknown. */
int network_pod_ips(const struct network *n, const char *sandbox_id, char *ret_ip4, char *ret_ip6);
/* Registers its metric families (per pod bytes, packets, drops by reason, map fill). Called by network_new(). */
/* Answers /debug/net/{services,policies,endpoints,drops,top} as JSON for `skep net`; true if it did. */
struct http_req;
bool network_http(struct network *n, struct http_req *req);

#endif
