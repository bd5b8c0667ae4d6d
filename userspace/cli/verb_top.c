/* SPDX-License-Identifier: Apache-2.0 */
/* skep top: cpu and memory now, from each agent's /stats/summary by way of the API server. */
#include <stdlib.h>
#include <string.h>

#include "api/api_types.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "cli.h"

struct rows {
	char **cells;
	size_t n, cols;
};

static void add_cell(struct rows *r, char *text)
{
	char **more = realloc(r->cells, (r->n + 1) * sizeof(*more));

	if (!more) {
		free(text);
		return;
	}
	r->cells = more;
	r->cells[r->n++] = text;
}

/* Both are rounded up: what runs is never shown as nothing. */
static char *cores(int64_t nano_cores)
{
	char *s = NULL;

	if (asprintf(&s, "%lldm", (long long)((nano_cores + 999999) / 1000000)) < 0)
		return NULL;
	return s;
}

static char *mebibytes(int64_t bytes)
{
	char *s = NULL;

	if (asprintf(&s, "%lldMi", (long long)((bytes + (1 << 20) - 1) >> 20)) < 0)
		return NULL;
	return s;
}

static int64_t cpu_of(const json_t *part)
{
	return api_get_int(part, "cpu.usageNanoCores", 0);
}

static int64_t memory_of(const json_t *part)
{
	return api_get_int(part, "memory.workingSetBytes", 0);
}

static void add_pods(struct rows *r, const json_t *summary, const char *ns)
{
	const json_t *p;
	size_t i;

	json_array_foreach (json_object_get(summary, "pods"), i, p) {
		const char *theirs = api_get_str(p, "podRef.namespace");

		if (ns && !streq(ns, theirs))
			continue;
		if (!ns)
			add_cell(r, strdup(theirs ? theirs : ""));
		add_cell(r, strdup(api_get_str(p, "podRef.name") ?: ""));
		add_cell(r, cores(cpu_of(p)));
		add_cell(r, mebibytes(memory_of(p)));
	}
}

static void add_node(struct rows *r, const char *name, const json_t *summary)
{
	const json_t *node = json_object_get(summary, "node");

	add_cell(r, strdup(name));
	add_cell(r, cores(cpu_of(node)));
	add_cell(r, mebibytes(memory_of(node)));
}

static int collect(struct cli *cli, bool nodes, const char *ns, struct rows *r, struct err *err)
{
	cleanup(free) char *path = kube_path(&api_kind_node, NULL, NULL, NULL);
	json_t *list = NULL, *node;
	int rc = 0;
	size_t i;

	if (cli_request(cli, "GET", path, NULL, NULL, NULL, &list, err) != 200) {
		json_decref(list);
		return -1;
	}
	json_array_foreach (json_object_get(list, "items"), i, node) {
		const char *name = api_get_str(node, "metadata.name");
		cleanup(free) char *url = kube_path(&api_kind_node, NULL, name, "proxy/stats/summary");
		json_t *summary = NULL;

		if (cli_request(cli, "GET", url, NULL, NULL, NULL, &summary, err) != 200) {
			cli_error("node %s: %s", name, err->msg);
			rc = -1;
		} else if (nodes) {
			add_node(r, name, summary);
		} else {
			add_pods(r, summary, ns);
		}
		json_decref(summary);
	}
	json_decref(list);
	return rc;
}

static int run(const struct cli_verb *verb, int argc, char **argv)
{
	struct cli_common common = { 0 };
	struct err err = ERR_INIT;
	bool all = false, nodes;
	const struct cli_opt opts[] = {
		{ 'A', "all-namespaces", CLI_FLAG, &all, NULL, "pods of all namespaces" },
		CLI_COMMON_OPTS(common),
		{ 0 },
	};
	struct rows r = { 0 };
	struct cli cli;
	int n, rc;

	n = cli_parse(verb, argc, argv, opts, NULL);
	if (n < 0)
		return CLI_PARSE_EXIT(n);
	nodes = n == 1 && (streq(argv[1], "nodes") || streq(argv[1], "node"));
	if (n != 1 || (!nodes && !streq(argv[1], "pods") && !streq(argv[1], "pod"))) {
		cli_error("say of what: skep top nodes, or skep top pods");
		return CLI_USAGE;
	}
	if (cli_open(&cli, &common, &err) < 0) {
		cli_error("%s", err.msg);
		return CLI_FAILED;
	}
	if (!nodes && all)
		add_cell(&r, strdup("NAMESPACE"));
	add_cell(&r, strdup("NAME"));
	add_cell(&r, strdup("CPU(cores)"));
	add_cell(&r, strdup("MEMORY(bytes)"));
	r.cols = r.n;
	rc = collect(&cli, nodes, all ? NULL : cli.namespace_, &r, &err);
	if (rc < 0 && r.n == r.cols)
		cli_error("%s", err.msg);
	else
		cli_print_table(stdout, r.cols, r.n / r.cols, (const char *const *)r.cells);
	for (size_t i = 0; i < r.n; i++)
		free(r.cells[i]);
	free(r.cells);
	cli_close(&cli);
	return rc < 0 ? CLI_FAILED : CLI_OK;
}

const struct cli_verb cli_top = {
	.name = "top",
	.summary = "Show what pods or nodes use now",
	.usage = "top (nodes | pods [-A])",
	.run = run,
};
