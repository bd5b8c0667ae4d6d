/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of a pod's containers: variables, mounts, resources, ports, probes, privileges. */
#include "validate_container.h"

#include <stdio.h>
#include <string.h>

#include "../base/str.h"

bool api_path_climbs(const char *path)
{
	while (*path) {
		size_t len = strcspn(path, "/");

		if (len == 2 && path[0] == '.' && path[1] == '.')
			return true;
		path += len + (path[len] == '/');
	}
	return false;
}

/* --- environment -------------------------------------------------------------------------------------------------- */

static void validate_field_ref(const json_t *ref, const struct api_path *path, struct api_errs *errs)
{
	static const char *const fields[] = {
		"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
		"status.hostIP", "status.hostIPs",     "status.podIP", "status.podIPs", NULL
	};
	struct api_path at = { .up = path, .name = "fieldPath" };
	const char *f = api_get_str(ref, "fieldPath"), *key;
	char text[320];
	size_t len;

	if (!f || !*f)
		return;
	for (const char *const *s = fields; *s; s++)
		if (streq(*s, f))
			return;
	len = strlen(f);
	key = str_starts(f, "metadata.labels['") ? f + 17 : str_starts(f, "metadata.annotations['") ? f + 22 : NULL;
	if (key && len >= 2 && key < f + len - 2 && streq(f + len - 2, "']")) {
		const char *why;

		snprintf(text, sizeof(text), "%.*s", (int)(f + len - 2 - key), key);
		why = api_format_check("label-key", text);
		if (why)
			api_err_invalid_str(errs, path, text, why);
		return;
	}
	api_err_unsupported(errs, &at, json_object_get(ref, "fieldPath"), fields);
}

static void validate_env(const json_t *list, const struct api_path *path, struct api_errs *errs)
{
	static const char *const sources[] = { "fieldRef", "configMapKeyRef", "secretKeyRef" };
	struct api_path at = { .up = path };
	const json_t *e;

	json_array_foreach (list, at.index, e) {
		struct api_path name = { .up = &at, .name = "name" }, from = { .up = &at, .name = "valueFrom" };
		const char *n = api_get_str(e, "name"), *why = n && *n ? api_format_check("env-name", n) : NULL;
		const json_t *source = json_object_get(e, "valueFrom");
		size_t count = 0;

		if (why)
			api_err_invalid_str(errs, &name, n, why);
		if (!source)
			continue;
		if (!api_json_empty(json_object_get(e, "value")))
			api_err_invalid_str(errs, &from, "", "may not be specified when `value` is not empty");
		for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
			const json_t *s = json_object_get(source, sources[i]);
			struct api_path p = { .up = &from, .name = sources[i] }, k = { .up = &p, .name = "key" },
					r = { .up = &p, .name = "name" };

			if (!s)
				continue;
			count++;
			if (i == 0) {
				validate_field_ref(s, &p, errs);
				continue;
			}
			if (api_json_empty(json_object_get(s, "name")))
				api_err_required(errs, &r, NULL);
			why = api_get_str(s, "key") && *api_get_str(s, "key")
				      ? api_format_check("config-key", api_get_str(s, "key"))
				      : NULL;
			if (why)
				api_err_invalid(errs, &k, json_object_get(s, "key"), why);
		}
		if (count > 1)
			api_err_invalid_str(errs, &from, "", "may not have more than one field specified at a time");
		else if (!count && !json_object_get(source, "resourceFieldRef"))
			api_err_invalid_str(
				errs, &from, "",
				"must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`");
	}
}

static void validate_env_from(const json_t *list, const struct api_path *path, struct api_errs *errs)
{
	struct api_path at = { .up = path };
	const json_t *e;

	json_array_foreach (list, at.index, e) {
		struct api_path prefix = { .up = &at, .name = "prefix" };
		const char *p = api_get_str(e, "prefix"), *why = p && *p ? api_format_check("env-name", p) : NULL;
		bool config = json_object_get(e, "configMapRef"), secret = json_object_get(e, "secretRef");

		if (why)
			api_err_invalid_str(errs, &prefix, p, why);
		if (config && secret)
			api_err_invalid_str(errs, &at, "", "may not have more than one field specified at a time");
		else if (!config && !secret)
			api_err_invalid_str(errs, &at, "", "must specify one of: `configMapRef` or `secretRef`");
	}
}

