/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of stateful sets, daemon sets, replication controllers, revisions and pod templates. */
#include "api-internal.h"

#include <string.h>

#include "../base/str.h"

static const struct api_path spec_path = { .name = "spec" };
static const struct api_path template_path = { .up = &spec_path, .name = "template" };

static void copy_member(json_t *to, const json_t *from, const char *name)
{
	json_t *v = json_object_get(from, name);

	if (v)
		json_object_set(to, name, v);
	else
		json_object_del(to, name);
}

/* --- StatefulSet -------------------------------------------------------------------------------------------------- */

#define STATEFUL_FIXED                                                                                                 \
	"updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "     \
	"'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"

static void validate_stateful_update(const json_t *spec, const json_t *before, struct api_errs *errs)
{
	static const char *const free_members[] = { "replicas",
						    "ordinals",
						    "template",
						    "updateStrategy",
						    "revisionHistoryLimit",
						    "persistentVolumeClaimRetentionPolicy",
						    "minReadySeconds" };
	json_t *now = json_copy((json_t *)spec);

	for (size_t i = 0; now && i < sizeof(free_members) / sizeof(free_members[0]); i++)
		copy_member(now, before, free_members[i]);
	if (!now || !json_equal(now, before))
		api_err_forbidden(errs, &spec_path, STATEFUL_FIXED);
	json_decref(now);
}

/* Each claim template is a volume of its name to the pods, which mounts may name. A new reference. */
static json_t *with_claims(const json_t *spec)
{
	json_t *tmpl = json_deep_copy(json_object_get(spec, "template")), *volumes = api_get(tmpl, "spec.volumes");
	const json_t *claim, *v;
	size_t i, j;

	if (!api_get(tmpl, "spec") || !json_array_size(json_object_get(spec, "volumeClaimTemplates")))
		return tmpl;
	if (!volumes) {
		(void)api_set(tmpl, "spec.volumes", json_array());
		volumes = api_get(tmpl, "spec.volumes");
	}
	json_array_foreach (json_object_get(spec, "volumeClaimTemplates"), i, claim) {
		const char *name = api_get_str(claim, "metadata.name");
		bool have = !name;

		json_array_foreach (volumes, j, v)
			have |= streq(api_get_str(v, "name"), name);
		if (!have)
			json_array_append_new(volumes, json_pack("{s:s,s:{}}", "name", name, "emptyDir"));
	}
	return tmpl;
}

void api_validate_stateful_set(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	const json_t *spec = json_object_get(obj, "spec"), *before = json_object_get(old, "spec"), *claim;
	struct api_path claims = { .up = &spec_path, .name = "volumeClaimTemplates" }, at = { .up = &claims };
	struct api_path strategy = { .up = &spec_path, .name = "updateStrategy" };
	struct api_path rolling = { .up = &strategy, .name = "rollingUpdate" };
	json_t *tmpl = with_claims(spec);

	api_validate_workload_selector(spec, "statefulset", errs);
	api_validate_pod_template(tmpl, &template_path, true, errs);
	json_decref(tmpl);
	if (streq(api_get_str(spec, "updateStrategy.type"), "OnDelete") &&
	    api_get(spec, "updateStrategy.rollingUpdate"))
		api_err_invalid(errs, &rolling, api_get(spec, "updateStrategy.rollingUpdate"),
				"only allowed for updateStrategy 'RollingUpdate'");
	if (before) {
		validate_stateful_update(spec, before, errs);
		return;
	}
	json_array_foreach (json_object_get(spec, "volumeClaimTemplates"), at.index, claim) {
		struct api_path meta = { .up = &at, .name = "metadata" }, name = { .up = &meta, .name = "name" };
		struct api_path its_spec = { .up = &at, .name = "spec" };

		if (api_json_empty(api_get(claim, "metadata.name")))
			api_err_required(errs, &name, NULL);
		api_validate_claim_spec(json_object_get(claim, "spec"), &its_spec, errs);
	}
}

/* --- DaemonSet ---------------------------------------------------------------------------------------------------- */

void api_validate_daemon_set(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	const json_t *spec = json_object_get(obj, "spec"), *rolling = api_get(spec, "updateStrategy.rollingUpdate");
	const json_t *unavailable = json_object_get(rolling, "maxUnavailable"),
		     *surge = json_object_get(rolling, "maxSurge");
	struct api_path strategy = { .up = &spec_path, .name = "updateStrategy" };
	struct api_path ru = { .up = &strategy, .name = "rollingUpdate" };
	struct api_path mu = { .up = &ru, .name = "maxUnavailable" }, ms = { .up = &ru, .name = "maxSurge" };
	int64_t u = 0, g = 0;
	bool u_percent = false, g_percent = false;

	(void)old;
	api_validate_workload_selector(spec, "daemonset", errs);
	api_validate_pod_template(json_object_get(spec, "template"), &template_path, true, errs);
	if (!unavailable || !surge || !api_validate_bound(unavailable, &mu, &u, &u_percent, errs) ||
	    !api_validate_bound(surge, &ms, &g, &g_percent, errs))
		return;
	if (u_percent && u > 100)
		api_err_invalid(errs, &mu, unavailable, "must not be greater than 100%");
	if (g_percent && g > 100)
		api_err_invalid(errs, &ms, surge, "must not be greater than 100%");
	if (u && g)
		api_err_invalid(errs, &ms, surge, "may not be set when maxUnavailable is non-zero");
	if (!u && !g)
		api_err_required(errs, &mu, "cannot be 0 when maxSurge is 0");
}

/* --- the others --------------------------------------------------------------------------------------------------- */

void api_validate_controller_revision(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	struct api_path data = { .name = "data" };

	(void)old;
	if (!json_object_get(obj, "data"))
		api_err_required(errs, &data, "data is mandatory");
}

void api_validate_replication_controller(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	const json_t *spec = json_object_get(obj, "spec"), *selector = json_object_get(spec, "selector"), *v;
	const json_t *labels = api_get(spec, "template.metadata.labels");
	struct api_path sel = { .up = &spec_path, .name = "selector" };
	struct api_path meta = { .up = &template_path, .name = "metadata" }, l = { .up = &meta, .name = "labels" };
	const char *key;

	(void)old;
	if (!json_object_get(spec, "template"))
		return; /* the table has said so */
	api_validate_pod_template(json_object_get(spec, "template"), &template_path, true, errs);
	if (!json_object_size(selector)) {
		api_err_required(errs, &sel, NULL);
		return;
	}
	api_validate_labels(selector, &sel, errs);
	json_object_foreach ((json_t *)selector, key, v) {
		if (!streq(json_string_value(json_object_get(labels, key)), json_string_value(v))) {
			api_err_invalid(errs, &l, labels, "`selector` does not match template `labels`");
			return;
		}
	}
}

void api_validate_bare_pod_template(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	struct api_path t = { .name = "template" };

	(void)old;
	api_validate_pod_template(json_object_get(obj, "template"), &t, false, errs);
}
