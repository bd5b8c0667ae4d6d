/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the controllers share: one informer per kind, whose changes go to every controller that asked, a work queue
 * per controller, and small helpers on objects. A controller is a struct of functions (controllers/<name>.c) over
 * pure decisions (<name>_plan.c): on_change turns an event into keys, reconcile makes the world as the key's object
 * wants it and ends with done().
 */
#ifndef SKEP_CONTROLLERS_MANAGER_H
#define SKEP_CONTROLLERS_MANAGER_H

#include "api/api_types.h"
#include "client/informer.h"
#include "client/kube.h"
#include "client/workqueue.h"

struct manager;
struct controller;

struct manager_config {
	const char *cluster_cidrs, *service_cidrs;
	int mask4, mask6;				  /* prefix lengths of a node's pod ranges */
	int64_t node_grace_ms;				  /* a node's lease older than this: unreachable */
	const char *signing_cert_file, *signing_key_file; /* of the authority; NULL: nothing is signed */
	const char *root_ca_file; /* PEM: what pods check the API server with; NULL: they get none */
	int64_t eviction_ms;	  /* pods without a toleration of their own leave an unreachable node after this */
};

struct controller_ops {
	const char *name;
	const struct api_kind *const *kinds; /* whose changes are wanted; ends with NULL */
	bool custom_kinds;		     /* and those of custom kinds' objects, of which only metadata is known */
	int (*init)(struct controller *c);   /* may be NULL */
	/* old NULL: new; new NULL: gone; both the same: resync */
	void (*on_change)(struct controller *c, const struct api_kind *kind, struct informer_item *old,
			  struct informer_item *new);
	void (*reconcile)(struct controller *c, const char *key);
	void (*free)(struct controller *c); /* may be NULL */
};
struct controller {
	const struct controller_ops *ops;
	struct manager *m;
	struct workqueue *queue;
	void *data;
};

struct manager {
	struct loop *loop;
	struct kube *kube;
	struct kube_recorder *recorder;
	struct manager_config config;
	bool running; /* every cache is filled: controllers may act */
	/* private */
	struct watched *watched;
	size_t n_watched;
	struct controller *controllers;
	size_t n_controllers;
	struct custom **customs;
	size_t n_customs;
};

extern const struct controller_ops deployment_controller, replicaset_controller, endpointslice_controller,
	node_ipam_controller, node_lifecycle_controller, namespace_controller, gc_controller,
	service_account_controller, root_ca_controller, certificates_controller, custom_kinds_controller,
	quota_controller, load_balancer_controller;

int manager_new(struct loop *loop, struct kube *kube, const struct manager_config *config, struct manager **ret,
		struct err *err);
int manager_start(struct manager *m, struct err *err);
void manager_free(struct manager *m);
const char *manager_ready(void *manager); /* for metrics_handle */

struct informer *manager_informer(struct manager *m, const struct api_kind *kind);
/* custom_kinds.c: the i-th custom kind; its informer is NULL while it is not served. */
size_t manager_customs(const struct manager *m);
const struct api_kind *manager_custom(const struct manager *m, size_t i, struct informer **ret_informer);
/* NULL: no such kind is served. */
const struct api_kind *manager_custom_by_name(const struct manager *m, const char *group, const char *kind,
					      struct informer **ret_informer);
void manager_free_customs(struct manager *m);
static inline void enqueue(struct controller *c, const char *key)
{
	workqueue_add(c->queue, key);
}
void enqueue_after(struct controller *c, const char *key, int64_t ms);
/* Ends a reconcile; counts it. */
void done(struct controller *c, const char *key, int r);

/*
 * Several calls to the API made for one key: begin with 1, take one more for each call started, give back one for
 * each ended with its outcome; at the last the key is done, with the worst outcome.
 */
struct batch {
	struct controller *c;
	char *key;
	int pending, r;
};
struct batch *batch_new(struct controller *c,
			const char *key); /* NULL: out of memory, and the key is done with -ENOMEM */
void batch_take(struct batch *b);
void batch_give(struct batch *b, int r);
/* A kube_fn whose arg is the batch. NotFound and Conflict are outcomes of a stale cache: tried again, not logged. */
void batch_result(void *batch, const struct kube_result *r);
/* Starts a call: takes one, and gives it back if what kube_x() returned says that it did not start. */
#define BATCH_CALL(b, call)                                                                                            \
	do {                                                                                                           \
		batch_take(b);                                                                                         \
		int call_r_ = (call);                                                                                  \
		if (call_r_ < 0)                                                                                       \
			batch_give(b, call_r_);                                                                        \
	} while (0)

/* "ns/name" split at the slash; buffers of 256. */
void key_split(const char *key, char *ns, char *name);
/* The owner that controls it; NULL. */
const struct api_owner_ref *controller_of(const struct api_meta *m);
bool owned_by(const struct api_meta *m, const char *uid);
bool meta_deleting(const struct api_meta *m);
/* "ns/owner" of the controlling owner of this kind; false if there is none. buf of 600. */
bool owner_key(const struct api_meta *m, const char *kind, char *buf);

/* --- pods --------------------------------------------------------------------------------------------------------- */
bool pod_terminated(const struct api_pod *p); /* Succeeded or Failed */
bool pod_ready(const struct api_pod *p);
const struct api_pod_condition *pod_condition(const struct api_pod *p, const char *type);
/* Ready for at least min_ready_ms. *ret_in_ms (may be NULL): time until it will be, 0 if unknown. */
bool pod_available(const struct api_pod *p, int64_t min_ready_ms, int64_t now_ms, int64_t *ret_in_ms);

/* {"apiVersion","kind","name","uid","controller":true,"blockOwnerDeletion":true} */
json_t *owner_reference(const struct api_kind *kind, const struct api_object *owner);
json_t *delete_options(const char *uid, const char *propagation); /* precondition on uid; either may be NULL */

#endif
