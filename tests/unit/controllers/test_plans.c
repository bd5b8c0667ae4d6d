/* SPDX-License-Identifier: Apache-2.0 */
/* What controllers decide: ReplicaSets' pods, and whole rollouts of Deployments step by step. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "control/controllers/deployment_plan.h"
#include "control/controllers/replicaset_plan.h"
#include "../documents.h"

static struct arena arena;

#define RS_LABELS                                                                                                      \
	"\"spec\":{\"replicas\":%d,\"selector\":{\"matchLabels\":{\"app\":\"a\"}},\"template\":{\"metadata\":{\"labels\":{\"app\":\"a\"}}}}"

static struct api_replica_set *rs(int replicas, const char *meta)
{
	char text[1024];

	snprintf(text, sizeof(text),
		 "{\"metadata\":{\"name\":\"rs\",\"namespace\":\"n\",\"uid\":\"u-rs\"%s}," RS_LABELS "}", meta,
		 replicas);
	return from_json_as(&api_type_replica_set, text, &arena);
}

/* owner: uid of the controlling owner, "" for none. */
static const struct api_pod *pod(const char *name, const char *label, const char *owner, const char *spec_and_status)
{
	char text[2048], refs[256] = "";

	if (*owner)
		snprintf(refs, sizeof(refs),
			 ",\"ownerReferences\":[{\"apiVersion\":\"apps/v1\",\"kind\":\"ReplicaSet\",\"name\":\"rs\","
			 "\"uid\":\"%s\",\"controller\":true}]",
			 owner);
	snprintf(
		text, sizeof(text),
		"{\"metadata\":{\"name\":\"%s\",\"namespace\":\"n\",\"uid\":\"u-%s\",\"labels\":{\"app\":\"%s\"}%s},%s}",
		name, name, label, refs, spec_and_status);
	return from_json_as(&api_type_pod, text, &arena);
}

#define READY                                                                                                          \
	"\"spec\":{\"nodeName\":\"n1\"},\"status\":{\"phase\":\"Running\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}"
#define PENDING	   "\"spec\":{\"nodeName\":\"n1\"},\"status\":{\"phase\":\"Pending\"}"
#define UNASSIGNED "\"spec\":{},\"status\":{\"phase\":\"Pending\"}"
#define DONE	   "\"spec\":{\"nodeName\":\"n1\"},\"status\":{\"phase\":\"Succeeded\"}"

Test(rs_plan, makes_what_is_missing)
{
	const struct api_pod *pods[] = { pod("a", "a", "u-rs", READY), pod("done", "a", "u-rs", DONE) };
	struct rs_plan p;

	cr_assert_eq(rs_plan(rs(3, ""), pods, 2, 0, &p), 0);
	cr_assert_eq(p.create, 2);
	cr_assert_eq(p.n_delete, 0);
	cr_assert_eq(p.replicas, 1);
	cr_assert_eq(p.ready, 1);
	cr_assert_eq(p.available, 1);
	rs_plan_done(&p);
}

Test(rs_plan, deletes_in_kubernetes_order)
{
	const struct api_pod *pods[] = { pod("ready", "a", "u-rs", READY), pod("pending", "a", "u-rs", PENDING),
					 pod("unassigned", "a", "u-rs", UNASSIGNED) };
	struct rs_plan p;

	cr_assert_eq(rs_plan(rs(1, ""), pods, 3, 0, &p), 0);
	cr_assert_eq(p.n_delete, 2);
	cr_assert_str_eq(p.delete[0]->metadata.name, "unassigned");
	cr_assert_str_eq(p.delete[1]->metadata.name, "pending");
	rs_plan_done(&p);
}

Test(rs_plan, adopts_orphans_and_releases_strangers)
{
	const struct api_pod *pods[] = { pod("orphan", "a", "", READY), pod("relabelled", "b", "u-rs", READY),
					 pod("other", "a", "u-x", READY), pod("no", "b", "", READY) };
	struct rs_plan p;

	cr_assert_eq(rs_plan(rs(1, ""), pods, 4, 0, &p), 0);
	cr_assert_eq(p.n_adopt, 1);
	cr_assert_str_eq(p.adopt[0]->metadata.name, "orphan");
	cr_assert_eq(p.n_release, 1);
	cr_assert_str_eq(p.release[0]->metadata.name, "relabelled");
	cr_assert_eq(p.create, 0, "the adopted pod counts");
	rs_plan_done(&p);
}

Test(rs_plan, a_set_in_deletion_makes_and_adopts_nothing)
{
	const struct api_pod *pods[] = { pod("orphan", "a", "", READY) };
	struct rs_plan p;

	cr_assert_eq(rs_plan(rs(3, ",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\""), pods, 1, 0, &p), 0);
	cr_assert_eq(p.create, 0);
	cr_assert_eq(p.n_adopt, 0);
	rs_plan_done(&p);
}

/* --- deployments -------------------------------------------------------------------------------------------------- */

static struct api_deployment *deployment(int replicas, const char *more)
{
	char text[1024];

	snprintf(text, sizeof(text), "{\"metadata\":{\"name\":\"d\"},\"spec\":{\"replicas\":%d%s}}", replicas, more);
	return from_json_as(&api_type_deployment, text, &arena);
}

