/* SPDX-License-Identifier: Apache-2.0 */
/* What a namespace uses, from its objects. */
#include <criterion/criterion.h>
#include <jansson.h>

#include "../../../userspace/control/controllers/quota_plan.h"
#include "api/api_types.h"
#include "api/usage.h"
#include "base/str.h"

static const struct api_kind *const kinds[] = { &api_kind_pod, &api_kind_service, &api_kind_secret, NULL };

static json_t *parse(const char *text)
{
	json_t *v = json_loads(text, 0, NULL);

	cr_assert(v, "%s", text);
	return v;
}

#define POD(more, status)                                                                                              \
	"{\"spec\":{\"containers\":[{\"name\":\"c\",\"resources\":{" more "}}]},\"status\":{" status "}}"

Test(quota, used_is_the_sum_over_what_is_covered)
{
	static const char *const pods[] = {
		POD("\"requests\":{\"cpu\":\"250m\",\"memory\":\"1Gi\"},\"limits\":{\"cpu\":\"1\"}", ""),
		POD("\"requests\":{\"cpu\":\"500m\"}", "\"phase\":\"Running\""),
		POD("\"requests\":{\"cpu\":\"8\"}", "\"phase\":\"Succeeded\""),
		POD("\"requests\":{\"cpu\":\"8\"}", "\"phase\":\"Failed\""),
	};
	static const char *const service = "{\"spec\":{\"type\":\"NodePort\",\"ports\":[{\"port\":1},{\"port\":2}]}}";
	static const struct {
		const char *spec, *used;
	} cases[] = {
		{ "{\"hard\":{\"pods\":\"9\",\"count/pods\":\"9\"}}", "{\"pods\":\"2\",\"count/pods\":\"4\"}" },
		{ "{\"hard\":{\"cpu\":\"9\",\"requests.cpu\":\"9\",\"limits.cpu\":\"9\",\"memory\":\"9Gi\"}}",
		  "{\"cpu\":\"750m\",\"requests.cpu\":\"750m\",\"limits.cpu\":\"1\",\"memory\":\"1Gi\"}" },
		{ "{\"hard\":{\"services\":\"9\",\"services.nodeports\":\"9\",\"services.loadbalancers\":\"9\"}}",
		  "{\"services\":\"1\",\"services.nodeports\":\"2\",\"services.loadbalancers\":\"0\"}" },
		{ "{\"hard\":{\"secrets\":\"9\",\"count/secrets\":\"9\"}}",
		  "{\"secrets\":\"0\",\"count/secrets\":\"0\"}" },
		{ "{\"hard\":{\"count/widgets.example.com\":\"9\"}}", "{}" },
		{ "{\"hard\":{\"pods\":\"9\"},\"scopes\":[\"BestEffort\"]}", "{\"pods\":\"0\"}" },
		{ "{\"hard\":{\"pods\":\"9\"},\"scopes\":[\"NotBestEffort\"]}", "{\"pods\":\"2\"}" },
		{ "{\"hard\":{\"pods\":\"9\",\"services\":\"9\"},\"scopes\":[\"NotTerminating\"]}",
		  "{\"pods\":\"2\",\"services\":\"0\"}" },
	};
	struct quota_object objects[5];

	for (size_t i = 0; i < 4; i++)
		objects[i] = (struct quota_object){ &api_kind_pod, parse(pods[i]) };
	objects[4] = (struct quota_object){ &api_kind_service, parse(service) };
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *quota = json_pack("{s:o}", "spec", parse(cases[i].spec)), *want = parse(cases[i].used);
		json_t *got = quota_plan(quota, objects, 5, kinds);
		char *text = json_dumps(got, 0);

		cr_assert(json_equal(json_object_get(got, "used"), want), "%s: %s", cases[i].spec, text);
		cr_assert(json_equal(json_object_get(got, "hard"), api_get(quota, "spec.hard")));
		free(text);
		json_decref(got);
		json_decref(want);
		json_decref(quota);
	}
	for (size_t i = 0; i < 5; i++)
		json_decref((json_t *)objects[i].obj);
}

Test(quota, a_pods_resources_are_its_greatest_need)
{
	static const struct {
		const char *spec, *cpu;
	} cases[] = {
		{ "{\"containers\":[{\"resources\":{\"requests\":{\"cpu\":\"1\"}}},{\"resources\":{\"requests\":{\"cpu\":\"2\"}}}]}",
		  "3" },
		{ "{\"containers\":[{\"resources\":{\"requests\":{\"cpu\":\"1\"}}}],\"initContainers\":[{\"resources\":{"
		  "\"requests\":{\"cpu\":\"4\"}}},{\"resources\":{\"requests\":{\"cpu\":\"2\"}}}]}",
		  "4" },
		/* a sidecar runs beside all that come later */
		{ "{\"containers\":[{\"resources\":{\"requests\":{\"cpu\":\"1\"}}}],\"initContainers\":[{\"restartPolicy\":"
		  "\"Always\",\"resources\":{\"requests\":{\"cpu\":\"500m\"}}},{\"resources\":{\"requests\":{\"cpu\":\"2\"}}}]}",
		  "2500m" },
		{ "{\"containers\":[{\"resources\":{\"requests\":{\"cpu\":\"1\"}}}],\"overhead\":{\"cpu\":\"100m\"}}",
		  "1100m" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *pod = json_pack("{s:o}", "spec", parse(cases[i].spec)),
		       *sum = api_pod_resources(pod, "requests");

		cr_assert(streq(api_get_str(sum, "cpu"), cases[i].cpu), "%zu: %s", i, api_get_str(sum, "cpu"));
		json_decref(sum);
		json_decref(pod);
	}
}
