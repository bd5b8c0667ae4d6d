/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writing thread. What has queued up while the disk was busy is done in one transaction (group commit): one fsync
 * for many writers, each with a revision of its own, all acknowledged once it is durable. Leases live here, too:
 * their deadlines are kept in memory only and start anew with the process, as etcd's do with a new leader.
 */
#include <sys/random.h>
#include <time.h>

#include "../../lib/base/clock.h"
#include "sqlite-internal.h"

#define BATCH_OPS   512
#define BATCH_BYTES (8u << 20)
#define PURGE_STEP  1000 /* revisions of a compaction done with one batch */
#define MAX_LEASES  100000u
#define MAX_TTL_S   (1000 * 24 * 3600)
#define RETRY_MS    1000 /* after an expiry could not be written */

/* What the batch in hand changes besides the database; taken back if it fails. */
struct batch {
	struct list ops; /* in order, expiries first */
	int64_t rev, compact_rev, compact_done;
	size_t n_due; /* leases that expire with it: the first of due[] */
	int64_t due[64];
};

static void run_batch(struct sqlite_store *s, struct list *ops);

/* --- leases ------------------------------------------------------------------------------------------------------- */

static struct sq_lease *lease_find(struct sqlite_store *s, int64_t id)
{
	for (size_t i = 0; i < s->n_leases; i++)
		if (s->leases[i].id == id)
			return &s->leases[i];
	return NULL;
}

static int lease_insert(struct sqlite_store *s, int64_t id, int64_t ttl_s)
{
	if (s->n_leases == s->cap_leases) {
		size_t cap = s->cap_leases ? s->cap_leases * 2 : 16;
		struct sq_lease *l = reallocarray(s->leases, cap, sizeof(*l));

		if (!l)
			return -ENOMEM;
		s->leases = l;
		s->cap_leases = cap;
	}
	s->leases[s->n_leases++] = (struct sq_lease){ id, ttl_s, clock_mono_ms() + ttl_s * 1000 };
	return 0;
}

static void lease_forget(struct sqlite_store *s, int64_t id)
{
	struct sq_lease *l = lease_find(s, id);

	if (l)
		*l = s->leases[--s->n_leases];
}

static int64_t next_deadline(const struct sqlite_store *s)
{
	int64_t first = INT64_MAX;

	for (size_t i = 0; i < s->n_leases; i++)
		if (s->leases[i].deadline_ms < first)
			first = s->leases[i].deadline_ms;
	return first;
}

int sq_writer_init(struct sqlite_store *s, struct err *err)
{
	sqlite3_stmt *stmt = NULL;
	int r, rc;

	r = sq_max_rev(&s->wconn, &s->rev);
	if (!r)
		r = sq_meta(&s->wconn, "compact_rev", &s->compact_rev);
	if (!r)
		r = sq_meta(&s->wconn, "compact_done", &s->compact_done);
	if (!r && sqlite3_prepare_v2(s->wconn.db, "SELECT id, ttl_s FROM lease", -1, &stmt, NULL) != SQLITE_OK)
		r = sq_errno(&s->wconn);
	while (!r && (rc = sqlite3_step(stmt)) != SQLITE_DONE)
		r = rc == SQLITE_ROW ? lease_insert(s, sqlite3_column_int64(stmt, 0), sqlite3_column_int64(stmt, 1))
				     : sq_errno(&s->wconn);
	if (r)
		r = err_set(err, -r, "store '%s': %s", s->path,
			    r == -ENOMEM ? "out of memory" : sqlite3_errmsg(s->wconn.db));
	sqlite3_finalize(stmt);
	return r;
}

/* --- the thread --------------------------------------------------------------------------------------------------- */

