/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of fields of a document, as Kubernetes keeps them in managedFields (FieldsV1): a tree whose steps are a field's
 * name, an element of a list by its keys, by its value or by its index. Some steps are members, that is, in the set
 * themselves. A set is its first step; the empty set is NULL. Sets never change once made and may share parts, so
 * that an operation allocates only what differs; all of them live in one arena.
 *
 * Texts of sets made from a JSON tree are borrowed from it.
 * Memory failure is sticky in struct fset_mem, like a strbuf's: whoever uses a result checks mem->oom first.
 */
#ifndef SKEP_API_FIELD_SET_H
#define SKEP_API_FIELD_SET_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "../base/arena.h"
#include "../base/err.h"
#include "../base/strbuf.h"

struct fset_mem {
	struct arena arena;
	bool oom;
};
#define FSET_MEM_INIT                                                                                                  \
	{                                                                                                              \
		ARENA_INIT, false                                                                                      \
	}
static inline void fset_mem_done(struct fset_mem *mem)
{
	arena_done(&mem->arena);
}
static inline void fset_mem_donep(struct fset_mem *mem)
{
	fset_mem_done(mem);
}

enum fset_kind { FSET_FIELD = 'f', FSET_KEYS = 'k', FSET_VALUE = 'v', FSET_INDEX = 'i' };

struct fset {
	const struct fset *next; /* sibling: ascending, no two alike */
	const struct fset *sub;	 /* what is below it; NULL: nothing */
	/* replicas; {"name":"x"} with its keys sorted; "a", 1 or true as JSON; 0. Not terminated. */
	const char *text;
	uint32_t len;
	char kind; /* enum fset_kind */
	bool member;
};

/* Order of steps: by kind, then by text, numbers in it as numbers. */
int fset_step_cmp(char kind_a, const char *a, size_t len_a, char kind_b, const char *b, size_t len_b);
const struct fset *fset_find(const struct fset *set, char kind, const char *text, size_t len);
/* A step of its own; NULL: out of memory, or neither member nor anything below it (nothing to keep). */
struct fset *fset_step(struct fset_mem *mem, char kind, const char *text, size_t len, bool member,
		       const struct fset *sub);
/* Links n steps in any order into a set; two alike become one. steps is reordered. */
const struct fset *fset_link(struct fset_mem *mem, struct fset **steps, size_t n);

const struct fset *fset_union(struct fset_mem *mem, const struct fset *a, const struct fset *b);
/* Members of a that are not members of b; what is below a member of b stays. */
const struct fset *fset_difference(struct fset_mem *mem, const struct fset *a, const struct fset *b);
/* The same, but what is below a member of b goes, too. */
const struct fset *fset_without(struct fset_mem *mem, const struct fset *a, const struct fset *b);
const struct fset *fset_intersection(struct fset_mem *mem, const struct fset *a, const struct fset *b);
/* With texts of its own: those of a set made from a tree are the tree's. */
const struct fset *fset_copy(struct fset_mem *mem, const struct fset *set);
/* The two have a member in common. */
bool fset_meets(const struct fset *a, const struct fset *b);
bool fset_equal(const struct fset *a, const struct fset *b);
static inline bool fset_is_empty(const struct fset *a)
{
	return !a;
}

/*
 * The JSON form (the value of fieldsV1). fset_read takes text that fset_write has written, at *p, and moves *p behind
 * it; it is fast and believes that keys are canonical. fset_from_json takes anybody's and makes it so. -EINVAL.
 */
void fset_write(const struct fset *set, struct strbuf *out);
int fset_read(struct fset_mem *mem, const char **p, const char *end, const struct fset **ret);
/* A string of such text at *p: borrowed from it, or in the arena if it has escapes; not terminated. */
int fset_read_string(struct fset_mem *mem, const char **p, const char *end, const char **ret, size_t *ret_len);
int fset_from_json(struct fset_mem *mem, const json_t *fields, const struct fset **ret, struct err *err);

/* Every member as Kubernetes writes paths: .spec.containers[name="x"].image; members of a level before what is below.
 */
void fset_paths(const struct fset *set, void (*fn)(void *arg, const char *path), void *arg);
void fset_step_path(const struct fset *step, struct strbuf *out);
/* Keys or a value as JSON with sorted keys; what a step's text is made of. NULL: out of memory. */
const char *fset_json_text(struct fset_mem *mem, const json_t *value, size_t *ret_len);

#endif
