/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EndpointSlice controller (discovery.k8s.io/v1): for each Service with a selector, per address family and set of
 * resolved ports, slices of at most 100 endpoints. plan() says what slices there should be; slices that say so
 * already are left alone, others
 * are rewritten in place, so that a change costs one write.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "manager.h"

enum { MAX_ENDPOINTS = 100 };

#define MANAGED_BY   "endpointslice.kubernetes.io/managed-by"
#define MANAGER	     "endpointslice-controller.k8s.io"
#define SERVICE_NAME "kubernetes.io/service-name"

static void service_key(const struct api_meta *m, const char *name, char *buf)
{
	snprintf(buf, 600, "%s/%s", m->namespace_, name);
}

static void pod_services(struct controller *c, const struct api_pod *p)
{
	struct informer *services = manager_informer(c->m, &api_kind_service);

	for (struct informer_iter it = { 0 }; informer_next(services, &it);) {
		const struct api_service *s = (const struct api_service *)it.item->obj;
		bool match = s->spec.selector.n && streq(s->metadata.namespace_, p->metadata.namespace_);

		for (size_t i = 0; match && i < s->spec.selector.n; i++)
			match = streq(api_map_get(&p->metadata.labels, s->spec.selector.v[i].key),
				      s->spec.selector.v[i].value);
		if (match)
			enqueue(c, it.item->key);
	}
}

static void on_change(struct controller *c, const struct api_kind *kind, struct informer_item *old,
		      struct informer_item *new)
{
	const struct informer_item *it = new ? new : old;
	const char *service;
	char key[600];

	if (kind == &api_kind_service) {
		enqueue(c, it->key);
	} else if (kind == &api_kind_endpoint_slice) {
		service = api_map_get(&it->obj->metadata.labels, SERVICE_NAME);
		if (service && streq(api_map_get(&it->obj->metadata.labels, MANAGED_BY), MANAGER)) {
			service_key(&it->obj->metadata, service, key);
			enqueue(c, key);
		}
	} else if (old != new) {
		/* Both sides of a change of labels; a resync of the services covers the rest. */
		if (old)
			pod_services(c, (const struct api_pod *)old->obj);
		if (new)
			pod_services(c, (const struct api_pod *)new->obj);
	}
}

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

static json_t *endpoint_for(const struct api_service *s, const struct api_pod *p, const char *ip)
{
	bool terminating = meta_deleting(&p->metadata), serving = pod_ready(p);
	bool ready = s->spec.publish_not_ready_addresses || (serving && !terminating);
	json_t *e = json_pack("{s:[s],s:{s:b,s:b,s:b},s:{s:s,s:s,s:s,s:s}}", "addresses", ip, "conditions", "ready",
			      ready, "serving", serving, "terminating", terminating, "targetRef", "kind", "Pod",
			      "namespace", p->metadata.namespace_, "name", p->metadata.name, "uid", p->metadata.uid);

	if (p->spec.node_name)
		json_object_set_new(e, "nodeName", json_string(p->spec.node_name));
	if (p->spec.hostname && streq(p->spec.subdomain, s->metadata.name))
		json_object_set_new(e, "hostname", json_string(p->spec.hostname));
	return e;
}

static int by_name(const void *a, const void *b)
{
	const struct api_pod *const *x = a, *const *y = b;

	return strcmp((*x)->metadata.name, (*y)->metadata.name);
}

/*
 * Slices wanted for one family: [{addressType, ports, endpoints}], grouped by the ports the pods resolve to, sorted
 * by pod.
 */
static json_t *plan_family(const struct api_service *s, const struct api_pod *const *pods, size_t n, const char *family)
{
	json_t *slices = json_array(), *slice;
	size_t i, k;

	for (i = 0; i < n; i++) {
		const char *ip = address_of(pods[i], family);
		json_t *ports, *into = NULL;

		if (!ip || pod_terminated(pods[i]))
			continue;
		ports = ports_for(s, pods[i]);
		json_array_foreach (slices, k, slice)
			if (json_equal(json_object_get(slice, "ports"), ports) &&
			    json_array_size(json_object_get(slice, "endpoints")) < MAX_ENDPOINTS)
				into = slice;
		if (!into) {
			into = json_pack("{s:s,s:O,s:[]}", "addressType", family, "ports", ports, "endpoints");
			json_array_append_new(slices, into);
		}
		json_decref(ports);
		json_array_append_new(json_object_get(into, "endpoints"), endpoint_for(s, pods[i], ip));
	}
	/* A service without endpoints has an empty slice, so that its clients are told rather than left waiting. */
	if (!json_array_size(slices)) {
		json_t *ports = json_array();

		json_array_append_new(slices,
				      json_pack("{s:s,s:o,s:[]}", "addressType", family, "ports", ports, "endpoints"));
	}
	return slices;
}

static json_t *plan(const struct api_service *s, const struct api_pod *const *pods, size_t n)
{
	json_t *all = json_array(), *some;

	for (size_t i = 0; i < s->spec.n_ip_families || (!s->spec.n_ip_families && !i); i++) {
		some = plan_family(s, pods, n, s->spec.n_ip_families ? s->spec.ip_families[i] : "IPv4");
		json_array_extend(all, some);
		json_decref(some);
	}
	return all;
}

/* The part of a slice that is planned, out of a slice that exists. */
static json_t *content(const struct api_endpoint_slice *es)
{
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
	json_decref(obj);
	return out;
}

