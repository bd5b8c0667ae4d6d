/* SPDX-License-Identifier: Apache-2.0 */
/* Queue and binding: see queue.h. */
#include "queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/str.h"
#include "client/informer.h"
#include "io/metrics.h"
#include "sched.h"

enum {
	MAX_BINDING = 64,
	BACKOFF_MIN_MS = 1000,
	BACKOFF_MAX_MS = 10000,
	UNSCHEDULABLE_MAX_MS = 30000,
	SLICE = 64, /* decisions between two looks at the loop */
};

enum where { ACTIVE, BACKING_OFF, UNSCHEDULABLE, BINDING };

struct waiting {
	struct list link;
	struct scheduler *s;
	struct informer_item *item;
	enum where where;
	int attempts;
	int64_t since_ms; /* entered the queue */
	struct loop_timer timer;
	char message[256]; /* last condition written */
	char node[256];
};

struct scheduler {
	struct loop *loop;
	struct kube *kube;
	struct kube_recorder *recorder;
	char *name;
	struct informer *pods, *nodes;
	struct snapshot snap;
	struct strmap *waiting; /* key -> struct waiting */
	struct list active;	/* more important ones first, then oldest first */
	struct loop_timer run;
	int n_binding;
	bool leading, synced;
	uint64_t tie;
	struct metric *m_attempts, *m_duration, *m_pending;
};

static void run_soon(struct scheduler *s)
{
	if (!loop_timer_pending(&s->run))
		(void)loop_timer_set(s->loop, &s->run, 0);
}

static int64_t priority(const struct waiting *w)
{
	const struct api_pod *p = (const struct api_pod *)w->item->obj;

	return p->spec.priority.set ? p->spec.priority.v : 0;
}

static void activate(struct waiting *w)
{
	struct scheduler *s = w->s;
	struct list *at;

	loop_timer_cancel(&w->timer);
	list_remove(&w->link);
	w->where = ACTIVE;
	at = s->active.prev;
	while (at != &s->active && priority(list_entry(at, struct waiting, link)) < priority(w))
		at = at->prev;
	list_push_front(at, &w->link); /* behind at */
	run_soon(s);
}

static void timer_due(struct loop_timer *t)
{
	activate(t->arg);
}

static void drop(struct waiting *w)
{
	strmap_del(w->s->waiting, w->item->key);
	loop_timer_cancel(&w->timer);
	list_remove(&w->link);
	informer_item_unref(w->item);
	free(w);
}

/* Something changed that may make room: all that fit nowhere are looked at again. */
static void wake(struct scheduler *s)
{
	for (struct strmap_iter it = { 0 }; strmap_next(s->waiting, &it);) {
		struct waiting *w = it.value;

		if (w->where == UNSCHEDULABLE)
			activate(w);
	}
}

/* --- pods and nodes ----------------------------------------------------------------------------------------------- */

static bool finished(const struct api_pod *p)
{
	return streq(p->status.phase, "Succeeded") || streq(p->status.phase, "Failed");
}

static bool bound(const struct api_pod *p)
{
	return p->spec.node_name && *p->spec.node_name;
}

static void enqueue_pod(struct scheduler *s, struct informer_item *item)
{
	const struct api_pod *p = (const struct api_pod *)item->obj;
	struct waiting *w = strmap_get(s->waiting, item->key);

	if (w && streq(w->item->obj->metadata.uid, item->obj->metadata.uid)) {
		bool spec_changed = w->item->obj->metadata.generation != item->obj->metadata.generation;

		if (w->item != item) {
			struct informer_item *old = w->item;

			/* The map's key string belongs to the map; the item may be exchanged. */
			w->item = informer_item_ref(item);
			informer_item_unref(old);
		}
		if (w->where == UNSCHEDULABLE && spec_changed)
			activate(w);
		return;
	}
	if (w)
		drop(w);
	if (!streq(p->spec.scheduler_name ? p->spec.scheduler_name : "default-scheduler", s->name))
		return;
	w = calloc(1, sizeof(*w));
	if (!w)
		return;
	w->s = s;
	w->item = informer_item_ref(item);
	w->since_ms = clock_mono_ms();
	w->timer.fn = timer_due;
	w->timer.arg = w;
	list_init(&w->link);
	if (strmap_set(s->waiting, item->key, w, NULL) < 0) {
		informer_item_unref(item);
		free(w);
		return;
	}
	activate(w);
}

static void pod_changed(struct informer *inf, void *arg, struct informer_item *old, struct informer_item *new)
{
	struct scheduler *s = arg;
	const struct informer_item *it = new ? new : old;
	const struct api_pod *p = new ? (const struct api_pod *)new->obj : NULL;
	struct waiting *w = strmap_get(s->waiting, it->key);

	(void)inf;
	if (!p || finished(p)) {
		if (w && w->where != BINDING)
			drop(w);
		if (strmap_has(s->snap.pods, it->key)) {
			snapshot_remove_pod(&s->snap, it->key);
			wake(s);
		}
		return;
	}
	if (bound(p)) {
		if (w && w->where != BINDING)
			drop(w);
		if (old != new || !strmap_has(s->snap.pods, it->key))
			(void)snapshot_add_pod(&s->snap, p, p->spec.node_name);
		return;
	}
	if (p->metadata.deletion_timestamp) {
		if (w && w->where != BINDING)
			drop(w);
		return;
	}
	enqueue_pod(s, new);
}

