/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who uses the tables that all pods share. Counted by reading them whole: tens of milliseconds for full ones, so for
 * people and scrapes, not for each change.
 */
#include "dp-internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <time.h>

#include "abi/ct.h"
#include "abi/nat.h"
#include "abi/svc.h"

struct owner {
	struct ip_addr ip;
	struct dp_use *use;
};

struct count {
	struct owner *owners; /* by address */
	size_t n;
	struct dp_use *others;
	uint32_t now;
};

static int by_ip(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct ip_addr));
}

static struct dp_use *use_of(const struct count *c, const struct ip_addr *ip)
{
	struct owner *o = c->n ? bsearch(ip, c->owners, c->n, sizeof(*o), by_ip) : NULL;

	return o ? o->use : c->others;
}

static bool alive(const struct count *c, uint8_t proto, uint32_t flags, uint32_t last_seen)
{
	return c->now - last_seen <= ct_life(proto == IPPROTO_TCP, flags);
}

static int count_flow(void *arg, const void *key, const void *value)
{
	const struct ct_value *v = value;
	const struct ct_key *k = key;
	const struct count *c = arg;
	bool by_b = v->flags & CT_OPENED_BY_B;
	struct dp_use *opener, *other;

	if (!alive(c, k->proto, v->flags, v->last_seen))
		return 0;
	opener = use_of(c, by_b ? &k->b : &k->a);
	other = use_of(c, by_b ? &k->a : &k->b);
	opener->opened++;
	if (other != c->others)
		other->accepted++;
	return 0;
}

static int count_port(void *arg, const void *key, const void *value)
{
	const struct nat_in_value *v = value;
	const struct nat_in_key *k = key;
	const struct count *c = arg;

	if (alive(c, k->proto, v->flags, v->last_seen))
		use_of(c, &v->pod_ip)->nat_ports++;
	return 0;
}

static int count_service_flow(void *arg, const void *key, const void *value)
{
	const struct svc_flow_key *k = key;
	const struct count *c = arg;

	(void)value;
	use_of(c, &k->client)->service_flows++;
	return 0;
}

static int count_all(struct dp *dp, struct count *c, struct err *err)
{
	static const struct {
		enum dp_map map;
		size_t key, value;
		dp_entry_fn fn;
	} tables[] = {
		{ MAP_FLOWS, sizeof(struct ct_key), sizeof(struct ct_value), count_flow },
		{ MAP_NAT_IN, sizeof(struct nat_in_key), sizeof(struct nat_in_value), count_port },
		{ MAP_SVC_OUT, sizeof(struct svc_flow_key), sizeof(struct backend_choice), count_service_flow },
	};

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		int r = dp_map_each(dp->map_fd[tables[i].map], tables[i].key, tables[i].value, tables[i].fn, c);

		if (r < 0)
			return err_set(err, -r, "map '%s': %s", dp_map_defs[tables[i].map].name, strerror(-r));
	}
	return 0;
}

int dp_use(struct dp *dp, struct dp_use **ret, size_t *ret_n, struct err *err)
{
	cleanup(free) struct dp_endpoint *eps = NULL;
	cleanup(free) struct owner *owners = NULL;
	cleanup(free) struct dp_use *uses = NULL;
	struct count c = { 0 };
	struct timespec now;
	size_t n;
	int r;

	r = dp_endpoint_list(dp, &eps, &n, err);
	if (r < 0)
		return r;
	uses = calloc(n + 1, sizeof(*uses));
	owners = calloc(2 * n + 1, sizeof(*owners));
	if (!uses || !owners)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		const struct ip_addr *ips[] = { &eps[i].ip4, &eps[i].ip6 };

		uses[i + 1].ep_id = eps[i].ep_id;
		for (int k = 0; k < 2; k++)
			if (!ip_is_zero(ips[k]))
				owners[c.n++] = (struct owner){ *ips[k], &uses[i + 1] };
	}
	if (c.n)
		qsort(owners, c.n, sizeof(*owners), by_ip);
	c.owners = owners;
	c.others = &uses[0];
	clock_gettime(CLOCK_MONOTONIC, &now);
	c.now = (uint32_t)(((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec) >> 30);
	r = count_all(dp, &c, err);
	if (r < 0)
		return r;
	*ret = TAKE(uses);
	*ret_n = n + 1;
	return 0;
}

uint32_t dp_flows_room(const struct dp *dp)
{
	return dp->capacity[MAP_FLOWS];
}

uint32_t dp_nat_ports_room(const struct dp *dp)
{
	return dp->capacity[MAP_NAT_IN];
}
