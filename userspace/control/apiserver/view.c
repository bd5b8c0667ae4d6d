/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kinds that are another form of what is stored (schema: stored-as): events.k8s.io/v1 Event of core/v1's, an
 * autoscaling/v1 HorizontalPodAutoscaler of autoscaling/v2's. A view is a resource of its own in the cache, with
 * objects, ring and watchers in its form, made from the same store events; so reading one is like reading any kind.
 * It costs memory only from its first request on. Writes read and write the stored form.
 */
#include "apiserver-internal.h"
#include "managed.h"

#include <errno.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/str.h"

void view_link(struct resource *view)
{
	const struct api_kind *stored = view->kind->stored_as;
	struct resource *r = cache_resource(view->s, stored->group, stored->plural);

	memcpy(view->prefix, r->prefix, sizeof(view->prefix));
	view->view_of = r;
	view->sibling = r->sibling;
	r->sibling = view;
}

/* In one go, so that a view is shown as its objects are at one moment: the cache does not change meanwhile. */
int view_activate(struct resource *view)
{
	const struct resource *from = view->view_of;

	if (!from || view->active)
		return 0;
	for (size_t i = 0; i < from->n; i++) {
		const struct object *old = from->objs[i];
		cleanup(object_unref) struct object *o = NULL, *prev = NULL;

		o = object_new(view, old->key, old->json->data, old->json->len, old->rev);
		if (!o || resource_put(view, old->key, o, &prev) < 0) {
			resource_clear(view);
			return -ENOMEM;
		}
	}
	view->ring_from = view->s->rev;
	view->active = true;
	return 0;
}

json_t *view_of_stored(const struct resource *r, json_t *stored)
{
	json_t *obj;

	if (!r->view_of)
		return stored;
	obj = api_view_of(r->kind, stored);
	json_decref(stored);
	return obj;
}

int view_settle(struct call *c)
{
	json_t *stored;

	if (!c->res->view_of)
		return 0;
	stored = api_view_stored(c->res->kind, c->obj, c->old ? c->stored : NULL);
	if (!stored)
		return -ENOMEM;
	json_decref(c->obj);
	c->obj = view_of_stored(c->res, stored);
	return c->obj ? 0 : -ENOMEM;
}

int view_encode(struct call *c, struct strbuf *out)
{
	json_t *stored = api_view_stored(c->res->kind, c->obj, c->old ? c->stored : NULL);
	int r;

	if (stored && !c->old)
		kind_mark(c->res->view_of->kind, stored); /* where the view has no place to say it */
	r = stored ? object_encode(c->res->view_of, stored, managed_text(c), out) : -ENOMEM;
	json_decref(stored);
	return r;
}

int view_old(struct call *c)
{
	json_decref(c->stored);
	c->stored = NULL;
	if (!c->res->view_of)
		return 0;
	c->stored = json_incref(c->old);
	c->old = view_of_stored(c->res, c->old);
	return c->old ? 0 : -ENOMEM;
}
