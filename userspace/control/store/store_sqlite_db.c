/* SPDX-License-Identifier: Apache-2.0 */
/* Connections to the database: settings, schema, statements, errors. */
#include "../../lib/base/str.h"
#include "sqlite-internal.h"

#define APPLICATION_ID	0x534b4550 /* "SKEP" */
#define SCHEMA_VERSION	1
#define CHECK_MAX_PAGES 16384 /* verify at start what takes a fraction of a second */

static const char schema[] =
	"BEGIN IMMEDIATE;"
	"CREATE TABLE rev(rev INTEGER PRIMARY KEY, key TEXT NOT NULL, create_rev INTEGER NOT NULL, version INTEGER NOT NULL,"
	" deleted INTEGER NOT NULL, prev_rev INTEGER NOT NULL, lease INTEGER NOT NULL, value BLOB);"
	"CREATE INDEX rev_key ON rev(key);" /* and the rowid, which is rev */
	"CREATE TABLE cur(key TEXT PRIMARY KEY, rev INTEGER NOT NULL, lease INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE INDEX cur_lease ON cur(lease) WHERE lease <> 0;"
	"CREATE TABLE lease(id INTEGER PRIMARY KEY, ttl_s INTEGER NOT NULL);"
	"CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
	"INSERT INTO meta VALUES('compact_rev', 0), ('compact_done', 0);"
	"PRAGMA application_id = 1397441872;"
	"PRAGMA user_version = 1;"
	"COMMIT;";

_Static_assert(APPLICATION_ID == 1397441872 && SCHEMA_VERSION == 1, "as in the schema text");

static const char *const sql[SQ_N_STMTS] = {
	[SQ_S_BEGIN] = "BEGIN IMMEDIATE",
	[SQ_S_COMMIT] = "COMMIT",
	[SQ_S_ROLLBACK] = "ROLLBACK",
	[SQ_S_GET] =
		"SELECT r.rev, r.create_rev, r.version, r.value FROM cur c JOIN rev r ON r.rev = c.rev WHERE c.key = ?1",
	[SQ_S_INSERT] = "INSERT INTO rev VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
	[SQ_S_SET_CUR] = "INSERT INTO cur VALUES(?1, ?2, ?3) ON CONFLICT(key) DO UPDATE SET rev = ?2, lease = ?3",
	[SQ_S_DEL_CUR] = "DELETE FROM cur WHERE key = ?1",
	[SQ_S_LEASE_KEYS] = "SELECT key FROM cur WHERE lease = ?1 AND lease <> 0 ORDER BY key",
	[SQ_S_LEASE_ADD] = "INSERT INTO lease VALUES(?1, ?2)",
	[SQ_S_LEASE_DEL] = "DELETE FROM lease WHERE id = ?1",
	[SQ_S_SET_META] = "UPDATE meta SET value = ?2 WHERE name = ?1",
	/* A revision up to the compacted one makes the one before it of the same key superfluous. */
	[SQ_S_PURGE_OLD] = "DELETE FROM rev WHERE rev IN"
			   " (SELECT prev_rev FROM rev WHERE rev > ?1 AND rev <= ?2 AND prev_rev > 0)",
	/* A deletion before the compacted revision says nothing; one at it is still an event to be watched. */
	[SQ_S_PURGE_TOMBS] = "DELETE FROM rev WHERE rev >= ?1 AND rev < ?2 AND deleted",
	[SQ_S_READ] = "BEGIN",
	[SQ_S_REV] = "SELECT max(rev) FROM rev",
	[SQ_S_META] = "SELECT value FROM meta WHERE name = ?1",
	/* The CASE keeps values that nobody asked for from being read. */
	[SQ_S_RANGE] =
		"SELECT c.key, r.rev, r.create_rev, r.version, CASE WHEN ?4 THEN NULL ELSE r.value END"
		" FROM cur c JOIN rev r ON r.rev = c.rev WHERE c.key >= ?1 AND c.key < ?2 ORDER BY c.key LIMIT ?3",
	[SQ_S_RANGE_AT] =
		"SELECT m.key, r.rev, r.create_rev, r.version, CASE WHEN ?4 THEN NULL ELSE r.value END FROM"
		" (SELECT key, max(rev) AS rev FROM rev WHERE key >= ?1 AND key < ?2 AND rev <= ?5 GROUP BY key) m"
		" JOIN rev r ON r.rev = m.rev WHERE NOT r.deleted ORDER BY m.key LIMIT ?3",
	[SQ_S_COUNT] = "SELECT count(*) FROM cur WHERE key >= ?1 AND key < ?2",
	[SQ_S_COUNT_AT] = "SELECT count(*) FROM"
			  " (SELECT max(rev) AS rev FROM rev WHERE key >= ?1 AND key < ?2 AND rev <= ?5 GROUP BY key) m"
			  " JOIN rev r ON r.rev = m.rev WHERE NOT r.deleted",
	/* +key: go by revision, which is where the few wanted rows are. */
	[SQ_S_HISTORY] = "SELECT r.rev, r.key, r.create_rev, r.version, r.deleted, r.value, p.rev, p.value FROM rev r"
			 " LEFT JOIN rev p ON p.rev = r.prev_rev AND r.prev_rev > 0"
			 " WHERE r.rev >= ?1 AND +r.key >= ?2 AND +r.key < ?3 ORDER BY r.rev LIMIT ?4",
};

static int fail(struct sq_conn *c, const char *path, struct err *err)
{
	return err_set(err, -sq_errno(c), "store '%s': %s", path, c->db ? sqlite3_errmsg(c->db) : "out of memory");
}

