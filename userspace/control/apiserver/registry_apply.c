/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server-side apply: PATCH with application/apply-patch+yaml. What is applied is merged into the object by the rules
 * of lib/api's apply.c, or becomes a new object; from there on it goes the way of any other write.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/clock.h"
#include "../../lib/base/str.h"
#include "apiserver-internal.h"
#include "encrypt.h"
#include "managed.h"
#include "write_rules.h"

static enum change apply_change(struct call *c);

int apply_check_options(struct call *c)
{
	const char *manager = call_query(c, "fieldManager"), *force = call_query(c, "force");
	struct api_errs errs = { 0 };

	if (force && *force && !streq(force, "true") && !streq(force, "false") && !streq(force, "1") &&
	    !streq(force, "0")) {
		call_status(c, 400, "BadRequest", "force: Invalid value: \"%.64s\": must be true or false", force);
		return -1;
	}
	if (manager && *manager)
		return 0;
	api_errs_add(&errs, API_C_REQUIRED, "fieldManager", "Required value: is required for apply patch");
	call_options_invalid(c, "PatchOptions", &errs);
	api_errs_done(&errs);
	return -1;
}

/* The configuration names what the path names; -1: answered. */
static int check_identity(struct call *c)
{
	const struct api_kind *kind = c->res->kind;
	const char *version = api_get_str(c->body, "apiVersion"), *word = api_get_str(c->body, "kind");
	const char *name = api_get_str(c->body, "metadata.name");

	if (!streq(version, c->res->api_version)) {
		call_status(c, 400, "BadRequest",
			    "Incorrect version specified in apply patch. Specified patch version: %.100s, expected: %s",
			    version ? version : "", c->res->api_version);
		return -1;
	}
	if (!streq(word, kind->kind)) {
		call_status(c, 400, "BadRequest", "invalid object type: %s, Kind=%.100s", c->res->api_version,
			    word ? word : "");
		return -1;
	}
	if (api_get(c->body, "metadata.managedFields") && !json_is_null(api_get(c->body, "metadata.managedFields"))) {
		call_status(c, 400, "BadRequest", "metadata.managedFields must be nil");
		return -1;
	}
	if (name && *name && !streq(name, c->name)) {
		call_status(c, 400, "BadRequest",
			    "the name of the object (%.253s) does not match the name on the URL (%s)", name, c->name);
		return -1;
	}
	obj_set_str(c->body, "metadata.name", c->name);
	return object_check_namespace(c);
}

/* As upstream, which says so with this code. */
static void not_typed(struct call *c, const char *why)
{
	call_status(c, 500, "", "failed to create typed patch object (%s%s%s; %s, Kind=%s): %s", c->ns,
		    c->ns[0] ? "/" : "", c->name, c->res->api_version, c->res->kind->kind, why);
}

/* Wrong types: the path as the configuration's owner knows it. Unknown fields are told by the walk. */
static int check_types(struct call *c, const struct api_type *type)
{
	struct api_errs errs = { 0 };
	int r = 0;

	api_check(type, c->body, &errs);
	for (size_t i = 0; i < errs.n && r == 0; i++) {
		cleanup(strbuf_done) struct strbuf text = STRBUF_INIT;

		if (errs.v[i].cause != API_C_TYPE)
			continue;
		strbuf_addf(&text, ".%s: %s", errs.v[i].field, errs.v[i].text);
		not_typed(c, text.buf);
		r = -1;
	}
	api_errs_done(&errs);
	return r;
}

/* Nulls say nothing: they are what generated manifests have where nothing is set. */
static void drop_nulls(json_t *v)
{
	const char *key;
	json_t *child;
	void *tmp;
	size_t i;

	json_object_foreach_safe (v, tmp, key, child) {
		if (json_is_null(child))
			json_object_del(v, key);
		else
			drop_nulls(child);
	}
	json_array_foreach (v, i, child)
		drop_nulls(child);
}

