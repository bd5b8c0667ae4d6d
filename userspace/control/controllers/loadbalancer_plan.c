/* SPDX-License-Identifier: Apache-2.0 */
/* Which addresses a service of type LoadBalancer gets, and who announces them: see loadbalancer_plan.h. */
#include "loadbalancer_plan.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define EXCLUDED "node.kubernetes.io/exclude-from-external-load-balancers"

/* --- pools -------------------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct lb_pool *)a)->name, ((const struct lb_pool *)b)->name);
}

static int by_first(const void *a, const void *b)
{
	const struct ip_range *x = a, *y = b;
	struct ip_at p = { x->family, x->first }, q = { y->family, y->first };

	return ip_at_compare(&p, &q);
}

int lb_pools_new(const struct api_load_balancer_pool *const *v, size_t n, struct lb_pools *ret)
{
	*ret = (struct lb_pools){ .v = calloc(n + 1, sizeof(*ret->v)) };
	if (!ret->v)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct api_load_balancer_pool_spec *spec = &v[i]->spec;
		struct lb_pool *p = &ret->v[ret->n++];

		p->name = strdup(v[i]->metadata.name);
		p->auto_assign = !spec->auto_assign.set || spec->auto_assign.v;
		p->ranges = calloc(spec->n_addresses + 1, sizeof(*p->ranges));
		if (!p->name || !p->ranges) {
			lb_pools_done(ret);
			return -ENOMEM;
		}
		for (size_t k = 0; k < spec->n_addresses; k++)
			if (!ip_range_parse(spec->addresses[k], &p->ranges[p->n_ranges], NULL))
				p->n_ranges++;
		qsort(p->ranges, p->n_ranges, sizeof(*p->ranges), by_first);
	}
	qsort(ret->v, ret->n, sizeof(*ret->v), by_name);
	return 0;
}

void lb_pools_done(struct lb_pools *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free(p->v[i].name);
		free(p->v[i].ranges);
	}
	free(p->v);
	*p = (struct lb_pools){ 0 };
}

const struct lb_pool *lb_pool_find(const struct lb_pools *p, const char *name)
{
	for (size_t i = 0; i < p->n; i++)
		if (streq(p->v[i].name, name))
			return &p->v[i];
	return NULL;
}

bool lb_pool_has(const struct lb_pool *p, const struct ip_at *at)
{
	for (size_t i = 0; i < p->n_ranges; i++)
		if (ip_range_has(&p->ranges[i], at))
			return true;
	return false;
}

/* The pool that has the address: this one if it does, else the first by name. NULL: none. */
static const struct lb_pool *pool_of(const struct lb_pools *pools, const struct ip_at *at, const char *rather)
{
	const struct lb_pool *p = rather ? lb_pool_find(pools, rather) : NULL;

	if (p && lb_pool_has(p, at))
		return p;
	for (size_t i = 0; i < pools->n; i++)
		if (lb_pool_has(&pools->v[i], at))
			return &pools->v[i];
	return NULL;
}

static const struct lb_pool *overlapping(const struct lb_pools *pools, const struct lb_pool *p)
{
	for (size_t i = 0; i < pools->n; i++)
		for (size_t k = 0; &pools->v[i] != p && k < pools->v[i].n_ranges; k++)
			for (size_t j = 0; j < p->n_ranges; j++)
				if (ip_ranges_overlap(&pools->v[i].ranges[k], &p->ranges[j]))
					return &pools->v[i];
	return NULL;
}

void lb_pool_state(const struct lb_pools *pools, const struct lb_pool *p, const struct lb_book *book,
		   const char *const *lost, size_t n_lost, struct lb_pool_state *ret)
{
	const struct lb_pool *other = overlapping(pools, p);

	*ret = (struct lb_pool_state){ 0 };
	for (size_t i = 0; i < p->n_ranges; i++)
		ret->total += ip_range_size(&p->ranges[i]);
	for (size_t i = 0; i < book->n; i++)
		ret->assigned += lb_pool_has(p, &book->v[i].at);
	if (other) {
		ret->reason = "RangesOverlap";
		snprintf(ret->message, sizeof(ret->message),
			 "The ranges overlap those of pool %s: take the common addresses out of one of the two.",
			 other->name);
	} else if (n_lost) {
		size_t len = 0, i = 0;

		ret->reason = "AddressesOutside";
		for (; i < n_lost && i < 5 && len < 400; i++)
			len += (size_t)snprintf(
				ret->message + len, sizeof(ret->message) - len, "%s%.120s",
				i ? ", " : "Services keep addresses that the pool does not have any more: ", lost[i]);
		if (i < n_lost)
			snprintf(ret->message + len, sizeof(ret->message) - len, " and %zu more", n_lost - i);
	} else {
		ret->ready = true;
		ret->reason = ret->assigned < ret->total ? "AddressesFree" : "Exhausted";
		snprintf(ret->message, sizeof(ret->message), "%s",
			 ret->assigned < ret->total ? "The pool has free addresses."
						    : "Every address of the pool is assigned.");
	}
}

