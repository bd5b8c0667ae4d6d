/* SPDX-License-Identifier: Apache-2.0 */
/* [target, patch]: the three kinds of patch on a Pod. The target stays as it was. */
#include "fuzz.h"

#include "api/api.h"
#include "api/api_types.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *both = NULL, *before, *target, *patch, *ret = NULL;

	if (api_json_parse(data, size, &both, NULL, NULL) < 0 || json_array_size(both) != 2) {
		json_decref(both);
		return 0;
	}
	target = json_array_get(both, 0);
	patch = json_array_get(both, 1);
	before = json_deep_copy(target);
	for (int i = 0; i < 3; i++) {
		int r = i == 0	 ? api_patch_json(target, patch, &ret, NULL)
			: i == 1 ? api_patch_merge(target, patch, &ret, NULL)
				 : api_patch_strategic(&api_type_pod, target, patch, &ret, NULL);

		MUST(json_equal(target, before));
		if (r == 0)
			json_decref(ret);
	}
	json_decref(before);
	json_decref(both);
	return 0;
}
