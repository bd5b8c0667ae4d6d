/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The embedded store's side of a copy. Reading goes on while a server has it open: one read transaction sees one
 * moment. Writing makes a new database beside the old one, under the store's lock, and puts it in its place when it
 * is whole; the old one is kept under another name.
 */
#include "backup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/clock.h"
#include "../../lib/base/file.h"
#include "sqlite-internal.h"

#define EVENT_LEASE 1

static int fail(struct sq_conn *c, const char *path, struct err *err)
{
	return err_set(err, -sq_errno(c), "store '%s': %s", path, c->db ? sqlite3_errmsg(c->db) : "out of memory");
}

/* --- reading -------------------------------------------------------------------------------------------------------
 */

static int read_all(struct sq_conn *c, const char *path, struct backup_sink *to, struct err *err)
{
	sqlite3_stmt *stmt = NULL;
	int64_t rev;
	int r, rc;

	if (sqlite3_exec(c->db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK || sq_max_rev(c, &rev) < 0 ||
	    sqlite3_prepare_v2(c->db, "SELECT c.key, r.value FROM cur c JOIN rev r ON r.rev = c.rev ORDER BY c.key", -1,
			       &stmt, NULL) != SQLITE_OK)
		return fail(c, path, err);
	r = to->begin(to, rev, err);
	while (r == 0 && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct store_kv kv = { .key = (const char *)sqlite3_column_text(stmt, 0),
				       .key_len = (size_t)sqlite3_column_bytes(stmt, 0),
				       .value = sqlite3_column_blob(stmt, 1),
				       .value_len = (size_t)sqlite3_column_bytes(stmt, 1) };

		if (!kv.value)
			kv.value = "";
		if (!kv.key)
			r = err_set(err, ENOMEM, "out of memory");
		else if (!backup_skips(kv.key))
			r = to->each(to, &kv, err);
	}
	if (r == 0 && rc != SQLITE_DONE)
		r = fail(c, path, err);
	sqlite3_finalize(stmt);
	return r;
}

int backup_read_sqlite(const struct backup_place *from, bool alone, struct backup_sink *to, struct err *err)
{
	struct sqlite_store lock = { .lock_fd = -1 };
	struct sq_conn c = { 0 };
	char path[4096];
	int r = 0;

	snprintf(path, sizeof(path), "%s/store.db", from->where);
	if (access(path, R_OK) < 0)
		return err_set(err, errno, "store '%s': %m", path);
	if (alone)
		r = sq_take_lock(&lock, from->where, err);
	if (r == 0)
		r = sq_conn_open(&c, path, false, err);
	if (r == 0)
		r = sq_schema(&c, path, err);
	if (r == 0)
		r = read_all(&c, path, to, err);
	sq_conn_close(&c);
	if (lock.lock_fd >= 0)
		close(lock.lock_fd);
	return r;
}

/* --- writing -------------------------------------------------------------------------------------------------------
 */

struct sqlite_sink {
	struct backup_sink base;
	struct sqlite_store lock;
	struct sq_conn c;
	char dir[3000], path[4096], tmp[4096];
	int64_t rev, from_rev, old_rev;
	size_t keys;
	bool exists;
};

static int run(struct sqlite_sink *s, const char *sql, struct err *err)
{
	return sqlite3_exec(s->c.db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(&s->c, s->tmp, err);
}

static int sqlite_begin(struct backup_sink *base, int64_t rev, struct err *err)
{
	struct sqlite_sink *s = (struct sqlite_sink *)base;
	char sql[128];
	int r;

	s->from_rev = rev;
	s->rev = (rev > s->old_rev ? rev : s->old_rev) + BACKUP_REVISION_BUMP;
	r = run(s, "BEGIN IMMEDIATE", err);
	if (r < 0)
		return r;
	snprintf(sql, sizeof(sql), "INSERT INTO lease VALUES(%d, %d)", EVENT_LEASE, BACKUP_EVENT_TTL_S);
	return run(s, sql, err);
}

static int sqlite_each(struct backup_sink *base, const struct store_kv *kv, struct err *err)
{
	struct sqlite_sink *s = (struct sqlite_sink *)base;
	int64_t rev = ++s->rev, lease = backup_is_event(kv->key) ? EVENT_LEASE : 0;
	sqlite3_stmt *put = sq_stmt(&s->c, SQ_S_INSERT), *cur;

	if (!put)
		return fail(&s->c, s->tmp, err);
	sqlite3_bind_int64(put, 1, rev);
	sqlite3_bind_text(put, 2, kv->key, -1, SQLITE_STATIC);
	sqlite3_bind_int64(put, 3, rev);
	sqlite3_bind_int64(put, 4, 1);
	sqlite3_bind_int64(put, 5, 0);
	sqlite3_bind_int64(put, 6, 0);
	sqlite3_bind_int64(put, 7, lease);
	sqlite3_bind_blob(put, 8, kv->value, (int)kv->value_len, SQLITE_STATIC);
	if (sq_run(&s->c, put) < 0)
		return fail(&s->c, s->tmp, err);
	cur = sq_stmt(&s->c, SQ_S_SET_CUR);
	if (!cur)
		return fail(&s->c, s->tmp, err);
	sqlite3_bind_text(cur, 1, kv->key, -1, SQLITE_STATIC);
	sqlite3_bind_int64(cur, 2, rev);
	sqlite3_bind_int64(cur, 3, lease);
	if (sq_run(&s->c, cur) < 0)
		return fail(&s->c, s->tmp, err);
	s->keys++;
	return 0;
}

/* The old database, with what its log still holds, under a name that says when. */
static int put_aside(struct sqlite_sink *s, struct err *err)
{
	struct sq_conn old = { 0 };
	char to[4200], side[4200];
	int r = sq_conn_open(&old, s->path, true, err);

	if (r == 0 && sqlite3_exec(old.db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL) != SQLITE_OK)
		r = fail(&old, s->path, err);
	sq_conn_close(&old);
	if (r < 0)
		return r;
	snprintf(to, sizeof(to), "%s.before-%lld", s->path, (long long)clock_real_ms());
	if (rename(s->path, to) < 0)
		return err_set(err, errno, "rename '%s' to '%s': %m", s->path, to);
	snprintf(side, sizeof(side), "%s-wal", s->path);
	(void)unlink(side);
	snprintf(side, sizeof(side), "%s-shm", s->path);
	(void)unlink(side);
	return 0;
}

static int sync_path(const char *path, struct err *err)
{
	cleanup(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd >= 0 && fsync(fd) == 0 ? 0 : err_set(err, errno, "sync '%s': %m", path);
}

/*
 * The last revision is a removal of nothing, so that the counter stands there also when there is no key; everything up
 * to it is compacted.
 */
static int sqlite_end(struct backup_sink *base, struct backup_result *ret, struct err *err)
{
	struct sqlite_sink *s = (struct sqlite_sink *)base;
	char sql[400];
	int r;

	s->rev++;
	snprintf(sql, sizeof(sql),
		 "INSERT INTO rev VALUES(%lld, '/-/restored', 0, 0, 1, 0, 0, NULL);"
		 "UPDATE meta SET value = %lld WHERE name IN ('compact_rev', 'compact_done'); COMMIT;"
		 "PRAGMA wal_checkpoint(TRUNCATE)",
		 (long long)s->rev, (long long)s->rev);
	r = run(s, sql, err);
	if (r < 0)
		return r;
	sq_conn_close(&s->c);
	r = sync_path(s->tmp, err);
	if (r == 0 && s->exists)
		r = put_aside(s, err);
	if (r < 0)
		return r;
	if (rename(s->tmp, s->path) < 0)
		return err_set(err, errno, "rename '%s' to '%s': %m", s->tmp, s->path);
	s->tmp[0] = '\0';
	*ret = (struct backup_result){ .from_rev = s->from_rev, .to_rev = s->rev, .keys = s->keys };
	return sync_path(s->dir, err);
}

static void sqlite_free(struct backup_sink *base)
{
	struct sqlite_sink *s = (struct sqlite_sink *)base;

	sq_conn_close(&s->c);
	if (s->tmp[0]) {
		char side[4200];

		(void)unlink(s->tmp);
		snprintf(side, sizeof(side), "%s-wal", s->tmp);
		(void)unlink(side);
		snprintf(side, sizeof(side), "%s-shm", s->tmp);
		(void)unlink(side);
	}
	if (s->lock.lock_fd >= 0)
		close(s->lock.lock_fd);
	free(s);
}

static int old_revision(struct sqlite_sink *s, struct err *err)
{
	struct sq_conn old = { 0 };
	int r = sq_conn_open(&old, s->path, false, err);

	if (r == 0)
		r = sq_schema(&old, s->path, err);
	if (r == 0 && sq_max_rev(&old, &s->old_rev) < 0)
		r = fail(&old, s->path, err);
	sq_conn_close(&old);
	return r;
}

int backup_sink_sqlite(const struct backup_place *to, const struct backup_options *o, struct backup_sink **ret,
		       struct err *err)
{
	struct sqlite_sink *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_set(err, ENOMEM, "out of memory");
	s->base = (struct backup_sink){ sqlite_begin, sqlite_each, sqlite_end, sqlite_free };
	s->lock.lock_fd = -1;
	snprintf(s->dir, sizeof(s->dir), "%s", to->where);
	snprintf(s->path, sizeof(s->path), "%s/store.db", s->dir);
	r = dir_make(s->dir, 0700, err);
	if (r == 0)
		r = sq_take_lock(&s->lock, s->dir, err);
	if (r == 0)
		s->exists = access(s->path, F_OK) == 0;
	if (r == 0 && s->exists && !o->force)
		r = err_set(err, EEXIST,
			    "store '%s' is there already; --force replaces it and keeps the old one beside it",
			    s->path);
	if (r == 0 && s->exists && old_revision(s, err) < 0) {
		/* damaged: that may be why somebody restores */
		err_clear(err);
		s->old_rev = 0;
	}
	if (r == 0) {
		snprintf(s->tmp, sizeof(s->tmp), "%s/store.db.restore-%d", s->dir, getpid());
		r = sq_conn_open(&s->c, s->tmp, true, err);
	}
	if (r == 0)
		r = sq_schema(&s->c, s->tmp, err);
	if (r < 0) {
		sqlite_free(&s->base);
		return r;
	}
	*ret = &s->base;
	return 0;
}
