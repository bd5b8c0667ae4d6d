/* SPDX-License-Identifier: Apache-2.0 */
/*
 * skep store: backups, restoration and the move to another store. The program that knows the stores does it; here
 * only the local cluster's name becomes its store.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "cli.h"
#include "cluster.h"

#define MAX_ARGS 64

static bool names_a_store(const char *arg)
{
	return str_starts(arg, "--store") || str_starts(arg, "--endpoints") || str_starts(arg, "--from") ||
	       str_starts(arg, "--to") || streq(arg, "--help") || streq(arg, "help");
}

static int run(const struct cli_verb *verb, int argc, char **argv)
{
	const char *name = "default", *out[MAX_ARGS + 4];
	static char program[256], store[256];
	struct cluster c;
	struct err err = ERR_INIT;
	bool given = false;
	int n = 0;

	(void)verb;
	if (argc > MAX_ARGS) {
		cli_error("too many arguments");
		return CLI_USAGE;
	}
	out[n++] = program;
	out[n++] = "store";
	for (int i = 1; i < argc; i++) {
		if (str_starts(argv[i], "--cluster=")) {
			name = argv[i] + 10;
		} else if (streq(argv[i], "--cluster") && i + 1 < argc) {
			name = argv[++i];
		} else {
			given |= names_a_store(argv[i]);
			out[n++] = argv[i];
		}
	}
	if (cluster_init(&c, name, &err) < 0) {
		cli_error("%s", err.msg);
		return CLI_FAILED;
	}
	if (!given && argc > 1 && (streq(argv[1], "backup") || streq(argv[1], "restore"))) {
		snprintf(store, sizeof(store), "--store=sqlite:%s/store", c.state_dir);
		out[n++] = store;
	}
	out[n] = NULL;
	snprintf(program, sizeof(program), "%s/skep-apiserver", c.bin_dir);
	execv(program, (char *const *)out);
	cli_error("run '%s': %s", program, strerror(errno));
	return CLI_FAILED;
}

const struct cli_verb cli_store = {
	.name = "store",
	.summary = "back up, restore and move what the API server stores",
	.usage = "store backup FILE | restore FILE | migrate --from STORE --to STORE | status FILE",
	.details = "Copies of a cluster's whole state; `skep store --help` has the options.\n"
		   "\n"
		   "  skep store backup /root/monday.skep          the cluster of `skep up`, while it runs\n"
		   "  skep store restore /root/monday.skep --store sqlite:/var/lib/skep-apiserver\n"
		   "  skep store migrate --from sqlite:/var/lib/skep/default/store --to etcd:https://10.0.0.1:2379 \\\n"
		   "      --cacert ca.crt --cert client.crt --key client.key\n",
	.run = run,
};
