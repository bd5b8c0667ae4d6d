/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists as answers. A short one is one buffer. A long one is written in pieces as the client takes them: beyond the
 * references to the objects, which are immutable and shared with the cache, it costs a piece and what is queued on the
 * connection, whatever the number of objects and the form. The references are those of one revision, so that the list
 * is that of one moment however long it takes.
 *
 * Protobuf puts the length of everything in front. Such a list is therefore encoded twice: once to be measured, some
 * objects at a time so that other requests go on, and once to be sent; unless it is so short that what was measured can
 * be kept.
 */
#include "apiserver-internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/clock.h"
#include "../../lib/base/str.h"

#define STREAM_MIN	 (128u << 10) /* bytes of JSON from which an answer is written in pieces; gzip's threshold, too */
#define PIECE		 (64u << 10)
#define LOW_WATER	 (128u << 10)
#define KEEP_MAX	 (512u << 10) /* bytes kept while measuring */
#define STALL_MS	 60000	      /* a reader that takes no piece for so long (or --request-timeout) is cut off */
#define MEASURE_SLICE_NS 3000000      /* of the loop's time at once */

struct list_out {
	struct call *c;
	struct http_buf **items;
	size_t n, next;
	const char *include; /* tables */
	int64_t now_ms;
	json_t *meta;
	char kind[160];
	size_t items_len; /* protobuf: bytes of all items */
	struct gzip *gzip;
	struct loop_timer timer;
	struct strbuf piece, packed;
	bool kept; /* all items have been encoded into piece */
};

static void list_out_free(struct list_out *l)
{
	if (!l)
		return;
	loop_timer_cancel(&l->timer);
	for (size_t i = 0; l->items && i < l->n; i++)
		if (l->items[i])
			http_buf_unref(l->items[i]);
	free(l->items);
	gzip_free(l->gzip);
	json_decref(l->meta);
	strbuf_done(&l->piece);
	strbuf_done(&l->packed);
	free(l);
}

static void call_free_list(struct call *c)
{
	list_out_free(TAKE(c->data));
}

static json_t *list_meta(int64_t rev, const char *cont, int64_t remaining)
{
	char rv[24];
	json_t *meta;

	snprintf(rv, sizeof(rv), "%lld", (long long)rev);
	meta = json_pack("{s:s}", "resourceVersion", rv);
	if (meta && *cont) {
		json_object_set_new(meta, "continue", json_string(cont));
		if (remaining > 0)
			json_object_set_new(meta, "remainingItemCount", json_integer(remaining));
	}
	return meta;
}

static struct list_out *list_out_new(struct call *c, struct http_buf *const *items, size_t n, json_t *meta)
{
	struct list_out *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->items = malloc((n ? n : 1) * sizeof(*l->items));
	if (!l->items) {
		free(l);
		return NULL;
	}
	for (size_t i = 0; i < n; i++)
		l->items[i] = http_buf_ref(items[i]);
	l->n = n;
	l->c = c;
	l->include = call_include_object(c);
	l->now_ms = clock_real_ms();
	l->meta = json_incref(meta);
	strbuf_init(&l->piece);
	strbuf_init(&l->packed);
	return l;
}

/* --- the parts of each form --------------------------------------------------------------------------------------- */

static const char *type_of(enum repr repr)
{
	switch (repr) {
	case REPR_YAML:
		return "application/yaml";
	case REPR_PROTOBUF:
	case REPR_META_PROTOBUF:
		return PROTOBUF_TYPE;
	default:
		return "application/json";
	}
}

static bool is_protobuf(const struct list_out *l)
{
	return l->c->repr == REPR_PROTOBUF || l->c->repr == REPR_META_PROTOBUF;
}

static void add_json(struct strbuf *out, const json_t *v)
{
	cleanup(free) char *text = v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

	if (text)
		strbuf_adds(out, text);
	else
		out->oom = true;
}

static const char *list_kind(struct list_out *l)
{
	const struct api_kind *k = l->c->res->kind;

	if (k->list_kind && *k->list_kind)
		return k->list_kind;
	snprintf(l->kind, sizeof(l->kind), "%sList", k->kind);
	return l->kind;
}

