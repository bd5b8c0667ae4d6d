/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Forms of an answer: JSON as stored, Table and PartialObjectMetadata as kubectl and metadata clients ask for them,
 * YAML.
 */
#include "apiserver-internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/clock.h"
#include "../../lib/base/str.h"

#define META_V1 "meta.k8s.io/v1"

/* One media range of an Accept header ("application/json;as=Table;v=v1;g=meta.k8s.io"): may we answer so, and how? */
static bool media_range(char *range, bool resource, enum repr *ret)
{
	char *save = NULL, *type = strtok_r(range, ";", &save), *p;
	const char *as = NULL, *v = NULL, *g = NULL;

	if (!type)
		return false;
	while ((p = strtok_r(NULL, ";", &save))) {
		while (*p == ' ')
			p++;
		if (str_starts(p, "as="))
			as = p + 3;
		else if (str_starts(p, "v="))
			v = p + 2;
		else if (str_starts(p, "g="))
			g = p + 2;
		else if (streq(p, "q=0"))
			return false;
	}
	while (*type == ' ')
		type++;
	type[strcspn(type, " ")] = '\0';
	if (as) {
		if (!resource || strcasecmp(type, "application/json") || !streq(g, "meta.k8s.io") || !streq(v, "v1"))
			return false;
		if (streq(as, "Table"))
			*ret = REPR_TABLE;
		else if (streq(as, "PartialObjectMetadata") || streq(as, "PartialObjectMetadataList"))
			*ret = REPR_META;
		else
			return false;
		return true;
	}
	*ret = REPR_JSON;
	if (!strcasecmp(type, "application/yaml")) {
		*ret = REPR_YAML;
		return true;
	}
	return !strcasecmp(type, "application/json") || streq(type, "*/*") || streq(type, "application/*");
}

int call_negotiate(struct call *c)
{
	const char *accept = c->req ? http_req_header(c->req, "accept") : NULL;
	cleanup(free) char *copy = NULL;
	char *save = NULL;

	c->repr = REPR_JSON;
	if (!accept || !*accept)
		return 0;
	copy = strdup(accept);
	if (!copy) {
		call_oom(c);
		return -1;
	}
	for (char *range = strtok_r(copy, ",", &save); range; range = strtok_r(NULL, ",", &save)) {
		enum repr repr;

		if (media_range(range, c->res && !c->sub[0], &repr)) {
			c->repr = repr;
			return 0;
		}
	}
	call_status(
		c, 406, "NotAcceptable",
		"only the following media types are accepted: application/json, application/yaml, "
		"application/json;as=Table;v=v1;g=meta.k8s.io, application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io");
	return -1;
}

json_t *partial_metadata(const json_t *obj)
{
	json_t *meta = json_object_get(obj, "metadata");

	return json_pack("{s:s,s:s,s:O?}", "kind", "PartialObjectMetadata", "apiVersion", META_V1, "metadata", meta);
}

static const char *include_of(struct call *c)
{
	const char *v = call_query(c, "includeObject");

	return v && (streq(v, "None") || streq(v, "Object")) ? v : "Metadata";
}

static void respond_yaml(struct call *c, int code, const json_t *v)
{
	cleanup(strbuf_done) struct strbuf out = STRBUF_INIT;

	api_yaml_write(v, &out);
	if (strbuf_oom(&out))
		call_oom(c);
	else
		call_bytes(c, code, "application/yaml", out.buf, out.len);
}

void call_object_json(struct call *c, int code, json_t *obj)
{
	json_t *items, *table;

	switch (c->repr) {
	case REPR_JSON:
		call_json(c, code, json_incref(obj));
		break;
	case REPR_YAML:
		respond_yaml(c, code, obj);
		break;
	case REPR_META:
		call_json(c, code, partial_metadata(obj));
		break;
	case REPR_TABLE:
		items = json_pack("[O]", obj);
		table = items ? api_table(c->res->kind, items, include_of(c), clock_real_ms()) : NULL;
		if (table)
			obj_set_str(table, "metadata.resourceVersion", api_get_str(obj, "metadata.resourceVersion"));
		json_decref(items);
		call_json(c, code, table);
		break;
	}
}

