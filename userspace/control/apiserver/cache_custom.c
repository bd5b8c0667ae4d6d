/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kinds that come, change and go while the server runs: the cache's part of custom resources. A new version's objects
 * are read page by page while the store's feed goes on; what the feed says meanwhile wins over older pages, and the
 * version is served once the rest of the cache has caught up with the read. A version that goes is retired: taken out
 * of every table at once, its watches ended, and freed when the last call that refers to it is.
 */
#include "apiserver-internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/log.h"
#include "../../lib/base/str.h"

#define LOAD_PAGE 500
#define RETRY_MS  500
#define WAIT_MS	  5000

/* The reading of one version's objects. Outlives its resource while the store works on a page. */
struct custom_load {
	struct apiserver *s;
	struct resource *r; /* NULL: cancelled */
	struct strbuf next; /* key to go on from */
	int64_t rev;	    /* of the first page, and so of all */
	bool reading, complete;
	struct strmap *gone; /* key -> revision of its deletion, of what went while we read */
	struct list waiters; /* calls, by wait_link */
	struct loop_timer retry;
};

static void load_begin(struct custom_load *l);
static void on_page(void *arg, int r, const struct store_range *range, const struct err *err);

static void load_free(struct custom_load *l)
{
	loop_timer_cancel(&l->retry);
	strbuf_done(&l->next);
	strmap_free(l->gone);
	free(l);
}

/* Answered by their own function, or told to come again where the resource is gone. */
static void wake(struct list *waiters)
{
	while (!list_empty(waiters)) {
		struct call *c = list_first(waiters, struct call, wait_link);

		cache_wait_over(c);
		if (c->s->stopping || (c->res && c->res->retired))
			call_status(c, 503, "ServiceUnavailable", "the definition of the resource changed; try again");
		else if (!call_dead(c))
			cache_wait(c, 0, WAIT_MS, c->wait_fn); /* the whole cache may be about to be read again */
		call_unref(c);
	}
}

void cache_load_cancel(struct resource *r)
{
	struct custom_load *l = TAKE(r->load);

	if (!l)
		return;
	l->r = NULL;
	wake(&l->waiters);
	if (!l->reading)
		load_free(l);
}

static void on_retry(struct loop_timer *timer)
{
	load_begin(timer->arg);
}

static int load_new(struct resource *r)
{
	struct custom_load *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->s = r->s;
	l->r = r;
	strbuf_init(&l->next);
	list_init(&l->waiters);
	l->retry.fn = on_retry;
	l->retry.arg = l;
	l->gone = strmap_new();
	if (!l->gone) {
		load_free(l);
		return -ENOMEM;
	}
	r->load = l;
	load_begin(l);
	return 0;
}

static void load_page(struct custom_load *l)
{
	char end[sizeof(l->r->prefix) + 2];

	l->reading = true;
	l->s->store->ops->range(l->s->store, l->next.buf, store_prefix_end(l->r->prefix, end), l->rev, LOAD_PAGE, false,
				on_page, l);
}

static void load_begin(struct custom_load *l)
{
	resource_clear(l->r);
	l->rev = 0;
	strbuf_clear(&l->next);
	strbuf_adds(&l->next, l->r->prefix);
	load_page(l);
}

/* An object as it was at the revision of the read, unless the feed has told of a later state. */
static void load_one(struct custom_load *l, const struct store_kv *kv)
{
	const char *key = kv->key + strlen(l->r->prefix);
	size_t at = cache_lower_bound(l->r, key);
	cleanup(object_unref) struct object *o = NULL, *prev = NULL;

	if (at < l->r->n && streq(l->r->objs[at]->key, key) && l->r->objs[at]->rev >= kv->mod_rev)
		return;
	if ((int64_t)(intptr_t)strmap_get(l->gone, key) > kv->mod_rev)
		return;
	o = object_new(l->r, key, kv->value, kv->value_len, kv->mod_rev);
	if (!o || resource_put(l->r, key, o, &prev) < 0)
		log_error("store: cannot read the object at key '%s', ignoring it", kv->key);
}

