/* SPDX-License-Identifier: Apache-2.0 */
/* skep up, skep down, skep kubeconfig: a whole cluster on this machine. The work is in supervise.c and cluster_*.c. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "cli.h"
#include "cluster.h"

static volatile sig_atomic_t interrupted;

static void on_interrupt(int sig)
{
	(void)sig;
	interrupted = 1;
}

/* The supervisor holds the lock for as long as it lives. *ret_fd: the lock, or -1 if a supervisor has it. */
static int take_lock(const struct cluster *c, int *ret_fd, struct err *err)
{
	cleanup(close_fd) int fd = -1;
	char path[PATH_MAX];
	int r;

	*ret_fd = -1;
	r = dir_make(c->run_dir, 0755, err);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "%s/lock", c->run_dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(err, errno, "open '%s': %m", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? 0 : err_set(err, errno, "lock '%s': %m", path);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/*
 * Components a dead supervisor left behind: they are ended (containers go on) so that the new one can start and watch
 * them.
 */
static int end_orphans(const struct cluster *c, struct err *err)
{
	char cmd[PATH_MAX + 64];

	for (int i = -1; i < 2 * CLUSTER_MAX_NODES; i++) {
		static const char *const control[] = { "apiserver", "controller-manager", "scheduler" };
		const char *names[3] = { NULL };
		char node[64], one[96];

		if (i < 0)
			memcpy(names, control, sizeof(control));
		else
			snprintf(one, sizeof(one), "%s-%s", cluster_node_name(c, i / 2 + 1, node),
				 i % 2 ? "containerd" : "agent"),
				names[0] = one;
		for (int k = 0; k < 3 && names[k]; k++) {
			cleanup(free) char *text = NULL;
			char path[PATH_MAX];
			int64_t pid;

			snprintf(path, sizeof(path), "%s/pids/%s", c->run_dir, names[k]);
			if (file_read(path, 64, &text, NULL, NULL) < 0)
				continue;
			text[strcspn(text, "\n")] = '\0';
			/* A recycled pid would not be in this cluster's cgroup. */
			if (str_to_i64(text, 2, INT32_MAX, &pid) < 0)
				continue;
			snprintf(cmd, sizeof(cmd), "/proc/%d/cgroup", (int)pid);
			free(TAKE(text));
			if (file_read(cmd, 65536, &text, NULL, NULL) < 0)
				continue;
			snprintf(cmd, sizeof(cmd), "/skep/%s/", c->name);
			if (!strstr(text, cmd))
				continue;
			if (kill((pid_t)pid, SIGKILL) < 0 && errno != ESRCH)
				return err_set(err, errno, "end %s[%d]: %m", names[k], (int)pid);
		}
	}
	return 0;
}

static pid_t start_supervisor(struct cluster *c, int lock_fd, int progress_fd)
{
	char path[PATH_MAX];
	pid_t pid = fork();
	int null_fd, log_fd;

	if (pid)
		return pid;
	setsid();
	signal(SIGINT, SIG_DFL);
	fcntl(lock_fd, F_SETFD, FD_CLOEXEC);
	snprintf(path, sizeof(path), "%s/logs/supervisor.log", c->run_dir);
	null_fd = open("/dev/null", O_RDONLY);
	log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	dup2(null_fd, STDIN_FILENO);
	dup2(log_fd, STDOUT_FILENO);
	dup2(log_fd, STDERR_FILENO);
	if (chdir("/") < 0)
		_exit(1);
	cluster_supervise(c, progress_fd);
}

/* Shows progress until the cluster is ready. 0, or -1 when it failed and was taken down again. */
static int follow(struct cluster *c, int fd)
{
	FILE *in = fdopen(fd, "r");
	bool tty = isatty(STDOUT_FILENO), open_step = false;
	int64_t start = clock_mono_ms();
	char line[4096];

	while (in && !interrupted && fgets(line, sizeof(line), in)) {
		line[strcspn(line, "\n")] = '\0';
		if (str_starts(line, "step ")) {
			printf("  %-52s", line + 5);
			if (tty)
				fflush(stdout);
			open_step = true;
		} else if (str_starts(line, "done")) {
			printf(" ok\n");
			open_step = false;
		} else if (str_starts(line, "ready ")) {
			c->port = atoi(line + 6);
			printf(" ok\n");
			fclose(in);
			printf("cluster '%s' is up after %.1f s: %d node%s, API server at https://127.0.0.1:%d\n",
			       c->name, (double)(clock_mono_ms() - start) / 1000, c->n_nodes,
			       c->n_nodes == 1 ? "" : "s", c->port);
			return 0;
		} else if (str_starts(line, "fail ")) {
			char *cause = strchr(line, '\t'), *log = cause ? strchr(cause + 1, '\t') : NULL;

			if (cause)
				*cause++ = '\0';
			if (log)
				*log++ = '\0';
			if (open_step)
				printf(" failed\n");
			fflush(stdout);
			cli_error("%s: %s", line + 5, cause ? cause : "unknown cause");
			if (log && *log == '/') {
				/* The cluster's directory goes with it: keep the log for the reader. */
				char kept[PATH_MAX];
				cleanup(free) char *text = NULL;
				struct err err = ERR_INIT;
				size_t len;

				snprintf(kept, sizeof(kept), "/tmp/skep-%s-failed.log", c->name);
				if (!file_read(log, 64 << 20, &text, &len, &err) &&
				    !file_write_atomic(kept, text, len, 0600, &err))
					fprintf(stderr, "log: %s\n", kept);
			}
			fclose(in);
			return -1;
		}
	}
	if (in)
		fclose(in);
	if (open_step)
		printf("\n");
	cli_error(interrupted ? "interrupted: taking the cluster down again" : "the supervisor ended unexpectedly");
	return -1;
}

static int check_root(const struct cli_verb *verb)
{
	if (!geteuid())
		return 0;
	cli_error("skep %s must run as root (it makes network namespaces, cgroups and eBPF programs)", verb->name);
	return -1;
}

static int run_up(const struct cli_verb *verb, int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_interrupt };
	cleanup(close_fd) int lock_fd = -1;
	struct err err = ERR_INIT;
	const char *name = "default";
	const char *xdp = NULL;
	int64_t nodes = 0, port = 0;
	const struct cli_opt opts[] = {
		{ 0, "nodes", CLI_INT, &nodes, "N", "number of nodes (default 1)" },
		{ 0, "name", CLI_STRING, &name, "NAME", "cluster name (default \"default\")" },
		{ 0, "xdp", CLI_STRING, &xdp, "MODE", "of the agents: auto, native, generic or off (default auto)" },
		{ 0, "port", CLI_INT, &port, "PORT", "of the API server on 127.0.0.1 (default 6443, or any free one)" },
		{ 0 },
	};
	char dir[PATH_MAX];
	struct cluster c;
	int n, r, fds[2], have;

	n = cli_parse(verb, argc, argv, opts, NULL);
	if (n < 0)
		return CLI_PARSE_EXIT(n);
	if (n || nodes < 0 || nodes > CLUSTER_MAX_NODES || port < 0 || port > 65535) {
		cli_error(n ? "unexpected argument '%s'" : "--nodes must be 1 to 100 and --port 1 to 65535",
			  n ? argv[1] : "");
		return CLI_USAGE;
	}
	if (cluster_init(&c, name, &err) < 0) {
		cli_error("%s", err.msg);
		return CLI_USAGE;
	}
	if (xdp && !streq(xdp, "auto") && !streq(xdp, "native") && !streq(xdp, "generic") && !streq(xdp, "off")) {
		cli_error("--xdp %s: expected auto, native, generic or off", xdp);
		return CLI_USAGE;
	}
	c.xdp = xdp;
	if (check_root(verb) < 0)
		return CLI_FAILED;
	have = cluster_count_nodes(&c);
	c.n_nodes = nodes ? (int)nodes : have ? have : 1;
	c.port = (int)port;
	r = take_lock(&c, &lock_fd, &err);
	if (r < 0) {
		cli_error("%s", err.msg);
		return CLI_FAILED;
	}
	if (lock_fd < 0) {
		if (nodes && nodes != have) {
			cli_error("cluster '%s' is running with %d nodes; `skep down --name %s` first", name, have,
				  name);
			return CLI_FAILED;
		}
		printf("cluster '%s' is running already\n", name);
		return CLI_OK;
	}
	snprintf(dir, sizeof(dir), "%s/pids", c.run_dir);
	r = dir_make(dir, 0755, &err);
	snprintf(dir, sizeof(dir), "%s/logs", c.run_dir);
	if (!r)
		r = dir_make(dir, 0755, &err);
	if (!r)
		r = dir_make(c.state_dir, 0755, &err);
	if (!r)
		r = end_orphans(&c, &err);
	if (r < 0 || pipe2(fds, O_CLOEXEC) < 0) {
		cli_error("%s", r < 0 ? err.msg : strerror(errno));
		return CLI_FAILED;
	}
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	printf("cluster '%s', %d node%s\n", name, c.n_nodes, c.n_nodes == 1 ? "" : "s");
	fflush(stdout);
	if (start_supervisor(&c, lock_fd, fds[1]) < 0) {
		cli_error("fork: %m");
		return CLI_FAILED;
	}
	close(fds[1]);
	if (follow(&c, fds[0]) < 0) {
		if (cluster_down(&c, &err) < 0)
			cli_error("cleaning up: %s", err.msg);
		return CLI_FAILED;
	}
	printf("\nTry:\n  skep get nodes%s%s\n  skep apply -f examples/hello/%s%s\n  skep help\n",
	       streq(name, "default") ? "" : " --cluster ", streq(name, "default") ? "" : name,
	       streq(name, "default") ? "" : " --cluster ", streq(name, "default") ? "" : name);
	return CLI_OK;
}

const struct cli_verb cli_up = {
	.name = "up",
	.summary = "Make a cluster on this machine: control plane and N nodes, each in its own network namespace",
	.usage = "up [--nodes N] [--name NAME]",
	.details =
		"Runs the API server, scheduler, controller manager and one agent with its own containerd per node, joined by a closed\n"
		"virtual LAN. A cluster that is there already is repaired: what died is started again, containers go on.\n"
		"State lies in /var/lib/skep/NAME, sockets and logs in /run/skep/NAME. `skep down` removes all of it.",
	.run = run_up,
};

static int run_down(const struct cli_verb *verb, int argc, char **argv)
{
	struct err err = ERR_INIT;
	const char *name = "default";
	const struct cli_opt opts[] = {
		{ 0, "name", CLI_STRING, &name, "NAME", "cluster name (default \"default\")" },
		{ 0 },
	};
	struct cluster c;
	bool existed;
	int n;

	n = cli_parse(verb, argc, argv, opts, NULL);
	if (n < 0)
		return CLI_PARSE_EXIT(n);
	if (n) {
		cli_error("unexpected argument '%s' (a cluster is named by --name)", argv[1]);
		return CLI_USAGE;
	}
	if (cluster_init(&c, name, &err) < 0) {
		cli_error("%s", err.msg);
		return CLI_USAGE;
	}
	if (check_root(verb) < 0)
		return CLI_FAILED;
	existed = cluster_exists(&c);
	if (cluster_down(&c, &err) < 0) {
		cli_error("%s", err.msg);
		return CLI_FAILED;
	}
	printf(existed ? "cluster '%s' is gone\n" : "there is no cluster '%s'\n", name);
	return CLI_OK;
}

const struct cli_verb cli_down = {
	.name = "down",
	.summary = "Remove a cluster made by `skep up`, whatever state it is in",
	.usage = "down [--name NAME]",
	.details =
		"Ends every process of the cluster and removes its namespaces, mounts, cgroups, pinned eBPF objects and files.",
	.run = run_down,
};

static int run_kubeconfig(const struct cli_verb *verb, int argc, char **argv)
{
	cleanup(free) char *text = NULL;
	struct err err = ERR_INIT;
	const char *name = "default";
	const struct cli_opt opts[] = {
		{ 0, "name", CLI_STRING, &name, "NAME", "cluster name (default \"default\")" },
		{ 0, "cluster", CLI_STRING, &name, "NAME", "the same" },
		{ 0 },
	};
	char path[PATH_MAX];
	struct cluster c;
	int n;

	n = cli_parse(verb, argc, argv, opts, NULL);
	if (n < 0)
		return CLI_PARSE_EXIT(n);
	if (cluster_init(&c, name, &err) < 0) {
		cli_error("%s", err.msg);
		return CLI_USAGE;
	}
	if (file_read(cluster_admin_kubeconfig(&c, path, sizeof(path)), 1 << 20, &text, NULL, &err) < 0) {
		cli_error("no cluster '%s' on this machine, or no right to read it (%s); `skep up` makes one", name,
			  err.msg);
		return CLI_FAILED;
	}
	fputs(text, stdout);
	return CLI_OK;
}

const struct cli_verb cli_kubeconfig = {
	.name = "kubeconfig",
	.summary = "Print the admin's kubeconfig of a cluster on this machine",
	.usage = "kubeconfig [--name NAME]",
	.details = "Example: skep kubeconfig > ~/.kube/config && kubectl get nodes",
	.run = run_kubeconfig,
};
