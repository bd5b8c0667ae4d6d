/* SPDX-License-Identifier: Apache-2.0 */
/* TokenRequest: a service account's token, bound to the objects it shall not outlive. */
#include "authn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/clock.h"
#include "../../lib/base/str.h"
#include "api/api_types.h"

#define MIN_EXPIRATION_S     600
#define MAX_EXPIRATION_S     (INT64_C(1) << 32)
#define DEFAULT_EXPIRATION_S 3600
#define MAX_AUDIENCES	     32

/* Not a kind with objects of its own: what call_read_object() wants to know about it. */
static const struct api_kind token_request_kind = {
	.group = "authentication.k8s.io",
	.version = "v1",
	.kind = "TokenRequest",
	.type = &api_type_token_request,
};

static json_t *parsed(struct apiserver *s, const char *plural, const char *ns, const char *name)
{
	struct resource *res = cache_resource(s, "", plural);
	struct object *o = res ? cache_get(res, ns, name) : NULL;
	json_t *obj = NULL;

	if (o)
		(void)api_json_parse(o->json->data, o->json->len, &obj, NULL, NULL);
	return obj;
}

static json_t *name_uid(const char *name, const char *uid)
{
	return json_pack("{s:s,s:s}", "name", name, "uid", uid);
}

/* What the token is to be bound to. Answers and returns -1 if it cannot be. */
static int bind_object(struct call *c, const char *sa_name, json_t *own)
{
	const json_t *ref = api_get(c->body, "spec.boundObjectRef");
	const char *kind = api_get_str(ref, "kind"), *name = api_get_str(ref, "name"), *uid = api_get_str(ref, "uid");
	const char *version = api_get_str(ref, "apiVersion"), *plural, *ns = c->ns, *have, *node, *sa;
	json_t *obj;
	int r = -1;

	if (!ref)
		return 0;
	plural = streq(kind, "Pod") ? "pods" : streq(kind, "Secret") ? "secrets" : streq(kind, "Node") ? "nodes" : NULL;
	if (!plural || !streq(version, "v1")) {
		call_status(c, 400, "BadRequest", "cannot bind token to object of type %.64s, Kind=%.64s",
			    version ? version : "", kind ? kind : "");
		return -1;
	}
	if (streq(plural, "nodes"))
		ns = NULL;
	obj = name && *name ? parsed(c->s, plural, ns, name) : NULL;
	if (!obj) {
		call_status(c, 404, "NotFound", "%s \"%.253s\" not found", plural, name ? name : "");
		return -1;
	}
	have = api_get_str(obj, "metadata.uid");
	if (uid && *uid && !streq(uid, have)) {
		call_conflict(
			c,
			"the UID in the bound object reference (%.64s) does not match the UID in record. The object "
			"might have been deleted and then recreated",
			uid);
		goto out;
	}
	if (streq(plural, "pods")) {
		sa = api_get_str(obj, "spec.serviceAccountName");
		if (!streq(sa && *sa ? sa : "default", sa_name)) {
			call_status(c, 400, "BadRequest",
				    "cannot bind token for serviceaccount \"%s\" to pod running with different "
				    "serviceaccount name.",
				    sa_name);
			goto out;
		}
		node = api_get_str(obj, "spec.nodeName");
		if (node && *node) {
			const char *node_uid = authn_uid(c->s, "nodes", NULL, node);

			json_object_set_new(own, "node",
					    node_uid ? name_uid(node, node_uid) : json_pack("{s:s}", "name", node));
		}
	}
	json_object_set_new(own,
			    streq(plural, "pods")    ? "pod"
			    : streq(plural, "nodes") ? "node"
						     : "secret",
			    name_uid(name, have));
	r = 0;
out:
	json_decref(obj);
	return r;
}

/* A node gets tokens for the pods it runs, and for nothing else. */
static bool node_may(struct call *c)
{
	const char *node = authz_node_of(&c->who), *uid = api_get_str(c->body, "spec.boundObjectRef.uid");
	const char *name = api_get_str(c->body, "spec.boundObjectRef.name");
	json_t *pod;
	bool ok;

	if (!node)
		return true;
	if (!streq(api_get_str(c->body, "spec.boundObjectRef.kind"), "Pod") || !name || !uid || !*uid) {
		call_status(c, 403, "Forbidden",
			    "serviceaccounts \"%s\" is forbidden: node requested token not bound to a pod", c->name);
		return false;
	}
	pod = parsed(c->s, "pods", c->ns, name);
	ok = pod && streq(api_get_str(pod, "spec.nodeName"), node);
	json_decref(pod);
	if (!ok)
		call_status(c, 403, "Forbidden",
			    "serviceaccounts \"%s\" is forbidden: node requested token bound to a pod scheduled on a "
			    "different node",
			    c->name);
	return ok;
}

static bool has_audiences(const json_t *spec)
{
	return json_array_size(json_object_get(spec, "audiences")) > 0;
}

