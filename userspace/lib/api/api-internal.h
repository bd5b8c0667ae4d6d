/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of lib/api share: the generated tables, paths of fields, and the parts of validation. */
#ifndef SKEP_API_INTERNAL_H
#define SKEP_API_INTERNAL_H

#include "api.h"

/* NULL-terminated; generated. */
extern const struct api_kind *const api_kind_table[];
extern const size_t api_kind_table_len;
extern const struct api_type *const api_type_table[];

#define API_ERRS_MAX  64  /* errors of a document that are kept */
#define API_MAX_DEPTH 128 /* of JSON and YAML documents */
#define API_PATH_MAX  512 /* bytes of a rendered path; longer ones are cut */

/* What a NULL list of kinds stands for. */
struct api_kinds api_kinds_or_built_in(const struct api_kinds *kinds);

/* A field's definition by name; NULL if the type has none. */
const struct api_field *api_type_field(const struct api_type *type, const char *name);
/* Bytes one element of a list of this field takes in the C struct. */
size_t api_element_size(const struct api_field *f);

/*
 * Where we are in a document, as a chain of stack frames: nothing is rendered until there is something to report. A
 * frame is a member (name), an element (name NULL) or the value of a map's key (key set).
 */
struct api_path {
	const struct api_path *up;
	const char *name;
	const char *key;
	size_t index;
};
/* "spec.containers[0].name", "data[a.txt]"; returns buf. */
char *api_path_str(const struct api_path *path, char *buf, size_t size);
/* api_errs_add at a path. */
void api_path_err(struct api_errs *errs, const struct api_path *path, enum api_cause cause, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/*
 * Kubernetes' usual refusals: 'Required value', 'Invalid value: "x": why', 'Duplicate value: "x"', ... why may be
 * NULL.
 */
void api_err_required(struct api_errs *errs, const struct api_path *path, const char *why);
void api_err_invalid(struct api_errs *errs, const struct api_path *path, const json_t *value, const char *why);
void api_err_invalid_str(struct api_errs *errs, const struct api_path *path, const char *value, const char *why);
void api_err_duplicate(struct api_errs *errs, const struct api_path *path, const json_t *value);
void api_err_forbidden(struct api_errs *errs, const struct api_path *path, const char *why);
void api_err_unsupported(struct api_errs *errs, const struct api_path *path, const json_t *value,
			 const char *const *values);
void api_err_not_found(struct api_errs *errs, const struct api_path *path, const char *value);

/*
 * schema.c: a JSON schema as checks. Memory is the arena's, but for what api_schema_free() releases. -EINVAL: err says
 * which part makes no sense.
 */
struct api_schema;
int api_schema_new(const json_t *schema, struct arena *arena, struct api_schema **ret, struct err *err);
void api_schema_free(struct api_schema *s);
void api_schema_check(const struct api_schema *s, const json_t *v, const struct api_path *path, struct api_errs *errs);
/* schema_regex.c: patterns as RE2 has them. why: what is wrong with it, NULL if nothing. */
struct api_regex;
struct api_regex *api_regex_new(const char *pattern, char *why, size_t size);
void api_regex_free(struct api_regex *re);
bool api_regex_matches(const struct api_regex *re, const char *text, size_t len);
/* schema_format.c: value is of this format; unknown ones fit everything. */
bool api_schema_format_ok(const char *format, const char *value);

/* api_check() of a part of a document. */
void api_check_at(const struct api_type *type, const json_t *obj, const struct api_path *path, struct api_errs *errs);
/*
 * jsonpath.c: the part of JSONPath that columns use: .a, ['a'], [0], [-1], [*], [?(@.a=="b")], first match. Borrowed;
 * NULL: nothing there.
 */
bool api_jsonpath_ok(const char *path);
const json_t *api_jsonpath_first(const json_t *obj, const char *path);

/* openapi_custom.c: the schema of a custom kind; steals metadata, the schema of that. NULL: out of memory. */
json_t *api_openapi_custom(const struct api_kind *kind, bool v3, json_t *metadata);
/* custom_walk.c: checking, pruning and defaulting of values of custom kinds, by their tables. */
void api_custom_check(const struct api_type *type, const json_t *obj, const struct api_path *path,
		      struct api_errs *errs);
void api_custom_prune(const struct api_type *type, json_t *obj);
void api_custom_default(const struct api_type *type, json_t *obj);

/* What is wrong with value in this format (api_field.format), in Kubernetes' words; NULL if nothing. */
const char *api_format_check(const char *format, const char *value);

struct api_cidr {
	unsigned char addr[16];
	int bits;
	bool v6;
};
int api_cidr_parse(const char *s, struct api_cidr *ret);
/* inner is a smaller range inside outer. */
bool api_cidr_strictly_within(const struct api_cidr *inner, const struct api_cidr *outer);

/* Absent, null, "", 0, false, [] or {}: what a field that is not set looks like. */
bool api_json_empty(const json_t *v);

/* The kinds' own rules; each is called with the object checked, pruned and defaulted, and its predecessor or NULL. */
void api_default_own(const struct api_kind *kind, json_t *obj);
void api_validate_meta(const struct api_kind *kind, const json_t *obj, struct api_errs *errs);
void api_validate_labels(const json_t *labels, const struct api_path *path, struct api_errs *errs);
void api_validate_label_selector(const json_t *selector, const struct api_path *path, struct api_errs *errs);
void api_validate_pod(const json_t *obj, const json_t *old, struct api_errs *errs);
/* Template of a workload: its labels and pod spec. restart_always: only that policy makes sense there. */
void api_validate_pod_template(const json_t *tmpl, const struct api_path *path, bool restart_always,
			       struct api_errs *errs);
/* The annotation skep.io/weight of what path leads to (NULL: the object itself); compile/service_weights.h. */
void api_validate_weight(const json_t *obj, const struct api_path *path, struct api_errs *errs);
/* spec.selector of a workload: not empty, and it selects spec.template. what: "deployment". */
void api_validate_workload_selector(const json_t *spec, const char *what, struct api_errs *errs);
/* "25%" or 3: *ret_percent says which. false: something else, and said so. */
bool api_validate_bound(const json_t *v, const struct api_path *path, int64_t *ret, bool *ret_percent,
			struct api_errs *errs);
void api_validate_deployment(const json_t *obj, const json_t *old, struct api_errs *errs);
void api_validate_replica_set(const json_t *obj, const json_t *old, struct api_errs *errs);
void api_validate_service(const json_t *obj, const json_t *old, struct api_errs *errs);
void api_validate_network_policy(const json_t *obj, const json_t *old, struct api_errs *errs);
void api_validate_endpoint_slice(const json_t *obj, const json_t *old, struct api_errs *errs);
void api_validate_node(const json_t *obj, const json_t *old, struct api_errs *errs);
void api_validate_config_map(const json_t *obj, const json_t *old, struct api_errs *errs);
void api_validate_secret(const json_t *obj, const json_t *old, struct api_errs *errs);
void api_validate_flow_schema(const json_t *obj, const json_t *old, struct api_errs *errs);
void api_validate_priority_level(const json_t *obj, const json_t *old, struct api_errs *errs);
void api_validate_load_balancer_pool(const json_t *obj, const json_t *old, struct api_errs *errs);
void api_validate_limit_range(const json_t *obj, const json_t *old, struct api_errs *errs);
void api_validate_resource_quota(const json_t *obj, const json_t *old, struct api_errs *errs);
void api_validate_webhooks(const json_t *obj, const json_t *old, struct api_errs *errs);
void api_validate_priority_class(const json_t *obj, const json_t *old, struct api_errs *errs);
/* A schema is structural. */
void api_validate_structural(const json_t *schema, const struct api_path *path, struct api_errs *errs);
void api_validate_crd(const json_t *obj, const json_t *old, struct api_errs *errs);
void api_validate_lease(const json_t *obj, const json_t *old, struct api_errs *errs);
void api_validate_role(const json_t *obj, const json_t *old, struct api_errs *errs);
void api_validate_cluster_role(const json_t *obj, const json_t *old, struct api_errs *errs);
void api_validate_role_binding(const json_t *obj, const json_t *old, struct api_errs *errs);
void api_validate_cluster_role_binding(const json_t *obj, const json_t *old, struct api_errs *errs);
void api_default_binding(json_t *obj);
void api_validate_event(const json_t *obj, const json_t *old, struct api_errs *errs);
void api_validate_events_event(const json_t *obj, const json_t *old, struct api_errs *errs);
/* The same for the kinds of workloads.kind, scaling.kind, ingress.kind and storage.kind. */
void api_validate_stateful_set(const json_t *obj, const json_t *old, struct api_errs *errs);
void api_validate_daemon_set(const json_t *obj, const json_t *old, struct api_errs *errs);
void api_validate_controller_revision(const json_t *obj, const json_t *old, struct api_errs *errs);
void api_validate_replication_controller(const json_t *obj, const json_t *old, struct api_errs *errs);
void api_validate_bare_pod_template(const json_t *obj, const json_t *old, struct api_errs *errs);
void api_validate_job(const json_t *obj, const json_t *old, struct api_errs *errs);
void api_validate_cron_job(const json_t *obj, const json_t *old, struct api_errs *errs);
void api_validate_hpa(const json_t *obj, const json_t *old, struct api_errs *errs);
void api_validate_pdb(const json_t *obj, const json_t *old, struct api_errs *errs);
void api_validate_endpoints(const json_t *obj, const json_t *old, struct api_errs *errs);
void api_validate_ingress(const json_t *obj, const json_t *old, struct api_errs *errs);
void api_validate_ingress_class(const json_t *obj, const json_t *old, struct api_errs *errs);
void api_validate_volume(const json_t *obj, const json_t *old, struct api_errs *errs);
void api_validate_claim(const json_t *obj, const json_t *old, struct api_errs *errs);
/* spec of a claim or of a stateful set's template of one. */
void api_validate_claim_spec(const json_t *spec, const struct api_path *path, struct api_errs *errs);
void api_validate_storage_class(const json_t *obj, const json_t *old, struct api_errs *errs);
void api_validate_csi_node(const json_t *obj, const json_t *old, struct api_errs *errs);
void api_validate_volume_attachment(const json_t *obj, const json_t *old, struct api_errs *errs);

/* Both absent or empty, or equal. */
bool api_json_same(const json_t *a, const json_t *b);

#endif
