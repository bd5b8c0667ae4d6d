/* SPDX-License-Identifier: Apache-2.0 */
/* The finer rules of writes, in which kinds differ: versions, missing objects, status, options, and what deletions
 * answer. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"

#define NS	  "/api/v1/namespaces/default"
#define LEASES	  "/apis/coordination.k8s.io/v1/namespaces/default/leases"
#define PDBS	  "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
#define ROLES	  "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles"
#define DEPLOYS	  "/apis/apps/v1/namespaces/default/deployments"
#define SCHEMAS	  "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas"
#define STRATEGIC "application/strategic-merge-patch+json"

static struct fx f;

static void setup(void)
{
	fx_init(&f);
	fx_start(&f);
}

static void teardown(void)
{
	fx_done(&f);
}

TestSuite(writes, .init = setup, .fini = teardown, .timeout = 180);

/* The Status of a refusal: its message, and the field of its first cause. */
static void expect_cause(const char *method, const char *path, const char *body, const char *message, const char *field)
{
	json_t *st = fx_expect(&f, 422, method, path, body);

	cr_assert_str_eq(api_get_str(st, "reason"), "Invalid");
	cr_assert_str_eq(api_get_str(st, "message"), message);
	cr_assert_str_eq(api_get_str(json_array_get(api_get(st, "details.causes"), 0), "field"), field);
	json_decref(st);
}

Test(writes, put_makes_what_is_missing_of_some_kinds)
{
	static const struct {
		const char *path, *body;
		int status;
	} t[] = {
		{ LEASES "/a", "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"holderIdentity\":\"me\"}}", 201 },
		{ ROLES "/a", "{\"metadata\":{\"name\":\"a\"},\"rules\":[]}", 201 },
		{ NS "/services/a", "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"ports\":[{\"port\":80}]}}", 201 },
		{ NS "/endpoints/e", "{\"metadata\":{\"name\":\"e\"}}", 201 },
		{ NS "/limitranges/a", "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"limits\":[{\"type\":\"Pod\"}]}}",
		  201 },
		{ NS "/configmaps/a", "{\"metadata\":{\"name\":\"a\"}}", 404 },
		{ NS "/secrets/a", "{\"metadata\":{\"name\":\"a\"}}", 404 },
		{ NS "/pods/a", POD("a", ""), 404 },
		{ LEASES "/b", "{\"metadata\":{\"name\":\"b\",\"uid\":\"gone\"}}", 409 },
		{ LEASES "/b", "{\"metadata\":{\"name\":\"b\",\"resourceVersion\":\"5\"}}", 409 },
		{ LEASES "/b", "{\"metadata\":{\"name\":\"c\"}}", 400 },
		{ "/api/v1/namespaces/none/services/a",
		  "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"ports\":[{\"port\":80}]}}", 404 },
	};
	json_t *o;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct answer a = fx_call(&f, ADMIN, "PUT", t[i].path, NULL, NULL, t[i].body);

		cr_assert(a.status == t[i].status, "case %zu: %d: %s", i, a.status, a.text);
		answer_done(&a);
	}
	o = fx_expect(&f, 200, "GET", LEASES "/a", NULL);
	cr_assert(api_get_str(o, "metadata.uid") && api_get_str(o, "metadata.creationTimestamp"));
	cr_assert_str_eq(api_get_str(json_array_get(api_get(o, "metadata.managedFields"), 0), "operation"), "Update");
	json_decref(o);
	o = fx_expect(&f, 200, "GET", NS "/services/a", NULL);
	cr_assert(api_get_str(o, "spec.clusterIP"));
	json_decref(o);
	/* an update of the same makes nothing */
	fx_do(&f, 200, "PUT", ROLES "/a", t[1].body);
}

