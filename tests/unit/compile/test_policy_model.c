/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random policies, judged twice: by the compiler's result and by an interpreter that reads the objects as the
 * specification does, without identities, prefixes or sorting. The seed is printed with a failure.
 */
#include "cluster.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 400 };

static struct cluster c;

/* --- the interpreter ---------------------------------------------------------------------------------------------- */

static bool in_cidr(const char *cidr, const char *ip)
{
	uint8_t net[16], a[16];
	char copy[64];
	char *slash;
	int len, family = strchr(cidr, ':') ? AF_INET6 : AF_INET;

	if (!strchr(cidr, ':') != !strchr(ip, ':'))
		return false;
	snprintf(copy, sizeof(copy), "%s", cidr);
	slash = strchr(copy, '/');
	*slash = '\0';
	len = atoi(slash + 1);
	inet_pton(family, copy, net);
	inet_pton(family, ip, a);
	for (int bit = 0; bit < len; bit++)
		if (((net[bit / 8] ^ a[bit / 8]) >> (7 - bit % 8)) & 1)
			return false;
	return true;
}

static bool block_has(const struct api_ip_block *b, const char *ip)
{
	if (!in_cidr(b->cidr, ip))
		return false;
	for (size_t i = 0; i < b->n_except; i++)
		if (in_cidr(b->except[i], ip))
			return false;
	return true;
}

/* pod NULL: outside, at ip. */
struct who {
	const struct policy_pod *pod;
	char ip4[64], ip6[64]; /* a pod's; outside: one of them */
};

static bool is_peer(const struct api_network_policy *np, const struct api_network_policy_peer *peer,
		    const struct who *w)
{
	const struct api_map *ns_labels = NULL;

	if (peer->ip_block)
		return (w->ip4[0] && block_has(peer->ip_block, w->ip4)) ||
		       (w->ip6[0] && block_has(peer->ip_block, w->ip6));
	if (!w->pod)
		return false;
	for (int i = 0; i < N_NS; i++)
		if (!strcmp(c.ns[i].name, w->pod->ns))
			ns_labels = c.ns[i].labels;
	if (peer->namespace_selector ? !api_label_selector_matches(peer->namespace_selector, ns_labels)
				     : strcmp(w->pod->ns, np->metadata.namespace_) != 0)
		return false;
	return !peer->pod_selector || api_label_selector_matches(peer->pod_selector, w->pod->labels);
}

static bool is_port(const struct api_network_policy_port *p, const struct who *target, uint8_t proto, uint16_t port)
{
	uint8_t want = !p->protocol || !strcmp(p->protocol, "TCP") ? IPPROTO_TCP
		       : !strcmp(p->protocol, "UDP")		   ? IPPROTO_UDP
								   : IPPROTO_SCTP;

	if (proto != want)
		return false;
	if (!p->port.set)
		return true;
	if (!p->port.is_str)
		return p->end_port.set ? port >= p->port.i && port <= p->end_port.v : port == p->port.i;
	for (size_t i = 0; target->pod && i < target->pod->n_ports; i++)
		if (!strcmp(target->pod->ports[i].name, p->port.s) && target->pod->ports[i].proto == proto &&
		    target->pod->ports[i].port == port)
			return true;
	return false;
}

static bool judge(const struct who *self, const struct who *peer, bool ingress, uint8_t proto, uint16_t port)
{
	bool isolated = false;

	for (size_t i = 0; i < c.snap.n_policies; i++) {
		const struct api_network_policy *np = c.policies[i];
		const struct api_network_policy_spec *s = &np->spec;
		bool applies = !s->n_policy_types && (ingress || s->n_egress);

		for (size_t k = 0; k < s->n_policy_types; k++)
			applies |= !strcmp(s->policy_types[k], ingress ? "Ingress" : "Egress");
		if (!applies || strcmp(np->metadata.namespace_, self->pod->ns) != 0 ||
		    !api_label_selector_matches(&s->pod_selector, self->pod->labels))
			continue;
		isolated = true;
		for (size_t r = 0; r < (ingress ? s->n_ingress : s->n_egress); r++) {
			size_t n_peers = ingress ? s->ingress[r].n_from : s->egress[r].n_to;
			size_t n_ports = ingress ? s->ingress[r].n_ports : s->egress[r].n_ports;
			bool peer_ok = n_peers == 0, port_ok = n_ports == 0;

			for (size_t k = 0; k < n_peers; k++)
				peer_ok |= is_peer(np, ingress ? &s->ingress[r].from[k] : &s->egress[r].to[k], peer);
			for (size_t k = 0; k < n_ports; k++)
				port_ok |= is_port(ingress ? &s->ingress[r].ports[k] : &s->egress[r].ports[k],
						   ingress ? self : peer, proto, port);
			if (peer_ok && port_ok)
				return true;
		}
	}
	return !isolated;
}

