/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's HTTP/2 without TLS (gRPC to a container runtime or to etcd), on nghttp2. libcurl before 8.0 cannot use
 * such a connection twice (curl#10634) and may keep the end of a stream to itself; a connection for each call costs
 * more than most calls do. So all calls of a client are streams of one connection that is kept.
 *
 * A connection takes no new calls ("retired") once its peer said GOAWAY, or once a call on it timed out while nothing
 * at all came: it may be dead. What runs on it goes on; it is freed with its last stream.
 *
 * nghttp2's callbacks run with c->in_curl raised, so that calls cancelled there are freed later, and only note what
 * ends: calls are finished, and bytes sent, when nghttp2 has been left.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "../base/str.h"
#include "http-internal.h"

#define MAX_HEADERS	  32
#define STREAM_WINDOW	  (1 << 20)
#define CONNECTION_WINDOW (16 << 20)
#define OUT_MAX		  65536 /* gathered before it is sent */

struct h2c {
	struct http_client *c;
	struct list node;
	struct loop_io io;
	struct loop_timer timer; /* connecting: its end; then: there is something to send */
	int fd;
	nghttp2_session *session;
	struct list streams, ended; /* http_call.h2c_node */
	struct strbuf out;
	bool connected, retired, received;
};

static void h2c_free(struct h2c *h)
{
	list_remove(&h->node);
	loop_io_del(&h->io);
	loop_timer_cancel(&h->timer);
	nghttp2_session_del(h->session);
	strbuf_done(&h->out);
	if (h->fd >= 0)
		close(h->fd);
	free(h);
}

DEFINE_CLEANUP(struct h2c *, h2c_free);

static void retire(struct h2c *h)
{
	h->retired = true;
	list_remove(&h->node); /* behind those that take calls */
	list_push_back(&h->c->h2cs, &h->node);
}

static void end_stream(struct http_call *call, CURLcode code)
{
	struct h2c *h = call->h2c;

	if (!call->stream_id)
		return; /* has ended already */
	(void)nghttp2_session_set_stream_user_data(h->session, call->stream_id, NULL);
	call->stream_id = 0;
	call->end_code = code;
	list_remove(&call->h2c_node);
	list_push_back(&h->ended, &call->h2c_node);
}

/* --- nghttp2's callbacks ------------------------------------------------------------------------------------------ */

static struct http_call *call_of(nghttp2_session *session, int32_t id)
{
	return nghttp2_session_get_stream_user_data(session, id);
}

/* We do not want the rest. */
static void break_off(struct http_call *call)
{
	struct h2c *h = call->h2c;

	if (!call->stream_id)
		return;
	(void)nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, call->stream_id, NGHTTP2_CANCEL);
	end_stream(call, CURLE_WRITE_ERROR);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
		     const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
	struct http_call *call = call_of(session, frame->hd.stream_id);
	bool go_on;

	(void)flags;
	(void)arg;
	(void)value_len; /* nghttp2 ends both with a NUL */
	if (!call)
		return 0;
	if (name_len == 7 && !memcmp(name, ":status", 7))
		go_on = http_call_got_status(call, atoi((const char *)value));
	else
		go_on = http_call_got_header(call, (const char *)name, (const char *)value);
	if (!go_on)
		break_off(call);
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *arg)
{
	struct http_call *call = call_of(session, id);

	(void)flags;
	(void)arg;
	(void)nghttp2_session_consume_connection(session, len); /* a paused call holds up nobody else */
	if (!call)
		return 0;
	if (call->paused)
		call->unconsumed += len;
	else
		(void)nghttp2_session_consume_stream(session, id, len);
	if (!http_call_got_body(call, (const char *)data, len))
		break_off(call);
	return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2c *h = arg;
	struct http_call *call;

	if (frame->hd.type == NGHTTP2_GOAWAY)
		retire(h);
	if ((frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) ||
	    !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return 0;
	call = call_of(session, frame->hd.stream_id);
	if (!call)
		return 0;
	/* The answer is complete, whatever we had left to say. */
	if (call->upload_open || call->out_off < call->out.len)
		(void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, call->stream_id, NGHTTP2_CANCEL);
	end_stream(call, CURLE_OK);
	return 0;
}

static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct http_call *call = frame->hd.type == NGHTTP2_HEADERS ? call_of(session, frame->hd.stream_id) : NULL;

	(void)arg;
	if (call)
		call->sent = true;
	return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
	struct http_call *call = call_of(session, id);

	(void)arg;
	if (!call)
		return 0;
	if (code == NGHTTP2_REFUSED_STREAM)
		call->sent = false; /* the peer says that it has not looked at it */
	if (code != NGHTTP2_NO_ERROR)
		snprintf(call->error, sizeof(call->error), "the stream was reset: %s", nghttp2_http2_strerror(code));
	end_stream(call, code == NGHTTP2_NO_ERROR ? CURLE_OK : CURLE_HTTP2_STREAM);
	return 0;
}

