/* SPDX-License-Identifier: Apache-2.0 */
/*
 * skep net: what the nodes' eBPF maps hold now, decoded and with names: asked of each agent by way of the API server.
 * Every answer is {"items": [flat objects]}; the columns are the objects' members, in their order.
 */
#include <stdlib.h>
#include <string.h>

#include "api/api_types.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "cli.h"

static char *text_of(const json_t *v)
{
	struct strbuf sb = STRBUF_INIT;
	const json_t *item;
	size_t i;

	if (json_is_string(v))
		return strdup(json_string_value(v));
	if (!v || json_is_null(v))
		return strdup("");
	if (!json_is_array(v))
		return json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
	json_array_foreach (v, i, item) {
		cleanup(free) char *one = text_of(item);

		strbuf_addf(&sb, "%s%s", i ? "," : "", one ? one : "");
	}
	return strbuf_detach(&sb, NULL);
}

static char *heading(const char *key)
{
	struct strbuf sb = STRBUF_INIT;

	for (; *key; key++) {
		if (*key >= 'A' && *key <= 'Z')
			strbuf_addc(&sb, '-');
		strbuf_addc(&sb, *key >= 'a' && *key <= 'z' ? (char)(*key - 32) : *key);
	}
	return strbuf_detach(&sb, NULL);
}

/* items: one array over all nodes, each item with "node" put first. */
static void print_items(const json_t *items)
{
	const json_t *first = json_array_get(items, 0), *item, *v;
	size_t cols = json_object_size(first), rows = json_array_size(items) + 1, i, at = 0;
	char **cells = calloc(rows * cols + 1, sizeof(*cells));
	const char *key;

	if (!cells || !cols) {
		free(cells);
		return;
	}
	json_object_foreach ((json_t *)first, key, v)
		cells[at++] = heading(key);
	json_array_foreach (items, i, item)
		json_object_foreach ((json_t *)first, key, v)
			cells[at++] = text_of(json_object_get(item, key));
	cli_print_table(stdout, cols, rows, (const char *const *)cells);
	for (i = 0; i < at; i++)
		free(cells[i]);
	free(cells);
}

static int collect(struct cli *cli, const char *what, const char *only, json_t *items)
{
	cleanup(free) char *path = kube_path(&api_kind_node, NULL, NULL, NULL);
	struct err err = ERR_INIT;
	json_t *list = NULL, *node, *item;
	bool any = false;
	int rc = 0;
	size_t i, k;

	if (cli_request(cli, "GET", path, NULL, NULL, NULL, &list, &err) != 200) {
		cli_error("%s", err.msg);
		json_decref(list);
		return -1;
	}
	json_array_foreach (json_object_get(list, "items"), i, node) {
		const char *name = api_get_str(node, "metadata.name");
		cleanup(free) char *url = NULL;
		json_t *answer = NULL;

		if (only && !streq(only, name))
			continue;
		any = true;
		if (asprintf(&url, "/api/v1/nodes/%s/proxy/debug/net/%s", name, what) < 0)
			break;
		if (cli_request(cli, "GET", url, NULL, NULL, NULL, &answer, &err) != 200) {
			cli_error("node %s: %s", name, err.msg);
			rc = -1;
		}
		json_array_foreach (json_object_get(answer, "items"), k, item) {
			json_t *row = json_pack("{s:s}", "node", name);

			json_object_update(row, item);
			json_array_append_new(items, row);
		}
		json_decref(answer);
	}
	json_decref(list);
	if (only && !any) {
		cli_error("no node '%s'", only);
		return -1;
	}
	return rc;
}

static int run(const struct cli_verb *verb, int argc, char **argv)
{
	static const char *const views[] = { "services", "policies", "endpoints", "drops", "top" };
	struct cli_common common = { 0 };
	struct err err = ERR_INIT;
	const char *node = NULL, *output = NULL;
	const struct cli_opt opts[] = {
		{ 0, "node", CLI_STRING, &node, "NAME", "only this node" },
		{ 'o', "output", CLI_STRING, &output, "FORMAT", "json instead of a table" },
		CLI_COMMON_OPTS(common),
		{ 0 },
	};
	bool known = false;
	struct cli cli;
	json_t *items;
	int n, rc;

	n = cli_parse(verb, argc, argv, opts, NULL);
	if (n < 0)
		return CLI_PARSE_EXIT(n);
	for (size_t i = 0; n == 1 && i < sizeof(views) / sizeof(views[0]); i++)
		known |= streq(argv[1], views[i]);
	if (!known || (output && !streq(output, "json"))) {
		cli_error(known ? "only -o json is known"
				: "say what: skep net services, policies, endpoints, drops or top");
		return CLI_USAGE;
	}
	if (cli_open(&cli, &common, &err) < 0) {
		cli_error("%s", err.msg);
		return CLI_FAILED;
	}
	items = json_array();
	rc = collect(&cli, argv[1], node, items);
	if (output) {
		json_dumpf(items, stdout, JSON_INDENT(2));
		fputc('\n', stdout);
	} else if (json_array_size(items)) {
		print_items(items);
	} else if (!rc) {
		fprintf(stderr, "No %s\n", argv[1]);
	}
	json_decref(items);
	cli_close(&cli);
	return rc < 0 ? CLI_FAILED : CLI_OK;
}

const struct cli_verb cli_net = {
	.name = "net",
	.summary = "Show what the nodes' eBPF maps hold: services, policies, endpoints, drops; top: who has how much",
	.usage = "net (services|policies|endpoints|drops|top) [--node NAME]",
	.details =
		"The maps themselves: bpftool map dump pinned /sys/fs/bpf/skep/NODE/maps/MAP (docs/datapath.md lists them).",
	.run = run,
};
