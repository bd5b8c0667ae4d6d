/* SPDX-License-Identifier: Apache-2.0 */
/* What a handler answers with, on either protocol: complete, streamed, or the raw connection. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../base/str.h"
#include "http-server-internal.h"
#include "ws.h"

static const struct {
	int status;
	const char *reason;
} reasons[] = {
	{ 100, "Continue" },
	{ 101, "Switching Protocols" },
	{ 200, "OK" },
	{ 201, "Created" },
	{ 202, "Accepted" },
	{ 204, "No Content" },
	{ 206, "Partial Content" },
	{ 301, "Moved Permanently" },
	{ 302, "Found" },
	{ 303, "See Other" },
	{ 304, "Not Modified" },
	{ 307, "Temporary Redirect" },
	{ 308, "Permanent Redirect" },
	{ 400, "Bad Request" },
	{ 401, "Unauthorized" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 406, "Not Acceptable" },
	{ 408, "Request Timeout" },
	{ 409, "Conflict" },
	{ 410, "Gone" },
	{ 412, "Precondition Failed" },
	{ 413, "Request Entity Too Large" },
	{ 415, "Unsupported Media Type" },
	{ 417, "Expectation Failed" },
	{ 422, "Unprocessable Entity" },
	{ 426, "Upgrade Required" },
	{ 429, "Too Many Requests" },
	{ 431, "Request Header Fields Too Large" },
	{ 500, "Internal Server Error" },
	{ 501, "Not Implemented" },
	{ 502, "Bad Gateway" },
	{ 503, "Service Unavailable" },
	{ 504, "Gateway Timeout" },
	{ 505, "HTTP Version Not Supported" },
};

const char *http_reason(int status)
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Status";
}

/* --- complete answers --------------------------------------------------------------------------------------------- */

static bool header_name_ok(const char *name)
{
	const char *p = name;

	while (isalnum((unsigned char)*p) || (*p && strchr("!#$%&'*+-.^_`|~", *p)))
		p++;
	return p > name && !*p;
}

void http_add_header(struct http_req *req, const char *name, const char *value)
{
	size_t at;

	if (req->state != REQ_HANDLING || !header_name_ok(name))
		return;
	strbuf_add(&req->extra, name, strlen(name) + 1);
	at = req->extra.len;
	strbuf_add(&req->extra, value, strlen(value) + 1);
	if (strbuf_oom(&req->extra))
		return;
	/* A line break would let a value write headers of its own. */
	for (char *p = req->extra.buf + at; *p; p++)
		if ((unsigned char)*p < ' ' && *p != '\t')
			*p = ' ';
}

/*
 * May an answer begin? A handler that answers twice is wrong; the second is dropped rather than mixed into the first.
 */
static bool may_answer(const struct http_req *req)
{
	return !req_gone(req) && req->state == REQ_HANDLING;
}

static void answer(struct http_req *req, int status, const char *content_type, int64_t len, struct http_buf *body)
{
	if (status == 204 || status == 304) {
		req->head_only = true;
		len = 0;
	}
	if (strbuf_oom(&req->extra)) {
		conn_doom(req->conn);
		return;
	}
	if (req->head_only)
		body = NULL;
	if (!http_req_is_h2(req)) {
		h1_answer(req, status, content_type, len, body);
		return;
	}
	if (body && out_push(&req->out, body, false) < 0) {
		conn_doom(req->conn);
		return;
	}
	h2_answer(req, status, content_type, len);
}

void http_respond_buf(struct http_req *req, int status, const char *content_type, struct http_buf *body)
{
	if (!may_answer(req))
		return;
	req->state = REQ_DONE;
	answer(req, status, content_type, (int64_t)body->len, body);
	conn_dirty(req->conn);
}

void http_respond(struct http_req *req, int status, const char *content_type, const void *body, size_t len)
{
	struct http_buf *b;

	if (!may_answer(req))
		return;
	b = http_buf_new(body, len);
	if (!b) {
		conn_doom(req->conn);
		return;
	}
	http_respond_buf(req, status, content_type, b);
	http_buf_unref(b);
}

void answer_fault(struct http_req *req, int status)
{
	char text[128];
	int n = snprintf(text, sizeof(text), "%d %s\n", status, http_reason(status));

	req->state = REQ_HANDLING;
	req->keep_alive = false; /* where the next request would begin is not known */
	http_respond(req, status, "text/plain; charset=utf-8", text, (size_t)n);
}

/* --- streams ------------------------------------------------------------------------------------------------------ */

int http_stream_start(struct http_req *req, int status, const char *content_type)
{
	if (!may_answer(req))
		return -EPIPE;
	req->state = REQ_STREAMING;
	answer(req, status, content_type, -1, NULL);
	strbuf_done(&req->extra); /* sent; a watch may last for hours */
	/* Without a body it is over: a producer that writes until enough is pending would write for ever. */
	if (req->head_only)
		req->state = REQ_DONE;
	conn_dirty(req->conn);
	return req_gone(req) ? -EPIPE : 0;
}

size_t http_stream_pending(const struct http_req *req)
{
	return http_req_is_h2(req) ? req->out.bytes : req->conn->out.bytes;
}

static void arm_drain(struct http_req *req)
{
	if (req->on_drain && !req->drain_armed) {
		req->drain_armed = true;
		req->conn->n_draining++;
	}
}

