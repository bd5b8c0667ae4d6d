/* SPDX-License-Identifier: Apache-2.0 */
/* What the netlink files share: a route socket here or in another namespace, and single operations on it. */
#ifndef SKEP_AGENT_NET_NL_INTERNAL_H
#define SKEP_AGENT_NET_NL_INTERNAL_H

#include <netlink/netlink.h>

#include "net.h"

struct nl_sock *nl_open_here(struct err *err);
/* A socket that belongs to the namespace at path (a thread enters it to make the socket; nothing else changes). */
struct nl_sock *nl_open_in(const char *netns, struct err *err);

int nl_link_up(struct nl_sock *nl, int ifindex, int mtu /* 0: as it is */, struct err *err);
int nl_add_address(struct nl_sock *nl, int ifindex, const struct ip_addr *ip, unsigned len, struct err *err);
struct nl_route {
	const struct ip_addr *dst; /* NULL: default route of gateway's family */
	unsigned len;
	const struct ip_addr *gateway; /* NULL: on link */
	const struct ip_addr *src;     /* preferred source; NULL: none */
	int ifindex;
	bool onlink;
};
int nl_set_route(struct nl_sock *nl, const struct nl_route *route, struct err *err);
int nl_set_neighbour(struct nl_sock *nl, int ifindex, const struct ip_addr *ip, const uint8_t mac[6], struct err *err);

#endif
