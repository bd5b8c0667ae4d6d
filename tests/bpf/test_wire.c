/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real packets: two nodes and the world on one bridge, two pods on the first node and one on the second, each in a
 * network namespace of its own. What TEST_RUN cannot show: redirection into a pod, the tunnel, kernel routing in
 * between, masquerade against a real TCP, and an agent's restart under a connection. The world has no route to pods,
 * so an answer from it proves the masquerade.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"

#define WAIT_MS 5000

struct wire_node {
	const char *ns, *ip4, *ip6;
	struct dp *dp;
	struct dp_config config;
	char pin_dir[96], cgroup[160];
};

struct wire_pod {
	const char *ns, *dev, *ip4, *ip6;
	struct wire_node *node;
	uint32_t ep_id, identity;
};

static struct wire_node n1 = { .ns = "n1", .ip4 = "172.30.0.1", .ip6 = "fd00:30::1" };
static struct wire_node n2 = { .ns = "n2", .ip4 = "172.30.0.2", .ip6 = "fd00:30::2" };
static struct wire_pod p1 = { "p1", "host-p1", "10.0.1.1", "fd00:10:0:1::1", &n1, 1, 300 };
static struct wire_pod p2 = { "p2", "host-p2", "10.0.1.2", "fd00:10:0:1::2", &n1, 2, 301 };
static struct wire_pod p3 = { "p3", "host-p3", "10.0.2.1", "fd00:10:0:2::1", &n2, 1, 302 };
static struct wire_pod *const pods[] = { &p1, &p2, &p3 };

static void enter(const char *ns)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", ns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert(fd >= 0 && setns(fd, CLONE_NEWNET) == 0, "%s: %s", path, strerror(errno));
	close(fd);
}

__attribute__((format(printf, 1, 2))) static void sh(const char *fmt, ...)
{
	char cmd[2048];
	va_list args;

	va_start(args, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, args);
	va_end(args);
	cr_assert_eq(system(cmd), 0, "%s", cmd);
}

static int lan_ns = -1; /* where the bridge is */

static void lan(const char *ns, const char *ip4, const char *ip6)
{
	cr_assert_eq(setns(lan_ns, CLONE_NEWNET), 0);
	sh("ip netns add %1$s && ip link add lan-%1$s type veth peer name up0 netns %1$s && ip link set lan-%1$s master br0 up &&"
	   "ip -n %1$s link set lo up && ip netns exec %1$s sh -c 'cd /proc/sys/net && echo 1 >ipv6/conf/all/forwarding &&"
	   "echo 1 >ipv4/ip_forward && echo 0 >ipv4/conf/all/rp_filter && echo 0 >ipv4/conf/default/rp_filter' && ip -n %1$s link set up0 up &&"
	   "ip -n %1$s addr add %2$s/16 dev up0 && ip -n %1$s addr add %3$s/64 dev up0 nodad",
	   ns, ip4, ip6);
}

static void node_make(struct wire_node *n)
{
	lan(n->ns, n->ip4, n->ip6);
	sh("ip -n %1$s route add default via 172.30.0.254 && ip -n %1$s route add default via fd00:30::254 &&"
	   "ip -n %1$s link add tun0 type vxlan external dstport 4789 nolearning && ip -n %1$s link set tun0 mtu 1450 arp off up &&"
	   "ip -n %1$s route add 10.0.0.0/8 dev tun0 src %2$s && ip -n %1$s route add fd00:10::/48 dev tun0 src %3$s",
	   n->ns, n->ip4, n->ip6);
	snprintf(n->pin_dir, sizeof(n->pin_dir), "%s/%s", fx.dir, n->ns);
	snprintf(n->cgroup, sizeof(n->cgroup), "%s/%s", fx.cgroup, n->ns);
	cr_assert_eq(mkdir(n->cgroup, 0755), 0);
	n->config = (struct dp_config){
		.pin_dir = n->pin_dir,
		.cgroup_dir = n->cgroup,
		.uplink = "up0",
		.tunnel = "tun0",
		.node_ip4 = addr(n->ip4),
		.node_ip6 = addr(n->ip6),
		.pod_cidr4 = addr("10.0.0.0"),
		.pod_cidr4_len = 8,
		.pod_cidr6 = addr("fd00:10::"),
		.pod_cidr6_len = 48,
		.lan4 = addr("172.30.0.0"),
		.lan4_len = 16,
		.lan6 = addr("fd00:30::"),
		.lan6_len = 64,
		.services4 = addr("10.96.0.0"),
		.services4_len = 12,
		.services6 = addr("fd00:10:96::"),
		.services6_len = 112,
		.max_flows = 4096,
	};
	enter(n->ns);
	ok(dp_open(&n->config, &n->dp, &test_err));
}

