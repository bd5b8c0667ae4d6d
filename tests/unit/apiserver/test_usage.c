/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.k8s.io: what agents say of usage, as objects; this test plays the agents. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "io/http_server.h"

static struct fx f;
static struct http_server *agent;
static unsigned asked;

#define BASE "/apis/metrics.k8s.io/v1beta1"

static void on_agent(struct http_req *req, void *arg)
{
	/* a: measured; b: cpu not yet known; gone: not in the API (any more) */
	static const char summary[] =
		"{\"node\":{\"nodeName\":\"n\",\"cpu\":{\"usageNanoCores\":1500000000,\"windowNanoSeconds\":2000000000},"
		"\"memory\":{\"workingSetBytes\":1073741824}},\"pods\":["
		"{\"podRef\":{\"name\":\"a\",\"namespace\":\"default\",\"uid\":\"u\"},\"memory\":{\"workingSetBytes\":3145728},"
		"\"containers\":[{\"name\":\"c\",\"cpu\":{\"usageNanoCores\":250000000,\"windowNanoSeconds\":1500000000},"
		"\"memory\":{\"workingSetBytes\":2097152}},{\"name\":\"d\",\"cpu\":{\"usageNanoCores\":0},"
		"\"memory\":{\"workingSetBytes\":1048576}}]},"
		"{\"podRef\":{\"name\":\"b\",\"namespace\":\"default\",\"uid\":\"v\"},\"memory\":{\"workingSetBytes\":1048576},"
		"\"containers\":[{\"name\":\"c\",\"cpu\":{},\"memory\":{\"workingSetBytes\":1048576}}]},"
		"{\"podRef\":{\"name\":\"gone\",\"namespace\":\"default\",\"uid\":\"w\"},\"containers\":[{\"name\":\"c\",\"cpu\":"
		"{\"usageNanoCores\":1},\"memory\":{}}]}]}";

	(void)arg;
	asked++;
	cr_assert_str_eq(http_req_raw_target(req), "/stats/summary");
	http_respond(req, 200, "application/json", summary, strlen(summary));
}

static void node(const char *name, int port)
{
	char body[512];

	snprintf(
		body, sizeof(body),
		"{\"metadata\":{\"name\":\"%s\",\"labels\":{\"node\":\"%s\"}},\"status\":{\"addresses\":[{\"type\":\"InternalIP\","
		"\"address\":\"127.0.0.1\"}],\"daemonEndpoints\":{\"kubeletEndpoint\":{\"Port\":%d}}}}",
		name, name, port);
	fx_do(&f, 201, "POST", "/api/v1/nodes", body);
}

static void setup(void)
{
	struct http_server_config config = { .client_certs = true, .handler = on_agent };
	struct err err = ERR_INIT;
	int port;

	fx_init(&f);
	fx_start(&f);
	config.tls = &f.tls[N_WHO];
	cr_assert(http_server_new(f.loop, &config, &agent, &err) == 0);
	cr_assert(http_server_listen(agent, "127.0.0.1:0", &port, &err) == 0);
	node("n", port);
	node("silent", 1); /* nobody listens there */
	fx_do(&f, 201, "POST", PODS,
	      "{\"metadata\":{\"name\":\"a\",\"labels\":{\"app\":\"x\"}},\"spec\":{\"nodeName\":\"n\",\"containers\":[{\"name\":\"c\","
	      "\"image\":\"i:1\"},{\"name\":\"d\",\"image\":\"i:1\"}]}}");
	fx_do(&f, 201, "POST", PODS, POD("b", "\"nodeName\":\"n\","));
	fx_do(&f, 201, "POST", PODS, POD("far", "\"nodeName\":\"silent\","));
	fx_do(&f, 201, "POST", PODS, POD("unscheduled", ""));
}

static void teardown(void)
{
	http_server_free(agent);
	fx_done(&f);
}

TestSuite(usage, .init = setup, .fini = teardown, .timeout = 180);

static size_t count(const char *path)
{
	json_t *l = fx_expect(&f, 200, "GET", path, NULL);
	size_t n = json_array_size(json_object_get(l, "items"));

	json_decref(l);
	return n;
}

