/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the API write of an EndpointSlice to the eBPF map of a node, in a running cluster with many services: the time
 * between sending the request and the first look that finds the new generation in the map. First one change at a time,
 * then as many a second as are asked for, each of another service. The map is looked at in a loop, so the agent
 * competes with this program for the machine. And what so many services take: the node's maps, and its agent if that is
 * named.
 *
 * live_bench --kubeconfig FILE --map PINNED-SERVICES-MAP [--services N,N..] [--changes N] [--rate N] [--agent PID]
 *            [--json FILE]
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <getopt.h>
#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../headers/abi/svc.h"
#include "api/api.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "client/kube.h"
#include "io/http_client.h"

#define NS   "/api/v1/namespaces/default/services"
#define ES   "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
#define PORT 8099

#define RATE_MS 5000 /* how long changes are made at a rate */

static struct http_client *http;
static const char *pin;
static int map;
static char (*ips)[16]; /* of the services */
static size_t have;

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
static int64_t generation(const char *ip)
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
static int64_t await(const char *ip, int64_t before)
{
	uint64_t end = clock_mono_ns() + 60000000000ull;
	int64_t now;

	while ((now = generation(ip)) < 0 || !(now & 1) || now == before) {
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

static void add_service(void)
{
	char body[1024];
	json_t *obj;

	snprintf(
		body, sizeof(body),
		"{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"live-%zu\"},\"spec\":{\"ports\":[{\"port\":%d}]}}",
		have, PORT);
	obj = call("POST", NS, "application/json", body, 201);
	snprintf(ips[have], sizeof(ips[have]), "%s", api_get_str(obj, "spec.clusterIP"));
	json_decref(obj);
	snprintf(
		body, sizeof(body),
		"{\"apiVersion\":\"discovery.k8s.io/v1\",\"kind\":\"EndpointSlice\",\"metadata\":{\"name\":\"live-%zu\","
		"\"labels\":{\"kubernetes.io/service-name\":\"live-%zu\"}},\"addressType\":\"IPv4\",\"ports\":[{\"name\":\"\",\"port\":80}],"
		"\"endpoints\":[{\"addresses\":[\"10.200.%zu.%zu\"]}]}",
		have, have, have / 250 % 250, have % 250 + 1);
	json_decref(call("POST", ES, "application/json", body, 201));
	have++;
}

/* Another address than before, whatever the number of changes. */
static void change(size_t victim)
{
	static size_t changes;
	char path[256], body[256];

	snprintf(path, sizeof(path), ES "/live-%zu", victim);
	snprintf(body, sizeof(body), "{\"endpoints\":[{\"addresses\":[\"10.%zu.%zu.%zu\"]}]}",
		 201 + changes / 62500 % 50, changes / 250 % 250, changes % 250 + 1);
	changes++;
	json_decref(call("PATCH", path, "application/merge-patch+json", body, 200));
}

static void one_at_a_time(double *ms, size_t changes)
{
	for (size_t i = 0; i < changes; i++) {
		size_t victim = i * 7919 % have;
		int64_t before = await(ips[victim], -1);
		uint64_t t0 = clock_mono_ns();

		change(victim);
		await(ips[victim], before);
		ms[i] = (double)(clock_mono_ns() - t0) / 1e6;
	}
}

struct open_change {
	const char *ip;
	int64_t before;
	uint64_t t0;
};

static size_t look(struct open_change *open, size_t n, double *ms, size_t *n_ms)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t now = clock_mono_ns();

		if (generation(open[i].ip) == open[i].before) {
			if (now - open[i].t0 > 60000000000ull)
				fail(open[i].ip, "was not changed in the map");
			open[kept++] = open[i];
			continue;
		}
		ms[(*n_ms)++] = (double)(now - open[i].t0) / 1e6;
	}
	return kept;
}

static bool is_open(const struct open_change *open, size_t n, const char *ip)
{
	for (size_t i = 0; i < n; i++)
		if (open[i].ip == ip)
			return true;
	return false;
}

/* Returns how many a second it became; a service changes again only when it has changed. */
static double at_rate(double *ms, size_t rate, size_t *n_ms)
{
	size_t most = rate * RATE_MS / 1000, n = 0, sent = 0;
	struct open_change *open = calloc(most + 1, sizeof(*open));
	uint64_t start = clock_mono_ns(), end;

	*n_ms = 0;
	while (sent < most) {
		if (clock_mono_ns() - start >= sent * 1000000000ull / rate && !is_open(open, n, ips[sent % have])) {
			const char *ip = ips[sent % have];

			open[n++] = (struct open_change){ ip, generation(ip), clock_mono_ns() };
			change(sent++ % have);
		}
		n = look(open, n, ms, n_ms);
		sched_yield();
	}
	end = clock_mono_ns();
	while (n) {
		n = look(open, n, ms, n_ms);
		sched_yield();
	}
	free(open);
	return (double)most * 1e9 / (double)(end - start);
}

static json_int_t number_in(const char *path, const char *name)
{
	FILE *f = fopen(path, "re");
	long long v = 0;
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)))
			sscanf(line + strlen(name), "%lld", &v);
	if (f)
		fclose(f);
	return v;
}

