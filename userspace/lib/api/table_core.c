/* SPDX-License-Identifier: Apache-2.0 */
/* Columns of workloads, nodes, services, events and the other kinds, as kubectl shows them. */
#include <stdio.h>
#include <string.h>

#include "../base/clock.h"
#include "../base/str.h"
#include "table.h"

static json_t *take(struct strbuf *sb, const char *empty)
{
	json_t *out = json_string(sb->len ? sb->buf : empty);

	strbuf_done(sb);
	return out;
}

static void add(struct strbuf *sb, const char *s)
{
	if (sb->len)
		strbuf_addc(sb, ',');
	strbuf_adds(sb, s);
}

static json_t *number(int64_t n)
{
	return json_integer(n);
}

#define COLUMN(name) static json_t *name(const json_t *obj, int64_t now_ms __attribute__((unused)))

/* --- workloads ---------------------------------------------------------------------------------------------------- */

COLUMN(deployment_ready)
{
	char buf[64];

	snprintf(buf, sizeof(buf), "%lld/%lld", (long long)api_get_int(obj, "status.readyReplicas", 0),
		 (long long)api_get_int(obj, "spec.replicas", 1));
	return json_string(buf);
}

COLUMN(deployment_updated)
{
	return number(api_get_int(obj, "status.updatedReplicas", 0));
}

COLUMN(deployment_available)
{
	return number(api_get_int(obj, "status.availableReplicas", 0));
}

COLUMN(replicaset_desired)
{
	return number(api_get_int(obj, "spec.replicas", 1));
}

COLUMN(replicaset_current)
{
	return number(api_get_int(obj, "status.replicas", 0));
}

COLUMN(replicaset_ready)
{
	return number(api_get_int(obj, "status.readyReplicas", 0));
}

static json_t *each_container(const json_t *obj, const char *field)
{
	struct strbuf sb = STRBUF_INIT;
	const json_t *c;
	size_t i;

	json_array_foreach (api_get(obj, "spec.template.spec.containers"), i, c)
		add(&sb, api_get_str(c, field) ?: "");
	return take(&sb, "<none>");
}

COLUMN(template_containers)
{
	return each_container(obj, "name");
}

COLUMN(template_images)
{
	return each_container(obj, "image");
}

COLUMN(label_selector)
{
	return api_column_selector(api_get(obj, "spec.selector"));
}

const struct api_column_impl api_workload_columns[] = {
	{ "deployment-ready", deployment_ready },
	{ "deployment-updated", deployment_updated },
	{ "deployment-available", deployment_available },
	{ "replicaset-desired", replicaset_desired },
	{ "replicaset-current", replicaset_current },
	{ "replicaset-ready", replicaset_ready },
	{ "template-containers", template_containers },
	{ "template-images", template_images },
	{ "label-selector", label_selector },
	{ NULL, NULL },
};

/* --- nodes -------------------------------------------------------------------------------------------------------- */

COLUMN(node_status)
{
	struct strbuf sb = STRBUF_INIT;
	const json_t *c;
	size_t i;

	json_array_foreach (api_get(obj, "status.conditions"), i, c)
		if (streq(api_get_str(c, "type"), "Ready"))
			add(&sb, streq(api_get_str(c, "status"), "True") ? "Ready" : "NotReady");
	if (!sb.len)
		add(&sb, "Unknown");
	if (json_is_true(api_get(obj, "spec.unschedulable")))
		add(&sb, "SchedulingDisabled");
	return take(&sb, "Unknown");
}

COLUMN(node_roles)
{
	static const char prefix[] = "node-role.kubernetes.io/";
	struct strbuf sb = STRBUF_INIT;
	const json_t *v;
	const char *key;

	json_object_foreach (api_get(obj, "metadata.labels"), key, v)
		if (str_starts(key, prefix) && key[sizeof(prefix) - 1])
			add(&sb, key + sizeof(prefix) - 1);
	return take(&sb, "<none>");
}

