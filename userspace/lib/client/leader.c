/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leader election on a Lease: see leader.h. Clocks of different machines are not compared: a foreign lease counts as
 * expired once it has not changed for its whole duration by our own monotonic clock (client-go's rule).
 */
#include "leader.h"

#include <stdlib.h>
#include <string.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "../base/str.h"
#include "api/api_types.h"

struct leader {
	struct kube *kube;
	char *ns, *name, *identity;
	int lease_ms, renew_ms, retry_ms;
	void (*on_elected)(void *arg);
	void (*on_lost)(void *arg);
	void *arg;
	bool leading, busy, released;
	int64_t renewed_ms; /* when our last successful write was sent */
	int64_t sent_ms;
	char seen[160];	 /* holder and renewTime of the foreign lease last seen */
	int64_t seen_ms; /* when it last changed */
	struct loop_timer tick, deadline;
	void (*on_released)(void *arg);
	void *released_arg;
};

static char *dup(const char *s)
{
	return s ? strdup(s) : NULL;
}

static void tick(struct loop_timer *t);
static void deadline_passed(struct loop_timer *t);

struct leader *leader_new(struct kube *k, const struct leader_config *c)
{
	struct leader *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->kube = k;
	l->ns = dup(c->namespace_);
	l->name = dup(c->name);
	l->identity = dup(c->identity);
	l->lease_ms = c->lease_ms ? c->lease_ms : 15000;
	l->renew_ms = c->renew_ms ? c->renew_ms : 10000;
	l->retry_ms = c->retry_ms ? c->retry_ms : 2000;
	l->on_elected = c->on_elected;
	l->on_lost = c->on_lost;
	l->arg = c->arg;
	l->tick.fn = tick;
	l->tick.arg = l;
	l->deadline.fn = deadline_passed;
	l->deadline.arg = l;
	if (!l->ns || !l->name || !l->identity) {
		leader_free(l);
		return NULL;
	}
	return l;
}

void leader_free(struct leader *l)
{
	if (!l)
		return;
	loop_timer_cancel(&l->tick);
	loop_timer_cancel(&l->deadline);
	kube_cancel(l->kube, l);
	free(l->ns);
	free(l->name);
	free(l->identity);
	free(l);
}

static void lost(struct leader *l, const char *why)
{
	if (!l->leading)
		return;
	l->leading = false;
	loop_timer_cancel(&l->deadline);
	log_error("lost the lead (%s)", why);
	l->on_lost(l->arg);
}

static void deadline_passed(struct loop_timer *t)
{
	lost(t->arg, "the lease could not be renewed in time");
}

static void later(struct leader *l)
{
	(void)loop_timer_set(kube_loop(l->kube), &l->tick, l->retry_ms);
}

static void written(void *arg, const struct kube_result *r)
{
	struct leader *l = arg;

	l->busy = false;
	if (l->released) {
		if (l->on_released)
			l->on_released(l->released_arg);
		return;
	}
	if (kube_ok(r)) {
		l->renewed_ms = l->sent_ms;
		(void)loop_timer_set(kube_loop(l->kube), &l->deadline, l->renewed_ms + l->renew_ms - clock_mono_ms());
		if (!l->leading) {
			l->leading = true;
			log_info("leading (%s)", l->identity);
			l->on_elected(l->arg);
		}
	} else {
		log_debug("lease %s/%s: %d %s", l->ns, l->name, r->status, r->message);
	}
	later(l);
}

static json_t *lease(const struct leader *l, const json_t *old, const char *holder)
{
	char now[CLOCK_RFC3339_SIZE];
	bool same = old && streq(api_get_str(old, "spec.holderIdentity"), l->identity);
	const char *acquired = same ? api_get_str(old, "spec.acquireTime") : NULL;
	json_t *obj;

	clock_rfc3339_micro(clock_real_ms(), now);
	obj = old ? json_deep_copy(old)
		  : json_pack("{s:s,s:s,s:{s:s,s:s}}", "apiVersion", "coordination.k8s.io/v1", "kind", "Lease",
			      "metadata", "name", l->name, "namespace", l->ns);
	if (!obj)
		return NULL;
	api_set(obj, "spec",
		json_pack("{s:s,s:i,s:s,s:s,s:I}", "holderIdentity", holder, "leaseDurationSeconds",
			  (l->lease_ms + 999) / 1000, "acquireTime", acquired ? acquired : now, "renewTime", now,
			  "leaseTransitions",
			  (json_int_t)(api_get_int(old, "spec.leaseTransitions", -1) + (same ? 0 : 1))));
	return obj;
}

static void write_lease(struct leader *l, const json_t *old, const char *holder)
{
	json_t *obj = lease(l, old, holder);
	int r;

	l->sent_ms = clock_mono_ms();
	l->busy = true;
	if (!obj)
		r = -1;
	else if (old)
		r = kube_update(l->kube, &api_kind_lease, l->ns, l->name, NULL, obj, written, l);
	else
		r = kube_create(l->kube, &api_kind_lease, l->ns, NULL, NULL, obj, written, l);
	json_decref(obj);
	if (r < 0) {
		l->busy = false;
		later(l);
	}
}

static void read_done(void *arg, const struct kube_result *r)
{
	struct leader *l = arg;
	const char *holder, *renewed;
	char seen[160];

	l->busy = false;
	if (l->released) {
		if (kube_ok(r) && streq(api_get_str(r->obj, "spec.holderIdentity"), l->identity))
			write_lease(l, r->obj, "");
		else if (l->on_released)
			l->on_released(l->released_arg);
		return;
	}
	if (r->status == 404) {
		write_lease(l, NULL, l->identity);
		return;
	}
	if (!kube_ok(r)) {
		log_debug("lease %s/%s: %d %s", l->ns, l->name, r->status, r->message);
		later(l);
		return;
	}
	holder = api_get_str(r->obj, "spec.holderIdentity");
	renewed = api_get_str(r->obj, "spec.renewTime");
	if (!holder || !*holder || streq(holder, l->identity)) {
		write_lease(l, r->obj, l->identity);
		return;
	}
	lost(l, "another holds the lease");
	snprintf(seen, sizeof(seen), "%.100s@%.40s", holder, renewed ? renewed : "");
	if (!streq(seen, l->seen)) {
		snprintf(l->seen, sizeof(l->seen), "%s", seen);
		l->seen_ms = clock_mono_ms();
	}
	if (clock_mono_ms() - l->seen_ms >=
	    api_get_int(r->obj, "spec.leaseDurationSeconds", l->lease_ms / 1000) * 1000) {
		write_lease(l, r->obj, l->identity);
		return;
	}
	later(l);
}

static void read_lease(struct leader *l)
{
	l->busy = true;
	if (kube_get(l->kube, &api_kind_lease, l->ns, l->name, NULL, read_done, l) < 0) {
		l->busy = false;
		later(l);
	}
}

static void tick(struct loop_timer *t)
{
	struct leader *l = t->arg;

	if (!l->busy && !l->released)
		read_lease(l);
}

int leader_start(struct leader *l)
{
	return loop_timer_set(kube_loop(l->kube), &l->tick, 0);
}

void leader_release(struct leader *l, void (*fn)(void *arg), void *arg)
{
	l->released = true;
	l->leading = false;
	l->on_released = fn;
	l->released_arg = arg;
	loop_timer_cancel(&l->tick);
	loop_timer_cancel(&l->deadline);
	if (!l->busy)
		read_lease(l);
}
