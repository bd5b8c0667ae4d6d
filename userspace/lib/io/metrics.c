/* SPDX-License-Identifier: Apache-2.0 */
/* Prometheus text metrics: see metrics.h. One loop's thread; nothing here is locked. */
#include "metrics.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../base/file.h"
#include "../base/str.h"
#include "../base/strmap.h"

enum { MAX_LABELS = 8, MAX_SERIES = 5000, MAX_SCRAPERS = 16 };

struct series {
	double value;	    /* counters, gauges; sum of histograms */
	uint64_t count;	    /* histograms */
	uint64_t buckets[]; /* not cumulative */
};

struct metric {
	enum metric_type type;
	char *name, *help;
	char *labels[MAX_LABELS];
	size_t n_labels;
	double *bounds;
	size_t n_bounds;
	struct strmap *series; /* label text {a="b"} without braces -> struct series */
	struct metric *next;
};

static struct metric *families;
static struct {
	void (*fn)(void *arg);
	void *arg;
} scrapers[MAX_SCRAPERS];
static size_t n_scrapers;

static const double default_bounds[] = { 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10 };

struct metric *metric_new(enum metric_type type, const char *name, const char *help, const char *labels,
			  const double *buckets, size_t n_buckets)
{
	struct metric *m = calloc(1, sizeof(*m)), **at = &families;
	const char *p = labels;

	if (!m || !(m->series = strmap_new()))
		abort(); /* at program start, a few hundred bytes */
	m->type = type;
	m->name = strdup(name);
	m->help = strdup(help);
	while (*p && m->n_labels < MAX_LABELS) {
		size_t n = strcspn(p, ",");

		m->labels[m->n_labels++] = strndup(p, n);
		p += n + (p[n] == ',');
	}
	if (type == METRIC_HISTOGRAM) {
		if (!buckets) {
			buckets = default_bounds;
			n_buckets = sizeof(default_bounds) / sizeof(default_bounds[0]);
		}
		m->bounds = calloc(n_buckets, sizeof(*m->bounds));
		if (!m->bounds)
			abort();
		memcpy(m->bounds, buckets, n_buckets * sizeof(*buckets));
		m->n_bounds = n_buckets;
	}
	while (*at)
		at = &(*at)->next;
	*at = m;
	return m;
}

static void add_label(struct strbuf *sb, const char *name, const char *value)
{
	size_t name_len = strlen(name);
	char *p;

	/* Every request counts itself under its labels: no printf here. */
	if (strbuf_reserve(sb, name_len + 2 * strlen(value) + 4) < 0)
		return;
	p = sb->buf + sb->len;
	if (sb->len)
		*p++ = ',';
	p = mempcpy(p, name, name_len);
	*p++ = '=';
	*p++ = '"';
	for (; *value; value++) {
		if (*value == '\\' || *value == '"' || *value == '\n')
			*p++ = '\\';
		if (*value == '\n')
			*p++ = 'n';
		else if ((unsigned char)*value >= 0x80)
			*p++ = '?'; /* one stray byte would make the whole page unreadable; names are ASCII */
		else
			*p++ = *value;
	}
	*p++ = '"';
	*p = '\0';
	sb->len = (size_t)(p - sb->buf);
}

static struct series *get_series(struct metric *m, va_list ap)
{
	struct strbuf sb = STRBUF_INIT;
	struct series *s;

	for (size_t i = 0; i < m->n_labels; i++) {
		const char *value = va_arg(ap, const char *);

		add_label(&sb, m->labels[i], value ? value : "");
	}
	s = strmap_get(m->series, sb.buf);
	if (!s && strmap_len(m->series) >= MAX_SERIES) {
		strbuf_clear(&sb);
		for (size_t i = 0; i < m->n_labels; i++)
			add_label(&sb, m->labels[i], "overflow");
		s = strmap_get(m->series, sb.buf);
	}
	if (!s && !strbuf_oom(&sb)) {
		s = calloc(1, sizeof(*s) + (m->n_bounds + 1) * sizeof(s->buckets[0]));
		if (s && strmap_set(m->series, sb.buf, s, NULL) < 0) {
			free(s);
			s = NULL;
		}
	}
	strbuf_done(&sb);
	return s;
}

void metric_add(struct metric *m, double v, ...)
{
	struct series *s;
	va_list ap;

	va_start(ap, v);
	s = get_series(m, ap);
	va_end(ap);
	if (s)
		s->value += v;
}

void metric_set(struct metric *m, double v, ...)
{
	struct series *s;
	va_list ap;

	va_start(ap, v);
	s = get_series(m, ap);
	va_end(ap);
	if (s)
		s->value = v;
}

void metric_observe(struct metric *m, double v, ...)
{
	struct series *s;
	size_t i = 0;
	va_list ap;

	va_start(ap, v);
	s = get_series(m, ap);
	va_end(ap);
	if (!s)
		return;
	while (i < m->n_bounds && v > m->bounds[i])
		i++;
	s->buckets[i]++;
	s->count++;
	s->value += v;
}

void metric_reset(struct metric *m)
{
	for (struct strmap_iter it = { 0 }; strmap_next(m->series, &it);)
		free(it.value);
	strmap_clear(m->series);
}

void metrics_on_scrape(void (*fn)(void *arg), void *arg)
{
	if (n_scrapers == MAX_SCRAPERS)
		abort(); /* a program registers a handful */
	scrapers[n_scrapers].fn = fn;
	scrapers[n_scrapers++].arg = arg;
}

