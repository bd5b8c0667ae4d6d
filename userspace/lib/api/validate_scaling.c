/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of autoscalers and disruption budgets. */
#include "api-internal.h"

#include <string.h>

#include "../base/str.h"

#define AT(parent, member) (&(struct api_path){ .up = (parent), .name = (member) })

static const struct api_path spec_path = { .name = "spec" };

/* --- HorizontalPodAutoscaler -------------------------------------------------------------------------------------- */

static const struct metric_source {
	const char *type, *member;
	bool resource;	  /* its target is a utilization or an average */
	bool needs_value; /* its target may be a value */
} sources[] = {
	{ "Object", "object", false, true },	 { "Pods", "pods", false, false },
	{ "Resource", "resource", true, false }, { "ContainerResource", "containerResource", true, false },
	{ "External", "external", false, true },
};

static void positive(const json_t *target, const char *member, const struct api_path *path, struct api_errs *errs)
{
	const json_t *v = json_object_get(target, member);
	int64_t milli;

	if (json_is_string(v) && (api_quantity_milli(json_string_value(v), &milli) < 0 || milli <= 0))
		api_err_invalid(errs, AT(path, member), v, "must be positive");
}

static void validate_target(const struct metric_source *s, const json_t *target, const struct api_path *path,
			    struct api_errs *errs)
{
	const json_t *utilization = json_object_get(target, "averageUtilization");
	const json_t *average = json_object_get(target, "averageValue"), *value = json_object_get(target, "value");

	if (utilization && json_integer_value(utilization) < 1)
		api_err_invalid(errs, AT(path, "averageUtilization"), utilization, "must be greater than 0");
	positive(target, "averageValue", path, errs);
	positive(target, "value", path, errs);
	if (s->resource) {
		if (utilization && average)
			api_err_forbidden(errs, AT(path, "averageValue"),
					  "may not set both a target raw value and a target utilization");
		else if (!utilization && !average)
			api_err_required(errs, AT(path, "averageUtilization"),
					 "must set either a target raw value or a target utilization");
	} else if (s->needs_value) {
		if (value && average)
			api_err_forbidden(errs, AT(path, "value"),
					  "may not set both a target value for metric and a per-pod target");
		else if (!value && !average)
			api_err_required(errs, AT(path, "averageValue"),
					 "must set either a target value for metric or a per-pod target");
	} else if (!average) {
		api_err_required(errs, AT(path, "averageValue"), "must specify a positive target averageValue");
	}
}

static void validate_metric(const json_t *metric, const struct api_path *path, struct api_errs *errs)
{
	const char *type = api_get_str(metric, "type");

	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		const struct metric_source *s = &sources[i];
		const json_t *source = json_object_get(metric, s->member);
		struct api_path at = { .up = path, .name = s->member };

		if (!streq(type, s->type)) {
			if (source)
				api_err_forbidden(errs, &at, "must populate the given metric source only");
			continue;
		}
		if (!source)
			api_err_required(errs, &at, "must populate information for the given metric source");
		else
			validate_target(s, json_object_get(source, "target"), AT(&at, "target"), errs);
	}
}

static void validate_rules(const json_t *rules, const struct api_path *path, struct api_errs *errs)
{
	if (rules && !json_array_size(json_object_get(rules, "policies")))
		api_err_required(errs, AT(path, "policies"), "must specify at least one Policy");
}

void api_validate_hpa(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	const json_t *spec = json_object_get(obj, "spec"), *least = json_object_get(spec, "minReplicas"),
		     *most = json_object_get(spec, "maxReplicas"), *metric;
	struct api_path list = { .up = &spec_path, .name = "metrics" }, at = { .up = &list };
	struct api_path behavior = { .up = &spec_path, .name = "behavior" };

	(void)old;
	if (least && json_integer_value(least) < 1)
		api_err_invalid(errs, AT(&spec_path, "minReplicas"), least, "must be greater than or equal to 1");
	if (most && json_integer_value(most) < 1)
		api_err_invalid(errs, AT(&spec_path, "maxReplicas"), most, "must be greater than 0");
	else if (least && most && json_integer_value(most) < json_integer_value(least))
		api_err_invalid(errs, AT(&spec_path, "maxReplicas"), most,
				"must be greater than or equal to `minReplicas`");
	json_array_foreach (json_object_get(spec, "metrics"), at.index, metric)
		validate_metric(metric, &at, errs);
	validate_rules(api_get(spec, "behavior.scaleUp"), AT(&behavior, "scaleUp"), errs);
	validate_rules(api_get(spec, "behavior.scaleDown"), AT(&behavior, "scaleDown"), errs);
}

/* --- PodDisruptionBudget ------------------------------------------------------------------------------------------ */

static void validate_share(const json_t *v, const struct api_path *path, struct api_errs *errs)
{
	int64_t n = 0;
	bool percent = false;

	if (v && api_validate_bound(v, path, &n, &percent, errs) && percent && n > 100)
		api_err_invalid(errs, path, v, "must not be greater than 100%");
}

void api_validate_pdb(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	const json_t *spec = json_object_get(obj, "spec");
	const json_t *least = json_object_get(spec, "minAvailable"), *most = json_object_get(spec, "maxUnavailable");

	(void)old;
	if (least && most)
		api_err_invalid(errs, &spec_path, spec, "minAvailable and maxUnavailable cannot be both set");
	validate_share(least, AT(&spec_path, "minAvailable"), errs);
	validate_share(most, AT(&spec_path, "maxUnavailable"), errs);
	if (json_object_get(spec, "selector"))
		api_validate_label_selector(json_object_get(spec, "selector"), AT(&spec_path, "selector"), errs);
}
