/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hot paths of the API server, run a known number of times for callgrind to count their instructions
 * (instructions.sh). Every path is gone through some times to warm up, then N times and 2 N times, with a dump of the
 * counters after each, named "path times": the difference of the two is N times the path, and nothing that is done
 * once.
 *
 * The server runs in a thread of its own, the only one that is counted in paths of whole requests: callgrind collects
 * for each thread what that thread has asked for. Its client, here in the main thread, is not.
 */
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <valgrind/callgrind.h>

#include "../../userspace/control/apiserver/apiserver.h"
#include "api/api.h"
#include "api/api_types.h"
#include "base/arena.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "lib/bench.h"

#define PODS	 "/api/v1/namespaces/default/pods"
#define N_CONNS	 4
#define N_EVENTS 10

static struct {
	char dir[64], store[96], listen[64];
	pid_t owner;
	struct target target;
	struct loop *loop;
	struct apiserver *server;
	pthread_t thread;
	struct client *client;
	struct h2 conns[N_CONNS];
	size_t watchers, events;
	json_t *pod;
	char *json;
	struct strbuf protobuf;
} hot;

static void cleanup_all(void)
{
	if (getpid() == hot.owner && hot.dir[0])
		dir_remove(hot.dir, NULL);
}

static void *serve(void *arg)
{
	(void)arg;
	CALLGRIND_TOGGLE_COLLECT;
	loop_run(hot.loop);
	CALLGRIND_TOGGLE_COLLECT;
	return NULL;
}

static void start_server(void)
{
	struct apiserver_config config = { .listen = { hot.listen }, .n_listen = 1, .store = hot.store };
	struct err err = ERR_INIT;

	target_init(&hot.target, hot.dir);
	hot.target.port = free_port();
	snprintf(hot.store, sizeof(hot.store), "sqlite:%s/db", hot.dir);
	snprintf(hot.listen, sizeof(hot.listen), "127.0.0.1:%d", hot.target.port);
	config.tls = (struct tls_files){ hot.target.ca, hot.target.crt, hot.target.key };
	hot.loop = loop_new();
	if (!hot.loop || apiserver_new(hot.loop, &config, &hot.server, &err) < 0)
		fail("API server: %s", err.msg);
	while (!apiserver_ready(hot.server))
		loop_run_once(hot.loop, 1000);
	if (pthread_create(&hot.thread, NULL, serve, NULL))
		fail("no thread");
}

static void stop_loop(void *arg)
{
	(void)arg;
	loop_stop(hot.loop);
}

static void stop_server(void)
{
	if (loop_post(hot.loop, stop_loop, NULL) < 0)
		fail("out of memory");
	pthread_join(hot.thread, NULL);
	apiserver_free(hot.server);
	loop_free(hot.loop);
	target_done(&hot.target);
}

static void expect(int status, const char *method, const char *path, const char *type, const char *body)
{
	if (request(hot.client, method, path, type, body) != status)
		fail("%s %s: status %d", method, path, hot.client->status);
}

/* --- paths: each is gone through n times ---------------------------------------------------------------------------
 */

static void get_pod(size_t n)
{
	for (size_t i = 0; i < n; i++)
		expect(200, "GET", PODS "/web-7d4b9c6f5-x2x7k", NULL, NULL);
}

static void create_pod(size_t n)
{
	static size_t serial;

	for (size_t i = 0; i < n; i++) {
		char name[32];
		char *text;

		snprintf(name, sizeof(name), "made-%06zu", serial++);
		json_object_set_new(json_object_get(hot.pod, "metadata"), "name", json_string(name));
		text = json_dumps(hot.pod, JSON_COMPACT);
		expect(201, "POST", PODS, "application/json", text);
		free(text);
	}
}

static void list_pod(size_t n)
{
	char path[96];

	/* one request for n objects */
	snprintf(path, sizeof(path), PODS "?resourceVersion=0&limit=%zu", n);
	expect(200, "GET", path, NULL, NULL);
}

static void on_line(void *arg)
{
	(void)arg;
	hot.events++;
}

static void wait_lines(size_t want)
{
	struct pollfd p[N_CONNS];

	while (hot.events < want) {
		for (size_t i = 0; i < N_CONNS; i++)
			p[i] = (struct pollfd){ hot.conns[i].fd, POLLIN, 0 };
		if (poll(p, N_CONNS, 60000) <= 0)
			fail("%zu of %zu events came", hot.events, want);
		for (size_t i = 0; i < N_CONNS; i++)
			if (p[i].revents)
				h2_read(&hot.conns[i]);
	}
}

/* Not counted: n watchers in all. */
static void watchers(size_t n)
{
	size_t want = hot.events + n - hot.watchers;

	for (; hot.watchers < n; hot.watchers++)
		h2_watch(&hot.conns[hot.watchers % N_CONNS], "/api/v1/namespaces/default/configmaps?watch=1");
	for (size_t i = 0; i < N_CONNS; i++)
		h2_flush(&hot.conns[i]);
	wait_lines(want); /* each is told what there is */
}

static void event_to_watchers(size_t n)
{
	static int value = 1000;

	for (int i = 0; i < N_EVENTS; i++) {
		size_t want = hot.events + n;
		char body[64];

		snprintf(body, sizeof(body), "{\"data\":{\"n\":\"%d\"}}", value++);
		expect(200, "PATCH", "/api/v1/namespaces/default/configmaps/w", "application/merge-patch+json", body);
		wait_lines(want);
	}
}

