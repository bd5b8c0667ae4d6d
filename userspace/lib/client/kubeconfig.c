/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a kubeconfig (clientcmd v1 Config): see kube.h. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "../base/file.h"
#include "../base/str.h"
#include "kube.h"

static const json_t *named(const json_t *config, const char *list, const char *name, const char *part)
{
	const json_t *items = json_object_get(config, list), *item;
	size_t i;

	json_array_foreach (items, i, item)
		if (name && streq(api_get_str(item, "name"), name))
			return json_object_get(item, part);
	return NULL;
}

/* A relative path in a kubeconfig is relative to its directory. */
static char *resolve(const char *config_path, const char *file)
{
	const char *slash = strrchr(config_path, '/');
	char *out = NULL;

	if (file[0] == '/' || !slash)
		return strdup(file);
	return asprintf(&out, "%.*s/%s", (int)(slash - config_path), config_path, file) < 0 ? NULL : out;
}

/* A file without a name, which nobody else can open and which goes with the process, however that ends. */
static int keep_in_memory(struct kubeconfig *kc, const void *data, size_t len, char **ret, struct err *err)
{
	cleanup(close_fd) int fd = memfd_create("kubeconfig", MFD_CLOEXEC);

	if (fd < 0)
		return err_set(err, errno, "memfd_create: %m");
	for (size_t done = 0; done < len;) {
		ssize_t n = write(fd, (const char *)data + done, len - done);

		if (n < 0)
			return err_set(err, errno, "write: %m");
		done += (size_t)n;
	}
	if (asprintf(ret, "/proc/self/fd/%d", fd) < 0) {
		*ret = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	kc->fds[kc->n_fds++] = TAKE_FD(fd);
	return 0;
}

/* <key> names a file, <key>-data holds it in base64. */
static int take_file(struct kubeconfig *kc, const char *path, const json_t *from, const char *key, char **ret,
		     struct err *err)
{
	char data_key[64];
	cleanup(free) unsigned char *data = NULL;
	const char *text;
	size_t len;

	snprintf(data_key, sizeof(data_key), "%s-data", key);
	text = json_string_value(json_object_get(from, data_key));
	if (!text) {
		text = json_string_value(json_object_get(from, key));
		if (text && !(*ret = resolve(path, text)))
			return err_set(err, ENOMEM, "out of memory");
		return 0;
	}
	data = str_unbase64(text, &len);
	if (!data)
		return err_set(err, EINVAL, "%s is not base64", data_key);
	return keep_in_memory(kc, data, len, ret, err);
}

static char *default_path(struct err *err)
{
	const char *env = getenv("KUBECONFIG"), *home = getenv("HOME");
	char *out = NULL;

	while (env && *env) {
		size_t n = strcspn(env, ":");
		char *one = strndup(env, n);

		if (one && *one && !access(one, F_OK))
			return one;
		free(one);
		env += n + (env[n] == ':');
	}
	if (asprintf(&out, "%s/.kube/config", home ? home : "/root") < 0)
		return NULL;
	if (access(out, F_OK) < 0) {
		err_set(err, ENOENT,
			"no cluster to talk to: no --kubeconfig, no $KUBECONFIG, no %s and no cluster made by `skep up`",
			out);
		free(out);
		return NULL;
	}
	return out;
}

static int read_parts(struct kubeconfig *kc, const char *path, const json_t *config, const char *context,
		      struct err *err)
{
	const json_t *ctx, *cluster, *user;
	const char *s;
	int r;

	if (!context)
		context = api_get_str(config, "current-context");
	if (!context || !*context)
		return err_set(err, EINVAL, "no current-context; choose one with --context");
	ctx = named(config, "contexts", context, "context");
	if (!ctx)
		return err_set(err, EINVAL, "no context named '%s'", context);
	cluster = named(config, "clusters", api_get_str(ctx, "cluster"), "cluster");
	if (!cluster || !(s = api_get_str(cluster, "server")))
		return err_set(err, EINVAL, "context '%s' names no cluster with a server", context);
	kc->context = strdup(context);
	kc->server = strdup(s);
	while (str_ends(kc->server, "/"))
		kc->server[strlen(kc->server) - 1] = '\0';
	if ((s = api_get_str(ctx, "namespace")))
		kc->namespace_ = strdup(s);
	if ((s = api_get_str(cluster, "tls-server-name")))
		kc->tls_server_name = strdup(s);
	kc->insecure_skip_verify = json_is_true(json_object_get(cluster, "insecure-skip-tls-verify"));
	r = take_file(kc, path, cluster, "certificate-authority", &kc->ca_file, err);
	user = named(config, "users", api_get_str(ctx, "user"), "user");
	if (r < 0 || !user)
		return r;
	if (json_object_get(user, "exec") || json_object_get(user, "auth-provider"))
		return err_set(
			err, ENOTSUP,
			"user '%s' logs in by an external program, which Skep's client does not run: use a client "
			"certificate or a token",
			api_get_str(ctx, "user"));
	r = take_file(kc, path, user, "client-certificate", &kc->cert_file, err);
	if (!r)
		r = take_file(kc, path, user, "client-key", &kc->key_file, err);
	if (r < 0)
		return r;
	if ((s = api_get_str(user, "token"))) {
		kc->token = strdup(s);
	} else if ((s = api_get_str(user, "tokenFile"))) {
		kc->token_file = resolve(path, s);
		if (!kc->token_file)
			return err_set(err, ENOMEM, "out of memory");
		r = file_read(kc->token_file, 1 << 16, &kc->token, NULL, err);
		if (r < 0)
			return r;
		kc->token[strcspn(kc->token, "\r\n")] = '\0';
	}
	return 0;
}

int kubeconfig_load(const char *path, const char *context, struct kubeconfig *ret, struct err *err)
{
	cleanup(free) char *found = NULL;
	cleanup(free) char *text = NULL;
	cleanup(free) int *lines = NULL;
	struct kubeconfig kc = { 0 };
	json_t *docs = NULL;
	size_t len;
	int r;

	if (!path) {
		found = default_path(err);
		if (!found)
			return -ENOENT;
		path = found;
	}
	r = file_read(path, 4 << 20, &text, &len, err);
	if (r < 0)
		return r;
	r = api_yaml_parse(text, len, &docs, &lines, err);
	if (!r)
		r = read_parts(&kc, path, json_array_get(docs, 0), context, err);
	json_decref(docs);
	if (r < 0) {
		kubeconfig_done(&kc);
		return err_wrap(err, r, "kubeconfig '%s'", path);
	}
	*ret = kc;
	return 0;
}

void kubeconfig_done(struct kubeconfig *kc)
{
	for (size_t i = 0; i < kc->n_fds; i++)
		close(kc->fds[i]);
	free(kc->server);
	free(kc->ca_file);
	free(kc->cert_file);
	free(kc->key_file);
	free(kc->token);
	free(kc->token_file);
	free(kc->namespace_);
	free(kc->context);
	free(kc->tls_server_name);
	*kc = (struct kubeconfig){ 0 };
}