static void pod_policy(struct wire_pod *p, bool in, bool eg)
{
	struct dp_policy policy = { .isolated_ingress = in, .isolated_egress = eg };

	ok(dp_policy_set(p->node->dp, p->ep_id, &policy, &test_err));
	ok(dp_policy_bump(p->node->dp, &test_err));
}

static void pod_make(struct wire_pod *p, uint8_t number)
{
	struct dp_endpoint ep = { .ep_id = p->ep_id,
				  .identity = p->identity,
				  .ip4 = addr(p->ip4),
				  .ip6 = addr(p->ip6),
				  .pod_mac = { 2, 0, 0, 0, 1, number },
				  .host_mac = { 2, 0, 0, 0, 2, number } };

	sh("ip netns add %1$s && ip -n %2$s link add %3$s address 02:00:00:00:02:%4$02x type veth peer name eth0 "
	   "address 02:00:00:00:01:%4$02x netns %1$s && ip -n %1$s link set lo up && ip -n %1$s link set eth0 mtu 1450 up",
	   p->ns, p->node->ns, p->dev, number);
	enter(p->node->ns);
	ep.ifindex = if_nametoindex(p->dev);
	cr_assert(ep.ifindex != 0);
	ok(dp_attach_pod(p->node->dp, ep.ifindex, &test_err));
	pod_policy(p, false, false);
	ok(dp_endpoint_add(p->node->dp, &ep, &test_err));
	sh("ip -n %2$s link set %3$s up && ip -n %2$s route add %5$s dev %3$s && ip -n %2$s route add %6$s dev %3$s &&"
	   "ip -n %2$s neigh add %5$s lladdr 02:00:00:00:01:%4$02x dev %3$s && ip -n %2$s neigh add %6$s lladdr "
	   "02:00:00:00:01:%4$02x dev %3$s && ip -n %1$s addr add %5$s/32 dev eth0 && ip -n %1$s addr add %6$s/128 dev eth0 nodad &&"
	   "ip -n %1$s route add 169.254.1.1 dev eth0 && ip -n %1$s route add default via 169.254.1.1 &&"
	   "ip -n %1$s neigh add 169.254.1.1 lladdr 02:00:00:00:02:%4$02x dev eth0 && ip -n %1$s route add default via fe80::1 dev eth0"
	   " && ip -n %1$s neigh add fe80::1 lladdr 02:00:00:00:02:%4$02x dev eth0",
	   p->ns, p->node->ns, p->dev, number, p->ip4, p->ip6);
}

static void tell(struct wire_node *to, const char *ip, uint32_t identity, const char *via)
{
	struct dp_ipcache_entry e = { .ip = addr(ip), .identity = identity };

	if (via)
		e.node = addr(via);
	ok(dp_ipcache_set(to->dp, &e, &test_err));
}

