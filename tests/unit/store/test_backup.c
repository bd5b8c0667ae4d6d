/* SPDX-License-Identifier: Apache-2.0 */
/* Backups between all kinds of places: content, revisions that jump, watchers that are told, and what is refused. */
#include "fixture.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"

#include "../../../userspace/control/store/backup.h"

static struct backup_place file_in(const char *dir)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/backup", dir);
	return (struct backup_place){ .kind = BACKUP_FILE, .where = path };
}

static struct backup_place place_of(struct fixture *f)
{
	if (f->is_etcd)
		return (struct backup_place){ .kind = BACKUP_ETCD, .where = f->etcd.url, .prefix = "/skep" };
	return (struct backup_place){ .kind = BACKUP_SQLITE, .where = f->dir };
}

static struct backup_result copied(const struct backup_place *from, const struct backup_place *to, bool force)
{
	struct backup_options o = { .force = force };
	struct backup_result res = { 0 };
	struct err err = ERR_INIT;

	cr_assert_eq(backup_copy(from, to, &o, &res, &err), 0, "%s", err.msg);
	return res;
}

static void refused(const struct backup_place *from, const struct backup_place *to, bool alone, int r, const char *why)
{
	struct backup_options o = { .alone = alone };
	struct backup_result res;
	struct err err = ERR_INIT;

	cr_assert_eq(backup_copy(from, to, &o, &res, &err), r, "%s", err.msg);
	cr_assert(strstr(err.msg, why), "%s", err.msg);
}

/* 700 keys are two of etcd's pages; some were changed, one was removed. */
static int64_t fill(struct fixture *f)
{
	char key[32], value[64];
	int64_t rev = 0;
	struct t_result t;

	for (int i = 0; i < 700; i++) {
		snprintf(key, sizeof(key), "/core/things/%03d", i);
		snprintf(value, sizeof(value), "value %d\n", i);
		t = t_put(f, key, 0, value);
		cr_assert(t.succeeded);
		rev = t.rev;
	}
	rev = t_put(f, "/core/things/000", t_get(f, "/core/things/000", "", 0, 0, false)->kvs[0].mod_rev, "changed")
		      .rev;
	rev = t_put(f, "/core/things/700", 0, "").rev;
	cr_assert(t_put(f, "/core/things/701", 0, "x").succeeded);
	rev = t_del(f, "/core/things/701", rev + 1).rev;
	cr_assert(t_put(f, "/-/compact", 0, "1").succeeded);
	return rev + 1;
}

/* What was there is there, further on; what was before is compacted, to readers and to watchers. */
static void check(struct fixture *f, int64_t old, const struct backup_result *res)
{
	struct t_watch w = { 0 }, now = { 0 };
	const struct t_range *g;
	struct t_result t;

	cr_assert_eq(res->keys, 701);
	cr_assert_eq(res->from_rev, old);
	cr_assert(res->to_rev >= old + BACKUP_REVISION_BUMP);
	g = t_get(f, "/core/things/", "/core/things0", 0, 300, false);
	cr_assert(g->r == 0 && g->count == 701 && g->rev >= res->to_rev, "%s", g->error);
	cr_assert_str_eq(g->kvs[0].value, "changed");
	cr_assert_str_eq(g->kvs[299].value, "value 299\n");
	cr_assert(g->kvs[0].mod_rev > old + BACKUP_REVISION_BUMP && g->kvs[0].create_rev == g->kvs[0].mod_rev);
	cr_assert_eq(t_get(f, "/core/things/700", "", 0, 0, false)->n, 1);
	cr_assert_eq(t_get(f, "/core/things/701", "", 0, 0, false)->n, 0);
	cr_assert_eq(t_get(f, "/core/things/000", "", old, 0, false)->r, -ESTALE);
	t_watch(f, &w, "/core/", old);
	while (!w.r)
		fx_turn(f);
	cr_assert_eq(w.r, -ESTALE);
	t_unwatch(f, &w);
	/* a write with a revision of before fails its comparison, one with today's works and is watched */
	t_watch(f, &now, "/core/", 0);
	t = t_put(f, "/core/things/000", old, "no");
	cr_assert(t.r == 0 && !t.succeeded && t.has_current);
	t = t_put(f, "/core/things/000", t.current.mod_rev, "yes");
	cr_assert(t.succeeded && t.rev > res->to_rev);
	t_wait_events(f, &now, 1);
	cr_assert_eq(now.last_rev, t.rev);
	t_unwatch(f, &now);
}

