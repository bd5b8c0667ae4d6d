/* SPDX-License-Identifier: Apache-2.0 */
/* Informers, queues and helpers of all controllers: see manager.h. */
#include "manager.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "io/metrics.h"

enum { MAX_IN_FLIGHT = 16 };

struct watched {
	struct manager *m;
	const struct api_kind *kind;
	struct informer *informer;
};

static const struct controller_ops *const all[] = {
	&node_ipam_controller,
	&namespace_controller,
	&service_account_controller,
	&replicaset_controller,
	&deployment_controller,
	&endpointslice_controller,
	&gc_controller,
	&node_lifecycle_controller,
	&root_ca_controller,
	&certificates_controller,
	&custom_kinds_controller,
	&quota_controller,
	&load_balancer_controller,
};

static struct metric *m_total, *m_errors, *m_depth;

static bool wants(const struct controller_ops *ops, const struct api_kind *kind)
{
	for (const struct api_kind *const *k = ops->kinds; *k; k++)
		if (*k == kind)
			return true;
	return false;
}

static void changed(struct informer *inf, void *arg, struct informer_item *old, struct informer_item *new)
{
	struct watched *w = arg;
	struct manager *m = w->m;

	(void)inf;
	for (size_t i = 0; i < m->n_controllers; i++)
		if (wants(m->controllers[i].ops, w->kind))
			m->controllers[i].ops->on_change(&m->controllers[i], w->kind, old, new);
}

/* Work starts only when every cache is complete: a half-filled one looks like deleted objects. */
static void synced(struct informer *inf, void *arg)
{
	struct manager *m = ((struct watched *)arg)->m;

	(void)inf;
	for (size_t i = 0; i < m->n_watched; i++)
		if (!informer_synced(m->watched[i].informer))
			return;
	if (m->running)
		return;
	m->running = true;
	log_info("caches are filled, controllers run");
	for (size_t i = 0; i < m->n_watched; i++)
		for (struct informer_iter it = { 0 }; informer_next(m->watched[i].informer, &it);)
			for (size_t k = 0; k < m->n_controllers; k++)
				if (wants(m->controllers[k].ops, m->watched[i].kind))
					m->controllers[k].ops->on_change(&m->controllers[k], m->watched[i].kind,
									 it.item, it.item);
}

const char *manager_ready(void *manager)
{
	struct manager *m = manager;

	return !m || m->running ? "" : "caches are being filled";
}

static void reconcile(struct workqueue *q, const char *key, void *arg)
{
	struct controller *c = arg;

	(void)q;
	if (!c->m->running) {
		workqueue_done(c->queue, key, 0); /* queued again by synced() */
		return;
	}
	metric_add(m_total, 1, c->ops->name);
	c->ops->reconcile(c, key);
}

void done(struct controller *c, const char *key, int r)
{
	if (r < 0)
		metric_add(m_errors, 1, c->ops->name);
	workqueue_done(c->queue, key, r);
}

void enqueue_after(struct controller *c, const char *key, int64_t ms)
{
	workqueue_add_after(c->queue, key, ms);
}

static void scrape(void *arg)
{
	struct manager *m = arg;

	for (size_t i = 0; i < m->n_controllers; i++)
		metric_set(m_depth, (double)workqueue_len(m->controllers[i].queue), m->controllers[i].ops->name);
}

static int watch_kind(struct manager *m, const struct api_kind *kind, struct err *err)
{
	static const struct informer_ops ops = { changed, synced };
	struct informer_config config = { .kind = kind,
					  .keep_json = kind == &api_kind_deployment || kind == &api_kind_replica_set };
	struct watched *w;

	w = &m->watched[m->n_watched];
	*w = (struct watched){ m, kind, NULL };
	w->informer = informer_new(m->kube, &config, &ops, w);
	if (!w->informer)
		return err_set(err, ENOMEM, "out of memory");
	m->n_watched++;
	return 0;
}

int manager_new(struct loop *loop, struct kube *kube, const struct manager_config *config, struct manager **ret,
		struct err *err)
{
	struct manager *m = calloc(1, sizeof(*m));
	size_t n_kinds;
	int r = 0;

	api_kinds(&n_kinds);
	if (!m || !(m->watched = calloc(n_kinds, sizeof(*m->watched))) ||
	    !(m->controllers = calloc(sizeof(all) / sizeof(all[0]), sizeof(*m->controllers))))
		goto oom;
	m->loop = loop;
	m->kube = kube;
	m->config = *config;
	m->recorder = kube_recorder_new(kube, "skep-controller-manager", NULL);
	if (!m->recorder)
		goto oom;
	m_total = metric_new(METRIC_COUNTER, "skep_controller_reconcile_total", "Reconciliations begun.", "controller",
			     NULL, 0);
	m_errors = metric_new(METRIC_COUNTER, "skep_controller_reconcile_errors_total",
			      "Reconciliations to be tried again.", "controller", NULL, 0);
	m_depth = metric_new(METRIC_GAUGE, "skep_controller_queue_depth", "Keys waiting.", "controller", NULL, 0);
	metrics_on_scrape(scrape, m);
	for (size_t i = 0; !r && i < sizeof(all) / sizeof(all[0]); i++) {
		struct controller *c = &m->controllers[m->n_controllers];

		*c = (struct controller){ .ops = all[i], .m = m };
		c->queue = workqueue_new(loop, MAX_IN_FLIGHT, reconcile, c);
		if (!c->queue)
			goto oom;
		m->n_controllers++;
		for (const struct api_kind *const *k = all[i]->kinds; !r && *k; k++)
			if (!manager_informer(m, *k))
				r = watch_kind(m, *k, err);
		if (!r && c->ops->init && c->ops->init(c) < 0)
			goto oom;
	}
	if (r < 0) {
		manager_free(m);
		return r;
	}
	*ret = m;
	return 0;
oom:
	manager_free(m);
	return err_set(err, ENOMEM, "out of memory");
}

