/* SPDX-License-Identifier: Apache-2.0 */
/* See announce.h. */
#include "announce.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/if_ether.h>
#include <netinet/ip6.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../lib/base/log.h"
#include "net/net.h"

#define TELLINGS    3 /* one may be lost, and a switch may just have started to forward */
#define TELL_GAP_MS 1000

struct announced {
	struct ip_addr ip;
	unsigned tellings; /* still to come */
	bool wanted;	   /* between announce_begin() and announce_end() */
};

struct announce {
	struct loop *loop;
	struct loop_timer timer;
	int fd; /* packets on the interface */
	struct sockaddr_ll to;
	char ifname[IFNAMSIZ];
	uint8_t mac[6];
	struct announced *v;
	size_t n, cap;
};

static void tell_all(struct loop_timer *timer);

int announce_new(struct loop *loop, const char *ifname, struct announce **ret, struct err *err)
{
	struct announce *a = calloc(1, sizeof(*a));
	struct ifreq req = { 0 };
	int r;

	if (!a)
		return err_set(err, ENOMEM, "out of memory");
	a->loop = loop;
	a->timer = (struct loop_timer){ .fn = tell_all, .arg = a };
	snprintf(a->ifname, sizeof(a->ifname), "%s", ifname);
	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", ifname);
	a->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (a->fd < 0 || ioctl(a->fd, SIOCGIFHWADDR, &req) < 0) {
		r = err_set(err, errno, "uplink '%s': %m", ifname);
		announce_free(a);
		return r;
	}
	memcpy(a->mac, req.ifr_hwaddr.sa_data, sizeof(a->mac));
	a->to = (struct sockaddr_ll){ .sll_family = AF_PACKET,
				      .sll_ifindex = (int)if_nametoindex(ifname),
				      .sll_halen = 6 };
	*ret = a;
	return 0;
}

void announce_free(struct announce *a)
{
	if (!a)
		return;
	loop_timer_cancel(&a->timer);
	if (a->fd >= 0)
		close(a->fd);
	free(a->v);
	free(a);
}

/* --- frames ------------------------------------------------------------------------------------------------------- */

