/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables that follow one another: which slots keep a former owner, for how long, and that no flow changes its backend,
 * by a model of what svc_pick_slot() makes of them.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compile/maglev.h"
#include "compile/slots.h"

#define HOUR	3353u
#define MOST	80
#define NO_FLOW UINT32_MAX

/* A service as the node has it: its table, and which backends the indexes are, those that are only bases too. */
static struct {
	struct slots table;
	uint32_t backends[4 * MOST], n, n_all, generation, now;
} svc;

static uint32_t *owners_of(const uint32_t *backends, uint32_t n, uint32_t slots)
{
	uint32_t *owners = malloc(slots * sizeof(*owners));
	uint64_t ids[MOST];

	for (uint32_t i = 0; i < n; i++)
		ids[i] = maglev_id(&backends[i], sizeof(backends[i]));
	cr_assert(owners && maglev_fill(ids, n, owners, slots) == 0);
	return owners;
}

static uint32_t slots_for(uint32_t n)
{
	return n ? maglev_slots(n) : 1;
}

static void start(const uint32_t *backends, uint32_t n)
{
	uint32_t *owners = owners_of(backends, n, slots_for(n));

	memset(&svc, 0, sizeof(svc));
	svc.generation = UINT32_MAX - 10; /* it goes round */
	svc.now = 1000;
	svc.n = svc.n_all = n;
	memcpy(svc.backends, backends, n * sizeof(*backends));
	cr_assert(slots_make(&svc.table, owners, slots_for(n), 0) == 0);
	free(owners);
}

/* As the kernel holds it: written and read again. */
static void through_the_kernel(struct slots *s)
{
	uint32_t total = slots_stored(s), n = s->n;
	struct svc_slot *stored = calloc(total, sizeof(*stored));
	bool plain = slots_are_plain(s);
	struct slots back;

	slots_store(s, stored);
	cr_assert(slots_load(&back, stored, n, total) == 0);
	cr_assert(!memcmp(back.slots, s->slots, n * sizeof(*s->slots)));
	if (!plain) {
		cr_assert(back.n_old == s->n_old && back.n_marks == s->n_marks && s->n_marks <= SLOTS_MARKS);
		cr_assert(!memcmp(back.old, s->old, s->n_old * sizeof(*s->old)));
		cr_assert(!memcmp(back.marks, s->marks, s->n_marks * sizeof(*s->marks)));
	}
	slots_free(s);
	*s = back;
	free(stored);
}

/* 0 is none. */
static uint32_t next_generation(void)
{
	svc.generation += svc.generation == UINT32_MAX ? 2 : 1;
	return svc.generation;
}

static void change(const uint32_t *backends, uint32_t n, const bool *held)
{
	uint32_t slots = slots_for(n), *owners = owners_of(backends, n, slots), moved[4 * MOST], extras;

	struct slots_change c = { .before = &svc.table,
				  .owners = owners,
				  .n = slots,
				  .n_backends = n,
				  .generation = next_generation(),
				  .now = svc.now,
				  .moved = moved,
				  .n_moved = svc.n_all,
				  .held = held };
	uint32_t was[4 * MOST];
	struct slots next;

	memcpy(was, svc.backends, sizeof(was));
	for (uint32_t i = 0; i < svc.n_all; i++) {
		moved[i] = UINT32_MAX;
		for (uint32_t k = 0; k < n; k++)
			if (backends[k] == was[i])
				moved[i] = k;
	}
	cr_assert(slots_follow(&next, &c, &extras) == 0);
	cr_assert(n + extras <= 4 * MOST);
	memcpy(svc.backends, backends, n * sizeof(*backends));
	for (uint32_t i = 0; i < svc.n_all; i++)
		if (moved[i] != UINT32_MAX && moved[i] >= n)
			svc.backends[moved[i]] = was[i];
	svc.n = n;
	svc.n_all = n + extras;
	slots_free(&svc.table);
	svc.table = next;
	through_the_kernel(&svc.table);
	free(owners);
}

static void end(void)
{
	slots_free(&svc.table);
}

TestSuite(slots, .fini = end);

static uint32_t with_state(void)
{
	uint32_t n = 0;

	for (uint32_t s = 0; s < svc.table.n; s++)
		n += svc.table.slots[s].since != 0;
	return n;
}

/* --- flows -------------------------------------------------------------------------------------------------------- */

#define FLOWS 300

static struct flow {
	uint32_t hash;
	uint32_t backend;	    /* that it opened with; NO_FLOW: it is over */
	uint32_t heard;		    /* its last packet */
	uint32_t known, generation; /* what is kept of it: the backend, 0: nothing */
} flows[FLOWS];

