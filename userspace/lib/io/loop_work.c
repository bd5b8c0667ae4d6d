/* SPDX-License-Identifier: Apache-2.0 */
/* loop_work(): blocking calls (fsync, getaddrinfo, file trees) on a few threads whose results come back as posts. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "loop-internal.h"

struct worker_arg {
	struct loop *loop;
	struct loop_pool *pool;
};

static void *worker(void *p)
{
	struct worker_arg a = *(struct worker_arg *)p;
	struct loop_task *t;

	free(p);
	pthread_mutex_lock(&a.pool->lock);
	for (;;) {
		t = loop_queue_pop(&a.pool->jobs);
		if (t) {
			pthread_mutex_unlock(&a.pool->lock);
			t->work(t->arg);
			loop_post_task(a.loop, t);
			pthread_mutex_lock(&a.pool->lock);
			continue;
		}
		if (a.pool->quit)
			break;
		a.pool->n_idle++;
		pthread_cond_wait(&a.pool->wake, &a.pool->lock);
		a.pool->n_idle--;
	}
	pthread_mutex_unlock(&a.pool->lock);
	return NULL;
}

static int start_worker(struct loop *loop)
{
	struct loop_pool *pool = loop->pool;
	struct worker_arg *a;
	sigset_t all, old;
	int r;

	a = malloc(sizeof(*a));
	if (!a)
		return -ENOMEM;
	a->loop = loop;
	a->pool = pool;
	sigfillset(&all); /* signals belong to the loop's thread */
	pthread_sigmask(SIG_BLOCK, &all, &old);
	r = pthread_create(&pool->threads[pool->n_threads], NULL, worker, a);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r) {
		free(a);
		return -r;
	}
	pool->n_threads++;
	return 0;
}

static int pool_get(struct loop *loop)
{
	struct loop_pool *pool;

	if (loop->pool)
		return 0;
	pool = calloc(1, sizeof(*pool));
	if (!pool)
		return -ENOMEM;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->wake, NULL);
	loop_queue_init(&pool->jobs);
	loop->pool = pool;
	return 0;
}

int loop_work(struct loop *loop, loop_fn *work, loop_fn *done, void *arg)
{
	struct loop_pool *pool;
	struct loop_task *t;
	int r;

	r = pool_get(loop);
	if (r < 0)
		return r;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->work = work;
	t->done = done;
	t->arg = arg;

	pool = loop->pool;
	pthread_mutex_lock(&pool->lock);
	if (!pool->n_idle && pool->n_threads < LOOP_MAX_THREADS)
		r = start_worker(loop);
	if (r < 0 && !pool->n_threads) {
		pthread_mutex_unlock(&pool->lock);
		free(t);
		return r;
	}
	loop_queue_push(&pool->jobs, t);
	pthread_cond_signal(&pool->wake);
	pthread_mutex_unlock(&pool->lock);
	return 0;
}

void loop_pool_free(struct loop_pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->quit = true;
	pthread_cond_broadcast(&pool->wake);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->n_threads; i++)
		pthread_join(pool->threads[i], NULL);
	pthread_mutex_destroy(&pool->lock);
	pthread_cond_destroy(&pool->wake);
	free(pool);
}
