/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Socket load balancing, exercised by real sockets of this process in a scratch cgroup, with backends on loopback of
 * a network namespace of its own; and the maps behind it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi/svc.h"
#include "harness.h"

#define VIP4 "10.96.0.10"
#define VIP6 "fd00:96::10"

static void in_cgroup(void)
{
	node_up();
	/* Loopback answers on these, so that backends differ by address too. */
	cr_assert_eq(system("ip addr add 127.0.0.2/8 dev lo && ip addr add fd00:99::1/128 dev lo nodad"), 0);
	/* The kernel makes the route to it later; a socket connected before that never finds it. */
	cr_assert_eq(system("timeout 60 sh -c 'until ip -6 route show table local | grep -q fd00:99::1; do :; done'"),
		     0);
	cgroup_enter();
}

static void out_of_cgroup(void)
{
	cgroup_leave();
	node_down();
}

TestSuite(service, .init = in_cgroup, .fini = out_of_cgroup);

static void set_service(const char *vip, uint16_t port, uint8_t proto, const struct dp_backend *b, size_t n)
{
	struct dp_service svc = { .vip = addr(vip), .port = port, .proto = proto, .backends = b, .n_backends = n };

	ok(dp_service_set(fx.dp, &svc, &test_err));
}

static socklen_t sa(const char *ip, uint16_t port, struct sockaddr_storage *ss)
{
	memset(ss, 0, sizeof(*ss));
	if (strchr(ip, ':')) {
		struct sockaddr_in6 *s6 = (struct sockaddr_in6 *)ss;

		s6->sin6_family = AF_INET6;
		s6->sin6_port = htons(port);
		cr_assert_eq(inet_pton(AF_INET6, ip, &s6->sin6_addr), 1);
		return sizeof(*s6);
	}
	((struct sockaddr_in *)ss)->sin_family = AF_INET;
	((struct sockaddr_in *)ss)->sin_port = htons(port);
	cr_assert_eq(inet_pton(AF_INET, ip, &((struct sockaddr_in *)ss)->sin_addr), 1);
	return sizeof(struct sockaddr_in);
}

static bool is_at(const struct sockaddr_storage *ss, const char *ip, uint16_t port)
{
	struct sockaddr_storage want;

	return !memcmp(ss, &want, sa(ip, port, &want));
}

/* A bound socket on a port of the kernel's choice, returned in *port. */
static int server(const char *ip, int type, uint16_t *port)
{
	struct sockaddr_storage ss;
	socklen_t len = sa(ip, 0, &ss);
	int fd = socket(ss.ss_family, type | SOCK_CLOEXEC, 0);

	cr_assert(fd >= 0 && bind(fd, (struct sockaddr *)&ss, len) == 0, "bind %s: %s", ip, strerror(errno));
	if (type == SOCK_STREAM)
		cr_assert_eq(listen(fd, 4096), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
	*port = ntohs(((struct sockaddr_in *)&ss)->sin_port);
	return fd;
}

static int dial(const char *ip, uint16_t port, int type)
{
	struct sockaddr_storage ss;
	socklen_t len = sa(ip, port, &ss);
	int fd = socket(ss.ss_family, type | SOCK_CLOEXEC, 0);

	cr_assert(fd >= 0);
	if (connect(fd, (struct sockaddr *)&ss, len) < 0) {
		int e = errno;

		close(fd);
		return -e;
	}
	return fd;
}

static struct dp_backend backend(const char *ip, uint16_t port)
{
	return (struct dp_backend){ addr(ip), port };
}

static void tcp_through(const char *vip, const char *dialled, const char *ip)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	struct dp_backend b;
	uint16_t port;
	int s = server(ip, SOCK_STREAM, &port), c, a;

	b = backend(ip, port);
	set_service(vip, 80, IPPROTO_TCP, &b, 1);
	c = dial(dialled, 80, SOCK_STREAM);
	cr_assert(c >= 0, "%s", strerror(-c));
	a = accept(s, NULL, NULL);
	cr_assert(a >= 0 && write(c, "x", 1) == 1);
	/* The program sees what it asked for. */
	cr_assert_eq(getpeername(c, (struct sockaddr *)&peer, &len), 0);
	cr_assert(is_at(&peer, dialled, 80));
	close(a);
	close(c);
	close(s);
}

