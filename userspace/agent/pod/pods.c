/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All pods of the node: workers made and dropped as the API and the runtime have them, the runtime's listings spread
 * over them, its events passed on. Nothing is decided before the API's first list and the runtime's first listing are
 * both in, so that a restarted agent never takes a running pod for a missing or an unknown one.
 */
#include "pod-internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../../lib/base/clock.h"
#include "../../lib/base/log.h"
#include "../../lib/base/str.h"
#include "../../lib/io/metrics.h"

#define RESYNC_MS 10000

/* One listing: sandboxes, then containers. */
struct listing {
	struct pods *m;
	int64_t since_ms;
	Cri__ListPodSandboxResponse *sandboxes; /* a copy */
};

int64_t now_ms(void)
{
	return clock_real_ms();
}

void set_str(char **slot, const char *value)
{
	char *copy = value ? strdup(value) : NULL;

	free(*slot);
	*slot = copy;
}

/* --- workers ------------------------------------------------------------------------------------------------------ */

static void on_kick(void *arg)
{
	struct pod *p = arg;

	p->kicked = false;
	if (!p->gone)
		pod_sync(p);
	pod_drop(p);
}

void pod_kick(struct pod *p)
{
	if (p->kicked || p->gone)
		return;
	p->kicked = true;
	pod_hold(p);
	if (loop_post(p->m->loop, on_kick, p) < 0) { /* out of memory: the resync comes */
		p->kicked = false;
		pod_drop(p);
	}
}

void pod_hold(struct pod *p)
{
	p->holds++;
}

void pod_drop(struct pod *p)
{
	if (!--p->holds && p->gone)
		pod_free(p);
}

void pods_forget(struct pod *p)
{
	if (p->gone)
		return;
	p->gone = true;
	loop_timer_cancel(&p->timer);
	for (size_t i = 0; i < p->n_ctrs; i++) {
		probes_stop(p->ctrs[i]);
		loop_timer_cancel(&p->ctrs[i]->settle);
		if (p->ctrs[i]->id)
			strmap_del(p->m->by_id, p->ctrs[i]->id);
	}
	if (p->sandbox_id)
		strmap_del(p->m->by_id, p->sandbox_id);
	strmap_del(p->m->by_uid, p->uid);
	if (!p->holds)
		pod_free(p);
}

static struct pod *worker(struct pods *m, const char *uid, const char *ns, const char *name)
{
	struct pod *p = strmap_get(m->by_uid, uid);

	if (p)
		return p;
	p = pod_new(m, uid, ns, name);
	if (p && strmap_set(m->by_uid, uid, p, NULL) < 0) {
		pod_free(p);
		return NULL;
	}
	return p;
}

/* --- the API ------------------------------------------------------------------------------------------------------ */

static void on_pod(struct informer *inf, void *arg, struct informer_item *old, struct informer_item *new)
{
	struct pods *m = arg;
	struct pod *p;

	(void)inf;
	if (old && (!new || !streq(old->obj->metadata.uid, new->obj->metadata.uid))) {
		p = strmap_get(m->by_uid, old->obj->metadata.uid);
		if (p && !p->unknown) {
			p->unknown = true;
			if (!p->deleting)
				p->grace_s = ORPHAN_GRACE_S;
			pod_kick(p);
		}
	}
	if (!new)
		return;
	p = worker(m, new->obj->metadata.uid, new->obj->metadata.namespace_, new->obj->metadata.name);
	if (!p)
		return;
	pod_status_seen(p, (const struct api_pod *)new->obj);
	if (old == new)
		pod_kick(p); /* resync */
	else
		pod_set_item(p, new);
}

static void on_pods_synced(struct informer *inf, void *arg)
{
	(void)inf;
	pods_list_soon(arg, 0);
}

static void on_object(void *arg, const char *ns)
{
	struct pods *m = arg;

	for (struct strmap_iter it = { 0 }; strmap_next(m->by_uid, &it);) {
		struct pod *p = it.value;

		if (!streq(p->ns, ns) || !p->obj)
			continue;
		p->volumes_dirty = true;
		for (size_t i = 0; i < p->n_ctrs; i++)
			if (!p->ctrs[i]->wait_reason || streq(p->ctrs[i]->wait_reason, "CreateContainerConfigError"))
				p->ctrs[i]->retry_ms = 0;
		pod_kick(p);
	}
}

