/* SPDX-License-Identifier: Apache-2.0 */
/* Forms a string can have: names, label keys and values, addresses, ports. The messages are Kubernetes' own words. */
#include "api-internal.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../base/str.h"

#define LABEL_MSG                                                                                                            \
	"a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with " \
	"an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
#define SUBDOMAIN_MSG                                                                                                    \
	"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start " \
	"and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "                      \
	"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
#define LABEL1035_MSG                                                                                                     \
	"a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "           \
	"character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is " \
	"'[a-z]([-a-z0-9]*[a-z0-9])?')"
#define NAME_PART_MSG                                                                                                  \
	"name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "          \
	"alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "           \
	"'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
#define LABEL_VALUE_MSG                                                                                                      \
	"a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start "      \
	"and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is " \
	"'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
#define CONFIG_KEY_MSG                                                                                                    \
	"a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  " \
	"or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
#define HTTP_HEADER_MSG                                                                                                \
	"a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for "    \
	"validation is '[-A-Za-z0-9]+')"

static bool is_lower_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_label(const char *s, size_t len)
{
	if (!len || !is_lower_alnum(s[0]) || !is_lower_alnum(s[len - 1]))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!is_lower_alnum(s[i]) && s[i] != '-')
			return false;
	return true;
}

static bool is_subdomain(const char *s)
{
	for (;;) {
		size_t len = strcspn(s, ".");

		if (!is_label(s, len))
			return false;
		if (!s[len])
			return true;
		s += len + 1;
	}
}

/* Letters, digits, '-', '_' and '.' that begin and end with a letter or digit. */
static bool is_name_part(const char *s)
{
	size_t len = strlen(s);

	if (!len || !isalnum((unsigned char)s[0]) || !isalnum((unsigned char)s[len - 1]))
		return false;
	return strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == len;
}

static const char *check_label(const char *s)
{
	if (strlen(s) > 63)
		return "must be no more than 63 characters";
	return is_label(s, strlen(s)) ? NULL : LABEL_MSG;
}

static const char *check_label1035(const char *s)
{
	if (strlen(s) > 63)
		return "must be no more than 63 characters";
	return is_label(s, strlen(s)) && !isdigit((unsigned char)*s) ? NULL : LABEL1035_MSG;
}

static const char *check_subdomain(const char *s)
{
	if (strlen(s) > 253)
		return "must be no more than 253 characters";
	return is_subdomain(s) ? NULL : SUBDOMAIN_MSG;
}

static const char *check_label_key(const char *s)
{
	const char *slash = strchr(s, '/');

	if (slash) {
		char prefix[254];
		size_t len = (size_t)(slash - s);

		if (!len)
			return "prefix part must be non-empty";
		if (len >= sizeof(prefix))
			return "prefix part must be no more than 253 characters";
		memcpy(prefix, s, len);
		prefix[len] = '\0';
		if (!is_subdomain(prefix))
			return "prefix part " SUBDOMAIN_MSG;
		s = slash + 1;
		if (strchr(s, '/'))
			return "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with "
			       "an alphanumeric character with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
	}
	if (!*s)
		return "name part must be non-empty";
	if (strlen(s) > 63)
		return "name part must be no more than 63 characters";
	return is_name_part(s) ? NULL : NAME_PART_MSG;
}

static const char *check_label_value(const char *s)
{
	if (strlen(s) > 63)
		return "must be no more than 63 characters";
	return !*s || is_name_part(s) ? NULL : LABEL_VALUE_MSG;
}

static const char *check_port_name(const char *s)
{
	size_t len = strlen(s);
	bool letter = false;

	if (!len || len > 15)
		return "must be no more than 15 characters";
	for (size_t i = 0; i < len; i++) {
		if (!is_lower_alnum(s[i]) && s[i] != '-')
			return "must contain only alphanumeric characters (a-z, 0-9), and hyphens (-)";
		if (s[i] == '-' && s[i + 1] == '-')
			return "must not contain consecutive hyphens";
		letter |= s[i] >= 'a' && s[i] <= 'z';
	}
	if (!letter)
		return "must contain at least one letter (a-z)";
	return s[0] == '-' || s[len - 1] == '-' ? "must not begin or end with a hyphen" : NULL;
}

