/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events as bytes: a line of JSON, or for protobuf a length and a WatchEvent. An event is encoded once for each type
 * and form that some watcher wants, and the bytes are shared by all of them; most kinds' events are never asked for in
 * more than one.
 */
#include "apiserver-internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/str.h"

struct encoding {
	struct encoding *next;
	enum watch_type type;
	enum repr repr;
	struct http_buf *buf;
};

static bool in_protobuf(enum repr repr)
{
	return repr == REPR_PROTOBUF || repr == REPR_META_PROTOBUF;
}

static struct http_buf *buf_of(const struct strbuf *sb)
{
	return strbuf_oom(sb) ? NULL : http_buf_new(sb->buf, sb->len);
}

/* object: its bytes in the form of the stream. */
static struct http_buf *frame(const struct strbuf *object, const char *type, enum repr repr)
{
	cleanup(strbuf_done) struct strbuf out = STRBUF_INIT;

	if (strbuf_oom(object))
		return NULL;
	if (in_protobuf(repr)) {
		if (api_protobuf_write_event(type, object->buf, object->len, &out) < 0)
			return NULL;
		return buf_of(&out);
	}
	strbuf_reserve(&out, object->len + 64);
	strbuf_addf(&out, "{\"type\":\"%s\",\"object\":", type);
	strbuf_add(&out, object->buf, object->len);
	strbuf_adds(&out, "}\n");
	return buf_of(&out);
}

struct http_buf *watch_frame(const struct resource *r, const struct http_buf *json, const char *type, enum repr repr)
{
	cleanup(strbuf_done) struct strbuf object = STRBUF_INIT;

	if (repr == REPR_JSON) { /* by far the most: without the copy between */
		char head[48];
		size_t head_len = (size_t)snprintf(head, sizeof(head), "{\"type\":\"%s\",\"object\":", type);
		struct http_buf *b = http_buf_new(NULL, head_len + json->len + 2);

		if (!b)
			return NULL;
		memcpy(b->data, head, head_len);
		memcpy(b->data + head_len, json->data, json->len);
		memcpy(b->data + head_len + json->len, "}\n", 2);
		return b;
	}
	if (object_write_form(r, json, repr, &object) < 0)
		return NULL;
	return frame(&object, type, repr);
}

struct http_buf *watch_frame_of(const json_t *obj, const char *type, enum repr repr)
{
	cleanup(strbuf_done) struct strbuf object = STRBUF_INIT;
	cleanup(free) char *text = NULL;

	if (!obj)
		return NULL;
	if (in_protobuf(repr)) {
		const char *version = api_get_str(obj, "apiVersion") ?: "", *kind = api_get_str(obj, "kind") ?: "";
		const struct api_type *t = streq(kind, "PartialObjectMetadata") ? &api_type_partial_object_metadata
										: api_protobuf_type(version, kind);

		if (!t || api_protobuf_write(t, version, kind, obj, &object) < 0)
			return NULL;
	} else {
		text = json_dumps(obj, JSON_COMPACT);
		if (!text)
			return NULL;
		strbuf_adds(&object, text);
	}
	return frame(&object, type, repr);
}

struct http_buf *event_encoding(const struct resource *r, struct event *ev, enum watch_type type, enum repr repr)
{
	static const char *const names[] = { "ADDED", "MODIFIED", "DELETED" };
	struct encoding *e;
	struct http_buf *json, *buf;

	for (e = ev->encodings; e; e = e->next)
		if (e->type == type && e->repr == repr)
			return e->buf;
	/* What a watcher loses is told in the state it last saw, at the revision of its loss. */
	json = type == WATCH_DELETED ? object_json_at(r, ev->prev, ev->rev) : http_buf_ref(ev->cur->json);
	if (!json)
		return NULL;
	buf = watch_frame(r, json, names[type], repr);
	http_buf_unref(json);
	e = buf ? malloc(sizeof(*e)) : NULL;
	if (!e) {
		if (buf)
			http_buf_unref(buf);
		return NULL;
	}
	*e = (struct encoding){ ev->encodings, type, repr, buf };
	ev->encodings = e;
	return buf;
}

void event_encodings_free(struct event *ev)
{
	struct encoding *e;

	while ((e = ev->encodings)) {
		ev->encodings = e->next;
		http_buf_unref(e->buf);
		free(e);
	}
}
