/* SPDX-License-Identifier: Apache-2.0 */
/*
 * skep apply and skep delete -f: manifests to the API server. All files are read and checked before the first
 * request, so that a broken file changes nothing; the server's complaints are given with file and line.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "apply_patch.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "cli.h"
#include "dataplane_wait.h"
#include "manifest.h"
#include "rollout.h"

#define STRATEGIC "application/strategic-merge-patch+json"

static const char *namespace_of(const struct cli *cli, const struct manifest_doc *doc, const char *forced)
{
	const char *ns = api_get_str(doc->obj, "metadata.namespace");

	if (!doc->kind->namespaced)
		return NULL;
	return forced ? forced : ns ? ns : cli->namespace_;
}

/* The server's causes, each with the line its field stands on. */
static void complain(const struct manifest_doc *doc, const json_t *status, const struct err *err)
{
	const json_t *causes = api_get(status, "details.causes"), *cause;
	char where[512];
	size_t i;

	if (!json_array_size(causes)) {
		cli_error("%s: %s", manifest_where(doc, "", where), err->msg);
		return;
	}
	json_array_foreach (causes, i, cause) {
		const char *field = api_get_str(cause, "field");

		cli_error("%s: %s: %s", manifest_where(doc, field, where), field ? field : "",
			  api_get_str(cause, "message") ?: "");
	}
}

/* The manifest as it will be remembered: itself without the annotation. */
static json_t *with_annotation(const struct manifest_doc *doc, const char *ns)
{
	json_t *obj = json_deep_copy(doc->obj), *meta = json_object_get(obj, "metadata"), *notes;
	char *text;

	if (!obj || !meta)
		return obj;
	if (ns)
		json_object_set_new(meta, "namespace", json_string(ns));
	notes = json_object_get(meta, "annotations");
	if (!json_is_object(notes)) {
		notes = json_object();
		json_object_set_new(meta, "annotations", notes);
	}
	json_object_del(notes, LAST_APPLIED);
	text = json_dumps(obj, JSON_COMPACT | JSON_SORT_KEYS);
	if (text) {
		json_object_set_new(notes, LAST_APPLIED, json_stringn(text, strlen(text)));
		free(text);
	}
	return obj;
}

/* wanted_nodes: out, what a node has to know for it. */
static int apply_one(struct cli *cli, const struct manifest_doc *doc, const char *forced_ns, bool dry_run,
		     struct dataplane_wanted *wanted_nodes)
{
	const char *ns = namespace_of(cli, doc, forced_ns), *name = api_get_str(doc->obj, "metadata.name"), *own;
	cleanup(free) char *one = NULL;
	cleanup(free) char *coll = NULL;
	cleanup(free) char *url = NULL;
	json_t *live = NULL, *wanted = NULL, *sent = NULL, *answer = NULL, *last = NULL;
	const char *verb = "created", *before = "";
	struct err err = ERR_INIT;
	char label[320], where[512];
	int status, r = -1;

