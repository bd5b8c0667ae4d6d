/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses as text and v4-mapped bytes: see net.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../../lib/base/str.h"
#include "net.h"

bool ip_is_zero(const struct ip_addr *ip)
{
	static const struct ip_addr zero;

	return !memcmp(ip, &zero, sizeof(zero));
}

bool ip_is_v4(const struct ip_addr *ip)
{
	return !ip->w[0] && !ip->w[1] && ip->w[2] == htonl(0xffff);
}

bool ip_equal(const struct ip_addr *a, const struct ip_addr *b)
{
	return !memcmp(a, b, sizeof(*a));
}

int ip_parse(const char *text, struct ip_addr *ret)
{
	struct ip_addr ip = { { 0, 0, htonl(0xffff), 0 } };

	if (inet_pton(AF_INET, text, &ip.w[3]) != 1 && inet_pton(AF_INET6, text, &ip) != 1)
		return -EINVAL;
	*ret = ip;
	return 0;
}

char *ip_text(const struct ip_addr *ip, char *buf)
{
	buf[0] = '\0';
	if (ip_is_v4(ip))
		inet_ntop(AF_INET, &ip->w[3], buf, INET6_ADDRSTRLEN);
	else if (!ip_is_zero(ip))
		inet_ntop(AF_INET6, ip, buf, INET6_ADDRSTRLEN);
	return buf;
}

int ip_parse_cidr(const char *text, size_t n, struct ip_addr *ret, unsigned *ret_len)
{
	char buf[64], *slash;
	int64_t len;

	if (n >= sizeof(buf))
		return -EINVAL;
	memcpy(buf, text, n);
	buf[n] = '\0';
	slash = strchr(buf, '/');
	if (!slash)
		return -EINVAL;
	*slash = '\0';
	if (ip_parse(buf, ret) < 0 || str_to_i64(slash + 1, 0, ip_is_v4(ret) ? 32 : 128, &len) < 0)
		return -EINVAL;
	*ret_len = (unsigned)len;
	return 0;
}

int ip_parse_list(const char *list, struct ip_addr *ret4, struct ip_addr *ret6, struct err *err)
{
	*ret4 = *ret6 = (struct ip_addr){ 0 };
	while (*list) {
		size_t n = strcspn(list, ",");
		struct ip_addr ip, *to;
		char buf[64];

		snprintf(buf, sizeof(buf), "%.*s", (int)(n < sizeof(buf) ? n : sizeof(buf) - 1), list);
		if (ip_parse(buf, &ip) < 0)
			return err_set(err, EINVAL, "'%s' is not an IP address", buf);
		to = ip_is_v4(&ip) ? ret4 : ret6;
		if (ip_is_zero(to))
			*to = ip;
		list += n + (list[n] == ',');
	}
	return 0;
}

int ip_parse_cidr_list(const char *list, struct ip_addr *ret4, unsigned *ret_len4, struct ip_addr *ret6,
		       unsigned *ret_len6, struct err *err)
{
	*ret4 = *ret6 = (struct ip_addr){ 0 };
	*ret_len4 = *ret_len6 = 0;
	while (*list) {
		size_t n = strcspn(list, ",");
		struct ip_addr ip;
		unsigned len;

		if (ip_parse_cidr(list, n, &ip, &len) < 0)
			return err_set(err, EINVAL, "'%.*s' is not a range such as 10.0.0.0/8 or fd00::/48", (int)n,
				       list);
		if (ip_is_v4(&ip) && ip_is_zero(ret4)) {
			*ret4 = ip;
			*ret_len4 = len;
		} else if (!ip_is_v4(&ip) && ip_is_zero(ret6)) {
			*ret6 = ip;
			*ret_len6 = len;
		}
		list += n + (list[n] == ',');
	}
	return 0;
}