static json_t *slice_object(const struct informer_item *service, const json_t *want, bool headless)
{
	const struct api_meta *m = &service->obj->metadata;
	char generate[256];
	json_t *obj;

	snprintf(generate, sizeof(generate), "%.240s-", m->name);
	obj = json_pack("{s:s,s:s,s:{s:s,s:s,s:{s:s,s:s},s:[o]}}", "apiVersion", "discovery.k8s.io/v1", "kind",
			"EndpointSlice", "metadata", "generateName", generate, "namespace", m->namespace_, "labels",
			SERVICE_NAME, m->name, MANAGED_BY, MANAGER, "ownerReferences",
			owner_reference(&api_kind_service, service->obj));
	if (headless)
		json_object_set_new(api_get(obj, "metadata.labels"), "service.kubernetes.io/headless", json_string(""));
	json_object_update(obj, (json_t *)want);
	return obj;
}

static void sync_slices(struct controller *c, struct batch *b, const struct informer_item *service,
			const json_t *wanted)
{
	struct informer *slices = manager_informer(c->m, &api_kind_endpoint_slice);
	const struct api_meta *m = &service->obj->metadata;
	bool headless = streq(((const struct api_service *)service->obj)->spec.cluster_ip, "None");
	size_t n = json_array_size(wanted), i, n_have = 0;
	struct informer_item **have = calloc(informer_len(slices) + 1, sizeof(*have));
	bool *met = calloc(n + 1, sizeof(*met));

	if (!have || !met) {
		free(have);
		free(met);
		batch_take(b);
		batch_give(b, -ENOMEM);
		return;
	}
	for (struct informer_iter it = { 0 }; informer_next(slices, &it);) {
		const struct api_endpoint_slice *es = (const struct api_endpoint_slice *)it.item->obj;
		json_t *now;
		bool keep = false;

		if (!streq(es->metadata.namespace_, m->namespace_) ||
		    !streq(api_map_get(&es->metadata.labels, SERVICE_NAME), m->name) ||
		    !streq(api_map_get(&es->metadata.labels, MANAGED_BY), MANAGER) || meta_deleting(&es->metadata))
			continue;
		now = content(es);
		for (i = 0; !keep && i < n; i++)
			if (!met[i] && json_equal(json_array_get(wanted, i), now))
				keep = met[i] = true;
		json_decref(now);
		if (!keep)
			have[n_have++] = it.item;
	}
	for (i = 0; i < n; i++) {
		const json_t *want = json_array_get(wanted, i);
		json_t *obj;
		size_t k;

		if (met[i])
			continue;
		obj = slice_object(service, want, headless);
		/* addressType cannot change: a slice of the same family is rewritten, else a new one is made. */
		for (k = 0; k < n_have; k++)
			if (have[k] && streq(((const struct api_endpoint_slice *)have[k]->obj)->address_type,
					     api_get_str(want, "addressType")))
				break;
		if (k < n_have) {
			const struct api_meta *old = &have[k]->obj->metadata;

			json_object_del(json_object_get(obj, "metadata"), "generateName");
			api_set(obj, "metadata.name", json_string(old->name));
			api_set(obj, "metadata.resourceVersion", json_string(old->resource_version));
			BATCH_CALL(b, kube_update(c->m->kube, &api_kind_endpoint_slice, m->namespace_, old->name, NULL,
						  obj, batch_result, b));
			have[k] = NULL;
		} else {
			BATCH_CALL(b, kube_create(c->m->kube, &api_kind_endpoint_slice, m->namespace_, NULL, NULL, obj,
						  batch_result, b));
		}
		json_decref(obj);
	}
	for (i = 0; i < n_have; i++) {
		json_t *options;

		if (!have[i])
			continue;
		options = delete_options(have[i]->obj->metadata.uid, NULL);
		BATCH_CALL(b, kube_delete(c->m->kube, &api_kind_endpoint_slice, m->namespace_,
					  have[i]->obj->metadata.name, options, batch_result, b));
		json_decref(options);
	}
	free(have);
	free(met);
}

static void reconcile(struct controller *c, const char *key)
{
	struct informer *pods = manager_informer(c->m, &api_kind_pod);
	struct informer_item *item = informer_get_key(manager_informer(c->m, &api_kind_service), key);
	const struct api_service *s;
	const struct api_pod **mine;
	json_t *wanted;
	struct batch *b;
	size_t n = 0;

	/* Without a selector the slices are somebody else's; of a deleted service the garbage collector takes them. */
	if (!item || meta_deleting(&item->obj->metadata) || !((const struct api_service *)item->obj)->spec.selector.n) {
		done(c, key, 0);
		return;
	}
	s = (const struct api_service *)item->obj;
	mine = calloc(informer_len(pods) + 1, sizeof(*mine));
	if (!mine) {
		done(c, key, -ENOMEM);
		return;
	}
	for (struct informer_iter it = { 0 }; informer_next(pods, &it);) {
		const struct api_pod *p = (const struct api_pod *)it.item->obj;
		bool match = streq(p->metadata.namespace_, s->metadata.namespace_);

		for (size_t i = 0; match && i < s->spec.selector.n; i++)
			match = streq(api_map_get(&p->metadata.labels, s->spec.selector.v[i].key),
				      s->spec.selector.v[i].value);
		if (match)
			mine[n++] = p;
	}
	qsort(mine, n, sizeof(*mine), by_name);
	wanted = plan(s, mine, n);
	free(mine);
	b = batch_new(c, key);
	if (b && wanted)
		sync_slices(c, b, item, wanted);
	json_decref(wanted);
	if (b)
		batch_give(b, wanted ? 0 : -ENOMEM);
}

static const struct api_kind *const kinds[] = { &api_kind_service, &api_kind_endpoint_slice, &api_kind_pod, NULL };

const struct controller_ops endpointslice_controller = {
	.name = "endpointslice",
	.kinds = kinds,
	.on_change = on_change,
	.reconcile = reconcile,
};
