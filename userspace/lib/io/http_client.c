/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client: settings of one peer and libcurl's multi handle driven by a loop. libcurl says which sockets and which
 * timeout it wants; we call curl_multi_socket_action() when they are due. Its multi functions must not be called from
 * inside its callbacks, so calls started or cancelled there wait in lists that http_client_flush() works off once
 * libcurl is left.
 */
#include "http_client.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "../base/cleanup.h"
#include "../base/str.h"
#include "http-internal.h"

struct http_socket {
	struct loop_io io;
	struct http_client *c;
	struct list node;
};

static int parse_url(struct http_client *c, const char *url, struct err *err);
static int copy_config(struct http_client *c, const struct http_client_config *config);
static int setup_server_name(struct http_client *c, struct err *err);
static void destroy(struct http_client *c);

DEFINE_CLEANUP(struct http_client *, http_client_free);

static void global_init(void)
{
	struct sigaction sa;

	curl_global_init(CURL_GLOBAL_DEFAULT);
	/* OpenSSL writes without MSG_NOSIGNAL: a peer that hangs up must not end the process. */
	if (!sigaction(SIGPIPE, NULL, &sa) && sa.sa_handler == SIG_DFL)
		signal(SIGPIPE, SIG_IGN);
}

/* A client freed by one of its callbacks goes when the last of its frames has returned. */
void http_client_enter(struct http_client *c)
{
	c->depth++;
}

void http_client_leave(struct http_client *c)
{
	if (--c->depth == 0 && c->freed)
		destroy(c);
}

static void act(struct http_client *c, curl_socket_t fd, int what)
{
	int running;

	http_client_enter(c);
	c->in_curl++;
	curl_multi_socket_action(c->multi, fd, what, &running);
	c->in_curl--;
	http_client_flush(c);
	http_client_leave(c);
}

/*
 * libcurl before 8.0 may keep whole frames that it has read from an HTTP/2 connection until more comes, so that a
 * stream lacks its last message: it is asked again until it has nothing more to give.
 */
static void act_again(struct http_client *c, curl_socket_t fd, int what)
{
	uint64_t before;

	http_client_enter(c);
	do {
		before = c->n_pieces;
		act(c, fd, what);
		what = CURL_CSELECT_IN;
	} while (c->withholds && !c->freed && c->n_pieces != before);
	http_client_leave(c);
}

static void on_socket_ready(struct loop_io *io, uint32_t events)
{
	struct http_socket *s = io->arg;
	int what = 0;

	if (events & EPOLLIN)
		what |= CURL_CSELECT_IN;
	if (events & EPOLLOUT)
		what |= CURL_CSELECT_OUT;
	if (events & (EPOLLERR | EPOLLHUP))
		what |= CURL_CSELECT_ERR;
	act_again(s->c, io->fd, what);
}

static bool has_socket(const struct http_client *c, int fd)
{
	list_for_each (n, &c->sockets)
		if (list_entry(n, struct http_socket, node)->io.fd == fd)
			return true;
	return false;
}

/* A stream that gets on by the timer may have read what belongs to others of its connection, too. */
static void on_timer(struct loop_timer *timer)
{
	struct http_client *c = timer->arg;
	uint64_t before = c->n_pieces;
	int fds[64];
	size_t n = 0;

	http_client_enter(c);
	act(c, CURL_SOCKET_TIMEOUT, 0);
	if (c->withholds && c->n_pieces != before)
		list_for_each (node, &c->sockets)
			if (n < sizeof(fds) / sizeof(fds[0]))
				fds[n++] = list_entry(node, struct http_socket, node)->io.fd;
	for (size_t i = 0; i < n && !c->freed; i++)
		if (has_socket(c, fds[i]))
			act_again(c, fds[i], CURL_CSELECT_IN);
	http_client_leave(c);
}

/*
 * libcurl (7.88) only queues the frame that ends a cancelled stream, until the next request goes over the connection:
 * the peer would go on with a watch or a log that nobody reads. So a request of no consequence follows, one for all
 * cancelled in a turn.
 */
static void push_resets(struct http_client *c)
{
	struct http_call_config config = { .method = "HEAD", .path = "/livez", .timeout_ms = 5000 };

	c->poke = false;
	if (c->n_active < c->capacity)
		(void)http_call_start(c, &config);
}

