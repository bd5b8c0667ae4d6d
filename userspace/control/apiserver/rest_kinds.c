/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What creation means for kinds without a file of their own: the status a client sends is dropped, a job gets the
 * selector that finds its pods and no others, and who creates or changes an object that no controller acts on yet is
 * told so: by a warning with the answer, by an event about the object, and by a condition where its kind has them.
 */
#include "apiserver-internal.h"

#include <stdio.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/clock.h"
#include "../../lib/base/str.h"

#define ATTENDED "skep.io/Attended"

static const struct api_field *field_of(const struct api_type *type, const char *name)
{
	for (size_t i = 0; type && i < type->n_fields; i++)
		if (streq(type->fields[i].name, name))
			return &type->fields[i];
	return NULL;
}

static bool has_conditions(const struct api_kind *kind)
{
	const struct api_field *status = field_of(kind->type, "status");

	return status && status->object && field_of(status->object, "conditions");
}

static bool has_status(const struct api_kind *kind)
{
	for (const char *const *p = kind->subresources; p && *p; p++)
		if (streq(*p, "status"))
			return true;
	return false;
}

/* Nodes and namespaces bring theirs, a pod's is made in rest_pod.c. */
static bool keeps_status(const struct api_kind *kind)
{
	static const char *const kinds[] = { "Node", "Namespace", "Pod" };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!kind->group[0] && streq(kind->kind, kinds[i]))
			return true;
	return false;
}

/* --- jobs --------------------------------------------------------------------------------------------------------- */

/*
 * Kubernetes lets the server choose a job's selector: its UID, which no other pod has. A client that chooses says so
 * in manualSelector.
 */
static int job_prepare_create(struct call *c, json_t *obj)
{
	static const char *const by_uid[] = { "batch.kubernetes.io/controller-uid", "controller-uid" };
	static const char *const by_name[] = { "batch.kubernetes.io/job-name", "job-name" };
	json_t *spec = json_object_get(obj, "spec"), *template = json_object_get(spec, "template"), *labels, *match;
	const char *uid = api_get_str(obj, "metadata.uid"), *name = api_get_str(obj, "metadata.name");

	if (!json_is_object(template) || json_is_true(json_object_get(spec, "manualSelector")))
		return 0;
	if (json_object_size(json_object_get(spec, "selector"))) {
		call_invalid1(c, API_C_INVALID, "spec.selector",
			      "Invalid value: `selector` not auto-generated; leave it out or set `manualSelector`");
		return -1;
	}
	labels = api_get(template, "metadata.labels");
	if (!json_is_object(labels)) {
		if (api_set(template, "metadata.labels", json_object()) < 0)
			goto oom;
		labels = api_get(template, "metadata.labels");
	}
	for (size_t i = 0; i < 2; i++) {
		const char *set_uid = json_string_value(json_object_get(labels, by_uid[i]));
		const char *set_name = json_string_value(json_object_get(labels, by_name[i]));

		if (set_uid || (set_name && !streq(set_name, name))) {
			call_invalid1(c, API_C_INVALID, "spec.template.metadata.labels",
				      "Invalid value: label %s is set by the server", set_uid ? by_uid[i] : by_name[i]);
			return -1;
		}
		if (json_object_set_new(labels, by_uid[i], json_string(uid)) < 0 ||
		    json_object_set_new(labels, by_name[i], json_string(name)) < 0)
			goto oom;
	}
	match = json_pack("{s:{s:s}}", "matchLabels", by_uid[0], uid);
	if (match && json_object_set_new(spec, "selector", match) == 0)
		return 0;
oom:
	call_oom(c);
	return -1;
}

void kind_mark(const struct api_kind *kind, json_t *obj)
{
	char now[CLOCK_RFC3339_SIZE];

	if (!kind->unattended || !has_conditions(kind) || api_get(obj, "status.conditions"))
		return;
	obj_now(now);
	(void)api_set(obj, "status.conditions",
		      json_pack("[{s:s,s:s,s:s,s:s,s:s}]", "type", ATTENDED, "status", "False", "lastTransitionTime",
				now, "reason", "NoController", "message", kind->unattended));
}

int kind_prepare_create(struct call *c, json_t *obj)
{
	const struct api_kind *kind = c->res->kind;

	if (kind->custom) {
		/* Whoever serves the kind begins its status. */
		if (kind->custom->has_status)
			json_object_del(obj, "status");
		return 0;
	}
	if (has_status(kind) && !keeps_status(kind)) {
		if (json_object_set_new(obj, "status", json_object()) < 0) {
			call_oom(c);
			return -1;
		}
		kind_mark(kind, obj);
	}
	if (streq(kind->group, "batch") && streq(kind->kind, "Job"))
		return job_prepare_create(c, obj);
	return 0;
}

/* --- objects that nothing acts on --------------------------------------------------------------------------------- */

void kind_warn(struct call *c)
{
	const char *why = c->res->kind->unattended;
	char text[400];

	/* A change that is decided again has warned already. */
	if (!why || !c->req || c->tries || c->sub[0])
		return;
	snprintf(text, sizeof(text), "299 - \"%s is kept, but %s\"", c->res->kind->kind, why);
	http_add_header(c->req, "Warning", text);
}

static void event_done(struct call *c, int code, const char *body, size_t len)
{
	/* An event is a courtesy: without its namespace, or under an outage, there is none. */
	(void)c;
	(void)code;
	(void)body;
	(void)len;
}

static enum change write_body(struct call *c)
{
	if (c->old) {
		call_bytes(c, 409, "application/json", "", 0);
		return CHANGE_ANSWERED;
	}
	c->obj = json_deep_copy(c->body);
	if (c->obj)
		return CHANGE_WRITE;
	call_oom(c);
	return CHANGE_ANSWERED;
}

void kind_created(struct call *c)
{
	const struct api_kind *kind = c->res->kind;
	struct resource *events = kind->unattended ? cache_resource(c->s, "", "events") : NULL;
	const char *ns = kind->namespaced ? c->ns : "default";
	char now[CLOCK_RFC3339_SIZE], name[300], suffix[11];
	struct call *e;

	if (!events || !c->creating)
		return;
	e = call_new_inner(c->s, "create", events, ns, "", "");
	if (!e)
		return;
	obj_now(now);
	obj_random_suffix(suffix, 10);
	snprintf(name, sizeof(name), "%.200s.%s", c->name, suffix);
	e->finish = event_done;
	e->creating = true;
	e->change = write_body;
	e->body = json_pack("{s:s,s:s,s:{s:s,s:s},s:{s:s,s:s,s:s,s:s*,s:s},s:s,s:s,s:s,s:s,s:s,s:i,s:{s:s},s:s,s:s}",
			    "kind", "Event", "apiVersion", "v1", "metadata", "name", name, "namespace", ns,
			    "involvedObject", "kind", kind->kind, "apiVersion", c->res->api_version, "name", c->name,
			    "namespace", kind->namespaced ? ns : NULL, "uid", api_get_str(c->obj, "metadata.uid"),
			    "type", "Warning", "reason", "Unattended", "message", kind->unattended, "firstTimestamp",
			    now, "lastTimestamp", now, "count", 1, "source", "component", "skep-apiserver",
			    "reportingComponent", "skep-apiserver", "reportingInstance", "");
	if (e->body && object_prepare_create(e, e->body) == 0)
		registry_mutate(e);
	call_unref(e);
}
