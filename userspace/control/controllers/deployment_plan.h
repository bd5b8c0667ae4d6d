/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a Deployment's controller decides: sizes of its ReplicaSets, step by step, never below what maxUnavailable
 * allows. Pure.
 */
#ifndef SKEP_CONTROLLERS_DEPLOYMENT_PLAN_H
#define SKEP_CONTROLLERS_DEPLOYMENT_PLAN_H

#include "manager.h"

/* A ReplicaSet of the deployment, as it is and as it should be. */
struct dp_set {
	const struct api_replica_set *rs;  /* borrowed; NULL for one that is to be made */
	bool is_new;			   /* has the present template */
	int64_t replicas;		   /* spec */
	int64_t available, ready, current; /* status */
	int64_t want;			   /* out: spec.replicas wanted */
	bool remove;			   /* out: beyond revisionHistoryLimit */
};
struct dp_plan {
	bool create_new; /* no set has the present template: make one with new_replicas */
	int64_t new_replicas;
};
/*
 * sets: all sets the deployment controls, oldest first, at most one is_new (none: create_new is decided).
 * pods_terminating: pods of old sets still ending, for Recreate. Fills want and remove of each set.
 */
void deployment_plan(const struct api_deployment *d, struct dp_set *sets, size_t n, bool old_pods_remain,
		     struct dp_plan *ret);
/* maxSurge (rounded up) and maxUnavailable (rounded down; 1 if both would be 0). */
void deployment_bounds(const struct api_deployment *d, int64_t *ret_surge, int64_t *ret_unavailable);

#endif
