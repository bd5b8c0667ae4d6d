/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Upgraded connections: an HTTP/1.1 request on a connection of its own which, on 101, becomes a byte stream (exec,
 * attach, port-forward, containerd's streaming server). libcurl has no non-blocking way to lend such a connection, so
 * this is a plain socket with OpenSSL on the loop, with the client's TLS settings. Owned by the client until on_close
 * or http_upgrade_close().
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <http_parser.h>

#include "../base/cleanup.h"
#include "../base/str.h"
#include "http-internal.h"
#include "tls-internal.h"

#define MAX_HEAD	  (64u << 10)
#define MAX_REFUSAL	  (64u << 10)
#define MAX_PENDING	  (64u << 20)
#define READ_SIZE	  16384 /* a whole TLS record: nothing stays inside OpenSSL between reads */
#define READS_PER_TURN	  16
#define ANSWER_TIMEOUT_MS 30000
#define FLUSH_TIMEOUT_MS  5000
#define KEEPALIVE_IDLE_S  30 /* a peer whose machine vanished is noticed after about a minute */
#define KEEPALIVE_EVERY_S 10
#define KEEPALIVE_PROBES  3

enum state { RESOLVING, CONNECTING, HANDSHAKE, HEAD, REFUSED, OPEN, CLOSING, DEAD };

struct resolve_job {
	struct http_upgrade *u; /* NULL: nobody waits any more */
	char *host;
	char port[8];
	struct addrinfo *addrs;
	int r;
};

struct http_upgrade {
	struct http_client *c;
	struct list node; /* in c->upgrades */
	struct http_upgrade_ops ops;
	void *arg;
	enum state state;
	unsigned depth; /* our frames on the stack: freeing waits for zero */
	struct resolve_job *job;
	struct addrinfo *addrs, *addr; /* addr: the one being tried */
	int fd;
	bool watched, paused, want_write;
	bool hung; /* the peer has gone while paused: not watched until somebody reads again */
	size_t low_water;
	void (*on_drain)(struct http_upgrade *u, void *arg);
	struct loop_io io;
	struct loop_timer timer;
	SSL_CTX *ctx;
	SSL *ssl;
	struct strbuf out, in; /* in: the answer's head; then the refusal's body */
	size_t out_off;
	http_parser parser;
	bool complete;
};

static int setup_tls(struct http_upgrade *u, struct err *err);
static int resolve(struct http_upgrade *u, struct err *err);
static void connect_next(struct http_upgrade *u, int last_errno);
static void on_ready(struct loop_io *io, uint32_t events);
static void on_timer(struct loop_timer *timer);
static void update_events(struct http_upgrade *u);
static void end(struct http_upgrade *u, int status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void upgrade_free(struct http_upgrade *u);
static void hold(struct http_upgrade *u);
static void put(struct http_upgrade *u);

DEFINE_CLEANUP(struct http_upgrade *, upgrade_free);

static int write_request(struct http_upgrade *u, const char *method, const char *path, const char *const *headers)
{
	struct http_client *c = u->c;
	struct strbuf *o = &u->out;
	bool v6 = strchr(c->host, ':') != NULL;

	strbuf_addf(o, "%s %s%s%s HTTP/1.1\r\n", method, c->path, path[0] == '/' ? "" : "/", path);
	strbuf_addf(o, "Host: %s%s%s:%d\r\n", v6 ? "[" : "", c->host, v6 ? "]" : "", c->port);
	strbuf_adds(o, "User-Agent: skep\r\n");
	if (c->authorization)
		strbuf_addf(o, "%s\r\n", c->authorization);
	for (size_t i = 0; c->headers && c->headers[i]; i++)
		strbuf_addf(o, "%s\r\n", c->headers[i]);
	for (size_t i = 0; headers && headers[i]; i++)
		strbuf_addf(o, "%s\r\n", headers[i]);
	strbuf_adds(o, "\r\n");
	return strbuf_oom(o) ? -ENOMEM : 0;
}

struct http_upgrade *http_upgrade_start(struct http_client *c, const char *method, const char *path,
					const char *const *headers, const struct http_upgrade_ops *ops, void *arg,
					struct err *err)
{
	cleanup(upgrade_free) struct http_upgrade *u = calloc(1, sizeof(*u));

	if (!u) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	u->c = c;
	u->ops = *ops;
	u->arg = arg;
	u->fd = -1;
	u->io.fn = on_ready;
	u->io.arg = u;
	u->timer.fn = on_timer;
	u->timer.arg = u;
	strbuf_init(&u->out);
	strbuf_init(&u->in);
	list_push_back(&c->upgrades, &u->node);
	if (write_request(u, method, path, headers) < 0) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	if (c->https && setup_tls(u, err) < 0)
		return NULL;
	if (resolve(u, err) < 0)
		return NULL;
	return TAKE(u);
}

/* --- addresses ---------------------------------------------------------------------------------------------------- */

static void resolve_work(void *arg)
{
	struct resolve_job *job = arg;
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };

	job->r = getaddrinfo(job->host, job->port, &hints, &job->addrs);
}

static void resolve_done(void *arg)
{
	struct resolve_job *job = arg;
	struct http_upgrade *u = job->u;
	int r = job->r;

	if (u) {
		u->job = NULL;
		u->addrs = u->addr = TAKE(job->addrs);
	}
	if (job->addrs)
		freeaddrinfo(job->addrs);
	free(job->host);
	free(job);
	if (!u)
		return;
	hold(u);
	if (r)
		end(u, 0, "%s", r == EAI_SYSTEM ? strerror(errno) : gai_strerror(r));
	else
		connect_next(u, 0);
	put(u);
}

/*
 * The timer starts every connection, also to known addresses, so that no callback comes before http_upgrade_start()
 * returns.
 */
static int resolve(struct http_upgrade *u, struct err *err)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV };
	struct http_client *c = u->c;
	struct resolve_job *job;
	char port[8];

	snprintf(port, sizeof(port), "%d", c->port & 0xffff);
	if (c->unix_socket || getaddrinfo(c->host, port, &hints, &u->addrs) == 0) {
		u->addr = u->addrs;
		if (loop_timer_set(c->loop, &u->timer, 0) < 0)
			return err_set(err, ENOMEM, "out of memory");
		return 0;
	}
	job = calloc(1, sizeof(*job));
	if (!job)
		return err_set(err, ENOMEM, "out of memory");
	memcpy(job->port, port, sizeof(port));
	job->host = strdup(c->host);
	job->u = u;
	if (!job->host || loop_work(c->loop, resolve_work, resolve_done, job) < 0) {
		free(job->host);
		free(job);
		return err_set(err, ENOMEM, "out of memory");
	}
	u->job = job;
	return 0;
}

