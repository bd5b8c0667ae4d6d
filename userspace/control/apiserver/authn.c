/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks: the verified client certificate's CN is the user and its Os are the groups, as in Kubernetes; without a
 * certificate a bearer token tells; who shows nothing is system:anonymous. A bad credential is never anonymous.
 */
#include "authn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/log.h"
#include "../../lib/base/str.h"

#define LOAD_TIMEOUT_MS 5000
#define DEFAULT_ISSUER	"https://kubernetes.default.svc.cluster.local"

/* One answer for every bad credential: which check failed is nobody's business. */
void authn_refuse(struct call *c)
{
	if (c->req && !c->answered)
		http_add_header(c->req, "WWW-Authenticate", "Bearer realm=\"kubernetes\"");
	call_status(c, 401, "Unauthorized", "Unauthorized");
}

static void known(struct call *c, const struct identity *who)
{
	if (identity_copy(&c->who, who) < 0)
		call_oom(c);
	else
		impersonate(c, c->authn_then);
}

static void by_certificate(struct call *c, const char *cn)
{
	const char *groups[MAX_GROUPS], *org;
	struct identity who = { .user = cn, .groups = groups, .authenticated = true };

	for (size_t i = 0; who.n_groups < MAX_GROUPS - 1 && (org = http_req_cert_org(c->req, i)); i++)
		who.groups[who.n_groups++] = org;
	who.groups[who.n_groups++] = "system:authenticated";
	known(c, &who);
}

/* The token of an Authorization header; NULL: none. */
static const char *bearer(const char *header)
{
	if (!header || strncasecmp(header, "Bearer", 6) != 0 || (header[6] != ' ' && header[6] != '\t'))
		return NULL;
	header += 6;
	header += strspn(header, " \t");
	return *header ? header : NULL;
}

/* Tokens without an audience of their own are for the API server alone. */
static bool for_us(const struct authn *a, const char *const *audiences)
{
	for (const char *const *p = a->audiences; *p; p++)
		for (const char *const *q = audiences; *q; q++)
			if (streq(*p, *q))
				return true;
	return false;
}

int token_check(struct authn *a, const char *token, const char *const *audiences, struct token_user *ret,
		const char **ret_why)
{
	memset(ret, 0, sizeof(*ret));
	*ret_why = "invalid bearer token";
	if (static_token_find(a->fixed, token, &ret->who))
		return for_us(a, audiences) ? 0 : -EACCES;
	if (is_bootstrap_token(token))
		return for_us(a, audiences) ? bootstrap_token_check(a->s, token, ret) : -EACCES;
	return service_account_check(a, token, strlen(token), audiences, ret, ret_why);
}

/* The token that the request shows, in its header or in buf; NULL: none. -EINVAL: one that is none. */
static int token_of(struct http_req *req, char *buf, size_t size, const char **ret)
{
	int r;

	*ret = bearer(http_req_header(req, "authorization"));
	if (*ret || !http_req_wants_upgrade(req, "websocket"))
		return 0;
	r = ws_bearer(http_req_header(req, "sec-websocket-protocol"), buf, size);
	if (r > 0)
		*ret = buf;
	return r < 0 ? r : 0;
}

static void by_token(struct call *c)
{
	struct authn *a = c->s->authn;
	char offered[JWT_MAX_BYTES + 1];
	struct token_user u;
	const char *token, *why;
	int r;

	if (!c->req)
		return;
	if (token_of(c->req, offered, sizeof(offered), &token) < 0 || !token) {
		authn_refuse(c);
		return;
	}
	r = token_check(a, token, a->audiences, &u, &why);
	if (r == 0) {
		known(c, &u.who);
	} else if (r == -ENOENT && !c->s->single_writer && !c->authn_again) {
		/* Another server has acknowledged the object, and our cache has not seen it yet. */
		c->authn_again = true;
		cache_wait_fresh(c, by_token);
	} else if (r == -ENOMEM) {
		call_oom(c);
	} else {
		log_debug("refused a bearer token: %s", why);
		authn_refuse(c);
	}
	token_user_done(&u);
}

