/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes, pods and traffic between them: see wire.h. */
#include "../scratch.h"
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/network.h"
#include "api/api.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "io/http_server.h"

#define API_IP "172.30.255.250"

struct wnode n1 = {
	.name = "net2-n1", .ip4 = "172.30.0.1", .ip6 = "fd00:30::1", .pod_cidrs = "10.0.1.0/24,fd00:10:0:1::/64"
};
struct wnode n2 = {
	.name = "net2-n2", .ip4 = "172.30.0.2", .ip6 = "fd00:30::2", .pod_cidrs = "10.0.2.0/24,fd00:10:0:2::/64"
};
struct fake_api *api;

static struct loop *loop;
static int lan_ns = -1, api_port;
static char dir[64];
static unsigned n_pods;

/* --- machinery ---------------------------------------------------------------------------------------------------- */

void enter(const char *ns)
{
	cleanup(close_fd) int fd = -1;
	char path[64];

	snprintf(path, sizeof(path), "/run/netns/%s", ns ? ns : "");
	if (ns)
		fd = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert((!ns || fd >= 0) && setns(ns ? fd : lan_ns, CLONE_NEWNET) == 0, "%s: %s", path, strerror(errno));
}

void sh(const char *fmt, ...)
{
	char cmd[2048];
	va_list args;

	va_start(args, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, args);
	va_end(args);
	cr_assert_eq(system(cmd), 0, "%s", cmd);
}

void serve(int ms)
{
	loop_run_once(loop, ms);
}

bool wait_for(bool (*done)(void *arg), void *arg)
{
	int64_t end = clock_mono_ms() + WAIT_MS;

	while (!done(arg)) {
		if (clock_mono_ms() > end)
			return false;
		serve(5);
	}
	return true;
}

static void lan(const char *ns, const char *ip4, const char *ip6)
{
	enter(NULL);
	sh("ip netns add %1$s && ip link add l-%1$s type veth peer name up0 netns %1$s && ip link set l-%1$s master br0 up &&"
	   "ip -n %1$s link set lo up && ip -n %1$s link set up0 up && ip -n %1$s addr add %2$s/16 dev up0 &&"
	   "ip -n %1$s addr add %3$s/64 dev up0 nodad",
	   ns, ip4, ip6);
}

/* --- nodes -------------------------------------------------------------------------------------------------------- */

struct node_process {
	struct network *network;
	struct loop *loop;
	struct loop_timer look;
	int ready_fd;
};

static void debug(struct http_req *req, void *arg)
{
	struct node_process *np = arg;

	if (!network_http(np->network, req))
		http_respond(req, 404, "text/plain", "", 0);
}

static void look(struct loop_timer *t)
{
	struct node_process *np = t->arg;

	if (network_ready(np->network))
		(void)loop_timer_set(np->loop, t, 5);
	else if (write(np->ready_fd, "1", 1) != 1)
		_exit(3);
}

static void on_term(struct loop_signal *s, int sig)
{
	(void)sig;
	loop_stop(s->io.loop);
}

