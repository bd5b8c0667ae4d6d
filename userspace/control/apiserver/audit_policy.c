/* SPDX-License-Identifier: Apache-2.0 */
/* The audit policy: a list of rules of which the first that matches a request says how much of it is recorded. */
#include "audit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/str.h"
#include "apiserver-internal.h"

const char *const audit_level_names[] = { "None", "Metadata", "Request", "RequestResponse", NULL };
const char *const audit_stage_names[] = { "RequestReceived", "ResponseStarted", "ResponseComplete", "Panic", NULL };

struct words {
	size_t n;
	char **v;
};

struct group_resources {
	char *group;
	struct words resources, names;
};

struct audit_rule {
	enum audit_level level;
	struct words users, groups, verbs, namespaces, urls;
	struct group_resources *resources;
	size_t n_resources;
	unsigned omit_stages;
	bool omit_managed_fields;
};

struct audit_policy {
	struct audit_rule *rules;
	size_t n;
};

/* --- reading -------------------------------------------------------------------------------------------------------
 */

static void words_done(struct words *w)
{
	for (size_t i = 0; i < w->n; i++)
		free(w->v[i]);
	free(w->v);
}

void audit_policy_free(struct audit_policy *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n; i++) {
		struct audit_rule *r = &p->rules[i];

		words_done(&r->users);
		words_done(&r->groups);
		words_done(&r->verbs);
		words_done(&r->namespaces);
		words_done(&r->urls);
		for (size_t k = 0; k < r->n_resources; k++) {
			free(r->resources[k].group);
			words_done(&r->resources[k].resources);
			words_done(&r->resources[k].names);
		}
		free(r->resources);
	}
	free(p->rules);
	free(p);
}

DEFINE_CLEANUP(struct audit_policy *, audit_policy_free);

static int read_words(const json_t *list, const char *where, struct words *ret, struct err *err)
{
	const json_t *v;
	size_t i;

	if (!list || json_is_null(list))
		return 0;
	if (!json_is_array(list))
		return err_set(err, EINVAL, "%s is not a list", where);
	ret->v = calloc(json_array_size(list) + 1, sizeof(*ret->v));
	if (!ret->v)
		return err_set(err, ENOMEM, "out of memory");
	json_array_foreach (list, i, v) {
		if (!json_is_string(v))
			return err_set(err, EINVAL, "%s[%zu] is not a string", where, i);
		ret->v[i] = strdup(json_string_value(v));
		if (!ret->v[i])
			return err_set(err, ENOMEM, "out of memory");
		ret->n++;
	}
	return 0;
}

static int index_of(const char *const *names, const char *name)
{
	for (int i = 0; names[i]; i++)
		if (streq(names[i], name))
			return i;
	return -1;
}

static int read_stages(const json_t *list, const char *where, unsigned *ret, struct err *err)
{
	const json_t *v;
	size_t i;

	json_array_foreach (list, i, v) {
		int stage = index_of(audit_stage_names, json_string_value(v));

		if (stage < 0)
			return err_set(err, EINVAL, "%s[%zu]: '%s' is not a stage", where, i,
				       json_string_value(v) ? json_string_value(v) : "");
		*ret |= 1u << stage;
	}
	return 0;
}

/* A misspelt member would silently make the policy weaker. */
static int only_members(const json_t *obj, const char *where, const char *const *names, struct err *err)
{
	const json_t *v;
	const char *key;

	if (!json_is_object(obj))
		return err_set(err, EINVAL, "%s is not an object", where);
	json_object_foreach ((json_t *)obj, key, v)
		if (index_of(names, key) < 0)
			return err_set(err, EINVAL, "%s has no member '%s'", where, key);
	return 0;
}

