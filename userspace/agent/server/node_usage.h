/* SPDX-License-Identifier: Apache-2.0 */
/* What the whole machine uses, from /proc: of a cluster on one machine each node says the same, as of its capacity. */
#ifndef SKEP_AGENT_SERVER_NODE_USAGE_H
#define SKEP_AGENT_SERVER_NODE_USAGE_H

#include <stdint.h>

struct node_usage {
	uint64_t cpu_ns; /* since boot, all processors; idle, waiting and stolen time left out */
	uint64_t memory_bytes, memory_available; /* used: what could not be had without swapping */
};

/* The texts of /proc/stat and /proc/meminfo. -EINVAL: a line that is needed is not there. */
int node_usage_parse(const char *stat, const char *meminfo, long ticks_per_second, struct node_usage *ret);
int node_usage_read(struct node_usage *ret);

#endif
