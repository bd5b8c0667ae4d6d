/* SPDX-License-Identifier: Apache-2.0 */
/* See node_watch.h. */
#include "node_watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/api_types.h"
#include "../lib/base/cleanup.h"
#include "../lib/base/log.h"
#include "../lib/base/str.h"
#include "../lib/base/strbuf.h"
#include "../lib/client/informer.h"

struct node_watch {
	struct node_watch_config config;
	struct informer *inf;
	const char *waits; /* for what, as it was logged; NULL: nothing */
	bool known;
};

static void wait_for(struct node_watch *w, const char *what)
{
	if (w->waits != what)
		log_info("node %s: waiting for %s", w->config.name, what);
	w->waits = what;
}

static void add(struct strbuf *list, const char *text)
{
	strbuf_addf(list, "%s%s", list->len ? "," : "", text);
}

/* The first of each family, as kube-proxy and the kubelet choose them. */
static void internal_ips(const struct api_node *node, struct strbuf *ret)
{
	bool have[2] = { false, false };

	for (size_t i = 0; i < node->status.n_addresses; i++) {
		const struct api_node_address *a = &node->status.addresses[i];
		bool v6 = a->address && strchr(a->address, ':');

		if (!streq(a->type, "InternalIP") || !a->address || have[v6])
			continue;
		have[v6] = true;
		add(ret, a->address);
	}
}

static void look(struct node_watch *w)
{
	const struct informer_item *it = informer_get(w->inf, NULL, w->config.name);
	const struct api_node *node = it ? (const struct api_node *)it->obj : NULL;
	cleanup(strbuf_done) struct strbuf cidrs = STRBUF_INIT;
	cleanup(strbuf_done) struct strbuf ips = STRBUF_INIT;

	if (w->known)
		return;
	if (!node) {
		wait_for(w, "its Node object, which a kubelet registers (is --node-name the kubelet's?)");
		return;
	}
	for (size_t i = 0; i < node->spec.n_pod_cidrs; i++)
		add(&cidrs, node->spec.pod_cidrs[i]);
	if (!cidrs.len) {
		wait_for(w, "Node.spec.podCIDRs (kube-controller-manager --allocate-node-cidrs)");
		return;
	}
	if (w->config.node_ips)
		strbuf_adds(&ips, w->config.node_ips);
	else
		internal_ips(node, &ips);
	if (!ips.len) {
		wait_for(w, "an InternalIP in its status (or give --node-ips)");
		return;
	}
	if (strbuf_oom(&cidrs) || strbuf_oom(&ips))
		return;
	w->known = true;
	w->config.on_known(w->config.arg, cidrs.buf, ips.buf);
}

static void on_change(struct informer *inf, void *arg, struct informer_item *old, struct informer_item *new)
{
	(void)old;
	(void)new;
	if (informer_synced(inf))
		look(arg);
}

static void on_synced(struct informer *inf, void *arg)
{
	(void)inf;
	look(arg);
}

int node_watch_new(struct kube *kube, const struct node_watch_config *config, struct node_watch **ret, struct err *err)
{
	static const struct informer_ops ops = { on_change, on_synced };
	struct node_watch *w = calloc(1, sizeof(*w));
	cleanup(free) char *selector = NULL;
	struct informer_config ic = { .kind = &api_kind_node };

	if (!w || asprintf(&selector, "metadata.name=%s", config->name) < 0) {
		free(w);
		return err_set(err, ENOMEM, "out of memory");
	}
	w->config = *config;
	ic.field_selector = selector;
	w->inf = informer_new(kube, &ic, &ops, w);
	if (!w->inf || informer_start(w->inf) < 0) {
		node_watch_free(w);
		return err_set(err, ENOMEM, "out of memory");
	}
	*ret = w;
	return 0;
}

void node_watch_free(struct node_watch *w)
{
	if (!w)
		return;
	informer_free(w->inf);
	free(w);
}
