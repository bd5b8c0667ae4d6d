/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pinned objects under <pin_dir>/{maps,links,progs}. A pinned map is reused when its layout version (map `layouts`),
 * type, sizes, flags and capacity are those of this build. Otherwise a new map takes its place, and the entries over if
 * that is possible (dp_carry.c). Where it is not, counters start again and the agent's next synchronisation fills the
 * rest; but flows are not thrown away without being told to.
 */
#include "dp-internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "abi/layout.h"
#include "base/file.h"
#include "base/log.h"

#define EACH_BATCH 1024u

const struct dp_map_def dp_map_defs[N_MAPS] = {
	[MAP_PODS_BY_IFINDEX] = { "pods_by_ifindex", 1, true },
	[MAP_PODS_BY_IP] = { "pods_by_ip", 1, true },
	[MAP_IPCACHE] = { "ipcache", 1, true },
	[MAP_CIDRS] = { "cidrs", 1, true },
	[MAP_POLICIES] = { "policies", 1, true },
	[MAP_POLICY_GENERATION] = { "policy_generation", 1, false },
	[MAP_FLOWS] = { "flows", 1, true, true },
	[MAP_FRAGS] = { "frags", 1, true },
	[MAP_NAT_IN] = { "nat_in", 1, true, true },
	[MAP_NAT_OUT] = { "nat_out", 1, true, true },
	[MAP_SERVICES] = { "services", 4, true },
	[MAP_BACKENDS] = { "backends", 1, true },
	[MAP_TCP_PEERS] = { "tcp_peers", 1, true },
	[MAP_UDP_PEERS] = { "udp_peers", 1, true },
	[MAP_UDP_CHOICES] = { "udp_choices", 1, true },
	[MAP_AFFINITIES] = { "affinities", 1, true },
	[MAP_SVC_OUT] = { "svc_out", 1, true, true },
	[MAP_SVC_IN] = { "svc_in", 1, true, true },
	[MAP_GONE_BACKENDS] = { "gone_backends", 1, true },
	[MAP_SOURCE_RANGES] = { "source_ranges", 1, true },
	[MAP_MAGLEV] = { "maglev", 2, true },
	[MAP_NEXT_HOPS] = { "next_hops", 1, true },
	[MAP_XDP_COUNTERS] = { "xdp_counters", 1, false },
	[MAP_XDP_WAYS] = { "xdp_ways", 1, false },
	[MAP_POD_COUNTERS] = { "pod_counters", 1, false },
	[MAP_DROP_COUNTERS] = { "drop_counters", 1, true },
	[MAP_DROP_WINDOWS] = { "drop_windows", 1, false },
	[MAP_DROP_EVENTS] = { "drop_events", 1, false },
	[MAP_LAYOUTS] = { "layouts", 1, false },
};

int dp_pin_path(const struct dp *dp, const char *dir, const char *name, char ret_path[static 512], struct err *err)
{
	int n = snprintf(ret_path, 512, "%s/%s/%s", dp->pin_dir, dir, name);

	if (n < 0 || n >= 512)
		return err_set(err, ENAMETOOLONG, "pin directory '%s' is too long a path", dp->pin_dir);
	return 0;
}

static bool is_bpffs(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && (unsigned long)fs.f_type == BPF_FS_MAGIC;
}

int dp_pin_prepare(struct dp *dp, struct err *err)
{
	static const char *const dirs[] = { "", "maps", "links", "progs" };
	char path[512];
	int r;

	/* The usual place is mounted by systemd; in a fresh mount namespace or container it may not be. */
	if (!strncmp(dp->pin_dir, "/sys/fs/bpf/", 12) && !is_bpffs("/sys/fs/bpf") &&
	    mount("bpf", "/sys/fs/bpf", "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") < 0)
		return err_set(err, errno, "mount the BPF file system on /sys/fs/bpf (needs CAP_SYS_ADMIN): %m");
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		r = dp_pin_path(dp, dirs[i], "", path, err);
		if (r < 0)
			return r;
		r = dir_make(path, 0700, err);
		if (r < 0)
			return r;
	}
	if (!is_bpffs(dp->pin_dir))
		return err_set(err, EINVAL,
			       "pin directory '%s' is not on a BPF file system: mount one there (mount -t bpf)",
			       dp->pin_dir);
	return 0;
}

