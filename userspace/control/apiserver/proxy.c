/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What only a node can answer: log, exec, attach and portforward of its pods, and nodes/proxy. The request goes to
 * the agent's own HTTPS API with the server's client certificate; logs are streamed through, upgraded connections
 * relayed byte by byte with back-pressure both ways.
 */
#include "apiserver-internal.h"
#include "proxy_http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/str.h"

#define AGENT_PORT 10250
#define HIGH_WATER (512u << 10)
#define LOW_WATER  (128u << 10)

struct proxy {
	struct call *c;
	struct http_client *client;
	struct http_call *log;	 /* log */
	struct http_upgrade *up; /* exec and the like */
	int status;		 /* of the agent's answer to a log request */
	bool streaming, hijacked, paused_client;
	struct strbuf refusal;
	char *content_type;
};

static void proxy_closed(struct call *c);

static void proxy_free(struct call *c)
{
	struct proxy *p = TAKE(c->data);

	if (!p)
		return;
	if (p->log)
		http_call_cancel(TAKE(p->log));
	if (p->up)
		http_upgrade_close(TAKE(p->up));
	http_client_free(p->client);
	strbuf_done(&p->refusal);
	free(p->content_type);
	free(p);
}

static void proxy_closed(struct call *c)
{
	proxy_free(c);
}

int node_agent_url(struct apiserver *s, const char *node, char *buf, size_t size)
{
	struct resource *nodes = cache_resource(s, "", "nodes");
	struct object *o = nodes ? cache_get(nodes, NULL, node) : NULL;
	json_t *obj = NULL, *a;
	const char *ip = NULL;
	size_t i;

	if (!o || api_json_parse(o->json->data, o->json->len, &obj, NULL, NULL) < 0)
		return -ENOENT;
	json_array_foreach (api_get(obj, "status.addresses"), i, a)
		if (!ip && streq(api_get_str(a, "type"), "InternalIP"))
			ip = api_get_str(a, "address");
	if (ip)
		snprintf(buf, size, strchr(ip, ':') ? "https://[%s]:%lld" : "https://%s:%lld", ip,
			 (long long)api_get_int(obj, "status.daemonEndpoints.kubeletEndpoint.Port", AGENT_PORT));
	json_decref(obj);
	return ip ? 0 : -EAGAIN;
}

/* Of the node that runs the pod; -1: answered. */
static int node_url(struct call *c, const char *node, char *buf, size_t size)
{
	int r = node_agent_url(c->s, node, buf, size);

	if (r == -ENOENT)
		call_status(c, 500, "InternalError", "Internal error occurred: node \"%s\" of the pod is not known",
			    node);
	else if (r < 0)
		call_status(c, 500, "InternalError",
			    "Internal error occurred: node \"%s\" has no InternalIP address yet", node);
	return r < 0 ? -1 : 0;
}

static void container_names(const json_t *list, const char *want, bool *found, struct strbuf *out,
			    const char **ret_first, size_t *n)
{
	json_t *ct;
	size_t i;

	json_array_foreach (list, i, ct) {
		const char *name = api_get_str(ct, "name");

		if (!name)
			continue;
		strbuf_addf(out, "%s%s", out->len ? " " : "", name);
		if (!(*n)++)
			*ret_first = name;
		if (want && streq(name, want))
			*found = true;
	}
}