	own = api_get_str(doc->obj, "metadata.namespace");
	if (forced_ns && own && doc->kind->namespaced && !streq(own, forced_ns)) {
		cli_error("%s: metadata.namespace is '%s' but --namespace says '%s'",
			  manifest_where(doc, "metadata.namespace", where), own, forced_ns);
		return -1;
	}
	if (!name) {
		cli_error("%s: apply needs metadata.name (generateName would make a new object each time)",
			  manifest_where(doc, "", where));
		return -1;
	}
	one = kube_path(doc->kind, ns, name, NULL);
	coll = kube_path(doc->kind, ns, NULL, NULL);
	wanted = with_annotation(doc, ns);
	if (!one || !coll || !wanted)
		goto out;
	status = cli_request(cli, "GET", one, NULL, NULL, NULL, &live, &err);
	if (status < 0 || (status >= 400 && status != 404)) {
		complain(doc, live, &err);
		goto out;
	}
	if (status == 404) {
		if (asprintf(&url, "%s?fieldManager=skep-apply&fieldValidation=Strict%s", coll,
			     dry_run ? "&dryRun=All" : "") < 0)
			goto out;
		status = cli_request(cli, "POST", url, NULL, NULL, wanted, &answer, &err);
	} else {
		const char *text =
			json_string_value(json_object_get(api_get(live, "metadata.annotations"), LAST_APPLIED));

		before = api_get_str(live, "metadata.resourceVersion") ?: "";
		if (text)
			last = json_loads(text, 0, NULL);
		sent = apply_patch(doc->kind->type, last, wanted);
		if (asprintf(&url, "%s?fieldManager=skep-apply&fieldValidation=Strict%s", one,
			     dry_run ? "&dryRun=All" : "") < 0)
			goto out;
		status = cli_request(cli, "PATCH", url, STRATEGIC, NULL, sent, &answer, &err);
		verb = "configured";
	}
	if (status < 0 || status >= 400) {
		complain(doc, answer, &err);
		goto out;
	}
	if (streq(before, api_get_str(answer, "metadata.resourceVersion")))
		verb = "unchanged";
	printf("%s %s%s\n", cli_object_name(doc->kind, name, label), verb, dry_run ? " (dry run)" : "");
	fflush(stdout);
	(void)dataplane_want(wanted_nodes, doc->kind, answer);
	r = 0;
out:
	json_decref(live);
	json_decref(wanted);
	json_decref(sent);
	json_decref(answer);
	json_decref(last);
	return r;
}

static int wait_for_nodes(struct cli *cli, const struct dataplane_wanted *wanted, int64_t timeout_ms)
{
	static const struct dataplane_wanted nothing;
	struct err err = ERR_INIT;

	if (!memcmp(wanted, &nothing, sizeof(nothing))) {
		fputs("Nothing of this is in the nodes' maps by itself (services, endpoint slices, network policies, pods and "
		      "namespaces are): not waited for\n",
		      stderr);
		return CLI_OK;
	}
	if (dataplane_wait(cli, wanted, timeout_ms, &err) < 0) {
		cli_error("%s", err.msg);
		return CLI_FAILED;
	}
	return CLI_OK;
}

static int run_apply(const struct cli_verb *verb, int argc, char **argv)
{
	struct cli_common common = { 0 };
	struct cli_list files = { 0 };
	struct err err = ERR_INIT;
	const char *wait = NULL, *dry_run = NULL;
	int64_t timeout_ms = 120000;
	bool recursive = false;
	const struct cli_opt opts[] = {
		{ 'f', "filename", CLI_LIST, &files, "FILE",
		  "manifest, directory of manifests, or - for standard input" },
		{ 'R', "recursive", CLI_FLAG, &recursive, NULL, "directories within directories too" },
		{ 0, "wait", CLI_OPTIONAL, &wait, "ready|dataplane",
		  "wait until what was applied is ready, or until every node forwards by it" },
		{ 0, "timeout", CLI_DURATION, &timeout_ms, "TIME", "of --wait (default 2m)" },
		{ 0, "dry-run", CLI_OPTIONAL, &dry_run, "server", "check on the server, change nothing" },
		CLI_COMMON_OPTS(common),
		{ 0 },
	};
	struct dataplane_wanted wanted = { 0 };
	struct manifest m;
	struct cli cli;
	int n, r = CLI_OK;

	n = cli_parse(verb, argc, argv, opts, NULL);
	if (n < 0)
		return CLI_PARSE_EXIT(n);
	if (n || !files.n) {
		cli_error(n ? "unexpected argument '%s': files are given with -f" : "say what to apply: -f FILE",
			  n ? argv[1] : "");
		return CLI_USAGE;
	}
	if (wait && *wait && !streq(wait, "ready") && !streq(wait, "dataplane")) {
		cli_error("--wait=%s is not known; --wait (or --wait=ready) waits until objects are ready, "
			  "--wait=dataplane until every node forwards by them",
			  wait);
		return CLI_USAGE;
	}
	if (dry_run && *dry_run && !streq(dry_run, "server")) {
		cli_error("--dry-run=%s is not known; only --dry-run=server is", dry_run);
		return CLI_USAGE;
	}
	if (manifest_load(&files, recursive, &m, &err) < 0) {
		cli_error("%s", err.msg);
		return CLI_FAILED;
	}
	if (cli_open(&cli, &common, &err) < 0) {
		cli_error("%s", err.msg);
		manifest_done(&m);
		return CLI_FAILED;
	}
	for (size_t i = 0; i < m.n; i++)
		if (apply_one(&cli, &m.docs[i], common.namespace_, dry_run, &wanted) < 0)
			r = CLI_FAILED;
	if (!r && streq(wait, "dataplane") && !dry_run)
		r = wait_for_nodes(&cli, &wanted, timeout_ms);
	for (size_t i = 0; !r && wait && !streq(wait, "dataplane") && !dry_run && i < m.n; i++)
		if (rollout_wait(&cli, m.docs[i].kind, namespace_of(&cli, &m.docs[i], common.namespace_),
				 api_get_str(m.docs[i].obj, "metadata.name"), "ready", timeout_ms, false, &err) < 0) {
			cli_error("%s", err.msg);
			r = CLI_FAILED;
		}
	cli_close(&cli);
	manifest_done(&m);
	return r;
}

