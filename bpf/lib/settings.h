/* SPDX-License-Identifier: Apache-2.0 */
/* Constants of this node, set before load so that the verifier prunes what does not apply. */
#ifndef SKEP_BPF_SETTINGS_H
#define SKEP_BPF_SETTINGS_H

#include "base.h"

/* Addresses, ranges and interfaces of this node. */
const volatile struct node_settings node = {};

static __always_inline bool is_node_ip(const struct ip_addr *a)
{
	struct ip_addr n4, n6;

	__builtin_memcpy(&n4, (const void *)&node.ip4, sizeof(n4));
	__builtin_memcpy(&n6, (const void *)&node.ip6, sizeof(n6));
	return !ip_zero(a) && (ip_eq(a, &n4) || ip_eq(a, &n6));
}

static __always_inline bool is_pod_ip(const struct ip_addr *a)
{
	return ip_in_range(a, &node.pods4) || ip_in_range(a, &node.pods6);
}

static __always_inline bool is_lan_ip(const struct ip_addr *a)
{
	return ip_in_range(a, &node.lan4) || ip_in_range(a, &node.lan6);
}

#endif
