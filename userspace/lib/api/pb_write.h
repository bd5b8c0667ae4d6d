/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes protobuf messages from their end to their beginning: what lies inside a message is written before its length,
 * which is then known. So fields are written in descending order where readers are to find them ascending. Memory
 * failure is sticky, as strbuf's.
 */
#ifndef SKEP_API_PB_WRITE_H
#define SKEP_API_PB_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct strbuf;

enum pb_wire { PB_VARINT = 0, PB_64 = 1, PB_BYTES = 2, PB_32 = 5 };

struct pb_out {
	char *buf; /* the bytes are buf[at] to buf[cap - 1] */
	size_t cap, at;
	bool oom;
};

static inline size_t pb_len(const struct pb_out *o)
{
	return o->cap - o->at;
}
void pb_done(struct pb_out *o);
void pb_raw(struct pb_out *o, const void *data, size_t len); /* bytes, without a tag */
void pb_varint(struct pb_out *o, uint64_t v);
void pb_uint(struct pb_out *o, unsigned field, uint64_t v);
void pb_double(struct pb_out *o, unsigned field, double v);
void pb_bytes(struct pb_out *o, unsigned field, const void *data, size_t len);
void pb_str(struct pb_out *o, unsigned field, const char *s);
/* What was written since pb_len() was `mark` becomes a message (or string) in this field. */
void pb_wrap(struct pb_out *o, unsigned field, size_t mark);
/* Appends the bytes to sb and frees them. 0 or -ENOMEM. */
int pb_finish(struct pb_out *o, struct strbuf *sb);

#endif
