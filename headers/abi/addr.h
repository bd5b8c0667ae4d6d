/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses as BPF and userspace share them. Both families go through one code path: an IPv4 address is kept v4-mapped
 * (::ffff:a.b.c.d, RFC 4291 2.5.5.2), network byte order.
 */
#ifndef SKEP_ABI_ADDR_H
#define SKEP_ABI_ADDR_H

#include <linux/types.h>

struct ip_addr {
	__be32 w[4];
};

#endif
