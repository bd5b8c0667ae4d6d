/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One suite for both stores: STORE_TEST(name) { ... } defines a body that runs as store_sqlite::name and
 * store_etcd::name. The t_* calls do one operation and turn the loop until its callback.
 */
#ifndef SKEP_TEST_STORE_FIXTURE_H
#define SKEP_TEST_STORE_FIXTURE_H

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "control/store/store.h"
#include "etcd_server.h"

struct fixture {
	bool is_etcd;
	struct loop *loop;
	struct store *s;
	char dir[64]; /* sqlite */
	struct etcd_server etcd;
};

struct t_kv {
	char key[256], value[256];
	int64_t create_rev, mod_rev, version;
};

struct t_result {
	int r;
	bool done, succeeded, has_current;
	int64_t rev;
	struct t_kv current;
	char error[512];
};

struct t_range {
	int r;
	bool done, more;
	size_t n;
	int64_t count, rev;
	struct t_kv kvs[512];
	char error[512];
};

/* What a watch has seen, one line an event: "PUT key=value @rev create/version was=prev" or "DEL key @rev was=prev". */
struct t_watch {
	struct store_watch *w;
	struct strbuf log;
	int events, calls, progress, r;
	int64_t last_rev;
	char error[512];
	void (*hook)(struct t_watch *w); /* called with every event */
	void *hook_arg;
};

void fx_start(struct fixture *f, bool etcd);
void fx_open(struct fixture *f); /* the store, again after fx_close() */
void fx_close(struct fixture *f);
void fx_stop(struct fixture *f);
void fx_turn(struct fixture *f);

struct t_result t_put(struct fixture *f, const char *key, int64_t expect, const char *value);
struct t_result t_put_lease(struct fixture *f, const char *key, int64_t expect, const char *value, int64_t lease);
struct t_result t_del(struct fixture *f, const char *key, int64_t expect);
/* Borrowed until the next one. */
const struct t_range *t_get(struct fixture *f, const char *start, const char *end, int64_t rev, size_t limit,
			    bool keys_only);
const struct t_range *t_prefix(struct fixture *f, const char *prefix);
int t_compact(struct fixture *f, int64_t rev);
int t_grant(struct fixture *f, int64_t ttl_s, int64_t *ret_lease);
int t_keepalive(struct fixture *f, int64_t lease, int64_t *ret_ttl_s);
void t_watch(struct fixture *f, struct t_watch *w, const char *prefix, int64_t from_rev);
void t_wait_events(struct fixture *f, struct t_watch *w, int n);
void t_unwatch(struct fixture *f, struct t_watch *w);
void on_txn(void *arg, int r, const struct store_txn_result *result, const struct err *err); /* arg: struct t_result */

#define STORE_TEST(name)                                                                                               \
	static void body_##name(struct fixture *f);                                                                    \
	Test(store_sqlite, name, .timeout = 180)                                                                       \
	{                                                                                                              \
		struct fixture f;                                                                                      \
		fx_start(&f, false);                                                                                   \
		body_##name(&f);                                                                                       \
		fx_stop(&f);                                                                                           \
	}                                                                                                              \
	Test(store_etcd, name, .timeout = 180)                                                                         \
	{                                                                                                              \
		struct fixture f;                                                                                      \
		fx_start(&f, true);                                                                                    \
		body_##name(&f);                                                                                       \
		fx_stop(&f);                                                                                           \
	}                                                                                                              \
	static void body_##name(struct fixture *f)

#endif
