/* SPDX-License-Identifier: Apache-2.0 */
/* create: what the server sets, defaults, what single kinds need, validation, and the namespace that must be there. */
#include "apiserver-internal.h"
#include "managed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/clock.h"
#include "../../lib/base/str.h"

#define SUFFIX_LEN	   5
#define MAX_GENERATED_BASE 58 /* 63 less the suffix, as Kubernetes */

static enum change create_change(struct call *c);

void registry_create(struct call *c)
{
	if (call_read_object(c, c->res->kind, c->res->api_version, c->res->kind->type, &c->body) < 0)
		return;
	if (object_prepare_create(c, c->body) < 0)
		return;
	c->creating = true;
	c->success_code = 201;
	c->change = create_change;
	registry_mutate(c);
}

/* The namespace in the body must be the path's. */
int object_check_namespace(struct call *c)
{
	const char *ns = api_get_str(c->body, "metadata.namespace");

	if (!c->res->kind->namespaced) {
		if (ns && *ns) {
			call_status(c, 400, "BadRequest", "namespace may not be set on a cluster-scoped object");
			return -1;
		}
		return 0;
	}
	if (ns && *ns && !streq(ns, c->ns)) {
		call_status(c, 400, "BadRequest",
			    "the namespace of the provided object does not match the namespace sent on the request");
		return -1;
	}
	obj_set_str(c->body, "metadata.namespace", c->ns);
	return 0;
}

static int set_name(struct call *c, json_t *obj)
{
	const char *name = api_get_str(obj, "metadata.name"), *base = api_get_str(obj, "metadata.generateName");
	struct api_errs errs = { 0 };
	char suffix[SUFFIX_LEN + 1], made[MAX_GENERATED_BASE + SUFFIX_LEN + 1];

	if (name && *name) {
		if (strlen(name) > CALL_NAME_MAX) {
			call_invalid1(c, API_C_TOO_LONG, "metadata.name", "Too long: may not be more than 253 bytes");
			return -1;
		}
		if (call_set_name(c, name) < 0) {
			call_oom(c);
			return -1;
		}
		return 0;
	}
	if (!base || !*base) {
		api_errs_add(&errs, API_C_REQUIRED, "metadata.name",
			     "Required value: name or generateName is required");
		call_invalid(c, &errs);
		api_errs_done(&errs);
		return -1;
	}
	obj_random_suffix(suffix, SUFFIX_LEN);
	snprintf(made, sizeof(made), "%.*s%s", MAX_GENERATED_BASE, base, suffix);
	if (call_set_name(c, made) < 0) {
		call_oom(c);
		return -1;
	}
	c->generated_name = true;
	obj_set_str(obj, "metadata.name", c->name);
	return 0;
}

int object_prepare_create(struct call *c, json_t *obj)
{
	json_t *meta = obj_meta(obj);
	const char *rv = api_get_str(obj, "metadata.resourceVersion");
	const struct api_kind *kind = c->res->kind;
	char now[CLOCK_RFC3339_SIZE], uid[37];

	if (!meta) {
		call_oom(c);
		return -1;
	}
	if (rv && *rv && !streq(rv, "0")) {
		call_status(c, 400, "BadRequest", "resourceVersion should not be set on objects to be created");
		return -1;
	}
	if (object_check_namespace(c) < 0 || set_name(c, obj) < 0)
		return -1;
	json_object_del(meta, "resourceVersion");
	json_object_del(meta, "deletionTimestamp");
	json_object_del(meta, "deletionGracePeriodSeconds");
	json_object_del(meta, "selfLink");
	json_object_del(meta, "managedFields");
	obj_now(now);
	obj_set_str(obj, "metadata.creationTimestamp", now);
	obj_set_str(obj, "metadata.uid", str_uuid(uid));
	if (kind->has_spec_generation)
		json_object_set_new(meta, "generation", json_integer(1));
	else
		json_object_del(meta, "generation");

	api_default(kind, obj);
	if (managed_create(c, obj) < 0)
		return -1;
	if (streq(kind->plural, "pods") && pod_prepare_create(c, obj) < 0)
		return -1;
	if (streq(kind->plural, "namespaces") && namespace_prepare_create(obj) < 0) {
		call_oom(c);
		return -1;
	}
	if (kind_prepare_create(c, obj) < 0)
		return -1;
	if (csr_is(kind) && csr_prepare_create(c, obj) < 0)
		return -1;
	kind_warn(c);
	api_default(kind, obj);
	return 0; /* it is validated when admission is through with it */
}

int object_finish_create(struct call *c, json_t *obj)
{
	if (c->res->custom && crd_terminating(c->s, c->res->kind)) {
		call_status(c, 405, "MethodNotAllowed",
			    "create not allowed while custom resource definition is terminating");
		return -1;
	}
	if (streq(c->res->kind->plural, "services") && service_prepare_create(c, obj) < 0)
		return -1;
	if (crd_is(c->res->kind) && crd_decide(c->s, obj) < 0) {
		call_oom(c);
		return -1;
	}
	return 0;
}

static enum change create_change(struct call *c)
{
	char name[256];

	if (c->old) {
		if (c->generated_name && c->tries++ < 10) {
			obj_random_suffix(c->made_name + strlen(c->made_name) - SUFFIX_LEN, SUFFIX_LEN);
			registry_mutate(c);
			return CHANGE_ANSWERED; /* not yet, but by the next round */
		}
		call_status(c, 409, "AlreadyExists", "%s \"%s\" already exists",
			    call_resource_name(c, name, sizeof(name)), c->name);
		return CHANGE_ANSWERED;
	}
	if (c->generated_name)
		obj_set_str(c->body, "metadata.name", c->name);
	c->obj = json_deep_copy(c->body);
	if (!c->obj) {
		call_oom(c);
		return CHANGE_ANSWERED;
	}
	return object_finish_create(c, c->obj) < 0 ? CHANGE_ANSWERED : CHANGE_WRITE;
}
