/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of fields: order, and the operations on them, all of which walk two sorted lists side by side. */
#include "field_set.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* How two JSON texts compare; i is where they begin to differ. Digits outside strings count as numbers. */
static int cmp_at(const char *a, size_t len_a, const char *b, size_t len_b, size_t i)
{
	size_t start = i, end_a = i, end_b = i;
	bool in_string = false;

	for (size_t k = 0; k < i; k++) {
		if (in_string && a[k] == '\\')
			k++;
		else if (a[k] == '"')
			in_string = !in_string;
	}
	while (start > 0 && isdigit((unsigned char)a[start - 1]))
		start--;
	while (end_a < len_a && isdigit((unsigned char)a[end_a]))
		end_a++;
	while (end_b < len_b && isdigit((unsigned char)b[end_b]))
		end_b++;
	if (!in_string && end_a > start && end_b > start && end_a != end_b)
		return end_a < end_b ? -1 : 1;
	if (i == len_a || i == len_b)
		return len_a < len_b ? -1 : len_a > len_b;
	return (unsigned char)a[i] < (unsigned char)b[i] ? -1 : 1;
}

static int kind_rank(char kind)
{
	return kind == FSET_FIELD ? 0 : kind == FSET_KEYS ? 1 : kind == FSET_VALUE ? 2 : 3;
}

int fset_step_cmp(char kind_a, const char *a, size_t len_a, char kind_b, const char *b, size_t len_b)
{
	size_t min = len_a < len_b ? len_a : len_b, i = 0;
	int r;

	if (kind_a != kind_b)
		return kind_rank(kind_a) - kind_rank(kind_b);
	if (kind_a == FSET_FIELD) {
		r = memcmp(a, b, min);
		return r ? r : (len_a > len_b) - (len_a < len_b);
	}
	while (i < min && a[i] == b[i])
		i++;
	return i == len_a && i == len_b ? 0 : cmp_at(a, len_a, b, len_b, i);
}

static int step_cmp(const struct fset *a, const struct fset *b)
{
	return fset_step_cmp(a->kind, a->text, a->len, b->kind, b->text, b->len);
}

const struct fset *fset_find(const struct fset *set, char kind, const char *text, size_t len)
{
	for (; set; set = set->next)
		if (set->kind == kind && set->len == len && memcmp(set->text, text, len) == 0)
			return set;
	return NULL;
}

struct fset *fset_step(struct fset_mem *mem, char kind, const char *text, size_t len, bool member,
		       const struct fset *sub)
{
	struct fset *s;

	if (!member && !sub)
		return NULL;
	s = arena_alloc(&mem->arena, sizeof(*s));
	if (!s) {
		mem->oom = true;
		return NULL;
	}
	s->kind = kind;
	s->text = text;
	s->len = (uint32_t)len;
	s->member = member;
	s->sub = sub;
	return s;
}

static int step_order(const void *a, const void *b)
{
	return step_cmp(*(struct fset *const *)a, *(struct fset *const *)b);
}

const struct fset *fset_link(struct fset_mem *mem, struct fset **steps, size_t n)
{
	struct fset *last = NULL, *first = NULL;
	bool sorted = true;

	for (size_t i = 1; i < n && sorted; i++)
		sorted = step_cmp(steps[i - 1], steps[i]) < 0;
	if (!sorted)
		qsort(steps, n, sizeof(struct fset *), step_order);
	for (size_t i = 0; i < n; i++) {
		if (last && step_cmp(last, steps[i]) == 0) {
			last->member = last->member || steps[i]->member;
			last->sub = fset_union(mem, last->sub, steps[i]->sub);
			continue;
		}
		if (last)
			last->next = steps[i];
		else
			first = steps[i];
		last = steps[i];
		last->next = NULL;
	}
	return first;
}

/* --- operations --------------------------------------------------------------------------------------------------- */

/* A list under construction, in order. */
struct builder {
	struct fset_mem *mem;
	const struct fset *first;
	struct fset *last;
};

static void put(struct builder *b, const struct fset *like, bool member, const struct fset *sub)
{
	struct fset *s = fset_step(b->mem, like->kind, like->text, like->len, member, sub);

	if (!s)
		return;
	if (b->last)
		b->last->next = s;
	else
		b->first = s;
	b->last = s;
}

/* What is left of a list, taken over as it is. */
static void put_rest(struct builder *b, const struct fset *rest)
{
	if (b->last)
		b->last->next = rest;
	else
		b->first = rest;
}

const struct fset *fset_union(struct fset_mem *mem, const struct fset *a, const struct fset *b)
{
	struct builder out = { .mem = mem };

	if (a == b)
		return a;
	while (a && b) {
		int cmp = step_cmp(a, b);

		if (cmp < 0) {
			put(&out, a, a->member, a->sub);
			a = a->next;
		} else if (cmp > 0) {
			put(&out, b, b->member, b->sub);
			b = b->next;
		} else {
			put(&out, a, a->member || b->member, fset_union(mem, a->sub, b->sub));
			a = a->next;
			b = b->next;
		}
	}
	put_rest(&out, a ? a : b);
	return out.first;
}

