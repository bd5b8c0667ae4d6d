/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of agent/server share. */
#ifndef SKEP_AGENT_SERVER_INTERNAL_H
#define SKEP_AGENT_SERVER_INTERNAL_H

#include "../../lib/base/strmap.h"
#include "server.h"
#include "stream.h"

/* How much of the processors something uses, taken between two questions; see stats.c. */
struct cpu_sample {
	int64_t at_ns, rate; /* rate: of nanoseconds a second; -1: not known */
	int64_t window_ns;   /* over which it was measured */
	uint64_t usage;
	bool seen;
};

struct server {
	struct loop *loop;
	struct server_config config;
	struct http_server *http;
	struct pods *pods;
	struct network *network;
	struct strmap *cpu; /* container id -> struct cpu_sample * */
	struct cpu_sample node_cpu;
};

void answer_text(struct http_req *req, int status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* logs.c: path components after /containerLogs */
void serve_logs(struct server *s, struct http_req *req, const char *ns, const char *pod, const char *container);
/* stream.c */
void serve_stream(struct server *s, struct http_req *req, enum stream_kind kind, const char *ns, const char *pod,
		  const char *container);
/* stats.c */
void serve_stats(struct server *s, struct http_req *req);
void stats_free(struct server *s);

#endif
