/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Config maps and secrets that pods of this node use, each watched by name, so that the node sees no others and
 * changes arrive at once. What no pod uses any more is let go at the next resync.
 */
#include "pod-internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct object {
	struct objects *o;
	struct informer *inf;
	bool used;
	char *ns, *name;
};

struct objects {
	struct kube *kube;
	void (*on_change)(void *arg, const char *ns);
	void *arg;
	struct strmap *map; /* "secret/ns/name" */
};

struct objects *objects_new(struct kube *kube, void (*on_change)(void *arg, const char *ns), void *arg)
{
	struct objects *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	*o = (struct objects){ kube, on_change, arg, strmap_new() };
	if (!o->map) {
		free(o);
		return NULL;
	}
	return o;
}

static void object_free(struct object *ob)
{
	informer_free(ob->inf);
	free(ob->ns);
	free(ob->name);
	free(ob);
}

void objects_free(struct objects *o)
{
	if (!o)
		return;
	for (struct strmap_iter it = { 0 }; strmap_next(o->map, &it);)
		object_free(it.value);
	strmap_free(o->map);
	free(o);
}

static void on_change(struct informer *inf, void *arg, struct informer_item *old, struct informer_item *new)
{
	struct object *ob = arg;

	if (old != new &&informer_synced(inf))
		ob->o->on_change(ob->o->arg, ob->ns);
}

static void on_synced(struct informer *inf, void *arg)
{
	struct object *ob = arg;

	(void)inf;
	ob->o->on_change(ob->o->arg, ob->ns);
}

static char *object_key(bool secret, const char *ns, const char *name)
{
	char *key;

	return asprintf(&key, "%s/%s/%s", secret ? "secret" : "configmap", ns, name) < 0 ? NULL : key;
}

static int object_watch(struct objects *o, const char *key, bool secret, const char *ns, const char *name,
			struct object **ret)
{
	static const struct informer_ops ops = { on_change, on_synced };
	struct object *ob = calloc(1, sizeof(*ob));
	cleanup(free) char *selector = NULL;
	struct informer_config config = { .kind = secret ? &api_kind_secret : &api_kind_config_map,
					  .namespace_ = ns,
					  .resync_ms = -1 };

	if (!ob)
		return -ENOMEM;
	ob->o = o;
	ob->used = true;
	ob->ns = strdup(ns);
	ob->name = strdup(name);
	if (!ob->ns || !ob->name || asprintf(&selector, "metadata.name=%s", name) < 0)
		goto fail;
	config.field_selector = selector;
	ob->inf = informer_new(o->kube, &config, &ops, ob);
	if (!ob->inf || informer_start(ob->inf) < 0 || strmap_set(o->map, key, ob, NULL) < 0)
		goto fail;
	*ret = ob;
	return 0;
fail:
	if (ob->inf)
		informer_free(ob->inf);
	free(ob->ns);
	free(ob->name);
	free(ob);
	return -ENOMEM;
}

int objects_get(struct objects *o, bool secret, const char *ns, const char *name, const struct api_object **ret)
{
	cleanup(free) char *key = object_key(secret, ns, name);
	struct informer_item *item;
	struct object *ob;
	int r;

	if (!key)
		return -ENOMEM;
	ob = strmap_get(o->map, key);
	if (!ob) {
		r = object_watch(o, key, secret, ns, name, &ob);
		if (r < 0)
			return r;
	}
	ob->used = true;
	if (!informer_synced(ob->inf))
		return -EAGAIN;
	item = informer_get(ob->inf, ns, name);
	if (!item)
		return -ENOENT;
	*ret = item->obj;
	return 0;
}

void objects_use_begin(struct objects *o)
{
	for (struct strmap_iter it = { 0 }; strmap_next(o->map, &it);)
		((struct object *)it.value)->used = false;
}

void objects_use(struct objects *o, bool secret, const char *ns, const char *name)
{
	cleanup(free) char *key = object_key(secret, ns, name);
	struct object *ob = key ? strmap_get(o->map, key) : NULL;

	if (ob)
		ob->used = true;
}

void objects_use_end(struct objects *o)
{
	for (struct strmap_iter it = { 0 }; strmap_next(o->map, &it);) {
		struct object *ob = it.value;

		if (!ob->used) {
			strmap_del(o->map, it.key);
			object_free(ob);
		}
	}
}
