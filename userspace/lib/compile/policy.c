/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy compiler. First the prefixes that ipBlocks name, then an identity for every pod and prefix, then for
 * each local pod the union of the rules of the policies that select it, each peer turned into the identities it
 * matches.
 */
#include "policy-internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../base/cleanup.h"
#include "../base/str.h"
#include "abi/policy.h"
#include "ipnum.h"

#define METADATA_NAME "kubernetes.io/metadata.name"

struct peer_set {
	bool ready, any; /* any: whoever */
	struct identity_entry **v;
	size_t n;
	bool host; /* a block that holds this node's address */
	uint32_t rule_id;
};

struct compiler {
	struct policy_ids *ids;
	const struct policy_snapshot *snap;
	struct policy_compiled *out;
	struct arena *arena;
	struct prefix *prefixes; /* longest first */
	size_t n_prefixes;
	struct strmap *ns; /* name -> struct api_map */
	struct identity_entry **all;
	size_t n_all;
	struct peer_set **peers[2]; /* by direction: per policy, one set per rule and peer, in order */
	/* of the pod at hand */
	struct policy_rule *rules;
	size_t n_rules, cap_rules;
};

/* --- text to numbers ---------------------------------------------------------------------------------------------- */

int policy_parse_ip(const char *text, struct ip_addr *ret)
{
	struct ip_addr a = { { 0 } };

	if (!text)
		return -EINVAL;
	if (inet_pton(AF_INET, text, &a.w[3]) == 1)
		a.w[2] = htonl(0xffff);
	else if (inet_pton(AF_INET6, text, a.w) != 1)
		return -EINVAL;
	*ret = a;
	return 0;
}

int policy_parse_cidr(const char *text, struct ip_addr *ret_ip, unsigned *ret_len)
{
	char ip[INET6_ADDRSTRLEN];
	struct ip_addr a;
	const char *slash;
	int64_t len;
	bool v4;

	slash = text ? strchr(text, '/') : NULL;
	if (!slash || (size_t)(slash - text) >= sizeof(ip))
		return -EINVAL;
	memcpy(ip, text, (size_t)(slash - text));
	ip[slash - text] = '\0';
	v4 = !strchr(ip, ':');
	if (policy_parse_ip(ip, &a) < 0 || str_to_i64(slash + 1, 0, v4 ? 32 : 128, &len) < 0)
		return -EINVAL;
	*ret_len = (unsigned)len + (v4 ? 96 : 0);
	*ret_ip = ipnum_mask(&a, *ret_len);
	return 0;
}

/* Within the same family only: ::/0 does not hold v4-mapped addresses. */
static bool prefix_is_v4(const struct prefix *p)
{
	return p->len >= 96 && ipnum_is_v4(&p->ip);
}

static bool prefix_in(const struct prefix *p, const struct prefix *outer)
{
	return p->len != NO_PREFIX && p->len >= outer->len && prefix_is_v4(p) == prefix_is_v4(outer) &&
	       ipnum_in(&p->ip, &outer->ip, outer->len);
}

static struct prefix longest(const struct compiler *c, const struct ip_addr *ip)
{
	struct prefix none = { .len = NO_PREFIX };

	if (ipnum_is_zero(ip))
		return none;
	for (size_t i = 0; i < c->n_prefixes; i++)
		if (prefix_is_v4(&c->prefixes[i]) == ipnum_is_v4(ip) &&
		    ipnum_in(ip, &c->prefixes[i].ip, c->prefixes[i].len))
			return c->prefixes[i];
	return none;
}

/* --- prefixes ----------------------------------------------------------------------------------------------------- */

static int add_prefix(struct compiler *c, size_t *cap, const char *cidr)
{
	struct prefix p;

	/* The API server refuses what does not parse; a block that got here all the same matches nothing. */
	if (policy_parse_cidr(cidr, &p.ip, &p.len) < 0)
		return 0;
	for (size_t i = 0; i < c->n_prefixes; i++)
		if (c->prefixes[i].len == p.len && ipnum_eq(&c->prefixes[i].ip, &p.ip))
			return 0;
	if (c->n_prefixes == *cap) {
		struct prefix *bigger = arena_calloc(c->arena, *cap ? *cap * 2 : 16, sizeof(*bigger));

		if (!bigger)
			return -ENOMEM;
		if (c->n_prefixes)
			memcpy(bigger, c->prefixes, c->n_prefixes * sizeof(*bigger));
		*cap = *cap ? *cap * 2 : 16;
		c->prefixes = bigger;
	}
	c->prefixes[c->n_prefixes++] = p;
	return 0;
}

