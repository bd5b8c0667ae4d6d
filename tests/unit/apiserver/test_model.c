/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random operations of several clients at once, with watches and lists, against one API server on the embedded store
 * and against two on etcd, servers being stopped in the middle; history.c judges what came of it. SKEP_MODEL_SEED and
 * SKEP_MODEL_OPS choose another run.
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../store/etcd_server.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/str.h"
#include "history.h"

enum { N_CLIENTS = 8, N_KEYS = 6, N_STREAMS = 8, MAX_OPS = 20000, PATIENCE_MS = 120000 };

static const char *const keys[N_KEYS] = { "ma/x", "ma/y", "ma/z", "mb/x", "mb/y", "mb/z" };

struct client {
	struct http_call *call;
	struct fx *at;
	size_t write, list; /* index + 1 of what is under way */
	bool wrote;	    /* its last write was acknowledged: it may look for it elsewhere */
	struct strbuf more; /* continue token's query of a list in chunks */
};

struct stream {
	struct h_stream seen;
	size_t cap;
	struct http_call *call;
	struct fx *at;
	struct strbuf line;
	char path[160];
	int64_t rv;		 /* seen so far */
	bool initial;		 /* the present state is being sent */
	struct h_list *snapshot; /* it becomes this */
};

static struct fx servers[2];
static int n_servers;
static struct client clients[N_CLIENTS];
static struct stream streams[N_STREAMS];
static struct h_write writes[MAX_OPS];
static struct h_list lists[MAX_OPS];
static size_t n_writes, n_lists, n_started, n_wanted;
static int64_t tick, seen_rv[N_KEYS]; /* a version that somebody saw */
static uint64_t rng, seed;

static unsigned rnd(unsigned n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (unsigned)(rng >> 33) % n;
}

static size_t key_index(const char *key)
{
	for (size_t i = 0; i < N_KEYS; i++)
		if (!strcmp(keys[i], key))
			return i;
	return N_KEYS;
}

/* false: not one of ours (kube-root-ca.crt and the like are of other namespaces). */
static bool to_object(const json_t *o, struct h_object *ret)
{
	const char *ns = api_get_str(o, "metadata.namespace"), *name = api_get_str(o, "metadata.name");
	const char *label = api_get_str(o, "metadata.labels.l"), *value = api_get_str(o, "data.v");
	size_t k;

	*ret = (struct h_object){ .label = label ? label[0] : 0,
				  .rv = strtoll(api_get_str(o, "metadata.resourceVersion") ?: "0", NULL, 10) };
	snprintf(ret->key, sizeof(ret->key), "%.15s/%.15s", ns ? ns : "", name ? name : "");
	snprintf(ret->value, sizeof(ret->value), "%.23s", value ? value : "");
	k = key_index(ret->key);
	if (k < N_KEYS)
		seen_rv[k] = ret->rv;
	return k < N_KEYS;
}

static void add_item(struct h_list *l, const struct h_object *o)
{
	l->items = reallocarray(l->items, l->n + 1, sizeof(*l->items));
	cr_assert(l->items);
	l->items[l->n++] = *o;
}

/* --- watches ------------------------------------------------------------------------------------------------------ */

static void on_stream_line(struct stream *s, const char *line, size_t len)
{
	json_t *ev = NULL, *o;
	struct h_object obj;
	const char *type;

	cr_assert(api_json_parse(line, len, &ev, NULL, NULL) == 0, "%.*s", (int)len, line);
	type = api_get_str(ev, "type");
	o = json_object_get(ev, "object");
	cr_assert(!streq(type, "ERROR"), "seed %llu: %.*s", (unsigned long long)seed, (int)len, line);
	if (streq(type, "BOOKMARK")) {
		s->rv = strtoll(api_get_str(o, "metadata.resourceVersion"), NULL, 10);
		if (s->initial) {
			cr_assert(json_object_get(api_get(o, "metadata.annotations"), "k8s.io/initial-events-end"));
			s->initial = false;
			s->snapshot->rv = s->seen.from = s->rv;
			s->snapshot->returned = ++tick;
		}
	} else if (to_object(o, &obj)) {
		s->rv = obj.rv;
		if (s->initial) {
			cr_assert_str_eq(type, "ADDED");
			add_item(s->snapshot, &obj);
		} else {
			if (s->seen.n == s->cap) {
				s->cap = s->cap ? 2 * s->cap : 256;
				s->seen.events = reallocarray(s->seen.events, s->cap, sizeof(*s->seen.events));
				cr_assert(s->seen.events);
			}
			s->seen.events[s->seen.n++] = (struct h_event){ streq(type, "ADDED")	 ? H_ADDED
									: streq(type, "DELETED") ? H_DELETED
												 : H_MODIFIED,
									obj };
		}
	}
	json_decref(ev);
}

