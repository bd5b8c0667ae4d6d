/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Label selectors: the text form of requests ("a=b,c in (d,e),!f"), the object form of specs ({matchLabels,
 * matchExpressions}), and matching. All requirements must hold; an absent label satisfies !=, notin and !key, as in
 * Kubernetes.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/str.h"
#include "api-internal.h"
#include "api/api_types.h"

enum op { OP_IN, OP_NOT_IN, OP_EXISTS, OP_ABSENT };

struct requirement {
	enum op op;
	char *key;
	char **values;
	size_t n_values;
};

struct api_selector {
	bool nothing; /* matches nothing at all */
	size_t n;
	struct requirement *reqs;
};

enum { MAX_REQUIREMENTS = 256, MAX_VALUES = 4096 };

const char *api_map_get(const struct api_map *m, const char *key)
{
	size_t lo = 0, hi = m->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = strcmp(m->v[mid].key, key);

		if (!c)
			return m->v[mid].value;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

void api_selector_free(struct api_selector *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++) {
		for (size_t k = 0; k < s->reqs[i].n_values; k++)
			free(s->reqs[i].values[k]);
		free(s->reqs[i].values);
		free(s->reqs[i].key);
	}
	free(s->reqs);
	free(s);
}

static struct requirement *add_req(struct api_selector *s, enum op op, const char *key, size_t len, struct err *err)
{
	struct requirement *reqs;

	if (s->n >= MAX_REQUIREMENTS) {
		err_set(err, EINVAL, "more than %d requirements", MAX_REQUIREMENTS);
		return NULL;
	}
	reqs = realloc(s->reqs, (s->n + 1) * sizeof(*reqs));
	if (!reqs) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	s->reqs = reqs;
	reqs[s->n] = (struct requirement){ .op = op, .key = strndup(key, len) };
	if (!reqs[s->n].key) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	return &reqs[s->n++];
}

static int add_value(struct requirement *r, const char *value, size_t len, struct err *err)
{
	char **values;

	if (r->n_values >= MAX_VALUES)
		return err_set(err, EINVAL, "more than %d values for '%s'", MAX_VALUES, r->key);
	values = realloc(r->values, (r->n_values + 1) * sizeof(*values));
	if (!values)
		return err_set(err, ENOMEM, "out of memory");
	r->values = values;
	values[r->n_values] = strndup(value, len);
	if (!values[r->n_values])
		return err_set(err, ENOMEM, "out of memory");
	r->n_values++;
	return 0;
}

/* --- text --------------------------------------------------------------------------------------------------------- */

struct parser {
	const char *text, *at;
	struct err *err;
};

static void spaces(struct parser *p)
{
	while (isspace((unsigned char)*p->at))
		p->at++;
}

static bool word_char(char c)
{
	return isalnum((unsigned char)c) || c == '-' || c == '_' || c == '.' || c == '/';
}

static size_t word(struct parser *p, const char **ret)
{
	spaces(p);
	*ret = p->at;
	while (word_char(*p->at))
		p->at++;
	return (size_t)(p->at - *ret);
}

static int syntax(const struct parser *p, const char *want)
{
	return err_set(p->err, EINVAL, "unable to parse requirement: found '%.16s' at position %d, expected: %s",
		       *p->at ? p->at : "", (int)(p->at - p->text), want);
}

static bool valid_key(const char *s, size_t len)
{
	const char *slash = memchr(s, '/', len);
	const char *name = slash ? slash + 1 : s;
	size_t n = len - (size_t)(name - s);

	if (!n || n > 63 || (slash && (slash == s || slash - s > 253)) || memchr(name, '/', n))
		return false;
	if (slash) {
		char prefix[254];

		snprintf(prefix, sizeof(prefix), "%.*s", (int)(slash - s), s);
		if (api_format_check("dns-subdomain", prefix))
			return false;
	}
	return isalnum((unsigned char)name[0]) && isalnum((unsigned char)name[n - 1]);
}

static bool valid_value(const char *s, size_t len)
{
	if (!len)
		return true;
	return len <= 63 && !memchr(s, '/', len) && isalnum((unsigned char)s[0]) && isalnum((unsigned char)s[len - 1]);
}

static int one_value(struct parser *p, struct requirement *r)
{
	const char *v;
	size_t n = word(p, &v);

	if (!valid_value(v, n))
		return err_set(p->err, EINVAL,
			       "values: Invalid value: \"%.*s\": a valid label must be an empty string or consist of "
			       "alphanumeric characters, '-', '_' or '.', at most 63, and must start and end with an "
			       "alphanumeric character",
			       (int)n, v);
	return add_value(r, v, n, p->err);
}

static int value_list(struct parser *p, struct requirement *r)
{
	int rc;

	spaces(p);
	if (*p->at != '(')
		return syntax(p, "'('");
	do {
		p->at++;
		rc = one_value(p, r);
		if (rc < 0)
			return rc;
		spaces(p);
	} while (*p->at == ',');
	if (*p->at != ')')
		return syntax(p, "',' or ')'");
	p->at++;
	return 0;
}

