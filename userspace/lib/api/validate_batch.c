/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of jobs and cron jobs. */
#include "api-internal.h"

#include <stdio.h>
#include <string.h>

#include "../base/str.h"
#include "cron.h"

#define MAX_INDEXED   100000
#define MAX_RULES     20
#define CRON_JOB_NAME 52 /* its jobs' names get eleven characters more, and theirs must fit a label */
#define NEEDS_INDEXED "requires indexed completion mode"

#define AT(parent, member) (&(struct api_path){ .up = (parent), .name = (member) })

static bool indexed(const json_t *spec)
{
	return streq(api_get_str(spec, "completionMode"), "Indexed");
}

/* --- what a job's parts say to each other ------------------------------------------------------------------------- */

static void validate_restart(const json_t *spec, const struct api_path *path, struct api_errs *errs)
{
	struct api_path t = { .up = path, .name = "template" }, s = { .up = &t, .name = "spec" };
	struct api_path restart = { .up = &s, .name = "restartPolicy" };
	const char *policy = api_get_str(spec, "template.spec.restartPolicy");

	if (!policy || streq(policy, "Always"))
		api_err_required(errs, &restart, "valid values: \"OnFailure\", \"Never\"");
	else if (json_object_get(spec, "podFailurePolicy") && !streq(policy, "Never"))
		api_err_invalid_str(errs, &restart, policy,
				    "only \"Never\" is supported when podFailurePolicy is specified");
}

static void validate_counts(const json_t *spec, const struct api_path *path, struct api_errs *errs)
{
	const json_t *completions = json_object_get(spec, "completions"),
		     *parallelism = json_object_get(spec, "parallelism");
	const json_t *per_index = json_object_get(spec, "backoffLimitPerIndex"),
		     *failed = json_object_get(spec, "maxFailedIndexes");

	if (indexed(spec)) {
		if (!completions)
			api_err_required(errs, AT(path, "completions"), "when completion mode is Indexed");
		if (json_integer_value(parallelism) > MAX_INDEXED)
			api_err_invalid(errs, AT(path, "parallelism"), parallelism,
					"must be less than or equal to 100000 when completion mode is Indexed");
		if (failed && completions && json_integer_value(failed) > json_integer_value(completions))
			api_err_invalid(errs, AT(path, "maxFailedIndexes"), failed,
					"must be less than or equal to completions");
	} else {
		if (per_index)
			api_err_invalid(errs, AT(path, "backoffLimitPerIndex"), per_index, NEEDS_INDEXED);
		if (failed)
			api_err_invalid(errs, AT(path, "maxFailedIndexes"), failed, NEEDS_INDEXED);
		if (json_object_get(spec, "successPolicy"))
			api_err_invalid(errs, AT(path, "successPolicy"), json_object_get(spec, "successPolicy"),
					NEEDS_INDEXED);
	}
	if (failed && !per_index)
		api_err_required(errs, AT(path, "backoffLimitPerIndex"), "when maxFailedIndexes is specified");
}

static void validate_failure_rules(const json_t *spec, const struct api_path *path, struct api_errs *errs)
{
	const json_t *rules = api_get(spec, "podFailurePolicy.rules"), *rule;
	struct api_path policy = { .up = path, .name = "podFailurePolicy" }, list = { .up = &policy, .name = "rules" };
	struct api_path at = { .up = &list };

	if (json_array_size(rules) > MAX_RULES)
		api_path_err(errs, &list, API_C_TOO_MANY, "Too many: %zu: must have at most %d items",
			     json_array_size(rules), MAX_RULES);
	json_array_foreach (rules, at.index, rule) {
		const json_t *codes = json_object_get(rule, "onExitCodes"),
			     *conditions = json_object_get(rule, "onPodConditions"), *v;
		struct api_path on_codes = { .up = &at, .name = "onExitCodes" },
				values = { .up = &on_codes, .name = "values" };
		struct api_path value = { .up = &values };

		if (codes && json_array_size(conditions))
			api_err_invalid(errs, &at, rule,
					"specifying both OnExitCodes and OnPodConditions is not supported");
		else if (!codes && !json_array_size(conditions))
			api_err_invalid(errs, &at, rule,
					"specifying one of OnExitCodes and OnPodConditions is required");
		if (streq(api_get_str(rule, "action"), "FailIndex") && !json_object_get(spec, "backoffLimitPerIndex"))
			api_err_invalid(errs, AT(&at, "action"), json_object_get(rule, "action"),
					"requires the backoffLimitPerIndex to be set");
		json_array_foreach (json_object_get(codes, "values"), value.index, v)
			if (!json_integer_value(v) && streq(api_get_str(codes, "operator"), "In"))
				api_err_invalid(errs, &value, v, "must not be 0 for the In operator");
	}
}

static void validate_managed_by(const json_t *spec, const struct api_path *path, struct api_errs *errs)
{
	const char *by = api_get_str(spec, "managedBy");

	if (by && (!strchr(by, '/') || api_format_check("label-key", by) || strlen(by) > 63))
		api_err_invalid_str(errs, AT(path, "managedBy"), by,
				    "must be a domain-prefixed path (such as \"acme.io/foo\")");
}

