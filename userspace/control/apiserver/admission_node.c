/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NodeRestriction: what the authorizer lets a node do to kinds, narrowed to the objects that are the node's own: its
 * Node without its taints and the labels that others trust, its lease, and the pods bound to it. Tokens that nodes ask
 * for are checked in token_request.c.
 */
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/str.h"
#include "admission-internal.h"
#include "authz.h"

#define MIRROR "kubernetes.io/config.mirror"

/* --- labels ------------------------------------------------------------------------------------------------------- */

static bool ends_in_domain(const char *ns, size_t len, const char *domain)
{
	size_t n = strlen(domain);

	return len >= n && !strncmp(ns + len - n, domain, n) && (len == n || ns[len - n - 1] == '.');
}

/* Labels under kubernetes.io and k8s.io mean something to others: a node sets only those that describe itself. */
static bool label_allowed(const char *key)
{
	static const char *const known[] = { "kubernetes.io/hostname",
					     "kubernetes.io/os",
					     "kubernetes.io/arch",
					     "beta.kubernetes.io/os",
					     "beta.kubernetes.io/arch",
					     "beta.kubernetes.io/instance-type",
					     "topology.kubernetes.io/zone",
					     "topology.kubernetes.io/region",
					     "failure-domain.beta.kubernetes.io/zone",
					     "failure-domain.beta.kubernetes.io/region" };
	const char *slash = strchr(key, '/');
	size_t len = slash ? (size_t)(slash - key) : 0;

	if (ends_in_domain(key, len, "node-restriction.kubernetes.io"))
		return false;
	if (!ends_in_domain(key, len, "kubernetes.io") && !ends_in_domain(key, len, "k8s.io"))
		return true;
	if (ends_in_domain(key, len, "kubelet.kubernetes.io") || ends_in_domain(key, len, "node.kubernetes.io"))
		return true;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (streq(key, known[i]))
			return true;
	return false;
}

/* Adds to out the labels of a that differ in b and that a node may not touch. */
static void forbidden_labels(const json_t *a, const json_t *b, struct strbuf *out)
{
	const char *key;
	json_t *v;

	json_object_foreach ((json_t *)a, key, v) {
		const json_t *w = json_object_get(b, key);

		if ((w && json_equal(v, w)) || label_allowed(key))
			continue;
		/* A changed one is in both. */
		if (strstr(out->buf, key) && out->len)
			continue;
		strbuf_addf(out, "%s%s", out->len ? ", " : "", key);
	}
}

static bool same_list(const json_t *a, const json_t *b)
{
	return (!json_array_size(a) && !json_array_size(b)) || (a && b && json_equal(a, b));
}

static enum admit admit_node(struct admission *a, const char *node)
{
	cleanup(strbuf_done) struct strbuf labels = STRBUF_INIT;
	const json_t *now = api_get(a->obj, "metadata.labels"), *was = api_get(a->old, "metadata.labels");

	if (!streq(a->c->name, node))
		return admission_forbid(a, "node \"%s\" is not allowed to modify node \"%s\"", node, a->c->name);
	if (a->op == ADMIT_DELETE)
		return ADMIT_NEXT;
	if (a->op == ADMIT_UPDATE && !same_list(api_get(a->obj, "spec.taints"), api_get(a->old, "spec.taints")))
		return admission_forbid(a, "node \"%s\" is not allowed to modify taints", node);
	strbuf_adds(&labels, "");
	forbidden_labels(now, was, &labels);
	forbidden_labels(was, now, &labels);
	if (!labels.len)
		return ADMIT_NEXT;
	if (a->op == ADMIT_CREATE)
		return admission_forbid(a, "node \"%s\" is not allowed to set the following labels: %s", node,
					labels.buf);
	return admission_forbid(a, "is not allowed to modify labels: %s", labels.buf);
}

/* --- pods --------------------------------------------------------------------------------------------------------- */

static void first_ref(void *arg, const char *resource, const char *name)
{
	const char **first = arg;

	(void)name;
	if (!*first)
		*first = resource;
}

static enum admit mirror_owner(struct admission *a, const char *node)
{
	const json_t *owners = api_get(a->obj, "metadata.ownerReferences"), *o = json_array_get(owners, 0);
	struct resource *r = cache_resource(a->c->s, "", "nodes");
	const char *uid;
	json_t *obj;
	bool same;

	if (json_array_size(owners) != 1 || !streq(api_get_str(o, "apiVersion"), "v1") ||
	    !streq(api_get_str(o, "kind"), "Node") || !streq(api_get_str(o, "name"), node))
		return admission_forbid(
			a, "node \"%s\" can only create pods with a single owner reference set to itself", node);
	if (!json_is_true(json_object_get(o, "controller")))
		return admission_forbid(
			a, "node \"%s\" can only create pods with a controller owner reference set to itself", node);
	if (json_is_true(json_object_get(o, "blockOwnerDeletion")))
		return admission_forbid(a, "node \"%s\" must not set blockOwnerDeletion on an owner reference", node);
	obj = r ? admission_parse(cache_get(r, NULL, node)) : NULL;
	uid = api_get_str(obj, "metadata.uid");
	same = uid && streq(api_get_str(o, "uid"), uid);
	json_decref(obj);
	return same ? ADMIT_NEXT : admission_forbid(a, "node %s UID mismatch", node);
}

static enum admit admit_pod_create(struct admission *a, const char *node)
{
	const char *refers = NULL;
	enum admit r;

