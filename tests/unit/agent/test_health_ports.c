/* SPDX-License-Identifier: Apache-2.0 */
/* Health checks of services for load balancers, asked over HTTP on loopback. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/health_ports.h"
#include "base/clock.h"
#include "base/str.h"
#include "io/http_client.h"

static struct loop *loop;
static struct health_ports *h;
static bool in_sync = true;
static struct api_service svc;
static struct api_endpoint_slice slices[2];
static const struct api_endpoint_slice *list[] = { &slices[0], &slices[1] };
static struct api_endpoint endpoints[3];
static const char *addresses[] = { "10.0.0.1", "10.0.0.2", "fd00::1" };
static int status;
static char body[1000];

static bool healthy(const void *arg)
{
	return *(const bool *)arg;
}

/* A socket bound to a port below those that the kernel gives to connections; by process, as tests run side by side. */
static int bind_somewhere(int *ret_port)
{
	static int next;

	for (int i = 0; i < 4000; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

		*ret_port = 28000 + (getpid() * 8 + next++) % 4000;
		a.sin_port = htons((uint16_t)*ret_port);
		if (bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
			return fd;
		close(fd);
	}
	cr_assert_fail("no free ports");
	return -1;
}

static void up(void)
{
	const struct ip_addr ips[2] = { { { 0, 0, htonl(0xffff), htonl(INADDR_LOOPBACK) } }, { { 0 } } };

	loop = loop_new();
	cr_assert(loop);
	h = health_ports_new(loop, ips, healthy, &in_sync);
	cr_assert(h);
	svc.spec.external_traffic_policy = "Local";
	slices[0].endpoints = &endpoints[0];
	slices[0].n_endpoints = 2;
	slices[1].endpoints = &endpoints[2];
	slices[1].n_endpoints = 1;
	for (int i = 0; i < 3; i++) {
		endpoints[i].addresses = &addresses[i];
		endpoints[i].n_addresses = 1;
		endpoints[i].node_name = i == 1 ? "other" : "here";
	}
}

static void down(void)
{
	health_ports_free(h);
	loop_free(loop);
}

TestSuite(health_ports, .init = up, .fini = down);

static int set(const struct api_service *service)
{
	struct err err = ERR_INIT;

	return health_ports_set(h, "ns/web", "here", service, list, 2, &err);
}

static void served(void)
{
	int port;

	close(bind_somewhere(&port));
	svc.spec.health_check_node_port = port;
	cr_assert_eq(set(&svc), 0);
}

static void on_done(struct http_call *call, void *arg, const struct http_response *rsp)
{
	(void)call;
	*(bool *)arg = true;
	status = rsp->status;
	snprintf(body, sizeof(body), "%s", rsp->body);
}

/* The answer's status, 0: nobody there; its text in body. */
static int ask(void)
{
	char url[64];
	struct http_client_config config = { .base_url = url };
	struct http_call_config c = { .method = "GET", .path = "/", .on_done = on_done };
	int64_t end = clock_mono_ms() + 60000;
	struct http_client *client;
	struct err err = ERR_INIT;
	bool done = false;

	snprintf(url, sizeof(url), "http://127.0.0.1:%d", (int)svc.spec.health_check_node_port);
	cr_assert(http_client_new(loop, &config, &client, &err) == 0);
	c.arg = &done;
	cr_assert(http_call_start(client, &c));
	while (!done) {
		cr_assert(clock_mono_ms() < end);
		loop_run_once(loop, 100);
	}
	http_client_free(client);
	return status;
}

Test(health_ports, say_whether_backends_are_here)
{
	served();
	cr_assert_eq(ask(), 200);
	cr_assert(strstr(body, "\"localEndpoints\": 1") && strstr(body, "\"serviceProxyHealthy\": true"));
	cr_assert(strstr(body, "\"namespace\": \"ns\"") && strstr(body, "\"name\": \"web\""));
	endpoints[0].node_name = endpoints[2].node_name = "other";
	cr_assert_eq(set(&svc), 0);
	cr_assert_eq(ask(), 503);
	cr_assert(strstr(body, "\"localEndpoints\": 0"));
}

Test(health_ports, one_that_is_not_ready_or_terminates_does_not_count)
{
	served();
	for (int i = 0; i < 3; i += 2) {
		endpoints[i].conditions.terminating.set = endpoints[i].conditions.terminating.v = true;
		endpoints[i].conditions.serving.set = endpoints[i].conditions.serving.v = true;
		endpoints[i].conditions.ready.set = true; /* to false */
	}
	cr_assert_eq(set(&svc), 0);
	cr_assert_eq(ask(), 503);
	/* publishNotReadyAddresses: ready, but it goes */
	endpoints[0].conditions.ready.v = true;
	cr_assert_eq(set(&svc), 0);
	cr_assert_eq(ask(), 503);
	endpoints[0].conditions.terminating.v = false;
	cr_assert_eq(set(&svc), 0);
	cr_assert_eq(ask(), 200);
}

Test(health_ports, a_node_whose_maps_lag_is_not_recommended)
{
	served();
	in_sync = false;
	cr_assert_eq(ask(), 503);
	cr_assert(strstr(body, "\"localEndpoints\": 1") && strstr(body, "\"serviceProxyHealthy\": false"));
}

Test(health_ports, go_with_the_service_its_port_or_its_policy)
{
	served();
	cr_assert_eq(ask(), 200);
	svc.spec.external_traffic_policy = "Cluster";
	cr_assert_eq(set(&svc), 0);
	cr_assert_eq(ask(), 0);
	svc.spec.external_traffic_policy = "Local";
	served();
	cr_assert_eq(ask(), 200);
	cr_assert_eq(set(NULL), 0);
	cr_assert_eq(ask(), 0);
}

Test(health_ports, a_port_of_somebody_elses_is_told_once_and_tried_again)
{
	struct err err = ERR_INIT;
	int port, fd = bind_somewhere(&port);

	cr_assert_eq(listen(fd, 1), 0);
	svc.spec.health_check_node_port = port;
	cr_assert(health_ports_set(h, "ns/web", "here", &svc, list, 2, &err) == -EADDRINUSE);
	cr_assert(strstr(err.msg, "health check port of service ns/web"), "%s", err.msg);
	cr_assert_eq(set(&svc), 0);
	close(fd);
	cr_assert_eq(set(&svc), 0);
	cr_assert_eq(ask(), 200);
}
