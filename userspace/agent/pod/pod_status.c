/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pod's status as kubelet words it: phase, conditions, states of containers. Computed whole from the worker each
 * time and written by a merge patch when it differs from what was written last; conditions of others stay as they
 * are.
 */
#include "pod-internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../../lib/base/clock.h"
#include "../../lib/base/log.h"
#include "../../lib/base/str.h"
#include "../../lib/io/metrics.h"

#define PATCH_RETRY_MS 1000

static json_t *time_json(int64_t ms)
{
	char buf[CLOCK_RFC3339_SIZE];

	return ms > 0 ? json_string(clock_rfc3339(ms, buf)) : json_null();
}

static void put(json_t *obj, const char *key, const char *value)
{
	if (value)
		json_object_set_new(obj, key, json_string(value) ?: json_string("(not UTF-8)"));
}

static json_t *runtime_id(const char *id)
{
	return id ? json_sprintf("containerd://%s", id) : json_string("");
}

static json_t *terminated(const struct ctr_past *past, const char *id)
{
	json_t *t = json_object();

	json_object_set_new(t, "exitCode", json_integer(past->exit_code));
	put(t, "reason", past->reason ? past->reason : past->exit_code ? "Error" : "Completed");
	put(t, "message", past->message);
	if (past->started_ms > 0)
		json_object_set_new(t, "startedAt", time_json(past->started_ms));
	if (past->finished_ms > 0)
		json_object_set_new(t, "finishedAt", time_json(past->finished_ms));
	json_object_set_new(t, "containerID", runtime_id(id));
	return json_pack("{s:o}", "terminated", t);
}

static json_t *waiting(const char *reason, const char *message)
{
	json_t *w = json_object();

	put(w, "reason", reason);
	put(w, "message", message);
	return json_pack("{s:o}", "waiting", w);
}

static bool inits_done(const struct pod *p)
{
	for (size_t i = p->n_init; i < p->n_fixed; i++)
		if (p->ctrs[i]->id)
			return true;
	for (size_t i = 0; i < p->n_init; i++)
		if (p->ctrs[i]->state != CTR_EXITED || p->ctrs[i]->now.exit_code)
			return false;
	return true;
}

static bool will_restart(const struct pod_ctr *c, int64_t *ret_due)
{
	struct ctr_view v = { .init = c->index < c->pod->n_init,
			      .ephemeral = ctr_is_ephemeral(c),
			      .state = c->state,
			      .exit_code = c->now.exit_code,
			      .finished_ms = c->now.finished_ms,
			      .backoff_ms = c->backoff_ms,
			      .backoff_set_ms = c->backoff_set_ms };

	*ret_due = pod_stopping(c->pod) ? 0 : ctr_restart_due(&v, pod_restart_policy(c->pod));
	return *ret_due != 0;
}

static json_t *ctr_state_json(const struct pod_ctr *c, int64_t now, bool *ret_crash_loop)
{
	const struct pod *p = c->pod;
	int64_t due;

	*ret_crash_loop = false;
	switch (c->state) {
	case CTR_RUNNING:
		return json_pack("{s:{s:o}}", "running", "startedAt", time_json(c->now.started_ms));
	case CTR_EXITED:
		if (c->wait_reason && !streq(c->wait_reason, "RunContainerError") && will_restart(c, &due)) {
			*ret_crash_loop = true; /* its next start fails before it exists */
			return waiting(c->wait_reason, c->wait_message);
		}
		if (will_restart(c, &due) && due > now) {
			char text[600];
			int64_t seconds = c->backoff_ms / 1000;
			char delay[32];

			if (seconds < 60)
				snprintf(delay, sizeof(delay), "%llds", (long long)seconds);
			else
				snprintf(delay, sizeof(delay), "%lldm%llds", (long long)seconds / 60,
					 (long long)seconds % 60);
			snprintf(text, sizeof(text), "back-off %s restarting failed container=%s pod=%s_%s(%s)", delay,
				 c->spec->name, p->name, p->ns, p->uid);
			*ret_crash_loop = true;
			return waiting("CrashLoopBackOff", text);
		}
		return terminated(&c->now, c->id);
	case CTR_NONE:
	case CTR_CREATED:
		break;
	}
	if (c->wait_reason)
		return waiting(c->wait_reason, c->wait_message);
	return waiting(p->n_init && !ctr_is_ephemeral(c) && !(c->index >= p->n_init && inits_done(p))
			       ? "PodInitializing"
			       : "ContainerCreating",
		       NULL);
}

