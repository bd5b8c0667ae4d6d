/* SPDX-License-Identifier: Apache-2.0 */
/* Fair queueing without a server: a simulated clock, requests that take what the test says. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "../../../userspace/control/apiserver/fairqueue.h"

#define MS 1000000

static const struct fq_level_config two[] = {
	{ .name = "low", .queues_up = true, .shares = 10, .borrow_pct = -1, .queues = 64, .hand = 6, .queue_len = 50 },
	{ .name = "high", .queues_up = true, .shares = 30, .borrow_pct = -1, .queues = 64, .hand = 6, .queue_len = 50 },
};

static struct fq *make(const struct fq_level_config *levels, size_t n, unsigned seats)
{
	struct fq *fq = fq_new();

	cr_assert(fq && fq_configure(fq, levels, n, seats) == 0);
	return fq;
}

static struct fq_level_stat stat_of(struct fq *fq, const char *name)
{
	struct fq_level_stat st;

	for (size_t i = 0; fq_stat(fq, i, &st); i++)
		if (!strcmp(st.name, name))
			return st;
	cr_assert(false, "no level %s", name);
	return st;
}

Test(fairqueue, hands_are_distinct_and_differ_between_flows)
{
	unsigned a[8], b[8], same = 0;
	uint64_t h = 88172645463325252u;

	for (int i = 0; i < 2000; i++) {
		h ^= h << 13, h ^= h >> 7, h ^= h << 17;
		fq_deal(h, 128, 8, a);
		for (int j = 0; j < 8; j++)
			cr_assert(a[j] < 128 && (!j || a[j] > a[j - 1]));
		fq_deal(h * 31 + 7, 128, 8, b);
		same += !memcmp(a, b, sizeof(a));
	}
	cr_assert(same == 0);
	fq_deal(h, 8, 8, a); /* the whole deck */
	for (unsigned j = 0; j < 8; j++)
		cr_assert(a[j] == j);
	fq_deal(h, 1, 1, a);
	cr_assert(a[0] == 0);
}

Test(fairqueue, seats_follow_the_shares)
{
	struct fq_level_config c[] = {
		{ .name = "exempt", .exempt = true, .borrow_pct = -1 },
		{ .name = "a",
		  .queues_up = true,
		  .shares = 30,
		  .lendable_pct = 50,
		  .borrow_pct = 20,
		  .queues = 4,
		  .hand = 2 },
		{ .name = "b", .queues_up = true, .shares = 70, .borrow_pct = -1, .queues = 4, .hand = 2 },
	};
	struct fq *fq = make(c, 3, 101);
	struct fq_level_stat a = stat_of(fq, "a"), b = stat_of(fq, "b");

	cr_assert(a.nominal == 31 && a.min == 15 && a.max == 37); /* ceil(30.3), less 16 lent, 6 borrowed */
	cr_assert(b.nominal == 71 && b.min == 71 && b.max == 71 + 101);
	cr_assert(stat_of(fq, "exempt").exempt);
	fq_free(fq);
}

Test(fairqueue, a_flooding_flow_does_not_hold_up_another)
{
	struct fq *fq = make(two, 2, 4);
	struct fq_req flood[400] = { 0 }, other = { 0 }, *r;
	struct fq_level *low = fq_level(fq, "low");
	int64_t now = 0;
	int full = 0, before = 0;

	for (int i = 0; i < 400; i++)
		full += fq_enter(fq, low, 12345, 1, now, &flood[i]) == FQ_FULL;
	cr_assert(full == 400 - 6 * 50, "its hand holds what its queues hold: %d", full);
	/* it has had its turns already when the other one comes */
	for (int i = 0; i < 20; i++) {
		r = fq_next(fq, now);
		cr_assert(r);
		now += 5 * MS;
		fq_leave(fq, r, now);
	}
	cr_assert(fq_enter(fq, low, 999, 1, now, &other) == FQ_WAIT);
	while ((r = fq_next(fq, now)) != &other) {
		cr_assert(r);
		now += 5 * MS;
		fq_leave(fq, r, now);
		before++;
	}
	cr_assert(before <= 6, "%d requests of the flood went first", before);
	fq_leave(fq, &other, now);
	for (int i = 0; i < 400; i++)
		fq_leave(fq, &flood[i], now);
	cr_assert(fq_waiting(fq) == 0 && !fq_next(fq, now));
	fq_free(fq);
}

