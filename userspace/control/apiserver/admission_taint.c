/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TaintNodesByCondition: a new node takes no pods until the node lifecycle controller has seen it ready and removes
 * the taint. Without it the scheduler might be faster than the controller.
 */
#include "admission-internal.h"

#include "../../lib/base/str.h"

#define NOT_READY "node.kubernetes.io/not-ready"

static enum admit admit(struct admission *a)
{
	json_t *list, *t;
	size_t i;

	if (!admission_is(a, "", "nodes"))
		return ADMIT_NEXT;
	list = api_get(a->obj, "spec.taints");
	json_array_foreach (list, i, t)
		if (streq(api_get_str(t, "key"), NOT_READY) && streq(api_get_str(t, "effect"), "NoSchedule"))
			return ADMIT_NEXT;
	if (!json_is_array(list)) {
		list = json_array();
		if (api_set(a->obj, "spec.taints", list) < 0)
			goto oom;
	}
	if (json_array_append_new(list, json_pack("{s:s,s:s}", "key", NOT_READY, "effect", "NoSchedule")) < 0)
		goto oom;
	a->changed = true;
	return ADMIT_NEXT;
oom:
	call_oom(a->c);
	return ADMIT_ANSWERED;
}

const struct admission_plugin admission_taint_nodes = {
	.name = "TaintNodesByCondition",
	.ops = ADMIT_CREATE,
	.mutate = admit,
};
