/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One container of a pod: image, create, start, kill, and what the runtime says of it. An attempt that is replaced
 * becomes the last one, whose end the status shows and whose log `logs --previous` reads; the one before that is
 * removed.
 */
#include "pod-internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../../lib/base/clock.h"
#include "../../lib/base/file.h"
#include "../../lib/base/log.h"
#include "../../lib/base/str.h"

#define CONFIG_RETRY_MS	      10000
#define PULL_BACKOFF_FIRST_MS 10000
#define SETTLE_TRIES	      9 /* 10, 20, 40 ... ms: five seconds in all */
#define KILL_RETRY_MS	      1000
#define STATUS_RETRY_MS	      500
#define MESSAGE_MAX	      4096 /* bytes of a termination message */
#define MESSAGE_LOG_MAX	      2048 /* bytes of log taken in its place */

void ctr_past_done(struct ctr_past *past)
{
	free(past->id);
	free(past->image);
	free(past->image_ref);
	free(past->reason);
	free(past->message);
	*past = (struct ctr_past){ 0 };
}

void ctr_done(struct pod_ctr *c)
{
	probes_stop(c);
	loop_timer_cancel(&c->settle);
	if (c->id)
		strmap_del(c->pod->m->by_id, c->id);
	ctr_past_done(&c->now);
	ctr_past_done(&c->last);
	free(c->id);
	free(c->wait_reason);
	free(c->wait_message);
	free(c->term_path);
	free(c->resize_error);
	json_decref(c->applied);
	json_decref(c->telling);
}

