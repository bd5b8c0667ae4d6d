/* SPDX-License-Identifier: Apache-2.0 */
/* AES-GCM on single values; see encrypt.h for their form. */
#include "encrypt-internal.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/str.h"

#define SEALED	    "k8s:enc:"
#define PREFIX	    SEALED "aesgcm:v1:"
#define NONCE_BYTES 12
#define TAG_BYTES   16

static void ctx_freep(EVP_CIPHER_CTX **p)
{
	EVP_CIPHER_CTX_free(*p);
}

static const EVP_CIPHER *cipher(const struct encrypt_key *k)
{
	return k->len == 32 ? EVP_aes_256_gcm() : k->len == 24 ? EVP_aes_192_gcm() : EVP_aes_128_gcm();
}

static int copy(const void *value, size_t len, unsigned char **ret, size_t *ret_len)
{
	unsigned char *p = malloc(len + 1);

	if (!p)
		return -ENOMEM;
	memcpy(p, value, len);
	p[len] = '\0';
	*ret = p;
	*ret_len = len;
	return 0;
}

int encrypt_seal(const struct encrypt_rule *rule, const char *key, const void *value, size_t len, unsigned char **ret,
		 size_t *ret_len)
{
	const struct encrypt_key *k = &rule->keys[0];
	cleanup(ctx_free) EVP_CIPHER_CTX *ctx = NULL;
	cleanup(free) unsigned char *out = NULL;
	unsigned char *nonce, *text;
	size_t head;
	int n, last;

	if (k->identity)
		return copy(value, len, ret, ret_len);
	head = strlen(PREFIX) + strlen(k->name) + 1;
	out = malloc(head + NONCE_BYTES + len + TAG_BYTES);
	ctx = EVP_CIPHER_CTX_new();
	if (!out || !ctx)
		return -ENOMEM;
	memcpy(out, PREFIX, strlen(PREFIX));
	memcpy(out + strlen(PREFIX), k->name, strlen(k->name));
	out[head - 1] = ':';
	nonce = out + head;
	text = nonce + NONCE_BYTES;
	if (RAND_bytes(nonce, NONCE_BYTES) != 1 || EVP_EncryptInit_ex(ctx, cipher(k), NULL, k->secret, nonce) != 1 ||
	    EVP_EncryptUpdate(ctx, NULL, &n, (const unsigned char *)key, (int)strlen(key)) != 1 ||
	    EVP_EncryptUpdate(ctx, text, &n, value, (int)len) != 1 || EVP_EncryptFinal_ex(ctx, text + n, &last) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, text + len) != 1) {
		ERR_clear_error();
		return -EIO;
	}
	*ret_len = head + NONCE_BYTES + len + TAG_BYTES;
	*ret = TAKE(out);
	return 0;
}

static int open_with(const struct encrypt_key *k, const char *key, const unsigned char *p, size_t len,
		     unsigned char **ret, size_t *ret_len)
{
	cleanup(ctx_free) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	cleanup(free) unsigned char *out = NULL;
	size_t n_text;
	int n, last;

	if (len < NONCE_BYTES + TAG_BYTES)
		return -EBADMSG;
	n_text = len - NONCE_BYTES - TAG_BYTES;
	out = malloc(n_text + 1);
	if (!out || !ctx)
		return -ENOMEM;
	if (EVP_DecryptInit_ex(ctx, cipher(k), NULL, k->secret, p) != 1 ||
	    EVP_DecryptUpdate(ctx, NULL, &n, (const unsigned char *)key, (int)strlen(key)) != 1 ||
	    EVP_DecryptUpdate(ctx, out, &n, p + NONCE_BYTES, (int)n_text) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, (void *)(p + len - TAG_BYTES)) != 1 ||
	    EVP_DecryptFinal_ex(ctx, out + n, &last) != 1) {
		ERR_clear_error();
		return -EBADMSG;
	}
	out[n_text] = '\0';
	*ret_len = n_text;
	*ret = TAKE(out);
	return 0;
}

int encrypt_unseal(const struct encrypt_rule *rule, const char *key, const void *value, size_t len, unsigned char **ret,
		   size_t *ret_len, bool *ret_stale)
{
	const unsigned char *p = value, *colon;
	bool sealed = len >= strlen(SEALED) && !memcmp(p, SEALED, strlen(SEALED));
	size_t at = strlen(PREFIX), n_name;
	int r = -EBADMSG;

	if (sealed && (len < at || memcmp(p, PREFIX, at) != 0))
		return -EBADMSG;
	colon = sealed ? memchr(p + at, ':', len - at) : NULL;
	if (sealed && !colon)
		return -EBADMSG;
	n_name = sealed ? (size_t)(colon - p) - at : 0;
	for (size_t i = 0; i < rule->n_keys; i++) {
		const struct encrypt_key *k = &rule->keys[i];

		if (k->identity == sealed)
			continue;
		if (!sealed)
			r = copy(value, len, ret, ret_len);
		else if (strlen(k->name) == n_name && !memcmp(k->name, p + at, n_name))
			r = open_with(k, key, colon + 1, len - at - n_name - 1, ret, ret_len);
		else
			continue;
		*ret_stale = i != 0;
		return r;
	}
	return r;
}