/* Config maps and secrets no pod names any more are let go. */
static void sweep_objects(struct pods *m)
{
	objects_use_begin(m->objects);
	for (struct strmap_iter it = { 0 }; strmap_next(m->by_uid, &it);) {
		const struct pod *p = it.value;

		if (!p->obj || p->unknown || p->terminal)
			continue;
		for (size_t i = 0; i < p->obj->spec.n_volumes; i++) {
			const struct api_volume *v = &p->obj->spec.volumes[i];

			if (v->secret && v->secret->secret_name)
				objects_use(m->objects, true, p->ns, v->secret->secret_name);
			if (v->config_map && v->config_map->name)
				objects_use(m->objects, false, p->ns, v->config_map->name);
			for (size_t k = 0; v->projected && k < v->projected->n_sources; k++) {
				const struct api_volume_projection *s = &v->projected->sources[k];

				if (s->secret && s->secret->name)
					objects_use(m->objects, true, p->ns, s->secret->name);
				if (s->config_map && s->config_map->name)
					objects_use(m->objects, false, p->ns, s->config_map->name);
			}
		}
		for (size_t i = 0; i < p->n_ctrs; i++) {
			const struct api_container *c = p->ctrs[i]->spec;

			for (size_t k = 0; k < c->n_env_from; k++) {
				if (c->env_from[k].secret_ref)
					objects_use(m->objects, true, p->ns, c->env_from[k].secret_ref->name);
				if (c->env_from[k].config_map_ref)
					objects_use(m->objects, false, p->ns, c->env_from[k].config_map_ref->name);
			}
			for (size_t k = 0; k < c->n_env; k++) {
				const struct api_env_var_source *f = c->env[k].value_from;

				if (f && f->secret_key_ref)
					objects_use(m->objects, true, p->ns, f->secret_key_ref->name);
				if (f && f->config_map_key_ref)
					objects_use(m->objects, false, p->ns, f->config_map_key_ref->name);
			}
		}
	}
	objects_use_end(m->objects);
}

/* --- the runtime's listing ---------------------------------------------------------------------------------------- */

static const char *label(Cri__StringEntry **labels, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (streq(labels[i]->key, key))
			return labels[i]->value;
	return NULL;
}

static void take_sandboxes(struct pod *p, const Cri__ListPodSandboxResponse *list)
{
	const Cri__Sandbox *newest = NULL;

	for (size_t i = 0; i < p->n_leftovers; i++)
		free(p->leftovers[i]);
	p->n_leftovers = 0;
	for (size_t i = 0; i < list->n_items; i++) {
		const Cri__Sandbox *s = list->items[i];

		if (!s->metadata || !streq(s->metadata->uid, p->uid))
			continue;
		if (!newest || s->created_at > newest->created_at)
			newest = s;
	}
	for (size_t i = 0; i < list->n_items && newest; i++) {
		const Cri__Sandbox *s = list->items[i];
		char **more;

		if (s == newest || !s->metadata || !streq(s->metadata->uid, p->uid))
			continue;
		more = realloc(p->leftovers, (p->n_leftovers + 1) * sizeof(*more));
		if (!more)
			break;
		p->leftovers = more;
		more[p->n_leftovers] = strdup(s->id);
		p->n_leftovers += more[p->n_leftovers] != NULL;
	}
	if (!newest) {
		if (p->sandbox_id)
			strmap_del(p->m->by_id, p->sandbox_id);
		set_str(&p->sandbox_id, NULL);
		if (p->sandbox == SANDBOX_READY)
			p->ran = true;
		p->sandbox = SANDBOX_NONE;
		return;
	}
	if (newest->metadata->attempt >= p->sandbox_attempt)
		p->sandbox_attempt = newest->metadata->attempt + 1;
	if (!streq(newest->id, p->sandbox_id)) {
		p->latency_seen = true;
		set_str(&p->sandbox_id, newest->id);
		(void)strmap_set(p->m->by_id, newest->id, p, NULL);
		p->sandbox = newest->state == CRI_SANDBOX_READY ? SANDBOX_READY : SANDBOX_DEAD;
		if (p->obj)
			pod_sandbox_refresh(p);
	} else if ((newest->state == CRI_SANDBOX_READY) != (p->sandbox == SANDBOX_READY)) {
		p->sandbox = newest->state == CRI_SANDBOX_READY ? SANDBOX_READY : SANDBOX_DEAD;
	}
}

