/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may do what: system:masters everything, nodes what authz_node.c says, and everybody what roles bound to them
 * allow. Denied by default. Roles, bindings and the pods that give nodes their rights are followed from the cache.
 */
#include "authz.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/log.h"
#include "../../lib/base/str.h"

const char *authz_node_of(const struct identity *who)
{
	static const char prefix[] = "system:node:";

	if (!str_starts(who->user, prefix) || !identity_in_group(who, "system:nodes") || !who->user[sizeof(prefix) - 1])
		return NULL;
	return who->user + sizeof(prefix) - 1;
}

/* Health is nobody's secret, and must be told when there are no roles to look at yet. */
bool authz_always(const struct authz_request *a)
{
	static const char *const paths[] = { "/healthz", "/livez", "/readyz" };

	if (identity_in_group(a->who, "system:masters"))
		return true;
	if (!a->path || !streq(a->verb, "get"))
		return false;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		size_t len = strlen(paths[i]);

		if (!strncmp(a->path, paths[i], len) && (!a->path[len] || a->path[len] == '/'))
			return true;
	}
	return false;
}

enum verdict authz_decide(struct apiserver *s, const struct authz_request *a, struct strbuf *reason)
{
	const char *node;

	if (reason)
		strbuf_clear(reason);
	if (authz_always(a))
		return AUTHZ_ALLOW;
	node = authz_node_of(a->who);
	if (node && node_allows(s, node, a, reason))
		return AUTHZ_ALLOW;
	/* Of a node that is refused, the node authorizer's reason says more. */
	if (!rbac_allows(s->authz->rbac, a, node ? NULL : reason))
		return AUTHZ_DENY;
	if (node && reason)
		strbuf_clear(reason);
	return AUTHZ_ALLOW;
}

/* --- following the cache ------------------------------------------------------------------------------------------ */

/* "ns/name" apart. */
static void names_of(const struct object *o, char *ns, size_t size, const char **ret_name)
{
	size_t len = o->name > o->key ? (size_t)(o->name - o->key - 1) : 0;

	if (len >= size)
		len = size - 1;
	memcpy(ns, o->key, len);
	ns[len] = '\0';
	*ret_name = o->name;
}

static json_t *parse(const struct object *o)
{
	json_t *obj = NULL;

	if (o && api_json_parse(o->json->data, o->json->len, &obj, NULL, NULL) < 0)
		log_error("authorization: cannot read %s; it grants nothing", o->key);
	return obj;
}

static void rbac_changed(struct resource *r, const struct object *cur, const struct object *prev)
{
	bool role = streq(r->kind->plural, "roles") || streq(r->kind->plural, "clusterroles");
	struct authz *z = r->s->authz;
	json_t *obj = parse(cur);
	const char *name;
	char ns[256];
	int ret;

	names_of(cur ? cur : prev, ns, sizeof(ns), &name);
	ret = role ? rbac_set_role(z->rbac, ns, name, obj) : rbac_set_binding(z->rbac, ns, name, obj);
	if (ret < 0)
		log_error("authorization: out of memory: %s %s/%s grants nothing", r->kind->kind, ns, name);
	if (streq(r->kind->plural, "clusterroles")) {
		rbac_aggregate_note(r->s, name, obj);
		rbac_aggregate_later(r->s);
	}
	json_decref(obj);
}

static const char *node_name(const struct object *o)
{
	const char *node = o ? api_get_str(o->index, "spec.nodeName") : NULL;

	return node ? node : "";
}

static bool has_ephemeral(const struct object *o)
{
	static const char word[] = "\"ephemeralContainers\"";

	return memmem(o->json->data, o->json->len, word, sizeof(word) - 1) != NULL;
}

/* What a pod refers to is fixed with its creation, ephemeral containers apart: most changes need no second look. */
static void pod_changed(struct resource *r, const struct object *cur, const struct object *prev)
{
	json_t *now, *was;

	if (!*node_name(cur) && !*node_name(prev))
		return;
	if (cur && prev && streq(node_name(cur), node_name(prev)) && !has_ephemeral(cur) && !has_ephemeral(prev))
		return;
	now = parse(cur);
	was = parse(prev);
	node_refs_pod(r->s->authz->refs, now, was);
	json_decref(now);
	json_decref(was);
}

void authz_wrote(struct call *c, int64_t rev)
{
	if (c->res && streq(c->res->kind->group, RBAC_GROUP) && rev > c->s->authz->written_rev)
		c->s->authz->written_rev = rev;
}

void authz_wait(struct call *c, int timeout_ms, call_fn *fn)
{
	cache_wait(c, c->s->authz->written_rev, timeout_ms, fn);
}

int authz_init(struct apiserver *s, struct err *err)
{
	static const char *const followed[] = { "roles", "clusterroles", "rolebindings", "clusterrolebindings" };
	struct authz *z = s->authz = calloc(1, sizeof(*z));
	json_t *rules;

	if (!z)
		return err_set(err, ENOMEM, "out of memory");
	rbac_aggregate_init(s);
	z->aggregated = strmap_new();
	z->rbac = rbac_new();
	z->refs = node_refs_new();
	rules = rbac_policy(rbac_node_policy);
	if (!z->rbac || !z->refs || !z->aggregated || !rules || rbac_rules_parse(rules, &z->node_rules) < 0) {
		json_decref(rules);
		return err_set(err, ENOMEM, "out of memory");
	}
	json_decref(rules);
	for (size_t i = 0; i < sizeof(followed) / sizeof(followed[0]); i++)
		cache_resource(s, RBAC_GROUP, followed[i])->on_change = rbac_changed;
	cache_resource(s, "", "pods")->on_change = pod_changed;
	return 0;
}

void authz_done(struct apiserver *s)
{
	struct authz *z = s->authz;

	if (!z)
		return;
	loop_timer_cancel(&z->aggregate);
	rbac_free(z->rbac);
	strmap_free(z->aggregated);
	node_refs_free(z->refs);
	rbac_rules_done(&z->node_rules);
	free(z);
	s->authz = NULL;
}
