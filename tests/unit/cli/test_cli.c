/* SPDX-License-Identifier: Apache-2.0 */
/* The command line's own logic: options, the patch of apply, manifests' errors, when an object counts as ready. */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/api_types.h"
#include "base/file.h"
#include "cli/apply_patch.h"
#include "cli/cli.h"
#include "cli/dataplane_wait.h"
#include "cli/manifest.h"
#include "cli/rollout.h"
#include "../documents.h"

/* What is live after an apply: the patch is put on it as the server would. */
static void applies(const char *last, const char *manifest, const char *live, const char *want)
{
	json_t *l = last ? from_json(last) : NULL, *m = from_json(manifest), *v = from_json(live), *w = from_json(want),
	       *patch, *got = NULL;
	struct err err = ERR_INIT;

	patch = apply_patch(&api_type_pod, l, m);
	cr_assert(patch != NULL);
	cr_assert_eq(api_patch_strategic(&api_type_pod, v, patch, &got, &err), 0, "%s", err.msg);
	cr_assert(json_equal(got, w), "got %s", json_dumps(got, JSON_COMPACT | JSON_SORT_KEYS));
}

Test(apply, keeps_what_others_set)
{
	applies(NULL, "{\"metadata\":{\"labels\":{\"a\":\"1\"}}}",
		"{\"metadata\":{\"labels\":{\"b\":\"2\"},\"uid\":\"u\"}}",
		"{\"metadata\":{\"labels\":{\"a\":\"1\",\"b\":\"2\"},\"uid\":\"u\"}}");
}

Test(apply, removes_what_the_manifest_no_longer_says)
{
	applies("{\"metadata\":{\"labels\":{\"a\":\"1\",\"gone\":\"x\"}},\"spec\":{\"hostname\":\"h\"}}",
		"{\"metadata\":{\"labels\":{\"a\":\"1\"}},\"spec\":{}}",
		"{\"metadata\":{\"labels\":{\"a\":\"1\",\"gone\":\"x\",\"b\":\"2\"}},\"spec\":{\"hostname\":\"h\",\"nodeName\":\"n\"}}",
		"{\"metadata\":{\"labels\":{\"a\":\"1\",\"b\":\"2\"}},\"spec\":{\"nodeName\":\"n\"}}");
}

Test(apply, merges_lists_by_their_key)
{
	applies("{\"spec\":{\"containers\":[{\"name\":\"a\",\"image\":\"1\"},{\"name\":\"b\",\"image\":\"1\"}]}}",
		"{\"spec\":{\"containers\":[{\"name\":\"a\",\"image\":\"2\"}]}}",
		"{\"spec\":{\"containers\":[{\"name\":\"a\",\"image\":\"1\",\"tty\":true},{\"name\":\"b\",\"image\":\"1\"},{\"name\":\"c\"}]}}",
		"{\"spec\":{\"containers\":[{\"name\":\"a\",\"image\":\"2\",\"tty\":true},{\"name\":\"c\"}]}}");
}

Test(options, are_found_anywhere)
{
	char a0[] = "get", a1[] = "pods", a2[] = "-Aoyaml", a3[] = "--name=x", a4[] = "a", a5[] = "--", a6[] = "-n";
	char *argv[] = { a0, a1, a2, a3, a4, a5, a6, NULL };
	const char *output = NULL, *name = NULL;
	bool all = false;
	const struct cli_opt opts[] = { { 'A', "all", CLI_FLAG, &all, NULL, "" },
					{ 'o', "output", CLI_STRING, &output, "F", "" },
					{ 0, "name", CLI_STRING, &name, "N", "" },
					{ 0 } };
	struct cli_verb verb = { .name = "get" };
	int dashes;

	cr_assert_eq(cli_parse(&verb, 7, argv, opts, &dashes), 3);
	cr_assert(all);
	cr_assert_str_eq(output, "yaml");
	cr_assert_str_eq(name, "x");
	cr_assert_str_eq(argv[1], "pods");
	cr_assert_str_eq(argv[2], "a");
	cr_assert_str_eq(argv[3], "-n");
	cr_assert_eq(dashes, 3);
}

Test(options, wrong_ones_are_refused, .init = cr_redirect_stderr)
{
	char a0[] = "get", a1[] = "--replicas=many";
	char *argv[] = { a0, a1, NULL };
	int64_t n = 0;
	const struct cli_opt opts[] = { { 0, "replicas", CLI_INT, &n, "N", "" }, { 0 } };
	struct cli_verb verb = { .name = "get" };

	cr_assert_eq(cli_parse(&verb, 2, argv, opts, NULL), -1);
	a1[2] = 'x';
	cr_assert_eq(cli_parse(&verb, 2, argv, opts, NULL), -1);
}