/* --- random policies ---------------------------------------------------------------------------------------------- */

static unsigned pick(unsigned n)
{
	return (unsigned)rand() % n;
}

static const char *const selectors[] = {
	"{}",
	"{'matchLabels':{'pod':'a'}}",
	"{'matchLabels':{'pod':'b'}}",
	"{'matchExpressions':[{'key':'pod','operator':'In','values':['a','c']}]}",
	"{'matchExpressions':[{'key':'pod','operator':'NotIn','values':['a']}]}",
	"{'matchLabels':{'pod':'nobody'}}",
};
static const char *const ns_selectors[] = {
	"{}",
	"{'matchLabels':{'ns':'y'}}",
	"{'matchExpressions':[{'key':'ns','operator':'NotIn','values':['y']}]}",
	"{'matchExpressions':[{'key':'ns','operator':'Exists'}]}",
};
static const char *const blocks[] = {
	"{'cidr':'8.0.0.0/8','except':['8.8.0.0/16','8.9.0.0/16']}",
	"{'cidr':'8.8.8.0/24'}",
	"{'cidr':'0.0.0.0/0','except':['10.0.0.0/8']}",
	"{'cidr':'10.0.2.0/24','except':['10.0.2.2/32']}",
	"{'cidr':'10.0.0.0/8'}",
	"{'cidr':'::/0'}",
	"{'cidr':'fd00:10:0:3::/64'}",
	"{'cidr':'2001:db8::/32','except':['2001:db8:1::/48']}",
	"{'cidr':'8.8.8.8/32'}",
	"{'cidr':'::/0','except':['fd00::/8']}",
};
static const char *const ports[] = {
	"{'port':80}",
	"{'port':81,'protocol':'TCP'}",
	"{'protocol':'UDP'}",
	"{'port':80,'protocol':'SCTP'}",
	"{'port':'web'}",
	"{'port':'serve-80-udp','protocol':'UDP'}",
	"{'port':79,'endPort':83}",
	"{'port':1,'endPort':80,'protocol':'UDP'}",
	"{'port':'none'}",
};
#define ANY_OF(list) list[pick(sizeof(list) / sizeof(list[0]))]

static void add_rules(struct strbuf *sb, const char *peers)
{
	unsigned n_rules = pick(3);

	for (unsigned r = 0; r < n_rules; r++) {
		unsigned n_peers = pick(3), n_ports = pick(3);

		strbuf_adds(sb, r ? ",{" : "{");
		if (n_peers) {
			strbuf_addf(sb, "'%s':[", peers);
			for (unsigned i = 0; i < n_peers; i++) {
				strbuf_adds(sb, i ? ",{" : "{");
				switch (pick(4)) {
				case 0:
					strbuf_addf(sb, "'podSelector':%s", ANY_OF(selectors));
					break;
				case 1:
					strbuf_addf(sb, "'namespaceSelector':%s", ANY_OF(ns_selectors));
					break;
				case 2:
					strbuf_addf(sb, "'podSelector':%s,'namespaceSelector':%s", ANY_OF(selectors),
						    ANY_OF(ns_selectors));
					break;
				default:
					strbuf_addf(sb, "'ipBlock':%s", ANY_OF(blocks));
				}
				strbuf_addc(sb, '}');
			}
			strbuf_addc(sb, ']');
		}
		if (n_ports) {
			strbuf_addf(sb, "%s'ports':[", n_peers ? "," : "");
			for (unsigned i = 0; i < n_ports; i++)
				strbuf_addf(sb, "%s%s", i ? "," : "", ANY_OF(ports));
			strbuf_addc(sb, ']');
		}
		strbuf_addc(sb, '}');
	}
}