static json_t *node_address(const json_t *obj, const char *type)
{
	const json_t *a;
	size_t i;

	json_array_foreach (api_get(obj, "status.addresses"), i, a)
		if (streq(api_get_str(a, "type"), type))
			return json_string(api_get_str(a, "address") ?: "<none>");
	return json_string("<none>");
}

COLUMN(node_internal_ip)
{
	return node_address(obj, "InternalIP");
}

COLUMN(node_external_ip)
{
	return node_address(obj, "ExternalIP");
}

static json_t *or_unknown(const json_t *obj, const char *path)
{
	const char *s = api_get_str(obj, path);

	return json_string(s && *s ? s : "<unknown>");
}

COLUMN(node_os_image)
{
	return or_unknown(obj, "status.nodeInfo.osImage");
}

COLUMN(node_kernel_version)
{
	return or_unknown(obj, "status.nodeInfo.kernelVersion");
}

COLUMN(node_container_runtime)
{
	return or_unknown(obj, "status.nodeInfo.containerRuntimeVersion");
}

/* --- services ----------------------------------------------------------------------------------------------------- */

COLUMN(service_cluster_ip)
{
	const char *ip = api_get_str(obj, "spec.clusterIP");

	return json_string(ip && *ip ? ip : "<none>");
}

COLUMN(service_external_ip)
{
	struct strbuf sb = STRBUF_INIT;
	const json_t *v;
	size_t i;

	json_array_foreach (api_get(obj, "status.loadBalancer.ingress"), i, v)
		add(&sb, api_get_str(v, "ip") ?: api_get_str(v, "hostname") ?: "");
	json_array_foreach (api_get(obj, "spec.externalIPs"), i, v)
		add(&sb, json_string_value(v) ?: "");
	return take(&sb, streq(api_get_str(obj, "spec.type"), "LoadBalancer") ? "<pending>" : "<none>");
}

COLUMN(service_ports)
{
	struct strbuf sb = STRBUF_INIT;
	const json_t *p;
	size_t i;

	json_array_foreach (api_get(obj, "spec.ports"), i, p) {
		char buf[64];

		if (api_get_int(p, "nodePort", 0))
			snprintf(buf, sizeof(buf), "%lld:%lld/%s", (long long)api_get_int(p, "port", 0),
				 (long long)api_get_int(p, "nodePort", 0), api_get_str(p, "protocol") ?: "TCP");
		else
			snprintf(buf, sizeof(buf), "%lld/%s", (long long)api_get_int(p, "port", 0),
				 api_get_str(p, "protocol") ?: "TCP");
		add(&sb, buf);
	}
	return take(&sb, "<none>");
}

COLUMN(selector)
{
	struct strbuf sb = STRBUF_INIT;
	const json_t *v;
	const char *key;

	json_object_foreach (api_get(obj, "spec.selector"), key, v)
		strbuf_addf(&sb, "%s%s=%s", sb.len ? "," : "", key, json_string_value(v) ?: "");
	return take(&sb, "<none>");
}

/* At most three, then how many more. */
static json_t *some(const json_t *list, const char *(*text)(const json_t *item, char *buf, size_t size))
{
	struct strbuf sb = STRBUF_INIT;
	const json_t *item;
	char buf[128];
	size_t i, n = 0;

	json_array_foreach (list, i, item) {
		const char *s = text(item, buf, sizeof(buf));

		if (s && n++ < 3)
			add(&sb, s);
	}
	if (n > 3)
		strbuf_addf(&sb, " + %zu more...", n - 3);
	return take(&sb, "<unset>");
}

static const char *port_text(const json_t *p, char *buf, size_t size)
{
	snprintf(buf, size, "%lld", (long long)api_get_int(p, "port", 0));
	return buf;
}

static const char *first_address(const json_t *ep, char *buf, size_t size)
{
	(void)buf;
	(void)size;
	return json_string_value(json_array_get(json_object_get(ep, "addresses"), 0));
}

