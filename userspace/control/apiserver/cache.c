/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watch cache: every object of every kind as bytes, sorted by key, and a ring of recent events per kind. One
 * store watch feeds all of it, in order of revision, so that `rev` says for the whole cache what it contains. On a
 * break of the feed it is filled anew and all watchers are sent away: they list and watch again.
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

#define LOAD_PAGE      500
#define RING_DEFAULT   4096
#define RING_MAX_BYTES (8u << 20) /* per kind, counted once per event */
#define RETRY_MS       500
#define HISTORY	       2000 /* revisions before the start that watches may resume from, if the store has them */
#define FIRST_KEY      "/"
#define LAST_KEY       "0" /* '/' + 1: the end of all keys that start with '/' */

static void load_page(struct apiserver *s);
static void on_page(void *arg, int r, const struct store_range *range, const struct err *err);
static void on_feed(void *arg, int r, int64_t rev, const struct store_event *events, size_t n, const struct err *err);
static void feed_broken(struct apiserver *s, int r, const struct err *err);
static void history_over(struct apiserver *s);
static void on_retry(struct loop_timer *timer);
static void ring_push(struct resource *r, int64_t rev, struct object *cur, struct object *prev);
static void ring_clear(struct resource *r);

struct resource *resource_new(struct apiserver *s, const struct api_kind *k)
{
	struct resource *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->s = s;
	r->kind = k;
	list_init(&r->watchers);
	list_init(&r->retired_link);
	api_kind_api_version(k, r->api_version, sizeof(r->api_version));
	snprintf(r->store_version, sizeof(r->store_version), "%s", r->api_version);
	snprintf(r->prefix, sizeof(r->prefix), "/%s/%s/", k->group[0] ? k->group : "core", k->plural);
	r->head_len = (size_t)snprintf(r->head, sizeof(r->head),
				       "{\"kind\":\"%s\",\"apiVersion\":\"%s\",\"metadata\":{", k->kind,
				       r->api_version);
	r->ring_cap = (size_t)(s->config.ring_events ? s->config.ring_events : RING_DEFAULT);
	r->ring = calloc(r->ring_cap, sizeof(*r->ring));
	if (!r->ring) {
		free(r);
		return NULL;
	}
	return r;
}

void resource_free(struct resource *r)
{
	if (!r)
		return;
	list_remove(&r->retired_link);
	api_custom_free(r->custom);
	free(r->objs);
	free(r->ring);
	free(r);
}

int cache_init(struct apiserver *s, struct err *err)
{
	size_t n;
	const struct api_kind *const *kinds = api_kinds(&n);

	s->feed_retry.fn = on_retry;
	s->feed_retry.arg = s;
	s->by_prefix = strmap_new();
	s->by_plural = strmap_new();
	s->by_version = strmap_new();
	s->definitions = strmap_new();
	s->resources = calloc(n, sizeof(*s->resources));
	if (!s->resources || !s->by_prefix || !s->by_plural || !s->by_version || !s->definitions)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		struct resource *r = resource_new(s, kinds[i]);
		char key[384];

		if (!r)
			return err_set(err, ENOMEM, "out of memory");
		s->resources[s->n_resources++] = r;
		snprintf(key, sizeof(key), "%s/%s", kinds[i]->group, kinds[i]->plural);
		if (!kinds[i]->stored_as &&
		    (strmap_set(s->by_prefix, r->prefix, r, NULL) < 0 || strmap_set(s->by_plural, key, r, NULL) < 0))
			return err_set(err, ENOMEM, "out of memory");
		snprintf(key, sizeof(key), "%s/%s/%s", kinds[i]->group, kinds[i]->version, kinds[i]->plural);
		if (strmap_set(s->by_version, key, r, NULL) < 0)
			return err_set(err, ENOMEM, "out of memory");
	}
	for (size_t i = 0; i < s->n_resources; i++)
		if (s->resources[i]->kind->stored_as)
			view_link(s->resources[i]);
	return cache_kinds_changed(s) < 0 ? err_set(err, ENOMEM, "out of memory") : 0;
}

