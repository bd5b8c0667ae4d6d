/* SPDX-License-Identifier: Apache-2.0 */
/* Who is known, and every refusal of those who are not. */
#include <stdio.h>
#include <string.h>

#include "../../../userspace/control/apiserver/apiserver-internal.h"
#include "../../../userspace/control/apiserver/jwt.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "fixture.h"
#include "io/tls.h"

#define SELF_REVIEWS  "/apis/authentication.k8s.io/v1/selfsubjectreviews"
#define TOKEN_REVIEWS "/apis/authentication.k8s.io/v1/tokenreviews"
#define SAS	      "/api/v1/namespaces/default/serviceaccounts"
#define ISSUER	      "https://kubernetes.default.svc.cluster.local"

static void start(struct fx *f)
{
	static char key[128];
	struct err err = ERR_INIT;

	fx_init(f);
	snprintf(key, sizeof(key), "%s/sa.key", f->dir);
	cr_assert(tls_make_key(key, &err) == 0);
	f->config.sa_signing_key = key;
	fx_start(f);
}

/* A call by a client of its own: with a token, with further headers, with who's certificate (ANONYMOUS: none). */
static struct answer call_as(struct fx *f, enum who who, const char *token, const char *const *headers,
			     const char *method, const char *path, const char *body)
{
	struct tls_files anonymous = { f->tls[0].ca_file, NULL, NULL };
	struct http_client_config c = { .tls = who == ANONYMOUS ? &anonymous : &f->tls[who],
					.bearer_token = token,
					.headers = headers };
	struct http_client *was = f->clients[who];
	struct err err = ERR_INIT;
	struct answer a;
	char url[64];

	snprintf(url, sizeof(url), "https://127.0.0.1:%d", apiserver_port(f->server, 0));
	c.base_url = url;
	cr_assert(http_client_new(f->loop, &c, &f->clients[who], &err) == 0);
	a = fx_call(f, who, method, path, body ? "application/json" : NULL, NULL, body);
	http_client_free(f->clients[who]);
	f->clients[who] = was;
	return a;
}

/* As the API server tells others. */
static struct answer whoami(struct fx *f, const char *token)
{
	char body[JWT_MAX_BYTES + 64];

	snprintf(body, sizeof(body), "{\"spec\":{\"token\":\"%s\"}}", token);
	return fx_call(f, ADMIN, "POST", TOKEN_REVIEWS, "application/json", NULL, body);
}

static void token_is(struct fx *f, const char *token, int status)
{
	struct answer a = call_as(f, ANONYMOUS, token, NULL, "GET", "/api", NULL);

	cr_assert(a.status == status, "%d, expected %d: %s", a.status, status, a.text);
	if (status == 401)
		cr_assert_str_eq(api_get_str(a.json, "message"), "Unauthorized");
	answer_done(&a);
}

/* The token that service account `name` gets for this spec. */
static char *token_for(struct fx *f, const char *name, const char *spec)
{
	char path[256], body[1024];
	json_t *v;
	char *token;

	snprintf(path, sizeof(path), SAS "/%s/token", name);
	snprintf(body, sizeof(body), "{\"spec\":{%s}}", spec);
	v = fx_expect(f, 201, "POST", path, body);
	cr_assert(api_get_str(v, "status.token"));
	cr_assert(api_get_str(v, "status.expirationTimestamp"));
	token = strdup(api_get_str(v, "status.token"));
	json_decref(v);
	return token;
}

static void make_account(struct fx *f, const char *name)
{
	char body[256];

	snprintf(body, sizeof(body), "{\"metadata\":{\"name\":\"%s\"}}", name);
	fx_do(f, 201, "POST", SAS, body);
}

static char *uid_of(struct fx *f, const char *path)
{
	json_t *v = fx_expect(f, 200, "GET", path, NULL);
	char *uid = strdup(api_get_str(v, "metadata.uid"));

	json_decref(v);
	return uid;
}

