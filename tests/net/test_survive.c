/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ten thousand connections that nobody interrupts: agents are killed, and start again on maps of their own layout, of
 * an older and of a newer one, while every connection is asked and answers again and again. By socket, packet by
 * packet, from outside by a node port, and to the world. Backends and clients are a process each, so that they go on
 * while this one serves the API.
 */
#include "wire.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi/layout.h"
#include "agent/dp/dp-internal.h"
#include "base/str.h"

enum { BY_SOCKET = 4000, BY_PACKET = 3000, FROM_OUTSIDE = 2000, TO_THE_WORLD = 1000, FLOWS = 10000, AT_ONCE = 250 };

TestSuite(survive, .init = wire_up, .fini = wire_down, .timeout = 600);

#define VIP4	  "10.96.0.9"
#define VIP6	  "fd00:10:96::9"
#define NODE_PORT 30080

struct question {
	uint32_t flow, round;
};

/* Of the clients' process and this one. */
struct progress {
	_Atomic uint32_t rounds; /* in which every flow has answered */
	_Atomic int failed;	 /* errno of a flow; EPIPE: its end, EBADMSG: another's answer */
	_Atomic uint32_t flow;	 /* which; or one that the round waits for */
	_Atomic uint32_t waiting;
};
static struct progress *progress;
static struct wpod client, near, far;
static int flows[FLOWS];

static const char *kind_of(uint32_t flow)
{
	return flow < BY_SOCKET				     ? "by socket"
	       : flow < BY_SOCKET + BY_PACKET		     ? "by packet"
	       : flow < BY_SOCKET + BY_PACKET + FROM_OUTSIDE ? "from outside"
							     : "to the world";
}

/* --- the two processes -------------------------------------------------------------------------------------------- */

static void watch(int epoll, int fd, uint32_t number)
{
	struct epoll_event e = { .events = EPOLLIN, .data.u32 = number };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0)
		_exit(1);
}

static void echo(int fd)
{
	char buf[4096];
	ssize_t n = read(fd, buf, sizeof(buf));

	if (n <= 0 && errno != EAGAIN)
		close(fd); /* the test is over */
	else if (n > 0 && write(fd, buf, (size_t)n) != n)
		_exit(2);
}

static void serve_echo(const int *ears, uint32_t n)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event got[256];

	for (uint32_t i = 0; i < n; i++)
		watch(epoll, ears[i], (uint32_t)ears[i]);
	for (;;) {
		int count = epoll_wait(epoll, got, 256, -1);

		for (int i = 0; i < count; i++) {
			bool ear = false;
			int fd = (int)got[i].data.u32;

			for (uint32_t k = 0; k < n; k++)
				ear = ear || ears[k] == fd;
			if (ear)
				fd = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
			if (ear && fd >= 0)
				watch(epoll, fd, (uint32_t)fd);
			else if (!ear)
				echo(fd);
		}
	}
}

static void fail(uint32_t flow, int error)
{
	progress->flow = flow;
	progress->failed = error;
	_exit(3);
}

static void hear(uint32_t flow, uint32_t round, uint8_t *got)
{
	struct question answer;
	ssize_t n = recv(flows[flow], &answer, sizeof(answer), MSG_PEEK);

	if (n == 0 || (n < 0 && errno != EAGAIN))
		fail(flow, n ? errno : EPIPE);
	if (n != sizeof(answer))
		return;
	(void)!read(flows[flow], &answer, sizeof(answer));
	if (answer.flow != flow || answer.round != round || got[flow])
		fail(flow, EBADMSG);
	got[flow] = 1;
	progress->waiting--;
}

static void ask_all(void)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	static uint8_t got[FLOWS];
	struct epoll_event e[256];

	for (uint32_t i = 0; i < FLOWS; i++)
		watch(epoll, flows[i], i);
	for (uint32_t round = 1;; round++) {
		memset(got, 0, sizeof(got));
		progress->waiting = FLOWS;
		for (uint32_t i = 0; i < FLOWS; i++) {
			struct question q = { i, round };

			if (write(flows[i], &q, sizeof(q)) != sizeof(q))
				fail(i, errno);
		}
		while (progress->waiting) {
			int count = epoll_wait(epoll, e, 256, 1000);

			for (int i = 0; i < count; i++)
				hear(e[i].data.u32, round, got);
			for (uint32_t i = 0; !count && i < FLOWS; i++)
				if (!got[i])
					progress->flow = i;
		}
		progress->rounds = round;
	}
}

/* --- connections -------------------------------------------------------------------------------------------------- */

