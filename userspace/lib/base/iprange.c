/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses and ranges as numbers: see iprange.h. */
#include "iprange.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "str.h"

int ip_at_parse(const char *text, struct ip_at *ret)
{
	unsigned char raw[16];

	ret->family = strchr(text, ':') ? AF_INET6 : AF_INET;
	ret->n = 0;
	if (inet_pton(ret->family, text, raw) != 1)
		return -EINVAL;
	for (size_t i = 0; i < (ret->family == AF_INET ? 4 : 16); i++)
		ret->n = ret->n << 8 | raw[i];
	return 0;
}

const char *ip_at_text(const struct ip_at *a, char buf[IPRANGE_TEXT])
{
	unsigned char raw[16];
	ip_number v = a->n;

	for (int i = (a->family == AF_INET ? 4 : 16) - 1; i >= 0; i--, v >>= 8)
		raw[i] = (unsigned char)v;
	return inet_ntop(a->family, raw, buf, IPRANGE_TEXT) ?: "";
}

int ip_at_compare(const struct ip_at *a, const struct ip_at *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return a->n < b->n ? -1 : a->n > b->n;
}

static int parse_part(const char *from, const char *to, struct ip_at *ret)
{
	char buf[IPRANGE_TEXT];
	size_t len;

	while (from < to && *from == ' ')
		from++;
	while (to > from && to[-1] == ' ')
		to--;
	len = (size_t)(to - from);
	if (!len || len >= sizeof(buf))
		return -EINVAL;
	memcpy(buf, from, len);
	buf[len] = '\0';
	return ip_at_parse(buf, ret);
}

int ip_range_parse(const char *text, struct ip_range *ret, const char **ret_why)
{
	const char *end = text + strlen(text), *slash = strchr(text, '/'), *dash = strchr(text, '-'), *why = NULL;
	struct ip_at first, last;
	int r = 0;

	if (slash) {
		int64_t len;
		int bits;
		ip_number mask;

		if (parse_part(text, slash, &first) < 0)
			goto neither;
		bits = first.family == AF_INET ? 32 : 128;
		if (str_to_i64(slash + 1, 0, bits, &len) < 0)
			goto neither;
		mask = len ? ((ip_number)1 << (bits - len)) - 1 : ~(ip_number)0 >> (128 - bits);
		if (first.n & mask) {
			why = "must not have bits set behind the prefix";
			r = -ERANGE;
		}
		last = (struct ip_at){ first.family, first.n | mask };
	} else if (dash) {
		if (parse_part(text, dash, &first) < 0 || parse_part(dash + 1, end, &last) < 0)
			goto neither;
		if (first.family != last.family)
			goto neither;
		if (first.n > last.n) {
			why = "must not end before it begins";
			r = -ERANGE;
		}
	} else {
		goto neither;
	}
	*ret = (struct ip_range){ first.family, first.n, last.n };
	if (ret_why)
		*ret_why = why;
	return r;
neither:
	if (ret_why)
		*ret_why = "must be a CIDR, (e.g. 192.0.2.0/28 or 2001:db8::/124), or first-last (e.g. "
			   "192.0.2.10-192.0.2.20)";
	return -EINVAL;
}

uint64_t ip_range_size(const struct ip_range *r)
{
	ip_number n = r->last - r->first;

	return n >= UINT64_MAX ? UINT64_MAX : (uint64_t)n + 1;
}