static void on_kick(struct loop_timer *timer)
{
	struct http_client *c = timer->arg;

	http_client_enter(c);
	if (c->poke)
		push_resets(c);
	http_client_flush(c);
	http_client_leave(c);
}

static int want_timer(CURLM *multi, long timeout_ms, void *arg)
{
	struct http_client *c = arg;

	(void)multi;
	if (timeout_ms < 0) {
		loop_timer_cancel(&c->timer);
		return 0;
	}
	return loop_timer_set(c->loop, &c->timer, timeout_ms) < 0 ? -1 : 0;
}

static int want_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct http_client *c = arg;
	struct http_socket *s = socket_arg;
	uint32_t events = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (s) {
			loop_io_del(&s->io);
			list_remove(&s->node);
			free(s);
			curl_multi_assign(c->multi, fd, NULL);
		}
		return 0;
	}
	if (what & CURL_POLL_IN)
		events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		events |= EPOLLOUT;
	if (s && s->io.fd == fd)
		return loop_io_set(&s->io, events) < 0 ? -1 : 0;
	if (s)
		return loop_io_add(c->loop, &s->io, fd, events) < 0 ? -1 : 0;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -1;
	s->c = c;
	s->io.fn = on_socket_ready;
	s->io.arg = s;
	if (loop_io_add(c->loop, &s->io, fd, events) < 0) {
		free(s);
		return -1;
	}
	list_push_back(&c->sockets, &s->node);
	curl_multi_assign(c->multi, fd, s);
	return 0;
}

curl_socket_t http_open_socket(void *client, curlsocktype purpose, struct curl_sockaddr *addr)
{
	(void)client;
	(void)purpose;
	return socket(addr->family, addr->socktype | SOCK_CLOEXEC, addr->protocol);
}

/*
 * libcurl may close a socket before it says that it is not to be watched any more. A process that was forked meanwhile
 * keeps the connection open, and with it epoll's entry, whose events would come for a watcher that is gone.
 */
int http_close_socket(void *client, curl_socket_t fd)
{
	struct http_client *c = client;

	list_for_each (n, &c->sockets) {
		struct http_socket *s = list_entry(n, struct http_socket, node);

		if (s->io.fd == fd)
			loop_io_del(&s->io);
	}
	return close(fd);
}

int http_client_new(struct loop *loop, const struct http_client_config *config, struct http_client **ret,
		    struct err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	cleanup(http_client_free) struct http_client *c = NULL;
	int r;

	pthread_once(&once, global_init);
	c = calloc(1, sizeof(*c));
	if (!c)
		return err_set(err, ENOMEM, "out of memory");
	c->loop = loop;
	list_init(&c->calls);
	list_init(&c->starting);
	list_init(&c->dead);
	list_init(&c->sockets);
	list_init(&c->upgrades);
	list_init(&c->h2cs);
	c->timer.fn = on_timer;
	c->timer.arg = c;
	c->kick.fn = on_kick;
	c->kick.arg = c;
	r = copy_config(c, config);
	if (r < 0)
		return err_set(err, -r, "out of memory");
	r = parse_url(c, config->base_url, err);
	if (r < 0)
		return r;
	r = setup_server_name(c, err);
	if (r < 0)
		return r;
	c->withholds = curl_version_info(CURLVERSION_NOW)->version_num < 0x080000;
	c->no_reuse = c->h2_prior_knowledge && c->withholds;
	if (loop) {
		c->multi = http_multi_new(c);
		if (!c->multi)
			return err_set(err, ENOMEM, "out of memory");
		curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
		curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
		curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, want_timer);
		curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
	}
	*ret = TAKE(c);
	return 0;
}

CURLM *http_multi_new(const struct http_client *c)
{
	CURLM *multi = curl_multi_init();

	if (!multi)
		return NULL;
	curl_multi_setopt(multi, CURLMOPT_PIPELINING, c->no_reuse ? CURLPIPE_NOTHING : CURLPIPE_MULTIPLEX);
	curl_multi_setopt(multi, CURLMOPT_MAX_CONCURRENT_STREAMS, 1000L); /* the server says what it takes */
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, 16L);
	return multi;
}