Test(writes, making_by_put_needs_leave_to_create)
{
	fx_do(&f, 201, "POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles",
	      "{\"metadata\":{\"name\":\"updater\"},\"rules\":[{\"apiGroups\":[\"coordination.k8s.io\"],\"resources\":"
	      "[\"leases\"],\"verbs\":[\"update\"]}]}");
	fx_do(&f, 201, "POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
	      "{\"metadata\":{\"name\":\"updater\"},\"roleRef\":{\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":"
	      "\"ClusterRole\",\"name\":\"updater\"},\"subjects\":[{\"kind\":\"Group\",\"apiGroup\":"
	      "\"rbac.authorization.k8s.io\",\"name\":\"system:authenticated\"}]}");
	fx_refused(&f, STRANGER, 403, "PUT", LEASES "/a", "{\"metadata\":{\"name\":\"a\"}}", "cannot create resource");
	fx_do(&f, 404, "GET", LEASES "/a", NULL);
}

Test(writes, some_kinds_are_never_overwritten_blindly)
{
	static const char pdb[] = "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"minAvailable\":1}}";
	cleanup(free) char *text = NULL;
	json_t *o;

	fx_do(&f, 201, "POST", LEASES, "{\"metadata\":{\"name\":\"a\"}}");
	expect_cause(
		"PUT", LEASES "/a", "{\"metadata\":{\"name\":\"a\"}}",
		"Lease.coordination.k8s.io \"a\" is invalid: metadata.resourceVersion: Invalid value: 0x0: must be "
		"specified for an update",
		"metadata.resourceVersion");
	fx_do(&f, 201, "POST", PDBS, pdb);
	fx_refused(&f, ADMIN, 422, "PUT", PDBS "/a", pdb, "must be specified for an update");
	fx_refused(&f, ADMIN, 422, "PUT", PDBS "/a/status", pdb, "must be specified for an update");
	/* patches read for themselves */
	fx_do(&f, 200, "PATCH", LEASES "/a", "{\"spec\":{\"holderIdentity\":\"x\"}}");
	o = fx_expect(&f, 200, "GET", LEASES "/a", NULL);
	json_object_set_new(api_get(o, "spec"), "holderIdentity", json_string("y"));
	text = json_dumps(o, 0);
	fx_do(&f, 200, "PUT", LEASES "/a", text);
	fx_do(&f, 409, "PUT", LEASES "/a", text);
	json_decref(o);
}

/* Kubernetes' conformance tests mark what they patch through the status by an annotation. */
Test(writes, a_status_write_may_change_metadata_where_kubernetes_lets_it)
{
	static const struct {
		const char *collection, *body, *name;
		bool annotation, label;
	} t[] = {
		{ NS "/services", "{\"metadata\":{\"name\":\"s\"},\"spec\":{\"ports\":[{\"port\":80}]}}", "s", true,
		  true },
		{ NS "/pods", POD("p", ""), "p", true, true },
		{ DEPLOYS,
		  "{\"metadata\":{\"name\":\"d\"},\"spec\":{\"selector\":{\"matchLabels\":{\"a\":\"b\"}},\"template\":{"
		  "\"metadata\":{\"labels\":{\"a\":\"b\"}},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}}}",
		  "d", true, false },
		{ "/apis/batch/v1/namespaces/default/jobs",
		  "{\"metadata\":{\"name\":\"j\"},\"spec\":{\"template\":{\"spec\":{\"restartPolicy\":\"Never\",\"containers\":"
		  "[{\"name\":\"c\",\"image\":\"i\"}]}}}}",
		  "j", true, true },
		{ "/apis/networking.k8s.io/v1/namespaces/default/ingresses",
		  "{\"metadata\":{\"name\":\"i\"},\"spec\":{\"defaultBackend\":{\"service\":{\"name\":\"s\",\"port\":{"
		  "\"number\":80}}}}}",
		  "i", true, true },
		{ PDBS, "{\"metadata\":{\"name\":\"b\"},\"spec\":{\"minAvailable\":1}}", "b", true, true },
		{ SCHEMAS,
		  "{\"metadata\":{\"name\":\"f\"},\"spec\":{\"priorityLevelConfiguration\":{\"name\":\"catch-all\"}}}",
		  "f", false, false },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct answer a;
		char path[256];
		json_t *o;

		fx_do(&f, 201, "POST", t[i].collection, t[i].body);
		snprintf(path, sizeof(path), "%s/%s/status", t[i].collection, t[i].name);
		a = fx_call(&f, ADMIN, "PATCH", path, "application/merge-patch+json", NULL,
			    "{\"metadata\":{\"annotations\":{\"patched\":\"true\"},\"labels\":{\"l\":\"m\"}}}");
		cr_assert(a.status == 200, "case %zu: %s", i, a.text);
		answer_done(&a);
		snprintf(path, sizeof(path), "%s/%s", t[i].collection, t[i].name);
		o = fx_expect(&f, 200, "GET", path, NULL);
		cr_assert(!!api_get_str(o, "metadata.annotations.patched") == t[i].annotation, "case %zu", i);
		cr_assert(!!api_get_str(o, "metadata.labels.l") == t[i].label, "case %zu", i);
		json_decref(o);
	}
}

