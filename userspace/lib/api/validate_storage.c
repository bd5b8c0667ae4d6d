/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of volumes, claims, storage classes, CSI nodes and attachments. */
#include "api-internal.h"

#include <string.h>

#include "../base/str.h"
#include "validate_container.h"

#define AT(parent, member) (&(struct api_path){ .up = (parent), .name = (member) })

static const struct api_path spec_path = { .name = "spec" };

/* capacity or requests: storage, and more than none of it. */
static void validate_size(const json_t *sizes, const struct api_path *path, struct api_errs *errs)
{
	struct api_path at = { .up = path, .key = "storage" };
	const json_t *v = json_object_get(sizes, "storage");
	int64_t milli;

	if (!v)
		api_err_required(errs, &at, NULL);
	else if (json_is_string(v) && (api_quantity_milli(json_string_value(v), &milli) < 0 || milli <= 0))
		api_err_invalid(errs, &at, v, "must be greater than zero");
}

static void validate_modes(const json_t *modes, const struct api_path *path, struct api_errs *errs)
{
	const json_t *v;
	size_t i;

	json_array_foreach (modes, i, v)
		if (streq(json_string_value(v), "ReadWriteOncePod") && json_array_size(modes) > 1)
			api_err_forbidden(errs, path, "may not use ReadWriteOncePod with other access modes");
}

/* --- PersistentVolume --------------------------------------------------------------------------------------------- */

static const char *const sources[] = { "hostPath", "nfs", "local", "csi", NULL };

