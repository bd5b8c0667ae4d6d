/* SPDX-License-Identifier: Apache-2.0 */
/* See fixture.h. */
#include "fixture.h"

#include <unistd.h>

#include "base/file.h"

void fx_start(struct fixture *f, bool etcd)
{
	memset(f, 0, sizeof(*f));
	f->is_etcd = etcd;
	if (etcd) {
		etcd_server_start(&f->etcd, false);
	} else {
		strcpy(f->dir, "/tmp/skep-unit-store-XXXXXX");
		cr_assert(mkdtemp(f->dir));
	}
	f->loop = loop_new();
	cr_assert(f->loop);
	fx_open(f);
	/*
	 * A store that has not heard of any revision yet watches "from now" as etcd sees it, not as this process
	 * does.
	 */
	cr_assert_eq(t_get(f, "/", "", 0, 0, false)->r, 0);
}

void fx_open(struct fixture *f)
{
	struct err err = ERR_INIT;
	int r;

	if (f->is_etcd)
		r = store_etcd_open(f->loop, f->etcd.url, f->etcd.tls ? &f->etcd.files : NULL, "/skep", &f->s, &err);
	else
		r = store_sqlite_open(f->loop, f->dir, &f->s, &err);
	cr_assert_eq(r, 0, "%s", err.msg);
}

void fx_close(struct fixture *f)
{
	if (f->s)
		f->s->ops->close(f->s);
	f->s = NULL;
}

void fx_stop(struct fixture *f)
{
	fx_close(f);
	loop_free(f->loop);
	if (f->is_etcd)
		etcd_server_stop(&f->etcd);
	else
		cr_assert_eq(dir_remove(f->dir, NULL), 0);
}

void fx_turn(struct fixture *f)
{
	cr_assert_eq(loop_run_once(f->loop, 60000), 0);
}

static void copy_kv(struct t_kv *to, const struct store_kv *kv)
{
	cr_assert_eq(strlen(kv->key), kv->key_len);
	snprintf(to->key, sizeof(to->key), "%s", kv->key);
	snprintf(to->value, sizeof(to->value), "%.*s", (int)kv->value_len, (const char *)kv->value);
	to->create_rev = kv->create_rev;
	to->mod_rev = kv->mod_rev;
	to->version = kv->version;
}

void on_txn(void *arg, int r, const struct store_txn_result *result, const struct err *err)
{
	struct t_result *t = arg;

	cr_assert(!t->done);
	t->done = true;
	t->r = r;
	snprintf(t->error, sizeof(t->error), "%s", r < 0 ? err->msg : "");
	if (r < 0)
		return;
	t->succeeded = result->succeeded;
	t->rev = result->rev;
	t->has_current = result->current != NULL;
	if (result->current)
		copy_kv(&t->current, result->current);
}

struct t_result t_put_lease(struct fixture *f, const char *key, int64_t expect, const char *value, int64_t lease)
{
	struct t_result t = { 0 };

	f->s->ops->put(f->s, key, expect, value, strlen(value), lease, on_txn, &t);
	cr_assert(!t.done);
	while (!t.done)
		fx_turn(f);
	return t;
}

struct t_result t_put(struct fixture *f, const char *key, int64_t expect, const char *value)
{
	return t_put_lease(f, key, expect, value, 0);
}

struct t_result t_del(struct fixture *f, const char *key, int64_t expect)
{
	struct t_result t = { 0 };

	f->s->ops->del(f->s, key, expect, on_txn, &t);
	cr_assert(!t.done);
	while (!t.done)
		fx_turn(f);
	return t;
}

static void on_range(void *arg, int r, const struct store_range *range, const struct err *err)
{
	struct t_range *t = arg;

	cr_assert(!t->done);
	t->done = true;
	t->r = r;
	snprintf(t->error, sizeof(t->error), "%s", r < 0 ? err->msg : "");
	if (r < 0)
		return;
	t->n = range->n;
	t->more = range->more;
	t->count = range->count;
	t->rev = range->rev;
	cr_assert(range->n <= sizeof(t->kvs) / sizeof(t->kvs[0]));
	for (size_t i = 0; i < range->n; i++)
		copy_kv(&t->kvs[i], &range->kvs[i]);
}

