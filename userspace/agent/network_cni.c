/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CNI ADD and DEL. ADD: the pod is known, it has an address, its interface is born with the programs on it and down,
 * the checkpoint is on disk, policy, services, addresses and endpoint are in the maps; only then the interface goes
 * up and the runtime hears of it. DEL is the reverse, and may be repeated. Each step can be cut short by a crash: the
 * checkpoint says what to undo.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/base/log.h"
#include "../lib/base/str.h"
#include "network-internal.h"

int network_release(struct network *n, struct local *l, struct err *err)
{
	int r;

	/*
	 * The endpoint first: from here on nothing passes. Its address leaves ipcache before it can be given out
	 * again.
	 */
	r = dp_endpoint_del(n->dp, l->s.number, err);
	if (r == -ENOENT)
		r = 0;
	if (!r)
		r = net_link_delete(l->s.host_ifname, err);
	for (int f = 0; !r && f < 2; f++) {
		const struct ip_addr *ip = f ? &l->s.ip6 : &l->s.ip4;
		char text[INET6_ADDRSTRLEN];
		struct cached *c;

		if (ip_is_zero(ip))
			continue;
		c = strmap_del(n->ipcache, ip_text(ip, text));
		free(c);
		r = dp_ipcache_del(n->dp, ip, err);
		if (r == -ENOENT)
			r = 0;
	}
	if (!r)
		r = dp_policy_del(n->dp, l->s.number, err);
	if (r == -ENOENT)
		r = 0;
	if (!r)
		r = checkpoint_remove(n->state_dir, l->s.id, err);
	if (r < 0)
		return err_wrap(err, r, "release sandbox %s of %s/%s", l->s.id, l->s.ns, l->s.name);
	ipam_release(n->ipam, l->s.number);
	strmap_del(n->locals, l->s.id);
	free(l->policies);
	free(l);
	return 0;
}

static struct local *local_new(struct network *n, const struct cni_request *req, const struct api_pod *pod,
			       struct err *err)
{
	struct local *l = calloc(1, sizeof(*l));

	if (!l || ipam_alloc(n->ipam, &l->s.number, &l->s.ip4, &l->s.ip6) < 0) {
		free(l);
		err_set(err, ENOSPC, "all %u pod addresses of this node are in use", ipam_capacity(n->ipam));
		return NULL;
	}
	snprintf(l->s.id, sizeof(l->s.id), "%s", req->container_id);
	snprintf(l->s.ns, sizeof(l->s.ns), "%s", pod->metadata.namespace_);
	snprintf(l->s.name, sizeof(l->s.name), "%s", pod->metadata.name);
	snprintf(l->s.uid, sizeof(l->s.uid), "%s", pod->metadata.uid);
	snprintf(l->s.netns, sizeof(l->s.netns), "%s", req->netns);
	snprintf(l->s.ifname, sizeof(l->s.ifname), "%s", req->ifname);
	net_pod_ifname(req->container_id, l->s.host_ifname);
	l->seq = ++n->seq;
	return l;
}

static int add(struct network *n, struct cni_request *req, const struct api_pod *pod, struct local **ret,
	       struct err *err)
{
	struct net_pod np = { .netns = req->netns, .ifname = req->ifname, .mtu = n->node.pod_mtu };
	struct local *l;
	int r;

	l = local_new(n, req, pod, err);
	if (!l)
		return -ENOSPC;
	memcpy(np.host_ifname, l->s.host_ifname, sizeof(np.host_ifname));
	np.ip4 = l->s.ip4;
	np.ip6 = l->s.ip6;
	/* On disk before there is anything to undo; again once the interface is known. */
	r = checkpoint_save(n->state_dir, &l->s, err);
	if (!r && strmap_set(n->locals, l->s.id, l, NULL) < 0)
		r = err_set(err, ENOMEM, "out of memory");
	if (r < 0) {
		(void)checkpoint_remove(n->state_dir, l->s.id, NULL);
		ipam_release(n->ipam, l->s.number);
		free(l);
		return r;
	}
	r = net_pod_create(&np, err);
	if (!r)
		r = dp_attach_pod(n->dp, np.ifindex, err);
	if (r < 0)
		goto undo;
	l->s.ifindex = np.ifindex;
	memcpy(l->s.host_mac, np.host_mac, 6);
	memcpy(l->s.pod_mac, np.pod_mac, 6);
	r = checkpoint_save(n->state_dir, &l->s, err);
	n->pods_changed = true;
	if (!r)
		r = network_sync(n, err);
	if (!r && !l->in_maps)
		r = err_set(err, EAGAIN, "the pod went away meanwhile");
	if (!r)
		r = net_pod_up(&np, err);
	if (r < 0)
		goto undo;
	*ret = l;
	return 0;
undo:
	if (network_release(n, l, NULL) < 0)
		log_error("sandbox %s could not be undone whole; its address stays taken until DEL", req->container_id);
	return r;
}

