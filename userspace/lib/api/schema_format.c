/* SPDX-License-Identifier: Apache-2.0 */
/* Formats of strings that schemas may name (OpenAPI's and Kubernetes' own). A format that nobody knows fits all. */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/clock.h"
#include "../base/str.h"
#include "api-internal.h"

/* shape: 'd' a digit, 'x' a hexadecimal one, everything else itself. */
static bool has_shape(const char *s, const char *shape)
{
	for (; *shape; s++, shape++)
		if (*shape == 'd'   ? !isdigit((unsigned char)*s)
		    : *shape == 'x' ? !isxdigit((unsigned char)*s)
				    : *s != *shape)
			return false;
	return !*s;
}

static bool is_date(const char *s)
{
	int month, day;

	if (!has_shape(s, "dddd-dd-dd"))
		return false;
	month = atoi(s + 5);
	day = atoi(s + 8);
	return month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

static bool is_date_time(const char *s)
{
	int64_t ms;
	char upper[64];
	size_t n = 0;

	for (; s[n] && n < sizeof(upper) - 1; n++)
		upper[n] = (char)toupper((unsigned char)s[n]);
	upper[n] = '\0';
	return !s[n] && clock_rfc3339_parse(upper, &ms) == 0;
}

static bool is_uuid(const char *s, char version)
{
	if (!has_shape(s, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx") && !has_shape(s, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"))
		return false;
	return !version || s[strchr(s, '-') ? 14 : 12] == version;
}

static bool is_mac(const char *s)
{
	return has_shape(s, "xx:xx:xx:xx:xx:xx") || has_shape(s, "xx-xx-xx-xx-xx-xx") ||
	       has_shape(s, "xxxx.xxxx.xxxx") || has_shape(s, "xx:xx:xx:xx:xx:xx:xx:xx");
}

static bool is_ip(const char *s, int family)
{
	unsigned char raw[16];

	return inet_pton(family, s, raw) == 1;
}

static bool is_cidr(const char *s)
{
	struct api_cidr c;

	return api_cidr_parse(s, &c) == 0;
}

static bool is_base64(const char *s)
{
	size_t len;
	unsigned char *raw = str_unbase64(s, &len);

	free(raw);
	return raw != NULL;
}

/* What Go's url.ParseRequestURI takes: a scheme with something behind it, or an absolute path. */
static bool is_uri(const char *s)
{
	size_t scheme = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");

	for (const char *p = s; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			return false;
	return *s == '/' || (scheme && isalpha((unsigned char)*s) && s[scheme] == ':' && s[scheme + 1]);
}

static bool is_email(const char *s)
{
	const char *at = strrchr(s, '@');

	return at && at > s && at[1] && !strpbrk(s, " \t\r\n<>(),;:\\\"[]");
}

static bool is_hostname(const char *s)
{
	size_t len = strlen(s);

	if (!len || len > 255)
		return false;
	for (;;) {
		size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");

		if (!n || n > 63 || *s == '-' || s[n - 1] == '-')
			return false;
		if (!s[n] || (s[n] == '.' && !s[n + 1]))
			return true;
		if (s[n] != '.')
			return false;
		s += n + 1;
	}
}

bool api_schema_format_ok(const char *format, const char *v)
{
	int64_t ms;

	if (streq(format, "date-time") || streq(format, "datetime"))
		return is_date_time(v);
	if (streq(format, "date"))
		return is_date(v);
	if (streq(format, "byte"))
		return is_base64(v);
	if (streq(format, "duration"))
		return str_to_duration_ms(*v == '-' || *v == '+' ? v + 1 : v, &ms) == 0;
	if (streq(format, "ipv4"))
		return is_ip(v, AF_INET);
	if (streq(format, "ipv6"))
		return is_ip(v, AF_INET6);
	if (streq(format, "cidr"))
		return is_cidr(v);
	if (streq(format, "mac"))
		return is_mac(v);
	if (streq(format, "uri"))
		return is_uri(v);
	if (streq(format, "email"))
		return is_email(v);
	if (streq(format, "hostname"))
		return is_hostname(v);
	if (streq(format, "uuid"))
		return is_uuid(v, 0);
	if (streq(format, "uuid3") || streq(format, "uuid4") || streq(format, "uuid5"))
		return is_uuid(v, format[4]);
	if (streq(format, "hexcolor"))
		return has_shape(v + (*v == '#'), "xxx") || has_shape(v + (*v == '#'), "xxxxxx");
	if (streq(format, "bsonobjectid"))
		return has_shape(v, "xxxxxxxxxxxxxxxxxxxxxxxx");
	return true;
}
