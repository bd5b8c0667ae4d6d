/* SPDX-License-Identifier: Apache-2.0 */
/* Paths of fields: rendering them for messages, and reading and setting values by a dotted path. */
#include "api-internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../base/str.h"

static size_t path_put(const struct api_path *path, char *buf, size_t size)
{
	size_t n = path->up ? path_put(path->up, buf, size) : 0;
	size_t room = n < size ? size - n : 0;
	int r;

	if (path->key)
		r = snprintf(room ? buf + n : NULL, room, "[%s]", path->key);
	else if (path->name)
		r = snprintf(room ? buf + n : NULL, room, "%s%s", n ? "." : "", path->name);
	else
		r = snprintf(room ? buf + n : NULL, room, "[%zu]", path->index);
	return n + (r > 0 ? (size_t)r : 0);
}

char *api_path_str(const struct api_path *path, char *buf, size_t size)
{
	buf[0] = '\0';
	if (path)
		path_put(path, buf, size);
	return buf;
}

/* One step of "a.b[0].c": sets *ret_len to the length of the name at p, *ret_index to the index after it (-1: none). */
static const char *path_step(const char *p, size_t *ret_len, int64_t *ret_index)
{
	size_t len = strcspn(p, ".[");
	int64_t index = -1;
	const char *end = p + len;

	if (*end == '[') {
		char digits[16];
		size_t n = strcspn(end + 1, "]");

		if (!n || n >= sizeof(digits) || end[1 + n] != ']')
			return NULL;
		memcpy(digits, end + 1, n);
		digits[n] = '\0';
		if (str_to_i64(digits, 0, INT32_MAX, &index) < 0)
			return NULL;
		end += n + 2;
	}
	if (*end && *end != '.' && *end != '[')
		return NULL;
	*ret_len = len;
	*ret_index = index;
	return *end == '.' ? end + 1 : end;
}

json_t *api_get(const json_t *obj, const char *path)
{
	const json_t *at = obj;

	if (*path == '.')
		path++;
	while (at && *path) {
		char name[256];
		size_t len;
		int64_t index;
		const char *next = path_step(path, &len, &index);

		if (!next || len >= sizeof(name))
			return NULL;
		if (len) {
			memcpy(name, path, len);
			name[len] = '\0';
			at = json_object_get(at, name);
		}
		if (index >= 0)
			at = json_array_get(at, (size_t)index);
		path = next;
	}
	return (json_t *)at;
}

const char *api_get_str(const json_t *obj, const char *path)
{
	return json_string_value(api_get(obj, path));
}

int64_t api_get_int(const json_t *obj, const char *path, int64_t dflt)
{
	const json_t *v = api_get(obj, path);

	return json_is_integer(v) ? json_integer_value(v) : dflt;
}

int api_set(json_t *obj, const char *path, json_t *value)
{
	int r = -EINVAL;

	if (!value)
		return -ENOMEM;
	if (*path == '.')
		path++;
	while (json_is_object(obj)) {
		size_t len = strcspn(path, ".");
		char name[256];
		json_t *next;

		if (!len || len >= sizeof(name) || memchr(path, '[', len))
			break;
		memcpy(name, path, len);
		name[len] = '\0';
		if (!path[len])
			return json_object_set_new(obj, name, value) < 0 ? -ENOMEM : 0;
		next = json_object_get(obj, name);
		if (!next || json_is_null(next)) {
			next = json_object();
			if (!next || json_object_set_new(obj, name, next) < 0) {
				r = -ENOMEM;
				break;
			}
		}
		obj = next;
		path += len + 1;
	}
	json_decref(value);
	return r;
}

json_t *api_list_find(const json_t *list, const char *key, const json_t *want, size_t *ret_index)
{
	json_t *item;
	size_t i;

	json_array_foreach (list, i, item)
		if (want && json_equal(json_object_get(item, key), want)) {
			if (ret_index)
				*ret_index = i;
			return item;
		}
	return NULL;
}

bool api_list_has(const json_t *list, const json_t *value)
{
	json_t *item;
	size_t i;

	json_array_foreach (list, i, item)
		if (json_equal(item, value))
			return true;
	return false;
}
