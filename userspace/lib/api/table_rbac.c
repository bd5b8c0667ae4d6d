/* SPDX-License-Identifier: Apache-2.0 */
/* Columns of roles and bindings. */
#include <string.h>

#include "../base/str.h"
#include "table.h"

#define COLUMN(name) static json_t *name(const json_t *obj, int64_t now_ms __attribute__((unused)))

/* A time, not an age, as Kubernetes shows it here. */
COLUMN(created)
{
	const char *at = api_get_str(obj, "metadata.creationTimestamp");

	return json_string(at ? at : "");
}

COLUMN(role)
{
	const char *kind = api_get_str(obj, "roleRef.kind"), *name = api_get_str(obj, "roleRef.name");

	return json_sprintf("%s/%s", kind ? kind : "", name ? name : "");
}

static json_t *subjects(const json_t *obj, const char *want)
{
	struct strbuf sb = STRBUF_INIT;
	json_t *out, *s;
	size_t i;

	json_array_foreach (api_get(obj, "subjects"), i, s) {
		const char *ns = api_get_str(s, "namespace"), *name = api_get_str(s, "name");

		if (!streq(api_get_str(s, "kind"), want))
			continue;
		strbuf_adds(&sb, sb.len ? ", " : "");
		if (streq(want, "ServiceAccount"))
			strbuf_addf(&sb, "%s/", ns ? ns : "");
		strbuf_adds(&sb, name ? name : "");
	}
	out = json_string(sb.len ? sb.buf : "");
	strbuf_done(&sb);
	return out;
}

COLUMN(users)
{
	return subjects(obj, "User");
}

COLUMN(groups)
{
	return subjects(obj, "Group");
}

COLUMN(service_accounts)
{
	return subjects(obj, "ServiceAccount");
}

const struct api_column_impl api_rbac_columns[] = {
	{ "rbac-created", created },
	{ "rbac-role", role },
	{ "rbac-users", users },
	{ "rbac-groups", groups },
	{ "rbac-serviceaccounts", service_accounts },
	{ NULL, NULL },
};
