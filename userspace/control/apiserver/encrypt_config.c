/* SPDX-License-Identifier: Apache-2.0 */
/* Reading an EncryptionConfiguration, strictly: a setting that is not understood must not leave secrets in the open. */
#include "encrypt-internal.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/api/api.h"
#include "../../lib/base/cleanup.h"
#include "../../lib/base/file.h"
#include "../../lib/base/str.h"

#define MAX_FILE_BYTES (1 << 18)

/* Every member of v is one of words. */
static int only(const json_t *v, const char *what, const char *const *words, struct err *err)
{
	const char *key;
	json_t *member;

	if (!json_is_object(v))
		return err_set(err, EINVAL, "%s is not an object", what);
	json_object_foreach ((json_t *)v, key, member) {
		bool known = false;

		for (const char *const *w = words; *w && !known; w++)
			known = streq(*w, key);
		if (!known)
			return err_set(err, EINVAL, "%s: '%.64s' is not known here", what, key);
	}
	return 0;
}

static int add_key(struct encrypt_rule *rule, const json_t *v, struct err *err)
{
	static const char *const words[] = { "name", "secret", NULL };
	const char *name = api_get_str(v, "name"), *secret = api_get_str(v, "secret");
	struct encrypt_key *k = &rule->keys[rule->n_keys];
	unsigned char *raw;
	size_t len = 0;
	int r = only(v, "a key", words, err);

	if (r < 0)
		return r;
	if (rule->n_keys == ENCRYPT_MAX_KEYS)
		return err_set(err, E2BIG, "more than %d keys", ENCRYPT_MAX_KEYS);
	if (!name || !*name || strlen(name) >= sizeof(k->name) || strchr(name, ':'))
		return err_set(err, EINVAL, "a key needs a name without ':' of at most %zu characters",
			       sizeof(k->name) - 1);
	for (size_t i = 0; i < rule->n_keys; i++)
		if (!rule->keys[i].identity && streq(rule->keys[i].name, name))
			return err_set(err, EEXIST, "two keys are named '%s'", name);
	raw = secret ? str_unbase64(secret, &len) : NULL;
	if (!raw || (len != 16 && len != 24 && len != 32)) {
		if (raw)
			OPENSSL_cleanse(raw, len);
		free(raw);
		return err_set(err, EINVAL, "key '%s': secret is not the base64 of 16, 24 or 32 bytes", name);
	}
	strcpy(k->name, name);
	memcpy(k->secret, raw, len);
	k->len = len;
	rule->n_keys++;
	OPENSSL_cleanse(raw, len);
	free(raw);
	return 0;
}

static int add_provider(struct encrypt_rule *rule, const json_t *v, struct err *err)
{
	static const char *const words[] = { "aesgcm", "identity", NULL }, *const keys_word[] = { "keys", NULL };
	const json_t *aes = json_object_get(v, "aesgcm"), *key;
	int r = only(v, "a provider", words, err);
	size_t i;

	if (r < 0)
		return r;
	if (json_object_size(v) != 1)
		return err_set(err, EINVAL, "a provider is one of aesgcm and identity");
	if (!aes) {
		if (rule->n_keys == ENCRYPT_MAX_KEYS)
			return err_set(err, E2BIG, "more than %d keys", ENCRYPT_MAX_KEYS);
		rule->keys[rule->n_keys++].identity = true;
		return 0;
	}
	r = only(aes, "aesgcm", keys_word, err);
	if (!r && !json_array_size(json_object_get(aes, "keys")))
		r = err_set(err, EINVAL, "aesgcm has no keys");
	json_array_foreach (json_object_get(aes, "keys"), i, key)
		if (!r)
			r = add_key(rule, key, err);
	return r;
}

