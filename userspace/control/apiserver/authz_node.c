/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node authorizer. A node reads what its network needs of everybody (services, endpoint slices, pods, namespaces,
 * nodes, network policies), and of secrets, config maps, claims, volumes and service accounts only those that a pod
 * bound to it refers to. What it may write beyond that is judged where the object is at hand (admission_node.c).
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/log.h"
#include "../../lib/base/str.h"
#include "authz.h"

#define SEP "\x1f"

/* --- what pods refer to ------------------------------------------------------------------------------------------- */

struct node_refs {
	struct strmap *counts; /* "node SEP resource SEP namespace SEP name" -> number of references, never 0 */
};

struct node_refs *node_refs_new(void)
{
	struct node_refs *r = calloc(1, sizeof(*r));

	if (r && !(r->counts = strmap_new())) {
		free(r);
		return NULL;
	}
	return r;
}

void node_refs_free(struct node_refs *r)
{
	if (!r)
		return;
	strmap_free(r->counts);
	free(r);
}

typedef void ref_fn(void *arg, const char *resource, const char *name);

static void refer(ref_fn *fn, void *arg, const char *resource, const json_t *obj, const char *path)
{
	const char *name = api_get_str(obj, path);

	if (name && *name)
		fn(arg, resource, name);
}

static void container_refs(const json_t *containers, ref_fn *fn, void *arg)
{
	json_t *ct, *e;
	size_t i, j;

	json_array_foreach (containers, i, ct) {
		json_array_foreach (json_object_get(ct, "env"), j, e) {
			refer(fn, arg, "secrets", e, "valueFrom.secretKeyRef.name");
			refer(fn, arg, "configmaps", e, "valueFrom.configMapKeyRef.name");
		}
		json_array_foreach (json_object_get(ct, "envFrom"), j, e) {
			refer(fn, arg, "secrets", e, "secretRef.name");
			refer(fn, arg, "configmaps", e, "configMapRef.name");
		}
	}
}

static void volume_refs(const json_t *pod, ref_fn *fn, void *arg)
{
	const char *pod_name = api_get_str(pod, "metadata.name");
	json_t *v, *s;
	size_t i, j;

	json_array_foreach (api_get(pod, "spec.volumes"), i, v) {
		refer(fn, arg, "secrets", v, "secret.secretName");
		refer(fn, arg, "configmaps", v, "configMap.name");
		refer(fn, arg, "persistentvolumeclaims", v, "persistentVolumeClaim.claimName");
		refer(fn, arg, "secrets", v, "csi.nodePublishSecretRef.name");
		json_array_foreach (api_get(v, "projected.sources"), j, s) {
			refer(fn, arg, "secrets", s, "secret.name");
			refer(fn, arg, "configmaps", s, "configMap.name");
		}
		if (json_object_get(v, "ephemeral") && pod_name && api_get_str(v, "name")) {
			cleanup(strbuf_done) struct strbuf claim = STRBUF_INIT;

			strbuf_addf(&claim, "%s-%s", pod_name, api_get_str(v, "name"));
			fn(arg, "persistentvolumeclaims", claim.buf);
		}
	}
}

void pod_refs(const json_t *pod, ref_fn *fn, void *arg)
{
	json_t *s;
	size_t i;

	refer(fn, arg, "serviceaccounts", pod, "spec.serviceAccountName");
	json_array_foreach (api_get(pod, "spec.imagePullSecrets"), i, s)
		refer(fn, arg, "secrets", s, "name");
	container_refs(api_get(pod, "spec.containers"), fn, arg);
	container_refs(api_get(pod, "spec.initContainers"), fn, arg);
	container_refs(api_get(pod, "spec.ephemeralContainers"), fn, arg);
	volume_refs(pod, fn, arg);
}

struct count {
	struct node_refs *r;
	const char *node, *ns;
	int by;
};

static void count_ref(void *arg, const char *resource, const char *name)
{
	cleanup(strbuf_done) struct strbuf key = STRBUF_INIT;
	const struct count *c = arg;
	uintptr_t n;

	strbuf_addf(&key, "%s" SEP "%s" SEP "%s" SEP "%s", c->node, resource, c->ns, name);
	if (strbuf_oom(&key)) {
		log_error("out of memory: node %s may not get %s %s/%s", c->node, resource, c->ns, name);
		return;
	}
	n = (uintptr_t)strmap_get(c->r->counts, key.buf);
	if (c->by > 0) {
		if (strmap_set(c->r->counts, key.buf, (void *)(n + 1), NULL) < 0)
			log_error("out of memory: node %s may not get %s %s/%s", c->node, resource, c->ns, name);
	} else if (n > 1) {
		(void)strmap_set(c->r->counts, key.buf, (void *)(n - 1), NULL);
	} else {
		strmap_del(c->r->counts, key.buf);
	}
}

static void count_pod(struct node_refs *r, const json_t *pod, int by)
{
	struct count c = { r, api_get_str(pod, "spec.nodeName"), api_get_str(pod, "metadata.namespace"), by };

	/* A mirror pod is the node's own word: it gives the node nothing. */
	if (!c.node || !*c.node || !c.ns ||
	    json_object_get(api_get(pod, "metadata.annotations"), "kubernetes.io/config.mirror"))
		return;
	pod_refs(pod, count_ref, &c);
}

void node_refs_pod(struct node_refs *r, const json_t *cur, const json_t *prev)
{
	if (cur)
		count_pod(r, cur, 1);
	if (prev)
		count_pod(r, prev, -1);
}

