/* SPDX-License-Identifier: Apache-2.0 */
/* Which pod address ranges a new node gets: the lowest free one of each family. Pure. */
#ifndef SKEP_CONTROLLERS_NODEIPAM_PLAN_H
#define SKEP_CONTROLLERS_NODEIPAM_PLAN_H

#include <stddef.h>

enum { NODEIPAM_TEXT = 160 };

/*
 * cluster, services: ranges separated by commas, "10.0.0.0/8,fd00:10::/48"; mask4, mask6: prefix lengths of a node's
 * ranges; taken: the other nodes' ranges, each possibly several separated by commas. What is given lies in a cluster
 * range and overlaps neither a service range nor a taken one; one per range of the cluster, in its order.
 * 0; -ENOSPC: one of the cluster's ranges is used up; -EINVAL: a text is not a range; -ENOMEM. Time is that of sorting
 * the taken ranges.
 */
int nodeipam_plan(const char *cluster, const char *services, int mask4, int mask6, const char *const *taken, size_t n,
		  char ret[NODEIPAM_TEXT]);

#endif
