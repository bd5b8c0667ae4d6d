/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Load balancer addresses: services of type LoadBalancer without a class, or of ours, get addresses out of
 * LoadBalancerPools and a node that announces them. What is given out is read from the services themselves, so that
 * nothing can be lost; an address given in this process but not yet seen in the cache is pending in the book. Both the
 * addresses and our annotations are written in one call, to the status.
 *
 * Keys with a slash are services, those without are pools.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "base/strmap.h"
#include "loadbalancer_plan.h"
#include "manager.h"

#define SERVICE_NAME  "kubernetes.io/service-name"
#define POOL_DELAY_MS 200 /* a pool's status is counted once for many changes */

enum { STATUS_MAX = 64 }; /* addresses of a service's status that are looked at */

struct balancer {
	struct lb_book book;
	struct lb_pools pools;
	bool pools_stale;
	struct strmap *said; /* service -> what it was last told that it cannot have */
};

static int init(struct controller *c)
{
	struct balancer *lb = calloc(1, sizeof(*lb));

	c->data = lb;
	if (!lb)
		return -ENOMEM;
	lb->pools_stale = true;
	lb->said = strmap_new();
	return lb->said ? 0 : -ENOMEM;
}

static void balancer_free(struct controller *c)
{
	struct balancer *lb = c->data;

	if (!lb)
		return;
	for (struct strmap_iter it = { 0 }; lb->said && strmap_next(lb->said, &it);)
		free(it.value);
	strmap_free(lb->said);
	lb_book_done(&lb->book);
	lb_pools_done(&lb->pools);
	free(lb);
}

/* --- events ------------------------------------------------------------------------------------------------------- */

static const struct api_service *service_of(const struct informer_item *item)
{
	return (const struct api_service *)item->obj;
}

static bool concerns_us(const struct api_service *s)
{
	return lb_served(s) || lb_marked(s);
}

static void enqueue_services(struct controller *c)
{
	struct informer *services = manager_informer(c->m, &api_kind_service);

	for (struct informer_iter it = { 0 }; informer_next(services, &it);)
		if (concerns_us(service_of(it.item)))
			enqueue(c, it.item->key);
}

static void enqueue_pools(struct controller *c)
{
	struct informer *pools = manager_informer(c->m, &api_kind_load_balancer_pool);

	for (struct informer_iter it = { 0 }; informer_next(pools, &it);)
		enqueue_after(c, it.item->key, POOL_DELAY_MS);
}

static void service_changed(struct controller *c, const struct informer_item *old, const struct informer_item *new)
{
	const char *key = new ? new->key : old->key;
	struct balancer *lb = c->data;
	struct ip_at shown[STATUS_MAX];
	bool changed = false;

	if (!new) {
		changed = lb_book_drop(&lb->book, key);
		free(strmap_del(lb->said, key));
	} else if (lb_book_show(&lb->book, key, shown, lb_shown(service_of(new), shown, STATUS_MAX), &changed) < 0) {
		log_error("out of memory");
	}
	if (new &&concerns_us(service_of(new)))
		enqueue(c, key);
	if (!changed)
		return;
	enqueue_pools(c);
	for (struct strmap_iter it = { 0 }; strmap_next(lb->said, &it);)
		enqueue(c, it.key); /* perhaps there is room now */
}

static void on_change(struct controller *c, const struct api_kind *kind, struct informer_item *old,
		      struct informer_item *new)
{
	const struct informer_item *any = new ? new : old;
	struct balancer *lb = c->data;

