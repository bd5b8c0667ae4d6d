/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See cgroup.h. Hierarchies come from /proc/self/mountinfo; plain files are five times as fast as libcgroup
 * (ENVIRONMENT.md).
 */
#include "cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/base/cleanup.h"
#include "../lib/base/file.h"
#include "../lib/base/str.h"

#define HIERARCHIES_MAX 24
#define PERIOD_US	100000

struct hierarchy {
	char *dir;
	bool v2, cpu, memory, cpuset;
};

struct cgroups {
	char *root;
	size_t n;
	struct hierarchy h[HIERARCHIES_MAX];
	char *v2_dir;
};

int64_t cgroup_shares(int64_t cpu_milli)
{
	int64_t shares = cpu_milli * 1024 / 1000;

	return shares < 2 ? 2 : shares > 262144 ? 262144 : shares;
}

int64_t cgroup_quota(int64_t cpu_milli)
{
	int64_t quota = cpu_milli * PERIOD_US / 1000;

	return quota < 1000 ? 1000 : quota;
}

int64_t cgroup_weight(int64_t shares)
{
	return 1 + ((shares - 2) * 9999) / 262142;
}

static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *s = list; s && *s; s += strcspn(s, ",\n "), s += *s != 0)
		if (!strncmp(s, word, len) && (!s[len] || strchr(",\n ", s[len])))
			return true;
	return false;
}

/* mountinfo: id parent dev root mountpoint options... - type source superoptions */
static int find_hierarchies(struct cgroups *cg, struct err *err)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[4096], point[2048], type[64], options[1024];

	if (!f)
		return err_set(err, errno, "read /proc/self/mountinfo: %m");
	while (fgets(line, sizeof(line), f) && cg->n < HIERARCHIES_MAX) {
		char *dash = strstr(line, " - ");
		struct hierarchy *h = &cg->h[cg->n];
		bool again = false;

		if (!dash || sscanf(line, "%*s %*s %*s %*s %2047s", point) != 1 ||
		    sscanf(dash + 3, "%63s %*s %1023s", type, options) != 2)
			continue;
		/* hugetlb is left alone: creating groups there can turn it on for the whole machine. */
		if ((!streq(type, "cgroup") && !streq(type, "cgroup2")) || has_word(options, "hugetlb"))
			continue;
		for (size_t i = 0; i < cg->n; i++) /* the same hierarchy, mounted twice */
			again |= streq(cg->h[i].dir, point) || (cg->h[i].v2 && streq(type, "cgroup2"));
		if (again)
			continue;
		*h = (struct hierarchy){ .dir = strdup(point),
					 .v2 = streq(type, "cgroup2"),
					 .cpu = has_word(options, "cpu"),
					 .memory = has_word(options, "memory"),
					 .cpuset = has_word(options, "cpuset") };
		if (!h->dir) {
			fclose(f);
			return err_set(err, ENOMEM, "out of memory");
		}
		cg->n++;
	}
	fclose(f);
	if (!cg->n)
		return err_set(err, ENOENT, "no cgroup hierarchy is mounted: mount one at /sys/fs/cgroup");
	return 0;
}

static int copy_setting(const char *from_dir, const char *to_dir, const char *name)
{
	char path[4096];
	cleanup(free) char *text = NULL;

	snprintf(path, sizeof(path), "%s/%s", to_dir, name);
	if (file_read(path, 4096, &text, NULL, NULL) < 0 || (text[0] && text[0] != '\n'))
		return 0;
	free(TAKE(text));
	snprintf(path, sizeof(path), "%s/%s", from_dir, name);
	if (file_read(path, 4096, &text, NULL, NULL) < 0)
		return 0;
	snprintf(path, sizeof(path), "%s/%s", to_dir, name);
	return file_write(path, text, NULL);
}

/*
 * Makes each directory of path below the hierarchy; a new cpuset takes its parent's, and v2 passes its controllers
 * down.
 */
static int make_path(struct hierarchy *h, const char *path, struct err *err)
{
	char dir[4096], parent[4096];
	size_t n = (size_t)snprintf(dir, sizeof(dir), "%s", h->dir);

	for (const char *s = path; *s;) {
		size_t len = strcspn(s + 1, "/") + 1;

		if (n + len >= sizeof(dir))
			return err_set(err, ENAMETOOLONG, "cgroup path '%s' is too long", path);
		memcpy(parent, dir, n + 1);
		if (h->v2) {
			static const char *const controllers[] = { "+cpu", "+memory", "+pids", "+cpuset", "+io" };
			char file[4200];

			snprintf(file, sizeof(file), "%s/cgroup.subtree_control", parent);
			for (size_t i = 0; i < sizeof(controllers) / sizeof(*controllers); i++)
				(void)file_write(file, controllers[i],
						 NULL); /* those that are not there are not, ignoring */
		}
		memcpy(dir + n, s, len);
		n += len;
		dir[n] = 0;
		if (mkdir(dir, 0755) < 0 && errno != EEXIST)
			return err_set(err, errno, "make cgroup '%s': %m", dir);
		if (h->cpuset && !h->v2) {
			(void)copy_setting(parent, dir, "cpuset.cpus");
			(void)copy_setting(parent, dir, "cpuset.mems");
		}
		s += len;
	}
	if (h->v2) { /* also for its children: the containers' groups */
		static const char *const controllers[] = { "+cpu", "+memory", "+pids", "+cpuset", "+io" };
		char file[4200];

		snprintf(file, sizeof(file), "%s/cgroup.subtree_control", dir);
		for (size_t i = 0; i < sizeof(controllers) / sizeof(*controllers); i++)
			(void)file_write(file, controllers[i], NULL);
	}
	return 0;
}

