/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encryption at rest: a store in front of the store, which seals the values of chosen kinds before they are written and
 * opens them when they are read, so that nothing above it and nothing below it knows. The settings are Kubernetes'
 * EncryptionConfiguration with the providers aesgcm and identity:
 *
 *	apiVersion: apiserver.config.k8s.io/v1
 *	kind: EncryptionConfiguration
 *	resources:
 *	- resources: [secrets]
 *	  providers:
 *	  - aesgcm: {keys: [{name: key2, secret: <base64 of 16, 24 or 32 bytes>}, {name: key1, secret: ...}]}
 *	  - identity: {}
 *
 * The first key writes, all read. To rotate: put a new key last on every server, then first, then write every secret
 * anew (an update that changes nothing is written for this), then take the old key away.
 *
 * A sealed value is "k8s:enc:aesgcm:v1:<key's name>:", 12 random bytes, the ciphertext and its 16 byte tag. The store's
 * key is authenticated with it: no value can be put in another's place. What cannot be opened reads as empty.
 */
#ifndef SKEP_APISERVER_ENCRYPT_H
#define SKEP_APISERVER_ENCRYPT_H

#include <stdbool.h>

#include "../store/store.h"

struct encrypt_config;
/* Reads the settings. The file holds keys: only its owner should be able to read it. */
int encrypt_config_load(const char *path, struct encrypt_config **ret, struct err *err);
void encrypt_config_free(struct encrypt_config *c);

/* Puts itself before inner, which it owns from then on, like config. NULL: out of memory; both stay the caller's. */
struct store *encrypt_open(struct store *inner, struct encrypt_config *config);
/* The value of this key is not as the first key would write it: an update is to write it even if nothing changed. */
bool encrypt_stale(const struct store *s, const char *key);

#endif
