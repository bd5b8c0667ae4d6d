/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and closing the data plane. Order at start: load programs on the pinned maps, pin what is new, then swap
 * programs inside the links, pods first, so that at every instant each hook runs the old program or the new one on
 * maps with the same content.
 */
#include "dp-internal.h"

#include <arpa/inet.h>
#include <bpf/btf.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "abi/drop.h"
#include "base/file.h"
#include "base/log.h"
#include "bpf/node.skel.h"
#include "bpf/pod.skel.h"
#include "bpf/sock_lb.skel.h"
#include "bpf/xdp.skel.h"

#define DEFAULT_ENDPOINTS 1024u
/*
 * 100,000 services of both families with a backend each, and one with 64,000 that change all at once. Empty, a map
 * takes 16 bytes of the kernel's memory for each entry that it has room for.
 */
#define DEFAULT_SERVICES 262144u
#define DEFAULT_BACKENDS 524288u
#define DEFAULT_FLOWS	 131072u

#define PEERS_PER_CPU_LEAST 2048u

#define NAT_PORT_MIN	61000u
#define NAT_PORTS_LEAST 1024u
#define NODE_PORT_MIN	30000u
#define NODE_PORT_MAX	32767u

const char *const dp_prog_names[N_PROGS] = {
	[PROG_FROM_POD] = "from_pod",
	[PROG_TO_POD] = "to_pod",
	[PROG_FROM_TUNNEL] = "from_tunnel",
	[PROG_TO_TUNNEL] = "to_tunnel",
	[PROG_FROM_UPLINK] = "from_uplink",
	[PROG_TO_UPLINK] = "to_uplink",
	[PROG_XDP_LB] = "xdp_lb",
	[PROG_CONNECT4] = "lb_connect4",
	[PROG_CONNECT6] = "lb_connect6",
	[PROG_SENDMSG4] = "lb_sendmsg4",
	[PROG_SENDMSG6] = "lb_sendmsg6",
	[PROG_RECVMSG4] = "lb_recvmsg4",
	[PROG_RECVMSG6] = "lb_recvmsg6",
	[PROG_GETPEERNAME4] = "lb_getpeername4",
	[PROG_GETPEERNAME6] = "lb_getpeername6",
};

/* What libbpf said while loading, the verifier's log included; shown only when the load fails. */
static struct {
	char *text;
	size_t len, cap;
} load_log;

#define LOAD_LOG_MAX (256u << 10)

static int keep_log(enum libbpf_print_level level, const char *fmt, va_list args)
{
	int n;

	if (level == LIBBPF_DEBUG)
		return 0;
	if (!load_log.text) {
		load_log.text = malloc(LOAD_LOG_MAX);
		if (!load_log.text)
			return 0;
		load_log.cap = LOAD_LOG_MAX;
		load_log.len = 0;
	}
	if (load_log.len + 1 >= load_log.cap)
		return 0;
	n = vsnprintf(load_log.text + load_log.len, load_log.cap - load_log.len, fmt, args);
	if (n > 0)
		load_log.len += (size_t)n < load_log.cap - load_log.len ? (size_t)n : load_log.cap - load_log.len - 1;
	return n;
}

