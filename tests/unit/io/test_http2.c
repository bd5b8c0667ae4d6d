/* SPDX-License-Identifier: Apache-2.0 */
/* lib/io: the HTTP server with libcurl as the client: HTTP/2, TLS, client certificates. */
#include <criterion/criterion.h>
#include <curl/curl.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "http_test.h"

struct answer {
	CURLcode result;
	long status, version;
	struct strbuf body;
};

static size_t keep_body(char *data, size_t size, size_t n, void *arg)
{
	strbuf_add(arg, data, size * n);
	return size * n;
}

static size_t drop_body(char *data, size_t size, size_t n, void *arg)
{
	(void)data;
	(void)arg;
	return size * n;
}

static void start_tls(void)
{
	srv_start((struct http_server_config){ .max_body = 3000000, .max_header = 20000, .max_pending = 1 << 20 },
		  true);
}

static void start_plain(void)
{
	srv_start((struct http_server_config){ .max_body = 3000000, .max_header = 20000, .max_pending = 1 << 20 },
		  false);
}

/* cert: "c", "bad" or NULL; version: CURL_HTTP_VERSION_... */
static CURL *request(bool tls, const char *cert, long version, const char *path, struct strbuf *body)
{
	CURL *c = curl_easy_init();
	char url[256];

	snprintf(url, sizeof(url), "%s://127.0.0.1:%d%s", tls ? "https" : "http", srv.port, path);
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION, version);
	curl_easy_setopt(c, CURLOPT_TIMEOUT, 20L);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, body ? keep_body : drop_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, body);
	if (tls)
		curl_easy_setopt(c, CURLOPT_CAINFO, srv_file("ca.crt"));
	if (cert) {
		char crt[32], key[32];

		snprintf(crt, sizeof(crt), "%s.crt", cert);
		snprintf(key, sizeof(key), "%s.key", cert);
		curl_easy_setopt(c, CURLOPT_SSLCERT, srv_file(crt));
		curl_easy_setopt(c, CURLOPT_SSLKEY, srv_file(key));
	}
	return c;
}

static void perform(CURL *c, struct answer *a)
{
	a->result = curl_easy_perform(c);
	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &a->status);
	curl_easy_getinfo(c, CURLINFO_HTTP_VERSION, &a->version);
	strbuf_addc(&a->body, '\0');
	a->body.len--;
	curl_easy_cleanup(c);
}

static struct answer get(bool tls, const char *cert, long version, const char *path)
{
	struct answer a = { .body = STRBUF_INIT };

	perform(request(tls, cert, version, path, &a.body), &a);
	return a;
}

Test(http2, client_certificate_names_the_user, .init = start_tls, .fini = srv_stop)
{
	const long versions[] = { CURL_HTTP_VERSION_2TLS, CURL_HTTP_VERSION_1_1 };

	for (int i = 0; i < 2; i++) {
		struct answer a = get(true, "c", versions[i], "/info?q=1");

		cr_assert_eq(a.result, CURLE_OK, "%s", curl_easy_strerror(a.result));
		cr_assert_eq(a.version, i ? CURL_HTTP_VERSION_1_1 : CURL_HTTP_VERSION_2);
		cr_assert(strstr(a.body.buf, i ? "GET /info h2=0 cn=alice\no=system:masters\no=second\nq=1\n"
					       : "GET /info h2=1 cn=alice\no=system:masters\no=second\nq=1\n"),
			  "%s", a.body.buf);
		cr_assert(strstr(a.body.buf, "\nhost: [127.0.0.1:"));
		strbuf_done(&a.body);
		a = get(true, NULL, versions[i], "/info");
		cr_assert(strstr(a.body.buf, "cn=-\n"), "%s", a.body.buf);
		strbuf_done(&a.body);
		/* Signed by somebody else: no conversation at all. */
		a = get(true, "bad", versions[i], "/info");
		cr_assert_neq(a.result, CURLE_OK);
		cr_assert_eq(a.status, 0);
		strbuf_done(&a.body);
	}
	cr_assert_eq(srv.handled, 4);
}

static SSL *raw_tls(SSL_CTX *ctx, SSL_SESSION *session, int *ret_fd)
{
	SSL *ssl = SSL_new(ctx);

	*ret_fd = cl_connect();
	SSL_set_fd(ssl, *ret_fd);
	if (session)
		SSL_set_session(ssl, session);
	cr_assert_eq(SSL_connect(ssl), 1);
	return ssl;
}

