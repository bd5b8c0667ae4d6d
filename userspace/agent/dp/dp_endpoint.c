/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local pods, and which identity an address has. When an address changes its owner, flows of the old owner must not
 * pass as the new one's: such a change raises the policy generation, and every flow is judged again at its next
 * packet.
 */
#include "dp-internal.h"

#include <errno.h>
#include <string.h>

#include "abi/drop.h"
#include "abi/metrics.h"

static int set_error(struct err *err, int r, const char *map, const char *what)
{
	return err_set(err, -r, "map '%s': %s: %s", map, what,
		       r == -E2BIG || r == -ENOSPC ? "it is full" : strerror(-r));
}

static struct pod pod_of(const struct dp_endpoint *ep)
{
	struct pod pod;

	memset(&pod, 0, sizeof(pod));
	pod.ep_id = ep->ep_id;
	pod.identity = ep->identity;
	pod.ifindex = ep->ifindex;
	pod.ip4 = ep->ip4;
	pod.ip6 = ep->ip6;
	memcpy(pod.pod_mac, ep->pod_mac, 6);
	memcpy(pod.host_mac, ep->host_mac, 6);
	return pod;
}

struct find {
	uint32_t ep_id;
	bool found;
	struct pod pod;
};

static int find_entry(void *arg, const void *key, const void *value)
{
	const struct pod *pod = value;
	struct find *f = arg;

	(void)key;
	if (pod->ep_id == f->ep_id) {
		f->pod = *pod;
		f->found = true;
	}
	return 0;
}

static int find_pod(struct dp *dp, uint32_t ep_id, struct find *f, struct err *err)
{
	int r;

	memset(f, 0, sizeof(*f));
	f->ep_id = ep_id;
	r = dp_map_each(dp->map_fd[MAP_PODS_BY_IFINDEX], sizeof(uint32_t), sizeof(struct pod), find_entry, f);
	return r < 0 ? set_error(err, r, "pods_by_ifindex", "read") : 0;
}

static int reset_counters(struct dp *dp, uint32_t ep_id, struct err *err)
{
	int n_cpus = libbpf_num_possible_cpus(), r;
	cleanup(free) struct pod_counters *zero = NULL;

	if (n_cpus < 0)
		return err_set(err, -n_cpus, "number of CPUs: %s", strerror(-n_cpus));
	zero = calloc((size_t)n_cpus, sizeof(*zero));
	if (!zero)
		return err_set(err, ENOMEM, "out of memory");
	/* Numbers are given out again: the drops counted under this one were another pod's. */
	for (unsigned i = 0; i < 2 * DROP_N_REASONS; i++) {
		struct drop_key k = { .ep_id = ep_id, .reason = (uint8_t)(i / 2), .direction = i % 2 };

		(void)bpf_map_delete_elem(dp->map_fd[MAP_DROP_COUNTERS], &k);
	}
	r = bpf_map_update_elem(dp->map_fd[MAP_POD_COUNTERS], &ep_id, zero, BPF_ANY);
	return r < 0 ? set_error(err, r, "pod_counters", "reset") : 0;
}

/* An address entry is removed only if it is still this pod's: addresses are given out again. */
static int del_address(struct dp *dp, const struct ip_addr *ip, uint32_t ep_id, struct err *err)
{
	int fd = dp->map_fd[MAP_PODS_BY_IP], r;
	struct pod now;

	if (ip_is_zero(ip) || bpf_map_lookup_elem(fd, ip, &now) < 0 || now.ep_id != ep_id)
		return 0;
	r = bpf_map_delete_elem(fd, ip);
	return r < 0 && r != -ENOENT ? set_error(err, r, "pods_by_ip", "delete") : 0;
}

