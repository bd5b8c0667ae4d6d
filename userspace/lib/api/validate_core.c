/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of nodes, config maps, secrets, leases and events. */
#include "api-internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/cleanup.h"
#include "../base/str.h"

#define DATA_MAX (1024 * 1024)

bool api_json_same(const json_t *a, const json_t *b)
{
	return a == b || (a && b && json_equal(a, b)) || (api_json_empty(a) && api_json_empty(b));
}

/* --- Node --------------------------------------------------------------------------------------------------------- */

void api_validate_node(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	struct api_path s = { .name = "spec" }, list = { .up = &s, .name = "taints" }, at = { .up = &list };
	struct api_path cidr = { .up = &s, .name = "podCIDR" }, cidrs = { .up = &s, .name = "podCIDRs" };
	const json_t *spec = json_object_get(obj, "spec"), *taints = json_object_get(spec, "taints"), *t, *u;
	const json_t *first = json_array_get(json_object_get(spec, "podCIDRs"), 0), *was = api_get(old, "spec.podCIDR");

	json_array_foreach (taints, at.index, t) {
		for (size_t j = 0; j < at.index && j < 256; j++) {
			u = json_array_get(taints, j);
			if (streq(api_get_str(t, "key"), api_get_str(u, "key")) &&
			    streq(api_get_str(t, "effect"), api_get_str(u, "effect"))) {
				api_path_err(errs, &at, API_C_DUPLICATE,
					     "Duplicate value: taints must be unique by key and effect pair");
				break;
			}
		}
	}
	if (first && !api_json_same(first, json_object_get(spec, "podCIDR")))
		api_err_invalid(errs, &cidrs, json_object_get(spec, "podCIDRs"), "first value must match `podCIDR`");
	if (!api_json_empty(was) && !api_json_same(was, json_object_get(spec, "podCIDR")))
		api_err_forbidden(errs, &cidr, "node updates may not change podCIDR except from \"\" to valid");
}

/* --- ConfigMap, Secret -------------------------------------------------------------------------------------------- */

/* Names of keys; returns the bytes of the values. */
static size_t validate_data(const json_t *data, const struct api_path *path, bool base64, struct api_errs *errs)
{
	size_t size = 0;
	const char *key, *why;
	const json_t *v;

	json_object_foreach ((json_t *)data, key, v) {
		struct api_path at = { .up = path, .key = key };

		why = api_format_check("config-key", key);
		if (why)
			api_err_invalid_str(errs, &at, key, why);
		size += base64 ? json_string_length(v) / 4 * 3 : json_string_length(v);
	}
	return size;
}

/* Once immutable is true, neither it nor the data changes. */
static void validate_immutable(const json_t *obj, const json_t *old, const char *const *members, struct api_errs *errs)
{
	if (!json_is_true(json_object_get(old, "immutable")))
		return;
	for (; *members; members++) {
		struct api_path at = { .name = *members };

		if (!api_json_same(json_object_get(obj, *members), json_object_get(old, *members)))
			api_err_forbidden(errs, &at, "field is immutable when `immutable` is set");
	}
}

void api_validate_config_map(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	static const char *const members[] = { "immutable", "data", "binaryData", NULL };
	struct api_path data = { .name = "data" }, binary = { .name = "binaryData" };
	const char *key;
	const json_t *v;
	size_t size;

	size = validate_data(json_object_get(obj, "data"), &data, false, errs);
	size += validate_data(json_object_get(obj, "binaryData"), &binary, true, errs);
	json_object_foreach (json_object_get(obj, "binaryData"), key, v) {
		struct api_path at = { .up = &data, .key = key };

		if (json_object_get(json_object_get(obj, "data"), key))
			api_err_invalid_str(errs, &at, key, "duplicate of key present in binaryData");
	}
	if (size > DATA_MAX)
		api_path_err(errs, NULL, API_C_TOO_LONG, "Too long: may not be more than %d bytes", DATA_MAX);
	validate_immutable(obj, old, members, errs);
}

static void need_key(const json_t *obj, const char *key, struct api_errs *errs)
{
	struct api_path data = { .name = "data" }, at = { .up = &data, .key = key };

	if (!json_object_get(json_object_get(obj, "data"), key))
		api_err_required(errs, &at, NULL);
}

