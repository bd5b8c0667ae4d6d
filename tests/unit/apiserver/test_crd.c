/* SPDX-License-Identifier: Apache-2.0 */
/* CustomResourceDefinitions and their objects, over HTTPS, from their first day to their last. */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define CRDS "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
#define TABS "/apis/stable.example.com/v1/namespaces/default/crontabs"

/* One version's entry: name, served, storage, more members, properties of its schema. */
#define VERSION(name, flags, more, props)                                                                              \
	"{\"name\":\"" name "\"," flags "," more                                                                       \
	"\"schema\":{\"openAPIV3Schema\":{\"type\":\"object\",\"properties\":{" props "}}}}"
#define CRD(plural, kind, names, versions)                                                                                   \
	"{\"apiVersion\":\"apiextensions.k8s.io/v1\",\"kind\":\"CustomResourceDefinition\",\"metadata\":{\"name\":\"" plural \
	".stable.example.com\"},\"spec\":{\"group\":\"stable.example.com\",\"scope\":\"Namespaced\",\"names\":{"             \
	"\"plural\":\"" plural "\",\"kind\":\"" kind "\"" names "},\"versions\":[" versions "]}}"
#define STORED "\"served\":true,\"storage\":true"
#define SERVED "\"served\":true,\"storage\":false"
#define TAB_SPEC                                                                                                       \
	"\"spec\":{\"type\":\"object\",\"required\":[\"cronSpec\"],\"properties\":{"                                   \
	"\"cronSpec\":{\"type\":\"string\",\"pattern\":\"^(\\\\*|\\\\d+)( (\\\\*|\\\\d+))*$\"},"                       \
	"\"image\":{\"type\":\"string\",\"default\":\"busybox\"},"                                                     \
	"\"replicas\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":10,\"default\":1}}}"
#define TAB_STATUS                                                                                                     \
	"\"status\":{\"type\":\"object\",\"properties\":{\"replicas\":{\"type\":\"integer\"},"                         \
	"\"selector\":{\"type\":\"string\"}}}"
#define TAB_SUBS                                                                                                       \
	"\"subresources\":{\"status\":{},\"scale\":{\"specReplicasPath\":\".spec.replicas\",\"statusReplicasPath\":"   \
	"\".status.replicas\",\"labelSelectorPath\":\".status.selector\"}},"
#define TAB_CRD                                                                                                        \
	CRD("crontabs", "CronTab", ",\"shortNames\":[\"ct\"],\"categories\":[\"all\"]",                                \
	    VERSION("v1", STORED, TAB_SUBS, TAB_SPEC "," TAB_STATUS))
#define TAB(name, spec)                                                                                                \
	"{\"apiVersion\":\"stable.example.com/v1\",\"kind\":\"CronTab\",\"metadata\":{\"name\":\"" name                \
	"\"},\"spec\":{" spec "}}"

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

TestSuite(crd, .init = setup, .fini = teardown, .timeout = 180);

static const char *condition(const json_t *crd, const char *type, const char *field)
{
	json_t *c;
	size_t i;

	json_array_foreach (api_get(crd, "status.conditions"), i, c)
		if (streq(api_get_str(c, "type"), type))
			return api_get_str(c, field);
	return NULL;
}

Test(crd, a_definition_is_served_at_once)
{
	json_t *o = fx_expect(&f, 201, "POST", CRDS, TAB_CRD);

	cr_assert_str_eq(condition(o, "Established", "status"), "True");
	cr_assert_str_eq(condition(o, "NamesAccepted", "status"), "True");
	cr_assert_str_eq(api_get_str(o, "status.acceptedNames.listKind"), "CronTabList");
	cr_assert_str_eq(json_string_value(json_array_get(api_get(o, "status.storedVersions"), 0)), "v1");
	json_decref(o);
	o = fx_expect(&f, 200, "GET", "/apis/stable.example.com/v1", NULL);
	cr_assert(json_array_size(json_object_get(o, "resources")) == 3);
	json_decref(o);
	o = fx_expect(&f, 201, "POST", TABS, TAB("a", "\"cronSpec\":\"* *\""));
	cr_assert_str_eq(api_get_str(o, "spec.image"), "busybox");
	cr_assert(api_get_int(o, "spec.replicas", 0) == 1);
	cr_assert(api_get_int(o, "metadata.generation", 0) == 1);
	json_decref(o);
	o = fx_expect(&f, 200, "GET", TABS, NULL);
	cr_assert_str_eq(api_get_str(o, "kind"), "CronTabList");
	cr_assert(json_array_size(json_object_get(o, "items")) == 1);
	json_decref(o);
	fx_refused(&f, ADMIN, 422, "POST", TABS, TAB("b", "\"cronSpec\":\"x\""), "spec.cronSpec in body should match");
	fx_refused(&f, ADMIN, 422, "POST", TABS, TAB("b", "\"replicas\":11"),
		   "spec.replicas in body should be less than or equal to 10");
	fx_refused(&f, ADMIN, 422, "POST", TABS, TAB("b", "\"replicas\":1"), "spec.cronSpec: Required value");
}