/* What the agent before this one told the runtime, as far as it said so. */
static json_t *resources_said(const struct pod_ctr *c)
{
	const struct api_pod_status *s = &c->pod->obj->status;

	for (size_t i = 0; i < s->n_container_statuses; i++)
		if (streq(s->container_statuses[i].name, c->spec->name) && s->container_statuses[i].resources)
			return api_encode(&api_type_resource_requirements, s->container_statuses[i].resources);
	return NULL;
}

static void add_resources(json_t *status, const struct pod_ctr *c)
{
	json_t *now, *wanted = ctr_resources_json(c->spec), *requests = json_object_get(wanted, "requests");

	now = c->applied ? json_incref(c->applied) : c->id && c->state != CTR_NONE ? resources_said(c) : NULL;
	if (!now && wanted)
		now = json_incref(wanted);
	if (json_object_size(requests))
		json_object_set(status, "allocatedResources", requests);
	if (json_object_size(now))
		json_object_set(status, "resources", now);
	json_decref(now);
	json_decref(wanted);
}

static json_t *ctr_status(const struct pod_ctr *c, int64_t now)
{
	json_t *s = json_object(), *last = NULL;
	bool init = c->index < c->pod->n_init, crash_loop;
	json_t *state = ctr_state_json(c, now, &crash_loop);

	if (crash_loop)
		last = terminated(&c->now, c->id);
	else if (c->last.id)
		last = terminated(&c->last, c->last.id);
	put(s, "name", c->spec->name);
	json_object_set_new(s, "state", state);
	json_object_set_new(s, "lastState", last ? last : json_object());
	json_object_set_new(
		s, "ready",
		json_boolean(init ? c->state == CTR_EXITED && !c->now.exit_code : c->state == CTR_RUNNING && c->ready));
	json_object_set_new(s, "restartCount",
			    json_integer(c->id		   ? c->attempt
					 : c->next_attempt ? c->next_attempt - 1
							   : 0));
	put(s, "image", c->spec->image);
	put(s, "imageID", c->now.image_ref ? c->now.image_ref : c->last.image_ref ? c->last.image_ref : "");
	if (c->id || c->last.id)
		json_object_set_new(s, "containerID", runtime_id(c->id ? c->id : c->last.id));
	json_object_set_new(s, "started", json_boolean(c->state == CTR_RUNNING && c->started));
	add_resources(s, c);
	return s;
}

static json_t *ctr_statuses(const struct pod *p, size_t from, size_t to, int64_t now)
{
	json_t *list = json_array();

	for (size_t i = from; i < to; i++)
		json_array_append_new(list, ctr_status(p->ctrs[i], now));
	return list;
}

static const char *phase(const struct pod *p)
{
	size_t waiting_n = 0, running = 0, stopped = 0, succeeded = 0;
	enum restart_policy restart = pod_restart_policy(p);

	if (p->fail_reason || (p->terminal && p->outcome == POD_FAILED))
		return "Failed";
	if (p->terminal && p->outcome == POD_SUCCEEDED)
		return "Succeeded";
	for (size_t i = p->n_init; i < p->n_fixed; i++) {
		const struct pod_ctr *c = p->ctrs[i];

		if (c->state == CTR_RUNNING)
			running++;
		else if (c->state == CTR_EXITED || c->last.id)
			stopped++, succeeded += c->state == CTR_EXITED ? !c->now.exit_code : !c->last.exit_code;
		else
			waiting_n++;
	}
	if (!inits_done(p) || waiting_n || (!running && !stopped))
		return p->outcome == POD_FAILED ? "Failed" : "Pending";
	if (running || restart == RESTART_ALWAYS)
		return "Running";
	if (stopped == succeeded)
		return "Succeeded";
	return restart == RESTART_NEVER ? "Failed" : "Running";
}

/* The time of the last change is kept while the status is the same. */
static void add_condition(json_t *list, const json_t *old, const char *type, bool status, const char *reason,
			  const char *message, int64_t now)
{
	json_t *c = json_object(), *o;
	const char *value = status ? "True" : "False";
	json_t *since = NULL;
	size_t i;

	json_array_foreach (old, i, o)
		if (streq(api_get_str(o, "type"), type) && streq(api_get_str(o, "status"), value))
			since = json_object_get(o, "lastTransitionTime");
	put(c, "type", type);
	put(c, "status", value);
	json_object_set_new(c, "lastProbeTime", json_null());
	if (json_is_string(since))
		json_object_set(c, "lastTransitionTime", since);
	else
		json_object_set_new(c, "lastTransitionTime", time_json(now));
	put(c, "reason", reason);
	put(c, "message", message);
	json_array_append_new(list, c);
}