static int read_resources(const json_t *list, const char *where, struct audit_rule *r, struct err *err)
{
	static const char *const members[] = { "group", "resources", "resourceNames", NULL };
	const json_t *v;
	char at[96];
	size_t i;
	int e;

	if (!list || json_is_null(list))
		return 0;
	if (!json_is_array(list))
		return err_set(err, EINVAL, "%s is not a list", where);
	r->resources = calloc(json_array_size(list) + 1, sizeof(*r->resources));
	if (!r->resources)
		return err_set(err, ENOMEM, "out of memory");
	json_array_foreach (list, i, v) {
		struct group_resources *g = &r->resources[i];
		const char *group = api_get_str(v, "group");

		snprintf(at, sizeof(at), "%s[%zu]", where, i);
		e = only_members(v, at, members, err);
		if (e < 0)
			return e;
		r->n_resources++;
		g->group = strdup(group ? group : "");
		if (!g->group)
			return err_set(err, ENOMEM, "out of memory");
		e = read_words(json_object_get(v, "resources"), at, &g->resources, err);
		if (e == 0)
			e = read_words(json_object_get(v, "resourceNames"), at, &g->names, err);
		if (e < 0)
			return e;
		if (g->names.n && !g->resources.n)
			return err_set(err, EINVAL, "%s: resourceNames need resources", at);
	}
	return 0;
}

static int read_rule(const json_t *v, const char *where, struct audit_rule *r, struct err *err)
{
	static const char *const members[] = {
		"level",	   "users",	 "userGroups",	      "verbs", "resources", "namespaces",
		"nonResourceURLs", "omitStages", "omitManagedFields", NULL
	};
	const struct {
		const char *name;
		struct words *to;
	} lists[] = { { "users", &r->users },
		      { "userGroups", &r->groups },
		      { "verbs", &r->verbs },
		      { "namespaces", &r->namespaces },
		      { "nonResourceURLs", &r->urls } };
	const json_t *mf = json_object_get(v, "omitManagedFields");
	char at[96];
	int level, e;

	e = only_members(v, where, members, err);
	if (e < 0)
		return e;
	level = index_of(audit_level_names, api_get_str(v, "level"));
	if (level < 0)
		return err_set(err, EINVAL, "%s.level: '%s' is not None, Metadata, Request or RequestResponse", where,
			       api_get_str(v, "level") ? api_get_str(v, "level") : "");
	r->level = (enum audit_level)level;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		snprintf(at, sizeof(at), "%s.%s", where, lists[i].name);
		e = read_words(json_object_get(v, lists[i].name), at, lists[i].to, err);
		if (e < 0)
			return e;
	}
	snprintf(at, sizeof(at), "%s.resources", where);
	e = read_resources(json_object_get(v, "resources"), at, r, err);
	if (e < 0)
		return e;
	if (r->urls.n && (r->n_resources || r->namespaces.n))
		return err_set(err, EINVAL, "%s: nonResourceURLs cannot be combined with resources or namespaces",
			       where);
	if (mf)
		r->omit_managed_fields = json_is_true(mf);
	snprintf(at, sizeof(at), "%s.omitStages", where);
	return read_stages(json_object_get(v, "omitStages"), at, &r->omit_stages, err);
}

