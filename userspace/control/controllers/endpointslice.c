/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EndpointSlice controller (discovery.k8s.io/v1): for each Service with a selector, per address family and set of
 * resolved ports, slices of at most 100 endpoints. The plan says what slices there should be; slices that say so
 * already are left alone, others are rewritten in place, so that a change costs one write.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/str.h"
#include "base/strmap.h"
#include "compile/service.h"
#include "endpointslice_plan.h"
#include "manager.h"

#define MANAGED_BY   "endpointslice.kubernetes.io/managed-by"
#define MANAGER	     "endpointslice-controller.k8s.io"
#define SERVICE_NAME "kubernetes.io/service-name"
#define ZONE	     "topology.kubernetes.io/zone"

static void service_key(const struct api_meta *m, const char *name, char *buf)
{
	snprintf(buf, 600, "%s/%s", m->namespace_, name);
}

static bool selects(const struct api_service *s, const struct api_pod *p)
{
	bool match = s->spec.selector.n;

	for (size_t i = 0; match && i < s->spec.selector.n; i++)
		match = streq(api_map_get(&p->metadata.labels, s->spec.selector.v[i].key), s->spec.selector.v[i].value);
	return match;
}

static void pod_services(struct controller *c, const struct api_pod *p)
{
	struct informer *services = manager_informer(c->m, &api_kind_service);

	for (struct informer_iter it = { 0 }; informer_next_in(services, p->metadata.namespace_, &it);)
		if (selects((const struct api_service *)it.item->obj, p))
			enqueue(c, it.item->key);
}

/* --- which slices a service has ----------------------------------------------------------------------------------- */

/* "namespace/name" of the service whose slice of ours it is; false: somebody else's. */
static bool service_of(const struct informer_item *slice, char key[600])
{
	const struct api_meta *m = &slice->obj->metadata;
	const char *service = api_map_get(&m->labels, SERVICE_NAME);

	if (!service || !streq(api_map_get(&m->labels, MANAGED_BY), MANAGER))
		return false;
	service_key(m, service, key);
	return true;
}

/* By service: its slices as a set of their keys. Services have few, and clusters many. */
static int slice_comes(struct strmap *services, const char *service, const char *slice)
{
	struct strmap *set = strmap_get(services, service);

	if (!set) {
		set = strmap_new();
		if (!set || strmap_set(services, service, set, NULL) < 0) {
			strmap_free(set);
			return -ENOMEM;
		}
	}
	return strmap_set(set, slice, set, NULL);
}

static void slice_goes(struct strmap *services, const char *service, const char *slice)
{
	struct strmap *set = strmap_get(services, service);

	if (!set)
		return;
	strmap_del(set, slice);
	if (strmap_len(set))
		return;
	strmap_del(services, service);
	strmap_free(set);
}

static void slice_changed(struct controller *c, const struct informer_item *old, const struct informer_item *new)
{
	char key[600];

	if (old && service_of(old, key)) {
		slice_goes(c->data, key, old->key);
		enqueue(c, key);
	}
	if (new &&service_of(new, key)) {
		if (slice_comes(c->data, key, new->key) < 0)
			log_error("out of memory: a slice of service %s is not seen until it changes", key);
		enqueue(c, key);
	}
}

static int init(struct controller *c)
{
	c->data = strmap_new();
	return c->data ? 0 : -ENOMEM;
}

static void end(struct controller *c)
{
	if (c->data)
		for (struct strmap_iter it = { 0 }; strmap_next(c->data, &it);)
			strmap_free(it.value);
	strmap_free(c->data);
}

/* --- zones -------------------------------------------------------------------------------------------------------- */

static const char *zone_of(void *controller, const char *node)
{
	struct controller *c = controller;
	const struct informer_item *it = informer_get(manager_informer(c->m, &api_kind_node), NULL, node);

	return it ? api_map_get(&it->obj->metadata.labels, ZONE) : NULL;
}

