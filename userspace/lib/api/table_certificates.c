/* SPDX-License-Identifier: Apache-2.0 */
/* Columns of certificate signing requests, as kubectl shows them. */
#include <string.h>

#include "../base/str.h"
#include "table.h"

#define COLUMN(name) static json_t *name(const json_t *obj, int64_t now_ms __attribute__((unused)))

COLUMN(csr_duration)
{
	const json_t *v = api_get(obj, "spec.expirationSeconds");
	char text[32];

	if (!json_is_integer(v))
		return json_string("<none>");
	api_human_duration(json_integer_value(v) * 1000, text, sizeof(text));
	return json_string(text);
}

COLUMN(csr_condition)
{
	const json_t *list = api_get(obj, "status.conditions"), *v;
	const char *decided = "Pending", *cert = api_get_str(obj, "status.certificate");
	bool failed = false;
	struct strbuf sb = STRBUF_INIT;
	json_t *out;
	size_t i;

	json_array_foreach (list, i, v) {
		const char *type = api_get_str(v, "type");

		if (streq(type, "Denied"))
			decided = "Denied";
		else if (streq(type, "Approved") && !streq(decided, "Denied"))
			decided = "Approved";
		failed |= streq(type, "Failed");
	}
	strbuf_adds(&sb, decided);
	if (failed)
		strbuf_adds(&sb, ",Failed");
	if (cert && *cert)
		strbuf_adds(&sb, ",Issued");
	out = json_string(sb.buf);
	strbuf_done(&sb);
	return out;
}

const struct api_column_impl api_certificate_columns[] = {
	{ "csr-duration", csr_duration },
	{ "csr-condition", csr_condition },
	{ NULL, NULL },
};
