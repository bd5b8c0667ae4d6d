/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of ingresses, their classes, and endpoints. */
#include "api-internal.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "../base/str.h"

#define AT(parent, member) (&(struct api_path){ .up = (parent), .name = (member) })
#define CLASS_ANNOTATION   "kubernetes.io/ingress.class"
#define MAX_CONTROLLER	   250

static const struct api_path spec_path = { .name = "spec" };

/* --- Ingress ------------------------------------------------------------------------------------------------------ */

static void validate_backend(const json_t *backend, const struct api_path *path, struct api_errs *errs)
{
	const json_t *service = json_object_get(backend, "service"), *resource = json_object_get(backend, "resource");
	const json_t *number = api_get(service, "port.number");
	struct api_path at = { .up = path, .name = "service" }, port = { .up = &at, .name = "port" };
	bool by_name = !api_json_empty(api_get(service, "port.name")), by_number = !api_json_empty(number);

	if (service && resource)
		api_err_invalid_str(errs, path, "", "cannot set both resource and service backends");
	else if (!service && !resource)
		api_err_invalid_str(errs, path, "", "resource or service backend is required");
	if (!service)
		return;
	if (by_name && by_number)
		api_err_invalid_str(errs, &port, "", "cannot set both port name & port number");
	else if (!by_name && !by_number)
		api_err_required(errs, &port, "port name or number is required");
	else if (by_number && (json_integer_value(number) < 1 || json_integer_value(number) > 65535))
		api_err_invalid(errs, AT(&port, "number"), number, "must be between 1 and 65535, inclusive");
}

static void validate_path(const json_t *p, const struct api_path *path, struct api_errs *errs)
{
	static const char *const within[][2] = { { "//", "must not contain '//'" },
						 { "/./", "must not contain '/./'" },
						 { "/../", "must not contain '/../'" },
						 { "%2f", "must not contain '%2f'" },
						 { "%2F", "must not contain '%2F'" } };
	static const char *const ends[][2] = { { "/..", "cannot end with '/..'" }, { "/.", "cannot end with '/.'" } };
	const char *text = api_get_str(p, "path") ?: "", *type = api_get_str(p, "pathType");
	struct api_path at = { .up = path, .name = "path" };
	size_t len = strlen(text);

	if (streq(type, "ImplementationSpecific")) {
		if (*text && *text != '/')
			api_err_invalid_str(errs, &at, text, "must be an absolute path");
	} else if (type) {
		if (*text != '/')
			api_err_invalid_str(errs, &at, text, "must be an absolute path");
		for (size_t i = 0; i < sizeof(within) / sizeof(within[0]); i++)
			if (strstr(text, within[i][0]))
				api_err_invalid_str(errs, &at, text, within[i][1]);
		for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
			if (len >= strlen(ends[i][0]) && streq(text + len - strlen(ends[i][0]), ends[i][0]))
				api_err_invalid_str(errs, &at, text, ends[i][1]);
	}
	validate_backend(json_object_get(p, "backend"), AT(path, "backend"), errs);
}

static void validate_host(const char *host, const struct api_path *path, struct api_errs *errs)
{
	const char *why;

	if (!host || !*host)
		return;
	if (!api_format_check("ip", host)) {
		api_err_invalid_str(errs, path, host, "must be a DNS name, not an IP address");
		return;
	}
	if (strchr(host, '*')) {
		if (!str_starts(host, "*.") || api_format_check("dns-subdomain", host + 2))
			api_err_invalid_str(
				errs, path, host,
				"a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS "
				"subdomain, which must consist of lower case alphanumeric characters, '-' or "
				"'.' and end with an alphanumeric character (e.g. '*.example.com')");
		return;
	}
	why = api_format_check("dns-subdomain", host);
	if (why)
		api_err_invalid_str(errs, path, host, why);
}

void api_validate_ingress(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	const json_t *spec = json_object_get(obj, "spec"), *rules = json_object_get(spec, "rules"), *rule, *v;
	const char *annotated =
		json_string_value(json_object_get(api_get(obj, "metadata.annotations"), CLASS_ANNOTATION));
	struct api_path meta = { .name = "metadata" }, notes = { .up = &meta, .name = "annotations" };
	struct api_path list = { .up = &spec_path, .name = "rules" }, at = { .up = &list };
	struct api_path all_tls = { .up = &spec_path, .name = "tls" }, tls = { .up = &all_tls };

	if (!json_array_size(rules) && !json_object_get(spec, "defaultBackend"))
		api_err_invalid(errs, &spec_path, rules, "either `defaultBackend` or `rules` must be specified");
	if (!old && annotated && json_object_get(spec, "ingressClassName"))
		api_err_invalid_str(errs, &(struct api_path){ .up = &notes, .key = CLASS_ANNOTATION }, annotated,
				    "can not be set when the class field is also set");
	if (json_object_get(spec, "defaultBackend"))
		validate_backend(json_object_get(spec, "defaultBackend"), AT(&spec_path, "defaultBackend"), errs);
	json_array_foreach (rules, at.index, rule) {
		struct api_path http = { .up = &at, .name = "http" }, paths = { .up = &http, .name = "paths" };
		struct api_path one = { .up = &paths };

		validate_host(api_get_str(rule, "host"), AT(&at, "host"), errs);
		json_array_foreach (api_get(rule, "http.paths"), one.index, v)
			validate_path(v, &one, errs);
	}
	json_array_foreach (json_object_get(spec, "tls"), tls.index, rule) {
		struct api_path hosts = { .up = &tls, .name = "hosts" }, host = { .up = &hosts };

		json_array_foreach (json_object_get(rule, "hosts"), host.index, v)
			validate_host(json_string_value(v), &host, errs);
	}
}

