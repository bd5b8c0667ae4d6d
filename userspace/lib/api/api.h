/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kubernetes objects: one description per kind (schema/ *.kind), compiled by scripts/gen-api.py into the tables below
 * and the typed structs of "api/api_types.h". Checking, defaulting, pruning, validation, patches, printing, OpenAPI,
 * discovery and the decoders are interpreters of these tables, so that adding a kind is adding a description.
 *
 * JSON values are jansson's (json_t). Functions borrow what they are given unless their comment says "steals".
 */
#ifndef SKEP_API_H
#define SKEP_API_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/arena.h"
#include "../base/err.h"
#include "../base/strbuf.h"

/* --- what the typed structs are made of --------------------------------------------------------------------------- */

/* Map of strings, sorted by key (labels, annotations, resource lists, data). */
struct api_kv {
	const char *key, *value;
};
struct api_map {
	size_t n;
	struct api_kv *v;
};
const char *api_map_get(const struct api_map *m, const char *key); /* NULL if absent */

struct api_opt_int {
	bool set;
	int64_t v;
};
struct api_opt_bool {
	bool set;
	bool v;
};
struct api_int_or_str {
	bool set, is_str;
	int64_t i;     /* !is_str */
	const char *s; /* is_str */
};

/*
 * Typed structs (generated, "api/api_types.h"): PodSpec becomes struct api_pod_spec with members in snake_case (a C
 * keyword gets a trailing underscore). By schema type: string, time, quantity: const char * (NULL absent);
 * int32/int64: int64_t, "?" optional: struct api_opt_int; bool likewise; []T: size_t n_<name> and T *<name> (const
 * char ** for strings); map: struct api_map; object: pointer (NULL absent), or embedded by value where the schema
 * says "inline" (metadata, spec, status); int-or-string: struct api_int_or_str; raw JSON: json_t * (borrowed from the
 * decoded tree, NULL absent).
 * Every kind's struct starts with struct api_object, as .object and flat: pod->metadata.name. Each type T and kind K
 * has a table: api_type_<t>, api_kind_<k>.
 */
struct api_owner_ref {
	const char *api_version, *kind, *name, *uid;
	struct api_opt_bool controller, block_owner_deletion;
};
struct api_meta {
	const char *name, *generate_name, *namespace_, *uid, *resource_version;
	int64_t generation;
	const char *creation_timestamp, *deletion_timestamp;
	struct api_opt_int deletion_grace_period_seconds;
	struct api_map labels, annotations;
	size_t n_owner_references;
	struct api_owner_ref *owner_references;
	size_t n_finalizers;
	const char **finalizers;
};
struct api_object {
	const char *api_version, *kind;
	struct api_meta metadata;
};

/* --- the tables --------------------------------------------------------------------------------------------------- */

enum api_field_type {
	API_STRING,
	API_BOOL,
	API_INT32,
	API_INT64,
	API_DOUBLE,
	API_QUANTITY,
	API_INT_OR_STRING,
	API_TIME,
	API_MICRO_TIME,
	API_BYTES,  /* base64 in JSON */
	API_OBJECT, /* .type says which */
	API_RAW,    /* any JSON, kept as it is */
	API_NESTED, /* element of a list or map that is a list or map itself: .nested says of what (custom kinds) */
};
enum api_field_shape { API_ONE, API_LIST, API_MAP /* from string */ };
enum api_field_flags {
	API_REQUIRED = 1 << 0,	/* must be present; strings not empty */
	API_IMMUTABLE = 1 << 1, /* an update may not change it */
	API_REFUSED = 1 << 2,	/* known to Kubernetes, not honoured by Skep yet: refused by name when set */
	API_OPTIONAL = 1 << 3,	/* scalar with presence: api_opt_* in C */
	API_EMBEDDED = 1 << 4,	/* object by value in C */
	API_READ_ONLY = 1 << 5, /* set by the server; dropped from what clients write */
	API_ATOMIC = 1 << 6,	/* list or map replaced whole by apply */
	API_RETAIN_KEYS = 1 << 7,
	API_STATUS = 1 << 8,	/* belongs to the status subresource */
	API_NO_EMPTY = 1 << 9,	/* list must not be empty */
	API_ALWAYS = 1 << 10,	/* the encoder writes it even when zero */
	API_UNIQUE = 1 << 11,	/* no two elements have the same keys */
	API_NULLABLE = 1 << 12, /* null is a value of it (custom kinds) */
};
enum api_type_flags {
	API_TYPE_CUSTOM = 1 << 0, /* of a CustomResourceDefinition: wrong JSON types are told by its schema */
	API_TYPE_OPEN = 1 << 1,	  /* members without a field are kept as they are */
};
#define API_NO_OFFSET UINT32_MAX /* the field has no member in the C struct: decoders skip it */

