/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop: one per thread, over epoll. Watchers are embedded in their owner's struct and must stay in place
 * while added. A callback may add, change or remove any watcher, also its own, and may free its owner: the loop does
 * not touch a watcher after its callback returned unless the callback left it added. Only loop_post() and loop_stop()
 * are thread-safe.
 */
#ifndef SKEP_IO_LOOP_H
#define SKEP_IO_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct loop;

struct loop *loop_new(void);			      /* NULL: errno says why */
void loop_free(struct loop *loop);		      /* pending posts are dropped after their work finished */
int loop_run(struct loop *loop);		      /* until loop_stop(); 0 or -errno */
int loop_run_once(struct loop *loop, int timeout_ms); /* one wait and its callbacks (tests); -1 = no timeout */
void loop_stop(struct loop *loop);

/* File descriptors. events: EPOLLIN, EPOLLOUT... level-triggered. The fd stays the owner's. */
struct loop_io;
typedef void loop_io_fn(struct loop_io *io, uint32_t events);
struct loop_io {
	loop_io_fn *fn;
	void *arg;
	/* private */
	struct loop *loop;
	int fd;
	uint32_t events;
};
int loop_io_add(struct loop *loop, struct loop_io *io, int fd, uint32_t events); /* fn and arg set before */
int loop_io_set(struct loop_io *io, uint32_t events);
void loop_io_del(struct loop_io *io); /* not added: fine */

/* Timers, monotonic. A timer fires once; set it again for more. */
struct loop_timer;
typedef void loop_timer_fn(struct loop_timer *timer);
struct loop_timer {
	loop_timer_fn *fn;
	void *arg;
	/* private */
	struct loop *loop;
	int64_t due_ms;
	unsigned heap_pos; /* 0: not set */
};
int loop_timer_set(struct loop *loop, struct loop_timer *timer,
		   int64_t delay_ms); /* also moves a set timer; 0/-ENOMEM */
void loop_timer_cancel(struct loop_timer *timer);
static inline bool loop_timer_pending(const struct loop_timer *timer)
{
	return timer->heap_pos != 0;
}

/* Runs fn(arg) on the loop's thread, in order of posting, after the current callback. Thread-safe. */
typedef void loop_fn(void *arg);
int loop_post(struct loop *loop, loop_fn *fn, void *arg);

/*
 * Blocking work on a small pool of threads (at most 4, started on demand): work(arg) there, then done(arg) on the
 * loop.
 */
int loop_work(struct loop *loop, loop_fn *work, loop_fn *done, void *arg);

/* Signals by signalfd: sig is blocked for the thread and given to fn. Call before threads start. */
struct loop_signal;
typedef void loop_signal_fn(struct loop_signal *s, int sig);
struct loop_signal {
	loop_signal_fn *fn;
	void *arg;
	/* private */
	struct loop_io io;
	int fd;
};
int loop_signal_add(struct loop *loop, struct loop_signal *s, const int *sigs, int n_sigs);
void loop_signal_del(struct loop_signal *s);

/* A child's end by pidfd. fn gets waitid's code (CLD_EXITED...) and status; the child has been reaped. */
struct loop_child;
typedef void loop_child_fn(struct loop_child *c, int code, int status);
struct loop_child {
	loop_child_fn *fn;
	void *arg;
	/* private */
	struct loop_io io;
	int fd;
	pid_t pid;
};
int loop_child_add(struct loop *loop, struct loop_child *c, pid_t pid);
void loop_child_del(struct loop_child *c);

#endif
