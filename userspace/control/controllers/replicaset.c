/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ReplicaSet controller: does what rs_plan() says. Since the cache lags behind our own writes, expectations count the
 * creations and deletions not yet seen; while any is open the set is left alone (at most 5 minutes), so that no pod
 * is made twice.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "base/strmap.h"
#include "replicaset_plan.h"

enum { EXPECT_TTL_MS = 300000, BURST = 500 };

struct expectation {
	int adds, dels;
	int64_t at_ms;
	int64_t slow_start; /* size of the next batch of creations: 1, 2, 4... while they succeed */
};

static struct expectation *expect(struct controller *c, const char *key)
{
	struct strmap *m = c->data;
	struct expectation *e = strmap_get(m, key);

	if (e)
		return e;
	e = calloc(1, sizeof(*e));
	if (e && strmap_set(m, key, e, NULL) < 0) {
		free(e);
		return NULL;
	}
	return e;
}

static int init(struct controller *c)
{
	c->data = strmap_new();
	return c->data ? 0 : -ENOMEM;
}

static void rs_free(struct controller *c)
{
	struct strmap *m = c->data;

	if (!m)
		return;
	for (struct strmap_iter it = { 0 }; strmap_next(m, &it);)
		free(it.value);
	strmap_free(m);
}

static void pod_changed(struct controller *c, struct informer_item *old, struct informer_item *new)
{
	const struct api_object *obj = new ? new->obj : old->obj;
	struct informer *sets = manager_informer(c->m, &api_kind_replica_set);
	struct expectation *e;
	char key[600];

	if (old && new &&owner_key(&old->obj->metadata, "ReplicaSet", key))
		enqueue(c, key); /* it may have left its set */
	if (owner_key(&obj->metadata, "ReplicaSet", key)) {
		e = strmap_get(c->data, key);
		if (e && !old && e->adds > 0)
			e->adds--;
		if (e && e->dels > 0 &&
		    (!new || (old && !meta_deleting(&old->obj->metadata) && meta_deleting(&new->obj->metadata))))
			e->dels--;
		enqueue(c, key);
		return;
	}
	if (controller_of(&obj->metadata) || !new)
		return;
	/* An orphan: every set of the namespace that would have it looks. */
	for (struct informer_iter it = { 0 }; informer_next_in(sets, obj->metadata.namespace_, &it);) {
		const struct api_replica_set *rs = (const struct api_replica_set *)it.item->obj;

		if (api_label_selector_matches(rs->spec.selector, &obj->metadata.labels))
			enqueue(c, it.item->key);
	}
}

static void on_change(struct controller *c, const struct api_kind *kind, struct informer_item *old,
		      struct informer_item *new)
{
	if (kind == &api_kind_pod) {
		pod_changed(c, old, new);
		return;
	}
	if (!new) {
		free(strmap_del(c->data, old->key));
		return;
	}
	enqueue(c, new->key);
}

struct creation {
	struct batch *b;
	struct controller *c;
	struct informer_item *rs;
};

static void created(void *arg, const struct kube_result *r)
{
	struct creation *cr = arg;
	struct expectation *e = strmap_get(cr->c->data, cr->rs->key);

	if (kube_ok(r)) {
		kube_event(cr->c->m->recorder, &api_kind_replica_set, cr->rs->obj, "Normal", "SuccessfulCreate",
			   "Created pod: %s", api_get_str(r->obj, "metadata.name"));
	} else {
		if (e && e->adds > 0)
			e->adds--;
		if (e)
			e->slow_start = 1;
		kube_event(cr->c->m->recorder, &api_kind_replica_set, cr->rs->obj, "Warning", "FailedCreate",
			   "Error creating: %s", r->message);
	}
	batch_result(cr->b, r);
	informer_item_unref(cr->rs);
	free(cr);
}

