/* SPDX-License-Identifier: Apache-2.0 */
/* list, watch and the forms of answers, against a running server. */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"

static struct fx f;

static void setup(void)
{
	fx_init(&f);
	f.config.ring_events = 16;
	f.config.bookmark_interval_s = 1;
	fx_start(&f);
}

static void teardown(void)
{
	fx_done(&f);
}

TestSuite(read, .init = setup, .fini = teardown, .timeout = 180);

static void make(int n)
{
	for (int i = 0; i < n; i++) {
		char body[256];

		snprintf(
			body, sizeof(body),
			"{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"cm-%02d\",\"labels\":{\"parity\":\"%s\"}}}",
			i, i % 2 ? "odd" : "even");
		fx_do(&f, 201, "POST", CMS, body);
	}
}

static char *escape(const char *s)
{
	char *e = http_escape(s);

	cr_assert(e);
	return e;
}

Test(read, lists_in_pages_are_one_moments_list)
{
	json_t *l, *l2;
	char path[1024], *token;
	const char *rv;

	make(10);
	l = fx_expect(&f, 200, "GET", CMS "?limit=4", NULL);
	cr_assert(json_array_size(json_object_get(l, "items")) == 4);
	cr_assert(api_get_int(l, "metadata.remainingItemCount", 0) == 6);
	rv = api_get_str(l, "metadata.resourceVersion");
	/* what comes and goes between pages does not show */
	fx_do(&f, 200, "DELETE", CMS "/cm-05", NULL);
	fx_do(&f, 201, "POST", CMS, CM("cm-055", ""));
	token = escape(api_get_str(l, "metadata.continue"));
	snprintf(path, sizeof(path), CMS "?limit=4&continue=%s", token);
	free(token);
	l2 = fx_expect(&f, 200, "GET", path, NULL);
	cr_assert(json_array_size(json_object_get(l2, "items")) == 4);
	cr_assert_str_eq(api_get_str(json_array_get(json_object_get(l2, "items"), 0), "metadata.name"), "cm-04");
	cr_assert_str_eq(api_get_str(json_array_get(json_object_get(l2, "items"), 1), "metadata.name"), "cm-05");
	cr_assert_str_eq(api_get_str(l2, "metadata.resourceVersion"), rv);
	token = escape(api_get_str(l2, "metadata.continue"));
	snprintf(path, sizeof(path), CMS "?limit=4&continue=%s", token);
	free(token);
	json_decref(l2);
	l2 = fx_expect(&f, 200, "GET", path, NULL);
	cr_assert(json_array_size(json_object_get(l2, "items")) == 2);
	cr_assert(!api_get(l2, "metadata.continue"));
	json_decref(l2);
	json_decref(l);
	fx_refused(&f, ADMIN, 400, "GET", CMS "?limit=4&continue=zzzz", NULL, "continue key is not valid");
	fx_do(&f, 400, "GET", CMS "?limit=x", NULL);
}

Test(read, selectors_choose)
{
	json_t *l;

	make(5);
	l = fx_expect(&f, 200, "GET", CMS "?labelSelector=parity%20in%20(odd)", NULL);
	cr_assert(json_array_size(json_object_get(l, "items")) == 2);
	json_decref(l);
	l = fx_expect(&f, 200, "GET", "/api/v1/configmaps?fieldSelector=metadata.name%3Dcm-03", NULL);
	cr_assert(json_array_size(json_object_get(l, "items")) == 1);
	json_decref(l);
	l = fx_expect(&f, 200, "GET", CMS "?fieldSelector=metadata.name!%3Dcm-03&limit=2&labelSelector=parity", NULL);
	cr_assert(json_array_size(json_object_get(l, "items")) == 2);
	cr_assert(api_get_str(l, "metadata.continue") && !api_get(l, "metadata.remainingItemCount"));
	json_decref(l);
}

Test(read, resource_versions)
{
	json_t *o, *l;
	char path[256];

	make(1);
	o = fx_expect(&f, 200, "GET", CMS "/cm-00?resourceVersion=0", NULL);
	snprintf(path, sizeof(path), CMS "?resourceVersion=%s&resourceVersionMatch=Exact",
		 api_get_str(o, "metadata.resourceVersion"));
	fx_do(&f, 200, "DELETE", CMS "/cm-00", NULL);
	l = fx_expect(&f, 200, "GET", path, NULL);
	cr_assert(json_array_size(json_object_get(l, "items")) == 1);
	cr_assert_str_eq(api_get_str(l, "metadata.resourceVersion"), api_get_str(o, "metadata.resourceVersion"));
	json_decref(l);
	json_decref(o);
	fx_do(&f, 422, "GET", CMS "?resourceVersion=abc", NULL);
	fx_do(&f, 422, "GET", CMS "?resourceVersionMatch=Exact", NULL);
	fx_refused(&f, ADMIN, 504, "GET", CMS "?resourceVersion=999999999", NULL,
		   "Too large resource version: 999999999");
}

