/* SPDX-License-Identifier: Apache-2.0 */
/* create, get, update, patch and delete against a running server: semantics that clients rely on. */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

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

TestSuite(registry, .init = setup, .fini = teardown, .timeout = 180);

Test(registry, a_new_cluster_has_its_namespaces_and_service)
{
	static const char *const names[] = { "default", "kube-system", "kube-public", "kube-node-lease" };
	json_t *o;

	for (size_t i = 0; i < 4; i++) {
		char path[128];

		snprintf(path, sizeof(path), "/api/v1/namespaces/%s", names[i]);
		o = fx_expect(&f, 200, "GET", path, NULL);
		cr_assert_str_eq(api_get_str(o, "status.phase"), "Active");
		cr_assert_str_eq(json_string_value(
					 json_object_get(api_get(o, "metadata.labels"), "kubernetes.io/metadata.name")),
				 names[i]);
		json_decref(o);
	}
	o = fx_expect(&f, 200, "GET", "/api/v1/namespaces/default/services/kubernetes", NULL);
	cr_assert_str_eq(api_get_str(o, "spec.clusterIP"), "10.96.0.1");
	json_decref(o);
	o = fx_expect(&f, 200, "GET", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes", NULL);
	cr_assert_str_eq(json_string_value(json_array_get(
				 api_get(json_array_get(json_object_get(o, "endpoints"), 0), "addresses"), 0)),
			 "10.1.2.3");
	json_decref(o);
}

Test(registry, create_sets_what_is_the_servers)
{
	json_t *o = fx_expect(
		&f, 201, "POST", PODS,
		"{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"a\",\"uid\":\"mine\",\"creationTimestamp\":"
		"\"2001-01-01T00:00:00Z\",\"generation\":7},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}]},"
		"\"status\":{\"phase\":\"Running\"}}");

	cr_assert(strlen(api_get_str(o, "metadata.uid")) == 36);
	cr_assert(strncmp(api_get_str(o, "metadata.creationTimestamp"), "2001", 4) != 0);
	cr_assert(api_get_int(o, "metadata.generation", 0) == 1);
	cr_assert(atoll(api_get_str(o, "metadata.resourceVersion")) > 0);
	cr_assert_str_eq(api_get_str(o, "metadata.namespace"), "default");
	cr_assert_str_eq(api_get_str(o, "status.phase"), "Pending");
	cr_assert_str_eq(api_get_str(o, "status.qosClass"), "BestEffort");
	cr_assert_str_eq(api_get_str(o, "spec.restartPolicy"), "Always");
	json_decref(o);
	fx_refused(&f, ADMIN, 409, "POST", PODS, POD("a", ""), "pods \"a\" already exists");
	fx_refused(&f, ADMIN, 400, "POST", PODS,
		   "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"b\",\"resourceVersion\":\"3\"}}",
		   "resourceVersion should not be set on objects to be created");
}

Test(registry, names_are_generated_and_differ)
{
	static const char body[] =
		"{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"generateName\":\"x-\"}}";
	json_t *a = fx_expect(&f, 201, "POST", CMS, body), *b = fx_expect(&f, 201, "POST", CMS, body);
	const char *n = api_get_str(a, "metadata.name");

	cr_assert(strlen(n) == 7 && !strncmp(n, "x-", 2));
	cr_assert_str_neq(n, api_get_str(b, "metadata.name"));
	json_decref(a);
	json_decref(b);
	fx_refused(&f, ADMIN, 422, "POST", CMS, "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{}}",
		   "name or generateName is required");
}

Test(registry, bad_requests_are_told_in_kubernetes_words)
{
	struct answer a;

	fx_refused(&f, ADMIN, 404, "GET", CMS "/none", NULL, "configmaps \"none\" not found");
	fx_refused(&f, ADMIN, 404, "GET", "/apis/apps/v1/namespaces/default/deployments/none", NULL,
		   "deployments.apps \"none\" not found");
	fx_refused(&f, ADMIN, 404, "GET", "/apis/nope/v1/things", NULL, "could not find the requested resource");
	fx_refused(&f, ADMIN, 404, "GET", "/api/v1/things", NULL, "could not find the requested resource");
	fx_refused(&f, ADMIN, 404, "GET", "/apis/apps/v2/deployments", NULL, "could not find the requested resource");
	fx_refused(&f, ADMIN, 405, "POST", "/api/v1/pods", POD("a", ""), "does not allow this method");
	fx_refused(&f, ADMIN, 405, "PUT", CMS, CM("a", ""), "does not allow this method");
	fx_refused(&f, ADMIN, 404, "POST", "/api/v1/namespaces/nope/configmaps", CM("a", ""),
		   "namespaces \"nope\" not found");
	fx_refused(&f, ADMIN, 400, "POST", CMS, "{", "");
	fx_refused(&f, ADMIN, 400, "POST", CMS, "[]", "not an object");
	fx_refused(&f, ADMIN, 400, "POST", CMS, POD("a", ""), "does not match the expected kind");
	fx_refused(&f, ADMIN, 400, "POST", CMS,
		   "{\"apiVersion\":\"v2\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"a\"}}",
		   "does not match the expected API version");
	fx_refused(&f, ADMIN, 400, "POST", CMS,
		   "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"a\",\"namespace\":"
		   "\"other\"}}",
		   "does not match the namespace sent on the request");
	fx_refused(&f, ADMIN, 422, "POST", CMS, CM("A_b", ""), "metadata.name");
	fx_refused(&f, ADMIN, 400, "GET", CMS "?labelSelector=a%3D%3D%3Db", NULL, "unable to parse");
	fx_refused(&f, ADMIN, 400, "GET", CMS "?fieldSelector=spec.x%3D1", NULL, "field label not supported");
	a = fx_call(&f, ADMIN, "POST", CMS, "application/vnd.kubernetes.protobuf", NULL, "k8s");
	cr_assert(a.status == 400);
	answer_done(&a);
	a = fx_call(&f, ADMIN, "POST", CMS, "text/plain", NULL, "hello");
	cr_assert(a.status == 415);
	answer_done(&a);
	a = fx_call(&f, ADMIN, "GET", CMS, NULL, "text/html", NULL);
	cr_assert(a.status == 406);
	answer_done(&a);
	a = fx_call(&f, ADMIN, "GET", CMS, NULL, "application/vnd.kubernetes.protobuf,application/json", NULL);
	cr_assert(a.status == 200);
	answer_done(&a);
}

Test(registry, a_body_of_4_mb_is_refused_and_changes_nothing)
{
	size_t n = 4 << 20;
	char *body = malloc(n + 200);
	struct answer a;

	cr_assert(body);
	memset(body, 'x', n + 199);
	memcpy(body, "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"big\"},\"data\":{\"a\":\"",
	       76);
	strcpy(body + n, "\"}}");
	a = fx_call(&f, ADMIN, "POST", CMS, "application/json", NULL, body);
	cr_assert(a.status == 413);
	answer_done(&a);
	free(body);
	fx_do(&f, 404, "GET", CMS "/big", NULL);
}

Test(registry, unknown_fields_by_field_validation)
{
	static const char body[] =
		"{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"a\"},\"foo\":1,\"data\":{\"a\":\"1\"},"
		"\"data\":{\"a\":\"2\"}}";
	struct answer a;

	fx_refused(&f, ADMIN, 400, "POST", CMS "?fieldValidation=Strict", body, "strict decoding error");
	fx_refused(&f, ADMIN, 400, "POST", CMS "?fieldValidation=Strict", body, "unknown field \"foo\"");
	fx_refused(&f, ADMIN, 400, "POST", CMS "?fieldValidation=Strict", body, "duplicate field \"data\"");
	fx_refused(&f, ADMIN, 422, "POST", CMS "?fieldValidation=Maybe", body, "Unsupported value");
	fx_do(&f, 404, "GET", CMS "/a", NULL);
	a = fx_call(&f, ADMIN, "POST", CMS, "application/json", NULL, body);
	cr_assert(a.status == 201);
	cr_assert(a.warning && strstr(a.warning, "299"));
	cr_assert(!json_object_get(a.json, "foo"));
	cr_assert_str_eq(api_get_str(a.json, "data.a"), "2");
	answer_done(&a);
	fx_do(&f, 204 - 4, "DELETE", CMS "/a", NULL);
	a = fx_call(&f, ADMIN, "POST", CMS "?fieldValidation=Ignore", "application/json", NULL, body);
	cr_assert(a.status == 201 && !a.warning);
	answer_done(&a);
}

Test(registry, yaml_bodies_are_read_and_yaml_answers_given)
{
	struct answer a = fx_call(&f, ADMIN, "POST", CMS, "application/yaml", "application/yaml",
				  "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: yam\ndata:\n  a: \"1\"\n");

	cr_assert(a.status == 201);
	cr_assert(strstr(a.text, "name: yam"));
	answer_done(&a);
	a = fx_call(&f, ADMIN, "POST", CMS, "application/yaml", NULL, "a: b: c");
	cr_assert(a.status == 400);
	answer_done(&a);
}

Test(registry, put_is_conditional_on_its_resource_version)
{
	json_t *o = fx_expect(&f, 201, "POST", CMS, CM("a", "\"k\":\"1\"")), *o2;
	char *text;

	(void)api_set(o, "data.k", json_string("2"));
	text = json_dumps(o, 0);
	o2 = fx_expect(&f, 200, "PUT", CMS "/a", text);
	cr_assert_str_eq(api_get_str(o2, "data.k"), "2");
	cr_assert_str_neq(api_get_str(o2, "metadata.resourceVersion"), api_get_str(o, "metadata.resourceVersion"));
	fx_refused(
		&f, ADMIN, 409, "PUT", CMS "/a", text,
		"Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the "
		"latest version and try again");
	free(text);
	json_decref(o);
	json_decref(o2);
	/* without a version: unconditional; the same content: nothing is written */
	o = fx_expect(&f, 200, "PUT", CMS "/a", CM("a", "\"k\":\"3\""));
	o2 = fx_expect(&f, 200, "PUT", CMS "/a", CM("a", "\"k\":\"3\""));
	cr_assert_str_eq(api_get_str(o2, "metadata.resourceVersion"), api_get_str(o, "metadata.resourceVersion"));
	json_decref(o);
	json_decref(o2);
	fx_refused(&f, ADMIN, 404, "PUT", CMS "/b", CM("b", ""), "configmaps \"b\" not found");
	fx_refused(&f, ADMIN, 400, "PUT", CMS "/a", CM("b", ""), "does not match the name on the URL");
}

Test(registry, spec_and_status_do_not_mix_and_generation_counts_spec)
{
#define DEP "/apis/apps/v1/namespaces/default/deployments"
	json_t *o;

	fx_do(&f, 201, "POST", DEP,
	      "{\"kind\":\"Deployment\",\"apiVersion\":\"apps/v1\",\"metadata\":{\"name\":\"d\"},\"spec\":{\"replicas\":1,\"selector\":{"
	      "\"matchLabels\":{\"a\":\"b\"}},\"template\":{\"metadata\":{\"labels\":{\"a\":\"b\"}},\"spec\":{\"containers\":[{\"name\":\"c\","
	      "\"image\":\"i:1\"}]}}},\"status\":{\"replicas\":9}}");
	o = fx_expect(&f, 200, "PATCH", DEP "/d", "{\"spec\":{\"replicas\":2},\"status\":{\"replicas\":5}}");
	cr_assert(api_get_int(o, "spec.replicas", 0) == 2);
	cr_assert(api_get_int(o, "status.replicas", 0) == 0);
	cr_assert(api_get_int(o, "metadata.generation", 0) == 2);
	json_decref(o);
	o = fx_expect(&f, 200, "PATCH", DEP "/d/status",
		      "{\"spec\":{\"replicas\":7},\"status\":{\"replicas\":5},\"metadata\":{\"labels\":{\"x\":"
		      "\"y\"}}}");
	cr_assert(api_get_int(o, "spec.replicas", 0) == 2);
	cr_assert(api_get_int(o, "status.replicas", 0) == 5);
	cr_assert(api_get_int(o, "metadata.generation", 0) == 2);
	cr_assert(!api_get(o, "metadata.labels.x"));
	json_decref(o);
	o = fx_expect(&f, 200, "PATCH", DEP "/d", "{\"metadata\":{\"labels\":{\"x\":\"y\"}}}");
	cr_assert(api_get_int(o, "metadata.generation", 0) == 2);
	json_decref(o);
	/* scale */
	o = fx_expect(&f, 200, "GET", DEP "/d/scale", NULL);
	cr_assert_str_eq(api_get_str(o, "kind"), "Scale");
	cr_assert(api_get_int(o, "spec.replicas", 0) == 2 && api_get_int(o, "status.replicas", 0) == 5);
	cr_assert_str_eq(api_get_str(o, "status.selector"), "a=b");
	json_decref(o);
	o = fx_expect(&f, 200, "PATCH", DEP "/d/scale", "{\"spec\":{\"replicas\":4}}");
	cr_assert(api_get_int(o, "spec.replicas", 0) == 4);
	json_decref(o);
	fx_do(&f, 422, "PATCH", DEP "/d/scale", "{\"spec\":{\"replicas\":-1}}");
	fx_refused(
		&f, ADMIN, 409, "PUT", DEP "/d/scale",
		"{\"kind\":\"Scale\",\"apiVersion\":\"autoscaling/v1\",\"metadata\":{\"name\":\"d\",\"resourceVersion\":\"1\"},\"spec\":{"
		"\"replicas\":1}}",
		"please apply your changes");
	o = fx_expect(&f, 200, "GET", DEP "/d", NULL);
	cr_assert(api_get_int(o, "spec.replicas", 0) == 4 && api_get_int(o, "metadata.generation", 0) == 3);
	json_decref(o);
	fx_do(&f, 422, "PATCH", DEP "/d", "{\"spec\":{\"selector\":{\"matchLabels\":{\"a\":\"c\"}}}}");
}

Test(registry, patches_of_every_type)
{
	struct answer a;

	fx_do(&f, 201, "POST", PODS, POD("p", ""));
	a = fx_call(&f, ADMIN, "PATCH", PODS "/p", "application/strategic-merge-patch+json", NULL,
		    "{\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i:2\"}]}}");
	cr_assert(a.status == 200);
	cr_assert(json_array_size(api_get(a.json, "spec.containers")) == 1);
	cr_assert_str_eq(api_get_str(json_array_get(api_get(a.json, "spec.containers"), 0), "image"), "i:2");
	answer_done(&a);
	a = fx_call(
		&f, ADMIN, "PATCH", PODS "/p", "application/json-patch+json", NULL,
		"[{\"op\":\"test\",\"path\":\"/spec/containers/0/image\",\"value\":\"i:2\"},{\"op\":\"add\",\"path\":\"/metadata/labels\","
		"\"value\":{\"a\":\"b\"}}]");
	cr_assert(a.status == 200);
	cr_assert_str_eq(api_get_str(a.json, "metadata.labels.a"), "b");
	answer_done(&a);
	a = fx_call(&f, ADMIN, "PATCH", PODS "/p", "application/json-patch+json", NULL,
		    "[{\"op\":\"test\",\"path\":\"/spec/containers/0/image\",\"value\":\"i:9\"}]");
	cr_assert(a.status == 422);
	answer_done(&a);
	a = fx_call(&f, ADMIN, "PATCH", PODS "/p", "application/json", NULL, "{}");
	cr_assert(a.status == 415);
	answer_done(&a);
	a = fx_call(&f, ADMIN, "PATCH", PODS "/p", "application/merge-patch+json", NULL, "[]");
	cr_assert(a.status == 400);
	answer_done(&a);
	fx_refused(&f, ADMIN, 409, "PATCH", PODS "/p",
		   "{\"metadata\":{\"resourceVersion\":\"1\",\"labels\":{\"a\":\"c\"}}}",
		   "the object has been modified");
	fx_do(&f, 422, "PATCH", PODS "/p", "{\"metadata\":{\"name\":\"q\"}}");
}

Test(registry, dry_runs_change_nothing)
{
	json_t *o = fx_expect(&f, 201, "POST", CMS "?dryRun=All", CM("a", ""));

	cr_assert(api_get_str(o, "metadata.uid") != NULL);
	json_decref(o);
	fx_do(&f, 404, "GET", CMS "/a", NULL);
	fx_do(&f, 201, "POST", CMS, CM("a", ""));
	o = fx_expect(&f, 200, "PATCH", CMS "/a?dryRun=All", "{\"data\":{\"x\":\"y\"}}");
	cr_assert_str_eq(api_get_str(o, "data.x"), "y");
	json_decref(o);
	fx_do(&f, 200, "DELETE", CMS "/a?dryRun=All", NULL);
	o = fx_expect(&f, 200, "GET", CMS "/a", NULL);
	cr_assert(!api_get(o, "data.x"));
	json_decref(o);
	fx_do(&f, 422, "POST", CMS "?dryRun=Some", CM("b", ""));
}

Test(registry, deletion_waits_for_finalizers)
{
	json_t *o;

	fx_do(&f, 201, "POST", CMS,
	      "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"a\",\"finalizers\":[\"x.io/f\"]}}");
	o = fx_expect(&f, 200, "DELETE", CMS "/a", NULL);
	cr_assert(api_get_str(o, "metadata.deletionTimestamp") != NULL);
	json_decref(o);
	fx_do(&f, 200, "GET", CMS "/a", NULL);
	fx_refused(&f, ADMIN, 422, "PATCH", CMS "/a", "{\"metadata\":{\"finalizers\":[\"x.io/f\",\"x.io/g\"]}}",
		   "no new finalizers");
	fx_do(&f, 200, "PATCH", CMS "/a", "{\"metadata\":{\"finalizers\":null}}");
	fx_do(&f, 404, "GET", CMS "/a", NULL);
	/* foreground and orphan are finalizers of the garbage collector */
	fx_do(&f, 201, "POST", CMS, CM("b", ""));
	o = fx_expect(&f, 200, "DELETE", CMS "/b",
		      "{\"kind\":\"DeleteOptions\",\"apiVersion\":\"v1\",\"propagationPolicy\":\"Foreground\"}");
	cr_assert_str_eq(json_string_value(json_array_get(api_get(o, "metadata.finalizers"), 0)), "foregroundDeletion");
	json_decref(o);
	o = fx_expect(&f, 200, "DELETE", CMS "/b?propagationPolicy=Background", NULL);
	cr_assert_str_eq(api_get_str(o, "status"), "Success");
	json_decref(o);
	fx_do(&f, 422, "DELETE", CMS "/b?propagationPolicy=Sideways", NULL);
}

Test(registry, deletion_preconditions)
{
	json_t *o = fx_expect(&f, 201, "POST", CMS, CM("a", ""));
	char body[256];

	fx_refused(&f, ADMIN, 409, "DELETE", CMS "/a", "{\"preconditions\":{\"uid\":\"other\"}}",
		   "Precondition failed: UID");
	fx_refused(&f, ADMIN, 409, "DELETE", CMS "/a", "{\"preconditions\":{\"resourceVersion\":\"1\"}}",
		   "Precondition failed: ResourceVersion");
	snprintf(body, sizeof(body), "{\"preconditions\":{\"uid\":\"%s\",\"resourceVersion\":\"%s\"}}",
		 api_get_str(o, "metadata.uid"), api_get_str(o, "metadata.resourceVersion"));
	fx_do(&f, 200, "DELETE", CMS "/a", body);
	fx_do(&f, 404, "DELETE", CMS "/a", NULL);
	json_decref(o);
}

Test(registry, pods_are_bound_once_and_deleted_with_grace)
{
#define BIND(node)                                                                                                                 \
	"{\"kind\":\"Binding\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"p\"},\"target\":{\"kind\":\"Node\",\"name\":\"" node \
	"\"}}"
	json_t *o;
	char first[64];

	fx_do(&f, 201, "POST", PODS, POD("q", ""));
	fx_do(&f, 200, "DELETE", PODS "/q", NULL); /* on no node: at once */
	fx_do(&f, 404, "GET", PODS "/q", NULL);
	fx_do(&f, 201, "POST", PODS, POD("p", "\"terminationGracePeriodSeconds\":60,"));
	fx_do(&f, 422, "POST", PODS "/p/binding", "{\"kind\":\"Binding\",\"target\":{\"kind\":\"Node\"}}");
	fx_do(&f, 201, "POST", PODS "/p/binding", BIND("node-1"));
	o = fx_expect(&f, 200, "GET", PODS "/p", NULL);
	cr_assert_str_eq(api_get_str(o, "spec.nodeName"), "node-1");
	cr_assert_str_eq(api_get_str(json_array_get(api_get(o, "status.conditions"), 0), "type"), "PodScheduled");
	json_decref(o);
	fx_refused(&f, ADMIN, 409, "POST", PODS "/p/binding", BIND("node-2"),
		   "pod p is already assigned to node \"node-1\"");
	fx_refused(&f, ADMIN, 409, "POST", "/api/v1/namespaces/default/bindings", BIND("node-2"), "already assigned");
	o = fx_expect(&f, 200, "DELETE", PODS "/p", NULL);
	cr_assert(api_get_int(o, "metadata.deletionGracePeriodSeconds", 0) == 60);
	snprintf(first, sizeof(first), "%s", api_get_str(o, "metadata.deletionTimestamp"));
	json_decref(o);
	/* longer does nothing, shorter shortens */
	o = fx_expect(&f, 200, "DELETE", PODS "/p?gracePeriodSeconds=90", NULL);
	cr_assert(api_get_int(o, "metadata.deletionGracePeriodSeconds", 0) == 60);
	cr_assert_str_eq(api_get_str(o, "metadata.deletionTimestamp"), first);
	json_decref(o);
	o = fx_expect(&f, 200, "DELETE", PODS "/p", "{\"gracePeriodSeconds\":10}");
	cr_assert(api_get_int(o, "metadata.deletionGracePeriodSeconds", 0) == 10);
	cr_assert(strcmp(api_get_str(o, "metadata.deletionTimestamp"), first) < 0);
	json_decref(o);
	fx_do(&f, 200, "DELETE", PODS "/p", "{\"gracePeriodSeconds\":0}");
	fx_do(&f, 404, "GET", PODS "/p", NULL);
}

Test(registry, namespaces_end_when_their_finalizer_goes)
{
	json_t *o;
	char *text;

	fx_do(&f, 201, "POST", "/api/v1/namespaces",
	      "{\"kind\":\"Namespace\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"n\"}}");
	fx_do(&f, 201, "POST", "/api/v1/namespaces/n/configmaps", CM("a", ""));
	o = fx_expect(&f, 200, "DELETE", "/api/v1/namespaces/n", NULL);
	cr_assert_str_eq(api_get_str(o, "status.phase"), "Terminating");
	json_decref(o);
	fx_refused(&f, ADMIN, 403, "POST", "/api/v1/namespaces/n/configmaps", CM("b", ""),
		   "because it is being terminated");
	o = fx_expect(&f, 200, "GET", "/api/v1/namespaces/n", NULL);
	cr_assert(json_array_size(api_get(o, "spec.finalizers")) == 1);
	/* an update cannot take it away, /finalize can */
	json_array_clear(api_get(o, "spec.finalizers"));
	text = json_dumps(o, 0);
	fx_do(&f, 200, "PUT", "/api/v1/namespaces/n", text);
	o = (json_decref(o), fx_expect(&f, 200, "GET", "/api/v1/namespaces/n", NULL));
	cr_assert(json_array_size(api_get(o, "spec.finalizers")) == 1);
	fx_do(&f, 200, "PUT", "/api/v1/namespaces/n/finalize", text);
	fx_refused(&f, ADMIN, 403, "DELETE", "/api/v1/namespaces/kube-system", NULL,
		   "this namespace may not be deleted");
	fx_do(&f, 405, "DELETE", "/api/v1/namespaces", NULL);
	fx_do(&f, 404, "GET", "/api/v1/namespaces/n", NULL);
	free(text);
	json_decref(o);
}

Test(registry, deletecollection_deletes_what_is_selected)
{
	json_t *o;

	fx_do(&f, 201, "POST", CMS,
	      "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"a\",\"labels\":{\"x\":\"1\"}}}");
	fx_do(&f, 201, "POST", CMS,
	      "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"b\",\"labels\":{\"x\":\"1\"}}}");
	fx_do(&f, 201, "POST", CMS,
	      "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"c\",\"labels\":{\"x\":\"2\"}}}");
	o = fx_expect(&f, 200, "DELETE", CMS "?labelSelector=x%3D1", NULL);
	cr_assert(json_array_size(json_object_get(o, "items")) == 2);
	json_decref(o);
	o = fx_expect(&f, 200, "GET", CMS, NULL);
	cr_assert(json_array_size(json_object_get(o, "items")) == 1);
	json_decref(o);
	o = fx_expect(&f, 200, "DELETE", CMS "?labelSelector=x%3Dnone", NULL);
	cr_assert(json_array_size(json_object_get(o, "items")) == 0);
	json_decref(o);
}

Test(registry, service_addresses_are_given_kept_and_never_twice)
{
#define SVCS "/api/v1/namespaces/default/services"
#define SVC(name, spec)                                                                                                \
	"{\"kind\":\"Service\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"" name                                   \
	"\"},\"spec\":{\"ports\":[{\"port\":80}]" spec "}}"
	json_t *o = fx_expect(&f, 201, "POST", SVCS, SVC("a", "")), *o2;

	cr_assert(!strncmp(api_get_str(o, "spec.clusterIP"), "10.", 3));
	cr_assert_str_eq(api_get_str(o, "spec.ipFamilyPolicy"), "SingleStack");
	cr_assert(json_array_size(api_get(o, "spec.clusterIPs")) == 1);
	o2 = fx_expect(&f, 200, "PUT", SVCS "/a", SVC("a", ",\"selector\":{\"x\":\"y\"}"));
	cr_assert_str_eq(api_get_str(o2, "spec.clusterIP"), api_get_str(o, "spec.clusterIP"));
	json_decref(o);
	json_decref(o2);
	o = fx_expect(&f, 201, "POST", SVCS, SVC("b", ",\"ipFamilyPolicy\":\"RequireDualStack\""));
	cr_assert(json_array_size(api_get(o, "spec.clusterIPs")) == 2);
	cr_assert(strchr(json_string_value(json_array_get(api_get(o, "spec.clusterIPs"), 1)), ':') != NULL);
	json_decref(o);
	o = fx_expect(&f, 201, "POST", SVCS, SVC("c", ",\"ipFamilies\":[\"IPv6\"]"));
	cr_assert(!strncmp(api_get_str(o, "spec.clusterIP"), "fd00:10:96::", 12));
	json_decref(o);
	o = fx_expect(&f, 201, "POST", SVCS, SVC("h", ",\"clusterIP\":\"None\""));
	cr_assert_str_eq(api_get_str(o, "spec.clusterIP"), "None");
	json_decref(o);
	fx_do(&f, 201, "POST", SVCS, SVC("d", ",\"clusterIP\":\"10.96.0.77\""));
	fx_refused(&f, ADMIN, 422, "POST", SVCS, SVC("e", ",\"clusterIP\":\"10.96.0.77\""),
		   "provided IP is already allocated");
	fx_refused(&f, ADMIN, 422, "POST", SVCS, SVC("e", ",\"clusterIP\":\"192.168.0.1\""),
		   "is not in the valid range. The range of valid IPs is 10.96.0.0/12");
	fx_do(&f, 422, "PATCH", SVCS "/d", "{\"spec\":{\"clusterIP\":\"10.96.0.78\",\"clusterIPs\":[\"10.96.0.78\"]}}");
	fx_do(&f, 200, "DELETE", SVCS "/d", NULL);
	fx_do(&f, 201, "POST", SVCS, SVC("e", ",\"clusterIP\":\"10.96.0.77\""));
	/* a dry run keeps nothing */
	fx_do(&f, 201, "POST", SVCS "?dryRun=All", SVC("g", ",\"clusterIP\":\"10.96.0.79\""));
	fx_do(&f, 201, "POST", SVCS, SVC("g", ",\"clusterIP\":\"10.96.0.79\""));
	/* after a restart the addresses are known */
	fx_stop(&f);
	fx_start(&f);
	fx_refused(&f, ADMIN, 422, "POST", SVCS, SVC("i", ",\"clusterIP\":\"10.96.0.77\""),
		   "provided IP is already allocated");
	/* a second family comes and goes */
	o = fx_expect(&f, 200, "PATCH", SVCS "/a", "{\"spec\":{\"ipFamilyPolicy\":\"PreferDualStack\"}}");
	cr_assert(json_array_size(api_get(o, "spec.clusterIPs")) == 2);
	json_decref(o);
	o = fx_expect(&f, 200, "PATCH", SVCS "/a", "{\"spec\":{\"ipFamilyPolicy\":\"SingleStack\"}}");
	cr_assert(json_array_size(api_get(o, "spec.clusterIPs")) == 1);
	json_decref(o);
}

Test(registry, events_are_written_and_updated)
{
#define EVENTS "/api/v1/namespaces/default/events"
	json_t *o;

	fx_do(&f, 201, "POST", EVENTS,
	      "{\"kind\":\"Event\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"e\"},\"involvedObject\":{\"kind\":\"Pod\",\"name\":\"p\","
	      "\"namespace\":\"default\"},\"reason\":\"Testing\",\"message\":\"m\",\"count\":1,\"type\":\"Normal\"}");
	fx_do(&f, 200, "PATCH", EVENTS "/e", "{\"count\":2}");
	o = fx_expect(&f, 200, "GET", EVENTS "?fieldSelector=involvedObject.name%3Dp", NULL);
	cr_assert(json_array_size(json_object_get(o, "items")) == 1);
	cr_assert(api_get_int(json_array_get(json_object_get(o, "items"), 0), "count", 0) == 2);
	json_decref(o);
}

Test(registry, what_was_written_is_there_after_a_restart)
{
	json_t *a = fx_expect(&f, 201, "POST", CMS, CM("a", "\"k\":\"v\"")), *b;

	fx_stop(&f);
	fx_start(&f);
	b = fx_expect(&f, 200, "GET", CMS "/a", NULL);
	cr_assert(json_equal(a, b));
	json_decref(a);
	json_decref(b);
}
