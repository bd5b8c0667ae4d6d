/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WebSocket framing (RFC 6455): see ws.h. No extensions, so the reserved bits must be 0. The owner may call ws_free()
 * from on_message and on_close; ws_feed() then returns at once.
 */
#include "ws.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "../base/strbuf.h"

#define CONTROL_MAX 125
#define HEAD_MAX    14
#define GUID	    "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

enum opcode { OP_CONT = 0, OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };
enum {
	CLOSE_NORMAL = 1000,
	CLOSE_PROTOCOL = 1002,
	CLOSE_NO_CODE = 1005,
	CLOSE_BAD_DATA = 1007,
	CLOSE_TOO_BIG = 1009,
	CLOSE_INTERNAL = 1011
};

struct ws {
	struct ws_ops ops;
	void *arg;
	size_t max_message;
	bool client;
	bool in_message; /* a first fragment came, the last did not */
	bool message_binary;
	bool close_sent;
	bool ended;  /* on_close was called: nothing is read any more */
	bool *freed; /* set by ws_free() for a ws_feed() that is running */

	uint8_t head[HEAD_MAX]; /* of the frame being read */
	size_t head_len;
	bool in_payload;
	uint8_t opcode;
	bool fin;
	uint64_t left; /* payload bytes still to come */
	uint8_t mask[4];
	size_t mask_pos;
	struct strbuf message; /* joined data frames */
	uint8_t control[CONTROL_MAX];
	size_t control_len;
};

struct ws *ws_new(bool client, size_t max_message, const struct ws_ops *ops, void *arg)
{
	struct ws *ws = calloc(1, sizeof(*ws));

	if (!ws)
		return NULL;
	ws->ops = *ops;
	ws->arg = arg;
	ws->client = client;
	ws->max_message = max_message;
	strbuf_init(&ws->message);
	return ws;
}

