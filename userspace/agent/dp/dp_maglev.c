/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables of consistent hashing for services with direct server return. As the backends, a table is written under the
 * generation that is to come, and removed with the one that was. It is made from the one that was (compile/slots.h), as
 * the kernel has it, so that an agent that starts anew goes on where the last one ended.
 */
#include "dp-internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <time.h>

#include "compile/maglev.h"
#include "compile/slots.h"

static struct maglev_key key_of(const struct svc_value *svc)
{
	return (struct maglev_key){ svc->svc_id, svc->generation };
}

uint32_t dp_maglev_slots(const struct dp_service *svc)
{
	return svc->direct ? maglev_slots(svc->n_backends) : 0;
}

void dp_table_free(struct dp_table *t)
{
	free(t->extras);
	free(t->over);
	memset(t, 0, sizeof(*t));
}

/*
 * A backend with weight is there several times, side by side: the first of them stands for all, lest flows seem to go
 * from one backend to another.
 */
static uint32_t first_of(const struct dp_service *svc, uint32_t index)
{
	const struct dp_backend *b = svc->backends;

	while (index && b[index - 1].port == b[index].port && ip_same(&b[index - 1].ip, &b[index].ip))
		index--;
	return index;
}

/* *owners: the caller's, also on failure. */
static int fill(const struct dp_service *svc, uint32_t slots, uint32_t **owners)
{
	cleanup(free) uint64_t *ids = calloc(svc->n_backends + 1, sizeof(*ids));
	cleanup(free) uint32_t *firsts = calloc(svc->n_backends + 1, sizeof(*firsts));
	int r;

	*owners = calloc(slots, sizeof(**owners));
	if (!ids || !firsts || !*owners)
		return -ENOMEM;
	for (size_t i = 0; i < svc->n_backends; i++) {
		uint8_t bytes[sizeof(svc->backends[i].ip) + 2];

		memcpy(bytes, &svc->backends[i].ip, sizeof(svc->backends[i].ip));
		bytes[sizeof(bytes) - 2] = (uint8_t)(svc->backends[i].port >> 8);
		bytes[sizeof(bytes) - 1] = (uint8_t)svc->backends[i].port;
		ids[i] = maglev_id(bytes, sizeof(bytes));
		firsts[i] = first_of(svc, (uint32_t)i);
	}
	r = maglev_fill(ids, svc->n_backends, *owners, slots);
	for (uint32_t s = 0; r == 0 && s < slots; s++)
		if ((*owners)[s] < svc->n_backends)
			(*owners)[s] = firsts[(*owners)[s]];
	return r;
}

/* What the kernel has. -ENOENT: no table. */
static int read_stored(struct dp *dp, const struct svc_value *value, struct slots *ret)
{
	LIBBPF_OPTS(bpf_map_batch_opts, batch);
	cleanup(free) struct svc_slot *stored = NULL;
	cleanup(free) uint32_t *keys = NULL;
	struct maglev_key key = key_of(value);
	cleanup(close_fd) int fd = -1;
	struct bpf_map_info info;
	uint32_t id, next, n, len = sizeof(info);
	int r;

	r = bpf_map_lookup_elem(dp->map_fd[MAP_MAGLEV], &key, &id);
	if (r < 0)
		return r;
	fd = bpf_map_get_fd_by_id(id);
	memset(&info, 0, sizeof(info));
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) < 0 || info.value_size != sizeof(*stored))
		return -ENOENT;
	n = info.max_entries;
	stored = calloc(n, sizeof(*stored));
	keys = calloc(n, sizeof(*keys));
	if (!stored || !keys)
		return -ENOMEM;
	r = bpf_map_lookup_batch(fd, NULL, &next, keys, stored, &n, &batch);
	if ((r < 0 && r != -ENOENT) || n != info.max_entries)
		return -EBADMSG;
	return slots_load(ret, stored, value->slots, n);
}

/* The table as it is, whatever has become of it. */
static int read_table(struct dp *dp, const struct svc_value *old, struct slots *ret)
{
	cleanup(free) uint32_t *nobody = NULL;
	const uint32_t only = 0;
	int r;

	r = read_stored(dp, old, ret);
	if (r == 0 || r == -ENOMEM)
		return r;
	if (old->slots == 1)
		return slots_make(ret, &only, 1, 0);
	/* Another build's, or lost: flows may be anywhere, and those that are known must stay so. */
	nobody = malloc(old->slots * sizeof(*nobody));
	if (!nobody)
		return -ENOMEM;
	memset(nobody, 0xff, old->slots * sizeof(*nobody));
	return slots_make(ret, nobody, old->slots, SLOT_SINCE_EVER(old->generation));
}

