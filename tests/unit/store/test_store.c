/* SPDX-License-Identifier: Apache-2.0 */
/* The store's contract (store.h), on both stores. */
#include "fixture.h"

STORE_TEST(creates_updates_and_deletes)
{
	struct t_result t;
	const struct t_range *g;
	int64_t first, second;

	t = t_put(f, "/a", 0, "one");
	cr_assert_eq(t.r, 0, "%s", t.error);
	cr_assert(t.succeeded && !t.has_current);
	first = t.rev;
	g = t_get(f, "/a", "", 0, 0, false);
	cr_assert_eq(g->r, 0);
	cr_assert_eq(g->n, 1);
	cr_assert_eq(g->count, 1);
	cr_assert(!g->more);
	cr_assert_eq(g->rev, first);
	cr_assert_str_eq(g->kvs[0].key, "/a");
	cr_assert_str_eq(g->kvs[0].value, "one");
	cr_assert(g->kvs[0].create_rev == first && g->kvs[0].mod_rev == first && g->kvs[0].version == 1);

	t = t_put(f, "/a", first, "two");
	cr_assert(t.succeeded);
	second = t.rev;
	cr_assert_eq(second, first + 1);
	g = t_get(f, "/a", "", 0, 0, false);
	cr_assert_str_eq(g->kvs[0].value, "two");
	cr_assert(g->kvs[0].create_rev == first && g->kvs[0].mod_rev == second && g->kvs[0].version == 2);

	t = t_del(f, "/a", second);
	cr_assert(t.succeeded && t.has_current);
	cr_assert_eq(t.rev, second + 1);
	cr_assert_str_eq(t.current.value, "two");
	cr_assert_eq(t_get(f, "/a", "", 0, 0, false)->n, 0);

	t = t_put(f, "/a", 0, "again");
	cr_assert(t.succeeded);
	g = t_get(f, "/a", "", 0, 0, false);
	cr_assert(g->kvs[0].create_rev == second + 2 && g->kvs[0].version == 1);
}

STORE_TEST(a_failed_comparison_changes_nothing_and_gives_the_present_state)
{
	struct t_result t, u;
	struct t_watch w = { 0 };

	t_watch(f, &w, "/", 0);
	t = t_put(f, "/a", 0, "one");
	u = t_put(f, "/a", 0, "two"); /* exists */
	cr_assert_eq(u.r, 0);
	cr_assert(!u.succeeded && u.has_current);
	cr_assert_eq(u.rev, t.rev);
	cr_assert_str_eq(u.current.key, "/a");
	cr_assert_str_eq(u.current.value, "one");
	cr_assert_eq(u.current.mod_rev, t.rev);
	u = t_put(f, "/b", t.rev, "x"); /* absent */
	cr_assert(!u.succeeded && !u.has_current);
	u = t_del(f, "/a", t.rev + 1);
	cr_assert(!u.succeeded && u.has_current);
	cr_assert_str_eq(u.current.value, "one");
	u = t_del(f, "/b", 5);
	cr_assert(!u.succeeded && !u.has_current);
	u = t_del(f, "/b", 0); /* absent as expected: nothing to do */
	cr_assert(u.succeeded && !u.has_current);
	cr_assert_eq(u.rev, t.rev);
	cr_assert_eq(t_get(f, "/", "0", 0, 0, false)->count, 1);
	t = t_put(f, "/c", 0, "end");
	t_wait_events(f, &w, 2);
	cr_assert_eq(w.events, 2);
	cr_assert(strstr(w.log.buf, "PUT /c=end"));
	t_unwatch(f, &w);
}

STORE_TEST(refuses_what_it_cannot_hold)
{
	size_t n = (1536u << 10) + 1;
	char *big = calloc(1, n);
	struct t_result t = { 0 };

	cr_assert_eq(t_put(f, "", 0, "x").r, -EINVAL);
	f->s->ops->put(f->s, "/big", 0, big, n, 0, on_txn, &t);
	while (!t.done)
		fx_turn(f);
	cr_assert_eq(t.r, -EMSGSIZE);
	cr_assert(t.error[0]);
	free(big);
}

