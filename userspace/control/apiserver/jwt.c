/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and making tokens; see jwt.h. Keys and their published form are in jwt_keys.c. */
#include "jwt.h"

#include <errno.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/str.h"
#include "jwt-internal.h"

#define P256_BYTES 32
#define NBF_SKEW_S 60 /* a token made by another API server whose clock is a little ahead */
#define MAX_TIME   (INT64_C(1) << 48)
#define MAX_HEADER 512
#define ALG(a)	   ((a) == JWT_ES256 ? "ES256" : "RS256")

static int value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

int jwt_unbase64url(const char *s, size_t len, unsigned char *buf, size_t size, size_t *ret_len)
{
	uint32_t bits = 0;
	size_t n = 0;
	int have = 0;

	if (len % 4 == 1 || len / 4 * 3 + 3 > size)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		int v = value_of(s[i]);

		if (v < 0)
			return -EINVAL;
		bits = bits << 6 | (uint32_t)v;
		have += 6;
		if (have >= 8) {
			have -= 8;
			buf[n++] = (unsigned char)(bits >> have);
			bits &= (1u << have) - 1;
		}
	}
	/* One text for one value: bits that no byte takes are zero. */
	if (bits)
		return -EINVAL;
	*ret_len = n;
	return 0;
}

void jwt_base64url(const void *data, size_t len, struct strbuf *out)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	const unsigned char *p = data;

	for (size_t i = 0; i < len; i += 3) {
		size_t left = len - i;
		uint32_t v = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
			     (left > 2 ? p[i + 2] : 0);

		strbuf_addc(out, digits[v >> 18]);
		strbuf_addc(out, digits[v >> 12 & 63]);
		if (left > 1)
			strbuf_addc(out, digits[v >> 6 & 63]);
		if (left > 2)
			strbuf_addc(out, digits[v & 63]);
	}
}

static int read_json(const char *s, size_t len, unsigned char *buf, size_t size, json_t **ret)
{
	json_t *v;
	size_t n;

	if (jwt_unbase64url(s, len, buf, size, &n) < 0)
		return -EINVAL;
	v = json_loadb((const char *)buf, n, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(v)) {
		json_decref(v);
		return -EINVAL;
	}
	*ret = v;
	return 0;
}

/* {"alg":"ES256","kid":"..."} and perhaps "typ":"JWT"; anything else is something we would have to understand. */
static int read_header(const char *s, size_t len, struct jwt *t)
{
	unsigned char buf[MAX_HEADER];
	const char *alg = NULL, *kid = NULL, *key;
	json_t *header, *v;
	int r = 0;

	if (read_json(s, len, buf, sizeof(buf), &header) < 0)
		return -EINVAL;
	json_object_foreach (header, key, v) {
		const char *text = json_string_value(v);

		if (!text)
			r = -EINVAL;
		else if (streq(key, "alg"))
			alg = text;
		else if (streq(key, "kid"))
			kid = text;
		else if (!streq(key, "typ") || !streq(text, "JWT"))
			r = -EINVAL;
	}
	if (streq(alg, ALG(JWT_ES256)))
		t->alg = JWT_ES256;
	else if (streq(alg, ALG(JWT_RS256)))
		t->alg = JWT_RS256;
	else
		r = -EINVAL;
	if (!kid || !*kid || strlen(kid) >= sizeof(t->kid))
		r = -EINVAL;
	else
		strcpy(t->kid, kid);
	json_decref(header);
	return r;
}

int jwt_parse(const char *text, size_t len, struct jwt *ret)
{
	cleanup(free) unsigned char *buf = NULL;
	const char *dot1, *dot2, *end = text + len;
	struct jwt t = { 0 };

	if (!len || len > JWT_MAX_BYTES)
		return -EINVAL;
	dot1 = memchr(text, '.', len);
	dot2 = dot1 ? memchr(dot1 + 1, '.', (size_t)(end - dot1 - 1)) : NULL;
	if (!dot2 || memchr(dot2 + 1, '.', (size_t)(end - dot2 - 1)))
		return -EINVAL;
	if (read_header(text, (size_t)(dot1 - text), &t) < 0 ||
	    jwt_unbase64url(dot2 + 1, (size_t)(end - dot2 - 1), t.signature, sizeof(t.signature), &t.signature_len) < 0)
		return -EINVAL;
	buf = malloc(JWT_MAX_BYTES);
	if (!buf)
		return -ENOMEM;
	if (read_json(dot1 + 1, (size_t)(dot2 - dot1 - 1), buf, JWT_MAX_BYTES, &t.claims) < 0)
		return -EINVAL;
	t.signed_len = (size_t)(dot2 - text);
	*ret = t;
	return 0;
}

void jwt_done(struct jwt *t)
{
	json_decref(t->claims);
	t->claims = NULL;
}

