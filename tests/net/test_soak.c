/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services that change a thousand times a second while clients check every answer. Each service has ports of its own on
 * every backend, so an answer tells whose it is; it always has a backend, so no client may ever be refused. TCP by
 * IPv4, UDP by IPv6. Some seconds in `make test`; SOAK_SECONDS says otherwise (`make soak`).
 */
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/api.h"
#include "base/clock.h"

enum { SERVICES = 10, PODS = 3, PASSING = 5, CHANGES_PER_S = 1000 };
enum { TCP4, UDP6, WAYS };

TestSuite(soak, .init = wire_up, .fini = wire_down, .timeout = 1500);

static struct wpod client, pods[PODS];
static struct pollfd ears[WAYS][SERVICES * PODS + 1]; /* the last one: the client's socket */
static unsigned sets[WAYS][SERVICES];		      /* which pods serve, by bits */

static void start(void)
{
	static const char *const names[] = { "b", "c", "d" };

	client = (struct wpod){ .node = &n1, .ns = "default", .name = "a", .labels = "'app':'a'" };
	pod_start(&client);
	for (int p = 0; p < PODS; p++) {
		pods[p] = (struct wpod){
			.node = p < 2 ? &n1 : &n2, .ns = "default", .name = names[p], .labels = "'app':'s'"
		};
		pod_start(&pods[p]);
	}
	for (int i = 0; i < SERVICES * PODS; i++) {
		const struct wpod *p = &pods[i % PODS];
		uint16_t service = (uint16_t)(i / PODS);

		ears[TCP4][i].fd = listen_on(p->netns, p->ip4, (uint16_t)(8000 + service), SOCK_STREAM);
		ears[UDP6][i].fd = listen_on(p->netns, p->ip6, (uint16_t)(9000 + service), SOCK_DGRAM);
		ears[TCP4][i].events = ears[UDP6][i].events = POLLIN;
	}
}

static void put_service(int i)
{
	fake_put(
		api, "services",
		"{'metadata':{'namespace':'default','name':'s%d','uid':'uid-%d'},'spec':{'type':'ClusterIP','clusterIP':'10.96.2.%d',"
		"'clusterIPs':['10.96.2.%d','fd00:10:96::2:%d'],'ports':[{'name':'t','port':80,'protocol':'TCP'},"
		"{'name':'u','port':53,'protocol':'UDP'}]}}",
		i, i, i + 1, i + 1, i + 1);
}

static size_t put_slice(int i, int way, unsigned set)
{
	char endpoints[512] = "";
	size_t len = 0;

	for (int p = 0; p < PODS; p++)
		if (set & 1u << p)
			len += (size_t)snprintf(endpoints + len, sizeof(endpoints) - len,
						"%s{'addresses':['%s'],'conditions':{'ready':true}}", len ? "," : "",
						way == TCP4 ? pods[p].ip4 : pods[p].ip6);
	fake_put(
		api, "endpointslices",
		"{'metadata':{'namespace':'default','name':'s%d-%d','uid':'uid-%d-%d','labels':{'kubernetes.io/service-name':'s%d'}},"
		"'addressType':'%s','ports':[{'name':'t','port':%d,'protocol':'TCP'},{'name':'u','port':%d,'protocol':'UDP'}],"
		"'endpoints':[%s]}",
		i, way, i, way, i, way == TCP4 ? "IPv4" : "IPv6", 8000 + i, 9000 + i, endpoints);
	if (i < SERVICES)
		sets[way][i] = set;
	return fake_revision(api);
}

/* One change: another set of backends, or a service that comes and goes beside the others. */
static size_t change(unsigned k)
{
	static bool there[PASSING];
	int i = (int)(k / 16 % PASSING);

	if (k % 16)
		return put_slice((int)(k % SERVICES), random() & 1, 1 + (unsigned)random() % 7);
	there[i] = !there[i];
	if (there[i])
		put_service(SERVICES + i);
	else
		fake_delete(api, "services", "default", (char[]){ 's', '1', (char)('0' + i), 0 });
	return fake_revision(api);
}

/* The ear that hears something; -1: the client's socket tells of an error. */
static int heard(int way, int socket, int service)
{
	struct pollfd *v = ears[way];

	v[SERVICES * PODS] = (struct pollfd){ .fd = socket };
	for (int64_t until = clock_mono_ms() + WAIT_MS;;) {
		cr_assert(poll(v, SERVICES * PODS + 1, 10) >= 0);
		for (int i = 0; i < SERVICES * PODS; i++)
			if (v[i].revents & POLLIN)
				return i;
		if (v[SERVICES * PODS].revents & (POLLERR | POLLHUP))
			return -1;
		cr_assert(clock_mono_ms() < until, "%s service %d: nobody answers (backends %x)",
			  way == TCP4 ? "TCP" : "UDP", service, sets[way][service]);
		serve(0);
	}
}

