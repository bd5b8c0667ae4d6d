/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop's core: file descriptors, timers and posts. See loop.h; threads and processes are in the files
 * beside.
 */
#include "loop.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../base/clock.h"
#include "loop-internal.h"

static void on_wake(struct loop_io *io, uint32_t events);
static void run_timers(struct loop *loop);

struct loop *loop_new(void)
{
	struct loop *loop;
	int fd, saved;

	loop = calloc(1, sizeof(*loop));
	if (!loop)
		return NULL;
	pthread_mutex_init(&loop->post_lock, NULL);
	loop_queue_init(&loop->posts);
	loop->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epfd < 0)
		goto free_loop;
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		goto close_epoll;
	loop->wake.fn = on_wake;
	loop->wake.arg = loop;
	if (loop_io_add(loop, &loop->wake, fd, EPOLLIN) < 0)
		goto close_wake;
	return loop;

close_wake:
	saved = errno;
	close(fd);
	errno = saved;
close_epoll:
	saved = errno;
	close(loop->epfd);
	errno = saved;
free_loop:
	saved = errno;
	pthread_mutex_destroy(&loop->post_lock);
	free(loop);
	errno = saved;
	return NULL;
}

void loop_free(struct loop *loop)
{
	struct loop_task *t;
	int wake_fd;

	if (!loop)
		return;
	loop_pool_free(loop->pool);
	while ((t = loop_queue_pop(&loop->posts)))
		free(t);
	for (unsigned i = 1; i <= loop->n_timers; i++)
		loop->timers[i]->heap_pos = 0;
	free(loop->timers);
	wake_fd = loop->wake.fd;
	loop_io_del(&loop->wake);
	close(wake_fd);
	close(loop->epfd);
	pthread_mutex_destroy(&loop->post_lock);
	free(loop);
}

/* --- running ------------------------------------------------------------------------------------------------------ */

static int wait_ms(const struct loop *loop, int timeout_ms)
{
	int64_t left;

	if (!loop->n_timers)
		return timeout_ms;
	left = loop->timers[1]->due_ms - clock_mono_ms();
	if (left < 0)
		left = 0;
	if (timeout_ms >= 0 && timeout_ms < left)
		left = timeout_ms;
	return left > INT_MAX ? INT_MAX : (int)left;
}

int loop_run_once(struct loop *loop, int timeout_ms)
{
	int n;

	n = epoll_wait(loop->epfd, loop->batch, LOOP_BATCH, wait_ms(loop, timeout_ms));
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	loop->n_batch = n;
	for (loop->batch_pos = 0; loop->batch_pos < loop->n_batch; loop->batch_pos++) {
		struct epoll_event *ev = &loop->batch[loop->batch_pos];
		struct loop_io *io = ev->data.ptr;
		uint32_t events;

		if (!io)
			continue; /* removed by an earlier callback */
		/* An earlier callback may have narrowed what the watcher asks for. */
		events = ev->events & (io->events | EPOLLERR | EPOLLHUP);
		if (events)
			io->fn(io, events);
	}
	loop->n_batch = 0;
	run_timers(loop);
	return 0;
}

int loop_run(struct loop *loop)
{
	int r = 0;

	while (!atomic_load(&loop->stop) && !r)
		r = loop_run_once(loop, -1);
	atomic_store(&loop->stop, false);
	return r;
}

static void wake_up(struct loop *loop)
{
	uint64_t one = 1;
	ssize_t n;

	/* Fails only when the counter is full, and then the loop is awake already. */
	n = write(loop->wake.fd, &one, sizeof(one));
	(void)n;
}

void loop_stop(struct loop *loop)
{
	atomic_store(&loop->stop, true);
	wake_up(loop);
}

/* --- file descriptors --------------------------------------------------------------------------------------------- */

int loop_io_add(struct loop *loop, struct loop_io *io, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = io };

	if (io->loop)
		return -EEXIST;
	if (epoll_ctl(loop->epfd, EPOLL_CTL_ADD, fd, &ev) < 0)
		return -errno;
	io->loop = loop;
	io->fd = fd;
	io->events = events;
	return 0;
}

int loop_io_set(struct loop_io *io, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = io };

	if (!io->loop)
		return -ENOENT;
	if (io->events == events)
		return 0;
	if (epoll_ctl(io->loop->epfd, EPOLL_CTL_MOD, io->fd, &ev) < 0)
		return -errno;
	io->events = events;
	return 0;
}

