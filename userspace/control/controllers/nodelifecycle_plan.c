/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of a node and its pods when it is silent or unwell; see the header. */
#include "nodelifecycle_plan.h"

#include "base/clock.h"
#include "base/str.h"

#define UNREACHABLE "node.kubernetes.io/unreachable"
#define NOT_READY   "node.kubernetes.io/not-ready"

static const struct api_node_condition *ready_condition(const struct api_node *n)
{
	for (size_t i = 0; i < n->status.n_conditions; i++)
		if (streq(n->status.conditions[i].type, "Ready"))
			return &n->status.conditions[i];
	return NULL;
}

static bool has_taint(const struct api_node *n, const char *key, const char *effect)
{
	for (size_t i = 0; i < n->spec.n_taints; i++)
		if (streq(n->spec.taints[i].key, key) && streq(n->spec.taints[i].effect, effect))
			return true;
	return false;
}

/* Taints as they should be: ours according to want (NULL: none), all others kept. NULL: they are so already. */
static json_t *new_taints(const struct api_node *n, const char *want, int64_t now_ms)
{
	static const char *const keys[] = { UNREACHABLE, NOT_READY }, *const effects[] = { "NoSchedule", "NoExecute" };
	bool right = true;
	json_t *out;

	for (int k = 0; k < 2; k++)
		for (int e = 0; e < 2; e++)
			right &= has_taint(n, keys[k], effects[e]) == streq(keys[k], want);
	if (right)
		return NULL;
	out = json_array();
	for (size_t i = 0; i < n->spec.n_taints; i++)
		if (!streq(n->spec.taints[i].key, UNREACHABLE) && !streq(n->spec.taints[i].key, NOT_READY))
			json_array_append_new(out, api_encode(&api_type_taint, &n->spec.taints[i]));
	for (int e = 0; want && e < 2; e++) {
		char now[CLOCK_RFC3339_SIZE];

		clock_rfc3339(now_ms, now);
		json_array_append_new(out,
				      json_pack("{s:s,s:s,s:s}", "key", want, "effect", effects[e], "timeAdded", now));
	}
	return out;
}

void node_plan(const struct api_node *n, bool silent, int64_t now_ms, struct node_plan *ret)
{
	const struct api_node_condition *ready = ready_condition(n);
	const char *status = ready ? ready->status : NULL;

	*ret = (struct node_plan){ 0 };
	if (silent) {
		ret->taint = UNREACHABLE;
		ret->mark_unknown = !streq(status, "Unknown");
		ret->mark_pods = true;
	} else if (!streq(status, "True")) {
		ret->taint = streq(status, "Unknown") ? UNREACHABLE : NOT_READY;
	}
	ret->taints = new_taints(n, ret->taint, now_ms);
}

int64_t pod_tolerated_ms(const struct api_pod *p, const char *key, int64_t dflt_ms)
{
	int64_t best = -2;

	for (size_t i = 0; i < p->spec.n_tolerations; i++) {
		const struct api_toleration *t = &p->spec.tolerations[i];
		int64_t ms = t->toleration_seconds.v > 0 ? t->toleration_seconds.v * 1000 : 0;

		if ((t->effect && *t->effect && !streq(t->effect, "NoExecute")) ||
		    (t->key && *t->key ? !streq(t->key, key) : !streq(t->operator, "Exists")))
			continue;
		if (!streq(t->operator, "Exists") && t->value && *t->value)
			continue;
		if (!t->toleration_seconds.set)
			return -1;
		if (best < 0 || ms < best)
			best = ms;
	}
	return best == -2 ? dflt_ms : best;
}