const struct cli_verb cli_apply = {
	.name = "apply",
	.summary = "Create or update objects from manifests",
	.usage = "apply -f FILE... [--wait[=ready|dataplane]]",
	.details = "Compatible with kubectl apply: what a manifest no longer says is removed, what others set stays.\n"
		   "Nothing is sent if any file is broken; errors name file and line.",
	.run = run_apply,
};

/* --- delete ------------------------------------------------------------------------------------------------------- */

struct deletion {
	bool force, wait, ignore_missing;
	int64_t grace, timeout_ms;
	const char *cascade;
};

static int delete_one(struct cli *cli, const struct deletion *d, const struct api_kind *kind, const char *ns,
		      const char *name, const char *where)
{
	cleanup(free) char *path = kube_path(kind, ns, name, NULL);
	const char *policy = streq(d->cascade, "orphan")       ? "Orphan"
			     : streq(d->cascade, "foreground") ? "Foreground"
							       : "Background";
	json_t *options = json_pack("{s:s,s:s,s:s}", "apiVersion", "v1", "kind", "DeleteOptions", "propagationPolicy",
				    policy);
	struct err err = ERR_INIT;
	char label[320];
	int status;

	if (d->grace >= 0 || d->force)
		json_object_set_new(options, "gracePeriodSeconds", json_integer(d->grace >= 0 ? d->grace : 0));
	status = cli_request(cli, "DELETE", path, NULL, NULL, options, NULL, &err);
	json_decref(options);
	if (status == 404 && d->ignore_missing)
		return 0;
	if (status < 0 || status >= 400) {
		cli_error("%s%s%s", where, *where ? ": " : "", err.msg);
		return -1;
	}
	printf("%s deleted\n", cli_object_name(kind, name, label));
	fflush(stdout);
	if (d->wait && rollout_wait(cli, kind, ns, name, "deleted", d->timeout_ms, false, &err) < 0) {
		cli_error("%s", err.msg);
		return -1;
	}
	return 0;
}

static int delete_manifests(struct cli *cli, const struct deletion *d, const struct manifest *m, const char *forced_ns)
{
	int r = CLI_OK;

	/* The other way round: what was made last goes first, so that a namespace goes after its contents. */
	for (size_t i = m->n; i-- > 0;) {
		const struct manifest_doc *doc = &m->docs[i];
		char where[512];

		if (delete_one(cli, d, doc->kind, namespace_of(cli, doc, forced_ns),
			       api_get_str(doc->obj, "metadata.name"), manifest_where(doc, "", where)) < 0)
			r = CLI_FAILED;
	}
	return r;
}

static int delete_selected(struct cli *cli, const struct deletion *d, const struct cli_target *t, const char *ns,
			   const char *selector)
{
	cleanup(free) char *base = kube_path(t->kind, ns, NULL, NULL);
	cleanup(free) char *esc = selector ? http_escape(selector) : NULL;
	cleanup(free) char *path = NULL;
	struct err err = ERR_INIT;
	json_t *list = NULL, *item;
	int r = CLI_OK;
	size_t i;

	if (asprintf(&path, "%s%s%s", base, selector ? "?labelSelector=" : "", esc ? esc : "") < 0)
		return CLI_FAILED;
	if (cli_request(cli, "GET", path, NULL, NULL, NULL, &list, &err) != 200) {
		cli_error("%s", err.msg);
		json_decref(list);
		return CLI_FAILED;
	}
	if (!json_array_size(json_object_get(list, "items")))
		fputs("No resources found\n", stderr);
	json_array_foreach (json_object_get(list, "items"), i, item)
		if (delete_one(cli, d, t->kind, ns, api_get_str(item, "metadata.name"), "") < 0)
			r = CLI_FAILED;
	json_decref(list);
	return r;
}

