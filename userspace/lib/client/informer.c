/* SPDX-License-Identifier: Apache-2.0 */
/*
 * List and watch: see informer.h. One list (in chunks) builds the set of live keys, so that what it lacks is
 * delivered as deleted; then a watch from its resourceVersion until it ends, is refused as too old (list again) or
 * falls silent (bookmarks come each minute).
 */
#include "informer.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "../api/managed_fields.h"
#include "../base/cleanup.h"
#include "../base/clock.h"
#include "../base/log.h"
#include "../base/str.h"
#include "../base/strmap.h"

enum {
	CHUNK = 500,
	MAX_EVENT = 8 << 20,
	BACKOFF_MIN_MS = 100,
	BACKOFF_MAX_MS = 10000,
	WATCH_MIN_S = 300,    /* the server ends a watch after 5 to 10 minutes, so that watchers spread over servers */
	SHORT_MS = 1000,      /* a watch that ended sooner did no good: the next one waits */
	KEEP_LINE = 64 << 10, /* memory kept for lines between events */
	SILENCE_MS = 150000,  /* more than two bookmarks missed: the connection is dead */
	DEFAULT_RESYNC_MS = 10000,
};

struct informer {
	struct kube *kube;
	const struct api_kind *kind;
	char *ns, *labels, *fields;
	bool keep_json;
	void (*trim)(json_t *obj);
	int resync_ms;
	struct informer_ops ops;
	void *arg;
	struct strmap *items;  /* key -> struct informer_item */
	struct strmap *spaces; /* namespace -> struct space */
	struct strmap *listed; /* keys of the list under way */
	char rv[64];
	char *next;	      /* continue token */
	struct arena scratch; /* where an object's size is found out */
	bool synced, started, freed;
	int backoff_ms;
	struct http_call *call;
	bool expired;	  /* 410, or an event that cannot be read: list again */
	bool failed;	  /* the server reported an error in the stream */
	int64_t watch_ms; /* when the watch started */
	struct strbuf line;
	struct loop_timer retry, resync;
	int depth; /* callbacks on the stack: informer_free() from inside is put off */
};

/* A namespace that has objects. */
struct space {
	struct list items;
	size_t n;
};

static struct space *space_of(const struct informer *inf, const struct informer_item *it)
{
	const char *ns = it->obj->metadata.namespace_;

	return ns ? strmap_get(inf->spaces, ns) : NULL;
}

/* The namespace is there for it: before anything else is done that cannot be undone. */
static int make_space(struct informer *inf, const struct informer_item *it)
{
	const char *ns = it->obj->metadata.namespace_;
	struct space *s;

	if (!ns || strmap_has(inf->spaces, ns))
		return 0;
	s = calloc(1, sizeof(*s));
	if (!s || strmap_set(inf->spaces, ns, s, NULL) < 0) {
		free(s);
		return -ENOMEM;
	}
	list_init(&s->items);
	return 0;
}

static void enter_space(struct informer *inf, struct informer_item *it)
{
	struct space *s = space_of(inf, it);

	if (!s)
		return;
	list_push_back(&s->items, &it->in_namespace);
	s->n++;
}

static void leave_space(struct informer *inf, struct informer_item *it)
{
	struct space *s = space_of(inf, it);

	if (!s)
		return;
	list_remove(&it->in_namespace);
	if (--s->n)
		return;
	strmap_del(inf->spaces, it->obj->metadata.namespace_);
	free(s);
}

struct informer_item *informer_item_ref(struct informer_item *it)
{
	it->refs++;
	return it;
}

void informer_item_unref(struct informer_item *it)
{
	if (!it || --it->refs)
		return;
	json_decref(it->json);
	arena_done(&it->arena);
	free(it);
}

static struct informer_item *item_new(struct informer *inf, json_t *json)
{
	struct informer_item *it = calloc(1, sizeof(*it));
	struct err err = ERR_INIT;
	const struct api_meta *m;
	void *obj;

