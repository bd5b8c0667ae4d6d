/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes of a client at the HTTP server: each input is one connection over a unix socket, closed after it. The handler
 * looks at everything a request has, and upgrades where that is asked.
 */
#include "fuzz.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "io/http_server.h"

static struct loop *loop;
static struct http_server *server;
static char path[64];

static void on_bytes(struct http_req *req, void *data, const void *bytes, size_t len)
{
	(void)data;
	(void)http_hijack_write(req, bytes, len);
}

static void handle(struct http_req *req, void *arg)
{
	size_t len, n = 0;
	const char *name;

	(void)arg;
	(void)http_req_path(req);
	(void)http_req_raw_target(req);
	(void)http_req_query(req, "watch");
	(void)http_req_query_nth(req, "command", 1);
	(void)http_req_header(req, "accept");
	while (http_req_header_at(req, n, &name))
		n++;
	(void)http_req_body(req, &len);
	if (http_req_wants_upgrade(req, "websocket") && http_ws_accept(req, "v4.channel.k8s.io", on_bytes) == 0)
		return;
	if (len % 2)
		http_respond(req, 200, "text/plain", "odd\n", 4);
	else if (http_stream_start(req, 200, "text/plain") == 0) {
		(void)http_stream_write(req, "even\n", 5);
		http_stream_end(req);
	}
}

static void at_exit(void)
{
	unlink(path);
}

static void start(void)
{
	struct http_server_config config = { .max_body = 65536, .max_header = 8192, .handler = handle };
	struct err err = ERR_INIT;
	char address[80];

	log_set_level(LOG_ERROR);
	snprintf(path, sizeof(path), "/tmp/skep-fuzz-http-%d", getpid());
	snprintf(address, sizeof(address), "unix:%s", path);
	loop = loop_new();
	MUST(loop && http_server_new(loop, &config, &server, &err) == 0);
	MUST(http_server_listen(server, address, NULL, &err) == 0);
	atexit(at_exit);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	char sink[4096];
	ssize_t n = 1;
	int fd;

	if (!loop)
		start();
	if (size > 60000)
		return 0; /* fits into the socket's buffer */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	strcpy(a.sun_path, path);
	MUST(connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	(void)send(fd, data, size, MSG_NOSIGNAL);
	shutdown(fd, SHUT_WR);
	/* Until the server has closed its end: it may not keep a connection whose client has gone. */
	for (int turns = 0; n > 0 || (n < 0 && errno == EAGAIN); turns++) {
		MUST(turns < 1000);
		loop_run_once(loop, n < 0 ? 100 : 0);
		n = recv(fd, sink, sizeof(sink), 0);
	}
	close(fd);
	while (http_server_connections(server))
		loop_run_once(loop, 100);
	return 0;
}
