/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents and sets of fields, brought together by the tables of types: which fields a document sets, how two
 * documents differ, and a document without some fields. Everything here goes by struct api_type only, so that kinds
 * that come at run time are served alike.
 */
#ifndef SKEP_API_FIELD_WALK_H
#define SKEP_API_FIELD_WALK_H

#include "api.h"
#include "field_set.h"

/* How a value is owned: as one, or by its parts. */
enum field_shape {
	FIELD_LEAF,	/* a scalar, or an atomic list, map or object */
	FIELD_STRUCT,	/* by its fields */
	FIELD_MAP,	/* by its keys */
	FIELD_LIST_MAP, /* by its elements, told apart by keys */
	FIELD_SET,	/* by its elements, told apart by their values */
	FIELD_ANY,	/* nobody said: objects are maps of anything, lists are leaves */
};
struct field_type {
	enum field_shape shape;
	const struct api_type *object; /* FIELD_STRUCT */
	const struct api_field *field; /* FIELD_MAP, FIELD_LIST_MAP, FIELD_SET: whose elements */
};
struct field_type field_type_of(const struct api_field *f);
struct field_type field_type_elem(struct field_type t);
/* Of the member of that name; FIELD_ANY and *ret_known false if a struct has no such field. */
struct field_type field_type_member(struct field_type t, const char *name, bool *ret_known);

/* An element of a list as a step (its text in the arena). 0; -EINVAL: no keys; -ENOMEM. */
int field_item_step(struct fset_mem *mem, struct field_type list, const json_t *item, char *ret_kind,
		    const char **ret_text, size_t *ret_len, struct err *err);

/* The elements of a list by their steps, sorted; equal ones are neighbours, in the order of the list. */
struct field_item {
	const char *text;
	size_t len;
	size_t index;
	json_t *value; /* borrowed */
	char kind;
};
int field_items(struct fset_mem *mem, struct field_type list, const json_t *array, struct field_item **ret,
		size_t *ret_n, struct err *err);

/*
 * The fields a document sets. strict: unknown fields, elements without their keys and elements twice are -EINVAL with
 * the path in err, as for an applied configuration; else such are taken as they come, as for an object that is there.
 */
int field_set_of(struct fset_mem *mem, const struct api_type *type, const json_t *obj, bool strict,
		 const struct fset **ret, struct err *err);

struct field_changes {
	const struct fset *added, *modified, *removed;
};
static inline bool field_changes_none(const struct field_changes *c)
{
	return !c->added && !c->modified && !c->removed;
}
/* How b differs from a. Parts that the two share are not walked. 0 or -ENOMEM. */
int field_compare(struct fset_mem *mem, const struct api_type *type, const json_t *a, const json_t *b,
		  struct field_changes *ret);

/*
 * obj without the members of set; what it was made of is shared with obj. Objects and lists that lose all they have
 * become null. A new reference; NULL: out of memory.
 */
json_t *field_remove(struct fset_mem *mem, const struct api_type *type, json_t *obj, const struct fset *set);
/* The union of live and config, config's where both have something. As above. */
json_t *field_merge(struct fset_mem *mem, const struct api_type *type, json_t *live, json_t *config);
/* set with every step that names a field of a type as a member, too. */
const struct fset *field_name_parents(struct fset_mem *mem, const struct api_type *type, const struct fset *set);

#endif
