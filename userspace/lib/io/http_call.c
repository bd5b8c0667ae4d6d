/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request and its answer: options given to libcurl, the answer's bytes handed on, the outcome put into words. The
 * life of a call: in its client's `starting` list until libcurl can take it, in `calls` while it runs, in `dead` if
 * it is cancelled while libcurl is on the stack.
 */
#include <assert.h>
#include <errno.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../base/cleanup.h"
#include "../base/clock.h"
#include "../base/str.h"
#include "http-internal.h"

#ifndef SKEP_VERSION
#define SKEP_VERSION "unknown"
#endif
#define MAX_BODY_DEFAULT       (64u << 20)
#define STREAMS_PER_CONNECTION 90 /* libcurl counts on 100 until the server has said what it takes */
#define MAX_UPLOAD_QUEUE       (64u << 20)

struct http_call_sync_state {
	bool done;
	int status, r;
	struct strbuf body;
	struct err *err;
};

static struct http_call *start(struct http_client *c, const struct http_call_config *config, bool upload);
static struct http_call *call_new(struct http_client *c, const struct http_call_config *config, bool upload, bool own);
static int add_headers(struct http_call *call);
static int set_options(struct http_call *call);

DEFINE_CLEANUP(struct http_call *, http_call_free);

struct http_call *http_call_start(struct http_client *c, const struct http_call_config *config)
{
	return start(c, config, false);
}

struct http_call *http_call_start_upload(struct http_client *c, const struct http_call_config *config)
{
	return start(c, config, true);
}

static struct http_call *start(struct http_client *c, const struct http_call_config *config, bool upload)
{
	struct http_call *call;

	assert(c->loop && !c->freed);
	call = call_new(c, config, upload, h2c_serves(c));
	if (!call)
		return NULL;
	list_push_back(&c->starting, &call->node);
	if (!c->in_curl && list_first(&c->starting, struct http_call, node) == call && http_call_may_start(call))
		http_call_add(call);
	return call;
}

bool http_call_may_start(struct http_call *call)
{
	struct http_client *c = call->c;

	if (!c->https || c->ungated || c->n_active < c->capacity)
		return true;
	if (c->leader)
		return false;
	c->leader = call;
	return true;
}

/* Those who wait are looked at on the next turn: this may be a caller's cancel, out of which no callback shall come. */
static void kick(struct http_client *c)
{
	if (!list_empty(&c->starting))
		(void)loop_timer_set(c->loop, &c->kick, 0);
}

/* new_connections: made for the leader; < 0: it failed. A leader that found a free stream after all adds nothing. */
static void leader_done(struct http_client *c, long new_connections)
{
	c->leader = NULL;
	if (new_connections > 0)
		c->capacity += STREAMS_PER_CONNECTION;
	else if (new_connections < 0)
		c->ungated = true;
	kick(c);
}

static void activate(struct http_call *call)
{
	call->active = true;
	call->c->n_active++;
}

static void deactivate(struct http_call *call)
{
	struct http_client *c = call->c;

	if (!call->active)
		return;
	call->active = false;
	if (c->leader == call)
		leader_done(c, -1);
	if (--c->n_active == 0) { /* nothing holds the connections any more: count anew */
		c->capacity = 0;
		c->ungated = false;
	}
	kick(c);
}

