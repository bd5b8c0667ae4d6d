/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a request line to the function that answers it: who asks, what for (verb, resource, name, subresource), may
 * they, and in which form. Everything here happens before the first look at the body.
 */
#include "apiserver-internal.h"
#include "managed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/str.h"
#include "authn.h"
#include "options.h"
#include "proxy_http.h"

#define LOAD_TIMEOUT_MS 5000
#define MAX_CALLS	20000 /* in flight, watches included */

struct path {
	const char *seg[10]; /* further ones stay in the last */
	size_t n;
};

/* Splits in place; empty segments are refused (-1). A trailing slash is fine. */
static int split(char *p, struct path *ret)
{
	ret->n = 0;
	if (*p == '/')
		p++;
	while (*p) {
		char *slash = strchr(p, '/');

		if (ret->n == sizeof(ret->seg) / sizeof(ret->seg[0]) || slash == p)
			return -1;
		ret->seg[ret->n++] = p;
		if (ret->n == sizeof(ret->seg) / sizeof(ret->seg[0]) || !slash)
			break;
		*slash = '\0';
		p = slash + 1;
	}
	return 0;
}

/* What is longer names nothing. */
static int take(const char **dst, size_t max, const char *segment)
{
	*dst = segment;
	return strlen(segment) > max ? -1 : 0;
}

/* Fills group, version, resource, ns, name, sub, which stay in a copy of path. 1: a resource request; 0: something
 * else; -1: no such thing. */
static int parse_resource(struct call *c, const char *path)
{
	char *buf = c->texts = strdup(path);
	struct path p;
	size_t i;

	if (!buf || split(buf, &p) < 0)
		return -1;
	if (p.n >= 3 && streq(p.seg[0], "api")) {
		i = 2;
	} else if (p.n >= 4 && streq(p.seg[0], "apis")) {
		if (take(&c->group, 127, p.seg[1]) < 0)
			return -1;
		i = 3;
	} else {
		return 0;
	}
	if (take(&c->version, 31, p.seg[i - 1]) < 0)
		return -1;
	if (streq(p.seg[i], "namespaces") && p.n > i + 1 && !c->group[0] &&
	    (p.n == i + 2 || streq(p.seg[i + 2], "status") || streq(p.seg[i + 2], "finalize"))) {
		/* the namespace itself; its requests are within it, as Kubernetes has it */
		if (take(&c->ns, CALL_NAME_MAX, p.seg[i + 1]) < 0)
			return -1;
	} else if (streq(p.seg[i], "namespaces") && p.n > i + 2) {
		if (take(&c->ns, CALL_NAME_MAX, p.seg[i + 1]) < 0)
			return -1;
		i += 2;
	}
	if (take(&c->resource, 127, p.seg[i]) < 0)
		return -1;
	if (p.n > i + 1 && take(&c->name, CALL_NAME_MAX, p.seg[i + 1]) < 0)
		return -1;
	if (p.n > i + 2 && take(&c->sub, 63, p.seg[i + 2]) < 0)
		return -1;
	if (p.n > i + 3 && !streq(c->sub, "proxy"))
		return -1;
	return 1;
}

static const char *verb_of(struct call *c, const char *method)
{
	bool one = c->name[0];

	if (streq(method, "GET") || streq(method, "HEAD")) {
		if (streq(c->sub, "exec") || streq(c->sub, "attach") || streq(c->sub, "portforward"))
			return "create"; /* they change things, whatever the method */
		if (!c->sub[0] && call_query_true(c, "watch"))
			return "watch";
		return one ? "get" : "list";
	}
	if (streq(method, "POST"))
		return "create";
	if (streq(method, "PUT"))
		return "update";
	if (streq(method, "PATCH"))
		return "patch";
	if (streq(method, "DELETE"))
		return one ? "delete" : "deletecollection";
	return NULL;
}

static void forbid(struct call *c, const char *path, const char *why)
{
	const char *group = c->group, *sep = c->sub[0] ? "/" : "", *colon = why ? ": " : "";
	char where[320] = "";

	if (path) {
		call_status(c, 403, "Forbidden", "forbidden: User \"%s\" cannot %s path \"%s\"%s%s", c->who.user,
			    c->verb, path, colon, why ? why : "");
		return;
	}
	if (c->ns[0])
		snprintf(where, sizeof(where), " in the namespace \"%s\"", c->ns);
	else
		snprintf(where, sizeof(where), " at the cluster scope");
	{
		char resource[256];

		call_resource_name(c, resource, sizeof(resource));
		call_status(
			c, 403, "Forbidden",
			"%s%s%s%s is forbidden: User \"%s\" cannot %s resource \"%s%s%s\" in API group \"%s\"%s%s%s",
			resource, c->name[0] ? " \"" : "", c->name, c->name[0] ? "\"" : "", c->who.user, c->verb,
			c->resource, sep, c->sub, group, where, colon, why ? why : "");
	}
}

/*
 * list, watch and deletecollection of what has one name, by a field selector, are about that object. Returns buf or
 * the name of the path.
 */
