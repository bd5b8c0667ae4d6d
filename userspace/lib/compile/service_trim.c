/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What neither service_compile() nor health checks read is left out of the objects before they are decoded: a node
 * keeps all Services and EndpointSlices of the cluster in memory, and most of their text (who made them, which pod is
 * behind an address) is for others. What has the value that the compiler takes for an absent field goes too. Names,
 * uid, resourceVersion and age stay: caches and the order of claims need them.
 */
#include "service.h"

#include "../base/str.h"

/* names ends with NULL */
static void keep(json_t *obj, const char *const names[])
{
	const char *key;
	json_t *v;
	void *next;

	json_object_foreach_safe (obj, next, key, v) {
		size_t i = 0;

		while (names[i] && !streq(names[i], key))
			i++;
		if (!names[i])
			json_object_del(obj, key);
	}
}

/* Leaves name out where it says value, or, with unless, where it says something else. */
static void drop(json_t *obj, const char *name, const char *value, bool unless)
{
	const json_t *v = json_object_get(obj, name);

	if (json_is_string(v) && streq(json_string_value(v), value) != unless)
		json_object_del(obj, name);
}

static void keep_annotations(json_t *metadata, const char *const names[])
{
	keep(json_object_get(metadata, "annotations"), names);
	if (!json_object_size(json_object_get(metadata, "annotations")))
		json_object_del(metadata, "annotations");
}

static void trim_ports(json_t *ports)
{
	static const char *const wanted[] = { "name", "protocol", "port", "nodePort", NULL };
	json_t *port;
	size_t i;

	json_array_foreach (ports, i, port) {
		keep(port, wanted);
		drop(port, "name", "", false);
		drop(port, "protocol", "TCP", false);
	}
}

void service_trim(json_t *service)
{
	static const char *const top[] = { "metadata", "spec", "status", NULL };
	static const char *const meta[] = { "name",	   "namespace", "uid", "resourceVersion", "creationTimestamp",
					    "annotations", NULL };
	static const char *const annotations[] = { SERVICE_ANNOUNCED_BY, SERVICE_FORWARDING_MODE, NULL };
	static const char *const wanted[] = { "clusterIP",
					      "clusterIPs",
					      "ports",
					      "sessionAffinity",
					      "sessionAffinityConfig",
					      "internalTrafficPolicy",
					      "externalTrafficPolicy",
					      "externalIPs",
					      "loadBalancerSourceRanges",
					      "healthCheckNodePort",
					      NULL };
	static const char *const status[] = { "loadBalancer", NULL };
	json_t *spec = json_object_get(service, "spec"), *metadata = json_object_get(service, "metadata");

	keep(service, top);
	keep(metadata, meta);
	keep_annotations(metadata, annotations);
	keep(spec, wanted);
	if (json_array_size(json_object_get(spec, "clusterIPs")))
		json_object_del(spec, "clusterIP");
	drop(spec, "sessionAffinity", "ClientIP", true);
	drop(spec, "internalTrafficPolicy", "Local", true);
	drop(spec, "externalTrafficPolicy", "Local", true);
	keep(json_object_get(service, "status"), status);
	if (!json_array_size(api_get(service, "status.loadBalancer.ingress")))
		json_object_del(service, "status");
	trim_ports(json_object_get(spec, "ports"));
}

void service_trim_slice(json_t *slice)
{
	static const char *const top[] = { "metadata", "addressType", "ports", "endpoints", NULL };
	static const char *const meta[] = {
		"name", "namespace", "uid", "resourceVersion", "labels", "annotations", NULL
	};
	static const char *const labels[] = { "kubernetes.io/service-name", NULL };
	static const char *const annotations[] = { SERVICE_WEIGHT, NULL };
	static const char *const wanted[] = { "addresses", "conditions", "nodeName", "hints", NULL };
	json_t *endpoint, *metadata = json_object_get(slice, "metadata");
	size_t i;

	keep(slice, top);
	keep(metadata, meta);
	keep(json_object_get(metadata, "labels"), labels);
	keep_annotations(metadata, annotations);
	drop(slice, "addressType", "FQDN", true);
	trim_ports(json_object_get(slice, "ports"));
	json_array_foreach (json_object_get(slice, "endpoints"), i, endpoint) {
		json_t *addresses = json_object_get(endpoint, "addresses");

		keep(endpoint, wanted);
		while (json_array_size(addresses) > 1) /* of several, the first is used */
			json_array_remove(addresses, json_array_size(addresses) - 1);
	}
}
