/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cluster's subtree in every cgroup hierarchy, on pure v2 and on hybrid (v1 controllers beside a v2 without)
 * machines. Processes are placed and killed through v2, which both have; only /skep below each hierarchy's root is
 * ever touched.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "cluster.h"

const char *cluster_cgroup2_root(struct err *err)
{
	static const char *const roots[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
	struct statfs fs;

	for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++)
		if (!statfs(roots[i], &fs) && fs.f_type == CGROUP2_SUPER_MAGIC)
			return roots[i];
	err_set(err, ENOTSUP,
		"no cgroup v2 at /sys/fs/cgroup or /sys/fs/cgroup/unified: mount it (mount -t cgroup2 none "
		"/sys/fs/cgroup/unified)");
	return NULL;
}

/* Calls fn for each hierarchy's root directory; v2 first. */
static int each_hierarchy(int (*fn)(const struct cluster *c, const char *root, struct err *err),
			  const struct cluster *c, struct err *err)
{
	const char *v2 = cluster_cgroup2_root(err);
	struct dirent *e;
	int r, first;
	DIR *d;

	if (!v2)
		return -ENOTSUP;
	first = fn(c, v2, err);
	if (!strcmp(v2, "/sys/fs/cgroup"))
		return first;
	d = opendir("/sys/fs/cgroup");
	if (!d)
		return err_set(err, errno, "open /sys/fs/cgroup: %m");
	while ((e = readdir(d))) {
		char root[PATH_MAX];
		struct statfs fs;

		snprintf(root, sizeof(root), "/sys/fs/cgroup/%s", e->d_name);
		if (e->d_name[0] == '.' || e->d_type == DT_LNK || statfs(root, &fs) < 0 ||
		    fs.f_type != CGROUP_SUPER_MAGIC)
			continue;
		r = fn(c, root, first ? NULL : err);
		if (!first)
			first = r;
	}
	closedir(d);
	return first;
}

/*
 * v2 gives a child only the controllers its parent hands down. Those that the kernel or the machine does not have are
 * left out.
 */
static void enable_controllers(const char *dir)
{
	static const char *const want[] = { "+cpu", "+memory", "+pids", "+cpuset", "+io" };
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/cgroup.subtree_control", dir);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		(void)file_write(path, want[i], NULL);
}

int cluster_cgroup_up(const struct cluster *c, struct err *err)
{
	const char *root = cluster_cgroup2_root(err);
	char dir[PATH_MAX], node[64];
	int r;

	if (!root)
		return -ENOTSUP;
	snprintf(dir, sizeof(dir), "%s/skep/%s/supervisor", root, c->name);
	r = dir_make(dir, 0755, err);
	snprintf(dir, sizeof(dir), "%s/skep", root);
	if (!r && !strcmp(root, "/sys/fs/cgroup")) {
		enable_controllers(root); /* systemd has most on already; adding some changes no process's limits */
		enable_controllers(dir);
		snprintf(dir, sizeof(dir), "%s/skep/%s", root, c->name);
		enable_controllers(dir);
	}
	for (int i = 1; !r && i <= c->n_nodes; i++) {
		snprintf(dir, sizeof(dir), "%s/skep/%s/%s", root, c->name, cluster_node_name(c, i, node));
		r = dir_make(dir, 0755, err);
		if (!r && !strcmp(root, "/sys/fs/cgroup"))
			enable_controllers(dir);
	}
	return r;
}

/* Waits for "populated 0", which the kernel announces by POLLPRI on cgroup.events. */
static int wait_empty(const char *dir, int timeout_ms, struct err *err)
{
	int64_t until = clock_mono_ms() + timeout_ms, left;
	cleanup(close_fd) int fd = -1;
	char path[PATH_MAX], buf[256];

	snprintf(path, sizeof(path), "%s/cgroup.events", dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_set(err, errno, "open '%s': %m", path);
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLPRI };
		ssize_t n = pread(fd, buf, sizeof(buf) - 1, 0);

		if (n < 0)
			return errno == ENODEV ? 0 : err_set(err, errno, "read '%s': %m", path);
		buf[n] = '\0';
		if (strstr(buf, "populated 0"))
			return 0;
		left = until - clock_mono_ms();
		if (left <= 0)
			return err_set(err, ETIMEDOUT, "processes in '%s' do not end: see its cgroup.procs", dir);
		if (poll(&p, 1, (int)left) < 0 && errno != EINTR)
			return err_set(err, errno, "poll '%s': %m", path);
	}
}

int cluster_cgroup_kill(const struct cluster *c, struct err *err)
{
	const char *root = cluster_cgroup2_root(err);
	char dir[PATH_MAX], path[PATH_MAX + 16];
	int r;

	if (!root)
		return -ENOTSUP;
	snprintf(dir, sizeof(dir), "%s/skep/%s", root, c->name);
	snprintf(path, sizeof(path), "%s/cgroup.kill", dir);
	if (access(dir, F_OK) < 0)
		return 0;
	r = file_write(path, "1", err);
	return r < 0 ? r : wait_empty(dir, 20000, err);
}

static int remove_tree(const char *dir, struct err *err)
{
	struct dirent *e;
	int r = 0;
	DIR *d;

	d = opendir(dir);
	if (!d)
		return errno == ENOENT ? 0 : err_set(err, errno, "open '%s': %m", dir);
	while (!r && (e = readdir(d))) {
		char child[PATH_MAX];

		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		snprintf(child, sizeof(child), "%s/%s", dir, e->d_name);
		r = remove_tree(child, err);
	}
	closedir(d);
	if (!r && rmdir(dir) < 0 && errno != ENOENT)
		return err_set(err, errno, "remove cgroup '%s': %m", dir);
	return r;
}

static int remove_in(const struct cluster *c, const char *root, struct err *err)
{
	char dir[PATH_MAX];
	int r;

	snprintf(dir, sizeof(dir), "%s/skep/%s", root, c->name);
	r = remove_tree(dir, err);
	snprintf(dir, sizeof(dir), "%s/skep", root);
	(void)rmdir(dir); /* another cluster's, if not empty */
	return r;
}

int cluster_cgroup_remove(const struct cluster *c, struct err *err)
{
	return each_hierarchy(remove_in, c, err);
}
