/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Node lifecycle: a node whose lease is older than the grace period is Unknown and tainted unreachable, one whose
 * agent says NotReady is tainted not-ready; both taints go when it is well again. Pods that do not tolerate a
 * NoExecute taint (or not for ever) are deleted when their time is up. Pods bound to nodes that no longer exist are
 * removed: nobody else would.
 *
 * Clocks of other machines are not trusted: a lease is as old as the time since we last saw it change.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "base/strmap.h"
#include "manager.h"
#include "nodelifecycle_plan.h"

struct seen {
	char renew[64];
	int64_t at_ms;	    /* when renew changed, monotonic */
	int64_t tainted_ms; /* since when the node has a NoExecute taint of ours; 0: none */
};

static int init(struct controller *c)
{
	c->data = strmap_new();
	return c->data ? 0 : -ENOMEM;
}

static void lifecycle_free(struct controller *c)
{
	if (!c->data)
		return;
	for (struct strmap_iter it = { 0 }; strmap_next(c->data, &it);)
		free(it.value);
	strmap_free(c->data);
}

static struct seen *get_seen(struct controller *c, const char *node)
{
	struct seen *s = strmap_get(c->data, node);

	if (s)
		return s;
	s = calloc(1, sizeof(*s));
	if (s)
		s->at_ms = clock_mono_ms();
	if (s && strmap_set(c->data, node, s, NULL) < 0) {
		free(s);
		return NULL;
	}
	return s;
}

static void on_change(struct controller *c, const struct api_kind *kind, struct informer_item *old,
		      struct informer_item *new)
{
	const struct informer_item *it = new ? new : old;

	if (kind == &api_kind_node) {
		if (!new)
			free(strmap_del(c->data, it->key));
		enqueue(c, it->obj->metadata.name);
	} else if (kind == &api_kind_lease) {
		if (streq(it->obj->metadata.namespace_, "kube-node-lease"))
			enqueue(c, it->obj->metadata.name);
	} else if (new && ((const struct api_pod *)new->obj)->spec.node_name) {
		enqueue(c, ((const struct api_pod *)new->obj)->spec.node_name);
	}
}

static void mark_unknown(struct controller *c, struct batch *b, const struct api_node *n)
{
	char now[CLOCK_RFC3339_SIZE];
	json_t *patch;

	clock_rfc3339(clock_real_ms(), now);
	patch = json_pack("{s:{s:[{s:s,s:s,s:s,s:s,s:s}]}}", "status", "conditions", "type", "Ready", "status",
			  "Unknown", "reason", "NodeStatusUnknown", "message", "The agent stopped posting node status.",
			  "lastTransitionTime", now);
	kube_event(c->m->recorder, &api_kind_node, &n->object, "Normal", "NodeNotReady",
		   "Node %s status is now: NodeNotReady", n->metadata.name);
	BATCH_CALL(b, kube_patch(c->m->kube, &api_kind_node, NULL, n->metadata.name, "status", KUBE_PATCH_STRATEGIC,
				 patch, batch_result, b));
	json_decref(patch);
}

static void evict(struct controller *c, struct batch *b, const char *node, const char *taint, int64_t since_ms)
{
	struct informer *pods = manager_informer(c->m, &api_kind_pod);
	int64_t now = clock_mono_ms(), soonest = 0;

	for (struct informer_iter it = { 0 }; informer_next(pods, &it);) {
		const struct api_pod *p = (const struct api_pod *)it.item->obj;
		int64_t stay, left;
		json_t *options;

		if (!streq(p->spec.node_name, node) || meta_deleting(&p->metadata) || pod_terminated(p))
			continue;
		stay = pod_tolerated_ms(p, taint, c->m->config.eviction_ms);
		if (stay < 0)
			continue;
		left = since_ms + stay - now;
		if (left > 0) {
			if (!soonest || left < soonest)
				soonest = left;
			continue;
		}
		kube_event(c->m->recorder, &api_kind_pod, &p->object, "Normal", "TaintManagerEviction",
			   "Marking for deletion Pod %s/%s", p->metadata.namespace_, p->metadata.name);
		options = delete_options(p->metadata.uid, NULL);
		BATCH_CALL(b, kube_delete(c->m->kube, &api_kind_pod, p->metadata.namespace_, p->metadata.name, options,
					  batch_result, b));
		json_decref(options);
	}
	if (soonest)
		enqueue_after(c, node, soonest);
}

