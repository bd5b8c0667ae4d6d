/* SPDX-License-Identifier: Apache-2.0 */
/*
 * update and patch, of objects and of their status. Both end in the same place: a whole new object is compared with
 * the present one, what the server owns is restored, and the rest is defaulted and validated.
 */
#include "apiserver-internal.h"
#include "managed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/str.h"
#include "encrypt.h"
#include "write_rules.h"

static enum change update_change(struct call *c);
static enum change patch_change(struct call *c);
static enum change finish_update(struct call *c, json_t *obj);

static void copy_meta(json_t *meta, const json_t *old_meta, const char *field)
{
	json_t *v = json_object_get(old_meta, field);

	if (v)
		json_object_set(meta, field, v);
	else
		json_object_del(meta, field);
}

static bool outside_meta_status(const char *key)
{
	return !streq(key, "metadata") && !streq(key, "status") && !streq(key, "kind") && !streq(key, "apiVersion");
}

static bool spec_differs(const json_t *a, const json_t *b)
{
	const char *key;
	json_t *v;

	json_object_foreach ((json_t *)a, key, v)
		if (outside_meta_status(key) && !json_equal(v, json_object_get(b, key)))
			return true;
	json_object_foreach ((json_t *)b, key, v)
		if (outside_meta_status(key) && !json_object_get(a, key))
			return true;
	return false;
}

static bool adds_finalizer(const json_t *obj, const json_t *old)
{
	json_t *v;
	size_t i;

	json_array_foreach (api_get(obj, "metadata.finalizers"), i, v)
		if (json_is_string(v) && !obj_has_finalizer(old, json_string_value(v)))
			return true;
	return false;
}

void object_set_generation(struct call *c, json_t *obj, const json_t *old)
{
	if (c->res->kind->has_spec_generation && spec_differs(obj, old))
		json_object_set_new(obj_meta(obj), "generation",
				    json_integer(api_get_int(old, "metadata.generation", 0) + 1));
}

int object_prepare_update(struct call *c, json_t *obj, const json_t *old, bool status)
{
	static const char *const kept[] = {
		"uid",	"creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation",
		"name", "namespace",	     "generateName"
	};
	const struct api_kind *kind = c->res->kind;
	json_t *meta = obj_meta(obj), *old_meta = json_object_get(old, "metadata");
	const char *uid = api_get_str(obj, "metadata.uid");
	struct api_errs errs = { 0 };

	if (!meta) {
		call_oom(c);
		return -1;
	}
	if (uid && *uid && !streq(uid, api_get_str(old, "metadata.uid"))) {
		call_conflict(c, "Precondition failed: UID in precondition: %.64s, UID in object meta: %s", uid,
			      api_get_str(old, "metadata.uid"));
		return -1;
	}
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		copy_meta(meta, old_meta, kept[i]);
	copy_meta(meta, old_meta, "resourceVersion");
	json_object_del(meta, "selfLink");
	json_object_del(meta, "managedFields");
	if (status || streq(c->sub, "approval")) {
		if (write_status_only(c, obj, old) < 0) {
			call_oom(c);
			return -1;
		}
		if (streq(kind->plural, "services"))
			api_default(kind, obj); /* ipMode: no other status has defaults */
	} else if (pod_sub_of(c)) {
		if (pod_write_sub(c, obj, old) < 0) {
			call_oom(c);
			return -1;
		}
		api_default(kind, obj);
	} else {
		bool has_status = false;

		for (const char *const *p = kind->subresources; p && *p; p++)
			has_status = has_status || streq(*p, "status");
		if (has_status) {
			json_t *st = json_object_get(old, "status");

			if (st)
				json_object_set(obj, "status", st);
			else
				json_object_del(obj, "status");
		}
		if (streq(kind->plural, "namespaces")) {
			/* spec.finalizers has a subresource of its own */
			json_t *spec = json_object_get(old, "spec");

			if (spec)
				json_object_set(obj, "spec", spec);
			if (namespace_prepare_create(obj) < 0) {
				call_oom(c);
				return -1;
			}
		}
		api_default(kind, obj);
		if (pod_check_update(c, obj, old) < 0)
			return -1;
		if (streq(kind->plural, "services") && service_prepare_update(c, obj, old) < 0)
			return -1;
	}
	if (csr_is(kind) && csr_prepare_update(c, obj, old) < 0)
		return -1;
	kind_warn(c);
	if (json_object_get(old_meta, "deletionTimestamp") && adds_finalizer(obj, old)) {
		api_errs_add(&errs, API_C_FORBIDDEN, "metadata.finalizers",
			     "Forbidden: no new finalizers can be added if the object is being deleted");
		call_invalid(c, &errs);
		api_errs_done(&errs);
		return -1;
	}
	object_set_generation(c, obj, old);
	api_validate_sub(kind, c->sub, obj, old, &errs);
	if (errs.n) {
		call_invalid(c, &errs);
		api_errs_done(&errs);
		return -1;
	}
	api_errs_done(&errs);
	return 0;
}

