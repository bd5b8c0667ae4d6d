/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes and pods as network namespaces. A bridge in the test's own namespace is the LAN; each node has a veth to it,
 * and so has "w", the world, which has no route to pods. A node is a process of its own that runs network.c as the
 * agent does, against the fake API server in the test's process; pods get their network from the real skep-cni.
 * Everything lives in private namespaces and one directory in /tmp.
 */
#ifndef SKEP_TESTS_NET_WIRE_H
#define SKEP_TESTS_NET_WIRE_H

#include <criterion/criterion.h>
#include <sys/types.h>

#include "agent/dp/dp.h"
#include "fake_api.h"

#define WORLD4	"198.51.100.1"
#define WORLD6	"2001:db8:99::1"
#define WAIT_MS 60000

struct wnode {
	const char *name, *ip4, *ip6, *pod_cidrs;
	char dir[128], pin_dir[160], cgroup[192];
	pid_t pid;
	struct dp *dp;		/* read-only view of its maps */
	uint32_t max_frontends; /* 0: the default; from its next start on */
};
struct wpod {
	struct wnode *node;
	const char *ns, *name, *labels; /* labels: "'app':'a'" */
	char netns[32], id[32], ip4[64], ip6[64];
};

extern struct wnode n1, n2;
extern struct fake_api *api;

void wire_up(void); /* skips the test without root */
void wire_down(void);
void node_start(struct wnode *n); /* returns when network_ready() */
int node_begin(struct wnode *n);  /* the same without waiting: what becomes readable when it is ready */
void node_kill(struct wnode *n);  /* kill -9 */
/* Object, namespace, CNI ADD, status; returns when both nodes know its addresses. */
void pod_start(struct wpod *p);
void pod_put(struct wpod *p, const char *phase); /* the API object, with addresses if it has some */
void pod_stop(struct wpod *p);			 /* CNI DEL, object gone */
/* Runs skep-cni; its exit status, and what it printed. The API is served meanwhile. */
int cni(struct wpod *p, const char *command, char *out, size_t size);
pid_t cni_begin(struct wpod *p, const char *command); /* output is read by cni_end() */
int cni_end(struct wpod *p, pid_t pid, char *out, size_t size);

void enter(const char *ns); /* NULL: back to the LAN */
void sh(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Serves the API until done(arg), at most WAIT_MS; false: it never was. */
bool wait_for(bool (*done)(void *arg), void *arg);
void serve(int ms);				     /* one turn of the API's loop */
json_t *node_get(struct wnode *n, const char *what); /* /debug/net/<what> */
uint64_t drops(struct wnode *n, const char *reason);
bool knows(struct wnode *n, const char *ip); /* in its ipcache */
bool have_applied(void *revisions); /* size_t[2]: do both nodes forward by these Services and EndpointSlices? */

int listen_on(const char *ns, const char *ip, uint16_t port, int type);
int begin_connect(const char *ns, const char *ip, uint16_t port); /* TCP, non-blocking */
struct conn {
	int client, server;
	char peer[64]; /* the client as the server sees it */
};
struct conn connected(const char *client_ns, const char *server_ns, const char *ip, uint16_t port);
void talk(struct conn *c, size_t bytes); /* both ways */
void hang_up(struct conn *c);
void talks(const char *from, const char *to, const char *ip, const char *seen_as);
void says(const char *from, const char *to, const char *ip); /* UDP, there and back */

#endif
