/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches on etcd: a stream each, opened again at another endpoint from the first undelivered revision when it
 * breaks, so that its owner sees neither gap nor repetition, only delay. A watch "from the next revision" starts
 * behind what any answer to this store has told of, so that it cannot miss a write whose acknowledgement came before
 * it.
 */
#include "../../lib/base/cleanup.h"
#include "etcd-internal.h"

#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 2000
#define SILENT_MS      1000 /* a stream that says nothing for so long is asked whether it lives */
#define SILENT_MAX     4    /* times in a row without an answer: another member is tried */
#define ANY_WATCH      (-1) /* watch_id of the answer */

struct store_watch {
	struct etcd_store *s;
	struct list node;
	char *start, *end; /* with prefix; end NULL: start only */
	int64_t next_rev;  /* first one not delivered; 0: whatever comes next */
	store_watch_fn *fn;
	void *arg;
	struct grpc_call *call; /* NULL: waiting to connect, or ended */
	unsigned endpoint;
	struct loop_timer timer;
	int backoff_ms;
	bool heard; /* something came since the timer ran */
	unsigned silent;
	unsigned depth; /* callbacks on the stack */
	bool dead;	/* unwatched in one of them */
	bool too_old;	/* to be told so on the next turn */
};

static void connect_later(struct store_watch *w);
static void on_timer(struct loop_timer *timer);

static void watch_free(struct store_watch *w)
{
	list_remove(&w->node);
	loop_timer_cancel(&w->timer);
	grpc_cancel(w->call);
	free(w->start);
	free(w->end);
	free(w);
}

static void connect_now(struct store_watch *w);

struct store_watch *etcd_watch(struct store *base, const char *start, const char *end, int64_t from_rev,
			       store_watch_fn *fn, void *arg)
{
	struct etcd_store *s = container_of(base, struct etcd_store, base);
	struct store_watch *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->s = s;
	list_push_back(&s->watches, &w->node);
	w->timer.fn = on_timer;
	w->timer.arg = w;
	w->fn = fn;
	w->arg = arg;
	w->next_rev = from_rev > 0 ? from_rev : s->seen_rev ? s->seen_rev + 1 : 0;
	if (asprintf(&w->start, "%s%s", s->prefix, start) < 0)
		w->start = NULL;
	if (end[0] && asprintf(&w->end, "%s%s", s->prefix, end) < 0)
		w->end = NULL;
	if (!w->start || (end[0] && !w->end)) {
		watch_free(w);
		return NULL;
	}
	connect_now(w);
	return w;
}

void etcd_unwatch(struct store_watch *w)
{
	if (!w)
		return;
	if (w->depth)
		w->dead = true;
	else
		watch_free(w);
}

/* Those "from the next revision" begin here, before anything that waited with them is written. */
void etcd_watches_start(struct etcd_store *s)
{
	list_for_each (n, &s->watches) {
		struct store_watch *w = list_entry(n, struct store_watch, node);

		if (w->call || w->too_old)
			continue;
		if (!w->next_rev)
			w->next_rev = s->seen_rev + 1;
		loop_timer_cancel(&w->timer);
		connect_now(w);
	}
}

void etcd_watches_free(struct etcd_store *s)
{
	while (!list_empty(&s->watches))
		watch_free(list_first(&s->watches, struct store_watch, node));
}

static void leave(struct store_watch *w)
{
	if (--w->depth == 0 && w->dead)
		watch_free(w);
}

/* The last callback of this watch. */
static void watch_fail(struct store_watch *w, int r, const char *msg)
{
	struct grpc_call *call = TAKE(w->call);
	struct err err = ERR_INIT;

	grpc_cancel(call);
	loop_timer_cancel(&w->timer);
	store_err(&err, r, msg);
	w->fn(w->arg, r, w->next_rev > 0 ? w->next_rev - 1 : 0, NULL, 0, &err);
}

