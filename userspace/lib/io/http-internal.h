/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the client's files share: http_client.c (calls), http_h2c.c (plain HTTP/2), http_upgrade.c (raw connections),
 * grpc.c (streaming uploads).
 * Nobody outside lib/io includes this.
 */
#ifndef SKEP_IO_HTTP_INTERNAL_H
#define SKEP_IO_HTTP_INTERNAL_H

#include <curl/curl.h>

#include "../base/list.h"
#include "../base/strbuf.h"
#include "http_client.h"

struct http_client {
	struct loop *loop; /* NULL: only http_call_sync() */
	CURLM *multi;
	CURLM *sync_multi;	 /* made at the first http_call_sync() */
	struct loop_timer timer; /* libcurl's */
	struct loop_timer kick;	 /* somebody in `starting` may go, or... */
	bool poke;		 /* ...a stream was cancelled: see push_resets() */
	struct list calls;	 /* in the multi */
	struct list starting;	 /* to be added once libcurl is left */
	struct list dead;	 /* cancelled inside libcurl: to be removed once it is left */
	struct list sockets;
	struct list upgrades; /* http_upgrade.c's */
	struct list h2cs;     /* http_h2c.c's connections; new calls take the first, if it is not retired */
	unsigned depth;	      /* callbacks of ours on the stack: freeing waits for zero */
	unsigned in_curl;     /* inside libcurl: its multi functions must not be called */
	bool freed;
	bool resume; /* some call has upload bytes again */
	/* libcurl before 8.0 mishandles a second request on an h2 connection made with prior knowledge (curl#10634). */
	bool no_reuse;
	bool withholds;	   /* libcurl before 8.0: see act_again() */
	uint64_t n_pieces; /* pieces of answers' bodies so far */
	/*
	 * Over TLS calls share connections, but libcurl opens one for each call that finds none with a free stream,
	 * also if many are started at once. So one call at a time, the leader, may open a connection; the others wait
	 * in `starting` until it stands, and then count on so many streams of it.
	 */
	struct http_call *leader;
	size_t n_active, capacity; /* calls given to libcurl; streams to count on */
	bool ungated;		   /* a leader failed, or the peer has no HTTP/2: everybody goes at once */

	char *base_url;	   /* without trailing '/' */
	char *host, *path; /* host: without brackets; path: prefix, "" or "/x" */
	int port;
	bool https;
	char *ca_file, *cert_file, *key_file, *ca_pem;
	char *unix_socket, *server_name, *authorization;
	char **headers; /* for every call; NULL-terminated, may be NULL */
	bool insecure, h2_prior_knowledge;
	int connect_timeout_ms;
	struct curl_slist *connect_to; /* the real address when server_name stands in the URL */
	char *host_header;	       /* then: "Host: ..." */
};

struct http_call_sync_state;

struct http_call {
	struct http_client *c;
	CURL *easy;
	CURLM *multi;			/* NULL: not added yet */
	struct list node;		/* in calls, starting or dead */
	struct http_call_config config; /* its pointers are not valid any more, the callbacks are */
	struct curl_slist *headers;
	char *url, *method;
	struct strbuf body; /* the answer */
	int status;	    /* of the final answer; 0: not yet */
	bool active;	    /* counts in c->n_active */
	bool stopped;	    /* on_data said so */
	bool too_big;
	bool idle_hit;
	bool in_done;
	struct loop_timer idle;
	int64_t last_byte_ms;
	char error[CURL_ERROR_SIZE];
	struct http_call_sync_state *sync;
	/* http_h2c.c */
	bool own;	      /* goes over a connection of ours: easy is NULL */
	struct h2c *h2c;      /* whose stream it is; NULL: none (yet, or any more) */
	struct list h2c_node; /* in h2c's streams or ended */
	int32_t stream_id;
	struct loop_timer deadline;
	CURLcode end_code; /* outcome, while it waits in `ended` */
	int os_errno;	   /* why there is no connection */
	bool sent, paused;
	size_t unconsumed; /* bytes received while paused */
	/* streaming request */
	bool upload, upload_open, upload_paused, resume;
	struct strbuf out;
	size_t out_off;
	/* for grpc.c */
	void (*owner_free)(
		void *arg); /* called with config.arg when the call is freed, however it ended; may be NULL */
	bool timed_out;	    /* these two are set before on_done */
	bool unsent;	    /* the peer cannot have seen the request */
};

/*
 * As http_call_start(), but the request's body is what http_call_send() queues (config->body first) until
 * http_call_send_end().
 */
struct http_call *http_call_start_upload(struct http_client *c, const struct http_call_config *config);
int http_call_send(struct http_call *call, const void *data, size_t len);
void http_call_send_end(struct http_call *call);

void http_client_enter(struct http_client *c); /* a callback of ours runs: c stays */
void http_client_leave(struct http_client *c);
CURLM *http_multi_new(const struct http_client *c);
void http_client_flush(struct http_client *c); /* may free c unless the caller holds a level of depth */
bool http_client_take_done(struct http_client *c,
			   CURLM *multi);   /* caller holds a level of depth; true if a call ended */
void http_call_add(struct http_call *call); /* to its multi, out of the waiting */
bool http_call_may_start(struct http_call *call);
void http_call_finish(struct http_call *call, CURLcode code); /* on_done, free */
void http_call_free(struct http_call *call);
void http_call_resume(struct http_call *call); /* upload bytes for libcurl, if it waits for them */
/* What a connection of either sort tells of an answer. false: the call is to be ended. */
bool http_call_got_status(struct http_call *call, int status);
bool http_call_got_header(struct http_call *call, const char *name, const char *value);
bool http_call_got_body(struct http_call *call, const char *data, size_t len);
/*
 * Bytes of the request's body: their number; 0 at its end; -1: none now, http_call_resume() will say. The caller takes
 * them.
 */
ssize_t http_call_next_upload(struct http_call *call, void *buf, size_t size);

/* --- http_h2c.c --------------------------------------------------------------------------------------------------- */

bool h2c_serves(const struct http_client *c);
int h2c_start(struct http_call *call);	 /* 0; < 0: call->end_code says what http_call_finish() is to be told */
void h2c_detach(struct http_call *call); /* ends its stream; nothing more comes for it */
void h2c_resume(struct http_call *call); /* there is upload again */
void h2c_pause(struct http_call *call, bool pause);
void h2c_timed_out(struct http_call *call); /* before http_call_finish(): its connection may be dead */
void h2c_free_all(struct http_client *c);

void http_upgrades_free(struct http_client *c);
/* libcurl's sockets: not for programs that we start, and out of the loop before they are closed. */
curl_socket_t http_open_socket(void *client, curlsocktype purpose, struct curl_sockaddr *addr);
int http_close_socket(void *client, curl_socket_t fd);

#endif