STORE_TEST(holds_binary_and_empty_values)
{
	static const char bytes[] = "a\0b\xff";
	struct t_result t = { 0 };
	const struct t_range *g;

	f->s->ops->put(f->s, "/bin", 0, bytes, sizeof(bytes), 0, on_txn, &t);
	while (!t.done)
		fx_turn(f);
	cr_assert(t.succeeded);
	cr_assert(t_put(f, "/empty", 0, "").succeeded);
	g = t_prefix(f, "/");
	cr_assert_eq(g->n, 2);
	cr_assert_eq(memcmp(g->kvs[0].value, "a", 2), 0); /* as much as a string copy shows */
	cr_assert_str_eq(g->kvs[1].value, "");
}

STORE_TEST(ranges_by_prefix_with_limit_and_count)
{
	const struct t_range *g;
	char key[32], end[32];
	int64_t rev = 0;

	t_put(f, "/p", 0, "outside");
	t_put(f, "/q/", 0, "outside");
	for (int i = 0; i < 25; i++) {
		snprintf(key, sizeof(key), "/p/%02d", (i * 7) % 25);
		rev = t_put(f, key, 0, key + 3).rev;
	}
	store_prefix_end("/p/", end);
	g = t_get(f, "/p/", end, 0, 0, false);
	cr_assert(g->n == 25 && g->count == 25 && !g->more && g->rev == rev);
	for (int i = 0; i < 25; i++) {
		snprintf(key, sizeof(key), "/p/%02d", i);
		cr_assert_str_eq(g->kvs[i].key, key);
		cr_assert_str_eq(g->kvs[i].value, key + 3);
	}
	g = t_get(f, "/p/", end, 0, 10, true);
	cr_assert(g->n == 10 && g->count == 25 && g->more);
	cr_assert_str_eq(g->kvs[9].key, "/p/09");
	cr_assert_str_eq(g->kvs[9].value, "");
	cr_assert(g->kvs[9].mod_rev > 0);
	g = t_get(f, "/p/15", end, 0, 10, false);
	cr_assert(g->n == 10 && g->count == 10 && !g->more);
	g = t_get(f, "/p/", end, 0, 25, false);
	cr_assert(g->n == 25 && !g->more);
	g = t_get(f, "/x/", "/y", 0, 10, false);
	cr_assert(g->n == 0 && g->count == 0 && !g->more && g->rev == rev);
}

STORE_TEST(reads_the_past)
{
	const struct t_range *g;
	int64_t r1, r2, r3, r4;

	r1 = t_put(f, "/h/a", 0, "a1").rev;
	r2 = t_put(f, "/h/b", 0, "b1").rev;
	r3 = t_put(f, "/h/a", r1, "a2").rev;
	r4 = t_del(f, "/h/b", r2).rev;
	t_put(f, "/h/c", 0, "c1");

	g = t_get(f, "/h/", "/h0", r2, 0, false);
	cr_assert(g->n == 2 && g->count == 2);
	cr_assert_str_eq(g->kvs[0].value, "a1");
	cr_assert_str_eq(g->kvs[1].value, "b1");
	cr_assert_eq(g->rev, r2);
	g = t_get(f, "/h/", "/h0", r3, 1, false);
	cr_assert(g->n == 1 && g->count == 2 && g->more);
	cr_assert_str_eq(g->kvs[0].value, "a2");
	cr_assert(g->kvs[0].create_rev == r1 && g->kvs[0].mod_rev == r3 && g->kvs[0].version == 2);
	g = t_get(f, "/h/", "/h0", r4, 0, false);
	cr_assert_eq(g->n, 1);
	g = t_get(f, "/h/b", "", r3, 0, false);
	cr_assert_eq(g->n, 1);
	g = t_get(f, "/h/b", "", r4, 0, false);
	cr_assert_eq(g->n, 0);
	g = t_get(f, "/h/", "/h0", r4 + 100, 0, false);
	cr_assert_eq(g->r, -ERANGE);
	cr_assert(strstr(g->error, "future"), "%s", g->error);
}