	if (!it)
		return NULL;
	it->refs = 1;
	if (!json_object_get(json, "kind")) {
		/* Kubernetes leaves them out of a list's items. */
		char version[300];

		api_kind_api_version(inf->kind, version, sizeof(version));
		json_object_set_new(json, "kind", json_string(inf->kind->kind));
		json_object_set_new(json, "apiVersion", json_string(version));
	}
	if (inf->trim)
		inf->trim(json);
	/* Twice: objects are many and stay long, so each gets just the memory that it needs. */
	arena_reset(&inf->scratch);
	if (api_decode(inf->kind->type, json, &inf->scratch, &obj, &err) < 0) {
		log_warn("%s: an object from the server does not fit the schema (%s), ignoring it", inf->kind->plural,
			 err.msg);
		goto fail;
	}
	m = &((const struct api_object *)obj)->metadata;
	if (!m->name || (m->namespace_ && !arena_printf(&inf->scratch, "%s/%s", m->namespace_, m->name)) ||
	    arena_reserve(&it->arena, arena_used(&inf->scratch)) < 0 ||
	    api_decode(inf->kind->type, json, &it->arena, &obj, &err) < 0)
		goto fail;
	it->obj = obj;
	m = &it->obj->metadata;
	it->key = m->namespace_ ? arena_printf(&it->arena, "%s/%s", m->namespace_, m->name) : m->name;
	if (!it->key)
		goto fail;
	if (inf->keep_json) {
		json_object_del(json_object_get(json, "metadata"), "managedFields");
		it->json = json_incref(json);
	}
	return it;
fail:
	informer_item_unref(it);
	return NULL;
}

static void deliver(struct informer *inf, struct informer_item *old, struct informer_item *new)
{
	if (inf->ops.on_change && !inf->freed)
		inf->ops.on_change(inf, inf->arg, old, new);
}

/* Steals new. Unchanged objects (same resourceVersion) are not delivered. */
static void put(struct informer *inf, struct informer_item *new)
{
	struct informer_item *old = strmap_get(inf->items, new->key);

	if (old && streq(old->obj->metadata.resource_version, new->obj->metadata.resource_version)) {
		informer_item_unref(new);
		return;
	}
	if (old && !streq(old->obj->metadata.uid, new->obj->metadata.uid)) {
		/* Deleted and made again while we were away: users must not take the new object for the old. */
		informer_item_ref(old);
		strmap_del(inf->items, old->key);
		leave_space(inf, old);
		informer_item_unref(old);
		deliver(inf, old, NULL);
		informer_item_unref(old);
		old = NULL;
	}
	if (make_space(inf, new) < 0 || strmap_set(inf->items, new->key, new, NULL) < 0) {
		informer_item_unref(new);
		return;
	}
	enter_space(inf, new);
	if (old)
		leave_space(inf, old);
	informer_item_ref(new);
	deliver(inf, old, new);
	informer_item_unref(new);
	informer_item_unref(old);
}

static void drop(struct informer *inf, const char *key, struct informer_item *last)
{
	struct informer_item *old = strmap_del(inf->items, key);

	if (!old)
		return;
	leave_space(inf, old);
	deliver(inf, last ? last : old, NULL);
	informer_item_unref(old);
}

static void list_start(struct informer *inf);
static void watch_start(struct informer *inf);

static void retry_due(struct loop_timer *t)
{
	struct informer *inf = t->arg;

	if (inf->rv[0])
		watch_start(inf);
	else
		list_start(inf);
}

static void again_later(struct informer *inf)
{
	int jitter;

	inf->backoff_ms = inf->backoff_ms ? inf->backoff_ms * 2 : BACKOFF_MIN_MS;
	if (inf->backoff_ms > BACKOFF_MAX_MS)
		inf->backoff_ms = BACKOFF_MAX_MS;
	jitter = (int)(str_hash(&inf, sizeof(inf)) ^ (uint64_t)clock_mono_ns()) & 0x3ff;
	(void)loop_timer_set(kube_loop(inf->kube), &inf->retry,
			     inf->backoff_ms / 2 + (int64_t)inf->backoff_ms * jitter / 2048);
}

static bool append_param(struct strbuf *sb, char *sep, const char *name, const char *value)
{
	cleanup(free) char *esc = http_escape(value);

	if (!esc)
		return false;
	strbuf_addf(sb, "%c%s=%s", *sep, name, esc);
	*sep = '&';
	return true;
}

