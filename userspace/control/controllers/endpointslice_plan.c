/* SPDX-License-Identifier: Apache-2.0 */
/* The slices that a Service and its pods make; see the header. */
#include "endpointslice_plan.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "base/strmap.h"
#include "compile/service_weights.h"

enum { MAX_ENDPOINTS = 100 };

/* The number a service port means on this pod; 0: the pod has no such named port. */
static int64_t resolve_port(const struct api_service_port *sp, const struct api_pod *p)
{
	const char *proto = sp->protocol ? sp->protocol : "TCP";

	if (!sp->target_port.set || (!sp->target_port.is_str && !sp->target_port.i))
		return sp->port;
	if (!sp->target_port.is_str)
		return sp->target_port.i;
	for (size_t i = 0; i < p->spec.n_containers; i++)
		for (size_t k = 0; k < p->spec.containers[i].n_ports; k++) {
			const struct api_container_port *cp = &p->spec.containers[i].ports[k];

			if (streq(cp->name, sp->target_port.s) && streq(cp->protocol ? cp->protocol : "TCP", proto))
				return cp->container_port;
		}
	return 0;
}

static json_t *ports_for(const struct api_service *s, const struct api_pod *p)
{
	json_t *out = json_array();

	for (size_t i = 0; i < s->spec.n_ports; i++) {
		const struct api_service_port *sp = &s->spec.ports[i];
		int64_t port = resolve_port(sp, p);
		json_t *one;

		if (!port)
			continue;
		one = json_pack("{s:s,s:s,s:I}", "name", sp->name ? sp->name : "", "protocol",
				sp->protocol ? sp->protocol : "TCP", "port", (json_int_t)port);
		if (sp->app_protocol)
			json_object_set_new(one, "appProtocol", json_string(sp->app_protocol));
		json_array_append_new(out, one);
	}
	return out;
}

static const char *address_of(const struct api_pod *p, const char *family)
{
	unsigned char buf[16];

	for (size_t i = 0; i < p->status.n_pod_ips; i++) {
		const char *ip = p->status.pod_ips[i].ip;

		if (ip && inet_pton(streq(family, "IPv6") ? AF_INET6 : AF_INET, ip, buf) == 1)
			return ip;
	}
	if (!p->status.n_pod_ips && p->status.pod_ip &&
	    inet_pton(streq(family, "IPv6") ? AF_INET6 : AF_INET, p->status.pod_ip, buf) == 1)
		return p->status.pod_ip;
	return NULL;
}

/* for_zone: by topology-mode; NULL: not by that. */
static void add_hints(json_t *e, const struct api_service *s, const char *node, const char *zone, const char *for_zone)
{
	/* The annotation is before the field (KEP-4444). */
	const char *want = endpointslice_by_topology(s) ? NULL : s->spec.traffic_distribution;
	json_t *hints = json_object();

	if (for_zone)
		json_object_set_new(hints, "forZones", json_pack("[{s:s}]", "name", for_zone));

	if (want && zone)
		json_object_set_new(hints, "forZones", json_pack("[{s:s}]", "name", zone));
	if (streq(want, "PreferSameNode") && node)
		json_object_set_new(hints, "forNodes", json_pack("[{s:s}]", "name", node));
	if (json_object_size(hints))
		json_object_set(e, "hints", hints);
	json_decref(hints);
}

bool endpointslice_by_topology(const struct api_service *s)
{
	const char *mode = api_map_get(&s->metadata.annotations, TOPOLOGY_MODE);

	if (!mode)
		mode = api_map_get(&s->metadata.annotations, TOPOLOGY_MODE_OLD);
	return streq(mode, "Auto") || streq(mode, "auto");
}

static bool is_ready(const struct api_service *s, const struct api_pod *p)
{
	return s->spec.publish_not_ready_addresses || (pod_ready(p) && !meta_deleting(&p->metadata));
}

