/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of pods that a subresource of its own changes: ephemeral containers. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

static struct fx f;

static void setup(void)
{
	fx_init(&f);
	fx_start(&f);
	fx_do(&f, 201, "POST", PODS,
	      "{\"metadata\":{\"name\":\"p\"},\"spec\":{\"initContainers\":[{\"name\":\"i\",\"image\":\"i:1\"}],"
	      "\"volumes\":[{\"name\":\"v\",\"emptyDir\":{}}],\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}]}}");
}

static void teardown(void)
{
	fx_done(&f);
}

TestSuite(pod_sub, .init = setup, .fini = teardown, .timeout = 180);

#define SUB	  PODS "/p/ephemeralcontainers"
#define ADD(list) "{\"spec\":{\"ephemeralContainers\":[" list "]}}"

static struct answer strategic(const char *path, const char *body)
{
	return fx_call(&f, ADMIN, "PATCH", path, "application/strategic-merge-patch+json", NULL, body);
}

static void added(const char *list, int status, const char *text)
{
	char body[1024];
	struct answer a;

	snprintf(body, sizeof(body), ADD("%s"), list);
	a = strategic(SUB, body);
	cr_assert(a.status == status && (!text || strstr(a.text, text)), "%s: %d %s", list, a.status, a.text);
	answer_done(&a);
}

/* As kubectl debug does it. */
Test(pod_sub, ephemeral_containers_are_added_by_patch)
{
	json_t *pod, *e;

	added("{\"name\":\"d1\",\"image\":\"busybox\",\"stdin\":true,\"tty\":true,\"targetContainerName\":\"c\","
	      "\"terminationMessagePolicy\":\"File\",\"imagePullPolicy\":\"IfNotPresent\",\"resources\":{}}",
	      200, NULL);
	added("{\"name\":\"d2\",\"image\":\"busybox:1\"}", 200, NULL);
	pod = fx_expect(&f, 200, "GET", SUB, NULL);
	cr_assert_str_eq(api_get_str(pod, "kind"), "Pod");
	cr_assert_eq(json_array_size(api_get(pod, "spec.ephemeralContainers")), 2);
	/* The later one comes first in a strategic merge; each is the same as ever. */
	for (size_t i = 0; i < 2; i++) {
		e = json_array_get(api_get(pod, "spec.ephemeralContainers"), i);
		if (streq(api_get_str(e, "name"), "d2")) {
			cr_assert_str_eq(api_get_str(e, "imagePullPolicy"), "IfNotPresent");
			cr_assert_str_eq(api_get_str(e, "terminationMessagePath"), "/dev/termination-log");
		} else {
			cr_assert_str_eq(api_get_str(e, "targetContainerName"), "c");
		}
	}
	cr_assert_eq(api_get_int(pod, "metadata.generation", 0), 3);
	json_decref(pod);
}

