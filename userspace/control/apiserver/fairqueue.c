/* SPDX-License-Identifier: Apache-2.0 */
/* See fairqueue.h. Times are nanoseconds of the caller's clock; virtual time is nanoseconds x seats. */
#include "fairqueue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/str.h"

/* What a request is thought to cost until it is over: two of a flow do not both go before another flow's first. */
#define GUESS_NS 3000000

struct fq_queue {
	struct list reqs; /* waiting, oldest first */
	struct list link; /* in its level's active ones while reqs is not empty */
	size_t n_reqs;
	unsigned seats; /* of running requests that came from here */
	int64_t start;	/* virtual time at which the next one starts */
};

struct fq_level {
	struct fq_level_config c; /* name is ours */
	bool gone;		  /* not in the configuration any more */
	unsigned nominal, min, max;
	struct fq_queue **queues; /* n_queues allocated; c.queues of them are dealt */
	size_t n_queues;
	struct list active;
	unsigned in_use;
	size_t n_waiting, n_running;
	size_t waiting_seats;
	int64_t clock; /* virtual time within the level: start of the last request dispatched */
	int64_t used;  /* time of the server, divided by the level's part of it */
};

struct fq {
	struct fq_level **levels;
	size_t n_levels;
	unsigned seats;
	size_t n_waiting;
	int64_t clock; /* `used` of the level chosen last: an idle level does not save up time */
};

struct fq *fq_new(void)
{
	return calloc(1, sizeof(struct fq));
}

static void level_free(struct fq_level *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->n_queues; i++)
		free(l->queues[i]);
	free(l->queues);
	free((char *)l->c.name);
	free(l);
}

void fq_free(struct fq *fq)
{
	if (!fq)
		return;
	for (size_t i = 0; i < fq->n_levels; i++)
		level_free(fq->levels[i]);
	free(fq->levels);
	free(fq);
}

/* --- configuration ------------------------------------------------------------------------------------------------ */

static struct fq_level *level_new(const char *name)
{
	struct fq_level *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	list_init(&l->active);
	l->c.name = strdup(name);
	if (!l->c.name) {
		free(l);
		return NULL;
	}
	return l;
}

static int level_grow(struct fq_level *l, size_t n)
{
	struct fq_queue **p;

	if (n <= l->n_queues)
		return 0;
	p = realloc(l->queues, n * sizeof(*p));
	if (!p)
		return -ENOMEM;
	l->queues = p;
	while (l->n_queues < n) {
		struct fq_queue *q = calloc(1, sizeof(*q));

		if (!q)
			return -ENOMEM;
		list_init(&q->reqs);
		list_init(&q->link);
		l->queues[l->n_queues++] = q;
	}
	return 0;
}

static struct fq_level_config sane(const struct fq_level_config *c)
{
	struct fq_level_config r = *c;

	if (!r.queues_up || r.exempt || !r.queues)
		r.queues = r.hand = 1;
	if (r.queues > FQ_MAX_QUEUES)
		r.queues = FQ_MAX_QUEUES;
	if (!r.hand)
		r.hand = 1;
	if (r.hand > FQ_MAX_HAND)
		r.hand = FQ_MAX_HAND;
	if (r.hand > r.queues)
		r.hand = r.queues;
	if (!r.queue_len)
		r.queue_len = 1;
	if (r.lendable_pct > 100)
		r.lendable_pct = 100;
	return r;
}

/* Limits in seats, as Kubernetes computes them. */
static void apply_shares(struct fq *fq)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < fq->n_levels; i++)
		if (!fq->levels[i]->gone)
			sum += fq->levels[i]->c.shares;
	for (size_t i = 0; i < fq->n_levels; i++) {
		struct fq_level *l = fq->levels[i];
		uint64_t nominal = sum && !l->gone ? ((uint64_t)fq->seats * l->c.shares + sum - 1) / sum : 0;
		uint64_t max = l->c.borrow_pct < 0 ? nominal + fq->seats
						   : nominal + (nominal * (uint64_t)l->c.borrow_pct + 50) / 100;

		if (l->gone) {
			l->min = 0; /* what it still runs and holds drains within its former limits */
			continue;
		}
		if (max > nominal + fq->seats)
			max = nominal + fq->seats;
		if (!l->c.shares)
			max = l->c.borrow_pct < 0 ? 0 : max; /* a jail */
		l->nominal = (unsigned)nominal;
		l->min = (unsigned)(nominal - (nominal * l->c.lendable_pct + 50) / 100);
		l->max = (unsigned)max;
	}
}

