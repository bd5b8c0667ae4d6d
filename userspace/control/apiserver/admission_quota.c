/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ResourceQuota, last of all: what the request adds to its namespace's use is charged to every quota that covers it,
 * by compare-and-put of the quota's status before the object is written, so that two requests at once cannot both have
 * the last of something. What was charged for an object that is not written after all, and what is deleted, the quota
 * controller finds when it counts again.
 */
#include "admission-internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/api/usage.h"
#include "../../lib/base/cleanup.h"
#include "../../lib/base/str.h"

#define MAX_ROUNDS 20 /* of ten tries each, when many charge the same quota */

/* One quota being charged by an inner call. */
struct charge {
	struct call *c; /* the request; a reference */
	char *denial;	/* why not; set by the inner call */
};

static enum admit charge_next(struct admission *a);

static bool updates_count(const struct admission *a)
{
	return admission_is(a, "", "services") || admission_is(a, "", "persistentvolumeclaims") ||
	       admission_is_resize(a);
}

static bool concerns(const struct admission *a)
{
	const struct call *c = a->c;

	if (!c->res->kind->namespaced || (c->sub[0] && !admission_is_resize(a)) || (!c->req && !c->parent))
		return false;
	if (!c->res->kind->group[0] && streq(c->res->kind->plural, "events"))
		return false;
	return a->op == ADMIT_CREATE || updates_count(a);
}

/* "cpu=1,pods=2" of the named resources, sorted. */
static void list_amounts(struct strbuf *out, const json_t *amounts, const json_t *names)
{
	const char *keys[128] = { NULL }, *key;
	size_t n = 0, first = out->len;
	json_t *v;

	json_object_foreach ((json_t *)names, key, v) {
		size_t i = n;

		if (n == 128)
			break;
		while (i > 0 && strcmp(keys[i - 1], key) > 0) {
			keys[i] = keys[i - 1];
			i--;
		}
		keys[i] = key;
		n++;
	}
	for (size_t i = 0; i < n; i++) {
		const char *value = json_string_value(json_object_get(amounts, keys[i]));

		strbuf_addf(out, "%s%s%s%s", out->len > first ? "," : "", keys[i], amounts ? "=" : "",
			    amounts ? (value ? value : "0") : "");
	}
}

/* The part of delta this quota bounds and that is not zero; new. */
static json_t *bounded(const json_t *delta, const json_t *hard)
{
	json_t *out = json_object(), *v;
	const char *key;

	json_object_foreach ((json_t *)delta, key, v)
		if (json_object_get(hard, key) && api_quantity_compare(json_string_value(v), "0") != 0)
			json_object_set(out, key, v);
	return out;
}

/* Why the quota does not allow delta (its bounded part); NULL: it does. The caller's. */
static char *refusal(const json_t *quota, const json_t *delta)
{
	cleanup(strbuf_done) struct strbuf text = STRBUF_INIT;
	json_t *hard = api_get(quota, "status.hard"), *used = api_get(quota, "status.used"), *v;
	json_t *unknown = json_object(), *over = json_object();
	const char *key, *name = api_get_str(quota, "metadata.name");

	json_object_foreach ((json_t *)delta, key, v) {
		const char *had = json_string_value(json_object_get(used, key));
		char sum[64];

		if (!had)
			json_object_set(unknown, key, v);
		else if (api_quantity_compare(json_string_value(v), "0") > 0 &&
			 api_quantity_add(had, json_string_value(v), 1, sum, sizeof(sum)) == 0 &&
			 api_quantity_compare(sum, json_string_value(json_object_get(hard, key))) > 0)
			json_object_set(over, key, v);
	}
	if (json_object_size(unknown)) {
		strbuf_addf(&text, "status unknown for quota: %s, resources: ", name);
		list_amounts(&text, NULL, unknown);
	} else if (json_object_size(over)) {
		strbuf_addf(&text, "exceeded quota: %s, requested: ", name);
		list_amounts(&text, delta, over);
		strbuf_adds(&text, ", used: ");
		list_amounts(&text, used, over);
		strbuf_adds(&text, ", limited: ");
		list_amounts(&text, hard, over);
	}
	json_decref(unknown);
	json_decref(over);
	return text.len ? strdup(text.buf) : NULL;
}

