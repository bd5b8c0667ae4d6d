/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services. A set of backends is written under a new generation, then the service's value is made to name it, then
 * the old generation is removed: a connection sees one set whole. A crash between two steps leaves backends that no
 * service names; dp_service_recover() removes them.
 */
#include "dp-internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "abi/svc.h"

static struct svc_key key_of(const struct dp_service *svc)
{
	struct svc_key k;

	memset(&k, 0, sizeof(k));
	k.vip = svc->vip;
	k.port = htons(svc->port);
	k.proto = svc->proto;
	k.side = svc->side;
	return k;
}

struct backend_value dp_backend_value(const struct dp_backend *b)
{
	struct backend_value v;

	memset(&v, 0, sizeof(v));
	v.ip = b->ip;
	v.port = htons(b->port);
	return v;
}

static int by_backend(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct backend_value));
}

/*
 * Whoever is connected to a backend that a service loses is led to another one when the backend's pod is gone. Best
 * effort: without it the client waits for its own timeouts.
 */
static void note_gone(struct dp *dp, const struct svc_key *key, const struct svc_value *old,
		      const struct dp_service *next)
{
	cleanup(free) struct backend_value *stay = calloc(next->n_backends + 1, sizeof(*stay));
	struct gone_value value = { .svc = *key };
	struct timespec now;

	/* Sockets are connected from inside. */
	if (key->side != SVC_INSIDE || !stay || clock_gettime(CLOCK_MONOTONIC, &now) < 0)
		return;
	value.at = (uint32_t)(((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec) >> 30);
	for (size_t i = 0; i < next->n_backends; i++)
		stay[i] = dp_backend_value(&next->backends[i]);
	qsort(stay, next->n_backends, sizeof(*stay), by_backend);
	for (uint32_t i = 0; i < old->n_backends; i++) {
		struct backend_key bk = { old->svc_id, old->generation, i };
		struct backend_value was;
		struct gone_key gone;

		if (bpf_map_lookup_elem(dp->map_fd[MAP_BACKENDS], &bk, &was) < 0 ||
		    bsearch(&was, stay, next->n_backends, sizeof(*stay), by_backend))
			continue;
		memset(&gone, 0, sizeof(gone));
		gone.ip = was.ip;
		gone.port = was.port;
		gone.proto = key->proto;
		(void)bpf_map_update_elem(dp->map_fd[MAP_GONE_BACKENDS], &gone, &value, BPF_ANY);
	}
}

/* With those behind the first n that are only bases of slots. */
static void remove_backends(struct dp *dp, const struct svc_value *svc, uint32_t n)
{
	for (uint32_t i = 0;; i++) {
		struct backend_key bk = { svc->svc_id, svc->generation, i };
		bool more = i < n || svc->slots;

		if (!more || (bpf_map_delete_elem(dp->map_fd[MAP_BACKENDS], &bk) < 0 && i >= n))
			return;
	}
}

static int write_failed(const struct dp *dp, int map, const char *flag, int r, struct err *err)
{
	if (r == -E2BIG)
		return err_set(err, -r, "map '%s' is full: it has room for %u entries (the agent's --%s)",
			       dp_map_defs[map].name, dp->capacity[map], flag);
	return err_set(err, -r, "map '%s': %s", dp_map_defs[map].name, strerror(-r));
}

static uint32_t flags_of(const struct dp_service *svc)
{
	return (svc->silent ? SVC_SILENT : 0) | (svc->announced ? SVC_ANNOUNCED : 0) | (svc->direct ? SVC_DIRECT : 0);
}

static bool unchanged(struct dp *dp, const struct dp_service *svc, const struct svc_value *now)
{
	if (now->n_backends != svc->n_backends || now->affinity_s != svc->affinity_s || now->flags != flags_of(svc) ||
	    now->ranges != dp_ranges_id(svc->ranges, svc->n_ranges) ||
	    (svc->n_backends && now->slots != dp_maglev_slots(svc)) || !dp_maglev_there(dp, now))
		return false;
	for (uint32_t i = 0; i < now->n_backends; i++) {
		struct backend_key bk = { now->svc_id, now->generation, i };
		struct backend_value want = dp_backend_value(&svc->backends[i]), have;

		if (bpf_map_lookup_elem(dp->map_fd[MAP_BACKENDS], &bk, &have) < 0 || memcmp(&want, &have, sizeof(want)))
			return false;
	}
	return true;
}

static int check(const struct dp_service *svc, struct err *err)
{
	if (svc->side > SVC_OUTSIDE)
		return err_set(err, EINVAL, "service side %u: nobody is there", svc->side);
	if (svc->port == 0 && svc->proto == 0 && svc->n_backends == 0)
		return 0;
	if (svc->direct && svc->n_backends > SLOT_BACKENDS)
		return err_set(err, EINVAL, "%zu backends: with direct server return a service has at most %u",
			       svc->n_backends, SLOT_BACKENDS);
	if (svc->port == 0 || (svc->proto != IPPROTO_TCP && svc->proto != IPPROTO_UDP))
		return err_set(err, EINVAL, "service port %u, protocol %u: only TCP and UDP ports are balanced",
			       svc->port, svc->proto);
	for (size_t i = 0; i < svc->n_backends; i++) {
		if (ip_is_mapped4(&svc->backends[i].ip) != ip_is_mapped4(&svc->vip))
			return err_set(err, EINVAL, "backend %zu is not of its service's address family", i);
		if (svc->backends[i].port == 0)
			return err_set(err, EINVAL, "backend %zu has port 0", i);
	}
	return 0;
}

int dp_service_set(struct dp *dp, const struct dp_service *svc, struct err *err)
{
	struct svc_key key = key_of(svc);
	struct svc_value old = { 0 }, next;
	cleanup(dp_table_free) struct dp_table table = { 0 };
	bool had;
	int r;

	r = dp_writable(dp, err);
	if (r < 0)
		return r;
	r = check(svc, err);
	if (r < 0)
		return r;
	had = bpf_map_lookup_elem(dp->map_fd[MAP_SERVICES], &key, &old) == 0;
	if (had && unchanged(dp, svc, &old))
		return 0;
	next.svc_id = had ? old.svc_id : dp->next_svc_id++;
	next.generation = had ? old.generation + 1 : dp->new_generation++;
	next.generation += next.generation == 0; /* which stands for none, in slots */
	next.n_backends = (uint32_t)svc->n_backends;
	next.affinity_s = svc->affinity_s;
	next.flags = flags_of(svc);
	next.ranges = dp_ranges_id(svc->ranges, svc->n_ranges);
	next.slots = dp_maglev_slots(svc);
	r = dp_ranges_write(dp, &next, svc->ranges, svc->n_ranges, err);
	if (r < 0)
		return r;
	r = dp_maglev_write(dp, &old, &next, svc, &table, err);
	if (r < 0) {
		dp_ranges_remove(dp, &next);
		return r;
	}
	for (uint32_t i = 0; i < next.n_backends + table.n_extras; i++) {
		struct backend_key bk = { next.svc_id, next.generation, i };
		struct backend_value v = i < next.n_backends ? dp_backend_value(&svc->backends[i])
							     : table.extras[i - next.n_backends];

		r = bpf_map_update_elem(dp->map_fd[MAP_BACKENDS], &bk, &v, BPF_ANY);
		if (r < 0) {
			remove_backends(dp, &next, i);
			dp_ranges_remove(dp, &next);
			dp_maglev_remove(dp, &next);
			return write_failed(dp, MAP_BACKENDS, "max-backends", r, err);
		}
	}
	r = bpf_map_update_elem(dp->map_fd[MAP_SERVICES], &key, &next, BPF_ANY);
	if (r < 0) {
		remove_backends(dp, &next, next.n_backends);
		dp_ranges_remove(dp, &next);
		dp_maglev_remove(dp, &next);
		return write_failed(dp, MAP_SERVICES, "max-frontends", r, err);
	}
	note_gone(dp, &key, &old, svc);
	remove_backends(dp, &old, old.n_backends);
	dp_ranges_remove(dp, &old);
	dp_maglev_remove(dp, &old);
	dp_maglev_settle(dp, &table);
	return 0;
}

int dp_service_del(struct dp *dp, const struct dp_service *svc, struct err *err)
{
	struct svc_key key = key_of(svc);
	struct svc_value old;
	int r;

	r = dp_writable(dp, err);
	if (r < 0)
		return r;
	if (bpf_map_lookup_elem(dp->map_fd[MAP_SERVICES], &key, &old) < 0)
		return 0;
	r = bpf_map_delete_elem(dp->map_fd[MAP_SERVICES], &key);
	if (r < 0 && r != -ENOENT)
		return err_set(err, -r, "map 'services': %s", strerror(-r));
	note_gone(dp, &key, &old, &(struct dp_service){ 0 });
	remove_backends(dp, &old, old.n_backends);
	dp_ranges_remove(dp, &old);
	dp_maglev_remove(dp, &old);
	return 0;
}

struct snapshot {
	struct svc_entry {
		struct svc_key key;
		struct svc_value value;
	} * items;
	size_t n, cap, n_backends;
};

static int keep_service(void *arg, const void *key, const void *value)
{
	struct snapshot *s = arg;

	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 256;
		void *p = realloc(s->items, cap * sizeof(*s->items));

		if (!p)
			return -ENOMEM;
		s->items = p;
		s->cap = cap;
	}
	memcpy(&s->items[s->n].key, key, sizeof(struct svc_key));
	memcpy(&s->items[s->n].value, value, sizeof(struct svc_value));
	s->n_backends += s->items[s->n].value.n_backends;
	s->n++;
	return 0;
}