/* --- services ----------------------------------------------------------------------------------------------------- */

static bool is_load_balancer(const struct api_service *s)
{
	return streq(s->spec.type, "LoadBalancer");
}

static bool asks_for_us(const struct api_service *s)
{
	return streq(s->spec.load_balancer_class, LB_CLASS);
}

bool lb_served(const struct api_service *s)
{
	const char *class = s->spec.load_balancer_class;

	return is_load_balancer(s) && (!class || !*class || asks_for_us(s));
}

bool lb_marked(const struct api_service *s)
{
	return api_map_get(&s->metadata.annotations, LB_FROM) ||
	       api_map_get(&s->metadata.annotations, SERVICE_ANNOUNCED_BY);
}

size_t lb_shown(const struct api_service *s, struct ip_at *ret, size_t max)
{
	const struct api_load_balancer_status *lb = s->status.load_balancer;
	size_t n = 0;

	for (size_t i = 0; lb && i < lb->n_ingress && n < max; i++)
		if (lb->ingress[i].ip && !ip_at_parse(lb->ingress[i].ip, &ret[n]))
			n++;
	return n;
}

/* The i-th of "a, b" into buf; false: there are not so many. */
static bool list_item(const char *list, size_t i, char *buf, size_t size)
{
	size_t len;

	for (; list && i; i--) {
		list = strchr(list, ',');
		list = list ? list + 1 : NULL;
	}
	buf[0] = '\0';
	if (!list)
		return false;
	list += strspn(list, " ");
	len = strcspn(list, ", ");
	if (len < size) {
		memcpy(buf, list, len);
		buf[len] = '\0';
	}
	return true;
}

const char *lb_from(const struct api_service *s, size_t i, char buf[LB_NAME])
{
	list_item(api_map_get(&s->metadata.annotations, LB_FROM), i, buf, LB_NAME);
	return buf;
}

bool lb_lost(const struct api_service *s, const struct lb_pool *p, struct ip_at *ret)
{
	struct ip_at shown[LB_SHOWN_MAX];
	size_t n = lb_served(s) ? lb_shown(s, shown, LB_SHOWN_MAX) : 0;
	char from[LB_NAME];

	for (size_t i = 0; i < n; i++)
		if (streq(lb_from(s, i, from), p->name) && !lb_pool_has(p, &shown[i])) {
			*ret = shown[i];
			return true;
		}
	return false;
}

struct ask {
	const struct lb_pools *pools;
	const struct lb_book *book;
	const char *key;
	const struct api_service *s;
	const char *pool;		/* asked for by name; NULL */
	struct ip_at ips[LB_SHOWN_MAX]; /* asked for */
	size_t n_ips;
	struct lb_result *ret;
};

/* Only the first reason is told: the user mends one thing at a time. */
__attribute__((format(printf, 2, 3))) static void fail(struct ask *q, const char *fmt, ...)
{
	va_list ap;

	if (q->ret->why[0])
		return;
	va_start(ap, fmt);
	vsnprintf(q->ret->why, sizeof(q->ret->why), fmt, ap);
	va_end(ap);
}

static const char *family_name(int family)
{
	return family == AF_INET ? "IPv4" : "IPv6";
}

static bool has_family(const struct api_service *s, int family)
{
	for (size_t i = 0; i < s->spec.n_ip_families; i++)
		if (streq(s->spec.ip_families[i], family_name(family)))
			return true;
	return false;
}

static void read_ips(struct ask *q)
{
	const char *list = api_map_get(&q->s->metadata.annotations, LB_IPS);
	char text[LB_NAME];

	if (!list || !*list)
		list = q->s->spec.load_balancer_ip;
	if (!list || !*list)
		return;
	for (size_t i = 0; i < LB_SHOWN_MAX && list_item(list, i, text, sizeof(text)); i++) {
		struct ip_at *at = &q->ips[q->n_ips];

		if (ip_at_parse(text, at) < 0)
			fail(q, "\"%.60s\" is no address: write addresses separated by commas", text);
		else if (!has_family(q->s, at->family))
			fail(q, "%s is not of the service's families: add %s to its ipFamilies, or ask for another",
			     text, family_name(at->family));
		else
			q->n_ips++;
	}
}

static bool asks_for_family(const struct ask *q, int family)
{
	for (size_t i = 0; i < q->n_ips; i++)
		if (q->ips[i].family == family)
			return true;
	return false;
}