Test(authn, who_asks_by_certificate)
{
	struct fx f;
	struct answer a;

	start(&f);
	a = fx_call(&f, ADMIN, "POST", SELF_REVIEWS, "application/json", NULL,
		    "{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"SelfSubjectReview\"}");
	cr_assert(a.status == 201, "%s", a.text);
	cr_assert_str_eq(api_get_str(a.json, "kind"), "SelfSubjectReview");
	cr_assert_str_eq(api_get_str(a.json, "status.userInfo.username"), "admin");
	cr_assert_str_eq(json_string_value(json_array_get(api_get(a.json, "status.userInfo.groups"), 0)),
			 "system:masters");
	cr_assert_str_eq(json_string_value(json_array_get(api_get(a.json, "status.userInfo.groups"), 1)),
			 "system:authenticated");
	answer_done(&a);
	fx_refused(&f, ANONYMOUS, 401, "POST", SELF_REVIEWS, "{}", "Unauthorized");
	/* a question is only asked: there is nothing to read */
	fx_refused(&f, ADMIN, 405, "GET", SELF_REVIEWS, NULL, "does not allow this method");
	fx_refused(&f, ADMIN, 405, "DELETE", SELF_REVIEWS "/x", NULL, "does not allow this method");
	/* a certificate is stronger than a token, even than a bad one */
	a = call_as(&f, ADMIN, "nonsense", NULL, "GET", CMS, NULL);
	cr_assert(a.status == 200);
	answer_done(&a);
	fx_done(&f);
}

Test(authn, service_account_tokens)
{
	struct fx f;
	struct answer a;
	char *token, *uid;

	start(&f);
	make_account(&f, "robot");
	uid = uid_of(&f, SAS "/robot");
	token = token_for(&f, "robot", "");
	/* twice: the second time the token is known */
	for (int i = 0; i < 2; i++) {
		a = whoami(&f, token);
		cr_assert(a.status == 201, "%s", a.text);
		cr_assert_str_eq(api_get_str(a.json, "status.user.username"), "system:serviceaccount:default:robot");
		cr_assert_str_eq(api_get_str(a.json, "status.user.uid"), uid);
		{
			const json_t *groups = api_get(a.json, "status.user.groups");

			cr_assert(json_array_size(groups) == 3);
			cr_assert_str_eq(json_string_value(json_array_get(groups, 0)), "system:serviceaccounts");
			cr_assert_str_eq(json_string_value(json_array_get(groups, 1)),
					 "system:serviceaccounts:default");
			cr_assert_str_eq(json_string_value(json_array_get(groups, 2)), "system:authenticated");
		}
		cr_assert(strstr(a.text, "\"authentication.kubernetes.io/credential-id\":[\"JTI="));
		answer_done(&a);
	}
	/* the account is deleted, and made again under its name: another one */
	fx_do(&f, 200, "DELETE", SAS "/robot", NULL);
	token_is(&f, token, 401);
	make_account(&f, "robot");
	token_is(&f, token, 401);
	free(token);
	free(uid);
	fx_done(&f);
}

Test(authn, tokens_die_with_what_they_are_bound_to)
{
	static const struct {
		const char *kind, *collection, *body;
	} t[] = {
		{ "Secret", "/api/v1/namespaces/default/secrets", "{\"metadata\":{\"name\":\"b\"}}" },
		{ "Node", "/api/v1/nodes", "{\"metadata\":{\"name\":\"b\"}}" },
		{ "Pod", PODS, POD("b", "\"serviceAccountName\":\"robot\",\"nodeName\":\"node-1\",") },
	};
	struct fx f;

	start(&f);
	make_account(&f, "robot");
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		char spec[256], path[128], *token, *uid;
		struct answer a;

		snprintf(path, sizeof(path), "%s/b", t[i].collection);
		fx_do(&f, 201, "POST", t[i].collection, t[i].body);
		uid = uid_of(&f, path);
		snprintf(spec, sizeof(spec),
			 "\"boundObjectRef\":{\"kind\":\"%s\",\"apiVersion\":\"v1\",\"name\":\"b\",\"uid\":\"%s\"}",
			 t[i].kind, uid);
		token = token_for(&f, "robot", spec);
		a = whoami(&f, token);
		cr_assert(a.status == 201, "%s: %s", t[i].kind, a.text);
		if (streq(t[i].kind, "Pod")) {
			const json_t *extra = api_get(a.json, "status.user.extra");
			const json_t *v = json_object_get(extra, "authentication.kubernetes.io/pod-uid");

			cr_assert_str_eq(json_string_value(json_array_get(v, 0)), uid);
			v = json_object_get(extra, "authentication.kubernetes.io/pod-name");
			cr_assert_str_eq(json_string_value(json_array_get(v, 0)), "b");
			v = json_object_get(extra, "authentication.kubernetes.io/node-name");
			cr_assert_str_eq(json_string_value(json_array_get(v, 0)), "node-1");
		}
		answer_done(&a);
		snprintf(path, sizeof(path), "%s/b?gracePeriodSeconds=0", t[i].collection);
		fx_do(&f, 200, "DELETE", path, NULL);
		token_is(&f, token, 401);
		/* the same name is another object */
		fx_do(&f, 201, "POST", t[i].collection, t[i].body);
		token_is(&f, token, 401);
		free(token);
		free(uid);
	}
	fx_done(&f);
}

