/* SPDX-License-Identifier: Apache-2.0 */
/* lib/client: informers against a server that does what the test says. Also under SAN. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api_types.h"
#include "base/str.h"
#include "client/informer.h"
#include "fixture.h"

static struct fix f;
static char trace[8192]; /* "+key=label ", "~key=old>new ", "-key=label " */
static int synced, changes, free_after;

static const char *label(const struct informer_item *it)
{
	return api_map_get(&it->obj->metadata.labels, "l") ?: "";
}

static void changed(struct informer *inf, void *arg, struct informer_item *old, struct informer_item *new)
{
	size_t n = strlen(trace);

	cr_assert_eq(arg, trace);
	changes++;
	if (!old)
		snprintf(trace + n, sizeof(trace) - n, "+%s=%s ", new->key, label(new));
	else if (!new)
		snprintf(trace + n, sizeof(trace) - n, "-%s=%s ", old->key, label(old));
	else
		snprintf(trace + n, sizeof(trace) - n, "~%s=%s>%s ", new->key, label(old), label(new));
	if (free_after && !--free_after)
		informer_free(inf);
}

static void is_synced(struct informer *inf, void *arg)
{
	cr_assert_eq(arg, trace);
	cr_assert(informer_synced(inf));
	synced++;
}

static struct informer *begin(struct informer_config config)
{
	static const struct informer_ops ops = { changed, is_synced };
	struct informer *inf;

	config.kind = &api_kind_pod;
	if (!config.resync_ms)
		config.resync_ms = -1;
	inf = informer_new(f.kube, &config, &ops, trace);
	cr_assert(inf);
	cr_assert_eq(informer_start(inf), 0);
	return inf;
}

static void expect(const char *text)
{
	cr_assert_str_eq(trace, text);
	trace[0] = '\0';
}

static void setup(void)
{
	fix_start(&f);
	fix_put(&f, "n", "a", "1");
	fix_put(&f, "n", "b", "1");
}

static void teardown(void)
{
	fix_stop(&f);
}

TestSuite(informer, .init = setup, .fini = teardown);

Test(informer, lists_then_watches)
{
	struct informer *inf = begin((struct informer_config){ .label_selector = "l in (1,2)", .namespace_ = "n" });
	struct informer_iter it = { 0 };
	struct informer_item *item;
	size_t n = 0;

	cr_assert(!informer_synced(inf));
	fix_wait(&f, f.watch);
	cr_assert_eq(synced, 1);
	expect("+n/a=1 +n/b=1 ");
	cr_assert(str_starts(f.watch_target, "/api/v1/namespaces/n/pods?labelSelector=l%20in%20%281%2C2%29&"), "%s",
		  f.watch_target);
	cr_assert(strstr(f.watch_target, "resourceVersion=102") && strstr(f.watch_target, "allowWatchBookmarks=true"));
	cr_assert(strstr(f.watch_target, "timeoutSeconds="));
	while (informer_next(inf, &it))
		n++;
	cr_assert_eq(n, 2);
	cr_assert_eq(informer_len(inf), 2);

	fix_put(&f, "n", "c", "1");
	fix_event(&f, "ADDED", "n", "c");
	fix_put(&f, "n", "a", "2");
	fix_event(&f, "MODIFIED", "n", "a");
	fix_put(&f, "n", "b", "3");
	fix_event(&f, "DELETED", "n", "b");
	fix_wait(&f, changes == 5);
	expect("+n/c=1 ~n/a=1>2 -n/b=3 ");
	item = informer_get(inf, "n", "a");
	cr_assert(item && item == informer_get_key(inf, "n/a"));
	cr_assert_str_eq(((const struct api_pod *)item->obj)->spec.containers[0].name, "c");
	cr_assert(!item->json);
	cr_assert(!informer_get(inf, "n", "b") && !informer_get(inf, "m", "a"));
	cr_assert_str_eq(informer_resource_version(inf), "105");
	/* What a user holds outlives the cache. */
	informer_item_ref(item);
	informer_free(inf);
	cr_assert_str_eq(item->key, "n/a");
	informer_item_unref(item);
	cr_assert_eq(f.n_lists, 1);
}

Test(informer, iteration_visits_each_item_once)
{
	struct informer *inf = begin((struct informer_config){ 0 });

	fix_wait(&f, f.watch);
	/* Where items lie differs from size to size. */
	for (size_t n = 2; n <= 100; n++) {
		struct strmap *seen = strmap_new();
		char name[16];

		for (struct informer_iter it = { 0 }; informer_next(inf, &it);) {
			cr_assert(!strmap_has(seen, it.item->key), "%s twice of %zu", it.item->key, n);
			strmap_set(seen, it.item->key, it.item, NULL);
		}
		cr_assert_eq(strmap_len(seen), n);
		strmap_free(seen);
		snprintf(name, sizeof(name), "p%zu", n);
		fix_put(&f, "n", name, "1");
		fix_event(&f, "ADDED", "n", name);
		fix_wait(&f, informer_len(inf) == n + 1);
	}
	informer_free(inf);
}