	if (kind == &api_kind_service) {
		service_changed(c, old, new);
	} else if (kind == &api_kind_load_balancer_pool) {
		enqueue(c, any->key);
		if (old && new && old->obj->metadata.generation == new->obj->metadata.generation &&
		    streq(old->obj->metadata.uid, new->obj->metadata.uid))
			return;
		lb->pools_stale = true;
		enqueue_services(c);
		enqueue_pools(c);
	} else if (kind == &api_kind_node) {
		if ((old && lb_node_fit((const struct api_node *)old->obj)) !=
		    (new &&lb_node_fit((const struct api_node *)new->obj)))
			enqueue_services(c);
	} else if (old != new) {
		const char *name = api_map_get(&any->obj->metadata.labels, SERVICE_NAME);
		struct informer_item *s = name ? informer_get(manager_informer(c->m, &api_kind_service),
							      any->obj->metadata.namespace_, name)
					       : NULL;

		if (s && concerns_us(service_of(s)))
			enqueue(c, s->key);
	}
}

/* --- pools -------------------------------------------------------------------------------------------------------- */

static int read_pools(struct controller *c)
{
	struct informer *informer = manager_informer(c->m, &api_kind_load_balancer_pool);
	cleanup(free) const struct api_load_balancer_pool **v = NULL;
	struct balancer *lb = c->data;
	size_t n = 0;
	int r;

	if (!lb->pools_stale)
		return 0;
	v = malloc((informer_len(informer) + 1) * sizeof(*v));
	if (!v)
		return -ENOMEM;
	for (struct informer_iter it = { 0 }; informer_next(informer, &it);)
		v[n++] = (const struct api_load_balancer_pool *)it.item->obj;
	lb_pools_done(&lb->pools);
	r = lb_pools_new(v, n, &lb->pools);
	lb->pools_stale = r < 0;
	return r;
}

static bool condition_is(const struct api_load_balancer_pool *p, const struct lb_pool_state *state,
			 const struct api_condition **ret)
{
	*ret = NULL;
	for (size_t i = 0; i < p->status.n_conditions; i++)
		if (streq(p->status.conditions[i].type, "Ready"))
			*ret = &p->status.conditions[i];
	return *ret && streq((*ret)->status, state->ready ? "True" : "False") && streq((*ret)->reason, state->reason) &&
	       streq((*ret)->message, state->message) && (*ret)->observed_generation == p->metadata.generation;
}

/* Texts of addresses that services have but the pool no longer; *ret and its members are the caller's. -ENOMEM. */
static int lost_addresses(struct controller *c, const struct lb_pool *pool, char ***ret, size_t *ret_n)
{
	struct informer *services = manager_informer(c->m, &api_kind_service);
	char **v = NULL;
	size_t n = 0;

	for (struct informer_iter it = { 0 }; informer_next(services, &it);) {
		char text[IPRANGE_TEXT];
		struct ip_at at;
		char **more;

		if (!lb_lost(service_of(it.item), pool, &at))
			continue;
		more = realloc(v, (n + 1) * sizeof(*v));
		if (more)
			v = more;
		if (!more || asprintf(&v[n], "%s (%s)", ip_at_text(&at, text), it.item->key) < 0) {
			for (size_t i = 0; i < n; i++)
				free(v[i]);
			free(v);
			return -ENOMEM;
		}
		n++;
	}
	*ret = v;
	*ret_n = n;
	return 0;
}

