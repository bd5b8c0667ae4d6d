/* SPDX-License-Identifier: Apache-2.0 */
/* See history.h. The witness's events are the order of writes; everything else is held against them. */
#include "history.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct check {
	const struct history *h;
	const struct h_event *order; /* the witness's */
	size_t n;
	char *why;
};

__attribute__((format(printf, 2, 3))) static bool wrong(const struct check *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->why, 512, fmt, ap);
	va_end(ap);
	return false;
}

static bool same_key(const struct h_object *a, const struct h_object *b)
{
	return !strcmp(a->key, b->key);
}

static bool covers(const struct h_scope *s, const struct h_object *o)
{
	const char *name = strchr(o->key, '/') + 1;

	return (!s->ns || (!strncmp(o->key, s->ns, strlen(s->ns)) && o->key[strlen(s->ns)] == '/')) &&
	       (!s->name || !strcmp(name, s->name)) && (!s->label || s->label == o->label);
}

/* The event before the i-th of the same object; NULL: none, or a deletion. */
static const struct h_event *before(const struct check *c, size_t i)
{
	for (size_t k = i; k > 0; k--)
		if (same_key(&c->order[k - 1].obj, &c->order[i].obj))
			return c->order[k - 1].type == H_DELETED ? NULL : &c->order[k - 1];
	return NULL;
}

/* The object's state at a revision; NULL: it is not there. */
static const struct h_event *state_at(const struct check *c, const char *key, int64_t rv)
{
	const struct h_event *e = NULL;

	for (size_t i = 0; i < c->n && c->order[i].obj.rv <= rv; i++)
		if (!strcmp(c->order[i].obj.key, key))
			e = &c->order[i];
	return e && e->type != H_DELETED ? e : NULL;
}

static bool increasing(const struct check *c, const struct h_stream *s, size_t which)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->events[i].obj.rv <= (i ? s->events[i - 1].obj.rv : s->from))
			return wrong(c, "stream %zu: event %zu (revision %lld) is out of order", which, i,
				     (long long)s->events[i].obj.rv);
	return true;
}

static const struct h_write *writer_of(const struct check *c, const struct h_object *o)
{
	for (size_t i = 0; i < c->h->n_writes; i++)
		if (c->h->writes[i].kind != H_DELETE && !strcmp(c->h->writes[i].obj.value, o->value))
			return &c->h->writes[i];
	return NULL;
}

/* Each event has a write of its own that explains it. */
static bool explained(const struct check *c)
{
	for (size_t i = 0; i < c->n; i++) {
		const struct h_event *e = &c->order[i], *was = before(c, i);
		const struct h_write *w;

		if ((e->type == H_ADDED) == (was != NULL))
			return wrong(c, "revision %lld: %s %s, which is %s", (long long)e->obj.rv,
				     e->type == H_ADDED ? "creates" : "changes", e->obj.key,
				     was ? "there" : "not there");
		if (e->type == H_DELETED)
			continue;
		w = writer_of(c, &e->obj);
		if (!w || !same_key(&w->obj, &e->obj) || w->obj.label != e->obj.label)
			return wrong(c, "revision %lld: nobody wrote %s=%s%c", (long long)e->obj.rv, e->obj.key,
				     e->obj.value, e->obj.label);
		if ((w->kind == H_CREATE) != (e->type == H_ADDED))
			return wrong(c, "revision %lld: %s is not of its write's kind", (long long)e->obj.rv,
				     e->obj.key);
		if (w->outcome == H_REFUSED)
			return wrong(c, "revision %lld: %s=%s was refused", (long long)e->obj.rv, e->obj.key,
				     e->obj.value);
		if (w->outcome == H_OK && w->obj.rv != e->obj.rv)
			return wrong(c, "%s=%s was answered revision %lld and has %lld", e->obj.key, e->obj.value,
				     (long long)w->obj.rv, (long long)e->obj.rv);
		if (w->base && was->obj.rv != w->base)
			return wrong(c, "lost update: %s=%s was made for revision %lld and replaced %lld", e->obj.key,
				     e->obj.value, (long long)w->base, (long long)was->obj.rv);
		for (size_t k = 0; k < i; k++)
			if (c->order[k].type != H_DELETED && !strcmp(c->order[k].obj.value, e->obj.value))
				return wrong(c, "%s=%s was done twice", e->obj.key, e->obj.value);
	}
	return true;
}

