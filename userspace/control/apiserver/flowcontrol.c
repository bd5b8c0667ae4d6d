/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Overload control of requests; see flowcontrol.h. Two things are rationed: seats, which a request holds from its
 * start to its answer (writes to the store, proxied requests, long lists), and the time of the one thread. The second
 * one is why requests wait although seats are free: in each turn of the loop requests run for SLICE_NS at most, then
 * the sockets are read again, so that what has come meanwhile is sorted and a heartbeat overtakes a thousand lists.
 */
#include "flowcontrol.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/arena.h"
#include "../../lib/base/cleanup.h"
#include "../../lib/base/clock.h"
#include "../../lib/base/log.h"
#include "../../lib/base/str.h"
#include "api/api_types.h"
#include "apiserver-internal.h"

#define GROUP		  "flowcontrol.apiserver.k8s.io"
#define SLICE_NS	  2000000
#define SEATS		  600 /* 400 reads and 200 writes, as Kubernetes' flags have it */
#define REQUEST_TIMEOUT_S 60
#define OBJECTS_PER_SEAT  100
#define MAX_WIDTH	  10

struct flow_schema {
	const char *name, *uid, *level_name, *level_uid;
	struct fq_level *level; /* NULL: there is none of that name */
	bool dangling_told;	/* the object says what is so */
	int64_t precedence;
	const struct api_flow_schema_spec *spec;
};

struct flow_config {
	unsigned refs;
	struct arena arena;
	struct flow_schema *schemas; /* by precedence, then name */
	size_t n;
};

struct flow {
	struct apiserver *s;
	struct fq *fq;
	struct flow_config *config;
	bool changed; /* the objects did since config was made */
	bool in_run;
	int64_t slice_ns; /* used in this turn of the loop */
	struct loop_timer turn;
	struct metric *m_rejected, *m_dispatched, *m_wait, *m_execution, *m_waiting, *m_executing, *m_seats, *m_nominal,
		*m_min, *m_max, *m_timeouts;
};

static void reconfigure(struct flow *f);
static void on_turn(struct loop_timer *timer);
static void on_deadline(struct loop_timer *timer);

/* --- life --------------------------------------------------------------------------------------------------------- */

static void on_change(struct resource *r, const struct object *cur, const struct object *prev)
{
	(void)cur;
	(void)prev;
	if (r->s->flow)
		r->s->flow->changed = true;
}

static void make_metrics(struct flow *f)
{
	static struct flow m;

#define FAMILY(member, type, name, help, labels)                                                                       \
	if (!m.member)                                                                                                 \
		m.member = metric_new(type, "apiserver_" name, help, labels, NULL, 0);                                 \
	f->member = m.member
	FAMILY(m_rejected, METRIC_COUNTER, "flowcontrol_rejected_requests_total", "Requests refused for overload.",
	       "flow_schema,priority_level,reason");
	FAMILY(m_dispatched, METRIC_COUNTER, "flowcontrol_dispatched_requests_total", "Requests started.",
	       "flow_schema,priority_level");
	FAMILY(m_wait, METRIC_HISTOGRAM, "flowcontrol_request_wait_duration_seconds", "Time spent waiting in queues.",
	       "flow_schema,priority_level,execute");
	FAMILY(m_execution, METRIC_HISTOGRAM, "flowcontrol_request_execution_seconds", "Time with a seat.",
	       "flow_schema,priority_level,type");
	FAMILY(m_waiting, METRIC_GAUGE, "flowcontrol_current_inqueue_requests", "Requests waiting in queues.",
	       "priority_level");
	FAMILY(m_executing, METRIC_GAUGE, "flowcontrol_current_executing_requests", "Requests with a seat.",
	       "priority_level");
	FAMILY(m_seats, METRIC_GAUGE, "flowcontrol_current_executing_seats", "Seats in use.", "priority_level");
	FAMILY(m_nominal, METRIC_GAUGE, "flowcontrol_nominal_limit_seats", "Seats of its own.", "priority_level");
	FAMILY(m_min, METRIC_GAUGE, "flowcontrol_lower_limit_seats", "Seats that it does not lend.", "priority_level");
	FAMILY(m_max, METRIC_GAUGE, "flowcontrol_upper_limit_seats", "Seats with all it may borrow.", "priority_level");
	FAMILY(m_timeouts, METRIC_COUNTER, "request_timeouts_total", "Requests that took longer than they may.",
	       "verb,resource");
#undef FAMILY
}

