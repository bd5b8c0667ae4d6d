/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this node forwards by, told to the cluster: the NodeDataPlane of the node's name says up to which revision of
 * each resource the API's objects are in the maps, and how long the last change took. A few reports in a row are sent
 * at once, so that who waits for a change (skep apply --wait=dataplane) hears of it in its own time; then one at a
 * time, the rarer the more nodes there are, so that a large cluster is not busy with reports of its own changes.
 */
#include <stdlib.h>
#include <string.h>

#include "../lib/base/cleanup.h"
#include "../lib/base/clock.h"
#include "../lib/base/log.h"
#include "../lib/base/str.h"
#include "network-internal.h"

enum { REPORT_MS = 5000, REPORT_NODE_MS = 20, REPORT_BURST = 5, REPORT_REVISIONS = 5 };

struct network_report {
	struct network *n;
	struct loop_timer timer;
	char revisions[REPORT_REVISIONS][64]; /* as last reported, or about to be */
	uint64_t generation;		      /* changes applied since the agent started */
	int64_t applied_ms;		      /* real */
	uint64_t took_us;
	char error[512];
	unsigned burst; /* reports that may go at once */
	int64_t counted_ms;
	bool pending, busy;
	bool unwanted; /* the API server is not Skep's: it knows no such kind */
};

struct network_report *network_report_new(struct network *n)
{
	struct network_report *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->n = n;
	r->burst = REPORT_BURST;
	r->counted_ms = clock_mono_ms();
	return r;
}

void network_report_free(struct network_report *r)
{
	if (!r)
		return;
	loop_timer_cancel(&r->timer);
	kube_cancel(r->n->kube, r);
	free(r);
}

/* All nodes together report so often as one node in 20 ms would. */
static int64_t interval(const struct network_report *r)
{
	int64_t ms = (int64_t)informer_len(r->n->nodes) * REPORT_NODE_MS;

	return ms > REPORT_MS ? ms : REPORT_MS;
}

static size_t informers(const struct network *n, const struct informer *ret[REPORT_REVISIONS],
			const char *names[REPORT_REVISIONS])
{
	const struct informer *all[] = { n->services, n->slices, n->policies, n->pods, n->namespaces };
	static const char *const plurals[] = { "services", "endpointslices", "networkpolicies", "pods", "namespaces" };

	memcpy(ret, all, sizeof(all));
	memcpy(names, plurals, sizeof(plurals));
	return REPORT_REVISIONS;
}

static json_t *status(const struct network_report *r)
{
	const struct informer *inf[REPORT_REVISIONS];
	const char *names[REPORT_REVISIONS];
	const struct network *n = r->n;
	json_t *applied = json_array(), *all;
	char at[CLOCK_RFC3339_SIZE];
	size_t count = informers(n, inf, names);

	for (size_t i = 0; i < count; i++)
		if (r->revisions[i][0])
			json_array_append_new(applied, json_pack("{s:s,s:s}", "resource", names[i], "resourceVersion",
								 r->revisions[i]));
	all = json_pack("{s:o,s:I,s:I,s:I,s:I,s:I,s:s,s:s}", "applied", applied, "generation",
			(json_int_t)r->generation, "lastApplyMicroseconds", (json_int_t)r->took_us, "services",
			(json_int_t)informer_len(n->services), "policies", (json_int_t)informer_len(n->policies),
			"endpoints", (json_int_t)strmap_len(n->locals), "xdp", network_xdp(n), "error", r->error);
	if (all && r->applied_ms)
		json_object_set_new(all, "appliedTime", json_string(clock_rfc3339_micro(r->applied_ms, at)));
	return json_pack("{s:o}", "status", all);
}

static void report_now(struct network_report *r);

