/* SPDX-License-Identifier: Apache-2.0 */
/* lib/base: errors, strings, maps, times. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "base/strmap.h"

Test(err, wraps_with_context)
{
	struct err err = ERR_INIT;

	errno = ENOENT;
	cr_assert_eq(err_set(&err, ENOENT, "open '%s': %m", "/x"), -ENOENT);
	cr_assert_eq(err_wrap(&err, -ENOENT, "state"), -ENOENT);
	cr_assert_str_eq(err.msg, "state: open '/x': No such file or directory");
	cr_assert_eq(err_set(NULL, 0, "x"), -EIO);
}

Test(err, marks_truncation)
{
	struct err err = ERR_INIT;
	char big[3000];

	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	err_set(&err, EIO, "%s", big);
	cr_assert_eq(strlen(err.msg), sizeof(err.msg) - 1);
	cr_assert(str_ends(err.msg, "..."));
}

Test(strmap, random_operations_match_a_plain_array)
{
	struct strmap *m = strmap_new();
	intptr_t model[300] = { 0 };
	size_t n = 0;

	srand(7);
	for (int i = 0; i < 20000; i++) {
		int k = rand() % 300;
		char key[16];

		snprintf(key, sizeof(key), "k%d", k);
		if (rand() % 3) {
			void *old;

			cr_assert_eq(strmap_set(m, key, (void *)(intptr_t)(i + 1), &old), 0);
			cr_assert((intptr_t)old == model[k]);
			model[k] = i + 1;
		} else {
			cr_assert((intptr_t)strmap_del(m, key) == model[k]);
			model[k] = 0;
		}
	}
	for (int k = 0; k < 300; k++) {
		char key[16];

		snprintf(key, sizeof(key), "k%d", k);
		cr_assert((intptr_t)strmap_get(m, key) == model[k]);
		n += model[k] != 0;
	}
	cr_assert_eq(strmap_len(m), n);
	strmap_free(m);
}

Test(strmap, delete_while_iterating_visits_each_key_once)
{
	/* Where keys lie differs from map to map: chains that wrap round the table's end come up in some of them. */
	for (int round = 0; round < 200; round++) {
		struct strmap *m = strmap_new();
		int seen = 0, kept = 0;

		for (int i = 0; i < 1000; i++) {
			char key[16];

			snprintf(key, sizeof(key), "%d-%d", round, i);
			strmap_set(m, key, m, NULL);
		}
		for (struct strmap_iter it = { 0 }; strmap_next(m, &it);) {
			char key[16];

			seen++;
			if (round % 2 && seen % 3 == 0) {
				kept++;
				continue;
			}
			snprintf(key, sizeof(key), "%s", it.key);
			cr_assert(strmap_del(m, key) == m);
		}
		cr_assert_eq(seen, 1000, "round %d: %d", round, seen);
		cr_assert_eq(strmap_len(m), (size_t)kept);
		strmap_free(m);
	}
}

Test(clock, rfc3339)
{
	static const struct {
		const char *text;
		int64_t ms;
	} cases[] = {
		{ "1970-01-01T00:00:00Z", 0 },
		{ "2026-11-23T00:36:00.123456Z", 1795394160123 },
		{ "2026-11-23T01:36:00+01:00", 1795394160000 },
	};
	static const char *const bad[] = { "",
					   "2026-11-23",
					   "2026-11-23T00:36:00",
					   "2026-11-23T00:36:00.Z",
					   "2026-11-23T00:36:00Zx",
					   "2026-11-23T00:36:00+1:00" };
	char buf[CLOCK_RFC3339_SIZE];
	int64_t ms;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_assert_eq(clock_rfc3339_parse(cases[i].text, &ms), 0);
		cr_assert_eq(ms, cases[i].ms, "%s", cases[i].text);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(clock_rfc3339_parse(bad[i], &ms), -EINVAL, "%s", bad[i]);
	cr_assert_str_eq(clock_rfc3339_ms(1795394160007, buf), "2026-11-23T00:36:00.007Z");
}

Test(strbuf, json_strings)
{
	struct strbuf sb = STRBUF_INIT;

	strbuf_add_json(&sb, "a\"\\\n\x01\xc3\xa9\xff\xed\xa0\x80");
	cr_assert_str_eq(sb.buf, "\"a\\\"\\\\\\n\\u0001\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
	strbuf_done(&sb);
}

Test(str, base64_round_trip_and_rejection)
{
	for (size_t n = 0; n < 40; n++) {
		unsigned char in[40], *out;
		size_t len;
		char *text;

		for (size_t i = 0; i < n; i++)
			in[i] = (unsigned char)(i * 37 + n);
		text = str_base64(in, n);
		out = str_unbase64(text, &len);
		cr_assert(out && len == n && !memcmp(in, out, n));
		free(text);
		free(out);
	}
	cr_assert(!str_unbase64("abc", NULL));
	cr_assert(!str_unbase64("ab=c", NULL));
	cr_assert(!str_unbase64("ab*=", NULL));
	cr_assert(!str_unbase64("ab==abcd", NULL));
}

Test(str, port_ranges)
{
	static const char *const bad[] = { "",	 "0",	"0-5",	 "5-4",	     "1-65536",	    "30000-",
					   "-5", "a-b", "1-2-3", "000001-5", "30000 -32767" };
	uint16_t first = 0, last = 0;

	cr_assert(str_to_port_range("30000-32767", &first, &last) == 0 && first == 30000 && last == 32767);
	cr_assert(str_to_port_range("80", &first, &last) == 0 && first == 80 && last == 80);
	cr_assert(str_to_port_range("1-65535", &first, &last) == 0 && first == 1 && last == 65535);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert(str_to_port_range(bad[i], &first, &last) == -EINVAL, "%s", bad[i]);
}

Test(str, durations)
{
	int64_t ms;

	cr_assert(!str_to_duration_ms("1h2m3.5s", &ms) && ms == 3723500);
	cr_assert(!str_to_duration_ms("300ms", &ms) && ms == 300);
	cr_assert_eq(str_to_duration_ms("10", &ms), -EINVAL);
	cr_assert_eq(str_to_duration_ms("", &ms), -EINVAL);
	cr_assert_eq(str_to_duration_ms("-1s", &ms), -EINVAL);
}

Test(arena, the_same_allocations_fit_into_what_was_used)
{
	struct arena a = ARENA_INIT, b = ARENA_INIT;
	struct arena *both[] = { &a, &b };
	char text[200];
	size_t used = 0;

	memset(text, 'x', sizeof(text));
	for (size_t k = 0; k < 2; k++) {
		if (k)
			cr_assert_eq(arena_reserve(&b, used), 0);
		for (size_t i = 0; i < 300; i++) {
			char *s = arena_strndup(both[k], text, i % 190);
			void *p = arena_alloc(both[k], i % 70 + 1);

			cr_assert(s && strlen(s) == i % 190);
			cr_assert_eq((uintptr_t)p % 16, 0);
			cr_assert(!memcmp(p, (char[71]){ 0 }, i % 70 + 1));
			memset(p, 0xff, i % 70 + 1);
		}
		used = arena_used(both[k]);
	}
	cr_assert_leq(arena_used(&b), used);
	cr_assert_lt(arena_size(&b), used + 100, "one block");
	cr_assert_eq(arena_reserve(&b, 10), -ENOMEM, "only of an empty one");

	arena_reset(&a);
	cr_assert_eq(arena_used(&a), 0);
	cr_assert(!memcmp(arena_alloc(&a, 300), (char[300]){ 0 }, 300), "zeroed again");
	arena_done(&a);
	arena_done(&b);
}
