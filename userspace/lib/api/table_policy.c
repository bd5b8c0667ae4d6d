/* SPDX-License-Identifier: Apache-2.0 */
/* Computed columns of the kinds that admission goes by, and of pools of addresses. */
#include <string.h>

#include "../base/str.h"
#include "../base/strbuf.h"
#include "table.h"

/* "pods: 2/4, requests.cpu: 1/2": what is used of each bound, of limits.* or of all others. */
static json_t *quota_text(const json_t *obj, bool limits)
{
	struct strbuf sb = STRBUF_INIT;
	json_t *hard = api_get(obj, "status.hard"), *used = api_get(obj, "status.used"), *v, *out;
	const char *keys[256], *key;
	size_t n = 0;

	json_object_foreach (hard, key, v)
		if (n < 256 && str_starts(key, "limits.") == limits) {
			size_t i = n++;

			for (; i && strcmp(keys[i - 1], key) > 0; i--)
				keys[i] = keys[i - 1];
			keys[i] = key;
		}
	for (size_t i = 0; i < n; i++)
		strbuf_addf(&sb, "%s%s: %s/%s", i ? ", " : "", keys[i],
			    json_string_value(json_object_get(used, keys[i])) ?: "0",
			    json_string_value(json_object_get(hard, keys[i])) ?: "");
	out = json_string(sb.len ? sb.buf : "");
	strbuf_done(&sb);
	return out;
}

static json_t *quota_request(const json_t *obj, int64_t now_ms)
{
	(void)now_ms;
	return quota_text(obj, false);
}

static json_t *quota_limit(const json_t *obj, int64_t now_ms)
{
	(void)now_ms;
	return quota_text(obj, true);
}

static json_t *webhooks_count(const json_t *obj, int64_t now_ms)
{
	(void)now_ms;
	return json_integer((json_int_t)json_array_size(json_object_get(obj, "webhooks")));
}

static json_t *pool_addresses(const json_t *obj, int64_t now_ms)
{
	struct strbuf sb = STRBUF_INIT;
	json_t *out, *v;
	size_t i;

	(void)now_ms;
	json_array_foreach (api_get(obj, "spec.addresses"), i, v)
		strbuf_addf(&sb, "%s%s", i ? "," : "", json_string_value(v) ?: "");
	out = json_string(sb.len ? sb.buf : "");
	strbuf_done(&sb);
	return out;
}

const struct api_column_impl api_policy_columns[] = {
	{ "quota-request", quota_request },
	{ "quota-limit", quota_limit },
	{ "webhooks-count", webhooks_count },
	{ "pool-addresses", pool_addresses },
	{ NULL, NULL },
};
