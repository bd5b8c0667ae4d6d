/* SPDX-License-Identifier: Apache-2.0 */
/* A client: one TLS connection, HTTP/1.1, blocking. */
#include "bench.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

int dial(const struct target *t)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons((uint16_t)t->port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0)
		fail("socket: %m");
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		close(fd);
		return -1;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

SSL *handshake(const struct target *t, int fd, const char *alpn)
{
	SSL *ssl = SSL_new(t->ctx);

	SSL_set_fd(ssl, fd);
	SSL_set_alpn_protos(ssl, (const unsigned char *)alpn, (unsigned)strlen(alpn));
	if (SSL_connect(ssl) != 1)
		fail("TLS: %s", ERR_error_string(ERR_get_error(), NULL));
	return ssl;
}

bool client_open(struct client *c, const struct target *t)
{
	c->have = 0;
	c->fd = dial(t);
	if (c->fd < 0)
		return false;
	c->ssl = handshake(t, c->fd, "\x08http/1.1");
	return true;
}

void client_close(struct client *c)
{
	SSL_free(c->ssl);
	close(c->fd);
	free(c->body);
	c->body = NULL;
	c->body_cap = 0;
}

static void fill(struct client *c)
{
	int n = SSL_read(c->ssl, c->buf + c->have, (int)(sizeof(c->buf) - c->have));

	if (n <= 0)
		fail("the server closed the connection");
	c->have += (size_t)n;
}

static void consume(struct client *c, size_t n)
{
	memmove(c->buf, c->buf + n, c->have - n);
	c->have -= n;
}

static void take_body(struct client *c, size_t n)
{
	while (n) {
		size_t k;

		if (!c->have)
			fill(c);
		k = c->have < n ? c->have : n;
		if (c->keep) {
			if (c->body_len + k + 1 > c->body_cap) {
				c->body_cap = (c->body_len + k + 1) * 2;
				c->body = realloc(c->body, c->body_cap);
			}
			memcpy(c->body + c->body_len, c->buf, k);
			c->body[c->body_len + k] = '\0';
		}
		c->body_len += k;
		consume(c, k);
		n -= k;
	}
}

static size_t line(struct client *c, char *text, size_t size)
{
	char *nl;

	while (!(nl = memmem(c->buf, c->have, "\r\n", 2)))
		fill(c);
	snprintf(text, size, "%.*s", (int)(nl - c->buf), c->buf);
	consume(c, (size_t)(nl - c->buf) + 2);
	return strlen(text);
}

int request(struct client *c, const char *method, const char *path, const char *type, const char *body)
{
	char head[1024], text[1024];
	size_t length = 0, len = body ? strlen(body) : 0;
	bool chunked = false;
	int n = snprintf(
		head, sizeof(head),
		"%s %s HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n%s%s%sContent-Length: %zu\r\n\r\n",
		method, path, type ? "Content-Type: " : "", type ? type : "", type ? "\r\n" : "", len);
	char *all = len ? malloc((size_t)n + len) : head;

	if (len) {
		memcpy(all, head, (size_t)n);
		memcpy(all + n, body, len);
	}
	if (SSL_write(c->ssl, all, n + (int)len) <= 0)
		fail("the server closed the connection");
	if (len)
		free(all);
	line(c, text, sizeof(text));
	c->status = atoi(text + 9);
	while (line(c, text, sizeof(text))) {
		if (!strncasecmp(text, "content-length:", 15))
			length = strtoul(text + 15, NULL, 10);
		else if (!strncasecmp(text, "transfer-encoding: chunked", 26))
			chunked = true;
	}
	c->body_len = 0;
	if (!chunked) {
		take_body(c, length);
		return c->status;
	}
	do {
		line(c, text, sizeof(text));
		length = strtoul(text, NULL, 16);
		take_body(c, length);
		line(c, text, sizeof(text));
	} while (length);
	return c->status;
}