static json_t *endpoint_for(const struct api_service *s, const struct api_pod *p, const char *ip, const char *zone,
			    const char *for_zone)
{
	bool terminating = meta_deleting(&p->metadata), serving = pod_ready(p), ready = is_ready(s, p);
	json_t *e = json_pack("{s:[s],s:{s:b,s:b,s:b},s:{s:s,s:s,s:s,s:s}}", "addresses", ip, "conditions", "ready",
			      ready, "serving", serving, "terminating", terminating, "targetRef", "kind", "Pod",
			      "namespace", p->metadata.namespace_, "name", p->metadata.name, "uid", p->metadata.uid);

	if (p->spec.node_name)
		json_object_set_new(e, "nodeName", json_string(p->spec.node_name));
	if (zone)
		json_object_set_new(e, "zone", json_string(zone));
	if (ready)
		add_hints(e, s, p->spec.node_name, zone, for_zone);
	if (p->spec.hostname && streq(p->spec.subdomain, s->metadata.name))
		json_object_set_new(e, "hostname", json_string(p->spec.hostname));
	return e;
}

static int by_name(const void *a, const void *b)
{
	const struct api_pod *const *x = a, *const *y = b;

	return strcmp((*x)->metadata.name, (*y)->metadata.name);
}

/* As a slice is to say it; NULL: the default, which slices do not say. */
static char *weight_of(const struct api_meta *m, char buf[16])
{
	uint32_t weight = service_weight(&m->annotations);

	snprintf(buf, 16, "%u", weight);
	return weight == SERVICE_WEIGHT_DEFAULT ? NULL : buf;
}

/* A slice that there will be, made of one that is there or not. */
struct planned {
	const char *name; /* of the one that is there; NULL: new */
	struct group *group;
	size_t n;	   /* endpoints given to it */
	json_t *endpoints; /* in the order of the pods */
	struct planned *next;
};

/* Endpoints that may share a slice: those with the same ports and the same weight. */
struct group {
	json_t *ports;
	char *weight; /* NULL: the default */
	struct planned *slices;
	struct planned *open; /* the one that takes new endpoints now */
};

/* A family of a service. */
struct plan {
	const struct api_service *s;
	const char *family;
	struct strmap *groups; /* ports and weight as text -> struct group */
	struct strmap *places; /* pod -> struct planned: where it is now */
	struct planned *first, **last;
	bool oom;
};

static struct group *group_of(struct plan *p, const json_t *ports, const char *weight)
{
	cleanup(free) char *text = json_dumps(ports, JSON_COMPACT | JSON_SORT_KEYS), *key = NULL;
	struct group *g;

	if (!text || asprintf(&key, "%s %s", text, weight ? weight : "") < 0)
		return NULL;
	g = strmap_get(p->groups, key);
	if (g)
		return g;
	g = calloc(1, sizeof(*g));
	if (!g || strmap_set(p->groups, key, g, NULL) < 0) {
		free(g);
		return NULL;
	}
	g->ports = json_deep_copy(ports);
	g->weight = weight ? strdup(weight) : NULL;
	return g->ports && (g->weight || !weight) ? g : NULL;
}

static struct planned *planned_new(struct plan *p, struct group *g, const char *name)
{
	struct planned *slice = g ? calloc(1, sizeof(*slice)) : NULL;

	if (!slice)
		return NULL;
	slice->name = name;
	slice->group = g;
	slice->endpoints = json_array();
	*p->last = slice;
	p->last = &slice->next;
	return slice;
}

/* What is there: each pod's place. */
static void look(struct plan *p, const struct api_endpoint_slice *const *have, size_t n)
{
	for (size_t i = 0; i < n && !p->oom; i++) {
		const struct api_endpoint_slice *es = have[i];
		struct planned *slice;
		json_t *content;

		if (!streq(es->address_type, p->family))
			continue;
		content = endpointslice_content(es);
		slice = planned_new(p, group_of(p, json_object_get(content, "ports"), api_get_str(content, "weight")),
				    es->metadata.name);
		json_decref(content);
		p->oom = !slice;
		for (size_t k = 0; slice && k < es->n_endpoints; k++) {
			const struct api_object_reference *pod = es->endpoints[k].target_ref;

			if (pod && pod->name && strmap_set(p->places, pod->name, slice, NULL) < 0)
				p->oom = true;
		}
	}
}

