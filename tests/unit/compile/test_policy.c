/* SPDX-License-Identifier: Apache-2.0 */
/* Network policies, rule by rule of the specification: a policy or two, and which connections they let through. */
#include "cluster.h"

#include <stdio.h>
#include <string.h>

static struct cluster c;

static void up(void)
{
	cluster_init(&c);
}

static void down(void)
{
	cluster_done(&c);
}

TestSuite(policy, .init = up, .fini = down);

/* "x/a>x/b tcp 80 +, ..." : + allowed, - denied. */
static void check(const char *what)
{
	char src[64], dst[64], proto[8], mark;
	unsigned port;
	int n;

	while (sscanf(what, " %63[^>]>%63s %7s %u %c%n", src, dst, proto, &port, &mark, &n) == 5) {
		uint8_t p = !strcmp(proto, "udp")    ? IPPROTO_UDP
			    : !strcmp(proto, "sctp") ? IPPROTO_SCTP
			    : !strcmp(proto, "icmp") ? IPPROTO_ICMP
						     : IPPROTO_TCP;

		cr_assert(cluster_allows(&c, src, dst, p, (uint16_t)port) == (mark == '+'),
			  "%s to %s %s %u should be %s", src, dst, proto, port, mark == '+' ? "allowed" : "denied");
		what += n;
		if (*what == ',')
			what++;
	}
	cr_assert_eq(*what, '\0', "at '%s'", what);
}

#define INGRESS "'policyTypes':['Ingress']"
#define EGRESS	"'policyTypes':['Egress']"

Test(policy, unselected_pods_are_open)
{
	check("x/a>y/b tcp 80 +, 8.8.8.8>x/a udp 1 +, x/a>8.8.8.8 sctp 9 +, x/a>y/b icmp 0 +");
}

Test(policy, default_deny_ingress_leaves_egress_alone)
{
	cluster_policy(&c, "x", "deny", "{'podSelector':{}," INGRESS "}");
	check("y/a>x/a tcp 80 -, x/b>x/a tcp 80 -, 8.8.8.8>x/a tcp 80 -, x/a>y/a tcp 80 +, x/a>8.8.8.8 tcp 80 +, y/a>z/a udp 80 +,"
	      "y/a>x/a icmp 0 -, y/a>x/a sctp 80 -");
}

Test(policy, default_deny_all)
{
	cluster_policy(&c, "x", "deny", "{'podSelector':{},'policyTypes':['Ingress','Egress']}");
	check("y/a>x/a tcp 80 -, x/a>y/a tcp 80 -, x/a>x/b tcp 80 -, x/a>8.8.8.8 udp 53 -, y/a>y/b tcp 80 +");
}

Test(policy, pods_always_reach_themselves_and_nodes_their_pods)
{
	cluster_policy(&c, "x", "deny", "{'podSelector':{},'policyTypes':['Ingress','Egress']}");
	check("x/a>x/a tcp 80 +, 172.30.1.1>x/a tcp 80 +, fd00:30::1:1>x/a tcp 80 +, 172.30.1.2>x/a tcp 80 -, x/a>172.30.1.1 tcp 80 -");
}

Test(policy, policy_types_default_to_ingress)
{
	cluster_policy(&c, "x", "p", "{'podSelector':{'matchLabels':{'pod':'a'}}}");
	check("y/a>x/a tcp 80 -, x/a>y/a tcp 80 +");
}

Test(policy, policy_types_default_to_egress_too_if_it_has_rules)
{
	cluster_policy(&c, "x", "p",
		       "{'podSelector':{},'egress':[{'to':[{'podSelector':{'matchLabels':{'pod':'b'}}}]}]}");
	check("y/a>x/a tcp 80 -, x/a>x/b tcp 80 -, x/a>y/b tcp 80 -, x/a>8.8.8.8 tcp 80 -");
}

Test(policy, egress_only_does_not_isolate_ingress)
{
	cluster_policy(&c, "x", "p",
		       "{'podSelector':{}," EGRESS ",'egress':[{'to':[{'podSelector':{'matchLabels':{'pod':'b'}}}]}]}");
	check("y/a>x/a tcp 80 +, x/a>x/b tcp 80 +, x/a>x/c tcp 80 -");
}

