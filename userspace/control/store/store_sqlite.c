/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The embedded store, on the loop's side: operations go into the writer's or the readers' queue and come back through
 * the list of completions, which an eventfd announces. See sqlite-internal.h for the whole.
 */
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <unistd.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/file.h"
#include "sqlite-internal.h"

static const struct store_ops ops;

static void on_wake(struct loop_io *io, uint32_t events);
static void on_progress(struct loop_timer *timer);
static void store_free(struct sqlite_store *s);

DEFINE_CLEANUP(struct sqlite_store *, store_free);

/* One process per database: SQLite would allow two, whose revisions and watches would not know of each other. */
int sq_take_lock(struct sqlite_store *s, const char *dir, struct err *err)
{
	cleanup(free) char *path = NULL;
	char text[32];
	ssize_t n;

	if (asprintf(&path, "%s/lock", dir) < 0) {
		path = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lock_fd < 0)
		return err_set(err, errno, "store '%s': %m", path);
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return err_set(err, errno, "store '%s': %m", path);
		n = read(s->lock_fd, text, sizeof(text) - 1);
		text[n > 0 ? n : 0] = '\0';
		text[strcspn(text, "\n")] = '\0';
		return err_set(err, EBUSY, "store '%s': in use by another process (%s)", dir,
			       text[0] ? text : "pid unknown");
	}
	n = snprintf(text, sizeof(text), "pid %d\n", getpid());
	if (ftruncate(s->lock_fd, 0) < 0 || pwrite(s->lock_fd, text, (size_t)n, 0) != n)
		return err_set(err, errno, "store '%s': %m", path);
	return 0;
}

/* The database's name must survive power loss, too; SQLite syncs its directory only for journals. */
static int sync_dir(const char *dir, struct err *err)
{
	cleanup(close_fd) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return err_set(err, errno, "store '%s': %m", dir);
	return 0;
}

static int start_threads(struct sqlite_store *s, struct err *err)
{
	int r;

	r = pthread_create(&s->writer, NULL, sq_writer_main, s);
	if (r)
		return err_set(err, r, "store '%s': start a thread: %s", s->path, strerror(r));
	s->n_threads++;
	for (int i = 0; i < SQ_READERS; i++) {
		r = pthread_create(&s->readers[i], NULL, sq_reader_main, s);
		if (r)
			return err_set(err, r, "store '%s': start a thread: %s", s->path, strerror(r));
		s->n_threads++;
	}
	return 0;
}

int store_sqlite_open(struct loop *loop, const char *path, struct store **ret, struct err *err)
{
	cleanup(store_free) struct sqlite_store *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_set(err, ENOMEM, "out of memory");
	s->base.ops = &ops;
	s->loop = loop;
	s->lock_fd = s->wake_fd = -1;
	pthread_mutex_init(&s->lock, NULL);
	list_init(&s->writes.ops);
	list_init(&s->reads.ops);
	list_init(&s->completed);
	list_init(&s->watches);
	pthread_cond_init(&s->reads.cond, NULL);
	sq_cond_init_monotonic(&s->writes.cond);
	s->wake.fn = on_wake;
	s->wake.arg = s;
	s->progress.fn = on_progress;
	s->progress.arg = s;

	r = dir_make(path, 0700, err);
	if (r < 0)
		return r;
	r = sq_take_lock(s, path, err);
	if (r < 0)
		return r;
	if (asprintf(&s->path, "%s/store.db", path) < 0) {
		s->path = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	r = sq_conn_open(&s->wconn, s->path, true, err);
	if (r < 0)
		return r;
	r = sq_schema(&s->wconn, s->path, err);
	if (r < 0)
		return r;
	r = sync_dir(path, err);
	if (r < 0)
		return r;
	r = sq_writer_init(s, err);
	if (r < 0)
		return r;
	s->committed = s->rev;
	for (int i = 0; i < SQ_READERS; i++) {
		r = sq_conn_open(&s->rconn[i], s->path, false, err);
		if (r < 0)
			return r;
	}
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->wake_fd < 0)
		return err_set(err, errno, "eventfd: %m");
	r = loop_io_add(loop, &s->wake, s->wake_fd, EPOLLIN);
	if (r < 0)
		return err_set(err, -r, "store '%s': %s", s->path, strerror(-r));
	r = loop_timer_set(loop, &s->progress, STORE_PROGRESS_MS);
	if (r < 0)
		return err_set(err, -r, "out of memory");
	r = start_threads(s, err);
	if (r < 0)
		return r;
	*ret = &TAKE(s)->base;
	return 0;
}

