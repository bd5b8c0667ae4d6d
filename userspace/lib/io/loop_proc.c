/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals (signalfd) and children (pidfd) as loop watchers. Signals stay blocked after loop_signal_del(), so that one
 * that is pending does not kill the process; a program that starts children must give them an empty mask.
 */
#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "loop-internal.h"

/* One signal for each call: the callback may free s, and epoll reports the rest again. */
static void on_signal(struct loop_io *io, uint32_t events)
{
	struct loop_signal *s = io->arg;
	struct signalfd_siginfo si;

	(void)events;
	if (read(s->fd, &si, sizeof(si)) == (ssize_t)sizeof(si))
		s->fn(s, (int)si.ssi_signo);
}

int loop_signal_add(struct loop *loop, struct loop_signal *s, const int *sigs, int n_sigs)
{
	cleanup(close_fd) int fd = -1;
	sigset_t set;
	int r;

	if (s->io.loop)
		return -EEXIST;
	sigemptyset(&set);
	for (int i = 0; i < n_sigs; i++)
		if (sigaddset(&set, sigs[i]) < 0)
			return -errno;
	r = pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (r)
		return -r;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	s->io.fn = on_signal;
	s->io.arg = s;
	r = loop_io_add(loop, &s->io, fd, EPOLLIN);
	if (r < 0)
		return r;
	s->fd = TAKE_FD(fd);
	return 0;
}

void loop_signal_del(struct loop_signal *s)
{
	if (!s->io.loop)
		return;
	loop_io_del(&s->io);
	close(s->fd);
	s->fd = -1;
}

static void on_child(struct loop_io *io, uint32_t events)
{
	struct loop_child *c = io->arg;
	siginfo_t si = { 0 };
	int r;

	(void)events;
	r = waitid(P_PIDFD, (id_t)c->fd, &si, WEXITED | WNOHANG);
	if (r == 0 && !si.si_pid)
		return; /* not yet */
	/* ECHILD: somebody else reaped it; code 0 says that its end is not known. */
	loop_child_del(c);
	c->fn(c, r < 0 ? 0 : si.si_code, r < 0 ? 0 : si.si_status);
}

int loop_child_add(struct loop *loop, struct loop_child *c, pid_t pid)
{
	cleanup(close_fd) int fd = -1;
	int r;

	if (c->io.loop)
		return -EEXIST;
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return -errno;
	c->io.fn = on_child;
	c->io.arg = c;
	r = loop_io_add(loop, &c->io, fd, EPOLLIN);
	if (r < 0)
		return r;
	c->fd = TAKE_FD(fd);
	c->pid = pid;
	return 0;
}

void loop_child_del(struct loop_child *c)
{
	if (!c->io.loop)
		return;
	loop_io_del(&c->io);
	close(c->fd);
	c->fd = -1;
}