static int snapshot(struct dp *dp, struct snapshot *s, struct err *err)
{
	int r;

	memset(s, 0, sizeof(*s));
	r = dp_map_each(dp->map_fd[MAP_SERVICES], sizeof(struct svc_key), sizeof(struct svc_value), keep_service, s);
	if (r < 0) {
		freep(&s->items);
		return err_set(err, -r, "map 'services': %s", strerror(-r));
	}
	return 0;
}

int dp_service_list(struct dp *dp, struct dp_service **ret, size_t *ret_n, struct err *err)
{
	struct dp_backend *backends, *end;
	struct dp_service *services;
	struct snapshot s;
	int r;

	r = snapshot(dp, &s, err);
	if (r < 0)
		return r;
	services = calloc(1, s.n * sizeof(*services) + s.n_backends * sizeof(*backends) + 1);
	if (!services) {
		free(s.items);
		return err_set(err, ENOMEM, "out of memory");
	}
	backends = (struct dp_backend *)(services + s.n);
	end = backends;
	for (size_t i = 0; i < s.n; i++) {
		const struct svc_entry *e = &s.items[i];

		services[i].vip = e->key.vip;
		services[i].port = ntohs(e->key.port);
		services[i].proto = e->key.proto;
		services[i].side = e->key.side;
		services[i].affinity_s = e->value.affinity_s;
		services[i].silent = e->value.flags & SVC_SILENT;
		services[i].announced = e->value.flags & SVC_ANNOUNCED;
		/* Without its table the service is not what was asked for: it is set again. */
		services[i].direct = (e->value.flags & SVC_DIRECT) && dp_maglev_there(dp, &e->value);
		services[i].ranges_id = e->value.ranges;
		services[i].backends = end;
		for (uint32_t k = 0; k < e->value.n_backends; k++) {
			struct backend_key bk = { e->value.svc_id, e->value.generation, k };
			struct backend_value v;

			/* Replaced meanwhile: the reader gets what is still there. */
			if (bpf_map_lookup_elem(dp->map_fd[MAP_BACKENDS], &bk, &v) < 0)
				continue;
			end->ip = v.ip;
			end->port = ntohs(v.port);
			end++;
			services[i].n_backends++;
		}
	}
	free(s.items);
	*ret = services;
	*ret_n = s.n;
	return 0;
}

