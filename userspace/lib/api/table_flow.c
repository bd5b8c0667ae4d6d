/* SPDX-License-Identifier: Apache-2.0 */
/* Computed columns of flowcontrol.apiserver.k8s.io. */
#include "table.h"

#include "../base/str.h"

/* Whether the priority level is missing: the status of the condition Dangling. */
static json_t *flow_schema_dangling(const json_t *obj, int64_t now_ms)
{
	const json_t *c;
	size_t i;

	(void)now_ms;
	json_array_foreach (api_get(obj, "status.conditions"), i, c)
		if (streq(api_get_str(c, "type"), "Dangling"))
			return json_string(api_get_str(c, "status") ?: "?");
	return json_string("?");
}

const struct api_column_impl api_flow_columns[] = {
	{ "flow-schema-dangling", flow_schema_dangling },
	{ NULL, NULL },
};