static void random_policy(unsigned i)
{
	static const char *const types[] = { "", ",'policyTypes':['Ingress']", ",'policyTypes':['Egress']",
					     ",'policyTypes':['Ingress','Egress']" };
	struct strbuf sb = STRBUF_INIT;
	char name[16];

	strbuf_addf(&sb, "{'podSelector':%s%s,'ingress':[", ANY_OF(selectors), ANY_OF(types));
	add_rules(&sb, "from");
	strbuf_adds(&sb, "],'egress':[");
	add_rules(&sb, "to");
	strbuf_adds(&sb, "]}");
	snprintf(name, sizeof(name), "p%u", i);
	cluster_policy(&c, c.ns[pick(N_NS)].name, name, sb.buf);
	strbuf_done(&sb);
}

static void who_pod(struct who *w, size_t i)
{
	w->pod = &c.pods[i];
	inet_ntop(AF_INET, &w->pod->ip4.w[3], w->ip4, sizeof(w->ip4));
	inet_ntop(AF_INET6, w->pod->ip6.w, w->ip6, sizeof(w->ip6));
}

Test(policy_model, compiler_and_interpreter_agree, .timeout = 180)
{
	static const char *const outside[] = { "8.1.1.1", "8.8.8.8",	 "8.8.1.1",	  "8.9.1.1",
					       "1.1.1.1", "2001:db8::5", "2001:db8:1::5", "fd77::1" };
	static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_ICMP };
	static const uint16_t numbers[] = { 78, 79, 80, 81, 83, 84 };
	enum { N_OUTSIDE = sizeof(outside) / sizeof(outside[0]), N = N_CLUSTER_PODS + N_OUTSIDE };
	unsigned seed = getenv("SEED") ? (unsigned)atoi(getenv("SEED")) : 1;

	for (unsigned round = 0; round < ROUNDS; round++) {
		struct who who[N] = { 0 };
		struct policy_end ends[N] = { 0 };
		unsigned n_policies;

		srand(seed + round);
		cluster_init(&c);
		n_policies = pick(5);
		for (unsigned i = 0; i < n_policies; i++)
			random_policy(i);
		cluster_compile(&c);
		for (size_t i = 0; i < N; i++) {
			if (i < N_CLUSTER_PODS) {
				who_pod(&who[i], i);
				ends[i] = (struct policy_end){ .is_pod = true, .pod = i };
				continue;
			}
			snprintf(strchr(outside[i - N_CLUSTER_PODS], ':') ? who[i].ip6 : who[i].ip4, 64, "%s",
				 outside[i - N_CLUSTER_PODS]);
			cr_assert_eq(policy_parse_ip(outside[i - N_CLUSTER_PODS], &ends[i].ip), 0);
		}
		for (size_t s = 0; s < N; s++) {
			for (size_t d = 0; d < N; d++) {
				if (s == d || (!who[s].pod && !who[d].pod))
					continue;
				for (size_t k = 0; k < sizeof(protos) * sizeof(numbers) / sizeof(numbers[0]); k++) {
					uint8_t proto = protos[k % sizeof(protos)];
					uint16_t port = proto == IPPROTO_ICMP ? 0 : numbers[k / sizeof(protos)];
					bool want = (!who[s].pod || judge(&who[s], &who[d], false, proto, port)) &&
						    (!who[d].pod || judge(&who[d], &who[s], true, proto, port));
					bool got = policy_verdict(c.compiled, &ends[s], &ends[d], proto, port).allowed;

					cr_assert(want == got, "seed %u: %s to %s, protocol %u port %u: should be %s",
						  seed + round, who[s].ip4, who[d].ip4, proto, port,
						  want ? "allowed" : "denied");
				}
			}
		}
		cluster_done(&c);
	}
}
