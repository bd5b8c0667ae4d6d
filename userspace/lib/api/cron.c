/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The syntax of a CronJob's schedule, which is robfig/cron's standard one: what Kubernetes takes is taken, and
 * nothing else. Numbers are bounded before they are used as shifts.
 */
#include "cron.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "../base/str.h"

#define ZONE_DIR "/usr/share/zoneinfo"

static const char *const month_names[] = { "jan", "feb", "mar", "apr", "may", "jun", "jul",
					   "aug", "sep", "oct", "nov", "dec", NULL };
static const char *const day_names[] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL };

struct field {
	const char *what;
	unsigned min, max;
	const char *const *names; /* of min, min + 1, ...; NULL: numbers only */
};
static const struct field fields[] = {
	{ "minute", 0, 59, NULL },	    { "hour", 0, 23, NULL },
	{ "day of month", 1, 31, NULL },    { "month", 1, 12, month_names },
	{ "day of week", 0, 6, day_names },
};

/* A number or name of len bytes. */
static int parse_value(const struct field *f, const char *s, size_t len, unsigned *ret)
{
	unsigned v = 0;

	for (size_t i = 0; f->names && f->names[i]; i++) {
		if (len == strlen(f->names[i]) && !strncasecmp(s, f->names[i], len)) {
			*ret = f->min + (unsigned)i;
			return 0;
		}
	}
	if (!len || len > 4)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (!isdigit((unsigned char)s[i]))
			return -EINVAL;
		v = v * 10 + (unsigned)(s[i] - '0');
	}
	*ret = v;
	return 0;
}

/* "*", "5", "1-5", "*" or any of these with a step. */
static int parse_range(const struct field *f, const char *s, size_t len, uint64_t *mask, bool *star, char *why,
		       size_t size)
{
	const char *slash = memchr(s, '/', len), *dash;
	size_t range = slash ? (size_t)(slash - s) : len;
	unsigned from, to, step = 1;

	if (range == 1 && (*s == '*' || *s == '?')) {
		from = f->min;
		to = f->max;
		*star = *star || !slash;
	} else {
		dash = memchr(s, '-', range);
		if (parse_value(f, s, dash ? (size_t)(dash - s) : range, &from) < 0)
			goto bad;
		to = from;
		if (dash && parse_value(f, dash + 1, range - (size_t)(dash - s) - 1, &to) < 0)
			goto bad;
		if (!dash && slash)
			to = f->max; /* "5/15": from 5 on */
	}
	if (slash && parse_value(&(struct field){ "", 0, 0, NULL }, slash + 1, len - range - 1, &step) < 0)
		goto bad;
	if (from < f->min || to > f->max || from > to || !step) {
		snprintf(why, size, "%s: %.*s is not within %u-%u", f->what, (int)(len > 64 ? 64 : len), s, f->min,
			 f->max);
		return -EINVAL;
	}
	for (unsigned v = from; v <= to; v += step)
		*mask |= 1ULL << v;
	return 0;
bad:
	snprintf(why, size, "%s: failed to parse %.*s", f->what, (int)(len > 64 ? 64 : len), s);
	return -EINVAL;
}

static int parse_field(const struct field *f, const char *s, size_t len, uint64_t *mask, bool *star, char *why,
		       size_t size)
{
	while (true) {
		const char *comma = memchr(s, ',', len);
		size_t part = comma ? (size_t)(comma - s) : len;

		if (parse_range(f, s, part, mask, star, why, size) < 0)
			return -EINVAL;
		if (!comma)
			return 0;
		s += part + 1;
		len -= part + 1;
	}
}