/* --- mounts, resources, ports ------------------------------------------------------------------------------------- */

static void validate_mounts(const json_t *list, const json_t *volumes, const struct api_path *path,
			    struct api_errs *errs)
{
	struct api_path at = { .up = path };
	const json_t *m, *v;
	size_t i;

	json_array_foreach (list, at.index, m) {
		struct api_path name = { .up = &at, .name = "name" };
		const char *n = api_get_str(m, "name");
		bool found = false;

		json_array_foreach (volumes, i, v)
			found |= n && streq(api_get_str(v, "name"), n);
		if (n && *n && !found)
			api_err_not_found(errs, &name, n);
	}
}

static void validate_amounts(const json_t *amounts, const struct api_path *path, bool limits, struct api_errs *errs)
{
	const char *resource;
	const json_t *q;

	json_object_foreach ((json_t *)amounts, resource, q) {
		struct api_path at = { .up = path, .key = resource };
		int64_t milli;

		if (strcmp(resource, "cpu") && strcmp(resource, "memory") && strcmp(resource, "ephemeral-storage")) {
			api_err_forbidden(
				errs, &at,
				"this resource is not supported by Skep yet: use cpu, memory or ephemeral-storage");
			continue;
		}
		if (limits && !strcmp(resource, "ephemeral-storage")) {
			api_err_forbidden(
				errs, &at,
				"a limit of ephemeral-storage is not supported by Skep yet: only requests of it are");
			continue;
		}
		if (json_is_string(q) && api_quantity_milli(json_string_value(q), &milli) == 0 && milli < 0)
			api_err_invalid(errs, &at, q, "must be greater than or equal to 0");
	}
}

static void validate_resources(const json_t *resources, const struct api_path *path, struct api_errs *errs)
{
	const json_t *limits = json_object_get(resources, "limits"), *requests = json_object_get(resources, "requests"),
		     *q;
	struct api_path l = { .up = path, .name = "limits" }, r = { .up = path, .name = "requests" };
	const char *resource;

	validate_amounts(limits, &l, true, errs);
	validate_amounts(requests, &r, false, errs);
	json_object_foreach ((json_t *)requests, resource, q) {
		const char *limit = json_string_value(json_object_get(limits, resource));
		int64_t want, most;
		char why[160];

		if (!limit || !json_is_string(q) || api_quantity_milli(json_string_value(q), &want) < 0 ||
		    api_quantity_milli(limit, &most) < 0 || want <= most)
			continue;
		snprintf(why, sizeof(why), "must be less than or equal to %s limit of %s", resource, limit);
		api_err_invalid(errs, &r, q, why);
	}
}

static void validate_ports(const json_t *list, const struct api_path *path, struct api_errs *errs)
{
	struct api_path at = { .up = path };
	const json_t *p, *q;

	json_array_foreach (list, at.index, p) {
		struct api_path name = { .up = &at, .name = "name" };
		const char *n = api_get_str(p, "name");

		for (size_t j = 0; n && *n && j < at.index; j++) {
			q = json_array_get(list, j);
			if (streq(api_get_str(q, "name"), n)) {
				api_err_duplicate(errs, &name, json_object_get(p, "name"));
				break;
			}
		}
	}
}

/* --- probes ------------------------------------------------------------------------------------------------------- */

