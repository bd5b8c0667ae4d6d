/* SPDX-License-Identifier: Apache-2.0 */
/* RBAC and the node authorizer as functions: no server, objects as their JSON. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../userspace/control/apiserver/authz.h"
#include "base/clock.h"
#include "base/str.h"

static struct rbac *rbac;

static json_t *j(const char *text)
{
	json_t *v = json_loads(text, JSON_DECODE_ANY, NULL);

	cr_assert(v, "%s", text);
	return v;
}

static void role(const char *ns, const char *name, const char *rules)
{
	json_t *obj = json_object(), *list = rules[0] == '[' ? j(rules) : rbac_policy(rules);

	cr_assert(list);
	json_object_set_new(obj, "rules", list);
	cr_assert(rbac_set_role(rbac, ns, name, obj) == 0);
	json_decref(obj);
}

static void grant(const char *ns, const char *name, const char *kind, const char *ref, const char *subject_kind,
		  const char *subject, const char *subject_ns)
{
	json_t *obj = json_pack("{s:{s:s,s:s},s:[{s:s,s:s,s:s?}]}", "roleRef", "kind", kind, "name", ref, "subjects",
				"kind", subject_kind, "name", subject, "namespace", subject_ns);

	cr_assert(rbac_set_binding(rbac, ns, name, obj) == 0);
	json_decref(obj);
}

static bool may(const char *user, const char *group, const char *verb, const char *what, const char *ns,
		const char *name)
{
	struct identity who = {
		.user = user, .groups = (const char *[]){ group }, .n_groups = group ? 1 : 0, .authenticated = true
	};
	char api_group[64] = "", resource[64] = "", sub[64] = "";
	const char *dot = strchr(what, '.'), *slash = strchr(what, '/');
	struct authz_request a = {
		.who = &who, .verb = verb, .group = api_group, .resource = resource, .sub = sub, .ns = ns, .name = name
	};

	if (what[0] == '/') {
		a.path = what;
		return rbac_allows(rbac, &a, NULL);
	}
	/* "deployments.apps" or "pods/log" */
	snprintf(resource, sizeof(resource), "%.*s", (int)strcspn(what, "./"), what);
	if (dot)
		snprintf(api_group, sizeof(api_group), "%s", dot + 1);
	if (slash && !dot)
		snprintf(sub, sizeof(sub), "%s", slash + 1);
	return rbac_allows(rbac, &a, NULL);
}

static void start(void)
{
	rbac = rbac_new();
	cr_assert(rbac);
}

static void end(void)
{
	rbac_free(rbac);
}

TestSuite(rbac, .init = start, .fini = end);

Test(rbac, nobody_may_anything_without_a_binding)
{
	role("", "all", "* * *;* url *");
	cr_assert(!may("u", NULL, "get", "pods", "a", "x"));
	cr_assert(!may("u", NULL, "get", "/version", "", ""));
	grant("", "b", "ClusterRole", "all", "User", "u", NULL);
	cr_assert(may("u", NULL, "get", "pods", "a", "x"));
	cr_assert(may("u", NULL, "escalate", "nodes/status", "", ""));
	cr_assert(may("u", NULL, "post", "/anything", "", ""));
	cr_assert(!may("U", NULL, "get", "pods", "a", "x"));
	cr_assert(!may("v", "u", "get", "pods", "a", "x"));
}