static char *make_path(const struct informer *inf, bool watch)
{
	cleanup(strbuf_done) struct strbuf sb = STRBUF_INIT;
	cleanup(free) char *base = kube_path(inf->kind, inf->ns, NULL, NULL);
	char sep = '?', text[32];

	if (!base)
		return NULL;
	strbuf_adds(&sb, base);
	if (inf->labels && !append_param(&sb, &sep, "labelSelector", inf->labels))
		return NULL;
	if (inf->fields && !append_param(&sb, &sep, "fieldSelector", inf->fields))
		return NULL;
	if (watch) {
		snprintf(text, sizeof(text), "%d", WATCH_MIN_S + (int)(clock_mono_ns() / 1000 % WATCH_MIN_S));
		append_param(&sb, &sep, "timeoutSeconds", text);
		append_param(&sb, &sep, "resourceVersion", inf->rv);
		append_param(&sb, &sep, "allowWatchBookmarks", "true");
		append_param(&sb, &sep, "watch", "true");
	} else {
		snprintf(text, sizeof(text), "%d", CHUNK);
		append_param(&sb, &sep, "limit", text);
		if (inf->next)
			append_param(&sb, &sep, "continue", inf->next);
	}
	return strbuf_detach(&sb, NULL);
}

static void enter(struct informer *inf)
{
	inf->depth++;
}

static void really_free(struct informer *inf);

static bool leave(struct informer *inf) /* true: inf is gone */
{
	if (--inf->depth || !inf->freed)
		return false;
	really_free(inf);
	return true;
}

/* --- list --------------------------------------------------------------------------------------------------------- */

static void list_complete(struct informer *inf)
{
	bool first = !inf->synced;

	for (struct strmap_iter it = { 0 }; strmap_next(inf->items, &it);) {
		if (strmap_has(inf->listed, it.key))
			continue;
		/* drop() deletes the current key only; a callback may not change the cache. */
		drop(inf, it.key, NULL);
	}
	strmap_clear(inf->listed);
	arena_done(&inf->scratch);
	malloc_trim(0); /* the list's answer was larger than what is kept of it */
	inf->synced = true;
	if (first && inf->ops.on_synced && !inf->freed)
		inf->ops.on_synced(inf, inf->arg);
	if (!inf->freed)
		watch_start(inf);
}

static void list_answer(struct informer *inf, const struct http_response *rsp)
{
	json_t *list = NULL, *item;
	const char *rv, *next;
	struct err err = ERR_INIT;
	size_t i;

	if (rsp->status != 200 || api_json_parse(rsp->body, rsp->len, &list, NULL, &err) < 0) {
		/* Also 410: the continue token expired. From the start, once a little time has passed. */
		log_debug("list %s: %d %s", inf->kind->plural, rsp->status, rsp->error ? rsp->error : err.msg);
		json_decref(list);
		free(TAKE(inf->next));
		strmap_clear(inf->listed);
		again_later(inf);
		return;
	}
	json_array_foreach (json_object_get(list, "items"), i, item) {
		struct informer_item *it;

		if (inf->freed)
			break;
		it = item_new(inf, item);
		if (!it)
			continue;
		strmap_set(inf->listed, it->key, inf, NULL);
		put(inf, it);
	}
	rv = api_get_str(list, "metadata.resourceVersion");
	next = api_get_str(list, "metadata.continue");
	free(TAKE(inf->next));
	if (inf->freed) {
		json_decref(list);
		return;
	}
	if (next && *next) {
		inf->next = strdup(next);
		json_decref(list);
		list_start(inf);
		return;
	}
	snprintf(inf->rv, sizeof(inf->rv), "%s", rv ? rv : "0");
	json_decref(list);
	list_complete(inf);
}

static void list_done(struct http_call *call, void *arg, const struct http_response *rsp)
{
	struct informer *inf = arg;

	(void)call;
	inf->call = NULL;
	enter(inf);
	list_answer(inf, rsp);
	leave(inf);
}

static void list_start(struct informer *inf)
{
	cleanup(free) char *path = make_path(inf, false);
	struct http_call_config config = {
		.method = "GET", .path = path, .timeout_ms = 60000, .on_done = list_done, .arg = inf
	};

	inf->call = path ? http_call_start(kube_http(inf->kube), &config) : NULL;
	if (!inf->call)
		again_later(inf);
}

