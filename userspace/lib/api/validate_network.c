/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of endpoint slices and network policies. */
#include "api-internal.h"

#include <stdio.h>
#include <string.h>

#include "../base/str.h"

static const struct api_path spec_path = { .name = "spec" };

/* --- EndpointSlice ------------------------------------------------------------------------------------------------ */

void api_validate_endpoint_slice(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	struct api_path list = { .name = "endpoints" }, at = { .up = &list };
	struct api_path ports = { .name = "ports" }, port = { .up = &ports };
	const char *type = api_get_str(obj, "addressType");
	const json_t *e, *a, *p;

	(void)old;
	api_validate_weight(obj, NULL, errs);
	if (json_array_size(json_object_get(obj, "endpoints")) > 1000)
		api_path_err(errs, &list, API_C_TOO_MANY, "Too many: %zu: must have at most 1000 items",
			     json_array_size(json_object_get(obj, "endpoints")));
	if (json_array_size(json_object_get(obj, "ports")) > 100)
		api_path_err(errs, &ports, API_C_TOO_MANY, "Too many: %zu: must have at most 100 items",
			     json_array_size(json_object_get(obj, "ports")));
	json_array_foreach (json_object_get(obj, "endpoints"), at.index, e) {
		struct api_path addrs = { .up = &at, .name = "addresses" }, addr = { .up = &addrs };

		if (json_array_size(json_object_get(e, "addresses")) > 100)
			api_path_err(errs, &addrs, API_C_TOO_MANY, "Too many: %zu: must have at most 100 items",
				     json_array_size(json_object_get(e, "addresses")));
		json_array_foreach (json_object_get(e, "addresses"), addr.index, a) {
			const char *s = json_string_value(a);
			bool v6 = strchr(s, ':');
			const char *why = api_format_check(streq(type, "FQDN") ? "dns-subdomain" : "ip", s);

			if (!why && ((streq(type, "IPv4") && v6) || (streq(type, "IPv6") && !v6)))
				why = v6 ? "must be an IPv4 address" : "must be an IPv6 address";
			if (why)
				api_err_invalid(errs, &addr, a, why);
		}
	}
	json_array_foreach (json_object_get(obj, "ports"), port.index, p) {
		struct api_path name = { .up = &port, .name = "name" };
		const char *n = api_get_str(p, "name"), *why = n && *n ? api_format_check("dns-label", n) : NULL;

		if (why)
			api_err_invalid_str(errs, &name, n, why);
		for (size_t j = 0; j < port.index; j++) {
			const char *m = api_get_str(json_array_get(json_object_get(obj, "ports"), j), "name");

			if (streq(m ? m : "", n ? n : "")) {
				api_err_duplicate(errs, &name, json_object_get(p, "name"));
				break;
			}
		}
	}
}

/* --- NetworkPolicy ------------------------------------------------------------------------------------------------ */

static void validate_ip_block(const json_t *block, const struct api_path *path, struct api_errs *errs)
{
	struct api_path list = { .up = path, .name = "except" }, at = { .up = &list };
	struct api_cidr range, hole;
	const json_t *v;

	if (api_json_empty(json_object_get(block, "cidr")) || api_cidr_parse(api_get_str(block, "cidr"), &range) < 0)
		return; /* the table has said so */
	json_array_foreach (json_object_get(block, "except"), at.index, v) {
		if (api_cidr_parse(json_string_value(v), &hole) == 0 && !api_cidr_strictly_within(&hole, &range)) {
			char why[160];

			snprintf(why, sizeof(why), "must be a strict subset of `cidr`");
			api_err_invalid(errs, &at, v, why);
		}
	}
}

static void validate_peer(const json_t *peer, const struct api_path *path, struct api_errs *errs)
{
	struct api_path pods = { .up = path, .name = "podSelector" },
			spaces = { .up = path, .name = "namespaceSelector" };
	struct api_path block = { .up = path, .name = "ipBlock" };
	const json_t *p = json_object_get(peer, "podSelector"), *n = json_object_get(peer, "namespaceSelector");
	const json_t *b = json_object_get(peer, "ipBlock");

	if (p)
		api_validate_label_selector(p, &pods, errs);
	if (n)
		api_validate_label_selector(n, &spaces, errs);
	if (b)
		validate_ip_block(b, &block, errs);
	if (!p && !n && !b)
		api_err_required(errs, path, "must specify a peer");
	else if (b && (p || n))
		api_err_forbidden(errs, path, "may not specify both ipBlock and another peer");
}

static void validate_policy_port(const json_t *p, const struct api_path *path, struct api_errs *errs)
{
	struct api_path at = { .up = path, .name = "endPort" };
	const json_t *port = json_object_get(p, "port"), *end = json_object_get(p, "endPort");

	if (!end)
		return;
	if (!port)
		api_err_required(errs, &(struct api_path){ .up = path, .name = "port" },
				 "must be specified when `endPort` is specified");
	else if (json_is_string(port))
		api_err_invalid(errs, &at, end, "may not be specified when `port` is non-numeric");
	else if (json_integer_value(end) < json_integer_value(port))
		api_err_invalid(errs, &at, end, "must be greater than or equal to `port`");
}

static void validate_rules(const json_t *rules, const struct api_path *path, const char *peers, struct api_errs *errs)
{
	struct api_path at = { .up = path };
	const json_t *rule, *v;

	json_array_foreach (rules, at.index, rule) {
		struct api_path ports = { .up = &at, .name = "ports" }, port = { .up = &ports };
		struct api_path list = { .up = &at, .name = peers }, peer = { .up = &list };

		json_array_foreach (json_object_get(rule, "ports"), port.index, v)
			validate_policy_port(v, &port, errs);
		json_array_foreach (json_object_get(rule, peers), peer.index, v)
			validate_peer(v, &peer, errs);
	}
}

void api_validate_network_policy(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	const json_t *spec = json_object_get(obj, "spec"), *types = json_object_get(spec, "policyTypes");
	struct api_path pods = { .up = &spec_path, .name = "podSelector" },
			in = { .up = &spec_path, .name = "ingress" };
	struct api_path out = { .up = &spec_path, .name = "egress" }, t = { .up = &spec_path, .name = "policyTypes" };

	(void)old;
	api_validate_label_selector(json_object_get(spec, "podSelector"), &pods, errs);
	validate_rules(json_object_get(spec, "ingress"), &in, "from", errs);
	validate_rules(json_object_get(spec, "egress"), &out, "to", errs);
	if (json_array_size(types) > 2)
		api_err_invalid(errs, &t, types, "may not specify more than two policyTypes");
}