/* A kubelet's static pods have another UID of their own than in the API, where it is told by an annotation. */
static bool is_pod(const struct api_object *obj, const char *uid)
{
	return streq(obj->metadata.uid, uid) ||
	       streq(api_map_get(&obj->metadata.annotations, "kubernetes.io/config.mirror"), uid);
}

static const struct api_pod *find_pod(const struct network *n, const struct cni_request *req)
{
	struct informer_item *it = informer_get(n->pods, req->pod_ns, req->pod_name);

	return it && (!req->pod_uid[0] || is_pod(it->obj, req->pod_uid)) ? (const struct api_pod *)it->obj : NULL;
}

static bool ready_to_add(const struct network *n, const struct cni_request *req)
{
	return informer_synced(n->pods) && informer_synced(n->namespaces) && informer_synced(n->policies) &&
	       informer_synced(n->services) && informer_synced(n->slices) && informer_synced(n->nodes) &&
	       find_pod(n, req);
}

static void do_add(struct network *n, struct cni_request *req)
{
	struct err err = ERR_INIT;
	struct local *l;

	if (add(n, req, find_pod(n, req), &l, &err) < 0) {
		log_warn("network of pod %s/%s: %s", req->pod_ns, req->pod_name, err.msg);
		cni_reply_error(req, CNI_ERR_FAILED, "the pod's network could not be made", err.msg);
		return;
	}
	if (!req->http) {
		/* The plugin has gone: the runtime counts this as failed and calls DEL or ADD again. */
		log_info("network of pod %s/%s: the runtime did not wait for it", req->pod_ns, req->pod_name);
	}
	cni_reply_added(req, &l->s);
}

static void pending_free(struct pending *p)
{
	loop_timer_cancel(&p->timer);
	list_remove(&p->link);
	free(p);
}

static void waited_too_long(struct loop_timer *t)
{
	struct pending *p = t->arg;
	struct cni_request *req = p->req;

	pending_free(p);
	cni_reply_error(req, CNI_ERR_TRY_AGAIN, "the pod is not known to this node's agent",
			"it was not seen in the API within 20 s: was it deleted, or is the API server unreachable?");
}

static void plugin_gone(struct cni_request *req)
{
	struct pending *p = req->data;

	if (!p)
		return;
	pending_free(p);
	free(req);
}

void network_cni_pod_seen(struct network *n)
{
	list_for_each_safe (at, next, &n->pending) {
		struct pending *p = list_entry(at, struct pending, link);
		struct cni_request *req = p->req;

		if (!ready_to_add(n, req))
			continue;
		pending_free(p);
		req->data = NULL;
		do_add(n, req);
	}
}

static void wait_for_pod(struct network *n, struct cni_request *req)
{
	struct pending *p = calloc(1, sizeof(*p));

	if (!p) {
		cni_reply_error(req, CNI_ERR_TRY_AGAIN, "out of memory", "");
		return;
	}
	p->n = n;
	p->req = req;
	p->timer = (struct loop_timer){ .fn = waited_too_long, .arg = p };
	req->data = p;
	req->on_gone = plugin_gone;
	list_push_back(&n->pending, &p->link);
	(void)loop_timer_set(n->loop, &p->timer, NETWORK_ADD_TIMEOUT_MS);
}

void network_cni(struct cni_request *req, void *network)
{
	struct network *n = network;
	struct local *l = strmap_get(n->locals, req->container_id);
	struct err err = ERR_INIT;
	uint32_t index;

	if (streq(req->command, "DEL")) {
		if (l && network_release(n, l, &err) < 0) {
			log_error("%s", err.msg);
			cni_reply_error(req, CNI_ERR_TRY_AGAIN, "the pod's network could not be removed", err.msg);
			return;
		}
		network_changed(n);
		cni_reply_ok(req);
		return;
	}
	if (streq(req->command, "CHECK")) {
		if (!l || !l->in_maps || net_link_index(l->s.host_ifname, &index) < 0 || index != l->s.ifindex)
			cni_reply_error(req, CNI_ERR_FAILED, "the sandbox has no network here", req->container_id);
		else
			cni_reply_ok(req);
		return;
	}
	if (l && l->in_maps && !net_link_index(l->s.host_ifname, &index) && index == l->s.ifindex) {
		cni_reply_added(req, &l->s); /* asked again after an answer that was lost */
		return;
	}
	if (l && network_release(n, l, &err) < 0) {
		cni_reply_error(req, CNI_ERR_TRY_AGAIN, "what is left of an earlier attempt could not be removed",
				err.msg);
		return;
	}
	if (ready_to_add(n, req))
		do_add(n, req);
	else
		wait_for_pod(n, req);
}
