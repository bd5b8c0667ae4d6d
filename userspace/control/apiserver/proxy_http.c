/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pods/proxy and services/proxy: a request is passed on to what listens in a pod, with its method, body and headers but
 * without the client's credentials, and the answer streamed back with back-pressure. Names are as in Kubernetes:
 * [scheme:]name[:port], the port a number or, of services, a name; without one a pod's first containerPort. Whoever can
 * write a pod's status could otherwise point the server at itself: addresses that are not the cluster's are refused.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/str.h"
#include "admission-internal.h"
#include "apiserver-internal.h"
#include "endpoint_pick.h"
#include "proxy_http.h"

#define HIGH_WATER    (512u << 10)
#define LOW_WATER     (128u << 10)
#define FIRST_BYTE_MS 60000
#define MAX_HEADERS   64

struct relay {
	struct call *c;
	struct http_client *client;
	struct http_call *http;
	char *type;
	int status;
	bool started;
};

struct address {
	char scheme[8], name[254], port[64];
};

static void relay_free(struct call *c)
{
	struct relay *r = TAKE(c->data);

	if (!r)
		return;
	loop_timer_cancel(&c->wait_timer);
	if (r->http)
		http_call_cancel(TAKE(r->http));
	http_client_free(r->client);
	free(r->type);
	free(r);
}

/* --- where to ----------------------------------------------------------------------------------------------------- */

/* [scheme:]name[:port]; -1: it is none. */
static int parse_name(const char *text, struct address *ret)
{
	const char *first = strchr(text, ':'), *last = strrchr(text, ':');
	const char *name = first != last ? first + 1 : text, *end = last ? last : text + strlen(text);
	const char *port = last ? last + 1 : "";

	*ret = (struct address){ .scheme = "http" };
	if (first != last) {
		size_t len = (size_t)(first - text);

		if (memchr(first + 1, ':', (size_t)(last - first - 1)))
			return -1;
		if (len == 5 && !memcmp(text, "https", 5))
			memcpy(ret->scheme, "https", 6);
		else if (len && !(len == 4 && !memcmp(text, "http", 4)))
			return -1;
	}
	if (end == name || (size_t)(end - name) >= sizeof(ret->name) || strlen(port) >= sizeof(ret->port))
		return -1;
	memcpy(ret->name, name, (size_t)(end - name));
	memcpy(ret->port, port, strlen(port) + 1);
	return 0;
}

static bool proxyable(const struct apiserver *s, const char *base)
{
	const char *host = strstr(base, "://") + 3;
	struct in6_addr a6;
	struct in_addr a4;
	char ip[INET6_ADDRSTRLEN];
	size_t len = *host == '[' ? strcspn(++host, "]") : strcspn(host, ":");

	if (len >= sizeof(ip))
		return false;
	memcpy(ip, host, len);
	ip[len] = '\0';
	if (inet_pton(AF_INET, ip, &a4) == 1) {
		uint32_t v = ntohl(a4.s_addr);

		if (v >> 24 == 127)
			return s->config.proxy_to_loopback;
		return v >> 24 != 0 && v >> 16 != 0xa9fe && v >> 28 < 0xe;
	}
	if (inet_pton(AF_INET6, ip, &a6) != 1)
		return false;
	if (IN6_IS_ADDR_LOOPBACK(&a6))
		return s->config.proxy_to_loopback;
	return !IN6_IS_ADDR_UNSPECIFIED(&a6) && !IN6_IS_ADDR_LINKLOCAL(&a6) && !IN6_IS_ADDR_MULTICAST(&a6) &&
	       !IN6_IS_ADDR_V4MAPPED(&a6) && !IN6_IS_ADDR_V4COMPAT(&a6);
}

static int64_t first_port(const json_t *pod)
{
	json_t *ct;
	size_t i;

	json_array_foreach (api_get(pod, "spec.containers"), i, ct) {
		int64_t port = api_get_int(json_array_get(json_object_get(ct, "ports"), 0), "containerPort", 0);

		if (port)
			return port;
	}
	return 0;
}

static int pod_base(struct call *c, const struct address *a, char *base, size_t size)
{
	json_t *pod = admission_get(c->s, "", "pods", c->ns, a->name);
	const char *ip = api_get_str(pod, "status.podIP");
	int64_t port = 0;
	int r = -1;

	if (!pod) {
		call_status(c, 404, "NotFound", "pods \"%s\" not found", a->name);
		return -1;
	}
	if (a->port[0] && str_to_i64(a->port, 1, 65535, &port) < 0) {
		call_status(c, 400, "BadRequest", "invalid pod request \"%s\": the port is a number", c->name);
	} else if (!ip || !*ip) {
		call_status(c, 503, "ServiceUnavailable", "pod \"%s\" has no address yet", a->name);
	} else {
		if (!port)
			port = first_port(pod);
		if (!port)
			port = streq(a->scheme, "https") ? 443 : 80;
		snprintf(base, size, strchr(ip, ':') ? "%s://[%s]:%lld" : "%s://%s:%lld", a->scheme, ip,
			 (long long)port);
		r = 0;
	}
	json_decref(pod);
	return r;
}