void loop_io_del(struct loop_io *io)
{
	struct loop *loop = io->loop;

	if (!loop)
		return;
	(void)epoll_ctl(loop->epfd, EPOLL_CTL_DEL, io->fd,
			NULL); /* fails if the owner closed the fd first: same effect */
	for (int i = loop->batch_pos + 1; i < loop->n_batch; i++)
		if (loop->batch[i].data.ptr == io)
			loop->batch[i].data.ptr = NULL;
	io->loop = NULL;
	io->fd = -1;
	io->events = 0;
}

/* --- timers ------------------------------------------------------------------------------------------------------- */

static void heap_put(struct loop *loop, unsigned pos, struct loop_timer *t)
{
	loop->timers[pos] = t;
	t->heap_pos = pos;
}

/* Finds t's place from pos, which is free: up while the parent is later, else down while a child is earlier. */
static void heap_settle(struct loop *loop, unsigned pos, struct loop_timer *t)
{
	while (pos > 1 && loop->timers[pos / 2]->due_ms > t->due_ms) {
		heap_put(loop, pos, loop->timers[pos / 2]);
		pos /= 2;
	}
	for (;;) {
		unsigned child = pos * 2;

		if (child > loop->n_timers)
			break;
		if (child < loop->n_timers && loop->timers[child + 1]->due_ms < loop->timers[child]->due_ms)
			child++;
		if (loop->timers[child]->due_ms >= t->due_ms)
			break;
		heap_put(loop, pos, loop->timers[child]);
		pos = child;
	}
	heap_put(loop, pos, t);
}

int loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t delay_ms)
{
	int64_t now = clock_mono_ms();

	if (delay_ms < 0)
		delay_ms = 0;
	if (delay_ms > INT64_MAX - now)
		delay_ms = INT64_MAX - now;
	if (timer->heap_pos && timer->loop != loop)
		loop_timer_cancel(timer);
	if (!timer->heap_pos) {
		if (loop->n_timers + 1 >= loop->cap_timers) {
			unsigned cap = loop->cap_timers ? loop->cap_timers * 2 : 32;
			struct loop_timer **p = realloc(loop->timers, cap * sizeof(struct loop_timer *));

			if (!p)
				return -ENOMEM;
			loop->timers = p;
			loop->cap_timers = cap;
		}
		timer->loop = loop;
		timer->heap_pos = ++loop->n_timers;
	}
	timer->due_ms = now + delay_ms;
	heap_settle(loop, timer->heap_pos, timer);
	return 0;
}

void loop_timer_cancel(struct loop_timer *timer)
{
	struct loop *loop = timer->loop;
	unsigned pos = timer->heap_pos;
	struct loop_timer *last;

	if (!pos)
		return;
	timer->heap_pos = 0;
	last = loop->timers[loop->n_timers--];
	if (last != timer)
		heap_settle(loop, pos, last);
}

static void run_timers(struct loop *loop)
{
	/* A timer that sets itself again for "now" waits for the next round: descriptors get their turn between. */
	unsigned max = loop->n_timers;
	int64_t now;

	if (!max)
		return;
	now = clock_mono_ms();
	while (max-- && loop->n_timers && loop->timers[1]->due_ms <= now) {
		struct loop_timer *t = loop->timers[1];

		loop_timer_cancel(t);
		t->fn(t);
	}
}

/* --- posts -------------------------------------------------------------------------------------------------------- */

void loop_post_task(struct loop *loop, struct loop_task *t)
{
	bool first;

	pthread_mutex_lock(&loop->post_lock);
	first = !loop->posts.first;
	loop_queue_push(&loop->posts, t);
	/* Inside the lock: once it is released, the loop may run the task and its owner may free the loop. */
	if (first)
		wake_up(loop);
	pthread_mutex_unlock(&loop->post_lock);
}

int loop_post(struct loop *loop, loop_fn *fn, void *arg)
{
	struct loop_task *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->done = fn;
	t->arg = arg;
	loop_post_task(loop, t);
	return 0;
}

static void on_wake(struct loop_io *io, uint32_t events)
{
	struct loop *loop = io->arg;
	struct loop_task *t, *next;
	uint64_t count;
	ssize_t n;

	(void)events;
	n = read(io->fd, &count, sizeof(count));
	(void)n;
	/* Only what is queued now: a task that posts itself again must not starve the descriptors. */
	pthread_mutex_lock(&loop->post_lock);
	t = loop->posts.first;
	loop_queue_init(&loop->posts);
	pthread_mutex_unlock(&loop->post_lock);
	for (; t; t = next) {
		next = t->next;
		t->done(t->arg);
		free(t);
	}
}