/* The pool that this address of the service came from, as it was noted then. */
static const char *noted_pool(const struct ask *q, const struct ip_at *at, char buf[LB_NAME])
{
	struct ip_at shown[LB_SHOWN_MAX];
	size_t n = lb_shown(q->s, shown, LB_SHOWN_MAX);

	buf[0] = '\0';
	for (size_t i = 0; i < n; i++)
		if (!ip_at_compare(&shown[i], at))
			return lb_from(q->s, i, buf);
	return buf;
}

static void give(struct ask *q, const struct ip_at *at, const char *pool)
{
	struct lb_given *g = &q->ret->v[q->ret->n++];

	g->at = *at;
	snprintf(g->pool, sizeof(g->pool), "%s", pool);
}

/* It is what the service asks for now. *ret_pool: where it is from, or "". */
static bool still_valid(const struct ask *q, const struct ip_at *at, char ret_pool[LB_NAME])
{
	char noted[LB_NAME];
	const struct lb_pool *p = pool_of(q->pools, at, q->pool ?: noted_pool(q, at, noted));
	bool asked = !asks_for_family(q, at->family);

	/* One that its pool lost keeps that pool's name: the pool's condition tells of it. */
	snprintf(ret_pool, LB_NAME, "%s", p ? p->name : noted_pool(q, at, noted));
	for (size_t i = 0; i < q->n_ips; i++)
		asked |= !ip_at_compare(&q->ips[i], at);
	return asked && *ret_pool && (!q->pool || streq(ret_pool, q->pool));
}

static bool lowest_free(const struct ask *q, const struct lb_pool *p, int family, struct ip_at *ret, bool *ret_any)
{
	for (size_t i = 0; i < p->n_ranges; i++) {
		const struct ip_range *r = &p->ranges[i];

		if (r->family != family)
			continue;
		*ret_any = true;
		*ret = (struct ip_at){ family, r->first };
		while (ret->n < r->last && lb_book_owner(q->book, ret))
			ret->n++;
		if (!lb_book_owner(q->book, ret))
			return true;
	}
	return false;
}

/* One of those asked for. */
static bool take_asked(struct ask *q, int family)
{
	bool told = q->ret->why[0];

	for (size_t i = 0; i < q->n_ips; i++) {
		const struct lb_pool *p = pool_of(q->pools, &q->ips[i], q->pool);
		const char *owner = lb_book_owner(q->book, &q->ips[i]);
		char text[IPRANGE_TEXT];

		if (q->ips[i].family != family)
			continue;
		ip_at_text(&q->ips[i], text);
		if (!p || (q->pool && !streq(p->name, q->pool)))
			fail(q, "%s is not in %s%s: ask for an address that is, or add it there", text,
			     q->pool ? "pool " : "any pool", q->pool ?: "");
		else if (owner && !streq(owner, q->key))
			fail(q, "%s belongs to service %s: ask for another address, or for none to get a free one",
			     text, owner);
		else {
			give(q, &q->ips[i], p->name);
			if (!told)
				q->ret->why[0] = '\0'; /* of those before it */
			return true;
		}
	}
	return false;
}

/* Any of the pool asked for, or of those that are for everybody. *ret_any: they have addresses of this family. */
static bool take_free(struct ask *q, int family, bool *ret_any)
{
	const struct lb_pool *named = q->pool ? lb_pool_find(q->pools, q->pool) : NULL;
	size_t tried = 0;
	struct ip_at at;

	if (q->pool && !named) {
		*ret_any = true;
		fail(q, "there is no LoadBalancerPool %.253s: make it, or mend the annotation " LB_POOL, q->pool);
		return false;
	}
	for (size_t i = 0; i < q->pools->n; i++) {
		const struct lb_pool *p = &q->pools->v[i];

		if (named ? p != named : !p->auto_assign)
			continue;
		tried++;
		if (lowest_free(q, p, family, &at, ret_any)) {
			give(q, &at, p->name);
			return true;
		}
	}
	if (!tried) {
		*ret_any = true;
		fail(q, "no LoadBalancerPool has autoAssign: name one by the annotation " LB_POOL);
	} else if (*ret_any) {
		fail(q, "every %s address of %s%s is assigned: add ranges, or another LoadBalancerPool",
		     family_name(family), named ? "pool " : "the pools with autoAssign", named ? named->name : "");
	}
	return false;
}

