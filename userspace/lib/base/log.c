/* SPDX-License-Identifier: Apache-2.0 */
/* Logging: see log.h. */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"

static const char *const names[] = { "error", "warn", "info", "debug" };
static const char *prog = "skep";
static enum log_level limit = LOG_INFO;

void log_init(const char *program)
{
	const char *env = getenv("SKEP_LOG");

	prog = program;
	if (env && log_level_parse(env, &limit) < 0)
		log_warn("SKEP_LOG='%s' is not one of error, warn, info, debug; ignoring", env);
}

void log_set_level(enum log_level level)
{
	limit = level;
}

int log_level_parse(const char *s, enum log_level *ret_level)
{
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(s, names[i])) {
			*ret_level = (enum log_level)i;
			return 0;
		}
	return -EINVAL;
}

int log_enabled(enum log_level level)
{
	return level <= limit;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	char line[4096], when[CLOCK_RFC3339_SIZE];
	int saved = errno, n, m;
	va_list ap;

	if (level > limit)
		return;
	clock_rfc3339_ms(clock_real_ms(), when);
	n = snprintf(line, sizeof(line), "%s %-5s %s[%d]: ", when, names[level], prog, (int)getpid());
	errno = saved;
	va_start(ap, fmt);
	m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	va_end(ap);
	n += m < 0 ? 0 : m;
	if ((size_t)n > sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	/* One write per line keeps lines of several processes apart. A full or closed stderr must not stop a daemon. */
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		errno = saved;
	errno = saved;
}
