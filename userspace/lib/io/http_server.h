/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 (RFC 9112) and HTTP/2 (RFC 9113, by ALPN on TLS and prior knowledge on plain) server on one loop, TLS with
 * optional client certificates, WebSocket (RFC 6455) and raw upgrades. Request bodies are buffered up to a limit
 * before the handler runs; response bodies are either one buffer or a stream of shared buffers.
 *
 * Life of a request: the handler is called once with a complete request and answers now or later with exactly one of
 * http_respond(), http_stream_start(), http_ws_accept(), http_hijack(). If the peer goes away first, on_close is
 * called and the request must not be used afterwards; after a finished answer it is called too. Everything runs on
 * the loop's thread.
 */
#ifndef SKEP_IO_HTTP_SERVER_H
#define SKEP_IO_HTTP_SERVER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "../base/err.h"
#include "loop.h"
#include "tls.h"

struct http_server;
struct http_req;

/* Immutable shared bytes: one encoding of an event fanned out to many watchers. Count is not atomic (one loop). */
struct http_buf {
	unsigned refs;
	size_t len;
	char data[];
};
struct http_buf *http_buf_new(const void *data, size_t len); /* one reference, the caller's; data may be NULL */
struct http_buf *http_buf_ref(struct http_buf *b);
void http_buf_unref(struct http_buf *b);

typedef void http_handler_fn(struct http_req *req, void *arg);

struct http_server_config {
	const struct tls_files *tls; /* NULL: plain */
	bool client_certs;     /* ask for one; verified against tls->ca_file if sent, handshake fails if it is bad */
	size_t max_body;       /* bytes; larger gets 413. 0: 3 MiB, as Kubernetes */
	size_t max_header;     /* bytes of request line and headers; larger gets 431. 0: 64 KiB */
	size_t max_pending;    /* unsent bytes per stream before it is cut off as a slow reader. 0: 4 MiB */
	int max_connections;   /* further ones are closed at accept. 0: 10,000 */
	int idle_timeout_ms;   /* no request in progress; 0: 120 s */
	int header_timeout_ms; /* handshake and headers must be complete; 0: 10 s */
	http_handler_fn *handler;
	void *arg;
};

/* All pointers in config are copied except arg. */
int http_server_new(struct loop *loop, const struct http_server_config *config, struct http_server **ret,
		    struct err *err);
/* "127.0.0.1:6443", "[::]:0", "unix:/path". *ret_port (may be NULL): the port bound. May be called several times. */
int http_server_listen(struct http_server *s, const char *address, int *ret_port, struct err *err);
int http_server_listen_fd(struct http_server *s, int fd, struct err *err); /* listening socket; the server owns it */
void http_server_free(struct http_server *s); /* closes all connections; on_close runs for open requests */
unsigned http_server_connections(const struct http_server *s);

/* The request: strings are valid until the request ends. */
const char *http_req_method(const struct http_req *req);
const char *http_req_path(const struct http_req *req);	     /* percent-decoded, without query, never contains NUL */
const char *http_req_raw_target(const struct http_req *req); /* as sent: path?query */
const char *http_req_query(const struct http_req *req,
			   const char *name); /* decoded, first one; NULL if absent, "" if empty */
/* i-th value of a repeated parameter (exec's command=); NULL past the end. */
const char *http_req_query_nth(const struct http_req *req, const char *name, size_t i);
const char *http_req_header(const struct http_req *req, const char *name); /* any case; NULL if absent */
/* i-th header of that name (SPDY's X-Stream-Protocol-Version, Impersonate-Group come repeated); NULL past the end. */
const char *http_req_header_nth(const struct http_req *req, const char *name, size_t i);
/* i-th of all headers: value, and the name in lower case; NULL past the end. */
const char *http_req_header_at(const struct http_req *req, size_t i, const char **ret_name);
const void *http_req_body(const struct http_req *req, size_t *ret_len); /* followed by a NUL; never NULL */
bool http_req_is_h2(const struct http_req *req);
const struct sockaddr *http_req_peer(const struct http_req *req);
/* Verified client certificate: subject CN; NULL without one. */
const char *http_req_cert_cn(const struct http_req *req);
/* i-th subject O; NULL past the end. */
const char *http_req_cert_org(const struct http_req *req, size_t i);

void http_req_set_data(struct http_req *req, void *data, void (*on_close)(struct http_req *req, void *data));
void *http_req_data(const struct http_req *req);
struct loop *http_req_loop(const struct http_req *req);

/* Extra response header, before the answer starts; name and value are copied. */
void http_add_header(struct http_req *req, const char *name, const char *value);
/* Complete answer; body is copied. HEAD gets the headers only. */
void http_respond(struct http_req *req, int status, const char *content_type, const void *body, size_t len);
/* Complete answer that shares a buffer (a reference is taken, not stolen). */
void http_respond_buf(struct http_req *req, int status, const char *content_type, struct http_buf *body);

/*
 * Streamed answer (chunked on HTTP/1.1). Returns -EPIPE once the stream is dead, -EAGAIN never: data is queued and a
 * reader slower than max_pending is cut off (on_close runs from the loop, not inside the write). HEAD ends with
 * http_stream_start(): writes return -EPIPE, on_close follows.
 */
int http_stream_start(struct http_req *req, int status, const char *content_type);
int http_stream_write(struct http_req *req, const void *data, size_t len);
int http_stream_write_buf(struct http_req *req, struct http_buf *buf); /* takes a reference */
size_t http_stream_pending(const struct http_req *req);		       /* queued bytes not yet with the kernel */
/* Called from the loop when pending is below low_water, once now and once after each write, for producers that pace
 * themselves (logs, big lists): write until pending reaches low_water, return, be called again. NULL: none. */
void http_stream_on_drain(struct http_req *req, size_t low_water, void (*fn)(struct http_req *req, void *data));
void http_stream_end(struct http_req *req); /* the request is finished; on_close follows */
/*
 * Breaks the answer off, so that the client sees that it is not whole: what is queued is dropped. Also after
 * http_stream_end(), for a reader that does not take the rest. on_close follows.
 */
void http_stream_abort(struct http_req *req);

/* Is this a request to upgrade to `protocol` ("websocket", "SPDY/3.1")? HTTP/1.1 only. */
bool http_req_wants_upgrade(const struct http_req *req, const char *protocol);

/*
 * Hand the raw (TLS-decrypted) byte stream to the caller after writing `head` (a complete "HTTP/1.1 101 ..." block),
 * for proxies that pass an upgrade through. The request stays valid as the handle until http_hijack_close() or
 * on_close. on_data gets every byte after the request, early ones first.
 */
int http_hijack(struct http_req *req, const char *head, size_t head_len,
		void (*on_data)(struct http_req *req, void *data, const void *bytes, size_t len));
int http_hijack_write(struct http_req *req, const void *bytes, size_t len); /* queued; -EPIPE when dead */
void http_hijack_pause(struct http_req *req, bool pause); /* stop reading from the peer: back-pressure */
void http_hijack_close(struct http_req *req);		  /* flushes what is queued, then closes; on_close follows */
/* http_stream_pending() and http_stream_on_drain() tell about a hijacked connection too; max_pending holds. */

/*
 * Accepts a WebSocket: answers 101 and hijacks; on_data feeds a struct ws (ws.h) of the caller. protocol: one that
 * the client offered (ws_choose_protocol()), or NULL. -EPROTO: no valid handshake, and it has been answered with 400
 * or 426.
 */
int http_ws_accept(struct http_req *req, const char *protocol,
		   void (*on_data)(struct http_req *req, void *data, const void *bytes, size_t len));

#endif