Test(service, tcp4)
{
	tcp_through(VIP4, VIP4, "127.0.0.1");
}
Test(service, tcp6)
{
	tcp_through(VIP6, VIP6, "fd00:99::1");
}
Test(service, tcp_by_v4_mapped_address)
{
	tcp_through(VIP4, "::ffff:" VIP4, "127.0.0.1");
}

/* By any address of any node; what is no node's is not the service's. */
Test(service, node_ports)
{
	static const char *const families[][4] = { { "0.0.0.0", NODE4, OTHER_NODE4, "127.0.0.1" },
						   { "::", NODE6, OTHER_NODE6, "fd00:99::1" } };

	for (size_t f = 0; f < 2; f++) {
		struct dp_ipcache_entry other = { .ip = addr(families[f][2]), .identity = IDENTITY_REMOTE_NODE };
		const char *server_ip = families[f][3];
		struct sockaddr_storage peer, to;
		struct dp_backend b[2];
		socklen_t len;
		uint16_t port;
		int s, u, a, c;
		char q;

		ok(dp_ipcache_set(fx.dp, &other, &test_err));
		s = server(server_ip, SOCK_STREAM, &port);
		b[0] = backend(server_ip, port);
		set_service(families[f][0], 30080, IPPROTO_TCP, &b[0], 1);
		u = server(server_ip, SOCK_DGRAM, &port);
		b[1] = backend(server_ip, port);
		set_service(families[f][0], 30080, IPPROTO_UDP, &b[1], 1);
		for (size_t n = 1; n <= 2; n++) {
			c = dial(families[f][n], 30080, SOCK_STREAM);
			cr_assert(c >= 0, "%s: %s", families[f][n], strerror(-c));
			a = accept(s, NULL, NULL);
			cr_assert(a >= 0);
			len = sizeof(peer);
			cr_assert_eq(getpeername(c, (struct sockaddr *)&peer, &len), 0);
			cr_assert(is_at(&peer, families[f][n], 30080));
			close(a);
			close(c);

			c = socket(f ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
			len = sa(families[f][n], 30080, &to);
			cr_assert_eq(sendto(c, "q", 1, 0, (struct sockaddr *)&to, len), 1);
			len = sizeof(peer);
			cr_assert_eq(recvfrom(u, &q, 1, 0, (struct sockaddr *)&peer, &len), 1);
			cr_assert_eq(sendto(u, "a", 1, 0, (struct sockaddr *)&peer, len), 1);
			len = sizeof(peer);
			cr_assert_eq(recvfrom(c, &q, 1, 0, (struct sockaddr *)&peer, &len), 1);
			cr_assert(is_at(&peer, families[f][n], 30080));
			close(c);
		}
		cr_assert_eq(dial(server_ip, 30080, SOCK_STREAM), -ECONNREFUSED, "no node's address");
		close(s);
		close(u);
	}
	cr_assert_eq(drops(DROP_NO_BACKEND), 0);
}

Test(service, connections_spread_over_all_backends)
{
	struct dp_backend b[3];
	int s[3], hits[3] = { 0 };
	uint16_t port;

	for (int i = 0; i < 3; i++) {
		s[i] = server(i == 2 ? "127.0.0.2" : "127.0.0.1", SOCK_STREAM, &port);
		b[i] = backend(i == 2 ? "127.0.0.2" : "127.0.0.1", port);
	}
	set_service(VIP4, 80, IPPROTO_TCP, b, 3);
	for (int i = 0; i < 300; i++) {
		struct pollfd p[3] = { { s[0], POLLIN, 0 }, { s[1], POLLIN, 0 }, { s[2], POLLIN, 0 } };
		int c = dial(VIP4, 80, SOCK_STREAM);

		cr_assert(c >= 0);
		cr_assert_eq(poll(p, 3, 60000), 1);
		for (int k = 0; k < 3; k++) {
			if (p[k].revents) {
				hits[k]++;
				close(accept(s[k], NULL, NULL));
			}
		}
		close(c);
	}
	/* Expected 100 each, standard deviation 8. */
	for (int k = 0; k < 3; k++)
		cr_assert(hits[k] > 50 && hits[k] < 150, "%d %d %d", hits[0], hits[1], hits[2]);
}

Test(service, without_backends_connections_are_refused_at_once)
{
	struct sockaddr_storage ss;
	socklen_t len;
	int fd;

	set_service(VIP4, 80, IPPROTO_TCP, NULL, 0);
	set_service(VIP6, 80, IPPROTO_TCP, NULL, 0);
	set_service(VIP4, 53, IPPROTO_UDP, NULL, 0);
	cr_assert_eq(dial(VIP4, 80, SOCK_STREAM), -ECONNREFUSED);
	cr_assert_eq(dial(VIP6, 80, SOCK_STREAM), -ECONNREFUSED);
	cr_assert_eq(dial(VIP4, 53, SOCK_DGRAM), -ECONNREFUSED);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	len = sa(VIP4, 53, &ss);
	cr_assert(sendto(fd, "q", 1, 0, (struct sockaddr *)&ss, len) == -1 && errno == ECONNREFUSED, "%s",
		  strerror(errno));
	close(fd);
	/* And each is counted. */
	cr_assert_eq(drops_of(0, DROP_NO_BACKEND, POLICY_EGRESS), 4);
}

Test(service, what_is_no_service_is_left_alone)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	struct dp_backend b;
	uint16_t port, other;
	int s = server("127.0.0.1", SOCK_STREAM, &port), o = server("127.0.0.1", SOCK_STREAM, &other), c;

	b = backend("127.0.0.1", other);
	set_service("127.0.0.1", port == 80 ? 81 : 80, IPPROTO_TCP, &b, 1);
	c = dial("127.0.0.1", port, SOCK_STREAM);
	cr_assert(c >= 0);
	cr_assert_eq(getpeername(c, (struct sockaddr *)&peer, &len), 0);
	cr_assert(is_at(&peer, "127.0.0.1", port));
	close(c);
	close(s);
	close(o);
}

