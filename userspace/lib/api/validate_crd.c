/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules of CustomResourceDefinitions: names, versions, paths, and schemas that are structural, that is, say the type
 * of everything outside of allOf, anyOf, oneOf and not. The words are Kubernetes'.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/str.h"
#include "api-internal.h"

enum level { ROOT, ITEM, FIELD };

#define MAX_SCHEMA_DEPTH 64

static void check_schema(const json_t *s, enum level level, int depth, const struct api_path *path,
			 struct api_errs *errs);
static void check_nested(const json_t *s, const json_t *structure, int depth, const struct api_path *path,
			 struct api_errs *errs);

static bool is_true(const json_t *s, const char *name)
{
	return json_is_true(json_object_get(s, name));
}

static const char *text(const json_t *s, const char *name)
{
	const char *v = json_string_value(json_object_get(s, name));

	return v ? v : "";
}

static void forbid_at(struct api_errs *errs, const struct api_path *path, const char *name, const char *why)
{
	struct api_path at = { .up = path, .name = name };

	api_err_forbidden(errs, &at, why);
}

static void invalid_at(struct api_errs *errs, const struct api_path *path, const char *name, const json_t *v,
		       const char *why)
{
	struct api_path at = { .up = path, .name = name };

	api_err_invalid(errs, &at, v, why);
}

static void require_at(struct api_errs *errs, const struct api_path *path, const char *name, const char *why)
{
	struct api_path at = { .up = path, .name = name };

	api_err_required(errs, &at, why);
}

/* --- structural schemas ------------------------------------------------------------------------------------------- */

static void check_pattern(const json_t *s, const struct api_path *path, struct api_errs *errs)
{
	const char *pattern = text(s, "pattern");
	struct api_regex *re;
	char why[200], full[300];

	if (!*pattern)
		return;
	re = api_regex_new(pattern, why, sizeof(why));
	if (!re) {
		snprintf(full, sizeof(full), "must be a valid regular expression, but isn't: %s", why);
		invalid_at(errs, path, "pattern", json_object_get(s, "pattern"), full);
	}
	api_regex_free(re);
}

/* anyOf integer and string, the one place where a nested schema may say a type. */
static bool int_or_string_any_of(const json_t *list)
{
	return json_array_size(list) == 2 && streq(text(json_array_get(list, 0), "type"), "integer") &&
	       streq(text(json_array_get(list, 1), "type"), "string") &&
	       json_object_size(json_array_get(list, 0)) == 1 && json_object_size(json_array_get(list, 1)) == 1;
}

/* What joins schemas: the members of allOf, anyOf, oneOf, and not. structure: the schema they judge. */
static void check_joins(const json_t *s, const json_t *structure, int depth, const struct api_path *path,
			struct api_errs *errs)
{
	static const char *const lists[] = { "allOf", "anyOf", "oneOf" };
	const json_t *v;

	for (size_t i = 0; i < 3; i++) {
		struct api_path list = { .up = path, .name = lists[i] }, at = { .up = &list };
		const json_t *all = json_object_get(s, lists[i]);

		if (is_true(structure, "x-kubernetes-int-or-string") && i == 1 && int_or_string_any_of(all))
			continue;
		json_array_foreach (all, at.index, v) {
			/* The first of allOf may hold that anyOf, too. */
			if (is_true(structure, "x-kubernetes-int-or-string") && i == 0 && at.index == 0 &&
			    int_or_string_any_of(json_object_get(v, "anyOf")) && json_object_size(v) == 1)
				continue;
			check_nested(v, structure, depth + 1, &at, errs);
		}
	}
	v = json_object_get(s, "not");
	if (v) {
		struct api_path at = { .up = path, .name = "not" };

		check_nested(v, structure, depth + 1, &at, errs);
	}
	check_pattern(s, path, errs);
	if (is_true(s, "uniqueItems"))
		forbid_at(errs, path, "uniqueItems",
			  "uniqueItems cannot be set to true since the runtime complexity becomes quadratic");
}