static void on_scrape(void *arg)
{
	struct flow *f = arg;
	struct fq_level_stat st;

	if (!f->s) /* its server is gone; the hook stays */
		return;
	for (size_t i = 0; fq_stat(f->fq, i, &st); i++) {
		metric_set(f->m_waiting, (double)st.waiting, st.name);
		metric_set(f->m_executing, (double)st.running, st.name);
		metric_set(f->m_seats, (double)st.in_use, st.name);
		metric_set(f->m_nominal, (double)st.nominal, st.name);
		metric_set(f->m_min, (double)st.min, st.name);
		metric_set(f->m_max, (double)st.max, st.name);
	}
}

int flow_init(struct apiserver *s, struct err *err)
{
	struct resource *schemas = cache_resource(s, GROUP, "flowschemas");
	struct resource *levels = cache_resource(s, GROUP, "prioritylevelconfigurations");
	struct flow *f = calloc(1, sizeof(*f));

	s->flow = f;
	if (f)
		f->fq = fq_new();
	if (!f || !f->fq)
		return err_set(err, ENOMEM, "out of memory");
	f->s = s;
	f->turn = (struct loop_timer){ .fn = on_turn, .arg = f };
	f->changed = true;
	schemas->on_change = levels->on_change = on_change;
	make_metrics(f);
	metrics_on_scrape(on_scrape, f);
	reconfigure(f);
	return f->config ? 0 : err_set(err, ENOMEM, "out of memory");
}

static void config_unref(struct flow_config *c)
{
	if (!c || --c->refs)
		return;
	arena_done(&c->arena);
	free(c->schemas);
	free(c);
}

void flow_done(struct apiserver *s)
{
	struct flow *f = s->flow;

	if (!f)
		return;
	loop_timer_cancel(&f->turn);
	config_unref(f->config);
	fq_free(f->fq);
	metrics_off_scrape(on_scrape, f);
	free(f);
	s->flow = NULL;
}

/* --- configuration ------------------------------------------------------------------------------------------------ */

