/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP server around its connections: configuration, listening, accepting, timeouts. See http-server-internal.h. */
#include "http_server.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "../base/clock.h"
#include "../base/str.h"
#include "http-server-internal.h"
#include "tls-internal.h"

#define ACCEPTS_PER_EVENT 64
#define ACCEPT_REST_MS	  100 /* when descriptors ran out */
#define CHORES_AT_ONCE	  256
#define TRIM_AFTER_MS	  10000
#define TRIM_HANDSHAKES	  64
#define KEEPALIVE_IDLE_S  30 /* a watcher whose machine vanished is noticed after about a minute */
#define KEEPALIVE_EVERY_S 10
#define KEEPALIVE_PROBES  3

static void on_chores(struct loop_timer *t);
static void on_wait_timer(struct loop_timer *t);
static void on_accept_timer(struct loop_timer *t);
static void on_trim_timer(struct loop_timer *t);
DEFINE_CLEANUP(struct http_server *, http_server_free);

static void set_defaults(struct http_server_config *c)
{
	c->tls = NULL;
	if (!c->max_body)
		c->max_body = 3 << 20;
	if (!c->max_header)
		c->max_header = 64 << 10;
	if (!c->max_pending)
		c->max_pending = 4 << 20;
	if (c->max_connections <= 0)
		c->max_connections = 10000;
	if (c->idle_timeout_ms <= 0)
		c->idle_timeout_ms = 120000;
	if (c->header_timeout_ms <= 0)
		c->header_timeout_ms = 10000;
}

/* OpenSSL writes with write(2): a peer that went away must be an error there, not a signal. */
static void ignore_sigpipe(void)
{
	struct sigaction sa;

	if (!sigaction(SIGPIPE, NULL, &sa) && sa.sa_handler == SIG_DFL)
		signal(SIGPIPE, SIG_IGN);
}

int http_server_new(struct loop *loop, const struct http_server_config *config, struct http_server **ret,
		    struct err *err)
{
	cleanup(http_server_free) struct http_server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_set(err, ENOMEM, "out of memory");
	s->loop = loop;
	s->config = *config;
	set_defaults(&s->config);
	list_init(&s->listeners);
	list_init(&s->conns);
	list_init(&s->wait_header);
	list_init(&s->wait_idle);
	list_init(&s->dirty);
	s->chores = (struct loop_timer){ .fn = on_chores, .arg = s };
	s->wait_timer = (struct loop_timer){ .fn = on_wait_timer, .arg = s };
	s->accept_timer = (struct loop_timer){ .fn = on_accept_timer, .arg = s };
	s->trim_timer = (struct loop_timer){ .fn = on_trim_timer, .arg = s };
	s->date_s = -1;
	s->read_buf = malloc(HTTP_READ_SIZE);
	s->write_buf = malloc(HTTP_WRITE_SIZE);
	if (!s->read_buf || !s->write_buf || h2_server_init(s) < 0)
		return err_set(err, ENOMEM, "out of memory");
	if (config->tls) {
		ignore_sigpipe();
		r = tls_server_ctx(config->tls, config->client_certs, &s->ssl_ctx, err);
		if (r < 0)
			return r;
	}
	*ret = TAKE(s);
	return 0;
}

static void listener_free(struct http_listener *l)
{
	loop_io_del(&l->io);
	list_remove(&l->node);
	close(l->fd);
	if (l->unlink_path)
		unlink(l->unlink_path);
	free(l->unlink_path);
	free(l);
}

void http_server_free(struct http_server *s)
{
	struct http_listener *l;
	struct http_conn *c;

	if (!s)
		return;
	while ((l = list_first(&s->listeners, struct http_listener, node)))
		listener_free(l);
	while ((c = list_first(&s->conns, struct http_conn, node))) {
		if (c->mode == CONN_HTTP2)
			h2_goaway(c);
		conn_flush(c); /* what the sockets still take */
		conn_free(c);
	}
	loop_timer_cancel(&s->chores);
	loop_timer_cancel(&s->wait_timer);
	loop_timer_cancel(&s->accept_timer);
	loop_timer_cancel(&s->trim_timer);
	h2_server_done(s);
	SSL_CTX_free(s->ssl_ctx);
	free(s->read_buf);
	free(s->write_buf);
	free(s);
}

unsigned http_server_connections(const struct http_server *s)
{
	return s->n_conns;
}

