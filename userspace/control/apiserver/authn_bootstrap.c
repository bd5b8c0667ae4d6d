/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bootstrap tokens ("abcdef.0123456789abcdef"): what a machine shows that wants to become a node and has no certificate
 * yet. Each is a Secret bootstrap-token-<id> of kube-system.
 */
#include "authn.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/clock.h"
#include "../../lib/base/str.h"

#define ID_LEN	     6
#define SECRET_LEN   16
#define GROUP	     "system:bootstrappers"
#define GROUP_PREFIX GROUP ":"
#define MAX_GROUP    256

static bool word(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9')))
			return false;
	return true;
}

bool is_bootstrap_token(const char *token)
{
	return strlen(token) == ID_LEN + 1 + SECRET_LEN && token[ID_LEN] == '.' && word(token, ID_LEN) &&
	       word(token + ID_LEN + 1, SECRET_LEN);
}

/* A value of the secret as text; NULL: absent, not base64 or not text. */
static char *value(const json_t *secret, const char *key)
{
	const char *text = json_string_value(json_object_get(json_object_get(secret, "data"), key));
	size_t len;
	char *raw = text ? (char *)str_unbase64(text, &len) : NULL;

	if (raw && memchr(raw, '\0', len)) {
		free(raw);
		return NULL;
	}
	return raw;
}

static bool equal(const char *a, const char *b, size_t len)
{
	return a && strlen(a) == len && CRYPTO_memcmp(a, b, len) == 0;
}

/* system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9] */
static bool group_ok(const char *g)
{
	size_t len = strlen(g), n = strlen(GROUP_PREFIX);

	if (!str_starts(g, GROUP_PREFIX) || len == n || len > n + MAX_GROUP)
		return false;
	for (const char *p = g + n; *p; p++)
		if (!word(p, 1) && *p != ':' && *p != '-')
			return false;
	return word(g + len - 1, 1);
}

static int add_groups(struct token_user *u, const json_t *secret)
{
	char *save = NULL;

	u->who.groups = u->names;
	u->who.groups[u->who.n_groups++] = GROUP;
	u->groups = value(secret, "auth-extra-groups");
	for (char *g = u->groups ? strtok_r(u->groups, ",", &save) : NULL; g; g = strtok_r(NULL, ",", &save)) {
		if (!group_ok(g) || u->who.n_groups == MAX_GROUPS - 1)
			return -EACCES;
		u->who.groups[u->who.n_groups++] = g;
	}
	u->who.groups[u->who.n_groups++] = "system:authenticated";
	return 0;
}

static int check(const json_t *secret, const char *token, struct token_user *u)
{
	cleanup(free) char *id = value(secret, "token-id"), *key = value(secret, "token-secret");
	cleanup(free) char *usage = value(secret, "usage-bootstrap-authentication");
	cleanup(free) char *end = value(secret, "expiration");
	bool has_end = json_object_get(json_object_get(secret, "data"), "expiration") != NULL;
	int64_t at;

	if (!streq(api_get_str(secret, "type"), "bootstrap.kubernetes.io/token") ||
	    api_get(secret, "metadata.deletionTimestamp"))
		return -EACCES;
	if (!equal(key, token + ID_LEN + 1, SECRET_LEN) || !equal(id, token, ID_LEN) || !streq(usage, "true"))
		return -EACCES;
	/* A time that cannot be read is not one that lies ahead. */
	if (has_end && (!end || clock_rfc3339_parse(end, &at) < 0 || at <= clock_real_ms()))
		return -EACCES;
	snprintf(u->user, sizeof(u->user), "system:bootstrap:%.*s", ID_LEN, token);
	u->who.user = u->user;
	u->who.authenticated = true;
	return add_groups(u, secret);
}

int bootstrap_token_check(struct apiserver *s, const char *token, struct token_user *u)
{
	struct resource *secrets = cache_resource(s, "", "secrets");
	struct object *o;
	json_t *secret = NULL;
	char name[64];
	int r;

	snprintf(name, sizeof(name), "bootstrap-token-%.*s", ID_LEN, token);
	o = secrets ? cache_get(secrets, "kube-system", name) : NULL;
	if (!o)
		return -EACCES;
	if (api_json_parse(o->json->data, o->json->len, &secret, NULL, NULL) < 0)
		return -ENOMEM;
	r = check(secret, token, u);
	json_decref(secret);
	return r;
}
