/* SPDX-License-Identifier: Apache-2.0 */
/* Plugins about the node itself: NodeName, NodeUnschedulable, NodeSelector, TaintToleration. */
#include <stdio.h>

#include "../sched.h"
#include "base/str.h"

static bool name_filter(const struct cycle *c, void *state, const struct sched_node *n, char *reason)
{
	(void)state;
	if (!c->pod->spec.node_name || !*c->pod->spec.node_name || streq(c->pod->spec.node_name, n->name))
		return true;
	snprintf(reason, SCHED_REASON_SIZE, "node(s) didn't match the requested node name");
	return false;
}

const struct sched_plugin plugin_node_name = { .name = "NodeName", .filter = name_filter };

static bool tolerates(const struct api_toleration *t, const char *key, const char *value, const char *effect)
{
	if (t->effect && *t->effect && !streq(t->effect, effect))
		return false;
	if (t->key && *t->key ? !streq(t->key, key) : !streq(t->operator, "Exists"))
		return false;
	return streq(t->operator, "Exists") || streq(t->value ? t->value : "", value ? value : "");
}

static bool tolerated(const struct api_pod_spec *spec, const char *key, const char *value, const char *effect)
{
	for (size_t i = 0; i < spec->n_tolerations; i++)
		if (tolerates(&spec->tolerations[i], key, value, effect))
			return true;
	return false;
}

static bool unschedulable_filter(const struct cycle *c, void *state, const struct sched_node *n, char *reason)
{
	(void)state;
	if (!n->obj->spec.unschedulable ||
	    tolerated(&c->pod->spec, "node.kubernetes.io/unschedulable", "", "NoSchedule"))
		return true;
	snprintf(reason, SCHED_REASON_SIZE, "node(s) were unschedulable");
	return false;
}

const struct sched_plugin plugin_node_unschedulable = { .name = "NodeUnschedulable", .filter = unschedulable_filter };

static bool selector_filter(const struct cycle *c, void *state, const struct sched_node *n, char *reason)
{
	const struct api_map *want = &c->pod->spec.node_selector;

	(void)state;
	for (size_t i = 0; i < want->n; i++)
		if (!streq(api_map_get(&n->obj->metadata.labels, want->v[i].key), want->v[i].value)) {
			snprintf(reason, SCHED_REASON_SIZE, "node(s) didn't match Pod's node affinity/selector");
			return false;
		}
	return true;
}

const struct sched_plugin plugin_node_selector = { .name = "NodeSelector", .filter = selector_filter };

static bool taint_filter(const struct cycle *c, void *state, const struct sched_node *n, char *reason)
{
	(void)state;
	for (size_t i = 0; i < n->obj->spec.n_taints; i++) {
		const struct api_taint *t = &n->obj->spec.taints[i];

		if (streq(t->effect, "PreferNoSchedule") || tolerated(&c->pod->spec, t->key, t->value, t->effect))
			continue;
		snprintf(reason, SCHED_REASON_SIZE, "node(s) had untolerated taint {%.60s: %.60s}",
			 t->key ? t->key : "", t->value ? t->value : "");
		return false;
	}
	return true;
}

static int64_t taint_score(const struct cycle *c, void *state, const struct sched_node *n)
{
	int64_t bad = 0;

	(void)state;
	for (size_t i = 0; i < n->obj->spec.n_taints; i++) {
		const struct api_taint *t = &n->obj->spec.taints[i];

		bad += streq(t->effect, "PreferNoSchedule") && !tolerated(&c->pod->spec, t->key, t->value, t->effect);
	}
	return bad;
}

const struct sched_plugin plugin_taints = {
	.name = "TaintToleration",
	.filter = taint_filter,
	.score = taint_score,
	.normalize = normalize_reverse,
	.weight = 3,
};
