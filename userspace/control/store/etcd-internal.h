/* SPDX-License-Identifier: Apache-2.0 */
/* The etcd store's parts: store_etcd.c (operations, endpoints) and store_etcd_watch.c. All on one loop. */
#ifndef SKEP_STORE_ETCD_INTERNAL_H
#define SKEP_STORE_ETCD_INTERNAL_H

#include "../../lib/base/list.h"
#include "../../lib/base/strbuf.h"
#include "../../lib/io/grpc.h"
#include "proto/etcd.pb-c.h"
#include "store-internal.h"

#define ETCD_MAX_ENDPOINTS 16

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