struct api_type;
struct api_field {
	const char *name; /* in JSON */
	const char *doc;  /* one line, for explain and OpenAPI */
	/*
	 * protobuf field number in k8s.io/api; 0: none. Above 255, pb >> 8 is the number of an embedded message that
	 * is flat in JSON (Volume's volumeSource), pb & 255 the number within it.
	 */
	uint16_t pb;
	uint8_t type;  /* enum api_field_type */
	uint8_t shape; /* enum api_field_shape */
	uint32_t flags;
	uint32_t offset;		/* of the value in the C struct */
	uint32_t n_offset;		/* of the list's count */
	const struct api_type *object;	/* API_OBJECT */
	const struct api_field *nested; /* API_NESTED: a field without a name */
	const char *default_json;	/* NULL: none; JSON text */
	const char *const *enum_values; /* NULL-terminated; NULL: any */
	const char *format;    /* "dns-label", "dns-subdomain", "label-key", "label-value", "port", "ip", "cidr", ...;
				  NULL: none */
	int64_t min, max;      /* integers; min > max: no limits */
	const char *merge_key; /* strategic merge and apply list-map key, first one; NULL: replaced whole (or a set) */
	const char *const *map_keys; /* all list-map keys for apply, NULL-terminated; NULL: not a map */
	bool is_set;		     /* listType=set / merge of primitives */
	const char *refused_why;     /* API_REFUSED: what to do instead */
	const char *const
		*allowed; /* API_REFUSED: values accepted all the same, as text; NULL: only absent and empty ones */
};
struct api_type {
	const char *name;    /* "PodSpec" */
	const char *package; /* "io.k8s.api.core.v1": with the name, the OpenAPI definition */
	const char *doc;
	size_t size; /* of the C struct; 0: no C struct */
	const struct api_field *fields;
	size_t n_fields;
	bool atomic;	/* owned and replaced as one by apply, wherever it is used */
	unsigned flags; /* enum api_type_flags */
};

struct api_column { /* kubectl's table */
	const char *name;
	const char *type;   /* "string", "integer", "date" */
	const char *format; /* "name" or "" */
	int priority;	    /* 0, or 1 for wide only */
	const char *path;   /* ".spec.replicas"; NULL: fn */
	const char *fn;	    /* name of a computed column ("pod-ready"); see table.c */
};
struct api_kind {
	const char *group, *version, *kind, *plural, *singular;
	const char *const *short_names; /* NULL-terminated, may be empty */
	const char *const *categories;
	const char *const *subresources; /* "status", "scale", "binding", "log", "exec", ... */
	bool namespaced;
	bool has_spec_generation; /* metadata.generation counts changes outside metadata and status */
	bool review;		  /* a question: only created, answered at once, never stored */
	bool computed;		  /* only read, and made when it is asked for */
	const struct api_type *type;
	const struct api_column *columns;
	size_t n_columns;
	const char *const *selectable;	  /* field selectors besides metadata.name and metadata.namespace */
	const char *name_format;	  /* "dns-subdomain", "dns-label", "dns-1035-label", "path-segment" */
	const char *unattended;		  /* no controller acts on these yet: what is missing; NULL: attended */
	const struct api_kind *stored_as; /* another form of this kind, see api_view_of(); NULL: stored as it is */
	const char *list_kind;		  /* NULL: kind + "List" */
	const struct api_custom *custom;  /* of a CustomResourceDefinition; NULL: built in */
};

/* Kinds that are served: what discovery and OpenAPI tell of. Where one is asked for, NULL is the built-in kinds. */
struct api_kinds {
	const struct api_kind *const *v;
	size_t n;
};