/* The two numbers of an ECDSA signature: side by side in a token, DER for OpenSSL. */
static int raw_to_der(const unsigned char *raw, unsigned char **ret, int *ret_len)
{
	ECDSA_SIG *sig = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(raw, P256_BYTES, NULL), *s = BN_bin2bn(raw + P256_BYTES, P256_BYTES, NULL);

	if (!sig || !r || !s || ECDSA_SIG_set0(sig, r, s) != 1) {
		BN_free(r);
		BN_free(s);
		ECDSA_SIG_free(sig);
		return -ENOMEM;
	}
	*ret = NULL;
	*ret_len = i2d_ECDSA_SIG(sig, ret);
	ECDSA_SIG_free(sig);
	return *ret_len > 0 ? 0 : -ENOMEM;
}

static int der_to_raw(const unsigned char *der, size_t len, unsigned char *raw)
{
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)len);
	int ok = sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, P256_BYTES) == P256_BYTES &&
		 BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + P256_BYTES, P256_BYTES) == P256_BYTES;

	ECDSA_SIG_free(sig);
	return ok ? 0 : -EIO;
}

static void md_freep(EVP_MD_CTX **p)
{
	EVP_MD_CTX_free(*p);
}

bool jwt_verify(const struct jwt *t, const char *text, const struct jwt_keys *keys)
{
	cleanup(md_free) EVP_MD_CTX *md = NULL;
	const struct jwt_key *key = NULL;
	unsigned char *der = NULL;
	bool ok;
	int len;

	for (size_t i = 0; i < keys->n && !key; i++)
		if (streq(keys->v[i].kid, t->kid))
			key = &keys->v[i];
	/* The key says which algorithm is right, never the token. */
	if (!key || key->alg != t->alg)
		return false;
	md = EVP_MD_CTX_new();
	if (!md || EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, key->pkey) != 1)
		return false;
	if (t->alg == JWT_RS256) {
		ok = EVP_DigestVerify(md, t->signature, t->signature_len, (const unsigned char *)text, t->signed_len) ==
		     1;
	} else {
		if (t->signature_len != 2 * P256_BYTES || raw_to_der(t->signature, &der, &len) < 0)
			return false;
		ok = EVP_DigestVerify(md, der, (size_t)len, (const unsigned char *)text, t->signed_len) == 1;
		OPENSSL_free(der);
	}
	ERR_clear_error();
	return ok;
}

int jwt_sign(const struct jwt_key *key, const json_t *claims, struct strbuf *out)
{
	cleanup(md_free) EVP_MD_CTX *md = EVP_MD_CTX_new();
	cleanup(strbuf_done) struct strbuf header = STRBUF_INIT;
	cleanup(free) char *text = json_dumps(claims, JSON_COMPACT);
	unsigned char sig[1024], raw[2 * P256_BYTES];
	size_t len = sizeof(sig);

	if (!text || !md)
		return -ENOMEM;
	strbuf_addf(&header, "{\"alg\":\"%s\",\"kid\":\"%s\"}", ALG(key->alg), key->kid);
	strbuf_clear(out);
	jwt_base64url(header.buf, header.len, out);
	strbuf_addc(out, '.');
	jwt_base64url(text, strlen(text), out);
	if (strbuf_oom(out) || strbuf_oom(&header))
		return -ENOMEM;
	if (EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, key->pkey) != 1 ||
	    EVP_DigestSign(md, sig, &len, (const unsigned char *)out->buf, out->len) != 1 ||
	    (key->alg == JWT_ES256 && der_to_raw(sig, len, raw) < 0)) {
		ERR_clear_error();
		return -EIO;
	}
	strbuf_addc(out, '.');
	if (key->alg == JWT_ES256)
		jwt_base64url(raw, sizeof(raw), out);
	else
		jwt_base64url(sig, len, out);
	return strbuf_oom(out) ? -ENOMEM : out->len > JWT_MAX_BYTES ? -EMSGSIZE : 0;
}

static bool is_time(const json_t *v)
{
	return json_is_integer(v) && json_integer_value(v) >= 0 && json_integer_value(v) <= MAX_TIME;
}

const char *jwt_check(const json_t *claims, const char *const *issuers, int64_t now_s)
{
	const char *iss = json_string_value(json_object_get(claims, "iss"));
	const json_t *exp = json_object_get(claims, "exp"), *nbf = json_object_get(claims, "nbf");
	bool known = false;

	for (; iss && *issuers && !known; issuers++)
		known = streq(iss, *issuers);
	if (!known)
		return "the issuer is another";
	if (!is_time(exp) || (nbf && !is_time(nbf)))
		return "its times are not numbers";
	if (json_integer_value(exp) <= now_s)
		return "token has expired";
	if (nbf && json_integer_value(nbf) > now_s + NBF_SKEW_S)
		return "token is not valid yet";
	return NULL;
}

bool jwt_has_audience(const json_t *claims, const char *audience)
{
	const json_t *aud = json_object_get(claims, "aud"), *v;
	size_t i;

	if (json_is_string(aud))
		return streq(json_string_value(aud), audience);
	json_array_foreach (aud, i, v)
		if (streq(json_string_value(v), audience))
			return true;
	return false;
}
