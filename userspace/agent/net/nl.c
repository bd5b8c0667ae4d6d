/* SPDX-License-Identifier: Apache-2.0 */
/* Single netlink operations over libnl: see nl-internal.h. */
#include <errno.h>
#include <fcntl.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/neighbour.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../lib/base/cleanup.h"
#include "nl-internal.h"

struct nl_sock *nl_open_here(struct err *err)
{
	struct nl_sock *nl = nl_socket_alloc();
	int r = nl ? nl_connect(nl, NETLINK_ROUTE) : -NLE_NOMEM;

	if (r < 0) {
		err_set(err, EIO, "netlink: %s", nl_geterror(r));
		nl_socket_free(nl);
		return NULL;
	}
	return nl;
}

struct entering {
	const char *netns;
	struct nl_sock *nl;
	struct err *err;
};

static void *open_inside(void *arg)
{
	struct entering *e = arg;
	cleanup(close_fd) int fd = open(e->netns, O_RDONLY | O_CLOEXEC);

	/* A thread's namespace is its own; the thread ends here. */
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		err_set(e->err, errno, "enter network namespace '%s': %m", e->netns);
	else
		e->nl = nl_open_here(e->err);
	return NULL;
}

struct nl_sock *nl_open_in(const char *netns, struct err *err)
{
	struct entering e = { netns, NULL, err };
	pthread_t thread;
	int r = pthread_create(&thread, NULL, open_inside, &e);

	if (r) {
		err_set(err, r, "thread: %s", strerror(r));
		return NULL;
	}
	pthread_join(thread, NULL);
	return e.nl;
}

static struct nl_addr *to_nl(const struct ip_addr *ip, unsigned len)
{
	struct nl_addr *a = ip_is_v4(ip) ? nl_addr_build(AF_INET, &ip->w[3], 4) : nl_addr_build(AF_INET6, ip, 16);

	if (a)
		nl_addr_set_prefixlen(a, (int)len);
	return a;
}

int nl_link_up(struct nl_sock *nl, int ifindex, int mtu, struct err *err)
{
	struct rtnl_link *link = NULL, *change = rtnl_link_alloc();
	int r = change ? rtnl_link_get_kernel(nl, ifindex, NULL, &link) : -NLE_NOMEM;

	if (!r) {
		rtnl_link_set_flags(change, IFF_UP);
		if (mtu)
			rtnl_link_set_mtu(change, (unsigned)mtu);
		r = rtnl_link_change(nl, link, change, 0);
	}
	rtnl_link_put(link);
	rtnl_link_put(change);
	return r < 0 ? err_set(err, EIO, "bring interface %d up: %s", ifindex, nl_geterror(r)) : 0;
}

int nl_add_address(struct nl_sock *nl, int ifindex, const struct ip_addr *ip, unsigned len, struct err *err)
{
	struct rtnl_addr *a = rtnl_addr_alloc();
	struct nl_addr *local = to_nl(ip, len);
	int r = -NLE_NOMEM;

	if (a && local) {
		rtnl_addr_set_ifindex(a, ifindex);
		rtnl_addr_set_local(a, local);
		if (!ip_is_v4(ip))
			rtnl_addr_set_flags(a, IFA_F_NODAD);
		r = rtnl_addr_add(nl, a, 0);
	}
	nl_addr_put(local);
	rtnl_addr_put(a);
	return r < 0 && r != -NLE_EXIST ? err_set(err, EIO, "add address: %s", nl_geterror(r)) : 0;
}

int nl_set_route(struct nl_sock *nl, const struct nl_route *route, struct err *err)
{
	static const struct ip_addr any4 = { { 0, 0, 0xffff0000, 0 } }, any6;
	const struct ip_addr *dst = route->dst ? route->dst : ip_is_v4(route->gateway) ? &any4 : &any6;
	struct rtnl_route *rt = rtnl_route_alloc();
	struct rtnl_nexthop *hop = rtnl_route_nh_alloc();
	struct nl_addr *to = to_nl(dst, route->dst ? route->len : 0), *via = NULL, *src = NULL;
	int r = -NLE_NOMEM;

	if (!rt || !hop || !to)
		goto out;
	rtnl_route_set_family(rt, ip_is_v4(dst) ? AF_INET : AF_INET6);
	rtnl_route_set_dst(rt, to);
	rtnl_route_set_scope(rt, route->gateway || !ip_is_v4(dst) ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK);
	rtnl_route_nh_set_ifindex(hop, route->ifindex);
	if (route->gateway) {
		via = to_nl(route->gateway, ip_is_v4(route->gateway) ? 32 : 128);
		if (!via)
			goto out;
		rtnl_route_nh_set_gateway(hop, via);
		if (route->onlink)
			rtnl_route_nh_set_flags(hop, RTNH_F_ONLINK);
	}
	if (route->src) {
		src = to_nl(route->src, ip_is_v4(route->src) ? 32 : 128);
		if (!src || rtnl_route_set_pref_src(rt, src) < 0)
			goto out;
	}
	rtnl_route_add_nexthop(rt, hop);
	hop = NULL;
	r = rtnl_route_add(nl, rt, NLM_F_CREATE | NLM_F_REPLACE);
out:
	nl_addr_put(to);
	nl_addr_put(via);
	nl_addr_put(src);
	if (hop)
		rtnl_route_nh_free(hop);
	rtnl_route_put(rt);
	return r < 0 ? err_set(err, EIO, "set route: %s", nl_geterror(r)) : 0;
}

int nl_set_neighbour(struct nl_sock *nl, int ifindex, const struct ip_addr *ip, const uint8_t mac[6], struct err *err)
{
	struct rtnl_neigh *n = rtnl_neigh_alloc();
	struct nl_addr *dst = to_nl(ip, ip_is_v4(ip) ? 32 : 128), *ll = nl_addr_build(AF_LLC, mac, 6);
	int r = -NLE_NOMEM;

	if (n && dst && ll) {
		rtnl_neigh_set_ifindex(n, ifindex);
		rtnl_neigh_set_dst(n, dst);
		rtnl_neigh_set_lladdr(n, ll);
		rtnl_neigh_set_state(n, NUD_PERMANENT);
		r = rtnl_neigh_add(nl, n, NLM_F_CREATE | NLM_F_REPLACE);
	}
	nl_addr_put(dst);
	nl_addr_put(ll);
	rtnl_neigh_put(n);
	return r < 0 ? err_set(err, EIO, "set neighbour: %s", nl_geterror(r)) : 0;
}
