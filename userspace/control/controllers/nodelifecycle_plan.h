/* SPDX-License-Identifier: Apache-2.0 */
/* What the node lifecycle controller decides: conditions and taints of a node, and how long pods may stay. Pure. */
#ifndef SKEP_CONTROLLERS_NODELIFECYCLE_PLAN_H
#define SKEP_CONTROLLERS_NODELIFECYCLE_PLAN_H

#include "manager.h"

struct node_plan {
	const char *taint; /* key of the taints that it should have of ours; NULL: none. Static text */
	json_t *taints;	   /* spec.taints as they should be, a new reference; NULL: they are so already */
	bool mark_unknown; /* its Ready condition becomes Unknown */
	bool mark_pods;	   /* its pods become not ready, for the agent that cannot say it */
};
/* silent: its lease was not renewed for the grace period. now_ms: real time, of the taints. */
void node_plan(const struct api_node *n, bool silent, int64_t now_ms, struct node_plan *ret);

/*
 * How long a pod may stay under a NoExecute taint of this key: -1 for ever, else milliseconds. dflt_ms: for a pod
 * without a toleration of it, since a pod that nobody spoke of gets what Kubernetes' admission gives, not nothing.
 */
int64_t pod_tolerated_ms(const struct api_pod *p, const char *key, int64_t dflt_ms);

#endif
