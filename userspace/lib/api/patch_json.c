/* SPDX-License-Identifier: Apache-2.0 */
/* JSON patch (RFC 6902) on JSON pointers (RFC 6901). All operations apply, or none. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../base/cleanup.h"
#include "../base/str.h"
#include "api-internal.h"

enum {
	MAX_OPS = 10000,
	MAX_COPIED = 3 << 20, /* bytes of JSON that all copies together may add: a few of them could double the document
				 each */
};

/* The reference token at *at ("/a~1b" -> "a/b"), moving behind it. NULL: out of memory. */
static char *token(const char **at)
{
	const char *p = *at + 1;
	char *out = malloc(strcspn(p, "/") + 1), *o = out;

	if (!out)
		return NULL;
	for (; *p && *p != '/'; p++) {
		if (p[0] == '~' && (p[1] == '0' || p[1] == '1'))
			*o++ = *++p == '0' ? '~' : '/';
		else
			*o++ = *p;
	}
	*o = '\0';
	*at = p;
	return out;
}

/* Array index: digits without leading zeros below limit; -1 if it is none. */
static long array_index(const char *s, size_t limit)
{
	int64_t v;

	if ((s[0] == '0' && s[1]) || str_to_i64(s, 0, (int64_t)limit, &v) < 0)
		return -1;
	return (long)v;
}

static json_t *child(json_t *parent, const char *name)
{
	long i;

	if (json_is_object(parent))
		return json_object_get(parent, name);
	i = json_is_array(parent) ? array_index(name, json_array_size(parent)) : -1;
	return i < 0 ? NULL : json_array_get(parent, (size_t)i);
}

/* The container of pointer's last token, which the caller frees. */
static json_t *parent_of(json_t *root, const char *pointer, char **ret_last, struct err *err)
{
	const char *at = pointer;
	json_t *node = root;

	if (*pointer != '/') {
		err_set(err, EINVAL, "path '%s' is not a JSON pointer: it must start with '/'", pointer);
		return NULL;
	}
	for (;;) {
		char *name = token(&at);

		if (!name) {
			err_set(err, ENOMEM, "out of memory");
			return NULL;
		}
		if (!*at) {
			*ret_last = name;
			return node;
		}
		node = child(node, name);
		free(name);
		if (!node) {
			err_set(err, ENOENT, "path '%s' does not exist", pointer);
			return NULL;
		}
	}
}

static json_t *lookup(json_t *root, const char *pointer, struct err *err)
{
	cleanup(free) char *last = NULL;
	json_t *parent, *v;

	if (!*pointer)
		return root;
	parent = parent_of(root, pointer, &last, err);
	if (!parent)
		return NULL;
	v = child(parent, last);
	if (!v)
		err_set(err, ENOENT, "path '%s' does not exist", pointer);
	return v;
}

static size_t depth_of(const json_t *v, size_t limit)
{
	size_t deepest = 0, d, i;
	const char *key;
	json_t *c;

	if (!limit || (!json_is_object(v) && !json_is_array(v)))
		return 0;
	json_object_foreach ((json_t *)v, key, c)
		if ((d = depth_of(c, limit - 1)) > deepest)
			deepest = d;
	json_array_foreach (v, i, c)
		if ((d = depth_of(c, limit - 1)) > deepest)
			deepest = d;
	return deepest + 1;
}

/* A value put below pointer: no deeper than a document may be, since everything that walks documents recurses. */
static bool too_deep(const char *pointer, const json_t *value)
{
	size_t depth = depth_of(value, API_MAX_DEPTH + 1);

	for (; *pointer; pointer++)
		depth += *pointer == '/';
	return depth > API_MAX_DEPTH;
}

