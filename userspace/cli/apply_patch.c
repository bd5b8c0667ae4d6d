/* SPDX-License-Identifier: Apache-2.0 */
/* Three-way patch: see apply_patch.h. */
#include "apply_patch.h"

#include <string.h>

static const struct api_field *field_of(const struct api_type *type, const char *name)
{
	for (size_t i = 0; type && i < type->n_fields; i++)
		if (!strcmp(type->fields[i].name, name))
			return &type->fields[i];
	return NULL;
}

static json_t *patch_list(const struct api_field *f, const json_t *last, const json_t *now)
{
	json_t *out = json_array(), *item, *gone;
	size_t i;

	json_array_foreach (now, i, item) {
		json_t *before = api_list_find(last, f->merge_key, json_object_get(item, f->merge_key), NULL);

		json_array_append_new(out, apply_patch(f->object, before, item));
	}
	json_array_foreach (last, i, item) {
		json_t *key = json_object_get(item, f->merge_key);

		if (!key || api_list_find(now, f->merge_key, key, NULL))
			continue;
		gone = json_object();
		json_object_set_new(gone, "$patch", json_string("delete"));
		json_object_set(gone, f->merge_key, key);
		json_array_append_new(out, gone);
	}
	return out;
}

json_t *apply_patch(const struct api_type *type, const json_t *last, const json_t *manifest)
{
	json_t *patch = json_object(), *value, *before;
	const char *key;

	if (!json_is_object(manifest)) {
		json_decref(patch);
		return json_deep_copy(manifest);
	}
	json_object_foreach ((json_t *)manifest, key, value) {
		const struct api_field *f = field_of(type, key);

		before = json_object_get(last, key);
		if (json_is_array(value) && f && f->shape == API_LIST && f->merge_key && f->object) {
			json_object_set_new(patch, key, patch_list(f, before, value));
		} else if (json_is_array(value) && f && f->is_set && before) {
			json_t *drop = json_array(), *item;
			char directive[256];
			size_t i;

			json_array_foreach (before, i, item)
				if (!api_list_has(value, item))
					json_array_append(drop, item);
			snprintf(directive, sizeof(directive), "$deleteFromPrimitiveList/%s", key);
			if (json_array_size(drop))
				json_object_set(patch, directive, drop);
			json_decref(drop);
			json_object_set_new(patch, key, json_deep_copy(value));
		} else if (json_is_object(value) && !(f && f->type == API_RAW)) {
			json_object_set_new(
				patch, key,
				apply_patch(f ? f->object : NULL, json_is_object(before) ? before : NULL, value));
		} else {
			json_object_set_new(patch, key, json_deep_copy(value));
		}
	}
	json_object_foreach ((json_t *)last, key, value)
		if (!json_object_get(manifest, key))
			json_object_set_new(patch, key, json_null());
	return patch;
}