void registry_apply(struct call *c)
{
	struct api_errs dups = { 0 };
	int r;

	if (apply_check_options(c) < 0)
		return;
	r = call_read_any(c, &c->body, &dups);
	if (r == 0)
		r = call_field_errors(c, c->res->kind, &dups);
	api_errs_done(&dups);
	if (r < 0)
		return;
	if (!json_is_object(c->body)) {
		call_status(c, 400, "BadRequest", "error decoding YAML: an applied configuration is an object");
		return;
	}
	if (check_identity(c) < 0 || check_types(c, c->res->kind->type) < 0 || call_body_version(c, c->body) < 0)
		return;
	drop_nulls(c->body);
	json_object_del(obj_meta(c->body), "resourceVersion");
	c->change = apply_change;
	registry_mutate(c);
}

/* --- deciding ----------------------------------------------------------------------------------------------------- */

int apply_config(struct call *c, json_t *config, enum managed_scope scope, int (*prepare)(struct call *c, json_t *obj),
		 json_t **ret)
{
	cleanup(fset_mem_done) struct fset_mem mem = FSET_MEM_INIT;
	const struct api_type *type = c->res->kind->type;
	json_t *live = c->old ? json_incref(c->old) : json_object(), *obj;
	struct managed m = { .mem = &mem };
	char now[CLOCK_RFC3339_SIZE];
	struct managed_applied got = { 0 };
	struct managed_writer who;
	struct err err = ERR_INIT;
	int r = -ENOMEM;

	managed_writer_of(c, now, &who);
	if (c->old && managed_read(&mem, c->managed.buf, c->managed.len, &m) == -EINVAL)
		m.n = 0;
	if (live)
		r = managed_apply(&m, type, live, config, &who, scope, call_query_true(c, "force"), &got, &err);
	obj = got.obj ? got.obj : r == 0 ? json_deep_copy(live) : NULL;
	if (r == -EBUSY) {
		call_json(c, 409, managed_conflict_status(&got));
	} else if (r == -EINVAL) {
		not_typed(c, err.msg);
	} else if (r < 0 || !obj) {
		call_oom(c);
		r = -ENOMEM;
	}
	if (r < 0)
		goto out;
	api_prune(type, obj);
	r = prepare ? prepare(c, obj) : 0;
	if (r < 0)
		goto out;
	if (!c->old || !json_equal(obj, c->old))
		managed_touch(&m, &who);
	r = managed_keep(c, &m);
	if (r < 0)
		goto out;
	*ret = TAKE(obj);
out:
	json_decref(obj);
	json_decref(live);
	return r < 0 ? -1 : 0;
}

static int prepare_create(struct call *c, json_t *obj)
{
	return object_prepare_create(c, obj);
}

static int prepare_update(struct call *c, json_t *obj)
{
	if (object_prepare_update(c, obj, c->old, streq(c->sub, "status")) < 0)
		return -1;
	if (!crd_is(c->res->kind) || c->sub[0] || crd_decide(c->s, obj) == 0)
		return 0;
	call_oom(c);
	return -1;
}

static enum change create_applied(struct call *c)
{
	if (c->sub[0]) {
		call_not_found(c);
		return CHANGE_ANSWERED;
	}
	if (!write_may_make(c))
		return CHANGE_ANSWERED;
	c->success_code = 201;
	if (apply_config(c, c->body, managed_scope_of(c), prepare_create, &c->obj) < 0)
		return CHANGE_ANSWERED;
	return object_finish_create(c, c->obj) < 0 ? CHANGE_ANSWERED : CHANGE_WRITE;
}

static enum change apply_change(struct call *c)
{
	if (!c->old)
		return create_applied(c);
	if (c->want_rev && c->want_rev != c->old_rev) {
		call_conflict(c, STALE);
		return CHANGE_ANSWERED;
	}
	c->success_code = 200;
	if (apply_config(c, c->body, managed_scope_of(c), prepare_update, &c->obj) < 0)
		return CHANGE_ANSWERED;
	if (!c->managed_changed && json_equal(c->obj, c->old) && !encrypt_stale(c->s->store, c->key))
		return CHANGE_NONE;
	return deletion_finished(c->res->kind, c->obj) ? CHANGE_DELETE : CHANGE_WRITE;
}
