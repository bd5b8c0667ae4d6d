/* SPDX-License-Identifier: Apache-2.0 */
/* See fixture.h. Everything waits for events of the loop; the only clock is the deadline that fails a test. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "io/tls.h"

#define DEADLINE_MS 60000

static void make_identity(struct fx *f, int i, const char *cn, const char *group)
{
	const char *orgs[] = { group, NULL }, *dns[] = { "localhost", NULL }, *ips[] = { "127.0.0.1", NULL };
	struct tls_cert_request req = { .common_name = cn,
					.organizations = group ? orgs : NULL,
					.dns_names = dns,
					.ip_addresses = ips,
					.server = true,
					.client = true,
					.days = 2 };
	struct err err = ERR_INIT;
	char key[128];

	snprintf(f->files[i][0], 128, "%s/ca.crt", f->dir);
	snprintf(f->files[i][1], 128, "%s/%d.crt", f->dir, i);
	snprintf(f->files[i][2], 128, "%s/%d.key", f->dir, i);
	snprintf(key, sizeof(key), "%s/ca.key", f->dir);
	cr_assert(tls_make_cert(f->files[i][0], key, &req, f->files[i][1], f->files[i][2], &err) == 0);
	f->tls[i] = (struct tls_files){ f->files[i][0], f->files[i][1], f->files[i][2] };
}

void fx_init(struct fx *f)
{
	char ca[128], key[128];
	struct err err = ERR_INIT;

	memset(f, 0, sizeof(*f));
	log_set_level(LOG_ERROR);
	snprintf(f->dir, sizeof(f->dir), "/tmp/skep-apiserver-test-XXXXXX");
	cr_assert(mkdtemp(f->dir));
	snprintf(ca, sizeof(ca), "%s/ca.crt", f->dir);
	snprintf(key, sizeof(key), "%s/ca.key", f->dir);
	cr_assert(tls_make_ca("test", 2, ca, key, &err) == 0);
	make_identity(f, ADMIN, "admin", "system:masters");
	make_identity(f, ADMIN2, "admin-2", "system:masters");
	make_identity(f, NODE1, "system:node:node-1", "system:nodes");
	make_identity(f, SCHEDULER, "system:kube-scheduler", NULL);
	make_identity(f, STRANGER, "stranger", NULL);
	make_identity(f, N_WHO, "server", NULL);
	f->loop = loop_new();
	cr_assert(f->loop);
	snprintf(f->store, sizeof(f->store), "sqlite:%s/db", f->dir);
	f->config = (struct apiserver_config){ .listen = { "127.0.0.1:0" },
					       .n_listen = 1,
					       .store = f->store,
					       .tls = f->tls[N_WHO],
					       .kubelet = f->tls[ADMIN],
					       .advertise = "10.1.2.3:6443",
					       /* nobody here makes accounts for namespaces */
					       .disable_admission_plugins = "ServiceAccount" };
}

void fx_start(struct fx *f)
{
	int64_t end = clock_mono_ms() + DEADLINE_MS;
	struct err err = ERR_INIT;
	char url[64];

	cr_assert(apiserver_new(f->loop, &f->config, &f->server, &err) == 0, "%s", err.msg);
	snprintf(url, sizeof(url), "https://127.0.0.1:%d", apiserver_port(f->server, 0));
	for (int i = 0; i < N_WHO; i++) {
		struct tls_files anonymous = { f->tls[0].ca_file, NULL, NULL };
		struct http_client_config c = { .base_url = url, .tls = i == ANONYMOUS ? &anonymous : &f->tls[i] };

		cr_assert(http_client_new(f->loop, &c, &f->clients[i], &err) == 0);
	}
	while (!apiserver_ready(f->server)) {
		cr_assert(clock_mono_ms() < end, "not ready");
		loop_run_once(f->loop, 100);
	}
}

void fx_stop(struct fx *f)
{
	for (int i = 0; i < N_WHO; i++)
		http_client_free(f->clients[i]);
	memset(f->clients, 0, sizeof(f->clients));
	apiserver_free(f->server);
	f->server = NULL;
}

void fx_done(struct fx *f)
{
	if (f->server)
		fx_stop(f);
	loop_free(f->loop);
	dir_remove(f->dir, NULL);
}

