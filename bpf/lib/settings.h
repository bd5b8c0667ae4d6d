/* SPDX-License-Identifier: Apache-2.0 */
/* Constants of this node, set before load so that the verifier prunes what does not apply. */
#ifndef SKEP_BPF_SETTINGS_H
#define SKEP_BPF_SETTINGS_H

#include "base.h"

/* Addresses, ranges and interfaces of this node. */
const volatile struct node_settings node = {};

/* Word by word through the volatile: without it the compiler takes the zeros of this file for the values. */
static __always_inline void setting_ip(struct ip_addr *to, const volatile struct ip_addr *from)
{
	to->w[0] = from->w[0];
	to->w[1] = from->w[1];
	to->w[2] = from->w[2];
	to->w[3] = from->w[3];
}

static __always_inline bool is_node_ip(const struct ip_addr *a)
{
	struct ip_addr n4, n6;

	setting_ip(&n4, &node.ip4);
	setting_ip(&n6, &node.ip6);
	return !ip_zero(a) && (ip_eq(a, &n4) || ip_eq(a, &n6));
}

static __always_inline bool is_pod_ip(const struct ip_addr *a)
{
	return ip_in_range(a, &node.pods4) || ip_in_range(a, &node.pods6);
}

static __always_inline bool is_service_ip(const struct ip_addr *a)
{
	return ip_in_range(a, &node.services4) || ip_in_range(a, &node.services6);
}

static __always_inline bool is_lan_ip(const struct ip_addr *a)
{
	return ip_in_range(a, &node.lan4) || ip_in_range(a, &node.lan6);
}

#endif
