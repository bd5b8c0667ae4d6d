/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection of the HTTP server: TLS, reading, flushing, and when it ends. The rules are in
 * http-server-internal.h.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "../base/log.h"
#include "http-server-internal.h"

#define READS_PER_EVENT	    4	    /* then other connections get their turn */
#define PIPELINED_PER_EVENT 32	    /* likewise, requests */
#define H2_UNSENT_MAX	    1048576 /* above, an HTTP/2 peer is not read from: its control frames would only add answers */

static const char h2_preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

static void on_event(struct loop_io *io, uint32_t events);

/* --- life and death ----------------------------------------------------------------------------------------------- */

int conn_new(struct http_server *s, int fd, const struct sockaddr_storage *peer)
{
	struct http_conn *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->server = s;
	c->fd = fd;
	list_init(&c->dirty_node);
	list_init(&c->wait_node);
	list_init(&c->reqs);
	strbuf_init(&c->in);
	strbuf_init(&c->cert);
	c->peer.sa.sa_family = peer->ss_family;
	if (peer->ss_family == AF_INET)
		memcpy(&c->peer.in4, peer, sizeof(c->peer.in4));
	else if (peer->ss_family == AF_INET6)
		memcpy(&c->peer.in6, peer, sizeof(c->peer.in6));
	c->mode = CONN_SNIFF;
	c->io.fn = on_event;
	c->io.arg = c;
	if (s->ssl_ctx) {
		c->mode = CONN_HANDSHAKE;
		c->ssl = SSL_new(s->ssl_ctx);
		if (!c->ssl || SSL_set_fd(c->ssl, fd) != 1) {
			r = -ENOMEM;
			goto free_conn;
		}
		SSL_set_accept_state(c->ssl);
	}
	r = loop_io_add(s->loop, &c->io, fd, EPOLLIN);
	if (r < 0)
		goto free_conn;
	list_push_back(&s->conns, &c->node);
	s->n_conns++;
	server_wait(c, WAIT_HEADER, true);
	return 0;

free_conn:
	SSL_free(c->ssl);
	free(c);
	return r;
}

void conn_free(struct http_conn *c)
{
	struct http_req *req;

	c->doomed = true; /* what on_close callbacks write to this connection is refused */
	loop_io_del(&c->io);
	while ((req = list_first(&c->reqs, struct http_req, node)))
		req_free(req);
	nghttp2_session_del(c->h2);
	SSL_free(c->ssl);
	close(c->fd);
	out_clear(&c->out);
	strbuf_done(&c->in);
	strbuf_done(&c->cert);
	list_remove(&c->wait_node);
	list_remove(&c->dirty_node);
	list_remove(&c->node);
	c->server->n_conns--;
	free(c);
}

void conn_dirty(struct http_conn *c)
{
	struct http_server *s = c->server;

	if (c->busy || !list_empty(&c->dirty_node))
		return;
	list_push_back(&s->dirty, &c->dirty_node);
	if (!loop_timer_pending(&s->chores))
		(void)loop_timer_set(s->loop, &s->chores, 0); /* -ENOMEM: the next event of any connection runs it */
}

void conn_doom(struct http_conn *c)
{
	c->doomed = true;
	conn_dirty(c);
}

void conn_queue(struct http_conn *c, struct http_buf *buf, bool chunk)
{
	if (c->doomed)
		return;
	if (out_push(&c->out, buf, chunk) < 0) {
		conn_doom(c);
		return;
	}
	conn_dirty(c);
}

void conn_queue_copy(struct http_conn *c, const void *data, size_t len)
{
	struct http_buf *b = http_buf_new(data, len);

	if (!b) {
		conn_doom(c);
		return;
	}
	conn_queue(c, b, false);
	http_buf_unref(b);
}

/* --- bytes to and from the peer ----------------------------------------------------------------------------------- */

/* What an SSL_* call that did not succeed means: 0 end, -EAGAIN, -EIO. */
static ssize_t tls_outcome(struct http_conn *c, int r)
{
	switch (SSL_get_error(c->ssl, r)) {
	case SSL_ERROR_WANT_READ:
		return -EAGAIN;
	case SSL_ERROR_WANT_WRITE:
		c->want_write = true;
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		return -EIO;
	}
}