Test(policy, rules_of_a_direction_not_listed_are_ignored)
{
	cluster_policy(&c, "x", "p", "{'podSelector':{}," EGRESS ",'ingress':[],'egress':[{}]}");
	check("y/a>x/a tcp 80 +, x/a>y/b tcp 80 +");
}

Test(policy, empty_rule_admits_everybody)
{
	cluster_policy(&c, "x", "p", "{'podSelector':{}," INGRESS ",'ingress':[{}]}");
	check("y/a>x/a tcp 80 +, 8.8.8.8>x/a udp 5 +, 172.30.1.2>x/b tcp 1 +, y/a>x/a icmp 0 +");
}

Test(policy, allow_all_overrides_deny_all)
{
	cluster_policy(&c, "x", "deny", "{'podSelector':{},'policyTypes':['Ingress','Egress']}");
	cluster_policy(&c, "x", "allow",
		       "{'podSelector':{},'policyTypes':['Ingress','Egress'],'ingress':[{}],'egress':[{}]}");
	check("y/a>x/a tcp 80 +, x/a>y/a udp 80 +");
}

Test(policy, policies_unite)
{
	cluster_policy(&c, "x", "one",
		       "{'podSelector':{}," INGRESS
		       ",'ingress':[{'from':[{'podSelector':{'matchLabels':{'pod':'b'}}}]}]}");
	cluster_policy(&c, "x", "two",
		       "{'podSelector':{'matchLabels':{'pod':'a'}}," INGRESS
		       ",'ingress':[{'from':[{'namespaceSelector':{'matchLabels':{'ns':'y'}}}]}]}");
	check("x/b>x/a tcp 80 +, y/c>x/a tcp 80 +, y/c>x/c tcp 80 -, x/b>x/c tcp 80 +, x/c>x/a tcp 80 -");
}

Test(policy, both_ends_must_allow)
{
	cluster_policy(&c, "x", "in", "{'podSelector':{}," INGRESS ",'ingress':[{}]}");
	cluster_policy(&c, "y", "out", "{'podSelector':{'matchLabels':{'pod':'a'}}," EGRESS "}");
	check("y/a>x/a tcp 80 -, y/b>x/a tcp 80 +");
	cr_assert_eq(cluster_verdict(&c, "y/a", "x/a", IPPROTO_TCP, 80).denied_by, POLICY_DIR_EGRESS);
}

Test(policy, pod_selector_alone_means_the_same_namespace)
{
	cluster_policy(&c, "x", "p",
		       "{'podSelector':{}," INGRESS
		       ",'ingress':[{'from':[{'podSelector':{'matchLabels':{'pod':'b'}}}]}]}");
	check("x/b>x/a tcp 80 +, y/b>x/a tcp 80 -");
}

Test(policy, empty_pod_selector_as_peer_means_the_whole_namespace)
{
	cluster_policy(&c, "x", "p", "{'podSelector':{}," INGRESS ",'ingress':[{'from':[{'podSelector':{}}]}]}");
	check("x/b>x/a tcp 80 +, y/b>x/a tcp 80 -, 8.8.8.8>x/a tcp 80 -");
}

Test(policy, namespace_selector_alone_means_all_its_pods)
{
	cluster_policy(&c, "x", "p",
		       "{'podSelector':{}," INGRESS
		       ",'ingress':[{'from':[{'namespaceSelector':{'matchLabels':{'ns':'y'}}}]}]}");
	check("y/a>x/a tcp 80 +, y/c>x/a tcp 80 +, x/b>x/a tcp 80 -, z/a>x/a tcp 80 -");
}

Test(policy, empty_namespace_selector_means_all_pods_but_not_the_world)
{
	cluster_policy(&c, "x", "p", "{'podSelector':{}," INGRESS ",'ingress':[{'from':[{'namespaceSelector':{}}]}]}");
	check("y/a>x/a tcp 80 +, x/b>x/a tcp 80 +, 8.8.8.8>x/a tcp 80 -, 172.30.1.2>x/a tcp 80 -");
}

