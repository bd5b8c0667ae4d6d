/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a node comes by its client certificate: with a bootstrap kubeconfig it asks for one, waits for it and writes a
 * kubeconfig of its own; and it renews the certificate before it ends. Certificate and key lie in one file, which is
 * replaced whole, so that a new connection never sees one without the other.
 */
#ifndef SKEP_AGENT_JOIN_H
#define SKEP_AGENT_JOIN_H

#include "client/kube.h"

/*
 * Makes kubeconfig if it is missing or its certificate has ended, by means of bootstrap. Blocks until a certificate is
 * there or wait_ms are over.
 */
int join_cluster(const char *node_name, const char *bootstrap, const char *kubeconfig, const char *pki_dir,
		 int64_t wait_ms, struct err *err);

struct renewal;
/* Renews the certificate of kubeconfig_load(kubeconfig) in its file, if it is one made by join_cluster(). */
int renewal_start(struct kube *k, const struct kubeconfig *kc, const char *node_name, const char *pki_dir,
		  struct renewal **ret, struct err *err);
void renewal_free(struct renewal *r); /* before the kube */

/* Part of a certificate's life, in ms from now, until it is to be renewed: 7 to 9 tenths; 0: now. */
int64_t renewal_due_ms(int64_t from_s, int64_t until_s, int64_t now_ms, unsigned spread);

#endif
