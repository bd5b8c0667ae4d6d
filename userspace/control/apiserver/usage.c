/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.k8s.io: what pods and nodes use now. Each question is put to the agents of the nodes that it concerns, some
 * at a time, and what they answer becomes objects at once; a node that does not answer in time is left out, as is a pod
 * whose cpu has not been measured over some time yet. Nothing is stored.
 */
#include "apiserver-internal.h"
#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/clock.h"
#include "../../lib/base/str.h"
#include "../../lib/base/strmap.h"

enum { AT_ONCE = 32, ASK_MS = 5000, MAX_SUMMARY = 8 << 20 };

struct gather;
struct ask {
	struct gather *g;
	struct http_client *client;
	struct http_call *call;
	char node[]; /* name */
};

struct gather {
	struct call *c;
	struct strmap *asks; /* node -> struct ask * */
	struct strmap_iter next;
	size_t running, done;
	json_t *items;
};

static bool of_nodes(const struct call *c)
{
	return streq(c->resource, "nodes");
}

static void ask_stop(struct ask *a)
{
	if (a->call)
		http_call_cancel(TAKE(a->call));
	http_client_free(TAKE(a->client));
}

static void gather_free(struct call *c)
{
	struct gather *g = TAKE(c->data);

	if (!g)
		return;
	for (struct strmap_iter it = { 0 }; g->asks && strmap_next(g->asks, &it);) {
		ask_stop(it.value);
		free(it.value);
	}
	strmap_free(g->asks);
	json_decref(g->items);
	free(g);
}

/* --- from an agent's summary to objects --------------------------------------------------------------------------- */

static json_t *usage_of(int64_t nano_cores, int64_t bytes)
{
	char cpu[32], memory[32];

	snprintf(cpu, sizeof(cpu), "%lldn", (long long)nano_cores);
	snprintf(memory, sizeof(memory), "%lldKi", (long long)(bytes >> 10));
	return json_pack("{s:s,s:s}", "cpu", cpu, "memory", memory);
}

static int64_t rate_of(const json_t *part)
{
	return api_get_int(part, "cpu.usageNanoCores", -1);
}

static void finish_item(struct gather *g, json_t *item, int64_t window_ns, const json_t *source_meta)
{
	json_t *meta = json_object_get(item, "metadata"), *labels = json_object_get(source_meta, "labels");
	char now[CLOCK_RFC3339_SIZE], window[32];

	obj_now(now);
	snprintf(window, sizeof(window), "%lld.%03llds", (long long)(window_ns / 1000000000),
		 (long long)(window_ns / 1000000 % 1000));
	json_object_set_new(meta, "creationTimestamp", json_string(now));
	if (labels)
		json_object_set(meta, "labels", labels);
	json_object_set_new(item, "timestamp", json_string(now));
	json_object_set_new(item, "window", json_string(window));
	json_array_append_new(g->items, item);
}

static json_t *new_item(const struct gather *g, const char *ns, const char *name)
{
	json_t *item = json_pack("{s:s,s:s,s:{s:s}}", "kind", g->c->res->kind->kind, "apiVersion",
				 g->c->res->api_version, "metadata", "name", name);

	if (item && ns)
		json_object_set_new(json_object_get(item, "metadata"), "namespace", json_string(ns));
	return item;
}

static void add_pod(struct gather *g, const json_t *pod)
{
	struct resource *pods = cache_resource(g->c->s, "", "pods");
	const char *ns = api_get_str(pod, "podRef.namespace"), *name = api_get_str(pod, "podRef.name");
	struct object *o = ns && name ? cache_get(pods, ns, name) : NULL;
	const json_t *c;
	json_t *item, *containers;
	int64_t window = 0;
	size_t i;

	if (!o || !object_matches(g->c, o))
		return;
	containers = json_array();
	json_array_foreach (json_object_get(pod, "containers"), i, c) {
		int64_t w = api_get_int(c, "cpu.windowNanoSeconds", 0);

		if (rate_of(c) < 0 || !api_get_str(c, "name"))
			continue;
		window = w > window ? w : window;
		json_array_append_new(containers,
				      json_pack("{s:s,s:o}", "name", api_get_str(c, "name"), "usage",
						usage_of(rate_of(c), api_get_int(c, "memory.workingSetBytes", 0))));
	}
	item = json_array_size(containers) ? new_item(g, ns, name) : NULL;
	if (!item) {
		json_decref(containers);
		return;
	}
	json_object_set_new(item, "containers", containers);
	finish_item(g, item, window, json_object_get(o->index, "metadata"));
}

