/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pod address ranges of nodes: one range per family out of the cluster's, never overlapping and never inside the
 * service ranges. What is given out is read from the nodes themselves, so that nothing can be lost. Keys are handled
 * one at a time in effect: a range given in this process but not yet seen in the cache is remembered.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/strmap.h"
#include "manager.h"

struct range {
	int family;
	unsigned char base[16];
	int len; /* bits */
	size_t bytes;
};

struct ipam {
	struct strmap *given; /* node name -> its ranges as text, until the cache shows them */
};

static bool parse_range(const char *text, size_t n, struct range *r)
{
	char buf[64], *slash;
	int64_t len;

	if (n >= sizeof(buf))
		return false;
	snprintf(buf, sizeof(buf), "%.*s", (int)n, text);
	slash = strchr(buf, '/');
	if (!slash)
		return false;
	*slash = '\0';
	r->family = strchr(buf, ':') ? AF_INET6 : AF_INET;
	r->bytes = r->family == AF_INET6 ? 16 : 4;
	memset(r->base, 0, sizeof(r->base));
	if (inet_pton(r->family, buf, r->base) != 1 || str_to_i64(slash + 1, 0, (int64_t)r->bytes * 8, &len) < 0)
		return false;
	r->len = (int)len;
	return true;
}

/* Calls fn for each range of a comma-separated list until it returns false. */
static void each_range(const char *list, bool (*fn)(void *arg, const struct range *r), void *arg)
{
	while (list && *list) {
		size_t n = strcspn(list, ",");
		struct range r;

		if (parse_range(list, n, &r) && !fn(arg, &r))
			return;
		list += n + (list[n] == ',');
	}
}

static bool overlap(const struct range *a, const struct range *b)
{
	int bits = a->len < b->len ? a->len : b->len;

	if (a->family != b->family || memcmp(a->base, b->base, (size_t)bits / 8))
		return false;
	if (bits % 8) {
		int shift = 8 - bits % 8;

		return a->base[bits / 8] >> shift == b->base[bits / 8] >> shift;
	}
	return true;
}

struct clash {
	const struct range *candidate;
	bool hit;
};

static bool check_clash(void *arg, const struct range *r)
{
	struct clash *c = arg;

	c->hit |= overlap(c->candidate, r);
	return !c->hit;
}

static bool taken(struct controller *c, const struct range *candidate)
{
	struct informer *nodes = manager_informer(c->m, &api_kind_node);
	const struct ipam *ipam = c->data;
	struct clash clash = { candidate, false };

	each_range(c->m->config.service_cidrs, check_clash, &clash);
	for (struct informer_iter it = { 0 }; !clash.hit && informer_next(nodes, &it);) {
		const struct api_node *n = (const struct api_node *)it.item->obj;

		for (size_t i = 0; i < n->spec.n_pod_cidrs; i++)
			each_range(n->spec.pod_cidrs[i], check_clash, &clash);
	}
	for (struct strmap_iter it = { 0 }; !clash.hit && strmap_next(ipam->given, &it);)
		each_range(it.value, check_clash, &clash);
	return clash.hit;
}

/* Adds one at bit position len (from the left): the next range of that size. false: the parent range is used up. */
static bool next(struct range *r, const struct range *parent)
{
	struct range probe;

	for (int bit = r->len - 1; bit >= parent->len; bit--) {
		unsigned char mask = (unsigned char)(0x80 >> bit % 8);

		r->base[bit / 8] ^= mask;
		if (r->base[bit / 8] & mask) {
			probe = *r;
			return overlap(&probe, parent);
		}
	}
	return false;
}

struct search {
	struct controller *c;
	char out[160];
	bool exhausted;
};

