/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scheduler's core: a snapshot of nodes with what runs on them, and the decision for one pod. Pure: no server, no
 * clock, no I/O. Rules are plugins (sched/plugins/<name>.c). All feasible nodes are scored.
 *
 * Cost of one decision: O(nodes x plugins); topology counters are kept per pod decision in O(pods of the namespace)
 * for pods that ask for spreading only.
 */
#ifndef SKEP_SCHED_SCHED_H
#define SKEP_SCHED_SCHED_H

#include "api/api_types.h"
#include "base/strmap.h"

/* Resources in the scheduler's units: milli-cores, bytes, pods. */
struct resources {
	int64_t cpu_milli, memory, ephemeral;
	int64_t pods;
};
/*
 * What a pod asks for: the larger of the sum of its containers and each init container. nonzero: with 100m and 200 MB
 * in place of nothing, as scoring counts them.
 */
void pod_requests(const struct api_pod_spec *spec, struct resources *ret, struct resources *ret_nonzero);

struct sched_pod {
	char *key;	       /* "ns/name" */
	char *ns, *owner_uid;  /* controlling owner; NULL */
	struct api_map labels; /* owned */
	struct resources req, nonzero;
	struct sched_node *node;
};
struct sched_node {
	char *name;
	const struct api_node *obj; /* owned by the caller while in the snapshot; NULL: known by its pods only */
	struct resources allocatable, used, used_nonzero;
	struct sched_pod **pods;
	size_t n_pods, cap_pods;
};
struct snapshot {
	struct strmap *nodes; /* name -> struct sched_node */
	struct strmap *pods;  /* key -> struct sched_pod: bound or assumed */
};
int snapshot_init(struct snapshot *s);
void snapshot_done(struct snapshot *s);
/* obj stays valid until the node is set again or removed. */
int snapshot_set_node(struct snapshot *s, const struct api_node *obj);
void snapshot_remove_node(struct snapshot *s, const char *name);
/* Puts the pod on the node (also one that is not known yet); moves it if it was elsewhere. */
int snapshot_add_pod(struct snapshot *s, const struct api_pod *pod, const char *node);
void snapshot_remove_pod(struct snapshot *s, const char *key);

/* --- plugins ------------------------------------------------------------------------------------------------------ */

struct cycle { /* one pod's decision */
	const struct snapshot *snap;
	const struct api_pod *pod;
	struct resources req, nonzero;
	struct arena *arena; /* for what prefilter keeps */
	void *state[16];     /* per plugin */
};
enum { SCHED_REASON_SIZE = 160 };
struct sched_plugin {
	const char *name;
	/* Before the nodes: anything shared. May be NULL. */
	void (*prefilter)(struct cycle *c, void **state);
	/* May the pod run there? If not, reason (SCHED_REASON_SIZE) says why in Kubernetes' words. May be NULL. */
	bool (*filter)(const struct cycle *c, void *state, const struct sched_node *n, char *reason);
	/* 0..100 after normalisation; NULL: no say. */
	int64_t (*score)(const struct cycle *c, void *state, const struct sched_node *n);
	/* Scores of all feasible nodes to 0..100; NULL: they are so already. */
	void (*normalize)(int64_t *scores, size_t n);
	int weight;
};
extern const struct sched_plugin plugin_node_name, plugin_node_unschedulable, plugin_node_selector, plugin_taints,
	plugin_resources_fit, plugin_balanced, plugin_spread;
void normalize_reverse(int64_t *scores, size_t n); /* most = 0, least = 100 */

struct decision {
	const struct sched_node *node; /* NULL: nowhere */
	size_t n_nodes, n_feasible;
	char message[1024]; /* nowhere: "0/3 nodes are available: 3 Insufficient cpu." */
};
/* Ties are broken by tie (any number), so that equal nodes share the load. */
void sched_decide(const struct snapshot *s, const struct api_pod *pod, uint64_t tie, struct decision *ret);

#endif
