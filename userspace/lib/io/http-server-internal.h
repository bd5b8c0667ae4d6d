/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the HTTP server's files share. Who does what:
 *
 * 	http_server.c	listeners, accepting, timeouts, the list of connections with work to do
 * 	http_conn.c	one connection: TLS, reading, flushing, life and death
 * 	http_out.c	the queue of outgoing buffers
 * 	http1.c		HTTP/1 requests and answers on a connection; hijacking
 * 	http2.c		the same for HTTP/2
 * 	http_req.c	what a handler reads from a request
 * 	http_answer.c	what a handler answers with
 *
 * Two rules keep callbacks simple. Calls from a handler only queue: they may send, but never free a request or call
 * back. What follows (on_close, draining, the next pipelined request, closing) happens in conn_settle(), which runs
 * only straight from the loop: after the connection's own event, or from the server's `chores` timer for connections
 * on the `dirty` list.
 */
#ifndef SKEP_IO_HTTP_SERVER_INTERNAL_H
#define SKEP_IO_HTTP_SERVER_INTERNAL_H

#include <http_parser.h>
#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>
#include <stdint.h>

#include "../base/list.h"
#include "../base/strbuf.h"
#include "http_server.h"

#define HTTP_READ_SIZE	   65536  /* taken from a socket at once, into a buffer the server's connections share */
#define HTTP_WRITE_SIZE	   65536  /* given to a socket at once, likewise */
#define HTTP_BACKLOG_MAX   65536  /* bytes of pipelined requests that wait for the answer before them */
#define HTTP_EAGER_BYTES   262144 /* a stream that queued so much is sent inside the write instead of after it */
#define HTTP_BODIES_FACTOR 64	  /* all request bodies together: so many of max_body */
#define HTTP_H2_STREAMS	   250	  /* concurrent requests on an HTTP/2 connection, as Go's default */

/* --- queue of outgoing buffers ------------------------------------------------------------------------------------ */

struct out_node {
	struct out_node *next;
	struct http_buf *buf;
	bool chunk; /* sent as an HTTP/1.1 chunk, its framing made on the way */
};

struct out_queue {
	struct out_node *first, *last;
	size_t offset; /* bytes of first, with its framing, that are gone */
	size_t bytes;  /* left, with framing */
};

void out_init(struct out_queue *q);
void out_clear(struct out_queue *q);
int out_push(struct out_queue *q, struct http_buf *buf, bool chunk); /* takes a reference; 0 or -ENOMEM */
int out_push_copy(struct out_queue *q, const void *data, size_t len);
size_t out_peek(const struct out_queue *q, void *dst, size_t max); /* copies from the front, consumes nothing */
void out_drop(struct out_queue *q, size_t n);

/* --- server ------------------------------------------------------------------------------------------------------- */

struct http_listener {
	struct list node;
	struct http_server *server;
	struct loop_io io;
	int fd;
	char *unlink_path; /* of a unix socket we bound; else NULL */
};

struct http_server {
	struct loop *loop;
	struct http_server_config config; /* defaults filled in; tls is not kept */
	SSL_CTX *ssl_ctx;
	nghttp2_session_callbacks *h2_callbacks;
	nghttp2_option *h2_option;
	nghttp2_mem h2_mem; /* see http2.c: sessions share one frame buffer */
	char *h2_frame_buf;
	bool h2_frame_wanted; /* a session is being made and has not got it yet */
	struct list listeners;
	struct list conns;
	unsigned n_conns;
	/* Ordered by http_conn.wait_since, so that looking at the first is enough. */
	struct list wait_header, wait_idle;
	struct loop_timer wait_timer;
	struct loop_timer accept_timer; /* set: accepting rests because descriptors ran out */
	struct loop_timer trim_timer;	/* set: handshakes were made since memory was given back */
	unsigned handshakes;
	struct list dirty; /* connections that conn_settle() must see */
	struct loop_timer chores;
	size_t body_bytes; /* request bodies held */
	char date[40];	   /* of date_s */
	int64_t date_s;
	char *read_buf, *write_buf;
};

