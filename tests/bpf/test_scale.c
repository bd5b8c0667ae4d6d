/* SPDX-License-Identifier: Apache-2.0 */
/* As many services and backends as a node has to hold, with the capacities that it has unasked; and no room for one
 * more. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "abi/svc.h"
#include "harness.h"

TestSuite(scale, .init = node_up, .fini = node_down, .timeout = 300);

enum { SERVICES = 100000, BACKENDS = 64000, SLICE = 100 };

/* An emulated machine (tests/vm) does a part of it: SKEP_TEST_PART=50 a fiftieth. */
static uint32_t part(uint32_t of)
{
	const char *text = getenv("SKEP_TEST_PART");
	long n = text ? strtol(text, NULL, 10) : 1;

	return n > 1 ? of / (uint32_t)n : of;
}

static void open_with(uint32_t services, uint32_t backends)
{
	dp_close(fx.dp);
	fx.dp = NULL;
	fx.config.max_services = services;
	fx.config.max_backends = backends;
	ok(dp_open(&fx.config, &fx.dp, &test_err));
}

/* The n-th address of a network. */
static struct ip_addr nth(const char *net, uint32_t n)
{
	struct ip_addr ip = addr(net);

	ip.w[3] = htonl(ntohl(ip.w[3]) + n);
	return ip;
}

static void set(struct ip_addr vip, uint8_t side, const struct dp_backend *b, size_t n)
{
	struct dp_service svc = {
		.vip = vip, .port = 80, .proto = IPPROTO_TCP, .side = side, .backends = b, .n_backends = n
	};

	ok(dp_service_set(fx.dp, &svc, &test_err));
}

static uint32_t backends_in_map(struct ip_addr vip)
{
	struct svc_key k = { .vip = vip, .port = htons(80), .proto = IPPROTO_TCP, .side = SVC_INSIDE };
	struct svc_value v;
	uint32_t n = 0;

	if (bpf_map_lookup_elem(fx.dp->map_fd[MAP_SERVICES], &k, &v) < 0)
		return 0;
	for (struct backend_key bk = { v.svc_id, v.generation, 0 }; bk.index < v.n_backends; bk.index++) {
		struct backend_value b;

		n += bpf_map_lookup_elem(fx.dp->map_fd[MAP_BACKENDS], &bk, &b) == 0;
	}
	return n;
}

Test(scale, a_hundred_thousand_services_and_one_with_64000_backends)
{
	static struct dp_backend many[BACKENDS];
	const uint32_t services = part(SERVICES), backends = part(BACKENDS);
	struct ip_addr last = nth("10.96.0.1", services - 1);
	const struct ip_addr large = addr("10.112.0.1");

	open_with(0, 0);
	for (uint32_t i = 0; i < services; i++) {
		struct dp_backend b4 = { nth("10.0.0.1", i), 8080 }, b6 = { nth("fd00:10::1", i), 8080 };

		set(nth("10.96.0.1", i), SVC_INSIDE, &b4, 1);
		set(nth("fd00:96::1", i), SVC_INSIDE, &b6, 1);
	}
	for (uint32_t i = 0; i < backends; i++)
		many[i] = (struct dp_backend){ nth("10.64.0.1", i), 8080 };
	set(large, SVC_INSIDE, many, backends);
	set(large, SVC_OUTSIDE, many, backends);
	cr_assert_eq(map_entries("services"), 2 * services + 2);
	cr_assert_eq(map_entries("backends"), 2 * services + 2 * backends);
	/* A slice of it changes whole: there is room for both sets at once. */
	for (uint32_t i = 0; i < SLICE; i++)
		many[i].ip = nth("10.65.0.1", i);
	set(large, SVC_INSIDE, many, backends);
	cr_assert_eq(map_entries("backends"), 2 * services + 2 * backends);
	cr_assert_eq(backends_in_map(large), backends);
	cr_assert_eq(backends_in_map(last), 1);
	/* The next agent finds them all. */
	open_with(0, 0);
	cr_assert_eq(map_entries("services"), 2 * services + 2);
	cr_assert_eq(map_entries("backends"), 2 * services + 2 * backends);
}

/* What is there keeps its place, and the maps nothing of what did not fit. */
static void does_not_fit(const char *vip, size_t n, const char *why)
{
	static struct dp_backend b[10];
	struct dp_service svc = { .vip = addr(vip), .port = 80, .proto = IPPROTO_TCP, .backends = b, .n_backends = n };
	uint64_t services = map_entries("services"), backends = map_entries("backends");

	for (uint32_t i = 0; i < 10; i++)
		b[i] = (struct dp_backend){ nth("10.0.0.1", i), 8080 };
	cr_assert_eq(dp_service_set(fx.dp, &svc, &test_err), -E2BIG);
	cr_assert(strstr(test_err.msg, why), "%s", test_err.msg);
	err_clear(&test_err);
	cr_assert_eq(map_entries("services"), services);
	cr_assert_eq(map_entries("backends"), backends);
}

Test(scale, full_maps_say_which_and_how_to_have_more)
{
	const struct dp_backend b[6] = { { addr(POD_A4), 1 }, { addr(POD_A4), 2 }, { addr(POD_A4), 3 },
					 { addr(POD_A4), 4 }, { addr(POD_A4), 5 }, { addr(POD_A4), 6 } };

	open_with(3, 10);
	set(addr("10.96.0.1"), SVC_INSIDE, b, 1);
	set(addr("10.96.0.2"), SVC_INSIDE, b, 6);
	does_not_fit("10.96.0.3", 4, "map 'backends' is full: it has room for 10 entries (the agent's --max-backends)");
	does_not_fit("10.96.0.2", 6, "map 'backends' is full");
	cr_assert_eq(backends_in_map(addr("10.96.0.2")), 6);
	set(addr("10.96.0.3"), SVC_INSIDE, b, 1);
	does_not_fit("10.96.0.4", 1, "map 'services' is full: it has room for 3 entries (the agent's --max-frontends)");
	/* More room, and it goes on. */
	open_with(20, 20);
	cr_assert_eq(backends_in_map(addr("10.96.0.2")), 6);
	set(addr("10.96.0.4"), SVC_INSIDE, b, 6);
	cr_assert_eq(backends_in_map(addr("10.96.0.4")), 6);
}
