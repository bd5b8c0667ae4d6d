/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FieldsV1: sets of fields as JSON, {"f:spec":{"f:ports":{"k:{\"port\":80}":{".":{},"f:port":{}}}}}. Every write of an
 * object reads and writes such text, therefore there is a reader for what we have written ourselves that makes no
 * JSON tree.
 */
#include "field_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../base/cleanup.h"
#include "api-internal.h"

static void write_text(const struct fset *s, struct strbuf *out)
{
	size_t run = 0;

	strbuf_addc(out, '"');
	strbuf_addc(out, s->kind);
	strbuf_addc(out, ':');
	for (size_t i = 0; i < s->len; i++) {
		unsigned char ch = (unsigned char)s->text[i];

		if (ch != '"' && ch != '\\' && ch >= 0x20)
			continue;
		strbuf_add(out, s->text + run, i - run);
		if (ch >= 0x20) {
			strbuf_addc(out, '\\');
			strbuf_addc(out, (char)ch);
		} else {
			strbuf_addf(out, "\\u%04x", ch);
		}
		run = i + 1;
	}
	strbuf_add(out, s->text + run, s->len - run);
	strbuf_addc(out, '"');
}

/* self: the step above is a member besides having something below it. */
static void write_set(const struct fset *set, bool self, struct strbuf *out)
{
	strbuf_adds(out, self ? "{\".\":{}," : "{");
	for (const struct fset *s = set; s; s = s->next) {
		write_text(s, out);
		strbuf_addc(out, ':');
		if (s->sub)
			write_set(s->sub, s->member, out);
		else
			strbuf_add(out, "{}", 2);
		if (s->next)
			strbuf_addc(out, ',');
	}
	strbuf_addc(out, '}');
}

void fset_write(const struct fset *set, struct strbuf *out)
{
	write_set(set, false, out);
}

/* --- reading our own ---------------------------------------------------------------------------------------------- */

struct reader {
	struct fset_mem *mem;
	const char *p, *end;
	int depth;
};

static bool eat(struct reader *r, char c)
{
	if (r->p >= r->end || *r->p != c)
		return false;
	r->p++;
	return true;
}

/* A string at the cursor: borrowed from the text, or unescaped into the arena. */
static int read_string(struct reader *r, const char **ret, size_t *ret_len)
{
	const char *start, *q;
	char *buf;
	size_t n = 0;

	if (!eat(r, '"'))
		return -EINVAL;
	start = r->p;
	q = start;
	while (q < r->end && *q != '"' && *q != '\\')
		q++;
	if (q < r->end && *q == '"') {
		*ret = start;
		*ret_len = (size_t)(q - start);
		r->p = q + 1;
		return 0;
	}
	for (; q < r->end && *q != '"'; q++)
		if (*q == '\\')
			q++;
	if (q >= r->end)
		return -EINVAL;
	buf = arena_alloc(&r->mem->arena, (size_t)(q - start) + 1);
	if (!buf) {
		r->mem->oom = true;
		return -ENOMEM;
	}
	for (const char *s = start; s < q; s++) {
		if (*s != '\\') {
			buf[n++] = *s;
		} else if (s[1] == 'u') {
			char hex[5] = { 0 };

			if (q - s < 6)
				return -EINVAL;
			memcpy(hex, s + 2, 4);
			buf[n++] = (char)strtol(hex, NULL, 16); /* write_text escapes control characters only */
			s += 5;
		} else {
			buf[n++] = *++s;
		}
	}
	r->p = q + 1;
	*ret = buf;
	*ret_len = n;
	return 0;
}

static int read_set(struct reader *r, const struct fset **ret, bool *ret_self)
{
	const struct fset *first = NULL, *sub;
	struct fset *last = NULL, *s;
	const char *text;
	bool self;
	size_t len;
	int rc;

	*ret_self = false;
	if (!eat(r, '{') || ++r->depth > API_MAX_DEPTH)
		return -EINVAL;
	if (eat(r, '}')) {
		*ret = NULL;
		r->depth--;
		return 0;
	}
	do {
		rc = read_string(r, &text, &len);
		if (rc < 0)
			return rc;
		if (!eat(r, ':'))
			return -EINVAL;
		rc = read_set(r, &sub, &self);
		if (rc < 0)
			return rc;
		if (len == 1 && *text == '.') {
			*ret_self = true;
			continue;
		}
		if (len < 2 || text[1] != ':' || !strchr("fkvi", text[0]))
			return -EINVAL;
		s = fset_step(r->mem, text[0], text + 2, len - 2, self || !sub, sub);
		if (!s)
			return -ENOMEM;
		if (last && fset_step_cmp(last->kind, last->text, last->len, s->kind, s->text, s->len) >= 0)
			return -EINVAL;
		if (last)
			last->next = s;
		else
			first = s;
		last = s;
	} while (eat(r, ','));
	r->depth--;
	*ret = first;
	return eat(r, '}') ? 0 : -EINVAL;
}

