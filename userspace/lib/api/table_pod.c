/* SPDX-License-Identifier: Apache-2.0 */
/* Pod columns with kubectl's rules for STATUS, READY and RESTARTS. */
#include <stdio.h>
#include <string.h>

#include "../base/clock.h"
#include "../base/str.h"
#include "table.h"

static json_t *container_named(const json_t *list, const char *name)
{
	json_t *c;
	size_t i;

	json_array_foreach (list, i, c)
		if (streq(api_get_str(c, "name"), name))
			return c;
	return NULL;
}

static bool sidecar(const json_t *pod, const char *name)
{
	return streq(api_get_str(container_named(api_get(pod, "spec.initContainers"), name), "restartPolicy"),
		     "Always");
}

static const json_t *terminated(const json_t *status)
{
	return api_get(status, "state.terminated");
}

/* Reason of a terminated container: its own, else by signal or exit code. */
static void terminated_reason(const json_t *t, char *buf, size_t size)
{
	const char *reason = api_get_str(t, "reason");
	int64_t sig = api_get_int(t, "signal", 0);

	if (reason && *reason)
		snprintf(buf, size, "%s", reason);
	else if (sig)
		snprintf(buf, size, "Signal:%lld", (long long)sig);
	else
		snprintf(buf, size, "ExitCode:%lld", (long long)api_get_int(t, "exitCode", 0));
}

/* While an init container is due, it decides the status. true: it did. */
static bool init_status(const json_t *pod, char *buf, size_t size)
{
	const json_t *list = api_get(pod, "status.initContainerStatuses"), *c, *t;
	size_t total = json_array_size(api_get(pod, "spec.initContainers")), i;

	json_array_foreach (list, i, c) {
		const char *waiting = api_get_str(c, "state.waiting.reason");
		char why[200];

		t = terminated(c);
		if (t && !api_get_int(t, "exitCode", 0))
			continue;
		if (sidecar(pod, api_get_str(c, "name")) && json_is_true(json_object_get(c, "started")))
			continue;
		if (t) {
			terminated_reason(t, why, sizeof(why));
			snprintf(buf, size, "Init:%s", why);
		} else if (waiting && *waiting && !streq(waiting, "PodInitializing")) {
			snprintf(buf, size, "Init:%s", waiting);
		} else {
			snprintf(buf, size, "Init:%zu/%zu", i, total);
		}
		return true;
	}
	return false;
}

static json_t *pod_status(const json_t *pod, int64_t now_ms)
{
	const json_t *list = api_get(pod, "status.containerStatuses"), *conditions = api_get(pod, "status.conditions"),
		     *c, *t;
	const char *phase = api_get_str(pod, "status.phase"), *reason = api_get_str(pod, "status.reason");
	bool running = false, ready = false;
	char buf[256];
	size_t i;

	(void)now_ms;
	snprintf(buf, sizeof(buf), "%s", reason && *reason ? reason : phase ? phase : "Unknown");
	json_array_foreach (conditions, i, c) {
		if (streq(api_get_str(c, "type"), "PodScheduled") && streq(api_get_str(c, "reason"), "SchedulingGated"))
			snprintf(buf, sizeof(buf), "SchedulingGated");
		if (streq(api_get_str(c, "type"), "Ready"))
			ready = streq(api_get_str(c, "status"), "True");
	}
	if (!init_status(pod, buf, sizeof(buf))) {
		for (i = json_array_size(list); i-- > 0;) {
			const char *waiting;

			c = json_array_get(list, i);
			waiting = api_get_str(c, "state.waiting.reason");
			t = terminated(c);
			if (waiting && *waiting)
				snprintf(buf, sizeof(buf), "%s", waiting);
			else if (t)
				terminated_reason(t, buf, sizeof(buf));
			else if (json_is_true(json_object_get(c, "ready")) && api_get(c, "state.running"))
				running = true;
		}
		if (streq(buf, "Completed") && running)
			snprintf(buf, sizeof(buf), ready ? "Running" : "NotReady");
	}
	if (api_get_str(pod, "metadata.deletionTimestamp")) {
		if (streq(reason, "NodeLost"))
			return json_string("Unknown");
		if (!streq(phase, "Failed") && !streq(phase, "Succeeded"))
			return json_string("Terminating");
	}
	return json_string(buf);
}

