/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quotas: what a namespace uses, counted anew when a quota changes and when something in its namespace goes. Creations
 * are charged by the API server before they happen, so a count must not undo a charge whose object is not in the
 * caches yet: a quota is counted only when nothing has charged it for a while, and the status is put on condition that
 * nothing has meanwhile.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/str.h"
#include "base/strmap.h"
#include "manager.h"
#include "quota_plan.h"

#define SETTLE_MS 2000

struct quotas {
	struct strmap *changed; /* key -> struct seen */
};
struct seen {
	int64_t at_ms;
	char version[24];
};

static const struct api_kind *const kinds[] = {
	&api_kind_resource_quota,
	&api_kind_pod,
	&api_kind_service,
	&api_kind_config_map,
	&api_kind_secret,
	&api_kind_service_account,
	&api_kind_persistent_volume_claim,
	&api_kind_deployment,
	&api_kind_replica_set,
	&api_kind_stateful_set,
	&api_kind_daemon_set,
	&api_kind_job,
	&api_kind_cron_job,
	&api_kind_ingress,
	NULL,
};

static int init(struct controller *c)
{
	struct quotas *q = calloc(1, sizeof(*q));

	c->data = q;
	if (!q)
		return -ENOMEM;
	q->changed = strmap_new();
	return q->changed ? 0 : -ENOMEM;
}

static void quotas_free(struct controller *c)
{
	struct quotas *q = c->data;

	if (!q)
		return;
	for (struct strmap_iter it = { 0 }; q->changed && strmap_next(q->changed, &it);)
		free(it.value);
	strmap_free(q->changed);
	free(q);
}

/* Remembers when this version of the quota was first seen. */
static void note(struct quotas *q, const struct informer_item *item)
{
	struct seen *s = strmap_get(q->changed, item->key);

	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s || strmap_set(q->changed, item->key, s, NULL) < 0) {
			free(s);
			return;
		}
	}
	if (streq(s->version, item->obj->metadata.resource_version))
		return;
	snprintf(s->version, sizeof(s->version), "%s", item->obj->metadata.resource_version ?: "");
	s->at_ms = clock_mono_ms();
}

static bool over(const struct api_kind *kind, const struct informer_item *item)
{
	return kind == &api_kind_pod && pod_terminated((const struct api_pod *)item->obj);
}

static void on_change(struct controller *c, const struct api_kind *kind, struct informer_item *old,
		      struct informer_item *new)
{
	struct informer *quotas = manager_informer(c->m, &api_kind_resource_quota);
	const struct informer_item *any = new ? new : old;

	if (kind == &api_kind_resource_quota) {
		if (new)
			note(c->data, new);
		else
			free(strmap_del(((struct quotas *)c->data)->changed, old->key));
		if (new)
			enqueue(c, new->key);
	}
	/* What comes is charged; what goes, or uses nothing any more, is found by counting. */
	if (new && !(old && old != new &&over(kind, new) && !over(kind, old)))
		return;
	for (struct informer_iter it = { 0 }; informer_next_in(quotas, any->obj->metadata.namespace_, &it);)
		enqueue(c, it.item->key);
}

/* All objects of the namespace as trees; *ret is the caller's. -ENOMEM. */
static int gather(struct controller *c, const char *ns, struct quota_object **ret, size_t *ret_n)
{
	struct quota_object *v = NULL;
	size_t n = 0, cap = 0;

	for (const struct api_kind *const *k = kinds; *k; k++) {
		struct informer *inf = manager_informer(c->m, *k);

		for (struct informer_iter it = { 0 }; informer_next_in(inf, ns, &it);) {
			if (n == cap) {
				struct quota_object *more = realloc(v, (cap ? cap * 2 : 64) * sizeof(*v));

				if (!more)
					goto oom;
				v = more;
				cap = cap ? cap * 2 : 64;
			}
			v[n].kind = *k;
			v[n].obj = api_encode((*k)->type, it.item->obj);
			if (!v[n++].obj)
				goto oom;
		}
	}
	*ret = v;
	*ret_n = n;
	return 0;
oom:
	for (size_t i = 0; i < n; i++)
		json_decref((json_t *)v[i].obj);
	free(v);
	return -ENOMEM;
}

static void reconcile(struct controller *c, const char *key)
{
	struct informer_item *item = informer_get_key(manager_informer(c->m, &api_kind_resource_quota), key);
	const struct seen *s = strmap_get(((struct quotas *)c->data)->changed, key);
	struct quota_object *objects = NULL;
	json_t *quota, *status;
	int64_t age = s ? clock_mono_ms() - s->at_ms : SETTLE_MS;
	size_t n = 0;
	struct batch *b;

	if (!item) {
		done(c, key, 0);
		return;
	}
	quota = api_encode(&api_type_resource_quota, item->obj);
	/* One without a status has not been charged by anybody. */
	if (quota && age < SETTLE_MS && api_get(quota, "status.hard")) {
		json_decref(quota);
		done(c, key, 0);
		enqueue_after(c, key, SETTLE_MS - age);
		return;
	}
	if (!quota || gather(c, item->obj->metadata.namespace_, &objects, &n) < 0) {
		json_decref(quota);
		done(c, key, -ENOMEM);
		return;
	}
	status = quota_plan(quota, objects, n, kinds);
	for (size_t i = 0; i < n; i++)
		json_decref((json_t *)objects[i].obj);
	free(objects);
	if (!status || json_equal(status, json_object_get(quota, "status"))) {
		done(c, key, status ? 0 : -ENOMEM);
		json_decref(status);
		json_decref(quota);
		return;
	}
	/* The whole status, and only if nobody has charged the quota since. */
	(void)api_set(quota, "status", status);
	b = batch_new(c, key);
	if (b) {
		BATCH_CALL(b, kube_update(c->m->kube, &api_kind_resource_quota, item->obj->metadata.namespace_,
					  item->obj->metadata.name, "status", quota, batch_result, b));
		batch_give(b, 0);
	}
	json_decref(quota);
}

const struct controller_ops quota_controller = {
	.name = "resource-quota",
	.kinds = kinds,
	.init = init,
	.on_change = on_change,
	.reconcile = reconcile,
	.free = quotas_free,
};
