/* SPDX-License-Identifier: Apache-2.0 */
/*
 * skep-apiserver store ...: backups of the store, their restoration, and the move from one store to another. `skep
 * store` runs it. It is here, and not in the command line client, since only this program links the stores.
 */
#include "store_tool.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "../../lib/base/log.h"
#include "../../lib/base/str.h"
#include "../store/backup.h"

#define ETCD_PREFIX "/registry"

static const char usage[] =
	"Usage: skep store backup FILE [STORE] [--force]\n"
	"       skep store restore FILE [STORE] [--force]\n"
	"       skep store migrate --from STORE --to STORE [--force]\n"
	"       skep store status FILE\n"
	"\n"
	"Copies of everything that a cluster's API server stores, at one revision.\n"
	"\n"
	"  backup    writes a file; the API server may go on meanwhile\n"
	"  restore   puts a file's content into a store; stop every API server first\n"
	"  migrate   copies one store into another, as from the embedded one to etcd; stop every API server first\n"
	"  status    checks a file\n"
	"\n"
	"After restore and migrate revisions go on a thousand million higher: every watcher is told to list again.\n"
	"Files hold secrets as the store does: encrypted if the API server encrypts, with the same keys.\n"
	"\n"
	"STORE is one of\n"
	"  --cluster NAME           a cluster made by `skep up --name NAME` on this machine (default)\n"
	"  --store sqlite:DIRECTORY or etcd:URL[,URL...]\n"
	"  --endpoints URL[,URL...] the same as --store etcd:\n"
	"with, for etcd over https,\n"
	"  --cacert FILE --cert FILE --key FILE\n"
	"\n"
	"  --force   replace what is there already (an embedded store's database is kept beside the new one)\n";

struct tool {
	struct backup_place store, from, to, file;
	struct tls_files tls;
	struct backup_options options;
};

static int set_store(const char *text, struct backup_place *ret, struct err *err)
{
	if (str_starts(text, "sqlite:") && text[7])
		*ret = (struct backup_place){ .kind = BACKUP_SQLITE, .where = text + 7 };
	else if (str_starts(text, "etcd:") && text[5])
		*ret = (struct backup_place){ .kind = BACKUP_ETCD, .where = text + 5, .prefix = ETCD_PREFIX };
	else
		return err_set(err, EINVAL, "store '%s': expected sqlite:DIRECTORY or etcd:URL[,URL...]", text);
	return 0;
}

static int parse(struct tool *t, int argc, char **argv, struct err *err)
{
	enum { STORE = 1000, ENDPOINTS, FROM, TO, CACERT, CERT, KEY, FORCE, HELP };
	static const struct option options[] = {
		{ "store", 1, NULL, STORE },   { "endpoints", 1, NULL, ENDPOINTS },
		{ "from", 1, NULL, FROM },     { "to", 1, NULL, TO },
		{ "cacert", 1, NULL, CACERT }, { "cert", 1, NULL, CERT },
		{ "key", 1, NULL, KEY },       { "force", 0, NULL, FORCE },
		{ "help", 0, NULL, HELP },     { 0 },
	};
	int opt, r = 0;

	optind = 0;
	opterr = 0;
	while (r == 0 && (opt = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		switch (opt) {
		case STORE:
			r = set_store(optarg, &t->store, err);
			break;
		case ENDPOINTS:
			t->store = (struct backup_place){ .kind = BACKUP_ETCD, .where = optarg, .prefix = ETCD_PREFIX };
			break;
		case FROM:
			r = set_store(optarg, &t->from, err);
			break;
		case TO:
			r = set_store(optarg, &t->to, err);
			break;
		case CACERT:
			t->tls.ca_file = optarg;
			break;
		case CERT:
			t->tls.cert_file = optarg;
			break;
		case KEY:
			t->tls.key_file = optarg;
			break;
		case FORCE:
			t->options.force = true;
			break;
		case HELP:
			fputs(usage, stdout);
			return 1;
		case ':':
			return err_set(err, EINVAL, "%s needs a value; see --help", argv[optind - 1]);
		default:
			return err_set(err, EINVAL, "unknown option %s; see --help", argv[optind - 1]);
		}
	}
	t->store.tls = t->from.tls = t->to.tls = t->tls;
	return r;
}

static int said(const struct backup_result *res, const char *verb, const struct backup_place *to)
{
	if (res->to_rev)
		printf("%s: %zu keys of revision %lld, now at revision %lld\n", verb, res->keys,
		       (long long)res->from_rev, (long long)res->to_rev);
	else
		printf("%s: %zu keys of revision %lld in %s\n", verb, res->keys, (long long)res->from_rev, to->where);
	return 0;
}

static int run(struct tool *t, const char *verb, const char *file, struct err *err)
{
	struct backup_result res = { 0 };
	int r;

	t->file = (struct backup_place){ .kind = BACKUP_FILE, .where = file };
	if (streq(verb, "status")) {
		r = file ? backup_verify(file, &res, err) : err_set(err, EINVAL, "status needs a file; see --help");
		if (r == 0)
			printf("%s is whole: %zu keys of revision %lld\n", file, res.keys, (long long)res.from_rev);
		return r;
	}
	if (streq(verb, "migrate")) {
		if (file || !t->from.where || !t->to.where)
			return err_set(err, EINVAL, "migrate needs --from and --to; see --help");
		t->options.alone = true;
		r = backup_copy(&t->from, &t->to, &t->options, &res, err);
		return r < 0 ? r : said(&res, "migrated", &t->to);
	}
	if (!file || !t->store.where)
		return err_set(err, EINVAL, "%s needs a file and a store; see --help", verb);
	if (streq(verb, "backup")) {
		r = backup_copy(&t->store, &t->file, &t->options, &res, err);
		return r < 0 ? r : said(&res, "backed up", &t->file);
	}
	r = backup_copy(&t->file, &t->store, &t->options, &res, err);
	return r < 0 ? r : said(&res, "restored", &t->store);
}

int store_tool_main(int argc, char **argv)
{
	static const char *const verbs[] = { "backup", "restore", "migrate", "status", NULL };
	const char *verb = argc > 1 ? argv[1] : "";
	struct tool t = { 0 };
	struct err err = ERR_INIT;
	int r, i = 0;

	log_init("skep-store");
	if (streq(verb, "--help") || streq(verb, "help")) {
		fputs(usage, stdout);
		return 0;
	}
	while (verbs[i] && !streq(verbs[i], verb))
		i++;
	if (!verbs[i]) {
		fputs(usage, stderr);
		return 2;
	}
	r = parse(&t, argc - 1, argv + 1, &err);
	if (r > 0)
		return 0;
	if (r == 0 && optind + 2 < argc)
		r = err_set(&err, EINVAL, "unexpected argument '%s'; see --help", argv[optind + 2]);
	if (r < 0) {
		fprintf(stderr, "error: %s\n", err.msg);
		return 2;
	}
	r = run(&t, verb, optind + 1 < argc ? argv[optind + 1] : NULL, &err);
	if (r < 0)
		fprintf(stderr, "error: %s\n", err.msg);
	return r == 0 ? 0 : r == -EINVAL ? 2 : 1;
}
