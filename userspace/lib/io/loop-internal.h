/* SPDX-License-Identifier: Apache-2.0 */
/* What loop.c (epoll, timers, posts), loop_work.c (threads) and loop_proc.c (signals, children) share. */
#ifndef SKEP_IO_LOOP_INTERNAL_H
#define SKEP_IO_LOOP_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>

#include "loop.h"

#define LOOP_BATCH                                                                                                     \
	32 /* events taken from the kernel at once; timers run between, and a TLS handshake takes milliseconds */
#define LOOP_MAX_THREADS 4

/* A post, or a piece of work that becomes one: the same node, so that finishing work cannot run out of memory. */
struct loop_task {
	struct loop_task *next;
	loop_fn *work; /* NULL in a plain post */
	loop_fn *done;
	void *arg;
};

struct loop_queue {
	struct loop_task *first, **last;
};

struct loop_pool {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct loop_queue jobs;
	pthread_t threads[LOOP_MAX_THREADS];
	unsigned n_threads;
	unsigned n_idle; /* waiting for a job */
	bool quit;
};

struct loop {
	int epfd;
	atomic_bool stop;

	/* The batch being delivered: loop_io_del() strikes its watcher out of what is left. */
	struct epoll_event batch[LOOP_BATCH];
	int n_batch, batch_pos;

	/* Binary heap by due time, from index 1. */
	struct loop_timer **timers;
	unsigned n_timers, cap_timers;

	pthread_mutex_t post_lock;
	struct loop_queue posts;
	struct loop_io wake; /* eventfd, readable while there are posts or a stop */

	struct loop_pool *pool; /* made by the first loop_work() */
};

static inline void loop_queue_init(struct loop_queue *q)
{
	q->first = NULL;
	q->last = &q->first;
}

static inline void loop_queue_push(struct loop_queue *q, struct loop_task *t)
{
	t->next = NULL;
	*q->last = t;
	q->last = &t->next;
}

static inline struct loop_task *loop_queue_pop(struct loop_queue *q)
{
	struct loop_task *t = q->first;

	if (t) {
		q->first = t->next;
		if (!q->first)
			q->last = &q->first;
	}
	return t;
}

/* Thread-safe; t->done(t->arg) will run on the loop, which then frees t. */
void loop_post_task(struct loop *loop, struct loop_task *t);
/* Finishes all work and joins the threads; NULL is fine. */
void loop_pool_free(struct loop_pool *pool);

#endif
