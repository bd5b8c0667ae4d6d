/* SPDX-License-Identifier: Apache-2.0 */
/* Priority levels and fair queueing over HTTPS: who is held up by whom, who is refused, and how a client sees it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "fixture.h"

#define FLOW	"/apis/flowcontrol.apiserver.k8s.io/v1"
#define LEASE	"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
#define N_FLOOD 300

struct one {
	struct http_call *call;
	int status;
	char retry_after[8], schema[64], level[64], text[400];
	bool done;
};

static void on_one_done(struct http_call *call, void *arg, const struct http_response *rsp)
{
	struct one *o = arg;

	(void)call;
	o->done = true;
	o->call = NULL;
	o->status = rsp->status;
	snprintf(o->text, sizeof(o->text), "%s", rsp->status ? rsp->body : rsp->error);
}

static void on_one_header(struct http_call *call, void *arg, const char *name, const char *value)
{
	struct one *o = arg;

	(void)call;
	if (!strcasecmp(name, "retry-after"))
		snprintf(o->retry_after, sizeof(o->retry_after), "%s", value);
	if (!strcasecmp(name, "x-kubernetes-pf-flowschema-uid"))
		snprintf(o->schema, sizeof(o->schema), "%s", value);
	if (!strcasecmp(name, "x-kubernetes-pf-prioritylevel-uid"))
		snprintf(o->level, sizeof(o->level), "%s", value);
}

static void send_one(struct fx *f, struct one *o, enum who who, const char *method, const char *path, const char *body)
{
	struct http_call_config c = { .method = method,
				      .path = path,
				      .content_type = !body		       ? NULL
						      : streq(method, "PATCH") ? "application/merge-patch+json"
									       : "application/json",
				      .body = body,
				      .body_len = body ? strlen(body) : 0,
				      .on_done = on_one_done,
				      .on_header = on_one_header,
				      .arg = o };

	memset(o, 0, sizeof(*o));
	o->call = http_call_start(f->clients[who], &c);
	cr_assert(o->call);
}

static void wait_one(struct fx *f, struct one *o)
{
	int64_t end = clock_mono_ms() + 60000;

	while (!o->done) {
		cr_assert(clock_mono_ms() < end, "no answer");
		loop_run_once(f->loop, 1000);
	}
}

Test(flowcontrol, every_cluster_has_kubernetes_levels_and_schemas)
{
	static const char *const levels[] = { "exempt",		 "catch-all",	  "system",	  "node-high",
					      "leader-election", "workload-high", "workload-low", "global-default" };
	struct fx f;
	struct one o;
	char path[200];
	json_t *v;

	fx_init(&f);
	fx_start(&f);
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		snprintf(path, sizeof(path), FLOW "/prioritylevelconfigurations/%s", levels[i]);
		fx_do(&f, 200, "GET", path, NULL);
	}
	v = fx_expect(&f, 200, "GET", FLOW "/flowschemas", NULL);
	cr_assert(json_array_size(json_object_get(v, "items")) == 13);
	json_decref(v);
	v = fx_expect(&f, 200, "GET", FLOW "/flowschemas/kube-scheduler", NULL);
	cr_assert(api_get_int(v, "spec.matchingPrecedence", 0) == 800);
	send_one(&f, &o, SCHEDULER, "GET", "/api/v1/pods", NULL);
	wait_one(&f, &o);
	cr_assert(o.status == 200);
	cr_assert_str_eq(o.schema, api_get_str(v, "metadata.uid"));
	json_decref(v);
	v = fx_expect(&f, 200, "GET", FLOW "/prioritylevelconfigurations/workload-high", NULL);
	cr_assert_str_eq(o.level, api_get_str(v, "metadata.uid"));
	json_decref(v);
	/* a node's lease goes its own way */
	v = fx_expect(&f, 200, "GET", FLOW "/flowschemas/system-node-high", NULL);
	send_one(&f, &o, NODE1, "GET", LEASE "/node-1", NULL);
	wait_one(&f, &o);
	cr_assert_str_eq(o.schema, api_get_str(v, "metadata.uid"));
	json_decref(v);
	fx_done(&f);
}