/* A quota of cpu or memory wants every container to say how much of it. NULL: they do. The caller's. */
static char *unspecified(const json_t *quota, const json_t *pod)
{
	static const struct {
		const char *bound, *list, *resource;
	} wants[] = {
		{ "cpu", "requests", "cpu" },
		{ "limits.cpu", "limits", "cpu" },
		{ "limits.memory", "limits", "memory" },
		{ "memory", "requests", "memory" },
		{ "requests.cpu", "requests", "cpu" },
		{ "requests.memory", "requests", "memory" },
	};
	static const char *const lists[] = { "spec.containers", "spec.initContainers" };
	cleanup(strbuf_done) struct strbuf text = STRBUF_INIT;
	json_t *hard = api_get(quota, "status.hard"), *ct;
	size_t i;

	for (size_t w = 0; w < sizeof(wants) / sizeof(wants[0]); w++) {
		size_t n = 0;

		if (!json_object_get(hard, wants[w].bound))
			continue;
		for (size_t l = 0; l < 2; l++)
			json_array_foreach (api_get(pod, lists[l]), i, ct) {
				json_t *list = json_object_get(json_object_get(ct, "resources"), wants[w].list);

				if (json_object_get(list, wants[w].resource))
					continue;
				if (!n++)
					strbuf_addf(&text, "%s%s for: %s", text.len ? "; " : "", wants[w].bound,
						    api_get_str(ct, "name"));
				else
					strbuf_addf(&text, ",%s", api_get_str(ct, "name"));
			}
	}
	return text.len ? strdup(text.buf) : NULL;
}

/* --- charging ----------------------------------------------------------------------------------------------------- */

static void charge_free(struct call *inner)
{
	struct charge *ch = TAKE(inner->data);

	if (!ch)
		return;
	call_unref(ch->c);
	free(ch->denial);
	free(ch);
}

/* What is left to charge to this quota; borrowed. */
static json_t *due(const struct admission *a, const char *quota)
{
	return json_object_get(a->to_charge, quota);
}

static enum change charge_change(struct call *inner)
{
	struct charge *ch = inner->data;
	const json_t *delta = due(ch->c->admission, inner->name);
	json_t *part, *used;

	if (!inner->old) {
		call_bytes(inner, 404, "application/json", "", 0);
		return CHANGE_ANSWERED;
	}
	part = bounded(delta, api_get(inner->old, "status.hard"));
	ch->denial = refusal(inner->old, part);
	if (ch->denial) {
		json_decref(part);
		call_bytes(inner, 403, "application/json", "", 0);
		return CHANGE_ANSWERED;
	}
	inner->obj = json_deep_copy(inner->old);
	used = api_get(inner->obj, "status.used");
	if (!inner->obj || !used || api_amounts_add(used, part, 1) < 0) {
		json_decref(part);
		if (used || !inner->obj)
			call_oom(inner);
		else
			call_bytes(inner, 200, "application/json", "", 0);
		return CHANGE_ANSWERED;
	}
	json_decref(part);
	return CHANGE_WRITE;
}

static void on_charged(struct call *inner, int code, const char *body, size_t len)
{
	struct charge *ch = inner->data;
	struct admission *a = ch->c->admission;
	enum admit r;

	(void)body;
	(void)len;
	if (call_dead(ch->c))
		return;
	if (code == 403 && ch->denial) {
		admission_forbid(a, "%s", ch->denial);
		return;
	}
	if (code == 409 && a->charge_rounds++ < MAX_ROUNDS) {
		r = charge_next(a);
	} else if (code >= 300 && code != 404) {
		call_status(ch->c,
			    code == 409	  ? 429
			    : code >= 500 ? code
					  : 500,
			    code == 409 ? "TooManyRequests" : "InternalError",
			    "Internal error occurred: quota \"%s\" could not be charged", inner->name);
		return;
	} else {
		/* charged: a change that is decided again does not pay twice */
		json_t *paid = json_object_get(a->charged, inner->name), *now = due(a, inner->name);

		if (code != 404) {
			if (!paid) {
				json_object_set_new(a->charged, inner->name, json_object());
				paid = json_object_get(a->charged, inner->name);
			}
			(void)api_amounts_add(paid, now, 1);
		}
		json_object_del(a->to_charge, inner->name);
		r = charge_next(a);
	}
	if (r == ADMIT_NEXT)
		admission_resume(a);
}