/* The fullest with room, so that the others may become empty; a new one if none has. */
static struct planned *room_in(struct plan *p, struct group *g)
{
	if (g->open && g->open->n < MAX_ENDPOINTS)
		return g->open;
	g->open = NULL;
	for (struct planned *s = p->first; s; s = s->next)
		if (s->group == g && s->n < MAX_ENDPOINTS && (!g->open || s->n > g->open->n))
			g->open = s;
	if (!g->open)
		g->open = planned_new(p, g, NULL);
	return g->open;
}

/* to: where each pod goes, NULL for those that are no endpoints. Who has a place keeps it: a change is one slice's. */
static void assign(struct plan *p, const struct api_pod *const *pods, size_t n, struct planned **to)
{
	struct group **of = calloc(n + 1, sizeof(struct group *));

	p->oom = p->oom || !of;
	for (size_t i = 0; i < n && !p->oom; i++) {
		char buf[16];
		json_t *ports;

		if (!address_of(pods[i], p->family) || pod_terminated(pods[i]))
			continue;
		ports = ports_for(p->s, pods[i]);
		of[i] = group_of(p, ports, weight_of(&pods[i]->metadata, buf));
		json_decref(ports);
		p->oom = !of[i];
		to[i] = strmap_get(p->places, pods[i]->metadata.name);
		if (to[i] && (to[i]->group != of[i] || to[i]->n == MAX_ENDPOINTS))
			to[i] = NULL;
		if (to[i])
			to[i]->n++;
	}
	for (size_t i = 0; i < n && !p->oom; i++) {
		if (!of[i] || to[i])
			continue;
		to[i] = room_in(p, of[i]);
		if (to[i])
			to[i]->n++;
		p->oom = !to[i];
	}
	free(of);
}

static json_t *slice_json(const struct plan *p, const struct planned *slice)
{
	json_t *out = json_pack("{s:s,s:O,s:O}", "addressType", p->family, "ports", slice->group->ports, "endpoints",
				slice->endpoints);

	if (slice->group->weight)
		json_object_set_new(out, "weight", json_string(slice->group->weight));
	if (slice->name)
		json_object_set_new(out, "name", json_string(slice->name));
	return out;
}

static void plan_done(struct plan *p)
{
	for (struct planned *slice = p->first, *next; slice; slice = next) {
		next = slice->next;
		json_decref(slice->endpoints);
		free(slice);
	}
	if (p->groups)
		for (struct strmap_iter it = { 0 }; strmap_next(p->groups, &it);) {
			struct group *g = it.value;

			json_decref(g->ports);
			free(g->weight);
			free(g);
		}
	strmap_free(p->groups);
	strmap_free(p->places);
}

static const char *zone_of_pod(const struct endpointslice_world *w, const struct api_pod *p)
{
	return p->spec.node_name ? w->zone_of(w->arg, p->spec.node_name) : NULL;
}

/* for_zones[i]: whose use the i-th pod is for. */
static void hint_zones(struct plan *p, const struct api_pod *const *pods, size_t n, struct planned **to,
		       const struct endpointslice_world *w, const char **for_zones, const char **ret_why)
{
	cleanup(free) size_t *of = calloc(n + 1, sizeof(size_t)), *at = calloc(n + 1, sizeof(size_t));
	cleanup(free) size_t *hint = calloc(n + 1, sizeof(size_t));
	const char *why;
	size_t ready = 0;

	if (!of || !at || !hint) {
		p->oom = true;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		const char *zone = zone_of_pod(w, pods[i]);

		if (!to[i] || !is_ready(p->s, pods[i]))
			continue;
		at[ready] = TOPOLOGY_NO_ZONE;
		for (size_t z = 0; z < w->n_zones; z++)
			if (streq(w->zones[z].name, zone))
				at[ready] = z;
		of[ready++] = i;
	}
	why = topology_hints(w->zones, w->n_zones, at, ready, hint);
	if (why)
		*ret_why = why;
	for (size_t k = 0; !why && k < ready; k++)
		for_zones[of[k]] = w->zones[hint[k]].name;
}

