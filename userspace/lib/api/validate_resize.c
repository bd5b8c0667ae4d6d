/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules of changing the resources of a pod's containers in place (pods/resize), called by validate.c, and of their
 * resizePolicy, called by validate_pod.c.
 */
#include "api-internal.h"
#include "validate_container.h"

#include <string.h>

#include "../base/str.h"
#include "usage.h"

void api_validate_resize_policy(const json_t *list, bool restart_never, const struct api_path *path,
				struct api_errs *errs)
{
	static const char *const resources[] = { "cpu", "memory", NULL };
	static const char *const policies[] = { "NotRequired", "RestartContainer", NULL };
	struct api_path at = { .up = path };
	const json_t *v;

	json_array_foreach (list, at.index, v) {
		struct api_path resource = { .up = &at, .name = "resourceName" };
		struct api_path policy = { .up = &at, .name = "restartPolicy" };
		const char *r = api_get_str(v, "resourceName"), *p = api_get_str(v, "restartPolicy");

		if (r && *r && !streq(r, "cpu") && !streq(r, "memory"))
			api_err_unsupported(errs, &resource, json_object_get(v, "resourceName"), resources);
		for (size_t i = 0; r && i < at.index; i++)
			if (streq(api_get_str(json_array_get(list, i), "resourceName"), r)) {
				api_err_duplicate(errs, &at, json_object_get(v, "resourceName"));
				break;
			}
		if (!p || !*p)
			continue;
		if (!streq(p, "NotRequired") && !streq(p, "RestartContainer"))
			api_err_unsupported(errs, &policy, json_object_get(v, "restartPolicy"), policies);
		else if (restart_never && streq(p, "RestartContainer"))
			api_err_invalid_str(errs, &policy, p, "must be 'NotRequired' when `restartPolicy` is 'Never'");
	}
}

static bool restarts_for(const json_t *container, const char *resource)
{
	const json_t *v;
	size_t i;

	json_array_foreach (json_object_get(container, "resizePolicy"), i, v)
		if (streq(api_get_str(v, "resourceName"), resource))
			return streq(api_get_str(v, "restartPolicy"), "RestartContainer");
	return false;
}

static bool lacks_any(const json_t *now, const json_t *before)
{
	const char *key;
	json_t *v;

	json_object_foreach ((json_t *)before, key, v)
		if (!json_object_get(now, key))
			return true;
	return false;
}

static void check_container(const json_t *now, const json_t *before, const struct api_path *path, struct api_errs *errs)
{
	static const char *const lists[] = { "requests", "limits" };
	struct api_path at = { .up = path, .name = "resources" };
	const char *less, *was;

	for (size_t i = 0; i < 2; i++) {
		struct api_path list = { .up = &at, .name = lists[i] };

		if (lacks_any(json_object_get(json_object_get(now, "resources"), lists[i]),
			      json_object_get(json_object_get(before, "resources"), lists[i])))
			api_err_forbidden(errs, &list,
					  i ? "resource limits cannot be removed"
					    : "resource requests cannot be removed");
	}
	less = api_get_str(now, "resources.limits.memory");
	was = api_get_str(before, "resources.limits.memory");
	if (less && was && api_quantity_compare(less, was) < 0 && !restarts_for(before, "memory")) {
		struct api_path list = { .up = &at, .name = "limits" };

		api_err_forbidden(errs, &list,
				  "memory limits cannot be decreased unless resizePolicy is RestartContainer");
	}
}

/* cpu and memory of every container as they are in from. */
static void copy_amounts(json_t *to, const json_t *from)
{
	static const char *const lists[] = { "requests", "limits" }, *const names[] = { "cpu", "memory" };

	for (size_t i = 0; i < 2; i++) {
		json_t *a = json_object_get(to, lists[i]), *b = json_object_get(from, lists[i]);

		for (size_t k = 0; k < 2; k++) {
			json_t *v = json_object_get(b, names[k]);

			if (v && !a) {
				a = json_object();
				json_object_set_new(to, lists[i], a);
			}
			if (v)
				json_object_set(a, names[k], v);
			else
				json_object_del(a, names[k]);
		}
		if (a && !json_object_size(a) && !b)
			json_object_del(to, lists[i]);
	}
}

void api_validate_pod_resize(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	struct api_path spec = { .name = "spec" };
	struct api_path list = { .up = &spec, .name = "containers" }, at = { .up = &list };
	const json_t *v, *before = json_object_get(old, "spec");
	json_t *same, *c;
	size_t i;

	api_validate_pod_spec(json_object_get(obj, "spec"), &spec, errs);
	if (!streq(api_pod_qos(obj), api_pod_qos(old)))
		api_err_invalid_str(errs, &spec, api_pod_qos(old),
				    "Pod QOS Class may not change as a result of resizing");
	json_array_foreach (api_get(obj, "spec.containers"), at.index, v)
		check_container(v, json_array_get(api_get(old, "spec.containers"), at.index), &at, errs);
	same = json_deep_copy(json_object_get(obj, "spec"));
	json_array_foreach (json_object_get(same, "containers"), i, c)
		copy_amounts(json_object_get(c, "resources"),
			     json_object_get(json_array_get(json_object_get(before, "containers"), i), "resources"));
	if (!same || !json_equal(same, (json_t *)before))
		api_err_forbidden(errs, &spec, "only cpu and memory resources are mutable");
	json_decref(same);
}
