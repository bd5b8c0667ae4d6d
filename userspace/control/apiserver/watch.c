/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches. A watcher goes through up to three stages: the objects there are (if it asked for no revision), what the
 * ring holds after its revision, then live. In the first two it is paced by its connection; live events are written
 * as they come, and a reader slower than the server's max_pending is cut off by it. An event is encoded once and its
 * bytes shared by all watchers.
 */
#include "apiserver-internal.h"
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/clock.h"
#include "../../lib/base/str.h"

#define CATCH_UP_BYTES (256u << 10) /* queued at most on a connection that catches up */
#define TIMEOUT_MIN_S  1800	    /* when the client sets none: 30 to 60 minutes, as Kubernetes */
#define BOOKMARK_S     60

struct watcher {
	struct list link; /* in its resource */
	struct call *c;
	struct object **initial; /* stage 1: what was there, from `pos` on */
	size_t n_initial, pos;
	int64_t rev; /* everything up to here has been sent or is not wanted */
	bool live;
	bool bookmarks, end_mark; /* end_mark: say when the initial events are out */
	bool table_columns_sent;
	int64_t ends_ms, bookmark_ms;
};

static void watch_start(struct call *c);
static void pump(struct watcher *w);
static void on_drain(struct http_req *req, void *data);
static void on_timer(struct loop_timer *timer);

static void watcher_free(struct call *c)
{
	struct watcher *w = TAKE(c->data);

	if (!w)
		return;
	for (size_t i = w->pos; i < w->n_initial; i++)
		object_unref(w->initial[i]);
	free(w->initial);
	loop_timer_cancel(&c->wait_timer);
	list_remove(&w->link);
	c->res->n_watchers--;
	metric_set(c->s->m_watchers, (double)c->res->n_watchers, c->resource);
	free(w);
}

static void watch_closed(struct call *c)
{
	watcher_free(c);
}

void registry_watch(struct call *c)
{
	int64_t rev;
	bool zero;

	if (options_check_list(c) < 0 || call_selectors(c) < 0 || call_resource_version(c, &rev, &zero) < 0)
		return;
	c->want_rev = rev;
	if (call_query_true(c, "sendInitialEvents")) {
		if (rev)
			cache_wait(c, rev, 3000, watch_start);
		else if (zero)
			watch_start(c);
		else
			cache_wait_fresh(c, watch_start);
		return;
	}
	/* Without a revision the watch starts at the newest state; "0" takes what there is. */
	if (rev || zero)
		watch_start(c);
	else
		cache_wait_fresh(c, watch_start);
}

static int take_initial(struct watcher *w)
{
	struct resource *r = w->c->res;

	w->initial = malloc((r->n ? r->n : 1) * sizeof(*w->initial));
	if (!w->initial)
		return -ENOMEM;
	for (size_t i = 0; i < r->n; i++)
		if (object_matches(w->c, r->objs[i]))
			w->initial[w->n_initial++] = object_ref(r->objs[i]);
	return 0;
}

static void watch_start(struct call *c)
{
	const char *timeout = call_query(c, "timeoutSeconds");
	bool initial = call_query_true(c, "sendInitialEvents") || c->want_rev == 0;
	int bookmark_s = c->s->config.bookmark_interval_s ? c->s->config.bookmark_interval_s : BOOKMARK_S;
	struct watcher *w;
	int64_t s = 0;

	if (cache_retired(c))
		return;
	if (timeout && *timeout && str_to_i64(timeout, 0, INT32_MAX, &s) < 0) {
		call_status(c, 400, "BadRequest",
			    "timeoutSeconds: Invalid value: \"%.64s\": must be a number of seconds", timeout);
		return;
	}
	if (!initial && c->want_rev < c->res->ring_from) {
		call_status(c, 410, "Expired", "too old resource version: %lld (%lld)", (long long)c->want_rev,
			    (long long)c->res->ring_from);
		return;
	}
	w = calloc(1, sizeof(*w));
	if (!w) {
		call_oom(c);
		return;
	}
	w->c = c;
	c->wait_timer.fn = on_timer; /* nothing is waited for any more */
	c->wait_timer.arg = w;
	w->bookmarks = call_query_true(c, "allowWatchBookmarks");
	w->end_mark = w->bookmarks && call_query_true(c, "sendInitialEvents");
	c->data = w;
	list_push_back(&c->res->watchers, &w->link);
	c->res->n_watchers++;
	metric_set(c->s->m_watchers, (double)c->res->n_watchers, c->resource);
	if (initial && take_initial(w) < 0) {
		watcher_free(c);
		call_oom(c);
		return;
	}
	w->rev = initial ? c->s->rev : c->want_rev;
	if (!s)
		s = TIMEOUT_MIN_S + (int64_t)(clock_mono_ns() / 1000 % TIMEOUT_MIN_S);
	w->ends_ms = clock_mono_ms() + s * 1000;
	w->bookmark_ms = clock_mono_ms() + bookmark_s * 1000;
	c->on_close = watch_closed;
	call_started_stream(c, 200);
	if (http_stream_start(c->req, 200, c->wants_protobuf ? PROTOBUF_TYPE ";stream=watch" : "application/json") < 0)
		return; /* on_close follows */
	(void)loop_timer_set(c->s->loop, &c->wait_timer,
			     (w->bookmarks && w->bookmark_ms < w->ends_ms ? w->bookmark_ms : w->ends_ms) -
				     clock_mono_ms());
	pump(w);
}

