/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gRPC over the HTTP client. A message on the wire is a flag byte (0: not compressed; we offer no compression), its
 * length in four bytes, and its protobuf form. The outcome is in the trailers grpc-status and grpc-message, which
 * libcurl hands to the header callback; it counts also when the stream is torn down right behind it.
 */
#include "grpc.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../base/cleanup.h"
#include "../base/str.h"
#include "http-internal.h"

#define FRAME_HEAD  5
#define MAX_MESSAGE (64u << 20)

enum { GRPC_OK = 0, GRPC_UNKNOWN = 2, GRPC_DEADLINE = 4, GRPC_TOO_BIG = 8, GRPC_INTERNAL = 13, GRPC_UNAVAILABLE = 14 };

struct grpc_call {
	struct http_call *http;
	const ProtobufCMessageDescriptor *type;
	bool stream;
	struct grpc_stream_ops ops;
	void (*unary_done)(void *arg, const struct grpc_status *status, const ProtobufCMessage *msg);
	void *arg;
	struct strbuf in;
	int http_status, code; /* code: of the trailers; -1: not yet */
	bool is_grpc;	       /* the answer's content type says so */
	bool cancelled, ended;
	const char *broken; /* what was wrong with the stream */
	char message[1024];
};

static struct grpc_call *start(struct http_client *c, const char *method, const ProtobufCMessage *request,
			       int timeout_ms, bool upload, struct grpc_call *call);
static void grpc_call_free(void *arg);

struct grpc_call *grpc_unary(struct http_client *c, const char *method, const ProtobufCMessage *request,
			     const ProtobufCMessageDescriptor *response_type, int timeout_ms,
			     void (*on_done)(void *arg, const struct grpc_status *status, const ProtobufCMessage *msg),
			     void *arg)
{
	struct grpc_call *call = calloc(1, sizeof(*call));

	if (!call)
		return NULL;
	call->type = response_type;
	call->unary_done = on_done;
	call->arg = arg;
	return start(c, method, request, timeout_ms, false, call);
}

struct grpc_call *grpc_stream(struct http_client *c, const char *method, const ProtobufCMessage *request,
			      bool request_open, const ProtobufCMessageDescriptor *response_type,
			      const struct grpc_stream_ops *ops, void *arg)
{
	struct grpc_call *call = calloc(1, sizeof(*call));

	if (!call)
		return NULL;
	call->type = response_type;
	call->stream = true;
	call->ops = *ops;
	call->arg = arg;
	return start(c, method, request, -1, request_open, call);
}

static uint8_t *pack(const ProtobufCMessage *msg, size_t *ret_len)
{
	size_t n = protobuf_c_message_get_packed_size(msg);
	uint32_t be = htonl((uint32_t)n);
	uint8_t *buf = n <= MAX_MESSAGE ? malloc(n + FRAME_HEAD) : NULL;

	if (!buf)
		return NULL;
	buf[0] = 0;
	memcpy(buf + 1, &be, sizeof(be));
	protobuf_c_message_pack(msg, buf + FRAME_HEAD);
	*ret_len = n + FRAME_HEAD;
	return buf;
}

int grpc_send(struct grpc_call *call, const ProtobufCMessage *request)
{
	cleanup(free) uint8_t *buf = NULL;
	size_t len;

	if (call->ended || call->cancelled)
		return -EPIPE;
	buf = pack(request, &len);
	if (!buf)
		return -ENOMEM;
	return http_call_send(call->http, buf, len);
}

void grpc_send_end(struct grpc_call *call)
{
	if (!call->ended && !call->cancelled)
		http_call_send_end(call->http);
}

void grpc_cancel(struct grpc_call *call)
{
	if (!call || call->ended || call->cancelled)
		return;
	call->cancelled = true;
	http_call_cancel(call->http);
}

/* The HTTP call owns us: it ends with on_done, grpc_cancel() or its client. */
static void grpc_call_free(void *arg)
{
	struct grpc_call *call = arg;

	strbuf_done(&call->in);
	free(call);
}

/* --- the answer --------------------------------------------------------------------------------------------------- */

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* grpc-message is percent-encoded UTF-8; what is not a valid escape stays as it is. */
static void decode_message(const char *s, char *out, size_t size)
{
	size_t n = 0;

	for (; *s && n + 1 < size; s++) {
		if (s[0] == '%' && hex(s[1]) >= 0 && hex(s[2]) >= 0) {
			out[n++] = (char)(hex(s[1]) << 4 | hex(s[2]));
			s += 2;
		} else {
			out[n++] = *s;
		}
	}
	out[n] = '\0';
}

static void on_header(struct http_call *http, void *arg, const char *name, const char *value)
{
	struct grpc_call *call = arg;
	int64_t code;

	(void)http;
	if (!strcasecmp(name, "grpc-status"))
		call->code = str_to_i64(value, 0, 1000, &code) < 0 ? GRPC_UNKNOWN : (int)code;
	else if (!strcasecmp(name, "grpc-message"))
		decode_message(value, call->message, sizeof(call->message));
	else if (!strcasecmp(name, "content-type"))
		call->is_grpc = str_starts(value, "application/grpc");
}

static void on_status(struct http_call *http, void *arg, int status)
{
	(void)http;
	((struct grpc_call *)arg)->http_status = status;
}

/*
 * The first whole message in in[off...]: 1 and its bounds, 0 if it is not all there, -1 if it cannot be one (broken
 * says why).
 */
