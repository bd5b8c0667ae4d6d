/* SPDX-License-Identifier: Apache-2.0 */
/* SPDY framing: bytes on the wire against the protocol's, frames in any pieces. */
#include <criterion/criterion.h>
#include <string.h>
#include <zlib.h>

#include "base/strbuf.h"
#include "io/spdy.h"

struct seen {
	struct strbuf out, data;
	uint32_t stream, reset_stream, reset_status;
	bool fin, closed;
};

static void on_data(struct spdy *s, void *arg, uint32_t stream, const void *data, size_t len, bool fin)
{
	struct seen *seen = arg;

	(void)s;
	seen->stream = stream;
	seen->fin |= fin;
	strbuf_add(&seen->data, data, len);
}

static void on_reset(struct spdy *s, void *arg, uint32_t stream, uint32_t status)
{
	struct seen *seen = arg;

	(void)s;
	seen->reset_stream = stream;
	seen->reset_status = status;
}

static void on_close(struct spdy *s, void *arg, const char *why)
{
	(void)s;
	(void)why;
	((struct seen *)arg)->closed = true;
}

static void on_write(struct spdy *s, void *arg, const void *data, size_t len)
{
	(void)s;
	strbuf_add(&((struct seen *)arg)->out, data, len);
}

static const struct spdy_ops ops = { on_data, on_reset, on_close, on_write };

Test(spdy, opens_with_the_dictionary_of_the_protocol)
{
	struct seen seen = { .out = STRBUF_INIT, .data = STRBUF_INIT };
	struct spdy *s = spdy_new(&ops, &seen);
	struct spdy_header h = { "streamtype", "error" };

	cr_assert_eq(spdy_open(s, &h, 1), 1);
	/* Control, version 3, SYN_STREAM; stream 1; the zlib header names the dictionary by its checksum, e3c6a7c2. */
	cr_assert(!memcmp(seen.out.buf, "\x80\x03\x00\x01\x00", 5));
	cr_assert(!memcmp(seen.out.buf + 8, "\0\0\0\1\0\0\0\0\0\0", 10));
	cr_assert(!memcmp(seen.out.buf + 20, "\xe3\xc6\xa7\xc2", 4));
	cr_assert_eq(spdy_open(s, &h, 1), 3);
	spdy_free(s);
	strbuf_done(&seen.out);
}

Test(spdy, data_out)
{
	struct seen seen = { .out = STRBUF_INIT, .data = STRBUF_INIT };
	struct spdy *s = spdy_new(&ops, &seen);

	spdy_send(s, 5, "hi", 2, false);
	spdy_send(s, 5, "", 0, true);
	cr_assert_eq(seen.out.len, 18);
	cr_assert(!memcmp(seen.out.buf, "\0\0\0\5\0\0\0\2hi\0\0\0\5\1\0\0\0", 18));
	spdy_free(s);
	strbuf_done(&seen.out);
}

Test(spdy, frames_come_in_any_pieces)
{
	static const char in[] = "\x80\x03\0\2\0\0\0\4\0\0\0\1" /* SYN_REPLY */
				 "\0\0\0\1\0\0\0\3abc"
				 "\x80\x03\0\6\0\0\0\4\0\0\0\2" /* PING 2 */
				 "\0\0\0\1\1\0\0\1d"
				 "\x80\x03\0\3\0\0\0\x8\0\0\0\7\0\0\0\3"  /* RST_STREAM */
				 "\x80\x03\0\7\0\0\0\x8\0\0\0\0\0\0\0\0"; /* GOAWAY */

	for (size_t step = 1; step < sizeof(in); step++) {
		struct seen seen = { .out = STRBUF_INIT, .data = STRBUF_INIT };
		struct spdy *s = spdy_new(&ops, &seen);

		for (size_t i = 0; i < sizeof(in) - 1; i += step)
			spdy_feed(s, in + i, sizeof(in) - 1 - i < step ? sizeof(in) - 1 - i : step);
		cr_assert_str_eq(seen.data.buf, "abcd");
		cr_assert(seen.fin);
		cr_assert_eq(seen.stream, 1);
		cr_assert_eq(seen.reset_stream, 7);
		cr_assert_eq(seen.reset_status, 3);
		cr_assert(seen.closed);
		cr_assert_eq(seen.out.len, 12);
		cr_assert(!memcmp(seen.out.buf, in + 23, 12)); /* the ping comes back */
		spdy_free(s);
		strbuf_done(&seen.out);
		strbuf_done(&seen.data);
	}
}

Test(spdy, refuses_nonsense)
{
	static const char *const bad[] = { "\x80\x02\0\2\0\0\0\0", "\x80\x03\0\2\0\xff\xff\xff" };

	for (size_t i = 0; i < 2; i++) {
		struct seen seen = { .out = STRBUF_INIT, .data = STRBUF_INIT };
		struct spdy *s = spdy_new(&ops, &seen);

		spdy_feed(s, bad[i], 8);
		cr_assert(seen.closed);
		spdy_feed(s, bad[i], 8); /* nothing more is looked at */
		spdy_free(s);
	}
}
