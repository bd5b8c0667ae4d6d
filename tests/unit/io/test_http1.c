/* SPDX-License-Identifier: Apache-2.0 */
/* lib/io: the HTTP/1 server, byte by byte. */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "http_test.h"

#define END "Connection: close\r\n\r\n"

static void expect(const char *request, const char *in_answer)
{
	char *a = cl_talk(request);

	cr_expect(strstr(a, in_answer), "request:\n%s\nexpected '%s' in:\n%s", request, in_answer, a);
	free(a);
}

static void start(void)
{
	srv_start((struct http_server_config){ .max_body = 100000, .max_header = 4000 }, false);
}

Test(http1, answers, .init = start, .fini = srv_stop)
{
	expect("GET /hello HTTP/1.1\r\nHost: x\r\n" END, "HTTP/1.1 200 OK\r\n");
	expect("GET /hello HTTP/1.1\r\nHost: x\r\n" END, "Content-Length: 5\r\nConnection: close\r\n\r\nhello");
	expect("GET /hello HTTP/1.1\r\nHost: x\r\n" END, "\r\nDate: ");
	expect("GET /hello HTTP/1.0\r\n\r\n", "\r\n\r\nhello");
	expect("GET /later HTTP/1.1\r\nHost: x\r\n" END, "\r\n\r\nlater");
	expect("GET /twice HTTP/1.1\r\nHost: x\r\n" END, "\r\n\r\none");
	expect("GET http://h/hello HTTP/1.1\r\nHost: x\r\n" END, "\r\n\r\nhello");
	expect("GET /nope HTTP/1.1\r\nHost: x\r\n" END, "HTTP/1.1 404 Not Found\r\n");
	expect("GET /nocontent HTTP/1.1\r\nHost: x\r\n" END, "HTTP/1.1 204 No Content\r\n");
	expect("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n" END "abc", "\r\n\r\nabc");
	expect("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" END
	       "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: t\r\n\r\n",
	       "\r\n\r\nabcde");
	expect("GET /stream HTTP/1.1\r\nHost: x\r\n" END,
	       "\r\n\r\na\r\naaaaaaaaaa\r\na\r\nbbbbbbbbbb\r\na\r\ncccccccccc\r\n0\r\n\r\n");
	expect("GET /stream HTTP/1.0\r\n\r\n", "\r\n\r\naaaaaaaaaabbbbbbbbbbcccccccccc");
}

Test(http1, head_and_204_have_no_body, .init = start, .fini = srv_stop)
{
	const char *paths[] = { "HEAD /hello", "HEAD /stream", "GET /nocontent" };

	for (size_t i = 0; i < 3; i++) {
		char request[128], *a, *end;

		snprintf(request, sizeof(request), "%s HTTP/1.1\r\nHost: x\r\n" END, paths[i]);
		a = cl_talk(request);
		end = strstr(a, "\r\n\r\n");
		cr_assert(end && !end[4], "%s", a);
		if (!i)
			cr_assert(strstr(a, "Content-Length: 5\r\n"));
		free(a);
	}
}

Test(http1, decodes_target_and_headers, .init = start, .fini = srv_stop)
{
	expect("GET /info?q=a%20b+c&x=1&q=&q=%2f HTTP/1.1\r\nHost: x\r\nUPPER:  v 1\t \r\nUpper: 2\r\nEmpty:\r\n" END,
	       "GET /info h2=0 cn=-\nq=a b c\nq=\nq=/\nhost: [x]\nupper: [v 1]\nupper: [2]\nempty: []\n");
	expect("GET /in%66o HTTP/1.1\r\nHost: x\r\n" END, "GET /info ");
	/* A header value of ours cannot break out. */
	expect("GET /info HTTP/1.1\r\nHost: x\r\n" END, "\r\nX-Custom: one  X-Evil: two\r\n");
}