/* Bytes, 0 at the end, -EAGAIN, or another -errno. */
static ssize_t conn_recv(struct http_conn *c, char *buf, size_t size)
{
	ssize_t n;

	if (c->ssl) {
		ERR_clear_error();
		n = SSL_read(c->ssl, buf, (int)size);
		return n > 0 ? n : tls_outcome(c, (int)n);
	}
	do
		n = recv(c->fd, buf, size, 0);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* Bytes, -EAGAIN (EPOLLOUT will tell), or another -errno. */
static ssize_t conn_send(struct http_conn *c, const char *data, size_t len)
{
	ssize_t n;

	if (c->ssl) {
		ERR_clear_error();
		n = SSL_write(c->ssl, data, (int)len);
		if (n > 0)
			return n;
		n = tls_outcome(c, (int)n);
		return n ? n : -EPIPE;
	}
	do
		n = send(c->fd, data, len, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return n;
	if (errno == EAGAIN)
		c->want_write = true;
	return -errno;
}

/* As much of data as the socket takes; sets want_write when it is full. */
static size_t send_all(struct http_conn *c, const char *data, size_t len)
{
	size_t sent = 0;

	while (sent < len && !c->want_write) {
		ssize_t n = conn_send(c, data + sent, len - sent);

		if (n == -EAGAIN)
			break;
		if (n < 0) {
			conn_doom(c);
			break;
		}
		sent += (size_t)n;
		c->moved = true;
	}
	return sent;
}

void conn_flush(struct http_conn *c)
{
	char *buf = c->server->write_buf;

	if (c->mode == CONN_HANDSHAKE || c->mode == CONN_LINGER)
		return;
	while (!c->doomed && !c->want_write) {
		struct http_buf *rest = NULL;
		size_t sent;
		ssize_t n;

		if (c->out.bytes) {
			n = (ssize_t)out_peek(&c->out, buf, HTTP_WRITE_SIZE);
			sent = send_all(c, buf, (size_t)n);
			out_drop(&c->out, sent);
			if (sent < (size_t)n)
				return;
			continue;
		}
		if (!c->h2)
			return;
		n = h2_output(c, buf, HTTP_WRITE_SIZE, &rest);
		if (n < 0)
			conn_doom(c);
		if (n < 0 || (!n && !rest))
			return;
		sent = send_all(c, buf, (size_t)n);
		if (sent < (size_t)n && out_push_copy(&c->out, buf + sent, (size_t)n - sent) < 0)
			conn_doom(c);
		if (rest)
			conn_queue(c, rest, false);
		http_buf_unref(rest);
	}
}

static bool may_read(const struct http_conn *c)
{
	if (c->doomed || c->eof)
		return false;
	if (c->mode == CONN_LINGER)
		return true;
	if (c->closing)
		return false;
	switch (c->mode) {
	case CONN_HTTP1:
		return c->in.len < HTTP_BACKLOG_MAX;
	case CONN_HTTP2:
		return c->out.bytes < H2_UNSENT_MAX;
	case CONN_RAW:
		return !c->paused && !c->in.len;
	default:
		return true;
	}
}

/* Without ALPN: HTTP/2 if the first bytes are its preface. */
static void sniff(struct http_conn *c, const char *data, size_t len)
{
	size_t have;

	strbuf_add(&c->in, data, len);
	if (strbuf_oom(&c->in)) {
		conn_doom(c);
		return;
	}
	have = c->in.len < sizeof(h2_preface) - 1 ? c->in.len : sizeof(h2_preface) - 1;
	if (memcmp(c->in.buf, h2_preface, have)) {
		c->mode = CONN_HTTP1;
		return; /* h1_advance() takes it from c->in */
	}
	if (have == sizeof(h2_preface) - 1) {
		struct strbuf in = c->in;

		strbuf_init(&c->in);
		if (h2_start(c) < 0)
			conn_doom(c);
		else
			h2_input(c, in.buf, in.len);
		strbuf_done(&in);
	}
}

static void input_raw(struct http_conn *c, const char *data, size_t len)
{
	struct http_req *req = list_first(&c->reqs, struct http_req, node);

	if (req && req->state == REQ_RAW)
		req->on_data(req, req->data, data, len);
}

static void input(struct http_conn *c, const char *data, size_t len)
{
	switch (c->mode) {
	case CONN_SNIFF:
		sniff(c, data, len);
		break;
	case CONN_HTTP1:
		h1_input(c, data, len);
		break;
	case CONN_HTTP2:
		h2_input(c, data, len);
		break;
	case CONN_RAW:
		input_raw(c, data, len);
		break;
	default:
		break;
	}
}

static void conn_read(struct http_conn *c)
{
	char *buf = c->server->read_buf;

	c->read_more = false;
	for (int i = 0; i < READS_PER_EVENT && may_read(c); i++) {
		/* While lingering TLS has nothing to say any more. */
		ssize_t n = c->mode == CONN_LINGER ? recv(c->fd, buf, HTTP_READ_SIZE, 0)
						   : conn_recv(c, buf, HTTP_READ_SIZE);

		if (n == -EAGAIN || (c->mode == CONN_LINGER && n < 0 && errno == EAGAIN))
			return;
		if (n < 0) {
			conn_doom(c);
			return;
		}
		if (!n) {
			c->eof = true;
			return;
		}
		c->moved = true;
		input(c, buf, (size_t)n);
		if (!c->ssl && n < HTTP_READ_SIZE)
			return; /* empty now; epoll will tell */
	}
	c->read_more = c->ssl != NULL;
}

/* --- TLS handshake ------------------------------------------------------------------------------------------------ */

/* Appends the entry's text and a NUL; false: not text, or it hides a NUL. */
static bool add_subject_text(struct strbuf *sb, X509_NAME *name, int pos)
{
	unsigned char *text = NULL;
	int len = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, pos)));
	bool ok = len >= 0 && !memchr(text, '\0', (size_t)len);

	if (ok)
		strbuf_add(sb, text, (size_t)len + 1);
	OPENSSL_free(text);
	return ok;
}

