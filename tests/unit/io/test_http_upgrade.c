/* SPDX-License-Identifier: Apache-2.0 */
/* lib/io/http_upgrade: raw connections against a small blocking peer (peer.h). */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "io/http_client.h"
#include "io/tls-internal.h"
#include "peer.h"

struct seen {
	int opened, closed, status;
	struct strbuf data;
	char text[1024];
	size_t at_drain;
	int drained;
	bool garbage, no_text, close_in_open, free_client_in_data;
	struct http_client *client;
};

static struct loop *loop;

static void setup(void)
{
	loop = loop_new();
	cr_assert(loop);
}

static void teardown(void)
{
	loop_free(loop);
}

TestSuite(http_upgrade, .init = setup, .fini = teardown, .timeout = 180);

static void on_open(struct http_upgrade *u, void *arg, const char *head)
{
	struct seen *s = arg;

	s->opened++;
	cr_assert(s->garbage || (str_starts(head, "HTTP/1.1 101 ") && str_ends(head, "Connection: Upgrade\r\n\r\n")));
	if (s->close_in_open)
		http_upgrade_close(u);
}

static void on_data(struct http_upgrade *u, void *arg, const void *data, size_t len)
{
	struct seen *s = arg;

	(void)u;
	strbuf_add(&s->data, data, len);
	if (s->free_client_in_data)
		http_client_free(s->client);
}

static void on_close(struct http_upgrade *u, void *arg, int status, const char *text)
{
	struct seen *s = arg;

	s->closed++;
	s->status = status;
	s->no_text = !text;
	snprintf(s->text, sizeof(s->text), "%s", text ? text : "");
	http_upgrade_close(u); /* harmless here */
}

static const struct http_upgrade_ops ops = { on_open, on_data, on_close };

static struct http_upgrade *start(struct http_client *c, const char *path, struct seen *s)
{
	static const char *const headers[] = { "Connection: Upgrade", "Upgrade: test", NULL };
	struct err err = ERR_INIT;
	struct http_upgrade *u;

	strbuf_init(&s->data);
	s->client = c;
	u = http_upgrade_start(c, "GET", path, headers, &ops, s, &err);
	cr_assert(u, "%s", err.msg);
	cr_assert_eq(s->opened + s->closed, 0);
	return u;
}

static struct http_client *client_new(const struct http_client_config *config)
{
	struct http_client *c = NULL;
	struct err err = ERR_INIT;

	cr_assert_eq(http_client_new(loop, config, &c, &err), 0, "%s", err.msg);
	return c;
}

static void turn(void)
{
	cr_assert_eq(loop_run_once(loop, 60000), 0);
}

static void on_drain(struct http_upgrade *u, void *arg)
{
	struct seen *s = arg;

	s->drained++;
	s->at_drain = http_upgrade_pending(u);
}

/* Opens, sends more than socket buffers hold while paused, gets it back, ends by the peer. */
static void echo_much(struct http_client *c)
{
	const size_t n = 8u << 20;
	struct seen s = { 0 };
	struct http_upgrade *u = start(c, "/upgrade", &s);
	char *big = malloc(n);

	for (size_t i = 0; i < n; i++)
		big[i] = (char)('a' + i % 23);
	while (!s.opened)
		turn();
	http_upgrade_pause(u, true);
	cr_assert_eq(http_upgrade_write(u, big, n), 0);
	cr_assert_eq(http_upgrade_pending(u), n);
	http_upgrade_on_drain(u, n / 8, on_drain);
	while (http_upgrade_pending(u) == n)
		turn();
	http_upgrade_pause(u, false);
	while (s.data.len < n + 5)
		turn();
	cr_assert_eq(s.drained, 1);
	cr_assert(s.at_drain <= n / 8);
	cr_assert_eq(memcmp(s.data.buf, "early", 5), 0);
	cr_assert_eq(memcmp(s.data.buf + 5, big, n), 0);
	cr_assert_eq(http_upgrade_write(u, "!", 1), 0);
	while (!s.closed)
		turn();
	cr_assert_eq(s.status, 0);
	cr_assert(s.no_text);
	free(big);
	strbuf_done(&s.data);
}