void call_object_buf(struct call *c, int code, struct http_buf *json)
{
	json_t *obj = NULL;

	if (call_dead(c))
		return;
	if (c->repr == REPR_JSON) {
		call_buf(c, code, json);
		return;
	}
	if (api_json_parse(json->data, json->len, &obj, NULL, NULL) < 0) {
		call_oom(c);
		return;
	}
	call_object_json(c, code, obj);
	json_decref(obj);
}

static json_t *list_meta(int64_t rev, const char *cont, int64_t remaining)
{
	char rv[24];
	json_t *meta;

	snprintf(rv, sizeof(rv), "%lld", (long long)rev);
	meta = json_pack("{s:s}", "resourceVersion", rv);
	if (meta && *cont) {
		json_object_set_new(meta, "continue", json_string(cont));
		if (remaining > 0)
			json_object_set_new(meta, "remainingItemCount", json_integer(remaining));
	}
	return meta;
}

/* The plain list is joined from the items' bytes: nothing is parsed. */
static void list_json(struct call *c, struct http_buf *const *items, size_t n, json_t *meta)
{
	cleanup(free) char *meta_text = json_dumps(meta, JSON_COMPACT);
	cleanup(strbuf_done) struct strbuf head = STRBUF_INIT;
	struct http_buf *out;
	size_t len;
	char *p;

	strbuf_addf(&head, "{\"kind\":\"%sList\",\"apiVersion\":\"%s\",\"metadata\":%s,\"items\":[", c->res->kind->kind,
		    c->res->api_version, meta_text ? meta_text : "{}");
	len = head.len + 2 + (n ? n - 1 : 0);
	for (size_t i = 0; i < n; i++)
		len += items[i]->len;
	out = strbuf_oom(&head) || !meta_text ? NULL : http_buf_new(NULL, len);
	if (!out) {
		call_oom(c);
		return;
	}
	p = mempcpy(out->data, head.buf, head.len);
	for (size_t i = 0; i < n; i++) {
		if (i)
			*p++ = ',';
		p = mempcpy(p, items[i]->data, items[i]->len);
	}
	memcpy(p, "]}", 2);
	call_buf(c, 200, out);
	http_buf_unref(out);
}

static json_t *parse_items(struct http_buf *const *items, size_t n, bool partial)
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < n; i++) {
		json_t *obj = NULL;

		if (api_json_parse(items[i]->data, items[i]->len, &obj, NULL, NULL) < 0)
			continue;
		if (partial) {
			json_array_append_new(array, partial_metadata(obj));
			json_decref(obj);
		} else {
			json_array_append_new(array, obj);
		}
	}
	return array;
}

void call_list(struct call *c, struct http_buf *const *items, size_t n, int64_t rev, const char *cont,
	       int64_t remaining)
{
	json_t *meta = list_meta(rev, cont, remaining), *array, *list;

	if (call_dead(c) || !meta) {
		if (!meta)
			call_oom(c);
		json_decref(meta);
		return;
	}
	if (c->repr == REPR_JSON) {
		list_json(c, items, n, meta);
		json_decref(meta);
		return;
	}
	array = parse_items(items, n, c->repr == REPR_META);
	if (!array) {
		json_decref(meta);
		call_oom(c);
		return;
	}
	if (c->repr == REPR_TABLE) {
		list = api_table(c->res->kind, array, include_of(c), clock_real_ms());
		json_decref(array);
		if (list)
			json_object_set(list, "metadata", meta);
		json_decref(meta);
		call_json(c, 200, list);
		return;
	}
	if (c->repr == REPR_META) {
		list = json_pack("{s:s,s:s,s:o,s:o}", "kind", "PartialObjectMetadataList", "apiVersion", META_V1,
				 "metadata", meta, "items", array);
		call_json(c, 200, list);
		return;
	}
	{
		char kind[128];

		snprintf(kind, sizeof(kind), "%sList", c->res->kind->kind);
		list = json_pack("{s:s,s:s,s:o,s:o}", "kind", kind, "apiVersion", c->res->api_version, "metadata", meta,
				 "items", array);
	}
	if (list)
		respond_yaml(c, 200, list);
	else
		call_oom(c);
	json_decref(list);
}
