/* SPDX-License-Identifier: Apache-2.0 */
/* Who may do what, over HTTPS: default roles, bindings, escalation, nodes, access reviews; and that refusals tell
 * nothing. */
#include "fixture.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"

#define RBAC  "/apis/rbac.authorization.k8s.io/v1"
#define ROLES RBAC "/namespaces/default/roles"
#define BINDS RBAC "/namespaces/default/rolebindings"
#define MERGE "application/merge-patch+json"

static struct fx f;

static void start(void)
{
	fx_init(&f);
	fx_start(&f);
}

static void end(void)
{
	fx_done(&f);
}

TestSuite(authz, .init = start, .fini = end, .timeout = 180);

#define ROLE(name, rules)                                                                                              \
	"{\"kind\":\"Role\",\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"metadata\":{\"name\":\"" name            \
	"\"},\"rules\":[" rules "]}"
#define RULE(verbs, resources) "{\"verbs\":[" verbs "],\"apiGroups\":[\"\"],\"resources\":[" resources "]}"
#define BINDING(name, kind, role, user)                                                                                \
	"{\"kind\":\"RoleBinding\",\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"metadata\":{\"name\":\"" name     \
	"\"},\"roleRef\":{\"kind\":\"" kind "\",\"name\":\"" role                                                      \
	"\"},\"subjects\":[{\"kind\":\"User\",\"name\":\"" user "\"}]}"

static int status_of(enum who who, const char *method, const char *path, const char *type, const char *body)
{
	struct answer a = fx_call(&f, who, method, path, type, NULL, body);
	int status = a.status;

	answer_done(&a);
	return status;
}

/* The server fills them in by itself; the cache shows when. */
static void wait_aggregated(const char *name, const char *resource)
{
	int64_t end_ms = clock_mono_ms() + 60000;
	char path[128];

	snprintf(path, sizeof(path), RBAC "/clusterroles/%s", name);
	for (;;) {
		struct answer a = fx_call(&f, ADMIN, "GET", path, NULL, NULL, NULL);
		bool there = a.status == 200 && strstr(a.text, resource);

		answer_done(&a);
		if (there)
			return;
		cr_assert(clock_mono_ms() < end_ms, "%s lacks %s", name, resource);
	}
}

Test(authz, roles_and_bindings_count_from_the_next_request)
{
	cr_assert(status_of(STRANGER, "GET", PODS, NULL, NULL) == 403);
	fx_do(&f, 201, "POST", ROLES, ROLE("reader", RULE("\"get\",\"list\"", "\"pods\"")));
	fx_do(&f, 201, "POST", BINDS, BINDING("b", "Role", "reader", "stranger"));
	cr_assert(status_of(STRANGER, "GET", PODS, NULL, NULL) == 200);
	cr_assert(status_of(STRANGER, "GET", "/api/v1/namespaces/kube-system/pods", NULL, NULL) == 403);
	cr_assert(status_of(STRANGER, "GET", "/api/v1/pods", NULL, NULL) == 403);
	cr_assert(status_of(STRANGER, "GET", PODS "?watch=1&timeoutSeconds=1", NULL, NULL) == 403);
	fx_do(&f, 200, "DELETE", BINDS "/b", NULL);
	cr_assert(status_of(STRANGER, "GET", PODS, NULL, NULL) == 403);
}

Test(authz, a_bindings_role_cannot_be_changed)
{
	fx_do(&f, 201, "POST", BINDS, BINDING("b", "Role", "reader", "stranger"));
	fx_refused(&f, ADMIN, 422, "PUT", BINDS "/b", BINDING("b", "Role", "other", "stranger"),
		   "cannot change roleRef");
}