/* Do pods run there, so that its CPUs count for its zone? */
static bool takes_part(const struct api_node *n)
{
	static const char *const others[] = { "node-role.kubernetes.io/control-plane",
					      "node-role.kubernetes.io/master" };

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (api_map_get(&n->metadata.labels, others[i]))
			return false;
	for (size_t i = 0; i < n->status.n_conditions; i++)
		if (streq(n->status.conditions[i].type, "Ready"))
			return streq(n->status.conditions[i].status, "True");
	return false;
}

/* What it adds to its zone's share, -1: it takes no part. */
static int64_t cpu_of(const struct informer_item *it)
{
	const struct api_node *n = it ? (const struct api_node *)it->obj : NULL;
	const char *text = n ? api_map_get(&n->status.allocatable, "cpu") : NULL;
	int64_t milli;

	if (!n || !takes_part(n))
		return -1;
	return text && api_quantity_milli(text, &milli) == 0 ? milli : 0;
}

/*
 * A node's zone has changed: all services have a look; nodes change zones when they come. Its CPUs, or whether it is
 * ready: those that share endpoints out by them.
 */
static void node_changed(struct controller *c, const struct informer_item *old, const struct informer_item *new)
{
	struct informer *services = manager_informer(c->m, &api_kind_service);
	bool zone = !streq(old ? api_map_get(&old->obj->metadata.labels, ZONE) : NULL,
			   new ? api_map_get(&new->obj->metadata.labels, ZONE) : NULL);

	if (!zone && cpu_of(old) == cpu_of(new))
		return;
	for (struct informer_iter it = { 0 }; informer_next(services, &it);)
		if (zone || endpointslice_by_topology((const struct api_service *)it.item->obj))
			enqueue(c, it.item->key);
}

static int by_zone(const void *a, const void *b)
{
	return strcmp(((const struct topology_zone *)a)->name, ((const struct topology_zone *)b)->name);
}

/* The cluster's zones with their CPUs; none if a node does not say its zone, or its CPUs. *zones: the caller's. */
static int gather_zones(struct controller *c, struct topology_zone **zones, size_t *n)
{
	struct informer *nodes = manager_informer(c->m, &api_kind_node);

	*zones = calloc(informer_len(nodes) + 1, sizeof(**zones));
	*n = 0;
	if (!*zones)
		return -ENOMEM;
	for (struct informer_iter it = { 0 }; informer_next(nodes, &it);) {
		const char *zone = api_map_get(&it.item->obj->metadata.labels, ZONE);
		int64_t cpu = cpu_of(it.item);
		size_t z = 0;

		if (cpu < 0)
			continue;
		if (!zone || !*zone || !cpu) {
			*n = 0;
			return 0;
		}
		while (z < *n && !streq((*zones)[z].name, zone))
			z++;
		*n += z == *n;
		(*zones)[z].name = zone;
		(*zones)[z].cpu_milli += cpu;
	}
	qsort(*zones, *n, sizeof(**zones), by_zone);
	return 0;
}

static bool hinted(const struct api_endpoint_slice *const *slices, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < slices[i]->n_endpoints; k++)
			if (slices[i]->endpoints[k].hints && slices[i]->endpoints[k].hints->n_for_zones)
				return true;
	return false;
}

/* When it begins and when it ends, by the reasons that Kubernetes gives. */
static void tell_topology(struct controller *c, const struct api_service *s, const struct endpointslice_world *w,
			  const char *why)
{
	bool was = hinted(w->have, w->n_have);

	if (!endpointslice_by_topology(s))
		return;
	if (why && (was || !w->n_have))
		kube_event(c->m->recorder, &api_kind_service, &s->object, "Warning", "TopologyAwareHintsDisabled",
			   "Endpoints are used from all zones: %s", why);
	else if (!why && !was)
		kube_event(c->m->recorder, &api_kind_service, &s->object, "Normal", "TopologyAwareHintsEnabled",
			   "Endpoints are shared out to zones by their nodes' CPUs");
}