/* Waits for something to do; takes it into ops. Returns false at the end. */
static bool wait_for_work(struct sqlite_store *s, struct list *ops)
{
	struct sq_queue *q = &s->writes;
	int64_t deadline = s->compact_done < s->compact_rev ? 0 : next_deadline(s);
	struct timespec ts = { .tv_sec = deadline / 1000, .tv_nsec = deadline % 1000 * 1000000 };
	size_t n = 0, bytes = 0;
	bool go_on;

	pthread_mutex_lock(&s->lock);
	while (!s->stop && list_empty(&q->ops)) {
		if (deadline == INT64_MAX)
			pthread_cond_wait(&q->cond, &s->lock);
		else if (deadline <= clock_mono_ms() || pthread_cond_timedwait(&q->cond, &s->lock, &ts) == ETIMEDOUT)
			break;
	}
	go_on = !s->stop;
	while (go_on && !list_empty(&q->ops) && n < BATCH_OPS && bytes < BATCH_BYTES) {
		struct sq_op *op = list_first(&q->ops, struct sq_op, node);

		list_remove(&op->node);
		list_push_back(ops, &op->node);
		bytes += op->bytes;
		q->bytes -= op->bytes;
		q->n--;
		n++;
	}
	pthread_mutex_unlock(&s->lock);
	return go_on;
}

void *sq_writer_main(void *store)
{
	struct sqlite_store *s = store;
	struct list ops = LIST_INIT(ops);

	while (wait_for_work(s, &ops)) {
		run_batch(s, &ops);
		if (!list_empty(&ops))
			sq_complete(s, &ops);
	}
	return NULL;
}

/* --- one operation ------------------------------------------------------------------------------------------------ */

/* A failure of the database, not of the request: the whole batch fails with it. */
static int db_fail(struct sqlite_store *s, struct sq_op *op)
{
	return store_fail(&op->msg, -sq_errno(&s->wconn), "store '%s': %s", s->path, sqlite3_errmsg(s->wconn.db));
}

/* The key's present state becomes row 0. */
static int get_current(struct sqlite_store *s, struct sq_op *op)
{
	sqlite3_stmt *stmt = sq_stmt(&s->wconn, SQ_S_GET);
	struct sq_row *row;
	int rc;

	if (!stmt || sqlite3_bind_text(stmt, 1, op->key, -1, SQLITE_STATIC) != SQLITE_OK)
		return db_fail(s, op);
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_DONE) {
		sqlite3_reset(stmt);
		return 0;
	}
	if (rc != SQLITE_ROW)
		return db_fail(s, op);
	row = sq_op_add_row(op);
	if (!row)
		return store_fail(&op->msg, ENOMEM, "out of memory");
	row->mod_rev = sqlite3_column_int64(stmt, 0);
	row->create_rev = sqlite3_column_int64(stmt, 1);
	row->version = sqlite3_column_int64(stmt, 2);
	row->key_len = strlen(op->key);
	row->value_len = (size_t)sqlite3_column_bytes(stmt, 3);
	if (sq_op_store(op, op->key, row->key_len, &row->key) < 0 ||
	    sq_op_store(op, sqlite3_column_blob(stmt, 3), row->value_len, &row->value) < 0) {
		sqlite3_reset(stmt);
		return store_fail(&op->msg, ENOMEM, "out of memory");
	}
	sqlite3_reset(stmt);
	op->has_current = true;
	return 0;
}

