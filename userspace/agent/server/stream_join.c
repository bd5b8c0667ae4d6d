/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec, attach and port-forward once the runtime has said where it serves them. It speaks SPDY/3.1 (containerd 1.6 has
 * WebSocket v4 only, which cannot half-close stdin). A client that speaks SPDY is joined to it byte by byte. A client
 * on WebSocket (v5 or v4.channel.k8s.io) is ended here: its channels become SPDY streams. Port-forward over WebSocket
 * is SPDY in a tunnel and is unwrapped, or, of older clients that are not kubectl, two channels for each port: data,
 * and what went wrong; each begins with its port.
 */
#include "server-internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/log.h"
#include "../../lib/base/str.h"
#include "../../lib/io/spdy.h"
#include "../../lib/io/ws.h"

#define HIGH_WATER    (512u << 10)
#define LOW_WATER     (128u << 10)
#define CLOSE_WAIT_MS 1000 /* for the client's close frame */
#define HOLD_MS	      50
#define MESSAGE_MAX   (1u << 20)
#define VERSIONS_MAX  8

enum { CH_STDIN, CH_STDOUT, CH_STDERR, CH_ERROR, CH_RESIZE, CH_CLOSE = 255 };
static const char *const stream_types[] = { "stdin", "stdout", "stderr", "error", "resize" };

struct channel {
	bool to_node, to_client;
	bool fin; /* the client has ended stdin; the runtime its output */
	uint32_t id;
};

struct stream {
	struct loop *loop;
	struct http_req *req;
	struct stream_ask ask;
	bool tunnel, opened, ending;
	struct channel ch[2 * STREAM_PORTS_MAX];
	size_t n_ch;
	struct ws *ws;
	struct spdy *spdy;
	struct http_client *client;
	struct http_upgrade *up;
	bool client_paused, node_paused;
	bool held; /* the runtime's output, until the client is known to take it */
	struct loop_timer hold, end;
};

static void stream_free(struct stream *st)
{
	loop_timer_cancel(&st->end);
	loop_timer_cancel(&st->hold);
	if (st->up)
		http_upgrade_close(TAKE(st->up));
	http_client_free(st->client);
	ws_free(st->ws);
	spdy_free(st->spdy);
	free(st);
}

static void on_client_gone(struct http_req *req, void *data)
{
	(void)req;
	stream_free(data);
}

/* Everything may be freed by this: never from inside a callback of ws or spdy. */
static void on_end(struct loop_timer *t)
{
	struct stream *st = t->arg;

	http_hijack_close(st->req);
}

static void end(struct stream *st, int code, const char *why)
{
	if (st->ending)
		return;
	st->ending = true;
	if (st->ws)
		ws_close(st->ws, code, why);
	(void)loop_timer_set(st->loop, &st->end, st->ws ? CLOSE_WAIT_MS : 0);
}

/* --- back-pressure ------------------------------------------------------------------------------------------------ */

/* A stream that lost a piece must not look whole. */
static void to_node(struct stream *st, const void *data, size_t len)
{
	if (st->up && http_upgrade_write(st->up, data, len) < 0)
		end(st, 1011, "cannot pass data on to the container runtime");
}

static void on_node_drain(struct http_upgrade *u, void *arg)
{
	struct stream *st = arg;

	(void)u;
	st->client_paused = false;
	http_hijack_pause(st->req, false);
}

static void to_node_done(struct stream *st)
{
	if (!st->up || st->client_paused || http_upgrade_pending(st->up) <= HIGH_WATER)
		return;
	st->client_paused = true;
	http_hijack_pause(st->req, true);
	http_upgrade_on_drain(st->up, LOW_WATER, on_node_drain);
}

static void pause_node(struct stream *st)
{
	if (st->up)
		http_upgrade_pause(st->up, st->node_paused || st->held);
}

static void on_drain(struct http_req *req, void *data)
{
	struct stream *st = data;

	(void)req;
	st->node_paused = false;
	pause_node(st);
}

