/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request from its arrival to its answer. A call is counted: one reference is the connection's (or the inner
 * caller's), one is held by each operation under way, so that a client that goes away never pulls memory from under a
 * store's callback.
 */
#include "apiserver-internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/clock.h"
#include "../../lib/base/log.h"
#include "../../lib/base/str.h"

#define GZIP_MIN   (128 << 10)
#define PRETTY_MAX (128 << 10)

static void on_req_close(struct http_req *req, void *data);

struct call *call_new(struct apiserver *s, struct http_req *req)
{
	struct call *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->s = s;
	c->req = req;
	c->refs = 1;
	c->start_ns = clock_mono_ns();
	c->verb = c->group = c->version = c->resource = c->ns = c->name = c->sub = "";
	list_init(&c->wait_link);
	strbuf_init(&c->encoded);
	strbuf_init(&c->managed);
	strbuf_init(&c->asked);
	strbuf_init(&c->new_managed);
	list_push_back(&s->calls, &c->link);
	s->n_calls++;
	if (req)
		http_req_set_data(req, c, on_req_close);
	return c;
}

struct call *call_new_inner(struct apiserver *s, const char *verb, struct resource *res, const char *ns,
			    const char *name, const char *sub)
{
	size_t ns_size = strlen(ns) + 1, name_size = strlen(name) + 1;
	char *texts = malloc(ns_size + name_size + strlen(sub) + 1);
	struct call *c = texts ? call_new(s, NULL) : NULL;

	if (!c) {
		free(texts);
		return NULL;
	}
	c->who.user = "system:apiserver";
	c->verb = verb;
	c->res = res;
	if (res) {
		c->group = res->kind->group;
		c->resource = res->kind->plural;
	}
	c->texts = texts;
	c->ns = memcpy(texts, ns, ns_size);
	c->name = memcpy(texts + ns_size, name, name_size);
	c->sub = strcpy(texts + ns_size + name_size, sub);
	return c;
}

int call_set_name(struct call *c, const char *name)
{
	char *copy = strdup(name);

	if (!copy)
		return -ENOMEM;
	free(c->made_name);
	c->name = c->made_name = copy;
	return 0;
}

struct call *call_ref(struct call *c)
{
	c->refs++;
	return c;
}

void call_unref(struct call *c)
{
	struct apiserver *s = c->s;

	if (--c->refs)
		return;
	flow_leave(c);
	audit_free(c);
	if (c->data_free)
		c->data_free(c);
	loop_timer_cancel(&c->wait_timer);
	list_remove(&c->wait_link);
	list_remove(&c->link);
	service_release_held(c);
	admission_free(c->admission);
	identity_done(&c->who);
	if (c->real)
		identity_done(c->real);
	free(c->real);
	api_selector_free(c->labels);
	api_field_selector_free(c->fields);
	free(c->texts);
	free(c->made_name);
	free(c->manager);
	free(c->labels_text);
	free(c->fields_text);
	free(c->key);
	free(c->del);
	json_decref(c->body);
	json_decref(c->old);
	json_decref(c->stored);
	json_decref(c->obj);
	json_decref(c->reply);
	strbuf_done(&c->encoded);
	strbuf_done(&c->managed);
	strbuf_done(&c->asked);
	strbuf_done(&c->new_managed);
	if (c->parent)
		call_unref(c->parent);
	free(c);
	if (!list_empty(&s->retired))
		cache_reap(s);
	if (--s->n_calls == 0 && s->stopping && s->stopped_fn) {
		void (*fn)(void *arg) = TAKE(s->stopped_fn);

		(void)loop_post(s->loop, fn, s->stopped_arg);
	}
}

static void on_req_close(struct http_req *req, void *data)
{
	struct call *c = data;

	(void)req;
	audit_closed(c);
	c->req = NULL;
	flow_abandon(c);
	if (c->on_close)
		c->on_close(c);
	call_unref(c);
}

static void count(struct call *c, int code)
{
	char code_text[16];
	const char *resource = c->resource[0] ? c->resource : "";

	snprintf(code_text, sizeof(code_text), "%d", code);
	if (!c->keeps_seat)
		flow_leave(c);
	metric_add(c->s->m_requests, 1, c->verb, resource, code_text);
	if (!streq(c->verb, "watch"))
		metric_observe(c->s->m_seconds, (double)(clock_mono_ns() - c->start_ns) / 1e9, c->verb, resource);
}

