/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strategic merge patch, Kubernetes' own: lists with a merge key are merged by element, other lists replaced;
 * directives in the patch: $patch: replace|delete|merge, $retainKeys, $deleteFromPrimitiveList/<field>,
 * $setElementOrder/<field>. (sig-api-machinery, strategic-merge-patch.md.)
 */
#include <errno.h>
#include <string.h>

#include "../base/str.h"
#include "api-internal.h"

#define DELETE_PREFIX "$deleteFromPrimitiveList/"
#define ORDER_PREFIX  "$setElementOrder/"

enum {
	MAX_COMPARISONS = 50000000
}; /* finding elements by key is quadratic; a second or so is the most a request may take */

struct merger {
	struct err *err;
	int r;
	size_t comparisons;
};

static json_t *merge_object(struct merger *m, const struct api_type *type, const json_t *target, const json_t *patch);

static void fail(struct merger *m, const char *field, const char *why)
{
	if (!m->r)
		m->r = err_set(m->err, EINVAL, "%s: %s", field, why);
}

/*
 * Elements named in order come in that order; others stay behind the element they followed, as far as that can be
 * said.
 */
static json_t *reorder(const json_t *list, const json_t *order, const char *key)
{
	json_t *out = json_array(), *item, *o;
	size_t i, k, next = 0, n = json_array_size(order);

	json_array_foreach (list, i, item) {
		bool named = false;

		json_array_foreach (order, k, o)
			if (key ? json_equal(json_object_get(item, key), json_object_get(o, key)) : json_equal(item, o))
				named = true;
		if (!named) {
			json_array_append(out, item);
			continue;
		}
		/* The next place of a named element is taken by the next one due that is there. */
		while (next < n) {
			json_t *due = json_array_get(order, next++), *have = NULL;

			if (key)
				have = api_list_find(list, key, json_object_get(due, key), NULL);
			else if (api_list_has(list, due))
				have = due;
			if (have) {
				json_array_append(out, have);
				break;
			}
		}
	}
	return out;
}

static json_t *merge_keyed(struct merger *m, const struct api_field *f, const json_t *target, const json_t *patch)
{
	json_t *out = json_array(), *item;
	size_t i, at;

	/* $patch: replace in any element: the list is what the patch's other elements say. */
	json_array_foreach (patch, i, item)
		if (json_is_object(item) && streq(json_string_value(json_object_get(item, "$patch")), "replace")) {
			json_t *other;
			size_t k;

			json_array_foreach (patch, k, other)
				if (!json_object_get(other, "$patch"))
					json_array_append_new(out, json_deep_copy(other));
			return out;
		}
	m->comparisons += (json_array_size(target) + json_array_size(patch)) * json_array_size(patch);
	if (m->comparisons > MAX_COMPARISONS) {
		fail(m, f->name, "too many elements to merge");
		return out;
	}
	json_array_foreach (target, i, item)
		json_array_append(out, item);
	json_array_foreach (patch, i, item) {
		const char *directive = json_string_value(json_object_get(item, "$patch"));
		json_t *key = json_object_get(item, f->merge_key), *old, *merged;

		if (!json_is_object(item) || !key) {
			char why[128];

			snprintf(why, sizeof(why), "each element needs its merge key '%s'", f->merge_key);
			fail(m, f->name, why);
			break;
		}
		old = api_list_find(out, f->merge_key, key, &at);
		if (streq(directive, "delete")) {
			if (old)
				json_array_remove(out, at);
			continue;
		}
		merged = merge_object(m, f->object, old, item);
		if (old)
			json_array_set_new(out, at, merged);
		else
			json_array_append_new(out, merged);
	}
	return out;
}

static json_t *merge_set(const json_t *target, const json_t *patch)
{
	json_t *out = json_is_array(target) ? json_copy((json_t *)target) : json_array(), *item;
	size_t i;

	json_array_foreach (patch, i, item)
		if (!api_list_has(out, item))
			json_array_append(out, item);
	return out;
}

static void delete_from(json_t *out, const char *field, const json_t *gone)
{
	json_t *list = json_object_get(out, field), *kept = json_array(), *item;
	size_t i;

	json_array_foreach (list, i, item)
		if (!api_list_has(gone, item))
			json_array_append(kept, item);
	if (list)
		json_object_set(out, field, kept);
	json_decref(kept);
}

static json_t *merge_object(struct merger *m, const struct api_type *type, const json_t *target, const json_t *patch)
{
	const char *directive = json_string_value(json_object_get(patch, "$patch")), *key;
	const json_t *retain = json_object_get(patch, "$retainKeys");
	json_t *out, *value;
	void *tmp;

	if (streq(directive, "delete"))
		return json_object();
	if (json_object_get(patch, "$patch") && !streq(directive, "replace") && !streq(directive, "merge"))
		fail(m, "$patch", "unknown directive: delete, merge and replace are known");
	out = json_is_object(target) && !streq(directive, "replace") ? json_copy((json_t *)target) : json_object();
	if (retain) {
		json_object_foreach_safe (out, tmp, key, value) {
			json_t *name = json_string(key);

			if (!api_list_has(retain, name))
				json_object_del(out, key);
			json_decref(name);
		}
	}
	/* Deletions first, so that a value both removed and added stays. */
	json_object_foreach ((json_t *)patch, key, value)
		if (str_starts(key, DELETE_PREFIX))
			delete_from(out, key + strlen(DELETE_PREFIX), value);
	json_object_foreach ((json_t *)patch, key, value) {
		const struct api_field *f = type ? api_type_field(type, key) : NULL;
		json_t *old = json_object_get(out, key);

		if (key[0] == '$')
			continue;
		if (json_is_null(value)) {
			json_object_del(out, key);
		} else if (json_is_object(value)) {
			json_object_set_new(out, key,
					    merge_object(m, f && f->type == API_OBJECT ? f->object : NULL, old, value));
		} else if (json_is_array(value) && f && f->shape == API_LIST && f->merge_key && f->object) {
			json_object_set_new(out, key, merge_keyed(m, f, old, value));
		} else if (json_is_array(value) && f && f->is_set) {
			json_object_set_new(out, key, merge_set(old, value));
		} else {
			json_object_set_new(out, key, json_deep_copy(value));
		}
	}
	json_object_foreach ((json_t *)patch, key, value) {
		const char *field = key + strlen(ORDER_PREFIX);
		const struct api_field *f;

		if (!str_starts(key, ORDER_PREFIX) || !json_is_array(json_object_get(out, field)))
			continue;
		f = type ? api_type_field(type, field) : NULL;
		json_object_set_new(out, field,
				    reorder(json_object_get(out, field), value, f && f->object ? f->merge_key : NULL));
	}
	return out;
}

int api_patch_strategic(const struct api_type *type, const json_t *target, const json_t *patch, json_t **ret,
			struct err *err)
{
	struct merger m = { .err = err };
	json_t *merged;

	if (!json_is_object(patch))
		return err_set(err, EINVAL, "a strategic merge patch must be a JSON object");
	merged = merge_object(&m, type, target, patch);
	if (m.r < 0) {
		json_decref(merged);
		return m.r;
	}
	*ret = json_deep_copy(merged);
	json_decref(merged);
	return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
}