static void reconcile_pool(struct controller *c, const char *key)
{
	struct informer_item *item = informer_get_key(manager_informer(c->m, &api_kind_load_balancer_pool), key);
	struct balancer *lb = c->data;
	const struct lb_pool *pool = item ? lb_pool_find(&lb->pools, key) : NULL;
	const struct api_load_balancer_pool *p;
	const struct api_condition *was;
	struct lb_pool_state state;
	char since[CLOCK_RFC3339_SIZE], **lost = NULL;
	size_t n_lost = 0;
	struct batch *b;
	json_t *patch;

	if (!pool) {
		done(c, key, 0);
		return;
	}
	p = (const struct api_load_balancer_pool *)item->obj;
	if (lost_addresses(c, pool, &lost, &n_lost) < 0) {
		done(c, key, -ENOMEM);
		return;
	}
	lb_pool_state(&lb->pools, pool, &lb->book, (const char *const *)lost, n_lost, &state);
	for (size_t i = 0; i < n_lost; i++)
		free(lost[i]);
	free(lost);
	if (condition_is(p, &state, &was) && p->status.total == (int64_t)state.total &&
	    p->status.assigned == (int64_t)state.assigned) {
		done(c, key, 0);
		return;
	}
	clock_rfc3339(clock_real_ms(), since);
	patch = json_pack("{s:{s:s},s:{s:I,s:I,s:[{s:s,s:s,s:s,s:s,s:s,s:I}]}}", "metadata", "uid", p->metadata.uid,
			  "status", "total", (json_int_t)state.total, "assigned", (json_int_t)state.assigned,
			  "conditions", "type", "Ready", "status", state.ready ? "True" : "False", "reason",
			  state.reason, "message", state.message, "lastTransitionTime",
			  was && was->last_transition_time && streq(was->status, state.ready ? "True" : "False")
				  ? was->last_transition_time
				  : since,
			  "observedGeneration", (json_int_t)p->metadata.generation);
	b = batch_new(c, key);
	if (b) {
		BATCH_CALL(b, kube_patch(c->m->kube, &api_kind_load_balancer_pool, NULL, p->metadata.name, "status",
					 KUBE_PATCH_STRATEGIC, patch, batch_result, b));
		batch_give(b, 0);
	}
	json_decref(patch);
}

/* --- services ----------------------------------------------------------------------------------------------------- */

static bool has_local_endpoint(struct controller *c, const struct api_service *s, const char *node)
{
	struct informer *slices = manager_informer(c->m, &api_kind_endpoint_slice);

	for (struct informer_iter it = { 0 }; informer_next_in(slices, s->metadata.namespace_, &it);)
		if (streq(api_map_get(&it.item->obj->metadata.labels, SERVICE_NAME), s->metadata.name) &&
		    lb_slice_on_node((const struct api_endpoint_slice *)it.item->obj, node))
			return true;
	return false;
}

/* *ret: the node's name, borrowed; NULL: none will do. -ENOMEM. */
static int elect(struct controller *c, const struct api_service *s, const char **ret)
{
	struct informer *nodes = manager_informer(c->m, &api_kind_node);
	cleanup(free) const char **names = malloc((informer_len(nodes) + 1) * sizeof(*names));
	bool local = streq(s->spec.external_traffic_policy, "Local");
	size_t n = 0;

	if (!names)
		return -ENOMEM;
	for (struct informer_iter it = { 0 }; informer_next(nodes, &it);)
		if (lb_node_fit((const struct api_node *)it.item->obj) &&
		    (!local || has_local_endpoint(c, s, it.item->obj->metadata.name)))
			names[n++] = it.item->obj->metadata.name;
	*ret = lb_elect(s->metadata.uid, api_map_get(&s->metadata.annotations, SERVICE_ANNOUNCED_BY), names, n);
	return 0;
}

/* The status has these addresses in this order, and no others. */
static bool status_is(const struct api_service *s, const struct lb_result *want)
{
	const struct api_load_balancer_status *has = s->status.load_balancer;

	if ((has ? has->n_ingress : 0) != want->n)
		return false;
	for (size_t i = 0; i < want->n; i++) {
		struct ip_at at;

		if (!has->ingress[i].ip || ip_at_parse(has->ingress[i].ip, &at) < 0 ||
		    ip_at_compare(&at, &want->v[i].at) || !streq(has->ingress[i].ip_mode, "VIP"))
			return false;
	}
	return true;
}

static json_t *text_or_null(const char *text)
{
	return text && *text ? json_string(text) : json_null();
}

