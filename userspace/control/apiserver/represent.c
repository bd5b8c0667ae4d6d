/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Forms of an object: JSON as stored, YAML, protobuf, and Table and PartialObjectMetadata as kubectl and metadata
 * clients ask for them. Lists are list_stream.c's, events watch.c's, the choice negotiate.c's.
 */
#include "apiserver-internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/clock.h"
#include "../../lib/base/str.h"

json_t *partial_metadata(const json_t *obj)
{
	json_t *meta = json_object_get(obj, "metadata");

	return json_pack("{s:s,s:s,s:O?}", "kind", "PartialObjectMetadata", "apiVersion", META_V1, "metadata", meta);
}

/*
 * A stored object begins with kind, apiVersion and metadata (resource.head), so that its metadata can be cut out
 * without reading the rest.
 */
static size_t metadata_cut(const struct resource *r, const struct http_buf *json, const char **ret)
{
	const char *start = json->data + r->head_len - 1, *end = json->data + json->len, *p;
	bool in_string = false;
	int depth = 0;

	for (p = start; p < end; p++) {
		if (in_string) {
			if (*p == '\\')
				p++;
			else if (*p == '"')
				in_string = false;
		} else if (*p == '"') {
			in_string = true;
		} else if (*p == '{') {
			depth++;
		} else if (*p == '}' && --depth == 0) {
			p++;
			break;
		}
	}
	*ret = start;
	return (size_t)(p - start);
}

static int write_meta_json(const struct resource *r, const struct http_buf *json, struct strbuf *out)
{
	const char *meta;
	size_t len = metadata_cut(r, json, &meta);

	strbuf_adds(out, "{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"" META_V1 "\",\"metadata\":");
	strbuf_add(out, meta, len);
	strbuf_addc(out, '}');
	return strbuf_oom(out) ? -ENOMEM : 0;
}

/* Of the object, what a protobuf form needs: all of it, or only its metadata. */
json_t *object_parse(const struct resource *r, const struct http_buf *json, bool only_metadata)
{
	const char *meta;
	json_t *obj = NULL, *v = NULL;
	size_t len;

	if (!only_metadata)
		return api_json_parse(json->data, json->len, &obj, NULL, NULL) < 0 ? NULL : obj;
	len = metadata_cut(r, json, &meta);
	if (api_json_parse(meta, len, &v, NULL, NULL) < 0)
		return NULL;
	return json_pack("{s:o}", "metadata", v);
}

static int write_protobuf(const struct resource *r, const struct http_buf *json, bool partial, struct strbuf *out)
{
	json_t *obj = object_parse(r, json, partial);
	int n = -ENOMEM;

	if (obj && partial)
		n = api_protobuf_write(&api_type_partial_object_metadata, META_V1, "PartialObjectMetadata", obj, out);
	else if (obj)
		n = api_protobuf_write(r->kind->type, r->api_version, r->kind->kind, obj, out);
	json_decref(obj);
	return n;
}

int object_write_form(const struct resource *r, const struct http_buf *json, enum repr repr, struct strbuf *out)
{
	switch (repr) {
	case REPR_META:
		return write_meta_json(r, json, out);
	case REPR_PROTOBUF:
	case REPR_META_PROTOBUF:
		return write_protobuf(r, json, repr == REPR_META_PROTOBUF, out);
	default:
		strbuf_add(out, json->data, json->len);
		return strbuf_oom(out) ? -ENOMEM : 0;
	}
}

const char *call_include_object(struct call *c)
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
	cleanup(strbuf_done) struct strbuf out = STRBUF_INIT;
	json_t *items, *table;

	switch (c->repr) {
	case REPR_JSON:
		call_json(c, code, json_incref(obj));
		break;
	case REPR_YAML:
		respond_yaml(c, code, obj);
		break;
	case REPR_PROTOBUF: /* call_json() sees to it, by the object's own kind */
		call_json(c, code, json_incref(obj));
		break;
	case REPR_META:
		call_json(c, code, partial_metadata(obj));
		break;
	case REPR_META_PROTOBUF:
		if (api_protobuf_write(&api_type_partial_object_metadata, META_V1, "PartialObjectMetadata", obj, &out) <
		    0)
			call_oom(c);
		else
			call_bytes(c, code, PROTOBUF_TYPE, out.buf, out.len);
		break;
	case REPR_TABLE:
		items = json_pack("[O]", obj);
		table = items ? api_table(c->res->kind, items, call_include_object(c), clock_real_ms()) : NULL;
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
	if (c->repr == REPR_JSON && !c->wants_protobuf) {
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
