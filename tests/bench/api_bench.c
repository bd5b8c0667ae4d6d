/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API server as its clients see it: GET, LIST of 500 pods, CREATE and PATCH over TLS by 1, 16 and 64 clients on
 * both stores; 10,000 watchers; 100,000 pods stored. The server is a process of its own on loopback; the clients share
 * the machine with it, so its own CPU per request is printed beside the rate.
 *
 * api_bench [--json FILE] [--pods N] [--watchers N] [--seconds S] [--store embedded|etcd]
 */
#include <getopt.h>
#include <jansson.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "lib/bench.h"

#define STREAMS	    100	   /* watches on one connection */
#define MAX_SAMPLES 400000 /* latencies kept per measurement */

static struct {
	char dir[64], bin[PATH_MAX];
	struct target target;
	pid_t owner, server, etcd;
	int etcd_port;
	json_t *out;
	double seconds;
	size_t pods, watchers;
} b = { .seconds = 2, .pods = 100000, .watchers = 10000 };

static void cleanup_all(void)
{
	if (getpid() != b.owner)
		return;
	stop(&b.server);
	stop(&b.etcd);
	if (b.dir[0])
		dir_remove(b.dir, NULL);
}

static void on_signal(int sig)
{
	(void)sig;
	exit(1);
}

/* --- the server -----------------------------------------------------------------------------------------------------
 */

static void wait_ready(void)
{
	int64_t end = clock_mono_ms() + 120000;
	struct client *c = calloc(1, sizeof(*c));

	for (;;) {
		if (client_open(c, &b.target)) {
			int status = request(c, "GET", "/readyz", NULL, NULL);

			client_close(c);
			if (status == 200)
				break;
		}
		if (clock_mono_ms() > end || waitpid(b.server, NULL, WNOHANG) == b.server)
			fail("the API server does not start; its log is %s/log", b.dir);
		poll(NULL, 0, 20);
	}
	free(c);
}

static void server_start(const char *store)
{
	char listen[64], program[PATH_MAX + 32], log[96];

	b.target.port = free_port();
	snprintf(listen, sizeof(listen), "127.0.0.1:%d", b.target.port);
	snprintf(program, sizeof(program), "%s/skep-apiserver", b.bin);
	snprintf(log, sizeof(log), "%s/log", b.dir);
	b.server = spawn(log, (char *[]){ program, "--store", (char *)store, "--listen", listen, "--tls-cert",
					  b.target.crt, "--tls-key", b.target.key, "--client-ca", b.target.ca, NULL });
	wait_ready();
}

static bool etcd_start(char *store, size_t size)
{
	char dir[96], client[64], peer[64], cluster[80], log[96];

	if (system("command -v etcd >/dev/null 2>&1") != 0)
		return false;
	b.etcd_port = free_port();
	snprintf(dir, sizeof(dir), "%s/etcd", b.dir);
	snprintf(log, sizeof(log), "%s/etcd.log", b.dir);
	snprintf(client, sizeof(client), "http://127.0.0.1:%d", b.etcd_port);
	snprintf(peer, sizeof(peer), "http://127.0.0.1:%d", free_port());
	snprintf(cluster, sizeof(cluster), "bench=%s", peer);
	b.etcd = spawn(log,
		       (char *[]){ "etcd", "--data-dir", dir, "--listen-client-urls", client, "--advertise-client-urls",
				   client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--name",
				   "bench", "--initial-cluster", cluster, NULL });
	snprintf(store, size, "etcd:%s", client);
	return true;
}

/* --- load ------------------------------------------------------------------------------------------------------------
 */

#define POD                                                                                                                        \
	"{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"%s\",\"labels\":{\"app\":\"bench\"}},"                   \
	"\"spec\":{\"terminationGracePeriodSeconds\":0,\"containers\":[{\"name\":\"c\",\"image\":\"docker.io/library/busybox:1\"," \
	"\"command\":[\"sleep\",\"1000\"],\"resources\":{\"requests\":{\"cpu\":\"10m\",\"memory\":\"16Mi\"}},"                     \
	"\"env\":[{\"name\":\"A\",\"value\":\"b\"}],\"ports\":[{\"containerPort\":8080}]}]}}"
