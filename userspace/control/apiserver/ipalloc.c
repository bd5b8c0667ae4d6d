/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Service addresses in use, by text in canonical form. An address is counted: once for the service that is in the
 * cache, once for each write under way that wants it, so that nothing is given twice between a decision and its
 * appearance in the cache, and nothing needs to be stored besides the services themselves.
 */
#include "apiserver-internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/str.h"

struct ipalloc {
	struct cidr cidrs[2];
	char text[2][64];
	int n;
	struct strmap *used; /* address -> count, as a pointer */
};

static int parse_cidr(char *text, struct cidr *ret, struct err *err)
{
	char *slash = strchr(text, '/');
	int64_t len;
	int bits;

	*ret = (struct cidr){ .family = strchr(text, ':') ? AF_INET6 : AF_INET };
	bits = ret->family == AF_INET ? 32 : 128;
	if (!slash || str_to_i64(slash + 1, 1, bits - 2, &len) < 0)
		return err_set(err, EINVAL, "service CIDR '%s': expected ADDRESS/LENGTH with room for services", text);
	*slash = '\0';
	if (inet_pton(ret->family, text, ret->base) != 1)
		return err_set(err, EINVAL, "service CIDR '%s': not an address", text);
	*slash = '/';
	ret->len = (int)len;
	for (int bit = ret->len; bit < bits; bit++)
		if (ret->base[bit / 8] & (0x80 >> bit % 8))
			return err_set(err, EINVAL, "service CIDR '%s': address bits beyond the length are set", text);
	return 0;
}

