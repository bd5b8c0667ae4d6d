/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services into the data plane. What changed is compiled by itself: a service, its slices, and the front ends that it
 * had. All of them are compiled, and compared with the maps front end by front end, at start, in every resync, after a
 * failure, and while two services claim one address. A service that the maps do not take, since they are full, is told
 * of and tried again in the next resync; the others go on.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/base/cleanup.h"
#include "../lib/base/str.h"
#include "../lib/base/log.h"
#include "announce.h"
#include "health_ports.h"
#include "network-internal.h"

#define SERVICE_NAME "kubernetes.io/service-name"

/* What names a front end. */
struct front {
	struct ip_addr vip;
	uint16_t port;
	uint8_t proto, side;
};

/* What is known of one service; there as long as it exists, has slices, or has front ends in the maps. */
struct svc {
	struct list dirty;	       /* linked to itself: not dirty */
	struct informer_item **slices; /* its EndpointSlices as they are now, referenced */
	size_t n_slices;
	struct front *fronts; /* in the maps */
	size_t n_fronts;
	uint16_t told_port;  /* a node port that this node does not serve */
	uint64_t refused_in; /* the last attempt in which a map did not take a front end of it; 0: all are there */
	char key[];	     /* "namespace/name" */
};

static int compare_dp(const struct dp_service *a, const struct service_front *b)
{
	struct service_front f = { .vip = a->vip, .port = a->port, .proto = a->proto, .side = a->side };

	return service_front_compare(&f, b);
}

static int sort_dp(const void *va, const void *vb)
{
	const struct dp_service *b = vb;
	struct service_front f = { .vip = b->vip, .port = b->port, .proto = b->proto, .side = b->side };

	return compare_dp(va, &f);
}

/* NULL: out of memory. */
static struct dp_range *ranges_of(const struct service_front *f)
{
	struct dp_range *ranges = calloc(f->n_ranges + 1, sizeof(*ranges));

	for (size_t i = 0; ranges && i < f->n_ranges; i++)
		ranges[i] = (struct dp_range){ f->ranges[i].ip, f->ranges[i].len };
	return ranges;
}

static uint32_t ranges_id(const struct service_front *f)
{
	cleanup(free) struct dp_range *ranges = f->n_ranges ? ranges_of(f) : NULL;

	return ranges ? dp_ranges_id(ranges, f->n_ranges) : 0;
}

/* As service_compile() sorts them. */
static int by_backend(const void *va, const void *vb)
{
	const struct dp_backend *a = va, *b = vb;
	int c = memcmp(&a->ip, &b->ip, sizeof(a->ip));

	return c ? c : memcmp(&a->port, &b->port, sizeof(a->port));
}

/* The order in the map is nobody's business. */
static bool same_backends(const struct dp_service *have, const struct service_front *want)
{
	size_t n = want->n_backends;
	cleanup(free) struct dp_backend *sorted = calloc(n + 1, sizeof(*sorted));

	if (!sorted || have->n_backends != n)
		return false;
	if (n) {
		memcpy(sorted, have->backends, n * sizeof(*sorted));
		qsort(sorted, n, sizeof(*sorted), by_backend);
	}
	for (size_t i = 0; i < n; i++)
		if (!ip_equal(&sorted[i].ip, &want->backends[i].ip) || sorted[i].port != want->backends[i].port)
			return false;
	return true;
}

static bool same_value(const struct dp_service *have, const struct service_front *want)
{
	return have->affinity_s == want->affinity_s && have->silent == want->silent &&
	       have->announced == want->announced && have->direct == want->direct &&
	       have->ranges_id == ranges_id(want) && same_backends(have, want);
}

