/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One compiler, and every hook that chooses: random services are compiled, put into the maps as the agent does, and
 * then asked by packets of a pod, by sockets and by packets from outside. Who answers must be in the compiler's set for
 * that side; nobody does exactly when it is empty; each of the set does at some time; what sticks, sticks, also when
 * the set changes. SEED says which services; it is printed with what fails.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../unit/documents.h"
#include "compile/service.h"
#include "harness.h"

enum {
	ROUNDS = 40,
	MOST_BACKENDS = 40,
	MOST_FRONTS = 64,
	DRAWS = 8,	    /* of each front end in each round */
	EACH_ONE_DRAWS = 40 /* times the number of backends, of one front end in each round: e^-40 that one is missed */
};

static const uint8_t mac_a[6] = { 2, 0, 0, 0, 1, 10 }, mac_host[6] = { 2, 0, 0, 0, 0, 1 },
		     mac_router[6] = { 2, 0, 0, 0, 9, 9 }, mac_uplink[6] = { 2, 0, 0, 0, 9, 1 };

static const struct service_place place = { "here", "z1" };
static unsigned seed, round_no;

/* What stays of a front end from one round to the next. */
struct kept {
	struct service_front front;
	struct service_backend backends[MOST_BACKENDS]; /* of front */
	struct service_backend affine;			/* the client's, per packet: port 0: none yet */
	struct service_backend affine_socket;
	struct service_backend of_flow; /* of the flow that began in the last round */
	struct service_backend of_socket;
	uint16_t flow_port; /* 0: none */
	int socket;	    /* that sends datagrams without being connected; -1: none */
};
static struct kept kept[MOST_FRONTS];
static size_t n_kept;
static struct service_table table;
static struct arena arena;

static void up(void)
{
	fx.config.max_flows = 262144;
	node_up();
	cgroup_enter();
	for (int i = 1; i <= MOST_BACKENDS; i++)
		for (int v6 = 0; v6 < 2; v6++) {
			char ip[64];

			snprintf(ip, sizeof(ip), v6 ? "fd00:10:0:2::%x" : "10.0.2.%u", 0x80 + i);
			ok(dp_ipcache_set(fx.dp, &(struct dp_ipcache_entry){ addr(ip), ID_REMOTE, addr(OTHER_NODE4) },
					  &test_err));
		}
}

static void down(void)
{
	service_table_done(&table);
	arena_done(&arena);
	cgroup_leave();
	node_down();
}

TestSuite(choice, .init = up, .fini = down, .timeout = 180);

static bool one_in(unsigned n)
{
	return (unsigned)rand() % n == 0;
}

/* --- services ----------------------------------------------------------------------------------------------------- */

static void random_backend_ip(bool v6, char ret[static 64])
{
	static const char *const near[][2] = { { POD_A4, POD_A6 }, { POD_B4, POD_B6 }, { OTHER_NODE4, OTHER_NODE6 } };
	unsigned i = (unsigned)rand() % (MOST_BACKENDS + 3);

	if (i < MOST_BACKENDS)
		snprintf(ret, 64, v6 ? "fd00:10:0:2::%x" : "10.0.2.%u", 0x81 + i);
	else
		snprintf(ret, 64, "%s", near[i - MOST_BACKENDS][v6]);
}

static void *decode(const struct api_type *type, const char *text)
{
	cleanup(free) char *copy = strdup(text);

	for (char *p = copy; (p = strchr(p, '\'')); p++)
		*p = '"';
	return from_json_as(type, copy, &arena);
}

