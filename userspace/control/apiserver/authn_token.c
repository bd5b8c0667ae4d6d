/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Service accounts' tokens: a signature by one of our keys, our issuer, an audience, a time, and then the objects that
 * the token lives and dies with, which are looked up in the cache at every use. Only what cannot change about a token
 * (that it was signed by us) is remembered.
 */
#include "authn.h"

#include <errno.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/clock.h"
#include "../../lib/base/str.h"

#define CLAIM	      "kubernetes.io"
#define DELETED_GRACE 60000 /* ms after its deletionTimestamp that a pod's token is still good: it says goodbye */

#define EXTRA(name) "authentication.kubernetes.io/" name

struct known_token {
	char key[2 * SHA256_DIGEST_LENGTH + 1];
	json_t *claims;
};

static void token_key(const char *token, size_t len, char *key)
{
	unsigned char sum[SHA256_DIGEST_LENGTH];

	SHA256((const unsigned char *)token, len, sum);
	for (size_t i = 0; i < sizeof(sum); i++)
		snprintf(key + 2 * i, 3, "%02x", sum[i]);
}

static void forget(struct authn *a, size_t i)
{
	struct known_token *k = TAKE(a->ring[i]);

	if (!k)
		return;
	(void)strmap_del(a->known, k->key);
	json_decref(k->claims);
	free(k);
}

void known_tokens_clear(struct authn *a)
{
	for (size_t i = 0; i < TOKEN_CACHE; i++)
		forget(a, i);
}

/* Failing is no failure: the next use checks the signature again. */
static void remember(struct authn *a, const char *key, json_t *claims)
{
	struct known_token *k = calloc(1, sizeof(*k));

	if (!k)
		return;
	snprintf(k->key, sizeof(k->key), "%s", key);
	forget(a, a->ring_next);
	if (strmap_set(a->known, key, k, NULL) < 0) {
		free(k);
		return;
	}
	k->claims = json_incref(claims);
	a->ring[a->ring_next] = k;
	a->ring_next = (a->ring_next + 1) % TOKEN_CACHE;
}

/* *ret: a reference to the claims of a token that one of our keys has signed. */
static int signed_claims(struct authn *a, const char *token, size_t len, json_t **ret)
{
	char key[2 * SHA256_DIGEST_LENGTH + 1];
	struct known_token *k;
	struct jwt t;
	int r;

	token_key(token, len, key);
	k = strmap_get(a->known, key);
	if (k) {
		*ret = json_incref(k->claims);
		return 0;
	}
	r = jwt_parse(token, len, &t);
	if (r < 0)
		return r;
	if (!jwt_verify(&t, token, &a->verify)) {
		jwt_done(&t);
		return -EACCES;
	}
	remember(a, key, t.claims);
	*ret = json_incref(t.claims);
	jwt_done(&t);
	return 0;
}

const char *authn_uid(struct apiserver *s, const char *plural, const char *ns, const char *name)
{
	struct resource *res = cache_resource(s, "", plural);
	struct object *o = res ? cache_get(res, ns, name) : NULL;
	const char *uid = o ? api_get_str(o->index, "metadata.uid") : NULL;

	return o ? (uid ? uid : "") : NULL;
}

/* Is the object that the token names still the one it was made for? */
static int bound(struct apiserver *s, const char *plural, const char *ns, const char *name, const char *uid)
{
	struct resource *res = cache_resource(s, "", plural);
	struct object *o = res && name ? cache_get(res, ns, name) : NULL;
	const char *gone;
	int64_t at;

	if (!o)
		return -ENOENT;
	if (!uid || !*uid || !streq(uid, api_get_str(o->index, "metadata.uid")))
		return -ENOENT; /* deleted and made again, or about to come */
	gone = api_get_str(o->index, "metadata.deletionTimestamp");
	if (gone && (clock_rfc3339_parse(gone, &at) < 0 || clock_real_ms() > at + DELETED_GRACE))
		return -EACCES;
	return 0;
}

static int bound_claim(struct authn *a, const json_t *own, const char *claim, const char *plural, const char *ns)
{
	const json_t *ref = json_object_get(own, claim);

	if (!ref)
		return 0;
	return bound(a->s, plural, ns, api_get_str(ref, "name"), api_get_str(ref, "uid"));
}

