/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One compiler, two users: random sets of NetworkPolicies are compiled, put into the maps as the agent does, and
 * packets through the real programs must fare as policy_verdict() says, which is what the CLI answers from. Pods A
 * and B are here, a third one is elsewhere.
 */
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compile/policy.h"
#include "harness.h"

enum { ROUNDS = 200, END_A = 0, END_B, END_REMOTE, END_WORLD, END_OTHER_WORLD, N_ENDS };

static const char *const ip4_of[N_ENDS] = { POD_A4, POD_B4, REMOTE4, WORLD4, "9.9.9.9" };
static const char *const ip6_of[N_ENDS] = { POD_A6, POD_B6, REMOTE6, WORLD6, "2001:db9::9" };

static const char *const specs[] = {
	"{'podSelector':{},'policyTypes':['Ingress']}",
	"{'podSelector':{},'policyTypes':['Egress']}",
	"{'podSelector':{'matchLabels':{'pod':'a'}},'policyTypes':['Ingress'],'ingress':[{'from':[{'podSelector':{'matchLabels':{'pod':'b'}}}]}]}",
	"{'podSelector':{'matchLabels':{'pod':'b'}},'policyTypes':['Ingress'],'ingress':[{'ports':[{'port':80},{'port':53,'protocol':'UDP'}]}]}",
	"{'podSelector':{},'policyTypes':['Ingress'],'ingress':[{'from':[{'namespaceSelector':{'matchLabels':{'ns':'y'}}}],'ports':[{'port':'web'}]}]}",
	"{'podSelector':{},'policyTypes':['Egress'],'egress':[{'to':[{'namespaceSelector':{}}],'ports':[{'port':'web'},{'protocol':'UDP'}]}]}",
	"{'podSelector':{},'policyTypes':['Egress'],'egress':[{'to':[{'ipBlock':{'cidr':'8.0.0.0/8'}},{'ipBlock':{'cidr':'2001:db8::/32'}}]}]}",
	"{'podSelector':{},'policyTypes':['Ingress'],'ingress':[{'from':[{'ipBlock':{'cidr':'0.0.0.0/0','except':['8.8.0.0/16']}}]}]}",
	"{'podSelector':{},'policyTypes':['Ingress'],'ingress':[{'from':[{'ipBlock':{'cidr':'::/0'}}],'ports':[{'port':79,'endPort':90}]}]}",
	"{'podSelector':{'matchLabels':{'pod':'a'}},'policyTypes':['Egress'],'egress':[{'to':[{'ipBlock':{'cidr':'10.0.0.0/8','except':['10.0.2.0/24']}}]}]}",
	"{'podSelector':{'matchLabels':{'pod':'a'}},'policyTypes':['Ingress','Egress'],'ingress':[{}],'egress':[{}]}",
	"{'podSelector':{},'policyTypes':['Ingress'],'ingress':[{'ports':[{'protocol':'SCTP','port':80}]}]}",
};
#define N_SPECS (sizeof(specs) / sizeof(specs[0]))

static struct policy_ids *ids;
static struct policy_pod pods[3];
static const struct api_network_policy *all[N_SPECS];
static struct arena arena;
static json_t *trees[N_SPECS];

static void read_policies(void)
{
	for (size_t i = 0; i < N_SPECS; i++) {
		struct err err = ERR_INIT;
		struct api_network_policy *np;
		char text[1024], *p;
		int n = snprintf(text, sizeof(text),
				 "{'metadata':{'namespace':'x','name':'p%zu','uid':'u%zu'},'spec':%s}", i, i, specs[i]);

		for (p = text; (p = strchr(p, '\'')); p++)
			*p = '"';
		cr_assert(api_json_parse(text, (size_t)n, &trees[i], NULL, &err) == 0, "%s: %s", text, err.msg);
		cr_assert(api_decode(&api_type_network_policy, trees[i], &arena, &np, &err) == 0, "%s", err.msg);
		all[i] = np;
	}
}

static void up(void)
{
	static const struct api_kv label_a = { "pod", "a" }, label_b = { "pod", "b" }, label_c = { "pod", "c" };
	static const struct api_map a = { 1, (struct api_kv *)&label_a }, b = { 1, (struct api_kv *)&label_b },
				    c = { 1, (struct api_kv *)&label_c };
	static const struct policy_port_name web[] = { { "web", IPPROTO_TCP, 80 }, { "web", IPPROTO_TCP, 81 } };

	node_up();
	ids = policy_ids_new();
	pods[0] = (struct policy_pod){
		.ns = "x", .name = "a", .labels = &a, .ports = &web[0], .n_ports = 1, .local = true
	};
	pods[1] = (struct policy_pod){
		.ns = "x", .name = "b", .labels = &b, .ports = &web[1], .n_ports = 1, .local = true
	};
	pods[2] = (struct policy_pod){ .ns = "y", .name = "c", .labels = &c, .ports = &web[0], .n_ports = 1 };
	for (int i = 0; i < 3; i++) {
		pods[i].ip4 = addr(ip4_of[i]);
		pods[i].ip6 = addr(ip6_of[i]);
	}
	read_policies();
}

static void down(void)
{
	policy_ids_free(ids);
	for (size_t i = 0; i < N_SPECS; i++)
		json_decref(trees[i]);
	arena_done(&arena);
	node_down();
}

TestSuite(compiler, .init = up, .fini = down, .timeout = 180);

