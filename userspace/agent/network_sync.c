/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pods, namespaces and policies into the data plane. The order is the one dp.h asks for: rules that name a new
 * identity are in place before an address gets it, an address loses its identity before the rules forget it, and a
 * pod's policy is there before its endpoint.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "../../headers/abi/policy.h"
#include "../lib/base/arena.h"
#include "../lib/base/cleanup.h"
#include "../lib/base/file.h"
#include "../lib/base/log.h"
#include "../lib/base/str.h"
#include "network-internal.h"

/* The snapshot, and which of its pods are what. */
struct view {
	struct arena arena;
	struct policy_ns *ns;
	struct policy_pod *pods;
	const struct api_pod **objs;
	struct local **locals; /* NULL: not here */
	const struct api_network_policy **policies;
	struct policy_snapshot snap;
};

static bool over(const struct api_pod *p)
{
	return streq(p->status.phase, "Succeeded") || streq(p->status.phase, "Failed");
}

static struct local *local_of(const struct network *n, const struct api_pod *p)
{
	struct local *found = NULL;

	for (struct strmap_iter it = { 0 }; strmap_next(n->locals, &it);) {
		struct local *l = it.value;

		/* A second sandbox of a pod replaces a dead first one, whose DEL may still be on its way. */
		if (streq(l->s.uid, p->metadata.uid) && (!found || l->seq > found->seq))
			found = l;
	}
	return found;
}

static uint8_t proto_number(const char *name)
{
	return streq(name, "UDP") ? IPPROTO_UDP : streq(name, "SCTP") ? IPPROTO_SCTP : IPPROTO_TCP;
}

static bool add_ports(struct view *v, const struct api_pod *p, struct policy_pod *out)
{
	struct policy_port_name *ports;
	size_t n = 0;

	for (size_t i = 0; i < p->spec.n_containers; i++)
		n += p->spec.containers[i].n_ports;
	ports = arena_calloc(&v->arena, n + 1, sizeof(*ports));
	if (!ports)
		return false;
	for (size_t i = 0; i < p->spec.n_containers; i++)
		for (size_t k = 0; k < p->spec.containers[i].n_ports; k++) {
			const struct api_container_port *cp = &p->spec.containers[i].ports[k];

			if (cp->name)
				ports[out->n_ports++] = (struct policy_port_name){ cp->name, proto_number(cp->protocol),
										   (uint16_t)cp->container_port };
		}
	out->ports = ports;
	return true;
}

static void addresses(const struct api_pod *p, struct policy_pod *out)
{
	struct ip_addr ip;

	for (size_t i = 0; i < p->status.n_pod_ips; i++)
		if (p->status.pod_ips[i].ip && !ip_parse(p->status.pod_ips[i].ip, &ip))
			*(ip_is_v4(&ip) ? &out->ip4 : &out->ip6) = ip;
}

/*
 * An address told by two pods belongs to the one here with a sandbox, else to the younger: the older one's end is on
 * its way to us.
 */
static bool beats(const struct view *v, size_t a, size_t b)
{
	const struct api_pod *x = v->objs[a], *y = v->objs[b];

	if (!v->locals[a] != !v->locals[b])
		return v->locals[a];
	if (!x->metadata.deletion_timestamp != !y->metadata.deletion_timestamp)
		return !x->metadata.deletion_timestamp;
	return strcmp(x->metadata.creation_timestamp ? x->metadata.creation_timestamp : "",
		      y->metadata.creation_timestamp ? y->metadata.creation_timestamp : "") > 0;
}

static int drop_doubles(struct view *v, struct err *err)
{
	struct strmap *owner = strmap_new();
	char text[INET6_ADDRSTRLEN];
	int r = 0;

	for (size_t i = 0; owner && !r && i < v->snap.n_pods; i++) {
		struct ip_addr *ips[] = { &v->pods[i].ip4, &v->pods[i].ip6 };

		for (int f = 0; f < 2 && !v->pods[i].host_network; f++) {
			size_t other;

			if (ip_is_zero(ips[f]))
				continue;
			other = (size_t)(uintptr_t)strmap_get(owner, ip_text(ips[f], text));
			if (other && !beats(v, i, other - 1)) {
				*ips[f] = (struct ip_addr){ 0 };
				continue;
			}
			if (other)
				*(f ? &v->pods[other - 1].ip6 : &v->pods[other - 1].ip4) = (struct ip_addr){ 0 };
			if (strmap_set(owner, text, (void *)(uintptr_t)(i + 1), NULL) < 0)
				r = -ENOMEM;
		}
	}
	if (!owner || r < 0)
		r = err_set(err, ENOMEM, "out of memory");
	strmap_free(owner);
	return r;
}

