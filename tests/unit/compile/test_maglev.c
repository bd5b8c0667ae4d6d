/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of consistent hashing: fair, the same for all, and little moves when a backend goes. */
#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "compile/maglev.h"

/* Backends as there are: neighbouring addresses. */
static uint64_t id_of(uint32_t i)
{
	uint8_t bytes[6] = { 10, 0, (uint8_t)(i >> 8), (uint8_t)i, 80, 0 };

	return maglev_id(bytes, sizeof(bytes));
}

static uint32_t *table_of(const uint64_t *ids, size_t n, uint32_t slots)
{
	uint32_t *t = malloc(slots * sizeof(*t));

	cr_assert(t && maglev_fill(ids, n, t, slots) == 0);
	for (uint32_t s = 0; s < slots; s++)
		cr_assert(t[s] < n);
	return t;
}

static bool prime(uint32_t n)
{
	for (uint32_t d = 2; d * d <= n; d++)
		if (n % d == 0)
			return false;
	return n > 1;
}

Test(maglev, slots_are_primes_and_more_than_backends)
{
	cr_assert(maglev_slots(0) == 0 && maglev_slots(1) == 1);
	for (size_t n = 2; n <= 64000; n = n * 5 / 4 + 1)
		cr_assert(prime(maglev_slots(n)) && maglev_slots(n) > 10 * n, "%zu", n);
}

/* The worst of all backends that may go: the flows of the others that move, and the largest share. */
static void check_size(size_t n)
{
	uint32_t slots = maglev_slots(n), *share = calloc(n, sizeof(*share)), *before, *after;
	uint64_t *ids = malloc(n * sizeof(*ids)), *left = malloc(n * sizeof(*left));

	for (size_t i = 0; i < n; i++)
		ids[i] = id_of((uint32_t)i);
	before = table_of(ids, n, slots);
	for (uint32_t s = 0; s < slots; s++)
		share[before[s]]++;
	for (size_t i = 0; i < n; i++)
		cr_assert(share[i] * n <= slots * 1.05 + n && share[i] * n >= slots * 0.95 - (double)n, "share of %zu",
			  i);
	for (size_t gone = 0; gone < n; gone += n / 20 + 1) {
		uint32_t moved = 0;

		memcpy(left, ids, gone * sizeof(*ids));
		memcpy(left + gone, ids + gone + 1, (n - gone - 1) * sizeof(*ids));
		after = table_of(left, n - 1, slots);
		for (uint32_t s = 0; s < slots; s++)
			moved += before[s] != gone && ids[before[s]] != left[after[s]];
		cr_assert(moved <= slots / 100, "of %zu backends one goes, and %u of %u slots of others move", n, moved,
			  slots);
		free(after);
	}
	free(before);
	free(share);
	free(ids);
	free(left);
}

Test(maglev, one_per_cent_at_most_moves_when_one_of_a_hundred_goes)
{
	check_size(100);
}

Test(maglev, and_of_other_numbers)
{
	for (size_t n = 2; n <= 1000; n = n * 2 + 1)
		check_size(n);
}

Test(maglev, the_order_of_the_backends_is_of_no_meaning)
{
	const uint64_t ids[] = { id_of(3), id_of(1), id_of(2) }, sorted[] = { id_of(1), id_of(2), id_of(3) };
	uint32_t slots = maglev_slots(3), *a = table_of(ids, 3, slots), *b = table_of(sorted, 3, slots);

	for (uint32_t s = 0; s < slots; s++)
		cr_assert_eq(ids[a[s]], sorted[b[s]]);
	free(a);
	free(b);
}

/* service_weights.h: n times the weight is n entries. */
Test(maglev, one_that_is_there_three_times_has_three_quarters)
{
	const uint64_t ids[] = { id_of(1), id_of(1), id_of(1), id_of(2) };
	uint32_t slots = maglev_slots(4), *table = table_of(ids, 4, slots), of_first = 0;

	for (uint32_t s = 0; s < slots; s++)
		of_first += table[s] < 3;
	cr_assert(of_first >= slots * 74 / 100 && of_first <= slots * 76 / 100, "%u of %u", of_first, slots);
	free(table);
}

Test(maglev, one_backend_has_every_slot)
{
	const uint64_t id = id_of(1);
	uint32_t slot = 7;

	cr_assert(maglev_fill(&id, 1, &slot, 1) == 0 && slot == 0);
}
