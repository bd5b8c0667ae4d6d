/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Health checks for load balancers: on a service's healthCheckNodePort this node says over HTTP whether it has backends
 * of the service, 200 with one and 503 without, in kube-proxy's words. One that only terminates does not count although
 * it still serves (KEP-1669): the load balancer is to send new flows elsewhere.
 */
#ifndef SKEP_AGENT_HEALTH_PORTS_H
#define SKEP_AGENT_HEALTH_PORTS_H

#include <stdbool.h>
#include <stddef.h>

#include "../../headers/abi/addr.h"
#include "api/api_types.h"
#include "../lib/base/err.h"
#include "../lib/io/loop.h"

struct health_ports;

/* ips: where to listen, zero: not there. healthy: do the maps hold what the API says? Asked for each answer. */
struct health_ports *health_ports_new(struct loop *loop, const struct ip_addr ips[2], bool (*healthy)(const void *arg),
				      const void *arg); /* NULL: out of memory */
void health_ports_free(struct health_ports *h);
/*
 * The service with that key ("namespace/name") as it is now, NULL: gone; slices: its EndpointSlices. A port that cannot
 * be had is told in err, once, and tried again at each call.
 */
int health_ports_set(struct health_ports *h, const char *key, const char *node, const struct api_service *service,
		     const struct api_endpoint_slice *const *slices, size_t n_slices, struct err *err);

#endif
