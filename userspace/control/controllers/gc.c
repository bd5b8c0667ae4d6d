/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Garbage collection by owner references. An object all of whose owners are gone is deleted; one that still has an
 * owner loses only the references to those that are gone. An owner being deleted in the foreground is held by its
 * finalizer until no dependent blocks it; one being orphaned, until its dependents no longer refer to it. That an
 * owner is gone is never believed of the cache: it is asked for.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "manager.h"

#define FOREGROUND "foregroundDeletion"
#define ORPHAN	   "orphan"

static const struct api_kind *const kinds[] = {
	&api_kind_pod,
	&api_kind_replica_set,
	&api_kind_deployment,
	&api_kind_service,
	&api_kind_endpoint_slice,
	&api_kind_config_map,
	&api_kind_secret,
	&api_kind_lease,
	&api_kind_service_account,
	&api_kind_network_policy,
	&api_kind_node,
	&api_kind_namespace,
	&api_kind_stateful_set,
	&api_kind_daemon_set,
	&api_kind_controller_revision,
	&api_kind_job,
	&api_kind_cron_job,
	&api_kind_persistent_volume_claim,
	&api_kind_horizontal_pod_autoscaler,
	&api_kind_pod_disruption_budget,
	&api_kind_ingress,
	NULL,
};

enum { N_KINDS = sizeof(kinds) / sizeof(kinds[0]) - 1 };

/* The built-in kinds, then the custom ones. NULL: past the last. The informer is NULL for one that is gone. */
static const struct api_kind *kind_at(struct controller *c, size_t i, struct informer **ret_informer)
{
	if (i < N_KINDS) {
		*ret_informer = manager_informer(c->m, kinds[i]);
		return kinds[i];
	}
	return i - N_KINDS < manager_customs(c->m) ? manager_custom(c->m, i - N_KINDS, ret_informer) : NULL;
}

static size_t kind_index(struct controller *c, const struct api_kind *kind)
{
	struct informer *inf;
	const struct api_kind *k;
	size_t i = 0;

	while ((k = kind_at(c, i, &inf)) && k != kind)
		i++;
	return i;
}

static bool is_custom(size_t kind)
{
	return kind >= N_KINDS;
}

static bool has_finalizer(const struct api_meta *m, const char *name)
{
	for (size_t i = 0; i < m->n_finalizers; i++)
		if (streq(m->finalizers[i], name))
			return true;
	return false;
}

/* Keys are "<kind index> <object key>". */
static void enqueue_item(struct controller *c, size_t kind, const char *object_key)
{
	char key[700];

	snprintf(key, sizeof(key), "%zu %s", kind, object_key);
	enqueue(c, key);
}

static bool refers_to(const struct api_meta *m, const char *uid)
{
	for (size_t i = 0; i < m->n_owner_references; i++)
		if (streq(m->owner_references[i].uid, uid))
			return true;
	return false;
}

/* Calls fn for every cached object that has an owner of this uid. */
static void each_dependent(struct controller *c, const char *uid,
			   void (*fn)(void *arg, size_t kind, struct informer_item *it), void *arg)
{
	struct informer *inf;

	for (size_t k = 0; kind_at(c, k, &inf); k++) {
		for (struct informer_iter it = { 0 }; inf && informer_next(inf, &it);)
			if (it.item->obj->metadata.n_owner_references && refers_to(&it.item->obj->metadata, uid))
				fn(arg, k, it.item);
	}
}

static void enqueue_dependent(void *arg, size_t kind, struct informer_item *it)
{
	enqueue_item(arg, kind, it->key);
}

static struct informer_item *find_owner(struct controller *c, const struct api_owner_ref *ref, const char *ns,
					const struct api_kind **ret_kind)
{
	const char *slash = ref->api_version ? strchr(ref->api_version, '/') : NULL;
	char group[256];
	const struct api_kind *kind;
	struct informer *inf;
	struct informer_item *it;

	snprintf(group, sizeof(group), "%.*s", slash ? (int)(slash - ref->api_version) : 0,
		 ref->api_version ? ref->api_version : "");
	kind = api_kind_by_name(group,
				slash		   ? slash + 1
				: ref->api_version ? ref->api_version
						   : "",
				ref->kind ? ref->kind : "");
	inf = kind ? manager_informer(c->m, kind) : NULL;
	if (!kind)
		kind = manager_custom_by_name(c->m, group, ref->kind ? ref->kind : "", &inf);
	*ret_kind = kind;
	if (!inf)
		return NULL;
	it = informer_get(inf, kind->namespaced ? ns : NULL, ref->name);
	return it && streq(it->obj->metadata.uid, ref->uid) ? it : NULL;
}