static int by_precedence(const void *a, const void *b)
{
	const struct flow_schema *x = a, *y = b;

	if (x->precedence != y->precedence)
		return x->precedence < y->precedence ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* Typed, in arena memory; NULL: not readable, as an object that somebody wrote into the store by hand. */
static void *decode(const struct object *o, const struct api_type *type, struct arena *arena)
{
	struct err err = ERR_INIT;
	json_t *json = NULL;
	void *ret = NULL;

	if (api_json_parse(o->json->data, o->json->len, &json, NULL, NULL) == 0 &&
	    api_decode(type, json, arena, &ret, &err) < 0)
		log_warn("%s: %s, ignoring", o->key, err.msg);
	json_decref(json);
	return ret;
}

static int64_t opt(const struct api_opt_int *v, int64_t dflt)
{
	return v->set ? v->v : dflt;
}

static void level_config(const struct api_priority_level_configuration *p, struct fq_level_config *ret)
{
	const struct api_limited_priority_level_configuration *l = p->spec.limited;
	const struct api_exempt_priority_level_configuration *e = p->spec.exempt;

	*ret = (struct fq_level_config){ .name = p->metadata.name, .borrow_pct = -1, .queue_len = 50 };
	ret->exempt = streq(p->spec.type, "Exempt");
	if (ret->exempt) {
		ret->shares = (unsigned)(e ? opt(&e->nominal_concurrency_shares, 0) : 0);
		ret->lendable_pct = (unsigned)(e ? opt(&e->lendable_percent, 0) : 0);
	} else if (l) {
		const struct api_queuing_configuration *q = l->limit_response.queuing;

		ret->shares = (unsigned)opt(&l->nominal_concurrency_shares, 30);
		ret->lendable_pct = (unsigned)opt(&l->lendable_percent, 0);
		ret->borrow_pct = (int)opt(&l->borrowing_limit_percent, -1);
		ret->queues_up = streq(l->limit_response.type, "Queue") && q;
		if (ret->queues_up) {
			ret->queues = (unsigned)q->queues;
			ret->hand = (unsigned)q->hand_size;
			ret->queue_len = (unsigned)q->queue_length_limit;
		}
	}
}

struct level_uid {
	const char *name, *uid;
};

/* What stands in for the two levels without which there is no order, until they are made or if somebody removes them.
 */
static size_t add_missing_levels(struct fq_level_config *levels, struct level_uid *uids, size_t n)
{
	static const struct fq_level_config builtin[] = {
		{ .name = "exempt", .exempt = true, .borrow_pct = -1 },
		{ .name = "catch-all", .shares = 5, .borrow_pct = -1 },
	};

	for (size_t b = 0; b < 2; b++) {
		size_t i = 0;

		while (i < n && !streq(levels[i].name, builtin[b].name))
			i++;
		if (i < n)
			continue;
		uids[n] = (struct level_uid){ builtin[b].name, "" };
		levels[n++] = builtin[b];
	}
	return n;
}

static void set_schema(struct flow *f, struct flow_schema *ret, const struct api_flow_schema *o,
		       const struct level_uid *uids, size_t n_levels)
{
	bool told = false, dangling;

	*ret = (struct flow_schema){ .name = o->metadata.name,
				     .uid = o->metadata.uid ? o->metadata.uid : "",
				     .level_name = o->spec.priority_level_configuration.name,
				     .level_uid = "",
				     .precedence = o->spec.matching_precedence,
				     .spec = &o->spec };
	ret->level = fq_level(f->fq, ret->level_name);
	for (size_t i = 0; i < n_levels; i++)
		if (streq(uids[i].name, ret->level_name))
			ret->level_uid = uids[i].uid;
	dangling = !*ret->level_uid; /* built-in ones are no objects */
	for (size_t i = 0; i < o->status.n_conditions; i++)
		told |= streq(o->status.conditions[i].type, "Dangling") &&
			streq(o->status.conditions[i].status, dangling ? "True" : "False");
	ret->dangling_told = told;
}

static int read_objects(struct flow *f, struct flow_config *c)
{
	struct resource *rs = cache_resource(f->s, GROUP, "flowschemas");
	struct resource *rl = cache_resource(f->s, GROUP, "prioritylevelconfigurations");
	cleanup(free) struct fq_level_config *levels = calloc(rl->n + 2, sizeof(*levels));
	cleanup(free) struct level_uid *uids = calloc(rl->n + 2, sizeof(*uids));
	unsigned seats = f->s->config.max_seats ? f->s->config.max_seats : SEATS;
	size_t n = 0;

	c->schemas = calloc(rs->n + 1, sizeof(*c->schemas));
	if (!levels || !uids || !c->schemas)
		return -ENOMEM;
	for (size_t i = 0; i < rl->n; i++) {
		struct api_priority_level_configuration *p = decode(rl->objs[i], &api_type_priority_level_configuration,
								    &c->arena);

		if (!p)
			continue;
		uids[n] = (struct level_uid){ p->metadata.name, p->metadata.uid ? p->metadata.uid : "" };
		level_config(p, &levels[n++]);
	}
	n = add_missing_levels(levels, uids, n);
	if (fq_configure(f->fq, levels, n, seats) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < rs->n; i++) {
		struct api_flow_schema *o = decode(rs->objs[i], &api_type_flow_schema, &c->arena);

		if (o)
			set_schema(f, &c->schemas[c->n++], o, uids, n);
	}
	qsort(c->schemas, c->n, sizeof(*c->schemas), by_precedence);
	return 0;
}

static void reconfigure(struct flow *f)
{
	struct flow_config *c = calloc(1, sizeof(*c));

	f->changed = false;
	if (!c || (c->refs = 1, read_objects(f, c)) < 0) {
		log_error("flow control: out of memory, keeping the former configuration");
		config_unref(c);
		f->changed = f->config != NULL;
		return;
	}
	config_unref(f->config);
	f->config = c;
	if (!f->s->bootstrapped)
		return;
	flow_keep_defaults(f->s);
	for (size_t i = 0; i < c->n; i++)
		if (!c->schemas[i].dangling_told)
			flow_set_dangling(f->s, c->schemas[i].name, !*c->schemas[i].level_uid,
					  c->schemas[i].level_name);
}

/* --- one request -------------------------------------------------------------------------------------------------- */

static const struct flow_schema *classify(const struct flow_config *c, const struct authz_request *q)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->schemas[i].level && flow_matches(c->schemas[i].spec, q))
			return &c->schemas[i];
	return NULL;
}

