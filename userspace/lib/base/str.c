/* SPDX-License-Identifier: Apache-2.0 */
/* String helpers: see str.h. */
#include "str.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

bool str_ends(const char *s, const char *suffix)
{
	size_t a = strlen(s), b = strlen(suffix);

	return a >= b && !strcmp(s + a - b, suffix);
}

int str_to_i64(const char *s, int64_t min, int64_t max, int64_t *ret)
{
	long long v;
	char *end;

	if (*s != '-' && (*s < '0' || *s > '9'))
		return -EINVAL;
	errno = 0;
	v = strtoll(s, &end, 10);
	if (end == s || *end)
		return -EINVAL;
	if (errno || v < min || v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

int str_to_port_range(const char *s, uint16_t *ret_first, uint16_t *ret_last)
{
	const char *dash = strchr(s, '-');
	int64_t first, last;
	char text[8];

	snprintf(text, sizeof(text), "%.*s", dash ? (int)(dash - s) : 6, s);
	if ((dash && dash - s > 5) || str_to_i64(text, 1, 65535, &first) < 0 ||
	    str_to_i64(dash ? dash + 1 : s, first, 65535, &last) < 0)
		return -EINVAL;
	*ret_first = (uint16_t)first;
	*ret_last = (uint16_t)last;
	return 0;
}

int str_to_u64(const char *s, uint64_t max, uint64_t *ret)
{
	unsigned long long v;
	char *end;

	if (*s < '0' || *s > '9')
		return -EINVAL;
	errno = 0;
	v = strtoull(s, &end, 10);
	if (*end)
		return -EINVAL;
	if (errno || v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

int str_to_duration_ms(const char *s, int64_t *ret_ms)
{
	double total = 0;
	char *end;

	if (!*s)
		return -EINVAL;
	while (*s) {
		double v, unit;

		if (*s < '0' || *s > '9')
			return -EINVAL;
		v = strtod(s, &end);
		s = end;
		if (str_starts(s, "ms"))
			unit = 1, s += 2;
		else if (*s == 's')
			unit = 1000, s++;
		else if (*s == 'm')
			unit = 60000, s++;
		else if (*s == 'h')
			unit = 3600000, s++;
		else
			return -EINVAL;
		total += v * unit;
		if (!(total < 9e15))
			return -ERANGE;
	}
	*ret_ms = (int64_t)total;
	return 0;
}

static const char b64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *str_base64(const void *data, size_t len)
{
	const unsigned char *p = data;
	char *out, *o;

	if (len > SIZE_MAX / 2)
		return NULL;
	out = o = malloc((len + 2) / 3 * 4 + 1);
	if (!out)
		return NULL;
	for (; len >= 3; len -= 3, p += 3) {
		*o++ = b64[p[0] >> 2];
		*o++ = b64[(p[0] & 3) << 4 | p[1] >> 4];
		*o++ = b64[(p[1] & 15) << 2 | p[2] >> 6];
		*o++ = b64[p[2] & 63];
	}
	if (len) {
		*o++ = b64[p[0] >> 2];
		*o++ = b64[(p[0] & 3) << 4 | (len > 1 ? p[1] >> 4 : 0)];
		*o++ = len > 1 ? b64[(p[1] & 15) << 2] : '=';
		*o++ = '=';
	}
	*o = '\0';
	return out;
}

unsigned char *str_unbase64(const char *s, size_t *ret_len)
{
	size_t n = strlen(s), len = 0;
	unsigned char *out;
	uint32_t acc = 0;

	if (n % 4)
		return NULL;
	out = malloc(n / 4 * 3 + 1);
	if (!out)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		const char *at = s[i] ? strchr(b64, s[i]) : NULL;
		size_t pad = s[i] == '=' ? n - i : 0;

		if (pad) {
			if (pad > 2 || (pad == 2 && s[i + 1] != '='))
				goto bad;
			acc <<= 6 * pad;
			if (acc & (pad == 2 ? 0xffff : 0xff))
				goto bad; /* bits beyond the data: not canonical */
			out[len++] = (unsigned char)(acc >> 16);
			if (pad == 1)
				out[len++] = (unsigned char)(acc >> 8);
			break;
		}
		if (!at)
			goto bad;
		acc = acc << 6 | (uint32_t)(at - b64);
		if (i % 4 == 3) {
			out[len++] = (unsigned char)(acc >> 16);
			out[len++] = (unsigned char)(acc >> 8);
			out[len++] = (unsigned char)acc;
			acc = 0;
		}
	}
	out[len] = '\0';
	if (ret_len)
		*ret_len = len;
	return out;
bad:
	free(out);
	return NULL;
}

char *str_uuid(char *buf)
{
	unsigned char r[16];

	if (getrandom(r, sizeof(r), 0) != sizeof(r))
		abort(); /* never on Linux after boot for 16 bytes */
	r[6] = (r[6] & 0x0f) | 0x40;
	r[8] = (r[8] & 0x3f) | 0x80;
	snprintf(buf, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", r[0], r[1], r[2],
		 r[3], r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12], r[13], r[14], r[15]);
	return buf;
}