static void deliver(struct store_watch *w, Etcdpb__Event **list, size_t n)
{
	cleanup(free) struct store_event *events = calloc(n, sizeof(*events));
	cleanup(strbuf_done) struct strbuf keys = STRBUF_INIT;
	int64_t rev = list[0]->kv->mod_revision + w->s->offset;
	size_t size = 0;

	if (rev < w->next_rev)
		return; /* known already */
	for (size_t i = 0; i < n; i++)
		size += list[i]->kv->key.len + 1;
	if (!events || strbuf_reserve(&keys, size) < 0) {
		watch_fail(w, -ENOMEM, "out of memory");
		return;
	}
	for (size_t i = 0; i < n; i++) {
		etcd_kv(w->s, list[i]->kv, &keys, &events[i].kv);
		events[i].type = list[i]->type ? STORE_DELETE : STORE_PUT;
		if (list[i]->prev_kv) {
			const Etcdpb__KeyValue *prev = list[i]->prev_kv;

			events[i].prev_value = prev->value.len ? (const void *)prev->value.data : "";
			events[i].prev_len = prev->value.len;
			events[i].prev_mod_rev = prev->mod_revision + w->s->offset;
		}
	}
	w->next_rev = rev + 1;
	w->fn(w->arg, 0, rev, events, n, NULL);
}

static void on_cancelled(struct store_watch *w, const Etcdpb__WatchResponse *rsp)
{
	cleanup(free) char *msg = NULL;
	int r;

	if (rsp->compact_revision > 0) {
		r = store_fail(&msg, ESTALE, "revision %lld is compacted, the oldest is %lld", (long long)w->next_rev,
			       (long long)(rsp->compact_revision + w->s->offset));
		watch_fail(w, r, msg);
	} else if (strstr(rsp->cancel_reason, "permission denied")) {
		r = store_fail(&msg, EACCES, "etcd %s: watch: %s", w->s->urls[w->endpoint], rsp->cancel_reason);
		watch_fail(w, r, msg);
	} else {
		/* "no leader" and the like */
		etcd_leave_endpoint(w->s, w->endpoint);
		connect_later(w);
	}
}

static void on_msg(struct grpc_call *call, void *arg, const ProtobufCMessage *msg)
{
	const Etcdpb__WatchResponse *rsp = (const Etcdpb__WatchResponse *)msg;
	struct store_watch *w = arg;
	int64_t rev = rsp->header ? rsp->header->revision + w->s->offset : 0;
	bool progress = !rsp->created && !rsp->canceled && !rsp->n_events;

	if (w->call != call)
		return;
	w->heard = true;
	w->silent = 0;
	/* Its revision is of no use: etcd before 3.5.8 and 3.4.25 may say it before events that it covers. */
	if (rsp->watch_id == ANY_WATCH && !rsp->created && !rsp->canceled)
		return;
	w->depth++;
	w->backoff_ms = 0;
	if (rsp->canceled) {
		on_cancelled(w, rsp);
		leave(w);
		return;
	}
	if (rsp->created && !w->next_rev)
		w->next_rev = rev + 1;
	for (size_t i = 0, n; i < rsp->n_events && !w->dead && w->call; i += n) {
		for (n = 1; i + n < rsp->n_events; n++)
			if (rsp->events[i + n]->kv->mod_revision != rsp->events[i]->kv->mod_revision)
				break;
		deliver(w, rsp->events + i, n);
	}
	if (progress && rev >= w->next_rev) {
		w->next_rev = rev + 1;
		w->fn(w->arg, 0, rev, NULL, 0, NULL);
	}
	etcd_note_header(w->s, rsp->header);
	leave(w);
}

