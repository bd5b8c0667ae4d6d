/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd's side of a copy: read in pages at one revision; written key by key, many at a time. What a cluster has
 * counted so far cannot be changed, so the jump of the revision is an offset that every API server adds; see
 * etcd-internal.h. No API server may run on that etcd meanwhile.
 */
#include "backup.h"

#include "../../lib/base/cleanup.h"
#include "etcd-internal.h"

#define FIRST	  "/"
#define LAST	  "0" /* behind every key */
#define PAGE	  500
#define IN_FLIGHT 64

struct etcd_sink {
	struct backup_sink base;
	struct loop *loop;
	struct store *s;
	bool force;
	size_t keys;
	int64_t from_rev, rev, event_lease;
	unsigned in_flight;
	int r; /* of the first failure */
	struct err err;
};

/* One operation, awaited. */
struct wait {
	bool done;
	int r;
	struct err err;
	int64_t rev, n;
	bool succeeded;
	/* a page */
	char **keys;
	int64_t *revs;
	size_t n_keys;
	bool more;
	struct backup_sink *to; /* where a page's pairs go; may be NULL */
};

static void await(struct loop *loop, const struct wait *w)
{
	while (!w->done)
		loop_run_once(loop, 1000);
}

static void note(struct wait *w, int r, const struct err *err)
{
	w->done = true;
	w->r = r;
	if (r < 0 && err)
		w->err = *err;
}

static void free_page(struct wait *w)
{
	for (size_t i = 0; i < w->n_keys; i++)
		free(w->keys[i]);
	free(w->keys);
	free(w->revs);
	w->keys = NULL;
	w->revs = NULL;
	w->n_keys = 0;
}

static void on_page(void *arg, int r, const struct store_range *range, const struct err *err)
{
	struct wait *w = arg;

	note(w, r, err);
	if (r < 0)
		return;
	w->rev = range->rev;
	w->more = range->more;
	w->keys = calloc(range->n + 1, sizeof(*w->keys));
	w->revs = calloc(range->n + 1, sizeof(*w->revs));
	for (size_t i = 0; w->keys && w->revs && i < range->n && w->r == 0; i++) {
		const struct store_kv *kv = &range->kvs[i];

		w->keys[i] = strdup(kv->key);
		w->revs[i] = kv->mod_rev;
		w->n_keys++;
		if (!w->keys[i])
			w->r = err_set(&w->err, ENOMEM, "out of memory");
		else if (w->to && !backup_skips(kv->key))
			w->r = w->to->each(w->to, kv, &w->err);
	}
	if (!w->keys || !w->revs)
		w->r = err_set(&w->err, ENOMEM, "out of memory");
}

static int page(struct loop *loop, struct store *s, const char *after, int64_t rev, bool keys_only,
		struct backup_sink *to, struct wait *ret, struct err *err)
{
	cleanup(free) char *start = NULL;