/* CN (the last one, as Go takes it) and every O of the verified certificate, if there is one. */
static bool keep_subject(struct http_conn *c)
{
	X509 *cert = SSL_get1_peer_certificate(c->ssl);
	X509_NAME *name;
	bool ok = true;
	int pos = -1, cn = -1;

	if (!cert)
		return true;
	name = X509_get_subject_name(cert);
	while ((pos = X509_NAME_get_index_by_NID(name, NID_commonName, pos)) >= 0)
		cn = pos;
	if (cn >= 0)
		ok = add_subject_text(&c->cert, name, cn);
	else
		strbuf_addc(&c->cert, '\0');
	pos = -1;
	while (ok && (pos = X509_NAME_get_index_by_NID(name, NID_organizationName, pos)) >= 0)
		ok = add_subject_text(&c->cert, name, pos);
	X509_free(cert);
	return ok && !strbuf_oom(&c->cert);
}

static void handshake(struct http_conn *c)
{
	const unsigned char *alpn;
	unsigned alpn_len;
	int r;

	c->want_write = false;
	ERR_clear_error();
	r = SSL_do_handshake(c->ssl);
	if (r != 1) {
		if (tls_outcome(c, r) != -EAGAIN) {
			log_debug("TLS handshake failed: %s",
				  ERR_reason_error_string(ERR_peek_last_error()) ?: "closed");
			conn_doom(c);
		}
		return;
	}
	server_handshaken(c->server);
	if (!keep_subject(c)) {
		conn_doom(c);
		return;
	}
	SSL_get0_alpn_selected(c->ssl, &alpn, &alpn_len);
	if (alpn_len == 2 && !memcmp(alpn, "h2", 2)) {
		if (h2_start(c) < 0)
			conn_doom(c);
	} else {
		c->mode = alpn_len ? CONN_HTTP1 : CONN_SNIFF;
	}
	conn_read(c); /* what came with the end of the handshake */
}

/* --- events ------------------------------------------------------------------------------------------------------- */

static void on_event(struct loop_io *io, uint32_t events)
{
	struct http_conn *c = io->arg;

	c->busy = true;
	if (c->mode == CONN_HANDSHAKE) {
		handshake(c);
	} else {
		if (events & EPOLLOUT) {
			c->want_write = false;
			conn_flush(c);
		}
		if (may_read(c))
			conn_read(c);
		else if (events & (EPOLLHUP | EPOLLERR))
			conn_doom(c);
		else if (events & EPOLLRDHUP)
			c->eof = true;
	}
	conn_settle(c);
}

void conn_chore(struct http_conn *c)
{
	c->busy = true;
	if (c->read_more && c->mode != CONN_HANDSHAKE && may_read(c))
		conn_read(c);
	conn_settle(c);
}

/* Sends our end of the stream and waits for the peer's, so that it surely reads the answer. */
static void linger(struct http_conn *c)
{
	if (c->eof) {
		c->doomed = true;
		return;
	}
	if (c->ssl) {
		ERR_clear_error();
		(void)SSL_shutdown(c->ssl); /* best effort: FIN follows anyway */
	}
	shutdown(c->fd, SHUT_WR);
	c->mode = CONN_LINGER;
	c->want_write = false;
}

