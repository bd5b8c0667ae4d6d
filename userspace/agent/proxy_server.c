/* SPDX-License-Identifier: Apache-2.0 */
/* See proxy_server.h. */
#include "proxy_server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/base/clock.h"
#include "../lib/base/str.h"
#include "../lib/io/http_server.h"
#include "../lib/io/metrics.h"

struct proxy_server {
	struct http_server *healthz, *metrics;
	struct network *network;
};

static void answer(struct http_req *req, int status, const char *text)
{
	http_respond(req, status, "text/plain; charset=utf-8", text, strlen(text));
}

/* false: it was no such page. */
static bool answer_health(const struct proxy_server *s, struct http_req *req)
{
	const char *path = http_req_path(req);
	bool live = streq(path, "/livez"), healthy = s->network && !network_ready(s->network),
	     eligible = !s->network || !network_node_leaves(s->network);
	char now[CLOCK_RFC3339_SIZE], body[256];
	int len;

	if (!live && !streq(path, "/healthz"))
		return false;
	clock_rfc3339_micro(clock_real_ms(), now);
	len = snprintf(body, sizeof(body), "{\"lastUpdated\": \"%s\",\"currentTime\": \"%s\", \"nodeEligible\": %s}",
		       healthy ? now : "", now, eligible ? "true" : "false");
	http_add_header(req, "X-Content-Type-Options", "nosniff");
	http_respond(req, healthy && (live || eligible) ? 200 : 503, "application/json", body, (size_t)len);
	return true;
}

static void on_healthz(struct http_req *req, void *arg)
{
	if (!answer_health(arg, req))
		answer(req, 404, "no such page: /healthz or /livez\n");
}

static void on_metrics(struct http_req *req, void *arg)
{
	struct proxy_server *s = arg;

	if (answer_health(s, req))
		return;
	if (streq(http_req_path(req), "/metrics"))
		(void)metrics_handle(req, NULL, NULL);
	else if (!s->network)
		answer(req, 503, "the node's network is not set up yet\n");
	else if (!network_http(s->network, req))
		answer(req, 404, "no such page: /metrics, /healthz, /livez or /debug/net/...\n");
}

static int open_one(struct loop *loop, const char *flag, const char *listen, http_handler_fn *handler,
		    struct proxy_server *s, struct http_server **ret, struct err *err)
{
	struct http_server_config config = { .handler = handler, .arg = s, .max_connections = 1000 };
	char address[300];
	int r;

	snprintf(address, sizeof(address), "%s%s", listen[0] == ':' ? "[::]" : "", listen);
	r = http_server_new(loop, &config, ret, err);
	if (!r)
		r = http_server_listen(*ret, address, NULL, err);
	if (r < 0)
		return err_wrap(err, r, "--%s '%s'%s", flag, listen,
				r == -EADDRINUSE ? " (kube-proxy's ports: Skep takes its place)" : "");
	return 0;
}

int proxy_server_new(struct loop *loop, const struct proxy_server_config *config, struct proxy_server **ret,
		     struct err *err)
{
	struct proxy_server *s = calloc(1, sizeof(*s));
	int r = 0;

	if (!s)
		return err_set(err, ENOMEM, "out of memory");
	if (config->healthz_listen && *config->healthz_listen)
		r = open_one(loop, "healthz-listen", config->healthz_listen, on_healthz, s, &s->healthz, err);
	if (!r && config->listen)
		r = open_one(loop, "listen", config->listen, on_metrics, s, &s->metrics, err);
	if (r < 0) {
		proxy_server_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

void proxy_server_free(struct proxy_server *s)
{
	if (!s)
		return;
	http_server_free(s->healthz);
	http_server_free(s->metrics);
	free(s);
}

void proxy_server_set_network(struct proxy_server *s, struct network *network)
{
	s->network = network;
}
