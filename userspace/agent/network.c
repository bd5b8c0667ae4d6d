/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node's network: life, caches, and when to reconcile. See network.h; the steps are in network_sync.c,
 * network_services.c and network_cni.c. Nothing is written to a map before every cache is complete, so that a start
 * never removes what is right.
 */
#include "network.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "../lib/base/cleanup.h"
#include "../lib/base/clock.h"
#include "../lib/base/file.h"
#include "../lib/base/log.h"
#include "../lib/base/str.h"
#include "announce.h"
#include "health_ports.h"
#include "network-internal.h"
#include "pressure.h"

enum { DEBOUNCE_MS = 5, RESYNC_MS = 10000, RETRY_MS = 1000 };

static bool synced(const struct network *n)
{
	struct informer *const all[] = { n->pods, n->namespaces, n->policies, n->services, n->slices, n->nodes };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (!all[i] || !informer_synced(all[i]))
			return false;
	return true;
}

const char *network_ready(const struct network *n)
{
	if (!synced(n))
		return "pods, policies and services are being listed";
	return n->failing[0] ? n->failing : NULL;
}

/*
 * At once after a quiet time, together with what comes in the same turn of the loop; else a little later, together
 * with what follows.
 */
static void schedule(struct network *n)
{
	int64_t quiet = clock_mono_ms() - n->synced_at;

	if (loop_timer_pending(&n->sync_timer))
		return;
	if (!n->told_ns)
		n->told_ns = clock_mono_ns();
	(void)loop_timer_set(n->loop, &n->sync_timer, quiet >= DEBOUNCE_MS ? 0 : DEBOUNCE_MS);
}

void network_changed(struct network *n)
{
	n->pods_changed = true;
	schedule(n);
}

/*
 * Services first: a pod that starts in this very sync finds them. What has not changed is not looked at: with many
 * services that would be most of the work.
 */
int network_sync(struct network *n, struct err *err)
{
	struct err services = ERR_INIT, pods = ERR_INIT;

	(void)network_sync_services(n, &services);
	if (n->pods_changed) {
		n->pods_changed = false; /* before: a sync may ask for another */
		if (network_sync_pods(n, &pods) < 0)
			n->pods_changed = true;
	}
	n->synced_at = clock_mono_ms();
	if (pods.code)
		return err_set(err, pods.code, "%s", pods.msg);
	return services.code ? err_set(err, services.code, "%s", services.msg) : 0;
}

static void sync_due(struct loop_timer *t)
{
	struct network *n = t->arg;
	struct err err = ERR_INIT;
	uint64_t told = n->told_ns;

	if (!synced(n))
		return;
	n->told_ns = 0; /* before: a sync may ask for another */
	if (network_sync(n, &err) < 0) {
		n->told_ns = told;
		snprintf(n->failing, sizeof(n->failing), "%s", err.msg);
		log_error("data plane: %s", n->failing);
		network_report_failed(n->report, n->failing);
		(void)loop_timer_set(n->loop, &n->sync_timer, RETRY_MS);
		return;
	}
	n->failing[0] = '\0';
	if (n->n_refused)
		network_report_failed(n->report, n->refused); /* all else is as it should be: pods may start */
	else
		network_report_applied(n->report, told ? (clock_mono_ns() - told) / 1000 : 0);
}

static void tell_pressure(struct network *n, const struct local *l, const struct dp_use *use)
{
	const struct api_pod *pod = network_pod_of(n, l);

	log_warn(
		"pod %s/%s has %u flows and %u ports of masquerade of a node that has few left: idle ones are forgotten early",
		l->s.ns, l->s.name, use->opened, use->nat_ports);
	if (pod && n->rec)
		kube_event(
			n->rec, &api_kind_pod, &pod->object, "Warning", "TooManyFlows",
			"The pod has %u flows and %u ports of masquerade, and the node has few left: idle flows, also of other pods, "
			"are forgotten early (skep net top)",
			use->opened, use->nat_ports);
}

