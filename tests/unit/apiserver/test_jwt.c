/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens without a server: what is read, what is refused, and what a signature is worth. */
#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../../userspace/control/apiserver/jwt-internal.h"
#include "base/file.h"
#include "io/tls.h"

static char dir[64];

static void setup(void)
{
	snprintf(dir, sizeof(dir), "/tmp/skep-jwt-test-XXXXXX");
	cr_assert(mkdtemp(dir));
}

static void teardown(void)
{
	(void)dir_remove(dir, NULL);
}

TestSuite(jwt, .init = setup, .fini = teardown);

static const char *path(const char *name)
{
	static char buf[4][128];
	static int i;

	i = (i + 1) % 4;
	snprintf(buf[i], sizeof(buf[i]), "%s/%s", dir, name);
	return buf[i];
}

static void load(struct jwt_keys *keys, const char *name, bool sign)
{
	struct err err = ERR_INIT;

	cr_assert(jwt_keys_load(keys, path(name), sign, &err) == 0, "%s", err.msg);
}

static void write_rsa(const char *name, int bits, bool public)
{
	EVP_PKEY *key = EVP_RSA_gen((unsigned)bits);
	FILE *f = fopen(path(name), "w");

	cr_assert(key && f);
	cr_assert(public ? PEM_write_PUBKEY(f, key) : PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL));
	fclose(f);
	EVP_PKEY_free(key);
}

static void ec_key(struct jwt_keys *keys, const char *name)
{
	struct err err = ERR_INIT;

	cr_assert(tls_make_key(path(name), &err) == 0);
	load(keys, name, true);
}

static void sign(const struct jwt_key *key, const char *claims, struct strbuf *out)
{
	json_t *v = json_loads(claims, 0, NULL);

	cr_assert(v);
	cr_assert(jwt_sign(key, v, out) == 0);
	json_decref(v);
}

/* header.claims.signature of these texts. */
static void assemble(const char *header, const char *claims, const char *sig, struct strbuf *out)
{
	strbuf_clear(out);
	jwt_base64url(header, strlen(header), out);
	strbuf_addc(out, '.');
	jwt_base64url(claims, strlen(claims), out);
	strbuf_addc(out, '.');
	strbuf_adds(out, sig);
}

static int parses(const char *text, size_t len)
{
	struct jwt t;
	int r = jwt_parse(text, len, &t);

	if (r == 0)
		jwt_done(&t);
	return r;
}

static bool good(const struct strbuf *token, const struct jwt_keys *keys)
{
	struct jwt t;
	bool ok;

	if (jwt_parse(token->buf, token->len, &t) < 0)
		return false;
	ok = jwt_verify(&t, token->buf, keys);
	jwt_done(&t);
	return ok;
}

Test(jwt, signs_and_verifies_with_both_kinds_of_key)
{
	struct jwt_keys keys = { 0 }, others = { 0 };
	struct strbuf token = STRBUF_INIT;

	ec_key(&keys, "ec.key");
	write_rsa("rsa.key", 2048, false);
	load(&keys, "rsa.key", true);
	load(&keys, "rsa.key", true); /* known: not twice */
	cr_assert(keys.n == 2 && keys.v[0].alg == JWT_ES256 && keys.v[1].alg == JWT_RS256);
	ec_key(&others, "other.key");
	for (size_t i = 0; i < keys.n; i++) {
		sign(&keys.v[i], "{\"sub\":\"x\"}", &token);
		cr_assert(good(&token, &keys));
		cr_assert(!good(&token, &others));
		/* any other bit anywhere: either no token or no good one */
		for (size_t at = 0; at < token.len; at++) {
			char was = token.buf[at];

			token.buf[at] = was == 'A' ? 'B' : 'A';
			cr_assert(!good(&token, &keys), "byte %zu", at);
			token.buf[at] = was;
		}
	}
	strbuf_done(&token);
	jwt_keys_done(&keys);
	jwt_keys_done(&others);
}

Test(jwt, the_key_says_the_algorithm)
{
	struct jwt_keys keys = { 0 };
	struct strbuf token = STRBUF_INIT, header = STRBUF_INIT;
	char *sig;
	struct jwt t;

	ec_key(&keys, "ec.key");
	sign(&keys.v[0], "{\"sub\":\"x\"}", &token);
	sig = strdup(strrchr(token.buf, '.') + 1);
	strbuf_addf(&header, "{\"alg\":\"RS256\",\"kid\":\"%s\"}", keys.v[0].kid);
	assemble(header.buf, "{\"sub\":\"x\"}", sig, &token);
	cr_assert(jwt_parse(token.buf, token.len, &t) == 0);
	cr_assert(!jwt_verify(&t, token.buf, &keys));
	jwt_done(&t);
	free(sig);
	strbuf_done(&token);
	strbuf_done(&header);
	jwt_keys_done(&keys);
}