int cgroups_new(const char *root, struct cgroups **ret, struct err *err)
{
	struct cgroups *cg = calloc(1, sizeof(*cg));
	char path[2048];
	int r;

	if (!cg)
		return err_set(err, ENOMEM, "out of memory");
	if (root[0] != '/' || !root[1] || str_ends(root, "/") || strstr(root, "/..")) {
		free(cg);
		return err_set(err, EINVAL, "--cgroup-root '%s': give a path like /skep/default/node-1", root);
	}
	cg->root = strdup(root);
	r = cg->root ? find_hierarchies(cg, err) : err_set(err, ENOMEM, "out of memory");
	snprintf(path, sizeof(path), "%s/pods", root);
	for (size_t i = 0; i < cg->n && !r; i++) {
		r = make_path(&cg->h[i], path, err);
		if (!r && cg->h[i].v2 && asprintf(&cg->v2_dir, "%s%s", cg->h[i].dir, root) < 0)
			r = err_set(err, ENOMEM, "out of memory");
	}
	if (r < 0) {
		cgroups_free(cg);
		return r;
	}
	*ret = cg;
	return 0;
}

void cgroups_free(struct cgroups *cg)
{
	if (!cg)
		return;
	for (size_t i = 0; i < cg->n; i++)
		free(cg->h[i].dir);
	free(cg->v2_dir);
	free(cg->root);
	free(cg);
}

int cgroup_v2_find(const char *path, char **ret, struct err *err)
{
	struct cgroups *cg = calloc(1, sizeof(*cg));
	int r = cg ? find_hierarchies(cg, err) : err_set(err, ENOMEM, "out of memory");
	cleanup(free) char *dir = NULL;
	struct stat st;

	for (size_t i = 0; !r && i < cg->n; i++)
		if (cg->h[i].v2 && asprintf(&dir, "%s%s", cg->h[i].dir, streq(path, "/") ? "" : path) < 0)
			r = err_set(err, ENOMEM, "out of memory");
	cgroups_free(cg);
	if (r < 0)
		return r;
	if (!dir)
		return err_set(err, ENOENT, CGROUP_V2_MISSING);
	if (path[0] != '/' || stat(dir, &st) < 0 || !S_ISDIR(st.st_mode))
		return err_set(err, ENOENT, "--cgroup-root '%s': no control group '%s'", path, dir);
	*ret = TAKE(dir);
	return 0;
}

const char *cgroups_v2_dir(const struct cgroups *cg)
{
	return cg->v2_dir;
}

char *cgroups_pod_path(const struct cgroups *cg, const char *uid, struct arena *a)
{
	return arena_printf(a, "%s/pods/pod%s", cg->root, uid);
}

static int set_value(const char *dir, const char *name, const char *fmt, long long v, struct err *err)
{
	char path[4200], text[64];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (access(path, F_OK) < 0)
		return 0;
	snprintf(text, sizeof(text), fmt, v);
	return file_write(path, text, err);
}

int cgroups_pod_make(const struct cgroups *cg, const char *uid, int64_t cpu_request, int64_t cpu_limit,
		     int64_t memory_limit, struct err *err)
{
	char path[2048], dir[4096];
	int r = 0;

	snprintf(path, sizeof(path), "%s/pods/pod%s", cg->root, uid);
	for (size_t i = 0; i < cg->n && !r; i++) {
		struct hierarchy h = cg->h[i];

		r = make_path(&h, path, err);
		snprintf(dir, sizeof(dir), "%s%s", h.dir, path);
		if (!r && h.v2) {
			r = set_value(dir, "cpu.weight", "%lld", cgroup_weight(cgroup_shares(cpu_request)), err);
			if (!r && cpu_limit)
				r = set_value(dir, "cpu.max", "%lld 100000", cgroup_quota(cpu_limit), err);
			if (!r && memory_limit)
				r = set_value(dir, "memory.max", "%lld", memory_limit, err);
		} else if (!r) {
			if (h.cpu)
				r = set_value(dir, "cpu.shares", "%lld", cgroup_shares(cpu_request), err);
			if (!r && h.cpu && cpu_limit)
				r = set_value(dir, "cpu.cfs_quota_us", "%lld", cgroup_quota(cpu_limit), err);
			if (!r && h.memory && memory_limit)
				r = set_value(dir, "memory.limit_in_bytes", "%lld", memory_limit, err);
		}
	}
	return r;
}

/* rmdir, deepest first. */
static int remove_tree(const char *dir, int depth, struct err *err)
{
	struct dirent *e;
	char path[4096];
	DIR *d = opendir(dir);
	int r = 0;

	if (!d)
		return errno == ENOENT ? 0 : err_set(err, errno, "read '%s': %m", dir);
	while (depth && !r && (e = readdir(d))) {
		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		r = remove_tree(path, depth - 1, err);
	}
	closedir(d);
	if (!r && rmdir(dir) < 0 && errno != ENOENT)
		r = err_set(err, errno, "remove cgroup '%s': %m", dir);
	return r;
}

int cgroups_pod_remove(const struct cgroups *cg, const char *uid, struct err *err)
{
	char dir[4096];
	int ret = 0;

	for (size_t i = 0; i < cg->n; i++) {
		int r;

		snprintf(dir, sizeof(dir), "%s%s/pods/pod%s", cg->h[i].dir, cg->root, uid);
		r = remove_tree(dir, 4, err);
		if (r < 0)
			ret = r;
	}
	return ret;
}
