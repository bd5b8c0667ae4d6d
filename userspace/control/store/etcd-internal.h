/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The etcd store's parts, all on one loop: store_etcd.c (operations, endpoints), store_etcd_send.c (their requests),
 * store_etcd_resolve.c (unknown outcomes), store_etcd_watch.c, store_etcd_status.c.
 */
#ifndef SKEP_STORE_ETCD_INTERNAL_H
#define SKEP_STORE_ETCD_INTERNAL_H

#include "../../lib/base/list.h"
#include "../../lib/base/strbuf.h"
#include "../../lib/io/grpc.h"
#include "proto/etcd.pb-c.h"
#include "store-internal.h"

#define ETCD_MAX_ENDPOINTS	 16
#define ETCD_TIMEOUT_MS		 2000 /* a proposal forwarded to a leader that died is lost without a word */
#define ETCD_BIG_READ_TIMEOUT_MS 30000

struct etcd_store {
	struct store base;
	struct loop *loop;
	char *prefix;
	size_t prefix_len;
	struct http_client *endpoints[ETCD_MAX_ENDPOINTS];
	char *urls[ETCD_MAX_ENDPOINTS];
	unsigned n_endpoints, current; /* current: where operations go first */
	int64_t seen_rev;	       /* highest revision any answer told of */
	/*
	 * Our revisions are etcd's plus this, so that they go on upwards when a backup or another store's content comes
	 * into a cluster that has counted less. Kept in etcd under ETCD_OFFSET_KEY and read before anything else.
	 */
	int64_t offset;
	bool offset_known, offset_asked;
	struct list running, waiting; /* operations */
	unsigned n_running, n_waiting;
	struct list watches, statuses;
};

/* --- operations ----------------------------------------------------------------------------------------------------
 */

enum etcd_op_type { OP_RANGE, OP_PUT, OP_DEL, OP_COMPACT, OP_GRANT, OP_KEEPALIVE };

struct etcd_op {
	struct etcd_store *s;
	struct list node; /* in running, or waiting */
	enum etcd_op_type type;
	char *key, *end; /* with prefix */
	void *value;
	size_t value_len, limit;
	int64_t expect, rev, lease; /* lease: id, or ttl to grant */
	bool keys_only;
	union {
		store_range_fn *range;
		store_txn_fn *txn;
		void (*compact)(void *arg, int r, const struct err *err);
		void (*lease)(void *arg, int r, int64_t v, const struct err *err);
	} to;
	void *arg;
	struct grpc_call *call;
	struct loop_timer timer; /* a refusal to be told on the next turn; a keep-alive's deadline; a pause */
	unsigned endpoint, tries;
	int64_t give_up_ms;
	bool unknown; /* an attempt at this transaction may have been done */
	unsigned steps;
	int64_t later_rev; /* resolving: the state looked at last, and whether it is what we wanted to write */
	bool later_ours;
	struct etcd_saved *present; /* resolving: what is there now */
	bool started;		    /* counts in n_running */
	int r;
	char *msg;
	int64_t kept_ttl_s;
};

/* A key's state that outlives the answer it came with. */
struct etcd_saved {
	struct store_kv kv; /* points behind */
	int64_t rev;	    /* of the store when it was read */
	bool exists;
	char bytes[];
};

struct etcd_op *etcd_op_new(struct store *base, enum etcd_op_type type, const char *key, void *arg);
void etcd_op_free(struct etcd_op *op);
void etcd_op_attempt(struct etcd_op *op);
void etcd_op_detach(struct etcd_op *op);	/* it has ended: its place is another's */
void etcd_op_finish_failed(struct etcd_op *op); /* tells r and msg, frees */
/* The outcome of an attempt. */
void etcd_op_done(void *arg, const struct grpc_status *status, const ProtobufCMessage *msg);
struct grpc_call *etcd_op_send(struct etcd_op *op, struct http_client *c); /* NULL: out of memory */
/* A comparison failed after an attempt of unknown outcome; finishes op. present: what is there now, NULL: nothing. */
void etcd_op_resolve(struct etcd_op *op, const struct store_kv *present, int64_t rev);
static inline bool etcd_op_is_big_read(const struct etcd_op *op)
{
	return op->type == OP_RANGE && op->end && (!op->limit || op->limit > 1000);
}

/* --- endpoints, revisions, keys -------------------------------------------------------------------------------------
 */

/* After a failure at endpoint i: whatever comes next goes elsewhere. */
void etcd_leave_endpoint(struct etcd_store *s, unsigned i);
/* What a gRPC status means to the store's callers, with a text that names the endpoint. */
int etcd_fail(struct etcd_store *s, unsigned endpoint, const struct grpc_status *status, char **ret_msg);
#define ETCD_OFFSET_KEY "/-/revision-offset"
/* Asks for the offset unless that is under way; what waits for it is started, or fails, when it is there. */
void etcd_need_offset(struct etcd_store *s);
void etcd_note_header(struct etcd_store *s, const Etcdpb__ResponseHeader *header);
/* kv's key without prefix goes to keys, which must not move any more before out is used: reserve it first. */
void etcd_kv(struct etcd_store *s, const Etcdpb__KeyValue *kv, struct strbuf *keys, struct store_kv *out);

struct store_watch *etcd_watch(struct store *base, const char *start, const char *end, int64_t from_rev,
			       store_watch_fn *fn, void *arg);
void etcd_unwatch(struct store_watch *w);
void etcd_watches_start(struct etcd_store *s); /* the offset is known now */
void etcd_watches_free(struct etcd_store *s);

void etcd_status(struct store *base, void (*fn)(void *, int, const struct store_status *, const struct err *),
		 void *arg);
void etcd_statuses_free(struct etcd_store *s);

static inline ProtobufCBinaryData etcd_bytes(const void *data, size_t len)
{
	return (ProtobufCBinaryData){ .len = len, .data = (uint8_t *)data };
}

#endif