static int insert_rev(struct sqlite_store *s, struct sq_op *op, int64_t rev, bool deleted)
{
	sqlite3_stmt *stmt = sq_stmt(&s->wconn, SQ_S_INSERT);

	if (!stmt)
		return db_fail(s, op);
	sqlite3_bind_int64(stmt, 1, rev);
	sqlite3_bind_text(stmt, 2, op->key, -1, SQLITE_STATIC);
	sqlite3_bind_int64(stmt, 3, op->create_rev);
	sqlite3_bind_int64(stmt, 4, op->version);
	sqlite3_bind_int(stmt, 5, deleted);
	sqlite3_bind_int64(stmt, 6, op->has_current ? op->rows[0].mod_rev : 0);
	sqlite3_bind_int64(stmt, 7, deleted ? 0 : op->lease);
	if (!deleted)
		sqlite3_bind_blob64(stmt, 8, op->value_len ? op->value : "", op->value_len, SQLITE_STATIC);
	if (sq_run(&s->wconn, stmt) < 0)
		return db_fail(s, op);
	stmt = sq_stmt(&s->wconn, deleted ? SQ_S_DEL_CUR : SQ_S_SET_CUR);
	if (!stmt)
		return db_fail(s, op);
	sqlite3_bind_text(stmt, 1, op->key, -1, SQLITE_STATIC);
	if (!deleted) {
		sqlite3_bind_int64(stmt, 2, rev);
		sqlite3_bind_int64(stmt, 3, op->lease);
	}
	return sq_run(&s->wconn, stmt) < 0 ? db_fail(s, op) : 0;
}

/* Returns < 0 only for failures of the database; the request's own are in op->r. */
static int do_txn(struct sqlite_store *s, struct batch *b, struct sq_op *op)
{
	bool deleted = op->type != SQ_PUT;
	int r;

	r = get_current(s, op);
	if (r < 0)
		return r;
	op->rev = b->rev;
	op->succeeded = op->expect == (op->has_current ? op->rows[0].mod_rev : 0) || op->type == SQ_EXPIRE;
	if (!op->succeeded || (deleted && !op->has_current))
		return 0;
	if (!deleted && op->lease && !lease_find(s, op->lease)) {
		op->succeeded = false;
		op->r = store_fail(&op->msg, ENOENT, "lease %lld does not exist", (long long)op->lease);
		return 0;
	}
	if (!deleted) {
		op->create_rev = b->rev + 1;
		op->version = 1;
		/* Not "has_current ? version + 1 : 1": gcc 14.2 reads the version whatever the condition says. */
		if (op->has_current) {
			op->create_rev = op->rows[0].create_rev;
			op->version += op->rows[0].version;
		}
	}
	r = insert_rev(s, op, b->rev + 1, deleted);
	if (r < 0)
		return r;
	op->rev = ++b->rev;
	op->changed = true;
	return 0;
}

static int set_meta(struct sqlite_store *s, const char *name, int64_t v)
{
	sqlite3_stmt *stmt = sq_stmt(&s->wconn, SQ_S_SET_META);

	if (!stmt)
		return sq_errno(&s->wconn);
	sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
	sqlite3_bind_int64(stmt, 2, v);
	return sq_run(&s->wconn, stmt);
}

static int do_compact(struct sqlite_store *s, struct batch *b, struct sq_op *op)
{
	if (op->rev > b->rev) {
		op->r = store_fail(&op->msg, ERANGE, "revision %lld is in the future, the store is at %lld",
				   (long long)op->rev, (long long)b->rev);
		return 0;
	}
	if (op->rev <= b->compact_rev) {
		op->r = store_fail(&op->msg, ESTALE, "revision %lld is compacted, the oldest is %lld",
				   (long long)op->rev, (long long)b->compact_rev);
		return 0;
	}
	if (set_meta(s, "compact_rev", op->rev) < 0)
		return db_fail(s, op);
	b->compact_rev = op->rev;
	return 0;
}

