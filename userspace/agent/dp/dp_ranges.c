/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may use a service from outside. Written and removed by generation, as its backends are (dp_service.c). The map
 * has no order by service, so that removing looks at all of it: only services that had ranges pay for that.
 */
#include "dp-internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "abi/svc.h"

/* FNV-1a of each, summed up so that their order does not matter. */
uint32_t dp_ranges_id(const struct dp_range *ranges, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < n; i++) {
		const unsigned char *at = (const unsigned char *)ranges[i].ip.w;
		uint32_t h = (2166136261u ^ ranges[i].len) * 16777619u;

		for (size_t k = 0; k < sizeof(ranges[i].ip.w); k++)
			h = (h ^ at[k]) * 16777619u;
		sum += h;
	}
	return n && !sum ? 1 : sum;
}

int dp_ranges_write(struct dp *dp, const struct svc_value *svc, const struct dp_range *ranges, size_t n,
		    struct err *err)
{
	const uint8_t yes = 1;

	for (size_t i = 0; i < n; i++) {
		struct source_range_key k;
		int r;

		memset(&k, 0, sizeof(k));
		k.prefixlen = 64 + ranges[i].len;
		k.svc_id = svc->svc_id;
		k.generation = svc->generation;
		k.ip = ranges[i].ip;
		r = bpf_map_update_elem(dp->map_fd[MAP_SOURCE_RANGES], &k, &yes, BPF_ANY);
		if (r < 0) {
			dp_ranges_remove(dp, svc);
			return err_set(err, -r, "map 'source_ranges': %s", r == -ENOSPC ? "it is full" : strerror(-r));
		}
	}
	return 0;
}

struct sweep {
	bool (*is_void)(const struct source_range_key *k, const void *arg);
	const void *arg;
	struct source_range_key *found;
	size_t n, cap;
};

static int find(void *arg, const void *key, const void *value)
{
	struct sweep *s = arg;
	void *p;

	(void)value;
	if (!s->is_void(key, s->arg))
		return 0;
	if (s->n == s->cap) {
		p = realloc(s->found, (s->cap + 64) * sizeof(*s->found));
		if (!p)
			return -ENOMEM;
		s->found = p;
		s->cap += 64;
	}
	memcpy(&s->found[s->n++], key, sizeof(*s->found));
	return 0;
}

/* Best effort: what stays is of a generation that no service names, and goes when the data plane is opened. */
static void sweep(struct dp *dp, struct sweep *s)
{
	int fd = dp->map_fd[MAP_SOURCE_RANGES];

	(void)dp_map_each(fd, sizeof(struct source_range_key), sizeof(uint8_t), find, s);
	for (size_t i = 0; i < s->n; i++)
		(void)bpf_map_delete_elem(fd, &s->found[i]);
	free(s->found);
}

static bool is_of(const struct source_range_key *k, const void *arg)
{
	const struct svc_value *svc = arg;

	return k->svc_id == svc->svc_id && k->generation == svc->generation;
}

void dp_ranges_remove(struct dp *dp, const struct svc_value *svc)
{
	struct sweep s = { .is_void = is_of, .arg = svc };

	if (svc->ranges)
		sweep(dp, &s);
}

struct known {
	const struct svc_value *values;
	size_t n;
};

static bool is_unknown(const struct source_range_key *k, const void *arg)
{
	const struct known *known = arg;

	for (size_t i = 0; i < known->n; i++)
		if (known->values[i].ranges && is_of(k, &known->values[i]))
			return false;
	return true;
}

void dp_ranges_recover(struct dp *dp, const struct svc_value *values, size_t n)
{
	struct known known = { values, n };
	struct sweep s = { .is_void = is_unknown, .arg = &known };

	sweep(dp, &s);
}
