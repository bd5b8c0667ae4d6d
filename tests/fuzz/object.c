/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A JSON object on its way through the API server: parsed, checked, pruned, defaulted, validated, decoded and encoded,
 * shown as a row, written as protobuf and read back.
 */
#include "fuzz.h"

#include <string.h>

#include "api/api.h"
#include "base/arena.h"

static void through_protobuf(const struct api_kind *kind, const char *version, const json_t *obj)
{
	struct strbuf pb = STRBUF_INIT;
	json_t *again = NULL;

	if (!api_protobuf_has(kind->type) || api_protobuf_write(kind->type, version, kind->kind, obj, &pb) < 0) {
		strbuf_done(&pb);
		return;
	}
	MUST(api_protobuf_parse(pb.buf, pb.len, &again, NULL) == 0);
	json_decref(again);
	strbuf_done(&pb);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct api_errs errs = { 0 };
	struct arena arena = ARENA_INIT;
	const struct api_kind *const *kinds, *kind = NULL;
	json_t *obj = NULL, *row;
	char version[300];
	void *typed;
	size_t n;

	if (api_json_parse(data, size, &obj, &errs, NULL) < 0 || !json_is_object(obj))
		goto out;
	kinds = api_kinds(&n);
	for (size_t i = 0; i < n && !kind; i++) {
		const char *name = api_get_str(obj, "kind");

		if (name && !strcmp(name, kinds[i]->kind))
			kind = kinds[i];
	}
	if (!kind)
		goto out;
	api_check(kind->type, obj, &errs);
	if (errs.n)
		goto out;
	api_prune(kind->type, obj);
	api_default(kind, obj);
	api_validate(kind, obj, NULL, &errs);
	api_validate(kind, obj, obj, &errs);
	row = api_table_row(kind, obj, "Metadata", 0);
	json_decref(row);
	if (api_decode(kind->type, obj, &arena, &typed, NULL) == 0)
		json_decref(api_encode(kind->type, typed));
	if (!errs.n) {
		api_kind_api_version(kind, version, sizeof(version));
		through_protobuf(kind, version, obj);
	}
out:
	arena_done(&arena);
	api_errs_done(&errs);
	json_decref(obj);
	return 0;
}
