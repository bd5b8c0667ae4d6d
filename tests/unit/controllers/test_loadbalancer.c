/* SPDX-License-Identifier: Apache-2.0 */
/* Load balancers: which addresses services get, keep and give back, what pools say, and which node announces. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "control/controllers/loadbalancer_plan.h"
#include "../documents.h"

/* A cluster: pools, and services by name with what the book says. */
struct world {
	struct arena arena;
	struct lb_pools pools;
	struct lb_book book;
};

static void *typed(struct world *w, const struct api_type *type, const char *yaml)
{
	struct err err = ERR_INIT;
	json_t *obj = from_yaml(yaml);
	void *out = NULL;

	cr_assert_eq(api_decode(type, obj, &w->arena, &out, &err), 0, "%s: %s", err.msg, yaml);
	json_decref(obj);
	return out;
}

/* "name: [ranges]" or "name!: [ranges]" without autoAssign; ends with NULL. */
static void set_pools(struct world *w, const char *const *texts)
{
	const struct api_load_balancer_pool *v[8];
	size_t n = 0;

	lb_pools_done(&w->pools);
	for (; texts[n]; n++) {
		const char *colon = strchr(texts[n], ':');
		bool no = colon[-1] == '!';
		char yaml[600];

		snprintf(yaml, sizeof(yaml), "{metadata: {name: '%.*s'}, spec: {addresses: %s, autoAssign: %s}}",
			 (int)(colon - texts[n] - no), texts[n], colon + 1, no ? "false" : "true");
		v[n] = typed(w, &api_type_load_balancer_pool, yaml);
	}
	cr_assert_eq(lb_pools_new(v, n, &w->pools), 0);
}
#define POOLS(w, ...) set_pools(w, (const char *const[]){ __VA_ARGS__, NULL })

static void world_done(struct world *w)
{
	lb_pools_done(&w->pools);
	lb_book_done(&w->book);
	arena_done(&w->arena);
}

/* annotations, spec and ingress: YAML without the outer braces. */
static const struct api_service *service(struct world *w, const char *name, const char *annotations, const char *spec,
					 const char *ingress)
{
	char yaml[1500];

	snprintf(
		yaml, sizeof(yaml),
		"{metadata: {name: %s, namespace: default, uid: uid-%s, annotations: {%s}}, spec: {type: LoadBalancer, "
		"%s}, status: {loadBalancer: {ingress: [%s]}}}",
		name, name, annotations, spec, ingress);
	return typed(w, &api_type_service, yaml);
}

/* What the informer's event does. */
static bool show(struct world *w, const char *key, const struct api_service *s)
{
	struct ip_at shown[8];
	bool changed;

	cr_assert_eq(lb_book_show(&w->book, key, shown, lb_shown(s, shown, 8), &changed), 0);
	return changed;
}

/* What the controller does: plans and takes. "address@pool ..." and "! why". */
static const char *given(struct world *w, const char *name, const char *annotations, const char *spec,
			 const char *ingress)
{
	static char out[1200];
	const struct api_service *s = service(w, name, annotations, spec, ingress);
	struct lb_result r;
	struct ip_at ats[2];
	char key[300];
	size_t len = 0;

	snprintf(key, sizeof(key), "default/%s", name);
	cr_assert(lb_served(s));
	show(w, key, s);
	lb_plan(&w->pools, &w->book, key, s, &r);
	if (r.leave)
		return "left";
	out[0] = '\0';
	for (size_t i = 0; i < r.n; i++) {
		char text[IPRANGE_TEXT];

		cr_assert_eq(lb_book_take(&w->book, &r.v[i].at, key), 0);
		ats[i] = r.v[i].at;
		len += (size_t)snprintf(out + len, sizeof(out) - len, "%s%s@%s", i ? " " : "",
					ip_at_text(&r.v[i].at, text), r.v[i].pool);
	}
	lb_book_settle(&w->book, key, ats, r.n);
	if (r.why[0])
		snprintf(out + len, sizeof(out) - len, "%s! %s", len ? " " : "", r.why);
	return out;
}

#define V4   "ipFamilies: [IPv4]"
#define V6   "ipFamilies: [IPv6]"
#define BOTH "ipFamilies: [IPv4, IPv6], ipFamilyPolicy: PreferDualStack"
#define SAY(want, call)                                                                                                \
	do {                                                                                                           \
		const char *say_got_ = (call);                                                                         \
		cr_assert(streq(say_got_, want), "'%s', not '%s'", say_got_, want);                                    \
	} while (0)