const struct api_kind *const *api_kinds(size_t *ret_n); /* all, by group, version, kind */
const struct api_kind *api_kind_by_plural(const char *group, const char *version, const char *plural);
const struct api_kind *api_kind_by_name(const char *group, const char *version, const char *kind);
/* "po", "pods", "pod", "deployments.apps", "Deployment": what people type. NULL if unknown. */
const struct api_kind *api_kind_by_word(const char *word);
void api_kind_api_version(const struct api_kind *kind, char *buf, size_t size); /* "v1", "apps/v1" */

/*
 * One version of a CustomResourceDefinition, compiled into the same tables that built-in kinds have, so that the same
 * interpreters work on it, and into the checks of its schema (schema.c). Whoever keeps `kind` or its type keeps this.
 */
struct api_schema;
struct api_custom {
	struct api_kind kind; /* kind.custom points here */
	struct arena arena;   /* of everything below and the tables */
	struct api_schema *schema;
	json_t *openapi;					/* the schema as it was defined */
	const char *scale_spec, *scale_status, *scale_selector; /* paths; NULL: no scale, no selector */
	bool has_status;
	const char *deprecated; /* what users of the version are told; NULL: it is not deprecated */
};
/*
 * definition: a valid CustomResourceDefinition; version: one of its spec.versions. Names are the accepted ones of its
 * status, else the spec's.
 */
int api_custom_new(const json_t *definition, const json_t *version, struct api_custom **ret, struct err *err);
void api_custom_free(struct api_custom *c); /* NULL is fine */
/* Kubernetes' order of versions, preferred first: v2, v1, v1beta1, v1alpha1, others. */
int api_version_compare(const char *a, const char *b);

/* --- errors of a document ----------------------------------------------------------------------------------------- */

