/* SPDX-License-Identifier: Apache-2.0 */
/* See fixture.h. */
#include "fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/str.h"

static const char *pods_path = "/api/v1/pods", *pod_prefix = "/api/v1/namespaces/";

int64_t fix_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void answer(struct http_req *req, int status, json_t *body /* stolen */)
{
	char *text = json_dumps(body, JSON_COMPACT);

	http_respond(req, status, "application/json", text, strlen(text));
	free(text);
	json_decref(body);
}

static void watch_closed(struct http_req *req, void *data)
{
	struct fix *f = data;

	if (f->watch == req)
		f->watch = NULL;
}

static void serve_watch(struct fix *f, struct http_req *req)
{
	f->n_watches++;
	snprintf(f->watch_target, sizeof(f->watch_target), "%s", http_req_raw_target(req));
	if (f->fail_watches > 0) {
		f->fail_watches--;
		answer(req, 500, api_status(500, "InternalError", "as the test wishes"));
		return;
	}
	if (f->gone_watches > 0) {
		f->gone_watches--;
		answer(req, 410, api_status(410, "Expired", "too old resource version"));
		return;
	}
	http_req_set_data(req, f, watch_closed);
	f->watch = req;
	http_stream_start(req, 200, "application/json");
}

static void serve_list(struct fix *f, struct http_req *req)
{
	const char *limit = http_req_query(req, "limit"), *token = http_req_query(req, "continue"), *key;
	size_t n = f->chunk ? (size_t)f->chunk : (size_t)atoi(limit ?: "1000000"),
	       from = token ? (size_t)atoi(token) : 0, i = 0;
	json_t *items, *meta, *obj;
	char text[32];

	f->n_lists++;
	if (f->fail_lists > 0) {
		f->fail_lists--;
		answer(req, 500, api_status(500, "InternalError", "as the test wishes"));
		return;
	}
	if (token && f->gone_continues > 0) {
		f->gone_continues--;
		answer(req, 410, api_status(410, "Expired", "the continue token has expired"));
		return;
	}
	items = json_array();
	json_object_foreach (f->objects, key, obj)
		if (i++ >= from && json_array_size(items) < n)
			json_array_append(items, obj);
	snprintf(text, sizeof(text), "%lld", (long long)f->rv);
	meta = json_pack("{s:s}", "resourceVersion", text);
	if (from + json_array_size(items) < i) {
		snprintf(text, sizeof(text), "%zu", from + json_array_size(items));
		json_object_set_new(meta, "continue", json_string(text));
	}
	answer(req, 200,
	       json_pack("{s:s,s:s,s:o,s:o}", "kind", "PodList", "apiVersion", "v1", "metadata", meta, "items", items));
}

static void set_rv(struct fix *f, json_t *obj)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld", (long long)++f->rv);
	api_set(obj, "metadata.resourceVersion", json_string(text));
}

static void serve_write(struct fix *f, struct http_req *req, const char *method, const char *path)
{
	char key[600];
	size_t len;
	const void *body = http_req_body(req, &len);
	json_t *obj = json_loadb(body, len, 0, NULL), *old;

	cr_assert(obj);
	json_decref(f->last_body);
	f->last_body = json_incref(obj);
	snprintf(f->last_type, sizeof(f->last_type), "%s", http_req_header(req, "content-type") ?: "");
	if (f->fail_writes > 0) {
		f->fail_writes--;
		json_decref(obj);
		answer(req, 500, api_status(500, "InternalError", "as the test wishes"));
		return;
	}
	snprintf(key, sizeof(key), "%s%s%s", path, streq(method, "POST") ? "/" : "",
		 streq(method, "POST") ? api_get_str(obj, "metadata.name") ?: "" : "");
	old = json_object_get(f->objects, key);
	if (streq(method, "POST")) {
		f->n_posts++;
		if (old) {
			json_decref(obj);
			answer(req, 409, api_status(409, "AlreadyExists", "it is there"));
			return;
		}
	} else if (!old) {
		json_decref(obj);
		answer(req, 404, api_status(404, "NotFound", "it is not there"));
		return;
	}
	if (streq(method, "PATCH")) {
		json_t *merged = NULL;

		f->n_patches++;
		cr_assert_eq(api_patch_merge(old, obj, &merged, NULL), 0);
		json_decref(obj);
		obj = merged;
	} else if (streq(method, "PUT")) {
		f->n_puts++;
		if (!streq(api_get_str(obj, "metadata.resourceVersion"),
			   api_get_str(old, "metadata.resourceVersion"))) {
			json_decref(obj);
			answer(req, 409, api_status(409, "Conflict", "the object has been modified"));
			return;
		}
	}
	set_rv(f, obj);
	json_object_set(f->objects, key, obj);
	answer(req, 200, obj);
}

