/* SPDX-License-Identifier: Apache-2.0 */
/* Defaults that follow from other fields: workloads besides deployments, autoscalers, volumes. All are idempotent. */
#include "api-internal.h"

#include <stdio.h>
#include <string.h>

#include "../base/str.h"
#include "defaults.h"

static void set_missing_int(json_t *obj, const char *name, int64_t value)
{
	api_set_missing(obj, name, json_integer(value));
}

static void default_daemon_set(json_t *obj)
{
	json_t *strategy = api_get(obj, "spec.updateStrategy"), *rolling;

	api_default_pod_spec(api_get(obj, "spec.template.spec"), false);
	if (!streq(api_get_str(strategy, "type"), "RollingUpdate"))
		return;
	api_set_missing(strategy, "rollingUpdate", json_object());
	rolling = json_object_get(strategy, "rollingUpdate");
	set_missing_int(rolling, "maxUnavailable", 1);
	set_missing_int(rolling, "maxSurge", 0);
}

/* What the server knows about a claim before anybody has looked at it. */
static void default_claim(json_t *claim)
{
	if (json_is_object(claim) && !api_get_str(claim, "status.phase"))
		(void)api_set(claim, "status.phase", json_string("Pending"));
}

static void default_stateful_set(json_t *obj)
{
	json_t *spec = json_object_get(obj, "spec"), *strategy = json_object_get(spec, "updateStrategy"), *claim;
	size_t i;

	api_default_pod_spec(api_get(spec, "template.spec"), false);
	if (streq(api_get_str(strategy, "type"), "RollingUpdate")) {
		api_set_missing(strategy, "rollingUpdate", json_object());
		set_missing_int(json_object_get(strategy, "rollingUpdate"), "partition", 0);
	}
	json_array_foreach (json_object_get(spec, "volumeClaimTemplates"), i, claim) {
		api_set_missing(claim, "apiVersion", json_string("v1"));
		api_set_missing(claim, "kind", json_string("PersistentVolumeClaim"));
		default_claim(claim);
	}
}

static void default_replication_controller(json_t *obj)
{
	json_t *spec = json_object_get(obj, "spec"), *labels = api_get(spec, "template.metadata.labels");

	api_default_pod_spec(api_get(spec, "template.spec"), false);
	if (!json_object_size(labels))
		return;
	if (!json_object_size(json_object_get(spec, "selector")))
		json_object_set_new(spec, "selector", json_copy(labels));
	if (!json_object_size(api_get(obj, "metadata.labels")) && json_object_get(obj, "metadata"))
		json_object_set_new(json_object_get(obj, "metadata"), "labels", json_copy(labels));
}

static void default_pod_template(json_t *obj)
{
	api_default_pod_spec(api_get(obj, "template.spec"), false);
}

static void default_job(json_t *obj)
{
	json_t *spec = json_object_get(obj, "spec");

	api_default_pod_spec(api_get(spec, "template.spec"), false);
	/* One pod once, unless it says how many at a time: those work until one of them succeeds. */
	if (!json_object_get(spec, "completions") && !json_object_get(spec, "parallelism"))
		set_missing_int(spec, "completions", 1);
	set_missing_int(spec, "parallelism", 1);
	/* Counted by index there is no limit on the sum. */
	set_missing_int(spec, "backoffLimit", json_object_get(spec, "backoffLimitPerIndex") ? INT32_MAX : 6);
	api_set_missing(spec, "completionMode", json_string("NonIndexed"));
	api_set_missing(spec, "suspend", json_false());
	api_set_missing(spec, "podReplacementPolicy",
			json_string(json_object_get(spec, "podFailurePolicy") ? "Failed" : "TerminatingOrFailed"));
}

static void default_cron_job(json_t *obj)
{
	/* The job's own defaults come when it is made. */
	api_default_pod_spec(api_get(obj, "spec.jobTemplate.spec.template.spec"), false);
}

static json_t *policy(const char *type, int value, int period_s)
{
	return json_pack("{s:s,s:i,s:i}", "type", type, "value", value, "periodSeconds", period_s);
}

static void default_hpa(json_t *obj)
{
	json_t *spec = json_object_get(obj, "spec"), *behavior = json_object_get(spec, "behavior"), *rules;

	/* Version 1 has neither: they are added when it is stored as version 2. */
	if (!json_is_object(spec) || streq(api_get_str(obj, "apiVersion"), "autoscaling/v1"))
		return;
	if (!json_array_size(json_object_get(spec, "metrics")))
		json_object_set_new(spec, "metrics",
				    json_pack("[{s:s,s:{s:s,s:{s:s,s:i}}}]", "type", "Resource", "resource", "name",
					      "cpu", "target", "type", "Utilization", "averageUtilization", 80));
	if (!json_is_object(behavior))
		return;
	api_set_missing(behavior, "scaleUp", json_object());
	rules = json_object_get(behavior, "scaleUp");
	set_missing_int(rules, "stabilizationWindowSeconds", 0);
	api_set_missing(rules, "selectPolicy", json_string("Max"));
	api_set_missing(rules, "policies", json_pack("[o,o]", policy("Pods", 4, 15), policy("Percent", 100, 15)));
	api_set_missing(behavior, "scaleDown", json_object());
	rules = json_object_get(behavior, "scaleDown");
	api_set_missing(rules, "selectPolicy", json_string("Max"));
	api_set_missing(rules, "policies", json_pack("[o]", policy("Percent", 100, 15)));
}

static void default_volume(json_t *obj)
{
	if (!api_get_str(obj, "status.phase"))
		(void)api_set(obj, "status.phase", json_string("Pending"));
}

static const struct {
	const char *group, *kind;
	void (*fn)(json_t *obj);
} own[] = {
	{ "", "PersistentVolume", default_volume },
	{ "", "PersistentVolumeClaim", default_claim },
	{ "", "PodTemplate", default_pod_template },
	{ "", "ReplicationController", default_replication_controller },
	{ "apps", "DaemonSet", default_daemon_set },
	{ "apps", "StatefulSet", default_stateful_set },
	{ "autoscaling", "HorizontalPodAutoscaler", default_hpa },
	{ "batch", "CronJob", default_cron_job },
	{ "batch", "Job", default_job },
};

void api_default_own_kinds(const struct api_kind *kind, json_t *obj)
{
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (streq(own[i].group, kind->group) && streq(own[i].kind, kind->kind))
			own[i].fn(obj);
}
