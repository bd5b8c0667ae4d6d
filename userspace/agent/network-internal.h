/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the node's network share: its state, and the steps of reconciliation. Public face: network.h. */
#ifndef SKEP_AGENT_NETWORK_INTERNAL_H
#define SKEP_AGENT_NETWORK_INTERNAL_H

#include "../lib/base/list.h"
#include "../lib/base/strmap.h"
#include "../lib/compile/policy.h"
#include "../lib/compile/service.h"
#include "dp/dp.h"
#include "net/checkpoint.h"
#include "net/cni_server.h"
#include "net/ipam.h"
#include "net/net.h"
#include "network.h"

enum { NETWORK_RECENT_DROPS = 256, NETWORK_ADD_TIMEOUT_MS = 20000 };

/* A sandbox and what the maps say of it. */
struct local {
	struct sandbox s;
	uint64_t seq;	      /* of sandboxes in order of their making; the newest of a pod is the pod's */
	bool gone;	      /* at start: its interface is not there */
	bool in_maps;	      /* endpoint added */
	bool presses;	      /* it was named for how much it has of what is scarce */
	uint32_t identity;    /* as in the maps */
	uint64_t policy_hash; /* of the policy in the maps; 0: none */
	bool isolated[2];
	size_t n_rules;
	char *policies; /* names of what selects it, comma-separated; NULL */
};

/* What ipcache holds for an address. */
struct cached {
	struct dp_ipcache_entry e;
	bool wanted;   /* during a sync */
	bool seen;     /* during a comparison */
	char pod[320]; /* "ns/name", for people */
};

/* A CNI ADD that waits for its pod to be seen. */
struct pending {
	struct list link;
	struct network *n;
	struct cni_request *req;
	struct loop_timer timer;
};

struct network {
	struct loop *loop;
	struct kube *kube;
	struct kube_recorder *rec; /* NULL: events are logged only */
	char *node_name, *state_dir;
	struct net_node node;
	struct dp *dp;
	struct ipam *ipam;
	struct cni_server *cni;
	struct informer *pods, *namespaces, *policies, *services, *slices, *nodes;
	struct strmap *locals;	   /* sandbox id -> struct local */
	struct strmap *ipcache;	   /* address as text -> struct cached: what the map holds */
	struct policy_cidr *cidrs; /* what the map holds */
	size_t n_cidrs;
	struct policy_ids *ids;
	struct list pending;
	struct loop_timer sync_timer, resync_timer;
	struct loop_io drop_io;
	bool services_changed, pods_changed;   /* since the last sync; services: all of them are to be looked at */
	struct strmap *svcs;		       /* "namespace/name" -> struct svc, network_services.c's */
	struct strmap *fronts;		       /* front end as text -> the struct svc that has it */
	struct list dirty;		       /* services that changed since the last sync */
	uint64_t services_pass;		       /* counts attempts to write services, for svc.refused_in */
	size_t n_refused;		       /* services that the maps did not take */
	uint64_t refused_in;		       /* the last attempt that met some, */
	char refused[512];		       /* and the first of those, and why */
	uint16_t node_port_min, node_port_max; /* both included */
	struct health_ports *health;	       /* of services that want one */
	struct network_report *report;
	struct announce *announce;  /* addresses that this node says it has */
	bool service_clashes;	    /* two services want one address: none is compiled without the others */
	uint64_t services_compiled; /* in all, for the metrics */
	int64_t synced_at;	    /* monotonic ms */
	uint64_t told_ns;	    /* monotonic; of the first change that waits for a sync */
	uint64_t repairs;	    /* differences that comparisons found */
	uint64_t generation;	    /* of the last applied policies */
	uint64_t seq;
	char failing[512]; /* why the last sync was not complete; "" */
	struct dp_drop_event drops[NETWORK_RECENT_DROPS];
	size_t n_drops; /* seen in all; the ring's head */
};

/*
 * network_sync.c: policies, identities, endpoints, addresses. 0, or the first failure with err; what could be done is
 * done.
 */
int network_sync_pods(struct network *n, struct err *err);
/* network_compare.c: what others did to the maps becomes a difference that the next sync repairs, and is counted. */
void network_compare(struct network *n);
/* network_services.c */
int network_sync_services(struct network *n, struct err *err); /* what changed, or all of them */
/* "namespace/name" of the service whose front end it is; NULL: of none that is there. */
const char *network_service_of(const struct network *n, const struct dp_service *front);
void network_services_event(struct network *n, bool slice, const struct informer_item *old, struct informer_item *new);
void network_services_free(struct network *n);
/* network_report.c */
struct network_report *network_report_new(struct network *n); /* NULL: out of memory */
void network_report_free(struct network_report *r);
void network_report_applied(struct network_report *r, uint64_t took_us); /* all that the informers know of */
void network_report_failed(struct network_report *r, const char *why);
/* network_cni.c */
void network_cni(struct cni_request *req, void *network);
void network_cni_pod_seen(struct network *n);				  /* pods changed: pending ADDs look again */
int network_release(struct network *n, struct local *l, struct err *err); /* last trace of a sandbox; frees l */
/* network_http.c */
void network_metrics(struct network *n);
void network_on_drop(void *network, const struct dp_drop_event *ev);

const char *network_xdp(const struct network *n);     /* "native", "generic", "off" */
void network_changed(struct network *n);	      /* sync pods and policies soon */
int network_sync(struct network *n, struct err *err); /* now, what has changed */
struct local *network_local_by_ep(const struct network *n, uint32_t ep_id);
const struct api_pod *network_pod_of(const struct network *n,
				     const struct local *l); /* NULL: not (any more) in the API */

#endif
