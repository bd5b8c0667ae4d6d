/* SPDX-License-Identifier: Apache-2.0 */
/*
 * List and watch for tests: see fake_api.h. The latest events are kept for watches that begin; from before them 410
 * Gone is the answer.
 */
#include "fake_api.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "io/http_server.h"

enum { MAX_EVENTS = 4096, MAX_WATCHES = 256 };

struct event {
	char plural[32];
	char *line;
};

struct fake_api {
	struct http_server *http;
	json_t *objects; /* plural -> "ns/name" -> object */
	json_t *reports; /* node -> what it has last sent for its NodeDataPlane's status */
	size_t n_reports;
	struct event events[MAX_EVENTS];
	size_t n_events; /* in all; event i, at i % MAX_EVENTS, has resourceVersion i + 1 */
	struct watch {
		struct http_req *req;
		char plural[32];
	} watches[MAX_WATCHES];
};

static void closed(struct http_req *req, void *data)
{
	struct watch *w = data;

	(void)req;
	w->req = NULL;
}

static void watch(struct fake_api *api, struct http_req *req, const char *plural)
{
	static const char expired[] =
		"{\"kind\":\"Status\",\"status\":\"Failure\",\"reason\":\"Expired\",\"code\":410}";
	const char *rv = http_req_query(req, "resourceVersion");
	struct watch *w = api->watches;

	if (rv && (size_t)atol(rv) + MAX_EVENTS < api->n_events) {
		http_respond(req, 410, "application/json", expired, strlen(expired));
		return;
	}
	while (w < api->watches + MAX_WATCHES && w->req)
		w++;
	cr_assert(w < api->watches + MAX_WATCHES);
	w->req = req;
	snprintf(w->plural, sizeof(w->plural), "%s", plural);
	http_req_set_data(req, w, closed);
	http_stream_start(req, 200, "application/json");
	for (size_t i = rv ? (size_t)atol(rv) : 0; i < api->n_events; i++) {
		const struct event *ev = &api->events[i % MAX_EVENTS];

		if (streq(ev->plural, plural))
			http_stream_write(req, ev->line, strlen(ev->line));
	}
}

static void list(struct fake_api *api, struct http_req *req, const char *plural)
{
	json_t *items = json_array(), *obj, *answer;
	cleanup(free) char *text = NULL;
	char rv[32];
	const char *key;

	json_object_foreach (json_object_get(api->objects, plural), key, obj)
		json_array_append(items, obj);
	snprintf(rv, sizeof(rv), "%zu", api->n_events);
	answer = json_pack("{s:s,s:s,s:{s:s},s:o}", "kind", "List", "apiVersion", "v1", "metadata", "resourceVersion",
			   rv, "items", items);
	text = json_dumps(answer, JSON_COMPACT);
	json_decref(answer);
	http_respond(req, 200, "application/json", text, strlen(text));
}

/* PATCH of .../nodedataplanes/NODE/status */
static void take_report(struct fake_api *api, struct http_req *req, const char *node)
{
	static const char answer[] = "{\"kind\":\"NodeDataPlane\",\"metadata\":{\"resourceVersion\":\"1\"}}";
	cleanup(free) char *name = strndup(node, strcspn(node, "/"));
	const char *body;
	size_t len;

	body = http_req_body(req, &len);
	json_object_set_new(api->reports, name, json_loadb(body, len, 0, NULL));
	api->n_reports++;
	http_respond(req, 200, "application/json", answer, strlen(answer));
}

json_t *fake_report(const struct fake_api *api, const char *node, size_t *ret_n)
{
	if (ret_n)
		*ret_n = api->n_reports;
	return json_object_get(api->reports, node);
}

size_t fake_revision(const struct fake_api *api)
{
	return api->n_events;
}

static void handle(struct http_req *req, void *arg)
{
	static const char reports[] = "/apis/skep.io/v1alpha1/nodedataplanes/";
	const char *plural = strrchr(http_req_path(req), '/') + 1;

	if (streq(http_req_method(req), "PATCH") && str_starts(http_req_path(req), reports))
		take_report(arg, req, http_req_path(req) + strlen(reports));
	else if (!streq(http_req_method(req), "GET"))
		http_respond(req, 405, "text/plain", "", 0);
	else if (streq(http_req_query(req, "watch"), "true"))
		watch(arg, req, plural);
	else
		list(arg, req, plural);
}

struct fake_api *fake_api_new(struct loop *loop, const char *address, int *ret_port)
{
	struct fake_api *api = calloc(1, sizeof(*api));
	struct http_server_config config = { .handler = handle, .arg = api };
	struct err err = ERR_INIT;

	cr_assert(api);
	api->objects = json_object();
	api->reports = json_object();
	cr_assert(http_server_new(loop, &config, &api->http, &err) == 0, "%s", err.msg);
	cr_assert(http_server_listen(api->http, address, ret_port, &err) == 0, "%s", err.msg);
	return api;
}

void fake_api_free(struct fake_api *api)
{
	if (!api)
		return;
	http_server_free(api->http);
	for (size_t i = 0; i < MAX_EVENTS; i++)
		free(api->events[i].line);
	json_decref(api->objects);
	json_decref(api->reports);
	free(api);
}

static void publish(struct fake_api *api, const char *plural, const char *type, json_t *obj)
{
	struct event *ev = &api->events[api->n_events++ % MAX_EVENTS];
	cleanup(free) char *text = NULL;
	char rv[32];

	snprintf(rv, sizeof(rv), "%zu", api->n_events);
	cr_assert_eq(api_set(obj, "metadata.resourceVersion", json_string(rv)), 0);
	text = json_dumps(obj, JSON_COMPACT);
	snprintf(ev->plural, sizeof(ev->plural), "%s", plural);
	free(ev->line);
	cr_assert(asprintf(&ev->line, "{\"type\":\"%s\",\"object\":%s}\n", type, text) > 0);
	for (struct watch *w = api->watches; w < api->watches + MAX_WATCHES; w++)
		if (w->req && streq(w->plural, plural))
			http_stream_write(w->req, ev->line, strlen(ev->line));
}

static json_t *kind_objects(struct fake_api *api, const char *plural)
{
	if (!json_object_get(api->objects, plural))
		json_object_set_new(api->objects, plural, json_object());
	return json_object_get(api->objects, plural);
}

void fake_put(struct fake_api *api, const char *plural, const char *fmt, ...)
{
	char text[8192], key[256], *p;
	json_t *all = kind_objects(api, plural), *obj;
	const char *ns;
	json_error_t je;
	va_list ap;
	bool known;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (p = text; (p = strchr(p, '\'')); p++)
		*p = '"';
	obj = json_loads(text, 0, &je);
	cr_assert(obj, "%s: %s", text, je.text);
	ns = api_get_str(obj, "metadata.namespace");
	snprintf(key, sizeof(key), "%s/%s", ns ? ns : "", api_get_str(obj, "metadata.name"));
	known = json_object_get(all, key);
	json_object_set_new(all, key, obj);
	publish(api, plural, known ? "MODIFIED" : "ADDED", obj);
}

void fake_delete(struct fake_api *api, const char *plural, const char *ns, const char *name)
{
	json_t *all = kind_objects(api, plural), *obj;
	char key[256];

	snprintf(key, sizeof(key), "%s/%s", ns ? ns : "", name);
	obj = json_incref(json_object_get(all, key));
	cr_assert(obj, "%s %s", plural, key);
	json_object_del(all, key);
	publish(api, plural, "DELETED", obj);
	json_decref(obj);
}
