/* SPDX-License-Identifier: Apache-2.0 */
/* A request as both protocols fill it and as a handler reads it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../base/str.h"
#include "http-server-internal.h"

struct http_req *req_new(struct http_conn *c)
{
	struct http_req *req = calloc(1, sizeof(*req));

	if (!req)
		return NULL;
	req->conn = c;
	strbuf_init(&req->head);
	strbuf_init(&req->decoded);
	strbuf_init(&req->body);
	strbuf_init(&req->extra);
	out_init(&req->out);
	list_push_back(&c->reqs, &req->node);
	return req;
}

void req_free(struct http_req *req)
{
	struct http_conn *c = req->conn;

	req->closed = true;
	if (req->handled && req->on_close)
		req->on_close(req, req->data);
	if (req->drain_armed)
		c->n_draining--;
	if (req->stream_id && c->h2)
		(void)nghttp2_session_set_stream_user_data(c->h2, req->stream_id, NULL);
	list_remove(&req->node);
	c->server->body_bytes -= req->body.len;
	strbuf_done(&req->head);
	strbuf_done(&req->decoded);
	strbuf_done(&req->body);
	strbuf_done(&req->extra);
	out_clear(&req->out);
	free(req);
}

bool req_gone(const struct http_req *req)
{
	return req->closed || req->conn->doomed;
}

/* --- filling ------------------------------------------------------------------------------------------------------ */

int req_head_add(struct http_req *req, const char *data, size_t len)
{
	req->head_bytes += len;
	if (req->head_bytes > req->conn->server->config.max_header)
		return 431;
	strbuf_add(&req->head, data, len);
	return strbuf_oom(&req->head) ? 500 : 0;
}

int req_head_pair(struct http_req *req, const char *name, size_t name_len, const char *value, size_t value_len)
{
	int r = req_head_add(req, name, name_len);

	if (!r)
		r = req_head_add(req, "", 1);
	if (!r)
		r = req_head_add(req, value, value_len);
	if (!r)
		r = req_head_add(req, "", 1);
	return r;
}

