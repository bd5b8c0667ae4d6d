/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policies: truth tables, and random policies and packets against a model that is written from the contract in dp.h
 * alone: a direction that is not isolated allows all; a deny of the peer or of anyone wins; else an allow of either;
 * else denied.
 */
#include <errno.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#include "harness.h"

TestSuite(policy, .init = node_up, .fini = node_down, .timeout = 180);

static bool allowed(const char *from, const char *to, uint8_t proto, uint16_t dport)
{
	static uint16_t sport = 1024;
	bool remote = strcmp(from, POD_A4) && strcmp(from, POD_A6);
	struct pkt p = pkt_l4(from, to, proto, ++sport, dport);

	if (!remote)
		return from_pod_a(p) != TC_ACT_SHOT;
	return to_pod_b(p, fx.uplink) != TC_ACT_SHOT;
}

struct row {
	uint32_t identity;
	uint8_t proto;
	uint16_t port;
	uint8_t bits;
	bool allow;
};

/* B is isolated for ingress by these rules; asks for A on both families. */
static void expect(const struct row *rows, size_t n, uint8_t proto, uint16_t port, bool want)
{
	struct dp_policy_rule rules[8];

	for (size_t i = 0; i < n; i++)
		rules[i] = rule(DP_INGRESS, rows[i].identity, rows[i].proto, rows[i].port, rows[i].bits, rows[i].allow,
				(uint32_t)i + 1);
	set_policy(EP_B, true, false, rules, n);
	bump();
	cr_assert_eq(allowed(POD_A4, POD_B4, proto, port), want);
	cr_assert_eq(allowed(POD_A6, POD_B6, proto, port), want);
	/* The order of rules is of no meaning. */
	for (size_t i = 0; i < n; i++)
		rules[i] = rule(DP_INGRESS, rows[n - 1 - i].identity, rows[n - 1 - i].proto, rows[n - 1 - i].port,
				rows[n - 1 - i].bits, rows[n - 1 - i].allow, 1);
	set_policy(EP_B, true, false, rules, n);
	bump();
	cr_assert_eq(allowed(POD_A4, POD_B4, proto, port), want);
}

#define EXPECT(proto, port, want, ...)                                                                                 \
	do {                                                                                                           \
		const struct row rows_[] = { __VA_ARGS__ };                                                            \
		expect(rows_, sizeof(rows_) / sizeof(rows_[0]), proto, port, want);                                    \
	} while (0)

Test(policy, truth_table)
{
	expect(NULL, 0, IPPROTO_TCP, 80, false);
	EXPECT(IPPROTO_TCP, 80, true, { ID_A, IPPROTO_TCP, 80, 16, true });
	EXPECT(IPPROTO_TCP, 81, false, { ID_A, IPPROTO_TCP, 80, 16, true });
	EXPECT(IPPROTO_UDP, 80, false, { ID_A, IPPROTO_TCP, 80, 16, true });
	EXPECT(IPPROTO_TCP, 80, false, { ID_REMOTE, IPPROTO_TCP, 80, 16, true });
	EXPECT(IPPROTO_TCP, 9, true, { ID_A, IPPROTO_TCP, 0, 0, true });
	EXPECT(IPPROTO_UDP, 9, false, { ID_A, IPPROTO_TCP, 0, 0, true });
	EXPECT(IPPROTO_UDP, 9, true, { ID_A, 0, 0, 0, true });
	EXPECT(IPPROTO_SCTP, 9, true, { ID_A, 0, 0, 0, true });
	EXPECT(IPPROTO_UDP, 9, true, { IDENTITY_ANY, 0, 0, 0, true });
	EXPECT(IPPROTO_UDP, 9, true, { IDENTITY_ANY, IPPROTO_UDP, 9, 16, true });
	/* A range of ports: 8000 to 8015. */
	EXPECT(IPPROTO_TCP, 8015, true, { ID_A, IPPROTO_TCP, 8000, 12, true });
	EXPECT(IPPROTO_TCP, 8016, false, { ID_A, IPPROTO_TCP, 8000, 12, true });
	EXPECT(IPPROTO_TCP, 7999, false, { ID_A, IPPROTO_TCP, 8000, 12, true });
	/* A port of any protocol. */
	EXPECT(IPPROTO_UDP, 80, true, { ID_A, 0, 80, 16, true });
	EXPECT(IPPROTO_SCTP, 80, true, { ID_A, 0, 80, 16, true });
	EXPECT(IPPROTO_SCTP, 81, false, { ID_A, 0, 80, 16, true });
	/* A deny wins, be it narrower, wider or of anyone. */
	EXPECT(IPPROTO_TCP, 80, false, { ID_A, 0, 0, 0, true }, { ID_A, IPPROTO_TCP, 80, 16, false });
	EXPECT(IPPROTO_TCP, 81, true, { ID_A, 0, 0, 0, true }, { ID_A, IPPROTO_TCP, 80, 16, false });
	EXPECT(IPPROTO_TCP, 80, false, { ID_A, IPPROTO_TCP, 80, 16, true }, { ID_A, 0, 0, 0, false });
	EXPECT(IPPROTO_TCP, 80, false, { ID_A, IPPROTO_TCP, 80, 16, true }, { IDENTITY_ANY, IPPROTO_TCP, 0, 0, false });
	EXPECT(IPPROTO_TCP, 80, false, { IDENTITY_ANY, 0, 0, 0, true }, { ID_A, IPPROTO_TCP, 0, 4, false });
	EXPECT(IPPROTO_TCP, 80, true, { IDENTITY_ANY, 0, 0, 0, true }, { ID_B, 0, 0, 0, false });
	EXPECT(IPPROTO_TCP, 80, false, { ID_A, IPPROTO_TCP, 80, 16, true }, { ID_A, IPPROTO_TCP, 80, 16, false });
}