#define PODS "/api/v1/namespaces/default/pods"

enum op { OP_GET, OP_LIST, OP_CREATE, OP_PATCH, N_OPS };
static const char *const op_names[N_OPS] = { "GET", "LIST-500", "CREATE", "PATCH" };

static atomic_bool go, halt;
static atomic_size_t serial;

struct worker {
	pthread_t thread;
	enum op op;
	int index;
	size_t max; /* requests; 0: until halt */
	uint64_t *ns;
	size_t n;
};

static int one(struct client *c, const struct worker *w, size_t i)
{
	char path[256], body[1024], name[64];
	int status;

	switch (w->op) {
	case OP_GET:
		return request(c, "GET", PODS "/bench-7", NULL, NULL) == 200 ? 0 : -1;
	case OP_LIST:
		return request(c, "GET", PODS "?limit=500&resourceVersion=0", NULL, NULL) == 200 ? 0 : -1;
	case OP_CREATE:
		snprintf(name, sizeof(name), "made-%zu", atomic_fetch_add(&serial, 1));
		snprintf(body, sizeof(body), POD, name);
		return request(c, "POST", PODS, "application/json", body) == 201 ? 0 : -1;
	default:
		snprintf(path, sizeof(path), PODS "/bench-%d", w->index);
		snprintf(body, sizeof(body), "{\"metadata\":{\"labels\":{\"n\":\"%zu\"}}}", i);
		status = request(c, "PATCH", path, "application/merge-patch+json", body);
		return status == 200 ? 0 : -1;
	}
}

static void *work(void *arg)
{
	struct client *c = calloc(1, sizeof(*c));
	struct worker *w = arg;

	c->keep = true; /* of a failure */
	if (!client_open(c, &b.target))
		fail("cannot connect: %m");
	while (!atomic_load(&go))
		poll(NULL, 0, 1);
	for (size_t i = 0; !atomic_load(&halt) && (!w->max || i < w->max); i++) {
		uint64_t t0 = clock_mono_ns();

		if (one(c, w, i) < 0)
			fail("%s: status %d: %.300s", op_names[w->op], c->status, c->body ? c->body : "");
		if (w->n < MAX_SAMPLES / 64)
			w->ns[w->n] = clock_mono_ns() - t0;
		w->n++;
	}
	client_close(c);
	free(c);
	return NULL;
}

/* Runs op with n clients for b.seconds, or for `total` requests; prints and records a line when `name` is given. */
static void load(const char *store, enum op op, int n, size_t total)
{
	struct worker w[64] = { 0 };
	uint64_t *all = malloc(sizeof(*all) * MAX_SAMPLES), t0, t1;
	size_t requests = 0, samples = 0;
	double cpu;

	atomic_store(&go, false);
	atomic_store(&halt, false);
	for (int i = 0; i < n; i++) {
		w[i] = (struct worker){ .op = op, .index = i, .max = total / (size_t)n };
		w[i].ns = malloc(sizeof(uint64_t) * (MAX_SAMPLES / 64));
		pthread_create(&w[i].thread, NULL, work, &w[i]);
	}
	poll(NULL, 0, 300); /* connections are open */
	cpu = cpu_seconds(b.server);
	t0 = clock_mono_ns();
	atomic_store(&go, true);
	if (!total) {
		poll(NULL, 0, (int)(b.seconds * 1000));
		atomic_store(&halt, true);
	}
	for (int i = 0; i < n; i++) {
		pthread_join(w[i].thread, NULL);
		requests += w[i].n;
	}
	t1 = clock_mono_ns();
	cpu = cpu_seconds(b.server) - cpu;
	for (int i = 0; i < n; i++) {
		size_t k = w[i].n < MAX_SAMPLES / 64 ? w[i].n : MAX_SAMPLES / 64;

		memcpy(all + samples, w[i].ns, k * sizeof(*all));
		samples += k;
		free(w[i].ns);
	}
	if (store && requests) {
		double rate = (double)requests / ((double)(t1 - t0) / 1e9), p50, p99;

		qsort(all, samples, sizeof(*all), by_value);
		p50 = (double)all[samples / 2] / 1e3;
		p99 = (double)all[samples * 99 / 100] / 1e3;
		printf("%-8s %-9s %3d clients %9.0f/s   p50 %8.0f us   p99 %8.0f us   server CPU %6.1f us/request\n",
		       store, op_names[op], n, rate, p50, p99, cpu * 1e6 / (double)requests);
		json_array_append_new(json_object_get(b.out, "requests"),
				      json_pack("{s:s,s:s,s:i,s:f,s:f,s:f,s:f}", "store", store, "op", op_names[op],
						"clients", n, "per_second", rate, "p50_us", p50, "p99_us", p99,
						"server_cpu_us", cpu * 1e6 / (double)requests));
	}
	fflush(stdout);
	free(all);
}