/* Lists cost by the objects they may give; a watch that begins with them costs the same until it has begun. */
static unsigned width_of(const struct call *c)
{
	const struct resource *r = c->group[0] || c->resource[0] ? cache_resource(c->s, c->group, c->resource) : NULL;
	const char *rv = call_query((struct call *)c, "resourceVersion"),
		   *limit = call_query((struct call *)c, "limit");
	size_t n;
	int64_t l;

	if (!r || c->name[0])
		return 1;
	if (!streq(c->verb, "list") && !(streq(c->verb, "watch") && (!rv || !*rv || streq(rv, "0"))))
		return 1;
	n = r->n;
	if (c->ns[0] && r->kind->namespaced) {
		char from[300], to[300];

		snprintf(from, sizeof(from), "%s/", c->ns);
		snprintf(to, sizeof(to), "%s0", c->ns);
		n = cache_lower_bound(r, to) - cache_lower_bound(r, from);
	}
	if (streq(c->verb, "list") && limit && str_to_i64(limit, 1, INT32_MAX, &l) == 0 && (size_t)l < n)
		n = (size_t)l;
	n = (n + OBJECTS_PER_SEAT - 1) / OBJECTS_PER_SEAT;
	return n > MAX_WIDTH ? MAX_WIDTH : n ? (unsigned)n : 1;
}

static const char *schema_name(const struct call *c)
{
	return c->flow.schema ? c->flow.schema->name : "catch-all";
}

static const char *level_name(const struct call *c)
{
	return c->flow.schema ? c->flow.schema->level_name : "catch-all";
}

static void refuse(struct call *c, const char *reason)
{
	metric_add(c->s->flow->m_rejected, 1, schema_name(c), level_name(c), reason);
	call_status(c, 429, "TooManyRequests", "too many requests, please try again later");
}

static void arm_turn(struct flow *f)
{
	if (!loop_timer_pending(&f->turn))
		(void)loop_timer_set(f->s->loop, &f->turn, 0);
}

/* A client may wait for less than the server would work, not for more. */
static int request_timeout_ms(struct call *c)
{
	int ms = (c->s->config.request_timeout_s ? c->s->config.request_timeout_s : REQUEST_TIMEOUT_S) * 1000;
	const char *asked = call_query(c, "timeout");
	int64_t asked_ms;

	if (asked && str_to_duration_ms(asked, &asked_ms) == 0 && asked_ms > 0 && asked_ms < ms)
		ms = (int)asked_ms;
	return ms;
}

static void run(struct flow *f, struct call *c)
{
	int64_t begin = (int64_t)clock_mono_ns(), ns;
	int64_t waited = c->flow.req.state == FQ_RUNNING ? begin - c->flow.req.arrived_ns : 0;

	metric_add(f->m_dispatched, 1, schema_name(c), level_name(c));
	metric_observe(f->m_wait, (double)waited / 1e9, schema_name(c), level_name(c), "true");
	loop_timer_cancel(&c->flow.timer);
	call_ref(c);
	c->flow.run(c);
	ns = (int64_t)clock_mono_ns() - begin;
	fq_charge(f->fq, &c->flow.req, ns);
	f->slice_ns += ns;
	/* What the store or another server has to do has its time; streams have their own. */
	if (!call_dead(c) && !c->flow.long_running)
		(void)loop_timer_set(c->s->loop, &c->flow.timer, request_timeout_ms(c));
	call_unref(c);
}

/* Runs what may run until the slice is used up. Not from within itself: answers give seats back. */
static void pump(struct flow *f)
{
	struct fq_req *req;

	if (f->in_run)
		return;
	f->in_run = true;
	while (f->slice_ns < SLICE_NS && (req = fq_next(f->fq, (int64_t)clock_mono_ns())))
		run(f, container_of(container_of(req, struct flow_ticket, req), struct call, flow));
	f->in_run = false;
	if (f->slice_ns)
		arm_turn(f);
}

static void on_turn(struct loop_timer *timer)
{
	struct flow *f = timer->arg;

	f->slice_ns = 0;
	pump(f);
}

