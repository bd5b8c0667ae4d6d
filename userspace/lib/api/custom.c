/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A version of a CustomResourceDefinition as a kind: its structural schema becomes the tables of fields that built-in
 * kinds have (what a value is made of, defaults, keys of lists), its rules a schema to check by. Called by the API
 * server with definitions that passed validation; what a schema leaves open is any JSON.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../base/cleanup.h"
#include "../base/str.h"
#include "api-internal.h"
#include "api/api_types.h"

/* While building: the first failure sticks and everything after it is cheap. */
struct maker {
	struct arena *arena;
	bool oom;
};

static const char *const none[] = { NULL };

static void fill(struct maker *m, struct api_field *f, const char *name, const json_t *schema);

static void *take(struct maker *m, size_t n, size_t size)
{
	void *p = arena_calloc(m->arena, n ? n : 1, size);

	if (!p)
		m->oom = true;
	return p;
}

static const char *copy(struct maker *m, const char *s)
{
	char *p = s ? arena_strdup(m->arena, s) : NULL;

	if (s && !p)
		m->oom = true;
	return p;
}

static bool is_true(const json_t *schema, const char *name)
{
	return json_is_true(json_object_get(schema, name));
}

static const char *text(const json_t *schema, const char *name)
{
	const char *s = json_string_value(json_object_get(schema, name));

	return s ? s : "";
}

static const char *const *words(struct maker *m, const json_t *list)
{
	const char **v;
	size_t i, n = 0;
	json_t *s;

	if (!json_array_size(list))
		return none;
	v = take(m, json_array_size(list) + 1, sizeof(*v));
	if (v)
		json_array_foreach (list, i, s)
			if (json_is_string(s))
				v[n++] = copy(m, json_string_value(s));
	return v ? v : none;
}

/* --- types -------------------------------------------------------------------------------------------------------- */

static void metadata_field(struct api_field *f, unsigned flags)
{
	*f = (struct api_field){ .name = "metadata",
				 .doc = "Name, labels and what else every object carries.",
				 .type = API_OBJECT,
				 .flags = flags,
				 .offset = API_NO_OFFSET,
				 .n_offset = API_NO_OFFSET,
				 .object = &api_type_object_meta,
				 .max = -1 };
}

static void string_field(struct api_field *f, const char *name, const char *doc)
{
	*f = (struct api_field){
		.name = name, .doc = doc, .offset = API_NO_OFFSET, .n_offset = API_NO_OFFSET, .max = -1
	};
}

/* An object with named members. whole: it has apiVersion, kind and metadata, whatever the schema says of them. */
static const struct api_type *object_type(struct maker *m, const char *name, const json_t *schema, bool whole,
					  bool root)
{
	const json_t *properties = json_object_get(schema, "properties");
	struct api_type *t = take(m, 1, sizeof(*t));
	struct api_field *f = take(m, json_object_size(properties) + 3, sizeof(*f));
	const char *key;
	json_t *v;

	if (!t || !f)
		return &api_type_object_meta; /* never used: the maker has failed */
	t->name = name;
	t->doc = copy(m, text(schema, "description"));
	t->fields = f;
	t->atomic = streq(text(schema, "x-kubernetes-map-type"), "atomic");
	t->flags = API_TYPE_CUSTOM | (is_true(schema, "x-kubernetes-preserve-unknown-fields") ? API_TYPE_OPEN : 0u);
	if (whole) {
		string_field(&f[t->n_fields++], "apiVersion", "Group and version of this representation.");
		string_field(&f[t->n_fields++], "kind", "Kind of this object.");
		metadata_field(&f[t->n_fields++], root ? API_EMBEDDED : 0);
	}
	json_object_foreach ((json_t *)properties, key, v) {
		if (whole && (streq(key, "apiVersion") || streq(key, "kind") || streq(key, "metadata")))
			continue;
		fill(m, &f[t->n_fields++], copy(m, key), v);
	}
	return t;
}

static bool is_list_or_map(const json_t *schema)
{
	json_t *values = json_object_get(schema, "additionalProperties");

	return !is_true(schema, "x-kubernetes-int-or-string") &&
	       (streq(text(schema, "type"), "array") ||
		(streq(text(schema, "type"), "object") && (json_is_object(values) || json_is_true(values))));
}

