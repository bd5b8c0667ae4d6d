/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the members of the cluster are: each is asked for itself, and one that is reached for the cluster's alarms. A
 * member that does not answer is part of the answer, not a failure of the question.
 */
#include "../../lib/base/cleanup.h"
#include "etcd-internal.h"

#define TIMEOUT_MS 3000

struct etcd_status {
	struct list node;
	struct etcd_store *s;
	void (*fn)(void *arg, int r, const struct store_status *status, const struct err *err);
	void *arg;
	struct etcd_probe {
		struct etcd_status *st;
		struct grpc_call *call;
		char error[200], version[32];
	} probes[ETCD_MAX_ENDPOINTS], alarm;
	struct store_member members[ETCD_MAX_ENDPOINTS];
	bool no_space, corrupt;
	unsigned pending, alarm_at;
	struct loop_timer timer; /* everything was answered within the call that asked */
};

static void ask_alarms(struct etcd_status *st, unsigned from);

static void finish(struct etcd_status *st)
{
	struct store_status out = {
		.members = st->members, .n = st->s->n_endpoints, .no_space = st->no_space, .corrupt = st->corrupt
	};

	list_remove(&st->node);
	loop_timer_cancel(&st->timer);
	st->fn(st->arg, 0, &out, NULL);
	free(st);
}

static void on_timer(struct loop_timer *timer)
{
	finish(timer->arg);
}

static void one_less(struct etcd_status *st)
{
	if (--st->pending == 0 && loop_timer_set(st->s->loop, &st->timer, 0) < 0)
		abort(); /* as where an operation cannot be told of: see store_etcd.c */
}

static void on_status(void *arg, const struct grpc_status *status, const ProtobufCMessage *msg)
{
	const Etcdpb__StatusResponse *rsp = (const Etcdpb__StatusResponse *)msg;
	struct etcd_probe *p = arg;
	struct store_member *m = &p->st->members[p - p->st->probes];

	p->call = NULL;
	if (status->code) {
		snprintf(p->error, sizeof(p->error), "%s", status->message);
	} else {
		m->up = true;
		m->leader = rsp->header && rsp->leader && rsp->leader == rsp->header->member_id;
		m->has_leader = rsp->leader != 0;
		m->size = rsp->db_size;
		m->in_use = rsp->db_size_in_use;
		m->quota = rsp->db_size_quota;
		snprintf(p->version, sizeof(p->version), "%s", rsp->version ? rsp->version : "");
		if (rsp->n_errors)
			snprintf(p->error, sizeof(p->error), "%s", rsp->errors[0]);
		etcd_note_header(p->st->s, rsp->header);
	}
	one_less(p->st);
}

static void on_alarms(void *arg, const struct grpc_status *status, const ProtobufCMessage *msg)
{
	const Etcdpb__AlarmResponse *rsp = (const Etcdpb__AlarmResponse *)msg;
	struct etcd_probe *p = arg;
	struct etcd_status *st = p->st;

	p->call = NULL;
	if (status->code && st->alarm_at + 1 < st->s->n_endpoints) {
		ask_alarms(st, st->alarm_at + 1);
	} else {
		for (size_t i = 0; !status->code && i < rsp->n_alarms; i++) {
			st->no_space |= rsp->alarms[i]->alarm == 1;
			st->corrupt |= rsp->alarms[i]->alarm == 2;
		}
	}
	one_less(st);
}

static void ask_alarms(struct etcd_status *st, unsigned from)
{
	Etcdpb__AlarmRequest q = ETCDPB__ALARM_REQUEST__INIT;

	st->alarm_at = from;
	st->pending++;
	st->alarm.st = st;
	st->alarm.call = grpc_unary(st->s->endpoints[(st->s->current + from) % st->s->n_endpoints],
				    "/etcdserverpb.Maintenance/Alarm", &q.base, &etcdpb__alarm_response__descriptor,
				    TIMEOUT_MS, on_alarms, &st->alarm);
	if (!st->alarm.call)
		one_less(st);
}

void etcd_status(struct store *base, void (*fn)(void *, int, const struct store_status *, const struct err *),
		 void *arg)
{
	struct etcd_store *s = container_of(base, struct etcd_store, base);
	struct etcd_status *st = calloc(1, sizeof(*st));
	Etcdpb__StatusRequest q = ETCDPB__STATUS_REQUEST__INIT;

	if (!st)
		abort();
	st->s = s;
	st->fn = fn;
	st->arg = arg;
	st->timer = (struct loop_timer){ .fn = on_timer, .arg = st };
	st->pending = 1;
	list_push_back(&s->statuses, &st->node);
	for (unsigned i = 0; i < s->n_endpoints; i++) {
		st->probes[i].st = st;
		st->members[i] = (struct store_member){ .name = s->urls[i],
							.version = st->probes[i].version,
							.error = st->probes[i].error };
		st->pending++;
		st->probes[i].call = grpc_unary(s->endpoints[i], "/etcdserverpb.Maintenance/Status", &q.base,
						&etcdpb__status_response__descriptor, TIMEOUT_MS, on_status,
						&st->probes[i]);
		if (!st->probes[i].call) {
			snprintf(st->probes[i].error, sizeof(st->probes[i].error), "out of memory");
			st->pending--;
		}
	}
	ask_alarms(st, 0);
	one_less(st);
}

void etcd_statuses_free(struct etcd_store *s)
{
	while (!list_empty(&s->statuses)) {
		struct etcd_status *st = list_first(&s->statuses, struct etcd_status, node);
		struct err err = ERR_INIT;

		list_remove(&st->node);
		loop_timer_cancel(&st->timer);
		grpc_cancel(st->alarm.call);
		for (unsigned i = 0; i < s->n_endpoints; i++)
			grpc_cancel(st->probes[i].call);
		store_err(&err, -ECANCELED, "the store is closed");
		st->fn(st->arg, -ECANCELED, NULL, &err);
		free(st);
	}
}
