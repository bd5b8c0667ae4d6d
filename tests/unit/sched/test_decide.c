/* SPDX-License-Identifier: Apache-2.0 */
/* The scheduler's decisions, from tables, and the snapshot's accounts against a recount. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "sched/sched.h"
#include "../documents.h"

static struct arena arena;

static void add_node(struct snapshot *s, const char *name, const char *cpu, const char *more_labels, const char *spec)
{
	char text[1024];

	snprintf(text, sizeof(text),
		 "{\"metadata\":{\"name\":\"%s\",\"labels\":{\"kubernetes.io/hostname\":\"%s\"%s}},\"spec\":{%s},"
		 "\"status\":{\"allocatable\":{\"cpu\":\"%s\",\"memory\":\"8Gi\",\"pods\":\"10\"}}}",
		 name, name, more_labels, spec, cpu);
	cr_assert_eq(snapshot_set_node(s, from_json_as(&api_type_node, text, &arena)), 0);
}

static const struct api_pod *pod(const char *name, const char *cpu, const char *spec)
{
	char text[2048];

	snprintf(
		text, sizeof(text),
		"{\"metadata\":{\"name\":\"%s\",\"namespace\":\"n\",\"uid\":\"%s\",\"labels\":{\"app\":\"a\"},\"ownerReferences\":[{\"uid\":\"o\","
		"\"controller\":true,\"kind\":\"ReplicaSet\",\"name\":\"o\",\"apiVersion\":\"apps/v1\"}]},"
		"\"spec\":{\"containers\":[{\"name\":\"c\",\"resources\":{\"requests\":{\"cpu\":\"%s\"}}}]%s}}",
		name, name, cpu, spec);
	return from_json_as(&api_type_pod, text, &arena);
}

static void three(struct snapshot *s)
{
	cr_assert_eq(snapshot_init(s), 0);
	add_node(s, "n1", "2", "", "");
	add_node(s, "n2", "2", ",\"disk\":\"ssd\"", "");
	add_node(s, "n3", "2", "", "\"taints\":[{\"key\":\"k\",\"value\":\"v\",\"effect\":\"NoSchedule\"}]");
}

Test(sched, says_why_with_counts)
{
	static const struct {
		const char *cpu, *spec, *message;
	} cases[] = {
		{ "3", "", "0/3 nodes are available: 1 node(s) had untolerated taint {k: v}, 2 Insufficient cpu." },
		{ "1", ",\"nodeSelector\":{\"disk\":\"tape\"}",
		  "0/3 nodes are available: 1 node(s) had untolerated taint {k: v}, 2 node(s) didn't match Pod's node affinity/selector." },
		{ "3", ",\"tolerations\":[{\"operator\":\"Exists\"}]", "0/3 nodes are available: 3 Insufficient cpu." },
	};
	struct snapshot s;

	three(&s);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct decision d;

		sched_decide(&s, pod("p", cases[i].cpu, cases[i].spec), 0, &d);
		cr_assert(!d.node);
		cr_assert_str_eq(d.message, cases[i].message);
	}
	snapshot_done(&s);
}

Test(sched, honours_selectors_taints_and_names)
{
	struct decision d;
	struct snapshot s;

	three(&s);
	sched_decide(&s, pod("p", "1", ",\"nodeSelector\":{\"disk\":\"ssd\"}"), 0, &d);
	cr_assert_str_eq(d.node->name, "n2");
	cr_assert_eq(d.n_feasible, 1);
	sched_decide(&s, pod("p", "1", ",\"tolerations\":[{\"key\":\"k\",\"value\":\"v\"}]"), 0, &d);
	cr_assert_eq(d.n_feasible, 3);
	sched_decide(&s, pod("p", "1", ",\"tolerations\":[{\"key\":\"k\",\"value\":\"w\"}]"), 0, &d);
	cr_assert_eq(d.n_feasible, 2);
	add_node(&s, "n2", "2", "", "\"unschedulable\":true");
	sched_decide(&s, pod("p", "1", ""), 0, &d);
	cr_assert_str_eq(d.node->name, "n1");
	snapshot_done(&s);
}

Test(sched, replicas_of_one_owner_are_spread)
{
	const char *seen[3];
	struct snapshot s;

	cr_assert_eq(snapshot_init(&s), 0);
	for (int i = 0; i < 3; i++) {
		char name[8];

		snprintf(name, sizeof(name), "n%d", i);
		add_node(&s, name, i == 0 ? "64" : "2", "", ""); /* one is far roomier: spreading must win */
	}
	for (int i = 0; i < 3; i++) {
		const struct api_pod *p;
		struct decision d;
		char name[8];

		snprintf(name, sizeof(name), "p%d", i);
		p = pod(name, "100m", "");
		sched_decide(&s, p, (uint64_t)i, &d);
		cr_assert(d.node);
		seen[i] = d.node->name;
		for (int k = 0; k < i; k++)
			cr_assert_str_neq(seen[k], seen[i]);
		cr_assert_eq(snapshot_add_pod(&s, p, d.node->name), 0);
	}
	snapshot_done(&s);
}

