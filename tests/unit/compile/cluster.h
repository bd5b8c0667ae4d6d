/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cluster that upstream's network policy tests use: namespaces x, y, z (labelled ns=<name>), in each the pods a,
 * b, c (labelled pod=<name>), each with two addresses and the named ports serve-80-tcp, serve-81-tcp, serve-80-udp,
 * serve-80-sctp and "web", which is 80 on a, 81 on the others. All pods are local, so that every rule is compiled.
 * Policies are given as JSON, with ' for ".
 */
#ifndef SKEP_TESTS_COMPILE_CLUSTER_H
#define SKEP_TESTS_COMPILE_CLUSTER_H

#include <criterion/criterion.h>
#include <netinet/in.h>

#include "compile/policy.h"

enum { N_NS = 3, N_PER_NS = 3, N_CLUSTER_PODS = N_NS * N_PER_NS };

struct cluster {
	struct arena arena;
	json_t *json[64];
	size_t n_json;
	struct policy_ns ns[N_NS];
	struct policy_pod pods[N_CLUSTER_PODS + 4];
	const struct api_network_policy *policies[64];
	struct policy_snapshot snap;
	struct policy_ids *ids;
	struct policy_compiled *compiled;
};

void cluster_init(struct cluster *c);
void cluster_done(struct cluster *c);
/* Adds a NetworkPolicy: namespace, name, and its spec. */
void cluster_policy(struct cluster *c, const char *ns, const char *name, const char *spec);
void cluster_label(struct cluster *c, const char *pod, const char *key,
		   const char *value); /* sets or, with NULL, removes */
void cluster_compile(struct cluster *c);
size_t cluster_pod(const struct cluster *c, const char *name); /* "x/a" */
/* Ends are "x/a" or an address. Compiles if that has not been done. */
bool cluster_allows(struct cluster *c, const char *src, const char *dst, uint8_t proto, uint16_t port);
struct policy_verdict cluster_verdict(struct cluster *c, const char *src, const char *dst, uint8_t proto,
				      uint16_t port);

#endif