Test(crd, unknown_fields_are_pruned_or_told)
{
	static const char odd[] = TAB("a", "\"cronSpec\":\"1\",\"oddity\":{\"x\":1}");
	json_t *o;

	fx_do(&f, 201, "POST", CRDS, TAB_CRD);
	fx_refused(&f, ADMIN, 400, "POST", TABS "?fieldValidation=Strict", odd, "unknown field \"spec.oddity\"");
	o = fx_expect(&f, 201, "POST", TABS, odd);
	cr_assert(!api_get(o, "spec.oddity"));
	json_decref(o);
	/* Wrong types are the schema's to tell; metadata is as everywhere. */
	fx_refused(&f, ADMIN, 422, "POST", TABS, TAB("b", "\"cronSpec\":1"),
		   "spec.cronSpec in body must be of type string: \"integer\"");
	fx_refused(&f, ADMIN, 400, "POST", TABS,
		   "{\"apiVersion\":\"stable.example.com/v1\",\"kind\":\"CronTab\",\"metadata\":{\"name\":\"b\","
		   "\"labels\":{\"a\":1}}}",
		   "metadata.labels");
	fx_refused(&f, ADMIN, 404, "POST", "/apis/stable.example.com/v1/namespaces/nowhere/crontabs",
		   TAB("b", "\"cronSpec\":\"1\""), "namespaces \"nowhere\" not found");
}

static json_t *patch(const char *path, const char *type, const char *body, int status)
{
	struct answer a = fx_call(&f, ADMIN, "PATCH", path, type, NULL, body);
	json_t *o = json_incref(a.json);

	cr_assert(a.status == status, "%d: %s", a.status, a.text);
	answer_done(&a);
	return o;
}

Test(crd, patches_status_and_scale)
{
	json_t *o;

	fx_do(&f, 201, "POST", CRDS, TAB_CRD);
	fx_do(&f, 201, "POST", TABS, TAB("a", "\"cronSpec\":\"1\""));
	o = patch(TABS "/a", "application/merge-patch+json", "{\"spec\":{\"image\":\"x\"},\"status\":{\"replicas\":9}}",
		  200);
	cr_assert_str_eq(api_get_str(o, "spec.image"), "x");
	cr_assert(!api_get(o, "status.replicas"));
	cr_assert(api_get_int(o, "metadata.generation", 0) == 2);
	json_decref(o);
	o = patch(TABS "/a", "application/json-patch+json", "[{\"op\":\"remove\",\"path\":\"/spec/image\"}]", 200);
	cr_assert_str_eq(api_get_str(o, "spec.image"), "busybox");
	json_decref(o);
	json_decref(patch(TABS "/a", "application/strategic-merge-patch+json", "{}", 415));
	o = patch(TABS "/a/status", "application/merge-patch+json",
		  "{\"spec\":{\"image\":\"y\"},\"status\":{\"replicas\":2,\"selector\":\"a=b\"}}", 200);
	cr_assert(api_get_int(o, "status.replicas", 0) == 2);
	cr_assert_str_eq(api_get_str(o, "spec.image"), "busybox");
	cr_assert(api_get_int(o, "metadata.generation", 0) == 3);
	json_decref(o);
	o = fx_expect(&f, 200, "GET", TABS "/a/scale", NULL);
	cr_assert(api_get_int(o, "spec.replicas", 0) == 1 && api_get_int(o, "status.replicas", 0) == 2);
	cr_assert_str_eq(api_get_str(o, "status.selector"), "a=b");
	json_decref(o);
	o = patch(TABS "/a/scale", "application/merge-patch+json", "{\"spec\":{\"replicas\":5}}", 200);
	cr_assert(api_get_int(o, "spec.replicas", 0) == 5);
	json_decref(o);
	json_decref(patch(TABS "/a/scale", "application/merge-patch+json", "{\"spec\":{\"replicas\":50}}", 422));
	o = fx_expect(&f, 200, "GET", TABS "/a", NULL);
	cr_assert(api_get_int(o, "spec.replicas", 0) == 5);
	json_decref(o);
	fx_do(&f, 404, "GET", TABS "/a/binding", NULL);
}