static int on_stream_data(struct http_call *call, void *arg, const void *data, size_t len)
{
	struct stream *s = arg;
	size_t from = 0;
	char *nl;

	(void)call;
	strbuf_add(&s->line, data, len);
	while ((nl = memchr(s->line.buf + from, '\n', s->line.len - from))) {
		on_stream_line(s, s->line.buf + from, (size_t)(nl - s->line.buf) - from);
		from = (size_t)(nl - s->line.buf) + 1;
	}
	if (from) {
		cleanup(strbuf_done) struct strbuf rest = STRBUF_INIT;

		strbuf_add(&rest, s->line.buf + from, s->line.len - from);
		strbuf_clear(&s->line);
		strbuf_add(&s->line, rest.buf, rest.len);
	}
	return 0;
}

static void stream_start(struct stream *s);

static void on_stream_done(struct http_call *call, void *arg, const struct http_response *rsp)
{
	struct stream *s = arg;

	(void)call;
	(void)rsp;
	s->call = NULL; /* the main loop starts it again where it was */
}

static void stream_start(struct stream *s)
{
	char path[320];
	struct http_call_config c = {
		.path = path, .timeout_ms = -1, .on_data = on_stream_data, .on_done = on_stream_done, .arg = s
	};

	s->at = &servers[rnd((unsigned)n_servers)];
	strbuf_clear(&s->line);
	if (s->initial) { /* from the beginning, if it was cut off there */
		s->snapshot->n = 0;
		s->snapshot->invoked = ++tick;
		snprintf(path, sizeof(path),
			 "%s&watch=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
			 s->path);
	} else {
		snprintf(path, sizeof(path), "%s&watch=1&allowWatchBookmarks=true&resourceVersion=%lld", s->path,
			 (long long)s->rv);
	}
	s->call = http_call_start(s->at->clients[ADMIN], &c);
	cr_assert(s->call);
}

/* from 0: with the present state first. */
static void stream_new(struct stream *s, struct h_scope scope, int64_t from)
{
	*s = (struct stream){ .seen = { .scope = scope, .from = from }, .rv = from, .initial = !from };
	strbuf_init(&s->line);
	snprintf(s->path, sizeof(s->path), "/api/v1/%s%s%sconfigmaps?%s%s%s%s", scope.ns ? "namespaces/" : "",
		 scope.ns ? scope.ns : "", scope.ns ? "/" : "", scope.name ? "fieldSelector=metadata.name%3D" : "",
		 scope.name ? scope.name : "", scope.label ? "&labelSelector=l%3D" : "&labelSelector=l",
		 scope.label == 'a'   ? "a"
		 : scope.label == 'b' ? "b"
				      : "");
	if (!from) {
		s->snapshot = &lists[n_lists++];
		*s->snapshot = (struct h_list){ .scope = scope };
	}
	stream_start(s);
}

/* --- lists and writes --------------------------------------------------------------------------------------------- */

static void next_op(struct client *c);

static void list_page(struct client *c);

static void on_list(struct http_call *call, void *arg, const struct http_response *rsp)
{
	struct client *c = arg;
	struct h_list *l = &lists[c->list - 1];
	json_t *body = NULL, *o;
	const char *token;
	struct h_object obj;
	size_t i;

	(void)call;
	c->call = NULL;
	if (l->one && rsp->status == 404) {
		l->returned = ++tick;
	} else if (rsp->status == 410 || !rsp->status) {
		l->any = true; /* compacted or cut off: nothing was learnt */
		l->n = 0;
		l->one = true;
		l->returned = ++tick;
	} else {
		cr_assert(rsp->status == 200 && api_json_parse(rsp->body, rsp->len, &body, NULL, NULL) == 0,
			  "seed %llu: %d %s", (unsigned long long)seed, rsp->status, rsp->body);
		if (l->one) {
			cr_assert(to_object(body, &obj));
			add_item(l, &obj);
		}
		json_array_foreach (json_object_get(body, "items"), i, o)
			if (to_object(o, &obj))
				add_item(l, &obj);
		if (!l->one)
			l->rv = strtoll(api_get_str(body, "metadata.resourceVersion"), NULL, 10);
		token = api_get_str(body, "metadata.continue");
		strbuf_clear(&c->more);
		if (token && *token) {
			char *esc = http_escape(token);

			strbuf_addf(&c->more, "&continue=%s", esc);
			free(esc);
			json_decref(body);
			list_page(c);
			return;
		}
		l->returned = ++tick;
		json_decref(body);
	}
	c->list = 0;
	next_op(c);
}

