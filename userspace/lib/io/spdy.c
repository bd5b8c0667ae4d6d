/* SPDX-License-Identifier: Apache-2.0 */
/* See spdy.h. The format is draft-mbelshe-httpbis-spdy-00 (SPDY/3), which 3.1 differs from in flow control only. */
#include "spdy.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "../base/strbuf.h"

#define VERSION	  3
#define FRAME_MAX (1u << 20) /* bytes of one frame taken from the peer */
#define CHUNK	  32768	     /* bytes of one data frame sent */

enum {
	SYN_STREAM = 1,
	SYN_REPLY = 2,
	RST_STREAM = 3,
	SETTINGS = 4,
	PING = 6,
	GOAWAY = 7,
	HEADERS = 8,
	WINDOW_UPDATE = 9
};
enum { FLAG_FIN = 1 };

struct spdy {
	const struct spdy_ops *ops;
	void *arg;
	z_stream deflate;
	uint32_t next_stream;
	struct strbuf in;
	bool closed;
};

/* The compressor's dictionary: these words, each after its length in four bytes, and then the text below. */
static const char *const words[] = {
	"options",
	"head",
	"post",
	"put",
	"delete",
	"trace",
	"accept",
	"accept-charset",
	"accept-encoding",
	"accept-language",
	"accept-ranges",
	"age",
	"allow",
	"authorization",
	"cache-control",
	"connection",
	"content-base",
	"content-encoding",
	"content-language",
	"content-length",
	"content-location",
	"content-md5",
	"content-range",
	"content-type",
	"date",
	"etag",
	"expect",
	"expires",
	"from",
	"host",
	"if-match",
	"if-modified-since",
	"if-none-match",
	"if-range",
	"if-unmodified-since",
	"last-modified",
	"location",
	"max-forwards",
	"pragma",
	"proxy-authenticate",
	"proxy-authorization",
	"range",
	"referer",
	"retry-after",
	"server",
	"te",
	"trailer",
	"transfer-encoding",
	"upgrade",
	"user-agent",
	"vary",
	"via",
	"warning",
	"www-authenticate",
	"method",
	"get",
	"status",
	"200 OK",
	"version",
	"HTTP/1.1",
	"url",
	"public",
	"set-cookie",
	"keep-alive",
	"origin",
};
static const char text[] =
	"100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
	"203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden"
	"404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
	"Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
	"chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,"
	"publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

static void add32(struct strbuf *sb, uint32_t v)
{
	v = htonl(v);
	strbuf_add(sb, &v, 4);
}

static uint32_t get32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void dictionary(struct strbuf *sb)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		add32(sb, (uint32_t)strlen(words[i]));
		strbuf_adds(sb, words[i]);
	}
	strbuf_adds(sb, text);
}

struct spdy *spdy_new(const struct spdy_ops *ops, void *arg)
{
	struct strbuf dict = STRBUF_INIT;
	struct spdy *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->ops = ops;
	s->arg = arg;
	s->next_stream = 1;
	strbuf_init(&s->in);
	dictionary(&dict);
	if (strbuf_oom(&dict) || deflateInit(&s->deflate, Z_DEFAULT_COMPRESSION) != Z_OK) {
		strbuf_done(&dict);
		free(s);
		return NULL;
	}
	(void)deflateSetDictionary(&s->deflate, (const Bytef *)dict.buf, (uInt)dict.len);
	strbuf_done(&dict);
	return s;
}

void spdy_free(struct spdy *s)
{
	if (!s)
		return;
	deflateEnd(&s->deflate);
	strbuf_done(&s->in);
	free(s);
}

static void end(struct spdy *s, const char *why)
{
	if (s->closed)
		return;
	s->closed = true;
	s->ops->on_close(s, s->arg, why);
}

/* --- out ---------------------------------------------------------------------------------------------------------- */

static void control(struct spdy *s, unsigned type, unsigned flags, const struct strbuf *body)
{
	struct strbuf frame = STRBUF_INIT;

	add32(&frame, 0x80000000u | VERSION << 16 | type);
	add32(&frame, flags << 24 | (uint32_t)body->len);
	strbuf_add(&frame, body->buf, body->len);
	if (!strbuf_oom(&frame) && !strbuf_oom(body))
		s->ops->write(s, s->arg, frame.buf, frame.len);
	strbuf_done(&frame);
}

