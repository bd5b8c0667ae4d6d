/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container's log, as the runtime writes it: "<time> <stdout|stderr> <P|F> <text>" a line, P for a part of a line
 * that goes on in the next one. Read in pieces no faster than the reader takes them; followed by inotify, across
 * rotation, until the container ends.
 */
#include "server-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/clock.h"
#include "../../lib/base/str.h"

#define LOW_WATER      (256 << 10)
#define PIECE	       (64 << 10)
#define LINE_MAX_BYTES (1 << 20) /* the runtime splits at 16 KiB */
#define END_LOOK_MS    1000	 /* has the container ended meanwhile? its end writes nothing */

struct log {
	struct server *s;
	struct http_req *req;
	char *path, *ns, *pod, *container;
	int fd, inotify;
	struct loop_io io;
	struct loop_timer timer;
	struct strbuf in;
	bool follow, timestamps, at_line_start, draining, ended_seen;
	int64_t since_ms; /* 0: all */
	int64_t limit;	  /* bytes left; -1: none */
};

static void log_free(struct http_req *req, void *data)
{
	struct log *l = data;

	(void)req;
	loop_io_del(&l->io);
	loop_timer_cancel(&l->timer);
	if (l->inotify >= 0)
		close(l->inotify);
	if (l->fd >= 0)
		close(l->fd);
	strbuf_done(&l->in);
	free(l->path);
	free(l->ns);
	free(l->pod);
	free(l->container);
	free(l);
}

/* False: the limit is reached, or the reader is gone. */
static bool put(struct log *l, struct strbuf *out, const char *text, size_t len)
{
	(void)l;
	if (l->limit >= 0 && (int64_t)len > l->limit)
		len = (size_t)l->limit;
	strbuf_add(out, text, len);
	if (l->limit >= 0)
		l->limit -= (int64_t)len;
	return l->limit != 0;
}

static bool take_line(struct log *l, const char *line, size_t len, struct strbuf *out)
{
	const char *stream = memchr(line, ' ', len), *tag, *text;
	char stamp[64];
	int64_t ms;
	bool whole;

	if (!stream || !(tag = memchr(stream + 1, ' ', len - (size_t)(stream + 1 - line))) ||
	    !(text = memchr(tag + 1, ' ', len - (size_t)(tag + 1 - line))))
		return true; /* not a log line */
	whole = tag[1] == 'F';
	if (l->since_ms) {
		snprintf(stamp, sizeof(stamp), "%.*s", (int)(stream - line), line);
		if (!clock_rfc3339_parse(stamp, &ms) && ms < l->since_ms)
			return true;
	}
	if (l->timestamps && l->at_line_start && (!put(l, out, line, (size_t)(stream - line)) || !put(l, out, " ", 1)))
		return false;
	if (!put(l, out, text + 1, len - (size_t)(text + 1 - line)))
		return false;
	l->at_line_start = whole;
	return !whole || put(l, out, "\n", 1);
}

/* True: there was something. *ret_end: the log is over for this reader. */
static bool read_piece(struct log *l, bool *ret_end)
{
	cleanup(strbuf_done) struct strbuf out = STRBUF_INIT;
	char buf[PIECE];
	ssize_t n = read(l->fd, buf, sizeof(buf));
	size_t pos = 0;

	if (n <= 0)
		return false;
	strbuf_add(&l->in, buf, (size_t)n);
	for (;;) {
		const char *nl = memchr(l->in.buf + pos, '\n', l->in.len - pos);

		if (!nl)
			break;
		if (!take_line(l, l->in.buf + pos, (size_t)(nl - l->in.buf) - pos, &out)) {
			*ret_end = true;
			break;
		}
		pos = (size_t)(nl - l->in.buf) + 1;
	}
	strbuf_drop_front(&l->in, pos);
	if (l->in.len > LINE_MAX_BYTES || strbuf_oom(&l->in) || strbuf_oom(&out))
		*ret_end = true;
	if (out.len && http_stream_write(l->req, out.buf, out.len) < 0)
		*ret_end = true;
	return true;
}