#define PART(want, call)                                                                                               \
	do {                                                                                                           \
		const char *part_got_ = (call);                                                                        \
		cr_assert(strstr(part_got_, want), "'%s' is not in '%s'", want, part_got_);                            \
	} while (0)

Test(loadbalancer, the_lowest_free_address_of_the_first_pool_by_name)
{
	struct world w = { 0 };

	POOLS(&w, "b: [192.0.2.0/30]", "a: [198.51.100.9-198.51.100.10, 198.51.100.7/32]", "c!: [203.0.113.0/24]");
	SAY("198.51.100.7@a", given(&w, "s1", "", V4, ""));
	SAY("198.51.100.9@a", given(&w, "s2", "", V4, ""));
	SAY("198.51.100.7@a", given(&w, "s1", "", V4, "")); /* pending: the same again */
	SAY("198.51.100.10@a", given(&w, "s3", "", V4, ""));
	SAY("192.0.2.0@b", given(&w, "s4", "", V4, ""));
	SAY("203.0.113.0@c", given(&w, "s5", LB_POOL ": c", V4, ""));
	SAY("192.0.2.1@b", given(&w, "s6", LB_POOL ": b", V4, ""));
	SAY("! there is no LoadBalancerPool d: make it, or mend the annotation " LB_POOL,
	    given(&w, "s7", LB_POOL ": d", V4, ""));
	world_done(&w);
}

Test(loadbalancer, addresses_are_kept_over_restarts_and_changes_of_pools)
{
	struct world w = { 0 };

	POOLS(&w, "a: [192.0.2.0/29]", "b: [198.51.100.0/29]");
	/* as after a restart: the book is what the services say */
	SAY("192.0.2.5@a", given(&w, "s1", LB_FROM ": a", V4, "{ip: 192.0.2.5, ipMode: VIP}"));
	SAY("192.0.2.0@a", given(&w, "s2", "", V4, ""));
	/* a pool that comes before it changes nothing */
	POOLS(&w, "0: [203.0.113.0/29]", "a: [192.0.2.0/29]");
	SAY("192.0.2.5@a", given(&w, "s1", LB_FROM ": a", V4, "{ip: 192.0.2.5, ipMode: VIP}"));
	/* the pool loses it, or goes: the service keeps it */
	POOLS(&w, "a: [192.0.2.0/30]");
	SAY("192.0.2.5@a", given(&w, "s1", LB_FROM ": a", V4, "{ip: 192.0.2.5, ipMode: VIP}"));
	SAY("192.0.2.5@a", given(&w, "s1", LB_FROM ": a, " LB_POOL ": a", V4, "{ip: 192.0.2.5, ipMode: VIP}"));
	POOLS(&w, NULL);
	SAY("192.0.2.5@a", given(&w, "s1", LB_FROM ": a", V4, "{ip: 192.0.2.5, ipMode: VIP}"));
	/* another pool has it now */
	POOLS(&w, "b: [192.0.2.0/24]");
	SAY("192.0.2.5@b", given(&w, "s1", LB_FROM ": a", V4, "{ip: 192.0.2.5, ipMode: VIP}"));
	/* another pool is asked for: it moves as soon as it can */
	POOLS(&w, "a: [192.0.2.0/29]", "b!: [198.51.100.1/32]");
	SAY("198.51.100.1@b", given(&w, "s9", LB_POOL ": b", V4, ""));
	PART("192.0.2.5@a ! every IPv4 address of pool b is assigned",
	     given(&w, "s1", LB_FROM ": a, " LB_POOL ": b", V4, "{ip: 192.0.2.5, ipMode: VIP}"));
	cr_assert(lb_book_drop(&w.book, "default/s9"));
	SAY("198.51.100.1@b", given(&w, "s1", LB_FROM ": a, " LB_POOL ": b", V4, "{ip: 192.0.2.5, ipMode: VIP}"));
	world_done(&w);
}