Test(http1, refuses_malformed_requests, .init = start, .fini = srv_stop)
{
	static const struct {
		const char *request, *status;
	} cases[] = {
		{ "\x16\x03\x01\x02 TLS to a plain port\r\n\r\n", " 501 " },
		{ "FROB / HTTP/1.1\r\nHost: x\r\n\r\n", " 501 " },
		{ "CONNECT h:1 HTTP/1.1\r\nHost: x\r\n\r\n", " 501 " },
		{ "GET /hello HTTP/2.0\r\nHost: x\r\n\r\n", " 505 " },
		{ "GET /hello\r\n\r\n", " 505 " },
		{ "GET /hello HTTP/1.1\r\n\r\n", " 400 " }, /* no Host */
		{ "GET /hello HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", " 400 " },
		{ "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", " 400 " },
		{ "GET /a%00b HTTP/1.1\r\nHost: x\r\n\r\n", " 400 " },
		{ "GET /a%2 HTTP/1.1\r\nHost: x\r\n\r\n", " 400 " },
		{ "GET /a?q=%00 HTTP/1.1\r\nHost: x\r\n\r\n", " 400 " },
		{ "GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n", " 400 " },
		{ "GET * HTTP/1.1\r\nHost: x\r\n\r\n", " 400 " },
		{ "GET /hello HTTP/1.1\r\nHost: x\r\nBad\x01Name: y\r\n\r\n", " 400 " },
		{ "GET /hello HTTP/1.1\r\nHost: x\r\nA: b\x02\r\n\r\n", " 400 " },
		/* smuggling */
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		  " 400 " },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
		  " 400 " },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", " 400 " },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", " 400 " },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc", " 400 " },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0x3\r\n\r\nabc", " 400 " },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\nabc", " 400 " },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\nabc", " 400 " },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length : 3\r\n\r\nabc", " 400 " },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", " 400 " },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", " " },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", " 501 " },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n", " " },
		{ "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", " 400 " },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", " 400 " },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
		  " 400 " },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
		  " 400 " },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\n\r\n", " 417 " },
	};
	int handled;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *a = cl_talk(cases[i].request);

		cr_expect(!strncmp(a, "HTTP/1.1 ", 9) && strstr(a, cases[i].status) == a + 8,
			  "case %zu:\n%s\nanswer:\n%s", i, cases[i].request, a);
		cr_expect(a[9] == '4' || a[9] == '5', "case %zu: %s", i, a);
		cr_expect(strstr(a, "Connection: close\r\n"), "case %zu: %s", i, a);
		free(a);
	}
	handled = srv.handled;
	cr_assert_eq(handled, 0);
}

