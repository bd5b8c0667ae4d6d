/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenAPI from the tables: version 3 per group and version, version 2 for older clients. What kubectl reads of it:
 * the schemas (explain, client-side validation, strategic merge of apply and diff) and which parameters PATCH takes
 * (fieldValidation, dryRun).
 */
#include <stdio.h>
#include <string.h>

#include "../base/str.h"
#include "api-internal.h"

struct builder {
	bool v3;
	json_t *schemas; /* name -> schema */
};

static void type_name(const struct api_type *t, char *buf, size_t size)
{
	snprintf(buf, size, "%s.%s", t->package ? t->package : "io.k8s.api.core.v1", t->name);
}

static void add_type(struct builder *b, const struct api_type *t);

static json_t *ref(struct builder *b, const struct api_type *t)
{
	char name[300], text[400];

	add_type(b, t);
	type_name(t, name, sizeof(name));
	snprintf(text, sizeof(text), b->v3 ? "#/components/schemas/%s" : "#/definitions/%s", name);
	return json_pack("{s:s}", "$ref", text);
}

/* A value of either type. Version 2 has no oneOf: it says string, and clients of it know the format. */
static json_t *one_of(const struct builder *b, const char *format, const char *x, const char *y)
{
	json_t *s = b->v3 ? json_pack("{s:[{s:s},{s:s}]}", "oneOf", "type", x, "type", y)
			  : json_pack("{s:s}", "type", "string");

	if (format)
		json_object_set_new(s, "format", json_string(format));
	return s;
}

static json_t *scalar(struct builder *b, const struct api_field *f)
{
	json_t *s;

	switch ((enum api_field_type)f->type) {
	case API_BOOL:
		return json_pack("{s:s}", "type", "boolean");
	case API_INT32:
		return json_pack("{s:s,s:s}", "type", "integer", "format", "int32");
	case API_INT64:
		return json_pack("{s:s,s:s}", "type", "integer", "format", "int64");
	case API_DOUBLE:
		return json_pack("{s:s,s:s}", "type", "number", "format", "double");
	case API_TIME:
	case API_MICRO_TIME:
		return json_pack("{s:s,s:s}", "type", "string", "format", "date-time");
	case API_BYTES:
		return json_pack("{s:s,s:s}", "type", "string", "format", "byte");
	case API_INT_OR_STRING:
		return one_of(b, "int-or-string", "integer", "string");
	case API_QUANTITY:
		return one_of(b, NULL, "string", "number");
	case API_OBJECT:
		/* A sibling of $ref is ignored by OpenAPI 3.0 readers: the description needs allOf. */
		return b->v3 ? json_pack("{s:[o]}", "allOf", ref(b, f->object)) : ref(b, f->object);
	case API_RAW:
	case API_NESTED: /* custom kinds are published as they were defined */
		return json_pack("{s:s}", "type", "object");
	case API_STRING:
		break;
	}
	s = json_pack("{s:s}", "type", "string");
	if (f->enum_values && f->shape == API_ONE) {
		json_t *list = json_array();

		for (const char *const *e = f->enum_values; *e; e++)
			json_array_append_new(list, json_string(*e));
		json_object_set_new(s, "enum", list);
	}
	return s;
}

static json_t *field_schema(struct builder *b, const struct api_field *f)
{
	json_t *s, *keys;

	switch ((enum api_field_shape)f->shape) {
	case API_LIST:
		s = json_pack("{s:s,s:o}", "type", "array", "items",
			      f->type == API_OBJECT ? ref(b, f->object) : scalar(b, f));
		if (f->map_keys) {
			keys = json_array();
			for (const char *const *k = f->map_keys; *k; k++)
				json_array_append_new(keys, json_string(*k));
			json_object_set_new(s, "x-kubernetes-list-map-keys", keys);
		}
		json_object_set_new(s, "x-kubernetes-list-type",
				    json_string(f->map_keys ? "map"
						: f->is_set ? "set"
							    : "atomic"));
		break;
	case API_MAP:
		s = json_pack("{s:s,s:o}", "type", "object", "additionalProperties",
			      f->type == API_OBJECT ? ref(b, f->object) : scalar(b, f));
		break;
	default:
		s = scalar(b, f);
	}
	if (f->merge_key)
		json_object_set_new(s, "x-kubernetes-patch-merge-key", json_string(f->merge_key));
	if (f->merge_key || f->is_set || f->flags & API_RETAIN_KEYS)
		json_object_set_new(s, "x-kubernetes-patch-strategy",
				    json_string(f->flags & API_RETAIN_KEYS
							? (f->merge_key ? "merge,retainKeys" : "retainKeys")
							: "merge"));
	if (f->doc)
		json_object_set_new(s, "description", json_string(f->doc));
	return s;
}

