/* SPDX-License-Identifier: Apache-2.0 */
/* skep get: objects as a table, YAML, JSON or names; --watch follows changes. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "cli.h"

#define TABLE "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"

struct get {
	struct cli cli;
	const struct api_kind *kind;
	const char *ns; /* NULL: all */
	const char *output, *selector, *fields;
	bool no_headers, all_namespaces;
	bool printed_header;
	json_t *columns; /* of a watch: only its first event has them */
};

static char *list_path(const struct get *g, const char *name, const char *extra)
{
	cleanup(free) char *base = kube_path(g->kind, g->ns, name, NULL);
	cleanup(strbuf_done) struct strbuf sb = STRBUF_INIT;
	char sep = '?';

	if (!base)
		return NULL;
	strbuf_adds(&sb, base);
	for (int i = 0; i < 2; i++) {
		const char *value = i ? g->fields : g->selector;
		cleanup(free) char *esc = value ? http_escape(value) : NULL;

		if (!value)
			continue;
		strbuf_addf(&sb, "%c%s=%s", sep, i ? "fieldSelector" : "labelSelector", esc ? esc : "");
		sep = '&';
	}
	if (extra)
		strbuf_addf(&sb, "%c%s", sep, extra);
	return strbuf_detach(&sb, NULL);
}

static bool wants_table(const struct get *g)
{
	return !g->output || streq(g->output, "wide");
}

static int print_name(const struct get *g, const json_t *obj)
{
	char buf[320];

	printf("%s\n", cli_object_name(g->kind, api_get_str(obj, "metadata.name") ?: "", buf));
	return 0;
}

/* Objects are printed as one List when there are several, as kubectl does. */
static int print_objects(const struct get *g, const json_t *obj)
{
	const json_t *items = json_object_get(obj, "items"), *item;
	size_t i;

	if (streq(g->output, "name")) {
		if (!json_is_array(items))
			return print_name(g, obj);
		json_array_foreach (items, i, item)
			print_name(g, item);
		return 0;
	}
	if (streq(g->output, "json")) {
		json_dumpf(obj, stdout, JSON_INDENT(4) | JSON_ENCODE_ANY);
		fputc('\n', stdout);
	} else {
		cleanup(strbuf_done) struct strbuf sb = STRBUF_INIT;

		api_yaml_write(obj, &sb);
		fwrite(sb.buf, 1, sb.len, stdout);
	}
	return 0;
}

static int watch_line(void *arg, const char *line, size_t len)
{
	struct get *g = arg;
	json_t *ev = NULL, *obj;
	int r = 0;

	if (api_json_parse(line, len, &ev, NULL, NULL) < 0)
		return 0;
	obj = json_object_get(ev, "object");
	if (streq(api_get_str(ev, "type"), "ERROR")) {
		cli_error("%s", api_get_str(obj, "message") ?: "the watch ended");
		r = -1;
	} else if (streq(api_get_str(ev, "type"), "BOOKMARK")) {
		r = 0;
	} else if (wants_table(g)) {
		if (json_array_size(json_object_get(obj, "columnDefinitions")) && !g->columns)
			g->columns = json_incref(json_object_get(obj, "columnDefinitions"));
		else if (g->columns)
			json_object_set(obj, "columnDefinitions", g->columns);
		cli_print_server_table(stdout, obj, streq(g->output, "wide"), !g->printed_header && !g->no_headers,
				       g->all_namespaces, NULL);
		g->printed_header = true;
	} else {
		if (streq(g->output, "yaml"))
			puts("---");
		print_objects(g, obj);
	}
	if (fflush(stdout))
		r = -1; /* nobody reads on */
	json_decref(ev);
	return r;
}

struct lines {
	struct strbuf buf;
	struct get *g;
	bool done;
	int status;
	char error[256];
};

static int watch_data(struct http_call *call, void *arg, const void *data, size_t len)
{
	struct lines *l = arg;
	char *nl;

	(void)call;
	strbuf_add(&l->buf, data, len);
	while ((nl = memchr(l->buf.buf, '\n', l->buf.len))) {
		size_t n = (size_t)(nl - l->buf.buf);

		if (watch_line(l->g, l->buf.buf, n) < 0)
			return -1;
		strbuf_drop_front(&l->buf, n + 1);
	}
	return 0;
}

static void watch_done(struct http_call *call, void *arg, const struct http_response *rsp)
{
	struct lines *l = arg;

	(void)call;
	l->done = true;
	l->status = rsp->status;
	snprintf(l->error, sizeof(l->error), "%s", rsp->error ? rsp->error : "");
}

