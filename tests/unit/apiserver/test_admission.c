/* SPDX-License-Identifier: Apache-2.0 */
/* Admission: what each plugin lets pass, refuses and fills in, asked of a running server. */
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

TestSuite(admission, .init = setup, .fini = teardown, .timeout = 60);

#define PCS "/apis/scheduling.k8s.io/v1/priorityclasses"
#define PC(name, rest)                                                                                                 \
	"{\"apiVersion\":\"scheduling.k8s.io/v1\",\"kind\":\"PriorityClass\",\"metadata\":{\"name\":\"" name           \
	"\"}," rest "}"

Test(admission, a_namespace_must_be_there_and_stay)
{
	static const char *const immortal[] = { "default", "kube-system", "kube-public" };
	char path[128], text[128];

	fx_refused(&f, ADMIN, 404, "POST", "/api/v1/namespaces/none/configmaps", CM("a", ""),
		   "namespaces \"none\" not found");
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "/api/v1/namespaces/%s", immortal[i]);
		snprintf(text, sizeof(text), "namespaces \"%s\" is forbidden: this namespace may not be deleted",
			 immortal[i]);
		fx_refused(&f, ADMIN, 403, "DELETE", path, NULL, text);
		fx_do(&f, 200, "GET", path, NULL);
	}
}

Test(admission, nothing_new_in_a_terminating_namespace)
{
	json_t *o;

	fx_do(&f, 201, "POST", "/api/v1/namespaces",
	      "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"going\"}}");
	fx_do(&f, 201, "POST", "/api/v1/namespaces/going/configmaps", CM("a", ""));
	fx_do(&f, 200, "DELETE", "/api/v1/namespaces/going", NULL);
	o = fx_expect(&f, 403, "POST", "/api/v1/namespaces/going/configmaps", CM("b", ""));
	cr_assert_str_eq(api_get_str(o, "message"), "configmaps \"b\" is forbidden: unable to create new content in "
						    "namespace going because it is being terminated");
	cr_assert_str_eq(api_get_str(json_array_get(api_get(o, "details.causes"), 0), "reason"),
			 "NamespaceTerminating");
	json_decref(o);
	/* what is there may change and go */
	fx_do(&f, 200, "PATCH", "/api/v1/namespaces/going/configmaps/a", "{\"data\":{\"x\":\"y\"}}");
	fx_do(&f, 200, "DELETE", "/api/v1/namespaces/going/configmaps/a", NULL);
}

Test(admission, tolerations_of_five_minutes_unless_said_otherwise)
{
	static const struct {
		const char *tolerations;
		size_t n;
	} cases[] = {
		{ "", 2 },
		{ "\"tolerations\":[{\"key\":\"a\",\"operator\":\"Exists\"}],", 3 },
		{ "\"tolerations\":[{\"operator\":\"Exists\"}],", 1 },
		{ "\"tolerations\":[{\"key\":\"node.kubernetes.io/not-ready\",\"operator\":\"Exists\",\"effect\":"
		  "\"NoExecute\",\"tolerationSeconds\":7}],",
		  2 },
		{ "\"tolerations\":[{\"key\":\"node.kubernetes.io/not-ready\",\"operator\":\"Exists\",\"effect\":"
		  "\"NoSchedule\"}],",
		  3 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char body[600];
		json_t *o;

		snprintf(body, sizeof(body),
			 "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p%zu\"},\"spec\":{%s"
			 "\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}]}}",
			 i, cases[i].tolerations);
		o = fx_expect(&f, 201, "POST", PODS, body);
		cr_assert(json_array_size(api_get(o, "spec.tolerations")) == cases[i].n, "case %zu", i);
		json_decref(o);
	}
}

Test(admission, priority_comes_from_the_class)
{
	static const struct {
		const char *spec;
		int status;
		int64_t priority;
		const char *policy, *text;
	} cases[] = {
		{ "", 201, 5, "PreemptLowerPriority", NULL }, /* the default class */
		{ "\"priorityClassName\":\"high\",", 201, 1000, "Never", NULL },
		{ "\"priorityClassName\":\"high\",\"priority\":1000,", 201, 1000, "Never", NULL },
		{ "\"priorityClassName\":\"system-node-critical\",", 201, 2000001000, "PreemptLowerPriority", NULL },
		{ "\"priorityClassName\":\"system-cluster-critical\",", 201, 2000000000, "PreemptLowerPriority", NULL },
		{ "\"priorityClassName\":\"none\",", 403, 0, NULL, "no PriorityClass with name none was found" },
		{ "\"priority\":7,", 403, 0, NULL,
		  "the integer value of priority (7) must not be provided in pod spec; priority admission controller "
		  "computed 5 from the given PriorityClass name" },
		{ "\"priorityClassName\":\"high\",\"preemptionPolicy\":\"PreemptLowerPriority\",", 403, 0, NULL,
		  "the string value of PreemptionPolicy (PreemptLowerPriority) must not be provided" },
	};

	fx_do(&f, 201, "POST", PCS, PC("high", "\"value\":1000,\"preemptionPolicy\":\"Never\""));
	fx_do(&f, 201, "POST", PCS, PC("plain", "\"value\":5,\"globalDefault\":true"));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char body[600];
		json_t *o;

		snprintf(body, sizeof(body),
			 "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p%zu\"},\"spec\":{%s"
			 "\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}]}}",
			 i, cases[i].spec);
		o = fx_expect(&f, cases[i].status, "POST", PODS, body);
		if (cases[i].text) {
			cr_assert(strstr(api_get_str(o, "message"), cases[i].text), "case %zu: %s", i,
				  api_get_str(o, "message"));
		} else {
			cr_assert(api_get_int(o, "spec.priority", -1) == cases[i].priority, "case %zu", i);
			cr_assert_str_eq(api_get_str(o, "spec.preemptionPolicy"), cases[i].policy);
		}
		json_decref(o);
	}
	/* a pod keeps its number */
	fx_do(&f, 422, "PATCH", PODS "/p1", "{\"spec\":{\"priority\":6}}");
}

Test(admission, priority_classes_have_bounds_and_one_default)
{
	fx_do(&f, 200, "GET", PCS "/system-node-critical", NULL);
	fx_do(&f, 200, "GET", PCS "/system-cluster-critical", NULL);
	fx_refused(&f, ADMIN, 422, "POST", PCS, PC("big", "\"value\":1000000001"),
		   "maximum allowed value of a user defined priority is 1000000000");
	fx_refused(&f, ADMIN, 422, "POST", PCS, PC("system-mine", "\"value\":1"), "reserved for system use only");
	fx_do(&f, 201, "POST", PCS, PC("one", "\"value\":1,\"globalDefault\":true"));
	fx_refused(&f, ADMIN, 403, "POST", PCS, PC("two", "\"value\":2,\"globalDefault\":true"),
		   "PriorityClass one is already marked as default. Only one default can exist");
	fx_do(&f, 201, "POST", PCS, PC("two", "\"value\":2"));
	fx_refused(&f, ADMIN, 403, "PATCH", PCS "/two", "{\"globalDefault\":true}", "already marked as default");
	fx_do(&f, 200, "PATCH", PCS "/one", "{\"description\":\"still the default\"}");
	fx_refused(&f, ADMIN, 422, "PATCH", PCS "/one", "{\"value\":9}", "value");
}
