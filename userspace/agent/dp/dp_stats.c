/* SPDX-License-Identifier: Apache-2.0 */
/* Counters, drop events and how full the maps are. */
#include "dp-internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "abi/drop.h"
#include "abi/metrics.h"

static const char *const drop_names[DROP_N_REASONS] = {
#define DROP_LABEL(name, label) [name] = label,
	DROP_REASONS(DROP_LABEL)
#undef DROP_LABEL
};

const char *dp_drop_name(uint8_t reason)
{
	return reason < DROP_N_REASONS ? drop_names[reason] : "other";
}

int dp_pod_stats(struct dp *dp, struct dp_pod_stats **ret, size_t *ret_n, struct err *err)
{
	int n_cpus = libbpf_num_possible_cpus(), r;
	cleanup(free) struct pod_counters *per_cpu = NULL;
	cleanup(free) struct dp_endpoint *eps = NULL;
	cleanup(free) struct dp_pod_stats *stats = NULL;
	size_t n;

	if (n_cpus < 0)
		return err_set(err, -n_cpus, "number of CPUs: %s", strerror(-n_cpus));
	r = dp_endpoint_list(dp, &eps, &n, err);
	if (r < 0)
		return r;
	per_cpu = calloc((size_t)n_cpus, sizeof(*per_cpu));
	stats = calloc(n + 1, sizeof(*stats));
	if (!per_cpu || !stats)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		stats[i].ep_id = eps[i].ep_id;
		r = bpf_map_lookup_elem(dp->map_fd[MAP_POD_COUNTERS], &eps[i].ep_id, per_cpu);
		if (r < 0)
			return err_set(err, -r, "map 'pod_counters': %s", strerror(-r));
		for (int c = 0; c < n_cpus; c++) {
			for (int d = 0; d < 2; d++) {
				stats[i].packets[d] += per_cpu[c].packets[d];
				stats[i].bytes[d] += per_cpu[c].bytes[d];
			}
		}
	}
	*ret = TAKE(stats);
	*ret_n = n;
	return 0;
}

int dp_xdp_stats(struct dp *dp, uint64_t *ret_packets, uint64_t *ret_bytes, struct err *err)
{
	int n_cpus = libbpf_num_possible_cpus(), r;
	cleanup(free) struct xdp_counters *per_cpu = n_cpus < 0 ? NULL : calloc((size_t)n_cpus, sizeof(*per_cpu));
	uint32_t zero = 0;

	if (!per_cpu)
		return err_set(err, ENOMEM, "out of memory");
	r = bpf_map_lookup_elem(dp->map_fd[MAP_XDP_COUNTERS], &zero, per_cpu);
	if (r < 0)
		return err_set(err, -r, "map 'xdp_counters': %s", strerror(-r));
	*ret_packets = *ret_bytes = 0;
	for (int c = 0; c < n_cpus; c++) {
		*ret_packets += per_cpu[c].packets;
		*ret_bytes += per_cpu[c].bytes;
	}
	return 0;
}

struct drop_list {
	struct dp_drop_stats *items;
	size_t n, cap;
	int n_cpus;
};

static int keep_drop(void *arg, const void *key, const void *value)
{
	const struct drop_value *per_cpu = value;
	struct dp_drop_stats sum = { 0 };
	const struct drop_key *k = key;
	struct drop_list *l = arg;

	for (int c = 0; c < l->n_cpus; c++) {
		sum.packets += per_cpu[c].packets;
		sum.bytes += per_cpu[c].bytes;
	}
	if (sum.packets == 0)
		return 0;
	sum.ep_id = k->ep_id;
	sum.reason = k->reason;
	sum.direction = k->direction;
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 64;
		void *p = realloc(l->items, cap * sizeof(*l->items));

		if (!p)
			return -ENOMEM;
		l->items = p;
		l->cap = cap;
	}
	l->items[l->n++] = sum;
	return 0;
}

