/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fair queueing, as pure decisions: no clock, no loop, no HTTP. flowcontrol.c feeds it.
 *
 * The server has a number of seats. Each priority level nominally owns a part of them, of which it may lend some and
 * beyond which it may borrow some. What a level does not lend is kept for it even when it is idle; everything else is
 * a common pool. Among levels that could run a request, those within their own seats come first, then the one that
 * has had the least time of the server in proportion to its seats.
 *
 * Within a level, a flow (one user, one namespace) is dealt a hand of the level's queues by its hash and joins the
 * shortest. Queues take turns by start-time fair queueing: each has a virtual time that advances by the seat-seconds
 * its requests use, and the one furthest behind is next. A flow that floods fills its own hand of queues and is then
 * refused; another flow almost surely has a queue without it, which is served as often as all flooded ones.
 */
#ifndef SKEP_APISERVER_FAIRQUEUE_H
#define SKEP_APISERVER_FAIRQUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../lib/base/list.h"

#define FQ_MAX_QUEUES 4096 /* of a level: more of them buy nothing */
#define FQ_MAX_HAND   64

struct fq;
struct fq_level;
struct fq_queue;

struct fq_level_config {
	const char *name; /* copied */
	bool exempt;	  /* runs at once, whatever is in use */
	bool queues_up;	  /* requests above the limit wait; else they are refused */
	unsigned shares, lendable_pct;
	int borrow_pct; /* < 0: no limit */
	unsigned queues, hand, queue_len;
};

/* One request; embedded in its owner, zeroed before the first use. */
enum fq_state { FQ_IDLE, FQ_WAITING, FQ_RUNNING };
struct fq_req {
	struct list link; /* in its queue */
	struct fq_level *level;
	struct fq_queue *queue;
	enum fq_state state;
	unsigned width; /* seats */
	int64_t arrived_ns, started_ns;
};

struct fq *fq_new(void);     /* NULL: out of memory */
void fq_free(struct fq *fq); /* no request may be left */

/*
 * Levels keep their requests over a change of configuration; one that is not in `levels` any more takes no further
 * requests and goes away with its last. 0 or -ENOMEM (the former configuration stays).
 */
int fq_configure(struct fq *fq, const struct fq_level_config *levels, size_t n, unsigned seats);
struct fq_level *fq_level(struct fq *fq, const char *name); /* NULL if there is none */

/*
 * FQ_RUN: exempt, running already. FQ_WAIT: queued; fq_next() says when. Refused: FQ_FULL, every queue of its hand
 * is full; FQ_LIMIT, its level has no free seat and does not queue.
 */
enum fq_verdict { FQ_RUN, FQ_WAIT, FQ_FULL, FQ_LIMIT };
enum fq_verdict fq_enter(struct fq *fq, struct fq_level *level, uint64_t flow, unsigned width, int64_t now_ns,
			 struct fq_req *req);
/* The next request that may run, now with its seats; NULL: none. */
struct fq_req *fq_next(struct fq *fq, int64_t now_ns);
/* The request took this much of the server's one thread. */
void fq_charge(struct fq *fq, struct fq_req *req, int64_t ns);
/* It is over, or does not want to run any more. Harmless when idle. */
void fq_leave(struct fq *fq, struct fq_req *req, int64_t now_ns);

size_t fq_waiting(const struct fq *fq);

struct fq_level_stat {
	const char *name;
	bool exempt;
	unsigned nominal, min, max; /* seats: own, not lent, with borrowed ones */
	unsigned in_use;
	size_t waiting, running; /* requests */
};
/* The i-th level; false past the end. */
bool fq_stat(const struct fq *fq, size_t i, struct fq_level_stat *ret);

/* The hand of a flow: `hand` different queues of `queues` (for tests and explanations). */
void fq_deal(uint64_t flow, unsigned queues, unsigned hand, unsigned *ret);

#endif
