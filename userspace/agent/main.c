/* SPDX-License-Identifier: Apache-2.0 */
/*
 * skep-agent: a node. Flags, then the parts in the order in which they need each other: cgroups, API client, runtime
 * client, HTTPS API, Node object; when the cluster has given the node its ranges, the network, and then pods may
 * start. Ending the agent ends nothing else: containers run on, packets flow on.
 *
 * With --data-plane-only somebody else runs the pods and keeps the Node object: only the network is brought up.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../lib/base/cleanup.h"
#include "../lib/base/file.h"
#include "../lib/base/log.h"
#include "../lib/base/memory.h"
#include "../lib/base/str.h"
#include "cgroup.h"
#include "cri/cri.h"
#include "flags.h"
#include "join.h"
#include "network.h"
#include "node.h"
#include "node_watch.h"
#include "pod/pods.h"
#include "proxy_server.h"
#include "server/server.h"

#define NETWORK_LOOK_MS 50
#define TRIM_AFTER_MS	5000
#define JOIN_WAIT_MS	900000

struct agent {
	struct flags flags;
	struct loop *loop;
	struct kubeconfig kc;
	struct kube *kube;
	struct kube_recorder *rec;
	struct cri *cri;
	struct cgroups *cgroups;
	struct proxy_server *proxy;
	/* what --data-plane-only has not */
	struct server *server;
	struct node *node;
	struct pods *pods;
	/* what only it has */
	struct node_watch *node_watch;
	char *cgroup_dir;
	/* --- */
	struct network *network;
	struct renewal *renewal;
	struct loop_timer network_timer, trim_timer;
	struct loop_signal signals;
	char *node_ip[2], *net_dir, *cni_socket;
	int status;
};

/* "cpu=100m,memory=200Mi" */
static int parse_reserved(const char *text, int64_t *ret_cpu, int64_t *ret_memory, struct err *err)
{
	cleanup(free) char *copy = strdup(text);
	char *save = NULL;

	for (char *s = copy ? strtok_r(copy, ",", &save) : NULL; s; s = strtok_r(NULL, ",", &save)) {
		char *eq = strchr(s, '=');
		int r = -EINVAL;

		if (eq) {
			*eq = 0;
			if (streq(s, "cpu"))
				r = api_quantity_milli(eq + 1, ret_cpu);
			else if (streq(s, "memory"))
				r = api_quantity_value(eq + 1, ret_memory);
		}
		if (r < 0)
			return err_set(err, EINVAL, "--system-reserved '%s': give cpu=QUANTITY,memory=QUANTITY", text);
	}
	return 0;
}

static int split_ips(const char *text, char *ret[2], struct err *err)
{
	const char *comma = strchr(text, ',');

	if (comma && strchr(comma + 1, ','))
		return err_set(err, EINVAL, "--node-ips '%s': give one address for each family", text);
	ret[0] = comma ? strndup(text, (size_t)(comma - text)) : strdup(text);
	ret[1] = comma ? strdup(comma + 1) : NULL;
	return ret[0] ? 0 : err_set(err, ENOMEM, "out of memory");
}

/* In place: the runtime does not notice a file renamed in from elsewhere (ENVIRONMENT.md). */
static int write_cni_conf(const struct agent *a, struct err *err)
{
	cleanup(strbuf_done) struct strbuf sb = STRBUF_INIT;
	cleanup(free) char *path = NULL;
	cleanup(free) char *old = NULL;
	int r;

	if (!a->flags.cni_conf_dir)
		return 0;
	if (asprintf(&path, "%s/10-skep.conflist", a->flags.cni_conf_dir) < 0)
		return err_set(err, ENOMEM, "out of memory");
	strbuf_adds(&sb, "{\"cniVersion\":\"1.0.0\",\"name\":\"skep\",\"plugins\":[{\"type\":\"skep-cni\",\"socket\":");
	strbuf_add_json(&sb, a->cni_socket);
	strbuf_adds(&sb, "}]}\n");
	if (strbuf_oom(&sb))
		return err_set(err, ENOMEM, "out of memory");
	r = dir_make(a->flags.cni_conf_dir, 0755, err);
	if (r < 0)
		return r;
	if (!file_read(path, 65536, &old, NULL, NULL) && streq(old, sb.buf))
		return 0;
	return file_write(path, sb.buf, err);
}

/* --- what the parts tell each other ------------------------------------------------------------------------------- */

static void fail(struct agent *a, const char *text)
{
	log_error("%s", text);
	a->status = 1;
	loop_stop(a->loop);
}

static void network_look(struct agent *a)
{
	const char *why = a->network ? network_ready(a->network)
				     : "waiting for Node.spec.podCIDRs from the controller manager";

	if (a->node)
		node_set_network(a->node, why);
	if (!why) {
		if (a->pods)
			pods_set_network_ready(a->pods, true);
		else
			log_info("node %s: the data plane is ready", a->flags.node_name);
		(void)loop_timer_set(a->loop, &a->trim_timer, TRIM_AFTER_MS);
	} else {
		(void)loop_timer_set(a->loop, &a->network_timer, NETWORK_LOOK_MS);
	}
}

