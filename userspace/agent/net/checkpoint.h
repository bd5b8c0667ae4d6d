/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the node knows of each pod sandbox it has given a network: one JSON file per sandbox, durable before CNI ADD
 * answers and removed after the last trace of the sandbox is gone, so that a crash at any moment neither loses nor
 * doubles an address.
 */
#ifndef SKEP_AGENT_NET_CHECKPOINT_H
#define SKEP_AGENT_NET_CHECKPOINT_H

#include "net.h"

struct sandbox {
	char id[128];
	char ns[64], name[256], uid[64];
	char netns[256], ifname[IFNAMSIZ], host_ifname[IFNAMSIZ];
	uint32_t number; /* of ipam, and ep_id of the data plane */
	struct ip_addr ip4, ip6;
	uint32_t ifindex;
	uint8_t host_mac[6], pod_mac[6];
};
int checkpoint_save(const char *dir, const struct sandbox *s, struct err *err);
int checkpoint_remove(const char *dir, const char *id, struct err *err);
/*
 * Every checkpoint of dir; an unreadable file is reported to bad (path, why) and left out. One allocation, the
 * caller's. What writes that were cut short left in dir is removed, those of the identities (network_sync.c) too.
 */
int checkpoint_load(const char *dir, struct sandbox **ret, size_t *ret_n,
		    void (*bad)(const char *path, const char *why), struct err *err);
/* A runtime's id is used in file and interface names: letters, digits, '-', '_', '.'; not empty, at most 127. */
bool checkpoint_valid_id(const char *id);

#endif
