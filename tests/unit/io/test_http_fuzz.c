/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lib/io: the HTTP server under random bytes and damaged requests, in every protocol. Nothing is expected of the
 * answers; the server must stay alive, bounded, and give every request that a handler saw its on_close (srv_stop()
 * checks). Made for the sanitizers. SKEP_FUZZ_ROUNDS lengthens it.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "http_test.h"

static unsigned seed;

static unsigned rnd(unsigned n)
{
	return (unsigned)rand_r(&seed) % n;
}

static int rounds(int standard)
{
	const char *s = getenv("SKEP_FUZZ_ROUNDS");

	return s ? atoi(s) : standard;
}

static void start(void)
{
	srv_start((struct http_server_config){ .max_body = 5000,
					       .max_header = 3000,
					       .max_pending = 100000,
					       .header_timeout_ms = 2000,
					       .idle_timeout_ms = 2000 },
		  false);
}

static const char *const pieces[] = {
	"GET ",
	"POST ",
	"HEAD ",
	"OPTIONS ",
	"CONNECT ",
	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	"/hello",
	"/echo",
	"/info?q=%41&q=+",
	"/stream?n=5&size=300",
	"/later",
	"/watch",
	"/raw",
	"/ws",
	"/never",
	"/nocontent",
	"*",
	"http://x/hello",
	"?",
	"%",
	"%00",
	" HTTP/1.1\r\n",
	" HTTP/1.0\r\n",
	" HTTP/9.9\r\n",
	"Host: x\r\n",
	"Content-Length: 5\r\n",
	"Content-Length: 5000000\r\n",
	"Transfer-Encoding: chunked\r\n",
	"Transfer-Encoding: gzip\r\n",
	"Connection: close\r\n",
	"Connection: keep-alive\r\n",
	"Connection: Upgrade\r\n",
	"Upgrade: websocket\r\n",
	"Upgrade: echo\r\n",
	"Sec-WebSocket-Version: 13\r\n",
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
	"Expect: 100-continue\r\n",
	"\r\n",
	"\n",
	"\r",
	":",
	" ",
	"\t",
	"5\r\n",
	"0\r\n",
	"hello",
	"ffffffff\r\n",
	"\x81\x83\0\0\0\0abc",
	"a: b\r\n c\r\n",
	"\x80",
	"\x00",
	"!",
};

/*
 * Bytes of a real HTTP/2 conversation's beginning: preface, SETTINGS, HEADERS of GET /hello, /watch, POST /echo with
 * DATA.
 */
