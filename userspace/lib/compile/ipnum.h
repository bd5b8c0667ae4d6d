/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic on v4-mapped addresses (struct ip_addr) that the compilers and the agent share. */
#ifndef SKEP_COMPILE_IPNUM_H
#define SKEP_COMPILE_IPNUM_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#include "../../../headers/abi/addr.h"

static inline bool ipnum_is_zero(const struct ip_addr *a)
{
	return !(a->w[0] | a->w[1] | a->w[2] | a->w[3]);
}

static inline bool ipnum_is_v4(const struct ip_addr *a)
{
	return !a->w[0] && !a->w[1] && a->w[2] == htonl(0xffff);
}

static inline bool ipnum_eq(const struct ip_addr *a, const struct ip_addr *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static inline struct ip_addr ipnum_mask(const struct ip_addr *a, unsigned len)
{
	struct ip_addr r;

	for (unsigned i = 0; i < 4; i++) {
		unsigned bits = len <= 32 * i ? 0 : len >= 32 * (i + 1) ? 32 : len - 32 * i;

		r.w[i] = a->w[i] & htonl(bits ? ~0u << (32 - bits) : 0);
	}
	return r;
}

static inline bool ipnum_in(const struct ip_addr *a, const struct ip_addr *net, unsigned len)
{
	struct ip_addr m = ipnum_mask(a, len);

	return ipnum_eq(&m, net);
}

/* buf: INET6_ADDRSTRLEN. "" for a zero address. */
static inline const char *ipnum_text(const struct ip_addr *a, char *buf)
{
	if (ipnum_is_zero(a))
		buf[0] = '\0';
	else if (ipnum_is_v4(a))
		inet_ntop(AF_INET, &a->w[3], buf, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET6, a->w, buf, INET6_ADDRSTRLEN);
	return buf;
}

#endif