static json_t *apply(const char *manager, const char *spec, int status)
{
	char path[200], body[600];

	snprintf(path, sizeof(path), TABS "/a?fieldManager=%s", manager);
	snprintf(body, sizeof(body),
		 "{\"apiVersion\":\"stable.example.com/v1\",\"kind\":\"CronTab\",\"metadata\":{\"name\":\"a\"},"
		 "\"spec\":{%s}}",
		 spec);
	return patch(path, "application/apply-patch+yaml", body, status);
}

Test(crd, server_side_apply_by_the_schemas_lists)
{
	static const char crd[] = CRD(
		"crontabs", "CronTab", "",
		VERSION("v1", STORED, "",
			"\"spec\":{\"type\":\"object\",\"properties\":{\"mode\":{\"type\":\"string\"},"
			"\"ports\":{\"type\":\"array\",\"x-kubernetes-list-type\":\"map\",\"x-kubernetes-list-map-keys\":[\"name\"],"
			"\"items\":{\"type\":\"object\",\"required\":[\"name\"],\"properties\":{\"name\":{\"type\":\"string\"},"
			"\"n\":{\"type\":\"integer\"}}}},\"whole\":{\"type\":\"object\",\"x-kubernetes-map-type\":\"atomic\","
			"\"additionalProperties\":{\"type\":\"string\"}}}}"));
	json_t *o;

	fx_do(&f, 201, "POST", CRDS, crd);
	json_decref(apply("one", "\"mode\":\"x\",\"ports\":[{\"name\":\"a\",\"n\":1}],\"whole\":{\"k\":\"1\"}", 201));
	o = apply("two", "\"ports\":[{\"name\":\"b\",\"n\":2}]", 200);
	cr_assert(json_array_size(api_get(o, "spec.ports")) == 2);
	json_decref(o);
	json_decref(apply("two", "\"mode\":\"y\"", 409));
	json_decref(apply("two", "\"whole\":{\"l\":\"2\"}", 409));
	/* What the first no longer says goes; what the second holds stays. */
	o = apply("one", "\"mode\":\"z\"", 200);
	cr_assert_str_eq(api_get_str(o, "spec.mode"), "z");
	cr_assert(json_array_size(api_get(o, "spec.ports")) == 1 && !api_get(o, "spec.whole"));
	json_decref(o);
	json_decref(apply("one", "\"mode\":7", 422));
}

Test(crd, several_versions_of_the_same_objects)
{
	static const char crd[] = CRD(
		"crontabs", "CronTab", "",
		VERSION("v1beta1", SERVED, "\"deprecated\":true,", "\"spec\":{\"type\":\"object\",\"properties\":{\"cronSpec\":{\"type\":\"string\"}}}") "," VERSION(
			"v1", STORED, "", TAB_SPEC) "," VERSION("v2", "\"served\":false,\"storage\":false", "",
								TAB_SPEC));
	const char *old = "/apis/stable.example.com/v1beta1/namespaces/default/crontabs";
	struct fx_watch w = { 0 };
	struct answer a;
	json_t *o;

	fx_do(&f, 201, "POST", CRDS, crd);
	fx_do(&f, 404, "GET", "/apis/stable.example.com/v2/crontabs", NULL);
	o = fx_expect(&f, 200, "GET", "/apis/stable.example.com", NULL);
	cr_assert_str_eq(api_get_str(o, "preferredVersion.version"), "v1");
	cr_assert(json_array_size(json_object_get(o, "versions")) == 2);
	json_decref(o);
	fx_watch_start(&f, &w, ADMIN, "/apis/stable.example.com/v1beta1/crontabs?watch=1", NULL);
	fx_do(&f, 201, "POST", TABS, TAB("a", "\"cronSpec\":\"1\",\"image\":\"x\""));
	o = api_get(fx_watch_expect(&w, "ADDED", "a"), "object");
	cr_assert_str_eq(api_get_str(o, "apiVersion"), "stable.example.com/v1beta1");
	cr_assert(!api_get(o, "spec.image"));
	fx_watch_done(&w);
	a = fx_call(&f, ADMIN, "POST", old, "application/json", NULL,
		    "{\"apiVersion\":\"stable.example.com/v1beta1\",\"kind\":\"CronTab\",\"metadata\":{\"name\":\"b\"},"
		    "\"spec\":{\"cronSpec\":\"2\"}}");
	cr_assert(a.status == 201, "%s", a.text);
	cr_assert(a.warning && strstr(a.warning, "stable.example.com/v1beta1 CronTab is deprecated"));
	cr_assert_str_eq(api_get_str(a.json, "apiVersion"), "stable.example.com/v1beta1");
	answer_done(&a);
	/* What one version wrote the other shows, with its own defaults. */
	o = fx_expect(&f, 200, "GET", TABS "/b", NULL);
	cr_assert_str_eq(api_get_str(o, "apiVersion"), "stable.example.com/v1");
	cr_assert_str_eq(api_get_str(o, "spec.image"), "busybox");
	json_decref(o);
	fx_refused(&f, ADMIN, 400, "POST", old, TAB("c", "\"cronSpec\":\"2\""),
		   "does not match the expected API version");
	fx_do(&f, 200, "DELETE", "/apis/stable.example.com/v1beta1/namespaces/default/crontabs/a", NULL);
	fx_do(&f, 404, "GET", TABS "/a", NULL);
}

