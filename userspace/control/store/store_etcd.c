/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store on etcd v3, spoken natively (gRPC). Every attempt has a short deadline: one sent to a follower during an
 * election would hang. What fails is tried at the next endpoint, and with pauses for RETRY_FOR_MS in all, so that the
 * death of a member or a change of leader is only felt as a delay.
 *
 * An attempt at a transaction that ended without an answer may have been done, or may be done yet. It is sent again
 * all the same, since its comparison lets at most one attempt succeed. If then the comparison fails, somebody was
 * faster: another client, or the earlier attempt. Which of them is found by reading back the key's history: see
 * store_etcd_resolve.c. Where the history does not tell (the key is gone, or was compacted) the callback gets
 * -EAGAIN.
 */
#include "../../lib/base/cleanup.h"
#include "../../lib/base/clock.h"
#include "../../lib/base/str.h"
#include "etcd-internal.h"

#define MAX_RUNNING  64u /* also bounds the connections where libcurl makes one for each call: http_h2c.c */
#define MAX_WAITING  65536u
#define RETRY_FOR_MS 10000
#define PAUSE_MIN_MS 20
#define PAUSE_MAX_MS 500

static const struct store_ops ops;

static void start_waiting(struct etcd_store *s);

static void submit(struct etcd_op *op);
static void store_free(struct etcd_store *s);

DEFINE_CLEANUP(struct etcd_store *, store_free);

static int add_endpoint(struct etcd_store *s, const char *url, const struct tls_files *tls, struct err *err)
{
	/* A member that has lost its leader shall say so instead of waiting, or of being silent to its watchers. */
	static const char *const headers[] = { "hasleader: true", NULL };
	struct http_client_config config = {
		.base_url = url,
		.tls = tls,
		.h2_prior_knowledge = true,
		.connect_timeout_ms = 2000,
		.headers = headers,
	};
	unsigned n = s->n_endpoints;
	int r;

	if (n == ETCD_MAX_ENDPOINTS)
		return err_set(err, EINVAL, "more than %d etcd endpoints", ETCD_MAX_ENDPOINTS);
	if (str_starts(url, "https://") && (!tls || !tls->ca_file))
		return err_set(err, EINVAL, "etcd endpoint '%s' needs a CA file", url);
	s->urls[n] = strdup(url);
	if (!s->urls[n])
		return err_set(err, ENOMEM, "out of memory");
	r = http_client_new(s->loop, &config, &s->endpoints[n], err);
	if (r < 0) {
		free(s->urls[n]);
		return err_wrap(err, r, "etcd endpoint");
	}
	s->n_endpoints++;
	return 0;
}

int store_etcd_open(struct loop *loop, const char *endpoints, const struct tls_files *tls, const char *prefix,
		    struct store **ret, struct err *err)
{
	cleanup(store_free) struct etcd_store *s = calloc(1, sizeof(*s));
	cleanup(free) char *copy = strdup(endpoints);
	char *save = NULL;
	int r;

	if (!s || !copy)
		return err_set(err, ENOMEM, "out of memory");
	s->base.ops = &ops;
	s->loop = loop;
	list_init(&s->running);
	list_init(&s->waiting);
	list_init(&s->watches);
	list_init(&s->statuses);
	s->prefix = strdup(prefix ? prefix : "");
	if (!s->prefix)
		return err_set(err, ENOMEM, "out of memory");
	s->prefix_len = strlen(s->prefix);
	for (char *url = strtok_r(copy, ", ", &save); url; url = strtok_r(NULL, ", ", &save)) {
		r = add_endpoint(s, url, tls, err);
		if (r < 0)
			return r;
	}
	if (!s->n_endpoints)
		return err_set(err, EINVAL, "no etcd endpoint in '%s'", endpoints);
	*ret = &TAKE(s)->base;
	return 0;
}

static struct etcd_store *of(struct store *base)
{
	return container_of(base, struct etcd_store, base);
}

/* --- starting ----------------------------------------------------------------------------------------------------- */

void etcd_op_free(struct etcd_op *op)
{
	list_remove(&op->node);
	loop_timer_cancel(&op->timer);
	free(op->key);
	free(op->end);
	free(op->value);
	free(op->present);
	free(op->msg);
	free(op);
}

