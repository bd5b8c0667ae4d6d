/* SPDX-License-Identifier: Apache-2.0 */
/* What decides without a server: the address allocator, flags. */
#include <arpa/inet.h>
#include <errno.h>
#include <criterion/criterion.h>
#include <string.h>

#include "../../../userspace/control/apiserver/apiserver-internal.h"

Test(ipalloc, takes_each_address_once_and_all_of_them)
{
	struct ipalloc *a;
	struct err err = ERR_INIT;
	char ip[INET6_ADDRSTRLEN], first[INET6_ADDRSTRLEN];

	cr_assert(ipalloc_new("10.0.0.0/29,fd00::/112", &a, &err) == 0);
	ipalloc_first(a, 0, first);
	cr_assert_str_eq(first, "10.0.0.1");
	for (int i = 0; i < 6; i++) {
		cr_assert(ipalloc_take_any(a, AF_INET, ip) == 0);
		cr_assert(ipalloc_contains(a, AF_INET, ip));
		cr_assert(ipalloc_take(a, AF_INET, ip) == -EADDRINUSE);
	}
	cr_assert(ipalloc_take_any(a, AF_INET, ip) == -ENOSPC);
	ipalloc_release(a, "10.0.0.3");
	cr_assert(ipalloc_take_any(a, AF_INET, ip) == 0);
	cr_assert_str_eq(ip, "10.0.0.3");
	/* two holders: free after both */
	ipalloc_hold(a, "10.0.0.3");
	ipalloc_release(a, "10.0.0.3");
	cr_assert(ipalloc_take(a, AF_INET, "10.0.0.3") == -EADDRINUSE);
	ipalloc_release(a, "10.0.0.3");
	cr_assert(ipalloc_take(a, AF_INET, "10.0.0.3") == 0);
	cr_assert(ipalloc_take(a, AF_INET, "10.0.0.0") == -ERANGE);
	cr_assert(ipalloc_take(a, AF_INET, "10.0.0.7") == -ERANGE);
	cr_assert(ipalloc_take(a, AF_INET, "10.0.1.1") == -ERANGE);
	cr_assert(ipalloc_take(a, AF_INET, "x") == -EINVAL);
	cr_assert(ipalloc_take_any(a, AF_INET6, ip) == 0);
	cr_assert(ipalloc_contains(a, AF_INET6, ip));
	/* one address, however it is written */
	cr_assert(ipalloc_take(a, AF_INET6, "fd00:0:0::00ab") == 0);
	cr_assert(ipalloc_take(a, AF_INET6, "fd00::ab") == -EADDRINUSE);
	ipalloc_free(a);
}

Test(portalloc, gives_each_port_once_and_the_first_ones_last)
{
	struct portalloc *a;
	struct err err = ERR_INIT;
	int64_t port;

	cr_assert(portalloc_new("30000-30063", &a, &err) == 0); /* 16 of 64 are the static band */
	cr_assert_str_eq(portalloc_range(a), "30000-30063");
	cr_assert(portalloc_take(a, 30005) == 0 && portalloc_take(a, 30005) == -EADDRINUSE);
	cr_assert(portalloc_take(a, 29999) == -ERANGE && portalloc_take(a, 30064) == -ERANGE);
	for (int i = 0; i < 48; i++)
		cr_assert(portalloc_take_any(a, &port) == 0 && port >= 30016 && port <= 30063);
	for (int i = 0; i < 15; i++)
		cr_assert(portalloc_take_any(a, &port) == 0 && port < 30016 && port != 30005);
	cr_assert(portalloc_take_any(a, &port) == -ENOSPC);
	portalloc_hold(a, 30020);
	portalloc_release(a, 30020);
	cr_assert(portalloc_take(a, 30020) == -EADDRINUSE, "counted");
	portalloc_release(a, 30020);
	portalloc_release(a, 30020);
	portalloc_hold(a, 80);
	cr_assert(portalloc_take_any(a, &port) == 0 && port == 30020);
	portalloc_free(a);
	cr_assert(portalloc_new("0-5", &a, &err) == -EINVAL && strstr(err.msg, "node ports '0-5'"));
	cr_assert(portalloc_new("30000 - 32767", &a, &err) == -EINVAL);
	/* too small for a band */
	cr_assert(portalloc_new("30000-30001", &a, &err) == 0);
	cr_assert(portalloc_take_any(a, &port) == 0 && portalloc_take_any(a, &port) == 0);
	cr_assert(portalloc_take_any(a, &port) == -ENOSPC);
	portalloc_free(a);
}