/*
 * Which of eight servers a datagram to `to` (NULL: the connected peer) reaches. Loopback drops datagrams when the
 * CPU's backlog, which all of the machine's namespaces share, is full: what has not come after a second is sent again.
 */
static int ask(int c, struct pollfd p[8], const struct sockaddr_storage *to, socklen_t len)
{
	for (int i = 0; i < 60; i++) {
		cr_assert_eq(sendto(c, "q", 1, 0, (const struct sockaddr *)to, len), 1, "%s", strerror(errno));
		if (poll(p, 8, 1000) == 1)
			break;
	}
	for (int k = 0; k < 8; k++)
		if (p[k].revents)
			return k;
	cr_assert(false, "no datagram came");
	return -1;
}

/* The server's answer to what it got last; returns where the client (c) sees it come from. */
static struct sockaddr_storage answer(int server, int c)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	struct pollfd p = { c, POLLIN, 0 };
	char buf[8];

	cr_assert_eq(recvfrom(server, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len), 1);
	for (int i = 0; i < 60; i++) {
		cr_assert_eq(sendto(server, "a", 1, 0, (struct sockaddr *)&from, len), 1);
		if (poll(&p, 1, 1000) == 1)
			break;
	}
	len = sizeof(from);
	cr_assert_eq(recvfrom(c, buf, sizeof(buf), MSG_DONTWAIT, (struct sockaddr *)&from, &len), 1);
	return from;
}

/* --- session affinity --- */

static struct dp_backend many[8];
static struct pollfd listening[8];

static void eight_backends(const char *ip, int type)
{
	uint16_t port;

	for (int i = 0; i < 8; i++) {
		listening[i] = (struct pollfd){ server(ip, type, &port), POLLIN, 0 };
		many[i] = backend(ip, port);
	}
}

