/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ranges are intervals of 128-bit numbers (IPv4 in the low 32 bits). The taken ones are sorted, and the candidate
 * jumps over each that it overlaps: one pass, however many nodes there are.
 */
#include "nodeipam_plan.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"

typedef unsigned __int128 u128;

struct range {
	int family, bits; /* of an address */
	int len;
	u128 first, last;
};

static u128 span(int bits, int len)
{
	return len ? ((u128)1 << (bits - len)) - 1 : ~(u128)0;
}

static bool parse_range(const char *text, size_t n, struct range *r)
{
	unsigned char addr[16];
	char buf[64], *slash;
	int64_t len;

	if (n >= sizeof(buf))
		return false;
	memcpy(buf, text, n);
	buf[n] = '\0';
	slash = strchr(buf, '/');
	if (!slash)
		return false;
	*slash = '\0';
	r->family = strchr(buf, ':') ? AF_INET6 : AF_INET;
	r->bits = r->family == AF_INET6 ? 128 : 32;
	if (inet_pton(r->family, buf, addr) != 1 || str_to_i64(slash + 1, 0, r->bits, &len) < 0)
		return false;
	r->len = (int)len;
	r->first = 0;
	for (int i = 0; i < r->bits / 8; i++)
		r->first = r->first << 8 | addr[i];
	r->first &= ~span(r->bits, r->len);
	r->last = r->first + span(r->bits, r->len);
	return true;
}

struct ranges {
	struct range *v;
	size_t n, cap;
};

static void ranges_donep(struct ranges *rs)
{
	free(rs->v);
}

static int add_ranges(struct ranges *rs, const char *list)
{
	while (list && *list) {
		size_t n = strcspn(list, ",");

		if (rs->n == rs->cap) {
			size_t cap = rs->cap ? rs->cap * 2 : 64;
			struct range *v = realloc(rs->v, cap * sizeof(*v));

			if (!v)
				return -ENOMEM;
			rs->v = v;
			rs->cap = cap;
		}
		if (!parse_range(list, n, &rs->v[rs->n]))
			return -EINVAL;
		rs->n++;
		list += n + (list[n] == ',');
	}
	return 0;
}

static int by_first(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

/* The lowest free range of length len within parent. taken is sorted. */
static int lowest_free(const struct range *parent, int len, const struct ranges *taken, struct range *ret)
{
	u128 step = span(parent->bits, len), at = parent->first;

	if (len < parent->len || len > parent->bits)
		return -ENOSPC;
	for (size_t i = 0; i < taken->n; i++) {
		const struct range *t = &taken->v[i];

		if (t->family != parent->family || t->last < at)
			continue;
		if (t->first > at + step)
			break;
		if (t->last >= parent->last)
			return -ENOSPC;
		at = (t->last + 1 + step) & ~step; /* the next multiple of the size */
		if (at > parent->last || at <= parent->first)
			return -ENOSPC;
	}
	*ret = (struct range){ parent->family, parent->bits, len, at, at + step };
	return 0;
}

static void range_text(const struct range *r, char *ret, size_t size)
{
	unsigned char addr[16];
	char text[INET6_ADDRSTRLEN];
	u128 v = r->first;

	for (int i = r->bits / 8 - 1; i >= 0; i--, v >>= 8)
		addr[i] = (unsigned char)v;
	inet_ntop(r->family, addr, text, sizeof(text));
	snprintf(ret, size, "%s/%d", text, r->len);
}

int nodeipam_plan(const char *cluster, const char *services, int mask4, int mask6, const char *const *texts, size_t n,
		  char ret[NODEIPAM_TEXT])
{
	cleanup(ranges_done) struct ranges parents = { 0 }, taken = { 0 };
	size_t used = 0;
	int r = add_ranges(&parents, cluster);

	if (r >= 0)
		r = add_ranges(&taken, services);
	for (size_t i = 0; r >= 0 && i < n; i++)
		r = add_ranges(&taken, texts[i]);
	if (r < 0)
		return r;
	if (taken.n)
		qsort(taken.v, taken.n, sizeof(*taken.v), by_first);
	ret[0] = '\0';
	for (size_t i = 0; i < parents.n; i++) {
		const struct range *parent = &parents.v[i];
		struct range got;

		r = lowest_free(parent, parent->family == AF_INET ? mask4 : mask6, &taken, &got);
		if (r < 0)
			return r;
		if (used)
			ret[used++] = ',';
		if (used + INET6_ADDRSTRLEN + 5 > NODEIPAM_TEXT)
			return -ENOSPC;
		range_text(&got, ret + used, NODEIPAM_TEXT - used);
		used += strlen(ret + used);
	}
	return 0;
}
