/* SPDX-License-Identifier: Apache-2.0 */
/* skep wait, scale, rollout, version, image: verbs of a few lines each. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/api_types.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "cli.h"
#include "cluster.h"
#include "rollout.h"

/* --- wait --------------------------------------------------------------------------------------------------------- */

static int wait_for(const struct cli_verb *verb, const struct cli_common *common, int argc, char **argv,
		    const char *until, int64_t timeout_ms, bool verbose, const struct api_kind *only)
{
	struct err err = ERR_INIT;
	struct cli_target t;
	struct cli cli;
	int r = CLI_OK;

	if (cli_target_parse(argc, argv, &t, &err) < 0) {
		cli_error("%s", err.msg);
		return CLI_USAGE;
	}
	if (!t.n_names || (only && t.kind != only)) {
		cli_error(!t.n_names ? "say which object: KIND NAME; see `skep %s --help`"
				     : "this works on deployments only; see `skep %s --help`",
			  verb->name);
		return CLI_USAGE;
	}
	if (cli_open(&cli, common, &err) < 0) {
		cli_error("%s", err.msg);
		return CLI_FAILED;
	}
	for (size_t i = 0; i < t.n_names; i++) {
		char label[320];

		if (rollout_wait(&cli, t.kind, t.kind->namespaced ? cli.namespace_ : NULL, t.names[i], until,
				 timeout_ms, verbose, &err) < 0) {
			cli_error("%s", err.msg);
			r = CLI_FAILED;
		} else if (!verbose) {
			printf("%s condition met\n", cli_object_name(t.kind, t.names[i], label));
		}
	}
	cli_close(&cli);
	return r;
}

static int run_wait(const struct cli_verb *verb, int argc, char **argv)
{
	struct cli_common common = { 0 };
	const char *until = "ready";
	int64_t timeout_ms = 30000;
	const struct cli_opt opts[] = {
		{ 0, "for", CLI_STRING, &until, "WHAT",
		  "ready (default), deleted (or delete), condition=NAME[=VALUE], jsonpath={.PATH}[=VALUE]" },
		{ 0, "timeout", CLI_DURATION, &timeout_ms, "TIME", "give up after so long (default 30s)" },
		CLI_COMMON_OPTS(common),
		{ 0 },
	};
	int n = cli_parse(verb, argc, argv, opts, NULL);

	if (n < 0)
		return CLI_PARSE_EXIT(n);
	if (streq(until, "delete"))
		until = "deleted";
	if (!streq(until, "ready") && !streq(until, "deleted") && !str_starts(until, "condition=") &&
	    !(str_starts(until, "jsonpath={") && strchr(until, '}'))) {
		cli_error("--for=%s is not ready, deleted, condition=NAME[=VALUE] or jsonpath={.PATH}[=VALUE]", until);
		return CLI_USAGE;
	}
	return wait_for(verb, &common, n, argv + 1, until, timeout_ms, false, NULL);
}

const struct cli_verb cli_wait = {
	.name = "wait",
	.summary = "Wait until objects are ready, gone, or have a condition",
	.usage = "wait KIND NAME... [--for=ready|deleted|condition=NAME[=VALUE]|jsonpath={.PATH}[=VALUE]]",
	.run = run_wait,
};

/* --- scale -------------------------------------------------------------------------------------------------------- */

static int run_scale(const struct cli_verb *verb, int argc, char **argv)
{
	struct cli_common common = { 0 };
	struct err err = ERR_INIT;
	int64_t replicas = -1;
	const struct cli_opt opts[] = {
		{ 0, "replicas", CLI_INT, &replicas, "N", "number of pods wanted" },
		CLI_COMMON_OPTS(common),
		{ 0 },
	};
	struct cli_target t;
	struct cli cli;
	int n, r = CLI_OK;

	n = cli_parse(verb, argc, argv, opts, NULL);
	if (n < 0)
		return CLI_PARSE_EXIT(n);
	if (cli_target_parse(n, argv + 1, &t, &err) < 0 || !t.n_names || replicas < 0) {
		cli_error("%s", err.code ? err.msg : "needed: KIND NAME and --replicas=N, N at least 0");
		return CLI_USAGE;
	}
	if (cli_open(&cli, &common, &err) < 0) {
		cli_error("%s", err.msg);
		return CLI_FAILED;
	}
	for (size_t i = 0; i < t.n_names; i++) {
		cleanup(free) char *path = kube_path(t.kind, cli.namespace_, t.names[i], "scale");
		json_t *patch = json_pack("{s:{s:I}}", "spec", "replicas", (json_int_t)replicas);
		char label[320];
		int status;

		status = cli_request(&cli, "PATCH", path, "application/merge-patch+json", NULL, patch, NULL, &err);
		json_decref(patch);
		if (status < 0 || status >= 400) {
			cli_error("%s", err.msg);
			r = CLI_FAILED;
		} else {
			printf("%s scaled\n", cli_object_name(t.kind, t.names[i], label));
		}
	}
	cli_close(&cli);
	return r;
}