Test(writes, options_are_refused_under_their_own_names)
{
	static const struct {
		const char *method, *path, *body, *message, *field;
	} t[] = {
		{ "POST", CMS "?dryRun=Some", CM("b", ""),
		  "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: []string{\"Some\"}: supported values: "
		  "\"All\"",
		  "dryRun" },
		{ "PUT", CMS "/a?fieldValidation=Loose", CM("a", ""),
		  "UpdateOptions.meta.k8s.io \"\" is invalid: fieldValidation: Unsupported value: \"Loose\": supported values: "
		  "\"\", \"Ignore\", \"Strict\", \"Warn\"",
		  "fieldValidation" },
		{ "PATCH", CMS "/a?fieldValidation=Loose", "{}",
		  "PatchOptions.meta.k8s.io \"\" is invalid: fieldValidation: Unsupported value: \"Loose\": supported values: "
		  "\"\", \"Ignore\", \"Strict\", \"Warn\"",
		  "fieldValidation" },
		{ "DELETE", CMS "/a", "{\"dryRun\":[\"None\"]}",
		  "DeleteOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: []string{\"None\"}: supported values: "
		  "\"All\"",
		  "dryRun" },
		{ "DELETE", CMS "/a?propagationPolicy=Sideways", NULL,
		  "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \"Sideways\": supported "
		  "values: \"Background\", \"Foreground\", \"Orphan\", \"nil\"",
		  "propagationPolicy" },
		{ "DELETE", CMS "/a", "{\"propagationPolicy\":\"Orphan\",\"orphanDependents\":true}",
		  "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Invalid value: orphanDependents and "
		  "deletionPropagation cannot be both set",
		  "propagationPolicy" },
		{ "GET", CMS "?resourceVersionMatch=Exact", NULL,
		  "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden "
		  "unless resourceVersion is provided",
		  "resourceVersionMatch" },
		{ "GET", CMS "?resourceVersionMatch=Exact&resourceVersion=0", NULL,
		  "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch \"exact\" is "
		  "forbidden for resourceVersion \"0\"",
		  "resourceVersionMatch" },
		{ "GET", CMS "?sendInitialEvents=true", NULL,
		  "ListOptions.meta.k8s.io \"\" is invalid: sendInitialEvents: Forbidden: sendInitialEvents is forbidden for "
		  "list",
		  "sendInitialEvents" },
		{ "GET", CMS "?watch=1&sendInitialEvents=true", NULL,
		  "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires setting "
		  "resourceVersionMatch to NotOlderThan",
		  "resourceVersionMatch" },
		{ "GET", CMS "?watch=1&resourceVersion=1&resourceVersionMatch=Exact", NULL,
		  "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden "
		  "for watch unless sendInitialEvents is provided",
		  "resourceVersionMatch" },
	};

	fx_do(&f, 201, "POST", CMS, CM("a", ""));
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		expect_cause(t[i].method, t[i].path, t[i].body, t[i].message, t[i].field);
	fx_do(&f, 200, "DELETE", CMS "/a", "{\"dryRun\":[\"All\"]}");
	fx_do(&f, 200, "GET", CMS "/a", NULL);
	fx_do(&f, 400, "DELETE", CMS "/a", "{\"gracePeriodSeconds\":\"soon\"}");
	fx_do(&f, 200, "DELETE", CMS "/a", "{\"gracePeriodSeconds\":-1}");
}