static ssize_t read_upload(nghttp2_session *session, int32_t id, uint8_t *buf, size_t size, uint32_t *flags,
			   nghttp2_data_source *source, void *arg)
{
	struct http_call *call = call_of(session, id);
	ssize_t n;

	(void)source;
	(void)arg;
	if (!call)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	n = http_call_next_upload(call, buf, size);
	if (n < 0)
		return NGHTTP2_ERR_DEFERRED;
	if (!call->upload_open && call->out_off == call->out.len)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return n;
}

static int session_new(struct h2c *h)
{
	const nghttp2_settings_entry settings[] = { { NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
						    { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW } };
	nghttp2_session_callbacks *cb = NULL;
	nghttp2_option *option = NULL;
	int r = -ENOMEM;

	if (nghttp2_session_callbacks_new(&cb) || nghttp2_option_new(&option))
		goto out;
	nghttp2_option_set_no_auto_window_update(option, 1);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_sent);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
	if (nghttp2_session_client_new2(&h->session, cb, h, option) ||
	    nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings, 2) ||
	    nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW))
		goto out;
	r = 0;
out:
	nghttp2_session_callbacks_del(cb);
	nghttp2_option_del(option);
	return r;
}

/* --- the connection ----------------------------------------------------------------------------------------------- */

/*
 * Finishes what has ended, and frees h if it is not needed any more. h and its client may be gone afterwards. Leaves
 * the client, which the loop's callbacks enter first of all: it may be freed while nghttp2 is on the stack.
 */
static void settle(struct h2c *h)
{
	struct http_client *c = h->c;
	struct http_call *call;

	while ((call = list_first(&h->ended, struct http_call, h2c_node)))
		http_call_finish(call, call->end_code);
	http_client_flush(c);
	if (list_empty(&h->streams) && list_empty(&h->ended) && h->retired)
		h2c_free(h);
	http_client_leave(c);
}

/* Every call on it ends so. */
static void fail(struct h2c *h, CURLcode code, int err, const char *text)
{
	struct http_call *call;

	retire(h);
	loop_io_del(&h->io);
	loop_timer_cancel(&h->timer);
	while ((call = list_first(&h->streams, struct http_call, h2c_node))) {
		snprintf(call->error, sizeof(call->error), "%s", text);
		call->os_errno = err;
		end_stream(call, code);
	}
}

static int gather(struct h2c *h)
{
	const uint8_t *data;
	ssize_t n = 0;

	h->c->in_curl++;
	while (h->out.len < OUT_MAX && (n = nghttp2_session_mem_send(h->session, &data)) != 0) {
		if (n < 0)
			break;
		strbuf_add(&h->out, data, (size_t)n);
	}
	h->c->in_curl--;
	return strbuf_oom(&h->out) || n < 0 ? -ENOMEM : 0;
}