/* What was acknowledged is there; deletions as many as were acknowledged, and no more than were tried. */
static bool nothing_lost(const struct check *c)
{
	for (size_t i = 0; i < c->h->n_writes; i++) {
		const struct h_write *w = &c->h->writes[i];
		size_t at_least = 0, at_most = 0, done = 0;
		bool found = false;

		if (w->kind != H_DELETE) {
			for (size_t k = 0; k < c->n && !found; k++)
				found = c->order[k].type != H_DELETED && !strcmp(c->order[k].obj.value, w->obj.value);
			if (w->outcome == H_OK && !found)
				return wrong(c, "lost write: %s=%s, revision %lld", w->obj.key, w->obj.value,
					     (long long)w->obj.rv);
			continue;
		}
		for (size_t k = 0; k < c->h->n_writes; k++) {
			const struct h_write *d = &c->h->writes[k];

			if (d->kind != H_DELETE || !same_key(&d->obj, &w->obj))
				continue;
			at_least += d->outcome == H_OK;
			at_most += d->outcome == H_OK || d->outcome == H_UNKNOWN;
		}
		for (size_t k = 0; k < c->n; k++)
			done += c->order[k].type == H_DELETED && same_key(&c->order[k].obj, &w->obj);
		if (done < at_least || done > at_most)
			return wrong(c, "%s: deleted %zu times, %zu to %zu were answered or tried", w->obj.key, done,
				     at_least, at_most);
	}
	return true;
}

static int by_rv(const void *a, const void *b)
{
	const struct h_write *const *x = a, *const *y = b;

	return ((*x)->obj.rv > (*y)->obj.rv) - ((*x)->obj.rv < (*y)->obj.rv);
}

/* A write that began after another one was answered has the higher revision. */
static bool in_real_time(const struct check *c)
{
	const struct h_write **done = calloc(c->h->n_writes + 1, sizeof(*done)), *latest = NULL;
	bool good = true;
	size_t n = 0;

	for (size_t i = 0; i < c->h->n_writes; i++)
		if (c->h->writes[i].outcome == H_OK && c->h->writes[i].kind != H_DELETE)
			done[n++] = &c->h->writes[i];
	qsort(done, n, sizeof(*done), by_rv);
	for (size_t i = 0; i < n && good; i++) {
		if (i && done[i]->obj.rv == done[i - 1]->obj.rv)
			good = wrong(c, "two writes have revision %lld", (long long)done[i]->obj.rv);
		else if (latest && latest->invoked > done[i]->returned)
			good = wrong(c, "revision %lld was begun after revision %lld was answered",
				     (long long)latest->obj.rv, (long long)done[i]->obj.rv);
		if (!latest || done[i]->invoked > latest->invoked)
			latest = done[i];
	}
	free(done);
	return good;
}

/* The events that a watch of this scope is to see of one write; false: none. */
static bool seen_as(const struct check *c, const struct h_scope *s, size_t i, enum h_type *ret)
{
	const struct h_event *e = &c->order[i], *was = before(c, i);
	bool now = e->type != H_DELETED && covers(s, &e->obj), had = was && covers(s, &was->obj);

	*ret = now && had ? H_MODIFIED : now ? H_ADDED : H_DELETED;
	return now || had;
}

static bool complete(const struct check *c, const struct h_stream *s, size_t which)
{
	size_t k = 0;

	for (size_t i = 0; i < c->n && c->order[i].obj.rv <= s->to; i++) {
		const struct h_object *o = &c->order[i].obj;
		enum h_type type;

		if (o->rv <= s->from || !seen_as(c, &s->scope, i, &type))
			continue;
		if (k == s->n || s->events[k].obj.rv != o->rv)
			return wrong(c, "stream %zu: revision %lld (%s) is missing", which, (long long)o->rv, o->key);
		if (s->events[k].type != type || !same_key(&s->events[k].obj, o))
			return wrong(c, "stream %zu: revision %lld (%s) is told as another event", which,
				     (long long)o->rv, o->key);
		if (type != H_DELETED && strcmp(s->events[k].obj.value, o->value))
			return wrong(c, "stream %zu: revision %lld (%s) shows %s, not %s", which, (long long)o->rv,
				     o->key, s->events[k].obj.value, o->value);
		k++;
	}
	if (k < s->n)
		return wrong(c, "stream %zu: revision %lld (%s) never was", which, (long long)s->events[k].obj.rv,
			     s->events[k].obj.key);
	return true;
}

