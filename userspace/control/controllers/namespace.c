/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Namespaces: a terminating one is emptied, kind by kind, and lets go by its finalizer only when nothing is left.
 * Also the default service account that every namespace has.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "manager.h"

struct emptying {
	struct controller *c;
	struct batch *b;
	char name[256];
	size_t at;   /* of api_kinds(), then of the custom ones */
	size_t left; /* objects still there */
};

static void next_kind(struct emptying *e);

static bool is_custom(const struct emptying *e)
{
	size_t n;

	(void)api_kinds(&n);
	return e->at >= n;
}

/* NULL: that was the last one. */
static const struct api_kind *kind_at(const struct emptying *e)
{
	size_t n;
	const struct api_kind *const *kinds = api_kinds(&n);

	if (e->at < n)
		return kinds[e->at];
	return e->at - n < manager_customs(e->c->m) ? manager_custom(e->c->m, e->at - n, NULL) : NULL;
}

static void finish(struct emptying *e)
{
	struct informer_item *item = informer_get_key(manager_informer(e->c->m, &api_kind_namespace), e->name);

	if (e->left) {
		/*
		 * Finalizers and grace periods take their time; each deletion wakes us, this is for what has no
		 * informer here.
		 */
		enqueue_after(e->c, e->name, 1000);
	} else if (item) {
		json_t *obj = api_encode(&api_type_namespace, item->obj);

		api_set(obj, "spec", json_pack("{s:[]}", "finalizers"));
		api_set(obj, "apiVersion", json_string("v1"));
		api_set(obj, "kind", json_string("Namespace"));
		BATCH_CALL(e->b, kube_update(e->c->m->kube, &api_kind_namespace, NULL, e->name, "finalize", obj,
					     batch_result, e->b));
		json_decref(obj);
	}
	batch_give(e->b, 0);
	free(e);
}

static void listed(void *arg, const struct kube_result *r)
{
	struct emptying *e = arg;
	const struct api_kind *kind = kind_at(e);
	json_t *item;
	size_t i;

	/* A custom kind may have gone with its definition. */
	if (!kube_ok(r) && !(r->status == 404 && is_custom(e))) {
		batch_take(e->b);
		batch_result(e->b, r);
		e->left++;
	}
	json_array_foreach (json_object_get(r->obj, "items"), i, item) {
		e->left++;
		if (api_get_str(item, "metadata.deletionTimestamp"))
			continue;
		json_t *options = delete_options(api_get_str(item, "metadata.uid"), "Background");

		BATCH_CALL(e->b, kube_delete(e->c->m->kube, kind, e->name, api_get_str(item, "metadata.name"), options,
					     batch_result, e->b));
		json_decref(options);
	}
	e->at++;
	next_kind(e);
}

/* Pods last but one and events last would change nothing: each kind is listed until none has anything. */
static void next_kind(struct emptying *e)
{
	const struct api_kind *kind;

	while ((kind = kind_at(e)) && (!kind->namespaced || kind->stored_as || kind->review || kind->computed))
		e->at++;
	if (!kind) {
		finish(e);
		return;
	}
	if (kube_list(e->c->m->kube, kind, e->name, "limit=500", listed, e) < 0) {
		e->left++;
		finish(e);
	}
}

static void ns_changed(struct controller *c, const struct api_kind *kind, struct informer_item *old,
		       struct informer_item *new)
{
	const struct informer_item *it = new ? new : old;

	if (kind == &api_kind_namespace) {
		if (new &&meta_deleting(&new->obj->metadata))
			enqueue(c, it->key);
	} else if (!new && it->obj->metadata.namespace_) {
		struct informer_item *ns = informer_get_key(manager_informer(c->m, &api_kind_namespace),
							    it->obj->metadata.namespace_);

		if (ns && meta_deleting(&ns->obj->metadata))
			enqueue(c, ns->key);
	}
}

static void ns_reconcile(struct controller *c, const char *key)
{
	struct informer_item *item = informer_get_key(manager_informer(c->m, &api_kind_namespace), key);
	struct emptying *e;

	if (!item || !meta_deleting(&item->obj->metadata)) {
		done(c, key, 0);
		return;
	}
	e = calloc(1, sizeof(*e));
	if (!e) {
		done(c, key, -ENOMEM);
		return;
	}
	e->c = c;
	snprintf(e->name, sizeof(e->name), "%s", key);
	e->b = batch_new(c, key);
	if (!e->b) {
		free(e);
		return;
	}
	next_kind(e);
}

static const struct api_kind *const ns_kinds[] = { &api_kind_namespace, &api_kind_pod, &api_kind_replica_set, NULL };

const struct controller_ops namespace_controller = {
	.name = "namespace",
	.kinds = ns_kinds,
	.custom_kinds = true,
	.on_change = ns_changed,
	.reconcile = ns_reconcile,
};

/* --- default service accounts ------------------------------------------------------------------------------------- */

static void sa_changed(struct controller *c, const struct api_kind *kind, struct informer_item *old,
		       struct informer_item *new)
{
	if (kind == &api_kind_namespace && new)
		enqueue(c, new->key);
	else if (kind == &api_kind_service_account && !new &&streq(old->obj->metadata.name, "default"))
		enqueue(c, old->obj->metadata.namespace_);
}

static void sa_reconcile(struct controller *c, const char *key)
{
	struct informer_item *ns = informer_get_key(manager_informer(c->m, &api_kind_namespace), key);
	struct batch *b;
	json_t *sa;

	if (!ns || meta_deleting(&ns->obj->metadata) ||
	    informer_get(manager_informer(c->m, &api_kind_service_account), key, "default")) {
		done(c, key, 0);
		return;
	}
	b = batch_new(c, key);
	if (!b)
		return;
	sa = json_pack("{s:s,s:s,s:{s:s,s:s}}", "apiVersion", "v1", "kind", "ServiceAccount", "metadata", "name",
		       "default", "namespace", key);
	BATCH_CALL(b, kube_create(c->m->kube, &api_kind_service_account, key, NULL, NULL, sa, batch_result, b));
	json_decref(sa);
	batch_give(b, 0);
}

static const struct api_kind *const sa_kinds[] = { &api_kind_namespace, &api_kind_service_account, NULL };

const struct controller_ops service_account_controller = {
	.name = "service-account",
	.kinds = sa_kinds,
	.on_change = sa_changed,
	.reconcile = sa_reconcile,
};
