/* SPDX-License-Identifier: Apache-2.0 */
/* What cri.c and cri_watch.c share. */
#ifndef SKEP_AGENT_CRI_INTERNAL_H
#define SKEP_AGENT_CRI_INTERNAL_H

#include "cri.h"

struct cri {
	struct loop *loop;
	struct http_client *http;
	bool up;
	/* event stream */
	struct cri_watch_ops ops;
	void *arg;
	bool watching;
	bool containerd_events; /* the runtime has no GetContainerEvents */
	struct grpc_call *stream, *version;
	struct loop_timer retry, settle;
	int backoff_ms;
	char runtime_name[64], runtime_version[128];
};

void cri_watch_stop(struct cri *c);

#endif
