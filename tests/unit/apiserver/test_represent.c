/* SPDX-License-Identifier: Apache-2.0 */
/* The forms of answers and how they are agreed on: protobuf, tables, metadata, gzip, OpenAPI, and long lists. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/str.h"

#define PB	   "application/vnd.kubernetes.protobuf"
#define TABLE	   "application/json;as=Table;v=v1;g=meta.k8s.io"
#define META	   "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
#define META_LIST  "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
#define META_PB	   PB ";as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
#define OPENAPI_PB "application/com.github.proto-openapi.spec.v2"

static struct fx f;

static void setup(void)
{
	fx_init(&f);
	f.config.bookmark_interval_s = 1;
	fx_start(&f);
}

static void teardown(void)
{
	fx_done(&f);
}

TestSuite(represent, .init = setup, .fini = teardown, .timeout = 180);

/* --- which form --------------------------------------------------------------------------------------------------- */

Test(represent, accept_is_weighed)
{
	static const struct {
		const char *accept, *path;
		int status;
		const char *type, *kind; /* kind NULL: not JSON */
	} t[] = {
		{ "application/json", CMS, 200, "application/json", "ConfigMapList" },
		{ "*/*", CMS, 200, "application/json", "ConfigMapList" },
		{ "application/*", CMS, 200, "application/json", "ConfigMapList" },
		{ PB ",application/json", CMS, 200, PB, NULL },
		{ PB ";q=0.5,application/json", CMS, 200, "application/json", "ConfigMapList" },
		{ PB, CMS, 200, PB, NULL },
		{ "*/*, " PB, CMS, 200, PB, NULL },
		{ "application/json;q=0.1 , application/yaml ; q=0.9", CMS, 200, "application/yaml", NULL },
		{ "application/yaml", CMS "/x", 200, "application/yaml", NULL },
		{ "text/html, application/json;q=0.2", CMS, 200, "application/json", "ConfigMapList" },
		{ "application/json;q=0, text/html", CMS, 406, "application/json", "Status" },
		{ "text/html", CMS, 406, "application/json", "Status" },
		{ "text/html", CMS "/x", 406, "application/json", "Status" },
		{ "application/yaml", CMS "?watch=1&timeoutSeconds=1", 406, "application/json", "Status" },
		{ TABLE, CMS, 200, "application/json", "Table" },
		{ TABLE, CMS "/x", 200, "application/json", "Table" },
		{ "application/json;as=Table;v=v1beta1;g=meta.k8s.io," TABLE, CMS, 200, "application/json", "Table" },
		{ "application/json;as=Table;v=v9;g=meta.k8s.io,application/json", CMS, 200, "application/json",
		  "ConfigMapList" },
		{ "application/json;as=Table;v=v9;g=meta.k8s.io", CMS, 406, "application/json", "Status" },
		{ "application/json;as=Pie;v=v1;g=meta.k8s.io", CMS, 406, "application/json", "Status" },
		{ PB ";as=Table;v=v1;g=meta.k8s.io," TABLE, CMS, 200, "application/json", "Table" },
		{ META, CMS "/x", 200, "application/json", "PartialObjectMetadata" },
		{ META_LIST, CMS, 200, "application/json", "PartialObjectMetadataList" },
		{ META_PB "," META, CMS, 200, PB, NULL },
		{ META_PB, CMS "/x", 200, PB, NULL },
		{ PB, CMS "/none", 404, PB, NULL },
		{ PB ",application/json", "/apis/apps/v1/namespaces/default/deployments/x/scale", 404, PB, NULL },
		{ TABLE, "/apis/apps/v1/namespaces/default/deployments/d/status", 200, "application/json", "Table" },
		{ "application/json", "/apis/apps/v1/namespaces/default/deployments/d/scale", 200, "application/json",
		  "Scale" },
		{ PB, "/apis/apps/v1/namespaces/default/deployments/d/scale", 200, PB, NULL },
	};

	fx_do(&f, 201, "POST", CMS, CM("x", "\"a\":\"b\""));
	fx_do(&f, 201, "POST", "/apis/apps/v1/namespaces/default/deployments",
	      "{\"metadata\":{\"name\":\"d\"},\"spec\":{\"selector\":{\"matchLabels\":{\"a\":\"b\"}},\"template\":{"
	      "\"metadata\":{\"labels\":{\"a\":\"b\"}},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}}}");
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct answer a = fx_call(&f, ADMIN, "GET", t[i].path, NULL, t[i].accept, NULL);
		const char *kind = api_get_str(a.json, "kind");

		cr_assert(a.status == t[i].status, "case %zu: %d: %s", i, a.status, a.text);
		cr_assert(streq(a.content_type, t[i].type), "case %zu: %s", i, a.content_type);
		cr_assert(streq(kind, t[i].kind), "case %zu: %s", i, kind);
		answer_done(&a);
	}
}