static void write_service(struct controller *c, const char *key, const struct api_service *s,
			  const struct lb_result *want, const char *from, const char *node)
{
	json_t *ingress = want->n ? json_array() : json_null(), *patch;
	char text[IPRANGE_TEXT];
	struct batch *b;

	for (size_t i = 0; i < want->n; i++)
		json_array_append_new(ingress,
				      json_pack("{s:s,s:s}", "ip", ip_at_text(&want->v[i].at, text), "ipMode", "VIP"));
	patch = json_pack("{s:{s:s,s:{s:o,s:o}},s:{s:{s:o}}}", "metadata", "uid", s->metadata.uid, "annotations",
			  LB_FROM, text_or_null(from), SERVICE_ANNOUNCED_BY, text_or_null(node), "status",
			  "loadBalancer", "ingress", ingress);
	b = batch_new(c, key);
	if (b) {
		log_info("service %s: %zu load balancer addresses%s%s, announced by %s", key, want->n,
			 want->n ? ", the first " : "", want->n ? ip_at_text(&want->v[0].at, text) : "",
			 node ?: "nobody");
		BATCH_CALL(b, kube_patch(c->m->kube, &api_kind_service, s->metadata.namespace_, s->metadata.name,
					 "status", KUBE_PATCH_MERGE, patch, batch_result, b));
		batch_give(b, 0);
	}
	json_decref(patch);
}

/* Tells what it cannot have, once. */
static void tell(struct controller *c, const char *key, const struct api_service *s, const char *why)
{
	struct balancer *lb = c->data;
	char *copy;

	if (!*why) {
		free(strmap_del(lb->said, key));
		return;
	}
	if (streq(strmap_get(lb->said, key), why))
		return;
	copy = strdup(why);
	free(strmap_del(lb->said, key));
	if (!copy || strmap_set(lb->said, key, copy, NULL) < 0)
		free(copy);
	log_info("service %s: %s", key, why);
	kube_event(c->m->recorder, &api_kind_service, &s->object, "Warning", "AllocationFailed", "%s", why);
}

static void reconcile_service(struct controller *c, const char *key)
{
	struct informer_item *item = informer_get_key(manager_informer(c->m, &api_kind_service), key);
	struct balancer *lb = c->data;
	const struct api_service *s = item ? service_of(item) : NULL;
	struct lb_result want = { 0 };
	char from[2 * LB_NAME] = "";
	struct ip_at ats[2];
	const char *node = NULL;

	if (!s || !concerns_us(s) || (meta_deleting(&s->metadata) && !lb_marked(s))) {
		done(c, key, 0);
		return;
	}
	if (lb_served(s))
		lb_plan(&lb->pools, &lb->book, key, s, &want);
	tell(c, key, s, want.why);
	if (want.leave) {
		done(c, key, 0);
		return;
	}
	for (size_t i = 0; i < want.n; i++) {
		size_t len = strlen(from);
		int r = lb_book_take(&lb->book, &want.v[i].at, key);

		if (r < 0) {
			done(c, key, r);
			return;
		}
		ats[i] = want.v[i].at;
		snprintf(from + len, sizeof(from) - len, "%s%s", i ? "," : "", want.v[i].pool);
	}
	lb_book_settle(&lb->book, key, ats, want.n);
	if (want.n && elect(c, s, &node) < 0) {
		done(c, key, -ENOMEM);
		return;
	}
	if (streq(api_map_get(&s->metadata.annotations, SERVICE_ANNOUNCED_BY), node) &&
	    streq(api_map_get(&s->metadata.annotations, LB_FROM), want.n ? from : NULL) &&
	    (status_is(s, &want) || (!want.n && !lb_marked(s)))) {
		done(c, key, 0);
		return;
	}
	write_service(c, key, s, &want, from, node);
}

static void reconcile(struct controller *c, const char *key)
{
	int r = read_pools(c);

	if (r < 0)
		done(c, key, r);
	else if (strchr(key, '/'))
		reconcile_service(c, key);
	else
		reconcile_pool(c, key);
}

static const struct api_kind *const kinds[] = { &api_kind_service, &api_kind_load_balancer_pool, &api_kind_node,
						&api_kind_endpoint_slice, NULL };

const struct controller_ops load_balancer_controller = {
	.name = "load-balancer",
	.kinds = kinds,
	.init = init,
	.on_change = on_change,
	.reconcile = reconcile,
	.free = balancer_free,
};