Test(policy, both_ends_are_asked)
{
	struct dp_policy_rule to_b = rule(DP_EGRESS, ID_B, IPPROTO_TCP, 80, 16, true, 1);
	struct dp_policy_rule from_a = rule(DP_INGRESS, ID_A, IPPROTO_TCP, 80, 16, true, 2);

	set_policy(EP_A, false, true, &to_b, 1);
	set_policy(EP_B, true, false, &from_a, 1);
	bump();
	cr_assert(allowed(POD_A4, POD_B4, IPPROTO_TCP, 80));
	set_policy(EP_A, false, true, NULL, 0);
	cr_assert(!allowed(POD_A4, POD_B4, IPPROTO_TCP, 80));
	cr_assert_eq(drops_of(EP_A, DROP_POLICY_DENIED, POLICY_EGRESS), 1);
	set_policy(EP_A, false, false, NULL, 0);
	set_policy(EP_B, true, false, NULL, 0);
	cr_assert(!allowed(POD_A4, POD_B4, IPPROTO_TCP, 80));
	cr_assert_eq(drops_of(EP_B, DROP_POLICY_DENIED, POLICY_INGRESS), 1);
}

Test(policy, cidrs_and_the_world)
{
	struct dp_cidr_entry wide = { addr("192.0.2.0"), 96 + 24, 500 }, narrow = { addr("192.0.2.128"), 96 + 25, 501 };
	struct dp_cidr_entry v6 = { addr("2001:db8:5::"), 48, 500 };
	struct dp_policy_rule rules[] = { rule(DP_INGRESS, 500, 0, 0, 0, true, 1),
					  rule(DP_INGRESS, 501, IPPROTO_TCP, 80, 16, true, 2) };

	ok(dp_cidr_set(fx.dp, &wide, &test_err));
	ok(dp_cidr_set(fx.dp, &narrow, &test_err));
	ok(dp_cidr_set(fx.dp, &v6, &test_err));
	set_policy(EP_B, true, false, rules, 2);
	bump();
	cr_assert(allowed("192.0.2.1", POD_B4, IPPROTO_UDP, 9));
	cr_assert(!allowed("192.0.2.129", POD_B4, IPPROTO_UDP, 9));
	cr_assert(allowed("192.0.2.129", POD_B4, IPPROTO_TCP, 80));
	cr_assert(!allowed("192.0.3.1", POD_B4, IPPROTO_UDP, 9));
	cr_assert(allowed("2001:db8:5::7", POD_B6, IPPROTO_UDP, 9));
	cr_assert(!allowed("2001:db8:6::7", POD_B6, IPPROTO_UDP, 9));
	/* A range is taken back: its flows are judged again. */
	ok(dp_cidr_del(fx.dp, &narrow, &test_err));
	cr_assert(allowed("192.0.2.129", POD_B4, IPPROTO_UDP, 9));
	/* The same range with another identity. */
	wide.identity = 502;
	ok(dp_cidr_set(fx.dp, &wide, &test_err));
	cr_assert(!allowed("192.0.2.1", POD_B4, IPPROTO_UDP, 9));
	rules[0] = rule(DP_INGRESS, IDENTITY_WORLD, 0, 0, 0, true, 1);
	set_policy(EP_B, true, false, rules, 1);
	cr_assert(allowed("198.51.100.1", POD_B4, IPPROTO_TCP, 1));
}

Test(policy, an_address_that_becomes_known_is_judged_as_what_it_is)
{
	struct dp_policy_rule world = rule(DP_INGRESS, IDENTITY_WORLD, 0, 0, 0, true, 1);
	struct dp_ipcache_entry node = { addr("172.30.1.9"), IDENTITY_REMOTE_NODE, { { 0 } } };
	struct pkt p = pkt_tcp("172.30.1.9", POD_B4, 1000, 80, TH_SYN);

	set_policy(EP_B, true, false, &world, 1);
	bump();
	cr_assert_eq(to_pod_b(p, fx.uplink), TC_ACT_OK);
	ok(dp_ipcache_set(fx.dp, &node, &test_err));
	cr_assert_eq(to_pod_b(pkt_tcp("172.30.1.9", POD_B4, 1000, 80, TH_ACK), fx.uplink), TC_ACT_SHOT);
}

