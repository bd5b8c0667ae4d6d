/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Validation by the tables: presence, enums, formats, ranges, refused fields, duplicates, immutability; then metadata
 * and the kind's own rules. Wordings are Kubernetes', since people and tools match on them.
 */
#include "api-internal.h"
#include "validate_container.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/cleanup.h"
#include "../base/str.h"

/* --- the words ---------------------------------------------------------------------------------------------------- */

static int add_to_strbuf(const char *data, size_t len, void *sb)
{
	strbuf_add(sb, data, len);
	return 0;
}

/* 'What: value', the value as field.Error prints it, then ': why' if there is a why. */
static void value_err(struct api_errs *errs, const struct api_path *path, enum api_cause cause, const char *what,
		      const json_t *v, const char *why)
{
	cleanup(strbuf_done) struct strbuf sb = STRBUF_INIT;

	if (!v)
		strbuf_adds(&sb, "null");
	else if (json_dump_callback(v, add_to_strbuf, &sb, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS) < 0)
		strbuf_clear(&sb);
	api_path_err(errs, path, cause, "%s: %s%s%s", what, sb.buf, why ? ": " : "", why ? why : "");
}

void api_err_required(struct api_errs *errs, const struct api_path *path, const char *why)
{
	api_path_err(errs, path, API_C_REQUIRED, "Required value%s%s", why ? ": " : "", why ? why : "");
}

void api_err_invalid(struct api_errs *errs, const struct api_path *path, const json_t *value, const char *why)
{
	value_err(errs, path, API_C_INVALID, "Invalid value", value, why);
}

void api_err_invalid_str(struct api_errs *errs, const struct api_path *path, const char *value, const char *why)
{
	json_t *v = json_string(value);

	api_err_invalid(errs, path, v, why);
	json_decref(v);
}

void api_err_duplicate(struct api_errs *errs, const struct api_path *path, const json_t *value)
{
	value_err(errs, path, API_C_DUPLICATE, "Duplicate value", value, NULL);
}

void api_err_forbidden(struct api_errs *errs, const struct api_path *path, const char *why)
{
	api_path_err(errs, path, API_C_FORBIDDEN, "Forbidden: %s", why);
}

void api_err_not_found(struct api_errs *errs, const struct api_path *path, const char *value)
{
	api_path_err(errs, path, API_C_NOT_FOUND, "Not found: \"%s\"", value);
}

void api_err_unsupported(struct api_errs *errs, const struct api_path *path, const json_t *value,
			 const char *const *values)
{
	cleanup(strbuf_done) struct strbuf sb = STRBUF_INIT;

	for (const char *const *v = values; *v; v++)
		if (**v)
			strbuf_addf(&sb, "%s\"%s\"", sb.len ? ", " : "supported values: ", *v);
	value_err(errs, path, API_C_NOT_SUPPORTED, "Unsupported value", value, sb.buf);
}

/* --- values ------------------------------------------------------------------------------------------------------- */

static bool in_words(const char *const *words, const char *s)
{
	for (; *words; words++)
		if (!strcmp(*words, s))
			return true;
	return false;
}

static void check_refused(const struct api_field *f, const json_t *v, const struct api_path *path,
			  struct api_errs *errs)
{
	const char *text = NULL;
	char number[32];

	if (api_json_empty(v))
		return;
	if (json_is_string(v))
		text = json_string_value(v);
	else if (json_is_boolean(v))
		text = json_is_true(v) ? "true" : "false";
	else if (json_is_integer(v)) {
		snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(v));
		text = number;
	}
	if (text && f->allowed && in_words(f->allowed, text))
		return;
	/* With some values accepted it is the value that is refused, else the field. */
	api_path_err(errs, path, API_C_FORBIDDEN, "Forbidden: %s%s%s is not supported by Skep yet: %s", f->name,
		     f->allowed && text ? " " : "", f->allowed && text ? text : "", f->refused_why);
}

static void check_integer(const struct api_field *f, const json_t *v, const struct api_path *path,
			  struct api_errs *errs)
{
	int64_t i = json_integer_value(v);
	char why[80];

	if (f->min > f->max || (i >= f->min && i <= f->max))
		return;
	if (f->max >= INT32_MAX)
		snprintf(why, sizeof(why), "must be greater than or equal to %lld", (long long)f->min);
	else
		snprintf(why, sizeof(why), "must be between %lld and %lld, inclusive", (long long)f->min,
			 (long long)f->max);
	api_err_invalid(errs, path, v, why);
}

static void check_string(const struct api_field *f, const json_t *v, const struct api_path *path, struct api_errs *errs)
{
	const char *s = json_string_value(v), *why;

	if (!*s) {
		if (f->flags & API_REQUIRED && f->shape == API_ONE)
			api_err_required(errs, path, NULL);
		return;
	}
	if (f->enum_values && !in_words(f->enum_values, s)) {
		api_err_unsupported(errs, path, v, f->enum_values);
		return;
	}
	why = f->format ? api_format_check(f->format, s) : NULL;
	if (why)
		api_err_invalid(errs, path, v, why);
}

