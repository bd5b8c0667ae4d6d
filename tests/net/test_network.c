/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node's network as a whole: CNI, policies, identities, tunnel, masquerade and restarts, with real packets
 * between namespaces.
 */
#include "wire.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/api.h"
#include "base/cleanup.h"
#include "base/str.h"

TestSuite(network, .init = wire_up, .fini = wire_down, .timeout = 180);

static struct wpod a, b, c;

/* a and b on the first node, c on the second. */
static void three_pods(void)
{
	a = (struct wpod){ .node = &n1, .ns = "default", .name = "a", .labels = "'app':'a'" };
	b = (struct wpod){ .node = &n1, .ns = "default", .name = "b", .labels = "'app':'b'" };
	c = (struct wpod){ .node = &n2, .ns = "other", .name = "c", .labels = "'app':'c'" };
	pod_start(&a);
	pod_start(&b);
	pod_start(&c);
}

Test(network, pods_talk_on_one_node_and_across)
{
	three_pods();
	cr_assert_str_eq(a.ip4, "10.0.1.2");
	cr_assert_str_eq(b.ip4, "10.0.1.3");
	cr_assert_str_eq(c.ip6, "fd00:10:0:2::2");
	talks(a.netns, b.netns, b.ip4, a.ip4);
	talks(b.netns, a.netns, a.ip6, b.ip6);
	talks(a.netns, c.netns, c.ip4, a.ip4);
	talks(c.netns, b.netns, b.ip6, c.ip6);
	says(a.netns, b.netns, b.ip6);
	says(a.netns, c.netns, c.ip4);
	says(c.netns, a.netns, a.ip6);
	/* Nodes: their own pods, other nodes' pods, and back. */
	talks(n1.name, a.netns, a.ip4, NULL);
	talks(n1.name, c.netns, c.ip4, n1.ip4);
	talks(n1.name, c.netns, c.ip6, n1.ip6);
	talks(a.netns, n1.name, n1.ip4, a.ip4);
	talks(a.netns, n2.name, n2.ip6, a.ip6);
}

Test(network, pods_reach_the_world_as_their_node)
{
	three_pods();
	talks(a.netns, "w", WORLD4, n1.ip4);
	talks(c.netns, "w", WORLD6, n2.ip6);
}

Test(network, interfaces_leave_room_for_the_tunnel)
{
	struct ifreq ifr = { .ifr_name = "eth0" };
	int fd;

	three_pods();
	fd = listen_on(a.netns, a.ip4, 1, SOCK_STREAM);
	cr_assert_eq(ioctl(fd, SIOCGIFMTU, &ifr), 0);
	cr_assert_eq(ifr.ifr_mtu, 1450);
	close(fd);
}

/* --- policies ----------------------------------------------------------------------------------------------------- */

struct count {
	struct wnode *node;
	const char *reason;
	uint64_t above;
};

static bool is_counted(void *arg)
{
	struct count *k = arg;

	return drops(k->node, k->reason) > k->above;
}

struct attempt {
	struct count count;
	const char *from, *ip;
	int fd;
};

/* A connection that got through or was refused came before the change: another one. */
static bool attempt_is_dropped(void *arg)
{
	struct attempt *at = arg;
	struct pollfd p = { .fd = at->fd, .events = POLLOUT };

	if (is_counted(&at->count))
		return true;
	if (at->fd < 0 || poll(&p, 1, 0) == 1) {
		if (at->fd >= 0)
			close(at->fd);
		at->fd = begin_connect(at->from, at->ip, 8080);
	}
	return false;
}

/* Waits for the drop itself: TCP sends again until it is seen. */
static void is_dropped(struct wnode *n, const char *reason, const char *from, const char *ip)
{
	struct attempt at = { { n, reason, drops(n, reason) }, from, ip, -1 };

	cr_assert(wait_for(attempt_is_dropped, &at), "%s to %s was not dropped as %s", from, ip, reason);
	if (at.fd >= 0)
		close(at.fd);
}

struct isolation {
	struct wpod *pod;
	const char *direction, *want;
};

static bool is_isolated(void *arg)
{
	struct isolation *want = arg;
	json_t *list = node_get(want->pod->node, "policies"), *item;
	char name[128];
	bool yes = false;
	size_t i;

	snprintf(name, sizeof(name), "%s/%s", want->pod->ns, want->pod->name);
	json_array_foreach (json_object_get(list, "items"), i, item)
		if (streq(json_string_value(json_object_get(item, "pod")), name))
			yes = streq(json_string_value(json_object_get(item, want->direction)), want->want);
	json_decref(list);
	return yes;
}

