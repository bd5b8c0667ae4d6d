/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters of pods, and the one way to drop a packet.
 *
 * Map `pod_counters` (per-CPU array, index ep_id): written here for every packet that passes, read by the agent.
 * ep_id 0: unused.
 * Map `drop_windows` (per-CPU array, index reason): how many events this CPU has emitted in this second; only here.
 * Map `drop_events` (ring buffer): written here, consumed by the agent. Full, or too many of one reason: the event is
 * not written; the counters still have it.
 */
#ifndef SKEP_BPF_DROP_H
#define SKEP_BPF_DROP_H

#include "drop_counters.h"
#include "packet.h"
#include "abi/metrics.h"
#include "abi/policy.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct pod_counters);
} pod_counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct drop_window);
} drop_windows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} drop_events SEC(".maps");

_Static_assert(DROP_N_REASONS <= 64, "drop_windows is indexed by reason");

static __always_inline void count_pod(struct __sk_buff *skb, __u32 ep_id, __u32 dir)
{
	struct pod_counters *c = bpf_map_lookup_elem(&pod_counters, &ep_id);

	if (c) {
		c->packets[dir & 1]++;
		c->bytes[dir & 1] += skb->len;
	}
}

static __noinline_prog void drop_emit(const struct packet *p, __u32 reason, __u32 direction)
{
	struct drop_window *w = bpf_map_lookup_elem(&drop_windows, &reason);
	struct drop_event *ev;
	__u32 window = now_units();

	if (!w)
		return;
	if (w->window != window) {
		w->window = window;
		w->emitted = 0;
	}
	if (w->emitted >= DROP_EVENTS_PER_WINDOW)
		return;
	w->emitted++;
	ev = bpf_ringbuf_reserve(&drop_events, sizeof(*ev), 0);
	if (!ev)
		return;
	ev->time_ns = bpf_ktime_get_ns();
	ev->src = p->src;
	ev->dst = p->dst;
	ev->sport = p->sport;
	ev->dport = p->dport;
	ev->proto = p->proto;
	ev->reason = reason;
	ev->direction = direction;
	ev->pad = 0;
	ev->ep_id = p->ep_id;
	ev->src_identity = p->src_identity;
	ev->dst_identity = p->dst_identity;
	ev->rule_id = p->rule_id;
	bpf_ringbuf_submit(ev, 0);
}

__verified_once int drop(struct __sk_buff *skb, const struct packet *p, __u32 reason, __u32 direction)
{
	if (!p)
		return TC_ACT_SHOT;
	count_drop(p->ep_id, reason, direction, skb->len);
	drop_emit(p, reason, direction);
	return TC_ACT_SHOT;
}

#endif
