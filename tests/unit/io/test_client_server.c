/* SPDX-License-Identifier: Apache-2.0 */
/* Our client against our server on one loop: what every component does with the API server. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "io/http_client.h"
#include "io/http_server.h"

enum { WATCHES = 300 };

static struct loop *loop;
static struct http_server *server;
static struct http_client *client;
static int port, closed_requests;
static char dir[64], f[6][96];
static struct http_req *watchers[WATCHES];

struct seen {
	int events, done, status, code;
	char body[256], error[512];
	struct http_call *call;
};

static void on_close(struct http_req *req, void *data)
{
	(void)req;
	closed_requests += data != NULL;
	if (data)
		*(struct http_req **)data = NULL;
}

static void handle(struct http_req *req, void *arg)
{
	const char *path = http_req_path(req);
	char text[256];

	(void)arg;
	if (str_starts(path, "/watch")) {
		struct http_req **slot = &watchers[atoi(http_req_query(req, "n"))];

		*slot = req;
		http_req_set_data(req, slot, on_close);
		cr_assert_eq(http_stream_start(req, 200, "application/json"), 0);
		return;
	}
	snprintf(text, sizeof(text), "%s h2=%d cn=%s", http_req_method(req), http_req_is_h2(req),
		 http_req_cert_cn(req) ? http_req_cert_cn(req) : "-");
	http_respond(req, 200, "text/plain", text, strlen(text));
}

static void serve(int on_port)
{
	struct tls_files files = { .ca_file = f[0], .cert_file = f[2], .key_file = f[3] };
	struct http_server_config config = { .tls = &files, .client_certs = true, .handler = handle };
	struct err err = ERR_INIT;
	char address[32];

	snprintf(address, sizeof(address), "127.0.0.1:%d", on_port);
	cr_assert_eq(http_server_new(loop, &config, &server, &err), 0, "%s", err.msg);
	cr_assert_eq(http_server_listen(server, address, &port, &err), 0, "%s", err.msg);
}

static void setup(void)
{
	static const char *const names[] = { "ca.crt", "ca.key", "s.crt", "s.key", "c.crt", "c.key" };
	static const char *const ips[] = { "127.0.0.1", NULL };
	struct tls_cert_request s = { .common_name = "server", .ip_addresses = ips, .server = true, .days = 1 };
	struct tls_cert_request c = { .common_name = "system:node:a", .client = true, .days = 1 };
	struct tls_files files = { .ca_file = f[0], .cert_file = f[4], .key_file = f[5] };
	struct http_client_config config = { .tls = &files };
	struct err err = ERR_INIT;
	char url[64];

	strcpy(dir, "/tmp/io-unit-cs-XXXXXX");
	cr_assert(mkdtemp(dir));
	for (int i = 0; i < 6; i++)
		snprintf(f[i], sizeof(f[i]), "%s/%s", dir, names[i]);
	cr_assert_eq(tls_make_ca("ca", 1, f[0], f[1], &err), 0, "%s", err.msg);
	cr_assert_eq(tls_make_cert(f[0], f[1], &s, f[2], f[3], &err), 0, "%s", err.msg);
	cr_assert_eq(tls_make_cert(f[0], f[1], &c, f[4], f[5], &err), 0, "%s", err.msg);
	loop = loop_new();
	serve(0);
	snprintf(url, sizeof(url), "https://127.0.0.1:%d", port);
	config.base_url = url;
	cr_assert_eq(http_client_new(loop, &config, &client, &err), 0, "%s", err.msg);
}

static void teardown(void)
{
	http_client_free(client);
	http_server_free(server);
	loop_free(loop);
	cr_assert_eq(dir_remove(dir, NULL), 0);
}

TestSuite(client_server, .init = setup, .fini = teardown, .timeout = 180);

static void turn(void)
{
	cr_assert_eq(loop_run_once(loop, 60000), 0);
}

static int on_data(struct http_call *call, void *arg, const void *data, size_t len)
{
	struct seen *s = arg;

	(void)call;
	for (size_t i = 0; i < len; i++)
		s->events += ((const char *)data)[i] == '\n';
	return 0;
}

static void on_done(struct http_call *call, void *arg, const struct http_response *rsp)
{
	struct seen *s = arg;

	(void)call;
	s->done++;
	s->call = NULL;
	s->status = rsp->status;
	s->code = rsp->code;
	snprintf(s->body, sizeof(s->body), "%s", rsp->body);
	snprintf(s->error, sizeof(s->error), "%s", rsp->error ? rsp->error : "");
}

static void get(struct seen *s)
{
	struct http_call_config config = { .path = "/who", .on_done = on_done, .arg = s };

	memset(s, 0, sizeof(*s));
	cr_assert(http_call_start(client, &config));
	while (!s->done)
		turn();
}

static void watch(struct seen *s, int n)
{
	struct http_call_config config = { .on_data = on_data, .on_done = on_done, .arg = s, .timeout_ms = -1 };
	char path[32];

	snprintf(path, sizeof(path), "/watch?n=%d", n);
	config.path = path;
	memset(s, 0, sizeof(*s));
	s->call = http_call_start(client, &config);
	cr_assert(s->call);
}

static void wait_watchers(int n)
{
	for (int have = 0; have < n;) {
		have = 0;
		for (int i = 0; i < n; i++)
			have += watchers[i] != NULL;
		if (have < n)
			turn();
	}
}

Test(client_server, speaks_http2_and_shows_its_certificate)
{
	struct seen s;

	get(&s);
	cr_assert_eq(s.status, 200, "%s", s.error);
	cr_assert_str_eq(s.body, "GET h2=1 cn=system:node:a");
}

Test(client_server, holds_hundreds_of_watches_on_few_connections)
{
	static struct seen w[WATCHES];
	struct seen s;

	for (int i = 0; i < WATCHES; i++)
		watch(&w[i], i);
	wait_watchers(WATCHES);
	cr_assert(http_server_connections(server) <= 3, "%u connections", http_server_connections(server));
	for (int round = 1; round <= 3; round++) {
		for (int i = 0; i < WATCHES; i++)
			cr_assert_eq(http_stream_write(watchers[i], "event\n", 6), 0);
		get(&s); /* calls go through while watches are open */
		cr_assert_eq(s.status, 200, "%s", s.error);
		for (int i = 0; i < WATCHES; i++)
			while (w[i].events < round)
				turn();
	}
	/* the others go on when some are cancelled */
	for (int i = 0; i < WATCHES; i += 2)
		http_call_cancel(w[i].call);
	for (int i = 1; i < WATCHES; i += 2)
		cr_assert_eq(http_stream_write(watchers[i], "event\n", 6), 0);
	for (int i = 1; i < WATCHES; i += 2)
		while (w[i].events < 4)
			turn();
	for (int i = 1; i < WATCHES; i += 2)
		http_stream_end(watchers[i]);
	for (int i = 1; i < WATCHES; i += 2) {
		while (!w[i].done)
			turn();
		cr_assert_eq(w[i].status, 200);
	}
	for (int i = 0; i < WATCHES; i += 2)
		cr_assert_eq(w[i].done, 0);
}

