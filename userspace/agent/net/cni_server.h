/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where skep-cni asks: POST /cni on a unix socket with {"command","containerId","netns","ifname","args","config"};
 * the answer is a CNI result or error (CNI specification 1.0.0), answered now or later by cni_reply_*().
 */
#ifndef SKEP_AGENT_NET_CNI_SERVER_H
#define SKEP_AGENT_NET_CNI_SERVER_H

#include "../../lib/io/http_server.h"
#include "checkpoint.h"

enum {
	CNI_ERR_INVALID_ENV = 4,
	CNI_ERR_IO = 5,
	CNI_ERR_INVALID_CONFIG = 7,
	CNI_ERR_TRY_AGAIN = 11,
	CNI_ERR_FAILED = 100
};

struct cni_request {
	char command[16], container_id[128], netns[256], ifname[IFNAMSIZ], version[16];
	char pod_ns[64], pod_name[256], pod_uid[64]; /* from CNI_ARGS; "" if absent */
	struct http_req *http;			     /* NULL once the plugin has gone away: replies are dropped */
	void *data;				     /* the handler's */
	void (*on_gone)(struct cni_request *req);    /* the plugin went away before the reply; may be NULL */
};
struct cni_server;
/* handler owns req until it replies. ADD, DEL and CHECK only. */
int cni_server_new(struct loop *loop, const char *socket, void (*handler)(struct cni_request *req, void *arg),
		   void *arg, struct cni_server **ret, struct err *err);
void cni_server_free(struct cni_server *s);
/* Each frees req. */
void cni_reply_added(struct cni_request *req, const struct sandbox *s);
void cni_reply_ok(struct cni_request *req);
void cni_reply_error(struct cni_request *req, int code, const char *msg, const char *details);

#endif