static void set_affine(const char *vip, uint8_t proto, const struct dp_backend *b, size_t n, uint32_t seconds)
{
	struct dp_service svc = {
		.vip = addr(vip), .port = 80, .proto = proto, .backends = b, .n_backends = n, .affinity_s = seconds
	};

	ok(dp_service_set(fx.dp, &svc, &test_err));
}

/* Which backend a new connection (or datagram of a new socket) reaches. */
static int reached(const char *vip, int type)
{
	int c = dial(vip, 80, type), hit = -1;
	char buf[8];

	cr_assert(c >= 0, "%s", strerror(-c));
	if (type == SOCK_DGRAM) {
		hit = ask(c, listening, NULL, 0);
		cr_assert_eq(recv(listening[hit].fd, buf, sizeof(buf), 0), 1);
	} else {
		cr_assert_eq(poll(listening, 8, 60000), 1);
		for (int k = 0; k < 8; k++)
			if (listening[k].revents)
				hit = k;
		close(accept(listening[hit].fd, NULL, NULL));
	}
	close(c);
	return hit;
}

static bool always_the_same(const char *vip, int type, int want)
{
	for (int i = 0; i < 40; i++)
		if (reached(vip, type) != want)
			return false;
	return true;
}

static void affinity_holds(const char *vip, const char *ip, int type)
{
	uint8_t proto = type == SOCK_DGRAM ? IPPROTO_UDP : IPPROTO_TCP;
	int first;

	eight_backends(ip, type);
	set_affine(vip, proto, many, 8, 10800);
	first = reached(vip, type);
	cr_assert(always_the_same(vip, type, first));
	/* Others come and go. */
	set_affine(vip, proto, many + (first ? 1 : 0), 7, 10800);
	cr_assert(always_the_same(vip, type, first));
	/* Its own goes: another is chosen, and kept when it is back. */
	many[first] = many[(first + 1) % 8];
	set_affine(vip, proto, many, 8, 10800);
	cr_assert_neq(reached(vip, type), first);
	/* Switched off and on again while running. */
	set_affine(vip, proto, many, 8, 0);
	cr_assert(!always_the_same(vip, type, reached(vip, type)), "8 backends, 40 tries");
	set_affine(vip, proto, many, 8, 10800);
	cr_assert(always_the_same(vip, type, reached(vip, type)));
	for (int i = 0; i < 8; i++)
		close(listening[i].fd);
}

Test(service, affinity_tcp4)
{
	affinity_holds(VIP4, "127.0.0.1", SOCK_STREAM);
}
Test(service, affinity_udp6)
{
	affinity_holds(VIP6, "fd00:99::1", SOCK_DGRAM);
}

Test(service, affinity_of_unconnected_datagrams)
{
	struct sockaddr_storage to;
	socklen_t to_len = sa(VIP4, 80, &to);
	int first = -1;
	char buf[8];

	eight_backends("127.0.0.1", SOCK_DGRAM);
	set_affine(VIP4, IPPROTO_UDP, many, 8, 10800);
	for (int i = 0; i < 20; i++) {
		int c = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), hit = ask(c, listening, &to, to_len);

		cr_assert_eq(recv(listening[hit].fd, buf, sizeof(buf), 0), 1);
		cr_assert(first < 0 || hit == first, "each socket its own backend");
		first = hit;
		close(c);
	}
	for (int i = 0; i < 8; i++)
		close(listening[i].fd);
}

