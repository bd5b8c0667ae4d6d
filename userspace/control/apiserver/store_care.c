/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking after the store. Compaction: what was newest one interval ago is the oldest that stays readable. Of several
 * servers on one etcd one compacts: they compare and put one key, whose value is the revision to compact next time,
 * and whoever wins the put does it. Room: the members' sizes and alarms are looked at regularly; a warning comes when
 * a store is four fifths full, as a line in the log, an Event and a metric, long before writes stop.
 */
#include "apiserver-internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "../../lib/base/clock.h"
#include "../../lib/base/log.h"
#include "../../lib/base/str.h"

#define COMPACT_S     300
#define CARE_MS	      30000
#define COMPACT_KEY   "/-/compact" /* no resource's */
#define QUOTA_DEFAULT ((int64_t)2 << 30)
#define WARN_PERCENT  80
#define REMIND_MS     3600000

struct store_care {
	struct apiserver *s;
	struct loop_timer compact_timer, care_timer;
	int64_t rev;	 /* the cache's, one interval ago */
	int64_t key_rev; /* of COMPACT_KEY as last seen; 0: absent */
	int64_t agreed;	 /* its value: what is compacted when the next put succeeds */
	char value[24];	 /* being put */
	bool full, warned;
	int64_t told_ms;
	struct metric *m_size, *m_in_use, *m_quota, *m_alarm, *m_up, *m_compactions;
};

/* --- compaction ----------------------------------------------------------------------------------------------------
 */

static int64_t interval_ms(const struct store_care *k)
{
	return (int64_t)(k->s->config.compact_interval_s ? k->s->config.compact_interval_s : COMPACT_S) * 1000;
}

static void on_compacted(void *arg, int r, const struct err *err)
{
	struct store_care *k = arg;

	if (r == 0)
		metric_add(k->m_compactions, 1);
	else if (r != -ESTALE && r != -ECANCELED)
		log_warn("compaction: %s, trying again at the next turn", err && err->code ? err->msg : strerror(-r));
}

static void compact(struct store_care *k, int64_t rev)
{
	struct store *st = k->s->store;

	if (rev > 0)
		st->ops->compact(st, rev, on_compacted, k);
}

static void on_agreed(void *arg, int r, const struct store_txn_result *res, const struct err *err)
{
	struct store_care *k = arg;
	int64_t due = k->agreed;

	if (r < 0) {
		if (r != -ECANCELED)
			log_warn("compaction: %s, trying again at the next turn",
				 err && err->code ? err->msg : strerror(-r));
		return;
	}
	if (res->succeeded) {
		k->key_rev = res->rev;
		k->agreed = strtoll(k->value, NULL, 10);
		compact(k, due);
		return;
	}
	/* Another server's turn: its revision is what comes next. */
	k->key_rev = res->current ? res->current->mod_rev : 0;
	k->agreed = 0;
	if (res->current && res->current->value_len < sizeof(k->value)) {
		char text[sizeof(k->value)];

		memcpy(text, res->current->value, res->current->value_len);
		text[res->current->value_len] = '\0';
		(void)str_to_i64(text, 1, INT64_MAX, &k->agreed);
	}
}

static void on_compact_timer(struct loop_timer *timer)
{
	struct store_care *k = timer->arg;
	struct apiserver *s = k->s;

	if (s->loaded && s->rev > 0) {
		if (s->single_writer) {
			compact(k, k->rev);
			k->rev = s->rev;
		} else {
			snprintf(k->value, sizeof(k->value), "%lld", (long long)s->rev);
			s->store->ops->put(s->store, COMPACT_KEY, k->key_rev, k->value, strlen(k->value), 0, on_agreed,
					   k);
		}
	}
	service_sweep(s);
	for (size_t i = 0; i < s->n_resources; i++)
		if (!s->resources[i]->view_of)
			metric_set(s->m_objects, (double)s->resources[i]->n, s->resources[i]->kind->plural);
	(void)loop_timer_set(s->loop, timer, interval_ms(k));
}