static const struct api_service *random_service(void)
{
	char text[2048];

	snprintf(text, sizeof(text),
		 "{'metadata':{'namespace':'n','name':'s','annotations':{'skep.io/forwarding-mode':'%s'}},'spec':{"
		 "'clusterIP':'10.96.0.1','clusterIPs':['10.96.0.1','fd00:10:96::1'],'externalIPs':[%s],"
		 "'sessionAffinity':'%s','internalTrafficPolicy':'%s','externalTrafficPolicy':'%s',"
		 "'loadBalancerSourceRanges':[%s],'ports':["
		 "{'name':'a','port':80,'nodePort':30080},{'name':'b','port':53,'protocol':'UDP','nodePort':30053}]},"
		 "'status':{'loadBalancer':{'ingress':[%s]}}}",
		 one_in(4) ? "dsr" : "snat", one_in(2) ? "'198.51.100.7','2001:db9:7::7'" : "",
		 one_in(3) ? "ClientIP" : "None", one_in(4) ? "Local" : "Cluster", one_in(3) ? "Local" : "Cluster",
		 one_in(2)   ? ""
		 : one_in(2) ? "'8.8.0.0/17','2001:db8:8000::/33'"
			     : "'8.0.0.0/8'",
		 one_in(2) ? "{'ip':'198.51.100.8'},{'ip':'2001:db9:7::8'}" : "");
	return decode(&api_type_service, text);
}

static void random_endpoint(FILE *f, bool v6, bool hints)
{
	static const char *const nodes[] = { "'here'", "'there'", "'far'", "null" };
	char ip[64];

	random_backend_ip(v6, ip);
	fprintf(f, "{'addresses':['%s'],'nodeName':%s", ip, nodes[rand() % 4]);
	if (!one_in(4)) {
		bool ready = !one_in(4);

		fprintf(f, ",'conditions':{'ready':%s,'serving':%s,'terminating':%s}", ready ? "true" : "false",
			ready || one_in(2) ? "true" : "false", !ready && !one_in(4) ? "true" : "false");
	}
	if (hints || one_in(16))
		fprintf(f, ",'hints':{'forZones':[{'name':'z%d'}]%s}", 1 + rand() % 3,
			one_in(2) ? ",'forNodes':[{'name':'here'}]" : "");
	fprintf(f, "}");
}

static const struct api_endpoint_slice *random_slice(bool v6, unsigned n)
{
	cleanup(free) char *text = NULL;
	unsigned port = 8000 + (unsigned)rand() % 8;
	bool hints = one_in(2);
	size_t size;
	FILE *f = open_memstream(&text, &size);
	const char *sep = "";

	fprintf(f,
		"{'metadata':{'namespace':'n','name':'x','labels':{'kubernetes.io/service-name':'s'}},'addressType':'%s','ports':[",
		v6 ? "IPv6" : "IPv4");
	if (!one_in(16)) {
		fprintf(f, "{'name':'a','port':%u,'protocol':'TCP'}", port);
		sep = ",";
	}
	if (!one_in(16))
		fprintf(f, "%s{'name':'b','port':%u,'protocol':'UDP'}", sep, port + 100);
	fprintf(f, "],'endpoints':[");
	for (unsigned i = 0; i < n; i++) {
		fprintf(f, i ? "," : "");
		random_endpoint(f, v6, hints);
	}
	fprintf(f, "]}");
	fclose(f);
	return decode(&api_type_endpoint_slice, text);
}

static unsigned random_size(void)
{
	static const unsigned most[] = { 0, 1, 3, MOST_BACKENDS / 3 };

	return (unsigned)rand() % (most[rand() % 4] + 1);
}

static void compile(void)
{
	const struct api_endpoint_slice *slices[6];
	const struct api_service *service = random_service();
	size_t n = 0;

	for (int v6 = 0; v6 < 2; v6++)
		for (int i = 0, many = rand() % 4; i < many; i++)
			slices[n++] = random_slice(v6, random_size());
	ok(service_compile(&place, &service, 1, slices, n, &table, &test_err));
	cr_assert(table.n <= MOST_FRONTS && !table.clashes);
}