int sq_conn_open(struct sq_conn *c, const char *path, bool writer, struct err *err)
{
	if (sqlite3_open_v2(path, &c->db,
			    SQLITE_OPEN_READWRITE | (writer ? SQLITE_OPEN_CREATE : 0) | SQLITE_OPEN_NOMUTEX,
			    NULL) != SQLITE_OK)
		return fail(c, path, err);
	sqlite3_extended_result_codes(c->db, 1);
	sqlite3_busy_timeout(c->db, 5000);
	if (sqlite3_exec(
		    c->db,
		    writer ? "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 2000;"
			     "PRAGMA journal_size_limit = 67108864; PRAGMA temp_store = MEMORY;"
			   : "PRAGMA query_only = 1; PRAGMA temp_store = MEMORY;",
		    NULL, NULL, NULL) != SQLITE_OK)
		return fail(c, path, err);
	return 0;
}

void sq_conn_close(struct sq_conn *c)
{
	for (int i = 0; i < SQ_N_STMTS; i++)
		sqlite3_finalize(c->stmt[i]);
	sqlite3_close(c->db);
	memset(c, 0, sizeof(*c));
}

static int get_int(struct sq_conn *c, const char *query, int64_t *ret)
{
	sqlite3_stmt *stmt = NULL;
	int r = 0;

	if (sqlite3_prepare_v2(c->db, query, -1, &stmt, NULL) != SQLITE_OK || sqlite3_step(stmt) != SQLITE_ROW)
		r = sq_errno(c);
	else
		*ret = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return r;
}

/* Damage found here is told at start, in one line; found later, it fails the operation that met it. */
static int quick_check(struct sq_conn *c, const char *path, struct err *err)
{
	sqlite3_stmt *stmt = NULL;
	int64_t pages;
	int r = 0;

	if (get_int(c, "PRAGMA page_count", &pages) < 0)
		return fail(c, path, err);
	if (pages > CHECK_MAX_PAGES)
		return 0;
	if (sqlite3_prepare_v2(c->db, "PRAGMA quick_check(1)", -1, &stmt, NULL) != SQLITE_OK ||
	    sqlite3_step(stmt) != SQLITE_ROW)
		r = fail(c, path, err);
	else if (!streq((const char *)sqlite3_column_text(stmt, 0), "ok"))
		r = err_set(err, EIO, "store '%s': database is corrupted: %s", path, sqlite3_column_text(stmt, 0));
	sqlite3_finalize(stmt);
	for (char *p = r < 0 && err ? strchr(err->msg, '\n') : NULL; p; p = strchr(p, '\n'))
		*p = ' ';
	return r;
}

int sq_schema(struct sq_conn *c, const char *path, struct err *err)
{
	int64_t tables, app, version;

	if (get_int(c, "SELECT count(*) FROM sqlite_master", &tables) < 0 ||
	    get_int(c, "PRAGMA application_id", &app) < 0 || get_int(c, "PRAGMA user_version", &version) < 0)
		return fail(c, path, err);
	if (!tables) {
		if (sqlite3_exec(c->db, schema, NULL, NULL, NULL) != SQLITE_OK)
			return fail(c, path, err);
		return 0;
	}
	if (app != APPLICATION_ID)
		return err_set(err, EINVAL, "store '%s': a database of another program", path);
	if (version != SCHEMA_VERSION)
		return err_set(err, EINVAL, "store '%s': schema version %lld, this program knows %d", path,
			       (long long)version, SCHEMA_VERSION);
	return quick_check(c, path, err);
}

sqlite3_stmt *sq_stmt(struct sq_conn *c, enum sq_stmt_id id)
{
	if (!c->stmt[id]) {
		if (sqlite3_prepare_v3(c->db, sql[id], -1, SQLITE_PREPARE_PERSISTENT, &c->stmt[id], NULL) != SQLITE_OK)
			return NULL;
		return c->stmt[id];
	}
	sqlite3_reset(c->stmt[id]);
	sqlite3_clear_bindings(c->stmt[id]);
	return c->stmt[id];
}

int sq_run(struct sq_conn *c, sqlite3_stmt *stmt)
{
	int rc;

	if (!stmt)
		return sq_errno(c);
	rc = sqlite3_step(stmt);
	if (rc != SQLITE_DONE && rc != SQLITE_ROW) {
		rc = sq_errno(c);
		sqlite3_reset(stmt);
		return rc;
	}
	sqlite3_reset(stmt);
	return 0;
}

int sq_errno(struct sq_conn *c)
{
	switch (c->db ? sqlite3_errcode(c->db) & 0xff : SQLITE_NOMEM) {
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EAGAIN;
	case SQLITE_PERM:
	case SQLITE_READONLY:
	case SQLITE_AUTH:
		return -EACCES;
	case SQLITE_CANTOPEN:
		return sqlite3_system_errno(c->db) ? -sqlite3_system_errno(c->db) : -EIO;
	default:
		return -EIO; /* CORRUPT, NOTADB, IOERR... */
	}
}

int sq_meta(struct sq_conn *c, const char *name, int64_t *ret)
{
	sqlite3_stmt *stmt = sq_stmt(c, SQ_S_META);

	if (!stmt || sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC) != SQLITE_OK ||
	    sqlite3_step(stmt) != SQLITE_ROW)
		return sq_errno(c);
	*ret = sqlite3_column_int64(stmt, 0);
	sqlite3_reset(stmt);
	return 0;
}

int sq_max_rev(struct sq_conn *c, int64_t *ret)
{
	sqlite3_stmt *stmt = sq_stmt(c, SQ_S_REV);
	int64_t rev;

	if (!stmt || sqlite3_step(stmt) != SQLITE_ROW)
		return sq_errno(c);
	rev = sqlite3_column_int64(stmt, 0); /* NULL, an empty store, reads as 0 */
	sqlite3_reset(stmt);
	*ret = rev ? rev : 1;
	return 0;
}
