/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No pod takes the tables that all share from the others. While live entries fill most of one, a pod that has more than
 * its share of it opens no new flows; those that it has go on. Entries of the dead do not count, since they are what
 * the kernel evicts.
 */
#include "dp-internal.h"

#include <errno.h>
#include <string.h>

#include "abi/ct.h"

/* Of a table's capacity, in per cent. Between the two last ones a pod stays as it is, so that nobody flaps. */
enum { PRESSURE = 75, SHARE = 25, RELIEF = 20 };

static uint64_t per_cent(uint64_t n, uint64_t of)
{
	return of ? n * 100 / of : 0;
}

/* Of one table: more than its share, less than that, or in between (as it was). */
static bool too_much(uint64_t has, uint64_t all, uint64_t capacity, bool was)
{
	if (per_cent(all, capacity) < (was ? SHARE : PRESSURE))
		return false;
	return per_cent(has, capacity) >= (was ? RELIEF : SHARE);
}

int dp_share(struct dp *dp, dp_share_fn *fn, void *arg, struct err *err)
{
	uint64_t flows = 0, ports = 0, room = dp->capacity[MAP_FLOWS], port_room = dp->capacity[MAP_NAT_IN];
	cleanup(free) struct dp_use *uses = NULL;
	int fd = dp->map_fd[MAP_OVER_SHARE];
	size_t n;
	int r;

	r = dp_writable(dp, err);
	if (r == 0)
		r = dp_use(dp, &uses, &n, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		flows += uses[i].opened;
		ports += uses[i].nat_ports;
	}
	for (size_t i = 0; i < n; i++) {
		struct over_share value = { .flows = uses[i].opened, .nat_ports = uses[i].nat_ports }, old;
		bool was, over;

		if (!uses[i].ep_id)
			continue;
		was = bpf_map_lookup_elem(fd, &uses[i].ep_id, &old) == 0;
		over = too_much(uses[i].opened, flows, room, was) || too_much(uses[i].nat_ports, ports, port_room, was);
		if (over != was)
			r = over ? bpf_map_update_elem(fd, &uses[i].ep_id, &value, BPF_ANY)
				 : bpf_map_delete_elem(fd, &uses[i].ep_id);
		if (r < 0)
			return err_set(err, -r, "map 'over_share': %s", strerror(-r));
		if (over != was)
			fn(arg, &uses[i], over);
	}
	return 0;
}