/* What one value is; lists and maps within lists and maps get a field of their own. */
static void fill_value(struct maker *m, struct api_field *f, const json_t *schema)
{
	static const struct {
		const char *name;
		enum api_field_type type;
	} scalars[] = {
		{ "string", API_STRING }, { "boolean", API_BOOL }, { "integer", API_INT64 }, { "number", API_DOUBLE }
	};
	const char *type = text(schema, "type");

	if (is_true(schema, "x-kubernetes-int-or-string")) {
		f->type = API_INT_OR_STRING;
		return;
	}
	if (is_list_or_map(schema)) {
		struct api_field *nested = take(m, 1, sizeof(*nested));

		f->type = API_NESTED;
		if (nested)
			fill(m, nested, "", schema);
		f->nested = nested;
		return;
	}
	for (size_t i = 0; i < sizeof(scalars) / sizeof(scalars[0]); i++)
		if (streq(type, scalars[i].name)) {
			f->type = (uint8_t)scalars[i].type;
			return;
		}
	/* No type is any JSON, unless members of it are described all the same. */
	if (!streq(type, "object") && !json_object_size(json_object_get(schema, "properties"))) {
		f->type = API_RAW;
		return;
	}
	f->type = API_OBJECT;
	f->object = object_type(m, f->name, schema, is_true(schema, "x-kubernetes-embedded-resource"), false);
}

static void fill_list(struct maker *m, struct api_field *f, const json_t *schema)
{
	const char *list_type = text(schema, "x-kubernetes-list-type");

	f->shape = API_LIST;
	fill_value(m, f, json_object_get(schema, "items"));
	if (streq(list_type, "map")) {
		f->map_keys = words(m, json_object_get(schema, "x-kubernetes-list-map-keys"));
		f->flags |= API_UNIQUE;
	} else if (streq(list_type, "set")) {
		f->is_set = true;
	} else {
		f->flags |= API_ATOMIC;
	}
}

static void fill(struct maker *m, struct api_field *f, const char *name, const json_t *schema)
{
	json_t *dflt = json_object_get(schema, "default");

	*f = (struct api_field){ .name = name, .offset = API_NO_OFFSET, .n_offset = API_NO_OFFSET, .max = -1 };
	f->doc = copy(m, text(schema, "description"));
	if (is_true(schema, "nullable"))
		f->flags |= API_NULLABLE;
	if (dflt) {
		char *dump = json_dumps(dflt, JSON_COMPACT | JSON_ENCODE_ANY);

		f->default_json = dump ? copy(m, dump) : NULL;
		m->oom = m->oom || !dump;
		free(dump);
	}
	if (streq(text(schema, "x-kubernetes-map-type"), "atomic"))
		f->flags |= API_ATOMIC;
	if (!is_list_or_map(schema)) {
		fill_value(m, f, schema);
	} else if (streq(text(schema, "type"), "array")) {
		fill_list(m, f, schema);
	} else {
		json_t *values = json_object_get(schema, "additionalProperties");

		f->shape = API_MAP;
		if (json_is_object(values))
			fill_value(m, f, values);
		else
			f->type = API_RAW;
	}
}

/* --- the kind ----------------------------------------------------------------------------------------------------- */

/* jsonPath without the leading dot, as paths are here. */
static const char *simple_path(struct maker *m, const char *path)
{
	return path ? copy(m, path + (*path == '.')) : NULL;
}

static void make_columns(struct maker *m, struct api_kind *k, const json_t *defined)
{
	size_t n = json_array_size(defined), i;
	struct api_column *c = take(m, n + 2, sizeof(*c));
	json_t *d;

	if (!c)
		return;
	k->columns = c;
	c[k->n_columns++] = (struct api_column){ "Name", "string", "name", 0, ".metadata.name", NULL };
	json_array_foreach (defined, i, d)
		c[k->n_columns++] = (struct api_column){ .name = copy(m, text(d, "name")),
							 .type = copy(m, text(d, "type")),
							 .format = copy(m, text(d, "format")),
							 .priority = (int)api_get_int(d, "priority", 0),
							 .path = copy(m, text(d, "jsonPath")) };
	if (!n)
		c[k->n_columns++] = (struct api_column){ "Age", "date", "", 0, ".metadata.creationTimestamp", NULL };
}