static int start_connect(struct http_upgrade *u)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	const struct sockaddr *sa = (const struct sockaddr *)&un;
	socklen_t len = sizeof(un);
	const struct {
		int level, name, value;
	} options[] = {
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S },
		{ IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_EVERY_S },
		{ IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES },
	};

	if (u->c->unix_socket) {
		if (strlen(u->c->unix_socket) >= sizeof(un.sun_path))
			return -ENAMETOOLONG;
		strcpy(un.sun_path, u->c->unix_socket);
	} else {
		sa = u->addr->ai_addr;
		len = u->addr->ai_addrlen;
	}
	u->fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (u->fd < 0)
		return -errno;
	for (size_t i = 0; sa->sa_family != AF_UNIX && i < sizeof(options) / sizeof(*options); i++)
		(void)setsockopt(u->fd, options[i].level, options[i].name, &options[i].value, sizeof(int));
	if (connect(u->fd, sa, len) < 0 && errno != EINPROGRESS)
		return -errno;
	u->state = CONNECTING;
	u->want_write = true;
	return loop_timer_set(u->c->loop, &u->timer, u->c->connect_timeout_ms);
}

static void drop_socket(struct http_upgrade *u)
{
	if (u->watched)
		loop_io_del(&u->io);
	u->watched = false;
	if (u->fd >= 0)
		close(u->fd);
	u->fd = -1;
}

/* Tries u->addr and those behind it. last_errno: why the address before failed. */
static void connect_next(struct http_upgrade *u, int last_errno)
{
	int r = -last_errno;

	while (u->c->unix_socket ? u->state == RESOLVING : u->addr != NULL) {
		r = start_connect(u);
		if (!r) {
			update_events(u);
			return;
		}
		drop_socket(u);
		if (u->c->unix_socket)
			break;
		u->addr = u->addr->ai_next;
	}
	end(u, 0, "%s", strerror(r ? -r : EHOSTUNREACH));
}

