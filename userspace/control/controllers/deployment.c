/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deployment controller: finds or makes the ReplicaSet of the present template, sizes all of them by
 * deployment_plan(), and reports status and conditions. A template's ReplicaSet is named by a hash of it, so that a
 * repeated creation meets AlreadyExists, not a twin.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/str.h"
#include "deployment_plan.h"

#define REVISION   "deployment.kubernetes.io/revision"
#define DESIRED	   "deployment.kubernetes.io/desired-replicas"
#define HASH_LABEL "pod-template-hash"

static void on_change(struct controller *c, const struct api_kind *kind, struct informer_item *old,
		      struct informer_item *new)
{
	const struct informer_item *it = new ? new : old;
	char key[600];

	if (kind == &api_kind_deployment) {
		enqueue(c, it->key);
	} else if (kind == &api_kind_replica_set) {
		if (owner_key(&it->obj->metadata, "Deployment", key))
			enqueue(c, key);
	} else if (!new) {
		/* Recreate waits for the last old pod to be gone. */
		struct informer_item *rs;

		if (owner_key(&it->obj->metadata, "ReplicaSet", key) &&
		    (rs = informer_get_key(manager_informer(c->m, &api_kind_replica_set), key)) &&
		    owner_key(&rs->obj->metadata, "Deployment", key))
			enqueue(c, key);
	}
}

static json_t *template_without_hash(const json_t *owner)
{
	json_t *t = json_deep_copy(api_get(owner, "spec.template")), *labels = api_get(t, "metadata.labels");

	json_object_del(labels, HASH_LABEL);
	json_object_del(json_object_get(t, "metadata"), "creationTimestamp");
	return t;
}

/* FNV-1a over the canonical template and the collision count, in Kubernetes' alphabet without vowels. */
static bool template_hash(const json_t *tmpl, int64_t collisions, char *buf)
{
	static const char alphabet[] = "bcdfghjklmnpqrstvwxz2456789";
	cleanup(free) char *text = json_dumps(tmpl, JSON_COMPACT | JSON_SORT_KEYS);
	uint64_t h = 14695981039346656037ull;

	if (!text)
		return false;
	for (const char *p = text; *p; p++)
		h = (h ^ (unsigned char)*p) * 1099511628211ull;
	for (; collisions; collisions >>= 8)
		h = (h ^ (uint64_t)(collisions & 255)) * 1099511628211ull;
	for (int i = 0; i < 10; i++, h /= sizeof(alphabet) - 1)
		buf[i] = alphabet[h % (sizeof(alphabet) - 1)];
	buf[10] = '\0';
	return true;
}

static int64_t revision_of(const struct api_meta *m)
{
	const char *s = api_map_get(&m->annotations, REVISION);
	int64_t v;

	return s && !str_to_i64(s, 0, INT64_MAX, &v) ? v : 0;
}

static int by_age(const void *va, const void *vb)
{
	const struct api_meta *a = &((const struct dp_set *)va)->rs->metadata,
			      *b = &((const struct dp_set *)vb)->rs->metadata;
	int c = strcmp(a->creation_timestamp ? a->creation_timestamp : "",
		       b->creation_timestamp ? b->creation_timestamp : "");

	return c ? c : strcmp(a->name, b->name);
}