static void list_page(struct client *c)
{
	struct h_list *l = &lists[c->list - 1];
	struct http_call_config cc = { .on_done = on_list, .arg = c };
	char path[4096];

	if (l->one)
		snprintf(path, sizeof(path), "/api/v1/namespaces/%s/configmaps/%s", l->scope.ns, l->scope.name);
	else
		snprintf(path, sizeof(path), "/api/v1/%s%s%sconfigmaps?labelSelector=l%s%s%s",
			 l->scope.ns ? "namespaces/" : "", l->scope.ns ? l->scope.ns : "", l->scope.ns ? "/" : "",
			 l->scope.label == 'a'	 ? "%3Da"
			 : l->scope.label == 'b' ? "%3Db"
						 : "",
			 c->more.len || rnd(2) ? "&limit=2" : "", c->more.len ? c->more.buf : "");
	if (!l->one && !c->more.len && l->exact)
		snprintf(path + strlen(path), 100, "&resourceVersion=%lld&resourceVersionMatch=Exact",
			 (long long)l->at_least);
	else if (!l->one && !c->more.len && l->at_least)
		snprintf(path + strlen(path), 100, "&resourceVersion=%lld&resourceVersionMatch=NotOlderThan",
			 (long long)l->at_least);
	else if (!l->one && !c->more.len && l->any)
		strcat(path, "&resourceVersion=0");
	cc.path = path;
	c->call = http_call_start(c->at->clients[ADMIN], &cc);
	cr_assert(c->call);
}

/* newest: no older than what has been acknowledged by anybody. */
static void start_list(struct client *c, bool newest)
{
	static const char *const namespaces[] = { NULL, "ma", "mb" };
	static const char labels[] = { 0, 'a', 'b' };
	const char *key = keys[rnd(N_KEYS)];
	struct h_list *l = &lists[n_lists++];
	int64_t known = 0;

	*l = (struct h_list){ .invoked = ++tick };
	strbuf_clear(&c->more);
	c->list = n_lists;
	for (size_t i = 0; i < N_KEYS; i++)
		known = seen_rv[i] > known ? seen_rv[i] : known;
	switch (newest ? 4 : rnd(5)) {
	case 0:
		l->one = true;
		l->scope.ns = key[1] == 'a' ? "ma" : "mb";
		l->scope.name = key + 3;
		break;
	case 1:
		l->any = true;
		break;
	case 2:
		l->at_least = known;
		break;
	case 3:
		l->at_least = known;
		l->exact = known != 0;
		break;
	}
	if (!l->one) {
		l->scope.ns = namespaces[rnd(3)];
		l->scope.label = labels[rnd(3)];
	}
	list_page(c);
}

static void on_write(struct http_call *call, void *arg, const struct http_response *rsp)
{
	struct client *c = arg;
	struct h_write *w = &writes[c->write - 1];
	json_t *body = NULL;
	struct h_object obj;

	(void)call;
	c->call = NULL;
	c->write = 0;
	w->returned = ++tick;
	/* 5xx: the store's answer may have been lost */
	w->outcome = !rsp->status || rsp->status >= 500 ? H_UNKNOWN : rsp->status < 300 ? H_OK : H_REFUSED;
	if (w->outcome == H_REFUSED)
		cr_assert(rsp->status == 404 || rsp->status == 409, "seed %llu: %d %s", (unsigned long long)seed,
			  rsp->status, rsp->body);
	if (w->outcome == H_OK && w->kind != H_DELETE) {
		cr_assert(api_json_parse(rsp->body, rsp->len, &body, NULL, NULL) == 0 && to_object(body, &obj));
		w->obj.rv = obj.rv;
		cr_assert_str_eq(obj.value, w->obj.value);
	}
	json_decref(body);
	c->wrote = w->outcome == H_OK;
	next_op(c);
}