/* A schema in a join: only rules; what it speaks of must be in the structure outside of the join, too. */
static void check_nested(const json_t *s, const json_t *structure, int depth, const struct api_path *path,
			 struct api_errs *errs)
{
	static const struct {
		const char *name, *why;
	} forbidden[] = {
		{ "type", "must be empty to be structural" },
		{ "additionalProperties", "must be undefined to be structural" },
		{ "default", "must be undefined to be structural" },
		{ "title", "must be empty to be structural" },
		{ "description", "must be empty to be structural" },
		{ "nullable", "must be false to be structural" },
		{ "externalDocs", "must be undefined to be structural" },
		{ "x-kubernetes-preserve-unknown-fields", "must be false to be structural" },
		{ "x-kubernetes-embedded-resource", "must be false to be structural" },
		{ "x-kubernetes-int-or-string", "must be false to be structural" },
		{ "x-kubernetes-list-map-keys", "must be empty to be structural" },
		{ "x-kubernetes-list-type", "must be undefined to be structural" },
		{ "x-kubernetes-map-type", "must be undefined to be structural" },
		{ "x-kubernetes-validations", "must be empty to be structural" },
	};
	const json_t *properties = json_object_get(s, "properties"), *known = json_object_get(structure, "properties"),
		     *items = json_object_get(s, "items"), *v;
	const char *key;

	if (depth > MAX_SCHEMA_DEPTH)
		return;
	for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
		v = json_object_get(s, forbidden[i].name);
		if (v && !json_is_null(v) && !json_is_false(v))
			forbid_at(errs, path, forbidden[i].name, forbidden[i].why);
	}
	json_object_foreach ((json_t *)properties, key, v) {
		struct api_path member = { .up = path, .name = "properties" }, at = { .up = &member, .key = key };
		const json_t *there = json_object_get(known, key);

		if (streq(key, "metadata"))
			api_err_forbidden(errs, &at, "must not be specified in a nested context");
		else if (!there && structure)
			api_err_required(errs, &at,
					 "because it is defined in a nested context and not in the structure");
		check_nested(v, there, depth + 1, &at, errs);
	}
	if (items) {
		struct api_path at = { .up = path, .name = "items" };
		const json_t *there = json_object_get(structure, "items");

		if (!there && structure)
			api_err_required(errs, &at,
					 "because it is defined in a nested context and not in the structure");
		check_nested(items, there, depth + 1, &at, errs);
	}
	check_joins(s, structure, depth, path, errs);
}

static void check_unsupported(const json_t *s, const struct api_path *path, struct api_errs *errs)
{
	static const struct {
		const char *name, *why;
	} forbidden[] = {
		{ "definitions", "definitions is not supported" },
		{ "dependencies", "dependencies is not supported" },
		{ "id", "id is not supported" },
		{ "patternProperties", "patternProperties is not supported" },
		{ "additionalItems", "additionalItems is not supported" },
		{ "$ref", "$ref is not supported" },
	};
	const json_t *v = json_object_get(s, "x-kubernetes-validations");

	for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++)
		if (!api_json_empty(json_object_get(s, forbidden[i].name)))
			forbid_at(errs, path, forbidden[i].name, forbidden[i].why);
	if (!api_json_empty(v))
		forbid_at(
			errs, path, "x-kubernetes-validations",
			"x-kubernetes-validations is not supported by Skep yet: rules in CEL are not evaluated; say it with "
			"the schema's own words (pattern, minimum, enum, oneOf, ...)");
}

static void check_map_keys(const json_t *s, const json_t *keys, const struct api_path *path, struct api_errs *errs)
{
	const json_t *items = json_object_get(s, "items"), *properties = json_object_get(items, "properties"), *k;
	struct api_path list = { .up = path, .name = "x-kubernetes-list-map-keys" }, at = { .up = &list };

	if (!json_array_size(keys)) {
		api_err_required(errs, &list, "must not be empty if x-kubernetes-list-type is map");
		return;
	}
	json_array_foreach (keys, at.index, k) {
		const char *name = json_string_value(k), *type;
		const json_t *p = name ? json_object_get(properties, name) : NULL, *r;
		bool always = p && json_object_get(p, "default");

		if (!p) {
			api_err_invalid(errs, &at, k, "entries must all be names of item properties");
			continue;
		}
		type = text(p, "type");
		if (streq(type, "array") || streq(type, "object"))
			api_err_invalid(errs, &at, k,
					"must be a scalar type if parent array's x-kubernetes-list-type is map");
		{
			size_t i;

			json_array_foreach (json_object_get(items, "required"), i, r)
				always = always || streq(json_string_value(r), name);
		}
		if (!always) {
			struct api_path i = { .up = path, .name = "items" }, ps = { .up = &i, .name = "properties" },
					pk = { .up = &ps, .key = name }, d = { .up = &pk, .name = "default" };

			api_err_required(
				errs, &d,
				"this property is in x-kubernetes-list-map-keys, so it must have a default or be a "
				"required property");
		}
	}
}