void http_client_free(struct http_client *c)
{
	if (!c || c->freed)
		return;
	c->freed = true;
	http_upgrades_free(c);
	while (!list_empty(&c->calls))
		http_call_cancel(list_first(&c->calls, struct http_call, node));
	while (!list_empty(&c->starting))
		http_call_cancel(list_first(&c->starting, struct http_call, node));
	if (!c->depth)
		destroy(c);
}

static void forget(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

int http_client_set_bearer(struct http_client *c, const char *token)
{
	char *header;

	if (asprintf(&header, "Authorization: Bearer %s", token) < 0)
		return -ENOMEM;
	forget(c->authorization);
	c->authorization = header;
	return 0;
}

static void destroy(struct http_client *c)
{
	while (!list_empty(&c->dead))
		http_call_free(list_first(&c->dead, struct http_call, node));
	h2c_free_all(c);
	if (c->multi)
		curl_multi_cleanup(c->multi);
	if (c->sync_multi)
		curl_multi_cleanup(c->sync_multi);
	/* libcurl removed every socket while it closed its connections; whatever it forgot must not call us again. */
	list_for_each_safe (n, tmp, &c->sockets) {
		struct http_socket *s = list_entry(n, struct http_socket, node);

		loop_io_del(&s->io);
		list_remove(n);
		free(s);
	}
	if (c->loop) {
		loop_timer_cancel(&c->timer);
		loop_timer_cancel(&c->kick);
	}
	curl_slist_free_all(c->connect_to);
	for (size_t i = 0; c->headers && c->headers[i]; i++)
		free(c->headers[i]);
	free(c->headers);
	forget(c->authorization);
	free(c->base_url);
	free(c->host);
	free(c->path);
	free(c->ca_file);
	free(c->ca_pem);
	free(c->cert_file);
	free(c->key_file);
	free(c->unix_socket);
	free(c->server_name);
	free(c->host_header);
	free(c);
}

/*
 * What was put off while libcurl was on the stack, and the ends of calls. Callbacks run here may start all over
 * again.
 */
void http_client_flush(struct http_client *c)
{
	bool again = true;

	http_client_enter(c);
	while (again && !c->in_curl) {
		struct http_call *call;

		again = false;
		while ((call = list_first(&c->dead, struct http_call, node)))
			http_call_free(call);
		while (!c->freed && (call = list_first(&c->starting, struct http_call, node)) &&
		       http_call_may_start(call)) {
			http_call_add(call);
			again = true;
		}
		if (c->resume) {
			c->resume = false;
			list_for_each_safe (n, tmp, &c->calls)
				http_call_resume(list_entry(n, struct http_call, node));
			again = true;
		}
		if (c->multi && http_client_take_done(c, c->multi))
			again = true;
	}
	http_client_leave(c);
}

bool http_client_take_done(struct http_client *c, CURLM *multi)
{
	bool any = false;
	CURLMsg *msg;
	int left;

	http_client_enter(c);
	while ((msg = curl_multi_info_read(multi, &left))) {
		CURLcode code = msg->data.result;
		struct http_call *call = NULL;

		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&call);
		http_call_finish(call, code);
		any = true;
	}
	c->depth--; /* not leave(): the caller's own level keeps c */
	return any;
}

static char *dup_or_null(const char *s, bool *oom)
{
	char *copy;

	if (!s)
		return NULL;
	copy = strdup(s);
	if (!copy)
		*oom = true;
	return copy;
}

static int copy_config(struct http_client *c, const struct http_client_config *config)
{
	bool oom = false;
	size_t n = 0;

	if (config->tls) {
		c->ca_file = dup_or_null(config->tls->ca_file, &oom);
		c->cert_file = dup_or_null(config->tls->cert_file, &oom);
		c->key_file = dup_or_null(config->tls->key_file, &oom);
	}
	c->ca_pem = dup_or_null(config->ca_pem, &oom);
	c->unix_socket = dup_or_null(config->unix_socket, &oom);
	c->server_name = dup_or_null(config->tls_server_name, &oom);
	if (config->bearer_token && http_client_set_bearer(c, config->bearer_token) < 0)
		oom = true;
	while (config->headers && config->headers[n])
		n++;
	if (n) {
		c->headers = calloc(n + 1, sizeof(*c->headers));
		for (size_t i = 0; c->headers && i < n; i++)
			c->headers[i] = dup_or_null(config->headers[i], &oom);
		oom = oom || !c->headers;
	}
	c->insecure = config->insecure_skip_verify;
	c->h2_prior_knowledge = config->h2_prior_knowledge;
	c->connect_timeout_ms = config->connect_timeout_ms > 0 ? config->connect_timeout_ms : 5000;
	return oom ? -ENOMEM : 0;
}