static int look(struct network *n, struct view *v, struct err *err)
{
	size_t n_pods = informer_len(n->pods), i = 0;

	*v = (struct view){ 0 };
	v->ns = arena_calloc(&v->arena, informer_len(n->namespaces) + 1, sizeof(*v->ns));
	v->pods = arena_calloc(&v->arena, n_pods + 1, sizeof(*v->pods));
	v->objs = arena_calloc(&v->arena, n_pods + 1, sizeof(*v->objs));
	v->locals = arena_calloc(&v->arena, n_pods + 1, sizeof(*v->locals));
	v->policies = arena_calloc(&v->arena, informer_len(n->policies) + 1, sizeof(*v->policies));
	if (!v->ns || !v->pods || !v->objs || !v->locals || !v->policies)
		return err_set(err, ENOMEM, "out of memory");
	for (struct informer_iter it = { 0 }; informer_next(n->namespaces, &it);)
		v->ns[v->snap.n_ns++] = (struct policy_ns){ it.item->obj->metadata.name,
							    &it.item->obj->metadata.labels };
	for (struct informer_iter it = { 0 }; informer_next(n->policies, &it);)
		v->policies[v->snap.n_policies++] = (const struct api_network_policy *)it.item->obj;
	for (struct informer_iter it = { 0 }; informer_next(n->pods, &it);) {
		const struct api_pod *p = (const struct api_pod *)it.item->obj;
		bool here = streq(p->spec.node_name, n->node_name);
		struct local *l = here && !p->spec.host_network ? local_of(n, p) : NULL;
		struct policy_pod *out = &v->pods[i];

		if (over(p) || (!l && !p->status.n_pod_ips) || (here && !l && !p->spec.host_network))
			continue; /* no address, or none any more */
		*out = (struct policy_pod){ .ns = p->metadata.namespace_,
					    .name = p->metadata.name,
					    .labels = &p->metadata.labels,
					    .host_network = p->spec.host_network,
					    .local = l != NULL };
		if (l) {
			out->ip4 = l->s.ip4;
			out->ip6 = l->s.ip6;
		} else {
			addresses(p, out);
		}
		if (!add_ports(v, p, out))
			return err_set(err, ENOMEM, "out of memory");
		v->objs[i] = p;
		v->locals[i++] = l;
	}
	v->snap.ns = v->ns;
	v->snap.pods = v->pods;
	v->snap.n_pods = i;
	v->snap.policies = v->policies;
	v->snap.node4 = n->node.ip4;
	v->snap.node6 = n->node.ip6;
	return drop_doubles(v, err);
}

/* --- policies and endpoints of local pods ------------------------------------------------------------------------- */

static uint64_t hash_of(const struct policy_of_pod *p)
{
	uint64_t h = str_hash(p->rules, p->n_rules * sizeof(*p->rules)) ^ (p->isolated[0] ? 1 : 0) ^
		     (p->isolated[1] ? 2 : 0);

	return h ? h : 1;
}

static char *policy_names(const struct policy_of_pod *p)
{
	struct strbuf sb = STRBUF_INIT;

	for (size_t i = 0; i < p->n_selected_by; i++)
		strbuf_addf(&sb, "%s%s", i ? "," : "", p->selected_by[i]->metadata.name);
	return strbuf_detach(&sb, NULL);
}

static int set_policy(struct network *n, struct local *l, const struct policy_of_pod *p, bool *ret_changed,
		      struct err *err)
{
	cleanup(free) struct dp_policy_rule *rules = calloc(p->n_rules + 1, sizeof(*rules));
	struct dp_policy policy = { .isolated_ingress = p->isolated[POLICY_DIR_INGRESS],
				    .isolated_egress = p->isolated[POLICY_DIR_EGRESS],
				    .rules = rules,
				    .n_rules = p->n_rules,
				    .generation = n->generation + 1 };
	uint64_t hash = hash_of(p);
	int r;

	if (l->policy_hash == hash)
		return 0;
	if (!rules)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < p->n_rules; i++)
		rules[i] = (struct dp_policy_rule){
			.direction = p->rules[i].direction == POLICY_DIR_EGRESS ? DP_EGRESS : DP_INGRESS,
			.proto = p->rules[i].proto,
			.port = p->rules[i].port,
			.port_bits = p->rules[i].port_bits,
			.identity = p->rules[i].identity,
			.rule_id = p->rules[i].rule_id,
			.allow = true,
		};
	r = dp_policy_set(n->dp, l->s.number, &policy, err);
	if (r < 0)
		return err_wrap(err, r, "policy of pod %s/%s", l->s.ns, l->s.name);
	l->policy_hash = hash;
	l->isolated[0] = p->isolated[0];
	l->isolated[1] = p->isolated[1];
	l->n_rules = p->n_rules;
	free(l->policies);
	l->policies = policy_names(p);
	*ret_changed = true;
	return 0;
}

