/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backups: the file, and the copy from any place to any other. The file is
 *
 *	skep-store-backup 1 <revision> <time>\n
 *	<key length> <value length>\n<key><value>\n		for each key, in order
 *	end <keys> <SHA-256 of everything before this line>\n
 *
 * It holds secrets as the store does, and is made readable for its owner only. It appears under its name when it is
 * whole and on the disk.
 */
#include "backup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/clock.h"
#include "../../lib/base/str.h"
#include "store-internal.h"

#define MAGIC	 "skep-store-backup"
#define MAX_LINE 256

bool backup_skips(const char *key)
{
	return str_starts(key, "/-/");
}

bool backup_is_event(const char *key)
{
	return str_starts(key, "/events/") || str_starts(key, "/core/events/") ||
	       str_starts(key, "/events.k8s.io/events/");
}

/* --- writing -------------------------------------------------------------------------------------------------------
 */

struct file_sink {
	struct backup_sink base;
	char *path, *tmp;
	FILE *f;
	EVP_MD_CTX *md;
	size_t keys;
	int64_t rev;
};

static int put(struct file_sink *s, const void *data, size_t len, struct err *err)
{
	if (EVP_DigestUpdate(s->md, data, len) != 1)
		return err_set(err, EIO, "SHA-256 is not to be had");
	if (fwrite(data, 1, len, s->f) != len)
		return err_set(err, errno, "write '%s': %m", s->tmp);
	return 0;
}

static int file_begin(struct backup_sink *base, int64_t rev, struct err *err)
{
	struct file_sink *s = (struct file_sink *)base;
	char line[MAX_LINE], now[40];
	int n;

	s->rev = rev;
	n = snprintf(line, sizeof(line), MAGIC " 1 %" PRId64 " %s\n", rev, clock_rfc3339(clock_real_ms(), now));
	return put(s, line, (size_t)n, err);
}

static int file_each(struct backup_sink *base, const struct store_kv *kv, struct err *err)
{
	struct file_sink *s = (struct file_sink *)base;
	char line[MAX_LINE];
	int n = snprintf(line, sizeof(line), "%zu %zu\n", kv->key_len, kv->value_len), r;

	s->keys++;
	r = put(s, line, (size_t)n, err);
	if (r == 0)
		r = put(s, kv->key, kv->key_len, err);
	if (r == 0)
		r = put(s, kv->value, kv->value_len, err);
	return r == 0 ? put(s, "\n", 1, err) : r;
}

static void hex(const unsigned char *sum, unsigned len, char *out)
{
	for (unsigned i = 0; i < len; i++)
		sprintf(out + 2 * (size_t)i, "%02x", sum[i]);
}

static int file_end(struct backup_sink *base, struct backup_result *ret, struct err *err)
{
	struct file_sink *s = (struct file_sink *)base;
	unsigned char sum[EVP_MAX_MD_SIZE];
	char text[2 * EVP_MAX_MD_SIZE + 1];
	unsigned len;

	if (EVP_DigestFinal_ex(s->md, sum, &len) != 1)
		return err_set(err, EIO, "SHA-256 is not to be had");
	hex(sum, len, text);
	if (fprintf(s->f, "end %zu %s\n", s->keys, text) < 0 || fflush(s->f) || fsync(fileno(s->f)) < 0)
		return err_set(err, errno, "write '%s': %m", s->tmp);
	if (rename(s->tmp, s->path) < 0)
		return err_set(err, errno, "rename '%s' to '%s': %m", s->tmp, s->path);
	*ret = (struct backup_result){ .from_rev = s->rev, .keys = s->keys };
	free(s->tmp);
	s->tmp = NULL;
	return 0;
}

static void file_free(struct backup_sink *base)
{
	struct file_sink *s = (struct file_sink *)base;

	if (s->f)
		fclose(s->f);
	if (s->tmp)
		unlink(s->tmp);
	EVP_MD_CTX_free(s->md);
	free(s->tmp);
	free(s->path);
	free(s);
}

int backup_sink_file(const struct backup_place *to, const struct backup_options *o, struct backup_sink **ret,
		     struct err *err)
{
	struct file_sink *s = calloc(1, sizeof(*s));
	int fd, r;

	if (!s)
		return err_set(err, ENOMEM, "out of memory");
	s->base = (struct backup_sink){ file_begin, file_each, file_end, file_free };
	s->md = EVP_MD_CTX_new();
	s->path = strdup(to->where);
	if (!s->md || !s->path || EVP_DigestInit_ex(s->md, EVP_sha256(), NULL) != 1) {
		r = err_set(err, ENOMEM, "out of memory");
	} else if (!o->force && access(to->where, F_OK) == 0) {
		r = err_set(err, EEXIST, "'%s' is there already; --force replaces it", to->where);
	} else if (asprintf(&s->tmp, "%s.part-%d", to->where, getpid()) < 0) {
		s->tmp = NULL;
		r = err_set(err, ENOMEM, "out of memory");
	} else {
		fd = open(s->tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		s->f = fd >= 0 ? fdopen(fd, "w") : NULL;
		r = s->f ? 0 : err_set(err, errno, "open '%s': %m", s->tmp);
		if (!s->f && fd >= 0)
			close(fd);
	}
	if (r < 0) {
		file_free(&s->base);
		return r;
	}
	*ret = &s->base;
	return 0;
}

/* --- reading -------------------------------------------------------------------------------------------------------
 */

struct reader {
	const char *path;
	FILE *f;
	EVP_MD_CTX *md;
	int64_t rev;
	size_t keys;
};

static int damaged(const struct reader *r, const char *what, struct err *err)
{
	return err_set(err, EBADMSG, "'%s' is not a whole backup: %s after %zu keys", r->path, what, r->keys);
}

/* A line without its end; *ret_end: it was the last one. */
static int get_line(struct reader *r, char *line, bool *ret_end, struct err *err)
{
	size_t len;

	if (!fgets(line, MAX_LINE, r->f))
		return damaged(r, "it ends", err);
	len = strlen(line);
	if (!len || line[len - 1] != '\n')
		return damaged(r, "a line is too long", err);
	*ret_end = str_starts(line, "end ");
	if (!*ret_end && EVP_DigestUpdate(r->md, line, len) != 1)
		return err_set(err, EIO, "SHA-256 is not to be had");
	line[len - 1] = '\0';
	return 0;
}

static int check_end(struct reader *r, const char *line, struct err *err)
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	char text[2 * EVP_MAX_MD_SIZE + 1], want[MAX_LINE];
	unsigned len;