const struct t_range *t_get(struct fixture *f, const char *start, const char *end, int64_t rev, size_t limit,
			    bool keys_only)
{
	static struct t_range t;

	memset(&t, 0, sizeof(t));
	f->s->ops->range(f->s, start, end, rev, limit, keys_only, on_range, &t);
	cr_assert(!t.done);
	while (!t.done)
		fx_turn(f);
	return &t;
}

const struct t_range *t_prefix(struct fixture *f, const char *prefix)
{
	char end[256];

	return t_get(f, prefix, store_prefix_end(prefix, end), 0, 0, false);
}

static void on_compact(void *arg, int r, const struct err *err)
{
	(void)err;
	*(int *)arg = r;
}

int t_compact(struct fixture *f, int64_t rev)
{
	int r = 1;

	f->s->ops->compact(f->s, rev, on_compact, &r);
	while (r == 1)
		fx_turn(f);
	return r;
}

struct t_lease {
	bool done;
	int r;
	int64_t v;
};

static void on_lease(void *arg, int r, int64_t v, const struct err *err)
{
	(void)err;
	*(struct t_lease *)arg = (struct t_lease){ true, r, v };
}

int t_grant(struct fixture *f, int64_t ttl_s, int64_t *ret_lease)
{
	struct t_lease t = { 0 };

	f->s->ops->lease_grant(f->s, ttl_s, on_lease, &t);
	while (!t.done)
		fx_turn(f);
	*ret_lease = t.v;
	return t.r;
}

int t_keepalive(struct fixture *f, int64_t lease, int64_t *ret_ttl_s)
{
	struct t_lease t = { 0 };

	f->s->ops->lease_keepalive(f->s, lease, on_lease, &t);
	while (!t.done)
		fx_turn(f);
	*ret_ttl_s = t.v;
	return t.r;
}

static void on_event(void *arg, int r, int64_t rev, const struct store_event *events, size_t n, const struct err *err)
{
	struct t_watch *w = arg;

	w->calls++;
	if (r < 0) {
		w->r = r;
		snprintf(w->error, sizeof(w->error), "%s", err->msg);
		return;
	}
	cr_assert(rev >= w->last_rev);
	cr_assert(!n || rev > w->last_rev, "revision %lld after %lld", (long long)rev, (long long)w->last_rev);
	w->last_rev = rev;
	w->progress += n == 0;
	for (size_t i = 0; i < n; i++) {
		const struct store_event *e = &events[i];

		cr_assert_eq(e->kv.mod_rev, rev);
		if (e->type == STORE_PUT)
			strbuf_addf(&w->log, "PUT %s=%.*s @%lld %lld/%lld", e->kv.key, (int)e->kv.value_len,
				    (const char *)e->kv.value, (long long)rev, (long long)e->kv.create_rev,
				    (long long)e->kv.version);
		else
			strbuf_addf(&w->log, "DEL %s @%lld", e->kv.key, (long long)rev);
		if (e->prev_value)
			strbuf_addf(&w->log, " was=%.*s@%lld", (int)e->prev_len, (const char *)e->prev_value,
				    (long long)e->prev_mod_rev);
		strbuf_addc(&w->log, '\n');
		w->events++;
	}
	if (w->hook)
		w->hook(w);
}

void t_watch(struct fixture *f, struct t_watch *w, const char *prefix, int64_t from_rev)
{
	char end[256];

	strbuf_init(&w->log);
	w->w = f->s->ops->watch(f->s, prefix, store_prefix_end(prefix, end), from_rev, on_event, w);
	cr_assert(w->w);
	cr_assert_eq(w->calls, 0);
}

void t_wait_events(struct fixture *f, struct t_watch *w, int n)
{
	while (w->events < n && w->r == 0)
		fx_turn(f);
}

void t_unwatch(struct fixture *f, struct t_watch *w)
{
	f->s->ops->unwatch(w->w);
	strbuf_done(&w->log);
}
