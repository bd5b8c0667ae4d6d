/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What kube-proxy serves over plain HTTP: /healthz and /livez, by which cloud load balancers decide which nodes they
 * send to (KEP-3836), and, where the agent has no HTTPS API, /metrics and /debug/net. /healthz fails while the maps are
 * not what the API says, and on a node that is being deleted, so that load balancers let its connections drain; /livez
 * does not care for the latter.
 */
#ifndef SKEP_AGENT_PROXY_SERVER_H
#define SKEP_AGENT_PROXY_SERVER_H

#include "network.h"

struct proxy_server;
struct proxy_server_config {
	const char *healthz_listen; /* ":10256"; NULL or "": none */
	const char *listen;	    /* of /metrics and /debug/net, without authentication; NULL: not served */
};
int proxy_server_new(struct loop *loop, const struct proxy_server_config *config, struct proxy_server **ret,
		     struct err *err);
void proxy_server_free(struct proxy_server *s);
/* Until then everything is 503. */
void proxy_server_set_network(struct proxy_server *s, struct network *network);

#endif
