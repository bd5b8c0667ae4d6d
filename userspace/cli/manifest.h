/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests from files, directories and standard input, for apply and delete: every document with where it stands. */
#ifndef SKEP_CLI_MANIFEST_H
#define SKEP_CLI_MANIFEST_H

#include "cli.h"

struct manifest_doc {
	const char *file;  /* "-" for standard input */
	const char *text;  /* of the whole file, for looking up lines */
	size_t len, index; /* which document of the file */
	int line;	   /* its first line */
	json_t *obj;
	const struct api_kind *kind;
};
struct manifest {
	size_t n;
	struct manifest_doc *docs;
	size_t n_files;
	char **files, **texts;
};
/*
 * paths: files, directories (their *.yaml, *.yml, *.json in order of name), "-". Lists are taken apart. All or
 * nothing: on failure err names file, line and document. A kind the schema lacks is an error.
 */
int manifest_load(const struct cli_list *paths, bool recursive, struct manifest *ret, struct err *err);
void manifest_done(struct manifest *m);
/* "hello.yaml:12 (Deployment hello)" for a field ("" = the document). buf of 512. */
char *manifest_where(const struct manifest_doc *doc, const char *field, char *buf);

#endif