void server_handshaken(struct http_server *s);
const char *server_date(struct http_server *s); /* IMF-fixdate for now */

/* --- connection --------------------------------------------------------------------------------------------------- */

enum conn_mode {
	CONN_HANDSHAKE, /* TLS */
	CONN_SNIFF,	/* plain: is it the HTTP/2 preface? */
	CONN_HTTP1,
	CONN_HTTP2,
	CONN_RAW,    /* hijacked */
	CONN_LINGER, /* answered and shut down our way; what still comes is dropped, so that no RST overtakes the answer
		      */
};

enum conn_wait {
	WAIT_NONE,
	WAIT_HEADER,   /* handshake, request head, lingering: counted from the beginning */
	WAIT_PROGRESS, /* idle, or a body or an answer on its way: counted from the last byte */
};

struct http_conn {
	struct http_server *server;
	struct list node;	/* http_server.conns */
	struct list dirty_node; /* http_server.dirty, or alone */
	struct list wait_node;	/* a wait list, or alone */
	int64_t wait_since;
	struct loop_io io;
	int fd;
	SSL *ssl;
	struct strbuf cert; /* subject of the verified client certificate: "CN\0O\0O\0..."; empty without one */
	struct out_queue out;
	struct strbuf in; /* bytes not parsed yet: HTTP/1 pipeline, or what came before a hijack */
	struct list reqs; /* open requests: at most one on HTTP/1 */
	http_parser parser;
	nghttp2_session *h2;
	unsigned n_draining; /* requests with drain_armed */
	uint8_t mode;	     /* enum conn_mode */
	uint8_t wait;	     /* enum conn_wait */
	bool doomed;	     /* no further I/O; conn_settle() frees it */
	bool closing;	     /* nothing more to come: flush, then linger */
	bool eof;	     /* the peer finished its side */
	bool want_write;     /* the socket is full, or TLS wants to write */
	bool paused;	     /* hijacked: reading is off */
	bool read_more;	     /* TLS may hold bytes that epoll cannot see */
	bool moved;	     /* bytes moved since the wait was last looked at */
	bool begun;	     /* a request began since then */
	bool busy;	     /* inside its own event: conn_settle() will run anyway */
	bool ready;	     /* HTTP/2: a request waits for its handler */
	bool reap;	     /* HTTP/2: a stream was closed */
	union {
		struct sockaddr sa;
		struct sockaddr_in in4;
		struct sockaddr_in6 in6;
	} peer;
};

int conn_new(struct http_server *s, int fd, const struct sockaddr_storage *peer);
void conn_free(struct http_conn *c);   /* runs on_close of open requests */
void conn_doom(struct http_conn *c);   /* from anywhere */
void conn_dirty(struct http_conn *c);  /* see it again from the chores */
void conn_chore(struct http_conn *c);  /* the chores' turn; may free c */
void conn_settle(struct http_conn *c); /* only straight from the loop; may free c */
void conn_flush(struct http_conn *c);  /* sends what it can; dooms on error; calls nobody back */
void conn_queue(struct http_conn *c, struct http_buf *buf, bool chunk);
void conn_queue_copy(struct http_conn *c, const void *data, size_t len);
void conn_timed_out(struct http_conn *c); /* may free c */
void server_wait(struct http_conn *c, enum conn_wait wait, bool restart);

/* --- request ------------------------------------------------------------------------------------------------------ */

enum req_state {
	REQ_HEAD,
	REQ_BODY,
	REQ_READY,     /* complete, or at fault; the handler has not run */
	REQ_HANDLING,  /* the handler has it */
	REQ_STREAMING, /* http_stream_start() */
	REQ_RAW,       /* hijacked */
	REQ_DONE,      /* answered completely */
};

