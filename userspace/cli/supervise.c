/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor of a local cluster, one process: makes what the cluster stands on, starts every component in its
 * namespace and cgroup, restarts what dies, and tells `skep up` over a pipe how far it is. Components reach each
 * other only over the wire; the supervisor holds the API server's listening sockets, so that a restart of it refuses
 * no connection.
 *
 * Progress lines on the pipe: "step <text>", "done", "ready <port>", "fail <step>\t<cause>\t<log>".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "api/api_types.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "client/informer.h"
#include "client/kube.h"
#include "cluster.h"
#include "io/loop.h"

enum {
	MAX_ARGS = 48,
	MAX_LISTENERS = 4,
	RESTART_MIN_MS = 100,
	RESTART_MAX_MS = 5000,
	STABLE_MS = 10000, /* having run so long, the next restart is quick again */
	START_TRIES = 3,   /* ends of one component during start-up before `skep up` gives up */
	START_TIMEOUT_MS = 120000,
};

struct sup;

struct component {
	struct sup *sup;
	char name[80];	       /* names its log and its pid file */
	char ns[64];	       /* network namespace */
	char cgroup[PATH_MAX]; /* cgroup v2 directory of its own */
	char *args[MAX_ARGS + 1];
	int n_args;
	bool gets_listeners;
	bool once; /* a command, not a daemon: its success is awaited */
	void (*on_success)(struct component *comp);
	int node; /* 0: control plane */
	pid_t pid;
	int64_t started_ms;
	int delay_ms; /* of the next restart */
	int early_ends;
	struct loop_child child;
	struct loop_timer restart;
	struct component *next;
};

struct sup {
	struct cluster *c;
	struct loop *loop;
	int progress_fd; /* -1 once `skep up` has gone */
	int listeners[MAX_LISTENERS];
	int n_listeners;
	int notify_fd; /* where containerd says READY=1 */
	struct loop_io notify;
	struct component *components;
	struct kubeconfig kc;
	struct kube *kube;
	struct informer *nodes;
	struct loop_timer deadline;
	bool ready;
	int images_pending;
	char step[128];
};

