/* SPDX-License-Identifier: Apache-2.0 */
/* See dataplane_wait.h. Two caches, of nodes and of their reports, are looked at whenever one of them changes. */
#include "dataplane_wait.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/api_types.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "base/strmap.h"
#include "client/informer.h"

static const char *const resources[DATAPLANE_RESOURCES] = { "services", "endpointslices", "networkpolicies", "pods",
							    "namespaces" };

static int resource_of(const char *plural)
{
	for (int i = 0; i < DATAPLANE_RESOURCES; i++)
		if (streq(resources[i], plural))
			return i;
	return -1;
}

/* Agents do not look at services of other proxies, nor at those without addresses. */
static bool left_alone(const json_t *obj)
{
	const json_t *labels = api_get(obj, "metadata.labels");

	return json_object_get(labels, "service.kubernetes.io/service-proxy-name") ||
	       json_object_get(labels, "service.kubernetes.io/headless");
}

bool dataplane_want(struct dataplane_wanted *w, const struct api_kind *kind, const json_t *obj)
{
	const char *rv = api_get_str(obj, "metadata.resourceVersion");
	int i = resource_of(kind->plural);
	uint64_t v = rv ? strtoull(rv, NULL, 10) : 0;

	if (i < 0 || left_alone(obj) ||
	    (kind->group[0] && !streq(kind->group, "discovery.k8s.io") && !streq(kind->group, "networking.k8s.io")))
		return false;
	if (v > w->revisions[i])
		w->revisions[i] = v;
	return true;
}

bool dataplane_has(const struct dataplane_wanted *w, const json_t *report)
{
	const json_t *applied = api_get(report, "status.applied"), *one;
	struct dataplane_wanted has = { 0 };
	size_t k;

	json_array_foreach (applied, k, one) {
		int i = resource_of(api_get_str(one, "resource") ?: "");

		if (i >= 0)
			has.revisions[i] = strtoull(api_get_str(one, "resourceVersion") ?: "0", NULL, 10);
	}
	for (int i = 0; i < DATAPLANE_RESOURCES; i++)
		if (has.revisions[i] < w->revisions[i])
			return false;
	return true;
}

struct waiting {
	const struct dataplane_wanted *wanted;
	struct informer *nodes, *reports;
	struct strmap *told; /* nodes that there was a line about */
	struct loop_timer deadline;
	int synced;
	bool done, timed_out;
	struct strbuf lagging;
};

static bool ready(const json_t *node)
{
	const json_t *conditions = api_get(node, "status.conditions"), *c;
	size_t i;

	json_array_foreach (conditions, i, c)
		if (streq(api_get_str(c, "type"), "Ready"))
			return streq(api_get_str(c, "status"), "True");
	return false;
}

/* Once for each node. */
__attribute__((format(printf, 3, 4))) static void tell(struct waiting *w, const char *node, const char *fmt, ...)
{
	va_list ap;

	if (strmap_get(w->told, node) || strmap_set(w->told, node, w, NULL) < 0)
		return;
	printf("node %s ", node);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

static void look(struct waiting *w)
{
	strbuf_clear(&w->lagging);
	if (w->synced < 2)
		return;
	for (struct informer_iter it = { 0 }; informer_next(w->nodes, &it);) {
		const char *name = it.item->obj->metadata.name, *error;
		const struct informer_item *report = informer_get(w->reports, NULL, name);

		if (report && dataplane_has(w->wanted, report->json)) {
			tell(w, name, "forwards by it: generation %lld, applied in %.2f ms",
			     (long long)json_integer_value(api_get(report->json, "status.generation")),
			     (double)json_integer_value(api_get(report->json, "status.lastApplyMicroseconds")) / 1000);
		} else if (!ready(it.item->json)) {
			tell(w, name, "is not Ready: not waited for");
		} else {
			error = report ? api_get_str(report->json, "status.error") : "it has not reported";
			strbuf_addf(&w->lagging, "%s%s%s%s%s", w->lagging.len ? ", " : "", name,
				    error && *error ? " (" : "", error ?: "", error && *error ? ")" : "");
		}
	}
	w->done = !w->lagging.len;
}

static void changed(struct informer *inf, void *arg, struct informer_item *old, struct informer_item *new)
{
	(void)inf;
	(void)old;
	(void)new;
	look(arg);
}

static void synced(struct informer *inf, void *arg)
{
	struct waiting *w = arg;

	(void)inf;
	w->synced++;
	look(w);
}

static void expired(struct loop_timer *t)
{
	struct waiting *w = t->arg;

	w->timed_out = true;
}

int dataplane_wait(struct cli *cli, const struct dataplane_wanted *wanted, int64_t timeout_ms, struct err *err)
{
	static const struct informer_ops ops = { changed, synced };
	struct informer_config nodes = { .kind = &api_kind_node, .resync_ms = -1, .keep_json = true };
	struct informer_config reports = { .kind = &api_kind_node_data_plane, .resync_ms = -1, .keep_json = true };
	struct waiting w = { .wanted = wanted, .lagging = STRBUF_INIT };
	int r = 0;

	w.deadline = (struct loop_timer){ .fn = expired, .arg = &w };
	w.told = strmap_new();
	w.nodes = informer_new(cli->kube, &nodes, &ops, &w);
	w.reports = informer_new(cli->kube, &reports, &ops, &w);
	if (!w.told || !w.nodes || !w.reports || informer_start(w.nodes) < 0 || informer_start(w.reports) < 0 ||
	    loop_timer_set(cli->loop, &w.deadline, timeout_ms) < 0)
		r = err_set(err, ENOMEM, "out of memory");
	while (!r && !w.done && !w.timed_out)
		if (loop_run_once(cli->loop, -1) < 0)
			break;
	if (!r && !w.done)
		r = err_set(err, ETIMEDOUT, "not all nodes forward by it after %d s: %s", (int)(timeout_ms / 1000),
			    w.lagging.len ? w.lagging.buf : "nodes and their reports cannot be read");
	loop_timer_cancel(&w.deadline);
	informer_free(w.nodes);
	informer_free(w.reports);
	strmap_free(w.told);
	strbuf_done(&w.lagging);
	return r;
}