static const char *check_ip(const char *s)
{
	unsigned char addr[16];

	if (inet_pton(AF_INET, s, addr) == 1 || inet_pton(AF_INET6, s, addr) == 1)
		return NULL;
	return "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
}

int api_cidr_parse(const char *s, struct api_cidr *ret)
{
	char addr[64];
	const char *slash = strchr(s, '/');
	struct api_cidr c = { 0 };
	int64_t bits;

	if (!slash || (size_t)(slash - s) >= sizeof(addr))
		return -EINVAL;
	memcpy(addr, s, (size_t)(slash - s));
	addr[slash - s] = '\0';
	c.v6 = strchr(addr, ':');
	if (inet_pton(c.v6 ? AF_INET6 : AF_INET, addr, c.addr) != 1)
		return -EINVAL;
	if (!isdigit((unsigned char)slash[1]) || str_to_i64(slash + 1, 0, c.v6 ? 128 : 32, &bits) < 0)
		return -EINVAL;
	c.bits = (int)bits;
	*ret = c;
	return 0;
}

bool api_cidr_strictly_within(const struct api_cidr *inner, const struct api_cidr *outer)
{
	if (inner->v6 != outer->v6 || inner->bits <= outer->bits)
		return false;
	for (int i = 0; i < outer->bits; i++)
		if (((inner->addr[i / 8] ^ outer->addr[i / 8]) >> (7 - i % 8)) & 1)
			return false;
	return true;
}

static const char *check_cidr(const char *s)
{
	struct api_cidr c;

	return api_cidr_parse(s, &c) < 0 ? "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)" : NULL;
}

static const char *check_path_segment(const char *s)
{
	if (streq(s, "."))
		return "may not be '.'";
	if (streq(s, ".."))
		return "may not be '..'";
	if (strchr(s, '/'))
		return "may not contain '/'";
	return strchr(s, '%') ? "may not contain '%'" : NULL;
}

static const char *check_config_key(const char *s)
{
	if (strlen(s) > 253)
		return "must be no more than 253 characters";
	if (!*s || strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != strlen(s))
		return CONFIG_KEY_MSG;
	if (streq(s, "."))
		return "must not be '.'";
	if (streq(s, ".."))
		return "must not be '..'";
	return str_starts(s, "..") ? "must not start with '..'" : NULL;
}

static const char *check_env_name(const char *s)
{
	for (const char *p = s; *p; p++)
		if (*p < ' ' || *p > '~' || *p == '=')
			return "a valid environment variable name must consist only of printable ASCII characters other than '='";
	return NULL;
}

static const char *check_http_header(const char *s)
{
	for (const char *p = s; *p; p++)
		if (!isalnum((unsigned char)*p) && *p != '-')
			return HTTP_HEADER_MSG;
	return *s ? NULL : HTTP_HEADER_MSG;
}

static const struct {
	const char *name;
	const char *(*check)(const char *s);
} formats[] = {
	{ "dns-label", check_label },
	{ "dns-1035-label", check_label1035 },
	{ "dns-subdomain", check_subdomain },
	{ "label-key", check_label_key },
	{ "label-value", check_label_value },
	{ "port", check_port_name }, /* the string form of a port that may be a number */
	{ "port-name", check_port_name },
	{ "ip", check_ip },
	{ "cidr", check_cidr },
	{ "path-segment", check_path_segment },
	{ "config-key", check_config_key },
	{ "env-name", check_env_name },
	{ "http-header", check_http_header },
};

const char *api_format_check(const char *format, const char *value)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (!strcmp(formats[i].name, format))
			return formats[i].check(value);
	return "has a format unknown to this build";
}
