/* SPDX-License-Identifier: Apache-2.0 */
/* The runtime's methods: path, answer type and deadline of each, and the time each took. */
#include "cri.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cri-internal.h"
#include "../../lib/base/clock.h"
#include "../../lib/base/str.h"
#include "../../lib/io/metrics.h"

#define RUNTIME "/runtime.v1.RuntimeService/"
#define IMAGES	"/runtime.v1.ImageService/"

static const struct method {
	const char *name, *path;
	const ProtobufCMessageDescriptor *answer;
	int timeout_ms;
} methods[CRI_N_METHODS] = {
	[CRI_VERSION] = { "version", RUNTIME "Version", &cri__version_response__descriptor, 5000 },
	[CRI_STATUS] = { "status", RUNTIME "Status", &cri__status_response__descriptor, 10000 },
	[CRI_RUN_SANDBOX] = { "run_podsandbox", RUNTIME "RunPodSandbox", &cri__sandbox_id__descriptor, 240000 },
	[CRI_STOP_SANDBOX] = { "stop_podsandbox", RUNTIME "StopPodSandbox", &cri__empty__descriptor, 120000 },
	[CRI_REMOVE_SANDBOX] = { "remove_podsandbox", RUNTIME "RemovePodSandbox", &cri__empty__descriptor, 120000 },
	[CRI_SANDBOX_STATUS] = { "podsandbox_status", RUNTIME "PodSandboxStatus",
				 &cri__sandbox_status_response__descriptor, 30000 },
	[CRI_LIST_SANDBOXES] = { "list_podsandbox", RUNTIME "ListPodSandbox",
				 &cri__list_pod_sandbox_response__descriptor, 30000 },
	[CRI_CREATE_CONTAINER] = { "create_container", RUNTIME "CreateContainer", &cri__container_id__descriptor,
				   120000 },
	[CRI_START_CONTAINER] = { "start_container", RUNTIME "StartContainer", &cri__empty__descriptor, 120000 },
	[CRI_STOP_CONTAINER] = { "stop_container", RUNTIME "StopContainer", &cri__empty__descriptor, 120000 },
	[CRI_REMOVE_CONTAINER] = { "remove_container", RUNTIME "RemoveContainer", &cri__empty__descriptor, 120000 },
	[CRI_UPDATE_RESOURCES] = { "update_container_resources", RUNTIME "UpdateContainerResources",
				   &cri__empty__descriptor, 30000 },
	[CRI_LIST_CONTAINERS] = { "list_containers", RUNTIME "ListContainers",
				  &cri__list_containers_response__descriptor, 30000 },
	[CRI_CONTAINER_STATUS] = { "container_status", RUNTIME "ContainerStatus",
				   &cri__container_status_response__descriptor, 30000 },
	[CRI_EXEC_SYNC] = { "exec_sync", RUNTIME "ExecSync", &cri__exec_sync_response__descriptor, 30000 },
	[CRI_EXEC] = { "exec", RUNTIME "Exec", &cri__url_response__descriptor, 30000 },
	[CRI_ATTACH] = { "attach", RUNTIME "Attach", &cri__url_response__descriptor, 30000 },
	[CRI_PORT_FORWARD] = { "port_forward", RUNTIME "PortForward", &cri__url_response__descriptor, 30000 },
	[CRI_LIST_STATS] = { "list_container_stats", RUNTIME "ListContainerStats",
			     &cri__list_container_stats_response__descriptor, 30000 },
	[CRI_REOPEN_LOG] = { "reopen_container_log", RUNTIME "ReopenContainerLog", &cri__empty__descriptor, 30000 },
	[CRI_IMAGE_STATUS] = { "image_status", IMAGES "ImageStatus", &cri__image_status_response__descriptor, 30000 },
	[CRI_PULL_IMAGE] = { "pull_image", IMAGES "PullImage", &cri__pull_image_response__descriptor, 1800000 },
	[CRI_LIST_IMAGES] = { "list_images", IMAGES "ListImages", &cri__list_images_response__descriptor, 60000 },
};

struct timed_call {
	const struct method *method;
	int64_t start_ns;
	cri_fn *fn;
	void *arg;
};

static struct metric *m_duration, *m_errors;

int cri_new(struct loop *loop, const char *endpoint, struct cri **ret, struct err *err)
{
	struct http_client_config config = { .base_url = "http://localhost",
					     .h2_prior_knowledge = true,
					     .connect_timeout_ms = 2000 };
	const char *path = str_starts(endpoint, "unix://") ? endpoint + 7 : endpoint;
	struct cri *c;
	int r;

	if (path[0] != '/')
		return err_set(err, EINVAL, "--runtime-endpoint '%s': give unix:///absolute/path", endpoint);
	c = calloc(1, sizeof(*c));
	if (!c)
		return err_set(err, ENOMEM, "out of memory");
	c->loop = loop;
	config.unix_socket = path;
	r = http_client_new(loop, &config, &c->http, err);
	if (r < 0) {
		free(c);
		return err_wrap(err, r, "container runtime '%s'", path);
	}
	if (!m_duration) {
		m_duration = metric_new(METRIC_HISTOGRAM, "skep_agent_cri_duration_seconds",
					"Time a call of the container runtime took.", "method", NULL, 0);
		m_errors = metric_new(METRIC_COUNTER, "skep_agent_cri_errors_total",
				      "Calls of the container runtime that failed.", "method", NULL, 0);
	}
	*ret = c;
	return 0;
}

void cri_free(struct cri *c)
{
	if (!c)
		return;
	cri_watch_stop(c);
	http_client_free(c->http);
	free(c);
}

static void on_answer(void *arg, const struct grpc_status *status, const ProtobufCMessage *msg)
{
	struct timed_call *t = arg;
	struct timed_call done = *t;

	free(t);
	metric_observe(m_duration, (double)((int64_t)clock_mono_ns() - done.start_ns) / 1e9, done.method->name);
	if (status->code)
		metric_add(m_errors, 1, done.method->name);
	if (done.fn)
		done.fn(done.arg, status, msg);
}

struct grpc_call *cri_call(struct cri *c, enum cri_method method, const ProtobufCMessage *request, int timeout_ms,
			   cri_fn *fn, void *arg)
{
	const struct method *m = &methods[method];
	struct timed_call *t = malloc(sizeof(*t));
	struct grpc_call *call;

	if (!t)
		return NULL;
	*t = (struct timed_call){ m, (int64_t)clock_mono_ns(), fn, arg };
	call = grpc_unary(c->http, m->path, request, m->answer, timeout_ms ? timeout_ms : m->timeout_ms, on_answer, t);
	if (!call)
		free(t);
	return call;
}

bool cri_up(const struct cri *c)
{
	return c->up;
}