static void check_int_or_string(const struct api_field *f, const json_t *v, const struct api_path *path,
				struct api_errs *errs)
{
	if (json_is_string(v)) {
		check_string(f, v, path, errs);
		return;
	}
	if (streq(f->format, "port") && (json_integer_value(v) < 1 || json_integer_value(v) > 65535))
		api_err_invalid(errs, path, v, "must be between 1 and 65535, inclusive");
}

static void check_object(const struct api_type *type, const json_t *obj, const json_t *old, const struct api_path *path,
			 struct api_errs *errs);

static void check_value(const struct api_field *f, const json_t *v, const json_t *old, const struct api_path *path,
			struct api_errs *errs)
{
	switch ((enum api_field_type)f->type) {
	case API_STRING:
		check_string(f, v, path, errs);
		break;
	case API_INT32:
	case API_INT64:
		check_integer(f, v, path, errs);
		break;
	case API_INT_OR_STRING:
		check_int_or_string(f, v, path, errs);
		break;
	case API_OBJECT:
		check_object(f->object, v, old, path, errs);
		break;
	case API_BOOL:
	case API_DOUBLE:
	case API_QUANTITY:
	case API_TIME:
	case API_MICRO_TIME:
	case API_BYTES:
	case API_RAW:
	case API_NESTED:
		break;
	}
}

/* --- lists -------------------------------------------------------------------------------------------------------- */

static bool same_keys(const char *const *keys, const json_t *a, const json_t *b)
{
	for (; *keys; keys++) {
		json_t *x = json_object_get(a, *keys), *y = json_object_get(b, *keys);

		if (x == y ? false : !x || !y || !json_equal(x, y))
			return false;
	}
	return true;
}

/* Lists here are short (containers, ports); the square is bounded by the size of a request and cut off below. */
#define MAX_UNIQUE 4096

static void check_unique(const struct api_field *f, const json_t *list, const struct api_path *path,
			 struct api_errs *errs)
{
	size_t n = json_array_size(list);

	if (n > MAX_UNIQUE) {
		api_path_err(errs, path, API_C_TOO_MANY, "Too many: %zu: must have at most %d items", n, MAX_UNIQUE);
		return;
	}
	for (size_t i = 1; i < n; i++) {
		struct api_path item = { .up = path, .index = i };
		struct api_path member = { .up = &item, .name = f->map_keys[0] };
		const json_t *v = json_array_get(list, i);

		for (size_t j = 0; j < i; j++) {
			if (!same_keys(f->map_keys, v, json_array_get(list, j)))
				continue;
			if (!f->map_keys[1]) {
				api_err_duplicate(errs, &member, json_object_get(v, f->map_keys[0]));
			} else {
				json_t *keys = json_object();

				for (const char *const *k = f->map_keys; *k; k++)
					if (json_object_get(v, *k))
						json_object_set(keys, *k, json_object_get(v, *k));
				api_err_duplicate(errs, &item, keys);
				json_decref(keys);
			}
			break;
		}
	}
}

static void check_list(const struct api_field *f, const json_t *v, const struct api_path *path, struct api_errs *errs)
{
	struct api_path at = { .up = path };
	const json_t *item;

	if (!json_array_size(v) && (f->flags & (API_REQUIRED | API_NO_EMPTY))) {
		api_err_required(errs, path, NULL);
		return;
	}
	json_array_foreach (v, at.index, item)
		check_value(f, item, NULL, &at, errs);
	if ((f->flags & API_UNIQUE) && f->map_keys)
		check_unique(f, v, path, errs);
}

/* --- objects ------------------------------------------------------------------------------------------------------ */

static void check_field(const struct api_field *f, const json_t *v, const json_t *old, const struct api_path *path,
			struct api_errs *errs)
{
	const char *key;
	const json_t *item;

	if (f->flags & API_REFUSED) {
		size_t before = errs->n;

		if (f->enum_values && json_is_string(v))
			check_string(f, v, path, errs);
		if (errs->n == before)
			check_refused(f, v, path, errs);
		return;
	}
	switch ((enum api_field_shape)f->shape) {
	case API_ONE:
		check_value(f, v, old, path, errs);
		break;
	case API_LIST:
		check_list(f, v, path, errs);
		break;
	case API_MAP:
		json_object_foreach ((json_t *)v, key, item) {
			struct api_path at = { .up = path, .key = key };

			check_value(f, item, NULL, &at, errs);
		}
		break;
	}
}

