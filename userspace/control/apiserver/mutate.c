/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Read, change, write: the one way objects reach the store. change() looks at the present object and decides; the
 * write demands that the key is still as read. When somebody else was faster the store tells what is there now and
 * change() decides again.
 */
#include "apiserver-internal.h"
#include "managed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/clock.h"
#include "../../lib/base/str.h"

#define MAX_TRIES	      10
#define EVENT_TTL_S	      3600
#define EVENT_LEASE_SHARED_MS 60000 /* events of one minute share a lease, as in Kubernetes */

static void on_put(void *arg, int r, const struct store_txn_result *res, const struct err *err);
static void on_del(void *arg, int r, const struct store_txn_result *res, const struct err *err);
static void put(struct call *c, int64_t lease);
static void put_plain(struct call *c);
static void put_event(struct call *c);
static void write_admitted(struct call *c);

int registry_set_key(struct call *c)
{
	bool in_ns = c->res->kind->namespaced;

	free(c->key);
	if (asprintf(&c->key, "%s%s%s%s", c->res->prefix, in_ns ? c->ns : "", in_ns ? "/" : "", c->name) >= 0)
		return 0;
	c->key = NULL;
	call_oom(c);
	return -1;
}

/* c->old from the value of the store (NULL: absent). */
static int set_old(struct call *c, const void *value, size_t len, int64_t rev)
{
	char rv[24];

	json_decref(c->old);
	c->old = NULL;
	c->old_rev = 0;
	strbuf_clear(&c->managed);
	if (!value)
		return 0;
	if (managed_split(c->res, value, len, &c->old, &c->managed) < 0)
		return -EIO;
	custom_convert(c->res, c->old);
	snprintf(rv, sizeof(rv), "%lld", (long long)rev);
	obj_set_str(c->old, "metadata.resourceVersion", rv);
	c->old_rev = rev;
	return view_old(c);
}

static void read_cached(struct call *c)
{
	struct object *o;

	if (cache_retired(c))
		return;
	o = cache_get(c->res->view_of ? c->res->view_of : c->res, c->res->kind->namespaced ? c->ns : NULL, c->name);
	if (set_old(c, o ? o->json->data : NULL, o ? o->json->len : 0, o ? o->rev : 0) < 0)
		call_oom(c);
	else
		mutate_decide(c);
}

static void on_read(void *arg, int r, const struct store_range *range, const struct err *err)
{
	struct call *c = arg;
	const struct store_kv *kv = r == 0 && range->n ? &range->kvs[0] : NULL;

	if (r < 0)
		call_store_error(c, r, err);
	else if (set_old(c, kv ? kv->value : NULL, kv ? kv->value_len : 0, kv ? kv->mod_rev : 0) < 0)
		call_oom(c);
	else
		mutate_decide(c);
	call_unref(c);
}

void registry_mutate(struct call *c)
{
	if (registry_set_key(c) < 0)
		return;
	/* A creation needs no present object, but its namespace from the cache. */
	if (c->s->single_writer || c->creating)
		cache_wait_fresh(c, read_cached);
	else
		c->s->store->ops->range(c->s->store, c->key, "", 0, 1, false, on_read, call_ref(c));
}

static void answer_object(struct call *c, struct http_buf *json)
{
	if (c->reply)
		call_json(c, c->success_code ? c->success_code : 200, TAKE(c->reply));
	else
		call_object_buf(c, c->success_code ? c->success_code : 200, json);
}

/* The object as it is, unwritten: dry runs and changes that change nothing. */
static void answer_unwritten(struct call *c, json_t *obj)
{
	if (c->reply) {
		call_json(c, c->success_code ? c->success_code : 200, TAKE(c->reply));
		return;
	}
	managed_attach(managed_text(c), obj);
	call_object_json(c, c->success_code ? c->success_code : 200, obj);
}

void mutate_decide(struct call *c)
{
	if (!c->req && !c->finish)
		return;
	json_decref(c->obj);
	c->obj = NULL;
	json_decref(c->reply);
	c->reply = NULL;
	c->decided = c->change(c);
	if (c->decided == CHANGE_NONE)
		answer_unwritten(c, c->old);
	else if (c->decided != CHANGE_ANSWERED)
		admission_run(c, write_admitted);
}

static void write_admitted(struct call *c)
{
	struct apiserver *s = c->s;

	switch (c->decided) {
	case CHANGE_ANSWERED:
	case CHANGE_NONE:
		break;
	case CHANGE_WRITE:
		if (view_settle(c) < 0) {
			call_oom(c);
			break;
		}
		if (c->dry_run) {
			answer_unwritten(c, c->obj);
			break;
		}
		if (object_encode(c->res, c->obj, managed_text(c), &c->encoded) < 0) {
			call_oom(c);
			break;
		}
		if (streq(c->res->kind->plural, "events"))
			put_event(c);
		else if (c->n_held && !s->single_writer)
			service_reserve(c, put_plain);
		else
			put_plain(c);
		break;
	case CHANGE_DELETE:
		if (c->dry_run) {
			answer_unwritten(c, c->obj ? c->obj : c->old);
			break;
		}
		c->store_ns = clock_mono_ns();
		s->store->ops->del(s->store, c->key, c->old_rev, on_del, call_ref(c));
		break;
	}
}