static json_t *from_protobuf(const void *data, size_t len)
{
	struct err err = ERR_INIT;
	json_t *ret = NULL;

	cr_assert(api_protobuf_parse(data, len, &ret, &err) == 0, "%s", err.msg);
	return ret;
}

Test(represent, objects_and_errors_in_protobuf)
{
	struct answer a;
	json_t *o, *want;

	fx_do(&f, 201, "POST", PODS, POD("p", "\"nodeSelector\":{\"a\":\"b\"},"));
	want = fx_expect(&f, 200, "GET", PODS "/p", NULL);
	a = fx_call(&f, ADMIN, "GET", PODS "/p", NULL, PB, NULL);
	o = from_protobuf(a.text, a.len);
	cr_assert_str_eq(api_get_str(o, "kind"), "Pod");
	cr_assert(json_equal(json_object_get(o, "metadata"), json_object_get(want, "metadata")));
	cr_assert(json_equal(api_get(o, "spec"), api_get(want, "spec")));
	json_decref(o);
	json_decref(want);
	answer_done(&a);
	/* what is written in protobuf is answered in it */
	a = fx_call(&f, ADMIN, "POST", CMS, "application/json", PB, CM("new", "\"k\":\"v\""));
	cr_assert(a.status == 201);
	o = from_protobuf(a.text, a.len);
	cr_assert_str_eq(api_get_str(o, "data.k"), "v");
	json_decref(o);
	answer_done(&a);
	a = fx_call(&f, ADMIN, "GET", CMS "/none", NULL, PB, NULL);
	o = from_protobuf(a.text, a.len);
	cr_assert(a.status == 404);
	cr_assert_str_eq(api_get_str(o, "kind"), "Status");
	cr_assert_str_eq(api_get_str(o, "reason"), "NotFound");
	cr_assert_str_eq(api_get_str(o, "message"), "configmaps \"none\" not found");
	cr_assert(api_get_int(o, "code", 0) == 404);
	json_decref(o);
	answer_done(&a);
	a = fx_call(&f, STRANGER, "GET", CMS, NULL, PB, NULL);
	o = from_protobuf(a.text, a.len);
	cr_assert(a.status == 403);
	cr_assert_str_eq(api_get_str(o, "reason"), "Forbidden");
	json_decref(o);
	answer_done(&a);
	a = fx_call(&f, ADMIN, "DELETE", CMS "/new", NULL, PB, NULL);
	o = from_protobuf(a.text, a.len);
	cr_assert_str_eq(api_get_str(o, "status"), "Success");
	json_decref(o);
	answer_done(&a);
}

/* --- reading protobuf --------------------------------------------------------------------------------------------- */

struct span {
	const unsigned char *p, *end;
};

static uint64_t varint(struct span *s)
{
	uint64_t v = 0;

	for (int shift = 0;; shift += 7) {
		cr_assert(s->p < s->end);
		v |= (uint64_t)(*s->p & 0x7f) << shift;
		if (!(*s->p++ & 0x80))
			return v;
	}
}

/* i-th bytes in that field of a message, which has fields of bytes only; empty if there is none. */
static struct span sub(struct span s, unsigned number, size_t i)
{
	while (s.p < s.end) {
		uint64_t tag = varint(&s), len = varint(&s);
		struct span v = { s.p, s.p + len };

		cr_assert((tag & 7) == 2 && len <= (uint64_t)(s.end - s.p));
		if (tag >> 3 == number && i-- == 0)
			return v;
		s.p += len;
	}
	return (struct span){ NULL, NULL };
}

static bool is(struct span s, const char *text)
{
	return s.p && (size_t)(s.end - s.p) == strlen(text) && !memcmp(s.p, text, strlen(text));
}

/* The message in an envelope of that kind. */
static struct span unwrap(const void *data, size_t len, const char *kind)
{
	struct span s = { (const unsigned char *)data + 4, (const unsigned char *)data + len };

	cr_assert(len > 4 && !memcmp(data, "k8s\0", 4));
	cr_assert(is(sub(sub(s, 1, 0), 2, 0), kind));
	return sub(s, 2, 0);
}

static struct span name_of(struct span object)
{
	struct span meta = sub(object, 1, 0), at = meta;
	uint64_t tag = varint(&at), len = varint(&at);