Test(authn, token_requests_that_are_refused)
{
	static const struct {
		const char *name, *body;
		int status;
		const char *text;
	} t[] = {
		{ "nobody", "{}", 404, "serviceaccounts \"nobody\" not found" },
		{ "robot", "{\"spec\":{\"expirationSeconds\":599}}", 422, "less than 10 minutes" },
		{ "robot", "{\"spec\":{\"expirationSeconds\":4294967297}}", 422, "larger than 2^32" },
		{ "robot", "{\"spec\":{\"expirationSeconds\":\"600\"}}", 400, "expirationSeconds" },
		{ "robot", "{\"kind\":\"Pod\"}", 400, "does not match the expected kind" },
		{ "robot", "{\"metadata\":{\"name\":\"other\"}}", 400, "does not match" },
		{ "robot", "{\"metadata\":{\"uid\":\"other\"}}", 409, "UID" },
		{ "robot",
		  "{\"spec\":{\"boundObjectRef\":{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"name\":\"x\"}}}", 400,
		  "cannot bind token" },
		{ "robot", "{\"spec\":{\"boundObjectRef\":{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"name\":\"x\"}}}",
		  404, "pods \"x\" not found" },
		{ "robot", "{\"spec\":{\"boundObjectRef\":{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"name\":\"p\"}}}",
		  400, "different serviceaccount name" },
		{ "other",
		  "{\"spec\":{\"boundObjectRef\":{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"name\":\"p\",\"uid\":\"u\"}}}",
		  409, "does not match the UID in record" },
	};
	struct fx f;
	char path[128];

	start(&f);
	make_account(&f, "robot");
	make_account(&f, "other");
	fx_do(&f, 201, "POST", PODS, POD("p", "\"serviceAccountName\":\"other\","));
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		snprintf(path, sizeof(path), SAS "/%s/token", t[i].name);
		fx_refused(&f, ADMIN, t[i].status, "POST", path, t[i].body, t[i].text);
	}
	fx_refused(&f, ADMIN, 405, "GET", SAS "/robot/token", NULL, "method");
	fx_done(&f);
}

Test(authn, bad_bearer_tokens)
{
	static const char *const t[] = { "x", "a.b.c", "eyJhbGciOiJub25lIn0.e30.",
					 "eyJhbGciOiJFUzI1NiIsImtpZCI6ImsifQ.e30.AAAA", "abcdef.0123456789abcdef" };
	struct fx f;

	start(&f);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		token_is(&f, t[i], 401);
	/* no credentials at all is not a bad one */
	{
		struct answer a = fx_call(&f, ANONYMOUS, "GET", "/version", NULL, NULL, NULL);

		cr_assert(a.status == 200);
		answer_done(&a);
		a = call_as(&f, ANONYMOUS, "x", NULL, "GET", "/version", NULL);
		cr_assert(a.status == 401);
		answer_done(&a);
	}
	fx_done(&f);
}