static void progress(struct sup *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void progress(struct sup *s, const char *fmt, ...)
{
	char line[2048];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	if ((size_t)n > sizeof(line) - 2)
		n = sizeof(line) - 2;
	log_info("%s", line);
	line[n++] = '\n';
	if (s->progress_fd >= 0 && write(s->progress_fd, line, (size_t)n) < 0) {
		close(s->progress_fd);
		s->progress_fd = -1;
	}
}

static void step(struct sup *s, const char *text)
{
	snprintf(s->step, sizeof(s->step), "%s", text);
	progress(s, "step %s", text);
}

/* Nothing may be left running when `skep up` fails: `skep up` removes the cluster when it reads this line. */
static void fail(struct sup *s, const char *log, const struct err *err) __attribute__((noreturn));
static void fail(struct sup *s, const char *log, const struct err *err)
{
	progress(s, "fail %s\t%s\t%s", s->step, err->msg, log);
	exit(1);
}

static char *log_path(const struct sup *s, const char *name, char *buf)
{
	snprintf(buf, PATH_MAX, "%s/logs/%s.log", s->c->run_dir, name);
	return buf;
}

/* --- processes ---------------------------------------------------------------------------------------------------- */

static struct component *component_new(struct sup *s, int node, const char *ns, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static struct component *component_new(struct sup *s, int node, const char *ns, const char *fmt, ...)
{
	struct component *comp = calloc(1, sizeof(*comp)), **at = &s->components;
	va_list ap;

	if (!comp)
		abort(); /* a few hundred bytes at start-up */
	va_start(ap, fmt);
	vsnprintf(comp->name, sizeof(comp->name), fmt, ap);
	va_end(ap);
	comp->sup = s;
	comp->node = node;
	snprintf(comp->ns, sizeof(comp->ns), "%s", ns);
	while (*at)
		at = &(*at)->next;
	*at = comp;
	return comp;
}

static void arg(struct component *comp, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void arg(struct component *comp, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (comp->n_args == MAX_ARGS || vasprintf(&comp->args[comp->n_args++], fmt, ap) < 0)
		abort();
	va_end(ap);
}

static void exec_component(struct component *comp, int ns_fd, int procs_fd, int log_fd) __attribute__((noreturn));
static void exec_component(struct component *comp, int ns_fd, int procs_fd, int log_fd)
{
	struct sup *s = comp->sup;
	char buf[160];
	sigset_t none;
	int null_fd;

	/* "0" moves the writer itself. */
	if (write(procs_fd, "0", 1) != 1 || setns(ns_fd, CLONE_NEWNET) < 0)
		_exit(126);
	null_fd = open("/dev/null", O_RDONLY);
	dup2(null_fd, STDIN_FILENO);
	dup2(log_fd, STDOUT_FILENO);
	dup2(log_fd, STDERR_FILENO);
	if (comp->gets_listeners) {
		int high[MAX_LISTENERS];

		for (int i = 0; i < s->n_listeners; i++)
			high[i] = fcntl(s->listeners[i], F_DUPFD, 64);
		for (int i = 0; i < s->n_listeners; i++)
			dup2(high[i], 3 + i);
		for (int i = 0; i < s->n_listeners; i++)
			close(high[i]);
		snprintf(buf, sizeof(buf), "%d", (int)getpid());
		setenv("LISTEN_PID", buf, 1);
		snprintf(buf, sizeof(buf), "%d", s->n_listeners);
		setenv("LISTEN_FDS", buf, 1);
	}
	snprintf(buf, sizeof(buf), "%s/notify.sock", s->c->run_dir);
	setenv("NOTIFY_SOCKET", buf, 1);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	execvp(comp->args[0], comp->args);
	dprintf(STDERR_FILENO, "cannot run '%s': %s (is it installed? scripts/setup.sh installs what Skep needs)\n",
		comp->args[0], strerror(errno));
	_exit(127);
}

static void component_ended(struct loop_child *child, int code, int status);

static int component_start(struct component *comp, struct err *err)
{
	cleanup(close_fd) int ns_fd = -1, procs_fd = -1, log_fd = -1;
	char path[PATH_MAX], text[64];
	struct sup *s = comp->sup;
	int r;

	ns_fd = cluster_netns_open(comp->ns);
	if (ns_fd < 0)
		return err_set(err, -ns_fd, "namespace '%s': %s", comp->ns, strerror(-ns_fd));
	r = dir_make(comp->cgroup, 0755, err);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "%s/cgroup.procs", comp->cgroup);
	procs_fd = open(path, O_WRONLY | O_CLOEXEC);
	if (procs_fd < 0)
		return err_set(err, errno, "open '%s': %m", path);
	log_fd = open(log_path(s, comp->name, path), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	if (log_fd < 0)
		return err_set(err, errno, "open '%s': %m", path);
	comp->pid = fork();
	if (comp->pid < 0)
		return err_set(err, errno, "fork: %m");
	if (!comp->pid)
		exec_component(comp, ns_fd, procs_fd, log_fd);
	comp->started_ms = clock_mono_ms();
	comp->child.fn = component_ended;
	comp->child.arg = comp;
	r = loop_child_add(s->loop, &comp->child, comp->pid);
	if (r < 0)
		return err_set(err, -r, "watch %s: %s", comp->name, strerror(-r));
	snprintf(path, sizeof(path), "%s/pids/%s", s->c->run_dir, comp->name);
	snprintf(text, sizeof(text), "%d\n", (int)comp->pid);
	return file_write(path, text, err);
}

/* Last line a component wrote: the cause, as far as it could say. */
static void last_line(const char *path, char *buf, size_t size)
{
	cleanup(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	char tail[2048];
	struct stat st;
	ssize_t n = 0;
	char *start;

	if (fd >= 0 && !fstat(fd, &st))
		n = pread(fd, tail, sizeof(tail) - 1,
			  st.st_size > (off_t)sizeof(tail) - 1 ? st.st_size - (off_t)sizeof(tail) + 1 : 0);
	while (n > 0 && (tail[n - 1] == '\n' || tail[n - 1] == '\t'))
		n--;
	tail[n > 0 ? n : 0] = '\0';
	start = strrchr(tail, '\n');
	snprintf(buf, size, "%s", start ? start + 1 : tail);
	for (; *buf; buf++)
		if (*buf == '\t')
			*buf = ' ';
}

static void restart_due(struct loop_timer *t)
{
	struct component *comp = t->arg;
	struct err err = ERR_INIT;

	if (component_start(comp, &err) < 0)
		log_error("restart %s: %s", comp->name, err.msg);
}

static void component_ended(struct loop_child *child, int code, int status)
{
	struct component *comp = child->arg;
	struct sup *s = comp->sup;
	char path[PATH_MAX], line[512];

	if (comp->once && code == CLD_EXITED && !status) {
		comp->on_success(comp);
		return;
	}
	log_warn("%s[%d] %s %d", comp->name, (int)comp->pid,
		 code == CLD_EXITED ? "exited with status" : "was killed by signal", status);
	if (!s->ready && ++comp->early_ends >= START_TRIES) {
		struct err err = ERR_INIT;

		last_line(log_path(s, comp->name, path), line, sizeof(line));
		err_set(&err, EIO, "%s ends at once: %s", comp->name, line);
		fail(s, path, &err);
	}
	if (clock_mono_ms() - comp->started_ms >= STABLE_MS || comp->delay_ms < RESTART_MIN_MS)
		comp->delay_ms = RESTART_MIN_MS;
	comp->restart.fn = restart_due;
	comp->restart.arg = comp;
	loop_timer_set(s->loop, &comp->restart, comp->delay_ms);
	comp->delay_ms = comp->delay_ms * 2 > RESTART_MAX_MS ? RESTART_MAX_MS : comp->delay_ms * 2;
}

/* --- what runs ---------------------------------------------------------------------------------------------------- */

static void add_control_plane(struct sup *s)
{
	const struct cluster *c = s->c;
	const char *root = cluster_cgroup2_root(NULL);
	struct component *comp;

	comp = component_new(s, 0, c->lan_ns, "apiserver");
	comp->gets_listeners = true;
	arg(comp, "%s/skep-apiserver", c->bin_dir);
	arg(comp, "--store=sqlite:%s/store", c->state_dir);
	arg(comp, "--tls-cert=%s/pki/apiserver.crt", c->state_dir);
	arg(comp, "--tls-key=%s/pki/apiserver.key", c->state_dir);
	arg(comp, "--encryption-keys=%s/pki/encryption.yaml", c->state_dir);
	arg(comp, "--service-account-signing-key-file=%s/pki/sa.key", c->state_dir);
	arg(comp, "--client-ca=%s/pki/ca.crt", c->state_dir);
	arg(comp, "--kubelet-client-cert=%s/pki/apiserver-kubelet-client.crt", c->state_dir);
	arg(comp, "--kubelet-client-key=%s/pki/apiserver-kubelet-client.key", c->state_dir);
	arg(comp, "--kubelet-ca=%s/pki/ca.crt", c->state_dir);
	arg(comp, "--service-cidrs=" CLUSTER_SERVICE_CIDRS);
	arg(comp, "--advertise=" CLUSTER_LAN_IP4 ":6443");

	comp = component_new(s, 0, c->lan_ns, "controller-manager");
	arg(comp, "%s/skep-controller-manager", c->bin_dir);
	arg(comp, "--kubeconfig=%s/controller-manager.kubeconfig", c->state_dir);
	arg(comp, "--cluster-signing-cert-file=%s/pki/ca.crt", c->state_dir);
	arg(comp, "--cluster-signing-key-file=%s/pki/ca.key", c->state_dir);
	arg(comp, "--cluster-cidrs=" CLUSTER_POD_CIDRS);
	arg(comp, "--service-cidrs=" CLUSTER_SERVICE_CIDRS);
	arg(comp, "--metrics-listen=" CLUSTER_LAN_IP4 ":10257");

	comp = component_new(s, 0, c->lan_ns, "scheduler");
	arg(comp, "%s/skep-scheduler", c->bin_dir);
	arg(comp, "--kubeconfig=%s/scheduler.kubeconfig", c->state_dir);
	arg(comp, "--metrics-listen=" CLUSTER_LAN_IP4 ":10259");

	for (comp = s->components; comp; comp = comp->next)
		snprintf(comp->cgroup, sizeof(comp->cgroup), "%s/skep/%s/control/%s", root, c->name, comp->name);
}

static int write_containerd_config(const struct sup *s, const char *node, char *ret_path, struct err *err)
{
	static const char *const plugins[] = { "skep-cni", "loopback" };
	char text[4096], dir[PATH_MAX], link[PATH_MAX], target[PATH_MAX];
	int n, r;

	snprintf(dir, sizeof(dir), "%s/%s", s->c->run_dir, node);
	r = dir_make(dir, 0755, err);
	snprintf(dir, sizeof(dir), "%s/%s/cni", s->c->state_dir, node);
	if (!r)
		r = dir_make(dir, 0755, err);
	snprintf(dir, sizeof(dir), "%s/%s/certs.d", s->c->state_dir, node);
	if (!r)
		r = dir_make(dir, 0755, err);
	/* skep-cni is the loopback plugin as well, by its name. */
	snprintf(dir, sizeof(dir), "%s/cni-bin", s->c->state_dir);
	if (!r)
		r = dir_make(dir, 0755, err);
	if (r < 0)
		return r;
	snprintf(target, sizeof(target), "%s/skep-cni", s->c->bin_dir);
	for (size_t i = 0; i < sizeof(plugins) / sizeof(plugins[0]); i++) {
		snprintf(link, sizeof(link), "%s/%s", dir, plugins[i]);
		unlink(link);
		if (symlink(target, link) < 0)
			return err_set(err, errno, "link '%s': %m", link);
	}
	n = snprintf(
		text, sizeof(text),
		"version = 2\n"
		"root = \"%1$s/%3$s/containerd\"\n"
		"state = \"%2$s/%3$s/containerd\"\n"
		"disabled_plugins = [\"io.containerd.snapshotter.v1.aufs\", \"io.containerd.snapshotter.v1.btrfs\", "
		"\"io.containerd.snapshotter.v1.devmapper\", \"io.containerd.snapshotter.v1.zfs\", "
		"\"io.containerd.internal.v1.restart\", \"io.containerd.tracing.processor.v1.otlp\", "
		"\"io.containerd.internal.v1.tracing\"]\n"
		"[grpc]\n  address = \"%2$s/%3$s/containerd.sock\"\n"
		"[plugins.\"io.containerd.internal.v1.opt\"]\n  path = \"%1$s/%3$s/containerd/opt\"\n"
		"[plugins.\"io.containerd.grpc.v1.cri\"]\n"
		"  sandbox_image = \"localhost/skep/pause:1\"\n"
		"  disable_apparmor = true\n"
		"  netns_mounts_under_state_dir = true\n"
		"  restrict_oom_score_adj = true\n"
		"  stream_server_address = \"127.0.0.1\"\n"
		"  stream_server_port = \"0\"\n"
		"  [plugins.\"io.containerd.grpc.v1.cri\".cni]\n"
		"    bin_dir = \"%4$s\"\n"
		"    conf_dir = \"%1$s/%3$s/cni\"\n"
		"  [plugins.\"io.containerd.grpc.v1.cri\".containerd]\n"
		"    snapshotter = \"overlayfs\"\n"
		"    default_runtime_name = \"runc\"\n"
		"    [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\n"
		"      runtime_type = \"io.containerd.runc.v2\"\n"
		"      [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\n"
		"        SystemdCgroup = false\n"
		"        Root = \"%2$s/%3$s/runc\"\n"
		"  [plugins.\"io.containerd.grpc.v1.cri\".registry]\n"
		"    config_path = \"%1$s/%3$s/certs.d\"\n",
		s->c->state_dir, s->c->run_dir, node, dir);
	snprintf(ret_path, PATH_MAX, "%s/%s/containerd.toml", s->c->state_dir, node);
	return file_write_atomic(ret_path, text, (size_t)n, 0644, err);
}

static int add_node(struct sup *s, int i, struct err *err)
{
	const char *root = cluster_cgroup2_root(NULL);
	const struct cluster *c = s->c;
	char node[64], ns[64], ip4[64], ip6[64], config[PATH_MAX];
	struct component *comp;
	int r;

	cluster_node_name(c, i, node);
	cluster_node_ns(c, i, ns);
	cluster_node_ips(i, ip4, ip6);
	r = write_containerd_config(s, node, config, err);
	if (r < 0)
		return r;
	comp = component_new(s, i, ns, "%s-containerd", node);
	snprintf(comp->cgroup, sizeof(comp->cgroup), "%s/skep/%s/%s/containerd", root, c->name, node);
	arg(comp, "containerd");
	arg(comp, "--config=%s", config);

	comp = component_new(s, i, ns, "%s-agent", node);
	snprintf(comp->cgroup, sizeof(comp->cgroup), "%s/skep/%s/%s/agent", root, c->name, node);
	arg(comp, "%s/skep-agent", c->bin_dir);
	arg(comp, "--node-name=%s", node);
	arg(comp, "--kubeconfig=%s/%s/agent.kubeconfig", c->state_dir, node);
	arg(comp, "--runtime-endpoint=unix://%s/%s/containerd.sock", c->run_dir, node);
	arg(comp, "--state-dir=%s/%s/agent", c->state_dir, node);
	arg(comp, "--run-dir=%s/%s", c->run_dir, node);
	arg(comp, "--pin-dir=/sys/fs/bpf/skep/%s", node);
	arg(comp, "--cgroup-root=/skep/%s/%s", c->name, node);
	arg(comp, "--node-ips=%s,%s", ip4, ip6);
	arg(comp, "--cluster-cidrs=" CLUSTER_POD_CIDRS);
	arg(comp, "--lan-cidrs=" CLUSTER_NODE_CIDRS);
	arg(comp, "--service-cidrs=" CLUSTER_SERVICE_CIDRS);
	arg(comp, "--uplink=eth0");
	if (c->xdp)
		arg(comp, "--xdp=%s", c->xdp);
	arg(comp, "--cni-conf-dir=%s/%s/cni", c->state_dir, node);
	arg(comp, "--tls-cert=%s/pki/%s.crt", c->state_dir, node);
	arg(comp, "--tls-key=%s/pki/%s.key", c->state_dir, node);
	arg(comp, "--tls-ca=%s/pki/ca.crt", c->state_dir);
	return 0;
}

/* --- coming up ---------------------------------------------------------------------------------------------------- */

static void check_ready(struct sup *s)
{
	int n = 0;

	if (s->ready || s->images_pending || !s->nodes || !informer_synced(s->nodes))
		return;
	for (struct informer_iter it = { 0 }; informer_next(s->nodes, &it);) {
		const struct api_node *node = (const struct api_node *)it.item->obj;

		for (size_t i = 0; i < node->status.n_conditions; i++)
			if (streq(node->status.conditions[i].type, "Ready") &&
			    streq(node->status.conditions[i].status, "True"))
				n++;
	}
	if (n < s->c->n_nodes)
		return;
	s->ready = true;
	loop_timer_cancel(&s->deadline);
	progress(s, "ready %d", s->c->port);
	close(s->progress_fd);
	s->progress_fd = -1;
	/* What was awaited is known; a supervisor needs no cache of nodes. */
	informer_free(TAKE(s->nodes));
}

static void nodes_changed(struct informer *inf, void *varg, struct informer_item *old, struct informer_item *new)
{
	(void)inf;
	(void)old;
	(void)new;
	check_ready(varg);
}

static void nodes_synced(struct informer *inf, void *varg)
{
	(void)inf;
	check_ready(varg);
}

static void image_loaded(struct component *comp)
{
	comp->sup->images_pending--;
	check_ready(comp->sup);
}

/* The image that holds a pod's namespaces comes with Skep; it has to be there before the first sandbox. */
static int load_pause_image(struct sup *s, int i, struct err *err)
{
	const struct cluster *c = s->c;
	char node[64], ns[64], image[PATH_MAX];
	struct component *comp;

	snprintf(image, sizeof(image), "%s/../images/pause.tar", c->bin_dir);
	if (access(image, R_OK))
		snprintf(image, sizeof(image), "%s/../lib/skep/pause.tar", c->bin_dir);
	if (access(image, R_OK))
		return err_set(err, ENOENT, "pause.tar is neither in %s/../images nor in ../lib/skep: run `make`",
			       c->bin_dir);
	comp = component_new(s, i, cluster_node_ns(c, i, ns), "%s-pause-image", cluster_node_name(c, i, node));
	snprintf(comp->cgroup, sizeof(comp->cgroup), "%s/skep/%s/%s/containerd", cluster_cgroup2_root(NULL), c->name,
		 node);
	comp->once = true;
	comp->on_success = image_loaded;
	arg(comp, "ctr");
	arg(comp, "--address=%s/%s/containerd.sock", c->run_dir, node);
	arg(comp, "--namespace=k8s.io");
	arg(comp, "images");
	arg(comp, "import");
	arg(comp, "%s", image);
	return component_start(comp, err);
}

static void notified(struct loop_io *io, uint32_t events)
{
	struct sup *s = io->arg;
	char buf[512], control[CMSG_SPACE(sizeof(struct ucred))];
	struct iovec iov = { buf, sizeof(buf) - 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	struct err err = ERR_INIT;
	struct cmsghdr *cm;
	struct ucred cred = { 0 };
	ssize_t n;

	(void)events;
	n = recvmsg(s->notify_fd, &msg, MSG_DONTWAIT);
	if (n <= 0)
		return;
	buf[n] = '\0';
	for (cm = CMSG_FIRSTHDR(&msg); cm; cm = CMSG_NXTHDR(&msg, cm))
		if (cm->cmsg_level == SOL_SOCKET && cm->cmsg_type == SCM_CREDENTIALS)
			memcpy(&cred, CMSG_DATA(cm), sizeof(cred));
	if (!strstr(buf, "READY=1") || s->ready)
		return;
	for (struct component *comp = s->components; comp; comp = comp->next)
		if (comp->pid == cred.pid && comp->node && str_ends(comp->name, "-containerd") &&
		    load_pause_image(s, comp->node, &err) < 0)
			fail(s, "-", &err);
}

static int open_notify(struct sup *s, struct err *err)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int one = 1, r;

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/notify.sock", s->c->run_dir);
	unlink(sun.sun_path);
	s->notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s->notify_fd < 0 || setsockopt(s->notify_fd, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)) < 0 ||
	    bind(s->notify_fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
		return err_set(err, errno, "notify socket '%s': %m", sun.sun_path);
	s->notify.fn = notified;
	s->notify.arg = s;
	r = loop_io_add(s->loop, &s->notify, s->notify_fd, 1 /* EPOLLIN */);
	return r < 0 ? err_set(err, -r, "notify socket: %s", strerror(-r)) : 0;
}

static int open_listeners(struct sup *s, struct err *err)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int fd;

	fd = cluster_listen(NULL, "127.0.0.1", s->c->port ? s->c->port : 6443, err);
	if (fd == -EADDRINUSE && !s->c->port) {
		err_clear(err);
		fd = cluster_listen(NULL, "127.0.0.1", 0, err);
	}
	if (fd < 0)
		return err_wrap(err, fd, "the API server's port (choose one with --port)");
	getsockname(fd, (struct sockaddr *)&ss, &len);
	s->c->port = ntohs(((struct sockaddr_in *)&ss)->sin_port);
	s->listeners[s->n_listeners++] = fd;
	fd = cluster_listen(s->c->lan_ns, CLUSTER_LAN_IP4, 6443, err);
	if (fd < 0)
		return fd;
	s->listeners[s->n_listeners++] = fd;
	fd = cluster_listen(s->c->lan_ns, CLUSTER_LAN_IP6, 6443, err);
	if (fd < 0)
		return fd;
	s->listeners[s->n_listeners++] = fd;
	return 0;
}

static int write_kubeconfigs(struct sup *s, struct err *err)
{
	const struct cluster *c = s->c;
	char path[PATH_MAX], server[128], node[64];
	int r;

	snprintf(server, sizeof(server), "https://127.0.0.1:%d", c->port);
	r = cluster_write_kubeconfig(c, "admin", server, cluster_admin_kubeconfig(c, path, sizeof(path)), err);
	snprintf(path, sizeof(path), "%s/scheduler.kubeconfig", c->state_dir);
	if (!r)
		r = cluster_write_kubeconfig(c, "scheduler", "https://" CLUSTER_LAN_IP4 ":6443", path, err);
	snprintf(path, sizeof(path), "%s/controller-manager.kubeconfig", c->state_dir);
	if (!r)
		r = cluster_write_kubeconfig(c, "controller-manager", "https://" CLUSTER_LAN_IP4 ":6443", path, err);
	for (int i = 1; !r && i <= c->n_nodes; i++) {
		cluster_node_name(c, i, node);
		snprintf(path, sizeof(path), "%s/%s/agent", c->state_dir, node);
		r = dir_make(path, 0700, err);
		snprintf(path, sizeof(path), "%s/%s/agent.kubeconfig", c->state_dir, node);
		if (!r)
			r = cluster_write_kubeconfig(c, node, "https://" CLUSTER_LAN_IP4 ":6443", path, err);
	}
	return r;
}

static void deadline_passed(struct loop_timer *t)
{
	struct sup *s = t->arg;
	struct err err = ERR_INIT;
	char path[PATH_MAX], dir[PATH_MAX];

	snprintf(dir, sizeof(dir), "%s/logs", s->c->run_dir);
	err_set(&err, ETIMEDOUT, "not every node is Ready after %d s (%d image loads pending)", START_TIMEOUT_MS / 1000,
		s->images_pending);
	(void)path;
	fail(s, dir, &err);
}

static int join_own_cgroup(const struct sup *s, struct err *err)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/skep/%s/supervisor/cgroup.procs", cluster_cgroup2_root(NULL), s->c->name);
	return file_write(path, "0", err);
}

static int come_up(struct sup *s, struct err *err)
{
	static const struct informer_ops ops = { nodes_changed, nodes_synced };
	struct informer_config nodes = { .kind = &api_kind_node, .resync_ms = -1 };
	char path[PATH_MAX];
	int r;

	step(s, "cgroups and bpf file system");
	r = cluster_cgroup_up(s->c, err);
	if (!r)
		r = join_own_cgroup(s, err);
	if (!r)
		r = cluster_bpffs_up(err);
	if (r < 0)
		return r;
	progress(s, "done");

	step(s, "certificates");
	r = cluster_make_pki(s->c, err);
	if (r < 0)
		return r;
	progress(s, "done");

	step(s, "virtual LAN");
	r = cluster_net_up(s->c, err);
	if (!r)
		r = open_listeners(s, err);
	if (!r)
		r = write_kubeconfigs(s, err);
	if (!r)
		r = open_notify(s, err);
	if (r < 0)
		return r;
	progress(s, "done");

	step(s, "API server, scheduler, controllers and agents");
	add_control_plane(s);
	for (int i = 1; !r && i <= s->c->n_nodes; i++)
		r = add_node(s, i, err);
	s->images_pending = s->c->n_nodes;
	for (struct component *comp = s->components; !r && comp; comp = comp->next)
		r = component_start(comp, err);
	if (r < 0)
		return r;
	progress(s, "done");

	step(s, "nodes become Ready");
	r = kubeconfig_load(cluster_admin_kubeconfig(s->c, path, sizeof(path)), NULL, &s->kc, err);
	if (!r)
		r = kube_new(s->loop, &s->kc, "skep-up", &s->kube, err);
	if (r < 0)
		return r;
	s->nodes = informer_new(s->kube, &nodes, &ops, s);
	if (!s->nodes || informer_start(s->nodes) < 0)
		return err_set(err, ENOMEM, "out of memory");
	s->deadline.fn = deadline_passed;
	s->deadline.arg = s;
	return loop_timer_set(s->loop, &s->deadline, START_TIMEOUT_MS);
}

static void terminated(struct loop_signal *sig, int number)
{
	(void)number;
	loop_stop(((struct sup *)sig->arg)->loop);
}

void cluster_supervise(struct cluster *c, int progress_fd)
{
	static const int sigs[] = { SIGTERM, SIGINT };
	struct sup s = { .c = c, .progress_fd = progress_fd, .notify_fd = -1 };
	struct loop_signal sig = { .fn = terminated, .arg = &s };
	struct err err = ERR_INIT;
	char path[PATH_MAX];
	int r;

	log_init("skep-supervisor");
	prctl(PR_SET_NAME, "skep-supervisor");
	signal(SIGPIPE, SIG_IGN);
	log_path(&s, "supervisor", path);
	s.loop = loop_new();
	if (!s.loop) {
		err_set(&err, errno, "event loop: %m");
		fail(&s, path, &err);
	}
	loop_signal_add(s.loop, &sig, sigs, 2);
	r = come_up(&s, &err);
	if (r < 0)
		fail(&s, path, &err);
	r = loop_run(s.loop);
	log_info("supervisor ends");
	exit(r < 0);
}
