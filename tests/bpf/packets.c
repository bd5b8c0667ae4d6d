/* SPDX-License-Identifier: Apache-2.0 */
/* Packet builders, and a checker that recomputes every checksum. */
#include <arpa/inet.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <string.h>

#include "harness.h"

#define ETH 14u

struct ip_addr addr(const char *text)
{
	struct ip_addr a = { { 0 } };

	if (strchr(text, ':')) {
		cr_assert_eq(inet_pton(AF_INET6, text, &a), 1, "%s", text);
	} else {
		a.w[2] = htonl(0xffff);
		cr_assert_eq(inet_pton(AF_INET, text, &a.w[3]), 1, "%s", text);
	}
	return a;
}

static uint32_t sum_bytes(const uint8_t *p, size_t len, uint32_t sum)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	if (len & 1)
		sum += (uint32_t)p[len - 1] << 8;
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static bool is_v6(const struct pkt *p)
{
	return p->data[12] == 0x86;
}

static size_t l4_off(const struct pkt *p)
{
	return is_v6(p) ? ETH + 40 : ETH + (size_t)(p->data[ETH] & 15) * 4;
}

static uint8_t proto_of(const struct pkt *p)
{
	return p->data[is_v6(p) ? ETH + 6 : ETH + 9];
}

static uint32_t pseudo(const struct pkt *p)
{
	uint32_t sum = (uint32_t)(p->len - l4_off(p)) + proto_of(p);

	return is_v6(p) ? sum_bytes(p->data + ETH + 8, 32, sum) : sum_bytes(p->data + ETH + 12, 8, sum);
}

/* Offset of the L4 checksum, 0: none. */
static size_t csum_off(const struct pkt *p)
{
	switch (proto_of(p)) {
	case IPPROTO_TCP:
		return l4_off(p) + 16;
	case IPPROTO_UDP:
		return l4_off(p) + 6;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return l4_off(p) + 2;
	default:
		return 0;
	}
}

static uint16_t l4_sum(const struct pkt *p)
{
	return fold(sum_bytes(p->data + l4_off(p), p->len - l4_off(p), proto_of(p) == IPPROTO_ICMP ? 0 : pseudo(p)));
}