Test(authn, tokens_end_and_are_for_their_audience)
{
	struct fx f;
	struct answer a;
	char *api, *vault, body[8192];

	start(&f);
	make_account(&f, "robot");
	api = token_for(&f, "robot", "\"expirationSeconds\":600");
	vault = token_for(&f, "robot", "\"audiences\":[\"vault\",\"db\"]");
	token_is(&f, api, 200);
	token_is(&f, vault, 401);
	snprintf(body, sizeof(body), "{\"spec\":{\"token\":\"%s\",\"audiences\":[\"x\",\"db\"]}}", vault);
	a = fx_call(&f, ADMIN, "POST", TOKEN_REVIEWS, "application/json", NULL, body);
	cr_assert(a.status == 201 && json_is_true(api_get(a.json, "status.authenticated")), "%s", a.text);
	cr_assert(json_array_size(api_get(a.json, "status.audiences")) == 1);
	cr_assert_str_eq(json_string_value(json_array_get(api_get(a.json, "status.audiences"), 0)), "db");
	answer_done(&a);
	snprintf(body, sizeof(body), "{\"spec\":{\"token\":\"%s\"}}", vault);
	a = fx_call(&f, ADMIN, "POST", TOKEN_REVIEWS, "application/json", NULL, body);
	cr_assert(a.status == 201 && !api_get(a.json, "status.authenticated"), "%s", a.text);
	cr_assert(strstr(api_get_str(a.json, "status.error"), "audiences"));
	answer_done(&a);
	snprintf(body, sizeof(body), "{\"spec\":{\"token\":\"%s\"}}", api);
	a = fx_call(&f, ADMIN, "POST", TOKEN_REVIEWS, "application/json", NULL, body);
	cr_assert(json_is_true(api_get(a.json, "status.authenticated")), "%s", a.text);
	cr_assert_str_eq(json_string_value(json_array_get(api_get(a.json, "status.audiences"), 0)), ISSUER);
	answer_done(&a);
	fx_refused(&f, ADMIN, 400, "POST", TOKEN_REVIEWS, "{}", "token is required");
	clock_fake_set(clock_mono_ms(), clock_real_ms() + 601000);
	token_is(&f, api, 401);
	clock_fake_clear();
	free(api);
	free(vault);
	fx_done(&f);
}

Test(authn, keys_are_rotated)
{
	static char key2[128], key1[128];
	struct err err = ERR_INIT;
	struct fx f;
	char *old, *new;

	start(&f);
	make_account(&f, "robot");
	old = token_for(&f, "robot", "");
	fx_stop(&f);
	snprintf(key1, sizeof(key1), "%s/sa.key", f.dir);
	snprintf(key2, sizeof(key2), "%s/sa2.key", f.dir);
	cr_assert(tls_make_key(key2, &err) == 0);
	f.config.sa_signing_key = key2;
	f.config.sa_keys[0] = key1;
	f.config.n_sa_keys = 1;
	fx_start(&f);
	new = token_for(&f, "robot", "");
	token_is(&f, old, 200);
	token_is(&f, new, 200);
	{
		struct answer a = fx_call(&f, ADMIN, "GET", "/openid/v1/jwks", NULL, NULL, NULL);

		cr_assert(a.status == 200 && json_array_size(json_object_get(a.json, "keys")) == 2);
		cr_assert_str_eq(a.content_type, "application/jwk-set+json");
		answer_done(&a);
		a = fx_call(&f, ADMIN, "GET", "/.well-known/openid-configuration", NULL, NULL, NULL);
		cr_assert(a.status == 200);
		cr_assert_str_eq(api_get_str(a.json, "issuer"), ISSUER);
		cr_assert_str_eq(api_get_str(a.json, "jwks_uri"), ISSUER "/openid/v1/jwks");
		answer_done(&a);
	}
	fx_stop(&f);
	f.config.n_sa_keys = 0;
	fx_start(&f);
	token_is(&f, old, 401);
	token_is(&f, new, 200);
	/* another issuer's name: tokens of the former one are strangers' */
	fx_stop(&f);
	f.config.sa_issuers[0] = "https://other";
	f.config.n_sa_issuers = 1;
	fx_start(&f);
	token_is(&f, new, 401);
	free(old);
	free(new);
	fx_done(&f);
}

Test(authn, without_a_key_there_are_no_tokens)
{
	struct fx f;

	fx_init(&f);
	fx_start(&f);
	make_account(&f, "robot");
	fx_refused(&f, ADMIN, 404, "POST", SAS "/robot/token", "{}", "no key to sign tokens");
	fx_refused(&f, ADMIN, 404, "GET", "/openid/v1/jwks", NULL, "could not find");
	fx_done(&f);
}

static struct answer as_other(struct fx *f, enum who who, const char *const *headers)
{
	return call_as(f, who, NULL, headers, "POST", SELF_REVIEWS, "{}");
}

