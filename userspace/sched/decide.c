/* SPDX-License-Identifier: Apache-2.0 */
/* One pod's decision over all nodes: filter, score, choose. See sched.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/strbuf.h"
#include "sched.h"

static const struct sched_plugin *const plugins[] = {
	&plugin_node_unschedulable, &plugin_node_name, &plugin_taints,	 &plugin_node_selector,
	&plugin_resources_fit,	    &plugin_spread,    &plugin_balanced,
};
enum { N_PLUGINS = sizeof(plugins) / sizeof(plugins[0]) };

void normalize_reverse(int64_t *scores, size_t n)
{
	int64_t max = 0;

	for (size_t i = 0; i < n; i++)
		if (scores[i] > max)
			max = scores[i];
	for (size_t i = 0; i < n; i++)
		scores[i] = max ? 100 - scores[i] * 100 / max : 100;
}

struct count {
	const char *reason;
	size_t n;
};

/* By the text that is shown, count first: Kubernetes' order. */
static int by_text(const void *va, const void *vb)
{
	const struct count *a = va, *b = vb;
	char x[SCHED_REASON_SIZE + 24], y[SCHED_REASON_SIZE + 24];

	snprintf(x, sizeof(x), "%zu %s", a->n, a->reason);
	snprintf(y, sizeof(y), "%zu %s", b->n, b->reason);
	return strcmp(x, y);
}

/* "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint {a: b}." */
static void explain(const struct strmap *reasons, struct decision *d)
{
	struct count *list = calloc(strmap_len(reasons) + 1, sizeof(*list));
	struct strbuf sb = STRBUF_INIT;
	size_t n = 0;

	for (struct strmap_iter it = { 0 }; list && strmap_next(reasons, &it);)
		list[n++] = (struct count){ it.key, (size_t)(uintptr_t)it.value };
	if (n)
		qsort(list, n, sizeof(*list), by_text);
	strbuf_addf(&sb, "0/%zu nodes are available", d->n_nodes);
	for (size_t i = 0; i < n; i++)
		strbuf_addf(&sb, "%s %zu %s", i ? "," : ":", list[i].n, list[i].reason);
	snprintf(d->message, sizeof(d->message), "%s.", sb.buf);
	strbuf_done(&sb);
	free(list);
}

static bool feasible(const struct cycle *c, const struct sched_node *n, struct strmap *reasons)
{
	char reason[SCHED_REASON_SIZE];

	for (size_t p = 0; p < N_PLUGINS; p++) {
		if (!plugins[p]->filter || plugins[p]->filter(c, c->state[p], n, reason))
			continue;
		(void)strmap_set(reasons, reason, (void *)((uintptr_t)strmap_get(reasons, reason) + 1), NULL);
		return false;
	}
	return true;
}

static const struct sched_node *best(const struct cycle *c, const struct sched_node *const *nodes, size_t n,
				     uint64_t tie)
{
	int64_t *total = calloc(n, sizeof(*total)), *one = calloc(n, sizeof(*one)), top = -1;
	const struct sched_node *chosen = nodes[0];
	size_t equal = 0, pick;

	if (!total || !one)
		goto out; /* any feasible node is right, if not the best */
	for (size_t p = 0; p < N_PLUGINS; p++) {
		if (!plugins[p]->score)
			continue;
		for (size_t i = 0; i < n; i++)
			one[i] = plugins[p]->score(c, c->state[p], nodes[i]);
		if (plugins[p]->normalize)
			plugins[p]->normalize(one, n);
		for (size_t i = 0; i < n; i++)
			total[i] += one[i] * plugins[p]->weight;
	}
	for (size_t i = 0; i < n; i++) {
		if (total[i] > top) {
			top = total[i];
			equal = 0;
		}
		equal += total[i] == top;
	}
	pick = tie % equal;
	for (size_t i = 0; i < n; i++)
		if (total[i] == top && !pick--) {
			chosen = nodes[i];
			break;
		}
out:
	free(total);
	free(one);
	return chosen;
}

void sched_decide(const struct snapshot *s, const struct api_pod *pod, uint64_t tie, struct decision *ret)
{
	struct arena arena = ARENA_INIT;
	struct cycle c = { .snap = s, .pod = pod, .arena = &arena };
	const struct sched_node **nodes = calloc(strmap_len(s->nodes) + 1, sizeof(*nodes));
	struct strmap *reasons = strmap_new();

	*ret = (struct decision){ 0 };
	if (!nodes || !reasons) {
		snprintf(ret->message, sizeof(ret->message), "out of memory");
		goto out;
	}
	pod_requests(&pod->spec, &c.req, &c.nonzero);
	for (size_t p = 0; p < N_PLUGINS; p++)
		if (plugins[p]->prefilter)
			plugins[p]->prefilter(&c, &c.state[p]);
	for (struct strmap_iter it = { 0 }; strmap_next(s->nodes, &it);) {
		const struct sched_node *n = it.value;

		if (!n->obj)
			continue;
		ret->n_nodes++;
		if (feasible(&c, n, reasons))
			nodes[ret->n_feasible++] = n;
	}
	if (!ret->n_nodes)
		snprintf(ret->message, sizeof(ret->message), "no nodes available to schedule pods");
	else if (!ret->n_feasible)
		explain(reasons, ret);
	else
		ret->node = best(&c, nodes, ret->n_feasible, tie);
out:
	strmap_free(reasons);
	free(nodes);
	arena_done(&arena);
}
