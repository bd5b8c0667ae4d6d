/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pods/eviction: a deletion that asks the pod's disruption budget first. The budget's status says how many may go; one
 * is taken from it by a conditional write, so that two evictions never share the last, and only then is the pod
 * deleted. A budget whose status nobody has computed yet allows nothing: to evict is to trust that number.
 */
#include "apiserver-internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/clock.h"
#include "../../lib/base/str.h"

#define RETRY_S	      "10"
#define MAX_DISRUPTED 2000 /* as upstream: more means that nobody takes them out again */

static void decide(struct call *c);

/* --- what may go -------------------------------------------------------------------------------------------------- */

static bool is_ready(const json_t *pod)
{
	const json_t *cond;
	size_t i;

	json_array_foreach (api_get(pod, "status.conditions"), i, cond)
		if (streq(api_get_str(cond, "type"), "Ready"))
			return streq(api_get_str(cond, "status"), "True");
	return false;
}

/* Pods that serve nobody, or are going anyway, are no disruption. */
static bool counts(const json_t *pod)
{
	const char *phase = api_get_str(pod, "status.phase");

	return !api_get(pod, "metadata.deletionTimestamp") && !streq(phase, "Pending") && !streq(phase, "Succeeded") &&
	       !streq(phase, "Failed");
}

/* A pod that does not serve takes nothing from a budget that is met without it. */
static bool unhealthy_may_go(const json_t *pdb)
{
	int64_t healthy = api_get_int(pdb, "status.currentHealthy", 0),
		want = api_get_int(pdb, "status.desiredHealthy", 0);

	return streq(api_get_str(pdb, "spec.unhealthyPodEvictionPolicy"), "AlwaysAllow") ||
	       (want > 0 && healthy >= want);
}

