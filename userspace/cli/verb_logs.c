/* SPDX-License-Identifier: Apache-2.0 */
/* skep logs: a container's output, as it comes with -f. */
#include <stdlib.h>
#include <string.h>

#include "api/api_types.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "cli.h"

struct output {
	bool done;
	int status;
	struct strbuf refusal; /* the body of an answer that is not 2xx */
	char error[256];
};

static void on_status(struct http_call *call, void *arg, int status)
{
	(void)call;
	((struct output *)arg)->status = status;
}

static int on_data(struct http_call *call, void *arg, const void *data, size_t len)
{
	struct output *o = arg;

	(void)call;
	if (o->status != 200) {
		strbuf_add(&o->refusal, data, len);
		return o->refusal.len > 65536;
	}
	if (fwrite(data, 1, len, stdout) != len || fflush(stdout))
		return -1; /* nobody reads on */
	return 0;
}

static void on_done(struct http_call *call, void *arg, const struct http_response *rsp)
{
	struct output *o = arg;

	(void)call;
	o->done = true;
	o->status = rsp->status ? rsp->status : o->status;
	snprintf(o->error, sizeof(o->error), "%s", rsp->error ? rsp->error : "");
}

static int run(const struct cli_verb *verb, int argc, char **argv)
{
	struct cli_common common = { 0 };
	struct err err = ERR_INIT;
	const char *container = NULL;
	bool follow = false, previous = false, timestamps = false;
	int64_t tail = -1, since_ms = 0;
	const struct cli_opt opts[] = {
		{ 'f', "follow", CLI_FLAG, &follow, NULL, "go on printing as output comes" },
		{ 'c', "container", CLI_STRING, &container, "NAME", "which container (needed if there are several)" },
		{ 'p', "previous", CLI_FLAG, &previous, NULL, "of the container's previous run" },
		{ 0, "tail", CLI_INT, &tail, "N", "only the last N lines" },
		{ 0, "since", CLI_DURATION, &since_ms, "TIME", "only what is newer than this: 5m" },
		{ 0, "timestamps", CLI_FLAG, &timestamps, NULL, "put the time before each line" },
		CLI_COMMON_OPTS(common),
		{ 0 },
	};
	cleanup(strbuf_done) struct strbuf path = STRBUF_INIT;
	struct output o = { .refusal = STRBUF_INIT };
	struct http_call_config call = { .method = "GET",
					 .accept = "*/*",
					 .timeout_ms = -1,
					 .on_status = on_status,
					 .on_data = on_data,
					 .on_done = on_done,
					 .arg = &o };
	cleanup(free) char *base = NULL;
	const char *pod;
	struct cli cli;
	int n, r = CLI_OK;

	n = cli_parse(verb, argc, argv, opts, NULL);
	if (n < 0)
		return CLI_PARSE_EXIT(n);
	if (n < 1 || n > 2) {
		cli_error("say which pod: skep logs POD [-c CONTAINER]");
		return CLI_USAGE;
	}
	pod = str_starts(argv[1], "pod/") ? argv[1] + 4 : str_starts(argv[1], "pods/") ? argv[1] + 5 : argv[1];
	if (n == 2)
		container = argv[2];
	if (cli_open(&cli, &common, &err) < 0) {
		cli_error("%s", err.msg);
		return CLI_FAILED;
	}
	base = kube_path(&api_kind_pod, cli.namespace_, pod, "log");
	strbuf_addf(&path, "%s?follow=%s&previous=%s&timestamps=%s", base, follow ? "true" : "false",
		    previous ? "true" : "false", timestamps ? "true" : "false");
	if (container) {
		cleanup(free) char *esc = http_escape(container);

		strbuf_addf(&path, "&container=%s", esc);
	}
	if (tail >= 0)
		strbuf_addf(&path, "&tailLines=%lld", (long long)tail);
	if (since_ms > 0)
		strbuf_addf(&path, "&sinceSeconds=%lld", (long long)((since_ms + 999) / 1000));
	call.path = path.buf;
	if (!http_call_start(kube_http(cli.kube), &call)) {
		cli_error("out of memory");
		r = CLI_FAILED;
	}
	while (!r && !o.done)
		if (loop_run_once(cli.loop, -1) < 0)
			break;
	if (!r && o.status != 200) {
		json_t *status = NULL;

		(void)api_json_parse(o.refusal.buf, o.refusal.len, &status, NULL, NULL);
		if (o.status)
			cli_error("%s", (status ? api_get_str(status, "message") : NULL) ?: o.refusal.buf);
		else
			cli_error("cannot reach the API server at %s: %s", cli.kc.server, o.error);
		json_decref(status);
		r = CLI_FAILED;
	} else if (!r && o.error[0] && !ferror(stdout)) {
		cli_error("the log ended early: %s", o.error);
		r = CLI_FAILED;
	}
	strbuf_done(&o.refusal);
	cli_close(&cli);
	return r;
}

const struct cli_verb cli_logs = {
	.name = "logs",
	.summary = "Print what a container wrote",
	.usage = "logs POD [-c CONTAINER] [-f] [--tail=N]",
	.run = run,
};