/* -1: answered. *ret is the caller's. */
static int choose_container(struct call *c, const json_t *pod, char **ret)
{
	const char *want = call_query(c, "container"), *first = NULL, *named, *ignored;
	cleanup(strbuf_done) struct strbuf names = STRBUF_INIT, all = STRBUF_INIT;
	bool found = false;
	size_t n = 0, m = 0;

	if (want && !*want)
		want = NULL;
	container_names(api_get(pod, "spec.containers"), want, &found, &names, &first, &n);
	strbuf_adds(&all, names.buf);
	container_names(api_get(pod, "spec.initContainers"), want, &found, &all, &ignored, &m);
	container_names(api_get(pod, "spec.ephemeralContainers"), want, &found, &all, &ignored, &m);
	if (!want) {
		named = json_string_value(json_object_get(api_get(pod, "metadata.annotations"),
							  "kubectl.kubernetes.io/default-container"));
		if (n == 1)
			want = first;
		else if (named && streq(c->sub, "log"))
			want = named;
		found = want != NULL;
	}
	if (!found) {
		if (want)
			call_status(c, 400, "BadRequest", "container %.253s is not valid for pod %s", want, c->name);
		else
			call_status(c, 400, "BadRequest",
				    "a container name must be specified for pod %s, choose one of: [%s]", c->name,
				    names.buf);
		return -1;
	}
	*ret = strdup(want);
	if (!*ret) {
		call_oom(c);
		return -1;
	}
	return 0;
}

/* Pod, container and node of the request; -1: answered. *ret_container is the caller's; NULL for portforward. */
static int find_target(struct call *c, char **ret_container, char *url, size_t url_size)
{
	struct object *o = cache_get(c->res, c->ns, c->name);
	cleanup(free) char *container = NULL;
	const char *node;
	json_t *pod = NULL;
	int r = -1;

	if (!o) {
		call_not_found(c);
		return -1;
	}
	if (api_json_parse(o->json->data, o->json->len, &pod, NULL, NULL) < 0) {
		call_oom(c);
		return -1;
	}
	if (!streq(c->sub, "portforward") && choose_container(c, pod, &container) < 0)
		goto out;
	node = api_get_str(pod, "spec.nodeName");
	if (!node || !*node) {
		if (streq(c->sub, "log"))
			call_bytes(c, 200, "text/plain", "", 0); /* as Kubernetes: nothing has been said yet */
		else
			call_status(c, 400, "BadRequest", "pod %s does not have a host assigned", c->name);
		goto out;
	}
	r = node_url(c, node, url, url_size);
	if (!r)
		*ret_container = TAKE(container);
out:
	json_decref(pod);
	return r;
}

static struct proxy *proxy_new(struct call *c, const char *url)
{
	struct proxy *p = calloc(1, sizeof(*p));
	struct http_client_config config = c->s->kubelet;
	struct err err = ERR_INIT;

	if (!p) {
		call_oom(c);
		return NULL;
	}
	p->c = c;
	strbuf_init(&p->refusal);
	config.base_url = url;
	if (http_client_new(c->s->loop, &config, &p->client, &err) < 0) {
		free(p);
		call_status(c, 500, "InternalError", "Internal error occurred: connection to the node: %s", err.msg);
		return NULL;
	}
	c->data = p;
	c->on_close = proxy_closed;
	c->data_free = proxy_free;
	return p;
}

/* --- log ---------------------------------------------------------------------------------------------------------- */

static void log_status(struct http_call *call, void *arg, int status)
{
	struct proxy *p = arg;

	(void)call;
	p->status = status;
}

static void log_header(struct http_call *call, void *arg, const char *name, const char *value)
{
	struct proxy *p = arg;

	(void)call;
	if (strcasecmp(name, "content-type") || p->content_type)
		return;
	p->content_type = strdup(value);
}

static void log_drained(struct http_req *req, void *data)
{
	struct call *c = data;
	struct proxy *p = c->data;

	(void)req;
	if (p && p->log)
		http_call_pause(p->log, false);
}

static int log_data(struct http_call *call, void *arg, const void *data, size_t len)
{
	struct proxy *p = arg;
	struct call *c = p->c;

	if (p->status != 200) {
		if (p->refusal.len < 4096)
			strbuf_add(&p->refusal, data, len);
		return 0;
	}
	if (!p->streaming) {
		p->streaming = true;
		call_started_stream(c, 200);
		if (http_stream_start(c->req, 200, p->content_type ? p->content_type : "text/plain") < 0)
			return -1;
	}
	if (http_stream_write(c->req, data, len) < 0)
		return -1;
	if (http_stream_pending(c->req) > HIGH_WATER) {
		http_call_pause(call, true);
		http_stream_on_drain(c->req, LOW_WATER, log_drained);
	}
	return 0;
}