void ws_free(struct ws *ws)
{
	if (!ws)
		return;
	if (ws->freed)
		*ws->freed = true;
	strbuf_done(&ws->message);
	free(ws);
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

static void apply_mask(uint8_t *data, size_t len, const uint8_t mask[4], size_t pos)
{
	for (size_t i = 0; i < len; i++)
		data[i] ^= mask[(pos + i) & 3];
}

/* One frame with a prefix before the payload (the channel byte), written in one piece. */
static void send_frame(struct ws *ws, enum opcode op, const void *prefix, size_t prefix_len, const void *data,
		       size_t len)
{
	size_t payload = prefix_len + len, head_len = 2, total;
	uint8_t head[HEAD_MAX], small[512], *buf = small;

	if (ws->close_sent)
		return; /* nothing may follow a close frame */
	head[0] = 0x80 | op;
	if (payload < 126) {
		head[1] = (uint8_t)payload;
	} else if (payload <= 0xffff) {
		head[1] = 126;
		head[2] = (uint8_t)(payload >> 8);
		head[3] = (uint8_t)payload;
		head_len = 4;
	} else {
		head[1] = 127;
		for (int i = 0; i < 8; i++)
			head[2 + i] = (uint8_t)((uint64_t)payload >> (56 - 8 * i));
		head_len = 10;
	}
	if (ws->client) {
		head[1] |= 0x80;
		if (RAND_bytes(head + head_len, 4) != 1)
			abort(); /* OpenSSL's generator does not fail once seeded; a predictable mask must not go out */
		head_len += 4;
	}
	total = head_len + payload;
	if (total > sizeof(small))
		buf = malloc(total);
	if (!buf) {
		ws->close_sent = true; /* the stream of frames has a hole: it must not go on */
		return;
	}
	memcpy(buf, head, head_len);
	if (prefix_len)
		memcpy(buf + head_len, prefix, prefix_len);
	if (len)
		memcpy(buf + head_len + prefix_len, data, len);
	if (ws->client)
		apply_mask(buf + head_len, payload, head + head_len - 4, 0);
	if (op == OP_CLOSE)
		ws->close_sent = true;
	ws->ops.write(ws, ws->arg, buf, total);
	if (buf != small)
		free(buf);
}

void ws_send(struct ws *ws, const void *data, size_t len, bool binary)
{
	send_frame(ws, binary ? OP_BINARY : OP_TEXT, NULL, 0, data, len);
}

void ws_send_channel(struct ws *ws, uint8_t channel, const void *data, size_t len)
{
	send_frame(ws, OP_BINARY, &channel, 1, data, len);
}

void ws_ping(struct ws *ws)
{
	send_frame(ws, OP_PING, NULL, 0, NULL, 0);
}

void ws_close(struct ws *ws, int code, const char *reason)
{
	uint8_t body[CONTROL_MAX];
	size_t len = reason ? strlen(reason) : 0;

	if (len > sizeof(body) - 2)
		len = sizeof(body) - 2;
	while (len && reason[len] && ((unsigned char)reason[len] & 0xc0) == 0x80)
		len--; /* not in the middle of a character */
	body[0] = (uint8_t)(code >> 8);
	body[1] = (uint8_t)code;
	if (len)
		memcpy(body + 2, reason, len);
	send_frame(ws, OP_CLOSE, NULL, 0, body, code == CLOSE_NO_CODE ? 0 : 2 + len);
}

/* --- receiving ---------------------------------------------------------------------------------------------------- */

static void end(struct ws *ws, int code)
{
	ws->ended = true;
	ws->ops.on_close(ws, ws->arg, code);
}

/* The peer broke the protocol: say so and stop. */
static void fail(struct ws *ws, int code)
{
	ws_close(ws, code, NULL);
	end(ws, code);
}

/* RFC 3629: shortest form, no surrogates, up to U+10FFFF. */
static bool utf8_ok(const uint8_t *s, size_t len)
{
	for (size_t i = 0; i < len;) {
		uint8_t c = s[i++];
		unsigned more;
		uint8_t lo = 0x80, hi = 0xbf;

		if (c < 0x80)
			continue;
		if (c >= 0xc2 && c <= 0xdf)
			more = 1;
		else if (c >= 0xe0 && c <= 0xef)
			more = 2;
		else if (c >= 0xf0 && c <= 0xf4)
			more = 3;
		else
			return false;
		if (c == 0xe0)
			lo = 0xa0;
		else if (c == 0xed)
			hi = 0x9f;
		else if (c == 0xf0)
			lo = 0x90;
		else if (c == 0xf4)
			hi = 0x8f;
		for (; more; more--, lo = 0x80, hi = 0xbf)
			if (i >= len || s[i] < lo || s[i++] > hi)
				return false;
	}
	return true;
}

/* May a peer send this code? (RFC 6455, 7.4: reserved ones are for local use) */
static bool close_code_ok(int code)
{
	return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
	       (code >= 3000 && code <= 4999);
}

static void got_close(struct ws *ws)
{
	int code = CLOSE_NO_CODE;

	if (ws->control_len == 1) {
		fail(ws, CLOSE_PROTOCOL);
		return;
	}
	if (ws->control_len >= 2) {
		code = ws->control[0] << 8 | ws->control[1];
		if (!close_code_ok(code)) {
			fail(ws, CLOSE_PROTOCOL);
			return;
		}
		if (!utf8_ok(ws->control + 2, ws->control_len - 2)) {
			fail(ws, CLOSE_BAD_DATA);
			return;
		}
	}
	ws_close(ws, code, NULL); /* the answer; nothing if ours was first */
	end(ws, code);
}

static void got_message(struct ws *ws)
{
	struct strbuf m = ws->message;
	bool freed = false, *outer = ws->freed;

	ws->in_message = false;
	if (!ws->message_binary && !utf8_ok((const uint8_t *)m.buf, m.len)) {
		fail(ws, CLOSE_BAD_DATA);
		return;
	}
	/* The callback may free ws: the message must not go with it. */
	strbuf_init(&ws->message);
	ws->freed = &freed;
	ws->ops.on_message(ws, ws->arg, m.buf, m.len, ws->message_binary);
	if (freed) {
		if (outer)
			*outer = true;
	} else {
		ws->freed = outer;
		if (m.cap <= 65536 && !ws->message.cap) {
			strbuf_clear(&m);
			ws->message = m; /* its memory serves the next one */
			return;
		}
	}
	strbuf_done(&m);
}

static void frame_complete(struct ws *ws)
{
	ws->in_payload = false;
	ws->head_len = 0;
	switch (ws->opcode) {
	case OP_CLOSE:
		got_close(ws);
		break;
	case OP_PING:
		send_frame(ws, OP_PONG, NULL, 0, ws->control, ws->control_len);
		break;
	case OP_PONG:
		break;
	default:
		if (ws->fin)
			got_message(ws);
		break;
	}
}

/* How long the head is, as far as it can be told from what is there. */
static size_t head_needs(const struct ws *ws)
{
	size_t n = 2;

	if (ws->head_len < 2)
		return 2;
	if ((ws->head[1] & 0x7f) == 126)
		n += 2;
	else if ((ws->head[1] & 0x7f) == 127)
		n += 8;
	return n + (ws->head[1] & 0x80 ? 4 : 0);
}

/* The head is complete: checks it. 0, or the close code. */
static int begin_frame(struct ws *ws)
{
	const uint8_t *p = ws->head + 2;
	bool masked = ws->head[1] & 0x80, control;
	uint64_t len = ws->head[1] & 0x7f;

	ws->fin = ws->head[0] & 0x80;
	ws->opcode = ws->head[0] & 0x0f;
	control = ws->opcode >= 8;
	if (ws->head[0] & 0x70 || masked == ws->client)
		return CLOSE_PROTOCOL;
	if (ws->opcode > OP_PONG || (ws->opcode > OP_BINARY && !control))
		return CLOSE_PROTOCOL;
	if (control && (!ws->fin || len > CONTROL_MAX))
		return CLOSE_PROTOCOL;
	if (!control && (ws->opcode == OP_CONT) != ws->in_message)
		return CLOSE_PROTOCOL;
	if (len == 126) {
		len = (uint64_t)p[0] << 8 | p[1];
		p += 2;
		if (len < 126)
			return CLOSE_PROTOCOL; /* not the shortest form */
	} else if (len == 127) {
		len = 0;
		for (int i = 0; i < 8; i++)
			len = len << 8 | *p++;
		if (len <= 0xffff || len >> 63)
			return CLOSE_PROTOCOL;
	}
	if (masked)
		memcpy(ws->mask, p, 4);
	if (control) {
		ws->control_len = 0;
	} else {
		if (ws->opcode != OP_CONT) {
			strbuf_clear(&ws->message);
			ws->message_binary = ws->opcode == OP_BINARY;
			ws->in_message = true;
		}
		if (len > ws->max_message - ws->message.len)
			return CLOSE_TOO_BIG;
	}
	ws->left = len;
	ws->mask_pos = 0;
	ws->in_payload = true;
	return 0;
}

/* Some payload; false: out of memory. */
static bool add_payload(struct ws *ws, const uint8_t *data, size_t len)
{
	uint8_t *at;

	if (ws->opcode >= 8) {
		at = ws->control + ws->control_len;
		memcpy(at, data, len);
		ws->control_len += len;
	} else {
		strbuf_add(&ws->message, data, len);
		if (strbuf_oom(&ws->message))
			return false;
		at = (uint8_t *)ws->message.buf + ws->message.len - len;
	}
	if (!ws->client)
		apply_mask(at, len, ws->mask, ws->mask_pos);
	ws->mask_pos += len;
	ws->left -= len;
	return true;
}

/* As much of a frame as is there; returns the bytes used. */
static size_t feed_some(struct ws *ws, const uint8_t *data, size_t len)
{
	size_t n;
	int code;

	if (!ws->in_payload) {
		n = head_needs(ws) - ws->head_len;
		if (n > len)
			n = len;
		memcpy(ws->head + ws->head_len, data, n);
		ws->head_len += n;
		if (ws->head_len < head_needs(ws))
			return n;
		code = begin_frame(ws);
		if (code)
			fail(ws, code);
		else if (!ws->left)
			frame_complete(ws);
		return n;
	}
	n = ws->left < len ? (size_t)ws->left : len;
	if (!add_payload(ws, data, n))
		fail(ws, CLOSE_INTERNAL);
	else if (!ws->left)
		frame_complete(ws);
	return n;
}

void ws_feed(struct ws *ws, const void *data, size_t len)
{
	const uint8_t *p = data;
	bool freed = false;

	ws->freed = &freed;
	while (len && !ws->ended) {
		size_t n = feed_some(ws, p, len);

		if (freed)
			return;
		p += n;
		len -= n;
	}
	ws->freed = NULL;
}

/* --- handshake ---------------------------------------------------------------------------------------------------- */

void ws_accept_key(const char *key, char *out)
{
	unsigned char text[128], digest[EVP_MAX_MD_SIZE];
	size_t len = strlen(key);
	unsigned n = 0;

	if (len > sizeof(text) - sizeof(GUID)) {
		*out = '\0'; /* no valid key is so long */
		return;
	}
	memcpy(text, key, len);
	memcpy(text + len, GUID, sizeof(GUID) - 1);
	if (EVP_Digest(text, len + sizeof(GUID) - 1, digest, &n, EVP_sha1(), NULL) != 1 || n != 20) {
		*out = '\0';
		return;
	}
	EVP_EncodeBlock((unsigned char *)out, digest, 20);
}

const char *ws_choose_protocol(const char *offer, const char *const *supported)
{
	while (offer && *offer) {
		size_t n;

		offer += strspn(offer, " \t,");
		n = strcspn(offer, ",");
		for (const char *const *s = supported; n && *s; s++) {
			size_t len = n;

			while (len && (offer[len - 1] == ' ' || offer[len - 1] == '\t'))
				len--;
			if (strlen(*s) == len && !memcmp(*s, offer, len))
				return *s;
		}
		offer += n;
	}
	return NULL;
}
