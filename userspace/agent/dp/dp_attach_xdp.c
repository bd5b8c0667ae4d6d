/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xdp_lb at the uplink: a link pinned as "xdp-<ifindex>-in", whose program is replaced inside it as those of TC are.
 * What cannot be had in automatic mode is no failure: TC programs do the same, later on a packet's way.
 */
#include "dp-internal.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINK_TYPE_XDP 6u

/*
 * A veth has the driver's hook, and loses what that sends back unless the far end takes frames from it (an XDP program
 * or GRO there), which nothing here can see.
 */
static bool driver_loses(const char *ifname)
{
	cleanup(close_fd) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
	struct ifreq req = { .ifr_data = (void *)&info };

	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", ifname);
	return fd >= 0 && ioctl(fd, SIOCETHTOOL, &req) == 0 && !strcmp(info.driver, "veth");
}

static uint32_t flags_of(enum dp_xdp mode)
{
	return mode == DP_XDP_GENERIC ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;
}

/* The pinned link, if it is of this interface and in this mode; else it goes. -1: there is none. */
static int present_link(const char *path, uint32_t ifindex, enum dp_xdp mode)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	cleanup(close_fd) int fd = bpf_obj_get(path);
	struct bpf_link_info info;
	uint32_t len = sizeof(info);

	if (fd < 0)
		return -1;
	memset(&info, 0, sizeof(info));
	if (mode != DP_XDP_OFF && bpf_obj_get_info_by_fd(fd, &info, &len) == 0 && info.type == LINK_TYPE_XDP &&
	    info.xdp.ifindex == ifindex && bpf_xdp_query((int)ifindex, 0, &query) == 0 &&
	    query.attach_mode == (mode == DP_XDP_GENERIC ? XDP_ATTACHED_SKB : XDP_ATTACHED_DRV))
		return TAKE_FD(fd);
	(void)bpf_link_detach(fd);
	(void)unlink(path);
	return -1;
}

static int attach(struct dp *dp, enum dp_xdp mode, uint32_t ifindex, struct err *err)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = flags_of(mode));
	cleanup(close_fd) int fd = -1;
	char name[64], path[512];
	int r;

	snprintf(name, sizeof(name), "xdp-%u-in", ifindex);
	r = dp_pin_path(dp, "links", name, path, err);
	if (r < 0)
		return r;
	fd = present_link(path, ifindex, mode);
	if (mode == DP_XDP_OFF)
		return 0;
	if (fd >= 0) {
		r = bpf_link_update(fd, dp->prog_fd[PROG_XDP_LB], NULL);
		return r < 0 ? err_set(err, -r, "replace the program of link '%s': %s", path, strerror(-r)) : 0;
	}
	fd = bpf_link_create(dp->prog_fd[PROG_XDP_LB], (int)ifindex, BPF_XDP, &opts);
	if (fd < 0)
		return err_set(err, -fd, "%s XDP: %s", mode == DP_XDP_GENERIC ? "generic" : "native",
			       fd == -EBUSY ? "the interface has another XDP program" : strerror(-fd));
	return dp_pin_replace(dp, "links", name, fd, err);
}

void dp_xdp_choose(struct dp *dp, const struct dp_config *config)
{
	dp->xdp = config->xdp;
	if (dp->xdp == DP_XDP_AUTO && driver_loses(config->uplink)) {
		dp->xdp = DP_XDP_OFF;
		snprintf(dp->xdp_why, sizeof(dp->xdp_why), "its driver, veth, may lose what XDP sends");
	}
}

int dp_attach_xdp(struct dp *dp, const struct dp_config *config, uint32_t uplink, struct err *err)
{
	struct err why = ERR_INIT;
	int r;

	if (dp->xdp == DP_XDP_AUTO) {
		dp->xdp = DP_XDP_NATIVE;
		if (attach(dp, DP_XDP_NATIVE, uplink, &why) == 0)
			return 0;
		dp->xdp = DP_XDP_OFF;
		snprintf(dp->xdp_why, sizeof(dp->xdp_why), "%.150s", why.msg);
	}
	r = attach(dp, dp->xdp, uplink, err);
	return r < 0 ? err_wrap(err, r, "uplink interface '%s'", config->uplink) : 0;
}

enum dp_xdp dp_xdp_mode(const struct dp *dp, const char **ret_why)
{
	if (ret_why)
		*ret_why = dp->xdp_why;
	return dp->xdp;
}
