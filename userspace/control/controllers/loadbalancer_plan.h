/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses of services of type LoadBalancer, out of LoadBalancerPools, and the node that announces them. Pure. What is
 * given out is kept in a book that mirrors the services' own status: an address has one owner, or none.
 */
#ifndef SKEP_CONTROLLERS_LOADBALANCER_PLAN_H
#define SKEP_CONTROLLERS_LOADBALANCER_PLAN_H

#include "api/api_types.h"
#include "base/iprange.h"
#include "compile/service.h"

#define LB_CLASS "skep.io/l2"
#define LB_POOL	 "skep.io/load-balancer-pool" /* annotations of services: the user's wishes ... */
#define LB_IPS	 "skep.io/load-balancer-ips"
#define LB_FROM                                                                                                        \
	"skep.io/allocated-from" /* ... and ours, beside SERVICE_ANNOUNCED_BY: the pool of each address, in the        \
				    status' order */

enum { LB_SHOWN_MAX = 8, LB_NAME = 256, LB_WHY = 700 };

/* --- the book ----------------------------------------------------------------------------------------------------- */

struct lb_entry {
	struct ip_at at;
	char *owner;  /* "namespace/name" of the service */
	bool pending; /* given, but its status does not show it yet */
};
struct lb_book {
	struct lb_entry *v; /* by address */
	size_t n, cap;
};
void lb_book_done(struct lb_book *b);
const char *lb_book_owner(const struct lb_book *b, const struct ip_at *at); /* NULL: free */
/* 0 also if owner has it; -EEXIST: somebody else does; -ENOMEM. */
int lb_book_take(struct lb_book *b, const struct ip_at *at, const char *owner);
/*
 * The owner's status has these: others that it had are free, unless they are pending and none of the pending ones is
 * shown. An address of somebody else stays his. *ret_changed: something came or went. -ENOMEM.
 */
int lb_book_show(struct lb_book *b, const char *owner, const struct ip_at *v, size_t n, bool *ret_changed);
bool lb_book_drop(struct lb_book *b, const char *owner); /* all that it had is free; false: it had nothing */
/* Pending addresses of the owner that are not among these are free. */
void lb_book_settle(struct lb_book *b, const char *owner, const struct ip_at *v, size_t n);

/* --- pools -------------------------------------------------------------------------------------------------------- */

struct lb_pool {
	char *name;
	bool auto_assign;
	struct ip_range *ranges; /* by address */
	size_t n_ranges;
};
struct lb_pools {
	struct lb_pool *v; /* by name */
	size_t n;
};
int lb_pools_new(const struct api_load_balancer_pool *const *v, size_t n, struct lb_pools *ret); /* -ENOMEM */
void lb_pools_done(struct lb_pools *p);
const struct lb_pool *lb_pool_find(const struct lb_pools *p, const char *name);
bool lb_pool_has(const struct lb_pool *p, const struct ip_at *at);

struct lb_pool_state {
	uint64_t total;
	size_t assigned;
	bool ready;
	const char *reason;
	char message[LB_WHY];
};
/* lost: "address (service)" of addresses that were given out of this pool and are not in it any more. */
void lb_pool_state(const struct lb_pools *pools, const struct lb_pool *p, const struct lb_book *book,
		   const char *const *lost, size_t n_lost, struct lb_pool_state *ret);

/* --- services ----------------------------------------------------------------------------------------------------- */

bool lb_served(const struct api_service *s); /* it is ours to serve */
bool lb_marked(const struct api_service *s); /* it has, or had, addresses of ours */
/* The addresses in its status, at most max. */
size_t lb_shown(const struct api_service *s, struct ip_at *ret, size_t max);
/* The name of the pool that its status' i-th address came from; "". */
const char *lb_from(const struct api_service *s, size_t i, char buf[LB_NAME]);
/* Its address that was given out of the pool and is not in it any more. */
bool lb_lost(const struct api_service *s, const struct lb_pool *p, struct ip_at *ret);

struct lb_given {
	struct ip_at at;
	char pool[LB_NAME];
};
struct lb_result {
	bool leave; /* it is not for us: another controller may serve it */
	size_t n;
	struct lb_given v[2];
	char why[LB_WHY]; /* what it did not get, and what to do; "" */
};
/* Addresses for a service that lb_served(). key: its name as an owner. Nothing is taken yet. */
void lb_plan(const struct lb_pools *pools, const struct lb_book *book, const char *key, const struct api_service *s,
	     struct lb_result *ret);

/* --- the announcing node ------------------------------------------------------------------------------------------ */

bool lb_node_fit(const struct api_node *n);
/* The slice has an endpoint on the node that is ready and not ending. */
bool lb_slice_on_node(const struct api_endpoint_slice *es, const char *node);
/* present (may be NULL) while it is among the nodes, else the one that the service's uid chooses; NULL: none. */
const char *lb_elect(const char *uid, const char *present, const char *const *nodes, size_t n);

#endif
