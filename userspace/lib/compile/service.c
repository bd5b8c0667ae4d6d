/* SPDX-License-Identifier: Apache-2.0 */
/* Services to front ends: see service.h. */
#include "service.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "../base/arena.h"
#include "../base/str.h"
#include "../base/strmap.h"
#include "policy.h"
#include "service_weights.h"

static bool parse_ip(const char *text, struct ip_addr *ret)
{
	struct ip_addr ip = { { 0, 0, htonl(0xffff), 0 } };

	if (inet_pton(AF_INET, text, &ip.w[3]) != 1 && inet_pton(AF_INET6, text, &ip) != 1)
		return false;
	*ret = ip;
	return true;
}

/* One that two slices have, which changes its slice just now, has the greater of its weights, on every node. */
static int compare_found(const void *va, const void *vb)
{
	const struct service_weighted *a = va, *b = vb;
	int c = memcmp(&a->backend, &b->backend, sizeof(a->backend));

	return c ? c : (a->weight < b->weight) - (a->weight > b->weight);
}

int service_front_compare(const struct service_front *a, const struct service_front *b)
{
	int c = memcmp(&a->vip, &b->vip, sizeof(a->vip));

	if (c)
		return c;
	if (a->port != b->port)
		return a->port - b->port;
	return a->proto != b->proto ? a->proto - b->proto : a->side - b->side;
}

bool service_front_same(const struct service_front *a, const struct service_front *b)
{
	return !service_front_compare(a, b) && a->n_backends == b->n_backends && a->affinity_s == b->affinity_s &&
	       a->silent == b->silent && a->announced == b->announced && a->direct == b->direct &&
	       a->n_ranges == b->n_ranges &&
	       (!a->n_ranges || !memcmp(a->ranges, b->ranges, a->n_ranges * sizeof(*a->ranges))) &&
	       (!a->n_backends || !memcmp(a->backends, b->backends, a->n_backends * sizeof(*a->backends)));
}

static const char *or_empty(const char *s)
{
	return s ? s : "";
}

static int by_address_then_age(const void *va, const void *vb)
{
	const struct service_front *a = va, *b = vb;
	const struct api_meta *x = &a->service->metadata, *y = &b->service->metadata;
	int c = service_front_compare(a, b);

	if (!c)
		c = strcmp(or_empty(x->creation_timestamp), or_empty(y->creation_timestamp));
	return c ? c : strcmp(or_empty(x->uid), or_empty(y->uid));
}

/* Slices of one service, chained. */
struct link {
	const struct api_endpoint_slice *slice;
	struct link *next;
};

/* The slice's number for a service port; 0: it has none of that name and protocol. */
static uint16_t port_in(const struct api_endpoint_slice *s, const char *name, const char *proto)
{
	for (size_t i = 0; i < s->n_ports; i++)
		if (streq(or_empty(s->ports[i].name), name) &&
		    streq(s->ports[i].protocol ? s->ports[i].protocol : "TCP", proto))
			return (uint16_t)s->ports[i].port.v;
	return 0;
}

static size_t count_endpoints(const struct link *l)
{
	size_t n = 0;

	for (; l; l = l->next)
		n += l->slice->n_endpoints;
	return n;
}

static bool v4(const struct ip_addr *ip)
{
	return !ip->w[0] && !ip->w[1] && ip->w[2] == htonl(0xffff);
}

static bool ready(const struct api_endpoint *e)
{
	return e->conditions.ready.set ? e->conditions.ready.v : true;
}

static bool drains(const struct api_endpoint *e)
{
	const struct api_endpoint_conditions *c = &e->conditions;

	return !ready(e) && (c->serving.set ? c->serving.v : false) && c->terminating.v;
}

static bool for_node(const struct api_endpoint *e, const char *node)
{
	for (size_t i = 0; e->hints && i < e->hints->n_for_nodes; i++)
		if (streq(e->hints->for_nodes[i].name, node))
			return true;
	return false;
}

static bool for_zone(const struct api_endpoint *e, const char *zone)
{
	for (size_t i = 0; e->hints && i < e->hints->n_for_zones; i++)
		if (streq(e->hints->for_zones[i].name, zone))
			return true;
	return false;
}

/* Which endpoints serve this node. */
enum scope { ANYWHERE, THIS_NODE, HINTED_NODE, HINTED_ZONE };