static void write_head(struct list_out *l, struct strbuf *out)
{
	const struct resource *r = l->c->res;
	bool partial = l->c->repr == REPR_META || l->c->repr == REPR_META_PROTOBUF;
	const char *version = partial ? META_V1 : r->api_version;
	char kind[160];
	json_t *columns;

	snprintf(kind, sizeof(kind), "%s", partial ? "PartialObjectMetadataList" : list_kind(l));
	switch (l->c->repr) {
	case REPR_PROTOBUF:
	case REPR_META_PROTOBUF:
		if (api_protobuf_write_list(version, kind, l->meta, l->items_len, out) < 0)
			out->oom = true;
		break;
	case REPR_TABLE:
		strbuf_adds(out, "{\"kind\":\"Table\",\"apiVersion\":\"" META_V1 "\",\"metadata\":");
		add_json(out, l->meta);
		strbuf_adds(out, ",\"columnDefinitions\":");
		columns = api_table_columns(r->kind);
		add_json(out, columns);
		json_decref(columns);
		strbuf_adds(out, ",\"rows\":[");
		break;
	case REPR_YAML: /* keys sorted, as Kubernetes has it */
		strbuf_addf(out, "apiVersion: %s\nitems:%s\n", version, l->n ? "" : " []");
		break;
	default:
		strbuf_addf(out, "{\"kind\":\"%s\",\"apiVersion\":\"%s\",\"metadata\":", kind, version);
		add_json(out, l->meta);
		strbuf_adds(out, ",\"items\":[");
	}
}

static void write_tail(struct list_out *l, struct strbuf *out)
{
	json_t *v;

	if (l->c->repr == REPR_YAML) {
		strbuf_addf(out, "kind: %s\n", list_kind(l));
		v = json_pack("{s:O}", "metadata", l->meta);
		if (v)
			api_yaml_write(v, out);
		json_decref(v);
	} else if (!is_protobuf(l)) {
		strbuf_adds(out, "]}");
	}
}

static void write_parsed(struct list_out *l, size_t i, struct strbuf *out)
{
	bool partial = l->c->repr == REPR_META_PROTOBUF;
	json_t *obj = object_parse(l->c->res, l->items[i], partial), *v;

	if (!obj) {
		out->oom = true;
		return;
	}
	if (is_protobuf(l)) {
		if (api_protobuf_write_item(partial ? &api_type_partial_object_metadata : l->c->res->kind->type, obj,
					    out) < 0)
			out->oom = true;
	} else if (l->c->repr == REPR_TABLE) {
		v = api_table_row(l->c->res->kind, obj, l->include, l->now_ms);
		add_json(out, v);
		json_decref(v);
	} else {
		v = json_pack("[O]", obj);
		if (v)
			api_yaml_write(v, out);
		json_decref(v);
	}
	json_decref(obj);
}

static void write_item(struct list_out *l, size_t i, struct strbuf *out)
{
	enum repr repr = l->c->repr;

	if (i && (repr == REPR_JSON || repr == REPR_META || repr == REPR_TABLE))
		strbuf_addc(out, ',');
	if (repr == REPR_JSON || repr == REPR_META)
		(void)object_write_form(l->c->res, l->items[i], repr, out);
	else
		write_parsed(l, i, out);
}

/* --- a short list ------------------------------------------------------------------------------------------------- */

static void answer_whole(struct list_out *l)
{
	cleanup(strbuf_done) struct strbuf out = STRBUF_INIT, items = STRBUF_INIT;

	if (is_protobuf(l)) {
		for (size_t i = 0; i < l->n; i++)
			write_item(l, i, &items);
		l->items_len = items.len;
		write_head(l, &out);
		strbuf_add(&out, items.buf, items.len);
	} else {
		write_head(l, &out);
		for (size_t i = 0; i < l->n; i++)
			write_item(l, i, &out);
		write_tail(l, &out);
	}
	if (strbuf_oom(&out) || strbuf_oom(&items))
		call_oom(l->c);
	else
		call_bytes(l->c, 200, type_of(l->c->repr), out.buf, out.len);
}

/* --- a long one --------------------------------------------------------------------------------------------------- */

static void on_drain(struct http_req *req, void *data);

static int stall_ms(const struct list_out *l)
{
	int s = l->c->s->config.request_timeout_s;

	return s ? s * 1000 : STALL_MS;
}

/* Its references and its seat are wanted by others. */
static void on_stall(struct loop_timer *timer)
{
	struct list_out *l = timer->arg;

	http_stream_abort(l->c->req);
}

