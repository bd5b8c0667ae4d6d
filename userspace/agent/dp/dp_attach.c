/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hooks. With tcx (kernel 6.6) each is a link pinned under <pin_dir>/links, and a new program replaces the old one
 * inside the link. Without, it is a clsact filter, replaced in place, and what is pinned under the same name is the
 * program. Names are "<role>-<ifindex>-in" and "-out"; cgroup hooks are "sock-<hook>".
 */
#include "dp-internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/file.h"

/* libbpf 1.1 and the headers of Linux 6.1 do not know tcx. */
#define ATTACH_TCX_INGRESS 46u
#define ATTACH_TCX_EGRESS  47u
#define LINK_TYPE_CGROUP   3u

/* The beginning of union bpf_attr for BPF_LINK_CREATE; the rest of the union is zero. */
struct link_create_attr {
	uint32_t prog_fd, target_ifindex, attach_type, flags;
	uint64_t rest[4];
};

/* The beginning of struct bpf_link_info; a tcx link has the interface first in the union. */
struct link_info {
	uint32_t type, id, prog_id, pad;
	union {
		uint32_t tcx_ifindex; /* 0: the interface is gone */
		uint64_t cgroup_id;
	};
	uint64_t rest[4];
};

#define CLSACT_HANDLE	0x5ce9
#define CLSACT_PRIORITY 50

static int tcx_link_create(int prog_fd, uint32_t ifindex, bool ingress)
{
	struct link_create_attr attr;
	int fd;

	memset(&attr, 0, sizeof(attr));
	attr.prog_fd = prog_fd;
	attr.target_ifindex = ifindex;
	attr.attach_type = ingress ? ATTACH_TCX_INGRESS : ATTACH_TCX_EGRESS;
	fd = syscall(__NR_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
	return fd < 0 ? -errno : fd;
}

bool dp_attach_probe_tcx(void)
{
	struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	cleanup(close_fd) int prog = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "skep_probe", "GPL", insns, 2, NULL);
	cleanup(close_fd) int link = -1;

	/* No such interface: a kernel that has tcx says so, another one does not know the attach type. */
	if (prog < 0)
		return false;
	link = tcx_link_create(prog, INT32_MAX, true);
	return link == -ENODEV;
}

static int link_info(int fd, struct link_info *info)
{
	uint32_t len = sizeof(*info);

	memset(info, 0, sizeof(*info));
	return bpf_obj_get_info_by_fd(fd, info, &len);
}

static int attach_tcx(struct dp *dp, const char *name, uint32_t ifindex, bool ingress, int prog_fd, struct err *err)
{
	cleanup(close_fd) int fd = -1;
	struct link_info info;
	char path[512];
	int r;

	r = dp_pin_path(dp, "links", name, path, err);
	if (r < 0)
		return r;
	fd = bpf_obj_get(path);
	if (fd >= 0 && link_info(fd, &info) == 0 && info.tcx_ifindex == ifindex) {
		r = bpf_link_update(fd, prog_fd, NULL);
		if (r == 0)
			return 0;
		if (r != -ENOLINK)
			return err_set(err, -r, "replace the program of link '%s': %s", path, strerror(-r));
	}
	if (fd >= 0) {
		/* Of an interface that is gone. */
		close(fd);
		fd = -1;
		(void)unlink(path);
	}
	fd = tcx_link_create(prog_fd, ifindex, ingress);
	if (fd < 0)
		return err_set(err, -fd, "attach to interface %u (tcx): %s", ifindex, strerror(-fd));
	return dp_pin_replace(dp, "links", name, fd, err);
}

