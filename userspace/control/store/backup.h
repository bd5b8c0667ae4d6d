/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of the whole content of a store: to a file, back from it, and from one store to another. What is copied is
 * every key's present value at one revision. Where it goes revisions go on far above the ones it had, and older ones
 * count as compacted: whoever watches from one of them is told to list again, and nobody takes an old state for a newer
 * one. Blocking, for command lines; see store_tool.c.
 */
#ifndef SKEP_STORE_BACKUP_H
#define SKEP_STORE_BACKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "../../lib/base/err.h"
#include "../../lib/io/tls.h"
#include "store.h"

#define BACKUP_REVISION_BUMP INT64_C(1000000000)

enum backup_kind { BACKUP_FILE, BACKUP_SQLITE, BACKUP_ETCD };
struct backup_place {
	enum backup_kind kind;
	const char *where; /* path; directory; URLs */
	struct tls_files tls;
	const char *prefix; /* etcd */
};

struct backup_options {
	bool force; /* replace what is there */
	bool alone; /* the source must not be in use, so that nothing is written behind the copy's back */
};

struct backup_result {
	int64_t from_rev, to_rev; /* to_rev: the store's revision afterwards; 0 for files */
	size_t keys;
};

int backup_copy(const struct backup_place *from, const struct backup_place *to, const struct backup_options *options,
		struct backup_result *ret, struct err *err);
/* Reads the whole file and compares its checksum. */
int backup_verify(const char *path, struct backup_result *ret, struct err *err);

/* --- between the files of this module ------------------------------------------------------------------------------
 */

/* begin comes first and once, then each key in order. */
struct backup_sink {
	int (*begin)(struct backup_sink *s, int64_t rev, struct err *err);
	int (*each)(struct backup_sink *s, const struct store_kv *kv, struct err *err);
	int (*end)(struct backup_sink *s, struct backup_result *ret, struct err *err);
	void (*free)(struct backup_sink *s); /* after end, or instead of it: what was begun is undone where it can be */
};

int backup_read_file(const struct backup_place *from, struct backup_sink *to, struct err *err);
int backup_read_sqlite(const struct backup_place *from, bool alone, struct backup_sink *to, struct err *err);
int backup_read_etcd(const struct backup_place *from, struct backup_sink *to, struct err *err);
int backup_sink_file(const struct backup_place *to, const struct backup_options *o, struct backup_sink **ret,
		     struct err *err);
int backup_sink_sqlite(const struct backup_place *to, const struct backup_options *o, struct backup_sink **ret,
		       struct err *err);
int backup_sink_etcd(const struct backup_place *to, const struct backup_options *o, struct backup_sink **ret,
		     struct err *err);

/* A store's own bookkeeping, which means nothing elsewhere. */
bool backup_skips(const char *key);
/* Keys that go away by themselves; their leases are not copied but begin anew. */
bool backup_is_event(const char *key);
#define BACKUP_EVENT_TTL_S 3660

#endif
