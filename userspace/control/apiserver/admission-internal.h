/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Admission: what stands between a change that was decided and its write. admission.c runs the plugins in Kubernetes'
 * order, first all that may change the object, then, after defaults and validation, all that only judge. A plugin is
 * one struct in a file admission_<plugin>.c; its functions run on the server's loop and may suspend the chain to ask
 * somebody (ADMIT_WAIT). When the write loses its race the change is decided anew and so is the admission.
 */
#ifndef SKEP_ADMISSION_INTERNAL_H
#define SKEP_ADMISSION_INTERNAL_H

#include "apiserver-internal.h"

enum { ADMIT_CREATE = 1, ADMIT_UPDATE = 2, ADMIT_DELETE = 4, ADMIT_CONNECT = 8 };

/* ADMIT_ANSWERED: refused, and the client knows. ADMIT_WAIT: admission_resume() will be called, from the loop. */
enum admit { ADMIT_NEXT, ADMIT_ANSWERED, ADMIT_WAIT };

struct admission_plugin;
struct admission {
	struct call *c;
	unsigned op;
	/*
	 * What the request is about, borrowed from the call. obj: the object to be written, or the body of a
	 * subresource that is a kind of its own (Scale, Binding, Eviction, PodExecOptions...); NULL for a deletion.
	 * Plugins change it in place and say so in `changed`. old: what is there; NULL for a creation.
	 */
	json_t *obj, *old;
	bool changed;
	bool reinvoke;	/* a webhook changed the object after other plugins saw it: they look again, once */
	bool reinvoked; /* this is that second look */

	/* of admission.c */
	bool validating;
	size_t next;
	call_fn *then;

	unsigned warnings;
	json_t *own;	 /* obj, where the call has no such object */
	json_t *own_old; /* the same for old */

	/* of admission_webhook.c */
	json_t *hooks; /* mutating ones that the request concerns */
	size_t hook_next;
	json_t *hooks_seen;  /* key -> object_version after it */
	json_t *after_hooks; /* the object after the first round */
	int object_version;
	unsigned n_asked; /* questions under way */

	/* of admission_quota.c: amounts by quota */
	json_t *to_charge, *charged;
	unsigned charge_rounds;
};

/*
 * ops: which operations interest it. mutate may change a->obj, validate not; either may be NULL. Plugins decide
 * themselves about kinds and subresources (admission_is()). They read other objects from the cache, which may be a
 * moment old, as Kubernetes' informers are.
 */
struct admission_plugin {
	const char *name;
	unsigned ops;
	enum admit (*mutate)(struct admission *a);
	enum admit (*validate)(struct admission *a);
};

/* After ADMIT_WAIT: go on behind the plugin that waited. Nothing happens if the call has been answered. */
void admission_resume(struct admission *a);

/* The request is about this resource itself, not a subresource. */
bool admission_is(const struct admission *a, const char *group, const char *plural);
bool admission_is_pod(const struct admission *a);
bool admission_is_resize(const struct admission *a); /* a write of pods/resize */
/* 403: pods "x" is forbidden: <fmt>. */
enum admit admission_forbid(struct admission *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Warning header to the client, at most 32 a request; control characters are dropped. */
void admission_warn(struct admission *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* An object of the cache as a tree, the caller's; NULL: absent or out of memory. ns NULL: cluster-scoped. */
json_t *admission_get(struct apiserver *s, const char *group, const char *plural, const char *ns, const char *name);
json_t *admission_parse(const struct object *o);
/* The range of a namespace's objects in the cache: indexes [*ret_from, *ret_to). */
void admission_range(const struct resource *r, const char *ns, size_t *ret_from, size_t *ret_to);

extern const struct admission_plugin admission_namespace_lifecycle, admission_limit_ranger, admission_priority,
	admission_default_tolerations, admission_mutating_webhook, admission_validating_webhook,
	admission_resource_quota, admission_pod_security, admission_default_storage_class,
	admission_default_ingress_class;
extern const struct admission_plugin admission_taint_nodes, admission_claim_resize, admission_certificate_subject;
extern const struct admission_plugin admission_service_account, admission_node_restriction, admission_rbac;

#endif