static int one_requirement(struct parser *p, struct api_selector *s)
{
	struct requirement *r;
	const char *key, *op;
	bool not = false;
	size_t n, m;

	spaces(p);
	if (*p->at == '!') {
		not = true;
		p->at++;
	}
	n = word(p, &key);
	if (!n)
		return syntax(p, "identifier");
	if (!valid_key(key, n))
		return err_set(
			p->err, EINVAL,
			"key: Invalid value: \"%.*s\": a label key is an optional DNS subdomain and '/', then at most "
			"63 alphanumeric characters, '-', '_' or '.', alphanumeric at both ends",
			(int)n, key);
	r = add_req(s, not ? OP_ABSENT : OP_EXISTS, key, n, p->err);
	if (!r)
		return -p->err->code;
	spaces(p);
	if (not || !*p->at || *p->at == ',')
		return 0;
	if (*p->at == '=' || (p->at[0] == '!' && p->at[1] == '=')) {
		r->op = *p->at == '=' ? OP_IN : OP_NOT_IN;
		p->at += p->at[0] == '!' || p->at[1] == '=' ? 2 : 1;
		return one_value(p, r);
	}
	m = word(p, &op);
	if (m == 2 && !strncmp(op, "in", 2)) {
		r->op = OP_IN;
	} else if (m == 5 && !strncmp(op, "notin", 5)) {
		r->op = OP_NOT_IN;
	} else {
		p->at = op;
		return syntax(p, "in, notin, =, ==, !=, or ','");
	}
	return value_list(p, r);
}

int api_selector_parse(const char *text, struct api_selector **ret, struct err *err)
{
	struct err local = ERR_INIT;
	struct parser p = { text, text, err ? err : &local };
	struct api_selector *s = calloc(1, sizeof(*s));
	int r = 0;

	if (!s)
		return err_set(err, ENOMEM, "out of memory");
	spaces(&p);
	while (!r && *p.at) {
		r = one_requirement(&p, s);
		spaces(&p);
		if (!r && *p.at == ',') {
			p.at++;
			spaces(&p);
			if (!*p.at)
				r = syntax(&p, "identifier after ','");
		} else if (!r && *p.at) {
			r = syntax(&p, "',' or end of string");
		}
	}
	if (r < 0) {
		api_selector_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

/* --- object ------------------------------------------------------------------------------------------------------- */

static int from_expression(struct api_selector *s, const json_t *e, struct err *err)
{
	static const char *const ops[] = { "In", "NotIn", "Exists", "DoesNotExist" };
	const char *key = api_get_str(e, "key"), *op = api_get_str(e, "operator");
	const json_t *v;
	struct requirement *r;
	size_t i, k;

	for (i = 0; op && i < 4 && strcmp(ops[i], op); i++)
		;
	if (!key || !op || i == 4)
		return err_set(err, EINVAL, "\"%s\" is not a valid label selector operator", op ? op : "");
	r = add_req(s, (enum op)i, key, strlen(key), err);
	if (!r)
		return -ENOMEM;
	json_array_foreach (json_object_get(e, "values"), k, v)
		if (!json_is_string(v) || add_value(r, json_string_value(v), json_string_length(v), err) < 0)
			return err && err->code ? -err->code : -EINVAL;
	if (i < 2 && !r->n_values)
		return err_set(err, EINVAL, "values: for operator '%s' at least one value is required", op);
	if (i >= 2 && r->n_values)
		return err_set(err, EINVAL, "values: for operator '%s' no values may be given", op);
	return 0;
}

int api_selector_from_json(const json_t *label_selector, struct api_selector **ret, struct err *err)
{
	struct api_selector *s = calloc(1, sizeof(*s));
	const json_t *value, *e;
	const char *key;
	int r = 0;
	size_t i;

	if (!s)
		return err_set(err, ENOMEM, "out of memory");
	s->nothing = !json_is_object(label_selector);
	json_object_foreach (json_object_get(label_selector, "matchLabels"), key, value) {
		struct requirement *q = r < 0 ? NULL : add_req(s, OP_IN, key, strlen(key), err);

		if (!q || add_value(q, json_string_value(value) ?: "", json_string_length(value), err) < 0)
			r = -ENOMEM;
	}
	json_array_foreach (json_object_get(label_selector, "matchExpressions"), i, e)
		if (!r)
			r = from_expression(s, e, err);
	if (r < 0) {
		api_selector_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

/* --- matching ----------------------------------------------------------------------------------------------------- */

static bool holds(const struct requirement *r, const char *value)
{
	bool found = false;

	if (r->op == OP_EXISTS)
		return value;
	if (r->op == OP_ABSENT)
		return !value;
	for (size_t i = 0; value && !found && i < r->n_values; i++)
		found = !strcmp(r->values[i], value);
	return r->op == OP_IN ? found : !found;
}

bool api_selector_matches(const struct api_selector *s, const struct api_map *labels)
{
	if (s->nothing)
		return false;
	for (size_t i = 0; i < s->n; i++)
		if (!holds(&s->reqs[i], labels ? api_map_get(labels, s->reqs[i].key) : NULL))
			return false;
	return true;
}

bool api_selector_matches_json(const struct api_selector *s, const json_t *labels)
{
	if (s->nothing)
		return false;
	for (size_t i = 0; i < s->n; i++)
		if (!holds(&s->reqs[i], json_string_value(json_object_get(labels, s->reqs[i].key))))
			return false;
	return true;
}

bool api_selector_empty(const struct api_selector *s)
{
	return !s->nothing && !s->n;
}

bool api_label_selector_matches(const struct api_label_selector *s, const struct api_map *labels)
{
	if (!s)
		return false;
	for (size_t i = 0; i < s->match_labels.n; i++)
		if (!streq(api_map_get(labels, s->match_labels.v[i].key), s->match_labels.v[i].value))
			return false;
	for (size_t i = 0; i < s->n_match_expressions; i++) {
		const struct api_label_selector_requirement *r = &s->match_expressions[i];
		const char *value = api_map_get(labels, r->key);
		bool in = false;

		if (streq(r->operator, "Exists") || streq(r->operator, "DoesNotExist")) {
			if (!value == streq(r->operator, "Exists"))
				return false;
			continue;
		}
		for (size_t k = 0; value && !in && k < r->n_values; k++)
			in = streq(r->values[k], value);
		if (in != streq(r->operator, "In"))
			return false;
	}
	return true;
}