	cr_assert(tag == (1 << 3 | 2));
	return (struct span){ at.p, at.p + len };
}

Test(represent, lists_in_protobuf)
{
	struct answer a;
	struct span list;

	fx_do(&f, 201, "POST", CMS, CM("a", "\"k\":\"v\""));
	fx_do(&f, 201, "POST", CMS, CM("b", ""));
	a = fx_call(&f, ADMIN, "GET", CMS, NULL, PB, NULL);
	list = unwrap(a.text, a.len, "ConfigMapList");
	cr_assert(is(name_of(sub(list, 2, 0)), "a") && is(name_of(sub(list, 2, 1)), "b"));
	cr_assert(!sub(list, 2, 2).p);
	cr_assert(sub(sub(list, 1, 0), 2, 0).p, "resourceVersion");
	cr_assert(memmem(a.text, a.len, "\x0a\x01k\x12\x01v", 6));
	answer_done(&a);
	a = fx_call(&f, ADMIN, "GET", CMS, NULL, META_PB, NULL);
	list = unwrap(a.text, a.len, "PartialObjectMetadataList");
	cr_assert(is(name_of(sub(list, 2, 0)), "a") && is(name_of(sub(list, 2, 1)), "b"));
	cr_assert(!memmem(a.text, a.len, "\x0a\x01k\x12\x01v", 6));
	answer_done(&a);
	a = fx_call(&f, ADMIN, "GET", CMS "?labelSelector=none", NULL, PB, NULL);
	cr_assert(!sub(unwrap(a.text, a.len, "ConfigMapList"), 2, 0).p);
	answer_done(&a);
}

/* --- watches ------------------------------------------------------------------------------------------------------ */

struct raw {
	struct strbuf buf;
	int status;
	bool done;
	char type[96];
	size_t at;
	bool hold; /* do not keep the bytes */
	size_t bytes;
};

static int on_data(struct http_call *call, void *arg, const void *data, size_t len)
{
	struct raw *r = arg;

	(void)call;
	r->bytes += len;
	strbuf_add(&r->buf, data, len);
	return 0;
}

static void on_status(struct http_call *call, void *arg, int status)
{
	(void)call;
	((struct raw *)arg)->status = status;
}

static void on_header(struct http_call *call, void *arg, const char *name, const char *value)
{
	struct raw *r = arg;

	(void)call;
	if (!strcasecmp(name, "content-type"))
		snprintf(r->type, sizeof(r->type), "%s", value);
}

static void on_done(struct http_call *call, void *arg, const struct http_response *rsp)
{
	struct raw *r = arg;

	(void)call;
	r->done = true;
	r->status = rsp->status;
}

static struct http_call *raw_start(struct raw *r, const char *path, const char *accept)
{
	struct http_call_config c = { .method = "GET",
				      .path = path,
				      .accept = accept,
				      .headers = f.headers,
				      .timeout_ms = -1,
				      .on_data = on_data,
				      .on_status = on_status,
				      .on_header = on_header,
				      .on_done = on_done,
				      .arg = r };
	struct http_call *call;

	memset(r, 0, sizeof(*r));
	strbuf_init(&r->buf);
	call = http_call_start(f.clients[ADMIN], &c);
	cr_assert(call);
	return call;
}

static void run_until(const bool *flag)
{
	int64_t end = clock_mono_ms() + 60000;

	while (!*flag) {
		cr_assert(clock_mono_ms() < end);
		loop_run_once(f.loop, 1000);
	}
}

/* The next frame: 4 bytes of length, WatchEvent {1: type, 2: RawExtension {1: envelope}}. */
static json_t *next_frame(struct raw *r, const char *type, const char *kind)
{
	const unsigned char *p;
	struct span event, object;
	json_t *ret;
	size_t len;

	while (r->buf.len < r->at + 4)
		loop_run_once(f.loop, 1000);
	p = (unsigned char *)r->buf.buf + r->at;
	len = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
	while (r->buf.len < r->at + 4 + len)
		loop_run_once(f.loop, 1000);
	p = (unsigned char *)r->buf.buf + r->at + 4;
	event = (struct span){ p, p + len };
	r->at += 4 + len;
	cr_assert(is(sub(event, 1, 0), type), "%s", sub(event, 1, 0).p);
	object = sub(sub(event, 2, 0), 1, 0);
	if (streq(kind, "PartialObjectMetadata")) {
		struct span name = name_of(unwrap(object.p, (size_t)(object.end - object.p), kind));

		return json_stringn((const char *)name.p, (size_t)(name.end - name.p));
	}
	ret = from_protobuf(object.p, (size_t)(object.end - object.p));
	cr_assert_str_eq(api_get_str(ret, "kind"), kind);
	return ret;
}

