/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of objects, as kubectl asks for them (meta.k8s.io/v1 Table): see api.h. Columns come from the schema. */
#include "table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/clock.h"
#include "../base/str.h"
#include "api-internal.h"

/* As k8s.io/apimachinery's HumanDuration: two units where the second still says something. */
void api_human_duration(int64_t ms, char *buf, size_t size)
{
	int64_t s = ms / 1000, m = s / 60, h = m / 60, d = h / 24;

	if (s < -1)
		snprintf(buf, size, "<invalid>");
	else if (s < 0)
		snprintf(buf, size, "0s");
	else if (s < 120)
		snprintf(buf, size, "%llds", (long long)s);
	else if (m < 10)
		s % 60 ? snprintf(buf, size, "%lldm%llds", (long long)m, (long long)(s % 60))
		       : snprintf(buf, size, "%lldm", (long long)m);
	else if (m < 180)
		snprintf(buf, size, "%lldm", (long long)m);
	else if (h < 8)
		m % 60 ? snprintf(buf, size, "%lldh%lldm", (long long)h, (long long)(m % 60))
		       : snprintf(buf, size, "%lldh", (long long)h);
	else if (h < 48)
		snprintf(buf, size, "%lldh", (long long)h);
	else if (d < 8)
		h % 24 ? snprintf(buf, size, "%lldd%lldh", (long long)d, (long long)(h % 24))
		       : snprintf(buf, size, "%lldd", (long long)d);
	else if (d < 365 * 2)
		snprintf(buf, size, "%lldd", (long long)d);
	else if (d < 365 * 8 && d % 365)
		snprintf(buf, size, "%lldy%lldd", (long long)(d / 365), (long long)(d % 365));
	else
		snprintf(buf, size, "%lldy", (long long)(d / 365));
}

json_t *api_column_age_of(const char *time, int64_t now_ms)
{
	char buf[32];
	int64_t ms;

	if (!time || clock_rfc3339_parse(time, &ms) < 0)
		return json_string("<unknown>");
	api_human_duration(now_ms - ms, buf, sizeof(buf));
	return json_string(buf);
}

json_t *api_column_selector(const json_t *selector)
{
	struct strbuf sb = STRBUF_INIT;
	const json_t *v, *e;
	const char *key;
	json_t *out;
	size_t i, k;

	json_object_foreach (json_object_get(selector, "matchLabels"), key, v)
		strbuf_addf(&sb, "%s%s=%s", sb.len ? "," : "", key, json_string_value(v) ?: "");
	json_array_foreach (json_object_get(selector, "matchExpressions"), i, e) {
		const char *op = api_get_str(e, "operator");

		key = api_get_str(e, "key") ?: "";
		if (sb.len)
			strbuf_addc(&sb, ',');
		if (streq(op, "Exists") || streq(op, "DoesNotExist")) {
			strbuf_addf(&sb, "%s%s", streq(op, "Exists") ? "" : "!", key);
			continue;
		}
		strbuf_addf(&sb, "%s %s (", key, streq(op, "In") ? "in" : "notin");
		json_array_foreach (json_object_get(e, "values"), k, v)
			strbuf_addf(&sb, "%s%s", k ? "," : "", json_string_value(v) ?: "");
		strbuf_addc(&sb, ')');
	}
	out = json_string(sb.len ? sb.buf : "<none>");
	strbuf_done(&sb);
	return out;
}

static json_t *age(const json_t *obj, int64_t now_ms)
{
	return api_column_age_of(api_get_str(obj, "metadata.creationTimestamp"), now_ms);
}

static api_column_fn *find(const char *name)
{
	static const struct api_column_impl *const sets[] = { api_pod_columns,	   api_workload_columns,
							      api_core_columns,	   api_more_workload_columns,
							      api_storage_columns, api_flow_columns,
							      api_rbac_columns,	   api_certificate_columns,
							      api_policy_columns };

	if (streq(name, "age"))
		return age;
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
		for (const struct api_column_impl *c = sets[i]; c->name; c++)
			if (streq(c->name, name))
				return c->fn;
	return NULL;
}