void resource_clear(struct resource *r)
{
	for (size_t i = 0; i < r->n; i++) {
		if (r->on_change)
			r->on_change(r, NULL, r->objs[i]);
		object_unref(r->objs[i]);
	}
	r->n = 0;
	ring_clear(r);
}

void cache_done(struct apiserver *s)
{
	loop_timer_cancel(&s->feed_retry);
	crd_done(s);
	for (size_t i = 0; i < s->n_resources; i++)
		resource_clear(s->resources[i]);
	for (size_t i = 0; i < s->n_resources; i++) {
		cache_load_cancel(s->resources[i]);
		resource_free(s->resources[i]);
	}
	s->n_resources = 0;
	cache_reap(s);
	free(s->resources);
	free((void *)s->kinds.v);
	strmap_free(s->by_prefix);
	strmap_free(s->by_plural);
	strmap_free(s->by_version);
	strmap_free(s->definitions);
	strbuf_done(&s->load_from);
}

void cache_start(struct apiserver *s)
{
	s->loaded = false;
	s->load_rev = 0;
	strbuf_clear(&s->load_from);
	/* The definitions come first: what they define may sort before them. */
	s->loading_definitions = true;
	crd_load_begin(s);
	strbuf_adds(&s->load_from, CRD_PREFIX);
	load_page(s);
}

struct resource *cache_resource(struct apiserver *s, const char *group, const char *plural)
{
	char key[384];

	snprintf(key, sizeof(key), "%s/%s", group, plural);
	return strmap_get(s->by_plural, key);
}

struct resource *cache_version(struct apiserver *s, const char *group, const char *version, const char *plural)
{
	char key[384];

	snprintf(key, sizeof(key), "%s/%s/%s", group, version, plural);
	return strmap_get(s->by_version, key);
}

