/* SPDX-License-Identifier: Apache-2.0 */
/* Shared buffers, and the queue in which they wait for the peer: of a connection, and of each HTTP/2 stream. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "http-server-internal.h"

struct http_buf *http_buf_new(const void *data, size_t len)
{
	struct http_buf *b = malloc(sizeof(*b) + len);

	if (!b)
		return NULL;
	b->refs = 1;
	b->len = len;
	if (data)
		memcpy(b->data, data, len);
	return b;
}

struct http_buf *http_buf_ref(struct http_buf *b)
{
	b->refs++;
	return b;
}

void http_buf_unref(struct http_buf *b)
{
	if (b && !--b->refs)
		free(b);
}

void out_init(struct out_queue *q)
{
	*q = (struct out_queue){ 0 };
}

static void pop_node(struct out_queue *q)
{
	struct out_node *n = q->first;

	q->first = n->next;
	if (!q->first)
		q->last = NULL;
	q->offset = 0;
	http_buf_unref(n->buf);
	free(n);
}

void out_clear(struct out_queue *q)
{
	while (q->first)
		pop_node(q);
	q->bytes = 0;
}

/* "1f4\r\n"; returns its length. */
static size_t chunk_head(size_t len, char *buf)
{
	static const char hex[] = "0123456789abcdef";
	int shift = 60;
	size_t n = 0;

	while (shift && !(len >> shift & 15))
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		buf[n++] = hex[len >> shift & 15];
	buf[n++] = '\r';
	buf[n++] = '\n';
	return n;
}

static size_t node_len(const struct out_node *n)
{
	char head[20];

	return n->chunk ? chunk_head(n->buf->len, head) + n->buf->len + 2 : n->buf->len;
}

int out_push(struct out_queue *q, struct http_buf *buf, bool chunk)
{
	struct out_node *n;

	if (!buf->len)
		return 0; /* an empty chunk would end the answer */
	n = malloc(sizeof(*n));
	if (!n)
		return -ENOMEM;
	n->next = NULL;
	n->buf = http_buf_ref(buf);
	n->chunk = chunk;
	if (q->last)
		q->last->next = n;
	else
		q->first = n;
	q->last = n;
	q->bytes += node_len(n);
	return 0;
}

int out_push_copy(struct out_queue *q, const void *data, size_t len)
{
	struct http_buf *b = http_buf_new(data, len);
	int r;

	if (!b)
		return -ENOMEM;
	r = out_push(q, b, false);
	http_buf_unref(b);
	return r;
}

/* Copies the part of [src, src + len) that lies in the window [*skip, ...) of at most *room bytes. */
static char *copy_part(char *dst, const char *src, size_t len, size_t *skip, size_t *room)
{
	if (*skip >= len) {
		*skip -= len;
		return dst;
	}
	src += *skip;
	len -= *skip;
	*skip = 0;
	if (len > *room)
		len = *room;
	memcpy(dst, src, len);
	*room -= len;
	return dst + len;
}

size_t out_peek(const struct out_queue *q, void *dst, size_t max)
{
	size_t skip = q->offset, room = max;
	char *p = dst, head[20];

	for (const struct out_node *n = q->first; n && room; n = n->next) {
		if (n->chunk)
			p = copy_part(p, head, chunk_head(n->buf->len, head), &skip, &room);
		p = copy_part(p, n->buf->data, n->buf->len, &skip, &room);
		if (n->chunk)
			p = copy_part(p, "\r\n", 2, &skip, &room);
	}
	return max - room;
}

void out_drop(struct out_queue *q, size_t n)
{
	q->bytes -= n;
	while (n) {
		size_t left = node_len(q->first) - q->offset;

		if (n < left) {
			q->offset += n;
			return;
		}
		n -= left;
		pop_node(q);
	}
}