static void take_containers(struct pod_ctr *c, const Cri__ListContainersResponse *list)
{
	const Cri__Container *first = NULL, *second = NULL;
	struct pod *p = c->pod;

	if (c->op != OP_NONE)
		return;
	for (size_t i = 0; i < list->n_containers; i++) {
		const Cri__Container *rc = list->containers[i];

		if (!rc->metadata || !streq(rc->metadata->name, c->spec->name) ||
		    !streq(label(rc->labels, rc->n_labels, LABEL_POD_UID), p->uid))
			continue;
		if (!first || rc->created_at > first->created_at) {
			second = first;
			first = rc;
		} else if (!second || rc->created_at > second->created_at) {
			second = rc;
		}
		if (rc->metadata->attempt >= c->next_attempt)
			c->next_attempt = rc->metadata->attempt + 1;
	}
	if (first && streq(first->pod_sandbox_id, p->sandbox_id)) {
		ctr_adopt(c, first);
		if (second)
			ctr_adopt_last(c, second);
	} else if (first) {
		p->ran = true;
		if (c->id && !streq(c->id, first->id))
			c->state = CTR_NONE;
		if (!c->id)
			ctr_adopt_last(c, first);
	} else if (c->id && c->state != CTR_EXITED) {
		ctr_refresh(c); /* it is gone: the answer says so */
	}
}

static bool is_unknown(struct pods *m, const char *uid)
{
	return !strmap_has(m->by_uid, uid);
}

static void take_listing(struct listing *l, const Cri__ListContainersResponse *containers)
{
	struct pods *m = l->m;
	size_t n = l->sandboxes->n_items;
	const char **ids = calloc(n + 1, sizeof(*ids));
	bool quiet = true; /* no sandbox has been in the making: one that is has its network, but is not listed yet */

	for (size_t i = 0; i < n; i++) {
		const Cri__Sandbox *s = l->sandboxes->items[i];

		if (ids)
			ids[i] = s->id;
		/* Only pods: others of the same runtime are not ours to end. */
		if (!s->metadata || !label(s->labels, s->n_labels, LABEL_POD_UID) || !is_unknown(m, s->metadata->uid))
			continue;
		log_info("pod %s/%s (%s) is not in the API any more: ending it", s->metadata->namespace_,
			 s->metadata->name, s->metadata->uid);
		(void)worker(m, s->metadata->uid, s->metadata->namespace_, s->metadata->name);
	}
	for (struct strmap_iter it = { 0 }; strmap_next(m->by_uid, &it);) {
		struct pod *p = it.value;

		if (p->sandbox_busy || p->touched_ms >= l->since_ms) {
			quiet = false; /* it changed meanwhile: the next listing */
			continue;
		}
		take_sandboxes(p, l->sandboxes);
		for (size_t i = 0; i < p->n_ctrs; i++)
			take_containers(p->ctrs[i], containers);
	}
	m->listed = true;
	for (struct strmap_iter it = { 0 }; strmap_next(m->by_uid, &it);) {
		pod_rotate_logs(it.value);
		pod_kick(it.value);
	}
	if (ids && quiet && m->config.on_listed)
		m->config.on_listed(m->config.arg, ids, n);
	free(ids);
}

static void listing_end(struct listing *l, const char *why)
{
	struct pods *m = l->m;

	if (why)
		log_warn("container runtime: listing: %s", why);
	m->listing = NULL;
	if (l->sandboxes)
		cri__list_pod_sandbox_response__free_unpacked(l->sandboxes, NULL);
	free(l);
	if (!loop_timer_pending(&m->resync))
		pods_list_soon(m, why ? 1000 : RESYNC_MS);
}

static void on_containers(void *arg, const struct grpc_status *status, const ProtobufCMessage *msg)
{
	struct listing *l = arg;

	if (!status->code)
		take_listing(l, (const Cri__ListContainersResponse *)msg);
	listing_end(l, status->code ? status->message : NULL);
}

/* Answers live only during their callback: keep a copy while containers are asked for. */
static Cri__ListPodSandboxResponse *copy_sandboxes(const ProtobufCMessage *msg)
{
	size_t len = protobuf_c_message_get_packed_size(msg);
	uint8_t *buf = malloc(len + 1);
	Cri__ListPodSandboxResponse *copy = NULL;

	if (buf) {
		protobuf_c_message_pack(msg, buf);
		copy = cri__list_pod_sandbox_response__unpack(NULL, len, buf);
	}
	free(buf);
	return copy;
}