static void becomes(struct wpod *p, const char *direction, const char *want)
{
	struct isolation i = { p, direction, want };

	cr_assert(wait_for(is_isolated, &i), "%s/%s: %s is not %s", p->ns, p->name, direction, want);
}

#define ADMIT_A                                                                                                               \
	"{'metadata':{'namespace':'%s','name':'admit','uid':'uid-admit'},'spec':{'podSelector':{},'policyTypes':['Ingress']," \
	"'ingress':[{'from':[{'namespaceSelector':{},'podSelector':{'matchLabels':{'app':'a'}}}],'ports':[{'port':'web'}]}]}}"

Test(network, policies_admit_whom_they_name)
{
	three_pods();
	fake_put(api, "networkpolicies", ADMIT_A, "other");
	becomes(&c, "ingress", "isolated");
	talks(a.netns, c.netns, c.ip4, a.ip4);
	talks(a.netns, c.netns, c.ip6, a.ip6);
	is_dropped(&n2, "policy-denied", b.netns, c.ip4);
	is_dropped(&n2, "policy-denied", b.netns, c.ip6);
	/* Its own node's processes always; what c opens itself is not ingress. */
	talks(n2.name, c.netns, c.ip4, NULL);
	talks(c.netns, b.netns, b.ip4, c.ip4);
}

static bool has_data(void *arg)
{
	struct pollfd p = { .fd = *(int *)arg, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static bool eventually_reads(int fd)
{
	return wait_for(has_data, &fd);
}

Test(network, policies_change_under_connections)
{
	struct conn open_one;

	three_pods();
	open_one = connected(b.netns, c.netns, c.ip4, 8080);
	talk(&open_one, 1000);
	fake_put(api, "networkpolicies", ADMIT_A, "other");
	becomes(&c, "ingress", "isolated");
	is_dropped(&n2, "policy-denied", b.netns, c.ip4);
	/* What was open is judged anew, too. */
	{
		struct count k = { &n2, "policy-denied", drops(&n2, "policy-denied") };

		cr_assert_eq(write(open_one.client, "x", 1), 1);
		cr_assert(wait_for(is_counted, &k));
	}
	/* Both what is new and what was open go on when the policy is gone. */
	fake_delete(api, "networkpolicies", "other", "admit");
	becomes(&c, "ingress", "open");
	talks(b.netns, c.netns, c.ip4, b.ip4);
	cr_assert(eventually_reads(open_one.server));
	hang_up(&open_one);
}

Test(network, labels_of_pods_and_namespaces_count_at_once)
{
	three_pods();
	fake_put(api, "networkpolicies", ADMIT_A, "other");
	becomes(&c, "ingress", "isolated");
	is_dropped(&n2, "policy-denied", b.netns, c.ip4);
	b.labels = "'app':'a'";
	pod_put(&b, "Running");
	talks(b.netns, c.netns, c.ip4, b.ip4);
	b.labels = "'app':'b'";
	pod_put(&b, "Running");
	is_dropped(&n2, "policy-denied", b.netns, c.ip4);
}

Test(network, egress_is_denied_at_home)
{
	three_pods();
	fake_put(
		api, "networkpolicies",
		"{'metadata':{'namespace':'default','name':'out','uid':'uid-out'},'spec':{'podSelector':{'matchLabels':"
		"{'app':'a'}},'policyTypes':['Egress'],'egress':[{'to':[{'ipBlock':{'cidr':'198.51.100.0/24'}}]},{'to':[{'podSelector':{}}]}]}}");
	becomes(&a, "egress", "isolated");
	is_dropped(&n1, "policy-denied", a.netns, c.ip4);
	talks(a.netns, b.netns, b.ip4, a.ip4);
	talks(a.netns, "w", WORLD4, n1.ip4);
	is_dropped(&n1, "policy-denied", a.netns, WORLD6);
}

Test(network, drops_are_told_with_names)
{
	json_t *list, *first;

	three_pods();
	fake_put(api, "networkpolicies", ADMIT_A, "other");
	becomes(&c, "ingress", "isolated");
	is_dropped(&n2, "policy-denied", b.netns, c.ip4);
	do {
		list = node_get(&n2, "drops");
		first = json_array_get(json_object_get(list, "recent"), 0);
		if (!first)
			json_decref(list);
	} while (!first);
	cr_assert_str_eq(json_string_value(json_object_get(first, "pod")), "other/c");
	cr_assert_str_eq(json_string_value(json_object_get(first, "fromPod")), "default/b");
	cr_assert_str_eq(json_string_value(json_object_get(first, "reason")), "policy-denied");
	cr_assert(strstr(json_string_value(json_object_get(first, "isolatedBy")), "admit"));
	json_decref(list);
}

Test(network, a_false_source_is_dropped_and_counted)
{
	struct count k = { &n1, "spoofed-source", 0 };
	int fd;

	three_pods();
	sh("ip -n %s addr add 10.0.1.99/32 dev eth0", a.netns);
	fd = listen_on(a.netns, "10.0.1.99", 7, SOCK_DGRAM);
	{
		struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };

		inet_pton(AF_INET, b.ip4, &to.sin_addr);
		cr_assert_eq(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)), 1);
	}
	cr_assert(wait_for(is_counted, &k));
	close(fd);
}