bool node_refs_has(const struct node_refs *r, const char *node, const char *resource, const char *ns, const char *name)
{
	cleanup(strbuf_done) struct strbuf key = STRBUF_INIT;

	strbuf_addf(&key, "%s" SEP "%s" SEP "%s" SEP "%s", node, resource, ns, name);
	return !strbuf_oom(&key) && strmap_has(r->counts, key.buf);
}

/* --- the decision ------------------------------------------------------------------------------------------------- */

static bool one_of(const char *word, const char *list)
{
	size_t len = strlen(word);

	for (const char *p = list; *p; p += strcspn(p, " "), p += strspn(p, " "))
		if (strcspn(p, " ") == len && !strncmp(p, word, len))
			return true;
	return false;
}

/* A volume is a node's if the claim it is bound to is. */
static bool volume_related(struct apiserver *s, const char *node, const char *name)
{
	struct resource *r = cache_resource(s, "", "persistentvolumes");
	struct object *o = r ? cache_get(r, NULL, name) : NULL;
	const char *ns, *claim;
	json_t *pv = NULL;
	bool ret;

	if (!o || api_json_parse(o->json->data, o->json->len, &pv, NULL, NULL) < 0)
		return false;
	ns = api_get_str(pv, "spec.claimRef.namespace");
	claim = api_get_str(pv, "spec.claimRef.name");
	ret = ns && claim && node_refs_has(s->authz->refs, node, "persistentvolumeclaims", ns, claim);
	json_decref(pv);
	return ret;
}

static bool refuse(struct strbuf *reason, const char *fmt, const char *arg)
{
	if (reason) {
		strbuf_clear(reason);
		strbuf_addf(reason, fmt, arg);
	}
	return false;
}

static bool related(struct apiserver *s, const char *node, const struct authz_request *a, const char *verbs,
		    const char *sub, struct strbuf *reason)
{
	if (!one_of(a->verb, verbs))
		return refuse(reason, "can only %s this type", verbs);
	if (!streq(a->sub, sub))
		return refuse(reason, "cannot access the subresource %s", a->sub);
	if (!a->name || !*a->name)
		return refuse(reason, "No Object name found%s", "");
	if (streq(a->resource, "persistentvolumes")
		    ? volume_related(s, node, a->name)
		    : a->ns && *a->ns && node_refs_has(s->authz->refs, node, a->resource, a->ns, a->name))
		return true;
	return refuse(reason, "no relationship found between node '%s' and this object", node);
}

static bool own_lease(const char *node, const struct authz_request *a, struct strbuf *reason)
{
	if (!one_of(a->verb, "get create update patch delete"))
		return refuse(reason, "can only get, create, update, patch, or delete a node lease%s", "");
	if (!streq(a->ns, "kube-node-lease"))
		return refuse(reason, "can only access leases in the \"%s\" system namespace", "kube-node-lease");
	/* The name of what is created is in its body: admission_node.c. */
	if (!streq(a->verb, "create") && !streq(a->name, node))
		return refuse(reason, "can only access node lease with the same name as the requesting node%s", "");
	return true;
}

static bool own_node(const char *node, const struct authz_request *a, struct strbuf *reason)
{
	if (one_of(a->verb, "get list watch"))
		return !*a->sub || (streq(a->sub, "status") && streq(a->name, node));
	if (streq(a->verb, "create"))
		return !*a->sub;
	if (one_of(a->verb, "update patch") && (!*a->sub || streq(a->sub, "status"))) {
		if (streq(a->name, node))
			return true;
		return refuse(reason, "node '%s' cannot update other nodes", node);
	}
	return false;
}

bool node_allows(struct apiserver *s, const char *node, const struct authz_request *a, struct strbuf *reason)
{
	if (!a->path && !*a->group) {
		if (streq(a->resource, "secrets") || streq(a->resource, "configmaps"))
			return related(s, node, a, "get list watch", "", reason);
		if (streq(a->resource, "persistentvolumeclaims"))
			return *a->sub ? related(s, node, a, "get update patch", "status", reason)
				       : related(s, node, a, "get", "", reason);
		if (streq(a->resource, "persistentvolumes"))
			return related(s, node, a, "get", "", reason);
		if (streq(a->resource, "serviceaccounts"))
			return *a->sub ? related(s, node, a, "create", "token", reason)
				       : related(s, node, a, "get", "", reason);
		if (streq(a->resource, "nodes"))
			return own_node(node, a, reason);
	}
	if (!a->path && streq(a->group, "coordination.k8s.io") && streq(a->resource, "leases"))
		return own_lease(node, a, reason);
	if (!a->path && streq(a->group, "storage.k8s.io") && streq(a->resource, "csinodes"))
		return one_of(a->verb, "get create update patch delete") && !*a->sub &&
		       (streq(a->verb, "create") || streq(a->name, node));
	if (!a->path && streq(a->group, "skep.io") && streq(a->resource, "nodedataplanes"))
		return streq(a->verb, "create")
			       ? !*a->sub
			       : streq(a->name, node) && one_of(a->verb, *a->sub ? "get update patch" : "get") &&
					 (!*a->sub || streq(a->sub, "status"));
	for (size_t i = 0; i < s->authz->node_rules.n; i++)
		if (rbac_rule_allows(&s->authz->node_rules.v[i], a))
			return true;
	return false;
}
