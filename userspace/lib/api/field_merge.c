/* SPDX-License-Identifier: Apache-2.0 */
/* Documents put together and taken apart by sets of fields: the two steps of an apply (see field_walk.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api-internal.h"
#include "field_walk.h"

static json_t *merge(struct fset_mem *mem, struct field_type t, json_t *live, json_t *config);

static bool is_struct_like(struct field_type t)
{
	return t.shape == FIELD_STRUCT || t.shape == FIELD_MAP || t.shape == FIELD_ANY;
}

static bool is_keyed_list(struct field_type t)
{
	return t.shape == FIELD_LIST_MAP || t.shape == FIELD_SET;
}

static json_t *lost(struct fset_mem *mem)
{
	mem->oom = true;
	return NULL;
}

static json_t *merge_objects(struct fset_mem *mem, struct field_type t, json_t *live, json_t *config)
{
	json_t *out = json_copy(live), *v;
	const char *key;
	bool known;

	if (!out)
		return lost(mem);
	json_object_foreach (config, key, v) {
		json_t *m = merge(mem, field_type_member(t, key, &known), json_object_get(live, key), v);

		if (!m || json_object_set_new(out, key, m) < 0) {
			json_decref(out);
			return lost(mem);
		}
	}
	return out;
}

/* For each element of two lists, by its place: the place of its like in the other one. */
enum { NOWHERE = -1, SEVERAL = -2 };
struct pairing {
	ssize_t *of_live, *of_config;
	bool *merged; /* by place in config: done with */
};

static int pair(struct fset_mem *mem, struct field_type t, json_t *live, json_t *config, struct pairing *ret)
{
	struct field_item *l = NULL, *c = NULL;
	size_t n_l = 0, n_c = 0, k = 0;

	if (field_items(mem, t, live, &l, &n_l, NULL) < 0 || field_items(mem, t, config, &c, &n_c, NULL) < 0)
		return -EINVAL;
	ret->of_live = arena_calloc(&mem->arena, n_l + 1, sizeof(ssize_t));
	ret->of_config = arena_calloc(&mem->arena, n_c + 1, sizeof(ssize_t));
	ret->merged = arena_calloc(&mem->arena, n_c + 1, sizeof(bool));
	if (!ret->of_live || !ret->of_config || !ret->merged) {
		mem->oom = true;
		return -ENOMEM;
	}
	for (size_t i = 0; i < n_c; i++)
		ret->of_config[c[i].index] = NOWHERE;
	for (size_t i = 0; i < n_l; i++) {
		ret->of_live[l[i].index] = NOWHERE;
		while (k < n_c && fset_step_cmp(c[k].kind, c[k].text, c[k].len, l[i].kind, l[i].text, l[i].len) < 0)
			k++;
		if (k == n_c || fset_step_cmp(c[k].kind, c[k].text, c[k].len, l[i].kind, l[i].text, l[i].len) != 0)
			continue;
		ret->of_live[l[i].index] = (ssize_t)c[k].index;
		ret->of_config[c[k].index] = ret->of_config[c[k].index] == NOWHERE ? (ssize_t)l[i].index
										   : (ssize_t)SEVERAL;
	}
	return 0;
}

/* The next element of config that live has, too, from place k on; n: none. */
static size_t next_shared(const struct pairing *p, size_t k, size_t n)
{
	while (k < n && p->of_config[k] == NOWHERE)
		k++;
	return k;
}

/*
 * The order is live's for what only live has and config's for what config has; each element of live's own stays behind
 * what it followed, as far as that can be said.
 */
static json_t *merge_lists(struct fset_mem *mem, struct field_type t, json_t *live, json_t *config)
{
	size_t n_live = json_array_size(live), n_config = json_array_size(config), i = 0, k = 0, shared;
	struct pairing p;
	json_t *out;

	if (pair(mem, t, live, config, &p) < 0)
		return mem->oom ? NULL : json_incref(config); /* elements without keys: they are not told apart */
	out = json_array();
	if (!out)
		return lost(mem);
	shared = next_shared(&p, 0, n_config);
	while (i < n_live || k < n_config) {
		ssize_t like = i < n_live ? p.of_live[i] : NOWHERE;
		json_t *m;

		if (i < n_live && k < n_config && like != (ssize_t)k && like >= 0 && shared < n_config &&
		    (ssize_t)shared != like) {
			i++; /* it comes when it is its turn in config */
			continue;
		}
		if (i < n_live && like < 0) {
			if (json_array_append(out, json_array_get(live, i++)) < 0)
				goto fail;
			continue;
		}
		if (i < n_live && (like == (ssize_t)k || p.merged[like]))
			i++;
		if (k == n_config)
			continue;
		m = merge(mem, field_type_elem(t),
			  p.of_config[k] >= 0 ? json_array_get(live, (size_t)p.of_config[k]) : NULL,
			  json_array_get(config, k));
		if (!m || json_array_append_new(out, m) < 0)
			goto fail;
		p.merged[k] = true;
		if (shared == k)
			shared = next_shared(&p, k + 1, n_config);
		k++;
	}
	return out;
fail:
	json_decref(out);
	return lost(mem);
}

