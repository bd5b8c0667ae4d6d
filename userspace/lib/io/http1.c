/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.0 and 1.1 on libhttp-parser. The distribution builds that library without its strict checks, so what could
 * make us and another server see different requests in the same bytes (RFC 9112, 11.2) is checked here again: header
 * names, framing headers, Host.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "../base/str.h"
#include "http-server-internal.h"

static struct http_req *current(const struct http_parser *p)
{
	struct http_conn *c = p->data;

	return list_first(&c->reqs, struct http_req, node);
}

/* --- parser callbacks: non-zero ends the request with req->fault -------------------------------------------------- */

static int refuse(struct http_req *req, int status)
{
	if (status)
		req->fault = (uint16_t)status;
	return status;
}

static int on_begin(http_parser *p)
{
	struct http_conn *c = p->data;

	c->begun = true;
	return req_new(c) ? 0 : -1;
}

static int on_url(http_parser *p, const char *data, size_t len)
{
	struct http_req *req = current(p);
	int r = 0;

	if (!req->head.len) {
		const char *method = http_method_str((enum http_method)p->method);

		r = req_head_pair(req, ":method", 7, method, strlen(method));
		if (!r)
			r = req_head_add(req, ":path", 6);
		req->in_value = true;
	}
	return refuse(req, r ? r : req_head_add(req, data, len));
}

/* Ends a value, without the white space after it, which is not part of it. */
static int end_value(struct http_req *req)
{
	while (req->head.len && strchr(" \t", req->head.buf[req->head.len - 1]) && req->head.buf[req->head.len - 1])
		req->head.len--;
	req->in_value = false;
	return req_head_add(req, "", 1);
}

/* Trailers are counted and dropped: nothing here may act on what comes after the body. */
static int drop_trailer(struct http_req *req, size_t len)
{
	req->head_bytes += len;
	return req->head_bytes > req->conn->server->config.max_header ? 431 : 0;
}

static int on_field(http_parser *p, const char *data, size_t len)
{
	struct http_req *req = current(p);
	int r = 0;

	if (req->state != REQ_HEAD)
		return refuse(req, drop_trailer(req, len));
	if (memchr(data, ' ', len))
		return refuse(req, 400); /* "Content-Length : 5" */
	if (req->in_value)
		r = end_value(req);
	if (!r)
		r = req_head_add(req, data, len);
	for (size_t i = req->head.len - len; !r && i < req->head.len; i++)
		if (req->head.buf[i] >= 'A' && req->head.buf[i] <= 'Z')
			req->head.buf[i] |= 0x20;
	return refuse(req, r);
}

static int on_value(http_parser *p, const char *data, size_t len)
{
	struct http_req *req = current(p);
	int r = 0;

	if (req->state != REQ_HEAD)
		return refuse(req, drop_trailer(req, len));
	if (!req->in_value) {
		req->in_value = true;
		r = req_head_add(req, "", 1);
	}
	return refuse(req, r ? r : req_head_add(req, data, len));
}

/* One way to tell where the body ends, and the parser sees it as we do; else 400. */
static int check_framing(const http_parser *p, const struct http_req *req)
{
	const char *te = http_req_header(req, "transfer-encoding");
	const char *length = http_req_header(req, "content-length");
	const char *host = http_req_header(req, "host");
	uint64_t n = 0;

	if (http_req_header_nth(req, "transfer-encoding", 1) || http_req_header_nth(req, "content-length", 1) ||
	    http_req_header_nth(req, "host", 1) || (te && length))
		return 400;
	if (!host && p->http_minor >= 1)
		return 400;
	if (te && strcasecmp(te, "chunked"))
		return 501;
	if (!te != !(p->flags & F_CHUNKED) || (te && !p->http_minor))
		return 400;
	if (length && (str_to_u64(length, INT64_MAX, &n) < 0 || p->content_length != n))
		return 400;
	return n > req->conn->server->config.max_body ? 413 : 0;
}

