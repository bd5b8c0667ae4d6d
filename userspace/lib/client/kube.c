/* SPDX-License-Identifier: Apache-2.0 */
/* Calls to an API server: see kube.h. */
#include "kube.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../base/cleanup.h"
#include "../base/file.h"
#include "../base/log.h"
#include "../base/list.h"

struct kube {
	struct loop *loop;
	struct http_client *http;
	char *user_agent;
	char *token_file; /* NULL: none */
	struct loop_timer token_timer;
	struct list calls; /* struct kube_call */
};

enum { TOKEN_MS = 60000 };

struct kube_call {
	struct list link;
	struct http_call *http;
	kube_fn *fn;
	void *arg;
};

static void call_drop(struct kube_call *c)
{
	list_remove(&c->link);
	http_call_cancel(c->http);
	free(c);
}

/* A file that cannot be read now, or is empty, leaves the token of before: it may still be good. */
static void read_token(struct loop_timer *t)
{
	struct kube *k = t->arg;
	cleanup(free) char *token = NULL;
	struct err err = ERR_INIT;

	if (file_read(k->token_file, 1 << 16, &token, NULL, &err) < 0) {
		log_warn("%s", err.msg);
	} else {
		token[strcspn(token, "\r\n")] = '\0';
		if (*token)
			(void)http_client_set_bearer(k->http, token);
	}
	(void)loop_timer_set(k->loop, t, TOKEN_MS);
}

int kube_new(struct loop *loop, const struct kubeconfig *kc, const char *user_agent, struct kube **ret, struct err *err)
{
	struct tls_files tls = { kc->ca_file, kc->cert_file, kc->key_file };
	struct http_client_config config = {
		.base_url = kc->server,
		.tls = &tls,
		.bearer_token = kc->token,
		.insecure_skip_verify = kc->insecure_skip_verify,
		.tls_server_name = kc->tls_server_name,
	};
	struct kube *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return err_set(err, ENOMEM, "out of memory");
	k->loop = loop;
	list_init(&k->calls);
	if (asprintf(&k->user_agent, "User-Agent: %s", user_agent) < 0)
		k->user_agent = NULL;
	k->token_file = kc->token_file ? strdup(kc->token_file) : NULL;
	if (!k->user_agent || (kc->token_file && !k->token_file)) {
		kube_free(k);
		return err_set(err, ENOMEM, "out of memory");
	}
	r = http_client_new(loop, &config, &k->http, err);
	if (r < 0) {
		kube_free(k);
		return r;
	}
	k->token_timer = (struct loop_timer){ .fn = read_token, .arg = k };
	if (k->token_file && loop)
		(void)loop_timer_set(loop, &k->token_timer, TOKEN_MS);
	*ret = k;
	return 0;
}

void kube_free(struct kube *k)
{
	if (!k)
		return;
	while (!list_empty(&k->calls))
		call_drop(list_first(&k->calls, struct kube_call, link));
	loop_timer_cancel(&k->token_timer);
	http_client_free(k->http);
	free(k->token_file);
	free(k->user_agent);
	free(k);
}

struct loop *kube_loop(const struct kube *k)
{
	return k->loop;
}

struct http_client *kube_http(const struct kube *k)
{
	return k->http;
}

char *kube_path(const struct api_kind *kind, const char *ns, const char *name, const char *subresource)
{
	cleanup(free) char *ens = ns ? http_escape(ns) : NULL;
	cleanup(free) char *ename = name ? http_escape(name) : NULL;
	char *out = NULL;

	if ((ns && !ens) || (name && !ename))
		return NULL;
	if (asprintf(&out, "%s%s%s/%s%s%s/%s%s%s%s%s", kind->group[0] ? "/apis" : "/api", kind->group[0] ? "/" : "",
		     kind->group, kind->version, ns && kind->namespaced ? "/namespaces/" : "",
		     ns && kind->namespaced ? ens : "", kind->plural, name ? "/" : "", name ? ename : "",
		     subresource ? "/" : "", subresource ? subresource : "") < 0)
		return NULL;
	return out;
}

