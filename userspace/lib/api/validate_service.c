/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of services. */
#include "api-internal.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "../base/str.h"

static const struct api_path spec_path = { .name = "spec" };

static bool type_is(const json_t *spec, const char *type)
{
	return streq(api_get_str(spec, "type"), type);
}

static void validate_cluster_ips(const json_t *spec, const json_t *before, struct api_errs *errs)
{
	struct api_path one = { .up = &spec_path, .name = "clusterIP" },
			all = { .up = &spec_path, .name = "clusterIPs" };
	struct api_path at = { .up = &all };
	const json_t *ips = json_object_get(spec, "clusterIPs"), *v;
	const char *ip = api_get_str(spec, "clusterIP"), *was = api_get_str(before, "clusterIP");
	const char *first = json_string_value(json_array_get(ips, 0));

	if (ip && *ip && strcmp(ip, "None") && api_format_check("ip", ip))
		api_err_invalid_str(errs, &one, ip, api_format_check("ip", ip));
	if (json_array_size(ips) > 2)
		api_err_invalid(errs, &all, ips, "may only hold up to 2 values");
	json_array_foreach (ips, at.index, v) {
		const char *s = json_string_value(v), *why = strcmp(s, "None") ? api_format_check("ip", s) : NULL;

		if (why)
			api_err_invalid(errs, &at, v, why);
	}
	if (first && ip && strcmp(first, ip))
		api_err_invalid(errs, &all, ips, "first value must match `clusterIP`");
	if (before && was && *was && !streq(ip, was))
		api_err_invalid_str(errs, &one, ip ? ip : "", "field is immutable");
}

static void validate_affinity(const json_t *spec, struct api_errs *errs)
{
	struct api_path config = { .up = &spec_path, .name = "sessionAffinityConfig" };
	struct api_path client = { .up = &config, .name = "clientIP" },
			at = { .up = &client, .name = "timeoutSeconds" };
	const json_t *timeout = api_get(spec, "sessionAffinityConfig.clientIP.timeoutSeconds");

	if (!streq(api_get_str(spec, "sessionAffinity"), "ClientIP"))
		return;
	if (!timeout)
		api_err_required(errs, &at, "must be provided for session affinity type ClientIP");
	else if (json_integer_value(timeout) < 1 || json_integer_value(timeout) > 86400)
		api_err_invalid(errs, &at, timeout, "must be greater than 0 and less than or equal to 86400");
}

static void validate_node_ports(const json_t *spec, struct api_errs *errs)
{
	struct api_path list = { .up = &spec_path, .name = "ports" }, at = { .up = &list };
	const json_t *ports = json_object_get(spec, "ports"), *p;
	bool headless = streq(api_get_str(spec, "clusterIP"), "None");
	struct api_path ip = { .up = &spec_path, .name = "clusterIP" };
	bool may_have = type_is(spec, "NodePort") || type_is(spec, "LoadBalancer");

	if (headless && may_have)
		api_path_err(errs, &ip, API_C_INVALID,
			     "Invalid value: \"None\": may not be set to 'None' for %s services",
			     api_get_str(spec, "type"));
	json_array_foreach (ports, at.index, p) {
		struct api_path field = { .up = &at, .name = "nodePort" };
		int64_t port = api_get_int(p, "nodePort", 0);

		if (port && !may_have)
			api_err_forbidden(errs, &field, "may not be used when `type` is 'ClusterIP'");
		if (port < 0 || port > 65535)
			api_err_invalid(errs, &field, json_object_get(p, "nodePort"),
					"must be between 1 and 65535, inclusive");
		for (size_t i = 0; port && i < at.index; i++) {
			const json_t *other = json_array_get(ports, i);

			if (api_get_int(other, "nodePort", 0) == port &&
			    streq(api_get_str(other, "protocol"), api_get_str(p, "protocol"))) {
				api_err_duplicate(errs, &field, json_object_get(p, "nodePort"));
				break;
			}
		}
	}
}