static size_t collect(struct controller *c, const struct informer_item *item, const json_t *tmpl, struct dp_set *sets,
		      bool *ret_old_pods)
{
	struct informer *inf = manager_informer(c->m, &api_kind_replica_set),
			*pods = manager_informer(c->m, &api_kind_pod);
	const char *ns = item->obj->metadata.namespace_;
	size_t n = 0, newest = SIZE_MAX;

	*ret_old_pods = false;
	for (struct informer_iter it = { 0 }; informer_next_in(inf, ns, &it);) {
		const struct api_replica_set *rs = (const struct api_replica_set *)it.item->obj;
		json_t *theirs;

		if (!owned_by(&rs->metadata, item->obj->metadata.uid))
			continue;
		theirs = template_without_hash(it.item->json);
		sets[n] = (struct dp_set){ .rs = rs,
					   .is_new = json_equal(theirs, tmpl),
					   .replicas = rs->spec.replicas.set ? rs->spec.replicas.v : 1,
					   .available = rs->status.available_replicas,
					   .ready = rs->status.ready_replicas,
					   .current = rs->status.replicas };
		n++;
		json_decref(theirs);
	}
	qsort(sets, n, sizeof(*sets), by_age);
	for (size_t i = 0; i < n; i++) {
		if (!sets[i].is_new)
			continue;
		if (newest == SIZE_MAX)
			newest = i; /* the oldest with this template, as Kubernetes chooses */
		else
			sets[i].is_new = false;
	}
	for (struct informer_iter it = { 0 }; informer_next_in(pods, ns, &it);) {
		const struct api_pod *p = (const struct api_pod *)it.item->obj;

		for (size_t i = 0; !*ret_old_pods && i < n; i++)
			*ret_old_pods = !sets[i].is_new && owned_by(&p->metadata, sets[i].rs->metadata.uid) &&
					!pod_terminated(p);
	}
	return n;
}

struct scaling {
	struct batch *b;
	struct controller *c;
	struct informer_item *d;
	char set[256];
	int64_t from, to;
};

static void scaled(void *arg, const struct kube_result *r)
{
	struct scaling *s = arg;

	if (kube_ok(r))
		kube_event(s->c->m->recorder, &api_kind_deployment, s->d->obj, "Normal", "ScalingReplicaSet",
			   "Scaled %s replica set %s from %lld to %lld", s->to > s->from ? "up" : "down", s->set,
			   (long long)s->from, (long long)s->to);
	batch_result(s->b, r);
	informer_item_unref(s->d);
	free(s);
}

static struct scaling *scaling_new(struct controller *c, struct batch *b, struct informer_item *d, const char *set,
				   int64_t from, int64_t to)
{
	struct scaling *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	*s = (struct scaling){ .b = b, .c = c, .d = informer_item_ref(d), .from = from, .to = to };
	snprintf(s->set, sizeof(s->set), "%s", set);
	batch_take(b);
	return s;
}

static void scaling_failed(struct scaling *s)
{
	batch_give(s->b, -ENOMEM);
	informer_item_unref(s->d);
	free(s);
}

static void resize(struct controller *c, struct batch *b, struct informer_item *item, const struct dp_set *set)
{
	const struct api_deployment *d = (const struct api_deployment *)item->obj;
	const struct api_meta *m = &set->rs->metadata;
	struct scaling *s = scaling_new(c, b, item, m->name, set->replicas, set->want);
	char desired[24];
	json_t *patch;

	if (!s)
		return;
	snprintf(desired, sizeof(desired), "%lld", (long long)(d->spec.replicas.set ? d->spec.replicas.v : 1));
	patch = json_pack("{s:{s:s,s:s,s:{s:s}},s:{s:I}}", "metadata", "uid", m->uid, "resourceVersion",
			  m->resource_version, "annotations", DESIRED, desired, "spec", "replicas",
			  (json_int_t)set->want);
	if (set->want == set->replicas) {
		/* Only the note of the deployment's size: no event. */
		BATCH_CALL(b, kube_patch(c->m->kube, &api_kind_replica_set, m->namespace_, m->name, NULL,
					 KUBE_PATCH_MERGE, patch, batch_result, b));
		batch_give(b, 0);
		informer_item_unref(s->d);
		free(s);
	} else if (kube_patch(c->m->kube, &api_kind_replica_set, m->namespace_, m->name, NULL, KUBE_PATCH_MERGE, patch,
			      scaled, s) < 0) {
		scaling_failed(s);
	}
	json_decref(patch);
}

/* AlreadyExists with another template is a hash collision: counted in the status, which changes the next name. */
static void made(void *arg, const struct kube_result *r)
{
	struct scaling *s = arg;

	if (r->status == 409 && streq(r->reason, "AlreadyExists")) {
		struct informer_item *have = informer_get(manager_informer(s->c->m, &api_kind_replica_set),
							  s->d->obj->metadata.namespace_, s->set);
		const struct api_deployment *d = (const struct api_deployment *)s->d->obj;

		if (have && !owned_by(&have->obj->metadata, d->metadata.uid)) {
			json_t *patch = json_pack(
				"{s:{s:I}}", "status", "collisionCount",
				(json_int_t)((d->status.collision_count.set ? d->status.collision_count.v : 0) + 1));

			BATCH_CALL(s->b,
				   kube_patch(s->c->m->kube, &api_kind_deployment, d->metadata.namespace_,
					      d->metadata.name, "status", KUBE_PATCH_MERGE, patch, batch_result, s->b));
			json_decref(patch);
		}
	}
	scaled(arg, r);
}