/* Hearing for all that comes within the test. */
static int ear_of(const char *ns, const char *ip)
{
	int fd = listen_on(ns, ip, 8080, SOCK_STREAM);

	cr_assert_eq(listen(fd, 4096), 0);
	return fd;
}

static pid_t start_servers(void)
{
	int ears[] = { ear_of(near.netns, near.ip4), ear_of(near.netns, near.ip6), ear_of(far.netns, far.ip4),
		       ear_of(far.netns, far.ip6), ear_of("w", WORLD4) };
	const uint32_t n = sizeof(ears) / sizeof(ears[0]);
	pid_t pid = fork();

	cr_assert(pid >= 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve_echo(ears, n);
	}
	for (uint32_t i = 0; i < n; i++)
		close(ears[i]);
	return pid;
}

struct batch {
	struct pollfd fds[AT_ONCE];
	uint32_t n;
};

static bool are_connected(void *arg)
{
	struct batch *b = arg;
	uint32_t open = 0;

	cr_assert(poll(b->fds, b->n, 0) >= 0);
	for (uint32_t i = 0; i < b->n; i++)
		open += b->fds[i].revents != 0;
	return open == b->n;
}

static void connect_some(uint32_t from, uint32_t n, const char *ns, const char *ip, uint16_t port)
{
	struct batch b = { .n = 0 };

	for (uint32_t i = from; i < from + n; i++) {
		flows[i] = begin_connect(ns, ip, port);
		b.fds[b.n++] = (struct pollfd){ .fd = flows[i], .events = POLLOUT };
		if (b.n < AT_ONCE && i + 1 < from + n)
			continue;
		cr_assert(wait_for(are_connected, &b), "%s: no connection", kind_of(i));
		for (uint32_t k = 0; k < b.n; k++) {
			int error = 0;
			socklen_t len = sizeof(error);

			cr_assert_eq(getsockopt(b.fds[k].fd, SOL_SOCKET, SO_ERROR, &error, &len), 0);
			cr_assert_eq(error, 0, "%s: %s", kind_of(i), strerror(error));
		}
		b.n = 0;
	}
}

static void connect_all(void)
{
	sh("echo %d > %s/cgroup.procs", getpid(), n1.cgroup);
	connect_some(0, BY_SOCKET, client.netns, VIP4, 80);
	sh("echo %d > %s/../../cgroup.procs", getpid(), n1.cgroup);
	connect_some(BY_SOCKET, BY_PACKET, client.netns, VIP6, 80);
	connect_some(BY_SOCKET + BY_PACKET, FROM_OUTSIDE, "w", n1.ip4, NODE_PORT);
	connect_some(BY_SOCKET + BY_PACKET + FROM_OUTSIDE, TO_THE_WORLD, client.netns, WORLD4, 8080);
	enter(NULL);
}

static uint64_t entries(const char *map)
{
	const struct dp_map_fill *fill;
	struct err err = ERR_INIT;
	size_t n;

	cr_assert(dp_map_fill(n1.dp, &fill, &n, &err) == 0, "%s", err.msg);
	for (size_t i = 0; i < n; i++)
		if (streq(fill[i].name, map))
			return fill[i].entries;
	return 0;
}

/* Is the state there that could be lost? Half of those from outside have their backend on the other node. */
static void took_their_ways(void)
{
	cr_assert_geq(entries("tcp_peers"), BY_SOCKET);
	cr_assert_geq(entries("svc_out"), BY_PACKET + FROM_OUTSIDE);
	cr_assert_geq(entries("svc_in"), BY_PACKET + FROM_OUTSIDE);
	cr_assert_geq(entries("nat_in"), TO_THE_WORLD + FROM_OUTSIDE / 4);
	cr_assert_geq(entries("flows"), BY_SOCKET + BY_PACKET + TO_THE_WORLD);
}

static pid_t start_clients(void)
{
	pid_t pid = fork();

	cr_assert(pid >= 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		ask_all();
	}
	for (int i = 0; i < FLOWS; i++)
		close(flows[i]);
	return pid;
}

/* --- what happens to the agents ----------------------------------------------------------------------------------- */

static bool has_come_to(void *arg)
{
	return progress->failed || progress->rounds >= *(uint32_t *)arg;
}

/* Every connection is asked and answers after this was called. */
static void all_go_on(const char *when)
{
	uint32_t target = progress->rounds + 2;

	/* A segment that was lost is sent again after as long as it has been silent until then. */
	cr_assert(wait_for(has_come_to, &target) || wait_for(has_come_to, &target),
		  "%s: %u flows do not answer, one of those %s", when, progress->waiting, kind_of(progress->flow));
	cr_assert(!progress->failed, "%s: flow %u, %s: %s", when, progress->flow, kind_of(progress->flow),
		  strerror(progress->failed));
}

