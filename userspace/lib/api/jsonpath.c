/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of JSONPath that printer columns use: members (.a, ['a.b']), elements ([0], [-1], [*]) and filters by one
 * comparison ([?(@.type=="Ready")]). Only the first match is wanted.
 */
#include <stdlib.h>
#include <string.h>

#include "../base/str.h"
#include "api-internal.h"

#define MAX_NAME  256
#define MAX_DEPTH 64

enum step_kind { MEMBER, ELEMENT, EACH, FILTER };

struct step {
	enum step_kind kind;
	char name[MAX_NAME]; /* MEMBER; FILTER: path within the element */
	long index;
	bool equal; /* FILTER: == or != */
	char value[MAX_NAME];
	bool quoted;
};

static bool put(char *buf, const char *s, size_t len)
{
	if (len >= MAX_NAME)
		return false;
	memcpy(buf, s, len);
	buf[len] = '\0';
	return true;
}

/* A quoted string at p, into buf; its end behind the closing quote, NULL if there is none. */
static const char *quoted(const char *p, char *buf)
{
	char quote = *p;
	size_t n = 0;

	for (p++; *p && *p != quote; p++) {
		if (*p == '\\' && p[1])
			p++;
		if (n >= MAX_NAME - 1)
			return NULL;
		buf[n++] = *p;
	}
	buf[n] = '\0';
	return *p ? p + 1 : NULL;
}

static const char *spaces(const char *p)
{
	return p + strspn(p, " ");
}

/* "?(@.a.b == 'x')]" */
static const char *filter(const char *p, struct step *s)
{
	const char *start;

	s->kind = FILTER;
	p = spaces(p + 1);
	if (*p != '(')
		return NULL;
	p = spaces(p + 1);
	if (*p != '@')
		return NULL;
	start = ++p;
	p += strcspn(p, " =!<>)]");
	if (!put(s->name, start, (size_t)(p - start)))
		return NULL;
	p = spaces(p);
	if ((*p != '=' && *p != '!') || p[1] != '=')
		return NULL;
	s->equal = *p == '=';
	p = spaces(p + 2);
	s->quoted = *p == '"' || *p == '\'';
	if (s->quoted) {
		p = quoted(p, s->value);
	} else {
		start = p;
		p += strcspn(p, " )");
		if (!put(s->value, start, (size_t)(p - start)))
			return NULL;
	}
	if (!p)
		return NULL;
	p = spaces(p);
	return *p == ')' && p[1] == ']' ? p + 2 : NULL;
}

/* The step at p; behind it, NULL if there is none we know. */
static const char *next(const char *p, struct step *s)
{
	char *end;

	if (*p == '.') {
		size_t n = 0;

		if (p[1] == '[')
			p++;
		else {
			s->kind = MEMBER;
			for (p++; *p && *p != '.' && *p != '['; p++) {
				if (*p == '\\' && p[1])
					p++;
				if (n >= MAX_NAME - 1)
					return NULL;
				s->name[n++] = *p;
			}
			s->name[n] = '\0';
			if (streq(s->name, "*"))
				s->kind = EACH;
			return n ? p : NULL;
		}
	}
	if (*p != '[')
		return NULL;
	p++;
	if (*p == '?')
		return filter(p, s);
	if (*p == '\'' || *p == '"') {
		s->kind = MEMBER;
		p = quoted(p, s->name);
		return p && *p == ']' ? p + 1 : NULL;
	}
	if (p[0] == '*' && p[1] == ']') {
		s->kind = EACH;
		return p + 2;
	}
	s->kind = ELEMENT;
	s->index = strtol(p, &end, 10);
	return end > p && *end == ']' ? end + 1 : NULL;
}

bool api_jsonpath_ok(const char *path)
{
	struct step s;

	if (*path == '$')
		path++;
	if (!*path)
		return false;
	for (int n = 0; path && *path; n++) {
		if (n == MAX_DEPTH)
			return false;
		path = next(path, &s);
	}
	return path != NULL;
}

static bool passes(const json_t *item, const struct step *s)
{
	const json_t *v = *s->name ? api_jsonpath_first(item, s->name) : item;
	char *dump;
	bool same;

	if (json_is_string(v))
		return (s->quoted && streq(json_string_value(v), s->value)) == s->equal;
	dump = v && !s->quoted ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
	same = dump && streq(dump, s->value);
	free(dump);
	return v && same == s->equal;
}

static const json_t *find(const json_t *at, const char *path)
{
	struct step s;
	const json_t *v, *found;
	const char *key;
	size_t i;

	if (!*path)
		return at;
	path = next(path, &s);
	if (!path)
		return NULL;
	switch (s.kind) {
	case MEMBER:
		v = json_object_get(at, s.name);
		return v ? find(v, path) : NULL;
	case ELEMENT:
		if (s.index < 0)
			s.index += (long)json_array_size(at);
		v = s.index < 0 ? NULL : json_array_get(at, (size_t)s.index);
		return v ? find(v, path) : NULL;
	case EACH:
	case FILTER:
		json_array_foreach (at, i, v)
			if ((s.kind == EACH || passes(v, &s)) && (found = find(v, path)))
				return found;
		json_object_foreach ((json_t *)at, key, v)
			if ((s.kind == EACH || passes(v, &s)) && (found = find(v, path)))
				return found;
		break;
	}
	return NULL;
}

const json_t *api_jsonpath_first(const json_t *obj, const char *path)
{
	return find(obj, path + (*path == '$'));
}