/* resourceVersion that the body demands: 0 = none. */
int call_body_version(struct call *c, const json_t *obj)
{
	const char *rv = api_get_str(obj, "metadata.resourceVersion");

	c->want_rev = 0;
	if (rv && *rv && !streq(rv, "0") && str_to_i64(rv, 1, INT64_MAX, &c->want_rev) < 0) {
		call_invalid1(c, API_C_INVALID, "metadata.resourceVersion",
			      "Invalid value: \"%.64s\": must be a decimal number", rv);
		return -1;
	}
	return 0;
}

void registry_update(struct call *c)
{
	const char *name;

	if (call_read_object(c, c->res->kind, c->res->api_version, c->res->kind->type, &c->body) < 0)
		return;
	name = api_get_str(c->body, "metadata.name");
	if (!name || !*name) {
		call_status(c, 400, "BadRequest", "name must be provided");
		return;
	}
	if (!streq(name, c->name)) {
		call_status(c, 400, "BadRequest",
			    "the name of the object (%.253s) does not match the name on the URL (%s)", name, c->name);
		return;
	}
	if (object_check_namespace(c) < 0 || call_body_version(c, c->body) < 0)
		return;
	c->change = update_change;
	registry_mutate(c);
}

static enum change update_change(struct call *c)
{
	json_t *obj;

	if (!c->old)
		return write_put_missing(c);
	c->success_code = 200;
	if (write_check_version(c) < 0)
		return CHANGE_ANSWERED;
	if (c->want_rev && c->want_rev != c->old_rev) {
		call_conflict(c, STALE);
		return CHANGE_ANSWERED;
	}
	obj = json_deep_copy(c->body);
	if (!obj) {
		call_oom(c);
		return CHANGE_ANSWERED;
	}
	return finish_update(c, obj);
}

/* Steals obj. */
static enum change finish_update(struct call *c, json_t *obj)
{
	json_t *asked = managed_asked(c, obj);
	int r;

	r = object_prepare_update(c, obj, c->old, streq(c->sub, "status"));
	if (r == 0)
		r = managed_track(c, obj, asked);
	json_decref(asked);
	if (r < 0) {
		json_decref(obj);
		return CHANGE_ANSWERED;
	}
	if (crd_is(c->res->kind) && !c->sub[0] && crd_decide(c->s, obj) < 0) {
		json_decref(obj);
		call_oom(c);
		return CHANGE_ANSWERED;
	}
	/* What is of no matter to owners may still differ: the order of a list. */
	if (r == 0 && json_equal(obj, c->old) && !encrypt_stale(c->s->store, c->key)) {
		json_decref(obj);
		return CHANGE_NONE;
	}
	c->obj = obj;
	return deletion_finished(c->res->kind, obj) ? CHANGE_DELETE : CHANGE_WRITE;
}

/* --- patch -------------------------------------------------------------------------------------------------------- */

enum patch_type { PATCH_JSON, PATCH_MERGE, PATCH_STRATEGIC, PATCH_APPLY, PATCH_UNKNOWN };

static enum patch_type patch_type(struct call *c)
{
	static const char *const names[] = { "application/json-patch+json", "application/merge-patch+json",
					     "application/strategic-merge-patch+json", "application/apply-patch+yaml" };
	const char *type = http_req_header(c->req, "content-type");
	size_t len = type ? strcspn(type, "; ") : 0;

	for (int i = 0; i < 4; i++)
		if (len == strlen(names[i]) && !strncasecmp(type, names[i], len))
			return (enum patch_type)i;
	return PATCH_UNKNOWN;
}

