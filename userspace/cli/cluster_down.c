/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Removing a local cluster: processes, then what held them, by name alone (cluster.h), so that it works whatever was
 * killed before. Also the bpf file system, which is mounted for the first cluster where the machine has none and
 * unmounted after the last.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/str.h"
#include "cluster.h"

#define BPFFS	   "/sys/fs/bpf"
#define BPFFS_MARK "/run/skep/.bpffs-mounted"

int cluster_bpffs_up(struct err *err)
{
	struct statfs fs;
	int r;

	if (statfs(BPFFS, &fs) < 0)
		return err_set(err, errno, BPFFS ": %m (the kernel needs CONFIG_BPF_SYSCALL and sysfs mounted)");
	if (fs.f_type == BPF_FS_MAGIC)
		return 0;
	r = dir_make("/run/skep", 0755, err);
	if (r < 0)
		return r;
	if (mount("bpffs", BPFFS, "bpf", 0, "mode=0700") < 0)
		return err_set(err, errno, "mount bpffs on " BPFFS ": %m");
	return file_write(BPFFS_MARK, "", err);
}

void cluster_bpffs_down(void)
{
	rmdir(BPFFS "/skep"); /* fails while another cluster has pins */
	if (access(BPFFS "/skep", F_OK) < 0 && !access(BPFFS_MARK, F_OK)) {
		if (!umount(BPFFS) || errno == EINVAL)
			unlink(BPFFS_MARK);
	}
}

/* Unescapes the octal of /proc/self/mountinfo in place. */
static void unescape(char *s)
{
	char *o = s;

	for (; *s; s++, o++) {
		if (s[0] == '\\' && s[1] && s[2] && s[3]) {
			*o = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*o = *s;
		}
	}
	*o = '\0';
}

/* Detaches every mount at or below dir, innermost first: mountinfo lists parents before children. */
static int unmount_below(const char *dir, struct err *err)
{
	size_t len = strlen(dir), cap = 0, n = 0;
	char **found = NULL, *line = NULL;
	FILE *f = fopen("/proc/self/mountinfo", "re");
	int r = 0;

	if (!f)
		return err_set(err, errno, "open /proc/self/mountinfo: %m");
	while (getline(&line, &cap, f) > 0) {
		char point[PATH_MAX];
		char **more;

		if (sscanf(line, "%*s %*s %*s %*s %4095s", point) != 1)
			continue;
		unescape(point);
		if (strncmp(point, dir, len) || (point[len] && point[len] != '/'))
			continue;
		more = realloc(found, (n + 1) * sizeof(*found));
		if (!more)
			break;
		found = more;
		found[n++] = strdup(point);
	}
	while (n--) {
		if (!r && found[n] && umount2(found[n], MNT_DETACH) < 0 && errno != EINVAL && errno != ENOENT)
			r = err_set(err, errno, "unmount '%s': %m", found[n]);
		free(found[n]);
	}
	free(found);
	free(line);
	fclose(f);
	return r;
}

/* Nodes are found by what is left in any place, since the state directory may be gone already. */
static void each_node(const struct cluster *c, const char *place, const char *prefix,
		      void (*fn)(const char *entry, struct err *err), struct err *err)
{
	char first[64], want[80];
	struct dirent *e;
	size_t len;
	DIR *d;

	cluster_node_name(c, 1, first);
	first[strlen(first) - 1] = '\0'; /* "node-" or "<cluster>-node-" */
	snprintf(want, sizeof(want), "%s%s", prefix, first);
	len = strlen(want);
	d = opendir(place);
	if (!d)
		return;
	while ((e = readdir(d))) {
		int64_t i;

		if (!strncmp(e->d_name, want, len) && !str_to_i64(e->d_name + len, 1, CLUSTER_MAX_NODES, &i))
			fn(e->d_name, err);
	}
	closedir(d);
}

static void keep_first(struct err *first, int r, const struct err *err)
{
	if (r < 0 && !first->code)
		*first = *err;
}

static void remove_pins(const char *entry, struct err *first)
{
	struct err err = ERR_INIT;
	char dir[PATH_MAX];

	snprintf(dir, sizeof(dir), BPFFS "/skep/%s", entry);
	keep_first(first, dir_remove(dir, &err), &err);
}

static void remove_ns(const char *entry, struct err *first)
{
	struct err err = ERR_INIT;

	keep_first(first, cluster_netns_delete(entry, &err), &err);
}

int cluster_down(const struct cluster *c, struct err *err)
{
	struct err first = ERR_INIT, one = ERR_INIT;

	keep_first(&first, cluster_cgroup_kill(c, &one), &one);
	/* Links first: with the pins goes the last reference, and the programs are off before the interfaces are. */
	each_node(c, BPFFS "/skep", "", remove_pins, &first);
	keep_first(&first, unmount_below(c->run_dir, &one), &one);
	keep_first(&first, unmount_below(c->state_dir, &one), &one);
	each_node(c, "/run/netns", "skep-", remove_ns, &first);
	keep_first(&first, cluster_netns_delete(c->lan_ns, &one), &one);
	keep_first(&first, cluster_cgroup_remove(c, &one), &one);
	keep_first(&first, dir_remove(c->state_dir, &one), &one);
	keep_first(&first, dir_remove(c->run_dir, &one), &one);
	cluster_bpffs_down();
	(void)rmdir("/var/lib/skep"); /* another cluster's, if not empty */
	(void)rmdir("/run/skep");
	if (!first.code)
		return 0;
	return err_set(err, first.code, "%s", first.msg);
}