static void make_set(struct controller *c, struct batch *b, struct informer_item *item, const json_t *tmpl,
		     int64_t revision, int64_t replicas)
{
	const struct api_deployment *d = (const struct api_deployment *)item->obj;
	json_t *rs = NULL, *t = json_deep_copy(tmpl), *sel = json_deep_copy(api_get(item->json, "spec.selector"));
	char hash[16], name[256], rev[24], desired[24];
	struct scaling *s;

	if (!template_hash(tmpl, d->status.collision_count.set ? d->status.collision_count.v : 0, hash))
		goto out;
	snprintf(name, sizeof(name), "%.240s-%s", d->metadata.name, hash);
	snprintf(rev, sizeof(rev), "%lld", (long long)revision);
	snprintf(desired, sizeof(desired), "%lld", (long long)(d->spec.replicas.set ? d->spec.replicas.v : 1));
	api_set(t, "metadata.labels." HASH_LABEL, json_string(hash));
	api_set(sel, "matchLabels." HASH_LABEL, json_string(hash));
	rs = json_pack("{s:s,s:s,s:{s:s,s:s,s:O,s:[o],s:{}},s:{s:I,s:I,s:O,s:O}}", "apiVersion", "apps/v1", "kind",
		       "ReplicaSet", "metadata", "name", name, "namespace", d->metadata.namespace_, "labels",
		       api_get(t, "metadata.labels"), "ownerReferences",
		       owner_reference(&api_kind_deployment, item->obj), "annotations", "spec", "replicas",
		       (json_int_t)replicas, "minReadySeconds", (json_int_t)d->spec.min_ready_seconds, "selector", sel,
		       "template", t);
	if (!rs)
		goto out;
	json_object_set_new(api_get(rs, "metadata.annotations"), REVISION, json_string(rev));
	json_object_set_new(api_get(rs, "metadata.annotations"), DESIRED, json_string(desired));
	s = scaling_new(c, b, item, name, 0, replicas);
	if (s && kube_create(c->m->kube, &api_kind_replica_set, d->metadata.namespace_, NULL, NULL, rs, made, s) < 0)
		scaling_failed(s);
out:
	json_decref(rs);
	json_decref(t);
	json_decref(sel);
}

/* --- status ------------------------------------------------------------------------------------------------------- */

static const struct api_deployment_condition *condition(const struct api_deployment *d, const char *type)
{
	for (size_t i = 0; i < d->status.n_conditions; i++)
		if (streq(d->status.conditions[i].type, type))
			return &d->status.conditions[i];
	return NULL;
}

/* now is kept as update time only if something changed: a status that says the same is not written. */
static json_t *make_condition(const struct api_deployment *d, const char *type, const char *status, const char *reason,
			      const char *message, bool progressed)
{
	const struct api_deployment_condition *old = condition(d, type);
	bool same = old && streq(old->status, status) && streq(old->reason, reason) && streq(old->message, message) &&
		    !progressed;
	char now[CLOCK_RFC3339_SIZE];

	clock_rfc3339(clock_real_ms(), now);
	return json_pack(
		"{s:s,s:s,s:s,s:s,s:s,s:s}", "type", type, "status", status, "reason", reason, "message", message,
		"lastUpdateTime", same && old->last_update_time ? old->last_update_time : now, "lastTransitionTime",
		old && streq(old->status, status) && old->last_transition_time ? old->last_transition_time : now);
}

