/* SPDX-License-Identifier: Apache-2.0 */
/* Open-addressing string map with linear probing and backward-shift deletion: see strmap.h. */
#include "strmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct slot {
	char *key; /* NULL: empty */
	void *value;
	uint64_t hash;
};

struct strmap {
	struct slot *slots;
	size_t cap; /* power of two, or 0 */
	size_t len;
};

#define ROTL(x, b) (uint64_t)(((x) << (b)) | ((x) >> (64 - (b))))
#define SIPROUND                                                                                                       \
	do {                                                                                                           \
		v0 += v1;                                                                                              \
		v1 = ROTL(v1, 13);                                                                                     \
		v1 ^= v0;                                                                                              \
		v0 = ROTL(v0, 32);                                                                                     \
		v2 += v3;                                                                                              \
		v3 = ROTL(v3, 16);                                                                                     \
		v3 ^= v2;                                                                                              \
		v0 += v3;                                                                                              \
		v3 = ROTL(v3, 21);                                                                                     \
		v3 ^= v0;                                                                                              \
		v2 += v1;                                                                                              \
		v1 = ROTL(v1, 17);                                                                                     \
		v1 ^= v2;                                                                                              \
		v2 = ROTL(v2, 32);                                                                                     \
	} while (0)

/* SipHash-2-4 (Aumasson, Bernstein 2012), little-endian hosts only, as everything here. */
uint64_t str_hash(const void *data, size_t len)
{
	static uint64_t key[2];
	static int seeded;
	const unsigned char *p = data;
	uint64_t v0, v1, v2, v3, m, b = (uint64_t)len << 56;
	size_t left = len & 7;

	if (!seeded) {
		if (getrandom(key, sizeof(key), 0) != sizeof(key))
			key[0] = (uint64_t)(uintptr_t)&key;
		seeded = 1;
	}
	v0 = key[0] ^ 0x736f6d6570736575ull;
	v1 = key[1] ^ 0x646f72616e646f6dull;
	v2 = key[0] ^ 0x6c7967656e657261ull;
	v3 = key[1] ^ 0x7465646279746573ull;
	for (const unsigned char *end = p + (len - left); p != end; p += 8) {
		memcpy(&m, p, 8);
		v3 ^= m;
		SIPROUND;
		SIPROUND;
		v0 ^= m;
	}
	for (size_t i = 0; i < left; i++)
		b |= (uint64_t)p[i] << (8 * i);
	v3 ^= b;
	SIPROUND;
	SIPROUND;
	v0 ^= b;
	v2 ^= 0xff;
	SIPROUND;
	SIPROUND;
	SIPROUND;
	SIPROUND;
	return v0 ^ v1 ^ v2 ^ v3;
}

struct strmap *strmap_new(void)
{
	return calloc(1, sizeof(struct strmap));
}

void strmap_clear(struct strmap *m)
{
	for (size_t i = 0; i < m->cap; i++)
		free(m->slots[i].key);
	free(m->slots);
	*m = (struct strmap){ 0 };
}

void strmap_free(struct strmap *m)
{
	if (!m)
		return;
	strmap_clear(m);
	free(m);
}

size_t strmap_len(const struct strmap *m)
{
	return m->len;
}

static struct slot *find(const struct strmap *m, const char *key, uint64_t hash)
{
	size_t i;

	if (!m->cap)
		return NULL;
	for (i = hash & (m->cap - 1); m->slots[i].key; i = (i + 1) & (m->cap - 1))
		if (m->slots[i].hash == hash && !strcmp(m->slots[i].key, key))
			return &m->slots[i];
	return NULL;
}

void *strmap_get(const struct strmap *m, const char *key)
{
	struct slot *s = find(m, key, str_hash(key, strlen(key)));

	return s ? s->value : NULL;
}

bool strmap_has(const struct strmap *m, const char *key)
{
	return find(m, key, str_hash(key, strlen(key)));
}

static void place(struct slot *slots, size_t cap, struct slot s)
{
	size_t i = s.hash & (cap - 1);

	while (slots[i].key)
		i = (i + 1) & (cap - 1);
	slots[i] = s;
}

static int grow(struct strmap *m)
{
	size_t cap = m->cap ? m->cap * 2 : 8;
	struct slot *slots;

	slots = calloc(cap, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < m->cap; i++)
		if (m->slots[i].key)
			place(slots, cap, m->slots[i]);
	free(m->slots);
	m->slots = slots;
	m->cap = cap;
	return 0;
}

int strmap_set(struct strmap *m, const char *key, void *value, void **ret_old)
{
	uint64_t hash = str_hash(key, strlen(key));
	struct slot *s = find(m, key, hash);
	char *copy;

	if (s) {
		if (ret_old)
			*ret_old = s->value;
		s->value = value;
		return 0;
	}
	if (ret_old)
		*ret_old = NULL;
	if ((m->len + 1) * 4 > m->cap * 3 && grow(m) < 0)
		return -ENOMEM;
	copy = strdup(key);
	if (!copy)
		return -ENOMEM;
	place(m->slots, m->cap, (struct slot){ copy, value, hash });
	m->len++;
	return 0;
}

/*
 * Backward-shift deletion keeps probe chains without tombstones: an element may move to a lower index, cyclically, but
 * never over an empty slot. So strmap_next() begins below an empty slot and walks downwards, where shifts come only
 * from slots that were visited.
 */
void *strmap_del(struct strmap *m, const char *key)
{
	struct slot *s = find(m, key, str_hash(key, strlen(key)));
	size_t hole, i, mask = m->cap - 1;
	void *value;

	if (!s)
		return NULL;
	value = s->value;
	free(s->key);
	hole = (size_t)(s - m->slots);
	for (i = (hole + 1) & mask; m->slots[i].key; i = (i + 1) & mask) {
		size_t home = m->slots[i].hash & mask;

		if (((i - home) & mask) >= ((i - hole) & mask)) {
			m->slots[hole] = m->slots[i];
			hole = i;
		}
	}
	m->slots[hole] = (struct slot){ 0 };
	m->len--;
	return value;
}

bool strmap_next(const struct strmap *m, struct strmap_iter *it)
{
	if (!it->pos && m->cap)
		while (m->slots[it->origin].key) /* the table is never full */
			it->origin++;
	/* pos counts slots already visited; the empty one itself comes last. */
	while (it->pos < m->cap) {
		const struct slot *s = &m->slots[(it->origin - ++it->pos) & (m->cap - 1)];

		if (s->key) {
			it->key = s->key;
			it->value = s->value;
			return true;
		}
	}
	return false;
}
