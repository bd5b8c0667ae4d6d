/* SPDX-License-Identifier: Apache-2.0 */
/* See http_test.h. */
#include "http_test.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/list.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "io/tls.h"
#include "io/ws.h"

#define PATIENCE_MS 60000

struct srv srv = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

struct state { /* of one request */
	struct list node;
	struct http_req *req;
	struct loop_timer timer;
	struct ws *ws;
};
static struct list watching = LIST_INIT(watching);
static char dir[64];

static void count(int *counter, int by)
{
	pthread_mutex_lock(&srv.lock);
	*counter += by;
	pthread_cond_broadcast(&srv.changed);
	pthread_mutex_unlock(&srv.lock);
}

static void on_close(struct http_req *req, void *data)
{
	struct state *s = data;

	(void)req;
	list_remove(&s->node);
	loop_timer_cancel(&s->timer);
	ws_free(s->ws);
	free(s);
	count(&srv.closed, 1);
}

static void answer_later(struct loop_timer *t)
{
	struct state *s = t->arg;

	http_respond(s->req, 200, "text/plain", "later", 5);
}

static void info(struct http_req *req)
{
	cleanup(strbuf_done) struct strbuf sb = STRBUF_INIT;
	const char *v, *name;

	strbuf_addf(&sb, "%s %s h2=%d cn=%s\n", http_req_method(req), http_req_path(req), http_req_is_h2(req),
		    http_req_cert_cn(req) ?: "-");
	for (size_t i = 0; (v = http_req_cert_org(req, i)); i++)
		strbuf_addf(&sb, "o=%s\n", v);
	for (size_t i = 0; (v = http_req_query_nth(req, "q", i)); i++)
		strbuf_addf(&sb, "q=%s\n", v);
	for (size_t i = 0; (v = http_req_header_at(req, i, &name)); i++)
		strbuf_addf(&sb, "%s: [%s]\n", name, v);
	http_add_header(req, "X-Custom", "one\r\nX-Evil: two");
	http_respond(req, 200, "text/plain", sb.buf, sb.len);
}

static void stream(struct http_req *req)
{
	int n = atoi(http_req_query(req, "n") ?: "3"), size = atoi(http_req_query(req, "size") ?: "10");
	char *piece = malloc((size_t)size);

	http_stream_start(req, 200, "text/plain");
	for (int i = 0; i < n; i++) {
		memset(piece, 'a' + i % 26, (size_t)size);
		if (http_stream_write(req, piece, (size_t)size) < 0) {
			count(&srv.write_failed, 1);
			break;
		}
	}
	free(piece);
	http_stream_end(req);
}

/* Endless, at the reader's pace. */
static void produce(struct http_req *req, void *data)
{
	static char piece[16384];

	(void)data;
	while (http_stream_pending(req) < 65536) {
		if (http_stream_write(req, piece, sizeof(piece)) < 0)
			break;
		pthread_mutex_lock(&srv.lock);
		srv.produced += sizeof(piece);
		pthread_mutex_unlock(&srv.lock);
	}
}

static void echo_raw(struct http_req *req, void *data, const void *bytes, size_t len)
{
	(void)data;
	http_hijack_write(req, bytes, len);
	if (memchr(bytes, '!', len))
		http_hijack_close(req);
}

/* Takes one piece, then rests for a moment. */
static void echo_resting(struct http_req *req, void *data, const void *bytes, size_t len)
{
	struct state *s = data;

	http_hijack_write(req, bytes, len);
	http_hijack_pause(req, true);
	loop_timer_set(http_req_loop(req), &s->timer, 1);
}

static void resume(struct loop_timer *t)
{
	struct state *s = t->arg;

	http_hijack_pause(s->req, false);
}

static void ws_message(struct ws *ws, void *arg, const void *data, size_t len, bool binary)
{
	(void)arg;
	ws_send(ws, data, len, binary);
}

static void ws_closed(struct ws *ws, void *arg, int code)
{
	struct state *s = arg;

	(void)ws;
	(void)code;
	http_hijack_close(s->req);
}

static void ws_write(struct ws *ws, void *arg, const void *data, size_t len)
{
	struct state *s = arg;

	(void)ws;
	http_hijack_write(s->req, data, len);
}

