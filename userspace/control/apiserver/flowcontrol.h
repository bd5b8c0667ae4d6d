/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Overload: which request runs now, which waits, which is refused. flow_match.c sorts requests by the FlowSchemas,
 * fairqueue.c decides, flowcontrol.c ties both to calls and to the loop, flow_defaults.c makes the objects that every
 * cluster has.
 */
#ifndef SKEP_APISERVER_FLOWCONTROL_H
#define SKEP_APISERVER_FLOWCONTROL_H

#include <jansson.h>

#include "../../lib/io/loop.h"
#include "fairqueue.h"

struct apiserver;
struct authz_request;
struct api_flow_schema_spec;
struct call;
struct err;
struct flow;
struct flow_config;
struct flow_schema;

/* In each call: its place in the queues. */
struct flow_ticket {
	struct fq_req req;
	struct loop_timer timer; /* end of waiting, then of the request */
	void (*run)(struct call *c);
	struct flow_config *config; /* counted: keeps schema */
	const struct flow_schema *schema;
	bool entered, long_running;
};

int flow_init(struct apiserver *s, struct err *err);
void flow_done(struct apiserver *s);

/*
 * Takes a request whose sender, verb and target are known and calls run(c) now or later, or answers it with 429. The
 * seat is given back by flow_leave(), which the answer (a stream's first byte) and the end of the call do.
 */
void flow_enter(struct call *c, const char *path, void (*run)(struct call *c));
void flow_leave(struct call *c);
void flow_abandon(struct call *c); /* the client is gone: what it had begun keeps its seat to the end */

/* --- flow_match.c, pure --------------------------------------------------------------------------------------------
 */

bool flow_matches(const struct api_flow_schema_spec *spec, const struct authz_request *q);
/* What tells this request's flow from others of the schema; "" if nothing. */
const char *flow_distinguisher(const struct api_flow_schema_spec *spec, const struct authz_request *q);

/* --- flow_defaults.c -----------------------------------------------------------------------------------------------
 */

/* The i-th object every cluster has (a new reference), with its plural name; NULL past the end. Levels come first. */
json_t *flow_default_object(int i, const char **ret_plural);
/* Makes those again that have gone, and puts mandatory ones back that were changed. */
void flow_keep_defaults(struct apiserver *s);
/* Writes the condition Dangling of a FlowSchema, if it is not so already. */
void flow_set_dangling(struct apiserver *s, const char *name, bool dangling, const char *level);

#endif
