/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weights of backends, from the annotation to what every hook chooses: 10,000 new connections each, by packets of a
 * pod, by packets from outside and by sockets. Bounds are seven standard deviations of a fair choice.
 */
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../unit/documents.h"
#include "compile/service.h"
#include "harness.h"

#define VIP	 "10.96.0.1"
#define EXTERNAL "198.51.100.7"

enum {
	CONNECTIONS = 10000,
	QUARTER = CONNECTIONS / 4,
	MARGIN = 7 * 44, /* the root of 10,000 / 4 * 3 / 4 */
	LIGHT = 0,
	HEAVY,
	NONE,
	BACKENDS
};

static const char *const ips[BACKENDS] = { REMOTE4, POD_B4, "10.0.2.11" };
static struct service_table table;
static struct arena arena;

static void up(void)
{
	fx.config.max_flows = 65536;
	node_up();
	ok(dp_ipcache_set(fx.dp, &(struct dp_ipcache_entry){ addr(ips[NONE]), ID_REMOTE, addr(OTHER_NODE4) },
			  &test_err));
	cgroup_enter();
}

static void down(void)
{
	service_table_done(&table);
	arena_done(&arena);
	cgroup_leave();
	node_down();
}

TestSuite(weights, .init = up, .fini = down, .timeout = 180);

static void *decode(const struct api_type *type, const char *text)
{
	cleanup(free) char *copy = strdup(text);

	for (char *p = copy; (p = strchr(p, '\'')); p++)
		*p = '"';
	return from_json_as(type, copy, &arena);
}

static const struct api_endpoint_slice *slice(const char *ip, const char *weight)
{
	char text[600];

	snprintf(
		text, sizeof(text),
		"{'metadata':{'namespace':'n','name':'x','labels':{'kubernetes.io/service-name':'s'},'annotations':{"
		"'skep.io/weight':'%s'}},'addressType':'IPv4','ports':[{'name':'a','port':8080},{'name':'b','port':8080,"
		"'protocol':'UDP'}],'endpoints':[{'addresses':['%s']}]}",
		weight, ip);
	return decode(&api_type_endpoint_slice, text);
}

static void serve(const char *light, const char *heavy, const char *none)
{
	static const struct service_place place = { "here", "" };
	const struct api_service *service = decode(
		&api_type_service,
		"{'metadata':{'namespace':'n','name':'s'},'spec':{'clusterIP':'" VIP "','externalIPs':['" EXTERNAL
		"'],'ports':[{'name':'a','port':80},{'name':'b','port':80,'protocol':'UDP'}]}}");
	const struct api_endpoint_slice *slices[BACKENDS] = { slice(ips[LIGHT], light), slice(ips[HEAVY], heavy),
							      slice(ips[NONE], none) };
	struct dp_backend backends[16];

	service_table_done(&table);
	ok(service_compile(&place, &service, 1, slices, BACKENDS, &table, &test_err));
	for (size_t i = 0; i < table.n; i++) {
		const struct service_front *f = &table.fronts[i];
		struct dp_service s = { .vip = f->vip,
					.port = f->port,
					.proto = f->proto,
					.side = f->side,
					.backends = backends,
					.n_backends = f->n_backends };

		cr_assert(f->n_backends <= 16);
		for (size_t k = 0; k < f->n_backends; k++)
			backends[k] = (struct dp_backend){ f->backends[k].ip, f->backends[k].port };
		ok(dp_service_set(fx.dp, &s, &test_err));
	}
}

static void count(int hits[BACKENDS], const struct ip_addr *ip)
{
	for (int i = 0; i < BACKENDS; i++) {
		struct ip_addr one = addr(ips[i]);

		if (ip_same(&one, ip)) {
			hits[i]++;
			return;
		}
	}
	cr_assert(false, "no backend");
}