/* Sends what there is, as far as the socket takes it. */
static void send_out(struct h2c *h)
{
	bool full = false;

	if (!h->connected || !nghttp2_session_want_write(h->session))
		full = !h->connected;
	while (!full) {
		ssize_t n;

		if (gather(h) < 0) {
			fail(h, CURLE_OUT_OF_MEMORY, ENOMEM, "out of memory");
			return;
		}
		if (!h->out.len)
			break;
		n = send(h->fd, h->out.buf, h->out.len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN) {
			fail(h, CURLE_SEND_ERROR, errno, strerror(errno));
			return;
		}
		if (n > 0)
			strbuf_drop_front(&h->out, (size_t)n);
		full = n < 0;
	}
	if (!h->out.len)
		strbuf_done(&h->out); /* an idle connection holds no buffer */
	(void)loop_io_set(&h->io, full ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void receive(struct h2c *h)
{
	static __thread uint8_t buf[65536];
	ssize_t n, r;

	/* Until there is no more, but others want their turn too. */
	for (int i = 0; i < 16; i++) {
		n = recv(h->fd, buf, sizeof(buf), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			fail(h, CURLE_RECV_ERROR, n ? errno : 0, n ? strerror(errno) : "closed by the peer");
			return;
		}
		h->received = true;
		h->c->in_curl++;
		r = nghttp2_session_mem_recv(h->session, buf, (size_t)n);
		h->c->in_curl--;
		if (r < 0) {
			fail(h, CURLE_HTTP2, 0, nghttp2_strerror((int)r));
			return;
		}
		if ((size_t)n < sizeof(buf))
			return;
	}
}

static void on_ready(struct loop_io *io, uint32_t events)
{
	struct h2c *h = io->arg;

	http_client_enter(h->c);
	if (!h->connected) {
		int err = 0;
		socklen_t len = sizeof(err);

		if (getsockopt(h->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
			err = errno;
		if (err) {
			fail(h, CURLE_COULDNT_CONNECT, err, strerror(err));
			settle(h);
			return;
		}
		loop_timer_cancel(&h->timer);
		h->connected = true;
	} else if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
		receive(h);
	}
	if (!h->retired || !list_empty(&h->streams))
		send_out(h);
	settle(h);
}

static void on_timer(struct loop_timer *timer)
{
	struct h2c *h = timer->arg;

	http_client_enter(h->c);
	if (h->connected)
		send_out(h);
	else
		fail(h, CURLE_OPERATION_TIMEDOUT, 0, "no connection in time");
	settle(h);
}

/* Once for all that is begun in this turn. */
static void send_soon(struct h2c *h)
{
	if (h->connected && !loop_timer_pending(&h->timer))
		(void)loop_timer_set(h->c->loop, &h->timer, 0);
}

/* The peer's address, if it needs no resolver. 0: none. */
static socklen_t address(const struct http_client *c, struct sockaddr_storage *ret)
{
	struct sockaddr_un *un = (struct sockaddr_un *)ret;
	struct sockaddr_in *in = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

	memset(ret, 0, sizeof(*ret));
	if (c->unix_socket) {
		un->sun_family = AF_UNIX;
		if (strlen(c->unix_socket) >= sizeof(un->sun_path))
			return 0;
		strcpy(un->sun_path, c->unix_socket);
		return sizeof(*un);
	}
	if (inet_pton(AF_INET, c->host, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)c->port);
		return sizeof(*in);
	}
	if (inet_pton(AF_INET6, c->host, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)c->port);
		return sizeof(*in6);
	}
	return 0;
}

/* Peers called by a name are left to libcurl, which has a resolver that does not block. */
bool h2c_serves(const struct http_client *c)
{
	struct sockaddr_storage a;

	return c->loop && c->h2_prior_knowledge && !c->https && address(c, &a);
}

static void set_options(const struct http_client *c, int fd)
{
	static const struct {
		int level, name, value;
	} options[] = { { IPPROTO_TCP, TCP_NODELAY, 1 },
			{ SOL_SOCKET, SO_KEEPALIVE, 1 },
			{ IPPROTO_TCP, TCP_KEEPIDLE, 15 },
			{ IPPROTO_TCP, TCP_KEEPINTVL, 5 } };

	for (size_t i = 0; !c->unix_socket && i < sizeof(options) / sizeof(options[0]); i++)
		(void)setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int));
}

