/* SPDX-License-Identifier: Apache-2.0 */
/* skep: finds the verb. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "cli.h"

static const struct {
	const char *title;
	const struct cli_verb *const verbs[12];
} groups[] = {
	{ "A cluster on this machine", { &cli_up, &cli_down, &cli_kubeconfig, &cli_image } },
	{ "Objects", { &cli_apply, &cli_get, &cli_describe, &cli_patch, &cli_delete, &cli_wait } },
	{ "Workloads", { &cli_logs, &cli_exec, &cli_scale, &cli_rollout, &cli_top } },
	{ "The data plane", { &cli_net } },
	{ "Other", { &cli_store, &cli_version } },
};

static const struct cli_verb *find(const char *name)
{
	for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++)
		for (const struct cli_verb *const *v = groups[g].verbs; *v; v++)
			if (streq((*v)->name, name))
				return *v;
	return NULL;
}

static void overview(FILE *out)
{
	fputs("skep runs containers on a fleet of Linux machines, speaks the Kubernetes API, and moves every packet with eBPF.\n\n"
	      "Usage: skep VERB [ARGUMENTS]\n",
	      out);
	for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++) {
		fprintf(out, "\n%s:\n", groups[g].title);
		for (const struct cli_verb *const *v = groups[g].verbs; *v; v++)
			fprintf(out, "  %-12s %s\n", (*v)->name, (*v)->summary);
	}
	fputs("\n`skep VERB --help` tells more. New here? As root: skep up --nodes 3\n", out);
}

int main(int argc, char **argv)
{
	const struct cli_verb *verb;
	char *help[] = { NULL, "--help", NULL };

	log_init("skep");
	signal(SIGPIPE, SIG_IGN);
	if (argc < 2) {
		overview(stderr);
		return CLI_USAGE;
	}
	if (streq(argv[1], "help") || streq(argv[1], "--help") || streq(argv[1], "-h")) {
		verb = argc > 2 ? find(argv[2]) : NULL;
		if (argc > 2 && !verb) {
			cli_error("unknown verb '%s'; `skep help` lists them", argv[2]);
			return CLI_USAGE;
		}
		if (!verb) {
			overview(stdout);
			return CLI_OK;
		}
		help[0] = argv[2];
		return verb->run(verb, 2, help);
	}
	verb = find(streq(argv[1], "--version") ? "version" : argv[1]);
	if (!verb) {
		cli_error("unknown verb '%s'; `skep help` lists them", argv[1]);
		return CLI_USAGE;
	}
	return verb->run(verb, argc - 1, argv + 1);
}
