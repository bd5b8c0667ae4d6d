/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of lib/api share: the generated tables, paths of fields, and the parts of validation. */
#ifndef SKEP_API_INTERNAL_H
#define SKEP_API_INTERNAL_H

#include "api.h"

/* NULL-terminated; generated. */
extern const struct api_kind *const api_kind_table[];
extern const size_t api_kind_table_len;
extern const struct api_type *const api_type_table[];

#define API_MAX_DEPTH 128	/* of JSON and YAML documents */
#define API_PATH_MAX 512	/* bytes of a rendered path; longer ones are cut */

/* A field's definition by name; NULL if the type has none. */
const struct api_field *api_type_field(const struct api_type *type, const char *name);

/*
 * Where we are in a document, as a chain of stack frames: nothing is rendered until there is something to report. A frame is a
 * member (name), an element (name NULL) or the value of a map's key (key set).
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

#endif
