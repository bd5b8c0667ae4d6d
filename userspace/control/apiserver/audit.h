/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit log (audit.k8s.io/v1): audit_policy.c decides how much of a request is told, audit.c tells it, audit_log.c
 * brings lines into a file without ever holding up the loop.
 */
#ifndef SKEP_APISERVER_AUDIT_H
#define SKEP_APISERVER_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../lib/base/err.h"
#include "../../lib/io/loop.h"

struct apiserver;
struct audit_policy;
struct audit_log;
struct authz_request;
struct call;

/* --- audit_policy.c, pure ------------------------------------------------------------------------------------------
 */

enum audit_level { AUDIT_NONE, AUDIT_METADATA, AUDIT_REQUEST, AUDIT_REQUEST_RESPONSE };
enum audit_stage { AUDIT_RECEIVED, AUDIT_STARTED, AUDIT_COMPLETE, AUDIT_PANIC };

struct audit_decision {
	enum audit_level level;
	unsigned omit_stages; /* bits 1 << enum audit_stage */
	bool omit_managed_fields;
};

extern const char *const audit_level_names[], *const audit_stage_names[];

/* YAML or JSON; what the policy's language does not have is an error that names it. */
int audit_policy_parse(const char *text, size_t len, struct audit_policy **ret, struct err *err);
void audit_policy_free(struct audit_policy *p);
/* The first rule that matches; level None if none does. */
void audit_policy_decide(const struct audit_policy *p, const struct authz_request *q, struct audit_decision *ret);

/* --- audit_log.c ---------------------------------------------------------------------------------------------------
 */

struct audit_log_config {
	const char *path;    /* "-": standard output */
	int64_t max_size;    /* bytes; the file is rotated before it grows beyond. 0: never */
	int max_backups;     /* rotated files kept; 0: all */
	int max_age_days;    /* older ones are removed; 0: never */
	size_t max_buffered; /* bytes waiting for the disk; further lines are dropped */
};
struct audit_log_stats {
	uint64_t lines, dropped, failed; /* failed: the disk refused them */
};
int audit_log_open(struct loop *loop, const struct audit_log_config *config, struct audit_log **ret, struct err *err);
/* One line with its end. Never blocks. */
void audit_log_add(struct audit_log *l, const char *line, size_t len);
struct audit_log_stats audit_log_stats(struct audit_log *l);
void audit_log_close(struct audit_log *l); /* waits until everything is written */

/* --- audit.c -------------------------------------------------------------------------------------------------------
 */

struct audit;
struct audit_ticket; /* of a call that is told about; NULL: it is not */

int audit_init(struct apiserver *s, struct err *err);
void audit_done(struct apiserver *s);
/* Who and what for are known. */
void audit_begin(struct call *c, const char *path);
/* A key and value for the events still to come of the request that c is part of. A key said again is replaced. */
void audit_annotate(struct call *c, const char *key, const char *value);
/* The answer, or the first byte of a stream. */
void audit_answered(struct call *c, int code, const char *type, const void *body, size_t len);
void audit_streaming(struct call *c, int code);
void audit_closed(struct call *c); /* the stream is over, or the client is gone; c->req is still there */
void audit_free(struct call *c);

#endif
