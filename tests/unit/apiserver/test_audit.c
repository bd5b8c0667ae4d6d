/* SPDX-License-Identifier: Apache-2.0 */
/* The audit log: what the policy's rules choose, what the events say and keep quiet about, rotation, a slow disk. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../../userspace/control/apiserver/apiserver-internal.h"
#include "base/file.h"
#include "base/str.h"
#include "fixture.h"

#define HEAD "apiVersion: audit.k8s.io/v1\nkind: Policy\n"

static struct audit_policy *parse(const char *text)
{
	struct err err = ERR_INIT;
	struct audit_policy *p = NULL;

	cr_assert(audit_policy_parse(text, strlen(text), &p, &err) == 0, "%s", err.msg);
	return p;
}

static void refused(const char *text, const char *why)
{
	struct err err = ERR_INIT;
	struct audit_policy *p = NULL;

	cr_assert(audit_policy_parse(text, strlen(text), &p, &err) < 0 && !p);
	cr_assert(strstr(err.msg, why), "'%s' is not in '%s'", why, err.msg);
}

Test(audit, policies_with_mistakes_are_refused_by_name)
{
	refused("kind: Policy\n", "apiVersion");
	refused(HEAD, "rules");
	refused(HEAD "rules: [{level: Everything}]\n", "Everything");
	refused(HEAD "rules: [{level: None, user: [a]}]\n", "no member 'user'");
	refused(HEAD "rules: [{level: None, users: a}]\n", "rules[0].users is not a list");
	refused(HEAD "omitStages: [Received]\nrules: [{level: None}]\n", "'Received' is not a stage");
	refused(HEAD "rules: [{level: None, namespaces: [a], nonResourceURLs: ['/x']}]\n", "nonResourceURLs");
	refused(HEAD "rules: [{level: None, resources: [{group: '', resourceNames: [a]}]}]\n", "need resources");
	refused(HEAD "rules: [{level: None}]\n---\n" HEAD, "one document");
	refused("{", "");
}

Test(audit, the_first_rule_that_matches_decides)
{
	struct audit_policy *p = parse(
		HEAD "omitStages: [RequestReceived]\n"
		     "rules:\n"
		     "- {level: None, users: [watcher], verbs: [watch, list]}\n"
		     "- {level: Metadata, resources: [{group: '', resources: [secrets, 'pods/log']}]}\n"
		     "- {level: RequestResponse, resources: [{group: apps}], namespaces: [prod]}\n"
		     "- {level: Request, userGroups: [devs], resources: [{group: '', resources: "
		     "['*/scale', 'pods/*', nodes], resourceNames: [x]}], omitStages: [Panic]}\n"
		     "- {level: None, nonResourceURLs: ['/healthz*', /version]}\n"
		     "- {level: Metadata, nonResourceURLs: ['*']}\n"
		     "- {level: Request, namespaces: ['']}\n");
	static const struct {
		const char *user, *group, *verb, *api_group, *resource, *sub, *ns, *name, *path;
		enum audit_level want;
	} t[] = {
		{ "watcher", "", "list", "", "secrets", "", "a", "", NULL, AUDIT_NONE },
		{ "watcher", "", "get", "", "secrets", "", "a", "s", NULL, AUDIT_METADATA },
		{ "u", "", "get", "", "pods", "log", "a", "p", NULL, AUDIT_METADATA },
		{ "u", "", "get", "", "pods", "", "a", "p", NULL, AUDIT_NONE },
		{ "u", "", "get", "apps", "deployments", "scale", "prod", "d", NULL, AUDIT_REQUEST_RESPONSE },
		{ "u", "", "get", "apps", "deployments", "", "test", "d", NULL, AUDIT_NONE },
		{ "u", "devs", "update", "", "pods", "", "a", "x", NULL, AUDIT_REQUEST },
		{ "u", "devs", "update", "", "pods", "exec", "a", "x", NULL, AUDIT_REQUEST },
		{ "u", "devs", "update", "", "pods", "exec", "a", "y", NULL, AUDIT_NONE },
		{ "u", "devs", "update", "", "things", "scale", "a", "x", NULL, AUDIT_REQUEST },
		{ "u", "ops", "update", "", "things", "scale", "a", "x", NULL, AUDIT_NONE },
		{ "u", "", "get", "", "", "", "", "", "/healthz/ping", AUDIT_NONE },
		{ "u", "", "get", "", "", "", "", "", "/version", AUDIT_NONE },
		{ "u", "", "get", "", "", "", "", "", "/metrics", AUDIT_METADATA },
		{ "u", "", "list", "", "namespaces", "", "", "", NULL, AUDIT_REQUEST },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct identity who = { .user = t[i].user, .groups = (const char *[]){ t[i].group }, .n_groups = 1 };
		struct authz_request q = { .who = &who,
					   .verb = t[i].verb,
					   .group = t[i].api_group,
					   .resource = t[i].resource,
					   .sub = t[i].sub,
					   .ns = t[i].ns,
					   .name = t[i].name,
					   .path = t[i].path };
		struct audit_decision d;

		audit_policy_decide(p, &q, &d);
		cr_assert(d.level == t[i].want, "row %zu: %s", i, audit_level_names[d.level]);
		if (d.level != AUDIT_NONE)
			cr_assert(d.omit_stages & (1u << AUDIT_RECEIVED));
	}
	audit_policy_free(p);
}

/* --- the file ------------------------------------------------------------------------------------------------------
 */

