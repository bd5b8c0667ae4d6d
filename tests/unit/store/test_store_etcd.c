/* SPDX-License-Identifier: Apache-2.0 */
/* What only the etcd store can do wrong: endpoints that fail, unknown outcomes, watches over a restart, TLS. */
#include "fixture.h"

#include "base/clock.h"

#include <signal.h>
#include <unistd.h>

static void reopen(struct fixture *f, const char *endpoints, const struct tls_files *tls)
{
	struct err err = ERR_INIT;

	fx_close(f);
	cr_assert_eq(store_etcd_open(f->loop, endpoints, tls, "/skep", &f->s, &err), 0, "%s", err.msg);
}

Test(store_etcd_faults, goes_to_the_next_endpoint_when_one_refuses, .timeout = 180)
{
	struct fixture f;
	char endpoints[128];
	struct t_watch w = { 0 };

	fx_start(&f, true);
	snprintf(endpoints, sizeof(endpoints), "http://127.0.0.1:1, %s", f.etcd.url);
	reopen(&f, endpoints, NULL);
	t_watch(&f, &w, "/", 1);
	cr_assert(t_put(&f, "/a", 0, "x").succeeded); /* nothing was sent to the first: safe to try the second */
	cr_assert_eq(t_prefix(&f, "/")->n, 1);
	t_wait_events(&f, &w, 1);
	t_unwatch(&f, &w);
	fx_stop(&f);
}

Test(store_etcd_faults, watches_go_on_without_gap_when_etcd_comes_back, .timeout = 180)
{
	struct fixture f;
	struct t_watch w = { 0 };
	struct t_result t;
	int64_t r;

	fx_start(&f, true);
	r = t_put(&f, "/a", 0, "0").rev;
	t_watch(&f, &w, "/", r);
	t_wait_events(&f, &w, 1);
	r = t_put(&f, "/a", r, "1").rev;
	etcd_server_kill(&f.etcd);
	t = t_put(&f, "/a", r, "lost");
	cr_assert_eq(t.r, -EAGAIN);
	cr_assert(strstr(t.error, f.etcd.url), "%s",
		  t.error); /* and "refused", or what happened to a connection in use */
	etcd_server_restart(&f.etcd);
	r = t_put(&f, "/a", r, "2").rev;
	r = t_put(&f, "/a", r, "3").rev;
	t_wait_events(&f, &w, 4);
	cr_assert_eq(w.r, 0);
	cr_assert_eq(w.last_rev, r);
	t_unwatch(&f, &w);
	fx_stop(&f);
}

/* One more write of a counter, whatever it takes. */
static void count_up(struct fixture *f, int64_t *rev, int *n)
{
	char value[16];

	snprintf(value, sizeof(value), "%d", *n + 1);
	for (;;) {
		struct t_result t = t_put(f, "/n", *rev, value);

		if (t.r == -EAGAIN)
			continue;
		cr_assert_eq(t.r, 0, "%s", t.error);
		/* The comparison fails where an attempt of unknown outcome was done after all. */
		cr_assert(t.succeeded || (t.has_current && !strcmp(t.current.value, value)), "%s", t.current.value);
		*rev = t.succeeded ? t.rev : t.current.mod_rev;
		(*n)++;
		return;
	}
}

Test(store_etcd_faults, every_member_may_be_killed_in_turn, .timeout = 180)
{
	struct etcd_server m[3];
	struct fixture f = { .is_etcd = true };
	struct t_watch w = { 0 };
	char endpoints[256];
	int64_t rev = 0;
	int n = 0;

	etcd_cluster_start(m, 3, false);
	snprintf(endpoints, sizeof(endpoints), "%s,%s,%s", m[0].url, m[1].url, m[2].url);
	f.loop = loop_new();
	reopen(&f, endpoints, NULL);
	t_watch(&f, &w, "/n", 1);
	count_up(&f, &rev, &n);
	for (int i = 0; i < 3; i++) {
		etcd_server_kill(&m[i]); /* the leader is among them */
		for (int k = 0; k < 20; k++)
			count_up(&f, &rev, &n);
		etcd_server_restart(&m[i]);
		for (int k = 0; k < 20; k++)
			count_up(&f, &rev, &n);
	}
	t_wait_events(&f, &w, n);
	cr_assert_eq(w.r, 0, "%s", w.error);
	cr_assert_eq(w.events, n); /* every count once, in order: see on_event() */
	t_unwatch(&f, &w);
	fx_close(&f);
	loop_free(f.loop);
	for (int i = 0; i < 3; i++)
		etcd_server_stop(&m[i]);
}