static void handle(struct http_req *req, void *arg)
{
	const char *method = http_req_method(req), *path = http_req_path(req);
	struct fix *f = arg;
	json_t *obj;

	snprintf(f->last_target, sizeof(f->last_target), "%s", http_req_raw_target(req));
	snprintf(f->last_authorization, sizeof(f->last_authorization), "%s",
		 http_req_header(req, "authorization") ?: "");
	if (!streq(method, "GET")) {
		serve_write(f, req, method, path);
	} else if (streq(path, pods_path) || str_ends(path, "/pods")) {
		streq(http_req_query(req, "watch"), "true") ? serve_watch(f, req) : serve_list(f, req);
	} else {
		f->n_gets++;
		obj = json_object_get(f->objects, path);
		if (obj)
			answer(req, 200, json_incref(obj));
		else
			answer(req, 404, api_status(404, "NotFound", "it is not there"));
	}
}

void fix_start(struct fix *f)
{
	struct http_server_config config = { .handler = handle, .arg = f, .max_pending = 64 << 20 };
	struct err err = ERR_INIT;
	char url[64];
	struct kubeconfig kc = { .server = url };

	f->loop = loop_new();
	f->objects = json_object();
	f->rv = 100;
	cr_assert_eq(http_server_new(f->loop, &config, &f->server, &err), 0, "%s", err.msg);
	cr_assert_eq(http_server_listen(f->server, "127.0.0.1:0", &f->port, &err), 0, "%s", err.msg);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d", f->port);
	cr_assert_eq(kube_new(f->loop, &kc, "test", &f->kube, &err), 0, "%s", err.msg);
}

void fix_stop(struct fix *f)
{
	kube_free(f->kube);
	http_server_free(f->server);
	loop_free(f->loop);
	json_decref(f->objects);
	json_decref(f->last_body);
}

static void pod_key(char *buf, size_t size, const char *ns, const char *name)
{
	snprintf(buf, size, "%s%s/pods/%s", pod_prefix, ns, name);
}

int64_t fix_put(struct fix *f, const char *ns, const char *name, const char *label)
{
	char key[600];
	json_t *pod;

	pod_key(key, sizeof(key), ns, name);
	pod = json_incref(json_object_get(f->objects, key));
	if (!pod) {
		char uid[64];

		snprintf(uid, sizeof(uid), "uid-%lld", (long long)f->rv + 1);
		pod = json_pack("{s:{s:s,s:s,s:s},s:{s:[{s:s,s:s}]}}", "metadata", "namespace", ns, "name", name, "uid",
				uid, "spec", "containers", "name", "c", "image", "i");
	} else {
		json_t *copy = json_deep_copy(pod);

		json_decref(pod);
		pod = copy;
	}
	api_set(pod, "metadata.labels", json_pack("{s:s}", "l", label));
	set_rv(f, pod);
	json_object_set_new(f->objects, key, pod);
	return f->rv;
}

void fix_del(struct fix *f, const char *ns, const char *name)
{
	char key[600];

	pod_key(key, sizeof(key), ns, name);
	f->rv++;
	json_object_del(f->objects, key);
}

const json_t *fix_get(struct fix *f, const char *ns, const char *name)
{
	char key[600];

	pod_key(key, sizeof(key), ns, name);
	return json_object_get(f->objects, key);
}

void fix_say(struct fix *f, const char *text)
{
	cr_assert(f->watch, "no watch is open");
	cr_assert_eq(http_stream_write(f->watch, text, strlen(text)), 0);
}

void fix_event(struct fix *f, const char *type, const char *ns, const char *name)
{
	json_t *ev = json_pack("{s:s,s:O}", "type", type, "object", fix_get(f, ns, name));
	char *text;

	/* Watches say kind and version where lists do not. */
	api_set(ev, "object.kind", json_string("Pod"));
	api_set(ev, "object.apiVersion", json_string("v1"));
	text = json_dumps(ev, JSON_COMPACT);
	fix_say(f, text);
	fix_say(f, "\n");
	free(text);
	json_decref(ev);
}
