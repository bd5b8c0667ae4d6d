/* SPDX-License-Identifier: Apache-2.0 */
/* See slots.h. */
#include "slots.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOST UINT32_MAX

void slots_free(struct slots *s)
{
	free(s->slots);
	free(s->old);
	memset(s, 0, sizeof(*s));
}

static int alloc(struct slots *s, uint32_t n, uint32_t n_old)
{
	memset(s, 0, sizeof(*s));
	s->slots = calloc((size_t)n + 1, sizeof(*s->slots));
	s->old = calloc((size_t)n_old + 1, sizeof(*s->old));
	if (!s->slots || !s->old) {
		slots_free(s);
		return -ENOMEM;
	}
	s->n = n;
	s->n_old = n_old;
	return 0;
}

static uint16_t narrow(uint32_t index)
{
	return index < SLOT_BACKENDS ? (uint16_t)index : SLOT_NOBODY;
}

int slots_make(struct slots *ret, const uint32_t *owners, uint32_t n, uint32_t since)
{
	int r = alloc(ret, n, 0);

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < n; i++)
		ret->slots[i] = (struct svc_slot){ narrow(owners[i]), narrow(owners[i]), since };
	return 0;
}

bool slots_are_plain(const struct slots *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (s->slots[i].since)
			return false;
	return true;
}

/* Generations go round. */
static bool is_before(uint32_t generation, uint32_t other)
{
	return (int32_t)(generation - other) < 0;
}

/* Was that generation there before all flows that may still be silent were last heard? */
static bool is_old(const struct slots *s, uint32_t generation, uint32_t now)
{
	for (size_t i = 0; i < s->n_marks; i++)
		if (!is_before(s->marks[i].generation, generation) && now - s->marks[i].at >= SLOTS_LIFE)
			return true;
	return false;
}

bool slots_are_old(const struct slots *s, uint32_t now)
{
	if (s->n_old)
		return is_old(s, s->old_ended, now);
	for (uint32_t i = 0; i < s->n; i++)
		if (s->slots[i].since && is_old(s, s->slots[i].since, now))
			return true;
	return false;
}

/*
 * Of the marks that are old one is enough, and of the others one for each step of time: the newest is replaced while
 * it is nearer to the one before it.
 */
static void mark(struct slots *s, const struct slots *before, uint32_t generation, uint32_t now)
{
	size_t first = 0;

	while (first + 1 < before->n_marks && now - before->marks[first + 1].at >= SLOTS_LIFE)
		first++;
	for (size_t i = first; i < before->n_marks; i++)
		s->marks[s->n_marks++] = before->marks[i];
	if (s->n_marks == SLOTS_MARKS || (s->n_marks > 1 && now - s->marks[s->n_marks - 2].at < SLOTS_MARK_STEP))
		s->n_marks--;
	s->marks[s->n_marks++] = (struct slots_mark){ generation, now };
}

struct follow {
	const struct slots_change *c;
	struct slots *next;
	uint32_t extras;
};

/* What that index of the table before is in the next, as a base. */
static uint16_t base_of(struct follow *f, uint32_t index)
{
	const struct slots_change *c = f->c;

	if (index >= c->n_moved)
		return SLOT_NOBODY;
	if (c->moved[index] == LOST && c->n_backends + f->extras < SLOT_BACKENDS)
		c->moved[index] = c->n_backends + f->extras++;
	return narrow(c->moved[index]);
}

/* The same backend, of the table before and of the next? */
static bool stays(const struct follow *f, uint16_t before, uint16_t next)
{
	if (before >= f->c->n_moved || next == SLOT_NOBODY)
		return before == next;
	return f->c->moved[before] == next;
}

/* All flows of the slot that are alive are known. An owner of this instant may be getting flows just now. */
static struct svc_slot settled(const struct follow *f, uint32_t i, uint16_t owner)
{
	const struct svc_slot *was = &f->c->before->slots[i];
	bool over = f->c->held && !f->c->held[i] && stays(f, was->index, owner);

	return (struct svc_slot){ owner, owner, over ? 0 : was->since };
}

/* Slot by slot, of a table as large as the one before. */
static struct svc_slot follow_slot(struct follow *f, uint32_t i, bool old_table_is_old)
{
	const struct svc_slot *was = &f->c->before->slots[i];
	uint16_t owner = narrow(f->c->owners[i]), base;

	if (!was->since) {
		if (stays(f, was->index, owner))
			return (struct svc_slot){ owner, owner, 0 };
		base = base_of(f, was->index);
		return (struct svc_slot){ owner, base == SLOT_NOBODY ? owner : base, f->c->generation };
	}
	if (f->c->before->n_old ? old_table_is_old : is_old(f->c->before, was->since, f->c->now))
		return settled(f, i, owner);
	if (f->c->before->n_old)
		return (struct svc_slot){ owner, SLOT_BY_OLD, was->since };
	base = was->base == SLOT_NOBODY ? SLOT_NOBODY : base_of(f, was->base);
	return (struct svc_slot){ owner, base == SLOT_NOBODY ? owner : base, was->since };
}