static int add_block(struct compiler *c, size_t *cap, const struct api_ip_block *b)
{
	int r;

	if (!b)
		return 0;
	r = add_prefix(c, cap, b->cidr);
	for (size_t i = 0; !r && i < b->n_except; i++)
		r = add_prefix(c, cap, b->except[i]);
	return r;
}

static int longest_first(const void *a, const void *b)
{
	const struct prefix *x = a, *y = b;

	return x->len != y->len ? (x->len < y->len ? 1 : -1) : memcmp(&x->ip, &y->ip, sizeof(x->ip));
}

static int collect_prefixes(struct compiler *c)
{
	bool over_v4 = false;
	size_t cap = 0;
	int r = 0;

	for (size_t i = 0; i < c->snap->n_policies; i++) {
		const struct api_network_policy_spec *s = &c->snap->policies[i]->spec;

		for (size_t k = 0; k < s->n_ingress; k++)
			for (size_t p = 0; !r && p < s->ingress[k].n_from; p++)
				r = add_block(c, &cap, s->ingress[k].from[p].ip_block);
		for (size_t k = 0; k < s->n_egress; k++)
			for (size_t p = 0; !r && p < s->egress[k].n_to; p++)
				r = add_block(c, &cap, s->egress[k].to[p].ip_block);
	}
	/* In the trie a short IPv6 prefix would answer for IPv4: give that a place of its own. */
	for (size_t i = 0; i < c->n_prefixes; i++)
		if (c->prefixes[i].len < 96)
			over_v4 = true;
	if (!r && over_v4)
		r = add_prefix(c, &cap, "0.0.0.0/0");
	if (c->n_prefixes)
		qsort(c->prefixes, c->n_prefixes, sizeof(*c->prefixes), longest_first);
	return r;
}

/* --- identities --------------------------------------------------------------------------------------------------- */