void api_validate_secret(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	static const char *const members[] = { "immutable", "data", NULL };
	struct api_path data = { .name = "data" };
	const char *type = api_get_str(obj, "type");
	const json_t *values = json_object_get(obj, "data");

	if (validate_data(values, &data, true, errs) > DATA_MAX)
		api_path_err(errs, &data, API_C_TOO_LONG, "Too long: may not be more than %d bytes", DATA_MAX);
	if (streq(type, "kubernetes.io/tls")) {
		need_key(obj, "tls.crt", errs);
		need_key(obj, "tls.key", errs);
	} else if (streq(type, "kubernetes.io/ssh-auth")) {
		need_key(obj, "ssh-privatekey", errs);
	} else if (streq(type, "kubernetes.io/dockerconfigjson")) {
		need_key(obj, ".dockerconfigjson", errs);
	} else if (streq(type, "kubernetes.io/dockercfg")) {
		need_key(obj, ".dockercfg", errs);
	} else if (streq(type, "kubernetes.io/basic-auth") && !json_object_get(values, "username")) {
		need_key(obj, "password", errs);
	}
	validate_immutable(obj, old, members, errs);
}

/* --- Lease, Event ------------------------------------------------------------------------------------------------- */

void api_validate_lease(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	struct api_path s = { .name = "spec" }, d = { .up = &s, .name = "leaseDurationSeconds" };
	struct api_path t = { .up = &s, .name = "leaseTransitions" };
	const json_t *duration = api_get(obj, "spec.leaseDurationSeconds"),
		     *transitions = api_get(obj, "spec.leaseTransitions");

	(void)old;
	if (duration && json_integer_value(duration) <= 0)
		api_err_invalid(errs, &d, duration, "must be greater than 0");
	if (transitions && json_integer_value(transitions) < 0)
		api_err_invalid(errs, &t, transitions, "must be greater than or equal to 0");
}

void api_validate_event(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	struct api_path involved = { .name = "involvedObject" }, ns = { .up = &involved, .name = "namespace" };
	const char *about = api_get_str(obj, "involvedObject.namespace"), *in = api_get_str(obj, "metadata.namespace");

	(void)old;
	/* Events of things without a namespace go to "default" (or kube-system, where system components run). */
	if (!about || !*about) {
		if (!streq(in, "default") && !streq(in, "kube-system"))
			api_err_invalid_str(errs, &ns, "", "does not match event.namespace");
	} else if (!streq(about, in)) {
		api_err_invalid_str(errs, &ns, about, "does not match event.namespace");
	}
}

/* events.k8s.io/v1 asks for more than core/v1 does: what a reader needs to count and group events. */
void api_validate_events_event(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	static const struct {
		const char *member;
		size_t max; /* 0: any length */
	} required[] = {
		{ "reportingController", 0 }, { "reportingInstance", 128 }, { "action", 128 }, { "reason", 128 }
	};
	static const char *const types[] = { "Normal", "Warning", NULL };
	static const char *const fixed[] = { "regarding",
					     "reason",
					     "note",
					     "type",
					     "eventTime",
					     "action",
					     "related",
					     "reportingController",
					     "reportingInstance",
					     "deprecatedSource",
					     "deprecatedFirstTimestamp",
					     "deprecatedLastTimestamp",
					     "deprecatedCount" };
	struct api_path regarding = { .name = "regarding" }, ns = { .up = &regarding, .name = "namespace" };
	const char *about = api_get_str(obj, "regarding.namespace"), *in = api_get_str(obj, "metadata.namespace");
	const char *type = api_get_str(obj, "type"), *note = api_get_str(obj, "note");

	for (size_t i = 0; old && i < sizeof(fixed) / sizeof(fixed[0]); i++) {
		struct api_path at = { .name = fixed[i] };

		if (!api_json_same(json_object_get(obj, fixed[i]), json_object_get(old, fixed[i])))
			api_err_invalid(errs, &at, json_object_get(obj, fixed[i]), "field is immutable");
	}
	if (old)
		return; /* made in core/v1 perhaps, with less */
	if (!about || !*about ? !streq(in, "default") && !streq(in, "kube-system") : !streq(about, in))
		api_err_invalid_str(errs, &ns, about ? about : "", "does not match event.namespace");
	if (!json_object_get(obj, "eventTime"))
		api_err_required(errs, &(struct api_path){ .name = "eventTime" }, NULL);
	for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++) {
		struct api_path at = { .name = required[i].member };
		const char *v = api_get_str(obj, required[i].member);

		if (!v || !*v)
			api_err_required(errs, &at, NULL);
		else if (required[i].max && strlen(v) > required[i].max)
			api_err_invalid_str(errs, &at, v, "can have at most 128 characters");
	}
	if (!type || (!streq(type, "Normal") && !streq(type, "Warning")))
		api_err_unsupported(errs, &(struct api_path){ .name = "type" }, json_object_get(obj, "type"), types);
	if (note && strlen(note) > 1024)
		api_err_invalid_str(errs, &(struct api_path){ .name = "note" }, "", "can have at most 1024 characters");
}