static const char *asked_name(struct call *c, char *buf, size_t size)
{
	const char *fields = call_query(c, "fieldSelector"), *name;
	struct api_field_selector *sel = NULL;
	struct err err = ERR_INIT;

	*buf = '\0';
	if (c->name[0] || !c->res || !fields || !*fields ||
	    api_field_selector_parse(c->res->kind, fields, &sel, &err) < 0)
		return c->name;
	name = api_field_selector_exact(sel, "metadata.name");
	if (name && strlen(name) < size)
		memcpy(buf, name, strlen(name) + 1);
	api_field_selector_free(sel);
	return buf;
}

static struct authz_request authz_request_of(struct call *c, const char *path)
{
	return (struct authz_request){
		.who = &c->who,
		.verb = c->verb,
		.group = c->group,
		.resource = c->resource,
		.sub = c->sub,
		.ns = c->ns,
		.name = c->name,
		.path = path,
	};
}

/* Or 401 or 403 has been sent. */
static bool allowed(struct call *c, const char *path)
{
	struct authz_request a = authz_request_of(c, path);
	cleanup(strbuf_done) struct strbuf reason = STRBUF_INIT;
	struct resource *res;
	char name[256];
	bool may;

	if (!path)
		a.name = asked_name(c, name, sizeof(name));
	may = authz_decide(c->s, &a, &reason) == AUTHZ_ALLOW;
	audit_annotate(c, "authorization.k8s.io/decision", may ? "allow" : "forbid");
	audit_annotate(c, "authorization.k8s.io/reason", reason.len && !strbuf_oom(&reason) ? reason.buf : "");
	if (may)
		return true;
	res = TAKE(c->res); /* a refusal tells nothing of what is there */
	if (c->who.authenticated)
		forbid(c, path, reason.len && !strbuf_oom(&reason) ? reason.buf : NULL);
	else
		authn_refuse(c);
	c->res = res;
	return false;
}

static void method_not_allowed(struct call *c)
{
	call_status(c, 405, "MethodNotAllowed", "the server does not allow this method on the requested resource");
}

static bool kind_has_sub(const struct api_kind *kind, const char *sub)
{
	for (const char *const *p = kind->subresources; p && *p; p++)
		if (streq(*p, sub))
			return true;
	return false;
}

static void dispatch_sub(struct call *c)
{
	bool read = streq(c->verb, "get"), write = streq(c->verb, "update") || streq(c->verb, "patch");

	if (streq(c->sub, "status") || streq(c->sub, "approval") || pod_sub_of(c)) {
		if (read)
			registry_get(c);
		else if (streq(c->verb, "update"))
			registry_update(c);
		else if (streq(c->verb, "patch"))
			registry_patch(c);
		else
			method_not_allowed(c);
	} else if (streq(c->sub, "scale")) {
		if (read || write)
			scale_handle(c);
		else
			method_not_allowed(c);
	} else if (streq(c->sub, "binding")) {
		if (streq(c->verb, "create"))
			pod_binding(c);
		else
			method_not_allowed(c);
	} else if (streq(c->sub, "token")) {
		if (streq(c->verb, "create"))
			token_request(c);
		else
			method_not_allowed(c);
	} else if (streq(c->sub, "eviction")) {
		if (streq(c->verb, "create"))
			pod_eviction(c);
		else
			method_not_allowed(c);
	} else if (streq(c->sub, "log")) {
		if (read)
			proxy_log(c);
		else
			method_not_allowed(c);
	} else if (streq(c->sub, "proxy")) {
		if (!streq(c->resource, "nodes"))
			proxy_to_pod(c);
		else if (read)
			proxy_node(c);
		else
			method_not_allowed(c);
	} else if (streq(c->sub, "exec") || streq(c->sub, "attach") || streq(c->sub, "portforward")) {
		if (streq(c->verb, "create"))
			proxy_stream(c);
		else
			method_not_allowed(c);
	} else if (streq(c->sub, "finalize")) {
		if (streq(c->verb, "update"))
			namespace_finalize(c);
		else
			method_not_allowed(c);
	} else {
		call_status(c, 404, "NotFound", "the server could not find the requested resource");
	}
}

static void dispatch(struct call *c)
{
	static const struct {
		const char *verb;
		call_fn *fn;
		bool named;
	} table[] = {
		{ "get", registry_get, true },
		{ "list", registry_list, false },
		{ "create", registry_create, false },
		{ "update", registry_update, true },
		{ "patch", registry_patch, true },
		{ "delete", registry_delete, true },
		{ "deletecollection", registry_delete_collection, false },
	};

	if (view_activate(c->res) < 0) {
		call_oom(c);
		return;
	}
	if (c->sub[0]) {
		dispatch_sub(c);
		return;
	}
	if (c->res->kind->review) {
		review_handle(c);
		return;
	}
	if (c->res->kind->computed) {
		if (streq(c->verb, "get") || streq(c->verb, "list"))
			usage_handle(c);
		else
			method_not_allowed(c);
		return;
	}
	if (streq(c->verb, "watch")) {
		registry_watch(c);
		return;
	}
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (!streq(table[i].verb, c->verb))
			continue;
		/* writes need their namespace; reads may span all */
		if (table[i].named != !!c->name[0] ||
		    (c->res->kind->namespaced && !c->ns[0] && !streq(c->verb, "list")))
			break;
		table[i].fn(c);
		return;
	}
	if (c->res->kind->namespaced && !c->ns[0] && c->name[0]) /* there is no such path */
		call_status(c, 404, "NotFound", "the server could not find the requested resource");
	else
		method_not_allowed(c);
}