static void add_type(struct builder *b, const struct api_type *t)
{
	json_t *schema, *properties, *required;
	char name[300];

	type_name(t, name, sizeof(name));
	if (json_object_get(b->schemas, name))
		return;
	schema = json_pack("{s:s,s:s}", "type", "object", "description", t->doc ? t->doc : t->name);
	json_object_set_new(b->schemas, name, schema); /* before its fields: types may refer to themselves */
	properties = json_object();
	required = json_array();
	for (size_t i = 0; i < t->n_fields; i++) {
		json_object_set_new(properties, t->fields[i].name, field_schema(b, &t->fields[i]));
		/* Embedded objects come into being by themselves. */
		if (t->fields[i].flags & API_REQUIRED && !(t->fields[i].flags & API_EMBEDDED))
			json_array_append_new(required, json_string(t->fields[i].name));
	}
	json_object_set_new(schema, "properties", properties);
	if (json_array_size(required))
		json_object_set(schema, "required", required);
	json_decref(required);
}

static json_t *gvk(const struct api_kind *k)
{
	return json_pack("{s:s,s:s,s:s}", "group", k->group, "version", k->version, "kind", k->kind);
}

static void add_kind(struct builder *b, const struct api_kind *k)
{
	char name[300];
	json_t *schema;

	type_name(k->type, name, sizeof(name));
	if (k->custom) {
		const struct api_field *metadata = api_type_field(k->type, "metadata");

		json_object_set_new(b->schemas, name, api_openapi_custom(k, b->v3, scalar(b, metadata)));
	} else {
		add_type(b, k->type);
	}
	schema = json_object_get(b->schemas, name);
	json_object_set_new(schema, "x-kubernetes-group-version-kind", json_pack("[o]", gvk(k)));
}

static json_t *parameter(const struct builder *b, const char *name, const char *in, const char *doc)
{
	json_t *p = json_pack("{s:s,s:s,s:s}", "name", name, "in", in, "description", doc);

	if (streq(in, "path"))
		json_object_set_new(p, "required", json_true());
	if (b->v3)
		json_object_set_new(p, "schema", json_pack("{s:s,s:b}", "type", "string", "uniqueItems", 1));
	else
		json_object_set_new(p, "type", json_string("string"));
	return p;
}

/* One operation: what kubectl looks at is the kind it is for and the parameters of writes. */
static json_t *operation(const struct builder *b, const struct api_kind *k, const char *action, bool write)
{
	json_t *op = json_pack("{s:s,s:o,s:[s],s:{s:{s:s}}}", "x-kubernetes-action", action,
			       "x-kubernetes-group-version-kind", gvk(k), "tags", k->group[0] ? k->group : "core_v1",
			       "responses", "200", "description", "OK");
	json_t *params = json_array();

	if (write) {
		json_array_append_new(params, parameter(b, "dryRun", "query", "All: check, change nothing."));
		json_array_append_new(params, parameter(b, "fieldManager", "query", "Who makes the change."));
		json_array_append_new(params, parameter(b, "fieldValidation", "query", "Ignore, Warn or Strict."));
	}
	json_object_set_new(op, "parameters", params);
	return op;
}

/* Subresources by which the object itself is read and written. */
static void add_sub_paths(const struct builder *b, json_t *paths, const struct api_kind *k, const char *one,
			  json_t *params)
{
	static const char *const own[] = { "status", "approval", "ephemeralcontainers", "resize" };

	for (const char *const *sub = k->subresources; sub && *sub; sub++)
		for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
			char path[480];

			if (!streq(*sub, own[i]))
				continue;
			snprintf(path, sizeof(path), "%s/%s", one, *sub);
			json_object_set_new(paths, path,
					    json_pack("{s:o,s:o,s:o,s:O}", "get", operation(b, k, "get", false), "put",
						      operation(b, k, "put", true), "patch",
						      operation(b, k, "patch", true), "parameters", params));
		}
}

