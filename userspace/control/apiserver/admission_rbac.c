/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nobody hands out what they do not have: who makes or changes a role must hold all that it allows, or may `escalate`
 * that role; who makes or changes a binding must hold all that its role allows, or may `bind` that role.
 */
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/str.h"
#include "admission-internal.h"
#include "authz.h"

#define MAX_OWNED 100000

/* The server's own writes: nobody asked for them. */
static bool internal(const struct call *c)
{
	return c->finish && !c->parent;
}

static bool may(struct call *c, const char *verb, const char *resource, const char *name, const char *ns)
{
	struct authz_request a = { .who = &c->who,
				   .verb = verb,
				   .group = RBAC_GROUP,
				   .resource = resource,
				   .sub = "",
				   .ns = ns,
				   .name = name };

	return authz_decide(c->s, &a, NULL) == AUTHZ_ALLOW;
}

struct owned {
	const struct rbac_rule **v;
	size_t n, cap;
	bool oom;
};

static bool add_owned(void *arg, const struct rbac_source *source, const struct rbac_rule *rule)
{
	struct owned *o = arg;

	(void)source;
	if (!rule)
		return true;
	if (o->n == o->cap) {
		size_t cap = o->cap ? o->cap * 2 : 64;
		const struct rbac_rule **v = cap > MAX_OWNED ? NULL
							     : realloc(o->v, cap * sizeof(const struct rbac_rule *));

		/* What is left out is only not counted as held. */
		if (!v)
			return false;
		o->v = v;
		o->cap = cap;
	}
	o->v[o->n++] = rule;
	return true;
}

static enum admit refuse(struct admission *a, const char *missing)
{
	cleanup(strbuf_done) struct strbuf groups = STRBUF_INIT;
	const struct identity *who = &a->c->who;

	for (size_t i = 0; i < who->n_groups; i++) {
		strbuf_adds(&groups, i ? " " : "");
		strbuf_add_json(&groups, who->groups[i]);
	}
	return admission_forbid(
		a, "user \"%s\" (groups=[%s]) is attempting to grant RBAC permissions not currently held:\n%s",
		who->user, groups.len ? groups.buf : "", missing);
}

static enum admit check_held(struct admission *a, const struct rbac_rules *wanted)
{
	cleanup(strbuf_done) struct strbuf missing = STRBUF_INIT;
	struct owned owned = { 0 };
	bool ok;

	rbac_visit(a->c->s->authz->rbac, &a->c->who, a->c->ns, add_owned, &owned);
	ok = rbac_covers(owned.v, owned.n, wanted, &missing);
	free(owned.v);
	return ok ? ADMIT_NEXT : refuse(a, missing.len ? missing.buf : "too many to look at");
}

/* json_equal() of what may be absent. */
static bool same(const json_t *a, const json_t *b)
{
	return a == b || (a && b && json_equal(a, b));
}

static enum admit check_role(struct admission *a)
{
	const json_t *rules = json_object_get(a->obj, "rules");
	const json_t *aggregation = json_object_get(a->obj, "aggregationRule");
	struct rbac_rules wanted;
	enum admit ret;

	if (a->old && same(rules, json_object_get(a->old, "rules")) &&
	    same(aggregation, json_object_get(a->old, "aggregationRule")))
		return ADMIT_NEXT;
	if (may(a->c, "escalate", a->c->res->kind->plural, a->c->name, a->c->ns))
		return ADMIT_NEXT;
	if (json_is_object(aggregation) && !same(aggregation, json_object_get(a->old, "aggregationRule"))) {
		static const char *star[] = { "*" };
		const struct words any = { 1, star };
		struct rbac_rule all[2] = { { .verbs = any, .groups = any, .resources = any },
					    { .verbs = any, .urls = any } };
		cleanup(strbuf_done) struct strbuf missing = STRBUF_INIT;
		struct rbac_rules full = { .n = 2, .v = all };
		struct owned owned = { 0 };
		bool ok;

		rbac_visit(a->c->s->authz->rbac, &a->c->who, "", add_owned, &owned);
		ok = rbac_covers(owned.v, owned.n, &full, &missing);
		free(owned.v);
		if (!ok)
			return admission_forbid(a, "must have cluster-admin privileges to use the aggregationRule");
	}
	if (rbac_rules_parse(rules, &wanted) < 0) {
		call_oom(a->c);
		return ADMIT_ANSWERED;
	}
	ret = check_held(a, &wanted);
	rbac_rules_done(&wanted);
	return ret;
}

static enum admit check_binding(struct admission *a)
{
	const char *kind = api_get_str(a->obj, "roleRef.kind"), *name = api_get_str(a->obj, "roleRef.name");
	bool cluster = !streq(kind, "Role");
	const struct rbac_rules *wanted;

	if (a->old && same(json_object_get(a->obj, "subjects"), json_object_get(a->old, "subjects")) &&
	    same(json_object_get(a->obj, "roleRef"), json_object_get(a->old, "roleRef")))
		return ADMIT_NEXT;
	/* For a cluster role within a namespace, too, the right to bind may be given for that namespace. */
	if (!name || may(a->c, "bind", cluster ? "clusterroles" : "roles", name, a->c->ns))
		return ADMIT_NEXT;
	wanted = rbac_role(a->c->s->authz->rbac, cluster ? "" : a->c->ns, name);
	if (!wanted) {
		call_status(a->c, 404, "NotFound", "%s.%s \"%s\" not found", cluster ? "clusterroles" : "roles",
			    RBAC_GROUP, name);
		return ADMIT_ANSWERED;
	}
	return check_held(a, wanted);
}

static enum admit validate(struct admission *a)
{
	if (internal(a->c) || !streq(a->c->res->kind->group, RBAC_GROUP) ||
	    identity_in_group(&a->c->who, "system:masters"))
		return ADMIT_NEXT;
	if (admission_is(a, RBAC_GROUP, "roles") || admission_is(a, RBAC_GROUP, "clusterroles"))
		return check_role(a);
	return check_binding(a);
}

const struct admission_plugin admission_rbac = {
	.name = "RBACEscalation",
	.ops = ADMIT_CREATE | ADMIT_UPDATE,
	.validate = validate,
};