Test(jwt, refuses_what_is_not_exactly_a_token)
{
	static const struct {
		const char *header, *claims, *sig;
		int want;
	} t[] = {
		{ "{\"alg\":\"ES256\",\"kid\":\"k\"}", "{}", "AAAA", 0 },
		{ "{\"alg\":\"ES256\",\"kid\":\"k\",\"typ\":\"JWT\"}", "{}", "AAAA", 0 },
		{ "{\"alg\":\"none\",\"kid\":\"k\"}", "{}", "", -EINVAL },
		{ "{\"alg\":\"HS256\",\"kid\":\"k\"}", "{}", "AAAA", -EINVAL },
		{ "{\"alg\":\"es256\",\"kid\":\"k\"}", "{}", "AAAA", -EINVAL },
		{ "{\"alg\":\"ES256\"}", "{}", "AAAA", -EINVAL },
		{ "{\"alg\":\"ES256\",\"kid\":\"\"}", "{}", "AAAA", -EINVAL },
		{ "{\"alg\":\"ES256\",\"kid\":7}", "{}", "AAAA", -EINVAL },
		{ "{\"alg\":\"ES256\",\"kid\":\"k\",\"typ\":\"JWS\"}", "{}", "AAAA", -EINVAL },
		{ "{\"alg\":\"ES256\",\"kid\":\"k\",\"crit\":[\"exp\"]}", "{}", "AAAA", -EINVAL },
		{ "{\"alg\":\"ES256\",\"kid\":\"k\",\"jku\":\"https://evil\"}", "{}", "AAAA", -EINVAL },
		{ "{\"alg\":\"ES256\",\"kid\":\"k\",\"kid\":\"l\"}", "{}", "AAAA", -EINVAL },
		{ "{\"alg\":\"ES256\",\"kid\":\"k\"} x", "{}", "AAAA", -EINVAL },
		{ "[]", "{}", "AAAA", -EINVAL },
		{ "{\"alg\":\"ES256\",\"kid\":\"k\"}", "[]", "AAAA", -EINVAL },
		{ "{\"alg\":\"ES256\",\"kid\":\"k\"}", "", "AAAA", -EINVAL },
		{ "{\"alg\":\"ES256\",\"kid\":\"k\"}", "{\"exp\":1,\"exp\":2}", "AAAA", -EINVAL },
		{ "{\"alg\":\"ES256\",\"kid\":\"k\"}", "{}", "A", -EINVAL },
		{ "{\"alg\":\"ES256\",\"kid\":\"k\"}", "{}", "AB", -EINVAL },	/* bits left over */
		{ "{\"alg\":\"ES256\",\"kid\":\"k\"}", "{}", "AA==", -EINVAL }, /* padding */
		{ "{\"alg\":\"ES256\",\"kid\":\"k\"}", "{}", "A+/A", -EINVAL }, /* the other alphabet */
		{ "{\"alg\":\"ES256\",\"kid\":\"k\"}", "{}", "AAAA.AAAA", -EINVAL },
		{ "{\"alg\":\"ES256\",\"kid\":\"k\"}", "{}", "AAAA ", -EINVAL },
	};
	struct strbuf token = STRBUF_INIT;
	char *huge = malloc(JWT_MAX_BYTES + 1);

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		assemble(t[i].header, t[i].claims, t[i].sig, &token);
		cr_assert(parses(token.buf, token.len) == t[i].want, "row %zu", i);
	}
	cr_assert(parses("", 0) == -EINVAL);
	cr_assert(parses(".", 1) == -EINVAL);
	cr_assert(parses("..", 2) == -EINVAL);
	cr_assert(parses("a.b", 3) == -EINVAL);
	memset(huge, 'A', JWT_MAX_BYTES + 1);
	cr_assert(parses(huge, JWT_MAX_BYTES + 1) == -EINVAL);
	free(huge);
	strbuf_done(&token);
}

/* Damaged tokens of every kind only ever give an error: for the sanitizers. */
Test(jwt, damage)
{
	struct strbuf token = STRBUF_INIT;
	unsigned seed = 1;

	assemble("{\"alg\":\"ES256\",\"kid\":\"k\"}", "{\"exp\":1,\"kubernetes.io\":{\"pod\":{\"name\":\"x\"}}}",
		 "AAAA", &token);
	for (size_t i = 0; i < 20000; i++) {
		char *copy = malloc(token.len);
		size_t len = token.len;

		memcpy(copy, token.buf, len);
		for (int n = 0; n < 3; n++)
			copy[(size_t)rand_r(&seed) % len] = (char)rand_r(&seed);
		(void)parses(copy, (size_t)rand_r(&seed) % (len + 1));
		free(copy);
	}
	strbuf_done(&token);
}