static void make_pods(size_t from, size_t to)
{
	struct client *c = calloc(1, sizeof(*c));
	char body[1024], name[64];

	if (!client_open(c, &b.target))
		fail("cannot connect: %m");
	for (size_t i = from; i < to; i++) {
		snprintf(name, sizeof(name), "bench-%zu", i);
		snprintf(body, sizeof(body), POD, name);
		if (request(c, "POST", PODS, "application/json", body) != 201)
			fail("POST pod: status %d", c->status);
	}
	client_close(c);
	free(c);
}

static void requests_on(const char *name, const char *store)
{
	static const int clients[] = { 1, 16, 64 };

	server_start(store);
	/* The default service account comes from a controller; the admission of pods may ask for it. */
	{
		struct client *c = calloc(1, sizeof(*c));

		client_open(c, &b.target);
		request(c, "POST", "/api/v1/namespaces/default/serviceaccounts", "application/json",
			"{\"apiVersion\":\"v1\",\"kind\":\"ServiceAccount\",\"metadata\":{\"name\":\"default\"}}");
		client_close(c);
		free(c);
	}
	make_pods(0, 500);
	for (int op = 0; op < N_OPS; op++)
		for (size_t i = 0; i < 3; i++)
			load(name, op, clients[i], 0);
}

/* --- watchers: HTTP/2, many on one connection, received by one thread ------------------------------------------------
 */

static struct {
	struct h2 *conns;
	atomic_size_t events;
	atomic_uint_fast64_t t0, last;
	uint64_t *ns;
	size_t n_ns;
	atomic_bool stop;
	int epoll;
} watch;

static void on_line(void *arg)
{
	uint64_t now = clock_mono_ns();

	(void)arg;
	if (watch.n_ns < MAX_SAMPLES)
		watch.ns[watch.n_ns++] = now - atomic_load(&watch.t0);
	atomic_store(&watch.last, now);
	atomic_fetch_add(&watch.events, 1);
}

static void *receive(void *arg)
{
	struct epoll_event ev[64];

	(void)arg;
	while (!atomic_load(&watch.stop)) {
		int n = epoll_wait(watch.epoll, ev, 64, 50);

		for (int i = 0; i < n; i++)
			h2_read(ev[i].data.ptr);
	}
	return NULL;
}

static void wait_events(size_t want)
{
	int64_t end = clock_mono_ms() + 60000;

	while (atomic_load(&watch.events) < want) {
		if (clock_mono_ms() > end)
			fail("%zu of %zu events came", (size_t)atomic_load(&watch.events), want);
		poll(NULL, 0, 1);
	}
}