/* Addresses that a service may be reached by from outside. NULL: it is one. */
static const char *why_no_external(const char *ip)
{
	const char *why = api_format_check("ip", ip);
	struct in6_addr a6;
	struct in_addr a4;

	if (why)
		return why;
	if (inet_pton(AF_INET, ip, &a4) == 1) {
		uint32_t a = ntohl(a4.s_addr);

		return a == 0		   ? "may not be unspecified (0.0.0.0 or ::)"
		       : a >> 24 == 127	   ? "may not be in the loopback range (127.0.0.0/8, ::1/128)"
		       : a >> 16 == 0xa9fe ? "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
		       : (a & 0xffffff00) == 0xe0000000
			       ? "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"
			       : NULL;
	}
	(void)inet_pton(AF_INET6, ip, &a6);
	return IN6_IS_ADDR_UNSPECIFIED(&a6) ? "may not be unspecified (0.0.0.0 or ::)"
	       : IN6_IS_ADDR_LOOPBACK(&a6)  ? "may not be in the loopback range (127.0.0.0/8, ::1/128)"
	       : IN6_IS_ADDR_LINKLOCAL(&a6) ? "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
	       : IN6_IS_ADDR_MC_LINKLOCAL(&a6)
		       ? "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"
		       : NULL;
}

static void validate_external_ips(const json_t *spec, struct api_errs *errs)
{
	struct api_path list = { .up = &spec_path, .name = "externalIPs" }, at = { .up = &list };
	const json_t *v;

	json_array_foreach (json_object_get(spec, "externalIPs"), at.index, v) {
		const char *why = why_no_external(json_string_value(v));

		if (why)
			api_err_invalid(errs, &at, v, why);
	}
}

static void validate_external_policy(const json_t *spec, const json_t *before, struct api_errs *errs)
{
	struct api_path policy = { .up = &spec_path, .name = "externalTrafficPolicy" };
	struct api_path health = { .up = &spec_path, .name = "healthCheckNodePort" };
	const json_t *v = json_object_get(spec, "externalTrafficPolicy");
	const json_t *port = json_object_get(spec, "healthCheckNodePort");
	bool local = type_is(spec, "LoadBalancer") && streq(json_string_value(v), "Local");
	bool was_local = type_is(before, "LoadBalancer") &&
			 streq(api_get_str(before, "externalTrafficPolicy"), "Local");
	bool external = type_is(spec, "NodePort") || type_is(spec, "LoadBalancer") ||
			json_array_size(json_object_get(spec, "externalIPs"));

	if (!external && json_string_value(v) && *json_string_value(v))
		api_err_invalid(errs, &policy, v, "may only be set for externally-accessible services");
	if (!json_integer_value(port))
		return;
	if (!local)
		api_err_invalid(errs, &health, port,
				"may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'");
	else if (json_integer_value(port) < 1 || json_integer_value(port) > 65535)
		api_err_invalid(errs, &health, port, "must be between 1 and 65535, inclusive");
	else if (was_local && api_get_int(before, "healthCheckNodePort", 0) != json_integer_value(port))
		api_err_invalid(errs, &health, port, "field is immutable");
}

/* Of type LoadBalancer only. */
static void validate_load_balancer(const json_t *spec, const json_t *before, struct api_errs *errs)
{
	static const char only[] = "may only be used when `type` is 'LoadBalancer'";
	struct api_path class = { .up = &spec_path, .name = "loadBalancerClass" };
	struct api_path ports = { .up = &spec_path, .name = "allocateLoadBalancerNodePorts" };
	struct api_path list = { .up = &spec_path, .name = "loadBalancerSourceRanges" }, at = { .up = &list };
	struct api_path ip = { .up = &spec_path, .name = "loadBalancerIP" };
	const json_t *ranges = json_object_get(spec, "loadBalancerSourceRanges"), *v;
	const char *name = api_get_str(spec, "loadBalancerClass"), *asked = api_get_str(spec, "loadBalancerIP");
	bool is = type_is(spec, "LoadBalancer");

	if (json_array_size(ranges) && !is)
		api_err_forbidden(errs, &list, only);
	json_array_foreach (ranges, at.index, v) {
		const char *why = api_format_check("cidr", json_string_value(v));

		if (why)
			api_err_invalid(errs, &at, v, why);
	}
	if (json_object_get(spec, "allocateLoadBalancerNodePorts") && !is)
		api_err_forbidden(errs, &ports, only);
	if (asked && *asked && is && api_format_check("ip", asked))
		api_err_invalid_str(errs, &ip, asked, api_format_check("ip", asked));
	if (name && !is)
		api_err_forbidden(errs, &class, only);
	else if (name && api_format_check("label-key", name))
		api_err_invalid_str(errs, &class, name, api_format_check("label-key", name));
	if (is && type_is(before, "LoadBalancer") && !streq(name ?: "", api_get_str(before, "loadBalancerClass") ?: ""))
		api_err_invalid_str(errs, &class, name ?: "", "may not change once set");
}

