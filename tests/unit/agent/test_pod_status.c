/* SPDX-License-Identifier: Apache-2.0 */
/* A pod's status from its worker's state. */
#include <criterion/criterion.h>
#include <string.h>

#include "agent/pod/pod-internal.h"

#define NOW 1795400000000

static struct api_container specs[4] = { { .name = "i", .image = "img:1" },
					 { .name = "a", .image = "img:1" },
					 { .name = "b", .image = "img:1" },
					 { .name = "debug", .image = "img:1" } };
static struct api_pod obj;
static struct pods pods;
static struct pod_ctr ctrs[4], *order[4];
static struct pod pod;

static void setup(void)
{
	memset(&obj, 0, sizeof(obj));
	memset(ctrs, 0, sizeof(ctrs));
	memset(&pod, 0, sizeof(pod));
	memset(&pods, 0, sizeof(pods));
	obj.spec.n_init_containers = 1;
	obj.spec.init_containers = specs;
	obj.spec.n_containers = 2;
	obj.spec.containers = specs + 1;
	obj.spec.restart_policy = "Always";
	pods.config.node_ips[0] = "10.1.1.1";
	pod.m = &pods;
	pod.obj = &obj;
	pod.uid = "u";
	pod.ns = "ns";
	pod.name = "p";
	pod.start_ms = NOW - 5000;
	pod.n_init = 1;
	pod.n_fixed = pod.n_ctrs = 3;
	pod.ctrs = order;
	for (size_t i = 0; i < 4; i++) {
		ctrs[i] = (struct pod_ctr){ .pod = &pod, .spec = &specs[i], .index = i };
		order[i] = &ctrs[i];
	}
}

TestSuite(pod_status, .init = setup);

static void is(size_t i, enum ctr_state state, int code)
{
	ctrs[i].id = "id";
	ctrs[i].state = state;
	ctrs[i].now.exit_code = code;
	ctrs[i].now.started_ms = NOW - 2000;
	ctrs[i].now.finished_ms = state == CTR_EXITED ? NOW - 1000 : 0;
	ctrs[i].started = ctrs[i].ready = state == CTR_RUNNING;
}

static const char *condition(json_t *s, const char *type, const char *what)
{
	json_t *c;
	size_t i;

	json_array_foreach (json_object_get(s, "conditions"), i, c)
		if (!strcmp(api_get_str(c, "type"), type))
			return api_get_str(c, what);
	return NULL;
}

static json_t *ctr(json_t *s, size_t i)
{
	return i ? json_array_get(json_object_get(s, "containerStatuses"), i - 1)
		 : json_array_get(json_object_get(s, "initContainerStatuses"), 0);
}

Test(pod_status, begins_pending)
{
	json_t *s = pod_status(&pod, NOW);

	cr_assert_str_eq(api_get_str(s, "phase"), "Pending");
	cr_assert_str_eq(api_get_str(ctr(s, 1), "state.waiting.reason"), "PodInitializing");
	cr_assert_str_eq(condition(s, "Initialized", "reason"), "ContainersNotInitialized");
	cr_assert_str_eq(condition(s, "Initialized", "message"), "containers with incomplete status: [i]");
	cr_assert_str_eq(condition(s, "Ready", "message"), "containers with unready status: [a b]");
	cr_assert_str_eq(condition(s, "PodScheduled", "status"), "True");
	cr_assert_str_eq(condition(s, "PodReadyToStartContainers", "status"), "False");
	cr_assert_str_eq(api_get_str(s, "hostIP"), "10.1.1.1");
	cr_assert(!json_object_get(s, "podIP"));
	json_decref(s);
}