Test(policy, selectors_of_one_peer_are_anded_of_two_ored)
{
	cluster_policy(&c, "x", "and",
		       "{'podSelector':{'matchLabels':{'pod':'a'}}," INGRESS ",'ingress':[{'from':[{'podSelector':"
		       "{'matchLabels':{'pod':'b'}},'namespaceSelector':{'matchLabels':{'ns':'y'}}}]}]}");
	cluster_policy(&c, "x", "or",
		       "{'podSelector':{'matchLabels':{'pod':'c'}}," INGRESS ",'ingress':[{'from':[{'podSelector':"
		       "{'matchLabels':{'pod':'b'}}},{'namespaceSelector':{'matchLabels':{'ns':'y'}}}]}]}");
	check("y/b>x/a tcp 80 +, y/a>x/a tcp 80 -, x/b>x/a tcp 80 -, y/a>x/c tcp 80 +, x/b>x/c tcp 80 +, z/b>x/c tcp 80 -");
}

Test(policy, match_expressions)
{
	cluster_policy(
		&c, "x", "p",
		"{'podSelector':{'matchExpressions':[{'key':'pod','operator':'In','values':['a','b']}]}," INGRESS
		",'ingress':[{'from':[{'namespaceSelector':{'matchExpressions':[{'key':'ns','operator':'NotIn','values':['x','z']}]},"
		"'podSelector':{'matchExpressions':[{'key':'pod','operator':'Exists'},{'key':'gone','operator':'DoesNotExist'}]}}]}]}");
	check("y/a>x/a tcp 80 +, z/a>x/a tcp 80 -, x/b>x/a tcp 80 -, z/a>x/c tcp 80 +");
	cluster_label(&c, "y/a", "gone", "1");
	check("y/a>x/a tcp 80 -, y/b>x/a tcp 80 +");
}

Test(policy, the_namespaces_name_is_always_a_label)
{
	cluster_policy(
		&c, "x", "p",
		"{'podSelector':{}," INGRESS
		",'ingress':[{'from':[{'namespaceSelector':{'matchLabels':{'kubernetes.io/metadata.name':'y'}}}]}]}");
	cluster_policy(&c, "y", "q",
		       "{'podSelector':{}," INGRESS ",'ingress':[{'from':[{'namespaceSelector':{'matchExpressions':"
		       "[{'key':'kubernetes.io/metadata.name','operator':'NotIn','values':['x']}]}}]}]}");
	check("y/a>x/a tcp 80 +, z/a>x/a tcp 80 -, x/a>y/a tcp 80 -, z/a>y/a tcp 80 +");
}

Test(policy, pods_of_a_namespace_not_told_of_are_matched_by_its_name)
{
	c.snap.n_ns = 2;
	cluster_policy(
		&c, "x", "p",
		"{'podSelector':{}," INGRESS
		",'ingress':[{'from':[{'namespaceSelector':{'matchLabels':{'kubernetes.io/metadata.name':'z'}}}]}]}");
	check("z/a>x/a tcp 80 +, y/a>x/a tcp 80 -");
}

Test(policy, ports_by_number_and_protocol)
{
	cluster_policy(&c, "x", "p",
		       "{'podSelector':{}," INGRESS
		       ",'ingress':[{'ports':[{'port':80},{'protocol':'UDP','port':53},{'protocol':'SCTP'}]}]}");
	check("y/a>x/a tcp 80 +, y/a>x/a udp 80 -, y/a>x/a udp 53 +, y/a>x/a tcp 53 -, y/a>x/a sctp 9 +, y/a>x/a tcp 9 -, y/a>x/a icmp 0 -");
}

Test(policy, udp_or_sctp_alone_never_opens_tcp)
{
	cluster_policy(&c, "x", "p",
		       "{'podSelector':{'matchLabels':{'pod':'a'}}," INGRESS
		       ",'ingress':[{'ports':[{'protocol':'UDP','port':80}]}]}");
	cluster_policy(&c, "x", "q",
		       "{'podSelector':{'matchLabels':{'pod':'b'}}," INGRESS
		       ",'ingress':[{'ports':[{'protocol':'SCTP','port':80}]}]}");
	check("y/a>x/a tcp 80 -, y/a>x/a udp 80 +, y/a>x/b tcp 80 -, y/a>x/b sctp 80 +, y/a>x/b udp 80 -, y/a>x/c tcp 80 +");
}

Test(policy, a_protocol_that_nobody_knows_opens_nothing)
{
	cluster_policy(&c, "x", "p", "{'podSelector':{}," INGRESS ",'ingress':[{'ports':[{'protocol':'DCCP'}]}]}");
	check("y/a>x/a tcp 80 -, y/a>x/a udp 80 -");
	cluster_policy(&c, "x", "q",
		       "{'podSelector':{}," INGRESS
		       ",'ingress':[{'ports':[{'port':'serve-80-sctp','protocol':'SCTP'}]}]}");
	check("y/a>x/a sctp 80 +, y/a>x/a sctp 81 -, y/a>x/a tcp 80 -, y/a>x/a udp 80 -");
}

