/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The skep command line: one thin file per verb over what this header shares. A verb is a struct cli_verb in the
 * table of main.c; it parses its options with cli_parse(), which also prints its help, and returns the exit status: 0
 * done, 1 failed (said on stderr), 2 wrong usage.
 */
#ifndef SKEP_CLI_CLI_H
#define SKEP_CLI_CLI_H

#include <stdbool.h>
#include <stdio.h>

#include "api/api.h"
#include "base/err.h"
#include "client/kube.h"

enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

struct cli_verb {
	const char *name;
	const char *summary; /* one line of `skep help` */
	const char *usage;   /* "apply -f FILE..." */
	const char *details; /* paragraphs and examples of `skep help VERB` */
	int (*run)(const struct cli_verb *verb, int argc, char **argv); /* argv[0] is the verb */
};
extern const struct cli_verb cli_up, cli_down, cli_kubeconfig, cli_image, cli_apply, cli_get, cli_describe, cli_delete,
	cli_logs, cli_exec, cli_scale, cli_rollout, cli_top, cli_version, cli_net, cli_wait, cli_patch, cli_store;

/* --- options ------------------------------------------------------------------------------------------------------ */
enum cli_opt_type {
	CLI_FLAG,     /* bool: --x, --x=true, --x=false */
	CLI_STRING,   /* const char * */
	CLI_OPTIONAL, /* const char *: --x sets "", --x=v sets v */
	CLI_INT,      /* int64_t */
	CLI_DURATION, /* int64_t milliseconds: "10s" */
	CLI_LIST,     /* struct cli_list: may be repeated */
};
struct cli_list {
	size_t n;
	const char *v[64];
};
struct cli_opt {
	char letter; /* 0: none */
	const char *name;
	enum cli_opt_type type;
	void *var;
	const char *arg; /* name of the value in the help; NULL for flags */
	const char *help;
};
/* What all verbs that talk to a cluster take; see CLI_COMMON_OPTS. */
struct cli_common {
	const char *kubeconfig, *context, *cluster, *namespace_;
};
#define CLI_COMMON_OPTS(c)                                                                                             \
	{ 'n',	      "namespace",                                                                                     \
	  CLI_STRING, &(c).namespace_,                                                                                 \
	  "NAME",     "namespace to work in (default: the kubeconfig's, else default)" },                              \
		{ 0, "kubeconfig", CLI_STRING, &(c).kubeconfig, "FILE", "kubeconfig to use" },                         \
		{ 0, "context", CLI_STRING, &(c).context, "NAME", "context of the kubeconfig" },                       \
	{                                                                                                              \
		0, "cluster", CLI_STRING, &(c).cluster, "NAME",                                                        \
			"cluster made by `skep up --name NAME` on this machine"                                        \
	}

/*
 * Options anywhere before "--"; opts ends with an entry whose name is NULL. On success positional arguments are moved
 * to the front of argv (after argv[0]) and their number is returned; *ret_dashdash (may be NULL) is the index of the
 * first one after "--", or -1. Negative: -1 wrong usage (said on stderr), -2 help was printed.
 */
int cli_parse(const struct cli_verb *verb, int argc, char **argv, const struct cli_opt *opts, int *ret_dashdash);
#define CLI_PARSE_EXIT(n) ((n) == -2 ? CLI_OK : CLI_USAGE)

void cli_error(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* "error: ..." on stderr */
void cli_help(const struct cli_verb *verb, const struct cli_opt *opts, FILE *out);

/* --- the cluster -------------------------------------------------------------------------------------------------- */
struct cli {
	struct kubeconfig kc;
	struct loop *loop;
	struct kube *kube;
	const char *namespace_; /* --namespace, else the kubeconfig's, else "default" */
};
/* --kubeconfig, else --cluster's, else $KUBECONFIG, else the local cluster "default", else ~/.kube/config. */
int cli_open(struct cli *cli, const struct cli_common *common, struct err *err);
void cli_close(struct cli *cli);

/* The text of a Warning header ('299 - "text"'), which cli_request() prints; false: there is none. */
bool cli_warning_text(const char *header, char *buf, size_t size);
/*
 * One request, awaited. *ret_obj (may be NULL): the answer as JSON, new reference, NULL if it is none. Returns the
 * HTTP status, or a negative errno with err (no connection). A Status answer's message is in err too when status >=
 * 400.
 */
int cli_request(struct cli *cli, const char *method, const char *path, const char *content_type, const char *accept,
		const json_t *body, json_t **ret_obj, struct err *err);

/* "pods", "pod/a", "deploy a b": kind and names. 0 or -EINVAL with err. */
struct cli_target {
	const struct api_kind *kind;
	size_t n_names;
	const char *names[64];
};
int cli_target_parse(int argc, char **argv, struct cli_target *ret, struct err *err);
/* "deployment.apps/a", as kubectl names objects. buf of 320. */
char *cli_object_name(const struct api_kind *kind, const char *name, char *buf);

/* Aligned columns, as kubectl prints them. cells: row-major, borrowed; NULL is "". */
void cli_print_table(FILE *out, size_t cols, size_t rows, const char *const *cells);
/* The rows of a meta.k8s.io/v1 Table. prefix: "pod/" before names, or NULL. */
void cli_print_server_table(FILE *out, const json_t *table, bool wide, bool headers, bool namespaces,
			    const char *prefix);

#endif
