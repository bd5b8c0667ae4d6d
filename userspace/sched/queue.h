/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scheduler around the core: pods without a node wait in an active queue, oldest first, are decided one by one
 * against the snapshot, assumed on their node at once and bound in the background, many at a time. What fits nowhere
 * waits until something changes that could help (a node, a pod that leaves) or 30 s pass; what fails to bind comes
 * back after a back-off.
 */
#ifndef SKEP_SCHED_QUEUE_H
#define SKEP_SCHED_QUEUE_H

#include "client/kube.h"

struct scheduler;
int scheduler_new(struct loop *loop, struct kube *kube, const char *name, struct scheduler **ret, struct err *err);
void scheduler_free(struct scheduler *s);
void scheduler_lead(struct scheduler *s);     /* from now on decides; before it only keeps its caches */
const char *scheduler_ready(void *scheduler); /* for metrics_handle */

#endif