static int follow(struct get *g, const char *rv)
{
	cleanup(free) char *extra = NULL;
	cleanup(free) char *path = NULL;
	struct lines l = { .buf = STRBUF_INIT, .g = g };
	struct http_call_config call = {
		.method = "GET",
		.accept = wants_table(g) ? TABLE : NULL,
		.timeout_ms = -1,
		.on_data = watch_data,
		.on_done = watch_done,
		.arg = &l,
	};

	if (asprintf(&extra, "watch=1&resourceVersion=%s", rv ? rv : "") < 0)
		return CLI_FAILED;
	path = list_path(g, NULL, extra);
	call.path = path;
	if (!path || !http_call_start(kube_http(g->cli.kube), &call))
		return CLI_FAILED;
	while (!l.done)
		if (loop_run_once(g->cli.loop, -1) < 0)
			break;
	strbuf_done(&l.buf);
	if (l.error[0])
		cli_error("watch: %s", l.error);
	return l.error[0] || l.status >= 400 ? CLI_FAILED : CLI_OK;
}

static int get_one(struct get *g, const char *name, bool *header, size_t *ret_rows, char **ret_rv)
{
	cleanup(free) char *path = list_path(g, name, NULL);
	struct err err = ERR_INIT;
	json_t *obj = NULL;
	int status;

	status = cli_request(&g->cli, "GET", path, NULL, wants_table(g) ? TABLE : NULL, NULL, &obj, &err);
	if (status < 0 || status >= 400) {
		cli_error("%s", err.msg);
		json_decref(obj);
		return CLI_FAILED;
	}
	if (wants_table(g)) {
		*ret_rows += json_array_size(json_object_get(obj, "rows"));
		if (json_array_size(json_object_get(obj, "rows"))) {
			cli_print_server_table(stdout, obj, streq(g->output, "wide"), *header, g->all_namespaces, NULL);
			*header = false;
			g->printed_header = true;
		}
	} else {
		print_objects(g, obj);
		*ret_rows += 1;
	}
	if (ret_rv)
		*ret_rv = strdup(api_get_str(obj, "metadata.resourceVersion") ?: "");
	json_decref(obj);
	return CLI_OK;
}

static int run(const struct cli_verb *verb, int argc, char **argv)
{
	struct cli_common common = { 0 };
	struct err err = ERR_INIT;
	struct get g = { 0 };
	bool watch = false;
	const struct cli_opt opts[] = {
		{ 'o', "output", CLI_STRING, &g.output, "FORMAT", "wide, yaml, json or name" },
		{ 'l', "selector", CLI_STRING, &g.selector, "LABELS", "only objects with these labels: app=a,tier!=b" },
		{ 0, "field-selector", CLI_STRING, &g.fields, "FIELDS",
		  "only objects with these fields: status.phase=Running" },
		{ 'A', "all-namespaces", CLI_FLAG, &g.all_namespaces, NULL, "objects of all namespaces" },
		{ 'w', "watch", CLI_FLAG, &watch, NULL, "print changes as they come" },
		{ 0, "no-headers", CLI_FLAG, &g.no_headers, NULL, "rows only" },
		CLI_COMMON_OPTS(common),
		{ 0 },
	};
	cleanup(free) char *rv = NULL;
	struct cli_target t;
	bool header;
	size_t rows = 0;
	int n, r = CLI_OK;

	n = cli_parse(verb, argc, argv, opts, NULL);
	if (n < 0)
		return CLI_PARSE_EXIT(n);
	if (g.output && !streq(g.output, "wide") && !streq(g.output, "yaml") && !streq(g.output, "json") &&
	    !streq(g.output, "name")) {
		cli_error("output format '%s' is not one of wide, yaml, json, name", g.output);
		return CLI_USAGE;
	}
	if (cli_target_parse(n, argv + 1, &t, &err) < 0) {
		cli_error("%s", err.msg);
		return CLI_USAGE;
	}
	if (t.n_names && g.all_namespaces) {
		cli_error("a name and --all-namespaces do not go together");
		return CLI_USAGE;
	}
	if (cli_open(&g.cli, &common, &err) < 0) {
		cli_error("%s", err.msg);
		return CLI_FAILED;
	}
	g.kind = t.kind;
	g.ns = t.kind->namespaced && !g.all_namespaces ? g.cli.namespace_ : NULL;
	g.all_namespaces &= t.kind->namespaced;
	header = !g.no_headers;
	if (!t.n_names)
		r = get_one(&g, NULL, &header, &rows, &rv);
	for (size_t i = 0; i < t.n_names; i++)
		if (get_one(&g, t.names[i], &header, &rows, NULL))
			r = CLI_FAILED;
	if (!r && !rows && !watch && wants_table(&g)) {
		if (g.ns)
			fprintf(stderr, "No resources found in %s namespace.\n", g.ns);
		else
			fputs("No resources found\n", stderr);
	}
	fflush(stdout);
	if (!r && watch) {
		if (t.n_names == 1) {
			static char field[300];

			snprintf(field, sizeof(field), "metadata.name=%s", t.names[0]);
			g.fields = field;
		}
		r = follow(&g, t.n_names ? NULL : rv);
	}
	json_decref(g.columns);
	cli_close(&g.cli);
	return r;
}

const struct cli_verb cli_get = {
	.name = "get",
	.summary = "List objects",
	.usage = "get KIND [NAME...] [-o wide|yaml|json|name] [-A] [-w]",
	.details = "Examples:\n  skep get pods -A -o wide\n  skep get deploy hello -o yaml",
	.run = run,
};
