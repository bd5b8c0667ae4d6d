/* SPDX-License-Identifier: Apache-2.0 */
/* The node's own part: forwarding, the tunnel device, routes of the cluster's pods. See net.h. */
#include <errno.h>
#include <netlink/route/link.h>
#include <netlink/route/link/vxlan.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <stdio.h>
#include <string.h>

#include "../../../headers/abi/node.h"
#include "../../lib/base/file.h"
#include "nl-internal.h"

enum { VXLAN_OVERHEAD4 = 50, VXLAN_OVERHEAD6 = 70 };

static int sysctl(const char *path, const char *value, struct err *err)
{
	char full[256];
	int r;

	snprintf(full, sizeof(full), "/proc/sys/net/%s", path);
	r = file_write(full, value, err);
	return r == -ENOENT ? 0 : r; /* a kernel without IPv6 has no such switch */
}

static int find_uplink(struct nl_sock *nl, char *ifname, struct err *err)
{
	struct nl_cache *routes = NULL;
	int r = rtnl_route_alloc_cache(nl, AF_UNSPEC, 0, &routes), ifindex = 0;

	if (r < 0)
		return err_set(err, EIO, "list routes: %s", nl_geterror(r));
	for (struct nl_object *o = nl_cache_get_first(routes); o && !ifindex; o = nl_cache_get_next(o)) {
		struct rtnl_route *rt = (struct rtnl_route *)o;
		struct nl_addr *dst = rtnl_route_get_dst(rt);

		if (rtnl_route_get_table(rt) == RT_TABLE_MAIN && (!dst || !nl_addr_get_prefixlen(dst)) &&
		    rtnl_route_get_nnexthops(rt) == 1)
			ifindex = rtnl_route_nh_get_ifindex(rtnl_route_nexthop_n(rt, 0));
	}
	nl_cache_free(routes);
	if (!ifindex || !if_indextoname((unsigned)ifindex, ifname))
		return err_set(err, ENODEV, "no default route: name the interface to the other nodes with --uplink");
	return 0;
}

static int make_tunnel(struct nl_sock *nl, struct err *err)
{
	struct rtnl_link *link = NULL;
	int r;

	if (!rtnl_link_get_kernel(nl, 0, NET_TUNNEL, &link)) {
		rtnl_link_put(link);
		return 0;
	}
	link = rtnl_link_vxlan_alloc();
	if (!link)
		return err_set(err, ENOMEM, "out of memory");
	rtnl_link_set_name(link, NET_TUNNEL);
	rtnl_link_set_flags(link, IFF_NOARP);
	/* External mode: VNI and remote end come with each packet, from eBPF. */
	r = rtnl_link_vxlan_set_port(link, SKEP_VXLAN_PORT);
	if (!r)
		r = rtnl_link_vxlan_set_learning(link, 0);
	if (!r)
		r = rtnl_link_vxlan_set_collect_metadata(link, 1);
	if (!r)
		r = rtnl_link_add(nl, link, NLM_F_CREATE | NLM_F_EXCL);
	rtnl_link_put(link);
	return r < 0 ? err_set(err, EIO, "make VXLAN device " NET_TUNNEL " (kernel module vxlan): %s", nl_geterror(r))
		     : 0;
}

int net_node_setup(struct net_node *n, struct err *err)
{
	struct nl_sock *nl = nl_open_here(err);
	struct rtnl_link *up = NULL;
	int r, index, mtu;

	if (!nl)
		return -EIO;
	r = n->uplink[0] ? 0 : find_uplink(nl, n->uplink, err);
	if (r < 0)
		goto out;
	r = rtnl_link_get_kernel(nl, 0, n->uplink, &up);
	if (r < 0) {
		r = err_set(err, ENODEV, "uplink '%s': %s", n->uplink, nl_geterror(r));
		goto out;
	}
	mtu = (int)rtnl_link_get_mtu(up);
	rtnl_link_put(up);
	n->pod_mtu = mtu - (ip_is_zero(&n->ip4) ? VXLAN_OVERHEAD6 : VXLAN_OVERHEAD4);
	r = sysctl("ipv4/ip_forward", "1", err);
	if (!r)
		r = sysctl("ipv6/conf/all/forwarding", "1", err);
	/*
	 * Replies may come by another interface than the kernel would use: eBPF checks sources, rp_filter knows no
	 * pods.
	 */
	if (!r)
		r = sysctl("ipv4/conf/all/rp_filter", "0", err);
	if (!r)
		r = sysctl("ipv4/conf/default/rp_filter", "0", err);
	if (!r)
		r = make_tunnel(nl, err);
	index = (int)if_nametoindex(NET_TUNNEL);
	if (!r)
		r = nl_link_up(nl, index, n->pod_mtu, err);
	if (!r && !ip_is_zero(&n->ip4) && !ip_is_zero(&n->pods4)) {
		struct nl_route route = { .dst = &n->pods4, .len = n->pods4_len, .src = &n->ip4, .ifindex = index };

		r = nl_set_route(nl, &route, err);
	}
	if (!r && !ip_is_zero(&n->ip6) && !ip_is_zero(&n->pods6)) {
		struct nl_route route = { .dst = &n->pods6, .len = n->pods6_len, .src = &n->ip6, .ifindex = index };

		r = nl_set_route(nl, &route, err);
	}
out:
	nl_socket_free(nl);
	return r;
}