static void validate_probe(const json_t *probe, bool one_success, const struct api_path *path, struct api_errs *errs)
{
	static const char *const handlers[] = { "exec", "httpGet", "tcpSocket" };
	struct api_path threshold = { .up = path, .name = "successThreshold" };
	struct api_path grace = { .up = path, .name = "terminationGracePeriodSeconds" };
	size_t n = 0;

	if (!probe)
		return;
	for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
		struct api_path at = { .up = path, .name = handlers[i] }, command = { .up = &at, .name = "command" };
		const json_t *h = json_object_get(probe, handlers[i]);

		if (!h)
			continue;
		if (n++)
			api_err_forbidden(errs, &at, "may not specify more than 1 handler type");
		else if (i == 0 && !json_array_size(json_object_get(h, "command")))
			api_err_required(errs, &command, NULL);
	}
	if (!n && !json_object_get(probe, "grpc"))
		api_err_required(errs, path, "must specify a handler type");
	if (one_success && api_get_int(probe, "successThreshold", 1) != 1)
		api_err_invalid(errs, &threshold, json_object_get(probe, "successThreshold"), "must be 1");
	if (json_object_get(probe, "terminationGracePeriodSeconds") &&
	    api_get_int(probe, "terminationGracePeriodSeconds", 1) <= 0)
		api_err_invalid(errs, &grace, json_object_get(probe, "terminationGracePeriodSeconds"),
				"must be greater than 0");
}

static void validate_probes(const json_t *c, bool init, const struct api_path *path, struct api_errs *errs)
{
	static const char *const probes[] = { "livenessProbe", "readinessProbe", "startupProbe" };

	for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
		struct api_path at = { .up = path, .name = probes[i] };
		struct api_path grace = { .up = &at, .name = "terminationGracePeriodSeconds" };
		const json_t *probe = json_object_get(c, probes[i]);

		if (probe && init) {
			api_err_forbidden(errs, &at, "may not be set for init containers without restartPolicy=Always");
			continue;
		}
		validate_probe(probe, i != 1, &at, errs);
		if (i == 1 && json_object_get(probe, "terminationGracePeriodSeconds"))
			api_err_invalid(errs, &grace, json_object_get(probe, "terminationGracePeriodSeconds"),
					"must not be set for readinessProbes");
	}
}

static void validate_security(const json_t *sc, const struct api_path *path, struct api_errs *errs)
{
	struct api_path at = { .up = path, .name = "allowPrivilegeEscalation" };
	const json_t *escalate = json_object_get(sc, "allowPrivilegeEscalation"), *cap;
	size_t i;

	if (!json_is_false(escalate))
		return;
	if (json_is_true(json_object_get(sc, "privileged")))
		api_err_invalid(errs, path, sc,
				"cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
	json_array_foreach (api_get(sc, "capabilities.add"), i, cap)
		if (streq(json_string_value(cap), "CAP_SYS_ADMIN"))
			api_err_invalid(
				errs, &at, escalate,
				"cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN");
}

void api_validate_containers(const json_t *containers, const json_t *volumes, bool init, const struct api_path *path,
			     struct api_errs *errs)
{
	struct api_path at = { .up = path };
	const json_t *c;

	json_array_foreach (containers, at.index, c) {
		struct api_path image = { .up = &at, .name = "image" }, env = { .up = &at, .name = "env" };
		struct api_path from = { .up = &at, .name = "envFrom" }, mounts = { .up = &at, .name = "volumeMounts" };
		struct api_path resources = { .up = &at, .name = "resources" }, ports = { .up = &at, .name = "ports" };
		struct api_path security = { .up = &at, .name = "securityContext" };
		const char *name = api_get_str(c, "image");

		if (name && *name && (name[0] == ' ' || name[strlen(name) - 1] == ' '))
			api_err_invalid_str(errs, &image, name, "must not have leading or trailing whitespace");
		validate_env(json_object_get(c, "env"), &env, errs);
		validate_env_from(json_object_get(c, "envFrom"), &from, errs);
		validate_mounts(json_object_get(c, "volumeMounts"), volumes, &mounts, errs);
		validate_resources(json_object_get(c, "resources"), &resources, errs);
		validate_ports(json_object_get(c, "ports"), &ports, errs);
		validate_probes(c, init, &at, errs);
		validate_security(json_object_get(c, "securityContext"), &security, errs);
	}
}
