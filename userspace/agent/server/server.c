/* SPDX-License-Identifier: Apache-2.0 */
/* See server.h: who may call, and which file answers what. */
#include "server-internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/str.h"
#include "../../lib/io/metrics.h"

void answer_text(struct http_req *req, int status, const char *fmt, ...)
{
	char text[1200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	http_respond(req, status, "text/plain; charset=utf-8", text, strlen(text));
}

/* The API server's client certificate, by the names kubeadm and skep give it, or an admin's. */
static bool may_all(const struct http_req *req)
{
	static const char *const names[] = { "kube-apiserver", "system:kube-apiserver", "kube-apiserver-kubelet-client",
					     "skep-apiserver", "system:apiserver" };
	const char *cn = http_req_cert_cn(req), *org;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (streq(cn, names[i]))
			return true;
	for (size_t i = 0; (org = http_req_cert_org(req, i)); i++)
		if (streq(org, "system:masters"))
			return true;
	return false;
}

static void serve_pods(struct server *s, struct http_req *req)
{
	json_t *items = json_array(), *list;
	cleanup(free) char *text = NULL;

	for (struct pod_next it = { 0 }; pods_next(s->pods, &it);) {
		json_t *o = pod_json(it.pod);

		if (o)
			json_array_append_new(items, o);
	}
	list = json_pack("{s:s,s:s,s:{},s:o}", "kind", "PodList", "apiVersion", "v1", "metadata", "items", items);
	text = list ? json_dumps(list, JSON_COMPACT) : NULL;
	json_decref(list);
	if (text)
		http_respond(req, 200, "application/json", text, strlen(text));
	else
		answer_text(req, 500, "out of memory\n");
}

/* "/exec/ns/pod/container" -> parts; false: not of this form. */
static bool split(const char *path, const char *prefix, size_t n, char parts[3][256])
{
	size_t len = strlen(prefix);

	if (strncmp(path, prefix, len) || path[len] != '/')
		return false;
	path += len + 1;
	for (size_t i = 0; i < n; i++) {
		size_t part = strcspn(path, "/");

		if (!part || part >= sizeof(parts[0]) || (i + 1 < n) != (path[part] == '/'))
			return false;
		memcpy(parts[i], path, part);
		parts[i][part] = 0;
		path += part + 1;
	}
	return true;
}

static void route(struct server *s, struct http_req *req)
{
	const char *path = http_req_path(req), *method = http_req_method(req);
	char p[3][256];
	bool get = streq(method, "GET") || streq(method, "HEAD");

	if (str_starts(path, "/debug/net/")) {
		if (!s->network)
			answer_text(req, 503, "the node's network is not set up yet\n");
		else if (!network_http(s->network, req))
			answer_text(req, 404, "no such page\n");
		return;
	}
	if (!s->pods) {
		answer_text(req, 503, "the agent is starting\n");
		return;
	}
	if (get && split(path, "/containerLogs", 3, p))
		serve_logs(s, req, p[0], p[1], p[2]);
	else if (split(path, "/exec", 3, p))
		serve_stream(s, req, STREAM_EXEC, p[0], p[1], p[2]);
	else if (split(path, "/attach", 3, p))
		serve_stream(s, req, STREAM_ATTACH, p[0], p[1], p[2]);
	else if (split(path, "/portForward", 2, p))
		serve_stream(s, req, STREAM_PORT_FORWARD, p[0], p[1], NULL);
	else if (get && (streq(path, "/pods") || streq(path, "/pods/")))
		serve_pods(s, req);
	else if (get && streq(path, "/stats/summary"))
		serve_stats(s, req);
	else
		answer_text(req, 404, "no such page\n");
}

static void on_request(struct http_req *req, void *arg)
{
	struct server *s = arg;
	const char *path = http_req_path(req), *cn = http_req_cert_cn(req);

	if (streq(path, "/healthz") || streq(path, "/livez") || streq(path, "/readyz")) {
		http_respond(req, 200, "text/plain; charset=utf-8", "ok", 2);
		return;
	}
	if (!cn) {
		answer_text(req, 401, "Unauthorized: show a client certificate of the cluster\n");
		return;
	}
	if (streq(path, "/metrics")) {
		(void)metrics_handle(req, NULL, NULL);
		return;
	}
	if (!may_all(req)) {
		answer_text(req, 403, "Forbidden: user \"%s\" may not use the node's API; ask the API server\n", cn);
		return;
	}
	route(s, req);
}

int server_new(struct loop *loop, const struct server_config *config, struct server **ret, int *ret_port,
	       struct err *err)
{
	struct http_server_config hc = {
		.tls = &config->tls, .client_certs = true, .max_body = 64 << 10, .handler = on_request
	};
	struct server *s = calloc(1, sizeof(*s));
	char address[300];
	int r;

	if (!s)
		return err_set(err, ENOMEM, "out of memory");
	s->loop = loop;
	s->config = *config;
	hc.arg = s;
	snprintf(address, sizeof(address), "%s%s", config->listen[0] == ':' ? "[::]" : "", config->listen);
	r = http_server_new(loop, &hc, &s->http, err);
	if (!r)
		r = http_server_listen(s->http, address, ret_port, err);
	if (r < 0) {
		server_free(s);
		return err_wrap(err, r, "--listen '%s'", config->listen);
	}
	*ret = s;
	return 0;
}

void server_free(struct server *s)
{
	if (!s)
		return;
	http_server_free(s->http);
	stats_free(s);
	free(s);
}

void server_set_pods(struct server *s, struct pods *pods)
{
	s->pods = pods;
}

void server_set_network(struct server *s, struct network *network)
{
	s->network = network;
}
