/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store behind the API server: an ordered map from key to bytes with etcd's revision semantics. One revision
 * counter for the whole store; every committed transaction takes the next one. Each key has create_rev, mod_rev and
 * version. Values of past revisions are readable until compacted. Two implementations (SQLite in WAL mode, etcd v3)
 * pass the same tests.
 *
 * Asynchronous, on the caller's loop: every operation ends with exactly one call of its callback, never before the
 * starting function returned. Strings and buffers given to a callback are valid during the call only; what is passed
 * in is copied. A put or delete is acknowledged only once it is durable (fsync of the log; quorum). Codes are
 * negative errnos:
 *   -ESTALE  the revision asked for is compacted          -EAGAIN  the outcome is unknown or the store is
 *   unavailable: retry
 *   -ERANGE  the revision asked for is in the future      -ENOSPC  the store is full
 */
#ifndef SKEP_STORE_H
#define SKEP_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../lib/base/err.h"
#include "../../lib/io/loop.h"

struct store;

struct store_kv {
	const char *key; /* NUL-terminated; keys contain no NUL */
	size_t key_len;
	const void *value;
	size_t value_len;
	int64_t create_rev; /* revision at which the key came into being */
	int64_t mod_rev;    /* revision of this value */
	int64_t version;    /* 1 on creation, +1 each change */
};

struct store_range {
	const struct store_kv *kvs; /* ascending by key */
	size_t n;
	bool more;     /* there are keys beyond limit */
	int64_t count; /* keys in the range in all at that revision */
	int64_t rev;   /* revision the range was read at */
};
typedef void store_range_fn(void *arg, int r, const struct store_range *range, const struct err *err);

/* Outcome of a transaction. */
struct store_txn_result {
	bool succeeded; /* the comparison held and the operation was done */
	int64_t rev;	/* store revision after it (== mod_rev of what was put) */
	const struct store_kv
		*current; /* comparison failed: the present kv, NULL if the key is absent; deleted: the old kv */
};
typedef void store_txn_fn(void *arg, int r, const struct store_txn_result *result, const struct err *err);

enum store_event_type { STORE_PUT, STORE_DELETE };
struct store_event {
	enum store_event_type type;
	struct store_kv kv;	/* DELETE: value empty, mod_rev = revision of the deletion */
	const void *prev_value; /* value before, NULL on creation or if compacted away */
	size_t prev_len;
	int64_t prev_mod_rev;
};
/*
 * All events of one revision come in one call, in order of revision. r < 0 ends the watch (-ESTALE: from_rev
 * compacted). n == 0: progress; everything up to rev has been delivered.
 */
typedef void store_watch_fn(void *arg, int r, int64_t rev, const struct store_event *events, size_t n,
			    const struct err *err);

/* A member of the store's cluster. */
struct store_member {
	const char *name;	     /* its URL */
	const char *version, *error; /* "": none */
	bool up, leader, has_leader;
	int64_t size, in_use, quota; /* bytes of its file, of what is used in it, and the most it takes; 0: unknown */
};
struct store_status {
	const struct store_member *members;
	size_t n;
	bool no_space, corrupt; /* alarms: with no_space nothing can be written */
};

struct store_watch;

struct store_ops {
	const char *name;
	/*
	 * Operations that have not ended get -ECANCELED before it returns, watches nothing. Not from inside a
	 * callback.
	 */
	void (*close)(struct store *s);
	/*
	 * Keys >= start and < end (end "" = start only; "\0"-terminated prefix ends are made by store_prefix_end()).
	 * rev 0 = latest. limit 0 = all. keys_only leaves values empty.
	 */
	void (*range)(struct store *s, const char *start, const char *end, int64_t rev, size_t limit, bool keys_only,
		      store_range_fn *fn, void *arg);
	/*
	 * If key's mod_rev == expect_mod_rev (0 = must be absent) set it. lease 0 = none; -ENOENT: no such lease.
	 * -EMSGSIZE: a value above 1.5 MiB.
	 */
	void (*put)(struct store *s, const char *key, int64_t expect_mod_rev, const void *value, size_t len,
		    int64_t lease, store_txn_fn *fn, void *arg);
	/* If key's mod_rev == expect_mod_rev delete it. */
	void (*del)(struct store *s, const char *key, int64_t expect_mod_rev, store_txn_fn *fn, void *arg);
	/*
	 * Events of keys in [start, end) with revision >= from_rev (0 = from the next one; one in the future is
	 * waited for). NULL: out of memory.
	 */
	struct store_watch *(*watch)(struct store *s, const char *start, const char *end, int64_t from_rev,
				     store_watch_fn *fn, void *arg);
	/* No further callbacks; frees w. Allowed in callbacks, and due also for a watch that ended with an error. */
	void (*unwatch)(struct store_watch *w);
	/* Forget values that are not current at rev. -ESTALE: done before; -ERANGE: rev is in the future. */
	void (*compact)(struct store *s, int64_t rev, void (*fn)(void *arg, int r, const struct err *err), void *arg);
	/*
	 * A lease removes its keys ttl_s after the last keep-alive (later after a restart: time begins anew).
	 * Keep-alive of one that is gone: -ENOENT.
	 */
	void (*lease_grant)(struct store *s, int64_t ttl_s,
			    void (*fn)(void *arg, int r, int64_t lease, const struct err *err), void *arg);
	void (*lease_keepalive)(struct store *s, int64_t lease,
				void (*fn)(void *arg, int r, int64_t ttl_s, const struct err *err), void *arg);
	/* How its members are; NULL: it has none. */
	void (*status)(struct store *s,
		       void (*fn)(void *arg, int r, const struct store_status *status, const struct err *err),
		       void *arg);
};

struct store {
	const struct store_ops *ops;
};

/* path: directory of the database, made if missing. */
int store_sqlite_open(struct loop *loop, const char *path, struct store **ret, struct err *err);

struct tls_files;
/*
 * endpoints: comma-separated "http(s)://host:port"; prefix: put before every key ("/registry"). Connects in the
 * background.
 */
int store_etcd_open(struct loop *loop, const char *endpoints, const struct tls_files *tls, const char *prefix,
		    struct store **ret, struct err *err);

/* End of the range of all keys that start with prefix; out has strlen(prefix) + 2 bytes. */
char *store_prefix_end(const char *prefix, char *out);

#endif
