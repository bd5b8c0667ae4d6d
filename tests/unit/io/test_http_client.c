/* SPDX-License-Identifier: Apache-2.0 */
/* lib/io/http_client: calls against a small blocking peer (peer.h). */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "io/http_client.h"
#include "io/tls-internal.h"
#include "peer.h"

struct seen {
	struct loop *loop;
	struct http_client *client;
	struct http_call *call, *other;
	int done, status, first_status, code, data_calls;
	size_t data_len;
	struct strbuf body;
	char error[1024], x_test[32];
	bool cancel_in_data, free_in_data, free_in_done, stop_in_data, start_in_data;
};

static struct loop *loop;
static struct peer peer;

static void setup(void)
{
	loop = loop_new();
	cr_assert(loop);
	peer_start(&peer, NULL);
}

static void teardown(void)
{
	loop_free(loop);
	peer_stop(&peer);
}

TestSuite(http_client, .init = setup, .fini = teardown, .timeout = 180);

static struct http_client *client_new(const char *url)
{
	struct http_client_config config = { .base_url = url, .connect_timeout_ms = 2000 };
	struct http_client *c = NULL;
	struct err err = ERR_INIT;

	cr_assert_eq(http_client_new(loop, &config, &c, &err), 0, "%s", err.msg);
	return c;
}

static void on_done(struct http_call *call, void *arg, const struct http_response *rsp)
{
	struct seen *s = arg;

	(void)call;
	s->done++;
	s->status = rsp->status;
	s->code = rsp->code;
	strbuf_add(&s->body, rsp->body, rsp->len);
	snprintf(s->error, sizeof(s->error), "%s", rsp->error ? rsp->error : "");
	http_call_cancel(call); /* harmless here */
	if (s->free_in_done)
		http_client_free(s->client);
}

static void on_status(struct http_call *call, void *arg, int status)
{
	(void)call;
	((struct seen *)arg)->first_status = status;
}

static void on_header(struct http_call *call, void *arg, const char *name, const char *value)
{
	struct seen *s = arg;

	(void)call;
	if (!strcasecmp(name, "x-test"))
		snprintf(s->x_test, sizeof(s->x_test), "%s", value);
}

static int on_data(struct http_call *call, void *arg, const void *data, size_t len)
{
	struct seen *s = arg;

	s->data_calls++;
	s->data_len += len;
	(void)data;
	if (s->start_in_data) {
		struct http_call_config config = { .path = "/echo", .on_done = on_done, .arg = s };

		s->start_in_data = false;
		cr_assert(http_call_start(s->client, &config));
	}
	if (s->other) {
		http_call_cancel(s->other);
		s->other = NULL;
	}
	if (s->cancel_in_data)
		http_call_cancel(call);
	if (s->free_in_data)
		http_client_free(s->client);
	return s->stop_in_data;
}

static void run(struct seen *s, int done)
{
	while (s->done < done)
		cr_assert_eq(loop_run_once(loop, 60000), 0);
}

static void call(struct seen *s, struct http_client *c, struct http_call_config config)
{
	strbuf_init(&s->body);
	s->loop = loop;
	s->client = c;
	config.on_done = on_done;
	config.arg = s;
	s->call = http_call_start(c, &config);
	cr_assert(s->call);
	cr_assert_eq(s->done, 0);
}

#define CALL(s, c, ...) call((s), (c), (struct http_call_config){ __VA_ARGS__ })

Test(http_client, sends_method_headers_body_and_gets_them_back)
{
	static const char *const headers[] = { "X-One: 1", "X-Two: 2", NULL };
	static const char *const always[] = { "X-Always: a", NULL };
	struct http_client_config config = { .base_url = peer.url, .bearer_token = "tok", .headers = always };
	struct http_client *c;
	struct seen s = { 0 };
	char base[160];

	snprintf(base, sizeof(base), "%s/", peer.url);
	config.base_url = base;
	cr_assert_eq(http_client_new(loop, &config, &c, NULL), 0);
	CALL(&s, c, .method = "PATCH", .path = "/echo?a=b%2Fc", .body = "{\"a\":1}", .body_len = 7,
	     .content_type = "application/json-patch+json", .headers = headers, .on_header = on_header,
	     .on_status = on_status);
	run(&s, 1);
	cr_assert_eq(s.status, 200);
	cr_assert_eq(s.first_status, 200);
	cr_assert_str_eq(s.x_test, "yes");
	cr_assert(str_starts(s.body.buf, "PATCH /echo?a=b%2Fc HTTP/1.1\r\n"));
	cr_assert(strstr(s.body.buf, "\r\nAccept: application/json\r\n"));
	cr_assert(strstr(s.body.buf, "\r\nContent-Type: application/json-patch+json\r\n"));
	cr_assert(strstr(s.body.buf, "\r\nAuthorization: Bearer tok\r\n"));
	cr_assert(strstr(s.body.buf, "\r\nX-One: 1\r\nX-Two: 2\r\n"));
	cr_assert(strstr(s.body.buf, "\r\nX-Always: a\r\n"));
	cr_assert(!strstr(s.body.buf, "Expect:"));
	cr_assert(str_ends(s.body.buf, "\r\n\r\n{\"a\":1}"));
	strbuf_done(&s.body);
	http_client_free(c);
}