Test(crd, everything_is_there_after_a_restart)
{
	json_t *o;
	char path[160];

	fx_do(&f, 201, "POST", CRDS, TAB_CRD);
	fx_do(&f, 201, "POST", CRDS, CRD("zebras", "Zebra", "", VERSION("v1", STORED, "", "")));
	for (int i = 0; i < 20; i++) {
		char body[400];

		snprintf(body, sizeof(body), TAB("t%d", "\"cronSpec\":\"%d\""), i, i);
		fx_do(&f, 201, "POST", TABS, body);
	}
	o = fx_expect(&f, 200, "GET", TABS, NULL);
	snprintf(path, sizeof(path), TABS "?watch=1&resourceVersion=%s", api_get_str(o, "metadata.resourceVersion"));
	json_decref(o);
	fx_do(&f, 200, "DELETE", TABS "/t7", NULL);
	fx_stop(&f);
	fx_start(&f);
	o = fx_expect(&f, 200, "GET", TABS, NULL);
	cr_assert(json_array_size(json_object_get(o, "items")) == 19);
	json_decref(o);
	{
		struct fx_watch w = { 0 };

		fx_watch_start(&f, &w, ADMIN, path, NULL);
		fx_watch_expect(&w, "DELETED", "t7");
		fx_watch_done(&w);
	}
	o = fx_expect(&f, 200, "GET", "/apis/stable.example.com/v1/zebras", NULL);
	cr_assert_str_eq(api_get_str(o, "kind"), "ZebraList");
	json_decref(o);
}

/* The definition's spec with its versions replaced. */
static void redefine(const char *versions, int status)
{
	json_t *o = fx_expect(&f, 200, "GET", CRDS "/crontabs.stable.example.com", NULL);
	json_t *v = json_loads(versions, 0, NULL);
	char *text;

	cr_assert(v);
	api_set(o, "spec.versions", v);
	text = json_dumps(o, 0);
	fx_do(&f, status, "PUT", CRDS "/crontabs.stable.example.com", text);
	free(text);
	json_decref(o);
}

