/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Namespaces: born with the finalizer `kubernetes` in spec.finalizers, which the namespace controller takes away
 * through /finalize once everything in them is gone; always labelled with their own name.
 */
#include "apiserver-internal.h"
#include "managed.h"

#include <errno.h>
#include <string.h>

#include "../../lib/base/str.h"

int namespace_prepare_create(json_t *obj)
{
	json_t *meta = obj_meta(obj), *labels;
	const char *name = api_get_str(obj, "metadata.name");

	if (!meta || !name)
		return -ENOMEM;
	labels = json_object_get(meta, "labels");
	if (!json_is_object(labels)) {
		if (json_object_set_new(meta, "labels", json_object()) < 0)
			return -ENOMEM;
		labels = json_object_get(meta, "labels");
	}
	if (json_object_set_new(labels, "kubernetes.io/metadata.name", json_string(name)) < 0)
		return -ENOMEM;
	if (api_get_str(obj, "metadata.deletionTimestamp"))
		return 0;
	if (!api_get(obj, "spec.finalizers") && api_set(obj, "spec.finalizers", json_pack("[s]", "kubernetes")) < 0)
		return -ENOMEM;
	return api_set(obj, "status", json_pack("{s:s}", "phase", "Active"));
}

static enum change finalize_change(struct call *c)
{
	json_t *finalizers = api_get(c->body, "spec.finalizers");
	const char *uid = api_get_str(c->body, "metadata.uid");
	int r;

	if (!c->old) {
		call_not_found(c);
		return CHANGE_ANSWERED;
	}
	if (uid && *uid && !streq(uid, api_get_str(c->old, "metadata.uid"))) {
		call_conflict(c, "Precondition failed: UID in precondition: %.64s, UID in object meta: %s", uid,
			      api_get_str(c->old, "metadata.uid"));
		return CHANGE_ANSWERED;
	}
	if (c->want_rev && c->want_rev != c->old_rev) {
		call_conflict(
			c,
			"the object has been modified; please apply your changes to the latest version and try again");
		return CHANGE_ANSWERED;
	}
	c->obj = json_deep_copy(c->old);
	if (!c->obj || api_set(c->obj, "spec.finalizers", finalizers ? json_deep_copy(finalizers) : json_array()) < 0) {
		call_oom(c);
		return CHANGE_ANSWERED;
	}
	if (deletion_finished(c->res->kind, c->obj))
		return CHANGE_DELETE;
	r = managed_track(c, c->obj, NULL);
	if (r < 0)
		return CHANGE_ANSWERED;
	return r ? CHANGE_WRITE : CHANGE_NONE;
}

void namespace_finalize(struct call *c)
{
	const char *name, *rv;

	if (call_read_object(c, c->res->kind, c->res->api_version, c->res->kind->type, &c->body) < 0)
		return;
	name = api_get_str(c->body, "metadata.name");
	rv = api_get_str(c->body, "metadata.resourceVersion");
	if (!streq(name, c->name)) {
		call_status(c, 400, "BadRequest", "the name of the object does not match the name on the URL (%s)",
			    c->name);
		return;
	}
	if (rv && *rv && str_to_i64(rv, 0, INT64_MAX, &c->want_rev) < 0) {
		call_invalid1(c, API_C_INVALID, "metadata.resourceVersion",
			      "Invalid value: \"%.64s\": must be a decimal number", rv);
		return;
	}
	c->change = finalize_change;
	registry_mutate(c);
}
