/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec, attach and port-forward through the agent's stream_join() to a runtime that this test plays: SPDY frames over
 * an upgraded connection. Client, agent and runtime share one loop.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/server/stream.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "io/http_client.h"
#include "io/ws.h"

#define BIG	     (48u << 20) /* more than all socket buffers on the way hold */
#define PATIENCE_MS  60000
#define CLIENT_BYTES "GET / \0\377\0"

/* Streams in the order that the agent opens them. */
enum { S_ERROR = 1, S_IN = 3, S_OUT = 5, S_ERR = 7, STREAMS = 16 };

static struct loop *loop;
static struct http_server *agent, *runtime;
static struct http_client *client;
static struct stream_ask ask;
static char url[128];

/* The runtime's side of the one connection. */
static struct {
	struct http_req *req;
	struct strbuf raw, frames, versions;
	size_t got[STREAMS], sent;
	bool opened[STREAMS], fin[STREAMS], gone, refuses, frames_wanted;
	unsigned char last;
} rt;

/* The client's. */
static struct {
	struct http_upgrade *up;
	struct ws *ws;
	bool open, closed, ws_closed;
	int status, code;
	size_t got[4];
	struct strbuf raw, text[4];
	char refusal[256];
} cl;

static void on_frame(const unsigned char *f, size_t len)
{
	unsigned id = (unsigned)f[2] << 8 | f[3];

	if (f[0] & 0x80) {
		id = (unsigned)f[10] << 8 | f[11];
		if (f[3] == 1 && id < STREAMS)
			rt.opened[id] = true;
		return;
	}
	cr_assert(id < STREAMS && rt.opened[id]);
	rt.got[id] += len;
	rt.fin[id] |= f[4] & 1;
	if (len)
		rt.last = f[8 + len - 1];
}

static void on_runtime_bytes(struct http_req *req, void *data, const void *bytes, size_t len)
{
	size_t pos = 0;

	(void)req;
	(void)data;
	if (!rt.frames_wanted) {
		strbuf_add(&rt.raw, bytes, len);
		return;
	}
	strbuf_add(&rt.frames, bytes, len);
	while (rt.frames.len - pos >= 8) {
		const unsigned char *f = (const unsigned char *)rt.frames.buf + pos;
		size_t n = (size_t)f[5] << 16 | (size_t)f[6] << 8 | f[7];

		if (rt.frames.len - pos < 8 + n)
			break;
		on_frame(f, n);
		pos += 8 + n;
	}
	strbuf_drop_front(&rt.frames, pos);
}

static void on_runtime_gone(struct http_req *req, void *data)
{
	(void)req;
	(void)data;
	rt.gone = true;
	rt.req = NULL;
}