Test(http_client, reuses_its_connection_and_reports_every_status)
{
	struct http_client *c = client_new(peer.url);
	static const int codes[] = { 200, 204, 304, 404, 409, 500 };

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		struct seen s = { 0 };
		char path[32];

		if (codes[i] == 204 || codes[i] == 304)
			continue; /* no body allowed: the peer always sends one */
		snprintf(path, sizeof(path), "/status/%d", codes[i]);
		CALL(&s, c, .method = "DELETE", .path = path);
		run(&s, 1);
		cr_assert_eq(s.status, codes[i]);
		cr_assert_str_eq(s.body.buf, "{}");
		strbuf_done(&s.body);
	}
	cr_assert_eq(peer.connections, 1);
	http_client_free(c);
}

Test(http_client, names_host_and_cause_of_a_refused_connection)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct http_client *c;
	struct seen s = { 0 };
	char url[64], want[128];

	/* bound, not listening: nobody else gets the port, and connecting is refused */
	cr_assert_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d", ntohs(a.sin_port));
	snprintf(want, sizeof(want), "127.0.0.1:%d: Connection refused", ntohs(a.sin_port));
	c = client_new(url);
	CALL(&s, c, .path = "/");
	run(&s, 1);
	cr_assert_eq(s.status, 0);
	cr_assert_eq(s.code, -ECONNREFUSED);
	cr_assert_str_eq(s.error, want);
	http_client_free(c);
	close(fd);
}

Test(http_client, ends_with_an_error_when_the_answer_fails)
{
	static const struct {
		const char *path;
		int timeout_ms, idle_ms;
		size_t max;
		int code;
		const char *text;
	} cases[] = {
		{ "/hang", 100, 0, 0, -ETIMEDOUT, "timeout" },
		{ "/drip", -1, 100, 0, -ETIMEDOUT, "nothing received for 100 ms" },
		{ "/endless", 0, 0, 100000, -EFBIG, "larger than 100000 bytes" },
		{ "/short", 0, 0, 0, 0, "" },
		{ "/close", 0, 0, 0, -ECONNRESET, "connection lost" },
	};
	struct http_client *c = client_new(peer.url);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct seen s = { 0 };

		CALL(&s, c, .path = cases[i].path, .timeout_ms = cases[i].timeout_ms,
		     .idle_timeout_ms = cases[i].idle_ms, .max_body = cases[i].max);
		run(&s, 1);
		cr_assert_eq(s.status, 0, "%s", cases[i].path);
		cr_assert(s.code < 0);
		cr_assert(!cases[i].code || s.code == cases[i].code, "%s: %d %s", cases[i].path, s.code, s.error);
		cr_assert(strstr(s.error, cases[i].text), "%s: %s", cases[i].path, s.error);
		strbuf_done(&s.body);
	}
	http_client_free(c);
}

Test(http_client, streams_and_stops_when_told)
{
	struct http_client *c = client_new(peer.url);
	struct seen s = { .stop_in_data = true };

	CALL(&s, c, .path = "/endless", .on_data = on_data, .timeout_ms = -1);
	run(&s, 1);
	cr_assert_eq(s.status, 200);
	cr_assert_str_eq(s.error, "");
	cr_assert_eq(s.data_calls, 1);
	http_client_free(c);
}

Test(http_client, cancels_and_starts_calls_inside_callbacks)
{
	struct http_client *c = client_new(peer.url);
	struct seen victim = { 0 }, s = { .cancel_in_data = true, .start_in_data = true };

	CALL(&victim, c, .path = "/hang");
	CALL(&s, c, .path = "/drip", .on_data = on_data);
	s.other = victim.call;
	run(&s, 1); /* the /echo started inside */
	cr_assert_eq(s.status, 200);
	cr_assert_eq(s.data_calls, 1);
	cr_assert_eq(victim.done, 0);
	strbuf_done(&s.body);
	http_client_free(c);
}

