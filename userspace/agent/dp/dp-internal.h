/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of agent/dp share: the tables of maps and programs, and file descriptors of both. */
#ifndef SKEP_AGENT_DP_INTERNAL_H
#define SKEP_AGENT_DP_INTERNAL_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "dp.h"

#include "abi/node.h"
#include "abi/svc.h"
#include "base/cleanup.h"

/* Every pinned map. Order is of no meaning. */
enum dp_map {
	MAP_PODS_BY_IFINDEX,
	MAP_PODS_BY_IP,
	MAP_IPCACHE,
	MAP_CIDRS,
	MAP_POLICIES,
	MAP_POLICY_GENERATION,
	MAP_FLOWS,
	MAP_FRAGS,
	MAP_NAT_IN,
	MAP_NAT_OUT,
	MAP_SERVICES,
	MAP_BACKENDS,
	MAP_TCP_PEERS,
	MAP_UDP_PEERS,
	MAP_UDP_CHOICES,
	MAP_AFFINITIES,
	MAP_SVC_OUT,
	MAP_SVC_IN,
	MAP_GONE_BACKENDS,
	MAP_SOURCE_RANGES,
	MAP_MAGLEV,
	MAP_NEXT_HOPS,
	MAP_XDP_COUNTERS,
	MAP_XDP_WAYS,
	MAP_POD_COUNTERS,
	MAP_DROP_COUNTERS,
	MAP_DROP_WINDOWS,
	MAP_DROP_EVENTS,
	MAP_LAYOUTS,
	N_MAPS,
};

struct dp_map_def {
	const char *name; /* at most 15 characters: the kernel's limit */
	uint32_t layout;  /* raised when entries change their meaning or form: see dp_carry.c */
	bool fill;	  /* reported by dp_map_fill() */
	bool flows;	  /* without its entries connections break: it is never made anew unless that is asked for */
};
extern const struct dp_map_def dp_map_defs[N_MAPS];

enum dp_prog {
	PROG_FROM_POD,
	PROG_TO_POD,
	PROG_FROM_TUNNEL,
	PROG_TO_TUNNEL,
	PROG_FROM_UPLINK,
	PROG_TO_UPLINK,
	PROG_XDP_LB,
	PROG_CONNECT4,
	PROG_CONNECT6,
	PROG_SENDMSG4,
	PROG_SENDMSG6,
	PROG_RECVMSG4,
	PROG_RECVMSG6,
	PROG_GETPEERNAME4,
	PROG_GETPEERNAME6,
	N_PROGS,
};
extern const char *const dp_prog_names[N_PROGS];

struct dp {
	char *pin_dir;
	bool readonly;
	bool tcx;		   /* the kernel has it; else clsact */
	enum dp_xdp xdp;	   /* as it came out */
	char xdp_why[160];	   /* it is off */
	int map_fd[N_MAPS];	   /* -1: not open */
	uint32_t capacity[N_MAPS]; /* 0: as the object says */
	/* Maps whose place is taken, until no program writes to them any more. -1: none. */
	int old_fd[N_MAPS];
	struct dp_carry *carry[N_MAPS]; /* NULL: entries are the same */
	bool reset_flows;
	int prog_fd[N_PROGS];
	int btf_fd; /* of the pod object: types of the policy tries */
	uint32_t policy_key_type, policy_value_type;
	uint32_t max_endpoints;
	struct ip_range pod_ranges[2];
	uint32_t next_svc_id;
	uint32_t looked_at_flows; /* when, in units of 2^30 ns: all of svc_out was read for a table's sake */
	uint32_t new_generation;  /* of the next new service */
	uint32_t *gone;		  /* interfaces of removed pods whose link pins are still there */
	size_t n_gone, cap_gone;
	struct ring_buffer *drops;
	void (*drop_fn)(void *arg, const struct dp_drop_event *ev);
	void *drop_arg;
	struct dp_map_fill fill[N_MAPS];
};