static int set_front(struct network *n, const struct service_front *f, struct err *err)
{
	cleanup(free) struct dp_backend *backends = calloc(f->n_backends + 1, sizeof(*backends));
	cleanup(free) struct dp_range *ranges = ranges_of(f);
	struct dp_service s = {
		.vip = f->vip,
		.port = f->port,
		.proto = f->proto,
		.backends = backends,
		.n_backends = f->n_backends,
		.affinity_s = f->affinity_s,
		.side = f->side,
		.silent = f->silent,
		.announced = f->announced,
		.direct = f->direct,
		.ranges = ranges,
		.n_ranges = f->n_ranges,
	};

	if (!backends || !ranges)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < f->n_backends; i++)
		backends[i] = (struct dp_backend){ f->backends[i].ip, f->backends[i].port };
	return dp_service_set(n->dp, &s, err);
}

static size_t gather(const struct informer *inf, const void **out)
{
	size_t n = 0;

	for (struct informer_iter it = { 0 }; informer_next(inf, &it);)
		out[n++] = it.item->obj;
	return n;
}

/* --- which service has what ----------------------------------------------------------------------------------------
 */

/* Of so many refused services at a time an Event is sent. */
enum { REFUSED_EVENTS = 20 };

enum { FRONT_TEXT = INET6_ADDRSTRLEN + 24 };

static const char *front_text(const struct front *f, char buf[FRONT_TEXT])
{
	char ip[INET6_ADDRSTRLEN];

	snprintf(buf, FRONT_TEXT, "%s %u %u %u", ip_text(&f->vip, ip), f->port, f->proto, f->side);
	return buf;
}

static struct front front_of(const struct service_front *f)
{
	return (struct front){ f->vip, f->port, f->proto, f->side };
}

static struct svc *svc_get(struct network *n, const char *key)
{
	struct svc *s = strmap_get(n->svcs, key);
	size_t len = strlen(key) + 1;

	if (s)
		return s;
	s = calloc(1, sizeof(*s) + len);
	if (!s)
		return NULL;
	memcpy(s->key, key, len);
	list_init(&s->dirty);
	if (strmap_set(n->svcs, key, s, NULL) < 0) {
		free(s);
		return NULL;
	}
	return s;
}

static void svc_free(struct svc *s)
{
	for (size_t i = 0; i < s->n_slices; i++)
		informer_item_unref(s->slices[i]);
	free(s->slices);
	free(s->fronts);
	list_remove(&s->dirty);
	free(s);
}

void network_services_free(struct network *n)
{
	if (n->svcs)
		for (struct strmap_iter it = { 0 }; strmap_next(n->svcs, &it);)
			svc_free(it.value);
	strmap_free(n->svcs);
	strmap_free(n->fronts);
}

static void mark(struct network *n, struct svc *s)
{
	if (!s)
		n->services_changed = true; /* out of memory: look at all, later */
	else if (list_empty(&s->dirty))
		list_push_back(&n->dirty, &s->dirty);
}

static struct svc *svc_of_slice(struct network *n, const struct informer_item *it)
{
	const struct api_meta *m = &it->obj->metadata;
	const char *name = api_map_get(&m->labels, SERVICE_NAME);
	char key[600];

	if (!name)
		return NULL;
	snprintf(key, sizeof(key), "%s/%s", m->namespace_ ? m->namespace_ : "", name);
	return svc_get(n, key);
}

static void slice_gone(struct svc *s, const char *key)
{
	for (size_t i = 0; i < s->n_slices; i++)
		if (streq(s->slices[i]->key, key)) {
			informer_item_unref(s->slices[i]);
			s->slices[i] = s->slices[--s->n_slices];
			return;
		}
}

static bool slice_comes(struct svc *s, struct informer_item *it)
{
	struct informer_item **list = reallocarray(s->slices, s->n_slices + 1, sizeof(*list));

	if (!list)
		return false;
	s->slices = list;
	list[s->n_slices++] = informer_item_ref(it);
	return true;
}

void network_services_event(struct network *n, bool slice, const struct informer_item *old, struct informer_item *new)
{
	struct svc *s;

	if (!slice) {
		mark(n, svc_get(n, (new ? new : old)->key));
		return;
	}
	if (old && (s = svc_of_slice(n, old))) {
		slice_gone(s, old->key);
		mark(n, s);
	}
	if (new && (s = svc_of_slice(n, new)))
		mark(n, slice_comes(s, new) ? s : NULL);
}

