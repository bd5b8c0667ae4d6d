/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A queue of keys to reconcile: a key is queued at most once, never worked on twice at a time, and one added while it
 * is being worked on is queued again afterwards. Failures come back with exponential back-off (5 ms doubling to 60 s
 * by default).
 */
#ifndef SKEP_CLIENT_WORKQUEUE_H
#define SKEP_CLIENT_WORKQUEUE_H

#include "../io/loop.h"

struct workqueue;
/* Start working on key (valid until workqueue_done). End with workqueue_done(), now or later. */
typedef void workqueue_fn(struct workqueue *q, const char *key, void *arg);
struct workqueue *workqueue_new(struct loop *loop, int max_in_flight, workqueue_fn *fn, void *arg);
void workqueue_free(struct workqueue *q);
void workqueue_add(struct workqueue *q, const char *key);
void workqueue_add_after(struct workqueue *q, const char *key, int64_t delay_ms);
/* r < 0: again after back-off; 0: done, back-off forgotten. key may be the pointer given to fn. */
void workqueue_done(struct workqueue *q, const char *key, int r);
size_t workqueue_len(const struct workqueue *q);

#endif