static int on_connected(void *arg, char *ip, char *local_ip, int port, int local_port)
{
	struct http_call *call = arg;
	long made = 0;

	(void)ip;
	(void)local_ip;
	(void)port;
	(void)local_port;
	if (call->c->leader == call) {
		curl_easy_getinfo(call->easy, CURLINFO_NUM_CONNECTS, &made);
		leader_done(call->c, made);
	}
	return call->in_done ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

static void on_idle(struct loop_timer *timer)
{
	struct http_call *call = timer->arg;
	struct http_client *c = call->c;
	int64_t left = call->last_byte_ms + call->config.idle_timeout_ms - clock_mono_ms();

	if (left > 0) {
		/* Bytes came meanwhile: the timer is not moved for each of them, only looked at when due. */
		(void)loop_timer_set(call->c->loop, timer, left);
		return;
	}
	call->idle_hit = true;
	c->depth++;
	http_call_finish(call, CURLE_OPERATION_TIMEDOUT);
	c->depth--;
	http_client_flush(c);
}

/* Of calls over our own connections; libcurl minds its own. */
static void on_deadline(struct loop_timer *timer)
{
	struct http_call *call = timer->arg;
	struct http_client *c = call->c;

	h2c_timed_out(call);
	snprintf(call->error, sizeof(call->error), "no answer in time");
	c->depth++;
	http_call_finish(call, CURLE_OPERATION_TIMEDOUT);
	c->depth--;
	http_client_flush(c);
}

/* A failure to add (out of memory, refused) is told on the next turn, like every other end. */
static void on_add_failed(struct loop_timer *timer)
{
	struct http_call *call = timer->arg;
	struct http_client *c = call->c;

	c->depth++;
	http_call_finish(call, call->end_code);
	c->depth--;
	http_client_flush(c);
}

void http_call_add(struct http_call *call)
{
	struct http_client *c = call->c;

	call->multi = call->own ? NULL : c->multi;
	list_remove(&call->node);
	list_push_back(&c->calls, &call->node);
	activate(call);
	call->idle.arg = call;
	call->end_code = CURLE_OUT_OF_MEMORY;
	if (call->own ? h2c_start(call) < 0 : curl_multi_add_handle(c->multi, call->easy) != CURLM_OK) {
		call->multi = NULL;
		call->idle.fn = on_add_failed;
		(void)loop_timer_set(c->loop, &call->idle, 0);
		return;
	}
	call->last_byte_ms = clock_mono_ms();
	call->idle.fn = on_idle;
	if (call->config.idle_timeout_ms > 0)
		(void)loop_timer_set(c->loop, &call->idle, call->config.idle_timeout_ms);
	call->deadline.fn = on_deadline;
	call->deadline.arg = call;
	if (call->own && call->config.timeout_ms >= 0)
		(void)loop_timer_set(c->loop, &call->deadline,
				     call->config.timeout_ms ? call->config.timeout_ms : 30000);
}

void http_call_cancel(struct http_call *call)
{
	struct http_client *c;

	if (!call || call->in_done)
		return;
	c = call->c;
	call->in_done = true;
	list_remove(&call->node);
	if (call->active && c->https && !c->ungated && call->status && !c->freed) {
		c->poke = true;
		(void)loop_timer_set(c->loop, &c->kick, 0);
	}
	if (call->sync) {
		call->sync->done = true;
		call->sync->r = err_set(call->sync->err, ECANCELED, "cancelled");
		call->sync = NULL;
	}
	if (c->in_curl) {
		if (c->loop)
			loop_timer_cancel(&call->idle);
		loop_timer_cancel(&call->deadline);
		list_push_back(&c->dead, &call->node);
		return;
	}
	http_call_free(call);
}

void http_call_free(struct http_call *call)
{
	if (!call)
		return;
	list_remove(&call->node);
	deactivate(call);
	if (call->c->loop)
		loop_timer_cancel(&call->idle);
	loop_timer_cancel(&call->deadline);
	h2c_detach(call);
	if (call->multi)
		curl_multi_remove_handle(call->multi, call->easy);
	if (call->easy)
		curl_easy_cleanup(call->easy);
	curl_slist_free_all(call->headers);
	strbuf_done(&call->body);
	strbuf_done(&call->out);
	free(call->url);
	free(call->method);
	if (call->owner_free)
		call->owner_free(call->config.arg);
	free(call);
}

int http_call_send(struct http_call *call, const void *data, size_t len)
{
	if (call->in_done || !call->upload || !call->upload_open)
		return -EPIPE;
	if (call->out.len - call->out_off + len > MAX_UPLOAD_QUEUE)
		return -ENOBUFS;
	if (call->out_off && call->out_off == call->out.len) {
		strbuf_clear(&call->out);
		call->out_off = 0;
	}
	if (strbuf_reserve(&call->out, len) < 0)
		return -ENOMEM;
	strbuf_add(&call->out, data, len);
	http_call_resume(call);
	return 0;
}

void http_call_send_end(struct http_call *call)
{
	if (call->in_done)
		return;
	call->upload_open = false;
	http_call_resume(call);
}

void http_call_resume(struct http_call *call)
{
	if (!call->upload_paused || (call->upload_open && call->out_off == call->out.len))
		return;
	if (call->c->in_curl) {
		call->c->resume = true;
		return;
	}
	call->upload_paused = false;
	if (call->own) {
		h2c_resume(call);
		return;
	}
	/* May call the read function at once: that is libcurl on the stack. */
	call->c->depth++;
	call->c->in_curl++;
	curl_easy_pause(call->easy, CURLPAUSE_CONT);
	call->c->in_curl--;
	call->c->depth--;
}

void http_call_pause(struct http_call *call, bool pause)
{
	struct http_client *c = call->c;

	if (call->own && !call->in_done)
		h2c_pause(call, pause);
	if (call->in_done || !call->multi)
		return;
	/* Going on may call the write function at once: that is libcurl on the stack. */
	c->depth++;
	c->in_curl++;
	curl_easy_pause(call->easy, (pause ? CURLPAUSE_RECV : CURLPAUSE_RECV_CONT) |
					    (call->upload_paused ? CURLPAUSE_SEND : CURLPAUSE_SEND_CONT));
	c->in_curl--;
	c->depth--;
	if (!pause)
		http_client_flush(c);
}

ssize_t http_call_next_upload(struct http_call *call, void *buf, size_t size)
{
	size_t len = call->out.len - call->out_off;

	if (!len) {
		if (!call->upload_open)
			return 0;
		call->upload_paused = true;
		return -1;
	}
	if (len > size)
		len = size;
	memcpy(buf, call->out.buf + call->out_off, len);
	call->out_off += len;
	return (ssize_t)len;
}

static size_t on_upload(char *buf, size_t size, size_t n, void *arg)
{
	struct http_call *call = arg;
	ssize_t len;

	if (call->in_done)
		return CURL_READFUNC_ABORT;
	len = http_call_next_upload(call, buf, size * n);
	return len < 0 ? CURL_READFUNC_PAUSE : (size_t)len;
}

bool http_call_got_body(struct http_call *call, const char *data, size_t len)
{
	if (call->in_done)
		return false;
	call->last_byte_ms = clock_mono_ms();
	call->c->n_pieces++;
	if (call->config.on_data) {
		if (call->config.on_data(call, call->config.arg, data, len)) {
			call->stopped = true;
			return false;
		}
		return !call->in_done;
	}
	if (call->body.len + len > call->config.max_body) {
		call->too_big = true;
		return false;
	}
	strbuf_add(&call->body, data, len);
	return !strbuf_oom(&call->body);
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	return http_call_got_body(arg, data, size * n) ? size * n : 0;
}

bool http_call_got_status(struct http_call *call, int status)
{
	if (call->in_done)
		return false;
	if (status >= 200 && status <= 999) {
		call->status = status;
		if (call->config.on_status)
			call->config.on_status(call, call->config.arg, status);
	}
	return !call->in_done;
}

bool http_call_got_header(struct http_call *call, const char *name, const char *value)
{
	if (call->in_done)
		return false;
	call->last_byte_ms = clock_mono_ms();
	if (call->config.on_header && call->status) /* a 1xx answer's headers are not the answer's */
		call->config.on_header(call, call->config.arg, name, value);
	return !call->in_done;
}

static bool header_status(struct http_call *call, const char *line)
{
	const char *sp;
	int status;

	if (!str_starts(line, "HTTP/"))
		return false;
	sp = strchr(line, ' ');
	status = sp ? atoi(sp + 1) : 0;
	if (str_starts(line, "HTTP/1"))
		call->c->ungated = true;
	(void)http_call_got_status(call, status);
	return true;
}

static size_t on_header_line(char *data, size_t size, size_t n, void *arg)
{
	struct http_call *call = arg;
	size_t len = size * n, l = len;
	cleanup(free) char *line = NULL;
	char *value;

	if (call->in_done)
		return 0;
	call->last_byte_ms = clock_mono_ms();
	while (l && strchr("\r\n \t", data[l - 1]))
		l--;
	line = strndup(data, l);
	if (!line)
		return 0;
	if (header_status(call, line))
		return call->in_done ? 0 : len;
	value = strchr(line, ':');
	if (!value || value == line)
		return len;
	*value++ = '\0';
	value += strspn(value, " \t");
	return http_call_got_header(call, line, value) ? len : 0;
}

static struct http_call *call_new(struct http_client *c, const struct http_call_config *config, bool upload, bool own)
{
	cleanup(http_call_free) struct http_call *call = calloc(1, sizeof(*call));

	if (!call)
		return NULL;
	list_init(&call->node);
	list_init(&call->h2c_node);
	strbuf_init(&call->body);
	strbuf_init(&call->out);
	call->c = c;
	call->config = *config;
	call->upload = call->upload_open = upload;
	call->own = own;
	if (!call->config.max_body)
		call->config.max_body = MAX_BODY_DEFAULT;
	call->method = strdup(config->method ? config->method : "GET");
	call->easy = own ? NULL : curl_easy_init();
	if (!call->method || (!call->easy && !own) ||
	    asprintf(&call->url, "%s%s%s", c->base_url, config->path && config->path[0] == '/' ? "" : "/",
		     config->path ? config->path : "") < 0)
		return NULL;
	if (config->body_len) {
		strbuf_add(&call->out, config->body, config->body_len);
		if (strbuf_oom(&call->out))
			return NULL;
	}
	if (add_headers(call) < 0 || (!own && set_options(call) < 0))
		return NULL;
	call->config.body = NULL;
	call->config.method = call->config.path = call->config.accept = call->config.content_type = NULL;
	call->config.headers = NULL;
	return TAKE(call);
}

static int add_header(struct http_call *call, const char *header)
{
	struct curl_slist *l = curl_slist_append(call->headers, header);

	if (!l)
		return -ENOMEM;
	call->headers = l;
	return 0;
}

static int add_headers(struct http_call *call)
{
	const struct http_call_config *config = &call->config;
	struct http_client *c = call->c;
	char line[512];
	int r = 0;

	snprintf(line, sizeof(line), "Accept: %s", config->accept ? config->accept : "application/json");
	r |= add_header(call, line);
	if (config->content_type)
		snprintf(line, sizeof(line), "Content-Type: %s", config->content_type);
	r |= add_header(call, config->content_type ? line : "Content-Type:"); /* "Name:" keeps libcurl from adding it */
	r |= add_header(call, "Expect:");
	if (c->authorization)
		r |= add_header(call, c->authorization);
	if (c->host_header)
		r |= add_header(call, c->host_header);
	for (size_t i = 0; c->headers && c->headers[i]; i++)
		r |= add_header(call, c->headers[i]);
	for (size_t i = 0; config->headers && config->headers[i]; i++)
		r |= add_header(call, config->headers[i]);
	return r;
}

static void set_tls_options(struct http_call *call)
{
	struct http_client *c = call->c;
	CURL *e = call->easy;

	curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (c->ca_pem) {
		struct curl_blob blob = { .data = c->ca_pem, .len = strlen(c->ca_pem), .flags = CURL_BLOB_NOCOPY };

		curl_easy_setopt(e, CURLOPT_CAINFO_BLOB, &blob);
		curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
	} else if (c->ca_file) {
		curl_easy_setopt(e, CURLOPT_CAINFO, c->ca_file);
		curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
	}
	if (c->cert_file) {
		curl_easy_setopt(e, CURLOPT_SSLCERT, c->cert_file);
		curl_easy_setopt(e, CURLOPT_SSLKEY, c->key_file);
	}
	curl_easy_setopt(e, CURLOPT_CA_CACHE_TIMEOUT, 60L); /* a new CA file counts within a minute */
	if (c->insecure) {
		curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 0L);
	}
}

