/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/2 on nghttp2. Its callbacks run inside mem_recv or mem_send, where neither may be called again, so they only
 * take notes: a complete request sets conn->ready, a closed stream conn->reap, and conn_settle() acts on them.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../base/str.h"
#include "http-server-internal.h"

#define MAX_EXTRA_HEADERS 32
#define FRAME_ROOM	  (16384 + 9) /* our largest frame */
#define FRAME_BUF_SIZE	  20480
#define DROP_FACTOR	  4 /* so many of max_body are read and dropped behind an early answer */

static struct http_req *stream_req(nghttp2_session *h2, int32_t id)
{
	return nghttp2_session_get_stream_user_data(h2, id);
}

/* Answers with status instead of calling the handler; what the peer still sends of it is dropped. */
static void fault(struct http_req *req, int status)
{
	if (!status || req->state >= REQ_READY)
		return;
	req->fault = (uint16_t)status;
	req->state = REQ_READY;
	req->conn->ready = true;
}

/* --- receiving ---------------------------------------------------------------------------------------------------- */

static int on_begin_headers(nghttp2_session *h2, const nghttp2_frame *frame, void *arg)
{
	struct http_conn *c = arg;
	struct http_req *req;

	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	req = req_new(c);
	if (!req)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* resets the stream */
	req->stream_id = frame->hd.stream_id;
	return nghttp2_session_set_stream_user_data(h2, req->stream_id, req);
}

static int on_header(nghttp2_session *h2, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
		     const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
	struct http_req *req = stream_req(h2, frame->hd.stream_id);
	const char *n = (const char *)name;

	(void)flags;
	(void)arg;
	if (!req || req->state != REQ_HEAD)
		return 0; /* trailers, or refused already */
	if (name_len == 10 && !memcmp(name, ":authority", 10))
		n = "host", name_len = 4;
	if (memchr(value, '\0', value_len) || memchr(n, '\0', name_len))
		fault(req, 400);
	else
		fault(req, req_head_pair(req, n, name_len, (const char *)value, value_len));
	return 0;
}