/* --- watch -------------------------------------------------------------------------------------------------------- */

static void note_rv(struct informer *inf, const json_t *obj)
{
	const char *rv = api_get_str(obj, "metadata.resourceVersion");

	if (rv)
		snprintf(inf->rv, sizeof(inf->rv), "%s", rv);
}

static int one_event(struct informer *inf, char *text, size_t len)
{
	json_t *ev = NULL, *obj;
	struct informer_item *it;
	struct err err = ERR_INIT;
	const char *type;
	int r = 0;

	/* Who owns which fields is no matter of controllers; it may be half of the object. */
	len = managed_cut_event(text, len);
	if (api_json_parse(text, len, &ev, NULL, &err) < 0) {
		log_warn("watch %s: bad event (%s), listing again", inf->kind->plural, err.msg);
		inf->expired = true;
		return -1;
	}
	type = api_get_str(ev, "type");
	obj = json_object_get(ev, "object");
	if (streq(type, "ERROR")) {
		if (api_get_int(obj, "code", 0) == 410)
			inf->expired = true;
		inf->failed = true;
		r = -1;
	} else if (streq(type, "BOOKMARK")) {
		note_rv(inf, obj);
	} else if ((it = item_new(inf, obj))) {
		if (streq(type, "DELETED")) {
			drop(inf, it->key, it);
			informer_item_unref(it);
		} else {
			put(inf, it);
		}
		note_rv(inf, obj);
	}
	json_decref(ev);
	return inf->freed ? -1 : r;
}

static int watch_data(struct http_call *call, void *arg, const void *data, size_t len)
{
	struct informer *inf = arg;
	size_t from = 0;
	int r = 0;
	char *nl;

	(void)call;
	strbuf_add(&inf->line, data, len);
	if (strbuf_oom(&inf->line) || inf->line.len > MAX_EVENT) {
		/* The same event would come again from the same resourceVersion; a list steps over it. */
		log_warn("watch %s: an event longer than %d bytes, listing again", inf->kind->plural, MAX_EVENT);
		inf->expired = true;
		return -1;
	}
	enter(inf);
	while (!r && (nl = memchr(inf->line.buf + from, '\n', inf->line.len - from))) {
		size_t n = (size_t)(nl - inf->line.buf) - from;

		if (n)
			r = one_event(inf, inf->line.buf + from, n);
		from += n + 1;
	}
	strbuf_drop_front(&inf->line, from);
	if (!inf->line.len && inf->line.cap > KEEP_LINE)
		strbuf_done(&inf->line);
	if (leave(inf))
		return -1;
	return r;
}

static void watch_status(struct http_call *call, void *arg, int status)
{
	(void)call;
	if (status == 410)
		((struct informer *)arg)->expired = true;
}

static void watch_done(struct http_call *call, void *arg, const struct http_response *rsp)
{
	struct informer *inf = arg;
	bool lasted, ended;

	(void)call;
	inf->call = NULL;
	strbuf_done(&inf->line);
	if (inf->freed)
		return;
	if (inf->expired)
		inf->rv[0] = '\0';
	lasted = clock_mono_ms() - inf->watch_ms >= SHORT_MS;
	ended = rsp->status == 200 && !rsp->error && !inf->failed;
	inf->expired = inf->failed = false;
	if (lasted)
		inf->backoff_ms = 0;
	if (lasted && !inf->rv[0])
		list_start(inf);
	else if (lasted && ended)
		watch_start(inf); /* its time was up */
	else
		again_later(inf);
}

