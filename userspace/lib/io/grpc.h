/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gRPC client over http_client (HTTP/2): unary, server-streaming and bidirectional calls with protobuf-c messages.
 * Used for CRI and containerd (unix socket) and etcd (TLS). Status codes are gRPC's (0 OK, 5 NOT_FOUND, 12
 * UNIMPLEMENTED, 14 UNAVAILABLE).
 */
#ifndef SKEP_IO_GRPC_H
#define SKEP_IO_GRPC_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

#include "http_client.h"

struct grpc_call;

struct grpc_status {
	int code;	     /* gRPC status; 14 when there was no connection, 4 on our deadline */
	const char *message; /* never NULL */
	bool unsent;	     /* the server cannot have seen the request: trying again elsewhere does nothing twice */
};

/*
 * Unary: msg is the unpacked answer when code is 0 (owned by the call, valid during on_done), else NULL.
 * method: "/runtime.v1.RuntimeService/Version". timeout_ms as in http_call_config. NULL: out of memory.
 */
struct grpc_call *grpc_unary(struct http_client *c, const char *method, const ProtobufCMessage *request,
			     const ProtobufCMessageDescriptor *response_type, int timeout_ms,
			     void (*on_done)(void *arg, const struct grpc_status *status, const ProtobufCMessage *msg),
			     void *arg);

/*
 * Server streaming, without a deadline: on_msg for each (at most 64 MiB, as for unary answers); on_done when the
 * stream ends. request_open: keep the request side open for grpc_send().
 */
struct grpc_stream_ops {
	void (*on_msg)(struct grpc_call *call, void *arg, const ProtobufCMessage *msg);
	void (*on_done)(struct grpc_call *call, void *arg, const struct grpc_status *status);
};
struct grpc_call *grpc_stream(struct http_client *c, const char *method, const ProtobufCMessage *request,
			      bool request_open, const ProtobufCMessageDescriptor *response_type,
			      const struct grpc_stream_ops *ops, void *arg);
int grpc_send(struct grpc_call *call, const ProtobufCMessage *request); /* -EPIPE after the end, -ENOBUFS, -ENOMEM */
void grpc_send_end(struct grpc_call *call);				/* closes the request side */
void grpc_cancel(struct grpc_call *call);				/* no on_done; allowed in every callback */

#endif
