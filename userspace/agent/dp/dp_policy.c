/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pod's policy as one longest-prefix trie, made whole and then put in place of the present one. The trie answers
 * with the longest match only, so what "a deny wins" means for rules of one peer that contain each other is settled
 * here: an allow inside a deny becomes that deny.
 */
#include "dp-internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "abi/policy.h"

struct entry {
	struct policy_key key;
	struct policy_value value;
};

struct entries {
	struct entry *items;
	size_t n;
	bool deny; /* any */
};

static void put(struct entries *e, const struct dp_policy_rule *rule, uint8_t proto)
{
	struct entry *it = &e->items[e->n++];
	uint16_t mask = rule->port_bits ? (uint16_t)(0xffffu << (16 - rule->port_bits)) : 0;

	memset(it, 0, sizeof(*it));
	it->key.prefixlen = proto ? POLICY_BITS_PROTO + rule->port_bits : POLICY_BITS_ANY;
	it->key.identity = rule->identity;
	it->key.direction = rule->direction;
	it->key.proto = proto;
	it->key.port = htons(rule->port & mask);
	it->value.rule_id = rule->rule_id;
	it->value.allow = rule->allow;
	if (!rule->allow)
		e->deny = true;
}

static void put_open(struct entries *e, uint8_t direction)
{
	const struct dp_policy_rule all = { .direction = direction, .allow = true };

	put(e, &all, 0);
}

/* Does a contain b? */
static bool contains(const struct policy_key *a, const struct policy_key *b)
{
	unsigned bits;

	if (a->identity != b->identity || a->direction != b->direction || a->prefixlen > b->prefixlen)
		return false;
	if (a->prefixlen >= POLICY_BITS_PROTO && a->proto != b->proto)
		return false;
	if (a->prefixlen <= POLICY_BITS_PROTO)
		return true;
	bits = a->prefixlen - POLICY_BITS_PROTO;
	return (ntohs(a->port) ^ ntohs(b->port)) >> (16 - bits) == 0;
}

static void let_deny_win(struct entries *e)
{
	if (!e->deny)
		return;
	for (size_t i = 0; i < e->n; i++) {
		if (!e->items[i].value.allow)
			continue;
		for (size_t k = 0; k < e->n; k++) {
			if (!e->items[k].value.allow && contains(&e->items[k].key, &e->items[i].key)) {
				e->items[i].value = e->items[k].value;
				break;
			}
		}
	}
}

static int compile(const struct dp_policy *policy, struct entries *e, struct err *err)
{
	/* A rule for a port of any protocol becomes one per protocol that has ports. */
	e->items = calloc(policy->n_rules * 3 + 2, sizeof(*e->items));
	if (!e->items)
		return err_set(err, ENOMEM, "out of memory");
	/* A direction that is open allows all, whatever its rules say. */
	if (!policy->isolated_ingress)
		put_open(e, POLICY_INGRESS);
	if (!policy->isolated_egress)
		put_open(e, POLICY_EGRESS);
	for (size_t i = 0; i < policy->n_rules; i++) {
		const struct dp_policy_rule *rule = &policy->rules[i];

		if (rule->direction > DP_EGRESS || rule->port_bits > 16)
			return err_set(err, EINVAL, "policy rule %zu: direction %u, port bits %u", i, rule->direction,
				       rule->port_bits);
		if (!(rule->direction == DP_INGRESS ? policy->isolated_ingress : policy->isolated_egress))
			continue;
		if (rule->proto == 0 && rule->port_bits > 0) {
			put(e, rule, IPPROTO_TCP);
			put(e, rule, IPPROTO_UDP);
			put(e, rule, IPPROTO_SCTP);
		} else {
			put(e, rule, rule->proto);
		}
	}
	let_deny_win(e);
	return 0;
}

static int make_trie(struct dp *dp, const struct entries *e, int *ret_fd, struct err *err)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
	cleanup(close_fd) int fd = -1;
	int r;

	if (dp->btf_fd >= 0 && (int32_t)dp->policy_key_type > 0 && (int32_t)dp->policy_value_type > 0) {
		opts.btf_fd = (uint32_t)dp->btf_fd;
		opts.btf_key_type_id = dp->policy_key_type;
		opts.btf_value_type_id = dp->policy_value_type;
	}
	fd = bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, "policy_rules", sizeof(struct policy_key),
			    sizeof(struct policy_value), e->n ? (uint32_t)e->n : 1, &opts);
	if (fd < 0)
		return err_set(err, -fd, "make a policy map of %zu rules: %s", e->n, strerror(-fd));
	for (size_t i = 0; i < e->n; i++) {
		const struct entry *it = &e->items[i];

		/* Of two rules for the same key a deny stays, else the first. */
		r = bpf_map_update_elem(fd, &it->key, &it->value, it->value.allow ? BPF_NOEXIST : BPF_ANY);
		if (r < 0 && r != -EEXIST)
			return err_set(err, -r, "policy rule %zu of %zu: %s", i, e->n, strerror(-r));
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int dp_policy_set(struct dp *dp, uint32_t ep_id, const struct dp_policy *policy, struct err *err)
{
	cleanup(close_fd) int fd = -1;
	struct entries e = { 0 };
	int r;

	r = dp_writable(dp, err);
	if (r < 0)
		return r;
	r = compile(policy, &e, err);
	if (r < 0)
		goto out;
	r = make_trie(dp, &e, &fd, err);
	if (r < 0)
		goto out;
	r = bpf_map_update_elem(dp->map_fd[MAP_POLICIES], &ep_id, &fd, BPF_ANY);
	if (r == -EINVAL && dp->btf_fd >= 0) {
		/*
		 * Until Linux 6.1 a map with types does not pass for one of the same form without, which is what
		 * `policies` names.
		 */
		close(dp->btf_fd);
		dp->btf_fd = -1;
		close(TAKE_FD(fd));
		r = make_trie(dp, &e, &fd, err);
		if (r < 0)
			goto out;
		r = bpf_map_update_elem(dp->map_fd[MAP_POLICIES], &ep_id, &fd, BPF_ANY);
	}
	if (r < 0)
		err_set(err, -r, "map 'policies': %s", r == -E2BIG ? "it is full" : strerror(-r));
out:
	free(e.items);
	return r < 0 ? err_wrap(err, r, "policy of endpoint %u", ep_id) : 0;
}

int dp_policy_del(struct dp *dp, uint32_t ep_id, struct err *err)
{
	int r;

	r = dp_writable(dp, err);
	if (r < 0)
		return r;
	r = bpf_map_delete_elem(dp->map_fd[MAP_POLICIES], &ep_id);
	if (r < 0 && r != -ENOENT)
		return err_set(err, -r, "policy of endpoint %u: map 'policies': %s", ep_id, strerror(-r));
	return 0;
}

int dp_policy_bump(struct dp *dp, struct err *err)
{
	int fd = dp->map_fd[MAP_POLICY_GENERATION], r;
	uint32_t zero = 0, generation;

	r = dp_writable(dp, err);
	if (r < 0)
		return r;
	r = bpf_map_lookup_elem(fd, &zero, &generation);
	if (r == 0) {
		generation++;
		r = bpf_map_update_elem(fd, &zero, &generation, BPF_ANY);
	}
	return r < 0 ? err_set(err, -r, "map 'policy_generation': %s", strerror(-r)) : 0;
}
