/* SPDX-License-Identifier: Apache-2.0 */
/* lib/client: reading kubeconfig files. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "client/kube.h"

static char dir[64], path[128];

static void write_config(const char *text)
{
	if (!*dir) {
		strcpy(dir, "/tmp/skep-test-kc.XXXXXX");
		cr_assert(mkdtemp(dir));
		snprintf(path, sizeof(path), "%s/config", dir);
	}
	cr_assert_eq(file_write_atomic(path, text, strlen(text), 0600, NULL), 0);
}

static void remove_dir(void)
{
	if (*dir)
		dir_remove(dir, NULL);
}

static const char *const good =
	"apiVersion: v1\nkind: Config\ncurrent-context: one\n"
	"contexts:\n- {name: one, context: {cluster: c1, user: u1, namespace: n1}}\n- {name: two, context: {cluster: c2, user: u2}}\n"
	"- {name: three, context: {cluster: c2, user: u3}}\n- {name: four, context: {cluster: c9, user: u1}}\n"
	"clusters:\n- {name: c1, cluster: {server: 'https://a:6443/', certificate-authority-data: Q0E=, tls-server-name: api}}\n"
	"- {name: c2, cluster: {server: 'https://b', certificate-authority: pki/ca.crt, insecure-skip-tls-verify: true}}\n"
	"users:\n- {name: u1, user: {client-certificate-data: Q1JU, client-key-data: S0VZ}}\n"
	"- {name: u2, user: {client-certificate: /abs/c.crt, client-key: c.key, tokenFile: token}}\n"
	"- {name: u3, user: {exec: {command: aws}}}\n";

Test(kubeconfig, inline_data_goes_to_private_files_that_go_away, .fini = remove_dir)
{
	struct kubeconfig kc;
	struct err err = ERR_INIT;
	struct stat st;
	char *text, tmp[200];

	write_config(good);
	cr_assert_eq(kubeconfig_load(path, NULL, &kc, &err), 0, "%s", err.msg);
	cr_assert_str_eq(kc.server, "https://a:6443");
	cr_assert_str_eq(kc.context, "one");
	cr_assert_str_eq(kc.namespace_, "n1");
	cr_assert_str_eq(kc.tls_server_name, "api");
	cr_assert(!kc.insecure_skip_verify && !kc.token);
	cr_assert_eq(file_read(kc.ca_file, 100, &text, NULL, NULL), 0);
	cr_assert_str_eq(text, "CA");
	free(text);
	cr_assert_eq(file_read(kc.key_file, 100, &text, NULL, NULL), 0);
	cr_assert_str_eq(text, "KEY");
	free(text);
	/* on no disk, so that nothing stays behind a process that is killed */
	cr_assert_eq(stat(kc.key_file, &st), 0);
	cr_assert_eq(st.st_nlink, 0);
	snprintf(tmp, sizeof(tmp), "%s", kc.key_file);
	kubeconfig_done(&kc);
	cr_assert(stat(tmp, &st) < 0 && errno == ENOENT);
}

Test(kubeconfig, files_are_relative_to_it, .fini = remove_dir)
{
	struct kubeconfig kc;
	struct err err = ERR_INIT;
	char want[200], token[200];

	write_config(good);
	snprintf(token, sizeof(token), "%s/token", dir);
	cr_assert_eq(file_write_atomic(token, "secret\n", 7, 0600, NULL), 0);
	cr_assert_eq(kubeconfig_load(path, "two", &kc, &err), 0, "%s", err.msg);
	snprintf(want, sizeof(want), "%s/pki/ca.crt", dir);
	cr_assert_str_eq(kc.ca_file, want);
	cr_assert_str_eq(kc.cert_file, "/abs/c.crt");
	snprintf(want, sizeof(want), "%s/c.key", dir);
	cr_assert_str_eq(kc.key_file, want);
	cr_assert_str_eq(kc.token, "secret");
	cr_assert(kc.insecure_skip_verify && !kc.n_fds && !kc.namespace_);
	kubeconfig_done(&kc);
}

Test(kubeconfig, says_what_is_wrong, .fini = remove_dir)
{
	static const struct {
		const char *text, *context, *words;
	} t[] = {
		{ NULL, "nine", "no context named 'nine'" },
		{ NULL, "three", "external program" },
		{ NULL, "four", "names no cluster" },
		{ "contexts: []\n", NULL, "no current-context" },
		{ "a: [\n", NULL, "config" },
		{ "", NULL, "no current-context" },
		{ "current-context: a\ncontexts: [{name: a, context: {cluster: a, user: a}}]\nclusters:\n"
		  "- {name: a, cluster: {server: x, certificate-authority-data: '%%%'}}\n",
		  NULL, "not base64" },
	};
	struct kubeconfig kc;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct err err = ERR_INIT;

		write_config(t[i].text ? t[i].text : good);
		cr_assert(kubeconfig_load(path, t[i].context, &kc, &err) < 0);
		cr_assert(strstr(err.msg, t[i].words), "%s", err.msg);
		cr_assert(strstr(err.msg, path), "%s", err.msg);
	}
	cr_assert_eq(kubeconfig_load("/nonexistent/config", NULL, &kc, NULL), -ENOENT);
}

Test(kubeconfig, found_by_the_environment, .fini = remove_dir)
{
	struct kubeconfig kc;
	struct err err = ERR_INIT;
	char list[300];

	write_config(good);
	snprintf(list, sizeof(list), "/nonexistent/a::%s", path);
	setenv("KUBECONFIG", list, 1);
	cr_assert_eq(kubeconfig_load(NULL, NULL, &kc, &err), 0, "%s", err.msg);
	cr_assert_str_eq(kc.context, "one");
	kubeconfig_done(&kc);
	unsetenv("KUBECONFIG");
	setenv("HOME", "/nonexistent", 1);
	cr_assert_eq(kubeconfig_load(NULL, NULL, &kc, &err), -ENOENT);
	cr_assert(strstr(err.msg, "skep up"), "%s", err.msg);
}