/* Fills in what was left out, and refuses what is out of bounds. */
static int check_spec(struct call *c)
{
	struct authn *a = c->s->authn;
	json_t *spec = json_object_get(c->body, "spec"), *list;
	int64_t s;

	if (!spec) {
		spec = json_object();
		json_object_set_new(c->body, "spec", spec);
	}
	s = api_get_int(spec, "expirationSeconds", DEFAULT_EXPIRATION_S);
	if (s < MIN_EXPIRATION_S) {
		call_invalid1(c, API_C_INVALID, "spec.expirationSeconds",
			      "Invalid value: %lld: may not specify a duration less than 10 minutes", (long long)s);
		return -1;
	}
	if (s > MAX_EXPIRATION_S) {
		call_invalid1(c, API_C_INVALID, "spec.expirationSeconds",
			      "Invalid value: %lld: may not specify a duration larger than 2^32 seconds", (long long)s);
		return -1;
	}
	if (json_array_size(json_object_get(spec, "audiences")) > MAX_AUDIENCES) {
		call_invalid1(c, API_C_TOO_MANY, "spec.audiences", "Too many: %zu: must have at most %d items",
			      json_array_size(json_object_get(spec, "audiences")), MAX_AUDIENCES);
		return -1;
	}
	if (a->max_expiration_s && s > a->max_expiration_s) {
		http_add_header(c->req, "Warning",
				"299 - \"requested expiration was shortened to the maximum of this server\"");
		s = a->max_expiration_s;
	}
	json_object_set_new(spec, "expirationSeconds", json_integer(s));
	if (has_audiences(spec))
		return 0;
	list = json_array();
	for (const char *const *p = a->audiences; *p; p++)
		json_array_append_new(list, json_string(*p));
	return json_object_set_new(spec, "audiences", list);
}

static json_t *make_claims(struct call *c, json_t *own, int64_t now_s, int64_t end_s)
{
	char sub[600], jti[37];

	snprintf(sub, sizeof(sub), "system:serviceaccount:%s:%s", c->ns, c->name);
	return json_pack("{s:O,s:I,s:I,s:I,s:s,s:s,s:s,s:O}", "aud", api_get(c->body, "spec.audiences"), "exp",
			 (json_int_t)end_s, "iat", (json_int_t)now_s, "nbf", (json_int_t)now_s, "iss",
			 c->s->authn->issuers[0], "jti", str_uuid(jti), "sub", sub, "kubernetes.io", own);
}

static void answer_token(struct call *c, json_t *own)
{
	int64_t now_s = clock_real_ms() / 1000, end_s = now_s + api_get_int(c->body, "spec.expirationSeconds", 0);
	cleanup(strbuf_done) struct strbuf token = STRBUF_INIT;
	char end[CLOCK_RFC3339_SIZE], now[CLOCK_RFC3339_SIZE];
	json_t *claims = make_claims(c, own, now_s, end_s);
	int r = claims ? jwt_sign(&c->s->authn->sign.v[0], claims, &token) : -ENOMEM;

	json_decref(claims);
	if (r == -EMSGSIZE) {
		call_invalid1(c, API_C_TOO_LONG, "spec.audiences", "Too long: the token would be above %d bytes",
			      JWT_MAX_BYTES);
		return;
	}
	if (r < 0) {
		call_status(c, 500, "InternalError", "Internal error occurred: failed to create token");
		return;
	}
	clock_rfc3339(end_s * 1000, end);
	clock_rfc3339(now_s * 1000, now);
	obj_set_str(c->body, "metadata.name", c->name);
	obj_set_str(c->body, "metadata.namespace", c->ns);
	obj_set_str(c->body, "metadata.creationTimestamp", now);
	(void)api_set(c->body, "status",
		      json_pack("{s:s,s:s}", "token", c->dry_run ? "" : token.buf, "expirationTimestamp", end));
	call_object_json(c, 201, c->body);
}

static void request_now(struct call *c)
{
	const char *uid = authn_uid(c->s, "serviceaccounts", c->ns, c->name);
	const char *want = api_get_str(c->body, "metadata.uid");
	json_t *own;

	if (!uid) {
		call_not_found(c);
		return;
	}
	if (want && *want && !streq(want, uid)) {
		call_conflict(c, "the UID in the token request (%.64s) does not match the UID of the service account",
			      want);
		return;
	}
	own = json_pack("{s:s,s:o}", "namespace", c->ns, "serviceaccount", name_uid(c->name, uid));
	if (!own)
		call_oom(c);
	else if (node_may(c) && bind_object(c, c->name, own) == 0)
		answer_token(c, own);
	json_decref(own);
}

void token_request(struct call *c)
{
	const char *name, *ns;

	if (!c->s->authn->sign.n) {
		call_status(c, 404, "NotFound",
			    "the server has no key to sign tokens with (--service-account-signing-key-file)");
		return;
	}
	if (call_read_object(c, &token_request_kind, "authentication.k8s.io/v1", &api_type_token_request, &c->body) < 0)
		return;
	name = api_get_str(c->body, "metadata.name");
	ns = api_get_str(c->body, "metadata.namespace");
	if ((name && *name && !streq(name, c->name)) || (ns && *ns && !streq(ns, c->ns))) {
		call_status(c, 400, "BadRequest",
			    "the name or the namespace of the provided object does not match the one sent on the URL");
		return;
	}
	if (check_spec(c) == 0)
		cache_wait_fresh(c, request_now);
}