/* Who answers? Asserts that it is one of the service's. */
static int whose(int way, int socket, int service)
{
	int ear = heard(way, socket, service), error = 0;
	socklen_t len = sizeof(error);

	if (ear < 0)
		(void)getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &len);
	cr_assert(ear >= 0, "%s service %d refuses: %s (backends %x)", way == TCP4 ? "TCP" : "UDP", service,
		  strerror(error), sets[way][service]);
	cr_assert_eq(ear / PODS, service, "%s service %d is answered by service %d on pod %s",
		     way == TCP4 ? "TCP" : "UDP", service, ear / PODS, pods[ear % PODS].name);
	return ear;
}

static int ask_tcp(int service, struct conn *keep)
{
	char vip[32];
	struct conn t;
	int ear;

	snprintf(vip, sizeof(vip), "10.96.2.%d", service + 1);
	t.client = begin_connect(client.netns, vip, 80);
	ear = whose(TCP4, t.client, service);
	t.server = accept4(ears[TCP4][ear].fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	cr_assert(t.server >= 0);
	talk(&t, 10);
	if (keep)
		*keep = t;
	else
		hang_up(&t);
	return ear % PODS;
}

static int ask_udp(int service)
{
	struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_port = htons(53) }, from;
	struct pollfd answer = { .events = POLLIN };
	socklen_t len = sizeof(from);
	char vip[64], buf[16];
	int ear;

	snprintf(vip, sizeof(vip), "fd00:10:96::2:%d", service + 1);
	inet_pton(AF_INET6, vip, &to.sin6_addr);
	enter(client.netns);
	answer.fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	cr_assert(answer.fd >= 0);
	cr_assert_eq(sendto(answer.fd, "ping", 4, 0, (struct sockaddr *)&to, sizeof(to)), 4, "%s: %s", vip,
		     strerror(errno));
	ear = whose(UDP6, answer.fd, service);
	cr_assert_eq(recvfrom(ears[UDP6][ear].fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len), 4);
	cr_assert_eq(sendto(ears[UDP6][ear].fd, "pong", 4, 0, (struct sockaddr *)&from, len), 4);
	len = sizeof(from);
	cr_assert(poll(&answer, 1, WAIT_MS) == 1, "%s: the answer is lost", vip);
	cr_assert_eq(recvfrom(answer.fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len), 4);
	cr_assert(!memcmp(&from.sin6_addr, &to.sin6_addr, 16) && from.sin6_port == to.sin6_port,
		  "the service's own address answers");
	close(answer.fd);
	return ear % PODS;
}

Test(soak, every_answer_is_the_services_own)
{
	const char *text = getenv("SOAK_SECONDS");
	int64_t seconds = text ? atoll(text) : 5, begin, now, slowest = 0;
	size_t last[2] = { 0, 0 };
	struct conn kept[SERVICES];
	unsigned changes = 0, asked = 0;
	char path[256];

	start();
	for (int i = 0; i < SERVICES; i++) {
		put_service(i);
		for (int way = 0; way < WAYS; way++)
			last[1] = put_slice(i, way, 7);
	}
	cr_assert(wait_for(have_applied, last));
	snprintf(path, sizeof(path), "echo %d > %s/cgroup.procs", getpid(), n1.cgroup);
	sh("%s", path);
	for (int i = 0; i < SERVICES; i++)
		(void)ask_tcp(i, &kept[i]);

	begin = clock_mono_ms();
	for (now = begin; now < begin + seconds * 1000; now = clock_mono_ms()) {
		if (changes < (unsigned)(now - begin) * CHANGES_PER_S / 1000) {
			last[changes % 16 != 0] = change(changes);
			changes++;
		}
		serve(0);
		if (asked % 2)
			(void)ask_udp((int)(asked / 2 % SERVICES));
		else
			(void)ask_tcp((int)(asked / 2 % SERVICES), NULL);
		asked++;
		slowest = clock_mono_ms() - now > slowest ? clock_mono_ms() - now : slowest;
	}
	fprintf(stderr, "soak: %u changes and %u answers in %lld s, the slowest after %lld ms\n", changes, asked,
		(long long)seconds, (long long)slowest);

	/* Established connections went through all of it; and in the end each service is what was said last. */
	for (int i = 0; i < SERVICES; i++) {
		talk(&kept[i], 1000);
		hang_up(&kept[i]);
	}
	cr_assert(wait_for(have_applied, last));
	for (int i = 0; i < SERVICES * 20; i++) {
		int service = i % SERVICES, tcp = ask_tcp(service, NULL), udp = ask_udp(service);

		cr_assert(sets[TCP4][service] & 1u << tcp, "pod %s is no backend of service %d any more",
			  pods[tcp].name, service);
		cr_assert(sets[UDP6][service] & 1u << udp, "pod %s is no backend of service %d any more",
			  pods[udp].name, service);
	}
	snprintf(path, sizeof(path), "echo %d > %s/../../cgroup.procs", getpid(), n1.cgroup);
	sh("%s", path);
	for (int i = 0; i < WAYS * SERVICES * PODS; i++)
		close(ears[i / (SERVICES * PODS)][i % (SERVICES * PODS)].fd);
}