Test(service, affinity_ends_with_its_time)
{
	int fd = fx.dp->map_fd[MAP_AFFINITIES];
	struct affinity_key key;
	struct affinity_value v;
	bool other = false;
	int first;

	eight_backends("127.0.0.1", SOCK_STREAM);
	set_affine(VIP4, IPPROTO_TCP, many, 8, 60);
	first = reached(VIP4, SOCK_STREAM);
	cr_assert_eq(bpf_map_get_next_key(fd, NULL, &key), 0);
	for (int i = 0; i < 40; i++) {
		uint32_t now;

		cr_assert_eq(bpf_map_lookup_elem(fd, &key, &v), 0);
		now = v.last_used;
		/* 50 units are 54 s, 60 are 64 s. */
		v.last_used = now - 50;
		cr_assert_eq(bpf_map_update_elem(fd, &key, &v, BPF_EXIST), 0);
		cr_assert_eq(reached(VIP4, SOCK_STREAM), first);
		cr_assert_eq(bpf_map_lookup_elem(fd, &key, &v), 0);
		cr_assert_geq(v.last_used, now, "used is young again");
		v.last_used -= 60;
		cr_assert_eq(bpf_map_update_elem(fd, &key, &v, BPF_EXIST), 0);
		other = reached(VIP4, SOCK_STREAM) != first || other;
		cr_assert_eq(bpf_map_lookup_elem(fd, &key, &v), 0);
		for (int k = 0; k < 8; k++)
			if (ntohs(v.choice.backend_port) == many[k].port)
				first = k;
	}
	cr_assert(other);
	for (int i = 0; i < 8; i++)
		close(listening[i].fd);
}

static void udp_unconnected(const char *vip, const char *ip)
{
	struct sockaddr_storage to, from;
	socklen_t to_len = sa(vip, 53, &to);
	struct dp_backend b[8];
	struct pollfd p[8];
	uint16_t port;
	char buf[8];
	int c, first = -1;

	for (int i = 0; i < 8; i++) {
		p[i] = (struct pollfd){ server(ip, SOCK_DGRAM, &port), POLLIN, 0 };
		b[i] = backend(ip, port);
	}
	set_service(vip, 53, IPPROTO_UDP, b, 8);
	c = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	for (int i = 0; i < 20; i++) {
		int hit = ask(c, p, &to, to_len);

		/* A socket stays with its backend. */
		cr_assert(first < 0 || first == hit);
		first = hit;
		from = answer(p[hit].fd, c);
		cr_assert(is_at(&from, vip, 53), "the answer comes from the service");
	}
	/* Others come and go, and its place in the list changes: it stays. */
	for (int i = 0; i < 2; i++) {
		struct dp_backend some[3] = { b[(first + 1) % 8], b[(first + 2) % 8], b[first] };

		set_service(vip, 53, IPPROTO_UDP, some + i, (size_t)(3 - i));
		cr_assert_eq(ask(c, p, &to, to_len), first);
		cr_assert_eq(recv(p[first].fd, buf, sizeof(buf), 0), 1);
	}
	/* Its backend goes: the next datagram finds another. */
	b[first] = b[(first + 1) % 8];
	set_service(vip, 53, IPPROTO_UDP, b, 8);
	cr_assert_neq(ask(c, p, &to, to_len), first);
	close(c);
	for (int i = 0; i < 8; i++)
		close(p[i].fd);
}

Test(service, udp4_without_connect)
{
	udp_unconnected(VIP4, "127.0.0.1");
}
Test(service, udp6_without_connect)
{
	udp_unconnected(VIP6, "fd00:99::1");
}

Test(service, udp_connected)
{
	struct sockaddr_storage from;
	int c;

	eight_backends("127.0.0.1", SOCK_DGRAM);
	set_service(VIP4, 53, IPPROTO_UDP, many, 8);
	c = dial(VIP4, 53, SOCK_DGRAM);
	cr_assert(c >= 0, "%s", strerror(-c));
	from = answer(listening[ask(c, listening, NULL, 0)].fd, c);
	cr_assert(is_at(&from, VIP4, 53));
	close(c);
	for (int i = 0; i < 8; i++)
		close(listening[i].fd);
}