static void check_topology(const json_t *s, const struct api_path *path, struct api_errs *errs)
{
	static const char *const list_types[] = { "atomic", "set", "map", NULL };
	static const char *const map_types[] = { "atomic", "granular", NULL };
	const json_t *list = json_object_get(s, "x-kubernetes-list-type"),
		     *map = json_object_get(s, "x-kubernetes-map-type");
	const json_t *keys = json_object_get(s, "x-kubernetes-list-map-keys"), *items = json_object_get(s, "items");
	const char *list_type = text(s, "x-kubernetes-list-type"), *map_type = text(s, "x-kubernetes-map-type"),
		   *type = text(s, "type");
	struct api_path list_at = { .up = path, .name = "x-kubernetes-list-type" },
			map_at = { .up = path, .name = "x-kubernetes-map-type" };

	if (*list_type && !streq(list_type, "atomic") && !streq(list_type, "set") && !streq(list_type, "map"))
		api_err_unsupported(errs, &list_at, list, list_types);
	else if (*list_type && !streq(type, "array"))
		invalid_at(errs, path, "type", json_object_get(s, "type"),
			   "must be array if x-kubernetes-list-type is specified");
	else if (streq(list_type, "map") && !streq(text(items, "type"), "object"))
		api_err_invalid(errs, &list_at, list, "items must be object if x-kubernetes-list-type is map");
	if (streq(list_type, "map"))
		check_map_keys(s, keys, path, errs);
	else if (json_array_size(keys))
		invalid_at(errs, path, "x-kubernetes-list-type", list,
			   "must be map if x-kubernetes-list-map-keys is non-empty");
	if (streq(list_type, "set") &&
	    ((streq(text(items, "type"), "object") && !streq(text(items, "x-kubernetes-map-type"), "atomic")) ||
	     (streq(text(items, "type"), "array") && *text(items, "x-kubernetes-list-type") &&
	      !streq(text(items, "x-kubernetes-list-type"), "atomic"))))
		api_err_invalid(errs, &list_at, list, "items of a set must be scalars, atomic maps or atomic lists");
	if (*map_type && !streq(map_type, "atomic") && !streq(map_type, "granular"))
		api_err_unsupported(errs, &map_at, map, map_types);
	else if (*map_type && !streq(type, "object"))
		invalid_at(errs, path, "type", json_object_get(s, "type"),
			   "must be object if x-kubernetes-map-type is specified");
}

static void check_type(const json_t *s, enum level level, const struct api_path *path, struct api_errs *errs)
{
	static const char *const types[] = { "array", "boolean", "integer", "number", "object", "string", NULL };
	static const char *const empty[] = { "must not be empty at the root",
					     "must not be empty for specified array items",
					     "must not be empty for specified object fields" };
	const json_t *type = json_object_get(s, "type");
	const char *t = text(s, "type");
	bool embedded = is_true(s, "x-kubernetes-embedded-resource"), known = false;
	struct api_path at = { .up = path, .name = "type" };

	for (const char *const *k = types; *k; k++)
		known = known || streq(*k, t);
	if (*t && !known)
		api_err_unsupported(errs, &at, type, types);
	else if (embedded && !*t)
		api_err_required(errs, &at, "must be object if x-kubernetes-embedded-resource is true");
	else if (embedded && !streq(t, "object"))
		api_err_invalid(errs, &at, type, "must be object if x-kubernetes-embedded-resource is true");
	else if (!*t && (level == ROOT || (!is_true(s, "x-kubernetes-int-or-string") &&
					   !is_true(s, "x-kubernetes-preserve-unknown-fields"))))
		api_err_required(errs, &at, empty[level]);
	else if (level == ROOT && !streq(t, "object"))
		api_err_invalid(errs, &at, type, "must be object at the root");
	if (is_true(s, "x-kubernetes-int-or-string") && *t)
		api_err_invalid(errs, &at, type, "must be empty if x-kubernetes-int-or-string is true");
}