Test(read, a_watch_tells_what_follows_its_revision)
{
	struct fx_watch w;
	json_t *l, *ev;
	char path[256];

	make(2);
	l = fx_expect(&f, 200, "GET", CMS, NULL);
	snprintf(path, sizeof(path), CMS "?watch=1&resourceVersion=%s", api_get_str(l, "metadata.resourceVersion"));
	json_decref(l);
	fx_do(&f, 201, "POST", CMS, CM("new", "")); /* between list and watch: not lost */
	fx_watch_start(&f, &w, ADMIN, path, NULL);
	cr_assert(w.status == 200);
	fx_watch_expect(&w, "ADDED", "new");
	fx_do(&f, 200, "PATCH", CMS "/cm-00", "{\"data\":{\"a\":\"b\"}}");
	ev = fx_watch_expect(&w, "MODIFIED", "cm-00");
	cr_assert_str_eq(api_get_str(ev, "object.data.a"), "b");
	fx_do(&f, 200, "DELETE", CMS "/cm-00", NULL);
	ev = fx_watch_expect(&w, "DELETED", "cm-00");
	cr_assert_str_eq(api_get_str(ev, "object.data.a"), "b");
	fx_watch_done(&w);
	/* the same once more from the ring */
	fx_watch_start(&f, &w, ADMIN, path, NULL);
	fx_watch_expect(&w, "ADDED", "new");
	fx_watch_expect(&w, "MODIFIED", "cm-00");
	ev = fx_watch_expect(&w, "DELETED", "cm-00");
	l = fx_expect(&f, 200, "GET", CMS, NULL);
	cr_assert_str_eq(api_get_str(ev, "object.metadata.resourceVersion"),
			 api_get_str(l, "metadata.resourceVersion"));
	json_decref(l);
	fx_watch_done(&w);
}

Test(read, selectors_turn_changes_into_coming_and_going)
{
	struct fx_watch w;

	make(1);
	fx_watch_start(&f, &w, ADMIN, CMS "?watch=true&labelSelector=parity%3Deven", NULL);
	fx_watch_expect(&w, "ADDED", "cm-00");
	fx_do(&f, 200, "PATCH", CMS "/cm-00", "{\"metadata\":{\"labels\":{\"parity\":\"odd\"}}}");
	cr_assert_str_eq(api_get_str(fx_watch_expect(&w, "DELETED", "cm-00"), "object.metadata.labels.parity"), "even");
	fx_do(&f, 200, "PATCH", CMS "/cm-00", "{\"data\":{\"unseen\":\"1\"}}");
	fx_do(&f, 200, "PATCH", CMS "/cm-00", "{\"metadata\":{\"labels\":{\"parity\":\"even\"}}}");
	fx_watch_expect(&w, "ADDED", "cm-00");
	fx_do(&f, 200, "DELETE", CMS "/cm-00", NULL);
	fx_watch_expect(&w, "DELETED", "cm-00");
	fx_watch_done(&w);
}

Test(read, bookmarks_and_the_end_of_initial_events)
{
	struct fx_watch w;
	json_t *ev;

	make(2);
	fx_watch_start(
		&f, &w, ADMIN,
		CMS
		"?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=2",
		NULL);
	fx_watch_expect(&w, "ADDED", "cm-00");
	fx_watch_expect(&w, "ADDED", "cm-01");
	ev = fx_watch_expect(&w, "BOOKMARK", NULL);
	cr_assert_str_eq(json_string_value(json_object_get(api_get(ev, "object.metadata.annotations"),
							   "k8s.io/initial-events-end")),
			 "true");
	ev = fx_watch_expect(&w, "BOOKMARK", NULL); /* the interval's */
	cr_assert(!api_get(ev, "object.metadata.annotations"));
	cr_assert_str_eq(api_get_str(ev, "object.kind"), "ConfigMap");
	while ((ev = fx_watch_next(&w))) /* and one at the end */
		cr_assert_str_eq(api_get_str(ev, "type"), "BOOKMARK");
	cr_assert(w.ended);
	fx_watch_done(&w);
	fx_refused(&f, ADMIN, 422, "GET", CMS "?watch=1&sendInitialEvents=true", NULL, "sendInitialEvents requires");
}

Test(read, a_revision_that_left_the_ring_is_gone)
{
	struct fx_watch w;

	make(1);
	for (int i = 0; i < 20; i++) {
		char body[64];

		snprintf(body, sizeof(body), "{\"data\":{\"n\":\"%d\"}}", i);
		fx_do(&f, 200, "PATCH", CMS "/cm-00", body);
	}
	fx_refused(&f, ADMIN, 410, "GET", CMS "?watch=1&resourceVersion=2", NULL, "too old resource version: 2");
	fx_watch_start(&f, &w, ADMIN, CMS "?watch=1&resourceVersion=0", NULL);
	fx_watch_expect(&w, "ADDED", "cm-00");
	fx_watch_done(&w);
}