/* --- events ------------------------------------------------------------------------------------------------------- */

static int write_frame(struct watcher *w, struct http_buf *frame)
{
	int r;

	if (!frame)
		return -ENOMEM;
	r = http_stream_write_buf(w->c->req, frame);
	http_buf_unref(frame);
	return r;
}

static int write_object(struct watcher *w, const json_t *object, const char *type)
{
	return write_frame(w, watch_frame_of(object, type, w->c->repr));
}

/* A table of one row. It is each watcher's own: the columns come once, and the ages are of now. */
static int write_row(struct watcher *w, const json_t *obj, const char *type)
{
	json_t *items = json_pack("[O]", obj), *table;
	int r;

	table = items ? api_table(w->c->res->kind, items, call_include_object(w->c), clock_real_ms()) : NULL;
	json_decref(items);
	if (table) {
		obj_set_str(table, "metadata.resourceVersion", api_get_str(obj, "metadata.resourceVersion"));
		if (w->table_columns_sent)
			json_object_set_new(table, "columnDefinitions", json_null());
		w->table_columns_sent = true;
	}
	r = write_object(w, table, type);
	json_decref(table);
	return r;
}

static int write_table(struct watcher *w, struct http_buf *json, const char *type)
{
	json_t *obj = object_parse(w->c->res, json, false);
	int r = obj ? write_row(w, obj, type) : -ENOMEM;

	json_decref(obj);
	return r;
}

static int write_initial(struct watcher *w, struct object *o)
{
	if (w->c->repr == REPR_TABLE)
		return write_table(w, o->json, "ADDED");
	return write_frame(w, watch_frame(w->c->res, o->json, "ADDED", w->c->repr));
}

/* 1 if it is one for w, 0 if not: for the metric, which is counted once for all of them. */
static unsigned write_event(struct watcher *w, struct event *ev)
{
	static const char *const names[] = { "ADDED", "MODIFIED", "DELETED" };
	bool now = ev->cur && object_matches(w->c, ev->cur), before = ev->prev && object_matches(w->c, ev->prev);
	enum watch_type type = now ? (before ? WATCH_MODIFIED : WATCH_ADDED) : WATCH_DELETED;
	struct http_buf *b;

	if (!now && !before)
		return 0;
	if (w->c->repr != REPR_TABLE) {
		b = event_encoding(w->c->res, ev, type, w->c->repr);
		if (b)
			(void)http_stream_write_buf(w->c->req, b);
		return 1;
	}
	b = type == WATCH_DELETED ? object_json_at(w->c->res, ev->prev, ev->rev) : http_buf_ref(ev->cur->json);
	if (b) {
		(void)write_table(w, b, names[type]);
		http_buf_unref(b);
	}
	return 1;
}

static void count_events(const struct resource *r, unsigned n)
{
	if (n)
		metric_add(r->s->m_events, n, r->kind->plural);
}

