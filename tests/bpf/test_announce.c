/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of load balancers: who asks for one of this node's is answered, by ARP and by neighbour discovery. */
#include <arpa/inet.h>
#include <linux/pkt_cls.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/if_ether.h>
#include <netinet/ip6.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"
#include "abi/svc.h"
#include "agent/announce.h"

TestSuite(announce, .init = node_up, .fini = node_down);

#define VIP4   "198.51.100.7"
#define VIP6   "2001:db8:7::7"
#define ASKER4 "172.30.0.99"
#define ASKER6 "fd00:30::99"

static const uint8_t mac_asker[6] = { 2, 0, 0, 0, 9, 9 };

static void announce(const char *vip, bool announced)
{
	struct dp_service svc = { .vip = addr(vip), .side = SVC_OUTSIDE, .announced = announced };

	ok(dp_service_set(fx.dp, &svc, &test_err));
}

static const uint8_t *own_mac(void)
{
	static struct ifreq req = { .ifr_name = "up0" };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	cr_assert(fd >= 0 && ioctl(fd, SIOCGIFHWADDR, &req) == 0);
	close(fd);
	return (const uint8_t *)req.ifr_hwaddr.sa_data;
}

static struct pkt arp(const char *ip, uint16_t op)
{
	struct ether_header eth = { .ether_type = htons(ETHERTYPE_ARP) };
	struct ether_arp a = { .arp_op = htons(op), .arp_hln = 6, .arp_pln = 4 };
	struct ip_addr target = addr(ip), asker = addr(ASKER4);
	struct pkt p = { .len = 60 };

	memset(eth.ether_dhost, 0xff, 6);
	memcpy(eth.ether_shost, mac_asker, 6);
	a.arp_hrd = htons(ARPHRD_ETHER);
	a.arp_pro = htons(ETHERTYPE_IP);
	memcpy(a.arp_sha, mac_asker, 6);
	memcpy(a.arp_spa, &asker.w[3], 4);
	memcpy(a.arp_tpa, &target.w[3], 4);
	memcpy(p.data, &eth, sizeof(eth));
	memcpy(p.data + sizeof(eth), &a, sizeof(a));
	return p;
}

/* As Linux sends it: to the address' group, with the asker's own Ethernet address as an option. */
static struct pkt solicitation(const char *from, const char *ip, uint8_t type, bool option)
{
	struct pkt p = pkt_icmp(from, "ff02::1:ff00:7", IPPROTO_ICMPV6, 0, type);
	struct ip_addr target = addr(ip);
	uint8_t *nd = p.data + 54, group[6];

	announce_group(&target, group);
	pkt_macs(&p, group, mac_asker);
	memset(nd + 4, 0, 4);
	memcpy(nd + 8, &target, 16);
	memcpy(nd + 24, (const uint8_t[]){ ND_OPT_SOURCE_LINKADDR, 1 }, 2);
	memcpy(nd + 26, mac_asker, 6);
	p.len = 54 + (option ? 32 : 24);
	p.data[14 + 4] = 0;
	p.data[14 + 5] = option ? 32 : 24;
	p.data[14 + 7] = 255;
	return p;
}

static int in(struct pkt *p)
{
	return run(PROG_FROM_UPLINK, p, fx.uplink, fx.uplink);
}

Test(announce, arp_is_answered_for_what_is_announced_here)
{
	struct pkt p = arp(VIP4, ARPOP_REQUEST);
	struct ip_addr vip = addr(VIP4), asker = addr(ASKER4);
	struct ether_arp a;

	announce(VIP4, true);
	cr_assert_eq(in(&p), TC_ACT_REDIRECT);
	memcpy(&a, p.data + 14, sizeof(a));
	cr_assert(!memcmp(p.data, mac_asker, 6) && !memcmp(p.data + 6, own_mac(), 6));
	cr_assert_eq(a.arp_op, htons(ARPOP_REPLY));
	cr_assert(!memcmp(a.arp_sha, own_mac(), 6) && !memcmp(a.arp_spa, &vip.w[3], 4));
	cr_assert(!memcmp(a.arp_tha, mac_asker, 6) && !memcmp(a.arp_tpa, &asker.w[3], 4));
	cr_assert(a.arp_hrd == htons(ARPHRD_ETHER) && a.arp_pro == htons(ETHERTYPE_IP));
}

