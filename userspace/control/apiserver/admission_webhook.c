/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MutatingAdmissionWebhook and ValidatingAdmissionWebhook: those whose rules and selectors match are asked by an
 * AdmissionReview. Mutating ones one after the other, by name of their configuration, each seeing what the one before
 * it made; validating ones all at once. What the server does by itself is not shown to webhooks, nor are webhook
 * configurations: a bad webhook can always be removed.
 */
#include "admission-webhook.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/str.h"
#include "webhook_client.h"

#define MAX_ANSWER (4u << 20)

/* One webhook being asked; holds a reference of the call. */
struct ask {
	struct admission *a;
	struct hook_call *call;
	json_t *entry; /* {"configuration", "hook", "key", "index"} */
	bool mutating;
	char uid[37];
	char url[512]; /* for messages */
};

static enum admit next_mutating(struct admission *a);

/* --- which ones --------------------------------------------------------------------------------------------------- */

static bool intercepted(const struct call *c)
{
	if (!c->req && !c->parent)
		return false;
	return !streq(c->group, "admissionregistration.k8s.io");
}

/* Labels of the object's namespace; *ret_any: namespaces do not matter. Borrowed. */
static const json_t *namespace_labels(const struct admission *a, bool *ret_any)
{
	const struct call *c = a->c;
	struct resource *namespaces = cache_resource(c->s, "", "namespaces");
	struct object *ns;

	*ret_any = false;
	if (c->res == namespaces)
		return api_get(a->obj && !c->sub[0] ? a->obj : c->old, "metadata.labels");
	if (!c->res->kind->namespaced) {
		*ret_any = true;
		return NULL;
	}
	ns = namespaces ? cache_get(namespaces, NULL, c->ns) : NULL;
	return ns ? api_get(ns->index, "metadata.labels") : NULL;
}

static bool object_selected(const struct admission *a, const json_t *hook)
{
	const json_t *selector = json_object_get(hook, "objectSelector");

	return (a->obj && hook_selector_matches(selector, api_get(a->obj, "metadata.labels"))) ||
	       (a->old && hook_selector_matches(selector, api_get(a->old, "metadata.labels"))) ||
	       (!a->obj && !a->old && hook_selector_matches(selector, NULL));
}

static bool wanted(const struct admission *a, const json_t *hook)
{
	const struct call *c = a->c;
	struct hook_request q = {
		.operation = hook_operation(a->op),
		.group = c->res->kind->group,
		.version = c->res->kind->version,
		.resource = c->res->kind->plural,
		.sub = c->sub,
		.namespaced = c->res->kind->namespaced,
		.equivalent = !streq(api_get_str(hook, "matchPolicy"), "Exact"),
	};
	const json_t *labels;
	bool any;

	if (!hook_rules_match(json_object_get(hook, "rules"), &q))
		return false;
	labels = namespace_labels(a, &any);
	return any || hook_selector_matches(json_object_get(hook, "namespaceSelector"), labels);
}

/* All webhooks of this sort that the request concerns, but for their object selectors, which look at each state. */
static json_t *collect(const struct admission *a, const char *plural)
{
	struct resource *r = cache_resource(a->c->s, "admissionregistration.k8s.io", plural);
	json_t *list;
	int index = 0; /* among all webhooks of the sort */

	if (!r || !r->n || !intercepted(a->c))
		return NULL;
	list = json_array();
	for (size_t i = 0; i < r->n; i++) {
		json_t *config = admission_parse(r->objs[i]), *hook;
		const char *name = r->objs[i]->name;
		size_t j;

		json_array_foreach (json_object_get(config, "webhooks"), j, hook) {
			char key[600];

			index++;
			if (!wanted(a, hook))
				continue;
			snprintf(key, sizeof(key), "%.253s/%zu", name, j);
			json_array_append_new(list, json_pack("{s:s,s:O,s:s,s:i}", "configuration", name, "hook", hook,
							      "key", key, "index", index - 1));
		}
		json_decref(config);
	}
	return list;
}

/* --- the question ------------------------------------------------------------------------------------------------- */

static json_t *options_of(const struct admission *a)
{
	struct call *c = a->c;
	const char *manager = call_query(c, "fieldManager"), *validation = call_query(c, "fieldValidation");
	const char *kind = a->op == ADMIT_CREATE     ? "CreateOptions"
			   : a->op == ADMIT_DELETE   ? "DeleteOptions"
			   : streq(c->verb, "patch") ? "PatchOptions"
						     : "UpdateOptions";
	json_t *o;

	if (a->op == ADMIT_CONNECT)
		return NULL;
	o = json_pack("{s:s,s:s,s:s*,s:s*}", "kind", kind, "apiVersion", META_V1, "fieldManager",
		      a->op == ADMIT_DELETE ? NULL : manager, "fieldValidation",
		      a->op == ADMIT_DELETE ? NULL : validation);
	if (o && c->dry_run)
		json_object_set_new(o, "dryRun", json_pack("[s]", "All"));
	if (o && a->op == ADMIT_DELETE && c->del) {
		if (c->del->has_grace)
			json_object_set_new(o, "gracePeriodSeconds", json_integer(c->del->grace_s));
		if (c->del->policy)
			json_object_set_new(o, "propagationPolicy", json_string(c->del->policy));
	}
	return o;
}

