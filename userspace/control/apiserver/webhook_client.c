/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See webhook_client.h. A service is reached at one of its endpoints, not at its cluster address, which only nodes can
 * reach; its certificate is for <service>.<namespace>.svc all the same.
 */
#include "webhook_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/str.h"
#include "admission-internal.h"
#include "endpoint_pick.h"

#define MAX_IDLE 32

struct hook_client {
	struct list link; /* of s->hook_clients, least recently used first */
	char *key;
	struct http_client *http;
	unsigned users;
};

struct hook_call {
	struct list link; /* of s->hook_calls */
	struct hook_client *client;
	struct http_call *http;
	hook_done_fn *fn;
	void *arg;
};

struct hook_clients {
	struct list clients, calls;
	size_t n;
	unsigned turn; /* endpoints take turns */
};

struct target {
	char base[400];	 /* https://address:port */
	char path[400];	 /* with its leading slash */
	char name[520];	 /* of the certificate; "": the URL's */
	char shown[500]; /* for messages */
};

static struct hook_clients *clients_of(struct apiserver *s)
{
	if (!s->hooks) {
		s->hooks = calloc(1, sizeof(*s->hooks));
		if (!s->hooks)
			return NULL;
		list_init(&s->hooks->clients);
		list_init(&s->hooks->calls);
	}
	return s->hooks;
}

static void client_free(struct hook_clients *h, struct hook_client *cl)
{
	list_remove(&cl->link);
	h->n--;
	http_client_free(cl->http);
	free(cl->key);
	free(cl);
}

static struct hook_client *client_get(struct apiserver *s, const struct target *t, const char *ca_pem, struct err *err)
{
	struct hook_clients *h = s->hooks;
	struct tls_files no_files = { NULL, NULL, NULL };
	struct http_client_config config = {
		.base_url = t->base, .tls = &no_files, .ca_pem = ca_pem, .tls_server_name = t->name[0] ? t->name : NULL
	};
	cleanup(free) char *key = NULL;
	struct hook_client *cl;

