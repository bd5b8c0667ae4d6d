/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node with two pods for benchmarks, on plain veth and the kernel's forwarding: the calling process moves into a
 * network namespace of its own, the pods are the namespaces p1 (10.0.1.1) and p2 (10.0.1.2). A BPF file system and a
 * control group are there for a data plane. All of it goes when the process that made it exits.
 */
#ifndef SKEP_BENCH_PAIR_H
#define SKEP_BENCH_PAIR_H

#include <stdint.h>

#include "agent/dp/dp-internal.h"

#define PAIR_CLIENT 0x0a000101u
#define PAIR_SERVER 0x0a000102u

struct pair {
	struct dp *dp; /* NULL: off */
	struct dp_config config;
	char dir[64], pin_dir[96], cgroup[128], cgroup_root[64];
	int home; /* the node's network namespace */
};
extern struct pair pair;
extern struct err pair_error;

__attribute__((noreturn, format(printf, 1, 2))) void pair_fail(const char *fmt, ...);
void pair_up(const char *name, uint32_t max_services); /* max_services 0: the default */
void pair_dp_on(void);				       /* programs of the node and its sockets; not of the pods */
void pair_dp_off(void);
void pair_enter(const char *ns); /* "p1", "p2"; NULL: the node */
void pair_join(const char *cgroup);
void pair_sh(const char *cmd);
struct ip_addr pair_v4(uint32_t host_order);
uint64_t pair_now_ns(void);

#endif
