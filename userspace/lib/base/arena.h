/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bump allocator: many small allocations, freed together. Memory is zeroed and aligned to 16 bytes, but for strings,
 * which are not aligned. NULL: out of memory.
 */
#ifndef SKEP_BASE_ARENA_H
#define SKEP_BASE_ARENA_H

#include <stddef.h>

struct arena_block;
struct arena {
	struct arena_block *head;
};

#define ARENA_INIT                                                                                                     \
	{                                                                                                              \
		NULL                                                                                                   \
	}

void *arena_alloc(struct arena *a, size_t size);
void *arena_calloc(struct arena *a, size_t n, size_t size);
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t len);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
size_t arena_size(const struct arena *a);	 /* bytes held */
size_t arena_used(const struct arena *a);	 /* bytes given out; the same allocations again fit into so many */
int arena_reserve(struct arena *a, size_t size); /* of an empty arena: one block of this size. 0 or -ENOMEM */
void arena_reset(struct arena *a);		 /* as new, but keeps its largest block for what comes */
void arena_done(struct arena *a);		 /* frees everything; usable again */

static inline void arena_donep(struct arena *a)
{
	arena_done(a);
}

#endif