Test(read, a_watch_resumes_after_a_restart_of_the_server)
{
	struct fx_watch w;
	char path[128];
	json_t *l;

	make(2);
	l = fx_expect(&f, 200, "GET", CMS, NULL);
	snprintf(path, sizeof(path), CMS "?watch=1&resourceVersion=%s", api_get_str(l, "metadata.resourceVersion"));
	json_decref(l);
	fx_do(&f, 200, "PATCH", CMS "/cm-00", "{\"data\":{\"a\":\"b\"}}");
	fx_do(&f, 200, "DELETE", CMS "/cm-01", NULL);
	fx_stop(&f);
	fx_start(&f);
	fx_do(&f, 201, "POST", CMS, CM("after", ""));
	fx_watch_start(&f, &w, ADMIN, path, NULL);
	cr_assert(w.status == 200);
	fx_watch_expect(&w, "MODIFIED", "cm-00");
	fx_watch_expect(&w, "DELETED", "cm-01");
	fx_watch_expect(&w, "ADDED", "after");
	fx_watch_done(&w);
}

Test(read, many_watchers_get_the_same)
{
	enum { N = 50 };
	static struct fx_watch w[N];

	for (int i = 0; i < N; i++)
		fx_watch_start(&f, &w[i], i % 2 ? ADMIN : ADMIN2, "/api/v1/configmaps?watch=1&resourceVersion=0", NULL);
	make(3);
	for (int i = 0; i < N; i++) {
		fx_watch_expect(&w[i], "ADDED", "cm-00");
		fx_watch_expect(&w[i], "ADDED", "cm-01");
		fx_watch_expect(&w[i], "ADDED", "cm-02");
		fx_watch_done(&w[i]);
	}
}

/* One watcher stops reading: it is cut off, the others lose nothing and wait for nobody. */
Test(read, a_slow_watcher_is_cut_off_and_holds_nobody)
{
	enum { SIZE = 512 << 10, N = 40 };
	struct fx_watch slow, fast;
	char *body = malloc(SIZE + 256);
	int64_t end = clock_mono_ms() + 30000;

	cr_assert(body);
	fx_watch_start(&f, &slow, ADMIN2, CMS "?watch=1", NULL);
	fx_watch_start(&f, &fast, ADMIN, CMS "?watch=1", NULL);
	http_call_pause(slow.call, true);
	for (int i = 0; i < N; i++) {
		char name[16];
		int n = snprintf(
			body, 256,
			"{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"b-%02d\"},\"data\":{\"a\":\"",
			i);

		memset(body + n, 'x', SIZE);
		strcpy(body + n + SIZE, "\"}}");
		fx_do(&f, 201, "POST", CMS, body);
		snprintf(name, sizeof(name), "b-%02d", i);
		fx_watch_expect(&fast, "ADDED", name);
	}
	cr_assert(!fast.ended);
	http_call_pause(slow.call, false);
	while (!slow.ended) {
		cr_assert(clock_mono_ms() < end, "still there");
		loop_run_once(f.loop, 1000);
	}
	cr_assert(slow.n < N, "%zu", slow.n);
	fx_watch_done(&slow);
	fx_watch_done(&fast);
	free(body);
}

Test(read, tables_and_partial_metadata)
{
	struct answer a;
	struct fx_watch w;
	json_t *ev;

	make(2);
	a = fx_call(
		&f, ADMIN, "GET", CMS "?includeObject=Object", NULL,
		"application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
		NULL);
	cr_assert(a.status == 200);
	cr_assert_str_eq(api_get_str(a.json, "kind"), "Table");
	cr_assert(json_array_size(json_object_get(a.json, "rows")) == 2);
	cr_assert_str_eq(api_get_str(json_array_get(json_object_get(a.json, "rows"), 0), "object.kind"), "ConfigMap");
	cr_assert(api_get_str(a.json, "metadata.resourceVersion") != NULL);
	answer_done(&a);
	a = fx_call(&f, ADMIN, "GET", CMS, NULL, "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
		    NULL);
	cr_assert_str_eq(api_get_str(a.json, "kind"), "PartialObjectMetadataList");
	cr_assert_str_eq(api_get_str(json_array_get(json_object_get(a.json, "items"), 0), "kind"),
			 "PartialObjectMetadata");
	answer_done(&a);
	fx_watch_start(&f, &w, ADMIN, CMS "?watch=1&resourceVersion=0", "application/json;as=Table;v=v1;g=meta.k8s.io");
	ev = fx_watch_expect(&w, "ADDED", NULL);
	cr_assert_str_eq(api_get_str(ev, "object.kind"), "Table");
	cr_assert(json_array_size(api_get(ev, "object.columnDefinitions")) > 0);
	ev = fx_watch_expect(&w, "ADDED", NULL);
	cr_assert(json_array_size(api_get(ev, "object.columnDefinitions")) == 0);
	fx_watch_done(&w);
}