Test(crd, a_changed_schema_is_obeyed_and_ends_watches)
{
	struct fx_watch w = { 0 };
	json_t *o;

	fx_do(&f, 201, "POST", CRDS, TAB_CRD);
	fx_do(&f, 201, "POST", TABS, TAB("a", "\"cronSpec\":\"1\",\"replicas\":5"));
	fx_watch_start(&f, &w, ADMIN, "/apis/stable.example.com/v1/crontabs?watch=1", NULL);
	fx_watch_expect(&w, "ADDED", "a");
	redefine("[" VERSION("v1", STORED,
			     "\"additionalPrinterColumns\":[{\"name\":\"Where\",\"type\":\"string\",\"jsonPath\":"
			     "\".spec.where\"}],",
			     "\"spec\":{\"type\":\"object\",\"properties\":{\"cronSpec\":{\"type\":\"string\"},"
			     "\"replicas\":{\"type\":\"integer\",\"maximum\":3},"
			     "\"where\":{\"type\":\"string\",\"default\":\"here\"}}}") "]",
		 200);
	cr_assert(!fx_watch_next(&w));
	fx_watch_done(&w);
	o = fx_expect(&f, 200, "GET", TABS "/a", NULL);
	cr_assert_str_eq(api_get_str(o, "spec.where"), "here");
	cr_assert(!api_get(o, "spec.image")); /* no longer known, and so no longer shown */
	json_decref(o);
	fx_do(&f, 404, "GET", TABS "/a/scale", NULL);
	fx_refused(&f, ADMIN, 422, "POST", TABS, TAB("b", "\"replicas\":4"), "should be less than or equal to 3");
	/* A change of anything but the spec leaves watches alone. */
	fx_watch_start(&f, &w, ADMIN, "/apis/stable.example.com/v1/crontabs?watch=1", NULL);
	fx_watch_expect(&w, "ADDED", "a");
	json_decref(patch(CRDS "/crontabs.stable.example.com", "application/merge-patch+json",
			  "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}", 200));
	fx_do(&f, 201, "POST", TABS, TAB("c", "\"replicas\":2"));
	fx_watch_expect(&w, "ADDED", "c");
	fx_watch_done(&w);
}

Test(crd, a_stored_version_stays_until_it_is_given_up)
{
	json_t *o;

	fx_do(&f, 201, "POST", CRDS, TAB_CRD);
	fx_do(&f, 201, "POST", TABS, TAB("a", "\"cronSpec\":\"1\""));
	redefine("[" VERSION("v1", SERVED, "", TAB_SPEC) "," VERSION("v2", STORED, "", TAB_SPEC) "]", 200);
	o = fx_expect(&f, 200, "GET", CRDS "/crontabs.stable.example.com", NULL);
	cr_assert(json_array_size(api_get(o, "status.storedVersions")) == 2);
	json_decref(o);
	redefine("[" VERSION("v2", STORED, "", TAB_SPEC) "]", 422);
	json_decref(patch(CRDS "/crontabs.stable.example.com/status", "application/merge-patch+json",
			  "{\"status\":{\"storedVersions\":[\"v2\"]}}", 200));
	redefine("[" VERSION("v2", STORED, "", TAB_SPEC) "]", 200);
	o = fx_expect(&f, 200, "GET", "/apis/stable.example.com/v2/namespaces/default/crontabs/a", NULL);
	cr_assert_str_eq(api_get_str(o, "spec.cronSpec"), "1");
	json_decref(o);
	fx_do(&f, 404, "GET", TABS, NULL);
}

Test(crd, its_objects_go_with_it)
{
	struct fx_watch w = { 0 }, crds = { 0 };
	json_t *o;

	fx_do(&f, 201, "POST", CRDS, TAB_CRD);
	for (int i = 0; i < 40; i++) {
		char body[400];

		snprintf(body, sizeof(body), TAB("t%d", "\"cronSpec\":\"%d\""), i, i);
		fx_do(&f, 201, "POST", TABS, body);
	}
	fx_do(&f, 201, "POST", TABS,
	      "{\"apiVersion\":\"stable.example.com/v1\",\"kind\":\"CronTab\",\"metadata\":{\"name\":\"held\","
	      "\"finalizers\":[\"example.com/hold\"]},\"spec\":{\"cronSpec\":\"1\"}}");
	fx_watch_start(&f, &w, ADMIN, TABS "?watch=1&fieldSelector=metadata.name%3Dheld", NULL);
	fx_watch_expect(&w, "ADDED", "held");
	fx_watch_start(&f, &crds, ADMIN, CRDS "?watch=1", NULL);
	fx_watch_expect(&crds, "ADDED", "crontabs.stable.example.com");
	o = fx_expect(&f, 200, "DELETE", CRDS "/crontabs.stable.example.com", NULL);
	cr_assert_str_eq(condition(o, "Terminating", "status"), "True");
	cr_assert(api_get_str(o, "metadata.deletionTimestamp"));
	json_decref(o);
	fx_watch_expect(&crds, "MODIFIED", "crontabs.stable.example.com");
	fx_watch_expect(&w, "MODIFIED", "held");
	fx_refused(&f, ADMIN, 405, "POST", TABS, TAB("new", "\"cronSpec\":\"1\""),
		   "create not allowed while custom resource definition is terminating");
	/* The last one is let go, and the definition with it. */
	json_decref(patch(TABS "/held", "application/merge-patch+json", "{\"metadata\":{\"finalizers\":null}}", 200));
	fx_watch_expect(&w, "DELETED", "held");
	fx_watch_expect(&crds, "DELETED", "crontabs.stable.example.com");
	fx_watch_done(&w);
	fx_watch_done(&crds);
	fx_do(&f, 404, "GET", TABS, NULL);
	fx_do(&f, 404, "GET", "/apis/stable.example.com", NULL);
	/* Nothing of it comes back with a namesake. */
	fx_do(&f, 201, "POST", CRDS, TAB_CRD);
	o = fx_expect(&f, 200, "GET", TABS, NULL);
	cr_assert(json_array_size(json_object_get(o, "items")) == 0);
	json_decref(o);
}

