/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec, attach and port-forward: what is asked, of which container, and the runtime's URL for it. stream_join.c does
 * the rest.
 */
#include "server-internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/str.h"
#include "../../lib/io/ws.h"
#include "stream.h"

/* While the runtime is asked. */
struct asking {
	struct server *s;
	struct http_req *req; /* NULL: the client has gone */
	struct stream_ask ask;
};

static void on_client_gone(struct http_req *req, void *data)
{
	(void)req;
	((struct asking *)data)->req = NULL;
}

static void on_url(void *arg, const struct grpc_status *status, const ProtobufCMessage *msg)
{
	struct asking *a = arg;

	if (a->req) {
		http_req_set_data(a->req, NULL, NULL);
		if (status->code)
			answer_text(a->req, status->code == GRPC_NOT_FOUND ? 404 : 500, "container runtime: %s\n",
				    status->message);
		else
			stream_join(a->s->loop, a->req, &a->ask, ((const Cri__UrlResponse *)msg)->url);
	}
	free(a);
}

static bool flag(const struct http_req *req, const char *name)
{
	const char *v = http_req_query(req, name);

	return v && (streq(v, "1") || streq(v, "true"));
}

static bool ask_exec(struct asking *a, const char *id)
{
	Cri__ExecRequest rq = CRI__EXEC_REQUEST__INIT;
	char *cmd[256];
	const char *v;

	while (rq.n_cmd < sizeof(cmd) / sizeof(*cmd) && (v = http_req_query_nth(a->req, "command", rq.n_cmd)))
		cmd[rq.n_cmd++] = (char *)v;
	rq.container_id = (char *)id;
	rq.cmd = cmd;
	rq.tty = a->ask.tty;
	rq.stdin_ = a->ask.in;
	rq.stdout_ = a->ask.out;
	rq.stderr_ = a->ask.err;
	return cri_call(a->s->config.cri, CRI_EXEC, &rq.base, 0, on_url, a) != NULL;
}

static bool ask_attach(struct asking *a, const char *id)
{
	Cri__AttachRequest rq = CRI__ATTACH_REQUEST__INIT;

	rq.container_id = (char *)id;
	rq.tty = a->ask.tty;
	rq.stdin_ = a->ask.in;
	rq.stdout_ = a->ask.out;
	rq.stderr_ = a->ask.err;
	return cri_call(a->s->config.cri, CRI_ATTACH, &rq.base, 0, on_url, a) != NULL;
}

static bool ask_port_forward(struct asking *a, const char *sandbox)
{
	Cri__PortForwardRequest rq = CRI__PORT_FORWARD_REQUEST__INIT;
	int32_t ports[STREAM_PORTS_MAX];

	for (rq.n_port = 0; rq.n_port < a->ask.n_ports; rq.n_port++)
		ports[rq.n_port] = a->ask.ports[rq.n_port];
	rq.pod_sandbox_id = (char *)sandbox;
	rq.port = ports;
	return cri_call(a->s->config.cri, CRI_PORT_FORWARD, &rq.base, 0, on_url, a) != NULL;
}

/* "port=80&port=81,82"; false: answered. Clients on SPDY name theirs later, so that there may be none. */
static bool read_ports(struct http_req *req, struct stream_ask *ask)
{
	const char *v;
	int64_t port;

	for (size_t i = 0; (v = http_req_query_nth(req, "port", i)); i++) {
		while (*v) {
			size_t len = strcspn(v, ",");
			char text[8] = "";

			if (len < sizeof(text))
				memcpy(text, v, len);
			if (str_to_i64(text, 1, 65535, &port) || ask->n_ports == STREAM_PORTS_MAX) {
				answer_text(req, 400,
					    "port: \"%.32s\": up to %d numbers from 1 to 65535 are possible\n", v,
					    STREAM_PORTS_MAX);
				return false;
			}
			ask->ports[ask->n_ports++] = (uint16_t)port;
			v += len + (v[len] == ',');
		}
	}
	if (ask->n_ports || !ask->protocol || streq(ask->protocol, STREAM_TUNNEL))
		return true;
	answer_text(req, 400, "query parameter \"port\" is required\n");
	return false;
}

