/* SPDX-License-Identifier: Apache-2.0 */
/* authorization.k8s.io/v1: may somebody do something, and what may I do (`kubectl auth can-i`). */
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/str.h"
#include "authz.h"

static const char *text(const json_t *obj, const char *name)
{
	const char *s = api_get_str(obj, name);

	return s ? s : "";
}

/* Exactly one of resourceAttributes and nonResourceAttributes; -1: answered. */
static int read_question(struct call *c, struct authz_request *a)
{
	const json_t *r = api_get(c->body, "spec.resourceAttributes"),
		     *p = api_get(c->body, "spec.nonResourceAttributes");

	if (json_is_object(r) == json_is_object(p)) {
		call_invalid1(c, API_C_INVALID, "spec.resourceAttributes", "Invalid value: %s: %s", r ? "{}" : "null",
			      r ? "cannot be specified in combination with nonResourceAttributes"
				: "exactly one of nonResourceAttributes or resourceAttributes must be specified");
		return -1;
	}
	a->verb = text(json_is_object(r) ? r : p, "verb");
	if (json_is_object(p)) {
		a->path = text(p, "path");
		a->group = a->resource = a->sub = a->ns = a->name = "";
		return 0;
	}
	a->group = text(r, "group");
	a->resource = text(r, "resource");
	a->sub = text(r, "subresource");
	a->ns = text(r, "namespace");
	a->name = text(r, "name");
	return 0;
}

static void answer(struct call *c, const struct authz_request *a)
{
	cleanup(strbuf_done) struct strbuf reason = STRBUF_INIT;
	bool allowed = authz_decide(c->s, a, &reason) == AUTHZ_ALLOW;
	json_t *status = json_pack("{s:b}", "allowed", allowed);

	if (status && reason.len && !strbuf_oom(&reason))
		json_object_set_new(status, "reason", json_string(reason.buf));
	review_answer(c, status);
}

void self_subject_access_review(struct call *c)
{
	struct authz_request a = { .who = &c->who };

	if (read_question(c, &a) == 0)
		answer(c, &a);
}

static void about_subject(struct call *c)
{
	const json_t *groups = api_get(c->body, "spec.groups"), *g;
	const char *user = text(c->body, "spec.user");
	const char *names[MAX_GROUPS];
	struct identity who = { .user = user, .groups = names, .authenticated = !streq(user, "system:anonymous") };
	struct authz_request a = { .who = &who };
	size_t i;

	if (!*user && !json_array_size(groups)) {
		call_invalid1(c, API_C_INVALID, "spec.user",
			      "Invalid value: \"\": at least one of user or group must be specified");
		return;
	}
	if (json_array_size(groups) > MAX_GROUPS) {
		call_invalid1(c, API_C_TOO_MANY, "spec.groups", "Too many: %zu: must have at most %d items",
			      json_array_size(groups), MAX_GROUPS);
		return;
	}
	json_array_foreach (groups, i, g)
		if (json_is_string(g))
			names[who.n_groups++] = json_string_value(g);
	if (read_question(c, &a) == 0)
		answer(c, &a);
}

void subject_access_review(struct call *c)
{
	about_subject(c);
}

void local_subject_access_review(struct call *c)
{
	json_t *r = api_get(c->body, "spec.resourceAttributes");
	const char *ns = text(r, "namespace");

	if (json_is_object(api_get(c->body, "spec.nonResourceAttributes"))) {
		call_invalid1(c, API_C_INVALID, "spec.nonResourceAttributes",
			      "Invalid value: disallowed on this kind of request");
		return;
	}
	if (*ns && !streq(ns, c->ns)) {
		call_status(c, 400, "BadRequest", "spec.resourceAttributes.namespace must match namespace: %s", c->ns);
		return;
	}
	if (json_is_object(r))
		json_object_set_new(r, "namespace", json_string(c->ns));
	about_subject(c);
}

/* --- what may I do ------------------------------------------------------------------------------------------------ */

static json_t *list_of(const struct words *w)
{
	json_t *list = json_array();

	for (size_t i = 0; i < w->n; i++)
		json_array_append_new(list, json_string(w->v[i]));
	return list;
}

struct listing {
	json_t *resources, *paths;
	struct strbuf errors;
};

static bool add_rule(void *arg, const struct rbac_source *src, const struct rbac_rule *rule)
{
	struct listing *l = arg;
	json_t *r;

	if (!rule) {
		if (l->errors.len < 2048)
			strbuf_addf(&l->errors, "%s%s.%s \"%s\" not found", l->errors.len ? ", " : "",
				    streq(src->role_kind, "Role") ? "role" : "clusterrole", RBAC_GROUP, src->role);
		return true;
	}
	if (rule->urls.n) {
		json_array_append_new(l->paths, json_pack("{s:o,s:o}", "verbs", list_of(&rule->verbs),
							  "nonResourceURLs", list_of(&rule->urls)));
		return true;
	}
	r = json_pack("{s:o,s:o,s:o}", "verbs", list_of(&rule->verbs), "apiGroups", list_of(&rule->groups), "resources",
		      list_of(&rule->resources));
	if (r && rule->names.n)
		json_object_set_new(r, "resourceNames", list_of(&rule->names));
	json_array_append_new(l->resources, r);
	return true;
}

void self_subject_rules_review(struct call *c)
{
	struct listing l = { json_array(), json_array(), STRBUF_INIT };
	const char *ns = text(c->body, "spec.namespace");
	bool node = authz_node_of(&c->who) != NULL;
	json_t *status;

	if (!*ns) {
		json_decref(l.resources);
		json_decref(l.paths);
		call_status(c, 400, "BadRequest", "no namespace on request");
		return;
	}
	rbac_visit(c->s->authz->rbac, &c->who, ns, add_rule, &l);
	if (node)
		strbuf_addf(&l.errors, "%snode authorizer does not support user rule resolution",
			    l.errors.len ? ", " : "");
	status = json_pack("{s:o,s:o,s:b}", "resourceRules", l.resources, "nonResourceRules", l.paths, "incomplete",
			   l.errors.len > 0);
	if (status && l.errors.len)
		json_object_set_new(status, "evaluationError", json_string(l.errors.buf));
	strbuf_done(&l.errors);
	review_answer(c, status);
}
