/* SPDX-License-Identifier: Apache-2.0 */
/*
 * [live, config, managedFields]: server-side apply of a Pod. The live object stays as it was, what is written of the
 * owners is read again as the same, and so is any text taken for managedFields that can be read.
 */
#include <string.h>

#include "fuzz.h"

#include "api/api.h"
#include "api/api_types.h"
#include "api/managed_fields.h"
#include "base/cleanup.h"

static void rewrite(struct fset_mem *mem, const char *text, size_t len)
{
	struct strbuf once = STRBUF_INIT;
	struct managed m;

	if (managed_read(mem, text, len, &m) == 0) {
		managed_write(&m, &once);
		MUST(managed_read(mem, once.buf, once.len, &m) == 0);
	}
	strbuf_done(&once);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct managed_writer who = {
		.manager = "m", .api_version = "v1", .subresource = "", .now = "2026-01-01T00:00:00Z"
	};
	cleanup(fset_mem_done) struct fset_mem mem = FSET_MEM_INIT;
	json_t *all = NULL, *live, *config, *before;
	struct managed m = { .mem = &mem };
	struct managed_applied got;
	char *text = malloc(size + 1);

	MUST(text);
	memcpy(text, data, size);
	MUST(managed_cut_event(text, size) <= size);
	rewrite(&mem, (const char *)data, size);
	free(text);
	if (api_json_parse(data, size, &all, NULL, NULL) < 0 || json_array_size(all) != 3 ||
	    !json_is_object(json_array_get(all, 0)) || !json_is_object(json_array_get(all, 1))) {
		json_decref(all);
		return 0;
	}
	live = json_array_get(all, 0);
	config = json_array_get(all, 1);
	before = json_deep_copy(live);
	(void)managed_from_json(&mem, json_array_get(all, 2), &m, NULL);
	for (int force = 0; force < 2; force++) {
		int r = managed_apply(&m, &api_type_pod, live, config, &who, MANAGED_ALL, force, &got, NULL);

		MUST(json_equal(live, before));
		if (r == 0) {
			struct strbuf out = STRBUF_INIT;

			json_decref(got.obj);
			managed_write(&m, &out);
			MUST(!out.len || managed_read(&mem, out.buf, out.len, &m) == 0);
			rewrite(&mem, out.buf, out.len);
			/* entries point into the text that they were read from */
			memset(&m, 0, sizeof(m));
			m.mem = &mem;
			strbuf_done(&out);
		}
	}
	json_decref(before);
	json_decref(all);
	return 0;
}
