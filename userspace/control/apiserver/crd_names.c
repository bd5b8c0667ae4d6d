/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status of a definition: which of its names are free within its group, and therefore whether it is served. It is
 * decided in the same write that brings the definition, so that whoever is told of it can use it. When a definition
 * goes, those that waited for its names are decided anew.
 */
#include "apiserver-internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/log.h"
#include "../../lib/base/str.h"

#define FINALIZER "customresourcecleanup.apiextensions.k8s.io"

static const char *text(const json_t *v, const char *name)
{
	const char *s = json_string_value(json_object_get(v, name));

	return s ? s : "";
}

/* --- conditions --------------------------------------------------------------------------------------------------- */

static json_t *find_condition(json_t *list, const char *type)
{
	json_t *c;
	size_t i;

	json_array_foreach (list, i, c)
		if (streq(text(c, "type"), type))
			return c;
	return NULL;
}

static int set_condition(json_t *obj, const char *type, bool on, const char *reason, const char *message)
{
	json_t *list = api_get(obj, "status.conditions"), *c;
	const char *status = on ? "True" : "False";
	char now[32];

	obj_now(now);
	if (!json_is_array(list)) {
		if (api_set(obj, "status.conditions", json_array()) < 0)
			return -ENOMEM;
		list = api_get(obj, "status.conditions");
	}
	c = find_condition(list, type);
	if (!c) {
		c = json_pack("{s:s,s:s,s:s,s:s,s:s}", "type", type, "status", status, "lastTransitionTime", now,
			      "reason", reason, "message", message);
		return c && json_array_append_new(list, c) == 0 ? 0 : -ENOMEM;
	}
	if (!streq(text(c, "status"), status))
		obj_set_str(c, "lastTransitionTime", now);
	obj_set_str(c, "status", status);
	obj_set_str(c, "reason", reason);
	obj_set_str(c, "message", message);
	return 0;
}

/* --- names -------------------------------------------------------------------------------------------------------- */

static bool in_list(const json_t *list, const char *name)
{
	json_t *v;
	size_t i;

	json_array_foreach (list, i, v)
		if (streq(json_string_value(v), name))
			return true;
	return false;
}

static bool is_resource_name(const json_t *names, const char *name)
{
	return streq(text(names, "plural"), name) || streq(text(names, "singular"), name) ||
	       in_list(json_object_get(names, "shortNames"), name);
}

static bool is_kind_name(const json_t *names, const char *name)
{
	return streq(text(names, "kind"), name) || streq(text(names, "listKind"), name);
}

static bool built_in_has(const struct api_kind *k, const char *name, bool kinds)
{
	char list[160];

	if (kinds) {
		snprintf(list, sizeof(list), "%sList", k->kind);
		return streq(k->kind, name) || streq(list, name);
	}
	for (const char *const *s = k->short_names; s && *s; s++)
		if (streq(*s, name))
			return true;
	return streq(k->plural, name) || streq(k->singular, name);
}

/* Somebody else of the group has this name: as a kind, or as what resources are called. */
static bool taken(struct apiserver *s, const char *self, const char *group, const char *name, bool kinds)
{
	size_t n;
	const struct api_kind *const *built_in = api_kinds(&n);

	if (!*name)
		return false;
	for (size_t i = 0; i < n; i++)
		if (streq(built_in[i]->group, group) && built_in_has(built_in[i], name, kinds))
			return true;
	for (struct strmap_iter it = { 0 }; strmap_next(s->definitions, &it);) {
		const struct definition *d = it.value;

		if (!streq(d->name, self) && streq(d->group, group) && d->accepted &&
		    (kinds ? is_kind_name(d->accepted, name) : is_resource_name(d->accepted, name)))
			return true;
	}
	return false;
}

struct naming {
	struct apiserver *s;
	const char *self, *group;
	json_t *want, *have, *accepted;
	const char *reason;
	char message[400];
};

static void refuse(struct naming *n, const char *reason, const char *name)
{
	n->reason = reason;
	snprintf(n->message, sizeof(n->message), "\"%s\" is already in use", name);
}

static void accept_one(struct naming *n, const char *field, bool kinds, const char *reason)
{
	const char *name = text(n->want, field);

	if (taken(n->s, n->self, n->group, name, kinds)) {
		refuse(n, reason, name);
		name = text(n->have, field);
	}
	if (*name)
		obj_set_str(n->accepted, field, name);
}

static void accept_short_names(struct naming *n)
{
	json_t *list = json_object_get(n->want, "shortNames"), *v;
	size_t i;

	json_array_foreach (list, i, v)
		if (json_is_string(v) && taken(n->s, n->self, n->group, json_string_value(v), false)) {
			refuse(n, "ShortNamesConflict", json_string_value(v));
			list = json_object_get(n->have, "shortNames");
			break;
		}
	if (json_array_size(list))
		json_object_set_new(n->accepted, "shortNames", json_deep_copy(list));
}