static json_t *pod_from_template(const struct informer_item *item)
{
	const json_t *tmpl = api_get(item->json, "spec.template");
	json_t *pod = json_deep_copy(tmpl), *meta;
	char generate[256];

	if (!pod)
		return NULL;
	json_object_set_new(pod, "apiVersion", json_string("v1"));
	json_object_set_new(pod, "kind", json_string("Pod"));
	meta = json_object_get(pod, "metadata");
	if (!meta) {
		meta = json_object();
		json_object_set_new(pod, "metadata", meta);
	}
	json_object_del(meta, "creationTimestamp");
	snprintf(generate, sizeof(generate), "%.240s-", item->obj->metadata.name);
	json_object_set_new(meta, "generateName", json_string(generate));
	json_object_set_new(meta, "ownerReferences",
			    json_pack("[o]", owner_reference(&api_kind_replica_set, item->obj)));
	return pod;
}

static void create_pods(struct controller *c, struct batch *b, struct informer_item *rs, int64_t n)
{
	struct expectation *e = expect(c, rs->key);
	json_t *pod = pod_from_template(rs);

	if (!e || !pod) {
		json_decref(pod);
		batch_take(b);
		batch_give(b, -ENOMEM);
		return;
	}
	if (e->slow_start < 1)
		e->slow_start = 1;
	if (n > e->slow_start)
		n = e->slow_start; /* the others follow when these are seen: a template that cannot be made costs one
				      try */
	e->slow_start = e->slow_start * 2 > BURST ? BURST : e->slow_start * 2;
	e->at_ms = clock_mono_ms();
	for (int64_t i = 0; i < n; i++) {
		struct creation *cr = calloc(1, sizeof(*cr));

		if (!cr)
			break;
		*cr = (struct creation){ b, c, informer_item_ref(rs) };
		e->adds++;
		batch_take(b);
		if (kube_create(c->m->kube, &api_kind_pod, rs->obj->metadata.namespace_, NULL, NULL, pod, created, cr) <
		    0) {
			e->adds--;
			informer_item_unref(rs);
			free(cr);
			batch_give(b, -ENOMEM);
		}
	}
	json_decref(pod);
}

struct deletion {
	struct creation base;
	char pod[256];
};

static void deleted(void *arg, const struct kube_result *r)
{
	struct deletion *d = arg;
	struct expectation *e = strmap_get(d->base.c->data, d->base.rs->key);

	if (kube_ok(r))
		kube_event(d->base.c->m->recorder, &api_kind_replica_set, d->base.rs->obj, "Normal", "SuccessfulDelete",
			   "Deleted pod: %s", d->pod);
	else if (e && e->dels > 0)
		e->dels--;
	batch_result(d->base.b, r);
	informer_item_unref(d->base.rs);
	free(d);
}

static void delete_pods(struct controller *c, struct batch *b, struct informer_item *rs, const struct rs_plan *p)
{
	struct expectation *e = expect(c, rs->key);

	for (size_t i = 0; e && i < p->n_delete; i++) {
		const struct api_pod *pod = p->delete[i];
		json_t *options = delete_options(pod->metadata.uid, NULL);
		struct deletion *d = calloc(1, sizeof(*d));

		if (!d) {
			json_decref(options);
			break;
		}
		d->base = (struct creation){ b, c, informer_item_ref(rs) };
		snprintf(d->pod, sizeof(d->pod), "%s", pod->metadata.name);
		e->dels++;
		e->at_ms = clock_mono_ms();
		batch_take(b);
		if (kube_delete(c->m->kube, &api_kind_pod, pod->metadata.namespace_, pod->metadata.name, options,
				deleted, d) < 0) {
			e->dels--;
			informer_item_unref(rs);
			free(d);
			batch_give(b, -ENOMEM);
		}
		json_decref(options);
	}
}

