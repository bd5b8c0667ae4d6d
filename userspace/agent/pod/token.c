/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pod's service account tokens, one for each audience and lifetime that its volumes ask for, bound to the pod: made
 * by the API server, renewed at four fifths of their life or once a day, kept in memory only. While a renewal fails
 * the present token stays in use.
 */
#include "pod-internal.h"

#include <errno.h>
#include <string.h>

#include "../../lib/base/clock.h"
#include "../../lib/base/str.h"

#define DEFAULT_LIFE_S 3600
#define DAY_MS	       (24 * 3600 * INT64_C(1000))
#define RETRY_MS       10000

struct pod_token {
	struct pod_token *next;
	struct pod *pod;
	char *audience; /* "": the API server */
	int64_t life_s;
	char *token; /* NULL: none yet */
	int64_t renew_ms, retry_ms;
	bool asking;
	char *error; /* of the last attempt; NULL: it went well */
};

int64_t token_renew_after(int64_t life_ms, unsigned spread)
{
	int64_t after = life_ms * 4 / 5;

	if (after > DAY_MS)
		after = DAY_MS;
	/* a tenth of it, so that the pods of a node do not ask all at once */
	return after - (int64_t)(spread % 1000) * (after / 10) / 1000;
}

static void token_free(struct pod_token *t)
{
	free(t->audience);
	if (t->token)
		explicit_bzero(t->token, strlen(t->token));
	free(t->token);
	free(t->error);
	free(t);
}

void pod_tokens_free(struct pod *p)
{
	while (p->tokens) {
		struct pod_token *t = p->tokens;

		p->tokens = t->next;
		token_free(t);
	}
}

static int64_t life_of(const struct kube_result *r, int64_t wanted_s)
{
	const char *end = api_get_str(r->obj, "status.expirationTimestamp");
	int64_t at;

	if (end && clock_rfc3339_parse(end, &at) == 0 && at > clock_real_ms())
		return at - clock_real_ms();
	return wanted_s * 1000;
}

static void on_token(void *arg, const struct kube_result *r)
{
	struct pod_token *t = arg;
	struct pod *p = t->pod;
	const char *token = kube_ok(r) ? api_get_str(r->obj, "status.token") : NULL;

	t->asking = false;
	if (token && *token) {
		char *copy = strdup(token);

		if (copy) {
			free(t->token);
			t->token = copy;
			t->renew_ms = now_ms() + token_renew_after(life_of(r, t->life_s),
								   (unsigned)str_hash(p->uid, strlen(p->uid)));
			set_str(&t->error, NULL);
		}
	} else {
		set_str(&t->error, r->message && *r->message ? r->message : "the API server gave no token");
	}
	t->retry_ms = now_ms() + RETRY_MS;
	p->volumes_dirty = true;
	pod_kick(p);
	pod_drop(p);
}

static int ask(struct pod *p, struct pod_token *t)
{
	const char *account = p->obj->spec.service_account_name;
	json_t *req = json_pack("{s:s,s:s,s:{s:I,s:{s:s,s:s,s:s,s:s}}}", "kind", "TokenRequest", "apiVersion",
				"authentication.k8s.io/v1", "spec", "expirationSeconds", (json_int_t)t->life_s,
				"boundObjectRef", "kind", "Pod", "apiVersion", "v1", "name", p->name, "uid", p->uid);
	int r;

	if (req && *t->audience)
		(void)api_set(req, "spec.audiences", json_pack("[s]", t->audience));
	if (!req)
		return -ENOMEM;
	pod_hold(p);
	r = kube_create(p->m->kube, &api_kind_service_account, p->ns, account && *account ? account : "default",
			"token", req, on_token, t);
	json_decref(req);
	if (r < 0) {
		pod_drop(p);
		return r;
	}
	t->asking = true;
	return 0;
}

static struct pod_token *find(struct pod *p, const char *audience, int64_t life_s)
{
	struct pod_token *t;

	for (t = p->tokens; t; t = t->next)
		if (streq(t->audience, audience) && t->life_s == life_s)
			return t;
	t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->pod = p;
	t->life_s = life_s;
	t->audience = strdup(audience);
	if (!t->audience) {
		free(t);
		return NULL;
	}
	t->next = p->tokens;
	p->tokens = t;
	return t;
}

int pod_token(struct pod *p, const struct api_service_account_token_projection *want, const char **ret, struct err *err)
{
	int64_t life_s = want->expiration_seconds.set ? want->expiration_seconds.v : DEFAULT_LIFE_S;
	struct pod_token *t = find(p, want->audience ? want->audience : "", life_s);
	bool due;
	int r;

	if (!t)
		return err_set(err, ENOMEM, "out of memory");
	due = !t->token || t->renew_ms <= now_ms();
	if (due && !t->asking && t->retry_ms <= now_ms()) {
		r = ask(p, t);
		if (r < 0)
			return err_set(err, -r, "cannot ask for a token");
	}
	if (t->token) {
		*ret = t->token;
		return 0;
	}
	if (t->error)
		return err_set(err, EACCES, "failed to fetch token: %s", t->error);
	return err_set(err, EAGAIN, "the token has been asked for");
}

int64_t pod_tokens_due(const struct pod *p)
{
	int64_t due = 0;

	for (const struct pod_token *t = p->tokens; t; t = t->next) {
		int64_t at = t->renew_ms > t->retry_ms ? t->renew_ms : t->retry_ms;

		if (!t->asking && t->token && (!due || at < due))
			due = at;
	}
	return due;
}
