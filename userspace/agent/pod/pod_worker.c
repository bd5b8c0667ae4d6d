/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pod: look at what it should be and what the runtime has, ask pod_plan(), act, write the status. Every change
 * (the API's, the runtime's, a probe's, the end of an operation) leads to pod_kick(), and any number of kicks to one
 * look.
 */
#include "pod-internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../cgroup.h"
#include "../../lib/base/clock.h"
#include "../../lib/base/file.h"
#include "../../lib/base/log.h"
#include "../../lib/base/str.h"

#define CLEANUP_RETRY_MS 500
#define VOLUME_RETRY_MS	 2000
#define DELETE_RETRY_MS	 1000
#define DEFAULT_GRACE_S	 30

static void on_timer(struct loop_timer *t)
{
	pod_sync(t->arg);
}

struct pod *pod_new(struct pods *m, const char *uid, const char *ns, const char *name)
{
	struct pod *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->m = m;
	p->uid = strdup(uid);
	p->ns = strdup(ns);
	p->name = strdup(name);
	p->timer.fn = on_timer;
	p->timer.arg = p;
	p->start_ms = now_ms();
	p->grace_s = ORPHAN_GRACE_S;
	p->unknown = true;
	if (!p->uid || !p->ns || !p->name) {
		pod_free(p);
		return NULL;
	}
	return p;
}

static void drop_containers(struct pod *p)
{
	for (size_t i = 0; i < p->n_ctrs; i++) {
		ctr_done(p->ctrs[i]);
		free(p->ctrs[i]->own_spec);
		free(p->ctrs[i]);
	}
	free(TAKE(p->ctrs));
	p->n_ctrs = p->n_init = p->n_fixed = 0;
}

void pod_free(struct pod *p)
{
	loop_timer_cancel(&p->timer);
	drop_containers(p);
	pod_tokens_free(p);
	if (p->sandbox_id)
		strmap_del(p->m->by_id, p->sandbox_id);
	for (size_t i = 0; i < p->n_leftovers; i++)
		free(p->leftovers[i]);
	free(p->leftovers);
	free(p->sandbox_id);
	if (p->item)
		informer_item_unref(p->item);
	json_decref(p->sent);
	arena_done(&p->arena);
	free(p->fail_reason);
	free(p->fail_message);
	free(p->uid);
	free(p->ns);
	free(p->name);
	free(p);
}

void pod_event(struct pod *p, const char *type, const char *reason, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (!p->obj || !p->m->rec)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	kube_event(p->m->rec, &api_kind_pod, &p->obj->object, type, reason, "%s", text);
}

enum restart_policy pod_restart_policy(const struct pod *p)
{
	const char *s = p->obj ? p->obj->spec.restart_policy : NULL;

	return streq(s, "Never") ? RESTART_NEVER : streq(s, "OnFailure") ? RESTART_ON_FAILURE : RESTART_ALWAYS;
}

bool pod_stopping(const struct pod *p)
{
	return p->deleting || p->unknown || p->fail_reason || p->terminal;
}

void pod_touch(struct pod *p)
{
	p->touched_ms = clock_mono_ms();
}

/* --- the API's side ----------------------------------------------------------------------------------------------- */

static int make_containers(struct pod *p)
{
	const struct api_pod_spec *spec = &p->obj->spec;

	p->n_init = spec->n_init_containers;
	p->n_fixed = p->n_init + spec->n_containers;
	p->ctrs = calloc(p->n_fixed, sizeof(struct pod_ctr *));
	for (; p->ctrs && p->n_ctrs < p->n_fixed; p->n_ctrs++) {
		struct pod_ctr *c = calloc(1, sizeof(*c));

		if (!c)
			break;
		c->pod = p;
		c->index = p->n_ctrs;
		p->ctrs[p->n_ctrs] = c;
	}
	if (p->ctrs && p->n_ctrs == p->n_fixed)
		return 0;
	drop_containers(p);
	return -ENOMEM;
}

/* What the API remembers of containers the runtime may have lost: restarts are counted on. */
static void seed_attempt(struct pod_ctr *c, const struct api_pod *obj)
{
	const struct api_pod_status *s = &obj->status;
	const struct api_container_status *list = s->container_statuses;
	size_t n = s->n_container_statuses;

	if (c->index < c->pod->n_init) {
		list = s->init_container_statuses;
		n = s->n_init_container_statuses;
	} else if (ctr_is_ephemeral(c)) {
		list = s->ephemeral_container_statuses;
		n = s->n_ephemeral_container_statuses;
	}

	c->seeded = true;
	for (size_t i = 0; i < n; i++)
		if (streq(list[i].name, c->spec->name) && list[i].container_id && list[i].container_id[0])
			c->next_attempt = (unsigned)list[i].restart_count + 1;
}

void pod_set_item(struct pod *p, struct informer_item *item)
{
	const struct api_pod *obj = (const struct api_pod *)item->obj;
	struct informer_item *old = p->item;
	int64_t ms;

	p->item = informer_item_ref(item);
	p->obj = obj;
	p->unknown = false;
	if (!p->ctrs && make_containers(p) < 0)
		return;
	if (pod_take_ephemeral(p) < 0)
		log_warn("pod %s/%s: out of memory", p->ns, p->name);
	for (size_t i = 0; i < p->n_ctrs; i++) {
		struct pod_ctr *c = p->ctrs[i];

		if (!ctr_is_ephemeral(c))
			c->spec = i < p->n_init ? &obj->spec.init_containers[i] : &obj->spec.containers[i - p->n_init];
		if (!c->seeded)
			seed_attempt(c, obj);
		if (c->state == CTR_RUNNING && !ctr_is_ephemeral(c) && c->now.image &&
		    !streq(c->now.image, c->spec->image) && old) {
			const struct api_pod *was = (const struct api_pod *)old->obj;
			const struct api_container *before = i < p->n_init ? &was->spec.init_containers[i]
									   : &was->spec.containers[i - p->n_init];

			if (!streq(before->image, c->spec->image)) {
				c->replace = true;
				c->kill_why = "definition changed, will be restarted";
			}
		}
	}
	for (size_t i = p->n_init; old && i < p->n_fixed; i++)
		ctr_resized(p->ctrs[i], &((const struct api_pod *)old->obj)->spec.containers[i - p->n_init]);
	if (obj->status.start_time && !clock_rfc3339_parse(obj->status.start_time, &ms))
		p->start_ms = ms;
	if (!p->admitted && (streq(obj->status.phase, "Failed") || streq(obj->status.phase, "Succeeded"))) {
		p->terminal = true;
		p->outcome = streq(obj->status.phase, "Failed") ? POD_FAILED : POD_SUCCEEDED;
	}
	if (obj->metadata.deletion_timestamp) {
		int64_t grace = obj->metadata.deletion_grace_period_seconds.set
					? obj->metadata.deletion_grace_period_seconds.v
				: obj->spec.termination_grace_period_seconds.set
					? obj->spec.termination_grace_period_seconds.v
					: DEFAULT_GRACE_S;

		if (!p->deleting || grace < p->grace_s)
			p->grace_s = grace;
		p->deleting = true;
	}
	if (old)
		informer_item_unref(old);
	pod_kick(p);
}

/* --- admission ---------------------------------------------------------------------------------------------------- */

static void reject(struct pod *p, const char *reason, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void reject(struct pod *p, const char *reason, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	set_str(&p->fail_reason, reason);
	set_str(&p->fail_message, text);
	pod_event(p, "Warning", reason, "%s", text);
	log_info("pod %s/%s: %s: %s", p->ns, p->name, reason, text);
}

static void admit(struct pod *p)
{
	static const char *const names[] = { "cpu", "memory" };
	int64_t capacity[] = { p->m->config.cpu_milli, p->m->config.memory_bytes }, used[2] = { 0, 0 };
	int n = 0;

	p->admitted = true;
	if (p->terminal || p->sandbox_id || p->deleting)
		return;
	for (struct strmap_iter it = { 0 }; strmap_next(p->m->by_uid, &it);) {
		const struct pod *o = it.value;

		if (o == p || !o->obj || !o->admitted || o->terminal || o->fail_reason)
			continue;
		n++;
		for (int k = 0; k < 2; k++)
			used[k] += pod_resource(&o->obj->spec, names[k], false, NULL);
	}
	if (n >= p->m->config.max_pods) {
		reject(p, "OutOfpods",
		       "Pod was rejected: Node didn't have enough resource: pods, requested: 1, used: %d, capacity: %d",
		       n, p->m->config.max_pods);
		return;
	}
	for (int k = 0; k < 2; k++) {
		int64_t want = pod_resource(&p->obj->spec, names[k], false, NULL);

		if (want && used[k] + want > capacity[k]) {
			reject(p, k ? "OutOfmemory" : "OutOfcpu",
			       "Pod was rejected: Node didn't have enough resource: %s, requested: %lld, used: %lld, capacity: %lld",
			       names[k], (long long)want, (long long)used[k], (long long)capacity[k]);
			return;
		}
	}
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

struct clean {
	struct pod *p;
	char *dir, *logs;
	int r;
	struct err err;
};

static void clean_work(void *arg)
{
	struct clean *c = arg;

	c->r = volumes_remove(c->dir, &c->err);
	if (!c->r)
		c->r = dir_remove(c->logs, &c->err);
	if (!c->r)
		c->r = cgroups_pod_remove(c->p->m->config.cgroups, c->p->uid, &c->err);
}

static void clean_done(void *arg)
{
	struct clean *c = arg;
	struct pod *p = c->p;

	p->cleaning = false;
	if (c->r < 0) {
		if (c->r != -EBUSY)
			log_warn("pod %s/%s: %s", p->ns, p->name, c->err.msg);
		p->cleanup_retry_ms = now_ms() + CLEANUP_RETRY_MS;
	} else {
		p->cleaned = true;
	}
	free(c->dir);
	free(c->logs);
	free(c);
	pod_kick(p);
	pod_drop(p);
}

static void clean(struct pod *p)
{
	struct arena a = ARENA_INIT;
	struct clean *c = calloc(1, sizeof(*c));
	const char *dir = pod_dir(p, &a), *logs = pod_log_dir(p, &a);

	if (c && dir && logs) {
		c->p = p;
		c->dir = strdup(dir);
		c->logs = strdup(logs);
	}
	arena_done(&a);
	if (!c || !c->dir || !c->logs)
		goto fail;
	p->cleaning = true;
	pod_hold(p);
	if (loop_work(p->m->loop, clean_work, clean_done, c) < 0) {
		p->cleaning = false;
		pod_drop(p);
		goto fail;
	}
	return;
fail:
	p->cleanup_retry_ms = now_ms() + CLEANUP_RETRY_MS;
	if (c) {
		free(c->dir);
		free(c->logs);
		free(c);
	}
}

static void on_deleted(void *arg, const struct kube_result *r)
{
	struct pod *p = arg;

	/* 409: another pod has the name; 404: it is gone. The informer tells the rest. */
	if (!kube_ok(r) && r->status != 404 && r->status != 409) {
		log_warn("pod %s/%s: deletion: %s", p->ns, p->name, r->message);
		p->deleting_object = false;
		p->delete_retry_ms = now_ms() + DELETE_RETRY_MS;
	}
	pod_kick(p);
	pod_drop(p);
}

static void delete_object(struct pod *p)
{
	json_t *options = json_pack("{s:s,s:s,s:i,s:{s:s}}", "apiVersion", "v1", "kind", "DeleteOptions",
				    "gracePeriodSeconds", 0, "preconditions", "uid", p->uid);

	p->deleting_object = true;
	pod_hold(p);
	if (!options || kube_delete(p->m->kube, &api_kind_pod, p->ns, p->name, options, on_deleted, p) < 0) {
		p->deleting_object = false;
		p->delete_retry_ms = now_ms() + DELETE_RETRY_MS;
		pod_drop(p);
	}
	json_decref(options);
}

/* Nothing is left in the runtime. True: the worker is gone. */
static bool finish(struct pod *p)
{
	if (!p->terminal) { /* the last status says how it ended */
		p->outcome = POD_SUCCEEDED;
		for (size_t i = 0; i < p->n_fixed; i++)
			if (p->ctrs[i]->state != CTR_EXITED || p->ctrs[i]->now.exit_code)
				p->outcome = POD_FAILED;
		p->terminal = true;
	}
	if (!p->cleaned) {
		if (!p->cleaning && now_ms() >= p->cleanup_retry_ms)
			clean(p);
		return false;
	}
	if (p->unknown) {
		pods_forget(p);
		return true;
	}
	pod_status_sync(p);
	if (!p->patching && !p->deleting_object && p->sent && now_ms() >= p->delete_retry_ms)
		delete_object(p);
	return false;
}

/* --- the look ----------------------------------------------------------------------------------------------------- */

void pod_fill_view(const struct pod *p, struct pod_view *view, struct ctr_view *ctrs)
{
	bool stop = pod_stopping(p);

	*view = (struct pod_view){
		.restart = pod_restart_policy(p),
		.sandbox = p->sandbox,
		.sandbox_busy = p->sandbox_busy,
		.sandbox_retry_ms = p->sandbox_retry_ms,
		.leftovers = p->n_leftovers > 0,
		.blocked = !p->m->network_ready || !p->volumes_ready || !p->services_ready,
		.stop = stop,
		.remove = p->deleting || p->unknown,
		.ran = p->ran,
		.n = p->n_ctrs,
		.ctrs = ctrs,
	};
	for (size_t i = 0; i < p->n_ctrs; i++) {
		const struct pod_ctr *c = p->ctrs[i];

		ctrs[i] = (struct ctr_view){
			.init = i < p->n_init,
			.ephemeral = ctr_is_ephemeral(c),
			.spent = ctr_is_ephemeral(c) && c->next_attempt > 0,
			.state = c->state,
			.replace = c->replace,
			.exit_code = c->now.exit_code,
			/* A pull cannot be called back; whoever is being stopped does not wait for it. */
			.busy = c->op != OP_NONE && !(c->op == OP_IMAGE && stop),
			.finished_ms = c->now.finished_ms,
			.backoff_ms = c->backoff_ms,
			.backoff_set_ms = c->backoff_set_ms,
			.retry_ms = c->retry_ms,
		};
	}
}

static void wake_no_later(int64_t *wake, int64_t ms)
{
	if (ms && (!*wake || ms < *wake))
		*wake = ms;
}

static void check_deadline(struct pod *p, int64_t now, int64_t *wake)
{
	int64_t due;

	if (!p->obj->spec.active_deadline_seconds.set || p->fail_reason || p->terminal)
		return;
	due = p->start_ms + p->obj->spec.active_deadline_seconds.v * 1000;
	if (now < due) {
		wake_no_later(wake, due);
		return;
	}
	set_str(&p->fail_reason, "DeadlineExceeded");
	set_str(&p->fail_message, "Pod was active on the node longer than the specified deadline");
	p->grace_s = p->obj->spec.termination_grace_period_seconds.set ? p->obj->spec.termination_grace_period_seconds.v
								       : DEFAULT_GRACE_S;
	pod_event(p, "Normal", "DeadlineExceeded", "%s", p->fail_message);
}

static void prepare(struct pod *p, int64_t now, int64_t *wake)
{
	struct err err = ERR_INIT;
	int64_t due = pod_tokens_due(p);
	int r;

	if (due && due <= now)
		p->volumes_dirty = true;
	else if (due)
		wake_no_later(wake, due);
	if (p->volumes_ready && !p->volumes_dirty)
		return;
	pod_fetch_services(p);
	p->volumes_dirty = false;
	r = pod_volumes_sync(p, &err);
	if (!r) {
		p->volumes_ready = true;
		return;
	}
	if (p->volumes_ready) /* running on what it has */
		log_warn("pod %s/%s: %s", p->ns, p->name, err.msg);
	if (r != -EAGAIN && (!p->volume_warned_ms || now - p->volume_warned_ms > 60000)) {
		p->volume_warned_ms = now;
		pod_event(p, "Warning", "FailedMount", "%s", err.msg);
	}
	if (r != -EAGAIN)
		wake_no_later(wake, now + VOLUME_RETRY_MS);
}

/* Waiting reasons that change with time alone, and the events that go with them. */
static void announce(struct pod *p, int64_t now, int64_t *wake)
{
	for (size_t i = 0; i < p->n_ctrs; i++) {
		struct pod_ctr *c = p->ctrs[i];

		if (c->flip_ms && streq(c->wait_reason, "ErrImagePull")) {
			if (now >= c->flip_ms) {
				c->flip_ms = 0;
				pod_event(p, "Normal", "BackOff", "Back-off pulling image \"%s\"", c->spec->image);
				pod_event(p, "Warning", "Failed", "Error: ImagePullBackOff");
				ctr_wait(c, "ImagePullBackOff", "Back-off pulling image \"%s\": ErrImagePull: %s",
					 c->spec->image, c->wait_message ? c->wait_message : "");
			} else {
				wake_no_later(wake, c->flip_ms);
			}
		}
		if (c->state == CTR_EXITED && !ctr_is_ephemeral(c) && c->op == OP_NONE && p->sandbox == SANDBOX_READY &&
		    c->backoff_said != c->attempt + 1 && c->backoff_ms && !pod_stopping(p) &&
		    now < c->now.finished_ms + c->backoff_ms && pod_restart_policy(p) != RESTART_NEVER &&
		    (c->now.exit_code || pod_restart_policy(p) == RESTART_ALWAYS)) {
			c->backoff_said = c->attempt + 1;
			pod_event(p, "Warning", "BackOff", "Back-off restarting failed container %s in pod %s_%s(%s)",
				  c->spec->name, p->name, p->ns, p->uid);
		}
	}
}

static int64_t kill_grace(const struct pod *p, const struct pod_ctr *c)
{
	const struct api_probe *probe = c->spec->liveness_probe;

	if (p->deleting && !p->unknown) { /* of which a part may be over: the agent or the runtime was away */
		int64_t end_ms, left_s;

		if (p->obj->metadata.deletion_timestamp &&
		    !clock_rfc3339_parse(p->obj->metadata.deletion_timestamp, &end_ms)) {
			left_s = (end_ms - now_ms() + 999) / 1000;
			if (left_s < p->grace_s)
				return left_s > 0 ? left_s : p->grace_s > 0;
		}
		return p->grace_s;
	}
	if (p->unknown || p->fail_reason)
		return p->grace_s;
	if (c->replace && probe && probe->termination_grace_period_seconds.set)
		return probe->termination_grace_period_seconds.v;
	return p->obj->spec.termination_grace_period_seconds.set ? p->obj->spec.termination_grace_period_seconds.v
								 : DEFAULT_GRACE_S;
}

/* True: the worker is gone. */
static bool act(struct pod *p, const struct pod_action *a)
{
	switch (a->act) {
	case POD_MAKE_SANDBOX:
		pod_make_sandbox(p);
		break;
	case POD_START:
		ctr_start(p->ctrs[a->ctr]);
		break;
	case POD_KILL:
		ctr_kill(p->ctrs[a->ctr], kill_grace(p, p->ctrs[a->ctr]), p->ctrs[a->ctr]->kill_why);
		break;
	case POD_STOP_SANDBOX:
		pod_stop_sandbox(p);
		break;
	case POD_REMOVE:
		pod_remove_runtime(p);
		break;
	case POD_DONE:
		return finish(p);
	}
	return false;
}

static bool none_runs(const struct pod *p)
{
	for (size_t i = 0; i < p->n_ctrs; i++)
		if (p->ctrs[i]->state == CTR_RUNNING || p->ctrs[i]->op == OP_START)
			return false;
	return true;
}

void pod_sync(struct pod *p)
{
	struct pod_plan plan = { 0 };
	struct pod_view view;
	struct ctr_view *ctrs;
	int64_t now = now_ms(), wake = 0;

	if (p->gone || !p->m->listed)
		return;
	if (p->obj && !p->admitted)
		admit(p);
	if (p->obj && !p->unknown)
		check_deadline(p, now, &wake);
	if (!p->m->runtime_up) {
		if (p->obj)
			pod_status_sync(p);
		return;
	}
	if (p->obj && !pod_stopping(p))
		prepare(p, now, &wake);
	ctrs = calloc(p->n_ctrs + 1, sizeof(*ctrs));
	plan.v = calloc(p->n_ctrs + 1, sizeof(*plan.v));
	if (ctrs && plan.v) {
		pod_hold(p);
		pod_fill_view(p, &view, ctrs);
		pod_plan(&view, now, &plan);
		if (plan.outcome != POD_GOES_ON) {
			p->outcome = plan.outcome;
			p->terminal |= none_runs(p);
		}
		wake_no_later(&wake, plan.wake_ms);
		for (size_t i = 0; i < plan.n; i++)
			if (act(p, &plan.v[i]))
				break;
		/* A shorter grace than the one running out: again, with that. */
		for (size_t i = 0; i < p->n_ctrs && !p->gone && view.stop; i++)
			if (p->ctrs[i]->op == OP_KILL && p->grace_s < p->ctrs[i]->kill_grace_s &&
			    (p->deleting || p->unknown))
				ctr_kill(p->ctrs[i], p->grace_s, NULL);
		if (!p->gone) {
			announce(p, now, &wake);
			pod_resize_sync(p);
			for (size_t i = 0; i < p->n_ctrs; i++)
				wake_no_later(&wake, p->ctrs[i]->resize_due ? p->ctrs[i]->resize_retry_ms : 0);
			if (p->obj)
				pod_status_sync(p);
			wake_no_later(&wake, p->cleanup_retry_ms > now ? p->cleanup_retry_ms : 0);
			wake_no_later(&wake, p->delete_retry_ms > now ? p->delete_retry_ms : 0);
			wake_no_later(&wake, p->patch_retry_ms > now ? p->patch_retry_ms : 0);
			if (wake)
				(void)loop_timer_set(p->m->loop, &p->timer, wake > now ? wake - now : 0);
			else
				loop_timer_cancel(&p->timer);
		}
		pod_drop(p);
	}
	free(ctrs);
	free(plan.v);
}
