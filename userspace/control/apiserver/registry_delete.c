/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delete and deletecollection. An object that something holds (finalizers, a namespace's contents, a pod's grace) is
 * only marked with deletionTimestamp; whoever releases it last makes it go, here or in an update
 * (deletion_finished()).
 */
#include "apiserver-internal.h"
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/clock.h"
#include "../../lib/base/str.h"

#define DEFAULT_GRACE_S 30

static bool is_pod(const struct api_kind *kind)
{
	return streq(kind->plural, "pods") && !kind->group[0];
}

bool deletion_finished(const struct api_kind *kind, const json_t *obj)
{
	if (!api_get_str(obj, "metadata.deletionTimestamp") || json_array_size(api_get(obj, "metadata.finalizers")))
		return false;
	if (is_pod(kind))
		return api_get_int(obj, "metadata.deletionGracePeriodSeconds", 0) == 0;
	if (streq(kind->plural, "namespaces"))
		return json_array_size(api_get(obj, "spec.finalizers")) == 0;
	return true;
}

static int read_policy(struct call *c, const char *text, struct delete_options *ret)
{
	static const char *const known[] = { "Background", "Foreground", "Orphan" };
	char why[200];

	if (!text || !*text)
		return 0;
	for (size_t i = 0; i < 3; i++)
		if (streq(text, known[i])) {
			ret->policy = known[i];
			return 0;
		}
	snprintf(why, sizeof(why),
		 "Unsupported value: \"%.64s\": supported values: \"Background\", \"Foreground\", \"Orphan\", \"nil\"",
		 text);
	return options_refuse(c, API_C_NOT_SUPPORTED, "propagationPolicy", why);
}

int delete_options_from(struct call *c, const json_t *body, struct delete_options *ret)
{
	const json_t *v;
	const char *text;
	size_t i;

	if (!json_is_object(body)) {
		call_status(c, 400, "BadRequest", "the body is not a DeleteOptions object");
		return -1;
	}
	text = api_get_str(body, "kind");
	if (text && *text && !streq(text, "DeleteOptions")) {
		call_status(c, 400, "BadRequest",
			    "the kind in the data (%.64s) does not match the expected kind (DeleteOptions)", text);
		return -1;
	}
	v = json_object_get(body, "gracePeriodSeconds");
	if (v && !json_is_null(v)) {
		if (!json_is_integer(v)) {
			call_status(c, 400, "BadRequest",
				    "DeleteOptions in version \"v1\" cannot be handled as a DeleteOptions: "
				    "gracePeriodSeconds: must be a whole number");
			return -1;
		}
		ret->has_grace = true;
		ret->grace_s = json_integer_value(v) < 0 ? 1 : json_integer_value(v); /* as in Kubernetes */
	}
	if (read_policy(c, api_get_str(body, "propagationPolicy"), ret) < 0)
		return -1;
	v = json_object_get(body, "orphanDependents");
	if (json_is_boolean(v) && ret->policy)
		return options_refuse(c, API_C_INVALID, "propagationPolicy",
				      "Invalid value: orphanDependents and deletionPropagation cannot be both set");
	if (json_is_boolean(v))
		ret->policy = json_is_true(v) ? "Orphan" : "Background";
	text = api_get_str(body, "preconditions.uid");
	if (text)
		snprintf(ret->uid, sizeof(ret->uid), "%s", text);
	text = api_get_str(body, "preconditions.resourceVersion");
	if (text && *text && str_to_i64(text, 1, INT64_MAX, &ret->rev) < 0)
		ret->rev = -1; /* never matches */
	json_array_foreach (json_object_get(body, "dryRun"), i, v)
		if (options_dry_run(c, json_string_value(v)) < 0)
			return -1;
	return 0;
}

int delete_options_read(struct call *c, struct delete_options *ret)
{
	const char *grace = call_query(c, "gracePeriodSeconds");
	json_t *body = NULL;
	size_t len = 0;
	int r;

	*ret = (struct delete_options){ 0 };
	(void)http_req_body(c->req, &len);
	if (grace && *grace) {
		if (str_to_i64(grace, 0, INT32_MAX, &ret->grace_s) < 0) {
			call_status(c, 400, "BadRequest",
				    "gracePeriodSeconds: Invalid value: \"%.64s\": must be a number of seconds, not "
				    "negative",
				    grace);
			return -1;
		}
		ret->has_grace = true;
	}
	if (read_policy(c, call_query(c, "propagationPolicy"), ret) < 0)
		return -1;
	if (!len)
		return 0;
	if (call_read_any(c, &body, NULL) < 0)
		return -1;
	r = delete_options_from(c, body, ret);
	json_decref(body);
	return r;
}

void registry_delete(struct call *c)
{
	c->del = calloc(1, sizeof(*c->del));
	if (!c->del) {
		call_oom(c);
		return;
	}
	if (delete_options_read(c, c->del) < 0)
		return;
	c->change = delete_change;
	registry_mutate(c);
}