static bool in_scope(const struct api_endpoint *e, enum scope scope, const struct service_place *place)
{
	switch (scope) {
	case THIS_NODE:
		return streq(e->node_name, place->node);
	case HINTED_NODE:
		return for_node(e, place->node);
	case HINTED_ZONE:
		return for_zone(e, place->zone);
	default:
		return true;
	}
}

static bool usable(const struct api_endpoint *e, const struct service_front *f, struct ip_addr *ret_ip)
{
	return e->n_addresses && parse_ip(e->addresses[0], ret_ip) && v4(ret_ip) == v4(&f->vip);
}

static enum scope hinted_scope(const struct link *l, const struct service_front *f, const struct service_place *place)
{
	bool all_nodes = true, all_zones = true, node = false, zone = false;
	struct ip_addr ip;

	for (; l; l = l->next)
		for (size_t i = 0; i < l->slice->n_endpoints; i++) {
			const struct api_endpoint *e = &l->slice->endpoints[i];

			if (!ready(e) || !usable(e, f, &ip))
				continue;
			all_nodes = all_nodes && e->hints && e->hints->n_for_nodes;
			all_zones = all_zones && e->hints && e->hints->n_for_zones;
			node = node || for_node(e, place->node);
			zone = zone || (place->zone && *place->zone && for_zone(e, place->zone));
		}
	return all_nodes && node ? HINTED_NODE : all_zones && zone ? HINTED_ZONE : ANYWHERE;
}

/* out: room for all endpoints; each once, by address. */
static size_t collect(const struct link *l, const struct service_front *f, const char *proto,
		      bool (*wanted)(const struct api_endpoint *), enum scope scope, const struct service_place *place,
		      struct service_weighted *out)
{
	size_t n = 0, kept = 0;

	for (; l; l = l->next) {
		uint16_t port = port_in(l->slice, f->port_name, proto);
		uint32_t weight = service_weight(&l->slice->metadata.annotations);

		for (size_t i = 0; port && i < l->slice->n_endpoints; i++) {
			const struct api_endpoint *e = &l->slice->endpoints[i];
			struct ip_addr ip;

			if (!wanted(e) || !in_scope(e, scope, place) || !usable(e, f, &ip))
				continue;
			memset(&out[n], 0, sizeof(out[n])); /* compared as bytes */
			out[n].backend.ip = ip;
			out[n].backend.port = port;
			out[n++].weight = weight;
		}
	}
	if (n)
		qsort(out, n, sizeof(*out), compare_found);
	for (size_t i = 0; i < n; i++)
		if (!kept || memcmp(&out[i].backend, &out[kept - 1].backend, sizeof(out[i].backend)))
			out[kept++] = out[i];
	return kept;
}

static uint32_t affinity(const struct api_service_spec *s)
{
	const struct api_session_affinity_config *c = s->session_affinity_config;
	const struct api_client_ip_config *client = c ? c->client_ip : NULL;

	if (!streq(s->session_affinity, "ClientIP"))
		return 0;
	return client && client->timeout_seconds.set ? (uint32_t)client->timeout_seconds.v : 10800;
}

/* A service that is being compiled. */
struct compiling {
	struct service_table *t;
	const struct service_place *place;
	const struct api_service *service;
	const struct link *slices;
	struct service_weighted *found; /* room for all its endpoints */
};

/*
 * The ranges of an address's own family: in v4-mapped bits ::/0 would hold every IPv4 address, too. Where none is of
 * its family, nobody may use it: one that holds nobody stands for that.
 */
static int parse_ranges(const struct compiling *c, const struct ip_addr *vip, struct service_front *f)
{
	const struct api_service_spec *spec = &c->service->spec;
	struct service_range *ranges;

	if (!spec->n_load_balancer_source_ranges)
		return 0;
	ranges = arena_calloc(&c->t->arena, spec->n_load_balancer_source_ranges, sizeof(*ranges));
	if (!ranges)
		return -ENOMEM;
	for (size_t i = 0; i < spec->n_load_balancer_source_ranges; i++) {
		const char *text = spec->load_balancer_source_ranges[i];
		struct service_range *r = &ranges[f->n_ranges];

		if (!strchr(text, ':') == v4(vip) && policy_parse_cidr(text, &r->ip, &r->len) == 0)
			f->n_ranges++;
	}
	if (!f->n_ranges)
		ranges[f->n_ranges++] = (struct service_range){ .len = 128 };
	f->ranges = ranges;
	return 0;
}