Test(crd, a_name_in_use_is_waited_for)
{
	struct fx_watch w = { 0 };
	json_t *o;

	fx_do(&f, 201, "POST", CRDS, TAB_CRD);
	o = fx_expect(&f, 201, "POST", CRDS,
		      CRD("cronboards", "CronBoard", ",\"shortNames\":[\"ct\"]", VERSION("v1", STORED, "", "")));
	cr_assert_str_eq(condition(o, "NamesAccepted", "reason"), "ShortNamesConflict");
	cr_assert_str_eq(condition(o, "NamesAccepted", "message"), "\"ct\" is already in use");
	cr_assert_str_eq(condition(o, "Established", "status"), "False");
	json_decref(o);
	fx_do(&f, 404, "GET", "/apis/stable.example.com/v1/cronboards", NULL);
	fx_watch_start(&f, &w, ADMIN, CRDS "?watch=1&fieldSelector=metadata.name%3Dcronboards.stable.example.com",
		       NULL);
	fx_watch_expect(&w, "ADDED", "cronboards.stable.example.com");
	fx_do(&f, 200, "DELETE", CRDS "/crontabs.stable.example.com", NULL);
	o = api_get(fx_watch_expect(&w, "MODIFIED", "cronboards.stable.example.com"), "object");
	cr_assert_str_eq(condition(o, "Established", "status"), "True");
	fx_watch_done(&w);
	fx_do(&f, 200, "GET", "/apis/stable.example.com/v1/cronboards", NULL);
}