static void to_client_done(struct stream *st)
{
	if (st->node_paused || !st->up || http_stream_pending(st->req) <= HIGH_WATER)
		return;
	st->node_paused = true;
	pause_node(st);
}

/*
 * kubectl 1.30 to 1.33 (kubernetes/kubernetes#131189) reads before it has made its streams and throws away what comes
 * for them ("Unknown stream id 1, discarding message"). Its first message says that they are there; a client that has
 * nothing to say gets a moment, which is about what a process takes to start.
 */
static void hold_over(struct stream *st)
{
	if (!st->held)
		return;
	st->held = false;
	loop_timer_cancel(&st->hold);
	pause_node(st);
}

static void on_hold_over(struct loop_timer *t)
{
	hold_over(t->arg);
}

static void hold(struct stream *st)
{
	st->held = loop_timer_set(st->loop, &st->hold, HOLD_MS) == 0;
	pause_node(st);
}

/* --- the runtime's SPDY session, when the client speaks WebSocket ------------------------------------------------- */

static bool outputs_over(const struct stream *st)
{
	for (size_t i = 0; i < st->n_ch; i++)
		if (st->ch[i].to_client && !st->ch[i].fin)
			return false;
	return true;
}

static void on_spdy_data(struct spdy *s, void *arg, uint32_t id, const void *data, size_t len, bool fin)
{
	struct stream *st = arg;

	(void)s;
	for (size_t i = 0; i < st->n_ch; i++) {
		struct channel *ch = &st->ch[i];

		if (!ch->to_client || ch->id != id || st->ending)
			continue;
		if (len)
			ws_send_channel(st->ws, (uint8_t)i, data, len);
		ch->fin |= fin;
	}
	to_client_done(st);
	if (outputs_over(st))
		end(st, 1000, "");
}

static void on_spdy_reset(struct spdy *s, void *arg, uint32_t id, uint32_t status)
{
	(void)status;
	on_spdy_data(s, arg, id, "", 0, true);
}

static void on_spdy_close(struct spdy *s, void *arg, const char *why)
{
	(void)s;
	end(arg, 1011, why);
}

static void on_spdy_write(struct spdy *s, void *arg, const void *data, size_t len)
{
	struct stream *st = arg;

	(void)s;
	to_node(st, data, len);
}

/* --- the client's WebSocket --------------------------------------------------------------------------------------- */

static bool is_v5(const struct stream *st)
{
	return str_starts(st->ask.protocol, "v5.");
}

static void on_ws_message(struct ws *ws, void *arg, const void *data, size_t len, bool binary)
{
	struct stream *st = arg;
	const unsigned char *p = data;

	(void)ws;
	(void)binary;
	if (st->ending)
		return;
	hold_over(st);
	if (st->tunnel) {
		to_node(st, data, len);
	} else if (len && p[0] < st->n_ch && st->ch[p[0]].to_node) {
		if (!st->ch[p[0]].fin && len > 1)
			spdy_send(st->spdy, st->ch[p[0]].id, p + 1, len - 1, false);
	} else if (len == 2 && p[0] == CH_CLOSE && p[1] == CH_STDIN && is_v5(st) && st->ch[CH_STDIN].to_node &&
		   !st->ch[CH_STDIN].fin) {
		st->ch[CH_STDIN].fin = true;
		spdy_send(st->spdy, st->ch[CH_STDIN].id, "", 0, true);
	}
	to_node_done(st);
}

static void on_ws_close(struct ws *ws, void *arg, int code)
{
	struct stream *st = arg;

	(void)ws;
	(void)code;
	st->ending = true;
	(void)loop_timer_set(st->loop, &st->end, 0);
}

static void on_ws_write(struct ws *ws, void *arg, const void *data, size_t len)
{
	(void)ws;
	(void)http_hijack_write(((struct stream *)arg)->req, data, len);
}

static void on_client_bytes(struct http_req *req, void *data, const void *bytes, size_t len)
{
	struct stream *st = data;

	(void)req;
	if (st->ws) {
		ws_feed(st->ws, bytes, len);
	} else {
		to_node(st, bytes, len);
		to_node_done(st);
	}
}

