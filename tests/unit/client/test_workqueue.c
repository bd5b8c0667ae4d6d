/* SPDX-License-Identifier: Apache-2.0 */
/* lib/client: the work queue, on a fake clock. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "client/workqueue.h"

static struct loop *loop;
static char trace[4096]; /* keys in order of start, each followed by ' ' */
static int result;	 /* what done() is told at once; 1: the test calls done() itself */

static void work(struct workqueue *q, const char *key, void *arg)
{
	cr_assert_eq(arg, trace);
	snprintf(trace + strlen(trace), sizeof(trace) - strlen(trace), "%s ", key);
	if (result <= 0)
		workqueue_done(q, key, result);
}

static struct workqueue *start(int max_in_flight)
{
	clock_fake_set(1000, 0);
	loop = loop_new();
	trace[0] = '\0';
	result = 0;
	return workqueue_new(loop, max_in_flight, work, trace);
}

static void stop(struct workqueue *q)
{
	workqueue_free(q);
	loop_free(loop);
	clock_fake_clear();
}

static void turn(int64_t advance_ms)
{
	clock_fake_advance(advance_ms);
	for (int i = 0; i < 4; i++)
		loop_run_once(loop, 0);
}

static void expect(const char *text)
{
	cr_assert_str_eq(trace, text);
	trace[0] = '\0';
}

Test(workqueue, a_key_is_queued_once_in_order)
{
	struct workqueue *q = start(1);

	workqueue_add(q, "b");
	workqueue_add(q, "a");
	workqueue_add(q, "b");
	cr_assert_eq(workqueue_len(q), 2);
	expect(""); /* never inside workqueue_add() */
	turn(0);
	expect("b a ");
	cr_assert_eq(workqueue_len(q), 0);
	stop(q);
}

Test(workqueue, a_key_added_while_worked_on_runs_again_after)
{
	struct workqueue *q = start(2);

	result = 1;
	workqueue_add(q, "a");
	turn(0);
	workqueue_add(q, "a");
	workqueue_add(q, "a");
	turn(0);
	expect("a ");
	workqueue_done(q, "a", 0);
	turn(0);
	expect("a ");
	workqueue_done(q, "a", 0);
	turn(0);
	expect("");
	workqueue_done(q, "a", 0); /* not worked on: nothing happens */
	workqueue_done(q, "never seen", -1);
	turn(100000);
	expect("");
	stop(q);
}

Test(workqueue, no_more_in_flight_than_allowed)
{
	struct workqueue *q = start(2);

	result = 1;
	workqueue_add(q, "a");
	workqueue_add(q, "b");
	workqueue_add(q, "c");
	turn(0);
	expect("a b ");
	cr_assert_eq(workqueue_len(q), 1);
	workqueue_done(q, "b", 0);
	turn(0);
	expect("c ");
	stop(q);
}

Test(workqueue, failures_back_off_from_5_ms_to_a_minute)
{
	struct workqueue *q = start(1);
	int64_t wait = 5;

	result = -1;
	workqueue_add(q, "a");
	turn(0);
	expect("a ");
	for (int i = 0; i < 16; i++) {
		turn(wait - 1);
		expect("");
		turn(1);
		expect("a ");
		wait = wait * 2 > 60000 ? 60000 : wait * 2;
	}
	cr_assert_eq(wait, 60000);
	/* Success forgets it. */
	result = 0;
	turn(60000);
	expect("a ");
	turn(200000);
	expect("");
	result = -1;
	workqueue_add(q, "a");
	turn(0);
	turn(5);
	expect("a a ");
	stop(q);
}

Test(workqueue, additions_do_not_cut_back_off_short)
{
	struct workqueue *q = start(1);

	result = -1;
	workqueue_add(q, "a");
	turn(0);
	turn(5);
	expect("a a "); /* the next is due in 10 ms */
	for (int i = 0; i < 9; i++) {
		workqueue_add(q, "a");
		workqueue_add_after(q, "a", 1);
		turn(1);
	}
	expect("");
	workqueue_add(q, "b"); /* others are not held up */
	turn(0);
	expect("b ");
	turn(1);
	expect("a ");
	stop(q);
}

Test(workqueue, of_delays_the_earliest_wins)
{
	struct workqueue *q = start(1);

	workqueue_add_after(q, "a", 1000);
	workqueue_add_after(q, "a", 100);
	workqueue_add_after(q, "a", 5000);
	turn(99);
	expect("");
	turn(1);
	expect("a ");
	turn(100000);
	expect("");
	workqueue_add_after(q, "a", 0);
	turn(0);
	expect("a ");
	/* Added at once: the delay is served by it. */
	workqueue_add_after(q, "a", 1000);
	workqueue_add(q, "a");
	turn(0);
	expect("a ");
	turn(100000);
	expect("");
	stop(q);
}

Test(workqueue, freed_with_work_in_every_state)
{
	struct workqueue *q = start(1);

	result = 1;
	workqueue_add(q, "working");
	turn(0);
	workqueue_add(q, "queued");
	workqueue_add_after(q, "delayed", 50);
	stop(q);
}
