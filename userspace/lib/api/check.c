/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be said of a document from its types alone: wrong JSON types and values that do not parse (quantities,
 * times, base64), fields nobody knows; and dropping the latter.
 */
#include "api-internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/cleanup.h"
#include "../base/str.h"

bool api_json_empty(const json_t *v)
{
	switch (v ? json_typeof(v) : JSON_NULL) {
	case JSON_STRING:
		return !json_string_length(v);
	case JSON_INTEGER:
		return !json_integer_value(v);
	case JSON_REAL:
		return json_real_value(v) == 0;
	case JSON_ARRAY:
		return !json_array_size(v);
	case JSON_OBJECT:
		return !json_object_size(v);
	case JSON_TRUE:
		return false;
	case JSON_FALSE:
	case JSON_NULL:
		break;
	}
	return true;
}

static const char *type_name(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return "object";
	case JSON_ARRAY:
		return "array";
	case JSON_STRING:
		return "string";
	case JSON_INTEGER:
	case JSON_REAL:
		return "number";
	case JSON_TRUE:
	case JSON_FALSE:
		return "bool";
	case JSON_NULL:
		break;
	}
	return "null";
}

static void type_err(struct api_errs *errs, const struct api_path *path, const json_t *v, const char *want)
{
	api_path_err(errs, path, API_C_TYPE, "Invalid value: %s: must be %s", type_name(v), want);
}

/* "2006-01-02T15:04:05[.000000](Z|+01:00)" */
static bool is_time(const char *s)
{
	static const char shape[] = "dddd-dd-ddTdd:dd:dd";
	size_t i;

	for (i = 0; shape[i]; i++)
		if (shape[i] == 'd' ? !isdigit((unsigned char)s[i]) : s[i] != shape[i])
			return false;
	if (s[i] == '.') {
		i++;
		if (!isdigit((unsigned char)s[i]))
			return false;
		while (isdigit((unsigned char)s[i]))
			i++;
	}
	if (s[i] == 'Z')
		return !s[i + 1];
	return (s[i] == '+' || s[i] == '-') && isdigit((unsigned char)s[i + 1]) && isdigit((unsigned char)s[i + 2]) &&
	       s[i + 3] == ':' && isdigit((unsigned char)s[i + 4]) && isdigit((unsigned char)s[i + 5]) && !s[i + 6];
}

static void check_quantity(const json_t *v, const struct api_path *path, struct api_errs *errs)
{
	int64_t n;

	if (json_is_number(v))
		return;
	if (!json_is_string(v))
		type_err(errs, path, v, "a quantity");
	else if (api_quantity_milli(json_string_value(v), &n) < 0)
		api_path_err(errs, path, API_C_TYPE,
			     "Invalid value: \"%s\": quantities must match the regular expression "
			     "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
			     json_string_value(v));
}

static void check_bytes(const json_t *v, const struct api_path *path, struct api_errs *errs)
{
	cleanup(free) unsigned char *bytes = NULL;
	size_t len;

	if (!json_is_string(v)) {
		type_err(errs, path, v, "a base64 string");
		return;
	}
	bytes = str_unbase64(json_string_value(v), &len);
	if (!bytes)
		api_path_err(errs, path, API_C_TYPE, "Invalid value: illegal base64 data");
}

static void check_object(const struct api_type *type, const json_t *obj, const struct api_path *path,
			 struct api_errs *errs);