struct counter {
	struct fixture *f;
	struct ha *ha;
	char key[16], value[16];
	int64_t rev, started_ms;
	int n;
};

/* Writers that never pause, on a cluster whose members die. */
struct ha {
	struct counter counters[16];
	bool stop;
	int running, errors;
	int64_t slowest_ms;
	char error[300];
};

static void count_on(struct counter *c);

static void on_counted(void *arg, int r, const struct store_txn_result *result, const struct err *err)
{
	struct counter *c = arg;
	int64_t took = clock_mono_ms() - c->started_ms;

	c->ha->running--;
	if (took > c->ha->slowest_ms)
		c->ha->slowest_ms = took;
	if (r < 0 || !result->succeeded) {
		c->ha->errors++;
		snprintf(c->ha->error, sizeof(c->ha->error), "%s to %s: %s", c->key, c->value,
			 r < 0		   ? err->msg
			 : result->current ? "somebody else's value"
					   : "gone");
		return;
	}
	c->rev = result->rev;
	c->n++;
	if (!c->ha->stop)
		count_on(c);
}

static void count_on(struct counter *c)
{
	c->ha->running++;
	c->started_ms = clock_mono_ms();
	snprintf(c->value, sizeof(c->value), "%d", c->n + 1);
	c->f->s->ops->put(c->f->s, c->key, c->rev, c->value, strlen(c->value), 0, on_counted, c);
}

static void on_status(void *arg, int r, const struct store_status *st, const struct err *err)
{
	int *leader = arg;

	(void)err;
	cr_assert_eq(r, 0);
	*leader = -1;
	for (size_t i = 0; i < st->n; i++)
		if (st->members[i].up && st->members[i].leader)
			*leader = (int)i;
}

static int leader_of(struct fixture *f)
{
	int leader;

	do {
		leader = -2;
		f->s->ops->status(f->s, on_status, &leader);
		while (leader == -2)
			fx_turn(f);
	} while (leader < 0);
	return leader;
}

static int counted(const struct ha *ha)
{
	int n = 0;

	for (int i = 0; i < 16; i++)
		n += ha->counters[i].n;
	return n;
}

static void count_some(struct fixture *f, struct ha *ha)
{
	int want = counted(ha) + 100;

	while (counted(ha) < want && !ha->errors)
		fx_turn(f);
	cr_assert_eq(ha->errors, 0, "%s", ha->error);
}

/*
 * Members of a TLS cluster are killed, the leader above all, while 16 writers go on without a pause: no writer ever
 * hears of it, no write is lost or done twice, and a watch sees each of them once.
 */
Test(store_etcd_faults, the_death_of_members_is_only_a_delay, .timeout = 180)
{
	struct etcd_server m[3];
	struct fixture f = { .is_etcd = true };
	struct ha ha = { 0 };
	struct t_watch w = { 0 };
	char endpoints[256];

	etcd_cluster_start(m, 3, true);
	snprintf(endpoints, sizeof(endpoints), "%s,%s,%s", m[0].url, m[1].url, m[2].url);
	f.loop = loop_new();
	reopen(&f, endpoints, &m[0].files);
	t_watch(&f, &w, "/c", 1);
	for (int i = 0; i < 16; i++) {
		ha.counters[i] = (struct counter){ .f = &f, .ha = &ha };
		snprintf(ha.counters[i].key, sizeof(ha.counters[i].key), "/c%d", i);
		count_on(&ha.counters[i]);
	}
	count_some(&f, &ha);
	for (int round = 0; round < 3; round++) {
		int leader = leader_of(&f), victim = round == 1 ? (leader + 1) % 3 : leader;

		etcd_server_kill(&m[victim]);
		count_some(&f, &ha);
		etcd_server_restart(&m[victim]);
		count_some(&f, &ha);
	}
	ha.stop = true;
	while (ha.running)
		fx_turn(&f);
	cr_assert_eq(ha.errors, 0, "%s", ha.error);
	t_wait_events(&f, &w, counted(&ha));
	cr_assert_eq(w.r, 0, "%s", w.error);
	cr_assert_eq(w.events, counted(&ha));
	for (int i = 0; i < 16; i++) {
		const struct t_range *g = t_get(&f, ha.counters[i].key, "", 0, 0, false);

		cr_assert(g->r == 0 && g->n == 1 && atoi(g->kvs[0].value) == ha.counters[i].n);
		cr_assert_eq(g->kvs[0].version, ha.counters[i].n); /* once each */
	}
	cr_log_info("%d writes, the slowest took %lld ms\n", counted(&ha), (long long)ha.slowest_ms);
	cr_assert(ha.slowest_ms < 60000);
	t_unwatch(&f, &w);
	fx_close(&f);
	loop_free(f.loop);
	for (int i = 2; i >= 0; i--)
		etcd_server_stop(&m[i]);
}

