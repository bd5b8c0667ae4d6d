/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plain YAML scalars. 0644 is octal here, "yes" is true and "1_000" a thousand: files written for kubectl mean just
 * that.
 */
#include "api-internal.h"
#include "yaml.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool in(const char *const *words, const char *s)
{
	for (; *words; words++)
		if (!strcmp(*words, s))
			return true;
	return false;
}

/* [-+]? then 0x, 0o, 0b, a leading 0 for octal, or decimal; underscores between digits are dropped by the caller. */
static bool parse_int(const char *s, json_int_t *ret)
{
	bool negative = *s == '-';
	const char *p = s + (*s == '-' || *s == '+');
	int base = 10;
	unsigned long long v;
	char *end;

	if (!isdigit((unsigned char)*p))
		return false;
	if (p[0] == '0' && p[1]) {
		base = p[1] == 'x' || p[1] == 'X' ? 16 : p[1] == 'b' || p[1] == 'B' ? 2 : 8;
		p += base != 8 || p[1] == 'o' || p[1] == 'O' ? 2 : 1;
		if (!isxdigit((unsigned char)*p))
			return false;
	}
	errno = 0;
	v = strtoull(p, &end, base);
	if (*end || errno || v > (unsigned long long)INT64_MAX + negative)
		return false;
	*ret = negative ? (json_int_t)(0 - v) : (json_int_t)v;
	return true;
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? */
static bool is_float(const char *s)
{
	size_t whole, frac = 0;

	s += *s == '-' || *s == '+';
	whole = strspn(s, "0123456789");
	s += whole;
	if (*s == '.') {
		frac = strspn(++s, "0123456789");
		s += frac;
	}
	if (!whole && !frac)
		return false;
	if (*s == 'e' || *s == 'E') {
		s++;
		s += *s == '-' || *s == '+';
		if (!isdigit((unsigned char)*s))
			return false;
		s += strspn(s, "0123456789");
	}
	return !*s;
}

static json_t *number(const char *s)
{
	json_int_t i;
	double d;

	if (parse_int(s, &i))
		return json_integer(i);
	if (!is_float(s))
		return NULL;
	d = strtod(s, NULL);
	if (!isfinite(d))
		return NULL;
	/* JSON of 1.0 is 1. */
	if (d == floor(d) && fabs(d) < 1e15)
		return json_integer((json_int_t)d);
	return json_real(d);
}

json_t *api_yaml_plain(const char *s, size_t len, bool *ret_bad)
{
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL", NULL };
	static const char *const trues[] = { "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", NULL };
	static const char *const falses[] = { "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", NULL };
	static const char *const beyond[] = { ".inf",  ".Inf",	".INF", "+.inf", "+.Inf", "+.INF", "-.inf",
					      "-.Inf", "-.INF", ".nan", ".NaN",	 ".NAN",  NULL };
	char digits[64];
	json_t *v;

	*ret_bad = false;
	/* Longer than any keyword or number that is one: a string. */
	if (len >= sizeof(digits) || memchr(s, '\0', len))
		return json_stringn(s, len);
	if (in(nulls, s))
		return json_null();
	if (in(trues, s))
		return json_true();
	if (in(falses, s))
		return json_false();
	if (in(beyond, s)) {
		*ret_bad = true;
		return NULL;
	}
	if (isdigit((unsigned char)*s) || strchr("+-.", *s)) {
		size_t n = 0;

		for (size_t i = 0; i < len; i++)
			if (s[i] != '_')
				digits[n++] = s[i];
		digits[n] = '\0';
		v = n ? number(digits) : NULL;
		if (v)
			return v;
	}
	return json_stringn(s, len);
}
