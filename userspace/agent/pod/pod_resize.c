/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resources of a running container that changed (pods/resize): the pod's control group and the runtime are told, or,
 * where resizePolicy asks for it, the container is restarted, which gives it the new ones. Called by pod_worker.c.
 */
#include "pod-internal.h"

#include <errno.h>

#include "../../lib/base/log.h"
#include "../../lib/base/str.h"

#define RETRY_MS 2000

static bool changed(const struct api_container *was, const struct api_container *now, const char *name)
{
	return ctr_resource(was, name, false) != ctr_resource(now, name, false) ||
	       ctr_resource(was, name, true) != ctr_resource(now, name, true);
}

enum ctr_resize ctr_resize(const struct api_container *was, const struct api_container *now)
{
	static const char *const names[] = { "cpu", "memory" };
	enum ctr_resize what = RESIZE_NONE;

	for (size_t k = 0; k < 2; k++) {
		if (!changed(was, now, names[k]))
			continue;
		if (what == RESIZE_NONE)
			what = RESIZE_IN_PLACE;
		for (size_t i = 0; i < now->n_resize_policy; i++)
			if (streq(now->resize_policy[i].resource_name, names[k]) &&
			    streq(now->resize_policy[i].restart_policy, "RestartContainer"))
				what = RESIZE_RESTART;
	}
	return what;
}

void ctr_resized(struct pod_ctr *c, const struct api_container *was)
{
	switch (ctr_resize(was, c->spec)) {
	case RESIZE_NONE:
		return;
	case RESIZE_RESTART:
		if (c->state == CTR_RUNNING) {
			c->replace = true;
			c->kill_why = "is resized, will be restarted";
		}
		break;
	case RESIZE_IN_PLACE:
		break;
	}
	c->resize_due = true;
	c->resize_retry_ms = 0;
	set_str(&c->resize_error, NULL); /* what failed was another one */
}

json_t *ctr_resources_json(const struct api_container *spec)
{
	return spec->resources ? api_encode(&api_type_resource_requirements, spec->resources) : NULL;
}

static void on_updated(void *arg, const struct grpc_status *status, const ProtobufCMessage *msg)
{
	struct pod_ctr *c = arg;
	struct pod *p = c->pod;
	struct err err = ERR_INIT;

	(void)msg;
	c->resizing = false;
	/* Again, as the group cannot shrink before what is in it. */
	if (status->code) {
		json_decref(TAKE(c->telling));
	} else {
		json_decref(c->applied);
		c->applied = TAKE(c->telling);
	}
	if (!p->gone)
		set_str(&c->resize_error, NULL);
	if (!p->gone && ((status->code && status->code != GRPC_NOT_FOUND) || pod_make_cgroup(p, &err) < 0)) {
		set_str(&c->resize_error, status->code ? status->message : err.msg);
		pod_event(p, "Warning", "ResizeError", "Error resizing container %s: %s", c->spec->name,
			  status->code ? status->message : err.msg);
		c->resize_due = true;
		c->resize_retry_ms = now_ms() + RETRY_MS;
	}
	pod_kick(p);
	pod_drop(p);
}

static int update(struct pod_ctr *c, struct err *err)
{
	Cri__UpdateResourcesRequest rq = CRI__UPDATE_RESOURCES_REQUEST__INIT;
	struct arena a = ARENA_INIT;
	struct err grow = ERR_INIT;
	int r = 0;

	(void)pod_make_cgroup(c->pod, &grow); /* must be before what grows; on_updated() sees to what shrinks */
	rq.container_id = c->id;
	rq.linux_ = ctr_resources(c, &a);
	if (!rq.linux_)
		r = err_set(err, ENOMEM, "out of memory");
	if (!r) {
		c->resizing = true;
		json_decref(c->telling);
		c->telling = ctr_resources_json(c->spec);
		pod_hold(c->pod);
		if (!cri_call(c->pod->m->cri, CRI_UPDATE_RESOURCES, &rq.base, 0, on_updated, c)) {
			c->resizing = false;
			pod_drop(c->pod);
			r = err_set(err, ENOMEM, "out of memory");
		}
	}
	arena_done(&a);
	return r;
}

void pod_resize_sync(struct pod *p)
{
	int64_t now = now_ms();

	if (pod_stopping(p) || p->sandbox != SANDBOX_READY)
		return;
	for (size_t i = p->n_init; i < p->n_fixed; i++) {
		struct pod_ctr *c = p->ctrs[i];
		struct err err = ERR_INIT;

		if (!c->resize_due || c->resizing || c->op != OP_NONE || c->replace || now < c->resize_retry_ms)
			continue;
		if (c->state != CTR_RUNNING && c->state != CTR_CREATED) {
			/* its next start brings them; the pod's group has them now */
			c->resize_due = pod_make_cgroup(p, &err) < 0;
		} else {
			c->resize_due = update(c, &err) < 0;
		}
		if (c->resize_due) {
			log_warn("pod %s/%s: resize of container %s: %s", p->ns, p->name, c->spec->name, err.msg);
			c->resize_retry_ms = now + RETRY_MS;
		}
	}
}