static int do_grant(struct sqlite_store *s, struct sq_op *op)
{
	int64_t ttl_s = op->lease, id = 0;
	sqlite3_stmt *stmt;

	if (ttl_s < 1 || ttl_s > MAX_TTL_S) {
		op->r = store_fail(&op->msg, EINVAL, "a lease of %lld seconds", (long long)ttl_s);
		return 0;
	}
	if (s->n_leases >= MAX_LEASES) {
		op->r = store_fail(&op->msg, ENOSPC, "there are %u leases already", MAX_LEASES);
		return 0;
	}
	while (id <= 0 || lease_find(s, id)) {
		if (getrandom(&id, sizeof(id), 0) != sizeof(id))
			return store_fail(&op->msg, EIO, "getrandom: %s", strerror(errno));
		id &= INT64_MAX;
	}
	stmt = sq_stmt(&s->wconn, SQ_S_LEASE_ADD);
	if (!stmt)
		return db_fail(s, op);
	sqlite3_bind_int64(stmt, 1, id);
	sqlite3_bind_int64(stmt, 2, ttl_s);
	if (sq_run(&s->wconn, stmt) < 0)
		return db_fail(s, op);
	if (lease_insert(s, id, ttl_s) < 0)
		return store_fail(&op->msg, ENOMEM, "out of memory");
	op->lease = id;
	op->succeeded = true;
	return 0;
}

static void do_keepalive(struct sqlite_store *s, struct batch *b, struct sq_op *op)
{
	struct sq_lease *l = lease_find(s, op->lease);

	for (size_t i = 0; i < b->n_due; i++)
		if (b->due[i] == op->lease)
			l = NULL; /* just expired */
	if (!l) {
		op->r = store_fail(&op->msg, ENOENT, "lease %lld does not exist", (long long)op->lease);
		return;
	}
	l->deadline_ms = clock_mono_ms() + l->ttl_s * 1000;
	op->lease = l->ttl_s;
}

/* --- expiry, compaction ------------------------------------------------------------------------------------------- */

/* Deletions of the lease's keys go to the front of the batch, as operations nobody asked for. */
static int expire(struct sqlite_store *s, int64_t id, struct list *out)
{
	sqlite3_stmt *stmt = sq_stmt(&s->wconn, SQ_S_LEASE_KEYS);
	int rc;

	if (!stmt)
		return sq_errno(&s->wconn);
	sqlite3_bind_int64(stmt, 1, id);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct sq_op *op = sq_op_new(SQ_EXPIRE, (const char *)sqlite3_column_text(stmt, 0), NULL, NULL, 0);

		if (!op)
			return -ENOMEM;
		list_push_back(out, &op->node);
	}
	if (rc != SQLITE_DONE)
		return sq_errno(&s->wconn);
	stmt = sq_stmt(&s->wconn, SQ_S_LEASE_DEL);
	if (!stmt)
		return sq_errno(&s->wconn);
	sqlite3_bind_int64(stmt, 1, id);
	return sq_run(&s->wconn, stmt);
}

static int do_expiries(struct sqlite_store *s, struct batch *b)
{
	struct list ops = LIST_INIT(ops);
	int64_t now = clock_mono_ms();
	int r = 0;

	for (size_t i = 0; i < s->n_leases && b->n_due < sizeof(b->due) / sizeof(b->due[0]); i++) {
		if (s->leases[i].deadline_ms > now)
			continue;
		b->due[b->n_due++] = s->leases[i].id;
		r = expire(s, s->leases[i].id, &ops);
		if (r < 0)
			break;
	}
	/* In the batch before they are done, so that a failure finds and drops them. */
	for (struct list *n = ops.prev; n != &ops; n = ops.prev) {
		list_remove(n);
		list_push_front(&b->ops, n);
	}
	return r;
}

static int purge(struct sqlite_store *s, struct batch *b)
{
	int64_t from = b->compact_done, to = from + PURGE_STEP < b->compact_rev ? from + PURGE_STEP : b->compact_rev;
	static const enum sq_stmt_id ids[] = { SQ_S_PURGE_OLD, SQ_S_PURGE_TOMBS };
	int r;

	for (size_t i = 0; i < 2; i++) {
		sqlite3_stmt *stmt = sq_stmt(&s->wconn, ids[i]);

		if (!stmt)
			return sq_errno(&s->wconn);
		sqlite3_bind_int64(stmt, 1, from);
		sqlite3_bind_int64(stmt, 2, to);
		r = sq_run(&s->wconn, stmt);
		if (r < 0)
			return r;
	}
	b->compact_done = to;
	return set_meta(s, "compact_done", to);
}

