/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The config map kube-root-ca.crt of every namespace: with it pods check the API server's certificate. It is made when
 * it is missing, and put right when somebody changes it or the cluster's authority changes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "manager.h"

#define NAME	     "kube-root-ca.crt"
#define KEY	     "ca.crt"
#define MAX_CA_BYTES (1 << 20)
#define RETRY_MS     100

struct root_ca {
	char *pem;
	struct informer *maps; /* of that name only: a cluster has many others */
};

static void map_changed(struct informer *inf, void *arg, struct informer_item *old, struct informer_item *new)
{
	(void)inf;
	if (old != new)
		enqueue(arg, (new ? new : old)->obj->metadata.namespace_);
}

static int ca_init(struct controller *c)
{
	static const struct informer_ops ops = { .on_change = map_changed };
	const struct informer_config config = { .kind = &api_kind_config_map,
						.field_selector = "metadata.name=" NAME,
						.resync_ms = -1 };
	struct root_ca *ca = calloc(1, sizeof(*ca));
	struct err err = ERR_INIT;

	if (!ca)
		return -ENOMEM;
	c->data = ca;
	if (!c->m->config.root_ca_file) {
		log_warn("no CA certificate to hand out to pods: give --root-ca-file");
		return 0;
	}
	if (file_read(c->m->config.root_ca_file, MAX_CA_BYTES, &ca->pem, NULL, &err) < 0) {
		log_warn("CA certificate for pods: %s", err.msg);
		return 0;
	}
	ca->maps = informer_new(c->m->kube, &config, &ops, c);
	return ca->maps ? informer_start(ca->maps) : -ENOMEM;
}

static void ca_free(struct controller *c)
{
	struct root_ca *ca = c->data;

	if (!ca)
		return;
	informer_free(ca->maps);
	free(ca->pem);
	free(ca);
}

static void ca_changed(struct controller *c, const struct api_kind *kind, struct informer_item *old,
		       struct informer_item *new)
{
	(void)kind;
	(void)old;
	if (new)
		enqueue(c, new->key);
}

static json_t *wanted(const char *ns, const char *pem)
{
	return json_pack("{s:s,s:s,s:{s:s,s:s,s:{s:s}},s:{s:s}}", "apiVersion", "v1", "kind", "ConfigMap", "metadata",
			 "name", NAME, "namespace", ns, "annotations", "kubernetes.io/description",
			 "Contains a CA bundle that can be used to verify the kube-apiserver when using internal "
			 "endpoints such as the internal service IP or kubernetes.default.svc.",
			 "data", KEY, pem);
}

static void ca_reconcile(struct controller *c, const char *key)
{
	struct informer_item *ns = informer_get_key(manager_informer(c->m, &api_kind_namespace), key), *item;
	struct root_ca *ca = c->data;
	const struct api_config_map *map;
	struct batch *b;
	json_t *obj;

	if (!ca->maps || !ns || meta_deleting(&ns->obj->metadata)) {
		done(c, key, 0);
		return;
	}
	if (!informer_synced(ca->maps)) {
		enqueue_after(c, key, RETRY_MS);
		done(c, key, 0);
		return;
	}
	item = informer_get(ca->maps, key, NAME);
	map = item ? (const struct api_config_map *)item->obj : NULL;
	if (map && map->data.n == 1 && streq(api_map_get(&map->data, KEY), ca->pem)) {
		done(c, key, 0);
		return;
	}
	b = batch_new(c, key);
	if (!b)
		return;
	if (map)
		obj = json_pack("[{s:s,s:s,s:{s:s}}]", "op", "add", "path", "/data", "value", KEY, ca->pem);
	else
		obj = wanted(key, ca->pem);
	if (!obj)
		batch_give(b, -ENOMEM);
	else if (map)
		BATCH_CALL(b, kube_patch(c->m->kube, &api_kind_config_map, key, NAME, NULL, KUBE_PATCH_JSON, obj,
					 batch_result, b));
	else
		BATCH_CALL(b, kube_create(c->m->kube, &api_kind_config_map, key, NULL, NULL, obj, batch_result, b));
	if (obj)
		batch_give(b, 0);
	json_decref(obj);
}

static const struct api_kind *const kinds[] = { &api_kind_namespace, NULL };

const struct controller_ops root_ca_controller = {
	.name = "root-ca",
	.kinds = kinds,
	.init = ca_init,
	.on_change = ca_changed,
	.reconcile = ca_reconcile,
	.free = ca_free,
};
