/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of a pod's spec that only a subresource changes: ephemeral containers; the containers' resources, whose rules
 * are in lib/api/validate_resize.c. */
#include "apiserver-internal.h"

#include "../../lib/base/str.h"

#define EPHEMERAL "ephemeralContainers"

bool pod_sub_of(const struct call *c)
{
	return streq(c->sub, "ephemeralcontainers") || streq(c->sub, "resize");
}

static json_t *named(const json_t *list, const char *name)
{
	json_t *v;
	size_t i;

	json_array_foreach (list, i, v)
		if (name && streq(api_get_str(v, "name"), name))
			return v;
	return NULL;
}

static int take(json_t *to, const json_t *from, const char *member)
{
	json_t *v = json_object_get(from, member);

	if (v)
		return json_object_set(to, member, v);
	json_object_del(to, member);
	return 0;
}

/* Containers are found by name: one that is missing, new or elsewhere in the list changes nothing. */
static int take_resources(json_t *spec, const json_t *asked, const char *list)
{
	json_t *v;
	size_t i;
	int r = 0;

	json_array_foreach (json_object_get(spec, list), i, v) {
		const json_t *from = named(json_object_get(asked, list), api_get_str(v, "name"));

		if (from)
			r |= take(v, from, "resources") | take(v, from, "resizePolicy");
	}
	return r;
}

int pod_write_sub(const struct call *c, json_t *obj, const json_t *old)
{
	json_t *asked = json_incref(json_object_get(obj, "spec")), *copy = json_deep_copy(old), *spec;
	int r = -1;

	if (!copy)
		goto out;
	json_object_clear(obj);
	if (json_object_update(obj, copy) < 0)
		goto out;
	spec = json_object_get(obj, "spec");
	if (streq(c->sub, "resize"))
		r = take_resources(spec, asked, "containers") | take_resources(spec, asked, "initContainers");
	else
		r = take(spec, asked, EPHEMERAL);
out:
	json_decref(asked);
	json_decref(copy);
	return r;
}

int pod_check_update(struct call *c, const json_t *obj, const json_t *old)
{
	const json_t *now, *was;

	if (c->res->kind->group[0] || !streq(c->res->kind->plural, "pods"))
		return 0;
	now = api_get(obj, "spec." EPHEMERAL);
	was = api_get(old, "spec." EPHEMERAL);
	if ((!json_array_size(now) && !json_array_size(was)) || json_equal(now, was))
		return 0;
	call_invalid1(c, API_C_FORBIDDEN, "spec." EPHEMERAL,
		      "Forbidden: they are added by the pod's subresource ephemeralcontainers (kubectl debug)");
	return -1;
}
