/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interfaces, routes and neighbours of a node and its pods: the only place that speaks netlink. All calls are
 * synchronous, made in the agent's network namespace, and idempotent: what is there already is kept or put right.
 * IPv4 addresses are v4-mapped.
 */
#ifndef SKEP_AGENT_NET_NET_H
#define SKEP_AGENT_NET_NET_H

#include <arpa/inet.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "../../../headers/abi/addr.h"
#include "../../lib/base/err.h"

#define NET_TUNNEL "skep_vxlan"

/* --- addresses ---------------------------------------------------------------------------------------------------- */
bool ip_is_zero(const struct ip_addr *ip);
bool ip_is_v4(const struct ip_addr *ip);
bool ip_equal(const struct ip_addr *a, const struct ip_addr *b);
int ip_parse(const char *text, struct ip_addr *ret); /* 0 or -EINVAL */
char *ip_text(const struct ip_addr *ip, char *buf);  /* INET6_ADDRSTRLEN; "" for zero */
/* "10.0.1.0/24"; *ret_len within the family. */
int ip_parse_cidr(const char *text, size_t n, struct ip_addr *ret, unsigned *ret_len);
/* First address (cidr: prefix) of each family in a comma-separated list; absent ones become zero. */
int ip_parse_list(const char *list, struct ip_addr *ret4, struct ip_addr *ret6, struct err *err);
int ip_parse_cidr_list(const char *list, struct ip_addr *ret4, unsigned *ret_len4, struct ip_addr *ret6,
		       unsigned *ret_len6, struct err *err);

/* --- the node ----------------------------------------------------------------------------------------------------- */
struct net_node {
	char uplink[IFNAMSIZ]; /* "" : the interface of the default route is found and filled in */
	struct ip_addr ip4, ip6;
	struct ip_addr pods4, pods6; /* cluster-wide pod ranges, routed into the tunnel for the node's own processes */
	unsigned pods4_len, pods6_len;
	int pod_mtu; /* out */
};
/* Forwarding, the VXLAN device in external mode, routes. */
int net_node_setup(struct net_node *n, struct err *err);

/* --- pods --------------------------------------------------------------------------------------------------------- */
struct net_pod {
	char host_ifname[IFNAMSIZ];
	const char *netns;  /* path */
	const char *ifname; /* inside: "eth0" */
	int mtu;
	struct ip_addr ip4, ip6;	 /* zero: none */
	uint32_t ifindex;		 /* out: of the host side */
	uint8_t host_mac[6], pod_mac[6]; /* out */
};
void net_pod_ifname(const char *sandbox_id, char *buf); /* IFNAMSIZ: skp + 12 of the sandbox's id */
/* The pair: host side here and down, other side in the pod's namespace. */
int net_pod_create(struct net_pod *p, struct err *err);
/*
 * Inside: addresses, routes by a link-local gateway that is the host side, both ends up; here: routes and neighbours
 * to the pod.
 */
int net_pod_up(const struct net_pod *p, struct err *err);
int net_link_delete(const char *ifname, struct err *err); /* missing is fine */
/* 0 and *ret_ifindex, or -ENODEV. */
int net_link_index(const char *ifname, uint32_t *ret_ifindex);
/* Names of host sides of pods that exist; one allocation, the caller's. */
int net_pod_links(char (**ret)[IFNAMSIZ], size_t *ret_n, struct err *err);

#endif
