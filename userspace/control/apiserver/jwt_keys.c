/* SPDX-License-Identifier: Apache-2.0 */
/* Keys that sign and verify tokens: PEM files, names, and the form in which others learn them (RFC 7517). */
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/file.h"
#include "../../lib/base/str.h"
#include "jwt-internal.h"

#define MAX_PEM_BYTES (1 << 18)
#define MIN_RSA_BITS  2048
#define MAX_RSA_BITS  8192
#define P256_BYTES    32

static void bio_freep(BIO **p)
{
	BIO_free(*p);
}

static int no_passphrase(char *buf, int size, int rwflag, void *u)
{
	(void)buf, (void)size, (void)rwflag, (void)u;
	return -1;
}

static int name_key(struct jwt_key *k)
{
	cleanup(strbuf_done) struct strbuf kid = STRBUF_INIT;
	unsigned char *der = NULL, sum[SHA256_DIGEST_LENGTH];
	int len = i2d_PUBKEY(k->pkey, &der);

	if (len <= 0)
		return -EINVAL;
	SHA256(der, (size_t)len, sum);
	OPENSSL_free(der);
	jwt_base64url(sum, sizeof(sum), &kid);
	if (strbuf_oom(&kid))
		return -ENOMEM;
	memcpy(k->kid, kid.buf, kid.len + 1);
	return 0;
}

/* Takes pkey. */
static int add(struct jwt_keys *keys, EVP_PKEY *pkey, const char *path, struct err *err)
{
	struct jwt_key k = { .pkey = pkey };
	char group[32] = "";
	int bits = EVP_PKEY_get_bits(pkey), r = 0;

	if (EVP_PKEY_is_a(pkey, "EC")) {
		(void)EVP_PKEY_get_group_name(pkey, group, sizeof(group), NULL);
		k.alg = JWT_ES256;
		if (!streq(group, "prime256v1"))
			r = err_set(err, EINVAL, "'%s': a key on the curve %s; P-256 is needed", path, group);
	} else if (EVP_PKEY_is_a(pkey, "RSA")) {
		k.alg = JWT_RS256;
		if (bits < MIN_RSA_BITS || bits > MAX_RSA_BITS)
			r = err_set(err, EINVAL, "'%s': an RSA key of %d bits; %d to %d are needed", path, bits,
				    MIN_RSA_BITS, MAX_RSA_BITS);
	} else {
		r = err_set(err, EINVAL, "'%s': neither an RSA nor an EC key", path);
	}
	if (!r && name_key(&k) < 0)
		r = err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; !r && i < keys->n; i++)
		if (streq(keys->v[i].kid, k.kid))
			r = 1;
	if (!r && keys->n == JWT_MAX_KEYS)
		r = err_set(err, E2BIG, "'%s': more than %d keys for tokens", path, JWT_MAX_KEYS);
	if (r) {
		EVP_PKEY_free(pkey);
		return r < 0 ? r : 0;
	}
	keys->v[keys->n++] = k;
	return 0;
}

int jwt_keys_load(struct jwt_keys *keys, const char *path, bool sign, struct err *err)
{
	cleanup(free) char *text = NULL;
	cleanup(bio_free) BIO *bio = NULL;
	EVP_PKEY *pkey;
	size_t len, n = 0;
	int r = file_read(path, MAX_PEM_BYTES, &text, &len, err);

	if (r < 0)
		return r;
	bio = BIO_new_mem_buf(text, (int)len);
	if (!bio)
		return err_set(err, ENOMEM, "out of memory");
	pkey = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	if (pkey || sign) {
		r = pkey ? add(keys, pkey, path, err)
			 : err_set(err, EINVAL, "'%s' holds no private key to sign tokens with", path);
	} else {
		(void)BIO_reset(bio);
		while (!r && (pkey = PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL))) {
			r = add(keys, pkey, path, err);
			n++;
		}
		if (!r && !n)
			r = err_set(err, EINVAL, "'%s' holds no key", path);
	}
	OPENSSL_cleanse(text, len);
	ERR_clear_error();
	return r;
}

void jwt_keys_done(struct jwt_keys *keys)
{
	for (size_t i = 0; i < keys->n; i++)
		EVP_PKEY_free(keys->v[i].pkey);
	keys->n = 0;
}

static int add_number(json_t *jwk, const char *name, const EVP_PKEY *pkey, const char *param, int width)
{
	cleanup(strbuf_done) struct strbuf text = STRBUF_INIT;
	unsigned char buf[MAX_RSA_BITS / 8];
	BIGNUM *n = NULL;
	int len, r = -ENOMEM;

	if (EVP_PKEY_get_bn_param(pkey, param, &n) != 1)
		return -EINVAL;
	len = width ? width : BN_num_bytes(n);
	if (len <= (int)sizeof(buf) && BN_bn2binpad(n, buf, len) == len) {
		jwt_base64url(buf, (size_t)len, &text);
		r = strbuf_oom(&text) ? -ENOMEM : json_object_set_new(jwk, name, json_string(text.buf));
	}
	BN_free(n);
	return r;
}

json_t *jwt_jwk(const struct jwt_key *key)
{
	bool ec = key->alg == JWT_ES256;
	json_t *jwk = json_pack("{s:s,s:s,s:s,s:s}", "use", "sig", "kty", ec ? "EC" : "RSA", "kid", key->kid, "alg",
				ec ? "ES256" : "RS256");
	int r;

	if (!jwk)
		return NULL;
	if (ec) {
		r = json_object_set_new(jwk, "crv", json_string("P-256"));
		if (!r)
			r = add_number(jwk, "x", key->pkey, OSSL_PKEY_PARAM_EC_PUB_X, P256_BYTES);
		if (!r)
			r = add_number(jwk, "y", key->pkey, OSSL_PKEY_PARAM_EC_PUB_Y, P256_BYTES);
	} else {
		r = add_number(jwk, "n", key->pkey, OSSL_PKEY_PARAM_RSA_N, 0);
		if (!r)
			r = add_number(jwk, "e", key->pkey, OSSL_PKEY_PARAM_RSA_E, 0);
	}
	if (r) {
		json_decref(jwk);
		return NULL;
	}
	return jwk;
}
