/* SPDX-License-Identifier: Apache-2.0 */
/* The store in front of the store; see encrypt.h. */
#include "encrypt-internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/log.h"
#include "../../lib/base/str.h"
#include "../../lib/base/strmap.h"

struct encrypted {
	struct store base;
	struct store *inner;
	struct encrypt_config *config;
	struct strmap *stale; /* keys whose value the first key has not written; the value is nothing */
};

static struct encrypted *of(const struct store *s)
{
	return (struct encrypted *)s;
}

static void mark(struct encrypted *e, const char *key, bool stale)
{
	if (stale)
		(void)strmap_set(e->stale, key, e, NULL); /* out of memory: it is found again with the next start */
	else
		(void)strmap_del(e->stale, key);
}

/* --- opened values ------------------------------------------------------------------------------------------------ */

/* Buffers that live as long as one callback. */
struct opened {
	unsigned char **bufs;
	size_t n;
};

static void opened_donep(struct opened *o)
{
	for (size_t i = 0; i < o->n; i++)
		free(o->bufs[i]);
	free(o->bufs);
}

static int opened_init(struct opened *o, size_t max)
{
	o->n = 0;
	o->bufs = calloc(max ? max : 1, sizeof(*o->bufs));
	return o->bufs ? 0 : -ENOMEM;
}

/*
 * A value of the past may have been written by a key that is gone: only what is there now is worth a word. What cannot
 * be opened becomes empty: nobody mistakes it for an object, and the key stays taken.
 */
enum age { NOW, EVENT, BEFORE };

static int open_value(struct encrypted *e, struct opened *o, const char *key, const void **value, size_t *len,
		      enum age age)
{
	const struct encrypt_rule *rule = *value ? encrypt_rule_for(e->config, key) : NULL;
	unsigned char *text = NULL;
	bool stale = false;
	size_t n = 0;
	int r;

	if (!rule || !*len)
		return 0;
	r = encrypt_unseal(rule, key, *value, *len, &text, &n, &stale);
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		if (age == NOW)
			log_error("the value at key '%s' cannot be decrypted: no key for it, or it was tampered with",
				  key);
		*value = "";
		*len = 0;
		return 0;
	}
	if (age != BEFORE)
		mark(e, key, stale);
	o->bufs[o->n++] = text;
	*value = text;
	*len = n;
	return 0;
}

static bool any_sealed(const struct encrypted *e, const struct store_kv *kvs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (encrypt_rule_for(e->config, kvs[i].key))
			return true;
	return false;
}

/* --- operations: each carries its caller's callback --------------------------------------------------------------- */

struct op {
	struct encrypted *e;
	void *fn, *arg;
	char *key; /* of a put: written by the first key once it has succeeded */
};

/* As in the embedded store: with not even these few bytes left, the news could not be carried to the callback. */
static struct op *op_new(struct encrypted *e, void *fn, void *arg)
{
	struct op *op = calloc(1, sizeof(*op));

	if (!op)
		abort();
	*op = (struct op){ e, fn, arg, NULL };
	return op;
}

static void op_free(struct op *op)
{
	free(op->key);
	free(op);
}

static void oom(struct err *err)
{
	err_set(err, ENOMEM, "out of memory");
}

static void on_range(void *arg, int r, const struct store_range *range, const struct err *err)
{
	struct op *op = arg;
	struct encrypted *e = op->e;
	store_range_fn *fn = op->fn;
	void *fn_arg = op->arg;
	cleanup(opened_done) struct opened o = { 0 };
	cleanup(free) struct store_kv *kvs = NULL;
	struct store_range own;
	struct err e2 = ERR_INIT;

	op_free(op);
	if (r < 0 || !any_sealed(e, range->kvs, range->n)) {
		fn(fn_arg, r, range, err);
		return;
	}
	own = *range;
	kvs = malloc(range->n * sizeof(*kvs));
	r = kvs ? opened_init(&o, range->n) : -ENOMEM;
	for (size_t i = 0; !r && i < range->n; i++) {
		kvs[i] = range->kvs[i];
		r = open_value(e, &o, kvs[i].key, &kvs[i].value, &kvs[i].value_len, NOW);
	}
	own.kvs = kvs;
	if (r < 0)
		oom(&e2);
	fn(fn_arg, r, r < 0 ? NULL : &own, r < 0 ? &e2 : err);
}