/* The backend of a packet, 0 for none. */
static uint32_t pick(struct flow *f, bool opening)
{
	const struct svc_slot *slot = &svc.table.slots[f->hash % svc.table.n];
	uint16_t base = slot->base, index;

	if (base == SLOT_BY_OLD)
		base = svc.table.old[f->hash % svc.table.n_old];
	if (slot->since && !opening && f->known && (int32_t)(f->generation - slot->since) >= 0)
		return f->known;
	index = opening || base == SLOT_NOBODY ? slot->index : base;
	if (index == SLOT_NOBODY)
		return 0;
	cr_assert(index < svc.n_all, "index %u of %u", index, svc.n_all);
	if (opening)
		cr_assert(index < svc.n, "new flows go to backends of the service");
	if (slot->since) {
		f->known = svc.backends[index];
		f->generation = svc.generation;
	}
	return svc.backends[index];
}

static void packet(struct flow *f)
{
	uint32_t now = pick(f, false);

	cr_assert_eq(now, f->backend, "generation %u: a flow of %u went to %u", svc.generation, f->backend, now);
	f->heard = svc.now;
}

static void open_flow(struct flow *f)
{
	uint32_t to = pick(f, true);

	f->backend = to ? to : NO_FLOW;
	f->heard = svc.now;
}

static bool *held_by_flows(const uint32_t *backends, uint32_t n)
{
	uint32_t slots = slots_for(n), *owners = owners_of(backends, n, slots);
	bool *held = calloc(slots, sizeof(*held));

	for (int i = 0; i < FLOWS; i++) {
		uint32_t owner = owners[flows[i].hash % slots];

		if (flows[i].known && (owner >= n || backends[owner] != flows[i].known))
			held[flows[i].hash % slots] = true;
	}
	free(owners);
	return held;
}

static void change_and_settle(const uint32_t *backends, uint32_t n)
{
	bool *held = slots_are_old(&svc.table, svc.now) ? held_by_flows(backends, n) : NULL;

	change(backends, n, held);
	for (int i = 0; held && i < FLOWS; i++)
		if (!svc.table.slots[flows[i].hash % svc.table.n].since)
			flows[i].known = 0;
	free(held);
}

static uint64_t seed;

static uint32_t dice(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 33) % n;
}

/* Some come, some go, some come back. */
static uint32_t other_backends(uint32_t *backends, uint32_t n, uint32_t most)
{
	uint32_t left = 0, add = dice(3);

	for (uint32_t i = 0; i < n; i++)
		if (dice(8))
			backends[left++] = backends[i];
	for (uint32_t i = 0; i < add && left < most; i++) {
		uint32_t b = 1 + dice(2 * most), k = 0;

		while (k < left && backends[k] != b)
			k++;
		if (k == left)
			backends[left++] = b;
	}
	return left;
}

static void live(uint64_t with, uint32_t most, int steps, uint32_t pause)
{
	uint32_t backends[MOST] = { 1, 2, 3 }, n = 3;

	seed = with;
	start(backends, n);
	for (int i = 0; i < FLOWS; i++) {
		flows[i] = (struct flow){ .hash = dice(UINT32_MAX) };
		open_flow(&flows[i]);
	}
	for (int step = 0; step < steps; step++) {
		uint32_t later = svc.now + dice(pause);

		for (int i = 0; i < FLOWS; i++) {
			struct flow *f = &flows[i];

			if (f->backend == NO_FLOW ? !dice(4) : !dice(20))
				open_flow(f);
			else if (f->backend != NO_FLOW && (!dice(2) || later - f->heard >= SLOTS_LIFE))
				packet(f);
		}
		svc.now = later;
		if (dice(3)) {
			n = other_backends(backends, n, most);
			change_and_settle(backends, n);
		}
	}
	for (int i = 0; i < FLOWS; i++)
		if (flows[i].backend != NO_FLOW)
			packet(&flows[i]);
	end();
}

/* Sizes of tables change at 1, 3 and 30 backends. */
Test(slots, no_flow_changes_its_backend_whatever_changes)
{
	for (uint64_t with = 1; with <= 6; with++) {
		live(with, 6, 60, 2);
		live(with << 8, 6, 60, 2 * HOUR);
		live(with << 16, 12, 60, HOUR);
	}
	live(77, 40, 60, HOUR);
}

/* --- which slots keep state --------------------------------------------------------------------------------------- */

static const uint32_t ten[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 };

Test(slots, the_same_backends_in_another_order_are_no_change)
{
	static const uint32_t turned[] = { 10, 9, 8, 7, 6, 5, 4, 3, 2, 1 };

	start(ten, 10);
	change(turned, 10, NULL);
	cr_assert(slots_are_plain(&svc.table) && svc.n_all == 10);
	cr_assert_eq(slots_stored(&svc.table), svc.table.n);
}

Test(slots, what_comes_and_goes_leaves_state_where_owners_changed)
{
	start(ten, 10);
	change(ten, 11, NULL);
	cr_assert(with_state() > svc.table.n / 15 && with_state() < svc.table.n / 8);
	cr_assert_eq(svc.n_all, 11);
	change(ten, 10, NULL);
	cr_assert(with_state() < svc.table.n / 8);
	cr_assert_eq(svc.n_all, 10, "what has gone was nobody's base");
	change(ten + 1, 9, NULL);
	cr_assert_eq(svc.n_all, 10, "what has gone is a base");
	cr_assert_eq(svc.backends[9], 1);
}