/* dp_pin.c */
int dp_pin_prepare(struct dp *dp, struct err *err); /* directories, and the file system if it is not mounted */
int dp_pin_path(const struct dp *dp, const char *dir, const char *name, char ret_path[static 512], struct err *err);
int dp_pin_replace(const struct dp *dp, const char *dir, const char *name, int fd, struct err *err);
/* Before load: every map of obj gets the descriptor of a pinned one that fits, or its capacity. */
int dp_pin_reuse_maps(struct dp *dp, struct bpf_object *obj, struct err *err);
/* After load: what is new is filled from what it replaces. Nothing is pinned yet. */
int dp_pin_adopt_maps(struct dp *dp, struct bpf_object *obj, struct err *err);
/* After the programs were swapped: what programs wrote to maps that were replaced meanwhile. */
void dp_pin_adopt_late(struct dp *dp);
int dp_pin_adopt_left(struct dp *dp, struct err *err); /* of an agent that was killed before it could do the rest */
int dp_pin_maps(struct dp *dp, struct err *err);
void dp_pin_sweep_maps(struct dp *dp);
int dp_pin_open_readonly(struct dp *dp, struct err *err);

/* dp_carry.c: entries of another build's map in this build's form. -EPROTO: that is not possible. */
struct dp_carry;
int dp_carry_new(int old_fd, int new_fd, struct dp_carry **ret);
void dp_carry_free(struct dp_carry *c);
void dp_carry(struct dp_carry *c, const void **key, const void **value); /* valid until the next one */

/* dp_attach.c */
bool dp_attach_probe_tcx(void);
int dp_attach_node(struct dp *dp, const struct dp_config *config, struct err *err);
int dp_attach_refresh_pods(struct dp *dp, struct err *err); /* programs of this build; pins of vanished interfaces go */
void dp_attach_sweep(struct dp *dp);			    /* pins of removed pods whose interface has gone since */
void dp_attach_gone(struct dp *dp, uint32_t ifindex);
/* dp_attach_xdp.c */
void dp_xdp_choose(struct dp *dp, const struct dp_config *config); /* before programs are loaded */
int dp_attach_xdp(struct dp *dp, const struct dp_config *config, uint32_t uplink, struct err *err);
int dp_attach_destroy(const char *pin_dir, struct err *err);

/* dp_service.c */
struct backend_value dp_backend_value(const struct dp_backend *b); /* as the map has it */
/* dp_ranges.c: the source ranges of one generation of a service */
int dp_ranges_write(struct dp *dp, const struct svc_value *svc, const struct dp_range *ranges, size_t n,
		    struct err *err); /* all or none */
void dp_ranges_remove(struct dp *dp, const struct svc_value *svc);
void dp_ranges_recover(struct dp *dp, const struct svc_value *values, size_t n); /* removes those of no such service */
/* dp_maglev.c: the table of one generation of a service */
uint32_t dp_maglev_slots(const struct dp_service *svc); /* 0: it has none */
struct dp_table {
	struct backend_value *extras; /* to be written behind the service's backends: bases of slots that it has lost */
	uint32_t n_extras;
	struct svc_flow_key *over; /* entries of svc_out that are of no use once the table is in force */
	size_t n_over;
};
void dp_table_free(struct dp_table *t);
static inline void dp_table_freep(struct dp_table *t)
{
	dp_table_free(t);
}
/* old: what the service has now, all 0: nothing. Empties *t on failure; value->slots may be 1 where it was 0. */
int dp_maglev_write(struct dp *dp, const struct svc_value *old, struct svc_value *value, const struct dp_service *svc,
		    struct dp_table *t, struct err *err);
void dp_maglev_settle(struct dp *dp, const struct dp_table *t);
void dp_maglev_remove(struct dp *dp, const struct svc_value *value);
bool dp_maglev_there(struct dp *dp, const struct svc_value *value);		 /* or needs none */
void dp_maglev_recover(struct dp *dp, const struct svc_value *values, size_t n); /* by svc_id */
int dp_service_recover(struct dp *dp, struct err *err);

/* Calls fn for every entry; fn's negative result ends it and is returned. Entries may change meanwhile. */
typedef int (*dp_entry_fn)(void *arg, const void *key, const void *value);
int dp_map_each(int fd, size_t key_size, size_t value_size, dp_entry_fn fn, void *arg);
int dp_writable(const struct dp *dp, struct err *err);

static inline bool ip_is_zero(const struct ip_addr *ip)
{
	return !(ip->w[0] | ip->w[1] | ip->w[2] | ip->w[3]);
}

static inline bool ip_same(const struct ip_addr *a, const struct ip_addr *b)
{
	return a->w[0] == b->w[0] && a->w[1] == b->w[1] && a->w[2] == b->w[2] && a->w[3] == b->w[3];
}

static inline bool ip_is_mapped4(const struct ip_addr *ip)
{
	return !(ip->w[0] | ip->w[1]) && ip->w[2] == __builtin_bswap32(0xffff);
}

#endif