const struct cli_verb cli_scale = {
	.name = "scale",
	.summary = "Set the number of pods of a Deployment or ReplicaSet",
	.usage = "scale KIND NAME --replicas=N",
	.run = run_scale,
};

/* --- patch -------------------------------------------------------------------------------------------------------- */

static int run_patch(const struct cli_verb *verb, int argc, char **argv)
{
	static const char *const types[][2] = { { "merge", "application/merge-patch+json" },
						{ "json", "application/json-patch+json" },
						{ "strategic", "application/strategic-merge-patch+json" } };
	struct cli_common common = { 0 };
	const char *text = NULL, *type = "strategic", *sub = NULL, *media = NULL;
	struct err err = ERR_INIT;
	const struct cli_opt opts[] = {
		{ 'p', "patch", CLI_STRING, &text, "PATCH", "what to change, as JSON or YAML" },
		{ 0, "type", CLI_STRING, &type, "TYPE", "strategic (default), merge or json" },
		{ 0, "subresource", CLI_STRING, &sub, "NAME", "status or scale instead of the object itself" },
		CLI_COMMON_OPTS(common),
		{ 0 },
	};
	json_t *docs = NULL;
	struct cli_target t;
	struct cli cli;
	int n, r = CLI_OK;

	n = cli_parse(verb, argc, argv, opts, NULL);
	if (n < 0)
		return CLI_PARSE_EXIT(n);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (streq(types[i][0], type))
			media = types[i][1];
	if (cli_target_parse(n, argv + 1, &t, &err) < 0 || !t.n_names || !text || !media) {
		cli_error("%s", err.code ? err.msg
				: !media ? "--type is strategic, merge or json"
					 : "needed: KIND NAME and --patch=PATCH");
		return CLI_USAGE;
	}
	if (api_yaml_parse(text, strlen(text), &docs, NULL, &err) < 0 || json_array_size(docs) != 1) {
		cli_error("--patch: %s", err.code ? err.msg : "one document is needed");
		json_decref(docs);
		return CLI_USAGE;
	}
	if (cli_open(&cli, &common, &err) < 0) {
		cli_error("%s", err.msg);
		json_decref(docs);
		return CLI_FAILED;
	}
	for (size_t i = 0; i < t.n_names; i++) {
		cleanup(free) char *path = kube_path(t.kind, cli.namespace_, t.names[i], sub);
		char label[320];
		int status = cli_request(&cli, "PATCH", path, media, NULL, json_array_get(docs, 0), NULL, &err);

		if (status < 0 || status >= 400) {
			cli_error("%s", err.msg);
			r = CLI_FAILED;
		} else {
			printf("%s patched\n", cli_object_name(t.kind, t.names[i], label));
		}
	}
	cli_close(&cli);
	json_decref(docs);
	return r;
}

const struct cli_verb cli_patch = {
	.name = "patch",
	.summary = "Change some fields of objects",
	.usage = "patch KIND NAME... --patch=PATCH [--type=strategic|merge|json]",
	.run = run_patch,
};

/* --- rollout ------------------------------------------------------------------------------------------------------ */

static int run_rollout(const struct cli_verb *verb, int argc, char **argv)
{
	struct cli_common common = { 0 };
	int64_t timeout_ms = 600000;
	const struct cli_opt opts[] = {
		{ 0, "timeout", CLI_DURATION, &timeout_ms, "TIME", "give up after so long (default 10m)" },
		CLI_COMMON_OPTS(common),
		{ 0 },
	};
	int n = cli_parse(verb, argc, argv, opts, NULL);

	if (n < 0)
		return CLI_PARSE_EXIT(n);
	if (!n || !streq(argv[1], "status")) {
		cli_error("`skep rollout status deployment NAME` is what there is");
		return CLI_USAGE;
	}
	return wait_for(verb, &common, n - 1, argv + 2, "ready", timeout_ms, true, &api_kind_deployment);
}