static bool node_helps(const struct api_node *a, const struct api_node *b)
{
	/* Heartbeats change neither labels, taints nor resources. */
	if (a->metadata.generation != b->metadata.generation || a->metadata.labels.n != b->metadata.labels.n ||
	    a->status.allocatable.n != b->status.allocatable.n || a->spec.n_taints != b->spec.n_taints)
		return true;
	for (size_t i = 0; i < a->metadata.labels.n; i++)
		if (!streq(api_map_get(&b->metadata.labels, a->metadata.labels.v[i].key),
			   a->metadata.labels.v[i].value))
			return true;
	for (size_t i = 0; i < a->status.allocatable.n; i++)
		if (!streq(api_map_get(&b->status.allocatable, a->status.allocatable.v[i].key),
			   a->status.allocatable.v[i].value))
			return true;
	return false;
}

static void node_changed(struct informer *inf, void *arg, struct informer_item *old, struct informer_item *new)
{
	struct scheduler *s = arg;

	(void)inf;
	if (!new) {
		snapshot_remove_node(&s->snap, old->obj->metadata.name);
		return;
	}
	(void)snapshot_set_node(&s->snap, (const struct api_node *)new->obj);
	if (!old || (old != new &&node_helps((const struct api_node *)old->obj, (const struct api_node *)new->obj)))
		wake(s);
}

static void cache_synced(struct informer *inf, void *arg)
{
	struct scheduler *s = arg;

	(void)inf;
	s->synced = informer_synced(s->pods) && informer_synced(s->nodes);
	if (s->synced)
		run_soon(s);
}

/* --- decisions ---------------------------------------------------------------------------------------------------- */

static void ignore(void *arg, const struct kube_result *r)
{
	(void)arg;
	if (!kube_ok(r) && r->status != 404 && r->status != 409)
		log_debug("pod condition: %d %s", r->status, r->message);
}

static void nowhere(struct waiting *w, const char *message)
{
	struct scheduler *s = w->s;
	const struct api_meta *m = &w->item->obj->metadata;
	char now[CLOCK_RFC3339_SIZE];
	json_t *patch;

	metric_add(s->m_attempts, 1, "unschedulable");
	w->where = UNSCHEDULABLE;
	list_remove(&w->link);
	(void)loop_timer_set(s->loop, &w->timer, UNSCHEDULABLE_MAX_MS);
	if (!strncmp(w->message, message, sizeof(w->message) - 1))
		return; /* said before */
	snprintf(w->message, sizeof(w->message), "%s", message);
	kube_event(s->recorder, &api_kind_pod, w->item->obj, "Warning", "FailedScheduling", "%s", message);
	clock_rfc3339(clock_real_ms(), now);
	patch = json_pack("{s:{s:s},s:{s:[{s:s,s:s,s:s,s:s,s:s}]}}", "metadata", "uid", m->uid, "status", "conditions",
			  "type", "PodScheduled", "status", "False", "reason", "Unschedulable", "message", message,
			  "lastTransitionTime", now);
	(void)kube_patch(s->kube, &api_kind_pod, m->namespace_, m->name, "status", KUBE_PATCH_STRATEGIC, patch, ignore,
			 NULL);
	json_decref(patch);
}

static void back_off(struct waiting *w)
{
	int64_t ms = BACKOFF_MIN_MS << (w->attempts < 4 ? w->attempts : 4);

	w->attempts++;
	w->where = BACKING_OFF;
	list_remove(&w->link);
	(void)loop_timer_set(w->s->loop, &w->timer, ms > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : ms);
}

static void bind_done(void *arg, const struct kube_result *r)
{
	struct waiting *w = arg;
	struct scheduler *s = w->s;
	struct informer_item *live = informer_get_key(s->pods, w->item->key);
	bool gone = !live || !streq(live->obj->metadata.uid, w->item->obj->metadata.uid) ||
		    live->obj->metadata.deletion_timestamp || finished((const struct api_pod *)live->obj);

	s->n_binding--;
	if (kube_ok(r)) {
		metric_add(s->m_attempts, 1, "scheduled");
		metric_observe(s->m_duration, (double)(clock_mono_ms() - w->since_ms) / 1000);
		kube_event(s->recorder, &api_kind_pod, w->item->obj, "Normal", "Scheduled",
			   "Successfully assigned %s/%s to %s", w->item->obj->metadata.namespace_,
			   w->item->obj->metadata.name, w->node);
		if (!live)
			snapshot_remove_pod(&s->snap, w->item->key);
		drop(w);
	} else {
		metric_add(s->m_attempts, 1, "error");
		/* The cache may know better already: bound by another, or gone. */
		if (gone || bound((const struct api_pod *)live->obj)) {
			if (gone)
				snapshot_remove_pod(&s->snap, w->item->key);
			drop(w);
		} else {
			log_info("bind %s to %s: %d %s", w->item->key, w->node, r->status, r->message);
			snapshot_remove_pod(&s->snap, w->item->key);
			back_off(w);
			wake(s);
		}
	}
	run_soon(s);
}