static int compress_headers(struct spdy *s, const struct spdy_header *headers, size_t n, struct strbuf *out)
{
	struct strbuf plain = STRBUF_INIT;
	unsigned char buf[512];
	int r = -1;

	add32(&plain, (uint32_t)n);
	for (size_t i = 0; i < n; i++) {
		add32(&plain, (uint32_t)strlen(headers[i].name));
		strbuf_adds(&plain, headers[i].name);
		add32(&plain, (uint32_t)strlen(headers[i].value));
		strbuf_adds(&plain, headers[i].value);
	}
	if (strbuf_oom(&plain))
		goto out;
	s->deflate.next_in = (Bytef *)plain.buf;
	s->deflate.avail_in = (uInt)plain.len;
	do {
		s->deflate.next_out = buf;
		s->deflate.avail_out = sizeof(buf);
		if (deflate(&s->deflate, Z_SYNC_FLUSH) == Z_STREAM_ERROR)
			goto out;
		strbuf_add(out, buf, sizeof(buf) - s->deflate.avail_out);
	} while (!s->deflate.avail_out);
	r = strbuf_oom(out) ? -1 : 0;
out:
	strbuf_done(&plain);
	return r;
}

uint32_t spdy_open(struct spdy *s, const struct spdy_header *headers, size_t n)
{
	struct strbuf body = STRBUF_INIT;
	uint32_t id = s->next_stream;

	add32(&body, id);
	add32(&body, 0);
	strbuf_add(&body, "\0\0", 2); /* priority, slot */
	if (compress_headers(s, headers, n, &body) < 0) {
		strbuf_done(&body);
		return 0;
	}
	s->next_stream += 2;
	control(s, SYN_STREAM, 0, &body);
	strbuf_done(&body);
	return id;
}

void spdy_send(struct spdy *s, uint32_t stream, const void *data, size_t len, bool fin)
{
	const char *p = data;

	do {
		size_t part = len < CHUNK ? len : CHUNK;
		struct strbuf frame = STRBUF_INIT;

		add32(&frame, stream);
		add32(&frame, (fin && part == len ? (uint32_t)FLAG_FIN << 24 : 0) | (uint32_t)part);
		strbuf_add(&frame, p, part);
		if (!strbuf_oom(&frame))
			s->ops->write(s, s->arg, frame.buf, frame.len);
		strbuf_done(&frame);
		p += part;
		len -= part;
	} while (len);
}

void spdy_reset(struct spdy *s, uint32_t stream)
{
	struct strbuf body = STRBUF_INIT;

	add32(&body, stream);
	add32(&body, 5); /* CANCEL */
	control(s, RST_STREAM, 0, &body);
	strbuf_done(&body);
}

/* --- in ----------------------------------------------------------------------------------------------------------- */

static void on_control(struct spdy *s, const unsigned char *frame, size_t len)
{
	unsigned type = (unsigned)frame[2] << 8 | frame[3], flags = frame[4];
	const unsigned char *body = frame + 8;

	if (((frame[0] & 0x7f) << 8 | frame[1]) != VERSION) {
		end(s, "the peer speaks another version of SPDY");
		return;
	}
	switch (type) {
	case SYN_REPLY:
	case HEADERS: /* what the headers say does not matter; their compression state is not kept for that reason */
		if (len >= 4 && (flags & FLAG_FIN))
			s->ops->on_data(s, s->arg, get32(body) & 0x7fffffff, "", 0, true);
		break;
	case RST_STREAM:
		if (len >= 8)
			s->ops->on_reset(s, s->arg, get32(body) & 0x7fffffff, get32(body + 4));
		break;
	case PING:
		if (len >= 4 && !(get32(body) & 1)) { /* even numbers are the server's: send it back */
			struct strbuf pong = STRBUF_INIT;

			strbuf_add(&pong, body, 4);
			control(s, PING, 0, &pong);
			strbuf_done(&pong);
		}
		break;
	case GOAWAY:
		end(s, "the peer ended the session");
		break;
	case SYN_STREAM: /* runtimes open none */
		if (len >= 4)
			spdy_reset(s, get32(body) & 0x7fffffff);
		break;
	case SETTINGS:
	case WINDOW_UPDATE:
	default:
		break;
	}
}

void spdy_feed(struct spdy *s, const void *data, size_t len)
{
	size_t pos = 0;

	if (s->closed)
		return;
	strbuf_add(&s->in, data, len);
	if (strbuf_oom(&s->in)) {
		end(s, "out of memory");
		return;
	}
	while (!s->closed && s->in.len - pos >= 8) {
		const unsigned char *f = (const unsigned char *)s->in.buf + pos;
		size_t n = get32(f + 4) & 0xffffff;

		if (n > FRAME_MAX) {
			end(s, "the peer sent a frame that is too large");
			break;
		}
		if (s->in.len - pos < 8 + n)
			break;
		if (f[0] & 0x80)
			on_control(s, f, n);
		else
			s->ops->on_data(s, s->arg, get32(f) & 0x7fffffff, f + 8, n, f[4] & FLAG_FIN);
		pos += 8 + n;
	}
	strbuf_drop_front(&s->in, pos);
}