static void on_sandboxes(void *arg, const struct grpc_status *status, const ProtobufCMessage *msg)
{
	Cri__ListContainersRequest rq = CRI__LIST_CONTAINERS_REQUEST__INIT;
	struct listing *l = arg;

	if (status->code) {
		listing_end(l, status->message);
		return;
	}
	l->sandboxes = copy_sandboxes(msg);
	if (!l->sandboxes || !cri_call(l->m->cri, CRI_LIST_CONTAINERS, &rq.base, 0, on_containers, l))
		listing_end(l, "out of memory");
}

static void on_resync(struct loop_timer *t)
{
	Cri__ListPodSandboxRequest rq = CRI__LIST_POD_SANDBOX_REQUEST__INIT;
	struct pods *m = t->arg;
	struct listing *l;

	if (!m->runtime_up || !informer_synced(m->inf) || m->listing)
		return; /* each of these comes back here */
	sweep_objects(m);
	l = calloc(1, sizeof(*l));
	if (!l) {
		pods_list_soon(m, 1000);
		return;
	}
	l->m = m;
	l->since_ms = clock_mono_ms();
	m->listing = l;
	if (!cri_call(m->cri, CRI_LIST_SANDBOXES, &rq.base, 0, on_sandboxes, l))
		listing_end(l, "out of memory");
}

void pods_list_soon(struct pods *m, int64_t delay_ms)
{
	(void)loop_timer_set(m->loop, &m->resync, delay_ms);
}

/* --- the runtime's events ----------------------------------------------------------------------------------------- */

static void on_up(void *arg, const char *name, const char *version)
{
	struct pods *m = arg;

	m->runtime_up = true;
	if (m->config.on_runtime)
		m->config.on_runtime(m->config.arg, true, name, version);
	pods_list_soon(m, 0);
}

static void on_down(void *arg, const char *why)
{
	struct pods *m = arg;

	m->runtime_up = false;
	if (m->config.on_runtime)
		m->config.on_runtime(m->config.arg, false, NULL, why);
}

static void on_event(void *arg, const char *id, bool settled)
{
	struct pods *m = arg;
	struct pod *p = strmap_get(m->by_id, id);

	if (!p)
		return;
	if (streq(p->sandbox_id, id)) {
		if (p->sandbox == SANDBOX_READY && !p->sandbox_busy && !pod_stopping(p))
			pods_list_soon(m, settled ? 0 : 100);
		return;
	}
	for (size_t i = 0; i < p->n_ctrs; i++)
		if (streq(p->ctrs[i]->id, id))
			ctr_changed(p->ctrs[i], settled);
}

/* --- life cycle --------------------------------------------------------------------------------------------------- */

static struct metric *m_pods;

static void on_scrape(void *arg)
{
	static const char *const phases[] = { "Pending", "Running", "Succeeded", "Failed" };
	struct pods *m = arg;
	double n[4] = { 0 };

	for (struct strmap_iter it = { 0 }; strmap_next(m->by_uid, &it);) {
		const struct pod *p = it.value;
		const char *ph = p->sent ? api_get_str(p->sent, "phase") : "Pending";

		for (int i = 0; i < 4; i++)
			n[i] += streq(ph, phases[i]);
	}
	for (int i = 0; i < 4; i++)
		metric_set(m_pods, n[i], phases[i]);
}

int pods_new(struct loop *loop, struct kube *kube, struct cri *cri, struct kube_recorder *rec,
	     const struct pods_config *config, struct pods **ret, struct err *err)
{
	static const struct informer_ops ops = { on_pod, on_pods_synced };
	static const struct cri_watch_ops watch = { on_up, on_down, on_event };
	struct informer_config ic = { .kind = &api_kind_pod, .resync_ms = -1 };
	cleanup(free) char *selector = NULL;
	struct pods *m = calloc(1, sizeof(*m));

	if (!m)
		return err_set(err, ENOMEM, "out of memory");
	*m = (struct pods){ .loop = loop, .kube = kube, .cri = cri, .rec = rec, .config = *config };
	m->resync.fn = on_resync;
	m->resync.arg = m;
	m->by_uid = strmap_new();
	m->by_id = strmap_new();
	m->images = images_new(loop, cri);
	m->objects = objects_new(kube, on_object, m);
	if (asprintf(&selector, "spec.nodeName=%s", config->node_name) < 0)
		selector = NULL;
	ic.field_selector = selector;
	if (selector)
		m->inf = informer_new(kube, &ic, &ops, m);
	if (!m->by_uid || !m->by_id || !m->images || !m->objects || !m->inf || informer_start(m->inf) < 0 ||
	    cri_watch(cri, &watch, m) < 0) {
		pods_free(m);
		return err_set(err, ENOMEM, "out of memory");
	}
	if (!m_pods)
		m_pods = metric_new(METRIC_GAUGE, "skep_agent_pods", "Pods of this node by phase.", "phase", NULL, 0);
	metrics_on_scrape(on_scrape, m);
	*ret = m;
	return 0;
}

