/* SPDX-License-Identifier: Apache-2.0 */
/* Joining a cluster and staying in it; see join.h. */
#include "join.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../lib/base/cleanup.h"
#include "../lib/base/clock.h"
#include "../lib/base/file.h"
#include "../lib/base/log.h"
#include "../lib/base/str.h"
#include "../lib/base/strmap.h"
#include "../lib/io/tls_csr.h"
#include "api/api_types.h"

#define CSRS	     "/apis/certificates.k8s.io/v1/certificatesigningrequests"
#define SIGNER	     "kubernetes.io/kube-apiserver-client-kubelet"
#define POLL_MS	     500
#define RENEW_POLL   5000
#define RETRY_MS     60000
#define GIVE_UP_MS   900000 /* a request nobody decides: make another */
#define CERT_FILE    "agent-client-current.pem"
#define MAX_LATER_MS (24 * 3600 * INT64_C(1000)) /* look again at least once a day */

/* --- the request -------------------------------------------------------------------------------------------------- */

static json_t *make_request(const char *node_name, char **ret_key, struct err *err)
{
	const char *orgs[] = { "system:nodes", NULL };
	cleanup(free) char *pem = NULL, *base64 = NULL;
	char user[300];
	json_t *obj;

	snprintf(user, sizeof(user), "system:node:%s", node_name);
	if (tls_csr_make(user, orgs, NULL, NULL, ret_key, &pem, err) < 0)
		return NULL;
	base64 = str_base64(pem, strlen(pem));
	obj = base64 ? json_pack("{s:s,s:s,s:{s:s},s:{s:s,s:s,s:[s,s]}}", "apiVersion", "certificates.k8s.io/v1",
				 "kind", "CertificateSigningRequest", "metadata", "generateName", "node-csr-", "spec",
				 "request", base64, "signerName", SIGNER, "usages", "digital signature", "client auth")
		     : NULL;
	if (!obj)
		err_set(err, ENOMEM, "out of memory");
	return obj;
}

/* 1: *ret_pem is the certificate; 0: not yet; <0: there will be none. */
static int outcome(const json_t *obj, char **ret_pem, struct err *err)
{
	const char *cert = api_get_str(obj, "status.certificate");
	json_t *list = api_get(obj, "status.conditions"), *v;
	size_t i, len;

	json_array_foreach (list, i, v) {
		const char *type = api_get_str(v, "type"), *why = api_get_str(v, "message");

		if (streq(type, "Denied") || streq(type, "Failed"))
			return err_set(err, EACCES, "certificate request %s: %s: %s", api_get_str(obj, "metadata.name"),
				       type, why ? why : "");
	}
	if (!cert || !*cert)
		return 0;
	*ret_pem = (char *)str_unbase64(cert, &len);
	return *ret_pem ? 1 : err_set(err, EINVAL, "the certificate is not base64");
}

static int store_pair(const char *pki_dir, const char *cert, const char *key, struct err *err)
{
	cleanup(strbuf_done) struct strbuf sb = STRBUF_INIT;
	char path[PATH_MAX];
	int r = dir_make(pki_dir, 0700, err);

	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "%s/" CERT_FILE, pki_dir);
	strbuf_addf(&sb, "%s\n%s", cert, key);
	if (strbuf_oom(&sb))
		return err_set(err, ENOMEM, "out of memory");
	r = file_write_atomic(path, sb.buf, sb.len, 0600, err);
	explicit_bzero(sb.buf, sb.len);
	return r;
}

/* --- joining ------------------------------------------------------------------------------------------------------ */

static int call(struct http_client *http, const char *method, const char *path, const json_t *body, json_t **ret,
		struct err *err)
{
	cleanup(free) char *text = body ? json_dumps(body, JSON_COMPACT) : NULL, *answer = NULL;
	struct http_call_config c = { .method = method,
				      .path = path,
				      .content_type = text ? "application/json" : NULL,
				      .body = text,
				      .body_len = text ? strlen(text) : 0 };
	json_t *obj = NULL;
	int status = 0, r;
	size_t len = 0;

	r = http_call_sync(http, &c, &status, &answer, &len, err);
	if (r < 0)
		return r;
	if (api_json_parse(answer, len, &obj, NULL, NULL) < 0 || status < 200 || status > 299) {
		const char *why = obj ? api_get_str(obj, "message") : NULL;

		r = err_set(err, status == 401 || status == 403 ? EACCES : EIO, "%s %s: %d %s", method, path, status,
			    why ? why : "");
		json_decref(obj);
		return r;
	}
	*ret = obj;
	return 0;
}