Test(usage, of_a_pod_by_container)
{
	json_t *o = fx_expect(&f, 200, "GET", BASE "/namespaces/default/pods/a", NULL), *c;

	cr_assert_str_eq(api_get_str(o, "kind"), "PodMetrics");
	cr_assert_str_eq(api_get_str(o, "apiVersion"), "metrics.k8s.io/v1beta1");
	cr_assert_str_eq(api_get_str(o, "metadata.namespace"), "default");
	cr_assert_str_eq(api_get_str(o, "metadata.labels.app"), "x");
	cr_assert_str_eq(api_get_str(o, "window"), "1.500s");
	cr_assert(api_get_str(o, "timestamp"));
	cr_assert_eq(json_array_size(json_object_get(o, "containers")), 2);
	c = json_array_get(json_object_get(o, "containers"), 0);
	cr_assert_str_eq(api_get_str(c, "name"), "c");
	cr_assert_str_eq(api_get_str(c, "usage.cpu"), "250000000n");
	cr_assert_str_eq(api_get_str(c, "usage.memory"), "2048Ki");
	json_decref(o);
}

Test(usage, lists_leave_out_what_is_not_known)
{
	json_t *l = fx_expect(&f, 200, "GET", BASE "/pods", NULL);

	/* b has no rate yet, far's node does not answer, gone is not in the API */
	cr_assert_str_eq(api_get_str(l, "kind"), "PodMetricsList");
	cr_assert_eq(json_array_size(json_object_get(l, "items")), 1);
	cr_assert_str_eq(api_get_str(json_array_get(json_object_get(l, "items"), 0), "metadata.name"), "a");
	json_decref(l);
	cr_assert_eq(count(BASE "/namespaces/default/pods?labelSelector=app%3Dx"), 1);
	asked = 0;
	cr_assert_eq(count(BASE "/namespaces/default/pods?labelSelector=app%3Dy"), 0);
	cr_assert_eq(count(BASE "/namespaces/kube-system/pods"), 0);
	cr_assert_eq(asked, 0, "no node runs such pods, so none is asked");
}

Test(usage, of_nodes)
{
	json_t *l = fx_expect(&f, 200, "GET", BASE "/nodes", NULL), *o;

	cr_assert_eq(json_array_size(json_object_get(l, "items")), 1, "the other one does not answer");
	o = json_array_get(json_object_get(l, "items"), 0);
	cr_assert_str_eq(api_get_str(o, "metadata.name"), "n");
	cr_assert_str_eq(api_get_str(o, "usage.cpu"), "1500000000n");
	cr_assert_str_eq(api_get_str(o, "usage.memory"), "1048576Ki");
	cr_assert_str_eq(api_get_str(o, "window"), "2.000s");
	json_decref(l);
	cr_assert_eq(count(BASE "/nodes?labelSelector=node%3Dn"), 1);
	cr_assert_eq(count(BASE "/nodes?labelSelector=node%3Dsilent"), 0);
}

Test(usage, refusals)
{
	fx_refused(&f, ADMIN, 404, "GET", BASE "/namespaces/default/pods/none", NULL,
		   "pods.metrics.k8s.io \"none\" not found");
	fx_refused(&f, ADMIN, 404, "GET", BASE "/namespaces/default/pods/far", NULL,
		   "pods.metrics.k8s.io \"far\" not found");
	fx_do(&f, 405, "DELETE", BASE "/nodes/n", NULL);
	fx_do(&f, 405, "POST", BASE "/namespaces/default/pods", "{}");
	fx_do(&f, 405, "GET", BASE "/nodes?watch=1", NULL);
	fx_refused(&f, STRANGER, 403, "GET", BASE "/nodes", NULL,
		   "cannot list resource \"nodes\" in API group \"metrics.k8s.io\"");
}

static void ignored(struct http_call *call, void *arg, const struct http_response *rsp)
{
	(void)call;
	(void)arg;
	(void)rsp;
}

Test(usage, who_asks_may_go_away)
{
	struct http_call_config c = { .path = BASE "/nodes", .on_done = ignored };
	struct http_call *call = http_call_start(f.clients[ADMIN2], &c);

	cr_assert(call);
	while (!asked)
		loop_run_once(f.loop, 1000);
	http_call_cancel(call);
	cr_assert_eq(count(BASE "/nodes"), 1);
}