/* The new object takes the name in one step, so that a reader finds the old one or the new one. */
int dp_pin_replace(const struct dp *dp, const char *dir, const char *name, int fd, struct err *err)
{
	char path[512], fresh[512 + 8];
	int r;

	r = dp_pin_path(dp, dir, name, path, err);
	if (r < 0)
		return r;
	snprintf(fresh, sizeof(fresh), "%s-new", path);
	(void)unlink(fresh);
	r = bpf_obj_pin(fd, fresh);
	if (r < 0)
		return err_set(err, -r, "pin '%s': %s", path, strerror(-r));
	if (rename(fresh, path) < 0) {
		r = err_set(err, errno, "pin '%s': rename: %m", path);
		(void)unlink(fresh);
		return r;
	}
	return 0;
}

static int map_index(const char *name)
{
	for (int i = 0; i < N_MAPS; i++)
		if (!strcmp(dp_map_defs[i].name, name))
			return i;
	return -1;
}

static int open_pinned(const struct dp *dp, int map)
{
	char path[512];
	int r;

	r = dp_pin_path(dp, "maps", dp_map_defs[map].name, path, NULL);
	return r < 0 ? r : bpf_obj_get(path);
}

static bool has_sizes(int fd, size_t key, size_t value)
{
	struct bpf_map_info info;
	uint32_t len = sizeof(info);

	memset(&info, 0, sizeof(info));
	return bpf_obj_get_info_by_fd(fd, &info, &len) == 0 && info.key_size == key && info.value_size == value;
}

/* 0: unknown */
static uint32_t pinned_layout(const struct dp *dp, int map)
{
	cleanup(close_fd) int fd = open_pinned(dp, MAP_LAYOUTS);
	struct layout_value v;
	struct layout_key k;

	if (fd < 0 || !has_sizes(fd, sizeof(k), sizeof(v)))
		return 0;
	memset(&k, 0, sizeof(k));
	snprintf(k.map, sizeof(k.map), "%s", dp_map_defs[map].name);
	return bpf_map_lookup_elem(fd, &k, &v) == 0 ? v.version : 0;
}

static bool layout_matches(const struct dp *dp, int map)
{
	return pinned_layout(dp, map) == dp_map_defs[map].layout;
}

/* Same entries, and which capacity? */
static bool fits(const struct dp *dp, int map, int fd, const struct bpf_map *want, bool *same_capacity)
{
	struct bpf_map_info info;
	uint32_t len = sizeof(info);

	memset(&info, 0, sizeof(info));
	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return false;
	*same_capacity = info.max_entries == bpf_map__max_entries(want);
	return info.type == bpf_map__type(want) && info.key_size == bpf_map__key_size(want) &&
	       info.value_size == bpf_map__value_size(want) && info.map_flags == bpf_map__map_flags(want) &&
	       layout_matches(dp, map);
}

int dp_pin_reuse_maps(struct dp *dp, struct bpf_object *obj, struct err *err)
{
	struct bpf_map *m;
	bool same_capacity;
	int i, r;

	bpf_object__for_each_map (m, obj) {
		cleanup(close_fd) int fd = -1;

		if (bpf_map__is_internal(m))
			continue;
		i = map_index(bpf_map__name(m));
		if (i < 0)
			return err_set(err, EINVAL, "map '%s' is in no table: a fault of this build", bpf_map__name(m));
		if (dp->capacity[i] && dp->map_fd[i] < 0) {
			r = bpf_map__set_max_entries(m, dp->capacity[i]);
			if (r < 0)
				return err_set(err, -r, "capacity of map '%s': %s", bpf_map__name(m), strerror(-r));
		}
		if (dp->map_fd[i] < 0) {
			fd = open_pinned(dp, i);
			if (fd >= 0 && fits(dp, i, fd, m, &same_capacity) && same_capacity)
				dp->map_fd[i] = TAKE_FD(fd);
		}
		if (dp->map_fd[i] < 0)
			continue;
		r = bpf_map__reuse_fd(m, dp->map_fd[i]);
		if (r < 0)
			return err_set(err, -r, "reuse map '%s': %s", bpf_map__name(m), strerror(-r));
	}
	return 0;
}

