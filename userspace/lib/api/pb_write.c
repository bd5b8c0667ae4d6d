/* SPDX-License-Identifier: Apache-2.0 */
/* Protobuf's wire format, written backwards: see pb_write.h. */
#include "pb_write.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../base/strbuf.h"

void pb_done(struct pb_out *o)
{
	free(o->buf);
	*o = (struct pb_out){ 0 };
}

static char *room(struct pb_out *o, size_t len)
{
	if (o->oom)
		return NULL;
	if (len > o->at) {
		size_t have = pb_len(o), cap = o->cap ? o->cap : 512;
		char *buf;

		while (cap - have < len)
			cap *= 2;
		buf = malloc(cap);
		if (!buf) {
			o->oom = true;
			return NULL;
		}
		if (have)
			memcpy(buf + cap - have, o->buf + o->at, have);
		free(o->buf);
		o->buf = buf;
		o->at = cap - have;
		o->cap = cap;
	}
	o->at -= len;
	return o->buf + o->at;
}

void pb_raw(struct pb_out *o, const void *data, size_t len)
{
	char *p = len ? room(o, len) : NULL;

	if (p)
		memcpy(p, data, len);
}

void pb_varint(struct pb_out *o, uint64_t v)
{
	unsigned char bytes[10];
	size_t n = 0;

	do {
		bytes[n++] = (unsigned char)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
		v >>= 7;
	} while (v);
	pb_raw(o, bytes, n);
}

static void tag(struct pb_out *o, unsigned field, enum pb_wire wire)
{
	pb_varint(o, (uint64_t)field << 3 | wire);
}

void pb_uint(struct pb_out *o, unsigned field, uint64_t v)
{
	pb_varint(o, v);
	tag(o, field, PB_VARINT);
}

void pb_double(struct pb_out *o, unsigned field, double v)
{
	unsigned char bytes[8];
	uint64_t n;

	memcpy(&n, &v, sizeof(n));
	for (int i = 0; i < 8; i++)
		bytes[i] = (unsigned char)(n >> (8 * i));
	pb_raw(o, bytes, sizeof(bytes));
	tag(o, field, PB_64);
}

void pb_bytes(struct pb_out *o, unsigned field, const void *data, size_t len)
{
	pb_raw(o, data, len);
	pb_varint(o, len);
	tag(o, field, PB_BYTES);
}

void pb_str(struct pb_out *o, unsigned field, const char *s)
{
	pb_bytes(o, field, s, strlen(s));
}

void pb_wrap(struct pb_out *o, unsigned field, size_t mark)
{
	pb_varint(o, pb_len(o) - mark);
	tag(o, field, PB_BYTES);
}

int pb_finish(struct pb_out *o, struct strbuf *sb)
{
	bool oom = o->oom;

	if (!oom && pb_len(o))
		strbuf_add(sb, o->buf + o->at, pb_len(o));
	pb_done(o);
	return oom || strbuf_oom(sb) ? -ENOMEM : 0;
}
