/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Node object of a node that somebody else registers and keeps alive (a kubelet): read, never written. Told once,
 * when it has what the network needs.
 */
#ifndef SKEP_AGENT_NODE_WATCH_H
#define SKEP_AGENT_NODE_WATCH_H

#include "../lib/client/kube.h"

struct node_watch;
struct node_watch_config {
	const char *name;
	const char *node_ips; /* NULL: the Node's InternalIPs are waited for */
	/* Node.spec.podCIDRs and the node's addresses, the first of each family, both comma-separated. */
	void (*on_known)(void *arg, const char *pod_cidrs, const char *node_ips);
	void *arg;
};
/* Strings are borrowed for the life of the watch. What is waited for is logged. */
int node_watch_new(struct kube *kube, const struct node_watch_config *config, struct node_watch **ret, struct err *err);
void node_watch_free(struct node_watch *w);

#endif