static void expect_frame(struct raw *r, const char *type, const char *name)
{
	json_t *o = next_frame(r, type, "ConfigMap");

	cr_assert_str_eq(api_get_str(o, "metadata.name"), name);
	json_decref(o);
}

Test(represent, watches_in_protobuf)
{
	struct raw w, w2, m;
	struct http_call *calls[3];
	json_t *o;

	fx_do(&f, 201, "POST", CMS, CM("a", ""));
	calls[0] = raw_start(&w, CMS "?watch=1&resourceVersion=0", PB ",application/json");
	calls[1] = raw_start(&w2, CMS "?watch=1&resourceVersion=0&allowWatchBookmarks=1", PB);
	calls[2] = raw_start(&m, CMS "?watch=1&resourceVersion=0", META_PB);
	expect_frame(&w, "ADDED", "a");
	expect_frame(&w2, "ADDED", "a");
	o = next_frame(&m, "ADDED", "PartialObjectMetadata");
	cr_assert_str_eq(json_string_value(o), "a");
	json_decref(o);
	cr_assert_str_eq(w.type, PB ";stream=watch");
	cr_assert_str_eq(m.type, PB ";stream=watch");
	fx_do(&f, 200, "PATCH", CMS "/a", "{\"data\":{\"k\":\"v\"}}");
	o = next_frame(&w, "MODIFIED", "ConfigMap");
	cr_assert_str_eq(api_get_str(o, "data.k"), "v");
	json_decref(o);
	expect_frame(&w2, "MODIFIED", "a");
	o = next_frame(&m, "MODIFIED", "PartialObjectMetadata");
	json_decref(o);
	fx_do(&f, 200, "DELETE", CMS "/a", NULL);
	expect_frame(&w, "DELETED", "a");
	o = next_frame(&w2, "DELETED", "ConfigMap");
	json_decref(o);
	o = next_frame(&w2, "BOOKMARK", "ConfigMap");
	cr_assert(api_get_str(o, "metadata.resourceVersion") != NULL);
	json_decref(o);
	for (int i = 0; i < 3; i++)
		http_call_cancel(calls[i]);
	strbuf_done(&w.buf);
	strbuf_done(&w2.buf);
	strbuf_done(&m.buf);
}

Test(represent, watches_of_metadata_and_tables)
{
	struct fx_watch meta, table;
	json_t *ev;

	fx_do(&f, 201, "POST", CMS, CM("a", "\"brace\":\"}\\\"{\""));
	fx_do(&f, 200, "PATCH", CMS "/a", "{\"metadata\":{\"annotations\":{\"x\":\"}}\\\\\\\"{\"}}}");
	fx_watch_start(&f, &meta, ADMIN, CMS "?watch=1&resourceVersion=0&allowWatchBookmarks=1", META);
	fx_watch_start(&f, &table, ADMIN, CMS "?watch=1&resourceVersion=0&includeObject=None", TABLE);
	ev = fx_watch_expect(&meta, "ADDED", "a");
	cr_assert_str_eq(api_get_str(ev, "object.kind"), "PartialObjectMetadata");
	cr_assert_str_eq(api_get_str(ev, "object.apiVersion"), "meta.k8s.io/v1");
	cr_assert_str_eq(json_string_value(json_object_get(api_get(ev, "object.metadata.annotations"), "x")),
			 "}}\\\"{");
	cr_assert(!api_get(ev, "object.data"));
	ev = fx_watch_expect(&table, "ADDED", NULL);
	cr_assert(json_array_size(api_get(ev, "object.columnDefinitions")) == 3);
	cr_assert(json_is_null(json_object_get(json_array_get(api_get(ev, "object.rows"), 0), "object")));
	fx_do(&f, 200, "PATCH", CMS "/a", "{\"data\":{\"c\":\"d\"}}");
	ev = fx_watch_expect(&meta, "MODIFIED", "a");
	cr_assert(!api_get(ev, "object.data"));
	ev = fx_watch_expect(&table, "MODIFIED", NULL);
	cr_assert(json_is_null(api_get(ev, "object.columnDefinitions")));
	cr_assert(json_array_size(api_get(ev, "object.rows")) == 1);
	cr_assert(json_integer_value(json_array_get(
			  json_object_get(json_array_get(api_get(ev, "object.rows"), 0), "cells"), 1)) == 2);
	fx_do(&f, 200, "DELETE", CMS "/a", NULL);
	fx_watch_expect(&meta, "DELETED", "a");
	fx_watch_expect(&table, "DELETED", NULL);
	ev = fx_watch_expect(&meta, "BOOKMARK", NULL);
	cr_assert_str_eq(api_get_str(ev, "object.kind"), "PartialObjectMetadata");
	fx_watch_done(&meta);
	fx_watch_done(&table);
}