static int stream_queue(struct http_req *req, struct http_buf *buf)
{
	struct http_conn *c = req->conn;

	if (http_req_is_h2(req)) {
		if (out_push(&req->out, buf, false) < 0)
			conn_doom(c);
		else
			h2_resume(req);
		conn_dirty(c);
	} else {
		conn_queue(c, buf, req->chunked);
	}
	/* A producer that writes a lot at once is not a slow reader: see first what the kernel takes. */
	if (http_stream_pending(req) > HTTP_EAGER_BYTES)
		conn_flush(c);
	if (!req_gone(req) && http_stream_pending(req) > c->server->config.max_pending) {
		if (http_req_is_h2(req))
			h2_cancel(req);
		else
			conn_doom(c);
	}
	arm_drain(req);
	return req_gone(req) ? -EPIPE : 0;
}

int http_stream_write_buf(struct http_req *req, struct http_buf *buf)
{
	if (req_gone(req) || req->state != REQ_STREAMING)
		return -EPIPE;
	return stream_queue(req, buf);
}

int http_stream_write(struct http_req *req, const void *data, size_t len)
{
	struct http_buf *b;
	int r;

	if (req_gone(req) || req->state != REQ_STREAMING)
		return -EPIPE;
	b = http_buf_new(data, len);
	if (!b) {
		conn_doom(req->conn);
		return -EPIPE;
	}
	r = http_stream_write_buf(req, b);
	http_buf_unref(b);
	return r;
}

void http_stream_on_drain(struct http_req *req, size_t low_water, void (*fn)(struct http_req *req, void *data))
{
	if (req->drain_armed)
		req->conn->n_draining--;
	req->drain_armed = false;
	req->on_drain = fn;
	req->low_water = low_water;
	arm_drain(req);
	if (fn)
		conn_dirty(req->conn);
}

/* on_drain may write, end, or cut off its own request and write to others; none of that frees a request. */
void answer_drain(struct http_conn *c)
{
	list_for_each (n, &c->reqs) {
		struct http_req *req = list_entry(n, struct http_req, node);

		if (!req->drain_armed || req_gone(req) || http_stream_pending(req) >= req->low_water)
			continue;
		req->drain_armed = false;
		c->n_draining--;
		if (req->state == REQ_STREAMING || req->state == REQ_RAW)
			req->on_drain(req, req->data);
	}
}

void http_stream_end(struct http_req *req)
{
	if (req_gone(req) || req->state != REQ_STREAMING)
		return;
	req->state = REQ_DONE;
	if (http_req_is_h2(req))
		h2_resume(req);
	else if (req->chunked)
		conn_queue_copy(req->conn, "0\r\n\r\n", 5);
	conn_dirty(req->conn);
}

void http_stream_abort(struct http_req *req)
{
	if (req_gone(req) || (req->state != REQ_STREAMING && req->state != REQ_DONE))
		return;
	if (http_req_is_h2(req))
		h2_cancel(req);
	else
		conn_doom(req->conn);
}

/* --- raw connections ---------------------------------------------------------------------------------------------- */

int http_hijack(struct http_req *req, const char *head, size_t head_len,
		void (*on_data)(struct http_req *req, void *data, const void *bytes, size_t len))
{
	struct http_conn *c = req->conn;

	if (!may_answer(req))
		return -EPIPE;
	if (http_req_is_h2(req))
		return -EOPNOTSUPP;
	req->state = REQ_RAW;
	req->on_data = on_data;
	req->keep_alive = req->chunked = false;
	c->mode = CONN_RAW;
	if (head_len)
		conn_queue_copy(c, head, head_len);
	conn_dirty(c); /* delivers what came early */
	return c->doomed ? -EPIPE : 0;
}

int http_hijack_write(struct http_req *req, const void *bytes, size_t len)
{
	struct http_buf *b;
	int r;

	if (req_gone(req) || req->state != REQ_RAW)
		return -EPIPE;
	b = http_buf_new(bytes, len);
	if (!b) {
		conn_doom(req->conn);
		return -EPIPE;
	}
	r = stream_queue(req, b);
	http_buf_unref(b);
	return r;
}

void http_hijack_pause(struct http_req *req, bool pause)
{
	struct http_conn *c = req->conn;

	if (req_gone(req) || req->state != REQ_RAW || c->paused == pause)
		return;
	c->paused = pause;
	c->read_more = c->ssl && !pause; /* TLS may hold bytes already */
	conn_dirty(c);
}

void http_hijack_close(struct http_req *req)
{
	if (req_gone(req) || req->state != REQ_RAW)
		return;
	req->state = REQ_DONE;
	conn_dirty(req->conn);
}

int http_ws_accept(struct http_req *req, const char *protocol,
		   void (*on_data)(struct http_req *req, void *data, const void *bytes, size_t len))
{
	const char *key = http_req_header(req, "sec-websocket-key");
	const char *version = http_req_header(req, "sec-websocket-version");
	char accept[29], head[512];
	int n;

	if (!may_answer(req))
		return -EPIPE;
	if (!http_req_wants_upgrade(req, "websocket") || !streq(req->method, "GET") || !key || strlen(key) != 24) {
		http_respond(req, 400, "text/plain; charset=utf-8", "not a WebSocket handshake\n", 26);
		return -EPROTO;
	}
	if (!streq(version, "13")) {
		http_add_header(req, "Sec-WebSocket-Version", "13");
		http_respond(req, 426, "text/plain; charset=utf-8", "only WebSocket version 13\n", 26);
		return -EPROTO;
	}
	ws_accept_key(key, accept);
	n = snprintf(head, sizeof(head),
		     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		     "Sec-WebSocket-Accept: %s\r\n%s%s%s\r\n",
		     accept, protocol ? "Sec-WebSocket-Protocol: " : "", protocol ? protocol : "",
		     protocol ? "\r\n" : "");
	if (n < 0 || n >= (int)sizeof(head))
		return -EINVAL;
	return http_hijack(req, head, (size_t)n, on_data);
}