static uint16_t checksum(const uint8_t *v, size_t n, uint32_t sum)
{
	for (size_t i = 0; i + 1 < n; i += 2)
		sum += (uint32_t)v[i] << 8 | v[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static size_t frame4(const struct ip_addr *ip, const uint8_t mac[6], uint8_t *ret)
{
	struct ether_header eth = { .ether_type = htons(ETHERTYPE_ARP) };
	struct ether_arp arp = { .arp_op = htons(ARPOP_REQUEST), .arp_hln = 6, .arp_pln = 4 };

	memset(eth.ether_dhost, 0xff, sizeof(eth.ether_dhost));
	memcpy(eth.ether_shost, mac, 6);
	arp.arp_hrd = htons(ARPHRD_ETHER);
	arp.arp_pro = htons(ETHERTYPE_IP);
	memcpy(arp.arp_sha, mac, 6);
	memcpy(arp.arp_spa, &ip->w[3], 4);
	memcpy(arp.arp_tpa, &ip->w[3], 4);
	memcpy(ret, &eth, sizeof(eth));
	memcpy(ret + sizeof(eth), &arp, sizeof(arp));
	return sizeof(eth) + sizeof(arp);
}

static size_t frame6(const struct ip_addr *ip, const uint8_t mac[6], uint8_t *ret)
{
	static const uint8_t all_nodes[6] = { 0x33, 0x33, 0, 0, 0, 1 };
	struct ether_header eth = { .ether_type = htons(ETHERTYPE_IPV6) };
	struct {
		struct nd_neighbor_advert na;
		struct nd_opt_hdr opt;
		uint8_t mac[6];
	} nd = { .na.nd_na_type = ND_NEIGHBOR_ADVERT, .opt = { ND_OPT_TARGET_LINKADDR, 1 } };
	struct ip6_hdr ip6 = { .ip6_plen = htons(sizeof(nd)), .ip6_nxt = IPPROTO_ICMPV6, .ip6_hlim = 255 };
	size_t at = sizeof(eth);

	memcpy(eth.ether_dhost, all_nodes, 6);
	memcpy(eth.ether_shost, mac, 6);
	ip6.ip6_flow = htonl(6u << 28);
	memcpy(&ip6.ip6_src, ip, sizeof(*ip));
	inet_pton(AF_INET6, "ff02::1", &ip6.ip6_dst);
	nd.na.nd_na_flags_reserved = ND_NA_FLAG_OVERRIDE;
	memcpy(&nd.na.nd_na_target, ip, sizeof(*ip));
	memcpy(nd.mac, mac, 6);
	memcpy(ret, &eth, sizeof(eth));
	memcpy(ret + at, &ip6, sizeof(ip6));
	/* The pseudo-header: both addresses, the length, the protocol. */
	nd.na.nd_na_cksum =
		checksum((const uint8_t *)&nd, sizeof(nd),
			 (uint32_t)(uint16_t)~ntohs(checksum(ret + at + 8, 32, sizeof(nd) + IPPROTO_ICMPV6)));
	memcpy(ret + at + sizeof(ip6), &nd, sizeof(nd));
	return at + sizeof(ip6) + sizeof(nd);
}

size_t announce_frame(const struct ip_addr *ip, const uint8_t mac[6], uint8_t *ret)
{
	return ip_is_v4(ip) ? frame4(ip, mac, ret) : frame6(ip, mac, ret);
}

/* RFC 4291, 2.7.1 and RFC 2464, 7. */
void announce_group(const struct ip_addr *ip, uint8_t ret[6])
{
	memcpy(ret, (const uint8_t[]){ 0x33, 0x33, 0xff }, 3);
	memcpy(ret + 3, (const uint8_t *)ip + 13, 3);
}

/* --- the interface ------------------------------------------------------------------------------------------------ */

static void tell(struct announce *a, struct announced *e)
{
	uint8_t frame[ANNOUNCE_FRAME];
	size_t len = announce_frame(&e->ip, a->mac, frame);
	char text[INET6_ADDRSTRLEN];

	e->tellings--;
	memcpy(a->to.sll_addr, frame, 6);
	if (sendto(a->fd, frame, len, 0, (struct sockaddr *)&a->to, sizeof(a->to)) < 0)
		log_warn("announce %s on %s: %m; neighbours learn of it when they ask", ip_text(&e->ip, text),
			 a->ifname);
}

static void tell_all(struct loop_timer *timer)
{
	struct announce *a = timer->arg;
	bool more = false;

	for (size_t i = 0; i < a->n; i++) {
		if (a->v[i].tellings)
			tell(a, &a->v[i]);
		more |= a->v[i].tellings;
	}
	if (more && loop_timer_set(a->loop, &a->timer, TELL_GAP_MS) < 0)
		log_error("out of memory");
}

static void listen_to_group(const struct announce *a, const struct ip_addr *ip, bool on)
{
	struct ifreq req = { .ifr_hwaddr.sa_family = AF_UNSPEC };
	char text[INET6_ADDRSTRLEN];

	memcpy(req.ifr_name, a->ifname, sizeof(req.ifr_name));
	announce_group(ip, (uint8_t *)req.ifr_hwaddr.sa_data);
	if (ioctl(a->fd, on ? SIOCADDMULTI : SIOCDELMULTI, &req) < 0 && errno != EEXIST && errno != ENOENT)
		log_warn("multicast group of %s on %s: %m; who asks for it may not be heard", ip_text(ip, text),
			 a->ifname);
}

/* Does another address share its group? */
static bool group_shared(const struct announce *a, const struct ip_addr *ip)
{
	for (size_t i = 0; i < a->n; i++)
		if (!ip_is_v4(&a->v[i].ip) && !memcmp((const uint8_t *)&a->v[i].ip + 13, (const uint8_t *)ip + 13, 3))
			return true;
	return false;
}

/* --- the addresses ------------------------------------------------------------------------------------------------ */

static struct announced *find(const struct announce *a, const struct ip_addr *ip)
{
	for (size_t i = 0; i < a->n; i++)
		if (ip_equal(&a->v[i].ip, ip))
			return &a->v[i];
	return NULL;
}

bool announce_has(const struct announce *a, const struct ip_addr *ip)
{
	return find(a, ip);
}

static void forget(struct announce *a, struct announced *e)
{
	struct ip_addr ip = e->ip;

	*e = a->v[--a->n];
	if (!ip_is_v4(&ip) && !group_shared(a, &ip))
		listen_to_group(a, &ip, false);
}

static int add(struct announce *a, const struct ip_addr *ip)
{
	if (a->n == a->cap) {
		size_t cap = a->cap ? 2 * a->cap : 16;
		struct announced *v = reallocarray(a->v, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		a->v = v;
		a->cap = cap;
	}
	a->v[a->n] = (struct announced){ .ip = *ip, .tellings = TELLINGS, .wanted = true };
	if (!ip_is_v4(ip))
		listen_to_group(a, ip, true);
	tell(a, &a->v[a->n++]);
	return loop_timer_pending(&a->timer) ? 0 : loop_timer_set(a->loop, &a->timer, TELL_GAP_MS);
}

int announce_set(struct announce *a, const struct ip_addr *ip, bool announced)
{
	struct announced *e = find(a, ip);

	if (e && announced)
		e->wanted = true;
	else if (e)
		forget(a, e);
	return announced && !e ? add(a, ip) : 0;
}

void announce_begin(struct announce *a)
{
	for (size_t i = 0; i < a->n; i++)
		a->v[i].wanted = false;
}

void announce_end(struct announce *a)
{
	for (size_t i = a->n; i > 0; i--)
		if (!a->v[i - 1].wanted)
			forget(a, &a->v[i - 1]);
}
