/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The embedded store's parts: store_sqlite.c (the loop's side: queues, completions), store_sqlite_db.c (connections,
 * schema), store_sqlite_writer.c and store_sqlite_reader.c (threads), store_sqlite_watch.c (watches, on the loop).
 *
 * An operation is allocated on the loop, owned by a queue, then by the thread that works on it, then by the list of
 * completions, and freed on the loop after its callback. Only the queues and that list are shared, under one lock.
 *
 * Tables: rev has a row for every revision (a put or a deletion), by revision: written at its end, history is a scan.
 * cur has the revision of every key that exists. An index of rev by key answers reads at an old revision.
 */
#ifndef SKEP_STORE_SQLITE_INTERNAL_H
#define SKEP_STORE_SQLITE_INTERNAL_H

#include <pthread.h>
#include <sqlite3.h>

#include "../../lib/base/list.h"
#include "../../lib/base/strbuf.h"
#include "store-internal.h"

#define SQ_READERS	    2
#define SQ_MAX_QUEUED	    65536u
#define SQ_MAX_QUEUED_BYTES (256u << 20)

enum sq_type { SQ_PUT, SQ_DEL, SQ_COMPACT, SQ_GRANT, SQ_KEEPALIVE, SQ_EXPIRE, SQ_RANGE, SQ_HISTORY };

/* One row read; offsets into the operation's buffer, which moves while it grows. */
struct sq_row {
	size_t key, key_len, value, value_len, prev, prev_len;
	int64_t create_rev, mod_rev, version, prev_mod_rev;
	bool deleted, has_prev;
};

struct sq_op {
	struct list node;
	enum sq_type type;
	char *key, *end; /* end: ranges */
	void *value;
	size_t value_len, bytes;
	int64_t expect, lease, rev; /* rev asked for; then: revision of the outcome. lease: id, or ttl to grant */
	size_t limit;
	bool keys_only;
	union {
		store_range_fn *range;
		store_txn_fn *txn;
		void (*compact)(void *arg, int r, const struct err *err);
		void (*lease)(void *arg, int r, int64_t v, const struct err *err);
		struct store_watch *watch; /* SQ_HISTORY; NULL: unwatched meanwhile */
	} to;
	void *arg;
	/* outcome */
	int r;
	char *msg;
	bool succeeded, changed;     /* changed: took revision `rev`, watches want to know */
	bool has_current;	     /* row[0] is the key's state before */
	int64_t create_rev, version; /* of what was put */
	struct strbuf buf;
	struct sq_row *rows;
	size_t n_rows, cap_rows;
	int64_t count, upto; /* upto: SQ_HISTORY delivered everything to here */
	bool more;
};

struct sq_lease {
	int64_t id, ttl_s, deadline_ms;
};

enum sq_stmt_id {
	SQ_S_BEGIN,
	SQ_S_COMMIT,
	SQ_S_ROLLBACK,
	SQ_S_GET,
	SQ_S_INSERT,
	SQ_S_SET_CUR,
	SQ_S_DEL_CUR,
	SQ_S_LEASE_KEYS,
	SQ_S_LEASE_ADD,
	SQ_S_LEASE_DEL,
	SQ_S_SET_META,
	SQ_S_PURGE_OLD,
	SQ_S_PURGE_TOMBS,
	SQ_S_READ,
	SQ_S_REV,
	SQ_S_META,
	SQ_S_RANGE,
	SQ_S_RANGE_AT,
	SQ_S_COUNT,
	SQ_S_COUNT_AT,
	SQ_S_HISTORY,
	SQ_N_STMTS
};

struct sq_conn {
	sqlite3 *db;
	sqlite3_stmt *stmt[SQ_N_STMTS]; /* prepared on first use */
};

struct sq_queue {
	struct list ops;
	size_t n, bytes;
	pthread_cond_t cond;
};

struct sqlite_store {
	struct store base;
	struct loop *loop;
	char *path; /* of the database file */
	int lock_fd;

	pthread_mutex_t lock; /* guards from here... */
	struct sq_queue writes, reads;
	struct list completed;
	bool rtaken[SQ_READERS]; /* connections given to reader threads */
	bool stop;		 /* ...to here */
	int wake_fd;		 /* eventfd: completed is not empty */
	struct loop_io wake;

	pthread_t writer, readers[SQ_READERS];
	unsigned n_threads; /* started: the writer first */
	struct sq_conn wconn, rconn[SQ_READERS];
	/* the writer's */
	int64_t rev, compact_rev, compact_done;
	struct sq_lease *leases;
	size_t n_leases, cap_leases;
	/* the loop's */
	int64_t committed; /* revision told to watches and callers */
	struct list watches;
	unsigned dispatching;
	struct loop_timer progress;
};

struct sq_op *sq_op_new(enum sq_type type, const char *key, const char *end, const void *value, size_t len);
void sq_op_free(struct sq_op *op);
struct sq_row *sq_op_add_row(struct sq_op *op); /* NULL: out of memory */
/* Appends to op->buf; *ret_off says where. 0 or -ENOMEM. */
int sq_op_store(struct sq_op *op, const void *data, size_t len, size_t *ret_off);
void sq_row_kv(const struct sq_op *op, const struct sq_row *row, struct store_kv *kv);
void sq_submit(struct sqlite_store *s, struct sq_queue *q,
	       struct sq_op *op); /* to a thread, or refused by way of completed */
void sq_cond_init_monotonic(pthread_cond_t *cond);
void sq_complete(struct sqlite_store *s, struct list *ops); /* from a thread: moves all ops to the loop */

/* One process has a store: s->lock_fd, or -EBUSY and who has it. */
int sq_take_lock(struct sqlite_store *s, const char *dir, struct err *err);

int sq_conn_open(struct sq_conn *c, const char *path, bool writer, struct err *err);
void sq_conn_close(struct sq_conn *c);
int sq_schema(struct sq_conn *c, const char *path, struct err *err);
/* The statement, reset and unbound; NULL: see sq_errno(). */
sqlite3_stmt *sq_stmt(struct sq_conn *c, enum sq_stmt_id id);
/* Runs a statement that gives no row. 0 or -errno of sq_errno(). */
int sq_run(struct sq_conn *c, sqlite3_stmt *stmt);
int sq_errno(struct sq_conn *c); /* the connection's last error as a negative errno: never 0 */
int sq_meta(struct sq_conn *c, const char *name, int64_t *ret);
int sq_max_rev(struct sq_conn *c, int64_t *ret);

int sq_writer_init(struct sqlite_store *s, struct err *err);
void *sq_writer_main(void *store);
void *sq_reader_main(void *store);

struct store_watch *sq_watch(struct store *base, const char *start, const char *end, int64_t from_rev,
			     store_watch_fn *fn, void *arg);
void sq_unwatch(struct store_watch *w);
void sq_watches_event(struct sqlite_store *s, const struct sq_op *op);
void sq_watch_history(struct sqlite_store *s, struct sq_op *op);
void sq_watches_progress(struct sqlite_store *s);
void sq_watches_leave(struct sqlite_store *s); /* dispatching--; at 0 frees what was unwatched meanwhile */
void sq_watches_free(struct sqlite_store *s);

#endif