static void log_done(struct http_call *call, void *arg, const struct http_response *rsp)
{
	struct proxy *p = arg;
	struct call *c = p->c;

	(void)call;
	p->log = NULL;
	if (p->streaming)
		http_stream_end(c->req);
	else if (rsp->status == 200)
		call_bytes(c, 200, "text/plain", "", 0);
	else if (rsp->status)
		call_status(c, rsp->status >= 400 ? rsp->status : 502, rsp->status == 404 ? "NotFound" : "BadRequest",
			    "%s", p->refusal.len ? p->refusal.buf : "the node refused the request");
	else
		call_status(c, 502, "InternalError", "the node's agent does not answer: %s",
			    rsp->error ? rsp->error : "no answer");
}

static void log_start(struct call *c)
{
	static const char *const params[] = { "follow",	  "tailLines",	"sinceSeconds", "sinceTime",
					      "previous", "timestamps", "limitBytes" };
	cleanup(free) char *container = NULL;
	cleanup(strbuf_done) struct strbuf path = STRBUF_INIT;
	struct http_call_config config = { .method = "GET",
					   .timeout_ms = -1,
					   .on_status = log_status,
					   .on_data = log_data,
					   .on_done = log_done,
					   .accept = "*/*" };
	char url[160];
	struct proxy *p;

	if (find_target(c, &container, url, sizeof(url)) < 0)
		return;
	strbuf_addf(&path, "/containerLogs/%s/%s/%s", c->ns, c->name, container);
	for (size_t i = 0, n = 0; i < sizeof(params) / sizeof(params[0]); i++) {
		const char *v = call_query(c, params[i]);
		cleanup(free) char *escaped = v ? http_escape(v) : NULL;

		if (escaped)
			strbuf_addf(&path, "%c%s=%s", n++ ? '&' : '?', params[i], escaped);
	}
	p = proxy_new(c, url);
	if (!p)
		return;
	config.path = path.buf;
	config.arg = p;
	p->log = http_call_start(p->client, &config);
	if (!p->log)
		call_oom(c);
}

void proxy_log(struct call *c)
{
	c->repr = REPR_JSON;
	cache_wait_fresh(c, log_start);
}

/* --- nodes/proxy: the agent's own API, read only ------------------------------------------------------------------ */

static void node_start(struct call *c)
{
	const char *rest = proxy_rest(c, PROXY_NODE_SEGMENTS);
	struct http_call_config config = { .method = "GET",
					   .timeout_ms = 30000,
					   .on_status = log_status,
					   .on_header = log_header,
					   .on_data = log_data,
					   .on_done = log_done,
					   .accept = "*/*" };
	struct proxy *p;
	char url[160];

	if (!cache_get(c->res, NULL, c->name)) {
		call_not_found(c);
		return;
	}
	if (node_url(c, c->name, url, sizeof(url)) < 0)
		return;
	p = proxy_new(c, url);
	if (!p)
		return;
	config.path = *rest == '/' ? rest : "/";
	config.arg = p;
	p->log = http_call_start(p->client, &config);
	if (!p->log)
		call_oom(c);
}

void proxy_node(struct call *c)
{
	c->repr = REPR_JSON;
	cache_wait_fresh(c, node_start);
}

/* --- upgraded connections ----------------------------------------------------------------------------------------- */

static void node_drained(struct http_upgrade *u, void *arg)
{
	struct proxy *p = arg;

	(void)u;
	p->paused_client = false;
	if (p->c->req)
		http_hijack_pause(p->c->req, false);
}