static const struct fset *subtract(struct fset_mem *mem, const struct fset *a, const struct fset *b, bool deep)
{
	struct builder out = { .mem = mem };

	while (a && b) {
		int cmp = step_cmp(a, b);

		if (cmp > 0) {
			b = b->next;
			continue;
		}
		if (cmp < 0) {
			put(&out, a, a->member, a->sub);
		} else if (!deep || !b->member) {
			put(&out, a, a->member && !b->member, subtract(mem, a->sub, b->sub, deep));
			b = b->next;
		}
		a = a->next;
	}
	put_rest(&out, a);
	return out.first;
}

const struct fset *fset_difference(struct fset_mem *mem, const struct fset *a, const struct fset *b)
{
	return subtract(mem, a, b, false);
}

const struct fset *fset_without(struct fset_mem *mem, const struct fset *a, const struct fset *b)
{
	return subtract(mem, a, b, true);
}

const struct fset *fset_intersection(struct fset_mem *mem, const struct fset *a, const struct fset *b)
{
	struct builder out = { .mem = mem };

	while (a && b) {
		int cmp = step_cmp(a, b);

		if (cmp == 0)
			put(&out, a, a->member && b->member, fset_intersection(mem, a->sub, b->sub));
		if (cmp <= 0)
			a = a->next;
		if (cmp >= 0)
			b = b->next;
	}
	return out.first;
}

const struct fset *fset_copy(struct fset_mem *mem, const struct fset *set)
{
	struct builder out = { .mem = mem };

	for (; set; set = set->next) {
		struct fset like = *set;

		like.text = arena_strndup(&mem->arena, set->text, set->len);
		if (!like.text) {
			mem->oom = true;
			return NULL;
		}
		put(&out, &like, set->member, fset_copy(mem, set->sub));
	}
	return out.first;
}

bool fset_meets(const struct fset *a, const struct fset *b)
{
	while (a && b) {
		int cmp = step_cmp(a, b);

		if (cmp == 0 && ((a->member && b->member) || fset_meets(a->sub, b->sub)))
			return true;
		if (cmp <= 0)
			a = a->next;
		if (cmp >= 0)
			b = b->next;
	}
	return false;
}

bool fset_equal(const struct fset *a, const struct fset *b)
{
	for (; a && b && a != b; a = a->next, b = b->next)
		if (a->member != b->member || step_cmp(a, b) != 0 || !fset_equal(a->sub, b->sub))
			return false;
	return a == b;
}

/* --- paths -------------------------------------------------------------------------------------------------------- */

void fset_step_path(const struct fset *step, struct strbuf *out)
{
	json_t *keys, *value;
	const char *name;
	bool first = true;

	switch ((enum fset_kind)step->kind) {
	case FSET_FIELD:
		strbuf_addc(out, '.');
		strbuf_add(out, step->text, step->len);
		break;
	case FSET_VALUE:
		strbuf_adds(out, "[=");
		strbuf_add(out, step->text, step->len);
		strbuf_addc(out, ']');
		break;
	case FSET_INDEX:
		strbuf_addc(out, '[');
		strbuf_add(out, step->text, step->len);
		strbuf_addc(out, ']');
		break;
	case FSET_KEYS:
		keys = json_loadb(step->text, step->len, 0, NULL);
		strbuf_addc(out, '[');
		json_object_foreach (keys, name, value) {
			char *text = json_dumps(value, JSON_ENCODE_ANY);

			strbuf_addf(out, "%s%s=%s", first ? "" : ",", name, text ? text : "");
			first = false;
			free(text);
		}
		strbuf_addc(out, ']');
		json_decref(keys);
		break;
	}
}

static void paths(const struct fset *set, struct strbuf *at, void (*fn)(void *arg, const char *path), void *arg)
{
	size_t len = at->len;

	for (int below = 0; below < 2; below++) {
		for (const struct fset *s = set; s; s = s->next) {
			if (below ? !s->sub : !s->member)
				continue;
			fset_step_path(s, at);
			if (strbuf_oom(at))
				return;
			if (below)
				paths(s->sub, at, fn, arg);
			else
				fn(arg, at->buf);
			if (strbuf_oom(at))
				return;
			at->len = len;
			if (at->cap)
				at->buf[len] = '\0';
		}
	}
}

void fset_paths(const struct fset *set, void (*fn)(void *arg, const char *path), void *arg)
{
	struct strbuf at = STRBUF_INIT;

	paths(set, &at, fn, arg);
	strbuf_done(&at);
}
