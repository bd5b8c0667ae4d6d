/* SPDX-License-Identifier: Apache-2.0 */
/* pods/resize: what may change, in every way of writing, what it is charged to, and who may; its discovery. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define STRATEGIC "application/strategic-merge-patch+json"
#define APPLY	  "application/apply-patch+yaml"
#define EC	  PODS "/p/ephemeralcontainers"
#define RESIZE	  PODS "/p/resize"
#define ADD(more) "{\"spec\":{\"ephemeralContainers\":[{\"image\":\"i:1\"," more "}]}}"
#define SIZE(res) "{\"spec\":{\"containers\":[{\"name\":\"c\",\"resources\":{" res "}}]}}"

static struct fx f;

static void make_pod(const char *more)
{
	char body[800];

	snprintf(
		body, sizeof(body),
		"{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\"},\"spec\":{\"initContainers\":[{"
		"\"name\":\"first\",\"image\":\"i:1\"}],\"containers\":[{\"name\":\"c\",\"image\":\"i:1\",\"resources\":{"
		"\"requests\":{\"cpu\":\"100m\",\"memory\":\"10Mi\"},\"limits\":{\"cpu\":\"200m\",\"memory\":\"20Mi\"}}%s}"
		",{\"name\":\"d\",\"image\":\"i:1\",\"resources\":{\"requests\":{\"cpu\":\"10m\"}}}]}}",
		more);
	fx_do(&f, 201, "POST", PODS, body);
}

static void setup(void)
{
	fx_init(&f);
	fx_start(&f);
}

static void teardown(void)
{
	fx_done(&f);
}

TestSuite(pod_resize, .init = setup, .fini = teardown, .timeout = 180);

static json_t *patch(int status, const char *path, const char *type, const char *body, const char *text)
{
	struct answer a = fx_call(&f, ADMIN, "PATCH", path, type, NULL, body);
	json_t *o = json_incref(a.json);

	cr_assert(a.status == status && strstr(a.text, text), "%s: %d, not %d with '%s': %s", body, a.status, status,
		  text, a.text);
	answer_done(&a);
	return o;
}

static void patch_do(int status, const char *path, const char *type, const char *body, const char *text)
{
	json_decref(patch(status, path, type, body, text));
}

Test(pod_resize, resize_changes_cpu_and_memory)
{
	json_t *o, *c;

	make_pod("");
	o = patch(
		200, RESIZE, STRATEGIC,
		"{\"metadata\":{\"labels\":{\"a\":\"b\"}},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"other\","
		"\"resources\":{\"requests\":{\"cpu\":\"150m\"},\"limits\":{\"memory\":\"1Gi\"}}}]}}",
		"");
	c = json_array_get(api_get(o, "spec.containers"), 0);
	cr_assert_str_eq(api_get_str(c, "resources.requests.cpu"), "150m");
	cr_assert_str_eq(api_get_str(c, "resources.limits.cpu"), "200m");
	cr_assert_str_eq(api_get_str(c, "resources.limits.memory"), "1Gi");
	cr_assert_str_eq(api_get_str(c, "image"), "i:1");
	cr_assert(!api_get(o, "metadata.labels") && json_array_size(api_get(o, "spec.containers")) == 2);
	cr_assert(api_get_int(o, "metadata.generation", 0) == 2);
	json_decref(o);
	patch_do(200, RESIZE, "application/json-patch+json",
		 "[{\"op\":\"replace\",\"path\":\"/spec/containers/0/resources/limits/cpu\",\"value\":\"300m\"}]",
		 "300m");
	patch_do(200, RESIZE "?fieldManager=m&force=true", APPLY,
		 "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\"},\"spec\":{\"containers\":[{"
		 "\"name\":\"c\",\"resources\":{\"limits\":{\"cpu\":\"400m\"}}}]}}",
		 "400m");
	o = fx_expect(&f, 200, "GET", RESIZE, NULL);
	c = json_array_get(api_get(o, "spec.containers"), 0);
	cr_assert_str_eq(api_get_str(c, "resources.limits.cpu"), "400m");
	(void)api_set(c, "resources.limits.cpu", json_string("500m"));
	json_object_del(json_object_get(o, "metadata"), "resourceVersion");
	{
		char *text = json_dumps(o, 0);

		fx_do(&f, 200, "PUT", RESIZE, text);
		free(text);
	}
	json_decref(o);
	patch_do(422, PODS "/p", STRATEGIC, SIZE("\"limits\":{\"cpu\":\"1\"}"), "pod updates may not change fields");
}

Test(pod_resize, resizes_that_are_refused)
{
	static const struct {
		const char *body, *text;
	} cases[] = {
		{ SIZE("\"requests\":{\"cpu\":\"1\"}"), "must be less than or equal to cpu limit of 200m" },
		{ SIZE("\"limits\":{\"memory\":\"15Mi\"}"),
		  "spec.containers[0].resources.limits: Forbidden: memory limits cannot be decreased unless resizePolicy is "
		  "RestartContainer" },
		{ SIZE("\"limits\":{\"cpu\":null}"),
		  "spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed" },
		{ "{\"spec\":{\"containers\":[{\"name\":\"d\",\"resources\":{\"requests\":{\"cpu\":null}}}]}}",
		  "spec.containers[1].resources.requests: Forbidden: resource requests cannot be removed" },
		{ SIZE("\"requests\":{\"ephemeral-storage\":\"1Gi\"}"),
		  "spec: Forbidden: only cpu and memory resources are mutable" },
		{ "{\"spec\":{\"containers\":[{\"name\":\"c\",\"resizePolicy\":[{\"resourceName\":\"cpu\",\"restartPolicy\":"
		  "\"RestartContainer\"}]}]}}",
		  "only cpu and memory resources are mutable" },
		{ "{\"spec\":{\"initContainers\":[{\"name\":\"first\",\"resources\":{\"limits\":{\"cpu\":\"1\"}}}]}}",
		  "only cpu and memory resources are mutable" },
	};

	make_pod("");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		patch_do(422, RESIZE, STRATEGIC, cases[i].body, cases[i].text);
	fx_do(&f, 201, "POST", PODS, POD("q", ""));
	patch_do(422, PODS "/q/resize", STRATEGIC, SIZE("\"limits\":{\"cpu\":\"1\"}"),
		 "spec: Invalid value: \\\"BestEffort\\\": Pod QOS Class may not change as a result of resizing");
}

Test(pod_resize, resize_policies)
{
	make_pod(",\"resizePolicy\":[{\"resourceName\":\"memory\",\"restartPolicy\":\"RestartContainer\"}]");
	patch_do(200, RESIZE, STRATEGIC, SIZE("\"limits\":{\"memory\":\"15Mi\"}"), "15Mi");
	fx_refused(
		&f, ADMIN, 422, "POST", PODS,
		"{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"x\"},\"spec\":{\"restartPolicy\":"
		"\"Never\",\"containers\":[{\"name\":\"c\",\"image\":\"i:1\",\"resizePolicy\":[{\"resourceName\":\"cpu\","
		"\"restartPolicy\":\"RestartContainer\"}]}]}}",
		"must be 'NotRequired' when `restartPolicy` is 'Never'");
	fx_refused(
		&f, ADMIN, 422, "POST", PODS,
		"{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"x\"},\"spec\":{\"containers\":[{"
		"\"name\":\"c\",\"image\":\"i:1\",\"resizePolicy\":[{\"resourceName\":\"disk\",\"restartPolicy\":\"x\"}]}]}}",
		"resizePolicy[0].resourceName: Unsupported value: \"disk\"");
}

Test(pod_resize, a_resize_is_charged_to_quotas_and_bounded_by_limit_ranges)
{
	json_t *o;

	make_pod("");
	fx_do(&f, 201, "POST", "/api/v1/namespaces/default/resourcequotas",
	      "{\"apiVersion\":\"v1\",\"kind\":\"ResourceQuota\",\"metadata\":{\"name\":\"q\"},\"spec\":{\"hard\":{"
	      "\"requests.cpu\":\"180m\"}}}");
	fx_do(&f, 200, "PATCH", "/api/v1/namespaces/default/resourcequotas/q/status",
	      "{\"status\":{\"hard\":{\"requests.cpu\":\"180m\"},\"used\":{\"requests.cpu\":\"100m\"}}}");
	patch_do(403, RESIZE, STRATEGIC, SIZE("\"requests\":{\"cpu\":\"190m\"}"),
		 "exceeded quota: q, requested: requests.cpu=90m, used: requests.cpu=100m, limited: requests.cpu=180m");
	patch_do(200, RESIZE, STRATEGIC, SIZE("\"requests\":{\"cpu\":\"160m\"}"), "160m");
	o = fx_expect(&f, 200, "GET", "/api/v1/namespaces/default/resourcequotas/q", NULL);
	cr_assert_str_eq(json_string_value(json_object_get(api_get(o, "status.used"), "requests.cpu")), "160m");
	json_decref(o);
	fx_do(&f, 201, "POST", "/api/v1/namespaces/default/limitranges",
	      "{\"apiVersion\":\"v1\",\"kind\":\"LimitRange\",\"metadata\":{\"name\":\"l\"},\"spec\":{\"limits\":[{"
	      "\"type\":\"Pod\",\"max\":{\"memory\":\"30Mi\"}}]}}");
	patch_do(403, RESIZE, STRATEGIC, SIZE("\"limits\":{\"memory\":\"40Mi\"}"),
		 "maximum memory usage per Pod is 30Mi, but limit is 40Mi");
}

#define RBAC "/apis/rbac.authorization.k8s.io/v1/namespaces/default"

static int stranger(const char *path, const char *body)
{
	struct answer a = fx_call(&f, STRANGER, "PATCH", path, STRATEGIC, NULL, body);
	int status = a.status;

	answer_done(&a);
	return status;
}

Test(pod_resize, each_is_a_right_of_its_own)
{
	static const char *const subs[] = { "ephemeralcontainers", "resize" };
	char body[500];

	make_pod("");
	fx_do(&f, 201, "POST", RBAC "/roles",
	      "{\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"kind\":\"Role\",\"metadata\":{\"name\":\"pods\"},"
	      "\"rules\":[{\"verbs\":[\"*\"],\"apiGroups\":[\"\"],\"resources\":[\"pods\"]}]}");
	for (size_t i = 0; i < 3; i++) {
		const char *name = i ? subs[i - 1] : "pods";

		if (i) {
			snprintf(
				body, sizeof(body),
				"{\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"kind\":\"Role\",\"metadata\":{\"name\":"
				"\"%s\"},\"rules\":[{\"verbs\":[\"patch\"],\"apiGroups\":[\"\"],\"resources\":[\"pods/%s\"]}]}",
				name, name);
			fx_do(&f, 201, "POST", RBAC "/roles", body);
		}
		snprintf(
			body, sizeof(body),
			"{\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"kind\":\"RoleBinding\",\"metadata\":{\"name\":"
			"\"%s\"},\"roleRef\":{\"kind\":\"Role\",\"name\":\"%s\"},\"subjects\":[{\"kind\":\"User\",\"name\":"
			"\"stranger\"}]}",
			name, name);
		fx_do(&f, 201, "POST", RBAC "/rolebindings", body);
		cr_assert(stranger(EC, ADD("\"name\":\"e\"")) == (i >= 1 ? 200 : 403));
		cr_assert(stranger(RESIZE, SIZE("\"limits\":{\"cpu\":\"1\"}")) == (i >= 2 ? 200 : 403));
	}
}

Test(pod_resize, are_told_of_in_discovery_and_openapi_and_spoken_in_protobuf)
{
	struct answer a = fx_call(&f, ADMIN, "GET", "/api/v1", NULL, NULL, NULL);

	cr_assert(strstr(a.text, "\"pods/ephemeralcontainers\"") && strstr(a.text, "\"pods/resize\""));
	answer_done(&a);
	a = fx_call(&f, ADMIN, "GET", "/openapi/v3/api/v1", NULL, NULL, NULL);
	cr_assert(a.status == 200);
	cr_assert(strstr(a.text, "/api/v1/namespaces/{namespace}/pods/{name}/ephemeralcontainers"));
	cr_assert(strstr(a.text, "/api/v1/namespaces/{namespace}/pods/{name}/resize"));
	cr_assert(strstr(a.text, "io.k8s.api.core.v1.EphemeralContainer"));
	answer_done(&a);
	make_pod("");
	patch_do(200, EC, STRATEGIC, ADD("\"name\":\"e\",\"targetContainerName\":\"c\""), "");
	a = fx_call(&f, ADMIN, "GET", EC, NULL, "application/vnd.kubernetes.protobuf", NULL);
	cr_assert(a.status == 200 && strstr(a.content_type, "protobuf"));
	{
		struct err err = ERR_INIT;
		struct answer b;
		json_t *o = NULL;

		cr_assert(api_protobuf_parse(a.text, a.len, &o, &err) == 0, "%s", err.msg);
		cr_assert_str_eq(
			api_get_str(json_array_get(api_get(o, "spec.ephemeralContainers"), 0), "targetContainerName"),
			"c");
		json_decref(o);
		b = fx_call_bytes(&f, ADMIN, "PUT", EC, "application/vnd.kubernetes.protobuf", NULL, a.text, a.len);
		cr_assert(b.status == 200, "%s", b.text);
		answer_done(&b);
	}
	answer_done(&a);
}