static void settle_wait(struct http_conn *c)
{
	const struct http_req *first = list_first(&c->reqs, struct http_req, node);
	bool moved = c->moved, begun = c->begun;
	enum conn_wait wait = WAIT_NONE;

	c->moved = c->begun = false;
	if (c->mode == CONN_HANDSHAKE || c->mode == CONN_SNIFF || c->mode == CONN_LINGER) {
		server_wait(c, WAIT_HEADER, false);
		return;
	}
	if (c->mode == CONN_HTTP1 && first && first->state == REQ_HEAD) {
		server_wait(c, WAIT_HEADER, begun);
		return;
	}
	if (c->out.bytes || c->want_write || (c->mode != CONN_RAW && !first))
		wait = WAIT_PROGRESS;
	for (struct list *n = c->reqs.next; n != &c->reqs && !wait; n = n->next) {
		const struct http_req *req = list_entry(n, struct http_req, node);

		if (req->state < REQ_READY || req->out.bytes || req->fault)
			wait = WAIT_PROGRESS;
	}
	server_wait(c, wait, moved);
}

static void settle_events(struct http_conn *c)
{
	uint32_t events = 0;

	if (c->mode == CONN_HANDSHAKE)
		events = c->want_write ? EPOLLOUT : EPOLLIN;
	else if (may_read(c))
		events = EPOLLIN;
	else if (c->mode == CONN_HTTP1 && !c->eof)
		events = EPOLLRDHUP; /* reading rests, but a peer that went away is noticed */
	if (c->want_write)
		events |= EPOLLOUT;
	if (loop_io_set(&c->io, events) < 0)
		conn_doom(c);
}

static void settle_http1(struct http_conn *c)
{
	for (int i = 0; h1_advance(c); i++) {
		conn_flush(c);
		if (i == PIPELINED_PER_EVENT) {
			c->busy = false;
			conn_dirty(c);
			return;
		}
	}
	if (c->eof && !c->closing) {
		/* Half an exchange is a client that gave up; with nothing open, only the last answer has to leave. */
		if (!list_empty(&c->reqs))
			conn_doom(c);
		c->closing = true;
	}
}

static void settle_raw(struct http_conn *c)
{
	if (c->in.len && !c->paused && !c->closing && !c->doomed) {
		struct strbuf in = c->in;

		strbuf_init(&c->in);
		input_raw(c, in.buf, in.len);
		strbuf_done(&in);
	}
	(void)h1_advance(c);
	if (c->eof)
		c->doomed = true;
}

static void settle_http2(struct http_conn *c)
{
	if (c->eof)
		c->doomed = true;
	if (!h2_over(c) || c->closing)
		return;
	/* One side said GOAWAY, or the peer broke the protocol: what is open will not be answered. */
	c->closing = true;
	list_for_each (n, &c->reqs)
		list_entry(n, struct http_req, node)->closed = true;
	c->reap = true;
}

void conn_settle(struct http_conn *c)
{
	c->busy = true;
	list_remove(&c->dirty_node);
	if (!c->doomed && c->mode == CONN_HTTP2 && c->ready)
		h2_dispatch(c);
	if (!c->doomed)
		conn_flush(c);
	if (!c->doomed && c->mode == CONN_HTTP1)
		settle_http1(c);
	if (!c->doomed && c->mode == CONN_RAW)
		settle_raw(c);
	if (!c->doomed)
		conn_flush(c);
	if (!c->doomed && c->mode == CONN_HTTP2)
		settle_http2(c);
	if ((c->mode == CONN_LINGER || c->mode == CONN_SNIFF) && c->eof)
		c->doomed = true;
	c->busy = false;
	if (c->doomed) {
		conn_free(c);
		return;
	}
	/* From here on callbacks may write to this connection: that makes it dirty, for the next round. */
	if (c->reap)
		h2_reap(c);
	if (c->n_draining)
		answer_drain(c);
	if (c->doomed)
		return;
	if (c->closing && c->mode != CONN_LINGER && !c->out.bytes && !c->want_write && list_empty(&c->reqs))
		linger(c);
	if (c->doomed) {
		conn_free(c);
		return;
	}
	if (c->read_more && may_read(c))
		conn_dirty(c);
	settle_wait(c);
	settle_events(c);
}

void conn_timed_out(struct http_conn *c)
{
	struct http_req *req = list_first(&c->reqs, struct http_req, node);

	if (c->mode == CONN_HTTP1 && !c->closing && req && req->state < REQ_READY) {
		answer_fault(req, 408);
	} else if (c->mode == CONN_HTTP2 && !c->closing && !c->out.bytes && !req) {
		h2_goaway(c);
		c->closing = true;
	} else if (c->mode == CONN_HTTP1 && !c->closing && !c->out.bytes) {
		c->closing = true;
	} else {
		c->doomed = true;
	}
	conn_settle(c);
}
