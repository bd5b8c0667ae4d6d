/* SPDX-License-Identifier: Apache-2.0 */
/* Deployment decisions: see deployment_plan.h. The rules are those of Kubernetes' deployment controller. */
#include "deployment_plan.h"

#include <stdlib.h>

#include "base/str.h"

static int64_t min64(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t max64(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t of_total(const struct api_int_or_str *v, int64_t total, bool up, int64_t dflt_percent)
{
	int64_t percent = dflt_percent;

	if (v && v->set && !v->is_str)
		return v->i;
	if (v && v->set)
		percent = strtol(v->s, NULL, 10);
	return (percent * total + (up ? 99 : 0)) / 100;
}

void deployment_bounds(const struct api_deployment *d, int64_t *ret_surge, int64_t *ret_unavailable)
{
	const struct api_rolling_update_deployment *ru = d->spec.strategy.rolling_update;
	int64_t total = d->spec.replicas.set ? d->spec.replicas.v : 1;

	if (streq(d->spec.strategy.type, "Recreate")) {
		*ret_surge = 0;
		*ret_unavailable = total;
		return;
	}
	*ret_surge = of_total(ru ? &ru->max_surge : NULL, total, true, 25);
	*ret_unavailable = of_total(ru ? &ru->max_unavailable : NULL, total, false, 25);
	if (!*ret_surge && !*ret_unavailable)
		*ret_unavailable = 1;
	*ret_unavailable = min64(*ret_unavailable, total);
}

/* Size of the new set: as many as fit under replicas + maxSurge. */
static int64_t grow_new(const struct api_deployment *d, int64_t have, int64_t total_pods)
{
	int64_t want = d->spec.replicas.set ? d->spec.replicas.v : 1, surge, unavailable;

	deployment_bounds(d, &surge, &unavailable);
	if (have > want)
		return want;
	if (streq(d->spec.strategy.type, "Recreate"))
		return want;
	return have + max64(0, min64(want + surge - total_pods, want - have));
}

/* Old sets shrink: first pods that are not available anyway, then as many as minimum availability spares. */
static void shrink_old(const struct api_deployment *d, struct dp_set *sets, size_t n, const struct dp_set *newest)
{
	int64_t want = d->spec.replicas.set ? d->spec.replicas.v : 1, surge, unavailable, total = 0, available = 0,
		spare, down;

	deployment_bounds(d, &surge, &unavailable);
	for (size_t i = 0; i < n; i++) {
		total += sets[i].want;
		available += sets[i].available;
	}
	spare = total - (want - unavailable);
	if (newest)
		spare -= max64(0, newest->want - newest->available);
	for (size_t i = 0; i < n && spare > 0; i++) {
		if (sets[i].is_new || sets[i].want <= sets[i].available)
			continue;
		down = min64(spare, sets[i].want - sets[i].available);
		sets[i].want -= down;
		spare -= down;
	}
	spare = min64(spare, available - (want - unavailable));
	for (size_t i = 0; i < n && spare > 0; i++) {
		if (sets[i].is_new || !sets[i].want)
			continue;
		down = min64(spare, sets[i].want);
		sets[i].want -= down;
		spare -= down;
	}
}

/* A deployment resized in the middle of a rollout: each set gets its share of the difference, the largest first. */
static void scale_proportionally(int64_t allowed, struct dp_set *sets, size_t n)
{
	int64_t total = 0, diff, left;

	for (size_t i = 0; i < n; i++)
		total += sets[i].replicas;
	diff = left = allowed - total;
	if (!diff || !total)
		return;
	for (size_t i = n; i-- > 0 && left;) {
		int64_t share = sets[i].replicas * diff / total;

		if (!sets[i].replicas)
			continue;
		if (diff > 0 ? share > left : share < left)
			share = left;
		sets[i].want = max64(0, sets[i].replicas + share);
		left -= share;
	}
	/* What rounding left over goes to the newest. */
	for (size_t i = n; i-- > 0 && left;) {
		int64_t now = max64(0, sets[i].want + left);

		if (!sets[i].replicas)
			continue;
		left -= now - sets[i].want;
		sets[i].want = now;
	}
}

static int64_t desired_annotation(const struct dp_set *s)
{
	const char *text = api_map_get(&s->rs->metadata.annotations, "deployment.kubernetes.io/desired-replicas");
	int64_t v;

	return text && !str_to_i64(text, 0, INT32_MAX, &v) ? v : -1;
}

static void trim_history(const struct api_deployment *d, struct dp_set *sets, size_t n)
{
	int64_t keep = d->spec.revision_history_limit.set ? d->spec.revision_history_limit.v : 10, old = 0;

	for (size_t i = 0; i < n; i++)
		old += !sets[i].is_new;
	for (size_t i = 0; i < n && old > keep; i++) {
		if (sets[i].is_new)
			continue;
		if (!sets[i].replicas && !sets[i].current && !sets[i].want && !meta_deleting(&sets[i].rs->metadata) &&
		    sets[i].rs->status.observed_generation >= sets[i].rs->metadata.generation) {
			sets[i].remove = true;
			old--;
		}
	}
}

void deployment_plan(const struct api_deployment *d, struct dp_set *sets, size_t n, bool old_pods_remain,
		     struct dp_plan *ret)
{
	int64_t want = d->spec.replicas.set ? d->spec.replicas.v : 1, surge, unavailable, total = 0, old_total = 0;
	struct dp_set *newest = NULL;
	size_t active = 0;
	bool resized = false;

	*ret = (struct dp_plan){ 0 };
	deployment_bounds(d, &surge, &unavailable);
	for (size_t i = 0; i < n; i++) {
		sets[i].want = sets[i].replicas;
		sets[i].remove = false;
		total += sets[i].replicas;
		if (sets[i].is_new)
			newest = &sets[i];
		else
			old_total += sets[i].replicas;
		active += sets[i].replicas > 0;
		if (sets[i].replicas > 0 && desired_annotation(&sets[i]) >= 0 && desired_annotation(&sets[i]) != want)
			resized = true;
	}
	if (d->spec.paused || resized) {
		/*
		 * No progress of the rollout, only size: a finished one by its active set, an unfinished one in
		 * proportion.
		 */
		if (active == 1) {
			for (size_t i = 0; i < n; i++)
				if (sets[i].replicas)
					sets[i].want = want;
		} else if (active) {
			scale_proportionally(want ? want + surge : 0, sets, n);
		} else if (newest) {
			newest->want = want;
		}
		return;
	}
	if (streq(d->spec.strategy.type, "Recreate")) {
		for (size_t i = 0; i < n; i++)
			if (!sets[i].is_new)
				sets[i].want = 0;
		if (!old_total && !old_pods_remain) {
			if (newest)
				newest->want = want;
			ret->create_new = !newest;
			ret->new_replicas = want;
		}
	} else if (!newest) {
		ret->create_new = true;
		ret->new_replicas = grow_new(d, 0, total);
	} else {
		newest->want = grow_new(d, newest->replicas, total);
		/* One thing at a time: growth is seen before anything shrinks, as Kubernetes does. */
		if (newest->want == newest->replicas)
			shrink_old(d, sets, n, newest);
	}
	if (newest && newest->replicas == want && newest->available >= want && !old_total)
		trim_history(d, sets, n);
}