static void on_stream_done(struct grpc_call *call, void *arg, const struct grpc_status *status)
{
	struct store_watch *w = arg;
	cleanup(free) char *msg = NULL;
	int r;

	if (w->call != call)
		return;
	w->call = NULL;
	r = etcd_fail(w->s, w->endpoint, status, &msg);
	w->depth++;
	if (r == -EACCES || r == -EOPNOTSUPP) {
		watch_fail(w, r, msg);
	} else {
		etcd_leave_endpoint(w->s, w->endpoint);
		connect_later(w);
	}
	leave(w);
}

static void listen_on(struct store_watch *w)
{
	w->heard = false;
	if (loop_timer_set(w->s->loop, &w->timer, SILENT_MS) < 0)
		watch_fail(w, -ENOMEM, "out of memory");
}

/*
 * A member may hold the connection and say nothing, and frames may lie in libcurl (7.88) or here until the connection
 * is used again. So a silent stream is asked for its progress; one that does not answer is given up.
 */
static void check_alive(struct store_watch *w)
{
	Etcdpb__WatchProgressRequest progress = ETCDPB__WATCH_PROGRESS_REQUEST__INIT;
	Etcdpb__WatchRequest q = ETCDPB__WATCH_REQUEST__INIT;

	if (!w->heard) {
		q.request_union_case = ETCDPB__WATCH_REQUEST__REQUEST_UNION_PROGRESS_REQUEST;
		q.progress_request = &progress;
		if (++w->silent > SILENT_MAX || grpc_send(w->call, &q.base) < 0) {
			etcd_leave_endpoint(w->s, w->endpoint);
			connect_later(w);
			return;
		}
	}
	listen_on(w);
}

static void connect_now(struct store_watch *w)
{
	static const struct grpc_stream_ops stream = { on_msg, on_stream_done };
	Etcdpb__WatchCreateRequest create = ETCDPB__WATCH_CREATE_REQUEST__INIT;
	Etcdpb__WatchRequest q = ETCDPB__WATCH_REQUEST__INIT;

	if (!w->s->offset_known) {
		etcd_need_offset(w->s);
		connect_later(w);
		return;
	}
	if (w->next_rev && w->next_rev <= w->s->offset) {
		w->too_old = true;
		if (loop_timer_set(w->s->loop, &w->timer, 0) < 0)
			abort();
		return;
	}
	create.key = etcd_bytes(w->start, strlen(w->start));
	if (w->end)
		create.range_end = etcd_bytes(w->end, strlen(w->end));
	create.start_revision = w->next_rev ? w->next_rev - w->s->offset : 0;
	create.prev_kv = true;
	create.progress_notify = true;
	q.request_union_case = ETCDPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
	q.create_request = &create;
	w->endpoint = w->s->current;
	w->silent = 0;
	w->call = grpc_stream(w->s->endpoints[w->endpoint], "/etcdserverpb.Watch/Watch", &q.base, true,
			      &etcdpb__watch_response__descriptor, &stream, w);
	if (!w->call)
		connect_later(w);
	else
		listen_on(w);
}

static void connect_later(struct store_watch *w)
{
	struct grpc_call *call = TAKE(w->call);

	grpc_cancel(call);
	w->backoff_ms = w->backoff_ms ? w->backoff_ms * 2 : BACKOFF_MIN_MS;
	if (w->backoff_ms > BACKOFF_MAX_MS)
		w->backoff_ms = BACKOFF_MAX_MS;
	if (loop_timer_set(w->s->loop, &w->timer, w->backoff_ms) < 0)
		watch_fail(w, -ENOMEM, "out of memory");
}

static void on_timer(struct loop_timer *timer)
{
	struct store_watch *w = timer->arg;
	cleanup(free) char *msg = NULL;
	int r;

	if (w->call) {
		check_alive(w);
		return;
	}
	if (!w->too_old) {
		connect_now(w);
		return;
	}
	r = store_fail(&msg, ESTALE, "revision %lld is compacted, the oldest is above %lld", (long long)w->next_rev,
		       (long long)w->s->offset);
	w->depth++;
	watch_fail(w, r, msg);
	leave(w);
}
