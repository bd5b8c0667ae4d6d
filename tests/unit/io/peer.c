/* SPDX-License-Identifier: Apache-2.0 */
/* See peer.h. */
#include "peer.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct conn {
	int fd;
	SSL *ssl;
	char buf[65536];
	size_t len;
};

static ssize_t conn_read(struct conn *c, void *buf, size_t n)
{
	return c->ssl ? SSL_read(c->ssl, buf, (int)n) : read(c->fd, buf, n);
}

static int conn_write(struct conn *c, const void *data, size_t n)
{
	const char *p = data;

	while (n) {
		ssize_t w = c->ssl ? SSL_write(c->ssl, p, (int)n) : send(c->fd, p, n, MSG_NOSIGNAL);

		if (w <= 0)
			return -1;
		p += w;
		n -= (size_t)w;
	}
	return 0;
}

static int say(struct conn *c, const char *s)
{
	return conn_write(c, s, strlen(s));
}

static void wait_for_close(struct conn *c)
{
	while (conn_read(c, c->buf, sizeof(c->buf)) > 0)
		;
}

/* Answers one request; false: close. head: NUL-terminated request head. */
static bool answer(struct conn *c, const char *head, const char *body, size_t body_len)
{
	char path[256] = "", line[512];

	sscanf(head, "%*s %255s", path);
	if (!strncmp(path, "/echo", 5)) {
		snprintf(line, sizeof(line), "HTTP/1.1 200 OK\r\nX-Test: yes \r\nContent-Length: %zu\r\n\r\n",
			 strlen(head) + body_len);
		return !say(c, line) && !say(c, head) && !conn_write(c, body, body_len);
	}
	if (!strncmp(path, "/status/", 8)) {
		snprintf(line, sizeof(line), "HTTP/1.1 %s Whatever\r\nContent-Length: 2\r\n\r\n{}", path + 8);
		return !say(c, line);
	}
	if (!strcmp(path, "/endless")) {
		memset(c->buf, 'x', sizeof(c->buf));
		say(c, "HTTP/1.1 200 OK\r\n\r\n");
		while (!conn_write(c, c->buf, sizeof(c->buf)))
			;
		return false;
	}
	if (!strcmp(path, "/drip")) {
		say(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
		wait_for_close(c);
		return false;
	}
	if (!strcmp(path, "/hang")) {
		wait_for_close(c);
		return false;
	}
	if (!strcmp(path, "/short")) {
		say(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789");
		return false;
	}
	if (!strcmp(path, "/upgrade")) {
		ssize_t n;

		/* The first bytes of the stream come with the head. */
		say(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: test\r\nConnection: Upgrade\r\n\r\nearly");
		conn_write(c, body, body_len);
		while ((n = conn_read(c, c->buf, sizeof(c->buf))) > 0)
			if (memchr(c->buf, '!', (size_t)n) || conn_write(c, c->buf, (size_t)n))
				break;
		return false;
	}
	if (!strcmp(path, "/refuse")) {
		say(c,
		    "HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nno \r\n7\r\nentry!\n\r\n0\r\n\r\n");
		wait_for_close(c);
		return false;
	}
	if (!strncmp(path, "/garbage/", 9)) {
		/* Pieces of answers in random order with random bytes between: whatever it is, it ends. */
		static const char *const pieces[] = {
			"HTTP/1.1 101 Switching\r\n",
			"HTTP/1.1 200 OK\r\n",
			"HTTP/1.1 100 Continue\r\n\r\n",
			"HTTP/1.1 ",
			"HTTP/2 200\r\n",
			"Content-Length: 5\r\n",
			"Content-Length: -1\r\n",
			"Content-Length: 99999999999999999999\r\n",
			"Transfer-Encoding: chunked\r\n",
			": no name\r\n",
			"X: \r\n",
			"\r\n",
			"\r\n\r\n",
			"\n\n",
			"5\r\nhello\r\n",
			"ffffffffff\r\n",
			"0\r\n\r\n",
			"HTTP/1.1 403 No\r\n",
			"HTTP/1.1 999999 X\r\n",
			" folded\r\n",
		};
		unsigned seed = (unsigned)atoi(path + 9);

		for (unsigned i = 0, n = rand_r(&seed) % 12; i < n; i++) {
			const char *piece = pieces[(unsigned)rand_r(&seed) % (sizeof(pieces) / sizeof(pieces[0]))];
			char noise[4] = { (char)rand_r(&seed), (char)rand_r(&seed), (char)rand_r(&seed),
					  (char)rand_r(&seed) };

			if (say(c, piece) || (rand_r(&seed) % 4 == 0 && conn_write(c, noise, sizeof(noise))))
				break;
		}
		return false;
	}
	return false; /* /close */
}

static void serve(struct conn *c)
{
	c->len = 0;
	for (;;) {
		ssize_t n = conn_read(c, c->buf + c->len, sizeof(c->buf) - c->len - 1);
		char *end, *cl, *head, *body;
		size_t head_len, body_len = 0;
		bool keep;

		if (n <= 0)
			return;
		c->len += (size_t)n;
		c->buf[c->len] = '\0';
		end = strstr(c->buf, "\r\n\r\n");
		if (!end)
			continue;
		head_len = (size_t)(end - c->buf) + 4;
		cl = strcasestr(c->buf, "content-length:");
		if (cl && cl < end)
			body_len = strtoul(cl + 15, NULL, 10);
		if (c->len < head_len + body_len)
			continue;
		head = strndup(c->buf, head_len);
		body = malloc(c->len - head_len + 1);
		memcpy(body, c->buf + head_len, c->len - head_len);
		body_len = c->len - head_len;
		c->len = 0;
		keep = answer(c, head, body, body_len);
		free(head);
		free(body);
		if (!keep)
			return;
	}
}

static void *connection(void *arg)
{
	struct conn *c = arg;

	if (!c->ssl || SSL_accept(c->ssl) == 1)
		serve(c);
	if (c->ssl) {
		SSL_shutdown(c->ssl);
		SSL_free(c->ssl);
	}
	close(c->fd);
	free(c);
	return NULL;
}

static void *listener(void *arg)
{
	struct peer *p = arg;

	for (;;) {
		int fd = accept(p->fd, NULL, NULL);
		struct conn *c;
		pthread_t t;

		if (fd < 0)
			return NULL;
		p->connections++;
		c = calloc(1, sizeof(*c));
		c->fd = fd;
		if (p->ctx) {
			c->ssl = SSL_new(p->ctx);
			SSL_set_fd(c->ssl, fd);
		}
		pthread_create(&t, NULL, connection, c);
		pthread_detach(t);
	}
}

static void start(struct peer *p)
{
	pthread_t t;

	cr_assert_eq(listen(p->fd, 64), 0);
	cr_assert_eq(pthread_create(&t, NULL, listener, p), 0);
	pthread_detach(t);
}

void peer_start(struct peer *p, SSL_CTX *ctx)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);

	memset(p, 0, sizeof(*p));
	p->ctx = ctx;
	p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(p->fd, (struct sockaddr *)&a, sizeof(a)), 0);
	cr_assert_eq(getsockname(p->fd, (struct sockaddr *)&a, &len), 0);
	p->port = ntohs(a.sin_port);
	snprintf(p->url, sizeof(p->url), "%s://127.0.0.1:%d", ctx ? "https" : "http", p->port);
	start(p);
}

void peer_start_unix(struct peer *p, const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	memset(p, 0, sizeof(*p));
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	unlink(path);
	p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(p->fd, (struct sockaddr *)&a, sizeof(a)), 0);
	start(p);
}

void peer_stop(struct peer *p)
{
	shutdown(p->fd, SHUT_RDWR);
	close(p->fd);
}