STORE_TEST(compacts_and_says_what_is_gone)
{
	int64_t r1, r2, r3, last;
	const struct t_range *g;

	r1 = t_put(f, "/a", 0, "1").rev;
	r2 = t_put(f, "/a", r1, "2").rev;
	t_put(f, "/gone", 0, "x");
	t_del(f, "/gone", r2 + 1);
	r3 = t_put(f, "/a", r2, "3").rev;
	last = t_put(f, "/a", r3, "4").rev;
	cr_assert_eq(t_compact(f, last + 1), -ERANGE);
	cr_assert_eq(t_compact(f, r3), 0);
	cr_assert_eq(t_compact(f, r3), -ESTALE);
	cr_assert_eq(t_compact(f, r1), -ESTALE);
	cr_assert_eq(t_get(f, "/a", "", r2, 0, false)->r, -ESTALE);
	g = t_get(f, "/a", "", r3, 0, false);
	cr_assert_eq(g->r, 0);
	cr_assert_str_eq(g->kvs[0].value, "3");
	cr_assert(g->kvs[0].create_rev == r1 && g->kvs[0].version == 3);
	g = t_get(f, "/", "0", 0, 0, false);
	cr_assert_eq(g->n, 1);
	cr_assert_str_eq(g->kvs[0].value, "4");
}

STORE_TEST(watches_from_now_in_order_and_only_its_range)
{
	struct t_watch w = { 0 }, one = { 0 };
	struct t_result t;
	char want[512];
	int64_t r;

	r = t_put(f, "/w/a", 0, "before").rev;
	t_watch(f, &w, "/w/", 0);
	strbuf_init(&one.log);
	t = t_put(f, "/w/a", r, "1");
	t_put(f, "/v/a", 0, "other");
	t_put(f, "/w/b", 0, "2");
	t_del(f, "/w/a", t.rev);
	t_wait_events(f, &w, 3);
	snprintf(want, sizeof(want),
		 "PUT /w/a=1 @%lld %lld/2 was=before@%lld\n"
		 "PUT /w/b=2 @%lld %lld/1\n"
		 "DEL /w/a @%lld was=1@%lld\n",
		 (long long)r + 1, (long long)r, (long long)r, (long long)r + 3, (long long)r + 3, (long long)r + 4,
		 (long long)r + 1);
	cr_assert_str_eq(w.log.buf, want);
	t_unwatch(f, &w);
	t_put(f, "/w/c", 0, "unseen");
	cr_assert_eq(w.events, 3);
}

STORE_TEST(watches_from_the_past_without_gap_or_repetition)
{
	struct t_watch w = { 0 };
	struct t_result pending[200] = { 0 };
	char key[32];
	int64_t first = 0;
	int n = 300;

	for (int i = 0; i < n; i++) {
		snprintf(key, sizeof(key), "/w/%d", i);
		if (i == 0)
			first = t_put(f, key, 0, "old").rev;
		else
			t_put(f, key, 0, "old");
	}
	/* writes go on while the watch catches up */
	for (int i = 0; i < 200; i++) {
		snprintf(key, sizeof(key), "/w/n%d", i);
		f->s->ops->put(f->s, key, 0, "new", 3, 0, on_txn, &pending[i]);
		if (i == 100)
			t_watch(f, &w, "/w/", first + 100);
	}
	t_wait_events(f, &w, n - 100 + 200);
	cr_assert_eq(w.r, 0, "%s", w.error);
	cr_assert_eq(w.events, n - 100 + 200);
	cr_assert_eq(w.last_rev, first + n + 200 - 1); /* ascending, each once: see on_event() */
	for (int i = 0; i < 200; i++)
		while (!pending[i].done)
			fx_turn(f);
	t_unwatch(f, &w);
}

STORE_TEST(a_watch_may_start_in_the_future)
{
	struct t_watch w = { 0 };
	int64_t r = t_put(f, "/a", 0, "0").rev;

	t_watch(f, &w, "/", r + 3);
	for (int i = 1; i < 6; i++)
		r = t_put(f, "/a", r, "x").rev;
	while (w.last_rev < r)
		fx_turn(f);
	cr_assert_eq(w.events, 3);
	t_unwatch(f, &w);
}

STORE_TEST(a_watch_from_a_compacted_revision_ends)
{
	struct t_watch w = { 0 }, ok = { 0 };
	int64_t r1, r2, r3;

	r1 = t_put(f, "/a", 0, "1").rev;
	r2 = t_put(f, "/a", r1, "2").rev;
	r3 = t_put(f, "/a", r2, "3").rev;
	cr_assert_eq(t_compact(f, r2), 0);
	t_watch(f, &w, "/", r1);
	while (!w.r)
		fx_turn(f);
	cr_assert_eq(w.r, -ESTALE);
	cr_assert(w.error[0]);
	t_watch(f, &ok, "/", r2);
	t_wait_events(f, &ok, 2);
	cr_assert_eq(ok.last_rev, r3);
	t_unwatch(f, &w);
	t_unwatch(f, &ok);
}

