/* SPDX-License-Identifier: Apache-2.0 */
/* Documents to sets of fields: what a document sets, and what differs between two (see field_walk.h). */
#include "field_walk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../base/cleanup.h"
#include "api-internal.h"

static struct field_type elem_type(const struct api_field *f)
{
	struct field_type t = { .shape = FIELD_LEAF };

	if (f->type == API_NESTED && f->nested)
		return field_type_of(f->nested);
	if (f->type == API_RAW) {
		t.shape = FIELD_ANY;
	} else if (f->type == API_OBJECT && !f->object->atomic) {
		t.shape = FIELD_STRUCT;
		t.object = f->object;
	}
	return t;
}

struct field_type field_type_of(const struct api_field *f)
{
	struct field_type t = { .shape = FIELD_LEAF, .field = f };

	if (f->flags & API_ATOMIC)
		return t;
	switch ((enum api_field_shape)f->shape) {
	case API_ONE:
		return elem_type(f);
	case API_LIST:
		if (f->map_keys)
			t.shape = FIELD_LIST_MAP;
		else if (f->is_set)
			t.shape = FIELD_SET;
		break;
	case API_MAP:
		t.shape = FIELD_MAP;
		break;
	}
	return t;
}

struct field_type field_type_elem(struct field_type t)
{
	struct field_type any = { .shape = FIELD_ANY };

	return t.field ? elem_type(t.field) : any;
}

struct field_type field_type_member(struct field_type t, const char *name, bool *ret_known)
{
	struct field_type any = { .shape = FIELD_ANY };
	const struct api_field *f;

	*ret_known = false;
	if (t.shape == FIELD_MAP)
		return field_type_elem(t);
	f = t.shape == FIELD_STRUCT ? api_type_field(t.object, name) : NULL;
	if (!f)
		return any;
	*ret_known = true;
	return field_type_of(f);
}

/* Whether a value is walked into, and as what. */
enum walk { WALK_LEAF, WALK_OBJECT, WALK_LIST };

static enum walk walk_of(struct field_type t, const json_t *v)
{
	switch (t.shape) {
	case FIELD_STRUCT:
	case FIELD_MAP:
	case FIELD_ANY:
		return json_is_object(v) ? WALK_OBJECT : WALK_LEAF;
	case FIELD_LIST_MAP:
	case FIELD_SET:
		return json_is_array(v) ? WALK_LIST : WALK_LEAF;
	case FIELD_LEAF:
		break;
	}
	return WALK_LEAF;
}

/* --- elements of lists -------------------------------------------------------------------------------------------- */

static int key_order(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The value of a key: the element's, else the default of its field. A new reference, NULL if there is neither. */
static json_t *key_value(const struct api_field *list, const json_t *item, const char *name)
{
	json_t *v = json_object_get(item, name);
	const struct api_field *f;

	if (v && !json_is_null(v))
		return json_incref(v);
	f = list->type == API_OBJECT ? api_type_field(list->object, name) : NULL;
	return f && f->default_json ? json_loads(f->default_json, JSON_DECODE_ANY, NULL) : NULL;
}

static void add_value(struct strbuf *out, const json_t *v)
{
	if (json_is_string(v)) {
		strbuf_add_json(out, json_string_value(v));
	} else if (json_is_integer(v)) {
		strbuf_addf(out, "%lld", (long long)json_integer_value(v));
	} else {
		cleanup(free) char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);

		strbuf_adds(out, text ? text : "");
		out->oom = out->oom || !text;
	}
}

int field_item_step(struct fset_mem *mem, struct field_type list, const json_t *item, char *ret_kind,
		    const char **ret_text, size_t *ret_len, struct err *err)
{
	cleanup(strbuf_done) struct strbuf out = STRBUF_INIT;
	const char *keys[16];
	size_t n = 0;

	if (list.shape == FIELD_SET) {
		if (json_is_null(item) || json_is_object(item) || json_is_array(item))
			return err_set(err, EINVAL, "an element of a set must be a scalar");
		*ret_kind = FSET_VALUE;
		add_value(&out, item);
	} else {
		if (!json_is_object(item))
			return err_set(err, EINVAL, "associative list with keys may not have non-map elements");
		for (const char *const *k = list.field->map_keys; *k && n < sizeof(keys) / sizeof(keys[0]); k++)
			keys[n++] = *k;
		if (n > 1)
			qsort(keys, n, sizeof(keys[0]), key_order);
		*ret_kind = FSET_KEYS;
		strbuf_addc(&out, '{');
		for (size_t i = 0; i < n; i++) {
			json_t *v = key_value(list.field, item, keys[i]);

			if (!v)
				return err_set(err, EINVAL,
					       "associative list with keys has an element that omits key field \"%s\" "
					       "(and doesn't have default value)",
					       keys[i]);
			if (i)
				strbuf_addc(&out, ',');
			strbuf_add_json(&out, keys[i]);
			strbuf_addc(&out, ':');
			add_value(&out, v);
			json_decref(v);
		}
		strbuf_addc(&out, '}');
	}
	*ret_text = strbuf_oom(&out) ? NULL : arena_strndup(&mem->arena, out.buf, out.len);
	*ret_len = out.len;
	if (*ret_text)
		return 0;
	mem->oom = true;
	return err_set(err, ENOMEM, "out of memory");
}

