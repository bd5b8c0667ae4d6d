/* SPDX-License-Identifier: Apache-2.0 */
/* The checker of histories: a good one passes, and each way to spoil it is found out by its name. */
#include <criterion/criterion.h>
#include <string.h>

#include "history.h"

static struct h_write writes[7];
static struct h_event events[4][8];
static struct h_stream streams[4];
static struct h_object items[4][4];
static struct h_list lists[5];
static struct history h;

static struct h_object object(const char *key, const char *value, char label, int64_t rv)
{
	struct h_object o = { .label = label, .rv = rv };

	strcpy(o.key, key);
	strcpy(o.value, value);
	return o;
}

/*
 * x: created 10 (a), updated 11 (b), patched 14 (a), deleted 15; y: created 12 (b), an update of unknown outcome 13
 * (b), one refused.
 */
static void good(void)
{
	const struct h_object x10 = object("n/x", "v1", 'a', 10), x11 = object("n/x", "v2", 'b', 11);
	const struct h_object y12 = object("m/y", "v3", 'b', 12), y13 = object("m/y", "v4", 'b', 13);
	const struct h_object x14 = object("n/x", "v5", 'a', 14), x15 = object("n/x", "v5", 'a', 15);
	const struct h_event all[] = { { H_ADDED, x10 },    { H_MODIFIED, x11 }, { H_ADDED, y12 },
				       { H_MODIFIED, y13 }, { H_MODIFIED, x14 }, { H_DELETED, x15 } };

	writes[0] = (struct h_write){ H_CREATE, H_OK, x10, 0, 1, 2 };
	writes[1] = (struct h_write){ H_UPDATE, H_OK, x11, 10, 3, 4 };
	writes[2] = (struct h_write){ H_CREATE, H_OK, y12, 0, 5, 9 };
	writes[3] = (struct h_write){ H_UPDATE, H_UNKNOWN, object("m/y", "v4", 'b', 0), 12, 10, 0 };
	writes[4] = (struct h_write){ H_PATCH, H_OK, x14, 0, 11, 14 };
	writes[5] = (struct h_write){ H_UPDATE, H_REFUSED, object("m/y", "v6", 'a', 0), 12, 12, 13 };
	writes[6] = (struct h_write){ H_DELETE, H_OK, object("n/x", "", 0, 0), 0, 15, 16 };
	memcpy(events[0], all, sizeof(all));
	streams[0] = (struct h_stream){ { 0 }, 9, 15, events[0], 6 };
	memcpy(events[1], &all[2], 4 * sizeof(all[0]));
	streams[1] = (struct h_stream){ { 0 }, 11, 15, events[1], 4 };
	/* label a: x appears, leaves at 11, comes back, goes */
	events[2][0] = all[0];
	events[2][1] = (struct h_event){ H_DELETED, x11 };
	events[2][2] = (struct h_event){ H_ADDED, x14 };
	events[2][3] = all[5];
	streams[2] = (struct h_stream){ { .label = 'a' }, 9, 15, events[2], 4 };
	memcpy(events[3], &all[2], 2 * sizeof(all[0]));
	streams[3] = (struct h_stream){ { .ns = "m" }, 9, 15, events[3], 2 };
	items[0][0] = x11;
	items[0][1] = y12;
	lists[0] = (struct h_list){ .rv = 12, .invoked = 6, .returned = 8, .items = items[0], .n = 2 };
	items[1][0] = y13;
	lists[1] = (struct h_list){ .scope = { .ns = "m" },
				    .rv = 14,
				    .at_least = 13,
				    .invoked = 17,
				    .returned = 18,
				    .items = items[1],
				    .n = 1 };
	items[2][0] = x11;
	lists[2] = (struct h_list){
		.rv = 11, .at_least = 11, .exact = true, .invoked = 19, .returned = 20, .items = items[2], .n = 1
	};
	items[3][0] = x14;
	lists[3] = (struct h_list){ .one = true,
				    .scope = { .ns = "n", .name = "x" },
				    .invoked = 14,
				    .returned = 15,
				    .items = items[3],
				    .n = 1 };
	lists[4] = (struct h_list){ .rv = 9, .any = true, .invoked = 21, .returned = 22 };
	h = (struct history){ writes, 7, streams, 4, lists, 5, 15 };
}