static void enc_range(struct store *s, const char *start, const char *end, int64_t rev, size_t limit, bool keys_only,
		      store_range_fn *fn, void *arg)
{
	struct encrypted *e = of(s);

	if (keys_only)
		e->inner->ops->range(e->inner, start, end, rev, limit, true, fn, arg);
	else
		e->inner->ops->range(e->inner, start, end, rev, limit, false, on_range, op_new(e, fn, arg));
}

static void on_txn(void *arg, int r, const struct store_txn_result *res, const struct err *err)
{
	struct op *op = arg;
	struct encrypted *e = op->e;
	store_txn_fn *fn = op->fn;
	void *fn_arg = op->arg;
	cleanup(opened_done) struct opened o = { 0 };
	struct store_txn_result own;
	struct store_kv kv;
	struct err e2 = ERR_INIT;

	if (r == 0 && res->succeeded && op->key)
		mark(e, op->key, false);
	op_free(op);
	if (r < 0 || !res->current || !encrypt_rule_for(e->config, res->current->key)) {
		fn(fn_arg, r, res, err);
		return;
	}
	own = *res;
	kv = *res->current;
	own.current = &kv;
	r = opened_init(&o, 1);
	if (!r)
		r = open_value(e, &o, kv.key, &kv.value, &kv.value_len, res->succeeded ? BEFORE : NOW);
	if (r < 0)
		oom(&e2);
	fn(fn_arg, r, r < 0 ? NULL : &own, r < 0 ? &e2 : err);
}

/* Sealing failed: told by way of a read, since nothing may be written. */
static void on_failed(void *arg, int r, const struct store_range *range, const struct err *err)
{
	struct op *op = arg;
	store_txn_fn *fn = op->fn;
	void *fn_arg = op->arg;
	struct err own = ERR_INIT;

	(void)r, (void)range, (void)err;
	op_free(op);
	fn(fn_arg, err_set(&own, EIO, "the value cannot be encrypted"), NULL, &own);
}

static void enc_put(struct store *s, const char *key, int64_t expect_mod_rev, const void *value, size_t len,
		    int64_t lease, store_txn_fn *fn, void *arg)
{
	struct encrypted *e = of(s);
	const struct encrypt_rule *rule = encrypt_rule_for(e->config, key);
	cleanup(free) unsigned char *sealed = NULL;
	struct op *op;
	size_t n = 0;

	if (!rule) {
		e->inner->ops->put(e->inner, key, expect_mod_rev, value, len, lease, fn, arg);
		return;
	}
	op = op_new(e, fn, arg);
	op->key = strdup(key);
	if (!op->key || encrypt_seal(rule, key, value, len, &sealed, &n) < 0) {
		e->inner->ops->range(e->inner, "/-", "", 0, 1, true, on_failed, op);
		return;
	}
	e->inner->ops->put(e->inner, key, expect_mod_rev, sealed, n, lease, on_txn, op);
}

static void enc_del(struct store *s, const char *key, int64_t expect_mod_rev, store_txn_fn *fn, void *arg)
{
	struct encrypted *e = of(s);
	struct op *op;

	if (!encrypt_rule_for(e->config, key)) {
		e->inner->ops->del(e->inner, key, expect_mod_rev, fn, arg);
		return;
	}
	op = op_new(e, fn, arg);
	op->key = strdup(key);
	e->inner->ops->del(e->inner, key, expect_mod_rev, on_txn, op);
}

/* --- watches ------------------------------------------------------------------------------------------------------ */

struct watch {
	struct encrypted *e;
	struct store_watch *inner;
	store_watch_fn *fn;
	void *arg;
};

