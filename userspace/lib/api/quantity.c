/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kubernetes' resource quantities: [sign] digits [. digits] then a decimal suffix (n u m k M G T P E), a binary one
 * (Ki .. Ei) or an exponent. Values are kept in thousand-millionths of a unit, the finest grain there is; finer parts
 * round up, away from zero, and what is beyond 2^63 units saturates.
 */
#include "api-internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

typedef __int128 nano_t;
#define NANO	 ((nano_t)1000000000)
#define NANO_MAX ((nano_t)INT64_MAX * NANO)

enum form { DECIMAL_SI, BINARY_SI, DECIMAL_EXPONENT };

static nano_t pow10_128(int n)
{
	nano_t v = 1;

	while (n-- > 0)
		v *= 10;
	return v;
}

/* Power of ten, or of two for BINARY_SI, that a suffix stands for. */
static int parse_suffix(const char *s, enum form *ret_form, int *ret_power)
{
	static const char decimal[] = "num\0kMGTPE";
	static const char binary[] = "KMGTPE";
	const char *at;

	*ret_form = DECIMAL_SI;
	if (!*s) {
		*ret_power = 0;
		return 0;
	}
	if (s[1] == 'i' && !s[2] && (at = strchr(binary, s[0]))) {
		*ret_form = BINARY_SI;
		*ret_power = 10 * (int)(at - binary + 1);
		return 0;
	}
	if (!s[1] && (at = memchr(decimal, s[0], sizeof(decimal) - 1))) {
		*ret_power = 3 * (int)(at - decimal) - 9;
		return 0;
	}
	if (*s == 'e' || *s == 'E') {
		char *end;
		long e;

		if (!isdigit((unsigned char)s[1]) && !((s[1] == '+' || s[1] == '-') && isdigit((unsigned char)s[2])))
			return -EINVAL;
		e = strtol(s + 1, &end, 10);
		if (*end || e > 100 || e < -100)
			return -EINVAL;
		*ret_form = DECIMAL_EXPONENT;
		*ret_power = (int)e;
		return 0;
	}
	return -EINVAL;
}

static int parse(const char *q, nano_t *ret, enum form *ret_form)
{
	nano_t mant = 0;
	int digits = 0, whole = 0, frac = 0, power, r;
	bool negative = false, dot = false, rest = false, huge = false;

	if (!q)
		return -EINVAL;
	if (*q == '+' || *q == '-')
		negative = *q++ == '-';
	for (; isdigit((unsigned char)*q) || (*q == '.' && !dot); q++) {
		if (*q == '.') {
			dot = true;
			continue;
		}
		digits++;
		if (!dot && mant)
			whole++;
		if (whole > 18) {
			huge = true;
		} else if (dot && frac == 18) {
			rest |= *q != '0';
		} else {
			mant = mant * 10 + (*q - '0');
			frac += dot;
		}
	}
	if (!digits)
		return -EINVAL;
	r = parse_suffix(q, ret_form, &power);
	if (r < 0)
		return r;

	/* mant * 10^-frac * (10^power or 2^power), in nano. The long double only decides whether it fits. */
	if (mant || rest) {
		long double approx = (long double)mant;
		int e = 9 - frac;

		for (int i = 0; i < frac; i++)
			approx /= 10;
		if (*ret_form == BINARY_SI)
			approx *= (long double)((nano_t)1 << power);
		else
			for (int i = 0; i < power || i < -power; i++)
				approx = power > 0 ? approx * 10 : approx / 10;
		huge |= approx >= 9.2e18L;
		if (huge) {
			mant = NANO_MAX;
			rest = false;
			e = 0;
		} else if (*ret_form == BINARY_SI) {
			mant <<= power;
		} else {
			e += power;
		}
		if (e >= 0) {
			mant *= pow10_128(e > 27 ? 27 : e);
		} else {
			nano_t div = pow10_128(-e > 38 ? 38 : -e);

			rest |= mant % div != 0;
			mant /= div;
		}
		if (rest)
			mant++;
	}
	*ret = negative ? -mant : mant;
	return 0;
}