static char *url_part(CURLU *u, CURLUPart part, unsigned flags)
{
	char *v = NULL, *copy;

	if (curl_url_get(u, part, &v, flags) != CURLUE_OK)
		return NULL;
	copy = strdup(v);
	curl_free(v);
	return copy;
}

static int parse_url(struct http_client *c, const char *url, struct err *err)
{
	cleanup(free) char *scheme = NULL, *port = NULL;
	CURLU *u = curl_url();
	size_t len;
	int r = 0;

	if (!url && c->unix_socket)
		url = "http://localhost";
	if (!u)
		return err_set(err, ENOMEM, "out of memory");
	if (!url || curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK) {
		r = err_set(err, EINVAL, "'%s' is not a URL", url ? url : "");
		goto out;
	}
	scheme = url_part(u, CURLUPART_SCHEME, 0);
	port = url_part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT);
	c->host = url_part(u, CURLUPART_HOST, 0);
	c->path = url_part(u, CURLUPART_PATH, 0);
	c->base_url = strdup(url);
	if (!scheme || !port || !c->host || !c->path || !c->base_url) {
		r = err_set(err, EINVAL, "URL '%s' lacks a scheme or a host", url);
		goto out;
	}
	if (!streq(scheme, "http") && !streq(scheme, "https")) {
		r = err_set(err, EINVAL, "URL '%s': scheme must be http or https", url);
		goto out;
	}
	c->https = streq(scheme, "https");
	c->port = atoi(port);
	for (char *s = c->base_url; (len = strlen(s)) && s[len - 1] == '/';)
		s[len - 1] = '\0';
	for (char *s = c->path; (len = strlen(s)) && s[len - 1] == '/';)
		s[len - 1] = '\0';
	len = strlen(c->host);
	if (c->host[0] == '[' && c->host[len - 1] == ']') {
		memmove(c->host, c->host + 1, len - 2);
		c->host[len - 2] = '\0';
	}
out:
	curl_url_cleanup(u);
	return r;
}

/*
 * libcurl verifies the name in the URL and has no option for another. So the URL names the certificate's name, the
 * connection goes to the real host, and the Host header keeps the real one.
 */
static int setup_server_name(struct http_client *c, struct err *err)
{
	const char *open = strchr(c->host, ':') ? "[" : "", *close = *open ? "]" : "";
	cleanup(free) char *to = NULL;
	bool v6;

	if (!c->server_name || !c->https || c->unix_socket)
		return 0;
	v6 = strchr(c->server_name, ':') != NULL;
	free(c->base_url);
	c->base_url = NULL;
	if (asprintf(&c->base_url, "https://%s%s%s:%d%s", v6 ? "[" : "", c->server_name, v6 ? "]" : "", c->port,
		     c->path) < 0) {
		c->base_url = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	if (asprintf(&to, "::%s%s%s:%d", open, c->host, close, c->port) < 0) {
		to = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	c->connect_to = curl_slist_append(NULL, to);
	if (asprintf(&c->host_header, "Host: %s%s%s:%d", open, c->host, close, c->port) < 0)
		c->host_header = NULL;
	if (!c->connect_to || !c->host_header)
		return err_set(err, ENOMEM, "out of memory");
	return 0;
}

char *http_escape(const char *s)
{
	static const char hex[] = "0123456789ABCDEF";
	char *out = malloc(strlen(s) * 3 + 1), *p = out;

	if (!out)
		return NULL;
	for (; *s; s++) {
		unsigned char ch = (unsigned char)*s;

		if (isalnum(ch) || strchr("-._~", ch)) {
			*p++ = (char)ch;
		} else {
			*p++ = '%';
			*p++ = hex[ch >> 4];
			*p++ = hex[ch & 15];
		}
	}
	*p = '\0';
	return out;
}