/* --- CNI ---------------------------------------------------------------------------------------------------------- */

Test(network, add_waits_until_the_pod_is_seen)
{
	char out[4096];
	pid_t pid;

	a = (struct wpod){ .node = &n1, .ns = "default", .name = "late", .id = "000000000999-late" };
	snprintf(a.netns, sizeof(a.netns), "late");
	sh("ip netns add late");
	pid = cni_begin(&a, "ADD");
	for (int i = 0; i < 20; i++)
		serve(10); /* long enough for the question to arrive first; nothing depends on it */
	pod_put(&a, "Pending");
	cr_assert(cni_end(&a, pid, out, sizeof(out)) == 0, "%s", out);
	cr_assert(strstr(out, "10.0.1.2/32"), "%s", out);
}

Test(network, add_and_del_may_be_repeated)
{
	char first[4096], again[4096];

	three_pods();
	cr_assert_eq(cni(&a, "ADD", first, sizeof(first)), 0);
	cr_assert(strstr(first, a.ip4), "%s", first);
	cr_assert_eq(cni(&a, "CHECK", again, sizeof(again)), 0);
	talks(a.netns, b.netns, b.ip4, a.ip4);
	cr_assert_eq(cni(&a, "DEL", again, sizeof(again)), 0);
	cr_assert_eq(cni(&a, "DEL", again, sizeof(again)), 0);
	cr_assert_neq(cni(&a, "CHECK", again, sizeof(again)), 0);
}

/* under: "state", or "bpf/..." in its pins. */
static size_t files_in(struct wnode *n, const char *under)
{
	char path[300];
	struct dirent *e;
	size_t count = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/%s", str_starts(under, "bpf/") ? n->pin_dir : n->dir,
		 under + (str_starts(under, "bpf/") ? 4 : 0));
	d = opendir(path);
	cr_assert(d, "%s", path);
	while ((e = readdir(d)))
		count += e->d_name[0] != '.';
	closedir(d);
	return count;
}

static bool is_forgotten(void *arg)
{
	struct wpod *p = arg;

	return !knows(&n1, p->ip4) && !knows(&n2, p->ip4) && !knows(&n1, p->ip6) && !knows(&n2, p->ip6);
}

Test(network, del_leaves_nothing_and_addresses_cool_down)
{
	struct wpod d = { .node = &n1, .ns = "default", .name = "d" };
	char path[256];
	struct stat st;
	size_t links;

	three_pods();
	links = files_in(&n1, "bpf/links");
	pod_stop(&b);
	cr_assert(wait_for(is_forgotten, &b));
	snprintf(path, sizeof(path), "%s/state/%s.json", n1.dir, b.id);
	cr_assert(stat(path, &st) < 0);
	enter(n1.name);
	snprintf(path, sizeof(path), "skp%.12s", b.id);
	cr_assert_eq(if_nametoindex(path), 0);
	pod_start(&d);
	cr_assert_str_neq(d.ip4, b.ip4);
	/* Links of an interface that has gone are swept with the next pod. */
	cr_assert_eq(files_in(&n1, "bpf/links"), links);
	talks(d.netns, c.netns, c.ip4, d.ip4);
}

