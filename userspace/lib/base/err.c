/* SPDX-License-Identifier: Apache-2.0 */
/* Error texts: see err.h. */
#include "err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void mark_truncated(char *buf, size_t size, int len)
{
	if (len >= 0 && (size_t)len >= size)
		memcpy(buf + size - 4, "...", 4);
}

int err_set(struct err *err, int code, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;
	int n;

	if (code <= 0)
		code = code < 0 ? -code : EIO;
	if (!err)
		return -code;
	errno = saved; /* so that %m in fmt means what the caller saw */
	va_start(ap, fmt);
	n = vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	mark_truncated(err->msg, sizeof(err->msg), n);
	err->code = code;
	return -code;
}

int err_wrap(struct err *err, int r, const char *fmt, ...)
{
	char text[sizeof(err->msg)];
	size_t used;
	va_list ap;
	int n;

	if (!err)
		return r;
	memcpy(text, err->msg, sizeof(text));
	va_start(ap, fmt);
	n = vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	mark_truncated(err->msg, sizeof(err->msg), n);
	used = strlen(err->msg);
	n = snprintf(err->msg + used, sizeof(err->msg) - used, ": %s", text[0] ? text : strerror(r < 0 ? -r : r));
	mark_truncated(err->msg + used, sizeof(err->msg) - used, n);
	err->code = r < 0 ? -r : r;
	return r;
}

void err_clear(struct err *err)
{
	if (!err)
		return;
	err->code = 0;
	err->msg[0] = '\0';
}
