/* SPDX-License-Identifier: Apache-2.0 */
/* A client with many watches on one HTTP/2 connection. Lines of the answers are counted, not looked at. */
#include "bench.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

static int on_chunk(nghttp2_session *s, uint8_t flags, int32_t stream, const uint8_t *data, size_t len, void *arg)
{
	struct h2 *h = arg;

	(void)s;
	(void)flags;
	(void)stream;
	for (const uint8_t *p = data; (p = memchr(p, '\n', len - (size_t)(p - data))); p++)
		h->on_line(h->arg);
	return 0;
}

void h2_flush(struct h2 *h)
{
	const uint8_t *data;
	ssize_t n;

	while ((n = nghttp2_session_mem_send(h->s, &data)) > 0)
		for (ssize_t at = 0; at < n;) {
			int r = SSL_write(h->ssl, data + at, (int)(n - at));

			if (r > 0)
				at += r;
			else if (SSL_get_error(h->ssl, r) == SSL_ERROR_WANT_WRITE)
				poll(&(struct pollfd){ h->fd, POLLOUT, 0 }, 1, 1000);
			else if (SSL_get_error(h->ssl, r) == SSL_ERROR_WANT_READ)
				poll(&(struct pollfd){ h->fd, POLLIN, 0 }, 1, 1000);
			else
				fail("a watch's connection was closed");
		}
}

void h2_read(struct h2 *h)
{
	static __thread uint8_t buf[65536];
	int n;

	while ((n = SSL_read(h->ssl, buf, sizeof(buf))) > 0)
		if (nghttp2_session_mem_recv(h->s, buf, (size_t)n) < 0)
			fail("HTTP/2: bad frame");
	if (SSL_get_error(h->ssl, n) != SSL_ERROR_WANT_READ)
		fail("a watch's connection was closed");
	h2_flush(h);
}

void h2_open(struct h2 *h, const struct target *t, void (*on_line)(void *arg), void *arg)
{
	nghttp2_settings_entry settings[] = { { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 30 } };
	nghttp2_session_callbacks *cb;

	*h = (struct h2){ .on_line = on_line, .arg = arg };
	h->fd = dial(t);
	if (h->fd < 0)
		fail("cannot connect: %m");
	h->ssl = handshake(t, h->fd, "\x02h2");
	nghttp2_session_callbacks_new(&cb);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_chunk);
	nghttp2_session_client_new(&h->s, cb, h);
	nghttp2_session_callbacks_del(cb);
	nghttp2_submit_settings(h->s, 0, settings, 1);
	nghttp2_session_set_local_window_size(h->s, 0, 0, 1 << 30);
	h2_flush(h);
	fcntl(h->fd, F_SETFL, O_NONBLOCK);
}

void h2_watch(struct h2 *h, const char *path)
{
#define NV(n, v) { (uint8_t *)(n), (uint8_t *)(v), strlen(n), strlen(v), NGHTTP2_NV_FLAG_NONE }
	nghttp2_nv nv[] = { NV(":method", "GET"), NV(":scheme", "https"), NV(":authority", "localhost"),
			    NV(":path", path) };

	if (nghttp2_submit_request(h->s, NULL, nv, 4, NULL, NULL) < 0)
		fail("HTTP/2: no more streams");
}

void h2_close(struct h2 *h)
{
	nghttp2_session_del(h->s);
	SSL_free(h->ssl);
	close(h->fd);
}