Test(deployment_bounds, rounds_surge_up_and_unavailable_down)
{
	static const struct {
		int replicas;
		const char *more;
		int64_t surge, unavailable;
	} cases[] = {
		{ 10, "", 3, 2 },
		{ 3, "", 1, 0 },
		{ 1, "", 1, 0 },
		{ 10, ",\"strategy\":{\"rollingUpdate\":{\"maxSurge\":\"0%\",\"maxUnavailable\":\"1%\"}}", 0, 1 },
		{ 4, ",\"strategy\":{\"rollingUpdate\":{\"maxSurge\":2,\"maxUnavailable\":9}}", 2, 4 },
		{ 4, ",\"strategy\":{\"type\":\"Recreate\"}", 0, 4 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t surge, unavailable;

		deployment_bounds(deployment(cases[i].replicas, cases[i].more), &surge, &unavailable);
		cr_assert_eq(surge, cases[i].surge, "case %zu: surge %lld", i, (long long)surge);
		cr_assert_eq(unavailable, cases[i].unavailable, "case %zu: unavailable %lld", i,
			     (long long)unavailable);
	}
}

/*
 * A whole rollout: each round the plan is carried out, then some new pods become available. At no moment are there
 * fewer available pods than allowed, or more pods than allowed, and it ends.
 */
static void roll(int replicas, const char *more)
{
	struct api_deployment *d = deployment(replicas, more);
	struct dp_set sets[2] = { { .rs = rs(replicas, ""),
				    .replicas = replicas,
				    .available = replicas,
				    .ready = replicas,
				    .current = replicas } };
	int64_t surge, unavailable;
	size_t n = 1;

	deployment_bounds(d, &surge, &unavailable);
	for (int round = 0; round < 100; round++) {
		struct dp_plan p;
		int64_t pods = 0, available = 0;

		deployment_plan(d, sets, n, false, &p);
		if (p.create_new) {
			sets[n++] = (struct dp_set){ .rs = rs((int)p.new_replicas, ""),
						     .is_new = true,
						     .replicas = p.new_replicas,
						     .want = p.new_replicas };
			sets[0].want = sets[0].replicas;
		}
		for (size_t i = 0; i < n; i++) {
			cr_assert(!sets[i].remove || !sets[i].current);
			sets[i].replicas = sets[i].want;
			/* Unavailable pods go first, as rs_plan() has it. */
			if (sets[i].available > sets[i].replicas)
				sets[i].available = sets[i].replicas;
			sets[i].current = sets[i].replicas;
			pods += sets[i].replicas;
			available += sets[i].available;
		}
		cr_assert_leq(pods, replicas + surge, "round %d: %lld pods", round, (long long)pods);
		cr_assert_geq(available, replicas - unavailable, "round %d: %lld available", round,
			      (long long)available);
		if (n == 2 && !sets[0].replicas && sets[1].available == replicas)
			return;
		/* One new pod becomes available a round. */
		if (n == 2 && sets[1].available < sets[1].replicas)
			sets[1].available++;
	}
	cr_assert_fail("the rollout of %d does not end", replicas);
}

Test(deployment_plan, rolls_without_losing_availability)
{
	for (int replicas = 1; replicas <= 20; replicas++) {
		roll(replicas, "");
		roll(replicas, ",\"strategy\":{\"rollingUpdate\":{\"maxSurge\":0,\"maxUnavailable\":1}}");
		roll(replicas, ",\"strategy\":{\"rollingUpdate\":{\"maxSurge\":\"100%\",\"maxUnavailable\":0}}");
		roll(replicas, ",\"strategy\":{\"rollingUpdate\":{\"maxSurge\":3,\"maxUnavailable\":\"50%\"}}");
	}
}

Test(deployment_plan, recreate_waits_for_the_last_old_pod)
{
	struct api_deployment *d = deployment(3, ",\"strategy\":{\"type\":\"Recreate\"}");
	struct dp_set old = { .rs = rs(3, ""), .replicas = 3, .available = 3, .current = 3 };
	struct dp_plan p;

	deployment_plan(d, &old, 1, true, &p);
	cr_assert_eq(old.want, 0);
	cr_assert(!p.create_new);
	old.replicas = 0;
	deployment_plan(d, &old, 1, true, &p);
	cr_assert(!p.create_new, "a pod is still ending");
	deployment_plan(d, &old, 1, false, &p);
	cr_assert(p.create_new);
	cr_assert_eq(p.new_replicas, 3);
}

Test(deployment_plan, paused_changes_size_only)
{
	struct api_deployment *d = deployment(5, ",\"paused\":true");
	struct dp_set old = { .rs = rs(3, ""), .replicas = 3, .available = 3, .current = 3 };
	struct dp_plan p;

	deployment_plan(d, &old, 1, false, &p);
	cr_assert_eq(old.want, 5);
	cr_assert(!p.create_new);
}

Test(deployment_plan, old_revisions_beyond_the_limit_go)
{
	struct api_deployment *d = deployment(1, ",\"revisionHistoryLimit\":1");
	struct dp_set sets[] = {
		{ .rs = rs(0, ""), .replicas = 0 },
		{ .rs = rs(0, ""), .replicas = 0 },
		{ .rs = rs(1, ""), .is_new = true, .replicas = 1, .available = 1, .current = 1 },
	};
	struct dp_plan p;

	deployment_plan(d, sets, 3, false, &p);
	cr_assert(sets[0].remove);
	cr_assert(!sets[1].remove);
	cr_assert(!sets[2].remove);
}