void ctr_wait(struct pod_ctr *c, const char *reason, const char *fmt, ...)
{
	char message[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	set_str(&c->wait_reason, reason);
	set_str(&c->wait_message, message);
}

static void wait_no_more(struct pod_ctr *c)
{
	set_str(&c->wait_reason, NULL);
	set_str(&c->wait_message, NULL);
	c->retry_ms = 0;
}

static void op_end(struct pod_ctr *c)
{
	c->op = OP_NONE;
	pod_touch(c->pod);
	pod_kick(c->pod);
}

/* --- attempts ----------------------------------------------------------------------------------------------------- */

static void remove_attempt(struct pod_ctr *c, const char *id, unsigned attempt)
{
	Cri__ContainerId rq = CRI__CONTAINER_ID__INIT;

	rq.container_id = (char *)id;
	(void)cri_call(c->pod->m->cri, CRI_REMOVE_CONTAINER, &rq.base, 0, NULL,
		       NULL); /* goes with its sandbox at the latest */
	ctr_remove_logs(c, attempt);
}

void ctr_retire(struct pod_ctr *c)
{
	probes_stop(c);
	loop_timer_cancel(&c->settle);
	c->settle_tries = 0;
	c->started = c->ready = false;
	if (c->id) {
		strmap_del(c->pod->m->by_id, c->id);
		if (c->last.id)
			remove_attempt(c, c->last.id, c->last.attempt);
		ctr_past_done(&c->last);
		c->last = c->now;
		c->last.id = TAKE(c->id);
		c->last.attempt = c->attempt;
		c->now = (struct ctr_past){ 0 };
	}
	c->state = CTR_NONE;
	c->replace = false;
	c->kill_why = NULL;
}

/* Text the container left, or the end of its log where it asks for that and failed. */
static char *termination_message(const struct pod_ctr *c)
{
	cleanup(free) char *text = NULL;
	struct arena a = ARENA_INIT;
	size_t len = 0;

	if (c->term_path && !file_read(c->term_path, MESSAGE_MAX, &text, &len, NULL) && len)
		return TAKE(text);
	if (c->now.exit_code && c->spec->termination_message_policy &&
	    streq(c->spec->termination_message_policy, "FallbackToLogsOnError")) {
		char *path = arena_printf(&a, "%s/%s/%u.log", pod_log_dir(c->pod, &a), c->spec->name, c->attempt);
		cleanup(strbuf_done) struct strbuf out = STRBUF_INIT;
		char *save = NULL;

		free(TAKE(text));
		if (path && !file_read(path, 1 << 20, &text, &len, NULL)) {
			char *from = len > 4 * MESSAGE_LOG_MAX ? strchr(text + len - 4 * MESSAGE_LOG_MAX, '\n') : text;

			/* <time> <stream> <P|F> <text> */
			for (char *line = from ? strtok_r(from, "\n", &save) : NULL; line;
			     line = strtok_r(NULL, "\n", &save)) {
				char *s = strchr(line, ' ');

				s = s ? strchr(s + 1, ' ') : NULL;
				if (!s || !s[1] || s[2] != ' ')
					continue;
				strbuf_adds(&out, s + 3);
				if (s[1] == 'F')
					strbuf_addc(&out, '\n');
			}
		}
		arena_done(&a);
		if (out.len > MESSAGE_LOG_MAX)
			strbuf_drop_front(&out, out.len - MESSAGE_LOG_MAX);
		return out.len ? strbuf_detach(&out, NULL) : NULL;
	}
	return NULL;
}

static void past_from_status(struct ctr_past *past, const Cri__ContainerStatus *s)
{
	past->exit_code = s->exit_code;
	past->started_ms = s->started_at / 1000000;
	past->finished_ms = s->finished_at / 1000000;
	set_str(&past->image_ref, s->image_ref);
	if (s->image)
		set_str(&past->image, s->image->image);
	if (s->state == CRI_EXITED)
		set_str(&past->reason, s->reason[0] ? s->reason : s->exit_code ? "Error" : "Completed");
	else if (s->state == CRI_UNKNOWN)
		set_str(&past->reason, "ContainerStatusUnknown");
	if (s->message[0])
		set_str(&past->message, s->message);
	if (s->state == CRI_UNKNOWN) {
		past->exit_code = 137;
		past->finished_ms = now_ms();
	}
}

static void apply(struct pod_ctr *c, const Cri__ContainerStatus *s)
{
	enum ctr_state before = c->state;

	past_from_status(&c->now, s);
	c->state = s->state == CRI_CREATED ? CTR_CREATED : s->state == CRI_RUNNING ? CTR_RUNNING : CTR_EXITED;
	if (c->state == CTR_RUNNING && !c->probes[0] && !c->probes[1] && !c->probes[2])
		probes_start(c);
	if (c->state == CTR_EXITED && before != CTR_EXITED) {
		probes_stop(c);
		c->started = c->ready = false;
		c->replace = false;
		if (!c->now.message)
			c->now.message = termination_message(c);
	}
}

struct ctr_ask {
	struct pod_ctr *c;
	char id[128];
	bool last;
};

static void on_settle(struct loop_timer *t)
{
	ctr_refresh(t->arg);
}

static void on_status(void *arg, const struct grpc_status *status, const ProtobufCMessage *msg)
{
	const Cri__ContainerStatusResponse *rsp = (const Cri__ContainerStatusResponse *)msg;
	struct ctr_ask *ask = arg;
	struct pod_ctr *c = ask->c;
	struct pod *p = c->pod;
	bool mine = !p->gone && streq(ask->last ? c->last.id : c->id, ask->id);

	if (mine && ask->last) {
		if (!status->code && rsp->status)
			past_from_status(&c->last, rsp->status);
	} else if (mine) {
		if (!status->code && rsp->status) {
			apply(c, rsp->status);
		} else if (status->code == GRPC_NOT_FOUND && c->state != CTR_EXITED) {
			c->state = CTR_EXITED;
			c->now.exit_code = 137;
			c->now.finished_ms = now_ms();
			set_str(&c->now.reason, "ContainerStatusUnknown");
			set_str(&c->now.message, "The container could not be located when the pod was looked at.");
			probes_stop(c);
			c->started = c->ready = false;
		}
		if (c->settle_tries && c->state == CTR_RUNNING && c->settle_tries < SETTLE_TRIES)
			(void)loop_timer_set(p->m->loop, &c->settle, 10L << c->settle_tries++);
		else
			c->settle_tries = 0;
		if (status->code && status->code != GRPC_NOT_FOUND && c->op == OP_STATUS) {
			c->settle.fn = on_settle; /* what it is must be known before anything is done about it */
			c->settle.arg = c;
			(void)loop_timer_set(p->m->loop, &c->settle, STATUS_RETRY_MS);
		} else if (c->op == OP_STATUS || (c->op == OP_KILL && !c->kills)) {
			c->op = OP_NONE;
		}
	}
	pod_touch(p);
	pod_kick(p);
	free(ask);
	pod_drop(p);
}

static void ask_status(struct pod_ctr *c, const char *id, bool last)
{
	Cri__ContainerStatusRequest rq = CRI__CONTAINER_STATUS_REQUEST__INIT;
	struct ctr_ask *ask = calloc(1, sizeof(*ask));

	if (!ask)
		return;
	ask->c = c;
	ask->last = last;
	snprintf(ask->id, sizeof(ask->id), "%s", id);
	rq.container_id = ask->id;
	pod_hold(c->pod);
	if (!cri_call(c->pod->m->cri, CRI_CONTAINER_STATUS, &rq.base, 0, on_status, ask)) {
		free(ask);
		pod_drop(c->pod);
	}
}

void ctr_refresh(struct pod_ctr *c)
{
	if (c->id)
		ask_status(c, c->id, false);
}

void ctr_changed(struct pod_ctr *c, bool settled)
{
	c->settle.fn = on_settle;
	c->settle.arg = c;
	c->settle_tries = settled ? 0 : 1;
	ctr_refresh(c);
}

static void adopt_term_path(struct pod_ctr *c)
{
	struct arena a = ARENA_INIT;

	set_str(&c->term_path,
		arena_printf(&a, "%s/containers/%s/term-%u", pod_dir(c->pod, &a), c->spec->name, c->attempt));
	arena_done(&a);
}

void ctr_adopt(struct pod_ctr *c, const Cri__Container *rc)
{
	if (!streq(c->id, rc->id)) {
		set_str(&c->id, rc->id);
		(void)strmap_set(c->pod->m->by_id, rc->id, c->pod, NULL);
		c->attempt = rc->metadata->attempt;
		/* Back-off is not kept: it follows from how often the container has been started. */
		c->backoff_ms = !c->attempt	 ? 0
				: c->attempt > 5 ? BACKOFF_MAX_MS
						 : BACKOFF_FIRST_MS << (c->attempt - 1);
		c->backoff_set_ms = rc->created_at / 1000000;
		for (size_t i = 0; i < rc->n_annotations; i++)
			if (streq(rc->annotations[i]->key, ANNOTATION_IMAGE))
				set_str(&c->now.image, rc->annotations[i]->value);
		adopt_term_path(c);
		c->state = CTR_NONE;
	} else if ((rc->state == CRI_RUNNING) == (c->state == CTR_RUNNING) &&
		   (rc->state == CRI_CREATED) == (c->state == CTR_CREATED)) {
		return;
	}
	c->op = OP_STATUS;
	ctr_refresh(c);
}

void ctr_adopt_last(struct pod_ctr *c, const Cri__Container *rc)
{
	if (streq(c->last.id, rc->id))
		return;
	ctr_past_done(&c->last);
	set_str(&c->last.id, rc->id);
	c->last.attempt = rc->metadata->attempt;
	ask_status(c, rc->id, true);
}

/* --- start -------------------------------------------------------------------------------------------------------- */

static void on_started(void *arg, const struct grpc_status *status, const ProtobufCMessage *msg)
{
	struct pod_ctr *c = arg;
	struct pod *p = c->pod;

	(void)msg;
	if (p->gone) {
		c->op = OP_NONE;
		pod_drop(p);
		return;
	}
	if (status->code) {
		pod_event(p, "Warning", "Failed", "Error: %s", status->message);
		ctr_wait(c, "RunContainerError", "%s", status->message);
		c->op = OP_STATUS; /* the runtime records the failed start as an exit */
		ctr_refresh(c);
	} else {
		wait_no_more(c);
		c->retry_backoff_ms = 0;
		c->state = CTR_RUNNING;
		c->now.started_ms = now_ms();
		pod_event(p, "Normal", "Started", "Started container %s", c->spec->name);
		op_end(c);
		probes_start(c);
		ctr_refresh(c);
	}
	pod_drop(p);
}

static void start_created(struct pod_ctr *c)
{
	Cri__ContainerId rq = CRI__CONTAINER_ID__INIT;

	c->op = OP_START;
	pod_touch(c->pod);
	rq.container_id = c->id;
	pod_hold(c->pod);
	if (!cri_call(c->pod->m->cri, CRI_START_CONTAINER, &rq.base, 0, on_started, c)) {
		pod_drop(c->pod);
		op_end(c);
	}
}

static void create_failed(struct pod_ctr *c, const char *reason, const char *why)
{
	bool again = streq(c->wait_reason, reason) && streq(c->wait_message, why);

	ctr_wait(c, reason, "%s", why);
	c->retry_ms = now_ms() + CONFIG_RETRY_MS;
	if (!again)
		pod_event(c->pod, "Warning", "Failed", "Error: %s", why);
	op_end(c);
}

static void on_created(void *arg, const struct grpc_status *status, const ProtobufCMessage *msg)
{
	const Cri__ContainerId *rsp = (const Cri__ContainerId *)msg;
	struct pod_ctr *c = arg;
	struct pod *p = c->pod;
	struct ctr_view view;

	if (p->gone) {
		c->op = OP_NONE;
	} else if (status->code) {
		if (strstr(status->message, "is reserved"))
			c->next_attempt++;
		create_failed(c, "CreateContainerError", status->message);
	} else {
		if (c->state == CTR_EXITED) {
			view = (struct ctr_view){ .finished_ms = c->now.finished_ms,
						  .backoff_ms = c->backoff_ms,
						  .backoff_set_ms = c->backoff_set_ms };
			c->backoff_ms = ctr_backoff_next(&view);
			c->backoff_set_ms = now_ms();
		}
		ctr_retire(c);
		set_str(&c->id, rsp->container_id);
		set_str(&c->now.image, c->spec->image);
		c->attempt = c->next_attempt++;
		c->state = CTR_CREATED;
		(void)strmap_set(p->m->by_id, c->id, p, NULL);
		pod_event(p, "Normal", "Created", "Created container: %s", c->spec->name);
		if (pod_stopping(p) || p->sandbox != SANDBOX_READY)
			op_end(c);
		else
			start_created(c);
	}
	pod_drop(p);
}

/* runAsNonRoot: the user that will be must be known and not root. */
static int check_user(const struct pod_ctr *c, struct err *err)
{
	const struct api_security_context *s = c->spec->security_context;
	const struct api_pod_security_context *ps = c->pod->obj->spec.security_context;
	struct api_opt_bool non_root = s && s->run_as_non_root.set ? s->run_as_non_root
				       : ps			   ? ps->run_as_non_root
								   : (struct api_opt_bool){ 0 };
	struct api_opt_int user = s && s->run_as_user.set ? s->run_as_user
				  : ps			  ? ps->run_as_user
							  : (struct api_opt_int){ 0 };

	if (!non_root.set || !non_root.v)
		return 0;
	if (user.set)
		return user.v ? 0 : err_set(err, ENOENT, "container's runAsUser breaks non-root policy");
	if (c->image_uid < 0)
		return err_set(
			err, ENOENT,
			"container has runAsNonRoot and image has non-numeric user, cannot verify user is non-root");
	return c->image_uid ? 0 : err_set(err, ENOENT, "container has runAsNonRoot and image will run as root");
}

static void create(struct pod_ctr *c)
{
	Cri__CreateContainerRequest rq = CRI__CREATE_CONTAINER_REQUEST__INIT;
	struct arena a = ARENA_INIT;
	struct err err = ERR_INIT;
	int r;

	c->op = OP_CREATE;
	pod_touch(c->pod);
	r = check_user(c, &err);
	if (!r)
		r = ctr_config(c, &a, &rq.config, &err);
	if (!r) {
		json_decref(c->applied);
		c->applied = ctr_resources_json(c->spec);
		rq.pod_sandbox_id = c->pod->sandbox_id;
		rq.sandbox_config = pod_sandbox_config(c->pod, &a);
		pod_hold(c->pod);
		if (!rq.sandbox_config || !cri_call(c->pod->m->cri, CRI_CREATE_CONTAINER, &rq.base, 0, on_created, c)) {
			pod_drop(c->pod);
			r = err_set(&err, ENOMEM, "out of memory");
		}
	}
	if (r == -EAGAIN) { /* an object is being fetched: its arrival starts this again */
		c->retry_ms = now_ms() + CONFIG_RETRY_MS;
		op_end(c);
	} else if (r < 0) {
		create_failed(c, r == -ENOENT ? "CreateContainerConfigError" : "CreateContainerError", err.msg);
	}
	arena_done(&a);
}

static void pull_failed(struct pod_ctr *c, const char *reason, const char *why)
{
	const char *image = c->spec->image;

	c->retry_backoff_ms = c->retry_backoff_ms ? c->retry_backoff_ms * 2 : PULL_BACKOFF_FIRST_MS;
	if (c->retry_backoff_ms > BACKOFF_MAX_MS)
		c->retry_backoff_ms = BACKOFF_MAX_MS;
	if (streq(reason, "ErrImagePull")) {
		pod_event(c->pod, "Warning", "Failed", "Failed to pull image \"%s\": %s", image, why);
		c->flip_ms = now_ms() + 1000; /* then it reads ImagePullBackOff */
	} else if (!streq(c->wait_reason, reason)) {
		pod_event(c->pod, "Warning", streq(reason, "ErrImageNeverPull") ? "ErrImageNeverPull" : "InspectFailed",
			  "%s", why);
	}
	pod_event(c->pod, "Warning", "Failed", "Error: %s", reason);
	ctr_wait(c, reason, "%s", why);
	c->retry_ms = now_ms() + c->retry_backoff_ms;
	op_end(c);
}

static void on_image(void *arg, enum image_result result, const char *text, uint64_t size, int64_t uid)
{
	struct pod_ctr *c = arg;
	struct pod *p = c->pod;
	const char *image = c->spec->image;
	char why[1200];

	if (p->gone || pod_stopping(p) || p->sandbox != SANDBOX_READY) {
		if (result == IMAGE_PULLING)
			return;
		c->op = OP_NONE;
		pod_kick(p);
		pod_drop(p);
		return;
	}
	c->image_uid = uid;
	switch (result) {
	case IMAGE_PULLING:
		c->pull_start_ms = clock_mono_ms();
		pod_event(p, "Normal", "Pulling", "Pulling image \"%s\"", image);
		return;
	case IMAGE_PRESENT:
		pod_event(p, "Normal", "Pulled", "Container image \"%s\" already present on machine", image);
		create(c);
		break;
	case IMAGE_PULLED:
		pod_event(
			p, "Normal", "Pulled",
			"Successfully pulled image \"%s\" in %.3gs (%.3gs including waiting). Image size: %llu bytes.",
			image, (double)(clock_mono_ms() - c->pull_start_ms) / 1000,
			(double)(clock_mono_ms() - c->pull_start_ms) / 1000, (unsigned long long)size);
		create(c);
		break;
	case IMAGE_INVALID_NAME:
		snprintf(why, sizeof(why),
			 "Failed to apply default image tag \"%s\": couldn't parse image name \"%s\": %s", image, image,
			 text);
		pull_failed(c, "InvalidImageName", why);
		break;
	case IMAGE_NEVER:
		snprintf(why, sizeof(why), "Container image \"%s\" is not present with pull policy of Never", image);
		pull_failed(c, "ErrImageNeverPull", why);
		break;
	case IMAGE_FAILED:
		pull_failed(c, "ErrImagePull", text);
		break;
	}
	pod_drop(p);
}

void ctr_start(struct pod_ctr *c)
{
	if (c->state == CTR_CREATED) {
		start_created(c);
		return;
	}
	c->op = OP_IMAGE;
	pod_hold(c->pod);
	if (image_ensure(c->pod->m->images, c->spec->image, c->spec->image_pull_policy, on_image, c) < 0) {
		pod_drop(c->pod);
		c->retry_ms = now_ms() + CONFIG_RETRY_MS;
		op_end(c);
	}
}

/* --- kill --------------------------------------------------------------------------------------------------------- */

static void on_killed(void *arg, const struct grpc_status *status, const ProtobufCMessage *msg)
{
	struct pod_ctr *c = arg;
	struct pod *p = c->pod;

	(void)msg;
	c->kills--;
	if (p->gone) {
		pod_drop(p);
		return;
	}
	if (status->code && status->code != GRPC_NOT_FOUND && !c->kills) {
		log_warn("pod %s/%s: stop container %s: %s", p->ns, p->name, c->spec->name, status->message);
		c->settle.fn = on_settle;
		c->settle.arg = c;
		(void)loop_timer_set(p->m->loop, &c->settle, KILL_RETRY_MS);
	} else {
		ctr_refresh(c);
	}
	pod_drop(p);
}

void ctr_kill(struct pod_ctr *c, int64_t grace_s, const char *why)
{
	Cri__StopContainerRequest rq = CRI__STOP_CONTAINER_REQUEST__INIT;

	if (!c->id || (c->op == OP_KILL && grace_s >= c->kill_grace_s))
		return;
	if (c->op != OP_KILL)
		pod_event(c->pod, "Normal", "Killing", why ? "Container %s %s" : "Stopping container %s%s",
			  c->spec->name, why ? why : "");
	c->op = OP_KILL;
	c->kill_grace_s = grace_s;
	rq.container_id = c->id;
	rq.timeout = grace_s;
	pod_touch(c->pod);
	pod_hold(c->pod);
	c->kills++;
	if (!cri_call(c->pod->m->cri, CRI_STOP_CONTAINER, &rq.base,
		      (int)(grace_s > 86400 ? 86400 : grace_s) * 1000 + 60000, on_killed, c)) {
		c->kills--;
		pod_drop(c->pod);
		op_end(c);
	}
}