void call_started_stream(struct call *c, int code)
{
	c->answered = true;
	count(c, code);
	audit_streaming(c, code);
}

/* Worth packing: Kubernetes' threshold, and only what is read. */
static bool worth_gzip(const struct call *c, int code, size_t len)
{
	return len >= GZIP_MIN && code == 200 && !c->packed && (streq(c->verb, "get") || streq(c->verb, "list")) &&
	       gzip_accepted(c);
}

/* For people: ?pretty=true. What is long is for programs, and stays as it is. */
static char *prettier(struct call *c, const char *type, const void *data, size_t len)
{
	const char *pretty = call_query(c, "pretty");
	json_t *v = NULL;
	char *text;

	if (!pretty || streq(pretty, "0") || streq(pretty, "false") || len > PRETTY_MAX ||
	    !streq(type, "application/json") || api_json_parse(data, len, &v, NULL, NULL) < 0)
		return NULL;
	text = json_dumps(v, JSON_INDENT(2));
	json_decref(v);
	return text;
}

static void respond_gzip(struct call *c, int code, const char *type, const void *data, size_t len)
{
	cleanup(strbuf_done) struct strbuf out = STRBUF_INIT;

	if (gzip_whole(data, len, &out) < 0) {
		http_respond(c->req, code, type, data, len);
		return;
	}
	gzip_announce(c);
	http_respond(c->req, code, type, out.buf, out.len);
}

void call_bytes(struct call *c, int code, const char *type, const void *data, size_t len)
{
	cleanup(free) char *pretty = NULL;

	if (call_dead(c))
		return;
	c->answered = true;
	if (c->finish) {
		c->finish(c, code, data, len);
		return;
	}
	count(c, code);
	audit_answered(c, code, type, data, len);
	pretty = prettier(c, type, data, len);
	if (pretty)
		http_respond(c->req, code, type, pretty, strlen(pretty));
	else if (worth_gzip(c, code, len))
		respond_gzip(c, code, type, data, len);
	else
		http_respond(c->req, code, type, data, len);
}

void call_typed_buf(struct call *c, int code, const char *type, struct http_buf *buf)
{
	if (call_dead(c))
		return;
	if (c->finish || call_query(c, "pretty") || worth_gzip(c, code, buf->len)) {
		call_bytes(c, code, type, buf->data, buf->len);
		return;
	}
	c->answered = true;
	count(c, code);
	audit_answered(c, code, type, buf->data, buf->len);
	http_respond_buf(c->req, code, type, buf);
}

void call_buf(struct call *c, int code, struct http_buf *buf)
{
	call_typed_buf(c, code, "application/json", buf);
}

/*
 * Status, and what subresources answer with, in protobuf for who asked for that and where the tables have it. An error
 * before the form was agreed on comes in the form that would have been.
 */
static bool respond_protobuf(struct call *c, int code, const json_t *body)
{
	const char *version = api_get_str(body, "apiVersion"), *kind = api_get_str(body, "kind");
	cleanup(strbuf_done) struct strbuf out = STRBUF_INIT;
	const struct api_type *type;

	if (!c->req || c->finish || !version || !kind)
		return false;
	if (!c->negotiated)
		(void)call_choose_repr(c);
	type = c->wants_protobuf ? api_protobuf_type(version, kind) : NULL;
	if (!type || !api_protobuf_has(type) || api_protobuf_write(type, version, kind, body, &out) < 0)
		return false;
	call_bytes(c, code, PROTOBUF_TYPE, out.buf, out.len);
	return true;
}

void call_json(struct call *c, int code, json_t *body)
{
	cleanup(free) char *text = NULL;

	if (call_dead(c) || (body && respond_protobuf(c, code, body))) {
		json_decref(body);
		return;
	}
	text = body ? json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
	json_decref(body);
	if (!text) {
		static const char oom[] =
			"{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\","
			"\"message\":\"out of memory\",\"reason\":\"InternalError\",\"code\":500}";

		call_bytes(c, 500, "application/json", oom, sizeof(oom) - 1);
		return;
	}
	call_bytes(c, code, "application/json", text, strlen(text));
}