const char *server_date(struct http_server *s)
{
	time_t now = (time_t)(clock_real_ms() / 1000);
	struct tm tm;

	if (now != s->date_s) {
		gmtime_r(&now, &tm);
		strftime(s->date, sizeof(s->date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
		s->date_s = now;
	}
	return s->date;
}

/* --- accepting ---------------------------------------------------------------------------------------------------- */

static void rest_accepting(struct http_server *s)
{
	list_for_each (n, &s->listeners)
		(void)loop_io_set(&list_entry(n, struct http_listener, node)->io, 0);
	(void)loop_timer_set(s->loop, &s->accept_timer, ACCEPT_REST_MS);
}

static void on_accept_timer(struct loop_timer *t)
{
	struct http_server *s = t->arg;

	list_for_each (n, &s->listeners)
		(void)loop_io_set(&list_entry(n, struct http_listener, node)->io, EPOLLIN);
}

static void on_accept(struct loop_io *io, uint32_t events)
{
	struct http_listener *l = io->arg;
	struct http_server *s = l->server;

	(void)events;
	for (int i = 0; i < ACCEPTS_PER_EVENT; i++) {
		struct sockaddr_storage peer = { 0 };
		socklen_t len = sizeof(peer);
		int fd = accept4(l->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			/* Level-triggered: without a rest the loop would spin until a descriptor is free again. */
			if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
				rest_accepting(s);
			return;
		}
		if (s->n_conns >= (unsigned)s->config.max_connections || conn_new(s, fd, &peer) < 0)
			close(fd);
	}
}

/* Accepted sockets inherit these. Other families refuse some: no harm. */
static void set_tcp_options(int fd)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S },
		{ IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_EVERY_S },
		{ IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES },
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		(void)setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int));
}

static int add_listener(struct http_server *s, int fd, const char *unlink_path, struct err *err)
{
	struct http_listener *l = calloc(1, sizeof(*l));
	int r = -ENOMEM;

	if (!l)
		goto fail;
	l->server = s;
	l->fd = fd;
	l->io = (struct loop_io){ .fn = on_accept, .arg = l };
	l->unlink_path = unlink_path ? strdup(unlink_path) : NULL;
	if (unlink_path && !l->unlink_path)
		goto fail;
	set_tcp_options(fd);
	r = loop_io_add(s->loop, &l->io, fd, EPOLLIN);
	if (r < 0)
		goto fail;
	list_push_back(&s->listeners, &l->node);
	return 0;
fail:
	if (l)
		free(l->unlink_path);
	free(l);
	return err_set(err, -r, "watch listening socket: %s", strerror(-r));
}

int http_server_listen_fd(struct http_server *s, int fd, struct err *err)
{
	int r;

	/* A listener that blocks in accept() would stop the whole loop. */
	r = fcntl(fd, F_GETFL);
	if (r >= 0)
		r = fcntl(fd, F_SETFL, r | O_NONBLOCK);
	if (r < 0)
		r = err_set(err, errno, "listening socket: %m");
	else
		r = add_listener(s, fd, NULL, err);
	if (r < 0)
		close(fd);
	return r;
}

/* Removes the socket of a server that is gone; one that answers stays, and bind() will say so. */
static void remove_stale_socket(const struct sockaddr_un *sa)
{
	cleanup(close_fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;

	if (fd >= 0 && !lstat(sa->sun_path, &st) && S_ISSOCK(st.st_mode) &&
	    connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0 && errno == ECONNREFUSED)
		unlink(sa->sun_path);
}

static int listen_unix(struct http_server *s, const char *path, struct err *err)
{
	cleanup(close_fd) int fd = -1;
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int r;

	if (strlen(path) >= sizeof(sa.sun_path))
		return err_set(err, ENAMETOOLONG, "listen on 'unix:%s': path too long", path);
	strcpy(sa.sun_path, path);
	remove_stale_socket(&sa);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, SOMAXCONN) < 0)
		return err_set(err, errno, "listen on 'unix:%s': %m", path);
	r = add_listener(s, fd, path, err);
	if (!r)
		(void)TAKE_FD(fd);
	return r;
}

/* "host:port", "[v6]:port", ":port" into two strings. */
static int split_address(const char *address, char host[64], char port[8])
{
	const char *colon = strrchr(address, ':'), *begin = address, *end = colon;

	if (!colon || strlen(colon + 1) >= 8)
		return -EINVAL;
	if (*begin == '[') {
		begin++;
		end--;
		if (end < begin || *end != ']')
			return -EINVAL;
	} else if (memchr(begin, ':', (size_t)(end - begin))) {
		return -EINVAL;
	}
	if (end - begin >= 64)
		return -EINVAL;
	memcpy(host, begin, (size_t)(end - begin));
	host[end - begin] = '\0';
	strcpy(port, colon + 1);
	return 0;
}

