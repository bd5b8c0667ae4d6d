/* SPDX-License-Identifier: Apache-2.0 */
/* Growing byte strings: see strbuf.h. */
#include "strbuf.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char strbuf_empty[1];

void strbuf_init(struct strbuf *sb)
{
	*sb = (struct strbuf)STRBUF_INIT;
}

void strbuf_done(struct strbuf *sb)
{
	if (sb->cap)
		free(sb->buf);
	strbuf_init(sb);
}

void strbuf_clear(struct strbuf *sb)
{
	sb->len = 0;
	sb->oom = false;
	if (sb->cap)
		sb->buf[0] = '\0';
}

int strbuf_reserve(struct strbuf *sb, size_t extra)
{
	size_t want, cap;
	char *p;

	if (sb->oom)
		return -ENOMEM;
	if (extra >= SIZE_MAX / 2 - sb->len)
		goto oom;
	want = sb->len + extra + 1;
	if (want <= sb->cap)
		return 0;
	cap = sb->cap ? sb->cap : 64;
	while (cap < want)
		cap += cap / 2 + 16;
	p = realloc(sb->cap ? sb->buf : NULL, cap);
	if (!p)
		goto oom;
	if (!sb->cap)
		p[0] = '\0';
	sb->buf = p;
	sb->cap = cap;
	return 0;
oom:
	sb->oom = true;
	return -ENOMEM;
}

void strbuf_fit(struct strbuf *sb)
{
	char *p = sb->cap > sb->len + 1 ? realloc(sb->buf, sb->len + 1) : NULL;

	if (p) {
		sb->buf = p;
		sb->cap = sb->len + 1;
	}
}

void strbuf_add(struct strbuf *sb, const void *data, size_t len)
{
	if (!len || strbuf_reserve(sb, len) < 0)
		return;
	memcpy(sb->buf + sb->len, data, len);
	sb->len += len;
	sb->buf[sb->len] = '\0';
}

void strbuf_adds(struct strbuf *sb, const char *s)
{
	strbuf_add(sb, s, strlen(s));
}

void strbuf_addc(struct strbuf *sb, char c)
{
	strbuf_add(sb, &c, 1);
}

void strbuf_vaddf(struct strbuf *sb, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0 || strbuf_reserve(sb, (size_t)n) < 0)
		return;
	if (!n)
		return;
	vsnprintf(sb->buf + sb->len, (size_t)n + 1, fmt, ap);
	sb->len += (size_t)n;
}

void strbuf_addf(struct strbuf *sb, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	strbuf_vaddf(sb, fmt, ap);
	va_end(ap);
}

/* Length of the UTF-8 sequence at s, 0 if it is not valid (overlong, surrogate, truncated). */
static size_t utf8_len(const unsigned char *s)
{
	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		return (s[1] & 0xc0) == 0x80 ? 2 : 0;
	if ((s[0] & 0xf0) == 0xe0) {
		if ((s[1] & 0xc0) != 0x80 || (s[2] & 0xc0) != 0x80)
			return 0;
		if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f))
			return 0;
		return 3;
	}
	if (s[0] >= 0xf0 && s[0] <= 0xf4) {
		if ((s[1] & 0xc0) != 0x80 || (s[2] & 0xc0) != 0x80 || (s[3] & 0xc0) != 0x80)
			return 0;
		if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
			return 0;
		return 4;
	}
	return 0;
}

void strbuf_add_json(struct strbuf *sb, const char *str)
{
	const unsigned char *s = (const unsigned char *)str;

	strbuf_addc(sb, '"');
	while (*s) {
		size_t plain = 0, n;

		while (s[plain] >= 0x20 && s[plain] < 0x7f && s[plain] != '"' && s[plain] != '\\')
			plain++;
		strbuf_add(sb, s, plain);
		s += plain;
		if (!*s)
			break;
		switch (*s) {
		case '"':
			strbuf_adds(sb, "\\\"");
			s++;
			continue;
		case '\\':
			strbuf_adds(sb, "\\\\");
			s++;
			continue;
		case '\n':
			strbuf_adds(sb, "\\n");
			s++;
			continue;
		case '\t':
			strbuf_adds(sb, "\\t");
			s++;
			continue;
		case '\r':
			strbuf_adds(sb, "\\r");
			s++;
			continue;
		}
		n = *s < 0x20 || *s == 0x7f ? 0 : utf8_len(s);
		if (n) {
			strbuf_add(sb, s, n);
			s += n;
		} else if (*s < 0x20 || *s == 0x7f) {
			strbuf_addf(sb, "\\u%04x", *s++);
		} else {
			strbuf_adds(sb, "\xef\xbf\xbd");
			s++;
		}
	}
	strbuf_addc(sb, '"');
}

void strbuf_drop_front(struct strbuf *sb, size_t n)
{
	if (n > sb->len)
		n = sb->len;
	if (!n)
		return;
	memmove(sb->buf, sb->buf + n, sb->len - n + 1);
	sb->len -= n;
}

char *strbuf_detach(struct strbuf *sb, size_t *ret_len)
{
	char *p;

	if (strbuf_reserve(sb, 0) < 0) {
		strbuf_done(sb);
		return NULL;
	}
	p = sb->buf;
	if (ret_len)
		*ret_len = sb->len;
	strbuf_init(sb);
	return p;
}
