/* SPDX-License-Identifier: Apache-2.0 */
/* The settings of encryption at rest (encrypt_config.c) as encrypt.c and encrypt_seal.c use them. */
#ifndef SKEP_APISERVER_ENCRYPT_INTERNAL_H
#define SKEP_APISERVER_ENCRYPT_INTERNAL_H

#include "encrypt.h"

#define ENCRYPT_MAX_KEYS  16
#define ENCRYPT_MAX_KINDS 64

/* One way to write values: a key, or none. */
struct encrypt_key {
	bool identity;
	char name[64];
	unsigned char secret[32];
	size_t len; /* 16, 24 or 32 */
};
struct encrypt_rule {
	char *prefixes[ENCRYPT_MAX_KINDS]; /* of keys in the store: "/core/secrets/" */
	size_t n_prefixes;
	struct encrypt_key keys[ENCRYPT_MAX_KEYS]; /* the first one writes */
	size_t n_keys;
};
struct encrypt_config {
	struct encrypt_rule *rules;
	size_t n_rules;
};
/* The rule for a key of the store; NULL: its values are plain. */
const struct encrypt_rule *encrypt_rule_for(const struct encrypt_config *c, const char *key);

/* What is written for value. *ret is the caller's (free()); -ENOMEM, -EIO. */
int encrypt_seal(const struct encrypt_rule *rule, const char *key, const void *value, size_t len, unsigned char **ret,
		 size_t *ret_len);
/* -EBADMSG: not sealed by a key we have, or changed since. *ret_stale: another than the first key has written it. */
int encrypt_unseal(const struct encrypt_rule *rule, const char *key, const void *value, size_t len, unsigned char **ret,
		   size_t *ret_len, bool *ret_stale);

#endif