static void names_of(const struct pod *p, bool init, struct strbuf *sb)
{
	size_t from = init ? 0 : p->n_init, to = init ? p->n_init : p->n_fixed;

	strbuf_adds(sb, init ? "containers with incomplete status: [" : "containers with unready status: [");
	for (size_t i = from, n = 0; i < to; i++) {
		const struct pod_ctr *c = p->ctrs[i];

		if (init ? c->state == CTR_EXITED && !c->now.exit_code : c->state == CTR_RUNNING && c->ready)
			continue;
		strbuf_addf(sb, "%s%s", n++ ? " " : "", c->spec->name);
	}
	strbuf_addc(sb, ']');
}

static json_t *conditions(const struct pod *p, const char *ph, const json_t *old, int64_t now)
{
	cleanup(strbuf_done) struct strbuf unready = STRBUF_INIT;
	cleanup(strbuf_done) struct strbuf incomplete = STRBUF_INIT;
	json_t *list = json_array();
	bool ready = true, inited = inits_done(p);
	const char *reason = NULL, *message = NULL;

	for (size_t i = p->n_init; i < p->n_fixed; i++)
		ready &= p->ctrs[i]->state == CTR_RUNNING && p->ctrs[i]->ready;
	add_condition(list, old, "PodReadyToStartContainers", p->sandbox == SANDBOX_READY && p->ips[0][0], NULL, NULL,
		      now);
	if (streq(ph, "Succeeded") || inited) {
		add_condition(list, old, "Initialized", true, streq(ph, "Succeeded") ? "PodCompleted" : NULL, NULL,
			      now);
	} else {
		names_of(p, true, &incomplete);
		add_condition(list, old, "Initialized", false, "ContainersNotInitialized", incomplete.buf, now);
	}
	if (streq(ph, "Succeeded") || streq(ph, "Failed")) {
		ready = false;
		reason = streq(ph, "Failed") ? "PodFailed" : "PodCompleted";
	} else if (!ready) {
		names_of(p, false, &unready);
		reason = "ContainersNotReady";
		message = unready.buf;
	}
	for (size_t i = p->n_init; i < p->n_fixed; i++) {
		const struct pod_ctr *c = p->ctrs[i];

		if ((!c->resize_due && !c->resizing) || pod_stopping(p))
			continue;
		add_condition(list, old, "PodResizeInProgress", true, c->resize_error ? "Error" : NULL, c->resize_error,
			      now);
		break;
	}
	add_condition(list, old, "Ready", ready, reason, message, now);
	add_condition(list, old, "ContainersReady", ready, reason, message, now);
	return list;
}

static bool ours(const char *type)
{
	return streq(type, "PodReadyToStartContainers") || streq(type, "Initialized") || streq(type, "Ready") ||
	       streq(type, "ContainersReady") || streq(type, "PodResizeInProgress");
}

/* What the API has: conditions of others, and since when ours hold. */
static json_t *known_conditions(const struct pod *p)
{
	json_t *list = json_array();

	for (size_t i = 0; i < p->obj->status.n_conditions; i++) {
		const struct api_pod_condition *c = &p->obj->status.conditions[i];
		json_t *o = api_encode(&api_type_pod_condition, c);

		if (o)
			json_array_append_new(list, o);
	}
	return list;
}