Test(announce, other_arp_is_the_kernels)
{
	struct pkt p;

	announce(VIP4, false);
	announce("198.51.100.8", true);
	for (int i = 0; i < 3; i++) {
		struct pkt was = arp((const char *const[]){ VIP4, NODE4, "198.51.100.8" }[i],
				     i == 2 ? ARPOP_REPLY : ARPOP_REQUEST);

		p = was;
		cr_assert_eq(in(&p), TC_ACT_OK);
		cr_assert(!memcmp(p.data, was.data, was.len), "untouched");
	}
	p = arp("198.51.100.8", ARPOP_REQUEST);
	p.len = 30;
	cr_assert_eq(in(&p), TC_ACT_OK, "cut short");
	announce("198.51.100.8", false);
	p = arp("198.51.100.8", ARPOP_REQUEST);
	cr_assert_eq(in(&p), TC_ACT_OK, "not any more");
}

Test(announce, neighbour_discovery_is_answered)
{
	struct ip_addr vip = addr(VIP6);

	announce(VIP6, true);
	for (int option = 0; option < 2; option++) {
		struct pkt p = solicitation(ASKER6, VIP6, ND_NEIGHBOR_SOLICIT, option);
		struct nd_neighbor_advert na;

		cr_assert_eq(in(&p), TC_ACT_REDIRECT);
		cr_assert_eq(p.len, 54 + 32);
		memcpy(&na, p.data + 54, sizeof(na));
		cr_assert(!memcmp(p.data, mac_asker, 6) && !memcmp(p.data + 6, own_mac(), 6));
		cr_assert(na.nd_na_type == ND_NEIGHBOR_ADVERT && na.nd_na_code == 0);
		cr_assert_eq(na.nd_na_flags_reserved, (uint32_t)(ND_NA_FLAG_SOLICITED | ND_NA_FLAG_OVERRIDE));
		cr_assert(!memcmp(&na.nd_na_target, &vip, sizeof(vip)));
		cr_assert(p.data[78] == ND_OPT_TARGET_LINKADDR && p.data[79] == 1 &&
			  !memcmp(p.data + 80, own_mac(), 6));
		cr_assert_eq(p.data[14 + 7], 255);
		pkt_expect(&p, VIP6, pkt_view(&p).sport, ASKER6, pkt_view(&p).dport);
	}
}

Test(announce, other_neighbour_discovery_is_the_kernels)
{
	struct pkt asks[] = {
		solicitation(ASKER6, "2001:db8:7::8", ND_NEIGHBOR_SOLICIT, true), /* the same group */
		solicitation(ASKER6, NODE6, ND_NEIGHBOR_SOLICIT, true),
		solicitation("::", VIP6, ND_NEIGHBOR_SOLICIT, false), /* is it free? */
		solicitation(ASKER6, VIP6, ND_NEIGHBOR_ADVERT, true),
	};

	announce(VIP6, true);
	for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++) {
		struct pkt was = asks[i];

		cr_assert_eq(in(&asks[i]), TC_ACT_OK, "%zu", i);
		cr_assert(!memcmp(was.data, asks[i].data, was.len), "untouched");
	}
}

Test(announce, what_the_maps_say_is_read_again)
{
	struct dp_service *list;
	size_t n;

	announce(VIP4, true);
	ok(dp_service_list(fx.dp, &list, &n, &test_err));
	cr_assert(n == 1 && list[0].announced && list[0].port == 0);
	free(list);
}
