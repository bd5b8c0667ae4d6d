/* SPDX-License-Identifier: Apache-2.0 */
/* lib/io/http_h2c: many calls on one plain HTTP/2 connection, against our server on the same loop. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "io/http-internal.h"
#include "io/http_server.h"
#include "peer.h"

#define BIG (5u << 20)

static struct loop *loop;
static struct http_server *server;
static struct http_client *client;
static int port, handled, closed_requests;

struct seen {
	struct http_call *call;
	int done, status, code;
	bool unsent, cancel_in_data, free_in_data, pause_in_data, start_in_done;
	size_t data_len;
	struct strbuf body;
	char error[256], trailer[32];
};

static void on_close(struct http_req *req, void *data)
{
	(void)req;
	(void)data;
	closed_requests++;
}

static void handle(struct http_req *req, void *arg)
{
	const char *path = http_req_path(req);
	struct http_buf *b;
	size_t len;

	(void)arg;
	handled++;
	http_req_set_data(req, req, on_close);
	if (!strcmp(path, "/echo")) {
		const void *body = http_req_body(req, &len);

		http_respond(req, 200, "text/plain", body, len);
	} else if (!strcmp(path, "/big")) {
		b = http_buf_new(NULL, BIG);
		memset(b->data, 'x', BIG);
		http_respond_buf(req, 200, "text/plain", b);
		http_buf_unref(b);
	} else if (!strcmp(path, "/open")) {
		(void)http_stream_start(req, 200, "text/plain");
		(void)http_stream_write(req, "first", 5);
	} else if (strcmp(path, "/never") != 0) {
		http_respond(req, 404, "text/plain", path, strlen(path));
	}
}

static void serve(int on_port)
{
	struct http_server_config config = { .handler = handle, .max_body = 2 * BIG, .max_pending = 2 * BIG };
	struct err err = ERR_INIT;
	char address[32];

	snprintf(address, sizeof(address), "127.0.0.1:%d", on_port);
	cr_assert(http_server_new(loop, &config, &server, &err) == 0, "%s", err.msg);
	cr_assert(http_server_listen(server, address, &port, &err) == 0, "%s", err.msg);
}

static struct http_client *client_new(int to_port)
{
	struct http_client_config config = { .h2_prior_knowledge = true };
	struct http_client *c = NULL;
	struct err err = ERR_INIT;
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%d", to_port);
	config.base_url = url;
	cr_assert(http_client_new(loop, &config, &c, &err) == 0, "%s", err.msg);
	return c;
}

static void setup(void)
{
	loop = loop_new();
	cr_assert(loop);
	serve(0);
	client = client_new(port);
}

static void teardown(void)
{
	http_client_free(client);
	http_server_free(server);
	loop_free(loop);
}

TestSuite(h2c, .init = setup, .fini = teardown, .timeout = 120);

static void on_done(struct http_call *call, void *arg, const struct http_response *rsp);

static int on_data(struct http_call *call, void *arg, const void *data, size_t len)
{
	struct seen *s = arg;

	(void)data;
	s->data_len += len;
	if (s->pause_in_data) {
		s->pause_in_data = false;
		http_call_pause(call, true);
	}
	if (s->cancel_in_data)
		http_call_cancel(call);
	if (s->free_in_data) {
		http_client_free(client);
		client = NULL;
	}
	return 0;
}

static void start(struct seen *s, const char *path, struct http_call_config config)
{
	strbuf_init(&s->body);
	config.path = path;
	config.on_done = on_done;
	config.arg = s;
	s->call = http_call_start(client, &config);
	cr_assert(s->call);
	cr_assert(!s->done);
}

#define START(s, path, ...) start((s), (path), (struct http_call_config){ __VA_ARGS__ })

static void on_done(struct http_call *call, void *arg, const struct http_response *rsp)
{
	struct seen *s = arg;

	s->done++;
	s->status = rsp->status;
	s->code = rsp->code;
	s->unsent = call->unsent;
	strbuf_clear(&s->body);
	strbuf_add(&s->body, rsp->body, rsp->len);
	snprintf(s->error, sizeof(s->error), "%s", rsp->error ? rsp->error : "");
	if (s->start_in_done) {
		struct http_call_config config = { .path = "/echo", .on_done = on_done, .arg = s };

		s->start_in_done = false;
		cr_assert(http_call_start(client, &config));
	}
}

static void turn(void)
{
	cr_assert(loop_run_once(loop, 60000) == 0);
}

static void run(struct seen *s, int done)
{
	while (s->done < done)
		turn();
}

static void expect_echo(void)
{
	struct seen s = { 0 };

	START(&s, "/echo", .method = "POST", .body = "hello", .body_len = 5);
	run(&s, 1);
	cr_assert(s.status == 200 && s.body.len == 5 && !memcmp(s.body.buf, "hello", 5), "%d %s", s.status, s.error);
	strbuf_done(&s.body);
}

Test(h2c, all_calls_share_one_connection_that_is_kept)
{
	static struct seen s[300];
	char body[32];

	for (int i = 0; i < 300; i++) {
		snprintf(body, sizeof(body), "body %d", i);
		START(&s[i], "/echo", .method = "POST", .body = body, .body_len = strlen(body));
	}
	for (int i = 0; i < 300; i++) {
		run(&s[i], 1);
		snprintf(body, sizeof(body), "body %d", i);
		cr_assert(s[i].status == 200 && !strcmp(s[i].body.buf, body), "%s", s[i].error);
		strbuf_done(&s[i].body);
	}
	cr_assert(http_server_connections(server) == 1);
	expect_echo();
	cr_assert(http_server_connections(server) == 1);
}

Test(h2c, large_bodies_pass_both_ways)
{
	struct seen up = { 0 }, down = { 0 };
	char *body = malloc(BIG);

	memset(body, 'y', BIG);
	START(&up, "/echo", .method = "POST", .body = body, .body_len = BIG);
	START(&down, "/big", .max_body = BIG - 1);
	run(&up, 1);
	run(&down, 1);
	cr_assert(up.status == 200 && up.body.len == BIG && !memcmp(up.body.buf, body, BIG));
	cr_assert(down.status == 0 && down.code == -EFBIG, "%s", down.error);
	free(body);
	strbuf_done(&up.body);
	strbuf_done(&down.body);
	expect_echo();
}

Test(h2c, a_paused_call_holds_up_no_other)
{
	struct seen s = { .pause_in_data = true };

	START(&s, "/big", .on_data = on_data);
	while (!s.data_len)
		turn();
	for (int i = 0; i < 20; i++)
		expect_echo();
	cr_assert(!s.done && s.data_len <= 1 << 20, "%zu bytes came", s.data_len);
	http_call_pause(s.call, false);
	run(&s, 1);
	cr_assert(s.status == 200 && s.data_len == BIG);
	strbuf_done(&s.body);
}

Test(h2c, a_cancelled_stream_ends_at_the_server)
{
	struct seen s = { .cancel_in_data = true }, t = { 0 };

	START(&s, "/open", .on_data = on_data, .timeout_ms = -1);
	while (!closed_requests)
		turn();
	START(&t, "/open", .on_data = on_data, .timeout_ms = -1);
	while (!t.data_len)
		turn();
	http_call_cancel(t.call);
	while (closed_requests < 2)
		turn();
	cr_assert(!s.done && !t.done);
	expect_echo();
}

Test(h2c, calls_are_started_and_the_client_freed_in_callbacks)
{
	struct seen s = { .start_in_done = true }, f = { .free_in_data = true }, hung = { 0 };

	START(&s, "/echo");
	run(&s, 2);
	cr_assert(s.status == 200);
	START(&hung, "/never");
	START(&f, "/open", .on_data = on_data);
	while (client)
		turn();
	cr_assert(!f.done && !hung.done);
	strbuf_done(&s.body);
}

Test(h2c, names_the_cause_of_a_failure)
{
	struct http_client *good = client;
	struct seen s = { 0 };
	struct peer peer;
	int old = port;

	/* nobody there: the server cannot have seen it */
	http_server_free(server);
	client = client_new(old);
	START(&s, "/echo");
	run(&s, 1);
	cr_assert(s.status == 0 && s.code == -ECONNREFUSED && s.unsent, "%d %s", s.code, s.error);
	cr_assert(strstr(s.error, "127.0.0.1") && strstr(s.error, "refused"), "%s", s.error);
	http_client_free(client);
	strbuf_done(&s.body);
	/* no HTTP/2 */
	peer_start(&peer, NULL);
	client = client_new(peer.port);
	s = (struct seen){ 0 };
	START(&s, "/echo");
	run(&s, 1);
	cr_assert(s.status == 0 && s.error[0]);
	http_client_free(client);
	strbuf_done(&s.body);
	peer_stop(&peer);
	client = good;
	serve(0);
}

Test(h2c, a_server_that_comes_back_is_found)
{
	struct seen s = { 0 };
	int old = port;

	expect_echo();
	START(&s, "/never", .timeout_ms = -1);
	while (handled < 2)
		turn();
	http_server_free(server);
	server = NULL;
	run(&s, 1);
	cr_assert(s.status == 0 && !s.unsent, "%s", s.error);
	strbuf_done(&s.body);
	serve(old);
	expect_echo();
}

Test(h2c, a_call_without_answer_ends_and_its_connection_is_left)
{
	struct seen s = { 0 };

	START(&s, "/never", .timeout_ms = 50);
	run(&s, 1);
	cr_assert(s.status == 0 && s.code == -ETIMEDOUT, "%d %s", s.code, s.error);
	strbuf_done(&s.body);
	expect_echo();
}