static const char h2_start[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
			       "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
			       "\x00\x00\x0b\x01\x05\x00\x00\x00\x01\x82\x86\x41\x01x\x04\x05/hell"
			       "\x00\x00\x0c\x01\x05\x00\x00\x00\x03\x82\x86\x41\x01x\x04\x06/watch"
			       "\x00\x00\x0b\x01\x04\x00\x00\x00\x05\x83\x86\x41\x01x\x04\x05/echo"
			       "\x00\x00\x05\x00\x01\x00\x00\x00\x05hello"
			       "\x00\x00\x04\x03\x00\x00\x00\x00\x03\x00\x00\x00\x08"
			       "\x00\x00\x08\x06\x00\x00\x00\x00\x00"
			       "12345678"
			       "\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x10\x00";

static void add_pieces(struct strbuf *sb)
{
	for (unsigned n = 1 + rnd(14); n; n--) {
		const char *p = pieces[rnd(sizeof(pieces) / sizeof(pieces[0]))];

		strbuf_add(sb, p, *p ? strlen(p) : 1);
	}
}

/* Mostly well-formed, so that the paths behind the parser are reached. */
static void add_request(struct strbuf *sb)
{
	static const char *const paths[] = { "/hello", "/echo", "/info?q=1", "/stream",	 "/later", "/watch",
					     "/raw",   "/ws",	"/never",    "/endless", "/nope" };
	bool body = rnd(2), chunked = rnd(2);

	strbuf_addf(sb, "%s %s HTTP/1.%d\r\nHost: x\r\n",
		    body     ? "POST"
		    : rnd(4) ? "GET"
			     : "HEAD",
		    paths[rnd(11)], !!rnd(6));
	if (!rnd(5))
		strbuf_adds(sb, "Connection: Upgrade\r\nUpgrade: echo, websocket\r\nSec-WebSocket-Version: 13\r\n"
				"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
	if (!rnd(8))
		strbuf_adds(sb, "Connection: close\r\n");
	if (!body)
		strbuf_adds(sb, "\r\n");
	else if (chunked)
		strbuf_adds(
			sb,
			"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n10;e\r\n0123456789abcdef\r\n0\r\nT: t\r\n\r\n");
	else
		strbuf_addf(sb, "Content-Length: %u\r\n\r\n0123456789", rnd(11));
}

static void damage(struct strbuf *sb, size_t keep)
{
	for (unsigned times = rnd(4); times && sb->len > keep; times--) {
		size_t at = keep + rnd((unsigned)(sb->len - keep)), n;

		switch (rnd(4)) {
		case 0:
			sb->buf[at] = (char)rnd(256);
			break;
		case 1:
			sb->buf[at] ^= (char)(1 << rnd(8));
			break;
		case 2:
			sb->len = at; /* cut */
			break;
		default: /* repeat a stretch */
			n = sb->len - at < 64 ? sb->len - at : 64;
			if (sb->len < 20000 && !strbuf_reserve(sb, n))
				memcpy(sb->buf + sb->len, sb->buf + at, n), sb->len += n;
			break;
		}
	}
}

/* Sends in random splits; reads a little, or not at all; leaves in one of three ways. */
static void talk(const struct strbuf *sb)
{
	struct linger reset = { 1, 0 };
	int fd = cl_connect();
	char buf[2048];

	for (size_t at = 0, n; at < sb->len; at += n) {
		n = 1 + rnd(400);
		if (n > sb->len - at)
			n = sb->len - at;
		cl_send(fd, sb->buf + at, n);
		if (!rnd(3))
			(void)recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
	}
	switch (rnd(3)) {
	case 0:
		shutdown(fd, SHUT_WR);
		break;
	case 1:
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		break;
	}
	(void)recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
	close(fd);
}

static void still_answers(void)
{
	char *a = cl_talk("GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");

	cr_assert(strstr(a, "\r\n\r\nhello"), "%s", a);
	free(a);
}

static void each_round(int n, void (*make)(struct strbuf *sb))
{
	struct strbuf sb = STRBUF_INIT;

	for (int i = 0; i < n; i++) {
		seed = (unsigned)i * 2654435761u + 1; /* a failing round can be run alone */
		strbuf_clear(&sb);
		make(&sb);
		talk(&sb);
	}
	strbuf_done(&sb);
	still_answers();
}

static void make_noise(struct strbuf *sb)
{
	for (unsigned n = rnd(3000); n; n--)
		strbuf_addc(sb, (char)rnd(256));
}

static void make_http1(struct strbuf *sb)
{
	for (unsigned n = 1 + rnd(6); n; n--)
		add_request(sb);
	if (!rnd(3))
		add_pieces(sb);
	damage(sb, 0);
}

static void make_http2(struct strbuf *sb)
{
	strbuf_add(sb, h2_start, sizeof(h2_start) - 1);
	if (!rnd(3))
		make_noise(sb);
	damage(sb, rnd(5) ? 33 : 0); /* mostly behind the preface and SETTINGS */
}

Test(http_fuzz, noise, .init = start, .fini = srv_stop)
{
	each_round(rounds(300), make_noise);
}

Test(http_fuzz, pieces, .init = start, .fini = srv_stop)
{
	each_round(rounds(1500), add_pieces);
}

Test(http_fuzz, http1, .init = start, .fini = srv_stop)
{
	each_round(rounds(2000), make_http1);
}

Test(http_fuzz, http2, .init = start, .fini = srv_stop)
{
	each_round(rounds(1500), make_http2);
}

static void start_tls(void)
{
	srv_start((struct http_server_config){ .header_timeout_ms = 2000 }, true);
}

Test(http_fuzz, noise_in_a_handshake, .init = start_tls, .fini = srv_stop)
{
	struct strbuf sb = STRBUF_INIT;

	for (int i = 0; i < rounds(200); i++) {
		seed = (unsigned)i + 1;
		strbuf_clear(&sb);
		strbuf_add(&sb, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
		make_noise(&sb);
		damage(&sb, 0);
		talk(&sb);
	}
	strbuf_done(&sb);
}