static void node_main(const struct wnode *n, int ready_fd)
{
	struct node_process np = { .ready_fd = ready_fd };
	char server[64], state[160], cni_socket[160], address[160];
	struct kubeconfig kc = { .server = server };
	struct network_config config = {
		.node_name = n->name,
		.pin_dir = n->pin_dir,
		.cgroup_dir = n->cgroup,
		.state_dir = state,
		.cni_socket = cni_socket,
		.uplink = "up0",
		.pod_cidrs = n->pod_cidrs,
		.cluster_cidrs = "10.0.0.0/8,fd00:10::/48",
		.lan_cidrs = "172.30.0.0/16,fd00:30::/64",
		.service_cidrs = "10.96.0.0/12,fd00:10:96::/112",
		.node_ports = "30000-32767",
		.max_frontends = n->max_frontends,
	};
	struct http_server_config hc = { .handler = debug, .arg = &np };
	struct http_server *http;
	struct loop_signal term = { .fn = on_term };
	const int sigs[] = { SIGTERM };
	struct err err = ERR_INIT;
	struct kube *kube;
	char ips[128];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	enter(n->name);
	snprintf(server, sizeof(server), "http://" API_IP ":%d", api_port);
	snprintf(state, sizeof(state), "%s/state", n->dir);
	snprintf(cni_socket, sizeof(cni_socket), "%s/cni.sock", n->dir);
	snprintf(address, sizeof(address), "unix:%s/debug.sock", n->dir);
	snprintf(ips, sizeof(ips), "%s,%s", n->ip4, n->ip6);
	config.node_ips = ips;
	np.loop = loop_new();
	np.look = (struct loop_timer){ .fn = look, .arg = &np };
	unlink(address + 5);
	if (!np.loop || kube_new(np.loop, &kc, "test", &kube, &err) < 0 ||
	    network_new(np.loop, kube, &config, &np.network, &err) < 0 ||
	    http_server_new(np.loop, &hc, &http, &err) < 0 || http_server_listen(http, address, NULL, &err) < 0) {
		fprintf(stderr, "%s: %s\n", n->name, err.msg);
		_exit(1);
	}
	look(&np.look);
	(void)loop_signal_add(np.loop, &term, sigs, 1);
	if (loop_run(np.loop) < 0)
		_exit(2);
	/* An orderly end, as on SIGTERM: sanitizers look at what is left. */
	http_server_free(http);
	network_free(np.network);
	kube_free(kube);
	loop_signal_del(&term);
	loop_free(np.loop);
	exit(0);
}