int dp_endpoint_add(struct dp *dp, const struct dp_endpoint *ep, struct err *err)
{
	int by_ip = dp->map_fd[MAP_PODS_BY_IP], by_ifindex = dp->map_fd[MAP_PODS_BY_IFINDEX], r;
	struct pod pod = pod_of(ep);
	struct find old;

	r = dp_writable(dp, err);
	if (r < 0)
		return r;
	if (ep->ep_id == 0 || ep->ep_id > dp->max_endpoints)
		return err_set(err, ERANGE, "endpoint number %u is not within 1..%u", ep->ep_id, dp->max_endpoints);
	r = find_pod(dp, ep->ep_id, &old, err);
	if (r < 0)
		return r;
	if (old.found && !memcmp(&old.pod, &pod, sizeof(pod)))
		goto addresses;
	if (!old.found) {
		r = reset_counters(dp, ep->ep_id, err);
		if (r < 0)
			return r;
	}
addresses:
	/* Who sends to it finds the way before it can send itself. */
	if (!ip_is_zero(&ep->ip4)) {
		r = bpf_map_update_elem(by_ip, &ep->ip4, &pod, BPF_ANY);
		if (r < 0)
			return set_error(err, r, "pods_by_ip", "add");
	}
	if (!ip_is_zero(&ep->ip6)) {
		r = bpf_map_update_elem(by_ip, &ep->ip6, &pod, BPF_ANY);
		if (r < 0) {
			set_error(err, r, "pods_by_ip", "add");
			goto undo;
		}
	}
	r = bpf_map_update_elem(by_ifindex, &ep->ifindex, &pod, BPF_ANY);
	if (r < 0) {
		set_error(err, r, "pods_by_ifindex", "add");
		goto undo;
	}
	if (old.found) {
		if (old.pod.ifindex != ep->ifindex)
			(void)bpf_map_delete_elem(by_ifindex, &old.pod.ifindex);
		if (!ip_same(&old.pod.ip4, &ep->ip4))
			(void)del_address(dp, &old.pod.ip4, ep->ep_id, NULL);
		if (!ip_same(&old.pod.ip6, &ep->ip6))
			(void)del_address(dp, &old.pod.ip6, ep->ep_id, NULL);
		if (old.pod.identity != ep->identity)
			return dp_policy_bump(dp, err);
	}
	return 0;
undo:
	if (!old.found) {
		(void)del_address(dp, &ep->ip4, ep->ep_id, NULL);
		(void)del_address(dp, &ep->ip6, ep->ep_id, NULL);
	}
	return r;
}

int dp_endpoint_del(struct dp *dp, uint32_t ep_id, struct err *err)
{
	struct find old;
	int r;

	r = dp_writable(dp, err);
	if (r < 0)
		return r;
	r = find_pod(dp, ep_id, &old, err);
	if (r < 0 || !old.found)
		return r;
	r = bpf_map_delete_elem(dp->map_fd[MAP_PODS_BY_IFINDEX], &old.pod.ifindex);
	if (r < 0 && r != -ENOENT)
		return set_error(err, r, "pods_by_ifindex", "delete");
	r = del_address(dp, &old.pod.ip4, ep_id, err);
	if (r < 0)
		return r;
	r = del_address(dp, &old.pod.ip6, ep_id, err);
	if (r < 0)
		return r;
	dp_attach_sweep(dp);
	dp_attach_gone(dp, old.pod.ifindex);
	return dp_policy_bump(dp, err);
}

/* Lists: an array that grows. */
struct list {
	void *items;
	size_t n, cap, size;
};

static void *list_next(struct list *l)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 64;
		void *p = realloc(l->items, cap * l->size);

		if (!p)
			return NULL;
		l->items = p;
		l->cap = cap;
	}
	return memset((char *)l->items + l->n++ * l->size, 0, l->size);
}

static int list_result(struct list *l, int r, const char *map, void **ret, size_t *ret_n, struct err *err)
{
	if (r < 0) {
		free(l->items);
		return set_error(err, r, map, "read");
	}
	*ret = l->items;
	*ret_n = l->n;
	return 0;
}

static int list_endpoint(void *arg, const void *key, const void *value)
{
	struct dp_endpoint *ep = list_next(arg);
	const struct pod *pod = value;

	(void)key;
	if (!ep)
		return -ENOMEM;
	ep->ep_id = pod->ep_id;
	ep->ifindex = pod->ifindex;
	ep->identity = pod->identity;
	ep->ip4 = pod->ip4;
	ep->ip6 = pod->ip6;
	memcpy(ep->pod_mac, pod->pod_mac, 6);
	memcpy(ep->host_mac, pod->host_mac, 6);
	return 0;
}

int dp_endpoint_list(struct dp *dp, struct dp_endpoint **ret, size_t *ret_n, struct err *err)
{
	struct list l = { .size = sizeof(struct dp_endpoint) };
	int r = dp_map_each(dp->map_fd[MAP_PODS_BY_IFINDEX], sizeof(uint32_t), sizeof(struct pod), list_endpoint, &l);

	return list_result(&l, r, "pods_by_ifindex", (void **)ret, ret_n, err);
}

static bool in_pod_range(const struct dp *dp, const struct ip_addr *ip)
{
	for (int f = 0; f < 2; f++) {
		const struct ip_range *range = &dp->pod_ranges[f];
		bool in = true;

		for (int i = 0; i < 4; i++)
			in = in && (ip->w[i] & range->mask.w[i]) == range->addr.w[i];
		if (in)
			return true;
	}
	return false;
}

