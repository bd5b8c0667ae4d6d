/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may do what: a table of the identities that a cluster consists of, denying by default. The decision is a pure
 * function of the request's attributes. Nodes may write only what is theirs; that a pod is bound to the asking node
 * is checked where the pod is at hand (rest_pod.c).
 */
#include "apiserver-internal.h"

#include <string.h>

#include "../../lib/base/str.h"

struct rule {
	const char *user;
	const char *verbs; /* space-separated; "*": all; "read": get list watch */
	const char *group;
	const char *resources; /* "pods pods/status"; "*": all with all subresources */
};

#define SCHED "system:kube-scheduler"
#define KCM   "system:kube-controller-manager"

static const struct rule rules[] = {
	{ SCHED, "read", "",
	  "pods nodes namespaces services configmaps replicationcontrollers persistentvolumeclaims persistentvolumes" },
	{ SCHED, "read", "apps", "replicasets statefulsets deployments daemonsets" },
	{ SCHED, "read", "policy", "poddisruptionbudgets" },
	{ SCHED, "read", "storage.k8s.io", "*" },
	{ SCHED, "create", "", "bindings pods/binding" },
	{ SCHED, "delete", "", "pods" },
	{ SCHED, "update patch", "", "pods/status" },
	{ SCHED, "create update patch", "", "events" },
	{ SCHED, "create update patch", "events.k8s.io", "events" },
	{ SCHED, "get list watch create update patch", "coordination.k8s.io", "leases" },

	/* Controllers act on whatever users can make: they collect it, empty namespaces and keep status. */
	{ KCM, "*", "",
	  "pods pods/status services services/status endpoints nodes nodes/status namespaces namespaces/status "
	  "namespaces/finalize configmaps secrets serviceaccounts events replicationcontrollers "
	  "replicationcontrollers/status podtemplates persistentvolumeclaims persistentvolumes resourcequotas resourcequotas/status "
	  "limitranges" },
	{ KCM, "create", "", "pods/eviction" },
	{ KCM, "*", "apps", "*" },
	{ KCM, "*", "batch", "*" },
	{ KCM, "*", "discovery.k8s.io", "*" },
	{ KCM, "*", "networking.k8s.io", "*" },
	{ KCM, "*", "coordination.k8s.io", "*" },
	{ KCM, "*", "events.k8s.io", "*" },
	{ KCM, "*", "policy", "*" },
	{ KCM, "*", "autoscaling", "*" },
	/* The objects of custom kinds, in whatever group: collected, and deleted with their namespace. */
	{ KCM, "read update patch delete deletecollection", "*", "*" },
};

static bool has_word(const char *list, const char *word, size_t len)
{
	for (const char *p = list; *p;) {
		size_t n = strcspn(p, " ");

		if (n == len && !strncmp(p, word, len))
			return true;
		p += n;
		p += strspn(p, " ");
	}
	return false;
}

static bool is_read(const char *verb)
{
	return streq(verb, "get") || streq(verb, "list") || streq(verb, "watch");
}

static bool verb_matches(const char *verbs, const char *verb)
{
	return streq(verbs, "*") || has_word(verbs, verb, strlen(verb)) ||
	       (has_word(verbs, "read", 4) && is_read(verb));
}

static bool resource_matches(const char *resources, const char *resource, const char *sub)
{
	char full[200];
	size_t n = strlen(resource), m = strlen(sub);

	if (streq(resources, "*"))
		return true;
	if (n + m + 2 > sizeof(full))
		return false;
	memcpy(full, resource, n + 1);
	if (m) {
		full[n] = '/';
		memcpy(full + n + 1, sub, m + 1);
	}
	return has_word(resources, full, strlen(full));
}

const char *authz_node_of(const struct identity *who)
{
	static const char prefix[] = "system:node:";

	if (!str_starts(who->user, prefix) || !identity_in_group(who, "system:nodes") || !who->user[sizeof(prefix) - 1])
		return NULL;
	return who->user + sizeof(prefix) - 1;
}

static bool node_may(const char *node, const struct authz_request *a)
{
	bool core = !a->group[0];
	bool own = streq(a->name, node);

	if (is_read(a->verb) && !a->sub[0]) {
		if (core && resource_matches("pods services namespaces nodes configmaps secrets serviceaccounts",
					     a->resource, ""))
			return true;
		if (streq(a->group, "discovery.k8s.io") && streq(a->resource, "endpointslices"))
			return true;
		if (streq(a->group, "networking.k8s.io") && streq(a->resource, "networkpolicies"))
			return true;
		if (streq(a->group, "coordination.k8s.io") && streq(a->resource, "leases"))
			return streq(a->ns, "kube-node-lease") &&
			       (own || streq(a->verb, "watch") || streq(a->verb, "list"));
		return false;
	}
	if (core && streq(a->resource, "nodes")) {
		if (streq(a->verb, "create"))
			return !a->sub[0]; /* the name is checked where the body is at hand */
		return own && (!a->sub[0] || streq(a->sub, "status")) &&
		       (streq(a->verb, "update") || streq(a->verb, "patch") || streq(a->verb, "get"));
	}
	if (core && streq(a->resource, "pods")) {
		if (streq(a->sub, "status"))
			return streq(a->verb, "update") || streq(a->verb, "patch") || streq(a->verb, "get");
		return !a->sub[0] && streq(a->verb, "delete");
	}
	if (streq(a->resource, "events") && (core || streq(a->group, "events.k8s.io")))
		return streq(a->verb, "create") || streq(a->verb, "update") || streq(a->verb, "patch");
	if (streq(a->group, "coordination.k8s.io") && streq(a->resource, "leases") && streq(a->ns, "kube-node-lease")) {
		if (streq(a->verb, "create"))
			return true; /* see nodes */
		return own && (streq(a->verb, "update") || streq(a->verb, "patch") || streq(a->verb, "delete"));
	}
	return false;
}

static bool public_path(const char *path)
{
	return streq(path, "/version") || streq(path, "/livez") || streq(path, "/readyz") || streq(path, "/healthz") ||
	       str_starts(path, "/livez/") || str_starts(path, "/readyz/") || str_starts(path, "/healthz/");
}

static bool discovery_path(const char *path)
{
	return streq(path, "/api") || str_starts(path, "/api/") || streq(path, "/apis") || str_starts(path, "/apis/") ||
	       streq(path, "/openapi") || str_starts(path, "/openapi/") || streq(path, "/");
}

enum verdict authz_decide(const struct authz_request *a)
{
	const char *node;

	if (identity_in_group(a->who, "system:masters"))
		return AUTHZ_ALLOW;
	if (a->path) {
		if (public_path(a->path) && streq(a->verb, "get"))
			return AUTHZ_ALLOW;
		if (a->who->authenticated && discovery_path(a->path) && streq(a->verb, "get"))
			return AUTHZ_ALLOW;
		if (streq(a->path, "/metrics") && identity_in_group(a->who, "system:monitoring"))
			return AUTHZ_ALLOW;
		return AUTHZ_DENY;
	}
	if (!a->who->authenticated)
		return AUTHZ_DENY;
	node = authz_node_of(a->who);
	if (node && node_may(node, a))
		return AUTHZ_ALLOW;
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		const struct rule *r = &rules[i];

		if (streq(r->user, a->who->user) && (streq(r->group, a->group) || streq(r->group, "*")) &&
		    verb_matches(r->verbs, a->verb) && resource_matches(r->resources, a->resource, a->sub))
			return AUTHZ_ALLOW;
	}
	return AUTHZ_DENY;
}