/* --- OpenAPI ------------------------------------------------------------------------------------------------------ */

static struct answer get_with(const char *path, const char *accept, const char *header)
{
	const char *headers[] = { header, NULL };
	struct answer a;

	f.headers = headers;
	a = fx_call(&f, ADMIN, "GET", path, NULL, accept, NULL);
	f.headers = NULL;
	return a;
}

static char *gunzip(const struct answer *a, size_t *ret_len)
{
	z_stream z = { .next_in = (Bytef *)a->text, .avail_in = (uInt)a->len };
	size_t cap = 64 << 20;
	char *out = malloc(cap);

	cr_assert(out && inflateInit2(&z, 15 + 16) == Z_OK);
	z.next_out = (Bytef *)out;
	z.avail_out = (uInt)cap;
	cr_assert(inflate(&z, Z_FINISH) == Z_STREAM_END);
	*ret_len = z.total_out;
	inflateEnd(&z);
	return out;
}

Test(represent, openapi_v2_in_both_forms_with_etags)
{
	struct answer a, b;
	char *plain, etag[128];
	size_t len;

	a = fx_call(&f, ADMIN, "GET", "/openapi/v2", NULL, OPENAPI_PB "@v1.0+protobuf", NULL);
	cr_assert(a.status == 200 && !memcmp(a.text,
					     "\x0a\x03"
					     "2.0",
					     5));
	cr_assert_str_eq(a.content_type, OPENAPI_PB ".v1.0+protobuf");
	answer_done(&a);
	a = fx_call(&f, ADMIN, "GET", "/openapi/v2", NULL, OPENAPI_PB ".v1.0+protobuf, application/json;q=0.5", NULL);
	cr_assert_str_eq(a.content_type, OPENAPI_PB ".v1.0+protobuf");
	snprintf(etag, sizeof(etag), "If-None-Match: %s", a.etag);
	b = get_with("/openapi/v2", OPENAPI_PB ".v1.0+protobuf", etag);
	cr_assert(b.status == 304 && b.len == 0);
	answer_done(&b);
	b = get_with("/openapi/v2", "application/json", etag);
	cr_assert(b.status == 200, "another form is another document");
	cr_assert_str_eq(api_get_str(b.json, "swagger"), "2.0");
	answer_done(&a);
	a = get_with("/openapi/v2", "application/json", "Accept-Encoding: br, gzip;q=0.8");
	cr_assert_str_eq(a.encoding, "gzip");
	plain = gunzip(&a, &len);
	cr_assert(len == b.len && !memcmp(plain, b.text, len));
	cr_assert(a.len < b.len / 4);
	free(plain);
	answer_done(&a);
	answer_done(&b);
	a = get_with("/openapi/v2", "application/json", "Accept-Encoding: gzip;q=0");
	cr_assert(!a.encoding && a.json);
	answer_done(&a);
	a = fx_call(&f, ADMIN, "GET", "/openapi/v2", NULL, "text/html", NULL);
	cr_assert(a.status == 406);
	answer_done(&a);
}

Test(represent, openapi_v3_addresses_change_with_their_contents)
{
	json_t *index = fx_expect(&f, 200, "GET", "/openapi/v3", NULL);
	json_t *entry = json_object_get(json_object_get(index, "paths"), "apis/apps/v1");
	const char *url = api_get_str(entry, "serverRelativeURL");
	struct answer a;

	cr_assert(url && strstr(url, "/openapi/v3/apis/apps/v1?hash="));
	a = fx_call(&f, ADMIN, "GET", url, NULL, "application/json", NULL);
	cr_assert(a.status == 200 && a.etag);
	cr_assert_str_eq(api_get_str(a.json, "openapi"), "3.0.0");
	answer_done(&a);
	a = fx_call(&f, ADMIN, "GET", "/openapi/v3/apis/apps/v1?hash=OLD", NULL, "application/json", NULL);
	cr_assert(a.status == 301);
	cr_assert_str_eq(a.location, url);
	answer_done(&a);
	fx_do(&f, 404, "GET", "/openapi/v3/apis/nope/v1", NULL);
	fx_do(&f, 404, "GET", "/openapi/v3/api/v1/more", NULL);
	fx_do(&f, 404, "GET", "/openapi/v3/", NULL);
	json_decref(index);
}