const char *network_service_of(const struct network *n, const struct dp_service *front)
{
	struct front f = { front->vip, front->port, front->proto, front->side };
	char text[FRONT_TEXT];
	const struct svc *s = strmap_get(n->fronts, front_text(&f, text));

	return s ? s->key : NULL;
}

/* --- what the maps do not take -------------------------------------------------------------------------------------
 */

static void refuse(struct network *n, struct svc *s, const char *why)
{
	const struct informer_item *it = informer_get_key(n->services, s->key);
	bool before = s->refused_in;

	s->refused_in = n->services_pass;
	if (n->refused_in != n->services_pass)
		snprintf(n->refused, sizeof(n->refused), "service %s: %s", s->key, why);
	n->refused_in = n->services_pass;
	if (before || n->n_refused++ >= REFUSED_EVENTS)
		return;
	log_error("service %s: %s", s->key, why);
	if (n->rec && it)
		kube_event(n->rec, &api_kind_service, it->obj, "Warning", "NotServed",
			   "Node %s does not serve it as it is now: %s", n->node_name, why);
}

/* It has all its front ends, unless it was refused in this attempt. */
static void accept_unless_refused(struct network *n, struct svc *s)
{
	if (!s->refused_in || s->refused_in == n->services_pass)
		return;
	s->refused_in = 0;
	n->n_refused--;
}

/* What becomes of one front end is nothing to the others. */
static int try_front(struct network *n, const struct service_front *f)
{
	const struct api_meta *m = &f->service->metadata;
	struct err err = ERR_INIT;
	int r = set_front(n, f, &err);
	char key[600];
	struct svc *s;

	if (r >= 0)
		return 0;
	snprintf(key, sizeof(key), "%s/%s", m->namespace_ ? m->namespace_ : "", m->name);
	s = svc_get(n, key);
	if (!s)
		return r;
	refuse(n, s, err.msg);
	return 0;
}

/* --- one service ---------------------------------------------------------------------------------------------------
 */

static void forget_fronts(struct network *n, struct svc *s)
{
	char text[FRONT_TEXT];

	for (size_t i = 0; i < s->n_fronts; i++) {
		front_text(&s->fronts[i], text);
		if (strmap_get(n->fronts, text) == s)
			strmap_del(n->fronts, text);
	}
	free(s->fronts);
	s->fronts = NULL;
	s->n_fronts = 0;
}

static int remember_front(struct network *n, struct svc *s, const struct service_front *f)
{
	struct front *list = reallocarray(s->fronts, s->n_fronts + 1, sizeof(*list));
	char text[FRONT_TEXT];

	if (!list)
		return -ENOMEM;
	s->fronts = list;
	list[s->n_fronts] = front_of(f);
	return strmap_set(n->fronts, front_text(&list[s->n_fronts++], text), s, NULL);
}

static bool in_table(const struct service_table *t, const struct dp_service *d)
{
	for (size_t i = 0; i < t->n; i++)
		if (!compare_dp(d, &t->fronts[i]))
			return true;
	return false;
}

static struct service_place place_of(const struct network *n)
{
	const struct informer_item *it = informer_get(n->nodes, NULL, n->node_name);

	return (struct service_place){
		.node = n->node_name,
		.zone = it ? api_map_get(&it->obj->metadata.labels, "topology.kubernetes.io/zone") : NULL,
	};
}

/* A port that somebody else has keeps nothing else from its way. */
static void update_health(struct network *n, const struct svc *s, const struct api_service *service,
			  const struct api_endpoint_slice *const *slices)
{
	struct err err = ERR_INIT;

	if (health_ports_set(n->health, s->key, n->node_name, service, slices, s->n_slices, &err) < 0)
		log_warn("%s", err.msg);
}

