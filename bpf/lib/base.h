/* SPDX-License-Identifier: Apache-2.0 */
/* What every program includes: kernel headers, helpers, the node's settings, addresses and the clock. */
#ifndef SKEP_BPF_BASE_H
#define SKEP_BPF_BASE_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "abi/addr.h"
#include "abi/node.h"

#define __noinline_prog __attribute__((noinline))

/*
 * A function that is not static is verified once, by itself, and its caller goes on with one state however many paths
 * it has. Without that the paths of the parser multiply with those of all that follows: from_pod as clang 19 makes it
 * took 870,000 of the million instructions that Linux 6.1 verifies at most, and takes 7,200 now. The verifier wants
 * the pointers checked for NULL.
 */
#define __verified_once __attribute__((noinline))

#define V4_MAPPED_W2 bpf_htonl(0xffff)

/*
 * Time in units of 2^30 ns: a shift where seconds would need a division, from the clock that costs 6 ns instead of
 * 32.
 */
static __always_inline __u32 now_units(void)
{
	return bpf_ktime_get_coarse_ns() >> 30;
}

static __always_inline bool ip_eq(const struct ip_addr *a, const struct ip_addr *b)
{
	return !((a->w[0] ^ b->w[0]) | (a->w[1] ^ b->w[1]) | (a->w[2] ^ b->w[2]) | (a->w[3] ^ b->w[3]));
}

static __always_inline bool ip_zero(const struct ip_addr *a)
{
	return !(a->w[0] | a->w[1] | a->w[2] | a->w[3]);
}

static __always_inline bool ip_is_v4(const struct ip_addr *a)
{
	return !(a->w[0] | a->w[1]) && a->w[2] == V4_MAPPED_W2;
}

static __always_inline void ip_set_v4(struct ip_addr *a, __be32 v4)
{
	a->w[0] = 0;
	a->w[1] = 0;
	a->w[2] = V4_MAPPED_W2;
	a->w[3] = v4;
}

/* A total order of addresses, the same on both ends of a flow; not numeric order. */
static __always_inline bool ip_less(const struct ip_addr *a, const struct ip_addr *b)
{
	if (a->w[3] != b->w[3])
		return a->w[3] < b->w[3];
	if (a->w[2] != b->w[2])
		return a->w[2] < b->w[2];
	if (a->w[1] != b->w[1])
		return a->w[1] < b->w[1];
	return a->w[0] < b->w[0];
}

static __always_inline bool ip_in_range(const struct ip_addr *a, const volatile struct ip_range *r)
{
	return !(((a->w[0] & r->mask.w[0]) ^ r->addr.w[0]) | ((a->w[1] & r->mask.w[1]) ^ r->addr.w[1]) |
		 ((a->w[2] & r->mask.w[2]) ^ r->addr.w[2]) | ((a->w[3] & r->mask.w[3]) ^ r->addr.w[3]));
}

#endif