static void unwatch_hook(struct t_watch *w)
{
	struct fixture *f = w->hook_arg;

	if (w->w)
		f->s->ops->unwatch(w->w);
	w->w = NULL;
}

STORE_TEST(a_watch_may_be_ended_in_its_callback)
{
	struct t_watch w = { .hook = unwatch_hook, .hook_arg = f }, past = { .hook = unwatch_hook, .hook_arg = f },
		       all = { 0 };
	int64_t r = t_put(f, "/a", 0, "1").rev;

	t_watch(f, &all, "/", 0);
	t_watch(f, &w, "/", 0);
	for (int i = 0; i < 5; i++)
		r = t_put(f, "/a", r, "x").rev;
	t_watch(f, &past, "/", r - 3);
	t_wait_events(f, &past, 1);
	t_put(f, "/a", r, "end");
	t_wait_events(f, &all, 6);
	cr_assert_eq(w.events, 1);
	cr_assert_eq(past.events, 1);
	t_unwatch(f, &all);
	strbuf_done(&w.log);
	strbuf_done(&past.log);
}

STORE_TEST(an_expired_lease_removes_its_keys)
{
	struct t_watch w = { 0 };
	int64_t lease, other, ttl;

	t_watch(f, &w, "/l/", 0);
	cr_assert_eq(t_grant(f, 1, &lease), 0);
	cr_assert(lease != 0);
	cr_assert_eq(t_grant(f, 600, &other), 0);
	cr_assert(t_put_lease(f, "/l/a", 0, "x", lease).succeeded);
	cr_assert(t_put_lease(f, "/l/b", 0, "x", lease).succeeded);
	cr_assert(t_put_lease(f, "/l/c", 0, "x", other).succeeded);
	cr_assert_eq(t_keepalive(f, lease, &ttl), 0);
	cr_assert(ttl >= 1);
	t_wait_events(f, &w, 5);
	cr_assert(strstr(w.log.buf, "DEL /l/a @"));
	cr_assert(strstr(w.log.buf, "DEL /l/b @"));
	cr_assert_eq(t_prefix(f, "/l/")->n, 1);
	cr_assert_eq(t_keepalive(f, lease, &ttl), -ENOENT);
	cr_assert_eq(t_put_lease(f, "/l/a", 0, "x", lease).r, -ENOENT);
	t_unwatch(f, &w);
}

STORE_TEST(a_put_without_its_lease_detaches_the_key)
{
	struct t_watch w = { 0 };
	int64_t lease, r;

	t_watch(f, &w, "/l/", 0);
	cr_assert_eq(t_grant(f, 1, &lease), 0);
	r = t_put_lease(f, "/l/kept", 0, "x", lease).rev;
	cr_assert(t_put_lease(f, "/l/marker", 0, "x", lease).succeeded);
	cr_assert(t_put(f, "/l/kept", r, "y").succeeded);
	t_wait_events(f, &w, 4); /* the marker is gone, and with it the lease */
	cr_assert_eq(t_prefix(f, "/l/")->n, 1);
	t_unwatch(f, &w);
}

STORE_TEST(persists)
{
	const struct t_range *g;
	int64_t r1, r2, lease;
	struct t_watch w = { 0 };

	r1 = t_put(f, "/a", 0, "1").rev;
	r2 = t_put(f, "/a", r1, "2").rev;
	cr_assert_eq(t_grant(f, 2, &lease), 0);
	cr_assert(t_put_lease(f, "/leased", 0, "x", lease).succeeded);
	cr_assert_eq(t_compact(f, r2), 0);
	fx_close(f);
	fx_open(f);
	g = t_get(f, "/a", "", 0, 0, false);
	cr_assert(g->n == 1 && g->rev == r2 + 1 && g->kvs[0].mod_rev == r2 && g->kvs[0].version == 2);
	cr_assert_eq(t_get(f, "/a", "", r1, 0, false)->r, -ESTALE);
	t_watch(f, &w, "/", r2);
	t_wait_events(f, &w, 3); /* the lease lives on, and ends */
	cr_assert(strstr(w.log.buf, "DEL /leased"));
	cr_assert_eq(t_put(f, "/a", r2, "3").rev, r2 + 3);
	t_unwatch(f, &w);
}