Test(slots, after_the_life_of_a_silent_flow_there_is_one_owner_again)
{
	bool *held;

	start(ten, 10);
	change(ten, 9, NULL);
	svc.now += SLOTS_LIFE - 1;
	cr_assert(!slots_are_old(&svc.table, svc.now));
	svc.now += 1;
	cr_assert(slots_are_old(&svc.table, svc.now));
	held = calloc(svc.table.n, sizeof(*held));
	for (uint32_t s = 0; s < svc.table.n; s++)
		held[s] = s & 1;
	change(ten, 9, held);
	for (uint32_t s = 0; s < svc.table.n; s++)
		cr_assert(!svc.table.slots[s].since || (s & 1), "only where a flow is with another");
	cr_assert(with_state() > 0 && svc.n_all == 9, "but nobody is a base any more");
	memset(held, 0, svc.table.n * sizeof(*held));
	change(ten, 9, held);
	cr_assert(slots_are_plain(&svc.table));
	free(held);
}

/* Flows may open with an owner of this instant after it was looked which flows there are. */
Test(slots, a_slot_that_changes_hands_is_not_settled_at_once)
{
	uint16_t *before;
	bool *held;
	int kept = 0;

	start(ten, 10);
	change(ten, 9, NULL);
	svc.now += SLOTS_LIFE;
	before = calloc(svc.table.n, sizeof(*before));
	held = calloc(svc.table.n, sizeof(*held));
	for (uint32_t s = 0; s < svc.table.n; s++)
		before[s] = svc.table.slots[s].since ? svc.table.slots[s].index : SLOT_NOBODY;
	change(ten, 10, held);
	for (uint32_t s = 0; s < svc.table.n; s++) {
		if (before[s] == SLOT_NOBODY)
			continue;
		cr_assert_eq(svc.table.slots[s].since != 0, before[s] != svc.table.slots[s].index);
		kept += svc.table.slots[s].since != 0;
	}
	cr_assert(kept > 0);
	free(before);
	free(held);
}

Test(slots, another_size_refers_to_the_old_table_for_as_long)
{
	bool *held;

	start(ten, 3);
	change(ten, 4, NULL);
	cr_assert_eq(with_state(), svc.table.n);
	cr_assert_eq(svc.table.n_old, maglev_slots(3));
	svc.now += SLOTS_LIFE / 2;
	change(ten, 3, NULL);
	cr_assert_eq(svc.table.n_old, maglev_slots(3), "the first old table stays");
	svc.now += SLOTS_LIFE - SLOTS_LIFE / 2;
	held = calloc(svc.table.n, sizeof(*held));
	change(ten, 3, held);
	cr_assert(slots_are_plain(&svc.table));
	free(held);
}

Test(slots, the_last_backend_goes_and_its_flows_stay)
{
	struct flow f = { .hash = 4711 };

	start(ten, 1);
	f.backend = pick(&f, true);
	change(ten, 0, NULL);
	cr_assert_eq(pick(&f, false), 1);
	cr_assert_eq(pick(&(struct flow){ .hash = 4711 }, true), 0, "a new one is refused");
	change(ten + 1, 2, NULL);
	cr_assert_eq(pick(&f, false), 1);
	cr_assert(pick(&(struct flow){ .hash = 4711 }, true) > 1);
}

Test(slots, a_table_that_is_lost_keeps_what_is_known)
{
	uint32_t nobody[4093];
	struct flow f = { .hash = 5, .known = 3 };

	start(ten, 3);
	memset(nobody, 0xff, sizeof(nobody));
	slots_free(&svc.table);
	f.generation = svc.generation - 7;
	cr_assert(slots_make(&svc.table, nobody, 4093, SLOT_SINCE_EVER(svc.generation)) == 0);
	change(ten, 3, NULL);
	cr_assert_eq(with_state(), svc.table.n);
	cr_assert_eq(pick(&f, false), 3);
	f.known = 0;
	cr_assert(pick(&f, false) >= 1, "what is not known is the owner's");
}

Test(slots, what_is_stored_wrongly_is_not_believed)
{
	struct svc_slot stored[64] = { 0 };
	struct slots s;

	cr_assert_eq(slots_load(&s, stored, 5, 4), -EBADMSG);
	cr_assert_eq(slots_load(&s, stored, 5, 6), -EBADMSG);
	stored[5 + SLOTS_OLD].since = 4;
	cr_assert_eq(slots_load(&s, stored, 5, 5 + SLOTS_OLD_FIRST + 3), -EBADMSG);
	stored[5 + SLOTS_OLD].since = 1;
	cr_assert_eq(slots_load(&s, stored, 5, 5 + SLOTS_OLD_FIRST + SLOTS_MARKS + 2), -EBADMSG);
	cr_assert_eq(slots_load(&s, stored, 5, 5 + SLOTS_OLD_FIRST + 1), 0);
	slots_free(&s);
}