static int64_t known_before(const struct check *c, int64_t tick)
{
	int64_t rv = 0;

	for (size_t i = 0; i < c->h->n_writes; i++) {
		const struct h_write *w = &c->h->writes[i];

		if (w->outcome == H_OK && w->kind != H_DELETE && w->returned < tick && w->obj.rv > rv)
			rv = w->obj.rv;
	}
	return rv;
}

static bool got_one(const struct check *c, const struct h_list *l, size_t which)
{
	int64_t known = known_before(c, l->invoked);

	if (l->n) { /* it was the present state at some revision since */
		for (size_t i = 0; i < c->n; i++) {
			const struct h_event *e = &c->order[i];

			if (e->obj.rv != l->items[0].rv)
				continue;
			for (size_t k = i + 1; k < c->n; k++)
				if (same_key(&c->order[k].obj, &e->obj) && c->order[k].obj.rv <= known)
					return wrong(c, "get %zu: %s of revision %lld was outdated at %lld", which,
						     e->obj.key, (long long)e->obj.rv, (long long)known);
			if (strcmp(e->obj.value, l->items[0].value))
				return wrong(c, "get %zu: %s is not what was written", which, e->obj.key);
			return true;
		}
		return wrong(c, "get %zu: revision %lld never was", which, (long long)l->items[0].rv);
	}
	return true;
}

static bool listed(const struct check *c, const struct h_list *l, size_t which)
{
	int64_t known = known_before(c, l->invoked);
	size_t n = 0;

	if (l->one)
		return got_one(c, l, which);
	if (l->rv < l->at_least || (l->exact && l->rv != l->at_least))
		return wrong(c, "list %zu: asked for revision %lld, got %lld", which, (long long)l->at_least,
			     (long long)l->rv);
	if (!l->at_least && !l->any && l->rv < known)
		return wrong(c, "list %zu: revision %lld, when %lld had been answered", which, (long long)l->rv,
			     (long long)known);
	for (size_t i = 0; i < l->n; i++) {
		const struct h_event *e = state_at(c, l->items[i].key, l->rv);

		if (!e || e->obj.rv != l->items[i].rv || strcmp(e->obj.value, l->items[i].value))
			return wrong(c, "list %zu: %s was not so at revision %lld", which, l->items[i].key,
				     (long long)l->rv);
	}
	for (size_t i = 0; i < c->n && c->order[i].obj.rv <= l->rv; i++)
		n += state_at(c, c->order[i].obj.key, l->rv) == &c->order[i] && covers(&l->scope, &c->order[i].obj);
	if (n != l->n)
		return wrong(c, "list %zu: %zu objects at revision %lld, not %zu", which, l->n, (long long)l->rv, n);
	return true;
}

bool history_check(const struct history *h, char ret[static 512])
{
	struct check c = { .h = h, .order = h->streams[0].events, .n = h->streams[0].n, .why = ret };

	for (size_t i = 0; i < h->n_streams; i++) {
		if (h->streams[i].to < h->last_rv)
			return wrong(&c, "stream %zu ended at %lld", i, (long long)h->streams[i].to);
		if (!increasing(&c, &h->streams[i], i))
			return false;
	}
	if (!explained(&c) || !nothing_lost(&c) || !in_real_time(&c))
		return false;
	for (size_t i = 1; i < h->n_streams; i++)
		if (!complete(&c, &h->streams[i], i))
			return false;
	for (size_t i = 0; i < h->n_lists; i++)
		if (!listed(&c, &h->lists[i], i))
			return false;
	return true;
}
