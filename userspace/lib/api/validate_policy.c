/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of what admission goes by: priority classes. */
#include "api-internal.h"

#include <string.h>

#include "../base/str.h"

#define HIGHEST_USER_PRIORITY 1000000000

void api_validate_priority_class(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	const char *name = api_get_str(obj, "metadata.name");
	int64_t value = api_get_int(obj, "value", 0);
	struct api_path meta = { .name = "metadata" }, at = { .up = &meta, .name = "name" }, val = { .name = "value" };

	(void)old;
	if (name && str_starts(name, "system-")) {
		if (!(streq(name, "system-node-critical") && value == 2000001000) &&
		    !(streq(name, "system-cluster-critical") && value == 2000000000))
			api_err_forbidden(
				errs, &at,
				"priority class names with 'system-' prefix are reserved for system use only");
	} else if (value > HIGHEST_USER_PRIORITY) {
		api_err_forbidden(errs, &val, "maximum allowed value of a user defined priority is 1000000000");
	}
}
