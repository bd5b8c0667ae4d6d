/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches of the embedded store, on the loop. A watch is live when it has been given everything up to the committed
 * revision; then it is fed from the writer's batches as they are acknowledged. One that starts in the past reads the
 * table in pieces, each from where the last ended, until it has caught up. A piece may run ahead of what the loop has
 * been told: next_rev keeps the batches from repeating it.
 */
#include "../../lib/base/cleanup.h"
#include "sqlite-internal.h"

struct store_watch {
	struct sqlite_store *s;
	struct list node;
	char *start, *end; /* end "": start only */
	int64_t next_rev;  /* first one not delivered */
	int64_t told_rev;  /* of the last event or progress */
	store_watch_fn *fn;
	void *arg;
	struct sq_op *reading; /* the piece being read; NULL: live */
	bool ended;	       /* failed: silent until its owner unwatches it */
	bool dead;	       /* unwatched: to be freed when nobody walks the list */
};

static void read_more(struct store_watch *w);

struct store_watch *sq_watch(struct store *base, const char *start, const char *end, int64_t from_rev,
			     store_watch_fn *fn, void *arg)
{
	struct sqlite_store *s = container_of(base, struct sqlite_store, base);
	struct store_watch *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->s = s;
	w->start = strdup(start);
	w->end = strdup(end);
	w->fn = fn;
	w->arg = arg;
	w->next_rev = from_rev > 0 ? from_rev : s->committed + 1;
	w->told_rev = s->committed;
	if (!w->start || !w->end) {
		free(w->start);
		free(w->end);
		free(w);
		return NULL;
	}
	list_push_back(&s->watches, &w->node);
	if (w->next_rev <= s->committed)
		read_more(w);
	return w;
}

static void watch_free(struct store_watch *w)
{
	list_remove(&w->node);
	if (w->reading)
		w->reading->to.watch = NULL;
	free(w->start);
	free(w->end);
	free(w);
}

void sq_unwatch(struct store_watch *w)
{
	if (!w)
		return;
	w->dead = true;
	if (!w->s->dispatching)
		watch_free(w);
}

void sq_watches_free(struct sqlite_store *s)
{
	while (!list_empty(&s->watches))
		watch_free(list_first(&s->watches, struct store_watch, node));
}

void sq_watches_leave(struct sqlite_store *s)
{
	if (--s->dispatching)
		return;
	list_for_each_safe (n, tmp, &s->watches) {
		struct store_watch *w = list_entry(n, struct store_watch, node);

		if (w->dead)
			watch_free(w);
	}
}

static void read_more(struct store_watch *w)
{
	struct sq_op *op = sq_op_new(SQ_HISTORY, w->start, w->end, NULL, 0);

	if (!op)
		abort(); /* see op_or_die() in store_sqlite.c */
	op->rev = w->next_rev;
	op->to.watch = w;
	w->reading = op;
	sq_submit(w->s, &w->s->reads, op);
}

static bool covers(const struct store_watch *w, const char *key)
{
	if (!w->end[0])
		return !strcmp(key, w->start);
	return strcmp(key, w->start) >= 0 && strcmp(key, w->end) < 0;
}

/* Ends the watch: nothing is delivered after an error. */
static void watch_fail(struct store_watch *w, int r, const char *msg)
{
	struct err err = ERR_INIT;

	store_err(&err, r, msg);
	w->ended = true;
	w->fn(w->arg, r, w->s->committed, NULL, 0, &err);
}

/* w->dead is only set here by callbacks: memory stays until the list has been walked. */
void sq_watches_event(struct sqlite_store *s, const struct sq_op *op)
{
	struct store_event ev = {
		.type = op->type == SQ_PUT ? STORE_PUT : STORE_DELETE,
		.kv = {
			.key = op->key,
			.key_len = strlen(op->key),
			.value = op->type == SQ_PUT && op->value_len ? op->value : "",
			.value_len = op->type == SQ_PUT ? op->value_len : 0,
			.create_rev = op->create_rev,
			.mod_rev = op->rev,
			.version = op->version,
		},
	};

	if (op->has_current) {
		ev.prev_value = op->buf.buf + op->rows[0].value;
		ev.prev_len = op->rows[0].value_len;
		ev.prev_mod_rev = op->rows[0].mod_rev;
	}
	s->dispatching++;
	list_for_each (n, &s->watches) {
		struct store_watch *w = list_entry(n, struct store_watch, node);

		if (w->dead || w->ended || w->reading || op->rev < w->next_rev)
			continue;
		w->next_rev = op->rev + 1;
		if (!covers(w, op->key))
			continue;
		w->told_rev = op->rev;
		w->fn(w->arg, 0, op->rev, &ev, 1, NULL);
	}
	sq_watches_leave(s);
}

static void deliver_row(struct store_watch *w, const struct sq_op *op, const struct sq_row *row)
{
	struct store_event ev = { .type = row->deleted ? STORE_DELETE : STORE_PUT };

	if (row->mod_rev < w->next_rev)
		return;
	sq_row_kv(op, row, &ev.kv);
	if (row->has_prev) {
		ev.prev_value = op->buf.buf + row->prev;
		ev.prev_len = row->prev_len;
		ev.prev_mod_rev = row->prev_mod_rev;
	}
	w->next_rev = row->mod_rev + 1;
	w->told_rev = row->mod_rev;
	w->fn(w->arg, 0, row->mod_rev, &ev, 1, NULL);
}

void sq_watch_history(struct sqlite_store *s, struct sq_op *op)
{
	struct store_watch *w = op->to.watch;

	if (!w)
		return;
	s->dispatching++;
	w->reading = NULL;
	if (!w->dead && op->r < 0)
		watch_fail(w, op->r, op->msg);
	for (size_t i = 0; i < op->n_rows && !w->dead; i++)
		deliver_row(w, op, &op->rows[i]);
	if (!w->dead && !w->ended) {
		if (op->upto >= w->next_rev)
			w->next_rev = op->upto + 1;
		if (w->next_rev <= s->committed)
			read_more(w);
	}
	sq_watches_leave(s);
}

void sq_watches_progress(struct sqlite_store *s)
{
	s->dispatching++;
	list_for_each (n, &s->watches) {
		struct store_watch *w = list_entry(n, struct store_watch, node);

		if (w->dead || w->ended || w->reading || w->told_rev >= s->committed || w->next_rev <= s->committed)
			continue;
		w->told_rev = s->committed;
		w->fn(w->arg, 0, s->committed, NULL, 0, NULL);
	}
	sq_watches_leave(s);
}