/* --- TLS ---------------------------------------------------------------------------------------------------------- */

static int setup_tls(struct http_upgrade *u, struct err *err)
{
	static const unsigned char alpn[] = "\x08http/1.1";
	struct http_client *c = u->c;
	const char *name = c->server_name ? c->server_name : c->host;
	struct in6_addr ip;
	bool is_ip = inet_pton(AF_INET, name, &ip) == 1 || inet_pton(AF_INET6, name, &ip) == 1;

	ERR_clear_error();
	u->ctx = SSL_CTX_new(TLS_client_method());
	if (!u->ctx)
		return tls_err(err, ENOMEM, "TLS context");
	SSL_CTX_set_min_proto_version(u->ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(u->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(u->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					 SSL_MODE_RELEASE_BUFFERS);
	if (!c->insecure) {
		if (c->ca_file ? SSL_CTX_load_verify_locations(u->ctx, c->ca_file, NULL) != 1
			       : SSL_CTX_set_default_verify_paths(u->ctx) != 1)
			return tls_err(err, EINVAL, "load CA certificates '%s'",
				       c->ca_file ? c->ca_file : "of the system");
		SSL_CTX_set_verify(u->ctx, SSL_VERIFY_PEER, NULL);
	}
	if (c->cert_file && SSL_CTX_use_certificate_chain_file(u->ctx, c->cert_file) != 1)
		return tls_err(err, EINVAL, "load certificate '%s'", c->cert_file);
	if (c->cert_file &&
	    SSL_CTX_use_PrivateKey_file(u->ctx, c->key_file ? c->key_file : c->cert_file, SSL_FILETYPE_PEM) != 1)
		return tls_err(err, EINVAL, "load key '%s'", c->key_file ? c->key_file : c->cert_file);
	u->ssl = SSL_new(u->ctx);
	if (!u->ssl)
		return tls_err(err, ENOMEM, "TLS connection");
	SSL_set_alpn_protos(u->ssl, alpn, sizeof(alpn) - 1);
	if (is_ip ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(u->ssl), name) != 1
		  : SSL_set1_host(u->ssl, name) != 1 || SSL_set_tlsext_host_name(u->ssl, name) != 1)
		return tls_err(err, EINVAL, "server name '%s'", name);
	return 0;
}

static void handshake(struct http_upgrade *u)
{
	int r, e;
	long verify;

	ERR_clear_error();
	r = SSL_do_handshake(u->ssl);
	if (r == 1) {
		u->state = HEAD;
		u->want_write = false;
		return;
	}
	e = SSL_get_error(u->ssl, r);
	if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE) {
		u->want_write = e == SSL_ERROR_WANT_WRITE;
		return;
	}
	verify = SSL_get_verify_result(u->ssl);
	if (verify != X509_V_OK) {
		end(u, 0, "certificate verify failed: %s", X509_verify_cert_error_string(verify));
	} else {
		struct err err = ERR_INIT;

		tls_err(&err, EPROTO, "TLS handshake");
		end(u, 0, "%s", err.msg);
	}
}

/* --- bytes -------------------------------------------------------------------------------------------------------- */

/* > 0 bytes; 0 end of stream; -EAGAIN; another -errno. */
static ssize_t transport_read(struct http_upgrade *u, void *buf, size_t size)
{
	ssize_t n;
	int e;

	if (!u->ssl) {
		n = read(u->fd, buf, size);
		return n < 0 ? -errno : n;
	}
	ERR_clear_error();
	errno = 0;
	n = SSL_read(u->ssl, buf, (int)size);
	if (n > 0)
		return n;
	e = SSL_get_error(u->ssl, (int)n);
	if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE)
		return -EAGAIN;
	if (e == SSL_ERROR_ZERO_RETURN)
		return 0;
	return e == SSL_ERROR_SYSCALL && errno ? -errno : -EPROTO;
}

