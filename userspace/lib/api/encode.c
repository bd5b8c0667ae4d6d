/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The typed structs to JSON, by the tables: absent and empty fields are left out, except those the schema marks
 * "always".
 */
#include "api-internal.h"

#include <string.h>

#include "../base/str.h"

/* One value; *ret is NULL if it is empty. Returns false when out of memory. */
static bool encode_value(const struct api_field *f, const void *src, bool in_list, json_t **ret)
{
	bool always = in_list || (f->flags & API_ALWAYS);
	bool optional = !in_list && (f->flags & API_OPTIONAL);
	const char *s;

	*ret = NULL;
	switch ((enum api_field_type)f->type) {
	case API_STRING:
	case API_QUANTITY:
	case API_BYTES:
		s = *(const char *const *)src;
		if (!always && (!s || !*s))
			return true;
		*ret = json_string(s ? s : "");
		return *ret;
	case API_TIME:
	case API_MICRO_TIME:
		s = *(const char *const *)src;
		if (!s || !*s)
			return true;
		*ret = json_string(s);
		return *ret;
	case API_BOOL: {
		bool b = optional ? ((const struct api_opt_bool *)src)->v : *(const bool *)src;

		if (optional ? ((const struct api_opt_bool *)src)->set : b || always)
			*ret = json_boolean(b);
		return true;
	}
	case API_INT32:
	case API_INT64: {
		int64_t i = optional ? ((const struct api_opt_int *)src)->v : *(const int64_t *)src;

		if (!(optional ? ((const struct api_opt_int *)src)->set : i || always || (f->flags & API_REQUIRED)))
			return true;
		*ret = json_integer(i);
		return *ret;
	}
	case API_DOUBLE:
		if (!always && *(const double *)src == 0)
			return true;
		*ret = json_real(*(const double *)src);
		return *ret;
	case API_INT_OR_STRING: {
		const struct api_int_or_str *ios = src;

		if (!ios->set)
			return true;
		*ret = ios->is_str ? json_string(ios->s) : json_integer(ios->i);
		return *ret;
	}
	case API_OBJECT:
		if (!in_list && !(f->flags & API_EMBEDDED)) {
			src = *(void *const *)src;
			if (!src)
				return true;
			always = true;
		}
		*ret = api_encode(f->object, src);
		if (!*ret)
			return false;
		if (!always && !json_object_size(*ret)) {
			json_decref(*ret);
			*ret = NULL;
		}
		return true;
	case API_NESTED:
		return true;
	case API_RAW:
		if (*(json_t *const *)src)
			*ret = json_incref(*(json_t *const *)src);
		return true;
	}
	return true;
}

static bool encode_list(const struct api_field *f, const void *src, size_t n, json_t **ret)
{
	size_t size = api_element_size(f);
	const char *items = *(void *const *)src;

	*ret = NULL;
	if (!n && !(f->flags & API_ALWAYS))
		return true;
	*ret = json_array();
	for (size_t i = 0; *ret && i < n; i++) {
		json_t *item;

		if (!encode_value(f, items + i * size, true, &item) || !item || json_array_append_new(*ret, item) < 0)
			return false;
	}
	return *ret;
}

static bool encode_map(const struct api_field *f, const struct api_map *m, json_t **ret)
{
	*ret = NULL;
	if (!m->n && !(f->flags & API_ALWAYS))
		return true;
	*ret = json_object();
	for (size_t i = 0; *ret && i < m->n; i++)
		if (json_object_set_new(*ret, m->v[i].key, json_string(m->v[i].value ? m->v[i].value : "")) < 0)
			return false;
	return *ret;
}

json_t *api_encode(const struct api_type *type, const void *value)
{
	json_t *obj = json_object();

	for (size_t i = 0; obj && i < type->n_fields; i++) {
		const struct api_field *f = &type->fields[i];
		const char *src = (const char *)value + f->offset;
		json_t *v = NULL;
		bool ok;

		if (f->offset == API_NO_OFFSET)
			continue;
		if (f->shape == API_LIST)
			ok = encode_list(f, src, *(const size_t *)((const char *)value + f->n_offset), &v);
		else if (f->shape == API_MAP)
			ok = encode_map(f, (const struct api_map *)src, &v);
		else
			ok = encode_value(f, src, false, &v);
		if (!ok || (v && json_object_set_new(obj, f->name, v) < 0)) {
			if (!ok)
				json_decref(v);
			json_decref(obj);
			return NULL;
		}
	}
	return obj;
}