#define WIDGETS "/apis/example.com/v1/namespaces/default/widgets"

/* Custom kinds have no field numbers: JSON if the client takes it. Their metadata is as everyone's. */
Test(represent, custom_kinds_have_no_protobuf)
{
	struct answer a = fx_call(&f, ADMIN, "GET", "/openapi/v2", NULL, OPENAPI_PB ".v1.0+protobuf", NULL);
	char *etag = strdup(a.etag);
	struct span list;
	struct fx_watch w;
	struct raw m;
	struct http_call *call;
	json_t *o;

	answer_done(&a);
	fx_do(&f, 201, "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
	      "{\"metadata\":{\"name\":\"widgets.example.com\"},\"spec\":{\"group\":\"example.com\",\"scope\":\"Namespaced\","
	      "\"names\":{\"plural\":\"widgets\",\"kind\":\"Widget\"},\"versions\":[{\"name\":\"v1\",\"served\":true,\"storage\":true,"
	      "\"schema\":{\"openAPIV3Schema\":{\"type\":\"object\",\"properties\":{\"size\":{\"type\":\"integer\"}}}}}]}}");
	fx_do(&f, 201, "POST", WIDGETS,
	      "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\",\"metadata\":{\"name\":\"w\"},\"size\":3}");
	a = fx_call(&f, ADMIN, "GET", WIDGETS, NULL, PB ",application/json", NULL);
	cr_assert(a.status == 200 && streq(api_get_str(a.json, "kind"), "WidgetList"), "%s", a.text);
	answer_done(&a);
	a = fx_call(&f, ADMIN, "GET", WIDGETS "/w", NULL, PB, NULL);
	cr_assert(a.status == 406 && strstr(a.text, "application/json, application/yaml"), "%s", a.text);
	answer_done(&a);
	a = fx_call(&f, ADMIN, "GET", WIDGETS, NULL, META_PB, NULL);
	list = unwrap(a.text, a.len, "PartialObjectMetadataList");
	cr_assert(is(name_of(sub(list, 2, 0)), "w"));
	answer_done(&a);
	fx_watch_start(&f, &w, ADMIN, WIDGETS "?watch=1&resourceVersion=0", PB ",application/json");
	fx_watch_expect(&w, "ADDED", "w");
	fx_watch_done(&w);
	call = raw_start(&m, WIDGETS "?watch=1&resourceVersion=0", META_PB);
	o = next_frame(&m, "ADDED", "PartialObjectMetadata");
	cr_assert_str_eq(json_string_value(o), "w");
	json_decref(o);
	http_call_cancel(call);
	strbuf_done(&m.buf);
	/* and the documents change with the kinds */
	a = fx_call(&f, ADMIN, "GET", "/openapi/v2", NULL, OPENAPI_PB ".v1.0+protobuf", NULL);
	cr_assert(strcmp(a.etag, etag) != 0);
	cr_assert(memmem(a.text, a.len, "com.example.v1.Widget", 21), "the kind is not there");
	answer_done(&a);
	free(etag);
}

/* --- long lists --------------------------------------------------------------------------------------------------- */

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED true
#else
#define SANITIZED false
#endif
#define LONG_N	  120
#define LONG_SIZE 200000

static void make_long(void)
{
	char *body = malloc(LONG_SIZE + 512);

	cr_assert(body);
	for (int i = 0; i < LONG_N; i++) {
		int n = snprintf(
			body, 256,
			"{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"big-%03d\"},\"data\":{\"a\":\"",
			i);

		memset(body + n, 'x', LONG_SIZE);
		strcpy(body + n + LONG_SIZE, "\"}}");
		fx_do(&f, 201, "POST", CMS, body);
	}
	free(body);
}

static size_t rss_kb(void)
{
	FILE *s = fopen("/proc/self/statm", "re");
	unsigned long size, rss;

	cr_assert(s && fscanf(s, "%lu %lu", &size, &rss) == 2);
	fclose(s);
	return rss * (size_t)sysconf(_SC_PAGESIZE) / 1024;
}

/* Everything the loop has to do at once, which a paused reader keeps finite. */
static void settle(void)
{
	for (int i = 0; i < 200; i++)
		loop_run_once(f.loop, 1);
}