struct refusal {
	bool closed;
	int status;
	char *text;
	size_t size;
};

static void upgrade_opened(struct http_upgrade *u, void *arg, const char *head)
{
	(void)u, (void)arg;
	cr_assert(false, "it was let through: %s", head);
}

static void upgrade_data(struct http_upgrade *u, void *arg, const void *data, size_t len)
{
	(void)u, (void)arg, (void)data, (void)len;
}

static void upgrade_closed(struct http_upgrade *u, void *arg, int status, const char *text)
{
	struct refusal *r = arg;

	(void)u;
	r->closed = true;
	r->status = status;
	snprintf(r->text, r->size, "%s", text ? text : "");
}

int fx_ws_refused(struct fx *f, enum who who, const char *path, const char *protocols, char *text, size_t size)
{
	static const struct http_upgrade_ops ops = { upgrade_opened, upgrade_data, upgrade_closed };
	struct refusal r = { .text = text, .size = size };
	int64_t end = clock_mono_ms() + DEADLINE_MS;
	struct err err = ERR_INIT;
	char offer[1024];
	const char *headers[] = { "Connection: Upgrade",
				  "Upgrade: websocket",
				  "Sec-WebSocket-Version: 13",
				  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
				  offer,
				  NULL };

	snprintf(offer, sizeof(offer), "Sec-WebSocket-Protocol: %s", protocols ? protocols : "v5.channel.k8s.io");
	cr_assert(http_upgrade_start(f->clients[who], "GET", path, headers, &ops, &r, &err), "%s", err.msg);
	while (!r.closed) {
		cr_assert(clock_mono_ms() < end);
		loop_run_once(f->loop, 1000);
	}
	return r.status;
}

struct pending {
	struct answer a;
	bool done;
};

static void on_done(struct http_call *call, void *arg, const struct http_response *rsp)
{
	struct pending *p = arg;

	(void)call;
	p->done = true;
	p->a.status = rsp->status;
	p->a.len = rsp->status ? rsp->len : strlen(rsp->error);
	p->a.text = malloc(p->a.len + 1);
	cr_assert(p->a.text);
	memcpy(p->a.text, rsp->status ? rsp->body : rsp->error, p->a.len);
	p->a.text[p->a.len] = '\0';
	api_json_parse(rsp->body, rsp->len, &p->a.json, NULL, NULL);
}

static void on_header(struct http_call *call, void *arg, const char *name, const char *value)
{
	struct pending *p = arg;

	(void)call;
	if (!strcasecmp(name, "warning") && !p->a.warning)
		p->a.warning = strdup(value);
	if (!strcasecmp(name, "content-type") && !p->a.content_type)
		p->a.content_type = strdup(value);
	if (!strcasecmp(name, "etag") && !p->a.etag)
		p->a.etag = strdup(value);
	if (!strcasecmp(name, "content-encoding") && !p->a.encoding)
		p->a.encoding = strdup(value);
	if (!strcasecmp(name, "location") && !p->a.location)
		p->a.location = strdup(value);
}

struct answer fx_call_bytes(struct fx *f, enum who who, const char *method, const char *path, const char *content_type,
			    const char *accept, const void *body, size_t len)
{
	int64_t end = clock_mono_ms() + DEADLINE_MS;
	struct pending p = { 0 };
	struct http_call_config c = { .method = method,
				      .path = path,
				      .content_type = content_type,
				      .accept = accept,
				      .body = body,
				      .body_len = len,
				      .headers = f->headers,
				      .on_done = on_done,
				      .on_header = on_header,
				      .arg = &p };

	cr_assert(http_call_start(f->clients[who], &c));
	while (!p.done) {
		cr_assert(clock_mono_ms() < end, "%s %s: no answer", method, path);
		loop_run_once(f->loop, 1000);
	}
	return p.a;
}

struct answer fx_call(struct fx *f, enum who who, const char *method, const char *path, const char *content_type,
		      const char *accept, const char *body)
{
	return fx_call_bytes(f, who, method, path, content_type, accept, body, body ? strlen(body) : 0);
}

void answer_done(struct answer *a)
{
	json_decref(a->json);
	free(a->text);
	free(a->warning);
	free(a->content_type);
	free(a->etag);
	free(a->encoding);
	free(a->location);
}

