/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services. The backends of a service are keyed by a generation, so that a reader of the service's value sees all of
 * the old set or all of the new one. A reader that finds a backend gone (its generation was just replaced) reads the
 * value again.
 */
#ifndef SKEP_ABI_SVC_H
#define SKEP_ABI_SVC_H

#include "addr.h"

struct svc_key {
	struct ip_addr vip;
	__be16 port;
	__u8 proto; /* IPPROTO_TCP, IPPROTO_UDP */
	__u8 pad;   /* always 0 */
};
_Static_assert(sizeof(struct svc_key) == 20, "svc_key is map ABI");

struct svc_value {
	__u32 svc_id;
	__u32 generation;
	__u32 n_backends; /* 0: connections are refused */
};
_Static_assert(sizeof(struct svc_value) == 12, "svc_value is map ABI");

struct backend_key {
	__u32 svc_id;
	__u32 generation;
	__u32 index; /* 0 .. n_backends - 1 */
};
_Static_assert(sizeof(struct backend_key) == 12, "backend_key is map ABI");

struct backend_value {
	struct ip_addr ip;
	__be16 port;
	__u8 pad[2];
};
_Static_assert(sizeof(struct backend_value) == 20, "backend_value is map ABI");

/* What a socket believes to talk to: from the backend it really talks to. */
struct sock_peer_key {
	__u64 cookie;
	struct ip_addr backend_ip;
	__be16 backend_port;
	__u8 pad[6];
};
_Static_assert(sizeof(struct sock_peer_key) == 32, "sock_peer_key is map ABI");

struct sock_peer_value {
	struct ip_addr vip;
	__be16 port;
	__u8 pad[2];
};
_Static_assert(sizeof(struct sock_peer_value) == 20, "sock_peer_value is map ABI");

/* An unconnected UDP socket stays with its backend as long as the service's backends do not change. */
struct udp_choice_key {
	__u64 cookie;
	struct ip_addr vip;
	__be16 port;
	__u8 pad[6];
};
_Static_assert(sizeof(struct udp_choice_key) == 32, "udp_choice_key is map ABI");

struct udp_choice_value {
	__u32 svc_id;
	__u32 generation;
	struct ip_addr backend_ip;
	__be16 backend_port;
	__u8 pad[2];
};
_Static_assert(sizeof(struct udp_choice_value) == 28, "udp_choice_value is map ABI");

#endif
