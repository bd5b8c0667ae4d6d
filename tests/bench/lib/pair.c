/* SPDX-License-Identifier: Apache-2.0 */
/* See pair.h. */
#include "pair.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct pair pair;
struct err pair_error;
static pid_t owner; /* children leave by exit() too */

void pair_fail(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

void pair_sh(const char *cmd)
{
	if (system(cmd) != 0)
		pair_fail("%s: failed", cmd);
}

void pair_enter(const char *ns)
{
	char path[64];
	int fd;

	if (!ns) {
		if (setns(pair.home, CLONE_NEWNET) < 0)
			pair_fail("setns: %s", strerror(errno));
		return;
	}
	snprintf(path, sizeof(path), "/run/netns/%s", ns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		pair_fail("%s: %s", path, strerror(errno));
	close(fd);
}

void pair_join(const char *cgroup)
{
	char path[192], pid[16];
	int fd, n = snprintf(pid, sizeof(pid), "%d", getpid());

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, pid, (size_t)n) != n)
		pair_fail("%s: %s", path, strerror(errno));
	close(fd);
}

uint64_t pair_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

struct ip_addr pair_v4(uint32_t host_order)
{
	return (struct ip_addr){ { 0, 0, htonl(0xffff), htonl(host_order) } };
}

void pair_dp_on(void)
{
	if (dp_open(&pair.config, &pair.dp, &pair_error) < 0)
		pair_fail("%s", pair_error.msg);
}

void pair_dp_off(void)
{
	dp_close(pair.dp);
	pair.dp = NULL;
	if (dp_destroy(pair.pin_dir, &pair_error) < 0)
		pair_fail("%s", pair_error.msg);
}

static void tear_down(void)
{
	if (getpid() != owner)
		return;
	dp_close(pair.dp);
	(void)dp_destroy(pair.pin_dir, NULL);
	(void)umount2(pair.dir, MNT_DETACH);
	(void)rmdir(pair.dir);
	pair_join(pair.cgroup_root);
	(void)rmdir(pair.cgroup);
}

void pair_up(const char *name, uint32_t max_services)
{
	snprintf(pair.cgroup_root, sizeof(pair.cgroup_root), "%s",
		 access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/unified");
	snprintf(pair.cgroup, sizeof(pair.cgroup), "%s/skep-%s-%d", pair.cgroup_root, name, getpid());
	snprintf(pair.dir, sizeof(pair.dir), "/tmp/skep-%s-%d", name, getpid());
	snprintf(pair.pin_dir, sizeof(pair.pin_dir), "%s/node", pair.dir);
	if (mkdir(pair.cgroup, 0755) < 0 || mkdir(pair.dir, 0700) < 0 || unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount("bpf", pair.dir, "bpf", 0, NULL) < 0 ||
	    mount("run", "/run", "tmpfs", 0, NULL) < 0)
		pair_fail("a node of its own: %s", strerror(errno));
	owner = getpid();
	atexit(tear_down);
	pair_sh("ip link set lo up && echo 1 >/proc/sys/net/ipv4/ip_forward && ip link add up0 type veth peer name up1 &&"
		"ip link add tun0 type vxlan external dstport 4789");
	for (int i = 1; i <= 2; i++) {
		char cmd[1024];

		snprintf(
			cmd, sizeof(cmd),
			"ip netns add p%1$d && ip link add host%1$d address 02:00:00:00:02:0%1$d type veth peer name eth0 address "
			"02:00:00:00:01:0%1$d netns p%1$d && ip -n p%1$d link set lo up && ip -n p%1$d link set eth0 up &&"
			"ip link set host%1$d up && ip route add 10.0.1.%1$d dev host%1$d &&"
			"ip neigh add 10.0.1.%1$d lladdr 02:00:00:00:01:0%1$d dev host%1$d &&"
			"ip -n p%1$d addr add 10.0.1.%1$d/32 dev eth0 && ip -n p%1$d route add 169.254.1.1 dev eth0 &&"
			"ip -n p%1$d route add default via 169.254.1.1 &&"
			"ip -n p%1$d neigh add 169.254.1.1 lladdr 02:00:00:00:02:0%1$d dev eth0",
			i);
		pair_sh(cmd);
	}
	pair.home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	pair.config = (struct dp_config){
		.pin_dir = pair.pin_dir,
		.cgroup_dir = pair.cgroup,
		.uplink = "up0",
		.tunnel = "tun0",
		.node_ip4 = pair_v4(0xac1e0101),
		.pod_cidr4 = pair_v4(0x0a000000),
		.pod_cidr4_len = 8,
		.lan4 = pair_v4(0xac1e0000),
		.lan4_len = 16,
		.services4 = pair_v4(0x0a600000),
		.services4_len = 12,
		.max_services = max_services,
	};
}
