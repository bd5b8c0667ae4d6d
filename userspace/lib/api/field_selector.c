/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Field selectors: "field=value", "field==value", "field!=value", joined by commas; backslash escapes '\', ',' and
 * '='. A missing field compares as the empty string, numbers and booleans as their text.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"

enum { MAX_TERMS = 64 };

struct term {
	char *field, *value;
	bool equal;
};

struct api_field_selector {
	size_t n;
	struct term *terms;
};

void api_field_selector_free(struct api_field_selector *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++) {
		free(s->terms[i].field);
		free(s->terms[i].value);
	}
	free(s->terms);
	free(s);
}

static bool selectable(const struct api_kind *kind, const char *field)
{
	if (!strcmp(field, "metadata.name") || (kind->namespaced && !strcmp(field, "metadata.namespace")))
		return true;
	for (const char *const *f = kind->selectable; f && *f; f++)
		if (!strcmp(*f, field))
			return true;
	return false;
}

/* One term up to an unescaped comma; *at moves behind it. */
static int parse_term(const struct api_kind *kind, const char **at, struct term *t, struct err *err)
{
	const char *start = *at, *p = start;
	char *out;

	while (*p && *p != ',' && *p != '=' && !(p[0] == '!' && p[1] == '='))
		p++;
	if (*p != '=' && *p != '!')
		return err_set(err, EINVAL, "invalid selector: '%s'; can't understand '%.*s'", start,
			       (int)strcspn(start, ","), start);
	t->equal = *p == '=';
	t->field = strndup(start, (size_t)(p - start));
	p += *p == '!' || p[1] == '=' ? 2 : 1;
	t->value = out = malloc(strlen(p) + 1);
	if (!t->field || !out)
		return err_set(err, ENOMEM, "out of memory");
	for (; *p && *p != ','; p++) {
		if (*p == '\\') {
			if (p[1] != '\\' && p[1] != ',' && p[1] != '=') {
				*out = '\0';
				return err_set(err, EINVAL, "invalid field selector: invalid escape sequence: %.2s", p);
			}
			p++;
		} else if (*p == '=') {
			*out = '\0';
			return err_set(err, EINVAL, "invalid field selector: unescaped character in value: =");
		}
		*out++ = *p;
	}
	*out = '\0';
	*at = p + (*p == ',');
	if (!selectable(kind, t->field))
		return err_set(err, EINVAL, "field label not supported: %s", t->field);
	return 0;
}

int api_field_selector_parse(const struct api_kind *kind, const char *text, struct api_field_selector **ret,
			     struct err *err)
{
	struct api_field_selector *s = calloc(1, sizeof(*s));
	int r = 0;

	if (!s || !(s->terms = calloc(MAX_TERMS, sizeof(*s->terms)))) {
		free(s);
		return err_set(err, ENOMEM, "out of memory");
	}
	while (!r && *text) {
		if (s->n == MAX_TERMS) {
			r = err_set(err, EINVAL, "more than %d terms in a field selector", MAX_TERMS);
			break;
		}
		r = parse_term(kind, &text, &s->terms[s->n++], err);
	}
	if (r < 0) {
		api_field_selector_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

/* What Kubernetes' typed objects have where ours have nothing. */
static const char *absent_text(const char *field)
{
	if (!strcmp(field, "spec.unschedulable") || !strcmp(field, "spec.hostNetwork"))
		return "false";
	if (!strcmp(field, "status.replicas") || !strcmp(field, "status.successful"))
		return "0";
	return "";
}

static const char *field_text(const json_t *obj, const char *field, char *buf, size_t size)
{
	const json_t *v = api_get(obj, field);

	if (json_is_string(v))
		return json_string_value(v);
	if (json_is_integer(v))
		snprintf(buf, size, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
	else if (json_is_boolean(v))
		snprintf(buf, size, "%s", json_is_true(v) ? "true" : "false");
	else
		snprintf(buf, size, "%s", absent_text(field));
	return buf;
}

bool api_field_selector_matches(const struct api_field_selector *s, const json_t *obj)
{
	char buf[64];

	for (size_t i = 0; i < s->n; i++) {
		const struct term *t = &s->terms[i];

		if (!strcmp(field_text(obj, t->field, buf, sizeof(buf)), t->value) != t->equal)
			return false;
	}
	return true;
}

const char *api_field_selector_exact(const struct api_field_selector *s, const char *field)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->terms[i].equal && !strcmp(s->terms[i].field, field))
			return s->terms[i].value;
	return NULL;
}