json_t *pod_status(const struct pod *p, int64_t now)
{
	json_t *s = json_object(), *list, *known = known_conditions(p), *o;
	const char *ph = phase(p);
	const char *const *node = p->m->config.node_ips;
	const json_t *old = p->sent ? json_object_get(p->sent, "conditions") : known;
	bool scheduled = false;
	size_t i;

	put(s, "phase", ph);
	json_object_set_new(s, "reason", p->fail_reason ? json_string(p->fail_reason) : json_null());
	json_object_set_new(s, "message", p->fail_message ? json_string(p->fail_message) : json_null());
	list = conditions(p, ph, old, now);
	json_array_foreach (known, i, o) {
		scheduled |= streq(api_get_str(o, "type"), "PodScheduled");
		if (!ours(api_get_str(o, "type")))
			json_array_append(list, o);
	}
	if (!scheduled)
		add_condition(list, old, "PodScheduled", true, NULL, NULL, now);
	json_decref(known);
	json_object_set_new(s, "conditions", list);
	if (node[0]) {
		put(s, "hostIP", node[0]);
		json_object_set_new(s, "hostIPs", list = json_array());
		for (int k = 0; k < 2; k++)
			if (node[k])
				json_array_append_new(list, json_pack("{s:s}", "ip", node[k]));
	}
	if (p->ips[0][0]) {
		put(s, "podIP", p->ips[0]);
		json_object_set_new(s, "podIPs", list = json_array());
		for (int k = 0; k < 2; k++)
			if (p->ips[k][0])
				json_array_append_new(list, json_pack("{s:s}", "ip", p->ips[k]));
	}
	json_object_set_new(s, "startTime", time_json(p->start_ms));
	put(s, "qosClass", pod_qos(&p->obj->spec));
	if (p->n_init)
		json_object_set_new(s, "initContainerStatuses", ctr_statuses(p, 0, p->n_init, now));
	json_object_set_new(s, "containerStatuses", ctr_statuses(p, p->n_init, p->n_fixed, now));
	if (p->n_ctrs > p->n_fixed)
		json_object_set_new(s, "ephemeralContainerStatuses", ctr_statuses(p, p->n_fixed, p->n_ctrs, now));
	return s;
}

/* --- writing it --------------------------------------------------------------------------------------------------- */

static struct metric *start_seconds(void)
{
	static const double buckets[] = { 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 30, 60, 300 };
	static struct metric *m;

	if (!m)
		m = metric_new(METRIC_HISTOGRAM, "skep_agent_pod_start_duration_seconds",
			       "From a pod's assignment to this node being seen until all its containers run.", "",
			       buckets, sizeof(buckets) / sizeof(*buckets));
	return m;
}

static void on_patched(void *arg, const struct kube_result *r)
{
	struct pod *p = arg;

	p->patching = false;
	if (!kube_ok(r) && r->status != 404 && r->status != 409) {
		log_warn("pod %s/%s: status: %s", p->ns, p->name, r->message);
		json_decref(TAKE(p->sent));
		p->patch_retry_ms = now_ms() + PATCH_RETRY_MS;
	} else if (kube_ok(r)) {
		p->sent_rev = strtoll(api_get_str(r->obj, "metadata.resourceVersion") ?: "0", NULL, 10);
	}
	pod_kick(p);
	pod_drop(p);
}

void pod_status_seen(struct pod *p, const struct api_pod *obj)
{
	const json_t *mine;
	size_t k;

	if (!p->sent || p->patching || strtoll(obj->metadata.resource_version, NULL, 10) <= p->sent_rev)
		return;
	for (size_t i = 0; i < obj->status.n_conditions; i++)
		json_array_foreach (json_object_get(p->sent, "conditions"), k, mine)
			if (streq(api_get_str(mine, "type"), obj->status.conditions[i].type) &&
			    !streq(api_get_str(mine, "status"), obj->status.conditions[i].status)) {
				json_decref(TAKE(p->sent));
				return;
			}
}

void pod_status_sync(struct pod *p)
{
	int64_t now = now_ms();
	json_t *status, *patch;

	if (p->unknown || p->patching || !p->admitted || now < p->patch_retry_ms)
		return;
	status = pod_status(p, now);
	if (!status || (p->sent && json_equal(status, p->sent))) {
		json_decref(status);
		return;
	}
	if (!p->latency_seen && streq(api_get_str(status, "phase"), "Running")) {
		p->latency_seen = true;
		if (now - p->start_ms < 3600000)
			metric_observe(start_seconds(), (double)(now - p->start_ms) / 1000);
	}
	patch = json_pack("{s:{s:s},s:O}", "metadata", "uid", p->uid, "status", status);
	json_decref(p->sent);
	p->sent = status;
	pod_hold(p);
	p->patching = true;
	if (!patch || kube_patch(p->m->kube, &api_kind_pod, p->ns, p->name, "status", KUBE_PATCH_MERGE, patch,
				 on_patched, p) < 0) {
		p->patching = false;
		json_decref(TAKE(p->sent));
		p->patch_retry_ms = now + PATCH_RETRY_MS;
		pod_drop(p);
	}
	json_decref(patch);
}