static struct dp_service to_dp(const struct service_front *f, struct dp_backend *backends, struct dp_range *ranges)
{
	for (size_t i = 0; i < f->n_backends; i++)
		backends[i] = (struct dp_backend){ f->backends[i].ip, f->backends[i].port };
	for (size_t i = 0; i < f->n_ranges; i++)
		ranges[i] = (struct dp_range){ f->ranges[i].ip, f->ranges[i].len };
	return (struct dp_service){ .vip = f->vip,
				    .port = f->port,
				    .proto = f->proto,
				    .side = f->side,
				    .backends = backends,
				    .n_backends = f->n_backends,
				    .affinity_s = f->affinity_s,
				    .silent = f->silent,
				    .announced = f->announced,
				    .direct = f->direct,
				    .ranges = ranges,
				    .n_ranges = f->n_ranges };
}

static void write_maps(void)
{
	struct dp_backend backends[MOST_BACKENDS];
	struct dp_range ranges[8];

	for (size_t i = 0; i < n_kept; i++) {
		bool stays = false;

		for (size_t k = 0; k < table.n; k++)
			stays = stays || !service_front_compare(&kept[i].front, &table.fronts[k]);
		if (stays)
			continue;
		ok(dp_service_del(fx.dp,
				  &(struct dp_service){ .vip = kept[i].front.vip,
							.port = kept[i].front.port,
							.proto = kept[i].front.proto,
							.side = kept[i].front.side },
				  &test_err));
		if (kept[i].socket >= 0)
			close(kept[i].socket);
		kept[i--] = kept[--n_kept];
	}
	for (size_t i = 0; i < table.n; i++) {
		struct dp_service s = to_dp(&table.fronts[i], backends, ranges);

		ok(dp_service_set(fx.dp, &s, &test_err));
	}
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

enum answer { REFUSED, DROPPED, BACKEND, ONWARD /* to the backend's node as it is */ };
static const char *const answers[] = { "refused", "dropped", "backend", "onward" };

static const char *text_of(const struct ip_addr *ip)
{
	static char buf[4][INET6_ADDRSTRLEN];
	static unsigned turn;
	char *to = buf[turn++ % 4];

	if (ip_is_mapped4(ip))
		inet_ntop(AF_INET, &ip->w[3], to, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET6, ip, to, INET6_ADDRSTRLEN);
	return to;
}

#define holds(cond, f, who)                                                                                            \
	cr_assert(cond, "seed %u round %u: %s port %u protocol %u by %s (%zu backends): not %s", seed, round_no,       \
		  text_of(&(f)->vip), (f)->port, (f)->proto, who, (f)->n_backends, #cond)

static bool is_v6(const struct service_front *f)
{
	return !ip_is_mapped4(&f->vip);
}

/* What a client dials: of a node port, a node's address. */
static const char *dialled(const struct service_front *f)
{
	struct ip_addr any4 = addr("0.0.0.0"), any6 = addr("::");

	if (ip_same(&f->vip, &any4))
		return NODE4;
	if (ip_same(&f->vip, &any6))
		return NODE6;
	return text_of(&f->vip);
}

static uint16_t new_port(void)
{
	static uint16_t n;

	return (uint16_t)(20000 + n++ % 40000);
}

static const char *random_world(bool v6)
{
	static char buf[64];

	snprintf(buf, sizeof(buf), v6 ? "2001:db8:%x::%x" : "8.8.%u.%u", (unsigned)rand() % 256,
		 1 + (unsigned)rand() % 250);
	if (v6 && one_in(2))
		snprintf(buf, sizeof(buf), "2001:db8:8000::%x", 1 + (unsigned)rand() % 250);
	return buf;
}

static enum answer ask(const struct service_front *f, const char *src, uint16_t sport, uint8_t flags,
		       struct service_backend *ret)
{
	const char *dst = dialled(f);
	struct ip_addr to = addr(dst);
	bool inside = f->side == SVC_INSIDE;
	struct pkt p = f->proto == IPPROTO_TCP ? pkt_tcp(src, dst, sport, f->port, flags)
					       : pkt_l4(src, dst, f->proto, sport, f->port);
	struct pkt_view v;
	int verdict;

	pkt_macs(&p, inside ? mac_host : mac_uplink, inside ? mac_a : mac_router);
	verdict = inside ? run(PROG_FROM_POD, &p, fx.pod_a, fx.pod_a) : run(PROG_FROM_UPLINK, &p, fx.uplink, fx.uplink);
	if (verdict == TC_ACT_SHOT)
		return DROPPED;
	v = pkt_view(&p);
	if (v.proto != f->proto || v.dport == sport)
		return REFUSED;
	if (ip_same(&v.dst, &to)) {
		holds(verdict == TC_ACT_REDIRECT, f, inside ? "packet" : "packet from outside");
		return ONWARD;
	}
	memset(ret, 0, sizeof(*ret));
	ret->ip = v.dst;
	ret->port = v.dport;
	return BACKEND;
}

static bool is_local(const struct service_backend *b)
{
	static const char *const local[] = { POD_A4, POD_A6, POD_B4, POD_B6 };

	for (int i = 0; i < 4; i++) {
		struct ip_addr ip = addr(local[i]);

		if (ip_same(&ip, &b->ip))
			return true;
	}
	return false;
}

static bool same(const struct service_backend *a, const struct service_backend *b)
{
	return a->port == b->port && ip_same(&a->ip, &b->ip);
}

/* Its index; or n_backends. */
static size_t index_of(const struct service_front *f, const struct service_backend *b)
{
	size_t i = 0;

	while (i < f->n_backends && !same(&f->backends[i], b))
		i++;
	return i;
}

static bool admits(const struct service_front *f, const char *client)
{
	struct ip_addr ip = addr(client);

	for (size_t i = 0; i < f->n_ranges; i++) {
		bool in = true;

		for (unsigned bit = 0; bit < f->ranges[i].len; bit++)
			in = in && !((ntohl(ip.w[bit / 32] ^ f->ranges[i].ip.w[bit / 32]) >> (31 - bit % 32)) & 1);
		if (in)
			return true;
	}
	return !f->n_ranges;
}

static enum answer expected(const struct service_front *f, const char *client)
{
	if (!admits(f, client))
		return DROPPED;
	if (f->n_backends)
		return BACKEND;
	return f->silent ? DROPPED : REFUSED;
}

/* One new flow: as the compiler says? Returns the backend's index, n_backends: none, or none that can be seen. */
static size_t draw(const struct service_front *f, const char *client, uint16_t sport)
{
	const char *who = f->side == SVC_INSIDE ? "packet" : "packet from outside";
	enum answer want = expected(f, client), got;
	struct service_backend b;
	size_t i;

	got = ask(f, client, sport, TH_SYN, &b);
	if (got == ONWARD && want == BACKEND && f->direct) {
		bool elsewhere = false;

		for (i = 0; i < f->n_backends; i++)
			elsewhere = elsewhere || !is_local(&f->backends[i]);
		holds(elsewhere, f, who);
		return f->n_backends;
	}
	cr_assert(got == want, "seed %u round %u: %s port %u protocol %u by %s (%zu backends) from %s: %s, not %s",
		  seed, round_no, text_of(&f->vip), f->port, f->proto, who, f->n_backends, client, answers[got],
		  answers[want]);
	if (got != BACKEND)
		return f->n_backends;
	i = index_of(f, &b);
	cr_assert(i < f->n_backends, "seed %u round %u: %s port %u protocol %u by %s: %s port %u is no backend", seed,
		  round_no, text_of(&f->vip), f->port, f->proto, who, text_of(&b.ip), b.port);
	return i;
}

/* --- sockets ------------------------------------------------------------------------------------------------------ */

static socklen_t address_of(const struct service_front *f, struct sockaddr_storage *ss)
{
	struct ip_addr ip = addr(dialled(f));

	memset(ss, 0, sizeof(*ss));
	if (is_v6(f)) {
		*(struct sockaddr_in6 *)ss = (struct sockaddr_in6){ .sin6_family = AF_INET6,
								    .sin6_port = htons(f->port) };
		memcpy(&((struct sockaddr_in6 *)ss)->sin6_addr, &ip, sizeof(ip));
		return sizeof(struct sockaddr_in6);
	}
	*(struct sockaddr_in *)ss =
		(struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(f->port), .sin_addr.s_addr = ip.w[3] };
	return sizeof(struct sockaddr_in);
}

static int new_socket(const struct service_front *f)
{
	int type = f->proto == IPPROTO_TCP ? SOCK_STREAM : SOCK_DGRAM;
	int fd = socket(is_v6(f) ? AF_INET6 : AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	cr_assert(fd >= 0);
	return fd;
}

/* Which backend does the map of peers have for the socket? */
static size_t backend_of(const struct service_front *f, int fd)
{
	struct sock_peer_value value;
	uint64_t cookie;
	socklen_t len = sizeof(cookie);
	size_t i;

	cr_assert_eq(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len), 0);
	for (i = 0; i < f->n_backends; i++) {
		struct sock_peer_key key;

		memset(&key, 0, sizeof(key));
		key.cookie = cookie;
		key.backend_ip = f->backends[i].ip;
		key.backend_port = htons(f->backends[i].port);
		if (!bpf_map_lookup_elem(fx.dp->map_fd[f->proto == IPPROTO_TCP ? MAP_TCP_PEERS : MAP_UDP_PEERS], &key,
					 &value)) {
			(void)bpf_map_delete_elem(
				fx.dp->map_fd[f->proto == IPPROTO_TCP ? MAP_TCP_PEERS : MAP_UDP_PEERS], &key);
			return i;
		}
	}
	return i;
}

/* No address can be reached from here: who is not refused by the hook finds no network. */
static size_t after(const struct service_front *f, int fd, int r)
{
	int error = errno;
	size_t i = f->n_backends;

	holds(r < 0, f, "socket");
	holds((error == ECONNREFUSED) == (f->n_backends == 0), f, "socket");
	if (f->n_backends) {
		i = backend_of(f, fd);
		holds(i < f->n_backends, f, "socket");
	}
	return i;
}

static size_t draw_socket(const struct service_front *f)
{
	struct sockaddr_storage ss;
	socklen_t len = address_of(f, &ss);
	int fd = new_socket(f);
	size_t i = after(f, fd, connect(fd, (struct sockaddr *)&ss, len));

	close(fd);
	return i;
}

static size_t send_again(const struct service_front *f, int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = address_of(f, &ss);

	return after(f, fd, (int)sendto(fd, "x", 1, 0, (struct sockaddr *)&ss, len));
}

/* --- a round ------------------------------------------------------------------------------------------------------ */

static const char *client_of(const struct service_front *f)
{
	if (f->side == SVC_INSIDE)
		return is_v6(f) ? POD_A6 : POD_A4;
	return is_v6(f) ? WORLD6 : WORLD4;
}

static struct kept *kept_of(const struct service_front *f)
{
	struct kept *k;

	for (size_t i = 0; i < n_kept; i++)
		if (!service_front_compare(&kept[i].front, f))
			return &kept[i];
	cr_assert(n_kept < MOST_FRONTS);
	k = &kept[n_kept++];
	*k = (struct kept){ .front = *f, .socket = -1 };
	return k;
}

/* Chosen now: must it be the one of before? */
static void sticks(const struct service_front *f, const char *who, struct service_backend *last, size_t now)
{
	if (last->port && index_of(f, last) < f->n_backends && now < f->n_backends)
		holds(same(&f->backends[now], last), f, who);
	if (now < f->n_backends)
		*last = f->backends[now];
}

/* The flow of the last round: TCP stays with its backend whatever has become of that, datagrams while it is one. */
static void go_on(const struct service_front *f, struct kept *k)
{
	const char *client = client_of(f);
	struct service_backend b;
	enum answer got;

	if (!k->flow_port || f->direct || k->front.direct || f->affinity_s || k->front.affinity_s)
		return;
	if (!admits(f, client))
		return;
	got = ask(f, client, k->flow_port, TH_ACK, &b);
	if (f->proto == IPPROTO_TCP) {
		holds(got == BACKEND && same(&b, &k->of_flow), f, "established flow");
		return;
	}
	holds(got == expected(f, client), f, "datagrams of one flow");
	if (got == BACKEND)
		holds(index_of(f, &b) < f->n_backends, f, "datagrams of one flow");
	if (index_of(f, &k->of_flow) < f->n_backends)
		holds(same(&b, &k->of_flow), f, "datagrams of one flow");
}

static void begin_flow(const struct service_front *f, struct kept *k)
{
	uint16_t port = new_port();
	size_t i = draw(f, client_of(f), port);

	k->flow_port = 0;
	if (i == f->n_backends)
		return;
	k->flow_port = port;
	k->of_flow = f->backends[i];
}

static void by_packets(const struct service_front *f, struct kept *k)
{
	go_on(f, k);
	begin_flow(f, k);
	for (int i = 0; i < DRAWS; i++) {
		if (f->affinity_s)
			sticks(f, "packet with affinity", &k->affine, draw(f, client_of(f), new_port()));
		else if (f->side == SVC_OUTSIDE)
			(void)draw(f, random_world(is_v6(f)), new_port());
		else
			(void)draw(f, client_of(f), new_port());
	}
}

static void by_sockets(const struct service_front *f, struct kept *k)
{
	if (f->side != SVC_INSIDE)
		return;
	for (int i = 0; i < DRAWS; i++) {
		size_t b = draw_socket(f);

		if (f->affinity_s)
			sticks(f, "socket with affinity", &k->affine_socket, b);
	}
	if (f->proto != IPPROTO_UDP)
		return;
	if (k->socket < 0)
		k->socket = new_socket(f);
	if (f->affinity_s) {
		(void)send_again(f, k->socket); /* the client's choice, not the socket's */
		k->of_socket.port = 0;
		return;
	}
	for (int i = 0; i < 2; i++)
		sticks(f, "unconnected socket", &k->of_socket, send_again(f, k->socket));
}

/* Each backend is chosen at some time, by packet and by socket. */
static void by_all(const struct service_front *f)
{
	bool by_packet[MOST_BACKENDS] = { false }, by_socket[MOST_BACKENDS] = { false };

	if (!f->port || f->direct || f->affinity_s || f->n_ranges)
		return;
	for (size_t i = 0; i < EACH_ONE_DRAWS * f->n_backends; i++) {
		by_packet[draw(f, f->side == SVC_INSIDE ? client_of(f) : random_world(is_v6(f)), new_port())] = true;
		if (f->side == SVC_INSIDE)
			by_socket[draw_socket(f)] = true;
	}
	for (size_t i = 0; i < f->n_backends; i++) {
		holds(by_packet[i], f, f->side == SVC_INSIDE ? "packet" : "packet from outside");
		holds(f->side == SVC_OUTSIDE || by_socket[i], f, "socket");
	}
}

Test(choice, every_hook_chooses_as_the_compiler_says)
{
	size_t most = 0;

	seed = getenv("SEED") ? (unsigned)atoi(getenv("SEED")) : 1;
	srand(seed);
	for (round_no = 0; round_no < ROUNDS; round_no++) {
		service_table_done(&table);
		compile();
		write_maps();
		for (size_t i = 0; i < table.n; i++) {
			const struct service_front *f = &table.fronts[i];
			struct kept *k;

			cr_assert(f->n_backends <= MOST_BACKENDS);
			most = f->n_backends > most ? f->n_backends : most;
			k = kept_of(f);
			if (f->port) {
				by_packets(f, k);
				by_sockets(f, k);
			}
			/* The table that it points into goes. */
			k->front = *f;
			k->front.ranges = NULL;
			k->front.backends = memcpy(k->backends, f->backends, f->n_backends * sizeof(*f->backends));
		}
		if (table.n)
			by_all(&table.fronts[(unsigned)rand() % table.n]);
	}
	cr_assert(most > 10, "seed %u: no service was large", seed);
	for (size_t i = 0; i < n_kept; i++)
		if (kept[i].socket >= 0)
			close(kept[i].socket);
}
