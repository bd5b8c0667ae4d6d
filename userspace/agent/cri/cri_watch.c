/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event stream: wait for the runtime (Version, with back-off), open GetContainerEvents, or containerd's own
 * events where that is not implemented, tell the owner to list, pass events on, start over when the stream breaks. A
 * stream is taken as open when the runtime has not refused it within SETTLE_MS: gRPC servers send nothing before the
 * first event.
 */
#include "cri-internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/str.h"

#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 3000
#define SETTLE_MS      50

static void connect_runtime(struct cri *c);

static void again_later(struct cri *c, const char *why)
{
	bool was_up = c->up;
	bool first = !c->backoff_ms;

	c->up = false;
	loop_timer_cancel(&c->settle);
	c->backoff_ms = c->backoff_ms ? c->backoff_ms * 2 : BACKOFF_MIN_MS;
	if (c->backoff_ms > BACKOFF_MAX_MS)
		c->backoff_ms = BACKOFF_MAX_MS;
	(void)loop_timer_set(c->loop, &c->retry, c->backoff_ms);
	if (was_up || first)
		c->ops.on_down(c->arg, why);
}

static void on_cri_msg(struct grpc_call *call, void *arg, const ProtobufCMessage *msg)
{
	const Cri__ContainerEvent *e = (const Cri__ContainerEvent *)msg;
	struct cri *c = arg;

	(void)call;
	if (e->container_id[0])
		c->ops.on_event(c->arg, e->container_id, true);
}

static void on_containerd_msg(struct grpc_call *call, void *arg, const ProtobufCMessage *msg)
{
	const Cri__Envelope *e = (const Cri__Envelope *)msg;
	struct cri *c = arg;
	Cri__TaskExit *task;

	(void)call;
	if (!e->event || strcmp(e->namespace_, "k8s.io"))
		return;
	/*
	 * Only the first field of TaskOOM and TaskStart is read, which is TaskExit's, too; further ones need not
	 * agree.
	 */
	if (streq(e->topic, "/tasks/exit")) {
		task = cri__task_exit__unpack(NULL, e->event->value.len, e->event->value.data);
		if (!task)
			return;
		if (!task->id[0] || streq(task->id, task->container_id))
			c->ops.on_event(c->arg, task->container_id, false);
		cri__task_exit__free_unpacked(task, NULL);
	} else if (streq(e->topic, "/tasks/oom")) {
		Cri__TaskEvent *oom = cri__task_event__unpack(NULL, e->event->value.len, e->event->value.data);

		if (!oom)
			return;
		c->ops.on_event(c->arg, oom->container_id, true);
		cri__task_event__free_unpacked(oom, NULL);
	}
}

static void on_stream_done(struct grpc_call *call, void *arg, const struct grpc_status *status)
{
	struct cri *c = arg;

	(void)call;
	c->stream = NULL;
	if (status->code == GRPC_UNIMPLEMENTED && !c->containerd_events) {
		c->containerd_events = true;
		loop_timer_cancel(&c->settle);
		connect_runtime(c);
		return;
	}
	again_later(c, status->code ? status->message : "event stream ended");
}

static void on_settled(struct loop_timer *t)
{
	struct cri *c = t->arg;

	c->up = true;
	c->backoff_ms = 0;
	c->ops.on_up(c->arg, c->runtime_name, c->runtime_version);
}

static void on_version(void *arg, const struct grpc_status *status, const ProtobufCMessage *msg)
{
	static const struct grpc_stream_ops cri_ops = { on_cri_msg, on_stream_done };
	static const struct grpc_stream_ops containerd_ops = { on_containerd_msg, on_stream_done };
	const Cri__VersionResponse *v = (const Cri__VersionResponse *)msg;
	struct cri *c = arg;
	int major, minor;

	c->version = NULL;
	if (status->code) {
		again_later(c, status->message);
		return;
	}
	snprintf(c->runtime_name, sizeof(c->runtime_name), "%s", v->runtime_name);
	snprintf(c->runtime_version, sizeof(c->runtime_version), "%s", v->runtime_version);
	/* containerd has the call from 1.7 on: not asking saves a round and a line in its log. */
	if (streq(v->runtime_name, "containerd") && (sscanf(v->runtime_version, "v%d.%d", &major, &minor) == 2 ||
						     sscanf(v->runtime_version, "%d.%d", &major, &minor) == 2))
		c->containerd_events = major == 1 && minor < 7;
	if (c->containerd_events) {
		char *filters[] = { "topic==\"/tasks/exit\"", "topic==\"/tasks/oom\"" };
		Cri__SubscribeRequest rq = CRI__SUBSCRIBE_REQUEST__INIT;

		rq.filters = filters;
		rq.n_filters = 2;
		c->stream = grpc_stream(c->http, "/containerd.services.events.v1.Events/Subscribe", &rq.base, false,
					&cri__envelope__descriptor, &containerd_ops, c);
	} else {
		Cri__Empty rq = CRI__EMPTY__INIT;

		c->stream = grpc_stream(c->http, "/runtime.v1.RuntimeService/GetContainerEvents", &rq.base, false,
					&cri__container_event__descriptor, &cri_ops, c);
	}
	if (!c->stream || loop_timer_set(c->loop, &c->settle, SETTLE_MS) < 0)
		again_later(c, "out of memory");
}

static void connect_runtime(struct cri *c)
{
	Cri__VersionRequest rq = CRI__VERSION_REQUEST__INIT;

	if (c->stream)
		grpc_cancel(TAKE(c->stream));
	rq.version = "v1";
	c->version = cri_call(c, CRI_VERSION, &rq.base, 0, on_version, c);
	if (!c->version)
		again_later(c, "out of memory");
}

static void on_retry(struct loop_timer *t)
{
	connect_runtime(t->arg);
}

int cri_watch(struct cri *c, const struct cri_watch_ops *ops, void *arg)
{
	c->ops = *ops;
	c->arg = arg;
	c->watching = true;
	c->retry.fn = on_retry;
	c->retry.arg = c;
	c->settle.fn = on_settled;
	c->settle.arg = c;
	return loop_timer_set(c->loop, &c->retry, 0);
}

void cri_watch_stop(struct cri *c)
{
	if (!c->watching)
		return;
	c->watching = false;
	loop_timer_cancel(&c->retry);
	loop_timer_cancel(&c->settle);
	if (c->stream)
		grpc_cancel(TAKE(c->stream));
}