static void by_packets(bool outside, int hits[BACKENDS])
{
	static const uint8_t mac_a[6] = { 2, 0, 0, 0, 1, 10 }, mac_host[6] = { 2, 0, 0, 0, 0, 1 },
			     mac_router[6] = { 2, 0, 0, 0, 9, 9 }, mac_uplink[6] = { 2, 0, 0, 0, 9, 1 };
	static uint16_t port = 20000;

	for (int i = 0; i < CONNECTIONS; i++) {
		struct pkt p = pkt_tcp(outside ? WORLD4 : POD_A4, outside ? EXTERNAL : VIP, port++, 80, TH_SYN);
		struct pkt_view v;

		pkt_macs(&p, outside ? mac_uplink : mac_host, outside ? mac_router : mac_a);
		cr_assert_neq(outside ? run(PROG_FROM_UPLINK, &p, fx.uplink, fx.uplink)
				      : run(PROG_FROM_POD, &p, fx.pod_a, fx.pod_a),
			      TC_ACT_SHOT);
		v = pkt_view(&p);
		count(hits, &v.dst);
	}
}

/* Whom the map of peers has for a socket. */
static void by_sockets(int hits[BACKENDS])
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(80) };
	struct ip_addr vip = addr(VIP);

	to.sin_addr.s_addr = vip.w[3];
	for (int i = 0; i < CONNECTIONS; i++) {
		int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), found = 0;
		struct sock_peer_key key;
		struct sock_peer_value value;
		socklen_t len = sizeof(key.cookie);

		memset(&key, 0, sizeof(key));
		cr_assert(fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_COOKIE, &key.cookie, &len) == 0);
		(void)connect(fd, (struct sockaddr *)&to, sizeof(to)); /* there may be no way to the backend */
		key.backend_port = htons(8080);
		for (int k = 0; k < BACKENDS; k++) {
			key.backend_ip = addr(ips[k]);
			if (bpf_map_lookup_elem(fx.dp->map_fd[MAP_UDP_PEERS], &key, &value) == 0) {
				hits[k]++;
				found++;
			}
		}
		cr_assert_eq(found, 1);
		close(fd);
	}
}

static void check_quarter(const int hits[BACKENDS], const char *who)
{
	cr_assert(hits[LIGHT] > QUARTER - MARGIN && hits[LIGHT] < QUARTER + MARGIN && hits[NONE] == 0,
		  "%s: %d %d %d of %d", who, hits[LIGHT], hits[HEAVY], hits[NONE], CONNECTIONS);
}

Test(weights, one_to_three_and_none)
{
	int pod[BACKENDS] = { 0 }, outside[BACKENDS] = { 0 }, sockets[BACKENDS] = { 0 };

	serve("100", "300", "0");
	by_packets(false, pod);
	check_quarter(pod, "packets of a pod");
	by_packets(true, outside);
	check_quarter(outside, "packets from outside");
	by_sockets(sockets);
	check_quarter(sockets, "sockets");
}

/* A flow that is there stays when its backend gets no new ones. */
Test(weights, established_connections_drain)
{
	static const uint8_t mac_a[6] = { 2, 0, 0, 0, 1, 10 }, mac_host[6] = { 2, 0, 0, 0, 0, 1 };
	struct ip_addr heavy = addr(ips[HEAVY]), light = addr(ips[LIGHT]);

	serve("0", "100", "0");
	for (int i = 0; i < 3; i++) {
		struct pkt p = pkt_tcp(POD_A4, VIP, (uint16_t)(i == 2 ? 20001 : 20000), 80, i == 1 ? TH_ACK : TH_SYN);
		struct pkt_view v;

		if (i == 1)
			serve("100", "0", "0");
		pkt_macs(&p, mac_host, mac_a);
		cr_assert_neq(run(PROG_FROM_POD, &p, fx.pod_a, fx.pod_a), TC_ACT_SHOT);
		v = pkt_view(&p);
		cr_assert(ip_same(&v.dst, i == 2 ? &light : &heavy), "packet %d", i);
	}
}
