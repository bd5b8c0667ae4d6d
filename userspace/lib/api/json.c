/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON text to a tree. jansson keeps the last of duplicate keys without a word, so we compare how many keys the text
 * has with how many the tree has, and only when they differ walk the text again to say which ones: the usual document
 * costs one scan.
 */
#include "api-internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../base/cleanup.h"
#include "../base/strmap.h"

/* Keys in valid or invalid JSON text (colons outside strings), and how deep it nests. */
static size_t scan_text(const char *p, const char *end, size_t *ret_depth)
{
	size_t keys = 0, depth = 0, deepest = 0;
	bool in_string = false;

	for (; p < end; p++) {
		if (in_string) {
			if (*p == '\\')
				p++;
			else if (*p == '"')
				in_string = false;
			continue;
		}
		switch (*p) {
		case '"':
			in_string = true;
			break;
		case ':':
			keys++;
			break;
		case '{':
		case '[':
			if (++depth > deepest)
				deepest = depth;
			break;
		case '}':
		case ']':
			if (depth)
				depth--;
			break;
		}
	}
	*ret_depth = deepest;
	return keys;
}

static size_t count_keys(json_t *v)
{
	size_t n = 0, i;
	const char *key;
	json_t *child;

	if (json_is_object(v)) {
		n = json_object_size(v);
		json_object_foreach (v, key, child)
			n += count_keys(child);
	} else if (json_is_array(v)) {
		json_array_foreach (v, i, child)
			n += count_keys(child);
	}
	return n;
}

/* --- the second walk, over text known to be valid ----------------------------------------------------------------- */

struct scanner {
	const char *p, *end;
	struct api_errs *dups;
};

static void skip_space(struct scanner *s)
{
	while (s->p < s->end && memchr(" \t\r\n", *s->p, 4))
		s->p++;
}

static void skip_string(struct scanner *s)
{
	for (s->p++; s->p < s->end && *s->p != '"'; s->p++)
		if (*s->p == '\\')
			s->p++;
	s->p++;
}

/* The key at the cursor, unescaped by jansson; NULL: out of memory. */
static json_t *take_key(struct scanner *s)
{
	const char *start = s->p;

	skip_string(s);
	return json_loadb(start, (size_t)(s->p - start), JSON_DECODE_ANY, NULL);
}

static void walk(struct scanner *s, const struct api_path *path);

static void walk_object(struct scanner *s, const struct api_path *path)
{
	cleanup(strmap_free) struct strmap *seen = strmap_new();

	s->p++;
	for (skip_space(s); s->p < s->end && *s->p != '}'; skip_space(s)) {
		json_t *key = take_key(s);
		struct api_path at = { .up = path, .name = json_string_value(key) };

		if (!key || !seen) {
			json_decref(key);
			s->p = s->end;
			return;
		}
		if (strmap_has(seen, at.name)) {
			char field[API_PATH_MAX];

			api_path_err(s->dups, &at, API_C_DUPLICATE_FIELD, "duplicate field \"%s\"",
				     api_path_str(&at, field, sizeof(field)));
		} else if (strmap_set(seen, at.name, s, NULL) < 0) {
			s->p = s->end;
		}
		skip_space(s);
		s->p++; /* : */
		walk(s, &at);
		json_decref(key);
		skip_space(s);
		if (s->p < s->end && *s->p == ',')
			s->p++;
	}
	s->p++;
}

static void walk(struct scanner *s, const struct api_path *path)
{
	skip_space(s);
	if (s->p >= s->end)
		return;
	if (*s->p == '{') {
		walk_object(s, path);
	} else if (*s->p == '[') {
		struct api_path at = { .up = path };

		s->p++;
		for (skip_space(s); s->p < s->end && *s->p != ']'; skip_space(s)) {
			walk(s, &at);
			at.index++;
			skip_space(s);
			if (s->p < s->end && *s->p == ',')
				s->p++;
		}
		s->p++;
	} else if (*s->p == '"') {
		skip_string(s);
	} else {
		while (s->p < s->end && !memchr(",]} \t\r\n", *s->p, 7))
			s->p++;
	}
}

int api_json_parse(const void *data, size_t len, json_t **ret, struct api_errs *dups, struct err *err)
{
	json_error_t jerr;
	size_t depth, keys;
	json_t *v;

	keys = scan_text(data, (const char *)data + len, &depth);
	if (depth > API_MAX_DEPTH)
		return err_set(err, EINVAL, "JSON is nested deeper than %d levels", API_MAX_DEPTH);
	v = json_loadb(data, len, JSON_DECODE_ANY, &jerr);
	if (!v && json_error_code(&jerr) == json_error_out_of_memory)
		return err_set(err, ENOMEM, "out of memory");
	if (!v)
		return err_set(err, EINVAL, "JSON, line %d, column %d: %s", jerr.line, jerr.column, jerr.text);
	if (dups && count_keys(v) != keys) {
		struct scanner s = { .p = data, .end = (const char *)data + len, .dups = dups };

		walk(&s, NULL);
	}
	*ret = v;
	return 0;
}