Test(fairqueue, equal_flows_get_equal_time_though_one_asks_for_longer)
{
	struct fq *fq = make(two, 2, 1);
	struct fq_req reqs[2][40] = { 0 }, *r;
	int64_t now = 0, used[2] = { 0 };
	uint64_t flows[2] = { 1, 2 };
	unsigned hand[2][6], i = 0;

	/* flows without a queue in common, as most are */
	fq_deal(flows[0], 64, 6, hand[0]);
	while (i < 36) {
		fq_deal(flows[1] += 0x9e3779b97f4a7c15u, 64, 6, hand[1]);
		for (i = 0; i < 36 && hand[0][i % 6] != hand[1][i / 6]; i++)
			;
	}
	for (i = 0; i < 40; i++)
		for (int f = 0; f < 2; f++)
			cr_assert(fq_enter(fq, fq_level(fq, "low"), flows[f], 1, now, &reqs[f][i]) == FQ_WAIT);
	/* flow 0 takes 20 ms each, flow 1 takes 2 ms: until flow 1 is through, neither may lead by more than a bit */
	while (used[1] < 80 * MS && (r = fq_next(fq, now))) {
		int f = r >= reqs[1];
		int64_t ns = f ? 2 * MS : 20 * MS;

		now += ns;
		used[f] += ns;
		fq_leave(fq, r, now);
	}
	/* its requests are in six queues, the other's in six: each queue leads by one request at most */
	cr_assert(used[1] >= 78 * MS && used[0] <= 80 * MS + 7 * 20 * MS, "%lld %lld", (long long)used[0],
		  (long long)used[1]);
	for (i = 0; i < 40; i++)
		for (int f = 0; f < 2; f++)
			fq_leave(fq, &reqs[f][i], now);
	fq_free(fq);
}

Test(fairqueue, levels_share_the_thread_by_their_shares)
{
	struct fq *fq = make(two, 2, 4);
	struct fq_req reqs[2][300] = { 0 }, *r;
	int64_t now = 0;
	int ran[2] = { 0 };

	for (unsigned i = 0; i < 300; i++) {
		cr_assert(fq_enter(fq, fq_level(fq, "low"), i * 7919, 1, now, &reqs[0][i]) == FQ_WAIT);
		cr_assert(fq_enter(fq, fq_level(fq, "high"), i * 7919, 1, now, &reqs[1][i]) == FQ_WAIT);
	}
	for (int i = 0; i < 200; i++) { /* one at a time, as the one thread runs them */
		r = fq_next(fq, now);
		cr_assert(r);
		now += MS;
		fq_leave(fq, r, now);
		fq_charge(fq, r, MS);
		ran[r->level == fq_level(fq, "high")]++;
	}
	cr_assert(ran[1] >= 148 && ran[1] <= 152, "3:1, not %d:%d", ran[1], ran[0]);
	for (unsigned i = 0; i < 300; i++) {
		fq_leave(fq, &reqs[0][i], now);
		fq_leave(fq, &reqs[1][i], now);
	}
	fq_free(fq);
}

Test(fairqueue, an_idle_level_does_not_save_up_time)
{
	struct fq *fq = make(two, 2, 4);
	struct fq_req a = { 0 }, b[200] = { 0 }, *r;
	int64_t now = 0;
	int high = 0;

	for (int i = 0; i < 1000; i++) { /* low alone for a second */
		cr_assert(fq_enter(fq, fq_level(fq, "low"), 1, 1, now, &a) == FQ_WAIT);
		cr_assert(fq_next(fq, now) == &a);
		now += MS;
		fq_leave(fq, &a, now);
		fq_charge(fq, &a, MS);
	}
	for (unsigned i = 0; i < 200; i++)
		fq_enter(fq, fq_level(fq, i & 1 ? "high" : "low"), i * 7919, 1, now, &b[i]);
	for (int i = 0; i < 40; i++) {
		r = fq_next(fq, now);
		now += MS;
		fq_leave(fq, r, now);
		fq_charge(fq, r, MS);
		high += r->level == fq_level(fq, "high");
	}
	cr_assert(high >= 28 && high <= 32, "%d of 40", high);
	for (unsigned i = 0; i < 200; i++)
		fq_leave(fq, &b[i], now);
	fq_free(fq);
}

Test(fairqueue, what_a_level_does_not_lend_is_there_at_once)
{
	struct fq_level_config c[] = {
		{ .name = "node",
		  .queues_up = true,
		  .shares = 50,
		  .lendable_pct = 50,
		  .borrow_pct = -1,
		  .queues = 8,
		  .hand = 2,
		  .queue_len = 100 },
		{ .name = "rest",
		  .queues_up = true,
		  .shares = 50,
		  .lendable_pct = 100,
		  .borrow_pct = -1,
		  .queues = 8,
		  .hand = 2,
		  .queue_len = 100 },
	};
	struct fq *fq = make(c, 2, 20);
	struct fq_req rest[40] = { 0 }, node[8] = { 0 }, *r;
	int n = 0;

	for (unsigned i = 0; i < 40; i++)
		cr_assert(fq_enter(fq, fq_level(fq, "rest"), i, 1, 0, &rest[i]) == FQ_WAIT);
	while ((r = fq_next(fq, 0)))
		n++;
	cr_assert(n == 15, "20 seats less the 5 that node keeps: %d", n);
	for (unsigned i = 0; i < 8; i++)
		cr_assert(fq_enter(fq, fq_level(fq, "node"), i, 1, 0, &node[i]) == FQ_WAIT);
	for (n = 0; (r = fq_next(fq, 0)); n++)
		cr_assert(r->level == fq_level(fq, "node"));
	cr_assert(n == 5);
	/* a seat that comes back goes to the level that is below its own ones */
	for (n = 0; rest[n].state != FQ_RUNNING; n++)
		;
	fq_leave(fq, &rest[n], 0);
	r = fq_next(fq, 0);
	cr_assert(r && r->level == fq_level(fq, "node"));
	for (unsigned i = 0; i < 40; i++)
		fq_leave(fq, &rest[i], 0);
	for (unsigned i = 0; i < 8; i++)
		fq_leave(fq, &node[i], 0);
	cr_assert(stat_of(fq, "rest").in_use == 0 && stat_of(fq, "node").in_use == 0);
	fq_free(fq);
}