static void validate_term(const json_t *list, const struct api_path *path, struct api_errs *errs)
{
	struct api_path at = { .up = path };
	const json_t *r;

	json_array_foreach (list, at.index, r) {
		const char *op = api_get_str(r, "operator");
		size_t n = json_array_size(json_object_get(r, "values"));

		if ((streq(op, "In") || streq(op, "NotIn")) && !n)
			api_err_required(errs, AT(&at, "values"),
					 "must be specified when `operator` is 'In' or 'NotIn'");
		else if ((streq(op, "Exists") || streq(op, "DoesNotExist")) && n)
			api_err_forbidden(errs, AT(&at, "values"),
					  "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
		else if ((streq(op, "Gt") || streq(op, "Lt")) && n != 1)
			api_err_required(errs, AT(&at, "values"),
					 "must be specified single value when `operator` is 'Lt' or 'Gt'");
	}
}

static void validate_affinity(const json_t *affinity, const struct api_path *path, struct api_errs *errs)
{
	struct api_path required = { .up = path, .name = "required" };
	struct api_path terms = { .up = &required, .name = "nodeSelectorTerms" }, at = { .up = &terms };
	const json_t *term;

	if (!json_object_get(affinity, "required"))
		api_err_required(errs, &required, "must specify required node constraints");
	json_array_foreach (api_get(affinity, "required.nodeSelectorTerms"), at.index, term) {
		validate_term(json_object_get(term, "matchExpressions"), AT(&at, "matchExpressions"), errs);
		validate_term(json_object_get(term, "matchFields"), AT(&at, "matchFields"), errs);
	}
}

static void validate_path(const json_t *source, const struct api_path *at, struct api_errs *errs)
{
	const char *path = api_get_str(source, "path");

	if (path && api_path_climbs(path))
		api_err_invalid_str(errs, AT(at, "path"), path, "must not contain '..'");
}

static void validate_volume_update(const json_t *spec, const json_t *before, struct api_errs *errs)
{
	struct api_path affinity = { .up = &spec_path, .name = "nodeAffinity" };
	const json_t *was = json_object_get(before, "nodeAffinity");

	for (const char *const *s = sources; *s; s++) {
		if (!api_json_same(json_object_get(spec, *s), json_object_get(before, *s))) {
			api_err_forbidden(errs, AT(&spec_path, "persistentvolumesource"),
					  "spec.persistentvolumesource is immutable after creation");
			break;
		}
	}
	if (was && !api_json_same(json_object_get(spec, "nodeAffinity"), was))
		api_err_invalid(errs, &affinity, json_object_get(spec, "nodeAffinity"), "field is immutable");
}

void api_validate_volume(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	const json_t *spec = json_object_get(obj, "spec"), *affinity = json_object_get(spec, "nodeAffinity");
	size_t n = 0;

	validate_size(json_object_get(spec, "capacity"), AT(&spec_path, "capacity"), errs);
	validate_modes(json_object_get(spec, "accessModes"), AT(&spec_path, "accessModes"), errs);
	for (const char *const *s = sources; *s; s++) {
		if (!json_object_get(spec, *s))
			continue;
		if (n++)
			api_err_forbidden(errs, AT(&spec_path, *s), "may not specify more than 1 volume type");
	}
	/* One that is refused by name is a source, too: that is error enough. */
	if (!n && !errs->n)
		api_err_required(errs, &spec_path, "must specify a volume type");
	validate_path(json_object_get(spec, "hostPath"), AT(&spec_path, "hostPath"), errs);
	validate_path(json_object_get(spec, "local"), AT(&spec_path, "local"), errs);
	if (affinity)
		validate_affinity(affinity, AT(&spec_path, "nodeAffinity"), errs);
	else if (json_object_get(spec, "local"))
		api_err_required(errs, AT(&spec_path, "nodeAffinity"), "Local volume requires node affinity");
	if (old)
		validate_volume_update(spec, json_object_get(old, "spec"), errs);
}

/* --- PersistentVolumeClaim ---------------------------------------------------------------------------------------- */

void api_validate_claim_spec(const json_t *spec, const struct api_path *path, struct api_errs *errs)
{
	struct api_path resources = { .up = path, .name = "resources" };
	const json_t *modes = json_object_get(spec, "accessModes"), *selector = json_object_get(spec, "selector");
	const char *class = api_get_str(spec, "storageClassName"), *why;

	if (!json_array_size(modes))
		api_err_required(errs, AT(path, "accessModes"), "at least 1 access mode is required");
	validate_modes(modes, AT(path, "accessModes"), errs);
	validate_size(api_get(spec, "resources.requests"), AT(&resources, "requests"), errs);
	if (selector)
		api_validate_label_selector(selector, AT(path, "selector"), errs);
	why = class && *class ? api_format_check("dns-subdomain", class) : NULL;
	if (why)
		api_err_invalid_str(errs, AT(path, "storageClassName"), class, why);
}

/* A binder fills in what was left open; a bound claim may grow. */
static void validate_claim_update(const json_t *spec, const json_t *old, struct api_errs *errs)
{
	const json_t *before = json_object_get(old, "spec"), *size = api_get(spec, "resources.requests.storage"),
		     *was = api_get(before, "resources.requests.storage");
	struct api_path resources = { .up = &spec_path, .name = "resources" };
	struct api_path requests = { .up = &resources, .name = "requests" };
	bool bound = streq(api_get_str(old, "status.phase"), "Bound");
	json_t *same = json_deep_copy(before);
	int64_t a = 0, b = 0;

	if (same && api_json_empty(json_object_get(before, "volumeName")) && json_object_get(spec, "volumeName"))
		json_object_set(same, "volumeName", json_object_get(spec, "volumeName"));
	if (same && api_json_empty(json_object_get(before, "storageClassName")) &&
	    json_object_get(spec, "storageClassName"))
		json_object_set(same, "storageClassName", json_object_get(spec, "storageClassName"));
	if (same && bound && size)
		(void)api_set(same, "resources.requests.storage", json_incref((json_t *)size));
	if (!same || !json_equal(same, spec))
		api_err_forbidden(errs, &spec_path,
				  "spec is immutable after creation except resources.requests and "
				  "volumeAttributesClassName for bound claims");
	else if (bound && size && was && api_quantity_milli(json_string_value(size), &a) == 0 &&
		 api_quantity_milli(json_string_value(was), &b) == 0 && a < b)
		api_err_forbidden(errs, &(struct api_path){ .up = &requests, .key = "storage" },
				  "field can not be less than previous value");
	json_decref(same);
}

void api_validate_claim(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	const json_t *spec = json_object_get(obj, "spec");

	api_validate_claim_spec(spec, &spec_path, errs);
	if (old)
		validate_claim_update(spec, old, errs);
}

/* --- storage.k8s.io ----------------------------------------------------------------------------------------------- */

void api_validate_storage_class(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	static const char *const fixed[][2] = {
		{ "parameters", "updates to parameters are forbidden." },
		{ "provisioner", "updates to provisioner are forbidden." },
		{ "reclaimPolicy", "updates to reclaimPolicy are forbidden." },
	};
	const char *provisioner = api_get_str(obj, "provisioner"), *why;

	why = provisioner && *provisioner ? api_format_check("label-key", provisioner) : NULL;
	if (why)
		api_err_invalid_str(errs, AT(NULL, "provisioner"), provisioner, why);
	for (size_t i = 0; old && i < sizeof(fixed) / sizeof(fixed[0]); i++)
		if (!api_json_same(json_object_get(obj, fixed[i][0]), json_object_get(old, fixed[i][0])))
			api_err_forbidden(errs, AT(NULL, fixed[i][0]), fixed[i][1]);
}

#define MAX_NODE_ID 192

void api_validate_csi_node(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	struct api_path list = { .up = &spec_path, .name = "drivers" }, at = { .up = &list };
	const json_t *driver, *before;
	size_t i;

	json_array_foreach (api_get(obj, "spec.drivers"), at.index, driver) {
		const char *id = api_get_str(driver, "nodeID");

		if (id && strlen(id) > MAX_NODE_ID)
			api_err_invalid_str(errs, AT(&at, "nodeID"), id, "must be 192 characters or less");
		/* A driver leaves and comes back to change what it said. */
		json_array_foreach (api_get(old, "spec.drivers"), i, before)
			if (streq(api_get_str(before, "name"), api_get_str(driver, "name")) &&
			    !json_equal(before, driver))
				api_err_invalid(errs, &at, driver, "field is immutable");
	}
}

void api_validate_volume_attachment(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	static const char one[] = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
	const json_t *source = api_get(obj, "spec.source");
	struct api_path at = { .up = &spec_path, .name = "source" };
	bool by_name = json_object_get(source, "persistentVolumeName"),
	     by_spec = json_object_get(source, "inlineVolumeSpec");

	(void)old;
	if (by_name && by_spec)
		api_err_forbidden(errs, &at, one);
	else if (!by_name && !by_spec)
		api_err_required(errs, &at, one);
}
