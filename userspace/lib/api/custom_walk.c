/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checking, pruning and defaulting of values of custom kinds, by the tables that custom.c makes. They differ from those
 * of built-in kinds in what they meet: values of the wrong JSON type are left for the schema to tell, lists and maps
 * nest, null may be a value, and objects may keep what the tables do not know. Metadata is as everywhere.
 */
#include <string.h>

#include "api-internal.h"

/* --- unknown fields ----------------------------------------------------------------------------------------------- */

static void check_field(const struct api_field *f, const json_t *v, const struct api_path *path, struct api_errs *errs);

static void check_value(const struct api_field *f, const json_t *v, const struct api_path *path, struct api_errs *errs)
{
	if (f->type == API_NESTED)
		check_field(f->nested, v, path, errs);
	else if (f->type != API_OBJECT)
		return;
	else if (f->object->flags & API_TYPE_CUSTOM)
		api_custom_check(f->object, v, path, errs);
	else if (!json_is_null(v))
		api_check_at(f->object, v, path, errs);
}

static void check_field(const struct api_field *f, const json_t *v, const struct api_path *path, struct api_errs *errs)
{
	struct api_path at = { .up = path };
	json_t *item;

	switch ((enum api_field_shape)f->shape) {
	case API_ONE:
		check_value(f, v, path, errs);
		break;
	case API_LIST:
		json_array_foreach (v, at.index, item)
			check_value(f, item, &at, errs);
		break;
	case API_MAP:
		json_object_foreach ((json_t *)v, at.name, item)
			check_value(f, item, &at, errs);
		break;
	}
}

void api_custom_check(const struct api_type *type, const json_t *obj, const struct api_path *path,
		      struct api_errs *errs)
{
	const char *key;
	json_t *v;

	json_object_foreach ((json_t *)obj, key, v) {
		const struct api_field *f = api_type_field(type, key);
		struct api_path at = { .up = path, .name = key };
		char field[API_PATH_MAX];

		if (f)
			check_field(f, v, &at, errs);
		else if (!(type->flags & API_TYPE_OPEN))
			api_path_err(errs, &at, API_C_UNKNOWN_FIELD, "unknown field \"%s\"",
				     api_path_str(&at, field, sizeof(field)));
	}
}

/* --- pruning ------------------------------------------------------------------------------------------------------ */

static void prune_field(const struct api_field *f, json_t *v);

static void prune_value(const struct api_field *f, json_t *v)
{
	if (f->type == API_NESTED)
		prune_field(f->nested, v);
	else if (f->type == API_OBJECT && json_is_object(v))
		api_prune(f->object, v);
}

static void prune_field(const struct api_field *f, json_t *v)
{
	const char *key;
	json_t *item;
	size_t i;

	switch ((enum api_field_shape)f->shape) {
	case API_ONE:
		prune_value(f, v);
		break;
	case API_LIST:
		json_array_foreach (v, i, item)
			prune_value(f, item);
		break;
	case API_MAP:
		json_object_foreach (v, key, item)
			prune_value(f, item);
		break;
	}
}

void api_custom_prune(const struct api_type *type, json_t *obj)
{
	const char *key;
	json_t *v;
	void *tmp;

	json_object_foreach_safe (obj, tmp, key, v) {
		const struct api_field *f = api_type_field(type, key);

		/* A null that is no value is nothing, so that its default comes in its place. */
		if (f ? json_is_null(v) && !(f->flags & API_NULLABLE) : !(type->flags & API_TYPE_OPEN))
			json_object_del(obj, key);
		else if (f)
			prune_field(f, v);
	}
}

/* --- defaults ----------------------------------------------------------------------------------------------------- */

static void default_field(const struct api_field *f, json_t *v);

static void default_value(const struct api_field *f, json_t *v)
{
	if (f->type == API_NESTED)
		default_field(f->nested, v);
	else if (f->type == API_OBJECT && (f->object->flags & API_TYPE_CUSTOM))
		api_custom_default(f->object, v);
}

static void default_field(const struct api_field *f, json_t *v)
{
	const char *key;
	json_t *item;
	size_t i;

	switch ((enum api_field_shape)f->shape) {
	case API_ONE:
		default_value(f, v);
		break;
	case API_LIST:
		json_array_foreach (v, i, item)
			default_value(f, item);
		break;
	case API_MAP:
		json_object_foreach (v, key, item)
			default_value(f, item);
		break;
	}
}

void api_custom_default(const struct api_type *type, json_t *obj)
{
	for (size_t i = 0; json_is_object(obj) && i < type->n_fields; i++) {
		const struct api_field *f = &type->fields[i];
		json_t *v = json_object_get(obj, f->name);

		if (f->default_json && (!v || (json_is_null(v) && !(f->flags & API_NULLABLE)))) {
			v = json_loads(f->default_json, JSON_DECODE_ANY, NULL);
			if (json_object_set_new(obj, f->name, v) < 0)
				continue;
		}
		/* Defaults have defaults: "{}" brings in those of its members. */
		if (v)
			default_field(f, v);
	}
}