/* --- operations --------------------------------------------------------------------------------------------------- */

struct sq_op *sq_op_new(enum sq_type type, const char *key, const char *end, const void *value, size_t len)
{
	size_t key_size = key ? strlen(key) + 1 : 0, end_size = end ? strlen(end) + 1 : 0;
	struct sq_op *op = calloc(1, sizeof(*op) + key_size + end_size + len);
	char *p;

	if (!op)
		return NULL;
	list_init(&op->node);
	strbuf_init(&op->buf);
	op->type = type;
	op->bytes = sizeof(*op) + key_size + end_size + len;
	p = (char *)(op + 1);
	if (key)
		op->key = memcpy(p, key, key_size);
	p += key_size;
	if (end)
		op->end = memcpy(p, end, end_size);
	p += end_size;
	if (len)
		op->value = memcpy(p, value, len);
	op->value_len = len;
	return op;
}

void sq_op_free(struct sq_op *op)
{
	list_remove(&op->node);
	strbuf_done(&op->buf);
	free(op->rows);
	free(op->msg);
	free(op);
}

struct sq_row *sq_op_add_row(struct sq_op *op)
{
	if (op->n_rows == op->cap_rows) {
		size_t cap = op->cap_rows ? op->cap_rows * 2 : 4;
		struct sq_row *rows = reallocarray(op->rows, cap, sizeof(*rows));

		if (!rows)
			return NULL;
		op->rows = rows;
		op->cap_rows = cap;
	}
	memset(&op->rows[op->n_rows], 0, sizeof(*op->rows));
	return &op->rows[op->n_rows++];
}

int sq_op_store(struct sq_op *op, const void *data, size_t len, size_t *ret_off)
{
	*ret_off = op->buf.len;
	strbuf_add(&op->buf, len ? data : "", len);
	strbuf_addc(&op->buf, '\0');
	return strbuf_oom(&op->buf) ? -ENOMEM : 0;
}

void sq_row_kv(const struct sq_op *op, const struct sq_row *row, struct store_kv *kv)
{
	*kv = (struct store_kv){
		.key = op->buf.buf + row->key,
		.key_len = row->key_len,
		.value = op->buf.buf + row->value,
		.value_len = row->value_len,
		.create_rev = row->create_rev,
		.mod_rev = row->mod_rev,
		.version = row->version,
	};
}