Test(network, a_used_address_never_inherits_a_verdict)
{
	three_pods();
	fake_put(api, "networkpolicies", ADMIT_A, "other");
	becomes(&c, "ingress", "isolated");
	talks(a.netns, c.netns, c.ip4, a.ip4);
	/* The pod is over but its object stays: its address has no identity any more. */
	pod_put(&a, "Succeeded");
	is_dropped(&n2, "unknown-identity", a.netns, c.ip4);
}

Test(network, without_an_agent_the_runtime_is_told_to_try_again)
{
	char out[4096];

	three_pods();
	node_kill(&n1);
	cr_assert_eq(cni(&b, "DEL", out, sizeof(out)), 1);
	cr_assert(strstr(out, "\"code\":11"), "%s", out);
	cr_assert_eq(cni(&b, "ADD", out, sizeof(out)), 1);
	cr_assert(strstr(out, "does not run"), "%s", out);
	node_start(&n1);
	cr_assert_eq(cni(&b, "DEL", out, sizeof(out)), 0);
}

/* --- restarts ----------------------------------------------------------------------------------------------------- */

Test(network, connections_do_not_notice_a_killed_agent)
{
	struct wpod d = { .node = &n1, .ns = "default", .name = "d", .labels = "'app':'a'" };
	struct conn remote, local, world;
	uint64_t before;

	three_pods();
	fake_put(api, "networkpolicies", ADMIT_A, "other");
	fake_put(api, "networkpolicies", ADMIT_A, "default");
	becomes(&c, "ingress", "isolated");
	becomes(&b, "ingress", "isolated");
	remote = connected(a.netns, c.netns, c.ip4, 8080);
	local = connected(a.netns, b.netns, b.ip6, 8080);
	world = connected(a.netns, "w", WORLD4, 8080);
	before = drops(&n1, "policy-denied") + drops(&n1, "unknown-identity") + drops(&n2, "policy-denied") +
		 drops(&n2, "unknown-identity");
	node_kill(&n1);
	talk(&remote, 100000);
	talk(&local, 100000);
	talk(&world, 100000);
	/* Policies hold without anybody. */
	is_dropped(&n1, "policy-denied", c.netns, b.ip4);
	node_start(&n1);
	becomes(&b, "ingress", "isolated");
	talk(&remote, 100000);
	talk(&local, 100000);
	talk(&world, 100000);
	cr_assert_leq(drops(&n1, "unknown-identity") + drops(&n2, "unknown-identity"), before);
	hang_up(&remote);
	hang_up(&local);
	hang_up(&world);
	/* The restarted agent knows which addresses are taken, and new pods work. */
	pod_start(&d);
	cr_assert_str_eq(d.ip4, "10.0.1.4");
	talks(d.netns, c.netns, c.ip4, d.ip4);
	is_dropped(&n1, "policy-denied", c.netns, b.ip4);
}

Test(network, identities_mean_the_same_after_a_restart)
{
	json_t *before, *after;

	three_pods();
	before = node_get(&n1, "endpoints");
	node_kill(&n1);
	node_start(&n1);
	becomes(&a, "ingress", "open");
	after = node_get(&n1, "endpoints");
	cr_assert_eq(json_array_size(json_object_get(before, "items")), 2);
	for (size_t i = 0; i < 2; i++) {
		const json_t *x = json_array_get(json_object_get(before, "items"), i);

		for (size_t k = 0; k < 2; k++) {
			const json_t *y = json_array_get(json_object_get(after, "items"), k);

			if (json_equal(json_object_get(x, "pod"), json_object_get(y, "pod")))
				cr_assert(json_equal(json_object_get(x, "identity"), json_object_get(y, "identity")) &&
					  json_equal(json_object_get(x, "id"), json_object_get(y, "id")));
		}
	}
	json_decref(before);
	json_decref(after);
}

static size_t interfaces_of_pods(struct wnode *n)
{
	struct if_nameindex *all;
	size_t count = 0;

	enter(n->name);
	all = if_nameindex();
	cr_assert(all);
	for (struct if_nameindex *i = all; i->if_index; i++)
		count += str_starts(i->if_name, "skp");
	if_freenameindex(all);
	return count;
}