Test(pod_sub, ephemeral_containers_must_be_right)
{
	static const struct {
		const char *list, *text;
	} cases[] = {
		{ "{\"name\":\"c\",\"image\":\"b\"}", "spec.ephemeralContainers[0].name: Duplicate value: \\\"c\\\"" },
		{ "{\"name\":\"i\",\"image\":\"b\"}", "spec.ephemeralContainers[0].name: Duplicate value: \\\"i\\\"" },
		{ "{\"name\":\"d\"}", "spec.ephemeralContainers[0].image: Required value" },
		{ "{\"name\":\"D\",\"image\":\"b\"}", "spec.ephemeralContainers[0].name: Invalid value" },
		{ "{\"name\":\"d\",\"image\":\"b\",\"targetContainerName\":\"x\"}",
		  "spec.ephemeralContainers[0].targetContainerName: Not found: \\\"x\\\"" },
		{ "{\"name\":\"d\",\"image\":\"b\",\"ports\":[{\"containerPort\":80}]}",
		  "spec.ephemeralContainers[0].ports: Forbidden" },
		{ "{\"name\":\"d\",\"image\":\"b\",\"livenessProbe\":{\"exec\":{\"command\":[\"x\"]}}}",
		  "spec.ephemeralContainers[0].livenessProbe: Forbidden" },
		{ "{\"name\":\"d\",\"image\":\"b\",\"resources\":{\"limits\":{\"cpu\":\"1\"}}}",
		  "spec.ephemeralContainers[0].resources: Forbidden" },
		{ "{\"name\":\"d\",\"image\":\"b\",\"volumeMounts\":[{\"name\":\"w\",\"mountPath\":\"/v\"}]}",
		  "spec.ephemeralContainers[0].volumeMounts[0].name: Not found: \\\"w\\\"" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		added(cases[i].list, 422, cases[i].text);
	added("{\"name\":\"d\",\"image\":\"b\",\"volumeMounts\":[{\"name\":\"v\",\"mountPath\":\"/v\"}]}", 200, NULL);
}

Test(pod_sub, ephemeral_containers_never_change_or_go)
{
	json_t *pod, *list;
	struct answer a;
	char *text;

	added("{\"name\":\"d\",\"image\":\"b\"}", 200, NULL);
	added("{\"name\":\"d\",\"image\":\"other\"}", 422,
	      "existing ephemeral containers \\\"d\\\" may not be changed");
	pod = fx_expect(&f, 200, "GET", PODS "/p", NULL);
	list = json_incref(api_get(pod, "spec.ephemeralContainers"));
	json_object_del(json_object_get(pod, "spec"), "ephemeralContainers");
	text = json_dumps(pod, 0);
	fx_refused(&f, ADMIN, 422, "PUT", SUB, text, "existing ephemeral containers \"d\" may not be removed");
	fx_refused(&f, ADMIN, 422, "PUT", PODS "/p", text, "by the pod's subresource ephemeralcontainers");
	free(text);
	/* What else a PUT there says is not heard. */
	json_object_set_new(json_object_get(pod, "spec"), "ephemeralContainers", list);
	json_array_append_new(list, json_pack("{s:s,s:s}", "name", "e", "image", "b"));
	(void)api_set(pod, "spec.containers", json_pack("[{s:s,s:s}]", "name", "c", "image", "changed"));
	(void)api_set(pod, "metadata.labels", json_pack("{s:s}", "x", "y"));
	text = json_dumps(pod, 0);
	json_decref(pod);
	pod = fx_expect(&f, 200, "PUT", SUB, text);
	free(text);
	cr_assert_eq(json_array_size(api_get(pod, "spec.ephemeralContainers")), 2);
	cr_assert_str_eq(api_get_str(json_array_get(api_get(pod, "spec.containers"), 0), "image"), "i:1");
	cr_assert(!api_get(pod, "metadata.labels"));
	json_decref(pod);
	/* A pod is updated by itself as ever. */
	a = strategic(PODS "/p", "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}");
	cr_assert_eq(a.status, 200, "%s", a.text);
	answer_done(&a);
}

Test(pod_sub, ephemeral_containers_come_by_their_subresource_only)
{
	fx_refused(&f, ADMIN, 422, "POST", PODS,
		   POD("q", "\"ephemeralContainers\":[{\"name\":\"d\",\"image\":\"b\"}],"),
		   "spec.ephemeralContainers: Forbidden: cannot be set on create");
	fx_refused(&f, ADMIN, 422, "PATCH", PODS "/p", ADD("{\"name\":\"d\",\"image\":\"b\"}"),
		   "by the pod's subresource ephemeralcontainers");
	fx_refused(&f, ADMIN, 404, "PATCH", PODS "/none/ephemeralcontainers", ADD("{\"name\":\"d\",\"image\":\"b\"}"),
		   "pods \"none\" not found");
	fx_refused(&f, STRANGER, 403, "PATCH", SUB, ADD("{\"name\":\"d\",\"image\":\"b\"}"),
		   "cannot patch resource \"pods/ephemeralcontainers\"");
	fx_do(&f, 405, "POST", SUB, ADD(""));
}