static int set_endpoint(struct network *n, struct local *l, uint32_t identity, struct err *err)
{
	struct dp_endpoint ep = {
		.ep_id = l->s.number, .ifindex = l->s.ifindex, .identity = identity, .ip4 = l->s.ip4, .ip6 = l->s.ip6
	};
	int r;

	if (l->in_maps && l->identity == identity)
		return 0;
	memcpy(ep.pod_mac, l->s.pod_mac, 6);
	memcpy(ep.host_mac, l->s.host_mac, 6);
	r = dp_endpoint_add(n->dp, &ep, err);
	if (r < 0)
		return err_wrap(err, r, "endpoint of pod %s/%s", l->s.ns, l->s.name);
	l->in_maps = true;
	l->identity = identity;
	return 0;
}

/* --- addresses ---------------------------------------------------------------------------------------------------- */

static int set_address(struct network *n, const struct dp_ipcache_entry *e, const char *ns, const char *name,
		       struct err *err)
{
	char text[INET6_ADDRSTRLEN];
	struct cached *c;
	int r;

	if (ip_is_zero(&e->ip))
		return 0;
	c = strmap_get(n->ipcache, ip_text(&e->ip, text));
	if (!c) {
		c = calloc(1, sizeof(*c));
		if (!c || strmap_set(n->ipcache, text, c, NULL) < 0) {
			free(c);
			return err_set(err, ENOMEM, "out of memory");
		}
		c->e.identity = UINT32_MAX; /* differs from whatever is wanted */
	}
	c->wanted = true;
	snprintf(c->pod, sizeof(c->pod), "%s%s%s", ns ? ns : "", ns ? "/" : "", name);
	if (c->e.identity == e->identity && ip_equal(&c->e.node, &e->node))
		return 0;
	r = dp_ipcache_set(n->dp, e, err);
	if (r < 0)
		return err_wrap(err, r, "address %s of %s", text, c->pod);
	c->e = *e;
	return 0;
}

static void node_of_pod(const struct network *n, const struct api_pod *p, struct ip_addr *ret)
{
	struct informer_item *it = p->spec.node_name ? informer_get(n->nodes, NULL, p->spec.node_name) : NULL;
	const struct api_node *node = it ? (const struct api_node *)it->obj : NULL;
	struct ip_addr ip;

	*ret = (struct ip_addr){ 0 };
	/* The tunnel runs over the family that both nodes have: IPv4 where we have it. */
	for (size_t i = 0; node && i < node->status.n_addresses; i++)
		if (streq(node->status.addresses[i].type, "InternalIP") &&
		    !ip_parse(node->status.addresses[i].address, &ip) && ip_is_v4(&ip) == !ip_is_zero(&n->node.ip4)) {
			*ret = ip;
			return;
		}
	if (p->status.host_ip)
		(void)ip_parse(p->status.host_ip, ret);
}

static int set_addresses(struct network *n, const struct view *v, const struct policy_compiled *c, struct err *err)
{
	int r = 0, first = 0;

	for (struct strmap_iter it = { 0 }; strmap_next(n->ipcache, &it);)
		((struct cached *)it.value)->wanted = false;
	for (size_t i = 0; i < v->snap.n_pods; i++) {
		struct dp_ipcache_entry e = { .ip = v->pods[i].ip4, .identity = c->pods[i].identity };

		if (v->pods[i].host_network || !c->pods[i].identity)
			continue;
		if (!v->locals[i])
			node_of_pod(n, v->objs[i], &e.node);
		r = set_address(n, &e, v->pods[i].ns, v->pods[i].name, first ? NULL : err);
		e.ip = v->pods[i].ip6;
		if (!r)
			r = set_address(n, &e, v->pods[i].ns, v->pods[i].name, first ? NULL : err);
		if (r < 0 && !first)
			first = r;
	}
	for (struct informer_iter it = { 0 }; informer_next(n->nodes, &it);) {
		const struct api_node *node = (const struct api_node *)it.item->obj;

		for (size_t i = 0; i < node->status.n_addresses; i++) {
			struct dp_ipcache_entry e = { 0 };
			uint32_t cidr;

			if (!streq(node->status.addresses[i].type, "InternalIP") ||
			    ip_parse(node->status.addresses[i].address, &e.ip) < 0 || ip_equal(&e.ip, &n->node.ip4) ||
			    ip_equal(&e.ip, &n->node.ip6))
				continue;
			cidr = policy_cidr_identity(c, &e.ip);
			e.identity = cidr ? cidr : IDENTITY_REMOTE_NODE;
			r = set_address(n, &e, NULL, node->metadata.name, first ? NULL : err);
			if (r < 0 && !first)
				first = r;
		}
	}
	return first;
}