/* The name of the service's port of that number or name; NULL: it has none. */
static const char *port_name(const json_t *service, const char *port)
{
	int64_t number = 0;
	json_t *v;
	size_t i;

	if (str_to_i64(port, 1, 65535, &number) < 0)
		number = 0;
	json_array_foreach (api_get(service, "spec.ports"), i, v) {
		const char *name = api_get_str(v, "name") ?: "";

		if (number ? api_get_int(v, "port", 0) == number : streq(name, port))
			return name;
	}
	return NULL;
}

static int service_base(struct call *c, const struct address *a, char *base, size_t size)
{
	json_t *service = admission_get(c->s, "", "services", c->ns, a->name);
	const char *name = service ? port_name(service, a->port) : NULL;
	int r = -1;

	if (!service)
		call_status(c, 404, "NotFound", "services \"%s\" not found", a->name);
	else if (!name)
		call_status(c, 503, "ServiceUnavailable", "no service port \"%s\" found for service \"%s\"", a->port,
			    a->name);
	else if (!endpoint_pick(c->s, c->ns, a->name, name, a->scheme, (unsigned)(c->start_ns >> 10), base, size))
		call_status(c, 503, "ServiceUnavailable", "no endpoints available for service \"%s\"", a->name);
	else
		r = 0;
	json_decref(service);
	return r;
}

const char *proxy_rest(const struct call *c, size_t n_segments)
{
	const char *p = http_req_raw_target(c->req);

	/* An escaped slash parts segments, too, as where the resource was read. */
	for (size_t n = 0; *p && *p != '?'; p++) {
		bool escaped = p[0] == '%' && p[1] == '2' && (p[2] == 'f' || p[2] == 'F');

		if ((*p == '/' || escaped) && ++n > n_segments)
			return p;
	}
	return p;
}

/* --- the answer --------------------------------------------------------------------------------------------------- */

static bool hop_by_hop(const char *name)
{
	static const char *const names[] = { "connection",	    "keep-alive", "proxy-authenticate",
					     "proxy-authorization", "te",	  "trailer",
					     "transfer-encoding",   "upgrade",	  "host",
					     "content-length",	    "expect",	  "authorization",
					     "content-type",	    "accept",	  "http2-settings" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcasecmp(name, names[i]))
			return true;
	return name[0] == ':' || !strncasecmp(name, "impersonate-", 12);
}

static void on_status(struct http_call *http, void *arg, int status)
{
	struct relay *r = arg;

	(void)http;
	r->status = status;
	loop_timer_cancel(&r->c->wait_timer);
}

/* A redirection within what is proxied stays within. */
static void add_location(struct relay *r, const char *value)
{
	const char *target = http_req_raw_target(r->c->req), *rest = proxy_rest(r->c, PROXY_POD_SEGMENTS);
	cleanup(strbuf_done) struct strbuf to = STRBUF_INIT;

	if (value[0] == '/' && value[1] != '/')
		strbuf_add(&to, target, (size_t)(rest - target));
	strbuf_adds(&to, value);
	if (!strbuf_oom(&to))
		http_add_header(r->c->req, "Location", to.buf);
}

static void on_header(struct http_call *http, void *arg, const char *name, const char *value)
{
	struct relay *r = arg;

	(void)http;
	if (r->started || !r->c->req)
		return;
	if (!strcasecmp(name, "content-type")) {
		free(r->type);
		r->type = strdup(value);
	} else if (!strcasecmp(name, "location")) {
		add_location(r, value);
	} else if (!hop_by_hop(name)) {
		http_add_header(r->c->req, name, value);
	}
}

static void on_drained(struct http_req *req, void *data)
{
	struct relay *r = ((struct call *)data)->data;

	(void)req;
	if (r && r->http)
		http_call_pause(r->http, false);
}

static int start(struct relay *r)
{
	r->started = true;
	call_started_stream(r->c, r->status);
	return http_stream_start(r->c->req, r->status, r->type ? r->type : "application/octet-stream");
}

static int on_data(struct http_call *http, void *arg, const void *data, size_t len)
{
	struct relay *r = arg;
	struct http_req *req = r->c->req;

	if ((!r->started && start(r) < 0) || http_stream_write(req, data, len) < 0)
		return -1;
	if (http_stream_pending(req) > HIGH_WATER) {
		http_call_pause(http, true);
		http_stream_on_drain(req, LOW_WATER, on_drained);
	}
	return 0;
}

static void on_done(struct http_call *http, void *arg, const struct http_response *rsp)
{
	struct relay *r = arg;
	struct call *c = r->c;

	(void)http;
	r->http = NULL;
	loop_timer_cancel(&c->wait_timer);
	if (r->started)
		http_stream_end(c->req);
	else if (rsp->status)
		call_bytes(c, rsp->status, r->type ? r->type : "text/plain", "", 0);
	else
		call_status(c, 503, "ServiceUnavailable", "error trying to reach service: %s",
			    rsp->error ? rsp->error : "no answer");
}