#define LEVEL(name, limited)                                                                                           \
	"{\"apiVersion\":\"flowcontrol.apiserver.k8s.io/v1\",\"kind\":\"PriorityLevelConfiguration\",\"metadata\":"    \
	"{\"name\":\"" name "\"},\"spec\":{\"type\":\"Limited\",\"limited\":{" limited "}}}"
#define SCHEMA(name, level, rules)                                                                                     \
	"{\"apiVersion\":\"flowcontrol.apiserver.k8s.io/v1\",\"kind\":\"FlowSchema\",\"metadata\":{\"name\":\"" name   \
	"\"},\"spec\":{\"matchingPrecedence\":50,\"priorityLevelConfiguration\":{\"name\":\"" level                    \
	"\"},\"distinguisherMethod\":{\"type\":\"ByUser\"},\"rules\":[" rules "]}}"
#define LISTS_OF(user)                                                                                                 \
	"{\"subjects\":[{\"kind\":\"User\",\"user\":{\"name\":\"" user "\"}}],\"resourceRules\":[{\"verbs\":"          \
	"[\"list\"],\"apiGroups\":[\"\"],\"resources\":[\"pods\"],\"clusterScope\":true,\"namespaces\":[\"*\"]}]}"

Test(flowcontrol, what_contradicts_itself_is_refused)
{
	struct fx f;

	fx_init(&f);
	fx_start(&f);
	fx_refused(&f, ADMIN, 422, "POST", FLOW "/prioritylevelconfigurations",
		   LEVEL("l", "\"limitResponse\":{\"type\":\"Queue\",\"queuing\":{\"queues\":4,\"handSize\":5}}"),
		   "spec.limited.limitResponse.queuing.handSize");
	fx_refused(&f, ADMIN, 422, "POST", FLOW "/prioritylevelconfigurations",
		   LEVEL("l", "\"limitResponse\":{\"type\":\"Queue\"}"), "spec.limited.limitResponse.queuing");
	fx_refused(&f, ADMIN, 422, "POST", FLOW "/prioritylevelconfigurations",
		   LEVEL("l", "\"lendablePercent\":101,\"limitResponse\":{\"type\":\"Reject\"}"), "lendablePercent");
	fx_refused(&f, ADMIN, 422, "POST", FLOW "/prioritylevelconfigurations",
		   LEVEL("exempt2", "\"limitResponse\":{\"type\":\"Reject\"}},\"exempt\":{\"lendablePercent\":1"),
		   "spec.exempt");
	fx_refused(&f, ADMIN, 422, "POST", FLOW "/flowschemas",
		   SCHEMA("s", "l",
			  "{\"subjects\":[{\"kind\":\"User\",\"group\":{\"name\":\"g\"}}],\"nonResourceRules\":"
			  "[{\"verbs\":[\"*\"],\"nonResourceURLs\":[\"*\"]}]}"),
		   "spec.rules[0].subjects[0].user");
	fx_refused(&f, ADMIN, 422, "POST", FLOW "/flowschemas",
		   SCHEMA("s", "l",
			  "{\"subjects\":[{\"kind\":\"User\",\"user\":{\"name\":\"u\"}}],\"nonResourceRules\":"
			  "[{\"verbs\":[\"*\",\"get\"],\"nonResourceURLs\":[\"/a*\"]}]}"),
		   "spec.rules[0].nonResourceRules[0].nonResourceURLs[0]");
	fx_done(&f);
}