static void start_write(struct client *c)
{
	static const char *const verbs[] = { "POST", "PUT", "PATCH", "DELETE" };
	unsigned what = rnd(10);
	enum h_kind kind = what < 3 ? H_CREATE : what < 6 ? H_UPDATE : what < 9 ? H_PATCH : H_DELETE;
	size_t k = rnd(N_KEYS);
	struct h_write *w = &writes[n_writes++];
	const char *ns = keys[k][1] == 'a' ? "ma" : "mb", *name = keys[k] + 3;
	char body[512] = "", path[128], version[80] = "";
	struct http_call_config cc = { .method = verbs[kind],
				       .path = path,
				       .content_type = kind == H_PATCH ? "application/merge-patch+json"
								       : "application/json",
				       .body = body,
				       .on_done = on_write,
				       .arg = c };

	*w = (struct h_write){ .kind = kind, .invoked = ++tick };
	strcpy(w->obj.key, keys[k]);
	w->obj.label = rnd(2) ? 'a' : 'b';
	snprintf(w->obj.value, sizeof(w->obj.value), "v%zu", n_writes);
	if ((kind == H_UPDATE || (kind == H_PATCH && rnd(3) == 0)) && seen_rv[k])
		w->base = seen_rv[k];
	if (w->base)
		snprintf(version, sizeof(version), ",\"resourceVersion\":\"%lld\"", (long long)w->base);
	snprintf(path, sizeof(path), "/api/v1/namespaces/%s/configmaps%s%s", ns, kind == H_CREATE ? "" : "/",
		 kind == H_CREATE ? "" : name);
	if (kind != H_DELETE)
		snprintf(body, sizeof(body),
			 "{\"metadata\":{\"name\":\"%s\"%s,\"labels\":{\"l\":\"%c\"}},\"data\":{\"v\":\"%s\"}}", name,
			 version, w->obj.label, w->obj.value);
	cc.body_len = strlen(body);
	c->write = n_writes;
	c->call = http_call_start(c->at->clients[ADMIN], &cc);
	cr_assert(c->call);
}

static void next_op(struct client *c)
{
	if (n_started == n_wanted)
		return;
	n_started++;
	c->at = c->wrote && n_servers > 1 ? &servers[c->at == servers] : &servers[rnd((unsigned)n_servers)];
	if (c->wrote && rnd(3) == 0)
		start_list(c, true);
	else if (rnd(6) == 0)
		start_list(c, false);
	else
		start_write(c);
}

/* --- the run ------------------------------------------------------------------------------------------------------ */

static void turn(void)
{
	for (int i = 0; i < n_servers; i++)
		loop_run_once(servers[i].loop, n_servers == 1 ? 100 : 1);
	for (int i = 0; i < N_STREAMS; i++)
		if (streams[i].path[0] && !streams[i].call)
			stream_start(&streams[i]);
}

static bool busy(void)
{
	for (int i = 0; i < N_CLIENTS; i++)
		if (clients[i].call)
			return true;
	return false;
}

/* All that is under way there is cut off: writes may have been done or not. */
static void restart(struct fx *f)
{
	fx_stop(f);
	fx_start(f);
	for (int i = 0; i < N_STREAMS; i++)
		if (streams[i].call && streams[i].at == f)
			streams[i].call = NULL;
	for (int i = 0; i < N_CLIENTS; i++) {
		struct client *c = &clients[i];

		if (!c->call || c->at != f)
			continue;
		c->call = NULL;
		if (c->write) {
			writes[c->write - 1].outcome = H_UNKNOWN;
			writes[c->write - 1].returned = ++tick;
		} else {
			lists[c->list - 1].one = lists[c->list - 1].any = true;
			lists[c->list - 1].n = 0;
		}
		c->write = c->list = 0;
		next_op(c);
	}
}

static int64_t list_rv(struct fx *f)
{
	json_t *l = fx_expect(f, 200, "GET", "/api/v1/configmaps?labelSelector=l", NULL);
	int64_t rv = strtoll(api_get_str(l, "metadata.resourceVersion"), NULL, 10);

	json_decref(l);
	return rv;
}

static bool all_seen(int64_t rv)
{
	for (int i = 0; i < N_STREAMS; i++)
		if (streams[i].initial || streams[i].rv < rv)
			return false;
	return true;
}