static void validate_job_spec(const json_t *spec, const struct api_path *path, struct api_errs *errs)
{
	if (!json_is_object(spec))
		return;
	api_validate_pod_template(json_object_get(spec, "template"), AT(path, "template"), false, errs);
	validate_restart(spec, path, errs);
	validate_counts(spec, path, errs);
	validate_failure_rules(spec, path, errs);
	validate_managed_by(spec, path, errs);
}

/* --- Job ---------------------------------------------------------------------------------------------------------- */

static void validate_selector(const json_t *spec, const struct api_path *path, struct api_errs *errs)
{
	const json_t *selector = json_object_get(spec, "selector"), *labels = api_get(spec, "template.metadata.labels");
	struct api_path t = { .up = path, .name = "template" }, m = { .up = &t, .name = "metadata" };
	struct api_selector *parsed = NULL;
	size_t before = errs->n;

	if (!selector) {
		api_err_required(errs, AT(path, "selector"), NULL);
		return;
	}
	api_validate_label_selector(selector, AT(path, "selector"), errs);
	if (errs->n > before || api_selector_from_json(selector, &parsed, NULL) < 0)
		return;
	if (!api_selector_matches_json(parsed, labels))
		api_err_invalid(errs, AT(&m, "labels"), labels, "`selector` does not match template `labels`");
	api_selector_free(parsed);
}

static void copy(json_t *to, const json_t *from, const char *path)
{
	json_t *v = api_get(from, path);

	if (v)
		(void)api_set(to, path, json_incref(v));
}

/* Where a suspended job that never started will run may still be said; for the rest its pods are what they are. */
static bool template_may_become(const json_t *now, const json_t *before, bool not_started)
{
	static const char *const free_members[] = { "metadata.labels", "metadata.annotations", "spec.nodeSelector",
						    "spec.tolerations", "spec.affinity" };
	json_t *a, *b;
	bool same;

	if (api_json_same(now, before) || !not_started)
		return api_json_same(now, before);
	a = json_deep_copy(now);
	b = json_deep_copy(before);
	for (size_t i = 0; a && b && i < sizeof(free_members) / sizeof(free_members[0]); i++) {
		(void)api_set(b, free_members[i], json_null());
		(void)api_set(a, free_members[i], json_null());
		copy(b, before, free_members[i]);
		copy(a, before, free_members[i]);
	}
	same = a && b && json_equal(a, b);
	json_decref(a);
	json_decref(b);
	return same;
}

static void validate_job_update(const json_t *spec, const json_t *old, const struct api_path *path,
				struct api_errs *errs)
{
	static const char *const fixed[] = { "selector",  "completionMode", "podFailurePolicy", "backoffLimitPerIndex",
					     "managedBy", "successPolicy" };
	const json_t *before = json_object_get(old, "spec"), *now = json_object_get(spec, "completions");
	bool not_started = json_is_true(json_object_get(before, "suspend")) && !api_get(old, "status.startTime");

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		if (!api_json_same(json_object_get(spec, fixed[i]), json_object_get(before, fixed[i])))
			api_err_invalid(errs, AT(path, fixed[i]), json_object_get(spec, fixed[i]),
					"field is immutable");
	/* An indexed job may be resized: completions and parallelism together. */
	if (!api_json_same(now, json_object_get(before, "completions")) &&
	    !(indexed(spec) && api_json_same(now, json_object_get(spec, "parallelism"))))
		api_err_invalid(errs, AT(path, "completions"), now, "field is immutable");
	if (!template_may_become(json_object_get(spec, "template"), json_object_get(before, "template"), not_started))
		api_err_invalid(errs, AT(path, "template"), json_object_get(spec, "template"), "field is immutable");
}

void api_validate_job(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	struct api_path path = { .name = "spec" };
	const json_t *spec = json_object_get(obj, "spec");

	validate_job_spec(spec, &path, errs);
	validate_selector(spec, &path, errs);
	if (old)
		validate_job_update(spec, old, &path, errs);
}

/* --- CronJob ------------------------------------------------------------------------------------------------------ */

void api_validate_cron_job(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	const json_t *spec = json_object_get(obj, "spec"), *job = api_get(spec, "jobTemplate.spec");
	struct api_path path = { .name = "spec" }, meta = { .name = "metadata" };
	struct api_path tmpl = { .up = &path, .name = "jobTemplate" }, job_path = { .up = &tmpl, .name = "spec" };
	const char *schedule = api_get_str(spec, "schedule"), *name = api_get_str(obj, "metadata.name");
	const char *zone = api_get_str(spec, "timeZone"), *why;
	static const char *const no_manual[] = { "nil", "false", NULL };
	struct cron cron;
	char text[160];

	if (!old && name && strlen(name) > CRON_JOB_NAME)
		api_err_invalid_str(errs, AT(&meta, "name"), name, "must be no more than 52 characters");
	if (schedule && *schedule && cron_parse(schedule, &cron, text, sizeof(text)) < 0)
		api_err_invalid_str(errs, AT(&path, "schedule"), schedule, text);
	why = zone ? cron_time_zone_check(zone) : NULL;
	if (why)
		api_err_invalid_str(errs, AT(&path, "timeZone"), zone, why);
	validate_job_spec(job, &job_path, errs);
	if (json_is_true(json_object_get(job, "manualSelector")))
		api_err_unsupported(errs, AT(&job_path, "manualSelector"), json_object_get(job, "manualSelector"),
				    no_manual);
}
