/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transactions of unknown outcome: an attempt ended without an answer, the next one found the comparison false. Was it
 * the earlier attempt that changed the key, or somebody else? The key's history is read backwards until the state that
 * came after the one that was expected is found.
 */
#include "etcd-internal.h"

#define RESOLVE_STEPS 32 /* changes by others after an unknown outcome that are looked through */

/* The earlier attempt was it, or another client did the very same. */
static void resolved(struct etcd_op *op, bool done, int64_t rev)
{
	struct store_txn_result result = { .succeeded = done, .rev = done ? rev : op->present->rev };

	if (!done && op->present->exists)
		result.current = &op->present->kv;
	etcd_op_detach(op);
	op->to.txn(op->arg, 0, &result, NULL);
	etcd_op_free(op);
}

static void unresolved(struct etcd_op *op, const char *why)
{
	op->r = store_fail(&op->msg, EAGAIN, "etcd: the outcome of a write to '%s' is unknown: %s",
			   op->key + op->s->prefix_len, why);
	etcd_op_finish_failed(op);
}

static struct etcd_saved *save(const struct store_kv *kv, int64_t rev)
{
	struct etcd_saved *p = calloc(1, sizeof(*p) + (kv ? kv->key_len + 1 + kv->value_len : 0));

	if (!p)
		return NULL;
	p->rev = rev;
	if (!kv)
		return p;
	p->exists = true;
	p->kv = *kv;
	memcpy(p->bytes, kv->key, kv->key_len + 1);
	memcpy(p->bytes + kv->key_len + 1, kv->value, kv->value_len);
	p->kv.key = p->bytes;
	p->kv.value = p->bytes + kv->key_len + 1;
	return p;
}

static bool is_ours(const struct etcd_op *op, const struct store_kv *kv)
{
	return kv->value_len == op->value_len && (!kv->value_len || !memcmp(kv->value, op->value, kv->value_len));
}

static void look_back(struct etcd_op *op, int64_t rev, bool ours);

static void on_past(void *arg, int r, const struct store_range *range, const struct err *err)
{
	struct etcd_op *op = arg;
	const struct store_kv *kv = r == 0 && range->n ? &range->kvs[0] : NULL;

	if (r == -ECANCELED) {
		op->r = store_fail(&op->msg, ECANCELED, "%s", err->msg);
		etcd_op_finish_failed(op);
	} else if (!kv) {
		unresolved(op, r < 0 ? err->msg : "the key was removed meanwhile");
	} else if (!op->expect) {
		resolved(op, is_ours(op, kv), kv->mod_rev); /* as it was made */
	} else if (kv->mod_rev == op->expect) {
		resolved(op, op->later_ours, op->later_rev); /* the state after it is the one that counts */
	} else {
		look_back(op, kv->mod_rev, is_ours(op, kv));
	}
}

/* The read always ends and finishes the transaction, which keeps its place among the running ones. */
static void read_past(struct etcd_op *op, int64_t rev)
{
	struct etcd_op *sub = etcd_op_new(&op->s->base, OP_RANGE, op->key + op->s->prefix_len, op);

	list_remove(&op->node);
	sub->rev = rev;
	sub->to.range = on_past;
	etcd_op_attempt(sub);
}

/* From the key's state at rev to the one before. */
static void look_back(struct etcd_op *op, int64_t rev, bool ours)
{
	op->later_rev = rev;
	op->later_ours = ours;
	if (++op->steps > RESOLVE_STEPS)
		unresolved(op, "too many changes came after it");
	else
		read_past(op, rev - 1);
}

void etcd_op_resolve(struct etcd_op *op, const struct store_kv *present, int64_t rev)
{
	op->present = save(present, rev);
	if (!op->present)
		unresolved(op, "out of memory");
	else if (op->type == OP_DEL)
		resolved(op, !present || present->create_rev > op->expect, rev);
	else if (!present || (op->expect && present->create_rev > op->expect))
		unresolved(op, "the key was removed meanwhile");
	else if (is_ours(op, present) && (op->expect || present->version == 1))
		resolved(op, true, present->mod_rev);
	else if (op->expect)
		look_back(op, present->mod_rev, false);
	else
		read_past(op, present->create_rev);
}
