/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>

#include "agent/server/node_usage.h"

static const char stat_text[] = "cpu  100 20 30 4000 500 6 7 800 90 1\ncpu0 1 2 3 4 5 6 7 8 9 10\nintr 1\n";
static const char memory_text[] = "MemTotal:        1000 kB\nMemFree:          100 kB\nMemAvailable:     600 kB\n";

Test(node_usage, leaves_out_idle_waiting_and_stolen_time)
{
	struct node_usage u;

	cr_assert_eq(node_usage_parse(stat_text, memory_text, 100, &u), 0);
	cr_assert_eq(u.cpu_ns, (100 + 20 + 30 + 6 + 7) * 10000000ULL); /* guests' time is in user's */
	cr_assert_eq(u.memory_bytes, 400 << 10);
	cr_assert_eq(u.memory_available, 600 << 10);
}

Test(node_usage, refuses_what_it_does_not_know)
{
	static const struct {
		const char *stat, *memory;
	} t[] = { { "", memory_text },
		  { "cpu  1 2 3\n", memory_text },
		  { stat_text, "" },
		  { stat_text, "MemTotal: 1000 kB\n" },
		  { stat_text, "MemTotalX: 1 kB\nMemAvailable: 1 kB\n" },
		  { stat_text, "MemTotal: x kB\nMemAvailable: 1 kB\n" },
		  { stat_text, "MemTotal: 1 kB\nMemAvailable: 2 kB\n" } };
	struct node_usage u;

	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++)
		cr_assert_eq(node_usage_parse(t[i].stat, t[i].memory, 100, &u), -EINVAL, "row %zu", i);
}

Test(node_usage, of_this_machine)
{
	struct node_usage u;

	cr_assert_eq(node_usage_read(&u), 0);
	cr_assert(u.cpu_ns > 0 && u.memory_bytes > 0 && u.memory_available > 0);
}