Test(sched, a_hard_constraint_keeps_the_skew)
{
	static const char constraint[] =
		",\"topologySpreadConstraints\":[{\"maxSkew\":1,\"topologyKey\":\"zone\",\"whenUnsatisfiable\":"
		"\"DoNotSchedule\",\"labelSelector\":{\"matchLabels\":{\"app\":\"a\"}}}]";
	struct decision d;
	struct snapshot s;

	cr_assert_eq(snapshot_init(&s), 0);
	add_node(&s, "a1", "64", ",\"zone\":\"a\"", "");
	add_node(&s, "b1", "300m", ",\"zone\":\"b\"", "");
	add_node(&s, "none", "64", "", "");
	for (int i = 0; i < 6; i++) {
		const struct api_pod *p;
		char name[8];

		snprintf(name, sizeof(name), "p%d", i);
		p = pod(name, "100m", constraint);
		sched_decide(&s, p, 0, &d);
		cr_assert(d.node, "%d: %s", i, d.message);
		cr_assert_eq(snapshot_add_pod(&s, p, d.node->name), 0);
	}
	/* b is full with three: a may have four at most. */
	sched_decide(&s, pod("p6", "100m", constraint), 0, &d);
	cr_assert(d.node);
	cr_assert_str_eq(d.node->name, "a1");
	cr_assert_eq(snapshot_add_pod(&s, pod("p6", "100m", constraint), "a1"), 0);
	sched_decide(&s, pod("p7", "100m", constraint), 0, &d);
	cr_assert(!d.node);
	cr_assert(strstr(d.message, "didn't match pod topology spread constraints"), "%s", d.message);
	snapshot_done(&s);
}

Test(snapshot, accounts_match_a_recount)
{
	struct snapshot s;
	int on[40];

	cr_assert_eq(snapshot_init(&s), 0);
	for (int i = 0; i < 4; i++) {
		char name[8];

		snprintf(name, sizeof(name), "n%d", i);
		add_node(&s, name, "1000", "", "");
	}
	memset(on, -1, sizeof(on));
	srand(3);
	for (int step = 0; step < 4000; step++) {
		char name[16], key[32], node[8], cpu[16];
		int k = rand() % 40;

		snprintf(name, sizeof(name), "p%d", k);
		snprintf(key, sizeof(key), "n/p%d", k);
		snprintf(cpu, sizeof(cpu), "%dm", 10 * (k + 1));
		if (rand() % 3) {
			on[k] = rand() % 4;
			snprintf(node, sizeof(node), "n%d", on[k]);
			cr_assert_eq(snapshot_add_pod(&s, pod(name, cpu, ""), node), 0);
		} else {
			on[k] = -1;
			snapshot_remove_pod(&s, key);
		}
	}
	for (int i = 0; i < 4; i++) {
		int64_t cpu = 0, pods = 0;
		struct sched_node *n;
		char node[8];

		for (int k = 0; k < 40; k++)
			if (on[k] == i) {
				cpu += 10 * (k + 1);
				pods++;
			}
		snprintf(node, sizeof(node), "n%d", i);
		n = strmap_get(s.nodes, node);
		cr_assert_eq(n->used.cpu_milli, cpu);
		cr_assert_eq(n->used.pods, pods);
		cr_assert_eq(n->n_pods, (size_t)pods);
	}
	snapshot_done(&s);
	arena_done(&arena);
}