static void load_finish(struct custom_load *l)
{
	struct resource *r = l->r;

	r->load = NULL;
	r->ring_from = r->s->rev;
	r->ring_dropped = 0;
	wake(&l->waiters);
	load_free(l);
	if (r->on_change && !r->n)
		r->on_change(r, NULL, NULL);
	for (size_t i = 0; r->on_change && i < r->n; i++)
		r->on_change(r, r->objs[i], NULL);
}

static void on_page(void *arg, int r, const struct store_range *range, const struct err *err)
{
	struct custom_load *l = arg;

	l->reading = false;
	if (!l->r || l->s->stopping) {
		if (!l->r)
			load_free(l);
		return;
	}
	if (r < 0) {
		log_warn("store: reading %s: %s; trying again", l->r->prefix,
			 err && err->code ? err->msg : strerror(-r));
		(void)loop_timer_set(l->s->loop, &l->retry, RETRY_MS);
		return;
	}
	l->rev = range->rev;
	for (size_t i = 0; i < range->n; i++)
		load_one(l, &range->kvs[i]);
	if (range->more && range->n) {
		strbuf_clear(&l->next);
		strbuf_adds(&l->next, range->kvs[range->n - 1].key);
		strbuf_addc(&l->next, 1);
		load_page(l);
		return;
	}
	l->complete = true;
	if (l->s->rev >= l->rev)
		load_finish(l);
}

void cache_load_event(struct resource *r, const char *key, struct object *o, int64_t rev)
{
	struct custom_load *l = r->load;
	cleanup(object_unref) struct object *prev = NULL;
	size_t at = cache_lower_bound(r, key);

	if (at < r->n && streq(r->objs[at]->key, key) && r->objs[at]->rev >= rev)
		return;
	if (o)
		strmap_del(l->gone, key);
	else if (strmap_set(l->gone, key, (void *)(intptr_t)rev, NULL) < 0)
		log_error("out of memory: a deleted object may show up in %s", r->prefix);
	if (resource_put(r, key, o, &prev) < 0)
		log_error("out of memory: the cache misses key '%s%s'", r->prefix, key);
}

void cache_load_check(struct apiserver *s)
{
	for (size_t i = 0; i < s->n_resources; i++) {
		struct custom_load *l = s->resources[i]->load;

		if (l && l->complete && s->rev >= l->rev)
			load_finish(l);
	}
}

bool cache_retired(struct call *c)
{
	if (!c->res || !c->res->retired)
		return false;
	if (cache_version(c->s, c->group, c->version, c->resource)) {
		call_status(c, 503, "ServiceUnavailable", "the definition of the resource changed; try again");
	} else {
		struct resource *r = TAKE(c->res); /* nothing of it is told, but the call holds on to it */

		call_status(c, 404, "NotFound", "the server could not find the requested resource");
		c->res = r;
	}
	return true;
}

void cache_wait_loaded(struct call *c, int timeout_ms, call_fn *fn)
{
	if (c->res && c->res->retired)
		call_status(c, 503, "ServiceUnavailable", "the definition of the resource changed; try again");
	else if (c->res && c->res->load)
		cache_wait_in(c, &c->res->load->waiters, 0, timeout_ms, fn);
	else
		fn(c);
}

/* --- the tables --------------------------------------------------------------------------------------------------- */

static int by_preference(const void *a, const void *b)
{
	const struct api_kind *x = *(const struct api_kind *const *)a, *y = *(const struct api_kind *const *)b;
	int r = strcmp(x->group, y->group);

	if (!r)
		r = api_version_compare(x->version, y->version);
	return r ? r : strcmp(x->kind, y->kind);
}