/* --- IngressClass ------------------------------------------------------------------------------------------------- */

void api_validate_ingress_class(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	const json_t *spec = json_object_get(obj, "spec"), *params = json_object_get(spec, "parameters");
	const char *controller = api_get_str(spec, "controller"), *scope = api_get_str(params, "scope"), *slash;
	struct api_path at = { .up = &spec_path, .name = "controller" };
	struct api_path p = { .up = &spec_path, .name = "parameters" };
	char domain[256];

	(void)old;
	slash = controller ? strchr(controller, '/') : NULL;
	if (!controller || !*controller) {
		api_err_required(errs, &at, NULL);
	} else if (strlen(controller) > MAX_CONTROLLER) {
		api_path_err(errs, &at, API_C_TOO_LONG, "Too long: may not be more than %d bytes", MAX_CONTROLLER);
	} else if (!slash || slash == controller || !slash[1]) {
		api_err_invalid_str(errs, &at, controller, "must be a domain-prefixed path (such as \"acme.io/foo\")");
	} else {
		const char *why;

		memcpy(domain, controller, (size_t)(slash - controller));
		domain[slash - controller] = '\0';
		why = api_format_check("dns-subdomain", domain);
		if (why)
			api_err_invalid_str(errs, &at, domain, why);
	}
	if (!params)
		return;
	if (streq(scope, "Namespace") && api_json_empty(json_object_get(params, "namespace")))
		api_err_required(errs, AT(&p, "namespace"), "`parameters.scope` is set to 'Namespace'");
	if (streq(scope, "Cluster") && json_object_get(params, "namespace"))
		api_err_forbidden(errs, AT(&p, "namespace"), "`parameters.scope` is set to 'Cluster'");
}

/* --- Endpoints ---------------------------------------------------------------------------------------------------- */

/* Addresses that mean something else on every machine. */
static const char *not_special(const char *ip)
{
	unsigned char a[16];

	if (inet_pton(AF_INET, ip, a) == 1) {
		if (!a[0] && !a[1] && !a[2] && !a[3])
			return "may not be unspecified (0.0.0.0 or ::)";
		if (a[0] == 127)
			return "may not be in the loopback range (127.0.0.0/8, ::1/128)";
		if (a[0] == 169 && a[1] == 254)
			return "may not be in the link-local range (169.254.0.0/16, fe80::/10)";
		if (a[0] == 224 && !a[1] && !a[2])
			return "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)";
		return NULL;
	}
	if (inet_pton(AF_INET6, ip, a) != 1)
		return NULL; /* the table has said so */
	if (!memcmp(a, in6addr_any.s6_addr, 16))
		return "may not be unspecified (0.0.0.0 or ::)";
	if (!memcmp(a, in6addr_loopback.s6_addr, 16))
		return "may not be in the loopback range (127.0.0.0/8, ::1/128)";
	if (a[0] == 0xfe && (a[1] & 0xc0) == 0x80)
		return "may not be in the link-local range (169.254.0.0/16, fe80::/10)";
	if (a[0] == 0xff && (a[1] & 0xf) == 2)
		return "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)";
	return NULL;
}

static void validate_addresses(const json_t *list, const struct api_path *path, struct api_errs *errs)
{
	struct api_path at = { .up = path };
	const json_t *addr;

	json_array_foreach (list, at.index, addr) {
		const char *ip = api_get_str(addr, "ip"), *why = ip ? not_special(ip) : NULL;

		if (why)
			api_err_invalid_str(errs, AT(&at, "ip"), ip, why);
	}
}

void api_validate_endpoints(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	struct api_path list = { .name = "subsets" }, at = { .up = &list };
	const json_t *subset, *p;

	(void)old;
	json_array_foreach (json_object_get(obj, "subsets"), at.index, subset) {
		const json_t *ready = json_object_get(subset, "addresses"),
			     *not_ready = json_object_get(subset, "notReadyAddresses");
		struct api_path ports = { .up = &at, .name = "ports" }, port = { .up = &ports };

		if (!json_array_size(ready) && !json_array_size(not_ready))
			api_err_required(errs, &at, "must specify `addresses` or `notReadyAddresses`");
		validate_addresses(ready, AT(&at, "addresses"), errs);
		validate_addresses(not_ready, AT(&at, "notReadyAddresses"), errs);
		json_array_foreach (json_object_get(subset, "ports"), port.index, p) {
			const char *name = api_get_str(p, "name"),
				   *why = name && *name ? api_format_check("dns-label", name) : NULL;

			if (json_array_size(json_object_get(subset, "ports")) > 1 && (!name || !*name))
				api_err_required(errs, AT(&port, "name"), NULL);
			if (why)
				api_err_invalid_str(errs, AT(&port, "name"), name, why);
		}
	}
}
