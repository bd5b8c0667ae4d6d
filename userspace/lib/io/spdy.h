/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SPDY/3.1 client framing over any byte stream, as far as container runtimes speak it for exec, attach and
 * port-forward: streams with headers, data, half-close, resets, pings. No flow control: neither side of that use
 * sends window updates, so back-pressure is the transport's. Frames are bounded.
 */
#ifndef SKEP_IO_SPDY_H
#define SKEP_IO_SPDY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spdy;

struct spdy_ops {
	/* Data of a stream; fin: its last. len may be 0 with fin. */
	void (*on_data)(struct spdy *s, void *arg, uint32_t stream, const void *data, size_t len, bool fin);
	/* The peer reset the stream; status as in the protocol (1: protocol error, 3: refused...). */
	void (*on_reset)(struct spdy *s, void *arg, uint32_t stream, uint32_t status);
	/*
	 * The peer broke the protocol or said goodbye: nothing more comes. Called once; free the session later, not
	 * inside.
	 */
	void (*on_close)(struct spdy *s, void *arg, const char *why);
	/* Bytes for the peer. */
	void (*write)(struct spdy *s, void *arg, const void *data, size_t len);
};
struct spdy_header {
	const char *name, *value; /* name in lower case */
};

struct spdy *spdy_new(const struct spdy_ops *ops, void *arg); /* NULL: out of memory */
void spdy_free(struct spdy *s);
/* The new stream's number, 1, 3, 5...; 0: out of memory. */
uint32_t spdy_open(struct spdy *s, const struct spdy_header *headers, size_t n);
void spdy_send(struct spdy *s, uint32_t stream, const void *data, size_t len, bool fin);
void spdy_reset(struct spdy *s, uint32_t stream);
void spdy_feed(struct spdy *s, const void *data, size_t len);

#endif
