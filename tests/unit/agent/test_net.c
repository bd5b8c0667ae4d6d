/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of pods: giving out, cooling, and what is on disk of a sandbox. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/net/checkpoint.h"
#include "agent/net/ipam.h"
#include "base/file.h"

static struct ipam *ipam_of(const char *cidrs)
{
	struct err err = ERR_INIT;
	struct ipam *p = NULL;

	cr_assert(ipam_new(cidrs, &p, &err) == 0, "%s", err.msg);
	return p;
}

static uint32_t give(struct ipam *p, char *ret4, char *ret6)
{
	struct ip_addr ip4, ip6;
	uint32_t number;

	cr_assert_eq(ipam_alloc(p, &number, &ip4, &ip6), 0);
	ip_text(&ip4, ret4);
	ip_text(&ip6, ret6);
	return number;
}

Test(ipam, both_families_from_two_on)
{
	struct ipam *p = ipam_of("10.0.1.0/24,fd00:10:0:1::/64");
	char ip4[INET6_ADDRSTRLEN], ip6[INET6_ADDRSTRLEN];

	cr_assert_eq(give(p, ip4, ip6), 1);
	cr_assert_str_eq(ip4, "10.0.1.2");
	cr_assert_str_eq(ip6, "fd00:10:0:1::2");
	ipam_free(p);
}

Test(ipam, every_address_once_and_never_network_broadcast_or_first)
{
	struct ipam *p = ipam_of("10.0.1.0/24");
	char ip4[INET6_ADDRSTRLEN], ip6[INET6_ADDRSTRLEN];
	bool seen[256] = { false };
	struct ip_addr a, b;
	uint32_t number;
	unsigned last;

	cr_assert_eq(ipam_capacity(p), 253);
	for (int i = 0; i < 253; i++) {
		give(p, ip4, ip6);
		cr_assert_eq(sscanf(ip4, "10.0.1.%u", &last), 1);
		cr_assert(last >= 2 && last <= 254 && !seen[last]);
		seen[last] = true;
		cr_assert_str_eq(ip6, "");
	}
	cr_assert_eq(ipam_alloc(p, &number, &a, &b), -ENOSPC);
	ipam_free(p);
}

Test(ipam, the_least_recently_released_comes_first)
{
	struct ipam *p = ipam_of("10.0.1.0/29"); /* .2 to .6 */
	char ip4[INET6_ADDRSTRLEN], ip6[INET6_ADDRSTRLEN];

	cr_assert_eq(ipam_capacity(p), 5);
	for (uint32_t i = 1; i <= 4; i++)
		cr_assert_eq(give(p, ip4, ip6), i);
	ipam_release(p, 3);
	ipam_release(p, 1);
	cr_assert_eq(give(p, ip4, ip6), 5); /* never used */
	cr_assert_eq(give(p, ip4, ip6), 3);
	cr_assert_eq(give(p, ip4, ip6), 1);
	ipam_release(p, 2);
	ipam_release(p, 2);
	cr_assert_eq(ipam_in_use(p), 4);
	ipam_free(p);
}

Test(ipam, reserved_ones_are_not_given)
{
	struct ipam *p = ipam_of("10.0.1.0/29");
	char ip4[INET6_ADDRSTRLEN], ip6[INET6_ADDRSTRLEN];

	cr_assert_eq(ipam_reserve(p, 1), 0);
	cr_assert_eq(ipam_reserve(p, 1), -EEXIST);
	cr_assert_eq(ipam_reserve(p, 0), -ERANGE);
	cr_assert_eq(ipam_reserve(p, 6), -ERANGE);
	cr_assert_eq(give(p, ip4, ip6), 2);
	ipam_free(p);
}

Test(ipam, ranges_of_no_use_are_refused)
{
	static const char *const bad[] = { "",		 "10.0.1.0", "10.0.1.0/31",	    "10.0.1.0/33",
					   "fd00::/127", "x/24",     "10.0.1.0/24,nonsense" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err = ERR_INIT;
		struct ipam *p = NULL;

		cr_assert(ipam_new(bad[i], &p, &err) < 0, "accepted '%s'", bad[i]);
		cr_assert(err.msg[0]);
	}
}

/* --- checkpoints -------------------------------------------------------------------------------------------------- */

static char dir[] = "/tmp/net2-unit-XXXXXX";
static int n_bad;

static void up(void)
{
	cr_assert(mkdtemp(dir));
	n_bad = 0;
}

static void down(void)
{
	(void)dir_remove(dir, NULL);
}

static void bad(const char *path, const char *why)
{
	cr_assert(path[0] && why[0]);
	n_bad++;
}

TestSuite(checkpoint, .init = up, .fini = down);

Test(checkpoint, what_is_saved_is_loaded)
{
	struct sandbox s = { .id = "abc-1.2_3",
			     .ns = "n",
			     .name = "p",
			     .uid = "u",
			     .netns = "/run/netns/x",
			     .ifname = "eth0",
			     .host_ifname = "skpabc",
			     .number = 7,
			     .ifindex = 42,
			     .host_mac = { 2, 1, 2, 3, 4, 255 },
			     .pod_mac = { 2, 9 } };
	struct sandbox *all = NULL;
	struct err err = ERR_INIT;
	size_t n;

	cr_assert_eq(ip_parse("10.0.1.8", &s.ip4), 0);
	cr_assert_eq(ip_parse("fd00::8", &s.ip6), 0);
	cr_assert(checkpoint_save(dir, &s, &err) == 0, "%s", err.msg);
	cr_assert_eq(checkpoint_load(dir, &all, &n, bad, &err), 0);
	cr_assert_eq(n, 1);
	cr_assert(memcmp(&all[0], &s, sizeof(s)) == 0);
	free(all);
	cr_assert_eq(checkpoint_remove(dir, s.id, &err), 0);
	cr_assert_eq(checkpoint_remove(dir, s.id, &err), 0);
	cr_assert_eq(checkpoint_load(dir, &all, &n, bad, &err), 0);
	cr_assert_eq(n, 0);
	free(all);
	cr_assert_eq(n_bad, 0);
}

Test(checkpoint, damaged_ones_are_reported_and_left_out)
{
	static const char *const texts[] = { "", "{", "{}", "[]", "{\"sandbox\":\"../x\"}", "{\"sandbox\":1}" };
	struct sandbox *all = NULL;
	struct err err = ERR_INIT;
	char path[128];
	size_t n;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		snprintf(path, sizeof(path), "%s/%zu.json", dir, i);
		cr_assert_eq(file_write_atomic(path, texts[i], strlen(texts[i]), 0600, &err), 0);
	}
	cr_assert_eq(checkpoint_load(dir, &all, &n, bad, &err), 0);
	cr_assert_eq(n, 0);
	cr_assert_eq(n_bad, 6);
	free(all);
}

Test(checkpoint, ids_that_are_no_file_names_are_refused)
{
	char longest[200];

	memset(longest, 'a', sizeof(longest) - 1);
	longest[199] = '\0';
	cr_assert(!checkpoint_valid_id(""));
	cr_assert(!checkpoint_valid_id(".."));
	cr_assert(!checkpoint_valid_id("a/b"));
	cr_assert(!checkpoint_valid_id("a b"));
	cr_assert(!checkpoint_valid_id(longest));
	longest[127] = '\0';
	cr_assert(checkpoint_valid_id(longest));
	cr_assert(checkpoint_valid_id("0123456789abcdef"));
}
