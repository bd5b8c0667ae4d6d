/* SPDX-License-Identifier: Apache-2.0 */
/* What only the etcd store can do wrong: endpoints that fail, unknown outcomes, watches over a restart, TLS. */
#include "fixture.h"

#include <signal.h>
#include <unistd.h>

static void reopen(struct fixture *f, const char *endpoints, const struct tls_files *tls)
{
	struct err err = ERR_INIT;

	fx_close(f);
	cr_assert_eq(store_etcd_open(f->loop, endpoints, tls, "/skep", &f->s, &err), 0, "%s", err.msg);
}

Test(store_etcd_faults, goes_to_the_next_endpoint_when_one_refuses, .timeout = 30)
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

Test(store_etcd_faults, watches_go_on_without_gap_when_etcd_comes_back, .timeout = 60)
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

Test(store_etcd_faults, every_member_may_be_killed_in_turn, .timeout = 120)
{
	struct etcd_server m[3];
	struct fixture f = { .is_etcd = true };
	struct t_watch w = { 0 };
	char endpoints[256];
	int64_t rev = 0;
	int n = 0;

	etcd_cluster_start(m, 3);
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

Test(store_etcd_faults, an_unknown_outcome_is_said_to_be_one, .timeout = 30)
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

Test(store_etcd_faults, speaks_tls_with_client_certificates, .timeout = 30)
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

Test(store_etcd_faults, refuses_bad_endpoints, .timeout = 10)
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