static json_t *merge(struct fset_mem *mem, struct field_type t, json_t *live, json_t *config)
{
	if (!live)
		return json_incref(config);
	if (!config)
		return json_incref(live);
	if (is_struct_like(t) && json_is_object(live) && json_is_object(config))
		return merge_objects(mem, t, live, config);
	if (is_keyed_list(t) && json_is_array(live) && json_is_array(config))
		return merge_lists(mem, t, live, config);
	return json_incref(config);
}

json_t *field_merge(struct fset_mem *mem, const struct api_type *type, json_t *live, json_t *config)
{
	struct field_type t = { .shape = FIELD_STRUCT, .object = type };

	return merge(mem, t, live, config);
}

/* --- taking away -------------------------------------------------------------------------------------------------- */

static json_t *take(struct fset_mem *mem, struct field_type t, json_t *v, const struct fset *set);

static json_t *take_fields(struct fset_mem *mem, struct field_type t, json_t *v, const struct fset *set)
{
	json_t *out = json_object_size(v) ? json_copy(v) : json_null();

	if (!out)
		return lost(mem);
	for (; set; set = set->next) {
		char *key;
		json_t *child, *left;
		bool known;

		if (set->kind != FSET_FIELD)
			continue;
		key = strndup(set->text, set->len);
		child = key ? json_object_get(out, key) : NULL;
		if (child && set->member) {
			json_object_del(out, key);
		} else if (child) {
			left = take(mem, field_type_member(t, key, &known), child, set->sub);
			if (!left || json_object_set_new(out, key, left) < 0)
				mem->oom = true;
		}
		mem->oom = mem->oom || !key;
		free(key);
	}
	if (json_is_object(out) && !json_object_size(out)) {
		json_decref(out);
		out = json_null();
	}
	return out;
}

static json_t *take_elements(struct fset_mem *mem, struct field_type t, json_t *v, const struct fset *set)
{
	struct field_item *items;
	const struct fset **hit;
	json_t *out, *item;
	size_t n, i;

	if (field_items(mem, t, v, &items, &n, NULL) < 0)
		return mem->oom ? NULL : json_incref(v);
	hit = arena_calloc(&mem->arena, n + 1, sizeof(*hit));
	out = json_array();
	if (!hit || !out) {
		json_decref(out);
		return lost(mem);
	}
	for (i = 0; i < n && set; i++) {
		int cmp = 0;

		while (set && (cmp = fset_step_cmp(set->kind, set->text, set->len, items[i].kind, items[i].text,
						   items[i].len)) < 0)
			set = set->next;
		if (set && cmp == 0)
			hit[items[i].index] = set;
	}
	json_array_foreach (v, i, item) {
		json_t *left;

		if (hit[i] && hit[i]->member)
			continue;
		left = hit[i] ? take(mem, field_type_elem(t), item, hit[i]->sub) : json_incref(item);
		if (!left || json_array_append_new(out, left) < 0)
			mem->oom = true;
	}
	if (!json_array_size(out)) {
		json_decref(out);
		out = json_null();
	}
	return out;
}

static json_t *take(struct fset_mem *mem, struct field_type t, json_t *v, const struct fset *set)
{
	if (is_struct_like(t) && json_is_object(v))
		return take_fields(mem, t, v, set);
	if (is_keyed_list(t) && json_is_array(v))
		return take_elements(mem, t, v, set);
	/* What is owned as one goes as one. */
	return json_is_object(v) || json_is_array(v) ? json_null() : json_incref(v);
}

json_t *field_remove(struct fset_mem *mem, const struct api_type *type, json_t *obj, const struct fset *set)
{
	struct field_type t = { .shape = FIELD_STRUCT, .object = type };
	json_t *out = set ? take_fields(mem, t, obj, set) : json_incref(obj);

	if (!mem->oom)
		return out;
	json_decref(out);
	return NULL;
}

static const struct fset *name_parents(struct fset_mem *mem, struct field_type t, const struct fset *set)
{
	const struct fset *first = NULL;
	struct fset *last = NULL, *s;

	for (; set; set = set->next) {
		struct field_type ct = field_type_elem(t);
		bool member = set->member, known = false;

		if (set->kind == FSET_FIELD) {
			char *name = strndup(set->text, set->len);

			if (!name) {
				mem->oom = true;
				return NULL;
			}
			ct = field_type_member(t, name, &known);
			free(name);
		}
		s = fset_step(mem, set->kind, set->text, set->len, member || known, name_parents(mem, ct, set->sub));
		if (!s)
			return NULL;
		if (last)
			last->next = s;
		else
			first = s;
		last = s;
	}
	return first;
}

const struct fset *field_name_parents(struct fset_mem *mem, const struct api_type *type, const struct fset *set)
{
	struct field_type t = { .shape = FIELD_STRUCT, .object = type };

	return name_parents(mem, t, set);
}
