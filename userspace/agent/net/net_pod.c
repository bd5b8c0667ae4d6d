/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pod's interface pair. The pod has a /32 (and /128) and sends everything to a link-local gateway whose MAC is the
 * host side's, by a permanent neighbour entry: no ARP, no ND, no subnet. See net.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <netlink/route/link.h>
#include <netlink/route/link/veth.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/file.h"
#include "../../lib/base/str.h"
#include "nl-internal.h"

#define PREFIX "skp"

void net_pod_ifname(const char *sandbox_id, char *buf)
{
	snprintf(buf, IFNAMSIZ, PREFIX "%.12s", sandbox_id);
}

static int get_link(struct nl_sock *nl, const char *name, int *ret_ifindex, uint8_t mac[6], struct err *err)
{
	struct rtnl_link *link = NULL;
	struct nl_addr *ll;
	int r = rtnl_link_get_kernel(nl, 0, name, &link);

	if (r < 0)
		return err_set(err, ENODEV, "interface '%s': %s", name, nl_geterror(r));
	*ret_ifindex = rtnl_link_get_ifindex(link);
	ll = rtnl_link_get_addr(link);
	if (ll && nl_addr_get_len(ll) == 6)
		memcpy(mac, nl_addr_get_binary_addr(ll), 6);
	rtnl_link_put(link);
	return 0;
}

/*
 * Addresses of our own: udev gives interfaces that the kernel numbered at random another address a moment later
 * (MACAddressPolicy=persistent), and neighbours and anti-spoofing are told of the first one.
 */
static int set_mac(struct rtnl_link *link)
{
	uint8_t mac[6];
	struct nl_addr *addr;

	if (getrandom(mac, sizeof(mac), 0) != sizeof(mac))
		return -errno;
	mac[0] = (uint8_t)((mac[0] & 0xfe) | 0x02); /* unicast, locally administered */
	addr = nl_addr_build(AF_LLC, mac, sizeof(mac));
	if (!addr)
		return -ENOMEM;
	rtnl_link_set_addr(link, addr);
	nl_addr_put(addr);
	return 0;
}

static int make_pair(struct nl_sock *nl, const struct net_pod *p, struct err *err)
{
	cleanup(close_fd) int fd = open(p->netns, O_RDONLY | O_CLOEXEC);
	struct rtnl_link *veth, *peer;
	int r;

	if (fd < 0)
		return err_set(err, errno, "network namespace '%s': %m", p->netns);
	veth = rtnl_link_veth_alloc();
	if (!veth)
		return err_set(err, ENOMEM, "out of memory");
	peer = rtnl_link_veth_get_peer(veth);
	rtnl_link_set_name(veth, p->host_ifname);
	rtnl_link_set_mtu(veth, (unsigned)p->mtu);
	rtnl_link_set_name(peer, p->ifname);
	rtnl_link_set_mtu(peer, (unsigned)p->mtu);
	rtnl_link_set_ns_fd(peer, fd);
	r = set_mac(veth);
	if (!r)
		r = set_mac(peer);
	if (r < 0) {
		err_set(err, -r, "addresses for '%s': %s", p->host_ifname, strerror(-r));
	} else {
		r = rtnl_link_add(nl, veth, NLM_F_CREATE | NLM_F_EXCL);
		if (r < 0)
			r = err_set(err, EIO, "make interface '%s': %s", p->host_ifname, nl_geterror(r));
	}
	rtnl_link_put(peer);
	rtnl_link_put(veth);
	return r;
}

int net_pod_create(struct net_pod *p, struct err *err)
{
	struct nl_sock *nl = nl_open_here(err), *in = NULL;
	int r, index;

	if (!nl)
		return -EIO;
	/* A pair left by an attempt that failed half way is of no use. */
	r = net_link_delete(p->host_ifname, err);
	if (!r)
		r = make_pair(nl, p, err);
	if (!r)
		r = get_link(nl, p->host_ifname, &index, p->host_mac, err);
	if (r < 0)
		goto out;
	p->ifindex = (uint32_t)index;
	in = nl_open_in(p->netns, err);
	r = in ? get_link(in, p->ifname, &index, p->pod_mac, err) : -EIO;
out:
	nl_socket_free(in);
	nl_socket_free(nl);
	return r;
}

