/* SPDX-License-Identifier: Apache-2.0 */
/* One object as the cache keeps it (bytes and a small index), its form in the store, and helpers on JSON trees. */
#include "apiserver-internal.h"
#include "managed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/clock.h"
#include "../../lib/base/str.h"

#define RV_FIELD "\"resourceVersion\":\""

struct object *object_ref(struct object *o)
{
	o->refs++;
	return o;
}

void object_unref(struct object *o)
{
	if (!o || --o->refs)
		return;
	http_buf_unref(o->json);
	json_decref(o->index);
	free(o);
}

/* Copies one dotted path from src to dst, if it is there. */
static void index_copy(json_t *dst, const json_t *src, const char *path)
{
	/* A job's field selector has its own name for this. */
	json_t *v = api_get(src, streq(path, "status.successful") ? "status.succeeded" : path);

	if (v)
		(void)api_set(dst, path, json_incref(v));
}

/* Kinds whose UID is looked up with every request that shows a service account's token. */
static bool tokens_hang_on(const struct api_kind *kind)
{
	return !kind->group[0] && (streq(kind->plural, "serviceaccounts") || streq(kind->plural, "pods") ||
				   streq(kind->plural, "secrets") || streq(kind->plural, "nodes"));
}

static json_t *index_make(const struct api_kind *kind, const json_t *obj)
{
	json_t *index = json_object();

	if (!index)
		return NULL;
	index_copy(index, obj, "metadata.name");
	index_copy(index, obj, "metadata.namespace");
	index_copy(index, obj, "metadata.labels");
	index_copy(index, obj, "metadata.deletionTimestamp");
	if (tokens_hang_on(kind))
		index_copy(index, obj, "metadata.uid");
	for (const char *const *f = kind->selectable; f && *f; f++)
		index_copy(index, obj, *f);
	return index;
}

/* head + "resourceVersion":"N", + rest: the value of the store with its revision spliced in. */
static struct http_buf *splice(const struct resource *r, const char *rest, size_t rest_len, int64_t rev)
{
	char rv[64];
	int rv_len = snprintf(rv, sizeof(rv), RV_FIELD "%lld\",", (long long)rev);
	struct http_buf *b = http_buf_new(NULL, r->head_len + (size_t)rv_len + rest_len);

	if (!b)
		return NULL;
	memcpy(b->data, r->head, r->head_len);
	memcpy(b->data + r->head_len, rv, (size_t)rv_len);
	memcpy(b->data + r->head_len + rv_len, rest, rest_len);
	return b;
}

struct object *object_new(const struct resource *r, const char *key, const void *value, size_t len, int64_t rev)
{
	size_t key_len = strlen(key);
	const char *slash = strrchr(key, '/');
	cleanup(strbuf_done) struct strbuf shown = STRBUF_INIT, managed = STRBUF_INIT;
	json_t *tree = NULL;
	struct object *o;

	if (managed_split(r, value, len, &tree, r->custom || r->view_of ? &managed : NULL) < 0)
		return NULL;
	if (r->custom || r->view_of) {
		/* Stored in whatever version, shown in this one. */
		custom_convert(r, tree);
		tree = view_of_stored(r, tree);
		if (!json_is_object(tree) || object_encode(r, tree, &managed, &shown) < 0) {
			json_decref(tree);
			return NULL;
		}
		value = shown.buf;
		len = shown.len;
	}
	if (len < r->head_len || memcmp(value, r->head, r->head_len) != 0) {
		json_decref(tree);
		return NULL;
	}
	o = calloc(1, sizeof(*o) + key_len + 1);
	if (!o) {
		json_decref(tree);
		return NULL;
	}
	o->refs = 1;
	o->rev = rev;
	memcpy(o->key, key, key_len + 1);
	o->name = slash ? o->key + (slash - key) + 1 : o->key;
	o->json = splice(r, (const char *)value + r->head_len, len - r->head_len, rev);
	o->index = index_make(r->kind, tree);
	json_decref(tree);
	if (!o->json || !o->index) {
		object_unref(o);
		return NULL;
	}
	return o;
}

struct http_buf *object_json_at(const struct resource *r, const struct object *o, int64_t rev)
{
	const char *rest = memchr(o->json->data + r->head_len, ',', o->json->len - r->head_len);

	rest++; /* the resourceVersion that splice() wrote ends with a comma */
	return splice(r, rest, o->json->len - (size_t)(rest - o->json->data), rev);
}

static int dump(const char *data, size_t len, void *arg)
{
	struct strbuf *out = arg;

	strbuf_add(out, data, len);
	return out->oom ? -1 : 0;
}

int object_encode(const struct resource *r, json_t *obj, const struct strbuf *managed, struct strbuf *out)
{
	json_t *meta = obj_meta(obj), *v;
	bool first = true;
	const char *key;

	if (!meta)
		return -ENOMEM;
	json_object_del(meta, "resourceVersion");
	json_object_del(meta, "managedFields");
	json_object_del(meta, "selfLink");
	strbuf_clear(out);
	strbuf_add(out, r->head, r->head_len);
	if (managed->len) {
		strbuf_adds(out, "\"managedFields\":");
		strbuf_add(out, managed->buf, managed->len);
		first = false;
	}
	json_object_foreach (meta, key, v) {
		if (!first)
			strbuf_addc(out, ',');
		first = false;
		strbuf_add_json(out, key);
		strbuf_addc(out, ':');
		if (json_dump_callback(v, dump, out, JSON_COMPACT | JSON_ENCODE_ANY) < 0)
			return -ENOMEM;
	}
	strbuf_addc(out, '}');
	json_object_foreach (obj, key, v) {
		if (streq(key, "metadata") || streq(key, "kind") || streq(key, "apiVersion"))
			continue;
		strbuf_addc(out, ',');
		strbuf_add_json(out, key);
		strbuf_addc(out, ':');
		if (json_dump_callback(v, dump, out, JSON_COMPACT | JSON_ENCODE_ANY) < 0)
			return -ENOMEM;
	}
	strbuf_addc(out, '}');
	return strbuf_oom(out) ? -ENOMEM : 0;
}

void obj_set_str(json_t *obj, const char *path, const char *value)
{
	(void)api_set(obj, path, json_string(value));
}

json_t *obj_meta(json_t *obj)
{
	json_t *meta = json_object_get(obj, "metadata");

	if (json_is_object(meta))
		return meta;
	if (json_object_set_new(obj, "metadata", json_object()) < 0)
		return NULL;
	return json_object_get(obj, "metadata");
}

void obj_now(char *buf)
{
	clock_rfc3339(clock_real_ms(), buf);
}

bool obj_has_finalizer(const json_t *obj, const char *name)
{
	json_t *list = api_get(obj, "metadata.finalizers"), *v;
	size_t i;

	json_array_foreach (list, i, v)
		if (streq(json_string_value(v), name))
			return true;
	return false;
}

void obj_random_suffix(char *buf, size_t n)
{
	/* Kubernetes' alphabet: no vowels, so no words; no 0, 1, 3. */
	static const char alphabet[] = "bcdfghjklmnpqrstvwxz2456789";
	unsigned char rnd[32] = { 0 };

	if (n > sizeof(rnd))
		n = sizeof(rnd);
	(void)!getrandom(rnd, n, 0);
	for (size_t i = 0; i < n; i++)
		buf[i] = alphabet[rnd[i] % (sizeof(alphabet) - 1)];
	buf[n] = '\0';
}