Test(flowcontrol, a_schema_without_its_level_says_so_and_is_ignored)
{
	struct fx f;
	struct fx_watch w;
	struct one o;
	json_t *ev;

	fx_init(&f);
	fx_start(&f);
	fx_do(&f, 201, "POST", FLOW "/flowschemas", SCHEMA("s", "nowhere", LISTS_OF("system:kube-scheduler")));
	fx_watch_start(&f, &w, ADMIN, FLOW "/flowschemas?watch=1&fieldSelector=metadata.name%3Ds", NULL);
	do
		ev = fx_watch_next(&w);
	while (!api_get(ev, "object.status.conditions"));
	cr_assert_str_eq(api_get_str(json_array_get(api_get(ev, "object.status.conditions"), 0), "status"), "True");
	send_one(&f, &o, SCHEDULER, "GET", "/api/v1/pods", NULL);
	wait_one(&f, &o);
	cr_assert(o.status == 200);
	fx_do(&f, 201, "POST", FLOW "/prioritylevelconfigurations",
	      LEVEL("nowhere", "\"limitResponse\":{\"type\":\"Reject\"}"));
	send_one(&f, &o, SCHEDULER, "GET", "/api/v1/pods", NULL); /* a request makes it look again */
	wait_one(&f, &o);
	cr_assert_str_eq(o.schema, api_get_str(ev, "object.metadata.uid"));
	ev = fx_watch_next(&w);
	cr_assert_str_eq(api_get_str(json_array_get(api_get(ev, "object.status.conditions"), 0), "status"), "False");
	fx_watch_done(&w);
	fx_done(&f);
}

static void expect_come(struct fx *f, struct fx_watch *w, const char *type, const char *path, const char *member,
			int64_t value)
{
	json_t *ev;

	fx_do(f, 200, "GET", "/api/v1/pods", NULL); /* a request makes it look again */
	do
		ev = fx_watch_next(w);
	while (!streq(api_get_str(ev, "type"), type) || api_get_int(ev, path, -1) != value);
	cr_assert_str_eq(api_get_str(ev, "object.metadata.name"), member);
}

Test(flowcontrol, defaults_come_back_and_mandatory_ones_stay_as_they_are)
{
	struct fx f;
	struct fx_watch w;
	json_t *probes;

	fx_init(&f);
	fx_start(&f);
	fx_watch_start(&f, &w, ADMIN, FLOW "/flowschemas?watch=1&resourceVersion=0", NULL);
	fx_do(&f, 200, "DELETE", FLOW "/flowschemas/catch-all", NULL);
	expect_come(&f, &w, "ADDED", "object.metadata.generation", "catch-all", 1);
	fx_do(&f, 200, "DELETE", FLOW "/flowschemas/probes", NULL);
	expect_come(&f, &w, "ADDED", "object.spec.matchingPrecedence", "probes", 2);
	fx_do(&f, 200, "PATCH", FLOW "/flowschemas/exempt", "{\"spec\":{\"matchingPrecedence\":7777}}");
	expect_come(&f, &w, "MODIFIED", "object.spec.matchingPrecedence", "exempt", 1);
	/* a suggested one is the cluster's */
	fx_do(&f, 200, "PATCH", FLOW "/flowschemas/probes", "{\"spec\":{\"matchingPrecedence\":3}}");
	fx_do(&f, 200, "GET", "/api/v1/pods", NULL);
	fx_do(&f, 200, "DELETE", FLOW "/flowschemas/catch-all", NULL);
	expect_come(&f, &w, "ADDED", "object.spec.matchingPrecedence", "catch-all", 10000);
	probes = fx_expect(&f, 200, "GET", FLOW "/flowschemas/probes", NULL);
	cr_assert_eq(api_get_int(probes, "spec.matchingPrecedence", -1), 3);
	json_decref(probes);
	fx_watch_done(&w);
	fx_done(&f);
}

