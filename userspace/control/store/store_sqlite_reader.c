/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reading threads: ranges and history for watches, each in one read transaction on a connection of its own, so
 * that nobody who reads waits for the disk to sync. SQLite's WAL shows them every commit made before they began, and
 * so every write that was acknowledged.
 */
#include "sqlite-internal.h"

#define HISTORY_ROWS  1000
#define HISTORY_BYTES (4u << 20)

static int db_fail(struct sqlite_store *s, struct sq_conn *c, struct sq_op *op)
{
	return store_fail(&op->msg, -sq_errno(c), "store '%s': %s", s->path, sqlite3_errmsg(c->db));
}

static int oom(struct sq_op *op)
{
	return store_fail(&op->msg, ENOMEM, "out of memory");
}

/* "" is "start only". No key contains a byte below 1, so that nothing lies between a key and itself + "\1". */
static char *end_of(const struct sq_op *op)
{
	char *end;

	if (op->end[0])
		return strdup(op->end);
	return asprintf(&end, "%s\1", op->key) < 0 ? NULL : end;
}

static int compacted(struct sq_op *op, int64_t rev, int64_t oldest)
{
	return store_fail(&op->msg, ESTALE, "revision %lld is compacted, the oldest is %lld", (long long)rev,
			  (long long)oldest);
}

static int column(struct sq_op *op, sqlite3_stmt *stmt, int col, size_t *ret_off, size_t *ret_len)
{
	const void *data = sqlite3_column_blob(stmt, col);

	*ret_len = (size_t)sqlite3_column_bytes(stmt, col);
	return sq_op_store(op, data, *ret_len, ret_off);
}

static int count(struct sqlite_store *s, struct sq_conn *c, struct sq_op *op, const char *end, bool old)
{
	sqlite3_stmt *stmt = sq_stmt(c, old ? SQ_S_COUNT_AT : SQ_S_COUNT);

	if (!stmt)
		return db_fail(s, c, op);
	sqlite3_bind_text(stmt, 1, op->key, -1, SQLITE_STATIC);
	sqlite3_bind_text(stmt, 2, end, -1, SQLITE_STATIC);
	if (old)
		sqlite3_bind_int64(stmt, 5, op->rev);
	if (sqlite3_step(stmt) != SQLITE_ROW)
		return db_fail(s, c, op);
	op->count = sqlite3_column_int64(stmt, 0);
	sqlite3_reset(stmt);
	return 0;
}

static int range_rows(struct sqlite_store *s, struct sq_conn *c, struct sq_op *op, const char *end, bool old)
{
	sqlite3_stmt *stmt = sq_stmt(c, old ? SQ_S_RANGE_AT : SQ_S_RANGE);
	int rc;

	if (!stmt)
		return db_fail(s, c, op);
	sqlite3_bind_text(stmt, 1, op->key, -1, SQLITE_STATIC);
	sqlite3_bind_text(stmt, 2, end, -1, SQLITE_STATIC);
	sqlite3_bind_int64(stmt, 3, op->limit ? (int64_t)op->limit + 1 : -1); /* one more says whether there are more */
	sqlite3_bind_int(stmt, 4, op->keys_only);
	if (old)
		sqlite3_bind_int64(stmt, 5, op->rev);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct sq_row *row;

		if (op->limit && op->n_rows == op->limit) {
			op->more = true;
			break;
		}
		row = sq_op_add_row(op);
		if (!row || column(op, stmt, 0, &row->key, &row->key_len) < 0 ||
		    column(op, stmt, 4, &row->value, &row->value_len) < 0) {
			sqlite3_reset(stmt);
			return oom(op);
		}
		row->mod_rev = sqlite3_column_int64(stmt, 1);
		row->create_rev = sqlite3_column_int64(stmt, 2);
		row->version = sqlite3_column_int64(stmt, 3);
	}
	if (rc != SQLITE_DONE && rc != SQLITE_ROW)
		return db_fail(s, c, op);
	sqlite3_reset(stmt);
	op->count = (int64_t)op->n_rows;
	return op->more ? count(s, c, op, end, old) : 0;
}

static int do_range(struct sqlite_store *s, struct sq_conn *c, struct sq_op *op, int64_t now, int64_t oldest)
{
	char *end;
	bool old;
	int r;

	if (op->rev < 0 || op->rev > now)
		return store_fail(&op->msg, ERANGE, "revision %lld is in the future, the store is at %lld",
				  (long long)op->rev, (long long)now);
	if (op->rev && op->rev < oldest)
		return compacted(op, op->rev, oldest);
	old = op->rev && op->rev != now;
	end = end_of(op);
	if (!end)
		return oom(op);
	r = range_rows(s, c, op, end, old);
	free(end);
	if (!op->rev)
		op->rev = now;
	return r;
}

