/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens of lists in pages: see the header. */
#include "continue_token.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/api/api.h"
#include "../../lib/base/cleanup.h"
#include "../../lib/base/str.h"

char *continue_token_make(int64_t rev, const char *after)
{
	cleanup(free) char *text = NULL;
	json_t *t = json_pack("{s:s,s:I,s:s}", "v", "meta.k8s.io/v1", "rv", (json_int_t)rev, "start", after);

	if (t)
		text = json_dumps(t, JSON_COMPACT);
	json_decref(t);
	return text ? str_base64(text, strlen(text)) : NULL;
}

int continue_token_read(const char *token, int64_t *ret_rev, char **ret_after)
{
	size_t len;
	cleanup(free) unsigned char *text = str_unbase64(token, &len);
	json_t *t = NULL;
	const char *after;
	int r = -EINVAL;

	if (!text || api_json_parse(text, len, &t, NULL, NULL) < 0)
		return -EINVAL;
	after = api_get_str(t, "start");
	if (after && streq(api_get_str(t, "v"), "meta.k8s.io/v1") && json_is_integer(json_object_get(t, "rv"))) {
		*ret_rev = api_get_int(t, "rv", 0);
		*ret_after = strdup(after);
		r = *ret_after ? 0 : -ENOMEM;
	}
	json_decref(t);
	return r;
}
