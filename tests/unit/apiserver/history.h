/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A history of what several clients did to objects of one kind and what they saw, and a checker of it that knows
 * nothing of how it came about. Times are ticks of one counter that every invocation and every answer advances.
 */
#ifndef SKEP_TEST_HISTORY_H
#define SKEP_TEST_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum h_kind { H_CREATE, H_UPDATE, H_PATCH, H_DELETE };
/* H_UNKNOWN: no answer came; it may have been done once, or not. */
enum h_outcome { H_OPEN, H_OK, H_REFUSED, H_UNKNOWN };
enum h_type { H_ADDED, H_MODIFIED, H_DELETED };

/* An object: key is "namespace/name", value a text that no two writes share, label what selectors choose by. */
struct h_object {
	char key[32], value[24], label;
	int64_t rv;
};

struct h_write {
	enum h_kind kind;
	enum h_outcome outcome;
	struct h_object obj; /* deletion: key only; rv: as answered */
	int64_t base;	     /* the version it was made for; 0: any */
	int64_t invoked, returned;
};

struct h_event {
	enum h_type type;
	struct h_object obj;
};

/* What a list or watch covers. */
struct h_scope {
	const char *ns, *name; /* NULL: all */
	char label;	       /* 0: all */
};

/* A watch, with all its reconnections: what came after `from`, complete up to `to`. */
struct h_stream {
	struct h_scope scope;
	int64_t from, to;
	struct h_event *events;
	size_t n;
};

/* A list, or the part of a watch that sends the present state first; or one object that was got (scope names it). */
struct h_list {
	struct h_scope scope;
	bool one;	  /* a get: items 0 or 1, and its revision is not known */
	int64_t rv;	  /* of the whole list */
	int64_t at_least; /* it was asked for no older than this */
	bool exact;	  /* and for no newer */
	bool any;	  /* any revision would do */
	int64_t invoked, returned;
	struct h_object *items;
	size_t n;
};

struct history {
	struct h_write *writes;
	size_t n_writes;
	struct h_stream *streams; /* the first is the witness: all objects, from before the first write */
	size_t n_streams;
	struct h_list *lists;
	size_t n_lists;
	int64_t last_rv; /* of the last write; every stream went that far */
};

/* true: it is what a store with one order of writes can have brought about. Else ret says what is wrong. */
bool history_check(const struct history *h, char ret[static 512]);

#endif
