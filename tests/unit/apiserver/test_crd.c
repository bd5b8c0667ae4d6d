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

TestSuite(crd, .init = setup, .fini = teardown, .timeout = 60);

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
