/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The periodic comparison of the maps with what this agent remembers having written. A difference means that somebody
 * else wrote (or a fault of ours): memory is set to what the map holds, so that the next sync sees a difference like
 * any other and repairs it. Services need none of this, since each sync reads their maps.
 */
#include <stdlib.h>
#include <string.h>

#include "../lib/base/cleanup.h"
#include "../lib/base/log.h"
#include "../lib/base/str.h"
#include "network-internal.h"

static void found(struct network *n, const char *map, const char *what)
{
	n->repairs++;
	log_warn("map '%s': %s was not as written, repairing it", map, what);
}

static void compare_addresses(struct network *n)
{
	cleanup(free) struct dp_ipcache_entry *list = NULL;
	size_t count;

	if (dp_ipcache_list(n->dp, &list, &count, NULL) < 0)
		return;
	for (struct strmap_iter it = { 0 }; strmap_next(n->ipcache, &it);)
		((struct cached *)it.value)->seen = false;
	for (size_t i = 0; i < count; i++) {
		char text[INET6_ADDRSTRLEN];
		struct cached *c = strmap_get(n->ipcache, ip_text(&list[i].ip, text));

		if (!c) {
			c = calloc(1, sizeof(*c));
			if (!c || strmap_set(n->ipcache, text, c, NULL) < 0) {
				free(c);
				return;
			}
			c->e = list[i];
			found(n, "ipcache", text);
		} else if (c->e.identity != list[i].identity || !ip_equal(&c->e.node, &list[i].node)) {
			c->e = list[i];
			found(n, "ipcache", text);
		}
		c->seen = true;
	}
	for (struct strmap_iter it = { 0 }; strmap_next(n->ipcache, &it);) {
		struct cached *c = it.value;

		if (c->seen)
			continue;
		found(n, "ipcache", it.key);
		strmap_del(n->ipcache, it.key);
		free(c);
	}
}

static void compare_cidrs(struct network *n)
{
	cleanup(free) struct dp_cidr_entry *list = NULL;
	struct policy_cidr *have;
	size_t count, matching = 0;

	if (dp_cidr_list(n->dp, &list, &count, NULL) < 0)
		return;
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < n->n_cidrs; k++)
			matching += list[i].len == n->cidrs[k].len && list[i].identity == n->cidrs[k].identity &&
				    ip_equal(&list[i].ip, &n->cidrs[k].ip);
	if (matching == count && matching == n->n_cidrs)
		return;
	have = calloc(count + 1, sizeof(*have));
	if (!have)
		return;
	for (size_t i = 0; i < count; i++)
		have[i] = (struct policy_cidr){ list[i].ip, list[i].len, list[i].identity };
	free(n->cidrs);
	n->cidrs = have;
	n->n_cidrs = count;
	found(n, "cidrs", "a prefix");
}

static bool endpoint_is(const struct dp_endpoint *ep, const struct local *l)
{
	return ep->ifindex == l->s.ifindex && ep->identity == l->identity && ip_equal(&ep->ip4, &l->s.ip4) &&
	       ip_equal(&ep->ip6, &l->s.ip6);
}

static void compare_endpoints(struct network *n)
{
	cleanup(free) struct dp_endpoint *list = NULL;
	const struct dp_map_fill *fill;
	size_t count, n_fill, with_policy = 0;

	if (dp_endpoint_list(n->dp, &list, &count, NULL) < 0)
		return;
	for (struct strmap_iter it = { 0 }; strmap_next(n->locals, &it);) {
		struct local *l = it.value;
		bool right = false;

		with_policy += l->policy_hash != 0;
		for (size_t i = 0; i < count && !right; i++)
			right = list[i].ep_id == l->s.number && endpoint_is(&list[i], l);
		if (l->in_maps && !right) {
			found(n, "pods_by_ifindex", l->s.id);
			l->in_maps = false;
		}
	}
	/* Tries cannot be read back cheaply; one that is missing shows in their number. */
	if (dp_map_fill(n->dp, &fill, &n_fill, NULL) < 0)
		return;
	for (size_t i = 0; i < n_fill; i++) {
		if (!streq(fill[i].name, "policies") || fill[i].entries >= with_policy)
			continue;
		found(n, "policies", "a pod's policy");
		for (struct strmap_iter it = { 0 }; strmap_next(n->locals, &it);)
			((struct local *)it.value)->policy_hash = 0;
	}
}

void network_compare(struct network *n)
{
	compare_addresses(n);
	compare_cidrs(n);
	compare_endpoints(n);
}