static void on_change(struct controller *c, const struct api_kind *kind, struct informer_item *old,
		      struct informer_item *new)
{
	const struct informer_item *it = new ? new : old;
	const struct api_meta *m = &it->obj->metadata;
	const struct api_kind *owner_kind;

	if (new &&
	    (m->n_owner_references || (meta_deleting(m) && (has_finalizer(m, FOREGROUND) || has_finalizer(m, ORPHAN)))))
		enqueue_item(c, kind_index(c, kind), it->key);
	if (!new) {
		each_dependent(c, m->uid, enqueue_dependent, c);
		/* An owner may be waiting for this dependent to go. */
		for (size_t i = 0; i < m->n_owner_references; i++) {
			struct informer_item *owner = find_owner(c, &m->owner_references[i], m->namespace_,
								 &owner_kind);

			if (owner && meta_deleting(&owner->obj->metadata))
				enqueue_item(c, kind_index(c, owner_kind), owner->key);
		}
	}
}

/* --- owners in deletion ------------------------------------------------------------------------------------------- */

struct holding {
	struct controller *c;
	struct batch *b;
	const struct informer_item *owner;
	size_t blocking;
	bool orphan;
};

/*
 * Takes references away. Custom kinds know no strategic merge: theirs are written whole, and only onto what we have
 * seen.
 */
static void drop_owners(struct controller *c, struct batch *b, size_t kind, const struct api_meta *m, const bool *gone)
{
	json_t *refs = json_array(), *patch;
	struct informer *inf;
	const struct api_kind *k = kind_at(c, kind, &inf);

	for (size_t i = 0; i < m->n_owner_references; i++) {
		const struct api_owner_ref *o = &m->owner_references[i];
		json_t *ref;

		if (!is_custom(kind)) {
			if (gone[i])
				json_array_append_new(refs, json_pack("{s:s,s:s}", "$patch", "delete", "uid", o->uid));
			continue;
		}
		if (gone[i])
			continue;
		ref = json_pack("{s:s,s:s,s:s,s:s}", "apiVersion", o->api_version, "kind", o->kind, "name", o->name,
				"uid", o->uid);
		if (o->controller.set)
			json_object_set_new(ref, "controller", json_boolean(o->controller.v));
		if (o->block_owner_deletion.set)
			json_object_set_new(ref, "blockOwnerDeletion", json_boolean(o->block_owner_deletion.v));
		json_array_append_new(refs, ref);
	}
	patch = json_pack("{s:{s:s,s:o}}", "metadata", "uid", m->uid, "ownerReferences", refs);
	if (is_custom(kind))
		(void)api_set(patch, "metadata.resourceVersion", json_string(m->resource_version));
	BATCH_CALL(b, kube_patch(c->m->kube, k, m->namespace_, m->name, NULL,
				 is_custom(kind) ? KUBE_PATCH_MERGE : KUBE_PATCH_STRATEGIC, patch, batch_result, b));
	json_decref(patch);
}

static void hold(void *arg, size_t kind, struct informer_item *it)
{
	struct holding *h = arg;
	const struct api_meta *m = &it->obj->metadata;
	struct informer *inf;

	if (h->orphan) {
		bool *gone = calloc(m->n_owner_references + 1, sizeof(*gone));

		h->blocking++;
		for (size_t i = 0; gone && i < m->n_owner_references; i++)
			gone[i] = streq(m->owner_references[i].uid, h->owner->obj->metadata.uid);
		if (gone)
			drop_owners(h->c, h->b, kind, m, gone);
		free(gone);
		return;
	}
	for (size_t i = 0; i < m->n_owner_references; i++)
		if (streq(m->owner_references[i].uid, h->owner->obj->metadata.uid) &&
		    m->owner_references[i].block_owner_deletion.v)
			h->blocking++;
	if (!meta_deleting(m)) {
		json_t *options = delete_options(m->uid, "Foreground");

		BATCH_CALL(h->b, kube_delete(h->c->m->kube, kind_at(h->c, kind, &inf), m->namespace_, m->name, options,
					     batch_result, h->b));
		json_decref(options);
	}
}