Test(service, sets_are_replaced_whole_and_leave_nothing_behind)
{
	cleanup(free) struct dp_service *list = NULL;
	struct dp_backend b[5];
	struct dp_service svc;
	size_t n;

	for (int i = 0; i < 5; i++)
		b[i] = backend("10.0.1.1", (uint16_t)(8000 + i));
	set_service(VIP4, 80, IPPROTO_TCP, b, 5);
	set_service(VIP4, 443, IPPROTO_TCP, b, 2);
	set_service(VIP4, 80, IPPROTO_UDP, b, 1);
	cr_assert_eq(map_entries("services"), 3);
	cr_assert_eq(map_entries("backends"), 8);
	for (int round = 0; round < 50; round++)
		set_service(VIP4, 80, IPPROTO_TCP, b + round % 3, 2);
	cr_assert_eq(map_entries("backends"), 5);
	ok(dp_service_list(fx.dp, &list, &n, &test_err));
	cr_assert_eq(n, 3);
	for (size_t i = 0; i < n; i++) {
		if (list[i].port != 80 || list[i].proto != IPPROTO_TCP)
			continue;
		cr_assert_eq(list[i].n_backends, 2);
		cr_assert_eq(list[i].backends[0].port, 8000 + 49 % 3);
	}
	svc = (struct dp_service){ .vip = addr(VIP4), .port = 80, .proto = IPPROTO_TCP };
	ok(dp_service_del(fx.dp, &svc, &test_err));
	ok(dp_service_del(fx.dp, &svc, &test_err)); /* gone is gone */
	cr_assert_eq(map_entries("services"), 2);
	cr_assert_eq(map_entries("backends"), 3);
}

Test(service, the_same_set_again_changes_nothing)
{
	struct svc_key k = { .vip = addr(VIP4), .port = htons(80), .proto = IPPROTO_TCP };
	struct dp_backend b = backend("10.0.1.1", 8000);
	struct svc_value v, w;

	set_service(VIP4, 80, IPPROTO_TCP, &b, 1);
	cr_assert_eq(bpf_map_lookup_elem(fx.dp->map_fd[MAP_SERVICES], &k, &v), 0);
	set_service(VIP4, 80, IPPROTO_TCP, &b, 1);
	cr_assert_eq(bpf_map_lookup_elem(fx.dp->map_fd[MAP_SERVICES], &k, &w), 0);
	cr_assert(!memcmp(&v, &w, sizeof(v)));
}

Test(service, bad_services_are_refused)
{
	struct dp_backend v6 = backend("fd00::1", 80), zero = backend("10.0.0.1", 0);
	struct dp_service svc = {
		.vip = addr(VIP4), .port = 80, .proto = IPPROTO_TCP, .backends = &v6, .n_backends = 1
	};

	cr_assert_eq(dp_service_set(fx.dp, &svc, &test_err), -EINVAL);
	svc.backends = &zero;
	cr_assert_eq(dp_service_set(fx.dp, &svc, &test_err), -EINVAL);
	svc.n_backends = 0;
	svc.proto = IPPROTO_SCTP;
	cr_assert_eq(dp_service_set(fx.dp, &svc, &test_err), -EINVAL);
	svc.proto = IPPROTO_TCP;
	svc.port = 0;
	cr_assert_eq(dp_service_set(fx.dp, &svc, &test_err), -EINVAL);
	cr_assert_eq(map_entries("services"), 0);
}

/* Connections all the while a service is replaced: each must succeed, whatever instant it falls on. */
Test(service, no_connection_fails_while_backends_are_replaced)
{
	struct dp_backend b[2];
	uint16_t port;
	int s = server("127.0.0.1", SOCK_STREAM, &port);
	pid_t child;

	b[0] = backend("127.0.0.1", port);
	b[1] = b[0];
	set_service(VIP4, 80, IPPROTO_TCP, b, 1);
	child = fork();
	if (child == 0) {
		for (int i = 0; i < 3000; i++) {
			int c = dial(VIP4, 80, SOCK_STREAM);

			if (c < 0)
				_exit(1);
			close(c);
		}
		_exit(0);
	}
	for (;;) {
		struct dp_service svc = {
			.vip = addr(VIP4), .port = 80, .proto = IPPROTO_TCP, .backends = b, .n_backends = 1
		};
		struct pollfd p = { s, POLLIN, 0 };
		int status;

		svc.n_backends = 2;
		ok(dp_service_set(fx.dp, &svc, &test_err));
		svc.n_backends = 1;
		ok(dp_service_set(fx.dp, &svc, &test_err));
		while (poll(&p, 1, 0) == 1)
			close(accept(s, NULL, NULL));
		if (waitpid(child, &status, WNOHANG) == child) {
			cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
			break;
		}
	}
	close(s);
}
