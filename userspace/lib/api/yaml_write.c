/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON trees as YAML, as kubectl prints it: block style, keys sorted, lists not indented under their key, texts of
 * several lines as literal blocks, and quotes only where the reader would otherwise see something else.
 */
#include "api-internal.h"
#include "yaml.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/cleanup.h"

static void indent(struct strbuf *out, int n)
{
	for (int i = 0; i < n; i++)
		strbuf_adds(out, "  ");
}

/*
 * Bytes of the character at s that YAML takes for a line's end or does not allow as itself, and its number: DEL, C1
 * controls (U+0085 among them), U+2028, U+2029, U+FEFF, U+FFFE, U+FFFF. 0: another character.
 */
static size_t special(const char *s, unsigned *ret)
{
	const unsigned char *u = (const unsigned char *)s;

	if (u[0] == 0x7f) {
		*ret = u[0];
		return 1;
	}
	if (u[0] == 0xc2 && u[1] >= 0x80 && u[1] < 0xa0) {
		*ret = u[1];
		return 2;
	}
	if ((u[0] == 0xe2 && u[1] == 0x80 && (u[2] & 0xfe) == 0xa8) ||
	    (u[0] == 0xef && ((u[1] == 0xbb && u[2] == 0xbf) || (u[1] == 0xbf && u[2] >= 0xbe)))) {
		*ret = (u[0] & 15u) << 12 | (u[1] & 63u) << 6 | (u[2] & 63u);
		return 3;
	}
	return 0;
}

static bool has_special(const char *s, size_t len)
{
	unsigned c;

	for (size_t i = 0; i < len; i++)
		if (special(s + i, &c))
			return true;
	return false;
}

static void write_quoted(const char *s, size_t len, struct strbuf *out)
{
	json_t *v = json_stringn(s, len);
	char *text = json_dumps(v, JSON_ENCODE_ANY);
	unsigned c;

	if (!text)
		out->oom = true;
	for (const char *p = text; p && *p;) {
		size_t n = special(p, &c);

		if (n)
			strbuf_addf(out, "\\u%04x", c);
		else
			strbuf_addc(out, *p);
		p += n ? n : 1;
	}
	free(text);
	json_decref(v);
}

/* Whether s unquoted reads back as the string s. */
static bool is_plain(const char *s, size_t len)
{
	bool bad, is_string;
	json_t *v;

	if (!len || strchr("-?:,[]{}#&*!|>'\"%@`~ =<", s[0]) || s[len - 1] == ' ' || s[len - 1] == ':') {
		/* "-x", "?x" and ":x" are fine, as "-1" would not be. */
		if (!len || !strchr("-?:", s[0]) || len < 2 || s[1] == ' ' || s[len - 1] == ' ' || s[len - 1] == ':' ||
		    (s[0] == '-' && s[1] == '-'))
			return false;
	}
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)s[i] < ' ' || s[i] == 0x7f)
			return false;
		if ((s[i] == ':' && s[i + 1] == ' ') || (s[i] == ' ' && s[i + 1] == '#'))
			return false;
	}
	if (has_special(s, len))
		return false;
	/* Document markers, and single letters YAML 1.1 takes for booleans elsewhere. */
	if (!strncmp(s, "...", 3) || (len == 1 && strchr("yYnN", s[0])))
		return false;
	/* Digits that look like a date are strings to us but not to every reader. */
	if (len >= 8 && isdigit((unsigned char)s[0]) && isdigit((unsigned char)s[3]) && s[4] == '-')
		return false;
	v = api_yaml_plain(s, len, &bad);
	is_string = json_is_string(v);
	json_decref(v);
	return is_string;
}

static bool is_literal(const char *s, size_t len)
{
	if (!memchr(s, '\n', len))
		return false;
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)s[i] < ' ' && s[i] != '\n' && s[i] != '\t')
			return false;
		/* Blanks at a line's end or a tab at its start do not survive every editor: quote. */
		if (s[i] == '\n' && i && (s[i - 1] == ' ' || s[i - 1] == '\t'))
			return false;
	}
	return !has_special(s, len) && s[0] != '\t' && s[0] != '\n' && s[len - 1] != ' ' && s[len - 1] != '\t';
}