static void check_extensions(const json_t *s, const struct api_path *path, struct api_errs *errs)
{
	const json_t *preserve = json_object_get(s, "x-kubernetes-preserve-unknown-fields");

	if (json_is_false(preserve))
		invalid_at(errs, path, "x-kubernetes-preserve-unknown-fields", preserve, "must be true or undefined");
	if (is_true(s, "x-kubernetes-int-or-string") && json_is_true(preserve))
		invalid_at(errs, path, "x-kubernetes-preserve-unknown-fields", preserve,
			   "must be false if x-kubernetes-int-or-string is true");
	if (is_true(s, "x-kubernetes-embedded-resource")) {
		if (is_true(s, "x-kubernetes-int-or-string"))
			invalid_at(errs, path, "x-kubernetes-embedded-resource",
				   json_object_get(s, "x-kubernetes-embedded-resource"),
				   "must be false if x-kubernetes-int-or-string is true");
		if (json_object_get(s, "additionalProperties"))
			forbid_at(errs, path, "additionalProperties",
				  "must not be used if x-kubernetes-embedded-resource is set");
		if (!json_is_true(preserve) && !json_object_size(json_object_get(s, "properties")))
			require_at(errs, path, "properties",
				   "must not be empty if x-kubernetes-embedded-resource is true without "
				   "x-kubernetes-preserve-unknown-fields");
	}
}

static void check_metadata(const json_t *s, enum level level, const struct api_path *path, struct api_errs *errs)
{
	const json_t *meta = json_object_get(s, "metadata"), *properties = json_object_get(meta, "properties"), *v;
	struct api_path at = { .up = path, .key = "metadata" };
	bool more = false;
	const char *key;

	if (!meta)
		return;
	if (!streq(text(meta, "type"), "object"))
		invalid_at(errs, &at, "type", json_object_get(meta, "type"), "must be object");
	if (level != ROOT)
		return;
	json_object_foreach ((json_t *)properties, key, v)
		more = more || (!streq(key, "name") && !streq(key, "generateName"));
	json_object_foreach ((json_t *)meta, key, v)
		more = more || (!streq(key, "type") && !streq(key, "properties") && !streq(key, "description"));
	if (more)
		api_err_forbidden(
			errs, &at,
			"must not specify anything other than name and generateName, but metadata is implicitly "
			"specified");
}

/* A default must itself be what the schema asks for. */
static void check_default(const json_t *s, const struct api_path *path, struct api_errs *errs)
{
	const json_t *dflt = json_object_get(s, "default");
	struct api_path at = { .up = path, .name = "default" };
	struct arena arena = ARENA_INIT;
	struct api_schema *compiled = NULL;
	struct api_errs own = { 0 };
	struct err err = ERR_INIT;

	if (!dflt || errs->n)
		return;
	/* Members with defaults of their own are filled in later: only what is there is judged here. */
	if (!json_is_object(dflt) && api_schema_new(s, &arena, &compiled, &err) == 0) {
		api_schema_check(compiled, dflt, &at, &own);
		for (size_t i = 0; i < own.n; i++)
			api_errs_add(errs, own.v[i].cause, own.v[i].field, "%s", own.v[i].text);
		api_schema_free(compiled);
	} else if (json_is_object(dflt) && !streq(text(s, "type"), "object") &&
		   !is_true(s, "x-kubernetes-preserve-unknown-fields")) {
		api_err_invalid(errs, &at, dflt, "must be of the type of the schema");
	}
	api_errs_done(&own);
	arena_done(&arena);
}

static void check_schema(const json_t *s, enum level level, int depth, const struct api_path *path,
			 struct api_errs *errs)
{
	const json_t *properties = json_object_get(s, "properties"),
		     *values = json_object_get(s, "additionalProperties"), *items = json_object_get(s, "items"), *v;
	struct api_path members = { .up = path, .name = "properties" };
	bool whole = level == ROOT || is_true(s, "x-kubernetes-embedded-resource");
	const char *key;