Test(authz, default_roles_and_aggregation)
{
	wait_aggregated("view", "configmaps");
	wait_aggregated("edit", "pods/exec");
	wait_aggregated("admin", "rolebindings");
	fx_do(&f, 201, "POST", RBAC "/clusterroles",
	      "{\"kind\":\"ClusterRole\",\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"metadata\":{\"name\":\"w\","
	      "\"labels\":{\"rbac.authorization.k8s.io/aggregate-to-view\":\"true\"}},\"rules\":[{\"verbs\":[\"get\"],"
	      "\"apiGroups\":[\"example.com\"],\"resources\":[\"widgets\"]}]}");
	wait_aggregated("admin", "widgets"); /* by view and edit */
	/* what somebody took away comes back with a restart, what they added stays */
	fx_do(&f, 200, "DELETE", RBAC "/clusterrolebindings/system:basic-user", NULL);
	fx_stop(&f);
	fx_start(&f);
	fx_do(&f, 200, "GET", RBAC "/clusterrolebindings/system:basic-user", NULL);
	fx_do(&f, 200, "GET", RBAC "/clusterroles/w", NULL);
}

Test(authz, nobody_grants_what_they_do_not_have)
{
	fx_do(&f, 201, "POST", ROLES, ROLE("r", RULE("\"*\"", "\"pods\"")));
	fx_do(&f, 201, "POST", ROLES, ROLE("big", RULE("\"*\"", "\"secrets\"")));
	fx_do(&f, 201, "POST", ROLES,
	      ROLE("rbac", "{\"verbs\":[\"create\",\"update\",\"patch\",\"get\"],\"apiGroups\":"
			   "[\"rbac.authorization.k8s.io\"],\"resources\":[\"roles\",\"rolebindings\"]}"));
	fx_do(&f, 201, "POST", BINDS, BINDING("b1", "Role", "r", "stranger"));
	fx_do(&f, 201, "POST", BINDS, BINDING("b2", "Role", "rbac", "stranger"));
	cr_assert(status_of(STRANGER, "POST", ROLES, "application/json", ROLE("mine", RULE("\"get\"", "\"pods\""))) ==
		  201);
	fx_refused(&f, STRANGER, 403, "POST", ROLES, ROLE("mine2", RULE("\"get\"", "\"pods\",\"secrets\"")),
		   "is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], "
		   "Resources:[\"secrets\"], Verbs:[\"get\"]}");
	fx_refused(&f, STRANGER, 403, "PATCH", ROLES "/mine", "{\"rules\":[" RULE("\"*\"", "\"*\"") "]}",
		   "not currently held");
	cr_assert(status_of(STRANGER, "PATCH", ROLES "/mine", MERGE, "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}") ==
		  200);
	cr_assert(status_of(STRANGER, "POST", BINDS, "application/json", BINDING("ok", "Role", "r", "friend")) == 201);
	fx_refused(&f, STRANGER, 403, "POST", BINDS, BINDING("no", "Role", "big", "stranger"), "not currently held");
	fx_refused(&f, STRANGER, 403, "POST", BINDS, BINDING("no", "ClusterRole", "cluster-admin", "stranger"),
		   "not currently held");
	fx_refused(&f, STRANGER, 404, "POST", BINDS, BINDING("no", "Role", "none", "stranger"), "not found");
	/* bind and escalate are rights of their own */
	fx_do(&f, 201, "POST", ROLES,
	      ROLE("more", "{\"verbs\":[\"bind\",\"escalate\"],\"apiGroups\":[\"rbac.authorization.k8s.io\"],"
			   "\"resources\":[\"roles\"],\"resourceNames\":[\"big\"]}"));
	fx_do(&f, 201, "POST", BINDS, BINDING("b3", "Role", "more", "stranger"));
	cr_assert(status_of(STRANGER, "POST", BINDS, "application/json", BINDING("yes", "Role", "big", "friend")) ==
		  201);
	cr_assert(status_of(STRANGER, "PATCH", ROLES "/big", MERGE, "{\"rules\":[" RULE("\"*\"", "\"*\"") "]}") == 200);
	fx_refused(&f, STRANGER, 403, "PATCH", ROLES "/r", "{\"rules\":[" RULE("\"*\"", "\"nodes\"") "]}",
		   "not currently held");
}

