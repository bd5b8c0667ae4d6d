/* SPDX-License-Identifier: Apache-2.0 */
/* ResourceQuota in admission: what is refused, what is charged, and that a race for the last of something has one
 * winner. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"

static struct fx f;

static void setup(void)
{
	fx_init(&f);
	fx_start(&f);
}

static void teardown(void)
{
	fx_done(&f);
}

TestSuite(quota, .init = setup, .fini = teardown, .timeout = 180);

#define QUOTAS "/api/v1/namespaces/default/resourcequotas"

/* hard is counted as used by nobody yet, unless used says otherwise. */
static void make_quota(const char *name, const char *hard, const char *used, const char *more)
{
	char body[1000], path[200];

	snprintf(
		body, sizeof(body),
		"{\"apiVersion\":\"v1\",\"kind\":\"ResourceQuota\",\"metadata\":{\"name\":\"%s\"},\"spec\":{\"hard\":{%s}%s}}",
		name, hard, more);
	fx_do(&f, 201, "POST", QUOTAS, body);
	if (!used)
		return;
	snprintf(path, sizeof(path), QUOTAS "/%s/status", name);
	snprintf(body, sizeof(body), "{\"status\":{\"hard\":{%s},\"used\":{%s}}}", hard, used);
	fx_do(&f, 200, "PATCH", path, body);
}

static void cr_used(const char *quota, const char *resource, const char *amount)
{
	char path[200];
	json_t *o;

	snprintf(path, sizeof(path), QUOTAS "/%s", quota);
	o = fx_expect(&f, 200, "GET", path, NULL);
	cr_assert_str_eq(json_string_value(json_object_get(api_get(o, "status.used"), resource)), amount);
	json_decref(o);
}

Test(quota, objects_are_counted_and_the_last_one_refused)
{
	make_quota("q", "\"configmaps\":\"2\",\"count/secrets\":\"1\"", "\"configmaps\":\"0\",\"count/secrets\":\"0\"",
		   "");
	fx_do(&f, 201, "POST", CMS, CM("a", ""));
	fx_do(&f, 201, "POST", CMS "?dryRun=All", CM("dry", ""));
	cr_used("q", "configmaps", "1");
	fx_do(&f, 201, "POST", CMS, CM("b", ""));
	cr_used("q", "configmaps", "2");
	fx_refused(
		&f, ADMIN, 403, "POST", CMS, CM("c", ""),
		"configmaps \"c\" is forbidden: exceeded quota: q, requested: configmaps=1, used: configmaps=2, limited: "
		"configmaps=2");
	fx_refused(&f, ADMIN, 403, "POST", CMS "?dryRun=All", CM("c", ""), "exceeded quota: q");
	fx_do(&f, 200, "PATCH", CMS "/a", "{\"data\":{\"x\":\"y\"}}");			  /* uses no more */
	fx_do(&f, 201, "POST", "/api/v1/namespaces/kube-public/configmaps", CM("c", "")); /* another namespace */
	fx_do(&f, 201, "POST", "/api/v1/namespaces/default/secrets",
	      "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"a\"}}");
	fx_refused(&f, ADMIN, 403, "POST", "/api/v1/namespaces/default/secrets",
		   "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"b\"}}",
		   "requested: count/secrets=1, used: count/secrets=1, limited: count/secrets=1");
}

Test(quota, resources_of_pods)
{
	static const struct {
		const char *resources, *text;
	} cases[] = {
		{ "\"requests\":{\"cpu\":\"600m\",\"memory\":\"10Mi\"}", NULL },
		{ "\"requests\":{\"cpu\":\"600m\",\"memory\":\"2Mi\"}",
		  "exceeded quota: q, requested: cpu=600m, used: cpu=600m, limited: cpu=1" },
		{ "\"requests\":{\"cpu\":\"400m\",\"memory\":\"6Mi\"}", NULL },
		{ "\"requests\":{\"memory\":\"1Mi\"}", "failed quota: q: must specify cpu for: c" },
		{ "", "failed quota: q: must specify cpu for: c; requests.memory for: c" },
	};

	make_quota("q", "\"cpu\":\"1\",\"requests.memory\":\"16Mi\",\"pods\":\"9\"",
		   "\"cpu\":\"0\",\"requests.memory\":\"0\",\"pods\":\"0\"", "");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char body[500];
		json_t *o;

		snprintf(
			body, sizeof(body),
			"{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p%zu\"},\"spec\":{\"containers\":[{"
			"\"name\":\"c\",\"image\":\"i:1\",\"resources\":{%s}}]}}",
			i, cases[i].resources);
		o = fx_expect(&f, cases[i].text ? 403 : 201, "POST", PODS, body);
		if (cases[i].text)
			cr_assert(strstr(api_get_str(o, "message"), cases[i].text), "%zu: %s", i,
				  api_get_str(o, "message"));
		json_decref(o);
	}
	cr_used("q", "cpu", "1");
	cr_used("q", "requests.memory", "16Mi");
	cr_used("q", "pods", "2");
}