static int run_delete(const struct cli_verb *verb, int argc, char **argv)
{
	struct deletion d = { .wait = true, .grace = -1, .cascade = "background", .timeout_ms = 120000 };
	struct cli_common common = { 0 };
	struct cli_list files = { 0 };
	struct err err = ERR_INIT;
	const char *selector = NULL;
	bool recursive = false, all = false;
	const struct cli_opt opts[] = {
		{ 'f', "filename", CLI_LIST, &files, "FILE", "delete the objects of these manifests" },
		{ 'R', "recursive", CLI_FLAG, &recursive, NULL, "directories within directories too" },
		{ 'l', "selector", CLI_STRING, &selector, "LABELS", "delete objects with these labels" },
		{ 0, "all", CLI_FLAG, &all, NULL, "delete all objects of the kind in the namespace" },
		{ 0, "wait", CLI_FLAG, &d.wait, NULL, "wait until they are gone (default true)" },
		{ 0, "timeout", CLI_DURATION, &d.timeout_ms, "TIME", "of waiting (default 2m)" },
		{ 0, "grace-period", CLI_INT, &d.grace, "SECONDS",
		  "for containers to end (default: what the pod says)" },
		{ 0, "force", CLI_FLAG, &d.force, NULL, "do not wait for containers: grace period 0" },
		{ 0, "cascade", CLI_STRING, &d.cascade, "HOW", "background, foreground or orphan" },
		{ 0, "ignore-not-found", CLI_FLAG, &d.ignore_missing, NULL, "a missing object is no error" },
		CLI_COMMON_OPTS(common),
		{ 0 },
	};
	struct manifest m = { 0 };
	struct cli_target t = { 0 };
	struct cli cli;
	const char *ns;
	int n, r = CLI_OK;

	n = cli_parse(verb, argc, argv, opts, NULL);
	if (n < 0)
		return CLI_PARSE_EXIT(n);
	if (!streq(d.cascade, "background") && !streq(d.cascade, "foreground") && !streq(d.cascade, "orphan")) {
		cli_error("--cascade=%s is not background, foreground or orphan", d.cascade);
		return CLI_USAGE;
	}
	if (files.n ? n : cli_target_parse(n, argv + 1, &t, &err) < 0) {
		cli_error("%s", files.n ? "give either -f FILE or KIND NAME" : err.msg);
		return CLI_USAGE;
	}
	if (!files.n && !t.n_names && !selector && !all) {
		cli_error("say which: names, -l LABELS or --all");
		return CLI_USAGE;
	}
	if (files.n && manifest_load(&files, recursive, &m, &err) < 0) {
		cli_error("%s", err.msg);
		return CLI_FAILED;
	}
	if (cli_open(&cli, &common, &err) < 0) {
		cli_error("%s", err.msg);
		manifest_done(&m);
		return CLI_FAILED;
	}
	ns = t.kind && t.kind->namespaced ? cli.namespace_ : NULL;
	if (files.n)
		r = delete_manifests(&cli, &d, &m, common.namespace_);
	else if (!t.n_names)
		r = delete_selected(&cli, &d, &t, ns, selector);
	for (size_t i = 0; i < t.n_names; i++)
		if (delete_one(&cli, &d, t.kind, ns, t.names[i], "") < 0)
			r = CLI_FAILED;
	cli_close(&cli);
	manifest_done(&m);
	return r;
}

const struct cli_verb cli_delete = {
	.name = "delete",
	.summary = "Delete objects and wait until they are gone",
	.usage = "delete (-f FILE... | KIND NAME... | KIND -l LABELS | KIND --all)",
	.run = run_delete,
};
