/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of a service with direct server return, from the one before and the owners that maglev_fill() gives the
 * slots now: no flow that is there changes its backend. What of a flow is not known is with its slot's `base`; a slot
 * that changes hands for the first time gets its former owner for base, and keeps it, since from then on each flow
 * that sends a packet is known. Once that has lasted as long as a flow may be silent, nobody needs the base any more;
 * and once no flow that is known is with another backend than the slot's, the slot has one owner again.
 *
 * A table of another size cannot say the former owners slot by slot: it holds the old table's behind its own slots,
 * and all its slots refer to that (SLOT_BY_OLD) for as long.
 *
 * As stored: the slots; if one of them has had another owner, the tail (enum svc_slots_tail), the old table's bases,
 * and the marks, by which generations are told to be old.
 */
#ifndef SKEP_COMPILE_SLOTS_H
#define SKEP_COMPILE_SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/ct.h"
#include "abi/svc.h"

#define SLOTS_LIFE	CT_LIFE_TCP_OPEN /* after that a silent flow is forgotten */
#define SLOTS_MARKS	32
#define SLOTS_MARK_STEP (SLOTS_LIFE / 16)

struct slots_mark {
	uint32_t generation, at; /* it was there at that time, in units of 2^30 ns */
};

struct slots {
	struct svc_slot *slots;
	uint32_t n;
	uint16_t *old; /* bases of the old table's slots */
	uint32_t n_old, old_ended;
	struct slots_mark marks[SLOTS_MARKS]; /* by time */
	size_t n_marks;
};

void slots_free(struct slots *s);
static inline void slots_freep(struct slots *s)
{
	slots_free(s);
}

/* n slots, all with one owner: owners[i], UINT32_MAX for nobody. since: as if of that generation, 0 for none. -ENOMEM.
 */
int slots_make(struct slots *ret, const uint32_t *owners, uint32_t n, uint32_t since);

/* Has each slot had one owner only? Then there is no tail. */
bool slots_are_plain(const struct slots *s);
/* May it be that a slot needs its base no more? */
bool slots_are_old(const struct slots *s, uint32_t now);

struct slots_change {
	const struct slots *before;
	const uint32_t *owners; /* of the next, as for slots_make() */
	uint32_t n;
	uint32_t n_backends;
	uint32_t generation; /* the next one's */
	uint32_t now;	     /* units of 2^30 ns */
	/*
	 * By index in the table before: the index in the next, UINT32_MAX: the service has lost it. Those that are
	 * still a base get an index from n_backends on.
	 */
	uint32_t *moved;
	size_t n_moved;
	const bool *held; /* by slot of the next: a flow is known to be with another; NULL: not looked */
};

/* -ENOMEM. *extras: how many indexes were given out, no more than there is room for; change->moved says to whom. */
int slots_follow(struct slots *ret, const struct slots_change *change, uint32_t *extras);

/* Entries of the stored form. */
uint32_t slots_stored(const struct slots *s);
void slots_store(const struct slots *s, struct svc_slot *stored);
/* n: slots of it; total: entries of stored. -ENOMEM, -EBADMSG. */
int slots_load(struct slots *ret, const struct svc_slot *stored, uint32_t n, uint32_t total);

#endif
