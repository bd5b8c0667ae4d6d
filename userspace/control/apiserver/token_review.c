/* SPDX-License-Identifier: Apache-2.0 */
/* TokenReview, and what lets others check our tokens by themselves: OIDC discovery and the public keys. */
#include "authn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/str.h"

/* The audiences asked for; those of the API server if none. */
static int wanted(struct call *c, const char **ret)
{
	const json_t *list = api_get(c->body, "spec.audiences"), *v;
	size_t i, n = 0;

	if (!json_array_size(list)) {
		memcpy(ret, c->s->authn->audiences, sizeof(c->s->authn->audiences));
		return 0;
	}
	if (json_array_size(list) > AUTHN_MAX_AUDIENCES) {
		call_invalid1(c, API_C_TOO_MANY, "spec.audiences", "Too many: %zu: must have at most %d items",
			      json_array_size(list), AUTHN_MAX_AUDIENCES);
		return -1;
	}
	json_array_foreach (list, i, v)
		ret[n++] = json_string_value(v);
	ret[n] = NULL;
	return 0;
}

static bool for_us(const struct authn *a, const char *audience)
{
	for (const char *const *p = a->audiences; *p; p++)
		if (streq(*p, audience))
			return true;
	return false;
}

static void review_now(struct call *c)
{
	const char *audiences[AUTHN_MAX_AUDIENCES + 1], *why = NULL;
	struct token_user u;
	json_t *status, *list;
	int r;

	if (wanted(c, audiences) < 0)
		return;
	r = token_check(c->s->authn, api_get_str(c->body, "spec.token"), audiences, &u, &why);
	if (r == -ENOMEM) {
		call_oom(c);
		token_user_done(&u);
		return;
	}
	if (r < 0) {
		status = json_pack("{s:{},s:s}", "user", "error", why ? why : "invalid bearer token");
	} else {
		list = json_array();
		for (const char *const *p = audiences; *p; p++)
			if (u.claims ? jwt_has_audience(u.claims, *p) : for_us(c->s->authn, *p))
				json_array_append_new(list, json_string(*p));
		status = json_pack("{s:b,s:o,s:o}", "authenticated", 1, "user", identity_user_info(&u.who), "audiences",
				   list);
	}
	token_user_done(&u);
	review_answer(c, status);
}

void token_review(struct call *c)
{
	const char *token = api_get_str(c->body, "spec.token");

	if (!token || !*token) {
		call_status(c, 400, "BadRequest", "token is required for TokenReview in authentication");
		return;
	}
	cache_wait_fresh(c, review_now);
}

/* --- OIDC discovery ----------------------------------------------------------------------------------------------- */

static void answer_keys(struct call *c)
{
	const struct jwt_keys *keys = &c->s->authn->verify;
	json_t *list = json_array(), *doc;
	cleanup(free) char *text = NULL;

	for (size_t i = 0; i < keys->n; i++)
		json_array_append_new(list, jwt_jwk(&keys->v[i]));
	doc = json_pack("{s:o}", "keys", list);
	text = doc ? json_dumps(doc, JSON_COMPACT) : NULL;
	json_decref(doc);
	if (!text) {
		call_oom(c);
		return;
	}
	http_add_header(c->req, "Cache-Control", "public, max-age=3600");
	call_bytes(c, 200, "application/jwk-set+json", text, strlen(text));
}

static void answer_provider(struct call *c)
{
	const struct authn *a = c->s->authn;
	bool used[2] = { false };
	json_t *algs = json_array();
	char uri[600];
	int n = snprintf(uri, sizeof(uri), "%s/openid/v1/jwks", a->issuers[0]);

	if (n >= (int)sizeof(uri)) {
		json_decref(algs);
		call_status(c, 500, "InternalError", "the issuer's name is too long");
		return;
	}
	for (size_t i = 0; i < a->verify.n; i++)
		used[a->verify.v[i].alg] = true;
	if (used[JWT_ES256])
		json_array_append_new(algs, json_string("ES256"));
	if (used[JWT_RS256])
		json_array_append_new(algs, json_string("RS256"));
	http_add_header(c->req, "Cache-Control", "public, max-age=3600");
	call_json(c, 200,
		  json_pack("{s:s,s:s,s:[s],s:[s],s:o}", "issuer", a->issuers[0], "jwks_uri", uri,
			    "response_types_supported", "id_token", "subject_types_supported", "public",
			    "id_token_signing_alg_values_supported", algs));
}

bool oidc_handle(struct call *c, const char *path)
{
	bool provider = streq(path, "/.well-known/openid-configuration");

	if ((!provider && !streq(path, "/openid/v1/jwks")) || !c->s->authn->verify.n)
		return false;
	if (!streq(c->verb, "get"))
		call_status(c, 405, "MethodNotAllowed",
			    "the server does not allow this method on the requested resource");
	else if (provider)
		answer_provider(c);
	else
		answer_keys(c);
	return true;
}
