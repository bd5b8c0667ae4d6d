/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Authentication: the keys and names that tokens are made and checked with, tokens known to be good, and the parts of
 * the API that are about users (TokenRequest, TokenReview, SelfSubjectReview, OIDC discovery).
 */
#ifndef SKEP_APISERVER_AUTHN_H
#define SKEP_APISERVER_AUTHN_H

#include "apiserver-internal.h"
#include "jwt.h"

#define AUTHN_MAX_AUDIENCES 16
#define TOKEN_CACHE	    1024 /* tokens whose signature need not be checked again */

struct known_token;   /* authn_token.c */
struct static_tokens; /* authn_static.c */

struct authn {
	struct apiserver *s;
	struct jwt_keys sign;	/* one key, or none: no tokens are given out */
	struct jwt_keys verify; /* with the former first */
	const char *issuers[APISERVER_MAX_ISSUERS + 1];
	const char *audiences[AUTHN_MAX_AUDIENCES + 1]; /* of tokens for the API server itself */
	char *strings;					/* holds both */
	int64_t max_expiration_s;			/* 0: no limit of ours */
	struct strmap *known;				/* hex SHA-256 of a token -> struct known_token * */
	struct known_token *ring[TOKEN_CACHE];		/* in order of arrival; the oldest goes first */
	size_t ring_next;
	struct static_tokens *fixed; /* of --token-auth-file; NULL: none */
};

/* Whose token it is. who borrows from what is kept here. */
struct token_user {
	struct identity who;
	json_t *claims; /* NULL: not a service account's */
	char *groups;	/* of a bootstrap token */
	char user[600], group[300], id[64];
	const char *names[MAX_GROUPS]; /* what who.groups points to */
	struct identity_extra extra[8];
};
void token_user_done(struct token_user *u);

/*
 * Checks any bearer token, with the cache loaded. audiences (NULL-terminated): it must be for one of them. 0;
 * -EACCES: *ret_why says why, for logs and reviews; -ENOENT: likewise, but an object it depends on may only not have
 * come yet; -ENOMEM.
 */
int token_check(struct authn *a, const char *token, const char *const *audiences, struct token_user *ret,
		const char **ret_why);
/* The same for a service account's. */
int service_account_check(struct authn *a, const char *token, size_t len, const char *const *audiences,
			  struct token_user *ret, const char **ret_why);
/* File in Kubernetes' form: CSV of token,user,uid[,"group,..."]. */
int static_tokens_load(const char *path, struct static_tokens **ret, struct err *err);
void static_tokens_free(struct static_tokens *s);
bool static_token_find(const struct static_tokens *s, const char *token, struct identity *ret); /* s may be NULL */
/*
 * The token among a WebSocket's subprotocols (NULL: none offered), into buf: 1; 0: none; -EINVAL: wrong, several, or
 * nothing is offered beside it.
 */
int ws_bearer(const char *offer, char *buf, size_t size);
bool is_bootstrap_token(const char *token);
int bootstrap_token_check(struct apiserver *s, const char *token, struct token_user *ret);
void known_tokens_clear(struct authn *a);

/* uid of an object in the cache, "" if it is none of those that tokens are bound to; NULL: no such object. */
const char *authn_uid(struct apiserver *s, const char *plural, const char *ns, const char *name);

/* Puts whom the Impersonate-* headers name in c->who, who is asking in c->real; or refuses. */
void impersonate(struct call *c, call_fn *then);

void token_request(struct call *c); /* POST serviceaccounts/<name>/token */
void token_review(struct call *c);
void self_subject_review(struct call *c);

#endif
