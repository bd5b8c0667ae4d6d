/* SPDX-License-Identifier: Apache-2.0 */
/* See maglev.h. */
#include "maglev.h"

#include <errno.h>
#include <stdlib.h>

#include "../base/cleanup.h"

#define NOBODY UINT32_MAX

/* The last step of splitmix64: every bit of the result depends on every bit of x. */
static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

/* FNV-1a. */
uint64_t maglev_id(const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	uint64_t h = 0xcbf29ce484222325;

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 0x100000001b3;
	return h;
}

/*
 * So many that one of n backends moves less than 1 % of the others' flows when it goes (measured in test_maglev.c);
 * beyond 6,500 backends that would take too much memory, and the slots only keep the shares fair.
 */
uint32_t maglev_slots(size_t n)
{
	static const struct {
		size_t n;
		uint32_t slots;
	} sizes[] = { { 0, 0 }, { 1, 1 }, { 3, 4093 }, { 30, 16381 }, { 6500, 65537 } };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		if (n <= sizes[i].n)
			return sizes[i].slots;
	return 1048573;
}

struct turn {
	uint64_t id;
	uint32_t index, at, skip, first;
};

static int by_id(const void *a, const void *b)
{
	const struct turn *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

int maglev_fill(const uint64_t *ids, size_t n, uint32_t *table, uint32_t slots)
{
	cleanup(free) struct turn *turns = calloc(n + 1, sizeof(*turns));

	if (!turns)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		turns[i].id = ids[i];
		turns[i].index = (uint32_t)i;
		turns[i].at = (uint32_t)(mix(ids[i]) % slots);
		turns[i].skip = slots > 1 ? (uint32_t)(mix(~ids[i]) % (slots - 1)) + 1 : 0;
	}
	qsort(turns, n, sizeof(*turns), by_id);
	/* Who is there more than once goes the same way each time: on from where it is. */
	for (size_t i = 1; i < n; i++)
		turns[i].first = turns[i].id == turns[i - 1].id ? turns[i - 1].first : (uint32_t)i;
	for (uint32_t s = 0; s < slots; s++)
		table[s] = NOBODY;
	for (uint32_t filled = 0; n && filled < slots;) {
		for (size_t i = 0; i < n && filled < slots; i++, filled++) {
			struct turn *t = &turns[turns[i].first];

			while (table[t->at] != NOBODY)
				t->at = (uint32_t)(((uint64_t)t->at + t->skip) % slots);
			table[t->at] = t->index;
		}
	}
	return 0;
}
