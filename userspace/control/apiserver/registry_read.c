/* SPDX-License-Identifier: Apache-2.0 */
/*
 * get and list. Both are answered from the cache, after it has everything that was acknowledged before the request
 * came (or what the client asks for by resourceVersion). Pages after the first, and lists at an exact revision, are
 * read from the store at their revision, so that a list in pieces is one moment's list.
 */
#include "apiserver-internal.h"
#include "continue_token.h"
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/str.h"

#define NOT_OLDER_TIMEOUT_MS 3000
#define STORE_PAGE	     500

static void get_now(struct call *c)
{
	struct object *o;

	if (cache_retired(c))
		return;
	o = cache_get(c->res, c->ns, c->name);
	if (o)
		call_object_buf(c, 200, o->json);
	else
		call_not_found(c);
}

void registry_get(struct call *c)
{
	int64_t rev;
	bool zero;

	if (call_resource_version(c, &rev, &zero) < 0)
		return;
	if (zero)
		get_now(c);
	else if (rev)
		cache_wait(c, rev, NOT_OLDER_TIMEOUT_MS, get_now);
	else
		cache_wait_fresh(c, get_now);
}

/* --- list --------------------------------------------------------------------------------------------------------- */

struct list_state {
	size_t limit; /* 0: none */
	int64_t rev;  /* exact revision to read from the store; 0: the cache */
	char *after;  /* key after which the page starts; NULL: the beginning */
	struct http_buf **items;
	size_t n, cap;
	char *last;	    /* key of the last item */
	struct strbuf next; /* store key to go on from */
};

static void list_state_free(struct list_state *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->n; i++)
		http_buf_unref(l->items[i]);
	free(l->items);
	free(l->after);
	free(l->last);
	strbuf_done(&l->next);
	free(l);
}

static void list_free(struct call *c)
{
	list_state_free(TAKE(c->data));
}

static int list_add(struct list_state *l, struct http_buf *json)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		struct http_buf **v = realloc(l->items, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		l->items = v;
		l->cap = cap;
	}
	l->items[l->n++] = http_buf_ref(json);
	return 0;
}

static void list_finish(struct call *c, int64_t rev, bool more, int64_t remaining)
{
	struct list_state *l = TAKE(c->data); /* the answer may put its own state there */
	cleanup(free) char *token = more && l->last ? continue_token_make(rev, l->last) : NULL;

	if (more && !token)
		call_oom(c);
	else
		call_list(c, l->items, l->n, rev, token ? token : "", c->labels || c->fields ? -1 : remaining);
	list_state_free(l);
}

/* Indexes of the call's objects in the cache: all, or those of its namespace. */
static void cache_bounds(const struct call *c, size_t *ret_from, size_t *ret_to)
{
	char key[300];

	*ret_from = 0;
	*ret_to = c->res->n;
	if (!c->ns[0])
		return;
	snprintf(key, sizeof(key), "%s/", c->ns);
	*ret_from = cache_lower_bound(c->res, key);
	snprintf(key, sizeof(key), "%s0", c->ns); /* '/' + 1 */
	*ret_to = cache_lower_bound(c->res, key);
}

static void list_cache(struct call *c)
{
	struct list_state *l = c->data;
	size_t i, to;

	if (cache_retired(c)) {
		list_free(c);
		return;
	}
	cache_bounds(c, &i, &to);
	if (l->after) {
		size_t at = cache_lower_bound(c->res, l->after);

		if (at < c->res->n && streq(c->res->objs[at]->key, l->after))
			at++;
		if (at > i)
			i = at;
	}
	if (c->only_name && c->ns[0]) {
		struct object *o = cache_get(c->res, c->ns, c->only_name);

		if (o && object_matches(c, o) && list_add(l, o->json) < 0)
			goto oom;
		list_finish(c, c->s->rev, false, 0);
		return;
	}
	for (; i < to; i++) {
		struct object *o = c->res->objs[i];

		if (!object_matches(c, o))
			continue;
		if (l->limit && l->n == l->limit) {
			list_finish(c, c->s->rev, true, (int64_t)(to - i));
			return;
		}
		if (list_add(l, o->json) < 0)
			goto oom;
		if (l->limit && l->n == l->limit) {
			free(l->last);
			l->last = strdup(o->key);
			if (!l->last)
				goto oom;
		}
	}
	list_finish(c, c->s->rev, false, 0);
	return;
oom:
	call_oom(c);
	list_free(c);
}

/* The revision is gone: tell, with a token that goes on at the present instead. */
static void list_expired(struct call *c)
{
	struct list_state *l = c->data;
	cleanup(free) char *token = l->after ? continue_token_make(-1, l->after) : NULL;
	json_t *st;

	if (token) {
		st = api_status(
			410, "Expired",
			"The provided continue parameter is too old to display a consistent list result. You can start a new "
			"list without the continue parameter, or use the continue token in this response to retrieve the "
			"remainder of the results. Continuing with the provided token results in an inconsistent list - "
			"objects that were created, modified, or deleted between the time the first chunk was returned and "
			"now may show up in the list.");
		if (st)
			obj_set_str(st, "metadata.continue", token);
		call_json(c, 410, st);
	} else {
		call_status(c, 410, "Expired", "The resourceVersion for the provided list is too old.");
	}
	list_free(c);
}