/* The backends of a generation, with those that are only bases. */
static int read_backends(struct dp *dp, const struct svc_value *old, struct backend_value **ret, size_t *n)
{
	size_t cap = (size_t)old->n_backends + 64;

	*ret = calloc(cap, sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	for (*n = 0;; (*n)++) {
		struct backend_key bk = { old->svc_id, old->generation, (uint32_t)*n };

		if (*n == cap) {
			void *p = reallocarray(*ret, 2 * cap, sizeof(**ret));

			if (!p)
				return -ENOMEM;
			*ret = p;
			cap *= 2;
		}
		if (bpf_map_lookup_elem(dp->map_fd[MAP_BACKENDS], &bk, &(*ret)[*n]) < 0)
			return 0;
	}
}

struct place {
	struct backend_value value;
	uint32_t index;
};

static int by_place(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct backend_value));
}

/* Where each of the backends that were is among those that are to be. */
static int match(const struct dp_service *svc, const struct backend_value *was, size_t n, uint32_t **moved)
{
	cleanup(free) struct place *places = calloc(svc->n_backends + 1, sizeof(*places));

	*moved = malloc((n + 1) * sizeof(**moved));
	if (!places || !*moved)
		return -ENOMEM;
	for (size_t i = 0; i < svc->n_backends; i++)
		places[i] = (struct place){ dp_backend_value(&svc->backends[i]), (uint32_t)i };
	qsort(places, svc->n_backends, sizeof(*places), by_place);
	for (size_t i = 0; i < n; i++) {
		const struct place *p = bsearch(&was[i], places, svc->n_backends, sizeof(*places), by_place);

		(*moved)[i] = p ? first_of(svc, p->index) : UINT32_MAX;
	}
	return 0;
}

/* The flows of the service that are known. */
struct known {
	const struct dp_service *svc;
	const struct svc_value *value;
	const uint32_t *owners;
	bool *held;
	struct svc_flow_key *keys;
	size_t n, cap;
};

static uint32_t slot_of(const struct svc_flow_key *k, uint32_t slots)
{
	return svc_flow_hash(&k->client, k->client_port, k->peer_port, k->proto) % slots;
}

static int look_at(void *arg, const void *key, const void *value)
{
	const struct backend_choice *choice = value;
	struct svc_flow_key k;
	struct known *known = arg;
	uint32_t slot, owner;

	memcpy(&k, key, sizeof(k));
	if (k.proto != known->svc->proto || k.peer_port != htons(known->svc->port) ||
	    !ip_same(&k.peer, &known->svc->vip))
		return 0;
	slot = slot_of(&k, known->value->slots);
	owner = known->owners[slot];
	if (choice->svc_id == known->value->svc_id &&
	    (owner >= known->svc->n_backends || choice->backend_port != htons(known->svc->backends[owner].port) ||
	     !ip_same(&choice->backend_ip, &known->svc->backends[owner].ip)))
		known->held[slot] = true;
	if (known->n == known->cap) {
		void *p = reallocarray(known->keys, known->cap + 1024, sizeof(*known->keys));

		if (!p)
			return -ENOMEM;
		known->keys = p;
		known->cap += 1024;
	}
	known->keys[known->n++] = k;
	return 0;
}

/* Best effort: slots go on with state if it fails. */
static void look_at_flows(struct dp *dp, struct known *known)
{
	known->held = calloc(known->value->slots, sizeof(*known->held));
	if (known->held && dp_map_each(dp->map_fd[MAP_SVC_OUT], sizeof(struct svc_flow_key),
				       sizeof(struct backend_choice), look_at, known) < 0)
		freep(&known->held);
}

/* What is known of flows in slots with one owner is of no use, and would be wrong should one get another owner. */
static void note_over(struct dp_table *t, struct known *known, const struct slots *next)
{
	for (size_t i = 0; i < known->n; i++)
		if (!next->slots[slot_of(&known->keys[i], next->n)].since)
			known->keys[t->n_over++] = known->keys[i];
	t->over = TAKE(known->keys);
}

void dp_maglev_settle(struct dp *dp, const struct dp_table *t)
{
	for (size_t i = 0; i < t->n_over; i++)
		(void)bpf_map_delete_elem(dp->map_fd[MAP_SVC_OUT], &t->over[i]);
}

static uint32_t now_units(void)
{
	struct timespec now = { 0 };

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint32_t)(((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec) >> 30);
}

