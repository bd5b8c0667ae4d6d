/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses of a node's pods. One number per pod, the same within each family's range, so that both are free or taken
 * together. Never an address in use; of the free ones the least recently released, so that what still speaks to an
 * old pod does not reach a new one. Holds no state of its own beyond memory: what is in use is told at start from the
 * checkpoints.
 */
#ifndef SKEP_AGENT_NET_IPAM_H
#define SKEP_AGENT_NET_IPAM_H

#include "net.h"

struct ipam;
/* cidrs: at most one range of each family ("10.0.1.0/24,fd00:10:0:1::/64"). At most 65,536 numbers are used. */
int ipam_new(const char *cidrs, struct ipam **ret, struct err *err);
void ipam_free(struct ipam *ipam);
/* 0, or -ENOSPC. *ret_number: small, unique while in use, from 1. */
int ipam_alloc(struct ipam *ipam, uint32_t *ret_number, struct ip_addr *ret_ip4, struct ip_addr *ret_ip6);
int ipam_reserve(struct ipam *ipam, uint32_t number); /* at start; -EEXIST if in use, -ERANGE if outside */
void ipam_release(struct ipam *ipam, uint32_t number);
/* Addresses of a number. */
void ipam_addresses(const struct ipam *ipam, uint32_t number, struct ip_addr *ret_ip4, struct ip_addr *ret_ip6);
uint32_t ipam_in_use(const struct ipam *ipam);
uint32_t ipam_capacity(const struct ipam *ipam);

#endif