void kube_cancel(struct kube *k, const void *arg)
{
	list_for_each_safe (pos, tmp, &k->calls) {
		struct kube_call *c = list_entry(pos, struct kube_call, link);

		if (c->arg == arg)
			call_drop(c);
	}
}

static void call_done(struct http_call *call, void *arg, const struct http_response *rsp)
{
	struct kube_call *c = arg;
	struct kube_result r = { .status = rsp->status, .reason = "", .message = "" };
	struct err err = ERR_INIT;

	(void)call;
	list_remove(&c->link); /* before fn, which may cancel by arg or free the kube */
	if (!rsp->status) {
		r.message = rsp->error ? rsp->error : "no answer";
	} else if (rsp->len && api_json_parse(rsp->body, rsp->len, &r.obj, NULL, &err) < 0) {
		if (kube_ok(&r)) {
			r.status = 0;
			r.message = err.msg;
		} else {
			r.message = rsp->body;
		}
	}
	if (rsp->status && !kube_ok(&r) && r.obj) {
		r.reason = api_get_str(r.obj, "reason") ?: "";
		r.message = api_get_str(r.obj, "message") ?: "the server gave no reason";
	}
	if (c->fn)
		c->fn(c->arg, &r);
	json_decref(r.obj);
	free(c);
}

static int start(struct kube *k, const char *method, char *path /* taken */, const char *content_type,
		 const json_t *body, kube_fn *fn, void *arg)
{
	cleanup(free) char *taken = path;
	cleanup(free) char *text = body ? json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
	struct kube_call *c = calloc(1, sizeof(*c));
	const char *headers[] = { k->user_agent, NULL };
	struct http_call_config config = {
		.method = method,
		.path = path,
		.headers = headers,
		.body = text,
		.body_len = text ? strlen(text) : 0,
		.content_type = text ? (content_type ? content_type : "application/json") : NULL,
		.on_done = call_done,
		.arg = c,
	};

	if (!path || !c || (body && !text)) {
		free(c);
		return -ENOMEM;
	}
	c->fn = fn;
	c->arg = arg;
	c->http = http_call_start(k->http, &config);
	if (!c->http) {
		free(c);
		return -ENOMEM;
	}
	list_push_back(&k->calls, &c->link);
	return 0;
}

int kube_get(struct kube *k, const struct api_kind *kind, const char *ns, const char *name, const char *subresource,
	     kube_fn *fn, void *arg)
{
	return start(k, "GET", kube_path(kind, ns, name, subresource), NULL, NULL, fn, arg);
}

int kube_list(struct kube *k, const struct api_kind *kind, const char *ns, const char *query, kube_fn *fn, void *arg)
{
	cleanup(free) char *base = kube_path(kind, ns, NULL, NULL);
	char *path = NULL;

	if (!base || asprintf(&path, "%s%s%s", base, query ? "?" : "", query ? query : "") < 0)
		return -ENOMEM;
	return start(k, "GET", path, NULL, NULL, fn, arg);
}

int kube_create(struct kube *k, const struct api_kind *kind, const char *ns, const char *name, const char *subresource,
		const json_t *obj, kube_fn *fn, void *arg)
{
	return start(k, "POST", kube_path(kind, ns, name, subresource), NULL, obj, fn, arg);
}

int kube_update(struct kube *k, const struct api_kind *kind, const char *ns, const char *name, const char *subresource,
		const json_t *obj, kube_fn *fn, void *arg)
{
	return start(k, "PUT", kube_path(kind, ns, name, subresource), NULL, obj, fn, arg);
}

int kube_patch(struct kube *k, const struct api_kind *kind, const char *ns, const char *name, const char *subresource,
	       enum kube_patch type, const json_t *patch, kube_fn *fn, void *arg)
{
	static const char *const types[] = { "application/json-patch+json", "application/merge-patch+json",
					     "application/strategic-merge-patch+json" };

	return start(k, "PATCH", kube_path(kind, ns, name, subresource), types[type], patch, fn, arg);
}

int kube_delete(struct kube *k, const struct api_kind *kind, const char *ns, const char *name, const json_t *options,
		kube_fn *fn, void *arg)
{
	return start(k, "DELETE", kube_path(kind, ns, name, NULL), NULL, options, fn, arg);
}