Test(loadbalancer, addresses_that_are_asked_for)
{
	struct world w = { 0 };

	POOLS(&w, "a: [192.0.2.0/29]", "b!: [198.51.100.0/29, '2001:db8::/120']");
	SAY("192.0.2.3@a", given(&w, "s1", LB_IPS ": 192.0.2.3", V4, ""));
	SAY("192.0.2.4@a", given(&w, "s2", "", "loadBalancerIP: 192.0.2.4, " V4, ""));
	SAY("198.51.100.5@b 2001:db8::9@b",
	    given(&w, "s3", LB_IPS ": '2001:db8::9, 198.51.100.5'", "loadBalancerIP: 192.0.2.6, " BOTH, ""));
	/* whoever takes the lowest passes over them */
	for (int i = 0; i < 3; i++) {
		char name[8];

		snprintf(name, sizeof(name), "f%d", i);
		given(&w, name, "", V4, "");
	}
	SAY("192.0.2.5@a", given(&w, "s4", "", V4, ""));
	SAY("! 192.0.2.3 belongs to service default/s1: ask for another address, or for none to get a free one",
	    given(&w, "s5", LB_IPS ": 192.0.2.3", V4, ""));
	SAY("192.0.2.6@a", given(&w, "s6", LB_IPS ": '192.0.2.3,192.0.2.6'", V4, ""));
	PART("203.0.113.1 is not in any pool", given(&w, "s7", LB_IPS ": 203.0.113.1", V4, ""));
	PART("192.0.2.7 is not in pool b", given(&w, "s8", LB_POOL ": b, " LB_IPS ": 192.0.2.7", V4, ""));
	PART("2001:db8::1 is not of the service's families", given(&w, "s9", LB_IPS ": '2001:db8::1'", V4, ""));
	PART("\"nonsense\" is no address", given(&w, "s10", LB_IPS ": nonsense", V4, ""));
	/* a running service that asks for another one gets it, or keeps what it has until then */
	PART("192.0.2.3@a ! 192.0.2.4 belongs to service default/s2",
	     given(&w, "s1", LB_FROM ": a, " LB_IPS ": 192.0.2.4", V4, "{ip: 192.0.2.3}"));
	SAY("198.51.100.0@b", given(&w, "s1", LB_FROM ": a, " LB_IPS ": 198.51.100.0", V4, "{ip: 192.0.2.3}"));
	world_done(&w);
}

Test(loadbalancer, both_families)
{
	struct world w = { 0 };

	POOLS(&w, "a: [192.0.2.0/31, '2001:db8::5-2001:db8::6']");
	SAY("192.0.2.0@a 2001:db8::5@a", given(&w, "s1", "", BOTH, ""));
	SAY("2001:db8::6@a 192.0.2.1@a", given(&w, "s2", "", "ipFamilies: [IPv6, IPv4]", ""));
	PART("! every IPv4 address", given(&w, "s3", "", BOTH, ""));
	/* one family without any range is no failure, but of a service that must have both */
	POOLS(&w, "a: [192.0.2.0/29]");
	SAY("192.0.2.2@a", given(&w, "s4", "", BOTH, ""));
	PART("192.0.2.3@a ! no LoadBalancerPool that it may use has IPv6 addresses",
	     given(&w, "s5", "", "ipFamilyPolicy: RequireDualStack, ipFamilies: [IPv4, IPv6]", ""));
	SAY("! no LoadBalancerPool that it may use has IPv6 addresses: add a range of them",
	    given(&w, "s6", "", V6, ""));
	/* and a range that comes later serves them */
	POOLS(&w, "a: [192.0.2.0/29]", "six: ['2001:db8:6::/126']");
	SAY("192.0.2.2@a 2001:db8:6::@six", given(&w, "s4", LB_FROM ": a", BOTH, "{ip: 192.0.2.2}"));
	/* a family that the service gives up goes back */
	SAY("192.0.2.2@a", given(&w, "s4", LB_FROM ": 'a,six'", V4, "{ip: 192.0.2.2}"));
	SAY("2001:db8:6::@six", given(&w, "s7", "", V6, ""));
	world_done(&w);
}

Test(loadbalancer, exhaustion_and_release)
{
	struct world w = { 0 };

	POOLS(&w, "a: [192.0.2.0/31]", "b!: [198.51.100.0/24]");
	SAY("192.0.2.0@a", given(&w, "s1", "", V4, ""));
	SAY("192.0.2.1@a", given(&w, "s2", "", V4, ""));
	SAY("! every IPv4 address of the pools with autoAssign is assigned: add ranges, or another LoadBalancerPool",
	    given(&w, "s3", "", V4, ""));
	cr_assert(lb_book_drop(&w.book, "default/s1"));
	cr_assert(!lb_book_drop(&w.book, "default/s1"));
	SAY("192.0.2.0@a", given(&w, "s3", "", V4, ""));
	/* the last addresses there are */
	POOLS(&w, "z: [255.255.255.254/32, 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128']");
	SAY("255.255.255.254@z ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff@z", given(&w, "s4", "", BOTH, ""));
	PART("! every IPv4 address", given(&w, "s5", "", BOTH, ""));
	world_done(&w);
}