/* The API server gives out ports that this agent was not told of: its programs leave them to the node. */
static void check_node_ports(struct network *n, struct svc *s, const struct api_service *service)
{
	uint16_t port = service ? service_node_port_outside(service, n->node_port_min, n->node_port_max) : 0;

	if (port && port != s->told_port) {
		log_warn("service %s: node port %u is not in --service-node-port-range %u-%u, and not served here",
			 s->key, port, n->node_port_min, n->node_port_max);
		if (n->rec)
			kube_event(n->rec, &api_kind_service, &service->object, "Warning", "NodePortNotServed",
				   "Node port %u is not in the --service-node-port-range %u-%u of node %s's agent",
				   port, n->node_port_min, n->node_port_max, n->node_name);
	}
	s->told_port = port;
}

static int announce_fronts(struct network *n, const struct service_table *t)
{
	int r = 0;

	for (size_t i = 0; !r && i < t->n; i++)
		if (!t->fronts[i].port)
			r = announce_set(n->announce, &t->fronts[i].vip, t->fronts[i].announced);
	return r;
}

/* 1: it cannot be seen to without the others. */
static int sync_one(struct network *n, struct svc *s, struct err *err)
{
	cleanup(free) const struct api_endpoint_slice **slices = calloc(s->n_slices + 1, sizeof(*slices));
	struct informer_item *it = informer_get_key(n->services, s->key);
	const struct api_service *service = it ? (const struct api_service *)it->obj : NULL;
	struct service_place place = place_of(n);
	size_t n_slices = 0;
	struct service_table table;
	char text[FRONT_TEXT];
	int r;

	if (!slices)
		return err_set(err, ENOMEM, "out of memory");
	for (; n_slices < s->n_slices; n_slices++)
		slices[n_slices] = (const struct api_endpoint_slice *)s->slices[n_slices]->obj;
	r = service_compile(&place, &service, service ? 1 : 0, slices, n_slices, &table, err);
	if (r < 0)
		return r;
	r = table.clashes;
	for (size_t i = 0; !r && i < table.n; i++) {
		struct front f = front_of(&table.fronts[i]);
		struct svc *owner = strmap_get(n->fronts, front_text(&f, text));

		/* An address may be of several services; whether it is announced is then for all of them to say. */
		r = owner && owner != s && (f.port || table.fronts[i].announced || announce_has(n->announce, &f.vip));
	}
	for (size_t i = 0; !r && i < s->n_fronts; i++) {
		struct dp_service d = { .vip = s->fronts[i].vip,
					.port = s->fronts[i].port,
					.proto = s->fronts[i].proto,
					.side = s->fronts[i].side };

		if (in_table(&table, &d))
			continue;
		if (d.port)
			r = dp_service_del(n->dp, &d, err);
		else
			r = 1; /* an address that other services may have, too */
	}
	n->services_pass++;
	for (size_t i = 0; !r && i < table.n; i++)
		r = try_front(n, &table.fronts[i]);
	if (!r) {
		accept_unless_refused(n, s);
		forget_fronts(n, s);
		for (size_t i = 0; !r && i < table.n; i++)
			r = remember_front(n, s, &table.fronts[i]);
		if (!r)
			r = announce_fronts(n, &table);
		if (r < 0)
			err_set(err, -r, "out of memory");
		n->services_compiled++;
		update_health(n, s, service, slices);
		check_node_ports(n, s, service);
	}
	service_table_done(&table);
	return r;
}

static void update_all(struct network *n)
{
	for (struct strmap_iter it = { 0 }; strmap_next(n->svcs, &it);) {
		struct svc *s = it.value;
		cleanup(free) const struct api_endpoint_slice **slices = calloc(s->n_slices + 1, sizeof(*slices));
		struct informer_item *item = informer_get_key(n->services, s->key);

		for (size_t i = 0; slices && i < s->n_slices; i++)
			slices[i] = (const struct api_endpoint_slice *)s->slices[i]->obj;
		if (slices)
			update_health(n, s, item ? (const struct api_service *)item->obj : NULL, slices);
		check_node_ports(n, s, item ? (const struct api_service *)item->obj : NULL);
	}
}