int ipalloc_new(const char *cidrs, struct ipalloc **ret, struct err *err)
{
	cleanup(free) char *copy = strdup(cidrs);
	struct ipalloc *a = calloc(1, sizeof(*a));
	char *save = NULL;
	int r = 0;

	if (!a || !copy || !(a->used = strmap_new())) {
		r = err_set(err, ENOMEM, "out of memory");
		goto fail;
	}
	for (char *p = strtok_r(copy, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
		if (a->n == 2) {
			r = err_set(err, EINVAL, "service CIDRs '%s': at most one of each family", cidrs);
			goto fail;
		}
		r = parse_cidr(p, &a->cidrs[a->n], err);
		if (r < 0)
			goto fail;
		if (a->n && a->cidrs[0].family == a->cidrs[1].family) {
			r = err_set(err, EINVAL, "service CIDRs '%s': at most one of each family", cidrs);
			goto fail;
		}
		snprintf(a->text[a->n++], sizeof(a->text[0]), "%s", p);
	}
	if (!a->n) {
		r = err_set(err, EINVAL, "no service CIDR given");
		goto fail;
	}
	*ret = a;
	return 0;
fail:
	ipalloc_free(a);
	return r;
}

void ipalloc_free(struct ipalloc *a)
{
	if (!a)
		return;
	strmap_free(a->used);
	free(a);
}

int ipalloc_family(const struct ipalloc *a, int i)
{
	return a->cidrs[i].family;
}

static int find(const struct ipalloc *a, int family)
{
	for (int i = 0; i < a->n; i++)
		if (a->cidrs[i].family == family)
			return i;
	return -1;
}

const char *ipalloc_cidr_text(const struct ipalloc *a, int family)
{
	int i = find(a, family);

	return i < 0 ? NULL : a->text[i];
}

/* Host part neither all zeros nor (IPv4) all ones. */
static bool usable(const struct cidr *c, const unsigned char *addr)
{
	int bits = c->family == AF_INET ? 32 : 128;
	bool zeros = true, ones = true;

	for (int bit = 0; bit < bits; bit++) {
		bool set = addr[bit / 8] & (0x80 >> bit % 8);

		if (bit < c->len) {
			if (set != !!(c->base[bit / 8] & (0x80 >> bit % 8)))
				return false;
			continue;
		}
		zeros = zeros && !set;
		ones = ones && set;
	}
	return !zeros && !(ones && c->family == AF_INET);
}

static int canonical(int family, const char *ip, unsigned char *addr, char *text)
{
	if (inet_pton(family, ip, addr) != 1)
		return -EINVAL;
	inet_ntop(family, addr, text, INET6_ADDRSTRLEN);
	return 0;
}

bool ipalloc_contains(const struct ipalloc *a, int family, const char *ip)
{
	unsigned char addr[16];
	char text[INET6_ADDRSTRLEN];
	int i = find(a, family);

	return i >= 0 && canonical(family, ip, addr, text) == 0 && usable(&a->cidrs[i], addr);
}

static int count_up(struct ipalloc *a, const char *text)
{
	uintptr_t n = (uintptr_t)strmap_get(a->used, text);

	return strmap_set(a->used, text, (void *)(n + 1), NULL);
}

int ipalloc_take(struct ipalloc *a, int family, const char *ip)
{
	unsigned char addr[16];
	char text[INET6_ADDRSTRLEN];
	int i = find(a, family);

	if (i < 0 || canonical(family, ip, addr, text) < 0)
		return -EINVAL;
	if (!usable(&a->cidrs[i], addr))
		return -ERANGE;
	if (strmap_has(a->used, text))
		return -EADDRINUSE;
	return count_up(a, text);
}

void ipalloc_hold(struct ipalloc *a, const char *ip)
{
	unsigned char addr[16];
	char text[INET6_ADDRSTRLEN];

	if (canonical(strchr(ip, ':') ? AF_INET6 : AF_INET, ip, addr, text) == 0)
		(void)count_up(a, text);
}

void ipalloc_release(struct ipalloc *a, const char *ip)
{
	unsigned char addr[16];
	char text[INET6_ADDRSTRLEN];
	uintptr_t n;

	if (canonical(strchr(ip, ':') ? AF_INET6 : AF_INET, ip, addr, text) < 0)
		return;
	n = (uintptr_t)strmap_get(a->used, text);
	if (n <= 1)
		strmap_del(a->used, text);
	else
		(void)strmap_set(a->used, text, (void *)(n - 1), NULL);
}

static void next_addr(const struct cidr *c, unsigned char *addr)
{
	int bytes = c->family == AF_INET ? 4 : 16;

	for (int i = bytes - 1; i >= 0 && ++addr[i] == 0; i--)
		;
	for (int bit = 0; bit < c->len; bit++) {
		unsigned char m = 0x80 >> bit % 8;

		addr[bit / 8] = (unsigned char)((addr[bit / 8] & ~m) | (c->base[bit / 8] & m));
	}
}

/* From a random place on: addresses of deleted services are not given again at once. */
int ipalloc_take_any(struct ipalloc *a, int family, char *ret_ip)
{
	int i = find(a, family), bits = family == AF_INET ? 32 : 128;
	unsigned char addr[16];
	const struct cidr *c;
	size_t tries = strmap_len(a->used) + 4;

	if (i < 0)
		return -EINVAL;
	c = &a->cidrs[i];
	if (getrandom(addr, sizeof(addr), 0) < 0)
		return -errno;
	for (int bit = 0; bit < c->len; bit++) {
		unsigned char m = 0x80 >> bit % 8;

		addr[bit / 8] = (unsigned char)((addr[bit / 8] & ~m) | (c->base[bit / 8] & m));
	}
	if (bits - c->len < 24 && tries > ((size_t)1 << (bits - c->len)))
		tries = (size_t)1 << (bits - c->len);
	for (; tries; tries--, next_addr(c, addr)) {
		inet_ntop(family, addr, ret_ip, INET6_ADDRSTRLEN);
		if (usable(c, addr) && !strmap_has(a->used, ret_ip))
			return count_up(a, ret_ip);
	}
	return -ENOSPC;
}

void ipalloc_first(const struct ipalloc *a, int i, char *ret_ip)
{
	unsigned char addr[16];

	memcpy(addr, a->cidrs[i].base, sizeof(addr));
	next_addr(&a->cidrs[i], addr);
	inet_ntop(a->cidrs[i].family, addr, ret_ip, INET6_ADDRSTRLEN);
}
