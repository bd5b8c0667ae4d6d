/* SPDX-License-Identifier: Apache-2.0 */
/* See service_weights.h. */
#include "service_weights.h"

#include "../base/str.h"

#define ENTRIES_MIN                                                                                                    \
	1024u /* as many as a client's earlier backend is looked for among, LB_SEARCH_MOST in bpf/lib/lb.h */
#define ENTRIES_MAX 65535u

uint32_t service_weight(const struct api_map *annotations)
{
	const char *text = api_map_get(annotations, SERVICE_WEIGHT);
	int64_t v;

	return text && str_to_i64(text, 0, SERVICE_WEIGHT_MAX, &v) == 0 ? (uint32_t)v : SERVICE_WEIGHT_DEFAULT;
}

static uint64_t gcd(uint64_t a, uint64_t b)
{
	while (b) {
		uint64_t r = a % b;

		a = b;
		b = r;
	}
	return a;
}

/* Entries that n backends may have together, without one more for each that would get less than one. */
static uint64_t most(size_t n)
{
	uint64_t room = 3 * n > ENTRIES_MIN ? 2 * n : ENTRIES_MIN - n;

	return room + n <= ENTRIES_MAX ? room : n < ENTRIES_MAX ? ENTRIES_MAX - n : 1;
}

size_t service_shares(struct service_weighted *list, size_t n)
{
	uint64_t common = 0, sum = 0, room = most(n);
	size_t total = 0;

	for (size_t i = 0; i < n; i++) {
		common = gcd(list[i].weight, common);
		sum += list[i].weight;
	}
	if (common)
		sum /= common;
	for (size_t i = 0; i < n; i++) {
		uint64_t weight = common ? list[i].weight / common : 1, share = weight;

		if (sum > room && weight)
			share = weight * room / sum ? weight * room / sum : 1;
		list[i].weight = (uint32_t)share;
		total += share;
	}
	return total;
}