	if (depth > MAX_SCHEMA_DEPTH) {
		api_err_forbidden(errs, path, "the schema is nested too deeply");
		return;
	}
	check_type(s, level, path, errs);
	check_unsupported(s, path, errs);
	check_extensions(s, path, errs);
	check_topology(s, path, errs);
	if (streq(text(s, "type"), "array") && !json_is_object(items))
		require_at(errs, path, "items", "must be specified");
	if (items) {
		struct api_path at = { .up = path, .name = "items" };

		check_schema(items, ITEM, depth + 1, &at, errs);
	}
	if (values && level == ROOT)
		forbid_at(errs, path, "additionalProperties", "must not be used at the root");
	if (values && json_object_size(properties) && !json_is_true(values))
		forbid_at(errs, path, "additionalProperties",
			  "additionalProperties and properties are mutual exclusive");
	if (json_is_object(values)) {
		struct api_path at = { .up = path, .name = "additionalProperties" };

		check_schema(values, FIELD, depth + 1, &at, errs);
	} else if (values && !json_is_boolean(values)) {
		invalid_at(errs, path, "additionalProperties", values, "must be a schema or a boolean");
	}
	json_object_foreach ((json_t *)properties, key, v) {
		struct api_path at = { .up = &members, .key = key };

		if (whole && streq(key, "metadata"))
			continue;
		if (whole && (streq(key, "kind") || streq(key, "apiVersion")) && !streq(text(v, "type"), "string"))
			invalid_at(errs, &at, "type", json_object_get(v, "type"), "must be string");
		check_schema(v, FIELD, depth + 1, &at, errs);
	}
	if (whole)
		check_metadata(properties, level, &members, errs);
	check_joins(s, s, depth, path, errs);
	check_default(s, path, errs);
}

void api_validate_structural(const json_t *schema, const struct api_path *path, struct api_errs *errs)
{
	check_schema(schema, ROOT, 0, path, errs);
}

/* --- versions ----------------------------------------------------------------------------------------------------- */

