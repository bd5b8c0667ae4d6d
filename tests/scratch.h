/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a test makes outside of its own namespaces: a control group and a directory. A process of its own removes both
 * when the test's process has ended, also by a failed set-up, a crash or a timeout, after which nobody tears down.
 */
#ifndef SKEP_TESTS_SCRATCH_H
#define SKEP_TESTS_SCRATCH_H

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

#define SCRATCH_PATIENCE_MS 30000

/* Where control groups of version 2 are. */
static inline const char *scratch_cgroup_root(void)
{
	return access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/unified";
}

/* Deepest first; a group whose last process is just going says when it is empty. */
static inline void scratch_remove_cgroup(const char *path)
{
	DIR *d = opendir(path);
	char sub[512], text[256];
	int fd;

	for (struct dirent *e; d && (e = readdir(d));) {
		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		snprintf(sub, sizeof(sub), "%s/%s", path, e->d_name);
		scratch_remove_cgroup(sub);
	}
	if (d)
		closedir(d);
	snprintf(sub, sizeof(sub), "%s/cgroup.events", path);
	fd = open(sub, O_RDONLY | O_CLOEXEC);
	while (rmdir(path) < 0 && errno == EBUSY) {
		struct pollfd p = { .fd = fd, .events = POLLPRI };

		/* Read first: a change since then ends the poll at once. */
		if (pread(fd, text, sizeof(text) - 1, 0) < 0 ||
		    (rmdir(path) < 0 && poll(&p, 1, SCRATCH_PATIENCE_MS) < 1))
			break;
	}
	close(fd);
}

/* Before unshare(): the directory is removed where it was made. Either may not be there yet. */
static inline void scratch_until_i_end(const char *cgroup, const char *dir)
{
	int ends[2];
	char c;
	pid_t pid;

	cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	cr_assert(pid >= 0, "fork: %s", strerror(errno));
	if (pid) {
		close(ends[0]); /* the other one stays open for as long as this process is there */
		return;
	}
	setsid();
	for (int fd = 0; fd < 1024; fd++)
		if (fd != ends[0])
			close(fd);
	while (read(ends[0], &c, 1) < 0 && errno == EINTR)
		;
	scratch_remove_cgroup(cgroup);
	(void)dir_remove(dir, NULL);
	_exit(0);
}

#endif