static void on_change(struct controller *c, const struct api_kind *kind, struct informer_item *old,
		      struct informer_item *new)
{
	if (kind == &api_kind_service)
		enqueue(c, (new ? new : old)->key);
	else if (kind == &api_kind_endpoint_slice)
		slice_changed(c, old, new);
	else if (kind == &api_kind_node)
		node_changed(c, old, new);
	else if (old != new) {
		/* Both sides of a change of labels; a resync of the services covers the rest. */
		if (old)
			pod_services(c, (const struct api_pod *)old->obj);
		if (new)
			pod_services(c, (const struct api_pod *)new->obj);
	}
}

static json_t *slice_object(const struct informer_item *service, const json_t *want, bool headless)
{
	const struct api_meta *m = &service->obj->metadata;
	const char *weight = api_get_str(want, "weight");
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
	if (weight) {
		api_set(obj, "metadata.annotations", json_pack("{s:s}", SERVICE_WEIGHT, weight));
		json_object_del(obj, "weight");
	}
	return obj;
}

static int by_key(const void *a, const void *b)
{
	return strcmp((*(struct informer_item *const *)a)->key, (*(struct informer_item *const *)b)->key);
}

/* The controller's own slices of the service: *have is the caller's. */
static int gather(struct controller *c, const struct api_meta *m, struct informer_item ***have, size_t *n)
{
	struct informer *slices = manager_informer(c->m, &api_kind_endpoint_slice);
	const struct strmap *set;
	char key[600];

	service_key(m, m->name, key);
	set = strmap_get(c->data, key);
	*have = calloc((set ? strmap_len(set) : 0) + 1, sizeof(**have));
	*n = 0;
	if (!*have)
		return -ENOMEM;
	for (struct strmap_iter it = { 0 }; set && strmap_next(set, &it);) {
		struct informer_item *slice = informer_get_key(slices, it.key);

		if (slice && !meta_deleting(&slice->obj->metadata))
			(*have)[(*n)++] = slice;
	}
	qsort(*have, *n, sizeof(**have), by_key);
	return 0;
}

static const struct api_endpoint_slice *slice_of(const struct informer_item *it)
{
	return (const struct api_endpoint_slice *)it->obj;
}

/* Which of them that plan is for: the one that it names, or else one that nothing is planned for. have[i] NULL: taken.
 */
static struct informer_item *take(struct informer_item **have, size_t n, const json_t *want, bool by_name)
{
	const char *name = api_get_str(want, "name");

	for (size_t k = 0; k < n; k++) {
		struct informer_item *it = have[k];

		/* addressType cannot change. */
		if (!it || (by_name ? !streq(it->obj->metadata.name, name)
				    : !streq(slice_of(it)->address_type, api_get_str(want, "addressType"))))
			continue;
		have[k] = NULL;
		return it;
	}
	return NULL;
}

static void write_slice(struct controller *c, struct batch *b, const struct informer_item *service,
			const struct informer_item *is, json_t *want, const struct strmap *moves, bool headless)
{
	const char *ns = service->obj->metadata.namespace_;
	json_t *now = is ? endpointslice_content(slice_of(is)) : NULL, *obj;

	json_object_del(want, "name");
	if (is && !json_equal(want, now))
		(void)endpointslice_hold(moves, slice_of(is), want);
	if (is && json_equal(want, now)) {
		json_decref(now);
		return;
	}
	obj = slice_object(service, want, headless);
	if (is) {
		const struct api_meta *m = &is->obj->metadata;

		json_object_del(json_object_get(obj, "metadata"), "generateName");
		api_set(obj, "metadata.name", json_string(m->name));
		api_set(obj, "metadata.resourceVersion", json_string(m->resource_version));
		BATCH_CALL(b,
			   kube_update(c->m->kube, &api_kind_endpoint_slice, ns, m->name, NULL, obj, batch_result, b));
	} else {
		BATCH_CALL(b, kube_create(c->m->kube, &api_kind_endpoint_slice, ns, NULL, NULL, obj, batch_result, b));
	}
	json_decref(now);
	json_decref(obj);
}

