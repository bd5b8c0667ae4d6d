/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WebSocket (RFC 6455) framing over any byte stream; used by the server on a hijacked request and by the client on an
 * upgraded connection. Fragments are joined, control frames answered, masks checked by role. Messages are bounded.
 */
#ifndef SKEP_IO_WS_H
#define SKEP_IO_WS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ws;

struct ws_ops {
	/* A whole message. binary: opcode 2, else text. */
	void (*on_message)(struct ws *ws, void *arg, const void *data, size_t len, bool binary);
	/* Peer closed, or protocol error (code 1002...). Called once; ws is freed by its owner with ws_free(). */
	void (*on_close)(struct ws *ws, void *arg, int code);
	/* Bytes for the peer: queue them on the transport. */
	void (*write)(struct ws *ws, void *arg, const void *data, size_t len);
};

/* client: own frames are masked, the peer's must not be; a server the other way round. */
struct ws *ws_new(bool client, size_t max_message, const struct ws_ops *ops, void *arg);
void ws_free(struct ws *ws);
void ws_feed(struct ws *ws, const void *data, size_t len); /* bytes from the transport */
void ws_send(struct ws *ws, const void *data, size_t len, bool binary);
void ws_send_channel(struct ws *ws, uint8_t channel, const void *data,
		     size_t len); /* Kubernetes: channel byte + payload */
void ws_ping(struct ws *ws);
void ws_close(struct ws *ws, int code,
	      const char *reason); /* sends a close frame; on_close follows the peer's answer */

/* Sec-WebSocket-Accept for a key; out has 29 bytes. */
void ws_accept_key(const char *key, char *out);
/* First of the client's comma-separated offer that is in supported (NULL-terminated); NULL if none. */
const char *ws_choose_protocol(const char *offer, const char *const *supported);

#endif
