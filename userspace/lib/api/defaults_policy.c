/* SPDX-License-Identifier: Apache-2.0 */
/* Defaults of the kinds that admission goes by. */
#include "defaults.h"

#include "../base/str.h"

/* What is missing in to comes from `from`. */
static void fill(json_t *item, const char *to, const char *from)
{
	json_t *src = json_object_get(item, from), *dst = json_object_get(item, to), *v;
	const char *key;

	if (!json_object_size(src))
		return;
	if (!json_is_object(dst)) {
		json_object_set_new(item, to, json_object());
		dst = json_object_get(item, to);
	}
	json_object_foreach (src, key, v)
		if (!json_object_get(dst, key))
			json_object_set(dst, key, v);
}

void api_default_limit_range(json_t *obj)
{
	json_t *item;
	size_t i;

	json_array_foreach (api_get(obj, "spec.limits"), i, item) {
		if (!streq(api_get_str(item, "type"), "Container"))
			continue;
		fill(item, "default", "max");
		fill(item, "defaultRequest", "default");
		fill(item, "defaultRequest", "min");
	}
}
