/* SPDX-License-Identifier: Apache-2.0 */
/* Columns of stateful and daemon sets, jobs, autoscalers and budgets, as kubectl shows them. */
#include <stdio.h>
#include <string.h>

#include "../base/clock.h"
#include "../base/str.h"
#include "table.h"

#define COLUMN(name) static json_t *name(const json_t *obj, int64_t now_ms __attribute__((unused)))

static json_t *take(struct strbuf *sb, const char *empty)
{
	json_t *out = json_string(sb->len ? sb->buf : empty);

	strbuf_done(sb);
	return out;
}

static json_t *count(const json_t *obj, const char *path)
{
	return json_integer(api_get_int(obj, path, 0));
}

static json_t *text_or(const json_t *obj, const char *path, const char *empty)
{
	const char *s = api_get_str(obj, path);

	return json_string(s && *s ? s : empty);
}

/* "a=b,c=d" */
static json_t *labels_text(const json_t *labels)
{
	struct strbuf sb = STRBUF_INIT;
	const json_t *v;
	const char *key;

	json_object_foreach ((json_t *)labels, key, v)
		strbuf_addf(&sb, "%s%s=%s", sb.len ? "," : "", key, json_string_value(v) ?: "");
	return take(&sb, "<none>");
}

static json_t *containers_text(const json_t *obj, const char *path, const char *member)
{
	struct strbuf sb = STRBUF_INIT;
	const json_t *c;
	size_t i;

	json_array_foreach (api_get(obj, path), i, c)
		strbuf_addf(&sb, "%s%s", i ? "," : "", api_get_str(c, member) ?: "");
	return take(&sb, "<none>");
}

/* --- pod templates, daemon sets, revisions ------------------------------------------------------------------------ */

COLUMN(podtemplate_containers)
{
	return containers_text(obj, "template.spec.containers", "name");
}

COLUMN(podtemplate_images)
{
	return containers_text(obj, "template.spec.containers", "image");
}

COLUMN(podtemplate_labels)
{
	return labels_text(api_get(obj, "template.metadata.labels"));
}

COLUMN(daemonset_desired)
{
	return count(obj, "status.desiredNumberScheduled");
}

COLUMN(daemonset_current)
{
	return count(obj, "status.currentNumberScheduled");
}

COLUMN(daemonset_ready)
{
	return count(obj, "status.numberReady");
}

COLUMN(daemonset_updated)
{
	return count(obj, "status.updatedNumberScheduled");
}

COLUMN(daemonset_available)
{
	return count(obj, "status.numberAvailable");
}

COLUMN(daemonset_node_selector)
{
	return labels_text(api_get(obj, "spec.template.spec.nodeSelector"));
}

/* "statefulset.apps/web" */
COLUMN(revision_controller)
{
	const json_t *ref;
	size_t i;

	json_array_foreach (api_get(obj, "metadata.ownerReferences"), i, ref) {
		const char *version = api_get_str(ref, "apiVersion") ?: "", *slash = strchr(version, '/');
		char buf[600];

		if (!json_is_true(json_object_get(ref, "controller")))
			continue;
		snprintf(buf, sizeof(buf), "%.100s%s%.*s/%.253s", api_get_str(ref, "kind") ?: "", slash ? "." : "",
			 slash ? (int)(slash - version) : 0, version, api_get_str(ref, "name") ?: "");
		for (char *p = buf; *p && *p != '/'; p++)
			if (*p >= 'A' && *p <= 'Z')
				*p += 32;
		return json_string(buf);
	}
	return json_string("<none>");
}

/* --- jobs --------------------------------------------------------------------------------------------------------- */

static bool job_is(const json_t *obj, const char *type)
{
	const json_t *c;
	size_t i;

	json_array_foreach (api_get(obj, "status.conditions"), i, c)
		if (streq(api_get_str(c, "type"), type))
			return streq(api_get_str(c, "status"), "True");
	return false;
}