static int get_certificate(struct http_client *http, const char *node_name, const char *pki_dir, int64_t end_ms,
			   struct err *err)
{
	const struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };
	cleanup(free) char *key = NULL, *pem = NULL;
	json_t *obj = NULL, *req = make_request(node_name, &key, err);
	char path[400];
	int r;

	if (!req)
		return -ENOMEM;
	r = call(http, "POST", CSRS, req, &obj, err);
	json_decref(req);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), CSRS "/%s", api_get_str(obj, "metadata.name"));
	log_info("asked for a certificate by %s; it is waited for", strrchr(path, '/') + 1);
	while (!(r = outcome(obj, &pem, err))) {
		json_decref(obj);
		obj = NULL;
		if (clock_mono_ms() > end_ms)
			return err_set(err, ETIMEDOUT, "certificate request %s was neither approved nor denied",
				       strrchr(path, '/') + 1);
		nanosleep(&pause, NULL);
		r = call(http, "GET", path, NULL, &obj, err);
		if (r < 0)
			return r;
	}
	json_decref(obj);
	return r < 0 ? r : store_pair(pki_dir, pem, key, err);
}

static int write_kubeconfig(const struct kubeconfig *from, const char *path, const char *pki_dir, struct err *err)
{
	cleanup(free) char *ca = NULL, *ca64 = NULL, *text = NULL;
	char cert[PATH_MAX];
	size_t len = 0;
	json_t *v;
	int r = from->ca_file ? file_read(from->ca_file, 1 << 20, &ca, &len, err) : 0;

	if (r < 0)
		return r;
	snprintf(cert, sizeof(cert), "%s/" CERT_FILE, pki_dir);
	ca64 = str_base64(ca ? ca : "", len);
	/* JSON is YAML */
	v = ca64 ? json_pack("{s:s,s:s,s:s,s:[{s:s,s:{s:s,s:s}}],s:[{s:s,s:{s:s,s:s}}],s:[{s:s,s:{s:s,s:s}}]}",
			     "apiVersion", "v1", "kind", "Config", "current-context", "default", "clusters", "name",
			     "default", "cluster", "server", from->server, "certificate-authority-data", ca64,
			     "contexts", "name", "default", "context", "cluster", "default", "user", "default", "users",
			     "name", "default", "user", "client-certificate", cert, "client-key", cert)
		 : NULL;
	if (v && from->tls_server_name)
		(void)json_object_set_new(api_get(json_array_get(json_object_get(v, "clusters"), 0), "cluster"),
					  "tls-server-name", json_string(from->tls_server_name));
	text = v ? json_dumps(v, JSON_INDENT(2)) : NULL;
	json_decref(v);
	return text ? file_write_atomic(path, text, strlen(text), 0600, err) : err_set(err, ENOMEM, "out of memory");
}

/* There is a kubeconfig, and a certificate of ours that it may name is still good. */
static bool joined(const char *kubeconfig, const char *pki_dir)
{
	char cert[PATH_MAX];
	int64_t from, until;

	snprintf(cert, sizeof(cert), "%s/" CERT_FILE, pki_dir);
	if (access(kubeconfig, R_OK) < 0)
		return false;
	return tls_cert_times(cert, &from, &until, NULL) < 0 || until > clock_real_ms() / 1000;
}

int join_cluster(const char *node_name, const char *bootstrap, const char *kubeconfig, const char *pki_dir,
		 int64_t wait_ms, struct err *err)
{
	struct http_client *http = NULL;
	struct kubeconfig kc = { 0 };
	int r;

	if (joined(kubeconfig, pki_dir))
		return 0;
	r = kubeconfig_load(bootstrap, NULL, &kc, err);
	if (!r) {
		struct tls_files tls = { kc.ca_file, kc.cert_file, kc.key_file };
		struct http_client_config c = { .base_url = kc.server,
						.tls = &tls,
						.bearer_token = kc.token,
						.insecure_skip_verify = kc.insecure_skip_verify,
						.tls_server_name = kc.tls_server_name };

		r = http_client_new(NULL, &c, &http, err);
	}
	if (!r)
		r = get_certificate(http, node_name, pki_dir, clock_mono_ms() + wait_ms, err);
	if (!r)
		r = write_kubeconfig(&kc, kubeconfig, pki_dir, err);
	http_client_free(http);
	kubeconfig_done(&kc);
	return r < 0 ? err_wrap(err, r, "join the cluster") : 0;
}

/* --- renewal ------------------------------------------------------------------------------------------------------ */

struct renewal {
	struct kube *kube;
	char *node_name, *pki_dir, *cert;
	char *key, *name; /* of the request under way */
	int64_t asked_ms;
	struct loop_timer timer;
};

