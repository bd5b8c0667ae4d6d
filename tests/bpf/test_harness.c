/* SPDX-License-Identifier: Apache-2.0 */
/* What tests leave behind: nothing, however they end. */
#include <sys/prctl.h>
#include <sys/wait.h>

#include "../scratch.h"
#include "harness.h"

static void killed(bool in_group)
{
	char cgroup[128], dir[64], procs[160];
	int status;
	pid_t pid;

	if (geteuid() != 0)
		cr_skip_test("needs root: makes control groups");
	/* Orphans become this process's children, so that it hears of the end of the one that removes. */
	cr_assert_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	pid = fork();
	if (pid == 0) {
		node_dirs();
		snprintf(procs, sizeof(procs), "%s/deeper", fx.cgroup);
		if (mkdir(procs, 0755) < 0)
			_exit(1);
		snprintf(procs, sizeof(procs), "%s/deeper/cgroup.procs", fx.cgroup);
		if (in_group && file_write(procs, "0", NULL) < 0)
			_exit(2);
		raise(SIGKILL);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%d", status);
	while (waitpid(-1, NULL, 0) > 0)
		;
	snprintf(cgroup, sizeof(cgroup), "%s/skep-test-bpf-%d", scratch_cgroup_root(), pid);
	snprintf(dir, sizeof(dir), "/tmp/skep-test-bpf-%d", pid);
	cr_assert(access(cgroup, F_OK) < 0 && access(dir, F_OK) < 0);
}

Test(harness, a_killed_test_leaves_nothing)
{
	killed(false);
}

Test(harness, nor_does_one_that_was_in_its_group)
{
	killed(true);
}