static int history_rows(struct sqlite_store *s, struct sq_conn *c, struct sq_op *op, const char *end)
{
	sqlite3_stmt *stmt = sq_stmt(c, SQ_S_HISTORY);
	int rc;

	if (!stmt)
		return db_fail(s, c, op);
	sqlite3_bind_int64(stmt, 1, op->rev);
	sqlite3_bind_text(stmt, 2, op->key, -1, SQLITE_STATIC);
	sqlite3_bind_text(stmt, 3, end, -1, SQLITE_STATIC);
	sqlite3_bind_int64(stmt, 4, HISTORY_ROWS + 1);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct sq_row *row;

		if (op->n_rows == HISTORY_ROWS || op->buf.len > HISTORY_BYTES) {
			op->upto = op->rows[op->n_rows - 1].mod_rev;
			break;
		}
		row = sq_op_add_row(op);
		if (!row || column(op, stmt, 1, &row->key, &row->key_len) < 0 ||
		    column(op, stmt, 5, &row->value, &row->value_len) < 0 ||
		    column(op, stmt, 7, &row->prev, &row->prev_len) < 0) {
			sqlite3_reset(stmt);
			return oom(op);
		}
		row->mod_rev = sqlite3_column_int64(stmt, 0);
		row->create_rev = sqlite3_column_int64(stmt, 2);
		row->version = sqlite3_column_int64(stmt, 3);
		row->deleted = sqlite3_column_int(stmt, 4);
		row->has_prev = sqlite3_column_type(stmt, 6) != SQLITE_NULL;
		row->prev_mod_rev = sqlite3_column_int64(stmt, 6);
	}
	if (rc != SQLITE_DONE && rc != SQLITE_ROW)
		return db_fail(s, c, op);
	sqlite3_reset(stmt);
	return 0;
}

static int do_history(struct sqlite_store *s, struct sq_conn *c, struct sq_op *op, int64_t now, int64_t oldest)
{
	char *end;
	int r;

	if (op->rev < oldest)
		return compacted(op, op->rev, oldest);
	end = end_of(op);
	if (!end)
		return oom(op);
	op->upto = now;
	r = history_rows(s, c, op, end);
	free(end);
	return r;
}

static void read_one(struct sqlite_store *s, struct sq_conn *c, struct sq_op *op)
{
	int64_t now, oldest;

	if (sq_run(c, sq_stmt(c, SQ_S_READ)) < 0) {
		op->r = db_fail(s, c, op);
		return;
	}
	if (sq_max_rev(c, &now) < 0 || sq_meta(c, "compact_rev", &oldest) < 0)
		op->r = db_fail(s, c, op);
	else if (op->type == SQ_RANGE)
		op->r = do_range(s, c, op, now, oldest);
	else
		op->r = do_history(s, c, op, now, oldest);
	/* Statements left in the middle of their rows would keep the snapshot, and with it the WAL, for ever. */
	for (int i = 0; i < SQ_N_STMTS; i++)
		sqlite3_reset(c->stmt[i]);
	(void)sq_run(c, sq_stmt(c, SQ_S_COMMIT));
}

/* Which connection is this thread's: the n-th to ask. */
static struct sq_conn *own_conn(struct sqlite_store *s)
{
	struct sq_conn *c = NULL;

	pthread_mutex_lock(&s->lock);
	for (int i = 0; i < SQ_READERS && !c; i++) {
		if (!s->rtaken[i]) {
			s->rtaken[i] = true;
			c = &s->rconn[i];
		}
	}
	pthread_mutex_unlock(&s->lock);
	return c;
}

void *sq_reader_main(void *store)
{
	struct sqlite_store *s = store;
	struct sq_conn *c = own_conn(s);
	struct sq_queue *q = &s->reads;

	for (;;) {
		struct list one = LIST_INIT(one);
		struct sq_op *op;

		pthread_mutex_lock(&s->lock);
		while (!s->stop && list_empty(&q->ops))
			pthread_cond_wait(&q->cond, &s->lock);
		if (s->stop) {
			pthread_mutex_unlock(&s->lock);
			return NULL;
		}
		op = list_first(&q->ops, struct sq_op, node);
		list_remove(&op->node);
		q->n--;
		q->bytes -= op->bytes;
		pthread_mutex_unlock(&s->lock);
		read_one(s, c, op);
		list_push_back(&one, &op->node);
		sq_complete(s, &one);
	}
}