static const char *type_of(const char *method)
{
	return !strcmp(method, "PATCH") ? "application/merge-patch+json" : "application/json";
}

json_t *fx_expect(struct fx *f, int status, const char *method, const char *path, const char *body)
{
	struct answer a = fx_call(f, ADMIN, method, path, body ? type_of(method) : NULL, NULL, body);
	json_t *ret = json_incref(a.json);

	cr_assert(a.status == status, "%s %s: %d, expected %d: %s", method, path, a.status, status, a.text);
	answer_done(&a);
	return ret;
}

void fx_do(struct fx *f, int status, const char *method, const char *path, const char *body)
{
	json_decref(fx_expect(f, status, method, path, body));
}

void fx_refused(struct fx *f, enum who who, int status, const char *method, const char *path, const char *body,
		const char *text)
{
	struct answer a = fx_call(f, who, method, path, body ? type_of(method) : NULL, NULL, body);
	const char *message = api_get_str(a.json, "message");

	cr_assert(a.status == status, "%s %s: %d, expected %d: %s", method, path, a.status, status, a.text);
	cr_assert(message && strstr(message, text), "%s %s: '%s' is not in '%s'", method, path, text, a.text);
	cr_assert_str_eq(api_get_str(a.json, "kind"), "Status");
	cr_assert(api_get_int(a.json, "code", 0) == status);
	answer_done(&a);
}

static int on_watch_data(struct http_call *call, void *arg, const void *data, size_t len)
{
	struct fx_watch *w = arg;
	char *nl;

	(void)call;
	strbuf_add(&w->buf, data, len);
	while ((nl = memchr(w->buf.buf, '\n', w->buf.len))) {
		size_t n = (size_t)(nl - w->buf.buf);

		cr_assert(w->n < 256);
		cr_assert(api_json_parse(w->buf.buf, n, &w->events[w->n], NULL, NULL) == 0);
		w->n++;
		strbuf_drop_front(&w->buf, n + 1);
	}
	return 0;
}

static void on_watch_status(struct http_call *call, void *arg, int status)
{
	(void)call;
	((struct fx_watch *)arg)->status = status;
}

static void on_watch_done(struct http_call *call, void *arg, const struct http_response *rsp)
{
	struct fx_watch *w = arg;

	(void)call;
	(void)rsp;
	w->call = NULL;
	w->ended = true;
}

void fx_watch_start(struct fx *f, struct fx_watch *w, enum who who, const char *path, const char *accept)
{
	struct http_call_config c = { .method = "GET",
				      .path = path,
				      .accept = accept,
				      .timeout_ms = -1,
				      .on_data = on_watch_data,
				      .on_status = on_watch_status,
				      .on_done = on_watch_done,
				      .arg = w };
	int64_t end = clock_mono_ms() + DEADLINE_MS;

	memset(w, 0, sizeof(*w));
	w->f = f;
	strbuf_init(&w->buf);
	w->call = http_call_start(f->clients[who], &c);
	cr_assert(w->call);
	while (!w->status && !w->ended) {
		cr_assert(clock_mono_ms() < end, "watch %s: no answer", path);
		loop_run_once(f->loop, 1000);
	}
}

json_t *fx_watch_next(struct fx_watch *w)
{
	int64_t end = clock_mono_ms() + DEADLINE_MS;

	while (w->taken == w->n && !w->ended) {
		cr_assert(clock_mono_ms() < end, "no event");
		loop_run_once(w->f->loop, 1000);
	}
	return w->taken < w->n ? w->events[w->taken++] : NULL;
}

json_t *fx_watch_expect(struct fx_watch *w, const char *type, const char *name)
{
	json_t *ev = fx_watch_next(w);
	char *text;

	cr_assert(ev, "watch ended");
	text = json_dumps(ev, 0);
	cr_assert(streq(api_get_str(ev, "type"), type), "expected %s %s: %s", type, name, text);
	if (name)
		cr_assert(streq(api_get_str(ev, "object.metadata.name"), name), "expected %s %s: %s", type, name, text);
	free(text);
	return ev;
}

void fx_watch_done(struct fx_watch *w)
{
	if (w->call)
		http_call_cancel(w->call);
	for (size_t i = 0; i < w->n; i++)
		json_decref(w->events[i]);
	strbuf_done(&w->buf);
}
