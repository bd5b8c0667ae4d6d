/* SPDX-License-Identifier: Apache-2.0 */
/* lib/io: WebSocket framing, one end at a time and both together, and over the HTTP server. */
#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "base/strbuf.h"
#include "http_test.h"
#include "io/ws.h"

struct end {
	struct ws *ws;
	struct strbuf out; /* bytes for the peer */
	struct strbuf log; /* "t:text|", "b:data|" */
	int closes, code;
	bool free_on_message, free_on_close;
};

static void on_message(struct ws *ws, void *arg, const void *data, size_t len, bool binary)
{
	struct end *e = arg;

	strbuf_addf(&e->log, "%c:", binary ? 'b' : 't');
	strbuf_add(&e->log, data, len);
	strbuf_addc(&e->log, '|');
	if (e->free_on_message) {
		ws_free(ws);
		e->ws = NULL;
	}
}

static void on_close(struct ws *ws, void *arg, int code)
{
	struct end *e = arg;

	e->closes++;
	e->code = code;
	if (e->free_on_close) {
		ws_free(ws);
		e->ws = NULL;
	}
}

static void write_out(struct ws *ws, void *arg, const void *data, size_t len)
{
	struct end *e = arg;

	(void)ws;
	strbuf_add(&e->out, data, len);
}

static const struct ws_ops ops = { on_message, on_close, write_out };

static void begin(struct end *e, bool client, size_t max)
{
	*e = (struct end){ .out = STRBUF_INIT, .log = STRBUF_INIT };
	e->ws = ws_new(client, max, &ops, e);
}

static void done(struct end *e)
{
	ws_free(e->ws);
	strbuf_done(&e->out);
	strbuf_done(&e->log);
}

/* What `from` wrote goes to `to`, in pieces of step bytes. */
static void deliver(struct end *from, struct end *to, size_t step)
{
	struct strbuf sb = from->out;

	strbuf_init(&from->out);
	for (size_t i = 0; i < sb.len; i += step)
		ws_feed(to->ws, sb.buf + i, sb.len - i < step ? sb.len - i : step);
	strbuf_done(&sb);
}

Test(ws, both_roles_all_lengths_any_split)
{
	const size_t lens[] = { 0, 1, 125, 126, 127, 65535, 65536, 100000 };

	for (int client = 0; client < 2; client++) {
		for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
			char *text = malloc(lens[i] + 1);
			struct end a, b;

			for (size_t j = 0; j < lens[i]; j++)
				text[j] = (char)('a' + j % 23);
			begin(&a, client, 100000);
			begin(&b, !client, 100000);
			ws_send(a.ws, text, lens[i], false);
			deliver(&a, &b, lens[i] < 1000 ? 1 : 1000);
			ws_send_channel(a.ws, 3, text, lens[i] < 99999 ? lens[i] : 99999);
			deliver(&a, &b, SIZE_MAX / 2);
			cr_assert_eq(b.log.len, lens[i] + (lens[i] < 99999 ? lens[i] : 99999) + 7);
			cr_assert(!memcmp(b.log.buf + 2, text, lens[i]));
			cr_assert(!memcmp(b.log.buf + lens[i] + 3, "b:\3", 3));
			cr_assert_eq(b.closes, 0);
			free(text);
			done(&a);
			done(&b);
		}
	}
}

/* Frames as a server gets them: masked with 0, so that the payload can be read in the test. */
#define FRAME(b0, len) b0 "" len "\0\0\0\0"

static void server_gets(struct end *e, const char *bytes, size_t len)
{
	begin(e, false, 100);
	ws_feed(e->ws, bytes, len);
}
#define SERVER_GETS(e, bytes) server_gets(e, bytes, sizeof(bytes) - 1)

Test(ws, fragments_with_control_frames_between)
{
	struct end e;

	SERVER_GETS(&e, FRAME("\x01", "\x82") "he" FRAME("\x89", "\x84") "ping" FRAME("\x00", "\x80")
				FRAME("\x8a", "\x81") "x" FRAME("\x80", "\x83") "llo" FRAME("\x82", "\x80"));
	cr_assert_str_eq(e.log.buf, "t:hello|b:|");
	cr_assert_eq(e.out.len, 6);
	cr_assert(!memcmp(e.out.buf, "\x8a\x04ping", 6)); /* unmasked pong */
	done(&e);
}

