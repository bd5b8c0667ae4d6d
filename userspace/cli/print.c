/* SPDX-License-Identifier: Apache-2.0 */
/* Tables on a terminal: see cli.h. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "cli.h"

enum { GAP = 3 };

/* Width in characters: continuation bytes of UTF-8 do not count. */
static size_t width(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += (*s & 0xc0) != 0x80;
	return n;
}

void cli_print_table(FILE *out, size_t cols, size_t rows, const char *const *cells)
{
	size_t *w = calloc(cols, sizeof(*w));

	if (!w)
		return;
	for (size_t i = 0; i < rows * cols; i++)
		if (cells[i] && width(cells[i]) > w[i % cols])
			w[i % cols] = width(cells[i]);
	for (size_t r = 0; r < rows; r++) {
		for (size_t c = 0; c < cols; c++) {
			const char *s = cells[r * cols + c] ? cells[r * cols + c] : "";

			fputs(s, out);
			if (c + 1 < cols)
				fprintf(out, "%*s", (int)(w[c] - width(s)) + GAP, "");
		}
		fputc('\n', out);
	}
	free(w);
}

static char *cell_text(const json_t *v)
{
	char *s = NULL;

	switch (v ? json_typeof(v) : JSON_NULL) {
	case JSON_STRING:
		return strdup(json_string_value(v));
	case JSON_NULL:
		return strdup("<none>");
	default:
		s = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
		return s;
	}
}

void cli_print_server_table(FILE *out, const json_t *table, bool wide, bool headers, bool namespaces,
			    const char *prefix)
{
	const json_t *defs = json_object_get(table, "columnDefinitions"), *rows = json_object_get(table, "rows"), *row,
		     *def;
	size_t all = json_array_size(defs), shown = 0, i, c, at = 0, n_rows = json_array_size(rows) + (headers ? 1 : 0);
	char **cells;

	json_array_foreach (defs, i, def)
		shown += wide || !json_integer_value(json_object_get(def, "priority"));
	if (!shown)
		return;
	shown += namespaces;
	cells = calloc(n_rows * shown + 1, sizeof(*cells));
	if (!cells)
		return;
	if (headers) {
		if (namespaces)
			cells[at++] = strdup("NAMESPACE");
		json_array_foreach (defs, i, def) {
			if (!wide && json_integer_value(json_object_get(def, "priority")))
				continue;
			cells[at] = strdup(json_string_value(json_object_get(def, "name")) ?: "");
			for (char *p = cells[at]; p && *p; p++)
				if (*p >= 'a' && *p <= 'z')
					*p -= 32;
			at++;
		}
	}
	json_array_foreach (rows, i, row) {
		const json_t *values = json_object_get(row, "cells");

		if (namespaces)
			cells[at++] = strdup(api_get_str(row, "object.metadata.namespace") ?: "");
		for (c = 0; c < all; c++) {
			if (!wide && json_integer_value(json_object_get(json_array_get(defs, c), "priority")))
				continue;
			cells[at] = cell_text(json_array_get(values, c));
			if (!c && prefix && cells[at]) {
				char *with = NULL;

				if (asprintf(&with, "%s%s", prefix, cells[at]) >= 0) {
					free(cells[at]);
					cells[at] = with;
				}
			}
			at++;
		}
	}
	cli_print_table(out, shown, n_rows, (const char *const *)cells);
	for (i = 0; i < n_rows * shown; i++)
		free(cells[i]);
	free(cells);
}