static int item_order(const void *pa, const void *pb)
{
	const struct field_item *a = pa, *b = pb;
	int r = fset_step_cmp(a->kind, a->text, a->len, b->kind, b->text, b->len);

	return r ? r : (a->index > b->index) - (a->index < b->index);
}

int field_items(struct fset_mem *mem, struct field_type list, const json_t *array, struct field_item **ret,
		size_t *ret_n, struct err *err)
{
	size_t n = json_array_size(array), i;
	struct field_item *items = NULL;
	json_t *v;

	if (n) {
		items = arena_calloc(&mem->arena, n, sizeof(*items));
		if (!items) {
			mem->oom = true;
			return err_set(err, ENOMEM, "out of memory");
		}
	}
	json_array_foreach (array, i, v) {
		int r = field_item_step(mem, list, v, &items[i].kind, &items[i].text, &items[i].len, err);

		if (r < 0)
			return r;
		items[i].index = i;
		items[i].value = v;
	}
	if (n > 1)
		qsort(items, n, sizeof(*items), item_order);
	*ret = items;
	*ret_n = n;
	return 0;
}

static bool same_step(const struct field_item *a, const struct field_item *b)
{
	return fset_step_cmp(a->kind, a->text, a->len, b->kind, b->text, b->len) == 0;
}

/* Elements from i on that are the same as it. */
static size_t run_length(const struct field_item *items, size_t n, size_t i)
{
	size_t k = i + 1;

	while (k < n && same_step(&items[i], &items[k]))
		k++;
	return k - i;
}

/* --- what a document sets ----------------------------------------------------------------------------------------- */

/* Where we are, for messages: rendered only when there is one. */
struct at {
	const struct at *up;
	char kind;
	const char *text;
	size_t len;
};

struct setter {
	struct fset_mem *mem;
	bool strict;
	struct err *err;
};

static void at_path(const struct at *at, struct strbuf *out)
{
	struct fset step = { 0 };

	if (!at->up)
		return;
	at_path(at->up, out);
	step.kind = at->kind;
	step.text = at->text;
	step.len = (uint32_t)at->len;
	fset_step_path(&step, out);
}

static int set_error(struct setter *s, const struct at *at, const char *why)
{
	cleanup(strbuf_done) struct strbuf path = STRBUF_INIT;

	at_path(at, &path);
	return err_set(s->err, EINVAL, "%s: %s", path.buf, why);
}

static int set_oom(struct setter *s)
{
	s->mem->oom = true;
	return err_set(s->err, ENOMEM, "out of memory");
}

static int set_walk(struct setter *s, struct field_type t, const json_t *v, const struct at *at, bool *ret_member,
		    const struct fset **ret);

static int set_object(struct setter *s, struct field_type t, const json_t *v, const struct at *at,
		      const struct fset **ret)
{
	size_t n = 0, cap = json_object_size(v);
	struct fset **steps = arena_calloc(&s->mem->arena, cap ? cap : 1, sizeof(struct fset *));
	const char *key;
	json_t *child;

	if (!steps)
		return set_oom(s);
	json_object_foreach ((json_t *)v, key, child) {
		struct at here = { .up = at, .kind = FSET_FIELD, .text = key, .len = strlen(key) };
		const struct fset *sub = NULL;
		bool known, member = false;
		struct field_type ct = field_type_member(t, key, &known);
		int r;

		if (s->strict && t.shape == FIELD_STRUCT && !known && !(t.object->flags & API_TYPE_OPEN))
			return set_error(s, &here, "field not declared in schema");
		r = set_walk(s, ct, child, &here, &member, &sub);
		if (r < 0)
			return r;
		if (json_is_null(child) || (json_is_object(child) && !json_object_size(child)) || !known)
			member = true;
		steps[n] = fset_step(s->mem, FSET_FIELD, key, here.len, member, sub);
		if (steps[n])
			n++;
	}
	*ret = fset_link(s->mem, steps, n);
	return 0;
}