int64_t renewal_due_ms(int64_t from_s, int64_t until_s, int64_t now_ms, unsigned spread)
{
	int64_t life_ms = (until_s - from_s) * 1000;
	int64_t at_ms = from_s * 1000 + life_ms * 7 / 10 + life_ms / 5 * (spread % 1000) / 1000;

	return at_ms > now_ms ? at_ms - now_ms : 0;
}

static void later(struct renewal *r, int64_t ms)
{
	(void)loop_timer_set(kube_loop(r->kube), &r->timer, ms > MAX_LATER_MS ? MAX_LATER_MS : ms);
}

static void drop_request(struct renewal *r)
{
	if (r->key)
		explicit_bzero(r->key, strlen(r->key));
	free(r->key);
	free(r->name);
	r->key = r->name = NULL;
}

static void on_request(void *arg, const struct kube_result *res)
{
	struct renewal *r = arg;
	cleanup(free) char *pem = NULL;
	struct err err = ERR_INIT;
	int got;

	if (!kube_ok(res)) {
		log_warn("renewing the certificate: %s", res->message);
		drop_request(r);
		later(r, RETRY_MS);
		return;
	}
	if (!r->name && api_get_str(res->obj, "metadata.name"))
		r->name = strdup(api_get_str(res->obj, "metadata.name"));
	got = outcome(res->obj, &pem, &err);
	if (got == 0 && r->name && clock_mono_ms() - r->asked_ms < GIVE_UP_MS) {
		later(r, RENEW_POLL);
		return;
	}
	if (got > 0)
		got = store_pair(r->pki_dir, pem, r->key, &err);
	else if (got == 0)
		got = err_set(&err, ETIMEDOUT, "the request was neither approved nor denied");
	drop_request(r);
	if (got < 0)
		log_warn("renewing the certificate: %s", err.msg);
	else
		log_info("the client certificate has been renewed");
	later(r, got < 0 ? RETRY_MS : 0);
}

static void ask(struct renewal *r)
{
	struct err err = ERR_INIT;
	json_t *obj = make_request(r->node_name, &r->key, &err);

	r->asked_ms = clock_mono_ms();
	if (!obj ||
	    kube_create(r->kube, &api_kind_certificate_signing_request, NULL, NULL, NULL, obj, on_request, r) < 0) {
		log_warn("renewing the certificate: %s", err.code ? err.msg : "out of memory");
		drop_request(r);
		later(r, RETRY_MS);
	}
	json_decref(obj);
}

static void on_timer(struct loop_timer *timer)
{
	struct renewal *r = timer->arg;
	struct err err = ERR_INIT;
	int64_t from, until, due;

	if (r->name) {
		if (kube_get(r->kube, &api_kind_certificate_signing_request, NULL, r->name, NULL, on_request, r) < 0)
			later(r, RETRY_MS);
		return;
	}
	if (tls_cert_times(r->cert, &from, &until, &err) < 0) {
		log_warn("renewing the certificate: %s", err.msg);
		later(r, RETRY_MS);
		return;
	}
	due = renewal_due_ms(from, until, clock_real_ms(), (unsigned)str_hash(r->node_name, strlen(r->node_name)));
	if (due)
		later(r, due);
	else
		ask(r);
}

int renewal_start(struct kube *k, const struct kubeconfig *kc, const char *node_name, const char *pki_dir,
		  struct renewal **ret, struct err *err)
{
	struct renewal *r;
	char cert[PATH_MAX];

	snprintf(cert, sizeof(cert), "%s/" CERT_FILE, pki_dir);
	if (!streq(kc->cert_file, cert)) {
		*ret = NULL; /* somebody else looks after it */
		return 0;
	}
	r = calloc(1, sizeof(*r));
	if (!r)
		return err_set(err, ENOMEM, "out of memory");
	r->kube = k;
	r->node_name = strdup(node_name);
	r->pki_dir = strdup(pki_dir);
	r->cert = strdup(cert);
	r->timer.fn = on_timer;
	r->timer.arg = r;
	if (!r->node_name || !r->pki_dir || !r->cert) {
		renewal_free(r);
		return err_set(err, ENOMEM, "out of memory");
	}
	later(r, 0);
	*ret = r;
	return 0;
}

void renewal_free(struct renewal *r)
{
	if (!r)
		return;
	loop_timer_cancel(&r->timer);
	kube_cancel(r->kube, r);
	drop_request(r);
	free(r->node_name);
	free(r->pki_dir);
	free(r->cert);
	free(r);
}
