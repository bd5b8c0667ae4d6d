/* SPDX-License-Identifier: Apache-2.0 */
/* One attempt at an operation, as etcd's API has it; etcd_op_done() gets its outcome. */
#include "etcd-internal.h"

static struct grpc_call *send_range(struct etcd_op *op, struct http_client *c)
{
	Etcdpb__RangeRequest q = ETCDPB__RANGE_REQUEST__INIT;

	q.key = etcd_bytes(op->key, strlen(op->key));
	if (op->end)
		q.range_end = etcd_bytes(op->end, strlen(op->end));
	q.limit = (int64_t)op->limit;
	q.revision = op->rev ? op->rev - op->s->offset : 0;
	q.keys_only = op->keys_only;
	return grpc_unary(c, "/etcdserverpb.KV/Range", &q.base, &etcdpb__range_response__descriptor,
			  etcd_op_is_big_read(op) ? ETCD_BIG_READ_TIMEOUT_MS : ETCD_TIMEOUT_MS, etcd_op_done, op);
}

static struct grpc_call *send_txn(struct etcd_op *op, struct http_client *c)
{
	Etcdpb__TxnRequest q = ETCDPB__TXN_REQUEST__INIT;
	Etcdpb__Compare compare = ETCDPB__COMPARE__INIT, *compares = &compare;
	Etcdpb__RequestOp yes = ETCDPB__REQUEST_OP__INIT, no = ETCDPB__REQUEST_OP__INIT, *success = &yes,
			  *failure = &no;
	Etcdpb__PutRequest put = ETCDPB__PUT_REQUEST__INIT;
	Etcdpb__DeleteRangeRequest del = ETCDPB__DELETE_RANGE_REQUEST__INIT;
	Etcdpb__RangeRequest get = ETCDPB__RANGE_REQUEST__INIT;
	ProtobufCBinaryData key = etcd_bytes(op->key, strlen(op->key));

	compare.target = 2; /* mod_revision; result 0: equal */
	compare.key = key;
	compare.target_union_case = ETCDPB__COMPARE__TARGET_UNION_MOD_REVISION;
	/* A revision of before the offset is no key's any more; 0 would mean "absent". */
	compare.mod_revision = !op->expect ? 0 : op->expect > op->s->offset ? op->expect - op->s->offset : -1;
	get.key = key;
	no.request_case = ETCDPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
	no.request_range = &get;
	if (op->type == OP_PUT) {
		put.key = key;
		put.value = etcd_bytes(op->value, op->value_len);
		put.lease = op->lease;
		yes.request_case = ETCDPB__REQUEST_OP__REQUEST_REQUEST_PUT;
		yes.request_put = &put;
	} else {
		del.key = key;
		del.prev_kv = true;
		yes.request_case = ETCDPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
		yes.request_delete_range = &del;
	}
	q.n_compare = q.n_success = q.n_failure = 1;
	q.compare = &compares;
	q.success = &success;
	q.failure = &failure;
	return grpc_unary(c, "/etcdserverpb.KV/Txn", &q.base, &etcdpb__txn_response__descriptor, ETCD_TIMEOUT_MS,
			  etcd_op_done, op);
}

static void on_kept(struct grpc_call *call, void *arg, const ProtobufCMessage *msg)
{
	(void)call;
	((struct etcd_op *)arg)->kept_ttl_s = ((const Etcdpb__LeaseKeepAliveResponse *)msg)->ttl;
}

static void on_kept_done(struct grpc_call *call, void *arg, const struct grpc_status *status)
{
	static const struct grpc_status gone = { .code = 5, .message = "requested lease not found" };
	struct etcd_op *op = arg;

	(void)call;
	/* A lease that is gone is answered with a ttl of 0. */
	etcd_op_done(op, !status->code && op->kept_ttl_s <= 0 ? &gone : status, NULL);
}

static void on_keepalive_timeout(struct loop_timer *timer)
{
	static const struct grpc_status late = { .code = 4, .message = "timeout" };
	struct etcd_op *op = timer->arg;

	grpc_cancel(op->call);
	etcd_op_done(op, &late, NULL);
}

/* A stream in etcd's API, used for one request each; the end of the request ends the stream. */
static struct grpc_call *send_keepalive(struct etcd_op *op, struct http_client *c)
{
	static const struct grpc_stream_ops stream = { on_kept, on_kept_done };
	Etcdpb__LeaseKeepAliveRequest q = ETCDPB__LEASE_KEEP_ALIVE_REQUEST__INIT;

	q.id = op->lease;
	op->kept_ttl_s = 0;
	op->timer.fn = on_keepalive_timeout;
	if (loop_timer_set(op->s->loop, &op->timer, ETCD_TIMEOUT_MS) < 0)
		return NULL;
	return grpc_stream(c, "/etcdserverpb.Lease/LeaseKeepAlive", &q.base, false,
			   &etcdpb__lease_keep_alive_response__descriptor, &stream, op);
}

struct grpc_call *etcd_op_send(struct etcd_op *op, struct http_client *c)
{
	Etcdpb__CompactionRequest compact = ETCDPB__COMPACTION_REQUEST__INIT;
	Etcdpb__LeaseGrantRequest grant = ETCDPB__LEASE_GRANT_REQUEST__INIT;

	switch (op->type) {
	case OP_RANGE:
		return send_range(op, c);
	case OP_PUT:
	case OP_DEL:
		return send_txn(op, c);
	case OP_COMPACT:
		compact.revision = op->rev - op->s->offset;
		return grpc_unary(c, "/etcdserverpb.KV/Compact", &compact.base,
				  &etcdpb__compaction_response__descriptor, ETCD_BIG_READ_TIMEOUT_MS, etcd_op_done, op);
	case OP_GRANT:
		grant.ttl = op->lease;
		return grpc_unary(c, "/etcdserverpb.Lease/LeaseGrant", &grant.base,
				  &etcdpb__lease_grant_response__descriptor, ETCD_TIMEOUT_MS, etcd_op_done, op);
	case OP_KEEPALIVE:
		return send_keepalive(op, c);
	}
	return NULL;
}
