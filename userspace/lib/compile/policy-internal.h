/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the policy compiler share: the table of identities with their attributes, and of rules. */
#ifndef SKEP_COMPILE_POLICY_INTERNAL_H
#define SKEP_COMPILE_POLICY_INTERNAL_H

#include "../base/strmap.h"
#include "policy.h"

/* A prefix; len ~0u: none. */
struct prefix {
	struct ip_addr ip;
	unsigned len;
};
#define NO_PREFIX (~0u)

/* Everything here is owned: an identity outlives the pods that had it until it is released. */
struct identity_entry {
	uint32_t number;
	bool used; /* by the last compilation */
	bool is_cidr;
	struct arena arena;
	const char *key;
	/* pods */
	const char *ns;
	struct api_map ns_labels, labels;
	struct policy_port_name *ports;
	size_t n_ports;
	struct prefix in4, in6;
	/* CIDRs */
	struct prefix cidr;
};

struct rule_entry {
	uint32_t number;
	bool used;
	char *ns, *name, *uid, *path;
};

struct policy_ids {
	struct strmap *by_key; /* struct identity_entry */
	struct strmap *rules;  /* "uid path" -> struct rule_entry */
	struct strmap *rule_by_number;
	uint32_t next_pod, next_cidr, next_rule;
	bool wrapped; /* numbers have been given out once: look before taking one */
	uint64_t version;
};

/* Finds or makes; marks used. NULL: out of memory (or numbers). */
struct identity_entry *ids_pod(struct policy_ids *ids, const struct policy_pod *pod, const struct api_map *ns_labels,
			       const struct prefix *in4, const struct prefix *in6);
struct identity_entry *ids_cidr(struct policy_ids *ids, const struct prefix *cidr);
void ids_begin(struct policy_ids *ids);								  /* nothing is used */
uint32_t ids_rule(struct policy_ids *ids, const struct api_network_policy *np, const char *path); /* 0: out of memory */

#endif