static int index_namespaces(struct compiler *c)
{
	c->ns = strmap_new();
	if (!c->ns)
		return -ENOMEM;
	for (size_t i = 0; i < c->snap->n_ns; i++) {
		const struct policy_ns *ns = &c->snap->ns[i];
		struct api_map *m = arena_alloc(c->arena, sizeof(*m));
		size_t n = 0;
		bool put = false;

		if (!m)
			return -ENOMEM;
		m->v = arena_calloc(c->arena, (ns->labels ? ns->labels->n : 0) + 1, sizeof(*m->v));
		if (!m->v)
			return -ENOMEM;
		/* The label is the name, whatever the object says. Sorted by key. */
		for (size_t k = 0; ns->labels && k < ns->labels->n; k++) {
			int order = strcmp(ns->labels->v[k].key, METADATA_NAME);

			if (order >= 0 && !put) {
				m->v[n++] = (struct api_kv){ METADATA_NAME, ns->name };
				put = true;
			}
			if (order)
				m->v[n++] = ns->labels->v[k];
		}
		if (!put)
			m->v[n++] = (struct api_kv){ METADATA_NAME, ns->name };
		m->n = n;
		if (strmap_set(c->ns, ns->name, m, NULL) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int identify_pods(struct compiler *c)
{
	struct policy_compiled *out = c->out;

	out->n_pods = c->snap->n_pods;
	out->pods = arena_calloc(c->arena, out->n_pods + 1, sizeof(*out->pods));
	if (!out->pods)
		return -ENOMEM;
	for (size_t i = 0; i < out->n_pods; i++) {
		const struct policy_pod *pod = &c->snap->pods[i];
		struct prefix in4, in6;
		const struct api_map *labels = strmap_get(c->ns, pod->ns);
		struct api_kv own = { METADATA_NAME, pod->ns };
		struct api_map bare = { 1, &own };
		struct identity_entry *e;

		if (pod->host_network)
			continue;
		in4 = longest(c, &pod->ip4);
		in6 = longest(c, &pod->ip6);
		e = ids_pod(c->ids, pod, labels ? labels : &bare, &in4, &in6);
		if (!e)
			return -ENOMEM;
		out->pods[i].identity = e->number;
	}
	return 0;
}

static int identify_cidrs(struct compiler *c)
{
	struct policy_compiled *out = c->out;

	out->cidrs = arena_calloc(c->arena, c->n_prefixes + 1, sizeof(*out->cidrs));
	if (!out->cidrs)
		return -ENOMEM;
	for (size_t i = 0; i < c->n_prefixes; i++) {
		struct identity_entry *e = ids_cidr(c->ids, &c->prefixes[i]);

		if (!e)
			return -ENOMEM;
		out->cidrs[out->n_cidrs++] = (struct policy_cidr){ e->cidr.ip, e->cidr.len, e->number };
	}
	return 0;
}

/* Also those that nobody has any more, until they are released: an address may still bear one in the maps. */
static int list_identities(struct compiler *c)
{
	c->all = arena_calloc(c->arena, strmap_len(c->ids->by_key) + 1, sizeof(*c->all));
	if (!c->all)
		return -ENOMEM;
	for (struct strmap_iter it = { 0 }; strmap_next(c->ids->by_key, &it);)
		c->all[c->n_all++] = it.value;
	return 0;
}

/* --- peers -------------------------------------------------------------------------------------------------------- */

static bool block_holds(const struct api_ip_block *b, const struct prefix *p)
{
	struct prefix outer;

	if (p->len == NO_PREFIX || policy_parse_cidr(b->cidr, &outer.ip, &outer.len) < 0 || !prefix_in(p, &outer))
		return false;
	for (size_t i = 0; i < b->n_except; i++)
		if (policy_parse_cidr(b->except[i], &outer.ip, &outer.len) == 0 && prefix_in(p, &outer))
			return false;
	return true;
}

static bool block_holds_ip(const struct api_ip_block *b, const struct ip_addr *ip)
{
	struct prefix p = { *ip, 128 };

	return !ipnum_is_zero(ip) && block_holds(b, &p);
}

static bool peer_matches(const struct api_network_policy *np, const struct api_network_policy_peer *peer,
			 const struct identity_entry *e)
{
	if (peer->ip_block) {
		if (e->is_cidr)
			return block_holds(peer->ip_block, &e->cidr);
		return block_holds(peer->ip_block, &e->in4) || block_holds(peer->ip_block, &e->in6);
	}
	if (e->is_cidr || (!peer->pod_selector && !peer->namespace_selector))
		return false;
	if (peer->namespace_selector ? !api_label_selector_matches(peer->namespace_selector, &e->ns_labels)
				     : strcmp(e->ns, np->metadata.namespace_) != 0)
		return false;
	return !peer->pod_selector || api_label_selector_matches(peer->pod_selector, &e->labels);
}

static int fill_peer(struct compiler *c, const struct api_network_policy *np,
		     const struct api_network_policy_peer *peer, const char *path, struct peer_set *set)
{
	set->ready = true;
	set->rule_id = ids_rule(c->ids, np, path);
	if (!set->rule_id)
		return -ENOMEM;
	if (!peer) {
		set->any = true;
		return 0;
	}
	set->v = arena_calloc(c->arena, c->n_all + 1, sizeof(*set->v));
	if (!set->v)
		return -ENOMEM;
	for (size_t i = 0; i < c->n_all; i++)
		if (peer_matches(np, peer, c->all[i]))
			set->v[set->n++] = c->all[i];
	set->host = peer->ip_block && (block_holds_ip(peer->ip_block, &c->snap->node4) ||
				       block_holds_ip(peer->ip_block, &c->snap->node6));
	return 0;
}

/* --- rules -------------------------------------------------------------------------------------------------------- */

static int put_rule(struct compiler *c, enum policy_dir dir, uint32_t identity, uint8_t proto, uint16_t port,
		    uint8_t bits, uint32_t rule_id)
{
	if (c->n_rules == c->cap_rules) {
		size_t cap = c->cap_rules ? c->cap_rules * 2 : 64;
		struct policy_rule *bigger = realloc(c->rules, cap * sizeof(*bigger));

		if (!bigger)
			return -ENOMEM;
		c->rules = bigger;
		c->cap_rules = cap;
	}
	c->rules[c->n_rules++] = (struct policy_rule){
		.identity = identity,
		.direction = (uint8_t)dir,
		.proto = proto,
		.port_bits = bits,
		.port = port,
		.rule_id = rule_id,
	};
	return 0;
}

/* A range as the fewest aligned blocks. */
static int put_range(struct compiler *c, enum policy_dir dir, uint32_t identity, uint8_t proto, unsigned from,
		     unsigned to, uint32_t rule_id)
{
	int r = 0;

	while (!r && from <= to) {
		unsigned bits = 16, size = 1;

		while (bits > 0 && !(from & size) && from + 2 * size - 1 <= to) {
			size *= 2;
			bits--;
		}
		r = put_rule(c, dir, identity, proto, (uint16_t)from, (uint8_t)bits, rule_id);
		from += size;
	}
	return r;
}

static uint8_t proto_of(const char *name)
{
	if (!name || streq(name, "TCP"))
		return IPPROTO_TCP;
	return streq(name, "UDP") ? IPPROTO_UDP : streq(name, "SCTP") ? IPPROTO_SCTP : 0;
}

/* names: the named ports of whoever is the destination. */
static int put_ports(struct compiler *c, enum policy_dir dir, uint32_t identity,
		     const struct api_network_policy_port *ports, size_t n_ports, const struct policy_port_name *names,
		     size_t n_names, uint32_t rule_id)
{
	int r = 0;

	if (!n_ports)
		return put_rule(c, dir, identity, 0, 0, 0, rule_id);
	for (size_t i = 0; !r && i < n_ports; i++) {
		const struct api_network_policy_port *p = &ports[i];
		uint8_t proto = proto_of(p->protocol);

		if (!proto)
			continue; /* refused by the API server; must not become "any protocol" */
		if (!p->port.set) {
			r = put_rule(c, dir, identity, proto, 0, 0, rule_id);
		} else if (p->port.is_str) {
			for (size_t k = 0; !r && k < n_names; k++)
				if (names[k].proto == proto && streq(names[k].name, p->port.s))
					r = put_rule(c, dir, identity, proto, names[k].port, 16, rule_id);
		} else if (p->port.i >= 0 && p->port.i <= 65535) {
			unsigned to = (unsigned)p->port.i;

			if (p->end_port.set)
				to = p->end_port.v > 65535 ? 65535 : p->end_port.v < 0 ? 0 : (unsigned)p->end_port.v;
			r = put_range(c, dir, identity, proto, (unsigned)p->port.i, to, rule_id);
		}
	}
	return r;
}

static bool names_ports(const struct api_network_policy_port *ports, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (ports[i].port.set && ports[i].port.is_str)
			return true;
	return false;
}

static int put_peer(struct compiler *c, enum policy_dir dir, const struct policy_pod *pod, const struct peer_set *set,
		    const struct api_network_policy_port *ports, size_t n_ports)
{
	bool in = dir == POLICY_DIR_INGRESS;
	int r = 0;

	if (set->any) {
		r = put_ports(c, dir, 0, ports, n_ports, in ? pod->ports : NULL, in ? pod->n_ports : 0, set->rule_id);
		/* Whoever it is, a name means what each destination means by it. */
		for (size_t i = 0; !r && !in && names_ports(ports, n_ports) && i < c->n_all; i++)
			r = put_ports(c, dir, c->all[i]->number, ports, n_ports, c->all[i]->ports, c->all[i]->n_ports,
				      set->rule_id);
		return r;
	}
	for (size_t i = 0; !r && i < set->n; i++)
		r = put_ports(c, dir, set->v[i]->number, ports, n_ports, in ? pod->ports : set->v[i]->ports,
			      in ? pod->n_ports : set->v[i]->n_ports, set->rule_id);
	if (!r && set->host)
		r = put_ports(c, dir, IDENTITY_HOST, ports, n_ports, in ? pod->ports : NULL, in ? pod->n_ports : 0,
			      set->rule_id);
	return r;
}

/* The rules of one direction of a policy, as both directions have the same form. */
struct rule_view {
	const struct api_network_policy_port *ports;
	const struct api_network_policy_peer *peers;
	size_t n_ports, n_peers;
};

static size_t n_rules_of(const struct api_network_policy_spec *s, enum policy_dir dir)
{
	return dir == POLICY_DIR_INGRESS ? s->n_ingress : s->n_egress;
}

static struct rule_view rule_of(const struct api_network_policy_spec *s, enum policy_dir dir, size_t i)
{
	if (dir == POLICY_DIR_INGRESS)
		return (struct rule_view){ s->ingress[i].ports, s->ingress[i].from, s->ingress[i].n_ports,
					   s->ingress[i].n_from };
	return (struct rule_view){ s->egress[i].ports, s->egress[i].to, s->egress[i].n_ports, s->egress[i].n_to };
}

static bool is_for(const struct api_network_policy_spec *s, enum policy_dir dir)
{
	if (!s->n_policy_types)
		return dir == POLICY_DIR_INGRESS || s->n_egress > 0;
	for (size_t i = 0; i < s->n_policy_types; i++)
		if (streq(s->policy_types[i], dir == POLICY_DIR_INGRESS ? "Ingress" : "Egress"))
			return true;
	return false;
}

static int put_policy(struct compiler *c, size_t index, enum policy_dir dir, const struct policy_pod *pod)
{
	const struct api_network_policy *np = c->snap->policies[index];
	const char *way = dir == POLICY_DIR_INGRESS ? "ingress" : "egress",
		   *end = dir == POLICY_DIR_INGRESS ? "from" : "to";
	size_t n_rules = n_rules_of(&np->spec, dir), n_sets = 0, at = 0;
	char path[96];
	int r = 0;

	if (!c->peers[dir][index]) {
		for (size_t i = 0; i < n_rules; i++)
			n_sets += rule_of(&np->spec, dir, i).n_peers + 1;
		c->peers[dir][index] = arena_calloc(c->arena, n_sets + 1, sizeof(struct peer_set));
		if (!c->peers[dir][index])
			return -ENOMEM;
	}
	for (size_t i = 0; !r && i < n_rules; i++) {
		struct rule_view v = rule_of(&np->spec, dir, i);

		for (size_t p = 0; !r && p < (v.n_peers ? v.n_peers : 1); p++) {
			struct peer_set *set = &c->peers[dir][index][at++];

			if (!set->ready) {
				if (v.n_peers)
					snprintf(path, sizeof(path), "spec.%s[%zu].%s[%zu]", way, i, end, p);
				else
					snprintf(path, sizeof(path), "spec.%s[%zu]", way, i);
				r = fill_peer(c, np, v.n_peers ? &v.peers[p] : NULL, path, set);
			}
			if (!r)
				r = put_peer(c, dir, pod, set, v.ports, v.n_ports);
		}
	}
	return r;
}

static int rule_order(const void *a, const void *b)
{
	const struct policy_rule *x = a, *y = b;

	if (x->direction != y->direction)
		return x->direction - y->direction;
	if (x->identity != y->identity)
		return x->identity < y->identity ? -1 : 1;
	if (x->proto != y->proto)
		return x->proto - y->proto;
	if (x->port_bits != y->port_bits)
		return x->port_bits - y->port_bits;
	if (x->port != y->port)
		return x->port - y->port;
	return x->rule_id == y->rule_id ? 0 : x->rule_id < y->rule_id ? -1 : 1;
}

static bool same_match(const struct policy_rule *x, const struct policy_rule *y)
{
	return x->direction == y->direction && x->identity == y->identity && x->proto == y->proto &&
	       x->port_bits == y->port_bits && x->port == y->port;
}

static bool same_names(const struct policy_pod *a, const struct policy_pod *b)
{
	if (a->n_ports != b->n_ports)
		return false;
	for (size_t i = 0; i < a->n_ports; i++)
		if (a->ports[i].proto != b->ports[i].proto || a->ports[i].port != b->ports[i].port ||
		    !streq(a->ports[i].name, b->ports[i].name))
			return false;
	return true;
}

/*
 * The rules depend on the policies and the pod's own named ports only: one pod before this one with the same has them
 * already.
 */
static bool take_from_alike(const struct compiler *c, size_t index)
{
	struct policy_of_pod *pods = c->out->pods, *out = &pods[index];

	for (size_t i = 0; i < index; i++) {
		if (!c->snap->pods[i].local || c->snap->pods[i].host_network ||
		    pods[i].n_selected_by != out->n_selected_by ||
		    memcmp(pods[i].selected_by, out->selected_by, out->n_selected_by * sizeof(*out->selected_by)) !=
			    0 ||
		    !same_names(&c->snap->pods[i], &c->snap->pods[index]))
			continue;
		memcpy(out->isolated, pods[i].isolated, sizeof(out->isolated));
		out->rules = pods[i].rules;
		out->n_rules = pods[i].n_rules;
		return true;
	}
	return false;
}

static int select_policies(struct compiler *c, size_t index)
{
	static const struct api_map no_labels = { 0, NULL };
	const struct policy_pod *pod = &c->snap->pods[index];
	struct policy_of_pod *out = &c->out->pods[index];

	out->selected_by = arena_calloc(c->arena, c->snap->n_policies + 1, sizeof(*out->selected_by));
	if (!out->selected_by)
		return -ENOMEM;
	for (size_t i = 0; i < c->snap->n_policies; i++) {
		const struct api_network_policy *np = c->snap->policies[i];

		if (streq(np->metadata.namespace_, pod->ns) &&
		    api_label_selector_matches(&np->spec.pod_selector, pod->labels ? pod->labels : &no_labels))
			out->selected_by[out->n_selected_by++] = np;
	}
	return 0;
}

static int compile_pod(struct compiler *c, size_t index)
{
	const struct policy_pod *pod = &c->snap->pods[index];
	struct policy_of_pod *out = &c->out->pods[index];
	size_t n = 0, at = 0;
	int r;

	r = select_policies(c, index);
	if (r < 0 || take_from_alike(c, index))
		return r;
	c->n_rules = 0;
	for (size_t i = 0; !r && at < out->n_selected_by; i++) {
		if (c->snap->policies[i] != out->selected_by[at])
			continue;
		for (enum policy_dir d = POLICY_DIR_INGRESS; !r && d <= POLICY_DIR_EGRESS; d++) {
			if (!is_for(&out->selected_by[at]->spec, d))
				continue;
			out->isolated[d] = true;
			r = put_policy(c, i, d, pod);
		}
		at++;
	}
	if (r < 0)
		return r;
	out->rules = arena_calloc(c->arena, c->n_rules + 1, sizeof(*out->rules));
	if (!out->rules)
		return -ENOMEM;
	if (c->n_rules)
		qsort(c->rules, c->n_rules, sizeof(*c->rules), rule_order);
	for (size_t i = 0; i < c->n_rules; i++)
		if (!n || !same_match(&out->rules[n - 1], &c->rules[i]))
			out->rules[n++] = c->rules[i];
	out->n_rules = n;
	return 0;
}

DEFINE_CLEANUP(struct policy_compiled *, policy_compiled_free);

int policy_compile(struct policy_ids *ids, const struct policy_snapshot *snapshot, struct policy_compiled **ret,
		   struct err *err)
{
	cleanup(policy_compiled_free) struct policy_compiled *out = calloc(1, sizeof(*out));
	struct compiler c = { .ids = ids, .snap = snapshot, .out = out };
	int r;

	if (!out)
		return err_set(err, ENOMEM, "out of memory");
	c.arena = &out->arena;
	out->snapshot = snapshot;
	ids_begin(ids);
	for (int d = 0; d < 2; d++) {
		c.peers[d] = arena_calloc(c.arena, snapshot->n_policies + 1, sizeof(*c.peers[d]));
		if (!c.peers[d])
			return err_set(err, ENOMEM, "out of memory");
	}
	r = collect_prefixes(&c);
	if (!r)
		r = index_namespaces(&c);
	if (!r)
		r = identify_pods(&c);
	if (!r)
		r = identify_cidrs(&c);
	if (!r)
		r = list_identities(&c);
	for (size_t i = 0; !r && i < snapshot->n_pods; i++)
		if (snapshot->pods[i].local && !snapshot->pods[i].host_network)
			r = compile_pod(&c, i);
	strmap_free(c.ns);
	free(c.rules);
	if (r < 0)
		return err_set(err, -r, "compile network policies: %s", strerror(-r));
	*ret = TAKE(out);
	return 0;
}

void policy_compiled_free(struct policy_compiled *c)
{
	if (!c)
		return;
	arena_done(&c->arena);
	free(c);
}

uint32_t policy_cidr_identity(const struct policy_compiled *c, const struct ip_addr *ip)
{
	for (size_t i = 0; i < c->n_cidrs; i++) {
		struct prefix p = { c->cidrs[i].ip, c->cidrs[i].len };

		if (prefix_is_v4(&p) == ipnum_is_v4(ip) && ipnum_in(ip, &p.ip, p.len))
			return p.len == NO_PREFIX ? 0 : c->cidrs[i].identity;
	}
	return 0;
}

/* --- the verdict -------------------------------------------------------------------------------------------------- */

static bool is_this_node(const struct policy_compiled *c, const struct ip_addr *ip)
{
	return !ipnum_is_zero(ip) && (ipnum_eq(ip, &c->snapshot->node4) || ipnum_eq(ip, &c->snapshot->node6));
}

static const struct ip_addr *address_of(const struct policy_compiled *c, const struct policy_end *e)
{
	const struct policy_pod *pod;

	if (!e->is_pod)
		return &e->ip;
	pod = &c->snapshot->pods[e->pod];
	return ipnum_is_zero(&pod->ip4) ? &pod->ip6 : &pod->ip4;
}

static uint32_t identity_of_end(const struct policy_compiled *c, const struct policy_end *e)
{
	const struct ip_addr *ip;

	if (e->is_pod && c->pods[e->pod].identity)
		return c->pods[e->pod].identity;
	ip = address_of(c, e);
	return is_this_node(c, ip) ? IDENTITY_HOST : policy_cidr_identity(c, ip);
}

/* The rule that allows, 0 if none does; the peer's own rules before those for anybody, the most particular first. */
static uint32_t allowing(const struct policy_of_pod *p, enum policy_dir dir, uint32_t peer, uint8_t proto,
			 uint16_t port)
{
	uint32_t best = 0;
	int best_score = -1;

	for (size_t i = 0; i < p->n_rules; i++) {
		const struct policy_rule *r = &p->rules[i];
		int score;

		if (r->direction != dir || (r->identity && r->identity != peer) || (r->proto && r->proto != proto))
			continue;
		if (r->port_bits && (r->port ^ port) >> (16 - r->port_bits))
			continue;
		score = (r->identity ? 100 : 0) + (r->proto ? 20 : 0) + r->port_bits;
		if (score > best_score) {
			best_score = score;
			best = r->rule_id;
		}
	}
	return best;
}

struct policy_verdict policy_verdict(const struct policy_compiled *c, const struct policy_end *src,
				     const struct policy_end *dst, uint8_t proto, uint16_t port)
{
	struct policy_verdict v = { .allowed = true };
	bool from_node = !(src->is_pod && c->pods[src->pod].identity) && is_this_node(c, address_of(c, src));

	if (src->is_pod && dst->is_pod && src->pod == dst->pod)
		return v;
	if (src->is_pod && c->pods[src->pod].isolated[POLICY_DIR_EGRESS]) {
		v.egress_rule = allowing(&c->pods[src->pod], POLICY_DIR_EGRESS, identity_of_end(c, dst), proto, port);
		if (!v.egress_rule)
			return (struct policy_verdict){ .allowed = false, .denied_by = POLICY_DIR_EGRESS };
	}
	if (dst->is_pod && !from_node && c->pods[dst->pod].isolated[POLICY_DIR_INGRESS]) {
		v.ingress_rule = allowing(&c->pods[dst->pod], POLICY_DIR_INGRESS, identity_of_end(c, src), proto, port);
		if (!v.ingress_rule)
			return (struct policy_verdict){ .allowed = false, .denied_by = POLICY_DIR_INGRESS };
	}
	return v;
}