static void decode(json_t *obj)
{
	struct arena arena = ARENA_INIT;
	struct err err = ERR_INIT;
	struct api_pod *pod;

	if (api_decode(&api_type_pod, obj, &arena, &pod, &err) < 0)
		fail("%s", err.msg);
	json_decref(obj);
	arena_done(&arena);
}

static void decode_json(size_t n)
{
	size_t len = strlen(hot.json);

	for (size_t i = 0; i < n; i++) {
		json_t *obj;

		if (api_json_parse(hot.json, len, &obj, NULL, NULL) < 0)
			fail("the pod cannot be read");
		decode(obj);
	}
}

static void decode_protobuf(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		json_t *obj;

		if (api_protobuf_parse(hot.protobuf.buf, hot.protobuf.len, &obj, NULL) < 0)
			fail("the pod cannot be read");
		decode(obj);
	}
}

static void encode_json(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct arena arena = ARENA_INIT;
		struct api_pod *pod;
		json_t *obj;
		char *text;

		if (api_decode(&api_type_pod, hot.pod, &arena, &pod, NULL) < 0)
			fail("the pod cannot be read");
		obj = api_encode(&api_type_pod, pod);
		text = obj ? json_dumps(obj, JSON_COMPACT) : NULL;
		if (!text)
			fail("out of memory");
		free(text);
		json_decref(obj);
		arena_done(&arena);
	}
}

static void encode_protobuf(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct strbuf out = STRBUF_INIT;

		if (api_protobuf_write(&api_type_pod, "v1", "Pod", hot.pod, &out) < 0)
			fail("out of memory");
		strbuf_done(&out);
	}
}

/* --- all of them ---------------------------------------------------------------------------------------------------
 */

struct path {
	const char *name;
	void (*run)(size_t n);
	size_t n, scale; /* scale: of what is counted in n, this many times */
	bool here;	 /* in this thread, not in the server's */
	void (*before)(size_t n);
};

static const struct path paths[] = {
	{ "get-pod", get_pod, 100, 1, false, NULL },
	{ "create-pod", create_pod, 50, 1, false, NULL },
	{ "list-pods-each", list_pod, 80, 1, false, NULL },
	{ "event-each-watcher", event_to_watchers, 80, N_EVENTS, false, watchers },
	{ "decode-pod-json", decode_json, 20, 1, true, NULL },
	{ "decode-pod-protobuf", decode_protobuf, 20, 1, true, NULL },
	{ "encode-pod-json", encode_json, 20, 1, true, NULL },
	{ "encode-pod-protobuf", encode_protobuf, 20, 1, true, NULL },
};

static void run(const struct path *p, size_t n, const char *label)
{
	char name[64];

	if (p->before)
		p->before(n);
	CALLGRIND_ZERO_STATS;
	if (p->here)
		CALLGRIND_TOGGLE_COLLECT;
	p->run(n);
	if (p->here)
		CALLGRIND_TOGGLE_COLLECT;
	snprintf(name, sizeof(name), "%s %zu", label, n * p->scale);
	CALLGRIND_DUMP_STATS_AT(name);
}

static void load_pod(const char *file)
{
	struct err err = ERR_INIT;
	size_t len;

	if (file_read(file, 1 << 20, &hot.json, &len, &err) < 0)
		fail("%s", err.msg);
	if (api_json_parse(hot.json, len, &hot.pod, NULL, &err) < 0 ||
	    api_protobuf_write(&api_type_pod, "v1", "Pod", hot.pod, &hot.protobuf) < 0)
		fail("%s: %s", file, err.msg);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		fail("usage: hot POD.json");
	json_object_seed(1); /* the same collisions each time */
	signal(SIGPIPE, SIG_IGN);
	hot.owner = getpid();
	strbuf_init(&hot.protobuf);
	load_pod(argv[1]);
	snprintf(hot.dir, sizeof(hot.dir), "/tmp/skep-hot-XXXXXX");
	if (!mkdtemp(hot.dir))
		fail("%s: %m", hot.dir);
	atexit(cleanup_all);
	start_server();
	hot.client = calloc(1, sizeof(*hot.client));
	if (!hot.client || !client_open(hot.client, &hot.target))
		fail("cannot connect");
	expect(201, "POST", "/api/v1/namespaces/default/serviceaccounts", "application/json",
	       "{\"apiVersion\":\"v1\",\"kind\":\"ServiceAccount\",\"metadata\":{\"name\":\"default\"}}");
	expect(201, "POST", PODS, "application/json", hot.json);
	expect(201, "POST", "/api/v1/namespaces/default/configmaps", "application/json",
	       "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"w\"},\"data\":{\"n\":\"999\"}}");
	for (size_t i = 0; i < N_CONNS; i++)
		h2_open(&hot.conns[i], &hot.target, on_line, NULL);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		run(&paths[i], paths[i].n / 4, "warm");
		run(&paths[i], paths[i].n, paths[i].name);
		run(&paths[i], paths[i].n * 2, paths[i].name);
	}
	for (size_t i = 0; i < N_CONNS; i++)
		h2_close(&hot.conns[i]);
	client_close(hot.client);
	free(hot.client);
	stop_server();
	json_decref(hot.pod);
	free(hot.json);
	strbuf_done(&hot.protobuf);
	return 0;
}
