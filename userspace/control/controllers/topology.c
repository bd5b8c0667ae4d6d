/* SPDX-License-Identifier: Apache-2.0 */
/* See topology.h. */
#include "topology.h"

#include <math.h>
#include <stdlib.h>

#include "base/cleanup.h"

#define OVERLOAD 0.2

/* A zone's share of the endpoints, and how many it lacks (less than 0: has too many). */
struct share {
	double want, lacks;
};

/* The zone that lacks most (sign 1), or has most too many (-1). */
static size_t most(const struct share *shares, size_t n, double sign)
{
	size_t found = 0;

	for (size_t i = 1; i < n; i++)
		if (sign * shares[i].lacks > sign * shares[found].lacks)
			found = i;
	return found;
}

/* Some endpoint that is there for its own zone, the last one. */
static size_t endpoint_of(size_t zone, const size_t *hint, size_t n)
{
	while (n && hint[n - 1] != zone)
		n--;
	return n ? n - 1 : TOPOLOGY_NO_ZONE;
}

/* One after the other goes from where most are too many to where most are lacking, as long as that is any better. */
static void even_out(struct share *shares, size_t n_zones, size_t *hint, size_t n)
{
	for (size_t moves = 0; moves < n; moves++) {
		size_t from = most(shares, n_zones, -1), to = most(shares, n_zones, 1), i;
		double gives = -shares[from].lacks, takes = shares[to].lacks;

		if (gives < 0.5 || takes < 0.5 || (gives < 1 && takes < 1))
			return;
		i = endpoint_of(from, hint, n);
		if (i == TOPOLOGY_NO_ZONE)
			return;
		hint[i] = to;
		shares[from].lacks++;
		shares[to].lacks--;
	}
}

const char *topology_hints(const struct topology_zone *zones, size_t n_zones, const size_t *at, size_t n, size_t *hint)
{
	cleanup(free) struct share *shares = calloc(n_zones + 1, sizeof(*shares));
	double cpu = 0, least = 0;

	if (!shares)
		return "out of memory";
	for (size_t z = 0; z < n_zones; z++)
		cpu += (double)zones[z].cpu_milli;
	if (n_zones < 2 || cpu <= 0)
		return "the nodes are in fewer than two zones, or one has no zone or no CPUs";
	for (size_t z = 0; z < n_zones; z++) {
		shares[z].want = shares[z].lacks = (double)n * (double)zones[z].cpu_milli / cpu;
		least += ceil(shares[z].want / (1 + OVERLOAD));
	}
	if (n < n_zones || least > (double)n)
		return "there are too few endpoints for the zones to have their share";
	for (size_t i = 0; i < n; i++) {
		if (at[i] >= n_zones)
			return "an endpoint is on a node without a zone";
		hint[i] = at[i];
		shares[at[i]].lacks--;
	}
	even_out(shares, n_zones, hint, n);
	for (size_t z = 0; z < n_zones; z++)
		if (shares[z].want - shares[z].lacks < ceil(shares[z].want / (1 + OVERLOAD)))
			return "there are too few endpoints for the zones to have their share";
	return NULL;
}