Test(authz, names_by_path_and_field_selector)
{
	fx_do(&f, 201, "POST", CMS, CM("one", ""));
	fx_do(&f, 201, "POST", CMS, CM("two", ""));
	fx_do(&f, 201, "POST", ROLES,
	      ROLE("n", "{\"verbs\":[\"get\",\"list\"],\"apiGroups\":[\"\"],\"resources\":[\"configmaps\"],"
			"\"resourceNames\":[\"one\"]}"));
	fx_do(&f, 201, "POST", BINDS, BINDING("b", "Role", "n", "stranger"));
	cr_assert(status_of(STRANGER, "GET", CMS "/one", NULL, NULL) == 200);
	cr_assert(status_of(STRANGER, "GET", CMS "/two", NULL, NULL) == 403);
	cr_assert(status_of(STRANGER, "GET", CMS, NULL, NULL) == 403);
	cr_assert(status_of(STRANGER, "GET", CMS "?fieldSelector=metadata.name%3Done", NULL, NULL) == 200);
	cr_assert(status_of(STRANGER, "GET", CMS "?fieldSelector=metadata.name%3Dtwo", NULL, NULL) == 403);
	cr_assert(status_of(STRANGER, "GET", CMS "?fieldSelector=metadata.name!%3Dtwo", NULL, NULL) == 403);
}

/* What is there and what is not are refused in the same words. */
Test(authz, a_refusal_does_not_tell_what_exists)
{
	static const char *const there = "/api/v1/namespaces/default/secrets/a",
				 *const missing = "/api/v1/namespaces/default/secrets/b";
	static const char *const methods[] = { "GET", "DELETE", "PUT", "PATCH" };
	static const enum who askers[] = { STRANGER, ANONYMOUS, NODE1, SCHEDULER };

	fx_do(&f, 201, "POST", "/api/v1/namespaces/default/secrets",
	      "{\"kind\":\"Secret\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"a\"}}");
	for (size_t m = 0; m < 4; m++)
		for (size_t w = 0; w < 4; w++) {
			struct answer a = fx_call(&f, askers[w], methods[m], there, MERGE, NULL, "{}");
			struct answer b = fx_call(&f, askers[w], methods[m], missing, MERGE, NULL, "{}");
			char *p;

			cr_assert(a.status == (askers[w] == ANONYMOUS ? 401 : 403) && b.status == a.status, "%d",
				  a.status);
			while ((p = strstr(a.text, "\"a\\\"")) || (p = strstr(a.text, "\\\"a\\\"")))
				p[p[0] == '\\' ? 2 : 1] = 'b';
			cr_assert_str_eq(a.text, b.text);
			answer_done(&a);
			answer_done(&b);
		}
	/* nor which kinds or namespaces there are */
	cr_assert(status_of(STRANGER, "GET", "/api/v1/namespaces/nope/pods", NULL, NULL) == 403);
	cr_assert(status_of(STRANGER, "GET", "/apis/none.example/v1/things", NULL, NULL) == 403);
	cr_assert(status_of(ANONYMOUS, "GET", "/apis/none.example/v1/things", NULL, NULL) == 401);
	cr_assert(status_of(ANONYMOUS, "GET", "/apis", NULL, NULL) == 401);
	cr_assert(status_of(ANONYMOUS, "GET", "/version", NULL, NULL) == 200);
	cr_assert(status_of(ANONYMOUS, "GET", "/metrics", NULL, NULL) == 401);
}

#define POD_WITH(name, node, secret)                                                                                   \
	POD(name,                                                                                                      \
	    "\"nodeName\":\"" node "\",\"volumes\":[{\"name\":\"v\",\"secret\":{\"secretName\":\"" secret "\"}}],")

