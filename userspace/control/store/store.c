/* SPDX-License-Identifier: Apache-2.0 */
/* What both stores share: key ranges and the bounds on what they take. */
#include "store.h"

#include <string.h>

#include "store-internal.h"

/* Keys are UTF-8, in which no byte is 0xff: "\xff" is behind all of them. */
char *store_prefix_end(const char *prefix, char *out)
{
	size_t n = strlen(prefix);

	memcpy(out, prefix, n);
	while (n && (unsigned char)out[n - 1] == 0xff)
		n--;
	if (n)
		out[n - 1]++;
	else
		out[n++] = (char)0xff;
	out[n] = '\0';
	return out;
}

int store_check_key(const char *key, char **ret_msg)
{
	if (!key[0])
		return store_fail(ret_msg, EINVAL, "empty key");
	if (strlen(key) > STORE_MAX_KEY)
		return store_fail(ret_msg, EINVAL, "key '%.100s...' is longer than %u bytes", key, STORE_MAX_KEY);
	return 0;
}

int store_fail(char **ret_msg, int code, const char *fmt, ...)
{
	va_list ap;
	char *msg;

	va_start(ap, fmt);
	if (vasprintf(&msg, fmt, ap) < 0)
		msg = NULL;
	va_end(ap);
	free(*ret_msg);
	*ret_msg = msg;
	return -code;
}

void store_err(struct err *err, int r, const char *msg)
{
	err_clear(err);
	if (r < 0)
		err_set(err, -r, "%s", msg ? msg : strerror(-r));
}