Test(policy, named_ports_of_ingress_are_the_targets)
{
	cluster_policy(&c, "x", "p",
		       "{'podSelector':{}," INGRESS ",'ingress':[{'ports':[{'port':'web'},{'port':'absent'}]}]}");
	check("y/a>x/a tcp 80 +, y/a>x/a tcp 81 -, y/a>x/b tcp 81 +, y/a>x/b tcp 80 -, y/a>x/a udp 80 -");
}

Test(policy, named_ports_are_of_a_protocol)
{
	cluster_policy(&c, "x", "p", "{'podSelector':{}," INGRESS ",'ingress':[{'ports':[{'port':'serve-80-udp'}]}]}");
	check("y/a>x/a tcp 80 -, y/a>x/a udp 80 -");
}

Test(policy, named_ports_of_egress_are_each_peers)
{
	cluster_policy(&c, "x", "p",
		       "{'podSelector':{}," EGRESS
		       ",'egress':[{'to':[{'namespaceSelector':{}}],'ports':[{'port':'web'}]}]}");
	check("x/a>y/a tcp 80 +, x/a>y/a tcp 81 -, x/a>y/b tcp 81 +, x/a>y/b tcp 80 -");
}

Test(policy, named_ports_of_egress_to_anybody)
{
	cluster_policy(&c, "x", "p",
		       "{'podSelector':{}," EGRESS
		       ",'egress':[{'ports':[{'port':'web'},{'port':53,'protocol':'UDP'}]}]}");
	check("x/a>y/a tcp 80 +, x/a>y/b tcp 80 -, x/a>y/b tcp 81 +, x/a>8.8.8.8 tcp 80 -, x/a>8.8.8.8 udp 53 +");
}

Test(policy, pods_with_the_same_labels_may_name_different_ports)
{
	cluster_label(&c, "y/a", "pod", "same");
	cluster_label(&c, "y/b", "pod", "same");
	cluster_policy(
		&c, "x", "p",
		"{'podSelector':{}," EGRESS
		",'egress':[{'to':[{'namespaceSelector':{},'podSelector':{'matchLabels':{'pod':'same'}}}],'ports':[{'port':'web'}]}]}");
	check("x/a>y/a tcp 80 +, x/a>y/a tcp 81 -, x/a>y/b tcp 81 +, x/a>y/b tcp 80 -");
}

Test(policy, end_port_is_inclusive)
{
	cluster_policy(&c, "x", "p",
		       "{'podSelector':{}," INGRESS
		       ",'ingress':[{'ports':[{'port':79,'endPort':1026},{'port':65530,'endPort':65535}]}]}");
	check("y/a>x/a tcp 78 -, y/a>x/a tcp 79 +, y/a>x/a tcp 80 +, y/a>x/a tcp 512 +, y/a>x/a tcp 1026 +, y/a>x/a tcp 1027 -,"
	      "y/a>x/a tcp 65529 -, y/a>x/a tcp 65530 +, y/a>x/a tcp 65535 +, y/a>x/a udp 80 -");
}

Test(policy, ranges_need_few_rules)
{
	cluster_policy(&c, "x", "p",
		       "{'podSelector':{'matchLabels':{'pod':'a'}}," INGRESS
		       ",'ingress':[{'ports':[{'port':0,'endPort':65535}]}]}");
	cluster_policy(&c, "x", "q",
		       "{'podSelector':{'matchLabels':{'pod':'b'}}," INGRESS
		       ",'ingress':[{'ports':[{'port':1,'endPort':65534}]}]}");
	cluster_compile(&c);
	cr_assert_eq(c.compiled->pods[cluster_pod(&c, "x/a")].n_rules, 1);
	cr_assert_eq(c.compiled->pods[cluster_pod(&c, "x/b")].n_rules, 30);
}