/* "a b ": names of those in the namespace, by name; their number is told besides. */
static const char *names_in(const struct informer *inf, const char *ns)
{
	static char out[200];
	size_t n = 0;

	out[0] = '\0';
	for (char name = 'a'; name <= 'z'; name++)
		for (struct informer_iter it = { 0 }; informer_next_in(inf, ns, &it);)
			if (it.item->obj->metadata.name[0] == name) {
				snprintf(out + strlen(out), sizeof(out) - strlen(out), "%c ", name);
				n++;
			}
	cr_assert_eq(n, informer_len_in(inf, ns));
	return out;
}

Test(informer, those_of_a_namespace)
{
	struct informer *inf;

	fix_put(&f, "m", "c", "1");
	inf = begin((struct informer_config){ 0 });
	fix_wait(&f, f.watch);
	cr_assert_str_eq(names_in(inf, "n"), "a b ");
	cr_assert_str_eq(names_in(inf, "m"), "c ");
	cr_assert_str_eq(names_in(inf, "other"), "");

	fix_put(&f, "n", "a", "2");
	fix_event(&f, "MODIFIED", "n", "a");
	fix_put(&f, "o", "d", "1");
	fix_event(&f, "ADDED", "o", "d");
	fix_event(&f, "DELETED", "m", "c");
	fix_wait(&f, changes == 6);
	cr_assert_str_eq(names_in(inf, "n"), "a b ");
	cr_assert_str_eq(((const struct api_object *)informer_get(inf, "n", "a")->obj)->metadata.resource_version,
			 "104");
	cr_assert_str_eq(names_in(inf, "m"), "");
	cr_assert_str_eq(names_in(inf, "o"), "d ");

	/* Gone, and made again, while nobody watched. */
	fix_del(&f, "m", "c");
	fix_del(&f, "n", "a");
	fix_put(&f, "n", "a", "3");
	fix_del(&f, "n", "b");
	fix_say(&f, "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}}\n");
	fix_wait(&f, changes == 9);
	cr_assert_str_eq(names_in(inf, "n"), "a ");
	cr_assert_str_eq(names_in(inf, "o"), "d ");
	informer_free(inf);
}

Test(informer, list_comes_in_chunks)
{
	struct informer *inf;
	char name[16];

	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "p%d", i);
		fix_put(&f, "n", name, "1");
	}
	f.chunk = 5;
	f.gone_continues = 1; /* the first token expires: from the start, nothing twice */
	inf = begin((struct informer_config){ .keep_json = true });
	fix_wait(&f, f.watch);
	cr_assert_eq(informer_len(inf), 22);
	cr_assert_eq(changes, 22);
	cr_assert_eq(f.n_lists, 2 + 5);
	/* Kept for those who send it back, with what lists leave out. */
	cr_assert_str_eq(api_get_str(informer_get(inf, "n", "a")->json, "kind"), "Pod");
	cr_assert_str_eq(api_get_str(informer_get(inf, "n", "a")->json, "apiVersion"), "v1");
	informer_free(inf);
}

Test(informer, expired_watch_lists_again_and_tells_the_difference)
{
	struct informer *inf = begin((struct informer_config){ 0 });

	fix_wait(&f, f.watch);
	trace[0] = '\0';
	/* While the watch says nothing: b goes, a changes, c comes; d is deleted and made again. */
	fix_put(&f, "n", "d", "1");
	fix_event(&f, "ADDED", "n", "d");
	fix_wait(&f, changes == 3);
	expect("+n/d=1 ");
	fix_del(&f, "n", "b");
	fix_put(&f, "n", "a", "2");
	fix_put(&f, "n", "c", "1");
	fix_del(&f, "n", "d");
	fix_put(&f, "n", "d", "2");
	fix_say(&f, "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}}\n");
	fix_wait(&f, f.n_watches == 2 && f.watch);
	cr_assert_eq(f.n_lists, 2);
	cr_assert_eq(synced, 1);
	cr_assert_eq(changes, 8);
	cr_assert(strstr(trace, "~n/a=1>2 ") && strstr(trace, "+n/c=1 ") && strstr(trace, "-n/b=1 "), "%s", trace);
	cr_assert(strstr(trace, "-n/d=1 +n/d=2 "), "%s", trace);
	informer_free(inf);
}