Test(rbac, rules_match_as_in_kubernetes)
{
	static const struct {
		const char *rule, *verb, *what, *name;
		bool want;
	} t[] = {
		{ "get core pods", "get", "pods", "x", true },
		{ "get core pods", "list", "pods", "", false },
		{ "get core pods", "get", "pods/log", "x", false },
		{ "get core pods/log", "get", "pods/log", "x", true },
		{ "get core pods/log", "get", "pods", "x", false },
		{ "get core pods/*", "get", "pods/log", "x", false },
		{ "get core */log", "get", "pods/log", "x", true },
		{ "get core */log", "get", "pods/status", "x", false },
		{ "get core */log", "get", "pods", "x", false },
		{ "get core *", "get", "pods/log", "x", true },
		{ "get core *", "get", "deployments.apps", "x", false },
		{ "get apps *", "get", "deployments.apps", "x", true },
		{ "get * *", "get", "deployments.apps", "x", true },
		{ "get apps deployments", "get", "deployments", "x", false },
		{ "* core pods", "impersonate", "pods", "x", true },
		{ "get core pods x,y", "get", "pods", "y", true },
		{ "get core pods x,y", "get", "pods", "z", false },
		{ "list core pods x", "list", "pods", "", false },
		{ "list core pods x", "list", "pods", "x", true },
		{ "create core pods x", "create", "pods", "", false },
		{ "get url /healthz", "get", "/healthz", "", true },
		{ "get url /healthz", "get", "/healthz/", "", false },
		{ "get url /apis/*", "get", "/apis/apps/v1", "", true },
		{ "get url /apis/*", "get", "/apis", "", false },
		{ "get url *", "get", "/", "", true },
		{ "get url /a*c", "get", "/abc", "", false },
		{ "get url *", "get", "pods", "x", false },
		{ "get * *", "get", "/version", "", false },
	};

	grant("", "b", "ClusterRole", "r", "User", "u", NULL);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		role("", "r", t[i].rule);
		cr_assert(may("u", NULL, t[i].verb, t[i].what, "a", t[i].name) == t[i].want, "row %zu", i);
	}
}

Test(rbac, a_role_binding_holds_in_its_namespace_only)
{
	role("", "c", "get core pods,nodes;get url *");
	role("a", "r", "get core secrets");
	role("b", "r", "get core configmaps");
	grant("a", "1", "ClusterRole", "c", "User", "u", NULL);
	grant("a", "2", "Role", "r", "User", "u", NULL);
	cr_assert(may("u", NULL, "get", "pods", "a", "x"));
	cr_assert(!may("u", NULL, "get", "pods", "b", "x"));
	cr_assert(!may("u", NULL, "get", "pods", "", "x"));
	cr_assert(!may("u", NULL, "get", "nodes", "", "x"));
	cr_assert(!may("u", NULL, "get", "/version", "", ""));
	cr_assert(may("u", NULL, "get", "secrets", "a", "x"));
	cr_assert(!may("u", NULL, "get", "configmaps", "a", "x"));
	cr_assert(!may("u", NULL, "get", "secrets", "b", "x"));
}

Test(rbac, subjects)
{
	role("", "c", "get core pods");
	grant("", "g", "ClusterRole", "c", "Group", "devs", NULL);
	grant("a", "s", "ClusterRole", "c", "ServiceAccount", "bot", "b");
	grant("a", "own", "ClusterRole", "c", "ServiceAccount", "here", NULL);
	grant("", "x", "ClusterRole", "c", "Robot", "r2", NULL);
	cr_assert(may("u", "devs", "get", "pods", "z", "x"));
	cr_assert(!may("devs", NULL, "get", "pods", "z", "x"));
	cr_assert(may("system:serviceaccount:b:bot", NULL, "get", "pods", "a", "x"));
	cr_assert(!may("system:serviceaccount:a:bot", NULL, "get", "pods", "a", "x"));
	cr_assert(!may("system:serviceaccount:b:bot", NULL, "get", "pods", "b", "x"));
	cr_assert(may("system:serviceaccount:a:here", NULL, "get", "pods", "a", "x"));
	cr_assert(!may("r2", NULL, "get", "pods", "a", "x"));
	cr_assert(!may("", NULL, "get", "pods", "a", "x"));
}

Test(rbac, follows_changes_in_any_order)
{
	grant("", "b", "ClusterRole", "c", "User", "u", NULL);
	cr_assert(!may("u", NULL, "get", "pods", "a", "x"));
	role("", "c", "get core pods");
	cr_assert(may("u", NULL, "get", "pods", "a", "x"));
	role("", "c", "get core secrets");
	cr_assert(!may("u", NULL, "get", "pods", "a", "x"));
	cr_assert(rbac_set_role(rbac, "", "c", NULL) == 0);
	cr_assert(!may("u", NULL, "get", "secrets", "a", "x"));
	role("", "c", "get core pods");
	grant("", "b", "ClusterRole", "c", "User", "v", NULL);
	cr_assert(!may("u", NULL, "get", "pods", "a", "x"));
	cr_assert(may("v", NULL, "get", "pods", "a", "x"));
	cr_assert(rbac_set_binding(rbac, "", "b", NULL) == 0);
	cr_assert(!may("v", NULL, "get", "pods", "a", "x"));
	cr_assert(rbac_set_binding(rbac, "", "b", NULL) == 0);
	cr_assert(rbac_set_role(rbac, "", "nothing", NULL) == 0);
}