Test(policy, ip_blocks_of_the_world)
{
	cluster_policy(&c, "x", "p",
		       "{'podSelector':{}," EGRESS
		       ",'egress':[{'to':[{'ipBlock':{'cidr':'8.8.0.0/16','except':['8.8.4.0/24']}},"
		       "{'ipBlock':{'cidr':'2001:db8::/32'}},{'ipBlock':{'cidr':'9.9.9.9/32'}}]}]}");
	check("x/a>8.8.8.8 tcp 80 +, x/a>8.8.4.4 tcp 80 -, x/a>8.9.0.1 tcp 80 -, x/a>2001:db8::1 udp 53 +, x/a>2001:db9::1 udp 53 -,"
	      "x/a>9.9.9.9 tcp 1 +, x/a>9.9.9.8 tcp 1 -, x/a>y/a tcp 80 -");
}

Test(policy, except_of_one_rule_does_not_hide_the_block_of_another)
{
	cluster_policy(&c, "x", "p",
		       "{'podSelector':{}," EGRESS
		       ",'egress':[{'to':[{'ipBlock':{'cidr':'8.0.0.0/8','except':['8.8.0.0/16']}}]},"
		       "{'to':[{'ipBlock':{'cidr':'8.8.8.0/24'}}]}]}");
	check("x/a>8.8.8.8 tcp 80 +, x/a>8.8.9.9 tcp 80 -, x/a>8.9.0.1 tcp 80 +");
}

Test(policy, all_addresses_of_one_family_are_not_those_of_the_other)
{
	cluster_policy(&c, "x", "p",
		       "{'podSelector':{'matchLabels':{'pod':'a'}}," EGRESS
		       ",'egress':[{'to':[{'ipBlock':{'cidr':'::/0'}}]}]}");
	cluster_policy(&c, "x", "q",
		       "{'podSelector':{'matchLabels':{'pod':'b'}}," EGRESS
		       ",'egress':[{'to':[{'ipBlock':{'cidr':'0.0.0.0/0'}}]}]}");
	check("x/a>2001:db8::1 tcp 80 +, x/a>8.8.8.8 tcp 80 -, x/b>8.8.8.8 tcp 80 +, x/b>2001:db8::1 tcp 80 -");
}

Test(policy, ip_blocks_hold_pods_too)
{
	cluster_policy(&c, "x", "p",
		       "{'podSelector':{}," EGRESS
		       ",'egress':[{'to':[{'ipBlock':{'cidr':'10.0.2.0/24','except':['10.0.2.2/32']}}]}]}");
	check("x/a>y/a tcp 80 +, x/a>y/b tcp 80 -, x/a>y/c tcp 80 +, x/a>z/a tcp 80 -");
	cluster_policy(&c, "x", "q",
		       "{'podSelector':{}," EGRESS ",'egress':[{'to':[{'ipBlock':{'cidr':'10.0.2.2/32'}}]}]}");
	check("x/a>y/b tcp 80 +, x/a>z/a tcp 80 -");
}

Test(policy, ip_blocks_hold_the_node)
{
	cluster_policy(&c, "x", "p",
		       "{'podSelector':{}," EGRESS
		       ",'egress':[{'to':[{'ipBlock':{'cidr':'172.30.0.0/16','except':['172.30.9.0/24']}}]}]}");
	check("x/a>172.30.1.1 tcp 80 +, x/a>172.30.1.2 tcp 80 +, x/a>172.30.9.2 tcp 80 -");
}

Test(policy, named_ports_mean_nothing_outside)
{
	cluster_policy(&c, "x", "p",
		       "{'podSelector':{}," EGRESS
		       ",'egress':[{'to':[{'ipBlock':{'cidr':'8.8.0.0/16'}}],'ports':[{'port':'web'}]}]}");
	check("x/a>8.8.8.8 tcp 80 -, x/a>8.8.8.8 tcp 81 -");
}

Test(policy, pods_on_the_hosts_network_are_their_node)
{
	struct policy_pod host = c.pods[0];

	host.name = "host";
	host.host_network = true;
	host.ip4 = c.snap.node4;
	host.ip6 = c.snap.node6;
	c.pods[c.snap.n_pods++] = host;
	cluster_policy(&c, "x", "p",
		       "{'podSelector':{},'policyTypes':['Ingress','Egress'],'egress':[{'to':[{'podSelector':{}}]}]}");
	cluster_compile(&c);
	cr_assert_eq(c.compiled->pods[cluster_pod(&c, "x/host")].identity, 0);
	check("x/host>x/a tcp 80 +, y/a>x/host tcp 80 +, x/a>x/host tcp 80 -");
}