static void from_client(struct http_req *req, void *data, const void *bytes, size_t len)
{
	struct call *c = data;
	struct proxy *p = c->data;

	if (!p || !p->up)
		return;
	if (http_upgrade_write(p->up, bytes, len) < 0) {
		http_hijack_close(req);
		return;
	}
	if (!p->paused_client && http_upgrade_pending(p->up) > HIGH_WATER) {
		p->paused_client = true;
		http_hijack_pause(req, true);
		http_upgrade_on_drain(p->up, LOW_WATER, node_drained);
	}
}

static void client_drained(struct http_req *req, void *data)
{
	struct call *c = data;
	struct proxy *p = c->data;

	(void)req;
	if (p && p->up)
		http_upgrade_pause(p->up, false);
}

static void node_open(struct http_upgrade *u, void *arg, const char *head)
{
	struct proxy *p = arg;

	(void)u;
	if (!p->c->req)
		return;
	p->hijacked = true;
	call_started_stream(p->c, 101);
	(void)http_hijack(p->c->req, head, strlen(head), from_client);
}

static void node_data(struct http_upgrade *u, void *arg, const void *data, size_t len)
{
	struct proxy *p = arg;

	if (!p->c->req)
		return;
	(void)http_hijack_write(p->c->req, data, len);
	if (http_stream_pending(p->c->req) > HIGH_WATER) {
		http_upgrade_pause(u, true);
		http_stream_on_drain(p->c->req, LOW_WATER, client_drained);
	}
}

static void node_closed(struct http_upgrade *u, void *arg, int status, const char *text)
{
	struct proxy *p = arg;
	struct call *c = p->c;

	(void)u;
	p->up = NULL; /* it frees itself */
	if (p->hijacked) {
		if (c->req)
			http_hijack_close(c->req);
		return;
	}
	if (status)
		call_status(c, status >= 400 ? status : 502,
			    status == 404   ? "NotFound"
			    : status == 403 ? "Forbidden"
					    : "BadRequest",
			    "%s", text && *text ? text : "the node refused the upgrade");
	else
		call_status(c, 502, "InternalError", "error dialing backend: %s", text ? text : "no answer");
}

static const struct http_upgrade_ops upgrade_ops = { .on_open = node_open,
						     .on_data = node_data,
						     .on_close = node_closed };

static void add_param(struct strbuf *path, const char *name, const char *value)
{
	cleanup(free) char *escaped = http_escape(value);

	if (escaped)
		strbuf_addf(path, "%c%s=%s", strchr(path->buf, '?') ? '&' : '?', name, escaped);
}

static void stream_path(struct call *c, const char *container, struct strbuf *path)
{
	/* the agent's names for the API's */
	static const char *const flags[][2] = {
		{ "stdin", "input" }, { "stdout", "output" }, { "stderr", "error" }, { "tty", "tty" }
	};
	const char *v;

	if (streq(c->sub, "portforward")) {
		strbuf_addf(path, "/portForward/%s/%s", c->ns, c->name);
		for (size_t i = 0; (v = http_req_query_nth(c->req, "ports", i)); i++)
			add_param(path, "port", v);
		return;
	}
	strbuf_addf(path, "/%s/%s/%s/%s", c->sub, c->ns, c->name, container);
	for (size_t i = 0; (v = http_req_query_nth(c->req, "command", i)); i++)
		add_param(path, "command", v);
	for (size_t i = 0; i < 4; i++)
		if (call_query_true(c, flags[i][0]))
			add_param(path, flags[i][1], "1");
}

