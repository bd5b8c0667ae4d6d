/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metadata.managedFields: who owns which fields of an object, kept for every write, and server-side apply, which goes
 * by it. Behaves as Kubernetes' structured-merge-diff and the layers of its API server around it: an applied
 * configuration owns what it says, any other write owns what it changes, and who changes a field takes it away from
 * the others.
 *
 * Pure functions on trees and tables. An object's tree comes without metadata.managedFields: that is kept beside it,
 * as text, so that those who do not need it never parse it.
 */
#ifndef SKEP_API_MANAGED_FIELDS_H
#define SKEP_API_MANAGED_FIELDS_H

#include "field_walk.h"

#define MANAGED_MAX_ENTRIES 1000 /* that a client may send */
#define MANAGED_MAX_NAME    128	 /* bytes of a manager's name */
#define MANAGED_MAX_UPDATES 10	 /* entries of updates; older ones are merged into "ancient-changes" */
#define MANAGED_LAST_APPLIED                                                                                           \
	"kubectl.kubernetes.io/last-applied-configuration" /* what kubectl's client-side apply keeps */

struct managed_entry {
	const char *manager, *api_version, *subresource, *time; /* never NULL; in the arena or the caller's */
	bool apply;
	const struct fset *set;
	const char *raw; /* the set as it was read, while it is unchanged; else NULL */
	size_t raw_len;
};
struct managed {
	struct fset_mem *mem;
	size_t n, cap;
	struct managed_entry *v; /* in the arena */
};
/* Who writes, by what way and when; the strings outlive struct managed. */
struct managed_writer {
	const char *manager, *api_version, *subresource; /* "" for the object itself */
	const char *now;				 /* RFC 3339, UTC, whole seconds */
};
/* What the endpoint written to lets change: upstream's reset fields. */
enum managed_scope {
	MANAGED_ALL,
	MANAGED_MAIN,	/* all but status, which has an endpoint of its own */
	MANAGED_STATUS, /* nothing but status */
};

/* From what managed_write has written. -EINVAL: it is something else; -ENOMEM. */
int managed_read(struct fset_mem *mem, const char *text, size_t len, struct managed *ret);
/* From what a client has sent: an array of entries. */
int managed_from_json(struct fset_mem *mem, const json_t *array, struct managed *ret, struct err *err);
/* The two say the same but for times. Both are reordered. */
bool managed_same_owners(struct managed *a, struct managed *b);
/* A client's way to drop all of it: an array of one empty entry. */
bool managed_is_reset(const json_t *array);
/* The JSON array, in Kubernetes' order; nothing for no entries. */
void managed_write(struct managed *m, struct strbuf *out);

/* changes were made by who: they become his and nobody else's. A new object is one compared with {}. */
int managed_update(struct managed *m, const struct field_changes *changes, const struct managed_writer *who,
		   enum managed_scope scope);

/* Length of the JSON array or object at p, with its brackets; 0: it has no end. */
size_t managed_array_length(const char *p, const char *end);
/*
 * Cuts managedFields out of a watch event, or an object, as our API server writes them: behind resourceVersion, first
 * in metadata. What looks different stays as it is. Returns the new length.
 */
size_t managed_cut_event(char *text, size_t len);

struct managed_conflict {
	struct managed_entry with;
	const struct fset *set;
};
struct managed_applied {
	json_t *obj; /* the new object, the caller's; NULL: the configuration changes nothing */
	size_t n_conflicts;
	struct managed_conflict *conflicts; /* with -EBUSY; in the arena */
};
/*
 * Applies config to live (an object without managedFields; {} for one that is not there) in the
 * name of who. 0; -EBUSY with the conflicts; -EINVAL with err; -ENOMEM. m is changed only by success. The entry's
 * time changes when its set does; managed_touch() is for the caller who finds that the object changes.
 */
int managed_apply(struct managed *m, const struct api_type *type, json_t *live, json_t *config,
		  const struct managed_writer *who, enum managed_scope scope, bool force, struct managed_applied *ret,
		  struct err *err);
void managed_touch(struct managed *m, const struct managed_writer *who);
/* The answer to conflicts: 409 with a cause for each field. A new reference; NULL: out of memory. */
json_t *managed_conflict_status(const struct managed_applied *a);

#endif
