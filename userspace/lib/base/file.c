/* SPDX-License-Identifier: Apache-2.0 */
/* Whole files and directories: see file.h. */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "strbuf.h"

int file_read(const char *path, size_t max, char **ret_data, size_t *ret_len, struct err *err)
{
	cleanup(strbuf_done) struct strbuf sb = STRBUF_INIT;
	cleanup(close_fd) int fd = -1;
	ssize_t n;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, errno, "open '%s': %m", path);
	for (;;) {
		if (strbuf_reserve(&sb, 16384) < 0)
			return err_set(err, ENOMEM, "read '%s': out of memory", path);
		n = read(fd, sb.buf + sb.len, 16384);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(err, errno, "read '%s': %m", path);
		if (!n)
			break;
		sb.len += (size_t)n;
		sb.buf[sb.len] = '\0';
		if (sb.len > max)
			return err_set(err, EFBIG, "'%s' is larger than %zu bytes", path, max);
	}
	*ret_data = strbuf_detach(&sb, ret_len);
	return *ret_data ? 0 : err_set(err, ENOMEM, "read '%s': out of memory", path);
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static int sync_parent(const char *path)
{
	cleanup(close_fd) int fd = -1;
	char dir[PATH_MAX];
	char *slash;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (!slash)
		strcpy(dir, ".");
	else
		slash[slash == dir] = '\0';
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

int file_write_atomic(const char *path, const void *data, size_t len, mode_t mode, struct err *err)
{
	cleanup(close_fd) int fd = -1;
	char tmp[PATH_MAX];
	int r;

	if (snprintf(tmp, sizeof(tmp), "%s.XXXXXX", path) >= (int)sizeof(tmp))
		return err_set(err, ENAMETOOLONG, "write '%s': path too long", path);
	fd = mkostemp(tmp, O_CLOEXEC);
	if (fd < 0)
		return err_set(err, errno, "create '%s': %m", tmp);
	r = write_all(fd, data, len);
	if (!r && (fchmod(fd, mode) < 0 || fsync(fd) < 0 || rename(tmp, path) < 0))
		r = -errno;
	if (r < 0) {
		unlink(tmp);
		return err_set(err, -r, "write '%s': %s", path, strerror(-r));
	}
	r = sync_parent(path);
	return r < 0 ? err_set(err, -r, "sync directory of '%s': %s", path, strerror(-r)) : 0;
}

int file_write(const char *path, const char *text, struct err *err)
{
	cleanup(close_fd) int fd = -1;
	int r;

	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return err_set(err, errno, "open '%s': %m", path);
	r = write_all(fd, text, strlen(text));
	return r < 0 ? err_set(err, -r, "write '%s': %s", path, strerror(-r)) : 0;
}

int dir_make(const char *path, mode_t mode, struct err *err)
{
	char part[PATH_MAX];
	size_t len = strlen(path);

	if (!len || len >= sizeof(part))
		return err_set(err, len ? ENAMETOOLONG : EINVAL, "mkdir '%s': bad path", path);
	for (size_t i = 1; i <= len; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdir(part, mode) < 0 && errno != EEXIST)
			return err_set(err, errno, "mkdir '%s': %m", part);
	}
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

int dir_remove(const char *path, struct err *err)
{
	if (nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) < 0 && errno != ENOENT)
		return err_set(err, errno, "remove '%s': %m", path);
	return 0;
}