Test(policy, egress_to_nodes_is_judged_as_such)
{
	struct dp_policy_rule to_host = rule(DP_EGRESS, IDENTITY_HOST, 0, 0, 0, true, 1);
	struct dp_policy_rule to_nodes = rule(DP_EGRESS, IDENTITY_REMOTE_NODE, 0, 0, 0, true, 1);

	set_policy(EP_A, false, true, &to_host, 1);
	bump();
	cr_assert(allowed(POD_A4, NODE4, IPPROTO_TCP, 10250) && allowed(POD_A6, NODE6, IPPROTO_TCP, 10250));
	cr_assert(!allowed(POD_A4, OTHER_NODE4, IPPROTO_TCP, 10250));
	set_policy(EP_A, false, true, &to_nodes, 1);
	bump();
	cr_assert(!allowed(POD_A4, NODE4, IPPROTO_TCP, 10250));
	cr_assert(allowed(POD_A4, OTHER_NODE4, IPPROTO_TCP, 10250));
	cr_assert(!allowed(POD_A4, WORLD4, IPPROTO_TCP, 10250));
}

Test(policy, bad_rules_are_refused_and_the_present_policy_stays)
{
	struct dp_policy_rule bad = rule(2, ID_A, 0, 0, 0, true, 1),
			      wide = rule(DP_INGRESS, ID_A, IPPROTO_TCP, 0, 17, true, 1);
	struct dp_policy policy = { .isolated_ingress = true, .rules = &bad, .n_rules = 1 };

	cr_assert_eq(dp_policy_set(fx.dp, EP_B, &policy, &test_err), -EINVAL);
	policy.rules = &wide;
	cr_assert_eq(dp_policy_set(fx.dp, EP_B, &policy, &test_err), -EINVAL);
	cr_assert(strstr(test_err.msg, "endpoint 2"));
	cr_assert(allowed(POD_A4, POD_B4, IPPROTO_TCP, 80));
}

/* The model. */
struct model {
	struct dp_policy_rule rules[12];
	size_t n;
	bool isolated;
};

static bool model_allows(const struct model *m, uint32_t peer, uint8_t proto, uint16_t port)
{
	bool any = false;

	if (!m->isolated)
		return true;
	for (size_t i = 0; i < m->n; i++) {
		const struct dp_policy_rule *r = &m->rules[i];

		if (r->identity != 0 && r->identity != peer)
			continue;
		if (r->proto != 0 && r->proto != proto)
			continue;
		if (r->port_bits && (r->port ^ port) >> (16 - r->port_bits))
			continue;
		if (!r->allow)
			return false;
		any = true;
	}
	return any;
}

static uint32_t seed;

static uint32_t rnd(uint32_t n)
{
	/* xorshift: the same run on every machine. */
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed % n;
}

Test(policy, random_policies_agree_with_the_model)
{
	static const uint8_t protos[] = { 0, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };
	static const struct {
		const char *ip4, *ip6;
		uint32_t identity;
	} peers[] = {
		{ POD_A4, POD_A6, ID_A },
		{ REMOTE4, REMOTE6, ID_REMOTE },
		{ WORLD4, WORLD6, IDENTITY_WORLD },
		{ "10.0.7.7", "fd00:10:0:7::7", IDENTITY_UNKNOWN },
		{ OTHER_NODE4, NULL, IDENTITY_REMOTE_NODE },
	};
	static const uint32_t identities[] = { 0, ID_A, ID_REMOTE, IDENTITY_WORLD, IDENTITY_REMOTE_NODE, 999 };
	unsigned verdicts[2] = { 0 };

	seed = 20261123;
	for (int round = 0; round < 500; round++) {
		struct model m = { .n = rnd(12), .isolated = rnd(8) != 0 };
		bool denies = rnd(3) == 0;

		for (size_t i = 0; i < m.n; i++) {
			uint8_t bits = rnd(3) ? (uint8_t)rnd(17) : 0;

			m.rules[i] = rule(DP_INGRESS, identities[rnd(6)], protos[rnd(4)], (uint16_t)rnd(32), bits,
					  !denies || rnd(3) != 0, (uint32_t)i + 1);
		}
		set_policy(EP_B, m.isolated, false, m.rules, m.n);
		bump();
		for (int k = 0; k < 20; k++) {
			unsigned peer = rnd(5);
			uint8_t proto = protos[1 + rnd(3)];
			uint16_t port = (uint16_t)rnd(32);
			bool v6 = peers[peer].ip6 && rnd(2);
			bool want = model_allows(&m, peers[peer].identity, proto, port);
			bool got = allowed(v6 ? peers[peer].ip6 : peers[peer].ip4, v6 ? POD_B6 : POD_B4, proto, port);

			cr_assert_eq(got, want, "round %d packet %d: %s proto %u port %u", round, k, peers[peer].ip4,
				     proto, port);
			verdicts[want]++;
		}
	}
	/* Neither answer may be rare, else this proves little. */
	cr_assert(verdicts[0] > 1500 && verdicts[1] > 1500, "%u denied, %u allowed", verdicts[0], verdicts[1]);
}