/* --- room ----------------------------------------------------------------------------------------------------------
 */

static void on_event_written(struct call *c, int code, const char *body, size_t len)
{
	if (code >= 300 && !c->s->stopping)
		log_warn("event: %d %.*s", code, (int)(len > 200 ? 200 : len), body);
}

static enum change create_event(struct call *c)
{
	c->obj = json_deep_copy(c->body);
	if (c->obj)
		return CHANGE_WRITE;
	call_oom(c);
	return CHANGE_ANSWERED;
}

static void write_event(struct apiserver *s, const char *reason, const char *text)
{
	char now[40], name[64], random[16];
	struct call *c;

	if (!s->bootstrapped)
		return;
	obj_now(now);
	obj_random_suffix(random, 10);
	snprintf(name, sizeof(name), "store.%s", random);
	c = call_new_inner(s, "create", cache_resource(s, "", "events"), "kube-system", name, "");
	if (!c)
		return;
	c->finish = on_event_written;
	c->creating = true;
	c->body = json_pack("{s:s,s:s,s:{s:s,s:s},s:{s:s,s:s,s:s},s:s,s:s,s:s,s:s,s:s,s:i,s:{s:s}}", "kind", "Event",
			    "apiVersion", "v1", "metadata", "name", name, "namespace", "kube-system", "involvedObject",
			    "kind", "Namespace", "name", "kube-system", "namespace", "kube-system", "type", "Warning",
			    "reason", reason, "message", text, "firstTimestamp", now, "lastTimestamp", now, "count", 1,
			    "source", "component", "skep-apiserver");
	c->change = create_event;
	if (c->body && object_prepare_create(c, c->body) == 0)
		registry_mutate(c);
	call_unref(c);
}

/* Once when it begins, and every hour while it lasts. */
static void tell(struct store_care *k, bool full, bool filling, const char *text)
{
	int64_t now = clock_mono_ms();
	bool changed = full != k->full || filling != k->warned;

	if (!full && !filling) {
		if (changed)
			log_info("store: there is room again");
	} else if (changed || now - k->told_ms > REMIND_MS) {
		k->told_ms = now;
		if (full)
			log_error("store: %s", text);
		else
			log_warn("store: %s", text);
		write_event(k->s, full ? "StoreFull" : "StoreFillingUp", text);
	}
	k->full = full;
	k->warned = filling;
}

static void on_status(void *arg, int r, const struct store_status *st, const struct err *err)
{
	struct store_care *k = arg;
	struct apiserver *s = k->s;
	const struct store_member *worst = NULL;
	int64_t worst_percent = 0;
	char text[400] = "";

	(void)err;
	if (r < 0 || s->stopping)
		return;
	for (size_t i = 0; i < st->n; i++) {
		const struct store_member *m = &st->members[i];
		int64_t quota = m->quota ? m->quota : s->config.etcd_quota ? s->config.etcd_quota : QUOTA_DEFAULT;

		metric_set(k->m_up, m->up, m->name);
		if (!m->up)
			continue;
		metric_set(k->m_size, (double)m->size, m->name);
		metric_set(k->m_in_use, (double)m->in_use, m->name);
		metric_set(k->m_quota, (double)quota, m->name);
		if (m->size / (quota / 100) > worst_percent || !worst) {
			worst = m;
			worst_percent = m->size / (quota / 100);
		}
	}
	metric_set(k->m_alarm, st->no_space, "NOSPACE");
	metric_set(k->m_alarm, st->corrupt, "CORRUPT");
	if (st->no_space)
		snprintf(text, sizeof(text),
			 "etcd raised the alarm NOSPACE: nothing can be written. Delete what is not needed, then run "
			 "`etcdctl defrag` and `etcdctl alarm disarm`, or give it a larger --quota-backend-bytes");
	else if (worst)
		snprintf(text, sizeof(text),
			 "etcd %s is %lld%% full (%lld MiB, of which %lld MiB in use): when it is full nothing can be "
			 "written. Run `etcdctl defrag`, delete what is not needed, or give it a larger "
			 "--quota-backend-bytes",
			 worst->name, (long long)worst_percent, (long long)(worst->size >> 20),
			 (long long)(worst->in_use >> 20));
	tell(k, st->no_space, !st->no_space && worst_percent >= WARN_PERCENT, text);
	if (st->corrupt)
		log_error("store: etcd raised the alarm CORRUPT: a member's data differs from the others'");
}

