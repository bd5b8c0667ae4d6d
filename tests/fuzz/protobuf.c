/* SPDX-License-Identifier: Apache-2.0 */
/* Protobuf bodies: what can be read can be written, and reads the same again. */
#include "fuzz.h"

#include "api/api.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct strbuf pb = STRBUF_INIT;
	const struct api_type *type;
	json_t *obj = NULL, *again = NULL;
	const char *version, *kind;

	if (api_protobuf_parse(data, size, &obj, NULL) < 0)
		return 0;
	version = api_get_str(obj, "apiVersion");
	kind = api_get_str(obj, "kind");
	type = version && kind ? api_protobuf_type(version, kind) : NULL;
	if (type && api_protobuf_has(type) && api_protobuf_write(type, version, kind, obj, &pb) == 0) {
		MUST(api_protobuf_parse(pb.buf, pb.len, &again, NULL) == 0);
		json_decref(again);
	}
	strbuf_done(&pb);
	json_decref(obj);
	return 0;
}
