/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of workloads: the selector selects the template, and the bounds of a rolling update make sense. */
#include "api-internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/str.h"

void api_validate_workload_selector(const json_t *spec, const char *what, struct api_errs *errs)
{
	char why[80];

	struct api_path s = { .name = "spec" }, sel = { .up = &s, .name = "selector" };
	struct api_path t = { .up = &s, .name = "template" }, m = { .up = &t, .name = "metadata" },
			l = { .up = &m, .name = "labels" };
	const json_t *selector = json_object_get(spec, "selector"), *labels = api_get(spec, "template.metadata.labels");
	struct api_selector *parsed = NULL;
	size_t before = errs->n;

	if (!selector)
		return; /* the table has said so */
	api_validate_label_selector(selector, &sel, errs);
	if (!json_object_size(json_object_get(selector, "matchLabels")) &&
	    !json_array_size(json_object_get(selector, "matchExpressions"))) {
		snprintf(why, sizeof(why), "empty selector is invalid for %s", what);
		api_err_invalid(errs, &sel, selector, why);
		return;
	}
	if (errs->n > before || api_selector_from_json(selector, &parsed, NULL) < 0)
		return;
	if (!api_selector_matches_json(parsed, labels))
		api_err_invalid(errs, &l, labels, "`selector` does not match template `labels`");
	api_selector_free(parsed);
}

bool api_validate_bound(const json_t *v, const struct api_path *path, int64_t *ret, bool *ret_percent,
			struct api_errs *errs)
{
	const char *s = json_string_value(v);
	char *end;

	*ret_percent = s != NULL;
	if (!s) {
		*ret = json_integer_value(v);
		if (*ret >= 0)
			return true;
		api_err_invalid(errs, path, v, "must be greater than or equal to 0");
		return false;
	}
	*ret = strtol(s, &end, 10);
	if (end == s || strcmp(end, "%") || *s < '0' || *s > '9' || end - s > 6) {
		api_err_invalid(
			errs, path, v,
			"a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or "
			"'93%', regex used for validation is '[0-9]+%')");
		return false;
	}
	return true;
}

static void validate_strategy(const json_t *strategy, struct api_errs *errs)
{
	struct api_path s = { .name = "spec" }, st = { .up = &s, .name = "strategy" },
			ru = { .up = &st, .name = "rollingUpdate" };
	struct api_path mu = { .up = &ru, .name = "maxUnavailable" }, ms = { .up = &ru, .name = "maxSurge" };
	const json_t *rolling = json_object_get(strategy, "rollingUpdate");
	const json_t *unavailable = json_object_get(rolling, "maxUnavailable"),
		     *surge = json_object_get(rolling, "maxSurge");
	int64_t u = 0, g = 0;
	bool u_percent, g_percent, ok = true;

	if (streq(api_get_str(strategy, "type"), "Recreate")) {
		if (rolling)
			api_err_forbidden(errs, &ru, "may not be specified when strategy `type` is 'Recreate'");
		return;
	}
	if (!rolling || !unavailable || !surge)
		return;
	ok &= api_validate_bound(unavailable, &mu, &u, &u_percent, errs);
	ok &= api_validate_bound(surge, &ms, &g, &g_percent, errs);
	if (!ok)
		return;
	if (u_percent && u > 100)
		api_err_invalid(errs, &mu, unavailable, "must not be greater than 100%");
	if (!u && !g)
		api_err_invalid(errs, &mu, unavailable, "may not be 0 when `maxSurge` is 0");
}

static void validate_template(const json_t *spec, struct api_errs *errs)
{
	struct api_path s = { .name = "spec" }, t = { .up = &s, .name = "template" };

	api_validate_pod_template(json_object_get(spec, "template"), &t, true, errs);
}

void api_validate_deployment(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	const json_t *spec = json_object_get(obj, "spec"), *deadline = json_object_get(spec, "progressDeadlineSeconds");
	struct api_path s = { .name = "spec" }, d = { .up = &s, .name = "progressDeadlineSeconds" };

	(void)old; /* what may not change, the table says */
	api_validate_workload_selector(spec, "deployment", errs);
	validate_template(spec, errs);
	validate_strategy(json_object_get(spec, "strategy"), errs);
	if (deadline && json_integer_value(deadline) <= api_get_int(spec, "minReadySeconds", 0))
		api_err_invalid(errs, &d, deadline, "must be greater than minReadySeconds");
}

void api_validate_replica_set(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	const json_t *spec = json_object_get(obj, "spec");

	(void)old;
	api_validate_workload_selector(spec, "deployment", errs);
	validate_template(spec, errs);
}