static void load_pod(uint32_t ep_id, const struct policy_of_pod *p)
{
	struct dp_policy_rule *rules = calloc(p->n_rules + 1, sizeof(*rules));

	for (size_t i = 0; i < p->n_rules; i++)
		rules[i] = rule(p->rules[i].direction == POLICY_DIR_EGRESS ? DP_EGRESS : DP_INGRESS,
				p->rules[i].identity, p->rules[i].proto, p->rules[i].port, p->rules[i].port_bits, true,
				p->rules[i].rule_id);
	set_policy(ep_id, p->isolated[POLICY_DIR_INGRESS], p->isolated[POLICY_DIR_EGRESS], rules, p->n_rules);
	free(rules);
}

/* The order of dp.h: rules, prefixes, addresses, endpoints. */
static void load(const struct policy_compiled *c)
{
	cleanup(free) struct dp_cidr_entry *old = NULL;
	cleanup(free) struct dp_endpoint *eps = NULL;
	size_t n;

	load_pod(EP_A, &c->pods[0]);
	load_pod(EP_B, &c->pods[1]);
	ok(dp_cidr_list(fx.dp, &old, &n, &test_err));
	for (size_t i = 0; i < n; i++)
		ok(dp_cidr_del(fx.dp, &old[i], &test_err));
	for (size_t i = 0; i < c->n_cidrs; i++) {
		struct dp_cidr_entry e = { c->cidrs[i].ip, c->cidrs[i].len, c->cidrs[i].identity };

		ok(dp_cidr_set(fx.dp, &e, &test_err));
	}
	for (int f = 0; f < 2; f++) {
		struct dp_ipcache_entry e = { f ? pods[2].ip6 : pods[2].ip4, c->pods[2].identity, addr(OTHER_NODE4) };

		ok(dp_ipcache_set(fx.dp, &e, &test_err));
	}
	ok(dp_endpoint_list(fx.dp, &eps, &n, &test_err));
	for (size_t i = 0; i < n; i++) {
		eps[i].identity = c->pods[eps[i].ep_id == EP_A ? 0 : 1].identity;
		ok(dp_endpoint_add(fx.dp, &eps[i], &test_err));
	}
	bump();
}

static bool passes(int src, int dst, bool v6, uint8_t proto, uint16_t port)
{
	static uint16_t sport = 1024; /* each packet is a flow of its own */
	const char *from = v6 ? ip6_of[src] : ip4_of[src], *to = v6 ? ip6_of[dst] : ip4_of[dst];
	struct pkt p;

	if (++sport < 1024)
		sport = 1024;
	p = proto == IPPROTO_TCP ? pkt_tcp(from, to, sport, port, 0x02 /* SYN */)
				 : pkt_l4(from, to, proto, sport, port);
	if (src == END_A)
		return from_pod_a(p) != TC_ACT_SHOT;
	if (src == END_B)
		return from_pod_b(p) != TC_ACT_SHOT;
	return (dst == END_A ? to_pod_a(p, fx.uplink) : to_pod_b(p, fx.uplink)) != TC_ACT_SHOT;
}

static struct policy_end end_of(int i, bool v6)
{
	if (i <= END_REMOTE)
		return (struct policy_end){ .is_pod = true, .pod = (size_t)i };
	return (struct policy_end){ .ip = addr(v6 ? ip6_of[i] : ip4_of[i]) };
}

Test(compiler, programs_and_verdicts_agree)
{
	struct api_kv kv[] = { { "ns", "x" }, { "ns", "y" } };
	struct api_map labels[] = { { 1, &kv[0] }, { 1, &kv[1] } };
	struct policy_ns ns[] = { { "x", &labels[0] }, { "y", &labels[1] } };
	static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };
	static const uint16_t ports[] = { 53, 79, 80, 81, 90, 91 };
	unsigned seed = getenv("SEED") ? (unsigned)atoi(getenv("SEED")) : 1, denied = 0, allowed = 0;

	srand(seed);
	for (int round = 0; round < ROUNDS; round++) {
		const struct api_network_policy *chosen[4];
		struct policy_snapshot snap = { .ns = ns,
						.n_ns = 2,
						.pods = pods,
						.n_pods = 3,
						.policies = chosen,
						.node4 = addr(NODE4),
						.node6 = addr(NODE6) };
		struct policy_compiled *c = NULL;
		unsigned first = (unsigned)rand() % N_SPECS;

		snap.n_policies = (unsigned)rand() % 4;
		for (size_t i = 0; i < snap.n_policies; i++)
			chosen[i] = all[(first + i * (1 + (unsigned)round % 5)) % N_SPECS];
		ok(policy_compile(ids, &snap, &c, &test_err));
		load(c);
		for (int i = 0; i < 400; i++) {
			int src = rand() % N_ENDS, dst = rand() % N_ENDS;
			bool v6 = rand() % 2, want;
			uint8_t proto = protos[rand() % 3];
			uint16_t port = ports[(unsigned)rand() % (sizeof(ports) / sizeof(ports[0]))];
			struct policy_end s = end_of(src, v6), d = end_of(dst, v6);

			if (src == dst || (src > END_B && dst > END_B))
				continue;
			want = policy_verdict(c, &s, &d, proto, port).allowed;
			want ? allowed++ : denied++;
			cr_assert(passes(src, dst, v6, proto, port) == want,
				  "seed %u round %d: %s to %s protocol %u port %u should be %s", seed, round,
				  v6 ? ip6_of[src] : ip4_of[src], v6 ? ip6_of[dst] : ip4_of[dst], proto, port,
				  want ? "allowed" : "denied");
		}
		(void)policy_ids_release(ids);
		policy_compiled_free(c);
	}
	cr_assert(allowed > 1000 && denied > 1000, "%u allowed, %u denied", allowed, denied);
}