static int decide_names(struct apiserver *s, json_t *obj)
{
	struct naming n = { .s = s,
			    .self = api_get_str(obj, "metadata.name"),
			    .group = api_get_str(obj, "spec.group"),
			    .want = api_get(obj, "spec.names"),
			    .have = api_get(obj, "status.acceptedNames"),
			    .accepted = json_object() };
	json_t *categories = json_object_get(n.want, "categories"), *was;
	bool established;
	int r;

	if (!n.accepted)
		return -ENOMEM;
	accept_one(&n, "plural", false, "PluralConflict");
	accept_one(&n, "singular", false, "SingularConflict");
	accept_short_names(&n);
	accept_one(&n, "kind", true, "KindConflict");
	accept_one(&n, "listKind", true, "ListKindConflict");
	if (json_array_size(categories))
		json_object_set_new(n.accepted, "categories", json_deep_copy(categories));
	/* Once served it stays so, under the names it had. */
	was = find_condition(api_get(obj, "status.conditions"), "Established");
	established = streq(text(was, "status"), "True");
	r = api_set(obj, "status.acceptedNames", n.accepted);
	if (r == 0)
		r = set_condition(obj, "NamesAccepted", !n.reason, n.reason ? n.reason : "NoConflicts",
				  n.reason ? n.message : "no conflicts found");
	if (r == 0 && !established)
		r = set_condition(obj, "Established", !n.reason, n.reason ? "NotAccepted" : "InitialNamesAccepted",
				  n.reason ? "not all names are accepted" : "the initial names have been accepted");
	return r;
}

/* Every version that was ever the one to store in, until a client says that none is left. */
static int note_stored_version(json_t *obj)
{
	json_t *list = api_get(obj, "status.storedVersions"), *v;
	size_t i;

	if (!json_is_array(list)) {
		if (api_set(obj, "status.storedVersions", json_array()) < 0)
			return -ENOMEM;
		list = api_get(obj, "status.storedVersions");
	}
	json_array_foreach (api_get(obj, "spec.versions"), i, v)
		if (json_is_true(json_object_get(v, "storage")) && !in_list(list, text(v, "name")))
			return json_array_append_new(list, json_string(text(v, "name")));
	return 0;
}

int crd_decide(struct apiserver *s, json_t *obj)
{
	json_t *status = json_object_get(obj, "status"), *copy = status ? json_deep_copy(status) : json_object();

	/* The status is shared with the object as it was: what is decided here is this one's. */
	if (!copy || json_object_set_new(obj, "status", copy) < 0)
		return -ENOMEM;
	if (note_stored_version(obj) < 0)
		return -ENOMEM;
	return decide_names(s, obj);
}

int crd_mark_deleted(json_t *obj)
{
	json_t *list = json_object_get(obj_meta(obj), "finalizers");

	if (!obj_has_finalizer(obj, FINALIZER)) {
		if (!json_is_array(list)) {
			list = json_array();
			if (json_object_set_new(obj_meta(obj), "finalizers", list) < 0)
				return -ENOMEM;
		}
		json_array_append_new(list, json_string(FINALIZER));
	}
	return set_condition(obj, "Terminating", true, "InstanceDeletionPending",
			     "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon");
}

/* --- names that became free --------------------------------------------------------------------------------------- */

static enum change recheck_change(struct call *c)
{
	if (!c->old) {
		call_not_found(c);
		return CHANGE_ANSWERED;
	}
	c->obj = json_deep_copy(c->old);
	if (!c->obj || crd_decide(c->s, c->obj) < 0) {
		call_oom(c);
		return CHANGE_ANSWERED;
	}
	return json_equal(c->obj, c->old) ? CHANGE_NONE : CHANGE_WRITE;
}

static void rechecked(struct call *c, int code, const char *body, size_t len)
{
	if (code >= 300 && code != 404)
		log_warn("definition \"%s\": names: %d %.*s, left as they are", c->name, code,
			 (int)(len > 300 ? 300 : len), body);
}

static void recheck(struct apiserver *s, const struct definition *d)
{
	struct call *c = call_new_inner(
		s, "update", cache_resource(s, "apiextensions.k8s.io", "customresourcedefinitions"), "", d->name, "");

	if (!c)
		return;
	c->finish = rechecked;
	c->change = recheck_change;
	registry_mutate(c);
	call_unref(c);
}

void crd_recheck_names(struct apiserver *s)
{
	for (struct strmap_iter it = { 0 }; strmap_next(s->definitions, &it);) {
		const struct definition *d = it.value;

		if (!d->names_accepted)
			recheck(s, d);
	}
}