Test(flowcontrol, full_queues_and_long_waits_get_429)
{
	struct fx f;
	struct one waits, full, other;

	fx_init(&f);
	f.config.request_timeout_s = 2;
	fx_start(&f);
	/* no shares: nothing ever runs */
	fx_do(&f, 201, "POST", FLOW "/prioritylevelconfigurations",
	      LEVEL("jail", "\"nominalConcurrencyShares\":0,\"limitResponse\":{\"type\":\"Queue\",\"queuing\":"
			    "{\"queues\":1,\"handSize\":1,\"queueLengthLimit\":1}}"));
	fx_do(&f, 201, "POST", FLOW "/flowschemas", SCHEMA("jail", "jail", LISTS_OF("system:kube-scheduler")));
	send_one(&f, &waits, SCHEDULER, "GET", "/api/v1/pods", NULL);
	send_one(&f, &full, SCHEDULER, "GET", "/api/v1/pods", NULL);
	wait_one(&f, &full);
	cr_assert(full.status == 429 && !waits.done, "%d %s", full.status, full.text);
	cr_assert_str_eq(full.retry_after, "1");
	cr_assert(strstr(full.text, "\"TooManyRequests\""), "%s", full.text);
	send_one(&f, &other, SCHEDULER, "GET", "/api/v1/nodes", NULL); /* another schema */
	wait_one(&f, &other);
	cr_assert(other.status == 200 && !waits.done);
	wait_one(&f, &waits);
	cr_assert(waits.status == 429);
	cr_assert_str_eq(waits.retry_after, "1");
	/* a client that goes away leaves its place */
	send_one(&f, &waits, SCHEDULER, "GET", "/api/v1/pods", NULL);
	send_one(&f, &full, SCHEDULER, "GET", "/api/v1/pods", NULL);
	wait_one(&f, &full);
	cr_assert(full.status == 429 && !waits.done);
	http_call_cancel(waits.call);
	do { /* the cancellation and the next request travel on one connection, in order */
		send_one(&f, &waits, SCHEDULER, "GET", "/api/v1/pods", NULL);
		send_one(&f, &other, SCHEDULER, "GET", "/api/v1/nodes", NULL);
		wait_one(&f, &other);
	} while (waits.done);
	fx_do(&f, 200, "PATCH", FLOW "/prioritylevelconfigurations/jail",
	      "{\"spec\":{\"limited\":{\"nominalConcurrencyShares\":5}}}");
	send_one(&f, &other, SCHEDULER, "GET", "/api/v1/nodes", NULL);
	wait_one(&f, &other);
	wait_one(&f, &waits);
	cr_assert(waits.status == 200, "released: %d", waits.status);
	fx_done(&f);
}

static int flood_answers;
static bool flooding;
static struct fx *flood_fx;
static void flood(void *arg);

static void on_flood_done(struct http_call *call, void *arg, const struct http_response *rsp)
{
	(void)call;
	(void)arg;
	cr_assert(rsp->status == 200 || rsp->status == 429 || !flooding, "%d %s", rsp->status, rsp->error);
	flood_answers++;
	if (flooding)
		flood(NULL);
}

/* A list that costs: all pods, as a client in a loop would ask for them. */
static void flood(void *arg)
{
	struct http_call_config c = { .method = "GET",
				      .path = "/api/v1/pods?labelSelector=a%21%3Db",
				      .on_done = on_flood_done };

	(void)arg;
	cr_assert(http_call_start(flood_fx->clients[SCHEDULER], &c));
}

