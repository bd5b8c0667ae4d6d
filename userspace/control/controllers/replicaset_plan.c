/* SPDX-License-Identifier: Apache-2.0 */
/* ReplicaSet decisions: see replicaset_plan.h. */
#include "replicaset_plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"

struct ranked {
	const struct api_pod *pod;
	size_t same_node; /* active pods of the set on its node */
	int64_t cost;	  /* controller.kubernetes.io/pod-deletion-cost */
	int64_t ready_ms, created_ms;
	int64_t restarts;
};

static int phase_rank(const struct api_pod *p)
{
	return streq(p->status.phase, "Running") ? 2 : streq(p->status.phase, "Pending") ? 0 : 1;
}

/*
 * Kubernetes' order of deletion, first to go first: unassigned, pending, not ready, lower deletion cost, on a node
 * with more of its kind, ready for a shorter time, more restarts, younger.
 */
static int compare(const void *va, const void *vb)
{
	const struct ranked *a = va, *b = vb;
	bool an = a->pod->spec.node_name, bn = b->pod->spec.node_name, ar, br;
	int ap = phase_rank(a->pod), bp = phase_rank(b->pod);

	if (an != bn)
		return an - bn;
	if (ap != bp)
		return ap - bp;
	ar = pod_ready(a->pod);
	br = pod_ready(b->pod);
	if (ar != br)
		return ar - br;
	if (a->cost != b->cost)
		return a->cost < b->cost ? -1 : 1;
	if (a->same_node != b->same_node)
		return a->same_node > b->same_node ? -1 : 1;
	if (ar && a->ready_ms != b->ready_ms)
		return a->ready_ms > b->ready_ms ? -1 : 1;
	if (a->restarts != b->restarts)
		return a->restarts > b->restarts ? -1 : 1;
	if (a->created_ms != b->created_ms)
		return a->created_ms > b->created_ms ? -1 : 1;
	return strcmp(a->pod->metadata.name, b->pod->metadata.name);
}

static int64_t time_of(const char *s)
{
	int64_t ms;

	return s && !clock_rfc3339_parse(s, &ms) ? ms : 0;
}

static void rank(struct ranked *r, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct api_pod *p = r[i].pod;
		const struct api_pod_condition *c = pod_condition(p, "Ready");
		const char *cost = api_map_get(&p->metadata.annotations, "controller.kubernetes.io/pod-deletion-cost");

		if (cost)
			(void)str_to_i64(cost, INT32_MIN, INT32_MAX, &r[i].cost);
		r[i].created_ms = time_of(p->metadata.creation_timestamp);
		r[i].ready_ms = c ? time_of(c->last_transition_time) : 0;
		for (size_t k = 0; k < p->status.n_container_statuses; k++)
			r[i].restarts += p->status.container_statuses[k].restart_count;
		for (size_t k = 0; k < n; k++)
			r[i].same_node += p->spec.node_name && streq(r[k].pod->spec.node_name, p->spec.node_name);
	}
	qsort(r, n, sizeof(*r), compare);
}

static bool has_all(const struct api_map *labels, const struct api_map *want)
{
	for (size_t i = 0; i < want->n; i++)
		if (!streq(api_map_get(labels, want->v[i].key), want->v[i].value))
			return false;
	return true;
}

void rs_plan_done(struct rs_plan *p)
{
	free(p->adopt);
	free(p->release);
	free(p->delete);
	*p = (struct rs_plan){ 0 };
}

int rs_plan(const struct api_replica_set *rs, const struct api_pod *const *pods, size_t n, int64_t now_ms,
	    struct rs_plan *ret)
{
	struct rs_plan p = { .adopt = calloc(n + 1, sizeof(void *)),
			     .release = calloc(n + 1, sizeof(void *)),
			     .delete = calloc(n + 1, sizeof(void *)) };
	struct ranked *active = calloc(n + 1, sizeof(*active));
	int64_t want = rs->spec.replicas.set ? rs->spec.replicas.v : 1;
	size_t n_active = 0;

	if (!p.adopt || !p.release || !p.delete || !active) {
		free(active);
		rs_plan_done(&p);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		const struct api_pod *pod = pods[i];
		bool match = api_label_selector_matches(rs->spec.selector, &pod->metadata.labels);
		const struct api_owner_ref *owner = controller_of(&pod->metadata);
		int64_t in_ms;

		if (owner && !streq(owner->uid, rs->metadata.uid))
			continue;
		if (owner && !match) {
			if (!meta_deleting(&rs->metadata) && !meta_deleting(&pod->metadata))
				p.release[p.n_release++] = pod;
			continue;
		}
		if (!owner &&
		    (!match || meta_deleting(&rs->metadata) || meta_deleting(&pod->metadata) || pod_terminated(pod)))
			continue;
		if (!owner)
			p.adopt[p.n_adopt++] = pod;
		if (meta_deleting(&pod->metadata) || pod_terminated(pod))
			continue;
		active[n_active++].pod = pod;
		p.labeled += has_all(&pod->metadata.labels, &rs->spec.template.metadata.labels);
		p.ready += pod_ready(pod);
		if (pod_available(pod, rs->spec.min_ready_seconds * 1000, now_ms, &in_ms))
			p.available++;
		else if (in_ms && (!p.wake_ms || in_ms < p.wake_ms))
			p.wake_ms = in_ms;
	}
	p.replicas = (int64_t)n_active;
	if (!meta_deleting(&rs->metadata)) {
		if (want > p.replicas) {
			p.create = want - p.replicas;
		} else if (want < p.replicas) {
			rank(active, n_active);
			for (size_t i = 0; i < n_active - (size_t)want; i++)
				p.delete[p.n_delete++] = active[i].pod;
		}
	}
	free(active);
	*ret = p;
	return 0;
}