/* 0 or -errno */
static int dial(struct http_client *c, struct h2c **ret)
{
	cleanup(h2c_free) struct h2c *h = calloc(1, sizeof(*h));
	struct sockaddr_storage a;
	socklen_t len = address(c, &a);
	int r;

	if (!h)
		return -ENOMEM;
	h->c = c;
	list_init(&h->node);
	list_init(&h->streams);
	list_init(&h->ended);
	strbuf_init(&h->out);
	h->io.fn = on_ready;
	h->io.arg = h;
	h->timer.fn = on_timer;
	h->timer.arg = h;
	h->fd = socket(a.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (h->fd < 0)
		return -errno;
	set_options(c, h->fd);
	r = session_new(h);
	if (r < 0)
		return r;
	if (connect(h->fd, (struct sockaddr *)&a, len) < 0 && errno != EINPROGRESS)
		return -errno;
	r = loop_io_add(c->loop, &h->io, h->fd, EPOLLIN | EPOLLOUT);
	if (!r)
		r = loop_timer_set(c->loop, &h->timer, c->connect_timeout_ms);
	if (r < 0)
		return r;
	list_push_front(&c->h2cs, &h->node);
	*ret = TAKE(h);
	return 0;
}

/* The connection for a new call. One that the peer has closed while nothing ran is left. */
static int take_connection(struct http_client *c, struct h2c **ret)
{
	struct h2c *h = list_first(&c->h2cs, struct h2c, node);
	char byte;

	if (h && !h->retired && h->connected && list_empty(&h->streams) &&
	    recv(h->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
		retire(h); /* its event comes and frees it */
	if (h && !h->retired) {
		*ret = h;
		return 0;
	}
	return dial(c, ret);
}

/* --- calls -------------------------------------------------------------------------------------------------------- */

static nghttp2_nv pair(const char *name, size_t name_len, const char *value)
{
	return (nghttp2_nv){ (uint8_t *)name, (uint8_t *)value, name_len, strlen(value), NGHTTP2_NV_FLAG_NONE };
}

/* "Name: value" lines as HTTP/2 has them, name in lower case in the line itself; "Name:" stands for none. */
static size_t add_lines(const struct curl_slist *lines, nghttp2_nv *nv, size_t n)
{
	for (; lines && n < MAX_HEADERS; lines = lines->next) {
		char *colon = strchr(lines->data, ':'), *value;

		if (!colon)
			continue;
		value = colon + 1 + strspn(colon + 1, " ");
		for (char *p = lines->data; p < colon; p++)
			*p = (char)tolower((unsigned char)*p);
		if (*value && !str_starts(lines->data, "host:"))
			nv[n++] = pair(lines->data, (size_t)(colon - lines->data), value);
	}
	return n;
}

static int submit(struct h2c *h, struct http_call *call)
{
	const nghttp2_data_provider upload = { .read_callback = read_upload };
	const char *authority = strstr(call->url, "://") + 3, *path = strchrnul(authority, '/');
	cleanup(free) char *host = strndup(authority, (size_t)(path - authority));
	bool body = call->upload || call->out.len;
	nghttp2_nv nv[MAX_HEADERS];
	size_t n = 0;
	int32_t id;

	if (!host)
		return -ENOMEM;
	call->upload_open = call->upload;
	nv[n++] = pair(":method", 7, call->method);
	nv[n++] = pair(":scheme", 7, "http");
	nv[n++] = pair(":authority", 10, host);
	nv[n++] = pair(":path", 5, *path ? path : "/");
	nv[n++] = pair("user-agent", 10, "skep/" SKEP_VERSION);
	n = add_lines(call->headers, nv, n);
	id = nghttp2_submit_request(h->session, NULL, nv, n, body ? &upload : NULL, call);
	if (id < 0)
		return id == NGHTTP2_ERR_NOMEM ? -ENOMEM : -EAGAIN;
	call->stream_id = id;
	return 0;
}

int h2c_start(struct http_call *call)
{
	struct h2c *h = NULL;
	int r = take_connection(call->c, &h);

	if (r < 0) {
		call->end_code = r == -ENOMEM ? CURLE_OUT_OF_MEMORY : CURLE_COULDNT_CONNECT;
		call->os_errno = -r;
		return r;
	}
	r = submit(h, call);
	if (r == -EAGAIN) { /* no stream numbers left, or the session is over */
		retire(h);
		send_soon(h); /* and be freed, if nothing runs on it */
		r = take_connection(call->c, &h);
		if (!r)
			r = submit(h, call);
	}
	if (r < 0)
		return r;
	call->h2c = h;
	list_push_back(&h->streams, &call->h2c_node);
	h->received = false;
	send_soon(h);
	return 0;
}

void h2c_detach(struct http_call *call)
{
	struct h2c *h = TAKE(call->h2c);

	if (!h)
		return;
	list_remove(&call->h2c_node);
	if (!call->stream_id)
		return;
	(void)nghttp2_session_set_stream_user_data(h->session, call->stream_id, NULL);
	(void)nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, call->stream_id, NGHTTP2_CANCEL);
	call->stream_id = 0;
	send_soon(h);
}

void h2c_resume(struct http_call *call)
{
	if (!call->h2c || !call->stream_id)
		return;
	(void)nghttp2_session_resume_data(call->h2c->session, call->stream_id);
	send_soon(call->h2c);
}

void h2c_pause(struct http_call *call, bool pause)
{
	call->paused = pause;
	if (pause || !call->unconsumed || !call->h2c || !call->stream_id)
		return;
	(void)nghttp2_session_consume_stream(call->h2c->session, call->stream_id, call->unconsumed);
	call->unconsumed = 0;
	send_soon(call->h2c);
}

void h2c_timed_out(struct http_call *call)
{
	if (call->h2c && !call->h2c->received)
		retire(call->h2c);
}

void h2c_free_all(struct http_client *c)
{
	while (!list_empty(&c->h2cs))
		h2c_free(list_first(&c->h2cs, struct h2c, node));
}
