/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds that are stored in another form: what is written in one is read in the other, and none loses the other's part.
 */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define V1  "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers"
#define V2  "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"
#define OLD "/api/v1/namespaces/default/events"
#define NEW "/apis/events.k8s.io/v1/namespaces/default/events"
#define EVENT(name)                                                                                                     \
	"{\"apiVersion\":\"v1\",\"kind\":\"Event\",\"metadata\":{\"name\":\"" name "\"},\"involvedObject\":"            \
	"{\"kind\":\"Pod\",\"namespace\":\"default\",\"name\":\"p\",\"uid\":\"u\"},\"reason\":\"R\",\"message\":\"m\"," \
	"\"source\":{\"component\":\"c\"},\"count\":3,\"type\":\"Normal\"}"

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

TestSuite(view, .init = setup, .fini = teardown, .timeout = 180);

Test(view, an_old_autoscaler_keeps_what_only_the_new_one_says)
{
	json_t *o = fx_expect(
		&f, 201, "POST", V2,
		"{\"apiVersion\":\"autoscaling/v2\",\"kind\":\"HorizontalPodAutoscaler\",\"metadata\":{\"name\":\"h\"},"
		"\"spec\":{\"scaleTargetRef\":{\"kind\":\"Deployment\",\"name\":\"d\"},\"maxReplicas\":3,\"metrics\":["
		"{\"type\":\"Resource\",\"resource\":{\"name\":\"memory\",\"target\":{\"type\":\"Utilization\","
		"\"averageUtilization\":70}}},"
		"{\"type\":\"Resource\",\"resource\":{\"name\":\"cpu\",\"target\":{\"type\":\"Utilization\","
		"\"averageUtilization\":50}}}],\"behavior\":{\"scaleDown\":{\"selectPolicy\":\"Disabled\"}}}}");

	json_decref(o);
	o = fx_expect(&f, 200, "GET", V1 "/h", NULL);
	cr_assert_str_eq(api_get_str(o, "apiVersion"), "autoscaling/v1");
	cr_assert(api_get_int(o, "spec.targetCPUUtilizationPercentage", 0) == 50);
	cr_assert(!api_get(o, "spec.metrics") && !api_get(o, "spec.behavior") && !api_get(o, "status.conditions"));
	json_decref(o);
	o = fx_expect(&f, 200, "PATCH", V1 "/h",
		      "{\"spec\":{\"maxReplicas\":5,\"targetCPUUtilizationPercentage\":60}}");
	cr_assert_str_eq(api_get_str(o, "apiVersion"), "autoscaling/v1");
	cr_assert(api_get_int(o, "spec.targetCPUUtilizationPercentage", 0) == 60);
	json_decref(o);
	o = fx_expect(&f, 200, "GET", V2 "/h", NULL);
	cr_assert(api_get_int(o, "spec.maxReplicas", 0) == 5 && json_array_size(api_get(o, "spec.metrics")) == 2);
	cr_assert(api_get_int(json_array_get(api_get(o, "spec.metrics"), 1), "resource.target.averageUtilization", 0) ==
		  60);
	cr_assert_str_eq(api_get_str(o, "spec.behavior.scaleDown.selectPolicy"), "Disabled");
	cr_assert(json_array_size(api_get(o, "status.conditions")) == 1, "written by version 1, too");
	json_decref(o);
	o = fx_expect(&f, 200, "PATCH", V1 "/h", "{\"spec\":{\"targetCPUUtilizationPercentage\":null}}");
	json_decref(o);
	o = fx_expect(&f, 200, "GET", V2 "/h", NULL);
	cr_assert(json_array_size(api_get(o, "spec.metrics")) == 1);
	json_decref(o);
	fx_do(&f, 200, "DELETE", V1 "/h", NULL);
	fx_do(&f, 404, "GET", V2 "/h", NULL);
}

Test(view, an_old_autoscaler_is_made_into_a_new_one)
{
	json_t *o;

	fx_do(&f, 201, "POST", V1,
	      "{\"apiVersion\":\"autoscaling/v1\",\"kind\":\"HorizontalPodAutoscaler\",\"metadata\":{\"name\":\"h\"},"
	      "\"spec\":{\"scaleTargetRef\":{\"kind\":\"Deployment\",\"name\":\"d\"},\"maxReplicas\":3,"
	      "\"targetCPUUtilizationPercentage\":40}}");
	o = fx_expect(&f, 200, "GET", V2 "/h", NULL);
	cr_assert(json_array_size(api_get(o, "spec.metrics")) == 1 &&
		  api_get_int(json_array_get(api_get(o, "spec.metrics"), 0), "resource.target.averageUtilization", 0) ==
			  40);
	cr_assert_str_eq(api_get_str(json_array_get(api_get(o, "status.conditions"), 0), "reason"), "NoController");
	json_decref(o);
	fx_refused(
		&f, ADMIN, 409, "POST", V2,
		"{\"apiVersion\":\"autoscaling/v2\",\"kind\":\"HorizontalPodAutoscaler\",\"metadata\":{\"name\":\"h\"},"
		"\"spec\":{\"scaleTargetRef\":{\"kind\":\"Deployment\",\"name\":\"d\"},\"maxReplicas\":3}}",
		"already exists");
	fx_refused(
		&f, ADMIN, 400, "POST", V1,
		"{\"apiVersion\":\"autoscaling/v2\",\"kind\":\"HorizontalPodAutoscaler\",\"metadata\":{\"name\":\"h\"}}",
		"does not match the expected API version");
}