static int set_list(struct setter *s, struct field_type t, const json_t *v, const struct at *at,
		    const struct fset **ret)
{
	struct err why = ERR_INIT;
	struct field_item *items;
	struct fset **steps;
	size_t n, n_steps = 0, run;
	int r;

	r = field_items(s->mem, t, v, &items, &n, &why);
	if (r == -EINVAL && !s->strict) {
		*ret = NULL; /* what is stored is not refused: elements that have no keys are nobody's */
		return 0;
	}
	if (r < 0)
		return r == -EINVAL ? set_error(s, at, why.msg) : set_oom(s);
	steps = arena_calloc(&s->mem->arena, n ? n : 1, sizeof(struct fset *));
	if (!steps)
		return set_oom(s);
	for (size_t i = 0; i < n; i += run) {
		struct at here = { .up = at, .kind = items[i].kind, .text = items[i].text, .len = items[i].len };
		const struct fset *sub = NULL;
		bool member;

		run = run_length(items, n, i);
		if (run > 1 && s->strict) {
			cleanup(strbuf_done) struct strbuf text = STRBUF_INIT;
			struct fset step = { .kind = items[i].kind,
					     .text = items[i].text,
					     .len = (uint32_t)items[i].len };

			strbuf_adds(&text, "duplicate entries for key ");
			fset_step_path(&step, &text);
			return set_error(s, at, text.buf);
		}
		if (run == 1) {
			r = set_walk(s, field_type_elem(t), items[i].value, &here, &member, &sub);
			if (r < 0)
				return r;
		}
		steps[n_steps] = fset_step(s->mem, items[i].kind, items[i].text, items[i].len, true, sub);
		if (!steps[n_steps])
			return set_oom(s);
		n_steps++;
	}
	*ret = fset_link(s->mem, steps, n_steps);
	return 0;
}

static int set_walk(struct setter *s, struct field_type t, const json_t *v, const struct at *at, bool *ret_member,
		    const struct fset **ret)
{
	*ret_member = false;
	*ret = NULL;
	switch (walk_of(t, v)) {
	case WALK_OBJECT:
		return set_object(s, t, v, at, ret);
	case WALK_LIST:
		return set_list(s, t, v, at, ret);
	case WALK_LEAF:
		*ret_member = true;
		break;
	}
	return 0;
}

int field_set_of(struct fset_mem *mem, const struct api_type *type, const json_t *obj, bool strict,
		 const struct fset **ret, struct err *err)
{
	struct setter s = { .mem = mem, .strict = strict, .err = err };
	struct field_type t = { .shape = FIELD_STRUCT, .object = type };
	struct at root = { 0 };
	const struct fset *set = NULL;
	bool member;
	int r;

	r = set_walk(&s, t, obj, &root, &member, &set);
	if (r == 0 && mem->oom)
		r = set_oom(&s);
	if (r < 0)
		return r;
	*ret = set;
	return 0;
}

/* --- how two documents differ ------------------------------------------------------------------------------------- */

enum { ADDED, MODIFIED, REMOVED, N_CHANGES };

/* What is to be said of one value: is it itself in each of the three sets, and what below it is. */
struct delta {
	bool member[N_CHANGES];
	const struct fset *sub[N_CHANGES];
};

/* Steps of one level, collected for each of the three sets. */
struct level {
	struct fset_mem *mem;
	size_t cap, n[N_CHANGES];
	struct fset **steps[N_CHANGES];
};

static void compare(struct fset_mem *mem, struct field_type t, const json_t *a, const json_t *b, bool always,
		    struct delta *ret);

static void level_add(struct level *l, char kind, const char *text, size_t len, const struct delta *d)
{
	for (int i = 0; i < N_CHANGES; i++) {
		struct fset *s = fset_step(l->mem, kind, text, len, d->member[i], d->sub[i]);

		if (!s)
			continue;
		if (!l->steps[i])
			l->steps[i] = arena_calloc(&l->mem->arena, l->cap, sizeof(struct fset *));
		if (l->steps[i])
			l->steps[i][l->n[i]++] = s;
		else
			l->mem->oom = true;
	}
}

static void level_end(struct level *l, struct delta *ret)
{
	for (int i = 0; i < N_CHANGES; i++)
		if (l->n[i])
			ret->sub[i] = fset_link(l->mem, l->steps[i], l->n[i]);
}

/*
 * What Go's structs always have, empty if nobody set it: that it is there is nobody's doing. Kinds that come at run
 * time have no such fields.
 */
static bool is_always_there(struct field_type t, const char *name)
{
	const struct api_field *f = t.shape == FIELD_STRUCT && t.object->size ? api_type_field(t.object, name) : NULL;

	if (!f || (f->shape == API_ONE && f->type != API_OBJECT))
		return false;
	return f->flags & (API_EMBEDDED | API_REQUIRED | API_ALWAYS);
}