static void watchers(void)
{
	size_t n_conns = b.watchers / STREAMS, rss0, rss1, rss2, want;
	struct client *c = calloc(1, sizeof(*c));
	double cpu, p50, p99, last_ms, burst_ms;
	pthread_t thread;
	char body[256];

	client_open(c, &b.target);
	request(c, "POST", "/api/v1/namespaces/default/configmaps", "application/json",
		"{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"w\"},\"data\":{\"n\":\"0\"}}");
	watch.conns = calloc(n_conns, sizeof(*watch.conns));
	watch.ns = malloc(sizeof(*watch.ns) * MAX_SAMPLES);
	watch.epoll = epoll_create1(EPOLL_CLOEXEC);
	rss0 = rss_kb(b.server);
	for (size_t i = 0; i < n_conns; i++) {
		h2_open(&watch.conns[i], &b.target, on_line, NULL);
		epoll_ctl(watch.epoll, EPOLL_CTL_ADD, watch.conns[i].fd,
			  &(struct epoll_event){ .events = EPOLLIN, .data.ptr = &watch.conns[i] });
	}
	request(c, "GET", "/readyz", NULL, NULL);
	rss1 = rss_kb(b.server);
	for (size_t i = 0; i < n_conns; i++) {
		for (int k = 0; k < STREAMS; k++)
			h2_watch(&watch.conns[i], "/api/v1/namespaces/default/configmaps?watch=1");
		h2_flush(&watch.conns[i]);
	}
	pthread_create(&thread, NULL, receive, NULL);
	want = n_conns * STREAMS; /* each begins with ADDED of what is there */
	wait_events(want);
	rss2 = rss_kb(b.server);

	watch.n_ns = 0;
	cpu = cpu_seconds(b.server);
	last_ms = 0;
	for (int i = 1; i <= 10; i++) {
		double ms;

		snprintf(body, sizeof(body), "{\"data\":{\"n\":\"%d\"}}", i);
		atomic_store(&watch.t0, clock_mono_ns());
		request(c, "PATCH", "/api/v1/namespaces/default/configmaps/w", "application/merge-patch+json", body);
		want += n_conns * STREAMS;
		wait_events(want);
		ms = (double)(atomic_load(&watch.last) - atomic_load(&watch.t0)) / 1e6;
		last_ms = ms > last_ms ? ms : last_ms;
	}
	cpu = cpu_seconds(b.server) - cpu;
	qsort(watch.ns, watch.n_ns, sizeof(*watch.ns), by_value);
	p50 = (double)watch.ns[watch.n_ns / 2] / 1e6;
	p99 = (double)watch.ns[watch.n_ns * 99 / 100] / 1e6;

	/* A burst: a thousand changes as fast as one client writes them. */
	atomic_store(&watch.t0, clock_mono_ns());
	for (int i = 0; i < 1000; i++) {
		snprintf(body, sizeof(body), "{\"data\":{\"n\":\"b%d\"}}", i);
		request(c, "PATCH", "/api/v1/namespaces/default/configmaps/w", "application/merge-patch+json", body);
	}
	want += n_conns * STREAMS * 1000;
	wait_events(want);
	burst_ms = (double)(atomic_load(&watch.last) - atomic_load(&watch.t0)) / 1e6;

	printf("%zu watchers on %zu connections: an event reaches them p50 %.1f ms, p99 %.1f ms, the last after %.1f ms; "
	       "%.2f us of server CPU each\n",
	       n_conns * STREAMS, n_conns, p50, p99, last_ms, cpu * 1e6 / (double)(10 * n_conns * STREAMS));
	printf("a burst of 1,000 changes reached all of them after %.0f ms\n", burst_ms);
	printf("memory: %.1f KB per idle TLS connection, %.2f KB per watch\n", (double)(rss1 - rss0) / (double)n_conns,
	       (double)(rss2 - rss1) / (double)(n_conns * STREAMS));
	json_object_set_new(b.out, "watchers",
			    json_pack("{s:I,s:f,s:f,s:f,s:f,s:f,s:f,s:f}", "n", (json_int_t)(n_conns * STREAMS),
				      "p50_ms", p50, "p99_ms", p99, "last_ms", last_ms, "server_cpu_us_per_event",
				      cpu * 1e6 / (double)(10 * n_conns * STREAMS), "burst_ms", burst_ms,
				      "kb_per_connection", (double)(rss1 - rss0) / (double)n_conns, "kb_per_watch",
				      (double)(rss2 - rss1) / (double)(n_conns * STREAMS)));
	atomic_store(&watch.stop, true);
	pthread_join(thread, NULL);
	for (size_t i = 0; i < n_conns; i++)
		h2_close(&watch.conns[i]);
	close(watch.epoll);
	client_close(c);
	free(c);
	free(watch.conns);
	free(watch.ns);
	fflush(stdout);
}

/* --- many pods -------------------------------------------------------------------------------------------------------
 */