static void on_silence(struct loop_timer *timer)
{
	struct call *c = timer->arg;
	struct relay *r = c->data;

	if (r && r->http)
		http_call_cancel(TAKE(r->http));
	call_status(c, 504, "Timeout", "error trying to reach service: no answer within %d s", FIRST_BYTE_MS / 1000);
}

/* --- the request -------------------------------------------------------------------------------------------------- */

/* Those to pass on, as "Name: value"; freed by free_headers(). -1: no memory. */
static int copy_headers(const struct http_req *req, char **ret)
{
	const char *name, *value;
	size_t n = 0;

	for (size_t i = 0; (value = http_req_header_at(req, i, &name)) && n < MAX_HEADERS; i++) {
		if (hop_by_hop(name))
			continue;
		/* libcurl leaves a header without a value out, unless it ends in a semicolon */
		if (asprintf(&ret[n], *value ? "%s: %s" : "%s;%s", name, value) < 0) {
			ret[n] = NULL;
			return -1;
		}
		n++;
	}
	return 0;
}

static void send_on(struct call *c, const char *base, const char *rest)
{
	struct http_client_config client = { .base_url = base, .insecure_skip_verify = true };
	char *headers[MAX_HEADERS + 1] = { NULL };
	struct http_call_config config = { .method = http_req_method(c->req),
					   .path = *rest == '/' ? rest : "/",
					   .content_type = http_req_header(c->req, "content-type"),
					   .accept = http_req_header(c->req, "accept") ?: "*/*",
					   .headers = (const char *const *)headers,
					   .timeout_ms = -1,
					   .on_status = on_status,
					   .on_header = on_header,
					   .on_data = on_data,
					   .on_done = on_done };
	struct relay *r = calloc(1, sizeof(*r));
	struct err err = ERR_INIT;

	if (!r) {
		call_oom(c);
		return;
	}
	r->c = c;
	c->data = r;
	c->data_free = relay_free;
	c->on_close = relay_free;
	config.arg = r;
	config.body = http_req_body(c->req, &config.body_len);
	if (http_client_new(c->s->loop, &client, &r->client, &err) < 0) {
		call_status(c, 500, "InternalError", "Internal error occurred: %s", err.msg);
		return;
	}
	if (copy_headers(c->req, headers) == 0)
		r->http = http_call_start(r->client, &config);
	for (size_t i = 0; headers[i]; i++)
		free(headers[i]);
	if (!r->http) {
		call_oom(c);
		return;
	}
	c->wait_timer.fn = on_silence;
	c->wait_timer.arg = c;
	(void)loop_timer_set(c->s->loop, &c->wait_timer, FIRST_BYTE_MS);
}

static void admitted(struct call *c)
{
	bool pod = streq(c->resource, "pods");
	struct address a;
	char base[160];

	if (call_dead(c))
		return;
	if (parse_name(c->name, &a) < 0) {
		call_status(c, 400, "BadRequest", "invalid %s request \"%s\"", pod ? "pod" : "service", c->name);
		return;
	}
	if ((pod ? pod_base(c, &a, base, sizeof(base)) : service_base(c, &a, base, sizeof(base))) < 0)
		return;
	if (!proxyable(c->s, base)) {
		call_status(c, 400, "BadRequest", "address not allowed");
		return;
	}
	send_on(c, base, proxy_rest(c, PROXY_POD_SEGMENTS));
}

static void connect_to(struct call *c)
{
	json_t *options = json_pack("{s:s,s:s,s:s}", "kind",
				    streq(c->resource, "pods") ? "PodProxyOptions" : "ServiceProxyOptions",
				    "apiVersion", "v1", "path", proxy_rest(c, PROXY_POD_SEGMENTS));

	if (options)
		admission_connect(c, options, admitted);
	else
		call_oom(c);
}

/* Relative links of a page work only below a path that ends in a slash. */
static bool redirected(struct call *c, const char *rest)
{
	const char *target = http_req_raw_target(c->req);
	cleanup(strbuf_done) struct strbuf to = STRBUF_INIT;

	if (*rest == '/' || !streq(c->verb, "get"))
		return false;
	strbuf_add(&to, target, (size_t)(rest - target));
	strbuf_addf(&to, "/%s", rest);
	if (strbuf_oom(&to)) {
		call_oom(c);
	} else {
		http_add_header(c->req, "Location", to.buf);
		call_bytes(c, 301, "text/plain", "", 0);
	}
	return true;
}

void proxy_to_pod(struct call *c)
{
	c->repr = REPR_JSON;
	if (http_req_header(c->req, "upgrade")) {
		call_status(c, 400, "BadRequest",
			    "%s/proxy does not relay connections that are upgraded; use portforward", c->resource);
		return;
	}
	if (!redirected(c, proxy_rest(c, PROXY_POD_SEGMENTS)))
		cache_wait_fresh(c, connect_to);
}