/* Whether it got, or should have got, an address of this family; false: there are none. */
static bool plan_family(struct ask *q, int family)
{
	const struct ip_at *kept = NULL;
	char pool[LB_NAME], kept_pool[LB_NAME] = "";
	bool any = false;

	for (size_t i = 0; i < q->book->n; i++) {
		const struct lb_entry *e = &q->book->v[i];

		if (e->at.family != family || !streq(e->owner, q->key))
			continue;
		if (still_valid(q, &e->at, pool)) {
			give(q, &e->at, pool);
			return true;
		}
		if (*pool && !kept) {
			kept = &e->at;
			memcpy(kept_pool, pool, sizeof(pool));
		}
	}
	if (asks_for_family(q, family)) {
		any = true;
		if (take_asked(q, family))
			return true;
	} else if (take_free(q, family, &any)) {
		return true;
	}
	/* What it has goes on working until it can have what it asks for. */
	if (kept)
		give(q, kept, kept_pool);
	return any || kept;
}

/* Its status has addresses that are not ours. */
static bool served_by_others(const struct ask *q)
{
	const struct api_load_balancer_status *lb = q->s->status.load_balancer;
	struct ip_at shown[LB_SHOWN_MAX];
	size_t n = lb_shown(q->s, shown, LB_SHOWN_MAX);

	if (asks_for_us(q->s) || lb_marked(q->s) || !lb || !lb->n_ingress)
		return false;
	for (size_t i = 0; i < n; i++)
		if (pool_of(q->pools, &shown[i], NULL))
			return false;
	return true;
}

void lb_plan(const struct lb_pools *pools, const struct lb_book *book, const char *key, const struct api_service *s,
	     struct lb_result *ret)
{
	struct ask q = { .pools = pools, .book = book, .key = key, .s = s, .ret = ret };
	bool autos = false, mine = lb_marked(s);
	int none = 0;

	*ret = (struct lb_result){ 0 };
	q.pool = api_map_get(&s->metadata.annotations, LB_POOL);
	if (q.pool && !*q.pool)
		q.pool = NULL;
	read_ips(&q);
	for (size_t i = 0; i < book->n && !mine; i++)
		mine = streq(book->v[i].owner, key);
	for (size_t i = 0; i < pools->n; i++)
		autos |= pools->v[i].auto_assign;
	ret->leave = served_by_others(&q) ||
		     (!mine && (!pools->n || (!autos && !q.pool && !q.n_ips && !ret->why[0] && !asks_for_us(s))));
	if (ret->leave) {
		ret->why[0] = '\0';
		return;
	}
	for (size_t i = 0; i < s->spec.n_ip_families && ret->n < 2; i++) {
		int family = streq(s->spec.ip_families[i], "IPv6") ? AF_INET6 : AF_INET;

		if (!plan_family(&q, family))
			none = family;
	}
	if (none && (!ret->n || streq(s->spec.ip_family_policy, "RequireDualStack")))
		fail(&q, "no LoadBalancerPool that it may use has %s addresses: add a range of them",
		     family_name(none));
}

/* --- the announcing node ------------------------------------------------------------------------------------------ */

bool lb_node_fit(const struct api_node *n)
{
	if (n->metadata.deletion_timestamp || api_map_get(&n->metadata.labels, EXCLUDED))
		return false;
	for (size_t i = 0; i < n->status.n_conditions; i++)
		if (streq(n->status.conditions[i].type, "Ready"))
			return streq(n->status.conditions[i].status, "True");
	return false;
}

bool lb_slice_on_node(const struct api_endpoint_slice *es, const char *node)
{
	for (size_t i = 0; i < es->n_endpoints; i++) {
		const struct api_endpoint *e = &es->endpoints[i];

		if (streq(e->node_name, node) && (!e->conditions.ready.set || e->conditions.ready.v) &&
		    !(e->conditions.terminating.set && e->conditions.terminating.v))
			return true;
	}
	return false;
}

/* FNV-1a, then mixed (as splitmix64 ends), since names of nodes differ in their last characters only. */
static uint64_t weight(const char *uid, const char *node)
{
	uint64_t h = 0xcbf29ce484222325;

	for (const char *p = uid; *p; p++)
		h = (h ^ (unsigned char)*p) * 0x100000001b3;
	h = (h ^ '/') * 0x100000001b3;
	for (const char *p = node; *p; p++)
		h = (h ^ (unsigned char)*p) * 0x100000001b3;
	h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9;
	h = (h ^ h >> 27) * 0x94d049bb133111eb;
	return h ^ h >> 31;
}

const char *lb_elect(const char *uid, const char *present, const char *const *nodes, size_t n)
{
	const char *best = NULL;
	uint64_t best_weight = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t w = weight(uid, nodes[i]);

		if (streq(nodes[i], present))
			return nodes[i];
		if (!best || w > best_weight || (w == best_weight && strcmp(nodes[i], best) < 0)) {
			best = nodes[i];
			best_weight = w;
		}
	}
	return best;
}