static void add_extra(struct token_user *u, const char *key, const char *value)
{
	if (value && *value && u->who.n_extra < sizeof(u->extra) / sizeof(u->extra[0]))
		u->extra[u->who.n_extra++] = (struct identity_extra){ key, value };
}

static int make_user(struct token_user *u, const json_t *own, const char *ns, const char *name)
{
	const char *jti = json_string_value(json_object_get(u->claims, "jti"));
	struct identity *who = &u->who;
	int n = snprintf(u->user, sizeof(u->user), "system:serviceaccount:%s:%s", ns, name);
	int m = snprintf(u->group, sizeof(u->group), "system:serviceaccounts:%s", ns);

	if (n >= (int)sizeof(u->user) || m >= (int)sizeof(u->group) ||
	    !streq(u->user, json_string_value(json_object_get(u->claims, "sub"))))
		return -EACCES;
	who->user = u->user;
	who->uid = api_get_str(json_object_get(own, "serviceaccount"), "uid");
	who->groups = u->names;
	who->groups[who->n_groups++] = "system:serviceaccounts";
	who->groups[who->n_groups++] = u->group;
	who->groups[who->n_groups++] = "system:authenticated";
	who->authenticated = true;
	who->extra = u->extra;
	if (jti && snprintf(u->id, sizeof(u->id), "JTI=%s", jti) < (int)sizeof(u->id))
		add_extra(u, EXTRA("credential-id"), u->id);
	add_extra(u, EXTRA("node-name"), api_get_str(json_object_get(own, "node"), "name"));
	add_extra(u, EXTRA("node-uid"), api_get_str(json_object_get(own, "node"), "uid"));
	add_extra(u, EXTRA("pod-name"), api_get_str(json_object_get(own, "pod"), "name"));
	add_extra(u, EXTRA("pod-uid"), api_get_str(json_object_get(own, "pod"), "uid"));
	return 0;
}

static int objects_live(struct authn *a, const json_t *own, const char *ns, const char *name, const char **ret_why)
{
	bool of_pod = json_object_get(own, "pod") != NULL;
	int r = bound(a->s, "serviceaccounts", ns, name, api_get_str(json_object_get(own, "serviceaccount"), "uid"));

	*ret_why = "service account has been deleted";
	if (r < 0)
		return r;
	*ret_why = "pod has been invalidated";
	r = bound_claim(a, own, "pod", "pods", ns);
	if (r < 0)
		return r;
	*ret_why = "secret has been invalidated";
	r = bound_claim(a, own, "secret", "secrets", ns);
	/* The node of a pod's token tells where the pod was; it is not what the token hangs on. */
	if (r < 0 || of_pod)
		return r;
	*ret_why = "node has been invalidated";
	return bound_claim(a, own, "node", "nodes", NULL);
}

void token_user_done(struct token_user *u)
{
	json_decref(u->claims);
	free(u->groups);
	u->claims = NULL;
	u->groups = NULL;
}

int service_account_check(struct authn *a, const char *token, size_t len, const char *const *audiences,
			  struct token_user *ret, const char **ret_why)
{
	struct token_user *u = ret;
	const char *ns, *name, *why;
	const json_t *own;
	bool meant = false;
	int r;

	*ret_why = "invalid bearer token";
	r = signed_claims(a, token, len, &u->claims);
	if (r < 0)
		return r == -ENOMEM ? r : -EACCES;
	why = jwt_check(u->claims, a->issuers, clock_real_ms() / 1000);
	if (why) {
		*ret_why = why;
		return -EACCES;
	}
	for (; *audiences && !meant; audiences++)
		meant = jwt_has_audience(u->claims, *audiences);
	if (!meant) {
		*ret_why = "token audiences are others";
		return -EACCES;
	}
	own = json_object_get(u->claims, CLAIM);
	ns = json_string_value(json_object_get(own, "namespace"));
	name = api_get_str(json_object_get(own, "serviceaccount"), "name");
	if (!ns || !*ns || !name || !*name || strchr(ns, '/') || strchr(name, '/') || make_user(u, own, ns, name) < 0)
		return -EACCES;
	return objects_live(a, own, ns, name, ret_why);
}
