/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole cluster on this machine (`skep up`, `skep down`): names and paths of its parts, and the steps that make and
 * remove them. Everything a cluster owns can be found from its name alone, so that `skep down` needs no state file
 * and works after any crash:
 *
 *   /var/lib/skep/<cluster>/        pki/, store/, <node>/{containerd,agent}/, *.kubeconfig
 *   /run/skep/<cluster>/            lock, pids/, logs/, <node>/{containerd.sock,cni.sock,...}
 *   /run/netns/skep-<node>          one network namespace per node; skep[-<cluster>]-lan: bridge and control plane
 *   <every cgroup hierarchy>/skep/<cluster>/{supervisor,control,<node>}
 *   /sys/fs/bpf/skep/<node>/        pins
 *
 * Nodes of the cluster "default" are node-1, node-2...; of another cluster <cluster>-node-1..., so that clusters live
 * side by side.
 */
#ifndef SKEP_CLI_CLUSTER_H
#define SKEP_CLI_CLUSTER_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

enum { CLUSTER_MAX_NODES = 100 };

#define CLUSTER_SERVICE_CIDRS "10.96.0.0/12,fd00:10:96::/112"
#define CLUSTER_POD_CIDR4     "10.0.0.0/8"
#define CLUSTER_POD_CIDR6     "fd00:10::/48"
#define CLUSTER_POD_CIDRS     CLUSTER_POD_CIDR4 "," CLUSTER_POD_CIDR6
/*
 * Of the nodes: what they reach of each other is not masqueraded. The control plane lies outside, as on another
 * network; it reaches pods by way of the first node.
 */
#define CLUSTER_NODE_CIDRS "172.30.1.0/24,fd00:30::1:0/112"
#define CLUSTER_LAN_IP4	   "172.30.0.1" /* control plane, on the bridge */
#define CLUSTER_LAN_IP6	   "fd00:30::1"
#define CLUSTER_WORLD_IP4                                                                                              \
	"198.51.100.1"			/* an address outside every cluster range, on the LAN's loopback (RFC 5737)    \
					 */
#define CLUSTER_WORLD_IP6 "2001:db8::1" /* RFC 3849 */

struct cluster {
	char name[48];
	int n_nodes;
	int port;		/* of the API server on 127.0.0.1; 0: 6443 or, if taken, any */
	const char *xdp;	/* the agents' --xdp; NULL: their default */
	char state_dir[128];	/* /var/lib/skep/<cluster> */
	char run_dir[128];	/* /run/skep/<cluster> */
	char bin_dir[PATH_MAX]; /* where this program lies */
	char lan_ns[64];	/* network namespace's name */
};

/* name: a DNS label of at most 40 characters. */
int cluster_init(struct cluster *c, const char *name, struct err *err);
bool cluster_exists(const struct cluster *c); /* any part of it in the file system */
/* Node i (1..): name without and with "skep-"; buffers of 64. */
char *cluster_node_name(const struct cluster *c, int i, char *buf);
char *cluster_node_ns(const struct cluster *c, int i, char *buf);
void cluster_node_ips(int i, char *ip4, char *ip6); /* buffers of 64 */
/* Number of nodes a running cluster was made with, from its state directory; 0: none. */
int cluster_count_nodes(const struct cluster *c);
char *cluster_admin_kubeconfig(const struct cluster *c, char *buf, size_t size);

/* --- pki: certificates and kubeconfigs; kept if they exist -------------------------------------------------------- */
int cluster_make_pki(const struct cluster *c, struct err *err);
int cluster_write_kubeconfig(const struct cluster *c, const char *user, const char *server, const char *path,
			     struct err *err);

/* --- network: namespaces, bridge, links --------------------------------------------------------------------------- */
int cluster_net_up(const struct cluster *c, struct err *err);
int cluster_netns_open(const char *ns);			   /* fd or -errno */
int cluster_netns_delete(const char *ns, struct err *err); /* missing is fine */
/* A TCP listener made inside a namespace (ns NULL: this one). port 0: any. fd or -errno, with err. */
int cluster_listen(const char *ns, const char *ip, int port, struct err *err);

/* --- cgroups ------------------------------------------------------------------------------------------------------ */
/* Where cgroup v2 is: "/sys/fs/cgroup" or "/sys/fs/cgroup/unified"; NULL with err if nowhere. */
const char *cluster_cgroup2_root(struct err *err);
int cluster_cgroup_up(const struct cluster *c, struct err *err);
/* Kills everything in the cluster's cgroups and waits until they are empty. */
int cluster_cgroup_kill(const struct cluster *c, struct err *err);
int cluster_cgroup_remove(const struct cluster *c, struct err *err);

/* --- bpffs -------------------------------------------------------------------------------------------------------- */
int cluster_bpffs_up(struct err *err); /* mounts /sys/fs/bpf where nothing did */
void cluster_bpffs_down(void);	       /* unmounts it if we did and nothing of ours is left */

/* --- whole -------------------------------------------------------------------------------------------------------- */
/*
 * Becomes the cluster's supervisor: starts what is due, restarts what dies, never returns. progress_fd: lines for
 * `skep up`.
 */
void cluster_supervise(struct cluster *c, int progress_fd) __attribute__((noreturn));
/* Removes all of it; goes on past failures and reports the first. */
int cluster_down(const struct cluster *c, struct err *err);

#endif