/* As if another build had made the maps; or those of flows only. */
static void set_layouts(struct wnode *n, uint32_t version, bool flows_only)
{
	struct layout_value v = { .version = version };
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/maps/layouts", n->pin_dir);
	fd = bpf_obj_get(path);
	cr_assert(fd >= 0, "%s", path);
	for (int i = 0; i < N_MAPS; i++) {
		struct layout_key k;

		if (i == MAP_LAYOUTS || (flows_only && !dp_map_defs[i].flows))
			continue;
		memset(&k, 0, sizeof(k));
		snprintf(k.map, sizeof(k.map), "%s", dp_map_defs[i].name);
		cr_assert_eq(bpf_map_update_elem(fd, &k, &v, BPF_ANY), 0);
	}
	close(fd);
}

enum { OLDER = 0, NEWER = 1000, OWN };

static void restart(uint32_t layout, const char *when)
{
	node_kill(&n1);
	node_kill(&n2);
	if (layout == OWN) {
		all_go_on("without agents");
	} else {
		set_layouts(&n1, layout, false);
		set_layouts(&n2, layout, false);
	}
	node_start(&n1);
	node_start(&n2);
	all_go_on(when);
}

/* At whatever moment of an upgrade; each time from another layout than the last one left. */
static void kill_beginners(void)
{
	node_kill(&n1);
	for (int ms = 0; ms < 1000; ms += 250) {
		int ready_fd;

		set_layouts(&n1, NEWER, true);
		ready_fd = node_begin(&n1);
		for (int i = 0; i < ms; i++)
			serve(1);
		node_kill(&n1);
		close(ready_fd);
	}
	node_start(&n1);
	all_go_on("after agents that were killed before they were ready");
}

static void put_services(size_t revisions[2])
{
	const char *const ips[][2] = { { near.ip4, far.ip4 }, { near.ip6, far.ip6 } };

	fake_put(
		api, "services",
		"{'metadata':{'namespace':'default','name':'s','uid':'uid-s'},'spec':{'type':'NodePort','clusterIP':'" VIP4
		"','clusterIPs':['" VIP4 "','" VIP6 "'],'ports':[{'port':80,'protocol':'TCP','nodePort':%d}]}}",
		NODE_PORT);
	revisions[0] = fake_revision(api);
	for (int i = 0; i < 2; i++)
		fake_put(
			api, "endpointslices",
			"{'metadata':{'namespace':'default','name':'s-%d','uid':'uid-s-%d','labels':{'kubernetes.io/service-name':'s'}},"
			"'addressType':'%s','ports':[{'port':8080,'protocol':'TCP'}],'endpoints':[{'addresses':['%s']},{'addresses':['%s']}]}",
			i, i, i ? "IPv6" : "IPv4", ips[i][0], ips[i][1]);
	revisions[1] = fake_revision(api);
}

/* Each process has half of the sockets. */
static void raise_limit(void)
{
	const rlim_t want = FLOWS + 2000;
	struct rlimit l;

	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &l), 0);
	l.rlim_max = l.rlim_max < want ? want : l.rlim_max;
	l.rlim_cur = l.rlim_cur < want ? want : l.rlim_cur;
	cr_assert(setrlimit(RLIMIT_NOFILE, &l) == 0, "more files: %s", strerror(errno));
}

Test(survive, ten_thousand_flows_do_not_notice_agents_come_and_go)
{
	pid_t servers, clients;
	size_t revisions[2];

	raise_limit();
	progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert(progress != MAP_FAILED);
	client = (struct wpod){ .node = &n1, .ns = "default", .name = "a" };
	near = (struct wpod){ .node = &n1, .ns = "default", .name = "b" };
	far = (struct wpod){ .node = &n2, .ns = "default", .name = "c" };
	pod_start(&client);
	pod_start(&near);
	pod_start(&far);
	put_services(revisions);
	cr_assert(wait_for(have_applied, revisions));

	servers = start_servers();
	connect_all();
	took_their_ways();
	clients = start_clients();
	all_go_on("at first");
	restart(OWN, "with agents that were killed");
	restart(OLDER, "after an upgrade");
	restart(NEWER, "after a downgrade");
	kill_beginners();
	kill(clients, SIGKILL);
	kill(servers, SIGKILL);
	waitpid(clients, NULL, 0);
	waitpid(servers, NULL, 0);
}