static bool status_equal(const struct api_deployment *d, const json_t *status)
{
	json_t *old = api_encode(&api_type_deployment_status, &d->status), *a, *b;
	bool same;

	a = json_deep_copy(status);
	b = old ? old : json_object();
	json_object_del(b, "collisionCount");
	/* Counters of zero are absent in what is encoded. */
	static const char *const counters[] = { "replicas", "updatedReplicas", "readyReplicas", "availableReplicas",
						"unavailableReplicas" };
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
		if (!json_integer_value(json_object_get(a, counters[i])))
			json_object_del(a, counters[i]);
		if (!json_integer_value(json_object_get(b, counters[i])))
			json_object_del(b, counters[i]);
	}
	same = json_equal(a, b);
	json_decref(a);
	json_decref(b);
	return same;
}

static int64_t since_ms(const char *time, int64_t now_ms)
{
	int64_t t;

	return time && !clock_rfc3339_parse(time, &t) ? now_ms - t : 0;
}

static json_t *progressing(const struct api_deployment *d, const struct dp_set *sets, size_t n, int64_t updated,
			   int64_t available, int64_t total, int64_t want, int64_t *ret_wake_ms)
{
	const struct api_deployment_condition *old = condition(d, "Progressing");
	int64_t limit = (d->spec.progress_deadline_seconds.set ? d->spec.progress_deadline_seconds.v : 600) * 1000,
		waited;
	const char *name = d->metadata.name;
	char text[400];
	bool moved;

	for (size_t i = 0; i < n; i++)
		if (sets[i].is_new)
			name = sets[i].rs->metadata.name;
	moved = updated > d->status.updated_replicas || available > d->status.available_replicas ||
		total - updated < d->status.replicas - d->status.updated_replicas;
	if (updated == want && total == want && available >= want) {
		snprintf(text, sizeof(text), "ReplicaSet \"%s\" has successfully progressed.", name);
		return make_condition(d, "Progressing", "True", "NewReplicaSetAvailable", text, false);
	}
	if (d->spec.paused)
		return make_condition(d, "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused", false);
	waited = old && !moved && !streq(old->reason, "NewReplicaSetAvailable")
			 ? since_ms(old->last_update_time, clock_real_ms())
			 : 0;
	if (old && (waited >= limit || (streq(old->reason, "ProgressDeadlineExceeded") && !moved &&
					d->status.observed_generation >= d->metadata.generation))) {
		snprintf(text, sizeof(text), "ReplicaSet \"%s\" has timed out progressing.", name);
		return make_condition(d, "Progressing", "False", "ProgressDeadlineExceeded", text, false);
	}
	*ret_wake_ms = limit - waited;
	snprintf(text, sizeof(text), "ReplicaSet \"%s\" is progressing.", name);
	return make_condition(d, "Progressing", "True", "ReplicaSetUpdated", text, moved);
}

static void write_status(struct controller *c, struct batch *b, const struct api_deployment *d,
			 const struct dp_set *sets, size_t n)
{
	int64_t want = d->spec.replicas.set ? d->spec.replicas.v : 1, surge, unavailable, wake_ms = 0;
	int64_t total = 0, updated = 0, ready = 0, available = 0;
	json_t *status, *patch;

	for (size_t i = 0; i < n; i++) {
		total += sets[i].current;
		ready += sets[i].ready;
		available += sets[i].available;
		if (sets[i].is_new)
			updated = sets[i].current;
	}
	deployment_bounds(d, &surge, &unavailable);
	status = json_pack(
		"{s:I,s:I,s:I,s:I,s:I,s:I,s:[o,o]}", "observedGeneration", (json_int_t)d->metadata.generation,
		"replicas", (json_int_t)total, "updatedReplicas", (json_int_t)updated, "readyReplicas",
		(json_int_t)ready, "availableReplicas", (json_int_t)available, "unavailableReplicas",
		(json_int_t)((total > want ? total : want) - available > 0 ? (total > want ? total : want) - available
									   : 0),
		"conditions", progressing(d, sets, n, updated, available, total, want, &wake_ms),
		available >= want - unavailable
			? make_condition(d, "Available", "True", "MinimumReplicasAvailable",
					 "Deployment has minimum availability.", false)
			: make_condition(d, "Available", "False", "MinimumReplicasUnavailable",
					 "Deployment does not have minimum availability.", false));
	if (wake_ms > 0)
		enqueue_after(c, b->key, wake_ms);
	if (status && !status_equal(d, status)) {
		patch = json_pack("{s:O}", "status", status);
		BATCH_CALL(b, kube_patch(c->m->kube, &api_kind_deployment, d->metadata.namespace_, d->metadata.name,
					 "status", KUBE_PATCH_MERGE, patch, batch_result, b));
		json_decref(patch);
	}
	json_decref(status);
}