int req_body_add(struct http_req *req, const void *data, size_t len)
{
	struct http_server *s = req->conn->server;

	if (len > s->config.max_body - req->body.len)
		return 413;
	/* A limit for one request bounds nothing when there may be thousands. */
	if (s->body_bytes + len > s->config.max_body * HTTP_BODIES_FACTOR)
		return 503;
	strbuf_add(&req->body, data, len);
	if (strbuf_oom(&req->body))
		return 503;
	s->body_bytes += len;
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Appends [s, end) percent-decoded, and a NUL. Refuses what is malformed or would hide a NUL in a C string. */
static bool add_decoded(struct strbuf *sb, const char *s, const char *end, bool plus_is_space)
{
	for (; s < end; s++) {
		int hi, lo;

		if (*s == '+' && plus_is_space) {
			strbuf_addc(sb, ' ');
			continue;
		}
		if (*s != '%') {
			strbuf_addc(sb, *s);
			continue;
		}
		hi = end - s > 2 ? hex_digit(s[1]) : -1;
		lo = end - s > 2 ? hex_digit(s[2]) : -1;
		if (hi < 0 || lo < 0 || (!hi && !lo))
			return false;
		strbuf_addc(sb, (char)(hi << 4 | lo));
		s += 2;
	}
	strbuf_addc(sb, '\0');
	return true;
}

static bool add_decoded_query(struct strbuf *sb, const char *query)
{
	while (*query) {
		const char *end = strchrnul(query, '&');
		const char *equals = memchr(query, '=', (size_t)(end - query));

		if (end > query && (!add_decoded(sb, query, equals ? equals : end, true) ||
				    !add_decoded(sb, equals ? equals + 1 : end, end, true)))
			return false;
		query = *end ? end + 1 : end;
	}
	return true;
}

/* Origin form, "*", or absolute form, whose authority means nothing here (RFC 9112, 3.2). */
static int decode_target(struct http_req *req)
{
	const char *path = req->target, *query;

	/* Watches keep their request: not more room than is needed. */
	if (strbuf_reserve(&req->decoded, strlen(path) + 2) < 0)
		return 500;
	for (const char *p = req->target; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f || *p == '#')
			return 400;
	if (!strncasecmp(path, "http://", 7) || !strncasecmp(path, "https://", 8))
		path = strstr(path, "://") + 3, path += strcspn(path, "/?");
	else if (*path != '/' && !(streq(path, "*") && streq(req->method, "OPTIONS")))
		return 400;
	query = strchrnul(path, '?');
	/* "http://host" and "http://host?q" have an empty path: "/". */
	if (query == path)
		strbuf_add(&req->decoded, "/", 2);
	else if (!add_decoded(&req->decoded, path, query, false))
		return 400;
	if (*query && !add_decoded_query(&req->decoded, query + 1))
		return 400;
	return strbuf_oom(&req->decoded) ? 500 : 0;
}

bool pairs_next(const struct strbuf *pairs, size_t *at, const char **ret_name, const char **ret_value)
{
	if (*at >= pairs->len)
		return false;
	*ret_name = pairs->buf + *at;
	*at += strlen(*ret_name) + 1;
	*ret_value = *at < pairs->len ? pairs->buf + *at : "";
	*at += strlen(*ret_value) + 1;
	return true;
}

int req_head_done(struct http_req *req)
{
	const char *name, *value;
	size_t at = 0;

	strbuf_fit(&req->head);
	while (pairs_next(&req->head, &at, &name, &value)) {
		if (streq(name, ":method"))
			req->method = value;
		else if (streq(name, ":path"))
			req->target = value;
	}
	if (!req->method || !req->target)
		return 400;
	req->head_only = streq(req->method, "HEAD");
	return decode_target(req);
}

void req_dispatch(struct http_req *req)
{
	struct http_server *s = req->conn->server;

	if (req->fault) {
		answer_fault(req, req->fault);
		return;
	}
	req->state = REQ_HANDLING;
	req->handled = true;
	s->config.handler(req, s->config.arg);
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

const char *http_req_method(const struct http_req *req)
{
	return req->method;
}

const char *http_req_path(const struct http_req *req)
{
	return req->decoded.buf;
}

const char *http_req_raw_target(const struct http_req *req)
{
	return req->target;
}

const char *http_req_query(const struct http_req *req, const char *name)
{
	return http_req_query_nth(req, name, 0);
}

const char *http_req_query_nth(const struct http_req *req, const char *name, size_t i)
{
	size_t at = strlen(req->decoded.buf) + 1;
	const char *n, *v;

	while (pairs_next(&req->decoded, &at, &n, &v))
		if (!strcmp(n, name) && !i--)
			return v;
	return NULL;
}

const char *http_req_header(const struct http_req *req, const char *name)
{
	return http_req_header_nth(req, name, 0);
}

const char *http_req_header_nth(const struct http_req *req, const char *name, size_t i)
{
	const char *n, *v;
	size_t at = 0;

	while (pairs_next(&req->head, &at, &n, &v))
		if (!strcasecmp(n, name) && !i--)
			return v;
	return NULL;
}

const char *http_req_header_at(const struct http_req *req, size_t i, const char **ret_name)
{
	const char *n, *v;
	size_t at = 0;

	while (pairs_next(&req->head, &at, &n, &v)) {
		if (*n == ':' || i--)
			continue;
		*ret_name = n;
		return v;
	}
	return NULL;
}

const void *http_req_body(const struct http_req *req, size_t *ret_len)
{
	if (ret_len)
		*ret_len = req->body.len;
	return req->body.buf;
}

bool http_req_is_h2(const struct http_req *req)
{
	return req->stream_id != 0;
}

const struct sockaddr *http_req_peer(const struct http_req *req)
{
	return &req->conn->peer.sa;
}

const char *http_req_cert_cn(const struct http_req *req)
{
	return req->conn->cert.buf[0] ? req->conn->cert.buf : NULL;
}

const char *http_req_cert_org(const struct http_req *req, size_t i)
{
	const struct strbuf *cert = &req->conn->cert;
	size_t at = cert->len ? strlen(cert->buf) + 1 : 0;

	for (; at < cert->len; at += strlen(cert->buf + at) + 1)
		if (!i--)
			return cert->buf + at;
	return NULL;
}

void http_req_set_data(struct http_req *req, void *data, void (*on_close)(struct http_req *req, void *data))
{
	req->data = data;
	req->on_close = on_close;
}

void *http_req_data(const struct http_req *req)
{
	return req->data;
}

struct loop *http_req_loop(const struct http_req *req)
{
	return req->conn->server->loop;
}

/* Is item one of the comma-separated list's? */
static bool list_has(const char *list, const char *item)
{
	size_t len = strlen(item);

	while (list && *list) {
		list += strspn(list, " \t,");
		size_t n = strcspn(list, ",");

		while (n && (list[n - 1] == ' ' || list[n - 1] == '\t'))
			n--;
		if (n == len && !strncasecmp(list, item, len))
			return true;
		list += strcspn(list, ",");
	}
	return false;
}

bool http_req_wants_upgrade(const struct http_req *req, const char *protocol)
{
	const char *v;

	if (!req->upgrade)
		return false;
	for (size_t i = 0; (v = http_req_header_nth(req, "upgrade", i)); i++)
		if (list_has(v, protocol))
			return true;
	return false;
}