Test(authn, impersonation)
{
	/* system:masters is among the groups where the question itself must be allowed */
	static const char *const user[] = { "Impersonate-User: jane",
					    "Impersonate-Group: system:masters",
					    "Impersonate-Group: devs",
					    "Impersonate-Uid: 17",
					    "Impersonate-Extra-Scopes: a",
					    "Impersonate-Extra-Scopes: b",
					    "Impersonate-Extra-Acme.com%2Fproject: p",
					    NULL };
	static const char *const account[] = { "Impersonate-User: system:serviceaccount:default:robot", NULL };
	static const char *const jane[] = { "Impersonate-User: jane", NULL };
	static const char *const group_only[] = { "Impersonate-Group: devs", NULL };
	const json_t *groups;
	struct answer a;
	struct fx f;

	start(&f);
	a = as_other(&f, ADMIN, user);
	cr_assert(a.status == 201, "%s", a.text);
	cr_assert_str_eq(api_get_str(a.json, "status.userInfo.username"), "jane");
	cr_assert_str_eq(api_get_str(a.json, "status.userInfo.uid"), "17");
	groups = api_get(a.json, "status.userInfo.groups");
	cr_assert(json_array_size(groups) == 3);
	cr_assert_str_eq(json_string_value(json_array_get(groups, 1)), "devs");
	cr_assert_str_eq(json_string_value(json_array_get(groups, 2)), "system:authenticated");
	cr_assert(json_array_size(json_object_get(api_get(a.json, "status.userInfo.extra"), "scopes")) == 2);
	cr_assert(json_object_get(api_get(a.json, "status.userInfo.extra"), "acme.com/project"));
	answer_done(&a);
	/* what jane may not do, who asks as jane may not do either */
	a = call_as(&f, ADMIN, NULL, jane, "GET", CMS, NULL);
	cr_assert(a.status == 403 && strstr(a.text, "User \\\"jane\\\" cannot list"), "%s", a.text);
	answer_done(&a);
	a = call_as(&f, ADMIN, NULL, account, "GET", CMS, NULL);
	cr_assert(a.status == 403 && strstr(a.text, "system:serviceaccount:default:robot"), "%s", a.text);
	answer_done(&a);
	/* nobody else may: each refusal names what is missing */
	a = call_as(&f, SCHEDULER, NULL, jane, "GET", "/api", NULL);
	cr_assert(
		a.status == 403 &&
			strstr(a.text, "User \\\"system:kube-scheduler\\\" cannot impersonate resource \\\"users\\\""),
		"%s", a.text);
	answer_done(&a);
	a = call_as(&f, SCHEDULER, NULL, account, "GET", "/api", NULL);
	cr_assert(a.status == 403 && strstr(a.text, "serviceaccounts \\\"robot\\\" is forbidden"), "%s", a.text);
	answer_done(&a);
	a = call_as(&f, ANONYMOUS, NULL, jane, "GET", "/version", NULL);
	cr_assert(a.status == 401, "%s", a.text);
	answer_done(&a);
	a = call_as(&f, ADMIN, NULL, group_only, "GET", "/api", NULL);
	cr_assert(a.status == 400 && strstr(a.text, "without Impersonate-User"), "%s", a.text);
	answer_done(&a);
	fx_done(&f);
}

/* data of a bootstrap token's secret: every value as text, encoded here */
static void make_bootstrap(struct fx *f, const char *id, const char *type, const char *const *values)
{
	json_t *v = json_pack("{s:{s:o},s:s,s:{}}", "metadata", "name", json_sprintf("bootstrap-token-%s", id), "type",
			      type, "data");
	char *text;

	for (; *values; values += 2) {
		char *base64 = str_base64(values[1], strlen(values[1]));

		json_object_set_new(json_object_get(v, "data"), values[0], json_string(base64));
		free(base64);
	}
	text = json_dumps(v, 0);
	fx_do(f, 201, "POST", "/api/v1/namespaces/kube-system/secrets", text);
	free(text);
	json_decref(v);
}

