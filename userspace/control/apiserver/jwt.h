/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON web tokens as service accounts carry them (RFC 7519 in the compact form of RFC 7515), as strictly as they can
 * be read: two algorithms, each bound to its kind of key, a known key named in the header, and nothing in the header
 * that is not understood. Parsing, verifying and checking are separate and pure, so that they can be tested and fuzzed
 * without a server.
 */
#ifndef SKEP_APISERVER_JWT_H
#define SKEP_APISERVER_JWT_H

#include <jansson.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../lib/base/err.h"
#include "../../lib/base/strbuf.h"

#define JWT_MAX_BYTES 8192
#define JWT_MAX_KEYS  16
#define JWT_KID_SIZE  64

enum jwt_alg { JWT_ES256, JWT_RS256 };

struct jwt {
	enum jwt_alg alg;
	char kid[JWT_KID_SIZE];
	json_t *claims;	   /* an object */
	size_t signed_len; /* the first bytes of the text are what is signed */
	unsigned char signature[1028];
	size_t signature_len;
};
/* Any bytes. 0: ret is filled, nothing in it is trusted yet; -EINVAL: not such a token; -ENOMEM. */
int jwt_parse(const char *text, size_t len, struct jwt *ret);
void jwt_done(struct jwt *t);

struct jwt_key {
	EVP_PKEY *pkey;
	enum jwt_alg alg;
	char kid[JWT_KID_SIZE]; /* base64url of the SHA-256 of its SubjectPublicKeyInfo, as Kubernetes names keys */
};
struct jwt_keys {
	struct jwt_key v[JWT_MAX_KEYS];
	size_t n;
};
/*
 * Adds the keys of a PEM file: one private key, or any number of public ones. Known ones are skipped. P-256 or RSA from
 * 2048 bits. sign: it must be a private key.
 */
int jwt_keys_load(struct jwt_keys *keys, const char *path, bool sign, struct err *err);
void jwt_keys_done(struct jwt_keys *keys);

/* text: what was parsed. */
bool jwt_verify(const struct jwt *t, const char *text, const struct jwt_keys *keys);
int jwt_sign(const struct jwt_key *key, const json_t *claims, struct strbuf *out); /* 0 or -errno */

/*
 * iss is one of issuers (NULL-terminated), exp is ahead and nbf is not, by now_s: NULL, or in words what is wrong.
 * What the token is for is asked apart.
 */
const char *jwt_check(const json_t *claims, const char *const *issuers, int64_t now_s);
/* Is audience among the token's? */
bool jwt_has_audience(const json_t *claims, const char *audience);

/* {"kty":..., "kid":..., "alg":..., "use":"sig", ...} of RFC 7517. NULL: out of memory. */
json_t *jwt_jwk(const struct jwt_key *key);

#endif
