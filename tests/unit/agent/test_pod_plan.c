/* SPDX-License-Identifier: Apache-2.0 */
/* pod_plan(): tables of what the runtime has against what is done about it. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "agent/pod/pod_plan.h"

#define NOW 1000000000

/*
 * The plan in letters: B make sandbox, S<i> start, K<i> kill, P stop sandbox, R remove, D done; then =s or =f if
 * over, @ if it wakes.
 */
static const char *planned(const struct pod_view *v)
{
	static char out[64];
	static const char letters[] = "BSKPRD";
	struct pod_action actions[9];
	struct pod_plan plan = { .v = actions };
	size_t n = 0;

	pod_plan(v, NOW, &plan);
	out[0] = 0;
	for (size_t i = 0; i < plan.n; i++) {
		n += (size_t)snprintf(out + n, sizeof(out) - n, "%c", letters[actions[i].act]);
		if (actions[i].act == POD_START || actions[i].act == POD_KILL)
			n += (size_t)snprintf(out + n, sizeof(out) - n, "%zu", actions[i].ctr);
	}
	snprintf(out + n, sizeof(out) - n, "%s%s",
		 plan.outcome == POD_GOES_ON  ? ""
		 : plan.outcome == POD_FAILED ? "=f"
					      : "=s",
		 plan.wake_ms ? "@" : "");
	return out;
}

static struct ctr_view exited(int code, int64_t ago_ms, int64_t backoff_ms)
{
	return (struct ctr_view){ .state = CTR_EXITED,
				  .exit_code = code,
				  .finished_ms = NOW - ago_ms,
				  .backoff_ms = backoff_ms,
				  .backoff_set_ms = NOW - ago_ms - 1000 };
}

static struct ctr_view as_init(struct ctr_view c)
{
	c.init = true;
	return c;
}

static const struct ctr_view none = { .state = CTR_NONE }, running = { .state = CTR_RUNNING };

Test(pod_plan, life_of_a_sandbox)
{
	struct ctr_view c[] = { none };
	struct pod_view v = { .n = 1, .ctrs = c };

	cr_assert_str_eq(planned(&v), "B");
	v.blocked = true;
	cr_assert_str_eq(planned(&v), "");
	v.blocked = false;
	v.sandbox_busy = true;
	cr_assert_str_eq(planned(&v), "");
	v.sandbox_busy = false;
	v.sandbox_retry_ms = NOW + 1;
	cr_assert_str_eq(planned(&v), "@");
	v.sandbox_retry_ms = 0;
	v.sandbox = SANDBOX_READY;
	cr_assert_str_eq(planned(&v), "S0");
	c[0].busy = true;
	cr_assert_str_eq(planned(&v), "");
	c[0] = running;
	cr_assert_str_eq(planned(&v), "");
}

Test(pod_plan, dead_sandbox_is_made_again)
{
	struct ctr_view c[] = { running };
	struct pod_view v = { .n = 1, .ctrs = c, .sandbox = SANDBOX_DEAD };

	cr_assert_str_eq(planned(&v), "K0");
	c[0] = exited(137, 10, 0);
	cr_assert_str_eq(planned(&v), "B");
	v.restart = RESTART_ON_FAILURE;
	c[0] = exited(0, 10, 0);
	cr_assert_str_eq(planned(&v), "=s");
	v.restart = RESTART_NEVER;
	c[0] = none;
	v.ran = true;
	cr_assert_str_eq(planned(&v), "=f");
}

Test(pod_plan, init_containers_one_after_the_other)
{
	struct ctr_view c[] = { as_init(none), as_init(none), none };
	struct pod_view v = { .n = 3, .ctrs = c, .sandbox = SANDBOX_READY };

	cr_assert_str_eq(planned(&v), "S0");
	c[0] = as_init(running);
	cr_assert_str_eq(planned(&v), "");
	c[0] = as_init(exited(0, 10, 0));
	cr_assert_str_eq(planned(&v), "S1");
	c[1] = as_init(exited(1, 10, 0));
	cr_assert_str_eq(planned(&v), "S1");
	c[1] = as_init(exited(1, 10, 10000));
	cr_assert_str_eq(planned(&v), "@");
	v.restart = RESTART_NEVER;
	cr_assert_str_eq(planned(&v), "P=f");
	v.restart = RESTART_ALWAYS;
	c[1] = as_init(exited(0, 10, 0));
	cr_assert_str_eq(planned(&v), "S2");
	/* Init containers the runtime has forgotten do not run again below running ones. */
	c[0] = c[1] = as_init(none);
	c[2] = running;
	cr_assert_str_eq(planned(&v), "");
}

Test(pod_plan, ephemeral_containers_start_once_and_hold_nothing_up)
{
	struct ctr_view debug = none;
	struct ctr_view c[] = { as_init(running), none, none };
	struct pod_view v = { .n = 3, .ctrs = c, .sandbox = SANDBOX_READY, .restart = RESTART_ALWAYS };

	debug.ephemeral = true;
	c[2] = debug;
	cr_assert_str_eq(planned(&v), "S2", "beside an init container");
	/* It has ended, or the runtime has forgotten it: not again. */
	c[0] = as_init(exited(0, 10, 0));
	c[1] = running;
	c[2] = exited(1, 1000000, 0);
	c[2].ephemeral = true;
	cr_assert_str_eq(planned(&v), "");
	c[2] = debug;
	c[2].spent = true;
	cr_assert_str_eq(planned(&v), "");
	/* The pod ends without it, and takes it along. */
	v.restart = RESTART_NEVER;
	c[1] = exited(0, 10, 0);
	c[2] = running;
	c[2].ephemeral = true;
	cr_assert_str_eq(planned(&v), "K2=s");
	/* Running alone it says nothing about init containers. */
	c[0] = as_init(none);
	c[1] = none;
	cr_assert_str_eq(planned(&v), "S0");
}

