/* SPDX-License-Identifier: Apache-2.0 */
/* What a ReplicaSet's controller decides: which pods to adopt, release, make and delete, and the status. Pure. */
#ifndef SKEP_CONTROLLERS_REPLICASET_PLAN_H
#define SKEP_CONTROLLERS_REPLICASET_PLAN_H

#include "manager.h"

struct rs_plan {
	size_t n_adopt, n_release, n_delete;
	const struct api_pod **adopt, **release, **delete; /* one allocation each; the pods are borrowed */
	int64_t create;
	int64_t replicas, labeled, ready, available; /* of the status */
	int64_t wake_ms;			     /* when a pod becomes available by minReadySeconds; 0: no need */
};
/* pods: those of the namespace that the set owns or its selector matches. Returns 0 or -ENOMEM. */
int rs_plan(const struct api_replica_set *rs, const struct api_pod *const *pods, size_t n, int64_t now_ms,
	    struct rs_plan *ret);
void rs_plan_done(struct rs_plan *p);

#endif