void authn_identify(struct call *c, call_fn *then)
{
	const char *cn = http_req_cert_cn(c->req), *token;
	char offered[JWT_MAX_BYTES + 1];

	c->authn_then = then;
	if (cn && *cn) {
		by_certificate(c, cn);
	} else if (token_of(c->req, offered, sizeof(offered), &token) < 0) {
		authn_refuse(c);
	} else if (token) {
		cache_wait(c, 0, LOAD_TIMEOUT_MS, by_token);
	} else {
		static const char *groups[] = { "system:unauthenticated" };
		static const struct identity anonymous = { .user = "system:anonymous",
							   .groups = groups,
							   .n_groups = 1 };

		known(c, &anonymous);
	}
}

void self_subject_review(struct call *c)
{
	review_answer(c, json_pack("{s:o}", "userInfo", identity_user_info(&c->who)));
}

/* --- settings ----------------------------------------------------------------------------------------------------- */

static int load_keys(struct authn *a, const struct apiserver_config *config, struct err *err)
{
	int r = 0;

	if (config->sa_signing_key) {
		r = jwt_keys_load(&a->sign, config->sa_signing_key, true, err);
		if (!r)
			r = jwt_keys_load(&a->verify, config->sa_signing_key, true, err);
	}
	for (int i = 0; !r && i < config->n_sa_keys; i++)
		r = jwt_keys_load(&a->verify, config->sa_keys[i], false, err);
	return r;
}

/* Issuers, then audiences, as one block of strings. */
static int copy_names(struct authn *a, const struct apiserver_config *config, struct err *err)
{
	cleanup(strbuf_done) struct strbuf all = STRBUF_INIT;
	size_t n = 0, n_issuers = (size_t)(config->n_sa_issuers ? config->n_sa_issuers : 1);
	const char *p = config->api_audiences;

	if (!config->n_sa_issuers)
		strbuf_add(&all, DEFAULT_ISSUER, sizeof(DEFAULT_ISSUER));
	for (int i = 0; i < config->n_sa_issuers; i++)
		strbuf_add(&all, config->sa_issuers[i], strlen(config->sa_issuers[i]) + 1);
	for (; p && *p; p += strspn(p, ",")) {
		size_t len = strcspn(p, ",");

		if (n++ == AUTHN_MAX_AUDIENCES)
			return err_set(err, E2BIG, "--api-audiences: more than %d", AUTHN_MAX_AUDIENCES);
		strbuf_add(&all, p, len);
		strbuf_addc(&all, '\0');
		p += len;
	}
	a->strings = strbuf_detach(&all, NULL);
	if (!a->strings)
		return err_set(err, ENOMEM, "out of memory");
	p = a->strings;
	for (size_t i = 0; i < n_issuers; i++, p += strlen(p) + 1)
		a->issuers[i] = p;
	for (size_t i = 0; i < n; i++, p += strlen(p) + 1)
		a->audiences[i] = p;
	if (!n)
		a->audiences[0] = a->issuers[0];
	return 0;
}

int authn_new(struct apiserver *s, const struct apiserver_config *config, struct authn **ret, struct err *err)
{
	struct authn *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return err_set(err, ENOMEM, "out of memory");
	a->s = s;
	a->max_expiration_s = config->sa_max_expiration_s;
	a->known = strmap_new();
	r = a->known ? copy_names(a, config, err) : err_set(err, ENOMEM, "out of memory");
	if (!r)
		r = load_keys(a, config, err);
	if (!r && config->token_auth_file)
		r = static_tokens_load(config->token_auth_file, &a->fixed, err);
	if (r < 0) {
		authn_free(a);
		return err_wrap(err, r, "tokens");
	}
	*ret = a;
	return 0;
}

void authn_free(struct authn *a)
{
	if (!a)
		return;
	if (a->known)
		known_tokens_clear(a);
	strmap_free(a->known);
	static_tokens_free(a->fixed);
	jwt_keys_done(&a->sign);
	jwt_keys_done(&a->verify);
	free(a->strings);
	free(a);
}