static bool valid(struct raw *r, const char *accept, const char *last)
{
	json_t *v = NULL;
	bool ok;

	if (str_starts(accept, PB))
		return r->buf.len > 4 && memmem(r->buf.buf, r->buf.len, last, strlen(last));
	if (str_starts(accept, "application/yaml"))
		return str_starts(r->buf.buf, "apiVersion: v1\nitems:\n- apiVersion: v1\n") &&
		       strstr(r->buf.buf, "\nkind: ConfigMapList\nmetadata:\n  resourceVersion: ") &&
		       strstr(r->buf.buf, last);
	ok = api_json_parse(r->buf.buf, r->buf.len, &v, NULL, NULL) == 0 && strstr(r->buf.buf, last) &&
	     json_array_size(json_object_get(v, json_object_get(v, "rows") ? "rows" : "items")) == LONG_N;
	json_decref(v);
	return ok;
}

/*
 * A reader that stops leaves the server with a few pieces of the answer, not with all of it; what it gets when it goes
 * on is the list of the moment it asked, though the objects are others by then.
 */
Test(represent, a_long_list_costs_little_while_its_reader_waits)
{
	static const struct {
		const char *accept, *query;
	} forms[] = {
		{ "application/json", "" },
		{ TABLE, "?includeObject=Object" },
		{ PB, "" },
		{ "application/yaml", "" },
	};

	make_long();
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct raw r;
		struct http_call *call;
		size_t before, after;
		char path[128], marker[32], patch[96];

		snprintf(path, sizeof(path), CMS "%s", forms[i].query);
		settle();
		before = rss_kb();
		call = raw_start(&r, path, forms[i].accept);
		while (!r.bytes)
			loop_run_once(f.loop, 1000);
		http_call_pause(call, true);
		settle();
		after = rss_kb();
		/*
		 * 24 MB in all. Connection buffers of both sides are in this process, and so is what ASan holds back,
		 * and what the reader has got before it stopped, which is more the slower the machine.
		 */
		cr_assert(SANITIZED || after < before + 6000 + r.buf.cap / 1024, "%s: %zu KB more, %zu of them read",
			  forms[i].accept, after - before, r.buf.cap / 1024);
		cr_assert(r.bytes < LONG_N * (size_t)LONG_SIZE / 2, "%s: %zu bytes came", forms[i].accept, r.bytes);
		/* the last object was different when the list began */
		snprintf(marker, sizeof(marker), "moment-%zu", i);
		snprintf(patch, sizeof(patch), "{\"metadata\":{\"labels\":{\"at\":\"%s\"}}}", marker);
		fx_do(&f, 200, "PATCH", CMS "/big-119", patch);
		http_call_pause(call, false);
		run_until(&r.done);
		cr_assert(r.status == 200);
		cr_assert(r.bytes > LONG_N * (size_t)LONG_SIZE, "%s: %zu", forms[i].accept, r.bytes);
		cr_assert(!memmem(r.buf.buf, r.buf.len, marker, strlen(marker)), "%s", forms[i].accept);
		cr_assert(valid(&r, forms[i].accept, "big-119"), "%s", forms[i].accept);
		strbuf_done(&r.buf);
	}
}

Test(represent, a_long_list_in_protobuf_has_its_length)
{
	struct answer a;
	struct span list;
	size_t n = 0;

	make_long();
	a = fx_call(&f, ADMIN, "GET", CMS, NULL, PB, NULL);
	list = unwrap(a.text, a.len, "ConfigMapList");
	cr_assert(list.end == (unsigned char *)a.text + a.len);
	while (sub(list, 2, n).p)
		n++;
	cr_assert(n == LONG_N);
	answer_done(&a);
	a = fx_call(&f, ADMIN, "GET", CMS, NULL, META_PB, NULL);
	list = unwrap(a.text, a.len, "PartialObjectMetadataList");
	cr_assert(list.end == (unsigned char *)a.text + a.len && a.len < 30000);
	cr_assert(is(name_of(sub(list, 2, LONG_N - 1)), "big-119"));
	answer_done(&a);
	a = fx_call(&f, ADMIN, "GET", CMS, NULL, META_LIST, NULL);
	cr_assert(json_array_size(json_object_get(a.json, "items")) == LONG_N && a.len < 60000);
	answer_done(&a);
}