struct copy {
	int to;
	struct dp_carry *carry;
	bool inner; /* values read are ids of inner maps, values written their descriptors */
	uint64_t flags, lost;
};

static int copy_entry(void *arg, const void *key, const void *value)
{
	struct copy *c = arg;

	if (c->inner) {
		cleanup(close_fd) int fd = bpf_map_get_fd_by_id(*(const uint32_t *)value);

		if (fd < 0 || bpf_map_update_elem(c->to, key, &fd, BPF_ANY) < 0)
			c->lost++;
		return 0;
	}
	if (c->carry)
		dp_carry(c->carry, &key, &value);
	/* A smaller map than before: LRU maps evict, the others lose the rest, which is reported. */
	if (bpf_map_update_elem(c->to, key, value, c->flags) < 0)
		c->lost++;
	return 0;
}

/* Sizes are the old map's. */
static int copy_all(int from, struct copy *c)
{
	struct bpf_map_info info;
	uint32_t len = sizeof(info);

	memset(&info, 0, sizeof(info));
	if (bpf_obj_get_info_by_fd(from, &info, &len) < 0)
		return -errno;
	return dp_map_each(from, info.key_size, info.value_size, copy_entry, c);
}

static bool can_be_listed(enum bpf_map_type type)
{
	return type == BPF_MAP_TYPE_HASH || type == BPF_MAP_TYPE_LRU_HASH || type == BPF_MAP_TYPE_LPM_TRIE;
}

/* Another build's map: 0, with what its entries need; 1: a new one starts empty. */
static int begin_carry(struct dp *dp, int i, int old, const struct bpf_map *m, struct err *err)
{
	const struct dp_map_def *def = &dp_map_defs[i];
	uint32_t was = pinned_layout(dp, i);
	int r = -EPROTO;

	if (can_be_listed(bpf_map__type(m)) || bpf_map__type(m) == BPF_MAP_TYPE_ARRAY)
		r = dp_carry_new(old, dp->map_fd[i], &dp->carry[i]);
	if (r == 0) {
		log_info("map '%s': from layout %u to %u", def->name, was, def->layout);
		return 0;
	}
	if (r != -EPROTO)
		return err_set(err, -r, "map '%s': %s", def->name, strerror(-r));
	if (def->flows && !dp->reset_flows)
		return err_set(
			err, EPROTO,
			"map '%s' has layout %u of another build, whose flows cannot be carried over to layout %u: "
			"run that build (connections go on meanwhile), or lose them with --reset-flows",
			def->name, was, def->layout);
	log_warn("map '%s': layout %u of another build cannot be carried over to layout %u, it starts empty", def->name,
		 was, def->layout);
	return 1;
}

static int take_over(struct dp *dp, int i, const struct bpf_map *m, struct err *err)
{
	cleanup(close_fd) int old = open_pinned(dp, i);
	struct copy c = { .to = dp->map_fd[i], .inner = bpf_map__type(m) == BPF_MAP_TYPE_HASH_OF_MAPS };
	bool same_capacity;
	int r;

	if (old < 0 || i == MAP_LAYOUTS)
		return 0;
	if (!fits(dp, i, old, m, &same_capacity)) {
		r = begin_carry(dp, i, old, m, err);
		if (r)
			return r < 0 ? r : 0;
	} else if (!can_be_listed(bpf_map__type(m)) && !c.inner) {
		return 0;
	}
	c.carry = dp->carry[i];
	r = copy_all(old, &c);
	if (r < 0)
		return err_set(err, -r, "take over the entries of map '%s': %s", bpf_map__name(m), strerror(-r));
	if (c.lost && bpf_map__type(m) != BPF_MAP_TYPE_ARRAY)
		return err_set(err, ENOSPC, "map '%s': %llu entries do not fit its new capacity %u", bpf_map__name(m),
			       (unsigned long long)c.lost, bpf_map__max_entries(m));
	if (bpf_map__type(m) == BPF_MAP_TYPE_LRU_HASH)
		dp->old_fd[i] = TAKE_FD(old);
	return 0;
}

