/* SPDX-License-Identifier: Apache-2.0 */
/* Services into the data plane: what is compiled against what the maps hold, front end by front end. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/base/cleanup.h"
#include "network-internal.h"

static int compare_dp(const struct dp_service *a, const struct service_front *b)
{
	struct service_front f = { .vip = a->vip, .port = a->port, .proto = a->proto };

	return service_front_compare(&f, b);
}

static int sort_dp(const void *va, const void *vb)
{
	const struct dp_service *b = vb;
	struct service_front f = { .vip = b->vip, .port = b->port, .proto = b->proto };

	return compare_dp(va, &f);
}

/* As sets: the order in the map is nobody's business. */
static bool same_backends(const struct dp_service *have, const struct service_front *want)
{
	if (have->n_backends != want->n_backends)
		return false;
	for (size_t i = 0; i < want->n_backends; i++) {
		bool found = false;

		for (size_t k = 0; k < have->n_backends && !found; k++)
			found = ip_equal(&have->backends[k].ip, &want->backends[i].ip) &&
				have->backends[k].port == want->backends[i].port;
		if (!found)
			return false;
	}
	return true;
}

static int set_front(struct network *n, const struct service_front *f, struct err *err)
{
	cleanup(free) struct dp_backend *backends = calloc(f->n_backends + 1, sizeof(*backends));
	struct dp_service s = {
		.vip = f->vip, .port = f->port, .proto = f->proto, .backends = backends, .n_backends = f->n_backends
	};

	if (!backends)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < f->n_backends; i++)
		backends[i] = (struct dp_backend){ f->backends[i].ip, f->backends[i].port };
	return dp_service_set(n->dp, &s, err);
}

static int apply(struct network *n, const struct service_table *want, struct err *err)
{
	cleanup(free) struct dp_service *have = NULL;
	size_t n_have, h = 0, w = 0;
	int r, first = 0;

	r = dp_service_list(n->dp, &have, &n_have, err);
	if (r < 0)
		return r;
	if (n_have)
		qsort(have, n_have, sizeof(*have), sort_dp);
	while (h < n_have || w < want->n) {
		int c = h == n_have ? 1 : w == want->n ? -1 : compare_dp(&have[h], &want->fronts[w]);

		r = 0;
		if (c < 0)
			r = dp_service_del(n->dp, &have[h++], first ? NULL : err);
		else if (c > 0)
			r = set_front(n, &want->fronts[w++], first ? NULL : err);
		else if (!same_backends(&have[h++], &want->fronts[w++]))
			r = set_front(n, &want->fronts[w - 1], first ? NULL : err);
		if (r < 0 && !first)
			first = r;
	}
	return first;
}

static size_t gather(const struct informer *inf, const void **out)
{
	size_t n = 0;

	for (struct informer_iter it = { 0 }; informer_next(inf, &it);)
		out[n++] = it.item->obj;
	return n;
}

int network_sync_services(struct network *n, struct err *err)
{
	cleanup(free) const void **services = calloc(informer_len(n->services) + 1, sizeof(*services));
	cleanup(free) const void **slices = calloc(informer_len(n->slices) + 1, sizeof(*slices));
	struct service_table table;
	size_t n_services, n_slices;
	int r;

	if (!services || !slices)
		return err_set(err, ENOMEM, "out of memory");
	n_services = gather(n->services, services);
	n_slices = gather(n->slices, slices);
	r = service_compile((const struct api_service *const *)services, n_services,
			    (const struct api_endpoint_slice *const *)slices, n_slices, &table, err);
	if (r < 0)
		return r;
	r = apply(n, &table, err);
	service_table_done(&table);
	return r;
}