Test(http_client, may_be_freed_inside_its_callbacks)
{
	struct seen a = { .free_in_data = true }, b = { .free_in_done = true }, hung = { 0 };
	struct http_client *c = client_new(peer.url);

	CALL(&hung, c, .path = "/hang");
	CALL(&a, c, .path = "/drip", .on_data = on_data);
	while (!a.data_calls)
		cr_assert_eq(loop_run_once(loop, 60000), 0);
	cr_assert_eq(a.done, 0);
	cr_assert_eq(hung.done, 0);
	c = client_new(peer.url);
	CALL(&hung, c, .path = "/hang", .idle_timeout_ms = 60000);
	CALL(&b, c, .path = "/echo");
	run(&b, 1);
	cr_assert_eq(hung.done, 0);
	strbuf_done(&b.body);
}

Test(http_client, calls_synchronously)
{
	struct http_client *c = client_new(peer.url);
	struct http_call_config config = { .method = "PUT", .path = "/echo", .body = "x", .body_len = 1 };
	struct err err = ERR_INIT;
	char *body = NULL;
	size_t len = 0;
	int status = 0;

	for (int i = 0; i < 3; i++) {
		cr_assert_eq(http_call_sync(c, &config, &status, &body, &len, &err), 0, "%s", err.msg);
		cr_assert_eq(status, 200);
		cr_assert_eq(len, strlen(body));
		cr_assert(str_starts(body, "PUT /echo"));
		free(body);
	}
	cr_assert_eq(peer.connections, 1);
	config.path = "/hang";
	config.idle_timeout_ms = 50;
	cr_assert_eq(http_call_sync(c, &config, &status, &body, &len, &err), -ETIMEDOUT);
	http_client_free(c);
}

static int cancel_in_data(struct http_call *call, void *arg, const void *data, size_t len)
{
	(void)data;
	(void)len;
	(void)arg;
	http_call_cancel(call);
	return 0;
}

Test(http_client, sync_call_can_be_cancelled_and_client_needs_no_loop)
{
	struct http_client_config config = { .base_url = peer.url };
	struct http_call_config cc = { .path = "/drip", .on_data = cancel_in_data, .timeout_ms = -1 };
	struct http_client *c;
	struct err err = ERR_INIT;

	cr_assert_eq(http_client_new(NULL, &config, &c, &err), 0);
	cr_assert_eq(http_call_sync(c, &cc, NULL, NULL, NULL, &err), -ECANCELED);
	cc = (struct http_call_config){ .path = "/status/404" };
	cr_assert_eq(http_call_sync(c, &cc, NULL, NULL, NULL, &err), 0);
	http_client_free(c);
}

Test(http_client, ignores_proxy_settings)
{
	struct http_client *c;
	struct seen s = { 0 };

	setenv("http_proxy", "http://127.0.0.1:9", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:9", 1);
	c = client_new(peer.url);
	CALL(&s, c, .path = "/echo");
	run(&s, 1);
	cr_assert_eq(s.status, 200);
	strbuf_done(&s.body);
	http_client_free(c);
}

Test(http_client, speaks_over_a_unix_socket)
{
	struct http_client_config config = { 0 };
	struct http_client *c;
	struct seen s = { 0 };
	struct peer up;
	char path[64];

	snprintf(path, sizeof(path), "/tmp/io-unit-%d.sock", getpid());
	config.unix_socket = path;
	peer_start_unix(&up, path);
	cr_assert_eq(http_client_new(loop, &config, &c, NULL), 0);
	CALL(&s, c, .path = "/echo");
	run(&s, 1);
	cr_assert_eq(s.status, 200);
	strbuf_done(&s.body);
	peer_stop(&up);
	unlink(path);
	s.done = 0;
	http_client_free(c);
	cr_assert_eq(http_client_new(loop, &config, &c, NULL), 0);
	CALL(&s, c, .path = "/echo");
	run(&s, 1);
	cr_assert_eq(s.status, 0);
	cr_assert(str_starts(s.error, path), "%s", s.error);
	http_client_free(c);
}

Test(http_client, refuses_bad_urls)
{
	static const char *const bad[] = { NULL, "", "ftp://x", "http://", "http://a b", "127.0.0.1:80/x y" };
	struct http_client *c = NULL;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct http_client_config config = { .base_url = bad[i] };
		struct err err = ERR_INIT;

		cr_assert_eq(http_client_new(loop, &config, &c, &err), -EINVAL);
		cr_assert(err.msg[0]);
	}
}

Test(http_client, survives_garbage)
{
	struct http_client *c = client_new(peer.url);
	char path[32];

	for (int seed = 0; seed < 1000; seed++) {
		struct seen s = { 0 };

		snprintf(path, sizeof(path), "/garbage/%d", seed);
		CALL(&s, c, .path = path, .on_header = on_header, .on_status = on_status, .max_body = 1000);
		run(&s, 1);
		cr_assert_eq(s.done, 1);
		cr_assert((s.status == 0) == (s.error[0] != '\0'));
		strbuf_done(&s.body);
	}
	http_client_free(c);
}

