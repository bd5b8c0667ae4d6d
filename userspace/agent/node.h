/* SPDX-License-Identifier: Apache-2.0 */
/* The Node object: registration, status, the heartbeat lease, and the ranges the cluster gives it. */
#ifndef SKEP_AGENT_NODE_H
#define SKEP_AGENT_NODE_H

#include "../lib/client/kube.h"

struct node;

struct node_config {
	const char *name;
	const char *node_ips[2];   /* NULL: fewer */
	const char *const *labels; /* "key=value", NULL-terminated; may be NULL */
	const char *state_dir;	   /* whose file system is the node's ephemeral storage */
	int port;		   /* of the agent's HTTPS API */
	int max_pods;
	int64_t reserved_cpu_milli, reserved_memory; /* kept from pods */
	/* Node.spec.podCIDRs, comma-separated; called once, when they are known. */
	void (*on_pod_cidrs)(void *arg, const char *cidrs);
	void *arg;
};
/* Strings are borrowed for the life of the node. */
int node_new(struct kube *kube, const struct node_config *config, struct node **ret, struct err *err);
void node_free(struct node *n);
/* why NULL: fine. They become the Ready condition. version: "containerd://1.6.20". */
void node_set_runtime(struct node *n, const char *version, const char *why);
void node_set_network(struct node *n, const char *why);
int64_t node_cpu_milli(const struct node *n); /* allocatable */
int64_t node_memory(const struct node *n);

#endif
