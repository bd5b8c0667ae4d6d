/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Topology aware routing (annotation service.kubernetes.io/topology-mode: Auto, KEP-2433): which zone is to use which
 * endpoint, so that traffic stays in its zone while each zone has endpoints in proportion to its CPUs. Pure.
 */
#ifndef SKEP_CONTROLLERS_TOPOLOGY_H
#define SKEP_CONTROLLERS_TOPOLOGY_H

#include <stddef.h>
#include <stdint.h>

#define TOPOLOGY_MODE	  "service.kubernetes.io/topology-mode"
#define TOPOLOGY_MODE_OLD "service.kubernetes.io/topology-aware-hints"
#define TOPOLOGY_NO_ZONE  SIZE_MAX

struct topology_zone {
	const char *name;
	int64_t cpu_milli; /* of its nodes, allocatable */
};

/*
 * at[i]: where the i-th ready endpoint is, by index in zones, or TOPOLOGY_NO_ZONE; hint[i]: who is to use it, that zone
 * unless another has too few. Returns NULL, or why there are no hints: an endpoint without a zone, fewer than two
 * zones, or so few endpoints that some zone's would have to do over 20 % more than their share.
 */
const char *topology_hints(const struct topology_zone *zones, size_t n_zones, const size_t *at, size_t n, size_t *hint);

#endif