Test(authn, bootstrap_tokens)
{
#define BT    "bootstrap.kubernetes.io/token"
#define SEC   "token-secret", "0123456789abcdef"
#define AUTH  "usage-bootstrap-authentication", "true"
#define EXTRA "auth-extra-groups"
	static const struct {
		const char *id, *type, *values[12];
		bool good;
	} t[] = {
		{ "good01", BT, { "token-id", "good01", SEC, AUTH }, true },
		{ "good02", BT, { "token-id", "good02", SEC, AUTH, "expiration", "2099-01-01T00:00:00Z" }, true },
		{ "good03",
		  BT,
		  { "token-id", "good03", SEC, AUTH, EXTRA, "system:bootstrappers:a-1,system:bootstrappers:b" },
		  true },
		{ "late01", BT, { "token-id", "late01", SEC, AUTH, "expiration", "2020-01-01T00:00:00Z" }, false },
		{ "late02", BT, { "token-id", "late02", SEC, AUTH, "expiration", "whenever" }, false },
		{ "nouse1", BT, { "token-id", "nouse1", SEC }, false },
		{ "nouse2", BT, { "token-id", "nouse2", SEC, "usage-bootstrap-authentication", "false" }, false },
		{ "nouse3", BT, { "token-id", "nouse3", SEC, "usage-bootstrap-signing", "true" }, false },
		{ "other1", BT, { "token-id", "other2", SEC, AUTH }, false },
		{ "other3", BT, { "token-id", "other3", "token-secret", "0123456789abcdeg", AUTH }, false },
		{ "group1", BT, { "token-id", "group1", SEC, AUTH, EXTRA, "system:masters" }, false },
		{ "group2", BT, { "token-id", "group2", SEC, AUTH, EXTRA, "system:bootstrappers:A" }, false },
		{ "opaque", "Opaque", { "token-id", "opaque", SEC, AUTH }, false },
	};
	struct fx f;

	start(&f);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		char token[32], user[64];
		struct answer a;

		make_bootstrap(&f, t[i].id, t[i].type, t[i].values);
		snprintf(token, sizeof(token), "%s.0123456789abcdef", t[i].id);
		snprintf(user, sizeof(user), "system:bootstrap:%s", t[i].id);
		token_is(&f, token, t[i].good ? 200 : 401);
		if (!t[i].good)
			continue;
		a = whoami(&f, token);
		cr_assert_str_eq(api_get_str(a.json, "status.user.username"), user);
		cr_assert(strstr(a.text, "\"system:bootstrappers\""));
		cr_assert(!!strstr(a.text, "\"system:bootstrappers:a-1\",\"system:bootstrappers:b\"") == (i == 2));
		answer_done(&a);
	}
	token_is(&f, "good01.0123456789abcdeg", 401);
	fx_do(&f, 200, "DELETE", "/api/v1/namespaces/kube-system/secrets/bootstrap-token-good01", NULL);
	token_is(&f, "good01.0123456789abcdef", 401);
	fx_done(&f);
}

/* --- tokens of a file, tokens of a WebSocket ---------------------------------------------------------------------- */

static void start_with_tokens(struct fx *f, const char *csv)
{
	static char path[128];
	struct err err = ERR_INIT;

	fx_init(f);
	snprintf(path, sizeof(path), "%s/tokens.csv", f->dir);
	cr_assert(file_write(path, csv, &err) == 0);
	f->config.token_auth_file = path;
}

Test(authn, tokens_of_a_file)
{
	static const struct {
		const char *token, *user, *uid, *group; /* user NULL: refused */
	} t[] = {
		{ "abc", "jane", "7", "devs" },
		{ "abc", "jane", "7", "system:authenticated" },
		{ "d\"e,f", "joe the 2nd", NULL, "ops" },
		{ "two", "second", "2", "system:authenticated" },
		{ "boss", "root", "0", "system:masters" },
		{ "ab", NULL, NULL, NULL },
		{ "abcd", NULL, NULL, NULL },
		{ "jane", NULL, NULL, NULL },
	};
	struct answer a;
	struct fx f;

	start_with_tokens(&f, "abc,jane,7,\"devs,ops\"\r\n"
			      "\n"
			      ",nobody,9\n"
			      "two,first,1,devs\n"
			      "\"d\"\"e,f\",\"joe the 2nd\",,ops\n"
			      "two,second,2\n"
			      "boss,root,0,system:masters");
	fx_start(&f);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		json_t *review = json_pack("{s:{s:s}}", "spec", "token", t[i].token), *v;
		char *body = json_dumps(review, 0);
		bool in = false;
		size_t k;

		a = fx_call(&f, ADMIN, "POST", TOKEN_REVIEWS, "application/json", NULL, body);
		cr_assert(a.status == 201);
		cr_assert(json_is_true(api_get(a.json, "status.authenticated")) == (t[i].user != NULL), "%zu: %s", i,
			  a.text);
		if (t[i].user) {
			cr_assert_str_eq(api_get_str(a.json, "status.user.username"), t[i].user);
			cr_assert(t[i].uid ? streq(api_get_str(a.json, "status.user.uid"), t[i].uid)
					   : !api_get(a.json, "status.user.uid"));
			json_array_foreach (api_get(a.json, "status.user.groups"), k, v)
				in |= streq(json_string_value(v), t[i].group);
			cr_assert(in, "%zu: %s", i, a.text);
		}
		answer_done(&a);
		free(body);
		json_decref(review);
	}
	token_is(&f, "abc", 200);
	token_is(&f, "abd", 401);
	a = call_as(&f, ANONYMOUS, "boss", NULL, "GET", "/api/v1/nodes", NULL);
	cr_assert(a.status == 200);
	answer_done(&a);
	a = call_as(&f, ANONYMOUS, "abc", NULL, "GET", "/api/v1/nodes", NULL);
	cr_assert(a.status == 403 && strstr(a.text, "User \\\"jane\\\" cannot list resource"));
	answer_done(&a);
	/* for another audience they are good for nothing */
	a = fx_call(&f, ADMIN, "POST", TOKEN_REVIEWS, "application/json", NULL,
		    "{\"spec\":{\"token\":\"abc\",\"audiences\":[\"vault\"]}}");
	cr_assert(a.status == 201 && !json_is_true(api_get(a.json, "status.authenticated")));
	answer_done(&a);
	fx_done(&f);
}