static bool is_readable(void *arg)
{
	struct pollfd p = { .fd = *(int *)arg, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

int node_begin(struct wnode *n)
{
	int fds[2];

	cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
	n->pid = fork();
	cr_assert(n->pid >= 0);
	if (!n->pid) {
		close(fds[0]);
		node_main(n, fds[1]);
	}
	close(fds[1]);
	return fds[0];
}

void node_start(struct wnode *n)
{
	int ready_fd = node_begin(n);
	struct err err = ERR_INIT;
	char c;

	cr_assert(wait_for(is_readable, &ready_fd), "%s is not ready", n->name);
	cr_assert(read(ready_fd, &c, 1) == 1, "%s ended", n->name);
	close(ready_fd);
	if (!n->dp)
		cr_assert(dp_open_readonly(n->pin_dir, &n->dp, &err) == 0, "%s", err.msg);
}

static void node_end(struct wnode *n)
{
	int status = 0;

	if (n->pid <= 0)
		return;
	kill(n->pid, SIGTERM);
	waitpid(n->pid, &status, 0);
	n->pid = 0;
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s ended with status %x", n->name, status);
}

void node_kill(struct wnode *n)
{
	if (n->pid <= 0)
		return;
	kill(n->pid, SIGKILL);
	waitpid(n->pid, NULL, 0);
	n->pid = 0;
}

static void node_make(struct wnode *n, const char *cgroup_root)
{
	lan(n->name, n->ip4, n->ip6);
	sh("ip -n %1$s route add default via 172.30.0.254 && ip -n %1$s route add default via fd00:30::254", n->name);
	snprintf(n->dir, sizeof(n->dir), "%s/%s", dir, n->name);
	snprintf(n->pin_dir, sizeof(n->pin_dir), "%s/bpf/%s", dir, n->name);
	snprintf(n->cgroup, sizeof(n->cgroup), "%s/%s", cgroup_root, n->name);
	cr_assert(mkdir(n->dir, 0700) == 0 && mkdir(n->cgroup, 0755) == 0, "%s: %s", n->cgroup, strerror(errno));
	fake_put(api, "nodes",
		 "{'metadata':{'name':'%s','uid':'uid-%s'},'status':{'addresses':[{'type':'InternalIP','address':'%s'},"
		 "{'type':'InternalIP','address':'%s'}]}}",
		 n->name, n->name, n->ip4, n->ip6);
}

static void cgroup_root(char *buf, size_t size)
{
	snprintf(buf, size, "%s/net2-test-%d", scratch_cgroup_root(), getpid());
}

void wire_up(void)
{
	char cg[128], bpf[96];

	if (geteuid() != 0)
		cr_skip_test("needs root: makes network namespaces and loads BPF programs");
	cgroup_root(cg, sizeof(cg));
	snprintf(dir, sizeof(dir), "/tmp/net2-test-%d", getpid());
	scratch_until_i_end(cg, dir);
	cr_assert(mkdir(cg, 0755) == 0, "mkdir %s: %s", cg, strerror(errno));
	cr_assert(unshare(CLONE_NEWNET | CLONE_NEWNS) == 0, "unshare: %s", strerror(errno));
	cr_assert_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	cr_assert_eq(mount("run", "/run", "tmpfs", 0, NULL), 0);
	snprintf(bpf, sizeof(bpf), "%s/bpf", dir);
	cr_assert(mkdir(dir, 0700) == 0 && mkdir(bpf, 0700) == 0);
	cr_assert_eq(mount("bpf", bpf, "bpf", 0, NULL), 0);
	lan_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	sh("ip link set lo up && ip link add br0 type bridge && ip link set br0 up && ip addr add " API_IP
	   "/16 dev br0");
	loop = loop_new();
	api = fake_api_new(loop, API_IP ":0", &api_port);
	lan("w", "172.30.0.254", "fd00:30::254");
	sh("ip -n w addr add " WORLD4 "/32 dev lo && ip -n w addr add " WORLD6 "/128 dev lo nodad");
	for (const char *const *ns = (const char *const[]){ "default", "other", NULL }; *ns; ns++)
		fake_put(api, "namespaces",
			 "{'metadata':{'name':'%s','uid':'uid-%s','labels':{'kubernetes.io/metadata.name':'%s'}}}", *ns,
			 *ns, *ns);
	node_make(&n1, cg);
	node_make(&n2, cg);
	node_start(&n1);
	node_start(&n2);
}

void wire_down(void)
{
	struct wnode *all[] = { &n1, &n2 };
	char path[128];

	if (!dir[0])
		return;
	for (int i = 0; i < 2; i++) {
		node_end(all[i]);
		if (all[i]->dp)
			dp_close(all[i]->dp);
		(void)dp_destroy(all[i]->pin_dir, NULL);
		(void)rmdir(all[i]->cgroup);
	}
	snprintf(path, sizeof(path), "%s/bpf", dir);
	(void)umount2(path, MNT_DETACH);
	(void)dir_remove(dir, NULL);
	cgroup_root(path, sizeof(path));
	(void)rmdir(path);
	(void)umount2("/run", MNT_DETACH);
}

/* --- what a node says --------------------------------------------------------------------------------------------- */

json_t *node_get(struct wnode *n, const char *what)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	cleanup(close_fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	static char buf[1 << 20];
	size_t len = 0;
	json_t *obj;
	ssize_t got;
	char *body;

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/debug.sock", n->dir);
	cr_assert(connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0, "%s: %s", sun.sun_path, strerror(errno));
	cr_assert(dprintf(fd, "GET /debug/net/%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", what) > 0);
	while ((got = read(fd, buf + len, sizeof(buf) - 1 - len)) > 0)
		len += (size_t)got;
	buf[len] = '\0';
	body = strstr(buf, "\r\n\r\n");
	obj = body ? json_loads(body + 4, 0, NULL) : NULL;
	cr_assert(obj, "%s: %s", what, buf);
	return obj;
}

uint64_t drops(struct wnode *n, const char *reason)
{
	cleanup(free) struct dp_drop_stats *stats = NULL;
	struct err err = ERR_INIT;
	uint64_t sum = 0;
	size_t count;

	cr_assert(dp_drop_stats(n->dp, &stats, &count, &err) == 0, "%s", err.msg);
	for (size_t i = 0; i < count; i++)
		if (streq(dp_drop_name(stats[i].reason), reason))
			sum += stats[i].packets;
	return sum;
}

bool knows(struct wnode *n, const char *ip)
{
	cleanup(free) struct dp_ipcache_entry *list = NULL;
	struct err err = ERR_INIT;
	char text[64];
	size_t count;

	cr_assert(dp_ipcache_list(n->dp, &list, &count, &err) == 0, "%s", err.msg);
	for (size_t i = 0; i < count; i++) {
		bool v4 = !list[i].ip.w[0] && !list[i].ip.w[1] && list[i].ip.w[2] == htonl(0xffff);

		inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? &list[i].ip.w[3] : list[i].ip.w, text, sizeof(text));
		if (streq(text, ip))
			return true;
	}
	return false;
}

bool have_applied(void *arg)
{
	static const char *const resources[] = { "services", "endpointslices" };
	const size_t *revisions = arg;
	struct wnode *nodes[] = { &n1, &n2 };

	for (int i = 0; i < 4; i++) {
		const json_t *applied = api_get(fake_report(api, nodes[i / 2]->name, NULL), "status.applied"), *one;
		bool yes = false;
		size_t k;

		json_array_foreach (applied, k, one)
			if (!strcmp(api_get_str(one, "resource"), resources[i % 2]))
				yes = strtoul(api_get_str(one, "resourceVersion"), NULL, 10) >= revisions[i % 2];
		if (!yes)
			return false;
	}
	return true;
}

/* --- pods --------------------------------------------------------------------------------------------------------- */

void pod_put(struct wpod *p, const char *phase)
{
	char ips[256] = "";

	if (p->ip4[0])
		snprintf(ips, sizeof(ips), ",'hostIP':'%s','podIP':'%s','podIPs':[{'ip':'%s'},{'ip':'%s'}]",
			 p->node->ip4, p->ip4, p->ip4, p->ip6);
	fake_put(
		api, "pods",
		"{'metadata':{'namespace':'%s','name':'%s','uid':'uid-%s','labels':{%s}},'spec':{'nodeName':'%s',"
		"'containers':[{'name':'c','image':'i','ports':[{'name':'web','containerPort':8080,'protocol':'TCP'}]}]},'status':{'phase':'%s'%s}}",
		p->ns, p->name, p->id, p->labels ? p->labels : "", p->node->name, phase, ips);
}

static void cni_program(char *buf, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", buf, size - 1);
	char *slash;

	cr_assert(n > 0);
	buf[n] = '\0';
	slash = strrchr(buf, '/');
	cr_assert((size_t)(slash - buf) + sizeof("/../bin/skep-cni") < size);
	strcpy(slash, "/../bin/skep-cni");
}

static void output_path(const struct wpod *p, char *buf, size_t size)
{
	snprintf(buf, size, "%s/%s.out", p->node->dir, p->id);
}

pid_t cni_begin(struct wpod *p, const char *command)
{
	char prog[512], netns[64], args[256], out[192], in[192], conf[320];
	pid_t pid;

	cni_program(prog, sizeof(prog));
	output_path(p, out, sizeof(out));
	snprintf(in, sizeof(in), "%s/conf", p->node->dir);
	snprintf(conf, sizeof(conf),
		 "{\"cniVersion\":\"1.0.0\",\"name\":\"skep\",\"type\":\"skep-cni\",\"socket\":\"%s/cni.sock\"}",
		 p->node->dir);
	sh("printf '%%s' '%s' > %s", conf, in);
	snprintf(netns, sizeof(netns), "/run/netns/%s", p->netns);
	snprintf(args, sizeof(args), "IgnoreUnknown=1;K8S_POD_NAMESPACE=%s;K8S_POD_NAME=%s;K8S_POD_UID=uid-%s", p->ns,
		 p->name, p->id);
	pid = fork();
	cr_assert(pid >= 0);
	if (!pid) {
		int i = open(in, O_RDONLY), o = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600);

		if (i < 0 || o < 0 || dup2(i, 0) < 0 || dup2(o, 1) < 0)
			_exit(126);
		setenv("CNI_COMMAND", command, 1);
		setenv("CNI_CONTAINERID", p->id, 1);
		setenv("CNI_NETNS", netns, 1);
		setenv("CNI_IFNAME", "eth0", 1);
		setenv("CNI_PATH", "/nowhere", 1);
		setenv("CNI_ARGS", args, 1);
		execl(prog, prog, (char *)NULL);
		_exit(127);
	}
	return pid;
}