void pods_set_network_ready(struct pods *m, bool ready)
{
	if (m->network_ready == ready)
		return;
	m->network_ready = ready;
	for (struct strmap_iter it = { 0 }; strmap_next(m->by_uid, &it);)
		pod_kick(it.value);
}

void pods_free(struct pods *m)
{
	if (!m)
		return;
	loop_timer_cancel(&m->resync);
	informer_free(m->inf);
	for (struct strmap_iter it = { 0 }; m->by_uid && strmap_next(m->by_uid, &it);)
		pod_free(it.value);
	objects_free(m->objects);
	images_free(m->images);
	strmap_free(m->by_uid);
	strmap_free(m->by_id);
	free(m);
}

size_t pods_len(const struct pods *m)
{
	return strmap_len(m->by_uid);
}

/* --- for the server ----------------------------------------------------------------------------------------------- */

struct pod *pods_find(const struct pods *m, const char *ns, const char *name)
{
	struct pod *found = NULL;

	for (struct strmap_iter it = { 0 }; strmap_next(m->by_uid, &it);) {
		struct pod *p = it.value;

		if (streq(p->name, name) && streq(p->ns, ns) && p->obj && (!found || found->unknown))
			found = p;
	}
	return found;
}

bool pods_next(const struct pods *m, struct pod_next *it)
{
	if (!strmap_next(m->by_uid, &it->at))
		return false;
	it->pod = it->at.value;
	return true;
}

const struct api_object *pod_object(const struct pod *p)
{
	return p->obj ? &p->obj->object : NULL;
}

json_t *pod_json(const struct pod *p)
{
	json_t *o = p->obj ? api_encode(&api_type_pod, p->obj) : NULL;

	if (o)
		json_object_set_new(o, "status", pod_status(p, now_ms()));
	return o;
}

static const struct pod_ctr *find_ctr(const struct pod *p, const char *name)
{
	for (size_t i = 0; i < p->n_ctrs; i++)
		if (name ? streq(p->ctrs[i]->spec->name, name) : i == p->n_init)
			return p->ctrs[i];
	return NULL;
}

int pod_log_path(const struct pod *p, const char *container, bool previous, char **ret_path)
{
	const struct pod_ctr *c = find_ctr(p, container);
	struct arena a = ARENA_INIT;
	unsigned attempt;

	if (!c)
		return -ENOENT;
	if (previous ? !c->last.id : !c->id && !c->last.id)
		return -ENODATA;
	attempt = previous || !c->id ? c->last.attempt : c->attempt;
	*ret_path = NULL;
	if (asprintf(ret_path, "%s/%s/%u.log", pod_log_dir(p, &a), c->spec->name, attempt) < 0)
		*ret_path = NULL;
	arena_done(&a);
	return *ret_path ? 0 : -ENOMEM;
}

int pod_container_id(const struct pod *p, const char *container, const char **ret_id, bool *ret_tty)
{
	const struct pod_ctr *c = find_ctr(p, container);

	if (!c)
		return -ENOENT;
	if (!c->id || c->state != CTR_RUNNING)
		return -ENODATA;
	*ret_id = c->id;
	if (ret_tty)
		*ret_tty = c->spec->tty;
	return 0;
}

bool pod_container_running(const struct pod *p, const char *container)
{
	const struct pod_ctr *c = find_ctr(p, container);

	return c && (c->state == CTR_RUNNING || c->state == CTR_CREATED);
}

const char *pod_sandbox_id(const struct pod *p)
{
	return p->sandbox_id;
}