Test(http_client, escapes)
{
	char *s = http_escape("a/b c=d&e%~-_.\xc3\xa4");

	cr_assert_str_eq(s, "a%2Fb%20c%3Dd%26e%25~-_.%C3%A4");
	free(s);
}

/* --- TLS ---------------------------------------------------------------------------------------------------------- */

static char dir[64];

static const char *in_dir(const char *name)
{
	static char paths[8][128];
	static int next;
	char *p = paths[next++ % 8];

	snprintf(p, 128, "%s/%s", dir, name);
	return p;
}

static void make_certs(struct peer *p)
{
	static const char *const ips[] = { "127.0.0.1", NULL }, *const names[] = { "kube.test", NULL };
	struct tls_cert_request server = {
		.common_name = "server", .dns_names = names, .ip_addresses = ips, .server = true, .days = 1
	};
	struct tls_files files;
	struct err err = ERR_INIT;
	SSL_CTX *ctx;

	snprintf(dir, sizeof(dir), "/tmp/io-unit-tls-XXXXXX");
	cr_assert(mkdtemp(dir));
	cr_assert_eq(tls_make_ca("test ca", 1, in_dir("ca.crt"), in_dir("ca.key"), &err), 0, "%s", err.msg);
	cr_assert_eq(tls_make_ca("other ca", 1, in_dir("other.crt"), in_dir("other.key"), &err), 0, "%s", err.msg);
	cr_assert_eq(tls_make_cert(in_dir("ca.crt"), in_dir("ca.key"), &server, in_dir("s.crt"), in_dir("s.key"), &err),
		     0, "%s", err.msg);
	files = (struct tls_files){ .cert_file = in_dir("s.crt"), .key_file = in_dir("s.key") };
	cr_assert_eq(tls_server_ctx(&files, false, &ctx, &err), 0, "%s", err.msg);
	SSL_CTX_set_alpn_select_cb(ctx, NULL, NULL); /* the peer speaks HTTP/1.1 only */
	peer_start(p, ctx);
}

static void tls_call(const char *url, const char *ca, const char *name, bool insecure, struct seen *s)
{
	struct tls_files files = { .ca_file = ca };
	struct http_client_config config = {
		.base_url = url, .tls = &files, .tls_server_name = name, .insecure_skip_verify = insecure
	};
	struct http_client *c;
	struct err err = ERR_INIT;

	cr_assert_eq(http_client_new(loop, &config, &c, &err), 0, "%s", err.msg);
	CALL(s, c, .path = "/echo");
	run(s, 1);
	http_client_free(c);
}

Test(http_client, verifies_the_peers_certificate)
{
	struct peer p;
	char host_url[64], want[64];
	struct seen s;

	make_certs(&p);
	s = (struct seen){ 0 };
	tls_call(p.url, in_dir("ca.crt"), NULL, false, &s);
	cr_assert_eq(s.status, 200, "%s", s.error);
	strbuf_done(&s.body);

	s = (struct seen){ 0 };
	tls_call(p.url, in_dir("other.crt"), NULL, false, &s);
	cr_assert_eq(s.status, 0);
	cr_assert_eq(s.code, -EPROTO);
	cr_assert(strstr(s.error, "certificate verify failed: "), "%s", s.error);
	cr_assert(str_starts(s.error, "127.0.0.1:"), "%s", s.error);

	s = (struct seen){ 0 };
	snprintf(host_url, sizeof(host_url), "https://localhost:%d", p.port);
	tls_call(host_url, in_dir("ca.crt"), NULL, false, &s);
	cr_assert_eq(s.code, -EPROTO);
	cr_assert(strstr(s.error, "certificate verify failed: ") && strstr(s.error, "localhost"), "%s", s.error);

	s = (struct seen){ 0 };
	tls_call(host_url, in_dir("ca.crt"), "kube.test", false, &s);
	cr_assert_eq(s.status, 200, "%s", s.error);
	snprintf(want, sizeof(want), "\r\nHost: localhost:%d\r\n", p.port);
	cr_assert(strstr(s.body.buf, want), "%s", s.body.buf);
	strbuf_done(&s.body);

	s = (struct seen){ 0 };
	tls_call(p.url, in_dir("other.crt"), NULL, true, &s);
	cr_assert_eq(s.status, 200, "%s", s.error);
	strbuf_done(&s.body);

	s = (struct seen){ 0 };
	tls_call(p.url, in_dir("missing.crt"), NULL, false, &s);
	cr_assert_eq(s.status, 0);
	cr_assert(strstr(s.error, "missing.crt"), "%s", s.error);
	peer_stop(&p);
	SSL_CTX_free(p.ctx);
	cr_assert_eq(dir_remove(dir, NULL), 0);
}