/* Killed at whatever moment of ADD: nothing is lost or doubled, and the runtime's next DEL and ADD work. */
Test(network, an_add_cut_short_leaves_nothing_behind)
{
	struct wpod d = { .node = &n1, .ns = "default", .name = "cut", .id = "000000000777-cut", .netns = "cut" };
	char out[4096];

	a = (struct wpod){ .node = &n1, .ns = "default", .name = "a", .labels = "'app':'a'" };
	pod_start(&a);
	enter(NULL);
	sh("ip netns add cut");
	pod_put(&d, "Pending");
	for (int ms = 0; ms < 40; ms += 4) {
		pid_t pid = cni_begin(&d, "ADD");

		for (int i = 0; i < ms; i++)
			serve(1);
		node_kill(&n1);
		(void)cni_end(&d, pid, out, sizeof(out));
		node_start(&n1);
		cr_assert_leq(interfaces_of_pods(&n1), 2);
		cr_assert_eq(cni(&d, "DEL", out, sizeof(out)), 0, "%s", out);
		cr_assert_eq(interfaces_of_pods(&n1), 1);
		cr_assert_eq(files_in(&n1, "state"), 2, "killed after %d ms", ms); /* a's checkpoint, identities */
	}
	cr_assert_eq(cni(&d, "ADD", out, sizeof(out)), 0, "%s", out);
	cr_assert(strstr(out, "10.0.1."), "%s", out);
	talks("cut", a.netns, a.ip4, NULL);
}

Test(network, sandboxes_without_interface_are_released_at_start)
{
	json_t *list;

	three_pods();
	node_kill(&n1);
	enter(n1.name);
	sh("ip link del skp%.12s", b.id);
	node_start(&n1);
	list = node_get(&n1, "endpoints");
	cr_assert_eq(json_array_size(json_object_get(list, "items")), 1);
	json_decref(list);
	cr_assert_eq(files_in(&n1, "state"), 2);
	talks(a.netns, c.netns, c.ip4, a.ip4);
}

static bool has_one_endpoint(void *node)
{
	json_t *list = node_get(node, "endpoints");
	bool yes = json_array_size(json_object_get(list, "items")) == 1;

	json_decref(list);
	return yes;
}

/* A runtime that lost its state asks for no DEL: what went with its pod and its interface is found every 10 s. */
Test(network, sandboxes_that_vanish_are_released)
{
	three_pods();
	enter(n1.name);
	/* With its pod in the API it is the runtime's to say what becomes of it. */
	sh("ip link del skp%.12s", b.id);
	enter(NULL);
	fake_delete(api, "pods", b.ns, b.name);
	cr_assert(wait_for(has_one_endpoint, &n1));
	cr_assert_eq(files_in(&n1, "state"), 2);
	talks(a.netns, c.netns, c.ip4, a.ip4);
}

/* A kubelet's static pod has a UID of its own, which its mirror in the API tells. */
Test(network, a_mirror_pod_is_known_by_the_kubelets_uid)
{
	char out[4096];

	a = (struct wpod){ .node = &n1, .ns = "default", .name = "static", .id = "000000000998-static" };
	snprintf(a.netns, sizeof(a.netns), "static");
	sh("ip netns add static");
	fake_put(
		api, "pods",
		"{'metadata':{'namespace':'default','name':'static','uid':'of-the-mirror','annotations':"
		"{'kubernetes.io/config.mirror':'uid-000000000998-static'}},'spec':{'nodeName':'%s','containers':[]},'status':{'phase':'Pending'}}",
		n1.name);
	cr_assert_eq(cni(&a, "ADD", out, sizeof(out)), 0, "%s", out);
	cr_assert(strstr(out, "10.0.1.2/32"), "%s", out);
}

/* Compared every 10 s. */
Test(network, damage_to_maps_is_repaired, .timeout = 180)
{
	struct ip_addr key = { { 0, 0, htonl(0xffff), 0 } };
	cleanup(close_fd) int fd = -1;
	char path[256];
	int turns = 0;

	three_pods();
	snprintf(path, sizeof(path), "%s/maps/ipcache", n1.pin_dir);
	fd = bpf_obj_get(path);
	cr_assert(fd >= 0, "%s", path);
	inet_pton(AF_INET, c.ip4, &key.w[3]);
	cr_assert_eq(bpf_map_delete_elem(fd, &key), 0);
	cr_assert(!knows(&n1, c.ip4));
	while (!knows(&n1, c.ip4) && turns++ < 3000)
		serve(5);
	cr_assert(knows(&n1, c.ip4));
	talks(a.netns, c.netns, c.ip4, a.ip4);
}