static void settle(struct network *n, struct svc *s)
{
	list_remove(&s->dirty);
	list_init(&s->dirty);
	if (s->n_fronts || s->n_slices || informer_get_key(n->services, s->key))
		return;
	strmap_del(n->svcs, s->key);
	svc_free(s);
}

/* --- all of them ---------------------------------------------------------------------------------------------------
 */

static int apply(struct network *n, const struct service_table *want, struct err *err)
{
	cleanup(free) struct dp_service *have = NULL;
	size_t n_have, h = 0, w = 0;
	int r, first = 0;

	r = dp_service_list(n->dp, &have, &n_have, err);
	if (r < 0)
		return r;
	if (n_have)
		qsort(have, n_have, sizeof(*have), sort_dp);
	/* What goes first: it may be the room that others need. */
	for (size_t i = 0, k = 0; i < n_have; i++) {
		while (k < want->n && compare_dp(&have[i], &want->fronts[k]) > 0)
			k++;
		if (k < want->n && !compare_dp(&have[i], &want->fronts[k]))
			continue;
		r = dp_service_del(n->dp, &have[i], first ? NULL : err);
		if (r < 0 && !first)
			first = r;
	}
	for (; w < want->n; w++) {
		while (h < n_have && compare_dp(&have[h], &want->fronts[w]) < 0)
			h++;
		if (h < n_have && !compare_dp(&have[h], &want->fronts[w]) && same_value(&have[h], &want->fronts[w]))
			continue;
		r = try_front(n, &want->fronts[w]);
		if (r < 0 && !first)
			first = err_set(err, -r, "out of memory");
	}
	return first;
}

static int remember_all(struct network *n, const struct service_table *t)
{
	char key[600];

	for (struct strmap_iter it = { 0 }; strmap_next(n->svcs, &it);)
		forget_fronts(n, it.value);
	for (size_t i = 0; i < t->n; i++) {
		const struct api_meta *m = &t->fronts[i].service->metadata;
		struct svc *s;

		snprintf(key, sizeof(key), "%s/%s", m->namespace_ ? m->namespace_ : "", m->name);
		s = svc_get(n, key);
		if (!s || remember_front(n, s, &t->fronts[i]) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int sync_all(struct network *n, struct err *err)
{
	cleanup(free) const void **services = calloc(informer_len(n->services) + 1, sizeof(*services));
	cleanup(free) const void **slices = calloc(informer_len(n->slices) + 1, sizeof(*slices));
	struct service_place place = place_of(n);
	struct service_table table;
	size_t n_services, n_slices;
	int r;

	if (!services || !slices)
		return err_set(err, ENOMEM, "out of memory");
	n_services = gather(n->services, services);
	n_slices = gather(n->slices, slices);
	r = service_compile(&place, (const struct api_service *const *)services, n_services,
			    (const struct api_endpoint_slice *const *)slices, n_slices, &table, err);
	if (r < 0)
		return r;
	n->services_pass++;
	r = apply(n, &table, err);
	if (!r) {
		announce_begin(n->announce);
		if (remember_all(n, &table) < 0 || announce_fronts(n, &table) < 0)
			r = err_set(err, ENOMEM, "out of memory");
		else
			announce_end(n->announce);
	}
	for (struct strmap_iter it = { 0 }; !r && strmap_next(n->svcs, &it);)
		accept_unless_refused(n, it.value);
	n->service_clashes = table.clashes;
	n->services_compiled += n_services;
	service_table_done(&table);
	update_all(n);
	while (!r && !list_empty(&n->dirty))
		settle(n, list_first(&n->dirty, struct svc, dirty));
	n->services_changed = r < 0;
	return r;
}

int network_sync_services(struct network *n, struct err *err)
{
	int r = 0;

	while (!r && !n->services_changed && !n->service_clashes && !list_empty(&n->dirty)) {
		struct svc *s = list_first(&n->dirty, struct svc, dirty);

		r = sync_one(n, s, err);
		if (!r)
			settle(n, s);
	}
	if (r)
		n->services_changed = true;
	if (r < 0)
		return r;
	return n->services_changed || n->service_clashes ? sync_all(n, err) : 0;
}