static void write_literal(const char *s, size_t len, int depth, struct strbuf *out)
{
	size_t newlines = 0;

	while (newlines < len && s[len - 1 - newlines] == '\n')
		newlines++;
	strbuf_adds(out, s[0] == ' ' ? "|2" : "|");
	strbuf_adds(out, newlines == 0 ? "-" : newlines > 1 ? "+" : "");
	strbuf_addc(out, '\n');
	while (len) {
		const char *end = memchr(s, '\n', len);
		size_t n = end ? (size_t)(end - s) : len;

		if (n)
			indent(out, depth);
		strbuf_add(out, s, n);
		strbuf_addc(out, '\n');
		n += end != NULL;
		s += n;
		len -= n;
	}
}

/* Ends its line. */
static void write_string(const char *s, size_t len, int depth, struct strbuf *out)
{
	bool printable = !has_special(s, len);

	if (depth && is_literal(s, len)) { /* a block scalar needs an indent */
		write_literal(s, len, depth, out);
		return;
	}
	for (size_t i = 0; i < len; i++)
		printable &= (unsigned char)s[i] >= ' ' && s[i] != 0x7f;
	if (is_plain(s, len)) {
		strbuf_add(out, s, len);
	} else if (printable && !memchr(s, '\'', len) && (len < 2 || s[0] != '"')) {
		/*
		 * As go-yaml does: single quotes for what has no need of escapes, unless it is a word that would be a
		 * value.
		 */
		bool bad;
		json_t *v = api_yaml_plain(s, len, &bad);

		if (json_is_string(v) && len)
			strbuf_addf(out, "'%s'", s);
		else
			write_quoted(s, len, out);
		json_decref(v);
	} else {
		write_quoted(s, len, out);
	}
	strbuf_addc(out, '\n');
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void write_value(const json_t *v, int depth, bool after_dash, struct strbuf *out);

static void write_key(const char *key, struct strbuf *out)
{
	if (is_plain(key, strlen(key)))
		strbuf_adds(out, key);
	else
		write_quoted(key, strlen(key), out);
	strbuf_addc(out, ':');
}

static void write_object(const json_t *obj, int depth, bool after_dash, struct strbuf *out)
{
	size_t n = json_object_size(obj), i = 0;
	cleanup(free) const char **names = calloc(n, sizeof(*names));
	const char *key;
	json_t *v;

	if (!names) {
		out->oom = true;
		return;
	}
	json_object_foreach ((json_t *)obj, key, v)
		names[i++] = key;
	qsort(names, n, sizeof(*names), compare_names);
	for (i = 0; i < n; i++) {
		v = json_object_get(obj, names[i]);
		if (i || !after_dash)
			indent(out, depth);
		write_key(names[i], out);
		if (json_is_array(v) && json_array_size(v)) {
			strbuf_addc(out, '\n');
			write_value(v, depth, false, out);
		} else if (json_is_object(v) && json_object_size(v)) {
			strbuf_addc(out, '\n');
			write_value(v, depth + 1, false, out);
		} else {
			strbuf_addc(out, ' ');
			write_value(v, depth + 1, false, out);
		}
	}
}

static void write_value(const json_t *v, int depth, bool after_dash, struct strbuf *out)
{
	const json_t *item;
	char *text;
	size_t i;

	if (json_is_object(v) && json_object_size(v)) {
		write_object(v, depth, after_dash, out);
	} else if (json_is_array(v) && json_array_size(v)) {
		json_array_foreach (v, i, item) {
			if (i || !after_dash)
				indent(out, depth);
			strbuf_adds(out, "- ");
			write_value(item, depth + 1, true, out);
		}
	} else if (json_is_string(v)) {
		write_string(json_string_value(v), json_string_length(v), depth, out);
	} else {
		text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(15));
		/* As few digits as read back the same. */
		for (size_t digits = 16;
		     text && json_is_real(v) && digits <= 17 && strtod(text, NULL) != json_real_value(v); digits++) {
			free(text);
			text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(digits));
		}
		if (!text)
			out->oom = true;
		strbuf_adds(out, text ? text : "null");
		strbuf_addc(out, '\n');
		free(text);
	}
}

void api_yaml_write(const json_t *value, struct strbuf *out)
{
	write_value(value, 0, false, out);
}