static char *raw_tls_get(SSL *ssl)
{
	const char *text = "GET /info HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	static char buf[4096];
	int n, len = 0;

	SSL_write(ssl, text, (int)strlen(text));
	while ((n = SSL_read(ssl, buf + len, (int)sizeof(buf) - 1 - len)) > 0)
		len += n;
	buf[len] = '\0';
	return buf;
}

Test(http2, a_resumed_session_keeps_its_user, .init = start_tls, .fini = srv_stop)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL_SESSION *session;
	SSL *ssl;
	int fd;

	SSL_CTX_use_certificate_file(ctx, srv_file("c.crt"), SSL_FILETYPE_PEM);
	SSL_CTX_use_PrivateKey_file(ctx, srv_file("c.key"), SSL_FILETYPE_PEM);
	ssl = raw_tls(ctx, NULL, &fd);
	cr_assert(strstr(raw_tls_get(ssl), "cn=alice\no=system:masters"));
	session = SSL_get1_session(ssl);
	SSL_shutdown(ssl); /* else OpenSSL holds the session for broken */
	SSL_free(ssl);
	close(fd);
	ssl = raw_tls(ctx, session, &fd);
	cr_assert(SSL_session_reused(ssl));
	cr_assert(strstr(raw_tls_get(ssl), "cn=alice\no=system:masters"));
	SSL_free(ssl);
	close(fd);
	SSL_SESSION_free(session);
	SSL_CTX_free(ctx);
}

static void big_echo(bool tls, long version, size_t len, bool chunked, long status)
{
	struct answer a = { .body = STRBUF_INIT };
	CURL *c = request(tls, NULL, version, "/echo", &a.body);
	struct curl_slist *headers = NULL;
	char *body = malloc(len);
	FILE *f;

	for (size_t i = 0; i < len; i++)
		body[i] = (char)(i * 7 + i / 251);
	f = fmemopen(body, len, "r");
	curl_easy_setopt(c, CURLOPT_POST, 1L);
	curl_easy_setopt(c, CURLOPT_READDATA, f);
	if (chunked)
		headers = curl_slist_append(headers, "Transfer-Encoding: chunked");
	else
		curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
	perform(c, &a);
	cr_expect_eq(a.status, status, "tls %d version %ld len %zu: status %ld, %s", tls, version, len, a.status,
		     curl_easy_strerror(a.result));
	if (status == 200)
		cr_expect(a.body.len == len && !memcmp(a.body.buf, body, len), "tls %d version %ld: %zu of %zu", tls,
			  version, a.body.len, len);
	fclose(f);
	free(body);
	curl_slist_free_all(headers);
	strbuf_done(&a.body);
}

Test(http2, bodies_over_tls, .init = start_tls, .fini = srv_stop)
{
	big_echo(true, CURL_HTTP_VERSION_2TLS, 2999999, false, 200);
	big_echo(true, CURL_HTTP_VERSION_2TLS, 3000001, false, 413);
	big_echo(true, CURL_HTTP_VERSION_1_1, 2999999, false, 200);
	big_echo(true, CURL_HTTP_VERSION_1_1, 2999999, true, 200);
	big_echo(true, CURL_HTTP_VERSION_1_1, 3000001, false, 413);
	big_echo(true, CURL_HTTP_VERSION_1_1, 6000000, true, 413);
}

Test(http2, bodies_in_the_clear, .init = start_plain, .fini = srv_stop)
{
	big_echo(false, CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE, 2999999, false, 200);
	big_echo(false, CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE, 6000000, false, 413);
	big_echo(false, CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE, 1, false, 200);
	big_echo(false, CURL_HTTP_VERSION_1_1, 2999999, true, 200);
}