Test(manifest, errors_name_file_and_line)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		{ "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Pot\nmetadata: {name: b}\n",
		  ":5 (Pot b): no kind \"Pot\"" },
		{ "apiVersion: v1\nmetadata: {name: a}\n", ":1 (document a): kind is missing" },
		{ "apiVersion: v1\nkind: Pod\n", ":1 (Pod without a name): metadata.name is missing" },
		{ "a: b\n\t- c\n", "line 2" },
		{ "", "no objects" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char path[] = "/tmp/skep-test-manifest-XXXXXX";
		struct cli_list list = { .n = 1, .v = { path } };
		struct err err = ERR_INIT;
		struct manifest m;

		close(mkstemp(path));
		cr_assert_eq(file_write(path, cases[i].text, &err), 0);
		cr_assert_lt(manifest_load(&list, false, &m, &err), 0);
		unlink(path);
		cr_assert(strstr(err.msg, cases[i].message), "case %zu: %s", i, err.msg);
	}
}

Test(rollout, judges_a_deployment)
{
	static const struct {
		const char *status;
		int state;
	} cases[] = {
		{ "\"observedGeneration\":1", 0 },
		{ "\"observedGeneration\":2,\"replicas\":3,\"updatedReplicas\":2,\"availableReplicas\":3", 0 },
		{ "\"observedGeneration\":2,\"replicas\":4,\"updatedReplicas\":3,\"availableReplicas\":3", 0 },
		{ "\"observedGeneration\":2,\"replicas\":3,\"updatedReplicas\":3,\"availableReplicas\":2", 0 },
		{ "\"observedGeneration\":2,\"replicas\":3,\"updatedReplicas\":3,\"availableReplicas\":3", 1 },
		{ "\"observedGeneration\":2,\"conditions\":[{\"type\":\"Progressing\",\"reason\":\"ProgressDeadlineExceeded\"}]",
		  -1 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[512], why[256];
		json_t *obj;

		snprintf(
			text, sizeof(text),
			"{\"kind\":\"Deployment\",\"metadata\":{\"name\":\"d\",\"generation\":2},\"spec\":{\"replicas\":3},\"status\":{%s}}",
			cases[i].status);
		obj = from_json(text);
		cr_assert_eq(rollout_state(obj, "ready", why), cases[i].state, "case %zu: %s", i, why);
		json_decref(obj);
	}
}

Test(request, warnings_are_read_and_cannot_steer_the_terminal)
{
	char buf[32];

	cr_assert(cli_warning_text("299 - \"Job is kept, but \\\"so\\\"\"", buf, sizeof(buf)));
	cr_assert_str_eq(buf, "Job is kept, but \"so\"");
	cr_assert(cli_warning_text("299 - \"a\x1b[31mb\"", buf, sizeof(buf)));
	cr_assert_str_eq(buf, "a[31mb");
	cr_assert(cli_warning_text("299 - \"0123456789012345678901234567890123456789\"", buf, sizeof(buf)));
	cr_assert(strlen(buf) == sizeof(buf) - 1);
	cr_assert(!cli_warning_text("299 - \"\"", buf, sizeof(buf)) && !cli_warning_text("299", buf, sizeof(buf)));
}

/* --- apply --wait=dataplane --------------------------------------------------------------------------------------- */

static bool want(struct dataplane_wanted *w, const struct api_kind *kind, const char *rv)
{
	json_t *obj = json_pack("{s:{s:s}}", "metadata", "resourceVersion", rv);
	bool r = dataplane_want(w, kind, obj);

	json_decref(obj);
	return r;
}

static bool has(const struct dataplane_wanted *w, const char *report)
{
	json_t *obj = from_json(report);
	bool r = dataplane_has(w, obj);

	json_decref(obj);
	return r;
}

#define APPLIED(resource, rv) "{\"resource\":\"" resource "\",\"resourceVersion\":\"" rv "\"}"

Test(dataplane, a_node_has_what_was_applied_when_its_report_is_as_new)
{
	struct dataplane_wanted w = { 0 };
	json_t *other = from_json(
		"{\"metadata\":{\"resourceVersion\":\"5\",\"labels\":{\"service.kubernetes.io/service-proxy-name\":\"x\"}}}");

	cr_assert(!want(&w, &api_kind_deployment, "90") && !want(&w, &api_kind_config_map, "91"));
	cr_assert(!dataplane_want(&w, &api_kind_service, other));
	json_decref(other);
	cr_assert(has(&w, "{}"), "nothing is wanted");
	cr_assert(want(&w, &api_kind_service, "100") && want(&w, &api_kind_service, "99"));
	cr_assert(want(&w, &api_kind_endpoint_slice, "101"));
	cr_assert(!has(&w, "{}"));
	cr_assert(!has(
		&w, "{\"status\":{\"applied\":[" APPLIED("services", "99") "," APPLIED("endpointslices", "200") "]}}"));
	cr_assert(!has(&w, "{\"status\":{\"applied\":[" APPLIED("services", "100") "]}}"));
	cr_assert(has(&w, "{\"status\":{\"applied\":[" APPLIED("services", "100") "," APPLIED("endpointslices",
											      "1000") "]}}"));
	cr_assert(!dataplane_has(&w, NULL));
}