static int remove_addresses(struct network *n, struct err *err)
{
	int first = 0;

	for (struct strmap_iter it = { 0 }; strmap_next(n->ipcache, &it);) {
		struct cached *c = it.value;
		int r;

		if (c->wanted)
			continue;
		r = dp_ipcache_del(n->dp, &c->e.ip, first ? NULL : err);
		if (r < 0 && r != -ENOENT) {
			first = first ? first : r;
			continue;
		}
		strmap_del(n->ipcache, it.key);
		free(c);
	}
	return first;
}

static bool has_cidr(const struct policy_cidr *list, size_t n, const struct policy_cidr *c, bool with_identity)
{
	for (size_t i = 0; i < n; i++)
		if (list[i].len == c->len && ip_equal(&list[i].ip, &c->ip) &&
		    (!with_identity || list[i].identity == c->identity))
			return true;
	return false;
}

static int set_cidrs(struct network *n, const struct policy_compiled *c, struct err *err)
{
	struct policy_cidr *copy = calloc(c->n_cidrs + 1, sizeof(*copy));
	int r = 0;

	if (!copy)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; !r && i < c->n_cidrs; i++) {
		struct dp_cidr_entry e = { c->cidrs[i].ip, c->cidrs[i].len, c->cidrs[i].identity };

		if (!has_cidr(n->cidrs, n->n_cidrs, &c->cidrs[i], true))
			r = dp_cidr_set(n->dp, &e, err);
	}
	for (size_t i = 0; !r && i < n->n_cidrs; i++) {
		struct dp_cidr_entry e = { n->cidrs[i].ip, n->cidrs[i].len, n->cidrs[i].identity };

		if (!has_cidr(c->cidrs, c->n_cidrs, &n->cidrs[i], false))
			r = dp_cidr_del(n->dp, &e, err);
		if (r == -ENOENT)
			r = 0;
	}
	if (r < 0) {
		free(copy);
		return r; /* all are written again next time: the memory of what the map holds stays as it was */
	}
	memcpy(copy, c->cidrs, c->n_cidrs * sizeof(*copy));
	free(n->cidrs);
	n->cidrs = copy;
	n->n_cidrs = c->n_cidrs;
	return 0;
}

/* --- all ---------------------------------------------------------------------------------------------------------- */

/* Numbers are written down before a map may hold them, so that they mean the same after a crash. */
static int save_ids(struct network *n, uint64_t before, struct err *err)
{
	cleanup(strbuf_done) struct strbuf sb = STRBUF_INIT;
	char path[PATH_MAX];
	int r;

	if (policy_ids_version(n->ids) == before)
		return 0;
	r = policy_ids_save(n->ids, &sb);
	if (r < 0)
		return err_set(err, -r, "identities: %s", strerror(-r));
	snprintf(path, sizeof(path), "%s/identities", n->state_dir);
	return file_write_atomic(path, sb.buf, sb.len, 0600, err);
}

static int apply(struct network *n, const struct view *v, const struct policy_compiled *c, struct err *err)
{
	bool changed = false;
	int r, first = 0;

	for (size_t i = 0; i < v->snap.n_pods; i++) {
		if (!v->locals[i])
			continue;
		r = set_policy(n, v->locals[i], &c->pods[i], &changed, first ? NULL : err);
		if (r < 0 && !first)
			first = r;
	}
	r = set_cidrs(n, c, first ? NULL : err);
	first = first ? first : r;
	r = set_addresses(n, v, c, first ? NULL : err);
	first = first ? first : r;
	for (size_t i = 0; i < v->snap.n_pods; i++) {
		if (!v->locals[i] || !v->locals[i]->policy_hash)
			continue;
		r = set_endpoint(n, v->locals[i], c->pods[i].identity, first ? NULL : err);
		if (r < 0 && !first)
			first = r;
	}
	if (!first)
		first = remove_addresses(n, err);
	if (changed) {
		r = dp_policy_bump(n->dp, first ? NULL : err);
		first = first ? first : r;
		n->generation++;
	}
	return first;
}

int network_sync_pods(struct network *n, struct err *err)
{
	uint64_t before = policy_ids_version(n->ids);
	struct policy_compiled *c = NULL;
	struct view v;
	int r;

	r = look(n, &v, err);
	if (!r)
		r = policy_compile(n->ids, &v.snap, &c, err);
	if (!r)
		r = save_ids(n, before, err);
	if (!r)
		r = apply(n, &v, c, err);
	if (!r && policy_ids_release(n->ids))
		network_changed(n); /* rules without the forgotten identities */
	policy_compiled_free(c);
	arena_done(&v.arena);
	return r;
}