static void split_version(const char *api_version, char *group, char *version, size_t size)
{
	const char *slash = api_version ? strchr(api_version, '/') : NULL;

	snprintf(group, size, "%.*s", slash ? (int)(slash - api_version) : 0, api_version ? api_version : "");
	snprintf(version, size, "%s", slash ? slash + 1 : api_version ? api_version : "");
}

static json_t *review_of(const struct admission *a, const char *uid)
{
	const struct call *c = a->c;
	const struct api_kind *kind = c->res->kind;
	const json_t *sample = a->obj ? a->obj : a->old;
	const char *own_kind = api_get_str(sample, "kind");
	bool is_ns = !kind->group[0] && streq(kind->plural, "namespaces");
	char group[160], version[160];
	json_t *request, *gvk, *gvr, *options;

	split_version(api_get_str(sample, "apiVersion"), group, version, sizeof(group));
	if (!own_kind) {
		own_kind = kind->kind;
		snprintf(group, sizeof(group), "%s", kind->group);
		snprintf(version, sizeof(version), "%s", kind->version);
	}
	gvk = json_pack("{s:s,s:s,s:s}", "group", group, "version", version, "kind", own_kind);
	gvr = json_pack("{s:s,s:s,s:s}", "group", kind->group, "version", kind->version, "resource", kind->plural);
	request = json_pack("{s:s,s:O,s:O,s:O,s:O,s:s,s:s,s:o*,s:b}", "uid", uid, "kind", gvk, "resource", gvr,
			    "requestKind", gvk, "requestResource", gvr, "name", c->name, "operation",
			    hook_operation(a->op), "userInfo", identity_user_info(&c->who), "dryRun", c->dry_run);
	json_decref(gvk);
	json_decref(gvr);
	if (!request)
		return NULL;
	if (c->sub[0]) {
		json_object_set_new(request, "subResource", json_string(c->sub));
		json_object_set_new(request, "requestSubResource", json_string(c->sub));
	}
	if (kind->namespaced || is_ns)
		json_object_set_new(request, "namespace", json_string(is_ns ? c->name : c->ns));
	json_object_set_new(request, "object", a->obj ? json_incref(a->obj) : json_null());
	json_object_set_new(request, "oldObject", a->old ? json_incref(a->old) : json_null());
	options = options_of(a);
	json_object_set_new(request, "options", options ? options : json_null());
	return json_pack("{s:s,s:s,s:o}", "kind", "AdmissionReview", "apiVersion", "admission.k8s.io/v1", "request",
			 request);
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

static void ask_free(struct ask *k)
{
	struct call *c = k->a->c;

	json_decref(k->entry);
	free(k);
	call_unref(c);
}

/* The webhook could not be asked, or made no sense. ADMIT_NEXT: its policy is to go on without it. */
static enum admit failed(struct admission *a, const json_t *entry, bool mutating, const char *why)
{
	const json_t *hook = json_object_get(entry, "hook");
	const char *name = api_get_str(hook, "name");
	char key[128];

	if (streq(api_get_str(hook, "failurePolicy"), "Ignore")) {
		snprintf(key, sizeof(key), "failed-open.%s.webhook.admission.k8s.io/round_%d_index_%d",
			 mutating ? "mutation" : "validating", mutating && a->reinvoked,
			 (int)api_get_int(entry, "index", 0));
		audit_annotate(a->c, key, name);
		return ADMIT_NEXT;
	}
	call_status(a->c, 500, "InternalError", "Internal error occurred: failed calling webhook \"%s\": %s", name,
		    why);
	return ADMIT_ANSWERED;
}

static void tell_warnings(struct admission *a, const char *hook, const json_t *response)
{
	json_t *v;
	const char *key;
	size_t i;

	json_array_foreach (json_object_get(response, "warnings"), i, v)
		if (json_is_string(v))
			admission_warn(a, "%.1000s", json_string_value(v));
	json_object_foreach (json_object_get(response, "auditAnnotations"), key, v) {
		char full[400];

		snprintf(full, sizeof(full), "%.253s/%.100s", hook, key);
		if (json_is_string(v))
			audit_annotate(a->c, full, json_string_value(v));
	}
}

/* The object after the patch becomes what the request is about. 0, or an error in err. */
static int replace_object(struct admission *a, const json_t *patch, bool *ret_changed, struct err *err)
{
	static const char *const fixed[] = { "kind", "apiVersion", "metadata.name", "metadata.namespace" };
	struct call *c = a->c;
	json_t *made = NULL, **slot = a->obj == c->obj ? &c->obj : a->obj == c->reply ? &c->reply : &a->own;
	struct api_errs errs = { 0 };
	int r = 0;

	if (!a->obj || a->op == ADMIT_CONNECT)
		return err_set(err, EINVAL,
			       "webhook attempted to modify the object, which is not supported for this operation");
	if (api_patch_json(a->obj, patch, &made, err) < 0)
		return -EINVAL;
	for (size_t i = 0; i < 4; i++)
		if (!json_equal(api_get(made, fixed[i]), api_get(a->obj, fixed[i]))) {
			json_decref(made);
			return err_set(err, EINVAL, "the patch changes %s", fixed[i]);
		}
	if (slot == &c->obj) {
		api_check(c->res->kind->type, made, &errs);
		for (size_t i = 0; i < errs.n && r == 0; i++)
			if (errs.v[i].cause == API_C_TYPE)
				r = err_set(err, EINVAL, "the patched object cannot be decoded: %s: %s",
					    errs.v[i].field, errs.v[i].text);
		api_errs_done(&errs);
		if (r < 0) {
			json_decref(made);
			return r;
		}
		api_prune(c->res->kind->type, made);
	}
	*ret_changed = !json_equal(made, a->obj);
	json_decref(*slot);
	*slot = a->obj = made;
	return 0;
}

static void mutated(struct admission *a, const json_t *entry, bool changed)
{
	char key[160], value[700];

	snprintf(key, sizeof(key), "mutation.webhook.admission.k8s.io/round_%d_index_%d", a->reinvoked,
		 (int)api_get_int(entry, "index", 0));
	snprintf(value, sizeof(value), "{\"configuration\":\"%.253s\",\"webhook\":\"%.253s\",\"mutated\":%s}",
		 api_get_str(entry, "configuration"), api_get_str(json_object_get(entry, "hook"), "name"),
		 changed ? "true" : "false");
	audit_annotate(a->c, key, value);
	if (changed) {
		a->changed = true;
		a->object_version++;
		a->reinvoke = true;
	}
	if (!a->hooks_seen)
		a->hooks_seen = json_object();
	json_object_set_new(a->hooks_seen, api_get_str(entry, "key"), json_integer(a->object_version));
}

/* ADMIT_NEXT: allowed. */
static enum admit judge(struct ask *k, const struct hook_result *res)
{
	struct admission *a = k->a;
	const json_t *hook = json_object_get(k->entry, "hook");
	const char *name = api_get_str(hook, "name");
	json_t *review, *response, *patch, *status;
	struct err err = ERR_INIT;
	enum admit verdict = ADMIT_NEXT;
	bool changed = false;

	if (res->status != 200) {
		char why[1600];

		if (!res->status)
			snprintf(why, sizeof(why), "failed to call webhook: Post \"%s\": %.900s", k->url,
				 res->timed_out ? "context deadline exceeded" : res->error);
		else if (res->status == 404)
			snprintf(why, sizeof(why),
				 "failed to call webhook: the server could not find the requested resource");
		else if (res->status >= 500)
			snprintf(why, sizeof(why),
				 "failed to call webhook: an error on the server (\"%.500s\") has prevented the "
				 "request from succeeding",
				 res->body);
		else
			snprintf(why, sizeof(why),
				 "failed to call webhook: the server rejected our request for an unknown reason (%d)",
				 res->status);
		return failed(a, k->entry, k->mutating, why);
	}
	switch (hook_read_answer(res->body, res->len, k->uid, name, k->mutating, &review, &response, &patch, &status,
				 &err)) {
	case HOOK_BROKEN:
		verdict = failed(a, k->entry, k->mutating, err.msg);
		break;
	case HOOK_DENIED:
		tell_warnings(a, name, response);
		call_json(a->c, (int)api_get_int(status, "code", 400), status);
		verdict = ADMIT_ANSWERED;
		break;
	case HOOK_ALLOWED:
		tell_warnings(a, name, response);
		if (patch && replace_object(a, patch, &changed, &err) < 0) {
			call_status(a->c, 500, "InternalError", "Internal error occurred: webhook \"%s\": %s", name,
				    err.msg);
			verdict = ADMIT_ANSWERED;
		} else if (k->mutating) {
			mutated(a, k->entry, changed);
		}
		break;
	}
	json_decref(patch);
	json_decref(review);
	return verdict;
}

static void on_answer(void *arg, const struct hook_result *res)
{
	struct ask *k = arg;
	struct admission *a = k->a;
	struct call *c = a->c;
	bool mutating = k->mutating;
	enum admit r;

	a->n_asked--;
	if (res && !call_dead(c)) {
		r = judge(k, res);
		if (r == ADMIT_NEXT && mutating)
			r = next_mutating(a);
		if (r == ADMIT_NEXT && !a->n_asked)
			admission_resume(a);
	}
	ask_free(k);
}

/* ADMIT_WAIT: it is being asked. */
static enum admit ask(struct admission *a, json_t *entry, bool mutating)
{
	const json_t *hook = json_object_get(entry, "hook");
	int64_t timeout_s = api_get_int(hook, "timeoutSeconds", 10);
	cleanup(free) char *body = NULL;
	struct err err = ERR_INIT;
	struct ask *k;
	json_t *review;

	k = calloc(1, sizeof(*k));
	if (!k) {
		call_oom(a->c);
		return ADMIT_ANSWERED;
	}
	k->a = a;
	call_ref(a->c);
	k->entry = json_incref(entry);
	k->mutating = mutating;
	str_uuid(k->uid);
	review = review_of(a, k->uid);
	body = review ? json_dumps(review, JSON_COMPACT) : NULL;
	json_decref(review);
	if (!body) {
		call_oom(a->c);
		ask_free(k);
		return ADMIT_ANSWERED;
	}
	if (hook_call_start(a->c->s, json_object_get(hook, "clientConfig"), body, timeout_s, MAX_ANSWER, k->url,
			    sizeof(k->url), on_answer, k, &err) < 0) {
		char why[1200];

		snprintf(why, sizeof(why), "failed to call webhook: %s", err.msg);
		ask_free(k);
		return failed(a, entry, mutating, why);
	}
	a->n_asked++;
	return ADMIT_WAIT;
}

/* --- mutating ----------------------------------------------------------------------------------------------------- */

/* In the second round only those that asked for it, and only if the object changed after they saw it. */
static bool again(const struct admission *a, const json_t *entry)
{
	const json_t *seen = json_object_get(a->hooks_seen, api_get_str(entry, "key"));

	return streq(api_get_str(json_object_get(entry, "hook"), "reinvocationPolicy"), "IfNeeded") && seen &&
	       json_integer_value(seen) < a->object_version;
}

static enum admit next_mutating(struct admission *a)
{
	while (a->hook_next < json_array_size(a->hooks)) {
		json_t *entry = json_array_get(a->hooks, a->hook_next++);
		enum admit r;

		if (a->reinvoked && !again(a, entry))
			continue;
		if (!object_selected(a, json_object_get(entry, "hook")))
			continue;
		r = ask(a, entry, true);
		if (r != ADMIT_NEXT)
			return r;
	}
	/* What other plugins change in their second look is seen by comparing with this. */
	if (!a->reinvoked && a->reinvoke) {
		json_decref(a->after_hooks);
		a->after_hooks = json_deep_copy(a->obj);
	}
	return ADMIT_NEXT;
}

static enum admit mutate(struct admission *a)
{
	if (a->reinvoked) {
		if (a->after_hooks && !json_equal(a->after_hooks, a->obj))
			a->object_version++;
	} else {
		json_decref(a->hooks);
		json_decref(a->hooks_seen);
		a->hooks_seen = NULL;
		a->object_version = 0;
		a->hooks = collect(a, "mutatingwebhookconfigurations");
	}
	a->hook_next = 0;
	return a->hooks ? next_mutating(a) : ADMIT_NEXT;
}

const struct admission_plugin admission_mutating_webhook = {
	.name = "MutatingAdmissionWebhook",
	.ops = ADMIT_CREATE | ADMIT_UPDATE | ADMIT_DELETE | ADMIT_CONNECT,
	.mutate = mutate,
};

/* --- validating --------------------------------------------------------------------------------------------------- */

static enum admit validate(struct admission *a)
{
	json_t *list = collect(a, "validatingwebhookconfigurations"), *entry;
	enum admit r = ADMIT_NEXT;
	size_t i;

	json_array_foreach (list, i, entry) {
		if (!object_selected(a, json_object_get(entry, "hook")))
			continue;
		r = ask(a, entry, false);
		if (r == ADMIT_ANSWERED)
			break;
	}
	json_decref(list);
	if (r == ADMIT_ANSWERED)
		return r;
	return a->n_asked ? ADMIT_WAIT : ADMIT_NEXT;
}

const struct admission_plugin admission_validating_webhook = {
	.name = "ValidatingAdmissionWebhook",
	.ops = ADMIT_CREATE | ADMIT_UPDATE | ADMIT_DELETE | ADMIT_CONNECT,
	.validate = validate,
};