Test(policy, changes_are_followed)
{
	cluster_policy(&c, "x", "p",
		       "{'podSelector':{'matchLabels':{'pod':'a'}}," INGRESS
		       ",'ingress':[{'from':[{'podSelector':{'matchLabels':{'role':'client'}}}]}]}");
	check("x/b>x/a tcp 80 -");
	cluster_label(&c, "x/b", "role", "client");
	check("x/b>x/a tcp 80 +");
	cluster_label(&c, "x/b", "role", NULL);
	check("x/b>x/a tcp 80 -");
	c.snap.n_policies = 0;
	cluster_compile(&c);
	check("x/b>x/a tcp 80 +");
}

Test(policy, verdicts_name_the_rule)
{
	struct policy_rule_source src;
	struct policy_verdict v;

	cluster_policy(
		&c, "x", "p",
		"{'podSelector':{},'policyTypes':['Ingress','Egress'],'egress':[{}],'ingress':[{'from':[{'podSelector':"
		"{'matchLabels':{'pod':'c'}}}]},{'from':[{'ipBlock':{'cidr':'8.0.0.0/8'}},{'podSelector':{'matchLabels':{'pod':'b'}}}]}]}");
	v = cluster_verdict(&c, "x/b", "x/a", IPPROTO_TCP, 80);
	cr_assert(v.allowed && policy_rule_source(c.ids, v.ingress_rule, &src));
	cr_assert_str_eq(src.path, "spec.ingress[1].from[1]");
	cr_assert_str_eq(src.name, "p");
	cr_assert_str_eq(src.ns, "x");
	cr_assert_str_eq(src.uid, "uid-x-p");
	cr_assert(policy_rule_source(c.ids, v.egress_rule, &src));
	cr_assert_str_eq(src.path, "spec.egress[0]");
	cr_assert(!policy_rule_source(c.ids, 4711, &src));
	cr_assert_eq(c.compiled->pods[0].n_selected_by, 1);
	cr_assert_str_eq(c.compiled->pods[0].selected_by[0]->metadata.name, "p");
}

/* --- identities --------------------------------------------------------------------------------------------------- */

static uint32_t identity(const char *pod)
{
	if (!c.compiled)
		cluster_compile(&c);
	return c.compiled->pods[cluster_pod(&c, pod)].identity;
}

Test(policy, peers_alike_share_an_identity)
{
	uint32_t a;

	cluster_label(&c, "x/b", "pod", "c");
	cr_assert_eq(identity("x/b"), identity("x/c"));
	cr_assert_neq(identity("x/a"), identity("y/a"));
	cr_assert_geq(identity("x/a"), POLICY_ID_FIRST_POD);
	a = identity("x/a");
	cluster_label(&c, "x/b", "pod", "b");
	cr_assert_eq(identity("x/a"), a);
	cr_assert_neq(identity("x/b"), identity("x/c"));
}

Test(policy, blocks_that_touch_no_pod_leave_identities_alone)
{
	uint32_t a = identity("x/a");

	cluster_policy(&c, "x", "p",
		       "{'podSelector':{}," EGRESS ",'egress':[{'to':[{'ipBlock':{'cidr':'8.0.0.0/8'}}]}]}");
	cr_assert_eq(identity("x/a"), a);
	cr_assert_eq(c.compiled->n_cidrs, 1);
	cr_assert_geq(c.compiled->cidrs[0].identity, POLICY_ID_FIRST_CIDR);
}

/* An address keeps its old identity in the maps until the rules are there: these must name both until then. */
Test(policy, old_identities_stay_in_the_rules_until_released)
{
	uint32_t old_id, new_id;
	const struct policy_of_pod *a;
	bool has_old = false, has_new = false;

	cluster_policy(&c, "x", "p",
		       "{'podSelector':{'matchLabels':{'pod':'a'}}," INGRESS
		       ",'ingress':[{'from':[{'podSelector':{'matchLabels':{'pod':'b'}}}]}]}");
	old_id = identity("x/b");
	cr_assert(!policy_ids_release(c.ids));
	cluster_label(&c, "x/b", "version", "2");
	new_id = identity("x/b");
	cr_assert_neq(old_id, new_id);
	a = &c.compiled->pods[cluster_pod(&c, "x/a")];
	for (size_t i = 0; i < a->n_rules; i++) {
		has_old |= a->rules[i].identity == old_id;
		has_new |= a->rules[i].identity == new_id;
	}
	cr_assert(has_old && has_new);
	cr_assert(policy_ids_release(c.ids));
	cluster_compile(&c);
	a = &c.compiled->pods[cluster_pod(&c, "x/a")];
	cr_assert_eq(a->n_rules, 1);
	cr_assert_eq(a->rules[0].identity, new_id);
}

