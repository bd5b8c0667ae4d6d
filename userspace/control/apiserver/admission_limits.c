/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LimitRanger: a namespace's LimitRanges give containers the requests and limits they lack, and bound what containers,
 * pods and claims ask for. Pods are looked at when they are made or resized, claims whenever they change.
 */
#include "admission-internal.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/str.h"
#include "../../lib/api/usage.h"

#define ANNOTATION "kubernetes.io/limit-ranger"

static bool concerns(const struct admission *a)
{
	if (admission_is_pod(a))
		return a->op == ADMIT_CREATE;
	if (admission_is_resize(a))
		return true;
	return admission_is(a, "", "persistentvolumeclaims") && !api_get_str(a->old, "metadata.deletionTimestamp");
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* What `defaults` has and `list` of the container's resources lacks; names what was set, sorted. */
static int merge(json_t *container, const char *list, const json_t *defaults, const char *word, bool init,
		 struct strbuf *said)
{
	const char *set[64], *key;
	json_t *had, *v;
	size_t n = 0;

	json_object_foreach ((json_t *)defaults, key, v) {
		if (!api_get(container, "resources") && api_set(container, "resources", json_object()) < 0)
			return -1;
		had = json_object_get(json_object_get(container, "resources"), list);
		if (!had) {
			had = json_object();
			if (json_object_set_new(json_object_get(container, "resources"), list, had) < 0)
				return -1;
		}
		if (json_object_get(had, key) || n == 64)
			continue;
		if (json_object_set(had, key, v) < 0)
			return -1;
		set[n++] = key;
	}
	if (!n)
		return 0;
	qsort(set, n, sizeof(set[0]), by_name);
	strbuf_adds(said, said->len ? "; " : "LimitRanger plugin set: ");
	for (size_t i = 0; i < n; i++)
		strbuf_addf(said, "%s%s", i ? ", " : "", set[i]);
	strbuf_addf(said, " %s for %scontainer %s", word, init ? "init " : "", api_get_str(container, "name"));
	return 0;
}

/* Container defaults of one LimitRange to all containers of the pod. */
static int set_defaults(struct admission *a, const json_t *range)
{
	static const char *const lists[] = { "containers", "initContainers" };
	cleanup(strbuf_done) struct strbuf said = STRBUF_INIT;
	json_t *item, *container;
	size_t i, j;

	json_array_foreach (api_get(range, "spec.limits"), i, item) {
		if (!streq(api_get_str(item, "type"), "Container"))
			continue;
		for (size_t l = 0; l < 2; l++)
			json_array_foreach (api_get(json_object_get(a->obj, "spec"), lists[l]), j, container)
				if (merge(container, "requests", json_object_get(item, "defaultRequest"), "request", l,
					  &said) < 0 ||
				    merge(container, "limits", json_object_get(item, "default"), "limit", l, &said) < 0)
					return -1;
	}
	if (!said.len)
		return 0;
	a->changed = true;
	if (!api_get(a->obj, "metadata.annotations") && api_set(a->obj, "metadata.annotations", json_object()) < 0)
		return -1;
	return json_object_set_new(api_get(a->obj, "metadata.annotations"), ANNOTATION, json_string(said.buf));
}

static enum admit mutate(struct admission *a)
{
	struct resource *r = cache_resource(a->c->s, "", "limitranges");
	size_t from, to;

	if (!r || !concerns(a) || !admission_is_pod(a))
		return ADMIT_NEXT;
	admission_range(r, a->c->ns, &from, &to);
	for (size_t i = from; i < to; i++) {
		json_t *range = admission_parse(r->objs[i]);
		int bad = range ? set_defaults(a, range) : -1;

		json_decref(range);
		if (bad) {
			call_oom(a->c);
			return ADMIT_ANSWERED;
		}
	}
	return ADMIT_NEXT;
}

/* --- bounds ------------------------------------------------------------------------------------------------------- */

static void complain(struct strbuf *out, size_t *n, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void complain(struct strbuf *out, size_t *n, const char *fmt, ...)
{
	va_list ap;

	if ((*n)++)
		strbuf_adds(out, ", ");
	va_start(ap, fmt);
	strbuf_vaddf(out, fmt, ap);
	va_end(ap);
}

static const char *text(const json_t *list, const char *key)
{
	return json_string_value(json_object_get(list, key));
}

static void check_ratio(const char *type, const char *key, const char *most, const char *req, const char *lim,
			struct strbuf *out, size_t *n)
{
	int64_t r = 0, l = 0, m = 0;
	double ratio;

	if (!req || api_quantity_milli(req, &r) < 0 || !r) {
		complain(out, n,
			 "%s max limit to request ratio per %s is %s, but no request is specified or request is 0", key,
			 type, most);
		return;
	}
	if (!lim || api_quantity_milli(lim, &l) < 0 || !l) {
		complain(out, n, "%s max limit to request ratio per %s is %s, but no limit is specified or limit is 0",
			 key, type, most);
		return;
	}
	ratio = (double)l / (double)r;
	if (api_quantity_milli(most, &m) == 0 && ratio * 1000 > (double)m)
		complain(out, n, "%s max limit to request ratio per %s is %s, but provided ratio is %f", key, type,
			 most, ratio);
}

/* One entry of a LimitRange against one thing's requests and limits. */
static void check(const json_t *item, const char *type, const json_t *requests, const json_t *limits,
		  bool requests_only, struct strbuf *out, size_t *n)
{
	json_t *v;
	const char *key;

	json_object_foreach (json_object_get(item, "min"), key, v) {
		const char *min = json_string_value(v), *req = text(requests, key), *lim = text(limits, key);

		if (!req)
			complain(out, n, "minimum %s usage per %s is %s.  No request is specified", key, type, min);
		else if (api_quantity_compare(req, min) < 0)
			complain(out, n, "minimum %s usage per %s is %s, but request is %s", key, type, min, req);
		else if (lim && api_quantity_compare(lim, min) < 0)
			complain(out, n, "minimum %s usage per %s is %s, but limit is %s", key, type, min, lim);
	}
	json_object_foreach (json_object_get(item, "max"), key, v) {
		const char *max = json_string_value(v), *req = text(requests, key), *lim = text(limits, key);

		if (requests_only && !req)
			complain(out, n, "maximum %s usage per %s is %s.  No request is specified", key, type, max);
		else if (!requests_only && !lim)
			complain(out, n, "maximum %s usage per %s is %s.  No limit is specified", key, type, max);
		else if (lim && api_quantity_compare(lim, max) > 0)
			complain(out, n, "maximum %s usage per %s is %s, but limit is %s", key, type, max, lim);
		else if (req && api_quantity_compare(req, max) > 0)
			complain(out, n, "maximum %s usage per %s is %s, but request is %s", key, type, max, req);
	}
	if (requests_only)
		return;
	json_object_foreach (json_object_get(item, "maxLimitRequestRatio"), key, v)
		check_ratio(type, key, json_string_value(v), text(requests, key), text(limits, key), out, n);
}

static void check_pod(const json_t *pod, const json_t *item, const char *type, struct strbuf *out, size_t *n)
{
	static const char *const lists[] = { "containers", "initContainers" };
	json_t *container;
	size_t i;

	if (streq(type, "Container")) {
		for (size_t l = 0; l < 2; l++)
			json_array_foreach (api_get(json_object_get(pod, "spec"), lists[l]), i, container)
				check(item, type, api_get(container, "resources.requests"),
				      api_get(container, "resources.limits"), false, out, n);
	} else if (streq(type, "Pod")) {
		json_t *requests = api_pod_resources(pod, "requests"), *limits = api_pod_resources(pod, "limits");

		check(item, type, requests, limits, false, out, n);
		json_decref(requests);
		json_decref(limits);
	}
}

static enum admit validate(struct admission *a)
{
	struct resource *r = cache_resource(a->c->s, "", "limitranges");
	bool pod = admission_is_pod(a) || admission_is_resize(a);
	size_t from, to;

	if (!r || !concerns(a))
		return ADMIT_NEXT;
	admission_range(r, a->c->ns, &from, &to);
	for (size_t i = from; i < to; i++) {
		cleanup(strbuf_done) struct strbuf out = STRBUF_INIT;
		json_t *range = admission_parse(r->objs[i]), *item;
		size_t n = 0, j;

		json_array_foreach (api_get(range, "spec.limits"), j, item) {
			const char *type = api_get_str(item, "type");

			if (pod)
				check_pod(a->obj, item, type, &out, &n);
			else if (streq(type, "PersistentVolumeClaim"))
				check(item, type, api_get(a->obj, "spec.resources.requests"), NULL, true, &out, &n);
		}
		json_decref(range);
		if (n)
			return admission_forbid(a, "%s%s%s", n > 1 ? "[" : "", out.buf, n > 1 ? "]" : "");
	}
	return ADMIT_NEXT;
}

const struct admission_plugin admission_limit_ranger = {
	.name = "LimitRanger",
	.ops = ADMIT_CREATE | ADMIT_UPDATE,
	.mutate = mutate,
	.validate = validate,
};
