/* SPDX-License-Identifier: Apache-2.0 */
/* Work queue: see workqueue.h. */
#include "workqueue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../base/clock.h"
#include "../base/list.h"
#include "../base/strmap.h"

enum { BACKOFF_MIN_MS = 5, BACKOFF_MAX_MS = 60000 };

struct entry {
	struct list link; /* in q->ready when queued, else alone */
	struct workqueue *q;
	char *key;
	struct loop_timer timer; /* delayed add */
	int64_t due_ms;		 /* of the timer, when pending */
	int64_t backoff_ms;	 /* of the next failure; 0: none so far */
	bool queued, working, again;
};

struct workqueue {
	struct loop *loop;
	workqueue_fn *fn;
	void *arg;
	int in_flight, max_in_flight;
	struct strmap *entries;
	struct list ready;
	size_t n_ready;
	struct loop_timer run; /* fires at once: work starts from the loop, never inside workqueue_add() */
};

static void run_ready(struct loop_timer *t)
{
	struct workqueue *q = t->arg;

	while (q->in_flight < q->max_in_flight && !list_empty(&q->ready)) {
		struct entry *e = list_first(&q->ready, struct entry, link);

		list_remove(&e->link);
		q->n_ready--;
		e->queued = false;
		e->working = true;
		q->in_flight++;
		q->fn(q, e->key, q->arg);
	}
}

struct workqueue *workqueue_new(struct loop *loop, int max_in_flight, workqueue_fn *fn, void *arg)
{
	struct workqueue *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	q->entries = strmap_new();
	if (!q->entries) {
		free(q);
		return NULL;
	}
	q->loop = loop;
	q->fn = fn;
	q->arg = arg;
	q->max_in_flight = max_in_flight;
	q->run.fn = run_ready;
	q->run.arg = q;
	list_init(&q->ready);
	return q;
}

static void entry_free(struct entry *e)
{
	loop_timer_cancel(&e->timer);
	list_remove(&e->link);
	free(e->key);
	free(e);
}

void workqueue_free(struct workqueue *q)
{
	if (!q)
		return;
	loop_timer_cancel(&q->run);
	for (struct strmap_iter it = { 0 }; strmap_next(q->entries, &it);)
		entry_free(it.value);
	strmap_free(q->entries);
	free(q);
}

static void delay_over(struct loop_timer *t)
{
	struct entry *e = t->arg;

	workqueue_add(e->q, e->key);
}

static struct entry *get_entry(struct workqueue *q, const char *key)
{
	struct entry *e = strmap_get(q->entries, key);

	if (e)
		return e;
	e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	e->q = q;
	e->key = strdup(key);
	list_init(&e->link);
	e->timer.fn = delay_over;
	e->timer.arg = e;
	if (!e->key || strmap_set(q->entries, key, e, NULL) < 0) {
		free(e->key);
		free(e);
		return NULL; /* dropped for want of memory; the periodic resync brings it back */
	}
	return e;
}

static void set_timer(struct entry *e, int64_t delay_ms)
{
	e->due_ms = clock_mono_ms() + delay_ms;
	(void)loop_timer_set(e->q->loop, &e->timer, delay_ms);
}

/* An entry without state need not be remembered. */
static void forget_idle(struct entry *e)
{
	struct workqueue *q = e->q;

	if (e->queued || e->working || e->backoff_ms || loop_timer_pending(&e->timer))
		return;
	strmap_del(q->entries, e->key);
	entry_free(e);
}

static void kick(struct workqueue *q)
{
	if (!loop_timer_pending(&q->run))
		(void)loop_timer_set(q->loop, &q->run, 0);
}

static void queue(struct entry *e)
{
	struct workqueue *q = e->q;

	if (e->working) {
		e->again = true;
		return;
	}
	if (!e->queued) {
		e->queued = true;
		list_push_back(&q->ready, &e->link);
		q->n_ready++;
	}
	kick(q);
}

void workqueue_add(struct workqueue *q, const char *key)
{
	struct entry *e = get_entry(q, key);

	if (!e)
		return;
	/* Waiting in back-off is kept: a flood of changes to a failing object must not become a flood of attempts. */
	if (loop_timer_pending(&e->timer) && e->backoff_ms)
		return;
	loop_timer_cancel(&e->timer);
	queue(e);
}

void workqueue_add_after(struct workqueue *q, const char *key, int64_t delay_ms)
{
	struct entry *e;

	if (delay_ms <= 0) {
		workqueue_add(q, key);
		return;
	}
	e = get_entry(q, key);
	if (!e || e->queued)
		return;
	/* The earliest wins, but back-off is waited out. */
	if (!loop_timer_pending(&e->timer) || (!e->backoff_ms && clock_mono_ms() + delay_ms < e->due_ms))
		set_timer(e, delay_ms);
}

void workqueue_done(struct workqueue *q, const char *key, int r)
{
	struct entry *e = strmap_get(q->entries, key);

	if (!e || !e->working)
		return;
	e->working = false;
	q->in_flight--;
	if (r < 0) {
		e->backoff_ms = e->backoff_ms ? e->backoff_ms * 2 : BACKOFF_MIN_MS;
		if (e->backoff_ms > BACKOFF_MAX_MS)
			e->backoff_ms = BACKOFF_MAX_MS;
		e->again = false;
		set_timer(e, e->backoff_ms);
	} else {
		e->backoff_ms = 0;
		if (e->again) {
			e->again = false;
			queue(e);
		}
	}
	forget_idle(e);
	if (!list_empty(&q->ready))
		kick(q);
}

size_t workqueue_len(const struct workqueue *q)
{
	return q->n_ready;
}
