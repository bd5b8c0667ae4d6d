/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Aggregated cluster roles: the server itself fills in their rules, from all cluster roles that their selectors
 * choose, as soon as the cache shows a change. Several servers compute the same; whoever is second finds it done.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/log.h"
#include "../../lib/base/str.h"
#include "../../lib/base/strmap.h"
#include "authz.h"

#define RETRY_MS 1000

static void later(struct apiserver *s, int ms)
{
	struct authz *z = s->authz;

	if (z->aggregate_armed || s->stopping)
		return;
	z->aggregate_armed = loop_timer_set(s->loop, &z->aggregate, ms) == 0;
}

void rbac_aggregate_later(struct apiserver *s)
{
	if (strmap_len(s->authz->aggregated))
		later(s, 0);
}

void rbac_aggregate_note(struct apiserver *s, const char *name, const json_t *role)
{
	if (!json_is_object(json_object_get(role, "aggregationRule")))
		strmap_del(s->authz->aggregated, name);
	else if (strmap_set(s->authz->aggregated, name, s, NULL) < 0)
		log_error("out of memory: cluster role %s is not aggregated", name);
}

json_t *rbac_union(json_t *const *roles, size_t n)
{
	json_t *out = json_array(), *rule, *have;
	size_t i, j;

	for (size_t r = 0; out && r < n; r++)
		json_array_foreach (json_object_get(roles[r], "rules"), i, rule) {
			bool dup = false;

			json_array_foreach (out, j, have)
				dup = dup || json_equal(have, rule);
			if (!dup)
				json_array_append(out, rule);
		}
	return out;
}

static bool chosen(struct api_selector *const *selectors, size_t n, const struct object *o)
{
	for (size_t i = 0; i < n; i++)
		if (selectors[i] && api_selector_matches_json(selectors[i], api_get(o->index, "metadata.labels")))
			return true;
	return false;
}

static json_t *parse(const struct object *o)
{
	json_t *obj = NULL;

	return api_json_parse(o->json->data, o->json->len, &obj, NULL, NULL) < 0 ? NULL : obj;
}

/* The rules that this role should have; NULL: out of memory, or it is no longer aggregated. */
static json_t *rules_for(const struct resource *r, const json_t *role)
{
	const json_t *list = api_get(role, "aggregationRule.clusterRoleSelectors"), *v;
	const char *name = api_get_str(role, "metadata.name");
	size_t n = json_array_size(list), n_roles = 0, i;
	struct api_selector **selectors;
	json_t **roles, *out = NULL;

	if (!json_is_object(json_object_get(role, "aggregationRule")))
		return NULL;
	selectors = calloc(n + 1, sizeof(*selectors));
	roles = calloc(r->n + 1, sizeof(*roles));
	if (!selectors || !roles)
		goto out;
	json_array_foreach (list, i, v)
		if (api_selector_from_json(v, &selectors[i], NULL) < 0)
			selectors[i] = NULL;
	for (i = 0; i < r->n; i++) {
		if (streq(r->objs[i]->name, name) || !chosen(selectors, n, r->objs[i]))
			continue;
		roles[n_roles] = parse(r->objs[i]);
		if (!roles[n_roles++])
			goto out;
	}
	out = rbac_union(roles, n_roles);
out:
	for (i = 0; roles && i < n_roles; i++)
		json_decref(roles[i]);
	for (i = 0; selectors && i < n; i++)
		api_selector_free(selectors[i]);
	free(roles);
	free(selectors);
	return out;
}

static enum change fill_in(struct call *c)
{
	json_t *rules = c->old ? rules_for(c->res, c->old) : NULL;

	if (!rules || json_equal(rules, json_object_get(c->old, "rules"))) {
		json_decref(rules);
		call_bytes(c, 200, "", "", 0);
		return CHANGE_ANSWERED;
	}
	c->obj = json_deep_copy(c->old);
	if (!c->obj || json_object_set_new(c->obj, "rules", rules) < 0) {
		call_oom(c);
		return CHANGE_ANSWERED;
	}
	return CHANGE_WRITE;
}

static void on_done(struct call *c, int code, const char *body, size_t len)
{
	if (c->s->stopping || code < 300)
		return;
	log_warn("aggregated cluster role %s: %d %.*s; trying again", c->name, code, (int)(len > 300 ? 300 : len),
		 body);
	later(c->s, RETRY_MS);
}

static void submit(struct apiserver *s, struct resource *r, const char *name)
{
	struct call *c = call_new_inner(s, "update", r, "", name, "");

	if (!c) {
		later(s, RETRY_MS);
		return;
	}
	c->finish = on_done;
	c->change = fill_in;
	registry_mutate(c);
	call_unref(c);
}

static void on_timer(struct loop_timer *timer)
{
	struct apiserver *s = timer->arg;
	struct resource *r = cache_resource(s, RBAC_GROUP, "clusterroles");

	s->authz->aggregate_armed = false;
	if (s->stopping)
		return;
	if (!s->loaded) {
		later(s, RETRY_MS);
		return;
	}
	for (struct strmap_iter it = { 0 }; strmap_next(s->authz->aggregated, &it);) {
		struct object *o = cache_get(r, NULL, it.key);
		json_t *role = o ? parse(o) : NULL, *rules = role ? rules_for(r, role) : NULL;

		if (rules && !json_equal(rules, json_object_get(role, "rules")))
			submit(s, r, it.key);
		json_decref(rules);
		json_decref(role);
	}
}

void rbac_aggregate_init(struct apiserver *s)
{
	s->authz->aggregate.fn = on_timer;
	s->authz->aggregate.arg = s;
}