Test(ws, refuses_what_the_protocol_forbids)
{
	static const struct {
		const char *bytes;
		size_t len;
		int code;
	} cases[] = {
#define CASE(bytes, code) { bytes, sizeof(bytes) - 1, code }
		CASE("\x81\x01x", 1002),					 /* not masked */
		CASE(FRAME("\xc1", "\x81") "x", 1002),				 /* reserved bit */
		CASE(FRAME("\x83", "\x81") "x", 1002),				 /* reserved opcode */
		CASE(FRAME("\x8b", "\x81") "x", 1002),				 /* reserved control opcode */
		CASE(FRAME("\x80", "\x81") "x", 1002),				 /* continues nothing */
		CASE(FRAME("\x01", "\x81") "x" FRAME("\x81", "\x81") "y", 1002), /* second message inside the first */
		CASE(FRAME("\x09", "\x80"), 1002),				 /* fragmented ping */
		CASE("\x89\xfe\x00\x7e\0\0\0\0", 1002),				 /* long ping */
		CASE("\x81\xfe\x00\x05\0\0\0\0hello", 1002),			 /* length not in its shortest form */
		CASE("\x81\xff\0\0\0\0\0\0\x01\x00\0\0\0\0", 1002),
		CASE("\x81\xff\x80\0\0\0\0\0\0\0\0\0\0\0", 1002), /* highest bit of the length */
		CASE("\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 1009),
		CASE("\x81\xfe\x00\xc8\0\0\0\0", 1009), /* 200 > 100 */
		CASE(FRAME("\x81", "\x82") "\xc3\x28", 1007),
		CASE(FRAME("\x81", "\x83") "\xed\xa0\x80", 1007),     /* surrogate */
		CASE(FRAME("\x81", "\x82") "\xc0\x80", 1007),	      /* overlong NUL */
		CASE(FRAME("\x81", "\x84") "\xf4\x90\x80\x80", 1007), /* above U+10FFFF */
		CASE(FRAME("\x81", "\x81") "\xe2", 1007),	      /* cut short */
		CASE(FRAME("\x88", "\x81") "x", 1002),		      /* close with half a code */
		CASE(FRAME("\x88", "\x82") "\x03\xe7", 1002),	      /* 999 */
		CASE(FRAME("\x88", "\x82") "\x03\xed", 1002),	      /* 1005 is not for the wire */
		CASE(FRAME("\x88", "\x82") "\x13\x88", 1002),	      /* 5000 */
		CASE(FRAME("\x88", "\x83") "\x03\xe8\xff", 1007),
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct end e;

		server_gets(&e, cases[i].bytes, cases[i].len);
		cr_expect_eq(e.closes, 1, "case %zu", i);
		cr_expect_eq(e.code, cases[i].code, "case %zu: %d", i, e.code);
		cr_expect(e.out.len == 4 && (uint8_t)e.out.buf[0] == 0x88 &&
				  ((uint8_t)e.out.buf[2] << 8 | (uint8_t)e.out.buf[3]) == cases[i].code,
			  "case %zu", i);
		cr_expect_eq(e.log.len, 0);
		/* Deaf from now on, and nothing follows a close frame. */
		ws_feed(e.ws, FRAME("\x81", "\x81") "x", 7);
		ws_send(e.ws, "x", 1, false);
		cr_expect(e.log.len == 0 && e.out.len == 4 && e.closes == 1);
		done(&e);
	}
}

Test(ws, a_client_refuses_masked_frames)
{
	struct end e;

	begin(&e, true, 100);
	ws_feed(e.ws, FRAME("\x81", "\x81") "x", 7);
	cr_assert_eq(e.code, 1002);
	done(&e);
}

Test(ws, a_message_is_bounded_over_its_fragments)
{
	struct end e;

	begin(&e, false, 5);
	ws_feed(e.ws, FRAME("\x01", "\x83") "abc", 9);
	cr_assert_eq(e.closes, 0);
	ws_feed(e.ws, FRAME("\x80", "\x83") "abc", 9);
	cr_assert_eq(e.code, 1009);
	done(&e);
}

Test(ws, closing_handshakes)
{
	struct end a, b;

	for (int first = 0; first < 2; first++) {
		begin(&a, first == 0, 100);
		begin(&b, first != 0, 100);
		ws_close(a.ws, 1001, "going away");
		ws_send(a.ws, "late", 4, true);
		cr_assert_eq(a.closes, 0); /* until the peer answers */
		deliver(&a, &b, 3);
		cr_assert_eq(b.code, 1001);
		cr_assert_eq(b.log.len, 0);
		deliver(&b, &a, 1);
		cr_assert_eq(a.closes, 1);
		cr_assert_eq(a.code, 1001);
		cr_assert_eq(a.out.len, 0);
		done(&a);
		done(&b);
	}
	/* An empty close is answered and reported as 1005; a long reason is cut at a character. */
	SERVER_GETS(&a, FRAME("\x88", "\x80"));
	cr_assert_eq(a.code, 1005);
	cr_assert(a.out.len == 2 && !memcmp(a.out.buf, "\x88\x00", 2));
	done(&a);
	begin(&a, false, 100);
	begin(&b, true, 100);
	char reason[200];

	for (int i = 0; i < 199; i += 2)
		memcpy(reason + i, "\xc3\xa9", 2);
	reason[198] = '\0';
	ws_close(a.ws, 1000, reason);
	cr_assert_eq(a.out.len, 2 + 2 + 122);
	deliver(&a, &b, 1000);
	cr_assert_eq(b.code, 1000);
	done(&a);
	done(&b);
}

Test(ws, may_be_freed_in_its_callbacks)
{
	const char two[] = FRAME("\x81", "\x81") "x" FRAME("\x81", "\x81") "y" FRAME("\x88", "\x80");
	struct end e;

	begin(&e, false, 100);
	e.free_on_message = true;
	ws_feed(e.ws, two, sizeof(two) - 1);
	cr_assert_str_eq(e.log.buf, "t:x|");
	done(&e);
	begin(&e, false, 100);
	e.free_on_close = true;
	ws_feed(e.ws, two, sizeof(two) - 1);
	cr_assert_eq(e.closes, 1);
	done(&e);
}

Test(ws, random_bytes_do_no_harm)
{
	unsigned seed = 42;
	struct end e;

	for (int i = 0; i < 20000; i++) {
		uint8_t bytes[64];

		begin(&e, i & 1, 50);
		e.free_on_close = i & 2;
		for (size_t j = 0; j < sizeof(bytes); j++)
			bytes[j] = (uint8_t)rand_r(&seed);
		bytes[0] &= 0x8f; /* else nearly all end at the reserved bits */
		bytes[1] = (uint8_t)((bytes[1] & 0x1f) | (i & 1 ? 0 : 0x80));
		for (size_t j = 0; e.ws && j < sizeof(bytes); j += 7)
			ws_feed(e.ws, bytes + j, sizeof(bytes) - j < 7 ? sizeof(bytes) - j : 7);
		cr_assert(e.closes <= 1);
		done(&e);
	}
}

Test(ws, handshake_helpers)
{
	const char *known[] = { "v5.channel.k8s.io", "v4.channel.k8s.io", NULL };
	char out[29];

	ws_accept_key("dGhlIHNhbXBsZSBub25jZQ==", out); /* RFC 6455, 1.3 */
	cr_assert_str_eq(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	cr_assert_str_eq(ws_choose_protocol("v4.channel.k8s.io ,v5.channel.k8s.io", known), "v4.channel.k8s.io");
	cr_assert_str_eq(ws_choose_protocol("x, , v5.channel.k8s.io", known), "v5.channel.k8s.io");
	cr_assert(!ws_choose_protocol("v4.channel.k8s.iox,v4", known));
	cr_assert(!ws_choose_protocol("", known));
	cr_assert(!ws_choose_protocol(NULL, known));
}

static void start(void)
{
	srv_start((struct http_server_config){ 0 }, false);
}

#define UPGRADE "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
#define KEY	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

Test(ws, over_the_http_server, .init = start, .fini = srv_stop)
{
	int fd = cl_connect();
	char *a, frame[5];

	cl_say(fd, UPGRADE KEY "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: a, v5.channel.k8s.io\r\n\r\n");
	a = cl_read(fd, "\r\n\r\n");
	cr_assert(strstr(a, "HTTP/1.1 101 ") && strstr(a, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n") &&
			  strstr(a, "Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n"),
		  "%s", a);
	free(a);
	cl_send(fd, FRAME("\x81", "\x83") "abc", 9);
	cr_assert_eq(recv(fd, frame, 5, MSG_WAITALL), 5);
	cr_assert(!memcmp(frame,
			  "\x81\x03"
			  "abc",
			  5));
	cl_send(fd, FRAME("\x88", "\x80"), 6);
	cr_assert_eq(recv(fd, frame, 2, MSG_WAITALL), 2);
	cr_assert(!memcmp(frame, "\x88\x00", 2));
	cr_assert(cl_eof(fd));
	close(fd);
	srv_wait(&srv.closed, 1);
}

Test(ws, bad_handshakes, .init = start, .fini = srv_stop)
{
	char *a = cl_talk(UPGRADE KEY "Sec-WebSocket-Version: 8\r\n\r\n"
				      "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");

	cr_assert(strstr(a, "HTTP/1.1 426 ") && strstr(a, "Sec-WebSocket-Version: 13\r\n") && strstr(a, "hello"), "%s",
		  a);
	free(a);
	a = cl_talk(UPGRADE "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\nConnection: close\r\n\r\n");
	cr_assert(strstr(a, "HTTP/1.1 400 "), "%s", a);
	free(a);
	a = cl_talk("GET /ws HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	cr_assert(strstr(a, "HTTP/1.1 400 "), "%s", a);
	free(a);
}