static void set_method(struct http_call *call)
{
	CURL *e = call->easy;
	const char *m = call->method;

	if (call->upload) {
		curl_easy_setopt(e, CURLOPT_POST, 1L);
		curl_easy_setopt(e, CURLOPT_READFUNCTION, on_upload);
		curl_easy_setopt(e, CURLOPT_READDATA, call);
	} else if (call->out.len || streq(m, "POST") || streq(m, "PUT") || streq(m, "PATCH")) {
		curl_easy_setopt(e, CURLOPT_POST, 1L);
		curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->out.len);
		curl_easy_setopt(e, CURLOPT_POSTFIELDS, call->out.buf);
	} else if (streq(m, "HEAD")) {
		curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
	}
	curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, m);
}

static int set_options(struct http_call *call)
{
	struct http_client *c = call->c;
	CURL *e = call->easy;
	int timeout_ms = call->config.timeout_ms;
	long version = CURL_HTTP_VERSION_1_1;

	if (c->h2_prior_knowledge)
		version = c->https ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;
	else if (c->https)
		version = CURL_HTTP_VERSION_2TLS;
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_PRIVATE, call);
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, call->error);
	curl_easy_setopt(e, CURLOPT_PROXY, "");
	curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION, version);
	/*
	 * libcurl (7.88) takes up to 32 KiB at once from an HTTP/2 connection. What does not fit into this buffer it
	 * sets aside, and then stalls or repeats it: a watch on etcd stood still in the middle of an event of 600 KB.
	 */
	curl_easy_setopt(e, CURLOPT_BUFFERSIZE, 65536L);
	curl_easy_setopt(e, CURLOPT_USERAGENT, "skep/" SKEP_VERSION);
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)c->connect_timeout_ms);
	curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, timeout_ms < 0 ? 0L : timeout_ms ? (long)timeout_ms : 30000L);
	curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(e, CURLOPT_TCP_KEEPIDLE, 15L);
	curl_easy_setopt(e, CURLOPT_TCP_KEEPINTVL, 5L);
	curl_easy_setopt(e, CURLOPT_HTTPHEADER, call->headers);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, call);
	curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, http_open_socket);
	curl_easy_setopt(e, CURLOPT_CLOSESOCKETFUNCTION, http_close_socket);
	curl_easy_setopt(e, CURLOPT_CLOSESOCKETDATA, c);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header_line);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, call);
	if (c->unix_socket)
		curl_easy_setopt(e, CURLOPT_UNIX_SOCKET_PATH, c->unix_socket);
	if (c->connect_to)
		curl_easy_setopt(e, CURLOPT_CONNECT_TO, c->connect_to);
	if (c->https) {
		curl_easy_setopt(e, CURLOPT_PIPEWAIT,
				 1L); /* rather a stream of a connection being made than one more */
		curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, on_connected);
		curl_easy_setopt(e, CURLOPT_PREREQDATA, call);
		set_tls_options(call);
	}
	if (c->no_reuse && !c->https) {
		curl_easy_setopt(e, CURLOPT_FORBID_REUSE, 1L);
		curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, 1L);
	}
	set_method(call);
	return curl_easy_setopt(e, CURLOPT_URL, call->url) == CURLE_OK ? 0 : -ENOMEM;
}