/* Go's durations: "1h30m", "90s", "1.5h"; at least a second. */
static int parse_every(const char *s, int64_t *ret)
{
	double total = 0;

	if (!*s)
		return -EINVAL;
	while (*s) {
		static const struct {
			const char *unit;
			double s;
		} units[] = { { "ns", 1e-9 }, { "us", 1e-6 }, { "ms", 1e-3 }, { "s", 1 }, { "m", 60 }, { "h", 3600 } };
		size_t i;
		char *end;
		double v;

		if (!isdigit((unsigned char)*s) && *s != '.')
			return -EINVAL;
		if (s[strspn(s, "0123456789.")] == 'x')
			return -EINVAL; /* strtod would read hexadecimal */
		v = strtod(s, &end);
		if (end == s)
			return -EINVAL;
		for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
			size_t n = strlen(units[i].unit);

			if (!strncmp(end, units[i].unit, n) && !isalpha((unsigned char)end[n]))
				break;
		}
		if (i == sizeof(units) / sizeof(units[0]))
			return -EINVAL;
		total += v * units[i].s;
		s = end + strlen(units[i].unit);
	}
	if (!(total < 1e9))
		return -EINVAL;
	*ret = total < 1 ? 1 : (int64_t)total;
	return 0;
}

static int parse_descriptor(const char *text, struct cron *ret, char *why, size_t size)
{
	static const struct {
		const char *word, *means;
	} words[] = { { "@yearly", "0 0 1 1 *" }, { "@annually", "0 0 1 1 *" }, { "@monthly", "0 0 1 * *" },
		      { "@weekly", "0 0 * * 0" }, { "@daily", "0 0 * * *" },	{ "@midnight", "0 0 * * *" },
		      { "@hourly", "0 * * * *" } };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (streq(text, words[i].word))
			return cron_parse(words[i].means, ret, why, size);
	if (str_starts(text, "@every ") && parse_every(text + 7, &ret->every_s) == 0)
		return 0;
	snprintf(why, size, "unrecognized descriptor: %.64s", text);
	return -EINVAL;
}

int cron_parse(const char *text, struct cron *ret, char *why, size_t size)
{
	static const char blanks[] = " \t\n\r\v\f";
	struct cron c = { 0 };
	uint64_t *const masks[] = { &c.minutes, &c.hours, &c.days, &c.months, &c.weekdays };
	const char *at[5];
	size_t len[5], n = 0;

	if (str_starts(text, "TZ=") || str_starts(text, "CRON_TZ=")) {
		snprintf(why, size, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
		return -EINVAL;
	}
	if (*text == '@') {
		if (parse_descriptor(text, &c, why, size) < 0)
			return -EINVAL;
		*ret = c;
		return 0;
	}
	for (const char *p = text + strspn(text, blanks); *p; p += strspn(p, blanks)) {
		if (n < 5) {
			at[n] = p;
			len[n] = strcspn(p, blanks);
		}
		n++;
		p += strcspn(p, blanks);
	}
	if (n != 5) {
		snprintf(why, size, "expected exactly 5 fields, found %zu: [%.64s]", n, text);
		return -EINVAL;
	}
	for (size_t i = 0; i < 5; i++) {
		bool star = false;

		if (parse_field(&fields[i], at[i], len[i], masks[i], &star, why, size) < 0)
			return -EINVAL;
		if (i == 2)
			c.any_day = star;
		if (i == 4)
			c.any_weekday = star;
	}
	*ret = c;
	return 0;
}

const char *cron_time_zone_check(const char *name)
{
	char path[300];
	struct stat st;

	if (!*name)
		return "timeZone must be nil or non-empty string";
	if (!strcasecmp(name, "Local"))
		return "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
	/* The name becomes a path: no way out of the directory. */
	if (strlen(name) > 64 || name[0] == '/' || strstr(name, "..") || strstr(name, "//") ||
	    name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/")])
		return "unknown time zone";
	if (streq(name, "UTC") || stat(ZONE_DIR, &st) < 0)
		return NULL; /* without the data nothing more can be said here */
	snprintf(path, sizeof(path), ZONE_DIR "/%s", name);
	return stat(path, &st) < 0 || !S_ISREG(st.st_mode) ? "unknown time zone" : NULL;
}