	/* no key contains a byte below 1: nothing lies between a key and itself + "\1" */
	if (asprintf(&start, "%s%s", after ? after : FIRST, after ? "\1" : "") < 0) {
		start = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	*ret = (struct wait){ .to = to };
	s->ops->range(s, start, LAST, rev, PAGE, keys_only, on_page, ret);
	await(loop, ret);
	if (ret->r < 0) {
		free_page(ret);
		*err = ret->err;
	}
	return ret->r;
}

/* --- reading -------------------------------------------------------------------------------------------------------
 */

static int read_pages(struct loop *loop, struct store *s, struct backup_sink *to, struct err *err)
{
	cleanup(free) char *after = NULL;
	struct wait w = { 0 };
	int64_t rev;
	int r;

	r = page(loop, s, NULL, 0, true, NULL, &w, err);
	if (r < 0)
		return r;
	rev = w.rev;
	free_page(&w);
	r = to->begin(to, rev, err);
	do {
		if (r == 0)
			r = page(loop, s, after, rev, false, to, &w, err);
		if (r < 0)
			return r;
		free(after);
		after = w.n_keys ? strdup(w.keys[w.n_keys - 1]) : NULL;
		free_page(&w);
	} while (w.more && after);
	return w.more ? err_set(err, ENOMEM, "out of memory") : 0;
}

int backup_read_etcd(const struct backup_place *from, struct backup_sink *to, struct err *err)
{
	struct loop *loop = loop_new();
	struct store *s = NULL;
	int r;

	if (!loop)
		return err_set(err, errno, "event loop: %m");
	r = store_etcd_open(loop, from->where, &from->tls, from->prefix, &s, err);
	if (r == 0) {
		r = read_pages(loop, s, to, err);
		s->ops->close(s);
	}
	loop_free(loop);
	return r;
}

/* --- writing -------------------------------------------------------------------------------------------------------
 */

static void on_txn(void *arg, int r, const struct store_txn_result *result, const struct err *err)
{
	struct wait *w = arg;

	note(w, r, err);
	w->succeeded = r == 0 && result->succeeded;
	w->rev = r == 0 ? result->rev : 0;
}

static void on_lease(void *arg, int r, int64_t lease, const struct err *err)
{
	struct wait *w = arg;

	note(w, r, err);
	w->n = lease;
}

static int remove_all(struct etcd_sink *s, struct err *err)
{
	struct wait w = { 0 }, del;
	int r;

	do {
		r = page(s->loop, s->s, NULL, 0, true, NULL, &w, err);
		if (r < 0)
			return r;
		for (size_t i = 0; i < w.n_keys && r == 0; i++) {
			if (!strcmp(w.keys[i], ETCD_OFFSET_KEY))
				continue;
			del = (struct wait){ 0 };
			s->s->ops->del(s->s, w.keys[i], w.revs[i], on_txn, &del);
			await(s->loop, &del);
			r = del.r;
			if (r < 0)
				*err = del.err;
			else if (!del.succeeded)
				r = err_set(err, EBUSY, "somebody writes to this etcd: stop every API server first");
		}
		free_page(&w);
	} while (r == 0 && w.more);
	return r;
}

/* Is there anything but a store's own bookkeeping? */
static int check_empty(struct etcd_sink *s, int64_t *ret_rev, struct err *err)
{
	struct wait w = { 0 };
	int r = page(s->loop, s->s, NULL, 0, true, NULL, &w, err);
	bool empty = true;

	if (r < 0)
		return r;
	for (size_t i = 0; i < w.n_keys; i++)
		empty = empty && backup_skips(w.keys[i]);
	*ret_rev = w.rev;
	free_page(&w);
	if (empty)
		return 0;
	if (!s->force)
		return err_set(err, EEXIST, "this etcd has content already; --force removes it");
	return remove_all(s, err);
}

static int set_offset(struct etcd_sink *s, int64_t above, struct err *err)
{
	struct etcd_store *e = container_of(s->s, struct etcd_store, base);
	int64_t offset = above + BACKUP_REVISION_BUMP, key_rev;
	struct wait w = { 0 };
	char text[24];
	int r;

	/* rev = etcd's + offset, and etcd has counted at least 1 */
	s->s->ops->range(s->s, ETCD_OFFSET_KEY, "", 0, 1, true, on_page, &w);
	await(s->loop, &w);
	key_rev = w.n_keys ? w.revs[0] : 0;
	r = w.r;
	if (r < 0)
		*err = w.err;
	free_page(&w);
	if (r < 0)
		return r;
	snprintf(text, sizeof(text), "%lld", (long long)offset);
	w = (struct wait){ 0 };
	s->s->ops->put(s->s, ETCD_OFFSET_KEY, key_rev, text, strlen(text), 0, on_txn, &w);
	await(s->loop, &w);
	if (w.r < 0) {
		*err = w.err;
		return w.r;
	}
	if (!w.succeeded)
		return err_set(err, EBUSY, "somebody writes to this etcd: stop every API server first");
	e->offset = offset;
	return 0;
}

static int etcd_begin(struct backup_sink *base, int64_t rev, struct err *err)
{
	struct etcd_sink *s = (struct etcd_sink *)base;
	struct wait w = { 0 };
	int64_t now = 0;
	int r;

	s->from_rev = rev;
	r = check_empty(s, &now, err);
	if (r == 0)
		r = set_offset(s, now > rev ? now : rev, err);
	if (r < 0)
		return r;
	s->s->ops->lease_grant(s->s, BACKUP_EVENT_TTL_S, on_lease, &w);
	await(s->loop, &w);
	if (w.r < 0)
		*err = w.err;
	s->event_lease = w.n;
	return w.r;
}

static void on_put(void *arg, int r, const struct store_txn_result *result, const struct err *err)
{
	struct etcd_sink *s = arg;

	s->in_flight--;
	if (r == 0 && result->succeeded) {
		if (result->rev > s->rev)
			s->rev = result->rev;
	} else if (s->r == 0) {
		if (r < 0)
			s->err = *err;
		s->r = r < 0 ? r : err_set(&s->err, EBUSY, "somebody writes to this etcd: stop every API server first");
	}
}

static int settle(struct etcd_sink *s, unsigned in_flight, struct err *err)
{
	while (s->in_flight > in_flight)
		loop_run_once(s->loop, 1000);
	if (s->r < 0)
		*err = s->err;
	return s->r;
}

static int etcd_each(struct backup_sink *base, const struct store_kv *kv, struct err *err)
{
	struct etcd_sink *s = (struct etcd_sink *)base;

	s->in_flight++;
	s->keys++;
	s->s->ops->put(s->s, kv->key, 0, kv->value, kv->value_len, backup_is_event(kv->key) ? s->event_lease : 0,
		       on_put, s);
	return settle(s, IN_FLIGHT, err);
}

static void on_compacted(void *arg, int r, const struct err *err)
{
	note(arg, r, err);
}

static int etcd_end(struct backup_sink *base, struct backup_result *ret, struct err *err)
{
	struct etcd_sink *s = (struct etcd_sink *)base;
	struct wait w = { 0 };
	int r = settle(s, 0, err);

	if (r < 0)
		return r;
	if (s->rev) {
		s->s->ops->compact(s->s, s->rev, on_compacted, &w);
		await(s->loop, &w);
		if (w.r < 0 && w.r != -ESTALE) {
			*err = w.err;
			return w.r;
		}
	}
	*ret = (struct backup_result){ .from_rev = s->from_rev, .to_rev = s->rev, .keys = s->keys };
	return 0;
}

static void etcd_free(struct backup_sink *base)
{
	struct etcd_sink *s = (struct etcd_sink *)base;

	if (s->s)
		s->s->ops->close(s->s);
	loop_free(s->loop);
	free(s);
}

int backup_sink_etcd(const struct backup_place *to, const struct backup_options *o, struct backup_sink **ret,
		     struct err *err)
{
	struct etcd_sink *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_set(err, ENOMEM, "out of memory");
	s->base = (struct backup_sink){ etcd_begin, etcd_each, etcd_end, etcd_free };
	s->force = o->force;
	s->loop = loop_new();
	if (!s->loop) {
		free(s);
		return err_set(err, errno, "event loop: %m");
	}
	r = store_etcd_open(s->loop, to->where, &to->tls, to->prefix, &s->s, err);
	if (r < 0) {
		etcd_free(&s->base);
		return r;
	}
	*ret = &s->base;
	return 0;
}
