/* SPDX-License-Identifier: Apache-2.0 */
/* Label and field selectors as they come in a query. */
#include "fuzz.h"

#include <string.h>

#include "api/api.h"
#include "api/api_types.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static json_t *labels, *pod;
	struct api_field_selector *fields;
	struct api_selector *sel;
	char *text = malloc(size + 1);

	if (!labels) {
		labels = json_pack("{s:s,s:s}", "app", "web", "tier", "front");
		pod = json_pack("{s:{s:s,s:s},s:{s:s},s:{s:s}}", "metadata", "name", "a", "namespace", "b", "spec",
				"nodeName", "n", "status", "phase", "Running");
	}
	memcpy(text, data, size);
	text[size] = '\0';
	if (api_selector_parse(text, &sel, NULL) == 0) {
		(void)api_selector_matches_json(sel, labels);
		(void)api_selector_matches_json(sel, NULL);
		api_selector_free(sel);
	}
	if (api_field_selector_parse(&api_kind_pod, text, &fields, NULL) == 0) {
		(void)api_field_selector_matches(fields, pod);
		api_field_selector_free(fields);
	}
	free(text);
	return 0;
}