/* finalizers with `name` added or taken away. */
static void set_finalizer(json_t *obj, const char *name, bool on)
{
	json_t *list = json_object_get(obj_meta(obj), "finalizers"), *v;
	size_t i;

	if (on) {
		if (obj_has_finalizer(obj, name))
			return;
		if (!json_is_array(list)) {
			json_object_set_new(obj_meta(obj), "finalizers", json_array());
			list = json_object_get(obj_meta(obj), "finalizers");
		}
		json_array_append_new(list, json_string(name));
		return;
	}
	json_array_foreach (list, i, v)
		if (streq(json_string_value(v), name)) {
			json_array_remove(list, i);
			break;
		}
	if (list && !json_array_size(list))
		json_object_del(obj_meta(obj), "finalizers");
}

static int64_t pod_grace(const json_t *pod, const struct delete_options *o)
{
	const char *phase = api_get_str(pod, "status.phase"), *node = api_get_str(pod, "spec.nodeName");
	int64_t grace = o->has_grace ? o->grace_s
				     : api_get_int(pod, "spec.terminationGracePeriodSeconds", DEFAULT_GRACE_S);

	/* Nobody runs it: there is nothing to wait for. */
	if (!node || !*node || streq(phase, "Succeeded") || streq(phase, "Failed"))
		return 0;
	return grace < 0 ? 1 : grace;
}

static void mark_deleted(json_t *obj, int64_t at_ms, int64_t grace_s)
{
	char buf[CLOCK_RFC3339_SIZE];

	clock_rfc3339(at_ms, buf);
	obj_set_str(obj, "metadata.deletionTimestamp", buf);
	json_object_set_new(obj_meta(obj), "deletionGracePeriodSeconds", json_integer(grace_s));
	if (api_get_int(obj, "metadata.generation", 0) > 0)
		json_object_set_new(obj_meta(obj), "generation",
				    json_integer(api_get_int(obj, "metadata.generation", 0) + 1));
}

/* What Kubernetes answers when the object is gone at once: most kinds a Status, few the object. */
static void reply_gone(struct call *c)
{
	static const char *const with_object[] = { "pods",
						   "services",
						   "serviceaccounts",
						   "podtemplates",
						   "resourcequotas",
						   "persistentvolumes",
						   "storageclasses",
						   "volumeattachments",
						   "csinodes",
						   "persistentvolumeclaims",
						   "csidrivers" };

	for (size_t i = 0; !c->res->custom && i < sizeof(with_object) / sizeof(with_object[0]); i++)
		if (streq(c->res->kind->plural, with_object[i]))
			return;
	c->reply = json_pack("{s:s,s:s,s:{},s:s,s:{s:s,s:s?,s:s,s:s?}}", "kind", "Status", "apiVersion", "v1",
			     "metadata", "status", "Success", "details", "name", c->name, "group",
			     c->group[0] ? c->group : NULL, "kind", c->resource, "uid",
			     api_get_str(c->old, "metadata.uid"));
	if (c->reply && !c->group[0])
		json_object_del(json_object_get(c->reply, "details"), "group");
}

enum change delete_change(struct call *c)
{
	const struct delete_options *o = c->del;
	const struct api_kind *kind = c->res->kind;
	const char *uid;
	bool marked, pod = is_pod(kind);
	int64_t grace = 0, now = clock_real_ms();

	if (!c->old) {
		call_not_found(c);
		return CHANGE_ANSWERED;
	}
	uid = api_get_str(c->old, "metadata.uid");
	if (o->uid[0] && !streq(o->uid, uid)) {
		call_conflict(c, "Precondition failed: UID in precondition: %s, UID in object meta: %s", o->uid, uid);
		return CHANGE_ANSWERED;
	}
	if (o->rev && o->rev != c->old_rev) {
		call_conflict(
			c,
			"Precondition failed: ResourceVersion in precondition: %lld, ResourceVersion in object meta: %lld",
			(long long)o->rev, (long long)c->old_rev);
		return CHANGE_ANSWERED;
	}
	c->obj = json_deep_copy(c->old);
	if (!c->obj) {
		call_oom(c);
		return CHANGE_ANSWERED;
	}
	marked = api_get_str(c->old, "metadata.deletionTimestamp") != NULL;
	if (o->policy) {
		set_finalizer(c->obj, "foregroundDeletion", streq(o->policy, "Foreground"));
		set_finalizer(c->obj, "orphan", streq(o->policy, "Orphan"));
	}
	if (pod)
		grace = pod_grace(c->old, o);
	if (!marked) {
		mark_deleted(c->obj, now + grace * 1000, grace);
	} else if (pod) {
		int64_t had = api_get_int(c->old, "metadata.deletionGracePeriodSeconds", 0);
		const char *stamp = api_get_str(c->old, "metadata.deletionTimestamp");
		int64_t at;

		if (!o->has_grace && grace)
			grace = had;
		if (grace < had && clock_rfc3339_parse(stamp, &at) == 0) {
			/* shorter only, counted from when it was first asked for */
			at += (grace - had) * 1000;
			if (at < now)
				at = now;
			mark_deleted(c->obj, at, grace);
		}
	}
	if (streq(kind->plural, "namespaces"))
		obj_set_str(c->obj, "status.phase", "Terminating");
	if (crd_is(kind) && !marked && crd_mark_deleted(c->obj) < 0) {
		call_oom(c);
		return CHANGE_ANSWERED;
	}
	if (deletion_finished(kind, c->obj)) {
		reply_gone(c);
		return CHANGE_DELETE;
	}
	if (json_equal(c->obj, c->old))
		return CHANGE_NONE;
	return CHANGE_WRITE;
}