void call_oom(struct call *c)
{
	call_json(c, 500, NULL);
}

static const struct api_kind *call_kind(const struct call *c)
{
	return c->res ? c->res->kind : NULL;
}

void call_status(struct call *c, int code, const char *reason, const char *fmt, ...)
{
	cleanup(strbuf_done) struct strbuf text = STRBUF_INIT;
	json_t *st;
	va_list ap;

	va_start(ap, fmt);
	strbuf_vaddf(&text, fmt, ap);
	va_end(ap);
	if (call_kind(c) && c->name[0])
		st = api_status_for(code, reason, call_kind(c), c->name, text.buf);
	else
		st = api_status(code, reason, text.buf);
	if (code == 429 || code == 503 || code == 504) {
		if (st)
			(void)api_set(st, "details.retryAfterSeconds", json_integer(1));
		if (c->req && !c->answered && code != 504)
			http_add_header(c->req, "Retry-After", "1");
	}
	call_json(c, code, st);
}

const char *call_resource_name(const struct call *c, char *buf, size_t size)
{
	snprintf(buf, size, "%s%s%s", c->resource, c->group[0] ? "." : "", c->group);
	return buf;
}

void call_not_found(struct call *c)
{
	char buf[256];

	call_status(c, 404, "NotFound", "%s \"%s\" not found", call_resource_name(c, buf, sizeof(buf)), c->name);
}

void call_conflict(struct call *c, const char *fmt, ...)
{
	cleanup(strbuf_done) struct strbuf text = STRBUF_INIT;
	char buf[256];
	va_list ap;

	va_start(ap, fmt);
	strbuf_vaddf(&text, fmt, ap);
	va_end(ap);
	call_status(c, 409, "Conflict", "Operation cannot be fulfilled on %s%s%s \"%s\": %s",
		    call_resource_name(c, buf, sizeof(buf)), c->sub[0] && !streq(c->sub, "status") ? "/" : "",
		    c->sub[0] && !streq(c->sub, "status") ? c->sub : "", c->name, text.buf);
}

void call_invalid(struct call *c, const struct api_errs *errs)
{
	call_json(c, 422, api_status_invalid(call_kind(c), c->name, errs));
}

void call_options_invalid(struct call *c, const char *kind, const struct api_errs *errs)
{
	const struct api_kind options = { .group = "meta.k8s.io", .version = "v1", .kind = kind };

	call_json(c, 422, api_status_invalid(&options, "", errs));
}

void call_invalid1(struct call *c, enum api_cause cause, const char *field, const char *fmt, ...)
{
	struct api_errs errs = { 0 };
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	api_errs_add(&errs, cause, field, "%s", text);
	call_invalid(c, &errs);
	api_errs_done(&errs);
}

void call_store_error(struct call *c, int r, const struct err *err)
{
	const char *why = err && err->code ? err->msg : strerror(-r);

	switch (r) {
	case -EAGAIN:
		call_status(c, 503, "ServiceUnavailable", "the store is unavailable: %s", why);
		break;
	case -ENOSPC:
		call_status(c, 507, "InternalError", "the store is full, nothing can be written: %s. %s", why,
			    c->s->single_writer
				    ? "Make room on its file system"
				    : "Delete what is not needed, then run `etcdctl defrag` and `etcdctl alarm "
				      "disarm` on etcd, or give it a larger --quota-backend-bytes");
		break;
	case -E2BIG:
		call_status(c, 413, "RequestEntityTooLarge", "the object is too large for the store: %s", why);
		break;
	default:
		if (!c->s->stopping)
			log_error("store: %s", why);
		call_status(c, 500, "InternalError", "Internal error occurred: store: %s", why);
	}
}

const char *call_query(struct call *c, const char *name)
{
	return c->req ? http_req_query(c->req, name) : NULL;
}

bool call_query_true(struct call *c, const char *name)
{
	const char *v = call_query(c, name);

	return v && (streq(v, "1") || streq(v, "true") || streq(v, "True") || streq(v, "t") || streq(v, "T"));
}