static void drop_finalizer(struct controller *c, struct batch *b, const struct api_kind *kind,
			   const struct informer_item *it, const char *name)
{
	const struct api_meta *m = &it->obj->metadata;
	json_t *keep = json_array(), *patch;

	for (size_t i = 0; i < m->n_finalizers; i++)
		if (!streq(m->finalizers[i], name))
			json_array_append_new(keep, json_string(m->finalizers[i]));
	patch = json_pack("{s:{s:s,s:s,s:o}}", "metadata", "uid", m->uid, "resourceVersion", m->resource_version,
			  "finalizers", keep);
	BATCH_CALL(b, kube_patch(c->m->kube, kind, m->namespace_, m->name, NULL, KUBE_PATCH_MERGE, patch, batch_result,
				 b));
	json_decref(patch);
}

/* --- dependents --------------------------------------------------------------------------------------------------- */

struct check {
	struct controller *c;
	struct batch *b;
	struct informer_item *it;
	size_t kind;
	size_t at; /* owner being asked for */
	size_t gone, alive;
	bool *is_gone;
};

static void next_owner(struct check *ch);

static void conclude(struct check *ch)
{
	const struct api_meta *m = &ch->it->obj->metadata;
	struct controller *c = ch->c;
	struct informer *inf;

	if (ch->gone && !ch->alive) {
		json_t *options = delete_options(m->uid, "Background");

		BATCH_CALL(ch->b, kube_delete(c->m->kube, kind_at(c, ch->kind, &inf), m->namespace_, m->name, options,
					      batch_result, ch->b));
		json_decref(options);
	} else if (ch->gone) {
		drop_owners(c, ch->b, ch->kind, m, ch->is_gone);
	}
	batch_give(ch->b, 0);
	informer_item_unref(ch->it);
	free(ch->is_gone);
	free(ch);
}

static void asked(void *arg, const struct kube_result *r)
{
	struct check *ch = arg;
	const struct api_owner_ref *ref = &ch->it->obj->metadata.owner_references[ch->at];

	if (r->status == 404 || (kube_ok(r) && !streq(api_get_str(r->obj, "metadata.uid"), ref->uid))) {
		ch->is_gone[ch->at] = true;
		ch->gone++;
	} else {
		/* Unreachable or alive: never delete on a doubt. */
		ch->alive++;
		if (!kube_ok(r)) {
			batch_take(ch->b);
			batch_give(ch->b, -EAGAIN);
		}
	}
	ch->at++;
	next_owner(ch);
}

static void next_owner(struct check *ch)
{
	const struct api_meta *m = &ch->it->obj->metadata;

	for (; ch->at < m->n_owner_references; ch->at++) {
		const struct api_owner_ref *ref = &m->owner_references[ch->at];
		const struct api_kind *kind;

		if (find_owner(ch->c, ref, m->namespace_, &kind) || !kind) {
			ch->alive++; /* a kind that we do not serve is not ours to judge */
			continue;
		}
		if (kube_get(ch->c->m->kube, kind, kind->namespaced ? m->namespace_ : NULL, ref->name, NULL, asked,
			     ch) < 0) {
			ch->alive++;
			continue;
		}
		return;
	}
	conclude(ch);
}

static void reconcile(struct controller *c, const char *key)
{
	size_t kind = strtoul(key, NULL, 10);
	const char *object_key = strchr(key, ' ') + 1;
	struct informer *inf = NULL;
	const struct api_kind *k = kind_at(c, kind, &inf);
	struct informer_item *it = k && inf ? informer_get_key(inf, object_key) : NULL;
	const struct api_meta *m;
	struct check *ch;
	struct batch *b;

	if (!it) {
		done(c, key, 0);
		return;
	}
	b = batch_new(c, key);
	if (!b)
		return;
	m = &it->obj->metadata;
	if (meta_deleting(m)) {
		struct holding h = { c, b, it, 0, has_finalizer(m, ORPHAN) };

		if (h.orphan || has_finalizer(m, FOREGROUND)) {
			each_dependent(c, m->uid, hold, &h);
			if (!h.blocking)
				drop_finalizer(c, b, k, it, h.orphan ? ORPHAN : FOREGROUND);
			else if (h.orphan)
				enqueue_after(c, key, 500); /* the cache will show them released */
		}
		batch_give(b, 0);
		return;
	}
	ch = calloc(1, sizeof(*ch));
	if (ch)
		ch->is_gone = calloc(m->n_owner_references + 1, sizeof(bool));
	if (!ch || !ch->is_gone) {
		free(ch);
		batch_give(b, -ENOMEM);
		return;
	}
	ch->c = c;
	ch->b = b;
	ch->it = informer_item_ref(it);
	ch->kind = kind;
	next_owner(ch);
}

const struct controller_ops gc_controller = {
	.name = "garbage-collector",
	.kinds = kinds,
	.custom_kinds = true,
	.on_change = on_change,
	.reconcile = reconcile,
};