void sq_cond_init_monotonic(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

static void wake(struct sqlite_store *s)
{
	uint64_t one = 1;

	if (write(s->wake_fd, &one, sizeof(one)) < 0) {
		/* The counter is full: the loop is awake already. */
	}
}

static void move_all(struct list *from, struct list *to)
{
	while (!list_empty(from)) {
		struct list *n = from->next;

		list_remove(n);
		list_push_back(to, n);
	}
}

void sq_complete(struct sqlite_store *s, struct list *done)
{
	pthread_mutex_lock(&s->lock);
	move_all(done, &s->completed);
	pthread_mutex_unlock(&s->lock);
	wake(s);
}

static void refuse(struct sqlite_store *s, struct sq_op *op)
{
	struct list one = LIST_INIT(one);

	list_push_back(&one, &op->node);
	sq_complete(s, &one);
}

void sq_submit(struct sqlite_store *s, struct sq_queue *q, struct sq_op *op)
{
	bool full;

	pthread_mutex_lock(&s->lock);
	full = q->n >= SQ_MAX_QUEUED || q->bytes + op->bytes > SQ_MAX_QUEUED_BYTES;
	if (!full) {
		list_push_back(&q->ops, &op->node);
		q->n++;
		q->bytes += op->bytes;
		pthread_cond_signal(&q->cond);
	}
	pthread_mutex_unlock(&s->lock);
	if (full) {
		op->r = store_fail(&op->msg, EAGAIN, "store '%s': too many operations are waiting", s->path);
		refuse(s, op);
	}
}

static struct sqlite_store *of(struct store *base)
{
	return container_of(base, struct sqlite_store, base);
}

/*
 * Out of memory before there is an operation that could carry the news. An operation must end with its callback, and
 * not before its starting function returned; with not even 200 bytes left there is no honest way on.
 */
static struct sq_op *op_or_die(struct sq_op *op)
{
	if (!op)
		abort();
	return op;
}

static void do_range(struct store *base, const char *start, const char *end, int64_t rev, size_t limit, bool keys_only,
		     store_range_fn *fn, void *arg)
{
	struct sqlite_store *s = of(base);
	struct sq_op *op = op_or_die(sq_op_new(SQ_RANGE, start, end, NULL, 0));

	op->rev = rev;
	op->limit = limit;
	op->keys_only = keys_only;
	op->to.range = fn;
	op->arg = arg;
	sq_submit(s, &s->reads, op);
}

static void txn(struct store *base, enum sq_type type, const char *key, int64_t expect, const void *value, size_t len,
		int64_t lease, store_txn_fn *fn, void *arg)
{
	struct sqlite_store *s = of(base);
	bool big = len > STORE_MAX_VALUE;
	struct sq_op *op = op_or_die(sq_op_new(type, key, NULL, value, big ? 0 : len));

	op->expect = expect;
	op->lease = lease;
	op->to.txn = fn;
	op->arg = arg;
	op->r = store_check_key(key, &op->msg);
	if (!op->r && big)
		op->r = store_fail(&op->msg, EMSGSIZE, "value of '%s' has %zu bytes, more than %u", key, len,
				   STORE_MAX_VALUE);
	if (op->r)
		refuse(s, op);
	else
		sq_submit(s, &s->writes, op);
}

static void do_put(struct store *base, const char *key, int64_t expect, const void *value, size_t len, int64_t lease,
		   store_txn_fn *fn, void *arg)
{
	txn(base, SQ_PUT, key, expect, value, len, lease, fn, arg);
}

static void do_del(struct store *base, const char *key, int64_t expect, store_txn_fn *fn, void *arg)
{
	txn(base, SQ_DEL, key, expect, NULL, 0, 0, fn, arg);
}

static void do_compact(struct store *base, int64_t rev, void (*fn)(void *arg, int r, const struct err *err), void *arg)
{
	struct sqlite_store *s = of(base);
	struct sq_op *op = op_or_die(sq_op_new(SQ_COMPACT, NULL, NULL, NULL, 0));

	op->rev = rev;
	op->to.compact = fn;
	op->arg = arg;
	sq_submit(s, &s->writes, op);
}

static void lease_op(struct store *base, enum sq_type type, int64_t v,
		     void (*fn)(void *arg, int r, int64_t v, const struct err *err), void *arg)
{
	struct sqlite_store *s = of(base);
	struct sq_op *op = op_or_die(sq_op_new(type, NULL, NULL, NULL, 0));

	op->lease = v;
	op->to.lease = fn;
	op->arg = arg;
	sq_submit(s, &s->writes, op);
}

static void do_lease_grant(struct store *base, int64_t ttl_s, void (*fn)(void *, int, int64_t, const struct err *),
			   void *arg)
{
	lease_op(base, SQ_GRANT, ttl_s, fn, arg);
}

static void do_lease_keepalive(struct store *base, int64_t lease, void (*fn)(void *, int, int64_t, const struct err *),
			       void *arg)
{
	lease_op(base, SQ_KEEPALIVE, lease, fn, arg);
}

/* --- completions -------------------------------------------------------------------------------------------------- */

static void tell_range(struct sq_op *op, const struct err *err)
{
	struct store_range range = { .n = op->n_rows, .more = op->more, .count = op->count, .rev = op->rev };
	cleanup(free) struct store_kv *kvs = NULL;

	if (op->r < 0) {
		op->to.range(op->arg, op->r, NULL, err);
		return;
	}
	kvs = reallocarray(NULL, op->n_rows + 1, sizeof(*kvs));
	if (!kvs) {
		struct err oom = ERR_INIT;

		op->to.range(op->arg, err_set(&oom, ENOMEM, "out of memory"), NULL, &oom);
		return;
	}
	for (size_t i = 0; i < op->n_rows; i++)
		sq_row_kv(op, &op->rows[i], &kvs[i]);
	range.kvs = kvs;
	op->to.range(op->arg, 0, &range, err);
}

static void tell_txn(struct sq_op *op, const struct err *err)
{
	struct store_txn_result result = { .succeeded = op->succeeded, .rev = op->rev };
	struct store_kv current;

	if (op->has_current && (!op->succeeded || op->type == SQ_DEL)) {
		sq_row_kv(op, &op->rows[0], &current);
		result.current = &current;
	}
	op->to.txn(op->arg, op->r, op->r < 0 ? NULL : &result, err);
}

static void finish(struct sqlite_store *s, struct sq_op *op)
{
	struct err err = ERR_INIT;

	store_err(&err, op->r, op->msg);
	if (op->changed) {
		s->committed = op->rev;
		sq_watches_event(s, op);
	}
	switch (op->type) {
	case SQ_PUT:
	case SQ_DEL:
		tell_txn(op, &err);
		break;
	case SQ_RANGE:
		tell_range(op, &err);
		break;
	case SQ_COMPACT:
		op->to.compact(op->arg, op->r, &err);
		break;
	case SQ_GRANT:
	case SQ_KEEPALIVE:
		op->to.lease(op->arg, op->r, op->lease, &err);
		break;
	case SQ_HISTORY:
		sq_watch_history(s, op);
		break;
	case SQ_EXPIRE:
		break;
	}
	sq_op_free(op);
}

static void take_completed(struct sqlite_store *s, struct list *out)
{
	pthread_mutex_lock(&s->lock);
	move_all(&s->completed, out);
	pthread_mutex_unlock(&s->lock);
}

static void on_wake(struct loop_io *io, uint32_t events)
{
	struct sqlite_store *s = io->arg;
	struct list done = LIST_INIT(done);
	uint64_t n;

	(void)events;
	if (read(s->wake_fd, &n, sizeof(n)) < 0) {
		/* Nothing to read: a completion was taken with an earlier wake. */
	}
	take_completed(s, &done);
	s->dispatching++;
	while (!list_empty(&done))
		finish(s, list_first(&done, struct sq_op, node));
	sq_watches_leave(s);
}

static void on_progress(struct loop_timer *timer)
{
	struct sqlite_store *s = timer->arg;

	sq_watches_progress(s);
	(void)loop_timer_set(s->loop, timer, STORE_PROGRESS_MS);
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

static void cancel_queue(struct sqlite_store *s, struct sq_queue *q)
{
	list_for_each (n, &q->ops) {
		struct sq_op *op = list_entry(n, struct sq_op, node);

		op->r = store_fail(&op->msg, ECANCELED, "the store is closed");
	}
	move_all(&q->ops, &s->completed);
}

static void do_close(struct store *base)
{
	store_free(of(base));
}

static void store_free(struct sqlite_store *s)
{
	struct list done = LIST_INIT(done);

	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_broadcast(&s->writes.cond);
	pthread_cond_broadcast(&s->reads.cond);
	pthread_mutex_unlock(&s->lock);
	if (s->n_threads)
		pthread_join(s->writer, NULL);
	for (unsigned i = 1; i < s->n_threads; i++)
		pthread_join(s->readers[i - 1], NULL);
	sq_watches_free(s);
	/* Who is told of an end may ask for something else still. */
	for (;;) {
		cancel_queue(s, &s->writes);
		cancel_queue(s, &s->reads);
		take_completed(s, &done);
		if (list_empty(&done))
			break;
		while (!list_empty(&done))
			finish(s, list_first(&done, struct sq_op, node));
	}
	loop_timer_cancel(&s->progress);
	loop_io_del(&s->wake);
	if (s->wake_fd >= 0)
		close(s->wake_fd);
	for (int i = 0; i < SQ_READERS; i++)
		sq_conn_close(&s->rconn[i]);
	sq_conn_close(&s->wconn); /* last: checkpoints and removes the WAL */
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	pthread_cond_destroy(&s->writes.cond);
	pthread_cond_destroy(&s->reads.cond);
	pthread_mutex_destroy(&s->lock);
	free(s->leases);
	free(s->path);
	free(s);
}

static const struct store_ops ops = {
	.name = "sqlite",
	.close = do_close,
	.range = do_range,
	.put = do_put,
	.del = do_del,
	.watch = sq_watch,
	.unwatch = sq_unwatch,
	.compact = do_compact,
	.lease_grant = do_lease_grant,
	.lease_keepalive = do_lease_keepalive,
};