Test(pod_plan, restarts_by_policy_and_backoff)
{
	static const struct {
		enum restart_policy restart;
		int code;
		int64_t ago_ms, backoff_ms;
		const char *plan;
	} cases[] = {
		{ RESTART_ALWAYS, 0, 1, 0, "S0" },	 { RESTART_ALWAYS, 1, 1, 0, "S0" },
		{ RESTART_ALWAYS, 1, 9999, 10000, "@" }, { RESTART_ALWAYS, 1, 10000, 10000, "S0" },
		{ RESTART_ON_FAILURE, 1, 1, 0, "S0" },	 { RESTART_ON_FAILURE, 0, 1, 0, "P=s" },
		{ RESTART_NEVER, 0, 1, 0, "P=s" },	 { RESTART_NEVER, 3, 1, 0, "P=f" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct ctr_view c = exited(cases[i].code, cases[i].ago_ms, cases[i].backoff_ms);
		struct pod_view v = { .n = 1, .ctrs = &c, .sandbox = SANDBOX_READY, .restart = cases[i].restart };

		cr_assert_str_eq(planned(&v), cases[i].plan);
	}
}

Test(pod_plan, backoff_doubles_and_is_forgiven)
{
	struct ctr_view c = exited(1, 1, 0);

	cr_assert_eq(ctr_backoff_next(&c), 10000);
	c.backoff_ms = 10000;
	cr_assert_eq(ctr_backoff_next(&c), 20000);
	c.backoff_ms = 160000;
	cr_assert_eq(ctr_backoff_next(&c), 300000);
	c.backoff_set_ms = c.finished_ms - BACKOFF_RESET_MS - 1;
	cr_assert_eq(ctr_backoff_next(&c), 10000);
	cr_assert_eq(ctr_restart_due(&c, RESTART_ALWAYS), c.finished_ms);
}

Test(pod_plan, one_of_two_goes_on)
{
	struct ctr_view c[] = { exited(0, 1, 0), running };
	struct pod_view v = { .n = 2, .ctrs = c, .sandbox = SANDBOX_READY, .restart = RESTART_NEVER };

	cr_assert_str_eq(planned(&v), "");
	c[1] = exited(2, 1, 0);
	cr_assert_str_eq(planned(&v), "P=f");
	v.sandbox = SANDBOX_DEAD;
	cr_assert_str_eq(planned(&v), "=f");
}

Test(pod_plan, replaced_when_a_probe_fails)
{
	struct ctr_view c[] = { running, running };
	struct pod_view v = { .n = 2, .ctrs = c, .sandbox = SANDBOX_READY };

	c[1].replace = true;
	cr_assert_str_eq(planned(&v), "K1");
}

Test(pod_plan, failed_start_waits_for_its_time)
{
	struct ctr_view c[] = { none };
	struct pod_view v = { .n = 1, .ctrs = c, .sandbox = SANDBOX_READY };

	c[0].retry_ms = NOW + 5;
	cr_assert_str_eq(planned(&v), "@");
	c[0].retry_ms = NOW;
	cr_assert_str_eq(planned(&v), "S0");
}

Test(pod_plan, end_kills_stops_removes)
{
	struct ctr_view c[] = { running, { .state = CTR_CREATED }, exited(0, 1, 0) };
	struct pod_view v = { .n = 3, .ctrs = c, .sandbox = SANDBOX_READY, .stop = true };

	cr_assert_str_eq(planned(&v), "K0");
	c[0].busy = true;
	cr_assert_str_eq(planned(&v), "");
	c[0] = exited(0, 1, 0);
	cr_assert_str_eq(planned(&v), "P");
	v.sandbox = SANDBOX_DEAD;
	cr_assert_str_eq(planned(&v), "");
	v.remove = true;
	cr_assert_str_eq(planned(&v), "R");
	v.sandbox = SANDBOX_NONE;
	v.leftovers = true;
	cr_assert_str_eq(planned(&v), "R");
	v.leftovers = false;
	cr_assert_str_eq(planned(&v), "D");
	v.sandbox_busy = true;
	cr_assert_str_eq(planned(&v), "");
}

/* A deletion that comes between a container's creation and its start: there is no process that a kill would end. */
Test(pod_plan, a_container_that_never_started_holds_no_end_up)
{
	struct ctr_view c[] = { { .state = CTR_CREATED } };
	struct pod_view v = { .n = 1, .ctrs = c, .sandbox = SANDBOX_READY, .stop = true };

	cr_assert_str_eq(planned(&v), "P");
	v.remove = true;
	cr_assert_str_eq(planned(&v), "R");
	/* Its sandbox died: a new one is made, without waiting for it. */
	v = (struct pod_view){ .n = 1, .ctrs = c, .sandbox = SANDBOX_DEAD };
	cr_assert_str_eq(planned(&v), "B");
}