Test(view, events_are_the_same_in_both_groups)
{
	struct fx_watch old, new;
	json_t *o, *ev;

	fx_do(&f, 201, "POST", OLD, EVENT("before"));
	o = fx_expect(&f, 200, "GET", NEW "/before", NULL);
	cr_assert_str_eq(api_get_str(o, "apiVersion"), "events.k8s.io/v1");
	cr_assert_str_eq(api_get_str(o, "note"), "m");
	cr_assert_str_eq(api_get_str(o, "regarding.name"), "p");
	cr_assert(api_get_int(o, "deprecatedCount", 0) == 3 && !json_object_get(o, "involvedObject"));
	fx_watch_start(&f, &old, ADMIN, OLD "?watch=1&fieldSelector=involvedObject.name%3Dp&resourceVersion=0", NULL);
	fx_watch_start(&f, &new, ADMIN, NEW "?watch=1&fieldSelector=regarding.name%3Dp&resourceVersion=0", NULL);
	fx_watch_expect(&old, "ADDED", "before");
	fx_watch_expect(&new, "ADDED", "before");
	json_decref(o);
	o = fx_expect(
		&f, 201, "POST", NEW,
		"{\"apiVersion\":\"events.k8s.io/v1\",\"kind\":\"Event\",\"metadata\":{\"name\":\"after\"},"
		"\"regarding\":{\"kind\":\"Pod\",\"namespace\":\"default\",\"name\":\"p\"},\"reason\":\"R\",\"note\":"
		"\"n\",\"action\":\"A\",\"type\":\"Warning\",\"reportingController\":\"x.y/z\","
		"\"reportingInstance\":\"i\",\"eventTime\":\"2024-01-02T03:04:05.000006Z\"}");
	cr_assert_str_eq(api_get_str(o, "note"), "n");
	json_decref(o);
	ev = fx_watch_expect(&old, "ADDED", "after");
	cr_assert_str_eq(api_get_str(ev, "object.message"), "n");
	cr_assert_str_eq(api_get_str(ev, "object.apiVersion"), "v1");
	ev = fx_watch_expect(&new, "ADDED", "after");
	cr_assert_str_eq(api_get_str(ev, "object.note"), "n");
	cr_assert_str_eq(api_get_str(ev, "object.apiVersion"), "events.k8s.io/v1");
	fx_do(&f, 200, "DELETE", OLD "/after", NULL);
	ev = fx_watch_expect(&new, "DELETED", "after");
	cr_assert_str_eq(api_get_str(ev, "object.note"), "n");
	fx_watch_done(&old);
	fx_watch_done(&new);
	o = fx_expect(&f, 200, "GET", NEW "?fieldSelector=regarding.name%3Dother", NULL);
	cr_assert(json_array_size(json_object_get(o, "items")) == 0);
	json_decref(o);
	fx_refused(&f, ADMIN, 400, "GET", NEW "?fieldSelector=involvedObject.name%3Dp", NULL,
		   "field label not supported");
	fx_refused(
		&f, ADMIN, 422, "POST", NEW,
		"{\"apiVersion\":\"events.k8s.io/v1\",\"kind\":\"Event\",\"metadata\":{\"name\":\"x\"},\"type\":\"Odd\"}",
		"reportingController: Required value");
	fx_refused(&f, ADMIN, 422, "PATCH", NEW "/before", "{\"note\":\"other\"}", "note: Invalid value");
}

Test(view, lists_at_a_revision_and_restarts_have_the_view_as_well)
{
	json_t *o, *list;
	char path[200];

	fx_do(&f, 201, "POST", OLD, EVENT("a"));
	o = fx_expect(&f, 201, "POST", OLD, EVENT("b"));
	snprintf(path, sizeof(path), NEW "?resourceVersionMatch=Exact&resourceVersion=%s",
		 api_get_str(o, "metadata.resourceVersion"));
	json_decref(o);
	fx_do(&f, 200, "DELETE", OLD "/b", NULL);
	list = fx_expect(&f, 200, "GET", path, NULL);
	cr_assert(json_array_size(json_object_get(list, "items")) == 2);
	cr_assert_str_eq(api_get_str(json_array_get(json_object_get(list, "items"), 1), "note"), "m");
	json_decref(list);
	fx_stop(&f);
	fx_start(&f);
	list = fx_expect(&f, 200, "GET", NEW "?limit=1", NULL);
	cr_assert(json_array_size(json_object_get(list, "items")) == 1);
	json_decref(list);
}
