/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's command line: defaults of both modes, and what is refused by name. */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <errno.h>
#include <getopt.h>

#include "agent/flags.h"
#include "base/str.h"

static int parse(struct flags *f, const char *const *args)
{
	char *argv[32] = { "skep-agent" };
	int argc = 1;

	for (; args[argc - 1]; argc++)
		argv[argc] = (char *)args[argc - 1];
	optind = 1;
	return flags_parse(argc, argv, f);
}

#define PARSE(f, ...) parse(f, (const char *const[]){ __VA_ARGS__, NULL })
#define NODE	      "--node-name=n", "--kubeconfig=k", "--node-ips=1.2.3.4", "--tls-cert=c", "--tls-key=c", "--tls-ca=a"
#define DATA_PLANE    "--data-plane-only", "--node-name=n", "--kubeconfig=k", "--cni-conf-dir=d"

Test(flags, of_a_node)
{
	struct flags f;

	cr_assert_eq(PARSE(&f, NODE, "--label", "a=b", "--label=c=d"), 0);
	cr_assert(!f.data_plane_only);
	cr_assert_str_eq(f.listen, ":10250");
	cr_assert_str_eq(f.healthz_listen, ":10256");
	cr_assert_str_eq(f.runtime_endpoint, "unix:///run/containerd/containerd.sock");
	cr_assert(!f.cgroup_root && !f.pin_dir && !f.cni_conf_dir); /* by the node's name, or none */
	cr_assert_str_eq(f.labels[1], "c=d");
	cr_assert(!f.labels[2]);
	cr_assert_eq(f.max_pods, 110);
}

Test(flags, room_for_services)
{
	struct flags f;

	cr_assert_eq(PARSE(&f, DATA_PLANE), 0);
	cr_assert(!f.max_frontends && !f.max_backends);
	cr_assert_eq(PARSE(&f, DATA_PLANE, "--max-frontends=1000000", "--max-backends", "2000000"), 0);
	cr_assert_eq(f.max_frontends, 1000000);
	cr_assert_eq(f.max_backends, 2000000);
}

Test(flags, of_the_data_plane_alone)
{
	struct flags f;

	cr_assert_eq(PARSE(&f, DATA_PLANE), 0);
	cr_assert(f.data_plane_only);
	cr_assert_str_eq(f.listen, "127.0.0.1:10249");
	cr_assert_str_eq(f.cgroup_root, "/");
	cr_assert(!f.node_ips && !f.tls_ca && !f.runtime_endpoint);
	cr_assert_eq(PARSE(&f, DATA_PLANE, "--healthz-listen=", "--node-ips=1.2.3.4", "--cgroup-root=/a"), 0);
	cr_assert_str_eq(f.healthz_listen, "");
	cr_assert_str_eq(f.cgroup_root, "/a");
}

Test(flags, refused_by_name)
{
	static const struct {
		const char *args[12], *words;
	} t[] = {
		{ { "--node-name=n" }, "--kubeconfig is missing" },
		{ { "--node-name=n", "--kubeconfig=k" }, "--node-ips is missing" },
		{ { "--data-plane-only", "--node-name=n", "--kubeconfig=k" }, "--cni-conf-dir is missing" },
		{ { DATA_PLANE, "--tls-cert=c" }, "--tls-cert means nothing with --data-plane-only" },
		{ { DATA_PLANE, "--bootstrap-kubeconfig=c" }, "--bootstrap-kubeconfig means nothing" },
		{ { DATA_PLANE, "--label=a=b" }, "--label means nothing" },
		{ { DATA_PLANE, "--max-pods=7" }, "--max-pods means nothing" },
		{ { NODE, "--max-pods=0" }, "--max-pods '0': give a number" },
		{ { NODE, "--max-backends=10" }, "--max-backends '10': give a number from 1024" },
		{ { NODE, "--label=a" }, "--label 'a': give key=value" },
		{ { NODE, "more" }, "unexpected argument 'more'" },
	};
	char said[2000] = "";
	FILE *err;

	cr_redirect_stderr();
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct flags f;

		cr_assert_eq(parse(&f, t[i].args), -EINVAL, "%s", t[i].words);
	}
	fflush(stderr);
	err = cr_get_redirected_stderr();
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		cr_assert(fgets(said, sizeof(said), err), "%s", t[i].words);
		cr_assert(strstr(said, t[i].words), "'%s' instead of '%s'", said, t[i].words);
	}
}
