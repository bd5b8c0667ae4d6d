/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two API servers on one etcd: what one acknowledged the other shows, watches and addresses agree, an outage is told
 * and survived.
 */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>

#include "../store/etcd_server.c"
#include "base/clock.h"
#include "base/str.h"

static struct etcd_server etcd;
static struct fx a, b;
static char store[160];

static void setup(void)
{
	etcd_server_start(&etcd, false);
	snprintf(store, sizeof(store), "etcd:%s", etcd.url);
	fx_init(&a);
	fx_init(&b);
	a.config.store = b.config.store = store;
	fx_start(&a);
	fx_start(&b);
}

static void teardown(void)
{
	fx_done(&a);
	fx_done(&b);
	etcd_server_stop(&etcd);
}

TestSuite(etcd, .init = setup, .fini = teardown, .timeout = 180);

Test(etcd, two_servers_are_one)
{
	struct fx_watch w;
	json_t *o, *l;
	char path[256];

	l = fx_expect(&b, 200, "GET", CMS, NULL);
	snprintf(path, sizeof(path), CMS "?watch=1&resourceVersion=%s", api_get_str(l, "metadata.resourceVersion"));
	json_decref(l);
	fx_watch_start(&b, &w, ADMIN, path, NULL);
	for (int i = 0; i < 20; i++) {
		char at[64], body[64];

		if (i == 0)
			fx_do(&a, 201, "POST", CMS, CM("x", ""));
		snprintf(body, sizeof(body), "{\"data\":{\"i\":\"%d\"}}", i);
		fx_do(&a, 200, "PATCH", CMS "/x", body);
		/* at once, on the other */
		o = fx_expect(&b, 200, "GET", CMS "/x", NULL);
		snprintf(at, sizeof(at), "%d", i);
		cr_assert_str_eq(api_get_str(o, "data.i"), at);
		json_decref(o);
		l = fx_expect(&b, 200, "GET", CMS, NULL);
		cr_assert_str_eq(api_get_str(json_array_get(json_object_get(l, "items"), 0), "data.i"), at);
		json_decref(l);
	}
	fx_watch_expect(&w, "ADDED", "x");
	for (int i = 0; i < 20; i++)
		fx_watch_expect(&w, "MODIFIED", "x");
	fx_watch_done(&w);
	l = fx_expect(&a, 200, "GET", "/api/v1/namespaces?limit=2", NULL);
	cr_assert(json_array_size(json_object_get(l, "items")) == 2);
	json_decref(l);
}