static void run_model(size_t ops)
{
	static const struct h_scope scopes[N_STREAMS] = { { 0 },
							  { .label = 'a' },
							  { .label = 'b' },
							  { .ns = "ma" },
							  { .ns = "mb", .label = 'a' },
							  { .name = "y" },
							  { 0 },
							  { .label = 'b' } };
	const char *env = getenv("SKEP_MODEL_SEED");
	int64_t end = clock_mono_ms() + PATIENCE_MS, last;
	struct h_stream seen[N_STREAMS];
	struct history h = { .writes = writes, .streams = seen, .n_streams = N_STREAMS, .lists = lists };
	char why[512];
	bool good;

	seed = env ? strtoull(env, NULL, 10) : (uint64_t)clock_real_ms();
	rng = seed * 2654435761u + 1;
	env = getenv("SKEP_MODEL_OPS");
	n_wanted = env ? strtoul(env, NULL, 10) : ops;
	cr_assert(n_wanted + N_STREAMS < MAX_OPS);
	for (size_t i = 0; i < 2; i++)
		fx_do(&servers[0], 201, "POST", "/api/v1/namespaces",
		      i ? "{\"metadata\":{\"name\":\"ma\"}}" : "{\"metadata\":{\"name\":\"mb\"}}");
	last = list_rv(&servers[0]);
	for (int i = 0; i < N_STREAMS - 2; i++)
		stream_new(&streams[i], scopes[i], last);
	for (int i = 0; i < N_CLIENTS; i++) {
		strbuf_init(&clients[i].more);
		next_op(&clients[i]);
	}
	for (int phase = 1; phase <= 3; phase++) {
		while (n_started < n_wanted * (size_t)phase / 3 || (phase == 3 && busy())) {
			cr_assert(clock_mono_ms() < end, "seed %llu: no progress", (unsigned long long)seed);
			turn();
		}
		if (phase < 3) { /* in the middle of things */
			stream_new(&streams[N_STREAMS - phase], scopes[N_STREAMS - phase], 0);
			restart(&servers[rnd((unsigned)n_servers)]);
		}
	}
	/* A last write, after which every watch has seen all others. */
	fx_do(&servers[0], 201, "POST", "/api/v1/namespaces/default/configmaps",
	      "{\"metadata\":{\"name\":\"marker\",\"labels\":{\"l\":\"a\"}}}");
	last = list_rv(&servers[0]);
	while (!all_seen(last)) {
		cr_assert(clock_mono_ms() < end, "seed %llu: a watch does not come to an end",
			  (unsigned long long)seed);
		turn();
	}
	for (int i = 0; i < N_STREAMS; i++) {
		http_call_cancel(streams[i].call);
		seen[i] = streams[i].seen;
		seen[i].to = streams[i].rv;
	}
	h.n_writes = n_writes;
	h.n_lists = n_lists;
	h.last_rv = last;
	cr_log_info("seed %llu: %zu writes, %zu lists, %zu events\n", (unsigned long long)seed, n_writes, n_lists,
		    seen[0].n);
	good = history_check(&h, why);
	cr_assert(good, "SKEP_MODEL_SEED=%llu: %s", (unsigned long long)seed, why);
	cr_assert(seen[0].n > n_writes / 4, "seed %llu: of %zu writes only %zu did something", (unsigned long long)seed,
		  n_writes, seen[0].n);
	for (int i = 0; i < N_STREAMS; i++) {
		free(streams[i].seen.events);
		strbuf_done(&streams[i].line);
	}
	for (size_t i = 0; i < n_lists; i++)
		free(lists[i].items);
	for (int i = 0; i < N_CLIENTS; i++)
		strbuf_done(&clients[i].more);
}

Test(model, one_server_on_the_embedded_store, .timeout = 300)
{
	n_servers = 1;
	fx_init(&servers[0]);
	servers[0].config.bookmark_interval_s = 1;
	fx_start(&servers[0]);
	run_model(1500);
	fx_done(&servers[0]);
}

Test(model, two_servers_on_etcd, .timeout = 300)
{
	static struct etcd_server etcd;
	static char store[160];

	etcd_server_start(&etcd, false);
	snprintf(store, sizeof(store), "etcd:%s", etcd.url);
	n_servers = 2;
	for (int i = 0; i < 2; i++) {
		fx_init(&servers[i]);
		servers[i].config.store = store;
		servers[i].config.bookmark_interval_s = 1;
		fx_start(&servers[i]);
	}
	run_model(900);
	for (int i = 0; i < 2; i++)
		fx_done(&servers[i]);
	etcd_server_stop(&etcd);
}
