/* SPDX-License-Identifier: Apache-2.0 */
/*
 * autoscaling/v1 Scale of what has spec.replicas: read, replaced or patched as an object of its own, written into its
 * owner.
 */
#include "apiserver-internal.h"
#include "managed.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/str.h"

/* LabelSelector as text: "a=b,c in (d,e)". plain: a map of labels, as replication controllers have it. */
static void selector_text(const json_t *selector, bool plain, struct strbuf *out)
{
	json_t *v, *x;
	const char *key;
	size_t i, j;

	json_object_foreach (plain ? (json_t *)selector : json_object_get(selector, "matchLabels"), key, v)
		strbuf_addf(out, "%s%s=%s", out->len ? "," : "", key, json_string_value(v) ? json_string_value(v) : "");
	json_array_foreach (plain ? NULL : json_object_get(selector, "matchExpressions"), i, v) {
		const char *k = api_get_str(v, "key"), *op = api_get_str(v, "operator");

		if (!k || !op)
			continue;
		strbuf_adds(out, out->len ? "," : "");
		if (streq(op, "Exists")) {
			strbuf_adds(out, k);
		} else if (streq(op, "DoesNotExist")) {
			strbuf_addf(out, "!%s", k);
		} else {
			strbuf_addf(out, "%s %s (", k, streq(op, "In") ? "in" : "notin");
			json_array_foreach (json_object_get(v, "values"), j, x)
				strbuf_addf(out, "%s%s", j ? "," : "", json_string_value(x));
			strbuf_addc(out, ')');
		}
	}
}

/* Where the kind keeps its numbers. */
static const char *replicas_path(const struct call *c)
{
	return c->res->custom ? c->res->custom->scale_spec : "spec.replicas";
}

json_t *scale_of(const struct call *c, const json_t *obj)
{
	const struct api_custom *custom = c->res->custom;
	cleanup(strbuf_done) struct strbuf sel = STRBUF_INIT;
	json_t *scale;

	if (!custom) {
		selector_text(api_get(obj, "spec.selector"), streq(api_get_str(obj, "kind"), "ReplicationController"),
			      &sel);
	} else if (custom->scale_selector) {
		/* As text, by the definition's word. */
		const char *text = api_get_str(obj, custom->scale_selector);

		strbuf_adds(&sel, text ? text : "");
	}
	scale = json_pack("{s:s,s:s,s:{s:s?,s:s?,s:s?,s:s?,s:s?},s:{s:I},s:{s:I,s:s}}", "kind", "Scale", "apiVersion",
			  "autoscaling/v1", "metadata", "name", api_get_str(obj, "metadata.name"), "namespace",
			  api_get_str(obj, "metadata.namespace"), "uid", api_get_str(obj, "metadata.uid"),
			  "resourceVersion", api_get_str(obj, "metadata.resourceVersion"), "creationTimestamp",
			  api_get_str(obj, "metadata.creationTimestamp"), "spec", "replicas",
			  (json_int_t)api_get_int(obj, replicas_path(c), custom ? 0 : 1), "status", "replicas",
			  (json_int_t)api_get_int(obj, custom ? custom->scale_status : "status.replicas", 0),
			  "selector", sel.buf);
	return scale;
}

static void get_now(struct call *c)
{
	struct object *o = cache_get(c->res, c->ns, c->name);
	json_t *obj = NULL;

	if (!o) {
		call_not_found(c);
		return;
	}
	if (api_json_parse(o->json->data, o->json->len, &obj, NULL, NULL) < 0) {
		call_oom(c);
		return;
	}
	call_json(c, 200, scale_of(c, obj));
	json_decref(obj);
}

static int patched(struct call *c, const json_t *scale, json_t **ret)
{
	const char *type = http_req_header(c->req, "content-type");
	struct err err = ERR_INIT;
	int r;

	if (type && !strncasecmp(type, "application/json-patch+json", 27))
		r = json_is_array(c->body) ? api_patch_json(scale, c->body, ret, &err)
					   : err_set(&err, 22, "a JSON patch is an array");
	else
		r = json_is_object(c->body) ? api_patch_merge(scale, c->body, ret, &err)
					    : err_set(&err, 22, "a merge patch is an object");
	if (r < 0)
		call_status(c, 400, "BadRequest", "%s", err.msg);
	return r;
}

static void refuse_replicas(struct call *c, const json_t *replicas)
{
	call_status(
		c, json_is_integer(replicas) ? 422 : 400, json_is_integer(replicas) ? "Invalid" : "BadRequest",
		"Scale.autoscaling \"%s\" is invalid: spec.replicas: Invalid value: must be a whole number from 0 to 2147483647",
		c->name);
}

static int prepare_scaled(struct call *c, json_t *obj)
{
	api_default(c->res->kind, obj);
	object_set_generation(c, obj, c->old);
	return 0;
}

static enum change scale_change(struct call *c)
{
	json_t *scale, *want = NULL, *replicas;
	const char *rv;