/* Steals value. */
static int add(json_t **root, const char *pointer, json_t *value, bool replace, struct err *err)
{
	cleanup(free) char *last = NULL;
	json_t *parent;
	long i;
	int r;

	if (too_deep(pointer, value)) {
		json_decref(value);
		return err_set(err, EINVAL, "path '%.64s...': the result is nested deeper than %d levels", pointer,
			       API_MAX_DEPTH);
	}
	if (!*pointer) {
		json_decref(*root);
		*root = value;
		return 0;
	}
	parent = parent_of(*root, pointer, &last, err);
	if (!parent) {
		json_decref(value);
		return -EINVAL;
	}
	if (replace && !child(parent, last)) {
		json_decref(value);
		return err_set(err, ENOENT, "replace: path '%s' does not exist", pointer);
	}
	if (json_is_object(parent)) {
		r = json_object_set_new(parent, last, value);
	} else if (json_is_array(parent)) {
		size_t n = json_array_size(parent);

		i = !replace && streq(last, "-") ? (long)n : array_index(last, n);
		if (i < 0) {
			json_decref(value);
			return err_set(err, EINVAL, "path '%s': no such index", pointer);
		}
		r = replace ? json_array_set_new(parent, (size_t)i, value)
			    : json_array_insert_new(parent, (size_t)i, value);
	} else {
		json_decref(value);
		return err_set(err, EINVAL, "path '%s' leads through a scalar", pointer);
	}
	return r ? err_set(err, ENOMEM, "out of memory") : 0;
}

static int remove_at(json_t *root, const char *pointer, struct err *err)
{
	cleanup(free) char *last = NULL;
	json_t *parent;

	if (!*pointer)
		return err_set(err, EINVAL, "the whole document cannot be removed");
	parent = parent_of(root, pointer, &last, err);
	if (!parent)
		return -EINVAL;
	if (!child(parent, last))
		return err_set(err, ENOENT, "remove: path '%s' does not exist", pointer);
	if (json_is_object(parent))
		json_object_del(parent, last);
	else
		json_array_remove(parent, (size_t)array_index(last, json_array_size(parent)));
	return 0;
}

static int one(json_t **root, const json_t *op, size_t *copied, struct err *err)
{
	const char *what = api_get_str(op, "op"), *path = api_get_str(op, "path"), *from = api_get_str(op, "from");
	json_t *value = json_object_get(op, "value"), *v;
	int r;

	if (!what || !path)
		return err_set(err, EINVAL, "an operation needs 'op' and 'path'");
	if (streq(what, "add") || streq(what, "replace")) {
		if (!value)
			return err_set(err, EINVAL, "%s: 'value' is missing", what);
		return add(root, path, json_deep_copy(value), streq(what, "replace"), err);
	}
	if (streq(what, "remove"))
		return remove_at(*root, path, err);
	if (streq(what, "test")) {
		v = lookup(*root, path, err);
		if (!v && json_is_null(value)) {
			err_clear(err);
			return 0;
		}
		if (!v || !json_equal(v, value))
			return err_set(err, EINVAL, "testing path %s value failed", path);
		return 0;
	}
	if (streq(what, "move") || streq(what, "copy")) {
		if (!from)
			return err_set(err, EINVAL, "%s: 'from' is missing", what);
		if (streq(what, "move") && str_starts(path, from) && path[strlen(from)] == '/')
			return err_set(err, EINVAL, "move: '%s' cannot be moved into itself", from);
		v = lookup(*root, from, err);
		if (!v)
			return -ENOENT;
		if (streq(what, "copy")) {
			*copied += json_dumpb(v, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
			if (*copied > MAX_COPIED)
				return err_set(err, EFBIG, "copy: the copies are larger than %d bytes together",
					       MAX_COPIED);
		}
		v = json_deep_copy(v);
		r = streq(what, "move") ? remove_at(*root, from, err) : 0;
		if (r < 0) {
			json_decref(v);
			return r;
		}
		return add(root, path, v, false, err);
	}
	return err_set(err, EINVAL, "unknown operation '%s'", what);
}

int api_patch_json(const json_t *target, const json_t *ops, json_t **ret, struct err *err)
{
	struct err local = ERR_INIT;
	json_t *root, *op;
	size_t i, copied = 0;
	int r;

	if (!json_is_array(ops))
		return err_set(err, EINVAL, "a JSON patch must be an array of operations");
	if (json_array_size(ops) > MAX_OPS)
		return err_set(err, EFBIG, "the allowed maximum operations in a JSON patch is %d, got %zu", MAX_OPS,
			       json_array_size(ops));
	root = json_deep_copy(target);
	if (!root)
		return err_set(err, ENOMEM, "out of memory");
	json_array_foreach (ops, i, op) {
		r = one(&root, op, &copied, &local);
		if (r < 0) {
			json_decref(root);
			return err_set(err, local.code ? local.code : EINVAL, "operation %zu: %s", i, local.msg);
		}
	}
	*ret = root;
	return 0;
}