int fset_read(struct fset_mem *mem, const char **p, const char *end, const struct fset **ret)
{
	struct reader r = { .mem = mem, .p = *p, .end = end };
	const struct fset *set = NULL;
	bool self;
	int rc;

	rc = read_set(&r, &set, &self);
	if (rc < 0)
		return rc;
	*p = r.p;
	*ret = set;
	return 0;
}

int fset_read_string(struct fset_mem *mem, const char **p, const char *end, const char **ret, size_t *ret_len)
{
	struct reader r = { .mem = mem, .p = *p, .end = end };
	int rc = read_string(&r, ret, ret_len);

	if (rc == 0)
		*p = r.p;
	return rc;
}

/* --- reading anybody's -------------------------------------------------------------------------------------------- */

const char *fset_json_text(struct fset_mem *mem, const json_t *value, size_t *ret_len)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS), *copy;

	copy = text ? arena_strdup(&mem->arena, text) : NULL;
	free(text);
	if (!copy)
		mem->oom = true;
	else
		*ret_len = strlen(copy);
	return copy;
}

/* The canonical text of a step, by its prefix. */
static int step_text(struct fset_mem *mem, const char *key, const char **ret, size_t *ret_len, struct err *err)
{
	const char *rest = key + 2;
	json_t *v;

	if (key[0] == FSET_FIELD || key[0] == FSET_INDEX) {
		if (key[0] == FSET_INDEX && (!*rest || strspn(rest, "0123456789") != strlen(rest)))
			return err_set(err, EINVAL, "'%.100s' is not an index", key);
		*ret = arena_strdup(&mem->arena, rest);
		*ret_len = strlen(rest);
	} else {
		if (api_json_parse(rest, strlen(rest), &v, NULL, NULL) < 0)
			return err_set(err, EINVAL, "'%.100s': not JSON", key);
		if (key[0] == FSET_KEYS && !json_is_object(v)) {
			json_decref(v);
			return err_set(err, EINVAL, "'%.100s': keys are an object", key);
		}
		*ret = fset_json_text(mem, v, ret_len);
		json_decref(v);
	}
	if (*ret)
		return 0;
	mem->oom = true;
	return err_set(err, ENOMEM, "out of memory");
}

static int from_json(struct fset_mem *mem, const json_t *fields, const struct fset **ret, bool *ret_self,
		     struct err *err)
{
	size_t n = 0, cap = json_object_size(fields);
	const struct fset *sub;
	struct fset **steps;
	const char *key, *text = NULL;
	json_t *v;
	bool self;
	size_t len = 0;
	int r;

	*ret = NULL;
	*ret_self = false;
	if (!json_is_object(fields))
		return err_set(err, EINVAL, "fieldsV1 is made of objects");
	if (!cap)
		return 0;
	steps = arena_calloc(&mem->arena, cap, sizeof(struct fset *));
	if (!steps) {
		mem->oom = true;
		return err_set(err, ENOMEM, "out of memory");
	}
	json_object_foreach ((json_t *)fields, key, v) {
		r = from_json(mem, v, &sub, &self, err);
		if (r < 0)
			return r;
		if (!strcmp(key, ".")) {
			*ret_self = true;
			continue;
		}
		if (strlen(key) < 2 || key[1] != ':' || !strchr("fkvi", key[0]))
			return err_set(err, EINVAL, "'%.100s' is not a field", key);
		r = step_text(mem, key, &text, &len, err);
		if (r < 0)
			return r;
		steps[n] = fset_step(mem, key[0], text, len, self || !sub, sub);
		if (!steps[n])
			return err_set(err, ENOMEM, "out of memory");
		n++;
	}
	*ret = fset_link(mem, steps, n);
	return 0;
}

int fset_from_json(struct fset_mem *mem, const json_t *fields, const struct fset **ret, struct err *err)
{
	bool self;

	return from_json(mem, fields, ret, &self, err);
}