static void put16(uint8_t *at, uint16_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static void finish(struct pkt *p)
{
	size_t off = csum_off(p);

	if (!is_v6(p)) {
		put16(p->data + ETH + 2, (uint16_t)(p->len - ETH));
		put16(p->data + ETH + 10, 0);
		put16(p->data + ETH + 10, fold(sum_bytes(p->data + ETH, (p->data[ETH] & 15) * 4u, 0)));
	} else {
		put16(p->data + ETH + 4, (uint16_t)(p->len - ETH - 40));
	}
	if (off) {
		put16(p->data + off, 0);
		put16(p->data + off, l4_sum(p));
	}
}

bool pkt_checksums_ok(const struct pkt *p)
{
	size_t off = csum_off(p);

	if (!is_v6(p) && fold(sum_bytes(p->data + ETH, (p->data[ETH] & 15) * 4u, 0)) != 0)
		return false;
	if (!off || (proto_of(p) == IPPROTO_UDP && !is_v6(p) && get16(p->data + off) == 0))
		return true;
	return l4_sum(p) == 0;
}

void pkt_macs(struct pkt *p, const uint8_t *dst, const uint8_t *src)
{
	memcpy(p->data, dst, 6);
	memcpy(p->data + 6, src, 6);
}

static void headers(struct pkt *p, const char *src, const char *dst, uint8_t proto)
{
	struct ip_addr s = addr(src), d = addr(dst);

	memset(p, 0, sizeof(*p));
	if (strchr(src, ':')) {
		put16(p->data + 12, 0x86dd);
		p->data[ETH] = 0x60;
		p->data[ETH + 6] = proto;
		p->data[ETH + 7] = 64;
		memcpy(p->data + ETH + 8, &s, 16);
		memcpy(p->data + ETH + 24, &d, 16);
		p->len = ETH + 40;
	} else {
		put16(p->data + 12, 0x0800);
		p->data[ETH] = 0x45;
		p->data[ETH + 8] = 64;
		p->data[ETH + 9] = proto;
		memcpy(p->data + ETH + 12, &s.w[3], 4);
		memcpy(p->data + ETH + 16, &d.w[3], 4);
		p->len = ETH + 20;
	}
}

static struct pkt build(const char *src, const char *dst, uint8_t proto, uint16_t sport, uint16_t dport, uint8_t flags)
{
	struct pkt p;
	uint8_t *l4;

	headers(&p, src, dst, proto);
	l4 = p.data + p.len;
	switch (proto) {
	case IPPROTO_TCP:
		l4[12] = 5 << 4;
		l4[13] = flags;
		put16(l4 + 14, 1024);
		p.len += 20;
		break;
	case IPPROTO_UDP:
		put16(l4 + 4, 8 + 10);
		p.len += 8;
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		l4[0] = flags ? flags : proto == IPPROTO_ICMP ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
		put16(l4 + 4, sport);
		p.len += 8;
		break;
	default:
		p.len += 12;
		break;
	}
	if (proto != IPPROTO_ICMP && proto != IPPROTO_ICMPV6) {
		put16(l4, sport);
		put16(l4 + 2, dport);
	}
	memcpy(p.data + p.len, "0123456789", 10);
	p.len += 10;
	finish(&p);
	return p;
}

struct pkt pkt_l4(const char *src, const char *dst, uint8_t proto, uint16_t sport, uint16_t dport)
{
	return build(src, dst, proto, sport, dport, proto == IPPROTO_TCP ? TH_SYN : 0);
}

struct pkt pkt_tcp(const char *src, const char *dst, uint16_t sport, uint16_t dport, uint8_t flags)
{
	return build(src, dst, IPPROTO_TCP, sport, dport, flags);
}

struct pkt pkt_icmp(const char *src, const char *dst, uint8_t proto, uint16_t id, uint8_t type)
{
	struct pkt p = build(src, dst, proto, id, 0, 0);

	p.data[l4_off(&p)] = type;
	finish(&p);
	return p;
}

struct pkt pkt_icmp_error(const char *src, const char *dst, const struct pkt *quoted)
{
	size_t quote = quoted->len - ETH;
	bool v6 = is_v6(quoted);
	struct pkt p;

	if (quote > 60)
		quote = 60;
	headers(&p, src, dst, v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
	p.data[p.len] = v6 ? ICMP6_DST_UNREACH : ICMP_DEST_UNREACH;
	p.len += 8;
	memcpy(p.data + p.len, quoted->data + ETH, quote);
	p.len += quote;
	finish(&p);
	return p;
}

struct pkt_view pkt_view(const struct pkt *p)
{
	const uint8_t *l4 = p->data + l4_off(p);
	struct pkt_view v = { .proto = proto_of(p) };

	if (is_v6(p)) {
		memcpy(&v.src, p->data + ETH + 8, 16);
		memcpy(&v.dst, p->data + ETH + 24, 16);
	} else {
		v.src.w[2] = htonl(0xffff);
		v.dst.w[2] = htonl(0xffff);
		memcpy(&v.src.w[3], p->data + ETH + 12, 4);
		memcpy(&v.dst.w[3], p->data + ETH + 16, 4);
	}
	if (v.proto == IPPROTO_ICMP || v.proto == IPPROTO_ICMPV6) {
		v.sport = get16(l4 + 4);
	} else {
		v.sport = get16(l4);
		v.dport = get16(l4 + 2);
	}
	return v;
}

bool ip_is(const struct ip_addr *a, const char *text)
{
	struct ip_addr want = addr(text);

	return !memcmp(a, &want, sizeof(want));
}

void pkt_expect(const struct pkt *p, const char *src, uint16_t sport, const char *dst, uint16_t dport)
{
	struct pkt_view v = pkt_view(p);

	cr_assert(ip_is(&v.src, src) && ip_is(&v.dst, dst), "%s to %s", src, dst);
	cr_assert(v.sport == sport && v.dport == dport, "%u to %u", v.sport, v.dport);
	cr_assert(pkt_checksums_ok(p));
}

void pkt_expect_quoted(const struct pkt *error, const char *src, uint16_t sport, const char *dst, uint16_t dport)
{
	size_t head = (is_v6(error) ? 40 : 20) + 8;
	struct pkt_view v;
	struct pkt q = *error;

	q.len = error->len - head;
	memcpy(q.data + ETH, error->data + ETH + head, q.len - ETH);
	v = pkt_view(&q);
	cr_assert(pkt_checksums_ok(error));
	cr_assert(ip_is(&v.src, src) && ip_is(&v.dst, dst), "%s to %s", src, dst);
	cr_assert(v.sport == sport && v.dport == dport, "%u to %u", v.sport, v.dport);
}
