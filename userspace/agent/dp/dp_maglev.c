/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables of consistent hashing for services with direct server return. As the backends, a table is written under the
 * generation that is to come, and removed with the one that was.
 */
#include "dp-internal.h"

#include <errno.h>
#include <string.h>

#include "abi/svc.h"
#include "compile/maglev.h"

static struct maglev_key key_of(const struct svc_value *svc)
{
	return (struct maglev_key){ svc->svc_id, svc->generation };
}

uint32_t dp_maglev_slots(const struct dp_service *svc)
{
	return svc->direct ? maglev_slots(svc->n_backends) : 0;
}

/* One slot needs no table. */
static bool has_table(const struct svc_value *svc)
{
	return svc->slots > 1;
}

/* *table and *keys: the caller's, also on failure. */
static int make_table(const struct dp_service *svc, uint32_t slots, uint32_t **table, uint32_t **keys)
{
	cleanup(free) uint64_t *ids = calloc(svc->n_backends + 1, sizeof(*ids));

	*table = calloc(slots, sizeof(**table));
	*keys = calloc(slots, sizeof(**keys));
	if (!ids || !*table || !*keys)
		return -ENOMEM;
	for (size_t i = 0; i < svc->n_backends; i++) {
		uint8_t bytes[sizeof(svc->backends[i].ip) + 2];

		memcpy(bytes, &svc->backends[i].ip, sizeof(svc->backends[i].ip));
		bytes[sizeof(bytes) - 2] = (uint8_t)(svc->backends[i].port >> 8);
		bytes[sizeof(bytes) - 1] = (uint8_t)svc->backends[i].port;
		ids[i] = maglev_id(bytes, sizeof(bytes));
	}
	for (uint32_t s = 0; s < slots; s++)
		(*keys)[s] = s;
	return maglev_fill(ids, svc->n_backends, *table, slots);
}

int dp_maglev_write(struct dp *dp, const struct svc_value *value, const struct dp_service *svc, struct err *err)
{
	LIBBPF_OPTS(bpf_map_create_opts, create, .map_flags = BPF_F_INNER_MAP);
	LIBBPF_OPTS(bpf_map_batch_opts, batch);
	cleanup(free) uint32_t *table = NULL, *keys = NULL;
	struct maglev_key key = key_of(value);
	cleanup(close_fd) int fd = -1;
	uint32_t n = value->slots;
	int r;

	if (!has_table(value))
		return 0;
	if (make_table(svc, n, &table, &keys) < 0)
		return err_set(err, ENOMEM, "out of memory");
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "maglev_slots", sizeof(uint32_t), sizeof(uint32_t), n, &create);
	if (fd < 0)
		return err_set(err, -fd, "make a table of %u slots: %s", n, strerror(-fd));
	r = bpf_map_update_batch(fd, keys, table, &n, &batch);
	if (r < 0)
		return err_set(err, -r, "fill a table of %u slots: %s", value->slots, strerror(-r));
	r = bpf_map_update_elem(dp->map_fd[MAP_MAGLEV], &key, &fd, BPF_ANY);
	return r < 0 ? err_set(err, -r, "map 'maglev': %s", r == -E2BIG ? "it is full" : strerror(-r)) : 0;
}

void dp_maglev_remove(struct dp *dp, const struct svc_value *value)
{
	struct maglev_key key = key_of(value);

	if (has_table(value))
		(void)bpf_map_delete_elem(dp->map_fd[MAP_MAGLEV], &key);
}

bool dp_maglev_there(struct dp *dp, const struct svc_value *value)
{
	struct maglev_key key = key_of(value);
	uint32_t id;

	return !has_table(value) || bpf_map_lookup_elem(dp->map_fd[MAP_MAGLEV], &key, &id) == 0;
}

struct sweep {
	const struct svc_value *values; /* by svc_id */
	size_t n;
	struct maglev_key *orphans;
	size_t n_orphans;
};

static int compare(const void *a, const void *b)
{
	const struct maglev_key *key = a;
	const struct svc_value *value = b;

	return (key->svc_id > value->svc_id) - (key->svc_id < value->svc_id);
}

static int find(void *arg, const void *key, const void *id)
{
	const struct maglev_key *k = key;
	struct sweep *s = arg;
	const struct svc_value *v = s->n ? bsearch(k, s->values, s->n, sizeof(*v), compare) : NULL;
	void *p;

	(void)id;
	if (v && v->generation == k->generation && has_table(v))
		return 0;
	p = reallocarray(s->orphans, s->n_orphans + 1, sizeof(*s->orphans));
	if (!p)
		return -ENOMEM;
	s->orphans = p;
	s->orphans[s->n_orphans++] = *k;
	return 0;
}

void dp_maglev_recover(struct dp *dp, const struct svc_value *values, size_t n)
{
	struct sweep s = { .values = values, .n = n };

	(void)dp_map_each(dp->map_fd[MAP_MAGLEV], sizeof(struct maglev_key), sizeof(uint32_t), find, &s);
	for (size_t i = 0; i < s.n_orphans; i++)
		(void)bpf_map_delete_elem(dp->map_fd[MAP_MAGLEV], &s.orphans[i]);
	free(s.orphans);
}
