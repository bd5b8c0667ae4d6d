/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of projected volumes: what may stand side by side in one directory. */
#include "validate_container.h"

#include "../base/str.h"

#define MIN_EXPIRATION_S 600
#define MAX_EXPIRATION_S (INT64_C(1) << 32)

static void validate_path(const json_t *file, const struct api_path *up, struct api_errs *errs)
{
	struct api_path at = { .up = up, .name = "path" };
	const char *p = api_get_str(file, "path");

	if (p && *p == '/')
		api_err_invalid_str(errs, &at, p, "must be a relative path");
	else if (p && api_path_climbs(p))
		api_err_invalid_str(errs, &at, p, "must not contain '..'");
}

static void validate_downward(const json_t *source, const struct api_path *path, struct api_errs *errs)
{
	static const char *const fields[] = { "metadata.annotations", "metadata.labels", "metadata.name",
					      "metadata.namespace",   "metadata.uid",	 NULL };
	struct api_path items = { .up = path, .name = "items" }, at = { .up = &items };
	const json_t *file;

	json_array_foreach (json_object_get(source, "items"), at.index, file) {
		struct api_path ref = { .up = &at, .name = "fieldRef" }, field = { .up = &ref, .name = "fieldPath" };
		const char *f = api_get_str(file, "fieldRef.fieldPath");
		bool known = false;

		validate_path(file, &at, errs);
		if (!f) {
			api_err_required(errs, &at, "must specify one of: fieldRef and resourceFieldRef");
			continue;
		}
		for (const char *const *s = fields; *s && !known; s++)
			known = streq(*s, f);
		if (!known)
			api_err_unsupported(errs, &field, api_get(file, "fieldRef.fieldPath"), fields);
	}
}

static void validate_token(const json_t *source, const struct api_path *path, struct api_errs *errs)
{
	struct api_path at = { .up = path, .name = "expirationSeconds" };
	const json_t *v = json_object_get(source, "expirationSeconds");

	validate_path(source, path, errs);
	if (json_is_integer(v) && json_integer_value(v) < MIN_EXPIRATION_S)
		api_err_invalid(errs, &at, v, "may not specify a duration less than 10 minutes");
	if (json_is_integer(v) && json_integer_value(v) > MAX_EXPIRATION_S)
		api_err_invalid(errs, &at, v, "may not specify a duration larger than 2^32 seconds");
}

void api_validate_projected(const json_t *source, const struct api_path *path, struct api_errs *errs)
{
	static const char *const kinds[] = { "secret", "configMap", "downwardAPI", "serviceAccountToken" };
	struct api_path sources = { .up = path, .name = "sources" }, at = { .up = &sources };
	const json_t *s;

	json_array_foreach (json_object_get(source, "sources"), at.index, s) {
		size_t n = 0;

		for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
			struct api_path one = { .up = &at, .name = kinds[i] };
			struct api_path name = { .up = &one, .name = "name" }, items = { .up = &one, .name = "items" };
			const json_t *v = json_object_get(s, kinds[i]);

			if (!v)
				continue;
			if (n++)
				api_err_forbidden(errs, &one, "may not specify more than 1 volume type");
			else if (i < 2 && api_json_empty(json_object_get(v, "name")))
				api_err_required(errs, &name, NULL);
			else if (i < 2)
				api_validate_items(json_object_get(v, "items"), &items, errs);
			else if (i == 2)
				validate_downward(v, &one, errs);
			else
				validate_token(v, &one, errs);
		}
		if (!n)
			api_err_required(errs, &at, "must specify a volume type");
	}
}