/* The next piece. Out of memory there is no way to tell any more but to break off. */
static void pump(struct list_out *l)
{
	struct http_req *req = l->c->req;
	struct strbuf *out = &l->piece;
	bool last;
	int r = 0;

	if (!l->next) {
		write_head(l, out);
	} else if (l->kept) {
		cleanup(strbuf_done) struct strbuf items = l->piece;

		strbuf_init(&l->piece);
		write_head(l, out);
		strbuf_add(out, items.buf, items.len);
		l->piece.oom |= strbuf_oom(&items);
	}
	while (l->next < l->n && out->len < PIECE && !strbuf_oom(out)) {
		write_item(l, l->next, out);
		/* What is sent need not be kept: the cache may have let go of it. */
		http_buf_unref(TAKE(l->items[l->next]));
		l->next++;
	}
	last = l->next == l->n;
	if (last)
		write_tail(l, out);
	if (strbuf_oom(out)) {
		http_stream_abort(req);
		return;
	}
	(void)loop_timer_set(l->c->s->loop, &l->timer, stall_ms(l));
	if (l->gzip) {
		strbuf_clear(&l->packed);
		r = gzip_add(l->gzip, out->buf, out->len, last, &l->packed);
		out = &l->packed;
	}
	if (r == 0 && out->len)
		r = http_stream_write(req, out->buf, out->len);
	strbuf_clear(&l->piece);
	if (r == -EPIPE)
		return; /* on_close follows */
	if (r < 0)
		http_stream_abort(req);
	else if (last)
		http_stream_end(req);
	else
		http_stream_on_drain(req, LOW_WATER, on_drain);
}

static void on_drain(struct http_req *req, void *data)
{
	struct call *c = data;
	struct list_out *l = c->data;

	(void)req;
	if (l && l->next < l->n)
		pump(l);
}

static void stream(struct list_out *l)
{
	struct call *c = l->c;

	if (gzip_accepted(c) && (l->gzip = gzip_new()))
		gzip_announce(c);
	c->keeps_seat = true;
	l->timer.fn = on_stall;
	l->timer.arg = l;
	call_started_stream(c, 200);
	if (http_stream_start(c->req, 200, type_of(c->repr)) < 0)
		return; /* on_close follows */
	pump(l);
}

static void measure(struct loop_timer *timer)
{
	struct list_out *l = timer->arg;
	uint64_t until = clock_mono_ns() + MEASURE_SLICE_NS;

	if (call_dead(l->c))
		return; /* its time was up */
	while (l->next < l->n && clock_mono_ns() < until) {
		size_t before;

		if (!l->kept)
			strbuf_clear(&l->piece);
		before = l->piece.len;
		write_item(l, l->next++, &l->piece);
		l->items_len += l->piece.len - before;
		if (l->kept && l->piece.len > KEEP_MAX) {
			l->kept = false;
			strbuf_done(&l->piece);
		}
	}
	if (strbuf_oom(&l->piece)) {
		call_oom(l->c);
		return;
	}
	if (l->next < l->n) {
		(void)loop_timer_set(l->c->s->loop, timer, 0);
		return;
	}
	if (!l->kept) {
		strbuf_clear(&l->piece);
		l->next = 0;
	}
	stream(l);
}

static void answer_in_pieces(struct list_out *l)
{
	struct call *c = l->c;

	c->data = l;
	c->data_free = call_free_list;
	c->on_close = call_free_list;
	if (!is_protobuf(l)) {
		stream(l);
		return;
	}
	l->kept = true;
	l->timer.fn = measure;
	l->timer.arg = l;
	measure(&l->timer);
}

void call_list(struct call *c, struct http_buf *const *items, size_t n, int64_t rev, const char *cont,
	       int64_t remaining)
{
	json_t *meta = list_meta(rev, cont, remaining);
	struct list_out *l = meta ? list_out_new(c, items, n, meta) : NULL;
	size_t bytes = 0;

	json_decref(meta);
	if (!l) {
		call_oom(c);
		return;
	}
	for (size_t i = 0; i < n; i++)
		bytes += items[i]->len;
	if (call_dead(c) || !c->req || c->finish || bytes < STREAM_MIN || !streq(c->verb, "list")) {
		answer_whole(l);
		list_out_free(l);
		return;
	}
	answer_in_pieces(l);
}