Test(rbac, says_why)
{
	struct identity who = { .user = "u" };
	struct authz_request a = {
		.who = &who, .verb = "get", .group = "", .resource = "pods", .sub = "", .ns = "a", .name = ""
	};
	struct strbuf reason = STRBUF_INIT;

	grant("a", "b", "ClusterRole", "gone", "User", "u", NULL);
	cr_assert(!rbac_allows(rbac, &a, &reason));
	cr_assert_str_eq(reason.buf, "RBAC: clusterrole.rbac.authorization.k8s.io \"gone\" not found");
	role("", "r", "get core pods");
	grant("a", "c", "ClusterRole", "r", "User", "u", NULL);
	cr_assert(rbac_allows(rbac, &a, &reason));
	cr_assert_str_eq(reason.buf, "RBAC: allowed by RoleBinding \"c/a\" of ClusterRole \"r\" to User \"u\"");
	strbuf_done(&reason);
}

Test(rbac, ten_thousand_bindings_of_others_cost_nothing)
{
	char name[32], ns[32];
	uint64_t t0, t;

	role("", "r", "get core pods");
	for (int i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "u%d", i);
		snprintf(ns, sizeof(ns), "n%d", i % 100);
		grant(i % 2 ? ns : "", name, "ClusterRole", "r", "User", name, NULL);
	}
	t0 = clock_mono_ns();
	for (int i = 0; i < 10000; i++)
		cr_assert(may(i % 2 ? "u4242" : "nobody", "devs", "get", "pods", "n1", "x") == (i % 2 == 1));
	t = (clock_mono_ns() - t0) / 10000;
	/* Microseconds; the limit is for a busy machine under sanitizers. */
	cr_assert(t < 1000000, "%llu ns a decision", (unsigned long long)t);
	/* The worst: all of them are one's own. */
	for (int i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "mine%d", i);
		grant("", name, "ClusterRole", "r", "Group", "all", NULL);
	}
	t0 = clock_mono_ns();
	cr_assert(!may("x", "all", "delete", "pods", "n1", "x"));
	t = clock_mono_ns() - t0;
	cr_assert(t < 100000000, "%llu ns", (unsigned long long)t);
}

/* --- covering ----------------------------------------------------------------------------------------------------- */

static bool covers(const char *have, const char *want, char *missing, size_t size)
{
	struct strbuf sb = STRBUF_INIT;
	json_t *h = rbac_policy(have), *w = rbac_policy(want);
	const struct rbac_rule *owned[16];
	struct rbac_rules hr, wr;
	bool ok;

	cr_assert(rbac_rules_parse(h, &hr) == 0 && rbac_rules_parse(w, &wr) == 0);
	for (size_t i = 0; i < hr.n; i++)
		owned[i] = &hr.v[i];
	ok = rbac_covers(owned, hr.n, &wr, &sb);
	snprintf(missing, size, "%s", sb.len ? sb.buf : "");
	strbuf_done(&sb);
	rbac_rules_done(&hr);
	rbac_rules_done(&wr);
	json_decref(h);
	json_decref(w);
	return ok;
}

Test(rbac_covers, table)
{
	static const struct {
		const char *have, *want;
		bool ok;
	} t[] = {
		{ "", "", true },
		{ "", "get core pods", false },
		{ "get core pods", "get core pods", true },
		{ "get,list core pods", "get core pods;list core pods", true },
		{ "get core pods;list core pods", "get,list core pods", true },
		{ "get core pods", "get,list core pods", false },
		{ "get core pods", "* core pods", false },
		{ "* core pods", "get,* core pods", true },
		{ "get core *", "get core pods/log", true },
		{ "get core */log", "get core pods/log", true },
		{ "get core */log", "get core pods", false },
		{ "get core pods", "get core *", false },
		{ "get * *", "get apps deployments", true },
		{ "get core pods x", "get core pods x", true },
		{ "get core pods x", "get core pods", false },
		{ "get core pods", "get core pods x,y", true },
		{ "get core pods x;get core pods y", "get core pods x,y", true },
		{ "* * *", "get url /healthz", false },
		{ "* url *", "get url /healthz", true },
		{ "get url /apis/*", "get url /apis/apps/*", true },
		{ "get url /apis/*", "get url /apis", false },
		{ "get url /apis/apps", "get url /apis/*", false },
	};
	char missing[512];

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		cr_assert(covers(t[i].have, t[i].want, missing, sizeof(missing)) == t[i].ok, "row %zu", i);
	covers("get core pods", "get,list,watch core pods;get apps deployments a;get url /x", missing, sizeof(missing));
	cr_assert_str_eq(missing, "{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"list\" \"watch\"]}\n"
				  "{APIGroups:[\"apps\"], Resources:[\"deployments\"], ResourceNames:[\"a\"], "
				  "Verbs:[\"get\"]}\n{NonResourceURLs:[\"/x\"], Verbs:[\"get\"]}");
}