void metrics_off_scrape(void (*fn)(void *arg), void *arg)
{
	for (size_t i = 0; i < n_scrapers; i++) {
		if (scrapers[i].fn != fn || scrapers[i].arg != arg)
			continue;
		memmove(&scrapers[i], &scrapers[i + 1], (n_scrapers - i - 1) * sizeof(scrapers[0]));
		n_scrapers--;
		return;
	}
}

static void add_number(struct strbuf *sb, double v)
{
	if (v > -1e15 && v < 1e15 && v == (double)(int64_t)v)
		strbuf_addf(sb, "%lld\n", (long long)v);
	else
		strbuf_addf(sb, "%.15g\n", v);
}

static void write_series(const struct metric *m, const char *labels, const struct series *s, struct strbuf *out)
{
	uint64_t total = 0;

	if (m->type != METRIC_HISTOGRAM) {
		strbuf_addf(out, *labels ? "%s{%s} " : "%s%s ", m->name, labels);
		add_number(out, s->value);
		return;
	}
	for (size_t i = 0; i < m->n_bounds; i++) {
		total += s->buckets[i];
		strbuf_addf(out, "%s_bucket{%s%sle=\"%g\"} %llu\n", m->name, labels, *labels ? "," : "", m->bounds[i],
			    (unsigned long long)total);
	}
	strbuf_addf(out, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", m->name, labels, *labels ? "," : "",
		    (unsigned long long)s->count);
	strbuf_addf(out, *labels ? "%s_sum{%s} " : "%s_sum%s ", m->name, labels);
	add_number(out, s->value);
	strbuf_addf(out, *labels ? "%s_count{%s} %llu\n" : "%s_count%s %llu\n", m->name, labels,
		    (unsigned long long)s->count);
}

static void head(struct strbuf *out, const char *name, const char *type, const char *help)
{
	strbuf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;
	int n = -1; /* its own */

	if (!d)
		return -1;
	while ((e = readdir(d)))
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

/* The process_* families that client libraries give: from /proc/self. */
static void write_process(struct strbuf *out)
{
	char *text = NULL, *p;
	long ticks = sysconf(_SC_CLK_TCK);
	unsigned long utime, stime, vsize;
	unsigned long long start;
	struct timespec up;
	struct rlimit lim;
	int fds;
	long rss;

	if (file_read("/proc/self/stat", 4096, &text, NULL, NULL) < 0)
		return;
	p = strrchr(text, ')');
	if (p &&
	    sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %*d %*d %llu %lu %ld",
		   &utime, &stime, &start, &vsize, &rss) == 5) {
		head(out, "process_cpu_seconds_total", "counter", "CPU time spent, user and system.");
		strbuf_addf(out, "process_cpu_seconds_total %.2f\n", (double)(utime + stime) / (double)ticks);
		head(out, "process_resident_memory_bytes", "gauge", "Resident memory.");
		strbuf_addf(out, "process_resident_memory_bytes %lld\n", (long long)rss * sysconf(_SC_PAGESIZE));
		head(out, "process_virtual_memory_bytes", "gauge", "Virtual memory.");
		strbuf_addf(out, "process_virtual_memory_bytes %lu\n", vsize);
		head(out, "process_start_time_seconds", "gauge", "When the process started, Unix time.");
		clock_gettime(CLOCK_BOOTTIME, &up);
		strbuf_addf(out, "process_start_time_seconds %.2f\n",
			    (double)clock_real_ms() / 1000 - (double)up.tv_sec - (double)up.tv_nsec / 1e9 +
				    (double)start / (double)ticks);
	}
	free(text);
	fds = count_fds();
	if (fds >= 0) {
		head(out, "process_open_fds", "gauge", "Open file descriptors.");
		strbuf_addf(out, "process_open_fds %d\n", fds);
	}
	if (!getrlimit(RLIMIT_NOFILE, &lim)) {
		head(out, "process_max_fds", "gauge", "Most file descriptors that may be open.");
		strbuf_addf(out, "process_max_fds %llu\n", (unsigned long long)lim.rlim_cur);
	}
}

void metrics_write(struct strbuf *out)
{
	static const char *const types[] = { "counter", "gauge", "histogram" };

	for (size_t i = 0; i < n_scrapers; i++)
		scrapers[i].fn(scrapers[i].arg);
	write_process(out);
	for (const struct metric *m = families; m; m = m->next) {
		head(out, m->name, types[m->type], m->help);
		for (struct strmap_iter it = { 0 }; strmap_next(m->series, &it);)
			write_series(m, it.key, it.value, out);
	}
}

bool metrics_handle(struct http_req *req, const char *(*ready)(void *arg), void *arg)
{
	static const char text[] = "text/plain; version=0.0.4; charset=utf-8";
	const char *path = http_req_path(req), *why;

	if (streq(path, "/metrics")) {
		struct strbuf sb = STRBUF_INIT;

		metrics_write(&sb);
		if (strbuf_oom(&sb))
			http_respond(req, 500, text, "out of memory\n", 14);
		else
			http_respond(req, 200, text, sb.buf, sb.len);
		strbuf_done(&sb);
		return true;
	}
	if (streq(path, "/livez") || streq(path, "/healthz")) {
		http_respond(req, 200, "text/plain", "ok", 2);
		return true;
	}
	if (streq(path, "/readyz")) {
		why = ready ? ready(arg) : "";
		if (!why || !*why)
			http_respond(req, 200, "text/plain", "ok", 2);
		else
			http_respond(req, 503, "text/plain", why, strlen(why));
		return true;
	}
	return false;
}
