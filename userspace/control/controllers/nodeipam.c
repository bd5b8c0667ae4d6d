/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pod address ranges of nodes: one range per family out of the cluster's, never overlapping and never inside the
 * service ranges. What is given out is read from the nodes themselves, so that nothing can be lost. Keys are handled
 * one at a time in effect: a range given in this process but not yet seen in the cache is remembered.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/str.h"
#include "base/strmap.h"
#include "manager.h"
#include "nodeipam_plan.h"

struct ipam {
	struct strmap *given; /* node name -> its ranges as text, until the cache shows them */
};

/* The ranges of every node but this one, as texts; borrowed. NULL: out of memory. */
static const char **ranges_taken(struct controller *c, size_t *ret_n)
{
	struct informer *nodes = manager_informer(c->m, &api_kind_node);
	const struct ipam *ipam = c->data;
	size_t n = 0, max = strmap_len(ipam->given);
	const char **texts;

	for (struct informer_iter it = { 0 }; informer_next(nodes, &it);)
		max += ((const struct api_node *)it.item->obj)->spec.n_pod_cidrs;
	texts = malloc((max + 1) * sizeof(*texts));
	if (!texts)
		return NULL;
	for (struct informer_iter it = { 0 }; informer_next(nodes, &it);) {
		const struct api_node *node = (const struct api_node *)it.item->obj;

		for (size_t i = 0; i < node->spec.n_pod_cidrs; i++)
			texts[n++] = node->spec.pod_cidrs[i];
	}
	for (struct strmap_iter it = { 0 }; strmap_next(ipam->given, &it);)
		texts[n++] = it.value;
	*ret_n = n;
	return texts;
}

static int init(struct controller *c)
{
	struct ipam *ipam = calloc(1, sizeof(*ipam));

	c->data = ipam;
	if (!ipam)
		return -ENOMEM;
	ipam->given = strmap_new();
	return ipam->given ? 0 : -ENOMEM;
}

static void ipam_free(struct controller *c)
{
	struct ipam *ipam = c->data;

	if (!ipam)
		return;
	for (struct strmap_iter it = { 0 }; ipam->given && strmap_next(ipam->given, &it);)
		free(it.value);
	strmap_free(ipam->given);
	free(ipam);
}

static void on_change(struct controller *c, const struct api_kind *kind, struct informer_item *old,
		      struct informer_item *new)
{
	struct ipam *ipam = c->data;
	const struct informer_item *it = new ? new : old;

	(void)kind;
	if (!new || ((const struct api_node *)new->obj)->spec.n_pod_cidrs)
		free(strmap_del(ipam->given, it->key));
	if (new && !((const struct api_node *)new->obj)->spec.n_pod_cidrs)
		enqueue(c, it->key);
}

static void reconcile(struct controller *c, const char *key)
{
	struct informer_item *item = informer_get_key(manager_informer(c->m, &api_kind_node), key);
	char out[NODEIPAM_TEXT] = "";
	struct ipam *ipam = c->data;
	json_t *patch, *cidrs;
	struct batch *b;
	const char *given;

	if (!item || ((const struct api_node *)item->obj)->spec.n_pod_cidrs) {
		done(c, key, 0);
		return;
	}
	given = strmap_get(ipam->given, key);
	if (given) {
		snprintf(out, sizeof(out), "%s", given);
	} else {
		size_t n_taken;
		cleanup(free) const char **taken = ranges_taken(c, &n_taken);
		const struct manager_config *cf = &c->m->config;
		int r = taken ? nodeipam_plan(cf->cluster_cidrs, cf->service_cidrs, cf->mask4, cf->mask6, taken,
					      n_taken, out)
			      : -ENOMEM;

		if (r == -ENOSPC)
			kube_event(
				c->m->recorder, &api_kind_node, item->obj, "Warning", "CIDRNotAvailable",
				"No pod range is left in %s: use a wider --cluster-cidrs or a longer --node-cidr-mask-size",
				cf->cluster_cidrs);
		if (r < 0) {
			done(c, key, r);
			return;
		}
		if (strmap_set(ipam->given, key, strdup(out), NULL) < 0) {
			done(c, key, -ENOMEM);
			return;
		}
	}
	cidrs = json_array();
	for (const char *p = out; *p;) {
		size_t n = strcspn(p, ",");

		json_array_append_new(cidrs, json_stringn(p, n));
		p += n + (p[n] == ',');
	}
	patch = json_pack("{s:{s:s},s:{s:O,s:o}}", "metadata", "uid", item->obj->metadata.uid, "spec", "podCIDR",
			  json_array_get(cidrs, 0), "podCIDRs", cidrs);
	b = batch_new(c, key);
	if (b) {
		log_info("node %s: pod ranges %s", key, out);
		BATCH_CALL(b, kube_patch(c->m->kube, &api_kind_node, NULL, item->obj->metadata.name, NULL,
					 KUBE_PATCH_MERGE, patch, batch_result, b));
		batch_give(b, 0);
	}
	json_decref(patch);
}

static const struct api_kind *const kinds[] = { &api_kind_node, NULL };

const struct controller_ops node_ipam_controller = {
	.name = "node-ipam",
	.kinds = kinds,
	.init = init,
	.on_change = on_change,
	.reconcile = reconcile,
	.free = ipam_free,
};
