/* SPDX-License-Identifier: Apache-2.0 */
/* Which requests a FlowSchema is for. */
#include "flowcontrol.h"

#include <stdio.h>
#include <string.h>

#include "../../lib/base/str.h"
#include "api/api_types.h"
#include "apiserver-internal.h"

static bool has(const char *const *list, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++)
		if (streq(list[i], "*") || streq(list[i], word))
			return true;
	return false;
}

static bool subject_matches(const struct api_flow_subject *s, const struct identity *who)
{
	static const char prefix[] = "system:serviceaccount:";

	if (s->user)
		return streq(s->user->name, "*") || streq(s->user->name, who->user);
	if (s->group)
		return streq(s->group->name, "*") || identity_in_group(who, s->group->name);
	if (s->service_account && str_starts(who->user, prefix)) {
		const char *ns = who->user + sizeof(prefix) - 1, *colon = strchr(ns, ':');
		size_t len = strlen(s->service_account->namespace_);

		return colon && (size_t)(colon - ns) == len && !memcmp(ns, s->service_account->namespace_, len) &&
		       (streq(s->service_account->name, "*") || streq(s->service_account->name, colon + 1));
	}
	return false;
}

static bool resource_rule_matches(const struct api_resource_policy_rule *r, const struct authz_request *q)
{
	char with_sub[200];
	const char *resource = q->resource;

	if (q->sub[0]) {
		snprintf(with_sub, sizeof(with_sub), "%s/%s", q->resource, q->sub);
		resource = with_sub;
	}
	if (!has(r->verbs, r->n_verbs, q->verb) || !has(r->api_groups, r->n_api_groups, q->group) ||
	    !has(r->resources, r->n_resources, resource))
		return false;
	return q->ns[0] ? has(r->namespaces, r->n_namespaces, q->ns) : r->cluster_scope;
}

static bool path_matches(const char *pattern, const char *path)
{
	size_t len = strlen(pattern);

	if (streq(pattern, "*") || streq(pattern, path))
		return true;
	return len && pattern[len - 1] == '*' && !strncmp(pattern, path, len - 1);
}

static bool other_rule_matches(const struct api_non_resource_policy_rule *r, const struct authz_request *q)
{
	if (!has(r->verbs, r->n_verbs, q->verb))
		return false;
	for (size_t i = 0; i < r->n_non_resource_urls; i++)
		if (path_matches(r->non_resource_urls[i], q->path))
			return true;
	return false;
}

static bool rule_matches(const struct api_policy_rules_with_subjects *r, const struct authz_request *q)
{
	bool subject = false;

	for (size_t i = 0; i < r->n_subjects && !subject; i++)
		subject = subject_matches(&r->subjects[i], q->who);
	if (!subject)
		return false;
	if (q->path) {
		for (size_t i = 0; i < r->n_non_resource_rules; i++)
			if (other_rule_matches(&r->non_resource_rules[i], q))
				return true;
		return false;
	}
	for (size_t i = 0; i < r->n_resource_rules; i++)
		if (resource_rule_matches(&r->resource_rules[i], q))
			return true;
	return false;
}

bool flow_matches(const struct api_flow_schema_spec *spec, const struct authz_request *q)
{
	for (size_t i = 0; i < spec->n_rules; i++)
		if (rule_matches(&spec->rules[i], q))
			return true;
	return false;
}

const char *flow_distinguisher(const struct api_flow_schema_spec *spec, const struct authz_request *q)
{
	if (!spec->distinguisher_method)
		return "";
	if (streq(spec->distinguisher_method->type, "ByUser"))
		return q->who->user;
	return q->path ? "" : q->ns;
}
