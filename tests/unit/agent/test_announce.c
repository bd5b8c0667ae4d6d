/* SPDX-License-Identifier: Apache-2.0 */
/* Announced addresses: the frames that tell neighbours, byte by byte, and who is told when, on a real interface. */
#include <criterion/criterion.h>
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/announce.h"
#include "agent/net/net.h"
#include "base/file.h"

static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };

static struct ip_addr addr(const char *text)
{
	struct ip_addr ip;

	cr_assert_eq(ip_parse(text, &ip), 0);
	return ip;
}

static const char *frame_hex(const char *ip)
{
	static char hex[2 * ANNOUNCE_FRAME + 1];
	struct ip_addr a = addr(ip);
	uint8_t frame[ANNOUNCE_FRAME];
	size_t len = announce_frame(&a, mac, frame);

	for (size_t i = 0; i < len; i++)
		snprintf(hex + 2 * i, 3, "%02x", frame[i]);
	return hex;
}

/* The second one's checksum was computed by another program. */
Test(announce, frames)
{
	cr_assert_str_eq(frame_hex("192.0.2.7"), "ffffffffffff0200000000010806"
						 "0001080006040001"
						 "020000000001c0000207"
						 "000000000000c0000207");
	cr_assert_str_eq(frame_hex("2001:db8::7"), "33330000000102000000000186dd"
						   "6000000000203aff"
						   "20010db8000000000000000000000007"
						   "ff020000000000000000000000000001"
						   "8800f91e20000000"
						   "20010db8000000000000000000000007"
						   "0201020000000001");
}

Test(announce, groups)
{
	struct ip_addr a = addr("2001:db8::12:3456");
	uint8_t group[6];

	announce_group(&a, group);
	cr_assert(!memcmp(group, (const uint8_t[]){ 0x33, 0x33, 0xff, 0x12, 0x34, 0x56 }, 6));
}

/* --- a pair of interfaces in a namespace of its own --------------------------------------------------------------- */

static struct loop *loop;
static struct announce *a;
static int ear = -1;
static struct loop_io ear_io;

static void woken(struct loop_io *io, uint32_t events)
{
	(void)io;
	(void)events;
}

static void up(void)
{
	struct err err = ERR_INIT;
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };

	if (geteuid())
		cr_skip("needs root for a network namespace");
	cr_assert(unshare(CLONE_NEWNET) == 0);
	cr_assert(system("ip link add up0 type veth peer name up1 && ip link set up0 up && ip link set up1 up") == 0);
	loop = loop_new();
	cr_assert(loop);
	cr_assert(announce_new(loop, "up0", &a, &err) == 0, "%s", err.msg);
	ear = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
	at.sll_ifindex = (int)if_nametoindex("up1");
	cr_assert(ear >= 0 && bind(ear, (struct sockaddr *)&at, sizeof(at)) == 0);
	ear_io = (struct loop_io){ .fn = woken };
	cr_assert(loop_io_add(loop, &ear_io, ear, EPOLLIN) == 0);
}

static void down(void)
{
	if (!loop)
		return;
	announce_free(a);
	loop_io_del(&ear_io);
	loop_free(loop);
	close(ear);
}

TestSuite(announcing, .init = up, .fini = down);

static bool hears_group(const char *ip)
{
	struct ip_addr x = addr(ip);
	char *text, want[13], line[64];
	uint8_t g[6];
	size_t len;
	bool found;

	announce_group(&x, g);
	snprintf(want, sizeof(want), "%02x%02x%02x%02x%02x%02x", g[0], g[1], g[2], g[3], g[4], g[5]);
	snprintf(line, sizeof(line), "%s", want);
	cr_assert(file_read("/proc/thread-self/net/dev_mcast", 65536, &text, &len, NULL) == 0);
	found = strstr(text, line);
	free(text);
	return found;
}

/* Which of the two addresses does the next frame tell of? The loop runs until there is one. */
static const char *next(const char *x, const char *y)
{
	const char *const ips[] = { x, y };
	uint8_t frame[256], want[ANNOUNCE_FRAME];

	for (;;) {
		ssize_t len = recv(ear, frame, sizeof(frame), MSG_DONTWAIT);

		if (len < 0)
			cr_assert(errno == EAGAIN && loop_run_once(loop, -1) >= 0);
		for (int i = 0; len > 0 && i < 2; i++) {
			struct ip_addr ip = addr(ips[i]);

			if ((size_t)len == announce_frame(&ip, frame + 6, want) && !memcmp(frame, want, (size_t)len))
				return ips[i];
		}
	}
}

Test(announcing, neighbours_are_told_of_a_new_address_three_times, .timeout = 120)
{
	const char *x = "192.0.2.7", *y = "2001:db8::7";
	struct ip_addr ip = addr(x), other = addr(y);

	cr_assert_eq(announce_set(a, &ip, true), 0);
	cr_assert_eq(announce_set(a, &ip, true), 0, "it is not new");
	cr_assert_eq(announce_set(a, &other, true), 0);
	cr_assert_eq(next(x, y), x);
	cr_assert_eq(next(x, y), y);
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(next(x, y), x);
		cr_assert_eq(next(x, y), y);
	}
	cr_assert(announce_has(a, &ip));
	cr_assert_eq(announce_set(a, &ip, false), 0);
	cr_assert(!announce_has(a, &ip));
	cr_assert_eq(announce_set(a, &ip, true), 0);
	cr_assert_eq(next(x, y), x, "it came back");
}

Test(announcing, questions_for_ipv6_addresses_are_heard)
{
	struct ip_addr x = addr("2001:db8::7"), y = addr("2001:db8:1::7");

	cr_assert_eq(announce_set(a, &x, true), 0);
	cr_assert_eq(announce_set(a, &y, true), 0);
	cr_assert(hears_group("2001:db8::7"));
	cr_assert_eq(announce_set(a, &x, false), 0);
	cr_assert(hears_group("2001:db8::7"), "the other address has the same group");
	cr_assert_eq(announce_set(a, &y, false), 0);
	cr_assert(!hears_group("2001:db8::7"));
}

Test(announcing, what_is_not_set_again_goes)
{
	struct ip_addr x = addr("192.0.2.7"), y = addr("2001:db8::7");

	cr_assert(announce_set(a, &x, true) == 0 && announce_set(a, &y, true) == 0);
	announce_begin(a);
	cr_assert_eq(announce_set(a, &x, true), 0);
	announce_end(a);
	cr_assert(announce_has(a, &x) && !announce_has(a, &y) && !hears_group("2001:db8::7"));
}

Test(announcing, an_agent_that_starts_again_finds_its_groups_as_they_are)
{
	struct ip_addr x = addr("2001:db8::7");
	struct err err = ERR_INIT;

	cr_assert_eq(announce_set(a, &x, true), 0);
	announce_free(a);
	cr_assert(hears_group("2001:db8::7"), "who asks is answered without an agent");
	cr_assert_eq(announce_new(loop, "up0", &a, &err), 0);
	cr_assert(announce_set(a, &x, true) == 0 && announce_set(a, &x, false) == 0);
	cr_assert(!hears_group("2001:db8::7"));
}

Test(announcing, an_interface_that_is_not_there)
{
	struct announce *none = NULL;
	struct err err = ERR_INIT;

	cr_assert_eq(announce_new(loop, "nothere0", &none, &err), -ENODEV);
	cr_assert(strstr(err.msg, "uplink 'nothere0'"), "%s", err.msg);
}