/* False: answered. *ret_id: of the container or sandbox. */
static bool find_target(struct server *s, struct http_req *req, enum stream_kind kind, const char *ns, const char *pod,
			const char *container, const char **ret_id, bool *ret_tty)
{
	const struct pod *p = pods_find(s->pods, ns, pod);
	int r;

	if (!p) {
		answer_text(req, 404, "pod \"%s/%s\" not found\n", ns, pod);
		return false;
	}
	if (kind == STREAM_PORT_FORWARD) {
		*ret_id = pod_sandbox_id(p);
		if (!*ret_id)
			answer_text(req, 500, "pod \"%s/%s\" does not run\n", ns, pod);
		return *ret_id != NULL;
	}
	r = pod_container_id(p, container, ret_id, ret_tty);
	if (r == -ENOENT)
		answer_text(req, 404, "container not found (\"%s\")\n", container);
	else if (r < 0)
		answer_text(req, 500, "unable to upgrade connection: container %s does not run\n", container);
	return r == 0;
}

void serve_stream(struct server *s, struct http_req *req, enum stream_kind kind, const char *ns, const char *pod,
		  const char *container)
{
	static const char *const channels[] = { "v5.channel.k8s.io", "v4.channel.k8s.io", NULL };
	static const char *const tunnels[] = { STREAM_TUNNEL, "v4.channel.k8s.io", NULL };
	bool ws = http_req_wants_upgrade(req, "websocket"), tty = flag(req, "tty"), asked;
	const char *offer = http_req_header(req, "sec-websocket-protocol"), *id, *protocol = NULL;
	struct asking *a;

	if (!ws && !http_req_wants_upgrade(req, "SPDY/3.1")) {
		answer_text(req, 400, "Upgrade request required: WebSocket or SPDY/3.1\n");
		return;
	}
	if (ws) {
		protocol = ws_choose_protocol(offer ? offer : "", kind == STREAM_PORT_FORWARD ? tunnels : channels);
		if (!protocol) {
			answer_text(
				req, 400, "none of the protocols \"%s\" is spoken here: offer %s\n", offer ? offer : "",
				kind == STREAM_PORT_FORWARD ? STREAM_TUNNEL : "v5.channel.k8s.io or v4.channel.k8s.io");
			return;
		}
	}
	if (kind == STREAM_EXEC && !http_req_query(req, "command")) {
		answer_text(req, 400, "you must specify a command\n");
		return;
	}
	if (kind != STREAM_PORT_FORWARD && !flag(req, "input") && !flag(req, "output") && !flag(req, "error")) {
		answer_text(req, 400, "you must specify at least 1 of stdin, stdout, stderr\n");
		return;
	}
	if (!find_target(s, req, kind, ns, pod, container, &id, &tty))
		return;
	a = calloc(1, sizeof(*a));
	if (!a) {
		answer_text(req, 500, "out of memory\n");
		return;
	}
	if (kind == STREAM_EXEC)
		tty = flag(req, "tty");
	*a = (struct asking){
		.s = s,
		.req = req,
		.ask = { .kind = kind,
			 .protocol = protocol,
			 .in = flag(req, "input"),
			 .out = flag(req, "output"),
			 .err = flag(req, "error") && !tty,
			 .tty = tty },
	};
	if (kind == STREAM_PORT_FORWARD && !read_ports(req, &a->ask)) {
		free(a);
		return;
	}
	http_req_set_data(req, a, on_client_gone);
	asked = kind == STREAM_EXEC	? ask_exec(a, id)
		: kind == STREAM_ATTACH ? ask_attach(a, id)
					: ask_port_forward(a, id);
	if (asked)
		return;
	http_req_set_data(req, NULL, NULL);
	free(a);
	answer_text(req, 500, "out of memory\n");
}