Test(represent, long_answers_are_packed)
{
	struct answer a;
	char *plain;
	size_t len;
	json_t *v = NULL;

	fx_do(&f, 201, "POST", CMS, CM("small", ""));
	a = get_with(CMS, "application/json", "Accept-Encoding: gzip");
	cr_assert(!a.encoding && a.json, "short answers are not");
	answer_done(&a);
	fx_do(&f, 200, "DELETE", CMS "/small", NULL);
	make_long();
	a = get_with(CMS, "application/json", "Accept-Encoding: gzip");
	cr_assert_str_eq(a.encoding, "gzip");
	plain = gunzip(&a, &len);
	cr_assert(a.len < len / 50);
	cr_assert(api_json_parse(plain, len, &v, NULL, NULL) == 0);
	cr_assert(json_array_size(json_object_get(v, "items")) == LONG_N);
	json_decref(v);
	free(plain);
	answer_done(&a);
	/* one object */
	a = get_with(CMS "/big-000", "application/json", "Accept-Encoding: gzip");
	cr_assert_str_eq(a.encoding, "gzip");
	plain = gunzip(&a, &len);
	cr_assert(len > LONG_SIZE && str_starts(plain, "{\"kind\":\"ConfigMap\""));
	free(plain);
	answer_done(&a);
}

/* A list whose reader goes away in the middle, and one that the server's end cuts off: nothing is left or touched. */
Test(represent, readers_of_long_lists_go_away)
{
	struct raw r[3];
	struct http_call *calls[3];

	make_long();
	for (int i = 0; i < 3; i++) {
		calls[i] = raw_start(&r[i], CMS, i == 1 ? PB : "application/json");
		while (!r[i].bytes)
			loop_run_once(f.loop, 1000);
		http_call_pause(calls[i], true);
	}
	settle();
	http_call_cancel(calls[0]);
	http_call_cancel(calls[1]);
	settle();
	fx_do(&f, 200, "GET", CMS "/big-000", NULL);
	fx_stop(&f);
	for (int i = 0; i < 3; i++)
		strbuf_done(&r[i].buf);
	fx_start(&f);
}

/* A reader that takes nothing for the time a request may last is cut off, and knows that it has not got everything. */
Test(represent, a_reader_that_stalls_loses_its_list)
{
	struct raw r;
	struct http_call *call;
	struct http_client *mine, *usual;
	char url[64];
	struct http_client_config own = { .base_url = url, .tls = &f.tls[ADMIN] };
	int64_t end = clock_mono_ms() + 60000;
	bool seated = true, was_seated = false;

	make_long();
	fx_stop(&f);
	f.config.request_timeout_s = 1;
	fx_start(&f);
	/* a connection of its own: others' traffic on it would have libcurl read on */
	snprintf(url, sizeof(url), "https://127.0.0.1:%d", apiserver_port(f.server, 0));
	cr_assert(http_client_new(f.loop, &own, &mine, NULL) == 0);
	usual = f.clients[ADMIN];
	f.clients[ADMIN] = mine;
	call = raw_start(&r, CMS, "application/json");
	f.clients[ADMIN] = usual;
	while (!r.bytes)
		loop_run_once(f.loop, 1000);
	http_call_pause(call, true);
	while (seated) {
		struct answer a = fx_call(&f, ADMIN, "GET", "/metrics", NULL, "*/*", NULL);
		const char *seats = strstr(a.text, "current_executing_requests{priority_level=\"exempt\"");

		cr_assert(clock_mono_ms() < end, "it still has its seat");
		cr_assert(seats && (seats = strchr(seats, '}')));
		seated = atoi(seats + 1) > 1; /* this request is one */
		was_seated |= seated;
		answer_done(&a);
		loop_run_once(f.loop, 20);
	}
	cr_assert(was_seated);
	http_call_pause(call, false);
	run_until(&r.done);
	cr_assert(r.status == 0, "%d, %zu bytes", r.status, r.bytes);
	cr_assert(r.bytes < LONG_N * (size_t)LONG_SIZE);
	strbuf_done(&r.buf);
	http_client_free(mine);
	fx_do(&f, 200, "GET", CMS "/big-000", NULL);
}

Test(represent, head_and_other_methods)
{
	struct answer a;

	fx_do(&f, 201, "POST", CMS, CM("a", ""));
	a = fx_call(&f, ADMIN, "HEAD", CMS "/a", NULL, NULL, NULL);
	cr_assert(a.status == 200 && a.len == 0, "%d", a.status);
	answer_done(&a);
	a = fx_call(&f, ADMIN, "OPTIONS", CMS, NULL, NULL, NULL);
	cr_assert(a.status == 405, "%d", a.status);
	answer_done(&a);
	a = fx_call(&f, ADMIN, "GET", "/api/v1/configmaps/a", NULL, NULL, NULL);
	cr_assert(a.status == 404, "%d", a.status);
	answer_done(&a);
	a = fx_call(&f, ADMIN, "PATCH", CMS "/a", "text/plain", NULL, "{}");
	cr_assert(a.status == 415);
	cr_assert(strstr(a.text, "application/merge-patch+json"), "%s", a.text);
	answer_done(&a);
}
