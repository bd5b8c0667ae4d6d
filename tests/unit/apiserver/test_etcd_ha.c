/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two API servers on a TLS cluster of three etcd members: members die, the leader among them, while clients read,
 * write and watch. And what is due from several servers on one etcd: one compacts, a store that fills up is told of.
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../store/etcd_server.h"
#include "base/clock.h"
#include "base/str.h"

#define N_CLIENTS 8

static struct etcd_server m[3];
static struct fx a, b;
static char endpoints[256];

static void turn(void)
{
	loop_run_once(a.loop, 1);
	if (b.loop)
		loop_run_once(b.loop, 1);
}

struct client {
	struct fx *f;
	char name[16], path[128], body[128];
	int n;
	int64_t started_ms;
};
static struct client clients[N_CLIENTS];
static bool stop;
static int running, errors, done_n;
static int64_t slowest_ms;
static char error[300];

static void next(struct client *c);

/* Every other request reads what the one before has written, from the other server. */
static void on_done(struct http_call *call, void *arg, const struct http_response *rsp)
{
	struct client *c = arg;
	int64_t took = clock_mono_ms() - c->started_ms;
	char want[32];

	(void)call;
	running--;
	if (took > slowest_ms)
		slowest_ms = took;
	snprintf(want, sizeof(want), "\"n\":\"%d\"", c->n / 2);
	if (rsp->status != 200 || !strstr(rsp->body, want)) {
		errors++;
		snprintf(error, sizeof(error), "%s %d: %d %.200s", c->name, c->n, rsp->status,
			 rsp->status ? rsp->body : rsp->error);
		return;
	}
	c->n++;
	done_n++;
	if (!stop)
		next(c);
}

static void next(struct client *c)
{
	bool write = c->n % 2 == 0;
	struct http_call_config call = { .method = write ? "PATCH" : "GET",
					 .path = c->path,
					 .content_type = write ? "application/merge-patch+json" : NULL,
					 .body = write ? c->body : NULL,
					 .on_done = on_done,
					 .arg = c };

	snprintf(c->body, sizeof(c->body), "{\"data\":{\"n\":\"%d\"}}", c->n / 2);
	call.body_len = write ? strlen(c->body) : 0;
	c->started_ms = clock_mono_ms();
	running++;
	cr_assert(http_call_start((c->f == &a) == write ? a.clients[ADMIN] : b.clients[ADMIN], &call));
}

static void some(int n)
{
	int want = done_n + n;
	int64_t end = clock_mono_ms() + 30000;

	while (done_n < want && !errors) {
		cr_assert(clock_mono_ms() < end, "%d of %d", done_n, want);
		turn();
	}
	cr_assert(!errors, "%s", error);
}

static void setup(void)
{
	etcd_cluster_start(m, 3, true);
	snprintf(endpoints, sizeof(endpoints), "%s,%s,%s", m[0].url, m[1].url, m[2].url);
	fx_init(&a);
	fx_init(&b);
	a.config.store = b.config.store = NULL;
	a.config.etcd_servers = b.config.etcd_servers = endpoints;
	a.config.etcd_tls = b.config.etcd_tls = m[0].files;
	a.config.compact_interval_s = b.config.compact_interval_s = 2;
	fx_start(&a);
	fx_start(&b);
}

static void teardown(void)
{
	fx_done(&a);
	fx_done(&b);
	for (int i = 2; i >= 0; i--)
		etcd_server_stop(&m[i]);
}

static double metric(struct fx *f, const char *name)
{
	struct answer r = fx_call(f, ADMIN, "GET", "/metrics", NULL, NULL, NULL);
	const char *p = r.text;
	double v = -1;

	while ((p = strstr(p, name))) {
		if ((p == r.text || p[-1] == '\n') && (p[strlen(name)] == ' ')) {
			v = strtod(p + strlen(name), NULL);
			break;
		}
		p++;
	}
	answer_done(&r);
	return v;
}