static bool open_channels(struct stream *st)
{
	/* The runtime expects the error stream first. */
	static const int order[] = { CH_ERROR, CH_STDIN, CH_STDOUT, CH_STDERR, CH_RESIZE };

	for (size_t i = 0; i < sizeof(order) / sizeof(*order); i++) {
		struct spdy_header h = { "streamtype", stream_types[order[i]] };
		struct channel *ch = &st->ch[order[i]];

		if (!ch->to_node && !ch->to_client)
			continue;
		ch->id = spdy_open(st->spdy, &h, 1);
		if (!ch->id)
			return false;
	}
	if (is_v5(st))
		hold(st);
	else /* as kubelet does: an empty message tells the client that the connection stands */
		ws_send_channel(st->ws, st->ask.out ? CH_STDOUT : st->ask.err ? CH_STDERR : CH_ERROR, "", 0);
	return true;
}

static bool open_ports(struct stream *st)
{
	for (size_t i = 0; i < st->ask.n_ports; i++) {
		struct channel *data = &st->ch[2 * i], *error = data + 1;
		unsigned port = st->ask.ports[i];
		const unsigned char first[] = { port & 0xff, (unsigned char)(port >> 8) };
		char text[8], request[8];
		struct spdy_header h[] = { { "streamtype", "error" }, { "port", text }, { "requestid", request } };

		snprintf(text, sizeof(text), "%u", port);
		snprintf(request, sizeof(request), "%zu", i);
		error->id = spdy_open(st->spdy, h, 3);
		h[0].value = "data";
		data->id = error->id ? spdy_open(st->spdy, h, 3) : 0;
		if (!data->id)
			return false;
		spdy_send(st->spdy, error->id, "", 0, true); /* nothing is ever written to it */
		ws_send_channel(st->ws, (uint8_t)(2 * i), first, sizeof(first));
		ws_send_channel(st->ws, (uint8_t)(2 * i + 1), first, sizeof(first));
	}
	return true;
}

static int open_websocket(struct stream *st)
{
	static const struct ws_ops ws_ops = { on_ws_message, on_ws_close, on_ws_write };
	static const struct spdy_ops spdy_ops = { on_spdy_data, on_spdy_reset, on_spdy_close, on_spdy_write };

	st->ws = ws_new(false, MESSAGE_MAX, &ws_ops, st);
	st->spdy = st->tunnel ? NULL : spdy_new(&spdy_ops, st);
	if (!st->ws || (!st->tunnel && !st->spdy))
		return -ENOMEM;
	if (http_ws_accept(st->req, st->ask.protocol, on_client_bytes) < 0)
		return -EPROTO;
	st->opened = true;
	if (!st->tunnel && !(st->ask.kind == STREAM_PORT_FORWARD ? open_ports(st) : open_channels(st)))
		end(st, 1011, "out of memory");
	return 0;
}

/* --- the connection to the runtime -------------------------------------------------------------------------------- */

static void on_open(struct http_upgrade *u, void *arg, const char *head)
{
	struct stream *st = arg;
	int r = 0;

	(void)u;
	if (st->ask.protocol) {
		r = open_websocket(st);
		if (r == -ENOMEM)
			answer_text(st->req, 500, "out of memory\n");
	} else {
		r = http_hijack(st->req, head, strlen(head), on_client_bytes);
		st->opened = !r;
		if (r < 0)
			answer_text(st->req, 500, "cannot hand over the connection: %s\n", strerror(-r));
	}
	if (!r)
		http_stream_on_drain(st->req, LOW_WATER, on_drain);
}

static void on_node_data(struct http_upgrade *u, void *arg, const void *data, size_t len)
{
	struct stream *st = arg;

	(void)u;
	if (!st->opened || st->ending)
		return;
	if (st->spdy)
		spdy_feed(st->spdy, data, len);
	else if (st->ws)
		ws_send(st->ws, data, len, true);
	else
		(void)http_hijack_write(st->req, data, len);
	to_client_done(st);
}