static int listen_tcp(struct http_server *s, const char *address, int *ret_port, struct err *err)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
				  .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV };
	cleanup(close_fd) int fd = -1;
	struct sockaddr_storage bound;
	socklen_t len = sizeof(bound);
	char host[64], port[8];
	struct addrinfo *ai;
	int one = 1, zero = 0, r;

	if (split_address(address, host, port) < 0)
		return err_set(err, EINVAL, "listen on '%s': not an address:port", address);
	r = getaddrinfo(*host ? host : "::", port, &hints, &ai);
	if (r)
		return err_set(err, EINVAL, "listen on '%s': %s", address, gai_strerror(r));
	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd >= 0 && ai->ai_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	r = fd < 0 || bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, SOMAXCONN) < 0 ? -errno : 0;
	freeaddrinfo(ai);
	if (!r && getsockname(fd, (struct sockaddr *)&bound, &len) < 0)
		r = -errno;
	if (r < 0)
		return err_set(err, -r, "listen on '%s': %s", address, strerror(-r));
	r = add_listener(s, fd, NULL, err);
	if (r < 0)
		return r;
	(void)TAKE_FD(fd);
	if (ret_port)
		*ret_port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
							      : ((struct sockaddr_in *)&bound)->sin_port);
	return 0;
}

int http_server_listen(struct http_server *s, const char *address, int *ret_port, struct err *err)
{
	int r;

	if (!str_starts(address, "unix:"))
		return listen_tcp(s, address, ret_port, err);
	r = listen_unix(s, address + 5, err);
	if (!r && ret_port)
		*ret_port = 0;
	return r;
}

/*
 * A handshake needs some 40 KB for a moment. When all watchers come back at once after a restart, malloc is left with
 * holes of that size between what stays: measured, a quarter to half as much again. Their pages go back to the
 * kernel.
 */
void server_handshaken(struct http_server *s)
{
	s->handshakes++;
	if (!loop_timer_pending(&s->trim_timer))
		(void)loop_timer_set(s->loop, &s->trim_timer, TRIM_AFTER_MS);
}

static void on_trim_timer(struct loop_timer *t)
{
	struct http_server *s = t->arg;

	if (s->handshakes >= TRIM_HANDSHAKES)
		malloc_trim(0);
	s->handshakes = 0;
}

/* --- chores and timeouts ------------------------------------------------------------------------------------------ */

/* A bounded part at a time: an event for 10,000 watchers must not keep everybody else waiting. */
static void on_chores(struct loop_timer *t)
{
	struct http_server *s = t->arg;

	for (int i = 0; i < CHORES_AT_ONCE && !list_empty(&s->dirty); i++)
		conn_chore(list_first(&s->dirty, struct http_conn, dirty_node));
	if (!list_empty(&s->dirty) && !loop_timer_pending(t))
		(void)loop_timer_set(s->loop, t, 0);
}

static int64_t wait_ms(const struct http_server *s, enum conn_wait wait)
{
	return wait == WAIT_HEADER ? s->config.header_timeout_ms : s->config.idle_timeout_ms;
}

/* The timer is not moved while connections come and go: it looks at the oldest when it fires. */
void server_wait(struct http_conn *c, enum conn_wait wait, bool restart)
{
	struct http_server *s = c->server;

	if (wait == c->wait && !restart)
		return;
	c->wait = wait;
	list_remove(&c->wait_node);
	if (wait == WAIT_NONE)
		return;
	c->wait_since = clock_mono_ms();
	list_push_back(wait == WAIT_HEADER ? &s->wait_header : &s->wait_idle, &c->wait_node);
	if (!loop_timer_pending(&s->wait_timer) || s->wait_timer.due_ms > c->wait_since + wait_ms(s, wait))
		(void)loop_timer_set(s->loop, &s->wait_timer, wait_ms(s, wait));
}

/* Ends what is overdue in a list; returns when its next is due, or INT64_MAX. */
static int64_t expire(struct http_server *s, struct list *waiting, enum conn_wait wait, int64_t now)
{
	struct http_conn *c;

	while ((c = list_first(waiting, struct http_conn, wait_node))) {
		int64_t due = c->wait_since + wait_ms(s, wait);

		if (due > now)
			return due;
		server_wait(c, wait, true); /* whatever follows, it is not the first any more */
		conn_timed_out(c);
	}
	return INT64_MAX;
}

static void on_wait_timer(struct loop_timer *t)
{
	struct http_server *s = t->arg;
	int64_t now = clock_mono_ms();
	int64_t a = expire(s, &s->wait_header, WAIT_HEADER, now);
	int64_t b = expire(s, &s->wait_idle, WAIT_PROGRESS, now);

	if (b < a)
		a = b;
	if (a != INT64_MAX)
		(void)loop_timer_set(s->loop, &s->wait_timer, a > now ? a - now : 0);
}