static enum admit charge_next(struct admission *a)
{
	const char *name = json_object_iter_key(json_object_iter(a->to_charge));
	struct call *inner;
	struct charge *ch;

	if (!name)
		return ADMIT_NEXT;
	inner = call_new_inner(a->c->s, "update", cache_resource(a->c->s, "", "resourcequotas"), a->c->ns, name,
			       "status");
	ch = inner ? calloc(1, sizeof(*ch)) : NULL;
	if (!ch) {
		if (inner)
			call_unref(inner);
		call_oom(a->c);
		return ADMIT_ANSWERED;
	}
	ch->c = call_ref(a->c);
	inner->data = ch;
	inner->data_free = charge_free;
	inner->finish = on_charged;
	inner->change = charge_change;
	registry_mutate(inner);
	call_unref(inner);
	return ADMIT_WAIT;
}

/* --- the plugin --------------------------------------------------------------------------------------------------- */

/* One quota: refuses, or notes what is to be charged to it. */
static enum admit look_at(struct admission *a, const json_t *quota, const json_t *usage)
{
	const char *name = api_get_str(quota, "metadata.name");
	cleanup(free) char *why = NULL;
	json_t *part, *paid;
	enum admit r = ADMIT_NEXT;

	if (!api_quota_covers(quota, a->c->res->kind, a->obj))
		return ADMIT_NEXT;
	if (admission_is_pod(a)) {
		why = unspecified(quota, a->obj);
		if (why)
			return admission_forbid(a, "failed quota: %s: must specify %s", name, why);
	}
	part = bounded(usage, api_get(quota, "status.hard"));
	paid = json_object_get(a->charged, name);
	if (paid) {
		json_t *rest;

		(void)api_amounts_add(part, paid, -1);
		rest = bounded(part, api_get(quota, "status.hard"));
		json_decref(part);
		part = rest;
	}
	if (json_object_size(part)) {
		why = refusal(quota, part);
		if (why)
			r = admission_forbid(a, "%s", why);
		else if (!a->c->dry_run)
			json_object_set(a->to_charge, name, part);
	}
	json_decref(part);
	return r;
}

static enum admit validate(struct admission *a)
{
	struct resource *quotas = cache_resource(a->c->s, "", "resourcequotas");
	enum admit r = ADMIT_NEXT;
	json_t *usage, *before;
	size_t from, to;

	if (!quotas || !quotas->n || !concerns(a))
		return ADMIT_NEXT;
	admission_range(quotas, a->c->ns, &from, &to);
	if (from == to)
		return ADMIT_NEXT;
	usage = api_usage(a->c->res->kind, a->obj);
	before = a->op == ADMIT_UPDATE ? api_usage(a->c->res->kind, a->old) : json_object();
	json_decref(a->to_charge);
	a->to_charge = json_object();
	if (!a->charged)
		a->charged = json_object();
	a->charge_rounds = 0;
	if (!usage || !before || api_amounts_add(usage, before, -1) < 0) {
		call_oom(a->c);
		r = ADMIT_ANSWERED;
	}
	for (size_t i = from; i < to && r == ADMIT_NEXT; i++) {
		json_t *quota = admission_parse(quotas->objs[i]);

		if (quota)
			r = look_at(a, quota, usage);
		json_decref(quota);
	}
	json_decref(usage);
	json_decref(before);
	return r == ADMIT_NEXT ? charge_next(a) : r;
}

const struct admission_plugin admission_resource_quota = {
	.name = "ResourceQuota",
	.ops = ADMIT_CREATE | ADMIT_UPDATE,
	.validate = validate,
};