static void make_subresources(struct maker *m, struct api_custom *c, const json_t *version)
{
	json_t *subs = json_object_get(version, "subresources"), *scale = json_object_get(subs, "scale");
	const char **v = take(m, 3, sizeof(*v));
	size_t n = 0;

	if (!v)
		return;
	c->has_status = json_is_object(json_object_get(subs, "status"));
	if (c->has_status)
		v[n++] = "status";
	if (json_is_object(scale)) {
		v[n++] = "scale";
		c->scale_spec = simple_path(m, api_get_str(scale, "specReplicasPath"));
		c->scale_status = simple_path(m, api_get_str(scale, "statusReplicasPath"));
		c->scale_selector = simple_path(m, api_get_str(scale, "labelSelectorPath"));
	}
	c->kind.subresources = v;
}

static void make_selectable(struct maker *m, struct api_kind *k, const json_t *fields)
{
	const char **v = take(m, json_array_size(fields) + 1, sizeof(*v));
	size_t i;
	json_t *f;

	if (!v)
		return;
	json_array_foreach (fields, i, f)
		v[i] = simple_path(m, text(f, "jsonPath"));
	k->selectable = v;
}

/* "example.com" to "com.example", for the name of the schema in OpenAPI. */
static const char *package_of(struct maker *m, const char *group, const char *version)
{
	cleanup(strbuf_done) struct strbuf sb = STRBUF_INIT;

	for (const char *end = group + strlen(group); end >= group;) {
		const char *start = end;

		while (start > group && start[-1] != '.')
			start--;
		strbuf_add(&sb, start, (size_t)(end - start));
		strbuf_addc(&sb, '.');
		end = start - 1;
	}
	strbuf_adds(&sb, version);
	m->oom = m->oom || strbuf_oom(&sb);
	return copy(m, sb.buf);
}

static void make_kind(struct maker *m, struct api_custom *c, const json_t *definition, const json_t *version)
{
	json_t *names = api_get(definition, "status.acceptedNames"), *schema = c->openapi;
	struct api_kind *k = &c->kind;
	struct api_type *type;

	if (!api_get_str(names, "kind") || !*api_get_str(names, "kind"))
		names = api_get(definition, "spec.names");
	k->custom = c;
	k->group = copy(m, api_get_str(definition, "spec.group"));
	k->version = copy(m, text(version, "name"));
	k->plural = copy(m, text(names, "plural"));
	k->singular = copy(m, text(names, "singular"));
	k->kind = copy(m, text(names, "kind"));
	k->list_kind = copy(m, text(names, "listKind"));
	k->short_names = words(m, json_object_get(names, "shortNames"));
	k->categories = words(m, json_object_get(names, "categories"));
	k->namespaced = streq(api_get_str(definition, "spec.scope"), "Namespaced");
	k->has_spec_generation = true;
	k->name_format = "dns-subdomain";
	make_columns(m, k, json_object_get(version, "additionalPrinterColumns"));
	make_subresources(m, c, version);
	make_selectable(m, k, json_object_get(version, "selectableFields"));
	type = (struct api_type *)object_type(m, k->kind, schema, true, true);
	k->type = type;
	if (m->oom)
		return;
	type->package = package_of(m, k->group, k->version);
	if (json_is_true(json_object_get(version, "deprecated"))) {
		const char *warning = api_get_str(version, "deprecationWarning");

		c->deprecated = warning ? copy(m, warning)
					: arena_printf(m->arena, "%s/%s %s is deprecated", k->group, k->version,
						       k->kind);
		m->oom = m->oom || !c->deprecated;
	}
}

int api_custom_new(const json_t *definition, const json_t *version, struct api_custom **ret, struct err *err)
{
	json_t *schema = api_get(version, "schema.openAPIV3Schema");
	struct api_custom *c = calloc(1, sizeof(*c));
	struct maker m = { 0 };
	int r;

	if (!c)
		return err_set(err, ENOMEM, "out of memory");
	m.arena = &c->arena;
	c->openapi = json_is_object(schema)
			     ? json_deep_copy(schema)
			     : json_pack("{s:s,s:b}", "type", "object", "x-kubernetes-preserve-unknown-fields", 1);
	if (!c->openapi)
		m.oom = true;
	else
		make_kind(&m, c, definition, version);
	if (m.oom) {
		api_custom_free(c);
		return err_set(err, ENOMEM, "out of memory");
	}
	r = api_schema_new(c->openapi, &c->arena, &c->schema, err);
	if (r < 0) {
		api_custom_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

void api_custom_free(struct api_custom *c)
{
	if (!c)
		return;
	api_schema_free(c->schema);
	json_decref(c->openapi);
	arena_done(&c->arena);
	free(c);
}