Test(http_upgrade, carries_bytes_both_ways)
{
	struct peer p;
	struct http_client *c;

	peer_start(&p, NULL);
	c = client_new(&(struct http_client_config){ .base_url = p.url });
	echo_much(c);
	http_client_free(c);
	peer_stop(&p);
}

Test(http_upgrade, rests_when_the_peer_resets_a_paused_connection)
{
	struct peer p;
	struct http_client *c;
	struct http_upgrade *u;
	static char much[100000] = "!";
	struct seen s = { 0 };
	int64_t start_ms;

	peer_start(&p, NULL);
	c = client_new(&(struct http_client_config){ .base_url = p.url });
	u = start(c, "/upgrade", &s);
	while (!s.data.len)
		turn();
	http_upgrade_pause(u, true);
	/* The peer reads 64 KiB at most, sees the '!' and closes with the rest unread: that is a reset. */
	cr_assert_eq(http_upgrade_write(u, much, sizeof(much)), 0);
	while (!s.closed && http_upgrade_pending(u))
		turn();
	/* Not by the clock, but by what a loop that spins could never take. */
	start_ms = clock_mono_ms();
	for (int i = 0; i < 20; i++)
		(void)loop_run_once(loop, 10);
	cr_assert(clock_mono_ms() - start_ms >= 100);
	if (!s.closed)
		http_upgrade_pause(u, false);
	while (!s.closed)
		turn();
	http_client_free(c);
	strbuf_done(&s.data);
	peer_stop(&p);
}

Test(http_upgrade, carries_bytes_over_a_unix_socket)
{
	struct peer p;
	struct http_client *c;
	char path[64];

	snprintf(path, sizeof(path), "/tmp/io-unit-up-%d.sock", getpid());
	peer_start_unix(&p, path);
	c = client_new(&(struct http_client_config){ .unix_socket = path });
	echo_much(c);
	http_client_free(c);
	peer_stop(&p);
	unlink(path);
}

Test(http_upgrade, resolves_names)
{
	struct peer p;
	struct http_client *c;
	char url[64];

	peer_start(&p, NULL);
	snprintf(url, sizeof(url), "http://localhost:%d", p.port);
	c = client_new(&(struct http_client_config){ .base_url = url });
	echo_much(c);
	http_client_free(c);
	peer_stop(&p);
}

Test(http_upgrade, gives_status_and_body_of_a_refusal)
{
	struct peer p;
	struct http_client *c;
	struct seen s = { 0 };

	peer_start(&p, NULL);
	c = client_new(&(struct http_client_config){ .base_url = p.url });
	start(c, "/refuse", &s);
	while (!s.closed)
		turn();
	cr_assert_eq(s.opened, 0);
	cr_assert_eq(s.status, 403);
	cr_assert_str_eq(s.text, "no entry!\n");
	http_client_free(c);
	peer_stop(&p);
}

Test(http_upgrade, names_host_and_cause_of_failures)
{
	struct peer p;
	struct http_client *c;
	struct seen s = { 0 }, lost = { 0 };
	char want[64];

	peer_start(&p, NULL);
	c = client_new(&(struct http_client_config){ .base_url = p.url });
	start(c, "/close", &lost);
	while (!lost.closed)
		turn();
	cr_assert(strstr(lost.text, "connection closed before the answer"), "%s", lost.text);
	http_client_free(c);
	peer_stop(&p);
	c = client_new(&(struct http_client_config){ .base_url = "http://127.0.0.1:1" });
	start(c, "/upgrade", &s);
	while (!s.closed)
		turn();
	snprintf(want, sizeof(want), "127.0.0.1:1: %s", strerror(ECONNREFUSED));
	cr_assert_str_eq(s.text, want);
	cr_assert_eq(s.status, 0);
	http_client_free(c);
}