Test(policy, numbers_survive_a_restart)
{
	struct strbuf sb = STRBUF_INIT;
	struct err err = ERR_INIT;
	uint32_t before[N_CLUSTER_PODS], cidr;

	cluster_policy(&c, "x", "p",
		       "{'podSelector':{}," EGRESS
		       ",'egress':[{'to':[{'ipBlock':{'cidr':'10.0.0.0/8','except':['10.0.2.0/24']}}]}]}");
	cluster_compile(&c);
	for (size_t i = 0; i < N_CLUSTER_PODS; i++)
		before[i] = c.compiled->pods[i].identity;
	cidr = c.compiled->cidrs[0].identity;
	cr_assert_eq(policy_ids_save(c.ids, &sb), 0);
	policy_ids_free(c.ids);
	c.ids = policy_ids_new();
	cr_assert(policy_ids_load(c.ids, sb.buf, sb.len, &err) == 0, "%s", err.msg);
	/* Another order and a newcomer before the others. */
	cluster_label(&c, "x/a", "new", "1");
	cluster_compile(&c);
	cr_assert_gt(c.compiled->pods[0].identity, before[N_CLUSTER_PODS - 1]);
	for (size_t i = 1; i < N_CLUSTER_PODS; i++)
		cr_assert_eq(c.compiled->pods[i].identity, before[i]);
	cr_assert_eq(c.compiled->cidrs[0].identity, cidr);
	strbuf_done(&sb);
}

Test(policy, a_damaged_table_is_refused)
{
	static const char *const bad[] = {
		"",
		"{",
		"{\"identities\":[{}]}",
		"{\"identities\":[{\"number\":3,\"of\":{\"ns\":\"x\",\"nsLabels\":{},\"labels\":{},\"ports\":[],\"in4\":\"\",\"in6\":\"\"}}]}",
		"{\"identities\":[{\"number\":256,\"of\":{\"ns\":\"x\",\"nsLabels\":{\"b\":\"1\",\"a\":\"2\"},\"labels\":{},\"ports\":[],\"in4\":\"\",\"in6\":\"\"}}]}",
		"{\"identities\":[{\"number\":256,\"of\":{\"ns\":\"x\",\"nsLabels\":{},\"labels\":{},\"ports\":[],\"in4\":\"10.0.0.0\",\"in6\":\"\"}}]}",
		"{\"identities\":[{\"number\":256,\"of\":{\"cidr\":\"::ffff:10.0.0.0/104\"}}]}",
		"{\"identities\":[{\"number\":256,\"of\":{\"ns\":\"x\",\"nsLabels\":{},\"labels\":{\"a\":1},\"ports\":[],\"in4\":\"\",\"in6\":\"\"}}]}",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct policy_ids *ids = policy_ids_new();
		struct err err = ERR_INIT;

		cr_assert(policy_ids_load(ids, bad[i], strlen(bad[i]), &err) < 0, "accepted: %s", bad[i]);
		cr_assert(err.msg[0]);
		policy_ids_free(ids);
	}
}

Test(policy, cidrs_are_read_strictly)
{
	static const char *const bad[] = { "",	  "10.0.0.0",	 "10.0.0.0/33", "10.0.0/8", "::/129",
					   "x/8", "10.0.0.0/-1", "10.0.0.0/8x", "/8" };
	struct ip_addr ip;
	unsigned len;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert(policy_parse_cidr(bad[i], &ip, &len) < 0, "accepted: %s", bad[i]);
	cr_assert_eq(policy_parse_cidr("10.1.2.3/8", &ip, &len), 0);
	cr_assert_eq(len, 104);
	cr_assert_eq(ip.w[3], htonl(0x0a000000));
	cr_assert_eq(policy_parse_cidr("::/0", &ip, &len), 0);
	cr_assert_eq(len, 0);
}
