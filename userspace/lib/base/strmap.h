/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hash map from string to void *. Keys are copied. Iteration order is unspecified; deleting the current key while
 * iterating is allowed, inserting is not. Hashing is seeded per process, so that a client cannot choose keys that
 * collide.
 */
#ifndef SKEP_BASE_STRMAP_H
#define SKEP_BASE_STRMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct strmap;

struct strmap *strmap_new(void);    /* NULL: out of memory */
void strmap_free(struct strmap *m); /* frees keys, not values; NULL is fine */
size_t strmap_len(const struct strmap *m);
void *strmap_get(const struct strmap *m, const char *key); /* NULL if absent */
bool strmap_has(const struct strmap *m, const char *key);
/* Sets key; *ret_old (may be NULL) gets the value that was there, NULL if none. 0 or -ENOMEM. */
int strmap_set(struct strmap *m, const char *key, void *value, void **ret_old);
void *strmap_del(struct strmap *m, const char *key); /* the value that was there */
void strmap_clear(struct strmap *m);

/* for (struct strmap_iter it = { 0 }; strmap_next(m, &it);) use(it.key, it.value); */
struct strmap_iter {
	size_t pos, origin;
	const char *key;
	void *value;
};
bool strmap_next(const struct strmap *m, struct strmap_iter *it);

/* The keyed hash behind it (SipHash-2-4), for other tables. */
uint64_t str_hash(const void *data, size_t len);

static inline void strmap_freep(struct strmap **m)
{
	strmap_free(*m);
}

#endif
