/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kinds served in two forms: how one is made from the other. What the view cannot say is kept from what is stored when
 * a view is written, so that an old client does not undo what a new one said.
 */
#include <string.h>

#include "../base/str.h"
#include "api-internal.h"

/* Renames members; both ways by the same table. */
struct rename {
	const char *view, *stored;
};

static json_t *renamed(const json_t *obj, const struct rename *names, bool to_view)
{
	json_t *out = json_object(), *v;
	const char *key;

	json_object_foreach ((json_t *)obj, key, v) {
		const char *name = key;

		for (const struct rename *n = names; n->view; n++)
			if (streq(key, to_view ? n->stored : n->view))
				name = to_view ? n->view : n->stored;
		if (!out || json_object_set(out, name, v) < 0) {
			json_decref(out);
			return NULL;
		}
	}
	return out;
}

static void move(json_t *to, json_t *from, const char *name)
{
	json_t *v = json_object_get(from, name);

	if (v)
		json_object_set(to, name, v);
	else
		json_object_del(to, name);
}

/* --- events.k8s.io/v1 --------------------------------------------------------------------------------------------- */

static const struct rename event_names[] = {
	{ "regarding", "involvedObject" },
	{ "note", "message" },
	{ "reportingController", "reportingComponent" },
	{ "deprecatedSource", "source" },
	{ "deprecatedFirstTimestamp", "firstTimestamp" },
	{ "deprecatedLastTimestamp", "lastTimestamp" },
	{ "deprecatedCount", "count" },
	{ NULL, NULL },
};

static json_t *event_view(const json_t *stored)
{
	return renamed(stored, event_names, true);
}

static json_t *event_stored(const json_t *view, const json_t *before)
{
	(void)before;
	return renamed(view, event_names, false);
}

/* --- autoscaling/v1 HorizontalPodAutoscaler ----------------------------------------------------------------------- */

/* The one metric that version 1 has: the pods' cpu as part of what they request. */
static bool is_cpu(const json_t *metric, const char *what)
{
	return streq(api_get_str(metric, "type"), "Resource") && streq(api_get_str(metric, "resource.name"), "cpu") &&
	       api_get(metric, what);
}

static json_t *find_cpu(const json_t *metrics, const char *what, size_t *ret_at)
{
	json_t *m;
	size_t i;

	json_array_foreach (metrics, i, m) {
		if (is_cpu(m, what)) {
			*ret_at = i;
			return m;
		}
	}
	return NULL;
}

#define TARGET	"resource.target.averageUtilization"
#define CURRENT "resource.current.averageUtilization"

static json_t *hpa_view(const json_t *stored)
{
	json_t *out = json_deep_copy(stored), *spec = json_object_get(out, "spec"),
	       *status = json_object_get(out, "status");
	json_t *m;
	size_t i;

	m = find_cpu(json_object_get(spec, "metrics"), TARGET, &i);
	if (m)
		json_object_set(spec, "targetCPUUtilizationPercentage", api_get(m, TARGET));
	json_object_del(spec, "metrics");
	json_object_del(spec, "behavior");
	m = find_cpu(json_object_get(status, "currentMetrics"), CURRENT, &i);
	if (m)
		json_object_set(status, "currentCPUUtilizationPercentage", api_get(m, CURRENT));
	json_object_del(status, "currentMetrics");
	json_object_del(status, "conditions");
	return out;
}

/* The list with its cpu metric as the view says: changed, added or taken out. */
static void put_cpu(json_t *owner, const char *list, const char *what, json_t *metric, const json_t *value)
{
	json_t *metrics = json_object_get(owner, list);
	size_t at = 0;
	json_t *m = find_cpu(metrics, what, &at);

	if (!value) {
		if (m)
			json_array_remove(metrics, at);
		json_decref(metric);
		return;
	}
	if (m) {
		(void)api_set(m, what, json_incref((json_t *)value));
		json_decref(metric);
		return;
	}
	if (!metrics) {
		json_object_set_new(owner, list, json_array());
		metrics = json_object_get(owner, list);
	}
	(void)api_set(metric, what, json_incref((json_t *)value));
	json_array_append_new(metrics, metric);
}

static json_t *hpa_stored(const json_t *view, const json_t *before)
{
	json_t *out = json_deep_copy(view), *spec = json_object_get(out, "spec"),
	       *status = json_object_get(out, "status");
	json_t *was = json_deep_copy(before);

	move(spec, json_object_get(was, "spec"), "metrics");
	move(spec, json_object_get(was, "spec"), "behavior");
	put_cpu(spec, "metrics", TARGET,
		json_pack("{s:s,s:{s:s,s:{s:s}}}", "type", "Resource", "resource", "name", "cpu", "target", "type",
			  "Utilization"),
		json_object_get(spec, "targetCPUUtilizationPercentage"));
	json_object_del(spec, "targetCPUUtilizationPercentage");
	if (status) {
		move(status, json_object_get(was, "status"), "currentMetrics");
		move(status, json_object_get(was, "status"), "conditions");
		put_cpu(status, "currentMetrics", CURRENT,
			json_pack("{s:s,s:{s:s,s:{}}}", "type", "Resource", "resource", "name", "cpu", "current"),
			json_object_get(status, "currentCPUUtilizationPercentage"));
		json_object_del(status, "currentCPUUtilizationPercentage");
	}
	json_decref(was);
	return out;
}

/* --- all of them -------------------------------------------------------------------------------------------------- */

static const struct {
	const char *group, *version, *kind;
	json_t *(*view)(const json_t *stored);
	json_t *(*stored)(const json_t *view, const json_t *before);
} views[] = {
	{ "events.k8s.io", "v1", "Event", event_view, event_stored },
	{ "autoscaling", "v1", "HorizontalPodAutoscaler", hpa_view, hpa_stored },
};

static void set_version(json_t *obj, const struct api_kind *kind)
{
	char version[96];

	api_kind_api_version(kind, version, sizeof(version));
	json_object_set_new(obj, "apiVersion", json_string(version));
	json_object_set_new(obj, "kind", json_string(kind->kind));
}

json_t *api_view_of(const struct api_kind *view, const json_t *stored)
{
	for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++) {
		if (streq(views[i].group, view->group) && streq(views[i].version, view->version) &&
		    streq(views[i].kind, view->kind)) {
			json_t *out = views[i].view(stored);

			if (out)
				set_version(out, view);
			return out;
		}
	}
	return NULL;
}

json_t *api_view_stored(const struct api_kind *view, const json_t *obj, const json_t *before)
{
	for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++) {
		if (streq(views[i].group, view->group) && streq(views[i].version, view->version) &&
		    streq(views[i].kind, view->kind)) {
			json_t *out = views[i].stored(obj, before);

			if (out) {
				set_version(out, view->stored_as);
				api_default(view->stored_as, out);
			}
			return out;
		}
	}
	return NULL;
}