struct child {
	pid_t pid;
	int status;
};

static bool has_ended(void *arg)
{
	struct child *c = arg;

	return waitpid(c->pid, &c->status, WNOHANG) == c->pid;
}

int cni_end(struct wpod *p, pid_t pid, char *out, size_t size)
{
	struct child c = { .pid = pid };
	cleanup(free) char *text = NULL;
	char path[192];
	size_t len;

	cr_assert(wait_for(has_ended, &c), "skep-cni did not end");
	output_path(p, path, sizeof(path));
	cr_assert_eq(file_read(path, 65536, &text, &len, NULL), 0);
	snprintf(out, size, "%s", text);
	return WIFEXITED(c.status) ? WEXITSTATUS(c.status) : -1;
}

int cni(struct wpod *p, const char *command, char *out, size_t size)
{
	return cni_end(p, cni_begin(p, command), out, size);
}

static void take_ip(const json_t *result, size_t i, char *buf)
{
	const char *s =
		json_string_value(json_object_get(json_array_get(json_object_get(result, "ips"), i), "address"));

	cr_assert(s && strchr(s, '/'));
	snprintf(buf, 64, "%.*s", (int)(strchr(s, '/') - s), s);
}

static bool both_know(void *arg)
{
	struct wpod *p = arg;

	return knows(&n1, p->ip4) && knows(&n1, p->ip6) && knows(&n2, p->ip4) && knows(&n2, p->ip6);
}