/* The version asked for; NULL: there is none, or no such subresource of it. */
static struct resource *find_resource(struct call *c)
{
	struct resource *r = cache_version(c->s, c->group, c->version, c->resource);

	return r && c->sub[0] && !kind_has_sub(r->kind, c->sub) ? NULL : r;
}

/* A server that has just started, or has just learnt of a kind, lets its first clients wait a moment. */
static void when_loaded(struct call *c)
{
	cache_wait_loaded(c, LOAD_TIMEOUT_MS, dispatch);
}

/* They may, and there is such a thing or not. */
static void route_found(struct call *c)
{
	if (!c->res || (c->ns[0] && !c->res->kind->namespaced && !streq(c->resource, "namespaces"))) {
		c->res = NULL;
		call_status(c, 404, "NotFound", "the server could not find the requested resource");
		return;
	}
	if (!c->res->kind->namespaced)
		c->ns = "";
	if (call_negotiate(c) < 0)
		return;
	if (options_check_timeout(c) < 0 || options_check_write(c) < 0 || managed_check_manager(c) < 0)
		return;
	crd_warn(c);
	cache_wait(c, 0, LOAD_TIMEOUT_MS, when_loaded);
}

/* Nothing known of that name: its definition may have been written by another server just now. */
static void find_again(struct call *c)
{
	c->res = find_resource(c);
	route_found(c);
}

static void route_resource(struct call *c, const char *method)
{

	c->verb = verb_of(c, method);
	if (!c->verb) {
		c->verb = "";
		method_not_allowed(c);
		return;
	}
	/* bindings is a way to write pods/binding, not a kind of its own */
	if (!c->group[0] && streq(c->version, "v1") && streq(c->resource, "bindings") && !c->name[0]) {
		c->res = cache_resource(c->s, "", "pods");
		if (!allowed(c, NULL))
			return;
		if (!streq(c->verb, "create") || !c->ns[0]) {
			method_not_allowed(c);
		} else {
			c->resource = "pods";
			c->sub = "binding";
			if (c->res)
				pod_binding(c);
			else
				call_status(c, 404, "NotFound", "the server could not find the requested resource");
		}
		return;
	}
	c->res = find_resource(c);
	if (!allowed(c, NULL))
		return;
	if (c->res)
		route_found(c);
	else
		cache_wait_fresh(c, find_again);
}

static const char *other_verb(const char *method)
{
	if (streq(method, "GET") || streq(method, "HEAD"))
		return "get";
	return streq(method, "POST") ? "post" : "other";
}

static void answer_other(struct call *c)
{
	const char *path = http_req_path(c->req);

	if (!oidc_handle(c, path) && !discovery_handle(c, path))
		call_status(c, 404, "NotFound", "the server could not find the requested resource");
}

static void route_other(struct call *c, const char *path)
{
	if (!allowed(c, path))
		return;
	/* What was defined before the question is part of the answer. */
	if (str_starts(path, "/apis") || str_starts(path, "/openapi"))
		cache_wait_fresh(c, answer_other);
	else
		answer_other(c);
}

static void route_authorized(struct call *c)
{
	if (c->resource[0])
		route_resource(c, http_req_method(c->req));
	else
		route_other(c, http_req_path(c->req));
}

/* Its turn has come. Roles are known when the cache is; for some nobody asks. */
static void route_run(struct call *c)
{
	struct authz_request a = authz_request_of(c, c->resource[0] ? NULL : http_req_path(c->req));

	if (authz_always(&a))
		route_authorized(c);
	else
		authz_wait(c, LOAD_TIMEOUT_MS, route_authorized);
}

/* Who asks is known; now for what they ask. */
static void route_known(struct call *c)
{
	const char *path = http_req_path(c->req), *method = http_req_method(c->req);

	switch (parse_resource(c, path)) {
	case 1:
		c->verb = verb_of(c, method) ?: "";
		audit_begin(c, NULL);
		flow_enter(c, NULL, route_run);
		break;
	case 0:
		c->verb = other_verb(method);
		audit_begin(c, path);
		flow_enter(c, path, route_run);
		break;
	default:
		call_status(c, 404, "NotFound", "the server could not find the requested resource");
	}
}

void route_request(struct http_req *req, void *arg)
{
	struct apiserver *s = arg;
	struct call *c;

	if (s->n_calls >= MAX_CALLS || s->stopping) {
		http_add_header(req, "Retry-After", "1");
		http_respond(req, s->stopping ? 503 : 429, "text/plain", "too many requests\n", 18);
		return;
	}
	c = call_new(s, req);
	if (!c) {
		http_respond(req, 500, "text/plain", "out of memory\n", 14);
		return;
	}
	call_ref(c);
	authn_identify(c, route_known);
	call_unref(c);
}