static void add_paths(const struct builder *b, json_t *paths, const struct api_kind *k)
{
	char base[400], one[450];
	json_t *coll, *item, *params;

	snprintf(base, sizeof(base), "%s%s%s/%s%s/%s", k->group[0] ? "/apis" : "/api", k->group[0] ? "/" : "", k->group,
		 k->version, k->namespaced ? "/namespaces/{namespace}" : "", k->plural);
	if (k->review) {
		json_object_set_new(paths, base, json_pack("{s:o}", "post", operation(b, k, "post", true)));
		return;
	}
	snprintf(one, sizeof(one), "%s/{name}", base);
	coll = json_pack("{s:o}", "get", operation(b, k, "list", false));
	item = json_pack("{s:o}", "get", operation(b, k, "get", false));
	if (!k->computed) {
		json_object_set_new(coll, "post", operation(b, k, "post", true));
		json_object_set_new(item, "put", operation(b, k, "put", true));
		json_object_set_new(item, "patch", operation(b, k, "patch", true));
		json_object_set_new(item, "delete", operation(b, k, "delete", false));
	}
	params = json_array();
	json_array_append_new(params, parameter(b, "name", "path", "Name of the object."));
	if (k->namespaced) {
		json_array_append_new(params, parameter(b, "namespace", "path", "Its namespace."));
		json_object_set_new(coll, "parameters",
				    json_pack("[o]", parameter(b, "namespace", "path", "The namespace.")));
	}
	json_object_set_new(item, "parameters", params);
	json_object_set_new(paths, base, coll);
	json_object_set_new(paths, one, item);
	add_sub_paths(b, paths, k, one, params);
}

static json_t *info(void)
{
	return json_pack("{s:s,s:s}", "title", "Kubernetes", "version", "v1.33.0");
}

json_t *api_openapi_v3(const struct api_kinds *kinds, const char *group, const char *version)
{
	struct api_kinds all = api_kinds_or_built_in(kinds);
	struct builder b = { .v3 = true, .schemas = json_object() };
	json_t *paths = json_object();

	for (size_t i = 0; i < all.n; i++) {
		const struct api_kind *k = all.v[i];

		if (!streq(k->group, group) || !streq(k->version, version))
			continue;
		add_kind(&b, k);
		add_paths(&b, paths, k);
	}
	if (!json_object_size(paths)) {
		json_decref(paths);
		json_decref(b.schemas);
		return NULL;
	}
	return json_pack("{s:s,s:o,s:o,s:{s:o}}", "openapi", "3.0.0", "info", info(), "paths", paths, "components",
			 "schemas", b.schemas);
}

json_t *api_openapi_v3_index(const struct api_kinds *kinds)
{
	struct api_kinds all = api_kinds_or_built_in(kinds);
	json_t *paths = json_object();

	for (size_t i = 0; i < all.n; i++) {
		const struct api_kind *k = all.v[i];
		char key[300], url[320];

		snprintf(key, sizeof(key), "%s%s%s/%s", k->group[0] ? "apis" : "api", k->group[0] ? "/" : "", k->group,
			 k->version);
		snprintf(url, sizeof(url), "/openapi/v3/%s", key);
		json_object_set_new(paths, key, json_pack("{s:s}", "serverRelativeURL", url));
	}
	return json_pack("{s:o}", "paths", paths);
}

json_t *api_openapi_v2(const struct api_kinds *kinds)
{
	struct api_kinds all = api_kinds_or_built_in(kinds);
	struct builder b = { .v3 = false, .schemas = json_object() };
	json_t *paths = json_object();

	for (size_t i = 0; i < all.n; i++) {
		add_kind(&b, all.v[i]);
		add_paths(&b, paths, all.v[i]);
	}
	return json_pack("{s:s,s:o,s:o,s:o}", "swagger", "2.0", "info", info(), "paths", paths, "definitions",
			 b.schemas);
}
