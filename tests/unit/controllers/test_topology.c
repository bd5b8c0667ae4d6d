/* SPDX-License-Identifier: Apache-2.0 */
/* Which zone uses which endpoint: shares by CPUs, who moves, and when there are no hints at all. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "control/controllers/topology.h"

static const struct topology_zone even[] = { { "a", 4000 }, { "b", 4000 }, { "c", 4000 } };
static const struct topology_zone uneven[] = { { "a", 6000 }, { "b", 2000 } };

/* at and the answer: a letter for each endpoint, '-' for none; "!": no hints. */
static const char *hints(const struct topology_zone *zones, size_t n_zones, const char *at)
{
	static char out[100];
	size_t n = strlen(at), where[100] = { 0 }, hint[100];

	for (size_t i = 0; i < n; i++)
		where[i] = at[i] == '-' ? TOPOLOGY_NO_ZONE : (size_t)(at[i] - 'a');
	if (topology_hints(zones, n_zones, where, n, hint))
		return "!";
	for (size_t i = 0; i < n; i++)
		out[i] = (char)('a' + hint[i]);
	out[n] = '\0';
	return out;
}

Test(topology, each_zone_uses_its_own_where_they_are_in_proportion)
{
	cr_assert_str_eq(hints(even, 3, "abc"), "abc");
	cr_assert_str_eq(hints(even, 2, "abab"), "abab");
	cr_assert_str_eq(hints(uneven, 2, "aaab"), "aaab");
	/* 5 of 7.5: less than one would go. */
	cr_assert_str_eq(hints(uneven, 2, "aaaaabb"), "aaaaabb");
}

Test(topology, what_is_too_much_goes_to_who_lacks_most)
{
	cr_assert_str_eq(hints(even, 3, "aaaaaa"), "aacbcb");
	cr_assert_str_eq(hints(even, 2, "aaaa"), "aabb");
	cr_assert_str_eq(hints(uneven, 2, "abbb"), "abaa");
	cr_assert_str_eq(hints(even, 3, "abbbccccc"), "abbbcccaa");
}

Test(topology, no_hints)
{
	static const struct topology_zone idle[] = { { "a", 0 }, { "b", 0 } };

	cr_assert_str_eq(hints(even, 1, "aaa"), "!", "one zone");
	cr_assert_str_eq(hints(even, 0, "aaa"), "!", "nothing known");
	cr_assert_str_eq(hints(idle, 2, "abab"), "!", "no CPUs");
	cr_assert_str_eq(hints(even, 3, "ab"), "!", "not one for each");
	/* 1.5 each: one has to do 50 % more. */
	cr_assert_str_eq(hints(even, 2, "aab"), "!");
	cr_assert_str_eq(hints(even, 2, ""), "!");
	cr_assert_str_eq(hints(even, 2, "ab-b"), "!", "an endpoint without a zone");
}

/* Whatever comes in, nobody is overloaded by more than a fifth. */
Test(topology, shares_are_kept)
{
	for (unsigned seed = 1; seed < 2000; seed++) {
		struct topology_zone zones[] = { { "a", 1000 + seed % 7 * 1000 },
						 { "b", 1000 + seed % 5 * 1000 },
						 { "c", 1000 + seed % 3 * 1000 } };
		size_t n = 1 + seed % 61, at[64], hint[64], got[3] = { 0 };
		double cpu = (double)(zones[0].cpu_milli + zones[1].cpu_milli + zones[2].cpu_milli);

		for (size_t i = 0; i < n; i++)
			at[i] = (seed * 7919 + i * i * 31) % 3;
		if (topology_hints(zones, 3, at, n, hint))
			continue;
		for (size_t i = 0; i < n; i++)
			got[hint[i]]++;
		for (size_t z = 0; z < 3; z++) {
			double want = (double)n * (double)zones[z].cpu_milli / cpu;

			cr_assert((double)got[z] * 1.2 >= want - 0.001, "seed %u: %zu of %f", seed, got[z], want);
		}
	}
}