/* --- the batch ---------------------------------------------------------------------------------------------------- */

static int do_ops(struct sqlite_store *s, struct batch *b)
{
	int r = 0;

	list_for_each (n, &b->ops) {
		struct sq_op *op = list_entry(n, struct sq_op, node);

		switch (op->type) {
		case SQ_PUT:
		case SQ_DEL:
		case SQ_EXPIRE:
			r = do_txn(s, b, op);
			break;
		case SQ_COMPACT:
			r = do_compact(s, b, op);
			break;
		case SQ_GRANT:
			r = do_grant(s, op);
			break;
		case SQ_KEEPALIVE:
			do_keepalive(s, b, op);
			break;
		case SQ_RANGE:
		case SQ_HISTORY:
			abort();
		}
		if (r < 0)
			return r;
	}
	return 0;
}

/*
 * Nothing of the batch happened. Every operation ends with the cause; a failed sync leaves it open whether it will be
 * there.
 */
static void undo(struct sqlite_store *s, struct batch *b, int r)
{
	char *text = strdup(sqlite3_errmsg(s->wconn.db));

	if (!sqlite3_get_autocommit(s->wconn.db))
		(void)sq_run(&s->wconn, sq_stmt(&s->wconn, SQ_S_ROLLBACK));
	list_for_each_safe (n, tmp, &b->ops) {
		struct sq_op *op = list_entry(n, struct sq_op, node);

		if (op->type == SQ_GRANT && op->succeeded)
			lease_forget(s, op->lease);
		if (op->type == SQ_EXPIRE) {
			sq_op_free(op);
			continue;
		}
		if (op->type == SQ_KEEPALIVE || (op->r && op->msg && op->r != r))
			continue; /* did not depend on the database */
		op->changed = op->succeeded = op->has_current = false;
		op->r = store_fail(&op->msg, -r, "store '%s': %s", s->path, text ? text : strerror(-r));
	}
	free(text);
	for (size_t i = 0; i < b->n_due; i++) {
		struct sq_lease *l = lease_find(s, b->due[i]);

		if (l)
			l->deadline_ms = clock_mono_ms() + RETRY_MS;
	}
	/* What the database says, in case the commit came through after all. */
	(void)sq_max_rev(&s->wconn, &s->rev);
}

static void run_batch(struct sqlite_store *s, struct list *ops)
{
	struct batch b = { .rev = s->rev, .compact_rev = s->compact_rev, .compact_done = s->compact_done };
	int r;

	list_init(&b.ops);
	while (!list_empty(ops)) {
		struct list *n = ops->next;

		list_remove(n);
		list_push_back(&b.ops, n);
	}
	r = sq_run(&s->wconn, sq_stmt(&s->wconn, SQ_S_BEGIN));
	if (!r)
		r = do_expiries(s, &b);
	if (!r)
		r = do_ops(s, &b);
	if (!r && b.compact_done < b.compact_rev)
		r = purge(s, &b);
	if (!r) {
		r = sq_run(&s->wconn, sq_stmt(&s->wconn, SQ_S_COMMIT));
		if (r == -EIO)
			r = -EAGAIN; /* a sync that failed leaves open what a crash would bring back */
	}
	if (r < 0) {
		undo(s, &b, r);
		/* An idle compaction or expiry that fails is not retried in a tight loop. */
		if (list_empty(&b.ops)) {
			struct timespec pause = { .tv_sec = RETRY_MS / 1000 };

			nanosleep(&pause, NULL);
		}
	} else {
		s->rev = b.rev;
		s->compact_rev = b.compact_rev;
		s->compact_done = b.compact_done;
		for (size_t i = 0; i < b.n_due; i++)
			lease_forget(s, b.due[i]);
	}
	while (!list_empty(&b.ops)) {
		struct list *n = b.ops.next;

		list_remove(n);
		list_push_back(ops, n);
	}
}
