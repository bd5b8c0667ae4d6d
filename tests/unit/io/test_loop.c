/* SPDX-License-Identifier: Apache-2.0 */
/* lib/io: the event loop. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "io/loop.h"

struct trace {
	struct loop *loop;
	char text[64];
	int n;
};

static void trace_add(struct trace *t, char c)
{
	t->text[t->n++] = c;
	t->text[t->n] = '\0';
}

Test(loop, an_io_that_was_never_added_can_be_deleted)
{
	struct loop_io io = { 0 };

	loop_io_del(&io);
	cr_assert_eq(loop_io_set(&io, EPOLLIN), -ENOENT);
}

struct pair_io {
	struct loop_io io, *other;
	int calls;
};

static void delete_other(struct loop_io *io, uint32_t events)
{
	struct pair_io *p = io->arg;

	cr_assert(events & EPOLLIN);
	p->calls++;
	loop_io_del(p->other);
	loop_io_del(io);
	loop_io_del(io);
}

Test(loop, a_callback_may_delete_another_that_is_ready)
{
	struct loop *loop = loop_new();
	struct pair_io a = { 0 }, b = { 0 };
	int p[2];

	cr_assert_eq(pipe(p), 0);
	cr_assert_eq(write(p[1], "x", 1), 1);
	a.io.fn = b.io.fn = delete_other;
	a.io.arg = &a, a.other = &b.io;
	b.io.arg = &b, b.other = &a.io;
	int dup_fd = dup(p[0]);

	cr_assert_eq(loop_io_add(loop, &a.io, p[0], EPOLLIN), 0);
	cr_assert_eq(loop_io_add(loop, &a.io, p[0], EPOLLIN), -EEXIST);
	cr_assert_eq(loop_io_add(loop, &b.io, dup_fd, EPOLLIN), 0);
	cr_assert_eq(loop_run_once(loop, 1000), 0);
	cr_assert_eq(loop_run_once(loop, 0), 0);
	cr_assert_eq(a.calls + b.calls, 1);
	close(p[0]);
	close(p[1]);
	close(dup_fd);
	loop_free(loop);
}

struct named_timer {
	struct loop_timer timer;
	struct trace *trace;
	char name;
};

static void timer_trace(struct loop_timer *timer)
{
	struct named_timer *t = timer->arg;

	cr_assert(!loop_timer_pending(timer));
	trace_add(t->trace, t->name);
}

Test(loop, timers_fire_in_order_of_due_time)
{
	struct trace trace = { .loop = loop_new() };
	struct named_timer t[5];
	static const int delay[5] = { 50, 10, 40, 20, 30 };

	clock_fake_set(1000, 1000);
	for (int i = 0; i < 5; i++) {
		t[i] = (struct named_timer){ .timer = { .fn = timer_trace, .arg = &t[i] }, &trace, (char)('a' + i) };
		cr_assert_eq(loop_timer_set(trace.loop, &t[i].timer, delay[i]), 0);
	}
	loop_timer_cancel(&t[3].timer);
	loop_timer_cancel(&t[3].timer);
	cr_assert_eq(loop_timer_set(trace.loop, &t[1].timer, 45), 0); /* moved */
	clock_fake_advance(29);
	loop_run_once(trace.loop, 0);
	cr_assert_str_eq(trace.text, "");
	clock_fake_advance(100);
	loop_run_once(trace.loop, 0);
	cr_assert_str_eq(trace.text, "ecba");
	clock_fake_clear();
	loop_free(trace.loop);
}

Test(loop, timer_heap_survives_random_use)
{
	enum { N = 300 };
	struct trace trace = { .loop = loop_new() };
	static struct loop_timer timers[N];
	unsigned seed = 7;

	(void)trace;
	clock_fake_set(0, 0);
	for (int round = 0; round < 5000; round++) {
		struct loop_timer *t = &timers[rand_r(&seed) % N];

		t->fn = NULL;
		if (rand_r(&seed) % 3)
			cr_assert_eq(loop_timer_set(trace.loop, t, rand_r(&seed) % 1000), 0);
		else
			loop_timer_cancel(t);
		for (int i = 0; i < N; i++)
			if (loop_timer_pending(&timers[i]))
				cr_assert(timers[i].heap_pos <= N);
	}
	loop_free(trace.loop);
	for (int i = 0; i < N; i++)
		cr_assert(!loop_timer_pending(&timers[i]));
	clock_fake_clear();
}

static void again(struct loop_timer *timer)
{
	int *n = timer->arg;

	(*n)++;
	loop_timer_set(timer->loop, timer, 0);
}

