/* SPDX-License-Identifier: Apache-2.0 */
/* Bump allocator: see arena.h. */
#include "arena.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct arena_block {
	struct arena_block *next;
	size_t used, size;
	_Alignas(16) unsigned char data[];
};

enum { FIRST_BLOCK = 512, MAX_BLOCK = 65536 };

static void *bump(struct arena *a, size_t size, size_t align)
{
	struct arena_block *b = a->head;
	size_t at, block;

	if (size > SIZE_MAX / 4)
		return NULL;
	at = b ? (b->used + align - 1) & ~(align - 1) : 0;
	if (!b || at > b->size || b->size - at < size) {
		block = b ? b->size * 2 : FIRST_BLOCK;
		if (block > MAX_BLOCK)
			block = MAX_BLOCK;
		if (block < size)
			block = size;
		b = calloc(1, sizeof(*b) + block);
		if (!b)
			return NULL;
		b->size = block;
		b->next = a->head;
		a->head = b;
		at = 0;
	}
	b->used = at + size;
	return b->data + at;
}

void *arena_alloc(struct arena *a, size_t size)
{
	return bump(a, size, 16);
}

void *arena_calloc(struct arena *a, size_t n, size_t size)
{
	if (size && n > SIZE_MAX / 4 / size)
		return NULL;
	return arena_alloc(a, n * size);
}

char *arena_strndup(struct arena *a, const char *s, size_t len)
{
	char *p = len == SIZE_MAX ? NULL : bump(a, len + 1, 1);

	if (p)
		memcpy(p, s, len);
	return p;
}

char *arena_strdup(struct arena *a, const char *s)
{
	return arena_strndup(a, s, strlen(s));
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap, again;
	char *p;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	p = n < 0 ? NULL : bump(a, (size_t)n + 1, 1);
	if (p)
		vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return p;
}

size_t arena_size(const struct arena *a)
{
	size_t n = 0;

	for (const struct arena_block *b = a->head; b; b = b->next)
		n += sizeof(*b) + b->size;
	return n;
}

size_t arena_used(const struct arena *a)
{
	size_t n = 0;

	/* What did not fit into the end of a block may need aligning once more. */
	for (const struct arena_block *b = a->head; b; b = b->next)
		n = ((n + 15) & ~(size_t)15) + b->used;
	return n;
}

int arena_reserve(struct arena *a, size_t size)
{
	struct arena_block *b = a->head ? NULL : calloc(1, sizeof(*b) + size);

	if (!b)
		return -ENOMEM;
	b->size = size;
	a->head = b;
	return 0;
}

void arena_reset(struct arena *a)
{
	struct arena_block *keep = a->head;

	if (!keep)
		return;
	a->head = keep->next;
	arena_done(a);
	memset(keep->data, 0, keep->used);
	keep->used = 0;
	keep->next = NULL;
	a->head = keep;
}

void arena_done(struct arena *a)
{
	struct arena_block *b = a->head, *next;

	for (; b; b = next) {
		next = b->next;
		free(b);
	}
	a->head = NULL;
}