/* Who has much of what is scarce is named, once. */
static void look_at_pressure(struct network *n)
{
	cleanup(free) struct dp_use *uses = NULL;
	uint64_t flows = 0, ports = 0;
	struct err err = ERR_INIT;
	size_t count;

	if (dp_use(n->dp, &uses, &count, &err) < 0) {
		log_error("data plane: %s", err.msg);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		flows += uses[i].opened;
		ports += uses[i].nat_ports;
	}
	for (size_t i = 0; i < count; i++) {
		struct local *l = uses[i].ep_id ? network_local_by_ep(n, uses[i].ep_id) : NULL;
		bool was = l && l->presses;

		if (!l)
			continue;
		l->presses = pressure_by(uses[i].opened, flows, dp_flows_room(n->dp), was) ||
			     pressure_by(uses[i].nat_ports, ports, dp_nat_ports_room(n->dp), was);
		if (l->presses && !was)
			tell_pressure(n, l, &uses[i]);
	}
}

/* The same one, too: after a start of the machine another may have its number. */
static bool interface_is_there(const struct sandbox *s)
{
	uint32_t index;

	return s->ifindex && !net_link_index(s->host_ifname, &index) && index == s->ifindex;
}

bool network_node_leaves(const struct network *n)
{
	const struct informer_item *it = informer_get(n->nodes, NULL, n->node_name);
	const struct api_node *node = it ? (const struct api_node *)it->obj : NULL;

	for (size_t i = 0; node && i < node->spec.n_taints; i++)
		if (streq(node->spec.taints[i].key, "ToBeDeletedByClusterAutoscaler"))
			return true;
	return node && node->metadata.deletion_timestamp;
}

/*
 * Of a pod that is gone from the API and has taken its interface with it: nobody may ask for its end any more, if the
 * runtime lost its state.
 */
static void release_vanished(struct network *n)
{
	for (struct strmap_iter it = { 0 }; strmap_next(n->locals, &it);) {
		struct local *l = it.value;
		struct err err = ERR_INIT;

		if (network_pod_of(n, l) || interface_is_there(&l->s))
			continue;
		log_info("sandbox %s of pod %s/%s has gone with its interface: released", l->s.id, l->s.ns, l->s.name);
		if (network_release(n, l, &err) < 0)
			log_error("%s", err.msg);
	}
}

static void resync_due(struct loop_timer *t)
{
	struct network *n = t->arg;

	(void)loop_timer_set(n->loop, &n->resync_timer, RESYNC_MS);
	if (synced(n)) {
		release_vanished(n);
		network_compare(n);
	}
	look_at_pressure(n);
	n->services_changed = true;
	network_changed(n);
}

static bool zone_changed(const struct informer_item *old, const struct informer_item *new)
{
	const char *label = "topology.kubernetes.io/zone";

	return !streq(old ? api_map_get(&old->obj->metadata.labels, label) : NULL,
		      new ? api_map_get(&new->obj->metadata.labels, label) : NULL);
}

static void changed(struct informer *inf, void *arg, struct informer_item *old, struct informer_item *new)
{
	struct network *n = arg;

	if (old == new)
		return; /* resync has its own timer */
	if (inf == n->nodes && streq((new ? new : old)->key, n->node_name) && zone_changed(old, new)) {
		n->services_changed = true; /* hints lead elsewhere */
		schedule(n);
	}
	if (inf == n->nodes && old && new) {
		const struct api_node *a = (const struct api_node *)old->obj, *b = (const struct api_node *)new->obj;
		bool same = a->status.n_addresses == b->status.n_addresses;

		for (size_t i = 0; same && i < a->status.n_addresses; i++)
			same = streq(a->status.addresses[i].address, b->status.addresses[i].address);
		if (same)
			return; /* a heartbeat */
	}
	if (inf == n->services || inf == n->slices) {
		network_services_event(n, inf == n->slices, old, new);
		schedule(n);
		return;
	}
	if (inf == n->pods && new)
		network_cni_pod_seen(n);
	network_changed(n);
}

static void listed(struct informer *inf, void *arg)
{
	struct network *n = arg;

	(void)inf;
	if (!synced(n))
		return;
	network_cni_pod_seen(n);
	network_changed(n);
}

static int start_informers(struct network *n, struct err *err)
{
	static const struct informer_ops ops = { changed, listed };
	static const struct api_kind *const kinds[] = {
		&api_kind_pod,	   &api_kind_namespace,	     &api_kind_network_policy,
		&api_kind_service, &api_kind_endpoint_slice, &api_kind_node
	};
	struct informer **const all[] = { &n->pods, &n->namespaces, &n->policies, &n->services, &n->slices, &n->nodes };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct informer_config config = { .kind = kinds[i], .resync_ms = -1 };

		/* Left to other proxies, or without addresses of their own. */
		if (all[i] == &n->services || all[i] == &n->slices)
			config.label_selector =
				"!service.kubernetes.io/service-proxy-name,!service.kubernetes.io/headless";
		/* The most by far where a cluster is large, and looked at by the compiler only. */
		if (all[i] == &n->services)
			config.trim = service_trim;
		else if (all[i] == &n->slices)
			config.trim = service_trim_slice;
		*all[i] = informer_new(n->kube, &config, &ops, n);
		if (!*all[i])
			return err_set(err, ENOMEM, "out of memory");
	}
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (informer_start(*all[i]) < 0)
			return err_set(err, ENOMEM, "out of memory");
	return 0;
}