Test(loop, a_timer_set_again_for_now_does_not_starve_the_loop)
{
	struct loop *loop = loop_new();
	int n = 0;
	struct loop_timer t = { .fn = again, .arg = &n };

	loop_timer_set(loop, &t, 0);
	for (int i = 0; i < 3; i++)
		loop_run_once(loop, -1);
	cr_assert_eq(n, 3);
	loop_free(loop);
}

static void post_b(void *arg)
{
	trace_add(arg, 'b');
	loop_stop(((struct trace *)arg)->loop);
}

static void post_a(void *arg)
{
	trace_add(arg, 'a');
	loop_post(((struct trace *)arg)->loop, post_b, arg);
	trace_add(arg, 'A');
}

Test(loop, posts_run_in_order_after_the_current_callback)
{
	struct trace trace = { .loop = loop_new() };

	loop_post(trace.loop, post_a, &trace);
	loop_run(trace.loop);
	cr_assert_str_eq(trace.text, "aAb");
	loop_post(trace.loop, post_a, &trace); /* dropped, not leaked */
	loop_free(trace.loop);
}

enum { N_POSTERS = 4, N_POSTS = 2000 };
static int posted;

static void count_post(void *arg)
{
	if (++posted == N_POSTERS * N_POSTS)
		loop_stop(arg);
}

static void *poster(void *arg)
{
	for (int i = 0; i < N_POSTS; i++)
		cr_assert_eq(loop_post(arg, count_post, arg), 0);
	return NULL;
}

Test(loop, posts_from_threads_all_arrive)
{
	struct loop *loop = loop_new();
	pthread_t th[N_POSTERS];

	for (int i = 0; i < N_POSTERS; i++)
		pthread_create(&th[i], NULL, poster, loop);
	loop_run(loop);
	for (int i = 0; i < N_POSTERS; i++)
		pthread_join(th[i], NULL);
	cr_assert_eq(posted, N_POSTERS * N_POSTS);
	loop_free(loop);
}

struct job {
	struct loop *loop;
	pthread_t ran_on;
	int *left;
};

static void job_work(void *arg)
{
	((struct job *)arg)->ran_on = pthread_self();
}

static void job_done(void *arg)
{
	struct job *j = arg;

	cr_assert(!pthread_equal(j->ran_on, pthread_self()));
	if (!--*j->left)
		loop_stop(j->loop);
}

Test(loop, work_runs_elsewhere_and_comes_back)
{
	enum { N = 100 };
	struct loop *loop = loop_new();
	struct job jobs[N];
	int left = N;

	for (int i = 0; i < N; i++) {
		jobs[i] = (struct job){ .loop = loop, .left = &left };
		cr_assert_eq(loop_work(loop, job_work, job_done, &jobs[i]), 0);
	}
	loop_run(loop);
	cr_assert_eq(left, 0);
	for (int i = 0; i < N; i++) /* loop_free() waits for these; their done is dropped */
		cr_assert_eq(loop_work(loop, job_work, job_done, &jobs[i]), 0);
	loop_free(loop);
	cr_assert_eq(left, 0);
}

static void got_signal(struct loop_signal *s, int sig)
{
	*(int *)s->arg = sig;
	loop_signal_del(s);
}

Test(loop, signals_arrive)
{
	struct loop *loop = loop_new();
	int got = 0, sigs[] = { SIGUSR1, SIGUSR2 };
	struct loop_signal s = { .fn = got_signal, .arg = &got };

	loop_signal_del(&s);
	cr_assert_eq(loop_signal_add(loop, &s, sigs, 2), 0);
	kill(getpid(), SIGUSR2);
	loop_run_once(loop, 5000);
	cr_assert_eq(got, SIGUSR2);
	loop_signal_del(&s);
	loop_free(loop);
}

struct end {
	struct loop *loop;
	int code, status;
};

static void child_ended(struct loop_child *c, int code, int status)
{
	struct end *e = c->arg;

	e->code = code;
	e->status = status;
	loop_stop(e->loop);
}

Test(loop, children_are_reaped_with_their_status)
{
	struct end e = { .loop = loop_new() };
	struct loop_child c = { .fn = child_ended, .arg = &e };
	pid_t pid = fork();

	if (!pid)
		_exit(7);
	cr_assert_eq(loop_child_add(e.loop, &c, pid), 0);
	loop_run(e.loop);
	cr_assert_eq(e.code, CLD_EXITED);
	cr_assert_eq(e.status, 7);
	cr_assert_eq(waitpid(pid, NULL, 0), -1);

	pid = fork();
	if (!pid)
		for (;;)
			pause();
	cr_assert_eq(loop_child_add(e.loop, &c, pid), 0);
	kill(pid, SIGKILL);
	loop_run(e.loop);
	cr_assert_eq(e.code, CLD_KILLED);
	cr_assert_eq(e.status, SIGKILL);
	loop_child_del(&c);
	loop_free(e.loop);
}
