/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services compiled to front ends: a pure function from Services and EndpointSlices to what the maps hold.
 * Backends are the ready endpoints; if there are none, those that still serve while terminating (KEP-1669); never
 * others. With internalTrafficPolicy Local they are those of the node only, none if it has none. Else hints narrow
 * the ready ones down: to those for the node if every one has hints for nodes and some are for this one, or the same
 * for its zone (KEP-3015, KEP-2433). Headless services have no front end.
 *
 * Node ports, external addresses and those that a load balancer has (ipMode VIP) have two front ends each, as seen from
 * inside the cluster and from outside. externalTrafficPolicy Local is for those outside: they reach the node's own
 * backends, and if there are some elsewhere only, nothing answers (KEP-1669), so that a load balancer looks further.
 */
#ifndef SKEP_COMPILE_SERVICE_H
#define SKEP_COMPILE_SERVICE_H

#include "../../../headers/abi/addr.h"
#include "../../../headers/abi/svc.h"
#include "../base/err.h"
#include "api/api_types.h"

/* The annotation of a service whose load balancer's addresses come out of a pool: the node that announces them. */
#define SERVICE_ANNOUNCED_BY "skep.io/announced-by"
/*
 * How packets from outside get to backends elsewhere: "snat", as the node's own (the default), or "dsr", as the
 * client's: the backend answers the client directly. Without a meaning for services with session affinity, whose choice
 * each node remembers by itself, and for those with externalTrafficPolicy Local, which stay on the node.
 */
#define SERVICE_FORWARDING_MODE "skep.io/forwarding-mode"
#define SERVICE_FORWARDING_DSR	"dsr"
/* Of a Pod or an EndpointSlice: service_weights.h. */
#define SERVICE_WEIGHT "skep.io/weight"

/* Whose maps are compiled. zone: the node's label topology.kubernetes.io/zone; NULL or "": none. */
struct service_place {
	const char *node, *zone;
};
struct service_backend {
	struct ip_addr ip;
	uint16_t port; /* host order */
};
struct service_range {
	struct ip_addr ip;
	unsigned len; /* in v4-mapped bits: 96 + n for IPv4 */
};
struct service_front {
	struct ip_addr vip;		   /* 0.0.0.0 or ::, every address of a node */
	uint16_t port;			   /* host order; 0 with proto 0: whatever is no port of the address */
	uint8_t proto;			   /* IPPROTO_TCP, IPPROTO_UDP */
	uint8_t side;			   /* enum svc_side */
	bool silent;			   /* no backends: nothing answers */
	bool direct;			   /* outside: direct server return, as the annotation says */
	bool announced;			   /* of an address as a whole: by this node, as the annotation says */
	const struct api_service *service; /* borrowed */
	const char *port_name;		   /* borrowed; "" */
	struct service_backend *backends;  /* sorted; one with a greater weight is there more than once */
	size_t n_backends;
	uint32_t affinity_s;		    /* sessionAffinity ClientIP's timeout; 0: none */
	const struct service_range *ranges; /* loadBalancerSourceRanges: who may use it; none: everybody */
	size_t n_ranges;
};
struct service_table {
	struct service_front *fronts; /* sorted by address, port, protocol */
	size_t n;
	bool clashes; /* some service did not get an address that another one has */
	struct arena arena;
};
/* Two services with one address (a bug elsewhere): the older one has it. */
int service_compile(const struct service_place *place, const struct api_service *const *services, size_t n_services,
		    const struct api_endpoint_slice *const *slices, size_t n_slices, struct service_table *ret,
		    struct err *err);
void service_table_done(struct service_table *t);
/* Leaves out of an object's JSON what service_compile() does not read: the table is the same, the memory less. */
void service_trim(json_t *service);
void service_trim_slice(json_t *slice);
/* A node port of the service that is not in that range; 0: none. */
uint16_t service_node_port_outside(const struct api_service *s, uint16_t min, uint16_t max);
int service_front_compare(const struct service_front *a,
			  const struct service_front *b); /* address, port, protocol, side */
bool service_front_same(const struct service_front *a, const struct service_front *b); /* and the rest */

#endif
