/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the API write of an EndpointSlice to the eBPF map of a node, in a running cluster with many services: the time
 * between sending the request and the first look that finds the new generation in the map. The map is looked at in a
 * loop, so the agent competes with this program for the machine.
 *
 * live_bench --kubeconfig FILE --map PINNED-SERVICES-MAP [--services N] [--changes N] [--json FILE]
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <getopt.h>
#include <jansson.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../headers/abi/svc.h"
#include "api/api.h"
#include "base/clock.h"
#include "client/kube.h"
#include "io/http_client.h"

#define NS   "/api/v1/namespaces/default/services"
#define ES   "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
#define PORT 8099

static struct http_client *http;

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s\n", what, why);
	exit(1);
}

static json_t *call(const char *method, const char *path, const char *type, const char *body, int want)
{
	struct http_call_config c = {
		.method = method, .path = path, .content_type = type, .body = body, .body_len = body ? strlen(body) : 0
	};
	struct err err = ERR_INIT;
	json_t *obj = NULL;
	char *text = NULL;
	size_t len = 0;
	int status = 0;

	if (http_call_sync(http, &c, &status, &text, &len, &err) < 0)
		fail(path, err.msg);
	if (status != want)
		fail(path, text);
	(void)api_json_parse(text, len, &obj, NULL, NULL);
	free(text);
	return obj;
}

/* The service's generation in the map; -1: it is not there. */
static int64_t generation(int map, const char *ip)
{
	struct svc_key key = { 0 };
	struct svc_value value;

	key.vip.w[2] = htonl(0xffff);
	inet_pton(AF_INET, ip, &key.vip.w[3]);
	key.port = htons(PORT);
	key.proto = IPPROTO_TCP;
	return bpf_map_lookup_elem(map, &key, &value) ? -1 : (int64_t)value.generation << 1 | !!value.n_backends;
}

/*
 * Until the service is in the map with backends, and otherwise than before. A map tells nobody of its changes: it is
 * looked at until they are there, and the agent may have this processor in between.
 */
static int64_t await(int map, const char *ip, int64_t before)
{
	uint64_t end = clock_mono_ns() + 60000000000ull;
	int64_t now;

	while ((now = generation(map, ip)) < 0 || !(now & 1) || now == before) {
		if (clock_mono_ns() > end)
			fail(ip, before < 0 ? "is not in the map" : "was not changed in the map");
		sched_yield();
	}
	return now;
}

static int by_value(const void *x, const void *y)
{
	double p = *(const double *)x, q = *(const double *)y;

	return p < q ? -1 : p > q;
}

int main(int argc, char **argv)
{
	static const struct option opts[] = { { "kubeconfig", 1, NULL, 'k' }, { "map", 1, NULL, 'm' },
					      { "services", 1, NULL, 's' },   { "changes", 1, NULL, 'c' },
					      { "json", 1, NULL, 'j' },	      { 0 } };
	const char *kubeconfig = NULL, *pin = NULL, *json = NULL;
	size_t services = 10000, changes = 200;
	struct kubeconfig kc = { 0 };
	struct http_client_config hc;
	struct tls_files tls;
	struct err err = ERR_INIT;
	char path[256], body[1024], ip[64];
	double *ms;
	json_t *obj;
	int c, map;

	while ((c = getopt_long(argc, argv, "", opts, NULL)) != -1) {
		if (c == 'k')
			kubeconfig = optarg;
		else if (c == 'm')
			pin = optarg;
		else if (c == 's')
			services = strtoul(optarg, NULL, 10);
		else if (c == 'c')
			changes = strtoul(optarg, NULL, 10);
		else if (c == 'j')
			json = optarg;
		else
			return 2;
	}
	if (!kubeconfig || !pin)
		fail("live_bench", "--kubeconfig and --map are needed");
	if (kubeconfig_load(kubeconfig, NULL, &kc, &err) < 0)
		fail(kubeconfig, err.msg);
	tls = (struct tls_files){ kc.ca_file, kc.cert_file, kc.key_file };
	hc = (struct http_client_config){ .base_url = kc.server, .tls = &tls, .tls_server_name = kc.tls_server_name };
	if (http_client_new(NULL, &hc, &http, &err) < 0)
		fail(kc.server, err.msg);
	map = bpf_obj_get(pin);
	if (map < 0)
		fail(pin, "no such map");

	for (size_t i = 0; i < services; i++) {
		snprintf(
			body, sizeof(body),
			"{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"live-%zu\"},\"spec\":{\"ports\":[{\"port\":%d}]}}",
			i, PORT);
		json_decref(call("POST", NS, "application/json", body, 201));
		snprintf(
			body, sizeof(body),
			"{\"apiVersion\":\"discovery.k8s.io/v1\",\"kind\":\"EndpointSlice\",\"metadata\":{\"name\":\"live-%zu\","
			"\"labels\":{\"kubernetes.io/service-name\":\"live-%zu\"}},\"addressType\":\"IPv4\",\"ports\":[{\"name\":\"\",\"port\":80}],"
			"\"endpoints\":[{\"addresses\":[\"10.200.%zu.%zu\"]}]}",
			i, i, i / 250 % 250, i % 250 + 1);
		json_decref(call("POST", ES, "application/json", body, 201));
	}
	ms = calloc(changes + 1, sizeof(*ms));
	for (size_t i = 0; i < changes; i++) {
		size_t victim = services ? i * 7919 % services : 0;
		int64_t before;
		uint64_t t0;

		snprintf(path, sizeof(path), NS "/live-%zu", victim);
		obj = call("GET", path, NULL, NULL, 200);
		snprintf(ip, sizeof(ip), "%s", api_get_str(obj, "spec.clusterIP"));
		json_decref(obj);
		before = await(map, ip, -1);
		snprintf(path, sizeof(path), ES "/live-%zu", victim);
		snprintf(body, sizeof(body), "{\"endpoints\":[{\"addresses\":[\"10.201.%zu.%zu\"]}]}", i / 250,
			 i % 250 + 1);
		t0 = clock_mono_ns();
		json_decref(call("PATCH", path, "application/merge-patch+json", body, 200));
		await(map, ip, before);
		ms[i] = (double)(clock_mono_ns() - t0) / 1e6;
	}
	qsort(ms, changes, sizeof(*ms), by_value);
	printf("API write to map live, %zu services, %zu changes: p50 %.2f ms, p99 %.2f ms, most %.2f ms\n", services,
	       changes, ms[changes / 2], ms[changes * 99 / 100], ms[changes - 1]);
	if (json) {
		obj = json_pack("{s:I,s:f,s:f,s:f}", "services", (json_int_t)services, "p50_ms", ms[changes / 2],
				"p99_ms", ms[changes * 99 / 100], "most_ms", ms[changes - 1]);
		json_dump_file(obj, json, 0);
		json_decref(obj);
	}
	free(ms);
	http_client_free(http);
	kubeconfig_done(&kc);
	return 0;
}
