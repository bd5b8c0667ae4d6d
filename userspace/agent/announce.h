/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses of load balancers that this node announces. Who asks for one is answered by eBPF (bpf/lib/announce.h);
 * what is left to do here: neighbours are told when an address comes to this node (an ARP announcement, RFC 5227; an
 * unsolicited neighbour advertisement, RFC 4861), and the interface is made to hear the questions, which come to a
 * multicast group for each IPv6 address. The groups outlive the agent, since the answers do.
 */
#ifndef SKEP_AGENT_ANNOUNCE_H
#define SKEP_AGENT_ANNOUNCE_H

#include <stdbool.h>

#include "../../headers/abi/addr.h"
#include "../lib/base/err.h"
#include "../lib/io/loop.h"

struct announce;

int announce_new(struct loop *loop, const char *ifname, struct announce **ret, struct err *err);
void announce_free(struct announce *a);
/* Idempotent: neighbours are told of a new one only. What cannot be sent is logged; the address is announced anyway. */
int announce_set(struct announce *a, const struct ip_addr *ip, bool announced); /* 0 or -ENOMEM */
bool announce_has(const struct announce *a, const struct ip_addr *ip);
/* All of them: those that are not set between the two calls are not announced any more. */
void announce_begin(struct announce *a);
void announce_end(struct announce *a);

/* The frame that tells of the address; its length, at most ANNOUNCE_FRAME. */
enum { ANNOUNCE_FRAME = 86 };
size_t announce_frame(const struct ip_addr *ip, const uint8_t mac[6], uint8_t *ret);
/* The Ethernet address of the group to which neighbours ask for an IPv6 address. */
void announce_group(const struct ip_addr *ip, uint8_t ret[6]);

#endif