static int follow(struct dp *dp, const struct svc_value *old, const struct svc_value *value,
		  const struct dp_service *svc, const uint32_t *owners, struct slots *next, struct dp_table *t)
{
	struct known known = { .svc = svc, .value = value, .owners = owners };
	cleanup(slots_free) struct slots before = { 0 };
	cleanup(free) struct backend_value *was = NULL;
	cleanup(free) uint32_t *moved = NULL;
	struct slots_change change = { .before = &before,
				       .owners = owners,
				       .n = value->slots,
				       .n_backends = value->n_backends,
				       .generation = value->generation,
				       .now = now_units() };
	int r;

	r = read_table(dp, old, &before);
	if (r == 0)
		r = read_backends(dp, old, &was, &change.n_moved);
	if (r == 0)
		r = match(svc, was, change.n_moved, &moved);
	if (r < 0)
		return r;
	change.moved = moved;
	/* This reads the flows of all services: once a second, however much changes. There will be another time. */
	if (slots_are_old(&before, change.now) && change.now != dp->looked_at_flows) {
		dp->looked_at_flows = change.now;
		look_at_flows(dp, &known);
	}
	change.held = known.held;
	r = slots_follow(next, &change, &t->n_extras);
	if (r == 0 && known.held)
		note_over(t, &known, next);
	free(known.held);
	free(known.keys);
	if (r < 0)
		return r;
	t->extras = calloc(t->n_extras + 1, sizeof(*t->extras));
	if (!t->extras)
		return -ENOMEM;
	for (size_t i = 0; i < change.n_moved; i++)
		if (moved[i] != UINT32_MAX && moved[i] >= value->n_backends)
			t->extras[moved[i] - value->n_backends] = was[i];
	return 0;
}

/* Are flows of the service found by their slot? To a node port they are not (svc_choose()). */
static bool by_slot(const struct dp_service *svc)
{
	return svc->proto == IPPROTO_TCP && !ip_is_zero(&svc->vip) && !(ip_is_mapped4(&svc->vip) && !svc->vip.w[3]);
}

static int write_stored(struct dp *dp, const struct svc_value *value, const struct slots *s, struct err *err)
{
	LIBBPF_OPTS(bpf_map_create_opts, create, .map_flags = BPF_F_INNER_MAP);
	LIBBPF_OPTS(bpf_map_batch_opts, batch);
	uint32_t total = slots_stored(s), n = total;
	cleanup(free) struct svc_slot *stored = calloc(total, sizeof(*stored));
	cleanup(free) uint32_t *keys = calloc(total, sizeof(*keys));
	struct maglev_key key = key_of(value);
	cleanup(close_fd) int fd = -1;
	int r;

	if (!stored || !keys)
		return err_set(err, ENOMEM, "out of memory");
	for (uint32_t i = 0; i < total; i++)
		keys[i] = i;
	slots_store(s, stored);
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "maglev_slots", sizeof(uint32_t), sizeof(*stored), total, &create);
	if (fd < 0)
		return err_set(err, -fd, "make a table of %u slots: %s", total, strerror(-fd));
	r = bpf_map_update_batch(fd, keys, stored, &n, &batch);
	if (r < 0)
		return err_set(err, -r, "fill a table of %u slots: %s", total, strerror(-r));
	r = bpf_map_update_elem(dp->map_fd[MAP_MAGLEV], &key, &fd, BPF_ANY);
	return r < 0 ? err_set(err, -r, "map 'maglev': %s", r == -E2BIG ? "it is full" : strerror(-r)) : 0;
}

int dp_maglev_write(struct dp *dp, const struct svc_value *old, struct svc_value *value, const struct dp_service *svc,
		    struct dp_table *t, struct err *err)
{
	bool after = old->slots && svc->direct && by_slot(svc);
	cleanup(slots_free) struct slots next = { 0 };
	cleanup(free) uint32_t *owners = NULL;
	int r;

	memset(t, 0, sizeof(*t));
	if (!value->slots && !after)
		return 0;
	/* Without backends, too, there may be flows. */
	if (!value->slots)
		value->slots = 1;
	r = fill(svc, value->slots, &owners);
	if (r == 0)
		r = after ? follow(dp, old, value, svc, owners, &next, t) : slots_make(&next, owners, value->slots, 0);
	if (r < 0) {
		dp_table_free(t);
		return err_set(err, -r, "make the table of a service: %s", strerror(-r));
	}
	if (value->slots == 1 && slots_are_plain(&next)) {
		value->slots = value->n_backends;
		return 0; /* nothing to choose from */
	}
	r = write_stored(dp, value, &next, err);
	if (r < 0)
		dp_table_free(t);
	return r;
}

void dp_maglev_remove(struct dp *dp, const struct svc_value *value)
{
	struct maglev_key key = key_of(value);

	if (value->slots)
		(void)bpf_map_delete_elem(dp->map_fd[MAP_MAGLEV], &key);
}

bool dp_maglev_there(struct dp *dp, const struct svc_value *value)
{
	struct maglev_key key = key_of(value);
	uint32_t id;

	/* One slot needs no table, unless it has had another owner. */
	return value->slots <= 1 || bpf_map_lookup_elem(dp->map_fd[MAP_MAGLEV], &key, &id) == 0;
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
	if (v && v->generation == k->generation && v->slots)
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