static void ws_data(struct http_req *req, void *data, const void *bytes, size_t len)
{
	struct state *s = data;

	(void)req;
	ws_feed(s->ws, bytes, len);
}

static void handle(struct http_req *req, void *arg)
{
	static const struct ws_ops ops = { ws_message, ws_closed, ws_write };
	const char *path = http_req_path(req);
	struct state *s = calloc(1, sizeof(*s));
	size_t len;

	(void)arg;
	s->req = req;
	list_init(&s->node);
	s->timer = (struct loop_timer){ .fn = answer_later, .arg = s };
	http_req_set_data(req, s, on_close);
	cr_assert_eq(http_req_data(req), s);
	if (streq(path, "/hello")) {
		http_respond(req, 200, "text/plain", "hello", 5);
	} else if (streq(path, "/echo")) {
		const void *body = http_req_body(req, &len);

		http_respond(req, 200, "application/octet-stream", body, len);
	} else if (streq(path, "/info")) {
		info(req);
	} else if (streq(path, "/twice")) {
		http_respond(req, 200, "text/plain", "one", 3);
		http_respond(req, 500, "text/plain", "two", 3);
		http_stream_start(req, 200, NULL);
	} else if (streq(path, "/nocontent")) {
		http_respond(req, 204, NULL, "ignored", 7);
	} else if (streq(path, "/stream")) {
		stream(req);
	} else if (streq(path, "/later")) {
		loop_timer_set(http_req_loop(req), &s->timer, 1);
	} else if (streq(path, "/watch")) {
		list_push_back(&watching, &s->node);
		http_stream_start(req, 200, "application/json");
		count(&srv.watchers, 1);
	} else if (streq(path, "/endless")) {
		http_stream_start(req, 200, "text/plain");
		http_stream_on_drain(req, 65536, produce);
	} else if (streq(path, "/raw") && http_req_wants_upgrade(req, "echo")) {
		static const char head[] =
			"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";

		cr_assert_eq(http_hijack(req, head, sizeof(head) - 1, echo_raw), 0);
	} else if (streq(path, "/resting") && http_req_wants_upgrade(req, "echo")) {
		s->timer.fn = resume;
		cr_assert_eq(http_hijack(req, "HTTP/1.1 101 X\r\n\r\n", 18, echo_resting), 0);
	} else if (streq(path, "/ws")) {
		const char *known[] = { "v5.channel.k8s.io", NULL };

		s->ws = ws_new(false, 100000, &ops, s);
		http_ws_accept(req, ws_choose_protocol(http_req_header(req, "sec-websocket-protocol"), known), ws_data);
	} else if (!streq(path, "/never")) {
		http_respond(req, 404, "text/plain", "no", 2);
	}
	count(&srv.handled, 1);
}

static void *run_loop(void *arg)
{
	loop_run(arg);
	return NULL;
}

const char *srv_file(const char *name)
{
	static char path[4][128];
	static int i;

	i = (i + 1) % 4;
	snprintf(path[i], sizeof(path[i]), "%s/%s", dir, name);
	return path[i];
}

static void make_certificates(void)
{
	const char *ips[] = { "127.0.0.1", NULL }, *orgs[] = { "system:masters", "second", NULL };
	struct tls_cert_request server = { .common_name = "server", .ip_addresses = ips, .server = true, .days = 1 };
	struct tls_cert_request client = { .common_name = "alice", .organizations = orgs, .client = true, .days = 1 };
	struct err err;
	int r = 0;

	strcpy(dir, "/tmp/skep-test-http.XXXXXX");
	cr_assert(mkdtemp(dir));
	r |= tls_make_ca("ca", 1, srv_file("ca.crt"), srv_file("ca.key"), &err);
	r |= tls_make_ca("other", 1, srv_file("other.crt"), srv_file("other.key"), &err);
	r |= tls_make_cert(srv_file("ca.crt"), srv_file("ca.key"), &server, srv_file("s.crt"), srv_file("s.key"), &err);
	r |= tls_make_cert(srv_file("ca.crt"), srv_file("ca.key"), &client, srv_file("c.crt"), srv_file("c.key"), &err);
	r |= tls_make_cert(srv_file("other.crt"), srv_file("other.key"), &client, srv_file("bad.crt"),
			   srv_file("bad.key"), &err);
	cr_assert_eq(r, 0);
}

