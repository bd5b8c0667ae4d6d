/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events, with client-go's economy: the same (object, reason, message) becomes one Event whose count rises, and an
 * object that produces a flood is held to a token bucket. Nothing waits for an event, and a lost one is no error. See
 * kube.h.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "../base/cleanup.h"
#include "../base/clock.h"
#include "../base/list.h"
#include "../base/log.h"
#include "../base/str.h"
#include "../base/strmap.h"
#include "api/api_types.h"
#include "kube.h"

enum {
	REMEMBER_MS = 600000,
	MAX_REMEMBERED = 4096,
	BURST = 25,
	REFILL_MS = 300000,
};

struct seen {
	struct kube_recorder *r;
	struct list lru;
	char *key;
	char name[300], ns[64];
	int64_t count, last_ms;
};

struct bucket {
	double tokens;
	int64_t at_ms;
};

struct kube_recorder {
	struct kube *kube;
	char *component, *host;
	struct strmap *seen;	/* what -> struct seen */
	struct list lru;	/* oldest first */
	struct strmap *buckets; /* object uid -> struct bucket */
};

struct kube_recorder *kube_recorder_new(struct kube *k, const char *component, const char *host)
{
	struct kube_recorder *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->kube = k;
	r->component = strdup(component);
	r->host = host ? strdup(host) : NULL;
	r->seen = strmap_new();
	r->buckets = strmap_new();
	list_init(&r->lru);
	if (!r->component || (host && !r->host) || !r->seen || !r->buckets) {
		kube_recorder_free(r);
		return NULL;
	}
	return r;
}

static void forget(struct kube_recorder *r, struct seen *s)
{
	kube_cancel(r->kube, s);
	strmap_del(r->seen, s->key);
	list_remove(&s->lru);
	free(s->key);
	free(s);
}

static void clear_buckets(struct kube_recorder *r)
{
	for (struct strmap_iter it = { 0 }; strmap_next(r->buckets, &it);)
		free(it.value);
	strmap_clear(r->buckets);
}

void kube_recorder_free(struct kube_recorder *r)
{
	if (!r)
		return;
	while (r->seen && !list_empty(&r->lru))
		forget(r, list_first(&r->lru, struct seen, lru));
	if (r->buckets)
		clear_buckets(r);
	strmap_free(r->seen);
	strmap_free(r->buckets);
	free(r->component);
	free(r->host);
	free(r);
}

static bool take_token(struct kube_recorder *r, const char *uid)
{
	struct bucket *b = strmap_get(r->buckets, uid);
	int64_t now = clock_mono_ms();

	if (!b) {
		if (strmap_len(r->buckets) >= MAX_REMEMBERED)
			clear_buckets(r); /* generous once rather than large for ever */
		b = calloc(1, sizeof(*b));
		if (!b || strmap_set(r->buckets, uid, b, NULL) < 0) {
			free(b);
			return false;
		}
		*b = (struct bucket){ BURST, now };
	}
	b->tokens += (double)(now - b->at_ms) / REFILL_MS;
	if (b->tokens > BURST)
		b->tokens = BURST;
	b->at_ms = now;
	if (b->tokens < 1)
		return false;
	b->tokens -= 1;
	return true;
}

static void sent(void *arg, const struct kube_result *r)
{
	struct seen *s = arg;

	if (kube_ok(r))
		return;
	/* Not written, or deleted since: the next one makes a new Event. */
	log_debug("event %s: %d %s", s->name, r->status, r->message);
	forget(s->r, s);
}

void kube_event(struct kube_recorder *r, const struct api_kind *kind, const struct api_object *obj, const char *type,
		const char *reason, const char *fmt, ...)
{
	const struct api_meta *m = &obj->metadata;
	const char *ns = m->namespace_ ? m->namespace_ : "default", *uid = m->uid ? m->uid : "";
	char message[1024], version[300], now[CLOCK_RFC3339_SIZE];
	cleanup(free) char *key = NULL;
	struct seen *s;
	json_t *ev;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	if (asprintf(&key, "%s/%s/%s/%s/%s/%s", kind->plural, ns, m->name, uid, reason, message) < 0 ||
	    !take_token(r, *uid ? uid : m->name))
		return;
	clock_rfc3339(clock_real_ms(), now);
	s = strmap_get(r->seen, key);
	if (s && clock_mono_ms() - s->last_ms > REMEMBER_MS) {
		forget(r, s);
		s = NULL;
	}
	if (s) {
		json_t *patch = json_pack("{s:I,s:s}", "count", (json_int_t)++s->count, "lastTimestamp", now);

		s->last_ms = clock_mono_ms();
		list_remove(&s->lru);
		list_push_back(&r->lru, &s->lru);
		if (kube_patch(r->kube, &api_kind_event, s->ns, s->name, NULL, KUBE_PATCH_MERGE, patch, sent, s) < 0)
			log_debug("event %s: out of memory", reason);
		json_decref(patch);
		return;
	}
	if (strmap_len(r->seen) >= MAX_REMEMBERED)
		forget(r, list_first(&r->lru, struct seen, lru));
	s = calloc(1, sizeof(*s));
	if (!s)
		return;
	list_init(&s->lru);
	s->r = r;
	s->count = 1;
	s->last_ms = clock_mono_ms();
	snprintf(s->ns, sizeof(s->ns), "%s", ns);
	snprintf(s->name, sizeof(s->name), "%.230s.%016llx", m->name,
		 (unsigned long long)(str_hash(key, strlen(key)) ^ clock_mono_ns()));
	s->key = TAKE(key);
	if (strmap_set(r->seen, s->key, s, NULL) < 0) {
		free(s->key);
		free(s);
		return;
	}
	list_push_back(&r->lru, &s->lru);
	api_kind_api_version(kind, version, sizeof(version));
	ev = json_pack(
		"{s:s,s:s,s:{s:s,s:s},s:{s:s,s:s,s:s*,s:s,s:s,s:s*},s:s,s:s,s:s,s:s,s:s,s:i,s:{s:s,s:s*},s:s,s:s}",
		"apiVersion", "v1", "kind", "Event", "metadata", "name", s->name, "namespace", s->ns, "involvedObject",
		"apiVersion", version, "kind", kind->kind, "namespace", m->namespace_, "name", m->name, "uid", uid,
		"resourceVersion", m->resource_version, "reason", reason, "message", message, "type", type,
		"firstTimestamp", now, "lastTimestamp", now, "count", 1, "source", "component", r->component, "host",
		r->host, "reportingComponent", r->component, "reportingInstance", r->host ? r->host : "");
	if (!ev || kube_create(r->kube, &api_kind_event, s->ns, NULL, NULL, ev, sent, s) < 0) {
		log_debug("event %s: out of memory", reason);
		forget(r, s);
	}
	json_decref(ev);
}