int manager_start(struct manager *m, struct err *err)
{
	for (size_t i = 0; i < m->n_watched; i++)
		if (informer_start(m->watched[i].informer) < 0)
			return err_set(err, ENOMEM, "out of memory");
	return 0;
}

void manager_free(struct manager *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n_watched; i++)
		informer_free(m->watched[i].informer);
	manager_free_customs(m);
	for (size_t i = 0; i < m->n_controllers; i++) {
		if (m->controllers[i].ops->free)
			m->controllers[i].ops->free(&m->controllers[i]);
		workqueue_free(m->controllers[i].queue);
	}
	kube_recorder_free(m->recorder);
	free(m->watched);
	free(m->controllers);
	free(m);
}

struct informer *manager_informer(struct manager *m, const struct api_kind *kind)
{
	for (size_t i = 0; i < m->n_watched; i++)
		if (m->watched[i].kind == kind)
			return m->watched[i].informer;
	return NULL;
}

/* --- batches ------------------------------------------------------------------------------------------------------ */

struct batch *batch_new(struct controller *c, const char *key)
{
	struct batch *b = calloc(1, sizeof(*b));

	if (b)
		b->key = strdup(key);
	if (!b || !b->key) {
		free(b);
		done(c, key, -ENOMEM);
		return NULL;
	}
	b->c = c;
	b->pending = 1;
	return b;
}

void batch_take(struct batch *b)
{
	b->pending++;
}

void batch_give(struct batch *b, int r)
{
	if (r < 0)
		b->r = r;
	if (--b->pending)
		return;
	done(b->c, b->key, b->r);
	free(b->key);
	free(b);
}

void batch_result(void *batch, const struct kube_result *r)
{
	struct batch *b = batch;

	if (kube_ok(r)) {
		batch_give(b, 0);
		return;
	}
	if (r->status && r->status != 404 && r->status != 409)
		log_warn("%s %s: %d %s", b->c->ops->name, b->key, r->status, r->message);
	batch_give(b, -EAGAIN);
}

/* --- objects ------------------------------------------------------------------------------------------------------ */

void key_split(const char *key, char *ns, char *name)
{
	const char *slash = strchr(key, '/');

	snprintf(ns, 256, "%.*s", slash ? (int)(slash - key) : 0, key);
	snprintf(name, 256, "%s", slash ? slash + 1 : key);
}

const struct api_owner_ref *controller_of(const struct api_meta *m)
{
	for (size_t i = 0; i < m->n_owner_references; i++)
		if (m->owner_references[i].controller.set && m->owner_references[i].controller.v)
			return &m->owner_references[i];
	return NULL;
}

bool owned_by(const struct api_meta *m, const char *uid)
{
	const struct api_owner_ref *o = controller_of(m);

	return o && streq(o->uid, uid);
}

bool owner_key(const struct api_meta *m, const char *kind, char *buf)
{
	const struct api_owner_ref *o = controller_of(m);

	if (!o || !streq(o->kind, kind) || !m->namespace_)
		return false;
	snprintf(buf, 600, "%s/%s", m->namespace_, o->name);
	return true;
}

bool meta_deleting(const struct api_meta *m)
{
	return m->deletion_timestamp;
}

bool pod_terminated(const struct api_pod *p)
{
	return streq(p->status.phase, "Succeeded") || streq(p->status.phase, "Failed");
}

const struct api_pod_condition *pod_condition(const struct api_pod *p, const char *type)
{
	for (size_t i = 0; i < p->status.n_conditions; i++)
		if (streq(p->status.conditions[i].type, type))
			return &p->status.conditions[i];
	return NULL;
}

bool pod_ready(const struct api_pod *p)
{
	const struct api_pod_condition *c = pod_condition(p, "Ready");

	return c && streq(c->status, "True");
}

bool pod_available(const struct api_pod *p, int64_t min_ready_ms, int64_t now_ms, int64_t *ret_in_ms)
{
	const struct api_pod_condition *c = pod_condition(p, "Ready");
	int64_t since;

	if (ret_in_ms)
		*ret_in_ms = 0;
	if (!c || !streq(c->status, "True"))
		return false;
	if (!min_ready_ms)
		return true;
	if (!c->last_transition_time || clock_rfc3339_parse(c->last_transition_time, &since) < 0)
		return false;
	if (now_ms - since >= min_ready_ms)
		return true;
	if (ret_in_ms)
		*ret_in_ms = min_ready_ms - (now_ms - since);
	return false;
}

json_t *owner_reference(const struct api_kind *kind, const struct api_object *owner)
{
	char version[300];

	api_kind_api_version(kind, version, sizeof(version));
	return json_pack("{s:s,s:s,s:s,s:s,s:b,s:b}", "apiVersion", version, "kind", kind->kind, "name",
			 owner->metadata.name, "uid", owner->metadata.uid, "controller", 1, "blockOwnerDeletion", 1);
}

json_t *delete_options(const char *uid, const char *propagation)
{
	json_t *o = json_pack("{s:s,s:s}", "apiVersion", "v1", "kind", "DeleteOptions");

	if (uid)
		json_object_set_new(o, "preconditions", json_pack("{s:s}", "uid", uid));
	if (propagation)
		json_object_set_new(o, "propagationPolicy", json_string(propagation));
	return o;
}