/* ".a.b.c": the only paths of scale and selectable fields. */
static bool simple_path(const char *p)
{
	if (*p != '.')
		return false;
	while (*p == '.') {
		size_t n = strspn(++p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

		if (!n)
			return false;
		p += n;
	}
	return !*p;
}

static void check_scale(const json_t *scale, const struct api_path *path, struct api_errs *errs)
{
	static const struct {
		const char *name;
		bool spec, status;
	} paths[] = { { "specReplicasPath", true, false },
		      { "statusReplicasPath", false, true },
		      { "labelSelectorPath", true, true } };

	for (size_t i = 0; i < 3; i++) {
		const char *p = text(scale, paths[i].name);
		const json_t *v = json_object_get(scale, paths[i].name);

		if (!*p)
			continue;
		if (!simple_path(p))
			invalid_at(errs, path, paths[i].name, v,
				   "should be a json path without the array notation, e.g. .spec.replicas");
		else if (!((paths[i].spec && str_starts(p, ".spec.")) ||
			   (paths[i].status && str_starts(p, ".status."))))
			invalid_at(errs, path, paths[i].name, v,
				   paths[i].spec && paths[i].status
					   ? "should be a json path under either .spec or .status"
				   : paths[i].spec ? "should be a json path under .spec"
						   : "should be a json path under .status");
	}
}

static void check_columns(const json_t *columns, const struct api_path *path, struct api_errs *errs)
{
	static const char *const types[] = { "boolean", "date", "integer", "number", "string", NULL };
	struct api_path list = { .up = path, .name = "additionalPrinterColumns" }, at = { .up = &list };
	const json_t *c;

	json_array_foreach (columns, at.index, c) {
		struct api_path type = { .up = &at, .name = "type" };
		bool known = false;

		for (const char *const *t = types; *t; t++)
			known = known || streq(*t, text(c, "type"));
		if (!known && *text(c, "type"))
			api_err_unsupported(errs, &type, json_object_get(c, "type"), types);
		if (*text(c, "jsonPath") && !api_jsonpath_ok(text(c, "jsonPath")))
			invalid_at(
				errs, &at, "jsonPath", json_object_get(c, "jsonPath"),
				"is not a path of members, indexes and filters, e.g. .status.conditions[?(@.type==\"Ready\")].status");
	}
}

static void check_selectable(const json_t *fields, const json_t *schema, const struct api_path *path,
			     struct api_errs *errs)
{
	struct api_path list = { .up = path, .name = "selectableFields" }, at = { .up = &list };
	const json_t *f;

	if (json_array_size(fields) > 8)
		api_path_err(errs, &list, API_C_TOO_MANY, "Too many: %zu: must have at most 8 items",
			     json_array_size(fields));
	json_array_foreach (fields, at.index, f) {
		const char *p = text(f, "jsonPath");
		const json_t *s = schema, *v = json_object_get(f, "jsonPath");
		char name[128];

		if (!simple_path(p)) {
			invalid_at(errs, &at, "jsonPath", v,
				   "is an invalid path: must be a simple path, e.g. .spec.color");
			continue;
		}
		if (str_starts(p, ".metadata.")) {
			invalid_at(errs, &at, "jsonPath", v, "must not point to fields in metadata");
			continue;
		}
		while (*p == '.' && s) {
			size_t n = strcspn(++p, ".");

			snprintf(name, sizeof(name), "%.*s", (int)n, p);
			s = json_object_get(json_object_get(s, "properties"), name);
			p += n;
		}
		if (!s)
			invalid_at(errs, &at, "jsonPath", v, "is an invalid path: does not refer to a valid field");
		else if (!streq(text(s, "type"), "string") && !streq(text(s, "type"), "boolean") &&
			 !streq(text(s, "type"), "integer"))
			invalid_at(
				errs, &at, "jsonPath", v,
				"must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.");
	}
}

static void check_version(const json_t *v, const struct api_path *path, struct api_errs *errs)
{
	const json_t *schema = api_get(v, "schema.openAPIV3Schema");
	struct api_path holder = { .up = path, .name = "schema" }, at = { .up = &holder, .name = "openAPIV3Schema" },
			subs = { .up = path, .name = "subresources" }, scale = { .up = &subs, .name = "scale" };
	const char *why = api_format_check("dns-1035-label", text(v, "name"));

	if (why && *text(v, "name"))
		invalid_at(errs, path, "name", json_object_get(v, "name"), why);
	if (!is_true(v, "deprecated") && json_object_get(v, "deprecationWarning"))
		invalid_at(errs, path, "deprecationWarning", json_object_get(v, "deprecationWarning"),
			   "can only be set for deprecated versions");
	if (strlen(text(v, "deprecationWarning")) > 256 || strpbrk(text(v, "deprecationWarning"), "\r\n\""))
		invalid_at(errs, path, "deprecationWarning", json_object_get(v, "deprecationWarning"),
			   "must be at most 256 characters of one line");
	if (json_is_object(schema))
		api_validate_structural(schema, &at, errs);
	else
		api_err_required(errs, &at, "schemas are required");
	check_scale(api_get(v, "subresources.scale"), &scale, errs);
	check_columns(json_object_get(v, "additionalPrinterColumns"), path, errs);
	check_selectable(json_object_get(v, "selectableFields"), schema, path, errs);
}

static void check_versions(const json_t *list, const struct api_path *path, struct api_errs *errs)
{
	struct api_path at = { .up = path };
	size_t storage = 0, i;
	bool unique = true;
	const json_t *v, *w;

	json_array_foreach (list, at.index, v) {
		check_version(v, &at, errs);
		storage += is_true(v, "storage");
		json_array_foreach (list, i, w)
			unique = unique && (i == at.index || !streq(text(v, "name"), text(w, "name")));
	}
	/* The value of the whole list would bury the message. */
	if (!unique)
		api_path_err(errs, path, API_C_INVALID, "Invalid value: must contain unique version names");
	if (storage != 1)
		api_path_err(errs, path, API_C_INVALID,
			     "Invalid value: must have exactly one version marked as storage version");
}

/* --- names -------------------------------------------------------------------------------------------------------- */

static void check_name(const json_t *names, const char *field, bool mixed_case, const struct api_path *path,
		       struct api_errs *errs)
{
	const char *name = text(names, field), *why;
	char lower[256], full[600];
	size_t n = 0;

	if (!*name)
		return;
	for (; name[n] && n < sizeof(lower) - 1; n++)
		lower[n] = mixed_case ? (char)tolower((unsigned char)name[n]) : name[n];
	lower[n] = '\0';
	why = api_format_check("dns-1035-label", lower);
	if (!why)
		return;
	snprintf(full, sizeof(full), "%s%s", mixed_case ? "may have mixed case, but should otherwise match: " : "",
		 why);
	invalid_at(errs, path, field, json_object_get(names, field), full);
}

static void check_names(const json_t *names, const struct api_path *path, struct api_errs *errs)
{
	static const char *const lists[] = { "shortNames", "categories" };
	const json_t *v;

	check_name(names, "plural", false, path, errs);
	check_name(names, "singular", false, path, errs);
	check_name(names, "kind", true, path, errs);
	check_name(names, "listKind", true, path, errs);
	if (*text(names, "kind") && streq(text(names, "kind"), text(names, "listKind")))
		invalid_at(errs, path, "listKind", json_object_get(names, "listKind"),
			   "kind and listKind may not be the same");
	for (size_t i = 0; i < 2; i++) {
		struct api_path list = { .up = path, .name = lists[i] }, at = { .up = &list };

		json_array_foreach (json_object_get(names, lists[i]), at.index, v) {
			const char *why = api_format_check("dns-1035-label", json_string_value(v));

			if (why)
				api_err_invalid(errs, &at, v, why);
		}
	}
}

static bool established(const json_t *obj)
{
	const json_t *c;
	size_t i;

	json_array_foreach (api_get(obj, "status.conditions"), i, c)
		if (streq(text(c, "type"), "Established"))
			return streq(text(c, "status"), "True");
	return false;
}

static void check_update(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	static const struct {
		const char *path;
		bool always;
	} fixed[] = { { "spec.group", true },
		      { "spec.names.plural", true },
		      { "spec.scope", false },
		      { "spec.names.kind", false } };
	struct api_path status = { .name = "status" }, stored = { .up = &status, .name = "storedVersions" },
			at = { .up = &stored };
	const json_t *v, *w;

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
		const json_t *a = api_get(obj, fixed[i].path), *b = api_get(old, fixed[i].path);

		if ((fixed[i].always || established(old)) && a && b && !json_equal(a, b)) {
			char *dump = json_dumps(a, JSON_COMPACT | JSON_ENCODE_ANY);

			api_errs_add(errs, API_C_INVALID, fixed[i].path, "Invalid value: %s: field is immutable",
				     dump ? dump : "");
			free(dump);
		}
	}
	json_array_foreach (api_get(obj, "status.storedVersions"), at.index, v) {
		bool there = false;
		size_t i;

		json_array_foreach (api_get(obj, "spec.versions"), i, w)
			there = there || streq(json_string_value(v), text(w, "name"));
		if (!there)
			api_err_invalid(errs, &at, v, "must appear in spec.versions");
	}
}