static void round_trip(bool from_etcd, bool to_etcd)
{
	struct fixture a, b;
	struct backup_place file, from, to;
	struct backup_result res;
	struct err err = ERR_INIT;
	char dir[] = "/tmp/skep-backup-XXXXXX";
	int64_t old;

	cr_assert(mkdtemp(dir));
	fx_start(&a, from_etcd);
	old = fill(&a);
	file = file_in(dir);
	from = place_of(&a);
	res = copied(&from, &file, false); /* while it is open */
	cr_assert(res.keys == 701 && !res.to_rev);
	cr_assert_eq(backup_verify(file.where, &res, &err), 0, "%s", err.msg);
	cr_assert(res.keys == 701 && res.from_rev == old);
	refused(&from, &file, false, -EEXIST, "--force");
	copied(&from, &file, true);
	fx_stop(&a);

	fx_start(&b, to_etcd);
	cr_assert(t_put(&b, "/core/things/old", 0, "x").succeeded);
	to = place_of(&b);
	if (!to_etcd)
		refused(&file, &to, false, -EBUSY, "in use by another process");
	fx_close(&b);
	refused(&file, &to, false, -EEXIST, "--force");
	res = copied(&file, &to, true);
	fx_open(&b);
	check(&b, old, &res);
	fx_close(&b);
	/* once more on what is restored: revisions never come back */
	old = copied(&file, &to, true).to_rev;
	cr_assert(old > res.to_rev + BACKUP_REVISION_BUMP);
	fx_open(&b);
	cr_assert_eq(t_get(&b, "/core/things/", "/core/things0", 0, 1, true)->count, 701);
	fx_stop(&b);
	dir_remove(dir, NULL);
}

Test(backup, from_sqlite_to_sqlite, .timeout = 180)
{
	round_trip(false, false);
}

Test(backup, from_sqlite_to_etcd, .timeout = 180)
{
	round_trip(false, true);
}

Test(backup, from_etcd_to_etcd, .timeout = 180)
{
	round_trip(true, true);
}

Test(backup, from_etcd_to_sqlite, .timeout = 180)
{
	round_trip(true, false);
}

Test(backup, migration_takes_the_embedded_store_as_it_is, .timeout = 180)
{
	struct fixture a, b;
	struct backup_place from, to;
	struct backup_options alone = { .alone = true };
	struct backup_result res;
	struct err err = ERR_INIT;
	int64_t old;

	fx_start(&a, false);
	fx_start(&b, true);
	old = fill(&a);
	from = place_of(&a);
	to = place_of(&b);
	fx_close(&b);
	refused(&from, &to, true, -EBUSY, "in use by another process");
	fx_close(&a);
	cr_assert_eq(backup_copy(&from, &to, &alone, &res, &err), 0, "%s", err.msg);
	fx_open(&b);
	check(&b, old, &res);
	fx_open(&a); /* the source is what it was */
	cr_assert_eq(t_get(&a, "/core/things/", "/core/things0", 0, 1, true)->count, 701);
	fx_stop(&a);
	fx_stop(&b);
}

Test(backup, damaged_files_are_found_out_before_anything_is_touched, .timeout = 180)
{
	static const char *const bad[] = { "",
					   "hello\n",
					   "skep-store-backup 2 5 x\n",
					   "skep-store-backup 1 5 x\nend 1 00\n",
					   "skep-store-backup 1 5 x\n99999999 3\n",
					   "skep-store-backup 1 5 x\n3 3\n/ab" };
	char dir[] = "/tmp/skep-backup-XXXXXX", *text;
	struct backup_place file, to;
	struct backup_result res;
	struct fixture f;
	struct err err = ERR_INIT;
	size_t len;

	cr_assert(mkdtemp(dir));
	fx_start(&f, false);
	cr_assert(t_put(&f, "/a", 0, "value").succeeded);
	file = file_in(dir);
	to = place_of(&f);
	copied(&to, &file, false);
	fx_close(&f);
	cr_assert_eq(file_read(file.where, 1 << 20, &text, &len, &err), 0);
	/* every byte counts, and so does every length */
	for (size_t i = 0; i < len; i++) {
		struct backup_options o = { .force = true };

		text[i] ^= 1;
		cr_assert_eq(file_write_atomic(file.where, text, len, 0600, &err), 0);
		cr_assert(backup_copy(&file, &to, &o, &res, &err) < 0, "byte %zu", i);
		text[i] ^= 1;
		cr_assert_eq(file_write_atomic(file.where, text, i, 0600, &err), 0);
		cr_assert(backup_verify(file.where, &res, &err) < 0, "cut at %zu", i);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_assert_eq(file_write_atomic(file.where, bad[i], strlen(bad[i]), 0600, &err), 0);
		cr_assert_eq(backup_verify(file.where, &res, &err), -EBADMSG, "%s", bad[i]);
	}
	fx_open(&f);
	cr_assert_eq(t_get(&f, "/a", "", 0, 0, false)->n, 1);
	free(text);
	fx_stop(&f);
	dir_remove(dir, NULL);
}
