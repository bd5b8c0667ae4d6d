/* SPDX-License-Identifier: Apache-2.0 */
/* The slices that a Service and its pods make; see the header. */
#include "endpointslice_plan.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
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

static void add_hints(json_t *e, const struct api_service *s, const char *node, const char *zone)
{
	const char *want = s->spec.traffic_distribution;
	json_t *hints = json_object();

	if (want && zone)
		json_object_set_new(hints, "forZones", json_pack("[{s:s}]", "name", zone));
	if (streq(want, "PreferSameNode") && node)
		json_object_set_new(hints, "forNodes", json_pack("[{s:s}]", "name", node));
	if (json_object_size(hints))
		json_object_set(e, "hints", hints);
	json_decref(hints);
}

static json_t *endpoint_for(const struct api_service *s, const struct api_pod *p, const char *ip, const char *zone)
{
	bool terminating = meta_deleting(&p->metadata), serving = pod_ready(p);
	bool ready = s->spec.publish_not_ready_addresses || (serving && !terminating);
	json_t *e = json_pack("{s:[s],s:{s:b,s:b,s:b},s:{s:s,s:s,s:s,s:s}}", "addresses", ip, "conditions", "ready",
			      ready, "serving", serving, "terminating", terminating, "targetRef", "kind", "Pod",
			      "namespace", p->metadata.namespace_, "name", p->metadata.name, "uid", p->metadata.uid);

	if (p->spec.node_name)
		json_object_set_new(e, "nodeName", json_string(p->spec.node_name));
	if (zone)
		json_object_set_new(e, "zone", json_string(zone));
	if (ready)
		add_hints(e, s, p->spec.node_name, zone);
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

/*
 * Slices wanted for one family: [{addressType, ports, endpoints, weight}], grouped by the ports the pods resolve to and
 * by their weight, sorted by pod.
 */
static json_t *plan_family(const struct api_service *s, const struct api_pod *const *pods, size_t n, const char *family,
			   node_zone_fn *zone_of, void *arg)
{
	json_t *slices = json_array(), *slice;
	size_t i, k;

	for (i = 0; i < n; i++) {
		const char *ip = address_of(pods[i], family), *node = pods[i]->spec.node_name;
		char buf[16], *weight = weight_of(&pods[i]->metadata, buf);
		json_t *ports, *into = NULL;

		if (!ip || pod_terminated(pods[i]))
			continue;
		ports = ports_for(s, pods[i]);
		json_array_foreach (slices, k, slice)
			if (json_equal(json_object_get(slice, "ports"), ports) &&
			    streq(api_get_str(slice, "weight"), weight) &&
			    json_array_size(json_object_get(slice, "endpoints")) < MAX_ENDPOINTS)
				into = slice;
		if (!into) {
			into = json_pack("{s:s,s:O,s:[]}", "addressType", family, "ports", ports, "endpoints");
			if (weight)
				json_object_set_new(into, "weight", json_string(weight));
			json_array_append_new(slices, into);
		}
		json_decref(ports);
		json_array_append_new(json_object_get(into, "endpoints"),
				      endpoint_for(s, pods[i], ip, node ? zone_of(arg, node) : NULL));
	}
	/* A service without endpoints has an empty slice, so that its clients are told rather than left waiting. */
	if (!json_array_size(slices)) {
		json_t *ports = json_array();

		json_array_append_new(slices,
				      json_pack("{s:s,s:o,s:[]}", "addressType", family, "ports", ports, "endpoints"));
	}
	return slices;
}

json_t *endpointslice_plan(const struct api_service *s, const struct api_pod *const *pods, size_t n,
			   node_zone_fn *zone_of, void *arg)
{
	const struct api_pod **sorted = malloc((n + 1) * sizeof(*sorted));
	json_t *all = json_array(), *some;

	if (!sorted || !all) {
		free(sorted);
		json_decref(all);
		return NULL;
	}
	if (n)
		memcpy(sorted, pods, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), by_name);

	for (size_t i = 0; i < s->spec.n_ip_families || (!s->spec.n_ip_families && !i); i++) {
		some = plan_family(s, sorted, n, s->spec.n_ip_families ? s->spec.ip_families[i] : "IPv4", zone_of, arg);
		json_array_extend(all, some);
		json_decref(some);
	}
	free(sorted);
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
