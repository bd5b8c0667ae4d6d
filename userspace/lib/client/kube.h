/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection to an API server, and the calls controllers make through it. Bodies are jansson trees (borrowed during
 * the call). Every call ends with exactly one callback, unless kube_cancel() or kube_free() drops it; result->obj is
 * borrowed for the callback (incref to keep).
 */
#ifndef SKEP_CLIENT_KUBE_H
#define SKEP_CLIENT_KUBE_H

#include "../api/api.h"
#include "../io/http_client.h"

/* What a kubeconfig says (current-context, or the one named). Strings are owned. */
struct kubeconfig {
	char *server, *ca_file, *cert_file, *key_file, *token, *namespace_, *context, *tls_server_name;
	char *token_file; /* NULL: none; where the token came from, and the next one will */
	bool insecure_skip_verify;
	int fds[3]; /* inline certificate data, in memory: *_file is its path in /proc until kubeconfig_done() */
	size_t n_fds;
};
/* path NULL: $KUBECONFIG (first existing of its list), else ~/.kube/config. context NULL: current-context. */
int kubeconfig_load(const char *path, const char *context, struct kubeconfig *ret, struct err *err);
void kubeconfig_done(struct kubeconfig *kc);

struct kube;
/* A token from a file is read again each minute: those of service accounts are replaced there before they end. */
int kube_new(struct loop *loop, const struct kubeconfig *kc, const char *user_agent, struct kube **ret,
	     struct err *err);
void kube_free(struct kube *k); /* drops open calls; free informers, recorders and leaders before */
struct loop *kube_loop(const struct kube *k);
struct http_client *kube_http(const struct kube *k);

struct kube_result {
	int status;	     /* HTTP status; 0: not reached */
	json_t *obj;	     /* answer, a Status on failure; NULL if none */
	const char *reason;  /* Status reason ("NotFound", "Conflict"); "" */
	const char *message; /* what went wrong, readable; "" on success */
};
static inline bool kube_ok(const struct kube_result *r)
{
	return r->status >= 200 && r->status < 300;
}
typedef void kube_fn(void *arg, const struct kube_result *r);
/* Drops the open calls that were given this arg: their callbacks do not run. For owners that go away. */
void kube_cancel(struct kube *k, const void *arg);

/* ns NULL for cluster-scoped kinds or all namespaces. subresource NULL: none. query: "a=b&c=d" or NULL. */
int kube_get(struct kube *k, const struct api_kind *kind, const char *ns, const char *name, const char *subresource,
	     kube_fn *fn, void *arg);
int kube_list(struct kube *k, const struct api_kind *kind, const char *ns, const char *query, kube_fn *fn, void *arg);
int kube_create(struct kube *k, const struct api_kind *kind, const char *ns, const char *name, const char *subresource,
		const json_t *obj, kube_fn *fn,
		void *arg); /* name and subresource: for "binding", "eviction"; else NULL */
int kube_update(struct kube *k, const struct api_kind *kind, const char *ns, const char *name, const char *subresource,
		const json_t *obj, kube_fn *fn, void *arg);
enum kube_patch { KUBE_PATCH_JSON, KUBE_PATCH_MERGE, KUBE_PATCH_STRATEGIC };
int kube_patch(struct kube *k, const struct api_kind *kind, const char *ns, const char *name, const char *subresource,
	       enum kube_patch type, const json_t *patch, kube_fn *fn, void *arg);
/* options: DeleteOptions or NULL (preconditions, gracePeriodSeconds, propagationPolicy). */
int kube_delete(struct kube *k, const struct api_kind *kind, const char *ns, const char *name, const json_t *options,
		kube_fn *fn, void *arg);
/* "/api/v1/namespaces/a/pods/b/status" etc. free() it. */
char *kube_path(const struct api_kind *kind, const char *ns, const char *name, const char *subresource);

/*
 * Events (events of kind Event in core/v1), aggregated: the same (object, reason, message) within 10 minutes raises
 * count by a patch. obj is the typed object they are about. Fire and forget, rate limited per object (25 burst, then
 * one in 5 minutes).
 */
struct kube_recorder;
struct kube_recorder *kube_recorder_new(struct kube *k, const char *component, const char *host);
void kube_recorder_free(struct kube_recorder *r);
void kube_event(struct kube_recorder *r, const struct api_kind *kind, const struct api_object *obj,
		const char *type /* Normal, Warning */, const char *reason, const char *fmt, ...)
	__attribute__((format(printf, 6, 7)));

#endif
