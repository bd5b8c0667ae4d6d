/* SPDX-License-Identifier: Apache-2.0 */
/* See health_ports.h. A service has a server of its own, so that its port goes with it. */
#include "health_ports.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/base/cleanup.h"
#include "../lib/base/str.h"
#include "../lib/base/strbuf.h"
#include "../lib/base/strmap.h"
#include "../lib/io/http_server.h"
#include "net/net.h"

struct health_port {
	struct health_ports *all;
	struct http_server *http; /* NULL: the port could not be had */
	int64_t port;
	size_t local; /* backends here */
	bool told;    /* that the port could not be had */
	char key[];
};

struct health_ports {
	struct loop *loop;
	struct ip_addr ips[2];
	bool (*healthy)(const void *arg);
	const void *arg;
	struct strmap *ports; /* key -> struct health_port */
};

struct health_ports *health_ports_new(struct loop *loop, const struct ip_addr ips[2], bool (*healthy)(const void *arg),
				      const void *arg)
{
	struct health_ports *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->loop = loop;
	h->ips[0] = ips[0];
	h->ips[1] = ips[1];
	h->healthy = healthy;
	h->arg = arg;
	h->ports = strmap_new();
	if (!h->ports) {
		free(h);
		return NULL;
	}
	return h;
}

static void port_free(struct health_port *p)
{
	http_server_free(p->http);
	free(p);
}

void health_ports_free(struct health_ports *h)
{
	if (!h)
		return;
	for (struct strmap_iter it = { 0 }; strmap_next(h->ports, &it);)
		port_free(it.value);
	strmap_free(h->ports);
	free(h);
}

static void on_request(struct http_req *req, void *arg)
{
	const struct health_port *p = arg;
	bool healthy = p->all->healthy(p->all->arg);
	const char *slash = strchr(p->key, '/');
	cleanup(strbuf_done) struct strbuf body = STRBUF_INIT;
	char weight[24];

	strbuf_addf(&body,
		    "{\n\t\"service\": {\n\t\t\"namespace\": \"%.*s\",\n\t\t\"name\": \"%s\"\n\t},\n"
		    "\t\"localEndpoints\": %zu,\n\t\"serviceProxyHealthy\": %s\n}",
		    (int)(slash - p->key), p->key, slash + 1, p->local, healthy ? "true" : "false");
	snprintf(weight, sizeof(weight), "%zu", p->local);
	http_add_header(req, "X-Content-Type-Options", "nosniff");
	http_add_header(req, "X-Load-Balancing-Endpoint-Weight", weight);
	http_respond(req, p->local && healthy ? 200 : 503, "application/json", body.buf, body.len);
}

static int open_port(struct health_port *p, struct err *err)
{
	struct http_server_config config = { .handler = on_request, .arg = p, .max_connections = 1000 };
	struct http_server *http;
	int r = http_server_new(p->all->loop, &config, &http, err);

	for (int i = 0; r == 0 && i < 2; i++) {
		char ip[INET6_ADDRSTRLEN], at[INET6_ADDRSTRLEN + 16];

		if (ip_is_zero(&p->all->ips[i]))
			continue;
		snprintf(at, sizeof(at), strchr(ip_text(&p->all->ips[i], ip), ':') ? "[%s]:%lld" : "%s:%lld", ip,
			 (long long)p->port);
		r = http_server_listen(http, at, NULL, err);
		if (r < 0) {
			http_server_free(http);
			return err_wrap(err, r, "health check port of service %s", p->key);
		}
	}
	if (r == 0)
		p->http = http;
	return r;
}

static bool counts(const struct api_endpoint *e, const char *node)
{
	const struct api_endpoint_conditions *c = &e->conditions;

	return streq(e->node_name, node) && (c->ready.set ? c->ready.v : true) && !c->terminating.v;
}

static bool is_v6(const struct api_endpoint *e)
{
	return e->n_addresses && strchr(e->addresses[0], ':');
}

/* A pod of two families is in a slice of each. */
static size_t count_local(const char *node, const struct api_endpoint_slice *const *slices, size_t n_slices)
{
	size_t n[2] = { 0, 0 };

	for (size_t i = 0; i < n_slices; i++)
		for (size_t k = 0; k < slices[i]->n_endpoints; k++)
			n[is_v6(&slices[i]->endpoints[k])] += counts(&slices[i]->endpoints[k], node);
	return n[0] > n[1] ? n[0] : n[1];
}

static bool has_port(const struct api_service *s)
{
	return s && s->spec.health_check_node_port && streq(s->spec.external_traffic_policy, "Local");
}

int health_ports_set(struct health_ports *h, const char *key, const char *node, const struct api_service *service,
		     const struct api_endpoint_slice *const *slices, size_t n_slices, struct err *err)
{
	int64_t port = has_port(service) ? service->spec.health_check_node_port : 0;
	struct health_port *p = strmap_get(h->ports, key);
	int r;

	if (p && p->port != port) {
		strmap_del(h->ports, key);
		port_free(p);
		p = NULL;
	}
	if (!port)
		return 0;
	if (!p) {
		size_t len = strlen(key) + 1;

		p = calloc(1, sizeof(*p) + len);
		if (!p || strmap_set(h->ports, key, p, NULL) < 0) {
			free(p);
			return err_set(err, ENOMEM, "out of memory");
		}
		p->all = h;
		p->port = port;
		memcpy(p->key, key, len);
	}
	p->local = count_local(node, slices, n_slices);
	if (p->http)
		return 0;
	r = open_port(p, p->told ? NULL : err);
	if (r < 0 && p->told)
		return 0;
	p->told = r < 0;
	return r;
}