static void on_watch(void *arg, int r, int64_t rev, const struct store_event *events, size_t n, const struct err *err)
{
	struct watch *w = arg;
	struct encrypted *e = w->e;
	cleanup(opened_done) struct opened o = { 0 };
	cleanup(free) struct store_event *own = NULL;
	struct err e2 = ERR_INIT;
	bool sealed = false;

	for (size_t i = 0; r == 0 && i < n; i++)
		sealed |= encrypt_rule_for(e->config, events[i].kv.key) != NULL;
	if (!sealed) {
		w->fn(w->arg, r, rev, events, n, err);
		return;
	}
	own = malloc(n * sizeof(*own));
	r = own ? opened_init(&o, 2 * n) : -ENOMEM;
	for (size_t i = 0; !r && i < n; i++) {
		struct store_event *ev = &own[i];

		*ev = events[i];
		if (ev->type == STORE_DELETE)
			mark(e, ev->kv.key, false);
		else
			r = open_value(e, &o, ev->kv.key, &ev->kv.value, &ev->kv.value_len, EVENT);
		if (!r)
			r = open_value(e, &o, ev->kv.key, &ev->prev_value, &ev->prev_len, BEFORE);
	}
	if (r < 0)
		oom(&e2);
	w->fn(w->arg, r, rev, r < 0 ? NULL : own, r < 0 ? 0 : n, r < 0 ? &e2 : err);
}

static struct store_watch *enc_watch(struct store *s, const char *start, const char *end, int64_t from_rev,
				     store_watch_fn *fn, void *arg)
{
	struct encrypted *e = of(s);
	struct watch *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	*w = (struct watch){ e, NULL, fn, arg };
	w->inner = e->inner->ops->watch(e->inner, start, end, from_rev, on_watch, w);
	if (!w->inner) {
		free(w);
		return NULL;
	}
	return (struct store_watch *)w;
}

static void enc_unwatch(struct store_watch *sw)
{
	struct watch *w = (struct watch *)sw;

	w->e->inner->ops->unwatch(w->inner);
	free(w);
}

/* --- the rest ----------------------------------------------------------------------------------------------------- */

static void enc_compact(struct store *s, int64_t rev, void (*fn)(void *arg, int r, const struct err *err), void *arg)
{
	of(s)->inner->ops->compact(of(s)->inner, rev, fn, arg);
}

static void enc_lease_grant(struct store *s, int64_t ttl_s,
			    void (*fn)(void *arg, int r, int64_t lease, const struct err *err), void *arg)
{
	of(s)->inner->ops->lease_grant(of(s)->inner, ttl_s, fn, arg);
}

static void enc_lease_keepalive(struct store *s, int64_t lease,
				void (*fn)(void *arg, int r, int64_t ttl_s, const struct err *err), void *arg)
{
	of(s)->inner->ops->lease_keepalive(of(s)->inner, lease, fn, arg);
}

static void enc_close(struct store *s)
{
	struct encrypted *e = of(s);

	e->inner->ops->close(e->inner); /* ends what is under way, with callbacks that still need us */
	encrypt_config_free(e->config);
	strmap_free(e->stale);
	free(e);
}

static const struct store_ops ops = {
	.name = "encrypted",
	.close = enc_close,
	.range = enc_range,
	.put = enc_put,
	.del = enc_del,
	.watch = enc_watch,
	.unwatch = enc_unwatch,
	.compact = enc_compact,
	.lease_grant = enc_lease_grant,
	.lease_keepalive = enc_lease_keepalive,
};

struct store *encrypt_open(struct store *inner, struct encrypt_config *config)
{
	struct encrypted *e = calloc(1, sizeof(*e));

	if (e)
		e->stale = strmap_new();
	if (!e || !e->stale) {
		free(e);
		return NULL;
	}
	e->base.ops = &ops;
	e->inner = inner;
	e->config = config;
	return &e->base;
}

bool encrypt_stale(const struct store *s, const char *key)
{
	return s->ops == &ops && strmap_has(of(s)->stale, key);
}