static void watch_start(struct informer *inf)
{
	cleanup(free) char *path = make_path(inf, true);
	struct http_call_config config = {
		.method = "GET",
		.path = path,
		.timeout_ms = -1,
		.idle_timeout_ms = SILENCE_MS,
		.on_status = watch_status,
		.on_data = watch_data,
		.on_done = watch_done,
		.arg = inf,
	};

	inf->watch_ms = clock_mono_ms();
	inf->call = path ? http_call_start(kube_http(inf->kube), &config) : NULL;
	if (!inf->call)
		again_later(inf);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static void resync_due(struct loop_timer *t)
{
	struct informer *inf = t->arg;

	(void)loop_timer_set(kube_loop(inf->kube), &inf->resync, inf->resync_ms);
	if (!inf->synced)
		return;
	enter(inf);
	for (struct strmap_iter it = { 0 }; !inf->freed && strmap_next(inf->items, &it);)
		deliver(inf, it.value, it.value);
	leave(inf);
}

static char *dup_or_null(const char *s)
{
	return s ? strdup(s) : NULL;
}

struct informer *informer_new(struct kube *k, const struct informer_config *config, const struct informer_ops *ops,
			      void *arg)
{
	struct informer *inf = calloc(1, sizeof(*inf));

	if (!inf)
		return NULL;
	inf->kube = k;
	inf->kind = config->kind;
	inf->ns = dup_or_null(config->namespace_);
	inf->labels = dup_or_null(config->label_selector);
	inf->fields = dup_or_null(config->field_selector);
	inf->keep_json = config->keep_json;
	inf->trim = config->trim;
	inf->resync_ms = config->resync_ms ? config->resync_ms : DEFAULT_RESYNC_MS;
	inf->ops = *ops;
	inf->arg = arg;
	strbuf_init(&inf->line);
	inf->retry.fn = retry_due;
	inf->retry.arg = inf;
	inf->resync.fn = resync_due;
	inf->resync.arg = inf;
	inf->items = strmap_new();
	inf->listed = strmap_new();
	inf->spaces = strmap_new();
	if (!inf->items || !inf->listed || !inf->spaces) {
		informer_free(inf);
		return NULL;
	}
	return inf;
}

int informer_start(struct informer *inf)
{
	if (inf->started)
		return 0;
	inf->started = true;
	if (inf->resync_ms > 0 && loop_timer_set(kube_loop(inf->kube), &inf->resync, inf->resync_ms) < 0)
		return -ENOMEM;
	list_start(inf);
	return 0;
}

static void really_free(struct informer *inf)
{
	if (inf->call)
		http_call_cancel(inf->call);
	loop_timer_cancel(&inf->retry);
	loop_timer_cancel(&inf->resync);
	if (inf->items)
		for (struct strmap_iter it = { 0 }; strmap_next(inf->items, &it);)
			informer_item_unref(it.value);
	if (inf->spaces)
		for (struct strmap_iter it = { 0 }; strmap_next(inf->spaces, &it);)
			free(it.value);
	strmap_free(inf->items);
	strmap_free(inf->listed);
	strmap_free(inf->spaces);
	strbuf_done(&inf->line);
	arena_done(&inf->scratch);
	free(inf->ns);
	free(inf->labels);
	free(inf->fields);
	free(inf->next);
	free(inf);
}

void informer_free(struct informer *inf)
{
	if (!inf)
		return;
	inf->freed = true;
	if (!inf->depth)
		really_free(inf);
}

bool informer_synced(const struct informer *inf)
{
	return inf->synced;
}

const char *informer_resource_version(const struct informer *inf)
{
	return inf->rv;
}

struct informer_item *informer_get(const struct informer *inf, const char *ns, const char *name)
{
	char key[600];

	if (!ns || !inf->kind->namespaced)
		return strmap_get(inf->items, name);
	snprintf(key, sizeof(key), "%s/%s", ns, name);
	return strmap_get(inf->items, key);
}

struct informer_item *informer_get_key(const struct informer *inf, const char *key)
{
	return strmap_get(inf->items, key);
}

size_t informer_len(const struct informer *inf)
{
	return strmap_len(inf->items);
}

bool informer_next(const struct informer *inf, struct informer_iter *it)
{
	if (!strmap_next(inf->items, &it->at))
		return false;
	it->item = it->at.value;
	return true;
}

bool informer_next_in(const struct informer *inf, const char *ns, struct informer_iter *it)
{
	struct space *s = strmap_get(inf->spaces, ns);
	struct list *next;

	if (!s)
		return false;
	next = it->item ? it->item->in_namespace.next : s->items.next;
	if (next == &s->items)
		return false;
	it->item = list_entry(next, struct informer_item, in_namespace);
	return true;
}

size_t informer_len_in(const struct informer *inf, const char *ns)
{
	const struct space *s = strmap_get(inf->spaces, ns);

	return s ? s->n : 0;
}