Test(crd, columns_selectors_and_published_schemas)
{
	static const char crd[] = CRD(
		"crontabs", "CronTab", "",
		VERSION("v1", STORED,
			"\"selectableFields\":[{\"jsonPath\":\".spec.color\"}],\"additionalPrinterColumns\":["
			"{\"name\":\"Color\",\"type\":\"string\",\"jsonPath\":\".spec.color\"},"
			"{\"name\":\"Ready\",\"type\":\"string\",\"jsonPath\":\".status.conditions[?(@.type==\\\"Ready\\\")].status\"},"
			"{\"name\":\"Size\",\"type\":\"integer\",\"priority\":1,\"jsonPath\":\".spec.size\"}],",
			"\"spec\":{\"type\":\"object\",\"description\":\"What is wanted.\",\"properties\":{\"color\":{\"type\":\"string\"},"
			"\"size\":{\"type\":\"integer\"}}},\"status\":{\"type\":\"object\","
			"\"x-kubernetes-preserve-unknown-fields\":true}"));
	struct answer a;
	json_t *o, *row, *s;

	fx_do(&f, 201, "POST", CRDS, crd);
	fx_do(&f, 201, "POST", TABS, TAB("a", "\"color\":\"red\",\"size\":3"));
	fx_do(&f, 201, "POST", TABS,
	      "{\"apiVersion\":\"stable.example.com/v1\",\"kind\":\"CronTab\",\"metadata\":{\"name\":\"b\"},\"spec\":{"
	      "\"color\":\"blue\"},\"status\":{\"conditions\":[{\"type\":\"Other\",\"status\":\"No\"},{\"type\":\"Ready\","
	      "\"status\":\"True\"}]}}");
	a = fx_call(&f, ADMIN, "GET", TABS, NULL, "application/json;as=Table;v=v1;g=meta.k8s.io", NULL);
	cr_assert(a.status == 200);
	cr_assert(json_array_size(json_object_get(a.json, "columnDefinitions")) == 4);
	row = json_object_get(json_array_get(json_object_get(a.json, "rows"), 0), "cells");
	cr_assert_str_eq(json_string_value(json_array_get(row, 1)), "red");
	cr_assert(json_is_null(json_array_get(row, 2)));
	cr_assert(json_integer_value(json_array_get(row, 3)) == 3);
	row = json_object_get(json_array_get(json_object_get(a.json, "rows"), 1), "cells");
	cr_assert_str_eq(json_string_value(json_array_get(row, 2)), "True");
	answer_done(&a);
	o = fx_expect(&f, 200, "GET", TABS "?fieldSelector=spec.color%3Dblue", NULL);
	cr_assert(json_array_size(json_object_get(o, "items")) == 1);
	json_decref(o);
	fx_do(&f, 400, "GET", TABS "?fieldSelector=spec.size%3D3", NULL);
	o = fx_expect(&f, 200, "GET", "/openapi/v3/apis/stable.example.com/v1", NULL);
	s = json_object_get(api_get(o, "components.schemas"), "com.example.stable.v1.CronTab");
	cr_assert_str_eq(api_get_str(s, "properties.spec.description"), "What is wanted.");
	cr_assert(api_get(s, "properties.metadata"));
	cr_assert(json_object_get(api_get(o, "components.schemas"), "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"));
	json_decref(o);
	o = fx_expect(&f, 200, "GET", "/openapi/v2", NULL);
	cr_assert(json_object_get(json_object_get(o, "definitions"), "com.example.stable.v1.CronTab"));
	json_decref(o);
	a = fx_call(&f, ADMIN, "GET", "/apis", NULL,
		    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", NULL);
	cr_assert(strstr(a.text, "\"stable.example.com\""));
	answer_done(&a);
}

Test(crd, a_definition_that_makes_no_sense_is_refused)
{
	static const struct {
		const char *body, *text;
	} cases[] = {
		{ CRD("crontabs", "CronTab", "", VERSION("v1", SERVED, "", "")),
		  "must have exactly one version marked as storage version" },
		{ CRD("crontabs", "CronTab", "", VERSION("v1", STORED, "", "") "," VERSION("v1", SERVED, "", "")),
		  "must contain unique version names" },
		{ CRD("crontabs", "CronTab", "", VERSION("V1", STORED, "", "")),
		  "spec.versions[0].name: Invalid value: \"V1\": a DNS-1035 label" },
		{ CRD("crontabs", "CronTab", "", "{\"name\":\"v1\",\"served\":true,\"storage\":true}"),
		  "spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required" },
		{ CRD("crontabs", "CronTab", "", VERSION("v1", STORED, "", "\"spec\":{}")),
		  "openAPIV3Schema.properties[spec].type: Required value: must not be empty for specified object fields" },
		{ CRD("crontabs", "CronTab", "",
		      VERSION("v1", STORED, "",
			      "\"spec\":{\"type\":\"object\",\"x-kubernetes-validations\":[{\"rule\":\"true\"}]}")),
		  "x-kubernetes-validations is not supported by Skep yet" },
		{ CRD("crontabs", "CronTab", "",
		      VERSION("v1", STORED, "", "\"spec\":{\"type\":\"string\",\"pattern\":\"(?=a)\"}")),
		  "must be a valid regular expression" },
		{ "{\"apiVersion\":\"apiextensions.k8s.io/v1\",\"kind\":\"CustomResourceDefinition\",\"metadata\":{\"name\":"
		  "\"x.example.com\"},\"spec\":{\"group\":\"example.com\",\"scope\":\"Cluster\",\"names\":{\"plural\":\"ys\","
		  "\"kind\":\"Y\"},\"versions\":[" VERSION("v1", STORED, "", "") "]}}",
		  "must be spec.names.plural+" },
		{ "{\"apiVersion\":\"apiextensions.k8s.io/v1\",\"kind\":\"CustomResourceDefinition\",\"metadata\":{\"name\":"
		  "\"ys.example.com\"},\"spec\":{\"group\":\"example.com\",\"scope\":\"Cluster\",\"conversion\":{\"strategy\":"
		  "\"Webhook\"},\"names\":{\"plural\":\"ys\",\"kind\":\"Y\"},\"versions\":[" VERSION("v1", STORED, "",
												     "") "]}}",
		  "strategy Webhook is not supported by Skep yet" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		fx_refused(&f, ADMIN, 422, "POST", CRDS, cases[i].body, cases[i].text);
}