/* Without memory for an operation there is nothing that could call back: see op_or_die() in store_sqlite.c. */
struct etcd_op *etcd_op_new(struct store *base, enum etcd_op_type type, const char *key, void *arg)
{
	struct etcd_store *s = of(base);
	struct etcd_op *op = calloc(1, sizeof(*op));

	if (!op || (key && asprintf(&op->key, "%s%s", s->prefix, key) < 0))
		abort();
	op->s = s;
	list_init(&op->node);
	op->type = type;
	op->arg = arg;
	op->timer.arg = op;
	return op;
}

static void do_range(struct store *base, const char *start, const char *end, int64_t rev, size_t limit, bool keys_only,
		     store_range_fn *fn, void *arg)
{
	struct etcd_op *op = etcd_op_new(base, OP_RANGE, start, arg);

	if (end[0] && asprintf(&op->end, "%s%s", op->s->prefix, end) < 0)
		abort();
	op->rev = rev;
	op->limit = limit;
	op->keys_only = keys_only;
	op->to.range = fn;
	submit(op);
}

static struct etcd_op *txn_new(struct store *base, enum etcd_op_type type, const char *key, int64_t expect,
			       store_txn_fn *fn, void *arg)
{
	struct etcd_op *op = etcd_op_new(base, type, key, arg);

	op->expect = expect;
	op->to.txn = fn;
	op->r = store_check_key(key, &op->msg);
	return op;
}

static void do_put(struct store *base, const char *key, int64_t expect, const void *value, size_t len, int64_t lease,
		   store_txn_fn *fn, void *arg)
{
	struct etcd_op *op = txn_new(base, OP_PUT, key, expect, fn, arg);

	op->lease = lease;
	if (!op->r && len > STORE_MAX_VALUE) {
		op->r = store_fail(&op->msg, EMSGSIZE, "value of '%s' has %zu bytes, more than %u", key, len,
				   STORE_MAX_VALUE);
	} else if (len) {
		op->value = malloc(len);
		if (!op->value)
			abort();
		memcpy(op->value, value, len);
		op->value_len = len;
	}
	submit(op);
}

static void do_del(struct store *base, const char *key, int64_t expect, store_txn_fn *fn, void *arg)
{
	submit(txn_new(base, OP_DEL, key, expect, fn, arg));
}

static void do_compact(struct store *base, int64_t rev, void (*fn)(void *arg, int r, const struct err *err), void *arg)
{
	struct etcd_op *op = etcd_op_new(base, OP_COMPACT, NULL, arg);

	op->rev = rev;
	op->to.compact = fn;
	submit(op);
}

static void do_lease_grant(struct store *base, int64_t ttl_s, void (*fn)(void *, int, int64_t, const struct err *),
			   void *arg)
{
	struct etcd_op *op = etcd_op_new(base, OP_GRANT, NULL, arg);

	op->lease = ttl_s;
	op->to.lease = fn;
	submit(op);
}

static void do_lease_keepalive(struct store *base, int64_t lease, void (*fn)(void *, int, int64_t, const struct err *),
			       void *arg)
{
	struct etcd_op *op = etcd_op_new(base, OP_KEEPALIVE, NULL, arg);

	op->lease = lease;
	op->to.lease = fn;
	submit(op);
}

/* --- ending ------------------------------------------------------------------------------------------------------- */

static void tell_failure(struct etcd_op *op)
{
	struct err err = ERR_INIT;

	store_err(&err, op->r, op->msg);
	switch (op->type) {
	case OP_RANGE:
		op->to.range(op->arg, op->r, NULL, &err);
		break;
	case OP_PUT:
	case OP_DEL:
		op->to.txn(op->arg, op->r, NULL, &err);
		break;
	case OP_COMPACT:
		op->to.compact(op->arg, op->r, &err);
		break;
	case OP_GRANT:
	case OP_KEEPALIVE:
		op->to.lease(op->arg, op->r, 0, &err);
		break;
	}
}

/* Out of the lists before its callback runs, so that the callback finds the store in order. */
void etcd_op_detach(struct etcd_op *op)
{
	struct etcd_store *s = op->s;

	list_remove(&op->node);
	loop_timer_cancel(&op->timer);
	if (!op->started)
		return;
	op->started = false;
	s->n_running--;
	start_waiting(s);
}

