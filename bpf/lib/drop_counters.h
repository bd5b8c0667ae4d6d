/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Map `drop_counters` (per-CPU hash): written by all programs, read by the agent. Missing entry: no such drop yet.
 * Full: the drop is counted under ep_id 0, whose entries the agent makes when it creates the map.
 */
#ifndef SKEP_BPF_DROP_COUNTERS_H
#define SKEP_BPF_DROP_COUNTERS_H

#include "base.h"
#include "abi/drop.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct drop_key);
	__type(value, struct drop_value);
} drop_counters SEC(".maps");

static __always_inline void count_drop(__u32 ep_id, __u32 reason, __u32 direction, __u32 bytes)
{
	struct drop_key key = { .ep_id = ep_id, .reason = reason, .direction = direction };
	struct drop_value *v, first = { .packets = 1, .bytes = bytes };

	v = bpf_map_lookup_elem(&drop_counters, &key);
	if (!v) {
		if (bpf_map_update_elem(&drop_counters, &key, &first, BPF_NOEXIST) == 0)
			return;
		/* Full, or another CPU was faster. */
		v = bpf_map_lookup_elem(&drop_counters, &key);
		if (!v) {
			key.ep_id = 0;
			v = bpf_map_lookup_elem(&drop_counters, &key);
		}
	}
	if (v) {
		v->packets++;
		v->bytes += bytes;
	}
}

#endif