static int add_backends(const struct compiling *c, size_t n, struct service_front *f)
{
	size_t total = service_shares(c->found, n);

	f->backends = arena_calloc(&c->t->arena, total + 1, sizeof(*f->backends));
	if (!f->backends)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		for (uint32_t k = 0; k < c->found[i].weight; k++)
			f->backends[f->n_backends++] = c->found[i].backend;
	return 0;
}

/* local: backends of this node only. */
static int add_front(const struct compiling *c, const struct ip_addr *vip, const struct api_service_port *sp,
		     uint16_t port, enum svc_side side, bool local)
{
	struct service_front *f = &c->t->fronts[c->t->n];
	const char *proto = sp->protocol ? sp->protocol : "TCP";
	size_t n;

	if (!streq(proto, "TCP") && !streq(proto, "UDP"))
		return 0;
	*f = (struct service_front){ .vip = *vip,
				     .port = port,
				     .service = c->service,
				     .port_name = or_empty(sp->name),
				     .affinity_s = affinity(&c->service->spec),
				     .proto = streq(proto, "UDP") ? IPPROTO_UDP : IPPROTO_TCP,
				     .side = side };
	f->direct = side == SVC_OUTSIDE && !local && !f->affinity_s &&
		    streq(api_map_get(&c->service->metadata.annotations, SERVICE_FORWARDING_MODE),
			  SERVICE_FORWARDING_DSR);
	n = collect(c->slices, f, proto, ready, local ? THIS_NODE : hinted_scope(c->slices, f, c->place), c->place,
		    c->found);
	if (!n)
		n = collect(c->slices, f, proto, drains, local ? THIS_NODE : ANYWHERE, c->place, c->found);
	if (add_backends(c, n, f) < 0)
		return -ENOMEM;
	if (!n && local && side == SVC_OUTSIDE)
		f->silent = collect(c->slices, f, proto, ready, ANYWHERE, c->place, c->found) ||
			    collect(c->slices, f, proto, drains, ANYWHERE, c->place, c->found);
	c->t->n++;
	return 0;
}

/* From outside as externalTrafficPolicy says; from inside every backend, as it is for the cluster's own address. */
static int add_both(const struct compiling *c, const struct ip_addr *vip, const struct api_service_port *sp,
		    uint16_t port)
{
	bool local = streq(c->service->spec.external_traffic_policy, "Local");

	return add_front(c, vip, sp, port, SVC_INSIDE, false) < 0 || add_front(c, vip, sp, port, SVC_OUTSIDE, local) < 0
		       ? -ENOMEM
		       : 0;
}

/* An address that is the service's as a whole. balancer: it has ranges of clients, outside. */
static int add_external(const struct compiling *c, const char *text, bool balancer)
{
	const struct api_service_spec *spec = &c->service->spec;
	struct ip_addr vip;

	if (!text || !parse_ip(text, &vip))
		return 0;
	for (size_t p = 0; p < spec->n_ports; p++) {
		size_t before = c->t->n;

		if (add_both(c, &vip, &spec->ports[p], (uint16_t)spec->ports[p].port) < 0)
			return -ENOMEM;
		for (size_t i = before; balancer && i < c->t->n; i++)
			if (c->t->fronts[i].side == SVC_OUTSIDE && parse_ranges(c, &vip, &c->t->fronts[i]) < 0)
				return -ENOMEM;
	}
	c->t->fronts[c->t->n++] = (struct service_front){
		.vip = vip,
		.service = c->service,
		.port_name = "",
		.side = SVC_OUTSIDE,
		.announced = balancer && c->place->node &&
			     streq(api_map_get(&c->service->metadata.annotations, SERVICE_ANNOUNCED_BY),
				   c->place->node),
	};
	return 0;
}

static int add_cluster_ip(const struct compiling *c, const char *text)
{
	const struct api_service_spec *spec = &c->service->spec;
	bool local = streq(spec->internal_traffic_policy, "Local");
	struct ip_addr vip, any;
	int r = 0;

	if (!text || streq(text, "None") || !parse_ip(text, &vip))
		return 0;
	any = v4(&vip) ? (struct ip_addr){ { 0, 0, htonl(0xffff), 0 } } : (struct ip_addr){ { 0 } };
	for (size_t p = 0; !r && p < spec->n_ports; p++) {
		const struct api_service_port *sp = &spec->ports[p];

		r = add_front(c, &vip, sp, (uint16_t)sp->port, SVC_INSIDE, local);
		if (!r && sp->node_port)
			r = add_both(c, &any, sp, (uint16_t)sp->node_port);
	}
	return r;
}

