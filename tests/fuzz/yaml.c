/* SPDX-License-Identifier: Apache-2.0 */
/* YAML: what was read, written and read again is the same. */
#include "fuzz.h"

#include "api/api.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *docs = NULL, *again = NULL, *doc;
	int *lines = NULL;
	size_t i;

	if (api_yaml_parse((const char *)data, size, &docs, &lines, NULL) < 0)
		return 0;
	json_array_foreach (docs, i, doc) {
		struct strbuf text = STRBUF_INIT;

		api_yaml_write(doc, &text);
		MUST(!strbuf_oom(&text));
		MUST(api_yaml_parse(text.buf, text.len, &again, NULL, NULL) == 0);
		MUST(json_is_null(doc) || json_equal(json_array_get(again, 0), doc));
		json_decref(again);
		again = NULL;
		strbuf_done(&text);
	}
	free(lines);
	json_decref(docs);
	return 0;
}