/* libcurl's codes as an errno and a cause in words. */
static int explain(struct http_call *call, CURLcode code, char *buf, size_t size)
{
	const char *text = call->error[0] ? call->error : curl_easy_strerror(code);
	long os = 0, verify = 0;

	if (call->easy)
		curl_easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &os);
	else
		os = call->os_errno;
	if (call->idle_hit) {
		snprintf(buf, size, "timeout: nothing received for %d ms", call->config.idle_timeout_ms);
		return -ETIMEDOUT;
	}
	if (call->too_big) {
		snprintf(buf, size, "the answer is larger than %zu bytes", call->config.max_body);
		return -EFBIG;
	}
	switch (code) {
	case CURLE_COULDNT_CONNECT:
		snprintf(buf, size, "%s", os ? strerror((int)os) : text);
		return os ? -(int)os : -ECONNREFUSED;
	case CURLE_OPERATION_TIMEDOUT:
		snprintf(buf, size, "timeout: %s", text);
		return -ETIMEDOUT;
	case CURLE_COULDNT_RESOLVE_HOST:
		snprintf(buf, size, "%s", text);
		return -EHOSTUNREACH;
	case CURLE_PEER_FAILED_VERIFICATION:
		curl_easy_getinfo(call->easy, CURLINFO_SSL_VERIFYRESULT, &verify);
		snprintf(buf, size, "certificate verify failed: %s",
			 verify ? X509_verify_cert_error_string(verify) : text);
		return -EPROTO;
	case CURLE_SSL_CONNECT_ERROR:
		snprintf(buf, size, "TLS: %s", text);
		return -EPROTO;
	case CURLE_SSL_CERTPROBLEM:
		snprintf(buf, size, "client certificate '%s', key '%s': %s",
			 call->c->cert_file ? call->c->cert_file : "", call->c->key_file ? call->c->key_file : "",
			 text);
		return -EPROTO;
	case CURLE_SSL_CACERT_BADFILE:
		snprintf(buf, size, "CA file '%s': %s", call->c->ca_file ? call->c->ca_file : "", text);
		return -EPROTO;
	case CURLE_OUT_OF_MEMORY:
		snprintf(buf, size, "out of memory");
		return -ENOMEM;
	case CURLE_GOT_NOTHING:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
		snprintf(buf, size, "connection lost: %s", text);
		return -ECONNRESET;
	default:
		snprintf(buf, size, "%s", text);
		return -EIO;
	}
}