Test(rbac_covers, work_is_bounded)
{
	/* 300^4 permissions, all held but for what the bound leaves out: an answer comes, and it is no. */
	json_t *words = json_array(), *rule, *rules;
	static const char *star[] = { "*" };
	struct rbac_rule never = { .verbs = { 1, star } };
	const struct rbac_rule *owned[] = { &never };
	struct strbuf missing = STRBUF_INIT;
	struct rbac_rules wanted;

	for (int i = 0; i < 300; i++)
		json_array_append_new(words, json_sprintf("w%d", i));
	rule = json_pack("{s:O,s:O,s:O,s:O}", "verbs", words, "apiGroups", words, "resources", words, "resourceNames",
			 words);
	rules = json_pack("[o]", rule);
	cr_assert(rbac_rules_parse(rules, &wanted) == 0);
	cr_assert(!rbac_covers(owned, 1, &wanted, &missing));
	cr_assert(missing.len < 1 << 20);
	strbuf_done(&missing);
	rbac_rules_done(&wanted);
	json_decref(rules);
	json_decref(words);
}

/* --- the default roles -------------------------------------------------------------------------------------------- */

Test(rbac_defaults, are_valid_objects)
{
	const char *plural, *ns;
	json_t *obj;
	int i;

	for (i = 0; (obj = rbac_default_object(i, &plural, &ns)); i++) {
		const struct api_kind *kind = api_kind_by_plural(RBAC_GROUP, "v1", plural);
		struct api_errs errs = { 0 };

		cr_assert(kind);
		api_default(kind, obj);
		api_check(kind->type, obj, &errs);
		api_validate(kind, obj, NULL, &errs);
		cr_assert(errs.n == 0, "%s: %s: %s", api_get_str(obj, "metadata.name"), errs.v[0].field,
			  errs.v[0].text);
		api_errs_done(&errs);
		json_decref(obj);
	}
	cr_assert(i > 30);
}

Test(rbac_defaults, reconciling_adds_and_leaves)
{
	json_t *want = j(
		"{\"metadata\":{\"labels\":{\"a\":\"b\"}},\"rules\":[{\"verbs\":[\"get\"],\"apiGroups\":[\"\"],"
		"\"resources\":[\"pods\"]}]}");
	json_t *have = json_deep_copy(want), *got;
	bool recreate;

	cr_assert(!rbac_reconcile(have, want, &recreate) && !recreate);
	/* somebody's own rule stays, a missing one is added */
	json_object_set_new(have, "rules", j("[{\"verbs\":[\"*\"],\"apiGroups\":[\"x\"],\"resources\":[\"y\"]}]"));
	got = rbac_reconcile(have, want, &recreate);
	cr_assert(got && json_array_size(json_object_get(got, "rules")) == 2);
	json_decref(got);
	/* what holds it already needs nothing */
	json_object_set_new(have, "rules", j("[{\"verbs\":[\"*\"],\"apiGroups\":[\"*\"],\"resources\":[\"*\"]}]"));
	cr_assert(!rbac_reconcile(have, want, &recreate));
	json_object_set_new(have, "rules", json_array());
	api_set(have, "metadata.annotations", j("{\"rbac.authorization.kubernetes.io/autoupdate\":\"false\"}"));
	cr_assert(!rbac_reconcile(have, want, &recreate) && !recreate);
	json_decref(have);
	json_decref(want);
	want = j("{\"roleRef\":{\"name\":\"a\"},\"subjects\":[{\"name\":\"x\"}]}");
	have = j("{\"roleRef\":{\"name\":\"b\"}}");
	cr_assert(!rbac_reconcile(have, want, &recreate) && recreate);
	json_object_set_new(have, "roleRef", j("{\"name\":\"a\"}"));
	json_object_set_new(have, "subjects", j("[{\"name\":\"y\"}]"));
	got = rbac_reconcile(have, want, &recreate);
	cr_assert(got && json_array_size(json_object_get(got, "subjects")) == 2);
	json_decref(got);
	json_decref(have);
	json_decref(want);
}