static void stream_start(struct call *c)
{
	static const char *const passed[] = { "Upgrade", "Sec-WebSocket-Key", "Sec-WebSocket-Version",
					      "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions" };
	cleanup(free) char *container = NULL;
	cleanup(strbuf_done) struct strbuf path = STRBUF_INIT, protocols = STRBUF_INIT;
	char url[160], lines[16][512];
	const char *headers[17];
	struct err err = ERR_INIT;
	struct proxy *p;
	size_t n = 0;

	if (find_target(c, &container, url, sizeof(url)) < 0)
		return;
	headers[n++] = "Connection: Upgrade";
	for (size_t i = 0; i < sizeof(passed) / sizeof(passed[0]); i++) {
		const char *v = http_req_header(c->req, passed[i]);

		if (v && streq(passed[i], "Sec-WebSocket-Protocol")) {
			ws_bearer_strip(v, &protocols);
			v = strbuf_oom(&protocols) || !protocols.len ? NULL : protocols.buf;
		}
		if (!v || strlen(v) > 400 || strpbrk(v, "\r\n"))
			continue;
		snprintf(lines[n], sizeof(lines[n]), "%s: %s", passed[i], v);
		headers[n] = lines[n];
		n++;
	}
	for (size_t i = 0; n < 16; i++) { /* every version the client offers */
		const char *v = http_req_header_nth(c->req, "X-Stream-Protocol-Version", i);

		if (!v)
			break;
		if (strlen(v) > 400 || strpbrk(v, "\r\n"))
			continue;
		snprintf(lines[n], sizeof(lines[n]), "X-Stream-Protocol-Version: %s", v);
		headers[n] = lines[n];
		n++;
	}
	headers[n] = NULL;
	stream_path(c, container, &path);
	if (strbuf_oom(&path)) {
		call_oom(c);
		return;
	}
	p = proxy_new(c, url);
	if (!p)
		return;
	p->up = http_upgrade_start(p->client, http_req_method(c->req), path.buf, headers, &upgrade_ops, p, &err);
	if (!p->up)
		call_status(c, 502, "InternalError", "error dialing backend: %s", err.msg);
}

/* The question as the object that admission sees. */
static json_t *stream_options(struct call *c)
{
	static const char *const flags[] = { "stdin", "stdout", "stderr", "tty" };
	const char *kind = streq(c->sub, "exec")     ? "PodExecOptions"
			   : streq(c->sub, "attach") ? "PodAttachOptions"
						     : "PodPortForwardOptions";
	json_t *o = json_pack("{s:s,s:s}", "kind", kind, "apiVersion", "v1"), *list;
	const char *v;

	if (!o || streq(c->sub, "portforward"))
		return o;
	for (size_t i = 0; i < 4; i++)
		if (call_query_true(c, flags[i]))
			json_object_set_new(o, flags[i], json_true());
	v = call_query(c, "container");
	if (v && *v)
		json_object_set_new(o, "container", json_string(v));
	if (streq(c->sub, "exec")) {
		list = json_array();
		for (size_t i = 0; (v = http_req_query_nth(c->req, "command", i)); i++)
			json_array_append_new(list, json_string(v));
		json_object_set_new(o, "command", list);
	}
	return o;
}

static void stream_admit(struct call *c)
{
	admission_connect(c, stream_options(c), stream_start);
}

void proxy_stream(struct call *c)
{
	c->repr = REPR_JSON;
	if (http_req_is_h2(c->req) || streq(http_req_method(c->req), "HEAD") ||
	    (!http_req_wants_upgrade(c->req, "websocket") && !http_req_wants_upgrade(c->req, "SPDY/3.1"))) {
		call_status(c, 400, "BadRequest",
			    "Upgrade request required: %s needs an HTTP/1.1 connection that upgrades to WebSocket or "
			    "SPDY/3.1",
			    c->sub);
		return;
	}
	if (!streq(c->sub, "portforward") && !call_query_true(c, "stdin") && !call_query_true(c, "stdout") &&
	    !call_query_true(c, "stderr")) {
		call_status(c, 400, "BadRequest", "you must specify at least 1 of stdin, stdout, stderr");
		return;
	}
	if (streq(c->sub, "exec") && !http_req_query(c->req, "command")) {
		call_status(c, 400, "BadRequest", "you must specify a command");
		return;
	}
	cache_wait_fresh(c, stream_admit);
}