Test(http2, answers, .init = start_plain, .fini = srv_stop)
{
	static const struct {
		const char *path;
		long status;
		const char *body;
	} cases[] = {
		{ "/hello", 200, "hello" },
		{ "/later", 200, "later" },
		{ "/twice", 200, "one" },
		{ "/nocontent", 204, "" },
		{ "/nope", 404, "no" },
		{ "/stream?n=2&size=3", 200, "aaabbb" },
		{ "/in%66o?q=%20+x", 200, "GET /info h2=1 cn=-\nq=  x\n" },
		{ "/%zz", 400, "400" },
		{ "/a%00", 400, "400" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct answer a = get(false, NULL, CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE, cases[i].path);

		cr_expect_eq(a.status, cases[i].status, "%s: %ld", cases[i].path, a.status);
		cr_expect(!strncmp(a.body.buf, cases[i].body, strlen(cases[i].body)), "%s: %s", cases[i].path,
			  a.body.buf);
		strbuf_done(&a.body);
	}
}

Test(http2, head_and_big_heads, .init = start_plain, .fini = srv_stop)
{
	struct answer a = { .body = STRBUF_INIT };
	CURL *c = request(false, NULL, CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE, "/hello", &a.body);
	struct curl_slist *headers;
	curl_off_t len = -1;
	char big[10030] = "Big: ";

	curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
	cr_assert_eq(curl_easy_perform(c), CURLE_OK);
	curl_easy_getinfo(c, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &len);
	cr_assert_eq(len, 5);
	curl_easy_cleanup(c);
	/* A new handle: libcurl 7 fails when it uses a connection made with prior knowledge a second time. */
	c = request(false, NULL, CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE, "/hello", &a.body);
	memset(big + 5, 'x', 10000);
	headers = curl_slist_append(NULL, big);
	headers = curl_slist_append(headers, big);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
	perform(c, &a);
	cr_assert_eq(a.status, 431, "%ld %s", a.status, curl_easy_strerror(a.result));
	strbuf_done(&a.body);
	curl_slist_free_all(headers);
}

/* --- many streams on one connection ------------------------------------------------------------------------------- */

static void drive(CURLM *m, bool (*until)(void *arg), void *arg)
{
	int64_t give_up = clock_mono_ms() + 60000;
	bool ok;
	int running;

	while (!(ok = until(arg)) && clock_mono_ms() < give_up) {
		cr_assert_eq(curl_multi_perform(m, &running), CURLM_OK);
		curl_multi_poll(m, NULL, 0, 10, NULL);
	}
	cr_assert(ok);
}

static bool counted(void *arg)
{
	bool yes;

	pthread_mutex_lock(&srv.lock);
	yes = *(int *)((int **)arg)[0] >= *((int **)arg)[1];
	pthread_mutex_unlock(&srv.lock);
	return yes;
}

struct bodies {
	struct strbuf *body;
	int n;
	size_t len;
};

static bool all_have(void *arg)
{
	struct bodies *b = arg;

	for (int i = 0; i < b->n; i++)
		if (b->body[i].len < b->len)
			return false;
	return true;
}

static void send_event(void)
{
	srv_broadcast("{\"type\":\"ADDED\"}\n");
}

Test(http2, many_watches_on_one_connection, .init = start_tls, .fini = srv_stop)
{
	enum { N = 200 };
	static struct strbuf body[N];
	static CURL *c[N];
	CURLM *m = curl_multi_init();
	int n = N, left = 1;
	void *all[] = { &srv.watchers, &n }, *one[] = { &srv.closed, &left };
	struct bodies b = { body, N, 17 };

	curl_multi_setopt(m, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
	curl_multi_setopt(m, CURLMOPT_MAX_TOTAL_CONNECTIONS, 1L);
	curl_multi_setopt(m, CURLMOPT_MAX_CONCURRENT_STREAMS, 250L);
	for (int i = 0; i < N; i++) {
		strbuf_init(&body[i]);
		c[i] = request(true, "c", CURL_HTTP_VERSION_2TLS, "/watch", &body[i]);
		curl_easy_setopt(c[i], CURLOPT_PIPEWAIT, 1L);
		curl_multi_add_handle(m, c[i]);
	}
	drive(m, counted, all);
	cr_assert_eq(http_server_connections(srv.server), 1);
	srv_run(send_event);
	drive(m, all_have, &b);
	for (int i = 0; i < N; i++)
		cr_assert_str_eq(body[i].buf, "{\"type\":\"ADDED\"}\n");
	/* One stream ends, the others go on. (libcurl 7 sends the reset with its next frames.) */
	curl_multi_remove_handle(m, c[0]);
	curl_easy_cleanup(c[0]);
	srv_run(send_event);
	b = (struct bodies){ body + 1, N - 1, 34 };
	drive(m, all_have, &b);
	drive(m, counted, one);
	cr_assert_eq(srv.closed, 1);
	for (int i = 1; i < N; i++) {
		curl_multi_remove_handle(m, c[i]);
		curl_easy_cleanup(c[i]);
	}
	curl_multi_cleanup(m);
	srv_wait(&srv.closed, N);
	for (int i = 0; i < N; i++)
		strbuf_done(&body[i]);
}

static void say_get(int fd, uint8_t stream, const char *path)
{
	uint8_t f[128] = { 0, 0, 0, 1, 5, 0, 0, 0, stream, 0x82, 0x86, 0x41, 1, 'x', 0x04 };
	size_t len = strlen(path);

	f[15] = (uint8_t)len;
	memcpy(f + 16, path, len);
	f[2] = (uint8_t)(7 + len);
	cl_send(fd, f, 16 + len);
}

/* Reads frames up to the first of that type on that stream; returns its flags, and keeps its payload in buf. */
static uint8_t await_frame(int fd, uint8_t type, uint8_t stream, char buf[16384])
{
	uint8_t head[9];
	size_t len;

	do {
		cr_assert_eq(recv(fd, head, 9, MSG_WAITALL), 9);
		len = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
		cr_assert(len <= 16384);
		cr_assert(!len || recv(fd, buf, len, MSG_WAITALL) == (ssize_t)len);
	} while (head[3] != type || head[8] != stream);
	return head[4];
}

/* A stream whose window stays shut is cut off; the others on its connection are not. */
Test(http2, a_slow_stream_is_cut_off_alone, .init = start_plain, .fini = srv_stop)
{
	static const char begin[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
				    "\0\0\0\x04\0\0\0\0\0"		      /* SETTINGS */
				    "\0\0\x04\x08\0\0\0\0\0\x00\x10\x00\x00"; /* the connection's window: 1 MiB more */
	enum { DATA = 0, HEADERS = 1, RST_STREAM = 3 };
	int fd = cl_connect();
	char buf[16384];

	cl_send(fd, begin, sizeof(begin) - 1);
	say_get(fd, 1, "/watch");
	srv_wait(&srv.watchers, 1);
	say_get(fd, 3, "/stream?n=1000&size=100000");
	srv_wait(&srv.closed, 1);
	cr_assert_eq(srv.write_failed, 1);
	await_frame(fd, RST_STREAM, 3, buf);
	cr_assert(!memcmp(buf, "\0\0\0\x08", 4)); /* CANCEL */
	say_get(fd, 5, "/hello");
	await_frame(fd, HEADERS, 5, buf);
	cr_assert_eq(await_frame(fd, DATA, 5, buf), 1); /* END_STREAM */
	cr_assert(!memcmp(buf, "hello", 5));
	srv_run(send_event);
	cr_assert_eq(await_frame(fd, DATA, 1, buf), 0);
	cr_assert(!memcmp(buf, "{\"type\":\"ADDED\"}\n", 17));
	close(fd);
	srv_wait(&srv.closed, 3);
}

Test(http2, a_paced_producer_is_not_cut_off, .init = start_plain, .fini = srv_stop)
{
	struct strbuf body = STRBUF_INIT;
	CURLM *m = curl_multi_init();
	CURL *c = request(false, NULL, CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE, "/endless", &body);
	struct bodies b = { &body, 1, 10 << 20 };

	curl_multi_add_handle(m, c);
	drive(m, all_have, &b);
	cr_assert_eq(srv.closed, 0);
	curl_multi_remove_handle(m, c);
	curl_easy_cleanup(c);
	curl_multi_cleanup(m);
	srv_wait(&srv.closed, 1);
	strbuf_done(&body);
}

static void start_short_idle(void)
{
	srv_start((struct http_server_config){ .idle_timeout_ms = 50, .header_timeout_ms = 50 }, true);
}

Test(http2, idle_tls_connections_end, .init = start_short_idle, .fini = srv_stop)
{
	int silent = cl_connect(), h2, n;
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	char buf[512];
	SSL *ssl;

	cr_assert(cl_eof(silent)); /* never began its handshake */
	close(silent);
	SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)"\x02h2", 3);
	ssl = raw_tls(ctx, NULL, &h2);
	while ((n = SSL_read(ssl, buf, sizeof(buf))) > 0)
		;
	cr_assert_eq(SSL_get_error(ssl, n), SSL_ERROR_ZERO_RETURN); /* ended properly, after a GOAWAY */
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(h2);
}
