/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random damage to packets of every kind, through every TC program. Whatever comes: a verdict that the program can
 * give, and what a pod gets past its interface bears its own address. The seed is fixed; SKEP_FUZZ_SEED and
 * SKEP_FUZZ_RUNS change it.
 */
#include <linux/pkt_cls.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

TestSuite(fuzz, .init = node_up, .fini = node_down, .timeout = 600);

static uint32_t seed;

static uint32_t rnd(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed % n;
}

static struct pkt seed_packet(bool v6)
{
	static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_ICMP, 47 };
	static const char *const v4s[] = {
		POD_A4, POD_B4, REMOTE4, WORLD4, NODE4, OTHER_NODE4, "10.0.9.9", "224.0.0.1"
	};
	static const char *const v6s[] = { POD_A6, POD_B6, REMOTE6, WORLD6, NODE6, OTHER_NODE6, "fe80::1", "ff02::1" };
	const char *const *a = v6 ? v6s : v4s;
	const char *src = a[rnd(2) ? 0 : rnd(8)], *dst = a[rnd(8)];
	uint8_t proto = protos[rnd(5)];
	struct pkt p, quoted;

	if (proto == IPPROTO_ICMP && v6)
		proto = IPPROTO_ICMPV6;
	p = pkt_l4(src, dst, proto, (uint16_t)(rnd(2) ? 61000 + rnd(4536) : rnd(65536)), (uint16_t)rnd(65536));
	if (rnd(6) == 0) {
		quoted = p;
		p = pkt_icmp_error(dst, src, &quoted);
	}
	return p;
}

static void damage(struct pkt *p)
{
	size_t head = p->len < 90 ? p->len : 90;

	for (uint32_t n = rnd(4); n > 0; n--) {
		switch (rnd(5)) {
		case 0:
			p->data[12 + rnd((uint32_t)head - 12)] = (uint8_t)rnd(256);
			break;
		case 1:
			p->data[12 + rnd((uint32_t)head - 12)] ^= (uint8_t)(1u << rnd(8));
			break;
		case 2: { /* a length, offset or next header with an extreme value */
			static const uint8_t extremes[] = { 0,	  1,	0x0f, 0x3f, 0x40, 0x45, 0x4f, 0x60,
							    0x7f, 0x80, 0xff, 43,   44,	  51,	60,   59 };

			p->data[14 + rnd(48) % (head - 14)] = extremes[rnd(16)];
			break;
		}
		case 3: /* cut; the kernel itself refuses to run what ends within the IP header */
			p->len = 54 + rnd((uint32_t)p->len > 54 ? (uint32_t)p->len - 53 : 1);
			break;
		case 4: /* IPv6: an extension header in front */
			if (p->data[12] == 0x86 && p->len < 1000) {
				static const uint8_t kinds[] = { 0, 43, 44, 51, 60 };

				memmove(p->data + 62, p->data + 54, p->len - 54);
				p->data[54] = p->data[20];
				p->data[55] = (uint8_t)rnd(3);
				p->data[20] = kinds[rnd(5)];
				p->len += 8;
			}
			break;
		}
	}
}

static unsigned env(const char *name, unsigned dflt)
{
	const char *s = getenv(name);

	return s ? (unsigned)strtoul(s, NULL, 10) : dflt;
}

/* Damage can make a destination one of the service range, where nobody is: the answer goes back to the sender. */
static bool is_refusal(const struct pkt *sent, const struct pkt *got, int verdict)
{
	bool v6 = sent->data[12] == 0x86;
	size_t src = v6 ? 22 : 26, len = v6 ? 16 : 4, dst = src + len;

	return verdict == TC_ACT_REDIRECT && !memcmp(got->data + src, sent->data + dst, len) &&
	       !memcmp(got->data + dst, sent->data + src, len);
}

Test(fuzz, damaged_packets)
{
	static const uint8_t mac_a[6] = { 2, 0, 0, 0, 1, 10 }, mac_host[6] = { 2, 0, 0, 0, 0, 1 };
	static const enum dp_prog progs[] = { PROG_FROM_POD,  PROG_TO_POD,	PROG_FROM_TUNNEL,
					      PROG_TO_TUNNEL, PROG_FROM_UPLINK, PROG_TO_UPLINK };
	const uint32_t ifindexes[] = { fx.pod_a, fx.pod_a, fx.tunnel, fx.tunnel, fx.uplink, fx.uplink };
	unsigned verdicts[8] = { 0 }, runs = env("SKEP_FUZZ_RUNS", 5000);
	struct ip_addr own4 = addr(POD_A4), own6 = addr(POD_A6);

	seed = env("SKEP_FUZZ_SEED", 77177);
	for (unsigned i = 0; i < runs; i++) {
		struct pkt p = seed_packet(rnd(2)), sent;

		pkt_macs(&p, mac_host, mac_a);
		damage(&p);
		sent = p;
		for (size_t k = 0; k < 6; k++) {
			int verdict;

			p = sent;
			verdict = run(progs[k], &p, ifindexes[k], rnd(2) ? FROM_HOST : fx.uplink);
			cr_assert(verdict == TC_ACT_OK || verdict == TC_ACT_SHOT || verdict == TC_ACT_REDIRECT,
				  "run %u: %s gave %d", i, dp_prog_names[progs[k]], verdict);
			cr_assert(p.len == sent.len || (progs[k] == PROG_FROM_POD && is_refusal(&sent, &p, verdict)),
				  "run %u: %s made %zu bytes of %zu", i, dp_prog_names[progs[k]], p.len, sent.len);
			verdicts[verdict]++;
			if (progs[k] != PROG_FROM_POD || verdict == TC_ACT_SHOT)
				continue;
			/*
			 * Past a pod's interface: ARP, neighbour discovery from its link-local address, or its own
			 * address.
			 */
			if (sent.data[12] == 0x08 && sent.data[13] == 0x00) {
				cr_assert(!memcmp(sent.data + 26, &own4.w[3], 4), "run %u", i);
			} else if (sent.data[12] == 0x86) {
				bool own = !memcmp(sent.data + 22, &own6, 16);
				bool link = sent.data[22] == 0xfe && (sent.data[23] & 0xc0) == 0x80;
				static const uint8_t none[16];

				cr_assert(own || link || !memcmp(sent.data + 22, none, 16), "run %u", i);
			}
		}
	}
	/* Each verdict must be frequent, else the damage is too heavy or too light to prove anything. */
	cr_assert(verdicts[TC_ACT_OK] > runs / 10 && verdicts[TC_ACT_SHOT] > runs / 10 &&
			  verdicts[TC_ACT_REDIRECT] > runs / 20,
		  "%u passed, %u dropped, %u redirected", verdicts[TC_ACT_OK], verdicts[TC_ACT_SHOT],
		  verdicts[TC_ACT_REDIRECT]);
}