static void on_runtime(struct http_req *req, void *arg)
{
	static const char head[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: SPDY/3.1\r\nConnection: Upgrade\r\n"
				   "X-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n";
	const char *v;

	(void)arg;
	for (size_t i = 0; (v = http_req_header_nth(req, "x-stream-protocol-version", i)); i++)
		strbuf_addf(&rt.versions, "%s;", v);
	if (rt.refuses) {
		http_respond(req, 403, "text/plain", "no such version", 15);
		return;
	}
	cr_assert(http_req_wants_upgrade(req, "SPDY/3.1") && streq(http_req_method(req), "POST"));
	rt.req = req;
	http_req_set_data(req, NULL, on_runtime_gone);
	cr_assert(http_hijack(req, head, sizeof(head) - 1, on_runtime_bytes) == 0);
}

static void on_agent(struct http_req *req, void *arg)
{
	(void)arg;
	stream_join(loop, req, &ask, url);
}

static void frame(unsigned id, const void *data, size_t len, bool fin)
{
	unsigned char head[8] = { 0,
				  0,
				  0,
				  (unsigned char)id,
				  fin,
				  (unsigned char)(len >> 16),
				  (unsigned char)(len >> 8),
				  (unsigned char)len };

	cr_assert(http_hijack_write(rt.req, head, 8) == 0);
	cr_assert(!len || http_hijack_write(rt.req, data, len) == 0);
}

static void on_message(struct ws *ws, void *arg, const void *data, size_t len, bool binary)
{
	const unsigned char *p = data;

	(void)ws;
	(void)arg;
	cr_assert(binary);
	if (streq(ask.protocol, STREAM_TUNNEL)) {
		strbuf_add(&cl.text[0], data, len);
		return;
	}
	cr_assert(len && p[0] < 4);
	cl.got[p[0]] += len - 1;
	if (cl.text[p[0]].len < 1000)
		strbuf_add(&cl.text[p[0]], p + 1, len - 1);
}

static void on_ws_close(struct ws *ws, void *arg, int code)
{
	(void)ws;
	(void)arg;
	cl.ws_closed = true;
	cl.code = code;
}

static void on_ws_write(struct ws *ws, void *arg, const void *data, size_t len)
{
	(void)ws;
	(void)arg;
	(void)http_upgrade_write(cl.up, data, len);
}

static void on_open(struct http_upgrade *u, void *arg, const char *head)
{
	static const struct ws_ops ops = { on_message, on_ws_close, on_ws_write };

	(void)u;
	(void)arg;
	cl.open = true;
	if (!ask.protocol)
		return;
	cr_assert(strstr(head, ask.protocol));
	cl.ws = ws_new(true, 4 << 20, &ops, NULL);
	cr_assert(cl.ws);
}

static void on_data(struct http_upgrade *u, void *arg, const void *data, size_t len)
{
	(void)u;
	(void)arg;
	if (cl.ws)
		ws_feed(cl.ws, data, len);
	else
		strbuf_add(&cl.raw, data, len);
}

static void on_close(struct http_upgrade *u, void *arg, int status, const char *text)
{
	(void)u;
	(void)arg;
	cl.closed = true;
	cl.up = NULL;
	cl.status = status;
	snprintf(cl.refusal, sizeof(cl.refusal), "%s", text ? text : "");
}

static void setup(void)
{
	struct http_server_config config = { .handler = on_agent };
	struct http_client_config cc = { .base_url = url };
	struct err err = ERR_INIT;
	int port;

	memset(&rt, 0, sizeof(rt));
	memset(&cl, 0, sizeof(cl));
	rt.frames_wanted = true;
	strbuf_init(&rt.raw);
	strbuf_init(&rt.frames);
	strbuf_init(&rt.versions);
	strbuf_init(&cl.raw);
	for (int i = 0; i < 4; i++)
		strbuf_init(&cl.text[i]);
	loop = loop_new();
	cr_assert(loop);
	cr_assert(http_server_new(loop, &config, &agent, &err) == 0);
	cr_assert(http_server_listen(agent, "127.0.0.1:0", &port, &err) == 0);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d", port);
	cr_assert(http_client_new(loop, &cc, &client, &err) == 0);
	config.handler = on_runtime;
	cr_assert(http_server_new(loop, &config, &runtime, &err) == 0);
	cr_assert(http_server_listen(runtime, "127.0.0.1:0", &port, &err) == 0);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/exec/token", port);
}

static void teardown(void)
{
	http_client_free(client);
	http_server_free(agent);
	http_server_free(runtime);
	ws_free(cl.ws);
	strbuf_done(&rt.raw);
	strbuf_done(&rt.frames);
	strbuf_done(&rt.versions);
	strbuf_done(&cl.raw);
	for (int i = 0; i < 4; i++)
		strbuf_done(&cl.text[i]);
	loop_free(loop);
}

TestSuite(stream, .init = setup, .fini = teardown, .timeout = 120);

#define UNTIL(cond)                                                                                                    \
	do {                                                                                                           \
		int64_t give_up = clock_mono_ms() + PATIENCE_MS;                                                       \
		while (!(cond)) {                                                                                      \
			cr_assert(clock_mono_ms() < give_up, "never came: " #cond);                                    \
			(void)loop_run_once(loop, 1000);                                                               \
		}                                                                                                      \
	} while (0)

/* Turns until nothing has happened for a while. */
static void settle(const size_t *progress)
{
	size_t seen;

	do {
		seen = *progress;
		for (int i = 0; i < 30; i++)
			(void)loop_run_once(loop, 10);
	} while (*progress != seen);
}

static void start(const char *const *versions)
{
	const char *headers[10] = { "Connection: Upgrade" };
	char protocol[96];
	struct err err = ERR_INIT;
	size_t n = 1;

	if (ask.protocol) {
		snprintf(protocol, sizeof(protocol), "Sec-WebSocket-Protocol: %s", ask.protocol);
		headers[n++] = protocol;
		headers[n++] = "Upgrade: websocket";
		headers[n++] = "Sec-WebSocket-Version: 13";
		headers[n++] = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
	} else {
		headers[n++] = "Upgrade: SPDY/3.1";
		while (versions && *versions)
			headers[n++] = *versions++;
	}
	cl.up = http_upgrade_start(client, "GET", "/exec/default/p/c", headers,
				   &(struct http_upgrade_ops){ on_open, on_data, on_close }, NULL, &err);
	cr_assert(cl.up);
	UNTIL(cl.open || cl.closed);
}

static void start_exec(void)
{
	ask = (struct stream_ask){
		.kind = STREAM_EXEC, .protocol = "v5.channel.k8s.io", .in = true, .out = true, .err = true
	};
	start(NULL);
	cr_assert(cl.open);
	UNTIL(rt.opened[S_ERROR] && rt.opened[S_IN] && rt.opened[S_OUT] && rt.opened[S_ERR]);
}

Test(stream, channels_become_streams_and_back)
{
	static const char status[] = "{\"metadata\":{},\"status\":\"Failure\",\"reason\":\"NonZeroExitCode\"}";
	static const unsigned char close_stdin = 0;

	start_exec();
	cr_assert_str_eq(rt.versions.buf, "v4.channel.k8s.io;");
	ws_send_channel(cl.ws, 9, "nobody", 6); /* channels that there are not, or that the client has not asked for */
	ws_send_channel(cl.ws, 4, "{\"Width\":1,\"Height\":1}", 22);
	ws_send_channel(cl.ws, 0, "input", 5);
	ws_send_channel(cl.ws, 255, &close_stdin, 1);
	ws_send_channel(cl.ws, 0, "late", 4);
	frame(S_OUT, "out", 3, false);
	UNTIL(rt.fin[S_IN] && cl.got[1] == 3);
	cr_assert(rt.got[S_IN] == 5); /* half closed: the output goes on */
	frame(S_ERR, "oops", 4, true);
	frame(S_OUT, "put", 3, true);
	frame(S_ERROR, status, sizeof(status) - 1, true);
	UNTIL(cl.ws_closed && cl.closed && rt.gone);
	cr_assert(cl.code == 1000);
	cr_assert_str_eq(cl.text[1].buf, "output");
	cr_assert_str_eq(cl.text[2].buf, "oops");
	cr_assert_str_eq(cl.text[3].buf, status);
}

/* kubectl 1.30 to 1.33 throws away what comes before it has made its streams: it gets a moment, others do not wait. */
Test(stream, output_is_held_for_a_moment_of_a_client_that_says_nothing)
{
	int64_t start_ms = clock_mono_ms();

	start_exec();
	frame(S_OUT, "out", 3, false);
	UNTIL(cl.got[1] == 3);
	cr_assert(clock_mono_ms() - start_ms >= 50);
}

Test(stream, a_runtime_that_goes_is_no_success)
{
	start_exec();
	frame(S_OUT, "out", 3, true);
	http_hijack_close(rt.req);
	UNTIL(cl.ws_closed);
	cr_assert(cl.code == 1011, "%d", cl.code);
	cr_assert_str_eq(cl.text[1].buf, "out");
}

Test(stream, a_runtime_that_breaks_the_protocol_is_told)
{
	start_exec();
	cr_assert(http_hijack_write(rt.req, "\x80\x02\0\1\0\0\0\0", 8) == 0);
	UNTIL(cl.ws_closed);
	cr_assert(cl.code == 1011, "%d", cl.code);
}

Test(stream, reset_streams_end_like_others)
{
	start_exec();
	for (unsigned i = S_ERROR; i <= S_ERR; i += 2) {
		unsigned char reset[16] = { 0x80, 3, 0, 3, 0, 0, 0, 8, 0, 0, 0, (unsigned char)i, 0, 0, 0, 5 };

		cr_assert(http_hijack_write(rt.req, reset, sizeof(reset)) == 0);
	}
	UNTIL(cl.ws_closed && cl.closed && rt.gone);
}

Test(stream, a_client_that_vanishes_takes_the_runtimes_connection_along)
{
	start_exec();
	http_upgrade_close(TAKE(cl.up));
	UNTIL(rt.gone);
}

Test(stream, a_client_that_breaks_the_protocol_is_cut_off)
{
	start_exec();
	cr_assert(http_upgrade_write(cl.up, "\x82\x01x", 3) == 0); /* not masked */
	UNTIL(cl.ws_closed && cl.closed && rt.gone);
	cr_assert(cl.code == 1002, "%d", cl.code);
}

static void send_more(struct http_req *req, void *data)
{
	static char block[65536];

	(void)data;
	while (rt.sent < BIG && http_stream_pending(req) < sizeof(block)) {
		frame(S_OUT, block, sizeof(block), rt.sent + sizeof(block) == BIG);
		rt.sent += sizeof(block);
	}
}

Test(stream, a_slow_reader_holds_the_runtime_back_and_loses_nothing)
{
	start_exec();
	http_upgrade_pause(cl.up, true);
	http_stream_on_drain(rt.req, 65536, send_more);
	settle(&rt.sent);
	cr_assert(rt.sent && rt.sent < BIG, "%zu", rt.sent);
	http_upgrade_pause(cl.up, false);
	UNTIL(cl.got[1] == BIG);
}

Test(stream, a_container_that_does_not_read_holds_the_client_back)
{
	static const unsigned char close_stdin = 0;
	static char block[65536];
	size_t pending;

	start_exec();
	http_hijack_pause(rt.req, true);
	for (size_t i = 0; i < BIG; i += sizeof(block))
		ws_send_channel(cl.ws, 0, block, sizeof(block));
	ws_send_channel(cl.ws, 0, "!", 1);
	ws_send_channel(cl.ws, 255, &close_stdin, 1);
	do {
		pending = http_upgrade_pending(cl.up);
		settle(&rt.got[S_IN]);
	} while (http_upgrade_pending(cl.up) != pending);
	cr_assert(pending);
	http_hijack_pause(rt.req, false);
	UNTIL(rt.fin[S_IN]);
	cr_assert(rt.got[S_IN] == BIG + 1);
	cr_assert(rt.last == '!');
}

Test(stream, a_client_on_spdy_is_joined_byte_by_byte)
{
	const char *const versions[] = { "X-Stream-Protocol-Version: v4.channel.k8s.io",
					 "X-Stream-Protocol-Version: v3.channel.k8s.io, v2.channel.k8s.io,,",
					 "X-Stream-Protocol-Version: channel.k8s.io", NULL };

	rt.frames_wanted = false;
	ask = (struct stream_ask){ .kind = STREAM_EXEC, .out = true };
	start(versions);
	cr_assert(cl.open);
	cr_assert_str_eq(rt.versions.buf, "v4.channel.k8s.io;v3.channel.k8s.io;v2.channel.k8s.io;channel.k8s.io;");
	cr_assert(http_upgrade_write(cl.up, CLIENT_BYTES, sizeof(CLIENT_BYTES)) == 0);
	cr_assert(http_hijack_write(rt.req, "\0\1\2", 3) == 0);
	UNTIL(rt.raw.len == sizeof(CLIENT_BYTES) && cl.raw.len == 3);
	cr_assert(!memcmp(rt.raw.buf, CLIENT_BYTES, sizeof(CLIENT_BYTES)));
	cr_assert(!memcmp(cl.raw.buf, "\0\1\2", 3));
	http_hijack_close(rt.req);
	UNTIL(cl.closed);
	cr_assert(cl.status == 0);
}

Test(stream, port_forward_on_websocket_is_spdy_in_a_tunnel)
{
	rt.frames_wanted = false;
	ask = (struct stream_ask){ .kind = STREAM_PORT_FORWARD, .protocol = STREAM_TUNNEL };
	start(NULL);
	cr_assert(cl.open);
	cr_assert_str_eq(rt.versions.buf, "portforward.k8s.io;");
	ws_send(cl.ws, CLIENT_BYTES, 3, true);
	ws_send(cl.ws, CLIENT_BYTES + 3, sizeof(CLIENT_BYTES) - 3, true);
	cr_assert(http_hijack_write(rt.req, "frames", 6) == 0);
	UNTIL(rt.raw.len == sizeof(CLIENT_BYTES) && cl.text[0].len == 6);
	cr_assert(!memcmp(rt.raw.buf, CLIENT_BYTES, sizeof(CLIENT_BYTES)));
	http_hijack_close(rt.req);
	UNTIL(cl.ws_closed && cl.closed);
	cr_assert(cl.code == 1000);
}

Test(stream, port_forward_on_channels_has_two_for_each_port)
{
	ask = (struct stream_ask){
		.kind = STREAM_PORT_FORWARD, .protocol = "v4.channel.k8s.io", .n_ports = 2, .ports = { 80, 0x1234 }
	};
	start(NULL);
	cr_assert(cl.open);
	cr_assert_str_eq(rt.versions.buf, "portforward.k8s.io;");
	/* Of each port the error stream first: 1 and 5; data: 3 and 7. */
	UNTIL(rt.opened[7] && rt.fin[1] && rt.fin[5] && cl.got[3] == 2);
	cr_assert(!memcmp(cl.text[0].buf, "\x50\0", 2) && !memcmp(cl.text[1].buf, "\x50\0", 2));
	cr_assert(!memcmp(cl.text[2].buf, "\x34\x12", 2) && !memcmp(cl.text[3].buf, "\x34\x12", 2));
	ws_send_channel(cl.ws, 2, "hello", 5);
	ws_send_channel(cl.ws, 1, "nobody", 6); /* errors come from the runtime only */
	ws_send_channel(cl.ws, 4, "nobody", 6);
	frame(3, "page", 4, true);
	frame(1, "", 0, true);
	UNTIL(rt.got[7] == 5 && cl.got[0] == 6);
	cr_assert(!rt.got[1] && !rt.got[3] && !cl.ws_closed);
	frame(5, "refused", 7, true);
	frame(7, "", 0, true);
	UNTIL(cl.ws_closed && cl.closed);
	cr_assert(cl.code == 1000);
	cr_assert(!memcmp(cl.text[0].buf + 2, "page", 4));
	cr_assert(!memcmp(cl.text[3].buf + 2, "refused", 7));
}

Test(stream, what_the_runtime_refuses_is_told)
{
	rt.refuses = true;
	ask = (struct stream_ask){ .kind = STREAM_ATTACH, .out = true };
	start(NULL);
	cr_assert(cl.closed && cl.status == 403);
	cr_assert(strstr(cl.refusal, "container runtime: no such version"));
	cl.closed = false;
	snprintf(url, sizeof(url), "what is this");
	start(NULL);
	cr_assert(cl.closed && cl.status == 502);
	cl.closed = false;
	snprintf(url, sizeof(url), "http://127.0.0.1:1/exec");
	start(NULL);
	cr_assert(cl.closed && cl.status == 502);
	cr_assert(strstr(cl.refusal, strerror(ECONNREFUSED)));
}
