/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How Kubernetes' kinds differ in what a PUT may do: make an object that is not there, overwrite one without naming
 * the version it was read at, and change metadata by way of the status. The rest of the kinds allow overwriting and
 * metadata, and a PUT of what is missing is 404.
 */
#include "write_rules.h"

#include <string.h>

#include "../../lib/base/str.h"
#include "apiserver-internal.h"

static const struct {
	const char *group, *plural;
	unsigned rules;
} table[] = {
	{ "", "endpoints", WRITE_PUT_CREATES },
	{ "", "events", WRITE_PUT_CREATES },
	{ "", "limitranges", WRITE_PUT_CREATES },
	{ "", "services", WRITE_PUT_CREATES },
	{ "admissionregistration.k8s.io", "mutatingwebhookconfigurations", WRITE_NEEDS_VERSION },
	{ "admissionregistration.k8s.io", "validatingwebhookconfigurations", WRITE_NEEDS_VERSION },
	{ "apiextensions.k8s.io", "customresourcedefinitions", WRITE_NEEDS_VERSION | WRITE_STATUS_ONLY },
	{ "apps", "deployments", WRITE_STATUS_KEEPS_LABELS },
	{ "coordination.k8s.io", "leases", WRITE_PUT_CREATES | WRITE_NEEDS_VERSION },
	{ "events.k8s.io", "events", WRITE_PUT_CREATES },
	{ "flowcontrol.apiserver.k8s.io", "flowschemas", WRITE_STATUS_ONLY },
	{ "flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations", WRITE_STATUS_ONLY },
	{ "policy", "poddisruptionbudgets", WRITE_NEEDS_VERSION },
	{ "rbac.authorization.k8s.io", "clusterrolebindings", WRITE_PUT_CREATES },
	{ "rbac.authorization.k8s.io", "clusterroles", WRITE_PUT_CREATES },
	{ "rbac.authorization.k8s.io", "rolebindings", WRITE_PUT_CREATES },
	{ "rbac.authorization.k8s.io", "roles", WRITE_PUT_CREATES },
	{ "storage.k8s.io", "csidrivers", WRITE_NEEDS_VERSION },
	{ "storage.k8s.io", "csinodes", WRITE_NEEDS_VERSION },
	{ "storage.k8s.io", "csistoragecapacities", WRITE_NEEDS_VERSION },
	{ "storage.k8s.io", "volumeattachments", WRITE_NEEDS_VERSION | WRITE_STATUS_ONLY },
};

unsigned write_rules(const struct resource *r)
{
	if (r->custom)
		return WRITE_NEEDS_VERSION | WRITE_STATUS_ONLY;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (streq(table[i].group, r->kind->group) && streq(table[i].plural, r->kind->plural))
			return table[i].rules;
	return 0;
}

static void restore(json_t *meta, const json_t *old_meta, const char *field)
{
	json_t *v = json_object_get(old_meta, field);

	if (v)
		json_object_set(meta, field, v);
	else
		json_object_del(meta, field);
}

int write_status_only(struct call *c, json_t *obj, const json_t *old)
{
	json_t *status = json_incref(json_object_get(obj, "status")), *meta;
	unsigned rules = write_rules(c->res);
	int r = -1;

	if (rules & WRITE_STATUS_ONLY)
		meta = json_deep_copy(json_object_get(old, "metadata"));
	else
		meta = json_incref(json_object_get(obj, "metadata"));
	if (!meta)
		goto out;
	if (rules & WRITE_STATUS_KEEPS_LABELS)
		restore(meta, json_object_get(old, "metadata"), "labels");
	/* old kubelets write back owners as they once read them */
	if (!c->res->kind->group[0] && streq(c->res->kind->plural, "pods"))
		restore(meta, json_object_get(old, "metadata"), "ownerReferences");
	json_object_clear(obj);
	r = json_object_update(obj, (json_t *)old);
	if (r == 0)
		r = json_object_set(obj, "metadata", meta);
	if (r == 0 && status)
		r = json_object_set(obj, "status", status);
	else if (r == 0)
		json_object_del(obj, "status");
out:
	json_decref(meta);
	json_decref(status);
	return r;
}

int write_check_version(struct call *c)
{
	struct api_errs errs = { 0 };

	if (c->want_rev || !(write_rules(c->res) & WRITE_NEEDS_VERSION))
		return 0;
	api_errs_add(&errs, API_C_INVALID, "metadata.resourceVersion",
		     "Invalid value: %s: must be specified for an update",
		     c->res->custom || crd_is(c->res->kind) ? "0" : "0x0");
	call_invalid(c, &errs);
	api_errs_done(&errs);
	return -1;
}

static bool may_create(struct call *c)
{
	char name[256];
	struct authz_request a = {
		.who = &c->who,
		.verb = "create",
		.group = c->group,
		.resource = c->resource,
		.sub = "",
		.ns = c->ns,
		.name = c->name,
	};

	if (authz_decide(c->s, &a, NULL) == AUTHZ_ALLOW)
		return true;
	call_resource_name(c, name, sizeof(name));
	call_status(c, 403, "Forbidden",
		    "%s \"%s\" is forbidden: User \"%s\" cannot create resource \"%s\" in API group \"%s\"%s%s%s", name,
		    c->name, c->who.user, c->resource, c->group,
		    c->ns[0] ? " in the namespace \"" : " at the cluster scope", c->ns, c->ns[0] ? "\"" : "");
	return false;
}

/* What was read somewhere and has gone since is not made again. */
bool write_may_make(struct call *c)
{
	const char *uid = api_get_str(c->body, "metadata.uid");

	if (uid && *uid)
		call_conflict(c, "Precondition failed: UID in precondition: %.64s, UID in object meta: ", uid);
	else if (c->want_rev)
		call_conflict(c, STALE);
	else
		return may_create(c);
	return false;
}

enum change write_put_missing(struct call *c)
{
	if (c->sub[0] || !(write_rules(c->res) & WRITE_PUT_CREATES)) {
		call_not_found(c);
		return CHANGE_ANSWERED;
	}
	if (!write_may_make(c))
		return CHANGE_ANSWERED;
	c->success_code = 201;
	c->obj = json_deep_copy(c->body);
	if (!c->obj) {
		call_oom(c);
		return CHANGE_ANSWERED;
	}
	if (object_prepare_create(c, c->obj) < 0 || object_finish_create(c, c->obj) < 0)
		return CHANGE_ANSWERED;
	return CHANGE_WRITE;
}