	if (!json_object_get(api_get(a->obj, "metadata.annotations"), MIRROR))
		return admission_forbid(
			a, "pod does not have \"" MIRROR "\" annotation, node \"%s\" can only create mirror pods",
			node);
	if (!streq(api_get_str(a->obj, "spec.nodeName"), node))
		return admission_forbid(a, "node \"%s\" can only create pods with spec.nodeName set to itself", node);
	r = mirror_owner(a, node);
	if (r != ADMIT_NEXT)
		return r;
	pod_refs(a->obj, first_ref, &refers);
	if (refers)
		return admission_forbid(a, "node \"%s\" can not create pods that reference %s", node, refers);
	return ADMIT_NEXT;
}

static enum admit admit_pod(struct admission *a, const char *node)
{
	const char *sub = a->c->sub, *bound = api_get_str(a->c->old, "spec.nodeName");

	if (!*sub && a->op == ADMIT_CREATE)
		return admit_pod_create(a, node);
	if (!*sub && a->op == ADMIT_DELETE) {
		if (!streq(bound, node))
			return admission_forbid(a, "node \"%s\" can only delete pods with spec.nodeName set to itself",
						node);
		return ADMIT_NEXT;
	}
	if (streq(sub, "eviction")) {
		if (!streq(bound, node))
			return admission_forbid(a, "node %s can only evict pods with spec.nodeName set to itself",
						node);
		return ADMIT_NEXT;
	}
	if (!streq(sub, "status"))
		return admission_forbid(a, "node \"%s\" can only create and delete mirror pods", node);
	if (!streq(bound, node))
		return admission_forbid(
			a, "node \"%s\" can only update pod status for pods with spec.nodeName set to itself", node);
	if (!json_equal(api_get(a->obj, "metadata.labels"), api_get(a->old, "metadata.labels")) &&
	    (json_object_size(api_get(a->obj, "metadata.labels")) ||
	     json_object_size(api_get(a->old, "metadata.labels"))))
		return admission_forbid(a, "node \"%s\" cannot update labels through pod status", node);
	return ADMIT_NEXT;
}

/* --- claims ------------------------------------------------------------------------------------------------------- */

/* Only how large the claim's volume is, and how its growing goes. */
static enum admit admit_claim(struct admission *a, const char *node)
{
	static const char *const free_fields[] = { "capacity", "conditions", "allocatedResources",
						   "allocatedResourceStatuses" };
	json_t *now = json_deep_copy(a->obj), *was = json_deep_copy(a->old);
	bool same;

	for (size_t i = 0; i < sizeof(free_fields) / sizeof(free_fields[0]); i++) {
		json_object_del(json_object_get(now, "status"), free_fields[i]);
		json_object_del(json_object_get(was, "status"), free_fields[i]);
	}
	json_object_del(json_object_get(now, "metadata"), "resourceVersion");
	json_object_del(json_object_get(was, "metadata"), "resourceVersion");
	json_object_del(json_object_get(now, "metadata"), "managedFields");
	json_object_del(json_object_get(was, "metadata"), "managedFields");
	same = now && was && json_equal(now, was);
	json_decref(now);
	json_decref(was);
	if (same)
		return ADMIT_NEXT;
	return admission_forbid(
		a, "node \"%s\" is not allowed to update fields other than status.capacity and status.conditions",
		node);
}

static enum admit validate(struct admission *a)
{
	const struct api_kind *kind = a->c->res->kind;
	const char *node = authz_node_of(&a->c->who);

	if (!node)
		return identity_in_group(&a->c->who, "system:nodes") && a->c->req
			       ? admission_forbid(a, "could not determine node from user \"%s\"", a->c->who.user)
			       : ADMIT_NEXT;
	if (streq(kind->group, "coordination.k8s.io") && streq(kind->plural, "leases")) {
		if (!streq(a->c->ns, "kube-node-lease"))
			return admission_forbid(a,
						"can only access leases in the \"kube-node-lease\" system namespace");
		if (!streq(a->c->name, node))
			return admission_forbid(a,
						"can only access node lease with the same name as the requesting node");
		return ADMIT_NEXT;
	}
	if (streq(kind->group, "storage.k8s.io") && streq(kind->plural, "csinodes"))
		return streq(a->c->name, node)
			       ? ADMIT_NEXT
			       : admission_forbid(a,
						  "can only access CSINode with the same name as the requesting node");
	if (streq(kind->group, "skep.io") && streq(kind->plural, "nodedataplanes"))
		return streq(a->c->name, node)
			       ? ADMIT_NEXT
			       : admission_forbid(
					 a, "can only access NodeDataPlane with the same name as the requesting node");
	if (kind->group[0])
		return ADMIT_NEXT;
	if (streq(kind->plural, "nodes"))
		return admit_node(a, node);
	if (streq(kind->plural, "pods"))
		return admit_pod(a, node);
	if (streq(kind->plural, "persistentvolumeclaims"))
		return streq(a->c->sub, "status") && a->op == ADMIT_UPDATE
			       ? admit_claim(a, node)
			       : admission_forbid(a, "may only update PVC status");
	return ADMIT_NEXT;
}

const struct admission_plugin admission_node_restriction = {
	.name = "NodeRestriction",
	.ops = ADMIT_CREATE | ADMIT_UPDATE | ADMIT_DELETE,
	.validate = validate,
};