static void many_pods(const char *store)
{
	struct client *c = calloc(1, sizeof(*c));
	size_t before, after;
	uint64_t t0, t1, t2, t3;

	t0 = clock_mono_ns();
	load(NULL, OP_CREATE, 16, b.pods);
	t1 = clock_mono_ns();
	stop(&b.server);
	t2 = clock_mono_ns();
	server_start(store);
	t3 = clock_mono_ns();
	before = rss_kb(b.server);
	printf("%zu pods: created by 16 clients in %.1f s; read again at start in %.2f s; %zu MB, %.2f KB a pod\n",
	       b.pods, (double)(t1 - t0) / 1e9, (double)(t3 - t2) / 1e9, before / 1024,
	       (double)before / (double)b.pods);
	if (!client_open(c, &b.target))
		fail("cannot connect: %m");
	t0 = clock_mono_ns();
	if (request(c, "GET", "/api/v1/pods?resourceVersion=0", NULL, NULL) != 200)
		fail("LIST: status %d", c->status);
	t1 = clock_mono_ns();
	after = rss_kb(b.server);
	printf("a list of all of them: %.2f s, %.0f MB, memory of the server grew by %.1f MB\n",
	       (double)(t1 - t0) / 1e9, (double)c->body_len / 1e6, (double)after / 1024 - (double)before / 1024);
	json_object_set_new(b.out, "stored",
			    json_pack("{s:I,s:f,s:I,s:f,s:f,s:f}", "pods", (json_int_t)b.pods, "start_s",
				      (double)(t3 - t2) / 1e9, "rss_kb", (json_int_t)before, "kb_per_pod",
				      (double)before / (double)b.pods, "list_s", (double)(t1 - t0) / 1e9,
				      "list_growth_kb", (double)after - (double)before));
	load("embedded", OP_GET, 16, 0);
	client_close(c);
	free(c);
}

int main(int argc, char **argv)
{
	static const struct option opts[] = { { "json", 1, NULL, 'j' },	    { "pods", 1, NULL, 'p' },
					      { "watchers", 1, NULL, 'w' }, { "seconds", 1, NULL, 's' },
					      { "store", 1, NULL, 'S' },    { 0 } };
	struct rlimit files = { 65536, 65536 };
	const char *json = NULL, *only = NULL;
	char store[96], *slash;
	int c;

	while ((c = getopt_long(argc, argv, "", opts, NULL)) != -1) {
		if (c == 'j')
			json = optarg;
		else if (c == 'p')
			b.pods = strtoul(optarg, NULL, 10);
		else if (c == 'w')
			b.watchers = strtoul(optarg, NULL, 10);
		else if (c == 'S')
			only = optarg;
		else if (c == 's')
			b.seconds = strtod(optarg, NULL);
		else
			return 2;
	}
	setrlimit(RLIMIT_NOFILE, &files);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	if (readlink("/proc/self/exe", b.bin, sizeof(b.bin) - 1) < 0 || !(slash = strrchr(b.bin, '/')))
		fail("/proc/self/exe: %m");
	snprintf(slash, sizeof(b.bin) - (size_t)(slash - b.bin), "/../bin");
	b.owner = getpid();
	snprintf(b.dir, sizeof(b.dir), "/tmp/skep-api-bench-XXXXXX");
	if (!mkdtemp(b.dir))
		fail("%s: %m", b.dir);
	atexit(cleanup_all);
	target_init(&b.target, b.dir);
	b.out = json_pack("{s:[]}", "requests");

	snprintf(store, sizeof(store), "sqlite:%s/db", b.dir);
	if (!only || !strcmp(only, "embedded")) {
		requests_on("embedded", store);
		stop(&b.server); /* what it has freed since would hide what watches need */
		server_start(store);
		watchers();
		many_pods(store);
		stop(&b.server);
	}
	if (only && strcmp(only, "etcd")) {
		/* not asked for */
	} else if (etcd_start(store, sizeof(store))) {
		requests_on("etcd", store);
		stop(&b.server);
	} else {
		printf("skip: etcd is not installed\n");
	}
	if (json && json_dump_file(b.out, json, JSON_INDENT(1)) < 0)
		fail("%s cannot be written", json);
	json_decref(b.out);
	target_done(&b.target);
	return 0;
}