static void validate_ingress(const json_t *obj, struct api_errs *errs)
{
	struct api_path status = { .name = "status" }, lb = { .up = &status, .name = "loadBalancer" };
	struct api_path list = { .up = &lb, .name = "ingress" }, at = { .up = &list };
	const json_t *ingress = api_get(obj, "status.loadBalancer.ingress"), *v;

	if (json_array_size(ingress) && !type_is(json_object_get(obj, "spec"), "LoadBalancer"))
		api_err_forbidden(errs, &list, "may only be used when `spec.type` is \"LoadBalancer\"");
	json_array_foreach (ingress, at.index, v) {
		struct api_path mode = { .up = &at, .name = "ipMode" };
		const char *ip = api_get_str(v, "ip");

		if (json_object_get(v, "ipMode") && (!ip || !*ip))
			api_err_forbidden(errs, &mode, "may not be specified when `ip` is not set");
	}
}

/* Skep's own annotation: a mode that is misspelt would silently be the default. */
static void validate_forwarding(const json_t *obj, struct api_errs *errs)
{
	static const char *const modes[] = { "dsr", "snat", NULL };
	const json_t *mode = json_object_get(api_get(obj, "metadata.annotations"), "skep.io/forwarding-mode");
	struct api_path meta = { .name = "metadata" }, notes = { .up = &meta, .name = "annotations" };

	if (mode && !streq(json_string_value(mode), "dsr") && !streq(json_string_value(mode), "snat"))
		api_err_unsupported(errs, &(struct api_path){ .up = &notes, .key = "skep.io/forwarding-mode" }, mode,
				    modes);
}

void api_validate_service(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	const json_t *spec = json_object_get(obj, "spec"), *before = json_object_get(old, "spec");
	const json_t *ports = json_object_get(spec, "ports"), *p;
	struct api_path list = { .up = &spec_path, .name = "ports" }, at = { .up = &list };
	struct api_path selector = { .up = &spec_path, .name = "selector" };
	const char *ip = api_get_str(spec, "clusterIP");

	if (!json_array_size(ports) && !streq(ip, "None"))
		api_err_required(errs, &list, NULL);
	json_array_foreach (ports, at.index, p) {
		struct api_path name = { .up = &at, .name = "name" };
		const char *n = api_get_str(p, "name");

		if ((!n || !*n) && json_array_size(ports) > 1) {
			api_err_required(errs, &name, NULL);
			continue;
		}
		for (size_t j = 0; n && *n && j < at.index; j++) {
			if (streq(api_get_str(json_array_get(ports, j), "name"), n)) {
				api_err_duplicate(errs, &name, json_object_get(p, "name"));
				break;
			}
		}
	}
	api_validate_labels(json_object_get(spec, "selector"), &selector, errs);
	validate_affinity(spec, errs);
	validate_cluster_ips(spec, before, errs);
	validate_node_ports(spec, errs);
	validate_external_ips(spec, errs);
	validate_external_policy(spec, before, errs);
	validate_load_balancer(spec, before, errs);
	validate_forwarding(obj, errs);
	validate_ingress(obj, errs);
}