/* --- nodes -------------------------------------------------------------------------------------------------------- */

#define BOUND(node, spec)                                                                                              \
	"{\"metadata\":{\"name\":\"p\",\"namespace\":\"a\"},\"spec\":{\"nodeName\":\"" node "\"," spec "}}"

Test(node_refs, follow_pods)
{
	static const char spec[] = BOUND(
		"n1",
		"\"serviceAccountName\":\"sa\",\"imagePullSecrets\":[{\"name\":\"pull\"}],"
		"\"containers\":[{\"env\":[{\"valueFrom\":{\"secretKeyRef\":{\"name\":\"env-s\"}}},"
		"{\"valueFrom\":{\"configMapKeyRef\":{\"name\":\"env-c\"}}}],"
		"\"envFrom\":[{\"secretRef\":{\"name\":\"from-s\"}},{\"configMapRef\":{\"name\":\"from-c\"}}]}],"
		"\"initContainers\":[{\"envFrom\":[{\"secretRef\":{\"name\":\"init\"}}]}],"
		"\"volumes\":[{\"secret\":{\"secretName\":\"vol-s\"}},{\"configMap\":{\"name\":\"vol-c\"}},"
		"{\"persistentVolumeClaim\":{\"claimName\":\"claim\"}},{\"name\":\"tmp\",\"ephemeral\":{}},"
		"{\"projected\":{\"sources\":[{\"secret\":{\"name\":\"proj-s\"}},{\"configMap\":{\"name\":\"proj-c\"}}]}}]");
	static const struct {
		const char *resource, *name;
	} refs[] = {
		{ "serviceaccounts", "sa" },
		{ "secrets", "pull" },
		{ "secrets", "env-s" },
		{ "configmaps", "env-c" },
		{ "secrets", "from-s" },
		{ "configmaps", "from-c" },
		{ "secrets", "init" },
		{ "secrets", "vol-s" },
		{ "configmaps", "vol-c" },
		{ "secrets", "proj-s" },
		{ "configmaps", "proj-c" },
		{ "persistentvolumeclaims", "claim" },
		{ "persistentvolumeclaims", "p-tmp" },
	};
	struct node_refs *r = node_refs_new();
	json_t *pod = j(spec), *twin = j(BOUND("n1", "\"serviceAccountName\":\"sa\"")), *mirror = j(spec);

	node_refs_pod(r, pod, NULL);
	for (size_t i = 0; i < sizeof(refs) / sizeof(refs[0]); i++) {
		cr_assert(node_refs_has(r, "n1", refs[i].resource, "a", refs[i].name), "%s", refs[i].name);
		cr_assert(!node_refs_has(r, "n2", refs[i].resource, "a", refs[i].name));
		cr_assert(!node_refs_has(r, "n1", refs[i].resource, "b", refs[i].name));
	}
	cr_assert(!node_refs_has(r, "n1", "secrets", "a", "env-c"));
	cr_assert(!node_refs_has(r, "n1", "configmaps", "a", "env-s"));
	/* two pods refer to it: one may go */
	node_refs_pod(r, twin, NULL);
	node_refs_pod(r, NULL, pod);
	cr_assert(node_refs_has(r, "n1", "serviceaccounts", "a", "sa"));
	cr_assert(!node_refs_has(r, "n1", "secrets", "a", "pull"));
	node_refs_pod(r, NULL, twin);
	cr_assert(!node_refs_has(r, "n1", "serviceaccounts", "a", "sa"));
	/* a node cannot give itself rights by a pod of its own */
	api_set(mirror, "metadata.annotations", j("{\"kubernetes.io/config.mirror\":\"x\"}"));
	node_refs_pod(r, mirror, NULL);
	cr_assert(!node_refs_has(r, "n1", "secrets", "a", "pull"));
	json_decref(pod);
	json_decref(twin);
	json_decref(mirror);
	node_refs_free(r);
}
