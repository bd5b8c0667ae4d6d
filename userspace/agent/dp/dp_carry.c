/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries of a map that another build made, in this build's form. Both forms are in the maps' BTF: fields are carried
 * over by their names, so that upgrade and downgrade are the same thing and neither build knows the other's. This asks
 * one thing of whoever changes an entry: a field keeps its name as long as it keeps its meaning and its size, and zero
 * is right where a value's field was not there before. A key needs the same fields on both sides. Padding, by names
 * that begin with "pad", is zero.
 */
#include "dp-internal.h"

#include <bpf/btf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define MOST_FIELDS 32

struct piece {
	uint32_t from, to, size;
};

struct form {
	struct piece pieces[MOST_FIELDS];
	size_t n;
	uint32_t size; /* in this build */
};

struct dp_carry {
	struct form key, value;
	char *key_buf, *value_buf;
};

void dp_carry_free(struct dp_carry *c)
{
	if (!c)
		return;
	free(c->key_buf);
	free(c->value_buf);
	free(c);
}

DEFINE_CLEANUP(struct dp_carry *, dp_carry_free);

static bool is_padding(const char *name)
{
	return str_starts(name, "pad");
}

static const struct btf_member *member_of(const struct btf *btf, const struct btf_type *t, const char *name)
{
	const struct btf_member *m = btf_members(t);

	for (unsigned i = 0; i < btf_vlen(t); i++)
		if (streq(btf__name_by_offset(btf, m[i].name_off), name))
			return &m[i];
	return NULL;
}

/* Of t, not of what is inside its members. */
static bool has_all_names(const struct btf *btf, const struct btf_type *t, const struct btf *in_btf,
			  const struct btf_type *in)
{
	const struct btf_member *m = btf_members(t);

	for (unsigned i = 0; i < btf_vlen(t); i++) {
		const char *name = btf__name_by_offset(btf, m[i].name_off);

		if (!is_padding(name) && !member_of(in_btf, in, name))
			return false;
	}
	return true;
}

static int add(struct form *f, uint32_t from, uint32_t to, uint32_t size)
{
	if (f->n == MOST_FIELDS)
		return -E2BIG;
	f->pieces[f->n++] = (struct piece){ from, to, size };
	return 0;
}

/* -EPROTO: this cannot be carried over. */
static int compare(const struct btf *old, uint32_t old_id, uint32_t from, const struct btf *new, uint32_t new_id,
		   uint32_t to, bool key, struct form *f)
{
	int a = btf__resolve_type(old, old_id), b = btf__resolve_type(new, new_id);
	const struct btf_type *x = a < 0 ? NULL : btf__type_by_id(old, (uint32_t)a);
	const struct btf_type *y = b < 0 ? NULL : btf__type_by_id(new, (uint32_t)b);
	const struct btf_member *m;
	int64_t size;

	if (!x || !y || btf_kind(x) != btf_kind(y))
		return -EPROTO;
	if (!btf_is_struct(y)) {
		size = btf__resolve_size(new, (uint32_t)b);
		return size > 0 && size == btf__resolve_size(old, (uint32_t)a) ? add(f, from, to, (uint32_t)size)
									       : -EPROTO;
	}
	if (key && (!has_all_names(new, y, old, x) || !has_all_names(old, x, new, y)))
		return -EPROTO;
	m = btf_members(y);
	for (unsigned i = 0; i < btf_vlen(y); i++) {
		const char *name = btf__name_by_offset(new, m[i].name_off);
		const struct btf_member *was = member_of(old, x, name);
		int r;

		if (!was || is_padding(name))
			continue;
		if (was->offset % 8 || m[i].offset % 8 || btf_kflag(x) || btf_kflag(y))
			return -EPROTO; /* bit fields */
		r = compare(old, was->type, from + was->offset / 8, new, m[i].type, to + m[i].offset / 8, key, f);
		if (r < 0)
			return r;
	}
	return 0;
}

static int forms_of(int old_fd, int new_fd, struct dp_carry *c)
{
	struct bpf_map_info was, is;
	uint32_t len = sizeof(was);
	struct btf *old, *new;
	int r;

	memset(&was, 0, sizeof(was));
	memset(&is, 0, sizeof(is));
	if (bpf_obj_get_info_by_fd(old_fd, &was, &len) < 0)
		return -EPROTO;
	len = sizeof(is);
	if (bpf_obj_get_info_by_fd(new_fd, &is, &len) < 0 || !was.btf_id || !is.btf_id)
		return -EPROTO;
	if (was.type != is.type)
		return -EPROTO;
	c->key.size = is.key_size;
	c->value.size = is.value_size;
	old = btf__load_from_kernel_by_id(was.btf_id);
	new = btf__load_from_kernel_by_id(is.btf_id);
	r = old && new ? compare(old, was.btf_key_type_id, 0, new, is.btf_key_type_id, 0, true, &c->key) : -EPROTO;
	if (!r)
		r = compare(old, was.btf_value_type_id, 0, new, is.btf_value_type_id, 0, false, &c->value);
	btf__free(old);
	btf__free(new);
	/* Prefixes count bits from the key's beginning. */
	for (size_t i = 0; !r && is.type == BPF_MAP_TYPE_LPM_TRIE && i < c->key.n; i++)
		if (c->key.pieces[i].from != c->key.pieces[i].to || was.key_size != is.key_size)
			r = -EPROTO;
	return !r && c->value.n ? 0 : r ? r : -EPROTO;
}

int dp_carry_new(int old_fd, int new_fd, struct dp_carry **ret)
{
	cleanup(dp_carry_free) struct dp_carry *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	r = forms_of(old_fd, new_fd, c);
	if (r < 0)
		return r;
	c->key_buf = malloc(c->key.size);
	c->value_buf = malloc(c->value.size);
	if (!c->key_buf || !c->value_buf)
		return -ENOMEM;
	*ret = TAKE(c);
	return 0;
}

static const void *convert(const struct form *f, const char *from, char *to)
{
	memset(to, 0, f->size);
	for (size_t i = 0; i < f->n; i++)
		memcpy(to + f->pieces[i].to, from + f->pieces[i].from, f->pieces[i].size);
	return to;
}

void dp_carry(struct dp_carry *c, const void **key, const void **value)
{
	*key = convert(&c->key, *key, c->key_buf);
	*value = convert(&c->value, *value, c->value_buf);
}