static int attach_clsact(struct dp *dp, const char *name, uint32_t ifindex, bool ingress, int prog_fd, struct err *err)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex,
		    .attach_point = ingress ? BPF_TC_INGRESS : BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = CLSACT_HANDLE, .priority = CLSACT_PRIORITY, .prog_fd = prog_fd,
		    .flags = BPF_TC_F_REPLACE);
	int r;

	r = bpf_tc_hook_create(&hook);
	if (r < 0 && r != -EEXIST)
		return err_set(err, -r, "clsact queueing discipline on interface %u: %s", ifindex, strerror(-r));
	r = bpf_tc_attach(&hook, &opts);
	if (r < 0)
		return err_set(err, -r, "attach to interface %u (clsact): %s", ifindex, strerror(-r));
	return dp_pin_replace(dp, "links", name, prog_fd, err);
}

static int attach_tc(struct dp *dp, const char *role, uint32_t ifindex, bool ingress, enum dp_prog prog,
		     struct err *err)
{
	char name[64];

	snprintf(name, sizeof(name), "%s-%u-%s", role, ifindex, ingress ? "in" : "out");
	return (dp->tcx ? attach_tcx : attach_clsact)(dp, name, ifindex, ingress, dp->prog_fd[prog], err);
}

static void unpin(struct dp *dp, const char *role, uint32_t ifindex, const char *way)
{
	char name[64], path[512];

	snprintf(name, sizeof(name), "%s-%u-%s", role, ifindex, way);
	if (dp_pin_path(dp, "links", name, path, NULL) == 0)
		(void)unlink(path);
}

int dp_attach_pod(struct dp *dp, uint32_t ifindex, struct err *err)
{
	int r;

	r = dp_writable(dp, err);
	if (r < 0)
		return r;
	dp_attach_sweep(dp);
	/* The way out of the pod first: an interface with one program only cannot leak what the pod sends. */
	r = attach_tc(dp, "pod", ifindex, true, PROG_FROM_POD, err);
	if (r < 0)
		return r;
	r = attach_tc(dp, "pod", ifindex, false, PROG_TO_POD, err);
	if (r < 0)
		unpin(dp, "pod", ifindex, "in");
	return r;
}

static bool interface_exists(uint32_t ifindex)
{
	char name[IF_NAMESIZE];

	return if_indextoname(ifindex, name) != NULL;
}

void dp_attach_gone(struct dp *dp, uint32_t ifindex)
{
	uint32_t *p;

	if (dp->n_gone == dp->cap_gone) {
		p = realloc(dp->gone, (dp->cap_gone + 64) * sizeof(*p));
		if (!p)
			return; /* the next dp_open() finds it */
		dp->gone = p;
		dp->cap_gone += 64;
	}
	dp->gone[dp->n_gone++] = ifindex;
}

void dp_attach_sweep(struct dp *dp)
{
	size_t kept = 0;

	for (size_t i = 0; i < dp->n_gone; i++) {
		if (interface_exists(dp->gone[i])) {
			dp->gone[kept++] = dp->gone[i];
			continue;
		}
		unpin(dp, "pod", dp->gone[i], "in");
		unpin(dp, "pod", dp->gone[i], "out");
	}
	dp->n_gone = kept;
}

/*
 * Names under links/, read before anything there changes. One allocation per name, at most as many as there are
 * interfaces.
 */
static int link_names(const struct dp *dp, char ***ret, size_t *ret_n, struct err *err)
{
	char path[512], **names = NULL;
	size_t n = 0, cap = 0;
	struct dirent *e;
	DIR *dir;
	int r;

	r = dp_pin_path(dp, "links", "", path, err);
	if (r < 0)
		return r;
	dir = opendir(path);
	if (!dir)
		return err_set(err, errno, "read '%s': %m", path);
	while ((e = readdir(dir))) {
		if (n == cap) {
			void *p = realloc(names, (cap += 64) * sizeof(*names));

			if (!p) {
				r = err_set(err, ENOMEM, "out of memory");
				break;
			}
			names = p;
		}
		names[n] = strdup(e->d_name);
		if (!names[n]) {
			r = err_set(err, ENOMEM, "out of memory");
			break;
		}
		n++;
	}
	closedir(dir);
	*ret = names;
	*ret_n = n;
	return r;
}