COLUMN(job_status)
{
	static const char *const types[] = { "Complete",  "Failed",	   NULL,
					     "Suspended", "FailureTarget", "SuccessCriteriaMet" };

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (!types[i] && api_get(obj, "metadata.deletionTimestamp"))
			return json_string("Terminating");
		if (types[i] && job_is(obj, types[i]))
			return json_string(types[i]);
	}
	return json_string("Running");
}

COLUMN(job_completions)
{
	long long done = api_get_int(obj, "status.succeeded", 0), parallel = api_get_int(obj, "spec.parallelism", 0);
	const json_t *want = api_get(obj, "spec.completions");
	char buf[80];

	if (want)
		snprintf(buf, sizeof(buf), "%lld/%lld", done, (long long)json_integer_value(want));
	else if (parallel > 1)
		snprintf(buf, sizeof(buf), "%lld/1 of %lld", done, parallel);
	else
		snprintf(buf, sizeof(buf), "%lld/1", done);
	return json_string(buf);
}

static json_t *job_duration(const json_t *obj, int64_t now_ms)
{
	const char *start = api_get_str(obj, "status.startTime"), *end = api_get_str(obj, "status.completionTime");
	int64_t from, to = now_ms;
	char buf[32];

	if (!start || clock_rfc3339_parse(start, &from) < 0)
		return json_string("");
	if (end && clock_rfc3339_parse(end, &to) < 0)
		return json_string("");
	api_human_duration(to - from, buf, sizeof(buf));
	return json_string(buf);
}

COLUMN(cronjob_timezone)
{
	return text_or(obj, "spec.timeZone", "<none>");
}

COLUMN(cronjob_suspend)
{
	const json_t *v = api_get(obj, "spec.suspend");

	return json_string(!v ? "<unset>" : json_is_true(v) ? "True" : "False");
}

COLUMN(cronjob_active)
{
	return json_integer((json_int_t)json_array_size(api_get(obj, "status.active")));
}

static json_t *cronjob_last(const json_t *obj, int64_t now_ms)
{
	const char *last = api_get_str(obj, "status.lastScheduleTime");

	return last ? api_column_age_of(last, now_ms) : json_string("<none>");
}

COLUMN(cronjob_containers)
{
	return containers_text(obj, "spec.jobTemplate.spec.template.spec.containers", "name");
}

COLUMN(cronjob_images)
{
	return containers_text(obj, "spec.jobTemplate.spec.template.spec.containers", "image");
}

COLUMN(cronjob_selector)
{
	return api_column_selector(api_get(obj, "spec.jobTemplate.spec.selector"));
}

/* --- autoscalers -------------------------------------------------------------------------------------------------- */

COLUMN(hpa_reference)
{
	char buf[400];

	snprintf(buf, sizeof(buf), "%.100s/%.253s", api_get_str(obj, "spec.scaleTargetRef.kind") ?: "",
		 api_get_str(obj, "spec.scaleTargetRef.name") ?: "");
	return json_string(buf);
}

/* "object", "pods", ...: the member of a metric that its type names. */
static const char *metric_member(const json_t *metric)
{
	static const char *const members[][2] = { { "Resource", "resource" },
						  { "ContainerResource", "containerResource" },
						  { "Pods", "pods" },
						  { "Object", "object" },
						  { "External", "external" } };

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		if (streq(api_get_str(metric, "type"), members[i][0]))
			return members[i][1];
	return NULL;
}

