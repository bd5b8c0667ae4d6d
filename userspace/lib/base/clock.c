/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks and RFC 3339 times: see clock.h. */
#include "clock.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool fake;
static int64_t fake_mono, fake_real;

static uint64_t read_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

int64_t clock_mono_ms(void)
{
	return fake ? fake_mono : (int64_t)(read_ns(CLOCK_MONOTONIC) / 1000000);
}

uint64_t clock_mono_ns(void)
{
	return fake ? (uint64_t)fake_mono * 1000000 : read_ns(CLOCK_MONOTONIC);
}

int64_t clock_real_ms(void)
{
	return fake ? fake_real : (int64_t)(read_ns(CLOCK_REALTIME) / 1000000);
}

void clock_fake_set(int64_t mono_ms, int64_t real_ms)
{
	fake = true;
	fake_mono = mono_ms;
	fake_real = real_ms;
}

void clock_fake_advance(int64_t ms)
{
	fake_mono += ms;
	fake_real += ms;
}

void clock_fake_clear(void)
{
	fake = false;
}

static char *format(int64_t real_ms, int digits, char *buf)
{
	time_t t = (time_t)(real_ms / 1000);
	int ms = (int)(real_ms % 1000);
	struct tm tm;
	size_t n;

	if (ms < 0) {
		ms += 1000;
		t--;
	}
	gmtime_r(&t, &tm);
	n = strftime(buf, CLOCK_RFC3339_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
	if (digits == 3)
		n += (size_t)snprintf(buf + n, CLOCK_RFC3339_SIZE - n, ".%03d", ms);
	else if (digits == 6)
		n += (size_t)snprintf(buf + n, CLOCK_RFC3339_SIZE - n, ".%03d000", ms);
	snprintf(buf + n, CLOCK_RFC3339_SIZE - n, "Z");
	return buf;
}

char *clock_rfc3339(int64_t real_ms, char *buf)
{
	return format(real_ms, 0, buf);
}

char *clock_rfc3339_ms(int64_t real_ms, char *buf)
{
	return format(real_ms, 3, buf);
}

char *clock_rfc3339_micro(int64_t real_ms, char *buf)
{
	return format(real_ms, 6, buf);
}

int clock_rfc3339_parse(const char *s, int64_t *ret_real_ms)
{
	int ms = 0, scale = 100, oh, om, used = 0, offset = 0;
	struct tm tm = { 0 };
	const char *p;

	p = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!p)
		return -EINVAL;
	if (*p == '.') {
		p++;
		if (*p < '0' || *p > '9')
			return -EINVAL;
		for (; *p >= '0' && *p <= '9'; p++, scale /= 10)
			ms += (*p - '0') * scale;
	}
	if (*p == 'Z' || *p == 'z') {
		p++;
	} else if (*p == '+' || *p == '-') {
		if (sscanf(p + 1, "%2d:%2d%n", &oh, &om, &used) != 2 || used != 5)
			return -EINVAL;
		offset = (oh * 60 + om) * 60 * (*p == '-' ? -1 : 1);
		p += 6;
	} else {
		return -EINVAL;
	}
	if (*p)
		return -EINVAL;
	*ret_real_ms = ((int64_t)timegm(&tm) - offset) * 1000 + ms;
	return 0;
}