int dp_drop_stats(struct dp *dp, struct dp_drop_stats **ret, size_t *ret_n, struct err *err)
{
	struct drop_list l = { .n_cpus = libbpf_num_possible_cpus() };
	int r;

	if (l.n_cpus < 0)
		return err_set(err, -l.n_cpus, "number of CPUs: %s", strerror(-l.n_cpus));
	r = dp_map_each(dp->map_fd[MAP_DROP_COUNTERS], sizeof(struct drop_key),
			sizeof(struct drop_value) * (size_t)l.n_cpus, keep_drop, &l);
	if (r < 0) {
		free(l.items);
		return err_set(err, -r, "map 'drop_counters': %s", strerror(-r));
	}
	*ret = l.items;
	*ret_n = l.n;
	return 0;
}

static int on_drop(void *arg, void *data, size_t len)
{
	const struct drop_event *in = data;
	struct dp_drop_event out;
	struct dp *dp = arg;

	if (len < sizeof(*in) || !dp->drop_fn)
		return 0;
	memset(&out, 0, sizeof(out));
	out.time_ns = in->time_ns;
	out.src = in->src;
	out.dst = in->dst;
	out.sport = ntohs(in->sport);
	out.dport = ntohs(in->dport);
	out.proto = in->proto;
	out.reason = in->reason;
	out.direction = in->direction;
	out.ep_id = in->ep_id;
	out.src_identity = in->src_identity;
	out.dst_identity = in->dst_identity;
	out.rule_id = in->rule_id;
	dp->drop_fn(dp->drop_arg, &out);
	return 0;
}

static int open_drops(struct dp *dp)
{
	if (dp->drops)
		return 0;
	if (dp->map_fd[MAP_DROP_EVENTS] < 0)
		return -EROFS;
	dp->drops = ring_buffer__new(dp->map_fd[MAP_DROP_EVENTS], on_drop, dp, NULL);
	return dp->drops ? 0 : -errno;
}

int dp_drop_fd(struct dp *dp)
{
	int r = open_drops(dp);

	return r < 0 ? r : ring_buffer__epoll_fd(dp->drops);
}

int dp_drop_consume(struct dp *dp, void (*fn)(void *arg, const struct dp_drop_event *ev), void *arg)
{
	int r = open_drops(dp);

	if (r < 0)
		return r;
	dp->drop_fn = fn;
	dp->drop_arg = arg;
	r = ring_buffer__consume(dp->drops);
	dp->drop_fn = NULL;
	return r;
}

static int count_entry(void *arg, const void *key, const void *value)
{
	(void)key;
	(void)value;
	++*(uint64_t *)arg;
	return 0;
}

int dp_map_fill(struct dp *dp, const struct dp_map_fill **ret, size_t *ret_n, struct err *err)
{
	int n_cpus = libbpf_num_possible_cpus(), r;
	size_t n = 0;

	if (n_cpus < 0)
		return err_set(err, -n_cpus, "number of CPUs: %s", strerror(-n_cpus));
	for (int i = 0; i < N_MAPS; i++) {
		struct bpf_map_info info;
		uint32_t len = sizeof(info);
		size_t value_size;

		if (!dp_map_defs[i].fill || dp->map_fd[i] < 0)
			continue;
		memset(&info, 0, sizeof(info));
		r = bpf_obj_get_info_by_fd(dp->map_fd[i], &info, &len);
		if (r < 0)
			return err_set(err, -r, "map '%s': %s", dp_map_defs[i].name, strerror(-r));
		value_size = info.value_size;
		if (info.type == BPF_MAP_TYPE_PERCPU_HASH)
			value_size = (value_size + 7) / 8 * 8 * (size_t)n_cpus;
		dp->fill[n].name = dp_map_defs[i].name;
		dp->fill[n].capacity = info.max_entries;
		dp->fill[n].entries = 0;
		r = dp_map_each(dp->map_fd[i], info.key_size, value_size, count_entry, &dp->fill[n].entries);
		if (r < 0)
			return err_set(err, -r, "map '%s': %s", dp_map_defs[i].name, strerror(-r));
		n++;
	}
	*ret = dp->fill;
	*ret_n = n;
	return 0;
}
