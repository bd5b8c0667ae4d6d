/* SPDX-License-Identifier: Apache-2.0 */
/* Address allocation: see ipam.h. */
#include "ipam.h"

#include <errno.h>
#include <stdlib.h>

enum { MAX_NUMBERS = 65536, FIRST = 2 /* .0 is the network, .1 is left to gateways by custom */ };

struct slot {
	uint64_t released; /* order of release; 0: never used */
	bool used;
};

struct ipam {
	struct ip_addr base4, base6;
	struct slot *slots; /* by number - 1; host part is number + FIRST - 1 */
	uint32_t n, used;
	uint64_t clock;
};

int ipam_new(const char *cidrs, struct ipam **ret, struct err *err)
{
	struct ipam *p = calloc(1, sizeof(*p));
	unsigned len4, len6;
	uint64_t n = MAX_NUMBERS;
	int r;

	if (!p)
		return err_set(err, ENOMEM, "out of memory");
	r = ip_parse_cidr_list(cidrs, &p->base4, &len4, &p->base6, &len6, err);
	if (!r && ip_is_zero(&p->base4) && ip_is_zero(&p->base6))
		r = err_set(err, EINVAL, "no pod range");
	/* The last IPv4 address is the broadcast address. */
	if (!r && !ip_is_zero(&p->base4)) {
		uint64_t hosts = len4 >= 30 ? 0 : (1ull << (32 - len4)) - FIRST - 1;

		n = hosts < n ? hosts : n;
	}
	if (!r && !ip_is_zero(&p->base6)) {
		uint64_t hosts = len6 <= 108 ? MAX_NUMBERS : len6 >= 126 ? 0 : (1ull << (128 - len6)) - FIRST;

		n = hosts < n ? hosts : n;
	}
	if (!r && !n)
		r = err_set(err, EINVAL, "pod range '%s' is too small", cidrs);
	if (!r) {
		p->n = (uint32_t)n;
		p->slots = calloc(p->n, sizeof(*p->slots));
		if (!p->slots)
			r = err_set(err, ENOMEM, "out of memory");
	}
	if (r < 0) {
		ipam_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

void ipam_free(struct ipam *p)
{
	if (!p)
		return;
	free(p->slots);
	free(p);
}

void ipam_addresses(const struct ipam *p, uint32_t number, struct ip_addr *ret_ip4, struct ip_addr *ret_ip6)
{
	*ret_ip4 = p->base4;
	*ret_ip6 = p->base6;
	if (!ip_is_zero(&p->base4))
		ret_ip4->w[3] = htonl(ntohl(p->base4.w[3]) + number + FIRST - 1);
	if (!ip_is_zero(&p->base6))
		ret_ip6->w[3] = htonl(ntohl(p->base6.w[3]) + number + FIRST - 1);
}

int ipam_alloc(struct ipam *p, uint32_t *ret_number, struct ip_addr *ret_ip4, struct ip_addr *ret_ip6)
{
	uint32_t best = p->n;

	for (uint32_t i = 0; i < p->n; i++) {
		if (p->slots[i].used || (best < p->n && p->slots[i].released >= p->slots[best].released))
			continue;
		best = i;
		if (!p->slots[i].released)
			break; /* never used: nothing is older */
	}
	if (best == p->n)
		return -ENOSPC;
	p->slots[best].used = true;
	p->used++;
	*ret_number = best + 1;
	ipam_addresses(p, best + 1, ret_ip4, ret_ip6);
	return 0;
}

int ipam_reserve(struct ipam *p, uint32_t number)
{
	if (!number || number > p->n)
		return -ERANGE;
	if (p->slots[number - 1].used)
		return -EEXIST;
	p->slots[number - 1].used = true;
	p->used++;
	return 0;
}

void ipam_release(struct ipam *p, uint32_t number)
{
	if (!number || number > p->n || !p->slots[number - 1].used)
		return;
	p->slots[number - 1].used = false;
	p->slots[number - 1].released = ++p->clock;
	p->used--;
}

uint32_t ipam_in_use(const struct ipam *p)
{
	return p->used;
}

uint32_t ipam_capacity(const struct ipam *p)
{
	return p->n;
}
