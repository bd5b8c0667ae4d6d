/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing byte string. buf is always NUL-terminated, also when empty, and may hold NULs. Memory failure is sticky:
 * later appends do nothing and strbuf_oom() says so, so that building a text needs one check at its end.
 */
#ifndef SKEP_BASE_STRBUF_H
#define SKEP_BASE_STRBUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct strbuf {
	char *buf; /* never NULL; do not free */
	size_t len;
	size_t cap; /* 0: buf is the shared empty string */
	bool oom;
};

extern char strbuf_empty[];
#define STRBUF_INIT                                                                                                    \
	{                                                                                                              \
		strbuf_empty, 0, 0, false                                                                              \
	}

void strbuf_init(struct strbuf *sb);
void strbuf_done(struct strbuf *sb);		     /* frees; the strbuf is empty and usable again */
void strbuf_clear(struct strbuf *sb);		     /* len = 0, keeps memory */
int strbuf_reserve(struct strbuf *sb, size_t extra); /* 0 or -ENOMEM */
void strbuf_add(struct strbuf *sb, const void *data, size_t len);
void strbuf_adds(struct strbuf *sb, const char *s);
void strbuf_addc(struct strbuf *sb, char c);
void strbuf_addf(struct strbuf *sb, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void strbuf_vaddf(struct strbuf *sb, const char *fmt, va_list ap);
/* s as a JSON string with its quotes; invalid UTF-8 bytes become U+FFFD. */
void strbuf_add_json(struct strbuf *sb, const char *s);
/* Gives back what appending took in advance: of texts that are kept for long. */
void strbuf_fit(struct strbuf *sb);
void strbuf_drop_front(struct strbuf *sb, size_t n);
/* Gives the heap string to the caller (free()); NULL if out of memory. The strbuf is empty afterwards. */
char *strbuf_detach(struct strbuf *sb, size_t *ret_len);
static inline bool strbuf_oom(const struct strbuf *sb)
{
	return sb->oom;
}

static inline void strbuf_donep(struct strbuf *sb)
{
	strbuf_done(sb);
}
/* cleanup(strbuf_done) struct strbuf sb = STRBUF_INIT; */

#endif