static int name_of_old(const struct dp *dp, int i, char ret_path[static 512], struct err *err)
{
	char name[32];

	snprintf(name, sizeof(name), "%s-old", dp_map_defs[i].name);
	return dp_pin_path(dp, "maps", name, ret_path, err);
}

/*
 * An agent was killed after its maps took the place of others, and perhaps before its programs did: flows that have
 * begun since are in the maps that it left under another name.
 */
int dp_pin_adopt_left(struct dp *dp, struct err *err)
{
	char path[512];
	int r;

	for (int i = 0; i < N_MAPS; i++) {
		cleanup(close_fd) int old = -1;
		struct dp_carry *carry = NULL;
		struct copy c = { .to = dp->map_fd[i], .flags = BPF_NOEXIST };

		r = name_of_old(dp, i, path, err);
		if (r < 0)
			return r;
		old = bpf_obj_get(path);
		if (old < 0)
			continue;
		r = dp_carry_new(old, dp->map_fd[i], &carry);
		if (r == -EPROTO)
			continue; /* the one that took its place was not made of it either */
		if (r < 0)
			return err_set(err, -r, "map '%s': %s", path, strerror(-r));
		dp_carry_free(dp->carry[i]);
		c.carry = dp->carry[i] = carry;
		(void)copy_all(old, &c);
		if (dp->old_fd[i] >= 0)
			close(dp->old_fd[i]);
		dp->old_fd[i] = TAKE_FD(old);
	}
	return 0;
}

/* Until they are swept, when no program writes to them any more. */
static int keep_old_maps(struct dp *dp, struct err *err)
{
	char path[512];
	int r;

	for (int i = 0; i < N_MAPS; i++) {
		if (dp->old_fd[i] < 0)
			continue;
		r = name_of_old(dp, i, path, err);
		if (r < 0)
			return r;
		r = bpf_obj_pin(dp->old_fd[i], path);
		if (r < 0 && r != -EEXIST)
			return err_set(err, -r, "pin '%s': %s", path, strerror(-r));
	}
	return 0;
}

/* Programs write to maps of this type only; the agent, which was busy here, to the others. */
void dp_pin_adopt_late(struct dp *dp)
{
	for (int i = 0; i < N_MAPS; i++) {
		struct copy c = { .to = dp->map_fd[i], .carry = dp->carry[i], .flags = BPF_NOEXIST };

		if (dp->old_fd[i] < 0)
			continue;
		(void)copy_all(dp->old_fd[i], &c);
		close(dp->old_fd[i]);
		dp->old_fd[i] = -1;
	}
}

int dp_pin_adopt_maps(struct dp *dp, struct bpf_object *obj, struct err *err)
{
	struct bpf_map *m;
	int i, r;

	bpf_object__for_each_map (m, obj) {
		if (bpf_map__is_internal(m))
			continue;
		i = map_index(bpf_map__name(m));
		if (dp->map_fd[i] >= 0)
			continue;
		dp->map_fd[i] = fcntl(bpf_map__fd(m), F_DUPFD_CLOEXEC, 3);
		if (dp->map_fd[i] < 0)
			return err_set(err, errno, "map '%s': %m", bpf_map__name(m));
		r = take_over(dp, i, m, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool is_pinned(const struct dp *dp, int i)
{
	cleanup(close_fd) int fd = open_pinned(dp, i);
	struct bpf_map_info a, b;
	uint32_t len = sizeof(a);

	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &a, &len) < 0)
		return false;
	len = sizeof(b);
	return bpf_obj_get_info_by_fd(dp->map_fd[i], &b, &len) == 0 && a.id == b.id;
}

int dp_pin_maps(struct dp *dp, struct err *err)
{
	int r;

	r = keep_old_maps(dp, err);
	if (r < 0)
		return r;
	for (int i = 0; i < N_MAPS; i++) {
		struct layout_value v = { .version = dp_map_defs[i].layout };
		struct layout_key k;

		if (!is_pinned(dp, i)) {
			r = dp_pin_replace(dp, "maps", dp_map_defs[i].name, dp->map_fd[i], err);
			if (r < 0)
				return r;
		}
		memset(&k, 0, sizeof(k));
		snprintf(k.map, sizeof(k.map), "%s", dp_map_defs[i].name);
		/* After the pin: a crash in between has the map carried over again, never misread. */
		r = bpf_map_update_elem(dp->map_fd[MAP_LAYOUTS], &k, &v, BPF_ANY);
		if (r < 0)
			return err_set(err, -r, "record the layout of map '%s': %s", dp_map_defs[i].name, strerror(-r));
	}
	return 0;
}

/* Maps that another build had and this one does not. Programs of that build which still run hold them by themselves. */
void dp_pin_sweep_maps(struct dp *dp)
{
	char path[512], entry[512 + 256];
	struct dirent *e;
	DIR *dir;

	if (dp_pin_path(dp, "maps", "", path, NULL) < 0 || !(dir = opendir(path)))
		return;
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.' || map_index(e->d_name) >= 0)
			continue;
		snprintf(entry, sizeof(entry), "%s%s", path, e->d_name);
		(void)unlink(entry);
	}
	closedir(dir);
}

