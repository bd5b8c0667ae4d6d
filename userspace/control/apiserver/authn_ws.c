/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A browser cannot set headers of a WebSocket: it offers its bearer token as one of the subprotocols, base64url after
 * a prefix. It is taken out before the request is passed on.
 */
#include <errno.h>
#include <string.h>

#include "authn.h"
#include "jwt-internal.h"

#define PREFIX "base64url.bearer.authorization.k8s.io."

/* The next of a comma-separated list; *ret_len 0: none. Moves *list on. */
static const char *next_item(const char **list, size_t *ret_len)
{
	const char *item = *list + strspn(*list, " \t,");
	size_t n = strcspn(item, ",");

	*list = item + n;
	while (n && (item[n - 1] == ' ' || item[n - 1] == '\t'))
		n--;
	*ret_len = n;
	return item;
}

static bool is_bearer(const char *item, size_t len)
{
	return len >= strlen(PREFIX) && !strncmp(item, PREFIX, strlen(PREFIX));
}

int ws_bearer(const char *offer, char *buf, size_t size)
{
	size_t skip = strlen(PREFIX), tokens = 0, others = 0, len, n;
	const char *item;

	while (offer && (item = next_item(&offer, &len), len)) {
		if (!is_bearer(item, len)) {
			others++;
			continue;
		}
		if (tokens++ || jwt_unbase64url(item + skip, len - skip, (unsigned char *)buf, size - 1, &n) < 0 ||
		    !n || memchr(buf, '\0', n))
			return -EINVAL;
		buf[n] = '\0';
	}
	if (!tokens)
		return 0;
	/* The server must choose one, and it is not the token. */
	return others ? 1 : -EINVAL;
}

void ws_bearer_strip(const char *offer, struct strbuf *out)
{
	const char *item;
	size_t len;

	while (item = next_item(&offer, &len), len)
		if (!is_bearer(item, len))
			strbuf_addf(out, "%s%.*s", out->len ? ", " : "", (int)len, item);
}
