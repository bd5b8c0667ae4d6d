/* SPDX-License-Identifier: Apache-2.0 */
/* Objects of tests out of text, and what is said of them as text. */
#ifndef SKEP_TESTS_UNIT_DOCUMENTS_H
#define SKEP_TESTS_UNIT_DOCUMENTS_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"

static inline json_t *from_json(const char *text)
{
	struct err err = ERR_INIT;
	json_t *v = NULL;
	int r = api_json_parse(text, strlen(text), &v, NULL, &err);

	cr_assert_eq(r, 0, "%s: %s", err.msg, text);
	return v;
}

/* The first document; an empty one is an object. */
static inline json_t *from_yaml(const char *text)
{
	struct err err = ERR_INIT;
	json_t *docs = NULL, *ret;
	int *lines = NULL;

	cr_assert(api_yaml_parse(text, strlen(text), &docs, &lines, &err) == 0, "%s: %s", err.msg, text);
	ret = json_incref(json_array_get(docs, 0));
	json_decref(docs);
	free(lines);
	return ret ? ret : json_object();
}

/* Lives as long as the arena. */
static inline void *from_json_as(const struct api_type *type, const char *text, struct arena *arena)
{
	struct err err = ERR_INIT;
	json_t *obj = from_json(text);
	void *out = NULL;

	cr_assert_eq(api_decode(type, obj, arena, &out, &err), 0, "%s", err.msg);
	json_decref(obj);
	return out;
}

/* "field: text" of each error, separated by " | ". */
static inline void errs_text(const struct api_errs *errs, char *buf, size_t size)
{
	size_t n = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < errs->n && n < size; i++)
		n += (size_t)snprintf(buf + n, size - n, "%s%s: %s", i ? " | " : "", errs->v[i].field, errs->v[i].text);
}

#endif