static void compare_member(struct level *l, struct field_type t, const char *key, const json_t *a, const json_t *b)
{
	struct delta d = { 0 };
	bool known;

	compare(l->mem, field_type_member(t, key, &known), a, b, (!a || !b) && is_always_there(t, key), &d);
	level_add(l, FSET_FIELD, key, strlen(key), &d);
}

static void compare_objects(struct fset_mem *mem, struct field_type t, const json_t *a, const json_t *b,
			    struct delta *ret)
{
	struct level l = { .mem = mem, .cap = json_object_size(a) + json_object_size(b) };
	const char *key;
	json_t *v;

	json_object_foreach ((json_t *)b, key, v) {
		const json_t *old = json_object_get(a, key);

		if (v != old)
			compare_member(&l, t, key, old, v);
	}
	json_object_foreach ((json_t *)a, key, v)
		if (!json_object_get(b, key))
			compare_member(&l, t, key, v, NULL);
	level_end(&l, ret);
}

/* Elements that are there several times are owned as one. */
static void compare_runs(const struct field_item *a, size_t n_a, const struct field_item *b, size_t n_b,
			 struct delta *d)
{
	bool same = n_a == n_b;

	for (size_t i = 0; same && i < n_a; i++)
		same = json_equal(a[i].value, b[i].value);
	if (!same)
		d->member[!n_a ? ADDED : !n_b ? REMOVED : MODIFIED] = true;
}

static void compare_lists(struct fset_mem *mem, struct field_type t, const json_t *a, const json_t *b,
			  struct delta *ret)
{
	struct level l = { .mem = mem, .cap = json_array_size(a) + json_array_size(b) };
	struct field_item *left = NULL, *right = NULL;
	size_t n_left = 0, n_right = 0, i = 0, k = 0;

	if (field_items(mem, t, a, &left, &n_left, NULL) < 0 || field_items(mem, t, b, &right, &n_right, NULL) < 0) {
		ret->member[MODIFIED] = !json_equal(a, b);
		return;
	}
	while (i < n_left || k < n_right) {
		const struct field_item *at = i < n_left ? &left[i] : &right[k];
		size_t run_a = 0, run_b = 0;
		struct delta d = { 0 };
		int cmp = i == n_left	 ? 1
			  : k == n_right ? -1
					 : fset_step_cmp(left[i].kind, left[i].text, left[i].len, right[k].kind,
							 right[k].text, right[k].len);

		if (cmp > 0)
			at = &right[k];
		if (cmp <= 0)
			run_a = run_length(left, n_left, i);
		if (cmp >= 0)
			run_b = run_length(right, n_right, k);
		if (run_a > 1 || run_b > 1)
			compare_runs(left ? left + i : NULL, run_a, right ? right + k : NULL, run_b, &d);
		else
			compare(mem, field_type_elem(t), run_a ? left[i].value : NULL, run_b ? right[k].value : NULL,
				false, &d);
		level_add(&l, at->kind, at->text, at->len, &d);
		i += run_a;
		k += run_b;
	}
	level_end(&l, ret);
}

static bool no_content(const json_t *v)
{
	return !json_object_size(v) && !json_array_size(v);
}

/* One of a and b may be NULL. always: it is there, empty, all the same. */
static void compare(struct fset_mem *mem, struct field_type t, const json_t *a, const json_t *b, bool always,
		    struct delta *ret)
{
	enum walk wa = walk_of(t, a), wb = walk_of(t, b), w;

	if (!a)
		w = wb;
	else if (!b)
		w = wa;
	else
		w = wa == wb ? wa : WALK_LEAF;
	/* Two empty ones are leaves, so that being there and being empty are told apart. */
	if (w == WALK_LEAF || (no_content(a) && no_content(b))) {
		if (a && b)
			ret->member[MODIFIED] = !json_equal(a, b);
		else if (always && w == WALK_LEAF)
			ret->member[MODIFIED] = true;
	} else if (w == WALK_OBJECT) {
		compare_objects(mem, t, a, b, ret);
	} else {
		compare_lists(mem, t, a, b, ret);
	}
	if (always)
		return;
	if (!a)
		ret->member[ADDED] = true;
	else if (!b)
		ret->member[REMOVED] = true;
}

int field_compare(struct fset_mem *mem, const struct api_type *type, const json_t *a, const json_t *b,
		  struct field_changes *ret)
{
	struct field_type t = { .shape = FIELD_STRUCT, .object = type };
	struct delta d = { 0 };

	compare_objects(mem, t, a, b, &d);
	if (mem->oom)
		return -ENOMEM;
	ret->added = d.sub[ADDED];
	ret->modified = d.sub[MODIFIED];
	ret->removed = d.sub[REMOVED];
	return 0;
}