static void start_waiting(struct etcd_store *s)
{
	while (s->offset_known && s->n_running < MAX_RUNNING && !list_empty(&s->waiting)) {
		struct etcd_op *next = list_first(&s->waiting, struct etcd_op, node);

		list_remove(&next->node);
		s->n_waiting--;
		etcd_op_attempt(next);
	}
}

static void on_offset(void *arg, int r, const struct store_range *range, const struct err *err)
{
	struct etcd_store *s = arg;
	struct list failed = LIST_INIT(failed);

	s->offset_asked = false;
	if (r == 0) {
		char text[24] = "0";

		if (range->n && range->kvs[0].value_len < sizeof(text)) {
			memcpy(text, range->kvs[0].value, range->kvs[0].value_len);
			text[range->kvs[0].value_len] = '\0';
		}
		if (str_to_i64(text, 0, INT64_MAX / 2, &s->offset) < 0)
			s->offset = 0;
		s->offset_known = true;
		s->seen_rev = range->rev + s->offset;
		etcd_watches_start(s);
		start_waiting(s);
		return;
	}
	/* Those that came with it have waited as long as it; who comes now, asks again. */
	while (!list_empty(&s->waiting)) {
		struct list *n = s->waiting.next;

		list_remove(n);
		list_push_back(&failed, n);
	}
	s->n_waiting = 0;
	while (!list_empty(&failed)) {
		struct etcd_op *op = list_first(&failed, struct etcd_op, node);

		op->r = store_fail(&op->msg, -r, "%s", err->msg);
		etcd_op_finish_failed(op);
	}
}

void etcd_need_offset(struct etcd_store *s)
{
	struct etcd_op *op;

	if (s->offset_known || s->offset_asked)
		return;
	s->offset_asked = true;
	op = etcd_op_new(&s->base, OP_RANGE, ETCD_OFFSET_KEY, s);
	op->to.range = on_offset;
	etcd_op_attempt(op);
}

void etcd_op_finish_failed(struct etcd_op *op)
{
	etcd_op_detach(op);
	tell_failure(op);
	etcd_op_free(op);
}

static void on_refused(struct loop_timer *timer)
{
	etcd_op_finish_failed(timer->arg);
}

/* op->r is set: the callback comes on the next turn. */
static void refuse_later(struct etcd_op *op)
{
	list_remove(&op->node);
	list_push_back(&op->s->running, &op->node);
	op->timer.fn = on_refused;
	if (loop_timer_set(op->s->loop, &op->timer, 0) < 0)
		abort();
}

static void submit(struct etcd_op *op)
{
	struct etcd_store *s = op->s;

	if (!op->r && s->n_waiting >= MAX_WAITING)
		op->r = store_fail(&op->msg, EAGAIN, "etcd: too many operations are waiting");
	if (!s->offset_known)
		etcd_need_offset(s);
	if (op->r) {
		refuse_later(op);
	} else if (s->n_running >= MAX_RUNNING || !s->offset_known) {
		list_push_back(&s->waiting, &op->node);
		s->n_waiting++;
	} else {
		etcd_op_attempt(op);
	}
}

void etcd_leave_endpoint(struct etcd_store *s, unsigned i)
{
	if (s->current == i)
		s->current = (i + 1) % s->n_endpoints;
}

int etcd_fail(struct etcd_store *s, unsigned endpoint, const struct grpc_status *status, char **ret_msg)
{
	const char *m = status->message;
	int code = EAGAIN;

	switch (status->code) {
	case 3:
		code = strstr(m, "too large") ? EMSGSIZE : EINVAL;
		break;
	case 5:
		code = ENOENT;
		break;
	case 7:
	case 16:
		code = EACCES;
		break;
	case 8:
		code = strstr(m, "space exceeded") ? ENOSPC : strstr(m, "larger than") ? EMSGSIZE : EAGAIN;
		break;
	case 11:
		code = strstr(m, "compacted") ? ESTALE : ERANGE;
		break;
	case 12:
		code = EOPNOTSUPP;
		break;
	}
	return store_fail(ret_msg, code, "etcd %s: %s", s->urls[endpoint], m);
}

void etcd_note_header(struct etcd_store *s, const Etcdpb__ResponseHeader *header)
{
	if (header && header->revision + s->offset > s->seen_rev)
		s->seen_rev = header->revision + s->offset;
}

