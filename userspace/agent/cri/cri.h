/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Client of the container runtime (CRI runtime.v1, gRPC over a unix socket). Calls are asynchronous, on the loop's
 * thread. The event stream says which container changed; whoever asked for it lists once after each (re)connect,
 * since events are not kept.
 */
#ifndef SKEP_AGENT_CRI_H
#define SKEP_AGENT_CRI_H

#include <stdbool.h>

#include "../../lib/base/err.h"
#include "../../lib/io/grpc.h"
#include "proto/cri.pb-c.h"

enum cri_method {
	CRI_VERSION,
	CRI_STATUS,
	CRI_RUN_SANDBOX,
	CRI_STOP_SANDBOX,
	CRI_REMOVE_SANDBOX,
	CRI_SANDBOX_STATUS,
	CRI_LIST_SANDBOXES,
	CRI_CREATE_CONTAINER,
	CRI_START_CONTAINER,
	CRI_STOP_CONTAINER,
	CRI_REMOVE_CONTAINER,
	CRI_UPDATE_RESOURCES,
	CRI_LIST_CONTAINERS,
	CRI_CONTAINER_STATUS,
	CRI_EXEC_SYNC,
	CRI_EXEC,
	CRI_ATTACH,
	CRI_PORT_FORWARD,
	CRI_LIST_STATS,
	CRI_REOPEN_LOG,
	CRI_IMAGE_STATUS,
	CRI_PULL_IMAGE,
	CRI_LIST_IMAGES,
	CRI_N_METHODS,
};
enum { CRI_SANDBOX_READY = 0, CRI_SANDBOX_NOTREADY = 1 };
enum { CRI_CREATED = 0, CRI_RUNNING = 1, CRI_EXITED = 2, CRI_UNKNOWN = 3 };
enum { CRI_NS_POD = 0, CRI_NS_CONTAINER = 1, CRI_NS_NODE = 2, CRI_NS_TARGET = 3 };
enum { GRPC_OK = 0, GRPC_DEADLINE = 4, GRPC_NOT_FOUND = 5, GRPC_UNIMPLEMENTED = 12, GRPC_UNAVAILABLE = 14 };

struct cri;
/* endpoint: "unix:///run/containerd/containerd.sock", or the path alone. Nothing is sent yet. */
int cri_new(struct loop *loop, const char *endpoint, struct cri **ret, struct err *err);
void cri_free(struct cri *c);

/* msg: the method's answer, valid during fn, NULL unless status->code is 0. */
typedef void cri_fn(void *arg, const struct grpc_status *status, const ProtobufCMessage *msg);
/* NULL: out of memory, and fn is not called. timeout_ms 0: the method's own. */
struct grpc_call *cri_call(struct cri *c, enum cri_method method, const ProtobufCMessage *request, int timeout_ms,
			   cri_fn *fn, void *arg);

/*
 * Keeps an event stream open, with back-off. on_event: this container or sandbox ended or ran out of memory; settled
 * says that the runtime's own answers show it already (CRI events), else they may lag (containerd's). on_up: the
 * runtime answers and events flow from now on: list. on_down: it does not answer; why is for people.
 */
struct cri_watch_ops {
	void (*on_up)(void *arg, const char *runtime_name, const char *runtime_version);
	void (*on_down)(void *arg, const char *why);
	void (*on_event)(void *arg, const char *id, bool settled);
};
int cri_watch(struct cri *c, const struct cri_watch_ops *ops, void *arg);
bool cri_up(const struct cri *c);

#endif
