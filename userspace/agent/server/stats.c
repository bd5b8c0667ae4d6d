/* SPDX-License-Identifier: Apache-2.0 */
/* /stats/summary: what each pod uses, from the runtime. */
#include "server-internal.h"

#include <string.h>
#include <stdlib.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/clock.h"
#include "../../lib/base/str.h"

struct ask {
	struct server *s;
	struct http_req *req;	/* NULL: the caller has gone */
};

static void on_gone(struct http_req *req, void *data)
{
	(void)req;
	((struct ask *)data)->req = NULL;
}

static const char *label(const Cri__ContainerStats *c, const char *key)
{
	for (size_t i = 0; i < c->attributes->n_labels; i++)
		if (streq(c->attributes->labels[i]->key, key))
			return c->attributes->labels[i]->value;
	return "";
}

static void set_number(json_t *o, const char *key, const Cri__UInt64Value *v)
{
	if (v)
		json_object_set_new(o, key, json_integer((json_int_t)v->value));
}

static json_t *stamp(int64_t ns)
{
	char buf[CLOCK_RFC3339_SIZE];

	return json_string(clock_rfc3339(ns / 1000000, buf));
}

static json_t *container_json(const Cri__ContainerStats *c)
{
	json_t *o = json_object(), *cpu = json_object(), *memory = json_object();

	json_object_set_new(o, "name", json_string(c->attributes->metadata ? c->attributes->metadata->name : ""));
	if (c->cpu) {
		json_object_set_new(cpu, "time", stamp(c->cpu->timestamp));
		set_number(cpu, "usageCoreNanoSeconds", c->cpu->usage_core_nano_seconds);
		set_number(cpu, "usageNanoCores", c->cpu->usage_nano_cores);
	}
	if (c->memory) {
		json_object_set_new(memory, "time", stamp(c->memory->timestamp));
		set_number(memory, "workingSetBytes", c->memory->working_set_bytes);
		set_number(memory, "usageBytes", c->memory->usage_bytes);
		set_number(memory, "rssBytes", c->memory->rss_bytes);
		set_number(memory, "availableBytes", c->memory->available_bytes);
	}
	json_object_set_new(o, "cpu", cpu);
	json_object_set_new(o, "memory", memory);
	return o;
}

static void add_up(json_t *pod, const json_t *container, const char *part, const char *key)
{
	json_t *to = json_object_get(pod, part);
	const json_t *v = json_object_get(json_object_get(container, part), key);

	if (!to)
		json_object_set_new(pod, part, to = json_object());
	if (v)
		json_object_set_new(to, key, json_integer(json_integer_value(json_object_get(to, key)) + json_integer_value(v)));
}

static json_t *pod_entry(json_t *pods, const Cri__ContainerStats *c)
{
	const char *uid = label(c, "io.kubernetes.pod.uid");
	json_t *p;
	size_t i;

	json_array_foreach(pods, i, p)
		if (streq(json_string_value(json_object_get(json_object_get(p, "podRef"), "uid")), uid))
			return p;
	p = json_pack("{s:{s:s,s:s,s:s},s:[]}", "podRef", "name", label(c, "io.kubernetes.pod.name"), "namespace",
		      label(c, "io.kubernetes.pod.namespace"), "uid", uid, "containers");
	if (p)
		json_array_append_new(pods, p);
	return p;
}

static void on_stats(void *arg, const struct grpc_status *status, const ProtobufCMessage *msg)
{
	const Cri__ListContainerStatsResponse *rsp = (const Cri__ListContainerStatsResponse *)msg;
	struct ask *ask = arg;
	cleanup(free) char *text = NULL;
	json_t *pods, *all;

	if (!ask->req) {
		free(ask);
		return;
	}
	http_req_set_data(ask->req, NULL, NULL);
	if (status->code) {
		answer_text(ask->req, 503, "container runtime: %s\n", status->message);
		free(ask);
		return;
	}
	pods = json_array();
	for (size_t i = 0; i < rsp->n_stats; i++) {
		static const char *const parts[][2] = { { "cpu", "usageCoreNanoSeconds" }, { "cpu", "usageNanoCores" },
							{ "memory", "workingSetBytes" }, { "memory", "usageBytes" },
							{ "memory", "rssBytes" } };
		json_t *p, *c;

		if (!rsp->stats[i]->attributes || !label(rsp->stats[i], "io.kubernetes.pod.uid")[0])
			continue;
		p = pod_entry(pods, rsp->stats[i]);
		c = container_json(rsp->stats[i]);
		for (size_t k = 0; k < sizeof(parts) / sizeof(*parts); k++)
			add_up(p, c, parts[k][0], parts[k][1]);
		json_array_append_new(json_object_get(p, "containers"), c);
	}
	all = json_pack("{s:{s:s},s:o}", "node", "nodeName", ask->s->config.node_name, "pods", pods);
	text = all ? json_dumps(all, JSON_COMPACT) : NULL;
	json_decref(all);
	if (text)
		http_respond(ask->req, 200, "application/json", text, strlen(text));
	else
		answer_text(ask->req, 500, "out of memory\n");
	free(ask);
}

void serve_stats(struct server *s, struct http_req *req)
{
	Cri__ListContainerStatsRequest rq = CRI__LIST_CONTAINER_STATS_REQUEST__INIT;
	struct ask *ask = calloc(1, sizeof(*ask));

	if (ask) {
		*ask = (struct ask){ s, req };
		http_req_set_data(req, ask, on_gone);
		if (cri_call(s->config.cri, CRI_LIST_STATS, &rq.base, 0, on_stats, ask))
			return;
		http_req_set_data(req, NULL, NULL);
		free(ask);
	}
	answer_text(req, 500, "out of memory\n");
}
