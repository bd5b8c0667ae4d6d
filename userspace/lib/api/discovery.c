/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Discovery documents from the tables: /api, /apis, resource lists, and the aggregated form (apidiscovery.k8s.io/v2).
 */
#include <stdio.h>
#include <string.h>

#include "../base/str.h"
#include "api-internal.h"

static const char *const all_verbs[] = { "create", "delete", "deletecollection", "get", "list", "patch", "update",
					 "watch",  NULL };
static const char *const one_by_one_verbs[] = { "create", "delete", "get", "list", "patch", "update", "watch", NULL };
static const char *const review_verbs[] = { "create", NULL };
static const char *const computed_verbs[] = { "get", "list", NULL };

static const char *const *verbs_of(const struct api_kind *k)
{
	if (!k->group[0] && streq(k->plural, "namespaces"))
		return one_by_one_verbs;
	return k->review ? review_verbs : k->computed ? computed_verbs : all_verbs;
}

/* pods/binding has an address of its own, too. */
static bool is_core_v1(const char *group, const char *version)
{
	return !group[0] && streq(version, "v1");
}

/* A subresource: the kind it speaks, and its verbs. */
struct sub {
	const char *name, *group, *version, *kind;
	const char *verbs[6];
};
static const struct sub subs[] = {
	{ "status", NULL, NULL, NULL, { "get", "patch", "update" } },
	{ "finalize", NULL, NULL, NULL, { "update" } },
	{ "approval", NULL, NULL, NULL, { "get", "patch", "update" } },
	{ "ephemeralcontainers", NULL, NULL, NULL, { "get", "patch", "update" } },
	{ "resize", NULL, NULL, NULL, { "get", "patch", "update" } },
	{ "scale", "autoscaling", "v1", "Scale", { "get", "patch", "update" } },
	{ "binding", "", "v1", "Binding", { "create" } },
	{ "token", "authentication.k8s.io", "v1", "TokenRequest", { "create" } },
	{ "eviction", "policy", "v1", "Eviction", { "create" } },
	{ "log", NULL, NULL, NULL, { "get" } },
	{ "exec", "", "v1", "PodExecOptions", { "create", "get" } },
	{ "attach", "", "v1", "PodAttachOptions", { "create", "get" } },
	{ "portforward", "", "v1", "PodPortForwardOptions", { "create", "get" } },
	{ "proxy", "", "v1", "NodeProxyOptions", { "get" } }, /* of nodes */
};

static const struct sub pod_proxy = {
	"proxy", "", "v1", "PodProxyOptions", { "create", "delete", "get", "patch", "update" }
};
static const struct sub service_proxy = {
	"proxy", "", "v1", "ServiceProxyOptions", { "create", "delete", "get", "patch", "update" }
};

static const struct sub *find_sub(const struct api_kind *k, const char *name)
{
	if (streq(name, "proxy") && streq(k->plural, "pods"))
		return &pod_proxy;
	if (streq(name, "proxy") && streq(k->plural, "services"))
		return &service_proxy;
	for (size_t i = 0; i < sizeof(subs) / sizeof(subs[0]); i++)
		if (streq(subs[i].name, name))
			return &subs[i];
	return NULL;
}

static json_t *strings(const char *const *list)
{
	json_t *out = json_array();

	for (; list && *list; list++)
		json_array_append_new(out, json_string(*list));
	return out;
}

json_t *api_discovery_versions(const char *server_address)
{
	return json_pack("{s:s,s:[s],s:[{s:s,s:s}]}", "kind", "APIVersions", "versions", "v1",
			 "serverAddressByClientCIDRs", "clientCIDR", "0.0.0.0/0", "serverAddress", server_address);
}

/* Calls fn once for each group/version, in order of the table. */
static void each_version(struct api_kinds kinds, void (*fn)(void *arg, const struct api_kind *first), void *arg)
{
	for (size_t i = 0; i < kinds.n; i++) {
		const struct api_kind *k = kinds.v[i];
		bool seen = false;

		for (size_t j = 0; j < i && !seen; j++)
			seen = streq(kinds.v[j]->group, k->group) && streq(kinds.v[j]->version, k->version);
		if (!seen)
			fn(arg, k);
	}
}

static void add_group(void *arg, const struct api_kind *k)
{
	json_t *groups = arg, *g, *version;
	char gv[300];
	size_t i;

	if (!k->group[0])
		return;
	snprintf(gv, sizeof(gv), "%s/%s", k->group, k->version);
	version = json_pack("{s:s,s:s}", "groupVersion", gv, "version", k->version);
	json_array_foreach (groups, i, g)
		if (streq(api_get_str(g, "name"), k->group)) {
			json_array_append_new(json_object_get(g, "versions"), version);
			return;
		}
	json_array_append_new(groups, json_pack("{s:s,s:[O],s:O}", "name", k->group, "versions", version,
						"preferredVersion", version));
	json_decref(version);
}

json_t *api_discovery_groups(const struct api_kinds *kinds)
{
	json_t *groups = json_array();

	each_version(api_kinds_or_built_in(kinds), add_group, groups);
	return json_pack("{s:s,s:s,s:o}", "kind", "APIGroupList", "apiVersion", "v1", "groups", groups);
}

static json_t *resource(const struct api_kind *k)
{
	json_t *r = json_pack("{s:s,s:s,s:b,s:s,s:o}", "name", k->plural, "singularName", k->singular, "namespaced",
			      k->namespaced, "kind", k->kind, "verbs", strings(verbs_of(k)));

	if (k->short_names && k->short_names[0])
		json_object_set_new(r, "shortNames", strings(k->short_names));
	if (k->categories && k->categories[0])
		json_object_set_new(r, "categories", strings(k->categories));
	return r;
}

