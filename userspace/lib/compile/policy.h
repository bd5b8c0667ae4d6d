/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NetworkPolicies compiled to identities: a pure function from a snapshot of the cluster to what the data plane
 * needs. The agent fills its maps from the result, the CLI answers "can a talk to b" from it, tests compare the two.
 *
 * An identity is a small number that stands for everything a policy can ask of a peer: the labels of its namespace,
 * its own labels, its named ports, and the longest prefix of any ipBlock (or except) of any policy that holds its
 * IPv4 and its IPv6 address. Peers that no policy could tell apart share one. Numbers are private to a node and kept
 * in struct policy_ids across compilations.
 *
 * Choices where NetworkPolicy leaves them to the implementation:
 *  - an ipBlock matches pods too, by the pod's address of the block's family (so a dual-stack pod is in a block if
 *    either address is);
 *  - pods on the host's network are their node: no policy selects them, selectors do not match them, ipBlocks match
 *    node addresses;
 *  - a node always reaches its own pods (probes), and a pod itself; ICMP passes where a rule has no ports.
 */
#ifndef SKEP_COMPILE_POLICY_H
#define SKEP_COMPILE_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../../headers/abi/addr.h"
#include "../api/api.h"
#include "../base/err.h"
#include "api/api_types.h"

#define POLICY_ID_FIRST_POD  256u
#define POLICY_ID_FIRST_CIDR (1u << 24)

struct policy_ns {
	const char *name;
	const struct api_map *labels; /* kubernetes.io/metadata.name is added if it is missing */
};

struct policy_port_name {
	const char *name;
	uint8_t proto;
	uint16_t port;
};

struct policy_pod {
	const char *ns, *name;
	const struct api_map *labels; /* NULL: none */
	struct ip_addr ip4, ip6;      /* zero: none */
	const struct policy_port_name *ports;
	size_t n_ports;
	bool host_network;
	bool local; /* its rules are wanted */
};

struct policy_snapshot {
	const struct policy_ns *ns;
	size_t n_ns;
	const struct policy_pod *pods; /* live ones: an address belongs to one of them at most */
	size_t n_pods;
	const struct api_network_policy *const *policies;
	size_t n_policies;
	struct ip_addr node4, node6; /* this node's; zero: none */
};

/* Numbers given out so far. */
struct policy_ids;
struct policy_ids *policy_ids_new(void); /* NULL: out of memory */
void policy_ids_free(struct policy_ids *ids);
/*
 * Forgets identities that the last compilation did not use; call when its result is in the maps, so that until then
 * rules name the old identities beside the new ones. True if any was forgotten.
 */
bool policy_ids_release(struct policy_ids *ids);
/*
 * The table as JSON and back, so that numbers in pinned maps keep their meaning over a restart. Load into a new one
 * only.
 */
int policy_ids_save(const struct policy_ids *ids, struct strbuf *out);
int policy_ids_load(struct policy_ids *ids, const char *text, size_t len, struct err *err);
uint64_t policy_ids_version(const struct policy_ids *ids); /* changes when there is something new to save */
size_t policy_ids_len(const struct policy_ids *ids);

enum policy_dir { POLICY_DIR_INGRESS, POLICY_DIR_EGRESS };

struct policy_rule {
	uint32_t identity; /* peer; 0: any */
	uint8_t direction;
	uint8_t proto;	   /* 0: any */
	uint8_t port_bits; /* leading bits of port that must match, 0..16 */
	uint8_t pad;
	uint16_t port; /* host order */
	uint16_t pad2;
	uint32_t rule_id;
};

/* Sorted and without duplicates, so that two compilations can be compared as bytes. */
struct policy_of_pod {
	uint32_t identity;	   /* 0: on the host's network */
	bool isolated[2];	   /* by enum policy_dir */
	struct policy_rule *rules; /* local pods only */
	size_t n_rules;
	const struct api_network_policy **selected_by; /* local pods only */
	size_t n_selected_by;
};

struct policy_cidr {
	struct ip_addr ip;
	unsigned len; /* in v4-mapped bits */
	uint32_t identity;
};

/* Where a rule comes from. */
struct policy_rule_source {
	uint32_t rule_id;
	const char *ns, *name, *uid;
	const char *path; /* spec.ingress[0].from[1] */
};

struct policy_compiled {
	size_t n_pods;
	struct policy_of_pod *pods; /* in the order of the snapshot */
	size_t n_cidrs;
	struct policy_cidr *cidrs; /* longest first */
	/* private */
	struct arena arena;
	const struct policy_snapshot *snapshot;
};

/* The result points into the snapshot and what it points to. */
int policy_compile(struct policy_ids *ids, const struct policy_snapshot *snapshot, struct policy_compiled **ret,
		   struct err *err);
void policy_compiled_free(struct policy_compiled *c);
/* false: unknown (any more). Strings are valid until the next compilation. */
bool policy_rule_source(const struct policy_ids *ids, uint32_t rule_id, struct policy_rule_source *ret);

/* Identity of an address outside (not a pod's): of its CIDR, else 0. */
uint32_t policy_cidr_identity(const struct policy_compiled *c, const struct ip_addr *ip);

/* One end of a connection: a pod of the snapshot by its index, or an address outside. */
struct policy_end {
	bool is_pod;
	size_t pod;
	struct ip_addr ip;
};
struct policy_verdict {
	bool allowed;
	enum policy_dir denied_by;	    /* which end's policies, if not allowed */
	uint32_t egress_rule, ingress_rule; /* that allowed it; 0: that end is not isolated (or not a local pod) */
};
/* Ends that are pods must be local, or only the other end is judged. port is the destination's. */
struct policy_verdict policy_verdict(const struct policy_compiled *c, const struct policy_end *src,
				     const struct policy_end *dst, uint8_t proto, uint16_t port);

/* "10.0.0.0/8" to a v4-mapped prefix, host bits cleared. */
int policy_parse_cidr(const char *text, struct ip_addr *ret_ip, unsigned *ret_len);
int policy_parse_ip(const char *text, struct ip_addr *ret);

#endif
