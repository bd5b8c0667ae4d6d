/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asynchronous HTTP client on libcurl's multi interface and one loop: connection reuse, HTTP/2, client certificates,
 * unix sockets. A call ends with exactly one on_done, also on failure and timeout; http_call_cancel() ends it
 * without.
 */
#ifndef SKEP_IO_HTTP_CLIENT_H
#define SKEP_IO_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/err.h"
#include "loop.h"
#include "tls.h"

struct http_client; /* one peer: base URL, TLS identity, connection pool */
struct http_call;

struct http_client_config {
	const char *base_url;	     /* "https://127.0.0.1:6443" */
	const struct tls_files *tls; /* for https; copied */
	const char *ca_pem;	     /* trusted issuers as PEM text, instead of tls->ca_file; NULL: none */
	const char *unix_socket;     /* connect here instead; NULL: TCP */
	const char *bearer_token;    /* NULL: none; never logged. http_client_set_bearer() replaces it */
	bool insecure_skip_verify;   /* only what a kubeconfig asks for */
	const char *tls_server_name; /* name to verify instead of the URL's; NULL: the URL's */
	bool h2_prior_knowledge;     /* plain HTTP/2 (gRPC) */
	int connect_timeout_ms;	     /* 0: 5 s */
	const char *const *headers;  /* "Name: value" for every call, NULL-terminated, copied; may be NULL */
};

/*
 * loop may be NULL for a client that only does http_call_sync(). base_url may have a path: it is put before every
 * call's.
 */
int http_client_new(struct loop *loop, const struct http_client_config *config, struct http_client **ret,
		    struct err *err);
void http_client_free(struct http_client *c);			      /* cancels its calls */
int http_client_set_bearer(struct http_client *c, const char *token); /* for calls from now on; 0 or -ENOMEM */

struct http_response {
	int status;	  /* 0: no answer; see err */
	const char *body; /* NUL-terminated; empty when on_data took it */
	size_t len;
	const char *error; /* what failed when status is 0 (connection refused, timeout, TLS); else NULL */
	int code;	   /* then its negative errno: -ECONNREFUSED, -ETIMEDOUT, -EPROTO (TLS), -EFBIG, -EIO... */
};

struct http_call_config {
	const char *method;	  /* "GET" */
	const char *path;	  /* path?query, percent-encoded by the caller (http_escape) */
	const char *content_type; /* NULL: none */
	const char *accept;	  /* NULL: application/json */
	const void *body;	  /* copied */
	size_t body_len;
	const char *const *headers; /* further "Name: value", NULL-terminated; may be NULL */
	int timeout_ms;		    /* whole call; 0: 30 s; -1: none (watches) */
	int idle_timeout_ms;	    /* no byte for so long ends it; 0: none */
	size_t max_body;	    /* larger answers fail; 0: 64 MiB */
	/* Status known, before the first byte; may be NULL. */
	void (*on_status)(struct http_call *call, void *arg, int status);
	/* Body as it comes, instead of buffering; may be NULL. Return 0 to go on, anything else ends the call. */
	int (*on_data)(struct http_call *call, void *arg, const void *data, size_t len);
	void (*on_header)(struct http_call *call, void *arg, const char *name,
			  const char *value); /* and trailers; may be NULL */
	void (*on_done)(struct http_call *call, void *arg, const struct http_response *rsp);
	void *arg;
};

/*
 * NULL: out of memory. The call frees itself after on_done. An answer that breaks off ends with status 0, whatever
 * on_status said before; one that on_data ended has its status. Calls may be started and cancelled in any callback,
 * also for themselves, and the client may be freed there.
 */
struct http_call *http_call_start(struct http_client *c, const struct http_call_config *config);
void http_call_cancel(struct http_call *call);
/*
 * Stop and go on reading the answer: back-pressure of a consumer slower than the peer. A little may still come after
 * a pause.
 */
void http_call_pause(struct http_call *call, bool pause);

/*
 * Blocking convenience for the CLI: waits for this call only, the client's loop does not run. on_data and on_header
 * are called, on_done is not. 0 when there was an answer, whatever its status. *ret_body is the caller's (free());
 * each ret may be NULL.
 */
int http_call_sync(struct http_client *c, const struct http_call_config *config, int *ret_status, char **ret_body,
		   size_t *ret_len, struct err *err);

/*
 * Upgraded connection (exec, attach, port-forward): sends an HTTP/1.1 request with the given headers, and on 101
 * gives the byte stream. On another status on_close gets it with the body. One connection per call, TLS as the
 * client's.
 */
struct http_upgrade;
struct http_upgrade_ops {
	void (*on_open)(struct http_upgrade *u, void *arg, const char *response_head); /* complete header block */
	void (*on_data)(struct http_upgrade *u, void *arg, const void *data, size_t len);
	/*
	 * status: the HTTP status when the upgrade was refused, 0 on a connection error or a normal end after
	 * on_open.
	 */
	void (*on_close)(struct http_upgrade *u, void *arg, int status, const char *text);
};
struct http_upgrade *http_upgrade_start(struct http_client *c, const char *method, const char *path,
					const char *const *headers, const struct http_upgrade_ops *ops, void *arg,
					struct err *err);
int http_upgrade_write(struct http_upgrade *u, const void *data, size_t len); /* queued */
size_t http_upgrade_pending(const struct http_upgrade *u);
void http_upgrade_pause(struct http_upgrade *u, bool pause);
/*
 * Back-pressure for who writes: with more than low_water bytes pending, fn is called once, from the loop, when no more
 * than that are left; not when the connection ends before.
 */
void http_upgrade_on_drain(struct http_upgrade *u, size_t low_water, void (*fn)(struct http_upgrade *u, void *arg));
void http_upgrade_close(struct http_upgrade *u); /* flush, close, free; no further callbacks */

/* Percent-encodes one path segment or query value (RFC 3986 unreserved stay). free() the result. */
char *http_escape(const char *s);

#endif