Test(client_server, a_cancelled_watch_ends_at_the_server)
{
	static struct seen w[20];

	for (int i = 0; i < 20; i++)
		watch(&w[i], i);
	wait_watchers(20);
	for (int i = 0; i < 20; i++) {
		cr_assert_eq(http_stream_write(watchers[i], "event\n", 6), 0);
		while (!w[i].events)
			turn();
	}
	for (int i = 0; i < 10; i++)
		http_call_cancel(w[i].call);
	while (closed_requests < 10)
		turn();
	for (int i = 0; i < 20; i++)
		cr_assert_eq(watchers[i] == NULL, i < 10);
	cr_assert_eq(http_server_connections(server), 1);
}

Test(client_server, survives_a_restart_of_the_server)
{
	static struct seen w[20];
	struct seen s;

	for (int i = 0; i < 20; i++)
		watch(&w[i], i);
	wait_watchers(20);
	http_server_free(server);
	for (int i = 0; i < 20; i++) {
		while (!w[i].done)
			turn();
		cr_assert_eq(w[i].status, 0);
		cr_assert(w[i].code < 0);
		cr_assert(strstr(w[i].error, "127.0.0.1:"), "%s", w[i].error);
	}
	server = NULL;
	get(&s);
	cr_assert_eq(s.code, -ECONNREFUSED, "%d %s", s.code, s.error);
	serve(port);
	get(&s);
	cr_assert_eq(s.status, 200, "%s", s.error);
}
