/* SPDX-License-Identifier: Apache-2.0 */
/* DefaultTolerationSeconds: a node that is gone for five minutes loses its pods, unless they say otherwise. */
#include "admission-internal.h"

#include "../../lib/base/str.h"

#define TOLERATION_S 300

static bool tolerates(const json_t *tolerations, const char *key)
{
	json_t *t;
	size_t i;

	json_array_foreach (tolerations, i, t) {
		const char *k = api_get_str(t, "key"), *effect = api_get_str(t, "effect");

		if ((!k || !*k || streq(k, key)) && (!effect || !*effect || streq(effect, "NoExecute")))
			return true;
	}
	return false;
}

static enum admit admit(struct admission *a)
{
	static const char *const keys[] = { "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable" };
	json_t *list;

	if (!admission_is_pod(a) || !json_is_object(json_object_get(a->obj, "spec")))
		return ADMIT_NEXT;
	for (size_t i = 0; i < 2; i++) {
		list = api_get(a->obj, "spec.tolerations");
		if (tolerates(list, keys[i]))
			continue;
		if (!list && api_set(a->obj, "spec.tolerations", json_array()) == 0)
			list = api_get(a->obj, "spec.tolerations");
		if (json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:i}", "key", keys[i], "operator", "Exists",
							  "effect", "NoExecute", "tolerationSeconds", TOLERATION_S)) <
		    0) {
			call_oom(a->c);
			return ADMIT_ANSWERED;
		}
		a->changed = true;
	}
	return ADMIT_NEXT;
}

const struct admission_plugin admission_default_tolerations = {
	.name = "DefaultTolerationSeconds",
	.ops = ADMIT_CREATE | ADMIT_UPDATE,
	.mutate = admit,
};