static void twice(void)
{
	events[1][4] = events[1][3];
	streams[1].n = 5;
}
static void swapped(void)
{
	struct h_event e = events[1][0];

	events[1][0] = events[1][1];
	events[1][1] = e;
}
static void dropped(void)
{
	memmove(&events[1][1], &events[1][2], 2 * sizeof(events[1][0]));
	streams[1].n = 3;
}
static void dropped_last(void)
{
	streams[1].n = 3;
}
static void invented(void)
{
	streams[3].events[2] = (struct h_event){ H_MODIFIED, object("m/y", "v4", 'b', 15) };
	streams[3].n = 3;
}
static void wrong_type(void)
{
	events[2][2].type = H_MODIFIED;
}
static void stale_value(void)
{
	strcpy(events[1][2].obj.value, "v2");
}
static void stream_ends(void)
{
	streams[3].to = 14;
}
static void lost_update(void)
{
	writes[4].kind = H_UPDATE;
	writes[4].base = 10;
}
static void lost_write(void)
{
	writes[3].outcome = H_OK;
	writes[3].obj = object("m/z", "v9", 'a', 13);
	memmove(&events[0][3], &events[0][4], 2 * sizeof(events[0][0]));
	streams[0].n = 5;
}
static void refused_yet_done(void)
{
	writes[3].outcome = H_REFUSED;
}
static void other_revision(void)
{
	writes[1].obj.rv = 13;
}
static void nobodys(void)
{
	strcpy(events[0][4].obj.value, "v7");
}
static void created_twice(void)
{
	events[0][1].type = H_ADDED;
}
static void back_in_time(void)
{
	writes[4].returned = 2;
	writes[4].invoked = 1;
}
static void not_deleted(void)
{
	streams[0].n = 5;
}
static void deleted_by_nobody(void)
{
	writes[6].outcome = H_REFUSED;
}
static void list_is_old(void)
{
	lists[0].rv = 11;
	lists[0].n = 1;
	lists[0].invoked = 10;
}
static void list_is_mixed(void)
{
	items[0][0] = object("n/x", "v1", 'a', 10);
}
static void list_lacks(void)
{
	lists[0].n = 1;
}
static void list_too_old(void)
{
	lists[1].at_least = 15;
}
static void list_not_exact(void)
{
	lists[2].at_least = 10;
}
static void get_is_old(void)
{
	items[3][0] = object("n/x", "v2", 'b', 11);
	lists[3].invoked = 15;
}
static void get_never_was(void)
{
	items[3][0].rv = 99;
}

Test(history, a_good_one_passes_and_bad_ones_do_not)
{
	static const struct {
		void (*spoil)(void);
		const char *says;
	} cases[] = {
		{ twice, "out of order" },
		{ swapped, "out of order" },
		{ dropped, "stream 1: revision 13 (m/y) is missing" },
		{ dropped_last, "stream 1: revision 15 (n/x) is missing" },
		{ invented, "stream 3: revision 15 (m/y) never was" },
		{ wrong_type, "stream 2: revision 14 (n/x) is told as another event" },
		{ stale_value, "shows v2, not v5" },
		{ stream_ends, "stream 3 ended at 14" },
		{ lost_update, "lost update: n/x=v5 was made for revision 10 and replaced 11" },
		{ lost_write, "lost write: m/z=v9" },
		{ refused_yet_done, "m/y=v4 was refused" },
		{ other_revision, "was answered revision 13 and has 11" },
		{ nobodys, "nobody wrote n/x=v7" },
		{ created_twice, "creates n/x, which is there" },
		{ back_in_time, "was begun after revision 14 was answered" },
		{ not_deleted, "deleted 0 times, 1 to 1" },
		{ deleted_by_nobody, "deleted 1 times, 0 to 0" },
		{ list_is_old, "list 0: revision 11, when 12 had been answered" },
		{ list_is_mixed, "list 0: n/x was not so at revision 12" },
		{ list_lacks, "list 0: 1 objects at revision 12, not 2" },
		{ list_too_old, "list 1: asked for revision 15, got 14" },
		{ list_not_exact, "list 2: asked for revision 10, got 11" },
		{ get_is_old, "get 3: n/x of revision 11 was outdated at 14" },
		{ get_never_was, "get 3: revision 99 never was" },
	};
	char why[512];

	good();
	cr_assert(history_check(&h, why), "%s", why);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		good();
		cases[i].spoil();
		cr_assert(!history_check(&h, why), "case %zu: %s", i, cases[i].says);
		cr_assert(strstr(why, cases[i].says), "case %zu: '%s', not '%s'", i, why, cases[i].says);
	}
}