/* Waited too long for a seat, or took too long with one. */
static void on_deadline(struct loop_timer *timer)
{
	struct call *c = timer->arg;
	struct flow *f = c->s->flow;

	call_ref(c);
	if (c->flow.req.state == FQ_WAITING) {
		metric_observe(f->m_wait, (double)((int64_t)clock_mono_ns() - c->flow.req.arrived_ns) / 1e9,
			       schema_name(c), level_name(c), "false");
		refuse(c, "time-out");
	} else if (!call_dead(c)) {
		metric_add(f->m_timeouts, 1, c->verb, c->resource);
		call_status(c, 504, "Timeout",
			    "request did not complete within the allowed duration; it may still take effect");
	}
	call_unref(c);
}

static bool is_long_running(const struct call *c)
{
	return streq(c->verb, "watch") || streq(c->sub, "exec") || streq(c->sub, "attach") ||
	       streq(c->sub, "portforward") || streq(c->sub, "proxy") ||
	       (streq(c->sub, "log") && call_query_true((struct call *)c, "follow"));
}

void flow_enter(struct call *c, const char *path, void (*fn)(struct call *c))
{
	struct authz_request q = { .who = &c->who,
				   .verb = c->verb,
				   .group = c->group,
				   .resource = c->resource,
				   .sub = c->sub,
				   .ns = c->ns,
				   .name = c->name,
				   .path = path };
	struct flow *f = c->s->flow;
	struct flow_ticket *t = &c->flow;
	struct fq_level *level;
	uint64_t hash;

	if (f->changed)
		reconfigure(f);
	t->run = fn;
	t->timer = (struct loop_timer){ .fn = on_deadline, .arg = c };
	t->config = f->config;
	t->config->refs++;
	t->schema = classify(f->config, &q);
	t->entered = true;
	t->long_running = is_long_running(c);
	level = t->schema ? t->schema->level : NULL;
	if (!level) /* before the objects are made, or somebody removed catch-all */
		level = fq_level(f->fq, identity_in_group(&c->who, "system:masters") ? "exempt" : "catch-all");
	if (t->schema && c->req) {
		http_add_header(c->req, "X-Kubernetes-PF-FlowSchema-UID", t->schema->uid);
		http_add_header(c->req, "X-Kubernetes-PF-PriorityLevel-UID", t->schema->level_uid);
	}
	hash = str_hash(schema_name(c), strlen(schema_name(c)));
	if (t->schema) {
		const char *flow = flow_distinguisher(t->schema->spec, &q);

		hash ^= str_hash(flow, strlen(flow)) * 0x9e3779b97f4a7c15u;
	}
	switch (fq_enter(f->fq, level, hash, width_of(c), (int64_t)clock_mono_ns(), &t->req)) {
	case FQ_RUN:
		run(f, c);
		return;
	case FQ_WAIT:
		/* a quarter of a request's time, as Kubernetes */
		if (f->slice_ns >= SLICE_NS || f->in_run || fq_waiting(f->fq) > 1)
			(void)loop_timer_set(c->s->loop, &t->timer, request_timeout_ms(c) / 4);
		pump(f);
		if (t->req.state == FQ_WAITING && !loop_timer_pending(&t->timer))
			(void)loop_timer_set(c->s->loop, &t->timer, request_timeout_ms(c) / 4);
		return;
	case FQ_FULL:
		refuse(c, "queue-full");
		return;
	case FQ_LIMIT:
		refuse(c, "concurrency-limit");
		return;
	}
}

void flow_leave(struct call *c)
{
	struct flow_ticket *t = &c->flow;
	struct flow *f = c->s->flow;

	if (!t->entered)
		return;
	t->entered = false;
	loop_timer_cancel(&t->timer);
	if (t->req.state == FQ_RUNNING)
		metric_observe(f->m_execution, (double)((int64_t)clock_mono_ns() - t->req.started_ns) / 1e9,
			       schema_name(c), level_name(c), "regular");
	else if (t->req.state == FQ_WAITING && !c->req)
		metric_add(f->m_rejected, 1, schema_name(c), level_name(c), "cancelled");
	fq_leave(f->fq, &t->req, (int64_t)clock_mono_ns());
	if (fq_waiting(f->fq))
		arm_turn(f);
	t->schema = NULL;
	config_unref(TAKE(t->config));
}

void flow_abandon(struct call *c)
{
	if (c->flow.req.state == FQ_WAITING)
		flow_leave(c);
}
