/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Role-based access control as a decision over an index: roles and bindings go in as JSON (authz.c feeds them from the
 * cache), a question costs what the asker's own bindings cost, whatever others have. No server is needed to test it.
 */
#ifndef SKEP_APISERVER_RBAC_H
#define SKEP_APISERVER_RBAC_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "../../lib/base/arena.h"
#include "../../lib/base/strbuf.h"

struct identity;
struct authz_request;
struct rbac;

struct words {
	size_t n;
	const char **v;
};
struct rbac_rule {
	struct words verbs, groups, resources, names, urls;
};
struct rbac_rules {
	struct arena arena;
	size_t n;
	struct rbac_rule *v;
};

/* rules: the JSON of a role's rules; NULL or not a list: none. 0 or -ENOMEM. */
int rbac_rules_parse(const json_t *rules, struct rbac_rules *ret);
void rbac_rules_done(struct rbac_rules *r);

struct rbac *rbac_new(void); /* NULL: out of memory */
void rbac_free(struct rbac *r);
/*
 * ns "": cluster-wide. obj NULL: it is gone. 0 or -ENOMEM; then the object grants nothing, so that a lack of memory
 * never lets anybody in.
 */
int rbac_set_role(struct rbac *r, const char *ns, const char *name, const json_t *obj);
int rbac_set_binding(struct rbac *r, const char *ns, const char *name, const json_t *obj);
/* NULL: there is no such role. Borrowed until the next change. */
const struct rbac_rules *rbac_role(const struct rbac *r, const char *ns, const char *name);

/* Why a rule is somebody's. */
struct rbac_source {
	const char *binding_ns, *binding; /* binding_ns "": a ClusterRoleBinding */
	const char *role_kind, *role;
	const char *subject; /* User "x", Group "y" or ServiceAccount "ns/z", as in the reason of a decision */
};
/* rule NULL: the binding's role does not exist. false ends the visit. */
typedef bool rbac_visit_fn(void *arg, const struct rbac_source *source, const struct rbac_rule *rule);
/* All that `who` has within ns (with what holds everywhere); ns "": only that. */
void rbac_visit(const struct rbac *r, const struct identity *who, const char *ns, rbac_visit_fn *fn, void *arg);

bool rbac_rule_allows(const struct rbac_rule *rule, const struct authz_request *a);
/* reason (may be NULL) gets Kubernetes' words: by which binding, or which roles were not found. */
bool rbac_allows(const struct rbac *r, const struct authz_request *a, struct strbuf *reason);

/* --- rbac_covers.c: who may pass on what -------------------------------------------------------------------------- */

/*
 * Whether the n owned rules together allow all that `wanted` allows. What they do not is added to missing, one line
 * of Kubernetes' short form a rule. Rules that multiply out to too much to look at count as missing.
 */
bool rbac_covers(const struct rbac_rule *const *owned, size_t n, const struct rbac_rules *wanted,
		 struct strbuf *missing);

#endif