static ssize_t transport_write(struct http_upgrade *u, const void *data, size_t len)
{
	ssize_t n;
	int e;

	if (!u->ssl) {
		n = send(u->fd, data, len, MSG_NOSIGNAL);
		return n < 0 ? -errno : n;
	}
	ERR_clear_error();
	errno = 0;
	n = SSL_write(u->ssl, data, len > (1 << 20) ? 1 << 20 : (int)len);
	if (n > 0)
		return n;
	e = SSL_get_error(u->ssl, (int)n);
	if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE)
		return -EAGAIN;
	return e == SSL_ERROR_SYSCALL && errno ? -errno : -EPIPE;
}

static void pump_out(struct http_upgrade *u)
{
	void (*drained)(struct http_upgrade * u, void *arg) = u->on_drain;

	while (u->out_off < u->out.len) {
		ssize_t n = transport_write(u, u->out.buf + u->out_off, u->out.len - u->out_off);

		if (n == -EAGAIN || n == -EINTR)
			break;
		if (n < 0) {
			end(u, 0, "%s", strerror((int)-n));
			return;
		}
		u->out_off += (size_t)n;
	}
	if (u->out_off == u->out.len) {
		strbuf_clear(&u->out);
		u->out_off = 0;
		if (u->state == CLOSING)
			u->state = DEAD;
	} else if (u->out_off > u->out.len / 2) {
		strbuf_drop_front(&u->out, u->out_off);
		u->out_off = 0;
	}
	if (drained && u->state == OPEN && http_upgrade_pending(u) <= u->low_water) {
		u->on_drain = NULL;
		drained(u, u->arg);
	}
}

static int on_refusal_body(http_parser *p, const char *at, size_t len)
{
	struct http_upgrade *u = p->data;

	if (u->in.len + len <= MAX_REFUSAL)
		strbuf_add(&u->in, at, len);
	return 0;
}

static int on_refusal_complete(http_parser *p)
{
	((struct http_upgrade *)p->data)->complete = true;
	return 0;
}

static void feed_refusal(struct http_upgrade *u, const char *data, size_t len)
{
	http_parser_settings settings = { .on_body = on_refusal_body, .on_message_complete = on_refusal_complete };
	size_t n = http_parser_execute(&u->parser, &settings, data, len);

	if (u->complete || n != len || HTTP_PARSER_ERRNO(&u->parser) != HPE_OK)
		end(u, (int)u->parser.status_code, "%s", u->in.buf);
}

static void feed_head(struct http_upgrade *u, const char *data, size_t len)
{
	size_t from = u->in.len > 3 ? u->in.len - 3 : 0, head_len;
	struct strbuf all;
	char *blank;
	int status = 0;

	strbuf_add(&u->in, data, len);
	blank = memmem(u->in.buf + from, u->in.len - from, "\r\n\r\n", 4);
	if (!blank) {
		if (u->in.len > MAX_HEAD)
			end(u, 0, "the answer's headers are larger than %u bytes", MAX_HEAD);
		return;
	}
	if (sscanf(u->in.buf, "HTTP/1.%*1[01] %3d", &status) != 1 || status < 100) {
		end(u, 0, "the answer is not HTTP/1.1");
		return;
	}
	head_len = (size_t)(blank - u->in.buf) + 4;
	if (status != 101 && status < 200) { /* 100 Continue: the answer is still to come */
		strbuf_drop_front(&u->in, head_len);
		all = u->in;
		strbuf_init(&u->in);
		if (all.len)
			feed_head(u, all.buf, all.len);
		strbuf_done(&all);
		return;
	}
	all = u->in;
	strbuf_init(&u->in);
	if (status == 101) {
		char saved = all.buf[head_len];

		u->state = OPEN;
		loop_timer_cancel(&u->timer);
		all.buf[head_len] = '\0';
		u->ops.on_open(u, u->arg, all.buf);
		all.buf[head_len] = saved;
		if (u->state == OPEN && all.len > head_len)
			u->ops.on_data(u, u->arg, all.buf + head_len, all.len - head_len);
	} else {
		u->state = REFUSED;
		http_parser_init(&u->parser, HTTP_RESPONSE);
		u->parser.data = u;
		feed_refusal(u, all.buf, all.len);
	}
	strbuf_done(&all);
}