static void free_names(char **names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

int dp_attach_refresh_pods(struct dp *dp, struct err *err)
{
	char **names = NULL;
	size_t n = 0;
	int r;

	r = link_names(dp, &names, &n, err);
	for (size_t i = 0; r == 0 && i < n; i++) {
		char role[16], way[8];
		uint32_t ifindex;

		if (sscanf(names[i], "%15[a-z]-%u-%7[a-z]", role, &ifindex, way) != 3)
			continue;
		if (!interface_exists(ifindex))
			unpin(dp, role, ifindex, way);
		else if (!strcmp(role, "pod"))
			r = attach_tc(dp, "pod", ifindex, !strcmp(way, "in"),
				      !strcmp(way, "in") ? PROG_FROM_POD : PROG_TO_POD, err);
		if (r == -ENODEV)
			r = 0; /* it went this instant */
	}
	free_names(names, n);
	return r;
}

static const struct {
	enum dp_prog prog;
	enum bpf_attach_type type;
	const char *name;
} cgroup_hooks[] = {
	/* What undoes a translation is attached before what makes one. */
	{ PROG_GETPEERNAME4, BPF_CGROUP_INET4_GETPEERNAME, "sock-getpeername4" },
	{ PROG_GETPEERNAME6, BPF_CGROUP_INET6_GETPEERNAME, "sock-getpeername6" },
	{ PROG_RECVMSG4, BPF_CGROUP_UDP4_RECVMSG, "sock-recvmsg4" },
	{ PROG_RECVMSG6, BPF_CGROUP_UDP6_RECVMSG, "sock-recvmsg6" },
	{ PROG_SENDMSG4, BPF_CGROUP_UDP4_SENDMSG, "sock-sendmsg4" },
	{ PROG_SENDMSG6, BPF_CGROUP_UDP6_SENDMSG, "sock-sendmsg6" },
	{ PROG_CONNECT4, BPF_CGROUP_INET4_CONNECT, "sock-connect4" },
	{ PROG_CONNECT6, BPF_CGROUP_INET6_CONNECT, "sock-connect6" },
};

static int attach_cgroup(struct dp *dp, int cgroup_fd, uint64_t cgroup_id, size_t i, struct err *err)
{
	cleanup(close_fd) int fd = -1;
	int prog_fd = dp->prog_fd[cgroup_hooks[i].prog];
	struct link_info info;
	char path[512];
	int r;

	r = dp_pin_path(dp, "links", cgroup_hooks[i].name, path, err);
	if (r < 0)
		return r;
	fd = bpf_obj_get(path);
	if (fd >= 0 && link_info(fd, &info) == 0 && info.type == LINK_TYPE_CGROUP && info.cgroup_id == cgroup_id) {
		r = bpf_link_update(fd, prog_fd, NULL);
		if (r == 0)
			return 0;
	}
	if (fd >= 0) {
		/* Of another cgroup, or of one that was removed. */
		close(fd);
		fd = -1;
		(void)unlink(path);
	}
	fd = bpf_link_create(prog_fd, cgroup_fd, cgroup_hooks[i].type, NULL);
	if (fd < 0)
		return err_set(err, -fd, "attach %s: %s", cgroup_hooks[i].name, strerror(-fd));
	return dp_pin_replace(dp, "links", cgroup_hooks[i].name, fd, err);
}

static int attach_sockets(struct dp *dp, const char *cgroup_dir, struct err *err)
{
	cleanup(close_fd) int fd = open(cgroup_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(err, errno, "cgroup '%s': %m", cgroup_dir);
	for (size_t i = 0; i < sizeof(cgroup_hooks) / sizeof(cgroup_hooks[0]); i++) {
		r = attach_cgroup(dp, fd, st.st_ino, i, err); /* a cgroup's id is its inode number */
		if (r < 0)
			return err_wrap(err, r, "cgroup '%s'", cgroup_dir);
	}
	return 0;
}

/* An interface that had this role before, and still exists, is let go. */
static void release_others(struct dp *dp, const char *role, uint32_t ifindex)
{
	char **names = NULL;
	size_t n = 0;

	(void)link_names(dp, &names, &n, NULL);
	for (size_t i = 0; i < n; i++) {
		char other[16], way[8];
		uint32_t old;

		if (sscanf(names[i], "%15[a-z]-%u-%7[a-z]", other, &old, way) != 3 || strcmp(role, other) ||
		    old == ifindex)
			continue;
		if (!dp->tcx) {
			LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)old,
				    .attach_point = strcmp(way, "in") ? BPF_TC_EGRESS : BPF_TC_INGRESS);
			LIBBPF_OPTS(bpf_tc_opts, opts, .handle = CLSACT_HANDLE, .priority = CLSACT_PRIORITY);

			(void)bpf_tc_detach(&hook, &opts);
		}
		unpin(dp, role, old, way);
	}
	free_names(names, n);
}

