/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Picks an endpoint of a service from its slices in the cache. Its cluster address would not do: only nodes can reach
 * that.
 */
#include "endpoint_pick.h"

#include <stdio.h>
#include <string.h>

#include "../../lib/base/str.h"
#include "admission-internal.h"
#include "apiserver-internal.h"

/* A ready endpoint in this slice, the turn-th of those seen so far. */
static void pick(const json_t *slice, const char *port_name, const char *scheme, unsigned turn, unsigned *seen,
		 char *base, size_t size)
{
	json_t *v, *ports = json_object_get(slice, "ports");
	int64_t port = 0;
	size_t i;

	json_array_foreach (ports, i, v)
		if (streq(api_get_str(v, "name") ?: "", port_name))
			port = api_get_int(v, "port", 0);
	if (!port)
		return;
	json_array_foreach (json_object_get(slice, "endpoints"), i, v) {
		const char *ip = json_string_value(json_array_get(json_object_get(v, "addresses"), 0));

		if (!ip || json_is_false(api_get(v, "conditions.ready")))
			continue;
		/* roughly in turns, without counting them first */
		if (turn % ++*seen == 0)
			snprintf(base, size, strchr(ip, ':') ? "%s://[%s]:%lld" : "%s://%s:%lld", scheme, ip,
				 (long long)port);
	}
}

bool endpoint_pick(struct apiserver *s, const char *ns, const char *service, const char *port_name, const char *scheme,
		   unsigned turn, char *base, size_t size)
{
	struct resource *slices = cache_resource(s, "discovery.k8s.io", "endpointslices");
	size_t from, to;
	unsigned seen = 0;

	if (!slices)
		return false;
	admission_range(slices, ns, &from, &to);
	for (size_t i = from; i < to; i++) {
		const json_t *labels = api_get(slices->objs[i]->index, "metadata.labels");
		json_t *slice;

		if (!streq(json_string_value(json_object_get(labels, "kubernetes.io/service-name")), service))
			continue;
		slice = admission_parse(slices->objs[i]);
		pick(slice, port_name, scheme, turn, &seen, base, size);
		json_decref(slice);
	}
	return seen > 0;
}