Test(quota, scopes_choose_pods)
{
	make_quota("be", "\"pods\":\"0\"", "\"pods\":\"0\"", ",\"scopes\":[\"BestEffort\"]");
	make_quota("high", "\"pods\":\"0\"", "\"pods\":\"0\"",
		   ",\"scopeSelector\":{\"matchExpressions\":[{\"scopeName\":\"PriorityClass\",\"operator\":\"In\","
		   "\"values\":[\"high\"]}]}");
	fx_do(&f, 201, "POST", "/apis/scheduling.k8s.io/v1/priorityclasses",
	      "{\"apiVersion\":\"scheduling.k8s.io/v1\",\"kind\":\"PriorityClass\",\"metadata\":{\"name\":\"high\"},\"value\":"
	      "5}");
	fx_refused(&f, ADMIN, 403, "POST", PODS, POD("a", ""), "exceeded quota: be");
	fx_do(&f, 201, "POST", PODS,
	      "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"b\"},\"spec\":{\"containers\":[{\"name\":\"c\","
	      "\"image\":\"i:1\",\"resources\":{\"requests\":{\"cpu\":\"1\"}}}]}}");
	fx_refused(
		&f, ADMIN, 403, "POST", PODS,
		"{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"c\"},\"spec\":{\"priorityClassName\":"
		"\"high\",\"containers\":[{\"name\":\"c\",\"image\":\"i:1\",\"resources\":{\"requests\":{\"cpu\":\"1\"}}}]}}",
		"exceeded quota: high, requested: pods=1, used: pods=0, limited: pods=0");
}

Test(quota, one_that_is_not_counted_yet)
{
	make_quota("new", "\"configmaps\":\"0\"", NULL, "");
	fx_do(&f, 201, "POST", CMS, CM("a", "")); /* it holds from when its status says so */
	fx_do(&f, 200, "PATCH", QUOTAS "/new/status", "{\"status\":{\"hard\":{\"configmaps\":\"0\"}}}");
	fx_refused(&f, ADMIN, 403, "POST", CMS, CM("b", ""), "status unknown for quota: new, resources: configmaps");
}

struct racer {
	int created, refused, other;
};

static void raced(struct http_call *call, void *arg, const struct http_response *rsp)
{
	struct racer *r = arg;

	(void)call;
	if (rsp->status == 201)
		r->created++;
	else if (rsp->status == 403)
		r->refused++;
	else
		r->other++;
}

Test(quota, a_race_does_not_overrun_it)
{
	enum { N = 40, HARD = 7 };
	int64_t end = clock_mono_ms() + 60000;
	struct racer r = { 0 };
	json_t *list;

	make_quota("q", "\"configmaps\":\"7\"", "\"configmaps\":\"0\"", "");
	for (int i = 0; i < N; i++) {
		char body[200];
		struct http_call_config c = { .method = "POST",
					      .path = CMS,
					      .content_type = "application/json",
					      .body = body,
					      .on_done = raced,
					      .arg = &r };

		snprintf(body, sizeof(body),
			 "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"c%d\"}}", i);
		c.body_len = strlen(body);
		cr_assert(http_call_start(f.clients[ADMIN], &c));
	}
	while (r.created + r.refused + r.other < N) {
		cr_assert(clock_mono_ms() < end);
		loop_run_once(f.loop, 1000);
	}
	cr_assert(r.created == HARD && r.other == 0, "%d created, %d refused, %d other", r.created, r.refused, r.other);
	cr_used("q", "configmaps", "7");
	list = fx_expect(&f, 200, "GET", CMS, NULL);
	cr_assert(json_array_size(json_object_get(list, "items")) == HARD);
	json_decref(list);
}

Test(quota, must_make_sense)
{
	fx_refused(
		&f, ADMIN, 422, "POST", QUOTAS,
		"{\"apiVersion\":\"v1\",\"kind\":\"ResourceQuota\",\"metadata\":{\"name\":\"a\"},\"spec\":{\"hard\":{\"pods\":"
		"\"-1\"}}}",
		"must be greater than or equal to 0");
	fx_refused(
		&f, ADMIN, 422, "POST", QUOTAS,
		"{\"apiVersion\":\"v1\",\"kind\":\"ResourceQuota\",\"metadata\":{\"name\":\"a\"},\"spec\":{\"scopes\":["
		"\"BestEffort\",\"NotBestEffort\"]}}",
		"conflicting scopes");
}
