/* SPDX-License-Identifier: Apache-2.0 */
/* Rules and defaults of roles and bindings (rbac.authorization.k8s.io), in Kubernetes' words. */
#include "api-internal.h"

#include <string.h>

#include "../base/str.h"

#define RBAC_GROUP "rbac.authorization.k8s.io"

/* --- roles -------------------------------------------------------------------------------------------------------- */

static void validate_rule(const json_t *rule, bool namespaced, const struct api_path *at, struct api_errs *errs)
{
	struct api_path verbs = { .up = at, .name = "verbs" }, urls = { .up = at, .name = "nonResourceURLs" };
	struct api_path groups = { .up = at, .name = "apiGroups" }, resources = { .up = at, .name = "resources" };
	const json_t *u = json_object_get(rule, "nonResourceURLs");

	if (!json_array_size(json_object_get(rule, "verbs")))
		api_err_required(errs, &verbs, "verbs must contain at least one value");
	if (json_array_size(u)) {
		if (namespaced)
			api_err_invalid(errs, &urls, u, "namespaced rules cannot apply to non-resource URLs");
		if (json_array_size(json_object_get(rule, "apiGroups")) ||
		    json_array_size(json_object_get(rule, "resources")) ||
		    json_array_size(json_object_get(rule, "resourceNames")))
			api_err_invalid(errs, &urls, u,
					"rules cannot apply to both regular resources and non-resource URLs");
		return;
	}
	if (!json_array_size(json_object_get(rule, "apiGroups")))
		api_err_required(errs, &groups, "resource rules must supply at least one api group");
	if (!json_array_size(json_object_get(rule, "resources")))
		api_err_required(errs, &resources, "resource rules must supply at least one resource");
}

static void validate_rules(const json_t *obj, bool namespaced, struct api_errs *errs)
{
	struct api_path list = { .name = "rules" }, at = { .up = &list };
	const json_t *rule;

	json_array_foreach (json_object_get(obj, "rules"), at.index, rule)
		validate_rule(rule, namespaced, &at, errs);
}

void api_validate_role(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	(void)old;
	validate_rules(obj, true, errs);
}

void api_validate_cluster_role(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	struct api_path a = { .name = "aggregationRule" }, list = { .up = &a, .name = "clusterRoleSelectors" };
	struct api_path at = { .up = &list };
	const json_t *rule = json_object_get(obj, "aggregationRule"), *s;
	const json_t *selectors = json_object_get(rule, "clusterRoleSelectors");

	(void)old;
	validate_rules(obj, false, errs);
	if (!rule || json_is_null(rule))
		return;
	if (!json_array_size(selectors))
		api_err_required(errs, &list,
				 "at least one clusterRoleSelector required if aggregationRule is non-nil");
	json_array_foreach (selectors, at.index, s)
		api_validate_label_selector(s, &at, errs);
}

/* --- bindings ----------------------------------------------------------------------------------------------------- */

static void validate_subject(const json_t *subject, bool namespaced, const struct api_path *at, struct api_errs *errs)
{
	static const char *const kinds[] = { "ServiceAccount", "User", "Group", NULL };
	static const char *const groups[] = { RBAC_GROUP, NULL }, *const no_groups[] = { "", NULL };
	struct api_path name_at = { .up = at, .name = "name" }, ns_at = { .up = at, .name = "namespace" };
	struct api_path group_at = { .up = at, .name = "apiGroup" }, kind_at = { .up = at, .name = "kind" };
	const char *kind = api_get_str(subject, "kind"), *name = api_get_str(subject, "name");
	const char *ns = api_get_str(subject, "namespace"), *group = api_get_str(subject, "apiGroup"), *why;

	if (!name || !*name)
		api_err_required(errs, &name_at, NULL);
	if (streq(kind, "ServiceAccount")) {
		why = name && *name ? api_format_check("dns-subdomain", name) : NULL;
		if (why)
			api_err_invalid_str(errs, &name_at, name, why);
		if (group && *group)
			api_err_unsupported(errs, &group_at, json_object_get(subject, "apiGroup"), no_groups);
		if (!namespaced && (!ns || !*ns))
			api_err_required(errs, &ns_at, NULL);
	} else if (streq(kind, "User") || streq(kind, "Group")) {
		if (!streq(group, RBAC_GROUP))
			api_err_unsupported(errs, &group_at, json_object_get(subject, "apiGroup"), groups);
	} else {
		api_err_unsupported(errs, &kind_at, json_object_get(subject, "kind"), kinds);
	}
}

static void validate_binding(const json_t *obj, const json_t *old, bool namespaced, struct api_errs *errs)
{
	static const char *const groups[] = { RBAC_GROUP, NULL };
	static const char *const both[] = { "Role", "ClusterRole", NULL }, *const cluster[] = { "ClusterRole", NULL };
	struct api_path ref_at = { .name = "roleRef" }, name_at = { .up = &ref_at, .name = "name" };
	struct api_path group_at = { .up = &ref_at, .name = "apiGroup" }, kind_at = { .up = &ref_at, .name = "kind" };
	struct api_path list = { .name = "subjects" }, at = { .up = &list };
	const json_t *ref = json_object_get(obj, "roleRef"), *was = json_object_get(old, "roleRef"), *subject;
	const char *kind = api_get_str(ref, "kind"), *name = api_get_str(ref, "name"), *why;

	if (!streq(api_get_str(ref, "apiGroup"), RBAC_GROUP))
		api_err_unsupported(errs, &group_at, json_object_get(ref, "apiGroup"), groups);
	if (!streq(kind, "ClusterRole") && !(namespaced && streq(kind, "Role")))
		api_err_unsupported(errs, &kind_at, json_object_get(ref, "kind"), namespaced ? both : cluster);
	why = name && *name ? api_format_check("path-segment", name) : NULL;
	if (!name || !*name)
		api_err_required(errs, &name_at, NULL);
	else if (why)
		api_err_invalid_str(errs, &name_at, name, why);
	json_array_foreach (json_object_get(obj, "subjects"), at.index, subject)
		validate_subject(subject, namespaced, &at, errs);
	if (old && !json_equal(ref, was))
		api_err_invalid(errs, &ref_at, ref, "cannot change roleRef");
}

void api_validate_role_binding(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	validate_binding(obj, old, true, errs);
}

void api_validate_cluster_role_binding(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	validate_binding(obj, old, false, errs);
}

void api_default_binding(json_t *obj)
{
	json_t *subject;
	size_t i;

	json_array_foreach (json_object_get(obj, "subjects"), i, subject) {
		const char *kind = api_get_str(subject, "kind"), *group = api_get_str(subject, "apiGroup");

		if ((streq(kind, "User") || streq(kind, "Group")) && (!group || !*group))
			json_object_set_new(subject, "apiGroup", json_string(RBAC_GROUP));
	}
}
