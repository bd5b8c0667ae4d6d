/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logs and exec through the server to an agent that this test plays: HTTPS, the server's client certificate, an
 * upgraded stream.
 */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/str.h"
#include "io/http_server.h"

#define BIG	 (8u << 20)
#define STREAMED (48u << 20) /* more than all socket buffers on the way hold */

static struct fx f;
static struct http_server *agent;
static char asked[1024], user[64], versions[256];
static size_t agent_sent, agent_got;
static struct http_req *joined; /* the agent's side of a SPDY stream */
static bool agent_gone;

static void echo(struct http_req *req, void *data, const void *bytes, size_t len)
{
	(void)data;
	(void)http_hijack_write(req, bytes, len);
	if (memchr(bytes, '!', len))
		http_hijack_close(req);
}

static void send_more(struct http_req *req, void *data)
{
	static char block[65536];

	(void)data;
	memset(block, 'x', sizeof(block));
	while (agent_sent < BIG && http_stream_pending(req) < sizeof(block)) {
		if (http_stream_write(req, block, sizeof(block)) < 0)
			return;
		agent_sent += sizeof(block);
	}
	if (agent_sent < BIG)
		http_stream_on_drain(req, sizeof(block), send_more);
	else
		http_stream_end(req);
}

static void on_joined_gone(struct http_req *req, void *data)
{
	(void)req;
	(void)data;
	joined = NULL;
	agent_gone = true;
}

static void on_joined_data(struct http_req *req, void *data, const void *bytes, size_t len)
{
	(void)req;
	(void)data;
	(void)bytes;
	agent_got += len;
}