static void bad_checkpoint(const char *path, const char *why)
{
	log_error("checkpoint '%s': %s; its address stays unknown until the pod is gone, ignoring", path, why);
}

/* Sandboxes of before: their addresses are taken, and what the maps say of them is kept. */
static int restore(struct network *n, struct err *err)
{
	cleanup(free) struct sandbox *all = NULL;
	cleanup(free) struct dp_endpoint *eps = NULL;
	size_t count, n_eps;
	int r;

	r = dir_make(n->state_dir, 0700, err);
	if (!r)
		r = checkpoint_load(n->state_dir, &all, &count, bad_checkpoint, err);
	if (!r)
		r = dp_endpoint_list(n->dp, &eps, &n_eps, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++) {
		struct local *l = calloc(1, sizeof(*l));

		if (!l || strmap_set(n->locals, all[i].id, l, NULL) < 0) {
			free(l);
			return err_set(err, ENOMEM, "out of memory");
		}
		l->s = all[i];
		l->gone = !interface_is_there(&l->s);
		if (ipam_reserve(n->ipam, l->s.number) < 0)
			log_error("sandbox %s: its address is outside %s's ranges or doubled", l->s.id, n->node_name);
		for (size_t k = 0; k < n_eps; k++)
			if (eps[k].ep_id == l->s.number) {
				l->in_maps = eps[k].ifindex == l->s.ifindex;
				l->identity = eps[k].identity;
			}
	}
	/* An ADD cut short, or the machine was started anew: nothing can speak for these addresses. */
	for (struct strmap_iter it = { 0 }; strmap_next(n->locals, &it);) {
		struct local *l = it.value;

		if (!l->gone)
			continue;
		log_info("sandbox %s of pod %s/%s has no interface any more: released", l->s.id, l->s.ns, l->s.name);
		r = network_release(n, l, err);
		if (r < 0)
			return r;
	}
	/* Endpoints without a checkpoint: an ADD that never answered, or a DEL cut short. */
	for (size_t k = 0; k < n_eps; k++) {
		bool known = false;

		for (size_t i = 0; i < count; i++)
			known |= all[i].number == eps[k].ep_id;
		if (!known) {
			log_info("endpoint %u has no checkpoint: removed", eps[k].ep_id);
			(void)dp_endpoint_del(n->dp, eps[k].ep_id, NULL);
			(void)dp_policy_del(n->dp, eps[k].ep_id, NULL);
		}
	}
	return 0;
}

/* What ipcache and cidrs hold, so that only differences are written. */
static int read_maps(struct network *n, struct err *err)
{
	cleanup(free) struct dp_ipcache_entry *entries = NULL;
	cleanup(free) struct dp_cidr_entry *cidrs = NULL;
	size_t count, n_cidrs;
	int r;

	r = dp_ipcache_list(n->dp, &entries, &count, err);
	if (!r)
		r = dp_cidr_list(n->dp, &cidrs, &n_cidrs, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++) {
		struct cached *c = calloc(1, sizeof(*c));
		char text[INET6_ADDRSTRLEN];

		if (!c || strmap_set(n->ipcache, ip_text(&entries[i].ip, text), c, NULL) < 0) {
			free(c);
			return err_set(err, ENOMEM, "out of memory");
		}
		c->e = entries[i];
	}
	n->cidrs = calloc(n_cidrs + 1, sizeof(*n->cidrs));
	if (!n->cidrs)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < n_cidrs; i++)
		n->cidrs[i] = (struct policy_cidr){ cidrs[i].ip, cidrs[i].len, cidrs[i].identity };
	n->n_cidrs = n_cidrs;
	return 0;
}