static void check_object(const struct api_type *type, const json_t *obj, const json_t *old, const struct api_path *path,
			 struct api_errs *errs)
{
	for (size_t i = 0; i < type->n_fields; i++) {
		const struct api_field *f = &type->fields[i];
		struct api_path at = { .up = path, .name = f->name };
		const json_t *v = json_object_get(obj, f->name), *o = json_object_get(old, f->name);

		if ((f->flags & API_IMMUTABLE) && old && v != o && !(v && o && json_equal(v, o))) {
			api_err_invalid(errs, &at, v, "field is immutable");
			continue;
		}
		if (v && !json_is_null(v)) {
			check_field(f, v, o, &at, errs);
		} else if ((f->flags & API_EMBEDDED) && !(f->flags & API_STATUS)) {
			/* The parts an object always has: tell what is missing within, not just that they are. */
			if (strcmp(f->name, "metadata"))
				check_object(f->object, NULL, NULL, &at, errs);
		} else if (f->flags & API_REQUIRED) {
			api_err_required(errs, &at, NULL);
		}
	}
}

static const struct {
	const char *group, *kind;
	void (*fn)(const json_t *obj, const json_t *old, struct api_errs *errs);
} own[] = {
	{ "", "Pod", api_validate_pod },
	{ "", "Service", api_validate_service },
	{ "", "Node", api_validate_node },
	{ "", "ConfigMap", api_validate_config_map },
	{ "", "Secret", api_validate_secret },
	{ "", "Event", api_validate_event },
	{ "apps", "Deployment", api_validate_deployment },
	{ "apps", "ReplicaSet", api_validate_replica_set },
	{ "networking.k8s.io", "NetworkPolicy", api_validate_network_policy },
	{ "discovery.k8s.io", "EndpointSlice", api_validate_endpoint_slice },
	{ "coordination.k8s.io", "Lease", api_validate_lease },
	{ "rbac.authorization.k8s.io", "Role", api_validate_role },
	{ "rbac.authorization.k8s.io", "ClusterRole", api_validate_cluster_role },
	{ "rbac.authorization.k8s.io", "RoleBinding", api_validate_role_binding },
	{ "rbac.authorization.k8s.io", "ClusterRoleBinding", api_validate_cluster_role_binding },
	{ "scheduling.k8s.io", "PriorityClass", api_validate_priority_class },
	{ "", "LimitRange", api_validate_limit_range },
	{ "", "ResourceQuota", api_validate_resource_quota },
	{ "admissionregistration.k8s.io", "MutatingWebhookConfiguration", api_validate_webhooks },
	{ "admissionregistration.k8s.io", "ValidatingWebhookConfiguration", api_validate_webhooks },
	{ "flowcontrol.apiserver.k8s.io", "FlowSchema", api_validate_flow_schema },
	{ "flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration", api_validate_priority_level },
	{ "events.k8s.io", "Event", api_validate_events_event },
	{ "", "PodTemplate", api_validate_bare_pod_template },
	{ "", "ReplicationController", api_validate_replication_controller },
	{ "", "Endpoints", api_validate_endpoints },
	{ "", "PersistentVolume", api_validate_volume },
	{ "", "PersistentVolumeClaim", api_validate_claim },
	{ "apps", "StatefulSet", api_validate_stateful_set },
	{ "apps", "DaemonSet", api_validate_daemon_set },
	{ "apps", "ControllerRevision", api_validate_controller_revision },
	{ "batch", "Job", api_validate_job },
	{ "batch", "CronJob", api_validate_cron_job },
	{ "autoscaling", "HorizontalPodAutoscaler", api_validate_hpa },
	{ "policy", "PodDisruptionBudget", api_validate_pdb },
	{ "networking.k8s.io", "Ingress", api_validate_ingress },
	{ "networking.k8s.io", "IngressClass", api_validate_ingress_class },
	{ "storage.k8s.io", "StorageClass", api_validate_storage_class },
	{ "storage.k8s.io", "CSINode", api_validate_csi_node },
	{ "storage.k8s.io", "VolumeAttachment", api_validate_volume_attachment },
	{ "apiextensions.k8s.io", "CustomResourceDefinition", api_validate_crd },
	{ "skep.io", "LoadBalancerPool", api_validate_load_balancer_pool },
};

void api_validate_sub(const struct api_kind *kind, const char *sub, const json_t *obj, const json_t *old,
		      struct api_errs *errs)
{
	if (!old || kind->custom || kind->group[0] || !streq(kind->kind, "Pod") || !streq(sub, "resize")) {
		api_validate(kind, obj, old, errs);
		return;
	}
	api_validate_meta(kind, obj, errs);
	check_object(kind->type, obj, old, NULL, errs);
	api_validate_pod_resize(obj, old, errs);
}

void api_validate(const struct api_kind *kind, const json_t *obj, const json_t *old, struct api_errs *errs)
{
	api_validate_meta(kind, obj, errs);
	if (kind->custom) {
		api_schema_check(kind->custom->schema, obj, NULL, errs);
		return;
	}
	check_object(kind->type, obj, old, NULL, errs);
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (streq(own[i].group, kind->group) && streq(own[i].kind, kind->kind))
			own[i].fn(obj, old, errs);
}