static void on_node_closed(struct http_upgrade *u, void *arg, int status, const char *text)
{
	struct stream *st = arg;

	(void)u;
	st->up = NULL;
	if (st->opened) /* on channels the outputs end first: whoever has seen no status must not take this for success
			 */
		end(st, st->spdy ? 1011 : 1000, st->spdy ? "the container runtime closed the connection" : "");
	else /* 403: it speaks none of the versions that the client offers */
		answer_text(st->req, status == 400 || status == 403 ? status : 502, "container runtime: %s (%d)\n",
			    text && text[0] ? text : "no connection", status);
}

/* The versions of the protocol that the client offers, one header each, as the runtime reads them. */
static size_t add_versions(const struct http_req *req, char lines[VERSIONS_MAX][96], const char **headers)
{
	const char *v, *end;
	size_t n = 0;

	for (size_t i = 0; (v = http_req_header_nth(req, "x-stream-protocol-version", i)); i++) {
		for (; *v && n < VERSIONS_MAX; v = *end ? end + 1 : end) {
			int len;

			v += strspn(v, " \t");
			end = v + strcspn(v, ",");
			len = (int)strcspn(v, ", \t\r\n");
			if (len < 1 || len > 64)
				continue;
			snprintf(lines[n], sizeof(lines[n]), "X-Stream-Protocol-Version: %.*s", len, v);
			headers[n] = lines[n];
			n++;
		}
	}
	return n;
}

static void connect_node(struct stream *st, const char *url)
{
	static const struct http_upgrade_ops ops = { on_open, on_node_data, on_node_closed };
	struct http_client_config cc = { .connect_timeout_ms = 5000 };
	const char *path = strstr(url, "://");
	cleanup(free) char *base = NULL;
	const char *headers[2 + VERSIONS_MAX + 1] = { "Connection: Upgrade", "Upgrade: SPDY/3.1" };
	char versions[VERSIONS_MAX][96];
	struct err err = ERR_INIT;

	path = path ? strchr(path + 3, '/') : NULL;
	base = path ? strndup(url, (size_t)(path - url)) : NULL;
	if (!base) {
		answer_text(st->req, 502, "container runtime: it gave no usable URL for the stream\n");
		return;
	}
	cc.base_url = base;
	if (!st->ask.protocol)
		(void)add_versions(st->req, versions, headers + 2);
	else if (st->ask.kind == STREAM_PORT_FORWARD)
		headers[2] = "X-Stream-Protocol-Version: portforward.k8s.io";
	else
		headers[2] = "X-Stream-Protocol-Version: v4.channel.k8s.io";
	if (http_client_new(st->loop, &cc, &st->client, &err) == 0)
		st->up = http_upgrade_start(st->client, "POST", path, headers, &ops, st, &err);
	if (!st->up)
		answer_text(st->req, 502, "container runtime: %s\n", err.msg);
}

void stream_join(struct loop *loop, struct http_req *req, const struct stream_ask *ask, const char *url)
{
	struct stream *st = calloc(1, sizeof(*st));

	if (!st) {
		answer_text(req, 500, "out of memory\n");
		return;
	}
	*st = (struct stream){ .loop = loop,
			       .req = req,
			       .ask = *ask,
			       .end = { .fn = on_end, .arg = st },
			       .hold = { .fn = on_hold_over, .arg = st } };
	if (ask->kind == STREAM_PORT_FORWARD) {
		st->tunnel = ask->protocol && streq(ask->protocol, STREAM_TUNNEL);
		st->n_ch = 2 * ask->n_ports;
		for (size_t i = 0; i < st->n_ch; i++)
			st->ch[i] = (struct channel){ .to_node = i % 2 == 0, .to_client = true };
	} else {
		st->n_ch = CH_RESIZE + 1;
		st->ch[CH_STDIN].to_node = ask->in;
		st->ch[CH_STDOUT].to_client = ask->out;
		st->ch[CH_STDERR].to_client = ask->err;
		st->ch[CH_ERROR].to_client = true;
		st->ch[CH_RESIZE].to_node = ask->tty;
	}
	http_req_set_data(req, st, on_client_gone);
	connect_node(st, url);
}
