/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines into a file. The loop appends to a bounded buffer; one job on a worker thread takes all that is there, writes
 * it and goes on until there is nothing more. Buffer and counters are behind a lock that is held for a copy only; the
 * file belongs to the job. A line is written whole or not at all.
 */
#include "audit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/clock.h"
#include "../../lib/base/log.h"
#include "../../lib/base/str.h"
#include "../../lib/base/strbuf.h"

#define BUFFER_DEFAULT (16u << 20)

struct audit_log {
	struct loop *loop;
	struct audit_log_config config;
	char *path, *dir, *stem, *suffix; /* "/var/log/audit.log": "/var/log", "audit", ".log" */

	pthread_mutex_t lock;
	pthread_cond_t idle;
	struct strbuf buf;
	size_t n_buf;	/* lines in it */
	size_t writing; /* bytes that the job holds */
	bool running;	/* there is a job */
	struct audit_log_stats stats;

	/* the job's */
	int fd;
	int64_t size;
	bool told; /* of a failure; until a write succeeds */
};

/* --- the file ------------------------------------------------------------------------------------------------------
 */

static int open_file(struct audit_log *l)
{
	struct stat st;

	if (streq(l->path, "-")) {
		l->fd = STDOUT_FILENO;
		return 0;
	}
	l->fd = open(l->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (l->fd < 0)
		return -errno;
	l->size = fstat(l->fd, &st) == 0 ? (int64_t)st.st_size : 0;
	return 0;
}

static int newest_first(const void *a, const void *b)
{
	return -strcmp(*(char *const *)a, *(char *const *)b);
}

/* A rotated file's name and when it was rotated: "audit-2026-01-31T10-20-30.123.log". */
static bool is_backup(const struct audit_log *l, const char *name, int64_t *ret_ms)
{
	size_t stem = strlen(l->stem), suffix = strlen(l->suffix), len = strlen(name);
	int y, mo, d, h, mi, s, ms, end = 0;
	char text[40];

	if (len != stem + 1 + 23 + suffix || strncmp(name, l->stem, stem) != 0 || name[stem] != '-' ||
	    !streq(name + len - suffix, l->suffix))
		return false;
	if (sscanf(name + stem + 1, "%4d-%2d-%2dT%2d-%2d-%2d.%3d%n", &y, &mo, &d, &h, &mi, &s, &ms, &end) != 7 ||
	    end != 23)
		return false;
	snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02dZ", y, mo, d, h, mi, s);
	return clock_rfc3339_parse(text, ret_ms) == 0;
}

static void remove_old(struct audit_log *l)
{
	DIR *dir = opendir(l->dir);
	char **names = NULL;
	size_t n = 0, cap = 0;
	int64_t now = clock_real_ms(), ms;

	if (!dir)
		return;
	for (struct dirent *e; (e = readdir(dir));) {
		if (!is_backup(l, e->d_name, &ms))
			continue;
		if (n == cap) {
			char **p = realloc(names, (cap = cap ? cap * 2 : 16) * sizeof(*p));

			if (!p)
				break;
			names = p;
		}
		names[n] = strdup(e->d_name);
		if (!names[n])
			break;
		n++;
	}
	if (n)
		qsort(names, n, sizeof(*names), newest_first);
	for (size_t i = 0; i < n; i++) {
		bool many = l->config.max_backups && i >= (size_t)l->config.max_backups;

		(void)is_backup(l, names[i], &ms);
		if (many || (l->config.max_age_days && now - ms > (int64_t)l->config.max_age_days * 86400000))
			(void)unlinkat(dirfd(dir), names[i], 0);
		free(names[i]);
	}
	free(names);
	closedir(dir);
}

/* A rotated file's name; one that is taken gets the next millisecond. */
static char *backup_name(const struct audit_log *l)
{
	int64_t now = clock_real_ms();
	char *name;

	for (int i = 0; i < 1000; i++, now++) {
		time_t s = (time_t)(now / 1000);
		char stamp[32];
		struct tm tm;

		gmtime_r(&s, &tm);
		strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H-%M-%S", &tm);
		if (asprintf(&name, "%s/%s-%s.%03d%s", l->dir, l->stem, stamp, (int)(now % 1000), l->suffix) < 0)
			return NULL;
		if (access(name, F_OK) < 0)
			return name;
		free(name);
	}
	return NULL;
}

/* Failing that, the file goes on to grow: nothing is lost. */
static void rotate(struct audit_log *l)
{
	cleanup(free) char *to = backup_name(l);

	if (!to || rename(l->path, to) < 0)
		return;
	close(l->fd);
	l->fd = -1;
	remove_old(l);
}

/* Whole lines only: what was written of a line that did not fit is taken back. */
static int write_lines(struct audit_log *l, const char *data, size_t len)
{
	size_t done = 0;
	int r;

	if (l->fd < 0) {
		r = open_file(l);
		if (r < 0)
			return r;
	}
	while (done < len) {
		ssize_t n = write(l->fd, data + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			r = -errno;
			if (done && l->fd != STDOUT_FILENO && ftruncate(l->fd, l->size) < 0)
				log_warn("audit log '%s': cannot take back half a line: %m, ignoring", l->path);
			return r;
		}
		done += (size_t)n;
	}
	l->size += (int64_t)len;
	return 0;
}

/* As many lines at once as the file takes before it must be rotated. Returns the lines that failed. */
static size_t write_all(struct audit_log *l, const char *data, size_t len)
{
	size_t failed = 0;

	while (len) {
		const char *end = data;
		size_t lines = 0;
		int r;

		if (l->fd >= 0 && l->config.max_size && l->size && l->fd != STDOUT_FILENO) {
			const char *nl = memchr(data, '\n', len);

			if (l->size + (nl - data) + 1 > l->config.max_size)
				rotate(l);
		}
		while (end < data + len) {
			const char *nl = memchr(end, '\n', (size_t)(data + len - end));
			int64_t size = (l->fd < 0 ? 0 : l->size) + (nl - data) + 1;

			if (lines && l->config.max_size && size > l->config.max_size)
				break;
			end = nl + 1;
			lines++;
		}
		r = write_lines(l, data, (size_t)(end - data));
		if (r < 0) {
			failed += lines;
			if (!l->told)
				log_error("audit log '%s': %s", l->path, strerror(-r));
		}
		l->told = r < 0;
		len -= (size_t)(end - data);
		data = end;
	}
	return failed;
}

static void work(void *arg)
{
	struct audit_log *l = arg;

	pthread_mutex_lock(&l->lock);
	while (l->n_buf) {
		struct strbuf taken = l->buf;
		size_t failed;

		strbuf_init(&l->buf);
		l->n_buf = 0;
		l->writing = taken.len;
		pthread_mutex_unlock(&l->lock);
		failed = write_all(l, taken.buf, taken.len);
		strbuf_done(&taken);
		pthread_mutex_lock(&l->lock);
		l->writing = 0;
		l->stats.failed += failed;
	}
	l->running = false;
	pthread_cond_broadcast(&l->idle);
	pthread_mutex_unlock(&l->lock);
}

/* The log may be gone by now. */
static void nothing(void *arg)
{
	(void)arg;
}

/* --- the loop's side -----------------------------------------------------------------------------------------------
 */

static int split_path(struct audit_log *l)
{
	const char *slash = strrchr(l->path, '/'), *base = slash ? slash + 1 : l->path, *dot = strrchr(base, '.');

	l->dir = slash ? strndup(l->path, slash == l->path ? 1 : (size_t)(slash - l->path)) : strdup(".");
	l->stem = dot ? strndup(base, (size_t)(dot - base)) : strdup(base);
	l->suffix = strdup(dot ? dot : "");
	return l->dir && l->stem && l->suffix ? 0 : -ENOMEM;
}

int audit_log_open(struct loop *loop, const struct audit_log_config *config, struct audit_log **ret, struct err *err)
{
	struct audit_log *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return err_set(err, ENOMEM, "out of memory");
	l->loop = loop;
	l->config = *config;
	if (!l->config.max_buffered)
		l->config.max_buffered = BUFFER_DEFAULT;
	l->fd = -1;
	strbuf_init(&l->buf);
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->idle, NULL);
	l->path = strdup(config->path);
	if (!l->path || split_path(l) < 0)
		r = err_set(err, ENOMEM, "out of memory");
	else if ((r = open_file(l)) < 0)
		r = err_set(err, -r, "audit log '%s': %s", config->path, strerror(-r));
	if (r < 0) {
		audit_log_close(l);
		return r;
	}
	*ret = l;
	return 0;
}