Test(authz, nodes_get_what_their_pods_refer_to)
{
#define SECRETS "/api/v1/namespaces/default/secrets"
	fx_do(&f, 201, "POST", SECRETS, "{\"kind\":\"Secret\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"s\"}}");
	fx_do(&f, 201, "POST", SECRETS, "{\"kind\":\"Secret\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"t\"}}");
	fx_do(&f, 201, "POST", PODS, POD_WITH("mine", "node-1", "s"));
	fx_do(&f, 201, "POST", PODS, POD_WITH("other", "node-2", "t"));
	/* the cache shows the pod before its watchers see it */
	fx_do(&f, 200, "GET", PODS "/other", NULL);
	cr_assert(status_of(NODE1, "GET", SECRETS "/s", NULL, NULL) == 200);
	cr_assert(status_of(NODE1, "GET", SECRETS "?fieldSelector=metadata.name%3Ds", NULL, NULL) == 200);
	fx_refused(&f, NODE1, 403, "GET", SECRETS "/t", NULL,
		   "no relationship found between node 'node-1' and this object");
	cr_assert(status_of(NODE1, "GET", SECRETS, NULL, NULL) == 403);
	cr_assert(status_of(NODE1, "GET", "/api/v1/secrets", NULL, NULL) == 403);
	cr_assert(status_of(NODE1, "PATCH", SECRETS "/s", MERGE, "{\"data\":{}}") == 403);
	fx_do(&f, 200, "DELETE", PODS "/mine?gracePeriodSeconds=0", NULL);
	fx_do(&f, 404, "GET", PODS "/mine", NULL);
	cr_assert(status_of(NODE1, "GET", SECRETS "/s", NULL, NULL) == 403);
}

Test(authz, nodes_change_only_what_is_theirs)
{
#define NODES "/api/v1/nodes"
#define NODE(name, labels)                                                                                             \
	"{\"kind\":\"Node\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"" name "\",\"labels\":{" labels "}}}"
#define REPORT(name)                                                                                                   \
	"{\"kind\":\"NodeDataPlane\",\"apiVersion\":\"skep.io/v1alpha1\",\"metadata\":{\"name\":\"" name "\"}}"
	static const char lease[] = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
	static const char reports[] = "/apis/skep.io/v1alpha1/nodedataplanes";

	fx_refused(&f, NODE1, 403, "POST", NODES, NODE("node-1", "\"node-restriction.kubernetes.io/x\":\"y\""),
		   "is not allowed to set the following labels: node-restriction.kubernetes.io/x");
	fx_refused(&f, NODE1, 403, "POST", NODES, NODE("node-1", "\"node-role.kubernetes.io/control-plane\":\"\""),
		   "is not allowed to set the following labels");
	cr_assert(status_of(NODE1, "POST", NODES, "application/json",
			    NODE("node-1", "\"kubernetes.io/os\":\"linux\",\"mine\":\"1\"")) == 201);
	fx_do(&f, 201, "POST", NODES, NODE("node-2", ""));
	fx_refused(&f, NODE1, 403, "PATCH", NODES "/node-1",
		   "{\"metadata\":{\"labels\":{\"node-restriction.kubernetes.io/x\":\"y\"}}}",
		   "is not allowed to modify labels");
	fx_refused(&f, NODE1, 403, "PATCH", NODES "/node-1",
		   "{\"spec\":{\"taints\":[{\"key\":\"a\",\"effect\":\"NoSchedule\"}]}}",
		   "is not allowed to modify taints");
	fx_refused(&f, NODE1, 403, "PATCH", NODES "/node-2", "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}",
		   "cannot patch");
	cr_assert(status_of(NODE1, "PATCH", NODES "/node-1", MERGE, "{\"metadata\":{\"labels\":{\"mine\":\"2\"}}}") ==
		  200);
	cr_assert(status_of(NODE1, "DELETE", NODES "/node-1", NULL, NULL) == 403);
	fx_refused(&f, NODE1, 403, "POST", lease,
		   "{\"kind\":\"Lease\",\"apiVersion\":\"coordination.k8s.io/v1\",\"metadata\":{\"name\":\"node-2\"}}",
		   "can only access node lease with the same name as the requesting node");
	fx_refused(&f, NODE1, 403, "POST", reports, REPORT("node-2"),
		   "can only access NodeDataPlane with the same name as the requesting node");
	cr_assert(status_of(NODE1, "POST", reports, "application/json", REPORT("node-1")) == 201);
	fx_do(&f, 201, "POST", reports, REPORT("node-2"));
	cr_assert(status_of(NODE1, "PATCH", "/apis/skep.io/v1alpha1/nodedataplanes/node-1/status", MERGE,
			    "{\"status\":{\"services\":1}}") == 200);
	cr_assert(status_of(NODE1, "PATCH", "/apis/skep.io/v1alpha1/nodedataplanes/node-2/status", MERGE,
			    "{\"status\":{\"services\":1}}") == 403);
	cr_assert(status_of(NODE1, "PATCH", "/apis/skep.io/v1alpha1/nodedataplanes/node-1", MERGE,
			    "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}") == 403);
	cr_assert(status_of(NODE1, "DELETE", "/apis/skep.io/v1alpha1/nodedataplanes/node-1", NULL, NULL) == 403);
	fx_refused(&f, NODE1, 403, "POST", PODS, POD("p", "\"nodeName\":\"node-1\","), "can only create mirror pods");
	fx_do(&f, 201, "POST", PODS, POD("p", "\"nodeName\":\"node-1\","));
	fx_refused(&f, NODE1, 403, "PATCH", PODS "/p/status", "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}",
		   "cannot update labels through pod status");
}

