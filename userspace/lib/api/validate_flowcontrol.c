/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of flow schemas and priority levels. */
#include "api-internal.h"

#include <string.h>

#include "../base/str.h"

static const struct api_path spec_path = { .name = "spec" };

static void one_star(const json_t *list, const struct api_path *path, struct api_errs *errs)
{
	const json_t *v;
	size_t i;

	json_array_foreach (list, i, v)
		if (streq(json_string_value(v), "*") && json_array_size(list) > 1)
			api_err_invalid(errs, path, list, "if '*' is present, must not specify other values");
}

static void validate_subject(const json_t *s, const struct api_path *at, struct api_errs *errs)
{
	static const char *const members[][2] = { { "User", "user" },
						  { "Group", "group" },
						  { "ServiceAccount", "serviceAccount" } };

	for (size_t i = 0; i < 3; i++) {
		struct api_path path = { .up = at, .name = members[i][1] };
		bool set = json_object_get(s, members[i][1]), due = streq(api_get_str(s, "kind"), members[i][0]);

		if (due && !set)
			api_err_required(errs, &path, NULL);
		else if (set && !due)
			api_err_forbidden(errs, &path, "is not allowed for this kind of subject");
	}
}

static void validate_urls(const json_t *urls, const struct api_path *list, struct api_errs *errs)
{
	struct api_path at = { .up = list };
	const json_t *v;

	one_star(urls, list, errs);
	json_array_foreach (urls, at.index, v) {
		const char *s = json_string_value(v), *star = strchr(s, '*');

		if (streq(s, "*"))
			continue;
		if (s[0] != '/')
			api_err_invalid(errs, &at, v, "must start with '/'");
		else if (star && (star[1] || star[-1] != '/'))
			api_err_invalid(errs, &at, v, "wildcard can only do suffix matching after a '/'");
	}
}

static void validate_rule(const json_t *rule, const struct api_path *at, struct api_errs *errs)
{
	struct api_path subjects = { .up = at, .name = "subjects" }, subject = { .up = &subjects };
	struct api_path resources = { .up = at, .name = "resourceRules" }, resource = { .up = &resources };
	struct api_path others = { .up = at, .name = "nonResourceRules" }, other = { .up = &others };
	const json_t *v;

	json_array_foreach (json_object_get(rule, "subjects"), subject.index, v)
		validate_subject(v, &subject, errs);
	if (!json_array_size(json_object_get(rule, "resourceRules")) &&
	    !json_array_size(json_object_get(rule, "nonResourceRules")))
		api_err_required(errs, at, "at least one of resourceRules and nonResourceRules has to be non-empty");
	json_array_foreach (json_object_get(rule, "resourceRules"), resource.index, v) {
		static const char *const lists[] = { "verbs", "apiGroups", "resources", "namespaces" };
		struct api_path path = { .up = &resource };

		for (size_t i = 0; i < 4; i++) {
			path.name = lists[i];
			one_star(json_object_get(v, lists[i]), &path, errs);
		}
		if (!json_is_true(json_object_get(v, "clusterScope")) &&
		    !json_array_size(json_object_get(v, "namespaces")))
			api_err_required(errs, &path,
					 "resource rules that are not cluster scoped must supply at least "
					 "one namespace");
	}
	json_array_foreach (json_object_get(rule, "nonResourceRules"), other.index, v) {
		struct api_path verbs = { .up = &other, .name = "verbs" },
				urls = { .up = &other, .name = "nonResourceURLs" };

		one_star(json_object_get(v, "verbs"), &verbs, errs);
		validate_urls(json_object_get(v, "nonResourceURLs"), &urls, errs);
	}
}

void api_validate_flow_schema(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	struct api_path rules = { .up = &spec_path, .name = "rules" }, at = { .up = &rules };
	struct api_path precedence = { .up = &spec_path, .name = "matchingPrecedence" };
	const char *name = api_get_str(obj, "metadata.name");
	const json_t *rule;

	(void)old;
	json_array_foreach (api_get(obj, "spec.rules"), at.index, rule)
		validate_rule(rule, &at, errs);
	if (api_get_int(obj, "spec.matchingPrecedence", 0) == 1 && !streq(name, "exempt"))
		api_err_invalid(errs, &precedence, api_get(obj, "spec.matchingPrecedence"),
				"only the schema named 'exempt' may have matchingPrecedence 1");
}

/* Flows that share their whole hand would not be told apart: enough hands, in bits, as Kubernetes wants. */
static void validate_queuing(const json_t *q, const struct api_path *path, struct api_errs *errs)
{
	struct api_path hand = { .up = path, .name = "handSize" };
	int64_t queues = api_get_int(q, "queues", 64), cards = api_get_int(q, "handSize", 8);
	double hands = 1;

	if (cards > queues) {
		api_err_invalid(errs, &hand, json_object_get(q, "handSize"), "should not be greater than queues");
		return;
	}
	for (int64_t i = 0; i < cards && hands <= 0x1p60; i++)
		hands *= (double)(queues - i);
	if (hands > 0x1p60)
		api_err_invalid(errs, &hand, json_object_get(q, "handSize"),
				"required entropy bits of deckSize and handSize should not be greater than 60");
}

void api_validate_priority_level(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	struct api_path type = { .up = &spec_path, .name = "type" }, limited = { .up = &spec_path, .name = "limited" };
	struct api_path exempt = { .up = &spec_path, .name = "exempt" };
	struct api_path response = { .up = &limited, .name = "limitResponse" };
	struct api_path queuing = { .up = &response, .name = "queuing" };
	const char *name = api_get_str(obj, "metadata.name");
	const json_t *q = api_get(obj, "spec.limited.limitResponse.queuing");
	bool is_exempt = streq(api_get_str(obj, "spec.type"), "Exempt");
	bool has_limited = api_get(obj, "spec.limited"), has_exempt = api_get(obj, "spec.exempt");

	(void)old;
	if (is_exempt != streq(name, "exempt"))
		api_err_invalid(errs, &type, api_get(obj, "spec.type"),
				"type must be 'Exempt' if and only if `name` is 'exempt'");
	if (is_exempt && has_limited)
		api_err_forbidden(errs, &limited, "must be nil if the type is not Limited");
	if (!is_exempt && has_exempt)
		api_err_forbidden(errs, &exempt, "must be nil if the type is Limited");
	if (!is_exempt && !has_limited)
		api_err_required(errs, &limited, "must not be empty when type is Limited");
	if (is_exempt || !has_limited)
		return;
	if (streq(api_get_str(obj, "spec.limited.limitResponse.type"), "Queue")) {
		if (!q)
			api_err_required(errs, &queuing, "must not be empty if limitResponse.type is Limited");
		else
			validate_queuing(q, &queuing, errs);
	} else if (q) {
		api_err_forbidden(errs, &queuing, "must be nil if limitResponse.type is not Limited");
	}
}