static int read_policy(const json_t *doc, struct audit_policy *p, struct err *err)
{
	static const char *const members[] = { "apiVersion",	    "kind", "metadata", "omitStages", "rules",
					       "omitManagedFields", NULL };
	const json_t *rules = json_object_get(doc, "rules"), *v;
	unsigned omit = 0;
	size_t i;
	int r;

	r = only_members(doc, "policy", members, err);
	if (r < 0)
		return r;
	if (!streq(api_get_str(doc, "apiVersion"), "audit.k8s.io/v1") || !streq(api_get_str(doc, "kind"), "Policy"))
		return err_set(err, EINVAL, "not apiVersion audit.k8s.io/v1, kind Policy");
	r = read_stages(json_object_get(doc, "omitStages"), "omitStages", &omit, err);
	if (r < 0)
		return r;
	if (!json_array_size(rules))
		return err_set(err, EINVAL, "rules is missing or empty: nothing would be recorded");
	p->rules = calloc(json_array_size(rules), sizeof(*p->rules));
	if (!p->rules)
		return err_set(err, ENOMEM, "out of memory");
	json_array_foreach (rules, i, v) {
		char at[32];

		snprintf(at, sizeof(at), "rules[%zu]", i);
		p->n++;
		p->rules[i].omit_managed_fields = json_is_true(json_object_get(doc, "omitManagedFields"));
		p->rules[i].omit_stages = omit;
		r = read_rule(v, at, &p->rules[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

int audit_policy_parse(const char *text, size_t len, struct audit_policy **ret, struct err *err)
{
	cleanup(audit_policy_free) struct audit_policy *p = calloc(1, sizeof(*p));
	cleanup(free) int *lines = NULL;
	json_t *docs = NULL;
	int r;

	if (!p)
		return err_set(err, ENOMEM, "out of memory");
	r = api_yaml_parse(text, len, &docs, &lines, err);
	if (r < 0)
		return r;
	if (json_array_size(docs) != 1)
		r = err_set(err, EINVAL, "expected one document, not %zu", json_array_size(docs));
	else
		r = read_policy(json_array_get(docs, 0), p, err);
	json_decref(docs);
	if (r < 0)
		return r;
	*ret = TAKE(p);
	return 0;
}

/* --- deciding ------------------------------------------------------------------------------------------------------
 */

static bool has(const struct words *w, const char *word)
{
	for (size_t i = 0; i < w->n; i++)
		if (streq(w->v[i], word))
			return true;
	return false;
}

/* "pods", "pods/log", "pods/" + "*", "*" + "/scale", "*" (every resource with every subresource). */
static bool resource_matches(const char *pattern, const char *resource, const char *sub)
{
	const char *slash = strchr(pattern, '/');
	size_t len = slash ? (size_t)(slash - pattern) : strlen(pattern);

	if (streq(pattern, "*"))
		return true;
	if (!(len == 1 && pattern[0] == '*') && (strlen(resource) != len || memcmp(resource, pattern, len)))
		return false;
	if (!slash)
		return !sub[0];
	return streq(slash + 1, "*") || (sub[0] && streq(slash + 1, sub));
}

static bool group_matches(const struct group_resources *g, const struct authz_request *q)
{
	if (!streq(g->group, "*") && !streq(g->group, q->group))
		return false;
	if (!g->resources.n)
		return true;
	if (g->names.n && !has(&g->names, q->name))
		return false;
	for (size_t i = 0; i < g->resources.n; i++)
		if (resource_matches(g->resources.v[i], q->resource, q->sub))
			return true;
	return false;
}

static bool url_matches(const char *pattern, const char *path)
{
	size_t len = strlen(pattern);

	if (len && pattern[len - 1] == '*')
		return !strncmp(pattern, path, len - 1);
	return streq(pattern, path);
}

static bool rule_matches(const struct audit_rule *r, const struct authz_request *q)
{
	bool found = false;

	if (r->users.n && !has(&r->users, q->who->user))
		return false;
	for (size_t i = 0; i < r->groups.n && !found; i++)
		found = identity_in_group(q->who, r->groups.v[i]);
	if (r->groups.n && !found)
		return false;
	if (r->verbs.n && !has(&r->verbs, q->verb))
		return false;
	if (r->namespaces.n || r->n_resources) {
		if (q->path || (r->namespaces.n && !has(&r->namespaces, q->ns)))
			return false;
		for (size_t i = 0; i < r->n_resources; i++)
			if (group_matches(&r->resources[i], q))
				return true;
		return !r->n_resources;
	}
	if (!r->urls.n)
		return true;
	for (size_t i = 0; q->path && i < r->urls.n; i++)
		if (url_matches(r->urls.v[i], q->path))
			return true;
	return false;
}

void audit_policy_decide(const struct audit_policy *p, const struct authz_request *q, struct audit_decision *ret)
{
	*ret = (struct audit_decision){ .level = AUDIT_NONE };
	for (size_t i = 0; i < p->n; i++) {
		const struct audit_rule *r = &p->rules[i];

		if (!rule_matches(r, q))
			continue;
		ret->level = r->level;
		ret->omit_stages = r->omit_stages;
		ret->omit_managed_fields = r->omit_managed_fields;
		return;
	}
}