static size_t n_cluster_ips(const struct api_service *s)
{
	return s->spec.n_cluster_ips ? s->spec.n_cluster_ips : 1;
}

/* Front ends at most. */
static size_t count_fronts(const struct api_service *s)
{
	const struct api_load_balancer_status *lb = s->status.load_balancer;
	size_t external = s->spec.n_external_ips + (lb ? lb->n_ingress : 0);

	return s->spec.n_ports * (3 * n_cluster_ips(s) + 2 * external) + external;
}

static int add_fronts(const struct compiling *c)
{
	const struct api_service *s = c->service;
	const struct api_load_balancer_status *lb = s->status.load_balancer;

	for (size_t a = 0; a < n_cluster_ips(s); a++)
		if (add_cluster_ip(c, s->spec.n_cluster_ips ? s->spec.cluster_ips[a] : s->spec.cluster_ip) < 0)
			return -ENOMEM;
	for (size_t a = 0; a < s->spec.n_external_ips; a++)
		if (add_external(c, s->spec.external_ips[a], false) < 0)
			return -ENOMEM;
	for (size_t a = 0; lb && a < lb->n_ingress; a++)
		if (!streq(lb->ingress[a].ip_mode, "Proxy") && add_external(c, lb->ingress[a].ip, true) < 0)
			return -ENOMEM;
	return 0;
}

int service_compile(const struct service_place *place, const struct api_service *const *services, size_t n_services,
		    const struct api_endpoint_slice *const *slices, size_t n_slices, struct service_table *ret,
		    struct err *err)
{
	struct service_table t = { 0 };
	struct strmap *by_service = strmap_new();
	struct link *links = calloc(n_slices + 1, sizeof(*links));
	size_t max = 0, kept = 0;
	int r = -ENOMEM;
	bool failed;
	char key[600];

	if (!by_service || !links)
		goto out;
	for (size_t i = 0; i < n_slices; i++) {
		const struct api_meta *m = &slices[i]->metadata;
		const char *name = api_map_get(&m->labels, "kubernetes.io/service-name");

		if (!name || streq(slices[i]->address_type, "FQDN"))
			continue;
		snprintf(key, sizeof(key), "%s/%s", or_empty(m->namespace_), name);
		links[i] = (struct link){ slices[i], strmap_get(by_service, key) };
		if (strmap_set(by_service, key, &links[i], NULL) < 0)
			goto out;
	}
	for (size_t i = 0; i < n_services; i++)
		max += count_fronts(services[i]);
	t.fronts = calloc(max + 1, sizeof(*t.fronts));
	if (!t.fronts)
		goto out;
	for (size_t i = 0; i < n_services; i++) {
		const struct api_meta *m = &services[i]->metadata;
		struct compiling c = { .t = &t, .place = place, .service = services[i] };

		snprintf(key, sizeof(key), "%s/%s", or_empty(m->namespace_), m->name);
		c.slices = strmap_get(by_service, key);
		c.found = calloc(count_endpoints(c.slices) + 1, sizeof(*c.found));
		failed = !c.found || add_fronts(&c) < 0;
		free(c.found);
		if (failed)
			goto out;
	}
	qsort(t.fronts, t.n, sizeof(*t.fronts), by_address_then_age);
	for (size_t i = 0; i < t.n; i++) {
		if (!kept || service_front_compare(&t.fronts[i], &t.fronts[kept - 1]))
			t.fronts[kept++] = t.fronts[i];
		else if (t.fronts[i].port)
			t.clashes = true;
		else /* of an address, several services may have different ports */
			t.fronts[kept - 1].announced |= t.fronts[i].announced;
	}
	t.n = kept;
	*ret = t;
	r = 0;
out:
	if (r < 0)
		service_table_done(&t);
	strmap_free(by_service);
	free(links);
	return r < 0 ? err_set(err, ENOMEM, "out of memory") : 0;
}

uint16_t service_node_port_outside(const struct api_service *s, uint16_t min, uint16_t max)
{
	for (size_t i = 0; i < s->spec.n_ports; i++) {
		int64_t port = s->spec.ports[i].node_port;

		if (port && (port < min || port > max))
			return (uint16_t)port;
	}
	return 0;
}

void service_table_done(struct service_table *t)
{
	free(t->fronts);
	arena_done(&t->arena);
	*t = (struct service_table){ 0 };
}