static int frame(struct grpc_call *call, size_t off, const uint8_t **ret_msg, size_t *ret_len)
{
	const uint8_t *p = (const uint8_t *)call->in.buf + off;
	size_t have = call->in.len - off;
	uint32_t be;

	if (have < FRAME_HEAD)
		return 0;
	if (p[0]) {
		call->broken = "the answer is compressed, which was not offered";
		return -1;
	}
	memcpy(&be, p + 1, sizeof(be));
	*ret_len = ntohl(be);
	if (*ret_len > MAX_MESSAGE) {
		call->broken = "the answer is larger than 64 MiB";
		return -1;
	}
	*ret_msg = p + FRAME_HEAD;
	return have - FRAME_HEAD >= *ret_len;
}

static int on_data(struct http_call *http, void *arg, const void *data, size_t len)
{
	struct grpc_call *call = arg;
	const uint8_t *bytes;
	size_t n, off = 0;
	int r;

	if (!call->is_grpc)
		return 0; /* an error page: the status says enough */
	strbuf_add(&call->in, data, len);
	if (strbuf_oom(&call->in)) {
		call->broken = "out of memory";
		return -1;
	}
	/* A unary answer stays in the buffer until the trailers have said that it counts. */
	if (!call->stream)
		return frame(call, 0, &bytes, &n) < 0 || call->in.len > MAX_MESSAGE + FRAME_HEAD;
	while ((r = frame(call, off, &bytes, &n)) > 0) {
		ProtobufCMessage *msg = protobuf_c_message_unpack(call->type, NULL, n, bytes);

		if (!msg) {
			call->broken = "a message of the answer is not what its type says";
			return -1;
		}
		off += FRAME_HEAD + n;
		call->ops.on_msg(call, call->arg, msg);
		protobuf_c_message_free_unpacked(msg, NULL);
		if (http->in_done) /* cancelled; its memory stays until libcurl is left */
			return -1;
	}
	strbuf_drop_front(&call->in, off);
	if (!call->in.len)
		strbuf_done(&call->in); /* an idle stream holds no buffer */
	return r;
}

/* https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md */
static int code_of_http(int status)
{
	switch (status) {
	case 400:
		return GRPC_INTERNAL;
	case 401:
		return 16;
	case 403:
		return 7;
	case 404:
		return 12;
	case 429:
	case 502:
	case 503:
	case 504:
		return GRPC_UNAVAILABLE;
	default:
		return GRPC_UNKNOWN;
	}
}

static void on_done(struct http_call *http, void *arg, const struct http_response *rsp)
{
	struct grpc_call *call = arg;
	struct grpc_status status = { .code = call->code, .message = call->message, .unsent = http->unsent };
	ProtobufCMessage *msg = NULL;
	const uint8_t *bytes;
	size_t n;

	call->ended = true;
	if (call->broken) {
		status.code = GRPC_INTERNAL;
		status.message = call->broken;
	} else if (call->code < 0 && rsp->error) {
		status.code = http->timed_out ? GRPC_DEADLINE : GRPC_UNAVAILABLE;
		status.message = rsp->error;
	} else if (call->code < 0) {
		status.code = code_of_http(call->http_status);
		if (call->http_status != 200)
			snprintf(call->message, sizeof(call->message), "HTTP status %d", call->http_status);
		else
			snprintf(call->message, sizeof(call->message),
				 call->is_grpc ? "the stream ended without a status" : "not a gRPC server");
	} else if (!call->stream && call->code == GRPC_OK) {
		if (frame(call, 0, &bytes, &n) > 0)
			msg = protobuf_c_message_unpack(call->type, NULL, n, bytes);
		if (!msg) {
			status.code = GRPC_INTERNAL;
			status.message = "the answer is not what its type says";
		}
	}
	if (call->stream)
		call->ops.on_done(call, call->arg, &status);
	else
		call->unary_done(call->arg, &status, msg);
	if (msg)
		protobuf_c_message_free_unpacked(msg, NULL);
}

/* Takes call, also on failure. */
static struct grpc_call *start(struct http_client *c, const char *method, const ProtobufCMessage *request,
			       int timeout_ms, bool upload, struct grpc_call *call)
{
	const char *headers[3] = { "te: trailers", NULL, NULL };
	struct http_call_config config = {
		.method = "POST",
		.path = method,
		.content_type = "application/grpc",
		.accept = "application/grpc",
		.headers = headers,
		.timeout_ms = timeout_ms,
		.max_body = MAX_MESSAGE,
		.on_status = on_status,
		.on_header = on_header,
		.on_data = on_data,
		.on_done = on_done,
		.arg = call,
	};
	cleanup(free) uint8_t *body = NULL;
	char deadline[32];

	strbuf_init(&call->in);
	call->code = -1;
	if (timeout_ms >= 0) {
		snprintf(deadline, sizeof(deadline), "grpc-timeout: %dm", timeout_ms ? timeout_ms % 100000000 : 30000);
		headers[1] = deadline;
	}
	if (request) {
		body = pack(request, &config.body_len);
		if (!body)
			goto fail;
		config.body = body;
	}
	call->http = upload ? http_call_start_upload(c, &config) : http_call_start(c, &config);
	if (!call->http)
		goto fail;
	call->http->owner_free = grpc_call_free;
	return call;
fail:
	grpc_call_free(call);
	return NULL;
}