static void review(enum who who, const char *plural, const char *spec, bool want)
{
	char path[160], body[512];
	struct answer a;

	snprintf(path, sizeof(path), "/apis/authorization.k8s.io/v1/%s", plural);
	snprintf(body, sizeof(body), "{\"spec\":{%s}}", spec);
	a = fx_call(&f, who, "POST", path, "application/json", NULL, body);
	cr_assert(a.status == 201, "%s: %d %s", spec, a.status, a.text);
	cr_assert(json_is_boolean(api_get(a.json, "status.allowed")));
	cr_assert(json_is_true(api_get(a.json, "status.allowed")) == want, "%s: %s", spec, a.text);
	answer_done(&a);
}

Test(authz, access_reviews)
{
#define LIST_PODS "\"resourceAttributes\":{\"namespace\":\"default\",\"verb\":\"list\",\"resource\":\"pods\"}"
	json_t *v;

	review(STRANGER, "selfsubjectaccessreviews", LIST_PODS, false);
	review(ADMIN, "selfsubjectaccessreviews", LIST_PODS, true);
	review(NODE1, "selfsubjectaccessreviews", LIST_PODS, true);
	review(STRANGER, "selfsubjectaccessreviews",
	       "\"nonResourceAttributes\":{\"path\":\"/version\",\"verb\":\"get\"}", true);
	review(ADMIN, "subjectaccessreviews", LIST_PODS ",\"user\":\"stranger\"", false);
	review(ADMIN, "subjectaccessreviews", LIST_PODS ",\"user\":\"x\",\"groups\":[\"system:masters\"]", true);
	fx_do(&f, 201, "POST", ROLES, ROLE("reader", RULE("\"list\"", "\"pods\"")));
	fx_do(&f, 201, "POST", BINDS, BINDING("b", "Role", "reader", "stranger"));
	review(ADMIN, "subjectaccessreviews", LIST_PODS ",\"user\":\"stranger\"", true);
	review(STRANGER, "selfsubjectaccessreviews", LIST_PODS, true);
	review(ADMIN, "namespaces/default/localsubjectaccessreviews", LIST_PODS ",\"user\":\"stranger\"", true);
	fx_refused(&f, ADMIN, 400, "POST",
		   "/apis/authorization.k8s.io/v1/namespaces/kube-system/localsubjectaccessreviews",
		   "{\"spec\":{" LIST_PODS ",\"user\":\"stranger\"}}", "must match namespace");
	fx_refused(&f, ADMIN, 422, "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews",
		   "{\"spec\":{" LIST_PODS "}}", "at least one of user or group must be specified");
	fx_refused(&f, ADMIN, 422, "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "{\"spec\":{}}",
		   "exactly one of");
	cr_assert(status_of(STRANGER, "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", "application/json",
			    "{\"spec\":{" LIST_PODS ",\"user\":\"x\"}}") == 403);
	v = fx_expect(&f, 201, "POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
		      "{\"spec\":{\"namespace\":\"default\"}}");
	cr_assert(json_is_false(api_get(v, "status.incomplete")));
	cr_assert_str_eq(json_string_value(json_array_get(
				 json_object_get(json_array_get(api_get(v, "status.resourceRules"), 0), "verbs"), 0)),
			 "*");
	json_decref(v);
}