/* --- services ----------------------------------------------------------------------------------------------------- */

static bool is_served(void *arg)
{
	size_t *want = arg;
	json_t *list = node_get(&n1, "services"), *items = json_object_get(list, "items");
	bool yes = json_array_size(items) == 2;

	for (size_t i = 0; yes && i < 2; i++)
		yes = json_array_size(json_object_get(json_array_get(items, i), "backends")) == *want;
	json_decref(list);
	return yes;
}

static void slice(const char *family, const char *ip_b, const char *ip_c, bool b_ready)
{
	fake_put(
		api, "endpointslices",
		"{'metadata':{'namespace':'default','name':'web-%s','uid':'uid-web-%s','labels':"
		"{'kubernetes.io/service-name':'web'}},'addressType':'%s','ports':[{'name':'http','port':8080,'protocol':'TCP'}],'endpoints':["
		"{'addresses':['%s'],'conditions':{'ready':%s}},{'addresses':['%s'],'conditions':{'ready':true}}]}",
		family, family, streq(family, "v4") ? "IPv4" : "IPv6", ip_b, b_ready ? "true" : "false", ip_c);
}

Test(network, services_lead_to_ready_pods)
{
	size_t two = 2, one = 1;
	char path[256];
	int lb, lc, fd;

	three_pods();
	fake_put(
		api, "services",
		"{'metadata':{'namespace':'default','name':'web','uid':'uid-web'},'spec':{'type':'ClusterIP','clusterIP':"
		"'10.96.0.9','clusterIPs':['10.96.0.9','fd00:10:96::9'],'ports':[{'name':'http','port':80,'protocol':'TCP'}]}}");
	slice("v4", b.ip4, c.ip4, true);
	slice("v6", b.ip6, c.ip6, true);
	cr_assert(wait_for(is_served, &two));
	slice("v4", b.ip4, c.ip4, false);
	slice("v6", b.ip6, c.ip6, false);
	cr_assert(wait_for(is_served, &one));
	/* This process becomes one of the node's, so that its sockets are balanced. */
	snprintf(path, sizeof(path), "echo %d > %s/cgroup.procs", getpid(), n1.cgroup);
	sh("%s", path);
	lb = listen_on(b.netns, b.ip4, 8080, SOCK_STREAM);
	lc = listen_on(c.netns, c.ip4, 8080, SOCK_STREAM);
	fd = begin_connect(a.netns, "10.96.0.9", 80);
	cr_assert(eventually_reads(lc));
	cr_assert(!has_data(&lb));
	close(fd);
	close(lb);
	close(lc);
	snprintf(path, sizeof(path), "echo %d > %s/../../cgroup.procs", getpid(), n1.cgroup);
	sh("%s", path);
}

static struct conn through_service(const char *vip, struct wpod *backend, const char *backend_ip)
{
	int l = listen_on(backend->netns, backend_ip, 8080, SOCK_STREAM), error = 0;
	socklen_t len = sizeof(error);
	struct conn t;

	t.client = begin_connect(a.netns, vip, 80);
	cr_assert(eventually_reads(l), "%s by %s", backend_ip, vip);
	t.server = accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	cr_assert(t.server >= 0);
	cr_assert(getsockopt(t.client, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && !error);
	close(l);
	return t;
}

static bool is_served_by(void *arg)
{
	struct wpod *p = arg;
	json_t *list = node_get(&n1, "services"), *items = json_object_get(list, "items"), *item;
	size_t n = 0, i;

	json_array_foreach (items, i, item) {
		const char *at = json_string_value(json_array_get(json_object_get(item, "backends"), 0));

		n += at && (str_starts(at, p->ip4) || strstr(at, p->ip6));
	}
	json_decref(list);
	return n == 2;
}

static void one_backend(struct wpod *p)
{
	slice("v4", n1.ip4, p->ip4, false); /* the first one is not ready */
	slice("v6", n1.ip6, p->ip6, false);
	cr_assert(wait_for(is_served_by, p));
}

/* This process is in no control group of the node, as what a pod runs in a namespace of its own making is not. */
Test(network, services_serve_clients_that_the_socket_hooks_do_not_see)
{
	static const char *const vips[] = { "10.96.0.9", "fd00:10:96::9" };
	struct wpod *backends[] = { &b, &c, &a };
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(81) };
	int fd, error = 0;
	socklen_t len = sizeof(error);