void pod_start(struct wpod *p)
{
	char out[4096];
	json_t *result;
	int status;

	if (!p->id[0])
		snprintf(p->id, sizeof(p->id), "%012u-%s", ++n_pods, p->name);
	snprintf(p->netns, sizeof(p->netns), "p%u", n_pods);
	enter(NULL);
	sh("ip netns add %s", p->netns);
	pod_put(p, "Pending");
	status = cni(p, "ADD", out, sizeof(out));
	cr_assert(status == 0, "ADD: %d %s", status, out);
	result = json_loads(out, 0, NULL);
	cr_assert(result, "%s", out);
	take_ip(result, 0, p->ip4);
	take_ip(result, 1, p->ip6);
	json_decref(result);
	pod_put(p, "Running");
	cr_assert(wait_for(both_know, p), "%s is not known everywhere", p->ip4);
}

void pod_stop(struct wpod *p)
{
	char out[4096];

	cr_assert_eq(cni(p, "DEL", out, sizeof(out)), 0, "%s", out);
	fake_delete(api, "pods", p->ns, p->name);
	enter(NULL);
	sh("ip netns del %s", p->netns);
}

/* --- traffic ------------------------------------------------------------------------------------------------------ */

static socklen_t sockaddr_of(const char *ip, uint16_t port, struct sockaddr_storage *ss)
{
	memset(ss, 0, sizeof(*ss));
	if (strchr(ip, ':')) {
		struct sockaddr_in6 *s6 = (struct sockaddr_in6 *)ss;

		s6->sin6_family = AF_INET6;
		s6->sin6_port = htons(port);
		inet_pton(AF_INET6, ip, &s6->sin6_addr);
		return sizeof(*s6);
	}
	((struct sockaddr_in *)ss)->sin_family = AF_INET;
	((struct sockaddr_in *)ss)->sin_port = htons(port);
	inet_pton(AF_INET, ip, &((struct sockaddr_in *)ss)->sin_addr);
	return sizeof(struct sockaddr_in);
}

static void text_of(const struct sockaddr_storage *ss, char *buf)
{
	if (ss->ss_family == AF_INET6)
		inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)ss)->sin6_addr, buf, 64);
	else
		inet_ntop(AF_INET, &((const struct sockaddr_in *)ss)->sin_addr, buf, 64);
}

static bool is_ready(void *arg)
{
	return poll(arg, 1, 0) == 1;
}