Test(informer, refused_watch_lists_again)
{
	struct informer *inf;

	f.gone_watches = 2;
	inf = begin((struct informer_config){ 0 });
	fix_wait(&f, f.watch);
	cr_assert_eq(f.n_lists, 3);
	expect("+n/a=1 +n/b=1 ");
	informer_free(inf);
}

Test(informer, comes_back_where_it_was)
{
	struct informer *inf = begin((struct informer_config){ 0 });

	fix_wait(&f, f.watch);
	trace[0] = '\0';
	fix_say(&f,
		"{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Pod\",\"metadata\":{\"resourceVersion\":\"150\"}}}\n");
	fix_wait(&f, streq(informer_resource_version(inf), "150"));
	f.fail_watches = 2;
	http_stream_end(f.watch);
	fix_wait(&f, f.n_watches == 4 && f.watch);
	cr_assert(strstr(f.watch_target, "resourceVersion=150"), "%s", f.watch_target);
	cr_assert_eq(f.n_lists, 1);
	expect("");
	informer_free(inf);
}

Test(informer, first_list_is_tried_again)
{
	struct informer *inf;

	f.fail_lists = 3;
	inf = begin((struct informer_config){ 0 });
	fix_wait(&f, f.watch);
	cr_assert_eq(f.n_lists, 4);
	cr_assert_eq(synced, 1);
	informer_free(inf);
}

/* A server that ends each watch at once, or reports an error in each, is not hammered. */
Test(informer, backs_off_from_watches_that_end_at_once)
{
	static const char *const ends[] = { NULL,
					    "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":500}}\n",
					    "rubbish\n" };

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		struct informer *inf;
		int64_t from;
		int start = f.n_watches;

		inf = begin((struct informer_config){ 0 });
		from = fix_now_ms();
		while (f.n_watches < start + 4) {
			fix_wait(&f, f.watch);
			if (ends[i])
				fix_say(&f, ends[i]);
			http_stream_end(f.watch);
			fix_wait(&f, !f.watch);
		}
		/* At least 50 + 100 + 200 ms between them. */
		cr_assert(fix_now_ms() - from >= 340, "%lld ms", (long long)(fix_now_ms() - from));
		informer_free(inf);
	}
}

Test(informer, steps_over_what_it_cannot_read)
{
	struct informer *inf = begin((struct informer_config){ 0 });
	char *big = malloc((9 << 20) + 1);

	fix_wait(&f, f.watch);
	expect("+n/a=1 +n/b=1 ");
	/* Not of the schema: ignored, the watch goes on. */
	fix_say(&f, "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":5,\"resourceVersion\":\"7\"}}}\n\n");
	fix_put(&f, "n", "a", "2");
	fix_event(&f, "MODIFIED", "n", "a");
	fix_wait(&f, changes == 3);
	expect("~n/a=1>2 ");
	cr_assert_eq(f.n_watches, 1);
	/* Without end: lists again. */
	fix_put(&f, "n", "a", "3");
	memset(big, ' ', 9 << 20);
	big[9 << 20] = '\0';
	fix_say(&f, big);
	fix_wait(&f, f.n_watches == 2 && f.watch);
	cr_assert_eq(f.n_lists, 2);
	expect("~n/a=2>3 ");
	free(big);
	informer_free(inf);
}

Test(informer, large_objects_pass)
{
	struct informer *inf = begin((struct informer_config){ 0 });
	char *big = malloc(3 << 20);

	fix_wait(&f, f.watch);
	memset(big, 'x', 3 << 20);
	big[(3 << 20) - 1] = '\0';
	fix_put(&f, "n", "big", big);
	fix_event(&f, "ADDED", "n", "big");
	fix_wait(&f, changes == 3);
	cr_assert_eq(strlen(label(informer_get(inf, "n", "big"))), (3 << 20) - 1);
	cr_assert_eq(f.n_lists, 1);
	free(big);
	informer_free(inf);
}

Test(informer, resync_delivers_all_again)
{
	struct informer *inf = begin((struct informer_config){ .resync_ms = 20 });

	fix_wait(&f, changes >= 6);
	cr_assert(strstr(trace, "~n/a=1>1 ") && strstr(trace, "~n/b=1>1 "), "%s", trace);
	informer_free(inf);
}

Test(informer, may_be_freed_in_its_callbacks)
{
	for (free_after = 1; free_after < 5;) {
		int after = free_after, before = changes;

		fix_put(&f, "n", "x", "1");
		fix_put(&f, "n", "y", "1");
		begin((struct informer_config){ .resync_ms = 20 });
		fix_wait(&f, !free_after);
		cr_assert_eq(changes - before, after);
		for (int i = 0; i < 5; i++)
			loop_run_once(f.loop, 10);
		cr_assert_eq(changes - before, after);
		free_after = after + 1;
	}
}