/* It holds its connections, so that nothing but silence tells. */
Test(store_etcd_faults, a_watch_leaves_a_member_that_says_nothing, .timeout = 180)
{
	struct etcd_server m[3];
	struct fixture f = { .is_etcd = true }, g = { .is_etcd = true };
	struct t_watch w = { 0 };
	char endpoints[256];

	etcd_cluster_start(m, 3, true);
	f.loop = loop_new();
	g.loop = loop_new();
	snprintf(endpoints, sizeof(endpoints), "%s,%s,%s", m[0].url, m[1].url, m[2].url);
	reopen(&f, endpoints, &m[0].files);
	snprintf(endpoints, sizeof(endpoints), "%s,%s", m[1].url, m[2].url);
	reopen(&g, endpoints, &m[0].files);
	t_watch(&f, &w, "/", 1);
	cr_assert(t_put(&g, "/a", 0, "x").succeeded);
	t_wait_events(&f, &w, 1);
	cr_assert_eq(kill(m[0].pid, SIGSTOP), 0);
	/* It may have been the leader: the others choose another one first. */
	while (t_put(&g, "/b", 0, "x").r == -EAGAIN)
		;
	t_wait_events(&f, &w, 2);
	cr_assert_eq(kill(m[0].pid, SIGCONT), 0);
	t_unwatch(&f, &w);
	fx_close(&f);
	fx_close(&g);
	loop_free(f.loop);
	loop_free(g.loop);
	for (int i = 2; i >= 0; i--)
		etcd_server_stop(&m[i]);
}

Test(store_etcd_faults, an_unknown_outcome_is_said_to_be_one, .timeout = 180)
{
	struct fixture f;
	struct t_result t;
	int64_t r;

	fx_start(&f, true);
	r = t_put(&f, "/a", 0, "0").rev;
	kill(f.etcd.pid, SIGSTOP);
	t = t_put(&f, "/a", r, "1");
	kill(f.etcd.pid, SIGCONT);
	cr_assert_eq(t.r, -EAGAIN);
	/* The comparison makes the second try safe: whichever happened, the value is written once. */
	t = t_put(&f, "/a", r, "1");
	cr_assert_eq(t.r, 0);
	cr_assert(t.succeeded || !strcmp(t.current.value, "1"));
	fx_stop(&f);
}

Test(store_etcd_faults, speaks_tls_with_client_certificates, .timeout = 180)
{
	struct fixture f = { .is_etcd = true };
	struct t_watch w = { 0 };
	struct tls_files ca_only;
	char name[32];

	etcd_server_start(&f.etcd, true);
	f.loop = loop_new();
	fx_open(&f);
	t_prefix(&f, "/");
	t_watch(&f, &w, "/", 0);
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "/%d", i);
		cr_assert(t_put(&f, name, 0, "x").succeeded);
	}
	t_wait_events(&f, &w, 100);
	t_unwatch(&f, &w);
	ca_only = (struct tls_files){ .ca_file = f.etcd.ca };
	reopen(&f, f.etcd.url, &ca_only);
	cr_assert_eq(t_put(&f, "/x", 0, "x").r, -EAGAIN);
	fx_stop(&f);
}

Test(store_etcd_faults, refuses_bad_endpoints, .timeout = 180)
{
	static const char *const bad[] = { "", " , ", "ftp://x", "https://127.0.0.1:1" };
	struct loop *loop = loop_new();

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err = ERR_INIT;
		struct store *s = NULL;

		cr_assert_eq(store_etcd_open(loop, bad[i], NULL, "/skep", &s, &err), -EINVAL, "%s", bad[i]);
		cr_assert(err.msg[0] && !s);
	}
	loop_free(loop);
}

Test(store_etcd_faults, watches_bring_large_values, .timeout = 180)
{
	char *value = malloc(600 * 1024);
	struct fixture f;
	struct t_watch w = { 0 };
	char key[16];

	memset(value, 'x', 600 * 1024 - 1);
	value[600 * 1024 - 1] = '\0';
	fx_start(&f, true);
	t_watch(&f, &w, "/", 1);
	for (int i = 0; i < 40; i++) {
		snprintf(key, sizeof(key), "/b%d", i);
		cr_assert(t_put(&f, key, 0, value).succeeded);
		t_wait_events(&f, &w, i + 1);
	}
	t_unwatch(&f, &w);
	free(value);
	fx_stop(&f);
}