static void add_node(struct gather *g, const char *node, const json_t *summary)
{
	struct object *o = cache_get(cache_resource(g->c->s, "", "nodes"), NULL, node);
	const json_t *n = json_object_get(summary, "node");
	json_t *item = o && rate_of(n) >= 0 ? new_item(g, NULL, node) : NULL;

	if (!item)
		return;
	json_object_set_new(item, "usage", usage_of(rate_of(n), api_get_int(n, "memory.workingSetBytes", 0)));
	finish_item(g, item, api_get_int(n, "cpu.windowNanoSeconds", 0), json_object_get(o->index, "metadata"));
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

static int by_key(const void *a, const void *b)
{
	const json_t *const *x = a, *const *y = b;
	const char *xs = api_get_str(*x, "metadata.namespace"), *ys = api_get_str(*y, "metadata.namespace");
	int c = strcmp(xs ? xs : "", ys ? ys : "");

	return c ? c : strcmp(api_get_str(*x, "metadata.name"), api_get_str(*y, "metadata.name"));
}

static json_t *sorted(const json_t *items)
{
	size_t n = json_array_size(items);
	cleanup(free) json_t **v = calloc(n + 1, sizeof(*v));
	json_t *out = json_array();

	for (size_t i = 0; v && i < n; i++)
		v[i] = json_array_get(items, i);
	if (v && n)
		qsort(v, n, sizeof(*v), by_key);
	for (size_t i = 0; v && i < n; i++)
		json_array_append(out, v[i]);
	return out;
}

static void answer(struct gather *g)
{
	struct call *c = g->c;
	char kind[64];

	if (c->name[0]) {
		json_t *item = json_incref(json_array_get(g->items, 0));

		if (item)
			call_object_json(c, 200, item);
		else
			call_not_found(c);
		json_decref(item);
		return;
	}
	snprintf(kind, sizeof(kind), "%sList", c->res->kind->kind);
	call_json(c, 200,
		  json_pack("{s:s,s:s,s:{},s:o}", "kind", kind, "apiVersion", c->res->api_version, "metadata", "items",
			    sorted(g->items)));
}

static void go_on(struct gather *g);

static void on_summary(struct http_call *call, void *arg, const struct http_response *rsp)
{
	struct ask *a = arg;
	struct gather *g = a->g;
	json_t *summary = NULL;

	(void)call;
	a->call = NULL;
	g->running--;
	g->done++;
	if (rsp->status == 200 && api_json_parse(rsp->body, rsp->len, &summary, NULL, NULL) == 0) {
		const json_t *pod;
		size_t i;

		if (of_nodes(g->c))
			add_node(g, a->node, summary);
		else
			json_array_foreach (json_object_get(summary, "pods"), i, pod)
				add_pod(g, pod);
		json_decref(summary);
	}
	ask_stop(a);
	go_on(g);
}

static bool ask_start(struct ask *a)
{
	struct http_client_config config = a->g->c->s->kubelet;
	struct http_call_config cc = {
		.path = "/stats/summary", .timeout_ms = ASK_MS, .max_body = MAX_SUMMARY, .on_done = on_summary, .arg = a
	};
	struct err err = ERR_INIT;
	char url[96];

	if (node_agent_url(a->g->c->s, a->node, url, sizeof(url)) < 0)
		return false;
	config.base_url = url;
	if (http_client_new(a->g->c->s->loop, &config, &a->client, &err) < 0)
		return false;
	a->call = http_call_start(a->client, &cc);
	return a->call;
}

static void go_on(struct gather *g)
{
	while (g->running < AT_ONCE && strmap_next(g->asks, &g->next)) {
		if (ask_start(g->next.value))
			g->running++;
		else
			g->done++;
	}
	if (g->done == strmap_len(g->asks))
		answer(g);
}

static int concerns(struct gather *g, const char *node)
{
	struct ask *a;

	if (!node || !*node || strmap_has(g->asks, node))
		return 0;
	a = calloc(1, sizeof(*a) + strlen(node) + 1);
	if (!a)
		return -1;
	a->g = g;
	strcpy(a->node, node);
	if (strmap_set(g->asks, node, a, NULL) == 0)
		return 0;
	free(a);
	return -1;
}

/* Which nodes: those asked for, or those of the pods asked for. -1: out of memory. */
static int choose_nodes(struct gather *g)
{
	struct call *c = g->c;
	struct resource *r = cache_resource(c->s, "", c->resource);

	for (size_t i = 0; i < r->n; i++) {
		struct object *o = r->objs[i];
		const char *node = of_nodes(c) ? o->name : api_get_str(o->index, "spec.nodeName");

		if (object_matches(c, o) && concerns(g, node) < 0)
			return -1;
	}
	return 0;
}

void usage_handle(struct call *c)
{
	struct gather *g;

	if (options_check_list(c) < 0 || call_selectors(c) < 0)
		return;
	g = calloc(1, sizeof(*g));
	if (!g) {
		call_oom(c);
		return;
	}
	g->c = c;
	c->data = g;
	c->data_free = gather_free;
	c->on_close = gather_free;
	g->asks = strmap_new();
	g->items = json_array();
	if (!g->asks || !g->items || choose_nodes(g) < 0) {
		call_oom(c);
		return;
	}
	go_on(g);
}