static bool find_in(void *arg, const struct range *parent)
{
	struct search *s = arg;
	struct range r = *parent;
	char text[INET6_ADDRSTRLEN];
	int tries = 1 << 20;

	r.len = parent->family == AF_INET ? s->c->m->config.mask4 : s->c->m->config.mask6;
	if (r.len < parent->len) {
		s->exhausted = true;
		return false;
	}
	while (taken(s->c, &r)) {
		if (!--tries || !next(&r, parent)) {
			s->exhausted = true;
			return false;
		}
	}
	inet_ntop(r.family, r.base, text, sizeof(text));
	snprintf(s->out + strlen(s->out), sizeof(s->out) - strlen(s->out), "%s%s/%d", s->out[0] ? "," : "", text,
		 r.len);
	return true;
}

static int init(struct controller *c)
{
	struct ipam *ipam = calloc(1, sizeof(*ipam));

	c->data = ipam;
	if (!ipam)
		return -ENOMEM;
	ipam->given = strmap_new();
	return ipam->given ? 0 : -ENOMEM;
}

static void ipam_free(struct controller *c)
{
	struct ipam *ipam = c->data;

	if (!ipam)
		return;
	for (struct strmap_iter it = { 0 }; ipam->given && strmap_next(ipam->given, &it);)
		free(it.value);
	strmap_free(ipam->given);
	free(ipam);
}

static void on_change(struct controller *c, const struct api_kind *kind, struct informer_item *old,
		      struct informer_item *new)
{
	struct ipam *ipam = c->data;
	const struct informer_item *it = new ? new : old;

	(void)kind;
	if (!new || ((const struct api_node *)new->obj)->spec.n_pod_cidrs)
		free(strmap_del(ipam->given, it->key));
	if (new && !((const struct api_node *)new->obj)->spec.n_pod_cidrs)
		enqueue(c, it->key);
}

static void reconcile(struct controller *c, const char *key)
{
	struct informer_item *item = informer_get_key(manager_informer(c->m, &api_kind_node), key);
	struct search s = { .c = c };
	struct ipam *ipam = c->data;
	json_t *patch, *cidrs;
	struct batch *b;
	const char *given;

	if (!item || ((const struct api_node *)item->obj)->spec.n_pod_cidrs) {
		done(c, key, 0);
		return;
	}
	given = strmap_get(ipam->given, key);
	if (given) {
		snprintf(s.out, sizeof(s.out), "%s", given);
	} else {
		each_range(c->m->config.cluster_cidrs, find_in, &s);
		if (s.exhausted) {
			kube_event(
				c->m->recorder, &api_kind_node, item->obj, "Warning", "CIDRNotAvailable",
				"No pod range is left in %s: use a wider --cluster-cidrs or a longer --node-cidr-mask-size",
				c->m->config.cluster_cidrs);
			done(c, key, -ENOSPC);
			return;
		}
		if (strmap_set(ipam->given, key, strdup(s.out), NULL) < 0) {
			done(c, key, -ENOMEM);
			return;
		}
	}
	cidrs = json_array();
	for (const char *p = s.out; *p;) {
		size_t n = strcspn(p, ",");

		json_array_append_new(cidrs, json_stringn(p, n));
		p += n + (p[n] == ',');
	}
	patch = json_pack("{s:{s:s},s:{s:O,s:o}}", "metadata", "uid", item->obj->metadata.uid, "spec", "podCIDR",
			  json_array_get(cidrs, 0), "podCIDRs", cidrs);
	b = batch_new(c, key);
	if (b) {
		log_info("node %s: pod ranges %s", key, s.out);
		BATCH_CALL(b, kube_patch(c->m->kube, &api_kind_node, NULL, item->obj->metadata.name, NULL,
					 KUBE_PATCH_MERGE, patch, batch_result, b));
		batch_give(b, 0);
	}
	json_decref(patch);
}

static const struct api_kind *const kinds[] = { &api_kind_node, NULL };

const struct controller_ops node_ipam_controller = {
	.name = "node-ipam",
	.kinds = kinds,
	.init = init,
	.on_change = on_change,
	.reconcile = reconcile,
	.free = ipam_free,
};