Test(ipalloc, refuses_bad_ranges)
{
	static const char *const bad[] = { "",
					   "10.0.0.0",
					   "10.0.0.0/33",
					   "10.0.0.1/24",
					   "10.0.0.0/24,10.1.0.0/24",
					   "x/8",
					   "10.0.0.0/8,fd00::/64,10.0.0.0/8",
					   "10.0.0.0/31" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct ipalloc *a;
		struct err err = ERR_INIT;

		cr_assert(ipalloc_new(bad[i], &a, &err) < 0, "%s", bad[i]);
		cr_assert(err.msg[0]);
	}
}

Test(config, flags)
{
	struct apiserver_config c;
	struct err err = ERR_INIT;
	char *none[] = { "x", NULL }, *unknown[] = { "x", "--nope", NULL }, *stray[] = { "x", "y", NULL },
	     *valueless[] = { "x", "--store", NULL };
	char *missing[] = {
		"x", "--store=sqlite:/x", "--tls-cert=/nope", "--tls-key=/nope", "--client-ca=/nope", NULL
	};
	char *good[] = { "x",
			 "--store=sqlite:/x",
			 "--tls-cert=/dev/null",
			 "--tls-key=/dev/null",
			 "--client-ca=/dev/null",
			 "--listen",
			 "127.0.0.1:1",
			 "--listen=[::1]:2",
			 "--service-cidrs=10.0.0.0/8",
			 NULL };

	cr_assert(apiserver_config_parse(1, none, &c, &err) < 0 && strstr(err.msg, "--store"));
	cr_assert(apiserver_config_parse(2, unknown, &c, &err) < 0 && strstr(err.msg, "--nope"));
	cr_assert(apiserver_config_parse(2, stray, &c, &err) < 0 && strstr(err.msg, "'y'"));
	cr_assert(apiserver_config_parse(2, valueless, &c, &err) < 0 && strstr(err.msg, "needs a value"));
	cr_assert(apiserver_config_parse(5, missing, &c, &err) < 0 && strstr(err.msg, "--tls-cert '/nope'"));
	cr_assert(apiserver_config_parse(9, good, &c, &err) == 0, "%s", err.msg);
	cr_assert(c.n_listen == 2);
	cr_assert_str_eq(c.listen[1], "[::1]:2");
	cr_assert(c.socket_activation);
}

/* What makes a start impossible is one line, and nothing stays behind. */
Test(server, refuses_to_start_with_a_reason)
{
	struct loop *loop = loop_new();
	struct apiserver_config base = { .listen = { "127.0.0.1:0" }, .n_listen = 1, .store = "sqlite:/dev/null/x" }, c;
	struct apiserver *s = NULL;
	struct err err = ERR_INIT;

	cr_assert(loop);
	cr_assert(apiserver_new(loop, &base, &s, &err) < 0 && strstr(err.msg, "/dev/null/x"), "%s", err.msg);
	c = base;
	c.store = "files:/x";
	cr_assert(apiserver_new(loop, &c, &s, &err) < 0 && strstr(err.msg, "files:/x"), "%s", err.msg);
	c = base;
	c.service_cidrs = "10.0.0.0";
	cr_assert(apiserver_new(loop, &c, &s, &err) < 0 && strstr(err.msg, "10.0.0.0"), "%s", err.msg);
	c = base;
	c.listen[0] = "127.0.0.1:notaport";
	cr_assert(apiserver_new(loop, &c, &s, &err) < 0 && strstr(err.msg, "127.0.0.1:notaport"), "%s", err.msg);
	c = base;
	c.n_listen = 0;
	cr_assert(apiserver_new(loop, &c, &s, &err) < 0 && strstr(err.msg, "nothing to listen on"), "%s", err.msg);
	c = base;
	c.tls = (struct tls_files){ "/nope/ca", "/nope/cert", "/nope/key" };
	cr_assert(apiserver_new(loop, &c, &s, &err) < 0 && strstr(err.msg, "/nope/"), "%s", err.msg);
	cr_assert(!s);
	loop_free(loop);
}