static void bind_pod(struct waiting *w, const struct sched_node *node)
{
	struct scheduler *s = w->s;
	const struct api_meta *m = &w->item->obj->metadata;
	json_t *b;
	int r;

	snprintf(w->node, sizeof(w->node), "%s", node->name);
	if (snapshot_add_pod(&s->snap, (const struct api_pod *)w->item->obj, w->node) < 0) {
		back_off(w);
		return;
	}
	list_remove(&w->link);
	w->where = BINDING;
	s->n_binding++;
	b = json_pack("{s:s,s:s,s:{s:s,s:s,s:s},s:{s:s,s:s,s:s}}", "apiVersion", "v1", "kind", "Binding", "metadata",
		      "name", m->name, "namespace", m->namespace_, "uid", m->uid, "target", "apiVersion", "v1", "kind",
		      "Node", "name", w->node);
	r = kube_create(s->kube, &api_kind_pod, m->namespace_, m->name, "binding", b, bind_done, w);
	json_decref(b);
	if (r < 0) {
		s->n_binding--;
		snapshot_remove_pod(&s->snap, w->item->key);
		back_off(w);
	}
}

static void run(struct loop_timer *t)
{
	struct scheduler *s = t->arg;
	struct decision d;
	int n = 0;

	if (!s->leading || !s->synced)
		return;
	while (!list_empty(&s->active) && s->n_binding < MAX_BINDING) {
		struct waiting *w = list_first(&s->active, struct waiting, link);

		if (n++ == SLICE) {
			run_soon(s);
			return;
		}
		sched_decide(&s->snap, (const struct api_pod *)w->item->obj, s->tie++, &d);
		if (d.node)
			bind_pod(w, d.node);
		else
			nowhere(w, d.message);
	}
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static void scrape(void *arg)
{
	static const char *const names[] = { "active", "backoff", "unschedulable", "binding" };
	struct scheduler *s = arg;
	int n[4] = { 0 };

	for (struct strmap_iter it = { 0 }; strmap_next(s->waiting, &it);)
		n[((struct waiting *)it.value)->where]++;
	for (int i = 0; i < 4; i++)
		metric_set(s->m_pending, n[i], names[i]);
}

int scheduler_new(struct loop *loop, struct kube *kube, const char *name, struct scheduler **ret, struct err *err)
{
	static const struct informer_ops pod_ops = { pod_changed, cache_synced },
					 node_ops = { node_changed, cache_synced };
	struct informer_config pods = { .kind = &api_kind_pod }, nodes = { .kind = &api_kind_node };
	struct scheduler *s = calloc(1, sizeof(*s));

	if (!s)
		return err_set(err, ENOMEM, "out of memory");
	s->loop = loop;
	s->kube = kube;
	s->name = strdup(name);
	s->run.fn = run;
	s->run.arg = s;
	list_init(&s->active);
	s->waiting = strmap_new();
	s->recorder = kube_recorder_new(kube, name, NULL);
	s->pods = informer_new(kube, &pods, &pod_ops, s);
	s->nodes = informer_new(kube, &nodes, &node_ops, s);
	s->m_attempts = metric_new(METRIC_COUNTER, "scheduler_schedule_attempts_total", "Attempts to place a pod.",
				   "result", NULL, 0);
	s->m_duration = metric_new(METRIC_HISTOGRAM, "scheduler_pod_scheduling_duration_seconds",
				   "From queue to bound.", "", NULL, 0);
	s->m_pending = metric_new(METRIC_GAUGE, "scheduler_pending_pods", "Pods without a node.", "queue", NULL, 0);
	metrics_on_scrape(scrape, s);
	if (!s->name || !s->waiting || !s->recorder || !s->pods || !s->nodes || snapshot_init(&s->snap) < 0 ||
	    informer_start(s->nodes) < 0 || informer_start(s->pods) < 0) {
		scheduler_free(s);
		return err_set(err, ENOMEM, "out of memory");
	}
	*ret = s;
	return 0;
}

void scheduler_free(struct scheduler *s)
{
	if (!s)
		return;
	loop_timer_cancel(&s->run);
	if (s->waiting)
		for (struct strmap_iter it = { 0 }; strmap_next(s->waiting, &it);)
			drop(it.value);
	strmap_free(s->waiting);
	snapshot_done(&s->snap);
	informer_free(s->pods);
	informer_free(s->nodes);
	kube_recorder_free(s->recorder);
	free(s->name);
	free(s);
}

void scheduler_lead(struct scheduler *s)
{
	s->leading = true;
	run_soon(s);
}

const char *scheduler_ready(void *scheduler)
{
	struct scheduler *s = scheduler;

	return !s || s->synced ? "" : "caches are being filled";
}