Test(read, discovery_version_and_health)
{
	struct answer a = fx_call(&f, ANONYMOUS, "GET", "/version", NULL, NULL, NULL);

	cr_assert(a.status == 200);
	cr_assert_str_eq(api_get_str(a.json, "minor"), "33");
	answer_done(&a);
	a = fx_call(&f, ANONYMOUS, "GET", "/readyz", NULL, NULL, NULL);
	cr_assert(a.status == 200);
	cr_assert_str_eq(a.text, "ok");
	answer_done(&a);
	a = fx_call(&f, ADMIN, "GET", "/apis", NULL,
		    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json", NULL);
	cr_assert_str_eq(api_get_str(a.json, "kind"), "APIGroupDiscoveryList");
	cr_assert(strstr(a.content_type, "as=APIGroupDiscoveryList"));
	answer_done(&a);
	a = fx_call(&f, ADMIN, "GET", "/apis", NULL, "application/json", NULL);
	cr_assert_str_eq(api_get_str(a.json, "kind"), "APIGroupList");
	answer_done(&a);
	fx_do(&f, 200, "GET", "/api/v1", NULL);
	fx_do(&f, 200, "GET", "/apis/apps/v1", NULL);
	fx_do(&f, 200, "GET", "/apis/apps", NULL);
	fx_do(&f, 404, "GET", "/apis/nope/v1", NULL);
	fx_do(&f, 200, "GET", "/openapi/v3", NULL);
	fx_do(&f, 200, "GET", "/openapi/v3/apis/apps/v1", NULL);
	fx_do(&f, 200, "GET", "/openapi/v2", NULL);
	fx_do(&f, 404, "GET", "/nothing", NULL);
	a = fx_call(&f, ADMIN, "GET", "/metrics", NULL, "*/*", NULL);
	cr_assert(a.status == 200 && strstr(a.text, "apiserver_request_total{"));
	answer_done(&a);
}

Test(read, who_may_what)
{
	struct answer a;

	a = fx_call(&f, ANONYMOUS, "GET", PODS, NULL, NULL, NULL);
	cr_assert(a.status == 401);
	answer_done(&a);
	fx_refused(
		&f, STRANGER, 403, "GET", PODS, NULL,
		"pods is forbidden: User \"stranger\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\"");
	fx_refused(
		&f, STRANGER, 403, "GET", "/apis/apps/v1/deployments", NULL,
		"deployments.apps is forbidden: User \"stranger\" cannot list resource \"deployments\" in API group \"apps\" at the cluster "
		"scope");
	fx_do(&f, 201, "POST", PODS, POD("mine", "\"nodeName\":\"node-1\","));
	fx_do(&f, 201, "POST", PODS, POD("other", "\"nodeName\":\"node-2\","));
	fx_refused(&f, NODE1, 403, "PATCH", PODS "/other/status", "{\"status\":{\"phase\":\"Running\"}}",
		   "with spec.nodeName set to itself");
	fx_refused(&f, NODE1, 403, "DELETE", PODS "/other?gracePeriodSeconds=0", NULL,
		   "can only delete pods with spec.nodeName set to itself");
	fx_refused(&f, NODE1, 403, "PATCH", PODS "/mine", "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}", "cannot patch");
	a = fx_call(&f, NODE1, "PATCH", PODS "/mine/status", "application/merge-patch+json", NULL,
		    "{\"status\":{\"phase\":\"Running\"}}");
	cr_assert(a.status == 200);
	answer_done(&a);
	fx_refused(&f, NODE1, 403, "POST", "/api/v1/nodes",
		   "{\"kind\":\"Node\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"node-2\"}}",
		   "node \"node-1\" is not allowed to modify node \"node-2\"");
	a = fx_call(
		&f, NODE1, "POST", "/api/v1/nodes", "application/json", NULL,
		"{\"kind\":\"Node\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"node-1\"},\"status\":{\"capacity\":{\"cpu\":\"2\"}}}");
	cr_assert(a.status == 201);
	cr_assert_str_eq(api_get_str(a.json, "status.capacity.cpu"), "2");
	answer_done(&a);
	fx_refused(&f, SCHEDULER, 403, "POST", CMS, CM("x", ""), "cannot create resource \"configmaps\"");
	a = fx_call(&f, SCHEDULER, "GET", "/api/v1/nodes", NULL, NULL, NULL);
	cr_assert(a.status == 200);
	answer_done(&a);
}