void audit_log_add(struct audit_log *l, const char *line, size_t len)
{
	bool start = false;

	pthread_mutex_lock(&l->lock);
	if (l->buf.len + l->writing + len <= l->config.max_buffered)
		strbuf_add(&l->buf, line, len);
	else
		len = 0;
	if (!len || strbuf_oom(&l->buf)) {
		l->stats.dropped += 1 + (len ? l->n_buf : 0);
		if (len) { /* no memory: what was in the buffer is lost, too */
			strbuf_done(&l->buf);
			l->n_buf = 0;
		}
	} else {
		l->n_buf++;
		l->stats.lines++;
		start = !l->running;
		l->running = true;
	}
	pthread_mutex_unlock(&l->lock);
	if (start && loop_work(l->loop, work, nothing, l) < 0) {
		/* no thread: the next line tries again */
		pthread_mutex_lock(&l->lock);
		l->running = false;
		pthread_mutex_unlock(&l->lock);
	}
}

struct audit_log_stats audit_log_stats(struct audit_log *l)
{
	struct audit_log_stats st;

	pthread_mutex_lock(&l->lock);
	st = l->stats;
	pthread_mutex_unlock(&l->lock);
	return st;
}

void audit_log_close(struct audit_log *l)
{
	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	while (l->running)
		pthread_cond_wait(&l->idle, &l->lock);
	pthread_mutex_unlock(&l->lock);
	if (l->n_buf)
		work(l);
	if (l->fd >= 0 && l->fd != STDOUT_FILENO)
		close(l->fd);
	pthread_mutex_destroy(&l->lock);
	pthread_cond_destroy(&l->idle);
	strbuf_done(&l->buf);
	free(l->path);
	free(l->dir);
	free(l->stem);
	free(l->suffix);
	free(l);
}
