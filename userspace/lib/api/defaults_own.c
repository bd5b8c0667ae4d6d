/* SPDX-License-Identifier: Apache-2.0 */
/* Defaults that follow from other fields of the object, kind by kind. All are idempotent. */
#include "api-internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <ctype.h>
#include <string.h>

#include "../base/cleanup.h"
#include "../base/str.h"
#include "defaults.h"

void api_set_missing(json_t *obj, const char *name, json_t *value)
{
	const json_t *have = json_object_get(obj, name);

	if (json_is_object(obj) && (!have || json_is_null(have)))
		json_object_set_new(obj, name, value);
	else
		json_decref(value);
}

/* Whether an image reference means the tag "latest": written out, or neither tag nor digest given. */
static bool image_is_latest(const char *image)
{
	const char *slash, *colon;

	if (strchr(image, '@')) {
		/* name:latest@sha256:... keeps its tag. */
		const char *tag = strstr(image, ":latest@");

		return tag && !strchr(tag, '/');
	}
	slash = strrchr(image, '/');
	colon = strrchr(slash ? slash : image, ':');
	return !colon || streq(colon, ":latest");
}

static void default_containers(json_t *containers, bool is_pod)
{
	json_t *c;
	size_t i;

	json_array_foreach (containers, i, c) {
		const char *image = api_get_str(c, "image");
		json_t *limits, *requests, *v;
		const char *key;

		if (api_json_empty(json_object_get(c, "imagePullPolicy")))
			json_object_set_new(c, "imagePullPolicy",
					    json_string(image && image_is_latest(image) ? "Always" : "IfNotPresent"));
		if (!json_object_get(c, "resources"))
			json_object_set_new(c, "resources", json_object());
		limits = api_get(c, "resources.limits");
		if (!is_pod || !json_object_size(limits))
			continue;
		requests = api_get(c, "resources.requests");
		if (!requests) {
			requests = json_object();
			if (api_set(c, "resources.requests", requests) < 0)
				continue;
		}
		json_object_foreach (limits, key, v)
			if (!json_object_get(requests, key))
				json_object_set(requests, key, v);
	}
}

void api_default_pod_spec(json_t *spec, bool is_pod)
{
	const char *account = api_get_str(spec, "serviceAccountName"), *old_name = api_get_str(spec, "serviceAccount");
	json_t *volume;
	size_t i;

	if (!json_is_object(spec))
		return;
	/* Two names of one thing; the newer one counts. */
	if (account && *account)
		json_object_set_new(spec, "serviceAccount", json_string(account));
	else if (old_name && *old_name)
		json_object_set_new(spec, "serviceAccountName", json_string(old_name));
	api_set_missing(spec, "securityContext", json_object());
	if (is_pod)
		api_set_missing(spec, "enableServiceLinks", json_true());
	default_containers(json_object_get(spec, "initContainers"), is_pod);
	default_containers(json_object_get(spec, "containers"), is_pod);
	default_containers(json_object_get(spec, "ephemeralContainers"), false);
	json_array_foreach (json_object_get(spec, "volumes"), i, volume)
		if (json_is_object(volume) && json_object_size(volume) == 1 && json_object_get(volume, "name"))
			json_object_set_new(volume, "emptyDir", json_object());
}

static void default_pod(json_t *obj)
{
	api_default_pod_spec(json_object_get(obj, "spec"), true);
}

static void default_template(json_t *obj)
{
	api_default_pod_spec(api_get(obj, "spec.template.spec"), false);
}

static void default_deployment(json_t *obj)
{
	json_t *spec = json_object_get(obj, "spec"), *strategy, *rolling;

	default_template(obj);
	if (!json_is_object(spec))
		return;
	api_set_missing(spec, "strategy", json_object());
	strategy = json_object_get(spec, "strategy");
	if (api_json_empty(json_object_get(strategy, "type")))
		json_object_set_new(strategy, "type", json_string("RollingUpdate"));
	if (!streq(api_get_str(strategy, "type"), "RollingUpdate"))
		return;
	api_set_missing(strategy, "rollingUpdate", json_object());
	rolling = json_object_get(strategy, "rollingUpdate");
	api_set_missing(rolling, "maxUnavailable", json_string("25%"));
	api_set_missing(rolling, "maxSurge", json_string("25%"));
}

static void default_external(json_t *obj, json_t *spec)
{
	bool balancer = streq(api_get_str(spec, "type"), "LoadBalancer");
	json_t *v;
	size_t i;

	if (balancer)
		api_set_missing(spec, "allocateLoadBalancerNodePorts", json_true());
	if (balancer || streq(api_get_str(spec, "type"), "NodePort") ||
	    json_array_size(json_object_get(spec, "externalIPs")))
		api_set_missing(spec, "externalTrafficPolicy", json_string("Cluster"));
	json_array_foreach (api_get(obj, "status.loadBalancer.ingress"), i, v)
		if (!api_json_empty(json_object_get(v, "ip")))
			api_set_missing(v, "ipMode", json_string("VIP"));
}