Test(pod_status, runs_and_is_ready)
{
	json_t *s;

	pod.sandbox = SANDBOX_READY;
	strcpy(pod.ips[0], "10.0.0.5");
	strcpy(pod.ips[1], "fd00:10::5");
	is(0, CTR_EXITED, 0);
	is(1, CTR_RUNNING, 0);
	is(2, CTR_RUNNING, 0);
	s = pod_status(&pod, NOW);
	cr_assert_str_eq(api_get_str(s, "phase"), "Running");
	cr_assert_str_eq(condition(s, "Ready", "status"), "True");
	cr_assert_str_eq(condition(s, "Initialized", "status"), "True");
	cr_assert_str_eq(condition(s, "PodReadyToStartContainers", "status"), "True");
	cr_assert_str_eq(api_get_str(s, "podIP"), "10.0.0.5");
	cr_assert_eq(json_array_size(json_object_get(s, "podIPs")), 2);
	cr_assert_str_eq(api_get_str(ctr(s, 0), "state.terminated.reason"), "Completed");
	cr_assert(json_is_true(json_object_get(ctr(s, 0), "ready")));
	cr_assert_str_eq(api_get_str(ctr(s, 1), "containerID"), "containerd://id");
	json_decref(s);

	ctrs[2].ready = false;
	s = pod_status(&pod, NOW);
	cr_assert_str_eq(api_get_str(s, "phase"), "Running");
	cr_assert_str_eq(condition(s, "Ready", "message"), "containers with unready status: [b]");
	json_decref(s);
}

Test(pod_status, since_when_is_kept_while_the_status_is_the_same)
{
	char since[64];
	json_t *s;

	pod.sent = pod_status(&pod, NOW);
	strcpy(since, condition(pod.sent, "Ready", "lastTransitionTime"));
	s = pod_status(&pod, NOW + 60000);
	cr_assert_str_eq(condition(s, "Ready", "lastTransitionTime"), since);
	cr_assert(json_equal(s, pod.sent));
	json_decref(s);
	is(0, CTR_EXITED, 0);
	is(1, CTR_RUNNING, 0);
	is(2, CTR_RUNNING, 0);
	s = pod_status(&pod, NOW + 60000);
	cr_assert_str_neq(condition(s, "Ready", "lastTransitionTime"), since);
	json_decref(s);
	json_decref(pod.sent);
}

Test(pod_status, crash_loop)
{
	json_t *s;

	pod.sandbox = SANDBOX_READY;
	is(0, CTR_EXITED, 0);
	is(1, CTR_EXITED, 7);
	is(2, CTR_RUNNING, 0);
	ctrs[1].attempt = 2;
	ctrs[1].backoff_ms = 20000;
	ctrs[1].backoff_set_ms = NOW - 3000;
	s = pod_status(&pod, NOW);
	cr_assert_str_eq(api_get_str(s, "phase"), "Running");
	cr_assert_str_eq(api_get_str(ctr(s, 1), "state.waiting.reason"), "CrashLoopBackOff");
	cr_assert_str_eq(api_get_str(ctr(s, 1), "state.waiting.message"),
			 "back-off 20s restarting failed container=a pod=p_ns(u)");
	cr_assert_eq(api_get_int(ctr(s, 1), "lastState.terminated.exitCode", 0), 7);
	cr_assert_eq(api_get_int(ctr(s, 1), "restartCount", 0), 2);
	json_decref(s);
	ctrs[1].backoff_ms = 300000;
	s = pod_status(&pod, NOW);
	cr_assert_str_eq(api_get_str(ctr(s, 1), "state.waiting.message"),
			 "back-off 5m0s restarting failed container=a pod=p_ns(u)");
	json_decref(s);
}

Test(pod_status, image_and_config_errors)
{
	json_t *s;

	is(0, CTR_EXITED, 0);
	ctrs[1].wait_reason = "ErrImagePull";
	ctrs[1].wait_message = "connection refused";
	s = pod_status(&pod, NOW);
	cr_assert_str_eq(api_get_str(s, "phase"), "Pending");
	cr_assert_str_eq(api_get_str(ctr(s, 1), "state.waiting.reason"), "ErrImagePull");
	cr_assert_str_eq(api_get_str(ctr(s, 2), "state.waiting.reason"), "ContainerCreating");
	json_decref(s);
}

