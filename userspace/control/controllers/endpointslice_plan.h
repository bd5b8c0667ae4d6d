/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the EndpointSlice controller decides (discovery.k8s.io/v1): for each address family of a Service and each set
 * of resolved ports and each weight of pods, slices of at most 100 endpoints in the order of the pods' names. Pure.
 */
#ifndef SKEP_CONTROLLERS_ENDPOINTSLICE_PLAN_H
#define SKEP_CONTROLLERS_ENDPOINTSLICE_PLAN_H

#include "base/strmap.h"
#include "manager.h"
#include "topology.h"

/* What else is to be known; all borrowed. */
struct endpointslice_world {
	const struct api_endpoint_slice *const *have; /* the controller's slices of the Service */
	size_t n_have;
	/* Of a node (its label topology.kubernetes.io/zone); NULL: unknown. */
	const char *(*zone_of)(void *arg, const char *node);
	void *arg;
	const struct topology_zone *zones; /* asked for by endpointslice_by_topology() only; none: not to be told */
	size_t n_zones;
};
/*
 * [{addressType, ports, endpoints, weight, name}], a new reference; NULL: out of memory. weight is for the annotation
 * skep.io/weight (SERVICE_WEIGHT in compile/service.h), missing for the default; name is that of a slice that is there
 * and is to say this, missing for a new one. pods: those that the Service's selector matches, in any order. Slices that
 * are there and not named are to go. A pod stays in the slice where it is, so that a change of one endpoint is a change
 * of one slice; others go where there is room.
 *
 * Pods that ended or have no address of the family are left out. A family without endpoints has one empty slice, so
 * that clients are told rather than left waiting. trafficDistribution becomes hints of the ready endpoints: their zone,
 * and for PreferSameNode their node. So does topology-mode Auto, or *ret_why says why not (NULL: it does, or is not
 * asked for).
 */
json_t *endpointslice_plan(const struct api_service *s, const struct api_pod *const *pods, size_t n,
			   const struct endpointslice_world *w, const char **ret_why);
/* Does the Service ask for hints by topology.h? */
bool endpointslice_by_topology(const struct api_service *s);
/* The planned part of a slice that exists, to be compared with json_equal(). A new reference. */
json_t *endpointslice_content(const struct api_endpoint_slice *es);

/* Where each planned endpoint is now: the slice that has it, if there is one only. NULL: out of memory. */
struct strmap *endpointslice_moves(const json_t *wanted, const struct endpointslice_world *w);
/*
 * Are there endpoints in the slice that are to leave it and are not yet in another one? They are added to want, which
 * is planned for it; NULL: it is to go, and has to stay for now.
 */
bool endpointslice_hold(const struct strmap *moves, const struct api_endpoint_slice *es, json_t *want);

#endif