static void default_service(json_t *obj)
{
	json_t *spec = json_object_get(obj, "spec"), *port;
	size_t i;

	default_external(obj, spec);

	if (streq(api_get_str(spec, "sessionAffinity"), "None"))
		json_object_del(spec, "sessionAffinityConfig");
	else if (streq(api_get_str(spec, "sessionAffinity"), "ClientIP") &&
		 !api_get(spec, "sessionAffinityConfig.clientIP.timeoutSeconds"))
		(void)api_set(spec, "sessionAffinityConfig.clientIP.timeoutSeconds", json_integer(10800));
	json_array_foreach (json_object_get(spec, "ports"), i, port) {
		json_t *number = json_object_get(port, "port");

		/* Zero and "" mean absent here. */
		if (number && api_json_empty(json_object_get(port, "targetPort")))
			json_object_set(port, "targetPort", number);
	}
}

static void default_network_policy(json_t *obj)
{
	json_t *spec = json_object_get(obj, "spec");

	if (!json_is_object(spec) || json_array_size(json_object_get(spec, "policyTypes")))
		return;
	json_object_set_new(spec, "policyTypes",
			    json_array_size(json_object_get(spec, "egress")) ? json_pack("[ss]", "Ingress", "Egress")
									     : json_pack("[s]", "Ingress"));
}

static void default_namespace(json_t *obj)
{
	const char *name = api_get_str(obj, "metadata.name");
	json_t *meta = json_object_get(obj, "metadata");

	if (name) {
		api_set_missing(meta, "labels", json_object());
		json_object_set_new(json_object_get(meta, "labels"), "kubernetes.io/metadata.name", json_string(name));
	}
	if (!api_get_str(obj, "status.phase"))
		(void)api_set(obj, "status.phase", json_string("Active"));
}

static void default_node(json_t *obj)
{
	json_t *status = json_object_get(obj, "status"), *capacity = json_object_get(status, "capacity");

	if (capacity)
		api_set_missing(status, "allocatable", json_deep_copy(capacity));
}

/* stringData is for writing only: its texts become bytes of data. */
static void default_secret(json_t *obj)
{
	json_t *texts = json_object_get(obj, "stringData"), *v;
	const char *key;

	if (!json_is_object(texts))
		return;
	api_set_missing(obj, "data", json_object());
	json_object_foreach (texts, key, v) {
		cleanup(free) char *b64 = json_is_string(v) ? str_base64(json_string_value(v), json_string_length(v))
							    : NULL;

		if (!b64 || json_object_set_new(json_object_get(obj, "data"), key, json_string(b64)) < 0)
			return; /* stringData stays: nothing is lost */
	}
	json_object_del(obj, "stringData");
}

/* The names that nobody gave follow from the kind. */
static void default_crd(json_t *obj)
{
	json_t *names = api_get(obj, "spec.names");
	const char *kind = api_get_str(names, "kind");
	char name[256];
	size_t n = 0;

	if (kind && *kind && strlen(kind) < sizeof(name) - 4) {
		for (; kind[n]; n++)
			name[n] = (char)tolower((unsigned char)kind[n]);
		name[n] = '\0';
		api_set_missing(names, "singular", json_string(name));
		snprintf(name, sizeof(name), "%sList", kind);
		api_set_missing(names, "listKind", json_string(name));
	}
	if (json_is_object(json_object_get(obj, "spec")))
		api_set_missing(json_object_get(obj, "spec"), "conversion", json_pack("{s:s}", "strategy", "None"));
}

static const struct {
	const char *group, *kind;
	void (*fn)(json_t *obj);
} own[] = {
	{ "", "Pod", default_pod },
	{ "", "Service", default_service },
	{ "", "Namespace", default_namespace },
	{ "", "Node", default_node },
	{ "", "Secret", default_secret },
	{ "", "LimitRange", api_default_limit_range },
	{ "apps", "Deployment", default_deployment },
	{ "apps", "ReplicaSet", default_template },
	{ "networking.k8s.io", "NetworkPolicy", default_network_policy },
	{ "rbac.authorization.k8s.io", "RoleBinding", api_default_binding },
	{ "rbac.authorization.k8s.io", "ClusterRoleBinding", api_default_binding },
	{ "apiextensions.k8s.io", "CustomResourceDefinition", default_crd },
};

void api_default_own(const struct api_kind *kind, json_t *obj)
{
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (streq(own[i].group, kind->group) && streq(own[i].kind, kind->kind))
			own[i].fn(obj);
	api_default_own_kinds(kind, obj);
}