/* Adds the slices of a family to out; pods are sorted by name. */
static int plan_family(const struct api_service *s, const struct api_pod *const *pods, size_t n,
		       const struct endpointslice_world *w, const char *family, json_t *out, const char **ret_why)
{
	struct plan p = { .s = s, .family = family, .groups = strmap_new(), .places = strmap_new() };
	struct planned **to = calloc(n + 1, sizeof(struct planned *));
	cleanup(free) const char **for_zones = calloc(n + 1, sizeof(*for_zones));
	size_t before = json_array_size(out);

	p.last = &p.first;
	p.oom = !p.groups || !p.places || !to || !for_zones;
	if (!p.oom)
		look(&p, w->have, w->n_have);
	if (!p.oom)
		assign(&p, pods, n, to);
	if (!p.oom && endpointslice_by_topology(s))
		hint_zones(&p, pods, n, to, w, for_zones, ret_why);
	for (size_t i = 0; i < n && !p.oom; i++)
		if (to[i])
			json_array_append_new(to[i]->endpoints, endpoint_for(s, pods[i], address_of(pods[i], family),
									     zone_of_pod(w, pods[i]), for_zones[i]));
	for (struct planned *slice = p.first; slice && !p.oom; slice = slice->next)
		if (slice->n)
			json_array_append_new(out, slice_json(&p, slice));
	/* A service without endpoints has an empty slice, so that its clients are told rather than left waiting. */
	if (json_array_size(out) == before && !p.oom) {
		json_t *empty = json_pack("{s:s,s:[],s:[]}", "addressType", family, "ports", "endpoints");

		if (p.first)
			json_object_set_new(empty, "name", json_string(p.first->name));
		json_array_append_new(out, empty);
	}
	plan_done(&p);
	free(to);
	return p.oom ? -ENOMEM : 0;
}

json_t *endpointslice_plan(const struct api_service *s, const struct api_pod *const *pods, size_t n,
			   const struct endpointslice_world *w, const char **ret_why)
{
	const struct api_pod **sorted = malloc((n + 1) * sizeof(*sorted));
	json_t *all = json_array();
	int r = sorted && all ? 0 : -ENOMEM;

	*ret_why = NULL;

	if (!r && n) {
		memcpy(sorted, pods, n * sizeof(*sorted));
		qsort(sorted, n, sizeof(*sorted), by_name);
	}
	for (size_t i = 0; !r && (i < s->spec.n_ip_families || (!s->spec.n_ip_families && !i)); i++)
		r = plan_family(s, sorted, n, w, s->spec.n_ip_families ? s->spec.ip_families[i] : "IPv4", all, ret_why);
	free(sorted);
	if (r < 0) {
		json_decref(all);
		return NULL;
	}
	return all;
}

json_t *endpointslice_content(const struct api_endpoint_slice *es)
{
	const char *weight = api_map_get(&es->metadata.annotations, SERVICE_WEIGHT);
	json_t *obj = api_encode(&api_type_endpoint_slice, es);
	json_t *eps = json_object_get(obj, "endpoints"), *ports = json_object_get(obj, "ports"), *e;
	json_t *out;
	size_t i;

	json_array_foreach (ports, i, e)
		if (!json_object_get(e, "name"))
			json_object_set_new(e, "name", json_string(""));
	out = json_pack("{s:s}", "addressType", es->address_type ? es->address_type : "");
	json_object_set_new(out, "ports", ports ? json_incref(ports) : json_array());
	json_object_set_new(out, "endpoints", eps ? json_incref(eps) : json_array());
	if (weight)
		json_object_set_new(out, "weight", json_string(weight));
	json_decref(obj);
	return out;
}
