/* SPDX-License-Identifier: Apache-2.0 */
/* See pod_plan.h. The rules are kubelet's: computePodActions, container and sandbox by sandbox. */
#include "pod_plan.h"

static void act(struct pod_plan *plan, enum pod_act what, size_t ctr)
{
	plan->v[plan->n++] = (struct pod_action){ what, ctr };
}

static void wake_at(struct pod_plan *plan, int64_t ms)
{
	if (!plan->wake_ms || ms < plan->wake_ms)
		plan->wake_ms = ms;
}

static int64_t backoff_now(const struct ctr_view *c)
{
	return c->finished_ms - c->backoff_set_ms > BACKOFF_RESET_MS ? 0 : c->backoff_ms;
}

int64_t ctr_restart_due(const struct ctr_view *c, enum restart_policy restart)
{
	if (c->ephemeral)
		return 0;
	/* An init container that succeeded is done; one that failed is retried unless the pod never restarts. */
	if (c->exit_code == 0 && (c->init || restart == RESTART_ON_FAILURE))
		return 0;
	if (restart == RESTART_NEVER)
		return 0;
	return c->finished_ms + backoff_now(c);
}

int64_t ctr_backoff_next(const struct ctr_view *c)
{
	int64_t b = backoff_now(c);

	if (!b)
		return BACKOFF_FIRST_MS;
	return b * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : b * 2;
}

static void start_at(const struct pod_view *v, size_t i, int64_t due_ms, int64_t now_ms, struct pod_plan *plan)
{
	if (v->ctrs[i].retry_ms > due_ms)
		due_ms = v->ctrs[i].retry_ms;
	if (due_ms > now_ms)
		wake_at(plan, due_ms);
	else if (!v->blocked)
		act(plan, POD_START, i);
}

/*
 * Kills what runs. True: nothing does any more, and no operation is under way. What was created and never started has
 * no process to kill (runtimes answer a stop of it with success and leave it as it is): it goes with the sandbox.
 */
static bool all_quiet(const struct pod_view *v, struct pod_plan *plan)
{
	bool quiet = !v->sandbox_busy;

	for (size_t i = 0; i < v->n; i++) {
		const struct ctr_view *c = &v->ctrs[i];

		if (c->busy) {
			quiet = false;
		} else if (c->state == CTR_RUNNING) {
			act(plan, POD_KILL, i);
			quiet = false;
		}
	}
	return quiet;
}

static bool sandbox_due(const struct pod_view *v, int64_t now_ms, struct pod_plan *plan)
{
	if (v->sandbox_retry_ms <= now_ms)
		return true;
	wake_at(plan, v->sandbox_retry_ms);
	return false;
}

static void plan_end(const struct pod_view *v, int64_t now_ms, struct pod_plan *plan)
{
	if (!all_quiet(v, plan))
		return;
	if (v->remove && (v->sandbox != SANDBOX_NONE || v->leftovers)) {
		if (sandbox_due(v, now_ms, plan))
			act(plan, POD_REMOVE, 0);
	} else if (v->sandbox == SANDBOX_READY) {
		if (sandbox_due(v, now_ms, plan))
			act(plan, POD_STOP_SANDBOX, 0);
	} else if (v->remove) {
		act(plan, POD_DONE, 0);
	}
}

/* True: every init container succeeded, or is known to have, since the others have been started. */
static bool plan_inits(const struct pod_view *v, int64_t now_ms, struct pod_plan *plan)
{
	for (size_t i = 0; i < v->n; i++)
		if (!v->ctrs[i].init && !v->ctrs[i].ephemeral && v->ctrs[i].state != CTR_NONE)
			return true;
	for (size_t i = 0; i < v->n && v->ctrs[i].init; i++) {
		const struct ctr_view *c = &v->ctrs[i];
		int64_t due;

		if (c->state == CTR_EXITED && c->exit_code == 0 && !c->busy)
			continue;
		if (c->busy)
			return false;
		switch (c->state) {
		case CTR_NONE:
		case CTR_CREATED:
			start_at(v, i, 0, now_ms, plan);
			break;
		case CTR_RUNNING:
			if (c->replace)
				act(plan, POD_KILL, i);
			break;
		case CTR_EXITED:
			due = ctr_restart_due(c, v->restart);
			if (due)
				start_at(v, i, due, now_ms, plan);
			else
				plan->outcome = POD_FAILED;
			break;
		}
		return false;
	}
	return true;
}