static void put(struct call *c, int64_t lease)
{
	struct store *st = c->s->store;
	const struct resource *r = c->res;
	cleanup(strbuf_done) struct strbuf stored = STRBUF_INIT;
	const char *value = c->encoded.buf;
	size_t len = c->encoded.len;

	if (r->view_of) {
		if (view_encode(c, &stored) < 0) {
			call_oom(c);
			return;
		}
		value = stored.buf;
		len = stored.len;
	} else if (!streq(r->store_version, r->api_version)) {
		/* The same contents under the name of the version that is stored. */
		strbuf_addf(&stored, "{\"kind\":\"%s\",\"apiVersion\":\"%s\",\"metadata\":{", r->kind->kind,
			    r->store_version);
		strbuf_add(&stored, value + r->head_len, len - r->head_len);
		if (strbuf_oom(&stored)) {
			call_oom(c);
			return;
		}
		value = stored.buf;
		len = stored.len;
	}
	c->store_ns = clock_mono_ns();
	st->ops->put(st, c->key, c->old_rev, value, len, lease, on_put, call_ref(c));
}

static void put_plain(struct call *c)
{
	put(c, 0);
}

static void on_lease(void *arg, int r, int64_t lease, const struct err *err)
{
	struct call *c = arg;

	if (r < 0) {
		call_store_error(c, r, err);
	} else {
		c->s->event_lease = lease;
		c->s->event_lease_ms = clock_mono_ms();
		put(c, lease);
	}
	call_unref(c);
}

/* Events go away an hour after they were last written. */
static void put_event(struct call *c)
{
	struct apiserver *s = c->s;

	if (s->event_lease && clock_mono_ms() - s->event_lease_ms < EVENT_LEASE_SHARED_MS)
		put(c, s->event_lease);
	else
		s->store->ops->lease_grant(s->store, EVENT_TTL_S + EVENT_LEASE_SHARED_MS / 1000, on_lease, call_ref(c));
}

/* Somebody wrote in between. */
static void lost_race(struct call *c, const struct store_kv *current)
{
	service_release_held(c);
	if (c->creating && current) {
		if (c->generated_name && c->tries++ < MAX_TRIES) {
			char buf[16];
			size_t len = strlen(c->name);

			obj_random_suffix(buf, 5);
			memcpy(c->made_name + len - 5, buf, 5);
			if (registry_set_key(c) < 0)
				return;
			(void)set_old(c, NULL, 0, 0);
			mutate_decide(c);
			return;
		}
		{
			char name[256];

			call_status(c, 409, "AlreadyExists", "%s \"%s\" already exists",
				    call_resource_name(c, name, sizeof(name)), c->name);
		}
		return;
	}
	if (++c->tries > MAX_TRIES) {
		call_conflict(
			c,
			"the object has been modified; please apply your changes to the latest version and try again");
		return;
	}
	if (set_old(c, current ? current->value : NULL, current ? current->value_len : 0,
		    current ? current->mod_rev : 0) < 0)
		call_oom(c);
	else
		mutate_decide(c);
}

static void wrote(struct call *c, int64_t rev, const char *op)
{
	if (rev > c->s->written_rev)
		c->s->written_rev = rev;
	authz_wrote(c, rev);
	metric_observe(c->s->m_store, (double)(clock_mono_ns() - c->store_ns) / 1e9, op);
}

static void on_put(void *arg, int r, const struct store_txn_result *res, const struct err *err)
{
	struct call *c = arg;

	if (r < 0) {
		call_store_error(c, r, err);
	} else if (!res->succeeded) {
		lost_race(c, res->current);
	} else {
		size_t head = c->res->head_len;
		struct http_buf *b;
		char rv[64];
		int n = snprintf(rv, sizeof(rv), "\"resourceVersion\":\"%lld\",", (long long)res->rev);

		wrote(c, res->rev, "put");
		kind_created(c);
		b = http_buf_new(NULL, c->encoded.len + (size_t)n);
		if (b) {
			memcpy(b->data, c->encoded.buf, head);
			memcpy(b->data + head, rv, (size_t)n);
			memcpy(b->data + head + n, c->encoded.buf + head, c->encoded.len - head);
			if (c->reply) {
				char text[24];

				snprintf(text, sizeof(text), "%lld", (long long)res->rev);
				if (json_object_get(c->reply, "metadata") && api_get_str(c->reply, "metadata.name"))
					obj_set_str(c->reply, "metadata.resourceVersion", text);
			}
			answer_object(c, b);
			http_buf_unref(b);
		} else {
			call_oom(c);
		}
	}
	call_unref(c);
}

static void on_del(void *arg, int r, const struct store_txn_result *res, const struct err *err)
{
	struct call *c = arg;

	if (r < 0) {
		call_store_error(c, r, err);
	} else if (!res->succeeded) {
		lost_race(c, res->current);
	} else {
		json_t *last = c->obj ? c->obj : c->old;
		char rv[24];

		wrote(c, res->rev, "delete");
		snprintf(rv, sizeof(rv), "%lld", (long long)res->rev);
		if (last)
			obj_set_str(last, "metadata.resourceVersion", rv);
		answer_unwritten(c, last);
	}
	call_unref(c);
}
