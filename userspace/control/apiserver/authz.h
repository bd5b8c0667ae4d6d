/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Authorization's parts: authz.c decides (node authorizer, then RBAC), authz_node.c knows what nodes may have,
 * rbac*.c what roles and bindings give, rbac_bootstrap.c makes the default ones, rbac_aggregate.c keeps aggregated
 * cluster roles up to date.
 */
#ifndef SKEP_APISERVER_AUTHZ_H
#define SKEP_APISERVER_AUTHZ_H

#include "apiserver-internal.h"
#include "rbac.h"

#define RBAC_GROUP "rbac.authorization.k8s.io"

struct node_refs;
struct authz {
	struct rbac *rbac;
	struct node_refs *refs;
	struct rbac_rules node_rules; /* what any node may */
	int64_t written_rev;	      /* of the last role or binding whose write this server acknowledged */
	struct loop_timer aggregate;  /* armed: cluster roles have changed */
	bool aggregate_armed;
	struct strmap *aggregated; /* names of the cluster roles with an aggregationRule */
	/* rbac_bootstrap.c */
	unsigned pending;
	bool failed;
	void (*bootstrapped)(struct apiserver *s, bool ok);
};

/* --- authz_node.c ------------------------------------------------------------------------------------------------- */

/* Which node's pods refer to which secrets, config maps, claims and service accounts. */
struct node_refs *node_refs_new(void);
void node_refs_free(struct node_refs *r);
/* A pod came, went, or changed; either may be NULL. Whole objects, or at least their metadata and spec. */
void node_refs_pod(struct node_refs *r, const json_t *cur, const json_t *prev);
/* resource: "secrets", "configmaps", "persistentvolumeclaims", "serviceaccounts". */
bool node_refs_has(const struct node_refs *r, const char *node, const char *resource, const char *ns, const char *name);
/* Calls fn for everything the pod refers to. */
void pod_refs(const json_t *pod, void (*fn)(void *arg, const char *resource, const char *name), void *arg);

bool node_allows(struct apiserver *s, const char *node, const struct authz_request *a, struct strbuf *reason);

/* --- rbac_defaults.c ---------------------------------------------------------------------------------------------- */

json_t *rbac_policy(const char *text); /* rules of the short form used there; NULL: out of memory */
json_t *rbac_default_object(int i, const char **ret_plural, const char **ret_ns); /* NULL: past the end, or oom */
extern const char rbac_node_policy[];

/* --- rbac_bootstrap.c, rbac_aggregate.c --------------------------------------------------------------------------- */

/* Makes and completes the default roles and bindings, then calls done from the loop. */
void rbac_bootstrap(struct apiserver *s, void (*done)(struct apiserver *s, bool ok));
/* What an object must become to have all of `want`; NULL: it does already. Pure. *ret_recreate: another roleRef. */
json_t *rbac_reconcile(const json_t *have, const json_t *want, bool *ret_recreate);

void rbac_aggregate_later(struct apiserver *s);
void rbac_aggregate_note(struct apiserver *s, const char *name, const json_t *role); /* role NULL: gone */
/* The rules of all these roles, each once. NULL: out of memory. */
json_t *rbac_union(json_t *const *roles, size_t n);
void rbac_aggregate_init(struct apiserver *s);

/* --- rest_access.c: the answers to *AccessReview and SelfSubjectRulesReview ----------------------------------------
 */

void subject_access_review(struct call *c);
void local_subject_access_review(struct call *c);
void self_subject_access_review(struct call *c);
void self_subject_rules_review(struct call *c);

#endif