static void write_bookmark(struct watcher *w, int64_t rev, bool initial_end)
{
	bool partial = w->c->repr == REPR_META || w->c->repr == REPR_META_PROTOBUF;
	char rv[24];
	json_t *obj;

	snprintf(rv, sizeof(rv), "%lld", (long long)rev);
	obj = json_pack("{s:s,s:s,s:{s:s,s:n}}", "kind", partial ? "PartialObjectMetadata" : w->c->res->kind->kind,
			"apiVersion", partial ? META_V1 : w->c->res->api_version, "metadata", "resourceVersion", rv,
			"creationTimestamp");
	if (obj && initial_end)
		json_object_set_new(json_object_get(obj, "metadata"), "annotations",
				    json_pack("{s:s}", "k8s.io/initial-events-end", "true"));
	if (obj && w->c->repr == REPR_TABLE)
		(void)write_row(w, obj, "BOOKMARK");
	else
		(void)write_object(w, obj, "BOOKMARK");
	json_decref(obj);
}

static void end(struct watcher *w)
{
	http_stream_end(w->c->req); /* on_close follows */
	w->live = false;
	list_remove(&w->link);
	loop_timer_cancel(&w->c->wait_timer);
}

/* Stages 1 and 2, as far as the connection takes it now. */
static void pump(struct watcher *w)
{
	struct resource *r = w->c->res;
	struct http_req *req = w->c->req;
	unsigned written = 0;

	while (w->pos < w->n_initial) {
		struct object *o = w->initial[w->pos];

		if (http_stream_pending(req) > CATCH_UP_BYTES)
			goto later;
		w->pos++;
		if (write_initial(w, o) == -EPIPE) {
			object_unref(o);
			return;
		}
		object_unref(o);
	}
	free(w->initial);
	w->initial = NULL;
	w->n_initial = w->pos = 0;
	if (w->end_mark) {
		w->end_mark = false;
		write_bookmark(w, w->rev, true);
	}
	if (w->rev < r->ring_from) {
		/* It read so slowly that the ring went past it. */
		json_t *st = api_status(410, "Expired", "too old resource version: the watch fell behind");

		(void)write_object(w, st, "ERROR");
		json_decref(st);
		end(w);
		return;
	}
	for (size_t i = 0; i < r->ring_n; i++) {
		struct event *ev = ring_at(r, i);

		if (ev->rev <= w->rev)
			continue;
		if (http_stream_pending(req) > CATCH_UP_BYTES)
			goto later;
		written += write_event(w, ev);
		/*
		 * Events of one revision (none of ours has two per kind, but etcd's may) must not be split by a
		 * pause.
		 */
		if (i + 1 == r->ring_n || ring_at(r, i + 1)->rev != ev->rev)
			w->rev = ev->rev;
	}
	w->live = true;
	http_stream_on_drain(req, 0, NULL);
	count_events(r, written);
	return;
later:
	count_events(r, written);
	http_stream_on_drain(req, CATCH_UP_BYTES / 4, on_drain);
}

static void on_drain(struct http_req *req, void *data)
{
	struct call *c = data;

	(void)req;
	if (c->data && !((struct watcher *)c->data)->live)
		pump(c->data);
}

void watch_dispatch(struct resource *r, struct event *ev)
{
	unsigned written = 0;

	list_for_each_safe (pos, tmp, &r->watchers) {
		struct watcher *w = list_entry(pos, struct watcher, link);

		if (w->live && ev->rev > w->rev)
			written += write_event(w, ev);
	}
	count_events(r, written);
}

static void on_timer(struct loop_timer *timer)
{
	struct watcher *w = timer->arg;
	struct apiserver *s = w->c->s;
	int64_t now = clock_mono_ms(), next;
	int bookmark_s = s->config.bookmark_interval_s ? s->config.bookmark_interval_s : BOOKMARK_S;

	if (w->bookmarks && w->live && (now >= w->bookmark_ms || now >= w->ends_ms))
		write_bookmark(w, s->rev > w->rev ? s->rev : w->rev, false);
	if (now >= w->ends_ms) {
		end(w);
		return;
	}
	if (now >= w->bookmark_ms)
		w->bookmark_ms = now + bookmark_s * 1000;
	next = w->bookmarks && w->bookmark_ms < w->ends_ms ? w->bookmark_ms : w->ends_ms;
	(void)loop_timer_set(s->loop, timer, next - now);
}

void watch_end(struct resource *r)
{
	list_for_each_safe (pos, tmp, &r->watchers)
		end(list_entry(pos, struct watcher, link));
}

void watch_end_all(struct apiserver *s)
{
	for (size_t i = 0; i < s->n_resources; i++)
		watch_end(s->resources[i]);
}