static json_t *pod_ready(const json_t *pod, int64_t now_ms)
{
	size_t total = json_array_size(api_get(pod, "spec.containers")), n = 0, i;
	const json_t *c;
	char buf[48];

	(void)now_ms;
	json_array_foreach (api_get(pod, "spec.initContainers"), i, c)
		total += streq(api_get_str(c, "restartPolicy"), "Always");
	json_array_foreach (api_get(pod, "status.initContainerStatuses"), i, c)
		n += sidecar(pod, api_get_str(c, "name")) && json_is_true(json_object_get(c, "ready"));
	json_array_foreach (api_get(pod, "status.containerStatuses"), i, c)
		n += json_is_true(json_object_get(c, "ready")) && api_get(c, "state.running");
	snprintf(buf, sizeof(buf), "%zu/%zu", n, total);
	return json_string(buf);
}

static bool initialized(const json_t *pod)
{
	const json_t *c;
	size_t i;

	json_array_foreach (api_get(pod, "status.conditions"), i, c)
		if (streq(api_get_str(c, "type"), "Initialized"))
			return streq(api_get_str(c, "status"), "True");
	return false;
}

/* Init containers count until they are through, as kubectl has it. */
static json_t *pod_restarts(const json_t *pod, int64_t now_ms)
{
	static const char *const lists[] = { "status.initContainerStatuses", "status.containerStatuses" };
	int64_t n = 0, last = 0, ms;
	char buf[64], ago[32];
	const json_t *c;
	size_t i;

	for (int l = initialized(pod); l < 2; l++)
		json_array_foreach (api_get(pod, lists[l]), i, c) {
			const char *finished = api_get_str(c, "lastState.terminated.finishedAt");

			n += api_get_int(c, "restartCount", 0);
			if (finished && !clock_rfc3339_parse(finished, &ms) && ms > last)
				last = ms;
		}
	if (!n || !last) {
		snprintf(buf, sizeof(buf), "%lld", (long long)n);
		return json_string(buf);
	}
	api_human_duration(now_ms - last, ago, sizeof(ago));
	snprintf(buf, sizeof(buf), "%lld (%s ago)", (long long)n, ago);
	return json_string(buf);
}

static json_t *or_none(const char *s)
{
	return json_string(s && *s ? s : "<none>");
}

static json_t *pod_ip(const json_t *pod, int64_t now_ms)
{
	(void)now_ms;
	return or_none(api_get_str(pod, "status.podIP"));
}

static json_t *pod_node(const json_t *pod, int64_t now_ms)
{
	(void)now_ms;
	return or_none(api_get_str(pod, "spec.nodeName"));
}

static json_t *pod_nominated_node(const json_t *pod, int64_t now_ms)
{
	(void)now_ms;
	return or_none(api_get_str(pod, "status.nominatedNodeName"));
}

static json_t *pod_readiness_gates(const json_t *pod, int64_t now_ms)
{
	const json_t *gates = api_get(pod, "spec.readinessGates"), *g, *c;
	size_t n = 0, i, k;
	char buf[48];

	(void)now_ms;
	if (!json_array_size(gates))
		return json_string("<none>");
	json_array_foreach (gates, i, g)
		json_array_foreach (api_get(pod, "status.conditions"), k, c)
			n += streq(api_get_str(c, "type"), api_get_str(g, "conditionType")) &&
			     streq(api_get_str(c, "status"), "True");
	snprintf(buf, sizeof(buf), "%zu/%zu", n, json_array_size(gates));
	return json_string(buf);
}

const struct api_column_impl api_pod_columns[] = {
	{ "pod-ready", pod_ready },
	{ "pod-status", pod_status },
	{ "pod-restarts", pod_restarts },
	{ "pod-ip", pod_ip },
	{ "pod-node", pod_node },
	{ "pod-nominated-node", pod_nominated_node },
	{ "pod-readiness-gates", pod_readiness_gates },
	{ NULL, NULL },
};