static void check_value(const struct api_field *f, const json_t *v, const struct api_path *path, struct api_errs *errs)
{
	switch ((enum api_field_type)f->type) {
	case API_STRING:
		if (!json_is_string(v))
			type_err(errs, path, v, "a string");
		break;
	case API_BOOL:
		if (!json_is_boolean(v))
			type_err(errs, path, v, "a boolean");
		break;
	case API_INT32:
	case API_INT64:
		if (!json_is_integer(v))
			type_err(errs, path, v, "an integer");
		else if (f->type == API_INT32 &&
			 (json_integer_value(v) > INT32_MAX || json_integer_value(v) < INT32_MIN))
			type_err(errs, path, v, "a 32-bit integer");
		break;
	case API_DOUBLE:
		if (!json_is_number(v))
			type_err(errs, path, v, "a number");
		break;
	case API_QUANTITY:
		check_quantity(v, path, errs);
		break;
	case API_INT_OR_STRING:
		if (!json_is_string(v) &&
		    !(json_is_integer(v) && json_integer_value(v) <= INT32_MAX && json_integer_value(v) >= INT32_MIN))
			type_err(errs, path, v, "a 32-bit integer or a string");
		break;
	case API_TIME:
	case API_MICRO_TIME:
		if (!json_is_string(v))
			type_err(errs, path, v, "a time");
		else if (!is_time(json_string_value(v)))
			api_path_err(errs, path, API_C_TYPE, "Invalid value: \"%s\": must be a time as in RFC 3339",
				     json_string_value(v));
		break;
	case API_BYTES:
		check_bytes(v, path, errs);
		break;
	case API_OBJECT:
		check_object(f->object, v, path, errs);
		break;
	case API_RAW:
	case API_NESTED: /* of custom kinds only: custom_walk.c */
		break;
	}
}

static void check_field(const struct api_field *f, const json_t *v, const struct api_path *path, struct api_errs *errs)
{
	struct api_path at = { .up = path };
	const char *key;
	json_t *item;

	if (json_is_null(v))
		return;
	switch ((enum api_field_shape)f->shape) {
	case API_ONE:
		check_value(f, v, path, errs);
		break;
	case API_LIST:
		if (!json_is_array(v)) {
			type_err(errs, path, v, "a list");
			break;
		}
		json_array_foreach (v, at.index, item) {
			if (json_is_null(item))
				type_err(errs, &at, item, "a value");
			else
				check_value(f, item, &at, errs);
		}
		break;
	case API_MAP:
		if (!json_is_object(v)) {
			type_err(errs, path, v, "a map");
			break;
		}
		json_object_foreach ((json_t *)v, key, item) {
			at.key = key;
			if (!json_is_null(item))
				check_value(f, item, &at, errs);
		}
		break;
	}
}

void api_check_at(const struct api_type *type, const json_t *obj, const struct api_path *path, struct api_errs *errs)
{
	check_object(type, obj, path, errs);
}

static void check_object(const struct api_type *type, const json_t *obj, const struct api_path *path,
			 struct api_errs *errs)
{
	const char *key;
	json_t *v;

	if (!json_is_object(obj)) {
		type_err(errs, path, obj, "an object");
		return;
	}
	json_object_foreach ((json_t *)obj, key, v) {
		const struct api_field *f = api_type_field(type, key);
		struct api_path at = { .up = path, .name = key };

		if (f) {
			check_field(f, v, &at, errs);
		} else {
			char field[API_PATH_MAX];

			api_path_err(errs, &at, API_C_UNKNOWN_FIELD, "unknown field \"%s\"",
				     api_path_str(&at, field, sizeof(field)));
		}
	}
}

void api_check(const struct api_type *type, const json_t *obj, struct api_errs *errs)
{
	if (type->flags & API_TYPE_CUSTOM)
		api_custom_check(type, obj, NULL, errs);
	else
		check_object(type, obj, NULL, errs);
}

/* --- pruning ------------------------------------------------------------------------------------------------------ */

void api_prune(const struct api_type *type, json_t *obj)
{
	const char *key;
	json_t *v, *item;
	void *tmp;
	size_t i;

	if (type->flags & API_TYPE_CUSTOM) {
		api_custom_prune(type, obj);
		return;
	}
	json_object_foreach_safe (obj, tmp, key, v) {
		const struct api_field *f = api_type_field(type, key);

		if (!f || json_is_null(v)) {
			json_object_del(obj, key);
			continue;
		}
		if (f->shape == API_MAP && f->type != API_RAW) {
			const char *k;
			void *t;

			/* Kubernetes reads a null value of a map of strings as the empty one. */
			json_object_foreach_safe (v, t, k, item)
				if (json_is_null(item))
					json_object_set_new(v, k, json_string(f->type == API_QUANTITY ? "0" : ""));
		}
		if (f->type != API_OBJECT)
			continue;
		if (f->shape == API_ONE)
			api_prune(f->object, v);
		else if (f->shape == API_LIST)
			json_array_foreach (v, i, item)
				api_prune(f->object, item);
		else
			json_object_foreach (v, key, item)
				api_prune(f->object, item);
	}
}