/* Adopting and releasing are patches of ownerReferences, guarded by the pod's uid. */
static void patch_owner(struct controller *c, struct batch *b, struct informer_item *rs, const struct api_pod *pod,
			bool adopt)
{
	json_t *ref, *patch;

	if (adopt)
		ref = owner_reference(&api_kind_replica_set, rs->obj);
	else
		ref = json_pack("{s:s,s:s}", "$patch", "delete", "uid", rs->obj->metadata.uid);
	patch = json_pack("{s:{s:s,s:[o]}}", "metadata", "uid", pod->metadata.uid, "ownerReferences", ref);
	BATCH_CALL(b, kube_patch(c->m->kube, &api_kind_pod, pod->metadata.namespace_, pod->metadata.name, NULL,
				 KUBE_PATCH_STRATEGIC, patch, batch_result, b));
	json_decref(patch);
}

static void write_status(struct controller *c, struct batch *b, const struct api_replica_set *rs,
			 const struct rs_plan *p)
{
	const struct api_replica_set_status *s = &rs->status;
	json_t *patch;

	if (s->replicas == p->replicas && s->fully_labeled_replicas == p->labeled && s->ready_replicas == p->ready &&
	    s->available_replicas == p->available && s->observed_generation == rs->metadata.generation)
		return;
	patch = json_pack("{s:{s:I,s:I,s:I,s:I,s:I}}", "status", "replicas", (json_int_t)p->replicas,
			  "fullyLabeledReplicas", (json_int_t)p->labeled, "readyReplicas", (json_int_t)p->ready,
			  "availableReplicas", (json_int_t)p->available, "observedGeneration",
			  (json_int_t)rs->metadata.generation);
	BATCH_CALL(b, kube_patch(c->m->kube, &api_kind_replica_set, rs->metadata.namespace_, rs->metadata.name,
				 "status", KUBE_PATCH_MERGE, patch, batch_result, b));
	json_decref(patch);
}

static void reconcile(struct controller *c, const char *key)
{
	struct informer *pods = manager_informer(c->m, &api_kind_pod);
	struct informer_item *item = informer_get_key(manager_informer(c->m, &api_kind_replica_set), key);
	const struct api_replica_set *rs;
	const struct api_pod **mine;
	struct expectation *e;
	struct rs_plan p;
	struct batch *b;
	size_t n = 0;
	bool settled;

	if (!item) {
		done(c, key, 0);
		return;
	}
	rs = (const struct api_replica_set *)item->obj;
	mine = calloc(informer_len_in(pods, rs->metadata.namespace_) + 1, sizeof(*mine));
	if (!mine) {
		done(c, key, -ENOMEM);
		return;
	}
	for (struct informer_iter it = { 0 }; informer_next_in(pods, rs->metadata.namespace_, &it);) {
		const struct api_pod *pod = (const struct api_pod *)it.item->obj;

		if (owned_by(&pod->metadata, rs->metadata.uid) ||
		    api_label_selector_matches(rs->spec.selector, &pod->metadata.labels))
			mine[n++] = pod;
	}
	e = strmap_get(c->data, key);
	settled = !e || (!e->adds && !e->dels) || clock_mono_ms() - e->at_ms > EXPECT_TTL_MS;
	if (settled && e)
		e->adds = e->dels = 0;
	if (rs_plan(rs, mine, n, clock_real_ms(), &p) < 0 || !(b = batch_new(c, key))) {
		free(mine);
		return;
	}
	for (size_t i = 0; i < p.n_adopt; i++)
		patch_owner(c, b, item, p.adopt[i], true);
	for (size_t i = 0; i < p.n_release; i++)
		patch_owner(c, b, item, p.release[i], false);
	if (settled && p.create)
		create_pods(c, b, item, p.create);
	else if (settled && p.n_delete)
		delete_pods(c, b, item, &p);
	else if (settled && e)
		e->slow_start = 1;
	write_status(c, b, rs, &p);
	if (p.wake_ms)
		enqueue_after(c, key, p.wake_ms);
	rs_plan_done(&p);
	free(mine);
	batch_give(b, 0);
}

static const struct api_kind *const kinds[] = { &api_kind_replica_set, &api_kind_pod, NULL };

const struct controller_ops replicaset_controller = {
	.name = "replicaset",
	.kinds = kinds,
	.init = init,
	.on_change = on_change,
	.reconcile = reconcile,
	.free = rs_free,
};
