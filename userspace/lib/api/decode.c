/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON to the typed structs, by the tables. Strings are copied into the arena; raw values are borrowed from the tree.
 */
#include "api-internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/str.h"

struct decoder {
	struct arena *arena;
	struct err *err;
};

static int wrong_type(struct decoder *d, const struct api_path *path, const char *want)
{
	char field[API_PATH_MAX];

	return err_set(d->err, EINVAL, "%s: not %s", api_path_str(path, field, sizeof(field)), want);
}

static int no_memory(struct decoder *d)
{
	return err_set(d->err, ENOMEM, "out of memory");
}

static int decode_object(struct decoder *d, const struct api_type *type, const json_t *obj, void *dst,
			 const struct api_path *path);

static int decode_string(struct decoder *d, const struct api_field *f, const json_t *v, const char **dst,
			 const struct api_path *path)
{
	if (json_is_string(v))
		*dst = arena_strndup(d->arena, json_string_value(v), json_string_length(v));
	else if (f->type == API_QUANTITY && json_is_integer(v))
		*dst = arena_printf(d->arena, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
	else if (f->type == API_QUANTITY && json_is_real(v))
		*dst = arena_printf(d->arena, "%.9g", json_real_value(v));
	else
		return wrong_type(d, path, "a string");
	return *dst ? 0 : no_memory(d);
}

static int decode_int(struct decoder *d, const struct api_field *f, const json_t *v, int64_t *dst,
		      const struct api_path *path)
{
	if (!json_is_integer(v))
		return wrong_type(d, path, "an integer");
	if (f->type == API_INT32 && (json_integer_value(v) < INT32_MIN || json_integer_value(v) > INT32_MAX))
		return wrong_type(d, path, "a 32-bit integer");
	*dst = json_integer_value(v);
	return 0;
}

/* One value of f's type, at dst. in_list: an element, so never optional and objects by value. */
static int decode_value(struct decoder *d, const struct api_field *f, const json_t *v, void *dst, bool in_list,
			const struct api_path *path)
{
	bool optional = !in_list && (f->flags & API_OPTIONAL);

	switch ((enum api_field_type)f->type) {
	case API_STRING:
	case API_QUANTITY:
	case API_TIME:
	case API_MICRO_TIME:
	case API_BYTES:
		return decode_string(d, f, v, dst, path);
	case API_BOOL:
		if (!json_is_boolean(v))
			return wrong_type(d, path, "a boolean");
		if (optional)
			*(struct api_opt_bool *)dst = (struct api_opt_bool){ .set = true, .v = json_is_true(v) };
		else
			*(bool *)dst = json_is_true(v);
		return 0;
	case API_INT32:
	case API_INT64:
		if (optional) {
			((struct api_opt_int *)dst)->set = true;
			return decode_int(d, f, v, &((struct api_opt_int *)dst)->v, path);
		}
		return decode_int(d, f, v, dst, path);
	case API_DOUBLE:
		if (!json_is_number(v))
			return wrong_type(d, path, "a number");
		*(double *)dst = json_number_value(v);
		return 0;
	case API_INT_OR_STRING: {
		struct api_int_or_str *ios = dst;

		ios->set = true;
		ios->is_str = json_is_string(v);
		return ios->is_str ? decode_string(d, f, v, &ios->s, path) : decode_int(d, f, v, &ios->i, path);
	}
	case API_OBJECT:
		if (!in_list && !(f->flags & API_EMBEDDED)) {
			void *o = arena_alloc(d->arena, f->object->size);

			if (!o)
				return no_memory(d);
			*(void **)dst = o;
			dst = o;
		}
		return decode_object(d, f->object, v, dst, path);
	case API_RAW:
		*(json_t **)dst = (json_t *)v;
		return 0;
	case API_NESTED:
		return 0;
	}
	return wrong_type(d, path, "a known type");
}

size_t api_element_size(const struct api_field *f)
{
	switch ((enum api_field_type)f->type) {
	case API_BOOL:
		return sizeof(bool);
	case API_INT32:
	case API_INT64:
		return sizeof(int64_t);
	case API_DOUBLE:
		return sizeof(double);
	case API_INT_OR_STRING:
		return sizeof(struct api_int_or_str);
	case API_OBJECT:
		return f->object->size;
	default:
		return sizeof(void *);
	}
}

static int decode_list(struct decoder *d, const struct api_field *f, const json_t *v, void *dst, size_t *ret_n,
		       const struct api_path *path)
{
	size_t size = api_element_size(f), n = json_array_size(v);
	struct api_path at = { .up = path };
	char *items;
	int r;

	if (!json_is_array(v))
		return wrong_type(d, path, "a list");
	*ret_n = 0;
	if (!n)
		return 0;
	items = arena_calloc(d->arena, n, size);
	if (!items)
		return no_memory(d);
	for (; at.index < n; at.index++) {
		const json_t *item = json_array_get(v, at.index);

		if (json_is_null(item) && f->type != API_RAW)
			return wrong_type(d, &at, "a value");
		r = decode_value(d, f, item, items + at.index * size, true, &at);
		if (r < 0)
			return r;
	}
	*(void **)dst = items;
	*ret_n = n;
	return 0;
}

static int compare_kv(const void *a, const void *b)
{
	return strcmp(((const struct api_kv *)a)->key, ((const struct api_kv *)b)->key);
}

static int decode_map(struct decoder *d, const struct api_field *f, const json_t *v, struct api_map *dst,
		      const struct api_path *path)
{
	const char *key;
	json_t *value;
	int r;

	if (!json_is_object(v))
		return wrong_type(d, path, "a map");
	if (!json_object_size(v))
		return 0;
	dst->v = arena_calloc(d->arena, json_object_size(v), sizeof(*dst->v));
	if (!dst->v)
		return no_memory(d);
	json_object_foreach ((json_t *)v, key, value) {
		struct api_path at = { .up = path, .key = key };

		if (json_is_null(value)) {
			dst->v[dst->n].value = "";
		} else {
			r = decode_string(d, f, value, &dst->v[dst->n].value, &at);
			if (r < 0)
				return r;
		}
		dst->v[dst->n].key = arena_strdup(d->arena, key);
		if (!dst->v[dst->n].key)
			return no_memory(d);
		dst->n++;
	}
	qsort(dst->v, dst->n, sizeof(*dst->v), compare_kv);
	return 0;
}

static int decode_object(struct decoder *d, const struct api_type *type, const json_t *obj, void *dst,
			 const struct api_path *path)
{
	if (!json_is_object(obj))
		return wrong_type(d, path, "an object");
	for (size_t i = 0; i < type->n_fields; i++) {
		const struct api_field *f = &type->fields[i];
		struct api_path at = { .up = path, .name = f->name };
		const json_t *v;
		int r;

		if (f->offset == API_NO_OFFSET)
			continue;
		v = json_object_get(obj, f->name);
		if (!v || json_is_null(v))
			continue;
		if (f->shape == API_LIST)
			r = decode_list(d, f, v, (char *)dst + f->offset, (size_t *)((char *)dst + f->n_offset), &at);
		else if (f->shape == API_MAP)
			r = decode_map(d, f, v, (struct api_map *)((char *)dst + f->offset), &at);
		else
			r = decode_value(d, f, v, (char *)dst + f->offset, false, &at);
		if (r < 0)
			return r;
	}
	return 0;
}

int api_decode(const struct api_type *type, const json_t *obj, struct arena *arena, void *ret_struct_pp,
	       struct err *err)
{
	struct decoder d = { .arena = arena, .err = err };
	void *dst = arena_alloc(arena, type->size);
	int r;

	if (!dst)
		return no_memory(&d);
	r = decode_object(&d, type, obj, dst, NULL);
	if (r < 0)
		return err_wrap(err, r, "%s", type->name);
	*(void **)ret_struct_pp = dst;
	return 0;
}