Test(loadbalancer, what_others_serve_is_left_alone)
{
	struct world w = { 0 };
	static const struct {
		const char *spec;
		bool served;
	} t[] = {
		{ "type: LoadBalancer", true },
		{ "{type: LoadBalancer, loadBalancerClass: skep.io/l2}", true },
		{ "{type: LoadBalancer, loadBalancerClass: example.com/lb}", false },
		{ "type: NodePort", false },
		{ "type: ClusterIP", false },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		char yaml[200];

		snprintf(yaml, sizeof(yaml), "{metadata: {name: s}, spec: %s%s%s}", strchr(t[i].spec, '{') ? "" : "{",
			 t[i].spec, strchr(t[i].spec, '{') ? "" : "}");
		cr_assert_eq(lb_served(typed(&w, &api_type_service, yaml)), t[i].served, "%s", yaml);
	}
	/* no pool at all, or none for everybody: nothing is said */
	SAY("left", given(&w, "s1", "", V4, ""));
	SAY("left", given(&w, "s1", LB_POOL ": a", V4, ""));
	SAY("left", given(&w, "s1", "", "loadBalancerClass: skep.io/l2, " V4, ""));
	POOLS(&w, "a!: [192.0.2.0/24]");
	SAY("left", given(&w, "s1", "", V4, ""));
	PART("! no LoadBalancerPool has autoAssign", given(&w, "s1", "", "loadBalancerClass: skep.io/l2, " V4, ""));
	/* addresses of another controller */
	POOLS(&w, "a: [192.0.2.0/24]");
	SAY("left", given(&w, "s2", "", V4, "{ip: 203.0.113.9}"));
	SAY("left", given(&w, "s3", "", V4, "{hostname: lb.example.com}"));
	SAY("192.0.2.0@a", given(&w, "s4", "", "loadBalancerClass: skep.io/l2, " V4, "{ip: 203.0.113.10}"));
	/* one of another controller that is in a pool belongs to its service */
	show(&w, "default/alien",
	     service(&w, "alien", "", "loadBalancerClass: example.com/lb, " V4, "{ip: 192.0.2.1}"));
	SAY("192.0.2.2@a", given(&w, "s5", "", V4, ""));
	world_done(&w);
}

Test(loadbalancer, two_services_never_share)
{
	struct world w = { 0 };
	const struct api_service *stale;

	POOLS(&w, "a: [192.0.2.0/29]");
	/* both claim it in their status: the first seen has it */
	SAY("192.0.2.3@a", given(&w, "s1", LB_FROM ": a", V4, "{ip: 192.0.2.3}"));
	SAY("192.0.2.0@a", given(&w, "s2", LB_FROM ": a", V4, "{ip: 192.0.2.3}"));
	/* a pending address outlives events that do not show it yet, and is settled by one that does */
	SAY("192.0.2.1@a", given(&w, "s3", "", V4, ""));
	stale = service(&w, "s3", "", V4, "");
	cr_assert(!show(&w, "default/s3", stale));
	SAY("192.0.2.2@a", given(&w, "s4", "", V4, ""));
	cr_assert(show(&w, "default/s3", service(&w, "s3", LB_FROM ": a", V4, "{ip: 192.0.2.1}")));
	cr_assert(!show(&w, "default/s3", service(&w, "s3", LB_FROM ": a", V4, "{ip: 192.0.2.1}")));
	cr_assert(show(&w, "default/s3", stale));
	SAY("192.0.2.1@a", given(&w, "s5", "", V4, ""));
	world_done(&w);
}

static struct lb_pool_state state_of(struct world *w, const char *pool, const char *const *lost, size_t n_lost)
{
	struct lb_pool_state s;

	lb_pool_state(&w->pools, lb_pool_find(&w->pools, pool), &w->book, lost, n_lost, &s);
	return s;
}

Test(loadbalancer, pools_tell_how_full_they_are_and_what_is_wrong)
{
	static const char *const lost[] = { "192.0.2.9 (default/s1)" };
	const struct api_service *s;
	struct world w = { 0 };
	struct lb_pool_state st;
	struct ip_at at;

	POOLS(&w, "a: [192.0.2.0/31, '2001:db8::/124']", "b: [198.51.100.0/24]", "c: [198.51.100.255-198.51.101.4]");
	given(&w, "s1", "", BOTH, "");
	st = state_of(&w, "a", NULL, 0);
	cr_assert(st.ready && st.total == 18 && st.assigned == 2 && streq(st.reason, "AddressesFree"));
	st = state_of(&w, "b", NULL, 0);
	cr_assert(!st.ready && st.total == 256 && !st.assigned && streq(st.reason, "RangesOverlap"));
	PART("those of pool c", st.message);
	st = state_of(&w, "c", NULL, 0);
	cr_assert(!st.ready && st.total == 6);
	PART("those of pool b", st.message);
	st = state_of(&w, "a", lost, 1);
	cr_assert(!st.ready && streq(st.reason, "AddressesOutside"));
	PART("192.0.2.9 (default/s1)", st.message);
	POOLS(&w, "a: [192.0.2.0/32]");
	st = state_of(&w, "a", NULL, 0);
	cr_assert(st.ready && streq(st.reason, "Exhausted"));
	/* what is lost */
	s = service(&w, "s", LB_FROM ": 'b,a'", BOTH, "{ip: 192.0.2.0}, {ip: '2001:db8::1'}");
	cr_assert(lb_lost(s, lb_pool_find(&w.pools, "a"), &at) && at.family == AF_INET6);
	s = service(&w, "s", LB_FROM ": a", V4, "{ip: 192.0.2.0}");
	cr_assert(!lb_lost(s, lb_pool_find(&w.pools, "a"), &at));
	world_done(&w);
}