Test(writes, what_a_deletion_answers_depends_on_the_kind)
{
	static const struct {
		const char *collection, *name, *body, *kind;
	} t[] = {
		{ CMS, "a", CM("a", ""), "Status" },
		{ NS "/secrets", "a", "{\"metadata\":{\"name\":\"a\"}}", "Status" },
		{ DEPLOYS, "d",
		  "{\"metadata\":{\"name\":\"d\"},\"spec\":{\"selector\":{\"matchLabels\":{\"a\":\"b\"}},\"template\":{"
		  "\"metadata\":{\"labels\":{\"a\":\"b\"}},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}}}",
		  "Status" },
		{ LEASES, "a", "{\"metadata\":{\"name\":\"a\"}}", "Status" },
		{ PODS, "p", POD("p", ""), "Pod" },
		{ NS "/serviceaccounts", "s", "{\"metadata\":{\"name\":\"s\"}}", "ServiceAccount" },
		{ NS "/services", "s", "{\"metadata\":{\"name\":\"s\"},\"spec\":{\"ports\":[{\"port\":80}]}}",
		  "Service" },
		{ NS "/resourcequotas", "q", "{\"metadata\":{\"name\":\"q\"}}", "ResourceQuota" },
		{ "/apis/storage.k8s.io/v1/storageclasses", "c",
		  "{\"metadata\":{\"name\":\"c\"},\"provisioner\":\"x.io/p\"}", "StorageClass" },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		json_t *made = fx_expect(&f, 201, "POST", t[i].collection, t[i].body), *o;
		char path[256];

		snprintf(path, sizeof(path), "%s/%s", t[i].collection, t[i].name);
		o = fx_expect(&f, 200, "DELETE", path, NULL);
		cr_assert_str_eq(api_get_str(o, "kind"), t[i].kind);
		if (streq(t[i].kind, "Status")) {
			cr_assert_str_eq(api_get_str(o, "details.name"), t[i].name);
			cr_assert_str_eq(api_get_str(o, "details.uid"), api_get_str(made, "metadata.uid"));
			cr_assert_str_eq(api_get_str(o, "details.kind"), strrchr(t[i].collection, '/') + 1);
		} else {
			cr_assert_str_eq(api_get_str(o, "metadata.uid"), api_get_str(made, "metadata.uid"));
		}
		json_decref(o);
		json_decref(made);
		fx_do(&f, 404, "GET", path, NULL);
	}
}

/* Kubernetes' table of resourceVersion and limit: a page at a revision is of that revision. */
Test(writes, the_first_page_at_a_revision_is_exact)
{
	char path[256], rev[32];
	json_t *o;

	fx_do(&f, 201, "POST", CMS, CM("a", ""));
	o = fx_expect(&f, 201, "POST", CMS, CM("b", ""));
	snprintf(rev, sizeof(rev), "%s", api_get_str(o, "metadata.resourceVersion"));
	json_decref(o);
	fx_do(&f, 200, "DELETE", CMS "/b", NULL);
	fx_do(&f, 201, "POST", CMS, CM("c", ""));
	snprintf(path, sizeof(path), CMS "?limit=10&resourceVersion=%s", rev);
	o = fx_expect(&f, 200, "GET", path, NULL);
	cr_assert_eq(json_array_size(json_object_get(o, "items")), 2);
	cr_assert_str_eq(api_get_str(json_array_get(json_object_get(o, "items"), 1), "metadata.name"), "b");
	cr_assert_str_eq(api_get_str(o, "metadata.resourceVersion"), rev);
	json_decref(o);
	snprintf(path, sizeof(path), CMS "?limit=10&resourceVersionMatch=NotOlderThan&resourceVersion=%s", rev);
	o = fx_expect(&f, 200, "GET", path, NULL);
	cr_assert_str_eq(api_get_str(json_array_get(json_object_get(o, "items"), 1), "metadata.name"), "c");
	json_decref(o);
	snprintf(path, sizeof(path), CMS "?resourceVersion=%s", rev);
	o = fx_expect(&f, 200, "GET", path, NULL);
	cr_assert_str_eq(api_get_str(json_array_get(json_object_get(o, "items"), 1), "metadata.name"), "c");
	json_decref(o);
}