int dp_attach_node(struct dp *dp, const struct dp_config *config, struct err *err)
{
	const struct {
		const char *role, *name;
		enum dp_prog in, out;
	} ends[] = {
		{ "tunnel", config->tunnel, PROG_FROM_TUNNEL, PROG_TO_TUNNEL },
		{ "uplink", config->uplink, PROG_FROM_UPLINK, PROG_TO_UPLINK },
	};
	uint32_t ifindex;
	int r;

	for (size_t i = 0; i < 2; i++) {
		ifindex = if_nametoindex(ends[i].name);
		if (!ifindex)
			return err_set(err, ENODEV, "%s interface '%s' does not exist", ends[i].role, ends[i].name);
		r = attach_tc(dp, ends[i].role, ifindex, true, ends[i].in, err);
		if (r == 0)
			r = attach_tc(dp, ends[i].role, ifindex, false, ends[i].out, err);
		if (r < 0)
			return err_wrap(err, r, "%s interface '%s'", ends[i].role, ends[i].name);
		release_others(dp, ends[i].role, ifindex);
	}
	r = dp_attach_xdp(dp, config, ifindex, err);
	if (r < 0)
		return r;
	release_others(dp, "xdp", ifindex);
	return attach_sockets(dp, config->cgroup_dir, err);
}

int dp_attach_destroy(const char *pin_dir, struct err *err)
{
	char path[512], entry[512 + 256];
	struct dirent *e;
	DIR *dir;

	if (snprintf(path, sizeof(path), "%s/links", pin_dir) >= (int)sizeof(path))
		return err_set(err, ENAMETOOLONG, "pin directory '%s' is too long a path", pin_dir);
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? 0 : err_set(err, errno, "read '%s': %m", path);
	while ((e = readdir(dir))) {
		cleanup(close_fd) int fd = -1;
		char role[16], way[8];
		uint32_t ifindex;

		if (e->d_name[0] == '.')
			continue;
		snprintf(entry, sizeof(entry), "%s/%s", path, e->d_name);
		fd = bpf_obj_get(entry);
		/* A link is detached now; the last reference may go later. A program means a clsact filter. */
		if (fd >= 0 && bpf_link_detach(fd) < 0 &&
		    sscanf(e->d_name, "%15[a-z]-%u-%7[a-z]", role, &ifindex, way) == 3) {
			LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex,
				    .attach_point = strcmp(way, "in") ? BPF_TC_EGRESS : BPF_TC_INGRESS);
			LIBBPF_OPTS(bpf_tc_opts, opts, .handle = CLSACT_HANDLE, .priority = CLSACT_PRIORITY);

			(void)bpf_tc_detach(&hook, &opts);
		}
		(void)unlink(entry);
	}
	closedir(dir);
	return 0;
}