Test(loadbalancer, nodes_that_may_announce)
{
	static const struct {
		const char *node;
		bool fit;
	} t[] = {
		{ "status: {conditions: [{type: Ready, status: 'True'}]}", true },
		{ "status: {conditions: [{type: DiskPressure, status: 'False'}, {type: Ready, status: 'True'}]}",
		  true },
		{ "status: {conditions: [{type: Ready, status: 'False'}]}", false },
		{ "status: {conditions: [{type: Ready, status: Unknown}]}", false },
		{ "status: {}", false },
		{ "{metadata: {name: n, deletionTimestamp: '2024-01-02T03:04:05Z'}, status: {conditions: [{type: Ready, "
		  "status: 'True'}]}}",
		  false },
		{ "{metadata: {name: n, labels: {node.kubernetes.io/exclude-from-external-load-balancers: ''}}, status: "
		  "{conditions: [{type: Ready, status: 'True'}]}}",
		  false },
	};
	struct world w = { 0 };

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		cr_assert_eq(lb_node_fit(typed(&w, &api_type_node, t[i].node)), t[i].fit, "%s", t[i].node);
	world_done(&w);
}

Test(loadbalancer, nodes_with_an_endpoint_of_the_service)
{
	struct world w = { 0 };
	const struct api_endpoint_slice *es = typed(
		&w, &api_type_endpoint_slice,
		"{addressType: IPv4, ports: [], endpoints: [{addresses: [10.0.0.1], nodeName: a}, {addresses: "
		"[10.0.0.2], nodeName: b, conditions: {ready: false}}, {addresses: [10.0.0.3], nodeName: c, "
		"conditions: {ready: true, terminating: true}}, {addresses: [10.0.0.4]}, {addresses: [10.0.0.5], "
		"nodeName: d, conditions: {ready: false}}, {addresses: [10.0.0.6], nodeName: d, conditions: {ready: "
		"true}}]}");

	cr_assert(lb_slice_on_node(es, "a"));
	cr_assert(!lb_slice_on_node(es, "b"));
	cr_assert(!lb_slice_on_node(es, "c"));
	cr_assert(lb_slice_on_node(es, "d"));
	cr_assert(!lb_slice_on_node(es, "e"));
	world_done(&w);
}

Test(loadbalancer, the_election_is_stable_and_spread)
{
	static const char *const nodes[] = { "node-1", "node-2", "node-3", "node-4" };
	size_t count[4] = { 0 };

	cr_assert(!lb_elect("u", NULL, nodes, 0));
	cr_assert(!lb_elect("u", "node-1", nodes, 0));
	for (size_t i = 0; i < 400; i++) {
		const char *fewer[3], *got, *again;
		size_t n = 0;
		char uid[40];

		snprintf(uid, sizeof(uid), "7c9e6679-7425-40de-944b-%012zu", i);
		got = lb_elect(uid, NULL, nodes, 4);
		for (size_t k = 0; k < 4; k++) {
			count[k] += streq(nodes[k], got);
			if (!streq(nodes[k], got))
				fewer[n++] = nodes[k];
			/* who announces goes on */
			cr_assert(streq(lb_elect(uid, nodes[k], nodes, 4), nodes[k]));
		}
		/* one that is gone is replaced, by the same one wherever the others are in the list */
		again = lb_elect(uid, got, fewer, 3);
		cr_assert(again && !streq(again, got));
		cr_assert(streq(again, lb_elect(uid, got, (const char *[]){ fewer[2], fewer[0], fewer[1] }, 3)));
	}
	for (size_t k = 0; k < 4; k++)
		cr_assert(count[k] > 50 && count[k] < 150, "%s: %zu of 400", nodes[k], count[k]);
}