static void wire_up(void)
{
	node_dirs();
	/* Names of network namespaces are files: keep them to ourselves. */
	cr_assert_eq(mount("run", "/run", "tmpfs", 0, NULL), 0);
	lan_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	sh("ip link add br0 type bridge && ip link set br0 up");
	lan("w", "172.30.0.254", "fd00:30::254");
	sh("ip -n w addr add %s/32 dev lo && ip -n w addr add %s/128 dev lo nodad", WORLD4, WORLD6);
	node_make(&n1);
	node_make(&n2);
	for (size_t i = 0; i < 3; i++)
		pod_make(pods[i], (uint8_t)(i + 1));
	for (size_t i = 0; i < 3; i++) {
		struct wire_pod *p = pods[i];

		tell(&n1, p->ip4, p->identity, p->node == &n1 ? NULL : n2.ip4);
		tell(&n1, p->ip6, p->identity, p->node == &n1 ? NULL : n2.ip4);
		tell(&n2, p->ip4, p->identity, p->node == &n2 ? NULL : n1.ip4);
		tell(&n2, p->ip6, p->identity, p->node == &n2 ? NULL : n1.ip4);
	}
	tell(&n1, n2.ip4, IDENTITY_REMOTE_NODE, NULL);
	tell(&n2, n1.ip4, IDENTITY_REMOTE_NODE, NULL);
}

static void wire_down(void)
{
	dp_close(n1.dp);
	dp_close(n2.dp);
	if (n1.cgroup[0])
		(void)rmdir(n1.cgroup);
	if (n2.cgroup[0])
		(void)rmdir(n2.cgroup);
	(void)dp_destroy(n1.pin_dir, NULL);
	(void)dp_destroy(n2.pin_dir, NULL);
	(void)umount2("/run", MNT_DETACH);
	node_down();
}

TestSuite(wire, .init = wire_up, .fini = wire_down, .timeout = 180);

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

static bool ready(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, WAIT_MS) == 1;
}

static int listen_on(const char *ns, const char *ip, uint16_t port)
{
	struct sockaddr_storage ss;
	socklen_t len = sockaddr_of(ip, port, &ss);
	int fd, one = 1;

	enter(ns);
	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	cr_assert(bind(fd, (struct sockaddr *)&ss, len) == 0, "bind %s in %s: %s", ip, ns, strerror(errno));
	cr_assert_eq(listen(fd, 8), 0);
	return fd;
}

static int begin_connect(const char *ns, const char *ip, uint16_t port)
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

struct conn {
	int client, server;
	char peer[INET6_ADDRSTRLEN]; /* as the server sees the client */
};

static struct conn connected(const char *client_ns, const char *server_ns, const char *ip, uint16_t port)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct conn c;
	int l = listen_on(server_ns, ip, port), error = 0;
	socklen_t elen = sizeof(error);

	c.client = begin_connect(client_ns, ip, port);
	cr_assert(ready(l, POLLIN), "%s to %s: no connection", client_ns, ip);
	c.server = accept4(l, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	cr_assert(c.server >= 0);
	cr_assert(ready(c.client, POLLOUT) && getsockopt(c.client, SOL_SOCKET, SO_ERROR, &error, &elen) == 0 &&
		  error == 0);
	close(l);
	if (ss.ss_family == AF_INET6)
		inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&ss)->sin6_addr, c.peer, sizeof(c.peer));
	else
		inet_ntop(AF_INET, &((struct sockaddr_in *)&ss)->sin_addr, c.peer, sizeof(c.peer));
	return c;
}

/* Bytes both ways, more than a segment. */
static void talk(struct conn *c, size_t bytes)
{
	static char buf[1 << 16];
	int ends[2][2] = { { c->client, c->server }, { c->server, c->client } };

	for (int way = 0; way < 2; way++) {
		size_t sent = 0, got = 0;

		while (got < bytes) {
			ssize_t n = sent < bytes ? write(ends[way][0], buf,
							 bytes - sent < sizeof(buf) ? bytes - sent : sizeof(buf))
						 : 0;

			if (n > 0)
				sent += (size_t)n;
			n = read(ends[way][1], buf, sizeof(buf));
			if (n > 0)
				got += (size_t)n;
			else if (n < 0 && errno == EAGAIN)
				cr_assert(ready(ends[way][1], POLLIN), "%zu of %zu bytes arrived", got, bytes);
			else
				cr_assert(false, "read: %zd %s", n, strerror(errno));
		}
	}
}

