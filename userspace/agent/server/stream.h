/* SPDX-License-Identifier: Apache-2.0 */
/* A client's stream joined to the runtime's streaming server; see stream_join.c. */
#ifndef SKEP_AGENT_STREAM_H
#define SKEP_AGENT_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../lib/io/http_server.h"
#include "../../lib/io/loop.h"

#define STREAM_TUNNEL "SPDY/3.1+portforward.k8s.io"

#define STREAM_PORTS_MAX 16

enum stream_kind { STREAM_EXEC, STREAM_ATTACH, STREAM_PORT_FORWARD };
struct stream_ask {
	enum stream_kind kind;
	const char *protocol;	/* the client's on WebSocket, static; NULL: it speaks SPDY */
	bool in, out, err, tty; /* of exec and attach */
	size_t n_ports;		/* of port-forward, where the client names them before: on WebSocket without a tunnel */
	uint16_t ports[STREAM_PORTS_MAX];
};
/* Answers the request in any case; its data are the stream's from now on. */
void stream_join(struct loop *loop, struct http_req *req, const struct stream_ask *ask, const char *url);

#endif