Test(http1, bounds_head_and_body, .init = start, .fini = srv_stop)
{
	struct strbuf sb = STRBUF_INIT;

	strbuf_adds(&sb, "GET /hello HTTP/1.1\r\nHost: x\r\nBig: ");
	for (int i = 0; i < 5000; i++)
		strbuf_addc(&sb, 'x');
	expect(sb.buf, "HTTP/1.1 431 ");
	strbuf_clear(&sb);
	strbuf_adds(&sb, "GET /");
	for (int i = 0; i < 200000; i++)
		strbuf_addc(&sb, 'x');
	expect(sb.buf, "HTTP/1.1 431 ");
	expect("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100001\r\n\r\n", "HTTP/1.1 413 ");
	expect("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100001\r\nExpect: 100-continue\r\n\r\n",
	       "HTTP/1.1 413 ");
	strbuf_clear(&sb);
	strbuf_adds(&sb, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 200; i++) {
		strbuf_adds(&sb, "400\r\n");
		for (int j = 0; j < 0x400; j++)
			strbuf_addc(&sb, 'y');
		strbuf_adds(&sb, "\r\n");
	}
	expect(sb.buf, "HTTP/1.1 413 ");
	strbuf_clear(&sb);
	strbuf_adds(&sb, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n");
	for (int i = 0; i < 500; i++)
		strbuf_adds(&sb, "Trailer: x\r\n");
	expect(sb.buf, "HTTP/1.1 431 ");
	strbuf_done(&sb);
	cr_assert_eq(srv.handled, 0);
}

Test(http1, expect_100_continue, .init = start, .fini = srv_stop)
{
	int fd = cl_connect();
	char *a;

	cl_say(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
	a = cl_read(fd, "\r\n\r\n");
	cr_assert_str_eq(a, "HTTP/1.1 100 Continue\r\n\r\n");
	free(a);
	cl_say(fd, "abc");
	a = cl_read(fd, "\r\n\r\nabc");
	cr_assert(strstr(a, "HTTP/1.1 200 OK"));
	free(a);
	close(fd);
}

Test(http1, keep_alive_and_pipelining, .init = start, .fini = srv_stop)
{
	enum { N = 500 };
	struct strbuf sb = STRBUF_INIT;
	int fd = cl_connect(), answers = 0;
	char *a, *p;

	/* Answers come in order, also when an earlier one takes longer. */
	for (int i = 0; i < N; i++)
		strbuf_addf(&sb, "POST /%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%.*s",
			    i % 50 == 7 ? "later" : "echo", i % 10, i % 10, "0123456789");
	strbuf_adds(&sb, "GET /hello HTTP/1.1\r\nHost: x\r\n" END);
	cl_say(fd, sb.buf);
	a = cl_read(fd, NULL);
	p = a;
	for (; (p = strstr(p, "HTTP/1.1 200 OK\r\n")); p++, answers++) {
		char *body = strstr(p, "\r\n\r\n") + 4;

		if (answers < N && answers % 50 != 7)
			cr_assert(!strncmp(body, "0123456789", (size_t)answers % 10));
		else if (answers < N)
			cr_assert(!strncmp(body, "later", 5));
	}
	cr_assert_eq(answers, N + 1);
	cr_assert_eq(srv.handled, N + 1);
	free(a);
	strbuf_done(&sb);
	close(fd);
}

Test(http1, one_byte_at_a_time, .init = start, .fini = srv_stop)
{
	const char *request =
		"POST /echo?q=1 HTTP/1.1\r\nHost: x\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
		"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	int fd = cl_connect();
	char *a;

	for (const char *p = request; *p; p++)
		cl_send(fd, p, 1);
	a = cl_read(fd, NULL);
	cr_assert(strstr(a, "\r\n\r\nhiHTTP/1.1 200 OK") && strstr(a, "\r\n\r\nhello"), "%s", a);
	free(a);
	close(fd);
}

Test(http1, a_client_that_leaves_closes_its_request, .init = start, .fini = srv_stop)
{
	int fd = cl_connect(), fd2 = cl_connect();

	cl_say(fd, "GET /never HTTP/1.1\r\nHost: x\r\n\r\n");
	srv_wait(&srv.handled, 1);
	/* Also when so much waits behind the request that reading has stopped. */
	cl_say(fd2, "GET /never HTTP/1.1\r\nHost: x\r\n\r\n");
	srv_wait(&srv.handled, 2);
	char *junk = calloc(1, 60000);

	cl_send(fd2, junk, 60000);
	cl_send(fd2, junk, 60000);
	free(junk);
	cr_assert_eq(srv.closed, 0);
	close(fd);
	srv_wait(&srv.closed, 1);
	close(fd2);
	srv_wait(&srv.closed, 2);
}

Test(http1, a_finished_sender_still_gets_its_answer, .init = start, .fini = srv_stop)
{
	int fd = cl_connect();
	char *a;

	cl_say(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
	shutdown(fd, SHUT_WR);
	a = cl_read(fd, NULL);
	cr_assert(strstr(a, "\r\n\r\nhello"));
	free(a);
	close(fd);
}

static void start_small_pending(void)
{
	srv_start((struct http_server_config){ .max_pending = 1 << 20 }, false);
}

Test(http1, a_slow_reader_is_cut_off, .init = start_small_pending, .fini = srv_stop)
{
	int fd = cl_connect();

	cl_say(fd, "GET /stream?n=1000&size=100000 HTTP/1.1\r\nHost: x\r\n\r\n");
	srv_wait(&srv.closed, 1);
	cr_assert_eq(srv.write_failed, 1);
	cr_assert(cl_eof(fd));
	close(fd);
}

Test(http1, a_producer_that_paces_itself_is_not_cut_off, .init = start_small_pending, .fini = srv_stop)
{
	int fd = cl_connect();
	size_t got = 0;
	char buf[65536];

	cl_say(fd, "GET /endless HTTP/1.1\r\nHost: x\r\n\r\n");
	while (got < 20 << 20) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);

		cr_assert(n > 0);
		got += (size_t)n;
	}
	cr_assert_eq(srv.closed, 0);
	close(fd);
	srv_wait(&srv.closed, 1);
}

static void start_short_timeouts(void)
{
	srv_start((struct http_server_config){ .header_timeout_ms = 50, .idle_timeout_ms = 50 }, false);
}

Test(http1, timeouts, .init = start_short_timeouts, .fini = srv_stop)
{
	int fd = cl_connect();
	char *a;

	/* nothing at all */
	cr_assert(cl_eof(fd));
	close(fd);
	/* half a head, half a body */
	expect("GET /hello HTTP/1.1\r\nHos", "HTTP/1.1 408 ");
	expect("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nab", "HTTP/1.1 408 ");
	/* idle after an answer */
	fd = cl_connect();
	cl_say(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
	a = cl_read(fd, NULL);
	cr_assert(strstr(a, "hello"));
	free(a);
	close(fd);
	/* an answer that is not read, bigger than any socket buffer */
	fd = cl_connect();
	cl_say(fd, "GET /endless HTTP/1.1\r\nHost: x\r\n\r\n");
	srv_wait(&srv.closed, 2);
	close(fd);
	/* A quiet watch is not idle: it outlives others that time out. */
	fd = cl_connect();
	cl_say(fd, "GET /watch HTTP/1.1\r\nHost: x\r\n\r\n");
	srv_wait(&srv.watchers, 1);
	for (int i = 0; i < 3; i++)
		expect("GET", "");
	cr_assert_eq(srv.closed, 2);
	close(fd);
	srv_wait(&srv.closed, 3);
}

static void start_few(void)
{
	srv_start((struct http_server_config){ .max_connections = 3 }, false);
}

Test(http1, too_many_connections_are_closed, .init = start_few, .fini = srv_stop)
{
	int fd[4];

	for (int i = 0; i < 3; i++) {
		fd[i] = cl_connect();
		cl_say(fd[i], "GET /watch HTTP/1.1\r\nHost: x\r\n\r\n");
	}
	srv_wait(&srv.watchers, 3);
	fd[3] = cl_connect();
	cr_assert(cl_eof(fd[3]));
	close(fd[0]);
	srv_wait(&srv.closed, 1);
	expect("GET /hello HTTP/1.1\r\nHost: x\r\n" END, "hello");
	for (int i = 1; i < 4; i++)
		close(fd[i]);
}

Test(http1, a_thousand_connections, .init = start, .fini = srv_stop)
{
	enum { N = 1000 };
	static int fd[N];

	for (int i = 0; i < N; i++) {
		fd[i] = cl_connect();
		cl_say(fd[i], "GET /watch HTTP/1.1\r\nHost: x\r\n\r\n");
	}
	srv_wait(&srv.watchers, N);
	expect("GET /hello HTTP/1.1\r\nHost: x\r\n" END, "hello");
	for (int i = 0; i < N; i++) {
		free(cl_read(fd[i], "\r\n\r\n"));
		close(fd[i]);
	}
	srv_wait(&srv.closed, N);
}

Test(http1, an_upgrade_gets_every_byte, .init = start, .fini = srv_stop)
{
	int fd = cl_connect();
	char *a;

	/* Bytes right behind the request belong to the new protocol. */
	cl_say(fd,
	       "GET /raw HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: Other, Echo\r\n\r\nearly");
	a = cl_read(fd, "\r\n\r\n");
	cr_assert(strstr(a, "HTTP/1.1 101 "));
	free(a);
	a = cl_read(fd, "early");
	free(a);
	cl_say(fd, "GET / HTTP/1.1\r\n\r\n");
	a = cl_read(fd, "GET / HTTP/1.1\r\n\r\n");
	free(a);
	cl_say(fd, "bye!");
	a = cl_read(fd, NULL);
	cr_assert_str_eq(a, "bye!");
	free(a);
	srv_wait(&srv.closed, 1);
	close(fd);
	/* An upgrade we do not know is an ordinary request, and another may follow. */
	expect("GET /hello HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n"
	       "GET /later HTTP/1.1\r\nHost: x\r\n" END,
	       "\r\n\r\nlater");
}

Test(http1, a_paused_upgrade_loses_nothing, .init = start, .fini = srv_stop)
{
	enum { N = 3 << 20 };
	char *sent = malloc(N), *got = malloc(N);
	int fd = cl_connect(), at = 0, back = 0;

	for (int i = 0; i < N; i++)
		sent[i] = (char)(i * 31 + i / 1000);
	cl_say(fd, "GET /resting HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
	free(cl_read(fd, "\r\n\r\n"));
	while (back < N) {
		struct pollfd p = { .fd = fd, .events = (short)(POLLIN | (at < N ? POLLOUT : 0)) };
		ssize_t n;

		cr_assert_eq(poll(&p, 1, 60000), 1);
		if (p.revents & POLLOUT && (n = send(fd, sent + at, (size_t)(N - at), MSG_DONTWAIT)) > 0)
			at += (int)n;
		if (p.revents & POLLIN) {
			n = recv(fd, got + back, (size_t)(N - back), MSG_DONTWAIT);
			cr_assert(n > 0);
			back += (int)n;
		}
	}
	cr_assert(!memcmp(sent, got, N));
	free(sent);
	free(got);
	close(fd);
	srv_wait(&srv.closed, 1);
}

Test(http1, running_out_of_descriptors_is_survived, .init = start, .fini = srv_stop)
{
	enum { N = 8 };
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)srv.port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct rlimit old, tight;
	int fd[N];

	for (int i = 0; i < N; i++)
		fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	getrlimit(RLIMIT_NOFILE, &old);
	tight = old;
	tight.rlim_cur = (rlim_t)fd[N - 1] + 3; /* two connections at a time */
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
	for (int i = 0; i < N; i++) {
		cr_assert_eq(connect(fd[i], (struct sockaddr *)&sa, sizeof(sa)), 0);
		cl_say(fd[i], "GET /hello HTTP/1.1\r\nHost: x\r\n" END);
	}
	for (int i = 0; i < N; i++) {
		char *a = cl_read(fd[i], NULL);

		cr_expect(strstr(a, "\r\n\r\nhello"), "%d: %s", i, a);
		free(a);
		close(fd[i]); /* lets the next in */
	}
	setrlimit(RLIMIT_NOFILE, &old);
}

Test(http1, unix_socket)
{
	struct http_server_config config = { .handler = NULL };
	struct loop *loop = loop_new();
	struct http_server *s, *s2;
	struct err err = ERR_INIT;
	char path[64];

	snprintf(path, sizeof(path), "unix:/tmp/skep-test-http-%d.sock", getpid());
	cr_assert_eq(http_server_new(loop, &config, &s, &err), 0);
	cr_assert_eq(http_server_new(loop, &config, &s2, &err), 0);
	cr_assert_eq(http_server_listen(s, path, NULL, &err), 0, "%s", err.msg);
	cr_assert(http_server_listen(s2, path, NULL, &err) < 0);
	cr_assert(strstr(err.msg, path));
	cr_assert_eq(http_server_listen(s2, "nonsense", NULL, &err), -22);
	cr_assert_eq(http_server_listen(s2, "1.2.3.4:x", NULL, &err), -22);
	cr_assert_eq(http_server_listen(s2, "::1:80", NULL, &err), -22);
	http_server_free(s);
	cr_assert(access(path + 5, F_OK) < 0);
	http_server_free(s2);
	loop_free(loop);
}