Test(fairqueue, wide_requests_run_and_are_not_overtaken_for_ever)
{
	struct fq_level_config c = {
		.name = "l", .queues_up = true, .shares = 1, .borrow_pct = 0, .queues = 1, .hand = 1, .queue_len = 10
	};
	struct fq *fq = make(&c, 1, 4);
	struct fq_req narrow[3] = { 0 }, wide = { 0 };

	cr_assert(fq_enter(fq, fq_level(fq, "l"), 0, 1, 0, &narrow[0]) == FQ_WAIT && fq_next(fq, 0) == &narrow[0]);
	cr_assert(fq_enter(fq, fq_level(fq, "l"), 0, 10, 0, &wide) == FQ_WAIT && wide.width == 4);
	cr_assert(fq_enter(fq, fq_level(fq, "l"), 0, 1, 0, &narrow[1]) == FQ_WAIT);
	cr_assert(!fq_next(fq, 0), "the wide one is first and waits for the seats");
	fq_leave(fq, &narrow[0], 1);
	cr_assert(fq_next(fq, 1) == &wide && !fq_next(fq, 1));
	fq_leave(fq, &wide, 2);
	cr_assert(fq_next(fq, 2) == &narrow[1]);
	fq_leave(fq, &narrow[1], 3);
	fq_free(fq);
}

Test(fairqueue, levels_that_do_not_queue_refuse_and_jails_hold)
{
	struct fq_level_config c[] = {
		{ .name = "reject", .shares = 2, .borrow_pct = 0 },
		{ .name = "jail",
		  .queues_up = true,
		  .shares = 0,
		  .borrow_pct = -1,
		  .queues = 1,
		  .hand = 1,
		  .queue_len = 2 },
		{ .name = "exempt", .exempt = true, .borrow_pct = -1 },
	};
	struct fq *fq = make(c, 3, 2);
	struct fq_req r[8] = { 0 };

	cr_assert(fq_enter(fq, fq_level(fq, "reject"), 0, 1, 0, &r[0]) == FQ_WAIT && fq_next(fq, 0) == &r[0]);
	cr_assert(fq_enter(fq, fq_level(fq, "reject"), 0, 1, 0, &r[1]) == FQ_WAIT);
	cr_assert(fq_enter(fq, fq_level(fq, "reject"), 0, 1, 0, &r[2]) == FQ_LIMIT);
	cr_assert(fq_next(fq, 0) == &r[1]);
	cr_assert(fq_enter(fq, fq_level(fq, "exempt"), 0, 50, 0, &r[3]) == FQ_RUN);
	cr_assert(fq_enter(fq, fq_level(fq, "jail"), 0, 1, 0, &r[4]) == FQ_WAIT);
	cr_assert(fq_enter(fq, fq_level(fq, "jail"), 0, 1, 0, &r[5]) == FQ_WAIT);
	cr_assert(fq_enter(fq, fq_level(fq, "jail"), 0, 1, 0, &r[6]) == FQ_FULL);
	cr_assert(!fq_next(fq, 0));
	for (int i = 0; i < 8; i++)
		fq_leave(fq, &r[i], 1);
	cr_assert(!fq_next(fq, 1) && fq_waiting(fq) == 0);
	fq_free(fq);
}

Test(fairqueue, a_changed_configuration_loses_nobody)
{
	struct fq *fq = make(two, 2, 4);
	struct fq_level_config only = two[1];
	struct fq_req r[6] = { 0 }, *n;
	int ran = 0;

	for (unsigned i = 0; i < 6; i++)
		cr_assert(fq_enter(fq, fq_level(fq, "low"), i * 7919, 1, 0, &r[i]) == FQ_WAIT);
	n = fq_next(fq, 0);
	only.queues = 2;
	only.hand = 1;
	cr_assert(fq_configure(fq, &only, 1, 4) == 0);
	cr_assert(!fq_level(fq, "low") && fq_level(fq, "high"));
	do {
		fq_leave(fq, n, 1);
		ran++;
	} while ((n = fq_next(fq, 1)));
	cr_assert(ran == 6);
	cr_assert(fq_configure(fq, &only, 1, 4) == 0);
	cr_assert(stat_of(fq, "high").nominal == 4);
	fq_free(fq);
}