	if (EVP_DigestFinal_ex(r->md, sum, &len) != 1)
		return err_set(err, EIO, "SHA-256 is not to be had");
	hex(sum, len, text);
	snprintf(want, sizeof(want), "end %zu %s", r->keys, text);
	if (!streq(line, want))
		return damaged(r, "its checksum is another", err);
	return fgetc(r->f) == EOF ? 0 : damaged(r, "something follows", err);
}

/* to NULL: only checks. */
static int read_keys(struct reader *r, struct backup_sink *to, struct err *err)
{
	cleanup(free) char *buf = NULL;
	char line[MAX_LINE];
	size_t cap = 0;
	bool end;
	int e;

	e = get_line(r, line, &end, err);
	if (e < 0)
		return e;
	if (sscanf(line, MAGIC " 1 %" SCNd64, &r->rev) != 1 || r->rev < 0)
		return err_set(err, EBADMSG, "'%s' is not a backup made by `skep store backup`", r->path);
	e = to ? to->begin(to, r->rev, err) : 0;
	while (e == 0) {
		size_t key_len, value_len;
		struct store_kv kv = { 0 };

		e = get_line(r, line, &end, err);
		if (e < 0)
			return e;
		if (end)
			return check_end(r, line, err);
		if (sscanf(line, "%zu %zu", &key_len, &value_len) != 2 || !key_len || key_len > STORE_MAX_KEY ||
		    value_len > STORE_MAX_VALUE)
			return damaged(r, "a length makes no sense", err);
		if (key_len + value_len + 2 > cap) {
			char *p = realloc(buf, key_len + value_len + 2);

			if (!p)
				return err_set(err, ENOMEM, "out of memory");
			buf = p;
			cap = key_len + value_len + 2;
		}
		/* the key gets its NUL, the value stands behind it */
		if (fread(buf, 1, key_len, r->f) != key_len ||
		    fread(buf + key_len + 1, 1, value_len, r->f) != value_len || fgetc(r->f) != '\n')
			return damaged(r, "it ends", err);
		buf[key_len] = '\0';
		if (EVP_DigestUpdate(r->md, buf, key_len) != 1 ||
		    EVP_DigestUpdate(r->md, buf + key_len + 1, value_len) != 1 || EVP_DigestUpdate(r->md, "\n", 1) != 1)
			return err_set(err, EIO, "SHA-256 is not to be had");
		if (strlen(buf) != key_len)
			return damaged(r, "a key makes no sense", err);
		kv.key = buf;
		kv.key_len = key_len;
		kv.value = buf + key_len + 1;
		kv.value_len = value_len;
		r->keys++;
		e = to ? to->each(to, &kv, err) : 0;
	}
	return e;
}

static int read_once(const char *path, struct backup_sink *to, struct reader *ret, struct err *err)
{
	struct reader r = { .path = path };
	int e;

	r.md = EVP_MD_CTX_new();
	r.f = fopen(path, "re");
	if (!r.md || EVP_DigestInit_ex(r.md, EVP_sha256(), NULL) != 1)
		e = err_set(err, ENOMEM, "out of memory");
	else if (!r.f)
		e = err_set(err, errno, "open '%s': %m", path);
	else
		e = read_keys(&r, to, err);
	if (r.f)
		fclose(r.f);
	EVP_MD_CTX_free(r.md);
	*ret = r;
	return e;
}

int backup_verify(const char *path, struct backup_result *ret, struct err *err)
{
	struct reader r;
	int e = read_once(path, NULL, &r, err);

	if (e == 0)
		*ret = (struct backup_result){ .from_rev = r.rev, .keys = r.keys };
	return e;
}

/* A damaged file is found out before anything is touched. */
int backup_read_file(const struct backup_place *from, struct backup_sink *to, struct err *err)
{
	struct backup_result ignored;
	struct reader r;
	int e = backup_verify(from->where, &ignored, err);

	return e < 0 ? e : read_once(from->where, to, &r, err);
}

/* --- from anywhere to anywhere ---------------------------------------------------------------------------------------
 */

int backup_copy(const struct backup_place *from, const struct backup_place *to, const struct backup_options *options,
		struct backup_result *ret, struct err *err)
{
	struct backup_sink *sink = NULL;
	int r;

	if (to->kind == BACKUP_FILE)
		r = backup_sink_file(to, options, &sink, err);
	else if (to->kind == BACKUP_SQLITE)
		r = backup_sink_sqlite(to, options, &sink, err);
	else
		r = backup_sink_etcd(to, options, &sink, err);
	if (r < 0)
		return r;
	if (from->kind == BACKUP_FILE)
		r = backup_read_file(from, sink, err);
	else if (from->kind == BACKUP_SQLITE)
		r = backup_read_sqlite(from, options->alone, sink, err);
	else
		r = backup_read_etcd(from, sink, err);
	if (r == 0)
		r = sink->end(sink, ret, err);
	sink->free(sink);
	return r;
}