static void on_trim(struct loop_timer *t)
{
	(void)t;
	memory_trim();
}

static void on_network_timer(struct loop_timer *t)
{
	network_look(t->arg);
}

static void on_network_known(void *arg, const char *cidrs, const char *node_ips)
{
	struct agent *a = arg;
	struct err err = ERR_INIT;
	struct network_config nc = {
		.node_name = a->flags.node_name,
		.pin_dir = a->flags.pin_dir,
		.cgroup_dir = a->cgroups ? cgroups_v2_dir(a->cgroups) : a->cgroup_dir,
		.state_dir = a->net_dir,
		.cni_socket = a->cni_socket,
		.uplink = a->flags.uplink,
		.pod_cidrs = cidrs,
		.cluster_cidrs = a->flags.cluster_cidrs,
		.lan_cidrs = a->flags.lan_cidrs,
		.service_cidrs = a->flags.service_cidrs,
		.node_ports = a->flags.node_ports,
		.xdp = a->flags.xdp,
		.reset_flows = a->flags.reset_flows,
		.max_frontends = a->flags.max_frontends,
		.max_backends = a->flags.max_backends,
		.node_ips = node_ips,
		.rec = a->rec,
	};

	log_info("pods of this node have addresses from %s", cidrs);
	if (network_new(a->loop, a->kube, &nc, &a->network, &err) < 0) {
		(void)err_wrap(&err, -err.code, "network");
		fail(a, err.msg);
		return;
	}
	proxy_server_set_network(a->proxy, a->network);
	if (a->server)
		server_set_network(a->server, a->network);
	if (write_cni_conf(a, &err) < 0) {
		fail(a, err.msg);
		return;
	}
	network_look(a);
}

static void on_pod_cidrs(void *arg, const char *cidrs)
{
	struct agent *a = arg;

	on_network_known(a, cidrs, a->flags.node_ips);
}

static void on_listed(void *arg, const char *const *ids, size_t n)
{
	struct agent *a = arg;
	struct err err = ERR_INIT;

	if (a->network && network_prune(a->network, ids, n, &err) < 0)
		log_warn("network: %s, ignoring", err.msg);
}

static void on_runtime(void *arg, bool up, const char *name, const char *text)
{
	struct agent *a = arg;
	char version[256];

	if (up) {
		snprintf(version, sizeof(version), "%s://%s", name, text[0] == 'v' ? text + 1 : text);
		log_info("container runtime: %s", version);
		node_set_runtime(a->node, version, NULL);
	} else {
		log_warn("container runtime at %s: %s; waiting for it", a->flags.runtime_endpoint, text);
		node_set_runtime(a->node, NULL, text);
	}
}