static int check_expect(const http_parser *p, struct http_req *req)
{
	const char *expect = http_req_header(req, "expect");
	bool has_body = (p->flags & F_CHUNKED) || (p->content_length && p->content_length != UINT64_MAX);

	if (!expect || !p->http_minor)
		return 0;
	if (strcasecmp(expect, "100-continue"))
		return 417;
	if (has_body)
		conn_queue_copy(req->conn, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	return 0;
}

static int on_head(http_parser *p)
{
	struct http_req *req = current(p);
	int r = end_value(req);

	if (!r && p->http_major != 1)
		r = 505;
	if (!r && p->method == HTTP_CONNECT)
		r = 501;
	if (!r)
		r = req_head_done(req);
	if (!r)
		r = check_framing(p, req);
	if (!r)
		r = check_expect(p, req);
	if (r) {
		refuse(req, r);
		return -1; /* 1 and 2 mean something else here */
	}
	req->upgrade = p->upgrade;
	req->state = REQ_BODY;
	return 0;
}

static int on_body(http_parser *p, const char *data, size_t len)
{
	return refuse(current(p), req_body_add(current(p), data, len));
}

static int on_complete(http_parser *p)
{
	struct http_req *req = current(p);

	req->keep_alive = http_should_keep_alive(p);
	req->chunked = p->http_minor >= 1; /* may the answer be */
	req->state = REQ_READY;
	http_parser_pause(p, 1); /* what follows is the next request's, or the upgraded protocol's */
	return 0;
}

static const http_parser_settings settings = {
	.on_message_begin = on_begin,
	.on_url = on_url,
	.on_header_field = on_field,
	.on_header_value = on_value,
	.on_headers_complete = on_head,
	.on_body = on_body,
	.on_message_complete = on_complete,
};

/* --- input -------------------------------------------------------------------------------------------------------- */

static int parser_fault(const http_parser *p)
{
	switch (HTTP_PARSER_ERRNO(p)) {
	case HPE_HEADER_OVERFLOW:
		return 431;
	case HPE_INVALID_METHOD:
		return 501;
	case HPE_INVALID_VERSION:
		return 505;
	default:
		return 400;
	}
}

/* The bytes are no request: answer what can be answered, and end the connection. */
static void broken(struct http_conn *c)
{
	struct http_req *req = list_first(&c->reqs, struct http_req, node);

	if (!req)
		req = req_new(c);
	if (!req) {
		conn_doom(c);
		return;
	}
	if (!req->fault)
		req->fault = (uint16_t)parser_fault(&c->parser);
	req->state = REQ_READY;
	strbuf_done(&c->in);
}

/* Parses up to the end of one request; returns the bytes used. */
static size_t feed(struct http_conn *c, const char *data, size_t len)
{
	size_t used;

	if (list_empty(&c->reqs)) {
		http_parser_init(&c->parser, HTTP_REQUEST);
		c->parser.data = c;
	}
	used = http_parser_execute(&c->parser, &settings, data, len);
	switch (HTTP_PARSER_ERRNO(&c->parser)) {
	case HPE_OK:
		return len;
	case HPE_PAUSED:
		return used;
	default:
		broken(c);
		return len;
	}
}

static bool waiting(const struct http_conn *c)
{
	const struct http_req *req = list_first(&c->reqs, struct http_req, node);

	return req && req->state >= REQ_READY;
}

/* While a request is being answered, the bytes of the next ones wait in c->in. */
void h1_input(struct http_conn *c, const char *data, size_t len)
{
	if (!c->in.len && !waiting(c)) {
		size_t used = feed(c, data, len);

		data += used;
		len -= used;
	}
	if (len)
		strbuf_add(&c->in, data, len);
	if (strbuf_oom(&c->in))
		conn_doom(c);
}

bool h1_advance(struct http_conn *c)
{
	struct http_req *req = list_first(&c->reqs, struct http_req, node);

	if (c->doomed)
		return false;
	if (req && req->state == REQ_DONE) {
		if (!req->keep_alive)
			c->closing = true;
		req_free(req);
		req = NULL;
	}
	if (c->mode != CONN_HTTP1 || c->closing || c->doomed)
		return false;
	/* One that sends requests without reading answers gets no more of them queued. */
	if (c->in.len && !waiting(c) && c->out.bytes < HTTP_BACKLOG_MAX) {
		size_t used = feed(c, c->in.buf, c->in.len);

		if (used >= c->in.len)
			strbuf_done(&c->in);
		else
			strbuf_drop_front(&c->in, used);
		req = list_first(&c->reqs, struct http_req, node);
	}
	if (!req || req->state != REQ_READY)
		return false;
	req_dispatch(req);
	return req->state == REQ_DONE;
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

void h1_answer(struct http_req *req, int status, const char *content_type, int64_t body_len, struct http_buf *body)
{
	struct http_conn *c = req->conn;
	struct strbuf sb = STRBUF_INIT;
	const char *name, *value;
	struct http_buf *buf;
	size_t at = 0;

	if (body_len < 0 && !req->chunked)
		req->keep_alive = false; /* HTTP/1.0: the end of the connection ends the body */
	strbuf_reserve(&sb, 256 + req->extra.len);
	strbuf_addf(&sb, "HTTP/1.1 %d %s\r\nDate: %s\r\n", status, http_reason(status), server_date(c->server));
	if (content_type)
		strbuf_addf(&sb, "Content-Type: %s\r\n", content_type);
	if (body_len >= 0 && status != 204 && status != 304)
		strbuf_addf(&sb, "Content-Length: %lld\r\n", (long long)body_len);
	else if (body_len < 0 && req->chunked)
		strbuf_adds(&sb, "Transfer-Encoding: chunked\r\n");
	if (!req->keep_alive)
		strbuf_adds(&sb, "Connection: close\r\n");
	else if (!c->parser.http_minor)
		strbuf_adds(&sb, "Connection: keep-alive\r\n");
	while (pairs_next(&req->extra, &at, &name, &value))
		strbuf_addf(&sb, "%s: %s\r\n", name, value);
	strbuf_adds(&sb, "\r\n");
	buf = strbuf_oom(&sb) ? NULL : http_buf_new(sb.buf, sb.len);
	strbuf_done(&sb);
	if (!buf) {
		conn_doom(c);
		return;
	}
	conn_queue(c, buf, false);
	http_buf_unref(buf);
	if (body)
		conn_queue(c, body, false);
}