STORE_TEST(many_operations_at_once_all_end_and_take_a_revision_each)
{
	enum { N = 2000 };
	static struct t_result t[N];
	struct t_watch w = { 0 };
	int64_t first = t_put(f, "/first", 0, "x").rev;
	char key[32];

	memset(t, 0, sizeof(t));
	t_watch(f, &w, "/n/", 0);
	for (int i = 0; i < N; i++) {
		snprintf(key, sizeof(key), "/n/%d", i);
		f->s->ops->put(f->s, key, 0, key, strlen(key), 0, on_txn, &t[i]);
	}
	for (int i = 0; i < N; i++) {
		while (!t[i].done)
			fx_turn(f);
		cr_assert(t[i].r == 0 && t[i].succeeded, "%s", t[i].error);
	}
	t_wait_events(f, &w, N);
	cr_assert_eq(w.last_rev, first + N);
	cr_assert_eq(t_get(f, "/n/", "/n0", 0, 1, true)->count, N);
	t_unwatch(f, &w);
}

static void count_cancelled(void *arg, int r, const struct store_txn_result *result, const struct err *err)
{
	int *n = arg;

	(void)result;
	(void)err;
	cr_assert(r == 0 || r == -ECANCELED);
	(*n)++;
}

STORE_TEST(closing_ends_every_operation)
{
	int n = 0;

	for (int i = 0; i < 100; i++)
		f->s->ops->put(f->s, "/a", i, "x", 1, 0, count_cancelled, &n);
	fx_close(f);
	cr_assert_eq(n, 100);
}

struct again {
	struct fixture *f;
	int told, asked;
};

static void ask_again(void *arg, int r, const struct store_txn_result *result, const struct err *err)
{
	struct again *a = arg;

	(void)r;
	(void)result;
	(void)err;
	a->told++;
	if (a->asked < 150) {
		a->asked++;
		a->f->s->ops->put(a->f->s, "/b", -1, "x", 1, 0, ask_again, a);
	}
}

STORE_TEST(who_asks_again_while_it_closes_is_told_too)
{
	struct again a = { .f = f };

	for (; a.asked < 100; a.asked++)
		f->s->ops->put(f->s, "/a", a.asked, "x", 1, 0, ask_again, &a);
	fx_close(f);
	cr_assert_eq(a.told, 150);
}

Test(store, prefix_end)
{
	char out[16];

	cr_assert_str_eq(store_prefix_end("/a/", out), "/a0");
	cr_assert_str_eq(store_prefix_end("a\xff\xff", out), "b");
	cr_assert_str_eq(store_prefix_end("", out), "\xff");
	cr_assert_str_eq(store_prefix_end("\xff", out), "\xff");
}

/* The last events of a burst come by themselves, not with the next write. */
STORE_TEST(a_watch_gets_the_last_event_of_every_burst)
{
	enum { ROUNDS = 60, BURST = 64, SIZE = 1800 };
	static struct t_result results[BURST];
	static char value[SIZE + 1];
	struct t_watch w = { 0 };

	memset(value, 'x', SIZE);
	t_watch(f, &w, "/", 0);
	for (int round = 0; round < ROUNDS; round++) {
		int done = 0;

		memset(results, 0, sizeof(results));
		for (int i = 0; i < BURST; i++) {
			char key[32];

			snprintf(key, sizeof(key), "/%d-%d", round, i);
			f->s->ops->put(f->s, key, 0, value, SIZE, 0, on_txn, &results[i]);
		}
		while (done < BURST) {
			fx_turn(f);
			done = 0;
			for (int i = 0; i < BURST; i++)
				done += results[i].done;
		}
		for (int i = 0; i < BURST; i++)
			cr_assert(results[i].succeeded, "%s", results[i].error);
		strbuf_done(&w.log);
		t_wait_events(f, &w, (round + 1) * BURST);
	}
	t_unwatch(f, &w);
}

Test(store_etcd, a_watch_over_tls_gets_the_last_event_of_every_burst, .timeout = 180)
{
	struct fixture f = { .is_etcd = true };

	etcd_server_start(&f.etcd, true);
	f.loop = loop_new();
	fx_open(&f);
	t_prefix(&f, "/");
	body_a_watch_gets_the_last_event_of_every_burst(&f);
	fx_stop(&f);
}
