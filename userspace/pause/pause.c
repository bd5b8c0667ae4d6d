/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first process of every pod sandbox: holds the pod's namespaces open, reaps orphans, ends on SIGTERM. Built
 * static, made into the image that containerd's sandbox_image names by scripts/mkimage.py.
 */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void on_end(int sig)
{
	(void)sig;
	_exit(0);
}

static void on_child(int sig)
{
	(void)sig;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

int main(void)
{
	struct sigaction end = { .sa_handler = on_end };
	struct sigaction child = { .sa_handler = on_child, .sa_flags = SA_NOCLDSTOP };

	if (sigaction(SIGINT, &end, NULL) || sigaction(SIGTERM, &end, NULL) || sigaction(SIGCHLD, &child, NULL))
		return 1;
	for (;;)
		pause();
}