void etcd_kv(struct etcd_store *s, const Etcdpb__KeyValue *kv, struct strbuf *keys, struct store_kv *out)
{
	size_t skip = kv->key.len >= s->prefix_len ? s->prefix_len : kv->key.len, at = keys->len;

	strbuf_add(keys, kv->key.data + skip, kv->key.len - skip);
	strbuf_addc(keys, '\0');
	*out = (struct store_kv){
		.key = keys->buf + at,
		.key_len = kv->key.len - skip,
		.value = kv->value.len ? (const void *)kv->value.data : "",
		.value_len = kv->value.len,
		.create_rev = kv->create_revision + s->offset,
		.mod_rev = kv->mod_revision + s->offset,
		.version = kv->version,
	};
}

static int tell_range(struct etcd_op *op, const Etcdpb__RangeResponse *rsp)
{
	cleanup(strbuf_done) struct strbuf keys = STRBUF_INIT;
	cleanup(free) struct store_kv *kvs = reallocarray(NULL, rsp->n_kvs + 1, sizeof(*kvs));
	struct store_range range = { .kvs = kvs, .n = rsp->n_kvs, .more = rsp->more, .count = rsp->count };
	size_t size = 0;

	for (size_t i = 0; i < rsp->n_kvs; i++)
		size += rsp->kvs[i]->key.len + 1;
	if (!kvs || strbuf_reserve(&keys, size) < 0)
		return store_fail(&op->msg, ENOMEM, "out of memory");
	for (size_t i = 0; i < rsp->n_kvs; i++)
		etcd_kv(op->s, rsp->kvs[i], &keys, &kvs[i]);
	range.rev = op->rev ? op->rev : rsp->header ? rsp->header->revision + op->s->offset : 0;
	etcd_op_detach(op);
	op->to.range(op->arg, 0, &range, NULL);
	return 0;
}

static int tell_txn(struct etcd_op *op, const Etcdpb__TxnResponse *rsp)
{
	cleanup(strbuf_done) struct strbuf key = STRBUF_INIT;
	struct store_txn_result result = { .succeeded = rsp->succeeded,
					   .rev = rsp->header ? rsp->header->revision + op->s->offset : 0 };
	const Etcdpb__ResponseOp *r = rsp->n_responses ? rsp->responses[0] : NULL;
	const Etcdpb__KeyValue *kv = NULL;
	struct store_kv current;

	if (r && r->response_case == ETCDPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE && r->response_range->n_kvs)
		kv = r->response_range->kvs[0];
	else if (r && r->response_case == ETCDPB__RESPONSE_OP__RESPONSE_RESPONSE_DELETE_RANGE &&
		 r->response_delete_range->n_prev_kvs)
		kv = r->response_delete_range->prev_kvs[0];
	if (kv) {
		if (strbuf_reserve(&key, kv->key.len + 1) < 0)
			return store_fail(&op->msg, ENOMEM, "out of memory");
		etcd_kv(op->s, kv, &key, &current);
		result.current = &current;
	}
	if (!result.succeeded && op->unknown) {
		etcd_op_resolve(op, result.current, result.rev);
		return 1;
	}
	etcd_op_detach(op);
	op->to.txn(op->arg, 0, &result, NULL);
	return 0;
}

/* 0: told; 1: its outcome must be found out first; < 0: op->msg says why it failed. */
static int tell(struct etcd_op *op, const ProtobufCMessage *msg)
{
	struct etcd_store *s = op->s;

	switch (op->type) {
	case OP_RANGE:
		etcd_note_header(s, ((const Etcdpb__RangeResponse *)msg)->header);
		return tell_range(op, (const Etcdpb__RangeResponse *)msg);
	case OP_PUT:
	case OP_DEL:
		etcd_note_header(s, ((const Etcdpb__TxnResponse *)msg)->header);
		return tell_txn(op, (const Etcdpb__TxnResponse *)msg);
	case OP_COMPACT:
		etcd_op_detach(op);
		op->to.compact(op->arg, 0, NULL);
		return 0;
	case OP_GRANT:
	case OP_KEEPALIVE:
		break;
	}
	etcd_op_detach(op);
	op->to.lease(op->arg, 0, op->type == OP_GRANT ? ((const Etcdpb__LeaseGrantResponse *)msg)->id : op->kept_ttl_s,
		     NULL);
	return 0;
}

