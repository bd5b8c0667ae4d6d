/* SPDX-License-Identifier: Apache-2.0 */
/* Counters. */
#ifndef SKEP_ABI_METRICS_H
#define SKEP_ABI_METRICS_H

#include <linux/types.h>

/* Of a pod's traffic, per CPU, under its ep_id. Index of the arrays: 0 = from the pod, 1 = to the pod. */
struct pod_counters {
	__u64 packets[2];
	__u64 bytes[2];
};
_Static_assert(sizeof(struct pod_counters) == 32, "pod_counters is map ABI");

/* What xdp_lb has sent on, per CPU; without tunnel headers. */
struct xdp_counters {
	__u64 packets, bytes;
};
_Static_assert(sizeof(struct xdp_counters) == 16, "xdp_counters is map ABI");

#endif