static bool ready(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	return wait_for(is_ready, &p);
}

int listen_on(const char *ns, const char *ip, uint16_t port, int type)
{
	struct sockaddr_storage ss;
	socklen_t len = sockaddr_of(ip, port, &ss);
	int fd, one = 1;

	enter(ns);
	fd = socket(ss.ss_family, type | SOCK_CLOEXEC, 0);
	cr_assert(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	cr_assert(bind(fd, (struct sockaddr *)&ss, len) == 0, "bind %s in %s: %s", ip, ns, strerror(errno));
	if (type == SOCK_STREAM)
		cr_assert_eq(listen(fd, 8), 0);
	return fd;
}

int begin_connect(const char *ns, const char *ip, uint16_t port)
{
	struct sockaddr_storage ss;
	socklen_t len = sockaddr_of(ip, port, &ss);
	int fd;

	enter(ns);
	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	cr_assert(fd >= 0);
	cr_assert(connect(fd, (struct sockaddr *)&ss, len) == 0 || errno == EINPROGRESS, "connect %s: %s", ip,
		  strerror(errno));
	return fd;
}

struct conn connected(const char *client_ns, const char *server_ns, const char *ip, uint16_t port)
{
	struct sockaddr_storage ss;
	int l = listen_on(server_ns, ip, port, SOCK_STREAM), error = 0;
	socklen_t len = sizeof(ss), elen = sizeof(error);
	struct conn c;

	c.client = begin_connect(client_ns, ip, port);
	cr_assert(ready(l, POLLIN), "%s to %s: no connection", client_ns, ip);
	c.server = accept4(l, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	cr_assert(c.server >= 0);
	cr_assert(ready(c.client, POLLOUT) && getsockopt(c.client, SOL_SOCKET, SO_ERROR, &error, &elen) == 0 &&
		  error == 0);
	close(l);
	text_of(&ss, c.peer);
	return c;
}

void talk(struct conn *c, size_t bytes)
{
	static char buf[1 << 16];
	int ends[2][2] = { { c->client, c->server }, { c->server, c->client } };

	for (int way = 0; way < 2; way++) {
		size_t sent = 0, got = 0;

		while (got < bytes) {
			size_t left = bytes - sent < sizeof(buf) ? bytes - sent : sizeof(buf);
			ssize_t n = left ? write(ends[way][0], buf, left) : 0;

			if (n > 0)
				sent += (size_t)n;
			n = read(ends[way][1], buf, sizeof(buf));
			if (n > 0)
				got += (size_t)n;
			else
				cr_assert(n < 0 && errno == EAGAIN && ready(ends[way][1], POLLIN),
					  "%zu of %zu bytes arrived", got, bytes);
		}
	}
}

void hang_up(struct conn *c)
{
	close(c->client);
	close(c->server);
}

void talks(const char *from, const char *to, const char *ip, const char *seen_as)
{
	struct conn c = connected(from, to, ip, 8080);

	if (seen_as)
		cr_assert_str_eq(c.peer, seen_as);
	talk(&c, 300000);
	hang_up(&c);
}

void says(const char *from, const char *to, const char *ip)
{
	struct sockaddr_storage ss;
	socklen_t len = sockaddr_of(ip, 5353, &ss);
	int server = listen_on(to, ip, 5353, SOCK_DGRAM), client;
	char buf[16];

	enter(from);
	client = socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	cr_assert(client >= 0 && connect(client, (struct sockaddr *)&ss, len) == 0);
	cr_assert_eq(send(client, "ping", 4, 0), 4);
	cr_assert(ready(server, POLLIN), "%s to %s: no datagram", from, ip);
	len = sizeof(ss);
	cr_assert_eq(recvfrom(server, buf, sizeof(buf), 0, (struct sockaddr *)&ss, &len), 4);
	cr_assert_eq(sendto(server, "pong", 4, 0, (struct sockaddr *)&ss, len), 4);
	cr_assert(ready(client, POLLIN), "%s to %s: no answer", from, ip);
	close(server);
	close(client);
}