/* What the kernel says a map takes, in bytes; name NULL: all maps of the node. */
static json_int_t map_memory(const char *name)
{
	cleanup(free) char *dir = strdup(pin);
	char path[512];
	json_int_t sum = 0;
	struct dirent *e;
	DIR *d;

	*strrchr(dir, '/') = '\0';
	d = opendir(dir);
	while (d && (e = readdir(d))) {
		int fd;

		if (e->d_name[0] == '.' || (name && strcmp(e->d_name, name) != 0))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		fd = bpf_obj_get(path);
		if (fd < 0)
			continue;
		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
		sum += number_in(path, "memlock:");
		close(fd);
	}
	if (d)
		closedir(d);
	return sum;
}

static json_t *memory(size_t services, long agent)
{
	json_int_t rss = 0, svc = map_memory("services"), backends = map_memory("backends"), all = map_memory(NULL);
	char path[64];

	if (agent) {
		snprintf(path, sizeof(path), "/proc/%ld/smaps_rollup", agent);
		rss = number_in(path, "Rss:");
	}
	printf("%zu services: maps services %lld KB, backends %lld KB, all maps %lld KB; agent RSS %lld KB\n", services,
	       (long long)svc / 1024, (long long)backends / 1024, (long long)all / 1024, (long long)rss);
	return json_pack("{s:I,s:I,s:I,s:I}", "map_services_bytes", svc, "map_backends_bytes", backends, "maps_bytes",
			 all, "agent_rss_kb", rss);
}

static json_t *quantiles(const char *what, double *ms, size_t n)
{
	qsort(ms, n, sizeof(*ms), by_value);
	printf("API write to map live, %zu services, %s: p50 %.2f ms, p99 %.2f ms, most %.2f ms\n", have, what,
	       ms[n / 2], ms[n * 99 / 100], ms[n - 1]);
	return json_pack("{s:f,s:f,s:f}", "p50_ms", ms[n / 2], "p99_ms", ms[n * 99 / 100], "most_ms", ms[n - 1]);
}

static json_t *measure(size_t services, size_t changes, size_t rate, long agent)
{
	double *ms = calloc(changes + rate * RATE_MS / 1000 + 1, sizeof(*ms)), got;
	json_t *one, *many, *mem;
	char what[64];
	size_t n;

	ips = realloc(ips, (services + 1) * sizeof(*ips));
	while (have < services)
		add_service();
	for (size_t i = 0; i < have; i++)
		await(ips[i], -1);
	one_at_a_time(ms, changes);
	one = quantiles("one at a time", ms, changes);
	got = at_rate(ms, rate, &n);
	snprintf(what, sizeof(what), "%.0f a second", got);
	many = quantiles(what, ms, n);
	json_object_set_new(many, "per_second", json_real(got));
	mem = memory(services, agent);
	free(ms);
	return json_pack("{s:I,s:o,s:o,s:o}", "services", (json_int_t)services, "one_at_a_time", one, "at_rate", many,
			 "memory", mem);
}

int main(int argc, char **argv)
{
	static const struct option opts[] = { { "kubeconfig", 1, NULL, 'k' }, { "map", 1, NULL, 'm' },
					      { "services", 1, NULL, 's' },   { "changes", 1, NULL, 'c' },
					      { "rate", 1, NULL, 'r' },	      { "agent", 1, NULL, 'a' },
					      { "json", 1, NULL, 'j' },	      { 0 } };
	const char *kubeconfig = NULL, *json = NULL, *services = "10,10000";
	size_t changes = 200, rate = 1000;
	struct kubeconfig kc = { 0 };
	struct http_client_config hc;
	json_t *all = json_array();
	struct tls_files tls;
	struct err err = ERR_INIT;
	long agent = 0;
	char *next;
	int c;

	while ((c = getopt_long(argc, argv, "", opts, NULL)) != -1) {
		if (c == 'k')
			kubeconfig = optarg;
		else if (c == 'm')
			pin = optarg;
		else if (c == 's')
			services = optarg;
		else if (c == 'c')
			changes = strtoul(optarg, NULL, 10);
		else if (c == 'r')
			rate = strtoul(optarg, NULL, 10);
		else if (c == 'a')
			agent = strtol(optarg, NULL, 10);
		else if (c == 'j')
			json = optarg;
		else
			return 2;
	}
	if (!kubeconfig || !pin || !strchr(pin, '/') || !changes || !rate)
		fail("live_bench", "--kubeconfig and --map are needed, and --changes and --rate above 0");
	if (kubeconfig_load(kubeconfig, NULL, &kc, &err) < 0)
		fail(kubeconfig, err.msg);
	tls = (struct tls_files){ kc.ca_file, kc.cert_file, kc.key_file };
	hc = (struct http_client_config){ .base_url = kc.server, .tls = &tls, .tls_server_name = kc.tls_server_name };
	if (http_client_new(NULL, &hc, &http, &err) < 0)
		fail(kc.server, err.msg);
	map = bpf_obj_get(pin);
	if (map < 0)
		fail(pin, "no such map");
	do {
		size_t n = strtoul(services, &next, 10);

		if (!n)
			fail(services, "expected numbers of services, with a comma between");
		json_array_append_new(all, measure(n, changes, rate, agent));
		services = next + 1;
	} while (*next == ',');
	if (json)
		json_dump_file(all, json, JSON_INDENT(1));
	json_decref(all);
	free(ips);
	http_client_free(http);
	kubeconfig_done(&kc);
	return 0;
}