static int load_ids(struct network *n, struct err *err)
{
	cleanup(free) char *text = NULL;
	char path[PATH_MAX];
	size_t len;

	n->ids = policy_ids_new();
	if (!n->ids)
		return err_set(err, ENOMEM, "out of memory");
	snprintf(path, sizeof(path), "%s/identities", n->state_dir);
	if (file_read(path, 64 << 20, &text, &len, NULL) < 0)
		return 0;
	if (policy_ids_load(n->ids, text, len, err) < 0) {
		log_warn("identities '%s': %s; they are numbered anew", path, err->msg);
		err_clear(err);
		policy_ids_free(n->ids);
		n->ids = policy_ids_new();
	}
	return n->ids ? 0 : err_set(err, ENOMEM, "out of memory");
}

static void drops_due(struct loop_io *io, uint32_t events)
{
	struct network *n = io->arg;

	(void)events;
	(void)dp_drop_consume(n->dp, network_on_drop, n);
}

static bool in_sync(const void *arg)
{
	const struct network *n = arg;

	return !*n->failing;
}

static const char *const xdp_modes[] = {
	[DP_XDP_AUTO] = "auto",
	[DP_XDP_NATIVE] = "native",
	[DP_XDP_GENERIC] = "generic",
	[DP_XDP_OFF] = "off",
};

static int parse_xdp(const char *text, enum dp_xdp *ret, struct err *err)
{
	for (size_t i = 0; i < sizeof(xdp_modes) / sizeof(xdp_modes[0]); i++)
		if (!text || streq(text, xdp_modes[i])) {
			*ret = (enum dp_xdp)i;
			return 0;
		}
	return err_set(err, EINVAL, "XDP mode '%s': expected auto, native, generic or off", text);
}

const char *network_xdp(const struct network *n)
{
	return xdp_modes[dp_xdp_mode(n->dp, NULL)];
}

static void tell_xdp(const struct network *n)
{
	const char *why = "";

	dp_xdp_mode(n->dp, &why);
	log_info("XDP on uplink %s: %s%s%s", n->node.uplink, network_xdp(n), *why ? "; " : "", why);
}

int network_new(struct loop *loop, struct kube *kube, const struct network_config *config, struct network **ret,
		struct err *err)
{
	struct network *n = calloc(1, sizeof(*n));
	struct dp_config dc = { .pin_dir = config->pin_dir,
				.cgroup_dir = config->cgroup_dir,
				.tunnel = NET_TUNNEL,
				.reset_flows = config->reset_flows,
				.max_services = config->max_frontends,
				.max_backends = config->max_backends };
	int r;

	if (!n)
		return err_set(err, ENOMEM, "out of memory");
	n->loop = loop;
	n->kube = kube;
	n->rec = config->rec;
	list_init(&n->pending);
	list_init(&n->dirty);
	n->services_changed = n->pods_changed = true;
	n->sync_timer = (struct loop_timer){ .fn = sync_due, .arg = n };
	n->resync_timer = (struct loop_timer){ .fn = resync_due, .arg = n };
	n->node_name = strdup(config->node_name);
	n->state_dir = strdup(config->state_dir);
	n->locals = strmap_new();
	n->ipcache = strmap_new();
	n->svcs = strmap_new();
	n->fronts = strmap_new();
	n->report = network_report_new(n);
	if (!n->report || !n->node_name || !n->state_dir || !n->locals || !n->ipcache || !n->svcs || !n->fronts) {
		r = err_set(err, ENOMEM, "out of memory");
		goto fail;
	}
	snprintf(n->node.uplink, sizeof(n->node.uplink), "%s", config->uplink ? config->uplink : "");
	r = ip_parse_list(config->node_ips, &n->node.ip4, &n->node.ip6, err);
	if (!r)
		r = ip_parse_cidr_list(config->cluster_cidrs, &n->node.pods4, &n->node.pods4_len, &n->node.pods6,
				       &n->node.pods6_len, err);
	if (!r)
		r = ip_parse_cidr_list(config->lan_cidrs, &dc.lan4, &dc.lan4_len, &dc.lan6, &dc.lan6_len, err);
	if (!r)
		r = ip_parse_cidr_list(config->service_cidrs, &dc.services4, &dc.services4_len, &dc.services6,
				       &dc.services6_len, err);
	if (!r && str_to_port_range(config->node_ports, &dc.node_port_min, &dc.node_port_max) < 0)
		r = err_set(err, EINVAL, "node ports '%s': expected FIRST-LAST", config->node_ports);
	if (!r)
		r = parse_xdp(config->xdp, &dc.xdp, err);
	if (!r)
		r = ipam_new(config->pod_cidrs, &n->ipam, err);
	if (!r)
		r = net_node_setup(&n->node, err);
	if (r < 0)
		goto fail;
	n->node_port_min = dc.node_port_min;
	n->node_port_max = dc.node_port_max;
	dc.uplink = n->node.uplink;
	dc.node_ip4 = n->node.ip4;
	dc.node_ip6 = n->node.ip6;
	dc.pod_cidr4 = n->node.pods4;
	dc.pod_cidr4_len = n->node.pods4_len;
	dc.pod_cidr6 = n->node.pods6;
	dc.pod_cidr6_len = n->node.pods6_len;
	n->health = health_ports_new(loop, (struct ip_addr[2]){ n->node.ip4, n->node.ip6 }, in_sync, n);
	if (!n->health) {
		r = err_set(err, ENOMEM, "out of memory");
		goto fail;
	}
	r = announce_new(loop, n->node.uplink, &n->announce, err);
	if (!r)
		r = dp_open(&dc, &n->dp, err);
	if (!r)
		tell_xdp(n);
	if (!r)
		r = restore(n, err);
	if (!r)
		r = read_maps(n, err);
	if (!r)
		r = load_ids(n, err);
	if (!r)
		r = start_informers(n, err);
	if (!r)
		r = cni_server_new(loop, config->cni_socket, network_cni, n, &n->cni, err);
	if (r < 0)
		goto fail;
	if (dp_drop_fd(n->dp) >= 0) {
		n->drop_io = (struct loop_io){ .fn = drops_due, .arg = n };
		(void)loop_io_add(loop, &n->drop_io, dp_drop_fd(n->dp), EPOLLIN);
	}
	network_metrics(n);
	(void)loop_timer_set(loop, &n->resync_timer, RESYNC_MS);
	*ret = n;
	return 0;
fail:
	network_free(n);
	return r;
}