/* Most of the past is still the present: its bytes are there and need no copy. */
static struct object *cached(const struct resource *r, const char *key, int64_t rev)
{
	size_t i = cache_lower_bound(r, key);

	return i < r->n && r->objs[i]->rev == rev && streq(r->objs[i]->key, key) ? object_ref(r->objs[i]) : NULL;
}

static void list_store(struct call *c);

static void on_store_page(void *arg, int r, const struct store_range *range, const struct err *err)
{
	struct call *c = arg;
	struct list_state *l = c->data;
	size_t prefix_len = strlen(c->res->prefix);

	if (call_dead(c)) {
		list_free(c);
	} else if (r == -ESTALE) {
		list_expired(c);
	} else if (r < 0) {
		call_store_error(c, r, err);
		list_free(c);
	} else {
		for (size_t i = 0; i < range->n; i++) {
			const struct store_kv *kv = &range->kvs[i];
			cleanup(object_unref) struct object *o = NULL;

			if (l->limit && l->n == l->limit) {
				list_finish(c, l->rev, true, range->count - (int64_t)i);
				goto out;
			}
			o = cached(c->res, kv->key + prefix_len, kv->mod_rev);
			if (!o)
				o = object_new(c->res, kv->key + prefix_len, kv->value, kv->value_len, kv->mod_rev);
			if (!o || !object_matches(c, o))
				continue;
			free(l->last);
			l->last = strdup(o->key);
			if (!l->last || list_add(l, o->json) < 0) {
				call_oom(c);
				list_free(c);
				goto out;
			}
		}
		if (!range->more || !range->n) {
			list_finish(c, l->rev, false, 0);
			goto out;
		}
		strbuf_clear(&l->next);
		strbuf_adds(&l->next, range->kvs[range->n - 1].key);
		strbuf_addc(&l->next, 1);
		list_store(c);
	}
out:
	call_unref(c);
}

static void list_store(struct call *c)
{
	struct list_state *l = c->data;
	char prefix[600], end[602];

	snprintf(prefix, sizeof(prefix), "%s%s%s", c->res->prefix, c->ns, c->ns[0] ? "/" : "");
	store_prefix_end(prefix, end);
	if (!l->next.len) {
		strbuf_adds(&l->next, prefix);
		if (l->after) {
			strbuf_clear(&l->next);
			strbuf_addf(&l->next, "%s%s\x01", c->res->prefix, l->after);
		}
	}
	c->s->store->ops->range(c->s->store, l->next.buf, end, l->rev, l->limit ? l->limit + 1 : STORE_PAGE, false,
				on_store_page, call_ref(c));
}

void registry_list(struct call *c)
{
	const char *limit = call_query(c, "limit"), *cont = call_query(c, "continue");
	const char *match = call_query(c, "resourceVersionMatch"), *rv = call_query(c, "resourceVersion");
	struct list_state *l;
	int64_t rev, n = 0;
	bool zero;

	if (options_check_list(c) < 0 || call_selectors(c) < 0 || call_resource_version(c, &rev, &zero) < 0)
		return;
	if (limit && *limit && str_to_i64(limit, 0, INT32_MAX, &n) < 0) {
		call_status(c, 400, "BadRequest", "limit: Invalid value: \"%.64s\": must be a number of objects",
			    limit);
		return;
	}
	l = calloc(1, sizeof(*l));
	if (!l) {
		call_oom(c);
		return;
	}
	strbuf_init(&l->next);
	c->data = l;
	c->data_free = list_free;
	l->limit = (size_t)n;
	if (cont && *cont) {
		if (rv && *rv && !zero) {
			call_status(c, 400, "BadRequest",
				    "specifying resource version is not allowed when using continue");
			list_free(c);
			return;
		}
		if (continue_token_read(cont, &l->rev, &l->after) < 0 ||
		    (c->ns[0] && (strncmp(l->after, c->ns, strlen(c->ns)) != 0 || l->after[strlen(c->ns)] != '/'))) {
			call_status(c, 400, "BadRequest", "continue key is not valid");
			list_free(c);
			return;
		}
		if (l->rev > 0)
			list_store(c);
		else
			cache_wait_fresh(c, list_cache);
		return;
	}
	/* Without a match, the first page at a revision is that revision's: the pages that follow are, too. */
	if (streq(match, "Exact") || (rev && l->limit && (!match || !*match))) {
		l->rev = rev;
		/* A revision that has not come yet is waited for like any other. */
		cache_wait(c, rev, NOT_OLDER_TIMEOUT_MS, list_store);
	} else if (zero) {
		list_cache(c);
	} else if (rev) {
		cache_wait(c, rev, NOT_OLDER_TIMEOUT_MS, list_cache);
	} else {
		cache_wait_fresh(c, list_cache);
	}
}