static void on_signal(struct loop_signal *s, int sig)
{
	struct agent *a = s->arg;

	log_info("%s: ending; %s", strsignal(sig), a->pods ? "containers go on" : "packets flow on");
	loop_stop(a->loop);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static int prepare(struct agent *a, struct err *err)
{
	struct flags *f = &a->flags;
	int r;

	if (getuid())
		return err_set(err, EPERM,
			       "skep-agent needs root: control groups, mounts and eBPF programs are its work");
	r = f->node_ips ? split_ips(f->node_ips, a->node_ip, err) : 0;
	if (!r)
		r = dir_make(f->state_dir, 0755, err);
	if (!r)
		r = dir_make(f->run_dir, 0755, err);
	if (r < 0)
		return r;
	if (asprintf(&a->net_dir, "%s/net", f->state_dir) < 0 ||
	    (f->cni_socket ? asprintf(&a->cni_socket, "%s", f->cni_socket)
			   : asprintf(&a->cni_socket, "%s/cni.sock", f->run_dir)) < 0)
		return err_set(err, ENOMEM, "out of memory");
	if (f->data_plane_only)
		return cgroup_v2_find(f->cgroup_root, &a->cgroup_dir, err);
	r = cgroups_new(f->cgroup_root, &a->cgroups, err);
	if (!r && !cgroups_v2_dir(a->cgroups))
		r = err_set(err, ENOENT, CGROUP_V2_MISSING);
	return r;
}

/* What both modes have. */
static int start_common(struct agent *a, struct err *err)
{
	static const int sigs[] = { SIGTERM, SIGINT };
	const struct flags *f = &a->flags;
	struct proxy_server_config pc = { .healthz_listen = f->healthz_listen,
					  .listen = f->data_plane_only ? f->listen : NULL };
	int r;

	a->signals.fn = on_signal;
	a->signals.arg = a;
	a->network_timer.fn = on_network_timer;
	a->network_timer.arg = a;
	a->trim_timer.fn = on_trim;
	if (loop_signal_add(a->loop, &a->signals, sigs, 2) < 0)
		return err_set(err, errno, "signals: %m");
	r = proxy_server_new(a->loop, &pc, &a->proxy, err);
	if (!r)
		r = kubeconfig_load(f->kubeconfig, NULL, &a->kc, err);
	if (!r)
		r = kube_new(a->loop, &a->kc, "skep-agent", &a->kube, err);
	if (!r)
		a->rec = kube_recorder_new(a->kube, "skep-agent", f->node_name);
	return r;
}

static int start_data_plane(struct agent *a, struct err *err)
{
	struct node_watch_config config = {
		.name = a->flags.node_name, .node_ips = a->flags.node_ips, .on_known = on_network_known, .arg = a
	};
	int r = start_common(a, err);

	return r < 0 ? r : node_watch_new(a->kube, &config, &a->node_watch, err);
}

static int start_node(struct agent *a, struct err *err)
{
	struct flags *f = &a->flags;
	struct server_config sc = { .listen = f->listen,
				    .tls = { f->tls_ca, f->tls_cert, f->tls_key },
				    .node_name = f->node_name };
	struct node_config nc = { .name = f->node_name,
				  .node_ips = { a->node_ip[0], a->node_ip[1] },
				  .labels = f->labels,
				  .state_dir = f->state_dir,
				  .max_pods = f->max_pods,
				  .on_pod_cidrs = on_pod_cidrs,
				  .arg = a };
	struct pods_config pc = { .node_name = f->node_name,
				  .state_dir = f->state_dir,
				  .node_ips = { a->node_ip[0], a->node_ip[1] },
				  .cgroups = a->cgroups,
				  .max_pods = f->max_pods,
				  .on_listed = on_listed,
				  .on_runtime = on_runtime,
				  .arg = a };
	char pki_dir[PATH_MAX];
	int r;

	if (f->system_reserved) {
		r = parse_reserved(f->system_reserved, &nc.reserved_cpu_milli, &nc.reserved_memory, err);
		if (r < 0)
			return r;
	}
	snprintf(pki_dir, sizeof(pki_dir), "%s/pki", f->state_dir);
	r = f->bootstrap_kubeconfig
		    ? join_cluster(f->node_name, f->bootstrap_kubeconfig, f->kubeconfig, pki_dir, JOIN_WAIT_MS, err)
		    : 0;
	if (!r)
		r = start_common(a, err);
	if (!r)
		r = renewal_start(a->kube, &a->kc, f->node_name, pki_dir, &a->renewal, err);
	if (r < 0)
		return r;
	r = cri_new(a->loop, f->runtime_endpoint, &a->cri, err);
	if (r < 0)
		return r;
	sc.cri = a->cri;
	r = server_new(a->loop, &sc, &a->server, &nc.port, err);
	if (!r)
		r = node_new(a->kube, &nc, &a->node, err);
	if (r < 0)
		return r;
	pc.cpu_milli = node_cpu_milli(a->node);
	pc.memory_bytes = node_memory(a->node);
	r = pods_new(a->loop, a->kube, a->cri, a->rec, &pc, &a->pods, err);
	if (r < 0)
		return r;
	server_set_pods(a->server, a->pods);
	log_info("node %s: HTTPS API on port %d", f->node_name, nc.port);
	return 0;
}

int main(int argc, char **argv)
{
	struct agent a = { 0 };
	struct err err = ERR_INIT;
	char pin_dir[512], cgroup_root[512];
	int r;

	log_init("skep-agent");
	if (flags_parse(argc, argv, &a.flags) < 0)
		return 2;
	if (!a.flags.pin_dir) {
		snprintf(pin_dir, sizeof(pin_dir), "/sys/fs/bpf/skep/%s", a.flags.node_name);
		a.flags.pin_dir = pin_dir;
	}
	if (!a.flags.cgroup_root) {
		snprintf(cgroup_root, sizeof(cgroup_root), "/skep/%s", a.flags.node_name);
		a.flags.cgroup_root = cgroup_root;
	}
	(void)umask(022);
	signal(SIGPIPE, SIG_IGN);
	a.loop = loop_new();
	if (!a.loop) {
		log_error("event loop: %s", strerror(errno));
		return 1;
	}
	r = prepare(&a, &err);
	if (!r)
		r = a.flags.data_plane_only ? start_data_plane(&a, &err) : start_node(&a, &err);
	if (r < 0) {
		log_error("%s", err.msg);
		a.status = 1;
	} else {
		r = loop_run(a.loop);
		if (r < 0) {
			log_error("event loop: %s", strerror(-r));
			a.status = 1;
		}
	}
	loop_timer_cancel(&a.network_timer);
	loop_timer_cancel(&a.trim_timer);
	proxy_server_free(a.proxy);
	server_free(a.server);
	pods_free(a.pods);
	if (a.network)
		network_free(a.network);
	node_free(a.node);
	node_watch_free(a.node_watch);
	cri_free(a.cri);
	renewal_free(a.renewal);
	if (a.rec)
		kube_recorder_free(a.rec);
	if (a.kube)
		kube_free(a.kube);
	kubeconfig_done(&a.kc);
	if (a.signals.fn)
		loop_signal_del(&a.signals);
	loop_free(a.loop);
	cgroups_free(a.cgroups);
	for (int i = 0; i < 2; i++)
		free(a.node_ip[i]);
	free(a.cgroup_dir);
	free(a.net_dir);
	free(a.cni_socket);
	return a.status;
}