/* "secrets", "deployments.apps": the prefix that the kind's objects have in the store. */
static int add_kind(struct encrypt_rule *rule, const char *text, struct err *err)
{
	const char *dot = text ? strchr(text, '.') : NULL;
	char *prefix = NULL;

	if (!text || !*text || *text == '.' || strpbrk(text, "*/") || (dot && !dot[1]))
		return err_set(err, EINVAL,
			       "resources: '%.64s' is not the plural of a kind, with its group after a dot",
			       text ? text : "");
	if (rule->n_prefixes == ENCRYPT_MAX_KINDS)
		return err_set(err, E2BIG, "more than %d resources", ENCRYPT_MAX_KINDS);
	if (asprintf(&prefix, "/%s/%.*s/", dot ? dot + 1 : "core", (int)(dot ? dot - text : (long)strlen(text)), text) <
	    0)
		return err_set(err, ENOMEM, "out of memory");
	rule->prefixes[rule->n_prefixes++] = prefix;
	return 0;
}

static int read_rule(struct encrypt_rule *rule, const json_t *v, struct err *err)
{
	static const char *const words[] = { "resources", "providers", NULL };
	int r = only(v, "an entry of resources", words, err);
	const json_t *x;
	size_t i;

	if (!r &&
	    (!json_array_size(json_object_get(v, "resources")) || !json_array_size(json_object_get(v, "providers"))))
		r = err_set(err, EINVAL, "an entry of resources needs resources and providers");
	json_array_foreach (json_object_get(v, "resources"), i, x)
		if (!r)
			r = add_kind(rule, json_string_value(x), err);
	json_array_foreach (json_object_get(v, "providers"), i, x)
		if (!r)
			r = add_provider(rule, x, err);
	return r;
}

static int read_config(const json_t *doc, struct encrypt_config *c, struct err *err)
{
	static const char *const words[] = { "apiVersion", "kind", "resources", NULL };
	const json_t *list = json_object_get(doc, "resources"), *v;
	int r = only(doc, "the document", words, err);
	size_t i;

	if (r < 0)
		return r;
	if (!streq(api_get_str(doc, "apiVersion"), "apiserver.config.k8s.io/v1") ||
	    !streq(api_get_str(doc, "kind"), "EncryptionConfiguration"))
		return err_set(err, EINVAL, "not an EncryptionConfiguration of apiserver.config.k8s.io/v1");
	if (!json_array_size(list))
		return err_set(err, EINVAL, "resources is empty");
	c->rules = calloc(json_array_size(list), sizeof(*c->rules));
	if (!c->rules)
		return err_set(err, ENOMEM, "out of memory");
	json_array_foreach (list, i, v) {
		c->n_rules++;
		r = read_rule(&c->rules[i], v, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int encrypt_config_load(const char *path, struct encrypt_config **ret, struct err *err)
{
	struct encrypt_config *c = calloc(1, sizeof(*c));
	cleanup(free) int *lines = NULL;
	json_t *docs = NULL;
	char *text = NULL;
	size_t len = 0;
	int r;

	if (!c)
		return err_set(err, ENOMEM, "out of memory");
	r = file_read(path, MAX_FILE_BYTES, &text, &len, err);
	if (!r)
		r = api_yaml_parse(text, len, &docs, &lines, err);
	if (!r && json_array_size(docs) != 1)
		r = err_set(err, EINVAL, "one YAML document is expected");
	if (!r)
		r = read_config(json_array_get(docs, 0), c, err);
	json_decref(docs);
	if (text)
		OPENSSL_cleanse(text, len);
	free(text);
	if (r < 0) {
		encrypt_config_free(c);
		return err_wrap(err, r, "encryption keys '%s'", path);
	}
	*ret = c;
	return 0;
}

void encrypt_config_free(struct encrypt_config *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n_rules; i++) {
		for (size_t k = 0; k < c->rules[i].n_prefixes; k++)
			free(c->rules[i].prefixes[k]);
		OPENSSL_cleanse(c->rules[i].keys, sizeof(c->rules[i].keys));
	}
	free(c->rules);
	free(c);
}

const struct encrypt_rule *encrypt_rule_for(const struct encrypt_config *c, const char *key)
{
	for (size_t i = 0; i < c->n_rules; i++)
		for (size_t k = 0; k < c->rules[i].n_prefixes; k++)
			if (str_starts(key, c->rules[i].prefixes[k]))
				return &c->rules[i];
	return NULL;
}