static void on_pause_over(struct loop_timer *timer)
{
	etcd_op_attempt(timer->arg);
}

/* At once while there is an endpoint that has not been tried, then with growing pauses. */
static bool try_again(struct etcd_op *op, const struct grpc_status *status)
{
	unsigned rounds = op->tries / op->s->n_endpoints;
	int64_t pause = rounds ? PAUSE_MIN_MS << (rounds < 6 ? rounds - 1 : 5) : 0;

	switch (status->code) {
	case 2: /* "raft proposal dropped" and the like */
	case 4:
	case 8:
	case 14:
		break;
	default:
		if (!status->unsent)
			return false;
	}
	if (status->code == 8 && !strstr(status->message, "too many requests"))
		return false;
	if (!status->unsent && status->code != 8)
		op->unknown = true;
	etcd_leave_endpoint(op->s, op->endpoint);
	if (pause > PAUSE_MAX_MS)
		pause = PAUSE_MAX_MS;
	if (clock_mono_ms() + pause >= op->give_up_ms)
		return false;
	if (!pause) {
		etcd_op_attempt(op);
		return true;
	}
	op->timer.fn = on_pause_over;
	return loop_timer_set(op->s->loop, &op->timer, pause) == 0;
}

static void failed(struct etcd_op *op, const struct grpc_status *status)
{
	if (try_again(op, status))
		return;
	op->r = etcd_fail(op->s, op->endpoint, status, &op->msg);
	etcd_op_finish_failed(op);
}

void etcd_op_done(void *arg, const struct grpc_status *status, const ProtobufCMessage *msg)
{
	struct etcd_op *op = arg;
	int r;

	op->call = NULL;
	if (status->code) {
		failed(op, status);
		return;
	}
	r = tell(op, msg);
	if (r < 0) {
		op->r = r;
		etcd_op_finish_failed(op);
	} else if (!r) {
		etcd_op_free(op);
	}
}

void etcd_op_attempt(struct etcd_op *op)
{
	struct etcd_store *s = op->s;

	if (!op->started) {
		op->started = true;
		s->n_running++;
		list_push_back(&s->running, &op->node);
		op->give_up_ms = clock_mono_ms() + RETRY_FOR_MS +
				 (etcd_op_is_big_read(op) ? ETCD_BIG_READ_TIMEOUT_MS : 0);
	}
	op->tries++;
	op->endpoint = s->current;
	loop_timer_cancel(&op->timer);
	if ((op->type == OP_RANGE || op->type == OP_COMPACT) && op->rev && op->rev <= s->offset) {
		op->r = store_fail(&op->msg, ESTALE, "revision %lld is compacted, the oldest is above %lld",
				   (long long)op->rev, (long long)s->offset);
		refuse_later(op);
		return;
	}
	op->call = etcd_op_send(op, s->endpoints[op->endpoint]);
	if (!op->call) {
		op->r = store_fail(&op->msg, ENOMEM, "out of memory");
		refuse_later(op);
	}
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

static void cancel_all(struct list *l)
{
	while (!list_empty(l)) {
		struct etcd_op *op = list_first(l, struct etcd_op, node);

		list_remove(&op->node);
		loop_timer_cancel(&op->timer);
		grpc_cancel(op->call);
		op->r = store_fail(&op->msg, ECANCELED, "the store is closed");
		tell_failure(op);
		etcd_op_free(op);
	}
}

static void do_close(struct store *base)
{
	store_free(of(base));
}

static void store_free(struct etcd_store *s)
{
	etcd_watches_free(s);
	etcd_statuses_free(s);
	cancel_all(&s->running);
	cancel_all(&s->waiting);
	for (unsigned i = 0; i < s->n_endpoints; i++) {
		http_client_free(s->endpoints[i]);
		free(s->urls[i]);
	}
	free(s->prefix);
	free(s);
}

static const struct store_ops ops = {
	.name = "etcd",
	.close = do_close,
	.range = do_range,
	.put = do_put,
	.del = do_del,
	.watch = etcd_watch,
	.unwatch = etcd_unwatch,
	.compact = do_compact,
	.lease_grant = do_lease_grant,
	.lease_keepalive = do_lease_keepalive,
	.status = etcd_status,
};