static void plan_mains(const struct pod_view *v, int64_t now_ms, struct pod_plan *plan)
{
	bool over = true, failed = false;

	for (size_t i = 0; i < v->n; i++) {
		const struct ctr_view *c = &v->ctrs[i];
		int64_t due;

		if (c->init || c->ephemeral)
			continue;
		if (c->busy) {
			over = false;
			continue;
		}
		switch (c->state) {
		case CTR_NONE:
		case CTR_CREATED:
			over = false;
			start_at(v, i, 0, now_ms, plan);
			break;
		case CTR_RUNNING:
			over = false;
			if (c->replace)
				act(plan, POD_KILL, i);
			break;
		case CTR_EXITED:
			due = ctr_restart_due(c, v->restart);
			if (due) {
				over = false;
				start_at(v, i, due, now_ms, plan);
			} else if (c->exit_code) {
				failed = true;
			}
			break;
		}
	}
	if (over)
		plan->outcome = failed ? POD_FAILED : POD_SUCCEEDED;
}

/* They need the sandbox only. */
static void plan_ephemeral(const struct pod_view *v, int64_t now_ms, struct pod_plan *plan)
{
	for (size_t i = 0; i < v->n; i++) {
		const struct ctr_view *c = &v->ctrs[i];

		if (c->ephemeral && !c->busy && (c->state == CTR_CREATED || (c->state == CTR_NONE && !c->spent)))
			start_at(v, i, 0, now_ms, plan);
	}
}

/*
 * Containers that ended for good before their sandbox did: the pod is over, and a dead sandbox is no reason to begin
 * again.
 */
static bool over_already(const struct pod_view *v, struct pod_plan *plan)
{
	bool failed = false;

	for (size_t i = 0; i < v->n; i++) {
		const struct ctr_view *c = &v->ctrs[i];

		if (c->init) {
			if (c->state == CTR_EXITED && c->exit_code && v->restart == RESTART_NEVER) {
				plan->outcome = POD_FAILED;
				return true;
			}
			continue;
		}
		if (c->ephemeral)
			continue;
		if (c->busy || c->state != CTR_EXITED || ctr_restart_due(c, v->restart))
			return false;
		failed |= c->exit_code != 0;
	}
	plan->outcome = failed ? POD_FAILED : POD_SUCCEEDED;
	return true;
}

void pod_plan(const struct pod_view *v, int64_t now_ms, struct pod_plan *plan)
{
	plan->n = 0;
	plan->wake_ms = 0;
	plan->outcome = POD_GOES_ON;

	if (v->stop || v->remove) {
		plan_end(v, now_ms, plan);
		return;
	}
	if (v->sandbox_busy)
		return;
	if (v->sandbox != SANDBOX_READY) {
		if (v->n && over_already(v, plan))
			return;
		if (v->sandbox == SANDBOX_DEAD && !all_quiet(v, plan))
			return;
		if (v->ran && v->restart == RESTART_NEVER) {
			plan->outcome = POD_FAILED;
			return;
		}
		if (sandbox_due(v, now_ms, plan) && !v->blocked)
			act(plan, POD_MAKE_SANDBOX, 0);
		return;
	}
	plan_ephemeral(v, now_ms, plan);
	if (plan_inits(v, now_ms, plan))
		plan_mains(v, now_ms, plan);
	/* Over: what still runs ends, then the sandbox. */
	if (plan->outcome != POD_GOES_ON) {
		enum pod_outcome outcome = plan->outcome;

		plan->n = 0;
		plan_end(v, now_ms, plan);
		plan->outcome = outcome;
	}
}