COLUMN(endpointslice_ports)
{
	return some(json_object_get(obj, "ports"), port_text);
}

COLUMN(endpointslice_endpoints)
{
	return some(json_object_get(obj, "endpoints"), first_address);
}

COLUMN(networkpolicy_selector)
{
	return api_column_selector(api_get(obj, "spec.podSelector"));
}

/* --- config ------------------------------------------------------------------------------------------------------- */

COLUMN(configmap_data)
{
	return number((int64_t)(json_object_size(json_object_get(obj, "data")) +
				json_object_size(json_object_get(obj, "binaryData"))));
}

COLUMN(secret_data)
{
	return number((int64_t)json_object_size(json_object_get(obj, "data")));
}

COLUMN(serviceaccount_secrets)
{
	return number((int64_t)json_array_size(json_object_get(obj, "secrets")));
}

/* --- events ------------------------------------------------------------------------------------------------------- */

static const char *first_set(const json_t *obj, const char *a, const char *b, const char *c)
{
	const char *s = api_get_str(obj, a);

	if (!s)
		s = api_get_str(obj, b);
	return s ? s : api_get_str(obj, c);
}

static json_t *event_last_seen(const json_t *obj, int64_t now_ms)
{
	return api_column_age_of(first_set(obj, "lastTimestamp", "eventTime", "metadata.creationTimestamp"), now_ms);
}

static json_t *event_first_seen(const json_t *obj, int64_t now_ms)
{
	return api_column_age_of(first_set(obj, "firstTimestamp", "eventTime", "metadata.creationTimestamp"), now_ms);
}

COLUMN(event_object)
{
	const char *kind = api_get_str(obj, "involvedObject.kind"), *name = api_get_str(obj, "involvedObject.name");
	char buf[400];

	snprintf(buf, sizeof(buf), "%s/%s", kind ? kind : "", name ? name : "");
	for (char *p = buf; *p && *p != '/'; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p += 32;
	return json_string(buf);
}

COLUMN(event_source)
{
	const char *component = api_get_str(obj, "source.component"), *host = api_get_str(obj, "source.host");
	char buf[256];

	snprintf(buf, sizeof(buf), "%s%s%s", component ? component : api_get_str(obj, "reportingComponent") ?: "", host ? ", " : "",
		 host ? host : "");
	return json_string(buf);
}

COLUMN(event_message)
{
	const char *s = api_get_str(obj, "message");
	size_t n = s ? strlen(s) : 0;

	while (n && (s[n - 1] == '\n' || s[n - 1] == ' '))
		n--;
	return json_stringn(s ? s : "", n);
}

COLUMN(event_count)
{
	return number(api_get_int(obj, "count", 1));
}

const struct api_column_impl api_core_columns[] = {
	{ "node-status", node_status },
	{ "node-roles", node_roles },
	{ "node-internal-ip", node_internal_ip },
	{ "node-external-ip", node_external_ip },
	{ "node-os-image", node_os_image },
	{ "node-kernel-version", node_kernel_version },
	{ "node-container-runtime", node_container_runtime },
	{ "service-cluster-ip", service_cluster_ip },
	{ "service-external-ip", service_external_ip },
	{ "service-ports", service_ports },
	{ "selector", selector },
	{ "endpointslice-ports", endpointslice_ports },
	{ "endpointslice-endpoints", endpointslice_endpoints },
	{ "networkpolicy-selector", networkpolicy_selector },
	{ "configmap-data", configmap_data },
	{ "secret-data", secret_data },
	{ "serviceaccount-secrets", serviceaccount_secrets },
	{ "event-last-seen", event_last_seen },
	{ "event-first-seen", event_first_seen },
	{ "event-object", event_object },
	{ "event-source", event_source },
	{ "event-message", event_message },
	{ "event-count", event_count },
	{ NULL, NULL },
};