static int on_data(nghttp2_session *h2, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *arg)
{
	struct http_req *req = stream_req(h2, id);

	(void)flags;
	(void)arg;
	if (!req)
		return 0;
	if (req->state == REQ_BODY)
		fault(req, req_body_add(req, data, len));
	if (!req->fault)
		return 0;
	/*
	 * The answer is on its way while the peer is still sending. Resetting the stream at once would be allowed
	 * (RFC 9113, 8.1), but libcurl then loses the answer.
	 */
	req->dropped += len;
	if (req->dropped > req->conn->server->config.max_body * DROP_FACTOR)
		(void)nghttp2_submit_rst_stream(h2, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
	return 0;
}

static void head_complete(struct http_req *req, bool has_body)
{
	const char *expect, *length;
	nghttp2_nv go_on = { (uint8_t *)":status", (uint8_t *)"100", 7, 3, NGHTTP2_NV_FLAG_NONE };
	uint64_t n = 0;
	int r;

	if (req->state != REQ_HEAD)
		return;
	r = req_head_done(req);
	length = http_req_header(req, "content-length");
	if (!r && length && (str_to_u64(length, INT64_MAX, &n) < 0 || n > req->conn->server->config.max_body))
		r = 413;
	if (r) {
		fault(req, r);
		return;
	}
	req->state = REQ_BODY;
	expect = http_req_header(req, "expect");
	if (has_body && expect && !strcasecmp(expect, "100-continue"))
		(void)nghttp2_submit_headers(req->conn->h2, NGHTTP2_FLAG_NONE, req->stream_id, NULL, &go_on, 1, NULL);
}

static int on_frame(nghttp2_session *h2, const nghttp2_frame *frame, void *arg)
{
	struct http_conn *c = arg;
	bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
	struct http_req *req;

	if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
		return 0;
	req = stream_req(h2, frame->hd.stream_id);
	if (!req)
		return 0;
	if (frame->hd.type == NGHTTP2_HEADERS)
		head_complete(req, !end);
	if (end && req->state == REQ_BODY) {
		req->state = REQ_READY;
		c->ready = true;
	}
	return 0;
}

static int on_stream_close(nghttp2_session *h2, int32_t id, uint32_t code, void *arg)
{
	struct http_conn *c = arg;
	struct http_req *req = stream_req(h2, id);

	(void)code;
	if (req) {
		req->closed = true;
		c->reap = true;
		conn_dirty(c); /* this may be inside a handler's write to another stream */
	}
	return 0;
}

/*
 * Each session allocates a 16 KB buffer when it is made, in which it builds the frame that mem_send returns. We copy
 * a frame before anything else is asked of nghttp2, and nghttp2 does not look at one again that it has returned, so
 * that one buffer serves all sessions of a server: with 10,000 connections, 160 MB less. Further buffers of a session
 * (CONTINUATION) are its own, as is everything when a version of nghttp2 asks for another size.
 */
static void *mem_malloc(size_t size, void *arg)
{
	struct http_server *s = arg;

	if (s->h2_frame_wanted && size >= 16384 && size <= FRAME_BUF_SIZE) {
		s->h2_frame_wanted = false;
		return s->h2_frame_buf;
	}
	return malloc(size);
}

static void mem_free(void *p, void *arg)
{
	if (p != ((struct http_server *)arg)->h2_frame_buf)
		free(p);
}

static void *mem_calloc(size_t n, size_t size, void *arg)
{
	(void)arg;
	return calloc(n, size);
}

static void *mem_realloc(void *p, size_t size, void *arg)
{
	struct http_server *s = arg;
	void *copy;

	if (!p)
		return mem_malloc(size, arg);
	if (p != s->h2_frame_buf)
		return realloc(p, size);
	copy = malloc(size);
	if (copy)
		memcpy(copy, p, size < FRAME_BUF_SIZE ? size : FRAME_BUF_SIZE);
	return copy;
}

int h2_server_init(struct http_server *s)
{
	nghttp2_session_callbacks *cb;

	s->h2_frame_buf = malloc(FRAME_BUF_SIZE);
	if (!s->h2_frame_buf || nghttp2_session_callbacks_new(&s->h2_callbacks) || nghttp2_option_new(&s->h2_option))
		return -ENOMEM;
	s->h2_mem = (nghttp2_mem){ s, mem_malloc, mem_free, mem_calloc, mem_realloc };
	cb = s->h2_callbacks;
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
	nghttp2_option_set_no_closed_streams(s->h2_option, 1); /* kept only for priorities, which we do not use */
	return 0;
}

void h2_server_done(struct http_server *s)
{
	nghttp2_session_callbacks_del(s->h2_callbacks);
	nghttp2_option_del(s->h2_option);
	free(s->h2_frame_buf);
}

int h2_start(struct http_conn *c)
{
	nghttp2_settings_entry iv[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, HTTP_H2_STREAMS },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)c->server->config.max_header },
	};

	struct http_server *s = c->server;
	int r;

	c->mode = CONN_HTTP2;
	s->h2_frame_wanted = true;
	r = nghttp2_session_server_new3(&c->h2, s->h2_callbacks, c, s->h2_option, &s->h2_mem);
	s->h2_frame_wanted = false;
	if (r || nghttp2_submit_settings(c->h2, NGHTTP2_FLAG_NONE, iv, sizeof(iv) / sizeof(iv[0])))
		return -ENOMEM;
	return 0;
}

void h2_input(struct http_conn *c, const char *data, size_t len)
{
	if (nghttp2_session_mem_recv(c->h2, (const uint8_t *)data, len) < 0)
		conn_doom(c); /* not HTTP/2, out of memory, or flooding */
}

void h2_dispatch(struct http_conn *c)
{
	c->ready = false;
	list_for_each (n, &c->reqs) {
		struct http_req *req = list_entry(n, struct http_req, node);

		if (req->state == REQ_READY && !req_gone(req))
			req_dispatch(req);
	}
}