static void refuse(struct call *c, const char *retry, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void refuse(struct call *c, const char *retry, const char *fmt, ...)
{
	cleanup(strbuf_done) struct strbuf why = STRBUF_INIT;
	json_t *st = api_status(429, "TooManyRequests",
				"Cannot evict pod as it would violate the pod's disruption budget.");
	va_list ap;

	va_start(ap, fmt);
	strbuf_vaddf(&why, fmt, ap);
	va_end(ap);
	if (st)
		(void)api_set(st, "details",
			      json_pack("{s:s,s:s,s:i,s:[{s:s,s:s}]}", "kind", "pods", "name", c->name,
					"retryAfterSeconds", retry ? atoi(retry) : 0, "causes", "reason",
					"DisruptionBudget", "message", why.buf ? why.buf : ""));
	if (retry && c->req)
		http_add_header(c->req, "Retry-After", retry);
	call_json(c, 429, st);
}

/* --- taking one from the budget ----------------------------------------------------------------------------------- */

static enum change take_one(struct call *e)
{
	struct call *c = e->parent;
	const char *name = api_get_str(e->old, "metadata.name");
	int64_t allowed = api_get_int(e->old, "status.disruptionsAllowed", 0);
	char now[CLOCK_RFC3339_SIZE];

	if (!e->old) {
		call_json(e, 404, json_object()); /* gone meanwhile: asked again */
		return CHANGE_ANSWERED;
	}
	if (api_get_int(e->old, "status.observedGeneration", 0) < api_get_int(e->old, "metadata.generation", 0))
		refuse(c, RETRY_S, "The disruption budget %s is still being processed by the server.", name);
	else if (allowed <= 0)
		refuse(c, NULL, "The disruption budget %s needs %lld healthy pods and has %lld currently", name,
		       (long long)api_get_int(e->old, "status.desiredHealthy", 0),
		       (long long)api_get_int(e->old, "status.currentHealthy", 0));
	else if (json_object_size(api_get(e->old, "status.disruptedPods")) > MAX_DISRUPTED)
		refuse(c, RETRY_S, "The disruption budget %s has more evictions under way than it can hold", name);
	if (call_dead(c)) { /* refused, or nobody waits any longer */
		call_json(e, 429, json_object());
		return CHANGE_ANSWERED;
	}
	e->obj = json_deep_copy(e->old);
	obj_now(now);
	if (!e->obj) {
		call_oom(e);
		return CHANGE_ANSWERED;
	}
	(void)api_set(e->obj, "status.disruptionsAllowed", json_integer(allowed - 1));
	if (!api_get(e->obj, "status.disruptedPods"))
		(void)api_set(e->obj, "status.disruptedPods", json_object());
	json_object_set_new(api_get(e->obj, "status.disruptedPods"), c->name, json_string(now));
	return CHANGE_WRITE;
}

static void go_on(void *arg)
{
	struct call *c = arg;

	if (!call_dead(c))
		registry_mutate(c);
	call_unref(c);
}

static void ask_again(void *arg)
{
	struct call *c = arg;

	if (!call_dead(c))
		cache_wait_fresh(c, decide);
	call_unref(c);
}

static void taken(struct call *e, int code, const char *body, size_t len)
{
	struct call *c = e->parent;

	if (call_dead(c))
		return;
	if (code >= 300 && code != 404)
		call_bytes(c, code, "application/json", body, len);
	else if (loop_post(c->s->loop, code == 404 ? ask_again : go_on, call_ref(c)) < 0) {
		call_oom(c);
		call_unref(c);
	}
}

static void take_from(struct call *c, struct resource *budgets, const char *name)
{
	struct call *e = call_new_inner(c->s, "update", budgets, c->ns, name, "status");

	if (!e) {
		call_oom(c);
		return;
	}
	e->parent = call_ref(c);
	e->finish = taken;
	e->dry_run = c->dry_run;
	e->change = take_one;
	registry_mutate(e);
	call_unref(e);
}

/* --- which budget ------------------------------------------------------------------------------------------------- */

static bool selects(const json_t *pdb, const json_t *pod)
{
	struct api_selector *s = NULL;
	bool ret;

	if (!api_get(pdb, "spec.selector") || api_selector_from_json(api_get(pdb, "spec.selector"), &s, NULL) < 0)
		return false;
	ret = api_selector_matches_json(s, api_get(pod, "metadata.labels"));
	api_selector_free(s);
	return ret;
}

/* The budget of the pod (a new reference), and how many there are. */
static size_t find_budget(struct resource *budgets, const char *ns, const json_t *pod, json_t **ret)
{
	char from[300], to[300];
	size_t n = 0, end;

	snprintf(from, sizeof(from), "%s/", ns);
	snprintf(to, sizeof(to), "%s0", ns); /* '/' + 1 */
	end = cache_lower_bound(budgets, to);
	for (size_t i = cache_lower_bound(budgets, from); i < end; i++) {
		json_t *pdb = NULL;

		if (api_json_parse(budgets->objs[i]->json->data, budgets->objs[i]->json->len, &pdb, NULL, NULL) < 0)
			continue;
		if (selects(pdb, pod) && !n++)
			*ret = pdb;
		else
			json_decref(pdb);
	}
	return n;
}

static void decide(struct call *c)
{
	struct resource *budgets = cache_resource(c->s, "policy", "poddisruptionbudgets");
	struct object *o = cache_get(c->res, c->ns, c->name);
	json_t *pod = NULL, *pdb = NULL;
	size_t n;

	if (!o) {
		call_not_found(c);
		return;
	}
	if (api_json_parse(o->json->data, o->json->len, &pod, NULL, NULL) < 0) {
		call_oom(c);
		return;
	}
	n = budgets && counts(pod) ? find_budget(budgets, c->ns, pod, &pdb) : 0;
	if (n > 1)
		call_status(
			c, 500, "InternalError",
			"This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.");
	else if (!n || (!is_ready(pod) && unhealthy_may_go(pdb)))
		registry_mutate(c);
	else
		take_from(c, budgets, api_get_str(pdb, "metadata.name"));
	json_decref(pod);
	json_decref(pdb);
}

/* --- the request -------------------------------------------------------------------------------------------------- */

static enum change eviction_change(struct call *c)
{
	enum change ch = delete_change(c);

	if (ch == CHANGE_ANSWERED)
		return ch;
	json_decref(c->reply);
	c->reply = json_pack("{s:s,s:s,s:{},s:s,s:i}", "kind", "Status", "apiVersion", "v1", "metadata", "status",
			     "Success", "code", 201);
	return ch;
}

void pod_eviction(struct call *c)
{
	const json_t *options;
	const char *name;

	if (call_read_any(c, &c->body, NULL) < 0)
		return;
	c->del = calloc(1, sizeof(*c->del));
	if (!c->del) {
		call_oom(c);
		return;
	}
	if (!json_is_object(c->body)) {
		call_status(c, 400, "BadRequest", "the body is not an Eviction object");
		return;
	}
	name = api_get_str(c->body, "metadata.name");
	if (name && *name && !streq(name, c->name)) {
		call_status(c, 400, "BadRequest", "name in URL does not match name in Eviction object");
		return;
	}
	options = json_object_get(c->body, "deleteOptions");
	if (options && delete_options_from(c, options, c->del) < 0)
		return;
	c->success_code = 201;
	c->change = eviction_change;
	cache_wait_fresh(c, decide);
}