int dp_pin_open_readonly(struct dp *dp, struct err *err)
{
	char path[512];
	int r;

	for (int i = 0; i < N_MAPS; i++) {
		LIBBPF_OPTS(bpf_obj_get_opts, opts, .file_flags = BPF_F_RDONLY);

		/* Its ring would be shared with the agent, and each event seen by one of both only. */
		if (i == MAP_DROP_EVENTS)
			continue;
		r = dp_pin_path(dp, "maps", dp_map_defs[i].name, path, err);
		if (r < 0)
			return r;
		dp->map_fd[i] = bpf_obj_get_opts(path, &opts);
		if (dp->map_fd[i] < 0) {
			r = dp->map_fd[i];
			dp->map_fd[i] = -1;
			return err_set(err, -r, "open map '%s': %s%s", path, strerror(-r),
				       r == -ENOENT ? " (does the agent run on this node?)" : "");
		}
		if (i != MAP_LAYOUTS && !layout_matches(dp, i))
			return err_set(err, EPROTO,
				       "map '%s' has another layout than this program knows: use the agent's version",
				       path);
	}
	return 0;
}

int dp_map_each(int fd, size_t key_size, size_t value_size, dp_entry_fn fn, void *arg)
{
	uint32_t want = EACH_BATCH, count;
	cleanup(free) char *in = calloc(1, key_size + 8), *out = calloc(1, key_size + 8);
	cleanup(free) char *keys = malloc(want * key_size), *values = malloc(want * value_size);
	bool first = true;
	int r, rr;

	if (!in || !out || !keys || !values)
		return -ENOMEM;
	for (;;) {
		count = want;
		r = bpf_map_lookup_batch(fd, first ? NULL : in, out, keys, values, &count, NULL);
		if (r == -ENOSPC && want < 1u << 20) {
			/* One hash bucket holds more than fits. */
			want *= 4;
			freep(&keys);
			freep(&values);
			keys = malloc(want * key_size);
			values = malloc(want * value_size);
			if (!keys || !values)
				return -ENOMEM;
			continue;
		}
		if (r < 0 && r != -ENOENT)
			break;
		for (uint32_t i = 0; i < count; i++) {
			rr = fn(arg, keys + i * key_size, values + i * value_size);
			if (rr < 0)
				return rr;
		}
		if (r == -ENOENT)
			return 0;
		memcpy(in, out, key_size + 8);
		first = false;
	}
	/* Map types without batches on older kernels. */
	if (!first || (r != -EINVAL && r != -EOPNOTSUPP && r != -524 /* ENOTSUPP */))
		return r;
	for (r = bpf_map_get_next_key(fd, NULL, out); r == 0; r = bpf_map_get_next_key(fd, in, out)) {
		if (bpf_map_lookup_elem(fd, out, values) == 0) {
			rr = fn(arg, out, values);
			if (rr < 0)
				return rr;
		}
		memcpy(in, out, key_size);
	}
	return r == -ENOENT ? 0 : r;
}

int dp_writable(const struct dp *dp, struct err *err)
{
	return dp->readonly ? err_set(err, EROFS, "the data plane was opened read-only") : 0;
}
