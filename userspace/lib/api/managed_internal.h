/* SPDX-License-Identifier: Apache-2.0 */
/* What managed_fields.c and apply.c share. */
#ifndef SKEP_API_MANAGED_INTERNAL_H
#define SKEP_API_MANAGED_INTERNAL_H

#include "managed_fields.h"

/* set without what identifies the object or is the server's own: nobody owns these. */
const struct fset *managed_strip(struct fset_mem *mem, const struct fset *set);
/* The part of set that the endpoint may change. */
const struct fset *managed_within(struct fset_mem *mem, const struct fset *set, enum managed_scope scope);
struct managed_entry *managed_entry_of(struct managed *m, const struct managed_writer *who, bool apply);
struct managed_entry *managed_entry_new(struct managed *m, const struct managed_writer *who, bool apply);
/* e owns nothing of set any longer. */
void managed_give_up(struct managed *m, struct managed_entry *e, const struct fset *set);
void managed_drop_empty(struct managed *m);

#endif