/* The table before becomes the old table: with whom of its flows are those that are not known. */
static void retire(struct follow *f)
{
	const struct slots *before = f->c->before;
	uint32_t since = f->c->generation;

	for (uint32_t i = 0; i < before->n; i++) {
		const struct svc_slot *was = &before->slots[i];
		bool by_index = !was->since || was->base >= SLOT_BACKENDS;

		f->next->old[i] = base_of(f, by_index ? was->index : was->base);
		/* What is known of flows stays true. */
		if (was->since && is_before(was->since, since))
			since = was->since;
	}
	f->next->old_ended = f->c->generation;
	for (uint32_t i = 0; i < f->c->n; i++)
		f->next->slots[i] = (struct svc_slot){ narrow(f->c->owners[i]), SLOT_BY_OLD, since };
}

int slots_follow(struct slots *ret, const struct slots_change *change, uint32_t *extras)
{
	const struct slots *before = change->before;
	bool old_is_old = before->n_old && is_old(before, before->old_ended, change->now);
	bool resize = change->n != before->n, inherit = before->n_old && !old_is_old;
	struct follow f = { .c = change, .next = ret };
	int r;

	r = alloc(ret, change->n, inherit ? before->n_old : resize ? before->n : 0);
	if (r < 0)
		return r;
	if (inherit) {
		ret->old_ended = before->old_ended;
		for (uint32_t i = 0; i < before->n_old; i++)
			ret->old[i] = base_of(&f, before->old[i]);
	}
	if (!resize)
		for (uint32_t i = 0; i < change->n; i++)
			ret->slots[i] = follow_slot(&f, i, old_is_old);
	else if (inherit)
		for (uint32_t i = 0; i < change->n; i++)
			ret->slots[i] = (struct svc_slot){ narrow(change->owners[i]), SLOT_BY_OLD,
							   before->n ? before->slots[0].since : change->generation };
	else
		retire(&f);
	mark(ret, before, change->generation, change->now);
	*extras = f.extras;
	return 0;
}

uint32_t slots_stored(const struct slots *s)
{
	return slots_are_plain(s) ? s->n : s->n + SLOTS_OLD_FIRST + s->n_old + (uint32_t)s->n_marks;
}

void slots_store(const struct slots *s, struct svc_slot *stored)
{
	struct svc_slot *tail = stored + s->n;

	memcpy(stored, s->slots, s->n * sizeof(*stored));
	if (slots_are_plain(s))
		return;
	tail[SLOTS_OLD] = (struct svc_slot){ .since = s->n_old };
	tail[SLOTS_OLD_ENDED] = (struct svc_slot){ .since = s->old_ended };
	tail += SLOTS_OLD_FIRST;
	for (uint32_t i = 0; i < s->n_old; i++)
		*tail++ = (struct svc_slot){ .index = SLOT_NOBODY, .base = s->old[i] };
	for (size_t i = 0; i < s->n_marks; i++)
		*tail++ = (struct svc_slot){ .index = (uint16_t)(s->marks[i].generation >> 16),
					     .base = (uint16_t)s->marks[i].generation,
					     .since = s->marks[i].at };
}

int slots_load(struct slots *ret, const struct svc_slot *stored, uint32_t n, uint32_t total)
{
	const struct svc_slot *tail = stored + n;
	uint32_t n_old = 0, n_marks = 0;
	int r;

	if (total < n || (total > n && total < n + SLOTS_OLD_FIRST))
		return -EBADMSG;
	if (total > n) {
		total -= n + SLOTS_OLD_FIRST;
		n_old = tail[SLOTS_OLD].since;
		if (n_old > total || total - n_old > SLOTS_MARKS)
			return -EBADMSG;
		n_marks = total - n_old;
	}
	r = alloc(ret, n, n_old);
	if (r < 0)
		return r;
	memcpy(ret->slots, stored, n * sizeof(*stored));
	if (n_old)
		ret->old_ended = tail[SLOTS_OLD_ENDED].since;
	for (uint32_t i = 0; i < n_old; i++)
		ret->old[i] = tail[SLOTS_OLD_FIRST + i].base;
	for (uint32_t i = 0; i < n_marks; i++) {
		const struct svc_slot *m = &tail[SLOTS_OLD_FIRST + n_old + i];

		ret->marks[ret->n_marks++] = (struct slots_mark){ (uint32_t)m->index << 16 | m->base, m->since };
	}
	return 0;
}