	if (!c->old) {
		call_not_found(c);
		return CHANGE_ANSWERED;
	}
	scale = scale_of(c, c->old);
	if (!scale) {
		call_oom(c);
		return CHANGE_ANSWERED;
	}
	if (streq(c->verb, "patch")) {
		int r = patched(c, scale, &want);

		json_decref(scale);
		if (r < 0)
			return CHANGE_ANSWERED;
	} else {
		json_decref(scale);
		want = json_incref(c->body);
	}
	replicas = api_get(want, "spec.replicas");
	if (replicas && (!json_is_integer(replicas) || json_integer_value(replicas) < 0 ||
			 json_integer_value(replicas) > INT32_MAX)) {
		refuse_replicas(c, replicas);
		json_decref(want);
		return CHANGE_ANSWERED;
	}
	rv = api_get_str(want, "metadata.resourceVersion");
	if (rv && *rv && !streq(rv, api_get_str(c->old, "metadata.resourceVersion"))) {
		call_conflict(
			c,
			"the object has been modified; please apply your changes to the latest version and try again");
		json_decref(want);
		return CHANGE_ANSWERED;
	}
	c->obj = json_deep_copy(c->old);
	if (c->obj)
		(void)api_set(c->obj, replicas_path(c), json_integer(replicas ? json_integer_value(replicas) : 0));
	json_decref(want);
	c->reply = c->obj ? scale_of(c, c->obj) : NULL;
	if (!c->reply) {
		call_oom(c);
		return CHANGE_ANSWERED;
	}
	if (json_equal(c->obj, c->old))
		return CHANGE_NONE;
	if (c->res->custom) {
		struct api_errs errs = { 0 };
		bool bad;

		/* A schema may know a narrower range than ours. */
		api_validate(c->res->kind, c->obj, c->old, &errs);
		bad = errs.n;
		if (bad)
			call_invalid(c, &errs);
		api_errs_done(&errs);
		if (bad)
			return CHANGE_ANSWERED;
	}
	if (managed_track(c, c->obj, NULL) < 0)
		return CHANGE_ANSWERED;
	(void)api_set(c->obj, "metadata.generation", json_integer(api_get_int(c->old, "metadata.generation", 0) + 1));
	return CHANGE_WRITE;
}

/* An applied Scale owns its owner's replicas, as the manager's entry for this subresource. */
static enum change scale_apply_change(struct call *c)
{
	json_t *replicas = api_get(c->body, "spec.replicas"), *config;
	const char *rv = api_get_str(c->body, "metadata.resourceVersion");
	int r;

	if (!c->old) {
		call_not_found(c);
		return CHANGE_ANSWERED;
	}
	if (rv && *rv && !streq(rv, api_get_str(c->old, "metadata.resourceVersion"))) {
		call_conflict(c, STALE);
		return CHANGE_ANSWERED;
	}
	config = json_pack("{s:s,s:s,s:{s:s}}", "apiVersion", c->res->api_version, "kind", c->res->kind->kind,
			   "metadata", "name", c->name);
	if (config && replicas)
		(void)api_set(config, replicas_path(c), json_incref(replicas));
	if (!config) {
		call_oom(c);
		return CHANGE_ANSWERED;
	}
	r = apply_config(c, config, MANAGED_ALL, prepare_scaled, &c->obj);
	json_decref(config);
	if (r < 0)
		return CHANGE_ANSWERED;
	c->reply = scale_of(c, c->obj);
	if (!c->reply) {
		call_oom(c);
		return CHANGE_ANSWERED;
	}
	return !c->managed_changed && json_equal(c->obj, c->old) ? CHANGE_NONE : CHANGE_WRITE;
}

static void scale_apply(struct call *c)
{
	json_t *n;

	if (apply_check_options(c) < 0 || call_read_any(c, &c->body, NULL) < 0)
		return;
	n = api_get(c->body, "spec.replicas");
	if (!streq(api_get_str(c->body, "kind"), "Scale") ||
	    !streq(api_get_str(c->body, "apiVersion"), "autoscaling/v1")) {
		call_status(c, 400, "BadRequest", "the body is not an autoscaling/v1 Scale object");
		return;
	}
	if (n && (!json_is_integer(n) || json_integer_value(n) < 0 || json_integer_value(n) > INT32_MAX)) {
		refuse_replicas(c, n);
		return;
	}
	c->change = scale_apply_change;
	registry_mutate(c);
}

void scale_handle(struct call *c)
{
	const char *kind, *version;

	c->repr = REPR_JSON;
	if (streq(c->verb, "get")) {
		cache_wait_fresh(c, get_now);
		return;
	}
	if (streq(c->verb, "patch")) {
		const char *type = http_req_header(c->req, "content-type");

		if (type && !strncasecmp(type, "application/apply-patch", 23)) {
			if (!strncasecmp(type, "application/apply-patch+yaml", 28))
				scale_apply(c);
			else
				call_status(c, 415, "UnsupportedMediaType",
					    "an applied configuration is application/apply-patch+yaml");
			return;
		}
	}
	if (call_read_any(c, &c->body, NULL) < 0)
		return;
	if (streq(c->verb, "update")) {
		kind = api_get_str(c->body, "kind");
		version = api_get_str(c->body, "apiVersion");
		if (!json_is_object(c->body) || (kind && *kind && !streq(kind, "Scale")) ||
		    (version && *version && !streq(version, "autoscaling/v1"))) {
			call_status(c, 400, "BadRequest", "the body is not an autoscaling/v1 Scale object");
			return;
		}
	}
	c->change = scale_change;
	registry_mutate(c);
}