void srv_start(struct http_server_config config, bool tls)
{
	struct tls_files files;
	struct err err = ERR_INIT;

	config.handler = handle;
	if (tls) {
		make_certificates();
		files = (struct tls_files){ srv_file("ca.crt"), srv_file("s.crt"), srv_file("s.key") };
		config.tls = &files;
		config.client_certs = true;
	}
	srv.loop = loop_new();
	cr_assert_eq(http_server_new(srv.loop, &config, &srv.server, &err), 0, "%s", err.msg);
	cr_assert_eq(http_server_listen(srv.server, "127.0.0.1:0", &srv.port, &err), 0, "%s", err.msg);
	cr_assert(srv.port > 0);
	cr_assert_eq(pthread_create(&srv.thread, NULL, run_loop, srv.loop), 0);
}

/* Every request a handler had gets its on_close, at the latest now. */
void srv_stop(void)
{
	loop_stop(srv.loop);
	pthread_join(srv.thread, NULL);
	http_server_free(srv.server);
	loop_free(srv.loop);
	cr_assert_eq(srv.closed, srv.handled, "%d closed, %d handled", srv.closed, srv.handled);
	if (*dir)
		dir_remove(dir, NULL);
}

void srv_wait(const int *counter, int n)
{
	struct timespec until;
	int r = 0, v;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_MS / 1000;
	pthread_mutex_lock(&srv.lock);
	while (*counter < n && !r)
		r = pthread_cond_timedwait(&srv.changed, &srv.lock, &until);
	v = *counter;
	pthread_mutex_unlock(&srv.lock);
	cr_assert(v >= n, "waited for %d, got %d", n, v);
}

static int ran;

static void run_posted(void *arg)
{
	(*(void (**)(void))arg)();
	count(&ran, 1);
}

void srv_run(void (*fn)(void))
{
	int before = ran;

	cr_assert_eq(loop_post(srv.loop, run_posted, &fn), 0);
	srv_wait(&ran, before + 1);
}

void srv_broadcast(const char *text)
{
	struct http_buf *b = http_buf_new(text, strlen(text));

	list_for_each (n, &watching)
		(void)http_stream_write_buf(list_entry(n, struct state, node)->req, b);
	http_buf_unref(b);
}

/* --- client ------------------------------------------------------------------------------------------------------- */

int cl_connect(void)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)srv.port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_eq(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

void cl_send(int fd, const void *data, size_t len)
{
	while (len) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0)
			return; /* the server may close early: the test looks at what it said */
		data = (const char *)data + n;
		len -= (size_t)n;
	}
}

void cl_say(int fd, const char *text)
{
	cl_send(fd, text, strlen(text));
}

static ssize_t read_some(int fd, char *buf, size_t size)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	cr_assert_eq(poll(&p, 1, PATIENCE_MS), 1, "the server says nothing");
	return recv(fd, buf, size, 0);
}

char *cl_read(int fd, const char *until)
{
	struct strbuf sb = STRBUF_INIT;
	char buf[16384];
	ssize_t n;

	while (!until || !strstr(sb.buf, until)) {
		/* Byte by byte when looking for something, so that what follows stays for the next call. */
		n = read_some(fd, buf, until ? 1 : sizeof(buf));
		if (n <= 0)
			break;
		strbuf_add(&sb, buf, (size_t)n);
	}
	strbuf_addc(&sb, '\0');
	return strbuf_detach(&sb, NULL);
}

char *cl_talk(const char *text)
{
	int fd = cl_connect();
	char *answer;

	cl_say(fd, text);
	answer = cl_read(fd, NULL);
	close(fd);
	return answer;
}

bool cl_eof(int fd)
{
	char buf[4096];
	ssize_t n;

	while ((n = read_some(fd, buf, sizeof(buf))) > 0)
		;
	return n == 0 || errno == ECONNRESET;
}
