/* SPDX-License-Identifier: Apache-2.0 */
/* Files of config maps and secrets: swapped whole, never outside their directory. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/pod/pod-internal.h"
#include "base/file.h"

static char dir[64];

static void setup(void)
{
	strcpy(dir, "/tmp/skep-volume-XXXXXX");
	cr_assert(mkdtemp(dir));
}

static void teardown(void)
{
	cr_assert_eq(volumes_remove(dir, NULL), 0);
	cr_assert(access(dir, F_OK) < 0);
}

TestSuite(pod_volume, .init = setup, .fini = teardown);

static char *content(const char *name)
{
	static char path[256];
	static char *text;

	free(text);
	text = NULL;
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return file_read(path, 1000, &text, NULL, NULL) < 0 ? "(absent)" : text;
}

static void data_link(char *buf, size_t size)
{
	char path[256];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/..data", dir);
	n = readlink(path, buf, size - 1);
	buf[n > 0 ? n : 0] = 0;
}

Test(pod_volume, files_are_swapped_whole)
{
	struct payload_file one[] = { { "a", "1", 1, 0644 }, { "sub/b", "22", 2, 0400 } };
	struct payload_file two[] = { { "a", "new", 3, 0644 }, { "c", "", 0, 0600 } };
	char before[128], after[128], path[256];
	struct stat st;

	cr_assert_eq(payload_write(dir, one, 2, NULL), 0);
	cr_assert_str_eq(content("a"), "1");
	cr_assert_str_eq(content("sub/b"), "22");
	snprintf(path, sizeof(path), "%s/sub/b", dir);
	cr_assert(!stat(path, &st) && (st.st_mode & 0777) == 0400);
	data_link(before, sizeof(before));
	cr_assert_eq(payload_write(dir, one, 2, NULL), 0); /* nothing changed, nothing is written */
	data_link(after, sizeof(after));
	cr_assert_str_eq(before, after);

	cr_assert_eq(payload_write(dir, two, 2, NULL), 0);
	cr_assert_str_eq(content("a"), "new");
	cr_assert_str_eq(content("c"), "");
	cr_assert_str_eq(content("sub/b"), "(absent)");
	data_link(after, sizeof(after));
	cr_assert_str_neq(before, after);
	snprintf(path, sizeof(path), "%s/%s", dir, before);
	cr_assert(access(path, F_OK) < 0); /* the old set is gone */
	cr_assert_eq(payload_write(dir, NULL, 0, NULL), 0);
	cr_assert_str_eq(content("a"), "(absent)");
}

Test(pod_volume, paths_stay_inside)
{
	static const char *const bad[] = { "../x", "/etc/x", "a/../../x", "..x", "", "a//b" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct payload_file f = { bad[i], "1", 1, 0644 };

		cr_assert_eq(payload_write(dir, &f, 1, NULL), -EINVAL);
	}
}