/* The embedded store fills its file system. */
static void look_at_disk(struct store_care *k)
{
	const char *dir = k->s->config.store + strlen("sqlite:");
	struct statvfs fs;
	struct stat st;
	char path[512], text[400];
	int64_t size = 0, left;
	bool filling;

	snprintf(path, sizeof(path), "%s/store.db", dir);
	if (stat(path, &st) == 0)
		size = (int64_t)st.st_size;
	if (statvfs(dir, &fs) < 0)
		return;
	left = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
	metric_set(k->m_size, (double)size, "sqlite");
	metric_set(k->m_quota, (double)(size + left), "sqlite");
	filling = size / ((size + left) / 100 + 1) >= WARN_PERCENT || left < (64 << 20);
	snprintf(text, sizeof(text),
		 "the file system of '%s' has %lld MiB left: when it is full nothing can be written", dir,
		 (long long)(left >> 20));
	tell(k, false, filling, text);
}

static void on_care_timer(struct loop_timer *timer)
{
	struct store_care *k = timer->arg;
	struct apiserver *s = k->s;

	if (s->store->ops->status)
		s->store->ops->status(s->store, on_status, k);
	else if (s->config.store && str_starts(s->config.store, "sqlite:"))
		look_at_disk(k);
	(void)loop_timer_set(s->loop, timer, s->config.care_interval_ms ? s->config.care_interval_ms : CARE_MS);
}

/* --- life ----------------------------------------------------------------------------------------------------------
 */

int store_care_init(struct apiserver *s, struct err *err)
{
	static struct metric *size, *in_use, *quota, *alarm, *up, *compactions;
	struct store_care *k = calloc(1, sizeof(*k));

	if (!k)
		return err_set(err, ENOMEM, "out of memory");
	if (!size) {
		size = metric_new(METRIC_GAUGE, "apiserver_storage_size_bytes", "Size of the store's file.", "server",
				  NULL, 0);
		in_use = metric_new(METRIC_GAUGE, "apiserver_storage_in_use_bytes", "What of it is used.", "server",
				    NULL, 0);
		quota = metric_new(METRIC_GAUGE, "apiserver_storage_quota_bytes", "What it may grow to.", "server",
				   NULL, 0);
		alarm = metric_new(METRIC_GAUGE, "apiserver_storage_alarm", "1: the store raised this alarm.", "type",
				   NULL, 0);
		up = metric_new(METRIC_GAUGE, "apiserver_storage_member_up", "1: the member answers.", "server", NULL,
				0);
		compactions = metric_new(METRIC_COUNTER, "apiserver_storage_compactions_total",
					 "Compactions by this server.", "", NULL, 0);
	}
	k->s = s;
	k->m_size = size;
	k->m_in_use = in_use;
	k->m_quota = quota;
	k->m_alarm = alarm;
	k->m_up = up;
	k->m_compactions = compactions;
	k->compact_timer = (struct loop_timer){ .fn = on_compact_timer, .arg = k };
	k->care_timer = (struct loop_timer){ .fn = on_care_timer, .arg = k };
	s->care = k;
	(void)loop_timer_set(s->loop, &k->compact_timer, interval_ms(k));
	(void)loop_timer_set(s->loop, &k->care_timer, 1000);
	return 0;
}

void store_care_stop(struct apiserver *s)
{
	if (!s->care)
		return;
	loop_timer_cancel(&s->care->compact_timer);
	loop_timer_cancel(&s->care->care_timer);
}

void store_care_done(struct apiserver *s)
{
	free(s->care);
	s->care = NULL;
}
