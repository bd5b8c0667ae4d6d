/* SPDX-License-Identifier: Apache-2.0 */
/* Rules for metadata and label selectors, the same for every kind. */
#include "api-internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "../base/str.h"

#define ANNOTATIONS_MAX (256 * 1024)

static const struct api_path meta = { .name = "metadata" };

void api_validate_labels(const json_t *labels, const struct api_path *path, struct api_errs *errs)
{
	const char *key, *why;
	const json_t *v;

	json_object_foreach ((json_t *)labels, key, v) {
		why = api_format_check("label-key", key);
		if (why)
			api_err_invalid_str(errs, path, key, why);
		why = json_is_string(v) ? api_format_check("label-value", json_string_value(v)) : NULL;
		if (why)
			api_err_invalid(errs, path, v, why);
	}
}

static void validate_annotations(const json_t *annotations, struct api_errs *errs)
{
	struct api_path at = { .up = &meta, .name = "annotations" };
	size_t size = 0;
	const char *key;
	const json_t *v;

	json_object_foreach ((json_t *)annotations, key, v) {
		char lower[400];
		size_t n = 0;
		const char *why;

		for (; key[n] && n < sizeof(lower) - 1; n++)
			lower[n] = (char)tolower((unsigned char)key[n]);
		lower[n] = '\0';
		why = api_format_check("label-key", lower);
		if (why)
			api_err_invalid_str(errs, &at, key, why);
		size += strlen(key) + json_string_length(v);
	}
	if (size > ANNOTATIONS_MAX)
		api_path_err(errs, &at, API_C_TOO_LONG, "Too long: may not be more than %d bytes", ANNOTATIONS_MAX);
}

static void validate_name(const struct api_kind *kind, const json_t *metadata, struct api_errs *errs)
{
	const char *name = json_string_value(json_object_get(metadata, "name"));
	const char *prefix = json_string_value(json_object_get(metadata, "generateName"));
	struct api_path at = { .up = &meta, .name = "name" };
	const char *why;

	if (prefix && *prefix) {
		struct api_path p = { .up = &meta, .name = "generateName" };
		char text[300];
		size_t len = strlen(prefix);

		/* A trailing dash is fine: more follows. */
		snprintf(text, sizeof(text), "%s", prefix);
		if (len < sizeof(text) && text[len - 1] == '-')
			text[len - 1] = 'a';
		why = api_format_check(kind->name_format, text);
		if (why)
			api_err_invalid_str(errs, &p, prefix, why);
	}
	if (!name || !*name) {
		api_err_required(errs, &at, "name or generateName is required");
		return;
	}
	why = api_format_check(kind->name_format, name);
	if (why)
		api_err_invalid_str(errs, &at, name, why);
}

static void validate_finalizers(const json_t *list, struct api_errs *errs)
{
	struct api_path at = { .up = &meta, .name = "finalizers" };
	const json_t *v;
	size_t i;

	json_array_foreach (list, i, v) {
		const char *s = json_string_value(v), *why;

		why = api_format_check("label-key", s);
		if (!why && !strchr(s, '/') && strcmp(s, "orphan") && strcmp(s, "foregroundDeletion") &&
		    strcmp(s, "kubernetes"))
			why = "name is neither a standard finalizer name nor is it fully qualified";
		if (why)
			api_err_invalid(errs, &at, v, why);
	}
}

static void validate_owners(const json_t *list, struct api_errs *errs)
{
	struct api_path at = { .up = &meta, .name = "ownerReferences" };
	const json_t *v, *controller = NULL;
	size_t i;

	/* That their members are there, the table says. */
	json_array_foreach (list, i, v) {
		if (!json_is_true(json_object_get(v, "controller")))
			continue;
		if (controller) {
			char why[700];

			snprintf(
				why, sizeof(why),
				"Only one reference can have Controller set to true. Found \"true\" in references for %s and %s",
				api_get_str(controller, "name"), api_get_str(v, "name"));
			api_err_invalid(errs, &at, list, why);
			return;
		}
		controller = v;
	}
}

void api_validate_meta(const struct api_kind *kind, const json_t *obj, struct api_errs *errs)
{
	const json_t *metadata = json_object_get(obj, "metadata");
	const char *ns = json_string_value(json_object_get(metadata, "namespace"));
	struct api_path labels = { .up = &meta, .name = "labels" };
	struct api_path at = { .up = &meta, .name = "namespace" };
	const char *why;

	validate_name(kind, metadata, errs);
	if (!kind->namespaced && ns && *ns) {
		api_err_forbidden(errs, &at, "not allowed on this type");
	} else if (kind->namespaced && (!ns || !*ns)) {
		api_err_required(errs, &at, NULL);
	} else if (kind->namespaced) {
		why = api_format_check("dns-label", ns);
		if (why)
			api_err_invalid_str(errs, &at, ns, why);
	}
	api_validate_labels(json_object_get(metadata, "labels"), &labels, errs);
	validate_annotations(json_object_get(metadata, "annotations"), errs);
	validate_finalizers(json_object_get(metadata, "finalizers"), errs);
	validate_owners(json_object_get(metadata, "ownerReferences"), errs);
}

void api_validate_label_selector(const json_t *selector, const struct api_path *path, struct api_errs *errs)
{
	struct api_path labels = { .up = path, .name = "matchLabels" };
	struct api_path exprs = { .up = path, .name = "matchExpressions" };
	struct api_path at = { .up = &exprs };
	const json_t *e;

	/* Keys' and operators' forms are the table's. */
	api_validate_labels(json_object_get(selector, "matchLabels"), &labels, errs);
	json_array_foreach (json_object_get(selector, "matchExpressions"), at.index, e) {
		const char *op = api_get_str(e, "operator");
		const json_t *values = json_object_get(e, "values"), *v;
		struct api_path p = { .up = &at, .name = "values" };
		struct api_path item = { .up = &p };
		bool set = streq(op, "In") || streq(op, "NotIn");

		if (set && !json_array_size(values))
			api_err_required(errs, &p, "must be specified when `operator` is 'In' or 'NotIn'");
		if ((streq(op, "Exists") || streq(op, "DoesNotExist")) && json_array_size(values))
			api_err_forbidden(errs, &p,
					  "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
		json_array_foreach (values, item.index, v) {
			const char *why = api_format_check("label-value", json_string_value(v));

			if (why)
				api_err_invalid(errs, &item, v, why);
		}
	}
}