	three_pods();
	fake_put(
		api, "services",
		"{'metadata':{'namespace':'default','name':'web','uid':'uid-web'},'spec':{'type':'ClusterIP','clusterIP':"
		"'10.96.0.9','clusterIPs':['10.96.0.9','fd00:10:96::9'],'ports':[{'name':'http','port':80,'protocol':'TCP'}]}}");
	for (size_t i = 0; i < 3; i++) {
		one_backend(backends[i]);
		for (size_t v = 0; v < 2; v++) {
			struct conn t = through_service(vips[v], backends[i], v ? backends[i]->ip6 : backends[i]->ip4);

			talk(&t, 300000);
			hang_up(&t);
		}
	}
	/* Nothing serves port 81. */
	fd = begin_connect(a.netns, vips[0], 81);
	cr_assert(wait_for(has_data, &fd));
	cr_assert(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0);
	cr_assert_eq(error, ECONNREFUSED);
	close(fd);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(inet_pton(AF_INET, vips[0], &sin.sin_addr), 1);
	cr_assert_eq(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	cr_assert_eq(send(fd, "x", 1, 0), 1);
	cr_assert(wait_for(has_data, &fd));
	cr_assert(recv(fd, &error, sizeof(error), 0) < 0 && errno == ECONNREFUSED);
	close(fd);
}

static void dns_backend(struct wpod *p)
{
	fake_put(
		api, "endpointslices",
		"{'metadata':{'namespace':'default','name':'dns-v4','uid':'uid-dns-v4','labels':{'kubernetes.io/service-name':'dns'}},"
		"'addressType':'IPv4','ports':[{'name':'','port':5353,'protocol':'UDP'}],'endpoints':[{'addresses':['%s']}]}",
		p->ip4);
}

static bool dns_is_served_by(void *arg)
{
	struct wpod *p = arg;
	json_t *list = node_get(&n1, "services");
	const json_t *item = json_array_get(json_object_get(list, "items"), 0);
	const char *at = json_string_value(json_array_get(json_object_get(item, "backends"), 0));
	bool yes = at && str_starts(at, p->ip4);

	json_decref(list);
	return yes;
}

/* A question by a connected socket, and the answer, which comes only from the address that it is connected to. */
static void asks(int fd, int server)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	char buf[8];

	cr_assert_eq(send(fd, "ask", 3, 0), 3);
	cr_assert(eventually_reads(server));
	cr_assert_eq(recvfrom(server, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len), 3);
	cr_assert_eq(sendto(server, "told", 4, 0, (struct sockaddr *)&from, len), 4);
	cr_assert(eventually_reads(fd));
	cr_assert_eq(recv(fd, buf, sizeof(buf), 0), 4);
}

Test(network, a_connected_datagram_socket_outlives_its_backend)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(53) };
	int fd, sb, sc;
	char path[256];

	three_pods();
	fake_put(
		api, "services",
		"{'metadata':{'namespace':'default','name':'dns','uid':'uid-dns'},'spec':{'type':'ClusterIP','clusterIP':"
		"'10.96.0.53','clusterIPs':['10.96.0.53'],'ports':[{'port':53,'protocol':'UDP'}]}}");
	dns_backend(&b);
	cr_assert(wait_for(dns_is_served_by, &b));
	sb = listen_on(b.netns, b.ip4, 5353, SOCK_DGRAM);
	sc = listen_on(c.netns, c.ip4, 5353, SOCK_DGRAM);
	snprintf(path, sizeof(path), "echo %d > %s/cgroup.procs", getpid(), n1.cgroup);
	sh("%s", path);
	enter(a.netns);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(inet_pton(AF_INET, "10.96.0.53", &sin.sin_addr), 1);
	cr_assert_eq(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	snprintf(path, sizeof(path), "echo %d > %s/../../cgroup.procs", getpid(), n1.cgroup);
	sh("%s", path);
	asks(fd, sb);
	dns_backend(&c);
	cr_assert(wait_for(dns_is_served_by, &c));
	asks(fd, sb); /* it is still there */
	pod_stop(&b);
	cr_assert(wait_for(is_forgotten, &b));
	asks(fd, sc);
	close(fd);
	close(sb);
	close(sc);
}
