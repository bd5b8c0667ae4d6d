/* SPDX-License-Identifier: Apache-2.0 */
/* JSON merge patch, RFC 7386. */
#include <errno.h>

#include "api.h"

static json_t *merge(const json_t *target, const json_t *patch)
{
	json_t *out, *value;
	const char *key;

	if (!json_is_object(patch))
		return json_deep_copy(patch);
	out = json_is_object(target) ? json_copy((json_t *)target) : json_object();
	json_object_foreach ((json_t *)patch, key, value) {
		if (json_is_null(value)) {
			json_object_del(out, key);
			continue;
		}
		json_object_set_new(out, key, merge(json_object_get(out, key), value));
	}
	return out;
}

int api_patch_merge(const json_t *target, const json_t *patch, json_t **ret, struct err *err)
{
	json_t *merged;

	if (!json_is_object(patch))
		return err_set(err, EINVAL, "a merge patch must be a JSON object");
	merged = merge(target, patch);
	/* merge() shares what the patch left alone; callers may change the result. */
	*ret = json_deep_copy(merged);
	json_decref(merged);
	return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
}