static void note_unsent(struct http_call *call, CURLcode code)
{
	curl_off_t pretransfer = 0;

	call->timed_out = code == CURLE_OPERATION_TIMEDOUT;
	if (call->easy)
		curl_easy_getinfo(call->easy, CURLINFO_PRETRANSFER_TIME_T, &pretransfer);
	else
		pretransfer = call->sent;
	call->unsent = code != CURLE_OK && !pretransfer && !call->status;
}

void http_call_finish(struct http_call *call, CURLcode code)
{
	struct http_client *c = call->c;
	struct http_response rsp = { .status = call->status, .body = call->body.buf, .len = call->body.len };
	char cause[CURL_ERROR_SIZE + 256], text[CURL_ERROR_SIZE + 768];

	if (call->multi)
		curl_multi_remove_handle(call->multi, call->easy);
	call->multi = NULL;
	h2c_detach(call);
	loop_timer_cancel(&call->deadline);
	if (call->in_done) { /* cancelled inside libcurl */
		http_call_free(call);
		return;
	}
	if (code == CURLE_OK && !call->status) {
		/* Nothing but 1xx, or a status out of range. */
		code = CURLE_WEIRD_SERVER_REPLY;
		snprintf(call->error, sizeof(call->error), "no valid answer");
	}
	if (code != CURLE_OK && !call->stopped) {
		note_unsent(call, code);
		rsp.code = explain(call, code, cause, sizeof(cause));
		if (c->unix_socket)
			snprintf(text, sizeof(text), "%s: %s", c->unix_socket, cause);
		else
			snprintf(text, sizeof(text), strchr(c->host, ':') ? "[%s]:%d: %s" : "%s:%d: %s", c->host,
				 c->port, cause);
		rsp.status = 0;
		rsp.error = text;
	}
	call->in_done = true;
	list_remove(&call->node);
	deactivate(call);
	if (call->sync) {
		struct http_call_sync_state *sync = call->sync;

		sync->done = true;
		sync->status = rsp.status;
		if (rsp.status) {
			sync->body = call->body;
			strbuf_init(&call->body);
		} else {
			sync->r = err_set(sync->err, -rsp.code, "%s", rsp.error);
		}
	} else if (call->config.on_done) {
		c->depth++;
		call->config.on_done(call, call->config.arg, &rsp);
		c->depth--;
	}
	http_call_free(call);
}