static void sync_slices(struct controller *c, struct batch *b, const struct informer_item *service,
			const json_t *wanted, struct informer_item **have, size_t n_have, const struct strmap *moves)
{
	bool headless = streq(((const struct api_service *)service->obj)->spec.cluster_ip, "None");
	json_t *want;
	size_t i;

	json_array_foreach (wanted, i, want)
		if (json_object_get(want, "name"))
			write_slice(c, b, service, take(have, n_have, want, true), want, moves, headless);
		else
			json_object_set_new(want, "name", json_null());
	/* One that is not needed is rewritten rather than one deleted and another made. */
	json_array_foreach (wanted, i, want)
		if (json_is_null(json_object_get(want, "name")))
			write_slice(c, b, service, take(have, n_have, want, false), want, moves, headless);
	for (i = 0; i < n_have; i++) {
		json_t *options;

		/* When what it holds is elsewhere, that slice's event brings us here again. */
		if (!have[i] || endpointslice_hold(moves, slice_of(have[i]), NULL))
			continue;
		options = delete_options(have[i]->obj->metadata.uid, NULL);
		BATCH_CALL(b, kube_delete(c->m->kube, &api_kind_endpoint_slice, service->obj->metadata.namespace_,
					  have[i]->obj->metadata.name, options, batch_result, b));
		json_decref(options);
	}
}

/* The pods that the service's selector matches: *mine is the caller's. */
static int gather_pods(struct controller *c, const struct api_service *s, const struct api_pod ***mine, size_t *n)
{
	struct informer *pods = manager_informer(c->m, &api_kind_pod);

	*mine = calloc(informer_len_in(pods, s->metadata.namespace_) + 1, sizeof(**mine));
	*n = 0;
	if (!*mine)
		return -ENOMEM;
	for (struct informer_iter it = { 0 }; informer_next_in(pods, s->metadata.namespace_, &it);)
		if (selects(s, (const struct api_pod *)it.item->obj))
			(*mine)[(*n)++] = (const struct api_pod *)it.item->obj;
	return 0;
}

static void reconcile(struct controller *c, const char *key)
{
	struct informer_item *item = informer_get_key(manager_informer(c->m, &api_kind_service), key);
	const struct api_service *s = item ? (const struct api_service *)item->obj : NULL;
	cleanup(free) const struct api_endpoint_slice **slices = NULL;
	cleanup(free) const struct api_pod **mine = NULL;
	cleanup(free) struct informer_item **have = NULL;
	cleanup(free) struct topology_zone *zones = NULL;
	cleanup(strmap_free) struct strmap *moves = NULL;
	struct endpointslice_world w = { .zone_of = zone_of, .arg = c };
	const char *why = NULL;
	json_t *wanted = NULL;
	struct batch *b;
	size_t n = 0;

	/* Without a selector the slices are somebody else's; of a deleted service the garbage collector takes them. */
	if (!item || meta_deleting(&item->obj->metadata) || !s->spec.selector.n) {
		done(c, key, 0);
		return;
	}
	if (gather_pods(c, s, &mine, &n) == 0 && gather(c, &item->obj->metadata, &have, &w.n_have) == 0 &&
	    (!endpointslice_by_topology(s) || gather_zones(c, &zones, &w.n_zones) == 0))
		slices = calloc(w.n_have + 1, sizeof(*slices));
	for (size_t i = 0; slices && i < w.n_have; i++)
		slices[i] = slice_of(have[i]);
	w.have = slices;
	w.zones = zones;
	if (slices)
		wanted = endpointslice_plan(s, mine, n, &w, &why);
	if (wanted)
		tell_topology(c, s, &w, why);
	moves = wanted ? endpointslice_moves(wanted, &w) : NULL;
	b = batch_new(c, key);
	if (b && moves)
		sync_slices(c, b, item, wanted, have, w.n_have, moves);
	json_decref(wanted);
	if (b)
		batch_give(b, moves ? 0 : -ENOMEM);
}

static const struct api_kind *const kinds[] = { &api_kind_service, &api_kind_endpoint_slice, &api_kind_pod,
						&api_kind_node, NULL };

const struct controller_ops endpointslice_controller = {
	.name = "endpointslice",
	.kinds = kinds,
	.init = init,
	.on_change = on_change,
	.reconcile = reconcile,
	.free = end,
};