static void on_sent(void *arg, const struct kube_result *res)
{
	struct network_report *r = arg;

	r->busy = false;
	if (!kube_ok(res)) {
		log_warn("node %s: report of the data plane: %s", r->n->node_name, res->message);
		r->pending = true;
		(void)loop_timer_set(r->n->loop, &r->timer, interval(r));
	} else if (r->pending && !loop_timer_pending(&r->timer)) {
		report_now(r);
	}
}

/* The object is there now: its status can be written. */
static void on_created(void *arg, const struct kube_result *res)
{
	struct network_report *r = arg;

	if (res->status == 404) {
		log_info(
			"the API server knows no NodeDataPlane: what this node forwards by is told by its metrics only");
		r->unwanted = true;
		r->busy = false;
	} else if (kube_ok(res) || res->status == 409) {
		r->busy = false;
		report_now(r);
	} else {
		on_sent(r, res);
	}
}

static void on_patched(void *arg, const struct kube_result *res)
{
	struct network_report *r = arg;
	struct network *n = r->n;
	const struct informer_item *node = informer_get(n->nodes, NULL, n->node_name);
	json_t *obj;

	if (res->status != 404 || !node) {
		on_sent(r, res);
		return;
	}
	obj = json_pack("{s:s,s:s,s:{s:s,s:[{s:s,s:s,s:s,s:s}]}}", "apiVersion", "skep.io/v1alpha1", "kind",
			"NodeDataPlane", "metadata", "name", n->node_name, "ownerReferences", "apiVersion", "v1",
			"kind", "Node", "name", n->node_name, "uid", node->obj->metadata.uid);
	if (!obj || kube_create(n->kube, &api_kind_node_data_plane, NULL, NULL, NULL, obj, on_created, r) < 0)
		on_sent(r, res);
	json_decref(obj);
}

static void report_now(struct network_report *r)
{
	json_t *patch;

	if (r->busy) {
		r->pending = true;
		return;
	}
	r->pending = false;
	r->busy = true;
	patch = status(r);
	if (!patch || kube_patch(r->n->kube, &api_kind_node_data_plane, NULL, r->n->node_name, "status",
				 KUBE_PATCH_MERGE, patch, on_patched, r) < 0) {
		r->busy = false;
		log_error("out of memory");
	}
	json_decref(patch);
}

static void due(struct loop_timer *t)
{
	struct network_report *r = t->arg;

	r->counted_ms = clock_mono_ms();
	report_now(r);
}

static void soon(struct network_report *r)
{
	int64_t now = clock_mono_ms(), more = (now - r->counted_ms) / interval(r);

	if (r->unwanted || loop_timer_pending(&r->timer))
		return;
	if (more > 0) {
		r->burst = r->burst + more > REPORT_BURST ? REPORT_BURST : r->burst + (unsigned)more;
		r->counted_ms = now;
	}
	r->timer.fn = due;
	r->timer.arg = r;
	if (r->burst) {
		r->burst--;
		report_now(r);
	} else if (loop_timer_set(r->n->loop, &r->timer, interval(r)) < 0) {
		log_error("out of memory");
	}
}

void network_report_applied(struct network_report *r, uint64_t took_us)
{
	const struct informer *inf[REPORT_REVISIONS];
	const char *names[REPORT_REVISIONS];
	size_t count = informers(r->n, inf, names);
	bool changed = r->error[0];

	for (size_t i = 0; i < count; i++) {
		const char *now = informer_resource_version(inf[i]);

		if (!*now)
			continue; /* it lists anew: what it had is still applied */
		changed |= !streq(r->revisions[i], now);
		snprintf(r->revisions[i], sizeof(r->revisions[i]), "%s", now);
	}
	r->error[0] = '\0';
	if (!changed)
		return;
	r->generation++;
	r->applied_ms = clock_real_ms();
	r->took_us = took_us;
	soon(r);
}

void network_report_failed(struct network_report *r, const char *why)
{
	if (streq(r->error, why))
		return;
	snprintf(r->error, sizeof(r->error), "%s", why);
	soon(r);
}
