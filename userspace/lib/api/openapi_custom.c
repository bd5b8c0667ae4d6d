/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Schemas of custom kinds for OpenAPI: as they were defined, with what every object has; for version 2, without what
 * its readers do not know, so that an old client lets more through rather than refuse what the server takes.
 */
#include <string.h>

#include "../base/str.h"
#include "api-internal.h"

static bool is_true(const json_t *schema, const char *name)
{
	return json_is_true(json_object_get(schema, name));
}

/* Any value. */
static void open_up(json_t *schema)
{
	static const char *const names[] = {
		"type", "items", "properties", "additionalProperties", "required", "format"
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		json_object_del(schema, names[i]);
}

static void simplify(json_t *schema)
{
	static const char *const unknown[] = { "nullable", "oneOf", "anyOf", "allOf", "not" };
	json_t *values = json_object_get(schema, "additionalProperties"), *v;
	const char *key;

	if (is_true(schema, "x-kubernetes-int-or-string") || is_true(schema, "nullable") ||
	    is_true(schema, "x-kubernetes-preserve-unknown-fields"))
		open_up(schema);
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		json_object_del(schema, unknown[i]);
	json_object_foreach (json_object_get(schema, "properties"), key, v)
		simplify(v);
	if (json_is_object(values))
		simplify(values);
	v = json_object_get(schema, "items");
	if (v)
		simplify(v);
}

json_t *api_openapi_custom(const struct api_kind *kind, bool v3, json_t *metadata)
{
	json_t *schema = json_deep_copy(kind->custom->openapi), *properties;
	bool open = schema && is_true(schema, "x-kubernetes-preserve-unknown-fields");

	if (schema && !v3) {
		/* The root stays an object with the members below, whatever else it may have. */
		json_object_del(schema, "x-kubernetes-preserve-unknown-fields");
		simplify(schema);
		json_object_set_new(schema, "type", json_string("object"));
		if (open)
			json_object_set_new(schema, "x-kubernetes-preserve-unknown-fields", json_true());
	}
	if (schema && !json_object_get(schema, "properties"))
		json_object_set_new(schema, "properties", json_object());
	properties = json_object_get(schema, "properties");
	if (!properties) {
		json_decref(schema);
		json_decref(metadata);
		return NULL;
	}
	json_object_set_new(
		properties, "apiVersion",
		json_pack("{s:s,s:s}", "type", "string", "description", "Group and version of this representation."));
	json_object_set_new(properties, "kind",
			    json_pack("{s:s,s:s}", "type", "string", "description", "Kind of this object."));
	json_object_set_new(properties, "metadata", metadata);
	return schema;
}
