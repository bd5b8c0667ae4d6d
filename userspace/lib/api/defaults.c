/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Defaults: the schema's constants first, then those that follow from other fields. Quantities are written the
 * canonical way here too, so that what is stored, compared and applied has one form. When memory runs out a default
 * is left out.
 */
#include "api-internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/cleanup.h"
#include "../base/str.h"

static json_t *default_value(const char *text)
{
	size_t len = strlen(text);

	/* The common ones without a parser: "word", a number, true, false. */
	if (text[0] == '"' && !memchr(text, '\\', len))
		return json_stringn(text + 1, len - 2);
	if (isdigit((unsigned char)text[0]) && !text[strspn(text, "0123456789")])
		return json_integer(atoll(text));
	if (!strcmp(text, "true") || !strcmp(text, "false"))
		return json_boolean(text[0] == 't');
	return json_loads(text, JSON_DECODE_ANY, NULL);
}

static json_t *canonical_quantity(const json_t *v)
{
	char text[64], canon[64];

	if (json_is_integer(v))
		snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, json_integer_value(v));
	else if (json_is_real(v))
		snprintf(text, sizeof(text), "%.9g", json_real_value(v));
	else if (!json_is_string(v) || json_string_length(v) >= sizeof(text))
		return NULL;
	else
		snprintf(text, sizeof(text), "%s", json_string_value(v));
	if (api_quantity_canonical(text, canon, sizeof(canon)) < 0 || streq(json_string_value(v), canon))
		return NULL;
	return json_string(canon);
}

static void default_quantities(const struct api_field *f, json_t *obj, json_t *v)
{
	json_t *canon, *item;
	const char *key;
	void *tmp;

	if (f->shape == API_ONE) {
		canon = canonical_quantity(v);
		if (canon)
			json_object_set_new(obj, f->name, canon);
	} else if (f->shape == API_MAP) {
		json_object_foreach_safe (v, tmp, key, item) {
			canon = canonical_quantity(item);
			if (canon)
				json_object_set_new(v, key, canon);
		}
	}
}

static void default_object(const struct api_type *type, json_t *obj)
{
	for (size_t i = 0; json_is_object(obj) && i < type->n_fields; i++) {
		const struct api_field *f = &type->fields[i];
		json_t *v = json_object_get(obj, f->name), *item;
		const char *key;
		size_t n;

		if (!v || json_is_null(v)) {
			if (f->default_json) {
				json_object_set_new(obj, f->name, default_value(f->default_json));
			} else if ((f->flags & API_EMBEDDED) && !(f->flags & API_STATUS) &&
				   strcmp(f->name, "metadata")) {
				/* A part that is always there has its defaults even when nobody wrote it. */
				v = json_object();
				default_object(f->object, v);
				if (json_object_size(v))
					json_object_set_new(obj, f->name, v);
				else
					json_decref(v);
			}
			continue;
		}
		if (f->type == API_QUANTITY)
			default_quantities(f, obj, v);
		if (f->type == API_STRING && f->default_json && f->shape == API_ONE && json_is_string(v) &&
		    !json_string_length(v))
			json_object_set_new(obj, f->name, default_value(f->default_json));
		if (f->type != API_OBJECT)
			continue;
		if (f->shape == API_ONE)
			default_object(f->object, v);
		else if (f->shape == API_LIST)
			json_array_foreach (v, n, item)
				default_object(f->object, item);
		else
			json_object_foreach (v, key, item)
				default_object(f->object, item);
	}
}

void api_default(const struct api_kind *kind, json_t *obj)
{
	if (kind->custom) {
		api_custom_default(kind->type, obj);
		return;
	}
	default_object(kind->type, obj);
	api_default_own(kind, obj);
}