Test(pod_status, ends)
{
	json_t *s;

	obj.spec.restart_policy = "Never";
	is(0, CTR_EXITED, 0);
	is(1, CTR_EXITED, 0);
	is(2, CTR_EXITED, 0);
	s = pod_status(&pod, NOW);
	cr_assert_str_eq(api_get_str(s, "phase"), "Succeeded");
	cr_assert_str_eq(condition(s, "Ready", "reason"), "PodCompleted");
	cr_assert_str_eq(condition(s, "Initialized", "reason"), "PodCompleted");
	json_decref(s);
	is(2, CTR_EXITED, 3);
	s = pod_status(&pod, NOW);
	cr_assert_str_eq(api_get_str(s, "phase"), "Failed");
	cr_assert_str_eq(api_get_str(ctr(s, 2), "state.terminated.reason"), "Error");
	json_decref(s);
	pod.fail_reason = "OutOfcpu";
	pod.fail_message = "Pod was rejected";
	s = pod_status(&pod, NOW);
	cr_assert_str_eq(api_get_str(s, "phase"), "Failed");
	cr_assert_str_eq(api_get_str(s, "reason"), "OutOfcpu");
	cr_assert_str_eq(condition(s, "Ready", "reason"), "PodFailed");
	json_decref(s);
}

Test(pod_status, an_ephemeral_container_counts_for_nothing)
{
	json_t *s, *e;

	pod.n_ctrs = 4;
	is(0, CTR_EXITED, 0);
	is(1, CTR_RUNNING, 0);
	is(2, CTR_RUNNING, 0);
	is(3, CTR_EXITED, 1);
	pod.sandbox = SANDBOX_READY;
	s = pod_status(&pod, NOW);
	cr_assert_str_eq(api_get_str(s, "phase"), "Running");
	cr_assert_str_eq(condition(s, "Ready", "status"), "True");
	cr_assert_eq(json_array_size(json_object_get(s, "containerStatuses")), 2);
	cr_assert_eq(json_array_size(json_object_get(s, "ephemeralContainerStatuses")), 1);
	e = json_array_get(json_object_get(s, "ephemeralContainerStatuses"), 0);
	cr_assert_str_eq(api_get_str(e, "name"), "debug");
	cr_assert_eq(api_get_int(e, "state.terminated.exitCode", -1), 1, "not waiting for a restart");
	json_decref(s);
	/* It runs, the others are over. */
	is(1, CTR_EXITED, 0);
	is(2, CTR_EXITED, 0);
	is(3, CTR_RUNNING, 0);
	obj.spec.restart_policy = "Never";
	s = pod_status(&pod, NOW);
	cr_assert_str_eq(api_get_str(s, "phase"), "Succeeded");
	json_decref(s);
}

/* What the runtime was told, not what it is to be told; what the node sets aside is what the pod asks for. */
Test(pod_status, a_resize_shows_until_the_runtime_has_it)
{
	struct api_kv was[] = { { "cpu", "100m" } }, now[] = { { "cpu", "300m" } };
	struct api_resource_requirements before = { .requests = { 1, was } }, after = { .requests = { 1, now } };
	json_t *s;

	pod.sandbox = SANDBOX_READY;
	is(0, CTR_EXITED, 0);
	is(1, CTR_RUNNING, 0);
	is(2, CTR_RUNNING, 0);
	specs[1].resources = &before;
	s = pod_status(&pod, NOW);
	cr_assert_str_eq(api_get_str(ctr(s, 1), "resources.requests.cpu"), "100m");
	cr_assert_str_eq(api_get_str(ctr(s, 1), "allocatedResources.cpu"), "100m");
	cr_assert(!json_object_get(ctr(s, 2), "resources") && !condition(s, "PodResizeInProgress", "status"));
	json_decref(s);

	ctrs[1].applied = ctr_resources_json(&specs[1]);
	specs[1].resources = &after;
	ctrs[1].resize_due = true;
	s = pod_status(&pod, NOW);
	cr_assert_str_eq(api_get_str(ctr(s, 1), "resources.requests.cpu"), "100m");
	cr_assert_str_eq(api_get_str(ctr(s, 1), "allocatedResources.cpu"), "300m");
	cr_assert_str_eq(condition(s, "PodResizeInProgress", "status"), "True");
	cr_assert(!condition(s, "PodResizeInProgress", "reason"));
	json_decref(s);

	ctrs[1].resize_error = strdup("no such group");
	s = pod_status(&pod, NOW);
	cr_assert_str_eq(condition(s, "PodResizeInProgress", "reason"), "Error");
	cr_assert_str_eq(condition(s, "PodResizeInProgress", "message"), "no such group");
	json_decref(s);
	free(ctrs[1].resize_error);
	json_decref(ctrs[1].applied);
	specs[1].resources = NULL;
}