Test(writes, a_clients_timeout_counts)
{
	struct answer a;

	fx_refused(&f, ADMIN, 400, "GET", CMS "?timeout=soon", NULL, "invalid timeout specified in the request URL");
	fx_do(&f, 200, "GET", CMS "?timeout=32s", NULL);
	/* what would be waited for three seconds */
	a = fx_call(&f, ADMIN, "GET", CMS "?resourceVersion=1000000&timeout=1ms", NULL, NULL, NULL);
	cr_assert(a.status == 504 && strstr(a.text, "did not complete within the allowed duration"), "%s", a.text);
	answer_done(&a);
}

Test(writes, answers_are_laid_out_for_people_who_ask)
{
	struct answer a, b;

	fx_do(&f, 201, "POST", CMS, CM("a", "\"k\":\"v\""));
	a = fx_call(&f, ADMIN, "GET", CMS "/a?pretty=true", NULL, NULL, NULL);
	b = fx_call(&f, ADMIN, "GET", CMS "/a?pretty=false", NULL, NULL, NULL);
	cr_assert(strstr(a.text, "{\n  \"kind\": \"ConfigMap\",\n  \"apiVersion\": \"v1\",\n"), "%s", a.text);
	cr_assert(!strchr(b.text, '\n') && json_equal(a.json, b.json));
	answer_done(&a);
	answer_done(&b);
	a = fx_call(&f, ADMIN, "GET", CMS "/none?pretty=1", NULL, NULL, NULL);
	cr_assert(a.status == 404 && strstr(a.text, "\n  \"reason\": \"NotFound\""));
	answer_done(&a);
	a = fx_call(&f, ADMIN, "GET", CMS "?pretty=1", NULL, NULL, NULL);
	cr_assert(strstr(a.text, "\n  \"items\": [\n"));
	answer_done(&a);
	a = fx_call(&f, ADMIN, "GET", CMS "/a?pretty=1", NULL, "application/yaml", NULL);
	cr_assert(strstr(a.text, "kind: ConfigMap\n"));
	answer_done(&a);
}

Test(writes, who_finalizes_a_namespace_owns_what_it_changed)
{
	bool found = false;
	json_t *o, *e;
	size_t i;

	fx_do(&f, 201, "POST", "/api/v1/namespaces", "{\"metadata\":{\"name\":\"n\"}}");
	o = fx_expect(&f, 200, "PUT", "/api/v1/namespaces/n/finalize?fieldManager=me",
		      "{\"metadata\":{\"name\":\"n\"},\"spec\":{\"finalizers\":[\"kubernetes\",\"x.io/mine\"]}}");
	cr_assert_eq(json_array_size(api_get(o, "spec.finalizers")), 2);
	json_array_foreach (api_get(o, "metadata.managedFields"), i, e)
		found = found ||
			(streq(api_get_str(e, "manager"), "me") && streq(api_get_str(e, "subresource"), "finalize") &&
			 api_get(e, "fieldsV1.f:spec.f:finalizers"));
	cr_assert(found);
	json_decref(o);
}