/* The deployment carries the revision of its present set. */
static void note_revision(struct controller *c, struct batch *b, const struct api_meta *m, const struct api_kind *kind,
			  int64_t revision)
{
	char text[24];
	json_t *patch;

	if (revision_of(m) == revision)
		return;
	snprintf(text, sizeof(text), "%lld", (long long)revision);
	patch = json_pack("{s:{s:{s:s}}}", "metadata", "annotations", REVISION, text);
	BATCH_CALL(b, kube_patch(c->m->kube, kind, m->namespace_, m->name, NULL, KUBE_PATCH_MERGE, patch, batch_result,
				 b));
	json_decref(patch);
}

static void reconcile(struct controller *c, const char *key)
{
	struct informer_item *item = informer_get_key(manager_informer(c->m, &api_kind_deployment), key);
	const struct api_deployment *d;
	int64_t revision = 0, old_revision = 0;
	json_t *tmpl = NULL;
	struct dp_set *sets;
	struct dp_plan plan;
	struct batch *b;
	bool old_pods;
	size_t n;

	if (!item) {
		done(c, key, 0);
		return;
	}
	d = (const struct api_deployment *)item->obj;
	sets = calloc(informer_len_in(manager_informer(c->m, &api_kind_replica_set), item->obj->metadata.namespace_) +
			      1,
		      sizeof(*sets));
	tmpl = template_without_hash(item->json);
	if (!sets || !tmpl) {
		free(sets);
		json_decref(tmpl);
		done(c, key, -ENOMEM);
		return;
	}
	b = batch_new(c, key);
	if (!b)
		goto out;
	informer_item_ref(item);
	n = collect(c, item, tmpl, sets, &old_pods);
	for (size_t i = 0; i < n; i++) {
		int64_t rev = revision_of(&sets[i].rs->metadata);

		if (sets[i].is_new)
			revision = rev;
		else if (rev > old_revision)
			old_revision = rev;
	}
	if (revision <= old_revision)
		revision = old_revision + 1; /* new, or rolled back to */
	if (!meta_deleting(&d->metadata)) {
		deployment_plan(d, sets, n, old_pods, &plan);
		if (plan.create_new)
			make_set(c, b, item, tmpl, revision, plan.new_replicas);
		for (size_t i = 0; i < n; i++) {
			const struct api_meta *m = &sets[i].rs->metadata;
			const char *desired = api_map_get(&m->annotations, DESIRED);
			int64_t noted;

			if (sets[i].remove) {
				json_t *options = delete_options(m->uid, NULL);

				BATCH_CALL(b, kube_delete(c->m->kube, &api_kind_replica_set, m->namespace_, m->name,
							  options, batch_result, b));
				json_decref(options);
				continue;
			}
			if (sets[i].is_new)
				note_revision(c, b, m, &api_kind_replica_set, revision);
			if (sets[i].want != sets[i].replicas ||
			    (sets[i].replicas && (!desired || str_to_i64(desired, 0, INT32_MAX, &noted) < 0 ||
						  noted != (d->spec.replicas.set ? d->spec.replicas.v : 1))))
				resize(c, b, item, &sets[i]);
		}
		if (n && !plan.create_new)
			note_revision(c, b, &d->metadata, &api_kind_deployment, revision);
	}
	write_status(c, b, d, sets, n);
	batch_give(b, 0);
	informer_item_unref(item);
out:
	free(sets);
	json_decref(tmpl);
}

static const struct api_kind *const kinds[] = { &api_kind_deployment, &api_kind_replica_set, &api_kind_pod, NULL };

const struct controller_ops deployment_controller = {
	.name = "deployment",
	.kinds = kinds,
	.on_change = on_change,
	.reconcile = reconcile,
};