int cache_kinds_changed(struct apiserver *s)
{
	const struct api_kind **v = malloc((s->n_resources ? s->n_resources : 1) * sizeof(const struct api_kind *));
	size_t n = 0;

	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < s->n_resources; i++)
		if (!s->resources[i]->hidden)
			v[n++] = s->resources[i]->kind;
	qsort(v, n, sizeof(*v), by_preference);
	free((void *)s->kinds.v);
	s->kinds = (struct api_kinds){ v, n };
	openapi_forget(s);
	return 0;
}

static void retire(struct resource *r)
{
	struct apiserver *s = r->s;
	char key[384];

	for (size_t i = 0; i < s->n_resources; i++)
		if (s->resources[i] == r) {
			s->resources[i] = s->resources[--s->n_resources];
			break;
		}
	snprintf(key, sizeof(key), "%s/%s", r->kind->group, r->kind->plural);
	if (strmap_get(s->by_plural, key) == r)
		strmap_del(s->by_plural, key);
	snprintf(key, sizeof(key), "%s/%s/%s", r->kind->group, r->kind->version, r->kind->plural);
	if (strmap_get(s->by_version, key) == r)
		strmap_del(s->by_version, key);
	r->retired = true;
	r->sibling = NULL;
	r->on_change = NULL;
	list_push_back(&s->retired, &r->retired_link);
	cache_load_cancel(r);
	watch_end(r);
}

static int add(struct resource *r, struct resource **last)
{
	struct apiserver *s = r->s;
	struct resource **v = realloc(s->resources, (s->n_resources + 1) * sizeof(*v));
	char key[384];

	if (!v)
		return -ENOMEM;
	s->resources = v;
	v[s->n_resources++] = r;
	if (*last)
		(*last)->sibling = r;
	else if (strmap_set(s->by_prefix, r->prefix, r, NULL) < 0)
		return -ENOMEM;
	*last = r;
	if (!r->hidden) {
		snprintf(key, sizeof(key), "%s/%s", r->kind->group, r->kind->plural);
		if (!strmap_has(s->by_plural, key) && strmap_set(s->by_plural, key, r, NULL) < 0)
			return -ENOMEM;
		snprintf(key, sizeof(key), "%s/%s/%s", r->kind->group, r->kind->version, r->kind->plural);
		if (strmap_set(s->by_version, key, r, NULL) < 0)
			return -ENOMEM;
	}
	r->ring_from = s->rev;
	/* A cache that is being read as a whole reads this, too. */
	return s->loaded ? load_new(r) : 0;
}

int cache_set_custom(struct apiserver *s, const char *group, const char *plural, struct resource **versions)
{
	struct resource *last = NULL, *old, *next;
	char prefix[160];
	int r = 0;

	snprintf(prefix, sizeof(prefix), "/%s/%s/", group, plural);
	old = strmap_get(s->by_prefix, prefix);
	if (old && !old->custom)
		old = NULL;
	else
		strmap_del(s->by_prefix, prefix);
	for (; old; old = next) {
		next = old->sibling;
		retire(old);
	}
	for (; versions && *versions; versions++) {
		struct resource *before = last;

		if (r < 0) {
			resource_free(*versions);
			continue;
		}
		r = add(*versions, &last);
		if (r < 0) {
			/* What there is of it in the tables goes again. */
			if (before)
				before->sibling = NULL;
			else
				strmap_del(s->by_prefix, prefix);
			retire(*versions);
		}
	}
	if (cache_kinds_changed(s) < 0)
		r = -ENOMEM;
	cache_reap(s);
	return r;
}

void cache_reap(struct apiserver *s)
{
	list_for_each_safe (pos, tmp, &s->retired) {
		struct resource *r = list_entry(pos, struct resource, retired_link);
		bool used = false;

		list_for_each (at, &s->calls)
			used = used || list_entry(at, struct call, link)->res == r;
		if (used)
			continue;
		resource_clear(r);
		resource_free(r);
	}
}