/* First index whose key is not below `key`. */
size_t cache_lower_bound(const struct resource *r, const char *key)
{
	size_t lo = 0, hi = r->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(r->objs[mid]->key, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct object *cache_get(const struct resource *r, const char *ns, const char *name)
{
	char key[600];
	size_t i;

	if (ns && *ns)
		snprintf(key, sizeof(key), "%s/%s", ns, name);
	else
		snprintf(key, sizeof(key), "%s", name);
	i = cache_lower_bound(r, key);
	return i < r->n && streq(r->objs[i]->key, key) ? r->objs[i] : NULL;
}

/* The kind of a store key and the rest of it; NULL: not an object of ours (reservations, newer versions' kinds). */
static struct resource *resource_of_key(struct apiserver *s, const char *key, const char **ret_rest)
{
	const char *p = strchr(key + 1, '/');
	char prefix[160];

	p = p ? strchr(p + 1, '/') : NULL;
	if (!p || (size_t)(p - key) + 2 > sizeof(prefix))
		return NULL;
	memcpy(prefix, key, (size_t)(p - key) + 1);
	prefix[p - key + 1] = '\0';
	*ret_rest = p + 1;
	return strmap_get(s->by_prefix, prefix);
}

int resource_put(struct resource *r, const char *key, struct object *o, struct object **ret_prev)
{
	size_t i = cache_lower_bound(r, key);
	bool have = i < r->n && streq(r->objs[i]->key, key);

	*ret_prev = have ? r->objs[i] : NULL;
	if (!o) {
		if (have) {
			memmove(&r->objs[i], &r->objs[i + 1], (r->n - i - 1) * sizeof(*r->objs));
			r->n--;
		}
		return 0;
	}
	if (!have) {
		if (r->n == r->cap) {
			size_t cap = r->cap ? r->cap * 2 : 16;
			struct object **v = realloc(r->objs, cap * sizeof(*v));

			if (!v)
				return -ENOMEM;
			r->objs = v;
			r->cap = cap;
		}
		memmove(&r->objs[i + 1], &r->objs[i], (r->n - i) * sizeof(*r->objs));
		r->n++;
	}
	r->objs[i] = object_ref(o);
	return 0;
}

static void load_page(struct apiserver *s)
{
	char end[sizeof(CRD_PREFIX) + 2];

	s->store->ops->range(s->store, s->load_from.buf,
			     s->loading_definitions ? store_prefix_end(CRD_PREFIX, end) : LAST_KEY, s->load_rev,
			     LOAD_PAGE, false, on_page, s);
}

static void load_one(struct resource *res, const char *rest, const struct store_kv *kv)
{
	cleanup(object_unref) struct object *o = NULL, *prev = NULL;

	o = object_new(res, rest, kv->value, kv->value_len, kv->mod_rev);
	if (!o || resource_put(res, rest, o, &prev) < 0) {
		log_error("store: cannot read the object at key '%s', ignoring it", kv->key);
		return;
	}
	if (res->on_change)
		res->on_change(res, o, prev);
}

static void on_page(void *arg, int r, const struct store_range *range, const struct err *err)
{
	struct apiserver *s = arg;

	if (s->stopping)
		return;
	if (r < 0) {
		feed_broken(s, r, err);
		return;
	}
	s->load_rev = range->rev;
	for (size_t i = 0; i < range->n; i++) {
		const struct store_kv *kv = &range->kvs[i];
		const char *rest;

		if (s->loading_definitions) {
			crd_load(s, kv->value, kv->value_len);
			continue;
		}
		for (struct resource *res = resource_of_key(s, kv->key, &rest); res; res = res->sibling)
			if (resource_followed(res))
				load_one(res, rest, kv);
	}
	if (range->more && range->n) {
		strbuf_clear(&s->load_from);
		strbuf_adds(&s->load_from, range->kvs[range->n - 1].key);
		strbuf_addc(&s->load_from, 1); /* the next possible key: no byte of ours is below '-' */
		load_page(s);
		return;
	}
	if (s->loading_definitions) {
		s->loading_definitions = false;
		crd_load_end(s);
		strbuf_clear(&s->load_from);
		strbuf_adds(&s->load_from, FIRST_KEY);
		load_page(s);
		return;
	}
	s->rev = s->load_rev;
	if (s->written_rev < s->rev)
		s->written_rev = s->rev;
	for (size_t i = 0; i < s->n_resources; i++) {
		s->resources[i]->ring_from = s->rev;
		s->resources[i]->ring_dropped = 0;
	}
	/*
	 * What happened shortly before goes into the rings, so that a restart of the server does not send every
	 * client back to listing.
	 */
	if (s->rev > 1)
		s->history_from = s->rev > HISTORY ? s->rev - HISTORY : 1;
	s->feed = s->store->ops->watch(s->store, FIRST_KEY, LAST_KEY, s->history_from ? s->history_from : s->rev + 1,
				       on_feed, s);
	if (!s->feed) {
		struct err e = ERR_INIT;

		err_set(&e, ENOMEM, "cannot watch the store");
		feed_broken(s, -ENOMEM, &e);
		return;
	}
	s->loaded = true;
	s->store_ok = true;
	cache_wake(s);
	bootstrap_start(s);
}

static void feed_broken(struct apiserver *s, int r, const struct err *err)
{
	log_warn("store: %s (%s); reading everything again", err && err->code ? err->msg : "feed ended", strerror(-r));
	if (s->feed)
		s->store->ops->unwatch(TAKE(s->feed));
	s->loaded = false;
	s->history_from = 0;
	(void)loop_timer_set(s->loop, &s->feed_retry, RETRY_MS);
}

static void on_retry(struct loop_timer *timer)
{
	struct apiserver *s = timer->arg;

	watch_end_all(s);
	for (size_t i = 0; i < s->n_resources; i++) {
		cache_load_cancel(s->resources[i]);
		resource_clear(s->resources[i]);
	}
	cache_start(s);
}

/* An event older than what was loaded: for the ring only. */
static void remember(struct resource *res, const char *rest, int64_t rev, const struct store_event *e)
{
	cleanup(object_unref) struct object *o = NULL, *prev = NULL;

	if (res->load)
		return;
	if (e->type == STORE_PUT)
		o = object_new(res, rest, e->kv.value, e->kv.value_len, e->kv.mod_rev);
	if (e->prev_value)
		prev = object_new(res, rest, e->prev_value, e->prev_len, e->prev_mod_rev);
	if (!o && !prev) {
		/* Its former value is compacted away: nobody can be told of this end. */
		res->ring_dropped = rev;
		return;
	}
	ring_push(res, rev, o, prev);
}

static void history_over(struct apiserver *s)
{
	for (size_t i = 0; i < s->n_resources; i++) {
		struct resource *r = s->resources[i];

		r->ring_from = r->ring_dropped >= s->history_from ? r->ring_dropped : s->history_from - 1;
	}
	s->history_from = 0;
}

static void apply(struct resource *res, const char *rest, int64_t rev, const struct store_event *e)
{
	cleanup(object_unref) struct object *o = NULL, *prev = NULL;

	if (e->type == STORE_PUT) {
		o = object_new(res, rest, e->kv.value, e->kv.value_len, e->kv.mod_rev);
		if (!o) {
			log_error("store: cannot read the object at key '%s', ignoring it", e->kv.key);
			return;
		}
	}
	if (res->load) {
		cache_load_event(res, rest, o, rev);
		return;
	}
	if (resource_put(res, rest, o, &prev) < 0) {
		log_error("out of memory: the cache misses key '%s'", e->kv.key);
		return;
	}
	if (!o && !prev)
		return;
	if (res->on_change)
		res->on_change(res, o, prev);
	ring_push(res, rev, o, prev);
}

/* What happens to an object happens to it in each of its versions. */
static void each_version_of(struct apiserver *s, int64_t rev, const struct store_event *e,
			    void (*fn)(struct resource *res, const char *rest, int64_t rev,
				       const struct store_event *e))
{
	const char *rest;

	for (struct resource *res = resource_of_key(s, e->kv.key, &rest), *next; res; res = next) {
		next = res->sibling;
		if (resource_followed(res))
			fn(res, rest, rev, e);
	}
}

static void on_feed(void *arg, int r, int64_t rev, const struct store_event *events, size_t n, const struct err *err)
{
	struct apiserver *s = arg;

	if (r < 0) {
		s->feed = NULL; /* the store ended it */
		if (r == -ESTALE && s->history_from) {
			/* No history: follow from what was loaded. */
			for (size_t i = 0; i < s->n_resources; i++)
				ring_clear(s->resources[i]);
			s->history_from = 0;
			s->feed = s->store->ops->watch(s->store, FIRST_KEY, LAST_KEY, s->load_rev + 1, on_feed, s);
			if (s->feed)
				return;
		}
		feed_broken(s, r, err);
		return;
	}
	if (s->history_from && rev <= s->load_rev) {
		for (size_t i = 0; i < n; i++)
			each_version_of(s, rev, &events[i], remember);
		if (rev == s->load_rev)
			history_over(s);
		return;
	}
	if (s->history_from)
		history_over(s);
	for (size_t i = 0; i < n; i++)
		each_version_of(s, rev, &events[i], apply);
	if (rev > s->rev)
		s->rev = rev;
	cache_load_check(s);
	cache_wake(s);
}

static size_t event_bytes(const struct event *ev)
{
	return sizeof(*ev) + (ev->cur ? ev->cur->json->len : 0) + (ev->prev ? ev->prev->json->len : 0);
}

static void event_clear(struct event *ev)
{
	object_unref(ev->cur);
	object_unref(ev->prev);
	event_encodings_free(ev);
	memset(ev, 0, sizeof(*ev));
}

static void ring_drop_oldest(struct resource *r)
{
	struct event *ev = ring_at(r, 0);

	r->ring_dropped = ev->rev;
	if (!r->s->history_from)
		r->ring_from = ev->rev;
	r->ring_bytes -= event_bytes(ev);
	event_clear(ev);
	r->ring_first = (r->ring_first + 1) % r->ring_cap;
	r->ring_n--;
}

static void ring_clear(struct resource *r)
{
	while (r->ring_n)
		ring_drop_oldest(r);
}

static void ring_push(struct resource *r, int64_t rev, struct object *cur, struct object *prev)
{
	struct event *ev;

	if (r->ring_n == r->ring_cap)
		ring_drop_oldest(r);
	ev = &r->ring[(r->ring_first + r->ring_n) % r->ring_cap];
	ev->rev = rev;
	ev->cur = cur ? object_ref(cur) : NULL;
	ev->prev = prev ? object_ref(prev) : NULL;
	r->ring_n++;
	r->ring_bytes += event_bytes(ev);
	/* Dispatch before trimming: a watcher that is up to date gets an event of any size. */
	if (!r->s->history_from)
		watch_dispatch(r, ev);
	while (r->ring_n > 1 && r->ring_bytes > RING_MAX_BYTES)
		ring_drop_oldest(r);
}

/* --- waiting ------------------------------------------------------------------------------------------------------ */

void cache_wait_over(struct call *c)
{
	list_remove(&c->wait_link);
	loop_timer_cancel(&c->wait_timer);
}

static void on_wait_timeout(struct loop_timer *timer)
{
	struct call *c = timer->arg;
	json_t *st, *cause;
	char text[160];

	cache_wait_over(c);
	if (!c->wait_rev) {
		call_status(c, 503, "ServiceUnavailable", "the server is still reading its store; try again");
		call_unref(c);
		return;
	}
	snprintf(text, sizeof(text), "Timeout: Too large resource version: %lld, current: %lld", (long long)c->wait_rev,
		 (long long)c->s->rev);
	st = api_status(504, "Timeout", text);
	cause = json_pack("{s:{s:s,s:s},s:i}", "cause", "reason", "ResourceVersionTooLarge", "message",
			  "Too large resource version", "retryAfterSeconds", 1);
	if (st && cause)
		(void)api_set(
			st, "details",
			json_pack("{s:[O],s:i}", "causes", json_object_get(cause, "cause"), "retryAfterSeconds", 1));
	json_decref(cause);
	call_json(c, 504, st);
	call_unref(c);
}

void cache_wait_in(struct call *c, struct list *waiters, int64_t rev, int timeout_ms, call_fn *fn)
{
	c->wait_rev = rev;
	c->wait_fn = fn;
	c->wait_timer.fn = on_wait_timeout;
	c->wait_timer.arg = c;
	call_ref(c);
	list_push_back(waiters, &c->wait_link);
	(void)loop_timer_set(c->s->loop, &c->wait_timer, timeout_ms);
}

void cache_wait(struct call *c, int64_t rev, int timeout_ms, call_fn *fn)
{
	struct apiserver *s = c->s;

	if (s->loaded && s->rev >= rev)
		fn(c);
	else
		cache_wait_in(c, &s->waiters, rev, timeout_ms, fn);
}

void cache_wake(struct apiserver *s)
{
	struct list due;

	if (!s->loaded)
		return;
	list_init(&due);
	list_for_each_safe (pos, tmp, &s->waiters) {
		struct call *c = list_entry(pos, struct call, wait_link);

		if (c->wait_rev <= s->rev) {
			list_remove(pos);
			list_push_back(&due, pos);
		}
	}
	while (!list_empty(&due)) {
		struct call *c = list_first(&due, struct call, wait_link);

		cache_wait_over(c);
		if (!call_dead(c))
			c->wait_fn(c);
		call_unref(c);
	}
}

#define FRESH_TIMEOUT_MS 10000

/* The newest revision of a store that others write to, too, is only known to the store itself. */
static void on_newest(void *arg, int r, const struct store_range *range, const struct err *err)
{
	struct call *c = arg;

	if (r < 0)
		call_store_error(c, r, err);
	else if (!call_dead(c))
		cache_wait(c, range->rev, FRESH_TIMEOUT_MS, c->wait_fn);
	call_unref(c);
}

void cache_wait_fresh(struct call *c, call_fn *fn)
{
	struct apiserver *s = c->s;

	if (s->single_writer) {
		cache_wait(c, s->written_rev, FRESH_TIMEOUT_MS, fn);
		return;
	}
	c->wait_fn = fn;
	s->store->ops->range(s->store, "/-", "", 0, 1, true, on_newest, call_ref(c));
}