void registry_patch(struct call *c)
{
	enum patch_type type = patch_type(c);
	struct api_errs dups = { 0 };

	if (type == PATCH_APPLY) {
		registry_apply(c);
		return;
	}
	if (type == PATCH_UNKNOWN) {
		call_status(
			c, 415, "UnsupportedMediaType",
			"the body of the request was in an unknown format - accepted media types include: "
			"application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, "
			"application/apply-patch+yaml");
		return;
	}
	if (type == PATCH_STRATEGIC && c->res->custom) {
		call_status(c, 415, "UnsupportedMediaType",
			    "the body of the request was in an unknown format - accepted media types include: "
			    "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml");
		return;
	}
	if (call_read_any(c, &c->body, &dups) < 0) {
		api_errs_done(&dups);
		return;
	}
	if (call_field_errors(c, c->res->kind, &dups) < 0) {
		api_errs_done(&dups);
		return;
	}
	api_errs_done(&dups);
	if (type == PATCH_JSON ? !json_is_array(c->body) : !json_is_object(c->body)) {
		call_status(c, 400, "BadRequest", "a %s patch is a JSON %s", type == PATCH_JSON ? "JSON" : "merge",
			    type == PATCH_JSON ? "array" : "object");
		return;
	}
	/* A patch that names a version is conditional on it. */
	if (type != PATCH_JSON && call_body_version(c, c->body) < 0)
		return;
	c->change = patch_change;
	registry_mutate(c);
}

/* The patch is about managedFields, or about all of metadata. */
static bool names_managed(const json_t *ops)
{
	json_t *op;
	size_t i;

	json_array_foreach (ops, i, op) {
		const char *path = json_string_value(json_object_get(op, "path"));
		const char *from = json_string_value(json_object_get(op, "from"));

		if ((path && (streq(path, "/metadata") || str_starts(path, "/metadata/managedFields"))) ||
		    (from && (streq(from, "/metadata") || str_starts(from, "/metadata/managedFields"))))
			return true;
	}
	return false;
}

static enum change patch_change(struct call *c)
{
	const struct api_type *type = c->res->kind->type;
	struct api_errs errs = { 0 };
	struct err err = ERR_INIT;
	json_t *obj = NULL;
	const char *rv;
	int r;

	if (!c->old) {
		call_not_found(c);
		return CHANGE_ANSWERED;
	}
	if (c->want_rev && c->want_rev != c->old_rev) {
		call_conflict(c, STALE);
		return CHANGE_ANSWERED;
	}
	switch (patch_type(c)) {
	case PATCH_JSON:
		if (names_managed(c->body))
			managed_attach(&c->managed, c->old);
		r = api_patch_json(c->old, c->body, &obj, &err);
		json_decref(managed_take(c->old));
		break;
	case PATCH_MERGE:
		r = api_patch_merge(c->old, c->body, &obj, &err);
		break;
	default:
		r = api_patch_strategic(type, c->old, c->body, &obj, &err);
	}
	if (r < 0) {
		if (patch_type(c) == PATCH_JSON)
			call_status(c, 422, "Invalid",
				    "the server rejected our request due to an error in our request: %s", err.msg);
		else
			call_status(c, 400, "BadRequest", "%s", err.msg);
		return CHANGE_ANSWERED;
	}
	if (!json_is_object(obj)) {
		json_decref(obj);
		call_status(c, 422, "Invalid", "the patch does not leave an object");
		return CHANGE_ANSWERED;
	}
	if (!streq(api_get_str(obj, "kind"), c->res->kind->kind) ||
	    !streq(api_get_str(obj, "apiVersion"), c->res->api_version)) {
		json_decref(obj);
		call_status(c, 400, "BadRequest", "a patch may not change kind or apiVersion");
		return CHANGE_ANSWERED;
	}
	if (!streq(api_get_str(obj, "metadata.name"), c->name)) {
		json_decref(obj);
		call_invalid1(c, API_C_INVALID, "metadata.name", "Invalid value: field is immutable");
		return CHANGE_ANSWERED;
	}
	/* One that sets a version is conditional on it, whichever way it is written. */
	rv = api_get_str(obj, "metadata.resourceVersion");
	if (rv && *rv && !streq(rv, api_get_str(c->old, "metadata.resourceVersion"))) {
		json_decref(obj);
		call_conflict(c, STALE);
		return CHANGE_ANSWERED;
	}
	api_check(type, obj, &errs);
	r = call_field_errors(c, c->res->kind, &errs);
	api_errs_done(&errs);
	if (r < 0) {
		json_decref(obj);
		return CHANGE_ANSWERED;
	}
	api_prune(type, obj);
	return finish_update(c, obj);
}