static void join(struct http_req *req)
{
	static const char head[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: SPDY/3.1\r\nConnection: Upgrade\r\n"
				   "X-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n";
	const char *v;

	for (size_t i = 0; (v = http_req_header_nth(req, "x-stream-protocol-version", i)); i++)
		snprintf(versions + strlen(versions), sizeof(versions) - strlen(versions), "%s;", v);
	joined = req;
	http_req_set_data(req, NULL, on_joined_gone);
	(void)http_hijack(req, head, strlen(head), on_joined_data);
}

static void stream_more(struct http_req *req, void *data)
{
	static char block[65536];

	(void)data;
	while (agent_sent < STREAMED && http_stream_pending(req) < sizeof(block)) {
		if (http_hijack_write(req, block, sizeof(block)) < 0)
			return;
		agent_sent += sizeof(block);
	}
}

static void on_agent(struct http_req *req, void *arg)
{
	static const char head[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
				   "Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n\r\n";

	(void)arg;
	snprintf(asked, sizeof(asked), "%s", http_req_raw_target(req));
	snprintf(user, sizeof(user), "%s", http_req_cert_cn(req) ? http_req_cert_cn(req) : "");
	if (str_starts(asked, "/containerLogs/default/p/big")) {
		(void)http_stream_start(req, 200, "text/plain");
		agent_sent = 0;
		send_more(req, NULL);
	} else if (str_starts(asked, "/containerLogs/")) {
		http_respond(req, 200, "text/plain", "hello\n", 6);
	} else if (http_req_wants_upgrade(req, "websocket")) {
		(void)http_hijack(req, head, strlen(head), echo);
	} else if (http_req_wants_upgrade(req, "SPDY/3.1") && !str_starts(asked, "/exec/")) {
		join(req);
	} else {
		http_respond(req, 403, "text/plain", "only WebSocket here", 19);
	}
}

static void setup(void)
{
	struct http_server_config config = { .client_certs = true, .handler = on_agent };
	struct err err = ERR_INIT;
	char body[512];
	int port;

	fx_init(&f);
	fx_start(&f);
	config.tls = &f.tls[N_WHO];
	cr_assert(http_server_new(f.loop, &config, &agent, &err) == 0);
	cr_assert(http_server_listen(agent, "127.0.0.1:0", &port, &err) == 0);
	snprintf(
		body, sizeof(body),
		"{\"kind\":\"Node\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"n\"},\"status\":{\"addresses\":[{\"type\":\"InternalIP\","
		"\"address\":\"127.0.0.1\"}],\"daemonEndpoints\":{\"kubeletEndpoint\":{\"Port\":%d}}}}",
		port);
	fx_do(&f, 201, "POST", "/api/v1/nodes", body);
	fx_do(&f, 201, "POST", PODS,
	      "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\"},\"spec\":{\"nodeName\":\"n\",\"containers\":[{\"name\":\"c\","
	      "\"image\":\"i:1\"},{\"name\":\"big\",\"image\":\"i:1\"}]}}");
	fx_do(&f, 201, "POST", PODS, POD("unscheduled", ""));
	fx_do(&f, 201, "POST", PODS, POD("lost", "\"nodeName\":\"gone\","));
}

static void teardown(void)
{
	http_server_free(agent);
	fx_done(&f);
}

TestSuite(proxy, .init = setup, .fini = teardown, .timeout = 180);

Test(proxy, logs_come_from_the_node)
{
	struct answer a = fx_call(&f, ADMIN, "GET", PODS "/p/log?container=c&tailLines=5&follow=true&insecure=1", NULL,
				  "*/*", NULL);

	cr_assert(a.status == 200);
	cr_assert_str_eq(a.text, "hello\n");
	answer_done(&a);
	cr_assert_str_eq(asked, "/containerLogs/default/p/c?follow=true&tailLines=5");
	cr_assert_str_eq(user, "admin");
	fx_refused(&f, ADMIN, 400, "GET", PODS "/p/log", NULL,
		   "a container name must be specified for pod p, choose one of: [c big]");
	fx_refused(&f, ADMIN, 400, "GET", PODS "/p/log?container=x", NULL, "container x is not valid for pod p");
	fx_refused(&f, ADMIN, 404, "GET", PODS "/none/log", NULL, "pods \"none\" not found");
	fx_refused(&f, ADMIN, 500, "GET", PODS "/lost/log", NULL, "node \"gone\"");
	a = fx_call(&f, ADMIN, "GET", PODS "/unscheduled/log", NULL, "*/*", NULL);
	cr_assert(a.status == 200 && !*a.text);
	answer_done(&a);
}

struct reader {
	size_t got, at_pause;
	bool done;
	int status;
};

static int on_log(struct http_call *call, void *arg, const void *data, size_t len)
{
	struct reader *r = arg;

	(void)data;
	r->got += len;
	if (!r->at_pause) {
		r->at_pause = r->got;
		http_call_pause(call, true);
	}
	return 0;
}

static void on_log_done(struct http_call *call, void *arg, const struct http_response *rsp)
{
	struct reader *r = arg;

	(void)call;
	r->done = true;
	r->status = rsp->status;
}

Test(proxy, a_slow_reader_of_a_log_holds_the_node_back_and_loses_nothing)
{
	struct reader r = { 0 };
	struct http_call_config c = { .method = "GET",
				      .path = PODS "/p/log?container=big",
				      .accept = "*/*",
				      .on_data = on_log,
				      .on_done = on_log_done,
				      .arg = &r };
	struct http_call *call = http_call_start(f.clients[ADMIN], &c);
	int64_t end = clock_mono_ms() + 60000;

	/* until nothing moves any more: everything between agent and reader is full */
	while (!r.at_pause || loop_run_once(f.loop, 200) > 0)
		if (!r.at_pause)
			loop_run_once(f.loop, 200);
		else if (clock_mono_ms() > end - 58000)
			break;
	cr_assert(!r.done);
	http_call_pause(call, false);
	while (!r.done) {
		cr_assert(clock_mono_ms() < end);
		loop_run_once(f.loop, 1000);
	}
	cr_assert(r.status == 200);
	cr_assert(r.got == BIG, "%zu", r.got);
}

struct stream {
	bool open, closed;
	int status;
	char text[256], head[1024];
	struct strbuf in;
};

static void on_open(struct http_upgrade *u, void *arg, const char *head)
{
	struct stream *s = arg;

	(void)u;
	s->open = true;
	snprintf(s->head, sizeof(s->head), "%s", head);
}

static void on_data(struct http_upgrade *u, void *arg, const void *data, size_t len)
{
	(void)u;
	strbuf_add(&((struct stream *)arg)->in, data, len);
}

static void on_close(struct http_upgrade *u, void *arg, int status, const char *text)
{
	struct stream *s = arg;

	(void)u;
	s->closed = true;
	s->status = status;
	snprintf(s->text, sizeof(s->text), "%s", text ? text : "");
}

static const struct http_upgrade_ops ops = { on_open, on_data, on_close };

static void run_until(const bool *flag, const bool *other)
{
	int64_t end = clock_mono_ms() + 60000;

	while (!*flag && !*other) {
		cr_assert(clock_mono_ms() < end);
		loop_run_once(f.loop, 1000);
	}
}

Test(proxy, exec_is_relayed_byte_by_byte)
{
	const char *headers[] = { "Connection: Upgrade",
				  "Upgrade: websocket",
				  "Sec-WebSocket-Version: 13",
				  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
				  "Sec-WebSocket-Protocol: v5.channel.k8s.io",
				  NULL };
	struct stream s = { .in = STRBUF_INIT };
	struct err err = ERR_INIT;
	size_t n = 3u << 20;
	char *big = malloc(n);
	struct http_upgrade *u = http_upgrade_start(
		f.clients[ADMIN], "GET",
		PODS "/p/exec?container=c&command=sh&command=-c&command=a%20b&stdin=true&stdout=true", headers, &ops,
		&s, &err);

	cr_assert(u && big);
	run_until(&s.open, &s.closed);
	cr_assert(s.open);
	cr_assert(strstr(s.head, "v5.channel.k8s.io"));
	cr_assert_str_eq(asked, "/exec/default/p/c?command=sh&command=-c&command=a%20b&input=1&output=1");
	memset(big, 'y', n);
	cr_assert(http_upgrade_write(u, big, n) == 0);
	cr_assert(http_upgrade_write(u, "!", 1) == 0);
	run_until(&s.closed, &s.closed);
	cr_assert(s.status == 0);
	cr_assert(s.in.len == n + 1);
	cr_assert(s.in.buf[n] == '!');
	strbuf_done(&s.in);
	free(big);
}

Test(proxy, what_cannot_be_upgraded_is_told)
{
	const char *spdy[] = { "Connection: Upgrade", "Upgrade: SPDY/3.1",
			       "X-Stream-Protocol-Version: v4.channel.k8s.io", NULL };
	struct stream s = { .in = STRBUF_INIT };
	struct err err = ERR_INIT;

	struct answer a;

	fx_refused(&f, ADMIN, 400, "POST", PODS "/p/exec?container=c&command=ls&stdout=1", NULL,
		   "Upgrade request required");
	fx_refused(&f, ADMIN, 400, "GET", PODS "/p/attach?container=c&stdout=1", NULL, "Upgrade request required");
	fx_refused(&f, ADMIN, 400, "GET", PODS "/p/portforward", NULL, "Upgrade request required");
	a = fx_call(&f, ADMIN, "HEAD", PODS "/p/portforward", NULL, "*/*", NULL);
	cr_assert(a.status == 400);
	answer_done(&a);
	cr_assert(http_upgrade_start(f.clients[ADMIN], "POST", PODS "/p/exec?container=c&command=ls&stdout=1", spdy,
				     &ops, &s, &err));
	run_until(&s.closed, &s.open);
	cr_assert(s.status == 403);
	cr_assert(strstr(s.text, "only WebSocket here"));
	fx_refused(&f, NODE1, 403, "POST", PODS "/p/exec?container=c&command=ls&stdout=1", NULL,
		   "cannot create resource \"pods/exec\"");
}

/* --- SPDY, which the server passes on as it is -------------------------------------------------------------------- */

static struct http_upgrade *spdy_start(struct stream *s, const char *method, const char *path)
{
	const char *headers[] = { "Connection: Upgrade", "Upgrade: SPDY/3.1",
				  "X-Stream-Protocol-Version: v4.channel.k8s.io",
				  "X-Stream-Protocol-Version: v3.channel.k8s.io, v2.channel.k8s.io", NULL };
	struct err err = ERR_INIT;
	struct http_upgrade *u = http_upgrade_start(f.clients[ADMIN], method, path, headers, &ops, s, &err);

	cr_assert(u);
	run_until(&s->open, &s->closed);
	cr_assert(s->open, "%s", s->text);
	cr_assert(strstr(s->head, "Upgrade: SPDY/3.1") && strstr(s->head, "v4.channel.k8s.io"));
	cr_assert(joined);
	return u;
}

/* Turns until nothing has happened for a while. */
static void settle(const size_t *progress)
{
	size_t seen;

	do {
		seen = *progress;
		for (int i = 0; i < 30; i++)
			(void)loop_run_once(f.loop, 10);
	} while (*progress != seen);
}

Test(proxy, spdy_offers_its_versions_to_the_node)
{
	struct stream s = { .in = STRBUF_INIT };

	spdy_start(&s, "POST", PODS "/p/attach?container=c&stdin=true&stdout=true&stderr=true");
	cr_assert_str_eq(versions, "v4.channel.k8s.io;v3.channel.k8s.io, v2.channel.k8s.io;");
	cr_assert_str_eq(asked, "/attach/default/p/c?input=1&output=1&error=1");
	cr_assert(http_hijack_write(joined, "\x80\x03", 2) == 0);
	http_hijack_close(joined);
	run_until(&s.closed, &s.closed);
	cr_assert(s.status == 0 && s.in.len == 2);
	strbuf_done(&s.in);
}

Test(proxy, portforward_needs_no_container)
{
	struct stream s = { .in = STRBUF_INIT };
	struct http_upgrade *u = spdy_start(&s, "POST", PODS "/p/portforward");

	cr_assert_str_eq(asked, "/portForward/default/p");
	http_upgrade_close(u); /* and a client that vanishes is told to the node */
	run_until(&agent_gone, &agent_gone);
}

Test(proxy, a_node_that_vanishes_ends_the_stream)
{
	struct stream s = { .in = STRBUF_INIT };

	spdy_start(&s, "GET", PODS "/p/portforward");
	http_server_free(TAKE(agent));
	run_until(&s.closed, &s.closed);
	cr_assert(s.status == 0);
}

Test(proxy, a_slow_reader_of_a_stream_holds_the_node_back_and_loses_nothing)
{
	struct stream s = { .in = STRBUF_INIT };
	struct http_upgrade *u = spdy_start(&s, "POST", PODS "/p/portforward");
	int64_t end = clock_mono_ms() + 60000;

	http_upgrade_pause(u, true);
	http_stream_on_drain(joined, 65536, stream_more);
	settle(&agent_sent);
	cr_assert(agent_sent && agent_sent < STREAMED);
	http_upgrade_pause(u, false);
	while (s.in.len < STREAMED) {
		cr_assert(clock_mono_ms() < end);
		loop_run_once(f.loop, 1000);
	}
	strbuf_done(&s.in);
}

Test(proxy, a_node_that_does_not_read_holds_the_client_back)
{
	struct stream s = { .in = STRBUF_INIT };
	struct http_upgrade *u = spdy_start(&s, "POST", PODS "/p/portforward");
	int64_t end = clock_mono_ms() + 60000;
	char *big = calloc(1, STREAMED);
	size_t pending;

	http_hijack_pause(joined, true);
	cr_assert(big && http_upgrade_write(u, big, STREAMED) == 0);
	free(big);
	do {
		pending = http_upgrade_pending(u);
		settle(&agent_got);
	} while (http_upgrade_pending(u) != pending);
	cr_assert(pending);
	http_hijack_pause(joined, false);
	while (agent_got < STREAMED) {
		cr_assert(clock_mono_ms() < end);
		loop_run_once(f.loop, 1000);
	}
}