static void hang_up(struct conn *c)
{
	close(c->client);
	close(c->server);
}

static void talks(const char *from, const char *to, const char *ip, const char *seen_as)
{
	struct conn c = connected(from, to, ip, 8080);

	if (seen_as)
		cr_assert_str_eq(c.peer, seen_as);
	talk(&c, 300000);
	hang_up(&c);
}

Test(wire, pods_talk_on_one_node)
{
	talks("p1", "p2", p2.ip4, p1.ip4);
	talks("p2", "p1", p1.ip6, p2.ip6);
}

Test(wire, pods_talk_across_nodes)
{
	talks("p1", "p3", p3.ip4, p1.ip4);
	talks("p3", "p1", p1.ip6, p3.ip6);
}

Test(wire, nodes_talk_with_pods)
{
	talks("n1", "p1", p1.ip4, n1.ip4);
	talks("n1", "p1", p1.ip6, n1.ip6);
	talks("n1", "p3", p3.ip4, n1.ip4);
	talks("n1", "p3", p3.ip6, n1.ip6);
	talks("p1", "n1", n1.ip4, p1.ip4);
	talks("p1", "n2", n2.ip4, p1.ip4);
	talks("p1", "n2", n2.ip6, p1.ip6);
}

Test(wire, pods_reach_the_world_as_their_node)
{
	talks("p1", "w", WORLD4, n1.ip4);
	talks("p3", "w", WORLD6, n2.ip6);
}

/* Waits for the drop itself: TCP retransmits until it is seen. */
static void is_dropped(struct wire_node *n, const char *from, const char *ip, uint32_t ep_id, uint8_t direction)
{
	int fd = begin_connect(from, ip, 8080), tries;

	fx.dp = n->dp;
	for (tries = 0; tries < 500 && drops_of(ep_id, DROP_POLICY_DENIED, direction) == 0; tries++)
		poll(NULL, 0, 10);
	fx.dp = NULL;
	cr_assert(tries < 500, "%s to %s was not dropped", from, ip);
	close(fd);
}

Test(wire, isolated_pods_are_reached_by_their_node_only)
{
	pod_policy(&p3, true, false);
	pod_policy(&p2, true, false);
	is_dropped(&n2, "p1", p3.ip4, p3.ep_id, POLICY_INGRESS);
	is_dropped(&n1, "p1", p2.ip6, p2.ep_id, POLICY_INGRESS);
	talks("n2", "p3", p3.ip4, n2.ip4);
	talks("p3", "p1", p1.ip4, p3.ip4);
	pod_policy(&p1, false, true);
	is_dropped(&n1, "p1", p3.ip4, p1.ep_id, POLICY_EGRESS);
}

Test(wire, connections_survive_the_agents_restart)
{
	struct conn remote = connected("p1", "p3", p3.ip4, 8080), local = connected("p1", "p2", p2.ip6, 8080);
	struct conn world = connected("p1", "w", WORLD4, 8080);

	pod_policy(&p3, true, false); /* must not be forgotten either */
	pod_policy(&p3, false, false);
	talk(&remote, 1000);
	dp_close(n1.dp);
	n1.dp = NULL;
	talk(&remote, 100000);
	talk(&local, 100000);
	talk(&world, 100000);
	enter("n1");
	ok(dp_open(&n1.config, &n1.dp, &test_err));
	talk(&remote, 100000);
	talk(&local, 100000);
	talk(&world, 100000);
	hang_up(&remote);
	hang_up(&local);
	hang_up(&world);
}