void network_free(struct network *n)
{
	struct informer **all[] = { &n->pods, &n->namespaces, &n->policies, &n->services, &n->slices, &n->nodes };

	loop_timer_cancel(&n->sync_timer);
	loop_timer_cancel(&n->resync_timer);
	loop_io_del(&n->drop_io);
	cni_server_free(n->cni);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		informer_free(*all[i]);
	if (n->locals)
		for (struct strmap_iter it = { 0 }; strmap_next(n->locals, &it);) {
			free(((struct local *)it.value)->policies);
			free(it.value);
		}
	if (n->ipcache)
		for (struct strmap_iter it = { 0 }; strmap_next(n->ipcache, &it);)
			free(it.value);
	strmap_free(n->locals);
	strmap_free(n->ipcache);
	network_services_free(n);
	health_ports_free(n->health);
	announce_free(n->announce);
	network_report_free(n->report);
	policy_ids_free(n->ids);
	free(n->cidrs);
	ipam_free(n->ipam);
	if (n->dp)
		dp_close(n->dp);
	free(n->node_name);
	free(n->state_dir);
	free(n);
}

int network_prune(struct network *n, const char *const *sandbox_ids, size_t n_ids, struct err *err)
{
	int r = 0;

	for (struct strmap_iter it = { 0 }; strmap_next(n->locals, &it);) {
		bool known = false;

		for (size_t i = 0; i < n_ids && !known; i++)
			known = streq(sandbox_ids[i], it.key);
		if (known)
			continue;
		log_info("sandbox %s is unknown to the runtime: its address is released", it.key);
		if (network_release(n, it.value, err) < 0)
			r = -EIO;
	}
	network_changed(n);
	return r;
}

int network_pod_ips(const struct network *n, const char *sandbox_id, char *ret_ip4, char *ret_ip6)
{
	const struct local *l = strmap_get(n->locals, sandbox_id);

	if (!l)
		return -ENOENT;
	ip_text(&l->s.ip4, ret_ip4);
	ip_text(&l->s.ip6, ret_ip6);
	return 0;
}

struct local *network_local_by_ep(const struct network *n, uint32_t ep_id)
{
	for (struct strmap_iter it = { 0 }; strmap_next(n->locals, &it);)
		if (((struct local *)it.value)->s.number == ep_id)
			return it.value;
	return NULL;
}

const struct api_pod *network_pod_of(const struct network *n, const struct local *l)
{
	struct informer_item *it = informer_get(n->pods, l->s.ns, l->s.name);

	return it && (!l->s.uid[0] || streq(it->obj->metadata.uid, l->s.uid)) ? (const struct api_pod *)it->obj : NULL;
}