static void pump_in(struct http_upgrade *u)
{
	char buf[READ_SIZE];

	for (int i = 0; i < READS_PER_TURN && !u->paused && u->state != DEAD; i++) {
		ssize_t n = transport_read(u, buf, sizeof(buf));

		if (n == -EAGAIN || n == -EINTR)
			return;
		if (u->state == CLOSING) {
			if (n <= 0)
				u->state = DEAD;
			continue; /* nobody wants it any more */
		}
		if (n < 0) {
			end(u, 0, "connection lost: %s", strerror((int)-n));
		} else if (n == 0) {
			if (u->state == OPEN)
				end(u, 0, NULL);
			else if (u->state == REFUSED)
				end(u, (int)u->parser.status_code, "%s", u->in.buf);
			else
				end(u, 0, "connection closed before the answer");
		} else if (u->state == OPEN) {
			u->ops.on_data(u, u->arg, buf, (size_t)n);
		} else if (u->state == REFUSED) {
			feed_refusal(u, buf, (size_t)n);
		} else {
			feed_head(u, buf, (size_t)n);
		}
	}
}

static void connected(struct http_upgrade *u)
{
	socklen_t len = sizeof(int);
	int e = 0;

	if (getsockopt(u->fd, SOL_SOCKET, SO_ERROR, &e, &len) < 0)
		e = errno;
	if (e) {
		drop_socket(u);
		if (u->addr)
			u->addr = u->addr->ai_next;
		connect_next(u, e);
		return;
	}
	u->want_write = false;
	u->state = HEAD;
	if (u->ssl) {
		if (SSL_set_fd(u->ssl, u->fd) != 1) {
			end(u, 0, "out of memory");
			return;
		}
		SSL_set_connect_state(u->ssl);
		u->state = HANDSHAKE;
		handshake(u);
	}
	if (u->state == HEAD && loop_timer_set(u->c->loop, &u->timer, ANSWER_TIMEOUT_MS) < 0)
		end(u, 0, "out of memory");
}

static void on_ready(struct loop_io *io, uint32_t events)
{
	struct http_upgrade *u = io->arg;

	hold(u);
	if (u->paused && (events & (EPOLLERR | EPOLLHUP)) && !(events & EPOLLOUT)) {
		/* Reported for as long as we do not read: look again once unpaused. */
		loop_io_del(&u->io);
		u->watched = false;
		u->hung = true;
		put(u);
		return;
	}
	if (u->state == CONNECTING) {
		connected(u);
	} else if (u->state == HANDSHAKE) {
		handshake(u);
		if (u->state == HEAD)
			(void)loop_timer_set(u->c->loop, &u->timer, ANSWER_TIMEOUT_MS);
	}
	if (u->state >= HEAD && u->state < DEAD)
		pump_out(u);
	if (u->state >= HEAD && u->state < DEAD && (events & (EPOLLIN | EPOLLERR | EPOLLHUP)))
		pump_in(u);
	put(u);
}

static void on_timer(struct loop_timer *timer)
{
	struct http_upgrade *u = timer->arg;

	hold(u);
	if (u->state == RESOLVING)
		connect_next(u, 0);
	else if (u->state == CLOSING)
		u->state = DEAD;
	else if (u->state == CONNECTING || u->state == HANDSHAKE)
		end(u, 0, "timeout: no connection after %d ms", u->c->connect_timeout_ms);
	else
		end(u, 0, "timeout: no answer after %d ms", ANSWER_TIMEOUT_MS);
	put(u);
}

static void update_events(struct http_upgrade *u)
{
	uint32_t events = 0;
	int r;

	if (u->fd < 0 || u->hung)
		return;
	if (u->state == CONNECTING)
		events = EPOLLOUT;
	else if (u->state == HANDSHAKE)
		events = u->want_write ? EPOLLOUT : EPOLLIN;
	else
		events = (u->paused ? 0 : EPOLLIN) | (u->out_off < u->out.len ? EPOLLOUT : 0);
	if (u->watched) {
		if (u->io.events != events)
			(void)loop_io_set(&u->io, events);
		return;
	}
	r = loop_io_add(u->c->loop, &u->io, u->fd, events);
	u->watched = !r;
	if (r < 0)
		end(u, 0, "%s", strerror(-r));
}

/* --- ends --------------------------------------------------------------------------------------------------------- */