static int by_value(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/*
 * 300 requests of one client are outstanding all the time. In order of arrival a heartbeat would wait for all of
 * them; here it passes them.
 */
Test(flowcontrol, a_client_in_a_loop_does_not_hold_up_heartbeats)
{
	struct fx f;
	struct one o;
	char body[400];
	int passed[20];

	fx_init(&f);
	fx_start(&f);
	for (int i = 0; i < 200; i++) {
		snprintf(body, sizeof(body), POD("p%d", ""), i);
		fx_do(&f, 201, "POST", PODS, body);
	}
	send_one(&f, &o, NODE1, "POST", LEASE,
		 "{\"apiVersion\":\"coordination.k8s.io/v1\",\"kind\":\"Lease\",\"metadata\":{\"name\":\"node-1\"}}");
	wait_one(&f, &o);
	cr_assert(o.status == 201, "%s", o.text);
	flood_fx = &f;
	flooding = true;
	for (int i = 0; i < N_FLOOD; i++)
		flood(NULL);
	while (flood_answers < N_FLOOD)
		loop_run_once(f.loop, 1000);
	for (int i = 0; i < 20; i++) {
		int before;

		snprintf(body, sizeof(body),
			 "{\"apiVersion\":\"coordination.k8s.io/v1\",\"kind\":\"Lease\",\"metadata\":{\"name\":"
			 "\"node-1\"},\"spec\":{\"leaseTransitions\":%d}}",
			 i);
		send_one(&f, &o, NODE1, "PATCH", LEASE "/node-1", body);
		wait_one(&f, &o);
		cr_assert(o.status == 200, "%d %s", o.status, o.text);
		/* A write waits for the disk, while lists go on; a read tells how many went before it. */
		before = flood_answers;
		send_one(&f, &o, NODE1, "GET", LEASE "/node-1", NULL);
		wait_one(&f, &o);
		cr_assert(o.status == 200, "%d %s", o.status, o.text);
		passed[i] = flood_answers - before;
	}
	flooding = false;
	qsort(passed, 20, sizeof(passed[0]), by_value);
	cr_log_info("lists answered during one heartbeat: median %d, most %d of %d waiting\n", passed[10], passed[19],
		    N_FLOOD);
	cr_assert(passed[10] < N_FLOOD / 4, "median %d, most %d", passed[10], passed[19]);
	cr_assert(passed[19] < N_FLOOD, "most %d", passed[19]);
	fx_done(&f);
}

Test(flowcontrol, metrics_tell)
{
	struct fx f;
	struct answer a;

	fx_init(&f);
	fx_start(&f);
	fx_do(&f, 200, "GET", "/api/v1/pods", NULL);
	a = fx_call(&f, ADMIN, "GET", "/metrics", NULL, NULL, NULL);
	cr_assert(strstr(a.text, "apiserver_flowcontrol_dispatched_requests_total{flow_schema=\"exempt\","
				 "priority_level=\"exempt\"}"));
	cr_assert(strstr(a.text, "apiserver_flowcontrol_nominal_limit_seats{priority_level=\"node-high\"} 98"), "%s",
		  strstr(a.text, "apiserver_flowcontrol_nominal"));
	answer_done(&a);
	fx_done(&f);
}

/* The node's agent takes the connection and never says a word. */
Test(flowcontrol, requests_that_take_too_long_get_504)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char body[400];
	struct fx f;
	struct one o;

	cr_assert(fd >= 0 && bind(fd, (struct sockaddr *)&sin, sizeof(sin)) == 0 && listen(fd, 16) == 0);
	cr_assert(getsockname(fd, (struct sockaddr *)&sin, &len) == 0);
	fx_init(&f);
	f.config.request_timeout_s = 1;
	fx_start(&f);
	snprintf(body, sizeof(body),
		 "{\"kind\":\"Node\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"n\"},\"status\":{\"addresses\":"
		 "[{\"type\":\"InternalIP\",\"address\":\"127.0.0.1\"}],\"daemonEndpoints\":{\"kubeletEndpoint\":"
		 "{\"Port\":%d}}}}",
		 ntohs(sin.sin_port));
	fx_do(&f, 201, "POST", "/api/v1/nodes", body);
	fx_do(&f, 201, "POST", PODS, POD("p", "\"nodeName\":\"n\","));
	send_one(&f, &o, ADMIN, "GET", PODS "/p/log", NULL);
	wait_one(&f, &o);
	cr_assert(o.status == 504 && strstr(o.text, "\"Timeout\""), "%d %s", o.status, o.text);
	fx_do(&f, 200, "GET", PODS, NULL);
	close(fd);
	fx_done(&f);
}
