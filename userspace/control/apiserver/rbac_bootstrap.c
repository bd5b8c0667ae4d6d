/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes the default roles and bindings at start and completes those that are there: what they lack is added, what
 * somebody added stays, and rbac.authorization.kubernetes.io/autoupdate=false keeps them as they are, as in Kubernetes.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/log.h"
#include "../../lib/base/str.h"
#include "authz.h"

#define AUTOUPDATE "rbac.authorization.kubernetes.io/autoupdate"

/* --- what is missing ---------------------------------------------------------------------------------------------- */

static bool contains(const json_t *list, const json_t *v)
{
	const json_t *e;
	size_t i;

	json_array_foreach (list, i, e)
		if (json_equal(e, v))
			return true;
	return false;
}

/* Appends what of `want` is not in obj's list at path. */
static bool add_elements(json_t *obj, const char *path, const json_t *want)
{
	json_t *list = api_get(obj, path), *v;
	bool changed = false;
	size_t i;

	if (!json_is_array(list)) {
		if (!json_array_size(want) || api_set(obj, path, json_array()) < 0)
			return false;
		list = api_get(obj, path);
	}
	json_array_foreach (want, i, v)
		if (!contains(list, v)) {
			json_array_append(list, v);
			changed = true;
		}
	return changed;
}

static bool add_members(json_t *obj, const char *path, const json_t *want)
{
	json_t *have = api_get(obj, path), *v;
	bool changed = false;
	const char *key;

	if (!json_is_object(have)) {
		if (api_set(obj, path, json_object()) < 0)
			return false;
		have = api_get(obj, path);
	}
	json_object_foreach ((json_t *)want, key, v)
		if (!json_object_get(have, key)) {
			json_object_set(have, key, v);
			changed = true;
		}
	return changed;
}

/* Appends the rules of `want` that obj's rules together do not allow. */
static bool add_rules(json_t *obj, const json_t *want)
{
	cleanup(strbuf_done) struct strbuf missing = STRBUF_INIT;
	struct rbac_rules have;
	const struct rbac_rule **owned;
	bool changed = false;
	json_t *rules = json_object_get(obj, "rules"), *v;
	size_t i;

	if (rbac_rules_parse(rules, &have) < 0)
		return false;
	owned = arena_calloc(&have.arena, have.n + 1, sizeof(*owned));
	for (i = 0; owned && i < have.n; i++)
		owned[i] = &have.v[i];
	if (!json_is_array(rules) && json_object_set_new(obj, "rules", json_array()) == 0)
		rules = json_object_get(obj, "rules");
	json_array_foreach (want, i, v) {
		json_t *one = json_pack("[O]", v);
		struct rbac_rules parsed;

		if (one && owned && rbac_rules_parse(one, &parsed) == 0) {
			if (!rbac_covers(owned, have.n, &parsed, &missing)) {
				json_array_append(rules, v);
				changed = true;
			}
			rbac_rules_done(&parsed);
		}
		json_decref(one);
	}
	rbac_rules_done(&have);
	return changed;
}

json_t *rbac_reconcile(const json_t *have, const json_t *want, bool *ret_recreate)
{
	const json_t *aggregation = json_object_get(want, "aggregationRule");
	bool changed;
	json_t *obj;

	*ret_recreate = false;
	if (streq(json_string_value(json_object_get(api_get(have, "metadata.annotations"), AUTOUPDATE)), "false"))
		return NULL;
	if (json_object_get(want, "roleRef") &&
	    !json_equal(json_object_get(have, "roleRef"), json_object_get(want, "roleRef"))) {
		*ret_recreate = true;
		return NULL;
	}
	obj = json_deep_copy(have);
	if (!obj)
		return NULL;
	changed = add_members(obj, "metadata.labels", api_get(want, "metadata.labels"));
	changed |= add_members(obj, "metadata.annotations", api_get(want, "metadata.annotations"));
	changed |= add_elements(obj, "subjects", json_object_get(want, "subjects"));
	if (aggregation)
		changed |= add_elements(obj, "aggregationRule.clusterRoleSelectors",
					json_object_get(aggregation, "clusterRoleSelectors"));
	else if (json_object_get(want, "rules"))
		changed |= add_rules(obj, json_object_get(want, "rules"));
	if (changed)
		return obj;
	json_decref(obj);
	return NULL;
}

/* --- the writes --------------------------------------------------------------------------------------------------- */

static void submit(struct apiserver *s, int i);

static void done_one(struct apiserver *s, bool ok)
{
	struct authz *z = s->authz;

	z->failed = z->failed || !ok;
	if (--z->pending == 0 && !s->stopping)
		z->bootstrapped(s, !z->failed);
}

static void on_done(struct call *c, int code, const char *body, size_t len)
{
	struct apiserver *s = c->s;

	if (s->stopping)
		return;
	if (code >= 300)
		log_warn("bootstrap: %s \"%s\": %d %.*s; trying again", c->resource, c->name, code,
			 (int)(len > 300 ? 300 : len), body);
	else if (c->decided == CHANGE_DELETE)
		submit(s, (int)(intptr_t)c->data); /* its roleRef was another: made anew */
	done_one(s, code < 300);
}

static enum change complete(struct call *c)
{
	bool recreate;

	if (!c->old) {
		c->obj = json_deep_copy(c->body);
		if (c->obj)
			return CHANGE_WRITE;
		call_oom(c);
		return CHANGE_ANSWERED;
	}
	c->obj = rbac_reconcile(c->old, c->body, &recreate);
	if (recreate)
		return CHANGE_DELETE;
	return c->obj ? CHANGE_WRITE : CHANGE_NONE;
}

static void submit(struct apiserver *s, int i)
{
	const char *plural, *ns;
	json_t *obj = rbac_default_object(i, &plural, &ns);
	struct call *c = call_new_inner(s, "create", cache_resource(s, RBAC_GROUP, plural), ns, "", "");

	s->authz->pending++;
	if (!c || !obj) {
		json_decref(obj);
		if (c)
			call_unref(c);
		done_one(s, false);
		return;
	}
	c->finish = on_done;
	c->data = (void *)(intptr_t)i;
	c->body = obj;
	c->change = complete;
	if (object_prepare_create(c, obj) == 0)
		registry_mutate(c);
	call_unref(c);
}

void rbac_bootstrap(struct apiserver *s, void (*done)(struct apiserver *s, bool ok))
{
	const char *plural, *ns;
	json_t *obj;

	/* After a break of the store's feed: the round under way comes to its end. */
	if (s->authz->pending)
		return;
	s->authz->bootstrapped = done;
	s->authz->failed = false;
	s->authz->pending = 1; /* this function's own, so that the end is not told too early */
	for (int i = 0; (obj = rbac_default_object(i, &plural, &ns)); i++) {
		json_decref(obj);
		submit(s, i);
	}
	done_one(s, true);
}