Test(jwt, times_issuer_and_audience)
{
	static const struct {
		const char *claims;
		bool good;
	} t[] = {
		{ "{\"iss\":\"i\",\"exp\":1001}", true },
		{ "{\"iss\":\"j\",\"exp\":1001}", true },
		{ "{\"iss\":\"i\",\"exp\":1000}", false },
		{ "{\"iss\":\"i\"}", false },
		{ "{\"iss\":\"i\",\"exp\":\"1001\"}", false },
		{ "{\"iss\":\"i\",\"exp\":1001.5}", false },
		{ "{\"iss\":\"i\",\"exp\":-1}", false },
		{ "{\"iss\":\"i\",\"exp\":9223372036854775807}", false },
		{ "{\"iss\":\"k\",\"exp\":1001}", false },
		{ "{\"iss\":[\"i\"],\"exp\":1001}", false },
		{ "{\"exp\":1001}", false },
		{ "{\"iss\":\"i\",\"exp\":2000,\"nbf\":1060}", true }, /* clocks differ a little */
		{ "{\"iss\":\"i\",\"exp\":2000,\"nbf\":1061}", false },
		{ "{\"iss\":\"i\",\"exp\":2000,\"nbf\":null}", false },
	};
	static const char *const issuers[] = { "i", "j", NULL };
	json_t *v;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		v = json_loads(t[i].claims, 0, NULL);
		cr_assert(!jwt_check(v, issuers, 1000) == t[i].good, "row %zu", i);
		json_decref(v);
	}
	v = json_loads("{\"aud\":[\"a\",7,\"b\"]}", 0, NULL);
	cr_assert(jwt_has_audience(v, "a") && jwt_has_audience(v, "b") && !jwt_has_audience(v, "c"));
	json_decref(v);
	v = json_loads("{\"aud\":\"a\"}", 0, NULL);
	cr_assert(jwt_has_audience(v, "a") && !jwt_has_audience(v, "b"));
	json_decref(v);
	v = json_loads("{\"aud\":{\"a\":1}}", 0, NULL);
	cr_assert(!jwt_has_audience(v, "a"));
	json_decref(v);
}

Test(jwt, keys_that_are_refused)
{
	struct jwt_keys keys = { 0 };
	struct err err = ERR_INIT;
	EVP_PKEY *key = EVP_EC_gen("P-384");
	FILE *f = fopen(path("p384.key"), "w");

	cr_assert(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL));
	fclose(f);
	EVP_PKEY_free(key);
	cr_assert(jwt_keys_load(&keys, path("p384.key"), false, &err) == -EINVAL && strstr(err.msg, "P-256"));
	write_rsa("small.key", 1024, false);
	cr_assert(jwt_keys_load(&keys, path("small.key"), false, &err) == -EINVAL && strstr(err.msg, "1024"));
	write_rsa("public.pem", 2048, true);
	cr_assert(jwt_keys_load(&keys, path("public.pem"), true, &err) == -EINVAL && strstr(err.msg, "no private key"));
	cr_assert(file_write_atomic(path("text"), "hello", 5, 0600, &err) == 0);
	cr_assert(jwt_keys_load(&keys, path("text"), false, &err) == -EINVAL && strstr(err.msg, "no key"));
	cr_assert(jwt_keys_load(&keys, path("missing"), false, &err) == -ENOENT);
	cr_assert(keys.n == 0);
	cr_assert(jwt_keys_load(&keys, path("public.pem"), false, &err) == 0 && keys.n == 1);
	jwt_keys_done(&keys);
}

Test(jwt, published_keys)
{
	struct jwt_keys keys = { 0 };
	json_t *jwk;

	ec_key(&keys, "ec.key");
	write_rsa("rsa.pem", 2048, true);
	load(&keys, "rsa.pem", false);
	jwk = jwt_jwk(&keys.v[0]);
	cr_assert_str_eq(json_string_value(json_object_get(jwk, "kty")), "EC");
	cr_assert_str_eq(json_string_value(json_object_get(jwk, "kid")), keys.v[0].kid);
	cr_assert(json_string_length(json_object_get(jwk, "x")) == 43);
	cr_assert(json_string_length(json_object_get(jwk, "y")) == 43);
	cr_assert(!json_object_get(jwk, "d"));
	json_decref(jwk);
	jwk = jwt_jwk(&keys.v[1]);
	cr_assert_str_eq(json_string_value(json_object_get(jwk, "kty")), "RSA");
	cr_assert_str_eq(json_string_value(json_object_get(jwk, "e")), "AQAB");
	cr_assert(json_string_length(json_object_get(jwk, "n")) == 342);
	json_decref(jwk);
	jwt_keys_done(&keys);
}