static void forget_gone(struct fq *fq)
{
	size_t n = 0;

	for (size_t i = 0; i < fq->n_levels; i++) {
		struct fq_level *l = fq->levels[i];

		if (l->gone && !l->n_waiting && !l->n_running)
			level_free(l);
		else
			fq->levels[n++] = l;
	}
	fq->n_levels = n;
}

static struct fq_level *find(const struct fq *fq, const char *name)
{
	for (size_t i = 0; i < fq->n_levels; i++)
		if (streq(fq->levels[i]->c.name, name))
			return fq->levels[i];
	return NULL;
}

struct fq_level *fq_level(struct fq *fq, const char *name)
{
	struct fq_level *l = find(fq, name);

	return l && !l->gone ? l : NULL;
}

/* Everything that can fail comes first: new levels join as gone ones, which are nobody's to use. */
static int prepare(struct fq *fq, const struct fq_level_config *levels, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct fq_level_config c = sane(&levels[i]);
		struct fq_level *l = find(fq, c.name), **p;

		if (!l) {
			p = realloc(fq->levels, (fq->n_levels + 1) * sizeof(struct fq_level *));
			if (!p)
				return -ENOMEM;
			fq->levels = p;
			l = level_new(c.name);
			if (!l)
				return -ENOMEM;
			l->gone = true;
			l->used = fq->clock;
			fq->levels[fq->n_levels++] = l;
		}
		if (level_grow(l, c.queues) < 0)
			return -ENOMEM;
	}
	return 0;
}

int fq_configure(struct fq *fq, const struct fq_level_config *levels, size_t n, unsigned seats)
{
	int r = prepare(fq, levels, n);

	if (r < 0) {
		forget_gone(fq);
		return r;
	}
	for (size_t i = 0; i < fq->n_levels; i++)
		fq->levels[i]->gone = true;
	for (size_t i = 0; i < n; i++) {
		struct fq_level *l = find(fq, levels[i].name);
		const char *name = l->c.name;

		l->c = sane(&levels[i]);
		l->c.name = name;
		l->gone = false;
	}
	fq->seats = seats;
	apply_shares(fq);
	forget_gone(fq);
	return 0;
}

/* --- queues ------------------------------------------------------------------------------------------------------- */

/* Digits of the hash in a mixed base choose among the queues not dealt yet: hands of all flows are equally likely. */
void fq_deal(uint64_t flow, unsigned queues, unsigned hand, unsigned *ret)
{
	for (unsigned i = 0; i < hand; i++) {
		unsigned card = (unsigned)(flow % (queues - i)), at = i;

		flow /= queues - i;
		/* the card-th of those left: skip the smaller ones dealt before, which are kept ascending */
		for (unsigned j = 0; j < i && ret[j] <= card; j++)
			card++;
		while (at > 0 && ret[at - 1] > card) {
			ret[at] = ret[at - 1];
			at--;
		}
		ret[at] = card;
	}
}

static struct fq_queue *shortest(struct fq_level *l, uint64_t flow)
{
	unsigned hand[FQ_MAX_HAND];
	struct fq_queue *best = NULL;

	fq_deal(flow, l->c.queues, l->c.hand, hand);
	for (unsigned i = 0; i < l->c.hand; i++) {
		struct fq_queue *q = l->queues[hand[i]];

		if (!best || q->n_reqs < best->n_reqs || (q->n_reqs == best->n_reqs && q->seats < best->seats))
			best = q;
	}
	return best;
}

/* Wider than the level ever gets could never run. */
static unsigned fit(const struct fq_level *l, unsigned width)
{
	if (l->max && width > l->max)
		width = l->max;
	return width ? width : 1;
}

static void start(struct fq_level *l, struct fq_req *req, int64_t now_ns)
{
	req->state = FQ_RUNNING;
	req->started_ns = now_ns;
	l->in_use += req->width;
	l->n_running++;
}

/* Seats that a level may take besides what is in use: the others keep what they do not lend. */
static bool can_run(const struct fq *fq, const struct fq_level *l, unsigned width)
{
	uint64_t taken = 0;

	if (l->in_use + width > l->max)
		return false;
	if (l->in_use + width <= l->min)
		return true;
	for (size_t i = 0; i < fq->n_levels; i++) {
		const struct fq_level *o = fq->levels[i];
		unsigned seats = o == l ? l->in_use + width : o->in_use;

		if (!o->c.exempt)
			taken += seats > o->min ? seats : o->min;
	}
	/* Rounding up gives the levels some seats more than there are; one wide request alone always fits. */
	return taken <= fq->seats || l->in_use == 0;
}

