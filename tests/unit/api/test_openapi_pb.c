/* SPDX-License-Identifier: Apache-2.0 */
/* OpenAPI version 2 in gnostic's protobuf: read back by the numbers kubectl reads it by. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "base/strbuf.h"

struct span {
	const unsigned char *p, *end;
};

static uint64_t varint(struct span *s)
{
	uint64_t v = 0;

	for (int shift = 0;; shift += 7) {
		cr_assert(s->p < s->end && shift < 64);
		v |= (uint64_t)(*s->p & 0x7f) << shift;
		if (!(*s->p++ & 0x80))
			return v;
	}
}

/* The next field; numbers are checked to be there and skipped. false: the end. */
static bool next(struct span *s, unsigned *ret_number, struct span *ret)
{
	uint64_t tag, n;

	if (s->p == s->end)
		return false;
	tag = varint(s);
	*ret_number = (unsigned)(tag >> 3);
	*ret = (struct span){ s->p, s->p };
	switch (tag & 7) {
	case 0:
		(void)varint(s);
		break;
	case 1:
		cr_assert(s->end - s->p >= 8);
		s->p += 8;
		break;
	case 2:
		n = varint(s);
		cr_assert(n <= (uint64_t)(s->end - s->p));
		*ret = (struct span){ s->p, s->p + n };
		s->p += n;
		break;
	default:
		cr_assert(false, "wire type %u", (unsigned)(tag & 7));
	}
	return true;
}

/* i-th message or text in that field; an empty span if there is none. */
static struct span sub(struct span s, unsigned number, size_t i)
{
	struct span v;
	unsigned n;

	while (next(&s, &n, &v))
		if (n == number && i-- == 0)
			return v;
	return (struct span){ NULL, NULL };
}

static bool is(struct span s, const char *text)
{
	return s.p && (size_t)(s.end - s.p) == strlen(text) && !memcmp(s.p, text, strlen(text));
}

/* The value of the entry of that name in a message of entries {1: name, 2: value}, which are its field `number`. */
static struct span named(struct span s, unsigned number, const char *name)
{
	struct span e;

	for (size_t i = 0; (e = sub(s, number, i)).p; i++)
		if (is(sub(e, 1, 0), name))
			return sub(e, 2, 0);
	cr_assert(false, "no %s", name);
	return e;
}

static struct strbuf text = STRBUF_INIT;

static struct span document(void)
{
	json_t *v2 = api_openapi_v2(NULL);

	strbuf_clear(&text);
	cr_assert(v2 && api_openapi_v2_protobuf(v2, &text) == 0);
	json_decref(v2);
	return (struct span){ (unsigned char *)text.buf, (unsigned char *)text.buf + text.len };
}

Test(openapi_pb, schemas_as_old_kubectl_reads_them)
{
	struct span doc = document(), defs = sub(doc, 9, 0), spec, field, gvk;

	cr_assert(is(sub(doc, 1, 0), "2.0"));
	cr_assert(is(sub(sub(doc, 2, 0), 1, 0), "Kubernetes"));
	/* Definitions: NamedSchema; Schema.properties 25, type 22, $ref 1, items 23 */
	spec = named(sub(named(defs, 1, "io.k8s.api.apps.v1.Deployment"), 25, 0), 1, "spec");
	cr_assert(is(sub(spec, 1, 0), "#/definitions/io.k8s.api.apps.v1.DeploymentSpec"));
	field = named(sub(named(defs, 1, "io.k8s.api.apps.v1.DeploymentSpec"), 25, 0), 1, "replicas");
	cr_assert(is(sub(sub(field, 22, 0), 1, 0), "integer"));
	cr_assert(is(sub(field, 2, 0), "int32"));
	field = named(sub(named(defs, 1, "io.k8s.api.core.v1.PodSpec"), 25, 0), 1, "containers");
	cr_assert(is(sub(sub(field, 22, 0), 1, 0), "array"));
	cr_assert(is(sub(sub(sub(field, 23, 0), 1, 0), 1, 0), "#/definitions/io.k8s.api.core.v1.Container"));
	/* extensions are YAML text: VendorExtension 31, NamedAny.value.yaml 2.2 */
	cr_assert(is(sub(named(field, 31, "x-kubernetes-patch-merge-key"), 2, 0), "\"name\""));
	gvk = sub(named(named(defs, 1, "io.k8s.api.apps.v1.Deployment"), 31, "x-kubernetes-group-version-kind"), 2, 0);
	cr_assert(is(gvk, "[{\"group\":\"apps\",\"version\":\"v1\",\"kind\":\"Deployment\"}]"));
	/* maps: additionalProperties 21 {1: schema} */
	field = named(sub(named(defs, 1, "io.k8s.api.core.v1.ConfigMap"), 25, 0), 1, "data");
	cr_assert(is(sub(sub(sub(sub(field, 21, 0), 1, 0), 22, 0), 1, 0), "string"));
	strbuf_done(&text);
}

/* kubectl looks whether PATCH of a kind takes dryRun before it sends one. */
Test(openapi_pb, parameters_of_patch)
{
	struct span doc = document(), path, patch, p;
	bool dry_run = false;

	path = named(sub(doc, 8, 0), 2, "/apis/apps/v1/namespaces/{namespace}/deployments/{name}");
	patch = sub(path, 8, 0);
	cr_assert(patch.p);
	cr_assert(named(patch, 13, "x-kubernetes-group-version-kind").p);
	for (size_t i = 0; (p = sub(patch, 8, i)).p; i++) /* ParametersItem.parameter.non_body.query.name */
		dry_run |= is(sub(sub(sub(sub(p, 1, 0), 2, 0), 3, 0), 4, 0), "dryRun");
	cr_assert(dry_run);
	p = sub(path, 9, 0);
	cr_assert(is(sub(sub(sub(sub(p, 1, 0), 2, 0), 4, 0), 4, 0), "name"), "path parameters are field 4");
	cr_assert(sub(sub(patch, 9, 0), 1, 0).p, "responses");
	strbuf_done(&text);
}

/* Every name of the JSON document is in the protobuf one: nothing is forgotten on the way. */
Test(openapi_pb, all_definitions_and_paths_are_there)
{
	struct span doc = document();
	json_t *v2 = api_openapi_v2(NULL), *v;
	const char *key;

	json_object_foreach (json_object_get(v2, "definitions"), key, v) {
		struct span schema = named(sub(doc, 9, 0), 1, key), properties = sub(schema, 25, 0);
		const char *property;
		json_t *x;

		json_object_foreach (json_object_get(v, "properties"), property, x)
			cr_assert(named(properties, 1, property).p);
	}
	json_object_foreach (json_object_get(v2, "paths"), key, v)
		cr_assert(named(sub(doc, 8, 0), 2, key).p);
	json_decref(v2);
	strbuf_done(&text);
}