Test(http_upgrade, may_be_closed_and_its_client_freed_in_callbacks)
{
	struct peer p;
	struct http_client *c;
	struct seen a = { .close_in_open = true }, b = { .free_client_in_data = true }, hung = { 0 };

	peer_start(&p, NULL);
	c = client_new(&(struct http_client_config){ .base_url = p.url });
	start(c, "/upgrade", &a);
	while (!a.opened)
		turn();
	cr_assert_eq(a.data.len, 0);
	start(c, "/hang", &hung); /* ends with its client */
	start(c, "/upgrade", &b);
	while (!b.data.len)
		turn();
	cr_assert_eq(a.closed + b.closed + hung.closed, 0);
	strbuf_done(&b.data);
	peer_stop(&p);
}

Test(http_upgrade, speaks_tls_with_a_client_certificate_and_verifies_the_server)
{
	static const char *const ips[] = { "127.0.0.1", NULL };
	struct tls_cert_request server = { .common_name = "s", .ip_addresses = ips, .server = true, .days = 1 };
	struct tls_cert_request client = { .common_name = "c", .client = true, .days = 1 };
	char dir[] = "/tmp/io-unit-up-XXXXXX", f[8][64];
	static const char *const names[] = { "ca.crt", "ca.key", "s.crt", "s.key", "c.crt", "c.key", "o.crt", "o.key" };
	struct tls_files files;
	struct http_client *c;
	struct seen s = { 0 };
	struct peer p;
	SSL_CTX *ctx;

	cr_assert(mkdtemp(dir));
	for (int i = 0; i < 8; i++)
		snprintf(f[i], sizeof(f[i]), "%s/%s", dir, names[i]);
	cr_assert_eq(tls_make_ca("ca", 1, f[0], f[1], NULL), 0);
	cr_assert_eq(tls_make_ca("other", 1, f[6], f[7], NULL), 0);
	cr_assert_eq(tls_make_cert(f[0], f[1], &server, f[2], f[3], NULL), 0);
	cr_assert_eq(tls_make_cert(f[0], f[1], &client, f[4], f[5], NULL), 0);
	files = (struct tls_files){ .ca_file = f[0], .cert_file = f[2], .key_file = f[3] };
	cr_assert_eq(tls_server_ctx(&files, true, &ctx, NULL), 0);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	peer_start(&p, ctx);

	files = (struct tls_files){ .ca_file = f[0], .cert_file = f[4], .key_file = f[5] };
	c = client_new(&(struct http_client_config){ .base_url = p.url, .tls = &files });
	echo_much(c);
	http_client_free(c);

	files.ca_file = f[6];
	c = client_new(&(struct http_client_config){ .base_url = p.url, .tls = &files });
	start(c, "/upgrade", &s);
	while (!s.closed)
		turn();
	cr_assert(strstr(s.text, "certificate verify failed: "), "%s", s.text);
	http_client_free(c);

	s = (struct seen){ 0 };
	files = (struct tls_files){ .ca_file = f[0] };
	c = client_new(&(struct http_client_config){ .base_url = p.url, .tls = &files });
	start(c, "/upgrade", &s);
	while (!s.closed)
		turn();
	cr_assert_eq(s.opened, 0);
	http_client_free(c);
	for (int i = 0; i < 8; i++)
		unlink(f[i]);
	rmdir(dir);
	peer_stop(&p);
	SSL_CTX_free(ctx);
}

Test(http_upgrade, survives_garbage)
{
	struct peer p;
	struct http_client *c;
	char path[32];

	peer_start(&p, NULL);
	c = client_new(&(struct http_client_config){ .base_url = p.url });
	for (int seed = 0; seed < 1000; seed++) {
		struct seen s = { .garbage = true };

		snprintf(path, sizeof(path), "/garbage/%d", seed);
		start(c, path, &s);
		while (!s.closed)
			turn();
		cr_assert_eq(s.closed, 1);
		strbuf_done(&s.data);
	}
	http_client_free(c);
	peer_stop(&p);
}
