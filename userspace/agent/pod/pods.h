/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pods of this node: an informer on those the API assigns to it, a worker for each that makes the runtime agree,
 * their probes, volumes and status. Pods live in the runtime: a restarted agent finds them by their labels and goes
 * on.
 */
#ifndef SKEP_AGENT_PODS_H
#define SKEP_AGENT_PODS_H

#include "../../lib/client/informer.h"
#include "../cri/cri.h"

struct pods;
struct cgroups;

struct pods_config {
	const char *node_name;
	const char *state_dir;	 /* <state>/pods/<uid>/: volumes, hosts file; <state>/pods/logs/: logs */
	const char *node_ips[2]; /* NULL: fewer */
	const struct cgroups *cgroups;
	int64_t cpu_milli, memory_bytes; /* allocatable */
	int max_pods;
	/* Sandboxes the runtime has, after each full listing: for network_prune(). May be NULL. */
	void (*on_listed)(void *arg, const char *const *sandbox_ids, size_t n);
	void (*on_runtime)(void *arg, bool up, const char *name, const char *version_or_why);
	void *arg;
};
/* All strings are borrowed for the life of the pods. */
int pods_new(struct loop *loop, struct kube *kube, struct cri *cri, struct kube_recorder *rec,
	     const struct pods_config *config, struct pods **ret, struct err *err);
/* Nothing is made before this: the node's network is ready. Ending what was deleted meanwhile goes on without it. */
void pods_set_network_ready(struct pods *m, bool ready);
void pods_free(struct pods *m); /* containers go on */
size_t pods_len(const struct pods *m);

/* For the server. NULL: unknown. */
struct pod;
struct pod *pods_find(const struct pods *m, const char *ns, const char *name);
struct pod_next {
	struct strmap_iter at; /* private */
	struct pod *pod;
};
bool pods_next(const struct pods *m, struct pod_next *it);
const struct api_object *pod_object(const struct pod *p); /* struct api_pod *, NULL for one the API has forgotten */
json_t *pod_json(const struct pod *p);			  /* with the status as of now; new reference */
/* Log file of a container's present or previous attempt. -ENOENT: no such container; -ENODATA: it has not run (yet). */
int pod_log_path(const struct pod *p, const char *container, bool previous, char **ret_path);
/* Id of the running container. -ENOENT, -ENODATA. container NULL: the first. */
int pod_container_id(const struct pod *p, const char *container, const char **ret_id, bool *ret_tty);
bool pod_container_running(const struct pod *p, const char *container);
const char *pod_sandbox_id(const struct pod *p); /* NULL: none */

#endif
