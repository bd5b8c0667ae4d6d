/* SPDX-License-Identifier: Apache-2.0 */
/* managedFields as text: found and cut out by those who have no use for them, which costs less than parsing them. */
#include <string.h>

#include "managed_fields.h"

#define NEAR_START 600 /* bytes in which an event's metadata begins */

size_t managed_array_length(const char *p, const char *end)
{
	const char *start = p;
	size_t depth = 0;

	for (; p < end; p++) {
		switch (*p) {
		case '"':
			for (p++; p < end && *p != '"'; p++)
				if (*p == '\\')
					p++;
			break;
		case '[':
		case '{':
			depth++;
			break;
		case ']':
		case '}':
			if (!depth || !--depth)
				return (size_t)(p + 1 - start);
			break;
		}
	}
	return 0;
}

size_t managed_cut_event(char *text, size_t len)
{
	static const char metadata[] = "\"metadata\":{\"resourceVersion\":\"", field[] = "\",\"managedFields\":[";
	char *end = text + len, *at, *rest;
	size_t n;

	at = memmem(text, len < NEAR_START ? len : NEAR_START, metadata, sizeof(metadata) - 1);
	if (!at)
		return len;
	at += sizeof(metadata) - 1;
	while (at < end && *at >= '0' && *at <= '9')
		at++;
	if ((size_t)(end - at) < sizeof(field) || memcmp(at, field, sizeof(field) - 1) != 0)
		return len;
	at++; /* the quote stays; ,"managedFields":[...] goes */
	rest = at + sizeof(field) - 3;
	n = managed_array_length(rest, end);
	if (!n)
		return len;
	rest += n;
	memmove(at, rest, (size_t)(end - rest));
	return len - (size_t)(rest - at);
}
