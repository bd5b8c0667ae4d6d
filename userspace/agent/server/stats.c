/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /stats/summary: what the node uses, and each pod, from the runtime. containerd 1.6 gives no rate of cpu use: it is
 * taken between the last two questions; where there was none within a minute, the runtime is asked twice.
 */
#include "node_usage.h"
#include "server-internal.h"

#include <string.h>
#include <stdlib.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/clock.h"
#include "../../lib/base/str.h"

#define SAMPLE_MIN_NS 400000000LL
#define SAMPLE_MAX_NS 60000000000LL
#define AGAIN_MS      500

struct ask {
	struct server *s;
	struct http_req *req; /* NULL: the caller has gone */
	struct loop_timer timer;
	bool again;
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

static json_t *container_json(const Cri__ContainerStats *c, int64_t rate, int64_t window_ns)
{
	json_t *o = json_object(), *cpu = json_object(), *memory = json_object();

	json_object_set_new(o, "name", json_string(c->attributes->metadata ? c->attributes->metadata->name : ""));
	if (c->cpu) {
		json_object_set_new(cpu, "time", stamp(c->cpu->timestamp));
		set_number(cpu, "usageCoreNanoSeconds", c->cpu->usage_core_nano_seconds);
		if (rate >= 0)
			json_object_set_new(cpu, "usageNanoCores", json_integer(rate));
		if (rate >= 0 && window_ns)
			json_object_set_new(cpu, "windowNanoSeconds", json_integer(window_ns));
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

	if (!v)
		return;
	if (!to)
		json_object_set_new(pod, part, to = json_object());
	if (to)
		json_object_set_new(to, key,
				    json_integer(json_integer_value(json_object_get(to, key)) + json_integer_value(v)));
}

static json_t *pod_entry(json_t *pods, const Cri__ContainerStats *c)
{
	const char *uid = label(c, "io.kubernetes.pod.uid");
	json_t *p;
	size_t i;

	json_array_foreach (pods, i, p)
		if (streq(json_string_value(json_object_get(json_object_get(p, "podRef"), "uid")), uid))
			return p;
	p = json_pack("{s:{s:s,s:s,s:s},s:[]}", "podRef", "name", label(c, "io.kubernetes.pod.name"), "namespace",
		      label(c, "io.kubernetes.pod.namespace"), "uid", uid, "containers");
	if (p)
		json_array_append_new(pods, p);
	return p;
}

void stats_free(struct server *s)
{
	for (struct strmap_iter it = { 0 }; s->cpu && strmap_next(s->cpu, &it);)
		free(it.value);
	strmap_free(s->cpu);
}

static void sample(struct cpu_sample *m, int64_t at_ns, uint64_t usage)
{
	int64_t window = at_ns - m->at_ns;

	if (m->at_ns && window < SAMPLE_MIN_NS)
		return;
	m->rate = m->at_ns && window <= SAMPLE_MAX_NS ? (int64_t)((double)(usage - m->usage) * 1e9 / (double)window)
						      : -1;
	m->window_ns = m->at_ns ? window : 0;
	m->at_ns = at_ns;
	m->usage = usage;
}

/* Nanoseconds a second since the question before; -1: there was none. */
static int64_t cpu_rate(struct server *s, const Cri__ContainerStats *c)
{
	const Cri__CpuUsage *cpu = c->cpu;
	struct cpu_sample *m;

	if (cpu->usage_nano_cores)
		return (int64_t)cpu->usage_nano_cores->value;
	if (!cpu->usage_core_nano_seconds || (!s->cpu && !(s->cpu = strmap_new())))
		return -1;
	m = strmap_get(s->cpu, c->attributes->id);
	if (!m) {
		m = calloc(1, sizeof(*m));
		if (!m || strmap_set(s->cpu, c->attributes->id, m, NULL) < 0) {
			free(m);
			return -1;
		}
	}
	m->seen = true;
	sample(m, cpu->timestamp, cpu->usage_core_nano_seconds->value);
	return m->rate;
}

static int64_t known_rate(struct server *s, const Cri__ContainerStats *c, int64_t *ret_window_ns)
{
	const struct cpu_sample *m = s->cpu ? strmap_get(s->cpu, c->attributes->id) : NULL;

	*ret_window_ns = m ? m->window_ns : 0;
	return c->cpu->usage_nano_cores ? (int64_t)c->cpu->usage_nano_cores->value : m ? m->rate : -1;
}

/* Samples of containers that are gone go, too. */
static void sweep_samples(struct server *s)
{
	for (struct strmap_iter it = { 0 }; s->cpu && strmap_next(s->cpu, &it);) {
		struct cpu_sample *m = it.value;

		if (!m->seen) {
			strmap_del(s->cpu, it.key);
			free(m);
		} else {
			m->seen = false;
		}
	}
}

static json_t *node_json(struct server *s)
{
	int64_t now = clock_real_ms() * 1000000;
	struct node_usage u;
	json_t *o = json_pack("{s:s}", "nodeName", s->config.node_name), *cpu;

	if (!o || node_usage_read(&u) < 0)
		return o;
	sample(&s->node_cpu, (int64_t)clock_mono_ns(), u.cpu_ns);
	cpu = json_pack("{s:o,s:I}", "time", stamp(now), "usageCoreNanoSeconds", (json_int_t)u.cpu_ns);
	if (s->node_cpu.rate >= 0) {
		json_object_set_new(cpu, "usageNanoCores", json_integer(s->node_cpu.rate));
		json_object_set_new(cpu, "windowNanoSeconds", json_integer(s->node_cpu.window_ns));
	}
	json_object_set_new(o, "cpu", cpu);
	json_object_set_new(o, "memory",
			    json_pack("{s:o,s:I,s:I}", "time", stamp(now), "workingSetBytes",
				      (json_int_t)u.memory_bytes, "availableBytes", (json_int_t)u.memory_available));
	return o;
}

static void on_stats(void *arg, const struct grpc_status *status, const ProtobufCMessage *msg);

static bool ask_runtime(struct ask *ask)
{
	Cri__ListContainerStatsRequest rq = CRI__LIST_CONTAINER_STATS_REQUEST__INIT;

	return cri_call(ask->s->config.cri, CRI_LIST_STATS, &rq.base, 0, on_stats, ask) != NULL;
}

static void on_again(struct loop_timer *t)
{
	struct ask *ask = t->arg;

	if (ask->req && ask_runtime(ask))
		return;
	if (ask->req) {
		http_req_set_data(ask->req, NULL, NULL);
		answer_text(ask->req, 500, "out of memory\n");
	}
	free(ask);
}

static void on_stats(void *arg, const struct grpc_status *status, const ProtobufCMessage *msg)
{
	const Cri__ListContainerStatsResponse *rsp = (const Cri__ListContainerStatsResponse *)msg;
	struct ask *ask = arg;
	cleanup(free) char *text = NULL;
	json_t *pods, *all, *node = NULL;

	if (!ask->req) {
		free(ask);
		return;
	}
	if (!status->code) {
		bool unknown;

		node = node_json(ask->s);
		unknown = ask->s->node_cpu.rate < 0;
		for (size_t i = 0; i < rsp->n_stats; i++)
			if (rsp->stats[i]->attributes && rsp->stats[i]->cpu && rsp->stats[i]->memory)
				unknown |= cpu_rate(ask->s, rsp->stats[i]) < 0;
		sweep_samples(ask->s);
		if (unknown && !ask->again) {
			json_decref(node);
			node = NULL;
			ask->again = true;
			ask->timer.fn = on_again;
			ask->timer.arg = ask;
			if (!loop_timer_set(ask->s->loop, &ask->timer, AGAIN_MS))
				return;
		}
	}
	http_req_set_data(ask->req, NULL, NULL);
	if (status->code) {
		answer_text(ask->req, 503, "container runtime: %s\n", status->message);
		free(ask);
		return;
	}
	pods = json_array();
	for (size_t i = 0; i < rsp->n_stats; i++) {
		static const char *const parts[][2] = { { "cpu", "usageCoreNanoSeconds" },
							{ "cpu", "usageNanoCores" },
							{ "memory", "workingSetBytes" },
							{ "memory", "usageBytes" },
							{ "memory", "rssBytes" } };
		json_t *p, *c;
		int64_t rate, window;

		if (!rsp->stats[i]->attributes || !label(rsp->stats[i], "io.kubernetes.pod.uid")[0])
			continue;
		if (!rsp->stats[i]->cpu || !rsp->stats[i]->memory)
			continue; /* it has ended */
		p = pod_entry(pods, rsp->stats[i]);
		rate = known_rate(ask->s, rsp->stats[i], &window);
		c = container_json(rsp->stats[i], rate, window);
		for (size_t k = 0; k < sizeof(parts) / sizeof(*parts); k++)
			add_up(p, c, parts[k][0], parts[k][1]);
		json_array_append_new(json_object_get(p, "containers"), c);
	}
	all = json_pack("{s:o,s:o}", "node", node, "pods", pods);
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
	struct ask *ask = calloc(1, sizeof(*ask));

	if (ask) {
		ask->s = s;
		ask->req = req;
		http_req_set_data(req, ask, on_gone);
		if (ask_runtime(ask))
			return;
		http_req_set_data(req, NULL, NULL);
		free(ask);
	}
	answer_text(req, 500, "out of memory\n");
}
