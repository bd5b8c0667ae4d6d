/* SPDX-License-Identifier: Apache-2.0 */
/* Reaching a cluster from a verb: kubeconfig, requests, targets. See cli.h. */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "cluster.h"

/* The local cluster's admin kubeconfig if it exists and may be read. */
static bool local_kubeconfig(const char *name, char *path, size_t size)
{
	struct cluster c;

	if (cluster_init(&c, name, NULL) < 0)
		return false;
	cluster_admin_kubeconfig(&c, path, size);
	return !access(path, R_OK);
}

int cli_open(struct cli *cli, const struct cli_common *common, struct err *err)
{
	const char *path = common->kubeconfig;
	char local[PATH_MAX];
	int r;

	*cli = (struct cli){ 0 };
	if (!path && common->cluster) {
		if (!local_kubeconfig(common->cluster, local, sizeof(local)))
			return err_set(err, ENOENT, "no cluster '%s' on this machine; `skep up --name %s` makes one",
				       common->cluster, common->cluster);
		path = local;
	} else if (!path && !getenv("KUBECONFIG") && local_kubeconfig("default", local, sizeof(local))) {
		path = local;
	}
	r = kubeconfig_load(path, common->context, &cli->kc, err);
	if (r < 0)
		return r;
	cli->loop = loop_new();
	if (!cli->loop) {
		cli_close(cli);
		return err_set(err, errno, "event loop: %m");
	}
	r = kube_new(cli->loop, &cli->kc, "skep/" SKEP_VERSION, &cli->kube, err);
	if (r < 0) {
		cli_close(cli);
		return r;
	}
	cli->namespace_ = common->namespace_ ? common->namespace_ : cli->kc.namespace_ ? cli->kc.namespace_ : "default";
	return 0;
}

void cli_close(struct cli *cli)
{
	if (cli->kube)
		kube_free(cli->kube);
	if (cli->loop)
		loop_free(cli->loop);
	kubeconfig_done(&cli->kc);
	*cli = (struct cli){ 0 };
}

bool cli_warning_text(const char *header, char *buf, size_t size)
{
	const char *p = header + strspn(header, "0123456789 ");
	size_t n = 0;

	/* '299 agent "text"', with \" and \\ in the text; what a terminal would obey is left out. */
	p = strchr(p, '"');
	if (!p)
		return false;
	for (p++; *p && *p != '"' && n + 1 < size; p++) {
		if (*p == '\\' && p[1])
			p++;
		if ((unsigned char)*p >= ' ' && *p != 0x7f)
			buf[n++] = *p;
	}
	buf[n] = '\0';
	return n > 0;
}

static void on_header(struct http_call *call, void *arg, const char *name, const char *value)
{
	char text[512];

	(void)call;
	(void)arg;
	if (!strcasecmp(name, "warning") && cli_warning_text(value, text, sizeof(text)))
		fprintf(stderr, "Warning: %s\n", text);
}

struct pending {
	struct loop *loop;
	bool done;
	int status;
	json_t *obj;
	char *text; /* body that is not JSON */
	char error[512];
};

static void request_done(struct http_call *call, void *arg, const struct http_response *rsp)
{
	struct pending *p = arg;

	(void)call;
	p->done = true;
	p->status = rsp->status;
	if (rsp->len && api_json_parse(rsp->body, rsp->len, &p->obj, NULL, NULL) < 0)
		p->text = strndup(rsp->body, rsp->len > 400 ? 400 : rsp->len);
	snprintf(p->error, sizeof(p->error), "%s", rsp->error ? rsp->error : "");
}

int cli_request(struct cli *cli, const char *method, const char *path, const char *content_type, const char *accept,
		const json_t *body, json_t **ret_obj, struct err *err)
{
	cleanup(free) char *text = body ? json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
	struct pending p = { .loop = cli->loop };
	struct http_call_config call = {
		.method = method,
		.path = path,
		.accept = accept,
		.body = text,
		.body_len = text ? strlen(text) : 0,
		.content_type = text ? (content_type ? content_type : "application/json") : NULL,
		.timeout_ms = 60000,
		.on_header = on_header,
		.on_done = request_done,
		.arg = &p,
	};
	const char *message;
	int r;

	if ((body && !text) || !http_call_start(kube_http(cli->kube), &call))
		return err_set(err, ENOMEM, "out of memory");
	while (!p.done) {
		r = loop_run_once(cli->loop, -1);
		if (r < 0)
			return err_set(err, -r, "event loop: %s", strerror(-r));
	}
	if (!p.status) {
		free(p.text);
		json_decref(p.obj);
		return err_set(err, EHOSTUNREACH, "cannot reach the API server at %s: %s", cli->kc.server, p.error);
	}
	if (p.status >= 400) {
		message = p.obj ? api_get_str(p.obj, "message") : p.text;
		err_set(err, EREMOTEIO, "%s", message ? message : "the server answered with an error and no text");
	}
	free(p.text);
	if (ret_obj)
		*ret_obj = p.obj;
	else
		json_decref(p.obj);
	return p.status;
}

int cli_target_parse(int argc, char **argv, struct cli_target *ret, struct err *err)
{
	struct cli_target t = { 0 };

	for (int i = 0; i < argc; i++) {
		char *slash = strchr(argv[i], '/');
		char word[256];

		if (i && !slash) {
			t.names[t.n_names++] = argv[i];
		} else {
			const struct api_kind *kind;

			snprintf(word, sizeof(word), "%.*s", slash ? (int)(slash - argv[i]) : 255, argv[i]);
			kind = api_kind_by_word(word);
			if (!kind)
				return err_set(
					err, EINVAL,
					"the server has no resource type \"%s\"; `kubectl api-resources` lists them",
					word);
			if (t.kind && t.kind != kind)
				return err_set(err, EINVAL, "name objects of one kind at a time");
			if (i && !t.n_names)
				return err_set(err, EINVAL, "'%s': give either KIND NAME... or KIND/NAME...", argv[i]);
			t.kind = kind;
			if (slash)
				t.names[t.n_names++] = slash + 1;
		}
		if (t.n_names == sizeof(t.names) / sizeof(t.names[0]))
			return err_set(err, E2BIG, "too many names");
	}
	if (!t.kind)
		return err_set(err, EINVAL, "say what: a kind such as pods, or KIND/NAME");
	*ret = t;
	return 0;
}

char *cli_object_name(const struct api_kind *kind, const char *name, char *buf)
{
	snprintf(buf, 320, "%s%s%s/%s", kind->singular, kind->group[0] ? "." : "", kind->group, name);
	return buf;
}