static void quiet_sysctls(const char *ifname)
{
	static const char *const v6[] = { "accept_ra", "accept_dad", "autoconf" };
	char path[128];

	/* Best effort, and only for IPv6 hosts: a host side has no business with router advertisements. */
	for (size_t i = 0; i < sizeof(v6) / sizeof(v6[0]); i++) {
		snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/%s", ifname, v6[i]);
		(void)file_write(path, "0", NULL);
	}
	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/rp_filter", ifname);
	(void)file_write(path, "0", NULL);
}

static int configure_inside(struct nl_sock *in, const struct net_pod *p, struct err *err)
{
	struct ip_addr gw4, gw6;
	uint8_t mac[6];
	int index, lo, r;

	ip_parse("169.254.1.1", &gw4);
	ip_parse("fe80::1", &gw6);
	r = get_link(in, "lo", &lo, mac, err);
	if (!r)
		r = nl_link_up(in, lo, 0, err);
	if (!r)
		r = get_link(in, p->ifname, &index, mac, err);
	if (!r && !ip_is_zero(&p->ip4))
		r = nl_add_address(in, index, &p->ip4, 32, err);
	if (!r && !ip_is_zero(&p->ip6))
		r = nl_add_address(in, index, &p->ip6, 128, err);
	if (!r)
		r = nl_link_up(in, index, 0, err);
	if (!r && !ip_is_zero(&p->ip4)) {
		struct nl_route dflt = { .gateway = &gw4, .ifindex = index, .onlink = true };

		r = nl_set_neighbour(in, index, &gw4, p->host_mac, err);
		if (!r)
			r = nl_set_route(in, &dflt, err);
	}
	if (!r && !ip_is_zero(&p->ip6)) {
		struct nl_route dflt = { .gateway = &gw6, .ifindex = index, .onlink = true };

		r = nl_set_neighbour(in, index, &gw6, p->host_mac, err);
		if (!r)
			r = nl_set_route(in, &dflt, err);
	}
	return r;
}

int net_pod_up(const struct net_pod *p, struct err *err)
{
	struct nl_sock *nl = nl_open_here(err), *in = nl ? nl_open_in(p->netns, err) : NULL;
	const struct ip_addr *ips[] = { &p->ip4, &p->ip6 };
	int r = in ? 0 : -EIO;

	if (r < 0)
		goto out;
	quiet_sysctls(p->host_ifname);
	r = nl_link_up(nl, (int)p->ifindex, 0, err);
	for (int i = 0; !r && i < 2; i++) {
		struct nl_route route = { .dst = ips[i], .len = i ? 128 : 32, .ifindex = (int)p->ifindex };

		if (ip_is_zero(ips[i]))
			continue;
		r = nl_set_route(nl, &route, err);
		if (!r)
			r = nl_set_neighbour(nl, (int)p->ifindex, ips[i], p->pod_mac, err);
	}
	if (!r)
		r = configure_inside(in, p, err);
out:
	nl_socket_free(in);
	nl_socket_free(nl);
	return r;
}

int net_link_delete(const char *ifname, struct err *err)
{
	struct nl_sock *nl = nl_open_here(err);
	struct rtnl_link *link = NULL;
	int r;

	if (!nl)
		return -EIO;
	r = rtnl_link_get_kernel(nl, 0, ifname, &link);
	if (!r)
		r = rtnl_link_delete(nl, link);
	rtnl_link_put(link);
	nl_socket_free(nl);
	if (r == -NLE_OBJ_NOTFOUND || r == -NLE_NODEV)
		return 0;
	return r < 0 ? err_set(err, EIO, "remove interface '%s': %s", ifname, nl_geterror(r)) : 0;
}

int net_link_index(const char *ifname, uint32_t *ret_ifindex)
{
	unsigned index = if_nametoindex(ifname);

	if (!index)
		return -ENODEV;
	*ret_ifindex = index;
	return 0;
}

int net_pod_links(char (**ret)[IFNAMSIZ], size_t *ret_n, struct err *err)
{
	struct if_nameindex *all = if_nameindex();
	char(*out)[IFNAMSIZ];
	size_t n = 0;

	if (!all)
		return err_set(err, errno, "list interfaces: %m");
	while (all[n].if_index)
		n++;
	out = calloc(n + 1, sizeof(*out));
	if (!out) {
		if_freenameindex(all);
		return err_set(err, ENOMEM, "out of memory");
	}
	n = 0;
	for (struct if_nameindex *i = all; i->if_index; i++)
		if (str_starts(i->if_name, PREFIX))
			snprintf(out[n++], IFNAMSIZ, "%s", i->if_name);
	if_freenameindex(all);
	*ret = out;
	*ret_n = n;
	return 0;
}