struct http_req {
	struct http_conn *conn;
	struct list node; /* http_conn.reqs */
	uint8_t state;	  /* enum req_state */
	bool handled;	  /* the handler had it: on_close is due */
	bool closed;	  /* HTTP/2: the stream is gone or cut off */
	bool head_only;	  /* HEAD, 204, 304: body bytes are dropped */
	bool chunked;	  /* HTTP/1: answer in chunks */
	bool keep_alive;  /* HTTP/1: another request may follow */
	bool upgrade;	  /* HTTP/1: asks for an upgrade */
	bool drain_armed;
	bool in_value;		     /* HTTP/1 head: the last piece was of a value */
	uint16_t fault;		     /* status to answer with instead of calling the handler */
	int32_t stream_id;	     /* HTTP/2 */
	size_t head_bytes;	     /* counted against max_header */
	size_t dropped;		     /* HTTP/2: body bytes that came after fault was set */
	struct strbuf head;	     /* ":method\0GET\0:path\0/api\0name\0value\0..."; names in lower case */
	const char *method, *target; /* in head, once it is complete */
	struct strbuf decoded;	     /* "path\0name\0value\0..." of the target */
	struct strbuf body;
	struct strbuf extra;  /* response headers, "name\0value\0..." */
	struct out_queue out; /* HTTP/2: body bytes for nghttp2 */
	void *data;
	void (*on_close)(struct http_req *req, void *data);
	void (*on_data)(struct http_req *req, void *data, const void *bytes, size_t len);
	void (*on_drain)(struct http_req *req, void *data);
	size_t low_water;
};

struct http_req *req_new(struct http_conn *c); /* in c->reqs; NULL: out of memory */
void req_free(struct http_req *req);	       /* on_close, if the handler had it */
/* 0, or the status that refuses it: 431 too large, 500 out of memory. */
int req_head_add(struct http_req *req, const char *data, size_t len);
int req_head_pair(struct http_req *req, const char *name, size_t name_len, const char *value, size_t value_len);
int req_head_done(struct http_req *req); /* method and target found, target decoded: 0 or 400... */
int req_body_add(struct http_req *req, const void *data, size_t len); /* 0, 413, 503 */
void req_dispatch(struct http_req *req); /* calls the handler, or answers with req->fault */
bool req_gone(const struct http_req *req);
/* Iterates "name\0value\0..."; *at begins as the offset of the first. */
bool pairs_next(const struct strbuf *pairs, size_t *at, const char **ret_name, const char **ret_value);

void answer_fault(struct http_req *req, int status); /* a short text */
void answer_drain(struct http_conn *c);		     /* on_drain where it is due */
const char *http_reason(int status);

/* --- HTTP/1 ------------------------------------------------------------------------------------------------------- */

void h1_input(struct http_conn *c, const char *data, size_t len);
/* Frees the answered request, and begins the next from c->in. true: call again, there may be more to do. */
bool h1_advance(struct http_conn *c);
/* Status line and headers, and the body when given. body_len -1: a stream. */
void h1_answer(struct http_req *req, int status, const char *content_type, int64_t body_len, struct http_buf *body);

/* --- HTTP/2 ------------------------------------------------------------------------------------------------------- */

int h2_server_init(struct http_server *s); /* callbacks and options; 0 or -ENOMEM */
void h2_server_done(struct http_server *s);
int h2_start(struct http_conn *c);
void h2_input(struct http_conn *c, const char *data, size_t len);
void h2_dispatch(struct http_conn *c); /* handlers of complete requests */
void h2_reap(struct http_conn *c);     /* frees closed requests */
/* Up to size bytes for the socket; what did not fit goes to *ret_rest. The length, or -errno. */
ssize_t h2_output(struct http_conn *c, char *dst, size_t size, struct http_buf **ret_rest);
void h2_answer(struct http_req *req, int status, const char *content_type, int64_t body_len);
void h2_resume(struct http_req *req); /* there is data in req->out, or the end */
void h2_cancel(struct http_req *req); /* cuts the stream off */
void h2_goaway(struct http_conn *c);
bool h2_over(const struct http_conn *c); /* neither side wants to say more */

#endif