	if (asprintf(&key, "%s\n%s\n%s", t->base, t->name, ca_pem ? ca_pem : "") < 0) {
		key = NULL;
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	list_for_each (l, &h->clients) {
		cl = list_entry(l, struct hook_client, link);
		if (streq(cl->key, key)) {
			list_remove(&cl->link);
			list_push_back(&h->clients, &cl->link);
			return cl;
		}
	}
	list_for_each_safe (l, tmp, &h->clients) {
		cl = list_entry(l, struct hook_client, link);
		if (h->n < MAX_IDLE)
			break;
		if (!cl->users)
			client_free(h, cl);
	}
	cl = calloc(1, sizeof(*cl));
	if (!cl) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	if (http_client_new(s->loop, &config, &cl->http, err) < 0) {
		free(cl);
		return NULL;
	}
	cl->key = TAKE(key);
	list_push_back(&h->clients, &cl->link);
	h->n++;
	return cl;
}

/* --- where -------------------------------------------------------------------------------------------------------- */

static int resolve_service(struct apiserver *s, const json_t *ref, struct target *t, struct err *err)
{
	const char *ns = api_get_str(ref, "namespace"), *name = api_get_str(ref, "name"),
		   *path = api_get_str(ref, "path"), *port_name = NULL;
	int64_t port = api_get_int(ref, "port", 443);
	json_t *service, *v;
	bool found;
	size_t i;

	if (!ns || !name)
		return err_set(err, EINVAL, "the reference names no service");
	snprintf(t->path, sizeof(t->path), "%.390s", path && *path ? path : "/");
	snprintf(t->name, sizeof(t->name), "%.253s.%.250s.svc", name, ns);
	snprintf(t->shown, sizeof(t->shown), "https://%.100s.%.63s.svc:%lld%.200s", name, ns, (long long)port, t->path);
	service = admission_get(s, "", "services", ns, name);
	if (!service)
		return err_set(err, ENOENT, "Post \"%s\": service \"%s\" not found", t->shown, name);
	json_array_foreach (api_get(service, "spec.ports"), i, v)
		if (api_get_int(v, "port", 0) == port)
			port_name = api_get_str(v, "name") ?: "";
	if (!port_name) {
		json_decref(service);
		return err_set(err, ENOENT, "Post \"%s\": no service port %lld found for service \"%s\"", t->shown,
			       (long long)port, name);
	}
	found = endpoint_pick(s, ns, name, port_name, "https", ++s->hooks->turn, t->base, sizeof(t->base));
	json_decref(service);
	if (!found)
		return err_set(err, ENOENT, "Post \"%s\": no endpoints available for service \"%s\"", t->shown, name);
	return 0;
}

static int resolve(struct apiserver *s, const json_t *config, struct target *t, struct err *err)
{
	const char *url = api_get_str(config, "url"), *path;
	json_t *ref = json_object_get(config, "service");

	memset(t, 0, sizeof(*t));
	if (ref)
		return resolve_service(s, ref, t, err);
	if (!url || !str_starts(url, "https://") || strlen(url) > 380)
		return err_set(err, EINVAL, "the webhook's URL cannot be used");
	path = strchr(url + strlen("https://"), '/');
	snprintf(t->base, sizeof(t->base), "%.*s", path ? (int)(path - url) : (int)strlen(url), url);
	snprintf(t->path, sizeof(t->path), "%s", path ? path : "/");
	snprintf(t->shown, sizeof(t->shown), "%s", url);
	return 0;
}

/* --- calls -------------------------------------------------------------------------------------------------------- */

static void call_end(struct hook_call *k)
{
	list_remove(&k->link);
	k->client->users--;
	free(k);
}

static void on_done(struct http_call *http, void *arg, const struct http_response *rsp)
{
	struct hook_call *k = arg;
	struct hook_result res = { .status = rsp->status,
				   .body = rsp->body,
				   .len = rsp->len,
				   .error = rsp->error ? rsp->error : "no answer",
				   .timed_out = rsp->code == -ETIMEDOUT };
	hook_done_fn *fn = k->fn;
	void *fn_arg = k->arg;

	(void)http;
	call_end(k);
	fn(fn_arg, &res);
}

int hook_call_start(struct apiserver *s, const json_t *client_config, const char *body, int64_t timeout_s,
		    size_t max_answer, char *url, size_t url_size, hook_done_fn *fn, void *arg, struct err *err)
{
	cleanup(free) unsigned char *ca = NULL;
	cleanup(free) char *ca_text = NULL;
	const char *bundle = api_get_str(client_config, "caBundle");
	struct http_call_config config = { .method = "POST", .content_type = "application/json", .on_done = on_done };
	char path[440];
	struct hook_call *k;
	struct target t;
	size_t len = 0;

	if (!clients_of(s))
		return err_set(err, ENOMEM, "out of memory");
	if (resolve(s, client_config, &t, err) < 0)
		return -ENOENT;
	snprintf(url, url_size, "%s?timeout=%llds", t.shown, (long long)timeout_s);
	if (bundle && *bundle) {
		ca = str_unbase64(bundle, &len);
		ca_text = ca ? strndup((const char *)ca, len) : NULL;
		if (!ca_text)
			return err_set(err, EINVAL,
				       "unable to load root certificates: unable to parse bytes as PEM "
				       "block");
	}
	k = calloc(1, sizeof(*k));
	if (!k)
		return err_set(err, ENOMEM, "out of memory");
	k->fn = fn;
	k->arg = arg;
	k->client = client_get(s, &t, ca_text, err);
	if (!k->client) {
		free(k);
		return -EIO;
	}
	k->client->users++;
	list_push_back(&s->hooks->calls, &k->link);
	snprintf(path, sizeof(path), "%s?timeout=%llds", t.path, (long long)timeout_s);
	config.path = path;
	config.body = body;
	config.body_len = strlen(body);
	config.timeout_ms = (int)(timeout_s * 1000);
	config.max_body = max_answer;
	config.arg = k;
	k->http = http_call_start(k->client->http, &config);
	if (!k->http) {
		call_end(k);
		return err_set(err, ENOMEM, "out of memory");
	}
	return 0;
}

void hook_clients_done(struct apiserver *s)
{
	struct hook_clients *h = s->hooks;

	if (!h)
		return;
	while (!list_empty(&h->calls)) {
		struct hook_call *k = list_first(&h->calls, struct hook_call, link);
		hook_done_fn *fn = k->fn;
		void *arg = k->arg;

		http_call_cancel(k->http);
		call_end(k);
		fn(arg, NULL);
	}
	while (!list_empty(&h->clients))
		client_free(h, list_first(&h->clients, struct hook_client, link));
	free(h);
	s->hooks = NULL;
}
