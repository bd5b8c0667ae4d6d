/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses and ranges of them as numbers: IPv4 in the low 32 bits of 128. */
#ifndef SKEP_BASE_IPRANGE_H
#define SKEP_BASE_IPRANGE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef unsigned __int128 ip_number;

enum { IPRANGE_TEXT = INET6_ADDRSTRLEN };

struct ip_at {
	int family; /* AF_INET, AF_INET6 */
	ip_number n;
};
struct ip_range {
	int family;
	ip_number first, last;
};

int ip_at_parse(const char *text, struct ip_at *ret); /* 0, -EINVAL */
const char *ip_at_text(const struct ip_at *a, char buf[IPRANGE_TEXT]);
int ip_at_compare(const struct ip_at *a, const struct ip_at *b); /* by family, then number; for sorting */

/*
 * "192.0.2.0/28" without bits behind the prefix, or "192.0.2.10-192.0.2.20"; white space around the two is allowed.
 * 0; -EINVAL: it is neither; -ERANGE: bits are set behind the prefix, or first is behind last. *ret_why (may be NULL)
 * gets words for people.
 */
int ip_range_parse(const char *text, struct ip_range *ret, const char **ret_why);
/* How many addresses; UINT64_MAX for more. */
uint64_t ip_range_size(const struct ip_range *r);

static inline bool ip_range_has(const struct ip_range *r, const struct ip_at *a)
{
	return r->family == a->family && r->first <= a->n && a->n <= r->last;
}

static inline bool ip_ranges_overlap(const struct ip_range *a, const struct ip_range *b)
{
	return a->family == b->family && a->first <= b->last && b->first <= a->last;
}

#endif
