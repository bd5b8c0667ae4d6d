/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Node ports in use, counted as service addresses are (ipalloc.c). The first ports of the range are given out last, so
 * that who asks for one of them by number seldom finds it taken (KEP-3668).
 */
#include "apiserver-internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "../../lib/base/str.h"

#define BAND_LEAST 16u
#define BAND_MOST  128u

struct portalloc {
	uint16_t first, last;
	char text[12];
	uint32_t *used; /* how often, by port - first */
};

int portalloc_new(const char *range, struct portalloc **ret, struct err *err)
{
	struct portalloc *a = calloc(1, sizeof(*a));

	if (!a)
		return err_set(err, ENOMEM, "out of memory");
	if (strlen(range) >= sizeof(a->text) || str_to_port_range(range, &a->first, &a->last) < 0) {
		free(a);
		return err_set(err, EINVAL, "node ports '%s': expected FIRST-LAST, ports from 1 to 65535", range);
	}
	memcpy(a->text, range, strlen(range) + 1);
	a->used = calloc((size_t)(a->last - a->first) + 1, sizeof(*a->used));
	if (!a->used) {
		free(a);
		return err_set(err, ENOMEM, "out of memory");
	}
	*ret = a;
	return 0;
}

void portalloc_free(struct portalloc *a)
{
	if (!a)
		return;
	free(a->used);
	free(a);
}

const char *portalloc_range(const struct portalloc *a)
{
	return a->text;
}

static bool in_range(const struct portalloc *a, int64_t port)
{
	return port >= a->first && port <= a->last;
}

int portalloc_take(struct portalloc *a, int64_t port)
{
	if (!in_range(a, port))
		return -ERANGE;
	if (a->used[port - a->first])
		return -EADDRINUSE;
	a->used[port - a->first] = 1;
	return 0;
}

void portalloc_hold(struct portalloc *a, int64_t port)
{
	if (in_range(a, port))
		a->used[port - a->first]++;
}

void portalloc_release(struct portalloc *a, int64_t port)
{
	if (in_range(a, port) && a->used[port - a->first])
		a->used[port - a->first]--;
}

static unsigned band_of(unsigned size)
{
	unsigned band = size / 32;

	if (size < 2 * BAND_LEAST)
		return 0;
	return band < BAND_LEAST ? BAND_LEAST : band > BAND_MOST ? BAND_MOST : band;
}

/* A free one of `size` ports from index `from` on, searched from a random one; its port, or 0. */
static int64_t find_free(const struct portalloc *a, unsigned from, unsigned size, uint32_t random)
{
	for (unsigned i = 0; i < size; i++) {
		unsigned at = from + (random % size + i) % size;

		if (!a->used[at])
			return a->first + at;
	}
	return 0;
}

int portalloc_take_any(struct portalloc *a, int64_t *ret_port)
{
	unsigned size = (unsigned)(a->last - a->first) + 1, band = band_of(size);
	uint32_t random;
	int64_t port;

	if (getrandom(&random, sizeof(random), 0) < 0)
		return -errno;
	port = find_free(a, band, size - band, random);
	if (!port && band)
		port = find_free(a, 0, band, random);
	if (!port)
		return -ENOSPC;
	*ret_port = port;
	return portalloc_take(a, port);
}