const struct cli_verb cli_rollout = {
	.name = "rollout",
	.summary = "Follow a Deployment until its pods are replaced",
	.usage = "rollout status deployment NAME",
	.run = run_rollout,
};

/* --- version ------------------------------------------------------------------------------------------------------ */

static int run_version(const struct cli_verb *verb, int argc, char **argv)
{
	struct cli_common common = { 0 };
	struct err err = ERR_INIT;
	bool client_only = false;
	const struct cli_opt opts[] = {
		{ 0, "client", CLI_FLAG, &client_only, NULL, "do not ask the server" },
		CLI_COMMON_OPTS(common),
		{ 0 },
	};
	json_t *obj = NULL;
	struct cli cli;
	int n;

	n = cli_parse(verb, argc, argv, opts, NULL);
	if (n < 0)
		return CLI_PARSE_EXIT(n);
	printf("Client: skep %s\n", SKEP_VERSION);
	if (client_only)
		return CLI_OK;
	if (cli_open(&cli, &common, &err) < 0) {
		cli_error("%s", err.msg);
		return CLI_FAILED;
	}
	n = cli_request(&cli, "GET", "/version", NULL, NULL, NULL, &obj, &err);
	if (n == 200)
		printf("Server: %s\n", api_get_str(obj, "gitVersion") ?: "unknown");
	else
		cli_error("%s", err.msg);
	json_decref(obj);
	cli_close(&cli);
	return n == 200 ? CLI_OK : CLI_FAILED;
}

const struct cli_verb cli_version = {
	.name = "version",
	.summary = "Versions of this program and of the server",
	.usage = "version [--client]",
	.run = run_version,
};

/* --- image -------------------------------------------------------------------------------------------------------- */

static int import_on(const struct cluster *c, int node, const char *file)
{
	char name[64], address[PATH_MAX];
	int status;
	pid_t pid;

	snprintf(address, sizeof(address), "--address=%s/%s/containerd.sock", c->run_dir,
		 cluster_node_name(c, node, name));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		/* ctr's own lines name the image; its progress bars are noise. */
		execlp("ctr", "ctr", address, "--namespace=k8s.io", "images", "import", file, (char *)NULL);
		dprintf(STDERR_FILENO, "cannot run ctr: %s (it is in Debian's package containerd)\n", strerror(errno));
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid < 0 || !WIFEXITED(status) || WEXITSTATUS(status)) {
		cli_error("node %s: the image was not loaded", name);
		return -1;
	}
	return 0;
}

static int run_image(const struct cli_verb *verb, int argc, char **argv)
{
	struct err err = ERR_INIT;
	const char *name = "default";
	const struct cli_opt opts[] = {
		{ 0, "name", CLI_STRING, &name, "NAME", "cluster name (default \"default\")" },
		{ 0, "cluster", CLI_STRING, &name, "NAME", "the same" },
		{ 0 },
	};
	struct cluster c;
	int n, nodes, r = CLI_OK;

	n = cli_parse(verb, argc, argv, opts, NULL);
	if (n < 0)
		return CLI_PARSE_EXIT(n);
	if (n < 2 || !streq(argv[1], "load")) {
		cli_error("`skep image load FILE.tar...` is what there is");
		return CLI_USAGE;
	}
	if (cluster_init(&c, name, &err) < 0) {
		cli_error("%s", err.msg);
		return CLI_USAGE;
	}
	nodes = cluster_count_nodes(&c);
	if (!nodes) {
		cli_error("no cluster '%s' on this machine; `skep up` makes one", name);
		return CLI_FAILED;
	}
	for (int f = 2; f <= n; f++) {
		if (access(argv[f], R_OK)) {
			cli_error("'%s': %s", argv[f], strerror(errno));
			return CLI_FAILED;
		}
		for (int i = 1; i <= nodes; i++)
			if (import_on(&c, i, argv[f]) < 0)
				r = CLI_FAILED;
	}
	return r;
}

const struct cli_verb cli_image = {
	.name = "image",
	.summary = "Load images from files on every node of a local cluster",
	.usage = "image load FILE.tar... [--name NAME]",
	.details = "The file is an OCI or docker archive, as `docker save` or `skopeo copy ... oci-archive:` make it.",
	.run = run_image,
};
