/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scope-bound ownership. A local marked cleanup(fn) is released by fn when it goes out of scope; TAKE() hands it over,
 * leaving the local empty, so a function has one exit for success and every early return is clean.
 */
#ifndef SKEP_BASE_CLEANUP_H
#define SKEP_BASE_CLEANUP_H

#include <stdlib.h>
#include <unistd.h>

/* cleanup(foo_free) struct foo *x: calls foo_freep(&x). Define the pair with DEFINE_CLEANUP. */
#define cleanup(fn) __attribute__((cleanup(fn##p)))

#define DEFINE_CLEANUP(type, fn)                                                                                       \
	static inline void fn##p(type *p)                                                                              \
	{                                                                                                              \
		if (*p)                                                                                                \
			fn(*p);                                                                                        \
	}                                                                                                              \
	struct cleanup_semicolon

/* Move a pointer out of a local; the local becomes NULL. */
#define TAKE(p)                                                                                                        \
	({                                                                                                             \
		__typeof__(p) taken_ = (p);                                                                            \
		(p) = NULL;                                                                                            \
		taken_;                                                                                                \
	})

/* Move a file descriptor out of a local; the local becomes -1. */
#define TAKE_FD(fd)                                                                                                    \
	({                                                                                                             \
		int taken_ = (fd);                                                                                     \
		(fd) = -1;                                                                                             \
		taken_;                                                                                                \
	})

/* cleanup(free) char *s; and cleanup(close_fd) int fd = -1; */
static inline void freep(void *p)
{
	free(*(void **)p);
}

static inline void close_fdp(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#endif