enum fq_verdict fq_enter(struct fq *fq, struct fq_level *l, uint64_t flow, unsigned width, int64_t now_ns,
			 struct fq_req *req)
{
	struct fq_queue *q;

	list_init(&req->link);
	req->level = l;
	req->queue = NULL;
	req->width = fit(l, width);
	req->arrived_ns = now_ns;
	if (l->c.exempt) {
		start(l, req, now_ns);
		return FQ_RUN;
	}
	if (!l->c.queues_up) {
		size_t seats = req->width + l->waiting_seats;

		if (seats > l->max || !can_run(fq, l, (unsigned)seats))
			return FQ_LIMIT;
	}
	q = shortest(l, flow);
	if (l->c.queues_up && q->n_reqs >= l->c.queue_len)
		return FQ_FULL;
	if (!q->n_reqs) {
		if (q->start < l->clock)
			q->start = l->clock;
		list_push_back(&l->active, &q->link);
	}
	if (!l->n_waiting && l->used < fq->clock)
		l->used = fq->clock;
	req->queue = q;
	req->state = FQ_WAITING;
	list_push_back(&q->reqs, &req->link);
	q->n_reqs++;
	l->n_waiting++;
	l->waiting_seats += req->width;
	fq->n_waiting++;
	return FQ_WAIT;
}

static void unqueue(struct fq *fq, struct fq_req *req)
{
	struct fq_queue *q = req->queue;

	list_remove(&req->link);
	if (!--q->n_reqs)
		list_remove(&q->link);
	req->level->n_waiting--;
	req->level->waiting_seats -= req->width;
	fq->n_waiting--;
}

static struct fq_queue *next_queue(struct fq_level *l)
{
	struct fq_queue *best = NULL;

	list_for_each (n, &l->active) {
		struct fq_queue *q = list_entry(n, struct fq_queue, link);

		if (!best || q->start < best->start)
			best = q;
	}
	return best;
}

struct fq_req *fq_next(struct fq *fq, int64_t now_ns)
{
	struct fq_queue *best = NULL;
	struct fq_level *level = NULL;
	bool own = false;
	struct fq_req *req;

	if (!fq->n_waiting)
		return NULL;
	for (size_t i = 0; i < fq->n_levels; i++) {
		struct fq_level *l = fq->levels[i];
		struct fq_queue *q = l->n_waiting ? next_queue(l) : NULL;
		unsigned width;
		bool within;

		if (!q)
			continue;
		width = list_first(&q->reqs, struct fq_req, link)->width;
		within = l->in_use + width <= l->nominal;
		if (best && (own > within || (own == within && level->used <= l->used)))
			continue;
		if (!can_run(fq, l, width))
			continue;
		best = q;
		level = l;
		own = within;
	}
	if (!best)
		return NULL;
	req = list_first(&best->reqs, struct fq_req, link);
	unqueue(fq, req);
	level->clock = best->start;
	best->start += (int64_t)req->width * GUESS_NS;
	best->seats += req->width;
	if (fq->clock < level->used)
		fq->clock = level->used;
	start(level, req, now_ns);
	return req;
}

void fq_charge(struct fq *fq, struct fq_req *req, int64_t ns)
{
	struct fq_level *l = req->level;

	if (l && !l->c.exempt)
		l->used += ns * (int64_t)fq->seats / (l->nominal ? l->nominal : 1);
}

void fq_leave(struct fq *fq, struct fq_req *req, int64_t now_ns)
{
	struct fq_level *l = req->level;

	if (req->state == FQ_WAITING) {
		unqueue(fq, req);
	} else if (req->state == FQ_RUNNING) {
		l->in_use -= req->width;
		l->n_running--;
		if (req->queue) {
			req->queue->seats -= req->width;
			/* the guess becomes what it was */
			req->queue->start += (int64_t)req->width * (now_ns - req->started_ns - GUESS_NS);
		}
	} else {
		return;
	}
	req->state = FQ_IDLE;
	req->queue = NULL; /* its level stays valid until the next configuration: fq_charge() may follow */
}

size_t fq_waiting(const struct fq *fq)
{
	return fq->n_waiting;
}

bool fq_stat(const struct fq *fq, size_t i, struct fq_level_stat *ret)
{
	const struct fq_level *l;

	if (i >= fq->n_levels)
		return false;
	l = fq->levels[i];
	*ret = (struct fq_level_stat){ .name = l->c.name,
				       .exempt = l->c.exempt,
				       .nominal = l->nominal,
				       .min = l->min,
				       .max = l->max,
				       .in_use = l->in_use,
				       .waiting = l->n_waiting,
				       .running = l->n_running };
	return true;
}