static void metric_text(const json_t *spec, const json_t *status, struct strbuf *sb)
{
	const char *member = metric_member(spec);
	const json_t *want, *is = NULL, *s = member ? json_object_get(spec, member) : NULL, *v;
	const char *average, *value;

	if (!s) {
		strbuf_adds(sb, "<unknown type>");
		return;
	}
	want = json_object_get(s, "target");
	if (streq(api_get_str(status, "type"), api_get_str(spec, "type")))
		is = api_get(json_object_get(status, member), "current");
	average = api_get_str(want, "averageValue");
	value = api_get_str(want, "value");
	if (strstr(member, "esource"))
		strbuf_addf(sb, "%s: ", api_get_str(s, "name") ?: "");
	if (average) {
		strbuf_addf(sb, "%s/%s%s", api_get_str(is, "averageValue") ?: "<unknown>", average,
			    streq(member, "object") || streq(member, "external") ? " (avg)" : "");
		return;
	}
	if (!strstr(member, "esource")) {
		strbuf_addf(sb, "%s/%s", api_get_str(is, "value") ?: "<unknown>", value ?: "<auto>");
		return;
	}
	v = json_object_get(is, "averageUtilization");
	if (v)
		strbuf_addf(sb, "%lld%%/", (long long)json_integer_value(v));
	else
		strbuf_adds(sb, "<unknown>/");
	v = json_object_get(want, "averageUtilization");
	if (v)
		strbuf_addf(sb, "%lld%%", (long long)json_integer_value(v));
	else
		strbuf_adds(sb, "<auto>");
}

COLUMN(hpa_targets)
{
	const json_t *specs = api_get(obj, "spec.metrics"), *now = api_get(obj, "status.currentMetrics"), *m;
	struct strbuf sb = STRBUF_INIT;
	size_t i, n = json_array_size(specs);

	json_array_foreach (specs, i, m) {
		if (i == 2) {
			strbuf_addf(&sb, " + %zu more...", n - 2);
			break;
		}
		if (i)
			strbuf_adds(&sb, ", ");
		metric_text(m, json_array_get(now, i), &sb);
	}
	return take(&sb, "<none>");
}

COLUMN(hpa_min)
{
	const json_t *v = api_get(obj, "spec.minReplicas");
	char buf[32];

	snprintf(buf, sizeof(buf), "%lld", (long long)json_integer_value(v));
	return json_string(v ? buf : "<unset>");
}

COLUMN(hpa_replicas)
{
	return count(obj, "status.currentReplicas");
}

/* --- budgets ------------------------------------------------------------------------------------------------------ */

static json_t *bound(const json_t *v)
{
	char buf[32];

	if (json_is_string(v))
		return json_string(json_string_value(v));
	snprintf(buf, sizeof(buf), "%lld", (long long)json_integer_value(v));
	return json_string(json_is_integer(v) ? buf : "N/A");
}

COLUMN(pdb_min)
{
	return bound(api_get(obj, "spec.minAvailable"));
}

COLUMN(pdb_max)
{
	return bound(api_get(obj, "spec.maxUnavailable"));
}

COLUMN(pdb_allowed)
{
	return count(obj, "status.disruptionsAllowed");
}

const struct api_column_impl api_more_workload_columns[] = {
	{ "podtemplate-containers", podtemplate_containers },
	{ "podtemplate-images", podtemplate_images },
	{ "podtemplate-labels", podtemplate_labels },
	{ "daemonset-desired", daemonset_desired },
	{ "daemonset-current", daemonset_current },
	{ "daemonset-ready", daemonset_ready },
	{ "daemonset-updated", daemonset_updated },
	{ "daemonset-available", daemonset_available },
	{ "daemonset-node-selector", daemonset_node_selector },
	{ "revision-controller", revision_controller },
	{ "job-status", job_status },
	{ "job-completions", job_completions },
	{ "job-duration", job_duration },
	{ "cronjob-timezone", cronjob_timezone },
	{ "cronjob-suspend", cronjob_suspend },
	{ "cronjob-active", cronjob_active },
	{ "cronjob-last", cronjob_last },
	{ "cronjob-containers", cronjob_containers },
	{ "cronjob-images", cronjob_images },
	{ "cronjob-selector", cronjob_selector },
	{ "hpa-reference", hpa_reference },
	{ "hpa-targets", hpa_targets },
	{ "hpa-min", hpa_min },
	{ "hpa-replicas", hpa_replicas },
	{ "pdb-min", pdb_min },
	{ "pdb-max", pdb_max },
	{ "pdb-allowed", pdb_allowed },
	{ NULL, NULL },
};
