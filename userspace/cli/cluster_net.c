/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The closed virtual LAN of a local cluster: a namespace with a bridge (and the control plane), and one namespace per
 * node joined to it by a veth pair. Nothing touches the machine's own interfaces: every link is born inside these
 * namespaces.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/bridge.h>
#include <netlink/route/link/veth.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "cluster.h"

#define NETNS_DIR "/run/netns"

static void netns_path(const char *ns, char *buf)
{
	snprintf(buf, PATH_MAX, NETNS_DIR "/%s", ns);
}

int cluster_netns_open(const char *ns)
{
	char path[PATH_MAX];
	int fd;

	netns_path(ns, path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Runs fn in a child that has entered ns (NULL: a new namespace): the caller's own namespace is never changed. */
static int in_child(const char *what, int (*fn)(void *arg, struct err *err), void *arg, struct err *err)
{
	cleanup(close_fd) int rd = -1;
	struct err got = ERR_INIT;
	int fds[2], status;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_set(err, errno, "pipe: %m");
	rd = fds[0];
	pid = fork();
	if (pid < 0) {
		close(fds[1]);
		return err_set(err, errno, "fork: %m");
	}
	if (!pid) {
		int r = fn(arg, &got);

		if (r < 0 && write(fds[1], &got, sizeof(got)) < 0)
			_exit(2);
		_exit(r < 0);
	}
	close(fds[1]);
	if (read(rd, &got, sizeof(got)) != sizeof(got))
		err_set(&got, EIO, "helper process failed");
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return err_set(err, got.code, "%s: %s", what, got.msg);
	return 0;
}

static int make_ns(void *arg, struct err *err)
{
	const char *path = arg;

	if (unshare(CLONE_NEWNET) < 0)
		return err_set(err, errno, "unshare(CLONE_NEWNET): %m");
	if (mount("/proc/self/ns/net", path, "none", MS_BIND, NULL) < 0)
		return err_set(err, errno, "bind '%s': %m", path);
	return 0;
}

/*
 * As `ip netns add` does it: the directory is a shared mount, so that namespaces made later are seen by every mount
 * namespace.
 */
static int netns_make(const char *ns, struct err *err)
{
	char path[PATH_MAX];
	struct stat dir, parent, st;
	int fd, r;

	r = dir_make(NETNS_DIR, 0755, err);
	if (r < 0)
		return r;
	if (stat(NETNS_DIR, &dir) < 0 || stat("/run", &parent) < 0)
		return err_set(err, errno, "stat " NETNS_DIR ": %m");
	if (dir.st_dev == parent.st_dev && mount("", NETNS_DIR, "none", MS_SHARED | MS_REC, NULL) < 0) {
		if (errno != EINVAL || mount(NETNS_DIR, NETNS_DIR, "none", MS_BIND | MS_REC, NULL) < 0 ||
		    mount("", NETNS_DIR, "none", MS_SHARED | MS_REC, NULL) < 0)
			return err_set(err, errno, "share " NETNS_DIR ": %m");
	}
	netns_path(ns, path);
	if (!stat(path, &st) && st.st_dev != dir.st_dev)
		return 0; /* there already, a namespace is mounted on it */
	fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0444);
	if (fd < 0)
		return err_set(err, errno, "create '%s': %m", path);
	close(fd);
	return in_child(ns, make_ns, path, err);
}

int cluster_netns_delete(const char *ns, struct err *err)
{
	char path[PATH_MAX];

	netns_path(ns, path);
	while (!umount2(path, MNT_DETACH))
		;
	if (unlink(path) < 0 && errno != ENOENT)
		return err_set(err, errno, "remove '%s': %m", path);
	return 0;
}

/* --- inside a namespace ------------------------------------------------------------------------------------------- */

static int add_addr(struct nl_sock *nl, int ifindex, const char *text, struct err *err)
{
	struct rtnl_addr *a = rtnl_addr_alloc();
	struct nl_addr *local = NULL;
	int r;

	r = nl_addr_parse(text, AF_UNSPEC, &local);
	if (!a || r < 0) {
		rtnl_addr_put(a);
		return err_set(err, ENOMEM, "address %s: %s", text, nl_geterror(r));
	}
	rtnl_addr_set_ifindex(a, ifindex);
	rtnl_addr_set_local(a, local);
	rtnl_addr_set_flags(a, IFA_F_NODAD | IFA_F_PERMANENT);
	r = rtnl_addr_add(nl, a, 0);
	nl_addr_put(local);
	rtnl_addr_put(a);
	if (r < 0 && r != -NLE_EXIST)
		return err_set(err, EIO, "add address %s: %s", text, nl_geterror(r));
	return 0;
}

static int set_up(struct nl_sock *nl, const char *ifname, int *ret_ifindex, struct err *err)
{
	struct rtnl_link *link = NULL, *change;
	int r;

	r = rtnl_link_get_kernel(nl, 0, ifname, &link);
	if (r < 0)
		return err_set(err, ENODEV, "interface %s: %s", ifname, nl_geterror(r));
	*ret_ifindex = rtnl_link_get_ifindex(link);
	change = rtnl_link_alloc();
	if (change) {
		rtnl_link_set_flags(change, IFF_UP);
		r = rtnl_link_change(nl, link, change, 0);
		rtnl_link_put(change);
	}
	rtnl_link_put(link);
	if (!change || r < 0)
		return err_set(err, EIO, "bring %s up: %s", ifname, nl_geterror(r));
	return 0;
}

static int add_route(struct nl_sock *nl, const char *to, int ifindex, const char *gateway, struct err *err)
{
	struct rtnl_route *route = rtnl_route_alloc();
	struct rtnl_nexthop *hop = rtnl_route_nh_alloc();
	int family = strchr(to, ':') ? AF_INET6 : AF_INET, r;
	struct nl_addr *dst = NULL, *via = NULL;

	r = nl_addr_parse(to, family, &dst);
	if (!r)
		r = nl_addr_parse(gateway, family, &via);
	if (route && hop && !r) {
		rtnl_route_set_family(route, (uint8_t)family);
		rtnl_route_set_dst(route, dst);
		rtnl_route_nh_set_ifindex(hop, ifindex);
		rtnl_route_nh_set_gateway(hop, via);
		rtnl_route_add_nexthop(route, hop);
		hop = NULL;
		r = rtnl_route_add(nl, route, NLM_F_REPLACE);
	} else if (!r) {
		r = -NLE_NOMEM;
	}
	nl_addr_put(dst);
	nl_addr_put(via);
	if (hop)
		rtnl_route_nh_free(hop);
	rtnl_route_put(route);
	return r < 0 ? err_set(err, EIO, "route to %s via %s: %s", to, gateway, nl_geterror(r)) : 0;
}

static struct nl_sock *open_nl(struct err *err)
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

static int enter(const char *ns, struct err *err)
{
	cleanup(close_fd) int fd = cluster_netns_open(ns);

	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		return err_set(err, fd < 0 ? -fd : errno, "enter namespace '%s': %s", ns,
			       strerror(fd < 0 ? -fd : errno));
	return 0;
}

struct lan_args {
	const struct cluster *c;
	int node; /* 0: the LAN itself */
};

static int setup_lan(const struct cluster *c, struct nl_sock *nl, struct err *err)
{
	struct rtnl_link *br = rtnl_link_bridge_alloc();
	char ip4[64], ip6[64];
	int lo, lan, r;

	if (!br)
		return err_set(err, ENOMEM, "out of memory");
	rtnl_link_set_name(br, "lan0");
	r = rtnl_link_add(nl, br, NLM_F_CREATE | NLM_F_EXCL);
	rtnl_link_put(br);
	if (r < 0 && r != -NLE_EXIST)
		return err_set(err, EIO, "make bridge: %s", nl_geterror(r));
	r = set_up(nl, "lo", &lo, err);
	if (!r)
		r = add_addr(nl, lo, CLUSTER_WORLD_IP4 "/32", err);
	if (!r)
		r = add_addr(nl, lo, CLUSTER_WORLD_IP6 "/128", err);
	if (!r)
		r = set_up(nl, "lan0", &lan, err);
	if (!r)
		r = add_addr(nl, lan, CLUSTER_LAN_IP4 "/16", err);
	if (!r)
		r = add_addr(nl, lan, CLUSTER_LAN_IP6 "/64", err);
	for (int i = 1; !r && i <= c->n_nodes; i++) {
		struct rtnl_link *veth, *peer, *bridge = NULL, *port = NULL, *change;
		cleanup(close_fd) int fd = -1;
		char name[IFNAMSIZ], ns[64];

		snprintf(name, sizeof(name), "n%d", i);
		if (!rtnl_link_get_kernel(nl, 0, name, &port)) {
			rtnl_link_put(port);
			continue; /* there already */
		}
		fd = cluster_netns_open(cluster_node_ns(c, i, ns));
		if (fd < 0)
			return err_set(err, -fd, "namespace '%s': %s", ns, strerror(-fd));
		veth = rtnl_link_veth_alloc();
		if (!veth)
			return err_set(err, ENOMEM, "out of memory");
		peer = rtnl_link_veth_get_peer(veth);
		rtnl_link_set_name(veth, name);
		rtnl_link_set_name(peer, "eth0");
		rtnl_link_set_ns_fd(peer, fd);
		r = rtnl_link_add(nl, veth, NLM_F_CREATE | NLM_F_EXCL);
		rtnl_link_put(peer);
		rtnl_link_put(veth);
		if (r < 0)
			return err_set(err, EIO, "make link to %s: %s", ns, nl_geterror(r));
		if (rtnl_link_get_kernel(nl, 0, "lan0", &bridge) < 0 || rtnl_link_get_kernel(nl, 0, name, &port) < 0) {
			rtnl_link_put(bridge);
			return err_set(err, ENODEV, "link %s vanished", name);
		}
		change = rtnl_link_alloc();
		rtnl_link_set_master(change, rtnl_link_get_ifindex(bridge));
		rtnl_link_set_flags(change, IFF_UP);
		r = rtnl_link_change(nl, port, change, 0);
		rtnl_link_put(change);
		rtnl_link_put(port);
		rtnl_link_put(bridge);
		if (r < 0)
			return err_set(err, EIO, "join %s to the bridge: %s", name, nl_geterror(r));
	}
	/* The API server's way to pods, for proxies and webhooks; any node knows where each of them is. */
	if (!r) {
		cluster_node_ips(1, ip4, ip6);
		r = add_route(nl, CLUSTER_POD_CIDR4, lan, ip4, err);
	}
	return r ? r : add_route(nl, CLUSTER_POD_CIDR6, lan, ip6, err);
}

static int setup_node(int node, struct nl_sock *nl, struct err *err)
{
	char ip4[64], ip6[64], with_len[80];
	int ifindex, r;

	cluster_node_ips(node, ip4, ip6);
	r = set_up(nl, "lo", &ifindex, err);
	if (!r)
		r = set_up(nl, "eth0", &ifindex, err);
	if (r < 0)
		return r;
	snprintf(with_len, sizeof(with_len), "%s/16", ip4);
	r = add_addr(nl, ifindex, with_len, err);
	snprintf(with_len, sizeof(with_len), "%s/64", ip6);
	if (!r)
		r = add_addr(nl, ifindex, with_len, err);
	if (!r)
		r = add_route(nl, "0.0.0.0/0", ifindex, CLUSTER_LAN_IP4, err);
	if (!r)
		r = add_route(nl, "::/0", ifindex, CLUSTER_LAN_IP6, err);
	return r;
}

static int setup(void *arg, struct err *err)
{
	const struct lan_args *a = arg;
	struct nl_sock *nl;
	char ns[64];
	int r;

	r = enter(a->node ? cluster_node_ns(a->c, a->node, ns) : a->c->lan_ns, err);
	if (r < 0)
		return r;
	/* Best effort: a kernel without IPv6 has no such file, and then there is nothing to switch off. */
	(void)file_write("/proc/sys/net/ipv6/conf/default/accept_dad", "0", NULL);
	(void)file_write("/proc/sys/net/ipv6/conf/all/accept_ra", "0", NULL);
	nl = open_nl(err);
	if (!nl)
		return -EIO;
	r = a->node ? setup_node(a->node, nl, err) : setup_lan(a->c, nl, err);
	nl_socket_free(nl);
	return r;
}

int cluster_net_up(const struct cluster *c, struct err *err)
{
	struct lan_args a = { c, 0 };
	char ns[64];
	int r;

	r = netns_make(c->lan_ns, err);
	for (int i = 1; !r && i <= c->n_nodes; i++)
		r = netns_make(cluster_node_ns(c, i, ns), err);
	if (!r)
		r = in_child("virtual LAN", setup, &a, err);
	for (a.node = 1; !r && a.node <= c->n_nodes; a.node++)
		r = in_child(cluster_node_ns(c, a.node, ns), setup, &a, err);
	return r;
}

int cluster_listen(const char *ns, const char *ip, int port, struct err *err)
{
	cleanup(close_fd) int own = -1, target = -1, fd = -1;
	struct sockaddr_storage ss = { 0 };
	socklen_t len;
	int one = 1;

	if (inet_pton(AF_INET, ip, &((struct sockaddr_in *)&ss)->sin_addr) == 1) {
		ss.ss_family = AF_INET;
		((struct sockaddr_in *)&ss)->sin_port = htons((uint16_t)port);
		len = sizeof(struct sockaddr_in);
	} else {
		inet_pton(AF_INET6, ip, &((struct sockaddr_in6 *)&ss)->sin6_addr);
		ss.ss_family = AF_INET6;
		((struct sockaddr_in6 *)&ss)->sin6_port = htons((uint16_t)port);
		len = sizeof(struct sockaddr_in6);
	}
	/* A socket belongs to the namespace it was created in, whatever its process does later. */
	if (ns) {
		own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
		target = cluster_netns_open(ns);
		if (own < 0 || target < 0 || setns(target, CLONE_NEWNET) < 0)
			return err_set(err, target < 0 ? -target : errno, "enter namespace '%s'", ns);
	}
	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (ns && setns(own, CLONE_NEWNET) < 0)
		return err_set(err, errno, "return from namespace '%s': %m", ns);
	if (fd < 0)
		return err_set(err, errno, "socket: %m");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&ss, len) < 0 || listen(fd, 1024) < 0)
		return err_set(err, errno, "listen on %s port %d: %m", ip, port);
	return TAKE_FD(fd);
}