/* Columns of custom kinds: the first value at their path, in the form of their type. */
static json_t *custom_cell(const struct api_column *c, const json_t *obj, int64_t now_ms)
{
	const json_t *v = api_jsonpath_first(obj, c->path);
	char *text;
	json_t *ret;

	if (!v || json_is_null(v))
		return json_null();
	if (streq(c->type, "date"))
		return json_is_string(v) ? api_column_age_of(json_string_value(v), now_ms) : json_null();
	if (streq(c->type, "integer"))
		return json_is_number(v) ? json_integer((json_int_t)json_number_value(v)) : json_null();
	if (streq(c->type, "number"))
		return json_is_number(v) ? json_incref((json_t *)v) : json_null();
	if (streq(c->type, "boolean"))
		return json_is_boolean(v) ? json_incref((json_t *)v) : json_null();
	if (json_is_string(v))
		return json_incref((json_t *)v);
	text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
	ret = json_string(text ? text : "");
	free(text);
	return ret;
}

static json_t *cell(const struct api_kind *kind, const struct api_column *c, const json_t *obj, int64_t now_ms)
{
	json_t *v;

	if (c->fn) {
		api_column_fn *fn = find(c->fn);

		v = fn ? fn(obj, now_ms) : NULL;
		return v ? v : json_null();
	}
	if (kind->custom)
		return custom_cell(c, obj, now_ms);
	v = api_get(obj, c->path[0] == '.' ? c->path + 1 : c->path);
	if (streq(c->type, "date") && json_is_string(v))
		return api_column_age_of(json_string_value(v), now_ms);
	if (v)
		return json_incref(v);
	return streq(c->type, "boolean") ? json_false() : json_string("");
}

json_t *api_table_cells(const struct api_kind *kind, const json_t *obj, int64_t now_ms)
{
	json_t *cells = json_array(), *stored = kind->stored_as ? api_view_stored(kind, obj, NULL) : NULL;

	/* A view has the columns of what it is a form of. */
	for (size_t i = 0; i < kind->n_columns; i++)
		json_array_append_new(cells, cell(kind, &kind->columns[i], stored ? stored : obj, now_ms));
	json_decref(stored);
	return cells;
}

static json_t *row_object(const json_t *obj, const char *include)
{
	json_t *partial;

	if (streq(include, "None"))
		return json_null();
	if (streq(include, "Object"))
		return json_incref((json_t *)obj);
	partial = json_pack("{s:s,s:s}", "kind", "PartialObjectMetadata", "apiVersion", "meta.k8s.io/v1");
	if (json_object_get(obj, "metadata"))
		json_object_set(partial, "metadata", json_object_get(obj, "metadata"));
	return partial;
}

json_t *api_table_columns(const struct api_kind *kind)
{
	json_t *defs = json_array();

	for (size_t i = 0; i < kind->n_columns; i++) {
		const struct api_column *c = &kind->columns[i];

		json_array_append_new(defs, json_pack("{s:s,s:s,s:s,s:s,s:i}", "name", c->name, "type", c->type,
						      "format", c->format ? c->format : "", "description", c->name,
						      "priority", c->priority));
	}
	return defs;
}

json_t *api_table_row(const struct api_kind *kind, const json_t *obj, const char *include, int64_t now_ms)
{
	return json_pack("{s:o,s:o}", "cells", api_table_cells(kind, obj, now_ms), "object", row_object(obj, include));
}

json_t *api_table(const struct api_kind *kind, const json_t *items, const char *include, int64_t now_ms)
{
	json_t *rows = json_array(), *item;
	size_t i;

	json_array_foreach (items, i, item)
		json_array_append_new(rows, api_table_row(kind, item, include, now_ms));
	return json_pack("{s:s,s:s,s:{},s:o,s:o}", "kind", "Table", "apiVersion", "meta.k8s.io/v1", "metadata",
			 "columnDefinitions", api_table_columns(kind), "rows", rows);
}