enum api_cause {
	API_C_REQUIRED,
	API_C_INVALID,
	API_C_DUPLICATE,
	API_C_NOT_SUPPORTED,
	API_C_FORBIDDEN,
	API_C_TOO_LONG,
	API_C_TOO_MANY,
	API_C_NOT_FOUND,
	API_C_UNKNOWN_FIELD,
	API_C_DUPLICATE_FIELD,
	API_C_TYPE
};
struct api_err {
	enum api_cause cause;
	char *field; /* "spec.containers[0].name" */
	char *text;  /* Kubernetes' words: 'Invalid value: "A": a lowercase RFC 1123 label must ...' */
};
struct api_errs {
	size_t n, cap;
	struct api_err *v; /* at most 64 are kept */
};
void api_errs_add(struct api_errs *errs, enum api_cause cause, const char *field, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void api_errs_done(struct api_errs *errs);

/* Status objects (new references). */
json_t *api_status(int code, const char *reason, const char *message);
/* 404, 409 AlreadyExists...: with details {name, group, kind(plural)} */
json_t *api_status_for(int code, const char *reason, const struct api_kind *kind, const char *name,
		       const char *message);
/* 422 with causes; kind may be NULL. */
json_t *api_status_invalid(const struct api_kind *kind, const char *name, const struct api_errs *errs);

/* --- documents ---------------------------------------------------------------------------------------------------- */

/*
 * JSON bytes to a tree, numbers kept as integer or real, duplicate keys reported in dups (may be NULL) with their
 * paths and the last value kept, depth bounded (-EINVAL). A new reference.
 */
int api_json_parse(const void *data, size_t len, json_t **ret, struct api_errs *dups, struct err *err);
/*
 * Every document of a YAML stream (YAML 1.2 core as Kubernetes reads it; anchors bounded); lines[i]: first line of
 * document i. The array and lines are the caller's. err names line and column.
 */
int api_yaml_parse(const char *data, size_t len, json_t **ret_array, int **ret_lines, struct err *err);
/*
 * Kubernetes' protobuf form of an object ("k8s\0" and the envelope) to the tree its JSON would give. A new reference.
 */
int api_protobuf_parse(const void *data, size_t len, json_t **ret, struct err *err);
/* The type a body of that apiVersion and kind is read and written by, kinds or not (Status); NULL: none. */
const struct api_type *api_protobuf_type(const char *api_version, const char *kind);
/* Have the type's fields protobuf numbers? Those of custom resources have none. */
bool api_protobuf_has(const struct api_type *type);
/*
 * The writers append to out; 0 or -ENOMEM. write: a whole object. write_list: what comes before the items of a list,
 * which the caller sends after it, items_len bytes in all, each from write_item. write_event: a watch event with its
 * length in front; object is what write gave.
 */
int api_protobuf_write(const struct api_type *type, const char *api_version, const char *kind, const json_t *obj,
		       struct strbuf *out);
int api_protobuf_write_list(const char *api_version, const char *kind, const json_t *meta, size_t items_len,
			    struct strbuf *out);
int api_protobuf_write_item(const struct api_type *type, const json_t *obj, struct strbuf *out);
int api_protobuf_write_event(const char *type, const void *object, size_t len, struct strbuf *out);
/* Of any object only the metadata: what PartialObjectMetadata is written by. */
extern const struct api_type api_type_partial_object_metadata;
/* Line of a field path within document i of that stream, 0 if unknown: for the CLI's messages. */
int api_yaml_line_of(const char *data, size_t len, size_t doc, const char *field_path);
void api_yaml_write(const json_t *value, struct strbuf *out);

/*
 * Wrong JSON types (API_C_TYPE), unknown fields (API_C_UNKNOWN_FIELD). Both added to errs; the caller decides what is
 * fatal.
 */
void api_check(const struct api_type *type, const json_t *obj, struct api_errs *errs);
/* Drops unknown and null fields. */
void api_prune(const struct api_type *type, json_t *obj);
/* Schema defaults, then the kind's own (defaults.c). Idempotent. */
void api_default(const struct api_kind *kind, json_t *obj);
/*
 * Required, enums, formats, ranges, refused fields, list-map duplicates, metadata, immutability against old (NULL on
 * creation), then the kind's own rules (validate_<kind>.c). obj has been checked, pruned and defaulted.
 */
void api_validate(const struct api_kind *kind, const json_t *obj, const json_t *old, struct api_errs *errs);
/* The same for an update by way of a subresource, some of which have rules of their own ("" and others: as above). */
void api_validate_sub(const struct api_kind *kind, const char *sub, const json_t *obj, const json_t *old,
		      struct api_errs *errs);

/*
 * Typed decode into arena memory; unknown fields are ignored; a wrong type is -EINVAL with the path. ret: struct
 * api_<kind> *.
 */
int api_decode(const struct api_type *type, const json_t *obj, struct arena *arena, void *ret_struct_pp,
	       struct err *err);
/* The struct as JSON, absent and empty fields left out. New reference; NULL: out of memory. */
json_t *api_encode(const struct api_type *type, const void *value);

/* --- patches: *ret is a new tree, target is untouched ------------------------------------------------------------- */
int api_patch_json(const json_t *target, const json_t *ops, json_t **ret, struct err *err);    /* RFC 6902 */
int api_patch_merge(const json_t *target, const json_t *patch, json_t **ret, struct err *err); /* RFC 7386 */
int api_patch_strategic(const struct api_type *type, const json_t *target, const json_t *patch, json_t **ret,
			struct err *err);

/* --- selectors ---------------------------------------------------------------------------------------------------- */
struct api_selector; /* parsed label selector */
int api_selector_parse(const char *text, struct api_selector **ret,
		       struct err *err); /* "a=b,c in (d,e),!f"; "" matches all */
/* From a LabelSelector object {matchLabels, matchExpressions}; NULL json: matches nothing. */
int api_selector_from_json(const json_t *label_selector, struct api_selector **ret, struct err *err);
bool api_selector_matches(const struct api_selector *s, const struct api_map *labels);
bool api_selector_matches_json(const struct api_selector *s, const json_t *labels); /* labels may be NULL */
/* The same straight on a decoded LabelSelector; NULL matches nothing, an empty one everything. */
struct api_label_selector;
bool api_label_selector_matches(const struct api_label_selector *s, const struct api_map *labels);
bool api_selector_empty(const struct api_selector *s); /* matches everything */
void api_selector_free(struct api_selector *s);

struct api_field_selector;
/* "spec.nodeName=a,metadata.name!=b"; unsupported field: -EINVAL with Kubernetes' words. */
int api_field_selector_parse(const struct api_kind *kind, const char *text, struct api_field_selector **ret,
			     struct err *err);
bool api_field_selector_matches(const struct api_field_selector *s, const json_t *obj);
/*
 * Value demanded by "field=value" if there is such a term, else NULL (for metadata.name and spec.nodeName short
 * cuts).
 */
const char *api_field_selector_exact(const struct api_field_selector *s, const char *field);
void api_field_selector_free(struct api_field_selector *s);

/* --- quantities (resource.Quantity) ------------------------------------------------------------------------------- */
int api_quantity_milli(const char *q, int64_t *ret); /* thousandths, rounded up, saturating; -EINVAL */
int api_quantity_value(const char *q, int64_t *ret); /* whole units, rounded up */
/* a + b, or a - b if sign < 0, written in the form of a, of b if a is 0. Saturates. -EINVAL. */
int api_quantity_add(const char *a, const char *b, int sign, char *buf, size_t size);
int api_quantity_compare(const char *a, const char *b); /* -1, 0, 1; 0 also if one is none */
/* As Kubernetes writes it back: "1000m" is "1", "1024Mi" is "1Gi", "0.5" is "500m". -EINVAL. */
int api_quantity_canonical(const char *q, char *buf, size_t size);
void api_quantity_format_milli(int64_t milli, char *buf, size_t size); /* decimal SI, canonical: "1500m", "2" */

/* --- representations ---------------------------------------------------------------------------------------------- */
/*
 * meta.k8s.io/v1 Table of items (array of objects). include: "None", "Metadata", "Object". columns only for n == 0
 * too.
 */
json_t *api_table(const struct api_kind *kind, const json_t *items, const char *include, int64_t now_ms);
/* Its parts, for tables that are written in pieces. */
json_t *api_table_columns(const struct api_kind *kind);
json_t *api_table_row(const struct api_kind *kind, const json_t *obj, const char *include, int64_t now_ms);
/* Cells of one row for one object, in order of kind->columns (new array): used by api_table and the CLI. */
json_t *api_table_cells(const struct api_kind *kind, const json_t *obj, int64_t now_ms);
/* "5m", "3h20m", "12d": kubectl's age. */
void api_human_duration(int64_t ms, char *buf, size_t size);

/* A stored object in the form of a kind that has stored_as, and back. New trees; NULL: out of memory. */
json_t *api_view_of(const struct api_kind *view, const json_t *stored);
/* before: what is stored at present (NULL: nothing); what the view cannot say is kept from it. */
json_t *api_view_stored(const struct api_kind *view, const json_t *obj, const json_t *before);

json_t *api_openapi_v3_index(const struct api_kinds *kinds); /* /openapi/v3 */
/* /openapi/v3/apis/<g>/<v>; NULL if unknown */
json_t *api_openapi_v3(const struct api_kinds *kinds, const char *group, const char *version);
json_t *api_openapi_v2(const struct api_kinds *kinds);
/* The document api_openapi_v2() made, as gnostic's openapi.v2.Document. 0 or -ENOMEM. */
int api_openapi_v2_protobuf(const json_t *v2, struct strbuf *out);
json_t *api_discovery_versions(const char *server_address);  /* /api */
json_t *api_discovery_groups(const struct api_kinds *kinds); /* /apis */
/* /api/v1, /apis/g/v; NULL if unknown */
json_t *api_discovery_resources(const struct api_kinds *kinds, const char *group, const char *version);
/* APIGroupDiscoveryList v2 for /api or /apis */
json_t *api_discovery_aggregated(const struct api_kinds *kinds, bool core);

/* Looks up a dotted path ("spec.template.metadata.labels"); borrowed; NULL if absent. */
json_t *api_get(const json_t *obj, const char *path);
const char *api_get_str(const json_t *obj, const char *path); /* NULL if absent or not a string */
int64_t api_get_int(const json_t *obj, const char *path, int64_t dflt);
/* Sets a dotted path, making objects on the way; steals value. 0 or -ENOMEM/-EINVAL. */
int api_set(json_t *obj, const char *path, json_t *value);
/* The element whose member `key` is `want`, borrowed; NULL: none, or no `want`. ret_index may be NULL. */
json_t *api_list_find(const json_t *list, const char *key, const json_t *want, size_t *ret_index);
bool api_list_has(const json_t *list, const json_t *value);

#endif