struct recover {
	const struct svc_value *by_id; /* sorted */
	size_t n;
	struct backend_key *orphans;
	size_t n_orphans, cap;
};

static int by_svc_id(const void *a, const void *b)
{
	const struct svc_value *x = a, *y = b;

	return (x->svc_id > y->svc_id) - (x->svc_id < y->svc_id);
}

static int find_orphan(void *arg, const void *key, const void *value)
{
	const struct backend_key *bk = key;
	struct svc_value want = { .svc_id = bk->svc_id };
	const struct svc_value *svc;
	struct recover *rc = arg;
	void *p;

	(void)value;
	svc = rc->n ? bsearch(&want, rc->by_id, rc->n, sizeof(want), by_svc_id) : NULL;
	if (svc && svc->generation == bk->generation && (bk->index < svc->n_backends || svc->slots))
		return 0;
	if (rc->n_orphans == rc->cap) {
		p = realloc(rc->orphans, (rc->cap + 256) * sizeof(*rc->orphans));
		if (!p)
			return -ENOMEM;
		rc->orphans = p;
		rc->cap += 256;
	}
	rc->orphans[rc->n_orphans++] = *bk;
	return 0;
}

int dp_service_recover(struct dp *dp, struct err *err)
{
	cleanup(free) struct svc_value *values = NULL;
	struct recover rc = { 0 };
	struct snapshot s;
	int r;

	r = snapshot(dp, &s, err);
	if (r < 0)
		return r;
	values = calloc(s.n + 1, sizeof(*values));
	if (!values) {
		free(s.items);
		return err_set(err, ENOMEM, "out of memory");
	}
	dp->next_svc_id = 1;
	/* A number may have been another service's: what clients remember of that one is of other generations. */
	if (getrandom(&dp->new_generation, sizeof(dp->new_generation), 0) < 0) {
		free(s.items);
		return err_set(err, errno, "random number: %m");
	}
	dp->new_generation = dp->new_generation % (1u << 30) + 1; /* 0 has a meaning in svc_slot */
	for (size_t i = 0; i < s.n; i++) {
		values[i] = s.items[i].value;
		if (values[i].svc_id >= dp->next_svc_id)
			dp->next_svc_id = values[i].svc_id + 1;
	}
	free(s.items);
	qsort(values, s.n, sizeof(*values), by_svc_id);
	rc.by_id = values;
	rc.n = s.n;
	r = dp_map_each(dp->map_fd[MAP_BACKENDS], sizeof(struct backend_key), sizeof(struct backend_value), find_orphan,
			&rc);
	for (size_t i = 0; r == 0 && i < rc.n_orphans; i++)
		(void)bpf_map_delete_elem(dp->map_fd[MAP_BACKENDS], &rc.orphans[i]);
	free(rc.orphans);
	dp_ranges_recover(dp, values, s.n);
	dp_maglev_recover(dp, values, s.n);
	return r < 0 ? err_set(err, -r, "map 'backends': %s", strerror(-r)) : 0;
}