void h2_reap(struct http_conn *c)
{
	c->reap = false;
	list_for_each_safe (n, tmp, &c->reqs) {
		struct http_req *req = list_entry(n, struct http_req, node);

		if (req->closed)
			req_free(req);
	}
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

static ssize_t read_body(nghttp2_session *h2, int32_t id, uint8_t *buf, size_t size, uint32_t *flags,
			 nghttp2_data_source *source, void *arg)
{
	struct http_req *req = stream_req(h2, id);
	size_t n;

	(void)source;
	(void)arg;
	if (!req)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	n = out_peek(&req->out, buf, size);
	out_drop(&req->out, n);
	if (req->state == REQ_DONE && !req->out.bytes)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	else if (!n)
		return NGHTTP2_ERR_DEFERRED;
	return (ssize_t)n;
}

ssize_t h2_output(struct http_conn *c, char *dst, size_t size, struct http_buf **ret_rest)
{
	size_t len = 0;

	while (size - len >= FRAME_ROOM) {
		const uint8_t *frame;
		ssize_t n = nghttp2_session_mem_send(c->h2, &frame);

		if (n < 0)
			return -EPIPE;
		if (!n)
			break;
		if ((size_t)n > size - len) {
			*ret_rest = http_buf_new(frame, (size_t)n);
			if (!*ret_rest)
				return -ENOMEM;
			break;
		}
		memcpy(dst + len, frame, (size_t)n);
		len += (size_t)n;
	}
	return (ssize_t)len;
}

/* Headers that mean something only on one HTTP/1 connection (RFC 9113, 8.2.2). */
static bool per_connection(const char *name)
{
	return !strcasecmp(name, "connection") || !strcasecmp(name, "keep-alive") || !strcasecmp(name, "upgrade") ||
	       !strcasecmp(name, "transfer-encoding") || !strcasecmp(name, "proxy-connection");
}

static void add_nv(nghttp2_nv *nva, size_t *n, const char *name, const char *value)
{
	nva[(*n)++] = (nghttp2_nv){ (uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value),
				    NGHTTP2_NV_FLAG_NONE };
}

void h2_answer(struct http_req *req, int status, const char *content_type, int64_t body_len)
{
	struct http_conn *c = req->conn;
	nghttp2_data_provider body = { .read_callback = read_body };
	bool no_body = req->head_only || !body_len;
	nghttp2_nv nva[4 + MAX_EXTRA_HEADERS];
	char code[12], length[24];
	const char *name, *value;
	size_t n = 0, at = 0;

	snprintf(code, sizeof(code), "%d", status);
	snprintf(length, sizeof(length), "%lld", (long long)body_len);
	add_nv(nva, &n, ":status", code);
	add_nv(nva, &n, "date", server_date(c->server));
	if (content_type)
		add_nv(nva, &n, "content-type", content_type);
	if (body_len >= 0 && status != 204 && status != 304)
		add_nv(nva, &n, "content-length", length);
	while (n < sizeof(nva) / sizeof(nva[0]) && pairs_next(&req->extra, &at, &name, &value)) {
		for (char *p = (char *)name; *p; p++)
			*p = (char)tolower((unsigned char)*p);
		if (!per_connection(name))
			add_nv(nva, &n, name, value);
	}
	if (nghttp2_submit_response(c->h2, req->stream_id, nva, n, no_body ? NULL : &body))
		conn_doom(c);
}

void h2_resume(struct http_req *req)
{
	/* Fails when the data is not deferred: then it will be asked for anyway. */
	(void)nghttp2_session_resume_data(req->conn->h2, req->stream_id);
}

void h2_cancel(struct http_req *req)
{
	(void)nghttp2_submit_rst_stream(req->conn->h2, NGHTTP2_FLAG_NONE, req->stream_id, NGHTTP2_CANCEL);
	req->closed = true;
	req->conn->reap = true;
	out_clear(&req->out);
	conn_dirty(req->conn);
}

void h2_goaway(struct http_conn *c)
{
	(void)nghttp2_session_terminate_session(c->h2, NGHTTP2_NO_ERROR);
}

bool h2_over(const struct http_conn *c)
{
	return !nghttp2_session_want_read(c->h2) && !nghttp2_session_want_write(c->h2);
}
