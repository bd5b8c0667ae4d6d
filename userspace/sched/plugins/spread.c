/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PodTopologySpread: the pod's constraints (DoNotSchedule filters, ScheduleAnyway scores), and for pods of a
 * controller without constraints a soft spread over nodes, so that replicas do not share a node while another is as
 * good.
 */
#include <stdio.h>
#include <string.h>

#include "../sched.h"
#include "base/arena.h"
#include "base/str.h"

struct domain {
	const char *value;
	int64_t matching;
};
struct constraint {
	const char *key;
	int64_t max_skew;
	bool hard;
	bool self; /* the pod itself matches the selector */
	size_t n;
	struct domain *domains;
	int64_t min; /* of all domains */
};
struct spread {
	size_t n;
	struct constraint *c;
};

static bool matches(const struct cycle *c, const struct api_topology_spread_constraint *t, const struct sched_pod *p)
{
	if (!streq(p->ns, c->pod->metadata.namespace_))
		return false;
	return api_label_selector_matches(t->label_selector, &p->labels);
}

static const char *owner(const struct api_meta *m)
{
	for (size_t i = 0; i < m->n_owner_references; i++)
		if (m->owner_references[i].controller.v)
			return m->owner_references[i].uid;
	return NULL;
}

static struct domain *domain_of(struct cycle *c, struct constraint *k, const char *value)
{
	for (size_t i = 0; i < k->n; i++)
		if (streq(k->domains[i].value, value))
			return &k->domains[i];
	if (!(k->n & (k->n + 1)) && k->n >= 15) {
		struct domain *more = arena_calloc(c->arena, (k->n + 1) * 2, sizeof(*more));

		if (!more)
			return NULL;
		memcpy(more, k->domains, k->n * sizeof(*more));
		k->domains = more;
	}
	k->domains[k->n].value = value;
	return &k->domains[k->n++];
}

/* Nodes that the pod could never use do not count as empty domains (nodeAffinityPolicy Honor, the default). */
static bool eligible(const struct cycle *c, const struct sched_node *n)
{
	const struct api_map *want = &c->pod->spec.node_selector;

	for (size_t i = 0; i < want->n; i++)
		if (!streq(api_map_get(&n->obj->metadata.labels, want->v[i].key), want->v[i].value))
			return false;
	return true;
}

static void count(struct cycle *c, struct constraint *k, const struct api_topology_spread_constraint *t,
		  const char *owner_uid)
{
	k->domains = arena_calloc(c->arena, 16, sizeof(*k->domains));
	if (!k->domains)
		return;
	for (struct strmap_iter it = { 0 }; strmap_next(c->snap->nodes, &it);) {
		const struct sched_node *n = it.value;
		const char *value = n->obj ? api_map_get(&n->obj->metadata.labels, k->key) : NULL;
		struct domain *d;

		if (!value || !eligible(c, n) || !(d = domain_of(c, k, value)))
			continue;
		for (size_t i = 0; i < n->n_pods; i++)
			d->matching += t ? matches(c, t, n->pods[i])
					 : streq(n->pods[i]->owner_uid, owner_uid) &&
						       streq(n->pods[i]->ns, c->pod->metadata.namespace_);
	}
	k->min = k->n ? INT64_MAX : 0;
	for (size_t i = 0; i < k->n; i++)
		if (k->domains[i].matching < k->min)
			k->min = k->domains[i].matching;
}

static void prefilter(struct cycle *c, void **state)
{
	const struct api_pod_spec *spec = &c->pod->spec;
	const char *uid = owner(&c->pod->metadata);
	struct spread *s = arena_alloc(c->arena, sizeof(*s));

	*state = NULL;
	if (!s || (!spec->n_topology_spread_constraints && !uid))
		return;
	s->c = arena_calloc(c->arena, spec->n_topology_spread_constraints + 1, sizeof(*s->c));
	if (!s->c)
		return;
	for (size_t i = 0; i < spec->n_topology_spread_constraints; i++) {
		const struct api_topology_spread_constraint *t = &spec->topology_spread_constraints[i];
		struct constraint *k = &s->c[s->n++];

		*k = (struct constraint){ .key = t->topology_key,
					  .max_skew = t->max_skew,
					  .hard = !streq(t->when_unsatisfiable, "ScheduleAnyway"),
					  .self = api_label_selector_matches(t->label_selector,
									     &c->pod->metadata.labels) };
		count(c, k, t, NULL);
	}
	if (!s->n) {
		s->c[0] = (struct constraint){ .key = "kubernetes.io/hostname", .max_skew = 1, .self = true };
		s->n = 1;
		count(c, &s->c[0], NULL, uid);
	}
	*state = s;
}

static const struct domain *lookup(const struct constraint *k, const struct sched_node *n)
{
	const char *value = api_map_get(&n->obj->metadata.labels, k->key);

	for (size_t i = 0; value && i < k->n; i++)
		if (streq(k->domains[i].value, value))
			return &k->domains[i];
	return NULL;
}

static bool filter(const struct cycle *c, void *state, const struct sched_node *n, char *reason)
{
	const struct spread *s = state;

	(void)c;
	for (size_t i = 0; s && i < s->n; i++) {
		const struct domain *d;

		if (!s->c[i].hard)
			continue;
		d = lookup(&s->c[i], n);
		if (!d) {
			snprintf(reason, SCHED_REASON_SIZE,
				 "node(s) didn't match pod topology spread constraints (missing required label)");
			return false;
		}
		if (d->matching + s->c[i].self - s->c[i].min > s->c[i].max_skew) {
			snprintf(reason, SCHED_REASON_SIZE, "node(s) didn't match pod topology spread constraints");
			return false;
		}
	}
	return true;
}

/* Matching pods in the node's domains: fewer is better. */
static int64_t score(const struct cycle *c, void *state, const struct sched_node *n)
{
	const struct spread *s = state;
	int64_t total = 0;

	(void)c;
	for (size_t i = 0; s && i < s->n; i++) {
		const struct domain *d = lookup(&s->c[i], n);

		total += d ? d->matching : s->c[i].min + s->c[i].max_skew;
	}
	return total;
}

const struct sched_plugin plugin_spread = {
	.name = "PodTopologySpread",
	.prefilter = prefilter,
	.filter = filter,
	.score = score,
	.normalize = normalize_reverse,
	.weight = 2,
};
