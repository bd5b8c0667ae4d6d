/* SPDX-License-Identifier: Apache-2.0 */
/* See quota_plan.h. */
#include "quota_plan.h"

#include <stdio.h>

#include "api/usage.h"
#include "base/str.h"

/* Whether objects of this resource were looked at, so that none found means zero. */
static bool counted(const char *bound, const struct api_kind *const *kinds)
{
	if (!str_starts(bound, "count/"))
		return true;
	for (; *kinds; kinds++) {
		char name[320];

		snprintf(name, sizeof(name), "count/%.120s%s%.150s", (*kinds)->plural, (*kinds)->group[0] ? "." : "",
			 (*kinds)->group);
		if (streq(name, bound))
			return true;
	}
	return false;
}

json_t *quota_plan(const json_t *quota, const struct quota_object *objects, size_t n,
		   const struct api_kind *const *kinds)
{
	json_t *hard = api_get(quota, "spec.hard"), *total = json_object(), *used = json_object(), *v;
	const char *key;

	for (size_t i = 0; total && used && i < n; i++) {
		json_t *one;
		int r;

		if (!api_quota_covers(quota, objects[i].kind, objects[i].obj))
			continue;
		one = api_usage(objects[i].kind, objects[i].obj);
		r = one ? api_amounts_add(total, one, 1) : -1;
		json_decref(one);
		if (r < 0)
			goto oom;
	}
	if (!total || !used)
		goto oom;
	json_object_foreach (hard, key, v) {
		json_t *sum = json_object_get(total, key);

		if (sum)
			json_object_set(used, key, sum);
		else if (counted(key, kinds))
			json_object_set_new(used, key, json_string("0"));
	}
	json_decref(total);
	return json_pack("{s:o,s:o}", "hard", hard ? json_deep_copy(hard) : json_object(), "used", used);
oom:
	json_decref(total);
	json_decref(used);
	return NULL;
}