/* Tells the owner, once; the memory goes when our frames have returned. fmt NULL: a normal end. */
static void end(struct http_upgrade *u, int status, const char *fmt, ...)
{
	char cause[1024];
	struct strbuf text;
	va_list ap;

	if (u->state == DEAD)
		return;
	if (u->state == CLOSING) {
		u->state = DEAD;
		return;
	}
	u->state = DEAD;
	strbuf_init(&text);
	if (fmt && status) {
		va_start(ap, fmt);
		strbuf_vaddf(&text, fmt, ap);
		va_end(ap);
	} else if (fmt) {
		va_start(ap, fmt);
		vsnprintf(cause, sizeof(cause), fmt, ap);
		va_end(ap);
		if (u->c->unix_socket)
			strbuf_addf(&text, "%s: %s", u->c->unix_socket, cause);
		else
			strbuf_addf(&text, strchr(u->c->host, ':') ? "[%s]:%d: %s" : "%s:%d: %s", u->c->host,
				    u->c->port, cause);
	}
	u->ops.on_close(u, u->arg, status, fmt ? text.buf : NULL);
	strbuf_done(&text);
}

/* Around every callback of the loop: the upgrade and its client stay until the matching put(). */
static void hold(struct http_upgrade *u)
{
	u->depth++;
	http_client_enter(u->c);
}

static void put(struct http_upgrade *u)
{
	struct http_client *c = u->c;

	if (u->depth == 1 && u->state != DEAD)
		update_events(u);
	if (--u->depth == 0 && u->state == DEAD)
		upgrade_free(u);
	http_client_leave(c);
}

int http_upgrade_write(struct http_upgrade *u, const void *data, size_t len)
{
	if (u->state == CLOSING || u->state == DEAD)
		return -EPIPE;
	if (http_upgrade_pending(u) + len > MAX_PENDING)
		return -ENOBUFS;
	if (strbuf_reserve(&u->out, len) < 0)
		return -ENOMEM;
	strbuf_add(&u->out, data, len);
	if (!u->depth && u->watched)
		update_events(u);
	return 0;
}

size_t http_upgrade_pending(const struct http_upgrade *u)
{
	return u->out.len - u->out_off;
}

void http_upgrade_pause(struct http_upgrade *u, bool pause)
{
	if (u->paused == pause || u->state == DEAD)
		return;
	u->paused = pause;
	u->hung &= pause;
	if (!u->depth && u->fd >= 0)
		update_events(u);
}

void http_upgrade_on_drain(struct http_upgrade *u, size_t low_water, void (*fn)(struct http_upgrade *u, void *arg))
{
	u->low_water = low_water;
	u->on_drain = fn;
}

void http_upgrade_close(struct http_upgrade *u)
{
	if (!u || u->state == DEAD || u->state == CLOSING)
		return;
	if (u->state < OPEN || !http_upgrade_pending(u)) {
		u->state = DEAD;
	} else {
		u->state = CLOSING;
		u->paused = u->hung = false;
		if (loop_timer_set(u->c->loop, &u->timer, FLUSH_TIMEOUT_MS) < 0)
			u->state = DEAD;
		else if (!u->depth)
			update_events(u);
	}
	if (u->state == DEAD && !u->depth)
		upgrade_free(u);
}

static void upgrade_free(struct http_upgrade *u)
{
	if (!u)
		return;
	list_remove(&u->node);
	if (u->job)
		u->job->u = NULL;
	loop_timer_cancel(&u->timer);
	if (u->ssl) {
		ERR_clear_error();
		if (u->fd >= 0 && SSL_is_init_finished(u->ssl))
			(void)SSL_shutdown(u->ssl); /* best effort: close_notify without waiting */
		SSL_free(u->ssl);
	}
	SSL_CTX_free(u->ctx);
	drop_socket(u);
	if (u->addrs)
		freeaddrinfo(u->addrs);
	strbuf_done(&u->out);
	strbuf_done(&u->in);
	free(u);
}

void http_upgrades_free(struct http_client *c)
{
	list_for_each_safe (n, tmp, &c->upgrades) {
		struct http_upgrade *u = list_entry(n, struct http_upgrade, node);

		u->state = DEAD;
		if (!u->depth)
			upgrade_free(u);
		else
			list_remove(n); /* its own frame frees it */
	}
}
