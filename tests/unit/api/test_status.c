/* SPDX-License-Identifier: Apache-2.0 */
/* lib/api: Status objects, and what the compiler of kinds says of mistakes. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api_types.h"

static void same(json_t *got, const char *want)
{
	json_t *w = json_loads(want, 0, NULL);
	char *text = json_dumps(got, JSON_COMPACT);

	cr_assert(w && json_equal(got, w), "%s", text);
	free(text);
	json_decref(w);
	json_decref(got);
}

Test(api_status, objects)
{
	same(api_status(400, "BadRequest", "no"),
	     "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":\"no\",\"reason\":\"BadRequest\",\"code\":400}");
	same(api_status_for(404, "NotFound", &api_kind_deployment, "x", "deployments.apps \"x\" not found"),
	     "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":\"deployments.apps \\\"x\\\" not found\","
	     "\"reason\":\"NotFound\",\"code\":404,\"details\":{\"name\":\"x\",\"group\":\"apps\",\"kind\":\"deployments\"}}");
}

Test(api_status, causes)
{
	struct api_errs errs = { 0 };

	api_errs_add(&errs, API_C_REQUIRED, "spec.a", "Required value");
	same(api_status_invalid(&api_kind_pod, "x", &errs),
	     "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":\"Pod \\\"x\\\" is invalid: spec.a: Required value\","
	     "\"reason\":\"Invalid\",\"code\":422,\"details\":{\"name\":\"x\",\"kind\":\"Pod\",\"causes\":[{\"reason\":\"FieldValueRequired\","
	     "\"message\":\"Required value\",\"field\":\"spec.a\"}]}}");
	api_errs_add(&errs, API_C_FORBIDDEN, "spec.b", "Forbidden: %s", "no");
	same(api_status_invalid(&api_kind_deployment, "x", &errs),
	     "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\","
	     "\"message\":\"Deployment.apps \\\"x\\\" is invalid: [spec.a: Required value, spec.b: Forbidden: no]\","
	     "\"reason\":\"Invalid\",\"code\":422,\"details\":{\"name\":\"x\",\"group\":\"apps\",\"kind\":\"Deployment\",\"causes\":["
	     "{\"reason\":\"FieldValueRequired\",\"message\":\"Required value\",\"field\":\"spec.a\"},"
	     "{\"reason\":\"FieldValueForbidden\",\"message\":\"Forbidden: no\",\"field\":\"spec.b\"}]}}");
	for (int i = 0; i < 100; i++)
		api_errs_add(&errs, API_C_INVALID, "x", "y");
	cr_assert_eq(errs.n, 64);
	api_errs_done(&errs);
	cr_assert_eq(errs.n, 0);
}

/* Runs the compiler on a description; its output is what it said. Tests run at the top of the tree. */
static void compile(const char *text, char *said, size_t size)
{
	char dir[] = "/tmp/skep-gen-XXXXXX", path[64], command[256];
	FILE *f;
	size_t n;

	cr_assert(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/t.kind", dir);
	f = fopen(path, "w");
	fputs(text, f);
	fclose(f);
	snprintf(command, sizeof(command), "python3 scripts/gen-api.py --out %s %s 2>&1; rm -r %s", dir, path, dir);
	f = popen(command, "r");
	n = fread(said, 1, size - 1, f);
	said[n] = '\0';
	pclose(f);
}

Test(api_gen, names_file_and_line)
{
	static const struct {
		const char *text, *said;
	} t[] = {
		{ "package p core/v1\ntype A -- Doc.\n\ta 1 string\n", "" },
		{ "type A\n", "t.kind:1: a package line comes first" },
		{ "package p core/v1\n\ta 1 string\n", "t.kind:2: field 'a' outside a type" },
		{ "package p core/v1\ntype A\n\ta 1 strin\n", "t.kind:3: field 'a': no type 'strin'" },
		{ "package p core/v1\ntype A\n\ta 1 string requird\n",
		  "t.kind:3: field 'a': unknown attribute 'requird'" },
		{ "package p core/v1\ntype A\n\ta 1 string\n\ta 2 string\n", "t.kind:4: field 'a' is there already" },
		{ "package p core/v1\ntype A\n\ta x string\n", "t.kind:3: field 'a' needs a number and a type" },
		{ "package p core/v1\ntype A\ntype A\n", "t.kind:3: A is there already (" },
		{ "package p core/v1\ntype A\n\ta 1 int32 default=x\n", "t.kind:3: field 'a': default is not JSON: x" },
		{ "package p core/v1\ntype A\n\ta 1 []A key=b\n", "t.kind:3: field 'a': key 'b' is not a member of A" },
		{ "package p core/v1\ntype A\n\ta 1 A inline\n", "t.kind:2: type A embeds itself" },
		{ "package p core/v1\ntype A\n\ta 1 string?\n", "t.kind:3: field 'a': only bool and int" },
		{ "package p core/v1\ntype A\n\ta 1 string refused='x\n", "t.kind:3: No closing quotation" },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		char said[1024];

		compile(t[i].text, said, sizeof(said));
		if (*t[i].said)
			cr_assert(strstr(said, t[i].said), "case %zu: %s", i, said);
		else
			cr_assert_str_eq(said, "");
	}
}