static int count_files(const char *dir, size_t *ret_lines)
{
	DIR *d = opendir(dir);
	int n = 0;

	*ret_lines = 0;
	for (struct dirent *e; (e = readdir(d));) {
		char path[600], *text;
		size_t len;

		if (!str_starts(e->d_name, "audit"))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		cr_assert(file_read(path, 1 << 22, &text, &len, NULL) == 0);
		for (size_t i = 0; i < len; i++)
			*ret_lines += text[i] == '\n';
		cr_assert(!len || text[len - 1] == '\n');
		free(text);
		n++;
	}
	closedir(d);
	return n;
}

Test(audit, files_are_rotated_by_size_and_old_ones_removed)
{
	char dir[] = "/tmp/skep-audit-XXXXXX", path[200], old[200], line[301];
	struct loop *loop = loop_new();
	struct audit_log_config config = { .path = path, .max_size = 3100, .max_backups = 3 };
	struct audit_log *l;
	struct err err = ERR_INIT;
	size_t lines;

	cr_assert(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/audit.log", dir);
	snprintf(old, sizeof(old), "%s/audit-2001-01-01T00-00-00.000.log", dir);
	cr_assert(file_write(old, "{}\n", &err) == 0);
	memset(line, 'x', 299);
	line[299] = '\n';
	line[300] = '\0';
	cr_assert(audit_log_open(loop, &config, &l, &err) == 0, "%s", err.msg);
	for (int i = 0; i < 80; i++)
		audit_log_add(l, line, 300);
	audit_log_close(l);
	cr_assert(count_files(dir, &lines) == 4, "the file and three before it");
	cr_assert(lines == 40, "%zu", lines);
	cr_assert(access(old, F_OK) < 0);
	/* an existing file is gone on with, and this one is full */
	cr_assert(audit_log_open(loop, &config, &l, &err) == 0);
	audit_log_add(l, line, 300);
	cr_assert(audit_log_stats(l).lines == 1 && !audit_log_stats(l).dropped);
	audit_log_close(l);
	cr_assert(count_files(dir, &lines) == 4);
	cr_assert(lines == 31, "%zu", lines);
	loop_free(loop);
	dir_remove(dir, NULL);
}

/* The "disk" is a pipe that nobody reads: the loop goes on, lines are dropped and counted, none is cut. */
Test(audit, a_disk_that_hangs_does_not_hold_up_the_loop)
{
	char dir[] = "/tmp/skep-audit-XXXXXX", path[200], line[1001];
	struct loop *loop = loop_new();
	struct audit_log_config config = { .path = path, .max_buffered = 200000 };
	struct audit_log_stats st;
	struct audit_log *l;
	struct err err = ERR_INIT;
	size_t got = 0;
	char buf[65536];
	ssize_t n;
	int fd;

	cr_assert(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/audit.log", dir);
	cr_assert(mkfifo(path, 0600) == 0);
	fd = open(path, O_RDONLY | O_NONBLOCK);
	memset(line, 'x', 999);
	line[999] = '\n';
	cr_assert(audit_log_open(loop, &config, &l, &err) == 0, "%s", err.msg);
	for (int i = 0; i < 1000; i++)
		audit_log_add(l, line, 1000);
	st = audit_log_stats(l);
	cr_assert(st.lines + st.dropped == 1000 && st.dropped >= 700 && st.lines >= 200, "%llu %llu",
		  (unsigned long long)st.lines, (unsigned long long)st.dropped);
	fcntl(fd, F_SETFL, 0);
	while (got < st.lines * 1000) {
		n = read(fd, buf, sizeof(buf));
		cr_assert(n > 0);
		got += (size_t)n;
	}
	audit_log_close(l);
	close(fd);
	loop_free(loop);
	dir_remove(dir, NULL);
}

/* --- over HTTPS ----------------------------------------------------------------------------------------------------
 */

static const char policy[] = HEAD
	"rules:\n"
	"- {level: None, users: ['system:kube-scheduler']}\n"
	"- {level: Metadata, resources: [{group: '', resources: [secrets]}], omitStages: [RequestReceived]}\n"
	"- {level: RequestResponse, resources: [{group: '', resources: [configmaps]}], "
	"omitStages: [RequestReceived]}\n"
	"- {level: Request, resources: [{group: '', resources: [pods]}]}\n"
	"- {level: Metadata, nonResourceURLs: [/version]}\n"
	"- {level: None}\n";

static json_t *events_of(const char *path)
{
	json_t *all = json_array(), *v;
	char *text, *save = NULL;
	size_t len;

	cr_assert(file_read(path, 1 << 22, &text, &len, NULL) == 0);
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		cr_assert(api_json_parse(line, strlen(line), &v, NULL, NULL) == 0, "%s", line);
		json_array_append_new(all, v);
	}
	free(text);
	return all;
}

static const json_t *find(const json_t *all, const char *stage, const char *verb, const char *resource, size_t nth)
{
	const json_t *v;
	size_t i;

	json_array_foreach (all, i, v)
		if (streq(api_get_str(v, "stage"), stage) && streq(api_get_str(v, "verb"), verb) &&
		    streq(api_get_str(v, "objectRef.resource"), resource) && !nth--)
			return v;
	return NULL;
}

Test(audit, events_say_what_the_policy_wants_and_no_more)
{
	char path[200], file[200];
	struct fx f;
	struct fx_watch w;
	struct answer a;
	struct err err = ERR_INIT;
	const json_t *e;
	json_t *all;

	fx_init(&f);
	snprintf(file, sizeof(file), "%s/policy.yaml", f.dir);
	snprintf(path, sizeof(path), "%s/audit.log", f.dir);
	cr_assert(file_write(file, policy, &err) == 0);
	f.config.audit_policy_file = file;
	f.config.audit_log_path = path;
	fx_start(&f);
	fx_do(&f, 201, "POST", "/api/v1/namespaces/default/secrets",
	      "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"s\"},\"stringData\":{\"k\":"
	      "\"hushhush\"}}");
	fx_do(&f, 201, "POST", CMS, CM("c", "\"k\":\"written\""));
	fx_do(&f, 409, "POST", CMS, CM("c", "\"k\":\"written\""));
	fx_do(&f, 201, "POST", PODS, POD("p", ""));
	fx_do(&f, 404, "GET", PODS "/nope", NULL);
	a = fx_call(&f, STRANGER, "GET", PODS "/p", NULL, NULL, NULL);
	cr_assert(a.status == 403);
	answer_done(&a);
	a = fx_call(&f, SCHEDULER, "GET", PODS, NULL, NULL, NULL);
	answer_done(&a);
	fx_watch_start(&f, &w, ADMIN, PODS "?watch=1&timeoutSeconds=1", NULL);
	while (fx_watch_next(&w))
		;
	fx_watch_done(&w);
	fx_do(&f, 200, "GET", "/version", NULL);
	fx_do(&f, 200, "GET", "/api", NULL);
	fx_stop(&f);

	all = events_of(path);
	e = find(all, "ResponseComplete", "create", "secrets", 0);
	cr_assert(e && !api_get(e, "requestObject") && !api_get(e, "responseObject"));
	cr_assert(!find(all, "RequestReceived", "create", "secrets", 0));
	cr_assert_str_eq(api_get_str(e, "user.username"), "admin");
	cr_assert_str_eq(api_get_str(e, "objectRef.name"), "s");
	cr_assert_str_eq(json_string_value(json_array_get(api_get(e, "sourceIPs"), 0)), "127.0.0.1");
	cr_assert(api_get_int(e, "responseStatus.code", 0) == 201);
	e = find(all, "ResponseComplete", "create", "configmaps", 0);
	cr_assert(e && streq(api_get_str(e, "requestObject.data.k"), "written"));
	cr_assert(api_get_str(e, "responseObject.metadata.uid"));
	e = find(all, "ResponseComplete", "create", "configmaps", 1);
	cr_assert(e && streq(api_get_str(e, "responseStatus.reason"), "AlreadyExists"));
	e = find(all, "RequestReceived", "create", "pods", 0);
	cr_assert(e && !api_get(e, "requestObject") && !api_get(e, "responseStatus"));
	{
		const char *id = api_get_str(e, "auditID");

		e = find(all, "ResponseComplete", "create", "pods", 0);
		cr_assert(e && api_get(e, "requestObject.spec") && !api_get(e, "responseObject"));
		cr_assert_str_eq(api_get_str(e, "auditID"), id);
	}
	e = find(all, "ResponseComplete", "get", "pods", 0);
	cr_assert(e && api_get_int(e, "responseStatus.code", 0) == 404);
	e = find(all, "ResponseComplete", "get", "pods", 1);
	cr_assert(e && api_get_int(e, "responseStatus.code", 0) == 403);
	cr_assert_str_eq(api_get_str(e, "user.username"), "stranger");
	cr_assert(!find(all, "ResponseComplete", "list", "pods", 0), "the scheduler is left out");
	cr_assert(find(all, "ResponseStarted", "watch", "pods", 0) &&
		  find(all, "ResponseComplete", "watch", "pods", 0));
	e = find(all, "ResponseComplete", "get", NULL, 0);
	cr_assert(e && streq(api_get_str(e, "requestURI"), "/version"));
	cr_assert(!find(all, "ResponseComplete", "get", NULL, 1));
	json_decref(all);
	{
		char *text;
		size_t len;

		cr_assert(file_read(path, 1 << 22, &text, &len, NULL) == 0);
		cr_assert(!strstr(text, "hushhush") && !strstr(text, "aHVzaGh1c2g"));
		free(text);
	}
	fx_done(&f);
}