void api_validate_crd(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	struct api_path spec = { .name = "spec" }, names = { .up = &spec, .name = "names" },
			versions = { .up = &spec, .name = "versions" }, meta = { .name = "metadata" };
	const char *group = api_get_str(obj, "spec.group"), *plural = api_get_str(obj, "spec.names.plural");
	const json_t *preserve = api_get(obj, "spec.preserveUnknownFields");
	const char *why = group && *group ? api_format_check("dns-subdomain", group) : NULL;
	char want[400];

	snprintf(want, sizeof(want), "%s.%s", plural ? plural : "", group ? group : "");
	if (!streq(api_get_str(obj, "metadata.name"), want))
		invalid_at(errs, &meta, "name", api_get(obj, "metadata.name"),
			   "must be spec.names.plural+\".\"+spec.group");
	if (why)
		invalid_at(errs, &spec, "group", api_get(obj, "spec.group"), why);
	else if (group && *group && !strchr(group, '.'))
		invalid_at(errs, &spec, "group", api_get(obj, "spec.group"),
			   "should be a domain with at least one dot");
	else if (group && strlen(group) > 100)
		invalid_at(errs, &spec, "group", api_get(obj, "spec.group"), "must be no more than 100 characters");
	if (json_is_true(preserve))
		invalid_at(
			errs, &spec, "preserveUnknownFields", preserve,
			"must be false in order to use defaults in the schema; set x-kubernetes-preserve-unknown-fields in "
			"the schema instead");
	check_names(api_get(obj, "spec.names"), &names, errs);
	check_versions(api_get(obj, "spec.versions"), &versions, errs);
	if (old)
		check_update(obj, old, errs);
}