int http_call_sync(struct http_client *c, const struct http_call_config *config, int *ret_status, char **ret_body,
		   size_t *ret_len, struct err *err)
{
	struct http_call_sync_state sync = { .err = err };
	struct http_call *call;

	strbuf_init(&sync.body);
	if (!c->sync_multi)
		c->sync_multi = http_multi_new(c);
	call = c->sync_multi ? call_new(c, config, false, false) : NULL;
	if (!call)
		return err_set(err, ENOMEM, "out of memory");
	call->sync = &sync;
	call->multi = c->sync_multi;
	call->last_byte_ms = clock_mono_ms();
	if (curl_multi_add_handle(c->sync_multi, call->easy) != CURLM_OK) {
		call->multi = NULL;
		http_call_free(call);
		return err_set(err, ENOMEM, "out of memory");
	}
	list_push_back(&c->calls, &call->node);
	c->depth++;
	while (!sync.done) {
		int running, wait_ms = 1000;

		c->in_curl++;
		curl_multi_perform(c->sync_multi, &running);
		c->in_curl--;
		http_client_take_done(c, c->sync_multi);
		if (sync.done)
			break;
		if (config->idle_timeout_ms > 0) {
			int64_t left = call->last_byte_ms + config->idle_timeout_ms - clock_mono_ms();

			if (left <= 0) {
				call->idle_hit = true;
				http_call_finish(call, CURLE_OPERATION_TIMEDOUT);
				break;
			}
			wait_ms = left < wait_ms ? (int)left : wait_ms;
		}
		curl_multi_poll(c->sync_multi, NULL, 0, wait_ms, NULL);
	}
	c->depth--;
	http_client_flush(c);
	if (sync.r == 0) {
		if (ret_status)
			*ret_status = sync.status;
		if (ret_len)
			*ret_len = sync.body.len;
		if (ret_body) {
			/* The shared empty string is not the caller's to free. */
			*ret_body = sync.body.cap ? strbuf_detach(&sync.body, NULL) : strdup("");
			if (!*ret_body)
				sync.r = err_set(err, ENOMEM, "out of memory");
		}
	}
	strbuf_done(&sync.body);
	return sync.r;
}