static json_t *subresource(const struct api_kind *k, const struct sub *s)
{
	json_t *r;
	char name[200];

	snprintf(name, sizeof(name), "%s/%s", k->plural, s->name);
	r = json_pack("{s:s,s:s,s:b,s:s,s:o}", "name", name, "singularName", "", "namespaced", k->namespaced, "kind",
		      s->kind ? s->kind : k->kind, "verbs", strings(s->verbs));
	if (s->kind) {
		if (s->group[0])
			json_object_set_new(r, "group", json_string(s->group));
		json_object_set_new(r, "version", json_string(s->version));
	}
	return r;
}

json_t *api_discovery_resources(const struct api_kinds *kinds, const char *group, const char *version)
{
	struct api_kinds all = api_kinds_or_built_in(kinds);
	json_t *resources = json_array();
	char gv[300];

	for (size_t i = 0; i < all.n; i++) {
		const struct api_kind *k = all.v[i];

		if (!streq(k->group, group) || !streq(k->version, version))
			continue;
		json_array_append_new(resources, resource(k));
		for (const char *const *s = k->subresources; s && *s; s++)
			if (find_sub(k, *s))
				json_array_append_new(resources, subresource(k, find_sub(k, *s)));
	}
	if (!json_array_size(resources)) {
		json_decref(resources);
		return NULL;
	}
	if (is_core_v1(group, version))
		json_array_append_new(resources,
				      json_pack("{s:s,s:s,s:b,s:s,s:o}", "name", "bindings", "singularName", "binding",
						"namespaced", 1, "kind", "Binding", "verbs", strings(review_verbs)));
	snprintf(gv, sizeof(gv), "%s%s%s", group, group[0] ? "/" : "", version);
	return json_pack("{s:s,s:s,s:s,s:o}", "kind", "APIResourceList", "apiVersion", "v1", "groupVersion", gv,
			 "resources", resources);
}

static json_t *response_kind(const char *group, const char *version, const char *kind)
{
	return json_pack("{s:s,s:s,s:s}", "group", group, "version", version, "kind", kind);
}

static json_t *aggregated_resource(const struct api_kind *k)
{
	json_t *list = json_array();
	json_t *r = json_pack("{s:s,s:o,s:s,s:s,s:o,s:o}", "resource", k->plural, "responseKind",
			      response_kind(k->group, k->version, k->kind), "scope",
			      k->namespaced ? "Namespaced" : "Cluster", "singularResource", k->singular, "verbs",
			      strings(verbs_of(k)), "shortNames", strings(k->short_names));

	if (k->categories && k->categories[0])
		json_object_set_new(r, "categories", strings(k->categories));
	for (const char *const *name = k->subresources; name && *name; name++) {
		const struct sub *s = find_sub(k, *name);

		if (s)
			json_array_append_new(list, json_pack("{s:s,s:o,s:o}", "subresource", s->name, "responseKind",
							      s->kind ? response_kind(s->group, s->version, s->kind)
								      : response_kind(k->group, k->version, k->kind),
							      "verbs", strings(s->verbs)));
	}
	if (json_array_size(list))
		json_object_set(r, "subresources", list);
	json_decref(list);
	return r;
}

struct aggregate {
	struct api_kinds kinds;
	json_t *items;
	bool core;
};

static void add_aggregated(void *arg, const struct api_kind *first)
{
	struct aggregate *a = arg;
	json_t *resources, *version, *item, *found = NULL;
	size_t i;

	if (a->core != !first->group[0])
		return;
	resources = json_array();
	for (i = 0; i < a->kinds.n; i++)
		if (streq(a->kinds.v[i]->group, first->group) && streq(a->kinds.v[i]->version, first->version))
			json_array_append_new(resources, aggregated_resource(a->kinds.v[i]));
	if (is_core_v1(first->group, first->version))
		json_array_append_new(resources, json_pack("{s:s,s:o,s:s,s:s,s:o,s:[]}", "resource", "bindings",
							   "responseKind", response_kind("", "v1", "Binding"), "scope",
							   "Namespaced", "singularResource", "binding", "verbs",
							   strings(review_verbs), "shortNames"));
	version = json_pack("{s:s,s:o,s:s}", "version", first->version, "resources", resources, "freshness", "Current");
	json_array_foreach (a->items, i, item)
		if (streq(api_get_str(item, "metadata.name"), first->group))
			found = item;
	if (found)
		json_array_append_new(json_object_get(found, "versions"), version);
	else if (first->group[0])
		json_array_append_new(a->items, json_pack("{s:{s:s,s:n},s:[o]}", "metadata", "name", first->group,
							  "creationTimestamp", "versions", version));
	else
		json_array_append_new(
			a->items, json_pack("{s:{s:n},s:[o]}", "metadata", "creationTimestamp", "versions", version));
}

json_t *api_discovery_aggregated(const struct api_kinds *kinds, bool core)
{
	struct aggregate a = { api_kinds_or_built_in(kinds), json_array(), core };

	each_version(a.kinds, add_aggregated, &a);
	return json_pack("{s:s,s:s,s:{},s:o}", "kind", "APIGroupDiscoveryList", "apiVersion", "apidiscovery.k8s.io/v2",
			 "metadata", "items", a.items);
}