static int64_t scale_up(nano_t v, nano_t unit)
{
	nano_t n = v / unit;

	if (v % unit > 0)
		n++;
	if (n > INT64_MAX)
		return INT64_MAX;
	if (n < INT64_MIN)
		return INT64_MIN;
	return (int64_t)n;
}

int api_quantity_milli(const char *q, int64_t *ret)
{
	nano_t v;
	enum form form;
	int r = parse(q, &v, &form);

	if (r == 0)
		*ret = scale_up(v, 1000000);
	return r;
}

int api_quantity_value(const char *q, int64_t *ret)
{
	nano_t v;
	enum form form;
	int r = parse(q, &v, &form);

	if (r == 0)
		*ret = scale_up(v, NANO);
	return r;
}

int api_quantity_compare(const char *a, const char *b)
{
	int64_t x = 0, y = 0;

	if (api_quantity_value(a, &x) < 0 || api_quantity_value(b, &y) < 0)
		return 0;
	if (x == y && (api_quantity_milli(a, &x) < 0 || api_quantity_milli(b, &y) < 0))
		return 0;
	return x < y ? -1 : x > y;
}

static void write_decimal(nano_t v, bool exponent, char *buf, size_t size)
{
	static const char *const suffix[] = { "n", "u", "m", "", "k", "M", "G", "T", "P", "E" };
	int i = 0;

	if (!v) {
		snprintf(buf, size, "0");
		return;
	}
	while (i < 9 && v % 1000 == 0) {
		v /= 1000;
		i++;
	}
	/* With the suffix in place the number fits 64 bits: v is at most 2^63 units. */
	if (exponent && i != 3)
		snprintf(buf, size, "%llde%d", (long long)v, 3 * i - 9);
	else
		snprintf(buf, size, "%lld%s", (long long)v, suffix[i]);
}

static void write_form(nano_t v, enum form form, char *buf, size_t size)
{
	static const char *const suffix[] = { "", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei" };
	int64_t n;
	int i = 0;

	/* More digits than 64 bits hold would be lost in writing: round such values to whole units. */
	if (v > INT64_MAX || v < INT64_MIN) {
		n = scale_up(v, NANO);
		if (v % NANO && (v / 1000 > INT64_MAX || v / 1000 < INT64_MIN || v % 1000))
			v = (nano_t)n * NANO;
	}
	if (form != BINARY_SI || (v < 1024 * NANO && v > -1024 * NANO)) {
		write_decimal(v, form == DECIMAL_EXPONENT, buf, size);
		return;
	}
	n = scale_up(v, NANO);
	while (i < 6 && n % 1024 == 0) {
		n /= 1024;
		i++;
	}
	snprintf(buf, size, "%lld%s", (long long)n, suffix[i]);
}

int api_quantity_canonical(const char *q, char *buf, size_t size)
{
	enum form form;
	nano_t v;
	int r = parse(q, &v, &form);

	if (r == 0)
		write_form(v, form, buf, size);
	return r;
}

int api_quantity_add(const char *a, const char *b, int sign, char *buf, size_t size)
{
	enum form form, form_b;
	nano_t v, w;
	int r = parse(a, &v, &form);

	if (r == 0)
		r = parse(b, &w, &form_b);
	if (r < 0)
		return r;
	if (!v)
		form = form_b;
	v += sign < 0 ? -w : w;
	if (v > NANO_MAX)
		v = NANO_MAX;
	if (v < -NANO_MAX)
		v = -NANO_MAX;
	write_form(v, form, buf, size);
	return 0;
}

void api_quantity_format_milli(int64_t milli, char *buf, size_t size)
{
	write_decimal((nano_t)milli * 1000000, false, buf, size);
}