static void drop_log(bool show)
{
	char *line, *save = NULL;

	if (show && load_log.text && load_log.len) {
		load_log.text[load_log.len] = '\0';
		for (line = strtok_r(load_log.text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
			log_error("libbpf: %s", line);
	}
	free(load_log.text);
	memset(&load_log, 0, sizeof(load_log));
}

static struct ip_range range_of(const struct ip_addr *ip, unsigned len, bool v6)
{
	struct ip_range r;
	unsigned bits = v6 ? len : 96 + len;

	if (ip_is_zero(ip)) {
		/* Contains nothing: no address is all ones after a mask of zeros. */
		memset(&r.addr, 0xff, sizeof(r.addr));
		memset(&r.mask, 0, sizeof(r.mask));
		return r;
	}
	if (bits > 128)
		bits = 128;
	for (unsigned i = 0; i < 4; i++) {
		unsigned in_word = bits <= 32 * i ? 0 : bits >= 32 * (i + 1) ? 32 : bits - 32 * i;

		r.mask.w[i] = htonl(in_word ? ~0u << (32 - in_word) : 0);
		r.addr.w[i] = ip->w[i] & r.mask.w[i];
	}
	return r;
}

/*
 * Above the ports that the node's own sockets get. Where too few are left there, nat_in keeps both apart all the
 * same.
 */
static void nat_ports(struct node_settings *s)
{
	cleanup(free) char *text = NULL;
	unsigned low, high, from = NAT_PORT_MIN;
	size_t len;

	if (file_read("/proc/sys/net/ipv4/ip_local_port_range", 64, &text, &len, NULL) == 0 &&
	    sscanf(text, "%u %u", &low, &high) == 2 && high >= from && high + NAT_PORTS_LEAST <= 65535)
		from = high + 1;
	s->nat_port_min = (uint16_t)from;
	s->nat_port_max = 65535;
}

/* The interface's Ethernet address and MTU. */
static int link_settings(const char *ifname, struct node_settings *s, struct err *err)
{
	cleanup(close_fd) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq req = { 0 };

	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", ifname);
	if (fd < 0 || ioctl(fd, SIOCGIFHWADDR, &req) < 0)
		return err_set(err, errno, "uplink interface '%s': %m", ifname);
	memcpy(s->uplink_mac, req.ifr_hwaddr.sa_data, 6);
	if (ioctl(fd, SIOCGIFMTU, &req) < 0)
		return err_set(err, errno, "MTU of uplink interface '%s': %m", ifname);
	s->uplink_mtu = (uint16_t)(req.ifr_mtu > UINT16_MAX ? UINT16_MAX : req.ifr_mtu);
	return 0;
}

static int settings_of(const struct dp_config *config, struct node_settings *s, struct err *err)
{
	int r;

	memset(s, 0, sizeof(*s));
	s->ip4 = config->node_ip4;
	s->ip6 = config->node_ip6;
	s->pods4 = range_of(&config->pod_cidr4, config->pod_cidr4_len, false);
	s->pods6 = range_of(&config->pod_cidr6, config->pod_cidr6_len, true);
	s->lan4 = range_of(&config->lan4, config->lan4_len, false);
	s->lan6 = range_of(&config->lan6, config->lan6_len, true);
	s->services4 = range_of(&config->services4, config->services4_len, false);
	s->services6 = range_of(&config->services6, config->services6_len, true);
	s->vni = SKEP_VNI;
	s->tunnel_ifindex = if_nametoindex(config->tunnel);
	if (!s->tunnel_ifindex)
		return err_set(err, ENODEV, "tunnel interface '%s' does not exist", config->tunnel);
	r = link_settings(config->uplink, s, err);
	if (r < 0)
		return r;
	nat_ports(s);
	s->node_port_min = config->node_port_min ? config->node_port_min : NODE_PORT_MIN;
	s->node_port_max = config->node_port_max ? config->node_port_max : NODE_PORT_MAX;
	return 0;
}

static int load(struct dp *dp, struct bpf_object *obj, struct bpf_object_skeleton *skeleton, struct err *err)
{
	struct bpf_program *p;
	int r;

	r = dp_pin_reuse_maps(dp, obj, err);
	if (r < 0)
		return r;
	r = bpf_object__load_skeleton(skeleton);
	if (r < 0) {
		drop_log(true);
		return err_set(
			err, -r,
			"load '%s' into the kernel: %s (needs root or CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, and "
			"Linux 6.1 or later; details above)",
			bpf_object__name(obj), strerror(-r));
	}
	r = dp_pin_adopt_maps(dp, obj, err);
	if (r < 0)
		return r;
	bpf_object__for_each_program (p, obj) {
		for (int i = 0; i < N_PROGS; i++) {
			if (strcmp(bpf_program__name(p), dp_prog_names[i]))
				continue;
			dp->prog_fd[i] = fcntl(bpf_program__fd(p), F_DUPFD_CLOEXEC, 3);
			if (dp->prog_fd[i] < 0)
				return err_set(err, errno, "program '%s': %m", dp_prog_names[i]);
		}
	}
	return 0;
}

static int load_pod(struct dp *dp, const struct node_settings *s, struct err *err)
{
	struct pod_bpf *skel = pod_bpf__open();
	const struct btf *btf;
	int r;

	if (!skel)
		return err_set(err, errno, "open the program object 'pod': %m");
	skel->rodata->node = *s;
	r = load(dp, skel->obj, skel->skeleton, err);
	if (r == 0) {
		btf = bpf_object__btf(skel->obj);
		dp->policy_key_type = (uint32_t)btf__find_by_name_kind(btf, "policy_key", BTF_KIND_STRUCT);
		dp->policy_value_type = (uint32_t)btf__find_by_name_kind(btf, "policy_value", BTF_KIND_STRUCT);
		dp->btf_fd = fcntl(bpf_object__btf_fd(skel->obj), F_DUPFD_CLOEXEC, 3);
	}
	pod_bpf__destroy(skel);
	return r;
}

static int load_node(struct dp *dp, const struct node_settings *s, struct err *err)
{
	struct node_bpf *skel = node_bpf__open();
	int r;

	if (!skel)
		return err_set(err, errno, "open the program object 'node': %m");
	skel->rodata->node = *s;
	r = load(dp, skel->obj, skel->skeleton, err);
	node_bpf__destroy(skel);
	return r;
}

static int load_sock_lb(struct dp *dp, const struct node_settings *s, struct err *err)
{
	struct sock_lb_bpf *skel = sock_lb_bpf__open();
	int r;

	if (!skel)
		return err_set(err, errno, "open the program object 'sock_lb': %m");
	skel->rodata->node = *s;
	r = load(dp, skel->obj, skel->skeleton, err);
	sock_lb_bpf__destroy(skel);
	return r;
}

static int load_xdp(struct dp *dp, const struct node_settings *s, struct err *err)
{
	struct xdp_bpf *skel = xdp_bpf__open();
	int r;

	if (!skel)
		return err_set(err, errno, "open the program object 'xdp': %m");
	skel->rodata->node = *s;
	r = load(dp, skel->obj, skel->skeleton, err);
	xdp_bpf__destroy(skel);
	return r;
}

static struct dp *dp_alloc(const char *pin_dir)
{
	struct dp *dp = calloc(1, sizeof(*dp));

	if (!dp)
		return NULL;
	dp->btf_fd = -1;
	for (int i = 0; i < N_MAPS; i++)
		dp->map_fd[i] = dp->old_fd[i] = -1;
	for (int i = 0; i < N_PROGS; i++)
		dp->prog_fd[i] = -1;
	dp->pin_dir = strdup(pin_dir);
	if (!dp->pin_dir) {
		free(dp);
		return NULL;
	}
	return dp;
}

void dp_close(struct dp *dp)
{
	if (!dp)
		return;
	ring_buffer__free(dp->drops);
	for (int i = 0; i < N_MAPS; i++) {
		if (dp->map_fd[i] >= 0)
			close(dp->map_fd[i]);
		if (dp->old_fd[i] >= 0)
			close(dp->old_fd[i]);
		dp_carry_free(dp->carry[i]);
	}
	for (int i = 0; i < N_PROGS; i++)
		if (dp->prog_fd[i] >= 0)
			close(dp->prog_fd[i]);
	if (dp->btf_fd >= 0)
		close(dp->btf_fd);
	free(dp->gone);
	free(dp->pin_dir);
	free(dp);
}

DEFINE_CLEANUP(struct dp *, dp_close);

/* Entries that must exist whatever else fills drop_counters: where drops go that find no place of their own. */
static int reserve_drop_counters(struct dp *dp, struct err *err)
{
	int n_cpus = libbpf_num_possible_cpus(), r;
	cleanup(free) struct drop_value *zero = NULL;

	if (n_cpus < 0)
		return err_set(err, -n_cpus, "number of CPUs: %s", strerror(-n_cpus));
	zero = calloc((size_t)n_cpus, sizeof(*zero));
	if (!zero)
		return err_set(err, ENOMEM, "out of memory");
	for (unsigned reason = 1; reason < DROP_N_REASONS; reason++) {
		for (unsigned direction = 0; direction < 2; direction++) {
			struct drop_key k = { .reason = (uint8_t)reason, .direction = (uint8_t)direction };

			r = bpf_map_update_elem(dp->map_fd[MAP_DROP_COUNTERS], &k, zero, BPF_NOEXIST);
			if (r < 0 && r != -EEXIST)
				return err_set(err, -r, "map 'drop_counters': %s", strerror(-r));
		}
	}
	return 0;
}

static uint32_t or_default(uint32_t wish, uint32_t dflt)
{
	return wish ? wish : dflt;
}

/* An LRU list per CPU: the kernel rounds up to a multiple, and no list may be short. */
static uint32_t per_cpu_capacity(uint32_t wish)
{
	uint32_t n_cpus = (uint32_t)libbpf_num_possible_cpus(), each;

	if ((int32_t)n_cpus <= 0)
		return wish;
	each = wish / n_cpus;
	return (each < PEERS_PER_CPU_LEAST ? PEERS_PER_CPU_LEAST : each) * n_cpus;
}

static void set_capacities(struct dp *dp, const struct dp_config *config)
{
	uint32_t flows = or_default(config->max_flows, DEFAULT_FLOWS);

	dp->max_endpoints = or_default(config->max_endpoints, DEFAULT_ENDPOINTS);
	dp->capacity[MAP_PODS_BY_IFINDEX] = dp->max_endpoints;
	dp->capacity[MAP_PODS_BY_IP] = 2 * dp->max_endpoints;
	dp->capacity[MAP_POLICIES] = dp->max_endpoints;
	dp->capacity[MAP_POD_COUNTERS] = dp->max_endpoints + 1;
	dp->capacity[MAP_SERVICES] = or_default(config->max_services, DEFAULT_SERVICES);
	dp->capacity[MAP_BACKENDS] = or_default(config->max_backends, DEFAULT_BACKENDS);
	dp->capacity[MAP_FLOWS] = flows;
	dp->capacity[MAP_NAT_IN] = flows < 8 ? 4 : flows / 2;
	dp->capacity[MAP_NAT_OUT] = flows < 8 ? 4 : flows / 2;
	dp->capacity[MAP_SVC_OUT] = flows < 8 ? 4 : flows / 2;
	dp->capacity[MAP_SVC_IN] = flows < 8 ? 4 : flows / 2;
	dp->capacity[MAP_TCP_PEERS] = per_cpu_capacity(flows / 2);
	dp->capacity[MAP_UDP_PEERS] = per_cpu_capacity(flows / 2);
}

int dp_open(const struct dp_config *config, struct dp **ret, struct err *err)
{
	cleanup(dp_close) struct dp *dp = dp_alloc(config->pin_dir);
	struct node_settings settings;
	int r;

	if (!dp)
		return err_set(err, ENOMEM, "out of memory");
	libbpf_set_print(keep_log);
	r = settings_of(config, &settings, err);
	if (r < 0)
		return r;
	dp_xdp_choose(dp, config);
	settings.xdp = dp->xdp != DP_XDP_OFF;
	dp->pod_ranges[0] = settings.pods4;
	dp->pod_ranges[1] = settings.pods6;
	dp->reset_flows = config->reset_flows;
	set_capacities(dp, config);
	r = dp_pin_prepare(dp, err);
	if (r < 0)
		return r;
	dp->tcx = dp_attach_probe_tcx();
	r = load_pod(dp, &settings, err);
	if (r == 0)
		r = load_node(dp, &settings, err);
	if (r == 0)
		r = load_sock_lb(dp, &settings, err);
	if (r == 0)
		r = load_xdp(dp, &settings, err);
	drop_log(false);
	if (r < 0)
		return r;
	r = reserve_drop_counters(dp, err);
	if (r == 0)
		r = dp_service_recover(dp, err);
	if (r == 0)
		r = dp_pin_adopt_left(dp, err);
	if (r == 0)
		r = dp_pin_maps(dp, err);
	for (int i = 0; r == 0 && i < N_PROGS; i++)
		r = dp_pin_replace(dp, "progs", dp_prog_names[i], dp->prog_fd[i], err);
	if (r == 0)
		r = dp_attach_refresh_pods(dp, err);
	if (r == 0)
		r = dp_attach_node(dp, config, err);
	drop_log(false);
	if (r < 0)
		return r;
	dp_pin_adopt_late(dp);
	dp_pin_sweep_maps(dp);
	*ret = TAKE(dp);
	return 0;
}

int dp_open_readonly(const char *pin_dir, struct dp **ret, struct err *err)
{
	cleanup(dp_close) struct dp *dp = dp_alloc(pin_dir);
	int r;

	if (!dp)
		return err_set(err, ENOMEM, "out of memory");
	libbpf_set_print(keep_log);
	dp->readonly = true;
	r = dp_pin_open_readonly(dp, err);
	drop_log(false);
	if (r < 0)
		return r;
	*ret = TAKE(dp);
	return 0;
}

int dp_destroy(const char *pin_dir, struct err *err)
{
	int r;

	libbpf_set_print(keep_log);
	r = dp_attach_destroy(pin_dir, err);
	drop_log(false);
	if (r < 0)
		return r;
	return dir_remove(pin_dir, err);
}
