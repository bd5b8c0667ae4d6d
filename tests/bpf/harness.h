/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node for one test: a network namespace with an uplink, a VXLAN interface and two pods' interfaces, a BPF file
 * system, a scratch cgroup, and the data plane opened on them by dp_open() as the agent does. Programs run through
 * BPF_PROG_TEST_RUN on packets made by the builders below. Without root each test is skipped, visibly.
 */
#ifndef SKEP_TESTS_BPF_HARNESS_H
#define SKEP_TESTS_BPF_HARNESS_H

#include <criterion/criterion.h>

#include "agent/dp/dp-internal.h"
#include "abi/drop.h"
#include "abi/policy.h"

#define NODE4	    "172.30.1.1"
#define NODE6	    "fd00:30::1:1"
#define OTHER_NODE4 "172.30.1.2"
#define OTHER_NODE6 "fd00:30::1:2"
#define POD_A4	    "10.0.1.10"
#define POD_A6	    "fd00:10:0:1::10"
#define POD_B4	    "10.0.1.11"
#define POD_B6	    "fd00:10:0:1::11"
#define REMOTE4	    "10.0.2.10"
#define REMOTE6	    "fd00:10:0:2::10"
#define WORLD4	    "8.8.8.8"
#define WORLD6	    "2001:db8::8"
#define EP_A	    1u
#define EP_B	    2u
#define ID_A	    300u
#define ID_B	    301u
#define ID_REMOTE   302u

struct node_fixture {
	struct dp *dp;
	struct dp_config config;
	char dir[64], pin_dir[96], cgroup[128];
	uint32_t uplink, tunnel, pod_a, pod_b;
};
extern struct node_fixture fx;

/*
 * Skips the test without root. node_up() also opens the data plane and adds pods A and B, both not isolated, and the
 * remote pod. fx.config.max_flows and .xdp may be set before.
 */
void node_dirs(void);
void node_up(void);
void node_down(void);
/* This process becomes one of the node's, so that its sockets are balanced; and goes back. */
void cgroup_enter(void);
void cgroup_leave(void);

struct pkt {
	uint8_t data[2048];
	size_t len;
};
struct ip_addr addr(const char *text);
/* proto: IPPROTO_TCP, UDP, SCTP; ICMP and ICMPV6 give an echo request with sport as identifier. Checksums are right. */
struct pkt pkt_l4(const char *src, const char *dst, uint8_t proto, uint16_t sport, uint16_t dport);
struct pkt pkt_tcp(const char *src, const char *dst, uint16_t sport, uint16_t dport, uint8_t flags);
struct pkt pkt_icmp(const char *src, const char *dst, uint8_t proto, uint16_t id, uint8_t type);
void pkt_macs(struct pkt *p, const uint8_t *dst, const uint8_t *src);
/* A "destination unreachable" from src to dst that quotes p. */
struct pkt pkt_icmp_error(const char *src, const char *dst, const struct pkt *quoted);
/* Recomputes; false if any checksum in the packet (of an unfragmented one) is wrong. */
bool pkt_checksums_ok(const struct pkt *p);
struct pkt_view {
	struct ip_addr src, dst;
	uint16_t sport, dport;
	uint8_t proto;
};
struct pkt_view pkt_view(const struct pkt *p);
bool ip_is(const struct ip_addr *a, const char *text);
/* Between whom, and with right checksums. */
void pkt_expect(const struct pkt *p, const char *src, uint16_t sport, const char *dst, uint16_t dport);
/* The same of the packet that an ICMP error quotes. */
void pkt_expect_quoted(const struct pkt *error, const char *src, uint16_t sport, const char *dst, uint16_t dport);

#define FROM_HOST 0u /* ingress_ifindex of what the node's own stack made */
/* Runs a program as if on that interface. The packet is replaced by what comes out. Returns the TC verdict. */
int run(enum dp_prog prog, struct pkt *p, uint32_t ifindex, uint32_t ingress_ifindex);
/* xdp_lb; returns the XDP verdict. */
int run_xdp(struct pkt *p);
int from_pod_a(struct pkt p);
int from_pod_b(struct pkt p);
int to_pod_a(struct pkt p, uint32_t ingress_ifindex);
int to_pod_b(struct pkt p, uint32_t ingress_ifindex);

/* Sum over CPUs, and over endpoints. */
uint64_t drops(enum drop_reason reason);
uint64_t drops_of(uint32_t ep_id, enum drop_reason reason, uint8_t direction);
uint64_t map_entries(const char *map);
struct dp_pod_stats stats_of(uint32_t ep_id);

struct dp_policy_rule rule(uint8_t direction, uint32_t identity, uint8_t proto, uint16_t port, uint8_t port_bits,
			   bool allow, uint32_t rule_id);
void set_policy(uint32_t ep_id, bool in, bool eg, const struct dp_policy_rule *rules, size_t n);
void bump(void);

#define ok(call)                                                                                                       \
	do {                                                                                                           \
		int r_ = (call);                                                                                       \
		cr_assert(r_ >= 0, "%s: %d %s", #call, r_, test_err.msg);                                              \
	} while (0)
extern struct err test_err;

#endif
