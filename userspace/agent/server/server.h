/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's HTTPS API, kubelet's paths: /containerLogs, /exec, /attach, /portForward, /pods, /stats/summary,
 * /metrics, /healthz, and /debug/net of the node's network. Callers show a client certificate of the cluster's
 * authority: the API server and admins may all, others read /metrics only.
 */
#ifndef SKEP_AGENT_SERVER_H
#define SKEP_AGENT_SERVER_H

#include "../network.h"
#include "../pod/pods.h"
#include "../../lib/io/http_server.h"

struct server;
struct server_config {
	const char *listen; /* ":10250" */
	struct tls_files tls;
	const char *node_name;
	struct cri *cri;
};
int server_new(struct loop *loop, const struct server_config *config, struct server **ret, int *ret_port,
	       struct err *err);
void server_free(struct server *s);
/* Until these are set, what needs them is answered with 503. */
void server_set_pods(struct server *s, struct pods *pods);
void server_set_network(struct server *s, struct network *network);

#endif
