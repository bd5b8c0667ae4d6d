/* SPDX-License-Identifier: Apache-2.0 */
/* What only the embedded store can do wrong: files, locks, damage, kill -9. */
#include "fixture.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"

static int open_err(const char *dir, struct err *err)
{
	struct loop *loop = loop_new();
	struct store *s = NULL;
	int r = store_sqlite_open(loop, dir, &s, err);

	if (s)
		s->ops->close(s);
	loop_free(loop);
	return r;
}

Test(store_sqlite_files, a_second_process_is_refused, .timeout = 180)
{
	struct fixture f;
	struct err err = ERR_INIT;
	char pid[32];

	fx_start(&f, false);
	snprintf(pid, sizeof(pid), "(pid %d)", getpid());
	cr_assert_eq(open_err(f.dir, &err), -EBUSY);
	cr_assert(strstr(err.msg, f.dir) && strstr(err.msg, "in use by another process") && strstr(err.msg, pid), "%s",
		  err.msg);
	fx_stop(&f);
}

Test(store_sqlite_files, damage_is_one_line_that_names_the_file, .timeout = 180)
{
	struct fixture f;
	struct err err = ERR_INIT;
	char path[96], junk[4096];
	int fd;

	fx_start(&f, false);
	for (int i = 0; i < 50; i++) {
		snprintf(path, sizeof(path), "/k/%d", i);
		t_put(&f, path, 0, "some value");
	}
	fx_close(&f);
	snprintf(path, sizeof(path), "%s/store.db", f.dir);
	memset(junk, 0x5a, sizeof(junk));
	fd = open(path, O_RDWR | O_CLOEXEC);
	/* every page but the first */
	for (off_t off = 4096; off < lseek(fd, 0, SEEK_END); off += 4096)
		cr_assert_eq(pwrite(fd, junk, sizeof(junk), off), (ssize_t)sizeof(junk));
	cr_assert_eq(open_err(f.dir, &err), -EIO);
	cr_assert(strstr(err.msg, path) && !strchr(err.msg, '\n'), "%s", err.msg);
	/* no database at all */
	cr_assert_eq(pwrite(fd, junk, sizeof(junk), 0), (ssize_t)sizeof(junk));
	close(fd);
	cr_assert_eq(open_err(f.dir, &err), -EIO);
	cr_assert(strstr(err.msg, path) && !strchr(err.msg, '\n'), "%s", err.msg);
	fx_stop(&f);
}

Test(store_sqlite_files, foreign_databases_and_bad_paths_are_refused, .timeout = 180)
{
	char dir[] = "/tmp/skep-unit-store-XXXXXX", path[64], file[96];
	struct err err = ERR_INIT;
	sqlite3 *db;

	cr_assert(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/store.db", dir);
	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, "CREATE TABLE t(x)", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	cr_assert_eq(open_err(dir, &err), -EINVAL);
	cr_assert(strstr(err.msg, path), "%s", err.msg);
	snprintf(file, sizeof(file), "%s/store.db/below", dir);
	cr_assert(open_err(file, &err) < 0);
	cr_assert(strstr(err.msg, "store.db"), "%s", err.msg);
	cr_assert_eq(dir_remove(dir, NULL), 0);
}

Test(store_sqlite_files, compaction_shrinks_the_tables, .timeout = 180)
{
	struct fixture f;
	int64_t rev = 0, rows = -1;
	sqlite3_stmt *stmt;
	sqlite3 *db;
	char path[96];

	fx_start(&f, false);
	for (int i = 0; i < 500; i++)
		rev = t_put(&f, "/a", rev, "value").rev;
	t_put(&f, "/dead", 0, "x");
	t_del(&f, "/dead", rev + 1);
	rev = t_put(&f, "/b", 0, "x").rev;
	cr_assert_eq(t_compact(&f, rev), 0);
	t_put(&f, "/b", rev, "y"); /* the purge of so few is in the batch of the compaction or before this one */
	snprintf(path, sizeof(path), "%s/store.db", f.dir);
	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_prepare_v2(db, "SELECT count(*) FROM rev", -1, &stmt, NULL), SQLITE_OK);
	cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW);
	rows = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	cr_assert_eq(rows, 3); /* /a, /b, /b */
	cr_assert_eq(t_prefix(&f, "/")->n, 2);
	fx_stop(&f);
}

