/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leader election by a coordination.k8s.io Lease, with client-go's rules: lease 15 s, renew deadline 10 s, retry 2 s.
 * A leader that cannot renew in time must stop acting: on_lost is called before another can be elected, and the
 * program exits.
 */
#ifndef SKEP_CLIENT_LEADER_H
#define SKEP_CLIENT_LEADER_H

#include "kube.h"

struct leader;
struct leader_config {
	const char *namespace_, *name;	  /* "kube-system", "skep-scheduler" */
	const char *identity;		  /* host + uuid */
	int lease_ms, renew_ms, retry_ms; /* 0: defaults */
	void (*on_elected)(void *arg);
	void (*on_lost)(void *arg);
	void *arg;
};
struct leader *leader_new(struct kube *k, const struct leader_config *config);
int leader_start(struct leader *l);
/* Releases the lease (holderIdentity "") so that a standby takes over at once; fn when done. */
void leader_release(struct leader *l, void (*fn)(void *arg), void *arg);
void leader_free(struct leader *l);

#endif
