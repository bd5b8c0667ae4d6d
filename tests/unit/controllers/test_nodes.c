/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes: which address ranges a new one gets, what becomes of a silent one, and how long its pods stay. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "control/controllers/nodeipam_plan.h"
#include "control/controllers/nodelifecycle_plan.h"
#include "../documents.h"

#define CLUSTER	 "10.0.0.0/8,fd00:10::/48"
#define SERVICES "10.96.0.0/12,fd00:10:96::/112"

Test(nodeipam, the_lowest_free_range_of_each_family)
{
	static const struct {
		const char *cluster, *services;
		int mask4, mask6;
		const char *taken[4];
		int r;
		const char *want;
	} cases[] = {
		{ CLUSTER, SERVICES, 24, 64, { NULL }, 0, "10.0.0.0/24,fd00:10::/64" },
		{ CLUSTER, SERVICES, 24, 64, { "10.0.0.0/24", "fd00:10::/64" }, 0, "10.0.1.0/24,fd00:10:0:1::/64" },
		/* both families of one node in one text; a hole is filled */
		{ CLUSTER,
		  SERVICES,
		  24,
		  64,
		  { "10.0.0.0/24,fd00:10::/64", "10.0.2.0/24" },
		  0,
		  "10.0.1.0/24,fd00:10:0:1::/64" },
		/* ranges of other sizes, unaligned to ours, nested */
		{ "10.0.0.0/8", "", 24, 64, { "10.0.0.0/22", "10.0.1.0/24", "10.0.4.128/25" }, 0, "10.0.5.0/24" },
		/* the services' range is passed over */
		{ "10.96.0.0/11", "10.96.0.0/12", 24, 64, { NULL }, 0, "10.112.0.0/24" },
		{ "10.64.0.0/10", "10.96.0.0/12", 16, 64, { "10.64.0.0/11" }, 0, "10.112.0.0/16" },
		/* used up */
		{ "10.0.0.0/24", "", 25, 64, { "10.0.0.0/25" }, 0, "10.0.0.128/25" },
		{ "10.0.0.0/24", "", 25, 64, { "10.0.0.0/25", "10.0.0.128/25" }, -ENOSPC, NULL },
		{ "10.0.0.0/24", "", 23, 64, { NULL }, -ENOSPC, NULL },
		{ "255.255.255.0/24", "", 24, 64, { "255.255.255.0/24" }, -ENOSPC, NULL },
		{ "ffff:ffff:ffff:ffff::/64", "", 24, 64, { "ffff:ffff:ffff:ffff:ffff::/80" }, -ENOSPC, NULL },
		{ "0.0.0.0/0", "", 24, 64, { "0.0.0.0/1" }, 0, "128.0.0.0/24" },
		{ "10.0.0.0", "", 24, 64, { NULL }, -EINVAL, NULL },
		{ "10.0.0.0/33", "", 24, 64, { NULL }, -EINVAL, NULL },
		{ "10.0.0.0/8", "10.96.0.0/x", 24, 64, { NULL }, -EINVAL, NULL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char got[NODEIPAM_TEXT] = "";
		size_t n = 0;
		int r;

		while (n < 4 && cases[i].taken[n])
			n++;
		r = nodeipam_plan(cases[i].cluster, cases[i].services, cases[i].mask4, cases[i].mask6, cases[i].taken,
				  n, got);
		cr_assert_eq(r, cases[i].r, "case %zu: %d %s", i, r, got);
		if (!r)
			cr_assert_str_eq(got, cases[i].want, "case %zu", i);
	}
}

Test(nodeipam, ranges_given_one_after_another_differ)
{
	enum { NODES = 500 };
	static char texts[NODES][NODEIPAM_TEXT];
	static const char *taken[NODES];

	for (size_t i = 0; i < NODES; i++) {
		cr_assert_eq(nodeipam_plan(CLUSTER, SERVICES, 24, 64, taken, i, texts[i]), 0);
		taken[i] = texts[i];
		for (size_t k = 0; k < i; k++)
			cr_assert(!streq(texts[k], texts[i]));
	}
}

Test(nodeipam, the_default_ranges_hold_every_24_but_the_services)
{
	enum { FIT = (1 << 16) - (1 << 12) };
	char(*texts)[NODEIPAM_TEXT] = malloc(sizeof(*texts) * FIT), got[NODEIPAM_TEXT];
	const char **taken = malloc(sizeof(*taken) * FIT);
	size_t n = 0;

	cr_assert(texts && taken);
	for (int i = 0; i < 1 << 16; i++) {
		if (i >> 8 >= 96 && i >> 8 < 112)
			continue;
		snprintf(texts[n], NODEIPAM_TEXT, "10.%d.%d.0/24,fd00:10:0:%x::/64", i >> 8, i & 255, i);
		taken[n] = texts[n];
		n++;
	}
	cr_assert_eq(n, FIT);
	cr_assert_eq(nodeipam_plan(CLUSTER, SERVICES, 24, 64, taken, n - 1, got), 0);
	cr_assert_str_eq(got, "10.255.255.0/24,fd00:10:0:6000::/64");
	cr_assert_eq(nodeipam_plan(CLUSTER, SERVICES, 24, 64, taken, n, got), -ENOSPC);
	free(texts);
	free(taken);
}

static struct arena arena;

#define U "node.kubernetes.io/unreachable"
#define N "node.kubernetes.io/not-ready"

/* "key:effect key:effect" of a list of taints, in its order. */
static void describe(const json_t *taints, char *ret, size_t size)
{
	const json_t *t;
	size_t i;

	ret[0] = '\0';
	json_array_foreach ((json_t *)taints, i, t)
		snprintf(ret + strlen(ret), size - strlen(ret), "%s%s:%s", i ? " " : "", api_get_str(t, "key"),
			 api_get_str(t, "effect"));
}

Test(nodelifecycle, taints_follow_the_ready_condition_and_the_lease)
{
	static const struct {
		const char *ready; /* NULL: no such condition */
		bool silent;
		const char *taints; /* members of spec.taints */
		const char *want;   /* NULL: nothing to write */
		bool mark_unknown, mark_pods;
	} cases[] = {
#define T(key, effect) "{\"key\":\"" key "\",\"effect\":\"" effect "\"}"
		{ "True", false, "", NULL, false, false },
		{ "False", false, "", N ":NoSchedule " N ":NoExecute", false, false },
		{ NULL, false, "", N ":NoSchedule " N ":NoExecute", false, false },
		{ "Unknown", false, "", U ":NoSchedule " U ":NoExecute", false, false },
		{ "True", true, "", U ":NoSchedule " U ":NoExecute", true, true },
		{ "Unknown", true, T(U, "NoSchedule") "," T(U, "NoExecute"), NULL, false, true },
		{ "False", true, T(N, "NoSchedule") "," T(N, "NoExecute"), U ":NoSchedule " U ":NoExecute", true,
		  true },
		/* half of them there; others' taints stay */
		{ "False", false, T(N, "NoSchedule") "," T("mine", "NoSchedule"),
		  "mine:NoSchedule " N ":NoSchedule " N ":NoExecute", false, false },
		{ "True", false, T(U, "NoSchedule") "," T("mine", "NoExecute") "," T(U, "NoExecute"), "mine:NoExecute",
		  false, false },
		{ "True", false, T("mine", "NoExecute"), NULL, false, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[1024], condition[128] = "", got[512];
		struct node_plan p;

		if (cases[i].ready)
			snprintf(condition, sizeof(condition), "{\"type\":\"Ready\",\"status\":\"%s\"}",
				 cases[i].ready);
		snprintf(text, sizeof(text),
			 "{\"metadata\":{\"name\":\"n\"},\"spec\":{\"taints\":[%s]},\"status\":{\"conditions\":[%s]}}",
			 cases[i].taints, condition);
		node_plan(from_json_as(&api_type_node, text, &arena), cases[i].silent, 0, &p);
		cr_assert_eq(p.mark_unknown, cases[i].mark_unknown, "case %zu", i);
		cr_assert_eq(p.mark_pods, cases[i].mark_pods, "case %zu", i);
		cr_assert_eq(!p.taints, !cases[i].want, "case %zu", i);
		if (!p.taints)
			continue;
		describe(p.taints, got, sizeof(got));
		cr_assert_str_eq(got, cases[i].want, "case %zu", i);
		json_decref(p.taints);
	}
}

Test(nodelifecycle, how_long_pods_stay)
{
	static const struct {
		const char *tolerations;
		int64_t want;
	} cases[] = {
#define TOL(rest) "{" rest "}"
#define S(n)	  ",\"tolerationSeconds\":" #n
		{ "", 7 },
		{ TOL("\"key\":\"" U "\",\"operator\":\"Exists\",\"effect\":\"NoExecute\""), -1 },
		{ TOL("\"key\":\"" U "\",\"operator\":\"Exists\",\"effect\":\"NoExecute\"" S(30)), 30000 },
		{ TOL("\"key\":\"" U "\",\"operator\":\"Exists\"" S(30)), 30000 },
		{ TOL("\"operator\":\"Exists\""), -1 },
		{ TOL("\"key\":\"" U "\",\"operator\":\"Exists\"" S(0)), 0 },
		{ TOL("\"key\":\"" U "\",\"operator\":\"Exists\"" S(-5)), 0 },
		/* of another effect, key or value */
		{ TOL("\"key\":\"" U "\",\"operator\":\"Exists\",\"effect\":\"NoSchedule\""), 7 },
		{ TOL("\"key\":\"" N "\",\"operator\":\"Exists\",\"effect\":\"NoExecute\""), 7 },
		{ TOL("\"key\":\"" U "\",\"operator\":\"Equal\",\"value\":\"x\",\"effect\":\"NoExecute\""), 7 },
		{ TOL("\"key\":\"" U "\",\"operator\":\"Equal\",\"effect\":\"NoExecute\""), -1 },
		/* the shortest counts, for ever wins */
		{ TOL("\"key\":\"" U "\",\"operator\":\"Exists\"" S(30)) "," TOL("\"operator\":\"Exists\"" S(20)),
		  20000 },
		{ TOL("\"key\":\"" U "\",\"operator\":\"Exists\"" S(30)) "," TOL("\"operator\":\"Exists\""), -1 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[1024];

		snprintf(text, sizeof(text), "{\"metadata\":{\"name\":\"p\"},\"spec\":{\"tolerations\":[%s]}}",
			 cases[i].tolerations);
		cr_assert_eq(pod_tolerated_ms(from_json_as(&api_type_pod, text, &arena), U, 7), cases[i].want,
			     "case %zu", i);
	}
}