/* A file system of this test's own, in a mount namespace that ends with its process. */
Test(store_sqlite_files, a_full_disk_fails_writes_and_nothing_else, .timeout = 180)
{
	struct fixture f = { 0 };
	static struct t_result burst[64];
	char key[32], big[2000];
	int n = 0, failed = 0;
	int64_t rev;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		cr_skip_test("mounting a small file system needs root");
	strcpy(f.dir, "/tmp/skep-unit-store-XXXXXX");
	cr_assert(mkdtemp(f.dir));
	cr_assert_eq(mount("skep-test", f.dir, "tmpfs", 0, "size=512k"), 0);
	f.loop = loop_new();
	fx_open(&f);
	rev = t_put(&f, "/first", 0, "x").rev;
	memset(big, 'b', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	memset(burst, 0, sizeof(burst));
	while (!failed) {
		/* several in one transaction: they fail together, and what was acknowledged before stays */
		for (int i = 0; i < 8; i++, n++) {
			snprintf(key, sizeof(key), "/k/%05d", n);
			burst[i] = (struct t_result){ 0 };
			f.s->ops->put(f.s, key, 0, big, strlen(big), 0, on_txn, &burst[i]);
		}
		for (int i = 0; i < 8; i++) {
			while (!burst[i].done)
				fx_turn(&f);
			if (burst[i].r) {
				cr_assert_eq(burst[i].r, -ENOSPC, "%d %s", burst[i].r, burst[i].error);
				cr_assert(strstr(burst[i].error, f.dir), "%s", burst[i].error);
				failed++;
			} else {
				cr_assert_eq(burst[i].rev, ++rev);
			}
		}
		cr_assert(n < 10000);
	}
	cr_assert_eq(t_get(&f, "/", "0", 0, 1, true)->count, 1 + n - failed);
	cr_assert_eq(t_get(&f, "/", "0", 0, 1, true)->rev, rev);
	/* with space again the revisions go on where they were */
	cr_assert_eq(mount("skep-test", f.dir, "tmpfs", MS_REMOUNT, "size=8m"), 0);
	cr_assert_eq(t_put(&f, "/again", 0, big).rev, rev + 1);
	fx_close(&f);
	fx_open(&f);
	cr_assert_eq(t_get(&f, "/", "0", 0, 1, true)->rev, rev + 1);
	fx_close(&f);
	loop_free(f.loop);
	cr_assert_eq(umount(f.dir), 0);
	rmdir(f.dir);
}

/* --- kill -9 ------------------------------------------------------------------------------------------------------ */

struct writer {
	struct store *s;
	int fd, next;
	int64_t rev[4]; /* of the keys in flight */
};

struct ack {
	int n;
	int64_t rev;
};

static void write_next(struct writer *w, int slot);

struct slot {
	struct writer *w;
	int slot, n;
};

static void on_written(void *arg, int r, const struct store_txn_result *result, const struct err *err)
{
	struct slot *slot = arg;
	struct ack ack = { slot->n, result ? result->rev : 0 };

	(void)err;
	if (r < 0 || !result->succeeded || write(slot->w->fd, &ack, sizeof(ack)) != sizeof(ack))
		_exit(3);
	write_next(slot->w, slot->slot);
}

static void write_next(struct writer *w, int i)
{
	static struct slot slots[4];
	char key[32], value[32];

	slots[i] = (struct slot){ w, i, w->next++ };
	snprintf(key, sizeof(key), "/k/%09d", slots[i].n);
	snprintf(value, sizeof(value), "v%d", slots[i].n);
	w->s->ops->put(w->s, key, 0, value, strlen(value), 0, on_written, &slots[i]);
}

/* Opens the store and writes keys from `first` on, four in flight, telling fd of each that was acknowledged. */
static void writer_main(const char *dir, int first, int fd)
{
	struct writer w = { .fd = fd, .next = first };
	struct loop *loop = loop_new();
	struct err err = ERR_INIT;

	if (store_sqlite_open(loop, dir, &w.s, &err) < 0) {
		fprintf(stderr, "%s\n", err.msg);
		_exit(2);
	}
	for (int i = 0; i < 4; i++)
		write_next(&w, i);
	loop_run(loop);
	_exit(1);
}

Test(store_sqlite_files, what_was_acknowledged_survives_kill_9, .timeout = 180)
{
	enum { KILLS = 200, MAX = 200000 };
	static int64_t acked[MAX];
	char dir[] = "/tmp/skep-unit-store-XXXXXX";
	struct fixture f = { 0 };
	int highest = -1, total = 0;

	cr_assert(mkdtemp(dir));
	for (int k = 0; k < KILLS; k++) {
		int fds[2], status, want = 1 + k % 13;
		struct ack ack;
		pid_t pid;

		cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
		pid = fork();
		cr_assert(pid >= 0);
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			/* what was in flight at the kill may be there or not: leave a gap */
			writer_main(dir, highest + 8, fds[1]);
		}
		close(fds[1]);
		/* Killed in the middle of its work, at varying points of it; acknowledgements in the pipe count. */
		while (read(fds[0], &ack, sizeof(ack)) == sizeof(ack)) {
			cr_assert(ack.n < MAX);
			acked[ack.n] = ack.rev;
			total++;
			if (ack.n > highest)
				highest = ack.n;
			if (--want == 0)
				kill(pid, SIGKILL);
		}
		close(fds[0]);
		cr_assert_eq(waitpid(pid, &status, 0), pid);
		cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "writer ended by itself: %d", status);
	}
	snprintf(f.dir, sizeof(f.dir), "%s", dir);
	f.loop = loop_new();
	fx_open(&f);
	for (int n = 0; n <= highest; n++) {
		char key[32], value[32];
		const struct t_range *g;

		if (!acked[n])
			continue;
		snprintf(key, sizeof(key), "/k/%09d", n);
		snprintf(value, sizeof(value), "v%d", n);
		g = t_get(&f, key, "", 0, 0, false);
		cr_assert(g->n == 1 && g->kvs[0].mod_rev == acked[n], "lost %s", key);
		cr_assert_str_eq(g->kvs[0].value, value);
		total--;
	}
	cr_assert_eq(total, 0);
	fx_stop(&f);
}
