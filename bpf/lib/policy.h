/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Map `policies` (hash of LPM tries, key ep_id): written by the agent, each trie replaced whole; read only to judge a
 * flow. Missing trie: the pod is denied everything (no-policy). Missing rule: denied. Full: the agent's call fails,
 * the pod does not start.
 * Map `policy_generation` (one counter): raised by the agent after a batch of changes, read with every packet; flows
 * judged under another number are judged again. It is read before the tries, so that a flow judged while they change
 * is judged once more.
 */
#ifndef SKEP_BPF_POLICY_H
#define SKEP_BPF_POLICY_H

#include "drop.h"
#include "abi/policy.h"

/*
 * Sizes, not types: clang 14 leaves only forward declarations of types named here. The agent makes the tries, with
 * types.
 */
struct policy_rules {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(key_size, sizeof(struct policy_key));
	__uint(value_size, sizeof(struct policy_value));
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__array(values, struct policy_rules);
} policies SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} policy_generation SEC(".maps");

static __always_inline __u32 current_generation(void)
{
	__u32 zero = 0, *g = bpf_map_lookup_elem(&policy_generation, &zero);

	return g ? *(volatile __u32 *)g : 0;
}

/* What is asked of a policy; also says which rule answered. */
struct policy_question {
	__u32 ep_id;
	__u32 identity; /* of the peer */
	__be16 port;
	__u8 proto;
	__u8 direction;
	__u32 rule_id; /* answer */
};

/* A function of its own also puts both types into the object's BTF, for the tries. */
static __noinline_prog struct policy_value *policy_rule(void *rules, struct policy_key *key)
{
	return bpf_map_lookup_elem(rules, key);
}

/* 0: allowed, else a drop reason. */
__verified_once int policy_ask(struct policy_question *q)
{
	struct policy_key key = { .prefixlen = POLICY_BITS_FULL };
	struct policy_value *exact = NULL, *any;
	__u32 ep_id;
	void *rules;

	if (!q)
		return DROP_NO_POLICY;
	key.direction = q->direction;
	key.proto = q->proto;
	key.port = q->port;
	ep_id = q->ep_id;
	q->rule_id = 0;
	rules = bpf_map_lookup_elem(&policies, &ep_id);
	if (!rules)
		return DROP_NO_POLICY;
	key.identity = IDENTITY_ANY;
	any = policy_rule(rules, &key);
	if (any && !any->allow) {
		q->rule_id = any->rule_id;
		return DROP_POLICY_DENIED;
	}
	if (q->identity != IDENTITY_UNKNOWN) {
		key.identity = q->identity;
		exact = policy_rule(rules, &key);
		if (exact && !exact->allow) {
			q->rule_id = exact->rule_id;
			return DROP_POLICY_DENIED;
		}
	}
	if (exact) {
		q->rule_id = exact->rule_id;
		return 0;
	}
	if (any) {
		q->rule_id = any->rule_id;
		return 0;
	}
	return q->identity == IDENTITY_UNKNOWN ? DROP_UNKNOWN_IDENTITY : DROP_POLICY_DENIED;
}

#endif