int dp_ipcache_set(struct dp *dp, const struct dp_ipcache_entry *e, struct err *err)
{
	struct ipcache_value v = { .identity = e->identity, .node = e->node }, old;
	int fd = dp->map_fd[MAP_IPCACHE], r;
	bool had;

	r = dp_writable(dp, err);
	if (r < 0)
		return r;
	had = bpf_map_lookup_elem(fd, &e->ip, &old) == 0;
	if (had && !memcmp(&old, &v, sizeof(v)))
		return 0;
	r = bpf_map_update_elem(fd, &e->ip, &v, BPF_ANY);
	if (r < 0)
		return set_error(err, r, "ipcache", "add");
	/*
	 * A new pod's address needs no bump: its flows were judged as unknown, and only what is allowed to anyone has
	 * passed. Any other address was judged as the world's or a CIDR's until now.
	 */
	if (had ? old.identity == e->identity : in_pod_range(dp, &e->ip))
		return 0;
	return dp_policy_bump(dp, err);
}

int dp_ipcache_del(struct dp *dp, const struct ip_addr *ip, struct err *err)
{
	int r;

	r = dp_writable(dp, err);
	if (r < 0)
		return r;
	r = bpf_map_delete_elem(dp->map_fd[MAP_IPCACHE], ip);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return set_error(err, r, "ipcache", "delete");
	return dp_policy_bump(dp, err);
}

static int list_ipcache(void *arg, const void *key, const void *value)
{
	struct dp_ipcache_entry *e = list_next(arg);
	const struct ipcache_value *v = value;

	if (!e)
		return -ENOMEM;
	memcpy(&e->ip, key, sizeof(e->ip));
	e->identity = v->identity;
	e->node = v->node;
	return 0;
}

int dp_ipcache_list(struct dp *dp, struct dp_ipcache_entry **ret, size_t *ret_n, struct err *err)
{
	struct list l = { .size = sizeof(struct dp_ipcache_entry) };
	int r = dp_map_each(dp->map_fd[MAP_IPCACHE], sizeof(struct ip_addr), sizeof(struct ipcache_value), list_ipcache,
			    &l);

	return list_result(&l, r, "ipcache", (void **)ret, ret_n, err);
}

static struct cidr_key cidr_key_of(const struct dp_cidr_entry *e)
{
	struct cidr_key k = { .prefixlen = e->len, .ip = e->ip };

	return k;
}

int dp_cidr_set(struct dp *dp, const struct dp_cidr_entry *e, struct err *err)
{
	struct cidr_value v = { .identity = e->identity }, old;
	struct cidr_key k = cidr_key_of(e);
	int fd = dp->map_fd[MAP_CIDRS], r;

	r = dp_writable(dp, err);
	if (r < 0)
		return r;
	if (e->len > 128)
		return err_set(err, EINVAL, "prefix length %u is beyond 128 (an IPv4 prefix /n is given as 96 + n)",
			       e->len);
	/* A lookup gives the longest match, which may be a shorter prefix: writing the same again does no harm. */
	if (bpf_map_lookup_elem(fd, &k, &old) == 0 && old.identity == e->identity &&
	    bpf_map_update_elem(fd, &k, &v, BPF_EXIST) == 0)
		return 0;
	r = bpf_map_update_elem(fd, &k, &v, BPF_ANY);
	if (r < 0)
		return set_error(err, r, "cidrs", "add");
	return dp_policy_bump(dp, err);
}

int dp_cidr_del(struct dp *dp, const struct dp_cidr_entry *e, struct err *err)
{
	struct cidr_key k = cidr_key_of(e);
	int r;

	r = dp_writable(dp, err);
	if (r < 0)
		return r;
	r = bpf_map_delete_elem(dp->map_fd[MAP_CIDRS], &k);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return set_error(err, r, "cidrs", "delete");
	return dp_policy_bump(dp, err);
}

static int list_cidr(void *arg, const void *key, const void *value)
{
	struct dp_cidr_entry *e = list_next(arg);
	const struct cidr_value *v = value;
	const struct cidr_key *k = key;

	if (!e)
		return -ENOMEM;
	e->ip = k->ip;
	e->len = k->prefixlen;
	e->identity = v->identity;
	return 0;
}

int dp_cidr_list(struct dp *dp, struct dp_cidr_entry **ret, size_t *ret_n, struct err *err)
{
	struct list l = { .size = sizeof(struct dp_cidr_entry) };
	int r = dp_map_each(dp->map_fd[MAP_CIDRS], sizeof(struct cidr_key), sizeof(struct cidr_value), list_cidr, &l);

	return list_result(&l, r, "cidrs", (void **)ret, ret_n, err);
}
