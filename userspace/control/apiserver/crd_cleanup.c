/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a custom kind: a definition that is being deleted is held by a finalizer until its objects are gone. They
 * are deleted one by one as by a client, in the background; their own finalizers may keep them, and with them the
 * definition. Every API server does this; what one has deleted is gone for the others.
 */
#include "apiserver-internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/log.h"
#include "../../lib/base/str.h"

#define FINALIZER "customresourcecleanup.apiextensions.k8s.io"
#define PARALLEL  16
#define RETRY_MS  2000

static void on_cleanup(struct loop_timer *timer);

static void again(struct definition *d, int delay_ms)
{
	d->cleanup.fn = on_cleanup;
	d->cleanup.arg = d;
	(void)loop_timer_set(d->s->loop, &d->cleanup, delay_ms);
}

void crd_cleanup_soon(struct definition *d)
{
	again(d, 0);
}

/* The version whose events we follow: the stored one. */
static struct resource *objects_of(struct definition *d)
{
	char prefix[160];
	struct resource *r;

	snprintf(prefix, sizeof(prefix), "/%s/%s/", d->group, d->plural);
	for (r = strmap_get(d->s->by_prefix, prefix); r && !(r->custom && r->on_change);)
		r = r->sibling;
	return r;
}

static void deleted(struct call *c, int code, const char *body, size_t len)
{
	char name[384];
	struct definition *d;

	snprintf(name, sizeof(name), "%s.%s", c->resource, c->group);
	d = strmap_get(c->s->definitions, name);
	if (code >= 300 && code != 404 && code != 409)
		log_warn("definition \"%s\": deleting \"%s\": %d %.*s; trying again", name, c->name, code,
			 (int)(len > 300 ? 300 : len), body);
	if (!d || c->s->stopping)
		return;
	d->n_running--;
	if (d->terminating)
		again(d, code >= 300 && code != 404 ? RETRY_MS : 0);
}

static void delete_one(struct definition *d, struct resource *r, const struct object *o)
{
	char ns[CALL_NAME_MAX + 1];
	struct call *c;

	snprintf(ns, sizeof(ns), "%.*s", o->name > o->key ? (int)(o->name - o->key - 1) : 0, o->key);
	c = call_new_inner(d->s, "delete", r, ns, o->name, "");
	if (c)
		c->del = calloc(1, sizeof(*c->del));
	if (!c || !c->del) {
		if (c)
			call_unref(c);
		again(d, RETRY_MS);
		return;
	}
	c->finish = deleted;
	c->change = delete_change;
	d->n_running++;
	registry_mutate(c);
	call_unref(c);
}

/* --- the finalizer ------------------------------------------------------------------------------------------------ */

static enum change release_change(struct call *c)
{
	struct definition *d = strmap_get(c->s->definitions, c->name);
	struct resource *r = d ? objects_of(d) : NULL;
	json_t *list, *v;
	size_t i;

	if (!c->old || !obj_has_finalizer(c->old, FINALIZER) || !api_get_str(c->old, "metadata.deletionTimestamp") ||
	    (r && (r->n || r->load))) {
		call_status(c, 409, "Conflict", "not the time");
		return CHANGE_ANSWERED;
	}
	c->obj = json_deep_copy(c->old);
	if (!c->obj) {
		call_oom(c);
		return CHANGE_ANSWERED;
	}
	list = api_get(c->obj, "metadata.finalizers");
	json_array_foreach (list, i, v)
		if (streq(json_string_value(v), FINALIZER)) {
			json_array_remove(list, i);
			break;
		}
	if (!json_array_size(list))
		json_object_del(obj_meta(c->obj), "finalizers");
	return deletion_finished(c->res->kind, c->obj) ? CHANGE_DELETE : CHANGE_WRITE;
}

static void released(struct call *c, int code, const char *body, size_t len)
{
	struct definition *d = strmap_get(c->s->definitions, c->name);

	if (code < 300 || code == 409 || code == 404)
		return;
	log_warn("definition \"%s\": %d %.*s; trying again", c->name, code, (int)(len > 300 ? 300 : len), body);
	if (d && !c->s->stopping)
		again(d, RETRY_MS);
}

static void release(struct definition *d)
{
	struct call *c = call_new_inner(d->s, "update",
					cache_resource(d->s, "apiextensions.k8s.io", "customresourcedefinitions"), "",
					d->name, "");

	if (!c) {
		again(d, RETRY_MS);
		return;
	}
	c->finish = released;
	c->change = release_change;
	registry_mutate(c);
	call_unref(c);
}

static void on_cleanup(struct loop_timer *timer)
{
	struct definition *d = timer->arg;
	struct resource *r = objects_of(d);
	size_t n = 0;

	if (d->s->stopping || !d->terminating)
		return;
	if (!d->s->loaded || (r && r->load)) {
		/* Its end comes round again when the objects are there; this is for a cache that is read as a whole. */
		again(d, RETRY_MS);
		return;
	}
	for (size_t i = 0; r && i < r->n; i++) {
		if (api_get(r->objs[i]->index, "metadata.deletionTimestamp"))
			continue;
		if (d->n_running >= PARALLEL)
			return;
		n++;
		delete_one(d, r, r->objs[i]);
	}
	if (!n && !d->n_running && (!r || !r->n))
		release(d);
}