/* The clients never hear of it: no status but 200, nothing read that is older than what was acknowledged. */
Test(etcd_ha, clients_notice_nothing_but_latency, .init = setup, .fini = teardown, .timeout = 180)
{
	struct fx_watch w;
	int64_t end;

	fx_watch_start(&b, &w, ADMIN, CMS "?watch=1&labelSelector=seen%3Dyes", NULL);
	for (int i = 0; i < N_CLIENTS; i++) {
		struct client *c = &clients[i];
		char body[256];

		c->f = i & 1 ? &b : &a;
		snprintf(c->name, sizeof(c->name), "c%d", i);
		snprintf(c->path, sizeof(c->path), CMS "/%s", c->name);
		snprintf(body, sizeof(body),
			 "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"%s\"}}", c->name);
		fx_do(&a, 201, "POST", CMS, body);
		next(c);
	}
	some(50);
	for (int i = 0; i < 3; i++) { /* the leader is among them */
		etcd_server_kill(&m[i]);
		some(50);
		etcd_server_restart(&m[i]);
		some(20);
	}
	stop = true;
	end = clock_mono_ms() + 30000;
	while (running) {
		cr_assert(clock_mono_ms() < end);
		turn();
	}
	cr_assert(!errors, "%s", error);
	cr_log_info("%d requests, the slowest took %lld ms\n", done_n, (long long)slowest_ms);
	/* the watch is on another member by now, and has missed nothing */
	fx_do(&a, 200, "PATCH", CMS "/c0", "{\"metadata\":{\"labels\":{\"seen\":\"yes\"}}}");
	fx_watch_expect(&w, "ADDED", "c0");
	fx_watch_done(&w);
	/* history was compacted meanwhile, by one server at a time: an old revision is gone on both */
	{
		struct answer r = fx_call(&b, ADMIN, "GET", CMS "?resourceVersion=2&resourceVersionMatch=Exact", NULL,
					  NULL, NULL);

		end = clock_mono_ms() + 60000;
		while (r.status != 410) {
			cr_assert(clock_mono_ms() < end, "%d %s", r.status, r.text);
			answer_done(&r);
			turn();
			r = fx_call(&b, ADMIN, "GET", CMS "?resourceVersion=2&resourceVersionMatch=Exact", NULL, NULL,
				    NULL);
		}
		answer_done(&r);
	}
	/* of both: they share their metrics here; who compacted may not have had the answer yet, and then tries again
	 */
	end = clock_mono_ms() + 60000;
	while (metric(&a, "apiserver_storage_compactions_total") < 1) {
		cr_assert(clock_mono_ms() < end);
		turn();
	}
}

/* An etcd with little room: the warning comes before writes stop; when they do, the answer says what to do. */
Test(etcd_ha, a_store_that_fills_up_is_told_of_before_writes_stop, .timeout = 180)
{
	static char big[600 * 1024];
	struct fx_watch w;
	struct answer r;
	char store[160];
	bool warned = false;
	int n = 0;

	etcd_server_start_quota(&m[0], false, 24 << 20);
	snprintf(store, sizeof(store), "etcd:%s", m[0].url);
	fx_init(&a);
	a.config.store = store;
	a.config.etcd_quota = 24 << 20;
	a.config.care_interval_ms = 20;
	fx_start(&a);
	fx_watch_start(&a, &w, ADMIN, "/api/v1/namespaces/kube-system/events?watch=1", NULL);
	for (;;) {
		int len = snprintf(big, sizeof(big),
				   "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"b%d\"},"
				   "\"data\":{\"k\":\"",
				   n++);

		memset(big + len, 'x', sizeof(big) - (size_t)len - 8);
		strcpy(big + sizeof(big) - 8, "\"}}");
		r = fx_call(&a, ADMIN, "POST", CMS, "application/json", NULL, big);
		if (r.status != 201)
			break;
		answer_done(&r);
		cr_assert(n < 200);
		if (!warned && metric(&a, "apiserver_storage_alarm{type=\"NOSPACE\"}") == 0)
			while (w.taken < w.n)
				warned |= streq(api_get_str(fx_watch_next(&w), "object.reason"), "StoreFillingUp");
	}
	cr_assert(r.status == 507, "%d %s", r.status, r.text);
	cr_assert(strstr(r.text, "etcdctl alarm disarm"), "%s", r.text);
	answer_done(&r);
	cr_assert(warned, "the warning came before");
	fx_do(&a, 200, "GET", CMS "/b0", NULL); /* reading goes on */
	while (metric(&a, "apiserver_storage_alarm{type=\"NOSPACE\"}") != 1)
		turn();
	fx_watch_done(&w);
	fx_done(&a);
	etcd_server_stop(&m[0]);
}