Test(authn, token_files_with_mistakes_keep_the_server_from_starting)
{
	static const struct {
		const char *csv, *text;
	} t[] = {
		{ "a,b,c\na,b\n", "record 2: at least 3 columns (token, user name, user uid), found 2" },
		{ "a,,c\n", "record 1: the user name is empty" },
		{ "\"a,b,c\n", "record 1: a quote is wrong" },
		{ "\"a\"x,b,c\n", "record 1: a quote is wrong" },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct err err = ERR_INIT;
		struct fx f;

		start_with_tokens(&f, t[i].csv);
		cr_assert(apiserver_new(f.loop, &f.config, &f.server, &err) < 0);
		cr_assert(strstr(err.msg, t[i].text) && strstr(err.msg, "--token-auth-file"), "%s", err.msg);
		f.server = NULL;
		fx_done(&f);
	}
}

Test(authn, a_websocket_offers_its_token_as_a_protocol)
{
#define WS "base64url.bearer.authorization.k8s.io."
	static const struct {
		const char *protocols;
		int status;
		const char *user;
	} t[] = {
		{ WS "amFuZS10b2tlbg, v5.channel.k8s.io", 403, "jane" },
		{ "v5.channel.k8s.io,v4.channel.k8s.io," WS "amFuZS10b2tlbg", 403, "jane" },
		{ "v5.channel.k8s.io", 401, NULL },
		{ WS "amFuZS10b2tlbg", 401, NULL },					     /* nothing else */
		{ WS "amFuZS10b2tlbg, " WS "amFuZS10b2tlbg, v5.channel.k8s.io", 401, NULL }, /* twice */
		{ WS "amFuZS10b2tlbg==, v5.channel.k8s.io", 401, NULL },		     /* padded */
		{ WS ", v5.channel.k8s.io", 401, NULL },
		{ WS "YW5vdGhlcg, v5.channel.k8s.io", 401, NULL },   /* no such token */
		{ WS "amFuZQBqYW5l, v5.channel.k8s.io", 401, NULL }, /* a NUL */
	};
	struct strbuf out = STRBUF_INIT;
	struct fx f;

	start_with_tokens(&f, "jane-token,jane,7\n");
	fx_start(&f);
	fx_do(&f, 201, "POST", PODS, POD("p", "\"nodeName\":\"n\","));
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		char text[512];
		int status = fx_ws_refused(&f, ANONYMOUS, PODS "/p/exec?command=sh&stdout=1", t[i].protocols, text,
					   sizeof(text));

		cr_assert(status == t[i].status, "%zu: %d %s", i, status, text);
		if (t[i].user)
			cr_assert(strstr(text, t[i].user), "%s", text);
	}
	fx_done(&f);
	/* whoever it is passed on to does not see it */
	ws_bearer_strip("v5.channel.k8s.io ," WS "amFuZS10b2tlbg,, v4.channel.k8s.io", &out);
	cr_assert_str_eq(out.buf, "v5.channel.k8s.io, v4.channel.k8s.io");
	strbuf_done(&out);
}