/* --- deletecollection --------------------------------------------------------------------------------------------- */

struct collection {
	struct delete_options options;
	struct http_buf **deleted;
	struct object **todo;
	size_t n_todo, next, n_deleted, n_running;
	bool failed;
};

#define PARALLEL 16

static void next_deletions(struct call *c);
static void on_step(void *arg);

static void collection_free(struct call *c)
{
	struct collection *col = TAKE(c->data);

	if (!col)
		return;
	for (size_t i = 0; i < col->n_deleted; i++)
		http_buf_unref(col->deleted[i]);
	for (size_t i = 0; i < col->n_todo; i++)
		object_unref(col->todo[i]);
	free(col->deleted);
	free(col->todo);
	free(col);
}

static void on_deleted(struct call *inner, int code, const char *body, size_t len)
{
	struct call *c = inner->parent;
	struct collection *col = c->data;

	col->n_running--;
	/* What is gone meanwhile was not ours to delete: fine. */
	if (code >= 300 && code != 404 && !col->failed) {
		col->failed = true;
		call_bytes(c, code, "application/json", body, len);
		return;
	}
	if (loop_post(c->s->loop, on_step, call_ref(c)) < 0) {
		call_oom(c);
		call_unref(c);
	}
}

static void delete_one(struct call *c, struct object *o)
{
	struct collection *col = c->data;
	char ns[CALL_NAME_MAX + 1];
	struct call *inner;

	snprintf(ns, sizeof(ns), "%.*s", o->name > o->key ? (int)(o->name - o->key - 1) : 0, o->key);
	inner = call_new_inner(c->s, "delete", c->res, ns, o->name, "");
	if (!inner) {
		col->failed = true;
		call_oom(c);
		return;
	}
	inner->parent = call_ref(c);
	inner->finish = on_deleted;
	inner->dry_run = c->dry_run;
	inner->del = malloc(sizeof(*inner->del));
	if (inner->del && identity_copy(&inner->who, &c->who) == 0) {
		*inner->del = col->options;
		inner->change = delete_change;
		col->n_running++;
		col->deleted[col->n_deleted++] = http_buf_ref(o->json);
		registry_mutate(inner);
	} else {
		col->failed = true;
		call_oom(c);
	}
	call_unref(inner);
}

static void on_step(void *arg)
{
	struct call *c = arg;

	next_deletions(c);
	call_unref(c);
}

static void next_deletions(struct call *c)
{
	struct collection *col = c->data;

	if (call_dead(c) || !col)
		return;
	while (col->next < col->n_todo && col->n_running < PARALLEL && !col->failed)
		delete_one(c, col->todo[col->next++]);
	if (col->failed)
		return;
	if (col->next == col->n_todo && !col->n_running)
		call_list(c, col->deleted, col->n_deleted, c->s->rev, "", 0);
}

static void collect(struct call *c)
{
	struct collection *col = c->data;
	struct resource *r = c->res;

	if (cache_retired(c))
		return;
	col->todo = malloc((r->n ? r->n : 1) * sizeof(*col->todo));
	col->deleted = malloc((r->n ? r->n : 1) * sizeof(*col->deleted));
	if (!col->todo || !col->deleted) {
		call_oom(c);
		return;
	}
	for (size_t i = 0; i < r->n; i++)
		if (object_matches(c, r->objs[i]))
			col->todo[col->n_todo++] = object_ref(r->objs[i]);
	next_deletions(c);
}

void registry_delete_collection(struct call *c)
{
	struct collection *col;

	if (streq(c->res->kind->plural, "namespaces")) {
		/* as in Kubernetes: one by one, on purpose */
		call_status(c, 405, "MethodNotAllowed",
			    "the server does not allow this method on the requested resource");
		return;
	}
	if (call_selectors(c) < 0)
		return;
	col = calloc(1, sizeof(*col));
	if (!col) {
		call_oom(c);
		return;
	}
	c->data = col;
	c->data_free = collection_free;
	if (delete_options_read(c, &col->options) < 0)
		return;
	cache_wait_fresh(c, collect);
}