/* The runtime began a new file under the name. */
static bool rotated(struct log *l)
{
	struct stat a, b;
	int fd;

	if (fstat(l->fd, &a) < 0 || stat(l->path, &b) < 0 || (a.st_ino == b.st_ino && a.st_dev == b.st_dev))
		return false;
	fd = open(l->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	close(l->fd);
	l->fd = fd;
	return true;
}

static bool running(const struct log *l)
{
	const struct pod *p = pods_find(l->s->pods, l->ns, l->pod);
	cleanup(free) char *path = NULL;

	/* A restart has another file: this one is over. */
	return p && pod_container_running(p, l->container) && !pod_log_path(p, l->container, false, &path) &&
	       streq(path, l->path);
}

static void pump(struct log *l)
{
	bool end = false;

	while (!end && http_stream_pending(l->req) < LOW_WATER) {
		if (read_piece(l, &end) || rotated(l)) {
			l->ended_seen = false;
			continue;
		}
		if (!l->follow) {
			end = true;
		} else if (!running(l)) { /* once more: its last words may just have been written */
			end = l->ended_seen;
			l->ended_seen = true;
			if (!end)
				continue;
		} else {
			return;
		}
	}
	if (end)
		http_stream_end(l->req);
}

static void on_drain(struct http_req *req, void *data)
{
	(void)req;
	pump(data);
}

static void on_inotify(struct loop_io *io, uint32_t events)
{
	struct log *l = io->arg;
	char buf[4096];

	(void)events;
	while (read(l->inotify, buf, sizeof(buf)) > 0)
		;
	pump(l);
}

static void on_timer(struct loop_timer *t)
{
	struct log *l = t->arg;

	(void)loop_timer_set(l->s->loop, &l->timer, END_LOOK_MS);
	if (!running(l))
		pump(l);
}

/* Offset of the last n lines. */
static int seek_tail(int fd, int64_t n)
{
	char buf[PIECE];
	off_t end = lseek(fd, 0, SEEK_END), pos = end;
	int64_t lines = 0;

	while (n && pos > 0) {
		size_t len = pos < (off_t)sizeof(buf) ? (size_t)pos : sizeof(buf);

		pos -= (off_t)len;
		if (pread(fd, buf, len, pos) != (ssize_t)len)
			return -EIO;
		for (size_t i = len; i-- > 0;) {
			if (buf[i] != '\n' || pos + (off_t)i + 1 == end)
				continue;
			if (++lines == n)
				return lseek(fd, pos + (off_t)i + 1, SEEK_SET) < 0 ? -errno : 0;
		}
	}
	return lseek(fd, n ? 0 : end, SEEK_SET) < 0 ? -errno : 0;
}

static bool flag(const struct http_req *req, const char *name)
{
	const char *v = http_req_query(req, name);

	return v && (streq(v, "true") || streq(v, "1") || !v[0]);
}

/* Absent: dflt. False: answered with 400. */
static bool number(struct http_req *req, const char *name, int64_t min, int64_t dflt, int64_t *ret)
{
	const char *v = http_req_query(req, name);

	*ret = dflt;
	if (!v || !str_to_i64(v, min, INT64_MAX / 2000, ret))
		return true;
	answer_text(req, 400, "%s: '%s' is not a number of at least %lld\n", name, v, (long long)min);
	return false;
}

static int watch_dir(struct log *l)
{
	char dir[PATH_MAX];
	char *slash;

	l->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (l->inotify < 0)
		return -errno;
	snprintf(dir, sizeof(dir), "%s", l->path);
	slash = strrchr(dir, '/');
	if (slash)
		*slash = 0;
	if (inotify_add_watch(l->inotify, dir, IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0)
		return -errno;
	l->io.fn = on_inotify;
	l->io.arg = l;
	return loop_io_add(l->s->loop, &l->io, l->inotify, EPOLLIN);
}

void serve_logs(struct server *s, struct http_req *req, const char *ns, const char *pod, const char *container)
{
	const struct pod *p = pods_find(s->pods, ns, pod);
	const char *since_time = http_req_query(req, "sinceTime");
	int64_t tail, since_s, limit, since_ms = 0;
	cleanup(free) char *path = NULL;
	struct log *l;
	int r;

	if (!p) {
		answer_text(req, 404, "pod \"%s/%s\" not found\n", ns, pod);
		return;
	}
	if (!number(req, "tailLines", 0, -1, &tail) || !number(req, "sinceSeconds", 1, 0, &since_s) ||
	    !number(req, "limitBytes", 1, -1, &limit))
		return;
	if (since_time && clock_rfc3339_parse(since_time, &since_ms) < 0) {
		answer_text(req, 400, "sinceTime: '%s' is not an RFC 3339 time\n", since_time);
		return;
	}
	if (since_s)
		since_ms = clock_real_ms() - since_s * 1000;
	r = pod_log_path(p, container, flag(req, "previous"), &path);
	if (r == -ENOENT) {
		answer_text(req, 404, "container %s not found in pod %s\n", container, pod);
		return;
	}
	if (r == -ENODATA) {
		if (flag(req, "previous"))
			answer_text(req, 400, "previous terminated container \"%s\" in pod \"%s\" not found\n",
				    container, pod);
		else
			answer_text(req, 400, "container \"%s\" in pod \"%s\" is waiting to start\n", container, pod);
		return;
	}
	l = calloc(1, sizeof(*l));
	if (r < 0 || !l) {
		free(l);
		answer_text(req, 500, "out of memory\n");
		return;
	}
	*l = (struct log){ .s = s,
			   .req = req,
			   .path = TAKE(path),
			   .ns = strdup(ns),
			   .pod = strdup(pod),
			   .container = strdup(container),
			   .fd = -1,
			   .inotify = -1,
			   .follow = flag(req, "follow"),
			   .timestamps = flag(req, "timestamps"),
			   .at_line_start = true,
			   .since_ms = since_ms,
			   .limit = limit };
	strbuf_init(&l->in);
	http_req_set_data(req, l, log_free);
	l->fd = open(l->path, O_RDONLY | O_CLOEXEC);
	if (!l->ns || !l->pod || !l->container || l->fd < 0) {
		answer_text(req, l->fd < 0 && errno == ENOENT ? 404 : 500, "log of container %s: %s\n", container,
			    strerror(errno));
		return;
	}
	if ((tail >= 0 && seek_tail(l->fd, tail) < 0) || (l->follow && watch_dir(l) < 0)) {
		answer_text(req, 500, "log of container %s: %s\n", container, strerror(errno));
		return;
	}
	l->timer.fn = on_timer;
	l->timer.arg = l;
	if (l->follow)
		(void)loop_timer_set(s->loop, &l->timer, END_LOOK_MS);
	if (http_stream_start(req, 200, "text/plain") == 0)
		http_stream_on_drain(req, LOW_WATER, on_drain);
}