Test(etcd, what_one_server_defines_the_other_serves)
{
	static const char crd[] =
		"{\"apiVersion\":\"apiextensions.k8s.io/v1\",\"kind\":\"CustomResourceDefinition\",\"metadata\":{\"name\":"
		"\"things.example.com\"},\"spec\":{\"group\":\"example.com\",\"scope\":\"Cluster\",\"names\":{\"plural\":"
		"\"things\",\"kind\":\"Thing\"},\"versions\":[{\"name\":\"v1\",\"served\":true,\"storage\":true,\"schema\":{"
		"\"openAPIV3Schema\":{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\",\"maximum\":5}}}}}]}}";
	static const char thing[] =
		"{\"apiVersion\":\"example.com/v1\",\"kind\":\"Thing\",\"metadata\":{\"name\":\"x\"},\"n\":3}";
	const char *name = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.example.com";
	json_t *o;

	for (int round = 0; round < 3; round++) {
		struct fx_watch w = { 0 };

		fx_do(&a, 201, "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd);
		/* at once, on the other */
		fx_do(&b, 201, "POST", "/apis/example.com/v1/things", thing);
		o = fx_expect(&a, 200, "GET", "/apis/example.com/v1/things", NULL);
		cr_assert(json_array_size(json_object_get(o, "items")) == 1);
		json_decref(o);
		fx_do(&b, 200, "GET", "/apis/example.com/v1", NULL);
		fx_watch_start(&a, &w, ADMIN, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions?watch=1", NULL);
		fx_watch_expect(&w, "ADDED", "things.example.com");
		fx_do(&a, 200, "DELETE", name, NULL);
		for (o = NULL; !o || !streq(api_get_str(o, "type"), "DELETED");)
			o = fx_watch_next(&w);
		fx_watch_done(&w);
		fx_do(&b, 404, "GET", "/apis/example.com/v1/things", NULL);
		fx_do(&b, 404, "GET", name, NULL);
	}
}

static int n_done, n_created, n_refused;

static void on_created(struct http_call *call, void *arg, const struct http_response *rsp)
{
	(void)call;
	(void)arg;
	n_done++;
	n_created += rsp->status == 201;
	n_refused += rsp->status == 422 && strstr(rsp->body, "already allocated");
}

/* more: of spec */
static void start(struct fx *f, const char *name, const char *more)
{
	char body[512];
	struct http_call_config c = { .method = "POST",
				      .path = "/api/v1/namespaces/default/services",
				      .content_type = "application/json",
				      .body = body,
				      .on_done = on_created };

	snprintf(body, sizeof(body),
		 "{\"kind\":\"Service\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"%s\"},\"spec\":{%s}}", name,
		 more);
	c.body_len = strlen(body);
	cr_assert(http_call_start(f->clients[ADMIN], &c));
}

/* format: of a service's spec, with a number. */
__attribute__((format(printf, 1, 0))) static void both_ask(const char *format)
{
	int64_t end = clock_mono_ms() + 30000;
	const int rounds = 20;

	for (int i = 0; i < rounds; i++) {
		char x[16], y[16], more[128];

		snprintf(x, sizeof(x), "a-%d", i);
		snprintf(y, sizeof(y), "b-%d", i);
		snprintf(more, sizeof(more), format, i + 1);
		start(&a, x, more);
		start(&b, y, more);
		while (n_done < 2 * (i + 1)) {
			cr_assert(clock_mono_ms() < end);
			loop_run_once(a.loop, 1);
			loop_run_once(b.loop, 1);
		}
	}
	cr_assert(n_created == rounds, "%d created", n_created);
	cr_assert(n_refused == rounds, "%d refused", n_refused);
}

Test(etcd, an_address_is_given_by_one_server_only)
{
	both_ask("\"clusterIP\":\"10.96.1.%d\",\"ports\":[{\"port\":80}]");
}

Test(etcd, a_node_port_is_given_by_one_server_only)
{
	both_ask("\"type\":\"NodePort\",\"ports\":[{\"port\":80,\"nodePort\":300%02d}]");
}

Test(etcd, an_outage_is_told_and_survived)
{
	struct fx_watch w;
	struct answer r;
	int64_t end;

	fx_do(&a, 201, "POST", CMS, CM("before", ""));
	fx_watch_start(&a, &w, ADMIN, CMS "?watch=1", NULL);
	fx_watch_expect(&w, "ADDED", "before");
	etcd_server_kill(&etcd);
	fx_refused(&a, ADMIN, 503, "POST", CMS, CM("during", ""), "the store is unavailable");
	etcd_server_restart(&etcd);
	end = clock_mono_ms() + 30000;
	do {
		cr_assert(clock_mono_ms() < end);
		r = fx_call(&a, ADMIN, "POST", CMS, "application/json", NULL, CM("after", ""));
		n_done = r.status;
		answer_done(&r);
	} while (n_done != 201);
	/* the watch went on */
	fx_watch_expect(&w, "ADDED", "after");
	fx_watch_done(&w);
}

/* A server whose store is away: what can be said is said, requests wait and then get 503, not a hang. */
Test(etcd, a_server_without_its_store_says_so)
{
	struct answer r;
	char url[64];
	struct http_client_config config = { .base_url = url, .tls = &b.tls[ADMIN] };
	struct err err = ERR_INIT;

	fx_stop(&b);
	etcd_server_kill(&etcd);
	cr_assert(apiserver_new(b.loop, &b.config, &b.server, &err) == 0, "%s", err.msg);
	snprintf(url, sizeof(url), "https://127.0.0.1:%d", apiserver_port(b.server, 0));
	cr_assert(http_client_new(b.loop, &config, &b.clients[ADMIN], &err) == 0);
	r = fx_call(&b, ADMIN, "GET", "/livez", NULL, NULL, NULL);
	cr_assert(r.status == 200);
	answer_done(&r);
	r = fx_call(&b, ADMIN, "GET", "/readyz", NULL, NULL, NULL);
	cr_assert(r.status == 503 && strstr(r.text, "[-]cache failed: not yet filled"));
	answer_done(&r);
	fx_refused(&b, ADMIN, 503, "GET", CMS, NULL, "still reading its store");
	etcd_server_restart(&etcd);
	fx_do(&a, 200, "GET", "/version", NULL);
	/* it gets there by itself */
	do {
		r = fx_call(&b, ADMIN, "GET", CMS, NULL, NULL, NULL);
		n_done = r.status;
		answer_done(&r);
	} while (n_done != 200);
}
