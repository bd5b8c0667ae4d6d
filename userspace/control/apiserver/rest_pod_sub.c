/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of a pod's spec that only a subresource changes. */
#include "apiserver-internal.h"

#include "../../lib/base/str.h"

#define EPHEMERAL "ephemeralContainers"

int pod_write_ephemeral(json_t *obj, const json_t *old)
{
	json_t *list = json_incref(api_get(obj, "spec." EPHEMERAL)), *copy = json_deep_copy(old), *spec;
	int r = -1;

	if (!copy)
		goto out;
	json_object_clear(obj);
	if (json_object_update(obj, copy) < 0)
		goto out;
	spec = json_object_get(obj, "spec");
	r = list ? json_object_set(spec, EPHEMERAL, list) : (json_object_del(spec, EPHEMERAL), 0);
out:
	json_decref(list);
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