/* A node that was deleted: its pods have no agent to end them, so they go at once. */
static void remove_orphans(struct controller *c, struct batch *b, const char *node)
{
	struct informer *pods = manager_informer(c->m, &api_kind_pod);

	for (struct informer_iter it = { 0 }; informer_next(pods, &it);) {
		const struct api_pod *p = (const struct api_pod *)it.item->obj;
		json_t *options;

		if (!streq(p->spec.node_name, node))
			continue;
		options = delete_options(p->metadata.uid, NULL);
		json_object_set_new(options, "gracePeriodSeconds", json_integer(0));
		BATCH_CALL(b, kube_delete(c->m->kube, &api_kind_pod, p->metadata.namespace_, p->metadata.name, options,
					  batch_result, b));
		json_decref(options);
	}
}

/* Pods of an unreachable node do not count as endpoints: they are marked not ready for its agent. */
static void mark_pods(struct controller *c, struct batch *b, const char *node)
{
	struct informer *pods = manager_informer(c->m, &api_kind_pod);
	char now[CLOCK_RFC3339_SIZE];

	clock_rfc3339(clock_real_ms(), now);
	for (struct informer_iter it = { 0 }; informer_next(pods, &it);) {
		const struct api_pod *p = (const struct api_pod *)it.item->obj;
		json_t *patch;

		if (!streq(p->spec.node_name, node) || !pod_ready(p) || pod_terminated(p))
			continue;
		patch = json_pack("{s:{s:s},s:{s:[{s:s,s:s,s:s,s:s}]}}", "metadata", "uid", p->metadata.uid, "status",
				  "conditions", "type", "Ready", "status", "False", "reason", "NodeNotReady",
				  "lastTransitionTime", now);
		BATCH_CALL(b, kube_patch(c->m->kube, &api_kind_pod, p->metadata.namespace_, p->metadata.name, "status",
					 KUBE_PATCH_STRATEGIC, patch, batch_result, b));
		json_decref(patch);
	}
}

static void reconcile(struct controller *c, const char *key)
{
	struct informer_item *item = informer_get_key(manager_informer(c->m, &api_kind_node), key);
	struct informer_item *lease = informer_get(manager_informer(c->m, &api_kind_lease), "kube-node-lease", key);
	int64_t now = clock_mono_ms(), left;
	struct node_plan plan;
	const char *renew;
	struct seen *seen;
	const struct api_node *n;
	struct batch *b = batch_new(c, key);

	if (!b)
		return;
	if (!item) {
		remove_orphans(c, b, key);
		batch_give(b, 0);
		return;
	}
	n = (const struct api_node *)item->obj;
	seen = get_seen(c, key);
	if (!seen) {
		batch_give(b, -ENOMEM);
		return;
	}
	renew = lease ? ((const struct api_lease *)lease->obj)->spec.renew_time : NULL;
	if (renew && !streq(renew, seen->renew)) {
		snprintf(seen->renew, sizeof(seen->renew), "%s", renew);
		seen->at_ms = now;
	}
	left = seen->at_ms + c->m->config.node_grace_ms - now;
	node_plan(n, left <= 0, clock_real_ms(), &plan);
	if (left > 0)
		enqueue_after(c, key, left + 1);
	if (plan.mark_unknown)
		mark_unknown(c, b, n);
	if (plan.mark_pods)
		mark_pods(c, b, key);
	if (plan.taints) {
		json_t *patch = json_pack("{s:{s:s,s:s},s:{s:o}}", "metadata", "uid", n->metadata.uid,
					  "resourceVersion", n->metadata.resource_version, "spec", "taints",
					  plan.taints);

		log_info("node %s: %s", key, plan.taint ? plan.taint : "well again, taints removed");
		BATCH_CALL(b, kube_patch(c->m->kube, &api_kind_node, NULL, key, NULL, KUBE_PATCH_MERGE, patch,
					 batch_result, b));
		json_decref(patch);
	}
	if (!plan.taint)
		seen->tainted_ms = 0;
	else if (!seen->tainted_ms)
		seen->tainted_ms = now;
	if (plan.taint)
		evict(c, b, key, plan.taint, seen->tainted_ms);
	batch_give(b, 0);
}

static const struct api_kind *const kinds[] = { &api_kind_node, &api_kind_lease, &api_kind_pod, NULL };

const struct controller_ops node_lifecycle_controller = {
	.name = "node-lifecycle",
	.kinds = kinds,
	.init = init,
	.on_change = on_change,
	.reconcile = reconcile,
	.free = lifecycle_free,
};
