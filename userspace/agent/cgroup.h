/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control groups of the node and its pods: <root>/pods/pod<uid> in every hierarchy that is mounted (v1, hybrid or
 * pure v2), with limits for pods whose containers all have them. Only below the node's root is anything made, changed
 * or removed.
 */
#ifndef SKEP_AGENT_CGROUP_H
#define SKEP_AGENT_CGROUP_H

#include <stdint.h>

#include "../lib/base/arena.h"
#include "../lib/base/err.h"

#define CGROUP_V2_MISSING "no cgroup v2 hierarchy is mounted: mount one (mount -t cgroup2 none /sys/fs/cgroup/unified)"

struct cgroups;
/* root: path below the hierarchies, "/skep/default/node-1". Makes <root>/pods everywhere. */
int cgroups_new(const char *root, struct cgroups **ret, struct err *err);
void cgroups_free(struct cgroups *cg);
const char *cgroups_v2_dir(const struct cgroups *cg); /* the node's directory in the unified hierarchy; NULL: none */
char *cgroups_pod_path(const struct cgroups *cg, const char *uid, struct arena *a); /* for CRI's cgroup_parent */
/* cpu_request in thousandths; limits 0: none. Making what exists sets its limits again. */
int cgroups_pod_make(const struct cgroups *cg, const char *uid, int64_t cpu_request, int64_t cpu_limit,
		     int64_t memory_limit, struct err *err);
/* -EBUSY while a process is still there. */
int cgroups_pod_remove(const struct cgroups *cg, const char *uid, struct err *err);

/* path: of a group that is there, below the unified hierarchy, "/" for all. *ret: its directory, free(). */
int cgroup_v2_find(const char *path, char **ret, struct err *err);

int64_t cgroup_shares(int64_t cpu_milli); /* v1 cpu.shares */
int64_t cgroup_quota(int64_t cpu_milli);  /* microseconds in 100 ms */
int64_t cgroup_weight(int64_t shares);	  /* v2 cpu.weight */

#endif
